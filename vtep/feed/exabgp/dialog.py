"""The commands to one ExaBGP and its answers: typed commands in, lines out, lines of answers in, reports out. Pure.

    commands ──▶ Dialog ──lines──▶ ExaBGP           unanswered, in order
                   ▲                  │         ┌────────────────────────────┐
    reports ◀──────┴─────answers──────┘         │ question, refresh, command … │
                                                └────────────────────────────┘

**Answers.** ExaBGP answers each line in the order of the lines: `done`, or `error`, with a line before it that says why a
command was refused. Two answers come out of turn, in both lines of releases: a refresh is refused at once while no session
is up, and so is a command that ExaBGP does not know. So an `error` without a reason before it is never taken for a command's.

**The question** is `show evpn commands`. An ExaBGP that `vtep exabgp` started answers with the versions of the grammar that it
reads; plain ExaBGP answers `error`. The question is also a barrier: an answer that comes before its own is to a line of an
earlier life of this daemon, or of another program. When answers can no longer be counted, that is reported as `AnswersLost`,
and the question has to be asked again.

**Many routes in a line.** Where ExaBGP reads version 2 of the grammar, MACs that share everything else go in one line. If ExaBGP
refuses such a line, it has carried out nothing of it, and each of its routes is sent again in a line of its own: so the routes
that are right are advertised, and each of the others has its own reason.

    line sent                        answer                      report
    show evpn commands               evpn commands 1; done       CanAdvertise
    announce evpn … macs [ A B ]     refused (why); error        none yet: each MAC is sent again in a line of its own
    announce evpn … mac A            done                        Done for A
    announce evpn … mac B            refused (why); error        Refused for B, with the reason and the line

**How much may wait.** At most LINES_MAX lines and ROUTES_MAX routes are unanswered, refreshes among them, because what waits in
ExaBGP can no longer be changed. ExaBGP takes a tenth of a second for either.

**The states**, and what each event makes of them (`TRANSITIONS`; a test compares the two):

    state    began   ended  asked   supported  unsupported  lost
    away     silent  away   -       -          -            -
    silent   silent  away   asking  -          -            -
    asking   silent  away   asking  counting   plain        silent
    counting silent  away   asking  -          -            silent
    plain    silent  away   asking  counting   plain        -

    away      no relay of ExaBGP is attached: nothing is sent
    silent    no question is open: no answer counts
    asking    the question is open: an answer that comes before its own does not count
    counting  each answer belongs to the first line that has none
    plain     ExaBGP does not have the commands, or not in a version that is known here

While answers are counted, an answer to the question is to another question, so answers were lost.
"""

import enum
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.evpn.advertise import Command, group_of, grouped
from vtep.feed.contract import AnswersLost, CanAdvertise, CannotAdvertise, Done, Refused, Report
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.grammar import GROUPS, QUESTION, VERSION, spell, spell_group

LINES_MAX: Final = 256
ROUTES_MAX: Final = 2048
GROUP_MAX: Final = 256
"""MACs in one line. ExaBGP carries out a line without a pause, in some 10 ms."""
NOT_OURS: Final = "this ExaBGP was not started by vtep exabgp"
REFRESH: Final = "announce route-refresh l2vpn evpn"

AWAY, SILENT, ASKING, COUNTING, PLAIN = "away", "silent", "asking", "counting", "plain"

_ANSWER: Final = "evpn commands "


class Event(enum.Enum):
    """What changes the state."""

    BEGAN = "began"
    """A relay of ExaBGP attached."""
    ENDED = "ended"
    ASKED = "asked"
    SUPPORTED = "supported"
    """The question was answered: ExaBGP has the commands."""
    UNSUPPORTED = "unsupported"
    """It was answered `error`, or with versions that are not known here."""
    LOST = "lost"
    """Answers can no longer be counted."""


_IN_EACH_STATE: Final = {Event.BEGAN: SILENT, Event.ENDED: AWAY}
_ATTACHED: Final = {**_IN_EACH_STATE, Event.ASKED: ASKING}

TRANSITIONS: Final[Mapping[str, Mapping[Event, str]]] = {
    AWAY: _IN_EACH_STATE,
    SILENT: _ATTACHED,
    ASKING: {**_ATTACHED, Event.SUPPORTED: COUNTING, Event.UNSUPPORTED: PLAIN, Event.LOST: SILENT},
    COUNTING: {**_ATTACHED, Event.LOST: SILENT},
    PLAIN: {**_ATTACHED, Event.SUPPORTED: COUNTING, Event.UNSUPPORTED: PLAIN},
}
"""From a state, by an event, to the next state. An event that a state does not have changes nothing."""


class _Asked(Struct, frozen=True):
    """A line that ExaBGP has not answered yet."""

    line: str
    commands: tuple[Command, ...] = ()
    """None of the question and of a refresh."""

    @property
    def is_refresh(self) -> bool:
        return not self.commands and self.line != QUESTION


