"""Refusals, reports and the promises between passes, on a kernel in memory that can be made to misbehave."""

import errno
import weakref
from types import SimpleNamespace

import pytest
from msgspec import structs

from tests.contract.leaf import VNI, A, B, L, Leaf, M, N, vni, written
from tests.contract.test_rows import add, delete, operator_tunnel
from tests.contract.worlds import LOCAL, MACS, MemoryWorld
from vtep.addr import ZERO_MAC, Mac
from vtep.errors import KernelError
from vtep.linux.memory.kernel import Crashed
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.fdb import FDB
from vtep.linux.wire.neighbor import Verb
from vtep.reconcile.claims import Claim, Claims, RowGroup
from vtep.reconcile.contract import Attachments, Change
from vtep.reconcile.engine import ROWS_MAX, SWEPT_MAX, Engine, Scope
from vtep.reconcile.steps import run_to_end
from vtep.reconcile.writer import spelled_in_turns


@pytest.fixture
def leaf() -> Leaf:
    leaf = Leaf(MemoryWorld())
    leaf.pass_()
    return leaf


def refuse(leaf: Leaf, code: int, *macs: Mac) -> None:
    leaf.kernel.refused = lambda message: code if not macs or message.mac in macs else 0


def tries(leaf: Leaf, mac: Mac = M) -> int:
    return sum(message.mac == mac for message in leaf.kernel.sent)


# Retry


def test_a_transient_refusal_is_tried_again_at_growing_intervals(leaf: Leaf) -> None:
    refuse(leaf, errno.EBUSY)
    leaf.want({M: A})

    attempts = []
    for _ in range(40):
        leaf.survey()
        attempts.append(tries(leaf))
        leaf.now += 0.0625

    assert leaf.trouble() == "failed retrying"
    assert [attempts.index(number) for number in (1, 2, 3, 4)] == [0, 2, 6, 13]


def test_a_row_that_waits_does_not_delay_another(leaf: Leaf) -> None:
    refuse(leaf, errno.EBUSY, M)
    leaf.want({M: A, N: A})

    report = leaf.pass_()

    assert (report.created, report.failed, report.converged) == (1, 1, False)
    assert (leaf.rows(M), leaf.rows(N)) == ([], written("n", A))


def test_a_row_whose_refusal_is_over_is_written_as_soon_as_it_is_due(leaf: Leaf) -> None:
    refuse(leaf, errno.EBUSY)
    leaf.want({M: A})
    leaf.pass_()
    refuse(leaf, 0)

    leaf.pass_()
    assert leaf.rows() == []
    leaf.now += 0.2
    report = leaf.pass_()

    assert (leaf.rows(), leaf.trouble(), report.converged) == (written("m", A), "", True)
    assert leaf.engine.backlog.next_due is None


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_permanent_refusal_is_not_tried_again_by_time_by_other_changes_or_by_a_new_reason(
    leaf: Leaf, code: int
) -> None:
    refuse(leaf, code, M)
    leaf.want({M: A})
    report = leaf.pass_()
    assert (report.suppressed, report.converged) == (1, False)

    leaf.now += 1000
    leaf.survey()
    refuse(leaf, errno.EBUSY, N)  # which makes the engine look at the devices again
    leaf.want({M: (A, 5), N: A})
    leaf.pass_()
    leaf.audit()
    leaf.survey()

    assert (tries(leaf), leaf.trouble()) == (1, "suppressed permanent-error")


def test_a_suppressed_row_is_tried_when_what_is_wanted_changes(leaf: Leaf) -> None:
    refuse(leaf, errno.EINVAL)
    leaf.want({M: A})
    leaf.pass_()
    refuse(leaf, 0)

    leaf.want({M: (B, 1)})
    leaf.pass_()

    assert (leaf.rows(), leaf.trouble()) == (written("m", B), "")


def test_a_suppressed_row_is_tried_when_the_operator_asks(leaf: Leaf) -> None:
    refuse(leaf, errno.EINVAL)
    leaf.want({M: A})
    leaf.pass_()
    refuse(leaf, 0)

    leaf.engine.backlog.rearm()
    leaf.survey()

    assert leaf.rows() == written("m", A)


