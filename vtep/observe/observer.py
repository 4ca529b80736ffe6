"""What readers may see, put together: routes and intent from the leaf, rows from the actor.

    leaf ───intent────────────> note_intent ──┬─> counts, tables, events ──┐
    actor ──outcome, news─────> note_outcome ─┘                            ├──> Source (readers)
                                              └─> watch ──cut──> Ring ─────┘

Implements `Source` in the daemon. Counts and events are kept up to date with each change; rows are worded (`rows`,
`explain`) when a reader asks for them. Decides nothing and writes nothing. Knows no transport.
"""

import socket
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from math import inf
from typing import Any, Final

from msgspec.structs import replace

from vtep import __version__
from vtep.addr import Esi, Ip, Mac, Prefix, Vni
from vtep.config.exposure import exposures
from vtep.config.model import Config
from vtep.evpn.before_policy import BeforePolicy
from vtep.evpn.ead import EthernetAd
from vtep.evpn.event import Offer
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.evpn.peer import Hold
from vtep.evpn.prefix import IpPrefix
from vtep.evpn.rib import PEERS_MAX
from vtep.evpn.segment import Segment
from vtep.intent import Alert, GroupKey, HostKey, Intent, NexthopKey, PrefixKey, RowChange, RowKey, row_changes
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.fdb import FDB
from vtep.linux.target import KernelTarget
from vtep.linux.underlay import Underlay
from vtep.local.segment_ports import FILTER_MISSING, PORT_DOWN, PORT_SHARED, UPLINKS_DOWN, WHY, PortStatus
from vtep.observe.compare import Comparer
from vtep.observe.counts import RowCounts
from vtep.observe.explain import Explainer
from vtep.observe.explain_host import HostExplainer
from vtep.observe.figures import Figures
from vtep.observe.history import History, HistoryEntry, RowsHistory, RowsPoint
from vtep.observe.model import (
    CONTESTED,
    AdvertisingStatus,
    Comparison,
    DataplaneStatus,
    DeviceExplanation,
    Explanations,
    FeedStatus,
    HostExplanations,
    MacStatus,
    NeighborStatus,
    NexthopStatus,
    OwnSegmentStatus,
    PeerStatus,
    PrefixExplanation,
    PrefixStatus,
    Reporter,
    RouteStatus,
    SegmentStatus,
    StateFile,
    StationStatus,
    Status,
    VniStatus,
    VrfStatus,
    VtepStatus,
)
from vtep.observe.problems import DEGRADED, Problem, named, summed
from vtep.observe.reasons import sentence
from vtep.observe.received import Received
from vtep.observe.refusals import RefusalCounts
from vtep.observe.routed import RoutedTables
from vtep.observe.routes import AdvertisedRoutes, RouteLists
from vtep.observe.rows import Rows
from vtep.observe.segments import SegmentTables
from vtep.observe.sessions import why_it_ended
from vtep.observe.source import Batch, MacQuery, Page, RouteCursor, RouteQuery
from vtep.observe.stations import AdvertisedStations, StationList
from vtep.observe.tables import Tables
from vtep.observe.watch import Watch
from vtep.projection.flood import limit_warning
from vtep.projection.leaf import Leaf
from vtep.reconcile.actor import Actor, Outcome
from vtep.reconcile.contract import Kind
from vtep.reconcile.observing import AGE_S
from vtep.reconcile.report import News, Trouble
from vtep.store.histogram import Histogram

_ROUTE_TYPES: Final = {EthernetAd: "ead", MacIp: "mac-ip", Imet: "imet", Segment: "segment", IpPrefix: "prefix"}

COUNTED_A_SECOND: Final = 20_000
"""How many differing rows of an observer are counted in each second: about 25 ms of work."""

MENDS_MAX: Final = 20
"""For how many VNIs that are not ready the status says what is wrong. Very many usually have one cause."""
ALERTS_AT_ONCE: Final = 10
"""How many alerts about one MAC are recorded at a time."""
OVER_LIMIT: Final = "It advertises more routes than `routes_per_peer` allows; the others are refused."


