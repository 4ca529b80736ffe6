"""Which place wins a MAC: one total order, and the name of the rule that decided.

    place      a VTEP, or an Ethernet segment with all its VTEPs, or this leaf: moving means changing the place
    1 stale    a place that only LLGR-stale routes vouch for loses (RFC 9494 4.3, unverified)
    2 fixed    a sticky MAC cannot move (RFC 7432 7.7, 15.2), so it wins whatever the sequence; and so does a default
               gateway, as with FRR: RFC 7432 10.1 gives it no rank
    3 seq      the higher mobility sequence wins, absent is 0 (RFC 7432 15); plain unsigned 32 bits, as with FRR: that
               section wants wraparound handled, and does not say how
    4 vtep     the lower VTEP address wins (RFC 7432 15), as a number, IPv4 before IPv6
    5 total    a fixed order over what is left, so that arrival never matters

Within a segment of ours whose port does not forward, a VTEP that heard the station comes before one that stands in for
it (`non-proxy`, as with FRR); that is between the VTEPs of one place, and no place wins by it.

LOCAL_PREF, AS path and the rest of BGP's ladder never decide a MAC. No memory: a lower sequence wins once the higher
is gone.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from vtep.addr import Esi, Ip, Vni
from vtep.evpn.attributes import HOST_PROXY
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.station import LocalClaim
from vtep.intent import Direct


class Order(NamedTuple):
    """What counts of a place, in the order in which it counts; the lowest wins."""

    llgr_stale: bool
    movable: bool
    falling_seq: int
    vtep: tuple[int, bytes]
    segment: bytes = b""
    encapsulation: int = 0


class Location:
    """Where a MAC may be, with the routes that say so, or the station. Lives only while one MAC is judged."""

    def __init__(
        self,
        routes: list[MacIp],
        vtep: Ip,
        segment: Esi | None,
        encapsulation: Vni | None,
        spread: bool,
        heard: bool = False,
        local_claim: LocalClaim | None = None,
    ) -> None:
        self.vtep = vtep
        """Where frames go: the VTEP itself, or the lowest of the segment's."""
        self.segment = segment
        self.encapsulation = encapsulation
        self.spread = spread
        """The segment has more than one VTEP."""
        self.heard = heard
        """The VTEP heard the station, and was taken before one that only stands in for it."""
        self.local_claim = local_claim
        """The station, where the place is this leaf: its route is our own, and is ranked as the others rank it."""
        self.routes = sorted(routes, key=route_order)
        self.llgr_stale = bool(self.routes) and self.routes[0].attributes.llgr_stale
        best = [route.attributes for route in self.routes if route.attributes.llgr_stale == self.llgr_stale]
        self.sticky = any(attributes.sticky for attributes in best)
        self.gateway = any(attributes.gateway for attributes in best)
        self.seq = max((attributes.seq for attributes in best), default=0)
        if local_claim is not None:
            self.sticky, self.gateway, self.seq = (
                local_claim.station.static,
                local_claim.station.gateway,
                local_claim.seq,
            )

    @property
    def fixed(self) -> bool:
        return self.sticky or self.gateway

    @property
    def name(self) -> bytes:
        """Where it is, as far as moving is concerned."""
        return self.segment or self.vtep

    @property
    def via(self) -> Direct:
        return Direct(self.vtep, self.encapsulation)

    @cached_property
    def order(self) -> Order:
        return Order(
            self.llgr_stale,
            not self.fixed,
            -self.seq,
            self.vtep.order,
            self.segment or b"",
            self.encapsulation or 0,
        )


def here(local_claim: LocalClaim, vtep: Ip) -> Location:
    """Return this leaf as a place, under the address that the others will know it by."""
    return Location([], vtep, None, None, spread=False, local_claim=local_claim)


def choose(locations: Iterable[Location]) -> tuple[Location, str, list[tuple[Location, str]]]:
    """Return the winner, why it won, and each loser with the rule by which it lost to the winner."""
    winner, *losers = sorted(locations, key=lambda location: location.order)
    told = [(loser, rule(winner.order, loser.order, sticky=winner.sticky)) for loser in losers]
    return winner, told[0][1] if told else _alone(winner), told


def rule(winner: Order, loser: Order, *, sticky: bool = False) -> str:
    """Return the name of the rule by which one place loses to another, which may be a sticky MAC's."""
    if winner.llgr_stale != loser.llgr_stale:
        return "llgr-stale"
    if winner.movable != loser.movable:
        return "sticky" if sticky else "gateway"
    if winner.falling_seq != loser.falling_seq:
        return "higher-seq"
    if winner.vtep != loser.vtep:
        return "lower-vtep"
    return "total-order"


def _alone(winner: Location) -> str:
    if winner.gateway:
        return "gateway"
    if winner.heard:
        return "non-proxy"
    return "same-es" if winner.spread else "only-path"


def route_order(route: MacIp) -> tuple[object, ...]:
    """Sort the route that speaks for its place first."""
    attributes = route.attributes
    return (
        attributes.llgr_stale,
        not (attributes.sticky or attributes.gateway),
        -attributes.seq,
        bool(attributes.host_flags & HOST_PROXY),
        attributes.next_hop.order,
        route.rd,
        route.esi,
        route.tag,
        route.ip or b"",
        route.label,
        route.peer.order,
    )
