"""A look at everything lets small changes in: passes within a sweep, on the kernel in memory, one piece at a time."""

from collections.abc import Callable

import pytest

from tests.contract.leaf import VNI, A, B, L, Leaf, M, N, written
from tests.contract.test_rows import add, delete, operator_tunnel
from tests.contract.worlds import LOCAL, MACS, MemoryWorld
from vtep.addr import Mac
from vtep.linux.tables.all import KINDS
from vtep.linux.wire.neighbor import Verb
from vtep.reconcile.engine import ROWS_MAX, SWEPT_MAX, Scope
from vtep.reconcile.report import Report

MANY = [Mac(b"\x02\0\0\1" + number.to_bytes(2)) for number in range(40 * SWEPT_MAX)]
BOTH = pytest.mark.parametrize("scope", [Scope(audit=True), Scope(survey=True)], ids=["audit", "survey"])
DUMP = 1
"""A survey's first piece."""


@pytest.fixture
def leaf() -> Leaf:
    leaf = Leaf(MemoryWorld())
    leaf.pass_()
    leaf.want(dict.fromkeys(MANY, A) | {M: A})
    leaf.pass_()
    leaf.kernel.sent.clear()
    return leaf


def swept(
    leaf: Leaf,
    scope: Scope,
    meanwhile: dict[int, Callable[[], object]],
    later: dict | None = None,
    least: int | None = None,
) -> Report:
    """Sweep, and let something happen after so many pieces."""
    steps = leaf.engine.run(leaf.intent, leaf.now, Scope(scope.survey, scope.audit, later=later or {}))
    answer, pieces = None, 0
    while True:
        try:
            call = steps.send(answer)
        except StopIteration as stop:
            assert pieces >= (max(meanwhile) if least is None else least)
            return stop.value
        answer = None if call is None else call()
        pieces += 1
        if pieces in meanwhile:
            meanwhile[pieces]()


@BOTH
def test_a_change_during_a_sweep_of_a_large_table_is_written_at_once(leaf: Leaf, scope: Scope) -> None:
    sent_by_then = []

    def change() -> None:
        leaf.want(dict.fromkeys(MANY, A) | {M: (B, 1), N: B})
        leaf.pass_()
        sent_by_then.append(len(leaf.kernel.sent))

    report = swept(leaf, scope, {10: change})

    assert sent_by_then == [2]
    assert len(leaf.kernel.sent) == 2  # the rest of the sweep finds nothing to do, and takes nothing back
    assert (leaf.rows(M), leaf.rows(N)) == (written("m", B), written("n", B))
    assert (report.audited, report.repaired) == (True, 0)


@BOTH
@pytest.mark.parametrize("piece", [1, 2, 3, 10, 40])
def test_a_row_that_goes_during_a_sweep_does_not_come_back(leaf: Leaf, scope: Scope, piece: int) -> None:
    def change() -> None:
        leaf.want(dict.fromkeys(MANY, A))
        leaf.pass_()

    swept(leaf, scope, {piece: change})

    assert [message.verb for message in leaf.kernel.sent] == [Verb.DELETE] * 2
    assert (leaf.rows(), leaf.owns()) == ([], False)


def test_an_audit_leaves_out_what_a_small_pass_will_look_at_soon(leaf: Leaf) -> None:
    leaf.want(dict.fromkeys(MANY, A) | {M: (B, 1)})
    leaf.forget_touched()

    swept(leaf, Scope(audit=True), {1: leaf.forget_touched}, later={"fdb": {(VNI, M)}})

    assert leaf.kernel.sent == []


def test_a_survey_leaves_nothing_out_because_small_passes_rely_on_it(leaf: Leaf) -> None:
    delete()(leaf.world)
    leaf.kernel.drain()

    swept(leaf, Scope(survey=True), {}, later={"fdb": {(VNI, M)}}, least=1)

    assert leaf.rows() == written("m", A)


@BOTH
def test_a_sweep_judges_by_the_latest_intent(leaf: Leaf, scope: Scope) -> None:
    """A later intent is applied by a pass; what it touched elsewhere is not undone by the sweep."""

    def change() -> None:
        leaf.want(dict.fromkeys(MANY, (B, 1)) | {M: A})
        leaf.pass_()

    swept(leaf, scope, {3: change})

    assert len(leaf.kernel.sent) == len(MANY)
    assert leaf.survey().applied == 0


def test_while_a_survey_is_under_way_a_small_pass_looks_before_it_writes(leaf: Leaf) -> None:
    """It may be under way because events were lost: a row that no event reported would be taken over."""

    def change() -> None:
        leaf.meanwhile(operator_tunnel(N, B))
        leaf.kernel.drain()
        leaf.want(dict.fromkeys(MANY, A) | {M: A, N: A})
        leaf.pass_()

    swept(leaf, Scope(survey=True), {DUMP: change})

    assert (leaf.trouble(N), leaf.kernel.sent) == ("contested foreign", [])


def test_a_domain_that_changes_during_a_sweep_is_surveyed_at_once_and_the_sweep_ends(leaf: Leaf) -> None:
    looked = []

    def change() -> None:
        memory = leaf.world.memory
        memory.delete_link("vx0")
        memory.add_vxlan("vx0", 100, LOCAL, "br0", MACS["vx0"])
        assert leaf.pass_().audited  # a link event asks for a survey
        looked.append(leaf.kernel.looked)

    swept(leaf, Scope(audit=True), {5: change})

    assert looked == [leaf.kernel.looked]
    assert leaf.rows() == written("m", A)
    assert leaf.survey().applied == 0


@BOTH
def test_what_a_sweep_finds_is_repaired_part_by_part(leaf: Leaf, scope: Scope) -> None:
    for mac in MANY[:: SWEPT_MAX // 2]:
        leaf.meanwhile(add(mac, B))
    leaf.kernel.drain()
    sent = []

    report = swept(leaf, scope, {piece: lambda: sent.append(len(leaf.kernel.sent)) for piece in range(1, 40)})

    assert report.repaired == 80
    assert sorted(sent) == sent
    assert 0 < sent[30] < 80


@BOTH
def test_nothing_is_removed_in_a_sweep_whose_picture_ceases_to_be_complete(leaf: Leaf, scope: Scope) -> None:
    """The rows that must go are handled last; by then a session may be lost."""
    leaf.want(dict.fromkeys(MANY, A) | {L: A})
    leaf.forget_touched()

    def change() -> None:
        leaf.want(dict.fromkeys(MANY, A), complete=False)
        leaf.pass_()

    swept(leaf, scope, {20: change})

    assert (leaf.rows(M), leaf.trouble(M)) == (written("m", A), "held held")


@BOTH
def test_a_sweep_yields_also_where_it_finds_nothing(leaf: Leaf, scope: Scope) -> None:
    """What is wanted and known already is looked through as well, and that of a million in one go takes a second."""
    pieces = []

    swept(leaf, scope, {number: lambda: pieces.append(1) for number in range(1, 500)}, least=0)

    rows = len(MANY) + 1
    dump, looked_through = (1 + len(KINDS), 2) if scope.survey else (0, 1)
    assert len(pieces) >= dump + -(-rows // SWEPT_MAX) + looked_through * -(-rows // ROWS_MAX)
