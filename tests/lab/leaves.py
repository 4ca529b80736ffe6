"""Two leaves behind a route reflector, two stations at each: an overlay in which nobody but the leaves announces.

        station 11 ─┐                                                      ┌─ station 21
        station 12 ─┴─ leaf1 10.0.0.1 ═══════ underlay ═══════ leaf2 10.0.0.2 ─┴─ station 22
              ╎                 └─iBGP─ reflector 10.0.0.100 ─iBGP─┘
              └╌╌╌ patch panel ╌╌╌ the wire of station 12 can be put into leaf2 instead

A leaf is ours (`vtep exabgp` and `vtep run`, configured as an operator would) or FRR (bgpd and zebra), the reflector is FRR
or GoBGP. Knows what its leaves' kernels say, and what the reflector says of each route. Judges nothing.
"""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from typing import Final, Literal, NamedTuple

from tests.lab import overlay, probe
from tests.lab.fabric import KEEPS_FORWARDING
from tests.lab.namespaces import Lab, Node
from tests.lab.peers import EXABGP, ExaBgp, Frr, GoBgp, frr_config, gobgp_config
from tests.lab.topology import BRIDGE, VNI, VXLAN, Station, address, join, switch
from tests.lab.vtep import VNI_SECTION, Vtep
from tests.lab.wait import PATIENCE, wait_until
from vtep.config.file import parse
from vtep.feed.exabgp.config import render

REFLECTOR: Final = 100
MOVER: Final = 12

Maker = Literal["vtep", "frr"]
Reflecting = Literal["frr", "gobgp"]


class OurLeaf:
    """ExaBGP as `vtep exabgp` starts it, with the configuration that `vtep exabgp-config` prints, and the daemon."""

    def __init__(
        self, node: Node, number: int, *, exabgp: Path = EXABGP, more: str = "", vnis: str = VNI_SECTION
    ) -> None:
        self.node = node
        self.address = address(number)
        self._more, self._vnis = more, vnis
        self.vtep = Vtep(node, self.config())
        self.exabgp = ExaBgp(node, render(parse(self.config())), executable=exabgp, announces=True)

    def start(self) -> None:
        self.vtep.start()
        self.exabgp.start()

    def config(self, on_stop: str = "keep") -> str:
        return f"""
[node]
vtep = "{self.address}"
on_stop = "{on_stop}"
[bgp]
asn = 65000
router_id = "{self.address}"
[[bgp.neighbor]]
address = "{address(REFLECTOR)}"
asn = 65000
[feed]
peers = ["{address(REFLECTOR)}"]
{self._more}
{self._vnis}
"""

    def rows(self) -> set[tuple[str, str]]:
        """Return (MAC, VTEP) of its rows, flood rows included."""
        return overlay.tunnels(self.node, VXLAN)


class FrrLeaf:
    """FRR that announces its VNI."""

    def __init__(self, node: Node, number: int) -> None:
        self.node = node
        self.address = address(number)
        self.frr = Frr(node, _frr_config(number, [address(REFLECTOR)]))

    def start(self) -> None:
        self.frr.start()

    def rows(self) -> set[tuple[str, str]]:
        """Return (MAC, VTEP) of its rows, flood rows included.

        The tunnel's half that FRR 8.4 leaves behind when a MAC has moved here sends nothing: the bridge has its own half.
        """
        halves = {row["mac"] for row in overlay.fdb(self.node, VXLAN) if "master" in row} | {overlay.FLOOD_MAC}
        return {(mac, vtep) for mac, vtep in overlay.tunnels(self.node, VXLAN) if mac in halves}


class Reflected(NamedTuple):
    """What FRR's table says of a Type-2 route."""

    rd: str
    ip: str
    next_hop: str
    sequence: int
    sticky: bool


