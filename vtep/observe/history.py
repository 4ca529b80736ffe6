"""Recent events, as numbered entries in two bounded rings: one for moves, because a storm of moves would push out
everything else, and one for all other kinds.

Knows what an entry looks like, and not what causes one. In memory only: what must outlive the daemon is in the log.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni

ENTRIES_MAX: Final = 10_000
"""Entries of each ring."""

_NUMBER: Final = attrgetter("number")

EVENT_KINDS: Final[Mapping[str, str]] = {
    "move": "A MAC is behind another VTEP than before, or came to or left a port of this leaf.",
    "duplicate": "A MAC moved too often (RFC 7432 15.1); the reason says whether its row is frozen.",
    "duplicate-cleared": "An operator cleared a duplicate MAC with `vtep clear-duplicate`.",
    "alert": "Something that a person should look at; the reason is one of the alerts of docs/reasons.md.",
    "contested": "Another program, or a local station, has the row that is wanted.",
    "failed": "The kernel refused a row, and it is tried again.",
    "suppressed": "The kernel refused a row permanently, and it is not tried again.",
    "recovered": "A row is no longer contested, failed or suppressed.",
    "repaired": "Another program changed a row of ours, and it was written again.",
    "adopted": "An operator claimed orphan rows with `vtep adopt`.",
    "peer-up": "The BGP session with a peer is established.",
    "peer-down": "The BGP session with a peer ended; the reason is the one that ExaBGP gave.",
    "end-of-rib": "A peer sent End-of-RIB: it has sent all its routes.",
    "routes-complete": "Every expected peer has sent all its routes, or the time to wait is over; deletions may begin.",
    "routes-incomplete": "Routes of an expected peer are missing again; deletions are held.",
    "vni-ready": "The devices of a VNI are fit for its rows.",
    "vni-not-ready": "The devices of a VNI are not fit for its rows; the text has the reasons.",
    "kernel-readable": "The tables of the kernel can be read again.",
    "kernel-unreadable": "The tables of the kernel could not be read; the text has the error.",
    "exabgp-connected": "The relay of an ExaBGP connected to the feed socket; the text has the process id of ExaBGP.",
    "exabgp-disconnected": "The relay of ExaBGP disconnected; all routes are kept as stale.",
    "exabgp-lines-lost": "Lines of ExaBGP were lost, so that the peers are asked for their routes again.",
    "reload": "A configuration was loaded, or refused with the reason `refused`.",
}
"""Every kind of event with its meaning, in the words of BGP and of the kernel. docs/json.md lists them for readers."""


class HistoryEntry(Struct, frozen=True, gc=False):
    """One event."""

    kind: str
    """One of `EVENT_KINDS`."""
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
    """The latest events."""

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

    def entries(
        self, *, after: int = 0, since: float | None = None, latest: int | None = None
    ) -> tuple[list[HistoryEntry], int]:
        """Return the entries later than that in order, or the latest of them, and how many of them are missing."""
        # Two runs in order: sorting them merges them, many times faster than heapq.merge.
        found = sorted((*_later(self._moves, after, latest), *_later(self._rest, after, latest)), key=_NUMBER)
        if latest is not None:
            found = found[-latest:]
        forgotten = self.number - after - len(found)
        if since is not None:
            found = [entry for entry in found if entry.time > since]
        return found, forgotten

    def entries_of(self, mac: Mac) -> list[HistoryEntry]:
        """Return the entries about a MAC in order."""
        rings = ([entry for entry in ring if entry.mac == mac] for ring in (self._moves, self._rest))
        return sorted(chain.from_iterable(rings), key=_NUMBER)


def _later(ring: deque[HistoryEntry], after: int, latest: int | None) -> Sequence[HistoryEntry]:
    later: list[HistoryEntry] = []
    for entry in reversed(ring):
        if entry.number <= after or len(later) == latest:
            break
        later.append(entry)
    return later[::-1]
