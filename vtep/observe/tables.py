"""The tables that readers list: VNIs, remote MACs, VTEPs and neighbors, the long ones in pages.

Keeps the keys in order from the first request on, and words a row when its page is read. Does not follow changes for
watchers: `vtep.observe.watch` does.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Final

from vtep.addr import Mac, Vni
from vtep.intent import Alert, HostKey, Intent, RowKey
from vtep.linux.notes import SILENT
from vtep.linux.tables.flood import FLOOD
from vtep.observe.counts import RowCounts
from vtep.observe.model import MacStatus, NeighborStatus, VniStatus, VtepStatus
from vtep.observe.rows import Rows, alert_kinds
from vtep.observe.sorted_keys import SortedKeys
from vtep.observe.source import MacQuery, Page
from vtep.projection.flood import limit_warning
from vtep.store.table import Table, walk

SCANNED_MAX: Final = 5000
"""How many rows one page looks at, for a filter that matches few of many."""
FILLED_AT_ONCE: Final = 2000


class Tables:
    """Rows in order, for readers."""

    def __init__(self, rows: Rows, counts: RowCounts) -> None:
        self._rows = rows
        self._counts = counts
        self._macs: SortedKeys[RowKey] | None = None
        self._hosts: SortedKeys[HostKey] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._duplicates: tuple[Table[RowKey, tuple[Alert, ...]], Mapping[Vni, int]] | None = None

    def take(self, keys: Iterable[RowKey], *, there: bool) -> None:
        """Note that remote MACs came or went."""
        if self._macs is not None:
            for key in keys:
                (self._macs.put if there else self._macs.drop)(key)

    def take_host(self, host: HostKey, *, there: bool) -> None:
        if self._hosts is not None:
            (self._hosts.put if there else self._hosts.drop)(host)

    async def prepare(self) -> None:
        if self._macs is None:
            self._macs, self._hosts = SortedKeys(), SortedKeys()
            self._preparing = asyncio.create_task(self._fill(self._macs, self._hosts))
        if self._preparing is not None:
            await asyncio.shield(self._preparing)

    async def _fill(self, macs: SortedKeys[RowKey], hosts: SortedKeys[HostKey]) -> None:
        """Sort the keys a few at a time; a key that goes meanwhile is not added again."""
        for number, (key, _) in enumerate(walk(lambda: self._rows.intent.macs), 1):
            if key in self._rows.intent.macs:
                macs.put(key)
            if number % FILLED_AT_ONCE == 0:
                await asyncio.sleep(0)
        for number, (ip, found) in enumerate(walk(lambda: self._rows.intent.hosts), 1):
            there = {host.vni for host in self._rows.intent.hosts.get(ip, ())}
            for host in found:
                if host.vni in there:
                    hosts.put((host.vni, ip))
            if number % FILLED_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._preparing = None

    def vnis(self, refused: Mapping[str, int]) -> Sequence[VniStatus]:
        """Return every configured VNI; the argument says how many routes of each may not win."""
        intent = self._rows.intent
        duplicates = self.duplicates()
        macs = self._counts.macs_of((vni.vni for vni in self._rows.config.vnis), intent)
        vteps = Counter(vni for vni, _ in self._counts.vteps(intent))
        return [
            VniStatus(
                vni=vni.vni,
                bridge=vni.bridge,
                vxlan=vni.vxlan,
                vtep=vni.vtep,
                state=self._rows.vni_state(vni.vni),
                reasons=self._rows.reasons(vni.vni),
                notes=self._notes(vni.vni, intent),
                import_rt=vni.imports.texts,
                export_rt=tuple(map(str, vni.exports)),
                macs=macs[vni.vni],
                macs_stale=self._counts.stale[vni.vni],
                vteps=vteps[vni.vni],
                neighbors=self._counts.hosts_of(vni.vni),
                duplicates=duplicates.get(vni.vni, 0),
                refused=refused.get(str(vni.vni), 0),
                limited=len(intent.limited.get(vni.vni, ())),
                vteps_limited=len(intent.waiting_floods.get(vni.vni, ())),
                vteps_used=intent.floods_of_vni.get(vni.vni, 0) / self._rows.config.limits.vteps_per_vni,
            )
            for vni in self._rows.config.vnis
        ]

    def _notes(self, vni: Vni, intent: Intent) -> tuple[str, ...]:
        report = self._rows.last.report
        notes = () if report is None else report.notes.get(vni, ())
        return (*notes, *self._at_limits(vni, intent))

    def _at_limits(self, vni: Vni, intent: Intent) -> Iterator[str]:
        limit = self._rows.config.limits.vteps_per_vni
        if limited := len(intent.limited.get(vni, ())):
            yield f"limit: {limited} MACs have no row"
        if ungrouped := intent.ungrouped_of_vni.get(vni, 0):
            yield f"group-limit: {ungrouped} MACs on segments go to one VTEP each (limits.segment_groups)"
        if waiting := len(intent.waiting_floods.get(vni, ())):
            yield f"vtep-limit: {waiting} VTEPs have no flood row"
        elif warning := limit_warning(rows := intent.floods_of_vni.get(vni, 0), limit):
            yield f"{warning}: {rows} flood rows of {limit} (limits.vteps_per_vni)"

    def limits(self) -> dict[str, dict[int, str]]:
        """Say which VNIs are at a limit, or close to it, by the code of the limit."""
        found: dict[str, dict[int, str]] = {}
        for vni in self._rows.config.vnis:
            for note in self._at_limits(vni.vni, self._rows.intent):
                found.setdefault(note.partition(":")[0], {})[int(vni.vni)] = note
        for number, waiting in self._rows.intent.limited_prefixes.unordered():
            text = f"vrf-limit: {len(waiting)} prefixes have no route, because their VRF is full (max_prefixes)"
            found.setdefault("vrf-limit", {})[int(number)] = text
        return found

    def silent(self) -> dict[str, dict[int, str]]:
        """Say what loses packets of which VNIs silently, by the code of the note."""
        report = self._rows.last.report
        found: dict[str, dict[int, str]] = {}
        for vni, notes in () if report is None else report.notes.items():
            for note in notes:
                if (code := note.partition(":")[0]) in SILENT:
                    found.setdefault(code, {})[int(vni)] = note
        return found

    def duplicates(self) -> Mapping[Vni, int]:
        """Count the duplicates of each VNI; once for each version of the alerts, because every probe asks."""
        alerts = self._rows.intent.alerts
        if self._duplicates is None or self._duplicates[0] is not alerts:
            found = Counter(key[0] for key, kinds in alerts.unordered() if _is_duplicate(kinds))
            self._duplicates = (alerts, found)
        return self._duplicates[1]

    def macs(self, query: MacQuery, after: RowKey | None, most: int) -> Page[MacStatus, RowKey]:
        intent = self._rows.intent
        rows: list[MacStatus] = []
        last = after
        for looked, key in enumerate(self._macs_after(after, query.vni)):
            if len(rows) == most or looked == SCANNED_MAX:
                return Page(rows, last, len(intent.macs), intent.generation)
            last = key
            row = intent.macs[key]
            if query.vtep is not None and row.vtep != query.vtep:
                continue
            if not query.takes(key[1], row.peer):
                continue
            told = self._rows.mac(key, row, intent)
            if not query.states or told.sync.state in query.states:
                rows.append(told)
        return Page(rows, None, len(intent.macs), intent.generation)

    def _macs_after(self, after: RowKey | None, vni: Vni | None) -> Iterator[RowKey]:
        assert self._macs is not None, "prepare must be called first"
        if vni is None:
            return self._macs.after(after)
        start = (vni, Mac(bytes(6)))
        if after is None or after < start:
            after = start
        return takewhile(lambda key: key[0] == vni, self._macs.after(after))

    def neighbors(self, query: MacQuery, after: HostKey | None, most: int) -> Page[NeighborStatus, HostKey]:
        assert self._hosts is not None, "prepare must be called first"
        intent = self._rows.intent
        rows: list[NeighborStatus] = []
        last = after
        for looked, key in enumerate(self._hosts.after(after)):
            if len(rows) == most or looked == SCANNED_MAX:
                return Page(rows, last, len(self._hosts), intent.generation)
            last = key
            if query.vni is None or key[0] == query.vni:
                found = (host for host in intent.hosts[key[1]] if host.vni == key[0])
                rows += [self._rows.neighbor(host) for host in found if query.takes(host.mac, host.peer)]
        return Page(rows, None, len(self._hosts), intent.generation)

    def vteps(self, vni: Vni | None) -> Sequence[VtepStatus]:
        intent = self._rows.intent
        floods = {(flood.vni, flood.via.vtep): flood for _, found in intent.floods.unordered() for flood in found}
        rows = []
        for key in sorted(self._counts.vteps(intent), key=lambda key: (key[0], key[1].order)):
            if vni is not None and key[0] != vni:
                continue
            flood = floods.get(key)
            sync = None if flood is None else self._rows.sync(FLOOD, flood.key, intent)
            notes = flood.notes if flood is not None else ("rt2-without-imet",)
            if (fault := self._rows.underlay.fault_of(*key)) is not None:
                notes = (*notes, fault.code)
            rows.append(VtepStatus(key[0], key[1], self._counts.macs[key], flood is not None, sync, notes))
        return rows


def _is_duplicate(alerts: Sequence[Alert]) -> bool:
    return any(kind.startswith("dup-") for kind in alert_kinds(alerts))
