"""A persistent mapping: a version never changes, and `changed` returns the next version at the cost of the change
alone.

    latest version ─────────────┐
                                v
    older version ───> 64 shards, by the key's hash: dictionaries that change in place
      └─ the values that have changed since

All versions share the shards, which have the values of the latest version. An older version also has the values that
were overwritten since, and looks there first. `changed` hands them to each older version that is still referenced; a
version that is not costs nothing.

    one = Table([("a", 1), ("b", 2)])
    two = one.changed({"a": 3, "b": None})      one still has a: 1 and b: 2; two has a: 3
    list(two.changes_since(one))                [(1, 3), (2, None)]: what differs, at the cost of the differences

**Why not a copy, or a tree.** An intent is published for each change, and a table may have a million rows. A copy costs a
million; a tree of nodes costs little for each change, but much memory and time for each row. Here a change costs what it
changes, a lookup in the latest version is one in a dictionary, and only who holds an old version pays for that.

**What it costs to hold a version.** It collects the values that are overwritten while it is held. So a slow reader does not hold
one: `walk` looks at the latest version part by part. `changes_since` asks only the older version for its values, so two
intents are compared by what changed between them. A version other than the latest may be changed too, which copies it.

**Why shards.** A dictionary of a million keys would block the event loop when it grows. Shards of different sizes grow one after
the other.

For one thread. Knows nothing about its keys and values. docs/decisions/0003 compares the alternatives.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import log2
from typing import Any, Final, Generic, TypeAlias, TypeVar
from weakref import ref

K = TypeVar("K")
V = TypeVar("V")

_SHARDS: Final = 64
"""One dictionary of a million keys would block the event loop when it grows, and so would a walk through all of it."""
_SHIFT: Final = 48
"""The shard is chosen by bits that a dictionary does not use: keys of one shard with equal low bits would collide in
it."""
_MASK: Final = 1023
"""Ten bits of the hash are enough to tell the sizes of 64 shards apart."""
_SHARD_OF: Final = bytes(int(_SHARDS * log2(1 + bits / (_MASK + 1))) for bits in range(_MASK + 1))
"""The shard for each value of the bits. The largest shard is twice as large as the smallest, with all sizes between
them: shards of one size would all grow at the same time, and block the event loop for as long as one large dictionary
does."""

_Shard: TypeAlias = dict[Any, Any]
_NO_SHARDS: Final[tuple[_Shard, ...]] = ({},) * _SHARDS


class Table(Mapping[K, V], Generic[K, V]):
    """One version of the mapping. Iterates in the order of the keys."""

    __slots__ = ("__weakref__", "_lost", "_older", "_shards", "_size")

    def __init__(self, items: Iterable[tuple[K, V]] = ()) -> None:
        """Take these items; refuse a key that comes twice, because one of its values would be lost.

        A value must not be None, because None stands for no value.
        """
        self._shards = _NO_SHARDS
        self._size = 0
        self._lost: dict[int, _Shard] = {}
        """By shard: the values in this version of the keys that have another value now; None for a key that is not in
        this version."""
        self._older: list[ref[Table[K, V]]] | None = []
        """The versions before this one, if this is the latest. None if it is not: the latest one has them."""
        changes: dict[K, V | None] = {}
        for key, value in items:
            if key in changes:
                raise ValueError(f"duplicate key {key}")
            changes[key] = value
        version = self.changed(changes)
        self._shards, self._size = version._shards, version._size

    def changed(self, changes: Mapping[K, V | None]) -> "Table[K, V]":
        """Return the version in which these keys have these values; None means no value.

        The cost is that of the changes, times the number of older versions that are still held. Without changes it is the same
        version, so a reader may compare versions by identity to see whether anything changed.
        """
        if not changes:
            return self
        if self._older is None:
            return Table(self.unordered()).changed(changes)  # rare: another version was already made from this one
        version: Table[K, V] = Table()
        if not self._size:
            version._shards = tuple([{} for _ in range(_SHARDS)])  # the empty version keeps its own empty shards
            version._size, _ = _write(version._shards, changes)
            return version
        older = [held for known in self._older if (held := known()) is not None]
        version._shards = self._shards
        version._older, self._older = [*map(ref, older), ref(self)], None
        grown, self._lost = _write(self._shards, changes)
        version._size = self._size + grown
        for held in older:
            held._lose(self._lost)
        return version

    def _lose(self, was: Mapping[int, _Shard]) -> None:
        """Take the values that the latest version lost, except for the keys that already had another value here."""
        for number, former in was.items():
            lost = self._lost.setdefault(number, {})
            for key, value in former.items():
                lost.setdefault(key, value)

    def changes_since(self, older: "Table[K, V]") -> Iterator[tuple[V | None, V | None]]:
        """Yield the value in an older version and in this one, for each key that was changed since; None stands for no value.

        This version must be the latest one. A key that was set to the value that it had may be among them.
        """
        if older is self:
            return
        if older._shards is not self._shards:  # no common history: everything is different
            yield from ((value, None) for _, value in older.unordered())
            yield from ((None, value) for _, value in self.unordered())
            return
        for number, lost in older._lost.items():
            shard = self._shards[number]
            for key, value in list(lost.items()):
                yield value, shard.get(key)

    def unordered(self) -> Iterator[tuple[K, V]]:
        """Yield every item without an order, for readers that do not need one and need not pay for sorting."""
        for number in range(_SHARDS):
            yield from self._items(number)

    def _items(self, number: int) -> list[tuple[K, V]]:
        """Return the items of a shard as a list, because the shard may change while the caller looks at them."""
        shard, lost = self._shards[number], self._lost.get(number)
        if not lost:
            return list(shard.items())
        return [(key, value) for key, value in {**shard, **lost}.items() if value is not None]

    def __getitem__(self, key: K) -> V:
        value: V | None = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    # Mapping makes these from __getitem__, and would raise and catch a KeyError for every absent key.

    def get(self, key: Any, default: Any = None) -> Any:
        number = _SHARD_OF[hash(key) >> _SHIFT & _MASK]
        if self._lost:
            lost = self._lost.get(number)
            if lost is not None and key in lost:
                value = lost[key]
                return default if value is None else value
        return self._shards[number].get(key, default)

    def of(self, keys: Iterable[K]) -> list[V | None]:
        """Return the value of each of these keys, or None; a call for each key would double the cost."""
        if self._lost:
            return [self.get(key) for key in keys]
        shards = self._shards
        return [shards[_SHARD_OF[hash(key) >> _SHIFT & _MASK]].get(key) for key in keys]

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[K]:
        return iter(sorted(key for key, _ in self.unordered()))  # type: ignore[type-var]

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return self._size > 0

    def __repr__(self) -> str:
        return f"Table({dict(self.items())!r})"


def walk(latest: Callable[[], Table[K, V]]) -> Iterator[tuple[K, V]]:
    """Yield the items of the latest version, without an order, while newer versions are made; an item of all versions
    comes once.

    A slow reader that held one version would keep everything which that version loses meanwhile, and free it all at
    once."""
    for number in range(_SHARDS):
        yield from latest()._items(number)


def _write(shards: tuple[_Shard, ...], changes: Mapping[Any, Any]) -> tuple[int, dict[int, _Shard]]:
    """Change the shards; return by how much they grew, and the former values of the keys, by shard."""
    grown = 0
    was: dict[int, _Shard] = {}
    for key, value in changes.items():
        number = _SHARD_OF[hash(key) >> _SHIFT & _MASK]
        shard = shards[number]
        old = shard.get(key)
        former = was.get(number)
        if former is None:
            was[number] = {key: old}
        else:
            former[key] = old
        if value is not None:
            shard[key] = value
            grown += old is None
        elif old is not None:
            del shard[key]
            grown -= 1
    return grown, was
