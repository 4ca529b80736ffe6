"""The routes that lead to IP prefixes, by prefix: what the projection of VRFs asks for.

    prefix     its Type-5 routes (RFC 9136), and for a host's prefix its Type-2 routes with two labels: the second one is an
               L3VNI (RFC 9135 4.2)

The index hands on each route that comes or goes, and gets back the prefix that must be judged again. This module does not know
any VRF, and it does not decide which route is usable.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from vtep.addr import Mac, Prefix
from vtep.evpn.crowd import Routes, all_of, replaced
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.prefix import IpPrefix

PrefixRoute: TypeAlias = IpPrefix | MacIp


class RoutesByPrefix:
    """Every route that leads to a prefix."""

    def __init__(self) -> None:
        self._routes: dict[Prefix, Routes[PrefixRoute]] = {}
        self._router_macs: Counter[Mac] = Counter()
        """How many routes name each Router's MAC."""

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self._routes)

    def __contains__(self, prefix: Prefix) -> bool:
        return prefix in self._routes

    def __bool__(self) -> bool:
        return bool(self._routes)

    def of(self, prefix: Prefix) -> tuple[PrefixRoute, ...]:
        """Return the routes of a prefix, the oldest first."""
        return all_of(self._routes.get(prefix, ()))

    def naming(self, macs: frozenset[Mac]) -> set[Prefix]:
        """Return the prefixes whose routes name one of these Router's MACs; nearly always there is none, and this is quick."""
        if macs.isdisjoint(self._router_macs):
            return set()
        return {prefix for prefix in self if any(route.attributes.router_mac in macs for route in self.of(prefix))}

    def put(self, old: PrefixRoute | None, new: PrefixRoute | None) -> Prefix | None:
        """Replace a route by another of the same key; return the prefix that must be judged again, if there is one."""
        before, after = prefix_of(old), prefix_of(new)
        prefix = before or after
        if prefix is None:
            return None
        for route, count in ((old if before else None, -1), (new if after else None, 1)):
            if route is not None and (mac := route.attributes.router_mac) is not None:
                self._router_macs[mac] += count
                if not self._router_macs[mac]:
                    del self._router_macs[mac]
        routes = replaced(self._routes.get(prefix, ()), old if before else None, new if after else None)
        if routes:
            self._routes[prefix] = routes
        else:
            self._routes.pop(prefix, None)
        return prefix


def prefix_of(route: PrefixRoute | None) -> Prefix | None:
    """Return the prefix that a route leads to: a Type-2 route leads to one only if it has an address and a second label."""
    if isinstance(route, IpPrefix):
        return Prefix.of(route.network, route.length)
    if route is None or route.ip is None or not route.label2:
        return None
    return Prefix.of(route.ip, 8 * len(route.ip))
