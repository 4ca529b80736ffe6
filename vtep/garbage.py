"""When the garbage collector looks, and at what. Knows nothing of what is made, but how much of it there is.

None of what lines, judgements and passes make is in a cycle, and one look at the tables' share of it took longer than the
judgement that made them, whichever thread happened to start it. What is in cycles comes from who reads: five objects for
each request, seven for each scrape of the metrics (grpc 1.85, Python 3.11). So the collector looks often at the little
that is new, and the tables are put aside, where it never looks; that costs nothing, whatever their size.
"""

import contextlib
import gc
from collections.abc import Iterator
from typing import Final

YOUNG_MAX: Final = 10_000
"""Objects that are new at one look, which takes a quarter of a millisecond."""
YOUNG_LOOKS: Final = 5
"""After so many what is new and still there is looked at together, and then never again."""
WORK_MAX: Final = 512
"""Rows that may be judged and not put aside: what a look at them takes is a few milliseconds."""
_NEVER: Final = 1_000_000


def set_up() -> None:
    """Let the collector look at little at a time."""
    gc.set_threshold(YOUNG_MAX, YOUNG_LOOKS, _NEVER)


class Shelf:
    """Where the tables are put."""

    def __init__(self) -> None:
        self._work = 0
        """Done since the last time."""

    @contextlib.contextmanager
    def judging(self, work: int) -> Iterator[None]:
        """Put aside what is made within, once that is much; nothing is looked at meanwhile.

        What is garbage before is found first, since what was put aside stays there for ever if it is in a cycle.
        """
        self._work += work
        if self._work < WORK_MAX:
            yield
            return
        self._work = 0
        gc.collect(1)
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()
            gc.enable()
