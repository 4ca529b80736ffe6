"""Sets Python's garbage collector so that it looks at new objects often, and at old ones never.

CPython collects when more objects were created than freed. While many rows are replaced at once, nearly as many objects
are freed as are created, so that the collector would run only after a hundred thousand changes, and then for a long
time. Therefore changed rows are counted as well, and the feed task runs the collector between two rounds. Knows nothing
about the objects.
"""

import gc
from typing import Final

YOUNG_MAX: Final = 10_000
"""New objects after which the collector looks at them, which takes a quarter of a millisecond."""
YOUNG_LOOKS: Final = 5
"""Looks after which it also looks at all objects since the last such look, for a few milliseconds, and never again."""
NEVER: Final = 1_000_000
"""Nearly all objects live long and are in no cycle, so that looking through a million rows again would find nothing."""
ROWS_MAX: Final = 4096
"""Changed rows: the objects that belong to them are looked at in two or three milliseconds."""


def set_up() -> None:
    """Set the thresholds of this process. A program calls this; no import does."""
    gc.set_threshold(YOUNG_MAX, YOUNG_LOOKS, NEVER)


class Collector:
    """Counts the rows that changed since the collector was last run by hand."""

    def __init__(self) -> None:
        self._rows = 0

    @property
    def is_due(self) -> bool:
        return self._rows >= ROWS_MAX

    def count(self, rows: int) -> None:
        self._rows += rows

    def look(self) -> None:
        """Look at all new objects."""
        self._rows = 0
        gc.collect(1)
