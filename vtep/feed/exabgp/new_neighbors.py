"""Inside ExaBGP's process: a neighbor that a reload adds receives every route that commands have announced so far.

ExaBGP gives a command to the neighbors that it has at that moment, and keeps the routes of each neighbor apart. A neighbor
that a reload adds, or whose identity it changes (its address, AS number or router ID), starts with none of them:

    command ──▶ Announced.note ──▶ the routes that hold, by process and chosen neighbors
    reload  ──▶ neighbors with routes of their own that no peer had before ──▶ Filling, a route at a time

Handles objects of ExaBGP 4.2 and 5.0 as `plugin` does, which gives it the functions that both need, so that nothing of
ExaBGP is imported here. Does not know the daemon, which need not notice any of this.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

NAME: Final = "vtep: routes for a new neighbor"
"""In ExaBGP's queue: not the name of a process, whose end would remove the entry."""

Chosen: TypeAlias = tuple[tuple[str, ...], ...]
"""What ExaBGP makes of the words that choose neighbors; empty: all of them."""


class Means(NamedTuple):
    """What `plugin` can do inside ExaBGP."""

    advertise: Callable[[Any, Any], None]
    """Put what was noted of a route into the outgoing routes of a neighbor."""
    matching: Callable[[Any, Chosen], list[str]]
    """Return the names, of these, that were chosen."""
    peers_speak: Callable[[Any], bool]
    """Tell whether a peer has sent something that ExaBGP has not read."""


class For(NamedTuple):
    """Whom a command was for."""

    service: str
    """The process that gave it, which decides which neighbors there are."""
    chosen: Chosen = ()


class Announced:
    """The routes that commands have announced and not withdrawn."""

    def __init__(self) -> None:
        self._routes: dict[For, dict[bytes, Any]] = {}
        """What is held of each route, by its key."""

    def note(self, whom: For, key: bytes, held: Any) -> None:
        """Take note of what a command made of a route; None: it withdrew it."""
        if held is not None:
            self._routes.setdefault(whom, {})[key] = held
            return
        for other, routes in self._routes.items():
            if other == whom or (other.service == whom.service and not whom.chosen):
                routes.pop(key, None)

    def at(self, whom: For, key: bytes) -> Any:
        return self._routes.get(whom, {}).get(key)

    def of(self, reactor: Any, name: str, means: Means) -> Iterator[tuple[For, bytes]]:
        """Yield the routes that hold for a neighbor."""
        for whom, routes in self._routes.items():
            if name in means.matching(reactor.peers(whom.service), whom.chosen):
                yield from ((whom, key) for key in routes)


class Filling:
    """What ExaBGP iterates over until a neighbor has all routes: each step is one route, or rests.

    While a peer speaks, a turn of ExaBGP's loop is for one route, and commands that wait have their turn in between.
    """

    def __init__(self, reactor: Any, neighbor: Any, announced: Announced, means: Means) -> None:
        self._reactor = reactor
        self._outgoing = neighbor.rib.outgoing
        self._announced = announced
        self._means = means
        self._left = deque(announced.of(reactor, neighbor.name(), means))
        self._rests = 0
        self._drop_old({key for _, key in self._left})

    def __len__(self) -> int:
        return len(self._left)

    def _drop_old(self, holding: set[bytes]) -> None:
        """Withdraw what a neighbor of this name had when it was removed, and what was withdrawn since."""
        for change in list(self._outgoing.cached_changes(self._outgoing.families)):
            key = getattr(change.nlri, "key", None)
            if key is not None and key not in holding:
                self._outgoing.del_from_rib(change)

    def __iter__(self) -> "Filling":
        return self

    def __next__(self) -> bool:
        if self._rests:
            self._rests -= 1
            return True
        if not self._left:
            raise StopIteration
        held = self._announced.at(*self._left.popleft())
        if held is not None:  # it was not withdrawn meanwhile
            self._means.advertise(self._outgoing, held)
        queue = self._reactor.asynchronous
        if self._means.peers_speak(self._reactor):
            self._rests = queue.LIMIT
        if queue._async:
            queue.schedule(NAME, NAME, self)
            raise StopIteration
        return True


def follow_reloads(reactor_class: Any, name: str, announced: Announced, means: Means) -> None:
    """Have each reload give everything to the neighbors that it adds. `name` is what ExaBGP calls its reload."""
    reload = getattr(reactor_class, name)

    def and_fill(reactor: Any) -> Any:
        before = [peer.neighbor.rib.outgoing for peer in reactor._peers.values()]
        reloaded = reload(reactor)
        for neighbor in reactor.configuration.neighbors.values() if reloaded else ():
            if all(neighbor.rib.outgoing is not known for known in before):
                filling = Filling(reactor, neighbor, announced, means)
                if len(filling):
                    reactor.api.log_message(f"{len(filling)} routes for the new {neighbor.name()}")
                    reactor.asynchronous.schedule(NAME, NAME, filling)
        return reloaded

    setattr(reactor_class, name, and_fill)
