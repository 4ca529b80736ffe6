"""The kinds as an observer compares them: by where packets go, because the numbers of nexthops are another program's own.

    route         10.1.11.0/24: nhid 27 ─▶ group 17/25 ─▶ 10.0.0.1, 10.0.0.2 over the SVI of the L3VNI     zebra
                                nhid of ours ─▶ group ─▶ 10.0.0.1, 10.0.0.2                                vtep
    row of a MAC  nhid ─▶ group ─▶ the VTEPs of an Ethernet segment

So a route is the L3VNI and the VTEP of each of its paths, and a row that names a group is the VTEPs of the group. What a number
stands for is read from the nexthops of the same dump, or from the route itself where it names no object (FRR's
`no zebra nexthop kernel enable`). The nexthops themselves are not compared, nor the filters and backups of ports, which
other programs spell in their own way.

**Routes of a table.** One that leaves by the SVI of an L3VNI and that a routing daemon wrote (zebra gives the protocol of the daemon
behind it) is compared. Any other route for the same prefix means that this host prefers a way of its own: a daemon with
administrative distances, as zebra, then writes no route, so that counts as in sync.

A MAC is looked up alone, without the nexthops: what its group's number stands for is then as the last dump had it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace

from vtep.addr import Ip
from vtep.intent import FDB_GROUPS, Intent, PrefixKey, RowKey
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.fdb import FDB, FdbRow
from vtep.linux.tables.fdb_nexthop import FDB_GROUP, FDB_NEXTHOP
from vtep.linux.tables.nexthop import NEXTHOP, NEXTHOP_GROUP
from vtep.linux.tables.port_backup import PORT_BACKUP
from vtep.linux.tables.port_filter import PORT_FILTER, SEGMENT_MAC
from vtep.linux.tables.route import ROUTE
from vtep.linux.tables.router_mac import ROUTER_MAC, ROUTER_NEIGHBOR
from vtep.linux.vrf import Picture, Routed, routed
from vtep.linux.wire.neighbor import RTPROT_VTEP, Entry
from vtep.linux.wire.nexthop import NexthopEntry
from vtep.linux.wire.route import RTN_LOCAL, RTN_UNICAST, RouteEntry
from vtep.reconcile.contract import (
    Alike,
    Attachments,
    Contest,
    Convertible,
    Dependent,
    Kind,
    Partial,
    Readable,
    Seen,
)

_RTPROT_ZEBRA, _RTPROT_BGP = 11, 186
_DAEMONS: Final = frozenset({_RTPROT_ZEBRA, _RTPROT_BGP, RTPROT_VTEP})
"""Who writes routes of EVPN into a VRF (linux/rtnetlink.h)."""
_WRITERS: Final = {_RTPROT_ZEBRA: "zebra", RTPROT_VTEP: "vtep", 0: "another program"}
NO_OBJECT: Final = "observed-no-object"
"""The reason where no nexthop object leads to the VTEPs of one that is wanted."""
MEMBERS_MAX: Final = 16


class PathsRow(Struct, frozen=True, gc=False):
    """Packets to the prefix of the key go to these VTEPs."""

    paths: tuple[tuple[int, Ip], ...]
    """The L3VNI and the VTEP of each, in order."""


class ByGroup(FdbRow, frozen=True, gc=False):
    """Frames to the MAC of the key go by a group of these VTEPs, whatever its number is."""

    vteps: tuple[Ip, ...] = ()


def _in_order(paths: Iterable[tuple[int, Ip]]) -> PathsRow:
    return PathsRow(tuple(sorted(set(paths), key=lambda path: (path[0], path[1].order))))


def _by(vteps: Iterable[Ip]) -> FdbRow:
    """Return the row by a group of these VTEPs. A group of one VTEP is as good as the VTEP."""
    members = tuple(sorted(set(vteps), key=lambda vtep: vtep.order))
    return FdbRow(members[0]) if len(members) == 1 else ByGroup(None, group=FDB_GROUPS, vteps=members)


class _Observed:
    """A kind with a few functions of its own; all others are those of the kind."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kind, name)


class SeenNexthop(Struct, frozen=True):
    """What an observer knows of a nexthop that is wanted."""

    is_known: bool
    """The nexthops of this host were read."""
    id: int = 0
    """The number of the object that leads to the same VTEPs; 0 if there is none."""
    writer: str = ""


