"""The leaf beside real ExaBGP, of both lines of releases, with two real FRR VTEPs: its rows are what FRR says."""

import pytest

from tests.lab.fabric import Fabric, macs
from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.peers import EXABGP, EXABGP_4_2

__all__ = ["lab"]

pytestmark = pytest.mark.root_netns

BOTH = pytest.mark.parametrize("exabgp", [EXABGP, EXABGP_4_2], ids=["exabgp-5.0", "exabgp-4.2"])


@pytest.fixture
def fabric(lab, exabgp):
    with skipped_if_missing():
        fabric = Fabric(lab, exabgp=exabgp)
    fabric.start()
    return fabric


@BOTH
def test_macs_come_move_and_go_as_frr_tells(fabric):
    monitor = fabric.monitor_fdb()
    untouched = fabric.rows()
    came = macs(7, 20)

    fabric.learn(1, *came)
    fabric.settle()
    fabric.move(2, *came[:10])
    fabric.settle()
    fabric.forget(1, *came[15:])
    fabric.forget(2, *came[:5])
    fabric.settle()

    assert fabric.established() == [1, 1]
    # The first daemon beside a new ExaBGP has missed nothing and need not ask: every table would come twice.
    assert [fabric.session(number)["messageStats"]["routeRefreshRecv"] for number in (1, 2)] == [0, 0]
    assert monitor.harm(untouched) == []
