"""A leaf whose remote MACs are on Ethernet segments, on either world: routes in, and what the kernel has afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from tests.contract.worlds import ip, own_namespace
from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.config.file import parse
from vtep.evpn import ead, mac_ip
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import Announced, EndOfRib, Received, SessionOpened, Withdrawn
from vtep.intent import vteps_of
from vtep.linux.kernel import Kernel
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.linux.wire.neighbor import NTF_SELF
from vtep.linux.wire.nexthop import NexthopEntry
from vtep.projection.leaf import Leaf
from vtep.reconcile.claims import Claims, Ledger
from vtep.reconcile.engine import Engine, Report, Scope
from vtep.reconcile.steps import run_to_end

PEER = Ip.parse("10.0.0.200")
TARGET = RouteTarget.parse("65000:100")
E1 = Esi(bytes.fromhex("03000000000001000001"))
E2 = Esi(bytes.fromhex("03000000000001000002"))
A, B, C, D = (f"10.0.0.{number}" for number in (2, 3, 4, 5))
M = Mac.parse("02:00:00:00:00:01")
CONFIG = """
[node]
vtep = "10.0.0.1"
[feed]
initial_hold_s = 1000000
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vx100"
import_rt = ["65000:100"]
"""


class MemoryHands:
    """The kernel in memory, and what others do to it."""

    def __init__(self, config: str) -> None:
        self.kernel = MemoryKernel()
        for vni in parse(config).vnis:
            self.kernel.add_devices_of(vni)

    def set_proxy(self) -> None:
        vxlan = self.kernel.links().by_name["vx100"].vxlan
        self.kernel.change("vx100", vxlan=replace(vxlan, proxy=True))

    def delete_nexthop(self, number: int) -> None:
        self.kernel.routing.drop_nexthop(number)

    def flush_nexthops(self) -> None:
        for found in self.kernel.nexthops():
            self.kernel.routing.drop_nexthop(found.id)

    def take_over(self, number: int, vtep: str) -> None:
        entry = NexthopEntry(number, 4, gateway=bytes(Ip.parse(vtep)), fdb=True)
        self.kernel.routing.add_foreign_nexthop(entry)


class NamespaceHands:
    """The kernel of this thread's namespace."""

    def __init__(self, config: str) -> None:
        ip("link set lo up")
        for vni in parse(config).vnis:
            ip(
                f"link add {vni.bridge} type bridge vlan_default_pvid 0",
                f"link add {vni.vxlan} type vxlan id {vni.vni} local {vni.vtep} dstport 4789 nolearning",
                f"link set {vni.vxlan} master {vni.bridge}",
                f"link set {vni.vxlan} type bridge_slave learning off",
                f"link set {vni.bridge} addrgenmode none",
                f"link set {vni.vxlan} addrgenmode none",
                f"link set {vni.vxlan} up",
                f"link set {vni.bridge} up",
            )
        self.kernel = Kernel()

    def set_proxy(self) -> None:
        ip(
            "link del vx100",
            "link add vx100 type vxlan id 100 local 10.0.0.1 dstport 4789 nolearning proxy",
            "link set vx100 master br100",
            "link set vx100 type bridge_slave learning off",
            "link set vx100 addrgenmode none",
            "link set vx100 up",
        )

    def delete_nexthop(self, number: int) -> None:
        ip(f"nexthop del id {number}")

    def flush_nexthops(self) -> None:
        ip("nexthop flush proto 229")

    def take_over(self, number: int, vtep: str) -> None:
        ip(f"nexthop replace id {number} via {vtep} fdb proto 4")


