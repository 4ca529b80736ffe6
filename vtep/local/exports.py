"""What this leaf announces, from its intent and its configuration. Pure.

Knows which route and which attributes a station of ours means: a VNI's Route Distinguisher, its Route Targets, its VTEP. Does
not know how a station was found, nor who is told.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from vtep.addr import Vni
from vtep.config.model import Config, VniConfig
from vtep.errors import Problem
from vtep.feed.exabgp.advertise import (
    DEFAULT_GATEWAY,
    VXLAN,
    Announcement,
    Community,
    MacAdvertisement,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    Route,
    mobility,
)
from vtep.intent import Intent, OwnKey, OwnMac

_HINT_OFF: Final = "or set announce = false"


class Exports:
    """How the VNIs of one configuration announce what is theirs."""

    def __init__(self, config: Config) -> None:
        wanted = [(place, vni) for place, vni in enumerate(config.vnis) if vni.is_bound and vni.announce]
        missing = {place: tuple(_missing(place, vni)) for place, vni in wanted}
        self._vnis = {vni.vni: vni for place, vni in wanted if not missing[place]}
        self._communities = {vni: _communities(of) for vni, of in self._vnis.items()}
        self.left_out: tuple[Problem, ...] = tuple(problem for problems in missing.values() for problem in problems)
        """Why VNIs that should announce what is local announce nothing."""

    @property
    def vnis(self) -> frozenset[Vni]:
        """VNIs that have all that they need to announce what is local."""
        return frozenset(self._vnis)

    def everything(self, intent: Intent) -> dict[Route, Announcement]:
        """Return everything that an intent announces."""
        made = [*map(self._multicast, intent.announcing), *(self._mac(own) for _, own in intent.own.unordered())]
        return {one.route: one for one in made if one is not None}

    def changes(self, before: Intent, intent: Intent) -> Mapping[Route, Announcement | None]:
        """Return what is announced otherwise than by the intent just before; nothing stands for a withdrawal."""
        changes: dict[Route, Announcement | None] = {}
        # Floods first: frames to a station that is announced have somewhere to be answered from.
        for vni in intent.announcing ^ before.announcing:
            floods = self._multicast(vni)
            if floods is not None:
                changes[floods.route] = floods if vni in intent.announcing else None
        for key in intent.own_touched:
            route = self._route(key)
            if route is not None:
                own = intent.own.get(key)
                changes[route] = None if own is None else self._mac(own)
        return changes

    def _multicast(self, vni: Vni) -> Multicast | None:
        of = self._vnis.get(vni)
        if of is None or of.rd is None:
            return None
        route = MulticastRoute(of.rd, of.vtep, of.tag)
        return Multicast(route, of.vtep, Pmsi(vni, of.vtep), self._communities[vni])

    def _route(self, key: OwnKey) -> MacRoute | None:
        vni, mac, ip = key
        of = self._vnis.get(vni)
        return None if of is None or of.rd is None else MacRoute(of.rd, mac, ip, of.tag)

    def _mac(self, own: OwnMac) -> MacAdvertisement | None:
        route = self._route(own.key)
        if route is None:
            return None
        communities = (*self._communities[own.vni], *_about(own))
        return MacAdvertisement(route, self._vnis[own.vni].vtep, own.vni, communities=communities)


def _missing(place: int, vni: VniConfig) -> Iterator[Problem]:
    """Yield what a VNI needs to announce, and its configuration does not have."""
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


def _communities(vni: VniConfig) -> tuple[Community, ...]:
    """The attributes of all that a VNI announces; a Site-of-Origin is for the leaves that refuse it (RFC 4364 7)."""
    site = () if vni.site is None else (Community(vni.site),)
    return (*map(Community, vni.exports), VXLAN, *site)


def _about(own: OwnMac) -> tuple[Community, ...]:
    """A first sequence is told by no community at all (RFC 7432 7.7)."""
    if own.gateway:
        return (DEFAULT_GATEWAY,)
    return (mobility(own.seq, sticky=own.sticky),) if own.seq or own.sticky else ()
