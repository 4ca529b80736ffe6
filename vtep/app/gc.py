"""When Python's collector of cycles looks at objects: often at those that are new, so that no look takes long; never
again.

It counts those that came less those that went. In a drain nearly as many go as come, so it would look at nothing until
a hundred thousand keys and more wait for their rows to be removed, and then at all of them at once. So rows that
changed are counted as well, and whoever has a moment makes it look. Does not know what the objects are."""

import gc
from typing import Final

YOUNG_MAX: Final = 10_000
"""Objects that are new when the collector looks at them, which takes a quarter of a millisecond."""
YOUNG_LOOKS: Final = 5
"""After so many it looks at all that are new since the last time, for a few milliseconds, and never again."""
NEVER: Final = 1_000_000
"""Nearly all there is here lives long and is in no cycle; looking through a million rows again finds nothing."""
ROWS_MAX: Final = 4096
"""Changed, with what is kept of them: looked at in two or three milliseconds."""


def set_up() -> None:
    """Called by a program that has a large table, never by an import."""
    gc.set_threshold(YOUNG_MAX, YOUNG_LOOKS, NEVER)


class Collector:
    """Python's, and how many rows changed since it was made to look."""

    def __init__(self) -> None:
        self._rows = 0

    @property
    def is_due(self) -> bool:
        return self._rows >= ROWS_MAX

    def count(self, rows: int) -> None:
        self._rows += rows

    def look(self) -> None:
        """Look at all that are new."""
        self._rows = 0
        gc.collect(1)
