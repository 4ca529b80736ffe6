"""The list of projectors: their order, their contract, and a table that two of them fill.

The toy projector gives each flood endpoint a row in the MAC table, as a router MAC of a Type-5 route will have one.
"""

import pytest
from msgspec import structs

from tests.lab import wire
from tests.lab.lines import Lines, read_lines
from vtep.addr import Mac, Vni
from vtep.config import file as config
from vtep.intent import Intent, RemoteMac
from vtep.projection import project as projection
from vtep.projection.leaf import Leaf
from vtep.projection.projector import Inputs

A, B = "10.0.0.1", "10.0.0.2"
STATION, ROUTER = Mac.parse("02:00:00:00:00:01"), Mac.parse("02:00:00:00:0a:01")
VNI = Vni(100)
LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
import_rt = ["65000:100"]
"""


def project_routers(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Give each endpoint of the VNI a MAC that ends with the last octet of its address."""
    rows: dict[tuple[Vni, Mac], RemoteMac | None] = {}
    for endpoint in inputs.changed.endpoints:
        key = (VNI, Mac(ROUTER[:5] + endpoint[-1:]))
        flood = next(iter(intent.floods.get(endpoint, ())), None)
        row = flood and RemoteMac(VNI, flood.via, "router", 0, True, False, flood.peer, flood.rd)
        if row != intent.macs.get(key):
            rows[key] = row
    if not rows:
        return intent, False
    return structs.replace(intent, macs=intent.macs.changed(rows), touched=(*intent.touched, *rows)), True


@pytest.fixture
def leaf(monkeypatch: pytest.MonkeyPatch) -> Leaf:
    monkeypatch.setattr(projection, "PROJECTORS", (*projection.PROJECTORS, project_routers))
    return Leaf(config.parse(LEAF), 0.0)


def hear(leaf: Leaf, *lines: bytes) -> Intent:
    leaf.receive(read_lines(lines), 0.0)
    return leaf.judge(0.0)


def test_a_projector_sees_the_tables_of_those_before_it_and_its_changes_count(leaf: Leaf) -> None:
    lines, flood = Lines(), wire.Instance(A).flood()

    there = hear(leaf, lines.announce(A, flood))
    gone = hear(leaf, lines.withdraw(A, flood.nlri))

    assert [str(row.via.vtep) for row in there.macs.values()] == [A]
    assert (there.touched, gone.touched, len(gone.macs)) == (((VNI, ROUTER),), ((VNI, ROUTER),), 0)
    assert gone.generation == there.generation + 1


def test_two_projectors_fill_one_table_and_leave_each_others_rows_alone(leaf: Leaf) -> None:
    lines, instance = Lines(), wire.Instance(A)
    mac = instance.mac(str(STATION))

    both = hear(leaf, lines.announce(A, instance.flood()), lines.announce(A, mac))
    router_only = hear(leaf, lines.withdraw(A, mac.nlri))
    moved = hear(leaf, lines.announce(B, wire.Instance(B).mac(str(STATION))))

    assert [list(intent.macs) for intent in (both, router_only, moved)] == [
        [(VNI, STATION), (VNI, ROUTER)], [(VNI, ROUTER)], [(VNI, STATION), (VNI, ROUTER)],
    ]  # fmt: skip
    assert router_only.touched == moved.touched == ((VNI, STATION),)


def test_every_projector_of_the_list_is_pure() -> None:
    leaf = Leaf(config.parse(LEAF), 0.0)
    before = hear(leaf, Lines().announce(A, wire.Instance(A).mac(str(STATION), "172.16.0.1")))

    for projector in projection.PROJECTORS:
        inputs = Inputs(leaf.rib, leaf._policy, leaf.rib.index.everything(), 0.0)
        once, again = projector(before, inputs), projector(before, inputs)
        assert once[1] is again[1] is False
        assert dict(once[0].macs.unordered()) == dict(again[0].macs.unordered()) == dict(before.macs.unordered())
