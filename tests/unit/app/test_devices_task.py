"""The task that keeps devices says which are not as wanted."""

import pytest

from vtep.app.devices_task import DevicesTask
from vtep.config.file import parse
from vtep.linux.ledger import LedgerFile
from vtep.linux.managed.kinds import MANAGED
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
