"""A VXLAN device that is deleted and made again under its name and index, with another VNI, while a pass writes.

The kernel takes the rest of the pass: it knows devices by their index. The same in memory and on Linux.
"""

import pytest

from tests.contract.leaf import A, B, Leaf
from vtep.addr import ZERO_MAC, Mac
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_SELF, Neighbor, Verb

MANY = [Mac(b"\x02\0\0\0\1" + bytes((number,))) for number in range(200)]
"""Two batches of the bulk path, and four of the other."""
M = MANY[0]


@pytest.fixture
def leaf(any_world):
    with any_world() as world:
        leaf = Leaf(world)
        leaf.pass_()
        yield leaf


def ours(leaf: Leaf) -> list:
    return [row for row in leaf.world.rows() if row.mac in MANY or row.mac == ZERO_MAC]


def claims(leaf: Leaf) -> list:
    return [*leaf.ledger.claims("fdb"), *leaf.ledger.claims("flood")]


def replaced_while_it_writes(leaf: Leaf, scope: str, *, heard: bool, joins: bool = True) -> None:
    """Make a pass, and replace the device after its first write."""
    pieces = leaf.pieces(scope)
    for _ in pieces:
        if leaf.kernel.sent:
            break
    leaf.world.replace_vxlan(200, joins=joins)
    if heard:
        leaf.engine.suspect_attachments()
    for _ in pieces:
        pass


@pytest.mark.parametrize(
    ("scope", "joins"),
    [("pass_", True), ("pass_", False), ("survey", True)],
    ids=["a small pass", "a small pass, a device in no bridge", "a survey"],
)
def test_rows_of_ours_leave_a_device_that_was_replaced_while_a_pass_wrote_and_so_do_their_claims(
    leaf: Leaf, scope: str, joins: bool
) -> None:
    leaf.want(dict.fromkeys(MANY, A))
    leaf.flood(A, B)

    replaced_while_it_writes(leaf, scope, heard=False, joins=joins)
    there = {row.mac for row in ours(leaf)}
    assert len(there) >= 70, "the kernel took the rest of the pass"
    report = leaf.pass_()

    assert report.not_ready == {100: ("wrong-vni",) if joins else ("wrong-vni", "not-enslaved")}
    assert ours(leaf) == []
    assert leaf.trouble(M) == "pending not-ready"
    assert there.isdisjoint(mac for _, mac in leaf.ledger.claims("fdb"))
    assert not leaf.ledger.claims("flood")
    sent = len(leaf.kernel.sent)
    for further in (leaf.pass_, leaf.audit, leaf.survey):
        further()
    assert sent == len(leaf.kernel.sent)


@pytest.mark.parametrize("scope", ["pass_", "survey"])
def test_a_pass_writes_no_further_batch_to_a_device_that_was_replaced(leaf: Leaf, scope: str) -> None:
    leaf.want(dict.fromkeys(MANY, A))

    replaced_while_it_writes(leaf, scope, heard=True)

    assert ours(leaf) == []
    leaf.world.replace_vxlan(100)
    leaf.pass_()
    assert [leaf.rows(mac) for mac in MANY if len(leaf.rows(mac)) != 2] == []
    assert leaf.pass_().converged


def test_rows_of_others_on_a_device_that_was_replaced_stay(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.world.replace_vxlan(200)
    port = leaf.world.index("vx0")
    theirs = [Neighbor(Verb.CREATE, port, mac, NTF_SELF | NTF_EXT_LEARNED, 0xC0, dst=B) for mac in MANY[:2]]
    assert leaf.world.kernel.send(theirs) == []

    leaf.survey()

    assert {row.mac for row in ours(leaf)} == set(MANY[:2])


def test_rows_of_an_earlier_life_on_a_device_that_was_replaced_go_at_the_start(any_world) -> None:
    with any_world() as world:
        earlier = Leaf(world)
        earlier.pass_()
        earlier.want(dict.fromkeys(MANY, A))
        replaced_while_it_writes(earlier, "pass_", heard=False)
        assert ours(earlier) != []

        later = Leaf(world, earlier.ledger)
        later.wanted_and_surveyed({}, complete=False)

        assert ours(later) == []


def test_a_device_that_is_right_again_gets_its_rows(leaf: Leaf) -> None:
    leaf.want(dict.fromkeys(MANY, A))
    replaced_while_it_writes(leaf, "pass_", heard=False)
    leaf.pass_()

    leaf.world.replace_vxlan(100)
    leaf.pass_()

    assert [leaf.rows(mac) for mac in MANY if len(leaf.rows(mac)) != 2] == []
    assert len(claims(leaf)) == len(MANY)
