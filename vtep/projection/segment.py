"""The VTEPs behind which a remote Ethernet segment is: the routes of a segment, read for the MACs on it and for its groups.

A member is a VTEP whose Type-1 route per segment says that the segment is up there (RFC 7432 8.2.1), and that either
advertises the MAC itself or has a Type-1 route per EVI for the VNI (aliasing, RFC 7432 8.4). In single-active mode, a segment
is reached through the VTEP that advertises the MAC, its primary, and when the segment goes down there, through the only other
VTEP of the segment (RFC 7432 14.1.1). If there are several others, none of them can be chosen, and there is no way until one
advertises the MAC; its frames are flooded meanwhile.

A MAC whose row names a group asks only whether there is a way at all, and in which mode (`way`). So a VTEP that joins or leaves
the segment changes the group (`alias.py`) and no MAC. What a port of our own on a segment means is decided in `mac.py`. This
module does not know any row.
"""

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Final, NamedTuple

from vtep.addr import MAX_ESI, NO_SEGMENT, Esi, Ip, RouteTarget
from vtep.config.model import VniConfig
from vtep.evpn.advertise import HOST_PROXY
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.offers import Path
from vtep.evpn.rib import Rib
from vtep.projection.policy import Policy
from vtep.projection.winner import ALL_ACTIVE, SINGLE_ACTIVE

NAMED_MAX: Final = 64
"""How many VTEPs are remembered by name for each segment: more than a group can have and can leave out."""


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
    found = segment_routes(rib, policy, vni, esi)
    return found.up & (advertisers if found.single_active else advertisers | found.aliases)


class SegmentRoutes(NamedTuple):
    """What the Type-1 routes of a segment say in one VNI."""

    single_active: bool
    up: frozenset[Ip]
    """The VTEPs where the segment is up."""
    aliases: frozenset[Ip]
    """The VTEPs that say that they have the VNI on the segment."""


def segment_routes(rib: Rib, policy: Policy, vni: VniConfig, esi: Esi) -> SegmentRoutes:
    """Read the Type-1 routes of a segment that a VNI imports."""
    return routes_of(per_segment(rib, policy, vni, esi), per_evi(rib, policy, vni, esi))


def routes_of(there: "PerSegment", evis: Sequence[tuple[Ip, str]]) -> SegmentRoutes:
    """Put together what the routes per segment and those per EVI say."""
    return SegmentRoutes(there.single_active, there.up, frozenset(vtep for vtep, reason in evis if not reason))


def per_evi(rib: Rib, policy: Policy, vni: VniConfig, esi: Esi) -> list[tuple[Ip, str]]:
    """Return the VTEP of each route per EVI of a VNI, with the reason why the route counts for nothing, if that is so."""
    ads = (ad.attributes for ad in rib.index.ads_at(esi, vni.tag, vni.vni))
    return [(said.next_hop, refused_at(said.targets, said.next_hop, policy, vni)) for said in ads]


class PerSegment(NamedTuple):
    """What the routes per segment of a segment say in VNIs that import the same of them."""

    single_active: bool
    up: frozenset[Ip]
    named: tuple[tuple[Ip, str], ...]
    """The first VTEPs that they name, each with the reason why its route counts for nothing, if that is so."""


def per_segment(rib: Rib, policy: Policy, vni: VniConfig, esi: Esi) -> PerSegment:
    """Read the routes per segment of a segment once for all VNIs that import the same of them, as there may be many of both."""
    memory, version = policy.per_segment, rib.index.version_of(esi)
    if (known := memory.get((esi, version))) is None:
        ads = [ad.attributes for ad in rib.index.ads_at(esi, PER_ES_TAG, 0)]
        kinds = tuple(dict.fromkeys((one.targets, one.next_hop, one.single_active) for one in ads))
        known = (kinds, tuple({kind[0]: policy.imports(kind[0]) for kind in kinds}.values()))
        memory.put((esi, version), known, len(kinds))
    kinds, importers = known
    alike = (esi, version, vni.vtep.is_v6, tuple(vni.vni in vnis for vnis in importers))
    found: PerSegment | None = memory.get(alike)
    if found is None:
        reasons: dict[Ip, str] = {}
        up: dict[Ip, bool] = {}
        for targets, next_hop, single_active in kinds:
            reason = refused_at(targets, next_hop, policy, vni)
            if reason:
                reasons[next_hop] = reason
            else:
                reasons.setdefault(next_hop, "")
                up[next_hop] = up.get(next_hop, False) or single_active
        found = PerSegment(any(up.values()), frozenset(up), tuple(islice(reasons.items(), NAMED_MAX)))
        memory.put(alike, found, len(importers) + len(up) + NAMED_MAX)
    return found


def sharing(found: SegmentRoutes, advertisers: Collection[Ip], primary: Ip | None) -> tuple[tuple[Ip, ...], Ip | None]:
    """Return the members of a group by rising address, and the backup of its primary VTEP, if it has one.

    the segment is up at   with a MAC or the VNI on it   primary   members   backup
    1, 2, 3                1, 2                          none      1, 2      none
    1, 2                   1, 2                          1         1         2
    2                      1, 2                          1         2         none: it is in use
    1, 2, 3                1, 2, 3                       1         1         none: 2 and 3 are both possible
    2, 3                   1, 2, 3                       1         none      none: the frames are flooded
    """
    usable = sorted(found.up & found.aliases.union(advertisers), key=lambda vtep: vtep.order)
    if primary is None:
        return tuple(usable), None
    others = [vtep for vtep in usable if vtep != primary]
    backup = others[0] if len(others) == 1 else None
    if primary in found.up:
        return (primary,), backup
    return (() if backup is None else (backup,)), None


def way(rib: Rib, policy: Policy, vni: VniConfig, esi: Esi, advertisers: frozenset[Ip], primary: Ip) -> str:
    """Return how the VTEPs of a segment share the frames of a MAC that these VTEPs advertise; nothing if there is no way.

    The index remembers the answer. A Type-1 route after which it is the same concerns no MAC, however many there are.
    """

    def work_out() -> str:
        found = segment_routes(rib, policy, vni, esi)
        ways, _ = sharing(found, advertisers, primary if found.single_active else None)
        return "" if not ways else SINGLE_ACTIVE if found.single_active else ALL_ACTIVE

    return rib.index.conclude(policy, esi, (vni.tag, vni.vni), ("way", vni.vni, advertisers, primary), work_out)


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


def refused(ad: EthernetAd, policy: Policy, vni: VniConfig) -> str:
    """Return why a Type-1 route counts for nothing in a VNI, as a code of docs/reasons.md, or nothing."""
    return refused_at(ad.attributes.targets, ad.attributes.next_hop, policy, vni)


def refused_at(targets: tuple[RouteTarget, ...], next_hop: Ip, policy: Policy, vni: VniConfig) -> str:
    """Return why a Type-1 route with these Route Targets and this next hop counts for nothing in a VNI, or nothing."""
    if vni.vni not in policy.imports(targets):
        return "rt-mismatch" if targets else "rt-missing"
    if reason := policy.refused_next_hop(next_hop):
        return reason
    return "" if vni.reaches(next_hop) else "family-mismatch"
