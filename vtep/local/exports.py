"""Turns stations, ready VNIs and ready VRFs into the routes that this leaf advertises (RFC 7432 7.2, 7.3; RFC 8365 5.1). Pure.

    the VNI may advertise         one Type-3 route: this VTEP wants floods of the VNI (ingress replication, RFC 6514 5)
    a row of `Intent.own`         one Type-2 route: the MAC alone, or with one of its addresses
    a segment of ours             one Type-4 route, Type-1 routes for the segment and for each of its VNIs (RFC 7432 8.1, 8.2, 8.4)
    the VRF is ready              one Type-5 route for each prefix that this leaf reaches by itself (RFC 9136 3.1)

A host address in a VRF that is ready is advertised with the L3VNI as a second label (RFC 9135 4.1).

Which stations are advertised was decided before, by the projection: `Intent.own` has what won against every remote route.
Here a row only becomes octets, so the same intent and configuration always give the same routes. The difference of two
intents gives a few changes (`changes`); after a reload, everything is made again and compared with what was wanted (`everything`).
A Type-3 route comes before the Type-2 routes of its VNI, because other leaves answer a new station with floods.

A VNI gives its Route Distinguisher, Route Targets, VTEP and Site-of-Origin; a station its MAC, host addresses and sequence.
A VNI that lacks one of these advertises nothing, and says what is missing. This module does not know how a station was
learned, or who receives the route.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final

from msgspec import Struct

from vtep.addr import Mac, Prefix, RouteDistinguisher, Vni
from vtep.config.model import Config, SegmentConfig, VniConfig, VrfConfig
from vtep.errors import Problem
from vtep.evpn.advertise import (
    DEFAULT_GATEWAY,
    PROXY,
    VXLAN,
    Announcement,
    Community,
    EadAdvertisement,
    EadRoute,
    MacAdvertisement,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    PrefixAdvertisement,
    PrefixRoute,
    Route,
    SegmentAdvertisement,
    SegmentRoute,
    election,
    es_import,
    esi_label,
    mobility,
    router_mac,
)
from vtep.evpn.ead import PER_ES_TAG
from vtep.intent import Intent, OwnKey, OwnMac, OwnSegment
from vtep.projection.forwarder import requested
from vtep.store.sharded import ShardedDict

TARGETS_AT_ONCE: Final = 128
"""Route Targets in one Type-1 route for a segment. More VNIs are in further routes, each with an RD of its own (RFC 7432 8.2.1)."""
_HINT_OFF: Final = "or set announce = false"


class LocalRouter(Struct, frozen=True):
    """This leaf as a router of a VRF that is ready."""

    mac: Mac
    """The MAC of its SVI. Other leaves use it as the inner destination of routed packets (RFC 9135 8.1)."""
    prefixes: AbstractSet[Prefix] = frozenset()
    """What it reaches by itself; of a table that was read a `PartedSet`."""


class Exports:
    """The routes that the VNIs and VRFs of one configuration advertise."""

    def __init__(self, config: Config) -> None:
        """Sort out which VNIs and VRFs can advertise; `left_out` says what the others lack.

        A VNI needs a Route Distinguisher and a Route Target. Of two VNIs with one RD and one Ethernet tag, the
        first in the file advertises: their routes would have the same key, and the later one would replace the
        other at every peer.
        """
        wanted = [(place, vni) for place, vni in enumerate(config.vnis) if vni.is_bound and vni.announce]
        first = {_route_space(vni): vni.vni for _, vni in reversed(wanted)}
        missing = {place: (*_missing(place, vni), *_shared(place, vni, first)) for place, vni in wanted}
        self._vnis = {vni.vni: vni for place, vni in wanted if not missing[place]}
        self._communities = {vni: _communities(of) for vni, of in self._vnis.items()}
        self._segments = {one.esi: one for one in config.segments}
        self._vrfs = {vrf.vni: vrf for vrf in config.vrfs if vrf.rd is not None and vrf.exports}
        by_name = {vrf.name: vrf for vrf in self._vrfs.values()}
        self._vrf_of = {vni: by_name[of.vrf] for vni, of in self._vnis.items() if of.vrf in by_name}
        self.routers: Mapping[Vni, LocalRouter] = {}
        """By L3VNI: the VRFs that are ready."""
        self.compared: dict[Vni, ShardedDict[Prefix, None]] = {}
        """What is advertised of what they reach, as far as the two were compared (`prefix_changes`)."""
        used = {of.vrf for of in self._vnis.values()}
        self.left_out: tuple[Problem, ...] = (
            *(problem for problems in missing.values() for problem in problems),
            *(
                problem
                for place, vrf in enumerate(config.vrfs)
                if vrf.redistribute or vrf.default_originate or vrf.anycast or vrf.name in used
                for problem in _missing_of_vrf(place, vrf)
            ),
        )
        """Why VNIs and VRFs that should advertise what is local advertise nothing."""

    @property
    def vnis(self) -> frozenset[Vni]:
        """Return the VNIs that have everything they need to advertise what is local."""
        return frozenset(self._vnis)

    @property
    def is_needed(self) -> bool:
        """Whether there is anything that could be advertised."""
        return bool(self._vnis or self._vrfs)

    def prefixes(self) -> dict[Route, Announcement]:
        """Return the routes to what is advertised in each VRF."""
        made = (self._prefix(vni, prefix) for vni in self.routers for prefix in self.compared.get(vni, ()))
        return {one.route: one for one in made if one is not None}

    def learn_routers(self, routers: Mapping[Vni, LocalRouter]) -> None:
        """Take the VRFs that are ready. Of one that is not, nothing is advertised from now on."""
        self.routers = routers
        self.compared = {vni: self.compared.get(vni, ShardedDict()) for vni in routers}

    def prefix_changes(self) -> Iterator[dict[Route, Announcement | None]]:
        """Compare what is advertised with what the VRFs reach, in parts; yield what is different in each part.

        A part takes about a millisecond. The caller may stop between two parts and begin again.
        """
        for vni, router in self.routers.items():
            advertised, wanted = self.compared[vni], router.prefixes
            for part in (part for shard in advertised.shards for part in _in_parts(tuple(shard))):
                gone = [prefix for prefix in part if prefix not in wanted]
                for prefix in gone:
                    del advertised[prefix]
                made = ((prefix, self._prefix(vni, prefix)) for prefix in gone)
                yield {one.route: None for _, one in made if one is not None}
            for part in _in_parts(wanted):
                new = [prefix for prefix in part if prefix not in advertised]
                advertised.update(dict.fromkeys(new))
                made = ((prefix, self._prefix(vni, prefix)) for prefix in new)
                yield {one.route: one for _, one in made if one is not None}

    def _prefix(self, vni: Vni, prefix: Prefix) -> PrefixAdvertisement | None:
        """Return the Type-5 route of a prefix; None if the VRF is no longer configured, or lacks an RD.

        It names no gateway and no segment: the next hop and the Router's MAC are all that a remote leaf needs (RFC
        9136 4.4.1).
        """
        vrf = self._vrfs.get(vni)
        if vrf is None or vrf.rd is None:
            return None
        communities = (*map(Community, vrf.exports), VXLAN, router_mac(self.routers[vni].mac))
        return PrefixAdvertisement(PrefixRoute(vrf.rd, prefix), vrf.vtep, vrf.vni, communities)

    def everything(self, intent: Intent) -> dict[Route, Announcement]:
        """Return every route that an intent advertises."""
        of_segments = {
            route: one for _, found in intent.own_segments.unordered() for route, one in self.segment(found).items()
        }
        made = [*map(self._multicast, intent.announcing), *(self._mac(own) for _, own in intent.own.unordered())]
        return self.prefixes() | of_segments | {one.route: one for one in made if one is not None}

    def changes(self, before: Intent, intent: Intent) -> Mapping[Route, Announcement | None]:
        """Return the routes that an intent advertises differently from the one before it; None is a withdrawal."""
        changes: dict[Route, Announcement | None] = {}
        # Segments first: one withdrawal then takes this leaf out of the way to all MACs of the segment (RFC 7432 8.2).
        for esi in intent.touched_segments if intent is not before else ():
            old, new = self.segment(before.own_segments.get(esi)), self.segment(intent.own_segments.get(esi))
            changes.update((route, None) for route in old if route not in new)
            changes.update({route: one for route, one in new.items() if old.get(route) != one})
        # Multicast routes first, so that remote leaves can flood answers to a station when they learn of it.
        for vni in intent.announcing ^ before.announcing:
            floods = self._multicast(vni)
            if floods is not None:
                changes[floods.route] = floods if vni in intent.announcing else None
        for key in intent.own_touched:
            route = self.route(key)
            if route is not None:
                own = intent.own.get(key)
                changes[route] = None if own is None else self._mac(own)
        return changes

    def segment(self, own: OwnSegment | None) -> dict[Route, Announcement]:
        """Return the routes of a segment: that this leaf is on it, as a whole and in each VNI, and is a candidate for forwarder."""
        config = None if own is None else self._segments.get(own.segment)
        vnis = [] if own is None else [of for vni in own.vnis if (of := self._vnis.get(vni)) is not None]
        if own is None or config is None or config.router is None or not vnis:
            return {}
        made: list[Announcement] = []
        targets = sorted({target for of in vnis for target in of.exports})
        label = esi_label(single_active=config.mode == "single-active")
        for place, first in enumerate(range(0, len(targets), TARGETS_AT_ONCE)):
            some = map(Community, targets[first : first + TARGETS_AT_ONCE])
            route = EadRoute(_segment_rd(config, place), config.esi, PER_ES_TAG)
            made.append(EadAdvertisement(route, config.vtep, None, (*some, VXLAN, label)))
        for of in vnis:
            if of.rd is not None:
                route = EadRoute(of.rd, config.esi, of.tag)
                made.append(EadAdvertisement(route, of.vtep, of.vni, self._communities[of.vni]))
        candidate = SegmentRoute(_segment_rd(config, 0), config.esi, config.vtep)
        made.append(SegmentAdvertisement(candidate, config.vtep, tuple(_about_segment(config))))
        return {one.route: one for one in made}

    def _multicast(self, vni: Vni) -> Multicast | None:
        """Return the Type-3 route of a VNI; None if the VNI lacks what it needs. Floods come to our VTEP as unicast
        copies."""
        of = self._vnis.get(vni)
        if of is None or of.rd is None:
            return None
        route = MulticastRoute(of.rd, of.vtep, of.tag)
        return Multicast(route, of.vtep, Pmsi(vni, of.vtep), self._communities[vni])

    def route(self, key: OwnKey) -> MacRoute | None:
        """Return which route a station, or one of its host addresses, is advertised as; none if its VNI advertises nothing."""
        vni, mac, ip = key
        of = self._vnis.get(vni)
        return None if of is None or of.rd is None else MacRoute(of.rd, mac, ip, of.tag)

    def _mac(self, own: OwnMac) -> MacAdvertisement | None:
        """Return the Type-2 route of a station, or of one of its host addresses.

        It has the L3VNI as its second label only if the VRF is ready: a route with a label that nothing answers
        would draw packets into the void. While the VRF is not ready, hosts are reached by bridging, as in a VNI
        without a VRF.
        """
        route = self.route(own.key)
        if route is None:
            return None
        communities = (*self._communities[own.vni], *_about(own))
        vrf = self._vrf_of.get(own.vni)
        router = None if vrf is None else self.routers.get(vrf.vni)
        # A link-local address means something within its segment only, and the gateway itself is no host behind a router.
        if vrf is None or router is None or own.ip is None or own.gateway or own.ip.is_v6_link_local:
            return MacAdvertisement(route, self._vnis[own.vni].vtep, own.vni, None, own.segment, communities)
        communities = (*communities, *map(Community, vrf.exports), router_mac(router.mac))
        return MacAdvertisement(route, self._vnis[own.vni].vtep, own.vni, vrf.vni, own.segment, communities)


PREFIXES_AT_ONCE: Final = 512
"""Prefixes that are compared together (measured: 1 to 3 us each, if all are new)."""


def _in_parts(prefixes: Iterable[Prefix]) -> Iterator[tuple[Prefix, ...]]:
    left = iter(prefixes)
    while part := tuple(islice(left, PREFIXES_AT_ONCE)):
        yield part


def _missing(place: int, vni: VniConfig) -> Iterator[Problem]:
    """Yield what a VNI needs to advertise and its configuration does not have."""
    if vni.rd is None:
        hint = (
            f'set rd = "ASN:{vni.vni}" (a VNI above 65535 does not fit behind a router id)'
            if vni.vni > 0xFFFF
            else f'set rd = "ADDRESS:{vni.vni}", or bgp.router_id to derive it'
        )
        yield Problem(f"vni[{place}].rd", f"VNI {vni.vni} announces nothing without one", f"{hint}, {_HINT_OFF}")
    if not vni.exports:
        what = f"VNI {vni.vni} announces nothing without one"
        yield Problem(f"vni[{place}].export_rt", what, f'set export_rt = ["ASN:{vni.vni}"], {_HINT_OFF}')


def _route_space(vni: VniConfig) -> tuple[RouteDistinguisher | None, int]:
    """Return what keeps the routes of a VNI apart from those of others: VNIs of one bundle differ in the tag alone."""
    return vni.rd, vni.tag


def _shared(
    place: int, vni: VniConfig, first: Mapping[tuple[RouteDistinguisher | None, int], Vni]
) -> Iterator[Problem]:
    """Yield that another VNI's routes would take the place of those of this one, because they have the same name."""
    other = first[_route_space(vni)]
    if vni.rd is not None and other != vni.vni:
        what = f"VNI {vni.vni} announces nothing, because VNI {other} has the same rd and tag"
        yield Problem(
            f"vni[{place}].tag", what, f"give each VNI of a bundle a tag of its own, such as its VLAN, {_HINT_OFF}"
        )


