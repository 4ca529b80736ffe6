"""The seven verdicts. Judges one row at a time. Does not know what a row means, how it travels, or what time it is.

    wanted  there         ours   verdict     what is done
    yes     no            any    CREATE      claim, then write, but not over anything
    yes     same value    any    KEEP        nothing; claimed if it was not
    yes     other value   yes    REPLACE     claim, then write
    yes     other value   no     CONTESTED   nothing; told, with the holder
    no      yes           yes    DELETE      removed, once the picture is complete
    no      yes           no     FOREIGN     nothing, ever
    no      no            yes    FORGET      the claim is released

A row whose mark is lost is somebody else's, whatever the ledger says: a claim on it is released. The residue of a row,
if it is nobody's, is as good as nothing: writing the row does not change it.
"""

import enum

from vtep.reconcile.claims import Claim, is_ours
from vtep.reconcile.contract import Row, Seen


class Verdict(enum.Enum):
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