class FrrReflector:
    """FRR as a route reflector for both leaves."""

    def __init__(self, node: Node, clients: Sequence[str]) -> None:
        reflects = "\n".join(f"neighbor {client} route-reflector-client" for client in clients)
        at_once = "".join(f"neighbor {client} advertisement-interval 0\n" for client in clients)
        self.frr = Frr(node, _frr_config(REFLECTOR, clients, reflects) + at_once)

    def start(self) -> None:
        self.frr.start()

    def updates_heard(self, client: str) -> int:
        """Return how many UPDATE messages came from a client in this session."""
        heard: int = self.frr.session(client)["messageStats"]["updatesRecv"]
        return heard

    def routes(self, mac: str) -> list[Reflected]:
        """Return the Type-2 routes of a MAC."""
        return [route for prefix, route in self._all() if prefix == mac]

    def macs(self) -> set[tuple[str, str]]:
        """Return (MAC, VTEP) of every Type-2 route."""
        return {(mac, route.next_hop) for mac, route in self._all()}

    def _all(self) -> Iterable[tuple[str, Reflected]]:
        rd = mac = ip = next_hop = ""
        for line in self.frr.vtysh("show bgp l2vpn evpn route type macip").splitlines():
            if found := re.match(r"Route Distinguisher: (\S+)", line):
                rd = found[1]
            elif found := re.match(r".{0,4}\[2\]:\[\d+\]:\[48\]:\[([0-9a-f:]{17})\](?::\[\d+\]:\[([^\]]+)\])?", line):
                mac, ip = found[1], found[2] or ""
                next_hop = ""
            elif not next_hop and (found := re.match(r"\s+(\d+\.\d+\.\d+\.\d+)", line)):
                next_hop = found[1]
            elif "RT:" in line:
                mobility = re.search(r"MM:(\d+)(, sticky)?", line)
                yield (
                    mac,
                    Reflected(rd, ip, next_hop, int(mobility[1]) if mobility else 0, bool(mobility and mobility[2])),
                )


class GoBgpReflector:
    """GoBGP as a route reflector for both leaves."""

    def __init__(self, node: Node, clients: Sequence[str]) -> None:
        self.gobgp = GoBgp(node, gobgp_config(address(REFLECTOR), clients, reflects=True))

    def start(self) -> None:
        self.gobgp.start()

    def routes(self) -> list[str]:
        return [line for line in self.gobgp.command("global", "rib", "-a", "evpn").splitlines() if "[type:" in line]


class PatchPanel:
    """Where the wire of one station ends: at one of several VTEPs, and none of them sees a link go down."""

    def __init__(self, lab: Lab, station: Station, vteps: Sequence[Node]) -> None:
        self._node = lab.node(f"patch{station.number}")
        # The panel itself says nothing: no IPv6, and no joining of groups, which snooping would do.
        self._node.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
        self._node.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
        self._node.ip("link add name panel type bridge mcast_snooping 0", "link set dev panel up")
        for number, vtep in enumerate(vteps, 1):
            self._node.ip(
                f"link add name to{number} type veth peer name {station.port} netns {vtep.pid}",
                f"link set dev to{number} up",
            )
            vtep.ip(f"link set dev {station.port} master {BRIDGE} up")
        self._at = 1
        station.plug(self._node, "panel")
        self._node.ip("link set dev to1 master panel")

    def put(self, number: int) -> None:
        """Put the wire into the VTEP of this number, counted from 1."""
        self._node.ip(f"link set dev to{self._at} nomaster", f"link set dev to{number} master panel")
        self._at = number


