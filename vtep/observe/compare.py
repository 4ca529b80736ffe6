"""Compares the kernel with the intent for readers. Requests that arrive together share one look at the kernel.

The actor compares; this module leaves out what a reader did not ask for, and words the rest in turns. Keeps nothing except the look that
is under way.
"""

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Final

from vtep.addr import Vni
from vtep.observe.model import Comparison, Difference
from vtep.observe.rows import Rows
from vtep.observe.turns import Turns
from vtep.reconcile.compare import Compared, Differs
from vtep.reconcile.contract import Row
from vtep.reconcile.descriptor import Descriptor

DIFFERENCES_MAX: Final = 10_000
"""Differences in one answer; more are only counted."""
FILTERED_A_TURN: Final = 1000


class Comparer:
    """Compares the kernel with the intent on request."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._comparing: asyncio.Task[Compared] | None = None
        self._turns = Turns()

    async def diff(self, vni: Vni | None, older_than_s: float) -> Comparison:
        """Compare, and return what concerns a VNI, or any, and has differed for so long, at most DIFFERENCES_MAX of it."""
        if self._rows.actor is None:
            return Comparison((), 0, 0, self._rows.intent.generation)
        before = self._rows.clock() - older_than_s if older_than_s else None
        since = self._rows.actor.engine.troubles.since
        if before is not None and len(since) <= DIFFERENCES_MAX:
            # A row that differs for so long is known to, and to look at all the others takes seconds in a large table.
            old = frozenset(key for (_, key), began in since.items() if began <= before)
            found = await self._rows.actor.compare(lambda _: True, old)
        else:
            if self._comparing is None or self._comparing.done():
                self._comparing = asyncio.create_task(self._rows.actor.compare(lambda _: True))
            found = await asyncio.shield(self._comparing)

        def asked_for(part: Sequence[Differs]) -> list[Differs]:
            return [one for one in part if self._is_asked_for(one, vni, before)]

        differs: list[Differs] = []
        for at in range(0, len(found.differences), FILTERED_A_TURN):
            differs += await self._turns.take(asked_for, found.differences[at : at + FILTERED_A_TURN])
        shown = differs[:DIFFERENCES_MAX]
        worded = await self._turns.each(lambda part: [self._difference(one) for one in part], shown)
        return Comparison(
            tuple(sorted(chain.from_iterable(worded), key=lambda row: (row.vni, row.kind, row.key))),
            len(differs) - len(shown),
            found.compared,
            found.generation,
        )

    def _is_asked_for(self, differs: Differs, vni: Vni | None, before: float | None) -> bool:
        """Return False for a row of another VNI, and for one that began to differ later or was not seen by a pass yet."""
        if before is not None and (differs.since is None or differs.since > before):
            return False
        return vni is None or self._rows.descriptor(differs.kind).vni_of(differs.key) == vni

    def _difference(self, differs: Differs) -> Difference:
        descriptor, seen = self._rows.descriptor(differs.kind), differs.seen
        there = "" if seen is None else seen.holder or _in_words(descriptor, seen.row)
        return Difference(
            kind=descriptor.public,
            vni=descriptor.vni_of(differs.key),
            key=descriptor.key_text(differs.key),
            difference=differs.what,
            wanted=_in_words(descriptor, differs.wanted),
            there=there,
            reason=differs.reason,
            text=differs.text,
            since=differs.since,
        )


def _in_words(descriptor: Descriptor, row: Row | None) -> str:
    return "" if row is None else descriptor.in_words(row)
