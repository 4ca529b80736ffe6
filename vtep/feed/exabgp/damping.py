"""Inside ExaBGP's process: a pause before the next session with a peer whose message our side could not read.

A peer that sends a bad message sends it again in each session. ExaBGP dials again within a second or two, so each round costs
the peer its whole table and the leaf the work of reading it. RFC 4271 (8.1.1, DampPeerOscillations; unverified) has growing pauses
instead. This module makes them: 5 s after the first NOTIFICATION 1/x, 3/x, 5/x or 7/x of our side, or the first session that ended
because ExaBGP failed on a message; twice as long after each further one, and at most 60 s. Ten minutes without one, and the next counts as the first. Meanwhile a connection from the
peer is refused with NOTIFICATION 6/5 (Connection Rejected).

It touches `Peer._reset`, `Peer._delay` and `Peer.handle_connection`, which ExaBGP 4.2 and 5.0 have alike. It knows nothing of
routes or of vtep's daemon.
"""

import re
import time
from typing import Any, Final

from exabgp.reactor.peer import Peer

FIRST_S: Final = 5.0
LONGEST_S: Final = 60.0
FORGOTTEN_S: Final = 600.0
"""The pauses are 5, 10, 20, 40, 60, 60, … s. If the last one ended 600 s ago, the next is the first one again."""

REJECTED: Final = (6, 5)
"""Cease, Connection Rejected (RFC 4486 3)."""

_OUR_ERROR: Final = re.compile(r"notification sent \([1357],")


class Pause:
    """The pause of one peer."""

    def __init__(self) -> None:
        self.until = 0.0
        """When the next session may begin, by the clock of `time.time`, which ExaBGP uses for its own delays."""
        self._last_s = 0.0

    def lengthen(self, now: float) -> float:
        """Begin the next pause, and return when it ends."""
        again = now < self.until + FORGOTTEN_S
        self._last_s = min(2 * self._last_s, LONGEST_S) if again and self._last_s else FIRST_S
        self.until = now + self._last_s
        return self.until


def register() -> None:
    """Pause between sessions from now on."""
    reset, accept = Peer._reset, Peer.handle_connection

    def reset_and_pause(peer: Any, message: str = "", error: Any = "") -> None:
        had_connection = peer.proto is not None
        reset(peer, message, error)
        # ExaBGP gives no reason if decoding a message raised what it did not expect.
        if _OUR_ERROR.match(message) or (had_connection and not message):
            peer._delay._time = _pause_of(peer).lengthen(time.time())

    def accept_after_pause(peer: Any, connection: Any) -> Any:
        if time.time() < _pause_of(peer).until:
            return connection.notification(*REJECTED, "our side could not read a message of the last session")
        return accept(peer, connection)

    Peer._reset, Peer.handle_connection = reset_and_pause, accept_after_pause


def _pause_of(peer: Any) -> Pause:
    """Return the pause of a peer; it outlives its sessions, as the peer does."""
    pause: Pause = peer.__dict__.setdefault("vtep_pause", Pause())
    return pause
