"""The projector of the VRFs: which prefixes are reached by which VTEPs, and what that needs.

A Type-5 route (RFC 9136) leads to a prefix. A Type-2 route with a second label leads to one host (RFC 9135). A VRF imports a
route by its Route Target. The topic is a prefix, and for each VRF that imports a route of it there is at most one row:

    route ──(refused?)──> candidate ──(order)──> row: paths ──> nexthop ──> router ──> router's MAC
                                                       └──────> group of nexthops, for several paths

**Which routes win.** A host's own routes (Type-2) come before a Type-5 route for the same prefix, because they follow the host.
Of those the highest sequence number wins (RFC 7432 15), then the lowest VTEP; further VTEPs count only if the host's Ethernet
segment has them as well. Of Type-5 routes those are best that are not long-lived stale (RFC 9494), then by LOCAL_PREF, by the
length of the AS path, by ORIGIN, and by MED among those of one neighboring AS (RFC 4271 9.1). All VTEPs of the best are paths, up to `max_paths`, the lowest addresses first.

**A gateway.** A Type-5 route may name a host as its gateway (RFC 9136 3.2, 4.1 and 4.2). It goes where that host is: by the winners
among the host's Type-2 routes in this VRF, with their Router's MACs. So it follows the host when that moves, and it is refused while
no route of the host can be used. The VTEP of the host routes the packet on to it.

**A segment.** A Type-5 route may name an Ethernet segment instead (RFC 9136 4.3). It goes to the VTEPs that have the segment, by their
Type-1 routes (`overlay.py`), and is refused while there is none. A route that names both is refused (RFC 9136 3.2).

**The router's MAC.** A VTEP sends its packets into the L3VNI to the MAC of the remote router, and there is one neighbor row for
each VTEP. So a VTEP has one MAC in use. Another MAC, in another route of that VTEP, is a conflict: the one in use stays as long
as any path names it. Then the one that most paths name follows, and of equals the lowest. A route without the MAC is refused,
because RFC 9136 4.4.1 requires it, and a made-up MAC would cut off every other prefix of the VTEP.

**Nexthops.** Prefixes with the same paths share a nexthop. Its identifier is made from what it is, so that a daemon that starts
again finds the objects of the one before it. Identifiers begin at `SINGLES` and `GROUPS`, far from those of other programs. Peers
choose the VTEPs, so two nexthops may be made to have the same hash; each next attempt is then another hash.

**Another VRF's L3VNI.** A VRF may import routes of another one, which have that one's label. Packets go into the VNI of the label, as
the leaf that advertises it expects (RFC 9136 4.4.1, RFC 8365 5.1.2: a VNI of downstream). So the nexthop is one of the other VRF, which
must be on this leaf as well; otherwise the route is refused (`vni-mismatch`). All paths of a row leave by one L3VNI. Of equal routes
that of the VRF's own L3VNI is better, and then that of the lowest.

**Values that prefixes share.** What is said of most prefixes is said of thousands (`vtep.evpn.routed`). Within a step such a set of
routes is judged once for all of them (`_Judged`), so they share their verdicts and their rows, which do not name the prefix. What is
counted of a row is counted once, with the number of its prefixes.

**The limit.** A VRF has at most `max_prefixes` prefixes, or else `limits.prefixes_per_vrf`. Those that have a row keep it, so a new prefix
cuts off no other one, and others wait until there is room. Of those that come together the lowest are taken.
"""

from collections import Counter
from collections.abc import Callable, Collection, Container, Hashable, Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import chain, islice
from typing import Any, Final, TypeAlias

from msgspec import Struct, structs

from vtep.addr import MAX_ESI, NO_SEGMENT, Esi, Ip, Mac, Prefix, Vni
from vtep.config.model import VrfConfig
from vtep.evpn.attributes import ENCAP_VXLAN
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.prefix import IpPrefix
from vtep.evpn.routed import PrefixRoute
from vtep.intent import (
    GROUPS,
    SINGLES,
    Intent,
    Nexthop,
    NexthopTarget,
    Path,
    PrefixKey,
    PrefixPath,
    PrefixRow,
    Router,
    RouterKey,
    RouterMacKey,
)
from vtep.projection.identifier import identifiers
from vtep.projection.overlay import Behind, Overlay, overlay
from vtep.projection.policy import Policy
from vtep.projection.projector import Inputs
from vtep.store.table import Table

