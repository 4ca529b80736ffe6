"""The task that keeps devices says which are not as wanted."""

import asyncio
import contextlib
import errno
import threading
import time

import pytest

from vtep.app.devices_task import DevicesTask
from vtep.config.file import parse
from vtep.errors import KernelError
from vtep.linux.ledger import LedgerFile
from vtep.linux.managed.kinds import MANAGED, Picture
from vtep.linux.memory.kernel import MemoryKernel
from vtep.reconcile.steps import run_to_end

LEAF = """
[node]
vtep = "10.0.0.1"
manage = true
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""


@pytest.fixture
def task(tmp_path):
    ledger = LedgerFile(tmp_path / "devices", MANAGED, {"boot": "this"})
    task = DevicesTask(MemoryKernel(), ledger, parse(LEAF), lambda: 0.0)
    yield task
    task.close()
    ledger.close()


def test_a_device_of_another_program_is_amiss_until_it_is_handed_over(task):
    task._kernel.add_bridge("br100")

    run_to_end(task.actor.engine.run(task._wish, 0.0))
    assert task.amiss() == {"br100": "device-not-ours"}

    task._kernel.adopt("br100")
    run_to_end(task.actor.engine.run(task._wish, 1.0))
    assert task.amiss() == {}


class Counted(MemoryKernel):
    """Notes who dumps the devices: the event loop, or a thread."""

    def __init__(self):
        super().__init__()
        self.dumps = []

    def links(self):
        self.dumps.append("loop" if threading.current_thread() is threading.main_thread() else "thread")
        return super().links()


async def looked(task, change):
    """Run the task, change something, and return when a pass looked at everything after that."""
    running = [asyncio.create_task(work()) for work in (task.actor.run, task.look)]
    while not (task.actor.outcomes.value.report and task.actor.outcomes.value.report.converged):
        await task.actor.outcomes.next()
    task._kernel.dumps.clear()
    change()
    task.take_events()
    await task.actor.outcomes.next()
    for one in running:
        one.cancel()


def test_a_look_at_all_devices_is_one_dump_in_a_thread(tmp_path):
    ledger = LedgerFile(tmp_path / "devices", MANAGED, {"boot": "this"})
    task = DevicesTask(Counted(), ledger, parse(LEAF), time.monotonic)

    with contextlib.closing(task), contextlib.closing(ledger):
        asyncio.run(looked(task, lambda: task._kernel.add_bridge("another")))

    assert task._kernel.dumps == ["thread"]


def test_a_dump_is_not_used_when_a_device_changed_after_it(task):
    task.target.picture = Picture(task._kernel.links())

    task._kernel.add_bridge("br100")
    task.take_events()

    assert task.target.picture is None
    run_to_end(task.actor.engine.run(task._wish, 0.0))
    assert task.amiss() == {"br100": "device-not-ours"}


class Unreadable(MemoryKernel):
    """Refuses some dumps in a thread; the event loop has its own."""

    refused = 0

    def pictured(self):
        if self.refused and threading.current_thread() is not threading.main_thread():
            self.refused -= 1
            raise KernelError("dump", errno.ENOBUFS)
        return super().pictured()


def test_a_changed_configuration_is_taken_although_the_first_looks_fail_and_one_line_says_so(tmp_path, caplog):
    ledger = LedgerFile(tmp_path / "devices", MANAGED, {"boot": "this"})
    task = DevicesTask(Unreadable(), ledger, parse(LEAF), time.monotonic)

    async def reloaded():
        running = [asyncio.create_task(work()) for work in (task.actor.run, task.look)]
        task._kernel.refused = 2
        task.reconfigure(parse(LEAF.replace("br100", "br7")))
        async with asyncio.timeout(20):
            while "br7" not in task._kernel.links().by_name:
                await task.actor.outcomes.next()
        for one in running:
            one.cancel()

    with contextlib.closing(task), contextlib.closing(ledger):
        asyncio.run(reloaded())
    assert caplog.text.count("devices unreadable") == 1
