#!/bin/sh
# A BGP speaker that announces what it is told; behind its address there is nothing.
set -e
ip addr add 10.0.0.1/32 dev lo
ip addr add 10.1.1.1/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.99/32 via 10.1.1.0 src 10.0.0.1

mkdir -p /run/lab
setsid gobgpd -t toml -f /etc/gobgp/gobgpd.conf --pprof-disable --api-hosts 127.0.0.1:50051 \
    >>/run/lab/gobgpd.log 2>&1 </dev/null &
echo $! >/run/lab/gobgpd.pid
