#!/bin/sh
# Starts one of the leaf's two programs: start.sh vtep [CONFIG], or start.sh exabgp [CONFIG].
# They are children of nobody in particular, so that a crash of theirs does not end the container and its links.
set -e
mkdir -p /run/lab
case $1 in
# shellcheck disable=SC2086 # $BEFORE_VTEP may be a command that takes rights away.
vtep) set -- vtep ${BEFORE_VTEP:-} vtep run --config "${2:-/etc/vtep/vtep.toml}" ;;
exabgp)
    # Without api_terminate an ExaBGP whose relay died would stay up and never dial again.
    export exabgp_daemon_user=root exabgp_api_terminate=true exabgp_api_cli=false
    # $EXABGP may be `vtep exabgp`, the same one with the commands that announce.
    # shellcheck disable=SC2086
    set -- exabgp ${EXABGP:-exabgp} "${2:-/etc/exabgp/exabgp.conf}"
    ;;
esac
name=$1
shift
setsid "$@" >>/run/lab/"$name".log 2>&1 </dev/null &
echo $! >/run/lab/"$name".pid
