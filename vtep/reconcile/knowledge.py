"""What is known of rows from pass to pass: claims, rows of other programs, troubles, and rows that yielded.

Says what is at a key without looking, and whether that can be relied on. Does not judge, and writes to no target.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence

from msgspec import Struct

from vtep.reconcile.claims import Claim, Ledger, Moment, RowGroup, Unclaimed
from vtep.reconcile.contract import Key, Kind, Seen, learns, readable
from vtep.reconcile.dependencies import Dependencies
from vtep.reconcile.report import Trouble, Troubles
from vtep.reconcile.retry import Backlog, RowRef


class Known(Struct, frozen=True, gc=False):
    """What is known of a row."""

    claim: Claim | None
    """None: the row is not ours."""
    foreign: Seen | None
    """What is there and is not ours."""
    trouble: Trouble | None
    """Why the row is not as wanted; None: no pass found anything wrong with it."""
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
        """By kind: keys where a row was seen that is not ours. They are read back before anything is written there."""
        self.yielded: dict[RowRef, int] = {}
        """The rank of a row that yielded to a station learned here: only a row with a higher rank is written again."""
        self.half_gone: set[RowRef] = set()
        """Rows whose removal was refused: half of the row may be gone, or all of it if only the answer was lost."""
        self.is_observed = False
        """Others write the rows, so nothing is known without looking."""
        self.lost: dict[str, set[Key]] = {kind.name: set() for kind in kinds}
        """Claimed rows that the target removed by itself, at least in part."""
        self.surveyed = False
        """The last survey succeeded, and no domain changed since."""
        self.suspect = False
        """A survey was requested or is under way: what is known of rows that it has not reached may be wrong."""
        self.by_key: set[Hashable] = set()
        """Domains that were looked at by key since the last survey. A row of another program may be there at any other key, so
        a key without a claim is read back before it is written."""
        self._domain_of = {kind.name: kind.domain for kind in kinds if readable(kind)}

    @property
    def is_amiss(self) -> bool:
        """Tell whether any row has a trouble, waits to be tried again, or cannot be relied on."""
        return bool(self.suspect or len(self.troubles) or len(self.backlog) or self.yielded or self.half_gone)

    def has_trouble(self, ref: RowRef) -> bool:
        """Tell whether there is anything to forget about a row when it is as it should be."""
        return ref in self.troubles or ref in self.backlog or ref in self.yielded or ref in self.half_gone

    def of(self, kind: str, key: Key) -> Known:
        """Return what is known of one row, without a look, for a reader who wants it explained."""
        return Known(
            claim=self.ledger.claims(kind).get(key),
            foreign=self.foreign[kind].get(key),
            trouble=self.troubles.get((kind, key)),
            surveyed=self.surveyed and not self._may_hide(kind, key),
        )

    def claim(self, kind: Kind, groups: Sequence[RowGroup]) -> Unclaimed | None:
        """Claim rows that are about to be written; return those that could not be claimed."""
        return self.ledger.claim(kind.name, groups)

    def confirm(self, kind: Kind, keys: Sequence[Key], at: Moment) -> None:
        """Note that rows are there as they were claimed."""
        self.ledger.confirm(kind.name, keys, at)
        self.dependencies.note_there(kind, keys)
        if lost := self.lost[kind.name]:
            lost.difference_update(keys)

    def release(self, kind: Kind, keys: Sequence[Key]) -> None:
        """Note that rows are gone, or another program's."""
        self.ledger.release(kind.name, keys)
        if lost := self.lost[kind.name]:
            lost.difference_update(keys)

    def is_sure(self, kind: Kind, key: Key) -> bool:
        """Tell whether it is known, without looking, what is at a key."""
        if self.suspect or self.is_observed or key in self.foreign[kind.name] or (kind.name, key) in self.half_gone:
            return False
        if key in self.lost[kind.name] or (learns(kind) and key not in self.ledger.claims(kind.name)):
            return False
        claim = self.ledger.claims(kind.name).get(key)
        return not self._may_hide(kind.name, key) if claim is None else claim.confirmed

    def _may_hide(self, kind: str, key: Key) -> bool:
        """Tell whether a row that no one looked for may be at a key. Rows that cannot be looked up are always seen all at once."""
        return bool(self.by_key) and kind in self._domain_of and self._domain_of[kind](key) in self.by_key

    def presume(self, kind: Kind, keys: Iterable[Key], unwanted: Iterable[Key]) -> Mapping[Key, Seen | None]:
        """Return what is there, without looking. A foreign row is there until a look shows that it is gone; other keys are free.

        A claimed row is there if its claim is confirmed. If it is not, or if the row may be gone, the kind has no lookups, and for
        it neither a write of what is there nor a removal of what is not does harm. So the presumption is the one that makes the
        engine write or remove.
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
        """Forget the troubles of a row that is as it should be, or that no longer matters."""
        self.troubles.clear(ref)
        self.yielded.pop(ref, None)
        self.half_gone.discard(ref)
        self.backlog.settle(ref)
        self.dependencies.settle(ref)

    def mark_changed(self, kind: Kind, keys: Iterable[Key]) -> None:
        """Record for readers that rows changed."""
        if self.troubles.changed_rows is not None:
            self.troubles.changed_rows.update((kind.name, key) for key in keys)
