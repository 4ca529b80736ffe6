"""Flood rows and neighbor rows, ours and everybody else's: the same in memory and on Linux."""

import pytest
from msgspec.structs import replace

from tests.contract.leaf import PEER, RD, VNI, A, B, C, Leaf, M, N
from tests.contract.test_rows import delete, flood
from tests.contract.worlds import World, ip, render, wait_until
from vtep.addr import ZERO_MAC, Ip, Mac
from vtep.intent import Host
from vtep.linux.wire.neighbor import Neighbor, Verb
from vtep.linux.wire.tlv import AF_BRIDGE, AF_INET, AF_INET6
from vtep.reconcile.claims import Claims
from vtep.store.table import Table

EVERY_WAY = True

SELF, EXT, ROUTER = 0x02, 0x10, 0x80
REACHABLE, STALE, NOARP, PERMANENT = 0x02, 0x04, 0x40, 0x80
IP1, IP2, IP6 = (Ip.parse(text) for text in ("172.16.0.1", "172.16.0.2", "2001:db8:1::1"))
NAMES = {M: "m", N: "n", ZERO_MAC: "zero"}


@pytest.fixture
def leaf(any_world):
    with any_world() as world:
        leaf = Leaf(world)
        leaf.pass_()
        yield leaf


def flood_rows(leaf: Leaf) -> list[str]:
    return render([row for row in leaf.world.rows() if row.mac == ZERO_MAC], leaf.world, NAMES)


def ours(*vteps: Ip) -> list[str]:
    return [f"zero vxlan vx0 noarp permanent ext {vtep}" for vtep in vteps]


def by_hand(dst: Ip):
    """`bridge fdb append 00:00:00:00:00:00 dev vx0 dst DST self permanent`; a device's own `remote` looks the same."""
    return flood_as(dst, Verb.APPEND)


def flood_as(dst: Ip, verb: Verb, state: int = PERMANENT, flags: int = SELF):
    return lambda world: world.kernel.send([Neighbor(verb, world.index("vx0"), ZERO_MAC, flags, state, dst)])


def troubles(leaf: Leaf) -> list[tuple[str, str, str]]:
    return sorted((place[0], trouble.state, trouble.reason) for place, trouble in leaf.engine.troubles.items())


# Floods


def test_flood_rows_come_and_go_with_their_vteps(leaf: Leaf) -> None:
    leaf.flood(A, B, C)
    report = leaf.pass_()
    assert (flood_rows(leaf), report.created) == (ours(A, B, C), 3)

    leaf.flood(A, C)
    report = leaf.pass_()

    assert (flood_rows(leaf), report.deleted, report.created) == (ours(A, C), 1, 0)
    sent = len(leaf.kernel.sent)
    report = leaf.survey()
    assert (report.kept, len(leaf.kernel.sent)) == (2, sent)
    leaf.flood()
    leaf.pass_()
    assert (flood_rows(leaf), leaf.ledger.claims("flood")) == ([], {})


def test_a_flood_row_deleted_by_hand_is_written_again(leaf: Leaf) -> None:
    leaf.flood(A, B)
    leaf.pass_()
    leaf.meanwhile(delete(ZERO_MAC, SELF, A))

    report = leaf.survey()

    assert (flood_rows(leaf), report.repaired) == (ours(A, B), 1)


def test_a_flood_row_that_is_there_as_wanted_is_adopted(leaf: Leaf) -> None:
    leaf.meanwhile(flood(A), flood(B))
    leaf.flood(A)

    report = leaf.survey()

    assert (flood_rows(leaf), report.adopted, report.applied, report.orphans) == (ours(A, B), 1, 0, 1)


def test_a_foreign_flood_row_stays_as_it_is_and_ours_come_and_go_beside_it(leaf: Leaf) -> None:
    leaf.meanwhile(by_hand(B))
    theirs = flood_rows(leaf)
    leaf.survey()

    leaf.flood(A, B)
    for look in (leaf.pass_, leaf.survey, leaf.survey):
        look()
        assert leaf.floods() == [A, B]
        assert troubles(leaf) == [("flood", "contested", "foreign")]
    leaf.flood()
    leaf.pass_()
    leaf.survey()

    assert (flood_rows(leaf), troubles(leaf), leaf.ledger.claims("flood")) == (theirs, [], {})


def test_a_hand_that_adds_to_our_list_takes_its_mark_and_not_our_rows(leaf: Leaf) -> None:
    """Any write without EXT_LEARNED takes the mark from the whole list (kernel 6.18)."""
    leaf.flood(A)
    leaf.pass_()
    leaf.meanwhile(by_hand(B))
    assert flood_rows(leaf) == [f"zero vxlan vx0 permanent {vtep}" for vtep in (A, B)]

    leaf.survey()
    assert ((VNI, A, VNI) in leaf.ledger.claims("flood"), troubles(leaf)) == (True, [])
    leaf.flood()
    leaf.survey()

    assert leaf.floods() == [B]


def test_the_devices_own_remote_stays(real_world) -> None:
    with real_world() as world:
        ip(f"link set vx0 type vxlan id 100 remote {B}")
        leaf = Leaf(world)
        assert leaf.floods() == [B]

        leaf.flood(A, B)
        leaf.survey()
        leaf.survey()
        assert (leaf.floods(), troubles(leaf)) == ([A, B], [("flood", "contested", "foreign")])
        leaf.flood()
        leaf.survey()

        assert leaf.floods() == [B]  # under our mark, which the kernel gives it with our first append (6.18)


