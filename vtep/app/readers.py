"""Where the daemon can be asked: the gRPC API, and the HTTP listener with metrics, probes and the status page.

Opens and closes the listeners, and cuts what changed into batches for those who watch. Answers nothing itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from vtep.api.grpc import server as grpc
from vtep.api.http import site
from vtep.app.requests import Requests
from vtep.config.model import ApiConfig
from vtep.observe.observer import Observer

PUBLISH_S: Final = 0.1


@contextlib.asynccontextmanager
async def opened(api: ApiConfig, observer: Observer, requests: Requests, source: Path) -> AsyncIterator[None]:
    """Listen while within. `source` is the file that the configuration came from."""
    async with contextlib.AsyncExitStack() as held:
        if api.listen or api.admin:
            await held.enter_async_context(grpc.serve(api, observer, requests))
        if api.metrics:
            server = await site.start(api.metrics, site.Site(observer), str(source))
            held.push_async_callback(server.stop)
        yield


async def publish(observer: Observer) -> None:
    """Put what changed before those who watch, many changes at a time, until cancelled."""
    while True:
        await asyncio.sleep(PUBLISH_S)
        observer.cut()
