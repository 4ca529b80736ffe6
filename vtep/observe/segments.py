"""What may be read of remote Ethernet segments: the group of each VNI, its VTEPs, and why another VTEP is not used.

Reads the latest intent and what the engine knows, when a reader asks, and keeps the order of the groups for the intent that it
last saw. The other lists of readers are in `tables.py`.
"""

from bisect import bisect_right
from collections.abc import Sequence

from vtep.addr import Esi, Vni
from vtep.intent import GroupKey, SegmentGroup
from vtep.linux.tables.fdb_nexthop import FDB_GROUP
from vtep.observe.model import SegmentStatus
from vtep.observe.rows import Rows
from vtep.observe.source import Page
from vtep.store.table import Table


class SegmentTables:
    """The groups of segments, for readers."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._sorted: tuple[Table[GroupKey, SegmentGroup], Sequence[GroupKey]] = (Table(), ())

    def segments(
        self, vni: Vni | None, segment: Esi | None, after: GroupKey | None, most: int
    ) -> Page[SegmentStatus, GroupKey]:
        """Return a page of the groups of one VNI or of all, in the order of VNI and segment."""
        intent = self._rows.intent
        if self._sorted[0] is not intent.groups:
            self._sorted = (intent.groups, sorted(key for key, _ in intent.groups.unordered()))
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
