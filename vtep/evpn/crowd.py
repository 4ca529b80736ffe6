"""All routes of one MAC, host, endpoint or segment, however many there are.

A tuple is best for the few routes that nearly every MAC has. But each change copies a tuple, so with n routes, n changes cost
n² steps, and a peer could stop the daemon with the routes of one MAC. More than `MOST` routes are therefore a `Crowd`, in
which a route comes or goes in one step.

This module does not know what the routes say.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from vtep.addr import Ip

MOST: Final = 256
"""More routes than this are a crowd. Judging so many takes about 5 ms."""
LEAST: Final = 128
"""A crowd with fewer routes is a tuple again. Between the two numbers nothing changes, so it cannot go back and forth."""


class FromPeer(Protocol):
    """A route: it has the peer that advertised it."""

    @property
    def peer(self) -> Ip: ...


R = TypeVar("R", bound=FromPeer)


class Crowd(Generic[R]):
    """Very many routes, the oldest first."""

    __slots__ = ("_all", "_by_peer", "_routes")

    def __init__(self, routes: Iterable[R]) -> None:
        self._routes = {id(route): route for route in routes}
        self._by_peer = Counter(route.peer for route in self._routes.values())
        self._all: tuple[R, ...] | None = None

    def __len__(self) -> int:
        return len(self._routes)

    def all(self) -> tuple[R, ...]:
        """Return the routes. The tuple is kept until the next change."""
        if self._all is None:
            self._all = tuple(self._routes.values())
        return self._all

    def of_peer(self, peer: Ip) -> int:
        """Return how many of the routes are of this peer."""
        return self._by_peer[peer]

    def replace(self, old: R | None, new: R | None) -> None:
        """Replace a route by another; None stands for no route."""
        self._all = None
        if old is not None:
            del self._routes[id(old)]
            self._by_peer[old.peer] -= 1
        if new is not None:
            self._routes[id(new)] = new
            self._by_peer[new.peer] += 1


Routes: TypeAlias = tuple[R, ...] | Crowd[R]


def replaced(routes: Routes[R], old: R | None, new: R | None) -> Routes[R]:
    """Return the routes with one replaced by another. A crowd is changed in place."""
    if isinstance(routes, Crowd):
        routes.replace(old, new)
        return routes if len(routes) >= LEAST else routes.all()
    after = routes if old is None else tuple(route for route in routes if route is not old)
    if new is not None:
        after += (new,)
    return Crowd(after) if len(after) > MOST else after


def all_of(routes: Routes[R]) -> tuple[R, ...]:
    return routes.all() if isinstance(routes, Crowd) else routes


def count_of_peer(routes: Routes[R], peer: Ip) -> int:
    """Return how many of the routes are of this peer."""
    return routes.of_peer(peer) if isinstance(routes, Crowd) else sum(route.peer == peer for route in routes)
