"""Judge what is said of a MAC: where it is in each VNI, and the verdict of each route and of our own station.

The judgement has two halves. The first one, `standings`, depends only on the paths of the routes, on the policy, and on the
segments that the paths name. It is the same for every MAC of which the same is said (`evpn.offers`), so it is worked out once
for all of them:

1. `imports.judge` says for each path which VNIs it concerns, and whether it may win there.
2. `_locations` groups the usable paths by where they say the MAC is.
3. `winner.choose` picks one location. It becomes a row, and every path becomes a candidate with its verdict and its reason.

The second one, `settle`, is about one MAC in one VNI, and knows what was before:

4. Our own station is one more location, and is ranked like a route.
5. `mobility.follow` notes a move. If the MAC is frozen, `_frozen` overrules the winner.
6. Either the MAC is here and is advertised, or the winner becomes its row.

    Offers ──imports──> usable paths ──_locations──> locations ──choose──> Standing, kept beside the Offers
                └────────> refused, with the reason       │
    our station ────────────────────────────────────────>─┴─settle──> Judgement: row, candidates, moves, alerts, our own MAC
    row, moves and freeze before ───────────────────────────┘

`draft.py` takes the second half for many MACs at once, where there is no station and no freeze. Everything is pure, and the
work does not grow with the table. This module does not know the generation or the kernel.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct, structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.offers import Offers, Path
from vtep.evpn.rib import Rib
from vtep.evpn.station import SEQ_MAX, LocalClaim
from vtep.intent import Alert, Candidate, Group, Kin, Moves, RemoteMac, Verdicts, Via
from vtep.projection import mobility
from vtep.projection.imports import ImportResult, is_like_others, judge
from vtep.projection.policy import Policy
from vtep.projection.segment import is_proxy, is_segment, learned_at, reach, way
from vtep.projection.winner import Location, choose, here, route_order
from vtep.store.ranked import Ranked

NO_OFFERS: Final = Offers(())
NO_RD: Final = RouteDistinguisher(8)
"""Of a candidate that is our station, in a VNI that is configured without a Route Distinguisher."""


Losers: TypeAlias = list[tuple[Location, str]]
"""Each with the rule by which it lost."""
Contest: TypeAlias = tuple[Location, str, Losers]
"""The winner, why it won, and the losers."""


Notes: TypeAlias = Mapping[int, tuple[str, ...]]
"""By the identity of a path that was judged."""
KindsOf: TypeAlias = Mapping[int, Ranked[Path]]
"""By the identity of a path that was judged: all paths of its kind, if it is not the only one."""


class Before(Struct, frozen=True, gc=False):
    """What was known of a MAC in one VNI before."""

    row: RemoteMac | None = None
    """None if the MAC was here, refused, or unknown."""
    moves: Moves | None = None
    """The record of duplicate detection; None if it did not move within the window."""
    home: Ip | None = None
    """Our own VTEP address, if the MAC was behind this leaf."""

    @property
    def location(self) -> bytes | None:
        """The VTEP or segment where it was, or our own VTEP; None if it was nowhere, although `moves` may know one."""
        return self.home if self.row is None else self.row.location


class Judgement(Struct, frozen=True, gc=False):
    """What became of one MAC in one VNI."""

    candidates: Verdicts
    """Every route and our station, with won, lost or refused and the reason: what `vtep explain` shows."""
    row: RemoteMac | None = None
    """None if the MAC is behind this leaf, or if no route can be used."""
    moves: Moves | None = None
    alerts: tuple[Alert, ...] = ()
    own: LocalClaim | None = None
    """Our station, if the MAC is behind this leaf."""
    lost: bool = False
    """There is a station of ours, and it has just lost to a better route."""
    unverified: bool = False
    """There is a station of ours that lost earlier, and no route offers the MAC now."""


class Standing(Struct, frozen=True, eq=False):
    """What is said of a MAC in one VNI, whichever MAC it is and wherever it was before."""

    locations: list[Location]
    """Where usable routes say that it is, not yet compared with a station of ours."""
    refused: Verdicts
    """The routes that cannot win whatever else there is."""
    notes: Notes
    kinds: KindsOf
    alone: Judgement
    """What follows if there is no station of ours and no freeze."""


Standings: TypeAlias = dict[Vni, Standing]


def standings_of(offers: Offers, mac: Mac, rib: Rib, policy: Policy) -> Standings:
    """Return what these offers mean in each VNI that they concern, from memory if that was worked out before.

    It holds until there is another policy, or a Type-1 route changes what a segment is.
    """
    if not is_like_others(mac, policy):
        return standings(offers, mac, rib, policy)
    known = offers.judged
    if known is None or known[0] is not policy.mark or known[1] != rib.index.version:
        known = (policy.mark, rib.index.version, standings(offers, mac, rib, policy))
        rib.index.said.remember(offers, known)
    found: Standings = known[2]
    return found


def standings(
    offers: Offers, mac: Mac, rib: Rib, policy: Policy, over: Iterable[Path] = (), *, may_group: bool = True
) -> Standings:
    """Return what these offers mean in each VNI that they concern; the paths in `over` are more than a MAC may have.

    If there is no room for more groups (`may_group` is false), a segment stands for one of its VTEPs.
    """
    results: dict[Vni, list[ImportResult]] = {}
    for path in offers.firsts:
        more = ("group-limit",) if not may_group and is_segment(path.esi) else ()
        for result in judge(path, mac, policy):
            told = structs.replace(result, notes=result.notes + more) if more else result
            results.setdefault(result.vni, []).append(told)
    for path in over:
        for result in judge(path, mac, policy):
            refused = structs.replace(result, refusal=result.refusal or "mac-limit")
            results.setdefault(result.vni, []).append(refused)
    kinds = offers.kinds
    return {vni: _standing(vni, found, kinds, rib, policy, may_group) for vni, found in results.items()}


def _standing(
    vni: Vni, results: list[ImportResult], kinds: KindsOf, rib: Rib, policy: Policy, may_group: bool
) -> Standing:
    usable = [result for result in results if not result.refusal]
    locations, nowhere = _locations(vni, usable, rib, policy, may_group)
    refused: Verdicts = ()
    if nowhere or len(usable) < len(results):
        reasons = ((result, result.refusal or nowhere.get(id(result.route), "")) for result in results)
        refused = tuple(_alike(result, kinds, "refused", reason) for result, reason in reasons if reason)
    notes = {id(result.route): result.notes for result in usable}
    if not locations:
        return Standing(locations, refused, notes, kinds, Judgement(refused))
    contest = choose(locations)
    winner, reason, losers = contest
    alone = Judgement(
        candidates=(*_candidates(vni, contest, notes, kinds, policy), *refused),
        row=_row(vni, winner, reason, None, notes),
        alerts=tuple(sorted(set(_conflicts(winner, losers)))) if losers else (),
    )
    return Standing(locations, refused, notes, kinds, alone)


_NOWHERE: Final = Standing([], (), {}, {}, Judgement(()))


def judge_mac(
    mac: Mac,
    offers: Offers | None,
    rib: Rib,
    policy: Policy,
    vnis_before: Iterable[Vni],
    before: Callable[[Vni], Before],
    now: float,
    *,
    may_group: bool = True,
) -> dict[Vni, Judgement]:
    """Judge every route of this MAC and its stations, also for VNIs where it was before and is no longer."""
    local_claims = _local_claims(mac, rib, policy)
    if (over := rib.refused_paths(mac)) or not may_group:
        found = standings(offers or NO_OFFERS, mac, rib, policy, over, may_group=may_group)
    else:
        found = {} if offers is None else standings_of(offers, mac, rib, policy)
    return {
        vni: settle(vni, found.get(vni, _NOWHERE), local_claims.get(vni), policy, before(vni), now)
        for vni in dict.fromkeys((*vnis_before, *local_claims, *found))
    }


def highest_rival(vni: Vni, mac: Mac, rib: Rib, policy: Policy, segment: Esi = NO_SEGMENT) -> int | None:
    """Return the highest sequence of the usable routes that say this MAC is elsewhere, if there are any.

    For a station on a segment of ours, routes over the same segment are not elsewhere: their sequence is taken over and not
    raised (RFC 7432 15), so it counts as one less.
    """
    (offers,), _ = rib.offers_of((mac,))
    if offers is None:
        return None
    found = standings_of(offers, mac, rib, policy).get(vni)
    rivals = [location.seq for location in found.locations if location.segment != segment] if found else []
    # Those over another segment of ours are no locations (`local-bias`), and yet elsewhere.
    rivals += (one.seq for one in (found.refused if found else ()) if one.reason == "local-bias" and one.esi != segment)
    if segment != NO_SEGMENT:
        rivals += (
            path.attributes.seq - 1
            for path in offers.firsts
            if path.esi == segment and path.attributes.seq and vni in policy.imports(path.attributes.targets)
        )
    return max(rivals, default=None)


def _local_claims(mac: Mac, rib: Rib, policy: Policy) -> dict[Vni, LocalClaim]:
    """Return the stations that count: those of VNIs that advertise, but for those on a segment that is not advertised."""
    found = rib.index.local_claims.get(mac)
    return (
        {vni: one for vni, one in found.items() if vni in rib.announcing and policy.counts(vni, one.station.port)}
        if found
        else {}
    )


def settle(
    vni: Vni, standing: Standing, local_claim: LocalClaim | None, policy: Policy, before: Before, now: float
) -> Judgement:
    """Return what becomes of one MAC, with our station and with what was before."""
    locations, refused, notes = standing.locations, standing.refused, standing.notes
    home = None if local_claim is None else here(local_claim, policy.vnis[vni].vtep)
    contest = _contest(locations, home)
    offered = {place for location in (*locations, *([home] if home is not None else ())) for place in location.places}
    past = mobility.ended_if_left(before.moves, offered, policy.duplicates, now)
    if contest is None:
        moves = mobility.idle(past, policy.duplicates, now) if past else None
        ours = [] if local_claim is None else [_own_candidate(vni, local_claim, "lost", "taken-over", policy)]
        return Judgement((*ours, *refused), moves=moves, unverified=local_claim is not None)
    winner, _, losers = contest
    moves = mobility.follow(past, before.location, winner.name, winner.via, policy.duplicates, now)
    frozen = mobility.frozen_at(moves)
    if home is None and frozen is None:
        alerts = tuple(sorted({*standing.alone.alerts, *mobility.alerts(moves)}))
        return structs.replace(standing.alone, moves=moves, alerts=alerts)
    settled = contest if frozen is None else _frozen(contest, frozen)
    is_here = settled[0] is home
    return Judgement(
        candidates=(*_candidates(vni, settled, notes, standing.kinds, policy), *refused),
        row=None if is_here else _row(vni, settled[0], settled[1], frozen, notes),
        moves=moves,
        alerts=tuple(sorted({*_conflicts(winner, losers), *_exhausted(winner, home), *mobility.alerts(moves)})),
        own=local_claim if is_here else None,
        lost=home is not None and not (home is winner or is_here or home.fixed),
    )


# This leaf among the others


def _contest(locations: list[Location], home: Location | None) -> Contest | None:
    """Return the winner and the losers, with our station among them. A station that lost before cannot win."""
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


def _frozen(contest: Contest, frozen: Via) -> Contest:
    """Return the contest as a freeze decides it: the location that has the MAC wins, and first among the losers is the one
    that would have won. So an explanation names both sides."""
    winner, _, losers = contest
    name = mobility.place_of(frozen)
    keeper = next((place for place in (winner, *(loser for loser, _ in losers)) if name in place.places), winner)
    if keeper is winner:
        return winner, "dup-frozen", losers
    return keeper, "dup-frozen", [(winner, "dup-frozen"), *(pair for pair in losers if pair[0] is not keeper)]


# Locations


def _locations(
    vni: Vni, usable: list[ImportResult], rib: Rib, policy: Policy, may_group: bool
) -> tuple[list[Location], dict[int, str]]:
    """Return the locations, and for each route without one (by its identity) the reason."""
    grouped: dict[tuple[Esi | Ip, int], list[Path]] = {}
    for result in usable:
        route = result.route
        where = route.esi if is_segment(route.esi) else route.attributes.next_hop
        grouped.setdefault((where, route.label), []).append(route)
    locations = []
    nowhere: dict[int, str] = {}
    for (where, label), routes in grouped.items():
        encapsulation = Vni(label) if label not in (0, vni) else None
        if isinstance(where, Ip):
            locations.append(Location(routes, where, None, encapsulation, multihomed=False))
            continue
        advertisers = frozenset(route.attributes.next_hop for route in routes)
        if may_group and encapsulation is None and vni not in policy.ungrouped and policy.may_group(where, vni):
            if (location := _on_segment(vni, where, routes, advertisers, rib, policy)) is None:
                nowhere |= dict.fromkeys(map(id, routes), "pending-ead")
            else:
                locations.append(location)
            continue
        reached = reach(rib, policy, policy.vnis[vni], where, advertisers)
        if reached.lowest is None or policy.is_here(where, vni):
            # A segment of ours is reached through our own port, and no route changes that (RFC 7432 9.2.2).
            nowhere |= dict.fromkeys(map(id, routes), "pending-ead" if reached.lowest is None else "local-bias")
            continue
        learned = learned_at([route for route in routes if route.attributes.next_hop in reached.vteps])
        lowest = min(learned, key=lambda vtep: vtep.order, default=reached.lowest)
        locations.append(
            Location(routes, lowest, where, encapsulation, multihomed=reached.multihomed, learned=bool(learned))
        )
    return locations, nowhere


def _on_segment(
    vni: Vni, esi: Esi, routes: list[Path], advertisers: frozenset[Ip], rib: Rib, policy: Policy
) -> Location | None:
    """Return a segment as the location of a MAC, whichever VTEPs it has; None if it is up at none of them."""
    primary = min(routes, key=route_order).attributes.next_hop
    mode = way(rib, policy, policy.vnis[vni], esi, advertisers, primary)
    if not mode:
        return None
    lowest = min(advertisers, key=lambda vtep: vtep.order)
    return Location(routes, lowest, esi, None, multihomed=True, group=mode)


def _row(vni: Vni, winner: Location, reason: str, frozen: Via | None, notes: Notes) -> RemoteMac:
    first_route = winner.routes[0]
    stale = all(route.stale for route in winner.routes)
    via = frozen or winner.via
    # By position, because by name it takes twice as long.
    return RemoteMac(
        vni,
        via,
        reason,
        winner.seq,
        winner.fixed,
        stale,
        first_route.peer,
        first_route.rd,
        winner.segment,
        (*notes[id(first_route)], "stale") if stale else notes[id(first_route)],
        winner.advertisers if isinstance(via, Group) else (),
    )


# The verdict of each candidate


def _candidates(vni: Vni, settled: Contest, notes: Notes, kinds: KindsOf, policy: Policy) -> Iterable[Candidate]:
    winner, reason, losers = settled
    found: list[Candidate] = []
    for location, verdict, why in ((winner, "won", reason), *((loser, "lost", rule) for loser, rule in losers)):
        if location.local_claim is None:
            found += _candidates_at(vni, location, verdict, why, notes, kinds)
        else:
            found.append(_own_candidate(vni, location.local_claim, verdict, why, policy))
    return found


def _candidates_at(
    vni: Vni, location: Location, verdict: str, reason: str, notes: Notes, kinds: KindsOf
) -> list[Candidate]:
    """Return the candidates of one location. The first route stands for it and has its verdict; the others support it."""
    found: list[Candidate] = []
    for route in location.routes:
        result = ImportResult(route, vni, "", notes[id(route)])
        if verdict == "lost":
            found.append(_alike(result, kinds, "lost", reason))
            continue
        is_proxied = location.learned and is_proxy(route) and route.attributes.seq == location.seq
        support = "non-proxy" if is_proxied else "same-es" if location.segment else "total-order"
        if not found:
            found.append(_alike(result, kinds, "won", reason, ("lost", support)))
        else:
            found.append(_alike(result, kinds, "lost", support))
    return found


def _alike(
    result: ImportResult, kinds: KindsOf, verdict: str, reason: str, of_others: tuple[str, str] | None = None
) -> Candidate:
    """Return the candidate that stands for the paths of a kind; the others may have another verdict and reason than the first."""
    kind = kinds.get(id(result.route)) if kinds else None
    kin = None if kind is None else Kin(kind, *(of_others or (verdict, reason)))
    return candidate(result, verdict, reason, kin)


def _own_candidate(vni: Vni, local_claim: LocalClaim, verdict: str, reason: str, policy: Policy) -> Candidate:
    """Return our station as a candidate: the route that we advertise for it, or would advertise."""
    station, configured = local_claim.station, policy.vnis[vni]
    return Candidate(
        vni=vni,
        vtep=configured.vtep,
        verdict=verdict,
        reason=reason,
        seq=local_claim.seq,
        sticky=station.fixed,
        stale=False,
        peer=configured.vtep,
        rd=configured.rd or NO_RD,
        ip=None,
        esi=policy.segment_of_port.get((vni, station.port), NO_SEGMENT),
        label=vni,
        port=station.port,
    )


def candidate(result: ImportResult, verdict: str, reason: str, kin: Kin | None = None) -> Candidate:
    """Return the candidate for a route in one of our VNIs.

    The fields are given by position, because by name it takes twice as long.
    """
    route, attributes, stale = result.route, result.route.attributes, result.route.stale
    return Candidate(
        result.vni,
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
        (*result.notes, "stale") if stale else result.notes,
        "",
        kin,
    )


def _conflicts(winner: Location, losers: list[tuple[Location, str]]) -> Iterable[Alert]:
    """Alert if a sticky MAC is offered elsewhere (RFC 7432 15.2). Several VTEPs with one gateway MAC are a common design."""
    for loser, _ in losers:
        if winner.sticky and loser.sticky:
            yield Alert("sticky-conflict", loser.vtep)
        elif winner.fixed and not loser.fixed:
            yield Alert("sticky-violation", loser.vtep)


def _exhausted(winner: Location, home: Location | None) -> Iterable[Alert]:
    """Alert if our station cannot get past a route with the highest sequence number there is.

    RFC 7432 section 15 wants wraparound handled and does not say how. Every leaf compares plain numbers, as FRR does, so a
    number after the highest one would lose everywhere. The lower VTEP address has the MAC, and an operator must help.
    """
    if home is not None and home is not winner and not winner.fixed and winner.seq == home.seq == SEQ_MAX:
        yield Alert("seq-exhausted", winner.vtep)
