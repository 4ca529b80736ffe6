"""What a claim is, and when it makes a row ours. Pure: how claims outlive the process is the business of the ledger file.

A claim is written before its row. After a crash it is not known whether the row followed, so a claim that was read back is
unconfirmed. It covers only the values that we may have left there: the new one and those before it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from vtep.reconcile.contract import Key, Kind, Row, Seen, vnis_by
from vtep.reconcile.descriptor import VNI_FIRST
from vtep.store.sharded import ShardedDict


class Moment(Struct, frozen=True, gc=False):
    """A time, and the intent at that time. All rows of a pass share one value."""

    generation: int
    """The generation of the intent that was in force."""
    time: float
    """In seconds, by the clock of the actor."""


class Claim(Struct, frozen=True, gc=False):
    """We wrote this row, or were about to write it."""

    row: Row
    """The value that was written, or is about to be."""
    rank: int = 0
    """The rank of the row, for a start at which not every peer has sent its routes yet."""
    before: tuple[Row, ...] = ()
    """What we may have there still, while the new value is unconfirmed: first what was known to be there, then what was tried."""
    confirmed: bool = False
    """The target has the row as claimed: it took the write without an error, or a look showed the row."""
    since: Moment | None = None
    """When the row was first known to be there as claimed."""
    adopted: bool = False
    """An operator handed the row over: it is ours although it bears the marks of the daemon that wrote it."""
    any_row: bool = False
    """Until it is confirmed it covers any row of ours at its key, since the ledger could not note every change."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """The values of which one may be there."""
        return (self.row,) if self.confirmed else (self.row, *self.before)


class RowGroup(Struct, frozen=True):
    """Rows of one VNI that have one value and one rank."""

    keys: list[Key]
    """All of them in one VNI."""
    row: Row
    """The value that all of them get, or have."""
    rank: int = 0
    """How strong the routes behind the rows are; the same for all of them."""
    adopted: bool = False
    """An operator handed the rows over, which another daemon wrote."""
    afresh: bool = False
    """The rows are not there: whatever was claimed, they are there since they are written."""


class Unclaimed(Struct, frozen=True):
    """Keys that could not be claimed, because the ledger could not be written. Nothing may be written there."""

    keys: AbstractSet[Key]
    errno: int
    """Of the failed write to the ledger, such as ENOSPC."""
    text: str
    """Which file, and why."""


Note: TypeAlias = Callable[[Key, Claim | None, Claim | None, int], None]
"""Takes one of the keys, the claim before, the claim now, and how many keys in one VNI had the one and have the other."""


class Ledger(Protocol):
    """Which rows are ours, by kind."""

    def claims(self, kind: str) -> ShardedDict[Key, Claim]:
        """Return all claims of a kind, for reading. They may be a million: walk over them part by part."""

    def confirmed(self, kind: str) -> Mapping[Hashable, int]:
        """Count the rows that are there as claimed, by VNI."""

    def claim(self, kind: str, rows: Collection[RowGroup]) -> Unclaimed | None:
        """Record that these rows are ours, before they are written; return those that could not be recorded."""

    def confirm(self, kind: str, keys: Collection[Key], at: Moment) -> None:
        """Record that these rows are there as claimed."""

    def release(self, kind: str, keys: Collection[Key]) -> None:
        """Forget these claims: the rows are gone, or another program has them."""

    def follow(self, kind: str, note: Note) -> None:
        """Have each change of the claims of a kind noted from now on; nothing else follows them any longer."""


_NONE: Final = Claim(None)
"""Of no key."""
SHARED_MAX: Final = 4096
"""How many confirmed claims are remembered, so that rows share them that are written later."""
BEFORE_MAX: Final = 4
"""How many earlier values an unconfirmed claim keeps: the first, which was known to be there, and the last ones. A row that is
refused with ever new values would keep them all."""


class Claims:
    """A ledger that ends with its process. Rows of one VNI that are alike share one claim, which is of no other VNI."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._vni_of = vnis_by(kinds)
        self._claims: defaultdict[str, ShardedDict[Key, Claim]] = defaultdict(ShardedDict)
        self._confirmed: defaultdict[str, Counter[Hashable]] = defaultdict(Counter)
        self._notes: dict[str, Note] = {}
        self._shared: dict[Hashable, Claim] = {}
        """Confirmed claims, by what they say and the VNI that they are of. Only some are remembered."""

    def claims(self, kind: str) -> ShardedDict[Key, Claim]:
        return self._claims[kind]

    def confirmed(self, kind: str) -> Mapping[Hashable, int]:
        return self._confirmed[kind]

    def claim(self, kind: str, rows: Collection[RowGroup]) -> None:
        """Claim rows. 100,000 rows that move together to another VTEP cost 100,000 assignments, and not as many objects."""
        for group in rows:
            self._replace(kind, group.keys, partial(_instead_of, group))

    def read_back(self, kind: str, group: RowGroup) -> None:
        """Take a record of an earlier life."""
        self._replace(kind, group.keys, partial(_as_read_back, group))

    def cover_any(self, kind: str | None = None, keys: Iterable[Key] | None = None) -> None:
        """Have these claims, or all, cover any row of ours at their keys."""
        for claims in self._claims.values() if kind is None else (self._claims[kind],):
            for key in list(claims) if keys is None else keys:
                claims[key] = replace(claims[key], any_row=True)

    def confirm(self, kind: str, keys: Collection[Key], at: Moment) -> None:
        """Confirm claims. A claim that has its time keeps it: a row that is written again with its old value gets
        no younger."""

        def confirmed(key: Key, claim: Claim | None) -> Claim:
            assert claim is not None
            return self._confirmed_claim(kind, key, claim, claim.since or at)

        self._replace(kind, keys, confirmed)

    def release(self, kind: str, keys: Collection[Key]) -> None:
        self.take(kind, keys)

    def take(self, kind: str, keys: Collection[Key]) -> list[RowGroup]:
        """Forget these claims, and return the keys of each VNI that had one, with the row of any of them."""
        taken: dict[Hashable, RowGroup] = {}
        for together, before, _ in self._replace(kind, keys, lambda _, __: None):
            if before is not None:
                taken.setdefault(self._vni_of[kind](together[0]), RowGroup([], before.row)).keys.extend(together)
        return list(taken.values())

    def follow(self, kind: str, note: Note) -> None:
        self._notes[kind] = note

    def _replace(
        self, kind: str, keys: Collection[Key], next_one: Callable[[Key, Claim | None], Claim | None]
    ) -> Collection[tuple[list[Key], Claim | None, Claim | None]]:
        """Replace claims by the next ones, which are made once for all keys that have the same claim.

        Return these keys, with the claim before and the one now.
        """
        replaced: dict[int, tuple[list[Key], Claim | None, Claim | None]] = {}
        together: list[Key] = []
        last: Claim | None = _NONE
        now: Claim | None = None
        for key, shard in zip(keys, self._claims[kind].shards_of(keys), strict=True):
            before = shard.get(key)
            if before is not last:
                if id(before) not in replaced:
                    replaced[id(before)] = [], before, next_one(key, before)
                together, last, now = replaced[id(before)]
            if now is not None:
                shard[key] = now
            elif before is not None:
                del shard[key]
            together.append(key)
        for alike, before, now in replaced.values():
            self._note(kind, alike[0], before, now, len(alike))
        return replaced.values()

    def _note(self, kind: str, key: Key, before: Claim | None, now: Claim | None, count: int) -> None:
        """Count the keys whose claim was replaced by the same one."""
        if more := (now is not None and now.confirmed) - (before is not None and before.confirmed):
            self._confirmed[kind][self._vni_of[kind](key)] += more * count
        if (note := self._notes.get(kind)) is not None:
            note(key, before, now, count)

    def _confirmed_claim(self, kind: str, key: Key, claim: Claim, since: Moment) -> Claim:
        """Return the claim that is shared by the rows of a VNI that have one value, rank and time.

        Rows are written in another order each time. If only those of one batch shared a claim, most rows would have one of their
        own after a few moves, and each would be judged and claimed by itself.
        """
        name = (kind, self._vni_of[kind](key), claim.row, claim.rank, since, claim.adopted)
        found = self._shared.get(name)
        if found is None:
            if len(self._shared) >= SHARED_MAX:
                self._shared.clear()
            found = Claim(claim.row, claim.rank, confirmed=True, since=since, adopted=claim.adopted)
            self._shared[name] = found
        return found


