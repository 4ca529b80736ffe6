"""Readers of Watch in a process of their own, so that their work is not the daemon's.

    python -m tests.lab.watch_readers ADDRESS READERS STALLED

Prints "synced" when every stream is open, and "done" with what they heard when every reader has had the batch with LAST. The
stalled ones open a stream and never read.
"""

import asyncio
import sys
from typing import Final

import grpc

from vtep.v1 import vtep_pb2 as pb
from vtep.v1.vtep_pb2_grpc import VtepServiceStub

LAST: Final = "02:00:00:ff:ff:ff"


async def main(address: str, readers: int, stalled: int) -> None:
    channels = [
        grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(readers + stalled)
    ]
    calls = [VtepServiceStub(channel).Watch(pb.WatchRequest()) for channel in channels]
    for call in calls[readers:]:
        await call.wait_for_connection()
    synced = [asyncio.Event() for _ in range(readers)]
    reading = [asyncio.create_task(read(call, event)) for call, event in zip(calls, synced, strict=False)]
    for event in synced:
        await event.wait()
    print("synced", flush=True)
    tables = await asyncio.gather(*reading)
    print("done", len({frozenset(table.items()) for table in tables}), len(tables[0]), flush=True)
    for call in calls:
        call.cancel()
    for channel in channels:
        await channel.close()


async def read(call, synced: asyncio.Event) -> dict[str, int]:
    table: dict[str, int] = {}
    async for response in call:
        if response.mark == pb.WATCH_MARK_LAGGED:
            table.clear()
        for mac in response.macs:
            table[mac.mac] = mac.seq
        for key in response.gone:
            table.pop(key.mac, None)
        if response.mark == pb.WATCH_MARK_SYNCED:
            synced.set()
        if [mac.mac for mac in response.macs] == [LAST]:
            break  # as a batch of its own, so whatever was before it has come; in a page of the table it says nothing
    return table


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
