"""Waits until something is true, and says what it saw when it never became true. Knows nothing of what it waits for."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PAUSE_S_FIRST: Final = 0.001
PAUSE_S_MAX: Final = 0.05


class NeverHappened(AssertionError):  # noqa: N818 - reads as what it says
    """The deadline passed; the message has the last value seen."""


def wait_until(look: Callable[[], T], deadline_s: float = 5.0, what: str = "") -> T:
    """Look again and again until the value is true, and return it.

    A look that raises saw nothing: not yet true, and not a failure before the deadline.
    """
    end = time.monotonic() + deadline_s
    pause_s = PAUSE_S_FIRST
    while True:
        seen: object
        try:
            value = look()
            if value:
                return value
            seen = value
        except Exception as error:
            seen = error
        if time.monotonic() >= end:
            raise NeverHappened(f"{what or 'it'} did not happen within {deadline_s} s; last seen: {seen!r}")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_S_MAX)
