"""When each of the latest routes was received as it is now.

A reader asks how old a route is. The values that say what a route is are shared by thousands of MACs, so none of them can have a
time of its own. The times are here instead, of the latest routes that came or changed, in two halves:

    note ──> the newer half ──(is full)──> the older half ──(the newer is full again)──> forgotten

So what is kept is bounded, and to note a thousand MACs of one announcement is one step for each in a dictionary. Of a route that is
in neither half, only this is known: it was received before the older half began (`Age.before`). A route that comes again with the
same content keeps its time, whether it came by a refresh or in the next session.

Knows no session and no route's content: `Rib` notes only what changed. An entry of a route that is gone does no harm, because
it is not asked for, and the same key is noted again when it comes back.
"""

from collections.abc import Iterable
from math import inf
from typing import Final, TypeAlias

from msgspec import Struct

from vtep.addr import Ip
from vtep.evpn.event import RouteKey
from vtep.evpn.offers import PathName, is_key_of_mac_alone, split_key

HALF_MAX: Final = 65_536
"""Entries of a half, which take about 4 MiB. To free so many takes about two milliseconds."""
NAME_WEIGHT: Final = 4
"""A dictionary for the MACs of one path takes about as much memory as four entries."""

_Half: TypeAlias = dict[tuple[Ip, PathName], dict[bytes, float]]
"""By peer and name of the path: the time of each MAC. Routes that are not of a MAC alone are under an empty name, by their key."""


class Age(Struct, frozen=True, gc=False):
    """When a route was received as it is now."""

    since: float | None = None
    before: float | None = None
    """If `since` is not known: it was received before this."""


UNKNOWN: Final = Age()


class Ages:
    """The times of the latest routes."""

    def __init__(self, half_max: int = HALF_MAX) -> None:
        self._known_since = -inf
        """When the older half began; -inf as long as nothing was forgotten."""
        self._half_max = half_max
        self._newer: _Half = {}
        self._older: _Half = {}
        self._newer_began = -inf
        self._weight = 0
        """Of the newer half: its entries, and what its dictionaries take."""

    def note_macs(self, peer: Ip, name: PathName, macs: Iterable[bytes], now: float) -> None:
        """Note that a peer said something new of these MACs alone."""
        times = self._newer.get((peer, name))
        if times is None:
            times = self._begin(peer, name)
        weight = self._weight - len(times)
        for mac in macs:
            times[mac] = now
        self._weight = weight + len(times)
        if self._weight >= self._half_max:
            self._turn_over(now)

    def note(self, peer: Ip, key: RouteKey, now: float) -> None:
        """Note a route that is not of a MAC alone."""
        self.note_macs(peer, b"", (key,), now)

    def of(self, peer: Ip, key: RouteKey) -> Age:
        """Return when a route that a peer has was received as it is now, or before what."""
        name, entry = split_key(key) if is_key_of_mac_alone(key) else (b"", key)
        for half in (self._newer, self._older):
            times = half.get((peer, name))
            if times is not None and (time := times.get(entry)) is not None:
                return Age(time)
        return UNKNOWN if self._known_since == -inf else Age(before=self._known_since)

    def _begin(self, peer: Ip, name: PathName) -> dict[bytes, float]:
        times = self._newer[peer, name] = {}
        self._weight += NAME_WEIGHT
        return times

    def _turn_over(self, now: float) -> None:
        """Begin another half, because the newer one is full."""
        self._older, self._newer, self._weight = self._newer, {}, 0
        self._known_since, self._newer_began = self._newer_began, now
