"""What the supervisor is told, as sd_notify(3) has it: one datagram of NAME=VALUE lines.

Knows the socket's address and how often a watchdog wants food. Does not know what ready or healthy means, and says
nothing where no supervisor listens.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

STATUS_EVERY_S: Final = 1.0
PINGS_PER_WATCHDOG: Final = 3
"""So often in its time at least: two may be late before the supervisor loses patience."""


class Notifier:
    """The way to one supervisor, or to none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        for_us = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        self.ping_s = int(watchdog_us) / 1e6 / PINGS_PER_WATCHDOG if for_us and watchdog_us.isdigit() else 0.0
        """How often the watchdog wants food; 0 for never."""

    @property
    def listens(self) -> bool:
        return bool(self._address)

    def tell(self, **fields: str | int) -> None:
        """Send these; a supervisor that is away or slow is not waited for."""
        if not self._address:
            return
        # An address that starts with @ is abstract, which the kernel spells with a zero octet.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # A status has words of the kernel's; a line of their own would be an order to the supervisor.
        text = "".join(f"{name}={' '.join(str(value).splitlines())}\n" for name, value in fields.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(text.encode(errors="replace"), address)
            except OSError:
                return  # it is told the same again soon, or has gone


async def attend(notifier: Notifier, status: Callable[[], str], healthy: Callable[[], bool]) -> None:
    """Tell the supervisor that we serve, then how it goes whenever that changed, and feed its watchdog while
    healthy."""
    notifier.tell(READY=1)
    told = None
    while True:
        text = status()
        if text != told:
            notifier.tell(STATUS=text)
            told = text
        if notifier.ping_s and healthy():
            notifier.tell(WATCHDOG=1)
        await asyncio.sleep(min(STATUS_EVERY_S, notifier.ping_s or STATUS_EVERY_S))
