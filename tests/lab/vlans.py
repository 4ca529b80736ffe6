"""Two leaves with a VLAN-aware bridge each, and stations in two VLANs: ours and FRR, which are each other's only peer.

        station 11  VLAN 10 ─┐                                              ┌─ VLAN 10  station 21
        station 12  VLAN 20 ─┴─ leaf1 10.0.0.1 ══ underlay ══ leaf2 10.0.0.2 ─┴─ VLAN 20  station 22
                    (tagged)    ExaBGP, relay, daemon   iBGP     bgpd, zebra       (untagged)

VLAN 10 is VNI 1010 and VLAN 20 is VNI 1020. The two VLANs share one subnet, and stations 21 and 22 even share a MAC: so whatever
mixes the VLANs shows. A leaf has a VXLAN device for each VNI (`alone`) or one for both (`shared`). Judges nothing.
"""

import signal
from collections.abc import Mapping
from typing import Final, Literal

from tests.lab import overlay, probe
from tests.lab.namespaces import CommandFailed, Lab, Missing, Node
from tests.lab.peers import ExaBgp, Frr, frr_config
from tests.lab.topology import address, join, switch
from tests.lab.vtep import Vtep
from vtep.config.file import parse
from vtep.feed.exabgp.config import render

Way = Literal["alone", "shared", "second"]
"""How the VNIs have VXLAN devices: one each, the shared one, or another shared one."""

VLANS: Final = {10: 1010, 20: 1020}
TWIN: Final = "02:00:00:00:02:ff"
"""The MAC of both stations behind the second leaf."""


class VlanStation:
    """A machine in one VLAN; `tagged` if the port is a trunk, where the machine itself sends the VLAN."""

    def __init__(self, lab: Lab, number: int, leaf: Node, vlan: int, mac: str = "", *, tagged: bool = False) -> None:
        self.node = lab.node(f"station{number}")
        self.mac = mac or f"02:00:00:00:00:{number:02}"
        self.ip = f"172.16.0.{number}"
        self.port = f"port{number}"
        leaf.ip(
            f"link add name {self.port} type veth peer name eth0 netns {self.node.pid}",
            f"link set dev {self.port} master br0 up",
        )
        bridge(
            leaf,
            f"vlan del dev {self.port} vid 1",
            f"vlan add dev {self.port} vid {vlan}" + " pvid untagged" * (not tagged),
        )
        device = f"eth0.{vlan}" if tagged else "eth0"
        self.node.ip(
            f"link set dev eth0 address {self.mac} mtu 1430 up",
            *((f"link add link eth0 name {device} up type vlan id {vlan}",) if tagged else ()),
            f"addr add {self.ip}/24 dev {device}",
        )

    def reaches(self, other: "VlanStation") -> bool:
        """Ping the other for up to a second, with whatever neighbor row there is."""
        return probe.ping(self.node, other.ip, 1.0) is not None

    def forget_neighbors(self) -> None:
        self.node.ip("neigh flush all")


class OurVlanLeaf:
    """The product."""

    def __init__(self, node: Node, number: int, peer: str, way: Way) -> None:
        self.node, self.way = node, way
        self._number, self._peer = number, peer
        text = self.config(dict.fromkeys(VLANS, way))
        self.vtep = Vtep(node, text)
        self.exabgp = ExaBgp(node, render(parse(text)), announces=True)

    def start(self) -> None:
        self.vtep.start()
        self.exabgp.start()

    def reload(self, ways: Mapping[int, Way]) -> None:
        """Have the VNI of each VLAN use another VXLAN device."""
        self.vtep.configure(self.config(ways))
        assert self.vtep.process is not None
        self.vtep.process.signal(signal.SIGHUP)

    def config(self, ways: Mapping[int, Way]) -> str:
        head = f"""
[node]
vtep = "{address(self._number)}"
[bgp]
asn = 65000
router_id = "{address(self._number)}"
[[bgp.neighbor]]
address = "{self._peer}"
asn = 65000
[feed]
peers = ["{self._peer}"]
"""
        return head + "".join(
            f"""
[[vni]]
vni = {vni}
bridge = "br0"
vxlan = "{vxlan_of(ways[vlan], vlan)}"
vlan = {vlan}
import_rt = ["65000:{vni}"]
"""
            for vlan, vni in VLANS.items()
        )


