"""Recent events, as numbered entries in two bounded rings: one for moves, because a storm of moves would push out
everything else, and one for all other kinds.

Knows what an entry looks like, and not what causes one. In memory only: what must outlive the daemon is in the log.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

from msgspec import Struct, structs

from vtep.addr import ZERO_MAC, Ip, Mac, Vni

ENTRIES_MAX: Final = 10_000
"""Entries of each ring. The oldest go first, and `entries` says how many of those that were asked for are gone."""

POINT_EVERY_S: Final = 10.0
"""Seconds between two points of the curve that a display draws."""
POINTS_MAX: Final = 360
"""One hour, at a point every ten seconds."""

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
    "peers-forgotten": "Peers that were down are no longer known, because very many others came.",
    "routes-incomplete": "Routes of an expected peer are missing again; deletions are held.",
    "vni-ready": "The devices of a VNI are fit for its rows.",
    "vni-not-ready": "The devices of a VNI are not fit for its rows; the text has the reasons.",
    "kernel-readable": "The tables of the kernel can be read again.",
    "kernel-unreadable": "The tables of the kernel could not be read; the text has the error.",
    "exabgp-connected": "The relay of an ExaBGP connected to the feed socket; the text has the process id of ExaBGP.",
    "exabgp-disconnected": "The relay of ExaBGP disconnected; all routes are kept as stale.",
    "exabgp-lines-lost": "Lines of ExaBGP were lost, so that the peers are asked for their routes again.",
    "bmp-connected": "The first router reports by BMP; the text has its name.",
    "bmp-disconnected": "The last router no longer reports by BMP; all routes are kept as stale.",
    "reload": "A configuration was loaded, or refused with the reason `refused`.",
}
"""Every kind of event with its meaning, in the words of BGP and of the kernel. docs/json.md lists them for readers."""


class HistoryEntry(Struct, frozen=True, gc=False):
    """One event."""

    kind: str
    """One of `EVENT_KINDS`."""
    vni: Vni | None = None
    """None for an event that is about no VNI, and likewise below."""
    mac: Mac | None = None
    vtep: Ip | None = None
    """The VTEP that the event is about; for a move the new location, which is ours if the MAC came to a port here."""
    vtep_before: Ip | None = None
    """For a move, where the MAC was before."""
    peer: Ip | None = None
    """The peer that the event is about; for a move the one whose route won, None if the MAC came to a port here."""
    reason: str = ""
    """A code of docs/reasons.md or, for `peer-down`, what ExaBGP gave."""
    text: str = ""
    """A sentence for people, whose wording may change."""
    time: float = 0.0
    """On the daemon's own clock, which never jumps."""
    generation: int = 0
    """Of the intent when it was recorded."""
    number: int = 0
    """Counted from 1 in one life of the daemon, without gaps. The rings of moves and of the rest share the numbers."""
    key: str = ""
    """The key of a row that is not one of a MAC: a prefix, an address, or the identifier of a nexthop."""


class Moved(Struct, frozen=True, gc=False):
    """MACs that moved together, in the same way: one entry for all of them, opened when someone reads."""

    entry: HistoryEntry
    """That of the first MAC; the others have the numbers that follow."""
    macs: tuple[Mac, ...]

    @property
    def number(self) -> int:
        """Of the last entry."""
        return self.entry.number + len(self.macs) - 1

    def opened(self, after: int = 0) -> Iterator[HistoryEntry]:
        """Yield the entries with a higher number than that, the last one first."""
        first = self.entry.number
        for at in range(len(self.macs) - 1, max(-1, after - first), -1):
            yield structs.replace(self.entry, mac=self.macs[at], number=first + at)


class RowsPoint(Struct, frozen=True, gc=False):
    """How many rows of all kinds were wanted and in the kernel at a moment."""

    time: float
    wanted: int
    installed: int
    """Those among them that are in the kernel as wanted, as far as is known."""


class RowsHistory:
    """The last hour of those counts, a point every ten seconds."""

    def __init__(self) -> None:
        self._points: deque[RowsPoint] = deque(maxlen=POINTS_MAX)

    def is_due(self, now: float) -> bool:
        """Return whether ten seconds have passed since the last point, or there is none."""
        return not self._points or now >= self._points[-1].time + POINT_EVERY_S

    def add(self, point: RowsPoint) -> None:
        self._points.append(point)

    def points(self) -> list[RowsPoint]:
        return list(self._points)


class History:
    """The latest events."""

    def __init__(self, most: int = ENTRIES_MAX) -> None:
        self._most = most
        self._moves: deque[Moved] = deque()
        self._moves_count = 0
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
            entry.key,
        )
        if entry.kind == "move":
            self._keep(Moved(numbered, (numbered.mac or ZERO_MAC,)))
        else:
            self._rest.append(numbered)
        return numbered

    def add_moves(self, entry: HistoryEntry, macs: Sequence[Mac], time: float, generation: int) -> None:
        """Put an entry at the end for each of these MACs; the entry says how all of them moved."""
        first = structs.replace(entry, time=time, generation=generation, number=self.number + 1)
        self.number += len(macs)
        kept = tuple(macs[-self._most :])
        self._keep(Moved(structs.replace(first, number=self.number - len(kept) + 1), kept))

    def _keep(self, moved: Moved) -> None:
        """Keep moves, and forget the oldest ones; what is kept is cut to the number of entries that a ring has."""
        self._moves.append(moved)
        self._moves_count += len(moved.macs)
        while (surplus := self._moves_count - self._most) > 0:
            oldest = self._moves.popleft()
            self._moves_count -= min(surplus, len(oldest.macs))
            if surplus < len(oldest.macs):
                entry = structs.replace(oldest.entry, number=oldest.entry.number + surplus)
                self._moves.appendleft(Moved(entry, oldest.macs[surplus:]))

    def entries(
        self, *, after: int = 0, since: float | None = None, latest: int | None = None
    ) -> tuple[list[HistoryEntry], int]:
        """Return the entries later than that in order, or the latest of them, and how many of them are missing."""
        # Two runs in order: sorting them merges them, many times faster than heapq.merge.
        moves = (entry for moved in reversed(self._moves) for entry in moved.opened(after))
        found = sorted((*_later(moves, after, latest), *_later(reversed(self._rest), after, latest)), key=_NUMBER)
        if latest is not None:
            found = found[-latest:]
        forgotten = self.number - after - len(found)
        if since is not None:
            found = [entry for entry in found if entry.time > since]
        return found, forgotten

    def entries_of(self, mac: Mac) -> list[HistoryEntry]:
        """Return the entries about a MAC in order."""
        moves = (entry for moved in self._moves if mac in moved.macs for entry in moved.opened() if entry.mac == mac)
        return sorted(chain(moves, (entry for entry in self._rest if entry.mac == mac)), key=_NUMBER)


def _later(newest_first: Iterable[HistoryEntry], after: int, latest: int | None) -> list[HistoryEntry]:
    later: list[HistoryEntry] = []
    for entry in newest_first:
        if entry.number <= after or len(later) == latest:
            break
        later.append(entry)
    return later[::-1]
