"""The keys of a table in order, for readers who come in pages.

    blocks of up to 1000 sorted keys; a page begins by bisecting the blocks' first keys

A table of a million is not sorted for every page, and its change costs one insertion into one block. Filled when
somebody reads for the first time, kept up from then on by whoever names what changed. Knows no row.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K", bound=Any)

BLOCK: Final = 1000


class Roster(Generic[K]):
    """Keys in order."""

    def __init__(self) -> None:
        self._blocks: list[list[K]] = []
        self._firsts: list[K] = []

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def __iter__(self) -> Iterator[K]:
        return (key for block in self._blocks for key in block)

    def after(self, key: K | None) -> Iterator[K]:
        """Yield the keys behind this one, or all. To be used up before anything changes."""
        if key is None:
            return iter(self)
        return self._behind(key)

    def put(self, key: K) -> None:
        """Have this key, whether it was there or not."""
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
        """Have this key no more, whether it was there or not."""
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

    def _behind(self, key: K) -> Iterator[K]:
        at = self._block_of(key)
        for number, block in enumerate(islice(self._blocks, at, None)):
            yield from block if number else islice(block, bisect_right(block, key), None)

    def _block_of(self, key: K) -> int:
        return max(0, bisect_right(self._firsts, key) - 1)
