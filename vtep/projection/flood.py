"""The projector of the flood table: the remote VTEPs to which a VNI's broadcasts go.

A Type-3 route asks for them. The endpoint is the one of its PMSI attribute, and only ingress replication has one
(RFC 6514 5, RFC 8365 9). There is one row for each VTEP of a VNI. A route that gives no row is kept with its reason; that
includes a route whose endpoint is one of our own addresses.

The topic is an endpoint. This module does not know any MAC.
"""

from msgspec import structs

from vtep.addr import Ip, Vni
from vtep.evpn.attributes import PMSI_INGRESS_REPLICATION, Pmsi
from vtep.evpn.imet import Imet
from vtep.evpn.rib import Rib
from vtep.intent import Direct, Flood, FloodKey, Intent, RefusedFlood
from vtep.projection.imports import ImportVerdict, may_import
from vtep.projection.policy import Policy
from vtep.projection.projector import Inputs


def project_floods(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the flood rows of what changed, and whether that changed its meaning."""
    rows: dict[Ip, tuple[Flood, ...] | None] = {}
    refused: dict[Ip, tuple[RefusedFlood, ...] | None] = {}
    touched: set[FloodKey] = set()
    for endpoint in inputs.changed.endpoints:
        found, left_out = judge_floods(endpoint, inputs.rib, inputs.policy)
        touched |= {flood.key for flood in intent.floods.get(endpoint, ())} ^ {flood.key for flood in found}
        rows[endpoint], refused[endpoint] = found or None, left_out or None
    projected = structs.replace(
        intent,
        floods=intent.floods.changed(rows) if rows else intent.floods,
        refused_floods=intent.refused_floods.changed(refused) if refused else intent.refused_floods,
        touched_floods=tuple(touched),
    )
    return projected, bool(touched)


def judge_floods(endpoint: Ip, rib: Rib, policy: Policy) -> tuple[tuple[Flood, ...], tuple[RefusedFlood, ...]]:
    """Return the flood rows to this endpoint, and its routes that give none."""
    rows: dict[Vni, Flood] = {}
    refused = []
    for imet in sorted(rib.index.imets_of(endpoint), key=_order):
        pmsi = imet.attributes.pmsi
        if pmsi is None or pmsi.endpoint is None or pmsi.tunnel_type != PMSI_INGRESS_REPLICATION:
            refused.append(RefusedFlood(Vni(0), endpoint, "no-ir", imet.peer, imet.rd))
            continue
        for verdict in _verdicts(imet, pmsi, endpoint, policy):
            if verdict.refusal:
                refused.append(RefusedFlood(verdict.vni, endpoint, verdict.refusal, imet.peer, imet.rd))
            elif policy.vnis[verdict.vni].flood:
                mismatch = ("pmsi-mismatch",) if endpoint != imet.originator else ()
                row = Flood(verdict.vni, Direct(endpoint, verdict.via.vni), imet.peer, imet.rd, mismatch)
                rows.setdefault(row.vni, row)
    return tuple(rows.values()), tuple(refused)


def _verdicts(imet: Imet, pmsi: Pmsi, endpoint: Ip, policy: Policy) -> tuple[ImportVerdict, ...]:
    """Return what the route means to each VNI. If the label's last bits are unknown, an imported VNI supplies them."""
    label = pmsi.label
    if not pmsi.exact:
        imported = policy.imports(imet.attributes.targets)
        label = next((vni for vni in sorted(imported) if pmsi.is_labelled(vni)), label)
    return may_import(imet.attributes, endpoint, label, imet.tag, policy)


def _order(imet: Imet) -> tuple[object, ...]:
    return (imet.rd, imet.tag, imet.originator.order, imet.peer.order)