class Leaves:
    """The network as drawn, not yet started."""

    def __init__(
        self,
        lab: Lab,
        makers: tuple[Maker, Maker] = ("vtep", "vtep"),
        *,
        reflector: Reflecting = "frr",
        exabgp: Path = EXABGP,
        more: str = "",
        vnis: str = VNI_SECTION,
    ) -> None:
        self.lab = lab
        self.underlay = switch(lab)
        nodes = [join(lab, self.underlay, f"leaf{number}", number) for number in (1, 2)]
        for number, (node, maker) in enumerate(zip(nodes, makers, strict=True), 1):
            overlay.bridge_vxlan(node, VNI, BRIDGE, VXLAN, address(number))
            if maker == "frr":
                # With a default VLAN the kernel keeps two rows for each MAC, and moves between FRR 8.4 leaves do not end (6.12, 7.2).
                node.ip(f"link set dev {BRIDGE} type bridge vlan_default_pvid 0")
        self.leaves = [
            OurLeaf(node, number, exabgp=exabgp, more=more, vnis=vnis) if maker == "vtep" else FrrLeaf(node, number)
            for number, (node, maker) in enumerate(zip(nodes, makers, strict=True), 1)
        ]
        self.stations = {number: Station(lab, number) for number in (11, 12, 21, 22)}
        for number, leaf in ((11, 1), (21, 2), (22, 2)):
            self.stations[number].plug(nodes[leaf - 1])
        self.panel = PatchPanel(lab, self.mover, nodes)
        node = join(lab, self.underlay, "reflector", REFLECTOR)
        clients = [leaf.address for leaf in self.leaves]
        self.reflector = FrrReflector(node, clients) if reflector == "frr" else GoBgpReflector(node, clients)

    @property
    def mover(self) -> Station:
        """The one station whose wire can be put elsewhere."""
        return self.stations[MOVER]

    def start(self) -> None:
        """Start the reflector, and when it listens both leaves."""
        self.reflector.start()
        for leaf in self.leaves:
            leaf.start()

    def move(self, number: int) -> None:
        """Put the mover's wire into the other leaf, where it tells of itself as a machine does that was moved."""
        self.panel.put(number)
        self.mover.speak()

    # What the kernels say

    def wait_tables(self, *, leaf1: Iterable[str], leaf2: Iterable[str], deadline_s: float = 30.0) -> None:
        """Wait until each leaf has exactly the MACs of the other, and floods to it."""
        wanted = [
            {(mac, self.leaves[1 - at].address) for mac in (*macs, overlay.FLOOD_MAC)}
            for at, macs in enumerate((leaf2, leaf1))
        ]
        wait_until(lambda: self._equal(wanted), deadline_s, "the rows of both leaves")

    def home(self, number: int) -> dict[str, set[str]]:
        """Say for `wait_tables` where the stations are while the mover is at this leaf."""
        mover = self.macs(MOVER)
        return {
            "leaf1": self.macs(11) | (mover if number == 1 else set()),
            "leaf2": self.macs(21, 22) | (mover if number == 2 else set()),
        }

    def _equal(self, wanted: list[set[tuple[str, str]]]) -> bool:
        tables = [leaf.rows() for leaf in self.leaves]
        if tables != wanted:
            raise AssertionError(
                [
                    (f"without {sorted(rows - there)[:5]}", f"but with {sorted(there - rows)[:5]}")
                    for there, rows in zip(tables, wanted, strict=True)
                ]
            )
        return True

    def macs(self, *numbers: int) -> set[str]:
        return {self.stations[number].mac for number in numbers}

    # Traffic

    def forget_neighbors(self) -> None:
        for station in self.stations.values():
            station.node.run("ip", "neigh", "flush", "dev", "eth0")

    def unreached(self, deadline_s: float) -> list[tuple[int, int]]:
        """Have every station ping every other one, all at once, and return those pairs that had no answer in time."""
        pairs = list(permutations(self.stations, 2))

        def reached(pair: tuple[int, int]) -> bool:
            here, there = (self.stations[number] for number in pair)
            return probe.ping(here.node, there.ip, deadline_s * PATIENCE) is not None

        with ThreadPoolExecutor(len(pairs)) as threads:
            return [pair for pair, answered in zip(pairs, threads.map(reached, pairs), strict=True) if not answered]


def _frr_config(number: int, neighbors: Sequence[str], evpn: str = "") -> str:
    # bgpd would gather updates of a new session for a second, and after a loss wait two minutes before it dials again.
    timers = "".join(f"neighbor {neighbor} timers connect 1\n" for neighbor in neighbors)
    config = frr_config(address(number), neighbors, more=evpn)
    return f"{config}router bgp 65000\ncoalesce-time 50\n{timers}{KEEPS_FORWARDING}"
