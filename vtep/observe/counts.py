"""Counts: of MACs, hosts and VTEPs as they change, and of the rows of each kind by state.

A change costs a few additions, and reading the counts needs no walk over the MACs. Does not know the state of a single
row.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from vtep.addr import Ip, Vni
from vtep.intent import HostKey, Intent, RemoteMac
from vtep.linux.tables.fdb import FDB, wanted_by_vni
from vtep.observe.model import CONTESTED, FAILED, SUPPRESSED, Counts
from vtep.observe.rows import Rows
from vtep.reconcile.contract import Kind
from vtep.reconcile.descriptor import HOST_WIDE
from vtep.store.table import Table, walk

_COUNTED: Final = (FAILED, CONTESTED, SUPPRESSED)


class RowCounts:
    """Counts of the intent's rows, and of what the kernel has of them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.macs: Counter[tuple[Vni, Ip]] = Counter()
        self.stale: Counter[Vni] = Counter()
        self.moves: Counter[Vni] = Counter()
        self.hosts: Counter[tuple[Vni, str]] = Counter()
        """By VNI and address family."""
        self.wanted: dict[str, Counter[Vni]] = {kind.name: Counter() for kind in rows.kinds.values()}
        """By kind and VNI, for kinds whose rows an intent does not count."""

    def take(self, old: RemoteMac | None, row: RemoteMac | None, count: int) -> None:
        """Count so many rows that replace others of the same value."""
        if old is not None:
            self._count_behind((old.vni, old.vtep), -count)
            self.stale[old.vni] -= count * old.stale
        if row is not None:
            self._count_behind((row.vni, row.vtep), count)
            self.stale[row.vni] += count * row.stale

    def _count_behind(self, vtep: tuple[Vni, Ip], change: int) -> None:
        """Count MACs behind a VTEP. One without any leaves no entry: each route of a peer may name another VTEP."""
        if count := self.macs[vtep] + change:
            self.macs[vtep] = count
        else:
            self.macs.pop(vtep, None)

    def take_kinds(self, before: Intent, intent: Intent) -> None:
        """Count the rows that came and went, for each kind that is counted by its changes."""
        for kind in self._rows.kinds.values():
            if kind.descriptor.wanted_by_vni is None:
                for key in set(kind.touched(intent)):
                    came = (kind.wanted_at(intent, key) is not None) - (kind.wanted_at(before, key) is not None)
                    self.wanted[kind.name][kind.descriptor.vni_of(key)] += came

    def take_host(self, host: HostKey, change: int) -> None:
        """Count a host address that came or went."""
        self.hosts[host[0], "ipv6" if host[1].is_v6 else "ipv4"] += change

    def vteps(self, intent: Intent) -> set[tuple[Vni, Ip]]:
        """Return each VTEP of each VNI that has a flood row or a MAC."""
        flooded = {(flood.vni, flood.via.vtep) for _, found in intent.floods.unordered() for flood in found}
        return flooded | {key for key, count in self.macs.items() if count}

    def reached(self, intent: Callable[[], Intent]) -> Iterator[tuple[Vni, Ip]]:
        """Yield each VTEP to which a VNI or a VRF sends. Some come twice, and newer intents may come meanwhile."""
        yield from [key for key, count in self.macs.items() if count > 0]
        for _, found in walk(lambda: intent().floods):
            yield from ((flood.vni, flood.via.vtep) for flood in found)
        for key, _ in walk(lambda: intent().routers):
            yield key

    def hosts_of(self, vni: Vni) -> int:
        return self.hosts[vni, "ipv4"] + self.hosts[vni, "ipv6"]

    def kinds(self, intent: Intent) -> dict[str, Counts]:
        """Count the rows of each kind, by its public name."""
        bound = self._rows.bound | {HOST_WIDE} if self._rows.bound else self._rows.bound
        return {kind.descriptor.public: self._of_kind(kind, intent, bound) for kind in self._rows.kinds.values()}

    def _of_kind(self, kind: Kind, intent: Intent, bound: AbstractSet[Vni]) -> Counts:
        counted = kind.descriptor.wanted_by_vni
        by_vni = self.wanted[kind.name] if counted is None else counted(intent)
        items = by_vni.unordered() if isinstance(by_vni, Table) else by_vni.items()
        wanted = {vni: count for vni, count in items if count and vni in bound}
        unserved = sum(count for vni, count in wanted.items() if not self._rows.serves(kind, vni))
        return self._counts(kind, sum(wanted.values()), bound, left_out=unserved)

    def macs_of(self, vnis: Iterable[Vni], intent: Intent) -> Mapping[Vni, Counts]:
        """Count the rows of MACs in each of these VNIs."""
        wanted = wanted_by_vni(intent)
        return {vni: self._counts(FDB, wanted.get(vni, 0), frozenset((vni,))) for vni in vnis}

    def _counts(self, kind: Kind, wanted: int, vnis: AbstractSet[Vni], *, left_out: int = 0) -> Counts:
        """Count the rows of these VNIs. Rows of a VNI without a bridge are suppressed, and so are those that are left out.

        A row that is in the kernel but no longer wanted does not count as installed, whether its deletion is held or
        was refused.
        """
        actor = self._rows.actor
        if actor is None or self._rows.bound.isdisjoint(vnis):
            return Counts(wanted=wanted, suppressed=wanted)
        troubles, there = actor.engine.troubles, actor.engine.ledger.confirmed(kind.name)
        states = {state: _sum(troubles.by_vni(kind.name, state), vnis) for state in _COUNTED}
        states[SUPPRESSED] += left_out
        not_ready = {} if self._rows.last.report is None else self._rows.last.report.not_ready
        ready = vnis if vnis.isdisjoint(not_ready) else vnis - not_ready.keys()
        unwanted = {state: _sum(troubles.unwanted_by_vni(kind.name, state), ready) for state in (*_COUNTED, "held")}
        installed = _sum(there, ready) - sum(unwanted.values())
        blocked = _sum(troubles.by_vni(kind.name, "blocked"), ready)  # the row before may be there
        most = wanted - blocked - sum(states.values()) + sum(unwanted[state] for state in _COUNTED)
        return Counts(wanted=wanted, installed=min(installed, most), **states)


def _sum(counts: Mapping[Hashable, int], vnis: AbstractSet[Vni]) -> int:
    """Add the counts of these VNIs. There may be thousands of VNIs, and counts of a few, or the other way round."""
    if len(counts) < len(vnis):
        return sum(count for vni, count in counts.items() if vni in vnis)
    return sum(counts.get(vni, 0) for vni in vnis)
