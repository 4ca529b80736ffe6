#!/bin/sh
# A leaf with VNI 100 whose GoBGP reports by BMP, and vtep beside it. GoBGP writes no rows: an orchestrator does, by hand.
set -e
ip addr add 10.0.0.99/32 dev lo
ip addr add 10.1.1.0/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.1/32 via 10.1.1.1 src 10.0.0.99

ip link add name br100 type bridge vlan_default_pvid 0
ip link add name vxlan100 type vxlan id 100 local 10.0.0.99 dstport 4789 nolearning
ip link set dev vxlan100 master br100 addrgenmode none
ip link set dev vxlan100 type bridge_slave learning off
for device in br100 vxlan100; do ip link set dev $device up; done

mkdir -p /run/lab
setsid gobgpd -t toml -f /etc/gobgp/gobgpd.conf --pprof-disable --api-hosts 127.0.0.1:50051 \
    >>/run/lab/gobgpd.log 2>&1 </dev/null &
echo $! >/run/lab/gobgpd.pid
export BEFORE_VTEP="setpriv --bounding-set=-net_admin --inh-caps=-net_admin"
sh /etc/lab/start.sh vtep
