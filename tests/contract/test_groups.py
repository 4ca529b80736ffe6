"""MACs behind Ethernet segments, on the kernel in memory and on the real one: groups of nexthops, and rows that name them."""

import pytest

from tests.contract.grouped import E1, E2, A, B, C, grouped_leaf, per_evi, per_segment, type2
from vtep.addr import NO_SEGMENT


@pytest.fixture(params=["memory", "namespace"])
def leaf(request):
    with grouped_leaf(request.param) as leaf:
        yield leaf


def up(*vteps, esi=E1):
    """Return both Type-1 routes of VTEPs."""
    return [route for vtep in vteps for route in (per_segment(vtep, esi), per_evi(vtep, esi))]


def all_active(leaf, *vteps):
    """Have a MAC behind these VTEPs; the first one advertises it."""
    leaf.advertise(*up(*vteps), type2(vteps[0]))
    leaf.end()
    leaf.pass_()


def test_a_mac_on_a_segment_goes_by_a_group_of_all_its_vteps(leaf):
    all_active(leaf, A, B)

    assert (leaf.where(), leaf.groups(), leaf.singles()) == (["group", A, B], [[A, B]], [A, B])
    assert leaf.troubles() == []


def test_a_vtep_that_joins_or_leaves_changes_the_group_and_no_row(leaf):
    all_active(leaf, A, B)

    for change, vteps in ((lambda: leaf.advertise(*up(C)), [A, B, C]), (lambda: leaf.withdraw(per_segment(A)), [B, C])):
        change()
        report = leaf.pass_()
        assert leaf.where() == ["group", *vteps]
        assert leaf.intent.touched == ()
        assert report.replaced == 1
    assert leaf.singles() == [B, C]


def test_the_last_vtep_that_leaves_takes_the_row_the_group_and_the_nexthops_along(leaf):
    all_active(leaf, A, B)

    leaf.withdraw(per_segment(A), per_segment(B))
    leaf.pass_()

    assert (leaf.where(), leaf.groups(), leaf.singles()) == ([], [], [])
    assert len(leaf.ledger.claims("fdb")) == len(leaf.ledger.claims("fdb-group")) == 0


def test_a_mac_leaves_its_segment_and_comes_back(leaf):
    all_active(leaf, A, B)

    leaf.advertise(type2(C, NO_SEGMENT, seq=1))
    leaf.pass_()
    assert (leaf.where(), leaf.groups()) == ([C], [])

    leaf.withdraw(type2(C, NO_SEGMENT, seq=1))
    leaf.pass_()
    assert (leaf.where(), leaf.groups()) == (["group", A, B], [[A, B]])

    leaf.advertise(*up(C, esi=E2), type2(C, E2, seq=2))
    leaf.pass_()
    assert (leaf.where(), leaf.groups()) == (["group", C], [[C]])
    assert leaf.troubles() == []


def test_rows_that_are_as_wanted_are_kept_by_a_survey(leaf):
    all_active(leaf, A, B)

    report = leaf.pass_(survey=True)

    assert (report.created, report.replaced, report.deleted) == (0, 0, 0)
