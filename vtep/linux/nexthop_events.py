"""Events about nexthops that other programs write or remove: those that rows of the FDB name go without an event about a row.

A filter in the kernel drops what our own requests cause, because events about nexthops, unlike those of the FDB, carry the port of
the socket that asked. So one event says that a program took a group away, and with it every row that names the group.
"""

import socket

from msgspec import Struct

from vtep.linux.events import EVENT_BUFFER, EVENTS_PER_DRAIN, RTNLGRP_NEXTHOP, EventQueue, Subscription
from vtep.linux.socket import RECEIVE_SIZE, receive
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


class NexthopEvents:
    """One socket that receives them."""

    def __init__(self, own_port: int, buffer: int = EVENT_BUFFER) -> None:
        self._queue = EventQueue(subscription(own_port), buffer)
        self._buffer = memoryview(bytearray(RECEIVE_SIZE))

    def close(self) -> None:
        self._queue.close()

    def fileno(self) -> int:
        """Readable when `drain` has something."""
        return self._queue.fileno()

    def drain(self, most: int = EVENTS_PER_DRAIN) -> NexthopHints:
        """Read what is queued, without waiting. An endless stream is cut; the socket then stays readable."""
        numbers: set[int] = set()
        gone: set[int] = set()
        overrun = False
        for count, datagram in enumerate(receive("events", self._queue.socket, self._buffer), 1):
            if datagram is None:
                overrun = True
            else:
                for kind, _, found in parse_nexthops(datagram):
                    if kind in (RTM_NEWNEXTHOP, RTM_DELNEXTHOP) and isinstance(found, NexthopEntry):
                        numbers.add(found.id)
                        if kind == RTM_DELNEXTHOP:
                            gone.add(found.id)
            if count >= most:
                break
        return NexthopHints(frozenset(numbers), frozenset(gone), overrun)
