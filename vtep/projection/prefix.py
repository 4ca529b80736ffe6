"""The projector of the VRFs: which prefixes are reached by which VTEPs, and what that needs.

A Type-5 route (RFC 9136) leads to a prefix. A Type-2 route with a second label leads to one host (RFC 9135). A VRF imports a
route by its Route Target. The topic is a prefix, and for each VRF that imports a route of it there is at most one row:

    route ──(refused?)──> candidate ──(order)──> row: paths ──> nexthop ──> router ──> router's MAC
                                                       └──────> group of nexthops, for several paths

**Which routes win.** A host's own routes (Type-2) come before a Type-5 route for the same prefix, because they follow the host.
Of those the highest sequence number wins (RFC 7432 15), then the lowest VTEP; further VTEPs count only if the host's Ethernet
segment has them as well. Type-5 routes are equal, so all their VTEPs are paths, up to `max_paths`, the lowest addresses first.

**The router's MAC.** A VTEP sends its packets into the L3VNI to the MAC of the remote router, and there is one neighbor row for
each VTEP. So a VTEP has one MAC in use. Another MAC, in another route of that VTEP, is a conflict: the one in use stays as long
as any path names it. Then the one that most paths name follows, and of equals the lowest. A route without the MAC is refused,
because RFC 9136 4.4.1 requires it, and a made-up MAC would cut off every other prefix of the VTEP.

**Nexthops.** Prefixes with the same paths share a nexthop. Its identifier is made from what it is, so that a daemon that starts
again finds the objects of the one before it. Identifiers begin at `SINGLES` and `GROUPS`, far from those of other programs.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final
from zlib import crc32

from msgspec import structs

from vtep.addr import MAX_ESI, NO_SEGMENT, Ip, Mac, Prefix, Vni
from vtep.config.model import VrfConfig
from vtep.evpn.attributes import ENCAP_VXLAN
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.routed import PrefixRoute
from vtep.intent import (
    GROUPS,
    SINGLES,
    Intent,
    Nexthop,
    Path,
    PrefixKey,
    PrefixPath,
    PrefixRow,
    Router,
    RouterKey,
    RouterMacKey,
)
from vtep.projection.policy import Policy
from vtep.projection.projector import Inputs

_ID_MASK: Final = 0x0FFF_FFFF
ROUTES_MAX: Final = 1024
"""Routes to one prefix that are judged, the oldest: a peer chooses how many Route Distinguishers it uses, and each change of one of
them judges the prefix again."""


def project_prefixes(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the rows of the prefixes that changed, and whether that changed its meaning."""
    if not inputs.changed.prefixes or not (inputs.policy.vrfs or intent.judged_prefixes):
        return _untouched(intent), False
    draft = _Draft(intent, inputs)
    for prefix in inputs.changed.prefixes:
        draft.judge(prefix)
    return draft.apply()


def judge_prefix(
    prefix: Prefix, routes: Iterable[PrefixRoute], policy: Policy, local: Container[str] = ()
) -> tuple[list[PrefixPath], list[VrfConfig]]:
    """Return every route to a prefix as each VRF judges it, and the VRFs for which there is one that is not refused.

    `local` names the VRFs in which a station of this leaf has the address.
    """
    found: list[PrefixPath] = []
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
            else:
                found.append(_path(route, vrf.vni, "lost", "candidate"))
    usable = {path.vni for path in found if path.verdict != "refused"}
    return found, [policy.vrfs[vni] for vni in sorted(usable)]


def choose(candidates: Sequence[PrefixPath], max_paths: int) -> list[tuple[str, str]]:
    """Return for each candidate whether it won or lost, and why."""
    if len(candidates) == 1:
        return [("won", "only-path")]
    hosts = [place for place, path in enumerate(candidates) if path.mac is not None]
    outcomes = [("lost", "host-route")] * len(candidates)
    if hosts:
        in_order = sorted(hosts, key=lambda place: _host_order(candidates[place]))
        first = candidates[in_order[0]]
        equal = [place for place in in_order if _is_same_host(candidates[place], first)]
        for place in hosts:
            outcomes[place] = ("lost", "higher-seq" if candidates[place].seq < first.seq else "lower-vtep")
    else:
        equal = sorted(range(len(candidates)), key=lambda place: _order(candidates[place]))
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
    return path is first or (path.esi not in (NO_SEGMENT, MAX_ESI) and (path.esi, path.mac) == (first.esi, first.mac))


