"""The task that makes and keeps devices, where the configuration has `manage = true`: a second engine with its own claims.

    configuration ─┐
    MTU underlay ──┴─▶ wish ──▶ actor ──messages──▶ devices
                                 │ ▲                   │
                       outcomes  ▼ └────── events ─────┘
                                log

Every event of a device is followed by a look at all of them, after a pause that grows with what a look costs. A look begins with a dump
in a thread, because a host may have thousands of devices; the pass that follows uses the same dump. What is wanted is worked out
again only when the configuration or the MTU changed. Exists only where a device is managed. Devices stay when the daemon ends, unless
`on_stop` is "drain".
"""

import asyncio
import contextlib
import errno
import logging
import random
from collections.abc import AsyncIterator, Callable
from typing import Final

from vtep import logs
from vtep.app.drain import drain
from vtep.app.explain_device import DeviceFacts, Sent, explain
from vtep.app.state import StateDirectory
from vtep.config.model import Config
from vtep.errors import KernelError
from vtep.linux.ledger import LedgerFile, this_place
from vtep.linux.managed.kernel import DeviceKernel
from vtep.linux.managed.kinds import MANAGED, Picture
from vtep.linux.managed.target import DeviceTarget
from vtep.linux.managed.underlay import questions, underlay_mtu
from vtep.linux.managed.wish import Wish, is_managed, tunnel_addresses, wish
from vtep.linux.paths import Paths
from vtep.linux.wire.device import DeviceMessage
from vtep.linux.wire.neighbor import Refusal
from vtep.linux.wire.route import FoundPath
from vtep.logs import LineLimit
from vtep.observe.model import DeviceExplanation
from vtep.reconcile.actor import Actor, Outcome
from vtep.reconcile.engine import Engine
from vtep.reconcile.report import Report

PAUSE_S: Final = 0.1
"""At least so long from an event to the look that follows it, because events come in crowds."""
PAUSE_TIMES: Final = 9
"""At least so many times as long as the last look took."""
ROUTES_S: Final = 2.0
"""How often the routes to the peers are asked for."""
ROWS_LOGGED, ROWS_S = 10, 10.0

log = logging.getLogger("vtep")


