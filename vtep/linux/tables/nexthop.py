"""The nexthops that routes of a VRF name: single ones, each to a VTEP, and groups of them for ECMP.

The kernel keeps who made a nexthop (nh_protocol), so the object itself says that it is ours. Its identifier comes from the intent
and is the key. When the SVI loses its carrier or goes down, the kernel removes the objects and every route that names them.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Ip, Vni
from vtep.intent import Intent, Nexthop, NexthopKey
from vtep.linux.vrf import RoutedDomain, routed
from vtep.linux.wire.neighbor import RTPROT_VTEP, Verb
from vtep.linux.wire.nexthop import NexthopMessage
from vtep.reconcile.contract import Attachments, Change, Key, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.store.table import walk

_VERBS: Final = {"create": Verb.CREATE, "replace": Verb.REPLACE, "delete": Verb.DELETE}


class NexthopRow(Struct, frozen=True, gc=False):
    """Packets go to this VTEP, over the SVI of the VRF."""

    vtep: Ip
    is_v6: bool
    """The gateway is written as an IPv6 address, because IPv6 prefixes use it."""

    @property
    def gateway(self) -> bytes:
        return self.vtep.mapped if self.is_v6 else self.vtep


class GroupRow(Struct, frozen=True, gc=False):
    """Packets go by one of these nexthops; each flow by the same one."""

    members: tuple[int, ...]


class _Nexthop:
    name = "nexthop"
    descriptor = Descriptor(
        public="nexthop",
        key_name="nexthop",
        in_words=lambda row: f"to {row.vtep}",
        domain_of=RoutedDomain,
        vtep_of=lambda intent, key: None if (found := intent.nexthops.get(key[1])) is None else found.vteps[0],
    )
    depends_on = ("router-neighbor",)

    def needs(self, key: NexthopKey, row: NexthopRow) -> Iterable[tuple[str, Key]]:
        """A nexthop needs the neighbor row of its gateway: otherwise the kernel would ask for the MAC on the SVI."""
        return (("router-neighbor", (key[0], row.vtep, row.is_v6)),)

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[NexthopKey]:
        return ((found.vni, number) for number, found in walk(lambda: latest().nexthops) if not found.members)

    def wanted_at(self, intent: Intent, key: NexthopKey) -> NexthopRow | None:
        found = _at(intent, key)
        return None if found is None or found.members else _row(found.vteps[0], found.is_v6)

    def touched(self, intent: Intent) -> Iterable[NexthopKey]:
        return intent.touched_nexthops

    def domain(self, key: NexthopKey) -> Hashable:
        return RoutedDomain(key[0])

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[NexthopKey, Seen]:
        """Read the single nexthops on SVIs of VRFs that are ready; the device leads to the VRF."""
        ready = routed(attachments)
        seen: dict[NexthopKey, Seen] = {}
        for entry in ready.nexthops(entries):
            vni = ready.vni_of_device(entry.device)
            if vni is not None and (vtep := entry.vtep) is not None:
                ours = entry.protocol == RTPROT_VTEP
                row = _row(vtep, len(entry.gateway) == 16)
                seen[vni, entry.id] = Seen(row, marked=ours, tagged=ours, holder="" if ours else "foreign")
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[NexthopMessage]]:
        if change.verb == "delete":
            return ([NexthopMessage(Verb.DELETE, number) for _, number in change.keys],)
        ready, row, verb = routed(attachments), change.row, _VERBS[change.verb]
        return (
            [NexthopMessage(verb, number, ready[RoutedDomain(vni)].svi, row.gateway) for vni, number in change.keys],
        )

    def order(self, change: Change) -> Any:
        return (change.keys[0][0], change.verb, change.keys[0][1])

    def pack(self, keys: Sequence[NexthopKey], row: NexthopRow) -> bytes:
        """Write the L3VNI 3, whether the gateway is an IPv6 one 1, the VTEP 16, then each number 4."""
        return keys[0][0].to_bytes(3) + bytes((row.is_v6,)) + row.vtep.mapped + _packed(keys)

    def unpack(self, packed: bytes) -> tuple[list[NexthopKey], NexthopRow]:
        return _keys(packed, 20), _row(Ip.unpack(packed[4:20]), bool(packed[3]))


class _Group:
    name = "nexthop-group"
    descriptor = Descriptor(
        public="nexthop-group",
        key_name="nexthop",
        in_words=lambda row: f"{len(row.members)} paths",
        domain_of=RoutedDomain,
    )
    depends_on = ("nexthop",)

    def needs(self, key: NexthopKey, row: GroupRow) -> Iterable[tuple[str, Key]]:
        return (("nexthop", (key[0], member)) for member in row.members)

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[NexthopKey]:
        return ((found.vni, number) for number, found in walk(lambda: latest().nexthops) if found.members)

    def wanted_at(self, intent: Intent, key: NexthopKey) -> GroupRow | None:
        found = _at(intent, key)
        return None if found is None or not found.members else _group(tuple(sorted(found.members)))

    def touched(self, intent: Intent) -> Iterable[NexthopKey]:
        return intent.touched_nexthops

    def domain(self, key: NexthopKey) -> Hashable:
        return RoutedDomain(key[0])

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[NexthopKey, Seen]:
        """Read the groups. A group has no device, so its VRF is that of the first of its members that is there."""
        ready = routed(attachments)
        found = list(ready.nexthops(entries))
        devices = {entry.id: entry.device for entry in found}
        seen: dict[NexthopKey, Seen] = {}
        for entry in found:
            vni = ready.vni_of_device(next((devices[member] for member in entry.members if member in devices), None))
            if entry.members and vni is not None:
                ours = entry.protocol == RTPROT_VTEP
                row = _group(tuple(sorted(entry.members)))
                seen[vni, entry.id] = Seen(row, marked=ours, tagged=ours, holder="" if ours else "foreign")
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[NexthopMessage]]:  # noqa: ARG002
        if change.verb == "delete":
            return ([NexthopMessage(Verb.DELETE, number) for _, number in change.keys],)
        verb = _VERBS[change.verb]
        return ([NexthopMessage(verb, number, members=change.row.members) for _, number in change.keys],)

    def order(self, change: Change) -> Any:
        return (change.keys[0][0], change.verb, change.keys[0][1])

    def pack(self, keys: Sequence[NexthopKey], row: GroupRow) -> bytes:
        """Write the L3VNI 3, how many members there are 2, each member 4, then the number of each group 4."""
        members = b"".join(member.to_bytes(4) for member in row.members)
        return keys[0][0].to_bytes(3) + len(row.members).to_bytes(2) + members + _packed(keys)

    def unpack(self, packed: bytes) -> tuple[list[NexthopKey], GroupRow]:
        end = 5 + 4 * int.from_bytes(packed[3:5])
        members = tuple(int.from_bytes(packed[at : at + 4]) for at in range(5, end, 4))
        return _keys(packed, end), _group(members)


NEXTHOP: Final = _Nexthop()
NEXTHOP_GROUP: Final = _Group()

_row = lru_cache(maxsize=4096)(NexthopRow)
_group = lru_cache(maxsize=4096)(GroupRow)


def _at(intent: Intent, key: NexthopKey) -> Nexthop | None:
    found = intent.nexthops.get(key[1])
    return found if found is not None and found.vni == key[0] else None


def _packed(keys: Sequence[NexthopKey]) -> bytes:
    return b"".join(number.to_bytes(4) for _, number in keys)


def _keys(packed: bytes, first: int) -> list[NexthopKey]:
    vni = Vni(int.from_bytes(packed[:3]))
    return [(vni, int.from_bytes(packed[at : at + 4])) for at in range(first, len(packed), 4)]
