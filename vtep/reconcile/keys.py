"""A set of keys that takes long neither to grow nor to let go of, however many they are. Knows nothing of what they name.

A set of a million that grows is copied at once, and one that goes takes leave of each of its keys: a tenth of a second
each, and more. So it is many small ones, which grow and go one by one.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from vtep.reconcile.kind import Key

PARTS: Final = 256
DROPPED_MAX: Final = 4096
_SHIFT: Final = 56
"""A part is found by the highest bits of the hash, since a set finds its keys by the lowest."""


class Keys:
    """What is in it stays in it until all go."""

    def __init__(self) -> None:
        self._parts: list[set[Key]] = [set() for _ in range(PARTS)]

    def __contains__(self, key: object) -> bool:
        return key in self._parts[hash(key) >> _SHIFT & PARTS - 1]

    def add(self, keys: Iterable[Key]) -> None:
        parts = self._parts
        for key in keys:
            parts[hash(key) >> _SHIFT & PARTS - 1].add(key)

    def drop(self) -> Iterator[None]:
        """Let go of them, some thousands at a time; there is nothing left to ask for."""
        gone = 0
        while self._parts:
            gone += len(self._parts.pop())
            if gone >= DROPPED_MAX:
                gone = 0
                yield