def _why_alone(outcomes: Sequence[tuple[str, str]]) -> str:
    """Return why the only path won: the rule by which its nearest rival lost."""
    reasons = {reason for verdict, reason in outcomes if verdict == "lost"}
    order = ("lower-vtep", "higher-seq", "host-route", "max-paths", "total-order")
    return next((reason for reason in order if reason in reasons), "only-path")


def _order(path: PrefixPath) -> tuple[object, ...]:
    return (path.vtep.order, path.rd, path.peer.order)


def _host_order(path: PrefixPath) -> tuple[object, ...]:
    return (-path.seq, *_order(path))


def _path(route: PrefixRoute, vni: Vni, verdict: str, reason: str) -> PrefixPath:
    attributes, is_host = route.attributes, isinstance(route, MacIp)
    notes = () if attributes.encapsulations else ("encap-default",)
    return PrefixPath(
        vni=vni,
        verdict=verdict,
        reason=reason,
        vtep=attributes.next_hop,
        router_mac=attributes.router_mac,
        peer=route.peer,
        rd=route.rd,
        label=(route.label2 or 0) if isinstance(route, MacIp) else route.label,
        mac=route.mac if isinstance(route, MacIp) else None,
        seq=attributes.seq if is_host else 0,
        gateway=None if isinstance(route, MacIp) else route.gateway,
        esi=route.esi,
        notes=notes,
    )


