"""The projector of the flood table: the remote VTEPs to which a VNI's broadcasts go.

A Type-3 route asks for them. The endpoint is the one of its PMSI attribute, and only ingress replication has one
(RFC 6514 5, RFC 8365 9). There is one row for each VTEP of a VNI. A route that gives no row is kept with its reason; that
includes a route whose endpoint is one of our own addresses.

Each row makes every broadcast of the VNI one packet more, so `limits.vteps_per_vni` bounds them. The VTEPs that have a row
keep it; of those that come together, and of those that wait when a row goes, the lowest addresses come first.

Example with a limit of 2, and rows for 10.0.0.5 and 10.0.0.9. The routes of 10.0.0.1 and 10.0.0.7 wait, with the reason
`vtep-limit`, although 10.0.0.1 is the lowest address. When 10.0.0.9 withdraws its route, 10.0.0.1 gets the row.

The topic is an endpoint. This module does not know any MAC.
"""

from heapq import nsmallest
from itertools import islice
from typing import Final

from msgspec import structs

from vtep.addr import Ip, Vni
from vtep.evpn.attributes import PMSI_INGRESS_REPLICATION, Pmsi
from vtep.evpn.imet import Imet
from vtep.evpn.rib import Rib
from vtep.intent import Direct, Flood, FloodKey, Intent, RefusedFlood
from vtep.projection.imports import ImportVerdict, may_import
from vtep.projection.policy import Policy
from vtep.projection.projector import Inputs
from vtep.store.table import Table

_NONE: Final[Table[Ip, bool]] = Table()
NEAR_LIMIT: Final = 0.8
"""The share of the limit from which the operator is warned, so that it can be raised before it is reached."""


