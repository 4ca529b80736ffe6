"""A leaf with one VRF on either world: routes in, and what the kernel's tables hold afterwards.

In a namespace the VRF is a device where the kernel has such devices, and a routing table alone where it has none.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from tests.contract.worlds import bridge, ip, own_namespace
from vtep.addr import Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from vtep.config.file import parse
from vtep.evpn import ead, mac_ip, prefix
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import Announced, EndOfRib, Received, SessionOpened, Withdrawn
from vtep.linux.kernel import Kernel
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.linux.wire.route import RouteEntry
from vtep.projection.leaf import Leaf
from vtep.reconcile.claims import Claims
from vtep.reconcile.engine import Engine, Report, Scope
from vtep.reconcile.steps import run_to_end

TABLE = 4001
TARGET = RouteTarget.parse("65000:4001")
PEER = Ip.parse("10.0.0.200")
CONFIG = """
[node]
vtep = "10.0.0.1"
[feed]
initial_hold_s = 1000000
[[vrf]]
name = "blue"
vni = 4001
vxlan = "vx4001"
svi = "br4001"
import_rt = ["65000:4001"]
max_paths = 4
"""


VLAN = 40
ON_A_VLAN = CONFIG.replace(
    'vxlan = "vx4001"\nsvi = "br4001"', f'bridge = "br0"\nvxlan = "vx0"\nvlan = {VLAN}\nsvi = "br0.{VLAN}"'
)


def has_vrf_devices() -> bool:
    return subprocess.run(["ip", "link", "add", "x", "type", "vrf", "table", "9"], capture_output=True).returncode == 0


class MemoryHands:
    """The kernel in memory, and what others do to it."""

    config = CONFIG

    def __init__(self) -> None:
        self.kernel = MemoryKernel()
        for vrf in parse(CONFIG).vrfs:
            self.kernel.add_devices_of_vrf(vrf)
        self.has_vrf = True

    def set_up(self, name: str, up: bool) -> None:
        self.kernel.set_up(name, up)

    def lose_carrier(self, up: bool) -> None:
        self.kernel.set_up("vx4001", up)
        self.kernel.set_carrier("br4001", up)

    def set_mac(self, mac: Mac) -> None:
        self.kernel.set_mac("br4001", mac)

    def leave_and_enter_vrf(self) -> None:
        self.kernel.join_vrf("br4001", None)
        self.kernel.join_vrf("br4001", "blue")

    def delete_nexthop(self, number: int) -> None:
        self.kernel.routing.drop_nexthop(number)

    def add_route(self, text: str, metric: int, protocol: int = 4) -> None:
        self.kernel.routing.add_foreign(RouteEntry(TABLE, Prefix.parse(text), protocol, metric))

    def others(self) -> list[str]:
        routes = self.kernel.routing._routes.values()
        return sorted(f"{route.prefix} metric {route.metric}" for route in routes if route.protocol == 4)


class NamespaceHands:
    """The kernel of this thread's namespace."""

    def __init__(self) -> None:
        self.has_vrf = has_vrf_devices()
        self.config = CONFIG if self.has_vrf else CONFIG + f"table = {TABLE}\n"
        ip(
            "link set lo up",
            *((f"link add blue type vrf table {TABLE}", "link set blue up") if self.has_vrf else ()),
            "link add br4001 address 02:00:00:00:ff:01 type bridge vlan_default_pvid 0"
            if self.has_vrf
            else "link add br4001 address 02:00:00:00:ff:01 type bridge",
            "link add vx4001 type vxlan id 4001 local 10.0.0.1 dstport 4789 nolearning",
            "link set vx4001 master br4001",
            "link set vx4001 type bridge_slave learning off",
            "link set br4001 addrgenmode none",
            "link set vx4001 addrgenmode none",
            *(("link set br4001 master blue",) if self.has_vrf else ()),
            "link set vx4001 up",
            "link set br4001 up",
        )
        self.kernel = Kernel()

    def set_up(self, name: str, up: bool) -> None:
        ip(f"link set {name} {'up' if up else 'down'}")

    def lose_carrier(self, up: bool) -> None:
        ip(f"link set vx4001 {'up' if up else 'down'}")

    def set_mac(self, mac: Mac) -> None:
        ip(f"link set br4001 address {mac}")

    def leave_and_enter_vrf(self) -> None:
        ip("link set br4001 nomaster", "link set br4001 master blue")

    def delete_nexthop(self, number: int) -> None:
        ip(f"nexthop del id {number}")

    def add_route(self, text: str, metric: int, protocol: int = 4) -> None:
        family = "-6" if ":" in text else "-4"
        subprocess.run(
            [
                "ip",
                family,
                "route",
                "replace",
                text,
                "dev",
                "br4001",
                "table",
                str(TABLE),
                "metric",
                str(metric),
                "proto",
                str(protocol),
            ],
            check=True,
        )

    def others(self) -> list[str]:
        found = []
        for family in ("-4", "-6"):
            command = ["ip", "-j", family, "route", "show", "table", str(TABLE), "proto", "static"]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found += [f"{Prefix.parse(route['dst'])} metric {route['metric']}" for route in json.loads(said or "[]")]
        return sorted(found)


