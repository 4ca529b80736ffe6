"""How the demo speaks: a line a step with the seconds since its start, what was seen below it, progress where it takes long.

Plain ASCII, for any terminal and any file. Knows nothing of what is told.
"""

import time
from collections.abc import Iterable
from typing import Final, TextIO

PROGRESS_S_TERMINAL: Final = 0.1
PROGRESS_S_FILE: Final = 5.0


class DemoOutput:
    """One story, told from its making on."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._start = time.monotonic()
        self._in_place = out.isatty()
        self._unfinished = ""
        self._next_progress = 0.0

    def step(self, text: str) -> None:
        self._line(f"{time.monotonic() - self._start:6.2f} s  {text}")

    def below(self, lines: Iterable[str]) -> None:
        """What somebody would see who looked at this moment."""
        for line in lines:
            self._line(f"{'':10}{line}".rstrip())

    def plain(self, text: str) -> None:
        self._line(text)

    def progress(self, text: str) -> None:
        """Say how far it is: in place on a terminal, now and then otherwise."""
        now = time.monotonic()
        if now < self._next_progress:
            return
        self._next_progress = now + (PROGRESS_S_TERMINAL if self._in_place else PROGRESS_S_FILE)
        if not self._in_place:
            self.below([text])
            return
        self._wipe()
        self._unfinished = f"{'':10}{text}"
        self._out.write(self._unfinished)
        self._out.flush()

    def _line(self, text: str) -> None:
        self._wipe()
        self._out.write(text + "\n")
        self._out.flush()

    def _wipe(self) -> None:
        if self._unfinished:
            self._out.write("\r" + " " * len(self._unfinished) + "\r")
            self._unfinished = ""
