"""The projector of this leaf's own Ethernet segments: what their ports forward, which MACs are behind them, and what is advertised.

A port of ours on a segment is in one of these states, which the caller works out (`local.segment_ports`):

    down         the port has no carrier                                       not advertised    no flooded frame
    starting     its filters are not confirmed, or the picture is incomplete   not advertised    no flooded frame
    waiting      the other VTEPs may not yet know that this leaf is there      advertised        no flooded frame
    forwarding   the election decides (`forwarder.py`)                         advertised        as the forwarder, or not

In single-active mode (RFC 7432 14.1.1) a port passes no frame at all, flooded or not, but for those of the VNIs of which this leaf is the
forwarder (`Policy.active`). In the other VNIs its MACs are remote ones, behind the forwarder.

`Intent.port_filters` says it for each VNI. A row also names the other VTEPs that are on the segment: those that advertise it (the
Type-1 route per segment) deliver what they flood to it by themselves, so a copy from them must not leave by our port (RFC 8365
8.3.1). A Type-4 route alone does not count: the port of its VTEP may be down.

`Intent.segment_macs` has the MACs behind each port, our own stations and those that other VTEPs of the segment have seen. When the last of
these is gone and nothing says that the MAC is elsewhere, it stays for `mac_hold_s`: a port that loses its carrier loses all its
stations at once, and until the others have elected again, their frames must still pass.

`Intent.synced` has those that another VTEP has seen (RFC 9721 4). Each gets a row at our port, and this leaf advertises it as a proxy until
it sees it as well. A route with the proxy flag says only that a third VTEP has seen the MAC. It gives a row, and is not passed on: otherwise two
leaves would keep a MAC alive for each other. A MAC that was synced stays so while it is held, or while it is our own station: the
kernel tells of each row whether frames come from its MAC. After a restart the station's row says that it was synced.

`Intent.backups` has the same MACs with the group of the other VTEPs (`alias.py`), which gets their frames while our port has no carrier.

The topics are a segment and a MAC. This module knows neither carriers nor time, and not which filters the kernel has.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import Struct, structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Vni
from vtep.evpn.ead import PER_ES_TAG
from vtep.evpn.rib import Rib
from vtep.intent import (
    BACKUP,
    Candidate,
    GroupKey,
    GroupUse,
    Intent,
    OwnKey,
    OwnMac,
    OwnSegment,
    PortFilter,
    PortFilterKey,
    RowKey,
    Synced,
    Verdicts,
    candidates_of,
    is_station,
)
from vtep.projection.policy import ADVERTISED, FORWARDING, Policy
from vtep.projection.projector import Inputs
from vtep.projection.segment import is_proxy
from vtep.store.table import Table

BIASED_MAX: Final = 64
"""VTEPs on one segment that are told apart, the lowest addresses. Each of them is an element in the kernel for each VNI."""
HELD_AT_ONCE: Final = 1024
"""How many MACs that were held long enough one projection judges."""


def project_segment_macs(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the MACs behind our ports brought up to date, and whether that changed its meaning."""
    touched = intent.touched_segment_macs or intent.touched_backups or intent.touched_synced
    if not (inputs.policy.segment_states or intent.segment_macs or touched):
        return intent, False
    draft = _MacDraft(intent, inputs)
    draft.judge()
    return draft.apply(), draft.changes_meaning


