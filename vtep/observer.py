"""What everyone may read, put together: the routes and the intent from the listener, the rows from the actor.

    listener ──intent──> follow ─┬─> census, rosters, journal ──┐
    actor ──outcome, news──> see ┘                              ├──> Source (readers)
                                 └─> stirred rows ──cut──> Changes ─┘

Stands behind `status.source` in the daemon and keeps what can be told at once, at a cost per change: rows are put into
words when somebody asks for them. Decides nothing and writes nothing. Never sees a transport.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any, Final

from msgspec import structs

from vtep import __version__
from vtep.addr import Ip, Mac, Vni
from vtep.config import Config
from vtep.intent import Alert, Candidate, Host, HostKey, Intent, RemoteMac, RowKey, candidates_of, keys_of
from vtep.kernel.readiness import Hosts
from vtep.kernel.target import KernelTarget
from vtep.kinds.fdb import FDB
from vtep.kinds.flood import FLOOD
from vtep.kinds.neighbour import NEIGHBOUR, NOT_ANSWERING
from vtep.listener import Listener
from vtep.reconcile.actor import Actor, Outcome
from vtep.reconcile.compare import Differs
from vtep.reconcile.engine import Known
from vtep.reconcile.kind import Key, Kind, Row, Seen
from vtep.reconcile.report import News, Trouble
from vtep.routes.ead import EthernetAd
from vtep.routes.imet import Imet
from vtep.routes.mac_ip import MacIp
from vtep.routes.prefix import IpPrefix
from vtep.routes.segment import Segment
from vtep.status import explain as telling
from vtep.status.changes import Changes
from vtep.status.figures import Figures
from vtep.status.histogram import Histogram
from vtep.status.journal import Entry, Journal
from vtep.status.model import (
    CONTESTED,
    FAILED,
    INSTALLED,
    PENDING,
    STALE,
    SUPPRESSED,
    CandidateStatus,
    Comparison,
    Counts,
    DataplaneStatus,
    Difference,
    Explanation,
    FeedStatus,
    KernelRow,
    MacStatus,
    NeighbourStatus,
    PeerStatus,
    Status,
    Sync,
    VniStatus,
    VtepStatus,
)
from vtep.status.reasons import sentence
from vtep.status.roster import Roster
from vtep.status.source import Batch, MacQuery, Page

SCANNED_MAX: Final = 5000
"""Rows that one page looks at, for those who ask for few among many."""
FILLED_AT_ONCE: Final = 2000
WANTED_S: Final = 60.0
_COUNTED: Final = (FAILED, CONTESTED, SUPPRESSED)
_VERDICTS: Final = ("won", "lost", "refused")
_HOLDERS: Final = {
    "": "an orphan row with our mark",
    "foreign": "another hand's row",
    "local-static": "a static entry",
    "local-learned": "a station that was heard",
}
"""Whose a row is that is not ours, as a sentence names it."""
_READERS_NAMES: Final = {FDB.name: "mac", FLOOD.name: "flood", NEIGHBOUR.name: "neighbor"}
_ROUTE_TYPES: Final = {EthernetAd: "ead", MacIp: "mac-ip", Imet: "imet", Segment: "segment", IpPrefix: "prefix"}


class Observer:
    """What `status.source` promises, of a running daemon."""

    def __init__(self, config: Config, listener: Listener, clock: Callable[[], float]) -> None:
        self.epoch = uuid.uuid4().hex[:12]
        self.config = config
        self.attached = False
        """ExaBGP is connected."""
        self.backlog: Callable[[], int] = lambda: 0
        self.may_write = True
        self.overruns = 0
        self.last_line: float | None = None
        self.reloaded = clock()
        self.reload_ok = True
        self._listener = listener
        self._clock = clock
        self._started = clock()
        self._actor: Actor | None = None
        self._target: KernelTarget | None = None
        self._message_s = Histogram()
        self._journal = Journal()
        self._census = _Census()
        self._macs: Roster[RowKey] | None = None
        self._hosts: Roster[HostKey] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._changes: Changes[Batch] = Changes()
        self._wanted_until = 0.0
        """Somebody read the revision lately, and will ask for what came after it."""
        self._dirty: set[RowKey] = set()
        self._told = 0
        """The number of the latest entry that is in a batch."""
        self._peers: dict[Ip, tuple[bool, bool]] = {}
        self._last = Outcome()
        self._comparing: asyncio.Task[Comparison] | None = None

    def attach(self, actor: Actor, target: KernelTarget, message_s: Histogram) -> None:
        """There is a kernel to tell of."""
        self._actor, self._target, self._message_s = actor, target, message_s

    def reconfigure(self, config: Config) -> None:
        """Another configuration holds from now on."""
        self.config = config
        self.reloaded = self._clock()
        self.reload_ok = True
        self.happen(Entry("reload", text=f"{len(config.vnis)} VNIs"))

    # What is new

    def happen(self, entry: Entry) -> None:
        """Put something down in the journal."""
        self._journal.add(entry, self._clock(), self._listener.intent.generation)

    def follow(self, before: Intent, intent: Intent) -> None:
        """Take note of an intent, once each and in order."""
        if intent is before:
            return
        if intent.complete != before.complete:
            self.happen(Entry("complete" if intent.complete else "incomplete", text=intent.why))
        collecting = self.collecting
        for key in intent.touched:
            old, row = before.macs.get(key), intent.macs.get(key)
            self._census.count(key, old, row)
            if old is not None and row is not None and old.via != row.via:
                self._moved(old, row)
            if self._macs is not None:
                (self._macs.drop if row is None else self._macs.put)(key)
        if collecting:
            self._dirty.update(intent.touched)
        elif intent.touched:
            self._changes.skip()
        for host in intent.touched_hosts:
            was, there = (any(found.vni == host[0] for found in of.hosts.get(host[1], ())) for of in (before, intent))
            self._census.hosts[host[0], "ipv6" if host[1].is_v6 else "ipv4"] += there - was
            if self._hosts is not None:
                (self._hosts.put if there else self._hosts.drop)(host)
        if intent.alerts is not before.alerts:
            self._take_alerts(before, intent)

    def see(self, outcome: Outcome) -> None:
        """Take note of what a pass found."""
        actor, last = self._actor, self._last
        self._last = outcome
        if actor is None:
            return
        if (outcome.error is None) != (last.error is None):
            kind = "kernel-seen" if outcome.error is None else "kernel-blind"
            self.happen(Entry(kind, text="" if outcome.error is None else str(outcome.error)))
        news = actor.engine.troubles.news
        while news:
            item = news.popleft()
            kind, key = item.place
            trouble = item.trouble or Trouble(item.what, "")
            self.happen(
                Entry(
                    item.what,
                    vni=key[0],
                    mac=key[1] if kind == FDB.name else None,
                    vtep=self._vtep_of(kind, key),
                    reason=trouble.reason,
                    text=trouble.text or self._holder_of(item),
                )
            )
        if outcome.report is not None and outcome.report is not last.report:
            self._take_readiness(last, outcome)

    def _holder_of(self, item: News) -> str:
        return self._holder(self._known(*item.place)) if item.what == CONTESTED else ""

    def look_at_peers(self) -> None:
        """Take note of peers that came, went or have told all."""
        for peer in self._listener.rib.peers.values():
            now, before = (peer.up, peer.ended), self._peers.get(peer.address, (False, False))
            if now == before:
                continue
            self._peers[peer.address] = now
            if peer.up != before[0]:
                self.happen(Entry("peer-up" if peer.up else "peer-down", peer=peer.address, reason=peer.reason))
            if peer.ended and not before[1]:
                self.happen(Entry("peer-ended", peer=peer.address, text="it has told all it has"))

    def _moved(self, old: RemoteMac, row: RemoteMac) -> None:
        self._census.moves[row.vni] += 1
        self.happen(
            Entry("move", row.vni, row.mac, row.via.vtep, old.via.vtep, row.peer, row.reason, f"sequence {row.seq}")
        )

    def _take_alerts(self, before: Intent, intent: Intent) -> None:
        for key, alerts in intent.alerts.unordered():
            known = before.alerts.get(key, ())
            if alerts is known:
                continue
            for alert in alerts:
                if alert not in known:
                    kind = "duplicate" if alert.kind.startswith("dup-") else "alert"
                    self.happen(Entry(kind, key[0], key[1], alert.vtep, reason=alert.kind, text=sentence(alert.kind)))

    def _take_readiness(self, last: Outcome, outcome: Outcome) -> None:
        before = {} if last.report is None else last.report.not_ready
        after = {} if outcome.report is None else outcome.report.not_ready
        for vni, reasons in after.items():
            if before.get(vni) != reasons:
                self.happen(Entry("vni-not-ready", vni=vni, text=", ".join(reasons)))
        for vni in before.keys() - after.keys():
            self.happen(Entry("vni-ready", vni=vni))

    # Those who watch

    @property
    def collecting(self) -> bool:
        return self._changes.readers > 0 or self._clock() < self._wanted_until

    @property
    def revision(self) -> int:
        self._wanted_until = self._clock() + WANTED_S
        self._hear_rows()
        return self._changes.revision

    def batches(self, after: int) -> AsyncIterator[Batch | None]:
        self._hear_rows()
        return self._changes.after(after)

    def cut(self) -> None:
        """Put what is new into a batch, if anybody wants it."""
        if not self.collecting:
            self._dirty.clear()
            self._told = self._journal.number
            if self._actor is not None:
                self._actor.engine.troubles.stirred = None
            return
        stirred = self._actor.engine.troubles.stirred if self._actor is not None else None
        if stirred:
            self._dirty.update(key for kind, key in stirred if kind == FDB.name)
            stirred.clear()
        entries, _ = self._journal.entries(after=self._told)
        if not self._dirty and not entries:
            return
        intent = self._listener.intent
        macs, gone = [], []
        for key in sorted(self._dirty):
            row = intent.macs.get(key)
            if row is None:
                gone.append(key)
            else:
                macs.append(self._mac(row, intent))
        self._dirty.clear()
        self._told = self._journal.number
        self._changes.put(Batch(self._changes.revision + 1, macs, gone, entries))

    def _hear_rows(self) -> None:
        if self._actor is not None and self._actor.engine.troubles.stirred is None:
            self._actor.engine.troubles.stirred = set()

    # Reading

    def wall(self, time_: float) -> float:
        return time.time() - self._clock() + time_

    def clock(self, wall: float) -> float:
        return wall - time.time() + self._clock()

    async def prepare(self) -> None:
        if self._macs is None:
            self._macs, self._hosts = Roster(), Roster()
            self._preparing = asyncio.create_task(self._fill(self._macs, self._hosts))
        if self._preparing is not None:
            await asyncio.shield(self._preparing)

    async def _fill(self, macs: Roster[RowKey], hosts: Roster[HostKey]) -> None:
        """Put the keys in order a few at a time; what goes meanwhile is not put in again."""
        intent = self._listener.intent
        for number, (key, _) in enumerate(intent.macs.unordered(), 1):
            if key in self._listener.intent.macs:
                macs.put(key)
            if number % FILLED_AT_ONCE == 0:
                await asyncio.sleep(0)
        for number, (ip, found) in enumerate(intent.hosts.unordered(), 1):
            there = {host.vni for host in self._listener.intent.hosts.get(ip, ())}
            for host in found:
                if host.vni in there:
                    hosts.put((host.vni, ip))
            if number % FILLED_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._preparing = None

    def status(self) -> Status:
        intent = self._listener.intent
        return Status(
            version=__version__,
            started=self._started,
            generation=intent.generation,
            complete=intent.complete,
            why=intent.why,
            macs=len(intent.macs),
            feed=self._feed(),
            dataplane=self._dataplane(),
            kinds=self._kinds(intent),
            admin=self.config.api.admin,
            events=self._journal.number,
        )

    def entries(self, *, after: int = 0, since: float | None = None) -> tuple[Sequence[Entry], int]:
        return self._journal.entries(after=after, since=since)

    def vnis(self) -> Sequence[VniStatus]:
        intent = self._listener.intent
        duplicates = Counter(key[0] for key, found in intent.alerts.unordered() if any(_is_duplicate(a) for a in found))
        return [
            VniStatus(
                vni=vni.vni,
                bridge=vni.bridge,
                vxlan=vni.vxlan,
                vtep=vni.vtep,
                state=self._vni_state(vni.vni),
                reasons=self._reasons(vni.vni),
                notes=self._last.report.notes.get(vni.vni, ()) if self._last.report else (),
                import_rt=vni.imports.texts,
                export_rt=tuple(map(str, vni.exports)),
                macs=self._counts(FDB, intent.rows_of_vni.get(vni.vni, 0), (vni.vni,)),
                macs_stale=self._census.stale[vni.vni],
                vteps=len({vtep for number, vtep in self._vteps(intent) if number == vni.vni}),
                neighbours=sum(count for (number, _), count in self._census.hosts.items() if number == vni.vni),
                duplicates=duplicates[vni.vni],
            )
            for vni in self.config.vnis
        ]

    def macs(self, query: MacQuery, after: RowKey | None, most: int) -> Page[MacStatus, RowKey]:
        intent = self._listener.intent
        rows: list[MacStatus] = []
        last = after
        for looked, key in enumerate(self._macs_after(after, query.vni)):
            if len(rows) == most or looked == SCANNED_MAX:
                return Page(rows, last, len(intent.macs), intent.generation)
            last = key
            row = intent.macs[key]
            if query.vtep is not None and row.via.vtep != query.vtep:
                continue
            told = self._mac(row, intent)
            if not query.states or told.sync.state in query.states:
                rows.append(told)
        return Page(rows, None, len(intent.macs), intent.generation)

    def _macs_after(self, after: RowKey | None, vni: Vni | None) -> Iterator[RowKey]:
        assert self._macs is not None, "prepare comes first"
        if vni is None:
            return self._macs.after(after)
        start = (vni, Mac(bytes(6)))
        if after is None or after < start:
            after = start
        return takewhile(lambda key: key[0] == vni, self._macs.after(after))

    def neighbours(self, vni: Vni | None, after: HostKey | None, most: int) -> Page[NeighbourStatus, HostKey]:
        assert self._hosts is not None, "prepare comes first"
        intent = self._listener.intent
        rows: list[NeighbourStatus] = []
        last = after
        for looked, key in enumerate(self._hosts.after(after)):
            if len(rows) == most or looked == SCANNED_MAX:
                return Page(rows, last, len(self._hosts), intent.generation)
            last = key
            if vni is None or key[0] == vni:
                rows += [self._neighbour(host) for host in intent.hosts[key[1]] if host.vni == key[0]]
        return Page(rows, None, len(self._hosts), intent.generation)

    def vteps(self, vni: Vni | None) -> Sequence[VtepStatus]:
        intent = self._listener.intent
        floods = {(flood.vni, flood.via.vtep): flood for _, found in intent.floods.unordered() for flood in found}
        rows = []
        for key in sorted(self._vteps(intent), key=lambda key: (key[0], key[1].order)):
            if vni is not None and key[0] != vni:
                continue
            flood = floods.get(key)
            sync = None if flood is None else self._sync(FLOOD, flood.key, intent)
            notes = flood.notes if flood is not None else ("rt2-without-imet",)
            rows.append(VtepStatus(key[0], key[1], self._census.macs[key], flood is not None, sync, notes))
        return rows

    def _vteps(self, intent: Intent) -> set[tuple[Vni, Ip]]:
        flooded = {(flood.vni, flood.via.vtep) for _, found in intent.floods.unordered() for flood in found}
        return flooded | {key for key, count in self._census.macs.items() if count}

    def figures(self) -> Figures:
        actor = self._actor
        rib = self._listener.rib
        stale = Counter(type(route) for peer in rib.peers.values() for route in peer.stale.values())
        current = rib.routes - stale
        routes = {(_ROUTE_TYPES[type_], "current"): count for type_, count in current.items()}
        routes |= {(_ROUTE_TYPES[type_], "stale"): count for type_, count in stale.items()}
        common: dict[str, Any] = {
            "routes": routes,
            "neighbours": dict(self._census.hosts),
            "moves": dict(self._census.moves),
            "reloaded": self.reloaded,
            "reload_ok": self.reload_ok,
            "kernel_op_s": self._message_s.snapshot(),
        }
        if actor is None:
            return Figures(**common)
        foreign = Counter(key[0] for key, seen in actor.engine.foreign(FDB.name).items() if seen.holder == "foreign")
        return Figures(
            **common,
            foreign=dict(foreign),
            repaired={_READERS_NAMES[kind]: count for kind, count in actor.engine.repairs.items()},
            kernel_ops=dict(actor.engine.changes),
            reconcile_s=actor.passes_s.snapshot(),
            install_s=actor.installs_s.snapshot(),
            actor_alive=actor.alive,
        )

    async def diff(self, vni: Vni | None) -> Comparison:
        if self._actor is None:
            return Comparison((), 0, 0, self._listener.intent.generation)
        if self._comparing is None or self._comparing.done():
            self._comparing = asyncio.create_task(self._compare(self._actor))
        whole = await asyncio.shield(self._comparing)
        if vni is None:
            return whole
        concerned = tuple(difference for difference in whole.differences if difference.vni == vni)
        return structs.replace(whole, differences=concerned)

    async def _compare(self, actor: Actor) -> Comparison:
        found = await actor.compare(lambda _: True)
        return Comparison(
            tuple(sorted(map(self._difference, found.differences), key=lambda row: (row.vni, row.kind, row.key))),
            found.left_out,
            found.compared,
            found.generation,
        )

    def explain(self, mac: Mac, vni: Vni | None) -> Sequence[Explanation]:
        intent, status, now = self._listener.intent, self.status(), self._clock()
        known = {key[0] for key in keys_of(intent, mac)} | {
            number.vni for number in self.config.vnis if self._is_known((number.vni, mac))
        }
        wanted = sorted(known if vni is None else {vni})
        if not wanted:
            wanted = sorted(number.vni for number in self.config.vnis)[:1] or [Vni(0)]
        return [self._explanation((number, mac), intent, status, now) for number in wanted]

    # One of each

    def _explanation(self, key: RowKey, intent: Intent, status: Status, now: float) -> Explanation:
        vni, mac = key
        row = intent.macs.get(key)
        moves = intent.moves.get(key)
        known = self._known(FDB.name, key)
        claim = None if known is None else known.claim
        ownership = "none" if claim is None else "owned" if claim.confirmed else "claimed"
        bare = Explanation(
            vni=vni,
            mac=mac,
            summary="",
            advice="",
            candidates=self._candidates(key, intent),
            desired=None if row is None else self._mac(row, intent),
            ownership=ownership,
            owned_since=claim.since.time if claim is not None and claim.since is not None else None,
            kernel=self._kernel_row(known),
            alerts=tuple(alert.kind for alert in intent.alerts.get(key, ())),
            moves=0 if moves is None else len(moves.times),
            duplicate_since=None if moves is None else moves.duplicate_since,
            vni_state=self._vni_state(vni),
            vni_reasons=self._reasons(vni),
        )
        summary, advice = telling.told(bare, self._scene(key, known, status, now))
        return structs.replace(bare, summary=summary, advice=advice)

    def _scene(self, key: RowKey, known: Known | None, status: Status, now: float) -> telling.Scene:
        foreign = None if known is None else known.foreign
        port = ""
        if foreign is not None and isinstance(foreign.where, int) and self._target is not None:
            port = self._target.name_of(foreign.where)
        return telling.Scene(
            status=status,
            now=now,
            vni=next((vni for vni in self.config.vnis if vni.vni == key[0]), None),
            port=port,
            orphan=foreign is not None and foreign.marked and foreign.whole,
        )

    def _candidates(self, key: RowKey, intent: Intent) -> tuple[CandidateStatus, ...]:
        """Return the routes that concern this VNI, and those that concern none of ours."""
        ours = {vni.vni for vni in self.config.vnis}
        found = [
            candidate
            for candidate in candidates_of(intent, key[1])
            if candidate.vni == key[0] or candidate.vni not in ours
        ]
        found.sort(key=lambda candidate: (_VERDICTS.index(candidate.verdict), candidate.vtep.order, candidate.rd))
        winner = next((candidate.vtep for candidate in found if candidate.verdict == "won"), None)
        return tuple(self._candidate(candidate, winner) for candidate in found)

    def _candidate(self, candidate: Candidate, winner: Ip | None) -> CandidateStatus:
        targets = next(
            (
                route.attributes.targets
                for route in self._listener.rib.index.routes_of(candidate.mac)
                if (route.peer, route.rd, route.ip) == (candidate.peer, candidate.rd, candidate.ip)
            ),
            (),
        )
        return CandidateStatus(
            vni=candidate.vni,
            vtep=candidate.vtep,
            verdict=candidate.verdict,
            reason=candidate.reason,
            text=telling.verdict_text(candidate.verdict, candidate.reason, winner),
            seq=candidate.seq,
            sticky=candidate.sticky,
            stale=candidate.stale,
            peer=candidate.peer,
            rd=candidate.rd,
            ip=candidate.ip,
            segment=candidate.esi,
            label=candidate.label,
            targets=targets,
            notes=candidate.notes,
        )

    def _kernel_row(self, known: Known | None) -> KernelRow:
        actor = self._actor
        if known is None or actor is None:
            return KernelRow("unknown")
        if known.claim is not None and known.claim.confirmed and known.claim.since is not None:
            if known.trouble is not None and known.trouble.reason == "not-ready":
                # Nobody looks at a device that is not fit, and it may have lost its rows.
                return KernelRow("unknown", known.claim.row.vtep, seen=known.claim.since.time)
            seen = max(known.claim.since.time, actor.audited or 0.0)
            return KernelRow("ours", known.claim.row.vtep, seen=seen)
        if known.foreign is not None:
            where = _destination(known.foreign)
            vtep = where if isinstance(where, Ip) else None
            return KernelRow("foreign", vtep, self._holder(known), actor.audited)
        if known.claim is not None or not known.surveyed:
            return KernelRow("unknown")
        return KernelRow("absent", seen=actor.audited)

    def _holder(self, known: Known | None) -> str:
        """Say who holds a row and where it points."""
        foreign = None if known is None else known.foreign
        if foreign is None:
            return ""
        name = _HOLDERS.get(foreign.holder, foreign.holder)
        where = _destination(foreign)
        if isinstance(where, Ip):
            return f"{name} to {where}"
        if isinstance(where, int) and self._target is not None:
            return f"{name} on {self._target.name_of(where)}"
        return name

    def _mac(self, row: RemoteMac, intent: Intent) -> MacStatus:
        key = row.key
        return MacStatus(
            vni=row.vni,
            mac=row.mac,
            vtep=row.via.vtep,
            vtep_vni=row.via.vni,
            reason=row.reason,
            seq=row.seq,
            sticky=row.sticky,
            stale=row.stale,
            peer=row.peer,
            rd=row.rd,
            segment=row.segment,
            notes=row.notes,
            alerts=tuple(alert.kind for alert in intent.alerts.get(key, ())),
            sync=self._sync(FDB, key, intent, stale=row.stale),
        )

    def _neighbour(self, host: Host) -> NeighbourStatus:
        return NeighbourStatus(
            vni=host.vni,
            ip=host.ip,
            mac=host.mac,
            router=host.router,
            peer=host.peer,
            rd=host.rd,
            alerts=tuple(alert.kind for alert in host.alerts),
            sync=self._sync(NEIGHBOUR, host.key, self._listener.intent),
        )

    def _sync(self, kind: Kind, key: Key, intent: Intent, *, stale: bool = False) -> Sync:
        known = self._known(kind.name, key)
        if known is None or not self._is_bound(key[0]):
            return Sync(SUPPRESSED, "unbound", "the VNI has no bridge")
        trouble, claim = known.trouble, known.claim
        since, generation = (
            (None, 0) if claim is None or claim.since is None else (claim.since.time, claim.since.generation)
        )
        if trouble is not None:
            state = PENDING if trouble.state == "held" else trouble.state
            text = trouble.text or (self._holder(known) if trouble.state == CONTESTED else "")
            if trouble.reason == "not-ready":
                since, generation = None, 0  # whether it is there still is not known
            return Sync(state, trouble.reason, text, trouble.errno, trouble.due, since, generation)
        if claim is not None and claim.confirmed and claim.row == kind.wanted_at(intent, key):
            return Sync(STALE if stale else INSTALLED, since=since, generation=generation)
        if kind is NEIGHBOUR and not self._answers_for_hosts(key[0]):
            return Sync(SUPPRESSED, NOT_ANSWERING, sentence(NOT_ANSWERING))
        error = self._last.error
        return Sync(PENDING) if error is None else Sync(PENDING, "kernel-blind", str(error))

    def _known(self, kind: str, key: Key) -> Known | None:
        return None if self._actor is None else self._actor.engine.known_of(kind, key)

    def _is_known(self, key: RowKey) -> bool:
        """Tell whether the kernel side knows of a MAC that no route tells of."""
        known = self._known(FDB.name, key)
        return known is not None and (known.claim is not None or known.foreign is not None)

    def _answers_for_hosts(self, vni: Vni) -> bool:
        """Neighbour rows need more than their VNI does; where that is missing they are left out."""
        actor = self._actor
        return actor is not None and (actor.engine.is_ready(Hosts(vni)) or not actor.engine.is_ready(vni))

    def _is_bound(self, vni: Vni) -> bool:
        return any(found.vni == vni and found.is_bound for found in self.config.vnis)

    def _vtep_of(self, kind: str, key: Key) -> Ip | None:
        if kind == FLOOD.name:
            vtep: Ip = key[1]
            return vtep
        row = self._listener.intent.macs.get(key) if kind == FDB.name else None
        return None if row is None else row.via.vtep

    def _vni_state(self, vni: Vni) -> str:
        if not self._is_bound(vni):
            return "unbound"
        if self._last.report is None:
            return "unknown"
        return "not-ready" if vni in self._last.report.not_ready else "ready"

    def _reasons(self, vni: Vni) -> tuple[str, ...]:
        return () if self._last.report is None else self._last.report.not_ready.get(vni, ())

    def _difference(self, differs: Differs) -> Difference:
        seen = differs.seen
        there = "" if seen is None else seen.holder or _in_words(seen.row)
        return Difference(
            kind=_READERS_NAMES[differs.kind],
            vni=differs.key[0],
            key=str(differs.key[1]),
            difference=differs.what,
            wanted=_in_words(differs.wanted),
            there=there,
            reason=differs.reason,
        )

    # Figures

    def _kinds(self, intent: Intent) -> dict[str, Counts]:
        bound = [vni.vni for vni in self.config.vnis if vni.is_bound]
        floods = Counter(flood.vni for _, found in intent.floods.unordered() for flood in found)
        hosts: Counter[Vni] = Counter()
        for (vni, _), count in self._census.hosts.items():
            hosts[vni] += count
        left_out = sum(hosts[vni] for vni in bound if not self._answers_for_hosts(vni))
        return {
            "mac": self._counts(FDB, sum(intent.rows_of_vni.get(vni, 0) for vni in bound), bound),
            "flood": self._counts(FLOOD, sum(floods[vni] for vni in bound), bound),
            "neighbor": self._counts(NEIGHBOUR, sum(hosts[vni] for vni in bound), bound, left_out=left_out),
        }

    def _counts(self, kind: Kind, wanted: int, vnis: Sequence[Vni], *, left_out: int = 0) -> Counts:
        """Count the rows of these VNIs; those of a VNI without a bridge are all suppressed, as are those left out."""
        actor = self._actor
        if actor is None or not any(self._is_bound(vni) for vni in vnis):
            return Counts(wanted=wanted, suppressed=wanted)
        troubles, there = actor.engine.troubles, actor.engine.ledger.confirmed(kind.name)
        states = {state: sum(troubles.count(kind.name, vni, state) for vni in vnis) for state in _COUNTED}
        states[SUPPRESSED] += left_out
        not_ready = () if self._last.report is None else self._last.report.not_ready
        installed = sum(there.get(vni, 0) for vni in vnis if vni not in not_ready)
        return Counts(wanted=wanted, installed=min(installed, wanted - sum(states.values())), **states)

    def _feed(self) -> FeedStatus:
        rib = self._listener.rib
        expected = self.config.feed.peers
        return FeedStatus(
            attached=self.attached,
            lines=rib.counters.lines,
            bad_lines=self._listener.bad_lines,
            gaps=rib.counters.gaps,
            backlog=self.backlog(),
            last_line=self.last_line,
            peers=tuple(
                PeerStatus(
                    address=peer.address,
                    up=peer.up,
                    ended=peer.ended,
                    routes=len(peer),
                    stale=len(peer.stale),
                    limited=peer.limited,
                    refresh=peer.refresh,
                    reason=peer.reason,
                    opened=peer.opened_at,
                )
                for peer in sorted(rib.peers.values(), key=lambda peer: peer.address.order)
            ),
            awaited=len(expected or rib.peers),
        )

    def _dataplane(self) -> DataplaneStatus:
        actor, outcome = self._actor, self._last
        if actor is None:
            return DataplaneStatus()
        report = outcome.report
        state, why = "on", ""
        if not self.may_write:
            state, why = "off", "CAP_NET_ADMIN is missing"
        elif outcome.error is not None:
            state, why = "blind", str(outcome.error)
        return DataplaneStatus(
            state=state,
            why=why,
            not_ready={} if report is None else report.not_ready,
            generation=outcome.intent.generation,
            passes=0 if report is None else report.number,
            troubles=actor.engine.troubles.counts(),
            converged=report is not None and report.converged,
            audited=actor.audited,
            overruns=self.overruns,
            repaired=sum(actor.engine.repairs.values()),
            orphans=self._orphans(actor),
        )

    def _orphans(self, actor: Actor) -> int:
        return sum(seen.marked and seen.whole for seen in actor.engine.foreign(FDB.name).values())


class _Census:
    """How many there are of what, kept by what changed."""

    def __init__(self) -> None:
        self.macs: Counter[tuple[Vni, Ip]] = Counter()
        self.stale: Counter[Vni] = Counter()
        self.moves: Counter[Vni] = Counter()
        self.hosts: Counter[tuple[Vni, str]] = Counter()

    def count(self, key: RowKey, old: RemoteMac | None, row: RemoteMac | None) -> None:
        vni = key[0]
        if old is not None:
            self.macs[vni, old.via.vtep] -= 1
            self.stale[vni] -= old.stale
        if row is not None:
            self.macs[vni, row.via.vtep] += 1
            self.stale[vni] += row.stale


def _destination(seen: Seen) -> Any:
    """Return where a row sends: a VTEP, or the index of a port."""
    return getattr(seen.row, "vtep", None) if seen.where is None else seen.where


def _is_duplicate(alert: Alert) -> bool:
    return alert.kind.startswith("dup-")


def _in_words(row: Row | None) -> str:
    """Spell a row of any kind."""
    if row is None:
        return ""
    vtep = getattr(row, "vtep", None)
    return f"to {vtep}" if vtep is not None else str(getattr(row, "mac", "there"))
