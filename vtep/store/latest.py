"""A place for the latest value of something. Readers take it or wait for a better one; the writer waits for nobody.

Values in between may be skipped. Knows nothing about what it holds.
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
        """Put a value in place of the last one and wake everybody who waits."""
        if value is self._value:
            return
        self._value = value
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def next(self) -> T:
        """Return the next value that is published."""
        await self._changed.wait()
        return self._value

    async def wait(self, wanted: Callable[[T], bool]) -> T:
        """Return the first value of this kind, which may be the present one."""
        while not wanted(self._value):
            await self._changed.wait()
        return self._value
