"""Duplicate detection: whether a MAC has moved too often, and what follows from that (RFC 7432 15.1).

A move is a change of the location: between remote VTEPs, or to or from this leaf. A rising sequence without a change of
location is not a move, and neither is a change within one Ethernet segment. A MAC that was nowhere for a moment has moved if
it comes back elsewhere, once it is known to move.

With `action = "freeze"`, a MAC that has moved too often stays where its last move took it. The freeze ends when an operator
clears it, when its time is over, or when no route and no station has offered the MAC at that VTEP for a while. In the last case
the moves are forgotten as well: otherwise the MAC would be frozen again at once, at the location of whichever VTEP is left. The
while is a window divided by its moves, because a MAC that moves often enough to be frozen is back by then: each leaf of a MAC
that bounces withdraws it when the other one has it, and a freeze that ended at once would follow every move.

This is the only part of the projection with a memory. The memory is a value that goes in and comes out, one for each MAC
that moved within the window, and it is dropped afterwards.

Example with `moves = 3`, `window_s = 180` and `action = "freeze"`; the record is `Moves`:

    time   the winner is at   the record afterwards
    0      A                  none: a MAC that never moved costs no memory
    10     B                  location B, moved at 10
    20     A                  location A, moved at 10 and 20
    30     B                  location B, moved at 10, 20 and 30, a duplicate since 30, frozen at B; alert `dup-frozen`
    40     A                  location A, moved at 20, 30 and 40, still frozen at B: the row stays there

With `action = "warn"` the row follows to A at 40. The alert `dup-warn` stays until the MAC has not moved for 180 s.
"""

from collections.abc import Collection

from msgspec import structs

from vtep.config.model import DuplicateConfig
from vtep.intent import Alert, Direct, Moves, Via


def follow(
    moves: Moves | None, before: bytes | None, location: bytes, via: Via, rule: DuplicateConfig, now: float
) -> Moves | None:
    """Return the memory after a MAC, which was at the location `before` if it had one, was judged to be at `location`.

    None: it did not move within the window, and it is not frozen. Only the last `rule.moves` times are kept, because
    more of them decide nothing. So a MAC that bounces all day costs no more memory than a new duplicate.
    """
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
    return Moves(location=location, times=times, duplicate_since=since, frozen=frozen, left=moves.left)


def ended_if_left(moves: Moves | None, offered: Collection[bytes], rule: DuplicateConfig, now: float) -> Moves | None:
    """End a freeze at a VTEP that has not offered the MAC for a while; the freeze would outlive its cause.

    A freeze at a segment ends at once when no VTEP of the segment is left, because nothing could be written for it.
    """
    if moves is None or moves.frozen is None:
        return moves
    if place_of(moves.frozen) in offered:
        return moves if moves.left is None else structs.replace(moves, left=None)
    if not isinstance(moves.frozen, Direct):
        return Moves(location=moves.location)
    if moves.left is None:
        return structs.replace(moves, left=now)
    return moves if now < _leaves(moves.left, rule) else Moves(location=moves.location)


def _leaves(left: float, rule: DuplicateConfig) -> float:
    """Return when a freeze ends whose location was offered last at this time."""
    return left + rule.window_s / rule.moves


def idle(moves: Moves, rule: DuplicateConfig, now: float) -> Moves | None:
    """Return the memory of a MAC that is nowhere: kept for a window, so that its return elsewhere counts as a move."""
    moves = _recovered(moves, rule, now)
    times = _lately(moves, rule, now)
    if not times:
        return None
    return structs.replace(moves, times=times)


def due(moves: Moves, rule: DuplicateConfig) -> float | None:
    """Return when time alone changes this memory."""
    times = [moves.times[0] + rule.window_s] if moves.times else []
    if moves.frozen is not None and moves.left is not None:
        times.append(_leaves(moves.left, rule))
    if moves.frozen is not None and rule.recover_s and moves.duplicate_since is not None:
        times.append(moves.duplicate_since + rule.recover_s)
    return min(times, default=None)


def _lately(moves: Moves, rule: DuplicateConfig, now: float) -> tuple[float, ...]:
    """Return the moves of the last window.

    This adds the same numbers as `due`, because another formula might round differently, and the MAC would stay due.
    """
    return tuple(time for time in moves.times if now < time + rule.window_s)


def place_of(via: Via) -> bytes:
    """Return where frames go: the VTEP, or the segment."""
    return via.vtep if isinstance(via, Direct) else via.segment


def frozen_at(moves: Moves | None) -> Via | None:
    """Return where the MAC is frozen, if it is."""
    return None if moves is None else moves.frozen


def alerts(moves: Moves | None) -> tuple[Alert, ...]:
    """Return the alerts about a MAC that moved too often."""
    if moves is None or moves.duplicate_since is None:
        return ()
    kind = "dup-warn" if moves.frozen is None else "dup-frozen"
    return (Alert(kind, moves.frozen.vtep if isinstance(moves.frozen, Direct) else None),)


def _recovered(moves: Moves, rule: DuplicateConfig, now: float) -> Moves:
    """End a freeze whose time is over, or that the configuration no longer asks for."""
    if moves.frozen is None:
        return moves
    recovers = rule.recover_s and moves.duplicate_since is not None and now >= moves.duplicate_since + rule.recover_s
    if recovers or rule.action != "freeze":
        return Moves(location=moves.location)
    return moves
