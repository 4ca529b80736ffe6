"""The projector of this leaf's own Ethernet segments: what their ports forward, which MACs are behind them, and what is advertised.

A port of ours on a segment is in one of these states, which the caller works out (`local.segment_ports`):

    down         the port has no carrier                                       not advertised    no flooded frame
    starting     its filters are not confirmed, or the picture is incomplete   not advertised    no flooded frame
    waiting      the other VTEPs may not yet know that this leaf is there      advertised        no flooded frame
    forwarding   the election decides (`forwarder.py`)                         advertised        as the forwarder, or not

`Intent.port_filters` says it for each VNI. A row also names the other VTEPs that are on the segment: those that advertise it (the
Type-1 route per segment) deliver what they flood to it by themselves, so a copy from them must not leave by our port (RFC 8365
8.3.1). A Type-4 route alone does not count: the port of its VTEP may be down.

`Intent.segment_macs` has the MACs behind each port, our own stations and those that other VTEPs of the segment advertise.

The topics are a segment and a MAC. This module knows neither carriers nor time, and not which filters the kernel has.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct, structs

from vtep.addr import Esi, Ip, Mac, Vni
from vtep.evpn.ead import PER_ES_TAG
from vtep.evpn.rib import Rib
from vtep.intent import Intent, OwnSegment, PortFilter, PortFilterKey
from vtep.projection.policy import ADVERTISED, FORWARDING, Policy
from vtep.projection.projector import Inputs

BIASED_MAX: Final = 64
"""VTEPs on one segment that are told apart, the lowest addresses. Each of them is an element in the kernel for each VNI."""


def project_own_segments(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with our segments brought up to date, and whether that changed its meaning."""
    policy = inputs.policy
    rows = len(intent.port_filters) + len(intent.segment_macs)
    touched = len(intent.touched_port_filters) + len(intent.touched_segment_macs)
    if not policy.segment_states and not rows and not touched:
        return intent, False
    filters, segments = _judge_segments(intent, inputs)
    macs = _judge_macs(intent, inputs)
    touched_macs = tuple(
        (vni, mac) for mac, ports in macs.items() for vni in _differing(intent.segment_macs.get(mac, ()), ports)
    )
    if not (filters or segments or macs):
        return structs.replace(intent, touched_port_filters=(), touched_segments=(), touched_segment_macs=()), False
    return structs.replace(
        intent,
        port_filters=intent.port_filters.changed(filters),
        own_segments=intent.own_segments.changed(segments),
        segment_macs=intent.segment_macs.changed(macs),
        touched_port_filters=tuple(filters),
        touched_segments=tuple(segments),
        touched_segment_macs=touched_macs,
    ), True


def members(esi: Esi, rib: Rib, policy: Policy) -> tuple[Ip, ...]:
    """Return the other VTEPs that are on a segment of ours, by their Type-1 routes per segment."""
    found = {
        ad.attributes.next_hop
        for ad in rib.index.ads_at(esi, PER_ES_TAG, 0)
        if not policy.refused_next_hop(ad.attributes.next_hop) and policy.imports(ad.attributes.targets)
    }
    return tuple(sorted(found, key=lambda ip: ip.order)[:BIASED_MAX])


class _Rows(Struct):
    """What one segment wants."""

    filters: dict[PortFilterKey, PortFilter]
    segment: OwnSegment | None


def _judge_segments(
    intent: Intent, inputs: Inputs
) -> tuple[dict[PortFilterKey, PortFilter | None], dict[Esi, OwnSegment | None]]:
    """Return the filters and segments that differ from those before."""
    states = inputs.policy.segment_states
    todo = {esi for esi in inputs.changed.segments if esi in states}
    if not todo and len(intent.port_filters) == sum(len(state.ports) for state in states.values()):
        return {}, {}  # of no segment that has left is any row there
    before = dict(intent.port_filters.unordered())
    gone = {row.segment for row in before.values()} - states.keys()
    filters: dict[PortFilterKey, PortFilter | None] = {}
    segments: dict[Esi, OwnSegment | None] = {}
    for esi in todo | gone:
        wanted = _rows(esi, intent, inputs)
        filters.update({key: None for key, row in before.items() if row.segment == esi and key not in wanted.filters})
        filters.update({key: row for key, row in wanted.filters.items() if before.get(key) != row})
        if intent.own_segments.get(esi) != wanted.segment:
            segments[esi] = wanted.segment
    return filters, segments


def _rows(esi: Esi, intent: Intent, inputs: Inputs) -> _Rows:
    found = inputs.policy.segment_states.get(esi)
    if found is None:
        return _Rows({}, None)
    biased = members(esi, inputs.rib, inputs.policy)
    ours = {row.vni for row in intent.forwarders.get(esi, ()) if row.ours}
    forwards = found.state == FORWARDING
    rows = (
        PortFilter(esi, vni, port, ("df" if vni in ours else "non-df") if forwards else "joining", biased)
        for vni, port in found.ports
    )
    segment = OwnSegment(esi, found.port, tuple(vni for vni, _ in found.ports)) if found.state in ADVERTISED else None
    return _Rows({row.key: row for row in rows}, segment)


def _judge_macs(intent: Intent, inputs: Inputs) -> dict[Mac, tuple[tuple[Vni, str], ...] | None]:
    """Return the MACs behind ports of ours that differ from those before."""
    before = intent.segment_macs
    found = {
        mac: tuple(sorted(dict(_ports_of(mac, intent, inputs.rib, inputs.policy)).items()))
        for mac in inputs.changed.macs
    }
    return {mac: ports or None for mac, ports in found.items() if before.get(mac, ()) != ports}


def _differing(before: Iterable[tuple[Vni, str]], after: Iterable[tuple[Vni, str]] | None) -> set[Vni]:
    """Return the VNIs in which a MAC is behind another port than before."""
    return {vni for vni, _ in set(before) ^ set(after or ())}


def _ports_of(mac: Mac, intent: Intent, rib: Rib, policy: Policy) -> Iterator[tuple[Vni, str]]:
    """Yield the port of ours behind which a MAC is, for each VNI; a station of ours comes last, and counts."""
    for candidate in intent.judged.get(mac, ()):
        port = policy.port_on.get((candidate.esi, candidate.vni))
        if port is not None and candidate.reason == "local-bias":
            yield candidate.vni, port
    for vni, claim in rib.index.local_claims.get(mac, {}).items():
        if (vni, claim.station.port) in policy.segment_of_port:
            yield vni, claim.station.port
