"""One MAC: its routes judged, a winner for each VNI, and what is told of every candidate.

Pure: looks at this MAC's routes, its previous rows and moves, and the segments they name; the work does not grow with
the table. Knows no generation and no kernel.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Vni
from vtep.intent import Alert, Candidate, Direct, Moves, RemoteMac
from vtep.projection import duplicates
from vtep.projection.imports import Standing, admissions, judge, refusal
from vtep.projection.policy import Policy
from vtep.projection.segments import heard_at, is_proxy, is_segment, members
from vtep.projection.winner import Place, choose
from vtep.rib import Rib
from vtep.routes.mac_ip import MacIp


class Before(Struct, frozen=True, gc=False):
    """What was known of a MAC in one VNI before."""

    row: RemoteMac | None = None
    moves: Moves | None = None


class Judgement(Struct, frozen=True, gc=False):
    """What became of one MAC in one VNI."""

    candidates: tuple[Candidate, ...]
    row: RemoteMac | None = None
    moves: Moves | None = None
    alerts: tuple[Alert, ...] = ()


def judge_alone(route: MacIp, rib: Rib, policy: Policy) -> RemoteMac | None:
    """Return the row of a MAC's only route, if the row says all there is to say about it."""
    if route.ip is not None or route.esi != NO_SEGMENT:
        return None
    admitted = admissions(route, policy)
    admission = admitted[0]
    if len(admitted) > 1 or admission.via.vni is not None or refusal(route, admission, policy):
        return None
    attributes = route.attributes
    stale = rib.is_stale(route)
    return RemoteMac(
        vni=admission.vni,
        mac=route.mac,
        via=admission.via,
        reason="gateway" if attributes.gateway else "only-path",
        seq=attributes.seq,
        sticky=attributes.sticky or attributes.gateway,
        stale=stale,
        peer=route.peer,
        rd=route.rd,
        notes=(*admission.notes, "stale") if stale else admission.notes,
    )


def judge_mac(
    mac: Mac, rib: Rib, policy: Policy, vnis_before: Iterable[Vni], before: Callable[[Vni], Before], now: float
) -> dict[Vni, Judgement]:
    """Judge every route of this MAC; also the VNIs where it was before and is no longer."""
    standings: dict[Vni, list[Standing]] = {vni: [] for vni in vnis_before}
    for route in rib.index.routes_of(mac):
        for standing in judge(route, policy):
            standings.setdefault(standing.vni, []).append(standing)
    return {vni: _judge_in_vni(vni, found, rib, policy, before(vni), now) for vni, found in standings.items()}


def _judge_in_vni(
    vni: Vni, standings: list[Standing], rib: Rib, policy: Policy, before: Before, now: float
) -> Judgement:
    refused = [_candidate(standing, rib, "refused", standing.refusal) for standing in standings if standing.refusal]
    usable = [standing for standing in standings if not standing.refusal]
    places, nowhere = _places(vni, usable, rib, policy)
    refused += [
        _candidate(standing, rib, "refused", nowhere[id(standing.route)])
        for standing in usable
        if id(standing.route) in nowhere
    ]
    if not places:
        moves = duplicates.idle(before.moves, policy.duplicates, now) if before.moves else None
        return Judgement(tuple(refused), moves=moves)
    winner, reason, losers = choose(places)
    notes = {id(standing.route): standing.notes for standing in usable}
    row = _row(vni, winner, reason, notes, rib)
    moves = duplicates.follow(before.moves, before.row, row, policy.duplicates, now)
    told = list(_tell(vni, winner, "won", reason, notes, rib))
    for loser, rule in losers:
        told += _tell(vni, loser, "lost", rule, notes, rib)
    return Judgement(
        candidates=(*told, *refused),
        row=_kept_where_frozen(row, before.row, moves, places),
        moves=moves,
        alerts=tuple(sorted({*_conflicts(winner, losers), *_duplicates(moves)})),
    )


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
        via=Direct(winner.vtep, winner.encapsulation),
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
    frozen = duplicates.frozen_at(moves)
    if frozen is None:
        return row
    if before is None and all(place.vtep != frozen.vtep for place in places):
        return None
    return structs.replace(row, via=frozen, reason="dup-frozen")


# What is told


def _tell(
    vni: Vni, place: Place, verdict: str, reason: str, notes: Mapping[int, tuple[str, ...]], rib: Rib
) -> Iterable[Candidate]:
    """The route that speaks for the place carries its verdict; its others are there for the same place."""
    for index, route in enumerate(place.routes):
        standing = Standing(route, vni, "", notes[id(route)])
        if index == 0 or verdict == "lost":
            yield _candidate(standing, rib, verdict, reason)
        elif place.heard and is_proxy(route) and route.attributes.seq == place.seq:
            yield _candidate(standing, rib, "lost", "non-proxy")
        else:
            yield _candidate(standing, rib, "lost", "same-es" if place.segment else "total-order")


def _candidate(standing: Standing, rib: Rib, verdict: str, reason: str) -> Candidate:
    route = standing.route
    attributes = route.attributes
    stale = rib.is_stale(route)
    return Candidate(
        vni=standing.vni,
        mac=route.mac,
        vtep=attributes.next_hop,
        verdict=verdict,
        reason=reason,
        seq=attributes.seq,
        sticky=attributes.sticky or attributes.gateway,
        stale=stale,
        peer=route.peer,
        rd=route.rd,
        ip=route.ip,
        esi=route.esi,
        label=route.label,
        notes=(*standing.notes, "stale") if stale else standing.notes,
    )


def _conflicts(winner: Place, losers: list[tuple[Place, str]]) -> Iterable[Alert]:
    """A sticky MAC elsewhere is against RFC 7432 15.2; many VTEPs with one gateway MAC are a common design."""
    for loser, _ in losers:
        if winner.sticky and loser.sticky:
            yield Alert("sticky-conflict", loser.vtep)
        elif winner.fixed and not loser.fixed:
            yield Alert("sticky-violation", loser.vtep)


def _duplicates(moves: Moves | None) -> Iterable[Alert]:
    if moves is None or moves.duplicate_since is None:
        return
    yield Alert("dup-warn" if moves.frozen is None else "dup-frozen", moves.frozen.vtep if moves.frozen else None)
