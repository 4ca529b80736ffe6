#!/bin/sh
# Our leaf: its address, the VRF with its L3VNI, VNI 99 with one host at eth2, vtep and ExaBGP.
set -e
ip addr add 10.0.0.99/32 dev lo
ip addr add 10.2.1.0/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.1/32 via 10.2.1.1 src 10.0.0.99

ip link add name blue type vrf table 1001
ip link set dev blue up
for vni in 4001 99; do
    ip link add name br$vni type bridge vlan_default_pvid 0
    ip link set dev br$vni master blue
    ip link add name vxlan$vni type vxlan id $vni local 10.0.0.99 dstport 4789 nolearning
    ip link set dev vxlan$vni master br$vni addrgenmode none
    ip link set dev vxlan$vni type bridge_slave learning off
done
ip link set dev br4001 addrgenmode none address 02:00:00:00:ff:99
ip link set dev br99 address 00:00:5e:00:01:01
ip link set dev eth2 master br99
for device in br4001 vxlan4001 br99 vxlan99 eth2; do ip link set dev $device up; done
ip addr add 10.1.99.1/24 dev br99
ip addr add 2001:db8:99::1/64 dev br99 nodad

sh /etc/lab/start.sh vtep
sh /etc/lab/start.sh exabgp
