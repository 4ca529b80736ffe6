"""What a pass has to tell: its counts, and every row that is not as wanted. Does not know how either came about."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from vtep.reconcile.retry import Place


class Trouble(Struct, frozen=True, gc=False):
    """A row that is not as wanted, and why."""

    state: str
    """pending, failed, suppressed, contested or held."""
    reason: str
    """In the codes of docs/reasons.md."""
    text: str = ""
    errno: int = 0
    due: float | None = None


class Troubles(Mapping[Place, Trouble]):
    """The rows that are not as wanted, kept from pass to pass."""

    def __init__(self) -> None:
        self._troubles: dict[Place, Trouble] = {}
        self._counts: dict[str, int] = {}
        self._snapshot: Mapping[Place, Trouble] | None = None

    def __getitem__(self, place: Place) -> Trouble:
        return self._troubles[place]

    def __iter__(self) -> Iterator[Place]:
        return iter(self._troubles)

    def __len__(self) -> int:
        return len(self._troubles)

    def note(self, place: Place, trouble: Trouble) -> None:
        if self._troubles.get(place) == trouble:
            return
        self.clear(place)
        self._snapshot = None
        self._troubles[place] = trouble
        self._counts[trouble.state] = self._counts.get(trouble.state, 0) + 1

    def clear(self, place: Place) -> None:
        trouble = self._troubles.pop(place, None)
        if trouble is not None:
            self._snapshot = None
            self._counts[trouble.state] -= 1

    def counts(self) -> dict[str, int]:
        return dict(self._counts)

    def snapshot(self) -> Mapping[Place, Trouble]:
        """Return them as they are now; the same value again while nothing changes."""
        if self._snapshot is None:
            self._snapshot = dict(self._troubles)
        return self._snapshot


class Report(Struct, frozen=True):
    """What a pass found and did; told also when it did nothing."""

    generation: int
    """Of the intent."""
    number: int
    """Of the pass."""
    created: int = 0
    replaced: int = 0
    deleted: int = 0
    shed: int = 0
    """Halves removed that were left of our rows after their stations came to a local port."""
    adopted: int = 0
    """Rows that were there as wanted and are claimed now."""
    repaired: int = 0
    """Rows that were ours and not as we left them."""
    kept: int = 0
    """Rows that were already as wanted, among those looked at."""
    foreign: int = 0
    """Rows that are neither wanted nor ours, among those looked at."""
    orphans: int = 0
    """Among them those with our signature: told, never deleted."""
    failed: int = 0
    pending: int = 0
    suppressed: int = 0
    contested: int = 0
    held: int = 0
    not_ready: Mapping[Any, tuple[str, ...]] = {}
    notes: Mapping[Any, tuple[str, ...]] = {}
    """What works at a place and deserves a look all the same."""

    @property
    def applied(self) -> int:
        return self.created + self.replaced + self.deleted + self.shed

    @property
    def converged(self) -> bool:
        """Nothing is left to do, and a further pass would send nothing."""
        return not (self.failed or self.pending or self.suppressed)
