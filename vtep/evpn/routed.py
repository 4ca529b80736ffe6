"""The routes that lead to IP prefixes, by prefix: what the projection of VRFs asks for.

    prefix     its Type-5 routes (RFC 9136), and for a host's prefix its Type-2 routes with two labels: the second one is an
               L3VNI (RFC 9135 4.2)

A Type-5 route may name a gateway instead of a router (its overlay index, RFC 9136 3.2). Then it depends on the Type-2 routes of that
host, so a change of these concerns its prefix as well. Or it names an Ethernet segment, and depends on the Type-1 routes of that.

What is said of a prefix in a Type-5 route is a value that thousands of prefixes share, without the prefix (`vtep.evpn.prefix.shared`). Each
value is kept once, however many UPDATEs it came in, and so is each set of values of one prefix. So who judges prefixes sees by
identity of which of them the same is said.

The index hands on each route that comes or goes, and gets back the prefixes that must be judged again. This module does not know
any VRF, and it does not decide which route is usable.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Final, TypeAlias, TypeVar

from msgspec import Struct

from vtep.addr import NO_SEGMENT, Esi, Mac, Prefix
from vtep.evpn.crowd import Routes, all_of, is_among, replaced
from vtep.evpn.event import RouteKey
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.evpn.prefix import IpPrefix, prefix_of_key, shared
from vtep.store.sharded import ShardedDict

K = TypeVar("K")

PrefixRoute: TypeAlias = IpPrefix | MacIp

SETS_MAX: Final = 16384
"""How many sets of several values are kept once; then it begins again, and sets that are equal may be two."""


class _Value:
    """What is said of prefixes, and of how many."""

    __slots__ = ("alone", "has_index", "key", "said", "users")

    def __init__(self, route: IpPrefix, key: tuple[object, ...]) -> None:
        self.said = route
        self.has_index = _has_index(route)
        self.alone = (route,)
        """The routes of a prefix of which nothing else is said."""
        self.key = key
        self.users = 0


class Put(Struct, frozen=True):
    """What became of the keys of routes that say the same. Those that were there with the same value are in none of these lists."""

    new: list[RouteKey]
    changed: list[RouteKey]
    prefixes: list[Prefix]
    """Of both."""
    others: list[RouteKey]
    """Nothing was done about them, because they are not plain."""


class RoutesByPrefix:
    """Every route that leads to a prefix."""

    def __init__(self) -> None:
        self._routes: ShardedDict[Prefix, Routes[PrefixRoute]] = ShardedDict()
        self._values: dict[tuple[object, ...], _Value] = {}
        """Every value that prefixes share, by its fields."""
        self._by_id: dict[int, _Value] = {}
        self._sets: dict[tuple[int, ...], tuple[PrefixRoute, ...]] = {}
        """Sets of several values, by their identities."""
        self._router_macs: Counter[Mac] = Counter()
        """How many values and routes name each Router's MAC."""
        self._by_gateway: dict[Prefix, Counter[Prefix]] = {}
        """The prefixes that are reached by each gateway, with the number of routes that say so."""
        self._by_segment: dict[Esi, Counter[Prefix]] = {}
        """The same for each Ethernet segment."""

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self._routes)

    def __contains__(self, prefix: Prefix) -> bool:
        return prefix in self._routes

    def __bool__(self) -> bool:
        return bool(self._routes)

    def of(self, prefix: Prefix) -> tuple[PrefixRoute, ...]:
        """Return the routes of a prefix, the oldest first."""
        return all_of(self._routes.get(prefix, ()))

    def of_each(self, prefixes: Iterable[Prefix]) -> list[tuple[PrefixRoute, ...]]:
        """Return the routes of each of these prefixes, the oldest first."""
        found = self._routes.of(prefixes)
        return [routes if type(routes) is tuple else all_of(routes or ()) for routes in found]

    def concerned_by(self, prefix: Prefix) -> Collection[Prefix]:
        """Return the prefixes whose routes name this host as their gateway."""
        return self._by_gateway.get(prefix, {}).keys()

    def behind(self, segment: Esi) -> Collection[Prefix]:
        """Return the prefixes whose routes name this Ethernet segment."""
        return self._by_segment.get(segment, {}).keys()

    def naming(self, macs: frozenset[Mac]) -> set[Prefix]:
        """Return the prefixes whose routes name one of these Router's MACs; nearly always there is none, and this is quick."""
        if macs.isdisjoint(self._router_macs):
            return set()
        found = {prefix for prefix in self if any(route.attributes.router_mac in macs for route in self.of(prefix))}
        return found.union(*map(self.concerned_by, found))

    def put(self, prefix: Prefix | None, old: PrefixRoute | None, new: PrefixRoute | None) -> Collection[Prefix]:
        """Replace a route to a prefix by another of the same key; return the prefixes that must be judged again.

        Of Type-5 routes these are values as `take` and `release` have them.
        """
        if prefix is None:
            return ()
        for route, count in ((old, -1), (new, 1)):
            if isinstance(route, MacIp):
                self._count_router_mac(route, count)
            elif route is not None and route.gateway is not None:
                _count(self._by_gateway, Prefix.of(route.gateway, 8 * len(route.gateway)), prefix, count)
            elif route is not None and route.esi != NO_SEGMENT:
                _count(self._by_segment, route.esi, prefix, count)
        part = self._routes.shard(prefix)
        routes = replaced(part.get(prefix, ()), old, new)
        if routes:
            part[prefix] = self._kept_once(routes)
        else:
            part.pop(prefix, None)
        return (prefix,) if isinstance(old or new, IpPrefix) else {prefix, *self.concerned_by(prefix)}

    def take(self, prefix: Prefix, old: IpPrefix | None, route: IpPrefix) -> IpPrefix:
        """Return the value of a route to a prefix that comes in the place of another, and count one user more.

        Two routes to one prefix are two values, even if they say the same: their keys differ in bits beyond the prefix's length, or
        in the path identifier.
        """
        fields = _fields(route)
        value = self._values.get(fields)
        if value is None:
            value = self._keep(route, fields)
        elif old is not value.said and is_among(value.said, self._routes.get(prefix, ())):
            self._count_router_mac(route, 1)
            return shared(route)
        value.users += 1
        return value.said

    def put_many(self, keys: Iterable[RouteKey], route: IpPrefix, there: ShardedDict[RouteKey, Route]) -> "Put":
        """Put routes that say this among those that are there, as far as they are plain.

        Plain is a route to a prefix to which none leads, or only the one of the same key, which it replaces. A route with an overlay
        index is not. This does what `take`, `put` and `release` do for each, in a fraction of the time.
        """
        if _has_index(route):
            return Put([], [], [], list(keys))
        new, changed, prefixes, others = list[RouteKey](), list[RouteKey](), list[Prefix](), list[RouteKey]()
        fields = _fields(route)
        value = self._values.get(fields) or self._keep(route, fields)
        said, alone, keys = value.said, value.alone, list(keys)
        of_keys = list(map(prefix_of_key, keys))
        replaced_ones: Counter[int] = Counter()
        last: Route | None = None
        before: _Value | None = None
        for key, prefix, shard, part in zip(
            keys, of_keys, there.shards_of(keys), self._routes.shards_of(of_keys), strict=True
        ):
            old = shard.get(key)
            if old is said:
                continue
            routes = part.get(prefix)
            if old is not last:  # thousands of prefixes had the same value, so it is looked up once
                last, before = old, self._by_id.get(id(old))
            if old is None and routes is None:
                new.append(key)
            elif before is not None and routes is before.alone and not before.has_index:
                replaced_ones[id(old)] += 1
                changed.append(key)
            else:
                others.append(key)
                continue
            shard[key], part[prefix] = said, alone
            prefixes.append(prefix)
        self._use(value, len(prefixes))
        for name, count in replaced_ones.items():
            self._use(self._by_id[name], -count)
        return Put(new, changed, prefixes, others)

    def remove_many(
        self, keys: Iterable[RouteKey], there: ShardedDict[RouteKey, Route]
    ) -> tuple[list[Prefix], list[RouteKey]]:
        """Remove routes from those that are there, as far as they are plain: without an overlay index, and the only one to the prefix.

        Return their prefixes, and the keys of the others. This does what `put` and `release` do for each.
        """
        prefixes, others = list[Prefix](), list[RouteKey]()
        part_of, keys = self._routes.shard, list(keys)
        removed: Counter[int] = Counter()
        for key, shard in zip(keys, there.shards_of(keys), strict=True):
            old = shard.get(key)
            value = self._by_id.get(id(old))
            if value is not None and not value.has_index:
                prefix = prefix_of_key(key)
                part = part_of(prefix)
                if part.get(prefix) is value.alone:
                    del shard[key], part[prefix]
                    removed[id(old)] += 1
                    prefixes.append(prefix)
                    continue
            others.append(key)
        for name, count in removed.items():
            self._use(self._by_id[name], -count)
        return prefixes, others

    def release(self, route: IpPrefix) -> None:
        """Count one user less of the value of a route that goes."""
        value = self._by_id.get(id(route))
        if value is None:
            self._count_router_mac(route, -1)
            return
        self._use(value, -1)

    def _keep(self, route: IpPrefix, fields: tuple[object, ...]) -> "_Value":
        """Keep a value that no prefix has yet."""
        value = self._values[fields] = _Value(shared(route), fields)
        self._by_id[id(value.said)] = value
        self._count_router_mac(route, 1)
        return value

    def _use(self, value: "_Value", more: int) -> None:
        """Note that so many prefixes more, or fewer, have a value; forget it if none is left."""
        value.users += more
        if not value.users:
            del self._by_id[id(value.said)], self._values[value.key]
            self._count_router_mac(value.said, -1)

    def _kept_once(self, routes: Routes[PrefixRoute]) -> Routes[PrefixRoute]:
        """Return the one tuple of these values, if they are few. A set outlives its prefixes, so none with long attributes is kept."""
        if not isinstance(routes, tuple):
            return routes
        if len(routes) == 1:
            value = self._by_id.get(id(routes[0]))
            return routes if value is None else value.alone
        if any(isinstance(route, MacIp) or route.attributes.is_long for route in routes):
            return routes
        if len(self._sets) >= SETS_MAX:
            self._sets = {}
        return self._sets.setdefault(tuple(map(id, routes)), routes)

    def _count_router_mac(self, route: PrefixRoute, more: int) -> None:
        mac = route.attributes.router_mac
        if mac is not None:
            self._router_macs[mac] += more
            if not self._router_macs[mac]:
                del self._router_macs[mac]


def _count(users: dict[K, Counter[Prefix]], index: K, prefix: Prefix, more: int) -> None:
    """Count the routes to a prefix that have this overlay index."""
    prefixes = users.setdefault(index, Counter())
    prefixes[prefix] += more
    if not prefixes[prefix]:
        del prefixes[prefix]
    if not prefixes:
        del users[index]


def _fields(route: IpPrefix) -> tuple[object, ...]:
    """Return all that a route says, but of which prefix."""
    return (route.attributes, route.rd, route.label, route.gateway, route.esi, route.tag, route.peer)


def _has_index(route: IpPrefix) -> bool:
    """Return whether a route depends on routes of a host or of a segment."""
    return route.gateway is not None or route.esi != NO_SEGMENT


def host_prefix(route: MacIp | None) -> Prefix | None:
    """Return the prefix that a Type-2 route leads to: it leads to one only if it has an address and a second label.

    FRR leaves out both labels when it reports by BMP. Then the Router's MAC says that the route is for a VRF as well.
    """
    if route is None or route.ip is None:
        return None
    if not route.label2 and (route.label or route.attributes.router_mac is None):
        return None
    return Prefix.of(route.ip, 8 * len(route.ip))
