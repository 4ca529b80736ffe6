"""The projector of the host table: which MAC a host address belongs to.

A Type-2 route may name a host address beside its MAC. Addresses are judged apart from MACs (RFC 9721, RFC 9135; unverified):
an address that is advertised with another MAC has moved to that MAC, while both MACs keep their rows. The order is that of
MACs, but a route whose ARP/ND community says immutable comes before all others, whatever its sequence (RFC 9047 3.1).

An address of one of our own stations gets no row: the row would replace the entry that the bridge learned itself.

The topic is an address. This module does not know which MACs have rows.
"""

from msgspec import structs

from vtep.addr import Ip, Vni
from vtep.evpn.attributes import HOST_IMMUTABLE, HOST_ROUTER
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.rib import Rib
from vtep.intent import Alert, Host, HostKey, Intent
from vtep.projection.imports import judge
from vtep.projection.policy import Policy
from vtep.projection.projector import Inputs


def project_hosts(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the host rows of what changed, and whether that changed its meaning."""
    rib, policy = inputs.rib, inputs.policy
    rows: dict[Ip, tuple[Host, ...] | None] = {}
    touched: set[HostKey] = set()
    for ip in inputs.changed.hosts.union(ip for _, _, ip in intent.own_touched if ip is not None):
        at_home = {vni for vni, mac in rib.index.homes_of(ip) if (vni, mac, ip) in intent.own}
        found = tuple(host for host in judge_host(ip, rib, policy) if host.vni not in at_home)
        before = {(host.key, host.mac, host.router) for host in intent.hosts.get(ip, ())}
        touched.update(key for key, *_ in before ^ {(host.key, host.mac, host.router) for host in found})
        rows[ip] = found or None
    hosts = intent.hosts.changed(rows) if rows else intent.hosts
    return structs.replace(intent, hosts=hosts, touched_hosts=tuple(touched)), bool(touched)


def judge_host(ip: Ip, rib: Rib, policy: Policy) -> tuple[Host, ...]:
    """Return the row of this address in each VNI where a usable route names it."""
    routes: dict[Vni, list[MacIp]] = {}
    for route in rib.index.routes_of_host(ip):
        for result in judge(route, policy):
            if not result.refusal and policy.vnis[result.vni].neighbors:
                routes.setdefault(result.vni, []).append(route)
    return tuple(_host(vni, ip, sorted(found, key=_order)) for vni, found in sorted(routes.items()))


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
