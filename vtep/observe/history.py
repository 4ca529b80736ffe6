"""What happened lately, as numbered entries in bounded rings: moves apart from the rest, since a storm of them would push
everything else out.

Knows what an entry looks like, not what gives rise to one. In memory only: what must outlive the daemon is in the log.
"""

from collections import deque
from collections.abc import Sequence
from heapq import merge
from typing import Final

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni

ENTRIES_MAX: Final = 10_000
"""Of moves, and of everything else."""


class HistoryEntry(Struct, frozen=True, gc=False):
    """Something that happened."""

    kind: str
    """One of those listed beside Event in proto/vtep/v1/vtep.proto."""
    vni: Vni | None = None
    mac: Mac | None = None
    vtep: Ip | None = None
    vtep_before: Ip | None = None
    peer: Ip | None = None
    reason: str = ""
    text: str = ""
    time: float = 0.0
    generation: int = 0
    number: int = 0


class History:
    """The latest entries."""

    def __init__(self, most: int = ENTRIES_MAX) -> None:
        self._moves: deque[HistoryEntry] = deque(maxlen=most)
        self._rest: deque[HistoryEntry] = deque(maxlen=most)
        self.number = 0
        """Of the latest entry."""

    def add(self, entry: HistoryEntry, time: float, generation: int) -> HistoryEntry:
        """Put an entry at the end, with its number, its time and the intent's generation."""
        self.number += 1
        numbered = HistoryEntry(
            entry.kind,
            entry.vni,
            entry.mac,
            entry.vtep,
            entry.vtep_before,
            entry.peer,
            entry.reason,
            entry.text,
            time,
            generation,
            self.number,
        )
        (self._moves if entry.kind == "move" else self._rest).append(numbered)
        return numbered

    def entries(self, *, after: int = 0, since: float | None = None) -> tuple[list[HistoryEntry], int]:
        """Return the entries later than that in order, and how many of them are forgotten."""
        found = list(merge(_later(self._moves, after), _later(self._rest, after), key=lambda entry: entry.number))
        forgotten = self.number - after - len(found)
        if since is not None:
            found = [entry for entry in found if entry.time > since]
        return found, forgotten


def _later(ring: deque[HistoryEntry], after: int) -> Sequence[HistoryEntry]:
    later = []
    for entry in reversed(ring):
        if entry.number <= after:
            break
        later.append(entry)
    return later[::-1]
