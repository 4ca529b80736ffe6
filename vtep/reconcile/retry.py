"""When to try a refused change again: by errno, never by text. Pure; time and chance are arguments.

transient    again after 100 ms, then after twice the time up to 5 s, each a quarter more or less
permanent    not again until the change itself, its domain or the operator changes it
full         no new row in this domain for the rest of the pass, then as transient
contested    another program has the row
gone         a deletion of what is not there: done
state-dir    the ledger could not be written, and the kernel was not asked; as transient
"""

import enum
import errno
from collections.abc import Callable, Hashable, Iterator
from heapq import heappop, heappush
from typing import Final, TypeAlias

from msgspec import Struct

from vtep.reconcile.contract import Key
from vtep.store.backoff import Backoff

WAITS: Final = Backoff(0.1, 5.0)
"""In seconds: soon enough for a device that is made again, and seldom enough for one that stays away."""


class Class(enum.Enum):
    """What a refusal means for its change; the table at the head says what follows."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    FULL = "full"
    CONTESTED = "contested"
    GONE = "gone"
    UNCLAIMED = "state-dir"


_PERMANENT: Final = frozenset({errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL, errno.EAFNOSUPPORT})
"""Rights, features and malformed requests, which waiting does not change. Anything else may pass."""


def classify(code: int, verb: str) -> Class:
    """Return what a refusal means for this change. An unknown errno is worth another try."""
    if code == errno.ENOENT and verb in ("delete", "shed"):
        return Class.GONE
    if code == errno.EEXIST:
        return Class.CONTESTED
    if code == errno.ENOSPC:
        return Class.FULL
    return Class.PERMANENT if code in _PERMANENT else Class.TRANSIENT


def explain(code: int) -> str:
    """Say what an operator can do about a permanent refusal."""
    if code in (errno.EPERM, errno.EACCES):
        return "CAP_NET_ADMIN is missing"
    if code == errno.EOPNOTSUPP:
        return "this kernel lacks the feature"
    return "the kernel finds the request wrong"


class Refused(Struct, frozen=True, gc=False):
    """A change that did not happen."""

    change: Hashable
    """The exact operation: verb, key and value. A refusal says nothing about another one."""
    errno: int
    """By which the refusal was classified."""
    text: str
    """What the target said."""
    kind: Class
    """What the errno means for this change."""
    tries: int
    """How often this very change was refused."""
    due: float | None
    """When to try again; None if it is permanent."""


RowRef: TypeAlias = tuple[str, Key]
"""A row's name across kinds: (kind, key)."""


class Backlog:
    """The refused changes by (kind, key). A row that waits never delays another one."""

    def __init__(self) -> None:
        self._refused: dict[RowRef, Refused] = {}
        self._dues: list[tuple[float, RowRef]] = []
        """A heap of due times. An entry stays when its refusal goes, and is skipped when its time comes."""

    def __len__(self) -> int:
        return len(self._refused)

    def __contains__(self, key: object) -> bool:
        return key in self._refused

    def refuse(
        self, key: RowRef, change: Hashable, code: int, text: str, kind: Class, now: float, chance: float
    ) -> Refused:
        """Note a refusal; `chance` is between 0 and 1."""
        old = self._refused.get(key)
        tries = old.tries + 1 if old is not None and old.change == change else 1
        due = None if kind is Class.PERMANENT else now + WAITS.wait_s(tries, chance)
        refused = self._refused[key] = Refused(change, code, text, kind, tries, due)
        if due is not None:
            heappush(self._dues, (due, key))
        return refused

    def waiting(self, key: RowRef, change: Hashable, now: float) -> Refused | None:
        """Return the refusal that forbids this very change at this moment."""
        refused = self._refused.get(key)
        if refused is None or refused.change != change:
            return None
        return refused if refused.due is None or now < refused.due else None

    def settle(self, key: RowRef) -> None:
        """Forget the refusal of a row that is as wanted, or no longer wanted."""
        self._refused.pop(key, None)

    def rearm(self, concerns: Callable[[RowRef], bool] = lambda _: True) -> None:
        """Forget these refusals, because the operator asked for it or their domain changed."""
        for key in [key for key in self._refused if concerns(key)]:
            del self._refused[key]

    def refused(self) -> Iterator[tuple[RowRef, Refused]]:
        return iter(self._refused.items())

    def due(self, now: float, most: int) -> list[RowRef]:
        """Return at most so many of those that are due, the longest due first. They stay due until they are tried."""
        found: dict[RowRef, float] = {}
        while len(found) < most and (next_due := self.next_due) is not None and next_due <= now:
            due, key = heappop(self._dues)
            found[key] = due
        for key, due in found.items():
            heappush(self._dues, (due, key))
        return list(found)

    @property
    def next_due(self) -> float | None:
        """When the next change is to be tried; None: none waits. Entries of the heap that went stale are dropped on
        the way."""
        while self._dues:
            due, key = self._dues[0]
            refused = self._refused.get(key)
            if refused is not None and refused.due == due:
                return due
            heappop(self._dues)
        return None
