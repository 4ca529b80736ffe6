"""What a pass reports: its counts, and every row that is not as wanted. Does not know how either came about."""

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from vtep.reconcile.contract import Kind, vnis_by
from vtep.reconcile.retry import RowRef


class Trouble(Struct, frozen=True, gc=False):
    """A row that is not as wanted, and why."""

    state: str
    """pending, failed, suppressed, contested, held, or blocked (it waits for a row of another kind)."""
    reason: str
    """In the codes of docs/reasons.md."""
    text: str = ""
    """What the target said, or which row this one waits for."""
    errno: int = 0
    """Of the refusal; 0 if nothing was refused."""
    due: float | None = None
    """When the change is tried again; None: not by time alone."""
    unwanted: bool = False
    """The row is ours and is there, and should not be."""


NEWS_MAX: Final = 1000
"""Items that are kept between two readings."""
NEWS_STATES: Final = frozenset({"contested", "failed", "suppressed"})
"""The states that are news by themselves; the others are steps on the way."""


OBSERVED: Final = "observed-"
"""How the reasons of an observer begin. They are no news, because most of them last only until another daemon has done its work."""


class News(Struct, frozen=True, gc=False):
    """Something that happened to a row."""

    ref: RowRef
    """The kind and the key of the row."""
    what: str
    """contested, failed, suppressed, recovered (from one of these), or repaired."""
    trouble: Trouble | None = None
    """The new one; for a recovery, the one that is over."""


class Troubles(Mapping[RowRef, Trouble]):
    """The rows that are not as wanted, kept from pass to pass."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._vni_of = vnis_by(kinds)
        self.news: deque[News] = deque(maxlen=NEWS_MAX)
        """What was not read yet."""
        self.changed_rows: set[RowRef] | None = None
        """Rows with a change that was not read yet; None while there is no reader."""
        self.now = 0.0
        """The time of the pass under way."""
        self.since: dict[RowRef, float] = {}
        """When each row was first not as wanted, whatever was wrong with it since."""
        self._troubles: dict[RowRef, Trouble] = {}
        self._counts: dict[str, int] = {}
        self._by_vni: defaultdict[tuple[str, str], Counter[Hashable]] = defaultdict(Counter)
        self._unwanted_by_vni: defaultdict[tuple[str, str], Counter[Hashable]] = defaultdict(Counter)

    def __getitem__(self, ref: RowRef) -> Trouble:
        return self._troubles[ref]

    def __iter__(self) -> Iterator[RowRef]:
        return iter(self._troubles)

    def __len__(self) -> int:
        return len(self._troubles)

    def __contains__(self, ref: object) -> bool:
        return ref in self._troubles  # Mapping would raise and catch a KeyError for every absent row

    def note(self, ref: RowRef, trouble: Trouble) -> None:
        """Note what is wrong with a row; the same again changes nothing.

        Only a new state is news. A row that stays refused for hours is reported once.
        """
        before = self._troubles.get(ref)
        if before == trouble:
            return
        self._take(ref, before, trouble)
        self._troubles[ref] = trouble
        self.since.setdefault(ref, self.now)
        if (
            trouble.state in NEWS_STATES
            and not trouble.reason.startswith(OBSERVED)
            and (before is None or before.state != trouble.state)
        ):
            self.news.append(News(ref, trouble.state, trouble))

    def clear(self, ref: RowRef) -> None:
        """Note that a row is as wanted, or no longer matters. A recovery is news only if the trouble was."""
        before = self._troubles.pop(ref, None)
        if before is None:
            return
        self._take(ref, before, None)
        del self.since[ref]
        if before.state in NEWS_STATES and not before.reason.startswith(OBSERVED):
            self.news.append(News(ref, "recovered", before))

    def counts(self) -> dict[str, int]:
        """Return how many rows are in each state, of all kinds; it is counted as troubles come and go."""
        return dict(self._counts)

    def by_vni(self, kind: str, state: str) -> Mapping[Hashable, int]:
        """Count those of a kind that are in this state, in each VNI that has any."""
        return self._by_vni[kind, state]

    def unwanted_by_vni(self, kind: str, state: str) -> Mapping[Hashable, int]:
        """Count those among them that are there and should be gone."""
        return self._unwanted_by_vni[kind, state]

    def _take(self, ref: RowRef, before: Trouble | None, after: Trouble | None) -> None:
        """Count one trouble in place of another."""
        if self.changed_rows is not None:
            self.changed_rows.add(ref)
        kind, key = ref
        for trouble, step in ((before, -1), (after, 1)):
            if trouble is not None:
                vni = self._vni_of[kind](key)
                self._counts[trouble.state] = self._counts.get(trouble.state, 0) + step
                _add(self._by_vni[kind, trouble.state], vni, step)
                if trouble.unwanted:
                    _add(self._unwanted_by_vni[kind, trouble.state], vni, step)


def _add(counts: Counter[Hashable], vni: Hashable, step: int) -> None:
    """Count; a VNI without any leaves no entry."""
    if count := counts[vni] + step:
        counts[vni] = count
    else:
        del counts[vni]


class Report(Struct, frozen=True):
    """What a pass found and did; made also when it did nothing."""

    generation: int
    """Of the intent."""
    number: int
    """Of the pass."""
    created: int = 0
    """Rows that the pass wrote where nothing was."""
    replaced: int = 0
    """Rows that the pass gave another value."""
    deleted: int = 0
    """Rows of ours that the pass removed."""
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
    """Those among them that bear our signature: reported, never deleted."""
    failed: int = 0
    """Rows that could not be written and that are tried again by themselves. This and the next ones count all rows,
    also those that the pass did not look at."""
    pending: int = 0
    """Rows that are wanted where the devices are not ready."""
    suppressed: int = 0
    """Rows that the target refuses for good; something must be changed before they are tried again."""
    contested: int = 0
    """Rows that are wanted where another program, or the bridge itself, has one."""
    held: int = 0
    """Changes that wait until every peer has sent its routes: deletions, and weaker rows over those of an earlier
    daemon."""
    blocked: int = 0
    """Rows that wait for a row of another kind."""
    waiting: bool = False
    """More changed, or was hinted at, than one pass looks at: the next passes look at the rest."""
    audited: bool = False
    """Every row of ours was looked at."""
    not_ready: Mapping[Any, tuple[str, ...]] = {}
    """VNIs whose devices are not ready, with the reasons."""
    notes: Mapping[Any, tuple[str, ...]] = {}
    """By VNI: what works, and should be checked all the same."""

    @property
    def applied(self) -> int:
        return self.created + self.replaced + self.deleted + self.shed

    @property
    def converged(self) -> bool:
        """Nothing is left to do, and a further pass would send nothing."""
        return self.settled and not (self.failed or self.suppressed or self.blocked)

    @property
    def settled(self) -> bool:
        """Everything was done that can be done: a row that is not as wanted was refused, is another program's, or needs such a row."""
        return not (self.pending or self.waiting)
