"""How much work a piece of Python is, in lines that run: the same on every machine, busy or not."""

import asyncio
import sys
from types import FrameType
from typing import Any, Self


class TooManyStepsError(AssertionError):
    """The work took more steps than it may."""


class Steps:
    """Counts the lines of Python that run; if a number is given, the work ends with an error when they are more."""

    def __init__(self, most: float = float("inf")) -> None:
        self.most = most
        self.taken = 0
        self.longest = 0
        self._since = 0

    def __enter__(self) -> Self:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, _frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            self.taken += 1
            self.longest = max(self.longest, self.taken - self._since)
            if self.taken > self.most:
                sys.settrace(None)
                raise TooManyStepsError(f"more than {self.most} lines of Python ran")
        return self._trace

    async def watch_the_loop(self) -> None:
        """Note each round of the event loop."""
        while True:
            self._since = self.taken
            await asyncio.sleep(0)
