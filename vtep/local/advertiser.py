"""Makes one ExaBGP advertise what this leaf wants, a few commands at a time. Pure: lines in, lines out, time as an argument.

    wanted ──▶ queue ──commands──▶ ExaBGP        unanswered, in order          advertised (a ledger)
                 ▲                   │         ┌────────────────────┐
                 └── refused, ◀──────┴─answers─▶ question, refresh,  │──done──▶ sure
                     later                     │ command, command … │
                                               └────────────────────┘

**Why this is not a kind of the reconciler.** Nothing can be read back from ExaBGP. What it advertises is what it was asked
and answered `done` to, so the ledger of advertised routes stands in for the table that a kernel would show.

**One route.** A route is looked at when it comes up in the queue. What is sent then is what is wanted then, so that a route
that changes faster than ExaBGP answers has one command under way, and is looked at again after the answer. Before a command
is sent, it is noted in the ledger: after a crash, the next life knows what it may have to withdraw. Until this leaf knows
everything that it wants (`may_withdraw`), it withdraws nothing of an earlier life.

**Answers.** ExaBGP answers each line in the order of the lines: `done`, or `error`, with a line before it that says why a
command was refused. At most WINDOW lines are unanswered, because commands that wait in ExaBGP can no longer be changed.
A refused command is tried again, after 1 s and then ever later, up to a minute. Two answers come out of turn, in both
lines of releases: a refresh is refused at once while no session is up, and so is a command that ExaBGP does not know.

**The question** is `show evpn commands`. An ExaBGP that `vtep exabgp` started answers with the version of its commands;
plain ExaBGP answers `error`. The question is also a barrier: an answer that comes before its own is to a line of an earlier
life of this daemon, or of another program. When answers can no longer be counted, the question is asked again, and what
was unanswered then is sent again, which does no harm.

**The states**, and what each event makes of them (`TRANSITIONS`; a test compares the two, and walks through all of them):

    state    connected  connected-idle  disconnected  needed  lost    silence  supported  other-version  unsupported
    away     asking     idle            away          -       -       -        -          -              -
    idle     asking     idle            away          asking  -       -        -          -              -
    asking   asking     idle            away          -       asking  asking   able       unable         unable
    able     asking     idle            away          -       asking  asking   asking     asking         -
    unable   asking     idle            away          -       -       -        able       unable         -

    away     no relay of ExaBGP is connected
    idle     nothing is to be advertised, so ExaBGP is not even asked
    asking   the question is open: no command is sent
    able     ExaBGP has the commands of our version
    unable   ExaBGP does not have them: this leaf only receives

An answer to the question in the state `able` is not to our question, so it counts as an answer out of turn.

Knows lines and answers. Does not know how they travel, what time it is, nor what an announcement means.
"""

import enum
from collections.abc import Callable, Mapping
from math import inf
from typing import Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.evpn.advertise import Announcement, Command, Route, Withdrawal
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.grammar import QUESTION, VERSION, spell
from vtep.local.advertised import AdvertisedLedger
from vtep.local.pending import Asked, Refusals, Refused, RouteQueue, Unanswered

WINDOW: Final = 256
ANSWER_S_MAX: Final = 30.0
"""After so long without any answer, the question is asked again. ExaBGP first reads what its peers send."""
LEDGER_RETRY_S: Final = 5.0

AWAY, IDLE, ASKING, ABLE, UNABLE = "away", "idle", "asking", "able", "unable"
NOT_OURS: Final = "this ExaBGP was not started by vtep exabgp"
SILENT: Final = "ExaBGP does not answer"

_ANSWER: Final = "evpn commands "


class Event(enum.Enum):
    """What changes the state."""

    CONNECTED = "connected"
    """A relay of ExaBGP connected, and something is to be advertised or withdrawn."""
    CONNECTED_IDLE = "connected-idle"
    """A relay connected, and nothing is."""
    DISCONNECTED = "disconnected"
    NEEDED = "needed"
    """Something is to be advertised after all."""
    LOST = "lost"
    """Answers are missing or out of turn: they can no longer be counted."""
    SILENCE = "silence"
    SUPPORTED = "supported"
    """The question was answered: ExaBGP has the commands."""
    OTHER_VERSION = "other-version"
    UNSUPPORTED = "unsupported"
    """The question was answered `error`."""


_IN_EACH_STATE: Final = {Event.CONNECTED: ASKING, Event.CONNECTED_IDLE: IDLE, Event.DISCONNECTED: AWAY}

TRANSITIONS: Final[Mapping[str, Mapping[Event, str]]] = {
    AWAY: _IN_EACH_STATE,
    IDLE: {**_IN_EACH_STATE, Event.NEEDED: ASKING},
    ASKING: {
        **_IN_EACH_STATE,
        Event.LOST: ASKING,
        Event.SILENCE: ASKING,
        Event.SUPPORTED: ABLE,
        Event.OTHER_VERSION: UNABLE,
        Event.UNSUPPORTED: UNABLE,
    },
    ABLE: {
        **_IN_EACH_STATE,
        Event.LOST: ASKING,
        Event.SILENCE: ASKING,
        Event.SUPPORTED: ASKING,
        Event.OTHER_VERSION: ASKING,
    },
    UNABLE: {**_IN_EACH_STATE, Event.SUPPORTED: ABLE, Event.OTHER_VERSION: UNABLE},
}
"""From a state, by an event, to the next state. An event that a state does not have changes nothing."""


