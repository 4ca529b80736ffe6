"""The short path for the usual MAC: no route of it has a segment, and each route may win in the same single VNI.

It gives the result of `mac.py` in a fraction of the time, and a property test compares the two. It leaves to `mac.py` every
MAC that is not so plain: one that is sticky or a gateway and has a rival, one that is frozen, one with a station of our own,
and one where routes of the same VTEP disagree. Nearly everything that is asked of a route depends only on its attributes,
its label and its tag, so it is worked out once for all routes that share those.

`draft.py` is the only caller, and `Inputs.short_path` is the only switch.
"""

from collections.abc import Collection, Iterator
from typing import TypeAlias

from msgspec import Struct

from vtep.addr import NO_SEGMENT, Ip, Mac, Vni
from vtep.evpn.attributes import Attributes
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.rib import Rib
from vtep.intent import Candidate, Direct, RemoteMac, Verdicts
from vtep.projection.imports import verdicts
from vtep.projection.mac import candidate_of
from vtep.projection.policy import Policy
from vtep.projection.winner import Order, route_order, rule


class Plain(Struct, frozen=True, gc=False):
    """What routes with the same attributes, label and tag mean, if the short path can judge them."""

    vni: Vni
    via: Direct
    notes: tuple[str, ...]
    fixed: bool
    order: Order


Ranked: TypeAlias = tuple[Plain, MacIp]


def rows_alone(macs: Collection[Mac], rib: Rib, policy: Policy) -> Iterator[tuple[Mac, RemoteMac | None]]:
    """Yield each MAC with its row, if it has one route, and that route is plain and says no more than the row."""
    for mac, route in rib.index.lone(macs):
        plain = None if route is None or route.ip is not None else _plain(route, policy)
        if route is None or plain is None or not _may_be_remote(mac, policy):
            yield mac, None
        else:
            yield mac, _row(plain, route, _reason_alone(route), stale=rib.is_stale(route))


def rank(routes: tuple[MacIp, ...], policy: Policy) -> list[Ranked]:
    """Return these routes of one MAC, the best first; none if the short path cannot judge them."""
    ranked: list[Ranked] = []
    for route in routes:
        plain = _plain(route, policy)
        if plain is None:
            return []
        ranked.append((plain, route))
    if not routes or not _may_be_remote(routes[0].mac, policy):
        return []
    if len(ranked) == 1:
        return ranked
    vni = ranked[0][0].vni
    orders: dict[Ip, Order] = {}
    for plain, _ in ranked:
        agreed = orders.setdefault(plain.via.vtep, plain.order) == plain.order
        if plain.fixed or plain.vni != vni or not agreed:
            return []
    ranked.sort(key=_location_order if len(orders) == len(ranked) else _order)
    return ranked


def judge_plain(ranked: list[Ranked], rib: Rib) -> tuple[RemoteMac, Verdicts]:
    """Return the row that follows from ranked routes, at least one, and the verdict of each route."""
    first, first_route = ranked[0]
    reason = _reason_alone(first_route)
    stale = first_is_stale = rib.is_stale(first_route)
    losers: list[Candidate] = []
    for plain, route in ranked[1:]:
        is_stale = rib.is_stale(route)
        if plain.via == first.via:
            why = "total-order"
            stale = stale and is_stale
        else:
            why = rule(first.order, plain.order)
            reason = why if reason == "only-path" else reason
        losers.append(candidate_of(route, plain.vni, "lost", why, plain.notes, stale=is_stale))
    row = _row(first, first_route, reason, stale=stale)
    if first_route.ip is not None or stale != first_is_stale:
        return row, (candidate_of(first_route, first.vni, "won", reason, first.notes, stale=first_is_stale), *losers)
    return row, (row, *losers) if losers else row


def _may_be_remote(mac: Mac, policy: Policy) -> bool:
    return mac.is_usable and mac not in policy.own_macs


def _reason_alone(route: MacIp) -> str:
    return "gateway" if route.attributes.gateway else "only-path"


def _row(plain: Plain, route: MacIp, reason: str, *, stale: bool) -> RemoteMac:
    notes = (*plain.notes, "stale") if stale else plain.notes
    return RemoteMac(
        plain.vni,
        route.mac,
        plain.via,
        reason,
        route.attributes.seq,
        plain.fixed,
        stale,
        route.peer,
        route.rd,
        None,
        notes,
    )


def _plain(route: MacIp, policy: Policy) -> Plain | None:
    """Return what the route means, from memory as in `imports.verdicts`; None if it is not plain."""
    if route.esi != NO_SEGMENT:
        return None
    attributes = route.attributes
    question = (id(attributes), route.label, route.tag)
    known = policy.plain.get(question)
    if known is None:
        known = (attributes, _plain_meaning(route, attributes, policy))
        policy.plain.put(question, known)
    plain: Plain | None = known[1]
    return plain


def _plain_meaning(route: MacIp, attributes: Attributes, policy: Policy) -> Plain | None:
    verdict, *more = verdicts(route, policy)
    if more or verdict.refusal or verdict.via.vni is not None:
        return None
    fixed = attributes.sticky or attributes.gateway
    order = Order(attributes.llgr_stale, not fixed, -attributes.seq, attributes.next_hop.order)
    return Plain(verdict.vni, verdict.via, verdict.notes, fixed, order)


def _location_order(ranked: Ranked) -> Order:
    return ranked[0].order


def _order(ranked: Ranked) -> tuple[object, ...]:
    return ranked[0].order, route_order(ranked[1])
