"""The status page and the metrics of a scripted source, served on loopback by a loop in a thread of its own.

Knows a `Source` that a test writes, and counters for it. Does not know who asks.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from tests.lab import figures as scripted
from vtep.api.http import site
from vtep.observe.figures import Figures
from vtep.observe.model import VniStatus
from vtep.store.histogram import Histogram

COUNTED = Figures(
    routes={("mac-ip", "current"): 9, ("mac-ip", "stale"): 1, ("imet", "current"): 2},
    neighbors={(100, "ipv4"): 6, (100, "ipv6"): 2, (200, "ipv4"): 1},
    foreign={100: 3},
    segments={"forwarding": 1},
    segment_vnis={("03:02:00:00:00:00:42:00:00:01", "df"): 1},
    underlay={"ok": 3, "vtep-unreachable": 1},
    moves={100: 4, 200: 1},
    repaired={"mac": 2},
    kernel_ops={("create", "ok"): 11, ("replace", "ok"): 4, ("create", "ENOBUFS"): 1},
    reloaded=1800.0,
    actor_alive=scripted.NOW - 1,
)


class Leaf(scripted.Figures):
    """A scripted source that counts as well. `counted` and `seen_vnis` are what it says, until a test says otherwise."""

    counted: Figures = COUNTED
    seen_vnis: list[VniStatus] | None = None

    def filter_drops(self) -> dict[str, int]:
        return {"blocked": 7, "bias": 3, "joining": 0}

    def figures(self) -> Figures:
        return self.counted

    def vnis(self) -> list[VniStatus]:
        return list(super().vnis()) if self.seen_vnis is None else self.seen_vnis


def leaf(macs: int = 0, *, troubled: bool = True) -> Leaf:
    """Make one with the rows of `figures.figures`, and with timings."""
    made = scripted.figures(macs, troubled=troubled)
    made.__class__ = Leaf
    took = Histogram()
    for seconds in (0.00008, 0.0004, 0.0021, 0.019):
        took.observe(seconds, times=5)
    made.counted = replace(COUNTED, kernel_op_s=took.snapshot(), reconcile_s=took.snapshot(), install_s=took.snapshot())
    return made


@contextlib.contextmanager
def served(source: Any, address: str = "127.0.0.1:0", fresh_s: float = 0.0) -> Iterator[int]:
    """Serve the source while the context lasts, and give the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="served")
    thread.start()

    def wait_for(doing: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, loop).result(10)

    try:
        server = wait_for(site.start(address, site.Site(source, lambda: source.now, fresh_s)))
        try:
            yield server.ports[0]
        finally:
            wait_for(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
