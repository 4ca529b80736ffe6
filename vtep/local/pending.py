"""What stands between the routes that are wanted and what ExaBGP advertises: a queue, unanswered lines, refusals.

    RouteQueue    routes to look at, each once, in the order in which they came
    Unanswered    lines that were sent, in order, and the answer that is coming in
    Refusals      commands that ExaBGP refused, and when each is tried again

Values with their bookkeeping. What is to be sent, and what an answer means, is decided in `advertiser`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Final

from msgspec import Struct

from vtep.evpn.advertise import Command, Route
from vtep.feed.exabgp.grammar import QUESTION
from vtep.store.backoff import Backoff

WAITS: Final = Backoff(1.0, 60.0)


class RouteQueue:
    """Routes to look at, each once."""

    def __init__(self) -> None:
        self._waiting: deque[Route] = deque()
        self._known: set[Route] = set()
        self._held: set[Route] = set()
        """To be withdrawn as soon as that is allowed."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, route: Route) -> bool:
        return route in self._known

    @property
    def held(self) -> int:
        return len(self._held)

    def put(self, route: Route) -> None:
        if route not in self._known:
            self._known.add(route)
            self._waiting.append(route)
            self._held.discard(route)

    def take(self) -> Route:
        route = self._waiting.popleft()
        self._known.discard(route)
        return route

    def hold(self, route: Route) -> None:
        """Keep a route aside until withdrawals are allowed."""
        self._held.add(route)

    def release(self) -> None:
        """Look at the routes again that were kept aside."""
        for route in tuple(self._held):
            self.put(route)


class Asked(Struct, frozen=True):
    """A line that ExaBGP has not answered yet."""

    line: str
    route: Route | None = None
    """Of a command; None for the question and for a refresh."""
    command: Command | None = None
    was_there: bool = False
    """ExaBGP may have advertised the route before."""

    @property
    def is_refresh(self) -> bool:
        return self.command is None and self.line != QUESTION


class Unanswered:
    """The lines that ExaBGP has not answered, and what came of the answer so far: some have a line before the final one."""

    def __init__(self) -> None:
        self._asked: deque[Asked] = deque()
        self._under_way: set[Route] = set()
        self.progress_at = 0.0
        """When a line was sent to an ExaBGP that had answered all, or when it last answered."""
        self.version: int | None = None
        """The version of the commands, as the first line of the answer to the question says."""
        self.refusal: str | None = None
        """Why a command is refused, as the line before `error` says."""
        self._unexplained = (0, 0)
        """While the question is open: errors without an explanation, and all final answers that may be the question's."""

    def __len__(self) -> int:
        return len(self._asked)

    def __contains__(self, route: Route) -> bool:
        return route in self._under_way

    @property
    def routes(self) -> set[Route]:
        return self._under_way

    @property
    def next(self) -> Asked | None:
        return self._asked[0] if self._asked else None

    def add(self, asked: Asked) -> None:
        self._asked.append(asked)
        if asked.route is not None:
            self._under_way.add(asked.route)

    def take(self) -> Asked:
        """The next line is answered."""
        asked = self._asked.popleft()
        if asked.route is not None:
            self._under_way.discard(asked.route)
        return asked

    def take_question(self) -> None:
        """The question is answered: every line before it is an earlier one."""
        while self._asked and self._asked.popleft().line != QUESTION:
            pass
        self._unexplained = (0, 0)

    def take_refresh(self) -> bool:
        """A refresh was refused, before its turn; return False if there is none."""
        refresh = next((asked for asked in self._asked if asked.is_refresh), None)
        if refresh is not None:
            self._asked.remove(refresh)
        return refresh is not None

    def take_explanations(self) -> tuple[int | None, str | None]:
        """Return what came before a final answer: the version of the commands, and why a command is refused."""
        found, self.version, self.refusal = (self.version, self.refusal), None, None
        return found

    def is_unsupported(self, ok: bool) -> bool:
        """Count an answer while the question is open; tell whether the question must be among those that were errors."""
        errors, answers = self._unexplained[0] + (not ok), self._unexplained[1] + 1
        self._unexplained = (errors, answers)
        return bool(self._asked and errors and answers >= len(self._asked))

    def forget(self) -> set[Route]:
        """Count from the beginning; return the routes whose commands have no answer."""
        routes, self._under_way = self._under_way, set()
        self._asked.clear()
        self.version, self.refusal, self._unexplained = None, None, (0, 0)
        return routes


class Refused(Struct, frozen=True):
    """A command that ExaBGP refused."""

    command: Command
    text: str
    tries: int
    due: float


class Refusals:
    """The refused commands by route, each with the time of its next try."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self.by_route: dict[Route, Refused] = {}
        self.news: list[Refused] = []
        """First refusals of a command, until they are logged."""
        self._chance = chance
        self._retries: list[tuple[float, int, Route]] = []
        self._number = 0

    def refuse(self, command: Command, route: Route, text: str, now: float) -> None:
        old = self.by_route.get(route)
        tries = old.tries + 1 if old is not None and old.command == command else 1
        due = now + WAITS.wait_s(tries, self._chance())
        self.by_route[route] = refused = Refused(command, text, tries, due)
        if tries == 1:
            self.news.append(refused)
        self._number += 1
        heappush(self._retries, (due, self._number, route))

    def forget(self, route: Route) -> None:
        self.by_route.pop(route, None)

    def forbids(self, route: Route, command: Command | None, now: float) -> bool:
        """Tell whether this very command was refused and must wait; another command is not held up."""
        refused = self.by_route.get(route)
        if refused is not None and refused.command != command:
            del self.by_route[route]
            return False
        return refused is not None and now < refused.due

    @property
    def next_due(self) -> float | None:
        return self._retries[0][0] if self._retries else None

    def due(self, now: float) -> Iterator[Route]:
        """Yield the routes whose next try is due."""
        while self._retries and self._retries[0][0] <= now:
            yield heappop(self._retries)[2]