def project_floods(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the flood rows of what changed, and whether that changed its meaning."""
    if not inputs.changed.endpoints:
        return (structs.replace(intent, touched_floods=()) if intent.touched_floods else intent), False
    draft = _Draft(intent, inputs)
    for endpoint in inputs.changed.endpoints:
        draft.judge(endpoint)
    draft.give_room()
    return draft.apply()


def limit_warning(rows: int, limit: int) -> str:
    """Return the alert for a VNI with so many flood rows, or nothing."""
    return "near-vtep-limit" if rows >= NEAR_LIMIT * limit else ""


LOOKED_AT: Final = 4096
"""How many of those that wait are compared when there is room: a peer that makes up a million must not make each change slow."""


class _Draft:
    """What is different from the previous intent, while it is being worked out."""

    def __init__(self, previous: Intent, inputs: Inputs) -> None:
        self.previous = previous
        self.inputs = inputs
        self.found: dict[Ip, dict[Vni, Flood]] = {}
        """The rows of each endpoint that was judged, as if there were no limit."""
        self.refused: dict[Ip, tuple[RefusedFlood, ...]] = {}
        self.counts: dict[Vni, int] = {}
        """How many rows a VNI has now, where that differs."""
        self.waiting: dict[Vni, dict[Ip, bool | None]] = {}
        """Endpoints that wait for room in a VNI (True), or no longer wait (None)."""

    def judge(self, endpoint: Ip) -> None:
        """Judge the routes to an endpoint; a row that is new waits until `give_room` knows whether there is room."""
        rows, self.refused[endpoint] = judge_floods(endpoint, self.inputs.rib, self.inputs.policy)
        self.found[endpoint] = {row.vni: row for row in rows}
        before = {row.vni for row in self.previous.floods.get(endpoint, ())}
        for vni in before - self.found[endpoint].keys():
            self.counts[vni] = self._count(vni) - 1
        for vni in self._waited(endpoint) - self.found[endpoint].keys():
            self.waiting.setdefault(vni, {})[endpoint] = None
        for vni in self.found[endpoint].keys() - before:
            self.waiting.setdefault(vni, {})[endpoint] = True

    def give_room(self) -> None:
        """Give a row to as many of those that wait as there is room for, the lowest address first."""
        for vni in {*self.counts, *self.waiting}:
            room = self.inputs.policy.vteps_per_vni - self._count(vni)
            if room <= 0:
                continue
            now = self.waiting.get(vni, {})
            waiting = [endpoint for endpoint, waits in now.items() if waits]
            before = self.previous.waiting_floods.get(vni, _NONE).unordered()
            waiting += islice((endpoint for endpoint, _ in before if endpoint not in now), LOOKED_AT)
            chosen = nsmallest(room, waiting, key=lambda endpoint: endpoint.order)
            self.counts[vni] = self._count(vni) + len(chosen)
            for endpoint in chosen:
                self.waiting.setdefault(vni, {})[endpoint] = None
        for endpoint in {
            endpoint for found in self.waiting.values() for endpoint in found if endpoint not in self.found
        }:
            rows, self.refused[endpoint] = judge_floods(endpoint, self.inputs.rib, self.inputs.policy)
            self.found[endpoint] = {row.vni: row for row in rows}

    def apply(self) -> tuple[Intent, bool]:
        """Return the previous intent with all changes, and whether they changed its meaning."""
        previous = self.previous
        rows: dict[Ip, tuple[Flood, ...] | None] = {}
        refused: dict[Ip, tuple[RefusedFlood, ...] | None] = {}
        touched: set[FloodKey] = set()
        for endpoint, found in self.found.items():
            waits = {vni for vni in found if self._waits(vni, endpoint)}
            kept = tuple(found[vni] for vni in sorted(found) if vni not in waits)
            over = tuple(RefusedFlood(vni, endpoint, "vtep-limit", found[vni].peer, found[vni].rd) for vni in waits)
            touched |= {row.key for row in previous.floods.get(endpoint, ())} ^ {row.key for row in kept}
            rows[endpoint], refused[endpoint] = kept or None, (*self.refused[endpoint], *over) or None
        projected = structs.replace(
            previous,
            floods=previous.floods.changed(rows),
            refused_floods=previous.refused_floods.changed(refused),
            floods_of_vni=previous.floods_of_vni.changed({vni: count or None for vni, count in self.counts.items()}),
            waiting_floods=previous.waiting_floods.changed(
                {
                    vni: previous.waiting_floods.get(vni, _NONE).changed(found) or None
                    for vni, found in self.waiting.items()
                }
            ),
            touched_floods=tuple(touched),
        )
        return projected, bool(touched)

    def _count(self, vni: Vni) -> int:
        count = self.counts.get(vni)
        return self.previous.floods_of_vni.get(vni, 0) if count is None else count

    def _waits(self, vni: Vni, endpoint: Ip) -> bool:
        now = self.waiting.get(vni, {})
        return bool(now[endpoint]) if endpoint in now else endpoint in self.previous.waiting_floods.get(vni, _NONE)

    def _waited(self, endpoint: Ip) -> set[Vni]:
        return {row.vni for row in self.previous.refused_floods.get(endpoint, ()) if row.reason == "vtep-limit"}


def judge_floods(endpoint: Ip, rib: Rib, policy: Policy) -> tuple[tuple[Flood, ...], tuple[RefusedFlood, ...]]:
    """Return the flood rows to this endpoint, and its routes that give none.

    Thousands of routes may name one endpoint. Those that share attributes and tag are one kind, and a kind is judged once.
    """
    rows: dict[Vni, Flood] = {}
    refused: list[RefusedFlood] = []
    for alike in sorted(rib.index.kinds_of_endpoint(endpoint), key=lambda kind: _order(kind.first)):
        first = alike.first
        pmsi = first.attributes.pmsi
        if pmsi is None or pmsi.endpoint is None or pmsi.tunnel_type != PMSI_INGRESS_REPLICATION:
            refused += [RefusedFlood(Vni(0), endpoint, "no-ir", imet.peer, imet.rd) for imet in alike]
            continue
        for verdict in _verdicts(first, pmsi, endpoint, policy):
            if verdict.refusal:
                refused += [RefusedFlood(verdict.vni, endpoint, verdict.refusal, imet.peer, imet.rd) for imet in alike]
            elif policy.vnis[verdict.vni].flood:
                mismatch = ("pmsi-mismatch",) if endpoint != first.originator else ()
                row = Flood(verdict.vni, Direct(endpoint, verdict.via.vni), first.peer, first.rd, mismatch)
                rows.setdefault(row.vni, row)
    return tuple(rows.values()), tuple(sorted(refused, key=lambda one: (one.rd, one.peer.order, one.vni, one.reason)))


def _verdicts(imet: Imet, pmsi: Pmsi, endpoint: Ip, policy: Policy) -> tuple[ImportVerdict, ...]:
    """Return what the route means to each VNI. If the label's last bits are unknown, an imported VNI supplies them."""
    label = pmsi.label
    if not pmsi.exact:
        imported = policy.imports(imet.attributes.targets)
        label = next((vni for vni in sorted(imported) if pmsi.is_labelled(vni)), label)
    return may_import(imet.attributes, endpoint, label, imet.tag, policy)


def _order(imet: Imet) -> tuple[object, ...]:
    return (imet.rd, imet.tag, imet.originator.order, imet.peer.order)
