"""Keys that wait to be looked at, and which go first.

What came last goes first while it is little, so that a change is not behind a million older ones; the rest of a turn is
for those that wait longest. Knows nothing of what the keys name. Pure.
"""

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

K = TypeVar("K")


class Waiting(Generic[K]):
    """A set from which a bounded number is taken at a time, at a cost that does not depend on how many wait."""

    def __init__(self) -> None:
        self._lots: deque[set[K]] = deque([set()])
        """What came between two turns; the last one is still open."""

    def __bool__(self) -> bool:
        return any(self._lots)

    def __contains__(self, key: object) -> bool:
        return any(key in lot for lot in self._lots)

    def add(self, keys: Iterable[K]) -> None:
        self._lots[-1].update(keys)

    def take(self, most: int) -> set[K]:
        """Return so many at most, which wait no more."""
        taken: set[K] = set()
        if len(self._lots[-1]) <= most // 2:
            taken = self._lots.pop()
        while self._lots and len(taken) < most:
            oldest = self._lots[0]
            taken.update(oldest.pop() for _ in range(min(len(oldest), most - len(taken))))
            if not oldest:
                self._lots.popleft()
        self._lots.append(set())
        return taken

    def take_all(self) -> set[K]:
        taken = self._lots.pop()
        for lot in self._lots:
            taken |= lot
        self._lots = deque([set()])
        return taken
