"""Messages to the supervisor, as sd_notify(3) describes them: one datagram of NAME=VALUE lines.

Knows the address of the supervisor's socket and how often its watchdog wants a message. Does not know what ready or
healthy means. Without a supervisor, nothing is sent.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

STATUS_EVERY_S: Final = 1.0
PINGS_PER_WATCHDOG: Final = 3
"""Messages in the watchdog's time, so that two may be late before it acts."""


class Notifier:
    """The supervisor of this process, if there is one."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        for_us = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        self.ping_s = int(watchdog_us) / 1e6 / PINGS_PER_WATCHDOG if for_us and watchdog_us.isdigit() else 0.0
        """How often to send a message to the watchdog; 0 if there is none."""

    @property
    def listens(self) -> bool:
        return bool(self._address)

    def send(self, **fields: str | int) -> None:
        """Send these lines, without waiting for a supervisor that does not read."""
        if not self._address:
            return
        # An address that starts with @ is abstract: in the kernel, its first octet is zero (unix(7)).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # A status contains texts of the kernel and of peers. A line break in one would start another assignment.
        text = "".join(f"{name}={' '.join(str(value).splitlines())}\n" for name, value in fields.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(text.encode(errors="replace"), address)
            except OSError:
                return  # the supervisor does not read, or has ended; a status is sent again soon


async def attend(notifier: Notifier, status: Callable[[], str], healthy: Callable[[], bool]) -> None:
    """Say that the daemon is ready, then send each change of the status, and feed the watchdog while it is healthy."""
    notifier.send(READY=1)
    sent = None
    while True:
        text = status()
        if text != sent:
            notifier.send(STATUS=text)
            sent = text
        if notifier.ping_s and healthy():
            notifier.send(WATCHDOG=1)
        await asyncio.sleep(min(STATUS_EVERY_S, notifier.ping_s or STATUS_EVERY_S))
