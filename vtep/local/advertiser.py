"""What this leaf wants ExaBGP to announce, and what ExaBGP was told: the one becomes the other, a few commands at a time.

     wanted ──▶ queue ──lines──▶ ExaBGP          asked, in order          told (a ledger)
                  ▲                │          ┌──────────────────┐
                  └── refused, ◀───┴─answers──▶ question, refresh,│──done──▶ sure
                      later                   │ command, command…│
                                              └──────────────────┘

ExaBGP answers each line in the order of the lines, and nothing can be read back from it. So this is no kind for the engine:
what ExaBGP has is what it was asked and said `done` to. A route has one command under way at most, and what is sent is what is
wanted when its turn comes. At most WINDOW lines are unanswered, since commands wait in ExaBGP, where nobody can change them.

The question whether ExaBGP knows the commands is asked whenever a relay attaches, and is a barrier too: whatever is answered
before it was asked by somebody else, or by an earlier life of this daemon. It is asked again when the answers can no longer be
counted, and what was unanswered then is told once more, which does no harm.

Answers that are out of turn, both lines of releases: a refresh is refused at once while no session is up, and so is any command
that ExaBGP does not know. Our own commands are refused in their turn, and say why in a line before `error`.

Knows lines and answers. Does not know where they travel, what time it is, nor what an announcement means.
"""

from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from math import inf
from typing import Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.feed.exabgp.advertise import Announcement, Command, Route, Withdrawal
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.grammar import QUESTION, VERSION, spell
from vtep.local.advertised import AdvertisedLedger

WINDOW: Final = 256
RETRY_S_FIRST: Final = 1.0
RETRY_S_LAST: Final = 60.0
JITTER: Final = 0.25
ANSWER_S_MAX: Final = 30.0
"""Without any answer for so long, the question is asked again. ExaBGP answers when it has read what its peers say."""
LEDGER_RETRY_S: Final = 5.0

AWAY, IDLE, ASKING, ABLE, UNABLE = "away", "idle", "asking", "able", "unable"
NOT_OURS: Final = "this ExaBGP was not started by vtep exabgp"
SILENT: Final = "ExaBGP does not answer"

_ANSWER: Final = "evpn commands "


class Asked(Struct, frozen=True):
    """A line that ExaBGP has not answered yet."""

    line: str
    route: Route | None = None
    """Of a command; none for the question and for a refresh."""
    command: Command | None = None
    was_there: bool = False
    """ExaBGP may have announced the route before."""


