"""How long to wait before something that failed is tried again: twice as long each time, up to a bound.

Each wait is a quarter more or less, by chance, so that what failed together is not tried again together. Knows neither time nor
what is tried; the chance is an argument.
"""

from typing import Final

from msgspec import Struct

JITTER: Final = 0.25
_DOUBLINGS_MAX: Final = 16
"""Enough to reach any bound; beyond it a power of two would soon be no number any more."""


class Backoff(Struct, frozen=True):
    """The waits of one kind of failure, in seconds."""

    first_s: float
    last_s: float

    def wait_s(self, tries: int, chance: float = 0.5) -> float:
        """Return the wait after so many tries; `chance` is between 0 and 1, and 0.5 is the wait itself."""
        wait_s = min(self.last_s, self.first_s * 2.0 ** min(tries - 1, _DOUBLINGS_MAX))
        return wait_s * (1 - JITTER + 2 * JITTER * chance)
