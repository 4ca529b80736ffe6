"""The keys of a table in order, for readers that read it in pages.

    blocks of up to 1000 sorted keys; a page begins by bisecting the first keys of the blocks

So a table of a million keys is not sorted for every page, and a change costs one insertion into one block. Filled when
a reader asks for the first time, and updated from then on with each change. Knows no row.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K", bound=Any)

BLOCK: Final = 1000


class SortedKeys(Generic[K]):
    """Keys in order, in blocks."""

    def __init__(self) -> None:
        self._blocks: list[list[K]] = []
        self._firsts: list[K] = []

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def __iter__(self) -> Iterator[K]:
        return (key for block in self._blocks for key in block)

    def after(self, key: K | None) -> Iterator[K]:
        """Yield the keys after this one, or all. Must be used up before anything changes."""
        if key is None:
            return iter(self)
        return self._after(key)

    def put(self, key: K) -> None:
        """Add a key, if it is not there."""
        at = self._block_of(key)
        if not self._blocks:
            self._blocks.append([])
            self._firsts.append(key)
        block = self._blocks[at]
        place = bisect_left(block, key)
        if place < len(block) and block[place] == key:
            return
        block.insert(place, key)
        self._firsts[at] = block[0]
        if len(block) > 2 * BLOCK:
            self._blocks[at : at + 1] = [block[:BLOCK], block[BLOCK:]]
            self._firsts[at : at + 1] = [block[0], block[BLOCK]]

    def drop(self, key: K) -> None:
        """Remove a key, if it is there."""
        at = self._block_of(key)
        block = self._blocks[at] if self._blocks else []
        place = bisect_left(block, key)
        if place == len(block) or block[place] != key:
            return
        del block[place]
        if block:
            self._firsts[at] = block[0]
        else:
            del self._blocks[at], self._firsts[at]

    def _after(self, key: K) -> Iterator[K]:
        at = self._block_of(key)
        for number, block in enumerate(islice(self._blocks, at, None)):
            yield from block if number else islice(block, bisect_right(block, key), None)

    def _block_of(self, key: K) -> int:
        return max(0, bisect_right(self._firsts, key) - 1)
