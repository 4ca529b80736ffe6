"""Any history ends well in memory, where thousands of them can be tried; the same ones are played on Linux elsewhere."""

import pytest
from hypothesis import settings

from tests.contract.histories import Histories
from tests.contract.worlds import LOCAL, MACS, memory_world
from tests.lab.examples import examples
from vtep.linux.devices import BridgePort

pytestmark = pytest.mark.timeout(600)
"""It takes most of a minute alone, and several on a machine that does other work."""


class MemoryHistories(Histories):
    def make_world(self):
        return memory_world()

    def make_device_again(self) -> None:
        self.world.memory.add_vxlan("vx0", 100, LOCAL, "br0", MACS["vx0"])

    def make_fit_again(self) -> None:
        self.world.memory.change("vx0", bridge_port=BridgePort(learning=False, state=3))


class TestMemoryHistories(MemoryHistories.TestCase):
    settings = settings(max_examples=examples(500), stateful_step_count=25, deadline=None)
