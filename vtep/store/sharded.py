"""A dictionary in parts, so that it takes long neither to grow nor to let go of. Does not know what it holds.

A dictionary that is full is copied into a larger one at once, and one that goes takes leave of each of its keys: a tenth of
a second each and more where it holds half a million things. Parts are small, and full at different times. Who changes many
keys takes the part of each, and saves a call.
"""

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

PARTS: Final = 64
DROPPED_MAX: Final = 2048
_SHIFT: Final = 58
"""A part is found by the highest bits of the hash, since a dictionary finds its keys by the lowest."""


class ShardedDict(MutableMapping[K, V]):
    """In no order."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: list[dict[K, V]] = [{} for _ in range(PARTS)]

    def part(self, key: K) -> dict[K, V]:
        """Return the dictionary in which this key is, or would be."""
        return self.parts[hash(key) >> _SHIFT & PARTS - 1]

    def __getitem__(self, key: K) -> V:
        return self.parts[hash(key) >> _SHIFT & PARTS - 1][key]

    def __setitem__(self, key: K, value: V) -> None:
        self.parts[hash(key) >> _SHIFT & PARTS - 1][key] = value

    def __delitem__(self, key: K) -> None:
        del self.parts[hash(key) >> _SHIFT & PARTS - 1][key]

    def __iter__(self) -> Iterator[K]:
        for part in self.parts:
            yield from part

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __bool__(self) -> bool:
        return any(self.parts)

    # What MutableMapping makes of the above would raise and catch for every absent key.

    def __contains__(self, key: object) -> bool:
        return key in self.parts[hash(key) >> _SHIFT & PARTS - 1]

    def get(self, key: Any, default: Any = None) -> Any:
        return self.parts[hash(key) >> _SHIFT & PARTS - 1].get(key, default)

    def of(self, keys: Iterable[K]) -> list[V | None]:
        """Return what each of these keys has, or None: a call for each would cost as much again."""
        parts = self.parts
        return [parts[hash(key) >> _SHIFT & PARTS - 1].get(key) for key in keys]

    def pop(self, key: Any, default: Any = None) -> Any:
        """Return what was there, or the default."""
        return self.parts[hash(key) >> _SHIFT & PARTS - 1].pop(key, default)

    def drop(self) -> Iterator[None]:
        """Let go of all, some thousands at a time: what nobody else has takes a microsecond or two to go."""
        gone = 0
        for part in self.parts:
            while part:
                part.popitem()
                gone += 1
                if gone == DROPPED_MAX:
                    gone = 0
                    yield
