"""Lists routes: everything that peers have sent, with its verdicts, and everything that this leaf advertises.

    received     peer by peer, part by part; within a part in the order of the keys
    one MAC or address     its routes alone, in the order of peer and key
    advertised   in the order of the keys

There may be millions of routes, and they have no order in the RIB. So a page takes one part of one peer after another, sorts its keys
in slices, and continues after the key at which the page before ended. A page looks at no more than a bounded number of routes and
verdicts, whatever the filter leaves of them: it may be short, even empty, and not be the last.

A verdict is read where the projection keeps it: in `Intent.judged` for a MAC, in the floods for a Type-3 route. Routes of the other
types have no verdict of their own, because they count for a segment. Decides nothing.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

from msgspec import structs

from vtep.addr import Ip, Mac, RouteTarget, Vni
from vtep.evpn.advertise import (
    EadAdvertisement,
    EadRoute,
    MacAdvertisement,
    MacRoute,
    Multicast,
    PrefixAdvertisement,
    PrefixRoute,
    SegmentRoute,
)
from vtep.evpn.advertise import Route as OwnRoute
from vtep.evpn.attributes import Attributes
from vtep.evpn.ead import EthernetAd
from vtep.evpn.event import RouteKey
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.evpn.prefix import IpPrefix
from vtep.evpn.segment import Segment
from vtep.intent import Candidate, Intent, candidates_of
from vtep.local.advertiser import Advertised
from vtep.observe.in_order import KEYS_A_TURN, in_order
from vtep.observe.model import RouteStatus, RouteVerdict
from vtep.observe.reasons import sentence
from vtep.observe.received import PARTS, Received, endpoint
from vtep.observe.source import Page, RouteCursor, RouteQuery
from vtep.observe.turns import ROWS_A_TURN, Turns

LOOKED_AT_MAX: Final = 5000
"""How many routes one page looks at."""
VERDICTS_MAX: Final = 50_000
"""How many verdicts one page looks at: a MAC may have very many routes, and then each of them has its verdict among as many."""
FEW: Final = 16
"""Of so few verdicts, one is found by looking at all; of more, by its name."""
ADVERTISED_PEER: Final = Ip(bytes(4))
"""In place of a peer, in the cursor of a list of our own routes."""

_NUMBERS: Final = {EthernetAd: 1, MacIp: 2, Imet: 3, Segment: 4, IpPrefix: 5}

_Name: TypeAlias = tuple[Any, Any, Ip | None]
_Found: TypeAlias = tuple[RouteCursor, Route, str]


class AdvertisedRoutes(Protocol):
    """What this leaf advertises, as its advertiser has it."""

    def routes(self) -> Iterable[OwnRoute]: ...
    def of(self, route: OwnRoute) -> Advertised | None: ...


class _Nothing:
    """The routes of a leaf without an advertiser."""

    def routes(self) -> Iterable[OwnRoute]:
        return ()

    def of(self, _: OwnRoute) -> Advertised | None:
        return None


class RouteLists:
    """The lists of routes of one leaf."""

    def __init__(self, received: Received, intent: Callable[[], Intent]) -> None:
        self.advertised: AdvertisedRoutes = _Nothing()
        self._received = received
        self._intent = intent
        self._turns = Turns()

    async def page(self, query: RouteQuery, after: RouteCursor | None, most: int) -> Page[RouteStatus, RouteCursor]:
        """Return the routes after a cursor that the query asks for, at most so many."""
        if query.advertised:
            return await self._advertised_page(query, after, most)
        verdicts = _Verdicts(self._intent())
        rows: list[RouteStatus] = []
        looked = 0
        waiting: list[_Found] = []
        last: RouteCursor | None = None
        async for found in self._walk(query, after):
            waiting.append(found)
            looked += 1
            last = found[0]
            if len(waiting) == ROWS_A_TURN:
                rows += await self._turns.take(self._rows, waiting, query, verdicts)
                waiting = []
            if len(rows) + len(waiting) >= most or looked >= LOOKED_AT_MAX or verdicts.looked >= VERDICTS_MAX:
                break
        else:
            last = None
        rows += await self._turns.take(self._rows, waiting, query, verdicts)
        return Page(rows, last, len(self._received), self._intent().generation)

    # Received

    async def _walk(self, query: RouteQuery, after: RouteCursor | None) -> AsyncIterator[_Found]:
        """Yield the routes after the cursor that the query may ask for, in the order of cursors."""
        if query.mac is not None or query.ip is not None:
            async for found in self._walk_few(query, after):
                yield found
            return
        for peer in self._received.peers():
            is_over = after is not None and peer.order < after.peer.order
            if is_over or query.peer not in (None, peer):
                continue
            begun = after if after is not None and after.peer == peer else RouteCursor(peer, 0, b"")
            for part in range(begun.part, PARTS):
                start = begun.key if part == begun.part else b""
                async for key in in_order(self._received.keys(peer, part), start, self._turns):
                    held = self._received.route(peer, key)
                    if held is not None:
                        yield RouteCursor(peer, part, key), *held

    async def _walk_few(self, query: RouteQuery, after: RouteCursor | None) -> AsyncIterator[_Found]:
        """Yield the routes of one MAC or one host address, which the RIB finds without a walk through the others.

        A route may go between two slices; it is then left out.
        """
        routes = (
            self._received.of_mac(query.mac) if query.mac is not None else self._received.of_host(query.ip or Ip(b""))
        )
        keys: dict[bytes, tuple[Ip, RouteKey]] = {}
        for at in range(0, len(routes), KEYS_A_TURN):
            keys |= await self._turns.take(_keys_of, routes[at : at + KEYS_A_TURN])
        start = b"" if after is None else _ordered(after.peer, after.key)
        async for name in in_order(list(keys), start, self._turns):
            peer, key = keys[name]
            held = self._received.route(peer, key)
            if held is not None and (query.peer is None or query.peer == peer):
                yield RouteCursor(peer, 0, key), *held

    def _rows(self, found: Sequence[_Found], query: RouteQuery, verdicts: "_Verdicts") -> list[RouteStatus]:
        rows = []
        for cursor, route, state in found:
            if not _may_match(route, query):
                continue
            row = _received_row(cursor.peer, route, state, verdicts)
            if _matches(row, query):
                age = self._received.age(cursor.peer, cursor.key)
                rows.append(structs.replace(row, since=age.since, received_before=age.before))
        return rows

    # Advertised

    async def _advertised_page(
        self, query: RouteQuery, after: RouteCursor | None, most: int
    ) -> Page[RouteStatus, RouteCursor]:
        source = self.advertised
        by_key: dict[bytes, OwnRoute] = {}
        routes = iter(source.routes())
        while part := list(islice(routes, KEYS_A_TURN)):
            by_key |= await self._turns.take(lambda some: {route.key: route for route in some}, part)
        rows: list[RouteStatus] = []
        looked = 0
        async for key in in_order(list(by_key), None if after is None else after.key, self._turns):
            held = source.of(by_key[key])
            if held is not None:
                row = _own_row(held)
                if _matches(row, query):
                    rows.append(row)
            looked += 1
            if len(rows) == most or looked == LOOKED_AT_MAX:
                cursor = RouteCursor(ADVERTISED_PEER, 0, key)
                return Page(rows, cursor, len(by_key), self._intent().generation)
        return Page(rows, None, len(by_key), self._intent().generation)


def _keys_of(routes: Sequence[MacIp]) -> dict[bytes, tuple[Ip, RouteKey]]:
    return {_ordered(route.peer, route.key): (route.peer, route.key) for route in routes}


def _ordered(peer: Ip, key: RouteKey) -> bytes:
    """Return octets that sort as the peer, and then the key."""
    return bytes((len(peer),)) + peer + key


# Verdicts


class _Verdicts:
    """The verdicts of one intent, and how many of them a page looked at."""

    def __init__(self, intent: Intent) -> None:
        self._intent = intent
        self._by_name: dict[Mac, dict[_Name, list[RouteVerdict]]] = {}
        self._by_endpoint: dict[Ip, dict[tuple[Any, Any], list[RouteVerdict]]] = {}
        self.looked = 0

    def of(self, route: Route) -> tuple[RouteVerdict, ...]:
        """Return the verdicts of a route, one for each VNI that it concerns; none for types that have no verdict."""
        if isinstance(route, MacIp):
            return tuple(self._of_mac_ip(route))
        if isinstance(route, Imet):
            return tuple(self._of_imet(route))
        return ()

    def _of_mac_ip(self, route: MacIp) -> Iterator[RouteVerdict]:
        """Yield the verdicts of a Type-2 route, which has a candidate of its own peer, RD and host address.

        Of a MAC with very many routes, a search for each of them would cost the square of their number. So the
        verdicts of such a MAC are put into a dictionary once for a page.
        """
        name = (route.peer, route.rd, route.ip)
        if (by_name := self._by_name.get(route.mac)) is not None:
            yield from by_name.get(name, ())
            return
        candidates = candidates_of(self._intent, route.mac)
        if len(candidates) > FEW:
            yield from self._named(route.mac, candidates).get(name, ())
            return
        self.looked += len(candidates)
        for candidate in candidates:
            if (candidate.peer, candidate.rd, candidate.ip) == name and not candidate.port:
                yield _verdict(candidate.vni, candidate.verdict, candidate.reason)

    def _named(self, mac: Mac, candidates: Sequence[Candidate]) -> dict[_Name, list[RouteVerdict]]:
        found = self._by_name[mac] = {}
        self.looked += len(candidates)
        for one in candidates:
            if not one.port:
                found.setdefault((one.peer, one.rd, one.ip), []).append(_verdict(one.vni, one.verdict, one.reason))
        return found

    def _of_imet(self, route: Imet) -> Iterator[RouteVerdict]:
        """Yield the verdicts of a Type-3 route. Of several routes of an endpoint one gives the row, and the others lose."""
        at = endpoint(route)
        mine = self._at(at).get((route.peer, route.rd), ())
        rows = self._intent.floods.get(at, ())
        if rows and not mine:
            yield _verdict(rows[0].vni, "lost", "total-order")
        yield from mine

    def _at(self, at: Ip) -> dict[tuple[Any, Any], list[RouteVerdict]]:
        """Return the verdicts of all Type-3 routes to an endpoint: a VTEP may have thousands, one for each VNI."""
        found = self._by_endpoint.get(at)
        if found is None:
            found = self._by_endpoint[at] = {}
            rows, refused = self._intent.floods.get(at, ()), self._intent.refused_floods.get(at, ())
            self.looked += len(rows) + len(refused)
            for row in rows:
                found.setdefault((row.peer, row.rd), []).append(_verdict(row.vni, "won", "only-path"))
            for one in refused:
                found.setdefault((one.peer, one.rd), []).append(_verdict(one.vni, "refused", one.reason))
        return found


def _verdict(vni: Vni, verdict: str, reason: str) -> RouteVerdict:
    return RouteVerdict(vni, verdict, reason, sentence(reason) if verdict == "refused" else "")


# Rows


def _received_row(peer: Ip, route: Route, state: str, verdicts: _Verdicts) -> RouteStatus:
    attributes = route.attributes
    common: dict[str, Any] = {
        "type": _NUMBERS[type(route)],
        "peer": peer,
        "rd": route.rd,
        "vtep": endpoint(route) if isinstance(route, Imet) else attributes.next_hop,
        "seq": attributes.seq,
        "sticky": attributes.sticky,
        "targets": attributes.targets,
        "attributes": tuple(_words(attributes)),
        "state": state,
        "verdicts": verdicts.of(route),
    }
    match route:
        case MacIp():
            return RouteStatus(
                **common,
                mac=route.mac,
                ip=route.ip,
                tag=route.tag,
                label=route.label,
                label2=route.label2,
                esi=route.esi,
            )
        case Imet():
            label = 0 if attributes.pmsi is None else attributes.pmsi.label
            return RouteStatus(**common, tag=route.tag, originator=route.originator, label=label)
        case EthernetAd():
            return RouteStatus(**common, tag=route.tag, esi=route.esi, label=route.label)
        case Segment():
            return RouteStatus(**common, esi=route.esi, originator=route.originator)
        case IpPrefix():
            prefix = f"{Ip(route.network)}/{route.length}"
            return RouteStatus(
                **common, tag=route.tag, esi=route.esi, label=route.label, prefix=prefix, ip=route.gateway
            )


def _words(attributes: Attributes) -> Iterator[str]:
    """Say what the attributes have besides the next hop, the Route Targets and the sequence number."""
    yield from (f"encap:{'vxlan' if number == 8 else number}" for number in attributes.encapsulations)
    yield from (f"soo:0x{site.hex()}" for site in attributes.sites)
    if attributes.gateway:
        yield "default-gateway"
    if attributes.router_mac is not None:
        yield f"router-mac:{attributes.router_mac}"
    if attributes.es_import is not None:
        yield f"es-import:{attributes.es_import}"
    if attributes.esi_label is not None:
        yield f"esi-label:{attributes.esi_label}" + (":single-active" if attributes.single_active else "")
    if attributes.host_flags:
        yield f"arp-nd:0x{attributes.host_flags:02x}"
    if attributes.llgr_stale:
        yield "llgr-stale"
    if attributes.pmsi is not None:
        yield f"pmsi:{attributes.pmsi.tunnel_type}:{attributes.pmsi.label}"


def _own_row(held: Advertised) -> RouteStatus:
    route, announcement = held.route, held.announcement
    communities = () if announcement is None else announcement.communities
    targets = tuple(RouteTarget(one) for one in communities if str(one).startswith("target:"))
    common: dict[str, Any] = {
        "advertised": True,
        "rd": route.rd,
        "tag": route.tag,
        "targets": targets,
        "attributes": tuple(str(one) for one in communities if not str(one).startswith("target:")),
        "state": held.state,
        "since": held.since,
        "error": held.error,
    }
    if announcement is not None:
        common["vtep"] = announcement.next_hop
    if isinstance(route, MacRoute):
        label = announcement.label if isinstance(announcement, MacAdvertisement) else 0
        return RouteStatus(type=2, mac=route.mac, ip=route.ip, label=label, **common)
    if isinstance(route, PrefixRoute):
        label = announcement.label if isinstance(announcement, PrefixAdvertisement) else 0
        return RouteStatus(type=5, prefix=str(route.prefix), label=label, **common)
    if isinstance(route, EadRoute):
        label = (announcement.label or 0) if isinstance(announcement, EadAdvertisement) else 0
        return RouteStatus(type=1, esi=route.esi, label=label, **common)
    if isinstance(route, SegmentRoute):
        return RouteStatus(type=4, esi=route.esi, originator=route.originator, **common)
    label = announcement.pmsi.label if isinstance(announcement, Multicast) else 0
    return RouteStatus(type=3, originator=route.originator, label=label, **common)


# Filters


def _may_match(route: Route, query: RouteQuery) -> bool:
    """Return False if the route cannot match; this costs less than its row."""
    if query.type and _NUMBERS[type(route)] != query.type:
        return False
    return query.rd is None or route.rd == query.rd


def _matches(row: RouteStatus, query: RouteQuery) -> bool:
    if query.type and row.type != query.type:
        return False
    if query.rd is not None and row.rd != query.rd:
        return False
    if query.mac is not None and row.mac != query.mac:
        return False
    if query.ip is not None and row.ip != query.ip:
        return False
    if query.vni is not None and query.vni not in (row.label, *(verdict.vni for verdict in row.verdicts)):
        return False
    if query.refused and not (row.state == "refused" or any(verdict.verdict == "refused" for verdict in row.verdicts)):
        return False
    return not query.reason or any(verdict.reason == query.reason for verdict in row.verdicts)
