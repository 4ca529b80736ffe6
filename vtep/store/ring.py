"""Numbered batches of changes in a bounded ring, which every reader reads at its own pace.

    changed keys ──(cut, at most every 100 ms)──> batch 17 │ batch 18 │ batch 19
                                                     ▲                    ▲
                                              a slow reader         the other readers

The writer does not wait for readers and keeps nothing for one of them. A reader that falls behind the oldest batch is
told so, and must read everything again. A row that changes twice between two cuts is in one batch, once.

For one event loop. Knows nothing about rows, and does not decide when a batch is cut.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Generic, Protocol, TypeVar

ROWS_MAX: Final = 100_000
"""Rows and events that are kept in all batches together. A reader that is further behind reads the table again."""


class Numbered(Protocol):
    """What the ring must know about a batch."""

    @property
    def revision(self) -> int: ...  # one more than that of the batch before
    @property
    def size(self) -> int: ...  # how many rows it has, for the bound on all of them


B = TypeVar("B", bound=Numbered)


class Ring(Generic[B]):
    """The latest batches."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self.readers = 0
        """How many readers there are now."""
        self.revision = 0
        """Of the latest batch."""
        self._rows_max = rows_max
        self._batches: deque[B] = deque()
        self._rows = 0
        self._more = asyncio.Event()

    def put(self, batch: B) -> None:
        """Append a batch; drop the oldest batches while there are too many rows. The latest batch is never dropped."""
        assert batch.revision == self.revision + 1
        self.revision = batch.revision
        self._batches.append(batch)
        self._rows += batch.size
        while self._rows > self._rows_max and len(self._batches) > 1:
            self._rows -= self._batches.popleft().size
        more, self._more = self._more, asyncio.Event()
        more.set()

    def skip(self) -> None:
        """Drop all batches because there is no reader; one that comes back later learns that it missed something."""
        self.revision += 1
        self._batches.clear()
        self._rows = 0

    async def after(self, revision: int) -> AsyncIterator[B | None]:
        """Yield the batches after this one, without end. Yield None if some are missing, then those after the
        latest."""
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