RED = """
[[vrf]]
name = "red"
vni = 4002
vxlan = "vx4002"
svi = "br4002"
import_rt = ["65000:4002"]
"""


class TwoInMemory(MemoryHands):
    """The VRF `blue`, which imports the routes of the VRF `red` as well."""

    config = CONFIG + RED

    def __init__(self, _way: str) -> None:
        super().__init__()
        self.kernel.add_devices_of_vrf(parse(self.config).vrfs[1])


class TwoInNamespace(NamespaceHands):
    """The same in the kernel of this thread's namespace."""

    def __init__(self, _way: str) -> None:
        super().__init__()
        self.config += RED if self.has_vrf else f"{RED}table = 4002\n"
        ip(
            *(("link add red type vrf table 4002", "link set red up") if self.has_vrf else ()),
            "link add br4002 address 02:00:00:00:fe:01 type bridge",
            "link add vx4002 type vxlan id 4002 local 10.0.0.1 dstport 4789 nolearning",
            *("link set vx4002 master br4002", "link set vx4002 type bridge_slave learning off"),
            *("link set br4002 addrgenmode none", "link set vx4002 addrgenmode none"),
            *(("link set br4002 master red",) if self.has_vrf else ()),
            *("link set vx4002 up", "link set br4002 up"),
            # A second port: a bridge without carrier loses its nexthops a moment later, whoever looks meanwhile.
            *("link add port4002 type veth peer name peer4002", "link set port4002 master br4002"),
            *("link set port4002 addrgenmode none", "link set peer4002 addrgenmode none"),
            *("link set port4002 up", "link set peer4002 up"),
        )


class VlanInMemory(MemoryHands):
    """The L3VNI is a VLAN of a bridge that filters VLANs."""

    config = ON_A_VLAN

    def __init__(self, way: str) -> None:
        self.kernel = MemoryKernel()
        [vrf] = parse(ON_A_VLAN).vrfs
        self.kernel.add_devices_of(replace(vrf.tunnel, shares_vxlan=way == "shared"))
        self.kernel.add_vrf("blue", TABLE)
        self.kernel.join_vrf(vrf.svi, "blue")
        self.has_vrf = True


class VlanInNamespace(NamespaceHands):
    """The same in the kernel of this thread's namespace."""

    def __init__(self, way: str) -> None:
        self.has_vrf = has_vrf_devices()
        self.config = ON_A_VLAN if self.has_vrf else ON_A_VLAN + f"table = {TABLE}\n"
        shared = way == "shared"
        ip(
            "link set lo up",
            *((f"link add blue type vrf table {TABLE}", "link set blue up") if self.has_vrf else ()),
            "link add br0 type bridge vlan_filtering 1 vlan_default_pvid 0",
            f"link add vx0 type vxlan {'external vnifilter' if shared else 'id 4001'} local 10.0.0.1 dstport 4789 nolearning",
            *(f"link set {name} addrgenmode none" for name in ("br0", "vx0")),
            "link set vx0 master br0",
            "link set vx0 type bridge_slave learning off",
            *("link set vx0 up", "link set br0 up"),
            f"link add br0.{VLAN} link br0 address 02:00:00:00:ff:01 type vlan id {VLAN}",
            f"link set br0.{VLAN} addrgenmode none",
            *((f"link set br0.{VLAN} master blue",) if self.has_vrf else ()),
            f"link set br0.{VLAN} up",
        )
        mapped = ("link set dev vx0 vlan_tunnel on", f"vlan add dev vx0 vid {VLAN}")
        mapped += (f"vlan add dev vx0 vid {VLAN} tunnel_info id 4001", "vni add dev vx0 vni 4001")
        alone = (f"vlan add dev vx0 vid {VLAN} pvid untagged",)
        bridge(f"vlan add dev br0 vid {VLAN} self", *(mapped if shared else alone))
        self.kernel = Kernel()


