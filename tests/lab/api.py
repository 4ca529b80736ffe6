"""The real API over written figures, in a thread of its own, so that a test can be its client from outside.

Knows how to start and end it, and how to reach into its event loop. Does not know what the figures say.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from tests.lab.figures import Figures
from vtep.api.grpc.server import servers
from vtep.app.doors import Doors
from vtep.config.model import ApiConfig
from vtep.observe.source import Controls, Source


class ClosedError(Exception):
    """An address could not be opened."""


@asynccontextmanager
async def serve(api: ApiConfig, source: Source, controls: Controls) -> AsyncIterator[None]:
    """Serve at all addresses while within; a ClosedError says which ones could not be opened, and why."""
    doors = Doors()
    async with doors.kept_open(servers(api, source, controls)):
        if doors.troubles:
            raise ClosedError("; ".join(doors.troubles.values()))
        yield


class Served:
    """One life of the API, on `vtep.sock` and `admin.sock` of a directory."""

    def __init__(self, figures: Figures, directory: Path) -> None:
        self.figures = figures
        self.address = f"unix:{directory}/vtep.sock"
        self.admin = f"unix:{directory}/admin.sock"
        figures.become(admin=(self.admin,))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._ending = asyncio.Event()
        self._life: Future[None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def start(self) -> None:
        is_up = threading.Event()
        self._ending = asyncio.Event()
        self._life = asyncio.run_coroutine_threadsafe(self._serve(is_up), self._loop)
        self._life.add_done_callback(lambda _: is_up.set())
        assert is_up.wait(10)
        if self._life.done():
            self._life.result()

    def stop(self) -> None:
        if self._life is not None:
            self._loop.call_soon_threadsafe(self._ending.set)
            self._life.result(10)
            self._life = None

    def do(self, what: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Call it in the loop, where the figures live."""

        async def call() -> None:
            what(*arguments, **named)

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(5)

    async def _serve(self, is_up: threading.Event) -> None:
        api = ApiConfig(listen=[self.address], admin=[self.admin], metrics="")
        async with serve(api, self.figures, self.figures):
            is_up.set()
            await self._ending.wait()
