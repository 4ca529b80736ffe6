"""What differs from what is wanted, found by looking and without a write."""

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Mac, Vni
from vtep.intent import NOTHING
from vtep.linux.wire.neighbor import NTF_MASTER, NUD_NOARP, Neighbour, Verb
from vtep.reconcile import compare
from vtep.reconcile.compare import differences
from vtep.reconcile.steps import run_to_end

A, B = "10.0.0.1", "10.0.0.2"
ONE, TWO = (f"02:00:00:00:00:0{number}" for number in (1, 2))


@pytest.fixture
def leaf():
    with MemoryLeaf() as leaf:
        leaf.step()
        leaf.come_up(A, B)
        leaf.hear(leaf.lines.announce(A, *(Instance(A).mac(mac) for mac in (ONE, TWO)), Instance(A).flood()))
        yield leaf


def compared(leaf, latest=None, concerns=lambda _: True):
    intent = leaf.listener.intent
    return run_to_end(differences(leaf.actor.engine, latest or (lambda: intent), concerns))


def told(found):
    return sorted((row.kind, str(row.key[1]), row.what) for row in found.differences)


def test_a_kernel_as_wanted_does_not_differ(leaf):
    found = compared(leaf)

    assert (found.differences, found.compared, found.left_out) == ((), 3, 0)


def test_a_row_that_went_is_missing_and_is_not_written_by_the_look(leaf):
    leaf.strike(ONE)
    before = leaf.actor.engine.written

    assert told(compared(leaf)) == [("fdb", ONE, "different")]
    assert leaf.actor.engine.written == before


def test_rows_that_are_wanted_no_more_are_unwanted(leaf):
    assert told(compared(leaf, lambda: NOTHING)) == [
        ("fdb", ONE, "unwanted"),
        ("fdb", TWO, "unwanted"),
        ("flood", A, "unwanted"),
    ]


def test_a_place_that_another_hand_took_is_contested(leaf):
    port, mac = leaf.kernel.add_port("port99", "br100"), Mac.parse("02:00:00:00:00:03")
    leaf.kernel.send([Neighbour(Verb.CREATE, port, mac, NTF_MASTER, NUD_NOARP)])
    leaf.survey()
    leaf.hear(leaf.lines.announce(A, Instance(A).mac(str(mac))))
    leaf.survey()

    [row] = compared(leaf).differences
    assert (row.what, row.reason, row.seen.holder) == ("contested", "local-static", "local-static")


def test_where_a_device_is_not_fit_every_wanted_row_is_missing_with_the_reason(leaf):
    leaf.kernel.set_up("vxlan100", False)
    leaf.survey()

    found = compared(leaf)

    assert told(found) == [("fdb", ONE, "missing"), ("fdb", TWO, "missing"), ("flood", A, "missing")]
    assert {row.reason for row in found.differences} == {"not-ready"}


def test_what_concerns_nobody_is_not_looked_at(leaf):
    leaf.strike(ONE)

    found = compared(leaf, concerns=lambda key: key[0] == Vni(7))

    assert (found.differences, found.compared) == ((), 0)


def test_a_row_that_was_on_its_way_is_not_told(leaf):
    """It differed when it was first looked at, and a pass wrote it before the second look."""
    leaf.strike(ONE)
    steps = differences(leaf.actor.engine, lambda: leaf.listener.intent, lambda _: True)
    next(steps)

    leaf.survey()

    assert run_to_end(steps).differences == ()


def test_no_more_are_listed_than_anybody_reads_and_the_rest_is_counted(leaf, monkeypatch):
    monkeypatch.setattr(compare, "DIFFERENCES_MAX", 1)
    leaf.kernel.set_up("vxlan100", False)
    leaf.survey()

    found = compared(leaf)

    assert (len(found.differences), found.left_out) == (1, 2)
