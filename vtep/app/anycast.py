"""The anycast services of this leaf: prefixes that it advertises only while what is behind them is ready.

    [[vrf.anycast]] ──▶ one look each interval: is the device up, does the command succeed? ──▶ ready prefixes ──▶ OwnPrefixes

Several leaves advertise one prefix, and each takes it back when its own service fails, so that traffic goes to the others. A service
is ready while its device is up and running, and its command ends with status 0 within the interval. One look decides: an operator who wants
a service to fail slowly lets the command wait. What is not ready, or was not looked at yet, is not advertised.

This module knows no route and no kernel table. A command runs as the daemon does, with its rights, and without a shell.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from vtep import logs
from vtep.addr import Prefix, Vni
from vtep.config.model import AnycastConfig, Config

_SIOCGIFFLAGS: Final = 0x8913
_IFF_UP_AND_RUNNING: Final = 0x41

_Service: TypeAlias = tuple[Vni, AnycastConfig]

log = logging.getLogger("vtep")


class AnycastTask:
    """Looks at every service of the configuration."""

    def __init__(self, config: Config, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._wanted = _services(config)
        self._ready: dict[_Service, bool] = {}
        self._woken = asyncio.Event()

    @property
    def ready(self) -> Mapping[Vni, frozenset[Prefix]]:
        """The prefixes of the services that are ready, by L3VNI."""
        found: dict[Vni, set[Prefix]] = {}
        for (vni, service), is_ready in self._ready.items():
            if is_ready:
                found.setdefault(vni, set()).add(service.prefix)
        return {vni: frozenset(prefixes) for vni, prefixes in found.items()}

    def reconfigure(self, config: Config) -> None:
        self._wanted = _services(config)
        self._woken.set()

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            running: dict[_Service, asyncio.Task[None]] = {}
            while True:
                for service in running.keys() - self._wanted:
                    running.pop(service).cancel()
                    self._take(service, None)
                for service in self._wanted - running.keys():
                    running[service] = tasks.create_task(self._follow(service))
                await self._woken.wait()
                self._woken.clear()

    async def _follow(self, service: _Service) -> None:
        """Look at one service until it is no longer configured; the pause begins when a look has ended."""
        _, config = service
        while True:
            self._take(service, await is_ready(config))
            await asyncio.sleep(config.interval_s)

    def _take(self, service: _Service, ready: bool | None) -> None:
        """Note whether a service is ready, and log a change; None: it is no longer configured."""
        before = self._ready.get(service)
        if ready is None:
            self._ready.pop(service, None)
        else:
            self._ready[service] = ready
        if ready != before:
            vni, config = service
            state = {True: "ready", False: "not ready", None: "gone"}[ready]
            logs.event(log, logging.INFO, "anycast service", prefix=config.prefix, vni=vni, state=state)
            self._changed()


async def is_ready(service: AnycastConfig) -> bool:
    """Look once."""
    if service.interface and not _is_running(service.interface):
        return False
    return not service.check or await _succeeds(service.check, service.interval_s)


def _is_running(device: str) -> bool:
    """Return whether a device of this network namespace is up and has a carrier."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, struct.pack("16sh14x", device.encode(), 0))
        flags: int = struct.unpack_from("H", answer, 16)[0]
        return flags & _IFF_UP_AND_RUNNING == _IFF_UP_AND_RUNNING
    return False


async def _succeeds(command: tuple[str, ...], most_s: float) -> bool:
    """Tell whether a command ends with status 0 in time. One that cannot be started has failed.

    It is a process group of its own, and a late one is killed as a whole.
    """
    nothing = asyncio.subprocess.DEVNULL
    try:
        running = await asyncio.create_subprocess_exec(
            *command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(most_s):
            return await running.wait() == 0
    except TimeoutError:
        return False
    finally:
        if running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)  # a script has children, which would outlive it at each look
            await running.wait()


def _services(config: Config) -> frozenset[_Service]:
    return frozenset((vrf.vni, service) for vrf in config.vrfs for service in vrf.anycast)
