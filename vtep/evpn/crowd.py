"""All routes of one host, endpoint, segment or prefix, however many there are.

A tuple is best for the few routes that nearly every host has. But each change copies a tuple, so with n routes, n changes cost
n² steps, and a peer could stop the daemon with the routes of one host. More than `MOST` routes are therefore a `Crowd`, in
which a route comes or goes in one step.

This module does not know what the routes say.
"""

from collections.abc import Iterable
from typing import Final, Generic, TypeAlias, TypeVar

MOST: Final = 256
"""More routes than this are a crowd. Judging so many takes about 5 ms."""
LEAST: Final = 128
"""A crowd with fewer routes is a tuple again. Between the two numbers nothing changes, so it cannot go back and forth."""


R = TypeVar("R")


class Crowd(Generic[R]):
    """Very many routes, the oldest first."""

    __slots__ = ("_all", "_routes")

    def __init__(self, routes: Iterable[R]) -> None:
        self._routes = {id(route): route for route in routes}
        self._all: tuple[R, ...] | None = None

    def __len__(self) -> int:
        return len(self._routes)

    def all(self) -> tuple[R, ...]:
        """Return the routes. The tuple is kept until the next change."""
        if self._all is None:
            self._all = tuple(self._routes.values())
        return self._all

    def has(self, route: R) -> bool:
        return self._routes.get(id(route)) is route

    def replace(self, old: R | None, new: R | None) -> None:
        """Replace a route by another; None stands for no route."""
        self._all = None
        if old is not None:
            del self._routes[id(old)]
        if new is not None:
            self._routes[id(new)] = new


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


def is_among(route: R, routes: Routes[R]) -> bool:
    """Return whether the routes have this very object, without going through a crowd."""
    return routes.has(route) if isinstance(routes, Crowd) else any(one is route for one in routes)


def all_of(routes: Routes[R]) -> tuple[R, ...]:
    return routes.all() if isinstance(routes, Crowd) else routes
