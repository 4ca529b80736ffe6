"""The life of one BGP peer, as three tables of transitions.

This module answers three questions about a peer, and the RIB acts on the answers:

- May its routes be believed? (session)
- Is it sending its routes again, and when is that over? (refresh)
- Did we miss something that it sent? (gap)

It holds no routes, reads no clock and asks for nothing: time is an argument, and `rib.Rib` holds the routes and decides what
each transition means for them. The three tables below are the whole of a peer's life. Each line is a state; each column is an
event, with the state that follows it. A dash is a transition that cannot happen; it raises `Bug`.

**Session.** A peer owes its whole routing table after each start of a session. End-of-RIB says that the table is whole
(RFC 4724 section 2), and so does the end of a refresh.

    session   opened    replayed  closed    message   whole     feed-lost
    AWAITED   LOADING   LOADING   AWAITED   LOADING   -         AWAITED
    LOADING   LOADING   LOADING   AWAITED   LOADING   LOADED    AWAITED
    LOADED    LOADING   LOADED    CLOSED    LOADED    LOADED    AWAITED
    CLOSED    LOADING   LOADING   CLOSED    LOADED    -         AWAITED

- AWAITED: there is no session, and the peer still owes its table. CLOSED: there is no session, and the peer had sent its
  table before. The picture of this leaf waits for the first and not for the second: a peer that goes down after it sent
  everything has told us by that what becomes of its routes.
- *replayed*: the relay repeats the last state of a session that is older than this daemon. If we know the session, nothing
  changes. If we do not, its End-of-RIB may have passed, so the end of a refresh must serve instead.
- *message*: a peer that sends routes has a session, even if the line that reported its start was lost.
- *feed-lost*: ExaBGP or the relay is gone. The peer itself has done nothing, so its routes stay as stale.

**Refresh.** We request a refresh after a gap, or the peer starts one by itself. A peer with enhanced route refresh marks the
beginning and the end (RFC 7313 section 4). Any other peer only sends its routes again (RFC 2918), and silence is the end.

    refresh    request    request-unmarked  begin-marker  end-marker  expired   stopped
    IDLE       REQUESTED  RUNNING           MARKED        IDLE        -         IDLE
    REQUESTED  -          -                 MARKED        REQUESTED   IDLE      IDLE
    RUNNING    -          -                 MARKED        RUNNING     IDLE      IDLE
    MARKED     -          -                 MARKED        IDLE        IDLE      IDLE

- REQUESTED: a peer that marks refreshes was asked and has not begun. RUNNING: a peer that does not mark them was asked, so
  everything that it sends from now on may be the answer. MARKED: the peer marked the beginning.
- An end marker without its beginning belongs to a refresh of which we received only a part: it ends nothing.
- *expired*: the time is over. For a peer without markers that is the regular end. A marked end that did not come is a loss,
  and the peer is asked again.
- *stopped*: the session ended or began. What was under way no longer says anything.

**Gap.** Every route that the refresh does not bring again is removed at its end. That is right only if we received the whole
refresh, so a line lost meanwhile must be remembered.

    gap      line-lost  want    request  begin  stopped
    NONE     LOST       WANTED  NONE     NONE   NONE
    WANTED   LOST       WANTED  NONE     NONE   NONE
    LOST     LOST       LOST    CLOSING  NONE   NONE
    CLOSING  LOST       LOST    CLOSING  NONE   NONE

- WANTED: a refresh is wanted and nothing was lost. Example: a peer without graceful restart sends no End-of-RIB.
- LOST: lines were lost and a refresh is wanted. CLOSING: the refresh that will bring them again was requested.
- While the gap is LOST or CLOSING, neither End-of-RIB nor the end of a refresh removes anything.

**Hold.** The routes of a session that ended are stale. `Hold` says why they are kept: graceful restart, the configuration, our
own restart, or a reset by our side. In the last case a message was bad and the routes before it were not. So they are kept
until the peer has sent its whole table, or for a bounded time that further resets do not extend.

Example: a line is lost (gap LOST). The RIB requests a refresh (refresh REQUESTED, gap CLOSING). The peer marks the beginning
(refresh MARKED, gap NONE), and every route becomes suspect until it comes again. Another line is lost (gap LOST). The end marker
comes (refresh IDLE): because of the gap no route is removed, and the RIB requests the next refresh.
"""

