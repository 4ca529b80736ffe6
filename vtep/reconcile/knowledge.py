"""What is known of rows from pass to pass: claims, what is not ours, what went wrong and what gave way.

Tells what is at a key without looking, and whether that can be relied on. Judges nothing and writes to no target.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from vtep.reconcile.claims import Claim, Ledger, Moment, RowGroup, Unclaimed
from vtep.reconcile.contract import Key, Kind, Seen
from vtep.reconcile.dependencies import Dependencies
from vtep.reconcile.report import Trouble, Troubles
from vtep.reconcile.retry import Backlog, RowRef


class Known(Struct, frozen=True, gc=False):
    """What is known of a row."""

    claim: Claim | None
    foreign: Seen | None
    """What is there and not ours."""
    trouble: Trouble | None
    surveyed: bool
    """The last survey succeeded: what is neither claimed nor foreign is not there."""


class Knowledge:
    """Kept by the engine and its writer."""

    def __init__(self, kinds: Sequence[Kind], ledger: Ledger) -> None:
        self.ledger = ledger
        self.backlog = Backlog()
        self.troubles = Troubles(kinds)
        self.dependencies = Dependencies(kinds, ledger, self.troubles)
        self.foreign: dict[str, dict[Key, Seen]] = {kind.name: {} for kind in kinds}
        """Where something was seen that is not ours: read back before anything is written there."""
        self.yielded: dict[RowRef, int] = {}
        """The rank of the row that gave way to a station heard here: only a higher one comes back."""
        self.half_gone: set[RowRef] = set()
        """Where a removal was refused: half of the row may be gone, or all of it if only the answer was lost."""
        self.surveyed = False
        """The last survey succeeded, and no place changed since."""
        self.suspect = False
        """A survey is asked for or under way, and what it has not reached may be otherwise than it is known."""

    @property
    def is_amiss(self) -> bool:
        """Something is told of some row, waits to be tried again, or is not to be relied on."""
        return bool(self.suspect or len(self.troubles) or len(self.backlog) or self.yielded or self.half_gone)

    def of(self, kind: str, key: Key) -> Known:
        return Known(
            claim=self.ledger.claims(kind).get(key),
            foreign=self.foreign[kind].get(key),
            trouble=self.troubles.get((kind, key)),
            surveyed=self.surveyed,
        )

    def claim(self, kind: Kind, groups: Sequence[RowGroup]) -> Unclaimed | None:
        """Claim rows that are about to be written; return those that could not be claimed."""
        with self.dependencies.following(kind, (key for group in groups for key in group.keys)):
            return self.ledger.claim(kind.name, groups)

    def confirm(self, kind: Kind, keys: Sequence[Key], at: Moment) -> None:
        """Note that rows are there as they were claimed."""
        with self.dependencies.following(kind, keys):
            self.ledger.confirm(kind.name, keys, at)

    def release(self, kind: Kind, keys: Sequence[Key]) -> None:
        """Note that rows are gone, or another program's."""
        with self.dependencies.following(kind, keys):
            self.ledger.release(kind.name, keys)

    def is_sure(self, kind: Kind, key: Key) -> bool:
        """Tell whether what is at a key can be told without looking."""
        if self.suspect or key in self.foreign[kind.name] or (kind.name, key) in self.half_gone:
            return False
        claim = self.ledger.claims(kind.name).get(key)
        return claim is None or claim.confirmed

    def presume(self, kind: Kind, keys: Iterable[Key], unwanted: Iterable[Key]) -> Mapping[Key, Seen | None]:
        """Tell what is there without looking. What was foreign is so until it is seen otherwise; all else is free.

        A claim is there if it is confirmed. One that is not, or whose row may be gone, is of a row that cannot be looked
        up, where both writing what is there and removing what is not do no harm: it is presumed to be what makes us do so.
        """
        claims, foreign = self.ledger.claims(kind.name), self.foreign[kind.name]
        presumed: dict[Key, Seen | None] = {}
        for key in keys:
            claim = claims.get(key)
            if key in foreign:
                presumed[key] = Seen(None, marked=False, holder="foreign")
            elif claim is None:
                presumed[key] = None
            elif key in unwanted or (claim.confirmed and (kind.name, key) not in self.half_gone):
                presumed[key] = Seen(claim.row, marked=True)
            else:
                presumed[key] = None
        return presumed

    def clear(self, ref: RowRef) -> None:
        """The row is as it should be, or of no concern any more."""
        self.troubles.clear(ref)
        self.yielded.pop(ref, None)
        self.half_gone.discard(ref)
        self.backlog.settle(ref)
        self.dependencies.settle(ref)

    def mark_changed(self, kind: Kind, keys: Iterable[Key]) -> None:
        """Name rows that changed to whoever reads."""
        if self.troubles.changed_rows is not None:
            self.troubles.changed_rows.update((kind.name, key) for key in keys)
