"""What may be read of the VRFs: whether they are ready, their prefixes, their nexthops, and why a prefix goes where it goes.

Reads the latest intent and what the engine knows, when a reader asks, and keeps the order of the prefixes for the intent that it
last saw. The other lists of readers are in `tables.py`.
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import is_
from typing import Final

from vtep.addr import NO_SEGMENT, Prefix, Vni
from vtep.config.model import VrfConfig
from vtep.errors import UsageError
from vtep.intent import Intent, Nexthop, NexthopKey, PrefixKey, PrefixPath, PrefixRow
from vtep.linux.tables.nexthop import NEXTHOP, NEXTHOP_GROUP
from vtep.linux.tables.observed import NO_OBJECT, seen_nexthop
from vtep.linux.tables.route import ROUTE
from vtep.linux.tables.router_mac import ROUTER_MAC, ROUTER_NEIGHBOR
from vtep.observe.model import (
    INSTALLED,
    PENDING,
    SUPPRESSED,
    NexthopStatus,
    PathStatus,
    PrefixExplanation,
    PrefixStatus,
    RouterStatus,
    Sync,
    VrfStatus,
)
from vtep.observe.problems import named
from vtep.observe.reasons import sentence
from vtep.observe.rows import Rows
from vtep.observe.source import Page, PrefixName
from vtep.observe.turns import Turns
from vtep.store.table import Table

PATHS_MAX: Final = 200
"""Routes to one prefix that an explanation shows."""
NAME_SHOWN: Final = 60
"""Characters of an unknown VRF that the answer repeats."""


class RoutedTables:
    """The rows of the VRFs, for readers."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._sorted: tuple[Table[Prefix, tuple[PrefixRow, ...]], Sequence[PrefixKey]] = (Table(), ())
        self._sorted_nexthops: tuple[Table[int, Nexthop], Sequence[Nexthop]] = (Table(), ())
        self._turns = Turns()
        self._counted_tables: tuple[object, ...] = (None, None)
        self._counts_of_vrfs: tuple[Counter[Vni], Counter[Vni], Counter[Vni]] = (Counter(), Counter(), Counter())

    def vrfs(self) -> Sequence[VrfStatus]:
        """Return every configured VRF."""
        intent = self._rows.intent
        return [self._vrf(vrf, intent) for vrf in self._rows.config.vrfs]

    def _vrf(self, vrf: VrfConfig, intent: Intent) -> VrfStatus:
        nexthops, vteps, conflicts = self._counts(intent)
        devices = None if self._rows.target is None else self._rows.target.vrf(vrf.vni)
        faults = () if self._rows.target is None else self._rows.target.faults.get(vrf.vni, ())
        known = self._rows.last.report is not None
        return VrfStatus(
            name=vrf.name,
            vni=vrf.vni,
            vtep=vrf.vtep,
            vxlan=vrf.vxlan,
            svi=vrf.svi,
            state="unknown" if not known else "ready" if devices is not None else "not-ready",
            reasons=tuple(fault.code for fault in faults),
            texts=(
                *(f"{fault.text}; run: {fault.mend}" for fault in faults),
                *(self._rows.last.report.notes.get(vrf.vni, ()) if self._rows.last.report is not None else ()),
            ),
            table=vrf.table if devices is None else devices.table,
            router_mac=None if devices is None else devices.mac,
            prefixes=intent.prefixes_of_vrf.get(vrf.vni, 0),
            nexthops=nexthops[vrf.vni],
            vteps=vteps[vrf.vni],
            conflicts=conflicts[vrf.vni],
            limited=len(intent.limited_prefixes.get(vrf.vni, ())),
        )

    def _counts(self, intent: Intent) -> tuple[Counter[Vni], Counter[Vni], Counter[Vni]]:
        """Count the nexthops, the VTEPs and the conflicts of all VRFs in one go, because there may be very many of each."""
        tables = intent.nexthops, intent.routers
        if not all(map(is_, tables, self._counted_tables)):
            routers = [(key[0], len(router.claims) > 1) for key, router in intent.routers.unordered()]
            self._counts_of_vrfs = (
                Counter(found.vni for _, found in intent.nexthops.unordered()),
                Counter(vni for vni, _ in routers),
                Counter(vni for vni, is_conflict in routers if is_conflict),
            )
            self._counted_tables = tables
        return self._counts_of_vrfs

    async def prefixes(self, vrf: str, after: PrefixKey | None, most: int) -> Page[PrefixStatus, PrefixKey]:
        """Return a page of prefixes in the order of L3VNI and prefix; of one VRF, or of all."""
        intent = self._rows.intent
        only = None if not vrf else self.configured(vrf).vni
        if self._sorted[0] is not intent.prefixes:
            self._sorted = (intent.prefixes, await asyncio.to_thread(_in_order, intent.prefixes))
        return await self._turns.take(self._prefixes, intent, only, after, most)

    def _prefixes(
        self, intent: Intent, only: Vni | None, after: PrefixKey | None, most: int
    ) -> Page[PrefixStatus, PrefixKey]:
        (table, keys), rows = self._sorted, []
        place = 0 if after is None else bisect_right(keys, _order(after), key=_order)
        for key in keys[place : place + most]:
            if only is None or key[0] == only:
                found = table.get(key[1], ())
                rows += [self._prefix(key[1], row, intent) for row in found if row.vni == key[0]]
        end = place + most
        return Page(rows, keys[end - 1] if end < len(keys) else None, len(keys), intent.generation)

    def changed(self, keys: Iterable[PrefixKey], intent: Intent) -> tuple[Sequence[PrefixStatus], Sequence[PrefixName]]:
        """Return these prefixes in order: the rows of those that are wanted, and the names of the others."""
        rows, gone = [], []
        for vni, prefix in sorted(keys, key=_order):
            row = _row(intent, vni, prefix)
            if row is None:
                gone.append(PrefixName(self._name(vni), vni, prefix))
            else:
                rows.append(self._prefix(prefix, row, intent))
        return rows, gone

    def _prefix(self, prefix: Prefix, row: PrefixRow, intent: Intent) -> PrefixStatus:
        return PrefixStatus(
            vrf=self._name(row.vni),
            vni=row.vni,
            prefix=prefix,
            vteps=tuple(path.vtep for path in row.paths),
            nexthop=row.nexthop,
            reason=row.reason,
            sync=self._rows.sync(ROUTE, (row.vni, prefix), intent),
        )

    def nexthops(self, vrf: str, after: NexthopKey | None, most: int) -> Page[NexthopStatus, NexthopKey]:
        """Return a page of the nexthops of one VRF, or of all, in the order of L3VNI and identifier."""
        intent = self._rows.intent
        only = None if not vrf else self.configured(vrf).vni
        if self._sorted_nexthops[0] is not intent.nexthops:
            found = [nexthop for _, nexthop in intent.nexthops.unordered()]
            self._sorted_nexthops = (intent.nexthops, sorted(found, key=_nexthop_key))
        ordered = self._sorted_nexthops[1]
        place = 0 if after is None else bisect_right(ordered, after, key=_nexthop_key)
        end = place + most
        rows = [self._nexthop(one, intent) for one in ordered[place:end] if only in (None, one.vni)]
        last = _nexthop_key(ordered[end - 1]) if end < len(ordered) else None
        return Page(rows, last, len(ordered), intent.generation)

    def _nexthop(self, nexthop: Nexthop, intent: Intent) -> NexthopStatus:
        kind = NEXTHOP_GROUP if nexthop.members else NEXTHOP
        return NexthopStatus(
            vrf=self._name(nexthop.vni),
            vni=nexthop.vni,
            id=nexthop.id,
            vteps=nexthop.vteps,
            is_v6=nexthop.is_v6,
            users=nexthop.users,
            sync=self._as_seen(nexthop) or self._rows.sync(kind, (nexthop.vni, nexthop.id), intent),
        )

    def _as_seen(self, nexthop: Nexthop) -> Sync | None:
        """Return what an observer sees of a nexthop: another program's object with its VTEPs, or none. None if vtep writes the rows."""
        actor = self._rows.actor
        seen = None if actor is None else seen_nexthop(actor.engine.kinds, nexthop.vni, nexthop.vteps)
        if seen is None:
            return None
        if not seen.is_known:
            return Sync(PENDING)
        if not seen.id:
            return Sync(SUPPRESSED, NO_OBJECT, sentence(NO_OBJECT))
        return Sync(INSTALLED, text=f"nexthop {seen.id}, written by {seen.writer}")

    def explain(self, prefix: Prefix, vrf: str) -> PrefixExplanation:
        """Explain a prefix of a VRF. Of an address, or of a prefix that has no route, the longest match is explained."""
        intent, configured = self._rows.intent, self.configured(vrf)
        found = next((one for one in _covering(prefix) if _row(intent, configured.vni, one) is not None), prefix)
        if intent.judged_prefixes.get(prefix) and _row(intent, configured.vni, prefix) is None:
            found = prefix  # its routes were refused, and that is what was asked
        row = _row(intent, configured.vni, found)
        judged = [path for path in intent.judged_prefixes.get(found, ()) if path.vni in (0, configured.vni)]
        status = self._vrf(configured, intent)
        return PrefixExplanation(
            vrf=status,
            asked=prefix,
            prefix=found,
            row=None if row is None else self._prefix(found, row, intent),
            nexthop=None if row is None else self._nexthop(intent.nexthops[row.nexthop], intent),
            routers=() if row is None else tuple(self._routers(found, row, intent)),
            paths=tuple(_path(path) for path in judged[:PATHS_MAX]),
            left_out=max(0, len(judged) - PATHS_MAX),
        )

    def _routers(self, prefix: Prefix, row: PrefixRow, intent: Intent) -> Iterator[RouterStatus]:
        for path in row.paths:
            router = intent.routers.get((row.l3vni, path.vtep))
            if router is None:
                continue
            is_v6 = prefix.is_v6 or path.vtep.is_v6
            rows = (
                self._rows.sync(ROUTER_MAC, (row.l3vni, router.mac), intent),
                self._rows.sync(ROUTER_NEIGHBOR, (row.l3vni, path.vtep, is_v6), intent),
            )
            worst = next((sync for sync in rows if sync.state != INSTALLED), rows[0])
            conflict = path.router_mac if path.router_mac != router.mac else None
            others = router.paths - router.claims.get(router.mac, 0)
            yield RouterStatus(path.vtep, router.mac, others, conflict, worst)

    def configured(self, name: str) -> VrfConfig:
        """Return the VRF of this name."""
        for vrf in self._rows.config.vrfs:
            if vrf.name == name:
                return vrf
        names = named([vrf.name for vrf in self._rows.config.vrfs]) or "none is configured"
        if not name:
            raise UsageError(f"vrf: missing; name one ({names})")
        # A client may send a name of any length.
        raise UsageError(f"there is no VRF {name[:NAME_SHOWN]!r} ({names})")

    def _name(self, vni: Vni) -> str:
        return next((vrf.name for vrf in self._rows.config.vrfs if vrf.vni == vni), "")


