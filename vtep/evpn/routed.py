"""The routes that lead to IP prefixes, by prefix: what the projection of VRFs asks for.

    prefix     its Type-5 routes (RFC 9136), and for a host's prefix its Type-2 routes with two labels: the second one is an
               L3VNI (RFC 9135 4.2)

A Type-5 route may name a gateway instead of a router (its overlay index, RFC 9136 3.2). Then it depends on the Type-2 routes of that
host, so a change of these concerns its prefix as well.

The index hands on each route that comes or goes, and gets back the prefixes that must be judged again. This module does not know
any VRF, and it does not decide which route is usable.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import TypeAlias

from vtep.addr import Ip, Mac, Prefix
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
        self._by_gateway: dict[Prefix, Counter[Prefix]] = {}
        """The prefixes that are reached by each gateway, with the number of routes that say so."""

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self._routes)

    def __contains__(self, prefix: Prefix) -> bool:
        return prefix in self._routes

    def __bool__(self) -> bool:
        return bool(self._routes)

    def of(self, prefix: Prefix) -> tuple[PrefixRoute, ...]:
        """Return the routes of a prefix, the oldest first."""
        return all_of(self._routes.get(prefix, ()))

    def concerned_by(self, prefix: Prefix) -> Collection[Prefix]:
        """Return the prefixes whose routes name this host as their gateway."""
        return self._by_gateway.get(prefix, {}).keys()

    def naming(self, macs: frozenset[Mac]) -> set[Prefix]:
        """Return the prefixes whose routes name one of these Router's MACs; nearly always there is none, and this is quick."""
        if macs.isdisjoint(self._router_macs):
            return set()
        found = {prefix for prefix in self if any(route.attributes.router_mac in macs for route in self.of(prefix))}
        return found.union(*map(self.concerned_by, found))

    def put(self, old: PrefixRoute | None, new: PrefixRoute | None) -> Collection[Prefix]:
        """Replace a route by another of the same key; return the prefixes that must be judged again."""
        before, after = prefix_of(old), prefix_of(new)
        prefix = before or after
        if prefix is None:
            return ()
        for route, count in ((old if before else None, -1), (new if after else None, 1)):
            if route is not None and (mac := route.attributes.router_mac) is not None:
                self._router_macs[mac] += count
                if not self._router_macs[mac]:
                    del self._router_macs[mac]
            if isinstance(route, IpPrefix) and route.gateway is not None:
                self._count_gateway(route.gateway, prefix, count)
        routes = replaced(self._routes.get(prefix, ()), old if before else None, new if after else None)
        if routes:
            self._routes[prefix] = routes
        else:
            self._routes.pop(prefix, None)
        return (prefix,) if isinstance(old or new, IpPrefix) else {prefix, *self.concerned_by(prefix)}

    def _count_gateway(self, gateway: Ip, prefix: Prefix, more: int) -> None:
        host = Prefix.of(gateway, 8 * len(gateway))
        prefixes = self._by_gateway.setdefault(host, Counter())
        prefixes[prefix] += more
        if not prefixes[prefix]:
            del prefixes[prefix]
        if not prefixes:
            del self._by_gateway[host]


def prefix_of(route: PrefixRoute | None) -> Prefix | None:
    """Return the prefix that a route leads to: a Type-2 route leads to one only if it has an address and a second label."""
    if isinstance(route, IpPrefix):
        return Prefix.of(route.network, route.length)
    if route is None or route.ip is None or not route.label2:
        return None
    return Prefix.of(route.ip, 8 * len(route.ip))
