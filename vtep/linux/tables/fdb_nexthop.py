"""The nexthops that rows of the FDB name: a single one for each VTEP, and groups of them, one for each VNI and segment.

    row of a MAC ──NDA_NH_ID──▶ group (VNI, segment) ──▶ nexthop to VTEP A
                                                     └─▶ nexthop to VTEP B

An object has a number and no device. The kernel keeps who made it (nh_protocol), so the object itself says that it is ours. It does
not check anything of a VTEP's address, and it takes an object of another program over without a word (6.18): so a number that
another program has is never written.

A member that is deleted leaves all groups. The last one takes the group along, and the group takes its rows of the VXLAN device
along, without an event about a row (5.8 to 6.18). So rows go before their group, and a group before its members.

After a restart a group only grows until the picture is complete, because routes of the other members may still come.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.intent import FDB_BACKUPS, FDB_GROUPS, FDB_SINGLES, ID_MASK, Intent, SegmentGroup
from vtep.linux.attachment import NEXTHOPS
from vtep.linux.vrf import Picture
from vtep.linux.wire.neighbor import RTPROT_VTEP, Verb
from vtep.linux.wire.nexthop import NexthopEntry, NexthopLookup, NexthopMessage
from vtep.reconcile.contract import Attachments, Change, Key, Seen
from vtep.reconcile.descriptor import HOST_WIDE, Descriptor
from vtep.store.table import walk

_VERBS: Final = {"create": Verb.CREATE, "replace": Verb.REPLACE}


class FdbNexthopRow(Struct, frozen=True, gc=False):
    """Frames go to this VTEP."""

    vtep: Ip


class FdbGroupRow(Struct, frozen=True, gc=False):
    """Each flow goes by one of these nexthops. Their order means nothing, so they are sorted."""

    members: tuple[int, ...]


class _Kind:
    """What both kinds have in common: keys that are numbers of one range."""

    bases: tuple[int, ...]
    """The upper bits of its numbers (`ID_MASK` masks the others), by which its objects are found among all nexthops."""

    def domain(self, key: int) -> Hashable:  # noqa: ARG002
        return NEXTHOPS

    def lookups(self, key: int, attachments: Attachments) -> Sequence[Any]:  # noqa: ARG002
        return (NexthopLookup(key),)

    def _ours(self, entries: Iterable[Any], attachments: Attachments) -> Iterator[NexthopEntry]:
        """Yield the objects whose numbers are in the range of the kind, no matter who made them."""
        if NEXTHOPS in attachments.ready:
            found = entries.nexthops if isinstance(entries, Picture) else entries
            for entry in found:
                if isinstance(entry, NexthopEntry) and entry.id & ~ID_MASK in self.bases:
                    yield entry

    def order(self, change: Change) -> Any:
        return (change.verb, change.keys[0])


class _Single(_Kind):
    name = "fdb-nexthop"
    bases = (FDB_SINGLES,)
    descriptor = Descriptor(
        public="fdb-nexthop",
        key_name="nexthop",
        in_words=lambda row: f"to {row.vtep}",
        vni_of=lambda _: HOST_WIDE,
        domain_of=lambda _: NEXTHOPS,
        key_text=str,
        vtep_of=lambda intent, key: None if (found := intent.fdb_nexthops.get(key)) is None else found.vtep,
        wanted_by_vni=lambda intent: {HOST_WIDE: len(intent.fdb_nexthops)},
    )

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[int]:
        return (number for number, _ in walk(lambda: latest().fdb_nexthops))

    def wanted_at(self, intent: Intent, key: int) -> FdbNexthopRow | None:
        found = intent.fdb_nexthops.get(key)
        return None if found is None else _single(found.vtep)

    def touched(self, intent: Intent) -> Iterable[int]:
        return intent.touched_fdb_nexthops

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[int, Seen]:
        """Read the single nexthops of our range. One that another program made there is foreign and stays."""
        seen: dict[int, Seen] = {}
        for entry in self._ours(entries, attachments):
            ours = entry.protocol == RTPROT_VTEP and entry.fdb and not entry.members
            row = None if entry.vtep is None or not entry.fdb else _single(entry.vtep)
            seen[entry.id] = Seen(row, marked=ours, tagged=ours, holder="" if ours else "foreign")
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[NexthopMessage]]:  # noqa: ARG002
        if change.verb not in _VERBS:
            return ([NexthopMessage(Verb.DELETE, number) for number in change.keys],)
        verb, gateway = _VERBS[change.verb], bytes(change.row.vtep)
        return ([NexthopMessage(verb, number, gateway=gateway, fdb=True) for number in change.keys],)

    def pack(self, keys: Sequence[int], row: FdbNexthopRow) -> bytes:
        """Write the VTEP 16 (IPv4-mapped for IPv4), then each number 4."""
        return row.vtep.mapped + _packed(keys)

    def unpack(self, packed: bytes) -> tuple[list[int], FdbNexthopRow]:
        return _keys(packed, 16), _single(Ip.unpack(packed[:16]))


class _Group(_Kind):
    name = "fdb-group"
    bases = (FDB_GROUPS, FDB_BACKUPS)
    descriptor = Descriptor(
        public="fdb-group",
        key_name="group",
        in_words=lambda row: f"{len(row.members)} VTEPs" if len(row.members) > 1 else "1 VTEP",
        vni_of=lambda _: HOST_WIDE,
        domain_of=lambda _: NEXTHOPS,
        key_text=str,
        wanted_by_vni=lambda intent: {HOST_WIDE: len(intent.groups)},
    )
    depends_on = ("fdb-nexthop",)

    def needs(self, key: int, row: FdbGroupRow) -> Iterable[tuple[str, Key]]:  # noqa: ARG002
        return (("fdb-nexthop", member) for member in row.members)

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[int]:
        return (number for number, _ in walk(lambda: latest().group_numbers))

    def wanted_at(self, intent: Intent, key: int) -> FdbGroupRow | None:
        found = _at(intent, key)
        return None if found is None else _group(tuple(sorted(found.singles[: len(found.members)])))

    def touched(self, intent: Intent) -> Iterable[int]:
        return intent.touched_groups

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[int, Seen]:
        """Read the groups of our range. A group that lost members is a row with another value, so it is replaced."""
        seen: dict[int, Seen] = {}
        for entry in self._ours(entries, attachments):
            ours = entry.protocol == RTPROT_VTEP and entry.fdb and bool(entry.members)
            row = _group(tuple(sorted(entry.members))) if entry.fdb and entry.members else None
            seen[entry.id] = Seen(row, marked=ours, tagged=ours, holder="" if ours else "foreign")
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[NexthopMessage]]:  # noqa: ARG002
        if change.verb not in _VERBS:
            return ([NexthopMessage(Verb.DELETE, number) for number in change.keys],)
        verb, members = _VERBS[change.verb], change.row.members
        return ([NexthopMessage(verb, number, members=members, fdb=True) for number in change.keys],)

    def asked(self, intent: Intent, keys: Iterable[int]) -> list[tuple[FdbGroupRow | None, int]]:
        return [(self.wanted_at(intent, key), 0) for key in keys]

    def beats(self, row: FdbGroupRow, rank: int, claimed: FdbGroupRow, claimed_rank: int) -> bool:  # noqa: ARG002
        """Tell whether no member leaves: until the picture is complete, the routes of one that is missing may still come."""
        return set(claimed.members) <= set(row.members)

    def is_settled(self, intent: Intent, key: int) -> bool:  # noqa: ARG002
        """No station of this leaf competes for a group, so nothing is ever settled against one."""
        return False

    def pack(self, keys: Sequence[int], row: FdbGroupRow) -> bytes:
        """Write how many members there are 2, then each member 4, then the number of each group 4."""
        return len(row.members).to_bytes(2) + _packed(row.members) + _packed(keys)

    def unpack(self, packed: bytes) -> tuple[list[int], FdbGroupRow]:
        end = 2 + 4 * int.from_bytes(packed[:2])
        return _keys(packed, end), _group(tuple(_keys(packed[:end], 2)))


FDB_NEXTHOP: Final = _Single()
FDB_GROUP: Final = _Group()

_single = lru_cache(maxsize=4096)(FdbNexthopRow)
_group = lru_cache(maxsize=4096)(FdbGroupRow)


def _at(intent: Intent, number: int) -> SegmentGroup | None:
    key = intent.group_numbers.get(number)
    return None if key is None else intent.groups.get(key)


def _packed(numbers: Sequence[int]) -> bytes:
    return b"".join(number.to_bytes(4) for number in numbers)


def _keys(packed: bytes, first: int) -> list[int]:
    return [int.from_bytes(packed[at : at + 4]) for at in range(first, len(packed), 4)]
