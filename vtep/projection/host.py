"""The projector of the host table: which MAC a host address belongs to.

A Type-2 route may name a host address beside its MAC. Addresses are judged apart from MACs (RFC 9721, RFC 9135; unverified):
an address that is advertised with another MAC has moved to that MAC, while both MACs keep their rows. The order is that of
MACs, but a route whose ARP/ND community says immutable comes before all others, whatever its sequence (RFC 9047 3.1).

    routes with 10.1.0.5   sequence   immutable
    02:…:01                3          no
    02:…:02                5          no          has the row, if only this route and the one above are there
    02:…:03                0          yes         has the row, with the alert `immutable`: others claim the address

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
from typing import cast

from msgspec import structs

from vtep.addr import Ip, Mac, Vni
from vtep.evpn.attributes import HOST_IMMUTABLE, HOST_ROUTER
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.rib import Rib
from vtep.intent import Alert, Host, HostKey, Intent, RefusedHost, is_station
from vtep.projection.imports import is_like_others, verdicts
from vtep.projection.policy import Policy
from vtep.projection.projector import Inputs
from vtep.store.ranked import Ranked


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
    """Return the row of this address in each VNI where a usable route names it, and the routes that give none.

    Thousands of MACs may have one address. Their routes are one kind where they share attributes, label and tag, and a kind
    is judged once.
    """
    kinds = rib.index.kinds_of_host(ip)
    stations = kinds.subjects.keys() & rib.index.local_claims.keys() if intent.own_hosts else ()
    usable: dict[Vni, list[tuple[MacIp, Ranked[MacIp]]]] = {}
    ours: dict[Vni, frozenset[Mac]] = {}
    refused: list[RefusedHost] = []
    for kind in kinds:
        for verdict in verdicts(kind.first, policy) if kind.first.mac.is_usable else ():
            vni = verdict.vni
            if verdict.refusal or not policy.vnis[vni].neighbors:
                continue
            if reason := _refusal(vni, ip, intent, rib, policy):
                refused += [_refused(vni, route, reason) for route in kind if is_like_others(route.mac, policy)]
                continue
            if vni not in ours:
                ours[vni] = frozenset(mac for mac in stations if is_station(intent, (vni, mac)))
            if ours[vni]:
                refused += [_refused(vni, route, "local-mac") for route in kind if route.mac in ours[vni]]
            first = next(
                (route for route in kind if is_like_others(route.mac, policy) and route.mac not in ours[vni]), None
            )
            if first is not None:
                usable.setdefault(vni, []).append((first, kind))
    rows = tuple(_host(vni, ip, found, ours[vni] | policy.own_macs) for vni, found in sorted(usable.items()))
    return rows, tuple(sorted(refused, key=lambda one: (one.vni, one.mac, one.rd, one.peer.order)))


def _refused(vni: Vni, route: MacIp, reason: str) -> RefusedHost:
    return RefusedHost(vni, cast("Ip", route.ip), route.mac, reason, route.peer, route.rd)


def _refusal(vni: Vni, ip: Ip, intent: Intent, rib: Rib, policy: Policy) -> str:
    """Return why no MAC can have this address, or nothing."""
    if reason := policy.refused_host(vni, ip):
        return reason
    is_local = any(key[0] == vni and (*key, ip) in intent.own for key in rib.index.homes_of(ip))
    return "local-host" if is_local else ""


def _host(vni: Vni, ip: Ip, kinds: list[tuple[MacIp, Ranked[MacIp]]], ours: frozenset[Mac]) -> Host:
    """Return the row, of the kinds with their first routes; the MACs of ours do not count."""
    winner = min((first for first, _ in kinds), key=_order)
    flags = winner.attributes.host_flags
    challengers = set()
    if flags & HOST_IMMUTABLE:
        for first, kind in kinds:
            last = next(route for route in reversed(kind) if route.mac not in ours)
            if not first.mac == last.mac == winner.mac:
                challengers.add(first.attributes.next_hop)
    return Host(
        vni=vni,
        ip=ip,
        mac=winner.mac,
        router=bool(flags & HOST_ROUTER),
        peer=winner.peer,
        rd=winner.rd,
        alerts=tuple(Alert("immutable", vtep) for vtep in sorted(challengers)),
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
        attributes.host_flags,  # two routes with different path identifiers
    )
