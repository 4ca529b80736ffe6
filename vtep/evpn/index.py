"""The routes of all peers by what the projection asks for, and what of it changed since it asked last.

    MAC          its Type-2 routes, MAC-only and with a host address alike
    host         the Type-2 routes that name this address
    endpoint     the Type-3 routes whose floods go there
    segment      its Type-1 routes, its Type-4 routes, and the MACs that are on it

and the stations that were heard here, by MAC and by host address.

Knows which route has which key; whether it is still good is the RIB's business. Where very many leave or are doubted at
once, that is done a part at a time, when it is asked what changed: as if they had left one after another.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from math import ceil, inf
from typing import Final, TypeVar, cast

from msgspec import structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Vni
from vtep.evpn.ead import EthernetAd
from vtep.evpn.event import RouteKey
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.evpn.segment import Segment
from vtep.evpn.station import LocalClaim
from vtep.store.sharded import ShardedDict

K = TypeVar("K")
R = TypeVar("R")


class Changed:
    """What is to be judged again."""

    __slots__ = ("endpoints", "hosts", "macs", "segments")

    def __init__(
        self,
        macs: Iterable[Mac] = (),
        hosts: Iterable[Ip] = (),
        endpoints: Iterable[Ip] = (),
        segments: Iterable[Esi] = (),
    ) -> None:
        self.macs = set(macs)
        self.hosts = set(hosts)
        self.endpoints = set(endpoints)
        self.segments = set(segments)

    def __bool__(self) -> bool:
        return bool(self.macs or self.hosts or self.endpoints or self.segments)

    def add(self, other: "Changed") -> None:
        """Take in what else is to be judged."""
        self.macs |= other.macs
        self.hosts |= other.hosts
        self.endpoints |= other.endpoints
        self.segments |= other.segments

    def take(self, share: float) -> "Changed":
        """Take out this share of the MACs and of the hosts, and all of the others, which are few."""
        part = Changed(endpoints=self.endpoints, segments=self.segments)
        part.macs.update(self.macs.pop() for _ in range(ceil(share * len(self.macs))))
        part.hosts.update(self.hosts.pop() for _ in range(ceil(share * len(self.hosts))))
        self.endpoints, self.segments = set(), set()
        return part


class Index:
    """Filled by the RIB, read by the projection."""

    def __init__(self) -> None:
        self.local_claims: dict[Mac, dict[Vni, LocalClaim]] = {}
        """The stations that are here."""
        self._homes: dict[Ip, set[tuple[Vni, Mac]]] = {}
        self._macs: ShardedDict[Mac, MacIp | tuple[MacIp, ...]] = ShardedDict()
        """Nearly every MAC has one route, and a million tuples around it are 60 MiB."""
        self._hosts: dict[Ip, tuple[MacIp, ...]] = {}
        self._endpoints: dict[Ip, tuple[Imet, ...]] = {}
        self._segments: dict[Esi, set[Mac]] = {}
        self._members: dict[Esi, tuple[Segment, ...]] = {}
        self._ads: dict[Esi, dict[tuple[Ip, RouteKey], EthernetAd]] = {}
        self.routes: Counter[type[Route]] = Counter()
        """How many there are, by type; those that leave are, until they have left."""
        self._changed = Changed()
        self._work = 0
        """What judging all of that will take, roughly, in MACs that have one route."""
        self.leaving: dict[Ip, list[ShardedDict[RouteKey, Route]]] = {}
        """What nobody vouches for any more, by peer."""
        self._suspect: deque[dict[RouteKey, Route]] = deque()
        """The same routes mean something else, and their MACs are not among what changed yet."""

    @property
    def work(self) -> int:
        """What judging all that changed will take, roughly, in MACs that have one route."""
        waiting = chain(chain.from_iterable(self.leaving.values()), self._suspect)
        return self._work + WORK_OF_RIVALS * sum(map(len, waiting))

    def routes_of(self, mac: Mac) -> tuple[MacIp, ...]:
        found = self._macs.get(mac, ())
        return (found,) if isinstance(found, MacIp) else found

    def lone(self, macs: Collection[Mac]) -> Iterator[tuple[Mac, MacIp | None]]:
        """Yield each of them with its route, if it has one only and no station."""
        local_claims = self.local_claims
        for mac, found in zip(macs, self._macs.of(macs), strict=True):
            yield mac, found if isinstance(found, MacIp) and mac not in local_claims else None

    def routes_of_host(self, ip: Ip) -> tuple[MacIp, ...]:
        return self._hosts.get(ip, ())

    def homes_of(self, ip: Ip) -> Iterable[tuple[Vni, Mac]]:
        """Return the VNI and MAC of each station that has this host address."""
        return self._homes.get(ip, ())

    def imets_of(self, endpoint: Ip) -> tuple[Imet, ...]:
        return self._endpoints.get(endpoint, ())

    def ads_of(self, segment: Esi) -> Iterator[EthernetAd]:
        return iter(self._ads.get(segment, {}).values())

    def members_of(self, segment: Esi) -> tuple[Segment, ...]:
        """Return the Type-4 routes of a segment."""
        return self._members.get(segment, ())

    def everything(self) -> Changed:
        """Return all that there is to judge."""
        self._drain_leaving(inf)
        return Changed((*self._macs, *self.local_claims), self._hosts, self._endpoints, self._members)

    def in_parts(self, most: int) -> Iterator[Changed]:
        """Yield all that there is to judge, so many MACs or hosts at a time; what is few comes first.

        What comes or goes meanwhile may be missing: it is among what changed.
        """
        yield Changed(endpoints=self._endpoints, segments=self._members)
        macs = chain(chain.from_iterable(list(part) for part in self._macs.parts), list(self.local_claims))
        while part := Changed(macs=islice(macs, most)):
            yield part
        hosts = iter(list(self._hosts))
        while part := Changed(hosts=islice(hosts, most)):
            yield part

    def take_changed(self, work_max: float = inf) -> Changed:
        """Return what changed since the last call, or as much of it as takes twice this work at most."""
        room = work_max / WORK_OF_RIVALS
        self._drain_leaving(room)
        while self._suspect and not self.leaving and room > 0:
            suspect = self._suspect.popleft()
            self._mark(route.mac for route in suspect.values() if isinstance(route, MacIp))
            room -= len(suspect)
        if self._work > 2 * work_max:
            part = self._changed.take(work_max / self._work)
            self._work = self._work - int(work_max) if self._changed else 0
            return part
        changed, self._changed = self._changed, Changed()
        self._work = 0
        return changed

    def mark_suspect(self, routes: ShardedDict[RouteKey, Route]) -> None:
        """These routes are the same and mean something else: they are stale now. Those that leave first are not judged twice."""
        self._suspect += filter(None, routes.parts)

    def leave(self, peer: Ip, routes: ShardedDict[RouteKey, Route]) -> None:
        """Take over these routes of a peer, to let go of them."""
        if routes:
            self.leaving.setdefault(peer, []).append(routes)

    def mark_macs(self, macs: Iterable[Mac]) -> None:
        """Whether these can be remote is otherwise, and so is what hosts have them for."""
        known = [mac for mac in macs if mac in self._macs]
        self._mark(known)
        self._changed.hosts.update(route.ip for mac in known for route in self.routes_of(mac) if route.ip is not None)

    def put(self, key: RouteKey, old: Route | None, new: Route | None) -> None:
        """Put a route in the place of another; a key belongs to one type of route."""
        if old is None and new is not None:
            old = self._reclaim(new.peer, key) if self.leaving else None
            self.routes[type(new)] += old is None
        elif old is not None and new is None:
            self.routes[type(old)] -= 1
        either = new or old
        if isinstance(either, MacIp):
            self._put_mac_ip(either, cast("MacIp | None", old), cast("MacIp | None", new))
        elif isinstance(either, Imet):
            self._put_imet(cast("Imet | None", old), cast("Imet | None", new))
        elif isinstance(either, EthernetAd):
            self._put_ad(key, either, cast("EthernetAd | None", old), cast("EthernetAd | None", new))
        elif isinstance(either, Segment):
            self._put_member(either, cast("Segment | None", old), cast("Segment | None", new))

    def put_local_claim(self, old: LocalClaim | None, new: LocalClaim | None) -> None:
        """Put a station in the place of another; both are of the same MAC and VNI."""
        either = new or old
        assert either is not None
        vni, mac = key = either.station.key
        if new is not None:
            self.local_claims.setdefault(mac, {})[vni] = new
        else:
            here = self.local_claims[mac]
            del here[vni]
            if not here:
                del self.local_claims[mac]
        before, after = (frozenset() if one is None else one.station.hosts for one in (old, new))
        for ip in before ^ after:
            homes = self._homes.setdefault(ip, set())
            (homes.add if ip in after else homes.discard)(key)
            if not homes:
                del self._homes[ip]
        self.mark_local_claim(mac)

    def lose_local_claim(self, local_claim: LocalClaim) -> None:
        """Note what was judged of a station: nothing is to be judged again for it."""
        vni, mac = local_claim.station.key
        self.local_claims[mac][vni] = structs.replace(local_claim, lost=True)

    def mark_local_claim(self, mac: Mac) -> None:
        """Whether its station counts may have changed."""
        self._changed.macs.add(mac)
        self._work += WORK_OF_RIVALS

    def is_leaving(self, route: MacIp) -> bool:
        return any(leaving.get(route.key) is route for leaving in self.leaving.get(route.peer, ()))

    def _reclaim(self, peer: Ip, key: RouteKey) -> Route | None:
        """Return the route that was about to leave, if it was."""
        for leaving in self.leaving.get(peer, ()):
            found: Route | None = leaving.pop(key)
            if found is not None:
                return found
        return None

    def _drain_leaving(self, most: float) -> None:
        """Let go of so many of the routes that leave."""
        for peer, leaving in list(self.leaving.items()):
            for part in chain.from_iterable(routes.parts for routes in leaving):
                while part and most > 0:
                    key, route = part.popitem()
                    self.put(key, route, None)
                    most -= 1
            if most > 0:
                del self.leaving[peer]

    def _mark(self, macs: Iterable[Mac]) -> None:
        before = len(self._changed.macs)
        self._changed.macs.update(macs)
        self._work += WORK_OF_RIVALS * (len(self._changed.macs) - before)

    def _put_mac_ip(self, either: MacIp, old: MacIp | None, new: MacIp | None) -> None:
        mac, ip = either.mac, either.ip
        macs = self._macs.part(mac)
        if new is not None and mac not in macs:
            macs[mac] = new
            self._work += 1 if ip is None else WORK_OF_RIVALS
        else:
            self._replace_mac(mac, old, new)
            self._work += WORK_OF_RIVALS
        self._changed.macs.add(mac)
        if ip is not None:
            _replaced(self._hosts, ip, old, new)
            self._changed.hosts.add(ip)
        for route in (old, new):
            if route is not None and route.esi != NO_SEGMENT:
                self._put_on_segment(route.esi, mac)

    def _replace_mac(self, mac: Mac, old: MacIp | None, new: MacIp | None) -> None:
        after = [route for route in self.routes_of(mac) if route is not old]
        if new is not None:
            after.append(new)
        if not after:
            self._macs.pop(mac)
        else:
            self._macs[mac] = tuple(after) if len(after) > 1 else after[0]

    def _put_on_segment(self, segment: Esi, mac: Mac) -> None:
        members = self._segments.setdefault(segment, set())
        if any(route.esi == segment for route in self.routes_of(mac)):
            members.add(mac)
        else:
            members.discard(mac)
        if not members:
            del self._segments[segment]

    def _put_imet(self, old: Imet | None, new: Imet | None) -> None:
        """The endpoint is no part of the key, so that a new version may be about another one."""
        for endpoint in {_endpoint(imet) for imet in (old, new) if imet is not None}:
            there = new if new is not None and _endpoint(new) == endpoint else None
            _replaced(self._endpoints, endpoint, old, there)
            self._changed.endpoints.add(endpoint)

    def _put_ad(self, key: RouteKey, either: EthernetAd, old: EthernetAd | None, new: EthernetAd | None) -> None:
        if old is not None:
            ads = self._ads[old.esi]
            del ads[old.peer, key]
            if not ads:
                del self._ads[old.esi]
        if new is not None:
            self._ads.setdefault(new.esi, {})[new.peer, key] = new
        self._mark(self._segments.get(either.esi, ()))

    def _put_member(self, either: Segment, old: Segment | None, new: Segment | None) -> None:
        _replaced(self._members, either.esi, old, new)
        self._changed.segments.add(either.esi)


WORK_OF_RIVALS: Final = 4
"""Several places to choose from, or a past to compare with, take so many times as long (measured: 5 to 10 us to 3 where the
projection has a short way, as for nearly all; the long way takes 12 to 39)."""


def _replaced(table: dict[K, tuple[R, ...]], key: K, old: R | None, new: R | None) -> tuple[R, ...]:
    """Put a route in the place of another, and return all that are there now."""
    before = table.get(key, ())
    after = before if old is None else tuple(route for route in before if route is not old)
    if new is not None:
        after += (new,)
    if after:
        table[key] = after
    else:
        table.pop(key, None)
    return after


def _endpoint(imet: Imet) -> Ip:
    """Return where its floods go; a route that names no such place is kept under its next hop."""
    pmsi = imet.attributes.pmsi
    return imet.attributes.next_hop if pmsi is None or pmsi.endpoint is None else pmsi.endpoint
