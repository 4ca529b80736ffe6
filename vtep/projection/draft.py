"""The projector of the MAC table: which remote MACs this leaf has rows for, and which MACs are its own.

`project_macs` judges the MACs that changed, those whose duplicate detection is due, and those that wait for room, and
returns the next version of the table. `MacDraft` collects what is different from the previous intent, keeps the rule that a
full VNI takes no new MAC, and notices whether the meaning changed.

MACs are judged together. Those of which the same is said, and of which the same was concluded before, are one group, and of a
group those that had the same row and the same record of moves are alike: what becomes of one of them becomes of all. A burst
of 2,000 changes is a dozen such groups.

    changed MACs ──> groups by (verdicts before, offers now) ──> alike: (row before, moves before) ──> one judgement each
         └──> one by one: a station of ours, a MAC of ours or a bad one, several VNIs, a freeze, a limit ──> `judge_mac`

Both ways give the same result, and `Inputs.alike` turns the first one off. This module does not know which route is better or
usable.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, islice, repeat
from typing import Final, TypeAlias, TypeVar

from msgspec import structs

from vtep.addr import NO_SEGMENT, ZERO_MAC, Esi, Ip, Mac, Vni
from vtep.evpn.offers import Offers
from vtep.evpn.station import LocalClaim
from vtep.intent import (
    Alert,
    Candidate,
    GroupKey,
    GroupUse,
    Intent,
    Moves,
    OwnKey,
    OwnMac,
    RemoteMac,
    RowChange,
    RowKey,
    Verdicts,
    is_lost_here,
    keys_of,
)
from vtep.projection import mobility
from vtep.projection.mac import Before, Judgement, judge_mac, standings_of
from vtep.projection.projector import Inputs
from vtep.projection.schedule import MovesChange, Schedule
from vtep.store.table import Table

DUE_AT_ONCE: Final = 1024
"""How many MACs that are due one projection judges: about 10 to 20 ms of work."""
_NO_MACS: Final[Table[Mac, bool]] = Table()
_NOTHING: Final = Judgement(())
_NO_USE: Final = GroupUse()
_NO_CHANGE: Final[Counter[Ip | None]] = Counter()

_Group: TypeAlias = tuple[Vni, list[Mac], Verdicts | None, Offers | None, Judgement]
"""MACs of one VNI with the verdicts before, what is said of them now, and what follows from that."""

K = TypeVar("K")
V = TypeVar("V")


def project_macs(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the rows of what changed, and whether that changed its meaning."""
    draft = MacDraft(intent, inputs)
    todo = dict.fromkeys(inputs.changed.macs, frozenset[Vni]())
    for vni, mac in (*draft.clear(inputs.cleared), *draft.take_due()):
        todo[mac] = todo.get(mac, frozenset()) | {vni}
    draft.judge(todo)
    draft.judge(dict.fromkeys(draft.freed(), frozenset()))
    return draft.apply(), draft.meaning_changed


