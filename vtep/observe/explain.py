"""Gathers what is known of one MAC: its candidates, the row that is wanted, the claim, and what the kernel has.

`vtep.observe.sentences` words the result. Reads the intent, the routes and the last pass as they are at this moment.
Decides nothing, and keeps nothing from one question to the next.

Any client may ask, and a peer decides how many routes a MAC has. So each route is looked at once or twice, in slices
between which the event loop has its turns, and an answer is bounded: the first candidates of the first VNIs, with a count
of the others.

    outcomes of the MAC ── slices ──> candidates by VNI, cut ──> Route Targets of those ──> one Explanation for each VNI
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, Final, TypeAlias

from msgspec import Struct, structs

from vtep.addr import Ip, Mac, RouteTarget, Vni
from vtep.evpn.ages import UNKNOWN, Age
from vtep.evpn.before_policy import BeforePolicy
from vtep.evpn.mac_ip import MacIp
from vtep.intent import Candidate, Intent, RowKey, each_candidate_of
from vtep.linux.tables.fdb import FDB, MARKED
from vtep.linux.tables.synced_mac import SYNCED_MAC
from vtep.observe.history import HistoryEntry
from vtep.observe.model import CandidateStatus, Explanation, Explanations, KernelRow, OwnSegmentStatus, Status
from vtep.observe.received import Received
from vtep.observe.rows import Rows, alert_kinds, destination
from vtep.observe.sentences import ExplainContext, summarize, verdict_text
from vtep.observe.stations import StationList
from vtep.observe.turns import Turns
from vtep.reconcile.knowledge import Known

CANDIDATES_MAX: Final = 200
"""How many candidates one explanation shows; an operator does not read more."""
VNIS_MAX: Final = 20
"""How many VNIs one answer explains; an operator who wants another one names it."""
ADVERTISED_TO_MAX: Final = 20
"""How many sessions an explanation names as those to which a station is advertised."""
ROUTES_A_TURN: Final = 250
"""How many routes are looked at before the event loop has its turns: about a millisecond of work."""

_VERDICTS: Final = ("won", "lost", "refused")

_RouteName: TypeAlias = tuple[Any, Any, Ip | None]
"""Peer, RD and host address: what a candidate and its route have in common."""


class Beside(Struct, frozen=True):
    """What is shown of candidates beside their verdicts."""

    targets: Mapping[_RouteName, tuple[RouteTarget, ...]]
    ages: Mapping[_RouteName, Age]
    host_refusals: Mapping[tuple[Vni, _RouteName], str]
    """Why the host address of a candidate gives no row."""


class Candidates:
    """The candidates of one MAC by VNI: the first of each VNI, and how many there are."""

    def __init__(self, configured: AbstractSet[Vni]) -> None:
        self.vnis: set[Vni] = set()
        """The VNIs of all candidates."""
        self._configured = configured
        self._first: dict[Vni | None, list[Candidate]] = {}
        """By configured VNI; under None those whose VNI is not configured here, which concern every VNI."""
        self._counts: Counter[Vni | None] = Counter()

    def take(self, candidates: Sequence[Candidate]) -> None:
        """Take some candidates. For each VNI at most twice as many as are shown are kept: a peer decides how many come."""
        for candidate in candidates:
            self.vnis.add(candidate.vni)
            group = candidate.vni if candidate.vni in self._configured else None
            self._counts[group] += 1
            first = self._first.setdefault(group, [])
            first.append(candidate)
            if len(first) >= 2 * CANDIDATES_MAX:
                self._first[group] = _first(first)

    def of(self, vni: Vni) -> tuple[list[Candidate], int]:
        """Return the first candidates for a VNI, and how many more there are."""
        groups = {vni, None} if vni in self._configured else {None}
        found = _first([candidate for group in groups for candidate in self._first.get(group, ())])
        return found, sum(self._counts[group] for group in groups) - len(found)


def _first(candidates: list[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=_rank)[:CANDIDATES_MAX]


def _rank(candidate: Candidate) -> tuple[Any, ...]:
    """Order candidates for a reader: the winner, our own station, those that lost, those that were refused."""
    return _VERDICTS.index(candidate.verdict), not candidate.port, candidate.vtep.order, candidate.rd


class Explainer:
    """Explains one MAC in one VNI, or in each VNI where something is known of it."""

    def __init__(
        self,
        rows: Rows,
        stations: StationList,
        own_segment_of: Callable[[Vni, Mac], OwnSegmentStatus | None] = lambda _, __: None,
        events_of: Callable[[Mac], Sequence[HistoryEntry]] = lambda _: (),
        befores: Callable[[], Iterable[tuple[Ip, BeforePolicy]]] = lambda: (),
    ) -> None:
        """`own_segment_of` returns the segment of ours on which a MAC is, `events_of` what the history has of a MAC."""
        self._rows = rows
        self._received = Received(rows.leaf, befores)
        self._stations = stations
        self._own_segment_of = own_segment_of
        self._events_of = events_of
        self._turns = Turns()

    async def explain(self, mac: Mac, vni: Vni | None, status: Status) -> Explanations:
        """Explain a MAC by the intent of this moment, in slices; what the engine knows is read as each VNI is worded.

        Without a VNI, every VNI in which a route, a station, a claim or a foreign row has the MAC is explained.
        """
        intent, now = self._rows.intent, self._rows.clock()
        candidates = Candidates(self._rows.configured.keys())
        for part in _slices(each_candidate_of(intent, mac)):
            await self._turns.take(candidates.take, part)
        vnis = [vni] if vni is not None else await self._turns.take(self._vnis, mac, candidates.vnis)
        shown = {number: candidates.of(number) for number in vnis[:VNIS_MAX]}
        everyone = [one for found, _ in shown.values() for one in found]
        beside = Beside(*await self._of_routes(mac, everyone), await self._host_refusals(mac, everyone, intent))
        explanations = []
        for number, (found, left_out) in shown.items():
            explanations.append(
                await self._turns.take(self._explanation, (number, mac), intent, status, now, found, beside, left_out)
            )
        return Explanations(tuple(explanations), len(vnis) - len(shown))

    def _vnis(self, mac: Mac, of_candidates: set[Vni]) -> list[Vni]:
        """Return the VNIs in which something is known of the MAC, the configured ones first; or the first of all."""
        configured = self._rows.configured
        known = of_candidates | {vni for vni in configured if self._rows.is_known((vni, mac))}
        if not known:
            return sorted(configured)[:1] or [Vni(0)]
        return [*sorted(known.intersection(configured)), *sorted(known.difference(configured))]

    async def _of_routes(
        self, mac: Mac, candidates: Sequence[Candidate]
    ) -> tuple[dict[_RouteName, tuple[RouteTarget, ...]], dict[_RouteName, Age]]:
        """Return the Route Targets and the ages of the routes of these candidates."""
        wanted = set(map(_name, candidates))
        targets: dict[_RouteName, tuple[RouteTarget, ...]] = {}
        ages: dict[_RouteName, Age] = {}

        def look(routes: Sequence[MacIp]) -> None:
            for route in routes:
                name = _name(route)
                if name in wanted and name not in targets:
                    targets[name] = route.attributes.targets
                    ages[name] = self._received.age(route.peer, route.key)

        for part in _slices(self._received.of_mac(mac)):
            await self._turns.take(look, part)
        return targets, ages

    async def _host_refusals(
        self, mac: Mac, candidates: Sequence[Candidate], intent: Intent
    ) -> dict[tuple[Vni, _RouteName], str]:
        """Return why the host addresses of these candidates give no rows, of those that give none."""
        wanted = {(candidate.vni, _name(candidate)) for candidate in candidates}
        found: dict[tuple[Vni, _RouteName], str] = {}

        def look(refusals: Sequence[Any], ip: Ip) -> None:
            for refused in refusals:
                name = (refused.vni, (refused.peer, refused.rd, ip))
                if refused.mac == mac and name in wanted:
                    found.setdefault(name, refused.reason)

        for ip in {candidate.ip for candidate in candidates if candidate.ip is not None}:
            for part in _slices(intent.refused_hosts.get(ip, ())):
                await self._turns.take(look, part, ip)
        return found

    def _explanation(
        self,
        key: RowKey,
        intent: Intent,
        status: Status,
        now: float,
        candidates: Sequence[Candidate],
        beside: Beside,
        left_out: int,
    ) -> Explanation:
        rows = self._rows
        vni, mac = key
        row = intent.macs.get(key)
        moves = intent.moves.get(key)
        known = rows.known(FDB.name, key)
        claim = None if known is None else known.claim
        observes = rows.actor is not None and rows.actor.engine.observes
        recent = self._moves(key, now) if moves is not None else []
        ownership = "none" if claim is None or observes else "owned" if claim.confirmed else "claimed"
        bare = Explanation(
            vni=vni,
            mac=mac,
            summary="",
            advice="",
            candidates=_worded(candidates, beside),
            candidates_left_out=left_out,
            desired=None if row is None else rows.mac(key, row, intent),
            ownership=ownership,
            owned_since=claim.since.time if claim is not None and claim.since is not None and not observes else None,
            kernel=self._observed_row(key, now) if observes else self._kernel_row(known),
            alerts=alert_kinds(intent.alerts.get(key, ())),
            moves=0 if moves is None else max(len(moves.times), len(recent)),
            moved_between=tuple(
                dict.fromkeys(vtep for one in recent for vtep in (one.vtep_before, one.vtep) if vtep is not None)
            ),
            duplicate_since=None if moves is None else moves.duplicate_since,
            vni_state=rows.vni_state(vni),
            vni_reasons=rows.reasons(vni),
            station=self._stations.station(vni, mac),
            advertised_to=tuple(peer.address for peer in status.feed.peers if peer.up)[:ADVERTISED_TO_MAX],
        )
        summary, advice = summarize(bare, self._context(key, known, status, now))
        return structs.replace(bare, summary=summary, advice=advice)

    def _moves(self, key: RowKey, now: float) -> list[HistoryEntry]:
        """Return the moves within the window: the memory of duplicates has no more of them than make a duplicate."""
        first = now - self._rows.config.duplicates.window_s
        events = self._events_of(key[1])
        return [one for one in events if one.kind == "move" and one.vni == key[0] and one.time >= first]

    def _context(self, key: RowKey, known: Known | None, status: Status, now: float) -> ExplainContext:
        foreign = None if known is None else known.foreign
        row, underlay = self._rows.intent.macs.get(key), self._rows.underlay
        fault = underlay.fault_here(key[0]) if row is None else underlay.fault_of(key[0], row.vtep)
        return ExplainContext(
            status=status,
            now=now,
            vni=self._rows.configured.get(key[0]),
            port=self._rows.port_of(foreign),
            orphan=foreign is not None and foreign.marked and foreign.whole,
            underlay=None if fault is None else (fault.code, fault.text, fault.mend),
            trouble="" if known is None or known.trouble is None else known.trouble.reason,
            lasting=self._lasting(key, now),
            own_segment=self._own_segment_of(*key),
            synced=self._synced(key),
            unaccepted=self._received.unaccepted(key[1]),
            policy=self._received.before_policy(key[1]),
            knows_before=self._received.knows_before(),
        )

    def _synced(self, key: RowKey) -> str:
        """Say what follows from that another VTEP of our segment has seen a MAC."""
        intent = self._rows.intent
        if (row := intent.synced.get(key)) is None:
            return ""
        state = self._rows.sync(SYNCED_MAC, key, intent)
        text = f"Another VTEP of it has seen the MAC, so it has a row at port {row.port} ({state.state}"
        text += f": {state.reason})" if state.reason else ")"
        own = intent.own.get((*key, None))
        if own is not None and own.proxy:
            text += ", and this leaf advertises it as a proxy until the machine speaks here"
        return f"{text}."

    def _lasting(self, key: RowKey, now: float) -> str:
        actor = self._rows.actor
        since = None if actor is None else actor.engine.troubles.since.get((FDB.name, key))
        return "" if since is None else f" for {now - since:.0f} s"

    def _observed_row(self, key: RowKey, now: float) -> KernelRow:
        """Look at the row at this moment: it is another daemon's, and nothing that was known of it need still be true."""
        actor = self._rows.actor
        if actor is None or not actor.engine.is_ready(key[0]):
            return KernelRow("unknown")
        seen = actor.engine.look(FDB.name, key)
        if seen is None:
            return KernelRow("absent", seen=now)
        where = destination(seen)
        holder = seen.writer or (self._rows.holder_of(seen) if seen.holder else MARKED)
        return KernelRow("foreign", where if isinstance(where, Ip) else None, holder, now)

    def _kernel_row(self, known: Known | None) -> KernelRow:
        """Return what the kernel had when it was last looked at; this asks nothing of the kernel.

        A confirmed claim says that the row is ours, until an audit finds something else. A claim that is not confirmed
        says nothing: its row may have been written or not.
        """
        actor = self._rows.actor
        if known is None or actor is None:
            return KernelRow("unknown")
        if known.claim is not None and known.claim.confirmed and known.claim.since is not None:
            if known.trouble is not None and known.trouble.reason == "not-ready":
                # The devices of the VNI are not fit, so they are not read, and they may have lost their rows.
                return KernelRow("unknown", known.claim.row.vtep, seen=known.claim.since.time)
            seen = max(known.claim.since.time, actor.audited or 0.0)
            return KernelRow("ours", known.claim.row.vtep, seen=seen)
        if known.foreign is not None:
            where = destination(known.foreign)
            vtep = where if isinstance(where, Ip) else None
            return KernelRow("foreign", vtep, self._rows.holder(known), actor.audited)
        if known.claim is not None or not known.surveyed:
            return KernelRow("unknown")
        return KernelRow("absent", seen=actor.audited)