class Observer:
    """The `Source` of a running daemon."""

    def __init__(self, config: Config, leaf: Leaf, clock: Callable[[], float], kinds: Sequence[Kind] = KINDS) -> None:
        self.epoch = uuid.uuid4().hex[:12]
        self.attached = False
        """ExaBGP is connected."""
        self.form: Callable[[Ip | None], str] = lambda _: ""
        """How UPDATEs are handed on, of a peer or at all."""
        self.reporters: Callable[[], Sequence[Reporter]] = tuple
        self.ignored: Callable[[], Mapping[str, int]] = dict
        """Messages of routers that had no effect, by why."""
        self.befores: Callable[[], Sequence[tuple[Ip, BeforePolicy]]] = tuple
        """What differs before policy, for each peer of which a router reports both tables."""
        self.backlog: Callable[[], int] = lambda: 0
        self.announcing: Callable[[], AdvertisingStatus] = AdvertisingStatus
        self.state_files: Callable[[], tuple[StateFile, ...]] = tuple
        self.devices: Callable[[], Mapping[str, str]] = dict
        self.explained: Callable[[str], Awaitable[DeviceExplanation]] = _explain_nothing
        self.closed: Mapping[str, str] = {}
        """Why the daemon cannot listen at an address, by its key in the configuration."""
        self.may_write = True
        self.observes = False
        """Rows are compared with what is wanted, and another daemon writes them."""
        self.overruns = 0
        self.last_line: float | None = None
        self.reloaded = clock()
        self.reload_error = ""
        """Why the last attempt to load a configuration was refused, if it was."""
        self._clock = clock
        self._warnings = exposures(config)  # of the start: a reload changes no listener
        self._started = clock()
        self._leaf = leaf
        self._rows = Rows(config, leaf, clock, kinds)
        self._history = History()
        self._rows_history = RowsHistory()
        self._counts = RowCounts(self._rows)
        self._tables = Tables(self._rows, self._counts)
        self._routed = RoutedTables(self._rows)
        self._segments = SegmentTables(self._rows)
        self._watch = Watch(self._rows, self._routed, self._history)
        self._comparer = Comparer(self._rows)
        self._routes = RouteLists(Received(leaf), lambda: leaf.intent)
        self._stations = StationList(self._rows, self._announcing_now)
        self._explainer = Explainer(
            self._rows, self._stations, self._segments.own_of, self._history.entries_of, self._befores_now
        )
        self._host_explainer = HostExplainer(self._rows, self._routes, self._stations, self._macs_behind)
        self._message_s = Histogram()
        self._differing: Mapping[tuple[str, str], int] = {}
        self._count_again = -inf
        self._peers: dict[Ip, tuple[bool, bool, bool, bool, bool]] = {}
        self._peer_since: dict[Ip, float] = {}
        """When each peer came up or went down last."""
        self._forgotten_peers = 0
        self._refusals = RefusalCounts(config)

    def attach(self, actor: Actor, target: KernelTarget, message_s: Histogram) -> None:
        """Take the actor and the target, when there is a kernel to write to."""
        self._rows.actor, self._rows.target, self._message_s = actor, target, message_s

    def attach_advertised(self, routes: AdvertisedRoutes, stations: AdvertisedStations) -> None:
        """Take what knows the routes of this leaf, and those of each station."""
        self._routes.advertised = routes
        self._stations.advertised = stations

    def reconfigure(self, config: Config) -> None:
        """Take another configuration."""
        self._rows.take_config(config)
        self._refusals.reconfigure(config, self._leaf.intent)
        self.reloaded = self._clock()
        self.reload_error = ""
        self.record(HistoryEntry("reload", text=f"{len(config.vnis)} VNIs"))

    @property
    def segment_ports(self) -> tuple[PortStatus, ...]:
        """How the ports of our Ethernet segments are."""
        return self._segments.ports

    @segment_ports.setter
    def segment_ports(self, ports: tuple[PortStatus, ...]) -> None:
        self._segments.ports = ports

    # Changes

    def record(self, entry: HistoryEntry) -> None:
        """Add an event to the history."""
        self._history.add(entry, self._clock(), self._leaf.intent.generation)

    def note_intent(self, before: Intent, intent: Intent) -> None:
        """Note an intent. Each must be noted once, and in order."""
        if intent is before:
            return
        if intent.complete != before.complete:
            self.record(HistoryEntry("routes-complete" if intent.complete else "routes-incomplete", text=intent.why))
        for change in row_changes(before, intent):
            self._take_rows(change)
        for vni, mac, ip in intent.own_touched:
            if ip is None:
                self._take_station((vni, mac), before, intent)
        self._watch.take(intent.touched, intent.touched_prefixes)
        self._refusals.take(before, intent)
        self._counts.take_kinds(before, intent)
        for host in intent.touched_hosts:
            was, there = (any(found.vni == host[0] for found in of.hosts.get(host[1], ())) for of in (before, intent))
            self._counts.take_host(host, there - was)
            self._tables.take_host(host, there=there)
        if intent.alerts is not before.alerts:
            self._take_alerts(before, intent)
        if intent.limited is not before.limited:
            for vni, _ in intent.limited.unordered():
                if vni not in before.limited:
                    self.record(HistoryEntry("alert", vni=vni, reason="limit", text=sentence("limit")))
        if intent.limited_prefixes is not before.limited_prefixes:
            for vni, _ in intent.limited_prefixes.unordered():
                if vni not in before.limited_prefixes:
                    self.record(HistoryEntry("alert", vni=vni, reason="vrf-limit", text=sentence("vrf-limit")))
        if intent.floods_of_vni is not before.floods_of_vni or intent.waiting_floods is not before.waiting_floods:
            self._take_flood_limits(before, intent)

    def _take_flood_limits(self, before: Intent, intent: Intent) -> None:
        """Record an alert when a VNI comes near its limit of VTEPs, and when VTEPs first wait for room."""
        limit = self._rows.config.limits.vteps_per_vni
        for vni, rows in intent.floods_of_vni.unordered():
            code = limit_warning(rows, limit)
            if code and not limit_warning(before.floods_of_vni.get(vni, 0), limit):
                self.record(HistoryEntry("alert", vni=vni, reason=code, text=sentence(code)))
        for vni, _ in intent.waiting_floods.unordered():
            if vni not in before.waiting_floods:
                self.record(HistoryEntry("alert", vni=vni, reason="vtep-limit", text=sentence("vtep-limit")))

    def note_outcome(self, outcome: Outcome) -> None:
        """Note what a pass found."""
        actor, last = self._rows.actor, self._rows.last
        self._rows.last = outcome
        if actor is None:
            return
        if (outcome.error is None) != (last.error is None):
            text = "" if outcome.error is None else str(outcome.error)
            self.record(HistoryEntry("kernel-readable" if outcome.error is None else "kernel-unreadable", text=text))
        news = actor.engine.troubles.news
        while news:
            item = news.popleft()
            kind, key = item.ref
            descriptor = self._rows.descriptor(kind)
            mac = descriptor.mac_of(key)
            trouble = item.trouble or Trouble(item.what, "")
            self.record(
                HistoryEntry(
                    item.what,
                    vni=descriptor.vni_of(key),
                    mac=mac,
                    key="" if mac is not None else descriptor.key_text(key),
                    vtep=self._rows.vtep_of(kind, key),
                    reason=trouble.reason,
                    text=trouble.text or self._holder_of(item),
                )
            )
        if outcome.report is not None and outcome.report is not last.report:
            self._take_readiness(last, outcome)

    def note_underlay(self, underlay: Underlay) -> None:
        """Note what was found of the underlay."""
        before = {one.fault.code for one in self._rows.underlay.troubles}
        self._rows.underlay = underlay
        for one in underlay.troubles:
            if one.fault.code not in before:
                vtep = one.vteps[0] if one.vteps else None
                self.record(HistoryEntry("alert", vtep=vtep, reason=one.fault.code, text=one.fault.text))

    def reached(self) -> Iterator[tuple[Vni, Ip]]:
        """Yield each VTEP to which a VNI sends; some come twice."""
        return self._counts.reached(lambda: self._leaf.intent)

    def _macs_behind(self, vni: Vni, vtep: Ip) -> int:
        return self._counts.macs[vni, vtep]

    def _holder_of(self, item: News) -> str:
        return self._rows.holder(self._rows.known(*item.ref)) if item.what == CONTESTED else ""

    def note_peers(self) -> None:
        """Note which peers came up, went down or sent End-of-RIB, and which are no longer known."""
        if (forgotten := self._leaf.rib.counters.forgotten_peers) != self._forgotten_peers:
            text = f"{forgotten - self._forgotten_peers} that were down, because {PEERS_MAX} are known"
            self.record(HistoryEntry("peers-forgotten", text=text))
            self._forgotten_peers = forgotten
        if len(self._peers) > len(self._leaf.rib.peers):
            for address in self._peers.keys() - self._leaf.rib.peers.keys():
                del self._peers[address]
                self._peer_since.pop(address, None)
        for peer in self._leaf.rib.peers.values():
            now = (peer.up, peer.ended, peer.limited > 0, peer.reset is not None, bool(peer.refused))
            before = self._peers.get(peer.address, (False, False, False, False, False))
            if now == before:
                continue
            self._peers[peer.address] = now
            if peer.up != before[0]:
                self._peer_since[peer.address] = self._clock()
                self.record(HistoryEntry("peer-up" if peer.up else "peer-down", peer=peer.address, reason=peer.reason))
            if peer.ended and not before[1]:
                self.record(HistoryEntry("end-of-rib", peer=peer.address, text="it has sent all its routes"))
            if peer.limited and not before[2]:
                self.record(HistoryEntry("alert", peer=peer.address, reason="limit", text=OVER_LIMIT))
            for mac in list(peer.refused)[:1] if not before[4] else ():
                self.record(
                    HistoryEntry("alert", mac=mac, peer=peer.address, reason="mac-limit", text=sentence("mac-limit"))
                )
            if peer.reset is not None and not before[3]:
                self.record(HistoryEntry("alert", peer=peer.address, reason="session-reset", text=str(peer.reset)))

    def _take_rows(self, change: RowChange) -> None:
        """Take rows that changed in the same way: they are counted at once, and a move is recorded for all of them."""
        old, row, keys = change.before, change.after, change.keys
        self._counts.take(old, row, len(keys))
        if (old is None) != (row is None):
            self._tables.take(keys, there=row is not None)
        if old is not None and row is not None and old.via != row.via:
            self._counts.moves[row.vni] += len(keys)
            entry = HistoryEntry("move", row.vni, None, row.vtep, old.vtep, row.peer, row.reason, f"sequence {row.seq}")
            self._history.add_moves(entry, [mac for _, mac in keys], self._clock(), self._leaf.intent.generation)

    def _take_station(self, key: RowKey, before: Intent, intent: Intent) -> None:
        """Record a MAC that moved from another VTEP to a port of ours, or the other way."""
        old, row = before.macs.get(key), intent.macs.get(key)
        here, was_here = intent.own.get((*key, None)), (*key, None) in before.own
        ours = self._rows.vtep_of_vni(key[0])
        if old is not None and here is not None:
            move = HistoryEntry("move", *key, ours, old.vtep, text=f"sequence {here.seq}, learned at a port here")
        elif row is not None and was_here:
            move = HistoryEntry("move", *key, row.vtep, ours, row.peer, row.reason, f"sequence {row.seq}")
        else:
            return
        self._counts.moves[key[0]] += 1
        self.record(move)

    def _take_alerts(self, before: Intent, intent: Intent) -> None:
        for key, alerts in intent.alerts.unordered():
            known = before.alerts.get(key, ())
            if alerts is not known:
                seen = set(known)
                self._record_alerts(key, [alert for alert in alerts if alert not in seen])

    def _record_alerts(self, key: RowKey, alerts: Sequence[Alert]) -> None:
        """Record alerts about a MAC. Of very many the last one counts the others, so that they push out no other event."""
        left_out = len(alerts) - ALERTS_AT_ONCE
        for number, alert in enumerate(alerts[:ALERTS_AT_ONCE], 1):
            more = f" And {left_out} more VTEPs." if left_out > 0 and number == ALERTS_AT_ONCE else ""
            self.record(
                HistoryEntry(
                    "duplicate" if alert.kind.startswith("dup-") else "alert",
                    vni=key[0],
                    mac=key[1],
                    vtep=alert.vtep,
                    reason=alert.kind,
                    text=sentence(alert.kind) + more,
                )
            )

    def _take_readiness(self, last: Outcome, outcome: Outcome) -> None:
        before = {} if last.report is None else last.report.not_ready
        after = {} if outcome.report is None else outcome.report.not_ready
        for vni, reasons in after.items():
            if before.get(vni) != reasons:
                self.record(HistoryEntry("vni-not-ready", vni=vni, text=", ".join(reasons)))
        for vni in before.keys() - after.keys():
            self.record(HistoryEntry("vni-ready", vni=vni))

    # Watchers

    @property
    def collecting(self) -> bool:
        return self._watch.collecting

    @property
    def revision(self) -> int:
        return self._watch.revision

    def batches(self, after: int) -> AsyncIterator[Batch | None]:
        return self._watch.batches(after)

    def cut(self) -> None:
        """Put the changes into a batch, if there is a watcher, and note how many rows there are now and then."""
        self._watch.cut()
        now = self._clock()
        if self._rows_history.is_due(now):
            counts = self._counts.kinds(self._leaf.intent).values()
            wanted, installed = (sum(getattr(one, name) for one in counts) for name in ("wanted", "installed"))
            self._rows_history.add(RowsPoint(now, wanted, installed))

    def points(self) -> Sequence[RowsPoint]:
        return self._rows_history.points()

    # Reading

    def wall(self, time_: float) -> float:
        return time.time() - self._clock() + time_

    def clock(self, wall: float) -> float:
        return wall - time.time() + self._clock()

    def status(self) -> Status:
        intent = self._leaf.intent
        return Status(
            version=__version__,
            started=self._started,
            generation=intent.generation,
            complete=intent.complete,
            why=intent.why,
            macs=len(intent.macs),
            feed=self._feed(),
            announcing=self.announcing(),
            dataplane=self._dataplane(),
            state_files=self.state_files(),
            limits=self._tables.limits(),
            silent=self._tables.silent(),
            duplicates=self._tables.duplicates(),
            refusals=self._refusals.counted(),
            returned=self._refusals.returned(),
            underlay=tuple(_underlay_problems(self._rows.underlay)),
            segments=(*_segment_problems(self.segment_ports), *_without_groups(intent, self._rows.target)),
            reload_error=self.reload_error,
            closed=tuple(self.closed.values()),
            devices=self.devices(),
            warnings=self._warnings,
            kinds=self._counts.kinds(intent),
            admin=self._rows.config.api.admin,
            events=self._history.number,
            hostname=socket.gethostname(),
            vteps=tuple(map(str, self._rows.config.node.vteps)),
            asn=0 if self._rows.config.bgp is None else self._rows.config.bgp.asn,
        )

    async def explain_device(self, name: str) -> DeviceExplanation:
        found = await self.explained(name)
        faults = {} if self._rows.target is None else self._rows.target.faults
        texts = (f"VNI {vni}: {one.text}; run: {one.mend}" for vni in found.vnis for one in faults.get(vni, ()))
        return replace(found, faults=tuple(islice(dict.fromkeys(texts), MENDS_MAX)))

    def entries(
        self, *, after: int = 0, since: float | None = None, latest: int | None = None
    ) -> tuple[Sequence[HistoryEntry], int]:
        return self._history.entries(after=after, since=since, latest=latest)

    def entries_of(self, mac: Mac) -> Sequence[HistoryEntry]:
        return self._history.entries_of(mac)

    async def prepare(self) -> None:
        await self._tables.prepare()

    def vnis(self) -> Sequence[VniStatus]:
        return self._tables.vnis(summed(self._refusals.counted(), "vni"))

    def macs(self, query: MacQuery, after: RowKey | None, most: int) -> Page[MacStatus, RowKey]:
        return self._tables.macs(query, after, most)

    def neighbors(self, query: MacQuery, after: HostKey | None, most: int) -> Page[NeighborStatus, HostKey]:
        return self._tables.neighbors(query, after, most)

    def vrfs(self) -> Sequence[VrfStatus]:
        return self._routed.vrfs()

    async def prefixes(self, vrf: str, after: PrefixKey | None, most: int) -> Page[PrefixStatus, PrefixKey]:
        return await self._routed.prefixes(vrf, after, most)

    def nexthops(self, vrf: str, after: NexthopKey | None, most: int) -> Page[NexthopStatus, NexthopKey]:
        return self._routed.nexthops(vrf, after, most)

    def segments(
        self, vni: Vni | None, segment: Esi | None, after: GroupKey | None, most: int
    ) -> Page[SegmentStatus, GroupKey]:
        return self._segments.segments(vni, segment, after, most)

    def own_segments(self, vni: Vni | None, segment: Esi | None) -> Sequence[OwnSegmentStatus]:
        return self._segments.own(vni, segment)

    def explain_prefix(self, prefix: Prefix, vrf: str) -> PrefixExplanation:
        return self._routed.explain(prefix, vrf)

    def vteps(self, vni: Vni | None) -> Sequence[VtepStatus]:
        return self._tables.vteps(vni)

    async def routes(self, query: RouteQuery, after: RouteCursor | None, most: int) -> Page[RouteStatus, RouteCursor]:
        return await self._routes.page(query, after, most)

    async def stations(self, vni: Vni | None, after: RowKey | None, most: int) -> Page[StationStatus, RowKey]:
        return await self._stations.page(vni, after, most)

    async def diff(self, vni: Vni | None, older_than_s: float = 0.0) -> Comparison:
        return await self._comparer.diff(vni, older_than_s)

    async def explain(self, mac: Mac, vni: Vni | None) -> Explanations:
        return await self._explainer.explain(mac, vni, self.status())

    async def explain_host(self, ip: Ip, vni: Vni | None) -> HostExplanations:
        return await self._host_explainer.explain(ip, vni)

    # Figures

    def figures(self) -> Figures:
        actor = self._rows.actor
        rib = self._leaf.rib
        stale: Counter[type[Route]] = Counter()
        for epoch in chain((peer.stale for peer in rib.peers.values()), *rib.index.leaving.values()):
            stale += epoch.counts
        current = rib.index.routes - stale
        routes = {(_ROUTE_TYPES[type_], "current"): count for type_, count in current.items()}
        routes |= {(_ROUTE_TYPES[type_], "stale"): count for type_, count in stale.items()}
        common: dict[str, Any] = {
            "routes": routes,
            "neighbors": dict(self._counts.hosts),
            "moves": dict(self._counts.moves),
            "reloaded": self.reloaded,
            "reload_ok": not self.reload_error,
            "kernel_op_s": self._message_s.snapshot(),
            "segments": Counter(one.state for one in self.segment_ports),
            "segment_vnis": {(str(esi), state): n for (esi, state), n in self._segments.own_filters().items()},
        }
        if actor is None:
            return Figures(**common)
        foreign = Counter(key[0] for key, seen in actor.engine.foreign(FDB.name).items() if seen.holder == "foreign")
        return Figures(
            **common,
            underlay=_underlay_counts(self._rows.underlay),
            foreign=dict(foreign),
            repaired={self._rows.descriptor(kind).public: count for kind, count in actor.engine.repairs.items()},
            kernel_ops=dict(actor.engine.changes),
            reconcile_s=actor.passes_s.snapshot(),
            install_s=actor.installs_s.snapshot(),
            actor_alive=actor.alive,
        )

    def filter_drops(self) -> Mapping[str, int]:
        return {} if self._rows.target is None else self._rows.target.filter_drops()

    def _befores_now(self) -> Sequence[tuple[Ip, BeforePolicy]]:
        return self.befores()

    def _announcing_now(self) -> AdvertisingStatus:
        return self.announcing()

    def _mends(self) -> dict[int, str]:
        """Return what mends the first VNIs that are not ready; managed devices are mended by the daemon."""
        faults = {} if self._rows.target is None else self._rows.target.faults
        config = self._rows.config
        managed = {one.vni for one in config.vnis if one.manage} | {one.vni for one in config.vrfs if one.manage}
        return {
            vni: f"{found[0].text}; run: {'vtep devices plan' if vni in managed else found[0].mend}"
            for vni, found in islice(faults.items(), MENDS_MAX)
            if found
        }

    def _feed(self) -> FeedStatus:
        rib = self._leaf.rib
        expected = self._rows.config.feed.peers
        known = {*rib.peers, *expected}
        return FeedStatus(
            attached=self.attached,
            form=self.form(None),
            bmp=self._rows.config.feed.bmp,
            exabgp=self._rows.config.feed.exabgp,
            table=self._rows.config.feed.bmp_table,
            lines=rib.counters.lines,
            bad_lines=self._leaf.bad_lines,
            gaps=rib.counters.gaps,
            backlog=self.backlog(),
            last_line=self.last_line,
            peers=tuple(self._peer(address) for address in sorted(known, key=lambda address: address.order)),
            awaited=len(expected or rib.peers),
            reporters=tuple(sorted(self.reporters(), key=lambda router: (router.name, router.address))),
            ignored=self.ignored(),
            forgotten_peers=rib.counters.forgotten_peers,
        )

    def _peer(self, address: Ip) -> PeerStatus:
        expected = self._rows.config.feed.peers
        is_expected = address in expected or not expected
        peer = self._leaf.rib.peers.get(address)
        if peer is None:
            why = "it has had no session since the start of the daemon"
            return PeerStatus(address, False, False, 0, 0, 0, "", why, since=self._started)
        offer = Offer() if peer.abilities is None else peer.abilities.offer
        return PeerStatus(
            address=address,
            up=peer.up,
            ended=peer.ended,
            routes=len(peer),
            stale=len(peer.stale),
            limited=peer.limited,
            refresh=peer.refresh.shown,
            reason=peer.why,
            opened=peer.opened_at,
            refused=peer.refused_count,
            refused_mac=next(iter(peer.refused), None),
            reset="" if peer.reset is None else str(peer.reset),
            expected=is_expected,
            held=not peer.up and peer.hold is not Hold.NONE,
            since=self._peer_since.get(address, self._started),
            asn=offer.asn,
            router_id=offer.router_id,
            hold_time_s=offer.hold_time_s,
            families=offer.families,
            messages=peer.messages,
            error=why_it_ended(peer.closed, peer.abilities),
            form=self.form(address),
            feed=peer.feed or "exabgp",
        )

    def _dataplane(self) -> DataplaneStatus:
        actor, outcome = self._rows.actor, self._rows.last
        if actor is None:
            return DataplaneStatus()
        report = outcome.report
        not_ready = {} if report is None else report.not_ready
        state, why = "on", ""
        if not self.may_write:
            state, why = "off", "CAP_NET_ADMIN is missing"
        elif outcome.error is not None:
            state, why = "unreadable", str(outcome.error)
        elif self.observes:
            state, why = "observing", "rows are compared and none is written (node.mode)"
        return DataplaneStatus(
            state=state,
            why=why,
            not_ready=not_ready,
            mends=self._mends() if not_ready else {},
            of_vrfs=frozenset(one.vni for one in self._rows.config.vrfs if one.vni in not_ready),
            generation=outcome.generation,
            passes=0 if report is None else report.number,
            troubles=actor.engine.troubles.counts(),
            converged=report is not None and report.converged,
            settled=report is not None and report.settled,
            audited=actor.audited,
            overruns=self.overruns,
            repaired=sum(actor.engine.repairs.values()),
            orphans=0 if self.observes else _orphans(actor),
            differences=self._differences(actor) if self.observes else {},
        )

    def _differences(self, actor: Actor) -> Mapping[tuple[str, str], int]:
        """Count the rows that differ for longer than another daemon needs to write them.

        A supervisor asks several times a second. A table of 100,000 rows that are all missing is counted every five seconds.
        """
        troubles, now = actor.engine.troubles, self._clock()
        if now >= self._count_again:
            self._differing = Counter(
                (self._rows.descriptor(kind).public, troubles[kind, key].reason)
                for (kind, key), since in troubles.since.items()
                if since <= now - AGE_S
            )
            self._count_again = now + len(troubles.since) / COUNTED_A_SECOND
        return self._differing