class VlanLeaves:
    """The network as drawn, not yet started."""

    def __init__(self, lab: Lab, ours: Way, frr: Way = "alone") -> None:
        underlay = switch(lab)
        self.leaves = [join(lab, underlay, f"leaf{number}", number) for number in (1, 2)]
        for number, (node, way) in enumerate(zip(self.leaves, (ours, frr), strict=True), 1):
            add_devices(node, address(number), way)
        self.ours = OurVlanLeaf(self.leaves[0], 1, address(2), ours)
        at_once = f"neighbor {address(1)} advertisement-interval 0\nneighbor {address(1)} timers connect 1\n"
        self.frr = Frr(self.leaves[1], frr_config(address(2), [address(1)]) + "exit\nrouter bgp 65000\n" + at_once)
        self.here = [VlanStation(lab, 11, self.leaves[0], 10), VlanStation(lab, 12, self.leaves[0], 20, tagged=True)]
        self.there = [VlanStation(lab, number, self.leaves[1], vlan, TWIN) for number, vlan in ((21, 10), (22, 20))]

    def start(self) -> None:
        self.frr.start()
        self.ours.start()

    def rows(self, *devices: str) -> set[tuple[str, str, int]]:
        """Return (device, MAC, VLAN or VNI) of every row of our leaf that is marked as ours, flood rows included."""
        return {
            (device, row["mac"], row.get("vlan") or row.get("src_vni") or 0)
            for device in devices or {vxlan_of(self.ours.way, vlan) for vlan in VLANS}
            for row in overlay.fdb(self.ours.node, device)
            if "extern_learn" in row.get("flags", ())
        }


def vxlan_of(way: Way, vlan: int) -> str:
    return {"alone": f"vx{vlan}", "shared": "vxlan0", "second": "vxlan1"}[way]


def add_devices(node: Node, local: str, way: Way) -> None:
    """Make the bridge, the VLANs' own devices and the VXLAN devices, as on a host whose bridges have the default VLAN 1."""
    try:
        node.ip("link add name br0 type bridge vlan_filtering 1")
    except CommandFailed:
        raise Missing("this kernel has no VLAN filtering") from None
    node.ip(
        "link set dev br0 addrgenmode none up",
        *(f"link add link br0 name br0.{vlan} type vlan id {vlan}" for vlan in VLANS),
        *(f"link set dev br0.{vlan} addrgenmode none up" for vlan in VLANS),
    )
    bridge(node, *(f"vlan add dev br0 vid {vlan} self" for vlan in VLANS))
    if way == "shared":
        add_shared_vxlan(node, local)
        for vlan, vni in VLANS.items():
            map_vni(node, vlan, vni)
        return
    for vlan, vni in VLANS.items():
        add_vxlan(node, f"vx{vlan}", f"id {vni} local {local}")
        bridge(node, f"vlan add dev vx{vlan} vid {vlan} pvid untagged")


def add_shared_vxlan(node: Node, local: str, *, name: str = "vxlan0", udp_port: int = 4789, up: bool = True) -> None:
    # Without a checksum, one who changes the UDP port of what it sends leaves no wrong one.
    checksum = "" if udp_port == 4789 else " noudpcsum"
    add_vxlan(node, name, f"external vnifilter local {local}{checksum}", udp_port=udp_port, up=up)
    bridge(node, f"link set dev {name} vlan_tunnel on")


def add_vxlan(node: Node, name: str, what: str, *, udp_port: int = 4789, up: bool = True) -> None:
    node.ip(
        f"link add name {name} type vxlan {what} dstport {udp_port} nolearning",
        f"link set dev {name} addrgenmode none master br0 {'up' if up else 'down'}",
    )
    bridge(node, f"link set dev {name} learning off neigh_suppress on", f"vlan del dev {name} vid 1")


def map_vni(node: Node, vlan: int, vni: int, device: str = "vxlan0") -> None:
    """Give a shared device a VLAN and its VNI."""
    bridge(
        node,
        f"vlan add dev {device} vid {vlan}",
        f"vlan add dev {device} vid {vlan} tunnel_info id {vni}",
        f"vni add dev {device} vni {vni}",
    )


def bridge(node: Node, *commands: str) -> None:
    """Run `bridge` commands (each without the word bridge); the first that fails ends them."""
    for command in commands:
        node.run("bridge", *command.split())