class _ObservedRoute(_Observed):
    descriptor = replace(
        ROUTE.descriptor,
        in_words=lambda row: "by " + ", ".join(str(vtep) for _, vtep in row.paths[:MEMBERS_MAX]),
    )

    def wanted_at(self, intent: Intent, key: PrefixKey) -> PathsRow | None:
        row = ROUTE.wanted_at(intent, key)
        if row is None:
            return None
        nexthop = intent.nexthops.get(row.nexthop)
        return None if nexthop is None else _in_order((nexthop.vni, vtep) for vtep in nexthop.vteps)

    def __init__(self, kind: Any) -> None:
        super().__init__(kind)
        self._objects: dict[tuple[tuple[int, Ip], ...], NexthopEntry] | None = None
        """The nexthop object that leads to these VTEPs, of several the one with the lowest number, as the last dump had them;
        None before the first one."""

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[PrefixKey, Seen]:
        ready = routed(attachments)
        nexthops = {one.id: one for one in ready.nexthops(entries)}
        if isinstance(entries, Picture):
            self._objects = {}
            for one in sorted(nexthops.values(), key=lambda one: one.id):
                found = _in_order(_leads_to(_members(one, nexthops), ready)).paths
                if found:
                    self._objects.setdefault(found, one)
        seen: dict[PrefixKey, Seen] = {}
        metrics: dict[PrefixKey, int] = {}
        for vni, entry in ready.routes(entries):
            if entry.type not in (RTN_UNICAST, RTN_LOCAL):
                continue
            key = (vni, entry.prefix)
            paths = list(_paths(entry, nexthops, ready)) if entry.protocol in _DAEMONS else []
            if not paths:
                seen.setdefault(key, Seen(None, marked=False, holder="foreign"))
            elif key not in metrics or entry.metric < metrics[key]:
                metrics[key] = entry.metric
                seen[key] = Seen(_in_order(paths), marked=True, tagged=True)
        return seen

    def seen_nexthop(self, vni: int, vteps: Iterable[Ip]) -> SeenNexthop:
        """Return the object that leads to these VTEPs."""
        if self._objects is None:
            return SeenNexthop(is_known=False)
        found = self._objects.get(_in_order((vni, vtep) for vtep in vteps).paths)
        if found is None:
            return SeenNexthop(is_known=True)
        return SeenNexthop(
            is_known=True, id=found.id, writer=_WRITERS.get(found.protocol, f"protocol {found.protocol}")
        )

    def as_part(self, row: PathsRow | None, seen: Seen) -> Seen:
        """Read a way of this host's own as what is wanted: its daemon prefers it."""
        if row is None or seen.marked:
            return seen
        return replace(seen, row=row, marked=True, tagged=True, holder="")


def _paths(entry: RouteEntry, nexthops: Mapping[int, NexthopEntry], ready: Routed) -> Iterator[tuple[int, Ip]]:
    """Yield the paths of a route that leave by the SVI of an L3VNI."""
    found: Iterable[tuple[int | None, bytes]] = entry.paths
    if entry.nexthop is not None:
        nexthop = nexthops.get(entry.nexthop)
        found = [] if nexthop is None else _members(nexthop, nexthops)
    return _leads_to(found, ready)


def _members(nexthop: NexthopEntry, nexthops: Mapping[int, NexthopEntry]) -> list[tuple[int | None, bytes]]:
    """Return device and gateway of a nexthop, or of each in a group."""
    return [
        (nexthops[one].device, nexthops[one].gateway) for one in nexthop.members or (nexthop.id,) if one in nexthops
    ]


def _leads_to(found: Iterable[tuple[int | None, bytes]], ready: Routed) -> Iterator[tuple[int, Ip]]:
    for device, gateway in found:
        if len(gateway) in (4, 16) and (vni := ready.vni_of_device(device)) is not None:
            yield vni, Ip.unpack(gateway)


def seen_nexthop(kinds: Iterable[Kind], vni: int, vteps: Iterable[Ip]) -> SeenNexthop | None:
    """Return which object leads to these VTEPs of a VRF, whatever its number is; None if `kinds` are not those of an observer."""
    for kind in kinds:
        if kind.name == ROUTE.name and (seen := getattr(kind, "seen_nexthop", None)) is not None:
            return cast("SeenNexthop", seen(vni, vteps))
    return None