def _name(route: Candidate | MacIp) -> _RouteName:
    return route.peer, route.rd, route.ip


def _worded(candidates: Sequence[Candidate], beside: Beside) -> tuple[CandidateStatus, ...]:
    winner = next((candidate.vtep for candidate in candidates if candidate.verdict == "won"), None)
    return tuple(_candidate(candidate, winner, beside) for candidate in candidates)


def _candidate(candidate: Candidate, winner: Ip | None, beside: Beside) -> CandidateStatus:
    refusal = beside.host_refusals.get((candidate.vni, _name(candidate)), "")
    age = UNKNOWN if candidate.port else beside.ages.get(_name(candidate), UNKNOWN)
    return CandidateStatus(
        vni=candidate.vni,
        vtep=candidate.vtep,
        verdict=candidate.verdict,
        reason=candidate.reason,
        text=verdict_text(candidate.verdict, candidate.reason, winner, candidate.port),
        seq=candidate.seq,
        sticky=candidate.sticky,
        stale=candidate.stale,
        peer=candidate.peer,
        rd=candidate.rd,
        ip=candidate.ip,
        segment=candidate.esi,
        label=candidate.label,
        targets=beside.targets.get(_name(candidate), ()),
        notes=(*candidate.notes, refusal) if refusal else candidate.notes,
        port=candidate.port,
        since=age.since,
        received_before=age.before,
    )


def _slices(found: Iterable[Any]) -> Iterator[Sequence[Any]]:
    left = iter(found)
    return iter(lambda: list(islice(left, ROUTES_A_TURN)), [])