def grouped(rows: Iterable[tuple[Key, Row, int]], vni_of: Callable[[Key], Hashable] = VNI_FIRST) -> list[RowGroup]:
    """Put rows with the same VNI, value and rank into one group."""
    found: defaultdict[tuple[Hashable, Row, int], list[Key]] = defaultdict(list)
    for key, row, rank in rows:
        found[vni_of(key), row, rank].append(key)
    return [RowGroup(keys, row, rank) for (_, row, rank), keys in found.items()]


def _instead_of(group: RowGroup, _key: Key, old: Claim | None) -> Claim:
    """Return the claim of a row that is about to be written, after the claim that was there.

    Until the write is confirmed, a crash can leave either value. So a claim with another value keeps the old value
    in `before`, and a later daemon recognizes both as ours. If that one was unconfirmed too, the values before it may
    be there as well: its write was refused, or its answer was lost. The same value keeps its time, unless the row was
    found gone (`afresh`).
    """
    if old is None:
        return Claim(group.row, group.rank, adopted=group.adopted)
    adopted = old.adopted or group.adopted
    if old.row == group.row:
        since = None if group.afresh else old.since
        return Claim(group.row, group.rank, old.before, since=since, adopted=adopted, any_row=old.any_row)
    before = tuple(row for row in (*old.before, old.row) if row != group.row)
    if len(before) > BEFORE_MAX:
        before = (before[0], *before[1 - BEFORE_MAX :])
    return Claim(group.row, group.rank, before, adopted=adopted, any_row=old.any_row)


def _as_read_back(group: RowGroup, key: Key, old: Claim | None) -> Claim:
    """Return the claim of a row as the file has it. The file does not say which claims were confirmed: each is taken to have been
    when the next one came. A claim that covered all that was ever there would cover rows of other programs as well."""
    if old is not None and old.row != group.row:
        old = replace(old, before=())
    return _instead_of(group, key, old)


def as_handed_over(seen: Seen | None, claim: Claim | None) -> Seen | None:
    """Return what is there, as a row of ours if it is one that an operator handed over."""
    if seen is None or claim is None or not claim.adopted or seen.adoptable is None:
        return seen
    return replace(seen, row=seen.adoptable, marked=True, holder="", adoptable=None, where=None)


def is_ours(claim: Claim | None, seen: Seen) -> bool:
    """Tell whether the row that is there is the one we claimed."""
    if seen.tagged:
        return True
    if claim is None or not (seen.marked or seen.listed):
        return False
    return seen.row is None or covers(claim, seen.row)


def covers(claim: Claim, row: Row) -> bool:
    """Tell whether a row of ours at this key, which is marked, is one that the claim is about."""
    return claim.confirmed or claim.any_row or row in claim.rows
