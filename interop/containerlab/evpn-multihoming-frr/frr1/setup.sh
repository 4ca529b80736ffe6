#!/bin/sh
# An FRR leaf: its address, VLAN 10 as VNI 100 with the machine at eth2 and a host at eth3, and FRR. The machine's port is a bond on a bridge
# that filters VLANs, because FRR has Type-1 routes for no other port.
set -e
ip addr add 10.0.0.1/32 dev lo
ip addr add 10.1.1.1/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.0/24 via 10.1.1.0 src 10.0.0.1

ip link add name br100 type bridge vlan_filtering 1 vlan_default_pvid 0
ip link add name vxlan100 type vxlan id 100 local 10.0.0.1 dstport 4789 nolearning
ip link set dev vxlan100 master br100 addrgenmode none
ip link set dev vxlan100 type bridge_slave learning off
for device in br100 vxlan100; do ip link set dev $device up; done
ip link add name bond0 type bond mode balance-xor miimon 10
ip link set dev eth2 down
ip link set dev eth2 master bond0
ip link set dev eth2 up
for port in bond0 eth3; do ip link set dev $port master br100 up; done
for port in vxlan100 bond0 eth3; do bridge vlan add dev $port vid 10 pvid untagged; done

sh /etc/lab/start.sh
