"""The process around the daemon: signals, the supervisor, and the exit code.

    SIGTERM, SIGINT   stop as `on_stop` says; a second one ends the process at once
    SIGHUP            read the configuration again

Knows nothing about routes and rows.
"""

import asyncio
import logging
import signal
import time
from pathlib import Path
from typing import Final

from vtep import logs
from vtep.app import gc, notify
from vtep.app.daemon import Daemon
from vtep.app.kernel_task import is_bound, may_administer
from vtep.app.loop_errors import LoopErrors
from vtep.config import file
from vtep.config.exposure import exposures
from vtep.config.model import Config
from vtep.observe.model import Status

EXIT_S_MAX: Final = 10.0
"""For the whole end; then the daemon gives up by itself."""

log = logging.getLogger("vtep")


def run(path: Path) -> int:
    """Run the daemon in the foreground; return the exit code of the program."""
    logs.set_up()
    gc.set_up()
    config = file.read(path)
    return asyncio.run(_run(config, path))


async def _run(config: Config, path: Path) -> int:
    asyncio.get_running_loop().set_exception_handler(LoopErrors(time.monotonic))
    for sentence in exposures(config):
        logs.event(log, logging.WARNING, "exposed", why=sentence)
    daemon = Daemon(config, path)
    if is_bound(config) and config.node.mode == "write" and not may_administer():
        hint = "routes are kept, nothing is written"
        logs.event(log, logging.ERROR, "dataplane off", why="CAP_NET_ADMIN is missing", hint=hint)
    serving = asyncio.ensure_future(daemon.run())
    supervisor = notify.Notifier()
    attending = asyncio.ensure_future(_attend(daemon, supervisor))
    _follow_signals(daemon, supervisor, serving)
    try:
        await serving
    finally:
        attending.cancel()
    return 0


def _follow_signals(daemon: Daemon, supervisor: notify.Notifier, serving: asyncio.Future[None]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # From now on, a signal has its default effect.
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)
        logs.event(log, logging.INFO, "stopping", on_stop=daemon.config.node.on_stop)
        supervisor.send(STOPPING=1)
        daemon.stop()
        loop.call_later(EXIT_S_MAX, serving.cancel)

    def reload() -> None:
        supervisor.send(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
        daemon.reload()
        supervisor.send(READY=1)

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)


async def _attend(daemon: Daemon, supervisor: notify.Notifier) -> None:
    """Keep the supervisor informed, once the daemon serves: there is no status before that."""
    if supervisor.listens:
        await daemon.serving.wait()
        await notify.attend(supervisor, lambda: _progress(daemon.observer.status()), lambda: daemon.healthy)


def _progress(status: Status) -> str:
    state = status.state.replace("-", " ")
    return "; ".join((f"{state}, {status.macs} remote MACs", *status.problems))
