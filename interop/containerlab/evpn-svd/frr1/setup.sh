#!/bin/sh
# An FRR leaf: its address, one bridge, hosts at eth2 and eth3, and FRR. One VXLAN device for all VNIs, if this FRR knows such.
set -e
ip addr add 10.0.0.1/32 dev lo
ip addr add 10.2.1.1/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.99/32 via 10.2.1.0 src 10.0.0.1

ip link add name bridge type bridge vlan_filtering 1
ip link set dev bridge addrgenmode none address 02:00:00:00:ff:01 up
ip link add name red type vrf table 1400
ip link add name purple type vrf table 1003
ip link set dev red up
ip link set dev purple up
case $(/usr/lib/frr/zebra --version) in
*"version 7."* | *"version 8."[0-4]*) old=yes ;;
*) old= ;;
esac
if [ -z "$old" ]; then
    ip link add name vxlan0 type vxlan external local 10.0.0.1 dstport 4789 nolearning
    ip link set dev vxlan0 master bridge addrgenmode none up
    bridge link set dev vxlan0 learning off neigh_suppress on vlan_tunnel on
fi
for pair in 1:101 20:1020 100:100 400:4000; do
    vlan=${pair%:*} vni=${pair#*:}
    if [ -z "$old" ]; then
        bridge vlan add dev vxlan0 vid $vlan
        bridge vlan add dev vxlan0 vid $vlan tunnel_info id $vni
    else
        ip link add name vxlan$vni type vxlan id $vni local 10.0.0.1 dstport 4789 nolearning
        ip link set dev vxlan$vni master bridge addrgenmode none up
        bridge link set dev vxlan$vni learning off neigh_suppress on
        [ $vlan = 1 ] || bridge vlan del dev vxlan$vni vid 1
        bridge vlan add dev vxlan$vni vid $vlan pvid untagged
    fi
    bridge vlan add dev bridge vid $vlan self
    ip link add link bridge name vlan$vlan type vlan id $vlan
    ip link set dev vlan$vlan addrgenmode none
done
ip link set dev vlan100 master red
ip link set dev vlan400 master purple
for vlan in 1 20 100 400; do ip link set dev vlan$vlan up; done
ip addr add 10.10.1.1/24 dev vlan1
for prefix in 10.27.7.0/24 10.27.7.22/32 10.27.7.8/30; do ip route add blackhole $prefix table 1003; done

ip link set dev eth2 master bridge up
ip link set dev eth3 master bridge up
bridge vlan del dev eth3 vid 1
bridge vlan add dev eth3 vid 20 pvid untagged

sh /etc/lab/start.sh
