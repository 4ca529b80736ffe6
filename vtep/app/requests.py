"""Carries out the requests of operators: what `observe.source.Controls` promises, on the parts of a running daemon.

Knows which part does what. Does not know how a request arrives.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from vtep.addr import ZERO_MAC, Ip, Mac, Vni
from vtep.errors import UsageError
from vtep.intent import keys_of
from vtep.observe.history import HistoryEntry
from vtep.observe.observer import Observer
from vtep.projection.leaf import Leaf
from vtep.reconcile.actor import Actor
from vtep.reconcile.compare import Differs

Adopted: TypeAlias = tuple[Vni, Mac, Ip | None]
"""The VNI, the MAC, and the VTEP or the address of the row."""

LEVELS: Final = ("debug", "info", "warning", "error")


class Requests:
    """The requests that change what the daemon does."""

    def __init__(
        self,
        leaf: Leaf,
        observer: Observer,
        nudge: Callable[[], None],
        advertise_again: Callable[[], None] = lambda: None,
    ) -> None:
        self._leaf = leaf
        self._advertise_again = advertise_again
        self._observer = observer
        self._nudge = nudge
        self._actor: Actor | None = None
        self._adopting = asyncio.Lock()

    def attach(self, actor: Actor) -> None:
        """Pass requests about the kernel to this actor. Without one, they have no effect."""
        self._actor = actor

    def resync(self, *, peers: bool = False) -> None:
        """Look at everything in the kernel again; with `peers`, also refresh
        every peer's routes and advertise ours again."""
        if self._actor is not None:
            self._actor.resync()
        if peers:
            self._leaf.rib.lose_lines()
            self._advertise_again()
            self._nudge()

    async def adopt(
        self, vni: Vni | None, *, dry_run: bool = False, foreign: bool = False, remove_unwanted: bool = False
    ) -> Sequence[Adopted]:
        """Claim the rows with our signature that have no claim, and return them; the next pass removes
        those that are not wanted.

        `foreign` claims those of other daemons that are as wanted, and `remove_unwanted` also those that are not.
        An observer refuses, because it owns no row.
        """
        if self._observer.observes:
            raise UsageError('adopt: this daemon only observes; set mode = "write" in [node] and start it again first')
        if self._actor is None:
            return []
        async with self._adopting:

            def concerns(key: Any) -> bool:
                return vni is None or key[0] == vni

            if foreign:
                rows = await self._actor.adoptable(concerns, all_of_them=remove_unwanted)
            else:
                rows = [row for row in await self._actor.orphans(concerns) if isinstance(row.key[1], Mac)]
            if rows and not dry_run:
                self._actor.adopt(rows)
                whose = "rows of another daemon" if foreign else "rows without a claim"
                self._observer.record(HistoryEntry("adopted", vni=vni, text=f"{len(rows)} {whose}"))
        return sorted(map(_adopted, rows), key=lambda row: (row[0], row[1], row[2] or b""))

    def clear_duplicate(self, mac: Mac, vni: Vni | None) -> int:
        """Forget how often a MAC moved, in one VNI or all; return in how many it had moved."""
        intent = self._leaf.intent
        moved = [key for key in keys_of(intent, mac) if key in intent.moves and vni in (None, key[0])]
        self._leaf.clear_duplicates(moved)
        for key in moved:
            self._observer.record(HistoryEntry("duplicate-cleared", vni=key[0], mac=mac))
        self._nudge()
        return len(moved)

    def set_log_level(self, level: str) -> str:
        """Set the level of the daemon's log until it ends, and return the level before."""
        if level not in LEVELS:
            raise ValueError(f"{level!r} is not a level: {', '.join(LEVELS)}")
        log = logging.getLogger("vtep")
        before = logging.getLevelName(log.getEffectiveLevel()).lower()
        log.setLevel(level.upper())
        return str(before)


def _adopted(row: Differs) -> Adopted:
    """Return the VNI, the MAC and the VTEP or the address of a row of any kind."""
    vni, what = row.key[:2]
    there = None if row.seen is None else row.seen.row if row.seen.adoptable is None else row.seen.adoptable
    if isinstance(what, Mac):
        return vni, what, getattr(there, "vtep", None)
    return vni, getattr(there, "mac", ZERO_MAC), what
