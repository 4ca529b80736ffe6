"""A VNI of a shared VXLAN device that becomes ready is looked at by its keys, and the device is not dumped."""

import subprocess

import pytest

from tests.contract.leaf import A, B, Leaf, M, N, written
from tests.contract.test_floods import (
    IP1,
    IP2,
    PERMANENT,
    answer,
    by_hand,
    flood_rows,
    host,
    neighbors,
    ours,
    suppress,
    write,
)
from tests.contract.test_floods import troubles as all_troubles
from tests.contract.test_rows import delete, operator_tunnel, pin
from tests.contract.worlds import VLAN, VNI, WORLDS
from vtep.addr import Mac
from vtep.errors import KernelError
from vtep.reconcile import engine
from vtep.reconcile.engine import Scope
from vtep.reconcile.steps import run_to_end


@pytest.fixture(params=["memory", pytest.param("namespace", marks=pytest.mark.root_netns)])
def leaf(request):
    if request.param == "namespace" and (refused := request.getfixturevalue("vlans_refused")):
        pytest.skip(refused)
    with WORLDS[request.param](way="shared") as world:
        world.settle()
        leaf = Leaf(world)
        leaf.pass_()
        yield leaf


def leave(leaf: Leaf) -> None:
    """Have the VNI not ready, as of the next pass, while the device stays as it is for others."""
    if hasattr(leaf.world, "memory"):
        leaf.world.memory.delete_vlan("vx0", VLAN)
    else:
        _bridge(f"vlan del dev vx0 vid {VLAN}")
    leaf.pass_()
    assert not leaf.engine.is_ready(VNI)


def come_back(leaf: Leaf) -> int:
    """Have the VNI ready again; return how many dumps that took."""
    before = leaf.kernel.dumps
    join(leaf)
    leaf.pass_()
    assert leaf.engine.is_ready(VNI)
    return leaf.kernel.dumps - before


def join(leaf: Leaf) -> None:
    if hasattr(leaf.world, "memory"):
        leaf.world.memory.set_vlan("vx0", VLAN, vni=VNI)
    else:
        _bridge(f"vlan add dev vx0 vid {VLAN}", f"vlan add dev vx0 vid {VLAN} tunnel_info id {VNI}")


def _bridge(*commands: str) -> None:
    for command in commands:
        subprocess.run(["bridge", *command.split()], check=True, capture_output=True)


def test_a_vni_that_leaves_and_comes_back_costs_no_dump(leaf: Leaf) -> None:
    leaf.want({M: A, N: A})
    leaf.pass_()
    before = leaf.kernel.dumps

    leave(leaf)
    leaf.want({M: B})
    leaf.pass_()
    assert (leaf.trouble(M), leaf.trouble(N), leaf.kernel.dumps - before) == ("pending not-ready", "", 0)

    assert (come_back(leaf), written("m", B), []) == (0, leaf.rows(M), leaf.rows(N))
    assert (leaf.trouble(M), leaf.owns(N)) == ("", False)


def test_a_row_that_went_meanwhile_is_written_again(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leave(leaf)
    leaf.meanwhile(delete(M, flags=0x02))

    assert (come_back(leaf), leaf.rows()) == (0, written("m", A))


def test_floods_of_a_vni_that_had_none_are_written_without_a_dump(leaf: Leaf) -> None:
    leave(leaf)
    leaf.flood(A, B)

    assert (come_back(leaf), flood_rows(leaf)) == (0, ours(A, B))


def test_a_flood_row_of_another_program_is_found_by_a_dump_and_stays(leaf: Leaf) -> None:
    leave(leaf)
    leaf.meanwhile(by_hand(A), by_hand(B))
    leaf.flood(B)

    assert come_back(leaf) == 1
    assert all_troubles(leaf) == [("flood", "contested", "foreign")]
    leaf.flood()
    leaf.pass_()
    assert leaf.floods() == [A, B]


def test_a_row_of_another_program_that_was_there_before_is_contested(leaf: Leaf) -> None:
    leave(leaf)
    leaf.want({M: A})
    leaf.meanwhile(operator_tunnel())

    assert (come_back(leaf), leaf.trouble()) == (0, "contested foreign")


def test_a_row_that_is_there_as_wanted_is_adopted(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leave(leaf)
    leaf.ledger.release("fdb", [(100, M)])

    assert (come_back(leaf), leaf.owns(), leaf.rows()) == (0, True, written("m", A))


@pytest.mark.parametrize("bulk", [True, False])
def test_a_row_that_nobody_wanted_then_is_left_alone_when_a_route_comes(leaf: Leaf, bulk: bool) -> None:
    leaf.engine._is_bulk = bulk
    leave(leaf)
    leaf.meanwhile(pin(M))
    before = leaf.rows()
    assert come_back(leaf) == 0
    assert not leaf.engine.known_of("fdb", (100, M)).surveyed

    leaf.kernel.drain()
    leaf.want({M: A, N: A})
    leaf.pass_()

    assert (leaf.trouble(), leaf.rows(), leaf.rows(N)) == ("contested local-static", before, written("n", A))
    leaf.survey()
    assert leaf.engine.known_of("fdb", (100, M)).surveyed


@pytest.mark.parametrize("leaves", [True, False])
def test_a_vni_that_changes_while_an_audit_goes_on_is_right_at_its_end(leaf: Leaf, leaves: bool) -> None:
    macs = [Mac.parse(f"02:00:00:00:01:{number:02x}") for number in range(150)]
    leaf.want(dict.fromkeys(macs, A))
    leaf.pass_()
    if not leaves:
        leave(leaf)
    audit = leaf.engine.run(leaf.intent, leaf.now, Scope(audit=True))
    for _ in range(2):
        assert next(audit) is None

    if leaves:
        leave(leaf)
    else:
        leaf.meanwhile(delete(macs[-1], flags=0x02))
        assert come_back(leaf) == 0
    sent = len(leaf.kernel.sent)
    report = run_to_end(audit)

    assert (len(leaf.kernel.sent), report.pending) == (sent, 150 if leaves else 0)
    if leaves:
        assert come_back(leaf) == 0
    assert sum(row.mac in macs for row in leaf.world.rows()) == 2 * len(macs)


def test_a_neighbor_row_of_another_program_is_contested_and_ours_is_written(leaf: Leaf) -> None:
    suppress(leaf.world)
    leaf.pass_()
    leave(leaf)
    leaf.meanwhile(write(IP1, N, PERMANENT))
    theirs = neighbors(leaf)
    host(leaf, {IP1: M, IP2: M})

    assert come_back(leaf) == 0
    assert neighbors(leaf) == sorted([*theirs, answer(IP2)])
    assert all_troubles(leaf) == [("neighbor", "contested", "foreign")]


def test_more_vnis_than_are_looked_at_by_key_cost_one_dump(leaf: Leaf, monkeypatch) -> None:
    monkeypatch.setattr(engine, "DOMAINS_MAX", 0)
    leave(leaf)

    assert come_back(leaf) == 1


def test_a_kernel_that_cannot_be_read_then_is_surveyed_later(leaf: Leaf) -> None:
    leaf.want({M: A})
    leave(leaf)
    join(leaf)
    links, leaf.kernel.links = leaf.kernel.links, leaf.kernel.kernel.links
    leaf.kernel.blind = True
    with pytest.raises(KernelError):
        leaf.pass_()
    leaf.kernel.blind, leaf.kernel.links = False, links

    assert not leaf.engine.surveyed
    leaf.pass_()
    assert leaf.rows() == written("m", A)
