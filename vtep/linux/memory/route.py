"""The routing tables and the nexthops in memory.

Knows what Linux 6.1 to 6.18 does with a route or a nexthop message, and what it takes away without a word: a nexthop that goes
takes its routes along, a group loses it, and a group without members goes as well, with its routes. A device that goes down or
loses its carrier takes its nexthops. Absent on purpose: forwarding, and routes that say themselves where they go, but for those of
other programs, which only have a table, a prefix, a metric and a protocol.
"""

import errno
from collections.abc import Callable

from vtep.addr import Prefix
from vtep.linux.memory.events import Counts, Refused
from vtep.linux.wire.neighbor import RTPROT_VTEP, Verb
from vtep.linux.wire.nexthop import NexthopEntry, NexthopMessage
from vtep.linux.wire.route import RouteEntry, RouteMessage, metric_of


class RoutingTables:
    """All routes and nexthops of one namespace."""

    def __init__(
        self, counts: Counts, is_usable: Callable[[int], bool], drop_rows: Callable[[int], None] = lambda _: None
    ) -> None:
        """Start empty; `is_usable` says whether a device is up and has a carrier, `drop_rows` removes what names a group."""
        self._drop_rows = drop_rows
        self._counts = counts
        self._is_usable = is_usable
        self._routes: dict[tuple[int, Prefix, int], RouteEntry] = {}
        """By table, prefix and metric: what REPLACE looks for, and not the program that wrote the route."""
        self._nexthops: dict[int, NexthopEntry] = {}

    def routes(self, tables: set[int], protocol: int) -> list[RouteEntry]:
        """Return the routes of these tables that one program wrote, or with 0 those of all programs."""
        found = list(self._routes.values())
        return [route for route in found if route.table in tables and protocol in (0, route.protocol)]

    def nexthops(self) -> list[NexthopEntry]:
        return list(self._nexthops.values())

    def nexthop(self, number: int) -> NexthopEntry | None:
        return self._nexthops.get(number)

    def is_v6_group(self, number: int) -> bool | None:
        """Tell whether a group for FDB rows has IPv6 VTEPs; None if this is not such a group."""
        group = self._nexthops.get(number)
        if group is None or not group.fdb or not group.members:
            return None
        return len(self._nexthops[group.members[0]].gateway) == 16

    def add_foreign(self, route: RouteEntry) -> None:
        """Another program writes a route, with REPLACE."""
        self._routes[route.table, route.prefix, route.metric] = route

    def add_foreign_nexthop(self, nexthop: NexthopEntry) -> None:
        """Another program writes a nexthop."""
        self._nexthops[nexthop.id] = nexthop

    def find(self, table: int, prefix: Prefix) -> RouteEntry | None:
        """Return the route of any program that has our metric."""
        return self._routes.get((table, prefix, metric_of(prefix)))

    def write_route(self, message: RouteMessage) -> None:
        """Carry out a message about a route.

        DELETE     ESRCH if there is no route with this metric and our protocol
        any        EINVAL if the nexthop is not there, or is an IPv4 one for an IPv6 prefix
        CREATE     EEXIST if any program has a route with this table, prefix and metric
        REPLACE    takes such a route over, whatever program wrote it
        """
        key = (message.table, message.prefix, message.metric or metric_of(message.prefix))
        held = self._routes.get(key)
        if message.verb is Verb.DELETE:
            if held is None or held.protocol != RTPROT_VTEP:
                raise Refused(errno.ESRCH)
            del self._routes[key]
            self._counts.deletes += 1
            return
        nexthop = self._nexthops.get(message.nexthop)
        if nexthop is None:
            raise Refused(errno.EINVAL)  # Nexthop id does not exist
        if message.prefix.is_v6 and len(nexthop.gateway) == 4:
            raise Refused(errno.EINVAL)  # IPv6 routes can not use an IPv4 nexthop
        if held is not None and message.verb is Verb.CREATE:
            raise Refused(errno.EEXIST)
        row = RouteEntry(*key[:2], RTPROT_VTEP, key[2], message.nexthop)
        self._counts.writes += held is None
        self._counts.replaces += held not in (None, row)
        self._routes[key] = row

    def write_nexthop(self, message: NexthopMessage) -> None:
        """Carry out a message about a nexthop.

        DELETE     ENOENT if there is none; routes and groups that name it go along
        CREATE     EEXIST if any program has the number
        any        EINVAL if it would turn a single one into a group or back, or if a member cannot be one
        single     ENETDOWN if its device is down or has no carrier; one for the FDB has no device
        """
        held = self._nexthops.get(message.id)
        if message.verb is Verb.DELETE:
            if held is None:
                raise Refused(errno.ENOENT)
            self._counts.deletes += 1
            self.drop_nexthop(message.id)
            return
        if held is not None and message.verb is Verb.CREATE:
            raise Refused(errno.EEXIST)
        if held is not None and bool(held.members) != bool(message.members):
            raise Refused(errno.EINVAL)  # the type of a nexthop is fixed
        if message.members:
            members = [self._nexthops.get(one) for one in message.members]
            if any(found is None or found.members or found.fdb != message.fdb for found in members):
                raise Refused(errno.EINVAL)
            families = {len(found.gateway) for found in members if found is not None}
            if len(set(message.members)) < len(members) or (message.fdb and len(families) > 1):
                raise Refused(errno.EINVAL)  # a member twice, or "mixed family"
            row = NexthopEntry(message.id, RTPROT_VTEP, members=message.members, fdb=message.fdb)
        elif message.fdb:
            row = NexthopEntry(message.id, RTPROT_VTEP, gateway=message.gateway, fdb=True)
        else:
            if not self._is_usable(message.device):
                raise Refused(errno.ENETDOWN)
            row = NexthopEntry(message.id, RTPROT_VTEP, message.device, message.gateway)
        self._counts.writes += held is None
        self._counts.replaces += held not in (None, row)
        self._nexthops[message.id] = row

    def drop_nexthop(self, number: int) -> None:
        """Remove a nexthop; its routes go, and groups lose it, without any event about a route."""
        self._nexthops.pop(number, None)
        self._drop_rows(number)
        self._routes = {key: route for key, route in self._routes.items() if route.nexthop != number}
        for group in [found for found in self._nexthops.values() if number in found.members]:
            rest = tuple(member for member in group.members if member != number)
            if rest:
                self._nexthops[group.id] = NexthopEntry(group.id, group.protocol, members=rest, fdb=group.fdb)
            else:
                self.drop_nexthop(group.id)

    def drop_device(self, device: int) -> None:
        """A device goes, goes down, loses its carrier, or enters or leaves a VRF."""
        for number in [found.id for found in self._nexthops.values() if found.device == device]:
            self.drop_nexthop(number)
