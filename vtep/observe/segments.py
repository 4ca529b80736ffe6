"""What may be read of Ethernet segments: of remote ones the group of each VNI, of ours how the port is and what it forwards.

Reads the latest intent and what the engine knows, when a reader asks, and keeps the order of the groups for the intent that it
last saw. The other lists of readers are in `tables.py`.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from vtep.addr import Esi, Ip, Mac, Vni
from vtep.intent import BACKUP, GroupKey, Intent, PortFilter, PortFilterKey, SegmentGroup
from vtep.linux.tables.fdb_nexthop import FDB_GROUP
from vtep.linux.tables.port_filter import PORT_FILTER
from vtep.local.segment_ports import FILTER_NONE, WHY, PortStatus
from vtep.observe.model import SUPPRESSED, OwnSegmentStatus, OwnSegmentVni, SegmentStatus, Sync
from vtep.observe.rows import Rows
from vtep.observe.source import Page
from vtep.store.table import Table

OWN_VNIS_MAX: Final = 5000
"""VNIs of segments of ours in one answer: a message of gRPC has at most 4 MiB."""
_UNWRITTEN: Final = Sync(SUPPRESSED, FILTER_NONE, "segment.filter is none: vtep writes no filter")


class SegmentTables:
    """The groups of segments and the segments of ours, for readers."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._counted: tuple[Table[PortFilterKey, PortFilter], Mapping[tuple[Esi, str], int]] = (Table(), {})
        self.ports: tuple[PortStatus, ...] = ()
        """How the ports of our segments are."""
        self._sorted: tuple[Table[GroupKey, SegmentGroup], Sequence[GroupKey]] = (Table(), ())

    def segments(
        self, vni: Vni | None, segment: Esi | None, after: GroupKey | None, most: int
    ) -> Page[SegmentStatus, GroupKey]:
        """Return a page of the groups of one VNI or of all, in the order of VNI and segment."""
        intent = self._rows.intent
        if self._sorted[0] is not intent.groups:
            self._sorted = (intent.groups, sorted(key for key, _ in intent.groups.unordered() if key[2] != BACKUP))
        ordered = self._sorted[1]
        place = 0 if after is None else bisect_right(ordered, after)
        keys = ordered[place : place + most]
        rows = [
            SegmentStatus(group, self._rows.sync(FDB_GROUP, group.number, intent))
            for key in keys
            if vni in (None, key[0]) and segment in (None, key[1]) and (group := intent.groups.get(key)) is not None
        ]
        last = keys[-1] if place + most < len(ordered) else None
        return Page(rows, last, len(ordered), intent.generation)

    def own(self, vni: Vni | None, segment: Esi | None) -> list[OwnSegmentStatus]:
        """Return the segments of ours that have a port, with one VNI or with all of them."""
        intent = self._rows.intent
        filters: dict[Esi, list[PortFilter]] = {}
        for _, row in intent.port_filters.unordered():
            filters.setdefault(row.segment, []).append(row)
        found, room = [], OWN_VNIS_MAX
        for one in self.ports:
            rows = filters.get(one.segment, [])
            asked = sorted((row for row in rows if vni in (None, row.vni)), key=lambda row: row.key)
            if segment not in (None, one.segment) or (vni is not None and not asked):
                continue
            found.append(
                OwnSegmentStatus(
                    one.segment,
                    one.port,
                    one.state,
                    one.why,
                    WHY.get(one.why, ""),
                    _others(rows),
                    self._vnis(one.segment, asked[:room], intent),
                    max(0, len(asked) - room),
                )
            )
            room -= min(room, len(asked))
        return found

    def own_filters(self) -> Mapping[tuple[Esi, str], int]:
        """Count the VNIs of each segment of ours by what its port forwards."""
        filters = self._rows.intent.port_filters
        if self._counted[0] is not filters:  # every probe asks, and a leaf may have very many
            self._counted = (filters, Counter((row.segment, row.state) for _, row in filters.unordered()))
        return self._counted[1]

    def own_of(self, vni: Vni, mac: Mac) -> OwnSegmentStatus | None:
        """Return the segment of ours on which a MAC is, with this VNI alone."""
        intent = self._rows.intent
        port = dict(intent.segment_macs.get(mac, ())).get(vni)
        row = None if port is None else intent.port_filters.get((vni, port))
        if row is None and (remote := intent.macs.get((vni, mac))) is not None and remote.segment is not None:
            row = self._standby(vni, remote.segment, intent)
        status = None if row is None else next((one for one in self.ports if one.segment == row.segment), None)
        if row is None or status is None:
            return None
        vnis = self._vnis(row.segment, [row], intent)
        return OwnSegmentStatus(
            row.segment, status.port, status.state, status.why, WHY.get(status.why, ""), row.others, vnis
        )

    def _standby(self, vni: Vni, segment: Esi, intent: Intent) -> PortFilter | None:
        """Return the port of ours that is on standby for the MACs of a segment, which are reached behind the forwarder."""
        own = next((one for one in self.ports if one.segment == segment), None)
        ports = () if own is None else (row for _, row in intent.port_filters.unordered() if row.vni == vni)
        return next((row for row in ports if row.segment == segment and row.state == "standby"), None)

    def _vnis(self, segment: Esi, rows: Sequence[PortFilter], intent: Intent) -> tuple[OwnSegmentVni, ...]:
        forwarders = {one.vni: one for one in intent.forwarders.get(segment, ())}
        return tuple(
            OwnSegmentVni(
                row.vni,
                row.port,
                None if (forwarder := forwarders.get(row.vni)) is None else forwarder.vtep,
                forwarder is not None and forwarder.ours,
                row.state,
                self._rows.sync(PORT_FILTER, row.key, intent) if row.is_written else _UNWRITTEN,
            )
            for row in rows
        )


def _others(rows: Sequence[PortFilter]) -> tuple[Ip, ...]:
    """Return the other VTEPs of a segment, which every VNI has alike."""
    return rows[0].others if rows else ()
