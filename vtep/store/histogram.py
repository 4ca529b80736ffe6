"""Counts durations by upper bound, as a Prometheus histogram does. Has no clock, and does not know what was timed."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds that fit both a message to the kernel, which takes microseconds, and a pass over a large table."""


class Distribution(Struct, frozen=True):
    """A histogram at one moment."""

    bounds: tuple[float, ...] = SECONDS
    """Upper bounds that rise. A value that is equal to a bound counts for it, as the label `le` says."""
    counts: tuple[int, ...] = (0,) * (len(SECONDS) + 1)
    """One count for each bound: the values up to this bound and above the one before. The last counts those above all
    bounds."""
    sum: float = 0.0
    """Of all values, in their own unit; divided by `count` it is the mean."""

    @property
    def count(self) -> int:
        return sum(self.counts)


class Histogram:
    """Counts values; its size does not depend on how many there were."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        if not bounds or any(lower >= upper for lower, upper in pairwise(bounds)):
            raise ValueError(f"bounds must rise: {bounds}")
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value once, or several times: all rows of one message took equally long."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def snapshot(self) -> Distribution:
        return Distribution(self._bounds, tuple(self._counts), self._sum)
