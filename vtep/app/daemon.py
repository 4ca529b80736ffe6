"""The daemon: its tasks, and what joins them.

    ExaBGP ──▶ relay ──▶ feed ──messages──▶ FEED TASK ──intent──▶ KERNEL TASK ──messages──▶ kernel
                          ▲                  │  │  ▲                  │   ▲                  │ │
                          │                  │  │  └─── own MACs ─────┤   └───── hints ──────┘ │
                          └─── commands ── advertising                │                        │
                                             │  ▲                     │ outcomes               │
                                             │  └────── STATION TASK ◀┼──── learned MACs ──────┘
                                             ▼                        ▼
                                          observer ◀────────────── report ──▶ log
                                             │
                                             ▼
                           gRPC, metrics, status page: they read, and operators' requests go through `Requests`

    task            module         what it does
    feed            feed_task      takes messages, judges, publishes the next intent
    actor, report   kernel_task    keeps the kernel equal to the intent; logs what each pass found
    devices         devices_task   makes and keeps the devices that are managed
    underlay        underlay_task  looks whether packets reach the remote VTEPs
    stations        station_task   follows what the bridges learn
    publish         readers        cuts changes into batches for those who watch
    state           state          compacts the files of claims and of advertised routes
    doors           doors          listens where that was not possible at the start

Each task owns its state. Two things join them: queues inward, and cells with the latest value outward (`store.latest`).
One TaskGroup holds all tasks, and the failure of one ends the daemon: rows stay, and the supervisor starts it again.

The parts open in the order of `run` and close in reverse. With `on_stop = "drain"` the routes are withdrawn and then
the rows removed, after all tasks have ended. Without a bound VNI there is neither a kernel task nor a netlink socket.

This module only wires. `process` has signals and the supervisor, `reload` the reading of a changed file.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import structs

from vtep import logs
from vtep.app import devices_task, kernel_task, readers, reload, station_task
from vtep.app.advertising import Advertising
from vtep.app.anycast import AnycastTask
from vtep.app.devices_task import DevicesTask
from vtep.app.doors import Doors
from vtep.app.feed_task import FeedDoor, FeedTask
from vtep.app.kernel_task import KernelTask
from vtep.app.requests import Requests
from vtep.app.state import StateDirectory
from vtep.app.station_task import StationTask
from vtep.app.underlay_task import UnderlayTask
from vtep.config.model import Config, FeedConfig
from vtep.errors import KernelError
from vtep.feed.bmp.feed import BmpFeed
from vtep.feed.contract import Feed
from vtep.feed.exabgp.feed import ExabgpFeed
from vtep.feed.joined import JoinedFeed
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.observed import compared
from vtep.observe.model import DeviceExplanation, Reporter
from vtep.observe.observer import Observer
from vtep.projection.leaf import Leaf

log = logging.getLogger("vtep")


class Daemon:
    """One leaf. Made from a configuration, run until it is told to stop."""

    def __init__(self, config: Config, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.leaf = Leaf(config, clock())
        kinds = compared() if config.node.mode == "observe" else KINDS
        self.observer = Observer(config, self.leaf, clock, kinds)
        self.serving = asyncio.Event()
        self._path = path
        self._clock = clock
        exabgp, bmp, feed = _feeds_of(config.feed, clock)
        self._feed_doors = [
            *([] if exabgp is None else [FeedDoor(exabgp, "feed.socket")]),
            *([] if bmp is None else [FeedDoor(bmp, "feed.bmp")]),
        ]
        self._advertising = Advertising(config, self.leaf, feed, clock)
        self._feed_task = FeedTask(feed, self.leaf, self.observer, self._advertising, clock)
        self._requests = Requests(self.leaf, self.observer, self._feed_task.nudge, self._advertising.advertise_again)
        self._kernel: KernelTask | None = None
        self._stations: StationTask | None = None
        self._anycast = AnycastTask(config, self._feed_task.nudge)
        self._devices: DevicesTask | None = None
        self._underlay: UnderlayTask | None = None
        self._stopping = asyncio.Event()
        self.observer.backlog = lambda: feed.waiting
        self.observer.form = feed.form
        if bmp is not None:
            self.observer.reporters = lambda: [Reporter(**structs.asdict(one)) for one in bmp.routers]
            self.observer.ignored = bmp.ignored_by_all
            self.observer.befores = bmp.before_policy
        self.observer.announcing = self._advertising.status
        self.observer.attach_advertised(self._advertising, self._advertising)
        self._state = StateDirectory(config.node.state_dir, clock)
        self.observer.state_files = self._state.status
        self._doors = Doors()
        self.observer.closed = self._doors.troubles

    async def run(self) -> None:
        """Serve until asked to stop; a HostError, StateError or KernelError says why it could not begin."""
        writes = kernel_task.is_bound(self.config) and self.config.node.mode == "write"
        with self._state.held() if writes else contextlib.nullcontext():
            await self._serve()

    async def _serve(self) -> None:
        """Open the parts in the order in which they need each other, run, and close them in the reverse order.

            feed ─▶ devices ─▶ kernel ─▶ advertising ─▶ underlay ─▶ stations ─▶ API

        So the API is the last to open and the first to close: no reader sees a daemon half made. At the end, our
        routes are withdrawn first, then rows are removed, then the devices under them, each only if `node.on_stop`
        says so.
        """
        async with contextlib.AsyncExitStack() as parts:
            await parts.enter_async_context(self._doors.kept_open(self._feed_doors))
            devices = await parts.enter_async_context(devices_task.opened(self.config, self._state, self._clock))
            if devices is not None:
                parts.enter_context(self._devices_drained_at_the_end(devices))
                self.observer.devices = devices.amiss
            self._devices = devices
            self.observer.explained = self._explain_device
            kernel = await parts.enter_async_context(
                kernel_task.opened(self.config, self._state, self.observer, self._requests, self._clock)
            )
            if kernel is not None and not kernel.observes:
                parts.enter_context(self._drained_at_the_end(kernel))
                await parts.enter_async_context(self._advertising.opened(lambda: self.config, self._state))
            if kernel is not None:
                self._underlay = parts.enter_context(contextlib.closing(kernel.underlay(self.observer)))
            self._kernel = self._feed_task.kernel = kernel
            self._stations = self._feed_task.stations = await parts.enter_async_context(
                station_task.opened(self.config, self.leaf, kernel, self._feed_task.nudge, self._clock)
            )
            api = readers.doors(self.config.api, self.observer, self._requests)
            await parts.enter_async_context(self._doors.kept_open(api))
            await self._run_tasks()

    async def _run_tasks(self) -> None:
        """Run all tasks until the daemon is asked to stop. A task that fails ends the others, and `run` raises its
        error.

        Parts that the configuration does not need have no task: a host of a route reflector runs without a kernel.
        """
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self._feed_task.run(), name="feed"),
                tasks.create_task(readers.publish(self.observer), name="publish"),
                tasks.create_task(self._state.run(), name="state"),
                tasks.create_task(self._doors.run(), name="doors"),
            ]
            if self._kernel is not None:
                report = self._kernel.report(self.observer, self._feed_task.nudge)
                running.append(tasks.create_task(self._kernel.actor.run(), name="actor"))
                running.append(tasks.create_task(report, name="report"))
                self._kernel.follow_services(lambda: self._anycast.ready)
                running.append(tasks.create_task(self._anycast.run(), name="anycast"))
            if self._devices is not None:
                running.append(tasks.create_task(self._devices.actor.run(), name="devices"))
                running.append(tasks.create_task(self._devices.report(), name="devices report"))
                running.append(tasks.create_task(self._devices.look(), name="devices look"))
                running.append(tasks.create_task(self._devices.follow_routes(), name="devices routes"))
            if self._underlay is not None:
                running.append(tasks.create_task(self._underlay.run(), name="underlay"))
            if self._kernel is not None and self._kernel.observes:
                running.append(tasks.create_task(self._kernel.look_again(), name="look again"))
            if self._stations is not None:
                running.append(tasks.create_task(self._stations.run(), name="stations"))
            logs.event(
                log,
                logging.INFO,
                "started",
                vnis=len(self.config.vnis),
                socket=self.config.feed.socket if self.config.feed.exabgp else None,
                bmp=self.config.feed.bmp or None,
            )
            self.serving.set()
            await self._stopping.wait()
            for task in running:
                task.cancel()

    @contextlib.contextmanager
    def _drained_at_the_end(self, kernel: KernelTask) -> Iterator[None]:
        """Remove our rows where the configuration says so; not after a failure, because a restart needs them."""
        yield
        if self.config.node.on_stop == "drain":
            kernel.drain(self.leaf.intent, self._clock)

    async def _explain_device(self, name: str) -> DeviceExplanation:
        try:
            if self._devices is None:
                return await devices_task.explain_unmanaged(name, self.config)
            return await self._devices.explain(name, self.config)
        except KernelError as error:
            return DeviceExplanation(name, f"the devices of this host cannot be read: {error}", "ask again")

    @contextlib.contextmanager
    def _devices_drained_at_the_end(self, devices: DevicesTask) -> Iterator[None]:
        """Remove the devices that we made where the configuration says so, after the rows on them."""
        yield
        if self.config.node.on_stop == "drain":
            devices.drain()

    @property
    def healthy(self) -> bool:
        """Whether the supervisor should leave the daemon running: passes make progress, and the kernel can be read.

        Incomplete routes, a peer that is down or a refused row do not count, because a restart would not help.
        """
        return self._kernel is None or not self._kernel.stalled

    def stop(self) -> None:
        self._stopping.set()

    def reload(self) -> None:
        """Read the file again, and give every part the changed configuration."""
        config = reload.read(self._path, self.config, self.observer)
        if config is None:
            return
        self.config = config
        self.leaf.reconfigure(config, self._clock())
        self._advertising.reconfigure(config)
        self._feed_task.segments.reconfigure(config.segments)
        if self._kernel is not None:
            self._kernel.reconfigure(config)
        self._anycast.reconfigure(config)
        if self._devices is not None:
            self._devices.reconfigure(config)
        if self._stations is not None:
            self._stations.reconfigure(config)
        self._feed_task.nudge()
        self.observer.reconfigure(config)
        logs.event(log, logging.INFO, "reloaded", vnis=len(config.vnis))


def _feeds_of(config: FeedConfig, clock: Callable[[], float]) -> tuple[ExabgpFeed | None, BmpFeed | None, Feed]:
    """Return ExaBGP, routers that report by BMP, and the feed of the daemon: the one that is configured, or both as one."""
    if not config.exabgp:
        bmp = BmpFeed(config.bmp, config.bmp_peers, config.bmp_table)
        return None, bmp, bmp
    exabgp = ExabgpFeed(
        config.socket, mode=config.socket_mode, group=config.socket_group, octets=config.octets, clock=clock
    )
    if not config.bmp:
        return exabgp, None, exabgp
    bmp = BmpFeed(config.bmp, config.bmp_peers, config.bmp_table, exabgp.arrived)
    return exabgp, bmp, JoinedFeed(exabgp, bmp)