class AdvertiserStatus(Struct, frozen=True):
    """How far ExaBGP knows this leaf's routes."""

    state: str
    why: str
    wanted: int
    told: int
    waiting: int
    refused: int
    error: str
    since: float | None


class Advertiser:
    """One ExaBGP, and what it is to advertise."""

    def __init__(self, ledger: AdvertisedLedger, chance: Callable[[], float] = lambda: 0.5) -> None:
        self.ledger = ledger
        self.state = AWAY
        self.why = ""
        """Why it is in this state, or why commands wait."""
        self.can = False
        """ExaBGP had the commands when it last answered; a relay that is lost for a moment changes nothing."""
        self.may_withdraw = False
        """This leaf knows everything that it wants, so what an earlier life advertised besides may be withdrawn."""
        self.window: float = WINDOW
        self._since = 0.0
        self._exabgp = ""
        """The ExaBGP that is connected, or was last."""
        self._supported_by = ""
        """The ExaBGP that is known to have the commands: it cannot lose them."""
        self._needed = False
        self._wanted: dict[Route, Announcement] = {}
        self._queue = RouteQueue()
        self._unanswered = Unanswered()
        self._refusals = Refusals(chance)
        self._unnoted: list[Route] = []
        """Routes that wait until the ledger can be written."""
        self._ledger_retry: float | None = None
        self._urgent: list[str] = []
        """The question and refreshes, which wait for no command."""

    # What is wanted

    def need(self, needed: bool, now: float) -> None:
        """Say whether anything is ever to be advertised; if not, and if nothing was, ExaBGP is not even asked."""
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
        self.window = inf
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
        return not self._queue and not self._unanswered.routes

    @property
    def unanswered(self) -> int:
        return len(self._unanswered)

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
        match after:
            case "asking":
                self._forget_unanswered()
                if QUESTION not in self._urgent:
                    self._urgent.insert(0, QUESTION)
                self._unanswered.progress_at = now
            case "away" | "idle":
                self._forget_unanswered()
                self._urgent.clear()
            case "unable":
                self._forget_unanswered()
            case "able":
                self._unanswered.take_question()
        return True

    def attach(self, exabgp: str, now: float) -> None:
        """A relay of this ExaBGP connected; another ExaBGP was sent nothing."""
        self._exabgp = exabgp
        self._begin(now)
        self._forget_unanswered()
        self._urgent.clear()
        for route in (*self._wanted, *self.ledger.advertised):
            self._queue.put(route)
        if self._must_ask:
            self._take(Event.CONNECTED, now)
        else:
            self._take(Event.CONNECTED_IDLE, now, "nothing is to be announced")

    def _begin(self, now: float) -> None:
        """Have the ledger be about this ExaBGP."""
        if self.ledger.exabgp == self._exabgp:
            return
        try:
            self.ledger.begin(self._exabgp)
        except OSError as error:
            self._cannot_note(error, now)
        else:
            self._refusals.by_route.clear()

    def detach(self, now: float) -> None:
        """The relay is gone."""
        self._take(Event.DISCONNECTED, now, "ExaBGP is not connected")

    def lose(self, now: float) -> None:
        """Answers are missing."""
        self._take(Event.LOST, now, self.why)

    @property
    def _must_ask(self) -> bool:
        return self._needed or bool(self.ledger.advertised)

    def _forget_unanswered(self) -> None:
        """Look again at the routes whose commands have no answer."""
        for route in self._unanswered.forget():
            self._queue.put(route)

    # What is sent

    def refresh(self, peer: Ip | None) -> None:
        """Have ExaBGP request everything from a peer again, or from all of them."""
        if self.state != AWAY:
            who = "" if peer is None else f"neighbor {peer} "
            self._urgent.append(f"{who}announce route-refresh l2vpn evpn")

    def lines(self, now: float) -> list[str]:
        """Return what to send now, each line once."""
        self._take_time(now)
        if not self._unanswered:
            self._unanswered.progress_at = now
        lines, self._urgent = self._urgent, []
        if self.state in (ASKING, ABLE):
            for line in lines:
                self._unanswered.add(Asked(line))
        if self.state == ABLE:
            asked = self._next_commands(now)
            for one in asked:
                self._unanswered.add(one)
            lines += [one.line for one in asked]
        return lines

    @property
    def due(self) -> float | None:
        """When there is something to do, if nothing is wanted or answered before."""
        times = [self._refusals.next_due if self.state == ABLE else None, self._ledger_retry]
        if self._unanswered:
            times.append(self._unanswered.progress_at + ANSWER_S_MAX)
        return min((time for time in times if time is not None), default=None)

    @property
    def ready(self) -> bool:
        """Lines could be sent at once."""
        room = self.state == ABLE and len(self._unanswered) < self.window and self.ledger.exabgp == self._exabgp
        return bool(self._urgent or (self._queue and room))

    def _take_time(self, now: float) -> None:
        if self._unanswered and now >= self._unanswered.progress_at + ANSWER_S_MAX:
            self._take(Event.SILENCE, now, SILENT)
        if self._ledger_retry is not None and now >= self._ledger_retry:
            self._ledger_retry, self.why = None, ""
            unnoted, self._unnoted = self._unnoted, []
            for route in unnoted:
                self._queue.put(route)
        for route in self._refusals.due(now):
            self._queue.put(route)

    def _next_commands(self, now: float) -> list[Asked]:
        """Take from the queue what may be sent, and note it before it is."""
        if self._ledger_retry is None:
            self._begin(now)
        if self.ledger.exabgp != self._exabgp:
            return []
        asked: list[Asked] = []
        while self._queue and len(self._unanswered) + len(asked) < self.window:
            route = self._queue.take()
            command = self._next_command(route, now)
            if command is not None:
                asked.append(Asked(spell(command), route, command, route in self.ledger.advertised))
        return self._noted(asked, now) if asked else []

    def _next_command(self, route: Route, now: float) -> Command | None:
        """Return the command that a route needs now, if any."""
        if route in self._unanswered:
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

    def _noted(self, asked: list[Asked], now: float) -> list[Asked]:
        """Note what is to be sent, and return what may be: where that fails, only routes that the file has already."""
        error = self.ledger.ask([one.command for one in asked if one.command is not None])
        if error is None:
            return asked
        self._cannot_note(error, now)
        covered = []
        for one in asked:
            if one.route is None or self.ledger.covers(one.route):
                covered.append(one)
            else:
                self._unnoted.append(one.route)
        return covered

    def _cannot_note(self, error: OSError, now: float) -> None:
        self.why = self.ledger.status().trouble or error.strerror or str(error)
        self._ledger_retry = now + LEDGER_RETRY_S

    # What is answered

    def receive(self, answer: Answered, now: float) -> None:
        """Take a line of ExaBGP that belongs to an answer."""
        if self.state in (AWAY, IDLE):
            return
        unanswered = self._unanswered
        if answer.text.startswith(_ANSWER):
            version = answer.text.removeprefix(_ANSWER)
            unanswered.version = int(version) if version.isdigit() else 0
        elif answer.text == "refused":
            unanswered.refusal = answer.more
        elif answer.text in ("done", "error"):
            version_, refusal = unanswered.take_explanations()
            unanswered.progress_at = now
            if version_ is not None:
                self._receive_version(version_, now)
            elif self.state == ASKING:
                self._receive_while_asking(answer.ok, refusal, now)
            elif self.state == ABLE:
                self._receive_next(answer.ok, refusal, now)

    def _receive_version(self, version: int, now: float) -> None:
        """Take the answer to the question: from here on, answers can be counted."""
        if self.state == ABLE:  # to a question of an earlier life, or an answer that came too late
            self._take(Event.SUPPORTED, now, self.why)
            return
        self.can = version == VERSION
        self._supported_by = self._exabgp if self.can else ""
        if self.can:
            self._take(Event.SUPPORTED, now)
        else:
            self._take(Event.OTHER_VERSION, now, f"this ExaBGP has EVPN commands of version {version}, not {VERSION}")

    def _receive_while_asking(self, ok: bool, refusal: str | None, now: float) -> None:
        """Recognize an ExaBGP without the commands by an error, beside those that may be the answers to refreshes."""
        if refusal is None and self._supported_by != self._exabgp and self._unanswered.is_unsupported(ok):
            self.can = False
            self._take(Event.UNSUPPORTED, now, NOT_OURS)

    def _receive_next(self, ok: bool, refusal: str | None, now: float) -> None:
        asked = self._unanswered.next
        if not ok and refusal is None:
            if not self._unanswered.take_refresh():
                self.lose(now)
        elif asked is None or (asked.command is None and not ok):
            self.lose(now)
        else:
            self._unanswered.take()
            if asked.route is not None:
                self._receive_outcome(asked, asked.route, refusal if not ok else None, now)

    def _receive_outcome(self, asked: Asked, route: Route, refusal: str | None, now: float) -> None:
        """Take note of what became of a command, and look at its route again, for more may be wanted since."""
        assert asked.command is not None
        if refusal is not None:
            self._refusals.refuse(asked.command, route, refusal, now)
            if not asked.was_there:
                self.ledger.forget(route)
        else:
            self._refusals.forget(route)
            if isinstance(asked.command, Withdrawal):
                self.ledger.forget(route)
            else:
                self.ledger.confirm(route)
        self._queue.put(route)

    # What may be read

    def status(self) -> AdvertiserStatus:
        queue, under_way = self._queue, self._unanswered.routes
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