class DevicesTask:
    """The devices of this leaf, with the claims and the actor that keeps them."""

    def __init__(self, kernel: DeviceKernel, ledger: LedgerFile, config: Config, clock: Callable[[], float]) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._config = config
        self._clock = clock
        self._generation = 0
        self._paths = Paths()
        self._routes: tuple[FoundPath, ...] = ()
        """The routes to the peers as they were last usable: one that goes for a moment changes no MTU."""
        self._wished_for: int | None = None
        """The MTU of the underlay for which the wish was worked out; None if it must be worked out again."""
        self._ask_for_routes()
        vteps = tunnel_addresses(config)
        self._wish = self._wanted(underlay_mtu(kernel.links(), kernel.addresses(), vteps, self._routes))
        self.target = DeviceTarget(kernel, self._wish, ledger.claims("device"))
        self.target.note = self._note
        self._sent: dict[str, Sent] = {}
        """What was sent last, by the name of a device that is wanted, or was when this wish was worked out."""
        self.actor = Actor(Engine(MANAGED, self.target, ledger, random.random), clock)
        self.actor.offer(self._wish)
        self._due = asyncio.Event()
        """A look at all devices is due."""
        self._refused = LineLimit(ROWS_LOGGED, ROWS_S)

    def reconfigure(self, config: Config) -> None:
        self._config = config
        self._wished_for = None
        self._due.set()

    def take_events(self) -> None:
        """Read the kernel's events, and look again soon."""
        self._kernel.drain()
        self.target.picture = None
        self._due.set()

    async def look(self) -> None:
        """Look at all devices when that is due, and again after a look that failed, until cancelled."""
        failed = False
        while True:
            await self._due.wait()
            self._due.clear()
            began = self._clock()
            try:
                await self._look_at_all()
                failed = False
            except KernelError as error:
                self._due.set()
                # EINTR: so many devices change now that no dump is of one moment; what we make is among them.
                if error.errno != errno.EINTR and not failed:
                    failed = True
                    logs.event(log, logging.WARNING, "devices unreadable", why=error)
            await asyncio.sleep(max(PAUSE_S, PAUSE_TIMES * (self._clock() - began)))

    async def _look_at_all(self) -> None:
        """Read the devices, take what is wanted now, and have a pass look at all."""
        picture = await asyncio.to_thread(lambda: Picture(*self._kernel.pictured()))
        self._ask_for_routes()
        mtu = underlay_mtu(picture.links, picture.addresses, tunnel_addresses(self._config), self._routes)
        if self._wished_for != mtu:
            self._generation += 1
            self._wish = self.target.wish = self._wanted(mtu)
            self._sent = {name: sent for name, sent in self._sent.items() if name in self._wish.devices}
            self.actor.offer(self._wish)
        if not self._due.is_set():
            self.target.picture = picture
        self.actor.survey()

    def _wanted(self, mtu: int) -> Wish:
        self._wished_for = mtu
        return wish(self._config, mtu, self._generation + 1)

    def _ask_for_routes(self) -> bool:
        """Ask for the routes to the peers; return whether they differ from those before."""
        found = tuple(path for path in self._paths.ask(questions(self._config)).values() if not path.errno)
        before, self._routes = self._routes, found or self._routes
        return before != self._routes

    async def follow_routes(self) -> None:
        """Look again when a route to a peer changed, until cancelled. The kernel is asked, because its events are too many."""
        while True:
            await asyncio.sleep(ROUTES_S)
            with contextlib.suppress(KernelError):
                if self._ask_for_routes():
                    self._due.set()

    async def report(self) -> None:
        """Log what each pass found, until cancelled."""
        last = self.actor.outcomes.value
        while True:
            outcome = await self.actor.outcomes.next()
            self._log(last, outcome)
            last = outcome

    def _log(self, last: Outcome, outcome: Outcome) -> None:
        if outcome.error is not None:
            if last.error is None:
                logs.event(log, logging.ERROR, "devices unreadable", why=outcome.error)
            return
        report = outcome.report
        if report is None:
            return
        now, troubles = self._clock(), self.actor.engine.troubles
        while troubles.news:
            item = troubles.news.popleft()
            if item.what == "repaired":
                logs.event(log, logging.INFO, "device repaired", device=item.ref[1][0], what=_what(item.ref))
            elif item.trouble is not None and item.what != "recovered" and self._refused.allows(now):
                text, reason = item.trouble.text, item.trouble.reason
                logs.event(
                    log, logging.WARNING, f"device {item.what}", device=item.ref[1][0], what=_what(item.ref),
                    reason=reason, text=text, hint="vtep devices plan",
                )  # fmt: skip
        if report.applied:
            _log_written(report)

    def amiss(self) -> dict[str, str]:
        """Return the devices that are not as wanted, each with the reason of the first row."""
        found: dict[str, str] = {}
        for (_, key), trouble in self.actor.engine.troubles.items():
            if trouble.state in ("contested", "failed", "suppressed"):
                found.setdefault(str(key[0]), trouble.reason)
        return found

    def _note(self, message: DeviceMessage, refusal: Refusal | None) -> None:
        """Remember a change that was sent, for `vtep explain`."""
        before = self._sent.get(message.device, Sent())
        self._sent[message.device] = before.and_then(self._clock(), message, refusal, self._wish)

    async def explain(self, device: str, config: Config) -> DeviceExplanation:
        """Read the devices in a thread, and say how this one is."""
        troubles = {ref: trouble for ref, trouble in self.actor.engine.troubles.items() if ref[1][0] == device}
        facts = DeviceFacts(self._wish, self._ledger.claims("device"), troubles, self._sent.get(device, Sent()))
        return await asyncio.to_thread(lambda: explain(device, config, facts, Picture(*self._kernel.pictured())))

    def drain(self) -> None:
        """Remove the devices that we made and release those that were handed over."""
        drain(self.actor.engine, self._ledger, self._wish, self._clock)

    def close(self) -> None:
        self._paths.close()


async def explain_unmanaged(device: str, config: Config) -> DeviceExplanation:
    """Say how a device is where vtep manages none."""

    def read() -> DeviceExplanation:
        with DeviceKernel() as kernel:
            return explain(device, config, DeviceFacts(), Picture(*kernel.pictured()))

    return await asyncio.to_thread(read)


def _what(ref: tuple[str, tuple[object, ...]]) -> str:
    """Return which row of a device this is, such as `mtu` or `vlan 10`."""
    kind, key = ref
    if kind == "device":
        return "itself"
    rest = " ".join(map(str, key[1:]))
    return rest if kind in ("setting", "port", "sysctl", "state") else f"{kind} {rest}"


def _log_written(report: Report) -> None:
    logs.event(
        log, logging.INFO, "devices written", created=report.created, replaced=report.replaced, deleted=report.deleted,
        repaired=report.repaired, converged=report.converged,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def opened(
    config: Config, state: StateDirectory, clock: Callable[[], float]
) -> AsyncIterator[DevicesTask | None]:
    """Open the devices and their claims; None if none is managed."""
    if not is_managed(config):
        yield None
        return
    here = this_place()
    with DeviceKernel() as kernel:
        ledger = state.open(
            "devices", lambda path, afresh: LedgerFile(path, MANAGED, here, afresh=afresh), "ledger refused"
        )
        with contextlib.closing(ledger):
            task = DevicesTask(kernel, ledger, config, clock)
            loop = asyncio.get_running_loop()
            loop.add_reader(kernel.events_fileno(), task.take_events)
            try:
                yield task
            finally:
                task.close()
                loop.remove_reader(kernel.events_fileno())
