"""What the log says about passes: rows that were written or refused, and VNIs that became ready or not.

Logs changes and not states, so that a row which is refused again and again is one line. Knows nothing about when passes
are made."""

import logging
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from vtep import logs
from vtep.addr import Vni
from vtep.linux.attachment import Fault
from vtep.reconcile.actor import Outcome
from vtep.reconcile.engine import Engine
from vtep.reconcile.report import Report

ROWS_LOGGED: Final = 10
"""After one pass; the status has how many there are."""

_COUNTS: Final = ("generation", "created", "replaced", "deleted", "adopted", "repaired", "converged")

log = logging.getLogger("vtep")


def log_outcome(last: Outcome, outcome: Outcome, faults: Mapping[Vni, Sequence[Fault]] = {}) -> None:
    """Log what differs from the outcome before. The faults say what the VNIs that are not ready lack."""
    if outcome.error is not None:
        logs.event(log, logging.ERROR, "kernel unreadable", why=outcome.error)
        return
    report = outcome.report
    if report is None:
        return
    before = last.report or Report(0, 0)
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
    if report.applied or last.report is None or last.report.converged != report.converged:
        logs.event(log, logging.INFO, "rows written", **{name: getattr(report, name) for name in _COUNTS})


def log_refused_rows(engine: Engine) -> None:
    """Log the rows that the kernel just refused, or that another program has."""
    names = {kind.name: kind.descriptor.key_name for kind in engine.kinds}
    refusals = (
        (item.ref, item.trouble)
        for item in engine.troubles.news
        if item.trouble is not None and item.what != "recovered"
    )
    for (kind, key), trouble in islice(refusals, ROWS_LOGGED):
        fields = {"kind": kind, "vni": key[0], names[kind]: key[1], "reason": trouble.reason}
        logs.event(log, logging.WARNING, f"row {trouble.state}", **fields, text=trouble.text)
