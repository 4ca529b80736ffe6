"""What an operator may order, of the parts of a daemon on the kernel in memory."""

import errno
import logging

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Mac, Vni
from vtep.app.requests import Requests
from vtep.errors import UsageError

A, B = "10.0.0.1", "10.0.0.2"
ONE, TWO = (f"02:00:00:00:00:0{number}" for number in (1, 2))


@pytest.fixture
def rig():
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(A, B)
        yield rig


@pytest.fixture
def next_life(rig):
    """The rows of ONE and TWO are there, no claim is, and TWO alone is wanted still."""
    announce(rig, A, ONE, TWO)
    with MemoryLeaf(before=rig) as life:
        life.step()
        route = Instance(A).mac(TWO)
        life.receive(life.lines.up(A), life.lines.announce(A, route), life.lines.end_of_rib(A))
        yield life


def announce(rig, vtep, *macs, seq=None):
    rig.receive(rig.lines.announce(vtep, *(Instance(vtep).mac(mac, seq=seq) for mac in macs)))


def adopt(rig, vni=None, **options):
    return [(number, str(mac), str(vtep)) for number, mac, vtep in rig.wait_for(rig.requests.adopt(vni, **options))]


def rows(rig):
    return {str(entry.mac) for entry in rig.kernel.rows([rig.port("br100")]) if entry.dst}


def test_orphans_are_listed_and_left_alone_on_a_dry_run(next_life):
    assert adopt(next_life, dry_run=True) == [(100, ONE, A)]
    assert next_life.observer.status().dataplane.orphans == 1

    next_life.survey()

    assert rows(next_life) == {ONE, TWO}
    assert next_life.events("adopted") == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_observer_claims_nothing(next_life, dry_run):
    next_life.observer.observes = True

    with pytest.raises(UsageError, match="only observes"):
        adopt(next_life, dry_run=dry_run)

    assert (rows(next_life), next_life.events("adopted")) == ({ONE, TWO}, [])


def test_orphans_that_are_adopted_go_with_the_next_pass(next_life):
    assert adopt(next_life) == [(100, ONE, A)]

    next_life.step()

    assert rows(next_life) == {TWO}
    assert [entry.text for entry in next_life.events("adopted")] == ["1 rows without a claim"]
    assert adopt(next_life) == []


def test_orphans_of_another_vni_are_not_adopted(next_life):
    assert adopt(next_life, Vni(7)) == []
    next_life.step()

    assert rows(next_life) == {ONE, TWO}


def test_a_cleared_duplicate_is_counted_from_zero_again(rig):
    for seq in range(1, 8):
        announce(rig, (A, B)[seq % 2], ONE, seq=seq)
    assert rig.macs()[ONE].alerts == ("dup-warn",)

    cleared = rig.requests.clear_duplicate(Mac.parse(ONE), None)
    rig.judge()

    assert (cleared, rig.nudges) == (1, 1)
    assert rig.macs()[ONE].alerts == ()
    assert [str(entry.mac) for entry in rig.events("duplicate-cleared")] == [ONE]


@pytest.mark.parametrize(("mac", "vni"), [(TWO, None), (ONE, Vni(7))], ids=["another-mac", "another-vni"])
def test_clearing_a_mac_that_is_not_a_duplicate_changes_nothing(rig, mac, vni):
    announce(rig, A, ONE, seq=1)
    announce(rig, B, ONE, seq=2)

    assert rig.requests.clear_duplicate(Mac.parse(mac), vni) == 0
    assert rig.events("duplicate-cleared") == []


def test_a_suppressed_row_is_tried_again_after_a_resync(rig):
    rig.kernel.refuse(errno.EPERM)
    announce(rig, A, ONE)
    rig.survey()
    refused = rig.macs()[ONE].sync
    rig.kernel._refusals.clear()
    rig.survey()
    still = rig.macs()[ONE].sync

    rig.requests.resync()
    rig.step()

    assert (refused.state, refused.errno, still.state) == ("suppressed", errno.EPERM, "suppressed")
    assert rig.macs()[ONE].sync.state == "installed"


def test_a_resync_with_the_peers_advertises_our_routes_again(rig):
    told = []
    requests = Requests(rig.leaf, rig.observer, lambda: None, lambda: told.append("everything"))

    requests.resync()
    before = list(told)
    requests.resync(peers=True)

    assert (before, told) == ([], ["everything"])


def test_a_resync_with_the_peers_requests_all_their_routes_again(rig):
    rig.now += 3600
    rig.leaf.refreshes(rig.now)  # those that each peer is asked at its start
    rig.requests.resync()
    assert (rig.nudges, rig.leaf.refreshes(rig.now)) == (0, [])

    rig.requests.resync(peers=True)

    rig.now += 3600
    assert rig.nudges == 1
    assert rig.leaf.refreshes(rig.now) != []


def test_the_log_level_changes_for_all_lines_and_the_former_level_is_returned(rig):
    log = logging.getLogger("vtep")
    before = log.level
    try:
        rig.requests.set_log_level("warning")

        assert rig.requests.set_log_level("debug") == "warning"
        assert log.level == logging.DEBUG
        with pytest.raises(ValueError, match="'loud' is not a level: debug, info, warning, error"):
            rig.requests.set_log_level("loud")
    finally:
        log.setLevel(before)
