"""What differs from what is wanted, found by looking and without a write."""

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Mac, Vni
from vtep.intent import NOTHING
from vtep.linux.wire.neighbor import NTF_MASTER, NUD_NOARP, Neighbor, Verb
from vtep.observe import compare
from vtep.reconcile.compare import differences
from vtep.reconcile.steps import run_to_end

A, B = "10.0.0.1", "10.0.0.2"
ONE, TWO = (f"02:00:00:00:00:0{number}" for number in (1, 2))


@pytest.fixture
def rig():
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(A, B)
        rig.receive(rig.lines.announce(A, *(Instance(A).mac(mac) for mac in (ONE, TWO)), Instance(A).flood()))
        yield rig


def compared(rig, latest=None, concerns=lambda _: True):
    intent = rig.leaf.intent
    return run_to_end(differences(rig.actor.engine, latest or (lambda: intent), concerns))


def told(found):
    return sorted((row.kind, str(row.key[1]), row.what) for row in found.differences)


def test_a_kernel_as_wanted_does_not_differ(rig):
    found = compared(rig)

    assert (found.differences, found.compared) == ((), 3)


def test_a_row_that_is_gone_is_missing_and_is_not_written_by_the_comparison(rig):
    rig.strike(ONE)
    before = rig.actor.engine.written

    assert told(compared(rig)) == [("fdb", ONE, "different")]
    assert rig.actor.engine.written == before


def test_only_the_rows_that_a_caller_names_are_looked_at_and_all_are_counted(rig):
    rig.strike(ONE)
    rig.strike(TWO)
    intent = rig.leaf.intent
    key = (Vni(100), Mac.parse(ONE))

    found = run_to_end(differences(rig.actor.engine, lambda: intent, lambda _: True, {key}))

    assert (told(found), found.compared) == ([("fdb", ONE, "different")], 3)


def test_rows_that_are_no_longer_wanted_are_unwanted(rig):
    assert told(compared(rig, lambda: NOTHING)) == [
        ("fdb", ONE, "unwanted"),
        ("fdb", TWO, "unwanted"),
        ("flood", A, "unwanted"),
    ]


def test_a_key_that_another_program_took_is_contested(rig):
    port, mac = rig.kernel.add_port("port99", "br100"), Mac.parse("02:00:00:00:00:03")
    rig.kernel.send([Neighbor(Verb.CREATE, port, mac, NTF_MASTER, NUD_NOARP)])
    rig.survey()
    rig.receive(rig.lines.announce(A, Instance(A).mac(str(mac))))
    rig.survey()

    [row] = compared(rig).differences
    assert (row.what, row.reason, row.seen.holder) == ("contested", "local-static", "local-static")


def test_where_a_device_is_not_fit_every_wanted_row_is_missing_with_the_reason(rig):
    rig.kernel.set_up("vxlan100", False)
    rig.survey()

    found = compared(rig)

    assert told(found) == [("fdb", ONE, "missing"), ("fdb", TWO, "missing"), ("flood", A, "missing")]
    assert {row.reason for row in found.differences} == {"not-ready"}


def test_what_does_not_concern_the_caller_is_not_looked_at(rig):
    rig.strike(ONE)

    found = compared(rig, concerns=lambda key: key[0] == Vni(7))

    assert (found.differences, found.compared) == ((), 0)


def test_a_row_that_was_on_its_way_is_not_reported(rig):
    """It differed when it was first looked at, and a pass wrote it before the second look."""
    rig.strike(ONE)
    steps = differences(rig.actor.engine, lambda: rig.leaf.intent, lambda _: True)
    next(steps)

    rig.survey()

    assert run_to_end(steps).differences == ()


def test_the_list_of_differences_is_bounded_and_the_rest_is_counted(rig, monkeypatch):
    monkeypatch.setattr(compare, "DIFFERENCES_MAX", 1)
    rig.kernel.set_up("vxlan100", False)
    rig.survey()

    found = rig.wait_for(rig.observer.diff(None))

    assert (len(found.differences), found.left_out) == (1, 2)