from collections.abc import Mapping
from enum import Enum
from math import inf
from typing import Final, TypeAlias, TypeVar

from msgspec import Struct

from vtep.addr import Ip
from vtep.errors import Bug
from vtep.evpn import notification
from vtep.evpn.event import PeerOpened, SessionClosed

REFRESH_WAIT_S: Final = 60.0
"""How long a peer may take to begin a refresh, and how long one that marks refreshes may be silent within one."""

QUIET_S: Final = 10.0
"""A peer without markers has ended a refresh when it was silent for so long after a line (RFC 2918 has no end marker)."""

ASK_AGAIN_S: Final = 10.0
"""The shortest time between two requests to one peer, however many lines are bad or lost."""


class Session(Enum):
    """Whether a peer has a session, and whether it has sent its whole table."""

    AWAITED = "awaited"
    LOADING = "loading"
    LOADED = "loaded"
    CLOSED = "closed"


class Refresh(Enum):
    """How far a refresh is."""

    IDLE = "idle"
    REQUESTED = "requested"
    RUNNING = "running"
    MARKED = "marked"

    @property
    def shown(self) -> str:
        """Return the word of the public interface."""
        return {Refresh.IDLE: "", Refresh.REQUESTED: "asked"}.get(self, "running")


class Gap(Enum):
    """Whether something is missing."""

    NONE = "none"
    WANTED = "wanted"
    LOST = "lost"
    CLOSING = "closing"


State = TypeVar("State", bound=Enum)
Transitions: TypeAlias = Mapping[str, Mapping[State, State]]
"""By event, then by state. A state that is not there refuses the event."""

_AWAITED, _LOADING, _LOADED, _CLOSED = Session
_IDLE, _REQUESTED, _RUNNING, _MARKED = Refresh
_NONE, _WANTED, _LOST, _CLOSING = Gap

SESSION: Final[Transitions[Session]] = {
    "opened": {_AWAITED: _LOADING, _LOADING: _LOADING, _LOADED: _LOADING, _CLOSED: _LOADING},
    "replayed": {_AWAITED: _LOADING, _LOADING: _LOADING, _LOADED: _LOADED, _CLOSED: _LOADING},
    "closed": {_AWAITED: _AWAITED, _LOADING: _AWAITED, _LOADED: _CLOSED, _CLOSED: _CLOSED},
    "message": {_AWAITED: _LOADING, _LOADING: _LOADING, _LOADED: _LOADED, _CLOSED: _LOADED},
    "whole": {_LOADING: _LOADED, _LOADED: _LOADED},
    "feed-lost": {_AWAITED: _AWAITED, _LOADING: _AWAITED, _LOADED: _AWAITED, _CLOSED: _AWAITED},
}

REFRESH: Final[Transitions[Refresh]] = {
    "request": {_IDLE: _REQUESTED},
    "request-unmarked": {_IDLE: _RUNNING},
    "begin-marker": {_IDLE: _MARKED, _REQUESTED: _MARKED, _RUNNING: _MARKED, _MARKED: _MARKED},
    "end-marker": {_IDLE: _IDLE, _REQUESTED: _REQUESTED, _RUNNING: _RUNNING, _MARKED: _IDLE},
    "expired": {_REQUESTED: _IDLE, _RUNNING: _IDLE, _MARKED: _IDLE},
    "stopped": {_IDLE: _IDLE, _REQUESTED: _IDLE, _RUNNING: _IDLE, _MARKED: _IDLE},
}

GAP: Final[Transitions[Gap]] = {
    "line-lost": {_NONE: _LOST, _WANTED: _LOST, _LOST: _LOST, _CLOSING: _LOST},
    "want": {_NONE: _WANTED, _WANTED: _WANTED, _LOST: _LOST, _CLOSING: _LOST},
    "request": {_NONE: _NONE, _WANTED: _NONE, _LOST: _CLOSING, _CLOSING: _CLOSING},
    "begin": {_NONE: _NONE, _WANTED: _NONE, _LOST: _NONE, _CLOSING: _NONE},
    "stopped": {_NONE: _NONE, _WANTED: _NONE, _LOST: _NONE, _CLOSING: _NONE},
}


def follow(table: Transitions[State], state: State, event: str) -> State:
    """Return the state that follows an event. Raises Bug for a transition that the table does not have."""
    after = table[event].get(state)
    if after is None:
        raise Bug(f"a peer whose {type(state).__name__.lower()} is {state.value} cannot have the event {event}")
    return after


