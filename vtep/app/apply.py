"""`vtep apply --once`: recorded routes onto the kernel of this host in one pass, with a report, and without a daemon.

    lines ──▶ leaf ──▶ intent ──▶ one pass ──▶ kernel
                                     │
                                     ▼
                                  report: applied, failed, pending

The parts are those of the daemon, and so are the rules: rows are claimed in `state_dir` before they are written, rows of other
programs stay, and nothing is removed while the picture is incomplete. So the second run finds everything as wanted and writes
nothing, and a daemon that starts afterwards takes the rows over. A daemon that runs has `state_dir`, and this command then refuses.

Nothing is tried twice and nothing is waited for: what is refused or not ready is in the report. Nothing is advertised. What needs
more than one look at the host (managed devices, the election and the filters of our own Ethernet segments) is left to the daemon.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from vtep import logs
from vtep.app.kernel_task import claims_of, is_bound
from vtep.app.replay import Playback
from vtep.app.state import StateDirectory
from vtep.app.station_task import StationTask
from vtep.config import file as config_file
from vtep.config.model import Config
from vtep.errors import UsageError
from vtep.intent import Intent
from vtep.linux.kernel import Kernel
from vtep.linux.tables.all import KINDS, WRITTEN
from vtep.linux.target import KernelRows, KernelTarget
from vtep.projection.leaf import Leaf
from vtep.reconcile.claims import Ledger
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.report import Report, Trouble
from vtep.reconcile.retry import RowRef
from vtep.reconcile.steps import run_to_end

ROWS_MAX: Final = 1000
"""Rows of each list of a report; more are only counted."""
FAILED: Final = frozenset({"failed", "suppressed", "contested"})
"""The states of rows that were refused, or that another program has. All others wait for something."""


class Application:
    """One pass over a kernel, and what came of it."""

    def __init__(self, config: Config, kernel: KernelRows, ledger: Ledger) -> None:
        self.target = KernelTarget(kernel, config.vnis, vrfs=config.vrfs, segments=config.segments)
        self.engine = Engine(WRITTEN, self.target, ledger)
        self._config = config

    def prepare(self, leaf: Leaf) -> None:
        """Tell the leaf, before its first route, what of this host a route must not name."""
        self.target.attachments()
        leaf.learn_own_macs(self.target.own_macs)
        leaf.learn_own_hosts(self.target.own_hosts)
        leaf.learn_ungrouped(self.target.ungrouped)
        leaf.set_advertising(frozenset(vni.vni for vni in self._config.vnis))

    def apply(self, intent: Intent, now: float) -> dict[str, Any]:
        """Make the pass, and return the report."""
        report = run_to_end(self.engine.run(intent, now, Scope(survey=True)))
        return self._spelled(intent, report)

    def _spelled(self, intent: Intent, report: Report) -> dict[str, Any]:
        troubles = self.engine.troubles
        failed = [(ref, trouble) for ref, trouble in troubles.items() if trouble.state in FAILED]
        pending = [(ref, trouble) for ref, trouble in troubles.items() if trouble.state not in FAILED]
        return {
            "generation": intent.generation,
            "complete": intent.complete,
            "why": intent.why,
            "counts": {
                "applied": report.applied,
                "created": report.created,
                "replaced": report.replaced,
                "deleted": report.deleted + report.shed,
                "adopted": report.adopted,
                "kept": report.kept,
                "failed": len(failed),
                "pending": len(pending),
            },
            "failed": self._rows(failed),
            "pending": self._rows(pending),
            "not_ready": [
                {"vni": vni, "problems": [msgspec.to_builtins(fault) for fault in faults]}
                for vni, faults in sorted(self.target.faults.items())
            ],
        }

    def _rows(self, found: Iterable[tuple[RowRef, Trouble]]) -> list[dict[str, Any]]:
        descriptors = {kind.name: kind.descriptor for kind in self.engine.kinds}
        rows = []
        for (name, key), trouble in islice(found, ROWS_MAX):
            what = descriptors[name]
            rows.append(
                {
                    "kind": what.public,
                    "vni": what.vni_of(key),
                    "key": what.key_text(key),
                    "state": trouble.state,
                    "reason": trouble.reason,
                    "text": trouble.text,
                }
            )
        return sorted(rows, key=lambda row: (row["vni"], row["kind"], row["key"]))


def apply(path: Path, lines: Iterable[bytes], *, until_s: float = 0.0, as_json: bool = False) -> int:
    """Carry out the command; return 0 if every row is as wanted, and 1 if a row failed or is pending, or a VNI is not ready."""
    logs.set_up("warning")
    config = _checked(path)
    state = StateDirectory(config.node.state_dir, time.monotonic)
    with state.held(), claims_of(config, state) as ledger, Kernel() as kernel, _Stations(config, ledger) as stations:
        application = Application(config, kernel, ledger)

        def prepare(leaf: Leaf) -> None:
            application.prepare(leaf)
            stations.learn(leaf)

        playback = Playback(config, prepare=prepare)
        for line in lines:
            playback.feed(line)
        playback.wait(until_s)
        stations.settle(playback.started())
        found = application.apply(playback.judge(), time.monotonic()) | _unread(playback.started())
    if found["bad_lines"] or found["bad_nlris"]:
        what = f"{found['bad_lines']} lines and {found['bad_nlris']} NLRIs could not be read"
        print(f"vtep: {what}, so routes may be missing: see vtep replay --decode", file=sys.stderr)
    print(json.dumps(found) if as_json else _text(found))
    counts = found["counts"]
    return int(bool(counts["failed"] or counts["pending"] or found["not_ready"]))


class _Stations:
    """What the bridges of this host have learned: before the first route, and after the last one where a station has a row of ours."""

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self._config = config
        self._claims = ledger.claims(KINDS[0].name)
        self._task: StationTask | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.close()

    def learn(self, leaf: Leaf) -> None:
        self._task = StationTask(self._config, leaf, self._claims, lambda: None, time.monotonic)
        asyncio.run(self._task.start())

    def settle(self, leaf: Leaf) -> None:
        assert self._task is not None
        self._task.look_again(leaf.take_unverified(), complete=leaf.intent.complete)
        asyncio.run(self._task.settle())


def _unread(leaf: Leaf) -> dict[str, int]:
    """Count what of the recording could not be read: its routes are missing, and a row of one of them may have been removed."""
    return {"bad_lines": leaf.bad_lines, "bad_nlris": leaf.rib.counters.bad_nlris}


def _checked(path: Path) -> Config:
    """Read the configuration; refuse one for which one pass is not enough."""
    config = config_file.read(path)
    if config.node.mode == "observe":
        raise UsageError(f'{path}: node.mode is "observe", which writes nothing; use vtep diff')
    if ports := [one for one in config.segments if one.port]:
        raise UsageError(f"{path}: segment {ports[0].esi} has a port, and its election takes time; use vtep run")
    if not is_bound(config):
        raise UsageError(f"{path}: no [[vni]] has a bridge and there is no [[vrf]], so there is nothing to write")
    return config


def _text(found: dict[str, Any]) -> str:
    """Spell a report for a person."""
    counts = found["counts"]
    head = (
        f"applied {counts['applied']} (created {counts['created']}, replaced {counts['replaced']}, "
        f"deleted {counts['deleted']}), adopted {counts['adopted']}, kept {counts['kept']}, "
        f"failed {counts['failed']}, pending {counts['pending']}"
    )
    lines = [head]
    for name in ("failed", "pending"):
        for row in found[name]:
            why = f"{row['state']} ({row['reason']})" + (f": {row['text']}" if row["text"] else "")
            lines.append(f"{name:8} VNI {row['vni']} {row['kind']} {row['key']}: {why}")
        if (more := counts[name] - len(found[name])) > 0:
            lines.append(f"{name:8} and {more} more")
    lines += [
        f"VNI {one['vni']} is not ready: {problem['text']}; {problem['mend']}"
        for one in found["not_ready"]
        for problem in one["problems"]
    ]
    if not found["complete"]:
        print(f"vtep: the routes are not complete, so nothing is removed: {found['why']}", file=sys.stderr)
    return "\n".join(map(logs.escaped, lines))
