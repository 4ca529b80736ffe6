"""Runs a recorded stream through the real code onto a kernel in memory: for bug reports, experiments and golden tests.

The time in each line is the clock, and a pass follows every line. So holds and windows are exact, and the counters say
which messages a kernel would have received. Opens no socket and uses no real kernel.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from vtep.addr import Ip, Mac
from vtep.config.model import Config
from vtep.evpn.event import Received, Unreadable
from vtep.feed.exabgp.lines import LineReader
from vtep.intent import Intent, RemoteMac, candidates_of, vteps_of
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.projection.leaf import Leaf
from vtep.reconcile.claims import Claims
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.steps import run_to_end
from vtep.store.table import Table

K = TypeVar("K")
T = TypeVar("T")


class Playback:
    """Recorded lines given to a leaf, each at its own time. What follows an intent is up to the caller."""

    def __init__(
        self,
        config: Config,
        *,
        prepare: Callable[[Leaf], None] = lambda _: None,
        follow: Callable[[Intent, float], None] = lambda *_: None,
    ) -> None:
        """`prepare` gets the leaf before its first line, and `follow` each intent that is new, with its time."""
        self._config = config
        self._prepare = prepare
        self._follow = follow
        self._leaf: Leaf | None = None
        self.now = 0.0
        self._reader = LineReader()
        self._early: list[Received | Unreadable] = []
        self.lines = 0

    def feed(self, line: bytes) -> None:
        """Process one line at its own time. Lines before the first one that has a time are processed at that time."""
        self.lines += 1
        (message,) = self._reader.read((line,))
        if self._leaf is not None:
            self._happen(message)
            return
        self._early.append(message)
        if isinstance(message, Received) and message.time is not None:
            self._start(message.time)

    def wait(self, seconds: float) -> None:
        """Let time pass after the last line."""
        self.started()
        self._wait_until(self.now + seconds)

    def started(self) -> Leaf:
        """Return the leaf; start it at time 0 if no line had a time."""
        return self._leaf or self._start(0.0)

    def judge(self) -> Intent:
        """Judge what changed, and hand on an intent that is new."""
        leaf = self.started()
        before = leaf.intent
        intent = leaf.judge(self.now)
        if intent is not before:
            self._follow(intent, self.now)
        return intent

    def _start(self, now: float) -> Leaf:
        self.now = now
        self._leaf = leaf = Leaf(self._config, now, asks=False)
        self._prepare(leaf)
        for message in self._early:
            self._happen(message)
        self._early.clear()
        return leaf

    def _happen(self, message: Received | Unreadable) -> None:
        """Process one message at its time. Time never goes back: a line that is older than the one before it
        happens now."""
        assert self._leaf is not None
        if isinstance(message, Received):
            self._wait_until(self.now if message.time is None else max(message.time, self.now))
        self._leaf.receive((message,), self.now)
        self.judge()

    def _wait_until(self, time: float) -> None:
        """Move the clock, and stop at each time at which time alone changes something."""
        while self._leaf is not None and (due := self._leaf.due) is not None and due <= time:
            self.now = max(due, self.now)
            self._leaf.tick(self.now)
            moves = self._leaf.intent.moves
            self.judge()
            if self._leaf.due == due and self._leaf.intent.moves is moves:
                break  # this changed nothing, and would change nothing again
        self.now = time


class Replay:
    """One run of recorded lines onto a kernel in memory."""

    def __init__(self, config: Config) -> None:
        self.kernel = MemoryKernel()
        for vni in config.vnis:
            if vni.is_bound:
                self.kernel.add_devices_of(vni)
        for vrf in config.vrfs:
            self.kernel.add_devices_of_vrf(vrf)
        self.engine = Engine(
            KINDS, KernelTarget(self.kernel, config.vnis, vrfs=config.vrfs, segments=config.segments), Claims(KINDS)
        )
        self._applied: Intent | None = None
        self.playback = Playback(config, follow=self._pass)
        self.feed = self.playback.feed
        self.wait = self.playback.wait

    def result(self) -> dict[str, Any]:
        """Return the state and the counts at the end, for a person or a comparison."""
        leaf = self.playback.started()
        rib = leaf.rib.counters
        return {
            **summary(leaf.intent),
            "counters": {
                "lines": self.playback.lines,
                "bad_lines": leaf.bad_lines,
                "bad_nlris": rib.bad_nlris,
                "gaps": rib.gaps,
                "writes": self.kernel.writes,
                "replaces": self.kernel.replaces,
                "deletes": self.kernel.deletes,
                "unknown_withdraws": rib.unknown_withdraws,
            },
        }

    def _pass(self, intent: Intent, now: float) -> None:
        """Make the kernel in memory equal to the intent.

        When the picture becomes complete, or stops being so, everything is looked at: rows that were held can go
        then.
        """
        before, self._applied = self._applied, intent
        scope = Scope(survey=True)
        if before is not None and before.complete == intent.complete:
            scope = Scope(touched={kind.name: kind.touched(intent) for kind in self.engine.kinds})
        run_to_end(self.engine.run(intent, now, scope))


def replay(config: Config, lines: Iterable[bytes], until_s: float = 0.0) -> dict[str, Any]:
    """Process the lines, let `until_s` seconds pass, and return the result."""
    run = Replay(config)
    for line in lines:
        run.feed(line)
    run.wait(until_s)
    return run.result()


def summary(intent: Intent) -> dict[str, Any]:
    """Spell an intent as `vtep replay` prints it."""
    refused = {
        (candidate.vni, mac, candidate.vtep, candidate.reason)
        for mac, _ in intent.judged.unordered()
        for candidate in candidates_of(intent, mac)
        if candidate.verdict == "refused"
    }
    alerts = [(key, alert) for key, found in intent.alerts.unordered() for alert in found]
    alerts += [((host.vni, host.mac), alert) for host in _flat(intent.hosts) for alert in host.alerts]
    flooded = {(flood.vni, flood.via.vtep) for flood in _flat(intent.floods)}
    silent = {(vni, vtep) for (vni, _), row in intent.macs.unordered() for vtep in vteps_of(intent, row)} - flooded
    return {
        "generation": intent.generation,
        "complete": intent.complete,
        "macs": [_mac(mac, row, vteps_of(intent, row)) for (_, mac), row in intent.macs.items()],
        "floods": [
            {"vni": flood.vni, "vtep": str(flood.via.vtep), "notes": list(flood.notes)}
            for flood in sorted(_flat(intent.floods), key=lambda flood: (flood.vni, flood.via.vtep.order))
        ],
        "neighbors": [
            {"vni": host.vni, "ip": str(host.ip), "mac": str(host.mac), "router": host.router}
            for host in sorted(_flat(intent.hosts), key=lambda host: (host.vni, host.ip.order))
        ],
        "refused_hosts": [
            {"vni": host.vni, "ip": str(host.ip), "mac": str(host.mac), "reason": host.reason}
            for host in sorted(_flat(intent.refused_hosts), key=lambda host: (host.vni, host.ip.order, host.mac))
        ],
        "segments": [
            {
                "esi": str(row.segment),
                "vni": row.vni,
                "vtep": str(row.vtep),
                "ours": row.ours,
                "reason": row.reason,
                "notes": list(row.notes),
                "others": [{"vtep": str(rival.vtep), "reason": rival.reason} for rival in row.rivals],
            }
            for row in sorted(_flat(intent.forwarders), key=lambda row: (row.segment, row.vni))
        ],
        "refused": [
            {"vni": vni, "mac": str(mac), "vtep": str(vtep), "reason": reason}
            for vni, mac, vtep, reason in sorted(refused, key=lambda row: (row[0], row[1], row[2].order, row[3]))
        ],
        "refused_floods": [
            {"vni": vni, "vtep": str(vtep), "reason": reason}
            for vni, vtep, reason in sorted(
                {(flood.vni, flood.vtep, flood.reason) for flood in _flat(intent.refused_floods)},
                key=lambda row: (row[0], row[1].order, row[2]),
            )
        ],
        "alerts": [
            {"vni": vni, "mac": str(mac), "kind": alert.kind} | ({"vtep": str(alert.vtep)} if alert.vtep else {})
            for (vni, mac), alert in sorted(alerts)
        ],
        "warnings": [
            {"vni": vni, "vtep": str(vtep), "kind": "rt2-without-imet"}
            for vni, vtep in sorted(silent, key=lambda row: (row[0], row[1].order))
        ],
    }


def _mac(mac: Mac, row: RemoteMac, vteps: Sequence[Ip]) -> dict[str, Any]:
    """Spell a row; of the VTEPs of a group, the first one is in the place of the VTEP."""
    several = {} if row.group is None else {"vteps": [str(vtep) for vtep in vteps]}
    return {
        "vni": row.vni,
        "mac": str(mac),
        "vtep": str(vteps[0]),
        **several,
        "reason": row.reason,
        "seq": row.seq,
        "sticky": row.sticky,
        "stale": row.stale,
        "notes": list(row.notes),
    }


def _flat(table: Table[K, tuple[T, ...]]) -> Iterator[T]:
    return (item for _, items in table.unordered() for item in items)
