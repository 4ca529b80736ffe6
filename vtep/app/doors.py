"""Keeps the daemon's addresses open: each is opened at the start, and tried again for as long as it cannot be.

    open ──▶ it listens, until the daemon ends
     │ ▲
     ▼ │ after 1 s, 2 s, 4 s, ... and then every 30 s
    HostError ──▶ log (once for each reason), status, metric

A port that another program has, an address that is not there yet, or a group that does not exist must not keep the
dataplane from starting: forwarding matters more than answering. Knows nothing about what listens.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Final, Protocol

from vtep import logs
from vtep.errors import HostError, OccupiedError
from vtep.store.backoff import Backoff

WAITS: Final = Backoff(1.0, 30.0)
"""In seconds. An operator who frees a port waits half a minute at most."""

log = logging.getLogger("vtep")


class Door(Protocol):
    """One address at which the daemon listens."""

    @property
    def key(self) -> str:
        """Its key in the configuration, as in `api.listen[0]`."""

    async def open(self) -> None:
        """Listen; a HostError says what is in the way."""

    async def close(self) -> None:
        """End what was opened, if anything was."""


class Doors:
    """All addresses of one daemon."""

    def __init__(self, waits: Backoff = WAITS) -> None:
        self.troubles: dict[str, str] = {}
        """Why an address is not open, by its key in the configuration."""
        self._waits = waits
        self._doors: list[Door] = []

    @contextlib.asynccontextmanager
    async def kept_open(self, doors: Iterable[Door]) -> AsyncIterator[None]:
        """Open these, as far as that is possible now, and close them at the end.

        What another daemon has is an OccupiedError: then this daemon is the second one, and should not be running.
        """
        opened: list[Door] = []
        try:
            for door in doors:
                opened.append(door)
                await self._try(door, first=True)
            self._doors += opened
            yield
        finally:
            self._doors = [door for door in self._doors if door not in opened]
            await asyncio.gather(*(door.close() for door in opened))

    async def run(self) -> None:
        """Try those again that could not be opened, until all are open."""
        tries = 0
        while self.troubles:
            tries += 1
            await asyncio.sleep(self._waits.wait_s(tries))
            for door in self._doors:
                if door.key in self.troubles:
                    await self._try(door)

    async def _try(self, door: Door, *, first: bool = False) -> None:
        """Open one address, and note and log what is in the way. Only at the start does a second daemon end because
        of it."""
        try:
            await door.open()
        except HostError as error:
            if first and isinstance(error, OccupiedError):
                raise
            if self.troubles.get(door.key) != str(error):
                logs.event(log, logging.ERROR, "cannot listen", why=error, again="by itself, every 30 s at the latest")
            self.troubles[door.key] = str(error)
        else:
            if self.troubles.pop(door.key, None) is not None:
                logs.event(log, logging.INFO, "listens now", key=door.key)
