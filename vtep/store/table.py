"""A mapping that never changes: `changed` returns the next version, at a cost of what changed, whatever the size.

    latest version ─────────────┐
                                v
    older version ───> 64 shards, by the key's hash: dictionaries that change in place
      └─ what of it has changed since

Only the latest version is as its shards are. An older one that somebody still holds is given what it loses before that is
overwritten, and looks there first; one that nobody holds costs nothing. For one thread. Does not know what it holds.
docs/decisions/0003 compares the roads not taken.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import log2
from typing import Any, Final, Generic, TypeAlias, TypeVar
from weakref import ref

K = TypeVar("K")
V = TypeVar("V")

_SHARDS: Final = 64
"""A dictionary of a million keys holds the loop for too long when it grows, and so would a look at all of it."""
_SHIFT: Final = 48
"""Dictionaries look at the lowest bits of a hash: keys of one shard that had these in common would be in each other's way."""
_MASK: Final = 1023
_SHARD_OF: Final = bytes(int(_SHARDS * log2(1 + bits / (_MASK + 1))) for bits in range(_MASK + 1))
"""By bits of the hash. The largest shard is twice as large as the smallest, and between them are all sizes: shards of one size
are copied into larger ones at the same time, which holds the loop as long as one large dictionary would."""

_Shard: TypeAlias = dict[Any, Any]
_NO_SHARDS: Final[tuple[_Shard, ...]] = ({},) * _SHARDS


class Table(Mapping[K, V], Generic[K, V]):
    """A version of the mapping. Iterates in the keys' order."""

    __slots__ = ("__weakref__", "_lost", "_older", "_shards", "_size")

    def __init__(self, items: Iterable[tuple[K, V]] = ()) -> None:
        """Hold these items; a key that comes twice is refused, since one of the two would be lost."""
        self._shards = _NO_SHARDS
        self._size = 0
        self._lost: dict[int, _Shard] = {}
        """What the keys had here that have something else now, by shard; None is what was not there."""
        self._older: list[ref[Table[K, V]]] | None = []
        """The versions before this one, if it is the latest; None if not: then there is one that knows them."""
        changes: dict[K, V | None] = {}
        for key, value in items:
            if key in changes:
                raise ValueError(f"duplicate key {key}")
            changes[key] = value
        version = self.changed(changes)
        self._shards, self._size = version._shards, version._size

    def changed(self, changes: Mapping[K, V | None]) -> "Table[K, V]":
        """Return the version in which these keys have these values; None means no value."""
        if not changes:
            return self
        if self._older is None:
            return Table(self.unordered()).changed(changes)  # rare: somebody went on from here before
        version: Table[K, V] = Table()
        if not self._size:
            version._shards = tuple([{} for _ in range(_SHARDS)])  # what nothing was made of stays nothing
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
        """Take what these keys had in the latest version, but for those that had something else here."""
        for number, part in was.items():
            lost = self._lost.setdefault(number, {})
            for key, value in part.items():
                lost.setdefault(key, value)

    def unordered(self) -> Iterator[tuple[K, V]]:
        """Yield every item in no order, for readers who need none and would not pay for sorting."""
        for number in range(_SHARDS):
            yield from self._part(number)

    def _part(self, number: int) -> list[tuple[K, V]]:
        """Return the items of a shard, which may change before the first of them is looked at."""
        shard, lost = self._shards[number], self._lost.get(number)
        if not lost:
            return list(shard.items())
        return [(key, value) for key, value in {**shard, **lost}.items() if value is not None]

    def __getitem__(self, key: K) -> V:
        value: V | None = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    # What Mapping makes of __getitem__ would raise and catch for every absent key.

    def get(self, key: Any, default: Any = None) -> Any:
        number = _SHARD_OF[hash(key) >> _SHIFT & _MASK]
        if self._lost:
            lost = self._lost.get(number)
            if lost is not None and key in lost:
                value = lost[key]
                return default if value is None else value
        return self._shards[number].get(key, default)

    def of(self, keys: Iterable[K]) -> list[V | None]:
        """Return what each of these keys has, or None: a call for each would cost as much again."""
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
    """Yield, in no order, what the latest version has, while newer ones are made: once what is in all of them.

    For who takes long, and would else hold a version that is given all it loses, and has to let go of that at once.
    """
    for number in range(_SHARDS):
        yield from latest()._part(number)


def _write(shards: tuple[_Shard, ...], changes: Mapping[Any, Any]) -> tuple[int, dict[int, _Shard]]:
    """Change the shards; return by how much they grew, and what the keys had before, by shard."""
    grown = 0
    was: dict[int, _Shard] = {}
    for key, value in changes.items():
        number = _SHARD_OF[hash(key) >> _SHIFT & _MASK]
        shard = shards[number]
        old = shard.get(key)
        part = was.get(number)
        if part is None:
            was[number] = {key: old}
        else:
            part[key] = old
        if value is not None:
            shard[key] = value
            grown += old is None
        elif old is not None:
            del shard[key]
            grown -= 1
    return grown, was
