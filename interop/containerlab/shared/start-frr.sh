#!/bin/sh
# Starts the FRR daemons that /etc/frr/daemons asks for, or only the one that is named: start.sh [DAEMON].
# There is no watchfrr: a daemon that dies, or is killed by a test, stays dead until somebody starts it again.
set -e
. /etc/frr/daemons
folder=/usr/lib/frr
[ -x $folder/zebra ] || folder=/usr/libexec/frr
mkdir -p /run/lab /run/frr /var/log/frr /var/lib/frr /var/tmp/frr
chmod 1777 /run/lab
chown frr:frr /run/frr /var/log/frr /var/lib/frr /var/tmp/frr

launch() { # DAEMON OPTIONS...
    name=$1
    shift
    # Its outputs are not ours: whoever started this script may wait for their end.
    "$folder/$name" -d "$@" --log "file:/run/lab/$name.log" --log-level informational >/run/lab/"$name".out 2>&1 </dev/null
}

if [ -n "${1:-}" ]; then
    eval "launch $1 \$${1}_options"
else
    # FRR 10 has a daemon that gives the others their interfaces' configuration.
    [ ! -x $folder/mgmtd ] || launch mgmtd -A 127.0.0.1
    launch zebra $zebra_options
    [ "$bgpd" != yes ] || launch bgpd $bgpd_options
fi
vtysh -b
