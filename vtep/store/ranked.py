"""A sorted sequence that never changes: with one value more or less it is another one, which shares nearly all of it.

    blocks of at most 128 values; a change makes one new block, and a new tuple of blocks

So a reader may keep a sequence of 10,000 values as it was, and a change still takes the same few steps as with ten. Values of
equal rank are next to each other, the oldest first. Knows nothing about its values.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final, Generic, TypeAlias, TypeVar

V = TypeVar("V")
Rank: TypeAlias = Callable[[V], Any]
"""What a value is sorted by. All changes of one sequence must use the same."""

BLOCK: Final = 128


class Ranked(Generic[V]):
    """The sequence."""

    __slots__ = ("_blocks", "_count")

    def __init__(self, blocks: tuple[tuple[V, ...], ...] = (), count: int = 0) -> None:
        self._blocks = blocks
        self._count = count

    @classmethod
    def of(cls, values: Iterable[V], rank: Rank[V]) -> "Ranked[V]":
        ordered = sorted(values, key=rank)
        starts = range(0, len(ordered), BLOCK)
        return cls(tuple(tuple(ordered[start : start + BLOCK]) for start in starts), len(ordered))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[V]:
        return chain.from_iterable(self._blocks)

    def __reversed__(self) -> Iterator[V]:
        return chain.from_iterable(map(reversed, reversed(self._blocks)))

    @property
    def blocks(self) -> tuple[tuple[V, ...], ...]:
        """The values in parts: two versions differ in the parts that only one of them has."""
        return self._blocks

    @property
    def first(self) -> V:
        return self._blocks[0][0]

    def with_(self, value: V, rank: Rank[V]) -> "Ranked[V]":
        """Return the sequence with one value more."""
        blocks, order = self._blocks, rank(value)
        at = max(0, bisect_right(blocks, order, key=lambda block: rank(block[0])) - 1)
        block = blocks[at] if blocks else ()
        place = bisect_right(block, order, key=rank)
        block = (*block[:place], value, *block[place:])
        parts = (block,) if len(block) <= BLOCK else (block[: BLOCK // 2], block[BLOCK // 2 :])
        return Ranked((*blocks[:at], *parts, *blocks[at + 1 :]), self._count + 1)

    def without(self, value: V, rank: Rank[V]) -> "Ranked[V]":
        """Return the sequence without this very value, which is in it."""
        blocks, order = self._blocks, rank(value)
        at = max(0, bisect_left(blocks, order, key=lambda block: rank(block[0])) - 1)
        place = bisect_left(blocks[at], order, key=rank)
        while place == len(blocks[at]) or blocks[at][place] is not value:
            at, place = (at, place + 1) if place < len(blocks[at]) else (at + 1, 0)
        block = (*blocks[at][:place], *blocks[at][place + 1 :])
        return Ranked((*blocks[:at], *((block,) if block else ()), *blocks[at + 1 :]), self._count - 1)
