#!/bin/sh
# The spine: routes between the VTEPs' addresses, and a route reflector.
set -e
ip addr add 10.0.0.100/32 dev lo
link() { # INTERFACE NUMBER
    ip addr add 10.1."$2".0/31 dev "$1"
    ip link set dev "$1" up
    ip route add 10.0.0."$2"/32 via 10.1."$2".1 src 10.0.0.100
}
link eth1 1
link eth2 2
link eth3 99

sh /etc/lab/start.sh
