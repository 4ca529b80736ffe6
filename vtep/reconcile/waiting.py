"""Keys that wait to be looked at, and which of them go first.

The newest keys go first while they are few, so that a change does not wait behind a million older ones. The rest of a turn is for
the keys that wait longest. Knows nothing of what the keys name. Pure.
"""

from collections import deque
from collections.abc import Iterable, KeysView
from typing import Generic, TypeVar

K = TypeVar("K")


class Waiting(Generic[K]):
    """A set from which a bounded number is taken at a time, at a cost that does not depend on how many wait.

    Keys keep the order in which they came: those that came together lie together in memory, so each later lookup costs less.
    """

    def __init__(self) -> None:
        self._arrivals: deque[dict[K, None]] = deque([{}])
        """The keys that came between two turns, each without duplicates; the last one is still open."""

    def __bool__(self) -> bool:
        return any(self._arrivals)

    def __contains__(self, key: object) -> bool:
        return any(key in arrived for arrived in self._arrivals)

    def add(self, keys: Iterable[K]) -> None:
        """Have these keys looked at. A key that waits since an earlier turn is then in two sets, and is taken twice
        at worst."""
        self._arrivals[-1].update(dict.fromkeys(keys))

    def take(self, most: int) -> KeysView[K]:
        """Return at most so many keys, which no longer wait."""
        taken: dict[K, None] = {}
        if len(self._arrivals[-1]) <= most // 2:
            taken = self._arrivals.pop()
        while self._arrivals and len(taken) < most:
            oldest = self._arrivals[0]
            if len(taken) + len(oldest) <= most:
                taken |= self._arrivals.popleft()
                continue
            taken.update(oldest.popitem() for _ in range(min(len(oldest), most - len(taken))))
            if not oldest:
                self._arrivals.popleft()
        self._arrivals.append({})
        return taken.keys()

    def take_all(self) -> KeysView[K]:
        """Return every key that waits, for a pass that looks at all of them anyway. It costs as much as there are
        keys."""
        taken = self._arrivals.pop()
        for arrived in self._arrivals:
            taken |= arrived
        self._arrivals = deque([{}])
        return taken.keys()
