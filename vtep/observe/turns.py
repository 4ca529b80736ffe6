"""Turns: the work for readers is done in slices, one slice at a time, with rounds of the event loop between two slices.

So the work of the daemon waits for one slice at most, however many readers there are and however much they ask for.
Knows nothing of the work itself.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K")

ROWS_A_TURN: Final = 25
"""About a quarter of a millisecond of making messages."""
ROUNDS: Final = 4
"""Of the event loop, from one slice to the next. A move of a row takes about ten, and may wait for few slices."""


class Turns:
    """The turns of one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def take(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Wait for a turn, work, and let the loop make its rounds before the next."""
        async with self._turn:
            done = work(*args, **kwargs)
            for _ in range(ROUNDS):
                await asyncio.sleep(0)
            return done

    async def each(self, work: Callable[[Sequence[R]], T], rows: Sequence[R]) -> list[T]:
        """Work through the rows, a few a turn, and return what each turn made."""
        return [await self.take(work, rows[at : at + ROWS_A_TURN]) for at in range(0, len(rows), ROWS_A_TURN)]

    async def pages(self, read: Callable[[K | None, int], K | None], after: K | None, size: int) -> K | None:
        """Read `size` rows behind a key, a few a turn; return the last key that was read, or None if no row is left.

        `read` takes the key behind which it reads and how many rows at most, and returns like this.
        """
        for start in range(0, size, ROWS_A_TURN):
            after = await self.take(read, after, min(ROWS_A_TURN, size - start))
            if after is None:
                break
        return after
