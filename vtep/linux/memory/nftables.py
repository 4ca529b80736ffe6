"""The nftables of our filters in memory.

Knows what Linux 6.1 to 6.18 does with a transaction: one element that is not there to be removed, or that is there with other
data, undoes all of it; an element that is there already is no error; without a table nothing can be added. Another program may
remove a rule or everything (`flush ruleset`), and elements then have no effect, or are gone. Absent on purpose: frames.
"""

import errno
from collections.abc import Collection

from vtep.linux.memory.events import Counts
from vtep.linux.wire.nftables import BIAS, BLOCKED, JOINING, STANDBY, WHOLE, Base, Element
from vtep.linux.wire.tlv import Answer


class MemoryNftables:
    """The tables of one namespace."""

    def __init__(self, counts: Counts) -> None:
        self.refuse = 0
        """The errno with which every transaction is refused."""
        self._counts = counts
        self._base = Base()
        self._elements: dict[tuple[str, bytes], Element] = {}

    def base(self) -> Base:
        return self._base

    def elements(self) -> set[Element]:
        return set(self._elements.values())

    def dropped(self) -> dict[str, int]:
        """No frame passes here."""
        return dict.fromkeys((BLOCKED, BIAS, JOINING, STANDBY), 0) if self._base == WHOLE else {}

    def transact(self, add: Collection[Element], remove: Collection[Element], *, make: bool) -> Answer:
        """Add and remove elements, all or none, with nftables' errors for what is missing or already there."""
        if self.refuse:
            return Answer(self.refuse)
        if not make and not self._base.tables:
            return Answer(errno.ENOENT)
        found = {} if make else dict(self._elements)
        for element in remove:
            if found.pop((element.set, element.key), None) is None:
                return Answer(errno.ENOENT)
        for element in add:
            held = found.setdefault((element.set, element.key), element)
            if held != element:
                return Answer(errno.EEXIST)
        self._counts.writes += len(found.keys() - self._elements.keys())
        self._counts.deletes += len(self._elements.keys() - found.keys())
        self._elements = found
        if make:
            self._base = WHOLE
        return Answer(0)

    def drop(self) -> Answer:
        if self.refuse:
            return Answer(self.refuse)
        self._counts.deletes += len(self._elements)
        self.flush_ruleset()
        return Answer(0)

    # The hands of others

    def flush_ruleset(self) -> None:
        """Another program removes everything: `nft flush ruleset`."""
        self._base, self._elements = Base(), {}

    def flush_rules(self) -> None:
        """Another program removes our rules, and the sets stay: `nft flush table bridge vtep`."""
        self._base = Base(self._base.tables, self._base.chains, ())

    def take(self, element: Element) -> None:
        """Another program removes one element."""
        del self._elements[element.set, element.key]
