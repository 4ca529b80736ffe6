"""Explains one IP address: which MAC has it and where that is, its neighbor row, and whether the bridge answers for it.

    a station here has it ─┐
    routes name it ────────┼─> the MAC, and where it is ─> the neighbor row ─> the bridge answers ARP and ND for it
    a VTEP has it ─────────┘

One explanation for each VNI in which something is known of the address, of at most 20 VNIs with at most 200 routes each, because any
client may ask and a peer decides how many routes an address has. Decides nothing, and keeps nothing from one question to the next.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from vtep.addr import Ip, Mac, Vni
from vtep.config.model import VniConfig
from vtep.intent import Intent, vteps_of
from vtep.linux.tables.neighbor import NEIGHBOR
from vtep.observe.model import (
    CONTESTED,
    INSTALLED,
    PENDING,
    HostExplanation,
    HostExplanations,
    NeighborStatus,
    RouteStatus,
    StationStatus,
)
from vtep.observe.reasons import advice, sentence
from vtep.observe.routes import RouteLists
from vtep.observe.rows import Rows
from vtep.observe.sentences import with_underlay
from vtep.observe.source import RouteQuery
from vtep.observe.stations import StationList

ROUTES_MAX: Final = 200
VNIS_MAX: Final = 20


class HostExplainer:
    """Explains one address, wherever something is known of it."""

    def __init__(
        self, rows: Rows, routes: RouteLists, stations: StationList, macs_behind: Callable[[Vni, Ip], int]
    ) -> None:
        """`macs_behind` returns how many MACs of a VNI are behind a VTEP."""
        self._rows = rows
        self._macs_behind = macs_behind
        self._routes = routes
        self._stations = stations

    async def explain(self, ip: Ip, vni: Vni | None) -> HostExplanations:
        page = await self._routes.page(RouteQuery(ip=ip), None, ROUTES_MAX)
        left_out = max(0, len(self._rows.leaf.rib.index.routes_of_host(ip)) - len(page.rows))
        vnis = [vni] if vni is not None else self._vnis(ip, page.rows)
        as_vtep = self._as_vtep(ip)
        explained = tuple(self._explained(ip, number, page.rows, is_vtep=bool(as_vtep)) for number in vnis[:VNIS_MAX])
        return HostExplanations(explained, as_vtep, len(vnis) - len(explained), left_out)

    def _vnis(self, ip: Ip, routes: Sequence[RouteStatus]) -> list[Vni]:
        """Return the VNIs in which something is known of the address, the configured ones first; or the first of all."""
        intent = self._rows.intent
        known = {host.vni for host in intent.hosts.get(ip, ())} | {one.vni for one in intent.refused_hosts.get(ip, ())}
        known |= {vni for vni, _ in self._rows.leaf.rib.index.homes_of(ip)}
        known |= {verdict.vni for route in routes for verdict in route.verdicts}
        configured = self._rows.configured.keys()
        if not known:
            return sorted(configured)[:1] or [Vni(0)]
        return [*sorted(known & configured), *sorted(known - configured)]

    def _as_vtep(self, ip: Ip) -> str:
        """Say what the address is if it is that of a VTEP."""
        underlay = self._rows.underlay
        ours = [found.vni for found in self._rows.config.vnis if found.vtep == ip]
        if ours:
            text = f"{ip} is a tunnel address of this leaf."
            faults = (underlay.fault_here(vni) for vni in ours)
        else:
            macs = {one.vni: found for one in self._rows.config.vnis if (found := self._macs_behind(one.vni, ip))}
            floods = {flood.vni for flood in self._rows.intent.floods.get(ip, ())}
            if not macs and not floods:
                return ""
            where = f"with floods in {_named(floods)}" if floods else "without floods"
            behind = f" MACs behind it: {sum(macs.values())}." if macs else ""
            text = f"{ip} is the address of a remote VTEP, {where}.{behind}"
            faults = (underlay.fault_of(vni, ip) for vni in sorted(floods | macs.keys()))
        fault = next(filter(None, faults), None)
        return " ".join(with_underlay(text, "", fault.code, fault.text, fault.mend)) if fault is not None else text

    def _explained(self, ip: Ip, vni: Vni, routes: Sequence[RouteStatus], *, is_vtep: bool) -> HostExplanation:
        rows, intent = self._rows, self._rows.intent
        row = next((host for host in intent.hosts.get(ip, ()) if host.vni == vni), None)
        neighbor = None if row is None else rows.neighbor(row)
        homes = (self._stations.station(*key) for key in rows.leaf.rib.index.homes_of(ip) if key[0] == vni)
        home = next((station for station in homes if station is not None), None)
        mac = neighbor.mac if neighbor is not None else home.mac if home is not None else None
        there = None if mac is None else intent.macs.get((vni, mac))
        concerned = tuple(route for route in routes if any(verdict.vni == vni for verdict in route.verdicts))
        bare = HostExplanation(
            vni=vni,
            ip=ip,
            summary="",
            advice="",
            mac=mac,
            vtep=None if there is None else there.vtep,
            neighbor=neighbor,
            station=home,
            routes=concerned,
            refusals=tuple(self._refusals(ip, vni, intent)),
            answers=self._answers(vni),
            vni_state=rows.vni_state(vni),
            vni_reasons=rows.reasons(vni),
        )
        configured = rows.configured.get(vni)
        summary, todo = _summarize(bare, configured, is_vtep=is_vtep)
        fault = None
        if there is not None:
            faults = (rows.underlay.fault_of(vni, vtep) for vtep in vteps_of(intent, there))
            fault = next(filter(None, faults), None)
        elif home is not None:
            fault = rows.underlay.fault_here(vni)
        if fault is not None:
            summary, todo = with_underlay(summary, todo, fault.code, fault.text, fault.mend)
        return HostExplanation(
            **{name: getattr(bare, name) for name in bare.__struct_fields__} | {"summary": summary, "advice": todo}
        )

    def _refusals(self, ip: Ip, vni: Vni, intent: Intent) -> Iterator[tuple[Mac, Ip, str]]:
        for refused in intent.refused_hosts.get(ip, ())[:ROUTES_MAX]:
            if refused.vni == vni:
                yield refused.mac, refused.peer, refused.reason

    def _answers(self, vni: Vni) -> str:
        """Say whether the bridge answers ARP and ND for remote hosts of a VNI."""
        configured = self._rows.configured.get(vni)
        if configured is None or not configured.is_bound:
            return "no: the VNI has no bridge here"
        if not configured.neighbors:
            return "no: neighbors = false"
        if self._rows.vni_state(vni) != "ready":
            return "unknown: the VNI is not ready"
        if self._rows.serves(NEIGHBOR, vni):
            return "yes"
        report = self._rows.last.report
        notes = () if report is None else report.notes.get(vni, ())
        why = next((note for note in notes if note.startswith("neigh-suppress")), NEIGHBOR.descriptor.unserved)
        return f"no: {why}"


def _named(vnis: Collection[Vni]) -> str:
    """Name VNIs, the first of very many."""
    more = f" and {len(vnis) - VNIS_MAX} more" if len(vnis) > VNIS_MAX else ""
    return f"VNI{'s' * (len(vnis) > 1)} {', '.join(map(str, sorted(vnis)[:VNIS_MAX]))}{more}"


def _summarize(explanation: HostExplanation, vni: VniConfig | None, *, is_vtep: bool) -> tuple[str, str]:
    """Return what is to be said in a sentence, and what to do."""
    ip, neighbor, station = explanation.ip, explanation.neighbor, explanation.station
    if station is not None and neighbor is None:
        text = f"{ip} is here: the station {station.mac} on port {station.port} has it."
        far = f" It is not advertised as far as its peers: {station.state}"
        behind = "" if station.state == "confirmed" else f"{far}{f', {station.reason}' if station.reason else ''}."
        return text + behind, "" if not behind else f"Run `vtep explain {station.mac} --vni {explanation.vni}`."
    if neighbor is not None:
        return _about_neighbor(explanation, neighbor, station)
    if explanation.refusals:
        mac, peer, reason = explanation.refusals[0]
        text = f"{ip} has no neighbor row ({reason}): {sentence(reason)} Peer {peer} advertises it with {mac}."
        return text, advice(reason)
    if explanation.routes:
        return _about_routes(explanation, vni)
    if vni is None and explanation.vni:
        return f"VNI {explanation.vni} is not configured here, and nothing is known of {ip} in it.", ""
    if is_vtep:
        return (
            f"No host of VNI {explanation.vni} has {ip}: no peer advertises it with a MAC, and no station here has it.",
            "",
        )
    text = f"{ip} is not known: no peer advertises it, and no station of this leaf has it."
    return (
        text,
        "If the host is here, it must send a frame; if it is remote, look at its leaf: does it advertise addresses?",
    )


def _about_neighbor(
    explanation: HostExplanation, neighbor: NeighborStatus, station: StationStatus | None
) -> tuple[str, str]:
    where = f" behind {explanation.vtep}" if explanation.vtep is not None else ", which has no row"
    text = f"{explanation.ip} belongs to {neighbor.mac}{where}"
    sync = neighbor.sync
    todo = ""
    if sync.state == INSTALLED:
        text += ": the neighbor row is installed, and the bridge answers for it."
    else:
        why = ": ".join(filter(None, (sync.reason, sync.text)))
        words = {PENDING: "is not written yet", CONTESTED: "is held by another program"}
        text += f", but the neighbor row {words.get(sync.state, f'is {sync.state}')}{f' ({why})' if why else ''}."
        todo = advice(sync.reason)
    if explanation.vtep is None:
        todo = f"Run `vtep explain {neighbor.mac} --vni {explanation.vni}`."
    if station is not None:
        text += f" The station {station.mac} on port {station.port} has the address as well: two machines use it."
    return text, todo


def _about_routes(explanation: HostExplanation, vni: VniConfig | None) -> tuple[str, str]:
    """Word an address of which there are routes and no row."""
    route = explanation.routes[0]
    verdict = next(one for one in route.verdicts if one.vni == explanation.vni)
    said = f"Peer {route.peer} advertises {explanation.ip} with {route.mac}"
    if verdict.verdict == "refused":
        text = f"{said}, but the route is refused ({verdict.reason}): {sentence(verdict.reason)}"
        return text, advice(verdict.reason)
    if vni is not None and not vni.neighbors:
        return f"{said}. VNI {vni.vni} has no neighbor rows (neighbors = false).", ""
    return f"{said}. It has no neighbor row yet.", f"Run `vtep explain {route.mac} --vni {explanation.vni}`."