def _nexthop_key(nexthop: Nexthop) -> NexthopKey:
    return (nexthop.vni, nexthop.id)


def _in_order(prefixes: Table[Prefix, tuple[PrefixRow, ...]]) -> Sequence[PrefixKey]:
    found = ((row.vni, prefix) for prefix, rows in prefixes.unordered() for row in rows)
    return sorted(found, key=_order)


def _order(key: PrefixKey) -> tuple[object, ...]:
    return (key[0], key[1].order)


def _row(intent: Intent, vni: Vni, prefix: Prefix) -> PrefixRow | None:
    return next((row for row in intent.prefixes.get(prefix, ()) if row.vni == vni), None)


def _covering(prefix: Prefix) -> Iterator[Prefix]:
    """Yield the prefix and every shorter one that covers it, the longest first."""
    return (Prefix.of(prefix.network, length) for length in range(prefix.length, -1, -1))


def _path(path: PrefixPath) -> PathStatus:
    return PathStatus(
        verdict=path.verdict,
        reason=path.reason,
        vtep=path.vtep,
        router_mac=path.router_mac,
        peer=path.peer,
        rd=path.rd,
        label=path.label,
        mac=path.mac,
        seq=path.seq,
        notes=path.notes,
        gateway=path.gateway,
        segment=None if path.mac is not None or path.esi == NO_SEGMENT else path.esi,
        local_pref=path.local_pref,
        as_path_length=path.as_path_length,
        origin=path.origin,
        med=path.med,
    )
