"""How long to wait before something that failed is tried again: twice as long each time, up to a bound.

Each wait is a quarter more or less, by chance, so that what failed together is not tried again together. Knows neither time nor
what is tried; the chance is an argument.
"""

from typing import Final

from msgspec import Struct

JITTER: Final = 0.25
"""The share of a wait by which it may be longer or shorter."""
_DOUBLINGS_MAX: Final = 16
"""Enough to reach any bound; beyond it a power of two would soon be no number any more."""


class Backoff(Struct, frozen=True):
    """The waits of one kind of failure, in seconds.

    Backoff(1.0, 30.0) waits about 1, 2, 4, 8, 16, and from then on 30 seconds.
    """

    first_s: float
    """After the first try that failed."""
    last_s: float
    """No wait is longer, except by chance. It bounds how late a repaired cause is noticed."""

    def wait_s(self, tries: int, chance: float = 0.5) -> float:
        """Return the wait after so many tries that failed, from 1 on.

        `chance` is between 0 and 1; with 0.5 the wait is neither longer nor shorter.
        """
        wait_s = min(self.last_s, self.first_s * 2.0 ** min(tries - 1, _DOUBLINGS_MAX))
        return wait_s * (1 - JITTER + 2 * JITTER * chance)
