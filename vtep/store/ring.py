"""News in numbered batches for those who watch: a ring that everybody reads at a pace of their own.

    stirred keys ──(cut, at most every 100 ms)──> batch 17 │ batch 18 │ batch 19
                                                     ▲                    ▲
                                              a slow reader         everybody else

The writer waits for nobody and keeps nothing for anybody: who is slower than the ring is long has to begin anew. Rows
that change twice between two cuts are told once. For one event loop. Knows no row, and does not cut by itself.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Generic, Protocol, TypeVar

ROWS_MAX: Final = 100_000
"""Remembered, over all batches."""


class Numbered(Protocol):
    """What a batch has to tell of itself."""

    @property
    def revision(self) -> int: ...
    @property
    def size(self) -> int: ...


B = TypeVar("B", bound=Numbered)


class Changes(Generic[B]):
    """The latest batches."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self.readers = 0
        """How many are reading now."""
        self.revision = 0
        """Of the latest batch."""
        self._rows_max = rows_max
        self._batches: deque[B] = deque()
        self._rows = 0
        self._more = asyncio.Event()

    def put(self, batch: B) -> None:
        """Put the next batch at the end, and forget the oldest ones where they are too many."""
        assert batch.revision == self.revision + 1
        self.revision = batch.revision
        self._batches.append(batch)
        self._rows += batch.size
        while self._rows > self._rows_max and len(self._batches) > 1:
            self._rows -= self._batches.popleft().size
        more, self._more = self._more, asyncio.Event()
        more.set()

    def skip(self) -> None:
        """Nobody reads: what is there is of no use, and who comes back later has missed something."""
        self.revision += 1
        self._batches.clear()
        self._rows = 0

    async def after(self, revision: int) -> AsyncIterator[B | None]:
        """Yield the batches after this one, for ever; None where some are missing, and then those after the latest."""
        self.readers += 1
        try:
            while True:
                oldest = self._batches[0].revision if self._batches else self.revision + 1
                if not oldest - 1 <= revision <= self.revision:
                    revision = self.revision
                    yield None
                elif revision == self.revision:
                    await self._more.wait()
                else:
                    batch = self._batches[revision - oldest + 1]
                    revision = batch.revision
                    yield batch
        finally:
            self.readers -= 1
