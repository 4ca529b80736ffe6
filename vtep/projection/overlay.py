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

from collections.abc import Mapping
from heapq import nsmallest
from typing import NamedTuple

from vtep.addr import Esi, Ip, Mac
from vtep.config.model import VrfConfig
from vtep.evpn.attributes import ENCAP_VXLAN, Attributes
from vtep.evpn.ead import PER_ES_TAG
from vtep.evpn.rib import Rib
from vtep.projection.alias import MEMBERS_MAX
from vtep.projection.policy import Policy
from vtep.projection.segment import SegmentRoutes, sharing


class Behind(NamedTuple):
    """A VTEP that has the segment."""

    vtep: Ip
    router_mac: Mac | None
    """Of its Type-1 route; None if that has none."""


class Overlay(NamedTuple):
    """What the Type-1 routes of a segment say for one VRF and tag, whatever prefix is behind it."""

    single_active: bool
    vteps: Mapping[Ip, Mac | None]
    """The VTEPs that have the segment for the VRF, each with its Router's MAC."""
    lowest: tuple[Ip, ...]
    """Those of them that packets are shared among."""

    def behind(self, primary: Ip) -> tuple[Behind, ...]:
        """Return the VTEPs by which packets reach the segment; `primary` is the next hop of the Type-5 route.

        However many there are, a few are looked at: another primary VTEP has a backup only if that is the only one.
        """
        there = frozenset((*self.lowest, primary) if primary in self.vteps else self.lowest)
        routes = SegmentRoutes(self.single_active, there, there)
        vteps, _ = sharing(routes, (), primary if self.single_active else None)
        return tuple(Behind(vtep, self.vteps[vtep]) for vtep in vteps[:MEMBERS_MAX])


def overlay(rib: Rib, policy: Policy, vrf: VrfConfig, esi: Esi, tag: int) -> Overlay:
    """Read the Type-1 routes of a segment that a VRF imports.

    All of them count, and what is kept is by VTEP. So one with very many Route Distinguishers is still one VTEP, and no order matters.
    """
    evis: dict[Ip, Mac | None] = {}
    for ad in rib.index.ads_at(esi, tag, vrf.vni):
        if _counts(ad.attributes, policy, vrf):
            known, mac = evis.get(ad.attributes.next_hop), ad.attributes.router_mac
            evis[ad.attributes.next_hop] = known if mac is None else mac if known is None else min(known, mac)
    up: dict[Ip, bool] = {}
    for ad in rib.index.ads_at(esi, PER_ES_TAG, 0):
        if _counts(said := ad.attributes, policy, vrf):
            up[said.next_hop] = up.get(said.next_hop, False) or said.single_active
    # A VTEP needs both kinds of routes, also the one that advertises the prefix.
    there = {vtep: mac for vtep, mac in evis.items() if vtep in up}
    return Overlay(any(up.values()), there, tuple(nsmallest(MEMBERS_MAX, there, key=lambda vtep: vtep.order)))


def _counts(said: Attributes, policy: Policy, vrf: VrfConfig) -> bool:
    """Tell whether a VRF imports a Type-1 route and can send packets to its next hop by VXLAN."""
    return (
        vrf in policy.vrf_imports(said.targets)
        and (not said.encapsulations or ENCAP_VXLAN in said.encapsulations)
        and not policy.refused_next_hop(said.next_hop)
        and vrf.reaches(said.next_hop)
    )
