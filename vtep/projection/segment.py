"""Behind which VTEPs a remote Ethernet segment is.

A member is a VTEP whose Type-1 per-ES route says that the segment is up there (RFC 7432 8.2.1), and which either
announces the MAC itself or has a Type-1 per-EVI route for the VNI (aliasing, RFC 7432 8.4). A segment in single-active
mode is reached only through who announces the MAC. What our own port on a segment means is decided in `macs`, by
`Policy.contested`. Knows no rows.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from vtep.addr import MAX_ESI, NO_SEGMENT, Esi, Ip
from vtep.config.model import VniConfig
from vtep.evpn.attributes import HOST_PROXY
from vtep.evpn.ead import EthernetAd
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.rib import Rib
from vtep.projection.policy import Policy

PER_ES_TAG: Final = 0xFFFF_FFFF


def is_segment(esi: Esi) -> bool:
    """Zero and the reserved all-ones stand for no segment (RFC 7432 9.2.2)."""
    return esi not in (NO_SEGMENT, MAX_ESI)


def members(rib: Rib, policy: Policy, vni: VniConfig, esi: Esi, announcers: Iterable[Ip]) -> frozenset[Ip]:
    """Return the VTEPs through which a MAC of this segment can be reached."""
    ads = [ad for ad in rib.index.ads_of(esi) if _is_imported(ad, policy, vni)]
    up = {ad.attributes.next_hop for ad in ads if ad.tag == PER_ES_TAG}
    single_active = any(ad.attributes.single_active for ad in ads if ad.tag == PER_ES_TAG)
    aliases = {ad.attributes.next_hop for ad in ads if ad.tag == vni.tag and ad.label == vni.vni}
    reachable = set(announcers) if single_active else set(announcers) | aliases
    return frozenset(up & reachable)


def received_at(routes: Sequence[MacIp]) -> frozenset[Ip]:
    """Return the VTEPs that heard the station, where others at the same sequence only stand in for them; else nobody.

    FRR asks this too, of routes on a segment of its own.
    """
    best = min((_rank(route) for route in routes), default=None)
    among = [route for route in routes if _rank(route) == best]
    heard = frozenset(route.attributes.next_hop for route in among if not is_proxy(route))
    return heard if any(route.attributes.next_hop not in heard for route in among) else frozenset()


def is_proxy(route: MacIp) -> bool:
    return bool(route.attributes.host_flags & HOST_PROXY)


def _rank(route: MacIp) -> tuple[bool, bool, int]:
    attributes = route.attributes
    return attributes.llgr_stale, not (attributes.sticky or attributes.gateway), -attributes.seq


def _is_imported(ad: EthernetAd, policy: Policy, vni: VniConfig) -> bool:
    attributes = ad.attributes
    return not policy.refused_next_hop(attributes.next_hop) and vni.vni in policy.imports(attributes.targets)
