"""A connection that a feed accepts at its very end is ended as well: its other side sees the end, and no socket is left."""

import asyncio
import contextlib
import socket

import pytest

from vtep.feed.bmp.feed import BmpFeed
from vtep.feed.exabgp.feed import ExabgpFeed


@pytest.mark.parametrize("kind", ["bmp", "exabgp"])
def test_a_connection_that_came_just_before_the_end_is_ended(kind, tmp_path):
    async def story():
        path = tmp_path / "feed.sock"
        feed = BmpFeed("127.0.0.1:0") if kind == "bmp" else ExabgpFeed(path)
        await feed.start()
        where = ("127.0.0.1", feed.port) if kind == "bmp" else str(path)
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET if kind == "bmp" else socket.AF_UNIX) as caller:
            caller.setblocking(False)
            # The listener accepts in this turn of the loop, and the feed is stopped in the same turn, after it.
            stopping = loop.create_future()
            loop.call_soon(lambda: stopping.set_result(loop.create_task(feed.stop())))
            await loop.sock_connect(caller, where)
            await (await stopping)
            async with asyncio.timeout(5):
                with contextlib.suppress(ConnectionError):
                    assert await loop.sock_recv(caller, 1) == b""

    asyncio.run(story())
