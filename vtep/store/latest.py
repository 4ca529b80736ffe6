"""A cell with the latest value of something: readers take the value or wait for the next one.

    writer   publish(1)      publish(2)  publish(3)
    reader   next() ──▶ 1    busy with 1 ..........  value is 3; 2 was never read

The writer does not wait for readers, and a reader may miss values in between. So a value must say everything
by itself; what may not be missed belongs in a `Ring`. Knows nothing about the value.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """The latest value. For one event loop."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._changed = asyncio.Event()

    @property
    def value(self) -> T:
        return self._value

    def publish(self, value: T) -> None:
        """Replace the value and wake every waiting reader; the same object again wakes none."""
        if value is self._value:
            return
        self._value = value
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def next(self) -> T:
        """Return the value after the next time that one is published; the present value does not count.

        If several are published before the reader runs, it gets the last of them.
        """
        await self._changed.wait()
        return self._value

    async def wait(self, wanted: Callable[[T], bool]) -> T:
        """Return the first value that meets the condition; the present value counts."""
        while not wanted(self._value):
            await self._changed.wait()
        return self._value
