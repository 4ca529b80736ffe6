"""The seven verdicts: what to do about one row.

    wanted  there         ours   verdict     what is done
    yes     no            any    CREATE      claim, then write, but not over anything
    yes     same value    any    KEEP        nothing; it is claimed if it was not
    yes     other value   yes    REPLACE     claim, then write
    yes     other value   no     CONTESTED   nothing; reported, with the holder
    no      yes           yes    DELETE      removed, once the picture is complete
    no      yes           no     FOREIGN     nothing, ever
    no      no            yes    FORGET      the claim is released

A row that lost its mark is another program's, whatever the ledger says, so a claim on it is released. A residue that is not
claimed counts as nothing: writing the row over it changes nothing of another program's.

Judges one row at a time. Does not know what a row means, how it is written, or what time it is.
"""

import enum

from vtep.reconcile.claims import Claim, as_handed_over, is_ours
from vtep.reconcile.contract import Row, Seen


class Verdict(enum.Enum):
    """What to do about one row. The value of CREATE, REPLACE and DELETE is the verb of the change that does it."""

    CREATE = "create"
    KEEP = "keep"
    REPLACE = "replace"
    CONTESTED = "contested"
    DELETE = "delete"
    FOREIGN = "foreign"
    FORGET = "forget"


def judge(wanted: Row | None, seen: Seen | None, claim: Claim | None) -> Verdict:
    """Return the verdict on one key where something is wanted, there, or claimed."""
    if seen is None:
        return Verdict.FORGET if wanted is None else Verdict.CREATE
    seen = as_handed_over(seen, claim) or seen
    ours = is_ours(claim, seen)
    if wanted is None:
        if ours:
            return Verdict.DELETE
        return Verdict.FORGET if claim is not None else Verdict.FOREIGN
    if (seen.marked or ours) and seen.row == wanted:
        return Verdict.KEEP if seen.whole else Verdict.REPLACE
    if seen.marked and seen.residue and claim is None:
        return Verdict.CREATE
    return Verdict.REPLACE if ours else Verdict.CONTESTED
