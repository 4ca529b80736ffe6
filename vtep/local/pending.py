"""What stands between the routes that are wanted and what the speaker advertises: a queue, commands under way, refusals.

    RouteQueue    routes to look at, each once, in the order in which they came
    UnderWay      commands that were sent and not answered yet, one for each route
    Refusals      commands that the speaker refused, and when each is tried again

Values with their bookkeeping. What is to be sent, and what an answer means, is decided in `advertiser`.
"""

from collections import deque
from collections.abc import Callable, Iterator, KeysView
from heapq import heappop, heappush
from typing import Final

from msgspec import Struct

from vtep.evpn.advertise import Command, Route
from vtep.feed import contract
from vtep.store.backoff import Backoff

WAITS: Final = Backoff(1.0, 60.0)
"""From a second to a minute: what a speaker refuses once, it mostly refuses again."""


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
        """Look at a route later. One that waits already keeps its place, since what it needs is decided when it is
        taken."""
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


class Sent(Struct, frozen=True):
    """A command that the speaker has not answered yet."""

    command: Command
    """What was sent. It may differ from what is wanted by now; the answer is about this."""
    was_there: bool
    """The speaker may have advertised the route before."""


class UnderWay:
    """The commands that the speaker has not answered, one for each route."""

    def __init__(self) -> None:
        self._sent: dict[Route, Sent] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def __contains__(self, route: Route) -> bool:
        return route in self._sent

    @property
    def routes(self) -> KeysView[Route]:
        return self._sent.keys()

    def add(self, sent: Sent) -> None:
        self._sent[sent.command.route] = sent

    def take(self, route: Route) -> Sent | None:
        """The command of a route is answered."""
        return self._sent.pop(route, None)

    def forget(self) -> list[Route]:
        """No answer comes any more; return the routes whose commands have none."""
        routes = list(self._sent)
        self._sent.clear()
        return routes


class Refused(Struct, frozen=True):
    """A command that the speaker refused."""

    command: Command
    """The refused command; another one for the same route is not held up by it."""
    text: str
    """Why the speaker refused it, in its own words."""
    tries: int
    """How often this very command was refused."""
    due: float
    """When it is sent again."""
    said: str
    """The command as the speaker was sent it."""


class Refusals:
    """The refused commands by route, each with the time of its next try."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self.by_route: dict[Route, Refused] = {}
        self.news: list[Refused] = []
        """First refusals of a command, until they are logged."""
        self._chance = chance
        self._retries: list[tuple[float, int, Route]] = []
        self._number = 0

    def refuse(self, command: Command, refusal: contract.Refused, now: float) -> None:
        """Note a refusal. Only the first one of a command is news: a command that is refused for days is logged
        once."""
        route = refusal.route
        old = self.by_route.get(route)
        tries = old.tries + 1 if old is not None and old.command == command else 1
        due = now + WAITS.wait_s(tries, self._chance())
        self.by_route[route] = refused = Refused(command, refusal.why, tries, due, refusal.said)
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
