"""What the kernel's events lead to, on a kernel in memory."""

from pathlib import Path
from types import SimpleNamespace

from tests.contract.leaf import A, Leaf
from tests.contract.worlds import MemoryWorld
from vtep.addr import Mac
from vtep.app.kernel_task import KernelTask
from vtep.config import file as configuration
from vtep.linux.ledger import LedgerFile
from vtep.linux.tables.all import KINDS
from vtep.reconcile.engine import Scope
from vtep.reconcile.steps import run_to_end

CONFIG = """
[node]
vtep = "10.0.0.1"
[[vni]]
vni = 100
bridge = "br0"
vxlan = "vx0"
import_rt = ["65000:100"]
"""
MANY = [Mac(b"\x02\0\0\0\1" + bytes((number,))) for number in range(200)]


def test_a_pass_stops_writing_to_a_device_when_the_kernel_says_that_it_was_replaced(tmp_path: Path) -> None:
    world = MemoryWorld()
    ledger = LedgerFile(tmp_path / "ledger", KINDS, {})
    task = KernelTask(world.kernel, ledger, configuration.parse(CONFIG), lambda: 0.0)
    wanted = Leaf(world)
    wanted.want(dict.fromkeys(MANY, A))
    world.kernel.drain()

    pieces = task.actor.engine.run(wanted.intent, 0.0, Scope(survey=True))
    answer = None
    while not any(row.mac in MANY for row in world.rows()):
        call = pieces.send(answer)
        answer = None if call is None else call()
    world.replace_vxlan(200)
    task.take_hints(SimpleNamespace(overruns=0))
    run_to_end(pieces)

    assert [row for row in world.rows() if row.mac in MANY] == []
    ledger.close()
