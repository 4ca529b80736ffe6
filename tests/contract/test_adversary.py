"""Any history ends well on Linux too: a real bridge, a real VXLAN port, a real ledger file, and an adversary."""

import pytest
from hypothesis import HealthCheck, settings

from tests.contract.histories import Histories
from tests.contract.worlds import LOCAL, MACS, ip, namespace_world, why_no_namespace
from tests.lab.examples import examples


class LinuxHistories(Histories):
    def make_world(self):
        return namespace_world()

    def make_device_again(self) -> None:
        ip(
            f"link add vx0 address {MACS['vx0']} type vxlan id 100 local {LOCAL} dstport 4789 nolearning",
            "link set vx0 addrgenmode none",
            "link set vx0 master br0",
        )
        self.make_fit_again()
        self.world.set_up("vx0", True)

    def make_fit_again(self) -> None:
        ip("link set vx0 type bridge_slave learning off")


@pytest.mark.root_netns
class TestLinuxHistories(LinuxHistories.TestCase):
    settings = settings(
        max_examples=examples(150),
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )

    def setUp(self) -> None:
        if reason := why_no_namespace():
            pytest.skip(reason)
