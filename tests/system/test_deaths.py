"""Every process between FRR and our kernel dies, halts or loses its peer while MACs come and go; afterwards the leaf's rows
are what FRR says, and rows that were right all the time were never away."""

import os
import signal
import time

import pytest

from tests.lab.fabric import Churn, Fabric, halted, macs
from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.peers import EXABGP, EXABGP_4_2
from tests.lab.topology import LEAF, address
from tests.lab.wait import wait_until

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

BOTH = pytest.mark.parametrize("exabgp", [EXABGP, EXABGP_4_2], ids=["exabgp-5.0", "exabgp-4.2"])
NEWEST = pytest.mark.parametrize("exabgp", [EXABGP], ids=["exabgp-5.0"])


@pytest.fixture
def options():
    """What is unusual about the fabric of a test."""
    return {}


@pytest.fixture
def fabric(lab, exabgp, options):
    with skipped_if_missing():
        fabric = Fabric(lab, exabgp=exabgp, **options)
    fabric.start()
    yield fabric
    for process in (fabric.vtep.process, fabric.exabgp.process):
        assert process.alive
        assert "Traceback" not in process.log()


# The peer


@BOTH
def test_a_cleared_session_takes_its_rows_along_and_brings_the_right_ones_back(fabric):
    monitor = fabric.monitor_fdb()
    behind_2 = {row for row in fabric.rows() if row[1] == address(2)}
    gone, new = macs(7, 5), macs(8, 5)
    fabric.learn(1, *gone)
    fabric.settle()

    with Churn(fabric):
        fabric.frrs[1].vtysh("clear bgp *")
        fabric.forget(1, *gone)
        fabric.learn(1, *new)
        wait_until(lambda: fabric.established()[0] > 1, 30, "a new session")
    fabric.settle()

    assert monitor.harm(behind_2) == []


@NEWEST
def test_a_session_that_flaps_comes_to_rest(fabric):
    monitor = fabric.monitor_fdb()
    behind_2 = {row for row in fabric.rows() if row[1] == address(2)}

    with Churn(fabric):
        for times in range(2, 5):
            fabric.frrs[1].vtysh(f"clear bgp {address(LEAF)}")
            wait_until(lambda times=times: fabric.established()[0] == times, 30, "a new session")
    fabric.settle()

    assert monitor.harm(behind_2) == []


@BOTH
def test_rows_of_a_killed_bgpd_that_keeps_forwarding_stay_until_it_is_back(fabric):
    untouched = fabric.rows()
    here, there = macs(7, 5), macs(8, 5)
    monitor = fabric.monitor_fdb()

    fabric.frrs[1].bgpd.kill()
    with Churn(fabric):
        fabric.learn(1, *here)
        fabric.learn(2, *there)
        fabric.wait_rows(*there)
    fabric.frrs[1].start_bgpd()
    fabric.settle()

    assert monitor.harm(untouched) == []


@NEWEST
def test_what_a_restarted_frr_does_not_tell_again_goes_at_its_end_of_rib(fabric):
    untouched = fabric.rows()
    gone, new = macs(7, 5), macs(8, 5)
    fabric.learn(1, *gone)
    fabric.settle()
    monitor = fabric.monitor_fdb()

    fabric.frrs[1].kill()
    fabric.forget(1, *gone)
    fabric.learn(2, *new)
    fabric.wait_rows(*new)
    held = monitor.harm((mac, address(1)) for mac in gone)
    fabric.frrs[1].start()
    fabric.settle()

    assert held == []
    assert monitor.harm(untouched) == []


@NEWEST
@pytest.mark.parametrize("options", [{"restarts": ""}], ids=["no-graceful-restart"])
def test_rows_of_a_killed_bgpd_that_keeps_nothing_go_at_once(fabric):
    behind_2 = {row for row in fabric.rows() if row[1] == address(2)}
    monitor = fabric.monitor_fdb()

    fabric.frrs[1].bgpd.kill()
    wait_until(lambda: fabric.rows() == behind_2, what="the end of its rows")
    fabric.frrs[1].start_bgpd()
    fabric.settle()

    assert monitor.harm(behind_2) == []


# ExaBGP and its relay


