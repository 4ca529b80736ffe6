#!/bin/sh
# A machine with a link to each of two leaves, and one address. It sends by eth1 while that has a carrier, and otherwise by eth2, and
# takes frames from both: what a bond does, on kernels without bonds.
set -e
for port in eth1 eth2; do ip link set dev $port address 02:00:00:00:00:01 mtu 1430 up; done
ip addr add 172.16.0.1/32 dev lo
ip route add 172.16.0.0/24 dev eth1 src 172.16.0.1 metric 10
ip route add 172.16.0.0/24 dev eth2 src 172.16.0.1 metric 20
