#!/bin/sh
# A leaf of ours: its address, VNI 100 with a host at eth2, vtep, and ExaBGP with the commands that announce.
set -e
ip addr add 10.0.0.99/32 dev lo
ip addr add 10.1.99.1/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.0/24 via 10.1.99.0 src 10.0.0.99

ip link add name br100 type bridge vlan_default_pvid 0
ip link add name vxlan100 type vxlan id 100 local 10.0.0.99 dstport 4789 nolearning
ip link set dev vxlan100 master br100 addrgenmode none
ip link set dev vxlan100 type bridge_slave learning off
for device in br100 vxlan100; do ip link set dev $device up; done
for port in eth2; do ip link set dev $port master br100 up; done

sh /etc/lab/start.sh vtep
sh /etc/lab/start.sh exabgp
