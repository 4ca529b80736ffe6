"""Makes one BGP speaker advertise what this leaf wants, a few commands at a time. Pure: calls of `feed.contract`, and its reports.

    wanted ──▶ queue ──commands──▶ speaker        under way                advertised (a ledger)
                 ▲                   │         ┌────────────────────┐
                 └── refused, ◀──────┴─reports─▶ one for each route │──done──▶ sure
                     later                     └────────────────────┘

**Why this is not a kind of the reconciler.** Nothing can be read back from a speaker. What it advertises is what it was asked
and reported as done, so the ledger of advertised routes stands in for the table that a kernel would show.

**One route.** A route is looked at when it comes up in the queue. What is sent then is what is wanted then, so that a route
that changes faster than the speaker answers has one command under way, and is looked at again after the answer. Before a command
is sent, it is noted in the ledger: after a crash, the next life knows what it may have to withdraw. Until this leaf knows
everything that it wants (`may_withdraw`), it withdraws nothing of an earlier life.

**How much is under way.** As much as the speaker has room for, because commands that wait in it can no longer be changed. A
refused command is tried again, after 1 s and then ever later, up to a minute. When a speaker that owes an answer has given none
for ANSWER_S_MAX, or reports that answers were lost, it is asked again whether it can advertise, and what was under way is
sent again, which does no harm.

**The states**, and what each event makes of them (`TRANSITIONS`; a test compares the two, and walks through all of them):

    state    connected  connected-idle  disconnected  needed  lost    silence  supported  unsupported
    away     asking     idle            away          -       -       -        -          -
    idle     asking     idle            away          asking  -       -        -          -
    asking   asking     idle            away          -       asking  asking   able       unable
    able     asking     idle            away          -       asking  asking   -          -
    unable   asking     idle            away          -       -       -        able       unable

    away     no speaker is connected
    idle     nothing is to be advertised, so the speaker is not even asked
    asking   whether the speaker can advertise is not known: no command is sent
    able     the speaker can advertise
    unable   it cannot: this leaf only receives

Knows commands and reports. Does not know how a speaker spells them, what time it is, nor what an announcement means.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Final, assert_never

from msgspec import Struct

from vtep.evpn.advertise import Announcement, Command, Route, Withdrawal
from vtep.feed import contract
from vtep.feed.contract import AnswersLost, CanAdvertise, CannotAdvertise, Done, Report, Speaker
from vtep.local.advertised import AdvertisedLedger
from vtep.local.pending import Refusals, Refused, RouteQueue, Sent, UnderWay

ANSWER_S_MAX: Final = 30.0
"""After so long without any answer, the speaker is asked again. ExaBGP first reads what its peers send."""
NOTED_AT_ONCE: Final = 256
"""Commands in one record of the ledger, and in one call of the speaker."""
SENT_AT_ONCE: Final = 512
"""Commands that are made without a pause, in some 10 ms. More follow with the next answer."""
LEDGER_RETRY_S: Final = 5.0
"""A full disk is tried again so often. Routes that the file does not have wait for that long."""

AWAY, IDLE, ASKING, ABLE, UNABLE = "away", "idle", "asking", "able", "unable"
SILENT: Final = "ExaBGP does not answer"
"""Why the state is `asking` again, for an operator."""


class Event(enum.Enum):
    """What changes the state."""

    CONNECTED = "connected"
    """A speaker connected, and something is to be advertised or withdrawn."""
    CONNECTED_IDLE = "connected-idle"
    """A speaker connected, and nothing is."""
    DISCONNECTED = "disconnected"
    NEEDED = "needed"
    """Something is to be advertised after all."""
    LOST = "lost"
    """Answers are missing or out of turn: they can no longer be counted."""
    SILENCE = "silence"
    SUPPORTED = "supported"
    """The speaker can advertise."""
    UNSUPPORTED = "unsupported"
    """It cannot."""


_IN_EACH_STATE: Final = {Event.CONNECTED: ASKING, Event.CONNECTED_IDLE: IDLE, Event.DISCONNECTED: AWAY}

TRANSITIONS: Final[Mapping[str, Mapping[Event, str]]] = {
    AWAY: _IN_EACH_STATE,
    IDLE: {**_IN_EACH_STATE, Event.NEEDED: ASKING},
    ASKING: {
        **_IN_EACH_STATE,
        Event.LOST: ASKING,
        Event.SILENCE: ASKING,
        Event.SUPPORTED: ABLE,
        Event.UNSUPPORTED: UNABLE,
    },
    ABLE: {**_IN_EACH_STATE, Event.LOST: ASKING, Event.SILENCE: ASKING},
    UNABLE: {**_IN_EACH_STATE, Event.SUPPORTED: ABLE, Event.UNSUPPORTED: UNABLE},
}
"""From a state, by an event, to the next state. An event that a state does not have changes nothing."""


class AdvertiserStatus(Struct, frozen=True):
    """How far the speaker knows this leaf's routes."""

    state: str
    """away, idle, asking, able or unable, as in the table at the head."""
    why: str
    """Why it is in this state, or why commands wait; empty if all is well."""
    wanted: int
    """Routes that this leaf wants advertised."""
    told: int
    """Routes that the speaker is known to advertise."""
    waiting: int
    """Routes with a command that is not sent or not answered yet, withdrawals that must wait included."""
    refused: int
    """Routes whose command the speaker refused; each is tried again."""
    error: str
    """What the speaker said about the first of these; empty if there are none."""
    since: float | None
    """When this state began; an operator sees how long a speaker has been away. None before the first speaker."""


