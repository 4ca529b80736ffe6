"""Where the daemon can be asked: the gRPC API, and the HTTP listener with metrics, probes and the status page.

Says which addresses those are, and cuts what changed into batches for those who watch. Answers nothing itself.
"""

import asyncio
from typing import Final

from vtep.api.grpc import server as grpc
from vtep.api.http import site
from vtep.api.http.server import Server
from vtep.app.doors import Door
from vtep.app.requests import Requests
from vtep.config.model import ApiConfig
from vtep.observe.observer import Observer

PUBLISH_S: Final = 0.1


def doors(api: ApiConfig, observer: Observer, requests: Requests) -> list[Door]:
    """Return the addresses that the configuration names."""
    named: list[Door] = [*grpc.servers(api, observer, requests)]
    if api.metrics:
        named.append(_HttpDoor(api.metrics, observer))
    return named


async def publish(observer: Observer) -> None:
    """Put what changed before those who watch, many changes at a time, until cancelled."""
    while True:
        await asyncio.sleep(PUBLISH_S)
        observer.cut()


class _HttpDoor:
    key = "api.metrics"

    def __init__(self, address: str, observer: Observer) -> None:
        self._address = address
        self._site = site.Site(observer)
        self._server: Server | None = None

    async def open(self) -> None:
        self._server = await site.start(self._address, self._site)

    async def close(self) -> None:
        if self._server is not None:
            await self._server.stop()
