"""The VTEPs behind which a remote Ethernet segment is.

A member is a VTEP whose Type-1 route per segment says that the segment is up there (RFC 7432 8.2.1), and that either
advertises the MAC itself or has a Type-1 route per EVI for the VNI (aliasing, RFC 7432 8.4). In single-active mode, a segment
is reached only through a VTEP that advertises the MAC. What a port of our own on a segment means is decided in `mac.py`.
This module does not know any row.
"""

from collections.abc import Sequence
from typing import NamedTuple

from vtep.addr import MAX_ESI, NO_SEGMENT, Esi, Ip
from vtep.config.model import VniConfig
from vtep.evpn.attributes import HOST_PROXY
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.offers import Path
from vtep.evpn.rib import Rib
from vtep.projection.policy import Policy


def is_segment(esi: Esi) -> bool:
    """Return whether this is a real segment; zero and the reserved all-ones value are not (RFC 7432 9.2.2)."""
    return esi not in (NO_SEGMENT, MAX_ESI)


class Reach(NamedTuple):
    """What a row can depend on of the VTEPs through which a MAC of a segment can be reached."""

    lowest: Ip | None
    """None if there is no VTEP."""
    multihomed: bool
    """There are several VTEPs."""
    vteps: frozenset[Ip]
    """All of them if the segment is one of ours, otherwise none."""


def reach(rib: Rib, policy: Policy, vni: VniConfig, esi: Esi, advertisers: frozenset[Ip]) -> Reach:
    """Return how a MAC of this segment can be reached that these VTEPs advertise.

    The index remembers the answer. A Type-1 route after which it is the same concerns no MAC, however many there are.
    """

    def work_out() -> Reach:
        vteps = members(rib, policy, vni, esi, advertisers)
        lowest = min(vteps, key=lambda vtep: vtep.order, default=None)
        return Reach(lowest, len(vteps) > 1, vteps if esi in policy.segments else frozenset())

    return rib.index.conclude(policy, esi, (vni.tag, vni.vni), (vni.vni, advertisers), work_out)


def members(rib: Rib, policy: Policy, vni: VniConfig, esi: Esi, advertisers: frozenset[Ip]) -> frozenset[Ip]:
    """Return the VTEPs through which a MAC of this segment can be reached."""
    per_segment = [ad for ad in rib.index.ads_at(esi, PER_ES_TAG, 0) if _is_imported(ad, policy, vni)]
    up = {ad.attributes.next_hop for ad in per_segment}
    if any(ad.attributes.single_active for ad in per_segment):
        return advertisers & up
    per_evi = rib.index.ads_at(esi, vni.tag, vni.vni)
    aliases = {ad.attributes.next_hop for ad in per_evi if _is_imported(ad, policy, vni)}
    return frozenset(up & (advertisers | aliases))


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
