"""Two leaves that route between their VLANs by an L3VNI, and a host behind each: ours and FRR, which are each other's only peer.

        host 11 10.1.11.11 ── br11 ┐                                            ┌ br22 ── host 22 10.1.22.22
        2001:db8:11::11            ├ VRF blue ─ leaf1 ══ L3VNI 4001 ══ leaf2 ─ VRF blue ┤            2001:db8:22::22
                      br4001 (SVI) ┘  ExaBGP, relay, daemon   iBGP   bgpd, zebra        └ br4001 (SVI)

Each segment is on one leaf alone, so every packet between the hosts is routed twice: symmetric IRB (RFC 9135 4.1). The anycast
gateway has the same MAC on both. Judges nothing.
"""

import json
from typing import Any, Final

from tests.lab import probe
from tests.lab.namespaces import CommandFailed, Lab, Missing, Node
from tests.lab.peers import ExaBgp, Frr, frr_config
from tests.lab.topology import address, join, switch
from tests.lab.vtep import Vtep
from vtep.config.file import parse
from vtep.feed.exabgp.config import render

L3VNI: Final = 4001
TABLE: Final = 1001
GATEWAY_MAC: Final = "00:00:5e:00:01:01"


class RoutedHost:
    """A machine with an address of each family, whose default gateway is its leaf."""

    def __init__(self, lab: Lab, number: int, leaf: Node) -> None:
        self.node = lab.node(f"host{number}")
        self.ip, self.ip6 = f"10.1.{number}.{number}", f"2001:db8:{number}::{number}"
        self.gateway, self.gateway6 = f"10.1.{number}.1", f"2001:db8:{number}::1"
        leaf.ip(
            f"link add name port{number} type veth peer name eth0 netns {self.node.pid}",
            f"link set dev port{number} master br{number} up",
        )
        self.node.ip(
            f"link set dev eth0 address 02:00:00:00:00:{number} mtu 1430",
            f"addr add {self.ip}/24 dev eth0",
            f"addr add {self.ip6}/64 dev eth0 nodad",
            "link set dev eth0 up",
            f"route add default via {self.gateway}",
            f"route add default via {self.gateway6}",
        )

    def reaches(self, address: str) -> bool:
        return probe.ping(self.node, address, 1.0) is not None

    def speak(self) -> None:
        """Let the gateway know the host, as any traffic does."""
        self.reaches(self.gateway)
        self.reaches(self.gateway6)


class RoutedLeaves:
    """The network as drawn, not yet started."""

    def __init__(self, lab: Lab) -> None:
        underlay = switch(lab)
        self.leaves = [join(lab, underlay, f"leaf{number}", number) for number in (1, 2)]
        for number, node in enumerate(self.leaves, 1):
            add_vrf(node, number)
            add_segment(node, 11 * number, address(number))
        self.hosts = [RoutedHost(lab, 11 * number, node) for number, node in enumerate(self.leaves, 1)]
        text = f"""
[node]
vtep = "{address(1)}"
[bgp]
asn = 65000
router_id = "{address(1)}"
[[bgp.neighbor]]
address = "{address(2)}"
asn = 65000
[feed]
peers = ["{address(2)}"]
[[vrf]]
name = "blue"
vni = {L3VNI}
vxlan = "vx{L3VNI}"
svi = "br{L3VNI}"
redistribute = ["connected", "kernel"]
[[vni]]
vni = 11
bridge = "br11"
vxlan = "vx11"
vrf = "blue"
"""
        self.ours = self.leaves[0]
        self.vtep = Vtep(self.ours, text)
        self.exabgp = ExaBgp(self.ours, render(parse(text)), announces=True)
        at_once = f"neighbor {address(1)} advertisement-interval 0\nneighbor {address(1)} timers connect 1\n"
        self.frr = Frr(
            self.leaves[1],
            frr_config(address(2), [address(1)]) + "exit\nrouter bgp 65000\n" + at_once + _FRR_VRF,
            f"vrf blue\nvni {L3VNI}\nexit-vrf\n",
        )

    def start(self) -> None:
        self.frr.start()
        self.vtep.start()
        self.exabgp.start()

    def routes(self, leaf: int, protocol: str) -> set[str]:
        """Return the prefixes in the table of the VRF that a program wrote."""
        found: set[str] = set()
        for family in ("-4", "-6"):
            shown = self.leaves[leaf].run("ip", "-j", family, "route", "show", "table", str(TABLE), "proto", protocol)
            routes: list[dict[str, Any]] = json.loads(shown or "[]")
            found |= {route["dst"] for route in routes}
        return found


_FRR_VRF: Final = """exit
router bgp 65000 vrf blue
bgp router-id 10.0.0.2
address-family ipv4 unicast
redistribute connected
exit-address-family
address-family ipv6 unicast
redistribute connected
exit-address-family
address-family l2vpn evpn
advertise ipv4 unicast
advertise ipv6 unicast
exit-address-family
"""


def add_vrf(node: Node, number: int, *, l3vni: bool = True) -> None:
    """Make the VRF with the SVI and the VXLAN device of its L3VNI, and let the leaf forward."""
    try:
        node.ip(f"link add name blue type vrf table {TABLE}")
    except CommandFailed:
        raise Missing("this kernel has no VRF devices") from None
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        node.run("sh", "-c", f"echo 1 > /proc/sys/net/{name}")
    for name in ("all", "default"):
        node.run("sh", "-c", f"echo 0 > /proc/sys/net/ipv4/conf/{name}/rp_filter")
    node.ip("link set dev blue up")
    if not l3vni:
        return
    add_bridge(node, f"br{L3VNI}", f"02:00:00:00:ff:{number:02}")
    node.ip(f"link set dev br{L3VNI} addrgenmode none", f"link set dev br{L3VNI} up")
    add_vxlan(node, L3VNI, address(number))


def add_segment(node: Node, number: int, local: str) -> None:
    """Make a segment: VNI, bridge with the anycast gateway, VXLAN device."""
    add_bridge(node, f"br{number}", GATEWAY_MAC)
    node.run("sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/br{number}/accept_dad")
    node.ip(
        f"link set dev br{number} up",
        f"addr add 10.1.{number}.1/24 dev br{number}",
        f"addr add 2001:db8:{number}::1/64 dev br{number} nodad",
    )
    add_vxlan(node, number, local)
    node.run("bridge", "link", "set", "dev", f"vx{number}", "neigh_suppress", "on")


def add_bridge(node: Node, name: str, mac: str) -> None:
    node.ip(
        f"link add name {name} type bridge vlan_default_pvid 0",
        f"link set dev {name} address {mac}",
        f"link set dev {name} master blue",
    )


def add_vxlan(node: Node, vni: int, local: str) -> None:
    node.ip(
        f"link add name vx{vni} type vxlan id {vni} local {local} dstport 4789 nolearning",
        f"link set dev vx{vni} addrgenmode none master br{vni} up",
    )
    node.run("bridge", "link", "set", "dev", f"vx{vni}", "learning", "off")
