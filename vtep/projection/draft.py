"""The projector of the MAC table: which remote MACs this leaf has rows for, and which MACs are its own.

`project_macs` judges the MACs that changed, those whose duplicate detection is due, and those that wait for room, and
returns the next version of the table. `MacDraft` collects what is different from the previous intent, keeps the rule that a
full VNI takes no new MAC, and notices whether the meaning changed. Most MACs take the short path of `fast.py`; the others,
and all of them where `Inputs.short_path` is off, are judged by `mac.py`. Both give the same result.

This module does not know which route is better or usable.
"""

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from msgspec import structs

from vtep.addr import Ip, Mac, Vni
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
from vtep.projection.projector import Inputs
from vtep.store.table import Table

DUE_AT_ONCE: Final = 1024
"""How many MACs that are due one projection judges: about 10 to 20 ms of work."""
_NO_MACS: Final[Table[Mac, bool]] = Table()

K = TypeVar("K")
V = TypeVar("V")


def project_macs(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the rows of what changed, and whether that changed its meaning."""
    draft = MacDraft(intent, inputs)
    todo = dict.fromkeys(draft.judge_single_routes(inputs.changed.macs), frozenset[Vni]())
    for vni, mac in (*draft.clear(inputs.cleared), *draft.take_due()):
        todo[mac] = todo.get(mac, frozenset()) | {vni}
    for mac, vnis in todo.items():
        draft.judge(mac, vnis)
    for mac in draft.freed():
        draft.judge(mac, frozenset())
    return draft.apply(), draft.meaning_changed


class MacDraft:
    """What is different from the previous intent, while it is being worked out."""

    def __init__(self, previous: Intent, inputs: Inputs) -> None:
        self.previous = previous
        self.inputs = inputs
        self.rib = inputs.rib
        self.policy = inputs.policy
        self.now = inputs.now
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
        """Forget how often these MACs moved, but not where they were last: staying there must not count as a move."""
        for key in keys:
            moves = self.previous.moves.get(key)
            if moves is not None:
                self.moves[key] = Moves(location=moves.location)
                yield key

    def take_due(self) -> list[RowKey]:
        """Return the MACs that time alone changes. This looks through all that moved lately, but only if one is due.

        After a storm of moves a million may be due at about the same time. Those beyond `DUE_AT_ONCE` stay due.
        """
        if self.previous.due is None or self.now < self.previous.due:
            return []
        due = list(islice(self._due_now(), DUE_AT_ONCE))
        self._more_due = len(due) == DUE_AT_ONCE
        return due

    def _due_now(self) -> Iterator[RowKey]:
        for key, moves in self.previous.moves.unordered():
            time = mobility.due(moves, self.policy.duplicates)
            if time is not None and self.now >= time:
                yield key

    def judge(self, mac: Mac, vnis: frozenset[Vni]) -> None:
        """Judge a MAC, at least in these VNIs, and note what is different now."""
        if self._judge_by_short_path(mac, vnis):
            return
        vnis_before = vnis.union(vni for vni, _ in keys_of(self.previous, mac))
        self._take(mac, judge_mac(mac, self.rib, self.policy, vnis_before, partial(self._before, mac), self.now))

    def judge_single_routes(self, macs: Collection[Mac]) -> Collection[Mac]:
        """Judge the MACs that have one plain route, and are new or stay where they are; return the others.

        This shortest path is for MACs without a past, so it is taken only if no MAC of the intent has one. Where there may
        not be room for all of them, it is not taken, because their order decides which ones get a row.
        """
        is_full = len(self.previous.macs) + len(macs) > self.policy.macs_per_vni
        if not self.inputs.short_path or self._has_past or is_full:
            return macs
        judged = self.judged
        others = []
        known = self.previous.judged.of(macs)
        for (mac, row), before in zip(rows_alone(macs, self.rib, self.policy), known, strict=True):
            old = before if isinstance(before, RemoteMac) else None
            if row is None or old is not before or _moved(old, row):
                others.append(mac)
            elif row != old:
                self._note_row((row.vni, mac), old, row)
                judged[mac] = row
        return others

    def _judge_by_short_path(self, mac: Mac, vnis: frozenset[Vni]) -> bool:
        """Judge a MAC that is, and was, in one VNI at most; return false if the short path is not enough for it."""
        if not self.inputs.short_path or mac in self.rib.index.local_claims or mac in self.judged:
            return False
        if self.rib.refused_routes(mac):
            return False
        routes = self.rib.index.routes_of(mac)
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
        row, verdicts = judge_plain(ranked, self.rib) if ranked else (None, ())
        if not self._follow(key, location, row):
            return False
        if old is None:
            row, verdicts = self._within_limit(key, old, row, verdicts)
            self._put_own(key, None)
        if row != old:
            self._note_row(key, old, row)
        if verdicts != before:
            self.judged[mac] = verdicts or None
        return True

    def _row_in(self, verdicts: Verdicts, key: RowKey) -> RemoteMac | None:
        """Return the previous row, which is nearly always the first of the verdicts."""
        first = verdicts if isinstance(verdicts, RemoteMac) else verdicts[0]
        return first if isinstance(first, RemoteMac) else self.previous.macs.get(key)

    def _follow(self, key: RowKey, location: bytes | None, row: RemoteMac | None) -> bool:
        """Note the moves of a MAC that was at this location; return false if it is frozen, because `mac.py` judges that."""
        known = _now(self.moves, self.previous.moves, key)
        if row is not None:
            moves = mobility.follow(known, location, row.via.vtep, row.via, self.policy.duplicates, self.now)
        else:
            moves = mobility.idle(known, self.policy.duplicates, self.now) if known else None
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
        """Return our own VTEP address if the MAC was behind this leaf."""
        if not (self._has_own or self.own) or _now(self.own_hosts, self.previous.own_hosts, key) is None:
            return None
        vni = self.policy.vnis.get(key[0])
        return None if vni is None else vni.vtep

    def _take(self, mac: Mac, judgements: dict[Vni, Judgement]) -> None:
        verdicts: tuple[Outcome, ...] = ()
        for vni, judgement in judgements.items():
            key = (vni, mac)
            old = _now(self.macs, self.previous.macs, key)
            row, outcomes = self._within_limit(key, old, judgement.row, judgement.candidates)
            if row != old:
                self._note_row(key, old, row)
            if judgement.lost and row is not None and not is_lost_here(self.previous, key):
                self.macs[key] = row  # touched even if it is equal: it must now replace a station's entry
            _put(self.alerts, self.previous.alerts, key, judgement.alerts or None)
            _put(self.moves, self.previous.moves, key, judgement.moves)
            self._put_own(key, judgement.own)
            self.lost += (key,) if judgement.lost else ()
            self.unverified += (key,) if judgement.unverified else ()
            verdicts += all_outcomes(outcomes)
        self.judged[mac] = verdicts or None

    def _put_own(self, key: RowKey, local_claim: LocalClaim | None) -> None:
        """Replace what this leaf advertises for a MAC: its station and the host addresses, or nothing."""
        if local_claim is None and not (self._has_own or self.own):
            return
        before = _now(self.own_hosts, self.previous.own_hosts, key)
        rows: dict[Ip | None, OwnMac] = {}
        if local_claim is not None:
            rows = {ip: _own(local_claim, ip) for ip in (None, *local_claim.station.hosts)}
        _put(self.own_hosts, self.previous.own_hosts, key, None if local_claim is None else local_claim.station.hosts)
        for ip in dict.fromkeys((None, *(before or ()), *rows)):
            row = rows.get(ip)
            if _now(self.own, self.previous.own, (*key, ip)) != row:
                self.own[*key, ip] = row
                self.meaning_changed = True

    def _within_limit(
        self, key: RowKey, old: RemoteMac | None, row: RemoteMac | None, verdicts: Verdicts | tuple[()]
    ) -> tuple[RemoteMac | None, Verdicts | tuple[()]]:
        """Refuse a new MAC if its VNI is full; the MACs that have a row keep it."""
        full = row is not None and old is None and self._rows(key[0]) >= self.policy.macs_per_vni
        if full != self._is_limited(key):
            self.limited.setdefault(key[0], {})[key[1]] = full or None
        return (None, tuple(map(_refused, all_outcomes(verdicts)))) if full else (row, verdicts)

    def freed(self) -> list[Mac]:
        """Return MACs that were refused because their VNI was full, as many as there is room for now.

        No order is promised. A million may wait for a few places, so this does not look at all of them.
        """
        most = self.policy.macs_per_vni
        full = {vni for vni in self.rows if self.previous.rows_of_vni.get(vni, 0) >= most} | self.limited.keys()
        return [mac for vni in full for mac in islice(self._waiting(vni), max(0, most - self._rows(vni)))]

    def _waiting(self, vni: Vni) -> Iterator[Mac]:
        before, now = self.previous.limited.get(vni, _NO_MACS), self.limited.get(vni, {})
        yield from (mac for mac, _ in before.unordered() if mac not in now)
        yield from (mac for mac, waits in now.items() if waits)

    def _is_limited(self, key: RowKey) -> bool:
        vni, mac = key
        if not (self._has_limited or self.limited):
            return False
        now = self.limited.get(vni, {})
        return bool(now[mac]) if mac in now else mac in self.previous.limited.get(vni, _NO_MACS)

    def apply(self) -> Intent:
        """Return the previous intent with all changes."""
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
            due=self._due(moves),
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
        before: Table[Mac, bool] = self.previous.limited.get(vni, _NO_MACS)
        return before.changed(self.limited[vni])

    def _due(self, moves: Table[RowKey, Moves]) -> float | None:
        """Return when a MAC is due next. This looks through all that moved only if one was due, and otherwise at the new ones."""
        rule = self.policy.duplicates
        known = self.previous.due
        if known is not None and (self.now < known or self._more_due):
            times = [known, *(mobility.due(moved, rule) for moved in self.moves.values() if moved is not None)]
        else:
            times = [mobility.due(moved, rule) for _, moved in moves.unordered()]
        return min((time for time in times if time is not None), default=None)


def _moved(old: RemoteMac | None, row: RemoteMac) -> bool:
    return old is not None and (old.vni, old.location) != (row.vni, row.location)


def _own(local_claim: LocalClaim, ip: Ip | None) -> OwnMac:
    station = local_claim.station
    return OwnMac(station.vni, station.mac, ip, local_claim.seq, station.static, station.gateway)


def _is_only_of(verdicts: Verdicts, vni: Vni) -> bool:
    return {outcome.vni for outcome in all_outcomes(verdicts)} == {vni}


def _refused(outcome: Outcome) -> Candidate:
    """Turn a winning candidate into a refused one, because the VNI is at its limit."""
    candidate = in_words(outcome)
    return structs.replace(candidate, verdict="refused", reason="limit") if candidate.verdict == "won" else candidate


def _now(changes: dict[K, V | None], table: Table[K, V], key: K) -> V | None:
    return changes[key] if key in changes else table.get(key)


def _put(changes: dict[RowKey, V | None], table: Table[RowKey, V], key: RowKey, value: V | None) -> None:
    if _now(changes, table, key) != value:
        changes[key] = value


def _changed(table: Table[K, V], changes: dict[K, V | None]) -> Table[K, V]:
    return table.changed(changes) if changes else table
