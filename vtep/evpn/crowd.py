"""All routes of one host, endpoint, segment or prefix, however many there are.

A tuple is best for the few routes that nearly every host has. But each change copies a tuple, so with n routes, n changes cost
n² steps, and a peer could stop the daemon with the routes of one host. More than `MOST` routes are therefore a `Crowd`, in
which a route comes or goes in one step. A crowd may keep its routes by kind as well (`Kinds`), so that it is judged in as many steps
as there are kinds.

    routes that differ in what the rules look at     different kinds, each judged by its first route
    routes that differ in RD, MAC or address only    one kind, a sequence that a reader may keep (`store.ranked`)

This module does not know what the routes say: its callers say what makes a kind, and what it is sorted by.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Final, Generic, TypeAlias, TypeVar

from vtep.store.ranked import Rank, Ranked

MOST: Final = 64
"""More routes than this are a crowd. Judging so many by themselves takes about 1 ms."""
LEAST: Final = 32
"""A crowd with fewer routes is a tuple again. Between the two numbers nothing changes, so it cannot go back and forth."""


R = TypeVar("R")


class Kinds(Generic[R]):
    """Routes by kind, each kind in order. A kind is judged once, by its first route, however many there are."""

    __slots__ = ("_kind", "_kinds", "_rank", "_subject", "subjects")

    def __init__(
        self,
        kind: Callable[[R], Hashable],
        rank: Rank[R],
        subject: Callable[[R], Hashable] | None = None,
        routes: Iterable[R] = (),
    ) -> None:
        """`kind` returns what the routes of a kind have in common, `rank` what they are sorted by."""
        self._kind = kind
        self._rank = rank
        self._subject = subject
        self.subjects: Counter[Any] = Counter()
        """How many routes there are about each subject, if `subject` says what they are about."""
        alike: dict[Hashable, list[R]] = {}
        for route in routes:
            alike.setdefault(kind(route), []).append(route)
            if subject is not None:
                self.subjects[subject(route)] += 1
        self._kinds = {of: Ranked.of(found, rank) for of, found in alike.items()}

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[Ranked[R]]:
        return iter(self._kinds.values())

    def replace(self, old: R | None, new: R | None) -> None:
        """Replace a route by another; None stands for no route."""
        if old is not None:
            kind = self._kind(old)
            left = self._kinds[kind].without(old, self._rank)
            if left:
                self._kinds[kind] = left
            else:
                del self._kinds[kind]
        if new is not None:
            kind = self._kind(new)
            self._kinds[kind] = self._kinds.get(kind, Ranked[R]()).with_(new, self._rank)
        if self._subject is not None:
            for route, more in ((new, 1), (old, -1)):
                if route is not None:
                    subject = self._subject(route)
                    self.subjects[subject] += more
                    if not self.subjects[subject]:
                        del self.subjects[subject]


class Crowd(Generic[R]):
    """Very many routes, the oldest first."""

    __slots__ = ("_all", "_routes", "kinds")

    def __init__(self, routes: Iterable[R], kinds: Kinds[R] | None = None) -> None:
        self._routes = {id(route): route for route in routes}
        self.kinds = kinds
        """The same routes by kind, for one who asks for them."""
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
        if self.kinds is not None:
            self.kinds.replace(old, new)
        if old is not None:
            del self._routes[id(old)]
        if new is not None:
            self._routes[id(new)] = new


Routes: TypeAlias = tuple[R, ...] | Crowd[R]


MakeKinds: TypeAlias = Callable[[Iterable[R]], Kinds[R]]


def replaced(routes: Routes[R], old: R | None, new: R | None, make: MakeKinds[R] | None = None) -> Routes[R]:
    """Return the routes with one replaced by another. A crowd is changed in place; it has kinds if `make` makes them."""
    if isinstance(routes, Crowd):
        routes.replace(old, new)
        return routes if len(routes) >= LEAST else routes.all()
    after = routes if old is None else tuple(route for route in routes if route is not old)
    if new is not None:
        after += (new,)
    return Crowd(after, None if make is None else make(after)) if len(after) > MOST else after


def kinds_of(routes: Routes[R], make: MakeKinds[R]) -> Kinds[R]:
    """Return the routes by kind. A crowd has them already."""
    kinds = routes.kinds if isinstance(routes, Crowd) else None
    return make(all_of(routes)) if kinds is None else kinds


def is_among(route: R, routes: Routes[R]) -> bool:
    """Return whether the routes have this very object, without going through a crowd."""
    return routes.has(route) if isinstance(routes, Crowd) else any(one is route for one in routes)


def all_of(routes: Routes[R]) -> tuple[R, ...]:
    return routes.all() if isinstance(routes, Crowd) else routes