class GroupedLeaf:
    """A leaf with one VNI, driven step by step."""

    def __init__(self, hands, config: str = CONFIG, ledger: Ledger | None = None, *, bulk: bool = True) -> None:
        self.hands = hands
        self.kernel = hands.kernel
        self.config = parse(config)
        self.leaf = Leaf(self.config, 0.0)
        self.target = KernelTarget(self.kernel, self.config.vnis)
        self.ledger = Claims(KINDS) if ledger is None else ledger
        self.engine = Engine(KINDS, self.target, self.ledger, bulk=bulk)
        self.now = 0.0
        self.sent: list[str] = []
        self._receive(SessionOpened(PEER))

    def _receive(self, *events) -> None:
        self.leaf.receive([Received(events, peer=PEER)], self.now)

    def end(self) -> None:
        """The peer has sent all it has."""
        self._receive(EndOfRib(PEER))

    def advertise(self, *routes) -> None:
        self._receive(Announced(PEER, dict(routes)))

    def withdraw(self, *routes) -> None:
        self._receive(Withdrawn(PEER, tuple(key for key, _ in routes)))

    def pass_(self, *, survey: bool = False, hinted=None) -> Report:
        self.now += 10.0
        hints = self.kernel.drain()
        if hints.links_changed:
            self.engine.suspect_attachments()
        survey |= hints.overrun or self.target.holds(hints.bounced) or not self.engine.surveyed
        intent = self.leaf.judge(self.now)
        touched = {kind.name: kind.touched(intent) for kind in KINDS}
        return run_to_end(self.engine.run(intent, self.now, Scope(survey=survey, touched=touched, hinted=hinted or {})))

    @property
    def intent(self):
        return self.leaf.intent

    def group(self, esi: Esi = E1, primary: str = "", vni: int = 100):
        """Return the group of a segment in the intent."""
        return self.intent.groups.get((Vni(vni), esi, bytes(Ip.parse(primary)) if primary else b""))

    def groups(self) -> list[list[str]]:
        """Return the VTEPs of each group in the kernel that is for FDB rows."""
        found = {one.id: one for one in self.kernel.nexthops() if one.fdb}
        return sorted(sorted(str(found[m].vtep) for m in one.members) for one in found.values() if one.members)

    def singles(self) -> list[str]:
        """Return the VTEPs that have a nexthop in the kernel."""
        return sorted(str(one.vtep) for one in self.kernel.nexthops() if one.fdb and not one.members)

    def where(self, mac: Mac = M) -> list[str]:
        """Return the VTEPs by which the kernel reaches a MAC; "half" if it has no row of both halves."""
        links = self.kernel.links().by_name
        halves = [row for row in self.kernel.rows([links["br100"].index]) if row.mac == mac and row.vlan is None]
        below = [row for row in halves if row.flags & NTF_SELF]
        if not halves:
            return []
        if len(halves) != 2 or len(below) != 1:
            return ["half"]
        if below[0].nh_id is None:
            return [str(below[0].dst)]
        found = {one.id: one for one in self.kernel.nexthops()}
        return ["group", *sorted(str(found[member].vtep) for member in found[below[0].nh_id].members)]

    def vteps(self, mac: Mac = M) -> list[str]:
        """Return the VTEPs by which the intent reaches a MAC."""
        row = self.intent.macs.get((Vni(100), mac))
        return [] if row is None else [str(vtep) for vtep in vteps_of(self.intent, row)]

    def troubles(self) -> list[tuple[str, str]]:
        return sorted((kind, f"{found.state} {found.reason}") for (kind, _), found in self.engine.troubles.items())

    def restarted(self, config: str = CONFIG) -> "GroupedLeaf":
        """Return the next life of the daemon: the same kernel and claims as they are in the file, and no route yet."""
        claims = Claims(KINDS)
        for kind in KINDS:
            for key, claim in self.ledger.claims(kind.name).items():
                claims.claims(kind.name)[key] = type(claim)(claim.row, claim.rank, claim.before)
        return GroupedLeaf(self.hands, config, claims)


@contextmanager
def grouped_leaf(world: str, config: str = CONFIG, *, bulk: bool = True) -> Iterator[GroupedLeaf]:
    if world == "memory":
        yield GroupedLeaf(MemoryHands(config), config, bulk=bulk)
        return
    with own_namespace():
        hands = NamespaceHands(config)
        with hands.kernel:
            yield GroupedLeaf(hands, config, bulk=bulk)


def attributes(vtep: str, target: RouteTarget = TARGET, **other) -> Attributes:
    return Attributes(Ip.parse(vtep), (target,), (8,), **other)


def per_segment(vtep: str, esi: Esi = E1, *, single_active: bool = False, target: RouteTarget = TARGET):
    """Return the key and the value of a Type-1 route per segment."""
    return _ad(vtep, esi, ead.PER_ES_TAG, 0, attributes(vtep, target, single_active=single_active))


def per_evi(vtep: str, esi: Esi = E1, vni: int = 100, *, tag: int = 0, target: RouteTarget = TARGET):
    """Return the key and the value of a Type-1 route per EVI."""
    return _ad(vtep, esi, tag, vni, attributes(vtep, target))


def _ad(vtep: str, esi: Esi, tag: int, label: int, said: Attributes):
    rd = RouteDistinguisher.parse(f"{vtep}:{label or 1}" if ":" not in vtep else f"65000:{Ip.parse(vtep)[15]}")
    octets = bytes((1, 25)) + rd + esi + tag.to_bytes(4) + label.to_bytes(3)
    return ead.unpack(octets, PEER, said)


def type2(vtep: str, esi: Esi = E1, mac: Mac = M, seq: int = 0, *, vni: int = 100, host_flags: int = 0):
    """Return the key and the value of a Type-2 route."""
    rd = RouteDistinguisher.parse(f"{vtep}:{vni}" if ":" not in vtep else f"65000:{Ip.parse(vtep)[15]}")
    octets = rd + esi + bytes(4) + b"\x30" + mac + b"\0" + vni.to_bytes(3)
    return mac_ip.unpack(bytes((2, len(octets))) + octets, PEER, attributes(vtep, seq=seq, host_flags=host_flags))


def macs(count: int) -> Sequence[Mac]:
    return [Mac(b"\x02\x00\x01" + number.to_bytes(3)) for number in range(count)]
