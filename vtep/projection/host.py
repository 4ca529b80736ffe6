"""The projector of the host table: which MAC a host address belongs to.

A Type-2 route may name a host address beside its MAC. Addresses are judged apart from MACs (RFC 9721, RFC 9135; unverified):
an address that is advertised with another MAC has moved to that MAC, while both MACs keep their rows. The order is that of
MACs, but a route whose ARP/ND community says immutable comes before all others, whatever its sequence (RFC 9047 3.1).

Some addresses get no row, and the route is kept with its reason:

    bad-host      no host can have it, such as a multicast address: this leaf would send its own packets for that address to
                  a remote MAC
    self-host     it is one of our tunnel addresses
    gateway-host  it is an address of the VNI's own bridge
    local-host    a station of ours has it: a row would replace the entry that the bridge learned itself
    local-mac     its MAC is a station of ours: a row would keep the kernel from learning the address again

The addresses of our bridges come from the kernel's side (`Leaf.learn_own_hosts`), as the MACs of our devices do. They could be
judged where rows are written instead; here, one module judges a host address, and an explanation can give the reason.

The topic is an address. This module does not know which MACs have rows.
"""

from collections.abc import Iterator

from msgspec import structs

from vtep.addr import Ip, Vni
from vtep.evpn.attributes import HOST_IMMUTABLE, HOST_ROUTER
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.rib import Rib
from vtep.intent import Alert, Host, HostKey, Intent, RefusedHost
from vtep.projection.imports import refusal, verdicts
from vtep.projection.policy import Policy
from vtep.projection.projector import Inputs


def project_hosts(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the host rows of what changed, and whether that changed its meaning."""
    rows: dict[Ip, tuple[Host, ...] | None] = {}
    refused: dict[Ip, tuple[RefusedHost, ...] | None] = {}
    touched: set[HostKey] = set()
    for ip in inputs.changed.hosts.union(_hosts_of_own(intent, inputs.rib)):
        found, left_out = judge_host(ip, intent, inputs.rib, inputs.policy)
        before = {(host.key, host.mac, host.router) for host in intent.hosts.get(ip, ())}
        touched.update(key for key, *_ in before ^ {(host.key, host.mac, host.router) for host in found})
        rows[ip], refused[ip] = found or None, left_out or None
    projected = structs.replace(
        intent,
        hosts=intent.hosts.changed(rows),
        refused_hosts=intent.refused_hosts.changed(refused),
        touched_hosts=tuple(touched),
    )
    return projected, bool(touched)


def _hosts_of_own(intent: Intent, rib: Rib) -> Iterator[Ip]:
    """Yield the addresses that depend on what is ours: of our stations, and of remote routes with a MAC of theirs."""
    for _, mac, ip in intent.own_touched:
        if ip is not None:
            yield ip
        else:
            yield from (route.ip for route in rib.index.routes_of(mac) if route.ip is not None)


def judge_host(ip: Ip, intent: Intent, rib: Rib, policy: Policy) -> tuple[tuple[Host, ...], tuple[RefusedHost, ...]]:
    """Return the row of this address in each VNI where a usable route names it, and the routes that give none."""
    routes: dict[Vni, list[MacIp]] = {}
    refused = []
    for route in rib.index.routes_of_host(ip):
        for verdict in verdicts(route, policy):
            if refusal(route.mac, verdict, policy) or not policy.vnis[verdict.vni].neighbors:
                continue
            if reason := _refusal(route, verdict.vni, ip, intent, rib, policy):
                refused.append(RefusedHost(verdict.vni, ip, route.mac, reason, route.peer, route.rd))
            else:
                routes.setdefault(verdict.vni, []).append(route)
    rows = tuple(_host(vni, ip, sorted(found, key=_order)) for vni, found in sorted(routes.items()))
    return rows, tuple(sorted(refused, key=lambda one: (one.vni, one.mac, one.rd, one.peer.order)))


def _refusal(route: MacIp, vni: Vni, ip: Ip, intent: Intent, rib: Rib, policy: Policy) -> str:
    if reason := policy.refused_host(vni, ip):
        return reason
    if any(key[0] == vni and (*key, ip) in intent.own for key in rib.index.homes_of(ip)):
        return "local-host"
    return "local-mac" if (vni, route.mac) in intent.own_hosts else ""


def _host(vni: Vni, ip: Ip, routes: list[MacIp]) -> Host:
    winner = routes[0]
    flags = winner.attributes.host_flags
    challengers = {route.attributes.next_hop for route in routes if route.mac != winner.mac}
    return Host(
        vni=vni,
        ip=ip,
        mac=winner.mac,
        router=bool(flags & HOST_ROUTER),
        peer=winner.peer,
        rd=winner.rd,
        alerts=tuple(Alert("immutable", vtep) for vtep in sorted(challengers)) if flags & HOST_IMMUTABLE else (),
    )


def _order(route: MacIp) -> tuple[object, ...]:
    """Sort as `winner.py` sorts MACs, with immutable in the place of sticky."""
    attributes = route.attributes
    return (
        attributes.llgr_stale,
        not attributes.host_flags & HOST_IMMUTABLE,
        -attributes.seq,
        attributes.next_hop.order,
        route.mac,
        route.rd,
        route.tag,
        route.label,
        route.peer.order,
    )
