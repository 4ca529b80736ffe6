"""`vtep run`: the drawing of the tasks, and their wiring.

     ExaBGP ── relay ──▶ Stream ──▶ listen ──Board[Intent]──▶ actor ──▶ kernel
                           ▲           │ ▲                      │          │
                           │           │ └────own MACs──────────┤          │ events
                           └─Announcing┘                        │          │
                                       │                        ▼          ▼
                 signals ─▶ stop,      ├──────────▶ report ◀─Board[Outcome]  hints
                            reload     ▼              │
                                    observer ◀────────┴──▶ log
                                       │
                                       └──▶ API, metrics, status page (they read, and order through Orders)

Each task owns its state and they share only boards and what is published; one TaskGroup holds them, and a task that ends ends the daemon.
What bridges learn comes from the learner, a task with a netlink socket of its own, straight to the listener.
With no bound VNI there is no actor and no netlink socket. Without CAP_NET_ADMIN the routes are kept all the same, and
the status says that the dataplane is off.
"""

import asyncio
import contextlib
import logging
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, assert_never

from vtep import logs
from vtep.addr import ZERO_MAC, Vni
from vtep.api.grpc import server as grpc
from vtep.api.http import site
from vtep.app import gc, notify
from vtep.app.advertising import Advertising
from vtep.app.requests import Requests
from vtep.config import file as configuration
from vtep.config.model import Config
from vtep.errors import ConfigError, KernelError, LedgerError, Problem
from vtep.evpn.event import Attached, Detached, Message, Missed, Received, Unreadable
from vtep.feed.contract import Feed
from vtep.feed.exabgp.feed import ExabgpFeed
from vtep.intent import Intent, RowKey
from vtep.linux.ledger import LedgerFile, this_place
from vtep.linux.socket import STATIONS, Kernel
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.local.stations import News
from vtep.local.watcher import LocalStationWatcher
from vtep.observe.history import HistoryEntry
from vtep.observe.model import Status
from vtep.observe.observer import Observer
from vtep.projection.leaf import Leaf
from vtep.reconcile.actor import Actor, Outcome
from vtep.reconcile.claims import Claim, Ledger
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.report import Report
from vtep.reconcile.steps import Steps

DRAIN_S_MAX: Final = 5.0
WITHDRAW_S_MAX: Final = 4.0
LEARN_S_MAX: Final = 5.0
"""Before the first line is read."""
EXIT_S_MAX: Final = 10.0
PUBLISH_S: Final = 0.1
WORK_AT_ONCE: Final = 2048
"""Judging so much, in lone MACs, and telling of it holds the loop for 25 to 35 ms in a table of a million."""
ITEMS_AT_ONCE: Final = 64
"""Lines that change nothing make no work, and must not put off the judgement of those that do."""
STALLED_S_MAX: Final = 30.0
"""Longer than any piece of a pass takes, the dump of a full table included."""
CAP_NET_ADMIN: Final = 12
ROWS_LOGGED: Final = 10
"""At a time; the status tells how many there are."""

log = logging.getLogger("vtep")


