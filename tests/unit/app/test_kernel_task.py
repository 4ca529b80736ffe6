"""What the kernel's events lead to, on a kernel in memory."""

from pathlib import Path
from types import SimpleNamespace

from tests.contract.leaf import A, Leaf
from tests.contract.worlds import MemoryWorld
from vtep.addr import Mac, Prefix, Vni
from vtep.app.kernel_task import KernelTask
from vtep.config import file as configuration
from vtep.errors import KernelError
from vtep.linux.ledger import LedgerFile
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.tables.all import KINDS
from vtep.linux.wire.route import RouteEntry
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


class BusyKernel(MemoryKernel):
    """Another program changes so many routes that a dump is torn, the first time."""

    torn = True

    def routes_of(self, table: int, protocol: int) -> list[RouteEntry]:
        if self.torn:
            self.torn = False
            raise KernelError("routes", 4, "the dump was torn")
        return [RouteEntry(table, Prefix.parse("10.1.0.0/24"), protocol, 0)]


def test_a_table_that_cannot_be_read_leaves_what_is_advertised_as_it_was_and_is_read_again(tmp_path: Path) -> None:
    vrf = '[[vrf]]\nname = "blue"\nvni = 4001\nvxlan = "vx4001"\nsvi = "br4001"\nimport_rt = ["1:1"]\nredistribute = ["connected"]'
    kernel, config = BusyKernel(), configuration.parse('node = { vtep = "10.0.0.1" }\n' + vrf)
    kernel.add_devices_of_vrf(config.vrfs[0])
    task = KernelTask(kernel, LedgerFile(tmp_path / "ledger", KINDS, {}), config, lambda: 0.0)
    task.target.attachments()

    assert task.routers() == {}
    assert task.routers()[Vni(4001)].prefixes == {Prefix.parse("10.1.0.0/24")}