class Refused(Struct, frozen=True):
    """A command that ExaBGP did not take."""

    command: Command
    text: str
    tries: int
    due: float


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
    """One ExaBGP and what it is to announce."""

    def __init__(self, ledger: AdvertisedLedger, chance: Callable[[], float] = lambda: 0.5) -> None:
        self.ledger = ledger
        self.can = False
        """ExaBGP knew the commands when it answered last; a relay that is lost for a moment changes nothing."""
        self.may_withdraw = False
        """What an earlier life announced may be withdrawn: what is wanted now is all there is to want."""
        self.window: float = WINDOW
        self.refused: dict[Route, Refused] = {}
        self.news: list[Refused] = []
        """Refusals that were the first of their kind, until whoever tells of them takes them away."""
        self.state = AWAY
        self.why = ""
        self._chance = chance
        self._exabgp = ""
        self._since = 0.0
        self._needed = False
        self._wanted: dict[Route, Announcement] = {}
        self._queue: deque[Route] = deque()
        self._queued: set[Route] = set()
        self._held: set[Route] = set()
        """To be withdrawn as soon as anything may be."""
        self._retries: list[tuple[float, int, Route]] = []
        self._number = 0
        self._asked: deque[Asked] = deque()
        self._under_way: set[Route] = set()
        self._lines: list[str] = []
        """The question and refreshes, which wait for nobody."""
        self._progress = 0.0
        """When something was asked of an idle ExaBGP, or it answered."""
        self._able = ""
        """The ExaBGP that is known to have the commands: it cannot lose them."""
        self._version: int | None = None
        """What the answer to the question has said so far."""
        self._refusal: str | None = None
        self._bare = (0, 0)
        """While asking, errors that nobody explained, and all final answers that may be refreshes' or the question's."""
        self._ledger_retry: float | None = None
        self._unnoted: list[Route] = []
        """They wait until then, because the ledger could not be written."""

    # What is wanted

    def need(self, needed: bool, now: float) -> None:
        """Say whether anything is ever to be announced: without, and with nothing told, ExaBGP is not even asked."""
        self._needed = needed
        if self.state == IDLE and self._must_ask:
            self._ask("", now)

    def want(self, changes: Mapping[Route, Announcement | None]) -> None:
        """Want these announcements; None takes one back."""
        for route, announcement in changes.items():
            if announcement is None:
                self._wanted.pop(route, None)
            else:
                self._wanted[route] = announcement
            self._put(route)

    def want_only(self, wanted: Mapping[Route, Announcement]) -> None:
        """Want all of these, and nothing else."""
        gone: dict[Route, Announcement | None] = dict.fromkeys(self._wanted.keys() - wanted.keys())
        self.want(gone | dict(wanted))

    def settle(self) -> None:
        """What is wanted is all there is to want: withdraw what is told and not wanted."""
        self.may_withdraw = True
        for route in tuple(self._held):
            self._put(route)

    def end(self) -> None:
        """Withdraw everything, and wait for no answer before the rest is said."""
        self.window = inf
        self.want_only({})
        self.settle()
        for route in self.ledger.advertised:
            self._put(route)

    def advertise_again(self) -> None:
        """Tell everything once more: a neighbor that ExaBGP got since knows nothing of it."""
        for route in self._wanted:
            self.ledger.mark_suspect(route)
            self._put(route)

    @property
    def idle(self) -> bool:
        """Nothing is left to be told, for now."""
        return not self._queue and not self._under_way

    @property
    def unanswered(self) -> int:
        return len(self._asked)

    # ExaBGP comes and goes

    def attach(self, exabgp: str, now: float) -> None:
        """A relay of this ExaBGP is there; another ExaBGP was told nothing."""
        self._exabgp = exabgp
        self._begin(now)
        self._forget_asked()
        self._lines.clear()
        for route in (*self._wanted, *self.ledger.advertised):
            self._put(route)
        if self._must_ask:
            self._ask("", now)
        else:
            self._become(IDLE, "nothing is to be announced", now)

    def _begin(self, now: float) -> None:
        """Be with the ledger of this ExaBGP."""
        if self.ledger.exabgp == self._exabgp:
            return
        try:
            self.ledger.begin(self._exabgp)
        except OSError as error:
            self._cannot_note(error, now)
        else:
            self.refused.clear()

    def detach(self, now: float) -> None:
        """Nobody is there to ask."""
        self._forget_asked()
        self._lines.clear()
        self._become(AWAY, "ExaBGP is not connected", now)

    def lose(self, now: float) -> None:
        """Answers are missing: begin to count anew."""
        if self.state in (ASKING, ABLE):
            self._ask(self.why, now)

    @property
    def _must_ask(self) -> bool:
        return self._needed or bool(self.ledger.advertised)

    def _ask(self, why: str, now: float) -> None:
        """Ask whether ExaBGP knows the commands, and let no earlier answer count."""
        self._forget_asked()
        self._become(ASKING, why, now)
        if QUESTION not in self._lines:
            self._lines.insert(0, QUESTION)
        self._progress = now

    def _forget_asked(self) -> None:
        """Nobody knows what became of these."""
        self._asked.clear()
        self._version, self._refusal, self._bare = None, None, (0, 0)
        under_way, self._under_way = self._under_way, set()
        for route in under_way:
            self._put(route)

    def _become(self, state: str, why: str, now: float) -> None:
        if (state, why) != (self.state, self.why):
            self.state, self.why, self._since = state, why, now

    # What is sent

    def refresh(self, peer: Ip | None) -> None:
        """Have ExaBGP ask a peer, or all of them, to tell everything again."""
        if self.state != AWAY:
            who = "" if peer is None else f"neighbor {peer} "
            self._lines.append(f"{who}announce route-refresh l2vpn evpn")

    def lines(self, now: float) -> list[str]:
        """Return what to send now, each line once."""
        self._take_time(now)
        if not self._asked:
            self._progress = now
        lines, self._lines = self._lines, []
        if self.state in (ASKING, ABLE):
            self._asked.extend(map(Asked, lines))
        if self.state == ABLE:
            asked = self._next_commands(now)
            self._asked.extend(asked)
            lines += [one.line for one in asked]
        return lines

    @property
    def due(self) -> float | None:
        """When there is something to do, if nothing is wanted or answered before."""
        times = [self._retries[0][0]] if self._retries and self.state == ABLE else []
        if self._asked:
            times.append(self._progress + ANSWER_S_MAX)
        if self._ledger_retry is not None:
            times.append(self._ledger_retry)
        return min(times, default=None)

    @property
    def ready(self) -> bool:
        """Lines could be sent at once."""
        room = self.state == ABLE and len(self._asked) < self.window and self.ledger.exabgp == self._exabgp
        return bool(self._lines or (self._queue and room))

    def _take_time(self, now: float) -> None:
        if self._asked and now >= self._progress + ANSWER_S_MAX:
            self._ask(SILENT, now)
        if self._ledger_retry is not None and now >= self._ledger_retry:
            self._ledger_retry, self.why = None, ""
            for route in self._unnoted:
                self._put(route)
            self._unnoted.clear()
        while self._retries and self._retries[0][0] <= now:
            self._put(heappop(self._retries)[2])

    def _next_commands(self, now: float) -> list[Asked]:
        """Take from the queue what may be sent, and note it before it is."""
        if self._ledger_retry is None:
            self._begin(now)
        if self.ledger.exabgp != self._exabgp:
            return []
        asked: list[Asked] = []
        while self._queue and len(self._asked) + len(asked) < self.window:
            route = self._queue.popleft()
            self._queued.discard(route)
            command = self._next_command(route, now)
            if command is not None:
                asked.append(Asked(spell(command), route, command, route in self.ledger.advertised))
        return self._noted(asked, now) if asked else []

    def _next_command(self, route: Route, now: float) -> Command | None:
        """Return what is to be said about a route, if anything is."""
        if route in self._under_way:
            return None
        wanted, told = self._wanted.get(route), self.ledger.advertised.get(route)
        if wanted is None and told is not None and not self.may_withdraw:
            self._held.add(route)
            return None
        command: Command | None = wanted
        if wanted is None:
            command = None if told is None else Withdrawal(route)
        elif told is not None and told.sure and told.announcement == wanted:
            command = None
        refused = self.refused.get(route)
        if refused is not None and refused.command != command:
            del self.refused[route]
        elif refused is not None and now < refused.due:
            return None
        return command

    def _noted(self, asked: list[Asked], now: float) -> list[Asked]:
        """Note what is to be asked, and return what may be: where that fails, only what the file has already."""
        error = self.ledger.ask([one.command for one in asked if one.command is not None])
        if error is not None:
            self._cannot_note(error, now)
            for one in asked:
                if one.route is not None and not self.ledger.covers(one.route):
                    self._unnoted.append(one.route)
            asked = [one for one in asked if one.route is None or self.ledger.covers(one.route)]
        self._under_way.update(one.route for one in asked if one.route is not None)
        return asked

    def _cannot_note(self, error: OSError, now: float) -> None:
        self.why = self.ledger.status().trouble or error.strerror or str(error)
        self._ledger_retry = now + LEDGER_RETRY_S

    def _put(self, route: Route | None) -> None:
        if route is not None and route not in self._queued:
            self._queued.add(route)
            self._queue.append(route)
            self._held.discard(route)

    # What is answered

    def receive(self, answer: Answered, now: float) -> None:
        """Take a line of ExaBGP's that answers something."""
        if self.state == AWAY:
            return
        if answer.text.startswith(_ANSWER):
            version = answer.text.removeprefix(_ANSWER)
            self._version = int(version) if version.isdigit() else 0
        elif answer.text == "refused":
            self._refusal = answer.more
        elif answer.text in ("done", "error"):
            version_, refusal = self._version, self._refusal
            self._version, self._refusal = None, None
            self._progress = now
            if version_ is not None:
                self._receive_version(version_, now)
            elif self.state == ASKING:
                self._receive_while_asking(answer.ok, refusal, now)
            elif self.state == ABLE:
                self._receive_next(answer.ok, refusal, now)

    def _receive_version(self, version: int, now: float) -> None:
        """The question is answered: from here on answers can be counted."""
        if self.state == ABLE:  # an earlier life's, or one that came too late
            self.lose(now)
            return
        while self._asked and self._asked.popleft().line != QUESTION:
            pass
        self._bare = (0, 0)
        self.can = version == VERSION
        self._able = self._exabgp if self.can else ""
        why = "" if self.can else f"this ExaBGP has EVPN commands of version {version}, not {VERSION}"
        self._become(ABLE if self.can else UNABLE, why, now)

    def _receive_while_asking(self, ok: bool, refusal: str | None, now: float) -> None:
        """Tell an ExaBGP without the commands by an error beside those that refreshes may be answered with."""
        if refusal is not None or not self._asked or self._able == self._exabgp:
            return
        errors, answers = self._bare[0] + (not ok), self._bare[1] + 1
        self._bare = (errors, answers)
        if errors and answers >= len(self._asked):
            self._asked.clear()
            self.can = False
            self._become(UNABLE, NOT_OURS, now)

    def _receive_next(self, ok: bool, refusal: str | None, now: float) -> None:
        if not ok and refusal is None:
            self._drop_refresh(now)
        elif not self._asked or (self._asked[0].command is None and not ok):
            self.lose(now)
        else:
            asked = self._asked.popleft()
            if asked.route is not None:
                self._settle(asked, asked.route, refusal if not ok else None, now)

    def _drop_refresh(self, now: float) -> None:
        """A refresh was refused, before its turn."""
        refresh = next((asked for asked in self._asked if asked.command is None and asked.line != QUESTION), None)
        if refresh is None:
            self.lose(now)
        else:
            self._asked.remove(refresh)

    def _settle(self, asked: Asked, route: Route, refusal: str | None, now: float) -> None:
        """One command is answered; look at its route again, for more may be wanted since."""
        self._under_way.discard(route)
        if refusal is not None:
            self._refuse(asked, route, refusal, now)
        else:
            self.refused.pop(route, None)
        if refusal is None and isinstance(asked.command, Withdrawal):
            self.ledger.forget(route)
        elif refusal is None:
            self.ledger.confirm(route)
        elif not asked.was_there:
            self.ledger.forget(route)
        self._put(route)

    def _refuse(self, asked: Asked, route: Route, refusal: str, now: float) -> None:
        assert asked.command is not None
        old = self.refused.get(route)
        tries = old.tries + 1 if old is not None and old.command == asked.command else 1
        wait_s = min(RETRY_S_LAST, RETRY_S_FIRST * 2.0 ** min(tries - 1, 16))
        due = now + wait_s * (1 - JITTER + 2 * JITTER * self._chance())
        self.refused[route] = refused = Refused(asked.command, refusal, tries, due)
        if tries == 1:
            self.news.append(refused)
        self._number += 1
        heappush(self._retries, (due, self._number, route))

    # What may be read

    def status(self) -> "AdvertiserStatus":
        return AdvertiserStatus(
            state=self.state,
            why=self.why,
            wanted=len(self._wanted),
            told=self.ledger.sure,
            waiting=len(self._queued) + len(self._held) + sum(route not in self._queued for route in self._under_way),
            refused=len(self.refused),
            error=next((refused.text for refused in self.refused.values()), ""),
            since=self._since,
        )
