"""Events about nexthops that other programs write or remove: those that rows of the FDB name go without an event about a row.

A filter in the kernel drops what our own requests cause, because events about nexthops, unlike those of the FDB, carry the port of
the socket that asked. So one event says that a program took a group away, and with it every row that names the group.
"""

from msgspec import Struct

from vtep.linux.events import EVENT_BUFFER, EVENTS_PER_DRAIN, RTNLGRP_NEXTHOP, ForeignEvents, foreign
from vtep.linux.wire.nexthop import RTM_DELNEXTHOP, RTM_NEWNEXTHOP, NexthopEntry, parse_nexthops


class NexthopHints(Struct, frozen=True):
    """What others wrote or removed. The values must be read back."""

    numbers: frozenset[int] = frozenset()
    """The identifiers."""
    gone: frozenset[int] = frozenset()
    """Those of `numbers` that were removed, also if they were written again."""
    overrun: bool = False
    """Events were lost: anything may have changed."""


class NexthopEvents(ForeignEvents):
    """One socket that receives them."""

    def __init__(self, own_port: int, buffer: int = EVENT_BUFFER) -> None:
        super().__init__(foreign(RTNLGRP_NEXTHOP, own_port), buffer)

    def drain(self, most: int = EVENTS_PER_DRAIN) -> NexthopHints:
        """Put together what is queued."""
        numbers: set[int] = set()
        gone: set[int] = set()
        overrun = False
        for datagram in self.datagrams(most):
            if datagram is None:
                overrun = True
            else:
                for kind, _, found in parse_nexthops(datagram):
                    if kind in (RTM_NEWNEXTHOP, RTM_DELNEXTHOP) and isinstance(found, NexthopEntry):
                        numbers.add(found.id)
                        if kind == RTM_DELNEXTHOP:
                            gone.add(found.id)
        return NexthopHints(frozenset(numbers), frozenset(gone), overrun)