class _ObservedFdb(_Observed):
    descriptor = replace(
        FDB.descriptor,
        in_words=lambda row: (
            "by a group of " + ", ".join(map(str, row.vteps))
            if isinstance(row, ByGroup)
            else FDB.descriptor.in_words(row)
        ),
    )

    def __init__(self, kind: Any) -> None:
        super().__init__(kind)
        self._vteps: dict[int, tuple[Ip, ...]] = {}
        """What the numbers of groups and nexthops for FDB rows stood for in the last dump."""

    def wanted_at(self, intent: Intent, key: RowKey) -> FdbRow | None:
        return _by_members(FDB.wanted_at(intent, key), intent)

    def asked(self, intent: Intent, keys: Iterable[RowKey]) -> list[tuple[FdbRow | None, int]]:
        return [(_by_members(row, intent), rank) for row, rank in FDB.asked(intent, keys)]

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[RowKey, Seen]:
        """Give each group a number of our range for the while, so that rows are read as rows with a group of ours are."""
        if isinstance(entries, Picture):
            self._vteps = _vteps_of(entries.nexthops)
        groups: dict[int, tuple[Ip, ...]] = {}
        numbers: dict[int, int] = {}

        def numbered(entry: Any) -> Any:
            if not isinstance(entry, Entry) or entry.nh_id is None:
                return entry
            if entry.nh_id not in numbers:
                numbers[entry.nh_id] = number = FDB_GROUPS | len(numbers)
                groups[number] = self._vteps.get(entry.nh_id, ())
            return replace(entry, nh_id=numbers[entry.nh_id])

        found = FDB.recognise([numbered(entry) for entry in entries], attachments)
        return {key: _seen_by_members(seen, groups) for key, seen in found.items()} if groups else found


def _by_members(row: FdbRow | None, intent: Intent) -> FdbRow | None:
    if row is None or not row.group or (key := intent.group_numbers.get(row.group)) is None:
        return row
    return _by(intent.groups[key].members)


def _seen_by_members(seen: Seen, groups: Mapping[int, tuple[Ip, ...]]) -> Seen:
    """Read the rows of what is there by the members of their groups."""

    def read(row: FdbRow | None) -> FdbRow | None:
        return _by(groups[row.group]) if row is not None and row.group in groups else row

    return replace(seen, row=read(seen.row), adoptable=read(seen.adoptable), there=read(seen.there))


def _vteps_of(nexthops: Iterable[Any]) -> dict[int, tuple[Ip, ...]]:
    """Return the VTEPs of each nexthop and group that rows of the FDB may name."""
    found = [one for one in nexthops if isinstance(one, NexthopEntry) and one.fdb]
    single = {one.id: one.vtep for one in found if one.vtep is not None}
    return {
        one.id: tuple(vtep for member in one.members or (one.id,) if (vtep := single.get(member)) is not None)
        for one in found
    }


class _OfDaemons(_Observed):
    """A kind of rows that only daemons of EVPN write: what is there must go with its route, no matter which one wrote it."""

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[Any, Seen]:
        return {
            key: seen
            if seen.there is None
            else replace(seen, row=seen.there, marked=True, tagged=True, whole=True, holder="")
            for key, seen in self._kind.recognise(entries, attachments).items()
        }


class _Passed(_Observed):
    """A kind that is not compared: nothing of it is wanted, and nothing is read."""

    _LACKS: Final = frozenset(
        name for one in (Readable, Alike, Contest, Dependent, Convertible, Partial) for name in vars(one)
    )
    """Nothing of the optional protocols."""

    def __init__(self, kind: Any) -> None:
        super().__init__(kind)
        self.descriptor = replace(kind.descriptor, wanted_by_vni=lambda _: {})

    def __getattr__(self, name: str) -> Any:
        if name in self._LACKS:
            raise AttributeError(name)
        return super().__getattr__(name)

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[Any]:  # noqa: ARG002
        return iter(())

    def wanted_at(self, intent: Intent, key: Any) -> None:  # noqa: ARG002
        return None

    def touched(self, intent: Intent) -> Iterable[Any]:  # noqa: ARG002
        return ()

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[Any, Seen]:  # noqa: ARG002
        return {}


_PASSED: Final = (NEXTHOP, NEXTHOP_GROUP, FDB_NEXTHOP, FDB_GROUP, PORT_FILTER, SEGMENT_MAC, PORT_BACKUP)


def _as_observed(kind: Kind) -> Kind:
    if kind is ROUTE:
        return cast("Kind", _ObservedRoute(kind))
    if kind is FDB:
        return cast("Kind", _ObservedFdb(kind))
    if kind in (ROUTER_MAC, ROUTER_NEIGHBOR):
        return cast("Kind", _OfDaemons(kind))
    return cast("Kind", _Passed(kind)) if kind in _PASSED else kind


def compared() -> Sequence[Kind]:
    """Return all kinds as an observer compares them, in the order of `KINDS`. What one has read belongs to one observer."""
    return tuple(_as_observed(kind) for kind in KINDS)
