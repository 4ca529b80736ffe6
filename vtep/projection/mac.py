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
from vtep.evpn.station import LocalClaim
from vtep.intent import Alert, Candidate, Moves, RemoteMac
from vtep.projection import mobility
from vtep.projection.imports import ImportResult, judge
from vtep.projection.policy import Policy
from vtep.projection.segment import is_proxy, is_segment, members, received_at
from vtep.projection.winner import Location, choose, here

NO_RD: Final = RouteDistinguisher(8)


Losers: TypeAlias = list[tuple[Location, str]]
"""With the rule by which each lost."""
Settled: TypeAlias = tuple[Location | None, str, Losers]
"""The winner, if there is one, and why."""


class Before(Struct, frozen=True, gc=False):
    """What was known of a MAC in one VNI before."""

    row: RemoteMac | None = None
    moves: Moves | None = None
    home: Ip | None = None
    """Our own address, if it was here."""

    @property
    def location(self) -> bytes | None:
        return self.home if self.row is None else self.row.location


class Judgement(Struct, frozen=True, gc=False):
    """What became of one MAC in one VNI."""

    candidates: tuple[Candidate, ...]
    row: RemoteMac | None = None
    moves: Moves | None = None
    alerts: tuple[Alert, ...] = ()
    own: LocalClaim | None = None
    """The station, if the MAC is here."""
    lost: bool = False
    """There is a station, and just now it lost to a better route."""
    unverified: bool = False
    """There is a station that lost earlier, and nobody else has the MAC now."""


def judge_mac(
    mac: Mac, rib: Rib, policy: Policy, vnis_before: Iterable[Vni], before: Callable[[Vni], Before], now: float
) -> dict[Vni, Judgement]:
    """Judge every route of this MAC, and its stations; also the VNIs where it was before and is no longer."""
    local_claims = _local_claims(mac, rib)
    results: dict[Vni, list[ImportResult]] = {vni: [] for vni in (*vnis_before, *local_claims)}
    for route in rib.index.routes_of(mac):
        for result in judge(route, policy):
            results.setdefault(result.vni, []).append(result)
    return {
        vni: _judge_in_vni(vni, found, local_claims.get(vni), rib, policy, before(vni), now)
        for vni, found in results.items()
    }


def highest_rival(vni: Vni, mac: Mac, rib: Rib, policy: Policy) -> int | None:
    """Return the highest sequence of the routes that say this MAC is elsewhere, if there are any that may win."""
    routes = rib.index.routes_of(mac)
    results = (result for route in routes for result in judge(route, policy) if result.vni == vni)
    locations, _ = _locations(vni, [result for result in results if not result.refusal], rib, policy)
    return max((location.seq for location in locations), default=None)


def _local_claims(mac: Mac, rib: Rib) -> dict[Vni, LocalClaim]:
    """Return the stations that count: those of VNIs that announce."""
    found = rib.index.local_claims.get(mac)
    return {vni: local_claim for vni, local_claim in found.items() if vni in rib.announcing} if found else {}


def _judge_in_vni(
    vni: Vni,
    results: list[ImportResult],
    local_claim: LocalClaim | None,
    rib: Rib,
    policy: Policy,
    before: Before,
    now: float,
) -> Judgement:
    refused = [candidate(result, rib, "refused", result.refusal) for result in results if result.refusal]
    usable = [result for result in results if not result.refusal]
    locations, nowhere = _locations(vni, usable, rib, policy)
    refused += [
        candidate(result, rib, "refused", nowhere[id(result.route)]) for result in usable if id(result.route) in nowhere
    ]
    home = None if local_claim is None else here(local_claim, policy.vnis[vni].vtep)
    contest = _contest(locations, home)
    if contest is None:
        moves = mobility.idle(before.moves, policy.duplicates, now) if before.moves else None
        told = [] if local_claim is None else [_at_home(vni, local_claim, "lost", "taken-over", policy)]
        return Judgement((*told, *refused), moves=moves, unverified=local_claim is not None)
    winner, _, losers = contest
    notes = {id(result.route): result.notes for result in usable}
    moves = mobility.follow(before.moves, before.location, winner.name, winner.via, policy.duplicates, now)
    is_here = home is not None and _is_here(home, winner, moves)
    settled = contest if home is None else _settled(contest, home, is_here)
    return Judgement(
        candidates=(*_tell_all(vni, settled, notes, rib, policy), *refused),
        row=None if is_here else _remote_row(vni, settled, before.row, moves, notes, rib),
        moves=moves,
        alerts=tuple(sorted({*_conflicts(winner, losers), *mobility.alerts(moves)})),
        own=local_claim if is_here else None,
        lost=home is not None and not (home is winner or is_here or home.fixed),
    )


# This leaf among the others


def _contest(locations: list[Location], home: Location | None) -> tuple[Location, str, Losers] | None:
    """Return who wins, with a station of ours among them; one that was lost may lose, but not win."""
    if home is None:
        return choose(locations) if locations else None
    contest = choose([*locations, home])
    if contest[0] is not home or not _is_lost(home):
        return contest
    if not locations:
        return None
    winner, reason, losers = choose(locations)
    return winner, reason, [*losers, (home, "taken-over")]


