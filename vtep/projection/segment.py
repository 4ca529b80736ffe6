"""The VTEPs behind which a remote Ethernet segment is.

A member is a VTEP whose Type-1 route per segment says that the segment is up there (RFC 7432 8.2.1), and that either
advertises the MAC itself or has a Type-1 route per EVI for the VNI (aliasing, RFC 7432 8.4). In single-active mode, a segment
is reached only through a VTEP that advertises the MAC. What a port of our own on a segment means is decided in `mac.py`.
This module does not know any row.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from vtep.addr import MAX_ESI, NO_SEGMENT, Esi, Ip
from vtep.config.model import VniConfig
from vtep.evpn.attributes import HOST_PROXY
from vtep.evpn.ead import EthernetAd
from vtep.evpn.offers import Path
from vtep.evpn.rib import Rib
from vtep.projection.policy import Policy

PER_ES_TAG: Final = 0xFFFF_FFFF


def is_segment(esi: Esi) -> bool:
    """Return whether this is a real segment; zero and the reserved all-ones value are not (RFC 7432 9.2.2)."""
    return esi not in (NO_SEGMENT, MAX_ESI)


def members(rib: Rib, policy: Policy, vni: VniConfig, esi: Esi, advertisers: Iterable[Ip]) -> frozenset[Ip]:
    """Return the VTEPs through which a MAC of this segment can be reached."""
    ads = [ad for ad in rib.index.ads_of(esi) if _is_imported(ad, policy, vni)]
    up = {ad.attributes.next_hop for ad in ads if ad.tag == PER_ES_TAG}
    single_active = any(ad.attributes.single_active for ad in ads if ad.tag == PER_ES_TAG)
    aliases = {ad.attributes.next_hop for ad in ads if ad.tag == vni.tag and ad.label == vni.vni}
    reachable = set(advertisers) if single_active else set(advertisers) | aliases
    return frozenset(up & reachable)


def learned_at(routes: Sequence[Path]) -> frozenset[Ip]:
    """Return the VTEPs that learned the station, if others at its sequence are only proxies for it; otherwise none.

    FRR does the same for routes on a segment of its own.
    """
    best = min((_rank(route) for route in routes), default=None)
    among = [route for route in routes if _rank(route) == best]
    learned = frozenset(route.attributes.next_hop for route in among if not is_proxy(route))
    return learned if any(route.attributes.next_hop not in learned for route in among) else frozenset()


def is_proxy(route: Path) -> bool:
    """Return whether the VTEP advertises the MAC for another VTEP of its segment that learned it."""
    return bool(route.attributes.host_flags & HOST_PROXY)


def _rank(route: Path) -> tuple[bool, bool, int]:
    attributes = route.attributes
    return attributes.llgr_stale, not (attributes.sticky or attributes.gateway), -attributes.seq


def _is_imported(ad: EthernetAd, policy: Policy, vni: VniConfig) -> bool:
    attributes = ad.attributes
    return (
        vni.reaches(attributes.next_hop)
        and not policy.refused_next_hop(attributes.next_hop)
        and vni.vni in policy.imports(attributes.targets)
    )