class Hold(Enum):
    """Why the stale routes of a peer are kept."""

    NONE = "none"
    """There is no reason any more, or there never was one."""
    FEED_LOST = "feed-lost"
    """ExaBGP or the relay is gone, and the peer has done nothing."""
    GRACEFUL_RESTART = "graceful-restart"
    """The peer lost its connection and had offered graceful restart (RFC 4724)."""
    PEER_DOWN = "peer-down"
    """The configuration keeps the routes of any peer for a while."""
    RESET = "reset"
    """Our side ended the session because of a message that it could not read."""


OUR_ERRORS: Final = (1, 2, 3, 5, 7)
"""The codes of NOTIFICATION for a message that the receiver could not read, or did not expect in an established session: header,
a second OPEN, UPDATE, finite state machine, ROUTE-REFRESH (RFC 4271 4.5 and RFC 7313 5, unverified). The message was bad, and not
the routes that came before it, so they are kept. RFC 8538 (unverified) does the same for a NOTIFICATION that a speaker receives."""

_MESSAGES: Final = {
    1: "a message with a bad header",
    2: "a second OPEN",
    3: "an UPDATE",
    5: "an unexpected message",
    7: "a ROUTE-REFRESH",
}


class Reset(Struct, frozen=True):
    """Our side ended the session of a peer because of a message that it could not read, perhaps several times."""

    what: str
    """Which kind of message, and what was wrong with it."""
    times: int
    """How often in a row. A whole table, or a session that ended for another reason, ends the count."""
    deadline: float
    """When the routes from before the first of these resets are removed, if the peer does not send its whole table."""

    def __str__(self) -> str:
        times = "once" if self.times == 1 else f"{self.times} times"
        return f"this side ended the session {times} because of {self.what}"


class Holds(Struct, frozen=True):
    """How long the routes of a peer are kept without a session that confirms them, and how many there may be."""

    initial_s: float = 120.0
    """How long the picture may be incomplete, after the start or the loss of the feed, until `on_deadline` decides."""
    peer_down_s: float = 0.0
    """How long the routes of any peer outlive its session, in seconds. With 0, only a graceful restart or a reset keeps
    them."""
    restart_max_s: float = 600.0
    """The longest time for a peer that restarts or that our side reset; a peer may ask for up to 4,095 s (RFC 4724 3)."""
    on_deadline: str = "auto"
    expected: tuple[Ip, ...] = ()
    """The peers whose End-of-RIB completes the picture; if none is named, every peer that was seen."""
    routes_per_peer: int = 2_000_000
    """How many routes of all types a peer may have. Further ones are counted and not kept, so its memory is bounded."""
    routes_per_mac: int = 16_384
    """How many routes of one MAC a peer may have. Judging a MAC takes time in proportion to its routes."""