class Advertised(Struct, frozen=True):
    """One route of this leaf, and how far the speaker knows it."""

    route: Route
    """The key of its NLRI, by which peers know it."""
    announcement: Announcement | None
    """What is wanted; or what the speaker still advertises although it is no longer wanted."""
    state: str
    """waiting (not sent yet), sent (not answered yet), confirmed, refused, or leaving (to be withdrawn)."""
    since: float | None = None
    """When the speaker confirmed it; unknown if that was in an earlier life of the daemon."""
    error: str = ""
    """Why the speaker refused it."""


class Advertiser:
    """One speaker, and what it is to advertise."""

    def __init__(self, speaker: Speaker, ledger: AdvertisedLedger, chance: Callable[[], float] = lambda: 0.5) -> None:
        self.ledger = ledger
        self.state = AWAY
        self.why = ""
        """Why it is in this state, or why commands wait."""
        self.can = False
        """The speaker could advertise when it last answered; a connection that is lost for a moment changes nothing."""
        self.may_withdraw = False
        """This leaf knows everything that it wants, so what an earlier life advertised besides may be withdrawn."""
        self._speaker = speaker
        self._without_waiting = False
        """Commands are sent whether the speaker has room for them or not."""
        self._since: float | None = None
        self._name = ""
        """The speaker that is connected, or was last."""
        self._needed = False
        self._wanted: dict[Route, Announcement] = {}
        self._queue = RouteQueue()
        self._under_way = UnderWay()
        self._refusals = Refusals(chance)
        self._unnoted: list[Route] = []
        """Routes that wait until the ledger can be written."""
        self._ledger_retry: float | None = None
        self._confirmed_at: dict[Route, float] = {}

    # What is wanted

    def need(self, needed: bool, now: float) -> None:
        """Say whether anything is ever to be advertised; if not, and if nothing was, the speaker is not even asked."""
        self._needed = needed
        if self._must_ask:
            self._take(Event.NEEDED, now)

    def want(self, changes: Mapping[Route, Announcement | None]) -> None:
        """Want these announcements; None withdraws one."""
        for route, announcement in changes.items():
            if announcement is None:
                self._wanted.pop(route, None)
            else:
                self._wanted[route] = announcement
            self._queue.put(route)

    def want_only(self, wanted: Mapping[Route, Announcement]) -> None:
        """Want all of these, and nothing else."""
        gone: dict[Route, Announcement | None] = dict.fromkeys(self._wanted.keys() - wanted.keys())
        self.want(gone | dict(wanted))

    def settle(self) -> None:
        """What is wanted is everything: withdraw what is advertised and not wanted."""
        self.may_withdraw = True
        self._queue.release()

    def end(self) -> None:
        """Withdraw everything, without waiting for answers."""
        self._without_waiting = True
        self.want_only({})
        self.settle()
        for route in self.ledger.advertised:
            self._queue.put(route)

    def advertise_again(self) -> None:
        """Send every route again, as an operator asked."""
        for route in self._wanted:
            self.ledger.mark_suspect(route)
            self._queue.put(route)

    @property
    def idle(self) -> bool:
        """Nothing is left to send or to be answered, for now."""
        return not self._queue and not self._under_way

    @property
    def refused(self) -> Mapping[Route, Refused]:
        return self._refusals.by_route

    @property
    def news(self) -> list[Refused]:
        """First refusals of a command, until the caller removes them."""
        return self._refusals.news

    # The state

    def _take(self, event: Event, now: float, why: str = "") -> bool:
        """Go to the state that an event leads to; return whether there is one."""
        after = TRANSITIONS[self.state].get(event)
        if after is None:
            return False
        if (after, why) != (self.state, self.why):
            self.state, self.why, self._since = after, why, now
        self._forget_under_way()
        if after == ASKING:
            self._speaker.ask()
        return True

    def attach(self, name: str, now: float) -> None:
        """This speaker connected; another one was sent nothing."""
        self._name = name
        self._begin(now)
        self._forget_under_way()
        for route in (*self._wanted, *self.ledger.advertised):
            self._queue.put(route)
        if self._must_ask:
            self._take(Event.CONNECTED, now)
        else:
            self._take(Event.CONNECTED_IDLE, now, "nothing is to be announced")

    def _begin(self, now: float) -> None:
        """Have the ledger be about this speaker."""
        if self.ledger.exabgp == self._name:
            return
        try:
            self.ledger.begin(self._name)
        except OSError as error:
            self._cannot_note(error, now)
        else:
            self._refusals.by_route.clear()
            self._confirmed_at.clear()

    def detach(self, now: float) -> None:
        """The speaker is gone."""
        self._take(Event.DISCONNECTED, now, "ExaBGP is not connected")

    @property
    def _must_ask(self) -> bool:
        return self._needed or bool(self.ledger.advertised)

    def _forget_under_way(self) -> None:
        """Look again at the routes whose commands have no answer."""
        for route in self._under_way.forget():
            self._queue.put(route)

    # What is sent

    def send(self, now: float) -> None:
        """Send what may be sent now."""
        self._take_time(now)
        left = len(self._queue) if self._without_waiting else SENT_AT_ONCE
        while left > 0 and self.state == ABLE and self._queue and (room := self._room):
            sent = self._next_commands(min(room, left, NOTED_AT_ONCE), now)
            left -= NOTED_AT_ONCE
            if not sent:
                break
            for one in sent:
                self._under_way.add(one)
            self._speaker.advertise([one.command for one in sent])

    @property
    def _room(self) -> int:
        return len(self._queue) if self._without_waiting else self._speaker.room

    @property
    def due(self) -> float | None:
        """When there is something to do, if nothing is wanted or answered before."""
        times = [self._refusals.next_due if self.state == ABLE else None, self._ledger_retry]
        if (owes_since := self._owes_since) is not None:
            times.append(owes_since + ANSWER_S_MAX)
        return min((time for time in times if time is not None), default=None)

    @property
    def _owes_since(self) -> float | None:
        return self._speaker.owes_since if self.state in (ASKING, ABLE) else None

    def _take_time(self, now: float) -> None:
        """Take what is due by now: a speaker that owes an answer for too long, a ledger to be tried again, refused
        commands.

        Each only puts routes back into the queue, so that what is sent is decided in one place (`_next_command`).
        """
        if (owes_since := self._owes_since) is not None and now >= owes_since + ANSWER_S_MAX:
            self._take(Event.SILENCE, now, SILENT)
        if self._ledger_retry is not None and now >= self._ledger_retry:
            self._ledger_retry, self.why = None, ""
            unnoted, self._unnoted = self._unnoted, []
            for route in unnoted:
                self._queue.put(route)
        for route in self._refusals.due(now):
            self._queue.put(route)

    def _next_commands(self, most: int, now: float) -> list[Sent]:
        """Take from the queue what may be sent, and note it before it is."""
        if self._ledger_retry is None:
            self._begin(now)
        if self.ledger.exabgp != self._name:
            return []
        commands: list[Sent] = []
        while self._queue and len(commands) < most:
            route = self._queue.take()
            command = self._next_command(route, now)
            if command is not None:
                commands.append(Sent(command, route in self.ledger.advertised))
        return self._noted(commands, now) if commands else []

    def _next_command(self, route: Route, now: float) -> Command | None:
        """Return the command that a route needs now, if any."""
        if route in self._under_way:
            return None
        wanted, advertised = self._wanted.get(route), self.ledger.advertised.get(route)
        if wanted is None and advertised is not None and not self.may_withdraw:
            self._queue.hold(route)
            return None
        command: Command | None = wanted
        if wanted is None:
            command = None if advertised is None else Withdrawal(route)
        elif advertised is not None and advertised.sure and advertised.announcement == wanted:
            command = None
        return None if self._refusals.forbids(route, command, now) else command

    def _noted(self, commands: list[Sent], now: float) -> list[Sent]:
        """Note what is to be sent, and return what may be: where that fails, only routes that the file has already."""
        error = self.ledger.ask([one.command for one in commands])
        if error is None:
            return commands
        self._cannot_note(error, now)
        covered = []
        for one in commands:
            if self.ledger.covers(one.command.route):
                covered.append(one)
            else:
                self._unnoted.append(one.command.route)
        return covered

    def _cannot_note(self, error: OSError, now: float) -> None:
        self.why = self.ledger.status().trouble or error.strerror or str(error)
        self._ledger_retry = now + LEDGER_RETRY_S

    # What is answered

    def take(self, report: Report, now: float) -> None:
        """Take what the speaker reports."""
        match report:
            case CanAdvertise():
                self.can = True
                self._take(Event.SUPPORTED, now)
            case CannotAdvertise(why=why):
                self.can = False
                self._take(Event.UNSUPPORTED, now, why)
            case AnswersLost():
                self._take(Event.LOST, now, self.why)
            case Done(route=route):
                if (sent := self._under_way.take(route)) is not None:
                    self._take_done(sent, route, now)
            case contract.Refused(route=route):
                if (sent := self._under_way.take(route)) is not None:
                    self._refusals.refuse(sent.command, report, now)
                    if not sent.was_there:
                        self.ledger.forget(route)
                    self._queue.put(route)
            case _:
                assert_never(report)

    def _take_done(self, sent: Sent, route: Route, now: float) -> None:
        """Take note of what was done, and look at the route again, for more may be wanted since."""
        self._refusals.forget(route)
        if isinstance(sent.command, Withdrawal):
            self.ledger.forget(route)
            self._confirmed_at.pop(route, None)
        else:
            self.ledger.confirm(route)
            self._confirmed_at[route] = now
        self._queue.put(route)

    # What may be read

    def routes(self) -> list[Route]:
        """Return every route that is wanted, or that the speaker may advertise."""
        return [*self._wanted, *(route for route in self.ledger.advertised if route not in self._wanted)]

    def of(self, route: Route) -> Advertised | None:
        """Return how far the speaker knows a route."""
        wanted, there = self._wanted.get(route), self.ledger.advertised.get(route)
        since = self._confirmed_at.get(route)
        if wanted is None:
            return None if there is None else Advertised(route, there.announcement, "leaving", since)
        if (refused := self.refused.get(route)) is not None:
            return Advertised(route, wanted, "refused", error=refused.text)
        if there is not None and there.sure and there.announcement == wanted:
            return Advertised(route, wanted, "confirmed", since)
        return Advertised(route, wanted, "sent" if route in self._under_way else "waiting")

    def status(self) -> AdvertiserStatus:
        """Return the figures for readers. It walks over the commands under way only, of which there are few."""
        queue, under_way = self._queue, self._under_way.routes
        return AdvertiserStatus(
            state=self.state,
            why=self.why,
            wanted=len(self._wanted),
            told=self.ledger.sure,
            waiting=len(queue) + queue.held + len(self._unnoted) + sum(route not in queue for route in under_way),
            refused=len(self.refused),
            error=next((refused.text for refused in self.refused.values()), ""),
            since=self._since,
        )
