"""Changes for watchers: which rows changed and which events happened, in batches that all watchers read.

Nothing is collected unless a client watches, or has asked for the revision within the last minute. Knows neither why a
row changed nor who reads.
"""

from collections.abc import AsyncIterator, Collection
from typing import Final

from vtep.intent import PrefixKey, RowKey
from vtep.linux.tables.fdb import FDB
from vtep.linux.tables.route import ROUTE
from vtep.observe.history import History
from vtep.observe.routed import RoutedTables
from vtep.observe.rows import Rows
from vtep.observe.source import Batch
from vtep.reconcile.report import Troubles
from vtep.store.ring import Ring

WANTED_S: Final = 60.0
"""Seconds. A client reads the revision, then the table, and then asks for what changed since: it has so long for that."""


class Watch:
    """The changes since the last batch, and the batches."""

    def __init__(self, rows: Rows, routed: RoutedTables, journal: History) -> None:
        self._rows = rows
        self._routed = routed
        self._history = journal
        self._ring: Ring[Batch] = Ring()
        self._wanted_until = 0.0
        """Until then, a client that read the revision may ask for what comes after it."""
        self._dirty: set[RowKey] = set()
        self._dirty_prefixes: set[PrefixKey] = set()
        self._sent = 0
        """The number of the latest event that is in a batch."""

    @property
    def collecting(self) -> bool:
        """Return whether there is a watcher, or a client that may become one."""
        return self._ring.readers > 0 or self._rows.clock() < self._wanted_until

    def take(self, touched: Collection[RowKey], prefixes: Collection[PrefixKey] = ()) -> None:
        """Note the rows of MACs and of prefixes that changed in the intent. Without a watcher this costs nothing, however many they are.

        The ring skips a revision instead, so that a watcher which comes back learns that it missed something.
        """
        if self.collecting:
            self._dirty.update(touched)
            self._dirty_prefixes.update(prefixes)
        elif touched or prefixes:
            self._ring.skip()

    @property
    def revision(self) -> int:
        self._wanted_until = self._rows.clock() + WANTED_S
        self._request_rows()
        return self._ring.revision

    def batches(self, after: int) -> AsyncIterator[Batch | None]:
        self._request_rows()
        return self._ring.after(after)

    def cut(self) -> None:
        """Put the changes into a batch, if there is a watcher.

        A row that changed in the intent and in the kernel is worded once, as it is now. One without a row in the intent
        is gone for watchers, whatever the kernel still has.
        """
        if not self.collecting:
            self._dirty.clear()
            self._dirty_prefixes.clear()
            self._sent = self._history.number
            if self._troubles is not None:
                self._troubles.changed_rows = None
            return
        changed_rows = self._troubles.changed_rows if self._troubles is not None else None
        if changed_rows:
            self._dirty.update(key for kind, key in changed_rows if kind == FDB.name)
            self._dirty_prefixes.update(key for kind, key in changed_rows if kind == ROUTE.name)
            changed_rows.clear()
        entries, _ = self._history.entries(after=self._sent)
        if not (self._dirty or self._dirty_prefixes or entries):
            return
        intent = self._rows.intent
        macs, gone = [], []
        for key in sorted(self._dirty):
            row = intent.macs.get(key)
            if row is None:
                gone.append(key)
            else:
                macs.append(self._rows.mac(key, row, intent))
        prefixes, gone_prefixes = self._routed.changed(self._dirty_prefixes, intent)
        self._dirty.clear()
        self._dirty_prefixes.clear()
        self._sent = self._history.number
        self._ring.put(Batch(self._ring.revision + 1, macs, gone, prefixes, gone_prefixes, entries))

    def _request_rows(self) -> None:
        if self._troubles is not None and self._troubles.changed_rows is None:
            self._troubles.changed_rows = set()

    @property
    def _troubles(self) -> Troubles | None:
        return None if self._rows.actor is None else self._rows.actor.engine.troubles
