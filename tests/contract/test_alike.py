"""An audit compares many rows at once: a row that is not exactly as it was written must never pass."""

import pytest

from tests.contract.grouped import grouped_leaf, per_evi, per_segment, type2
from tests.contract.leaf import A, B, Leaf, vni
from tests.contract.test_rows import (
    EXT,
    MASTER,
    NOARP,
    PERMANENT,
    REPLACE,
    SELF,
    M,
    N,
    add,
    delete,
    frame,
    operator,
    operator_tunnel,
)
from vtep.addr import ZERO_MAC, Ip, Mac
from vtep.config.model import VniConfig
from vtep.linux.tables.fdb import FDB, FdbRow
from vtep.linux.target import KernelTarget
from vtep.linux.wire.neighbor import Alike, Entry, Half, Lookup

EVERY_WAY = True
MANY = [Mac(b"\2\0\0\1" + place.to_bytes(2)) for place in range(200)]


def differing(world, macs, vtep: Ip = A, config: VniConfig | None = None) -> set[Mac]:
    """Return the MACs whose row is not this one, as an audit compares them."""
    target = KernelTarget(world.raw, [world.attach(config or vni())])
    checks = FDB.checks([(100, mac) for mac in macs], FdbRow(vtep), target.attachments())
    return {macs[index] for check in checks for index in target.unlike(check)}


OTHERWISE = {
    "nothing is there": [delete()],
    "the bridge half is gone": [delete(flags=MASTER)],
    "the VXLAN half is gone": [delete(flags=SELF)],
    "it points elsewhere": [add(dst=B, verb=REPLACE)],
    "it has a VNI of its own": [add(vni=200, verb=REPLACE)],
    "a station took the bridge half": [frame("h0")],
    "an operator took the VXLAN half": [operator_tunnel(dst=A, verb=REPLACE)],
    "another daemon wrote it with its own state": [delete(), add(state=PERMANENT)],
    "an operator's row is there, taken over": [delete(), operator(), add()],
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_row_does_not_pass_when(name: str, any_world) -> None:
    with any_world() as world:
        for step in (add(), add(N), *OTHERWISE[name]):
            step(world)

        assert {M} == differing(world, [M, N])


@pytest.mark.parametrize(("local", "vtep"), [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
def test_rows_as_written_pass_however_many_there_are(local: str, vtep: str, any_world) -> None:
    """Otherwise audits are right and slow, which nothing else would show."""
    with any_world(local=Ip.parse(local)) as world:
        for mac in MANY:
            add(mac, Ip.parse(vtep))(world)

        assert set() == differing(world, MANY, Ip.parse(vtep), vni(vtep=Ip.parse(local)))


def test_rows_of_which_the_answers_were_lost_do_not_pass(real_world) -> None:
    with real_world(request_buffer=4096) as world:
        for mac in MANY:
            add(mac)(world)

        assert len(differing(world, MANY)) > len(MANY) // 2
        lookup = Lookup(world.index("vx0"), MANY[0], Half.VXLAN)
        assert [MANY[0]] == [row.mac for row in world.kernel.get_many([lookup])]


def test_an_entry_in_no_known_layout_never_passes(real_world) -> None:
    with real_world() as world:
        add(vni=200)(world)
        entry = Entry(world.index("vx0"), None, ZERO_MAC, SELF | EXT, PERMANENT | NOARP, A, vni=200)

        assert world.kernel.unlike(Alike(entry, [M])) == [0]


def test_an_audit_looks_again_at_what_differs_and_at_nothing_else(any_world) -> None:
    with any_world() as world:
        leaf = Leaf(world)
        leaf.want(dict.fromkeys(MANY, A))
        leaf.survey()
        looked, reports = [], []
        for missing in ([], [MANY[7]]):
            for mac in missing:
                delete(mac, SELF)(world)
            leaf.kernel.looked = 0
            reports.append(leaf.audit())
            looked.append(leaf.kernel.looked)

        assert [(len(MANY), 0), (len(MANY) - 1, 1)] == [(report.kept, report.repaired) for report in reports]
        assert 2 * len(MANY) <= looked[0] == looked[1] - 2
        assert set() == differing(world, MANY)


def test_rows_by_a_group_pass_in_an_audit_and_differ_when_it_is_gone():
    """Otherwise the rows of a large segment are read one by one in each audit."""
    with grouped_leaf("namespace") as leaf:
        leaf.advertise(*(route for vtep in ("10.0.0.2", "10.0.0.3") for route in (per_segment(vtep), per_evi(vtep))))
        leaf.advertise(*(type2("10.0.0.2", mac=mac) for mac in MANY))
        leaf.end()
        leaf.pass_()
        [number] = leaf.ledger.claims("fdb-group")
        checks = FDB.checks([(100, mac) for mac in MANY], FdbRow(None, group=number), leaf.target.attachments())
        before = [leaf.target.unlike(check) for check in checks]
        leaf.hands.delete_nexthop(number)
        after = [leaf.target.unlike(check) for check in checks]

    assert before == [[], []]
    assert after == [[], list(range(len(MANY)))]
