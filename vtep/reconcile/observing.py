"""Observing: the engine judges rows that other daemons write, and writes nothing.

    kind ──▶ ObservedKind   reads any daemon's row as a row that is there, no matter who wrote it
    writer ──▶ Spectator    notes what would be written as a difference, and writes nothing

**Purpose.** A leaf whose rows another daemon writes (FRR's zebra) can be judged by the same engine: what is wanted, what is there,
and since when the two differ. The claims are those of a ledger in memory. They mean "it was seen as wanted" and own nothing.

**When it looks.** Once all routes are known, one dump compares everything. Before that nothing is compared, because a route that has
not come yet would look like a row that nothing wants, and because each route would cost a lookup of its row.

**What counts as in sync.** A row that says what is wanted, no matter who wrote it. What differs is a trouble with the state `contested`,
and one of these reasons:

    observed-missing      it is wanted, and not there
    observed-different    it is there and says something else
    observed-half         the bridge has it, and the VXLAN device has not, or the other way round
    observed-unwanted     it is there, another EVPN daemon wrote it, and no route wants it

A row without EXT_LEARNED that nothing wants is an operator's, and no difference, unless it was wanted before. Differences that last
for less than AGE_S are the other daemon at work, and do not count: `Troubles.since` has the time of each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, cast

from msgspec.structs import replace

from vtep.errors import Bug
from vtep.reconcile.contract import Attachments, Entry, Key, Kind, Message, Seen, Target
from vtep.reconcile.judged import Judged, Pass
from vtep.reconcile.knowledge import Knowledge
from vtep.reconcile.report import Trouble
from vtep.reconcile.steps import Steps
from vtep.reconcile.verdict import Verdict
from vtep.reconcile.writer import Writer

AGE_S: Final = 5.0
"""A difference that is younger than this is the other daemon at work."""

MISSING, DIFFERENT, UNWANTED = "observed-missing", "observed-different", "observed-unwanted"
HALF: Final = "observed-half"
_REASONS: Final = {Verdict.CREATE: MISSING, Verdict.REPLACE: DIFFERENT, Verdict.DELETE: UNWANTED}
_OURS_ALONE: Final = frozenset({"checks", "depends_on", "needs"})
"""What a kind offers for rows of its own: comparing with our signature, and the order of writing."""


class ObservedKind:
    """A kind whose rows may be anybody's."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        """Pass everything else on to the kind, except what makes sense only for rows with our signature."""
        if name in _OURS_ALONE:
            raise AttributeError(name)
        found = getattr(self._kind, name)
        setattr(self, name, found)  # kinds do not change, and each row of a sweep asks for several of these
        return found

    def recognise(self, entries: Iterable[Entry], attachments: Attachments) -> Mapping[Key, Seen]:
        """Read the rows, unless their kind has no mark: they may be an operator's, which are no difference."""
        if getattr(self._kind, "bears_no_mark", False):
            return {}
        return {key: as_anybodys(seen) for key, seen in self._kind.recognise(entries, attachments).items()}


def observed(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """Return the kinds as an observer needs them."""
    return tuple(cast("Kind", ObservedKind(kind)) for kind in kinds)


def as_anybodys(seen: Seen) -> Seen:
    """Return what is there as a row that counts, no matter who wrote it. It must go with its route if an EVPN daemon wrote it."""
    if seen.adoptable is not None:
        return replace(seen, row=seen.adoptable, marked=True, whole=True, holder="", tagged=True, adoptable=None)
    if seen.marked:
        return replace(seen, tagged=True)
    if seen.there is not None:
        return replace(seen, row=seen.there, marked=True, whole=True)
    return seen


class Spectator(Writer):
    """Notes what would be written, and writes nothing."""

    def __init__(self, target: Target, known: Knowledge, chance: Callable[[], float]) -> None:
        super().__init__(target, known, chance)
        self._noted = known

    def carry_out(self, kind: Kind, rows: list[Judged], this: Pass) -> Steps[None]:
        """Note each row that would be written or removed as contested, with how it differs.

        Where nothing is there, nothing would be removed. What is there is remembered as foreign, since an observer
        owns nothing.
        """
        for row in rows:
            ref, reason = (kind.name, row.key), _REASONS.get(cast("Verdict", row.verdict))
            if reason is None:
                continue
            if row.seen is not None and reason is DIFFERENT and not row.seen.whole:
                reason = HALF
            elif row.seen is None and reason is UNWANTED:
                continue
            self._noted.troubles.note(ref, Trouble("contested", reason, unwanted=reason is UNWANTED))
            if row.seen is not None:
                self._noted.foreign[kind.name][row.key] = row.seen
        yield None
        del this

    def send(self, *_: object) -> NoReturn:
        raise Bug("an observer writes nothing")


class ReadOnly:
    """A target that can be read."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def send(self, messages: Sequence[Message]) -> NoReturn:
        raise Bug(f"an observer sends no message: {messages[:1]!r}")
