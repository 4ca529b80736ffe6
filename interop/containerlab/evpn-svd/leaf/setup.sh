#!/bin/sh
# Our leaf: its address, one bridge, one VXLAN device for two VNIs and two L3VNIs, hosts at eth2 and eth3, vtep and ExaBGP.
set -e
ip addr add 10.0.0.99/32 dev lo
ip addr add 10.2.1.0/31 dev eth1
ip link set dev eth1 up
ip route add 10.0.0.1/32 via 10.2.1.1 src 10.0.0.99

ip link add name bridge type bridge vlan_filtering 1
ip link set dev bridge addrgenmode none address 02:00:00:00:ff:99 up
ip link add name vxlan0 type vxlan external vnifilter local 10.0.0.99 dstport 4789 nolearning
ip link set dev vxlan0 master bridge addrgenmode none up
bridge link set dev vxlan0 learning off neigh_suppress on vlan_tunnel on
ip link add name blue type vrf table 2400
ip link add name purple type vrf table 1003
ip link set dev blue up
ip link set dev purple up
for pair in 1:101 20:1020 300:300 400:4000; do
    vlan=${pair%:*} vni=${pair#*:}
    bridge vlan add dev vxlan0 vid $vlan # VLAN 1 is there, untagged: this takes that away
    bridge vlan add dev vxlan0 vid $vlan tunnel_info id $vni
    bridge vni add dev vxlan0 vni $vni
    bridge vlan add dev bridge vid $vlan self
    ip link add link bridge name vlan$vlan type vlan id $vlan
    ip link set dev vlan$vlan addrgenmode none
done
ip link set dev vlan300 master blue
ip link set dev vlan400 master purple
for vlan in 1 20 300 400; do ip link set dev vlan$vlan up; done
ip addr add 10.10.1.3/24 dev vlan1
ip route add 4.4.4.1/32 dev vlan300 table 2400 proto static

ip link set dev eth2 master bridge up
ip link set dev eth3 master bridge up
bridge vlan del dev eth3 vid 1
bridge vlan add dev eth3 vid 20 pvid untagged

sh /etc/lab/start.sh vtep
sh /etc/lab/start.sh exabgp
