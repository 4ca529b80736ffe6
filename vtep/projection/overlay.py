"""Where a Type-5 route leads that names an Ethernet segment (its overlay index, RFC 9136 3.2 and 4.3).

The prefix is behind a machine on the segment, so packets go to the VTEPs that have the segment: those with a Type-1 route per EVI
for the VRF, whose Type-1 route per segment says that the segment is up there (RFC 7432 8.2.1 and 8.4). When the segment goes down at
a VTEP, its path leaves with the one route that the VTEP withdraws.

    routes of the segment                      mode             Type-5 route by   paths
    up at 1 and 2, per EVI by 1 and 2          all-active       1                 1 and 2
    up at 1 and 2, per EVI by 1 and 2          single-active    1                 1
    up at 2, per EVI by 1 and 2                single-active    1                 2: the backup
    up at 1, per EVI by none                   any              1                 none: `segment-unresolved`

The tag of the Type-1 routes per EVI is that of the Type-5 route, and their label the L3VNI of the VRF, or zero, as FRR reflects it.
Packets go to the Router's MAC of the Type-1 route, if it has one (of several the lowest), and otherwise to that of the Type-5 route, as RFC 9136 4.3 has it.

Knows no prefix and no row.
"""

from itertools import islice
from typing import Final, NamedTuple

from vtep.addr import Esi, Ip, Mac
from vtep.config.model import VrfConfig
from vtep.evpn.attributes import ENCAP_VXLAN, Attributes
from vtep.evpn.ead import PER_ES_TAG
from vtep.evpn.rib import Rib
from vtep.projection.alias import MEMBERS_MAX
from vtep.projection.policy import Policy
from vtep.projection.segment import SegmentRoutes, sharing

ROUTES_MAX: Final = 64
"""Routes of each kind that are read of a segment, the oldest."""


class Behind(NamedTuple):
    """A VTEP that has the segment."""

    vtep: Ip
    router_mac: Mac | None
    """Of its Type-1 route; None if that has none."""


def behind_segment(rib: Rib, policy: Policy, vrf: VrfConfig, esi: Esi, tag: int, primary: Ip) -> tuple[Behind, ...]:
    """Return the VTEPs by which packets of a VRF reach a segment; `primary` is the next hop of the Type-5 route."""
    evis: dict[Ip, Mac | None] = {}
    for ad in islice(rib.index.ads_at(esi, tag, vrf.vni), ROUTES_MAX):
        if _counts(ad.attributes, policy, vrf):
            known, mac = evis.get(ad.attributes.next_hop), ad.attributes.router_mac
            evis[ad.attributes.next_hop] = known if mac is None else mac if known is None else min(known, mac)
    there = [ad.attributes for ad in islice(rib.index.ads_at(esi, PER_ES_TAG, 0), ROUTES_MAX)]
    there = [said for said in there if _counts(said, policy, vrf)]
    is_single = any(said.single_active for said in there)
    # A VTEP needs both kinds of routes, also the one that advertises the prefix.
    up = frozenset(said.next_hop for said in there if said.next_hop in evis)
    found = SegmentRoutes(is_single, up, up)
    vteps, _ = sharing(found, (), primary if is_single else None)
    return tuple(Behind(vtep, evis[vtep]) for vtep in vteps[:MEMBERS_MAX])


def _counts(said: Attributes, policy: Policy, vrf: VrfConfig) -> bool:
    """Tell whether a VRF imports a Type-1 route and can send packets to its next hop by VXLAN."""
    return (
        vrf in policy.vrf_imports(said.targets)
        and (not said.encapsulations or ENCAP_VXLAN in said.encapsulations)
        and not policy.refused_next_hop(said.next_hop)
        and vrf.reaches(said.next_hop)
    )
