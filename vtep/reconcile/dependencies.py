"""Which rows need rows of other kinds: which of them must wait, and which must stay for a while.

For: a route needs its nexthop, and a MAC behind a group needs the group. The kernel refuses a row whose nexthop is not there,
and removes rows silently when it loses their nexthop.

Knows the kinds that are `Dependent`, how many claimed rows need each row, and which rows wait for which. Does not know what a
row means, and writes nothing. For kinds that depend on nothing, and on which nothing depends, every call returns at once.

How it works. A row is *there* when its claim is confirmed. The engine writes kind by kind, and a kind comes after the kinds that it
depends on (`in_order_of_need`). So when the rows of a kind are about to be written, what they need was written
before, in the same pass, or it is missing:

    creation   `writable` returns the rows that have what they need; the others are `blocked`, with the reason `waiting-for`
    deletion   kinds in reverse; `removable` returns the rows that no claimed row needs; the others are `held`, likewise
    later      a confirmed claim frees the rows that wait for it; the last released claim frees the row that was kept for it.
               The engine asks for both (`take_writable`, `take_removable`) in each pass and looks at them again

A claim needs what its row needs. While it is unconfirmed it also needs what the rows before need, because any of them may be there.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from vtep.reconcile.claims import Claim, Ledger, RowGroup
from vtep.reconcile.contract import Key, Kind, Row, dependent
from vtep.reconcile.judged import Judged, is_unwanted
from vtep.reconcile.report import Trouble, Troubles
from vtep.reconcile.retry import RowRef


class Dependencies:
    """The rows that need others, as far as they are claimed or wait."""

    def __init__(self, kinds: Sequence[Kind], ledger: Ledger, troubles: Troubles) -> None:
        self._ledger = ledger
        self._troubles = troubles
        self._descriptors = {kind.name: kind.descriptor for kind in kinds}
        self._needy = {kind.name: found for kind in kinds if (found := dependent(kind)) is not None}
        self._needed = frozenset(name for kind in self._needy.values() for name in kind.depends_on)
        self._users: Counter[RowRef] = Counter()
        """How many claimed rows need a row."""
        self._waiting: dict[RowRef, RowRef] = {}
        """A row that waits, and the first row that it lacks."""
        self._awaited: defaultdict[RowRef, set[RowRef]] = defaultdict(set)
        """The same, from the other side."""
        self._kept: set[RowRef] = set()
        """Rows that are to be removed and that others still need."""
        self._writable: defaultdict[str, set[Key]] = defaultdict(set)
        self._removable: defaultdict[str, set[Key]] = defaultdict(set)
        for name in self._needy:
            for key, claim in ledger.claims(name).items():
                self._users.update(self._needs(name, key, claim))
            ledger.follow(name, partial(self._follow, name))

    def is_needed(self, kind: Kind) -> bool:
        """Tell whether rows of other kinds may need rows of this kind."""
        return kind.name in self._needed

    def has_what_it_needs(self, kind: Kind, group: RowGroup) -> bool:
        """Tell whether the rows of a group, which have one value and one VNI, have what they need."""
        needy = self._needy.get(kind.name)
        return needy is None or all(self._is_there(needed) for needed in needy.needs(group.keys[0], group.row))

    def needs_any(self, kind: Kind, row: Judged) -> bool:
        """Tell whether the wanted row at a key needs rows of other kinds."""
        needy = self._needy.get(kind.name)
        return needy is not None and row.wanted is not None and any(True for _ in needy.needs(row.key, row.wanted))

    def note_there(self, kind: Kind, keys: Iterable[Key]) -> None:
        """Have the rows written that wait for one of these, whose claims were confirmed."""
        if kind.name in self._needed and self._awaited:
            for key in keys:
                for name, waiting in self._awaited.get((kind.name, key), ()):
                    self._writable[name].add(waiting)

    def settle(self, ref: RowRef) -> None:
        """Forget that a row waits, because it is judged again."""
        if self._kept:
            self._kept.discard(ref)
        if not self._waiting or (awaited := self._waiting.pop(ref, None)) is None:
            return
        others = self._awaited[awaited]
        others.discard(ref)
        if not others:
            del self._awaited[awaited]

    def writable(self, kind: Kind, rows: list[Judged]) -> list[Judged]:
        """Return the rows that have what they need, and note that the others wait."""
        if kind.name not in self._needy:
            return rows
        return [row for row in rows if row.wanted is None or self._has_what_it_needs((kind.name, row.key), row.wanted)]

    def removable(self, kind: Kind, rows: list[Judged]) -> list[Judged]:
        """Return the rows that no claimed row needs, and note that the others are kept."""
        if kind.name not in self._needed:
            return rows
        free = []
        for row in rows:
            ref = (kind.name, row.key)
            if not (users := self._users[ref]):
                free.append(row)
                continue
            self._kept.add(ref)
            text = "the end of 1 row that needs it" if users == 1 else f"the end of {users} rows that need it"
            self._troubles.note(ref, Trouble("held", "waiting-for", text, unwanted=is_unwanted(row)))
        return free

    def take_writable(self, kind: Kind) -> list[Key]:
        """Return the keys whose rows waited for what is there by now."""
        return list(self._writable.pop(kind.name, ()))

    def take_removable(self, kind: Kind) -> list[Key]:
        """Return the keys whose rows were kept for others that are gone by now."""
        return list(self._removable.pop(kind.name, ()))

    def _has_what_it_needs(self, ref: RowRef, row: Row) -> bool:
        """Tell whether every row that this one needs is there; if not, note that it waits for the first that is not.

        One is enough: when that one comes, the row is judged again and may wait for the next.
        """
        name, key = ref
        for needed in self._needy[name].needs(key, row):
            if self._is_there(needed):
                continue
            self._waiting[ref] = needed
            self._awaited[needed].add(ref)
            descriptor = self._descriptors[needed[0]]
            text = f"{descriptor.public} {descriptor.key_text(needed[1])}"
            self._troubles.note(ref, Trouble("blocked", "waiting-for", text))
            return False
        return True

    def _is_there(self, ref: RowRef) -> bool:
        claim = self._ledger.claims(ref[0]).get(ref[1])
        return claim is not None and claim.confirmed

    def _follow(self, name: str, key: Key, before: Claim | None, now: Claim | None, count: int) -> None:
        """Count the rows that so many claimed rows need, after the change of their claims; rows of one claim need the same."""
        needed_before, needed = self._needs(name, key, before), self._needs(name, key, now)
        for ref in needed - needed_before:
            self._users[ref] += count
        for ref in needed_before - needed:
            self._users[ref] -= count
            if not self._users[ref]:
                del self._users[ref]
                if ref in self._kept:
                    self._removable[ref[0]].add(ref[1])

    def _needs(self, name: str, key: Key, claim: Claim | None) -> set[RowRef]:
        """Return the rows that a claimed row needs. While it is unconfirmed, that is what any of its values
        needs."""
        if claim is None:
            return set()
        return {ref for row in claim.rows for ref in self._needy[name].needs(key, row)}


def in_order_of_need(kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    """Return the kinds in their order, but before each one those that it depends on."""
    by_name = {kind.name: kind for kind in kinds}
    found: dict[str, Kind] = {}

    def take(kind: Kind, users: tuple[str, ...]) -> None:
        if kind.name in users:
            raise ValueError(f"kind {kind.name} depends on itself: {', '.join(users)}")
        if kind.name in found:
            return
        needy = dependent(kind)
        for name in () if needy is None else needy.depends_on:
            if name not in by_name:
                raise ValueError(f"kind {kind.name} depends on {name}, which is not there")
            take(by_name[name], (*users, kind.name))
        found[kind.name] = kind

    for kind in kinds:
        take(kind, ())
    return tuple(found.values())
