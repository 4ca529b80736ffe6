"""One MAC: its routes judged, and our own station beside them; a winner for each VNI, and what is told of every candidate.

Pure: looks at this MAC's routes, its previous rows and moves, and the segments they name; the work does not grow with
the table. Knows no generation and no kernel.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct, structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.rib import Rib
from vtep.evpn.station import Resident
from vtep.intent import Alert, Candidate, Moves, RemoteMac
from vtep.projection import mobility
from vtep.projection.imports import Standing, judge
from vtep.projection.policy import Policy
from vtep.projection.segment import heard_at, is_proxy, is_segment, members
from vtep.projection.winner import Place, choose, here

NO_RD: Final = RouteDistinguisher(8)


Losers: TypeAlias = list[tuple[Place, str]]
"""With the rule by which each lost."""
Settled: TypeAlias = tuple[Place | None, str, Losers]
"""The winner, if there is one, and why."""


class Before(Struct, frozen=True, gc=False):
    """What was known of a MAC in one VNI before."""

    row: RemoteMac | None = None
    moves: Moves | None = None
    home: Ip | None = None
    """Our own address, if it was here."""

    @property
    def place(self) -> bytes | None:
        return self.home if self.row is None else self.row.place


class Judgement(Struct, frozen=True, gc=False):
    """What became of one MAC in one VNI."""

    candidates: tuple[Candidate, ...]
    row: RemoteMac | None = None
    moves: Moves | None = None
    alerts: tuple[Alert, ...] = ()
    own: Resident | None = None
    """The station, if the MAC is here."""
    lost: bool = False
    """There is a station, and just now it lost to a better route."""
    astray: bool = False
    """There is a station that lost earlier, and nobody else has the MAC now."""


def judge_mac(
    mac: Mac, rib: Rib, policy: Policy, vnis_before: Iterable[Vni], before: Callable[[Vni], Before], now: float
) -> dict[Vni, Judgement]:
    """Judge every route of this MAC, and its stations; also the VNIs where it was before and is no longer."""
    residents = _residents(mac, rib)
    standings: dict[Vni, list[Standing]] = {vni: [] for vni in (*vnis_before, *residents)}
    for route in rib.index.routes_of(mac):
        for standing in judge(route, policy):
            standings.setdefault(standing.vni, []).append(standing)
    return {
        vni: _judge_in_vni(vni, found, residents.get(vni), rib, policy, before(vni), now)
        for vni, found in standings.items()
    }


def highest_rival(vni: Vni, mac: Mac, rib: Rib, policy: Policy) -> int | None:
    """Return the highest sequence of the routes that say this MAC is elsewhere, if there are any that may win."""
    routes = rib.index.routes_of(mac)
    standings = (standing for route in routes for standing in judge(route, policy) if standing.vni == vni)
    places, _ = _places(vni, [standing for standing in standings if not standing.refusal], rib, policy)
    return max((place.seq for place in places), default=None)


def _residents(mac: Mac, rib: Rib) -> dict[Vni, Resident]:
    """Return the stations that count: those of VNIs that announce."""
    found = rib.index.residents.get(mac)
    return {vni: resident for vni, resident in found.items() if vni in rib.announcing} if found else {}


def _judge_in_vni(
    vni: Vni,
    standings: list[Standing],
    resident: Resident | None,
    rib: Rib,
    policy: Policy,
    before: Before,
    now: float,
) -> Judgement:
    refused = [candidate(standing, rib, "refused", standing.refusal) for standing in standings if standing.refusal]
    usable = [standing for standing in standings if not standing.refusal]
    places, nowhere = _places(vni, usable, rib, policy)
    refused += [
        candidate(standing, rib, "refused", nowhere[id(standing.route)])
        for standing in usable
        if id(standing.route) in nowhere
    ]
    home = None if resident is None else here(resident, policy.vnis[vni].vtep)
    contest = _contest(places, home)
    if contest is None:
        moves = mobility.idle(before.moves, policy.duplicates, now) if before.moves else None
        told = [] if resident is None else [_at_home(vni, resident, "lost", "taken-over", policy)]
        return Judgement((*told, *refused), moves=moves, astray=resident is not None)
    winner, _, losers = contest
    notes = {id(standing.route): standing.notes for standing in usable}
    moves = mobility.follow(before.moves, before.place, winner.name, winner.via, policy.duplicates, now)
    is_here = home is not None and _is_here(home, winner, moves)
    settled = contest if home is None else _settled(contest, home, is_here)
    return Judgement(
        candidates=(*_tell_all(vni, settled, notes, rib, policy), *refused),
        row=None if is_here else _remote_row(vni, settled, before.row, moves, notes, rib),
        moves=moves,
        alerts=tuple(sorted({*_conflicts(winner, losers), *mobility.alerts(moves)})),
        own=resident if is_here else None,
        lost=home is not None and not (home is winner or is_here or home.fixed),
    )


# This leaf among the others


def _contest(places: list[Place], home: Place | None) -> tuple[Place, str, Losers] | None:
    """Return who wins, with a station of ours among them; one that was lost may lose, but not win."""
    if home is None:
        return choose(places) if places else None
    contest = choose([*places, home])
    if contest[0] is not home or not _is_lost(home):
        return contest
    if not places:
        return None
    winner, reason, losers = choose(places)
    return winner, reason, [*losers, (home, "taken-over")]


def _is_lost(home: Place) -> bool:
    return home.resident is not None and home.resident.lost


def _is_here(home: Place, winner: Place, moves: Moves | None) -> bool:
    """A frozen MAC is where it was frozen, whoever wins."""
    frozen = mobility.frozen_at(moves)
    return winner is home if frozen is None else frozen.vtep == home.vtep


def _settled(contest: tuple[Place, str, Losers], home: Place, is_here: bool) -> Settled:
    """Return the contest as it is told where a freeze decides between this leaf and the others."""
    winner, _, losers = contest
    if (winner is home) == is_here:
        return contest
    if is_here:
        return home, "dup-frozen", [(winner, "dup-frozen"), *(pair for pair in losers if pair[0] is not home)]
    frozen_out = (home, "dup-frozen")
    return (losers[0][0], "dup-frozen", [*losers[1:], frozen_out]) if losers else (None, "", [frozen_out])


def _remote_row(
    vni: Vni,
    settled: Settled,
    before: RemoteMac | None,
    moves: Moves | None,
    notes: Mapping[int, tuple[str, ...]],
    rib: Rib,
) -> RemoteMac | None:
    """Return the row of the winner, or where the MAC is frozen; there it stays though nobody else tells of it."""
    winner, reason, losers = settled
    row = before if winner is None else _row(vni, winner, reason, notes, rib)
    places = [place for place in (winner, *(loser for loser, _ in losers)) if place is not None]
    return None if row is None else _kept_where_frozen(row, before, moves, places)


# Places


def _places(vni: Vni, usable: list[Standing], rib: Rib, policy: Policy) -> tuple[list[Place], dict[int, str]]:
    """Return the places, and why the other routes, by identity, name none."""
    grouped: dict[tuple[Esi | Ip, int], list[MacIp]] = {}
    for standing in usable:
        route = standing.route
        where = route.esi if is_segment(route.esi) else route.attributes.next_hop
        grouped.setdefault((where, route.label), []).append(route)
    places = []
    nowhere: dict[int, str] = {}
    for (where, label), routes in grouped.items():
        encapsulation = Vni(label) if label != vni else None
        if isinstance(where, Ip):
            places.append(Place(routes, where, None, encapsulation, spread=False))
            continue
        announcers = {route.attributes.next_hop for route in routes}
        reachable = members(rib, policy, policy.vnis[vni], where, announcers)
        if not reachable or where in policy.contested:
            # A segment of ours is reached through our own port: no route changes that (RFC 7432 9.2.2).
            nowhere |= dict.fromkeys(map(id, routes), "local-bias" if reachable else "pending-ead")
            continue
        ours = [route for route in routes if where in policy.segments and route.attributes.next_hop in reachable]
        heard = heard_at(ours)
        lowest = min(heard or reachable, key=lambda vtep: vtep.order)
        places.append(Place(routes, lowest, where, encapsulation, spread=len(reachable) > 1, heard=bool(heard)))
    return places, nowhere


def _row(vni: Vni, winner: Place, reason: str, notes: Mapping[int, tuple[str, ...]], rib: Rib) -> RemoteMac:
    speaker = winner.routes[0]
    stale = all(rib.is_stale(route) for route in winner.routes)
    return RemoteMac(
        vni=vni,
        mac=speaker.mac,
        via=winner.via,
        reason=reason,
        seq=winner.seq,
        sticky=winner.fixed,
        stale=stale,
        peer=speaker.peer,
        rd=speaker.rd,
        segment=winner.segment,
        notes=(*notes[id(speaker)], "stale") if stale else notes[id(speaker)],
    )


def _kept_where_frozen(
    row: RemoteMac, before: RemoteMac | None, moves: Moves | None, places: Iterable[Place]
) -> RemoteMac | None:
    """A frozen MAC stays where its row is; one whose row is gone comes back only there."""
    frozen = mobility.frozen_at(moves)
    if frozen is None:
        return row
    if before is None and all(place.vtep != frozen.vtep for place in places):
        return None
    return structs.replace(row, via=frozen, reason="dup-frozen")


# What is told


def _tell_all(
    vni: Vni, settled: Settled, notes: Mapping[int, tuple[str, ...]], rib: Rib, policy: Policy
) -> Iterable[Candidate]:
    winner, reason, losers = settled
    for place, verdict, why in ((winner, "won", reason), *((loser, "lost", rule) for loser, rule in losers)):
        if place is None:
            continue
        if place.resident is None:
            yield from _tell(vni, place, verdict, why, notes, rib)
        else:
            yield _at_home(vni, place.resident, verdict, why, policy)


def _tell(
    vni: Vni, place: Place, verdict: str, reason: str, notes: Mapping[int, tuple[str, ...]], rib: Rib
) -> Iterable[Candidate]:
    """The route that speaks for the place carries its verdict; its others are there for the same place."""
    for index, route in enumerate(place.routes):
        standing = Standing(route, vni, "", notes[id(route)])
        if index == 0 or verdict == "lost":
            yield candidate(standing, rib, verdict, reason)
        elif place.heard and is_proxy(route) and route.attributes.seq == place.seq:
            yield candidate(standing, rib, "lost", "non-proxy")
        else:
            yield candidate(standing, rib, "lost", "same-es" if place.segment else "total-order")


def _at_home(vni: Vni, resident: Resident, verdict: str, reason: str, policy: Policy) -> Candidate:
    """Tell of a station as of a route: the one that we announce, or would."""
    station, configured = resident.station, policy.vnis[vni]
    return Candidate(
        vni=vni,
        mac=station.mac,
        vtep=configured.vtep,
        verdict=verdict,
        reason=reason,
        seq=resident.seq,
        sticky=station.fixed,
        stale=False,
        peer=configured.vtep,
        rd=configured.rd or NO_RD,
        ip=None,
        esi=NO_SEGMENT,
        label=vni,
        port=station.port,
    )


def candidate(standing: Standing, rib: Rib, verdict: str, reason: str) -> Candidate:
    """Return what is told of a route before one of our VNIs."""
    route = standing.route
    return candidate_of(route, standing.vni, verdict, reason, standing.notes, stale=rib.is_stale(route))


def candidate_of(
    route: MacIp, vni: Vni, verdict: str, reason: str, notes: tuple[str, ...], *, stale: bool
) -> Candidate:
    """Return what is told of a route, in the order of the fields: by their names it takes twice as long."""
    attributes = route.attributes
    return Candidate(
        vni,
        route.mac,
        attributes.next_hop,
        verdict,
        reason,
        attributes.seq,
        attributes.sticky or attributes.gateway,
        stale,
        route.peer,
        route.rd,
        route.ip,
        route.esi,
        route.label,
        (*notes, "stale") if stale else notes,
    )


def _conflicts(winner: Place, losers: list[tuple[Place, str]]) -> Iterable[Alert]:
    """A sticky MAC elsewhere is against RFC 7432 15.2; many VTEPs with one gateway MAC are a common design."""
    for loser, _ in losers:
        if winner.sticky and loser.sticky:
            yield Alert("sticky-conflict", loser.vtep)
        elif winner.fixed and not loser.fixed:
            yield Alert("sticky-violation", loser.vtep)
