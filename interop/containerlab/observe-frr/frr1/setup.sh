#!/bin/sh
# An FRR VTEP: its address, VNI 100 with one host at eth2, and FRR.
set -e
ip addr add 10.0.0.1/32 dev lo
ip addr add 10.1.1.1/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.99/32 via 10.1.1.0 src 10.0.0.1

ip link add name br100 type bridge vlan_default_pvid 0
ip link add name vxlan100 type vxlan id 100 local 10.0.0.1 dstport 4789 nolearning
ip link set dev vxlan100 master br100 addrgenmode none
ip link set dev vxlan100 type bridge_slave learning off
ip link set dev eth2 master br100
for device in br100 vxlan100 eth2; do ip link set dev $device up; done


sh /etc/lab/start.sh
