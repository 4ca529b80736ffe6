"""Which location wins a MAC: one total order, and the name of the rule that decided.

    location   a VTEP, or an Ethernet segment with all its VTEPs, or this leaf; a MAC moves when its location changes
    1 stale    a location that only LLGR-stale routes offer loses (RFC 9494 4.3, unverified)
    2 fixed    a sticky MAC cannot move (RFC 7432 7.7, 15.2), so it wins whatever the sequence; so does a default gateway,
               as with FRR, because RFC 7432 10.1 gives it no rank
    3 seq      the higher MAC Mobility sequence number wins, and absent is 0 (RFC 7432 15). Numbers are compared as plain
               unsigned 32 bits, as with FRR: that section wants wraparound handled, and does not say how
    4 vtep     the lower VTEP address wins (RFC 7432 15), as a number, IPv4 before IPv6
    5 total    a fixed order over what is left, so that the order of arrival never matters

Between the VTEPs of one segment of ours whose port does not forward, a VTEP that learned the station comes before a proxy
(`non-proxy`, as with FRR). No location wins by that.

LOCAL_PREF, the AS path and the rest of BGP's decision process never decide a MAC. There is no memory: a lower sequence wins
as soon as the higher one is gone.

Example: four locations offer one MAC in one VNI.

    VTEP         sequence   sticky   verdict
    10.0.0.4     0          yes      won, `sticky`
    10.0.0.3     7                   lost, `sticky`
    10.0.0.1     7                   lost, `sticky`
    10.0.0.2     6                   lost, `sticky`

Each loser has the rule by which it lost to the winner, and not the one that orders it among the losers. Without
10.0.0.4 the winner is 10.0.0.1: 10.0.0.3 then lost by `lower-vtep`, and 10.0.0.2 by `higher-seq`. The winner has the
reason of its nearest rival.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from vtep.addr import Esi, Ip, Vni
from vtep.evpn.advertise import HOST_PROXY
from vtep.evpn.offers import Path
from vtep.evpn.station import LocalClaim
from vtep.intent import Direct, Group, Via

ALL_ACTIVE: Final = "all-active"
SINGLE_ACTIVE: Final = "single-active"


class Order(NamedTuple):
    """What decides between locations, in the order in which it counts; the lowest wins."""

    llgr_stale: bool
    movable: bool
    """Neither sticky nor a default gateway. False sorts first, so what cannot move wins."""
    falling_seq: int
    """The sequence number, negated, because the highest one wins."""
    vtep: tuple[int, bytes]
    """The length of the address, then its octets: `Ip.order`."""
    segment: bytes = b""
    """Empty for a single VTEP, which therefore wins against a segment with the same lowest VTEP."""
    encapsulation: int = 0


class Location:
    """Where a MAC may be, with the routes that offer it, or with our own station. Exists only while one MAC is judged."""

    def __init__(
        self,
        routes: list[Path],
        vtep: Ip,
        segment: Esi | None,
        encapsulation: Vni | None,
        multihomed: bool,
        learned: bool = False,
        local_claim: LocalClaim | None = None,
        group: str = "",
    ) -> None:
        self.vtep = vtep
        """Where frames go: the VTEP itself, or the lowest one of the segment. A group is ranked by it."""
        self.segment = segment
        """The Ethernet segment that the routes name; None if they name none, and for a station of ours."""
        self.encapsulation = encapsulation
        """The VNI in the VXLAN header, if it is not the one in which the MAC is looked up (downstream VNI), or None."""
        self.multihomed = multihomed
        """The segment has more than one VTEP."""
        self.group = group
        """How the VTEPs of the segment share the frames: all-active or single-active. Empty where one VTEP gets them."""
        self.learned = learned
        """The VTEP learned the station, and was preferred to a proxy."""
        self.local_claim = local_claim
        """Our station, if the location is this leaf. It is ranked by the route that we advertise, as other leaves rank it."""
        self.routes = sorted(routes, key=route_order) if len(routes) > 1 else routes
        self.llgr_stale = self.sticky = self.gateway = False
        self.seq = 0
        if self.routes:
            first = self.routes[0].attributes
            self.llgr_stale, self.sticky, self.gateway, self.seq = (
                first.llgr_stale,
                first.sticky,
                first.gateway,
                first.seq,
            )
        for route in self.routes[1:]:
            attributes = route.attributes
            if attributes.llgr_stale == self.llgr_stale:
                self.sticky |= attributes.sticky
                self.gateway |= attributes.gateway
                self.seq = max(self.seq, attributes.seq)
        if local_claim is not None:
            self.sticky, self.gateway, self.seq = (
                local_claim.station.static,
                local_claim.station.gateway,
                local_claim.seq,
            )
        movable = not (self.sticky or self.gateway)
        self.order = Order(self.llgr_stale, movable, -self.seq, (len(vtep), vtep), segment or b"", encapsulation or 0)

    @property
    def fixed(self) -> bool:
        return self.sticky or self.gateway

    @property
    def name(self) -> bytes:
        """Return what must change for the MAC to have moved: the segment, or the VTEP."""
        return self.segment or self.vtep

    @property
    def places(self) -> set[bytes]:
        """What may be said of where this location is: the VTEPs that offer the MAC, and their segment."""
        vteps: set[bytes] = {self.vtep, *(route.attributes.next_hop for route in self.routes)}
        return vteps if self.segment is None else {*vteps, self.segment}

    @property
    def via(self) -> Via:
        if not self.group or self.segment is None:
            return Direct(self.vtep, self.encapsulation)
        return Group(self.segment, self.advertisers[0] if self.group == SINGLE_ACTIVE else None)

    @property
    def advertisers(self) -> tuple[Ip, ...]:
        """The VTEPs whose routes offer the MAC, the best route first."""
        return tuple(dict.fromkeys(route.attributes.next_hop for route in self.routes))


def here(local_claim: LocalClaim, vtep: Ip) -> Location:
    """Return this leaf as a location, under the address by which other leaves know it."""
    return Location([], vtep, None, None, multihomed=False, local_claim=local_claim)


def choose(locations: Sequence[Location]) -> tuple[Location, str, list[tuple[Location, str]]]:
    """Return the winner, why it won, and each loser with the rule by which it lost to the winner."""
    winner, *losers = sorted(locations, key=_by_order) if len(locations) > 1 else locations
    if not losers:
        return winner, _reason_alone(winner), []
    lost = [(loser, rule(winner.order, loser.order, sticky=winner.sticky)) for loser in losers]
    return winner, lost[0][1], lost


def _by_order(location: Location) -> Order:
    return location.order


def rule(winner: Order, loser: Order, *, sticky: bool = False) -> str:
    """Return the name of the rule by which one location loses to another; `sticky` says that the winner is sticky."""
    if winner.llgr_stale != loser.llgr_stale:
        return "llgr-stale"
    if winner.movable != loser.movable:
        return "sticky" if sticky else "gateway"
    if winner.falling_seq != loser.falling_seq:
        return "higher-seq"
    if winner.vtep != loser.vtep:
        return "lower-vtep"
    return "total-order"


def _reason_alone(winner: Location) -> str:
    if winner.gateway:
        return "gateway"
    if winner.learned:
        return "non-proxy"
    return "same-es" if winner.multihomed else "only-path"


def route_order(route: Path) -> tuple[object, ...]:
    """Return the sort key that puts first the route which stands for its location."""
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