def _segment_problems(ports: Iterable[PortStatus]) -> Iterator[Problem]:
    """Yield one problem for each reason why segments of ours are not advertised."""
    for why, hint in (
        (PORT_DOWN, "look at the link to the machine"),
        (UPLINKS_DOWN, "look at the links to the fabric"),
        (FILTER_MISSING, "vtep diff; docs/multihoming.md"),
        (PORT_SHARED, "use a VLAN device for each VNI as its port, or all-active mode"),
    ):
        if found := [f"{one.segment} ({one.port})" for one in ports if one.why == why]:
            what = f"not advertised, because {WHY[why]}: Ethernet segment {named(found)}"
            yield Problem(DEGRADED, why, what, hint, len(found))


def _without_groups(intent: Intent, target: KernelTarget | None) -> Iterator[Problem]:
    """Yield that ports on segments of ours can have no backup, because no row of their VNIs may name a group."""
    ungrouped = frozenset() if target is None else target.ungrouped
    if ungrouped and (found := sorted({vni for (vni, _), _ in intent.port_filters.unordered() if vni in ungrouped})):
        what = f"VNI {named(found)}: no row may name several VTEPs, so ports on Ethernet segments have no backup"
        yield Problem(DEGRADED, "nexthops-unsafe", what, "vtep vnis has the command", len(found))


def _underlay_problems(underlay: Underlay) -> Iterator[Problem]:
    for one in underlay.troubles:
        others = one.vteps[1:]
        also = f"; the same for {len(others)} more of {underlay.vteps} VTEPs: {named(others)}" if others else ""
        yield Problem(DEGRADED, one.fault.code, one.fault.text + also, one.fault.mend, max(1, len(one.vteps)))


def _underlay_counts(underlay: Underlay) -> dict[str, int]:
    found = Counter({"ok": underlay.vteps})
    for one in underlay.troubles:
        count = len(one.vteps) or underlay.vteps
        found[one.fault.code] += count
        found["ok"] = max(0, found["ok"] - count)
    return dict(found)


def _orphans(actor: Actor) -> int:
    return sum(seen.marked and seen.whole for seen in actor.engine.foreign(FDB.name).values())


async def _explain_nothing(name: str) -> DeviceExplanation:
    """Answer for a daemon that has not opened its devices yet."""
    return DeviceExplanation(name, f"{name} was not read yet", "ask again")