def project_own_segments(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with our segments brought up to date, and whether that changed its meaning."""
    if not (inputs.policy.segment_states or intent.port_filters or intent.touched_port_filters):
        return intent, False
    filters, segments = _judge_segments(intent, inputs)
    if not (filters or segments):
        return structs.replace(intent, touched_port_filters=(), touched_segments=()), False
    return structs.replace(
        intent,
        port_filters=intent.port_filters.changed(filters),
        own_segments=intent.own_segments.changed(segments),
        touched_port_filters=tuple(filters),
        touched_segment_macs=(*intent.touched_segment_macs, *_filtered_by_another(intent, filters)),
        touched_segments=tuple(segments),
    ), True


def _filtered_by_another(intent: Intent, filters: Mapping[PortFilterKey, PortFilter | None]) -> Iterator[RowKey]:
    """Yield the MACs behind ports that are filtered by us no longer, or again: their rows go or come, although no MAC changed."""
    before = intent.port_filters
    ports = {
        key for key, row in filters.items() if row and (old := before.get(key)) and old.is_written != row.is_written
    }
    for mac, found in intent.segment_macs.unordered() if ports else ():
        yield from ((vni, mac) for vni, port in found if (vni, port) in ports)


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
    todo |= {esi for esi, _, _ in inputs.changed.evis if esi in states and inputs.policy.segments[esi].ac_df}
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
    others = members(esi, inputs.rib, inputs.policy)
    ours = {row.vni for row in intent.forwarders.get(esi, ()) if row.ours}
    forwards, is_single = found.state == FORWARDING, esi in inputs.policy.single_active
    vnis_of = Counter(port for _, port in found.ports)
    if is_single:
        states = {vni: "df" if inputs.policy.passes(esi, vni) else "standby" for vni, _ in found.ports}
    else:
        states = {vni: ("df" if vni in ours else "non-df") if forwards else "joining" for vni, _ in found.ports}
    is_written = inputs.policy.segments[esi].filter == "nftables"
    vnis = inputs.policy.vnis
    on_vlans = {vni for vni, _ in found.ports if vni in vnis and vnis[vni].vlan is not None}
    rows = (
        PortFilter(esi, vni, port, states[vni], others, is_written, vnis_of[port] > 1 or vni in on_vlans, is_single)
        for vni, port in found.ports
    )
    segment = OwnSegment(esi, found.port, tuple(vni for vni, _ in found.ports)) if found.state in ADVERTISED else None
    return _Rows({row.key: row for row in rows}, segment)


class _MacDraft:
    """What is different of the MACs behind our ports, while it is being worked out."""

    def __init__(self, previous: Intent, inputs: Inputs) -> None:
        self.previous = previous
        self.inputs = inputs
        self.macs: dict[Mac, tuple[tuple[Vni, str], ...] | None] = {}
        self.held: dict[RowKey, float | None] = {}
        self.backups: dict[RowKey, GroupKey | None] = {}
        self.synced: dict[RowKey, Synced | None] = {}
        self.own: dict[OwnKey, OwnMac | None] = {}
        self.own_hosts: dict[RowKey, frozenset[Ip] | None] = {}

    @property
    def changes_meaning(self) -> bool:
        return bool(self.macs or self.backups or self.synced or self.own)

    def judge(self) -> None:
        """Judge the MACs that changed, those whose row changed, and those that were held long enough."""
        previous, inputs = self.previous, self.inputs
        todo = dict.fromkeys(inputs.changed.macs)
        if previous.segment_macs:
            todo |= {mac: None for _, mac in previous.touched if mac in previous.segment_macs}
        if previous.held_due is not None and inputs.now >= previous.held_due:
            due = (mac for (_, mac), until in previous.held_macs.unordered() if inputs.now >= until)
            todo |= dict.fromkeys(islice(due, HELD_AT_ONCE))
        if inputs.changed.segments and previous.held_macs:
            todo |= {mac: None for (_, mac), _ in previous.held_macs.unordered()}  # no route of theirs will say so
        for mac in todo:
            self._judge(mac)

    def _judge(self, mac: Mac) -> None:
        previous, inputs = self.previous, self.inputs
        before = previous.segment_macs.get(mac, ())
        ours = {vni: one.station.port for vni, one in inputs.rib.index.local_claims.get(mac, {}).items()}
        elsewhere = {
            vni
            for vni, port in ours.items()
            if (vni, port) not in inputs.policy.segment_of_port and is_station(previous, (vni, mac))
        }
        seen = _seen_by_others(mac, previous, inputs.rib, inputs.policy)
        found = {vni: one.port for vni, one in seen.items()} | ours
        found = {
            vni: port
            for vni, port in found.items()
            if (vni, port) in inputs.policy.segment_of_port
            and not inputs.policy.is_on_standby(vni, port)
            and vni not in elsewhere
        }
        if not (before or found):
            return
        for vni, port in before:
            if (
                self._is_unseen((vni, mac), seen.get(vni), ours, found)
                and vni not in elsewhere
                and self._is_held((vni, mac), port)
            ):
                found[vni] = port
                seen.pop(vni, None)
            elif (vni, mac) in previous.held_macs:
                self.held[vni, mac] = None
        ports = tuple(sorted(found.items()))
        if ports != before:
            self.macs[mac] = ports or None
        for vni in {**dict(before), **found}:
            backup = self._backup((vni, mac), found.get(vni))
            if backup != previous.backups.get((vni, mac)):
                self.backups[vni, mac] = backup
            self._sync((vni, mac), seen.get(vni), found.get(vni))

    def _is_unseen(self, key: RowKey, seen: Synced | None, ours: Mapping[Vni, str], found: Mapping[Vni, str]) -> bool:
        """Tell whether no VTEP sees a MAC any more: at most others are proxies for it, as this leaf is."""
        if key[0] not in found:
            return True
        known = self.previous.synced.get(key)
        is_proxied = key[0] not in ours and seen is not None and not seen.advertised
        return is_proxied and known is not None and known.advertised

    def _sync(self, key: RowKey, seen: Synced | None, port: str | None) -> None:
        """Note whether a MAC has a row at our port, and whether this leaf advertises it for the others."""
        before = self.previous.synced.get(key)
        wanted = seen
        if key in self.previous.macs or port is None or self.inputs.policy.is_on_standby(key[0], port):
            wanted = None
        elif wanted is None or wanted.port != port:  # it is held, or it is our own station
            wanted = before if before is not None and before.port == port else self._kept(key, port)
        if wanted != before:
            self.synced[key] = wanted
        if not is_station(self.previous, key):
            self._speak_for(key, wanted)

    def _kept(self, key: RowKey, port: str) -> Synced | None:
        """Return the row that a station of ours has in the kernel from before this daemon started: only this leaf sees the MAC now."""
        claim = self.inputs.rib.local_claim(*key)
        if claim is None or not claim.station.synced or claim.station.port != port:
            return None
        return Synced(port, claim.seq)

    def _speak_for(self, key: RowKey, synced: Synced | None) -> None:
        """Note what this leaf advertises as a proxy: a MAC that others have seen, with its hosts, while our port is advertised."""
        policy, own, known = self.inputs.policy, self.previous.own, self.previous.own_hosts.get(key)
        rows: dict[Ip | None, OwnMac] = {}
        hosts = None
        speaks = synced is not None and synced.advertised and key[0] in self.inputs.rib.announcing
        if synced is not None and speaks and policy.counts(key[0], synced.port):
            segment, hosts = policy.segment_of_port.get((key[0], synced.port), NO_SEGMENT), frozenset(synced.hosts)
            for ip in (None, *hosts):
                rows[ip] = OwnMac(*key, ip, synced.seq, synced.sticky, segment=segment, proxy=True)
        if known is None and hosts is None:
            return
        for ip in (None, *(hosts or frozenset()).union(known or ())):
            if own.get((*key, ip)) != rows.get(ip):
                self.own[*key, ip] = rows.get(ip)
        if hosts != known:
            self.own_hosts[key] = hosts

    def _is_held(self, key: RowKey, port: str) -> bool:
        """Tell whether a MAC stays behind a port for a while, although nothing says so any more and nothing else either."""
        policy, now = self.inputs.policy, self.inputs.now
        esi = policy.segment_of_port.get((key[0], port))
        row = self.previous.macs.get(key)
        if esi is None or (row is not None and (row.segment != esi or policy.is_on_standby(key[0], port))):
            return False
        until: float | None = self.previous.held_macs.get(key)
        if until is None:
            until = now + policy.segments[esi].mac_hold_s
            if now < until:
                self.held[key] = until
        return now < until

    def _backup(self, key: RowKey, port: str | None) -> GroupKey | None:
        """Return the group that has the frames of a MAC of ours while its port has no carrier."""
        policy = self.inputs.policy
        esi = None if port is None else policy.segment_of_port.get((key[0], port))
        if esi is None or not policy.segments[esi].backup or key[0] in policy.ungrouped or key in self.previous.macs:
            return None
        return (key[0], esi, BACKUP)

    def apply(self) -> Intent:
        """Return the previous intent with all changes."""
        previous = self.previous
        touched = tuple(
            (vni, mac)
            for mac, ports in self.macs.items()
            for vni in _differing(previous.segment_macs.get(mac, ()), ports)
        )
        held = previous.held_macs.changed(self.held) if self.held else previous.held_macs
        uses = Counter[GroupKey]()
        for key, group in self.backups.items():
            for one, count in ((previous.backups.get(key), -1), (group, 1)):
                if one is not None:
                    uses[one] += count
        group_uses = {group: _used(previous.group_uses.get(group), count) for group, count in uses.items()}
        held_due = self._held_due(held)
        return structs.replace(
            previous,
            segment_macs=previous.segment_macs.changed(self.macs),
            held_macs=held,
            held_due=held_due,
            backups=previous.backups.changed(self.backups),
            group_uses=previous.group_uses.changed(group_uses),
            touched_group_uses=(*previous.touched_group_uses, *group_uses),
            touched_segment_macs=touched,
            touched_backups=tuple(self.backups),
            synced=previous.synced.changed(self.synced),
            touched_synced=tuple(
                key for key, row in self.synced.items() if _port(row) != _port(previous.synced.get(key))
            ),
            own=previous.own.changed(self.own),
            own_hosts=previous.own_hosts.changed(self.own_hosts),
            own_touched=tuple(dict.fromkeys((*previous.own_touched, *self.own))) if self.own else previous.own_touched,
            due=min((due for due in (previous.due, held_due) if due is not None), default=None),
        )

    def _held_due(self, held: Table[RowKey, float]) -> float | None:
        """Return when a held MAC may leave. This looks through all of them only if one was due."""
        known = self.previous.held_due
        new = [until for until in self.held.values() if until is not None]
        if known is not None and self.inputs.now < known:
            return min((known, *new))
        return min((until for _, until in held.unordered()), default=None)


def _used(before: GroupUse | None, change: int) -> GroupUse | None:
    macs = (0 if before is None else before.macs) + change
    return GroupUse(macs) if macs else None


def _differing(before: Iterable[tuple[Vni, str]], after: Iterable[tuple[Vni, str]] | None) -> set[Vni]:
    """Return the VNIs in which a MAC is behind another port than before."""
    return {vni for vni, _ in set(before) ^ set(after or ())}


def _port(row: Synced | None) -> str:
    return "" if row is None else row.port


def _with_reason(intent: Intent, mac: Mac, reason: str) -> Verdicts:
    """Return the candidates of a MAC, if any has this reason."""
    return candidates_of(intent, mac) if any(one.reason == reason for one in intent.judged.get(mac, ())) else ()


def _seen_by_others(mac: Mac, intent: Intent, rib: Rib, policy: Policy) -> dict[Vni, Synced]:
    """Return for each VNI the port of ours behind which other VTEPs of the segment have seen the MAC, and what they say of it."""
    refused = [
        (port, one)
        for one in _with_reason(intent, mac, "local-bias")
        if one.reason == "local-bias" and (port := policy.port_on.get((one.esi, one.vni))) is not None
    ]
    if not refused:
        return {}
    (offers,), _ = rib.offers_of((mac,))
    live = {(path.peer, path.rd) for path in (() if offers is None else offers.paths) if not is_proxy(path)}
    said: defaultdict[Vni, list[tuple[str, Candidate]]] = defaultdict(list)
    for port, one in refused:
        said[one.vni].append((port, one))
    found: dict[Vni, Synced] = {}
    for vni, by_all in said.items():
        by_live = [(port, one) for port, one in by_all if (one.peer, one.rd) in live]
        counts = by_live or by_all
        found[vni] = Synced(
            counts[-1][0],
            max(one.seq for _, one in counts),
            any(one.sticky for _, one in counts),
            tuple(sorted({one.ip for _, one in counts if one.ip is not None})),
            bool(by_live),
        )
    return found
