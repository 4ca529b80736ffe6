"""One prefix of a VRF: a route in its table, by a nexthop or a group of nexthops.

The kernel keeps who wrote a route (rtm_protocol), so the route itself says that it is ours. It has a metric of our own as well, so
a route of an operator or of another daemon for the same prefix stays beside it, and the lower metric wins. Only our own routes are
dumped, so a route of another program is never seen here, and a deletion, which names protocol and metric, cannot hit one.

**Another metric.** To the kernel, routes of two metrics are two routes. So a metric that a reload changes is a conversion: the route
with the new one is created, and then the one before is deleted, so that packets always have one of the two. A route of ours may be
there with several metrics after a crash in between; then those that are not wanted go.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from vtep.addr import Prefix, Vni
from vtep.intent import GROUPS, Intent, PrefixKey
from vtep.linux.vrf import RoutedDomain, routed, table_of
from vtep.linux.wire.neighbor import RTPROT_VTEP, Verb
from vtep.linux.wire.route import RouteMessage, metric_of
from vtep.reconcile.contract import Attachments, Change, Key, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.store.table import walk

_VERBS: Final = {"create": Verb.CREATE, "replace": Verb.REPLACE, "delete": Verb.DELETE}


class RouteRow(Struct, frozen=True, gc=False):
    """Packets to the prefix of the key go by this nexthop."""

    nexthop: int
    """The number of a nexthop object: from GROUPS on a group, for ECMP, and a single one below."""
    via: Vni = Vni(0)
    """The L3VNI of the nexthop, if it is not that of the VRF."""
    metric: int = 0
    """0: that of the family of the prefix, which is never written out here."""
    left: tuple[int, ...] = ()
    """Further metrics with which a route of ours is there. No row that is wanted has any."""


class _Route:
    name = "route"
    descriptor = Descriptor(
        public="route",
        key_name="prefix",
        in_words=lambda row: f"by nexthop {row.nexthop}",
        domain_of=RoutedDomain,
        wanted_by_vni=lambda intent: intent.prefixes_of_vrf,
    )
    depends_on = ("nexthop", "nexthop-group")

    def needs(self, key: PrefixKey, row: RouteRow) -> Iterable[tuple[str, Key]]:
        """A route needs its nexthop; the kernel refuses one that names an object that is not there (EINVAL)."""
        return (("nexthop-group" if row.nexthop >= GROUPS else "nexthop", (row.via or key[0], row.nexthop)),)

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[PrefixKey]:
        return ((row.vni, prefix) for prefix, rows in walk(lambda: latest().prefixes) for row in rows)

    def wanted_at(self, intent: Intent, key: PrefixKey) -> RouteRow | None:
        vni, prefix = key
        for row in intent.prefixes.get(prefix, ()):
            if row.vni == vni:
                return _row(row.nexthop, row.via, _metric(row.metric, prefix) if row.metric else 0)
        return None

    def touched(self, intent: Intent) -> Iterable[PrefixKey]:
        return intent.touched_prefixes

    def domain(self, key: PrefixKey) -> Hashable:
        return RoutedDomain(key[0])

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[PrefixKey, Seen]:
        """Read routes of our protocol, whichever metric they have: a later deletion names the metric that was seen."""
        ready = routed(attachments)
        of_nexthop = ready.vnis_of_nexthops(entries)
        rows: dict[PrefixKey, RouteRow] = {}
        for vni, entry in ready.routes(entries):
            if entry.protocol != RTPROT_VTEP or not entry.metric:
                continue  # a metric of ours is never 0, which stands for that of the family here
            key, metric = (vni, entry.prefix), _metric(entry.metric, entry.prefix)
            row = _seen(entry.nexthop or 0, vni, of_nexthop, metric)
            rows[key] = row if (other := rows.get(key)) is None else replace(other, left=(*other.left, metric))
        return {key: Seen(row, marked=True, tagged=True) for key, row in rows.items()}

    def converts(self, before: RouteRow, row: RouteRow) -> bool:
        """Tell whether routes with other metrics must go."""
        return before.metric != row.metric or bool(before.left)

    def as_part(self, row: RouteRow | None, seen: Seen) -> Seen:
        """Read a route by the number of its nexthop alone: of a VRF that is not ready it is not known which devices it has."""
        there = seen.row
        if row is None or there is None or there == row or there.nexthop != row.nexthop or self.converts(there, row):
            return seen
        return replace(seen, row=row)

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[RouteMessage]]:
        table = table_of(attachments, change.keys[0][0])
        row: RouteRow | None = change.row
        if change.verb == "delete":
            metrics = (0,) if row is None else (row.metric, *row.left)
            return [[RouteMessage(Verb.DELETE, table, prefix, 0, one) for _, prefix in change.keys] for one in metrics]
        assert row is not None
        if change.verb == "convert":
            assert change.there is not None
            return (self._converted(table, change.keys[0][1], change.there, row),)
        verb = _VERBS[change.verb]
        return ([RouteMessage(verb, table, prefix, row.nexthop, row.metric) for _, prefix in change.keys],)

    @staticmethod
    def _converted(table: int, prefix: Prefix, there: RouteRow, row: RouteRow) -> list[RouteMessage]:
        """Return the messages for one prefix: the route that is wanted first. One of another program with its metric stays."""
        metrics = (there.metric, *there.left)
        verb = Verb.REPLACE if row.metric in metrics else Verb.CREATE
        going = [RouteMessage(Verb.DELETE, table, prefix, 0, metric) for metric in metrics if metric != row.metric]
        return [RouteMessage(verb, table, prefix, row.nexthop, row.metric), *going]

    def order(self, change: Change) -> Any:
        vni, prefix = change.keys[0]
        return (vni, change.verb, prefix.order)

    def pack(self, keys: Sequence[PrefixKey], row: RouteRow) -> bytes:
        """Write the rows of one value.

        octet  0   L3VNI 3 · nexthop 4, with its highest bit set if the next field is there · L3VNI of the nexthop 3
               7   the metric, if it is not that of the family: 4 as its size 1 · metric 4
               .   for each prefix: 5 or 17 as its size 1 · network 4 or 16 · prefix length 1
        """
        nexthop = (row.nexthop | _HAS_VIA if row.via else row.nexthop).to_bytes(4)
        via = row.via.to_bytes(3) if row.via else b""
        metric = bytes((_METRIC_SIZE,)) + row.metric.to_bytes(4) if row.metric else b""
        return keys[0][0].to_bytes(3) + nexthop + via + metric + b"".join(bytes((len(p),)) + p for _, p in keys)

    def unpack(self, packed: bytes) -> tuple[list[PrefixKey], RouteRow]:
        vni, keys, at = Vni(int.from_bytes(packed[:3])), [], 7
        nexthop, via = int.from_bytes(packed[3:7]), Vni(0)
        if nexthop & _HAS_VIA:
            nexthop, via, at = nexthop & ~_HAS_VIA, Vni(int.from_bytes(packed[7:10])), 10
        metric = 0
        if packed[at] == _METRIC_SIZE:
            metric, at = int.from_bytes(packed[at + 1 : at + 5]), at + 5
        while at < len(packed):
            end = at + 1 + packed[at]
            keys.append((vni, Prefix(packed[at + 1 : end])))
            at = end
        return keys, _row(nexthop, via, metric)


ROUTE: Final = _Route()

_HAS_VIA: Final = 1 << 31
"""Identifiers of nexthops of ours are below this."""
_METRIC_SIZE: Final = 4
"""No prefix has this size."""

_row = lru_cache(maxsize=16384)(RouteRow)


def _metric(metric: int, prefix: Prefix) -> int:
    """Return a metric as rows have it."""
    return 0 if metric == metric_of(prefix) else metric


def _seen(nexthop: int, vni: Vni, of_nexthop: Mapping[int, Vni], metric: int) -> RouteRow:
    """Return the row of a route that is in the kernel, in the table of this VRF."""
    via = of_nexthop.get(nexthop, vni)
    return _row(nexthop, Vni(0) if via == vni else via, metric)
