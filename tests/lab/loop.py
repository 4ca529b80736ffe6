"""An event loop whose time moves only while it waits, so that a test about hours takes none. Knows nothing of what runs on it."""

import asyncio
import selectors


class HandMovedSelector(selectors.DefaultSelector):
    """Where others would sleep, it moves the clock."""

    now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(5)  # a thread
        self.now += timeout
        return ready


class HandMovedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = HandMovedSelector()
        super().__init__(self.clock)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.clock.now
