"""The RemoteMacTable's next version, while what changed of it is being judged.

Keeps the rule that a full VNI takes no new MAC, and tells whether the meaning changed. Which route wins is decided in
`macs`; nothing here looks at a route but to ask.
"""

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from msgspec import structs

from vtep.addr import Ip, Mac, Vni
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.rib import Rib
from vtep.evpn.station import LocalClaim
from vtep.intent import (
    Candidate,
    Intent,
    Moves,
    Outcome,
    OwnKey,
    OwnMac,
    RemoteMac,
    RowKey,
    Verdicts,
    all_outcomes,
    in_words,
    is_lost_here,
    keys_of,
)
from vtep.projection import mobility
from vtep.projection.fast import judge_plain, rank, rows_alone
from vtep.projection.mac import Before, Judgement, judge_mac
from vtep.projection.policy import Policy
from vtep.store.table import Table

DUE_AT_ONCE: Final = 1024
"""Judging so many takes 10 to 20 ms."""
_NOBODY: Final[Table[Mac, bool]] = Table()

K = TypeVar("K")
V = TypeVar("V")


class MacDraft:
    """The changes to the previous intent, while they are being found."""

    def __init__(self, previous: Intent, policy: Policy) -> None:
        self.previous = previous
        self.policy = policy
        self.macs: dict[RowKey, RemoteMac | None] = {}
        self.judged: dict[Mac, Verdicts | None] = {}
        self.alerts: dict[RowKey, tuple | None] = {}  # type: ignore[type-arg]
        self.moves: dict[RowKey, Moves | None] = {}
        self.limited: dict[Vni, dict[Mac, bool | None]] = {}
        self.rows: dict[Vni, int] = {}
        self.own: dict[OwnKey, OwnMac | None] = {}
        self.own_hosts: dict[RowKey, frozenset[Ip] | None] = {}
        self.lost: list[RowKey] = []
        self.unverified: list[RowKey] = []
        self.meaning_changed = False
        self._more_due = False
        self._has_limited = bool(previous.limited)
        self._has_own = bool(previous.own)
        self._has_past = bool(previous.moves or previous.alerts or self._has_limited or self._has_own)

    def clear(self, keys: Iterable[RowKey]) -> Iterator[RowKey]:
        """Forget how often these moved, not where they were last: going there is no move."""
        for key in keys:
            moves = self.previous.moves.get(key)
            if moves is not None:
                self.moves[key] = Moves(location=moves.location)
                yield key

    def take_due(self, now: float) -> list[RowKey]:
        """Return those that time alone changes, looking through all that moved only when there is one.

        After a storm of moves a million are due at about the same time, so the rest of them stay due, and come next.
        """
        if self.previous.due is None or now < self.previous.due:
            return []
        due = list(islice(self._due_at(now), DUE_AT_ONCE))
        self._more_due = len(due) == DUE_AT_ONCE
        return due

    def _due_at(self, now: float) -> Iterator[RowKey]:
        for key, moves in self.previous.moves.unordered():
            time = mobility.due(moves, self.policy.duplicates)
            if time is not None and now >= time:
                yield key

    def judge(self, mac: Mac, vnis: frozenset[Vni], rib: Rib, now: float) -> None:
        """Judge a MAC, at least in these VNIs, and note what is different now."""
        routes = rib.index.routes_of(mac)
        may_be_plain = mac not in rib.index.local_claims and mac not in self.judged
        if may_be_plain and self._judge_plainly(mac, routes, vnis, rib, now):
            return
        vnis_before = vnis.union(vni for vni, _ in keys_of(self.previous, mac))
        before = partial(self._before, mac)
        self._take(mac, judge_mac(mac, rib, self.policy, vnis_before, before, now))

    def judge_lone(self, macs: Collection[Mac], rib: Rib) -> Collection[Mac]:
        """Go the shortest way with MACs that are new or stay, where nothing is remembered of any; return the others.

        Where not all of them may have room, they are left in their order, which decides who has.
        """
        if self._has_past or len(self.previous.macs) + len(macs) > self.policy.macs_per_vni:
            return macs
        judged = self.judged
        others = []
        for (mac, row), told in zip(rows_alone(macs, rib, self.policy), self.previous.judged.of(macs), strict=True):
            old = told if isinstance(told, RemoteMac) else None
            if row is None or old is not told or _moved(old, row):
                others.append(mac)
            elif row != old:
                self._note_row((row.vni, mac), old, row)
                judged[mac] = row
        return others

    def _judge_plainly(self, mac: Mac, routes: tuple[MacIp, ...], vnis: frozenset[Vni], rib: Rib, now: float) -> bool:
        """Go the short way with a MAC that is, and was, in one VNI at most; false if it is not that plain."""
        before = self.previous.judged.get(mac)
        ranked = rank(routes, self.policy)
        if ranked:
            vni = ranked[0][0].vni
        elif routes or before is None:
            return False
        else:
            vni = (before if isinstance(before, RemoteMac) else before[0]).vni
        if (vnis and vnis != {vni}) or not (before is None or _is_only_of(before, vni)):
            return False
        key = (vni, mac)
        old = None if before is None else self._row_in(before, key)
        location = self._home(key) if old is None else old.location
        row, told = judge_plain(ranked, rib) if ranked else (None, ())
        if not self._follow(key, location, row, now):
            return False
        if old is None:
            row, told = self._within_limit(key, old, row, told)
            self._put_own(key, None)
        if row != old:
            self._note_row(key, old, row)
        if told != before:
            self.judged[mac] = told or None
        return True

    def _row_in(self, story: Verdicts, key: RowKey) -> RemoteMac | None:
        """Return the row of before, which is nearly always the first that was told."""
        first = story if isinstance(story, RemoteMac) else story[0]
        return first if isinstance(first, RemoteMac) else self.previous.macs.get(key)

    def _follow(self, key: RowKey, location: bytes | None, row: RemoteMac | None, now: float) -> bool:
        """Note what is remembered of a plain MAC that was at this place; false if it is frozen, and not that plain."""
        known = _now(self.moves, self.previous.moves, key)
        if row is not None:
            moves = mobility.follow(known, location, row.via.vtep, row.via, self.policy.duplicates, now)
        else:
            moves = mobility.idle(known, self.policy.duplicates, now) if known else None
        if moves is not None and moves.frozen is not None:
            return False
        if moves != known:
            self.moves[key] = moves
        _put(self.alerts, self.previous.alerts, key, mobility.alerts(moves) or None if row else None)
        return True

    def _before(self, mac: Mac, vni: Vni) -> Before:
        key = (vni, mac)
        row = _now(self.macs, self.previous.macs, key)
        return Before(row, _now(self.moves, self.previous.moves, key), self._home(key))

    def _home(self, key: RowKey) -> Ip | None:
        """Return our address where the MAC was here."""
        if not (self._has_own or self.own) or _now(self.own_hosts, self.previous.own_hosts, key) is None:
            return None
        vni = self.policy.vnis.get(key[0])
        return None if vni is None else vni.vtep

    def _take(self, mac: Mac, judgements: dict[Vni, Judgement]) -> None:
        story: tuple[Outcome, ...] = ()
        for vni, judgement in judgements.items():
            key = (vni, mac)
            old = _now(self.macs, self.previous.macs, key)
            row, told = self._within_limit(key, old, judgement.row, judgement.candidates)
            if row != old:
                self._note_row(key, old, row)
            if judgement.lost and row is not None and not is_lost_here(self.previous, key):
                self.macs[key] = row  # the row may be what it was, and is above a station now
            _put(self.alerts, self.previous.alerts, key, judgement.alerts or None)
            _put(self.moves, self.previous.moves, key, judgement.moves)
            self._put_own(key, judgement.own)
            self.lost += (key,) if judgement.lost else ()
            self.unverified += (key,) if judgement.unverified else ()
            story += all_outcomes(told)
        self.judged[mac] = story or None

    def _put_own(self, key: RowKey, local_claim: LocalClaim | None) -> None:
        """Put what is announced of a station, or nothing, in the place of what was."""
        if local_claim is None and not (self._has_own or self.own):
            return
        before = _now(self.own_hosts, self.previous.own_hosts, key)
        there: dict[Ip | None, OwnMac] = {}
        if local_claim is not None:
            there = {ip: _own(local_claim, ip) for ip in (None, *local_claim.station.hosts)}
        _put(self.own_hosts, self.previous.own_hosts, key, None if local_claim is None else local_claim.station.hosts)
        for ip in dict.fromkeys((None, *(before or ()), *there)):
            row = there.get(ip)
            if _now(self.own, self.previous.own, (*key, ip)) != row:
                self.own[*key, ip] = row
                self.meaning_changed = True

    def _within_limit(
        self, key: RowKey, old: RemoteMac | None, row: RemoteMac | None, story: Verdicts | tuple[()]
    ) -> tuple[RemoteMac | None, Verdicts | tuple[()]]:
        """A VNI that is full takes no new MAC; those it has go on."""
        full = row is not None and old is None and self._rows(key[0]) >= self.policy.macs_per_vni
        if full != self._is_limited(key):
            self.limited.setdefault(key[0], {})[key[1]] = full or None
        return (None, tuple(map(_refused, all_outcomes(story)))) if full else (row, story)

    def freed(self) -> list[Mac]:
        """Return MACs that were refused for want of room, as many as there is room for now.

        Which ones is nobody's promise. A million may wait where a few places are free, so not even they are all looked at.
        """
        most = self.policy.macs_per_vni
        full = {vni for vni in self.rows if self.previous.rows_of_vni.get(vni, 0) >= most} | self.limited.keys()
        return [mac for vni in full for mac in islice(self._waiting(vni), max(0, most - self._rows(vni)))]

    def _waiting(self, vni: Vni) -> Iterator[Mac]:
        before, now = self.previous.limited.get(vni, _NOBODY), self.limited.get(vni, {})
        yield from (mac for mac, _ in before.unordered() if mac not in now)
        yield from (mac for mac, waits in now.items() if waits)

    def _is_limited(self, key: RowKey) -> bool:
        vni, mac = key
        if not (self._has_limited or self.limited):
            return False
        now = self.limited.get(vni, {})
        return bool(now[mac]) if mac in now else mac in self.previous.limited.get(vni, _NOBODY)

    def apply(self, now: float) -> Intent:
        """Return the previous intent with what was judged."""
        previous = self.previous
        moves = _changed(previous.moves, self.moves)
        return structs.replace(
            previous,
            macs=_changed(previous.macs, self.macs),
            judged=_changed(previous.judged, self.judged),
            alerts=_changed(previous.alerts, self.alerts),
            moves=moves,
            limited=_changed(previous.limited, {vni: self._limited_in(vni) or None for vni in self.limited}),
            rows_of_vni=_changed(previous.rows_of_vni, {vni: count or None for vni, count in self.rows.items()}),
            own=_changed(previous.own, self.own),
            own_hosts=_changed(previous.own_hosts, self.own_hosts),
            touched=tuple(self.macs),
            own_touched=tuple(self.own),
            lost=tuple(self.lost),
            unverified=tuple(self.unverified),
            due=self._due(moves, now),
        )

    def _note_row(self, key: RowKey, old: RemoteMac | None, row: RemoteMac | None) -> None:
        self.macs[key] = row
        if row is None or old is None:
            self.rows[key[0]] = self._rows(key[0]) + (1 if old is None else -1)
            self.meaning_changed = True
        elif row.via != old.via:
            self.meaning_changed = True

    def _rows(self, vni: Vni) -> int:
        count = self.rows.get(vni)
        return self.previous.rows_of_vni.get(vni, 0) if count is None else count

    def _limited_in(self, vni: Vni) -> Table[Mac, bool]:
        before: Table[Mac, bool] = self.previous.limited.get(vni, _NOBODY)
        return before.changed(self.limited[vni])

    def _due(self, moves: Table[RowKey, Moves], now: float) -> float | None:
        """Look through all moving MACs only when one of them is due, and else at those that moved just now."""
        rule = self.policy.duplicates
        known = self.previous.due
        if known is not None and (now < known or self._more_due):
            times = [known, *(mobility.due(moved, rule) for moved in self.moves.values() if moved is not None)]
        else:
            times = [mobility.due(moved, rule) for _, moved in moves.unordered()]
        return min((time for time in times if time is not None), default=None)


def _moved(old: RemoteMac | None, row: RemoteMac) -> bool:
    return old is not None and (old.vni, old.location) != (row.vni, row.location)


def _own(local_claim: LocalClaim, ip: Ip | None) -> OwnMac:
    station = local_claim.station
    return OwnMac(station.vni, station.mac, ip, local_claim.seq, station.static, station.gateway)


def _is_only_of(story: Verdicts, vni: Vni) -> bool:
    return {told.vni for told in all_outcomes(story)} == {vni}


def _refused(told: Outcome) -> Candidate:
    """Who would have won did so for nothing."""
    candidate = in_words(told)
    return structs.replace(candidate, verdict="refused", reason="limit") if candidate.verdict == "won" else candidate


def _now(changes: dict[K, V | None], table: Table[K, V], key: K) -> V | None:
    return changes[key] if key in changes else table.get(key)


def _put(changes: dict[RowKey, V | None], table: Table[RowKey, V], key: RowKey, value: V | None) -> None:
    if _now(changes, table, key) != value:
        changes[key] = value


def _changed(table: Table[K, V], changes: dict[K, V | None]) -> Table[K, V]:
    return table.changed(changes) if changes else table
