"""Gathers what is known of one MAC: its candidates, the row that is wanted, the claim, and what the kernel has.

`vtep.observe.sentences` words the result. Reads the intent, the routes and the last pass as they are at this moment.
Decides nothing, and keeps nothing from one question to the next.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from vtep.addr import Ip, Mac, Vni
from vtep.intent import Candidate, Intent, RowKey, candidates_of, host_refusal, keys_of
from vtep.linux.tables.fdb import FDB
from vtep.observe.model import CandidateStatus, Explanation, KernelRow, Status
from vtep.observe.rows import Rows, destination
from vtep.observe.sentences import ExplainContext, summarize, verdict_text
from vtep.reconcile.knowledge import Known

_VERDICTS: Final = ("won", "lost", "refused")


class Explainer:
    """Explains one MAC in one VNI, or in each VNI where something is known of it."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def explain(self, mac: Mac, vni: Vni | None, status: Status) -> Sequence[Explanation]:
        rows, intent, now = self._rows, self._rows.intent, self._rows.clock()
        known = {key[0] for key in keys_of(intent, mac)} | {
            number.vni for number in rows.config.vnis if rows.is_known((number.vni, mac))
        }
        wanted = sorted(known if vni is None else {vni})
        if not wanted:
            wanted = sorted(number.vni for number in rows.config.vnis)[:1] or [Vni(0)]
        return [self._explanation((number, mac), intent, status, now) for number in wanted]

    def _explanation(self, key: RowKey, intent: Intent, status: Status, now: float) -> Explanation:
        rows = self._rows
        vni, mac = key
        row = intent.macs.get(key)
        moves = intent.moves.get(key)
        known = rows.known(FDB.name, key)
        claim = None if known is None else known.claim
        ownership = "none" if claim is None else "owned" if claim.confirmed else "claimed"
        bare = Explanation(
            vni=vni,
            mac=mac,
            summary="",
            advice="",
            candidates=self._candidates(key, intent),
            desired=None if row is None else rows.mac(row, intent),
            ownership=ownership,
            owned_since=claim.since.time if claim is not None and claim.since is not None else None,
            kernel=self._kernel_row(known),
            alerts=tuple(alert.kind for alert in intent.alerts.get(key, ())),
            moves=0 if moves is None else len(moves.times),
            duplicate_since=None if moves is None else moves.duplicate_since,
            vni_state=rows.vni_state(vni),
            vni_reasons=rows.reasons(vni),
        )
        summary, advice = summarize(bare, self._context(key, known, status, now))
        return structs.replace(bare, summary=summary, advice=advice)

    def _context(self, key: RowKey, known: Known | None, status: Status, now: float) -> ExplainContext:
        foreign = None if known is None else known.foreign
        return ExplainContext(
            status=status,
            now=now,
            vni=next((vni for vni in self._rows.config.vnis if vni.vni == key[0]), None),
            port=self._rows.port_of(foreign),
            orphan=foreign is not None and foreign.marked and foreign.whole,
        )

    def _candidates(self, key: RowKey, intent: Intent) -> tuple[CandidateStatus, ...]:
        """Return the routes for this VNI, and those whose VNI is not configured here."""
        ours = {vni.vni for vni in self._rows.config.vnis}
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
                for route in self._rows.leaf.rib.index.routes_of(candidate.mac)
                if (route.peer, route.rd, route.ip) == (candidate.peer, candidate.rd, candidate.ip)
            ),
            (),
        )
        refusal = host_refusal(self._rows.intent, candidate)
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
            targets=targets,
            notes=(*candidate.notes, refusal) if refusal else candidate.notes,
            port=candidate.port,
        )

    def _kernel_row(self, known: Known | None) -> KernelRow:
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
