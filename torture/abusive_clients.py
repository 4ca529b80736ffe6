"""Clients with bad manners, in a process of their own: `python -m torture.abusive_clients unix:PATH MANNER`.

Prints `begun`, and after SIGTERM how many calls, streams or connections it made, as soon as it made any; then it waits to
be killed.
"""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import grpc

from vtep.v1 import vtep_pb2 as pb
from vtep.v1.vtep_pb2_grpc import VtepServiceStub

CONNECTIONS = 4
OPEN_AT_ONCE = 100


class AbusiveClient:
    """Everybody in this process."""

    def __init__(self, address: str) -> None:
        self.times = 0
        self.once = asyncio.Event()
        """Something was done; on a busy machine the first answer may take its time."""
        self._address = address
        self._kept: list[object] = []

    async def flood(self) -> None:
        """Call as fast as answers come, several calls at a time."""

        async def one(stub: VtepServiceStub) -> None:
            await stub.ListMacs(pb.ListMacsRequest(page_size=100))

        await self._all(one)

    async def pages(self) -> None:
        async def one(stub: VtepServiceStub) -> None:
            await stub.ListMacs(pb.ListMacsRequest(page_size=2**31 - 1))

        await self._all(one)

    async def tokens(self) -> None:
        async def one(stub: VtepServiceStub) -> None:
            token = random.choice(("", "x" * 60_000, os.urandom(30).hex(), "bTow", "\x1b]0;\x07"))
            await stub.ListMacs(pb.ListMacsRequest(page_size=1, page_token=token or "AAAA"))

        await self._all(one)

    async def stalled(self) -> None:
        """Open streams that nobody reads, as many as are let in, and then some."""
        for _ in range(OPEN_AT_ONCE):
            call = self._stub().Watch(pb.WatchRequest())
            with suppress(grpc.aio.AioRpcError):
                await call.wait_for_connection()
            self._kept.append(call)
            self._did()

    async def halfopen(self) -> None:
        """Connect again and again, say half of the preface and wait."""
        while True:
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            with suppress(OSError):
                one.connect(self._address.removeprefix("unix:"))
                one.send(b"PRI * HTTP/2.0\r\n")
            self._kept.append(one)
            self._kept[:-OPEN_AT_ONCE] = []
            self._did()
            await asyncio.sleep(0.002)

    def _did(self) -> None:
        self.times += 1
        self.once.set()

    async def _all(self, call: Callable[[VtepServiceStub], Awaitable[None]]) -> None:
        await asyncio.gather(*(self._again(call, self._stub()) for _ in range(CONNECTIONS)))

    async def _again(self, call: Callable[[VtepServiceStub], Awaitable[None]], stub: VtepServiceStub) -> None:
        while True:
            with suppress(grpc.aio.AioRpcError):
                await call(stub)
            self._did()

    def _stub(self) -> VtepServiceStub:
        channel = grpc.aio.insecure_channel(self._address, [("grpc.use_local_subchannel_pool", 1)])
        return VtepServiceStub(channel)  # type: ignore[no-untyped-call]


async def main(address: str, manner: str) -> None:
    client = AbusiveClient(address)
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    working = asyncio.ensure_future(getattr(client, manner)())
    await asyncio.sleep(0.5)
    print("begun", flush=True)
    await asked.wait()
    await client.once.wait()
    print(client.times, flush=True)
    await working
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
