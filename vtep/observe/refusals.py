"""Counts the routes that may not win, by peer, VNI and reason, as they come and go.

A row that is missing because of a wrong Route Target on another leaf has no trace in the tables of rows. These counts have it: one
number for each peer, VNI of this leaf and reason. Routes of VNIs that this leaf does not have are shown together as VNI 0. They are
counted by their own VNI, so that a reload which adds one need not look at every route; but a peer chooses these numbers, so there is
room for a few thousand, and what comes beyond is counted together.

The cost is that of the change: two versions of a table say which keys differ (`Table.changes_since`), and each of them is counted
again. Knows no single route, and decides nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from vtep.addr import Ip, RouteDistinguisher, Vni
from vtep.config.model import Config
from vtep.intent import NOTHING, Candidate, Intent, RefusedFlood, RefusedHost, RouteName, Verdicts
from vtep.observe.problems import Refusals, Returned

_Key: TypeAlias = tuple[Ip, Vni, str]
_Returned: TypeAlias = tuple[Ip, RouteDistinguisher, Ip]

KEYS_MAX: Final = 4096
"""How many counts there may be for VNIs that this leaf does not have."""
RETURNED_MAX: Final = 256
"""How many Route Distinguishers of leaves that have our tunnel address are told apart."""


class RefusalCounts:
    """How many routes are refused, and for whom."""

    def __init__(self, config: Config) -> None:
        self._vnis = frozenset(vni.vni for vni in config.vnis)
        self._counts: Counter[_Key] = Counter()
        self._hosts: Counter[_Key] = Counter()
        self._returned: Counter[_Returned] = Counter()
        """Routes with one of our tunnel addresses as next hop."""
        self._own_rds = _own_rds(config)
        self._overflowed = False
        """Some routes were counted together for want of room, so a reload must count everything again."""
        self._told: tuple[Refusals, ...] | None = ()
        """What `counted` returns, until a count changes."""

    def __len__(self) -> int:
        """How many counts are kept."""
        return len(self._counts) + len(self._hosts) + len(self._returned)

    def take(self, before: Intent, intent: Intent) -> None:
        """Count what differs between two intents that follow each other."""
        if intent.judged is not before.judged:
            self._take_macs(_counted(intent.judged.changes_since(before.judged)))
        if intent.refused_floods is not before.refused_floods:
            for floods, now in intent.refused_floods.changes_since(before.refused_floods):
                self._count(self._counts, floods or (), -1)
                self._count(self._counts, now or (), 1)
        if intent.refused_hosts is not before.refused_hosts:
            for hosts, here in intent.refused_hosts.changes_since(before.refused_hosts):
                self._count(self._hosts, hosts or (), -1)
                self._count(self._hosts, here or (), 1)

    def _take_macs(self, counted: Iterable[tuple[Verdicts, int]]) -> None:
        """Count the candidates of so many MACs. Of a candidate that stands for 10,000 routes, most were counted before the change."""
        blocks: dict[tuple[int, Ip, Ip], tuple[Sequence[RouteName], int]] = {}
        for verdicts, macs in counted:
            for one in _refused_macs(verdicts):
                if one.kin is None or one.kin.verdict != "refused":
                    self._count(self._counts, (one,), macs)
                    continue
                self._count_alike(self._counts, one, macs * len(one.kin.routes))
                for block in one.kin.routes.blocks if one.reason == "self-vtep" else ():
                    name = (id(block), one.peer, one.vtep)
                    blocks[name] = (block, macs + (blocks[name][1] if name in blocks else 0))
        for (_, peer, vtep), (block, step) in blocks.items():
            for route in block if step else ():
                self._count_returned((peer, route.rd, vtep), step)

    def reconfigure(self, config: Config, intent: Intent) -> None:
        """Take other VNIs. What is judged by them is counted as it is judged again."""
        self._vnis = frozenset(vni.vni for vni in config.vnis)
        self._own_rds = _own_rds(config)
        self._told = None
        if self._overflowed:
            self._overflowed = False
            self._counts, self._hosts, self._returned = Counter(), Counter(), Counter()
            self.take(NOTHING, intent)

    def counted(self) -> tuple[Refusals, ...]:
        """Return the routes that may not win; a host address whose MAC has a row is not among them."""
        if self._told is None:
            self._told = self._shown(self._counts)
        return self._told

    def returned(self) -> tuple[Returned, ...]:
        """Return the routes that have a tunnel address of ours as next hop, by the leaf that they are of."""
        if not self._returned:
            return ()
        order = sorted(self._returned.items(), key=lambda item: (item[0][0].order, str(item[0][1])))
        return tuple(
            Returned(str(peer), str(rd), str(vtep), count, rd in self._own_rds) for (peer, rd, vtep), count in order
        )

    def hosts(self) -> tuple[Refusals, ...]:
        """Return the routes whose host address gives no neighbor row."""
        return self._shown(self._hosts)

    def _shown(self, counts: Counter[_Key]) -> tuple[Refusals, ...]:
        shown: Counter[_Key] = Counter()
        for (peer, vni, reason), count in counts.items():
            shown[peer, vni if vni in self._vnis else Vni(0), reason] += count
        order = sorted(shown.items(), key=lambda item: (item[0][0].order, item[0][1], item[0][2]))
        return tuple(Refusals(str(peer), int(vni), reason, count) for (peer, vni, reason), count in order if count > 0)

    def _count(
        self, counts: Counter[_Key], refused: Iterable[Candidate | RefusedFlood | RefusedHost], step: int
    ) -> None:
        for one in refused:
            self._count_alike(counts, one, step)
            if one.reason == "self-vtep" and not isinstance(one, RefusedHost):
                self._count_returned((one.peer, one.rd, one.vtep), step)

    def _count_alike(self, counts: Counter[_Key], one: Candidate | RefusedFlood | RefusedHost, step: int) -> None:
        key = (one.peer, one.vni, one.reason)
        together = (one.peer, Vni(0), one.reason)
        self._told = None
        if step < 0:
            # What was counted together goes from there, although there may be room for its own count by now.
            from_key = min(-step, counts[key])
            _add(counts, key, -from_key)
            _add(counts, together, step + from_key)
        elif key not in counts and one.vni not in self._vnis and len(counts) >= KEYS_MAX:
            self._overflowed = True
            _add(counts, together, step)
        else:
            _add(counts, key, step)

    def _count_returned(self, key: _Returned, step: int) -> None:
        if step > 0 and key not in self._returned and len(self._returned) >= RETURNED_MAX:
            return
        self._returned[key] = max(0, self._returned[key] + step)
        if not self._returned[key]:
            del self._returned[key]


def _add(counts: Counter[Any], key: object, step: int) -> None:
    counts[key] += step
    if not counts[key]:
        del counts[key]


def _counted(changes: Iterable[tuple[Verdicts | None, Verdicts | None]]) -> Iterator[tuple[Verdicts, int]]:
    """Yield verdicts with the number of MACs that they came to, or left if it is negative. Many MACs share one value."""
    counts: Counter[int] = Counter()
    found: dict[int, Verdicts] = {}

    def add(verdicts: Verdicts | None, count: int) -> None:
        if verdicts is not None:
            counts[id(verdicts)] += count
            found[id(verdicts)] = verdicts

    # MACs that came together share a value and follow each other here, so a run of them is one addition.
    gone: Verdicts | None = None
    come: Verdicts | None = None
    went = came = 0
    for old, new in changes:
        if old is not gone:
            add(gone, -went)
            gone, went = old, 0
        if new is not come:
            add(come, came)
            come, came = new, 0
        went += 1
        came += 1
    add(gone, -went)
    add(come, came)
    return ((found[number], count) for number, count in counts.items() if count)


def _own_rds(config: Config) -> frozenset[RouteDistinguisher]:
    ours = {vni.rd for vni in config.vnis} | {vrf.rd for vrf in config.vrfs}
    return frozenset(rd for rd in ours if rd is not None)


def _refused_macs(verdicts: Verdicts) -> Iterator[Candidate]:
    return (candidate for candidate in verdicts if candidate.verdict == "refused" and not candidate.port)
