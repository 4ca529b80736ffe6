"""What a pass works on: a key with everything that is known of it, and the counts of what was found and done.

Values, and what follows from them alone. Knows nothing from before the pass, and writes nothing.
"""

from collections.abc import Hashable

from msgspec import Struct

from vtep.intent import Intent
from vtep.reconcile.claims import Claim, Moment, covers
from vtep.reconcile.contract import Attachments, Change, Key, Kind, Row, Seen, is_conversion
from vtep.reconcile.verdict import Verdict


class Judged(Struct, frozen=True, gc=False):
    """One key with everything that is known of it; it has no verdict where its domain is not ready."""

    key: Key
    """What the kind knows the row by."""
    wanted: Row | None
    """What the intent has at the key; None: no row, or its domain is no longer configured."""
    seen: Seen | None
    """What the target has there; None: nothing, by a look or by what is known without one."""
    claim: Claim | None
    """What the ledger has; None: the row is not ours."""
    verdict: Verdict | None
    """What to do about it; None: nothing can be done, because its devices are not ready."""
    rank: int = 0
    """The rank of the row that is wanted."""


class Pass:
    """What one pass works on, and its counts."""

    def __init__(self, intent: Intent, attachments: Attachments, now: float) -> None:
        self.attachments = attachments
        self.now = now
        self.left: frozenset[Hashable] = frozenset()
        """Domains whose devices changed while the pass writes: it writes no further row there."""
        self.full: dict[tuple[str, Hashable], tuple[int, str]] = {}
        """Kinds and domains that take no new row for the rest of the pass, with the errno and text of the refusal."""
        self.created = self.replaced = self.deleted = self.shed = self.adopted = 0
        self.kept = self.foreign = self.orphans = self.repaired = 0
        self.take(intent)

    def take(self, intent: Intent) -> None:
        """Use this intent from now on."""
        self.intent = intent
        self.moment = Moment(intent.generation, self.now)

    def count(self, verb: str, rows: int) -> None:
        """Count changes that were made."""
        self.created += rows * (verb == "create")
        self.replaced += rows * (verb in ("replace", "convert"))
        self.deleted += rows * (verb == "delete")
        self.shed += rows * (verb == "shed")

    def is_repair(self, row: Judged) -> bool:
        """Tell whether a change that was made restored a row as it had been; if so, count it as a repair."""
        repair = row.claim is not None and row.claim.confirmed and row.claim.row == row.wanted
        self.repaired += repair
        return repair


def change_of(kind: Kind, row: Judged) -> Change:
    """Return the change that carries out a verdict.

    CONTESTED and FORGET get here only if half of our row is left after its station came to a local port (`is_left_over`).
    That half is shed; the row at the local port stays.
    """
    if row.verdict in (Verdict.CONTESTED, Verdict.FORGET):
        return Change("shed", (row.key,), None)
    assert row.verdict is not None
    if row.verdict is Verdict.DELETE:
        return Change("delete", (row.key,), row.seen.row if row.seen is not None else None)
    there = None if row.seen is None else row.seen.row
    converts = row.verdict is Verdict.REPLACE and there is not None and is_conversion(kind, there, row.wanted)
    if converts:
        return Change("convert", (row.key,), row.wanted, there)
    return Change(row.verdict.value, (row.key,), row.wanted)


def operation(row: Judged) -> Hashable:
    """Return what identifies a change: another verb or value is another operation, and a refusal of this one does not delay it."""
    return (row.verdict, row.wanted)


def is_as_claimed(row: Row | None, claim: Claim | None) -> bool:
    """Tell whether a row on a device that is not ours to write to is exactly one that we claimed for that device's place."""
    return claim is not None and row is not None and row in claim.rows


def is_left_over(row: Judged) -> bool:
    """Tell whether half of our row is left: a station came to a local port, and the kernel moved only the bridge row there.

    Of a row that is such a half alone it does not matter who has the other one.
    """
    claim, seen = row.claim, row.seen
    if claim is None or seen is None or not (seen.is_part or seen.holder.startswith("local-")):
        return False
    return _is_claimed(seen.row, claim)


def is_as_left(row: Judged) -> bool:
    """Tell whether a row is as the daemon before this one left it, and its claim was read back since."""
    claim, seen = row.claim, row.seen
    return claim is not None and not claim.confirmed and seen is not None and seen.marked and seen.row == claim.row


def is_unwanted(row: Judged) -> bool:
    """Tell whether the ledger counts a row as there that should be gone."""
    return row.verdict is Verdict.DELETE and row.claim is not None and row.claim.confirmed


def take_over(wanted: Row, seen: Seen, claim: Claim | None) -> Verdict:
    """Return how to take a row from a station that was learned here: not over another program's half."""
    if seen.row is None:
        return Verdict.CREATE
    is_ours_or_alike = seen.row == wanted or (claim is not None and _is_claimed(seen.row, claim))
    return Verdict.REPLACE if is_ours_or_alike else Verdict.CONTESTED


def _is_claimed(row: Row | None, claim: Claim) -> bool:
    return row is not None and covers(claim, row)