def test_a_suppressed_row_is_tried_when_its_own_device_changes_and_not_when_another_does() -> None:
    world = MemoryWorld()
    world.memory.add_bridge("br1")
    world.memory.add_vxlan("vx1", 200, LOCAL, "br1")
    leaf = Leaf(world)
    other = vni(200, "br1")
    leaf.target.reconfigure([vni(), type(other)(other.vni, other.vtep, other.imports, bridge="br1", vxlan="vx1")])
    refuse(leaf, errno.EINVAL)
    leaf.wanted_and_surveyed({M: A})
    refuse(leaf, 0)

    world.memory.delete_link("vx1")
    leaf.pass_()
    assert leaf.trouble() == "suppressed permanent-error"

    world.memory.delete_link("vx0")
    world.memory.add_vxlan("vx0", 100, LOCAL, "br0", MACS["vx0"])
    leaf.pass_()
    assert leaf.rows() == written("m", A)


def test_nothing_is_due_for_a_row_that_need_not_be_tried(leaf: Leaf) -> None:
    """Else the daemon would wake for it again and again."""
    refuse(leaf, errno.EBUSY)
    leaf.want({L: A, M: A, N: A})
    leaf.pass_()

    leaf.world.memory.set_up("vx0", False)
    leaf.want({L: A})
    leaf.pass_()

    assert leaf.engine.backlog.next_due is None


