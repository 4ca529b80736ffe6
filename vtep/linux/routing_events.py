"""Events about routes, nexthops and the neighbors that nexthops have: what another program, or the kernel itself, takes away.

Opened only where there are VRFs. A filter in the kernel drops what our own requests cause: events of these tables, unlike those of
the FDB, carry the port of the socket that asked. It also drops what is written, so that only deletions are left, and the routes
that others write, which this leaf may advertise.

What the kernel removes with a device, and the routes that go with a nexthop, have no event at all (6.1 to 6.18): the events of
devices stand for those (`vtep/linux/vrf.py`).
"""

import socket
from typing import Final

from vtep.addr import Ip, Prefix
from vtep.linux.events import (
    EVENT_BUFFER,
    EVENTS_PER_DRAIN,
    RTNLGRP_NEIGH,
    RTNLGRP_NEXTHOP,
    ForeignEvents,
    Subscription,
)
from vtep.linux.wire.neighbor import RTM_DELNEIGH, Entry, parse_neighbors
from vtep.linux.wire.nexthop import RTM_DELNEXTHOP, NexthopEntry, parse_nexthops
from vtep.linux.wire.route import RTM_DELROUTE, RTM_NEWROUTE, RouteEntry, RoutingHints, parse_routes
from vtep.linux.wire.tlv import AF_BRIDGE

RTNLGRP_IPV4_ROUTE: Final = 7
RTNLGRP_IPV6_ROUTE: Final = 11

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x28, 0x30, 0x15, 0x06


def subscription(own_port: int, *, observes: bool = False) -> Subscription:
    """Return the groups, and the program that drops what the socket with this port asked for. An observer drops nothing."""
    groups = (RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP)
    if observes:
        return Subscription(groups, ((_RETURN, 0, 0, 0xFFFFFFFF),))
    program = (
        (_LOAD_WORD, 0, 0, 12),
        (_JUMP_IF_EQUAL, 7, 0, socket.htonl(own_port)),
        (_LOAD_HALF, 0, 0, 4),
        (_JUMP_IF_EQUAL, 6, 0, socket.htons(RTM_NEWROUTE)),
        (_JUMP_IF_EQUAL, 5, 0, socket.htons(RTM_DELROUTE)),
        (_JUMP_IF_EQUAL, 4, 0, socket.htons(RTM_DELNEXTHOP)),
        (_JUMP_IF_EQUAL, 0, 2, socket.htons(RTM_DELNEIGH)),
        (_LOAD_BYTE, 0, 0, 16),
        (_JUMP_IF_EQUAL, 0, 1, AF_BRIDGE),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0xFFFFFFFF),
    )
    return Subscription(groups, program)


class RoutingEvents(ForeignEvents):
    """One socket that receives them."""

    def __init__(self, own_port: int, buffer: int = EVENT_BUFFER, *, observes: bool = False) -> None:
        super().__init__(subscription(own_port, observes=observes), buffer)

    def drain(self, most: int = EVENTS_PER_DRAIN) -> RoutingHints:
        """Put together what is queued."""
        nexthops: set[int] = set()
        neighbors: set[tuple[int, Ip]] = set()
        routes: set[tuple[int, Prefix, int]] = set()
        overrun = False
        for datagram in self.datagrams(most):
            if datagram is None:
                overrun = True
            else:
                nexthops.update(one.id for _, _, one in parse_nexthops(datagram) if isinstance(one, NexthopEntry))
                for _, _, row in parse_neighbors(datagram):
                    if isinstance(row, Entry) and row.ip is not None:
                        neighbors.add((row.port, row.ip))
                for _, _, route in parse_routes(datagram):
                    if isinstance(route, RouteEntry):
                        routes.add((route.table, route.prefix, route.protocol))
        return RoutingHints(frozenset(nexthops), frozenset(neighbors), frozenset(routes), overrun)
