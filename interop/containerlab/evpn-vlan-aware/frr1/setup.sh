#!/bin/sh
# An FRR leaf: its address, one bridge with VLAN 10 (a host at eth2) and VLAN 20 (a host at eth3), and FRR.
set -e
ip addr add 10.0.0.1/32 dev lo
ip addr add 10.2.1.1/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.99/32 via 10.2.1.0 src 10.0.0.1

ip link add name br0 type bridge vlan_filtering 1 vlan_default_pvid 0
ip link set dev br0 addrgenmode none up
for vlan in 10 20; do
    ip link add name vx$vlan type vxlan id 10$vlan local 10.0.0.1 dstport 4789 nolearning
    ip link set dev vx$vlan master br0 addrgenmode none up
    bridge link set dev vx$vlan learning off neigh_suppress on
    bridge vlan add dev vx$vlan vid $vlan pvid untagged
    bridge vlan add dev br0 vid $vlan self
    ip link add link br0 name br0.$vlan type vlan id $vlan
    ip link set dev br0.$vlan addrgenmode none up
done
for access in eth2:10 eth3:20; do
    ip link set dev ${access%:*} master br0 up
    bridge vlan add dev ${access%:*} vid ${access#*:} pvid untagged
done

sh /etc/lab/start.sh
