"""Compares the kernel with the intent for readers. Requests that arrive together share one look at the kernel.

The actor compares; this module words the result. Keeps nothing except the look that is under way.
"""

import asyncio

from msgspec import structs

from vtep.addr import Vni
from vtep.observe.model import Comparison, Difference
from vtep.observe.rows import Rows
from vtep.reconcile.actor import Actor
from vtep.reconcile.compare import Differs
from vtep.reconcile.contract import Row
from vtep.reconcile.descriptor import Descriptor


class Comparer:
    """Compares the kernel with the intent on request."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._comparing: asyncio.Task[Comparison] | None = None

    async def diff(self, vni: Vni | None) -> Comparison:
        if self._rows.actor is None:
            return Comparison((), 0, 0, self._rows.intent.generation)
        if self._comparing is None or self._comparing.done():
            self._comparing = asyncio.create_task(self._compare(self._rows.actor))
        whole = await asyncio.shield(self._comparing)
        if vni is None:
            return whole
        concerned = tuple(difference for difference in whole.differences if difference.vni == vni)
        return structs.replace(whole, differences=concerned)

    async def _compare(self, actor: Actor) -> Comparison:
        found = await actor.compare(lambda _: True)
        return Comparison(
            tuple(sorted(map(self._difference, found.differences), key=lambda row: (row.vni, row.kind, row.key))),
            found.left_out,
            found.compared,
            found.generation,
        )

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
