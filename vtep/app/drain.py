"""The end of a daemon with `on_stop = "drain"`: remove the rows that are ours, within a bounded time.

A row that another program changed since, or that cannot be removed in time, stays and keeps its claim, so that the next
start knows it. Knows nothing about why the daemon stops.
"""

import logging
from collections.abc import Callable
from typing import Final

from vtep import logs
from vtep.errors import KernelError
from vtep.intent import Intent
from vtep.reconcile.claims import Ledger
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.report import Report
from vtep.reconcile.steps import Steps

DRAIN_S_MAX: Final = 5.0
"""Well within TimeoutStopSec of the service (15 s). What is left stays claimed for the next start."""

log = logging.getLogger("vtep")


def drain(engine: Engine, ledger: Ledger, intent: Intent, clock: Callable[[], float]) -> None:
    """Make one pass with an intent that has no rows, and log what is left."""
    nothing = Intent(generation=intent.generation, complete=True)
    claimed = _claimed(engine, ledger)
    try:
        run_for(engine.run(nothing, clock(), Scope(survey=True)), DRAIN_S_MAX, clock)
    except KernelError as error:
        logs.event(log, logging.ERROR, "not drained", why=error, left=claimed)
        return
    left = _claimed(engine, ledger)
    level, hint = (logging.WARNING, "the next start takes them over") if left else (logging.INFO, "")
    logs.event(log, level, "drained", released=claimed - left, left=left, hint=hint)


def run_for(steps: Steps[Report], most_s: float, clock: Callable[[], float]) -> None:
    """Run a pass, and stop it when the time is over; what it did not do keeps its claims."""
    end = clock() + most_s
    answer = None
    while clock() < end:
        try:
            call = steps.send(answer)
        except StopIteration:
            return
        answer = None if call is None else call()
    steps.close()


def _claimed(engine: Engine, ledger: Ledger) -> int:
    """Count the rows that are ours, of all kinds."""
    return sum(len(ledger.claims(kind.name)) for kind in engine.kinds)
