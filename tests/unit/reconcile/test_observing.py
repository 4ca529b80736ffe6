"""An engine that observes: rows of any daemon are judged, and not one message is sent."""

import pytest
from msgspec import structs

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Ip, Vni
from vtep.errors import Bug
from vtep.linux.tables.fdb import FdbRow
from vtep.reconcile.claims import Claims
from vtep.reconcile.contract import LOCAL_LEARNED, Seen
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.observing import DIFFERENT, HALF, MISSING, UNWANTED, as_anybodys
from vtep.reconcile.steps import run_to_end

A, B = "10.0.0.1", "10.0.0.2"
ONE, TWO, THREE = (f"02:00:00:00:00:0{number}" for number in (1, 2, 3))
ROW, OTHER = FdbRow(Ip.parse(A)), FdbRow(Ip.parse(B))


@pytest.mark.parametrize(
    ("seen", "row", "holder", "tagged"),
    [
        (Seen(None, False, holder="foreign", adoptable=ROW), ROW, "", True),
        (Seen(ROW, True), ROW, "", True),
        (Seen(None, True, whole=False), None, "", True),
        (Seen(None, False, holder="foreign", there=ROW), ROW, "foreign", False),
        (Seen(None, False, holder=LOCAL_LEARNED), None, LOCAL_LEARNED, False),
    ],
)
def test_whose_row_it_is_does_not_matter(seen, row, holder, tagged):
    found = as_anybodys(seen)

    assert (found.row, found.holder, found.tagged) == (row, holder, tagged)


@pytest.fixture
def rig():
    """A leaf whose rows another engine writes, with an observer on the same kernel."""
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(A, B)
        rig.receive(rig.lines.announce(A, *(Instance(A).mac(mac) for mac in (ONE, TWO, THREE)), Instance(A).flood()))
        engine = rig.actor.engine
        rig.watcher = Engine(engine.kinds, engine.target, Claims(engine.kinds), observes=True)
        yield rig


def look(rig, now, intent=None, scope=Scope(survey=True)):  # noqa: B008 - frozen
    """Return what differs: the reason and the age of each row."""
    run_to_end(rig.watcher.run(intent or rig.leaf.intent, now, scope))
    troubles = rig.watcher.troubles
    return {str(ref[1][1]): (troubles[ref].reason, now - troubles.since[ref]) for ref in troubles}


def test_rows_as_wanted_do_not_differ(rig):
    assert look(rig, 100.0) == {}
    assert rig.watcher.ledger.confirmed("fdb")[Vni(100)] == 3


def test_a_difference_has_an_age_until_it_is_gone(rig):
    look(rig, 100.0)
    rig.strike(ONE)
    first, later = look(rig, 101.0), look(rig, 107.0)
    rig.survey()

    assert first[ONE] in ((MISSING, 0.0), (HALF, 0.0))
    assert later[ONE] == (first[ONE][0], 6.0)
    assert look(rig, 108.0) == {}


def test_rows_that_nothing_wants_any_more_and_rows_that_lead_elsewhere(rig):
    look(rig, 100.0)
    before = rig.leaf.intent
    rig.receive(rig.lines.announce(B, Instance(B).mac(ONE, seq=1)), rig.lines.withdraw(A, Instance(A).mac(TWO).nlri))
    after_the_kernel = look(rig, 101.0, before)

    assert {mac: reason for mac, (reason, _) in after_the_kernel.items()} == {ONE: DIFFERENT, TWO: MISSING}


def test_an_observer_that_comes_late_finds_stale_rows(rig):
    intent = rig.leaf.intent
    assert look(rig, 100.0, structs.replace(intent, macs=type(intent.macs)())) == dict.fromkeys(
        (ONE, TWO, THREE), (UNWANTED, 0.0)
    )


def test_nothing_is_compared_before_all_routes_are_known_and_everything_at_once_then(rig):
    intent = rig.leaf.intent
    rig.strike(ONE)
    incomplete = structs.replace(intent, complete=False)

    early = look(rig, 100.0, incomplete)
    also_early = look(rig, 101.0, incomplete, Scope(touched={"fdb": list(intent.macs)}))
    claims = rig.watcher.ledger.confirmed("fdb")[Vni(100)]
    once_complete = look(rig, 102.0, intent, Scope())

    assert (early, also_early, claims) == ({}, {}, 0)
    assert once_complete[ONE][0] in (MISSING, HALF)
    assert rig.watcher.ledger.confirmed("fdb")[Vni(100)] == 2


def test_not_one_message_is_sent(rig):
    sent = rig.actor.engine.written
    rig.strike(ONE)
    look(rig, 100.0)

    assert rig.watcher.written == 0
    assert rig.actor.engine.written == sent
    with pytest.raises(Bug):
        rig.watcher.target.send([])
