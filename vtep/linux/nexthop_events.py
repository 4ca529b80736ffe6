"""Events about nexthops that other programs write or remove: those that rows of the FDB name go without an event about a row.

A filter in the kernel drops what our own requests cause, because events about nexthops, unlike those of the FDB, carry the port of
the socket that asked. So one event says that a program took a group away, and with it every row that names the group.
"""

import socket

from msgspec import Struct

from vtep.linux.events import EVENT_BUFFER, EVENTS_PER_DRAIN, RTNLGRP_NEXTHOP, ForeignEvents, Subscription
from vtep.linux.wire.nexthop import RTM_DELNEXTHOP, RTM_NEWNEXTHOP, NexthopEntry, parse_nexthops

_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06


class NexthopHints(Struct, frozen=True):
    """What others wrote or removed. The values must be read back."""

    numbers: frozenset[int] = frozenset()
    """The identifiers."""
    gone: frozenset[int] = frozenset()
    """Those of `numbers` that were removed, also if they were written again."""
    overrun: bool = False
    """Events were lost: anything may have changed."""


def subscription(own_port: int) -> Subscription:
    """Return the group, and the program that drops what the socket with this port asked for."""
    program = (
        (_LOAD_WORD, 0, 0, 12),
        (_JUMP_IF_EQUAL, 0, 1, socket.htonl(own_port)),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0xFFFFFFFF),
    )
    return Subscription((RTNLGRP_NEXTHOP,), program)


class NexthopEvents(ForeignEvents):
    """One socket that receives them."""

    def __init__(self, own_port: int, buffer: int = EVENT_BUFFER) -> None:
        super().__init__(subscription(own_port), buffer)

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