def test_a_refused_deletion_is_not_due_while_the_picture_is_incomplete(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    refuse(leaf, errno.EBUSY)
    leaf.want({})
    leaf.pass_()

    leaf.want({}, complete=False)
    leaf.now += 10
    leaf.pass_()

    assert (leaf.trouble(), leaf.engine.backlog.next_due) == ("held held", None)


def test_a_refused_deletion_keeps_its_claim_and_is_tried_again(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    refuse(leaf, errno.EBUSY)
    leaf.want({})

    report = leaf.pass_()

    assert (leaf.owns(), report.deleted, report.failed) == (True, 0, 1)
    refuse(leaf, 0)
    leaf.now += 10
    assert (leaf.pass_().deleted, leaf.rows(), leaf.owns()) == (1, [], False)


@pytest.mark.parametrize("half", [0x02, 0x04], ids=["VXLAN", "bridge"])
def test_a_row_of_which_one_half_was_deleted_is_whole_again_when_it_is_wanted_again(leaf: Leaf, half: int) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.kernel.refused = lambda message: errno.EBUSY if message.flags == half else 0
    leaf.want({})
    leaf.pass_()
    leaf.pass_()  # which hears of the half that is gone

    leaf.want({M: A})
    report = leaf.pass_()

    assert (leaf.rows(), leaf.trouble(), report.converged) == (written("m", A), "", True)


@pytest.mark.parametrize("half", [0x02, 0x04], ids=["VXLAN", "bridge"])
def test_a_deletion_of_which_one_half_was_gone_already_is_done(leaf: Leaf, half: int) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.meanwhile(delete(M, half))
    leaf.kernel.drain()

    leaf.want({})
    report = leaf.pass_()

    assert (report.deleted, report.failed, leaf.rows(), leaf.owns()) == (1, 0, [], False)


@pytest.mark.parametrize("half", [0x02, 0x04], ids=["VXLAN", "bridge"])
def test_a_deletion_of_which_one_half_was_gone_and_the_other_is_refused_is_tried_again(leaf: Leaf, half: int) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.meanwhile(delete(M, half))
    leaf.kernel.drain()
    leaf.kernel.refused = lambda message: errno.ENOMEM if message.flags != half else 0

    leaf.want({})
    refused = leaf.pass_()
    assert (refused.failed, leaf.owns()) == (1, True)
    leaf.kernel.refused = lambda _: 0
    leaf.now += 10
    leaf.pass_()

    assert (leaf.rows(), leaf.owns()) == ([], False)


def test_a_transient_refusal_makes_the_engine_look_for_the_device(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.world.memory.delete_link("vx0")
    leaf.kernel.drain()

    leaf.pass_()
    assert leaf.trouble() == "failed retrying"
    report = leaf.pass_()

    assert (report.pending, leaf.trouble()) == (1, "pending not-ready")


def test_a_full_domain_stops_creations_there_and_nothing_else() -> None:
    leaf = Leaf(MemoryWorld())
    many = {Mac(b"\x02\0\0\0\1" + bytes((number,))): A for number in range(200)}
    leaf.want({M: A, N: A})
    leaf.pass_()
    leaf.kernel.refused = lambda message: errno.ENOSPC if message.verb is Verb.CREATE else 0
    leaf.kernel.sent.clear()

    leaf.want({M: (B, 1)} | many)
    report = leaf.pass_()

    assert (report.failed, report.replaced, report.deleted) == (200, 1, 1)
    assert sum(message.verb is Verb.CREATE for message in leaf.kernel.sent) == 128
    assert {leaf.trouble(mac) for mac in many} == {"failed retrying"}
    assert leaf.engine.backlog.next_due is not None


def test_the_bridge_half_of_a_refused_creation_is_removed(leaf: Leaf) -> None:
    world = MemoryWorld(max_addresses=1)
    leaf = Leaf(world)
    leaf.wanted_and_surveyed({L: A})

    leaf.want({L: A, M: A})
    leaf.pass_()

    assert (leaf.rows(), leaf.trouble()) == ([], "failed retrying")


# Answers and deaths


def test_a_row_whose_answer_was_lost_is_looked_at_before_anything_else_is_done(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.kernel.answers_lost = True
    leaf.pass_()
    leaf.kernel.answers_lost = False
    leaf.now += 10

    report = leaf.pass_()

    assert (report.kept, report.applied, report.converged, tries(leaf)) == (1, 0, True, 1)


def test_a_row_that_was_refused_twice_on_its_way_is_still_ours(leaf: Leaf) -> None:
    """The kernel has the first value; the ledger has seen two more."""
    leaf.want({M: A})
    leaf.pass_()
    refuse(leaf, errno.EBUSY)
    for domain in ((B, 1), (L and A, 2), (B, 3)):
        leaf.want({M: domain})
        leaf.pass_()
    refuse(leaf, 0)

    leaf.want({})
    report = leaf.pass_()

    assert (report.deleted, leaf.rows()) == (1, [])


@pytest.mark.parametrize("messages", range(4), ids="after {} messages".format)
def test_after_a_crash_at_any_message_the_next_daemon_ends_alike(messages: int) -> None:
    world = MemoryWorld()
    leaf = Leaf(world)
    leaf.wanted_and_surveyed({L: A, M: A})
    leaf.kernel.crash_after = messages
    leaf.want({M: (B, 1), N: A})
    with pytest.raises(Crashed):
        leaf.pass_()

    later = Leaf(world, leaf.ledger)
    later.wanted_and_surveyed({M: (B, 1)})

    assert [later.rows(mac) for mac in (L, M, N)] == [[], written("m", B), []]
    assert set(later.ledger.claims("fdb")) == {(VNI, M)}


def test_a_claim_is_there_before_its_row() -> None:
    leaf = Leaf(MemoryWorld())
    leaf.want({M: A})
    leaf.kernel.crash_after = 0

    with pytest.raises(Crashed):
        leaf.pass_()

    assert leaf.ledger.claims("fdb") == {(VNI, M): Claim(FDB.wanted_at(leaf.intent, (VNI, M)))}


def test_a_claim_stays_until_its_row_is_gone() -> None:
    leaf = Leaf(MemoryWorld())
    leaf.wanted_and_surveyed({M: A})
    leaf.kernel.crash_after = 1  # the bridge half goes, the VXLAN half does not

    with pytest.raises(Crashed):
        leaf.wanted_and_surveyed({})

    assert leaf.owns()


def test_a_drifted_row_is_claimed_as_it_is_before_it_is_repaired() -> None:
    """So that a death in between leaves a row that the next life can tell as ours."""
    world = MemoryWorld()
    leaf = Leaf(world)
    leaf.wanted_and_surveyed({M: A})
    leaf.meanwhile(add(M, B))
    leaf.kernel.crash_after = 0
    with pytest.raises(Crashed):
        leaf.survey()

    later = Leaf(world, leaf.ledger)
    report = later.wanted_and_surveyed({M: A})

    assert (report.replaced, report.contested, later.rows()) == (1, 0, written("m", A))


def test_a_drifted_row_that_is_repaired_is_claimed_as_it_is_wanted() -> None:
    leaf = Leaf(MemoryWorld())
    leaf.wanted_and_surveyed({M: A})
    leaf.meanwhile(add(M, B))

    leaf.survey()

    claim = leaf.ledger.claims("fdb")[VNI, M]
    assert (claim.row, claim.confirmed) == (row_of(A), True)


def test_plain_rows_are_claimed_with_the_rank_of_each() -> None:
    leaf = Leaf(MemoryWorld())
    leaf.survey()

    leaf.want({M: (A, 5), N: (A, 7), L: (B, 5)})
    leaf.pass_()

    claims = leaf.ledger.claims("fdb")
    assert {mac: claims[VNI, mac].rank for mac in (M, N, L)} == {M: 5, N: 7, L: 5}


# What an earlier life left, before the picture is complete


def earlier_claims(row, before=None) -> Claims:
    claims = Claims()
    if before is not None:
        claims.claim("fdb", [RowGroup([(VNI, M)], before, 5)])
    claims.claim("fdb", [RowGroup([(VNI, M)], row, 5)])
    return claims


def row_of(vtep):
    return KINDS[0].unpack(bytes(19) + vtep)[1]


def test_half_a_row_of_an_earlier_daemon_is_written_because_nothing_is_lost_by_it() -> None:
    leaf = Leaf(MemoryWorld(), earlier_claims(row_of(A)))
    leaf.meanwhile(add(M, A), delete(M, 0x02))

    leaf.wanted_and_surveyed({M: (B, 0)}, complete=False)

    assert leaf.rows() == written("m", B)


def test_a_change_that_an_earlier_daemon_had_decided_on_is_carried_out() -> None:
    leaf = Leaf(MemoryWorld(), earlier_claims(row_of(B), before=row_of(A)))
    leaf.meanwhile(add(M, A))

    leaf.wanted_and_surveyed({M: (B, 5)}, complete=False)

    assert leaf.rows() == written("m", B)


def test_a_replacement_refused_once_is_not_held_afterwards() -> None:
    leaf = Leaf(MemoryWorld(), earlier_claims(row_of(A)))
    leaf.meanwhile(add(M, A))
    refuse(leaf, errno.EBUSY)
    leaf.wanted_and_surveyed({M: (B, 6)}, complete=False)
    refuse(leaf, 0)
    leaf.now += 10

    leaf.survey()

    assert leaf.rows() == written("m", B)


# Reports and scopes


def test_a_report_counts_what_was_done_and_what_was_not(leaf: Leaf) -> None:
    leaf.meanwhile(operator_tunnel(N, B), add(Mac.parse("02:00:00:00:00:77"), B))
    leaf.want({M: A, N: A, L: A})
    refuse(leaf, errno.EBUSY, L)

    report = leaf.survey()

    assert (report.generation, report.number) == (1, 2)
    assert (report.created, report.replaced, report.deleted, report.shed, report.applied) == (1, 0, 0, 0, 1)
    assert (report.failed, report.contested, report.suppressed, report.pending, report.held) == (1, 1, 0, 0, 0)
    assert (report.orphans, report.adopted, report.kept, report.repaired) == (1, 0, 0, 0)
    memory = leaf.world.memory
    assert (memory.writes - 2, memory.replaces, memory.deletes) == (1, 0, 0)


def test_a_pass_that_did_nothing_has_a_report_as_well(leaf: Leaf) -> None:
    assert (leaf.pass_().number, leaf.pass_().number) == (2, 3)


def test_troubles_of_rows_that_are_gone_are_forgotten(leaf: Leaf) -> None:
    leaf.meanwhile(operator_tunnel(M, B))
    leaf.want({M: A})
    leaf.pass_()
    leaf.want({})

    assert (leaf.pass_().contested, dict(leaf.engine.troubles)) == (0, {})


@pytest.mark.parametrize("look", ["audit", "survey"])
def test_the_trouble_of_a_row_that_vanished_without_an_event_is_forgotten(leaf: Leaf, look: str) -> None:
    leaf.meanwhile(operator_tunnel(M, B))
    leaf.want({M: A})
    leaf.pass_()
    leaf.meanwhile(delete(M, 0x02))
    leaf.kernel.drain()
    leaf.want({})
    leaf.forget_touched()

    assert getattr(leaf, look)().contested == 0


def test_after_a_dump_that_failed_the_next_pass_is_a_survey(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.kernel.blind = True
    with pytest.raises(KernelError):
        leaf.survey()
    leaf.kernel.blind = False
    leaf.kernel.drain()

    leaf.meanwhile(operator_tunnel(M, B))
    leaf.kernel.drain()
    report = leaf.pass_()  # looks at everything, since the last look failed

    assert (leaf.kernel.dumps, report.contested) == (2, 1)


def test_a_domain_that_changed_is_surveyed_even_in_an_audit_row_by_row(leaf: Leaf) -> None:
    memory = leaf.world.memory
    leaf.want({N: A})
    leaf.pass_()
    memory.delete_link("vx0")
    memory.add_vxlan("vx0", 100, LOCAL, "br0", MACS["vx0"])
    leaf.meanwhile(operator_tunnel(M, B))
    leaf.kernel.drain()

    leaf.audit()
    leaf.want({N: A, M: A})
    leaf.kernel.sent.clear()
    leaf.pass_()

    assert (leaf.rows(N), leaf.trouble()) == (written("n", A), "contested foreign")
    assert leaf.kernel.sent == []


def test_a_large_pass_is_cut_into_pieces_and_yields_its_long_calls() -> None:
    world = MemoryWorld()
    leaf = Leaf(world)
    leaf.want({Mac(b"\x02\0\0\1" + number.to_bytes(2)): A for number in range(3000)})
    engine: Engine = leaf.engine

    pieces = []
    report = run_to_end(noting(engine.run(leaf.intent, 0.0, Scope(survey=True)), pieces))

    assert report.created == 3000
    assert sum(piece is not None for piece in pieces) == 1 + len(KINDS)  # the dump, and reading it by kind
    assert len(pieces) > 3000 / 256 + 3000 / 64
    assert run_to_end(engine.run(leaf.intent, 0.0)).applied == 0


def noting(steps, pieces: list):
    answer = None
    while True:
        try:
            call = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        pieces.append(call)
        answer = yield call


class Noted(str):  # noqa: SLOT000 - else there is no weak reference to it
    """A reason of which a weak reference tells whether anybody holds its row, or a table with it."""


def test_a_sweep_keeps_no_old_table_in_memory(leaf: Leaf) -> None:
    leaf.wanted_and_surveyed({M: A} | {Mac(b"\x02\0\0\0\2" + number.to_bytes()): A for number in range(2 * SWEPT_MAX)})
    reason = Noted("the row as it was when the sweep began")
    is_held = weakref.ref(reason)
    row = structs.replace(leaf.intent.macs[VNI, M], reason=reason)
    other = structs.replace(row, reason="other")
    leaf.intent = structs.replace(leaf.intent, macs=leaf.intent.macs.changed({(VNI, M): row}))

    sweep = leaf.engine.run(leaf.intent, 0.0, Scope(audit=True))
    next(sweep)
    leaf.intent = structs.replace(leaf.intent, macs=leaf.intent.macs.changed({(VNI, M): other}))
    del reason, row
    assert is_held()

    run_to_end(leaf.engine.run(leaf.intent, 0.0, Scope()))
    assert not is_held()
    run_to_end(sweep)


def test_a_sweep_keeps_no_old_table_in_memory_while_it_walks_through_one(leaf: Leaf) -> None:
    leaf.wanted_and_surveyed({Mac(b"\2\0\0\0" + number.to_bytes(2)): A for number in range(ROWS_MAX + 1)})
    others = [(key, structs.replace(row, reason="other")) for key, row in leaf.intent.macs.unordered()]

    for _ in leaf.engine.run(leaf.intent, 0.0, Scope(audit=True)):
        is_held = weakref.ref(leaf.intent.macs)
        leaf.intent = structs.replace(leaf.intent, macs=leaf.intent.macs.changed(dict([others.pop()])))
        run_to_end(leaf.engine.run(leaf.intent, 0.0, Scope()))
        assert not is_held()


# Rows that cannot be looked up


FAR = (VNI, A, VNI)


@pytest.fixture
def flooding(leaf: Leaf) -> Leaf:
    leaf.flood(A)
    leaf.pass_()
    assert leaf.floods() == [A]
    return leaf


def test_a_refused_row_that_cannot_be_looked_up_is_tried_when_it_is_due(leaf: Leaf) -> None:
    refuse(leaf, errno.EBUSY)
    leaf.flood(A)
    leaf.pass_()
    refuse(leaf, 0)
    leaf.now += 10

    report = leaf.pass_()

    assert (leaf.floods(), report.created, report.converged) == ([A], 1, True)
    assert leaf.engine.backlog.next_due is None


def test_a_refused_removal_of_such_a_row_is_tried_when_it_is_due(flooding: Leaf) -> None:
    refuse(flooding, errno.EBUSY)
    flooding.flood()
    flooding.pass_()
    refuse(flooding, 0)
    flooding.now += 10

    report = flooding.pass_()

    assert (flooding.floods(), report.deleted) == ([], 1)
    assert FAR not in flooding.ledger.claims("flood")


def test_such_a_row_whose_answer_was_lost_is_removed_when_it_is_no_longer_wanted(leaf: Leaf) -> None:
    leaf.kernel.answers_lost = True
    leaf.flood(A)
    leaf.pass_()
    leaf.kernel.answers_lost = False

    leaf.flood()
    leaf.pass_()

    assert leaf.floods() == []


def test_such_a_row_whose_removal_was_not_answered_is_there_again_when_it_is_wanted_again(flooding: Leaf) -> None:
    flooding.kernel.answers_lost = True
    flooding.flood()
    flooding.pass_()
    flooding.kernel.answers_lost = False

    flooding.flood(A)
    report = flooding.pass_()

    assert (flooding.floods(), report.converged) == ([A], True)


@pytest.mark.parametrize("look", ["pass_", "audit", "survey"])
def test_such_a_row_comes_and_goes_in_a_pass_of_any_scope(leaf: Leaf, look: str) -> None:
    for vteps in ([A, B], [B], []):
        leaf.flood(*vteps)
        assert getattr(leaf, look)().converged
        assert leaf.floods() == vteps


def test_another_programs_flood_row_is_contested_until_it_is_seen_to_be_gone(leaf: Leaf) -> None:
    leaf.meanwhile(add(ZERO_MAC, A, Verb.APPEND, 0x02))
    leaf.survey()
    leaf.flood(A)
    leaf.pass_()
    assert FAR not in leaf.ledger.claims("flood")

    leaf.flood()
    leaf.pass_()
    assert leaf.floods() == [A]

    leaf.flood(A)
    leaf.meanwhile(add(ZERO_MAC, A, Verb.DELETE, 0x02, 0))
    leaf.survey()
    assert (leaf.floods(), FAR in leaf.ledger.claims("flood")) == ([A], True)


def test_a_refused_takeover_of_a_stations_row_is_tried_again(leaf: Leaf) -> None:
    leaf.world.station_sends(M, "h0")
    leaf.want({N: A})
    leaf.pass_()
    refuse(leaf, errno.EBUSY)
    leaf.want({N: A, M: A})
    leaf.pass_()
    refuse(leaf, 0)
    leaf.now += 10

    leaf.pass_()

    assert leaf.rows() == written("m", A)


def test_alike_messages_stand_together_and_those_of_one_change_keep_their_order() -> None:
    spellings = {"mn": (["m1", "n1"], ["m2", "n2"]), "o": (["o1"],), "p": (["p1"], ["p2"], ["p3"]), "q": ()}
    kind = SimpleNamespace(spell=lambda change, _: spellings["".join(change.keys)])
    changes = [Change("delete", tuple(keys), None) for keys in spellings]

    messages, owner = spelled_in_turns(kind, changes, Attachments({}, {}))

    assert messages == ["m1", "n1", "o1", "p1", "m2", "n2", "p2", "p3"]
    assert owner == [0, 1, 2, 3, 0, 1, 3, 3]