class Daemon:
    """One leaf. Made from a configuration, run until told to stop."""

    def __init__(self, config: Config, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.leaf = Leaf(config, clock())
        self.observer = Observer(config, self.leaf, clock)
        self.serving = asyncio.Event()
        self._path = path
        self._clock = clock
        feed = ExabgpFeed(config.feed.socket, mode=config.feed.socket_mode, group=config.feed.socket_group)
        self._feed: Feed = feed
        self._advertising = Advertising(config, self.leaf, feed, clock)
        self.observer.backlog = lambda: feed.waiting
        self.observer.announcing = self._advertising.status
        self._nudged = feed.arrived
        """Set as well by whoever has news of another kind."""
        self._stopping = asyncio.Event()
        self._requests = Requests(self.leaf, self.observer, self._nudged.set, self._advertising.advertise_again)
        self._actor: Actor | None = None
        self._target: KernelTarget | None = None
        self._claims: Mapping[RowKey, Claim] = {}
        self._overtaken: list[RowKey] = []
        """Stations that took a row of ours while no daemon was there. They were heard here after what their routes say, so they
        are heard again when all routes are known."""
        self._watcher: LocalStationWatcher | None = None
        self._collector = gc.Collector()
        self._applied = True
        """The kernel's side knows the latest configuration."""

    async def run(self) -> None:
        """Serve until asked to stop; a ConfigError or KernelError says why it could not begin."""
        await self._feed.start()
        try:
            async with (
                self._dataplane(),
                self._announcements(),
                self._bridge_watcher(),
                self._readers(),
                asyncio.TaskGroup() as tasks,
            ):
                running = [
                    tasks.create_task(self._listen(), name="listen"),
                    tasks.create_task(self._publish(), name="publish"),
                ]
                if self._actor is not None:
                    running += [
                        tasks.create_task(self._actor.run(), name="actor"),
                        tasks.create_task(self._follow(self._actor), name="report"),
                    ]
                if self._watcher is not None:
                    running.append(tasks.create_task(self._watcher.run(), name="learner"))
                logs.event(log, logging.INFO, "started", vnis=len(self.config.vnis), socket=self.config.feed.socket)
                self.serving.set()
                await self._stopping.wait()
                for task in running:
                    task.cancel()
        finally:
            await self._feed.stop()

    @property
    def healthy(self) -> bool:
        """Tell whether a restart would be of no use: passes get on, and the kernel can be read.

        Whether the picture is complete, a peer is up or a row is refused does not matter: a restart would not mend it.
        """
        return self._actor is None or self._actor.stalled_s < STALLED_S_MAX

    def stop(self) -> None:
        self._stopping.set()

    def reload(self) -> None:
        """Take a changed configuration; a bad one is told and the old one stays."""
        try:
            config = configuration.read(self._path)
        except ConfigError as error:
            for text in error.texts:
                logs.event(log, logging.ERROR, "reload refused", problem=text)
            self.observer.reload_ok = False
            self.observer.record(HistoryEntry("reload", reason="refused", text=str(error)))
            return
        for what in _needs_restart(self.config, config):
            logs.event(log, logging.WARNING, "reload leaves as it was", key=what, hint="restart to change it")
        self.config = config
        self.leaf.reconfigure(config, self._clock())
        self._advertising.reconfigure(config)
        self._applied = False
        if self._watcher is not None:
            self._watcher.reconfigure(config.vnis)
        self._nudged.set()
        self.observer.reconfigure(config)
        logs.event(log, logging.INFO, "reloaded", vnis=len(config.vnis))

    def _apply_configuration(self) -> None:
        """Not before all is judged by it: a row of an earlier life, in a VNI that is new here, would be removed, and then put back."""
        self._applied = True
        if self._target is not None and self._actor is not None:
            self._target.reconfigure(self.config.vnis)
            self._actor.survey()

    # The feed

    async def _listen(self) -> None:
        """Take what comes, judge, publish; time alone is news too."""
        while True:
            messages = await self._next_messages()
            now = self._clock()
            self.leaf.tick(now)
            if messages is not None:
                self._take(messages, now)
                await self._take_what_waits(now)
            if self._target is not None:
                self.leaf.learn_own_macs(self._target.own_macs)
            self._advertising.permit(self._is_ready)
            self._judge(now, None if messages is None else now)
            for peer in self.leaf.refreshes(now):
                self._advertising.refresh(peer)
                logs.event(log, logging.INFO, "refresh asked", peer=peer or "all", sent=self.observer.attached)
            self._advertising.send(now)
            if self._collector.is_due:
                await asyncio.sleep(0)  # a look is a piece of its own
                self._collector.look()

    def _judge(self, now: float, received_at: float | None) -> None:
        """Judge what was heard, and tell everybody."""
        before = self.leaf.intent
        intent = self.leaf.judge(now, WORK_AT_ONCE)
        if self._watcher is not None:
            self._watcher.look_again(self.leaf.take_unverified())
            if intent.complete and self._overtaken:
                self._watcher.look_again(self._overtaken)
                self._overtaken = []
        if (intent.complete, intent.why) != (before.complete, before.why):
            name = "picture complete" if intent.complete else "picture incomplete"
            logs.event(log, logging.INFO, name, why=intent.why)
        self.observer.follow(before, intent)
        self.observer.look_at_peers()
        if intent is not before:
            self._collector.count(len(intent.touched) + len(intent.touched_hosts))
        if self._actor is not None:
            self._actor.offer(intent, received_at)
        if not self._applied and self.leaf.is_anew:
            self._apply_configuration()
        self._advertising.follow(
            before, intent, seen=self._actor is None or self._actor.outcomes.value.report is not None
        )

    async def _next_messages(self) -> list[Message] | None:
        """Return what comes next, or nothing when time or a nudge came first, or more is to be judged."""
        await asyncio.sleep(0)  # while much waits, whoever shares this loop must still get a turn
        messages = self._feed.events_at_once()
        if messages is not None or self.leaf.unjudged:
            return messages
        due = min((time for time in (self.leaf.due, self._advertising.due) if time is not None), default=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                await self._nudged.wait()
        self._nudged.clear()
        return self._feed.events_at_once()

    async def _take_what_waits(self, now: float) -> None:
        """Hear more before judging, while more is there: a judgement of many MACs costs less for each of them."""
        for _ in range(ITEMS_AT_ONCE):
            if self.leaf.unjudged >= WORK_AT_ONCE or (messages := self._feed.events_at_once()) is None:
                break
            await asyncio.sleep(0)  # whoever shares this loop gets a turn
            self._take(messages, now)
        await asyncio.sleep(0)

    def _take(self, messages: list[Message], now: float) -> None:
        self.leaf.receive(messages, now)
        for message in messages:
            match message:
                case Received() | Unreadable():
                    self.observer.last_line = now
                case Attached():
                    self.observer.attached = True
                    self.observer.record(HistoryEntry("exabgp-connected", text=message.name))
                    logs.event(log, logging.INFO, "feed attached", speaker=message.name, complete=message.complete)
                    self._advertising.attached(message)
                case Detached():
                    self.observer.attached = False
                    self.observer.record(HistoryEntry("exabgp-disconnected", text="every route is held as stale"))
                    logs.event(log, logging.WARNING, "feed detached", held="every route as stale")
                    self._advertising.detached()
                case Missed(messages=count):
                    logs.event(log, logging.WARNING, "lines lost", lines=count)
                    self.observer.record(HistoryEntry("exabgp-lines-lost", text=f"{count} lines"))
                    self._advertising.lost()
                case _:
                    assert_never(message)

    # What is announced

    @contextlib.asynccontextmanager
    async def _announcements(self) -> AsyncIterator[None]:
        """Remember what was announced, and take it back in the end where the configuration says so."""
        if self._actor is None:
            yield
            return
        self._advertising.open(self.config.node.state_dir / "announced")
        try:
            yield
            if self.config.node.on_stop == "drain":
                await self._advertising.withdraw(WITHDRAW_S_MAX)
        finally:
            self._advertising.close()

    def _is_ready(self, vni: Vni) -> bool:
        return self._actor is not None and self._actor.engine.is_ready(vni)

    # The dataplane

    @contextlib.asynccontextmanager
    async def _dataplane(self) -> AsyncIterator[None]:
        """Open the kernel where there is something to write; close it as the configuration says."""
        if not any(vni.is_bound for vni in self.config.vnis):
            yield
            return
        with Kernel() as kernel, contextlib.closing(self._open_ledger()) as ledger:
            self._target = KernelTarget(kernel, self.config.vnis, self._clock)
            engine = Engine(KINDS, self._target, ledger, random.random)
            self._actor = actor = Actor(engine, self._clock)
            self._claims = ledger.claims(KINDS[0].name)
            self.observer.attach(actor, self._target, self._target.message_s)
            self.observer.may_write = may_administer()
            self._requests.attach(actor)
            loop = asyncio.get_running_loop()
            loop.add_reader(kernel.events_fileno(), self._take_hints, kernel, actor)
            try:
                yield
            finally:
                loop.remove_reader(kernel.events_fileno())
            if self.config.node.on_stop == "drain":
                await self._drain(engine, ledger)

    @contextlib.asynccontextmanager
    async def _bridge_watcher(self) -> AsyncIterator[None]:
        """Hear what the bridges have learnt before any route is heard: only then is it known which of them is newer."""
        if self._actor is None:
            yield
            return
        learner = LocalStationWatcher(self.config.vnis, lambda: Kernel(STATIONS), self._learn_stations, self._clock)
        with contextlib.closing(learner):
            with contextlib.suppress(KernelError):  # it is tried again, and told then
                await learner.settle(LEARN_S_MAX)
            self._watcher = learner
            yield

    def _learn_stations(self, news: News) -> None:
        heard = news.heard
        if self._watcher is None:
            self._overtaken += [station.key for station in heard if station.key in self._claims]
            heard = [station for station in heard if station.key not in self._claims]
        self.leaf.learn_stations(heard, news.gone, changed=news.changed)
        self._nudged.set()

    def _open_ledger(self) -> LedgerFile:
        """Read the claims of an earlier life; a file that cannot be believed is set aside, with its reason told."""
        path = self.config.node.state_dir / "ledger"
        try:
            ledger = LedgerFile(path, KINDS, this_place())
        except LedgerError as error:
            aside = path.with_name("ledger.refused")
            path.replace(aside)
            logs.event(log, logging.ERROR, "ledger refused", why=error, kept=aside)
            ledger = LedgerFile(path, KINDS, this_place())
        except OSError as error:
            raise ConfigError(
                str(self._path), (Problem("node.state_dir", f"{path.parent}: {error.strerror}"),)
            ) from None
        if ledger.torn:
            logs.event(log, logging.WARNING, "ledger had a torn tail", octets=ledger.torn)
        return ledger

    def _take_hints(self, kernel: Kernel, actor: Actor) -> None:
        """Events only wake: what they tell is looked up. Flood rows cannot be, and are seen in surveys alone."""
        hints = kernel.drain()
        self.observer.overruns += hints.overrun
        bounced = self._target is not None and self._target.holds(hints.bounced)
        if hints.overrun or bounced or any(mac == ZERO_MAC for _, mac in hints.keys):
            actor.survey()
            return
        if hints.links_changed:
            actor.look_around()
        if hints.keys and self._target is not None:
            news, gone = self._target.keys_of(hints.keys - hints.gone), self._target.keys_of(hints.gone)
            actor.hint({KINDS[0].name: news}, {KINDS[0].name: gone})

    async def _follow(self, actor: Actor) -> None:
        """Tell what each pass found."""
        last = actor.outcomes.value
        while True:
            outcome = await actor.outcomes.next()
            log_refused_rows(actor.engine)
            self._tell(last, outcome)
            self.observer.see(outcome)
            last = outcome
            self._nudged.set()

    def _tell(self, last: Outcome, outcome: Outcome) -> None:
        if outcome.error is not None:
            logs.event(log, logging.ERROR, "kernel not readable", why=outcome.error)
            return
        report = outcome.report
        if report is None:
            return
        before = last.report or Report(0, 0)
        for vni, reasons in sorted(report.not_ready.items()):
            if before.not_ready.get(vni) != reasons:
                logs.event(log, logging.WARNING, "vni not ready", vni=vni, reasons=reasons)
        for vni in sorted(before.not_ready.keys() - report.not_ready.keys()):
            logs.event(log, logging.INFO, "vni ready", vni=vni)
        for vni, notes in sorted(report.notes.items()):
            if before.notes.get(vni) != notes:
                logs.event(log, logging.INFO, "vni note", vni=vni, notes=notes)
        if report.applied or last.report is None or last.report.converged != report.converged:
            fields = {
                name: getattr(report, name) for name in ("generation", "created", "replaced", "deleted", "adopted")
            }
            logs.event(log, logging.INFO, "pass", **fields, repaired=report.repaired, converged=report.converged)

    async def _drain(self, engine: Engine, ledger: Ledger) -> None:
        """Remove what is ours and still as we left it; what cannot be removed keeps its claim."""
        nothing = Intent(generation=self.leaf.intent.generation, complete=True)
        claimed = _claimed(ledger)
        try:
            _run_for(engine.run(nothing, self._clock(), Scope(survey=True)), DRAIN_S_MAX, self._clock)
        except KernelError as error:
            logs.event(log, logging.ERROR, "not drained", why=error, left=claimed)
            return
        left = _claimed(ledger)
        level, hint = (logging.WARNING, "the next start takes them back") if left else (logging.INFO, "")
        logs.event(log, level, "drained", released=claimed - left, left=left, hint=hint)

    # Readers

    @contextlib.asynccontextmanager
    async def _readers(self) -> AsyncIterator[None]:
        """Answer whoever asks, while within."""
        api = self.config.api
        async with contextlib.AsyncExitStack() as held:
            if api.listen or api.admin:
                await held.enter_async_context(grpc.serve(api, self.observer, self._requests))
            if api.metrics:
                server = await site.start(api.metrics, site.Site(self.observer), str(self._path))
                held.push_async_callback(server.stop)
            yield

    async def _publish(self) -> None:
        """Put what is new before those who watch, many changes at a time."""
        while True:
            await asyncio.sleep(PUBLISH_S)
            self.observer.cut()


def run(path: Path) -> int:
    """Run the daemon in the foreground; the exit code is the program's."""
    logs.set_up()
    gc.set_up()
    daemon_config = configuration.read(path)
    return asyncio.run(_run(daemon_config, path))


def log_refused_rows(engine: Engine) -> None:
    """Log the rows that the kernel just refused, or that another program holds."""
    names = {kind.name: kind.descriptor.key_name for kind in engine.kinds}
    refusals = (
        (item.ref, item.trouble)
        for item in engine.troubles.news
        if item.trouble is not None and item.what != "recovered"
    )
    for (kind, key), trouble in islice(refusals, ROWS_LOGGED):
        fields = {"kind": kind, "vni": key[0], names[kind]: key[1], "reason": trouble.reason}
        logs.event(log, logging.WARNING, f"row {trouble.state}", **fields, text=trouble.text)


def may_administer() -> bool:
    """Tell whether this process may write to the kernel's tables."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:  # noqa: PTH123
        held = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(held, 16) >> CAP_NET_ADMIN & 1)


def _claimed(ledger: Ledger) -> int:
    return sum(len(ledger.claims(kind.name)) for kind in KINDS)


def _run_for(steps: Steps[Report], most_s: float, clock: Callable[[], float]) -> None:
    """Run a pass, and leave it where it is when its time is over: every claim of what it left undone stays."""
    end = clock() + most_s
    answer = None
    while clock() < end:
        try:
            call = steps.send(answer)
        except StopIteration:
            return
        answer = None if call is None else call()
    steps.close()


async def _run(config: Config, path: Path) -> int:
    daemon = Daemon(config, path)
    loop = asyncio.get_running_loop()
    if any(vni.is_bound for vni in config.vnis) and not may_administer():
        logs.event(
            log,
            logging.ERROR,
            "dataplane off",
            why="CAP_NET_ADMIN is missing",
            hint="routes are kept, nothing is written",
        )
    serving = asyncio.ensure_future(daemon.run())
    supervisor = notify.Notifier()
    attending = asyncio.ensure_future(_attend(daemon, supervisor))

    def on_signal() -> None:
        """The first asks; the second does not."""
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)
        logs.event(log, logging.INFO, "stopping", on_stop=daemon.config.node.on_stop)
        supervisor.tell(STOPPING=1)
        daemon.stop()
        loop.call_later(EXIT_S_MAX, serving.cancel)

    def on_reload() -> None:
        supervisor.tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
        daemon.reload()
        supervisor.tell(READY=1)

    loop.add_signal_handler(signal.SIGTERM, on_signal)
    loop.add_signal_handler(signal.SIGINT, on_signal)
    loop.add_signal_handler(signal.SIGHUP, on_reload)
    try:
        await serving
    finally:
        attending.cancel()
    return 0


async def _attend(daemon: Daemon, supervisor: notify.Notifier) -> None:
    """Tell whoever supervises us, once there is something to tell: the first status is that of a daemon that serves."""
    if supervisor.listens:
        await daemon.serving.wait()
        await notify.attend(supervisor, lambda: _progress(daemon.observer.status()), lambda: daemon.healthy)


def _progress(status: Status) -> str:
    state = "ready" if status.ready else "not ready"
    return "; ".join((f"{state}, {status.macs} remote MACs", *status.problems))


def _needs_restart(old: Config, new: Config) -> list[str]:
    fixed = (
        ("feed.socket", old.feed.socket, new.feed.socket),
        ("feed.socket_mode", old.feed.socket_mode, new.feed.socket_mode),
        ("feed.socket_group", old.feed.socket_group, new.feed.socket_group),
        ("node.state_dir", old.node.state_dir, new.node.state_dir),
        ("api", old.api, new.api),
    )
    changed = [name for name, before, after in fixed if before != after]
    if any(vni.is_bound for vni in new.vnis) and not any(vni.is_bound for vni in old.vnis):
        changed.append("vni (the first one with a bridge)")
    return changed
