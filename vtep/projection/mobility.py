"""Duplicate detection: whether a MAC has moved too often, and what follows from that (RFC 7432 15.1).

A move is a change of the location: between remote VTEPs, or to or from this leaf. A rising sequence without a change of
location is not a move, and neither is a change within one Ethernet segment. A MAC that was nowhere for a moment has moved if
it comes back elsewhere, once it is known to move.

With `action = "freeze"`, a MAC that has moved too often stays where its last move took it. The freeze ends when an operator
clears it, when its time is over, or when no route and no station offers the MAC at that VTEP any more. In the last case the
moves are forgotten as well: otherwise the MAC would be frozen again at once, at the location of whichever VTEP is left.

This is the only part of the projection with a memory. The memory is a value that goes in and comes out, one for each MAC
that moved within the window, and it is dropped afterwards.
"""

from collections.abc import Collection

from vtep.addr import Ip
from vtep.config.model import DuplicateConfig
from vtep.intent import Alert, Direct, Moves


def follow(
    moves: Moves | None, before: bytes | None, location: bytes, via: Direct, rule: DuplicateConfig, now: float
) -> Moves | None:
    """Return the memory after a MAC, which was at the location `before` if it had one, was judged to be at `location`."""
    if moves is None:
        if before is None or before == location:
            return None
        moves = Moves(location=before)
    moves = _recovered(moves, rule, now)
    times = _lately(moves, rule, now)
    if location != moves.location:
        times = (*times, now)[-rule.moves :]
    since = moves.duplicate_since
    if since is None and len(times) >= rule.moves:
        since = now
    frozen = moves.frozen
    if frozen is None and times and since is not None and rule.action == "freeze":
        frozen = via
    if not times and frozen is None:
        return None
    return Moves(location=location, times=times, duplicate_since=since, frozen=frozen)


def ended_if_left(moves: Moves | None, offered: Collection[Ip]) -> Moves | None:
    """End a freeze at a VTEP that is not among those that offer the MAC now; the freeze would outlive its cause."""
    if moves is None or moves.frozen is None or moves.frozen.vtep in offered:
        return moves
    return Moves(location=moves.location)


def idle(moves: Moves, rule: DuplicateConfig, now: float) -> Moves | None:
    """Return the memory of a MAC that is nowhere: kept for a window, so that its return elsewhere counts as a move."""
    moves = _recovered(moves, rule, now)
    times = _lately(moves, rule, now)
    if not times:
        return None
    return Moves(location=moves.location, times=times, duplicate_since=moves.duplicate_since, frozen=moves.frozen)


def due(moves: Moves, rule: DuplicateConfig) -> float | None:
    """Return when time alone changes this memory."""
    ends = moves.times[0] + rule.window_s if moves.times else None
    if moves.frozen is None or not rule.recover_s or moves.duplicate_since is None:
        return ends
    recovers = moves.duplicate_since + rule.recover_s
    return recovers if ends is None else min(ends, recovers)


def _lately(moves: Moves, rule: DuplicateConfig, now: float) -> tuple[float, ...]:
    """Return the moves of the last window.

    This adds the same numbers as `due`, because another formula might round differently, and the MAC would stay due.
    """
    return tuple(time for time in moves.times if now < time + rule.window_s)


def frozen_at(moves: Moves | None) -> Direct | None:
    """Return where the MAC is frozen, if it is."""
    return None if moves is None else moves.frozen


def alerts(moves: Moves | None) -> tuple[Alert, ...]:
    """Return the alerts about a MAC that moved too often."""
    if moves is None or moves.duplicate_since is None:
        return ()
    return (Alert("dup-warn" if moves.frozen is None else "dup-frozen", moves.frozen.vtep if moves.frozen else None),)


def _recovered(moves: Moves, rule: DuplicateConfig, now: float) -> Moves:
    """End a freeze whose time is over, or that the configuration no longer asks for."""
    if moves.frozen is None:
        return moves
    recovers = rule.recover_s and moves.duplicate_since is not None and now >= moves.duplicate_since + rule.recover_s
    if recovers or rule.action != "freeze":
        return Moves(location=moves.location)
    return moves