class MacDraft:
    """What is different from the previous intent, while it is being worked out."""

    def __init__(self, previous: Intent, inputs: Inputs) -> None:
        self.previous = previous
        self.inputs = inputs
        self.rib = inputs.rib
        self.policy = inputs.policy
        self.now = inputs.now
        # In each of these, only what differs from the previous intent is there, and None stands for what is gone.
        self.row_changes: list[RowChange] | None = []
        """What becomes of the rows, with the rows together that share their values; None if that is not known for each row."""
        self.macs: dict[RowKey, RemoteMac | None] = {}
        """The rows. The reconciler looks at these keys only. An equal row is here if it must replace a station's."""
        self.judged: dict[Mac, Verdicts | None] = {}
        """Every route of a MAC in all VNIs, with its verdict."""
        self.addresses: dict[Mac, tuple[Ip, ...] | None] = {}
        """The host addresses of a MAC, in order: a shared path has the position of one, and not the address."""
        self.alerts: dict[RowKey, tuple[Alert, ...] | None] = {}
        self.moves: dict[RowKey, Moves | None] = {}
        """The record of duplicate detection."""
        self._moves_changes: list[MovesChange] = []
        """The same by what the record was before and is now."""
        self.limited: dict[Vni, dict[Mac, bool | None]] = {}
        """MACs that wait for room in a full VNI (True), or no longer wait (None)."""
        self.rows: dict[Vni, int] = {}
        """How many rows a VNI has now."""
        self.uses: dict[GroupKey, Counter[Ip | None]] = {}
        """Changes in how many MACs need a group, and how many of these each VTEP advertises; all of them are at None."""
        self.groups_used = len(previous.group_uses)
        self.ungrouped: dict[Vni, int] = {}
        """How many rows of a VNI go to one VTEP of a segment because there was no room for a group (`group-limit`)."""
        self.own: dict[OwnKey, OwnMac | None] = {}
        """What this leaf advertises: one route for the MAC alone, and one for each of its host addresses."""
        self.own_hosts: dict[RowKey, frozenset[Ip] | None] = {}
        """The MACs behind this leaf, with their host addresses, which may be none."""
        self.lost: list[RowKey] = []
        """Stations that have just lost to a better route."""
        self.unverified: list[RowKey] = []
        """Stations that lost earlier, and whose MAC no usable route offers now: the bridge must be read."""
        self.meaning_changed = False
        self._more_freed = False
        self._schedule = Schedule(previous, inputs.policy.duplicates)
        self._has_limited = bool(previous.limited)
        self._has_own = bool(previous.own)

    def clear(self, keys: Iterable[RowKey]) -> Iterator[RowKey]:
        """Forget how often these MACs moved, but not where they were last: staying there must not count as a move."""
        for key in keys:
            moves = self.previous.moves.get(key)
            if moves is not None:
                self._note_moves([key], moves, Moves(location=moves.location))
                yield key

    def take_due(self) -> list[RowKey]:
        """Return MACs that time alone changes. After a storm of moves a million may be due at about the same time."""
        return self._schedule.take(self.now, DUE_AT_ONCE)

    def judge(self, todo: Mapping[Mac, frozenset[Vni]]) -> None:
        """Judge these MACs, each at least in its VNIs, and note what is different now.

        Where a VNI may not have room for all of them, their order decides which ones get a row, so they go one by one.
        """
        most = self.policy.macs_per_vni - len(todo)
        has_room = (
            len(self.previous.macs) <= most
        )  # in all VNIs together; thousands of VNIs are looked at only near the limit
        if not has_room:
            has_room = most >= max((rows for _, rows in self.previous.rows_of_vni.unordered()), default=0)
        together = not self._has_limited and has_room and self.inputs.alike
        offers, addresses = self.rib.offers_of(todo)
        if self.previous.addresses or any(addresses):
            for mac, ips, known in zip(todo, addresses, self.previous.addresses.of(todo), strict=True):
                if ips != known:
                    self.addresses[mac] = ips
        groups: dict[tuple[int, int, frozenset[Vni]], list[Mac]] = {}
        values: dict[tuple[int, int, frozenset[Vni]], tuple[Verdicts | None, Offers | None]] = {}
        alone: list[tuple[Mac, Offers | None]] = []
        apart = self._apart(todo)
        for (mac, vnis), before, said in zip(todo.items(), self.previous.judged.of(todo), offers, strict=True):
            if not together or mac[0] & 1 or mac in apart:
                alone.append((mac, said))
                continue
            alike = (id(before), id(said), vnis)
            if (group := groups.get(alike)) is None:
                group, values[alike] = [], (before, said)
                groups[alike] = group
            group.append(mac)
        found: list[_Group] = []
        for alike, macs in groups.items():
            before, said = values[alike]
            standings = {} if said is None else standings_of(said, macs[0], self.rib, self.policy)
            concerned = standings.keys() | {candidate.vni for candidate in before or ()} | alike[2]
            if len(concerned) == 1:
                (vni,) = concerned
                found.append((vni, macs, before, said, standings[vni].alone if vni in standings else _NOTHING))
            elif concerned:
                alone += [(mac, said) for mac in macs]
        alone += self._take_groups(found)
        for mac, said in alone:
            vnis_before = todo[mac].union(vni for vni, _ in keys_of(self.previous, mac))
            past = partial(self._before, mac)
            found_here = judge_mac(mac, said, self.rib, self.policy, vnis_before, past, self.now)
            over = [vni for vni, judgement in found_here.items() if not self._has_group(judgement.row)]
            if over:
                alone_there = judge_mac(mac, said, self.rib, self.policy, over, past, self.now, may_group=False)
                found_here |= {vni: alone_there[vni] for vni in over}
            self._take(mac, found_here)

    def _apart(self, todo: Mapping[Mac, frozenset[Vni]]) -> set[Mac]:
        """Return the MACs among these that are judged one by one: those of this leaf, and those with refused routes."""
        refused = [peer.refused.keys() for peer in self.rib.peers.values() if peer.refused]
        others = (self.policy.own_macs, self.rib.index.local_claims.keys(), self.judged.keys(), *refused, {ZERO_MAC})
        return {mac for macs in others if macs for mac in todo.keys() & macs}

    def _take_groups(self, groups: list[_Group]) -> Iterator[tuple[Mac, Offers | None]]:
        """Note what becomes of groups of MACs; yield the MACs that must be judged one by one, with what is said of them."""
        keys = [(vni, mac) for vni, macs, *_ in groups for mac in macs]
        numbers = chain.from_iterable(repeat(number, len(macs)) for number, (_, macs, *_) in enumerate(groups))
        rows, moves = self.previous.macs.of(keys), self.previous.moves
        pasts: dict[tuple[int, int, int], tuple[RemoteMac | None, Moves | None, list[RowKey]]] = {}
        for key, number, row, moved in zip(
            keys, numbers, rows, moves.of(keys) if moves else repeat(None), strict=False
        ):
            if (self._has_own and key in self.previous.own_hosts) or key in self.moves:
                yield key[1], groups[number][3]
            elif (known := pasts.get(past := (number, id(row), id(moved)))) is None:
                pasts[past] = (row, moved, [key])
            else:
                known[2].append(key)
        for (number, _, _), (row, moved, alike) in pasts.items():
            _, _, before, said, judgement = groups[number]
            if not self._take_alike(alike, before, row, moved, judgement):
                yield from ((mac, said) for _, mac in alike)

    def _take_alike(
        self,
        keys: list[RowKey],
        before: Verdicts | None,
        old: RemoteMac | None,
        moved: Moves | None,
        judgement: Judgement,
    ) -> bool:
        """Note what becomes of MACs that had the same row and moves; return false if they must be judged one by one."""
        row, rule = judgement.row, self.policy.duplicates
        if (moved is not None and moved.frozen is not None) or not self._has_group(row):
            return False
        if row is not None:
            moves = mobility.follow(moved, None if old is None else old.location, row.location, row.via, rule, self.now)
        else:
            moves = mobility.idle(moved, rule, self.now) if moved else None
        if moves is not None and moves.frozen is not None:
            return False
        if row != old:
            self._note_rows(keys, old, row)
        if (judgement.candidates or None) != before:
            self.judged.update(dict.fromkeys([mac for _, mac in keys], judgement.candidates or None))
        if moves != moved:
            self._note_moves(keys, moved, moves)
        alerts = tuple(sorted({*judgement.alerts, *(mobility.alerts(moves) if row else ())})) or None
        if alerts or self.previous.alerts:
            for key in keys:
                _put(self.alerts, self.previous.alerts, key, alerts)
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
        verdicts: Verdicts = ()
        for vni, judgement in judgements.items():
            key = (vni, mac)
            old = _now(self.macs, self.previous.macs, key)
            row, candidates = self._within_limit(key, old, judgement.row, judgement.candidates)
            if row != old:
                self._note_rows([key], old, row)
            if judgement.lost and row is not None and not is_lost_here(self.previous, key):
                self.macs[key] = row  # touched even if it is equal: it must now replace a station's entry
                self.row_changes = None
            _put(self.alerts, self.previous.alerts, key, judgement.alerts or None)
            if _now(self.moves, self.previous.moves, key) != judgement.moves:
                self._note_moves([key], self.previous.moves.get(key), judgement.moves)
            self._put_own(key, judgement.own)
            self.lost += (key,) if judgement.lost else ()
            self.unverified += (key,) if judgement.unverified else ()
            verdicts += candidates
        self.judged[mac] = verdicts or None

    def _put_own(self, key: RowKey, local_claim: LocalClaim | None) -> None:
        """Replace what this leaf advertises for a MAC: its station and the host addresses, or nothing."""
        if local_claim is None and not (self._has_own or self.own):
            return
        known = _now(self.own, self.previous.own, (*key, None))
        if local_claim is None and known is not None and known.proxy:
            return  # `own_segment.py` says what is advertised for others
        before = _now(self.own_hosts, self.previous.own_hosts, key)
        rows: dict[Ip | None, OwnMac] = {}
        if local_claim is not None:
            segment = self.policy.segment_of_port.get((key[0], local_claim.station.port), NO_SEGMENT)
            rows = {ip: _own(local_claim, ip, segment) for ip in (None, *local_claim.station.hosts)}
        _put(self.own_hosts, self.previous.own_hosts, key, None if local_claim is None else local_claim.station.hosts)
        for ip in dict.fromkeys((None, *(before or ()), *rows)):
            row = rows.get(ip)
            if _now(self.own, self.previous.own, (*key, ip)) != row:
                self.own[*key, ip] = row
                self.meaning_changed = True

    def _within_limit(
        self, key: RowKey, old: RemoteMac | None, row: RemoteMac | None, verdicts: Verdicts
    ) -> tuple[RemoteMac | None, Verdicts]:
        """Refuse a new MAC if its VNI is full; the MACs that have a row keep it."""
        full = row is not None and old is None and self._rows(key[0]) >= self.policy.macs_per_vni
        if full != self._is_limited(key):
            self.limited.setdefault(key[0], {})[key[1]] = full or None
        return (None, tuple(map(_refused, verdicts))) if full else (row, verdicts)

    def _has_group(self, row: RemoteMac | None) -> bool:
        """Return whether a row may name its group: others need it already, or there is room for one more."""
        group = None if row is None else row.group
        return group is None or self.groups_used < self.policy.segment_groups or self._macs_of(group) > 0

    def _macs_of(self, group: GroupKey) -> int:
        """Return how many MACs need a group now."""
        before: GroupUse = self.previous.group_uses.get(group, _NO_USE)
        return before.macs + self.uses.get(group, _NO_CHANGE)[None]

    def freed(self) -> list[Mac]:
        """Return MACs that were refused because their VNI was full, as many as there is room for now.

        No order is promised. A million may wait for a few places, so this does not look at all of them. After a reload there
        may be a place for each of the million: those beyond `DUE_AT_ONCE` stay due.
        """
        limited = self.limited.keys() | {vni for vni, _ in self.previous.limited.unordered()}
        room = {vni: max(0, self.policy.macs_per_vni - self._rows(vni)) for vni in limited}
        freed = list(islice((mac for vni in room for mac in islice(self._waiting(vni), room[vni])), DUE_AT_ONCE))
        self._more_freed = len(freed) == DUE_AT_ONCE
        return freed

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
        due = self._schedule.note(self._moves_changes, self.moves, self.now)
        return structs.replace(
            previous,
            macs=_changed(previous.macs, self.macs),
            judged=_changed(previous.judged, self.judged),
            addresses=_changed(previous.addresses, self.addresses),
            alerts=_changed(previous.alerts, self.alerts),
            moves=_changed(previous.moves, self.moves),
            moves_due=self._schedule.times,
            moves_rule=self._schedule.rule,
            limited=_changed(previous.limited, {vni: self._limited_in(vni) or None for vni in self.limited}),
            rows_of_vni=_changed(previous.rows_of_vni, {vni: count or None for vni, count in self.rows.items()}),
            own=_changed(previous.own, self.own),
            own_hosts=_changed(previous.own_hosts, self.own_hosts),
            group_uses=_changed(previous.group_uses, {key: self._use(key) for key in self.uses}),
            ungrouped_of_vni=_changed(
                previous.ungrouped_of_vni, {vni: count or None for vni, count in self.ungrouped.items()}
            ),
            touched_group_uses=tuple(self.uses),
            touched=tuple(self.macs),
            row_changes=None if self.row_changes is None else tuple(self.row_changes),
            own_touched=tuple(self.own),
            lost=tuple(self.lost),
            unverified=tuple(self.unverified),
            due=self.now if self._more_freed else due,
        )

    def _note_rows(self, keys: list[RowKey], old: RemoteMac | None, row: RemoteMac | None) -> None:
        """Note one row for keys of one VNI that had the same row before."""
        if self.row_changes is not None:
            self.row_changes.append(RowChange(old, row, keys))
        self.macs.update(dict.fromkeys(keys, row))
        vni = keys[0][0]
        for one, count in ((old, -len(keys)), (row, len(keys))):
            if one is not None and (group := one.group) is not None:
                used = self._macs_of(group) > 0
                uses = self.uses.setdefault(group, Counter())
                for vtep in (None, *one.advertisers):
                    uses[vtep] += count
                self.groups_used += (self._macs_of(group) > 0) - used
            elif one is not None and "group-limit" in one.notes:
                self.ungrouped[vni] = self.ungrouped.get(vni, self.previous.ungrouped_of_vni.get(vni, 0)) + count
        if row is None or old is None:
            self.rows[vni] = self._rows(vni) + (len(keys) if old is None else -len(keys))
            self.meaning_changed = True
        elif row.via != old.via:
            self.meaning_changed = True

    def _note_moves(self, keys: list[RowKey], before: Moves | None, after: Moves | None) -> None:
        """Note the record of MACs that had the same record in the previous intent."""
        self.moves.update(dict.fromkeys(keys, after))
        self._moves_changes.append((keys, before, after))

    def _use(self, key: GroupKey) -> GroupUse | None:
        """Return what needs a group now."""
        before = self.previous.group_uses.get(key, _NO_USE)
        counts = Counter(dict(before.advertisers))
        counts.update({vtep: count for vtep, count in self.uses[key].items() if vtep is not None})
        macs = before.macs + self.uses[key][None]
        advertisers = tuple(sorted((vtep, count) for vtep, count in counts.items() if count))
        return GroupUse(macs, advertisers) if macs else None

    def _rows(self, vni: Vni) -> int:
        count = self.rows.get(vni)
        return self.previous.rows_of_vni.get(vni, 0) if count is None else count

    def _limited_in(self, vni: Vni) -> Table[Mac, bool]:
        before: Table[Mac, bool] = self.previous.limited.get(vni, _NO_MACS)
        return before.changed(self.limited[vni])


def _own(local_claim: LocalClaim, ip: Ip | None, segment: Esi) -> OwnMac:
    station = local_claim.station
    return OwnMac(station.vni, station.mac, ip, local_claim.seq, station.static, station.gateway, segment)


def _refused(candidate: Candidate) -> Candidate:
    """Turn a winning candidate into a refused one, because the VNI is at its limit."""
    return structs.replace(candidate, verdict="refused", reason="limit") if candidate.verdict == "won" else candidate


def _now(changes: dict[K, V | None], table: Table[K, V], key: K) -> V | None:
    return changes[key] if key in changes else table.get(key)


def _put(changes: dict[RowKey, V | None], table: Table[RowKey, V], key: RowKey, value: V | None) -> None:
    if _now(changes, table, key) != value:
        changes[key] = value


def _changed(table: Table[K, V], changes: dict[K, V | None]) -> Table[K, V]:
    return table.changed(changes) if changes else table