def test_an_earlier_lifes_flood_rows_go_once_the_picture_is_complete(leaf: Leaf) -> None:
    leaf.flood(A, B)
    leaf.pass_()
    successor = Leaf(leaf.world, leaf.ledger)
    successor.flood(A)

    successor.intent = replace(successor.intent, complete=False)
    successor.survey()
    assert successor.floods() == [A, B]
    successor.intent = replace(successor.intent, complete=True)
    successor.survey()

    assert successor.floods() == [A]


# Neighbors


def suppress(world: World, on: bool = True) -> None:
    if hasattr(world, "memory"):
        port = world.kernel.links().by_name["vx0"].bridge_port
        world.memory.change("vx0", bridge_port=replace(port, neigh_suppress=on))
    else:
        ip(f"link set vx0 type bridge_slave neigh_suppress {'on' if on else 'off'}")


def host(leaf: Leaf, hosts: dict[Ip, Mac], *, router: bool = False) -> None:
    """Take the next intent, in which these addresses have these MACs."""
    rows = Table((ip, (Host(VNI, ip, mac, router, PEER, RD),)) for ip, mac in hosts.items())
    before = {ip for ip, _ in leaf.intent.hosts.unordered()}
    touched = tuple((VNI, ip) for ip in before | set(hosts))
    leaf._take(complete=True, hosts=rows, touched=(), touched_floods=(), touched_hosts=touched)


def neighbors(leaf: Leaf) -> list[str]:
    rows = leaf.world.kernel.neighbors([leaf.world.index("br0")])
    return render([row for row in rows if row.mac in (M, N)], leaf.world, NAMES)


def answer(address: Ip, mac: str = "m") -> str:
    return f"{mac} host {address} br0 noarp ext proto 229"


def write(address: Ip, mac: Mac, state: int, flags: int = 0, protocol: int | None = None):
    family = AF_INET6 if address.is_v6 else AF_INET
    return lambda world: world.kernel.send(
        [Neighbor(Verb.REPLACE, world.index("br0"), mac, flags, state, family=family, ip=address, protocol=protocol)]
    )


@pytest.fixture
def answering(leaf: Leaf) -> Leaf:
    suppress(leaf.world)
    leaf.pass_()
    return leaf


def test_neighbor_rows_come_change_and_go(answering: Leaf) -> None:
    host(answering, {IP1: M, IP6: M})
    assert answering.pass_().created == 2
    assert neighbors(answering) == [answer(IP1), answer(IP6)]

    host(answering, {IP1: N})
    report = answering.pass_()

    assert (report.replaced, report.deleted) == (1, 1)
    assert neighbors(answering) == [answer(IP1, "n")]
    assert answering.survey().applied == 0


def test_neighbor_rows_are_only_where_the_bridge_answers(leaf: Leaf) -> None:
    host(leaf, {IP1: M})
    leaf.pass_()
    assert (neighbors(leaf), troubles(leaf)) == ([], [])

    suppress(leaf.world)
    leaf.survey()

    assert neighbors(leaf) == [answer(IP1)]


def test_rows_of_an_earlier_life_are_known_by_their_tag(answering: Leaf) -> None:
    host(answering, {IP1: M, IP2: M})
    answering.pass_()
    successor = Leaf(answering.world, Claims())
    host(successor, {IP1: M})

    report = successor.survey()

    assert (neighbors(successor), report.deleted) == ([answer(IP1)], 1)


@pytest.mark.parametrize("address", [IP1, IP6], ids=["IPv4", "IPv6"])
def test_what_the_bridge_found_out_by_asking_makes_way(answering: Leaf, address: Ip) -> None:
    answering.meanwhile(write(address, N, STALE))
    host(answering, {address: M})

    answering.survey()

    assert neighbors(answering) == [answer(address)]


def test_an_operators_permanent_row_is_contested_until_it_goes(answering: Leaf) -> None:
    answering.meanwhile(write(IP1, N, PERMANENT))
    theirs = neighbors(answering)
    host(answering, {IP1: M, IP2: M})

    answering.survey()

    assert (neighbors(answering), troubles(answering)) == (
        sorted([*theirs, answer(IP2)]),
        [("neighbor", "contested", "foreign")],
    )
    host(answering, {})
    answering.survey()
    assert neighbors(answering) == theirs


def test_a_bridge_that_was_down_gets_its_neighbor_rows_back(answering: Leaf) -> None:
    host(answering, {IP1: M, IP6: N})
    answering.pass_()

    answering.world.set_up("br0", False)
    answering.pass_()
    assert neighbors(answering) == []
    answering.world.set_up("br0", True)

    def are_back() -> bool:
        answering.pass_()
        return neighbors(answering) == [answer(IP1), answer(IP6, "n")]

    # The carrier of a bridge follows later, and where it is still away the kernel removes the rows once more (seen with 7.2).
    wait_until(are_back, "the rows")


def test_a_router_is_written_as_one(answering: Leaf) -> None:
    host(answering, {IP6: M}, router=True)
    answering.pass_()
    assert _flags(answering) == EXT | ROUTER

    host(answering, {IP6: M})
    answering.pass_()

    assert _flags(answering) == EXT
    assert answering.survey().applied == 0


def _flags(leaf: Leaf) -> int:
    rows = leaf.world.kernel.neighbors([leaf.world.index("br0")])
    (row,) = [row for row in rows if row.ip == IP6 and row.family != AF_BRIDGE]
    return row.flags
