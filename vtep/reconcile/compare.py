"""Looks at the target and writes nothing: what differs from what is wanted, and which rows with our mark are not claimed.

It goes in pieces, like a pass, so that passes go on meanwhile. What seems to differ is looked at twice, by the latest intent,
because a row may be on its way. Knows no kind and no target.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from vtep.intent import Intent
from vtep.reconcile.contract import Attachments, Key, Kind, Row, Seen, as_part, readable
from vtep.reconcile.engine import DUMP_ROWS_MAX, LOOKUPS_MAX, Engine
from vtep.reconcile.steps import Steps
from vtep.reconcile.verdict import Verdict, judge

_WORDS: Final = {
    Verdict.CREATE: "missing",
    Verdict.REPLACE: "different",
    Verdict.DELETE: "unwanted",
    Verdict.CONTESTED: "contested",
}


class Differs(Struct, frozen=True):
    """One row that is not as wanted."""

    kind: str
    """The name of the kind, by which its descriptor is found."""
    key: Key
    what: str
    """missing, different, unwanted or contested."""
    wanted: Row | None
    """None: no row should be there."""
    seen: Seen | None
    """None: nothing is there, or nothing can be, because the devices are not ready."""
    reason: str = ""
    """Why, in the codes of docs/reasons.md; empty if no pass has found a reason yet."""
    text: str = ""
    """What the target said, or what the row waits for."""
    since: float | None = None
    """When the row was first seen not as wanted."""


class Compared(Struct, frozen=True):
    """What was found."""

    differences: tuple[Differs, ...]
    """In the order of the kinds. A target that was emptied differs in every row, so there may be very many."""
    compared: int
    """Rows that were looked at, as wanted or not."""
    generation: int
    """The latest intent when the comparison ended."""


def differences(
    engine: Engine,
    latest: Callable[[], Intent],
    concerns: Callable[[Key], bool],
    only: Container[Key] | None = None,
) -> Steps[Compared]:
    """Compare the rows that concern the caller. With `only`, rows with other keys are taken as passes last saw them: as wanted."""
    attachments = engine.target.attachments()
    found: list[Differs] = []
    compared = 0
    for kind in engine.kinds:
        keys = [key for key in _known(engine, kind, latest()) if concerns(key)]
        compared += len(keys)
        keys = keys if only is None else [key for key in keys if key in only]
        suspects = yield from _differing(engine, kind, keys, latest, attachments)
        again = yield from _differing(engine, kind, [suspect.key for suspect in suspects], latest, attachments)
        found += again
    return Compared(tuple(found), compared, latest().generation)


def orphans(engine: Engine, latest: Callable[[], Intent], concerns: Callable[[Key], bool]) -> Steps[list[Differs]]:
    """Find the rows that bear our mark, are not claimed, and are not as wanted.

    Those that are as wanted are adopted by the next pass. One that points elsewhere is contested: it belongs to another daemon,
    or to an earlier one whose ledger is lost, and only an operator knows which.
    """
    attachments = engine.target.attachments()
    entries = yield lambda: engine.target.entries(attachments)
    found = []
    for kind in engine.kinds:
        claims, intent = engine.ledger.claims(kind.name), latest()
        for key, seen in kind.recognise(entries, attachments).items():
            ours = seen.marked and seen.whole and key not in claims
            wanted = kind.wanted_at(intent, key)
            if ours and concerns(key) and wanted != seen.row:
                found.append(Differs(kind.name, key, "orphan" if wanted is None else "contested", wanted, seen))
        yield None
    return found


def adoptable(
    engine: Engine, latest: Callable[[], Intent], concerns: Callable[[Key], bool], *, all_of_them: bool
) -> Steps[list[Differs]]:
    """Find the rows of another daemon that are as wanted; or all that we could have written, wanted or not."""
    attachments = engine.target.attachments()
    entries = yield lambda: engine.target.entries(attachments)
    found = []
    for kind in engine.kinds:
        claims, intent = engine.ledger.claims(kind.name), latest()
        for key, seen in kind.recognise(entries, attachments).items():
            if seen.adoptable is None or key in claims or not concerns(key):
                continue
            wanted = kind.wanted_at(intent, key)
            if all_of_them or wanted == seen.adoptable:
                found.append(Differs(kind.name, key, "unwanted" if wanted is None else "contested", wanted, seen))
        yield None
    return found


def _known(engine: Engine, kind: Kind, intent: Intent) -> set[Key]:
    """Return the keys that can differ: those that are wanted or claimed.

    A row that is neither is another program's, and is no difference. An observer claims no row of others, so for it
    the rows that passes found to be unwanted count as well.
    """
    known = set(kind.wanted(lambda: intent)) | engine.ledger.claims(kind.name).keys()
    return known | {key for name, key in engine.troubles if name == kind.name} if engine.observes else known


def _differing(
    engine: Engine, kind: Kind, keys: Sequence[Key], latest: Callable[[], Intent], attachments: Attachments
) -> Steps[list[Differs]]:
    """Return those of these rows that are not as wanted."""
    if not keys:
        return []
    if (one_by_one := readable(kind)) is not None:
        found = []
        for at in range(0, len(keys), LOOKUPS_MAX // 2):
            part = keys[at : at + LOOKUPS_MAX // 2]
            ready = [key for key in part if kind.domain(key) in attachments.ready]
            lookups = [lookup for key in ready for lookup in one_by_one.lookups(key, attachments)]
            seen = kind.recognise((entry for entry in engine.target.look(lookups) if entry is not None), attachments)
            found += _judged(engine, kind, part, seen, latest(), attachments)
            yield None
        return found
    if sum(len(engine.ledger.claims(other.name)) for other in engine.kinds) > DUMP_ROWS_MAX:
        return []  # they can be seen in a dump alone, and one of so large a table would hold up the passes
    entries = yield lambda: engine.target.entries(attachments)
    return _judged(engine, kind, keys, kind.recognise(entries, attachments), latest(), attachments)


def _judged(
    engine: Engine, kind: Kind, keys: Iterable[Key], seen: Any, intent: Intent, attachments: Attachments
) -> list[Differs]:
    """Return those of these keys whose verdict is a difference.

    Where devices are not ready, nothing can be looked at: a row that is wanted there is missing, whatever the target has.
    """
    claims = engine.ledger.claims(kind.name)
    found = []
    for key in keys:
        wanted = None if kind.domain(key) in attachments.unconfigured else kind.wanted_at(intent, key)
        trouble = engine.troubles.get((kind.name, key))
        since = engine.troubles.since.get((kind.name, key))
        reason, text = ("", "") if trouble is None else (trouble.reason, trouble.text)
        if kind.domain(key) not in attachments.ready:
            if wanted is not None and kind.domain(key) in attachments.not_ready:
                found.append(Differs(kind.name, key, "missing", wanted, None, reason or "not-ready", since=since))
            continue
        there = as_part(kind, wanted, seen.get(key))
        word = _WORDS.get(judge(wanted, there, claims.get(key)))
        if word is not None:
            found.append(Differs(kind.name, key, word, wanted, there, reason, text, since))
    return found