class Dialog:
    """What was said to one ExaBGP, and what it answered."""

    def __init__(
        self, send: Callable[[str], object], report: Callable[[Report], None], clock: Callable[[], float]
    ) -> None:
        self.state = AWAY
        self._send = send
        self._report = report
        self._clock = clock
        self._exabgp = ""
        """The ExaBGP that is attached, or was last."""
        self._supported_by = ""
        """The ExaBGP that is known to have the commands: it cannot lose them."""
        self._asked: deque[_Asked] = deque()
        self._progress_at = 0.0
        """When a line was sent to an ExaBGP that had answered all, or when it last answered."""
        self._groups = False
        """ExaBGP reads a line for many MACs."""
        self._routes = 0
        """Routes in the lines that are not answered."""
        self._apart: deque[Command] = deque()
        """Commands of a line that was refused, which are sent again one by one."""
        self._versions: tuple[int, ...] | None = None
        """The versions of the grammar, as the first line of the answer to the question says."""
        self._refusal: str | None = None
        """Why a command is refused, as the line before `error` says."""
        self._unexplained = (0, 0)
        """While the question is open: errors without an explanation, and all final answers that may be the question's."""

    def _take(self, event: Event) -> bool:
        """Go to the state that an event leads to; return whether there is one."""
        after = TRANSITIONS[self.state].get(event)
        if after is None:
            return False
        if after != COUNTING:
            self._asked.clear()
            self._apart.clear()
            self._routes = 0
            self._versions, self._refusal, self._unexplained = None, None, (0, 0)
        self.state = after
        return True

    # What is sent

    def begin(self, exabgp: str) -> None:
        """A relay of this ExaBGP attached."""
        self._exabgp = exabgp
        self._take(Event.BEGAN)

    def end(self) -> None:
        """The relay is gone."""
        self._take(Event.ENDED)

    def lose(self) -> None:
        """Answers may be missing."""
        if self._take(Event.LOST):
            self._report(AnswersLost())

    def ask(self) -> None:
        if self._take(Event.ASKED):
            self._say(_Asked(QUESTION))

    def refresh(self, peer: Ip | None) -> None:
        asked = _Asked(REFRESH if peer is None else f"neighbor {peer} {REFRESH}")
        if self.state in (ASKING, COUNTING):
            self._say(asked)
        elif self.state != AWAY:
            self._send(asked.line)

    def advertise(self, commands: Sequence[Command]) -> None:
        if self.state != COUNTING:
            return
        for group in grouped(commands, GROUP_MAX if self._groups else 1):
            self._say(_Asked(spell(group[0]) if len(group) == 1 else spell_group(group_of(group)), group))

    def _say(self, asked: _Asked) -> None:
        if not self._asked:
            self._progress_at = self._clock()
        self._asked.append(asked)
        self._routes += len(asked.commands)
        self._send(asked.line)

    @property
    def room(self) -> int:
        if self._apart:
            return 0
        return max(0, min(LINES_MAX - len(self._asked), ROUTES_MAX - self._routes))

    @property
    def owes_since(self) -> float | None:
        return self._progress_at if self._asked else None

    # What is answered

    def receive(self, answer: Answered) -> None:
        """Take a line of ExaBGP that belongs to an answer."""
        if self.state in (AWAY, SILENT):
            return
        if answer.text.startswith(_ANSWER):
            self._versions = _versions(answer)
        elif answer.text == "refused":
            self._refusal = answer.more
        elif answer.text in ("done", "error"):
            versions, refusal = self._versions, self._refusal
            self._versions, self._refusal = None, None
            self._progress_at = self._clock()
            if versions is not None:
                self._receive_versions(versions)
            elif self.state == ASKING:
                self._receive_while_asking(answer.ok, refusal)
            elif self.state == COUNTING:
                self._receive_next(answer.ok, refusal)

    def _receive_versions(self, versions: tuple[int, ...]) -> None:
        """Take the answer to the question: from here on, answers can be counted."""
        if self.state == COUNTING:  # to a question of an earlier life, or an answer that came too late
            self.lose()
        elif VERSION in versions:
            self._supported_by = self._exabgp
            self._groups = GROUPS in versions
            self._take_question()
            self._take(Event.SUPPORTED)
            self._report(CanAdvertise())
        else:
            self._supported_by = ""
            self._take(Event.UNSUPPORTED)
            has = " and ".join(map(str, versions))
            self._report(CannotAdvertise(f"this ExaBGP has EVPN commands of version {has}, not {VERSION}"))

    def _take_question(self) -> None:
        """The question is answered: every line before it is an earlier one."""
        while self._asked and self._asked.popleft().line != QUESTION:
            pass  # none of them is a command: while the question is open, none is sent
        self._unexplained = (0, 0)

    def _receive_while_asking(self, ok: bool, refusal: str | None) -> None:
        """Recognize an ExaBGP without the commands by an error, beside those that may be the answers to refreshes."""
        if refusal is not None or self._supported_by == self._exabgp:
            return
        errors, answers = self._unexplained[0] + (not ok), self._unexplained[1] + 1
        self._unexplained = (errors, answers)
        if self._asked and errors and answers >= len(self._asked):
            self._take(Event.UNSUPPORTED)
            self._report(CannotAdvertise(NOT_OURS))

    def _receive_next(self, ok: bool, refusal: str | None) -> None:
        """Take an answer for the oldest question.

        An answer that fits no question means that some were lost: all are asked again.
        """
        if not ok and refusal is None:
            refresh = next((asked for asked in self._asked if asked.is_refresh), None)
            if refresh is None:
                self.lose()
            else:
                self._asked.remove(refresh)
        elif not self._asked or not (self._asked[0].commands or ok):
            self.lose()
        else:
            self._finish(self._asked.popleft(), None if ok else refusal)

    def _finish(self, asked: _Asked, refusal: str | None) -> None:
        """Report what became of each route.

        A refused line of several routes is sent again route by route, to find the one at fault.
        """
        self._routes -= len(asked.commands)
        if refusal is not None and len(asked.commands) > 1:
            self._apart += asked.commands
        while self._apart and len(self._asked) < LINES_MAX:
            command = self._apart.popleft()
            self._say(_Asked(spell(command), (command,)))
        if refusal is not None and len(asked.commands) > 1:
            return
        for command in asked.commands:
            self._report(Done(command.route) if refusal is None else Refused(command.route, refusal, asked.line))


def _versions(answer: Answered) -> tuple[int, ...]:
    version = answer.text.removeprefix(_ANSWER)
    return answer.versions or (int(version) if version.isdigit() else 0,)
