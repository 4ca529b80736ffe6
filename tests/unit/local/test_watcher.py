"""When the watcher wakes, and what it does when the kernel cannot be read. What it learns is in tests/contract/test_stations.py."""

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from vtep.addr import Ip, Mac, Vni
from vtep.config.model import Targets, VniConfig
from vtep.errors import KernelError
from vtep.linux.devices import Links
from vtep.linux.events import Hints
from vtep.linux.memory.kernel import MemoryKernel
from vtep.local.stations import News
from vtep.local.watcher import AUDIT_S, LocalStationWatcher

VNI = Vni(100)
CONFIG = VniConfig(VNI, Ip.parse("10.0.0.1"), Targets(frozenset()), bridge="br0", vxlan="vx0")
M = Mac.parse("02:00:00:00:00:0a")
DEADLINE_S = 20


class KernelReader(MemoryKernel):
    """A kernel in memory whose events can be waited for, and that can go blind."""

    def __init__(self) -> None:
        super().__init__()
        self.readable, self._ring = os.pipe()
        self.blind = 0
        """So many looks at the devices fail."""
        self.looks = self.closed = 0
        self.add_bridge("br0")
        self.add_vxlan("vx0", 100, Ip.parse("10.0.0.1"), "br0")
        self.add_port("h0", "br0")

    def ring(self) -> None:
        os.write(self._ring, b"!")

    def events_fileno(self) -> int:
        return self.readable

    def drain(self, most: int = 0) -> Hints:
        os.set_blocking(self.readable, False)
        with suppress(BlockingIOError):
            os.read(self.readable, 100)
        return super().drain(most)

    def links(self) -> Links:
        self.looks += 1
        if self.blind:
            self.blind -= 1
            raise KernelError("links", errno.EINTR, "torn")
        return super().links()

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def ear() -> Iterator[KernelReader]:
    ear = KernelReader()
    yield ear
    os.close(ear.readable)
    os.close(ear._ring)


class Running:
    """A watcher that runs, and what it reported."""

    def __init__(self, ear: KernelReader) -> None:
        self.ear = ear
        self.now = 0.0
        self.reported: asyncio.Queue[News] = asyncio.Queue()
        self.watcher = LocalStationWatcher(
            [CONFIG], lambda: ear, self.reported.put_nowait, lambda: self.now, retry_s=0.001
        )

    async def next(self) -> News:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reported.get()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0)


def run(ear: KernelReader, story) -> None:
    async def live() -> None:
        running = Running(ear)
        task = asyncio.create_task(running.watcher.run())
        try:
            await story(running)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            running.watcher.close()

    asyncio.run(live())


def test_an_event_wakes_it(ear: KernelReader) -> None:
    async def story(leaf: Running) -> None:
        before = ear.looks
        await leaf.until(lambda: not leaf.watcher.is_behind and ear.looks > before)
        ear.station_sends(M, "h0")
        ear.ring()
        assert [one.mac for one in (await leaf.next()).learned] == [M]

    run(ear, story)


def test_a_question_of_the_leaf_wakes_it(ear: KernelReader) -> None:
    async def story(leaf: Running) -> None:
        ear.station_sends(M, "h0")
        await leaf.next()
        leaf.watcher.look_again([(VNI, M)])
        assert [one.mac for one in (await leaf.next()).learned] == [M]

    run(ear, story)


def test_another_configuration_wakes_it_and_closes_what_is_no_longer_needed(ear: KernelReader) -> None:
    async def story(leaf: Running) -> None:
        ear.station_sends(M, "h0")
        await leaf.next()
        leaf.watcher.reconfigure([])
        assert list((await leaf.next()).gone) == [(VNI, M)]
        assert (len(leaf.watcher), ear.closed) == (0, 1)

    run(ear, story)


def test_time_wakes_it(ear: KernelReader) -> None:
    async def story(leaf: Running) -> None:
        ear.station_sends(M, "h0")
        await leaf.next()
        ear.hints_lost = True
        ear.station_expires(M, "br0")
        leaf.now = AUDIT_S
        leaf.watcher.look_again([])
        ear.ring()
        assert list((await leaf.next()).gone) == [(VNI, M)]

    run(ear, story)


def test_a_kernel_that_cannot_be_read_is_logged_once_and_tried_until_it_can(
    ear: KernelReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "vtep")
    ear.station_sends(M, "h0")
    ear.blind = 5

    async def story(leaf: Running) -> None:
        assert [one.mac for one in (await leaf.next()).learned] == [M]

    run(ear, story)

    assert ear.blind == 0
    assert [record.message for record in caplog.records] == ["stations not readable"]


def test_endless_events_do_not_put_off_the_start(ear: KernelReader) -> None:
    """Each step finds one more event, and takes a second."""
    times = iter(range(100))

    def speak(_: News) -> None:
        ear.station_expires(M, "br0")
        ear.station_sends(M, "h0")

    watcher = LocalStationWatcher([CONFIG], lambda: ear, speak, lambda: next(times))
    ear.station_sends(M, "h0")

    asyncio.run(watcher.settle(5))

    assert watcher.is_behind


def test_the_kernel_is_asked_for_an_address_that_came_here_and_only_an_answer_counts() -> None:
    kernel, news = KernelReader(), []
    watcher = LocalStationWatcher([CONFIG], lambda: kernel, news.append, lambda: 0.0)
    host = Ip.parse("172.16.0.9")

    async def run() -> None:
        await watcher.settle()
        kernel.station_sends(M, "h0")
        await watcher.settle()
        news.clear()
        watcher.ask_for([(VNI, host), (Vni(7), host)])
        await watcher.settle()

    asyncio.run(run())
    assert kernel._neighbors.asked == [host]
    assert news == []


def test_what_waits_is_over_when_no_vni_is_followed_any_more():
    kernel = KernelReader()
    watcher = LocalStationWatcher((CONFIG,), lambda: kernel, lambda _: None, lambda: 0.0)

    async def run() -> None:
        await watcher.settle()
        kernel.station_sends(M, "h0")
        await watcher._step()  # with an event that was read, so there may be more
        watcher.look_again([(VNI, M), (Vni(7), M)])
        watcher.ask_for([(VNI, Ip.parse("172.16.0.9"))])
        watcher.reconfigure(())
        async with asyncio.timeout(DEADLINE_S):
            await watcher.settle()

    asyncio.run(run())
    assert not watcher.is_behind


def test_without_a_vni_to_follow_it_rests_however_late_it_is() -> None:
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return 0.0 if looks == 1 else 10 * AUDIT_S

    async def turns() -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    async def story() -> int:
        watcher = LocalStationWatcher([], KernelReader, lambda _: None, clock)
        running = asyncio.create_task(watcher.run())
        await turns()
        before = looks
        await turns()
        running.cancel()
        return looks - before

    assert asyncio.run(story()) == 0
