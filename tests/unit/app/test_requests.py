"""What an operator may order, of the parts of a daemon on the kernel in memory."""

import errno
import logging

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Mac, Vni
from vtep.app.requests import Orders

A, B = "10.0.0.1", "10.0.0.2"
ONE, TWO = (f"02:00:00:00:00:0{number}" for number in (1, 2))


@pytest.fixture
def leaf():
    with MemoryLeaf() as leaf:
        leaf.step()
        leaf.come_up(A, B)
        yield leaf


@pytest.fixture
def next_life(leaf):
    """The rows of ONE and TWO are there, no claim is, and TWO alone is wanted still."""
    announce(leaf, A, ONE, TWO)
    with MemoryLeaf(before=leaf) as life:
        life.step()
        route = Instance(A).mac(TWO)
        life.hear(life.lines.up(A), life.lines.announce(A, route), life.lines.end_of_rib(A))
        yield life


def announce(leaf, vtep, *macs, seq=None):
    leaf.hear(leaf.lines.announce(vtep, *(Instance(vtep).mac(mac, seq=seq) for mac in macs)))


def adopt(leaf, vni=None, **options):
    return [(number, str(mac), str(vtep)) for number, mac, vtep in leaf.wait_for(leaf.orders.adopt(vni, **options))]


def rows(leaf):
    return {str(entry.mac) for entry in leaf.kernel.rows([leaf.port("br100")]) if entry.dst}


def test_orphans_are_listed_and_left_alone_on_a_dry_run(next_life):
    assert adopt(next_life, dry_run=True) == [(100, ONE, A)]
    assert next_life.observer.status().dataplane.orphans == 1

    next_life.survey()

    assert rows(next_life) == {ONE, TWO}
    assert next_life.events("adopted") == []


def test_orphans_that_are_adopted_go_with_the_next_pass(next_life):
    assert adopt(next_life) == [(100, ONE, A)]

    next_life.step()

    assert rows(next_life) == {TWO}
    assert [entry.text for entry in next_life.events("adopted")] == ["1 rows that were nobody's"]
    assert adopt(next_life) == []


def test_orphans_of_another_vni_are_not_adopted(next_life):
    assert adopt(next_life, Vni(7)) == []
    next_life.step()

    assert rows(next_life) == {ONE, TWO}


def test_a_duplicate_that_is_cleared_begins_to_count_anew(leaf):
    for seq in range(1, 8):
        announce(leaf, (A, B)[seq % 2], ONE, seq=seq)
    assert leaf.macs()[ONE].alerts == ("dup-warn",)

    cleared = leaf.orders.clear_duplicate(Mac.parse(ONE), None)
    leaf.judge()

    assert (cleared, leaf.nudges) == (1, 1)
    assert leaf.macs()[ONE].alerts == ()
    assert [str(entry.mac) for entry in leaf.events("cleared")] == [ONE]


@pytest.mark.parametrize(("mac", "vni"), [(TWO, None), (ONE, Vni(7))], ids=["another-mac", "another-vni"])
def test_clearing_what_is_no_duplicate_clears_nothing(leaf, mac, vni):
    announce(leaf, A, ONE, seq=1)
    announce(leaf, B, ONE, seq=2)

    assert leaf.orders.clear_duplicate(Mac.parse(mac), vni) == 0
    assert leaf.events("cleared") == []


def test_a_row_that_was_refused_for_good_is_tried_again_after_a_resync(leaf):
    leaf.kernel.refuse(errno.EPERM)
    announce(leaf, A, ONE)
    leaf.survey()
    refused = leaf.macs()[ONE].sync
    leaf.kernel._refusals.clear()
    leaf.survey()
    still = leaf.macs()[ONE].sync

    leaf.orders.resync()
    leaf.step()

    assert (refused.state, refused.errno, still.state) == ("suppressed", errno.EPERM, "suppressed")
    assert leaf.macs()[ONE].sync.state == "installed"


def test_a_resync_with_the_peers_has_everything_of_ours_told_again(leaf):
    told = []
    orders = Orders(leaf.listener, leaf.observer, lambda: None, lambda: told.append("everything"))

    orders.resync()
    before = list(told)
    orders.resync(peers=True)

    assert (before, told) == ([], ["everything"])


def test_a_resync_with_the_peers_asks_them_to_tell_everything_again(leaf):
    leaf.now += 3600
    leaf.listener.refreshes(leaf.now)  # those that each peer is asked at its start
    leaf.orders.resync()
    assert (leaf.nudges, leaf.listener.refreshes(leaf.now)) == (0, [])

    leaf.orders.resync(peers=True)

    leaf.now += 3600
    assert leaf.nudges == 1
    assert leaf.listener.refreshes(leaf.now) != []


def test_the_log_level_is_changed_for_all_lines_and_the_one_before_is_told(leaf):
    log = logging.getLogger("vtep")
    before = log.level
    try:
        leaf.orders.set_log_level("warning")

        assert leaf.orders.set_log_level("debug") == "warning"
        assert log.level == logging.DEBUG
        with pytest.raises(ValueError, match="'loud' is no level: debug, info, warning, error"):
            leaf.orders.set_log_level("loud")
    finally:
        log.setLevel(before)