class Peer:
    """What is known of one peer apart from its routes. Any module may read it; only `Rib` calls what changes it."""

    __slots__ = (
        "abilities",
        "address",
        "closed",
        "gap",
        "hold",
        "messages",
        "opened_at",
        "reason",
        "received_at",
        "refresh",
        "refresh_due",
        "requested_at",
        "reset",
        "session",
        "stale_deadline",
    )

    def __init__(self, address: Ip) -> None:
        self.address = address
        self.session = Session.AWAITED
        self.refresh = Refresh.IDLE
        self.gap = Gap.NONE
        self.abilities: PeerOpened | None = None
        """What the peer's last OPEN offered; None if we have not seen it."""
        self.reason = ""
        """Why there is no session."""
        self.closed: SessionClosed | None = None
        """How the last session, or try of one, ended."""
        self.messages = 0
        """How many messages came from it."""
        self.opened_at: float | None = None
        self.received_at = -inf
        """When routes or an OPEN came last."""
        self.requested_at: float | None = None
        self.refresh_due: float | None = None
        """When the refresh counts as ended or lost. Set exactly while a refresh is not idle."""
        self.stale_deadline: float | None = None
        """When the stale routes are removed; None if only End-of-RIB or the deadline of the whole picture decides."""
        self.hold = Hold.NONE
        self.reset: Reset | None = None
        """Set from a reset by our side until the peer has sent its whole table."""

    # What the RIB and the displays ask

    @property
    def up(self) -> bool:
        """True while there is a session."""
        return self.session is Session.LOADING or self.session is Session.LOADED

    @property
    def ended(self) -> bool:
        """True if the peer has sent its whole table since ExaBGP started and since its session started."""
        return self.session is Session.LOADED or self.session is Session.CLOSED

    @property
    def why(self) -> str:
        """Why there is no session, and why our side ended the last one."""
        return "; ".join(filter(None, ("" if self.reset is None else str(self.reset), self.reason)))

    @property
    def has_gap(self) -> bool:
        """True if lines were lost and no refresh that would repair it has begun."""
        return self.gap is Gap.LOST or self.gap is Gap.CLOSING

    @property
    def is_refreshing(self) -> bool:
        """True while the routes that come may be those of a refresh."""
        return self.refresh is Refresh.RUNNING or self.refresh is Refresh.MARKED

    @property
    def marks_refreshes(self) -> bool:
        return self.abilities is not None and self.abilities.enhanced_refresh

    @property
    def can_refresh(self) -> bool:
        """True if it is worth asking: the peer offered a refresh, or its OPEN is not known."""
        return self.abilities is None or self.abilities.refresh or self.abilities.enhanced_refresh

    @property
    def wants_refresh(self) -> bool:
        """True if a refresh should be requested as soon as the time allows."""
        wanted = self.gap is Gap.WANTED or self.gap is Gap.LOST
        return wanted and self.up and self.refresh is Refresh.IDLE and self.can_refresh

    @property
    def may_be_asked_at(self) -> float:
        return again(self.requested_at)

    @property
    def stale_until(self) -> float | None:
        """Return when the stale routes are removed. A refresh that is under way may still bring them again."""
        if self.stale_deadline is None or self.refresh_due is None:
            return self.stale_deadline
        return max(self.stale_deadline, self.refresh_due)

    @property
    def overdue(self) -> float | None:
        """Return when End-of-RIB is so late that a refresh must serve instead.

        Example: our ExaBGP did not offer graceful restart, so the peer sends no End-of-RIB.
        """
        waits = self.session is Session.LOADING and self.refresh is Refresh.IDLE
        is_wanted = self.gap is Gap.WANTED or self.gap is Gap.LOST
        if not waits or is_wanted or self.opened_at is None or self.abilities is None or not self.can_refresh:
            return None
        return max(self.opened_at, self.received_at) + REFRESH_WAIT_S

    # The session

    def learn_abilities(self, opened: PeerOpened, now: float) -> None:
        """Take the peer's OPEN."""
        self.abilities = opened
        self.received_at = now

    def open(self, now: float, *, replayed: bool) -> None:
        """Start a session.

        A peer without graceful restart owes no End-of-RIB (RFC 4724 section 4), so a refresh is wanted.
        """
        self.session = follow(SESSION, self.session, "replayed" if replayed else "opened")
        self.stop_refresh()
        self.reason = ""
        self.opened_at = now
        if replayed or (self.abilities is not None and self.abilities.restart_s is None):
            self.want_refresh()

    def take_message(self, now: float) -> bool:
        """Note that the peer sent something; return True if that is how we learn of its session."""
        if self.up:
            return False
        self.session = follow(SESSION, self.session, "message")
        self.reason = ""
        self.opened_at = now
        return True

    def close(self) -> None:
        """End the session."""
        self.session = follow(SESSION, self.session, "closed")
        self.stop_refresh()

    def lose_feed(self) -> None:
        """Note that ExaBGP is gone: the peer owes its table again, and no deadline of an earlier session counts."""
        self.session = follow(SESSION, self.session, "feed-lost")
        self.stop_refresh()
        self.stale_deadline = None
        self.hold = Hold.FEED_LOST
        self.reset = None

    def complete_table(self) -> None:
        """Note that the peer has sent its whole table."""
        self.session = follow(SESSION, self.session, "whole")
        self.reset = None

    # How long stale routes are kept

    @property
    def lost_forwarding(self) -> bool:
        """True if the peer restarted and says that it did not keep forwarding: its stale routes lead nowhere.

        The last OPEN tells. A peer that no longer offers graceful restart for the family counts as well (RFC 4724 4.2).
        """
        able = self.abilities
        preserved = able is not None and able.keeps_forwarding and able.preserved_forwarding
        return self.hold is Hold.GRACEFUL_RESTART and not preserved

    def keeps_stale(self, closed: SessionClosed, now: float) -> bool:
        """Return True if the routes that an earlier session left survive the end of this one.

        Graceful restart allows one restart at a time (RFC 4724 4.2). Resets by our side are different: a peer that sends the
        same bad message in every session would otherwise lose, at the second reset, all routes that come after that message.
        """
        return self.reset is not None and now < self.reset.deadline and _is_our_error(closed)

    def hold_stale(self, holds: Holds, closed: SessionClosed, now: float) -> None:
        """Decide how long the routes of the session that just closed are kept, and why."""
        if _is_our_error(closed):
            self._hold_after_reset(holds, closed, now)
            return
        able = self.abilities
        # Graceful restart is for a connection that was lost without a NOTIFICATION, and for families that the peer named
        # (RFC 4724 4 and 4.2).
        restart_s = able.restart_s if able and able.keeps_forwarding and closed.lost else None
        self.hold = Hold.PEER_DOWN if restart_s is None else Hold.GRACEFUL_RESTART
        self.stale_deadline = now + max(holds.peer_down_s, min(restart_s or 0.0, holds.restart_max_s))
        self.reset = None

    def _hold_after_reset(self, holds: Holds, closed: SessionClosed, now: float) -> None:
        """Keep the routes until the peer has sent its table; further resets do not move the deadline."""
        before, deadline = self.reset, now + max(holds.peer_down_s, holds.restart_max_s)
        if before is not None and now < before.deadline:
            deadline = before.deadline
        self.reset = Reset(_what(closed), 1 if before is None else before.times + 1, deadline)
        self.hold = Hold.RESET
        self.stale_deadline = deadline

    def drop_stale(self) -> None:
        """Note that the peer has no stale routes any more."""
        self.stale_deadline = None
        self.hold = Hold.NONE

    # The refresh and the gap

    def lose_line(self) -> None:
        """Note that a line of this peer was lost and can be had again."""
        self.gap = follow(GAP, self.gap, "line-lost")

    def want_refresh(self) -> None:
        self.gap = follow(GAP, self.gap, "want")

    def request_refresh(self, now: float) -> None:
        """Note that a peer which marks refreshes was asked for one."""
        self.refresh = follow(REFRESH, self.refresh, "request")
        self.gap = follow(GAP, self.gap, "request")
        self.requested_at = now
        self.refresh_due = now + REFRESH_WAIT_S

    def begin_refresh(self, now: float, *, marked: bool) -> None:
        """Start a refresh: the peer marked its beginning, or a peer without markers was asked."""
        self.refresh = follow(REFRESH, self.refresh, "begin-marker" if marked else "request-unmarked")
        self.gap = follow(GAP, self.gap, "begin")
        self.refresh_due = now + REFRESH_WAIT_S
        if not marked:
            self.requested_at = now

    def extend_refresh(self, now: float) -> None:
        """Wait longer, because the peer sends something while a refresh runs."""
        if self.is_refreshing:
            self.refresh_due = now + (REFRESH_WAIT_S if self.marks_refreshes else QUIET_S)

    def end_marker(self) -> bool:
        """Take an end marker; return True if it ends a refresh whose beginning we saw."""
        before, self.refresh = self.refresh, follow(REFRESH, self.refresh, "end-marker")
        if before is not Refresh.MARKED:
            return False
        self.refresh_due = None
        return True

    def expire_refresh(self) -> None:
        """Note that the time of a refresh is over; what that means for the routes is for the RIB to decide."""
        self.refresh = follow(REFRESH, self.refresh, "expired")
        self.refresh_due = None

    def stop_refresh(self) -> None:
        """Forget the refresh and the gap, as if neither had been."""
        self.refresh = follow(REFRESH, self.refresh, "stopped")
        self.gap = follow(GAP, self.gap, "stopped")
        self.refresh_due = None


def again(requested_at: float | None) -> float:
    """Return when the next request is allowed after one at this time."""
    return -inf if requested_at is None else requested_at + ASK_AGAIN_S


def _is_our_error(closed: SessionClosed) -> bool:
    sent = closed.notification_sent
    return closed.speaker_failed or (sent is not None and sent[0] in OUR_ERRORS)


def _what(closed: SessionClosed) -> str:
    sent = closed.notification_sent
    if sent is None:
        return "a message on which its BGP speaker failed"
    name = notification.SUBCODES.get(sent, "")
    return f"{_MESSAGES[sent[0]]} that it could not read: NOTIFICATION {sent[0]}/{sent[1]}{f', {name}' if name else ''}"