def _missing_of_vrf(place: int, vrf: VrfConfig) -> Iterator[Problem]:
    """Yield what a VRF needs to advertise prefixes, and hosts with its L3VNI, and its configuration does not have."""
    what = f"VRF {vrf.name} advertises nothing without one"
    if vrf.rd is None:
        yield Problem(f"vrf[{place}].rd", what, f'set rd = "ASN:{vrf.vni}" or "ADDRESS:NUMBER"')
    if not vrf.exports:
        yield Problem(f"vrf[{place}].export_rt", what, f'set export_rt = ["ASN:{vrf.vni}"]')


def _segment_rd(config: SegmentConfig, place: int) -> RouteDistinguisher:
    """Return an RD of type 1: an address of ours, and a number for each of several routes (RFC 7432 8.2.1)."""
    return RouteDistinguisher.parse(f"{config.router}:{1 + place}")


def _about_segment(config: SegmentConfig) -> Iterator[Community]:
    """Yield the communities of a Type-4 route. The default election has none, as GoBGP takes the community for an error."""
    yield es_import(config.esi)
    asked = requested(config)
    if asked.algorithm or asked.capabilities:
        preference = asked.preference if config.algorithm.endswith("preference") else 0
        yield election(asked.algorithm, asked.capabilities, preference)


def _communities(vni: VniConfig) -> tuple[Community, ...]:
    """Return the communities of every route of a VNI; leaves of the same site refuse its Site-of-Origin (RFC 4364 7)."""
    site = () if vni.site is None else (Community(vni.site),)
    return (*map(Community, vni.exports), VXLAN, *site)


def _about(own: OwnMac) -> tuple[Community, ...]:
    """Return the communities of one MAC; sequence 0 is advertised without the community (RFC 7432 7.7)."""
    if own.gateway:
        return (DEFAULT_GATEWAY,)
    proxy = (PROXY,) if own.proxy else ()
    return (mobility(own.seq, sticky=own.sticky), *proxy) if own.seq or own.sticky else proxy