class RoutedLeaf:
    """A leaf with the VRF `blue`, driven step by step."""

    def __init__(self, hands, *, bulk: bool = True) -> None:
        self.hands = hands
        self.config = parse(hands.config)
        self.leaf = Leaf(self.config, 0.0)
        self.target = KernelTarget(hands.kernel, (), vrfs=self.config.vrfs)
        self.claims = Claims(KINDS)
        self.engine = Engine(KINDS, self.target, self.claims, bulk=bulk)
        self.now = 0.0
        self._receive(SessionOpened(PEER), EndOfRib(PEER))
        self._routes: dict[bytes, object] = {}

    def _receive(self, *events) -> None:
        self.leaf.receive([Received(events, peer=PEER)], self.now)

    def advertise(self, *routes) -> None:
        self._receive(Announced(PEER, dict(routes)))

    def withdraw(self, *routes) -> None:
        self._receive(Withdrawn(PEER, tuple(key for key, _ in routes)))

    def pass_(self, *, survey: bool = False) -> Report:
        """Let the daemon see the events and make a pass, as the actor would."""
        self.now += 10.0
        hints = self.hands.kernel.drain()
        if hints.links_changed:
            self.engine.suspect_attachments()
        survey |= hints.overrun or self.target.holds(hints.bounced) or not self.engine.surveyed
        intent = self.leaf.judge(self.now)
        touched = {kind.name: kind.touched(intent) for kind in KINDS}
        return run_to_end(self.engine.run(intent, self.now, Scope(survey=survey, touched=touched)))

    def routes(self) -> list[str]:
        """Return our routes with the VTEPs that they lead to."""
        nexthops = {found.id: found for found in self.hands.kernel.nexthops()}
        lines = []
        for route in self.hands.kernel.routes([TABLE]):
            first = nexthops[route.nexthop]
            singles = [nexthops[member] for member in first.members] or [first]
            vteps = sorted(str(found.vtep) for found in singles)
            lines.append(f"{route.prefix} via {' '.join(vteps)}")
        return sorted(lines)

    def routers(self) -> list[str]:
        """Return the neighbor rows of the SVI and the FDB rows of router MACs, as far as they are ours."""
        links = self.hands.kernel.links().by_name
        rows = self.hands.kernel.neighbors([links[self.config.vrfs[0].svi].index])
        neighbors = {f"{row.ip} is {row.mac}" for row in rows if row.protocol == 229}
        halves = self.hands.kernel.rows([links[self.config.vrfs[0].bridge].index])
        return sorted(neighbors | {f"{row.mac} at {row.dst}" for row in halves if row.dst is not None})

    def troubles(self) -> list[tuple[str, str]]:
        return sorted(
            (f"{kind} {key[1]}", f"{found.state} {found.reason}") for (kind, key), found in self.engine.troubles.items()
        )


@contextmanager
def routed_leaf(world: str, way: str = "plain") -> Iterator[RoutedLeaf]:
    """In the way `two` there is another VRF. In others than `plain` the L3VNI is a VLAN of a bridge, with a VXLAN device alone or shared."""
    if world == "memory":
        yield RoutedLeaf(MemoryHands() if way == "plain" else (TwoInMemory if way == "two" else VlanInMemory)(way))
        return
    with own_namespace():
        others = TwoInNamespace if way == "two" else VlanInNamespace
        hands = NamespaceHands() if way == "plain" else others(way)
        with hands.kernel:
            yield RoutedLeaf(hands)


def attributes(vtep: str, router_mac: str | None, **other) -> Attributes:
    mac = None if router_mac is None else Mac.parse(router_mac)
    return Attributes(Ip.parse(vtep), (TARGET,), (8,), router_mac=mac, **other)


def type5(
    text: str,
    vtep: str,
    router_mac: str | None = "",
    label: int = 4001,
    gateway: str = "",
    esi: bytes = bytes(10),
    rd: str = "",
    **other,
):
    """Return the key and the value of a Type-5 route; without a MAC given, the router's MAC follows from the VTEP."""
    found = Prefix.parse(text)
    size = len(found.network)
    mac = router_mac_of(vtep) if router_mac == "" else router_mac
    octets = (
        bytes((5, 34 if size == 4 else 58))
        + RouteDistinguisher.parse(rd or (f"{vtep}:1" if ":" not in vtep else "65000:6"))
        + esi
        + bytes(4)
        + bytes((found.length,))
        + found.network
        + (Ip.parse(gateway) if gateway else bytes(size))
        + label.to_bytes(3)
    )
    return prefix.unpack(octets, PEER, attributes(vtep, mac, **other))


def type1(esi: bytes, vtep: str, router_mac: str | None = None, label: int = 4001, tag: int = 0, rd: str = "", **other):
    """Return the key and the value of a Type-1 route per EVI."""
    octets = bytes((1, 25)) + RouteDistinguisher.parse(rd or f"{vtep}:1") + esi + tag.to_bytes(4) + label.to_bytes(3)
    return ead.unpack(octets, PEER, attributes(vtep, router_mac, **other))


def type1_of_segment(esi: bytes, vtep: str, **other):
    """Return the same per segment."""
    return type1(esi, vtep, label=0, tag=ead.PER_ES_TAG, **other)


def type2(address: str, vtep: str, mac: str = "02:00:00:00:00:aa", seq: int = 0, *, l2: bool = False):
    """Return the key and the value of a Type-2 route with a host address and an L3VNI; `l2` adds the Route Target of VNI 10."""
    host = Ip.parse(address)
    octets = RouteDistinguisher.parse(f"{vtep}:10") + bytes(10) + bytes(4) + b"\x30" + Mac.parse(mac)
    found = attributes(vtep, router_mac_of(vtep), seq=seq)
    if l2:
        found = replace(found, targets=(RouteTarget.parse("65000:10"), *found.targets))
    octets += bytes((8 * len(host),)) + host + (10).to_bytes(3) + (4001).to_bytes(3)
    return mac_ip.unpack(bytes((2, len(octets))) + octets, PEER, found)


def router_mac_of(vtep: str) -> str:
    return f"02:00:00:00:ff:{int.from_bytes(Ip.parse(vtep)[-1:]):02x}"