GATEWAYS_MAX: Final = 64
"""Gateways of one prefix that are resolved, and routes of one gateway that are judged for it, the oldest."""
FREED_AT_ONCE: Final = 4096
"""Prefixes that get room together, at least. As many as were judged are enough, because room comes from those; after a reload, which
may give more room, every prefix is judged again."""
SORTED_AT_ONCE: Final = 4096
"""Of so many prefixes that wait, the lowest get room first. Of more it is any of them, because to sort them takes long."""
ROUTES_MAX: Final = 1024
"""Routes to one prefix that are judged, the oldest: a peer chooses how many Route Distinguishers it uses, and each change of one of
them judges the prefix again."""


def project_prefixes(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the rows of the prefixes that changed, and whether that changed its meaning."""
    if not inputs.changed.prefixes or not (inputs.policy.vrfs or intent.judged_prefixes):
        return _untouched(intent), False
    draft = _Draft(intent, inputs)
    draft.judge_all(inputs.changed.prefixes)
    for prefix in draft.freed():
        draft.judge(prefix)
    return draft.apply()


Resolve: TypeAlias = Callable[[Ip, VrfConfig], Sequence[PrefixPath]]
"""Returns the winning paths to a gateway in a VRF."""
ResolveSegment: TypeAlias = Callable[[IpPrefix, VrfConfig], Sequence[Behind]]
"""Returns the VTEPs that have the segment of a route, as a VRF reaches them."""


def judge_prefix(
    prefix: Prefix,
    routes: Iterable[PrefixRoute],
    policy: Policy,
    local: Container[str] = (),
    resolve: Resolve = lambda *_: (),
    resolve_segment: ResolveSegment = lambda *_: (),
) -> tuple[list[PrefixPath], list[VrfConfig]]:
    """Return every route to a prefix as each VRF judges it, and the VRFs for which there is one that is not refused.

    `local` names the VRFs in which a station of this leaf has the address. `resolve` says where a gateway is, and
    `resolve_segment` where a segment is.
    """
    found: list[PrefixPath] = []
    indexes: set[Ip | Esi] = set()
    for number, route in enumerate(routes):
        if number == ROUTES_MAX:
            found.append(_path(route, Vni(0), "refused", "prefix-limit"))
            break
        imports = policy.vrf_imports(route.attributes.targets)
        if not imports and not isinstance(route, MacIp):
            reason = "rt-mismatch" if route.attributes.targets else "rt-missing"
            found.append(_path(route, Vni(0), "refused", reason))
        for vrf in imports:
            if reason := _refusal(route, prefix, vrf, policy, local):
                found.append(_path(route, vrf.vni, "refused", reason))
            elif not isinstance(route, MacIp) and route.gateway is not None:
                indexes.add(route.gateway)
                there = resolve(route.gateway, vrf) if len(indexes) <= GATEWAYS_MAX else ()
                found += _by_gateway(_path(route, vrf.vni, "lost", "candidate"), there)
            elif not isinstance(route, MacIp) and route.esi != NO_SEGMENT:
                indexes.add(route.esi)
                behind = resolve_segment(route, vrf) if len(indexes) <= GATEWAYS_MAX and len(found) < ROUTES_MAX else ()
                found += _by_segment(_path(route, vrf.vni, "lost", "candidate"), behind, policy)
            else:
                found.append(_path(route, vrf.vni, "lost", "candidate"))
    usable = {path.vni for path in found if path.verdict != "refused"}
    return found, [policy.vrfs[vni] for vni in sorted(usable)]


def choose(candidates: Sequence[PrefixPath], max_paths: int) -> list[tuple[str, str]]:
    """Return for each candidate whether it won or lost, and why. All are usable routes to one prefix in one VRF.

    routes                                                   outcome
    Type-2 by 10.0.0.1, Type-5 by 10.0.0.2                   10.0.0.1 alone; the other lost by `host-route`
    Type-5 by 10.0.0.1 and by 10.0.0.2, all else equal       both, `ecmp`
    the same, with `max_paths` = 1                           10.0.0.1; the other lost by `max-paths`
    two Type-5 routes by 10.0.0.1 with different RDs         10.0.0.1 once; the second lost by `total-order`
    Type-5 with LOCAL_PREF 200 by .2, and with 100 by .1     10.0.0.2; the other lost by `local-pref`
    """
    if len(candidates) == 1:
        return [("won", "only-path")]
    hosts = [place for place, path in enumerate(candidates) if path.mac is not None]
    outcomes = [("lost", "host-route")] * len(candidates)
    if hosts:
        in_order = sorted(hosts, key=lambda place: _host_order(candidates[place]))
        first = candidates[in_order[0]]
        equal = [place for place in in_order if _is_same_host(candidates[place], first)]
        for place in hosts:
            path = candidates[place]
            stale = path.llgr_stale and not first.llgr_stale
            outcomes[place] = (
                "lost",
                "llgr-stale" if stale else "higher-seq" if path.seq < first.seq else "lower-vtep",
            )
    else:
        best = min(map(_preference, candidates))
        for place, path in enumerate(candidates):
            outcomes[place] = ("lost", _why_worse(_preference(path), best))
        equal = [place for place, path in enumerate(candidates) if _preference(path) == best]
        equal = _nearest(candidates, equal, outcomes)
        equal.sort(key=lambda place: _order(candidates[place]))
    vteps: set[Ip] = set()
    for place in equal:
        vtep = candidates[place].vtep
        if vtep in vteps:
            outcomes[place] = ("lost", "total-order")
        elif len(vteps) == max_paths:
            outcomes[place] = ("lost", "max-paths")
        else:
            vteps.add(vtep)
            outcomes[place] = ("won", "ecmp")
    if len(vteps) == 1:
        reason = _why_alone(outcomes)
        outcomes = [(verdict, reason if verdict == "won" else why) for verdict, why in outcomes]
    return outcomes


def _is_same_host(path: PrefixPath, first: PrefixPath) -> bool:
    """Return whether a path leads to the same machine over the same Ethernet segment as the first one, or is that one."""
    if path is first:
        return True
    same = (path.esi, path.mac, path.via) == (first.esi, first.mac, first.via)
    return same and path.esi not in (NO_SEGMENT, MAX_ESI)


def _why_alone(outcomes: Sequence[tuple[str, str]]) -> str:
    """Return why the only path won: the rule by which its nearest rival lost."""
    reasons = {reason for verdict, reason in outcomes if verdict == "lost"}
    order = (
        *("lower-vtep", "higher-seq", "other-l3vni", "med", "origin", "as-path", "local-pref", "llgr-stale"),
        *("host-route", "max-paths", "total-order"),
    )
    return next((reason for reason in order if reason in reasons), "only-path")


def _preference(path: PrefixPath) -> tuple[bool, int, int, int]:
    return (path.llgr_stale, -path.local_pref, path.as_path_length, path.origin)


def _why_worse(path: tuple[bool, int, int, int], best: tuple[bool, int, int, int]) -> str:
    """Return the first rule by which a path is worse than the best one; nothing if it is as good."""
    rules = zip(("llgr-stale", "local-pref", "as-path", "origin"), path, best, strict=True)
    return next((rule for rule, mine, other in rules if mine != other), "")


def _nearest(candidates: Sequence[PrefixPath], equal: list[int], outcomes: list[tuple[str, str]]) -> list[int]:
    """Leave out of equals those with another MED, and then those by another L3VNI, than the best ones.

    A MED counts only against routes of the same neighboring AS (RFC 4271 9.1.2.2 c), so each such AS keeps its best.
    """
    least: dict[int, int] = {}
    for place in equal:
        path = candidates[place]
        least[path.neighbor_as] = min(path.med, least.get(path.neighbor_as, path.med))
    near = [place for place in equal if candidates[place].med == least[candidates[place].neighbor_as]]
    via = min(candidates[place].via for place in near)
    for place in equal:
        path = candidates[place]
        outcomes[place] = ("lost", "med" if path.med != least[path.neighbor_as] else "other-l3vni")
    return [place for place in near if candidates[place].via == via]


def _order(path: PrefixPath) -> tuple[object, ...]:
    """Return the order of equals. Only the Router's MAC tells apart two routes whose keys differ in bits beyond the length."""
    return (path.vtep.order, path.rd, path.peer.order, path.router_mac or b"")


def _host_order(path: PrefixPath) -> tuple[object, ...]:
    return (path.llgr_stale, -path.seq, *_order(path))


def _by_gateway(path: PrefixPath, there: Sequence[PrefixPath]) -> Iterator[PrefixPath]:
    """Yield the path once for each place where its gateway is."""
    if not there:
        yield structs.replace(path, verdict="refused", reason="gateway-unresolved")
    for host in there:
        yield structs.replace(path, vtep=host.vtep, router_mac=host.router_mac, via=host.via)


def _by_segment(path: PrefixPath, behind: Sequence[Behind], policy: Policy) -> Iterator[PrefixPath]:
    """Yield the path once for each VTEP that has its segment."""
    if not behind:
        yield structs.replace(path, verdict="refused", reason="segment-unresolved")
    for vtep, mac in behind:
        router_mac = path.router_mac if mac is None else mac
        reason = _refused_router_mac(router_mac, policy)
        verdict = ("refused", reason) if reason else (path.verdict, path.reason)
        yield structs.replace(path, vtep=vtep, router_mac=router_mac, verdict=verdict[0], reason=verdict[1])


def _path(route: PrefixRoute, vni: Vni, verdict: str, reason: str) -> PrefixPath:
    attributes, is_host = route.attributes, isinstance(route, MacIp)
    notes = () if attributes.encapsulations else ("encap-default",)
    label = (route.label2 or 0) if isinstance(route, MacIp) else route.label
    gateway = None if isinstance(route, MacIp) else route.gateway
    leaves_by_label = gateway is None and (is_host or route.esi == NO_SEGMENT)
    return PrefixPath(
        vni=vni,
        verdict=verdict,
        reason=reason,
        vtep=attributes.next_hop,
        router_mac=attributes.router_mac,
        peer=route.peer,
        rd=route.rd,
        label=label,
        via=Vni(label) if label and vni and label != vni and leaves_by_label else Vni(0),
        mac=route.mac if isinstance(route, MacIp) else None,
        seq=attributes.seq if is_host else 0,
        gateway=gateway,
        esi=route.esi,
        notes=notes,
        local_pref=attributes.local_pref,
        as_path_length=attributes.as_path_length,
        origin=attributes.origin,
        med=attributes.med,
        neighbor_as=attributes.neighbor_as,
        llgr_stale=attributes.llgr_stale,
    )


def _refusal(route: PrefixRoute, prefix: Prefix, vrf: VrfConfig, policy: Policy, local: Container[str]) -> str:
    """Return why the route may not win in this VRF, or nothing: the first that applies, in the order of docs/reasons.md."""
    attributes = route.attributes
    label = route.label2 if isinstance(route, MacIp) else route.label
    gateway = None if isinstance(route, MacIp) else route.gateway
    segment = NO_SEGMENT if isinstance(route, MacIp) else route.esi
    has_index = gateway is not None or segment != NO_SEGMENT
    if has_index:
        label = vrf.vni  # it does not matter then, and neither does the Router's MAC (RFC 9136 3.2)
    if not label and not policy.trusts_targets:
        return "bad-vni"
    if reason := policy.refused_next_hop(attributes.next_hop):
        return reason
    if attributes.encapsulations and ENCAP_VXLAN not in attributes.encapsulations:
        return "encap"
    if label and label not in policy.vrfs:
        return "vni-mismatch"
    if not policy.vrfs.get(Vni(label or 0), vrf).reaches(attributes.next_hop):
        return "family-mismatch"
    if segment == MAX_ESI or (gateway is not None and segment != NO_SEGMENT):
        return "overlay-index"
    if not has_index and (reason := _refused_router_mac(attributes.router_mac, policy)):
        return reason
    if isinstance(route, MacIp) and vrf.name in local:
        return "local-host"
    return refused_prefix(prefix)


def _refused_router_mac(mac: Mac | None, policy: Policy) -> str:
    if mac is None:
        return "router-mac-missing"
    if not mac.is_usable:
        return "bad-router-mac"
    return "self-mac" if mac in policy.own_macs else ""


def refused_prefix(prefix: Prefix) -> str:
    """Return why packets to this prefix are never routed: it is link-local, multicast or loopback (RFC 1122 3.2.1.3, RFC 4291)."""
    if not prefix.length:
        return ""
    first = prefix[0]
    if prefix.is_v6:
        bad = first == 0xFF or (first == 0xFE and prefix.length >= 10 and prefix[1] & 0xC0 == 0x80)
        host = prefix.host
        return "bad-prefix" if bad or (host is not None and int.from_bytes(prefix.network) <= 1) else ""
    return "bad-prefix" if first == 127 or first >= 224 or (first == 0 and prefix.length >= 8) else ""


_MAY_BE_REFUSED: Final = frozenset((0, 127, *range(224, 256)))
"""The first octets of prefixes, of either family, that `refused_prefix` may refuse."""


def _untouched(intent: Intent) -> Intent:
    if not (intent.touched_prefixes or intent.touched_nexthops or intent.touched_routers or intent.touched_router_macs):
        return intent
    return structs.replace(intent, touched_prefixes=(), touched_nexthops=(), touched_routers=(), touched_router_macs=())


class _Draft:
    """What is different from the previous intent, while it is being worked out."""

    def __init__(self, previous: Intent, inputs: Inputs) -> None:
        self.previous = previous
        self.inputs = inputs
        self.rows: dict[Prefix, tuple[PrefixRow, ...] | None] = {}
        """The rows that differ, one for each VRF with a usable route; None if there is no row any more."""
        self.judged: dict[Prefix, tuple[PrefixPath, ...] | None] = {}
        """Every route of the prefixes that were judged, with its verdict; None if there is no route."""
        self.nexthops: dict[int, Nexthop] = {}
        """The nexthops that are new or have another number of users. Without users, one is removed at the end."""
        self.ids: dict[NexthopTarget, int] = {}
        """The identifiers of the new ones, by what they lead to."""
        self.claims: dict[RouterKey, Counter[Mac]] = {}
        """How many more, or fewer, paths to a router name each MAC."""
        self.counts: Counter[Vni] = Counter()
        """How many more, or fewer, rows a VRF has."""
        self.touched: list[PrefixKey] = []
        self.limited: dict[Vni, dict[Prefix, bool | None]] = {}
        """Prefixes that wait for room in a full VRF (True), or no longer wait (None)."""
        self.sets: dict[tuple[int, bool, str], _Judged] = {}
        """What was judged for all prefixes with the same routes: by their identity, the family and why the prefix is refused."""
        self.rows_once: dict[tuple[PrefixRow, ...], tuple[PrefixRow, ...]] = {}
        """Each set of rows that was made, once."""
        self.uses: dict[int, list[Any]] = {}
        """Sets of rows, by identity, each with how many more, or fewer, prefixes have it."""
        self.gateways: dict[tuple[Ip, Vni], tuple[PrefixPath, ...]] = {}
        """Where each gateway is that was asked for; thousands of prefixes may name the same one."""
        self.segments: dict[tuple[Esi, int, Vni], Overlay] = {}
        """What is said of segments, by their tag and the VRF. Many next hops share it."""

    def judge_all(self, prefixes: Collection[Prefix]) -> None:
        """Judge prefixes for the first time in this step: once for all that have the same routes, and had the same rows.

        Near the limit of a VRF each prefix is judged by itself, because there may be room for some of them only.
        """
        if self._is_near_limit(len(prefixes)):
            for prefix in sorted(prefixes, key=_in_order):
                self.judge(prefix)
            return
        prefixes = list(prefixes)
        alike: dict[Hashable, tuple[tuple[PrefixRoute, ...], tuple[PrefixRow, ...], list[Prefix]]] = {}
        routes_of_each, rows_of_each = (
            self.inputs.rib.index.prefixes.of_each(prefixes),
            self.previous.prefixes.of(prefixes),
        )
        for prefix, routes, rows in zip(prefixes, routes_of_each, rows_of_each, strict=True):
            together = (id(routes), id(rows), prefix if prefix[0] in _MAY_BE_REFUSED else len(prefix))
            found = alike.get(together)
            if found is None:
                alike[together] = (routes, rows or (), [prefix])
            else:
                found[2].append(prefix)
        for routes, before, group in alike.values():
            judged = self._judged(group[0], routes)
            self._take(group, before, judged.paths, judged.rows)

    def judge(self, prefix: Prefix) -> None:
        """Judge the routes to a prefix."""
        judged = self._judged(prefix, self.inputs.rib.index.prefixes.of(prefix))
        before = self._rows_of(prefix)
        vrfs = self._within_limit(prefix, judged, before)
        if vrfs is None:
            paths, after = judged.paths, judged.rows
        else:
            candidates = list(judged.candidates)
            self._refuse_full(judged.vrfs, vrfs, candidates)
            after = self._rows_for(prefix, vrfs, candidates)
            paths = tuple(candidates)
        self._take([prefix], before, paths, after)

    def _take(
        self,
        prefixes: list[Prefix],
        before: tuple[PrefixRow, ...],
        paths: tuple[PrefixPath, ...],
        after: tuple[PrefixRow, ...],
    ) -> None:
        """Note what became of the routes to these prefixes, and their rows, in the place of those before."""
        self.judged.update(dict.fromkeys(prefixes, paths or None))
        if after is before or after == before:
            return
        self.rows.update(dict.fromkeys(prefixes, after or None))
        self._use_rows(after, len(prefixes))
        self._use_rows(before, -len(prefixes))
        changed = {row.vni: row for row in before}
        for row in after:
            if (old := changed.pop(row.vni, None)) is None or (old.nexthop, old.metric) != (row.nexthop, row.metric):
                changed[row.vni] = row
        for vni in changed:
            self.touched += [(vni, prefix) for prefix in prefixes]

    def _is_near_limit(self, more: int) -> bool:
        """Return whether a VRF may be full after so many more prefixes, or is."""
        if self.previous.limited_prefixes:
            return True
        policy = self.inputs.policy
        return any(self._rows(vni) > policy.most_prefixes(vni) - more for vni in policy.vrfs)

    def _judged(self, prefix: Prefix, routes: tuple[PrefixRoute, ...]) -> "_Judged":
        """Judge the routes to a prefix as if there was no limit; once for all prefixes with the same ones.

        A host's own routes are its own, so they are judged alone.
        """
        shares = bool(routes) and not any(isinstance(route, MacIp) for route in routes)
        key = (id(routes), prefix.is_v6, refused_prefix(prefix))
        if shares and (known := self.sets.get(key)) is not None:
            return known
        local = frozenset[str]() if shares else frozenset(self._local_vrfs(prefix))
        candidates, vrfs = judge_prefix(prefix, routes, self.inputs.policy, local, self._resolve, self._resolve_segment)
        paths = list(candidates)
        rows = self._rows_for(prefix, vrfs, paths)
        judged = _Judged(routes, tuple(candidates), vrfs, tuple(paths), rows)
        if shares:
            self.sets[key] = judged
        return judged

    def _rows_for(
        self, prefix: Prefix, vrfs: Sequence[VrfConfig], candidates: list[PrefixPath]
    ) -> tuple[PrefixRow, ...]:
        rows = tuple(self._row(prefix, vrf, candidates) for vrf in vrfs)
        return self.rows_once.setdefault(rows, rows)

    def _rows_of(self, prefix: Prefix) -> tuple[PrefixRow, ...]:
        if prefix in self.rows:
            return self.rows[prefix] or ()
        found: tuple[PrefixRow, ...] = self.previous.prefixes.get(prefix, ())
        return found

    def _resolve(self, gateway: Ip, vrf: VrfConfig) -> tuple[PrefixPath, ...]:
        """Return the paths to a gateway: those that win among its Type-2 routes. Many prefixes share it."""
        found = self.gateways.get((gateway, vrf.vni))
        if found is None:
            prefix = Prefix.of(gateway, 8 * len(gateway))
            routes = (one for one in self.inputs.rib.index.prefixes.of(prefix) if isinstance(one, MacIp))
            local = frozenset(self._local_vrfs(prefix))
            judged, _ = judge_prefix(prefix, islice(routes, GATEWAYS_MAX), self.inputs.policy, local)
            usable = [path for path in judged if path.vni == vrf.vni and path.verdict != "refused"]
            outcomes = zip(usable, choose(usable, vrf.max_paths) if usable else (), strict=True)
            found = tuple(path for path, (verdict, _) in outcomes if verdict == "won")
            self.gateways[gateway, vrf.vni] = found
        return found

    def _resolve_segment(self, route: IpPrefix, vrf: VrfConfig) -> tuple[Behind, ...]:
        """Return the VTEPs that have the segment of a route."""
        asked = (route.esi, route.tag, vrf.vni)
        found = self.segments.get(asked)
        if found is None:
            found = self.segments[asked] = overlay(self.inputs.rib, self.inputs.policy, vrf, route.esi, route.tag)
        return found.behind(route.attributes.next_hop)

    def _within_limit(self, prefix: Prefix, judged: "_Judged", before: Sequence[PrefixRow]) -> list[VrfConfig] | None:
        """Return the VRFs that have room for the prefix, or None if all have. A prefix with a row keeps it."""
        policy, vrfs = self.inputs.policy, judged.vrfs
        full = {vrf.vni for vrf in vrfs if self._rows(vrf.vni) >= policy.most_prefixes(vrf.vni)}
        full -= {row.vni for row in before}
        if full or self.limited or self.previous.limited_prefixes:
            waited = {vni for vni, found in self.previous.limited_prefixes.unordered() if prefix in found}
            for vni in full | waited | {vni for vni, found in self.limited.items() if found.get(prefix)}:
                self.limited.setdefault(vni, {})[prefix] = vni in full or None
        return [vrf for vrf in vrfs if vrf.vni not in full] if full else None

    @staticmethod
    def _refuse_full(vrfs: Sequence[VrfConfig], left: Sequence[VrfConfig], candidates: list[PrefixPath]) -> None:
        """Refuse the routes of the VRFs that have no room left."""
        full = {vrf.vni for vrf in vrfs} - {vrf.vni for vrf in left}
        for place, path in enumerate(candidates):
            if path.vni in full and path.verdict != "refused":
                candidates[place] = structs.replace(path, verdict="refused", reason="vrf-limit")

    def _rows(self, vni: Vni) -> int:
        return int(self.previous.prefixes_of_vrf.get(vni, 0)) + self.counts[vni]

    def freed(self) -> list[Prefix]:
        """Return prefixes for which there is room now in a VRF that was full."""
        freed: list[Prefix] = []
        for vni in self.limited.keys() | {vni for vni, _ in self.previous.limited_prefixes.unordered()}:
            most = max(FREED_AT_ONCE, len(self.inputs.changed.prefixes))
            room = min(self.inputs.policy.most_prefixes(vni) - self._rows(vni), most)
            now, before = self.limited.get(vni, {}), self.previous.limited_prefixes.get(vni, _NO_PREFIXES)
            waiting = chain(
                (prefix for prefix, _ in before.unordered() if prefix not in now),
                (prefix for prefix, waits in now.items() if waits),
            )
            if room > 0:
                freed += nsmallest(room, islice(waiting, max(room, SORTED_AT_ONCE)), key=_in_order)
        return freed

    def _local_vrfs(self, prefix: Prefix) -> Iterator[str]:
        """Yield the VRFs in which a station of ours has the address and has not lost it to a better route."""
        rib, policy = self.inputs.rib, self.inputs.policy
        for vni, mac in () if (host := prefix.host) is None else rib.index.homes_of(host):
            claim, configured = rib.local_claim(vni, mac), policy.vnis.get(vni)
            if claim is not None and not claim.lost and configured is not None and vni in rib.announcing:
                yield configured.vrf

    def _row(self, prefix: Prefix, vrf: VrfConfig, candidates: list[PrefixPath]) -> PrefixRow:
        reason, via = "", Vni(0)
        places = [place for place, path in enumerate(candidates) if path.vni == vrf.vni and path.verdict != "refused"]
        paths = []
        for place, outcome in zip(places, choose([candidates[place] for place in places], vrf.max_paths), strict=True):
            path = candidates[place] = structs.replace(candidates[place], verdict=outcome[0], reason=outcome[1])
            if path.verdict == "won" and path.router_mac is not None:
                paths.append(Path(path.vtep, path.router_mac))
                reason, via = path.reason, path.via
        paths.sort(key=lambda path: path.vtep.order)
        vteps = tuple(path.vtep for path in paths)
        return PrefixRow(
            vrf.vni, tuple(paths), self._nexthop(via or vrf.vni, vteps, prefix.is_v6), reason, via, vrf.metric
        )

    def _nexthop(self, vni: Vni, vteps: tuple[Ip, ...], is_v6: bool) -> int:
        """Return the identifier of a nexthop to these VTEPs, and make it if it is new; many prefixes share it."""
        target = (vni, vteps, is_v6 or all(vtep.is_v6 for vtep in vteps))
        found = self._known(target)
        if found is None:
            found = self.ids[target] = next(number for number in _identifiers(target) if self._at(number) is None)
            members = () if len(vteps) == 1 else tuple(self._nexthop(vni, (vtep,), target[2]) for vtep in vteps)
            self.nexthops[found] = Nexthop(vni, found, vteps, target[2], members)
        return found

    def _known(self, target: NexthopTarget) -> int | None:
        found = self.ids.get(target)
        return self.previous.nexthop_ids.get(target) if found is None else found

    def _at(self, number: int) -> Nexthop | None:
        found = self.nexthops.get(number)
        return self.previous.nexthops.get(number) if found is None else found

    def _use_rows(self, rows: tuple[PrefixRow, ...], change: int) -> None:
        """Note that one prefix more, or fewer, has these rows. What follows is counted at the end (`_count`)."""
        for row in rows:
            self.counts[row.vni] += change
        found = self.uses.get(id(rows))
        if found is None:
            self.uses[id(rows)] = [rows, change]
        else:
            found[1] += change

    def _count(self) -> None:
        """Count what the rows use, or used. What is used more comes first, so that what both use keeps its identifier."""
        for rows, change in sorted(self.uses.values(), key=lambda found: -found[1]):
            for row in rows if change else ():
                self._use(row.nexthop, change)
                for path in row.paths:
                    self.claims.setdefault((row.l3vni, path.vtep), Counter())[path.router_mac] += change

    def _use(self, number: int, change: int) -> None:
        found = self._at(number)
        assert found is not None
        after = self.nexthops[number] = structs.replace(found, users=found.users + change)
        if bool(after.users) != bool(found.users):
            for member in after.members:
                self._use(member, 1 if after.users else -1)

    def apply(self) -> tuple[Intent, bool]:
        """Return the previous intent with all changes, and whether they changed its meaning."""
        self._count()
        previous = self.previous
        nexthops = {number: found if found.users > 0 else None for number, found in self.nexthops.items()}
        touched_nexthops = [
            (found.vni, number)
            for number, found in self.nexthops.items()
            if (found.users > 0) != (previous.nexthops.get(number) is not None)
        ]
        routers = dict(self._routers())
        macs, touched_macs = self._router_macs(routers)
        touched_routers = tuple(
            key for key, router in routers.items() if _meaning(router) != _meaning(previous.routers.get(key))
        )
        projected = structs.replace(
            previous,
            prefixes=previous.prefixes.changed(self.rows),
            judged_prefixes=previous.judged_prefixes.changed(self.judged),
            nexthops=previous.nexthops.changed(nexthops),
            nexthop_ids=previous.nexthop_ids.changed(
                {
                    (found.vni, found.vteps, found.is_v6): number if found.users > 0 else None
                    for number, found in self.nexthops.items()
                    if found.users <= 0 or number not in previous.nexthops
                }
            ),
            routers=previous.routers.changed(routers),
            router_macs=previous.router_macs.changed(macs),
            prefixes_of_vrf=previous.prefixes_of_vrf.changed(
                {
                    vni: (previous.prefixes_of_vrf.get(vni, 0) + change) or None
                    for vni, change in self.counts.items()
                    if change
                }
            ),
            limited_prefixes=previous.limited_prefixes.changed(
                {
                    vni: previous.limited_prefixes.get(vni, _NO_PREFIXES).changed(found) or None
                    for vni, found in self.limited.items()
                }
            ),
            touched_prefixes=tuple(self.touched),
            touched_nexthops=tuple(touched_nexthops),
            touched_routers=touched_routers,
            touched_router_macs=touched_macs,
        )
        return projected, bool(self.touched or touched_nexthops or touched_routers)

    def _routers(self) -> Iterator[tuple[RouterKey, Router | None]]:
        """Yield each router whose claims were counted again; None for one to which no path leads any more.

        Its MAC stays as long as any path names it. The neighbor row therefore stays with most routes that come.
        """
        for key, more in self.claims.items():
            vni, vtep = key
            before = self.previous.routers.get(key)
            known = _NO_CLAIMS if before is None else before.claims
            claims = known.changed({mac: known.get(mac, 0) + count or None for mac, count in more.items() if count})
            if not claims:
                yield key, None
                continue
            if before is not None and before.mac in claims:
                mac = before.mac
            else:
                _, mac = min((-count, mac) for mac, count in claims.unordered())
            families = tuple(is_v6 for is_v6 in (False, True) if self._has_nexthop(vni, vtep, is_v6=is_v6))
            yield key, Router(vni, vtep, mac, claims, (0 if before is None else before.paths) + more.total(), families)

    def _has_nexthop(self, vni: Vni, vtep: Ip, *, is_v6: bool) -> bool:
        number = self._known((vni, (vtep,), is_v6))
        found = None if number is None else self._at(number)
        return found is not None and found.users > 0

    def _router_macs(
        self, routers: dict[RouterKey, Router | None]
    ) -> tuple[dict[RouterMacKey, tuple[Ip, ...] | None], tuple[RouterMacKey, ...]]:
        """Return the VTEPs of each router's MAC that changed, and the MACs whose first VTEP changed."""
        now: dict[RouterMacKey, set[Ip]] = {}
        for key, router in routers.items():
            vni, vtep = key
            old = self.previous.routers.get(key)
            for found, present in ((old, False), (router, True)):
                if found is None:
                    continue
                at = (vni, found.mac)
                vteps = now.setdefault(at, set(self.previous.router_macs.get(at, ())))
                (vteps.add if present else vteps.discard)(vtep)
        macs = {key: tuple(sorted(vteps, key=lambda ip: ip.order)) or None for key, vteps in now.items()}
        touched = tuple(
            key
            for key, vteps in macs.items()
            if (vteps or (None,))[0] != (self.previous.router_macs.get(key) or (None,))[0]
        )
        return macs, touched


class _Judged(Struct, frozen=True):
    """What is said of a prefix, as it was judged: for thousands of prefixes, if it is said of them."""

    routes: tuple[PrefixRoute, ...]
    """Held, so that no other routes get their identity."""
    candidates: tuple[PrefixPath, ...]
    """Every route as each VRF judges it, before they are compared."""
    vrfs: list[VrfConfig]
    paths: tuple[PrefixPath, ...]
    """The same, with the winners."""
    rows: tuple[PrefixRow, ...]


def _in_order(prefix: Prefix) -> Any:
    return prefix.order


_NO_CLAIMS: Final[Table[Mac, int]] = Table()
_NO_PREFIXES: Final[Table[Prefix, bool]] = Table()


def _identifiers(target: NexthopTarget) -> Iterator[int]:
    """Return the identifiers that a nexthop may have, in the order in which they are tried."""
    vni, vteps, is_v6 = target
    base = SINGLES if len(vteps) == 1 else GROUPS
    return identifiers(base, b"".join((vni.to_bytes(3), bytes((is_v6,)), *(vtep.mapped for vtep in vteps))))


def _meaning(router: Router | None) -> tuple[Mac, tuple[bool, ...]] | None:
    return None if router is None else (router.mac, router.families)
