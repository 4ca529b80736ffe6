"""A VNI that a reload gives another bridge and VXLAN device: its rows go there, and none of ours stays where they were."""

import msgspec
import pytest

from tests.contract.leaf import LOCAL, VNI, A, B, Leaf, M, N, vni
from tests.contract.worlds import MemoryWorld
from vtep.linux.wire.neighbor import Neighbor, Verb


@pytest.fixture
def leaf() -> Leaf:
    """Two MACs and two flood rows, and devices in another place, of which the VXLAN device is down."""
    leaf = Leaf(MemoryWorld())
    leaf.pass_()
    leaf.want({M: A, N: B})
    leaf.flood(A, B)
    leaf.pass_()
    kernel = leaf.world.raw
    kernel.add_bridge("br9")
    kernel.add_vxlan("vx9", VNI, LOCAL, "br9")
    kernel.set_up("vx9", False)
    leaf.target.reconfigure([msgspec.structs.replace(vni(), bridge="br9", vxlan="vx9")])
    return leaf


def macs_at(leaf: Leaf, bridge: str) -> list[str]:
    """Return the MACs of the rows that lead to a VTEP: one for each MAC, and one for each flood row."""
    kernel = leaf.world.raw
    return sorted(str(row.mac) for row in kernel.rows([kernel.links().by_name[bridge].index]) if row.dst is not None)


FOUR = ["00:00:00:00:00:00", "00:00:00:00:00:00", str(M), str(N)]


def test_the_rows_stay_until_the_new_place_is_ready_and_then_leave_the_old_one(leaf: Leaf) -> None:
    leaf.survey()
    assert (macs_at(leaf, "br0"), macs_at(leaf, "br9")) == (FOUR, [])

    leaf.world.raw.set_up("vx9", True)
    leaf.target.attachments()  # as `vtep diff` looks, which removes nothing
    leaf.engine.suspect_attachments()
    leaf.survey()
    assert (macs_at(leaf, "br0"), macs_at(leaf, "br9")) == ([], FOUR)
    assert not leaf.engine.troubles
    assert leaf.survey().applied == 0


def test_a_row_that_another_program_wrote_in_the_old_place_stays(leaf: Leaf) -> None:
    kernel = leaf.world.raw
    other = Neighbor(Verb.REPLACE, kernel.links().by_name["vx0"].index, M, 0x16, 0x02, B)
    assert kernel.send([other]) == []

    kernel.set_up("vx9", True)
    leaf.survey()
    assert macs_at(leaf, "br0") == [str(M)]


def test_the_old_devices_may_be_gone_by_then(leaf: Leaf) -> None:
    kernel = leaf.world.raw
    for name in ("vx0", "br0"):
        kernel.delete_link(name)
    kernel.set_up("vx9", True)
    leaf.engine.suspect_attachments()
    leaf.survey()
    assert (macs_at(leaf, "br9"), leaf.engine.troubles) == (FOUR, {})


def test_a_vni_that_comes_back_before_the_new_place_was_ready_keeps_its_rows(leaf: Leaf) -> None:
    leaf.target.reconfigure([vni()])
    leaf.kernel.sent.clear()
    leaf.survey()
    assert (macs_at(leaf, "br0"), leaf.kernel.sent) == (FOUR, [])
