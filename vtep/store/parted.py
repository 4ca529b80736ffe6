"""A set in 64 parts that never changes, so that no single step on it blocks the event loop.

To make, to compare or to free a set of half a million prefixes takes a tenth of a second in one call, during which no other thread runs
either. Here each call works on one part. A union with a few items shares all other parts with the set it was made from.

Knows nothing about its items.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

K = TypeVar("K")

_PARTS: Final = 64
_SHIFT: Final = 58
"""The highest bits of the hash choose the part, because a set places its items by the lowest bits."""


class PartedSet(AbstractSet[K]):
    """The set. Iteration has no order."""

    __slots__ = ("parts",)

    def __init__(self, items: Iterable[K] = ()) -> None:
        parts: list[set[K]] = [set() for _ in range(_PARTS)]
        for item in items:
            parts[hash(item) >> _SHIFT & _PARTS - 1].add(item)
        self.parts: list[set[K]] = parts
        """Not to be changed."""

    def __contains__(self, item: object) -> bool:
        return item in self.parts[hash(item) >> _SHIFT & _PARTS - 1]

    def __iter__(self) -> Iterator[K]:
        for part in self.parts:
            yield from part

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PartedSet):
            return all(mine == theirs for mine, theirs in zip(self.parts, other.parts, strict=True))
        return AbstractSet.__eq__(self, other)

    __hash__ = None  # type: ignore[assignment]

    def with_items(self, items: Iterable[K]) -> "PartedSet[K]":
        """Return the set with a few more items."""
        found: PartedSet[K] = PartedSet()
        found.parts = list(self.parts)
        for item in items:
            number = hash(item) >> _SHIFT & _PARTS - 1
            if item not in found.parts[number]:
                found.parts[number] = found.parts[number] | {item}
        return found