def _is_lost(home: Location) -> bool:
    return home.local_claim is not None and home.local_claim.lost


def _is_here(home: Location, winner: Location, moves: Moves | None) -> bool:
    """A frozen MAC is where it was frozen, whoever wins."""
    frozen = mobility.frozen_at(moves)
    return winner is home if frozen is None else frozen.vtep == home.vtep


def _settled(contest: tuple[Location, str, Losers], home: Location, is_here: bool) -> Settled:
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
    locations = [location for location in (winner, *(loser for loser, _ in losers)) if location is not None]
    return None if row is None else _kept_where_frozen(row, before, moves, locations)


# Places


def _locations(vni: Vni, usable: list[ImportResult], rib: Rib, policy: Policy) -> tuple[list[Location], dict[int, str]]:
    """Return the places, and why the other routes, by identity, name none."""
    grouped: dict[tuple[Esi | Ip, int], list[MacIp]] = {}
    for result in usable:
        route = result.route
        where = route.esi if is_segment(route.esi) else route.attributes.next_hop
        grouped.setdefault((where, route.label), []).append(route)
    locations = []
    nowhere: dict[int, str] = {}
    for (where, label), routes in grouped.items():
        encapsulation = Vni(label) if label != vni else None
        if isinstance(where, Ip):
            locations.append(Location(routes, where, None, encapsulation, spread=False))
            continue
        announcers = {route.attributes.next_hop for route in routes}
        reachable = members(rib, policy, policy.vnis[vni], where, announcers)
        if not reachable or where in policy.contested:
            # A segment of ours is reached through our own port: no route changes that (RFC 7432 9.2.2).
            nowhere |= dict.fromkeys(map(id, routes), "local-bias" if reachable else "pending-ead")
            continue
        ours = [route for route in routes if where in policy.segments and route.attributes.next_hop in reachable]
        heard = received_at(ours)
        lowest = min(heard or reachable, key=lambda vtep: vtep.order)
        locations.append(Location(routes, lowest, where, encapsulation, spread=len(reachable) > 1, heard=bool(heard)))
    return locations, nowhere


def _row(vni: Vni, winner: Location, reason: str, notes: Mapping[int, tuple[str, ...]], rib: Rib) -> RemoteMac:
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
    row: RemoteMac, before: RemoteMac | None, moves: Moves | None, locations: Iterable[Location]
) -> RemoteMac | None:
    """A frozen MAC stays where its row is; one whose row is gone comes back only there."""
    frozen = mobility.frozen_at(moves)
    if frozen is None:
        return row
    if before is None and all(location.vtep != frozen.vtep for location in locations):
        return None
    return structs.replace(row, via=frozen, reason="dup-frozen")


# What is told


def _tell_all(
    vni: Vni, settled: Settled, notes: Mapping[int, tuple[str, ...]], rib: Rib, policy: Policy
) -> Iterable[Candidate]:
    winner, reason, losers = settled
    for location, verdict, why in ((winner, "won", reason), *((loser, "lost", rule) for loser, rule in losers)):
        if location is None:
            continue
        if location.local_claim is None:
            yield from _tell(vni, location, verdict, why, notes, rib)
        else:
            yield _at_home(vni, location.local_claim, verdict, why, policy)


def _tell(
    vni: Vni, location: Location, verdict: str, reason: str, notes: Mapping[int, tuple[str, ...]], rib: Rib
) -> Iterable[Candidate]:
    """The route that speaks for the place carries its verdict; its others are there for the same place."""
    for index, route in enumerate(location.routes):
        result = ImportResult(route, vni, "", notes[id(route)])
        if index == 0 or verdict == "lost":
            yield candidate(result, rib, verdict, reason)
        elif location.heard and is_proxy(route) and route.attributes.seq == location.seq:
            yield candidate(result, rib, "lost", "non-proxy")
        else:
            yield candidate(result, rib, "lost", "same-es" if location.segment else "total-order")


def _at_home(vni: Vni, local_claim: LocalClaim, verdict: str, reason: str, policy: Policy) -> Candidate:
    """Tell of a station as of a route: the one that we announce, or would."""
    station, configured = local_claim.station, policy.vnis[vni]
    return Candidate(
        vni=vni,
        mac=station.mac,
        vtep=configured.vtep,
        verdict=verdict,
        reason=reason,
        seq=local_claim.seq,
        sticky=station.fixed,
        stale=False,
        peer=configured.vtep,
        rd=configured.rd or NO_RD,
        ip=None,
        esi=NO_SEGMENT,
        label=vni,
        port=station.port,
    )


def candidate(result: ImportResult, rib: Rib, verdict: str, reason: str) -> Candidate:
    """Return what is told of a route before one of our VNIs."""
    route = result.route
    return candidate_of(route, result.vni, verdict, reason, result.notes, stale=rib.is_stale(route))


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


def _conflicts(winner: Location, losers: list[tuple[Location, str]]) -> Iterable[Alert]:
    """A sticky MAC elsewhere is against RFC 7432 15.2; many VTEPs with one gateway MAC are a common design."""
    for loser, _ in losers:
        if winner.sticky and loser.sticky:
            yield Alert("sticky-conflict", loser.vtep)
        elif winner.fixed and not loser.fixed:
            yield Alert("sticky-violation", loser.vtep)
