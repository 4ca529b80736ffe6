"""Behind which VTEPs a remote Ethernet segment is.

A member is a VTEP whose Type-1 per-ES route says that the segment is up there (RFC 7432 8.2.1), and which either
announces the MAC itself or has a Type-1 per-EVI route for the VNI (aliasing, RFC 7432 8.4). A segment in single-active
mode is reached only through who announces the MAC. Knows no rows.
"""

from collections.abc import Iterable
from typing import Final

from vtep.addr import MAX_ESI, NO_SEGMENT, Esi, Ip
from vtep.config import VniConfig
from vtep.projection.policy import Policy
from vtep.rib import Rib
from vtep.routes.ead import EthernetAd

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


def _is_imported(ad: EthernetAd, policy: Policy, vni: VniConfig) -> bool:
    attributes = ad.attributes
    return not policy.refused_next_hop(attributes.next_hop) and vni.vni in policy.imports(attributes.targets)