def _refusal(route: PrefixRoute, prefix: Prefix, vrf: VrfConfig, policy: Policy, local: Container[str]) -> str:
    """Return why the route may not win in this VRF, or nothing: the first that applies, in the order of docs/reasons.md."""
    attributes = route.attributes
    label = route.label2 if isinstance(route, MacIp) else route.label
    if not label:
        return "bad-vni"
    if reason := policy.refused_next_hop(attributes.next_hop):
        return reason
    if attributes.encapsulations and ENCAP_VXLAN not in attributes.encapsulations:
        return "encap"
    if label != vrf.vni:
        return "vni-mismatch"
    if not vrf.reaches(attributes.next_hop):
        return "family-mismatch"
    if not isinstance(route, MacIp) and (route.gateway is not None or route.esi != NO_SEGMENT):
        return "overlay-index"
    mac = attributes.router_mac
    if mac is None:
        return "router-mac-missing"
    if not mac.is_usable:
        return "bad-router-mac"
    if mac in policy.own_macs:
        return "self-mac"
    if isinstance(route, MacIp) and vrf.name in local:
        return "local-host"
    return refused_prefix(prefix)


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
        self.judged: dict[Prefix, tuple[PrefixPath, ...] | None] = {}
        self.nexthops: dict[int, Nexthop] = {}
        self.ids: dict[tuple[Vni, tuple[Ip, ...], bool], int] = {}
        self.claims: dict[RouterKey, Counter[Mac]] = {}
        self.counts: Counter[Vni] = Counter()
        self.touched: list[PrefixKey] = []

    def judge(self, prefix: Prefix) -> None:
        """Judge the routes to a prefix. New rows are counted before old ones, so that what both use keeps its identifier."""
        policy, local = self.inputs.policy, frozenset(self._local_vrfs(prefix))
        candidates, vrfs = judge_prefix(prefix, self.inputs.rib.index.prefixes.of(prefix), policy, local)
        after = tuple(self._row(prefix, vrf, candidates) for vrf in vrfs)
        before = self.previous.prefixes.get(prefix, ())
        for row in after:
            self._count(row, 1)
        for row in before:
            self._count(row, -1)
        changed = {row.vni: row for row in before}
        for row in after:
            if (old := changed.pop(row.vni, None)) is None or old.nexthop != row.nexthop:
                changed[row.vni] = row
        self.touched += [(vni, prefix) for vni in changed]
        if after != before:
            self.rows[prefix] = after or None
        self.judged[prefix] = tuple(candidates) or None

    def _local_vrfs(self, prefix: Prefix) -> Iterator[str]:
        """Yield the VRFs in which a station of ours has the address and has not lost it to a better route."""
        rib, policy = self.inputs.rib, self.inputs.policy
        for vni, mac in () if (host := prefix.host) is None else rib.index.homes_of(host):
            claim, configured = rib.local_claim(vni, mac), policy.vnis.get(vni)
            if claim is not None and not claim.lost and configured is not None and vni in rib.announcing:
                yield configured.vrf

    def _row(self, prefix: Prefix, vrf: VrfConfig, candidates: list[PrefixPath]) -> PrefixRow:
        reason = ""
        places = [place for place, path in enumerate(candidates) if path.vni == vrf.vni and path.verdict != "refused"]
        paths = []
        for place, outcome in zip(places, choose([candidates[place] for place in places], vrf.max_paths), strict=True):
            path = candidates[place] = structs.replace(candidates[place], verdict=outcome[0], reason=outcome[1])
            if path.verdict == "won" and path.router_mac is not None:
                paths.append(Path(path.vtep, path.router_mac))
                reason = path.reason
        paths.sort(key=lambda path: path.vtep.order)
        vteps = tuple(path.vtep for path in paths)
        return PrefixRow(vrf.vni, prefix, tuple(paths), self._nexthop(vrf.vni, vteps, prefix.is_v6), reason)

    def _nexthop(self, vni: Vni, vteps: tuple[Ip, ...], is_v6: bool) -> int:
        """Return the identifier of a nexthop to these VTEPs; many prefixes share it."""
        found = self.ids.get((vni, vteps, is_v6))
        if found is None:
            found = self.ids[vni, vteps, is_v6] = self._identified(vni, vteps, is_v6)
        return found

    def _identified(self, vni: Vni, vteps: tuple[Ip, ...], is_v6: bool) -> int:
        """Return the identifier: a hash, and the next free number where two have the same. Make the nexthop if it is new."""
        is_v6 = is_v6 or all(vtep.is_v6 for vtep in vteps)
        base = SINGLES if len(vteps) == 1 else GROUPS
        number = crc32(b"".join((vni.to_bytes(3), bytes((is_v6,)), *(vtep.mapped for vtep in vteps)))) & _ID_MASK
        while True:
            found = self._at(base | number)
            if found is None:
                members = () if len(vteps) == 1 else tuple(self._nexthop(vni, (vtep,), is_v6) for vtep in vteps)
                self.nexthops[base | number] = Nexthop(vni, base | number, vteps, is_v6, members)
            if found is None or (found.vni, found.vteps, found.is_v6) == (vni, vteps, is_v6):
                return base | number
            number = (number + 1) & _ID_MASK

    def _at(self, number: int) -> Nexthop | None:
        found = self.nexthops.get(number)
        return self.previous.nexthops.get(number) if found is None else found

    def _count(self, row: PrefixRow, change: int) -> None:
        """Count what a row uses, or used."""
        self._use(row.nexthop, change)
        self.counts[row.vni] += change
        for path in row.paths:
            key = (row.vni, path.vtep)
            if (claims := self.claims.get(key)) is None:
                router = self.previous.routers.get(key)
                claims = self.claims[key] = Counter(dict(router.claims) if router else ())
            claims[path.router_mac] += change

    def _use(self, number: int, change: int) -> None:
        found = self._at(number)
        assert found is not None
        after = self.nexthops[number] = structs.replace(found, users=found.users + change)
        if bool(after.users) != bool(found.users):
            for member in after.members:
                self._use(member, change)

    def apply(self) -> tuple[Intent, bool]:
        """Return the previous intent with all changes, and whether they changed its meaning."""
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
            routers=previous.routers.changed(routers),
            router_macs=previous.router_macs.changed(macs),
            prefixes_of_vrf=previous.prefixes_of_vrf.changed(
                {
                    vni: (previous.prefixes_of_vrf.get(vni, 0) + change) or None
                    for vni, change in self.counts.items()
                    if change
                }
            ),
            touched_prefixes=tuple(self.touched),
            touched_nexthops=tuple(touched_nexthops),
            touched_routers=touched_routers,
            touched_router_macs=touched_macs,
        )
        return projected, bool(self.touched or touched_nexthops or touched_routers)

    def _routers(self) -> Iterator[tuple[RouterKey, Router | None]]:
        """Yield each router whose claims were counted again."""
        for key, claims in self.claims.items():
            vni, vtep = key
            there = tuple(sorted((mac, count) for mac, count in claims.items() if count > 0))
            if not there:
                yield key, None
                continue
            before = self.previous.routers.get(key)
            counts = dict(there)
            mac = (
                before.mac
                if before is not None and before.mac in counts
                else min(counts, key=lambda mac: (-counts[mac], mac))
            )
            families = tuple(is_v6 for is_v6 in (False, True) if self._has_nexthop(vni, vtep, is_v6=is_v6))
            yield key, Router(vni, vtep, mac, there, families)

    def _has_nexthop(self, vni: Vni, vtep: Ip, *, is_v6: bool) -> bool:
        if vtep.is_v6 and not is_v6:
            return False
        number = self._nexthop(vni, (vtep,), is_v6)
        found = self._at(number)
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


def _meaning(router: Router | None) -> tuple[Mac, tuple[bool, ...]] | None:
    return None if router is None else (router.mac, router.families)