@BOTH
def test_rows_outlive_a_killed_exabgp_and_stale_ones_go_with_their_own_peers_end_of_rib(fabric):
    untouched = fabric.rows()
    gone, new = macs(7, 5), macs(8, 5)
    fabric.learn(1, *gone)
    fabric.settle()
    monitor = fabric.monitor_fdb()

    with Churn(fabric):
        fabric.exabgp.process.kill()
        fabric.forget(1, *gone)
    fabric.settle_remotes()
    with halted(fabric.frrs[1].bgpd.pid):
        fabric.learn(2, *new)
        fabric.exabgp.start()
        fabric.wait_rows(*new)
        held = monitor.harm((mac, address(1)) for mac in gone)
    fabric.settle()

    assert held == []
    assert monitor.harm(untouched) == []


@BOTH
def test_a_killed_relay_is_replaced_and_misses_nothing(fabric):
    untouched = fabric.rows()
    gone = macs(7, 5)
    fabric.learn(1, *gone)
    fabric.settle()
    monitor = fabric.monitor_fdb()
    first = fabric.relay()

    with Churn(fabric):
        with halted(fabric.exabgp.process.pid):
            os.kill(first, signal.SIGKILL)
            fabric.forget(1, *gone)
        wait_until(lambda: fabric.relay() != first, 15, "a new relay")
    fabric.settle()

    assert monitor.harm(untouched) == []


# The daemon


@BOTH
def test_a_killed_daemon_learns_by_refresh_and_deletes_nothing_before_its_end(fabric):
    untouched = fabric.rows()
    gone, new = macs(7, 5), macs(8, 5)
    fabric.learn(1, *gone)
    fabric.settle()
    monitor = fabric.monitor_fdb()

    with Churn(fabric):
        fabric.vtep.process.kill()
        fabric.forget(1, *gone)
    fabric.settle_remotes()
    with halted(fabric.frrs[1].bgpd.pid):
        fabric.learn(2, *new)
        fabric.vtep.start()
        fabric.wait_rows(*new)
        held = monitor.harm((mac, address(1)) for mac in gone)
    fabric.settle()

    assert held == []
    assert fabric.established() == [1, 1]
    assert monitor.harm(untouched) == []


@NEWEST
def test_a_daemon_and_a_relay_killed_together_leave_nothing_unknown(fabric):
    untouched = fabric.rows()
    gone = macs(7, 5)
    fabric.learn(1, *gone)
    fabric.settle()
    monitor = fabric.monitor_fdb()
    fabric.vtep.process.kill()
    first = fabric.relay()
    os.kill(first, signal.SIGKILL)
    fabric.forget(1, *gone)
    fabric.settle_remotes()
    wait_until(lambda: fabric.relay() != first, 15, "a new relay")
    fabric.vtep.start()
    fabric.settle()

    assert fabric.established() == [1, 1]
    assert monitor.harm(untouched) == []


@BOTH
@pytest.mark.parametrize("options", [{"hold_s": 9, "buffer_mib": 1}], ids=["small-buffer"])
def test_exabgp_lives_on_beside_a_halted_daemon_whose_relay_must_drop_lines(fabric):
    untouched = fabric.rows()
    monitor = fabric.monitor_fdb()
    # More at once would be too much news for zebra, which overlooks what it loses.
    many = macs(9, 500)

    with halted(fabric.vtep.process.pid):
        for _ in range(10):
            fabric.learn(1, *many)
            fabric.settle_remotes()
            fabric.forget(1, *many)
            fabric.settle_remotes()
        fabric.wait_keepalives(2)
    fabric.settle()

    assert fabric.established() == [1, 1]
    assert "exabgp lines lost" in fabric.vtep.process.log()
    assert monitor.harm(untouched) == []


@NEWEST
@pytest.mark.parametrize("options", [{"hold_s": 9}], ids=["short-hold-time"])
def test_exabgp_lives_on_beside_a_daemon_halted_for_a_minute(fabric):
    untouched = fabric.rows()
    monitor = fabric.monitor_fdb()

    with halted(fabric.vtep.process.pid), Churn(fabric):
        end = time.monotonic() + 60
        wait_until(lambda: fabric.established() != [1, 1] or time.monotonic() > end, 90, "the end of a minute")
    fabric.settle()

    assert fabric.established() == [1, 1]
    assert monitor.harm(untouched) == []
