#!/bin/sh
# Our leaf: its address, VNI 100 with one host at eth2, VNI 200 with one at eth3, vtep and ExaBGP.
set -e
ip addr add 10.0.0.99/32 dev lo
ip addr add 10.1.99.1/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.0/24 via 10.1.99.0 src 10.0.0.99

vni() { # NUMBER PORT
    ip link add name br$1 type bridge vlan_default_pvid 0
    ip link add name vxlan$1 type vxlan id $1 local 10.0.0.99 dstport 4789 nolearning
    ip link set dev vxlan$1 master br$1 addrgenmode none
    ip link set dev vxlan$1 type bridge_slave learning off
    ip link set dev $2 master br$1
    for device in br$1 vxlan$1 $2; do ip link set dev $device up; done
}
vni 100 eth2
vni 200 eth3

sh /etc/lab/start.sh vtep
sh /etc/lab/start.sh exabgp
