"""Waits until something is true, and says what it saw when it never became true. Knows nothing of what it waits for."""

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PAUSE_S_FIRST: Final = 0.001
PAUSE_S_MAX: Final = 0.05
SAMPLES: Final = 5
PATIENCE: Final = float(os.environ.get("VTEP_LAB_PATIENCE", "1"))
"""By which every deadline is multiplied, where the lab's kernel is itself a slow process."""


class NeverHappened(AssertionError):  # noqa: N818 - reads as what it says
    """The deadline passed; the message has the last value seen."""


def wait_until(look: Callable[[], T], deadline_s: float = 5.0, what: str = "") -> T:
    """Look again and again until the value is true, and return it.

    A look that raises saw nothing: not yet true, and not a failure before the deadline.
    """
    deadline_s *= PATIENCE
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


def wait_until_it_stays(look: Callable[[], object], deadline_s: float = 5.0, what: str = "") -> None:
    """Wait until the value is true in several looks in a row: what is true in passing does not count."""
    row = 0

    def looks() -> bool:
        nonlocal row
        try:
            value = look()
        except Exception:
            row = 0
            raise
        row = row + 1 if value else 0
        if value and row < SAMPLES:
            time.sleep(PAUSE_S_MAX)
        return row >= SAMPLES

    wait_until(looks, deadline_s + SAMPLES * PAUSE_S_MAX, f"{what or 'it'}, {SAMPLES} times in a row,")


def stays(look: Callable[[], object], window_s: float = 1.0, what: str = "") -> None:
    """Look again and again for so long, and fail at the first look that is not true."""
    end = time.monotonic() + window_s
    while True:
        value = look()
        assert value, f"{what or 'it'} did not stay for {window_s} s; last seen: {value!r}"
        if time.monotonic() >= end:
            return
        time.sleep(PAUSE_S_MAX)
