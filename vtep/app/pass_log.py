"""What the log says about passes: rows that were written or refused, and VNIs that became ready or not.

Logs changes and not states, so that a row which is refused again and again is one line. What can happen in every pass is
bounded, because one MAC that flaps makes hundreds of passes a second, for days: at most one `rows written` a second, which
adds up the passes since the last one, and at most `ROWS_LOGGED` refused rows in `ROWS_S`. What was left out is counted, and
the count is logged when the period ends. Knows nothing about when passes are made; its caller calls `flush` when `due`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from vtep import logs
from vtep.addr import Vni
from vtep.linux.conditions import Fault
from vtep.logs import LineLimit
from vtep.reconcile.actor import Outcome
from vtep.reconcile.engine import Engine
from vtep.reconcile.report import Report

SUMMARY_S: Final = 1.0
ROWS_LOGGED: Final = 10
"""In `ROWS_S`; the status has how many there are."""
ROWS_S: Final = 10.0
UNREADABLE_S: Final = 60.0
"""The kernel is tried every second while it cannot be read."""

_SUMS: Final = ("created", "replaced", "deleted", "adopted", "repaired")

log = logging.getLogger("vtep")


class PassLog:
    """The log of one engine's passes."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._sums: Counter[str] = Counter()
        self._latest: Report | None = None
        """Of the passes that were not logged yet."""
        self._summary_from = clock()
        """No summary before this time."""
        self._rows = LineLimit(ROWS_LOGGED, ROWS_S)
        self._unreadable = LineLimit(1, UNREADABLE_S)

    @property
    def due(self) -> float | None:
        """When something that was held back must be logged."""
        dues = [self._rows.due, None if self._latest is None else self._summary_from]
        return min((due for due in dues if due is not None), default=None)

    def see(self, last: Outcome, outcome: Outcome, faults: Mapping[Vni, Sequence[Fault]] = {}) -> None:
        """Log what differs from the outcome before. The faults say what the VNIs that are not ready lack."""
        self._log_refused_rows()
        if outcome.error is not None:
            if self._unreadable.allows(self._clock()):
                left_out = self._unreadable.take_left_out()
                logs.event(log, logging.ERROR, "kernel unreadable", why=outcome.error, left_out=left_out)
            return
        report = outcome.report
        if report is None:
            return
        before = last.report or Report(0, 0)
        _log_readiness(before, report, faults)
        if report.applied or last.report is None or before.converged != report.converged:
            self._latest = report
            self._sums["passes"] += 1
            for name in _SUMS:
                self._sums[name] += getattr(report, name)
        self.flush()

    def flush(self) -> None:
        """Log what was held back and is due by now."""
        now = self._clock()
        if (left_out := self._rows.take_left_out(now)) > 0:
            logs.event(log, logging.WARNING, "more rows refused", left_out=left_out, hint="vtep diff lists them")
        if self._latest is None or now < self._summary_from:
            return
        sums = {name: self._sums[name] for name in (*_SUMS, "passes")}
        report, self._latest = self._latest, None
        self._sums.clear()
        self._summary_from = now + SUMMARY_S
        logs.event(log, logging.INFO, "rows written", generation=report.generation, **sums, converged=report.converged)

    def _log_refused_rows(self) -> None:
        """Log the rows that the kernel just refused, or that another program has."""
        now, descriptors = self._clock(), {kind.name: kind.descriptor for kind in self._engine.kinds}
        for item in self._engine.troubles.news:
            if item.trouble is None or item.what == "recovered" or not self._rows.allows(now):
                continue
            (kind, key), trouble = item.ref, item.trouble
            shown = descriptors[kind]
            row = {"kind": kind, "vni": shown.vni_of(key), shown.key_name: shown.key_text(key)}
            logs.event(log, logging.WARNING, f"row {trouble.state}", **row, reason=trouble.reason, text=trouble.text)


def _log_readiness(before: Report, report: Report, faults: Mapping[Vni, Sequence[Fault]]) -> None:
    """Log each VNI whose devices became ready, or are not ready for other reasons than before."""
    for vni, reasons in sorted(report.not_ready.items()):
        if before.not_ready.get(vni) != reasons:
            why = "; ".join(fault.text for fault in faults.get(vni, ()))
            hint = "; ".join(fault.mend for fault in faults.get(vni, ()))
            logs.event(log, logging.WARNING, "vni not ready", vni=vni, reasons=reasons, why=why, hint=hint)
    for vni in sorted(before.not_ready.keys() - report.not_ready.keys()):
        logs.event(log, logging.INFO, "vni ready", vni=vni)
    for vni, notes in sorted(report.notes.items()):
        if before.notes.get(vni) != notes:
            logs.event(log, logging.INFO, "vni note", vni=vni, notes=notes)
