"""What the kernel's events lead to, on a kernel in memory."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from tests.contract.leaf import A, Leaf
from tests.contract.worlds import MemoryWorld
from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.app.kernel_task import KernelTask
from vtep.config import file as configuration
from vtep.intent import Host, HostKey, Intent, PortFilter, RefusedHost
from vtep.linux.ledger import LedgerFile
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.tables.all import KINDS
from vtep.local.segment_ports import PortSeen
from vtep.reconcile.actor import Outcome
from vtep.reconcile.engine import Scope
from vtep.reconcile.steps import run_to_end
from vtep.store.table import Table


class CountingDumps:
    """A kernel in memory that counts how often its FDB is dumped."""

    def __init__(self, kernel: MemoryKernel) -> None:
        self._kernel = kernel
        self.dumps = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    def rows(self, bridges: Sequence[int], ports: Sequence[int] = ()) -> list[Any]:
        self.dumps += 1
        return self._kernel.rows(bridges, ports)


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


def test_the_addresses_of_a_machine_that_moves_here_are_asked_for_when_their_rows_are_gone(tmp_path: Path) -> None:
    """The kernel ignores what a machine says of an address for which it has a row of ours."""
    world = MemoryWorld()
    port = world.memory.links().by_name["vx0"].bridge_port
    world.memory.change("vx0", bridge_port=structs.replace(port, neigh_suppress=True))
    ledger = LedgerFile(tmp_path / "ledger", KINDS, {})
    task = KernelTask(world.kernel, ledger, configuration.parse(CONFIG), lambda: 0.0)
    asked: list[HostKey] = []
    task.ask_for = asked.extend
    key = (Vni(100), Ip.parse("172.16.0.9"))
    there = Host(*key, MANY[0], router=False, peer=A, rd=RouteDistinguisher(bytes(8)))
    moved = RefusedHost(*key, MANY[0], "local-mac", A, there.rd)
    gone = Intent(2, complete=True, refused_hosts=Table([(key[1], (moved,))]), touched_hosts=(key,))
    run_to_end(
        task.actor.engine.run(Intent(1, complete=True, hosts=Table([(key[1], (there,))])), 0.0, Scope(survey=True))
    )
    assert task.actor.engine.has("neighbor", key)

    task.follow(gone, None, judged_all=True)
    task._ask_for_moved()
    assert asked == []
    touched = {"neighbor": (key,)}
    run_to_end(task.actor.engine.run(gone, 0.0, Scope(touched=touched)))
    task._ask_for_moved()
    task.follow(gone, None, judged_all=True)
    task._ask_for_moved()
    assert asked == [key]
    ledger.close()


def test_the_filters_of_a_segment_are_looked_up_once_after_each_pass(tmp_path: Path, monkeypatch) -> None:
    world = MemoryWorld()
    world.memory.add_port("es0", "br0")
    text = CONFIG + '[[segment]]\nesi = "03:02:00:00:00:00:42:00:00:01"\nport = "es0"\n'
    config = configuration.parse(text)
    ledger = LedgerFile(tmp_path / "ledger", KINDS, {})
    task = KernelTask(world.kernel, ledger, config, lambda: 0.0)
    world.memory.is_running = lambda _: True
    segment, key = config.segments[0], (Vni(100), "es0")
    row = PortFilter(segment.esi, *key, "joining")
    looked: list[object] = []
    known_of = task.actor.engine.known_of
    monkeypatch.setattr(task.actor.engine, "known_of", lambda *ref: looked.append(ref) or known_of(*ref))

    run_to_end(task.actor.engine.run(Intent(1, complete=True), 0.0, Scope(survey=True)))
    assert task.port_of(segment) == PortSeen(True, (key,), False)
    assert task.port_of(segment) == PortSeen(True, (key,), False)
    assert len(looked) == 1
    wanted = Intent(2, complete=True, port_filters=Table([(key, row)]), touched_port_filters=(key,))
    run_to_end(task.actor.engine.run(wanted, 1.0, Scope(touched={"port-filter": (key,)})))
    task.actor.outcomes.publish(Outcome(generation=2))
    assert task.port_of(segment) == PortSeen(True, (key,), True)
    assert len(looked) == 2
    ledger.close()


@pytest.mark.parametrize(
    ("change", "dumps"),
    [
        pytest.param(('import_rt = ["65000:100"]', 'import_rt = ["65000:7"]'), 0, id="another Route Target"),
        pytest.param(('vxlan = "vx0"', 'vxlan = "vx0"\nflood = false'), 0, id="no floods"),
        pytest.param(('vxlan = "vx0"', 'vxlan = "vx9"'), 1, id="another device"),
        pytest.param(("[[vni]]", '[[vni]]\nvni = 300\nimport_rt = ["65000:3"]\nbridge = "br3"\nvxlan = "vx3"\n[[vni]]'), 1, id="a VNI more"),
        pytest.param(("[[vni]]", '[[vni]]\nimport_rt = ["65000:100"]\nvni = 300\n[[vni]]'), 0, id="a VNI without devices"),
    ],
)  # fmt: skip
def test_a_reload_dumps_the_tables_only_if_rows_may_be_elsewhere(tmp_path: Path, change, dumps: int) -> None:
    kernel = CountingDumps(MemoryWorld().kernel)
    ledger = LedgerFile(tmp_path / "ledger", KINDS, {})
    task = KernelTask(kernel, ledger, configuration.parse(CONFIG), lambda: 0.0)
    task.actor.offer(Intent(1, complete=True), None)
    asyncio.run(task.actor.step())
    before = kernel.dumps

    task.reconfigure(configuration.parse(CONFIG.replace(*change)))
    task.follow(Intent(2, complete=True), None, judged_all=True)
    asyncio.run(task.actor.step())

    assert (before, kernel.dumps - before) == (1, dumps)
    ledger.close()
