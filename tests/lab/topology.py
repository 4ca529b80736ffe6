"""The standard network of tests and demo: one leaf, its remotes, and a station behind each.

        station 99                                              station 1           station 2
        172.16.0.99                                             172.16.0.1          172.16.0.2
        02:00:00:00:00:99                                       02:00:00:00:00:01   02:00:00:00:00:02
            │ br100+vxlan100                    br100+vxlan100 │                  │ br100+vxlan100
          leaf 10.0.0.99 ──────── underlay ──────── remote1 10.0.0.1     remote2 10.0.0.2

The underlay is one bridge in a node of its own; VTEP addresses are on the nodes' ports to it (a kernel need not have
dummy devices). IPv6 is there too: fd00::99 and so on below, 2001:db8::99 and so on above. Nothing here knows which BGP
program runs where.
"""

import socket
from typing import Final

from tests.lab import overlay
from tests.lab.namespaces import Lab, Node
from tests.lab.probe import loopback_frame

VNI: Final = 100
BRIDGE: Final = "br100"
VXLAN: Final = "vxlan100"
LEAF: Final = 99
MTU_STATION: Final = 1430
"""Leaves room for VXLAN over IPv6 in 1500."""
MTU_UNDERLAY: Final = 1600
"""Has room for VXLAN over IPv6 around the 1500 of a VXLAN device."""


class Station:
    """A machine in the VNI: one MAC, one IPv4 and one IPv6 address, and a wire that can be plugged in elsewhere."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.number = number
        self.node = lab.node(f"station{number}")
        self.mac = f"02:00:00:00:00:{number:02}"
        self.ip = f"172.16.0.{number}"
        self.ip6 = f"2001:db8::{number}"
        self.port = f"port{number}"
        """The name of the bridge port that it is plugged into."""
        self._known: list[Station] = []

    def plug(self, vtep: Node, bridge: str = BRIDGE) -> None:
        """Join the bridge of a VTEP. The station is quiet: its MAC is learnt only when it speaks."""
        vtep.ip(
            f"link add name {self.port} type veth peer name eth0 netns {self.node.pid}",
            f"link set dev {self.port} master {bridge} up",
        )
        self.node.ip(
            f"link set dev eth0 address {self.mac} mtu {MTU_STATION} up",
            f"addr add {self.ip}/24 dev eth0",
            f"addr add {self.ip6}/64 dev eth0 nodad",
            *(line for other in self._known for line in _neighbor_rows(other)),
        )

    def speak(self, *macs: str) -> None:
        """Send a frame from each of these MACs, as machines behind the same port would."""
        with self.node.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            for mac in macs or (self.mac,):
                raw.send(loopback_frame(mac))

    def unplug(self) -> None:
        self.node.ip("link del dev eth0")

    def know(self, other: "Station") -> None:
        """Have fixed neighbor rows for the other, which need no broadcast and outlive a move."""
        self._known.append(other)
        self.node.ip(*_neighbor_rows(other))


class Topology:
    """The network as drawn above, up and without a single remote row."""

    def __init__(self, lab: Lab, remotes: int = 1) -> None:
        self.lab = lab
        self.underlay = switch(lab)
        self.leaf = self.vtep("leaf", LEAF)
        self.remotes = [self.vtep(f"remote{number}", number) for number in range(1, remotes + 1)]
        self.leaf_station = self.station(LEAF, self.leaf)
        self.stations = [self.station(number, remote) for number, remote in enumerate(self.remotes, 1)]

    @property
    def remote(self) -> Node:
        return self.remotes[0]

    @property
    def remote_station(self) -> Station:
        return self.stations[0]

    def vtep(self, name: str, number: int) -> Node:
        """Add a node to the underlay, with the VNI on it."""
        node = join(self.lab, self.underlay, name, number)
        overlay.bridge_vxlan(node, VNI, BRIDGE, VXLAN, address(number))
        return node

    def station(self, number: int, vtep: Node) -> Station:
        """Add a station behind a VTEP."""
        station = Station(self.lab, number)
        station.plug(vtep)
        return station


def switch(lab: Lab) -> Node:
    """Make the node that is the underlay."""
    node = lab.node("underlay")
    node.ip("link add name sw0 type bridge", "link set dev sw0 up")
    return node


def join(lab: Lab, underlay: Node, name: str, number: int) -> Node:
    """Add a node to the underlay, without a VNI."""
    node = lab.node(name)
    underlay.ip(
        f"link add name to-{name} mtu {MTU_UNDERLAY} type veth peer name underlay mtu {MTU_UNDERLAY} netns {node.pid}",
        f"link set dev to-{name} master sw0 up",
    )
    node.ip(
        f"addr add {address(number)}/24 dev underlay",
        f"addr add {address6(number)}/64 dev underlay nodad",
        "link set dev underlay up",
    )
    return node


def address(number: int) -> str:
    """Return the VTEP address of the leaf (99) or a remote (1, 2, ...)."""
    return f"10.0.0.{number}"


def address6(number: int) -> str:
    return f"fd00::{number}"


def introduce(one: Station, other: Station) -> None:
    """Give both stations neighbor rows for each other, for as long as nothing floods their questions."""
    one.know(other)
    other.know(one)


def _neighbor_rows(other: Station) -> list[str]:
    return [f"neigh replace {address_} lladdr {other.mac} dev eth0 nud permanent" for address_ in (other.ip, other.ip6)]
