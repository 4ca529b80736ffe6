"""With ten times the VNIs, a list of them costs ten times as much, and a change in one of them costs the same."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.steps import Steps
from tests.lab.wire import Instance

A, B = "10.0.0.1", "10.0.0.2"
FEW, MANY = 40, 400


@contextmanager
def leaf_with(vnis: int) -> Iterator[MemoryLeaf]:
    """A leaf with a MAC and a VTEP in each of its VNIs."""
    head = f'[node]\nvtep = "10.0.0.99"\n[feed]\npeers = ["{A}"]\n'
    sections = (
        f'[[vni]]\nvni = {vni}\nbridge = "br{vni}"\nvxlan = "vx{vni}"\nimport_rt = ["65000:{vni}"]\n'
        for vni in range(1, vnis + 1)
    )
    with MemoryLeaf(head + "".join(sections)) as leaf:
        leaf.step()
        leaf.come_up(A)
        for vni in range(1, vnis + 1):
            one = instance(A, vni)
            leaf.leaf.receive(leaf.reader.read([leaf.lines.announce(A, one.flood(), one.mac(mac(vni)))]), leaf.now)
        leaf.judge()
        leaf.step()
        yield leaf


def instance(vtep: str, vni: int) -> Instance:
    return Instance(vtep, vni, targets=(f"65000:{vni}",))


def mac(vni: int) -> str:
    return f"02:00:00:00:{vni >> 8:02x}:{vni & 255:02x}"


def lines_of(leaf: MemoryLeaf, work: Callable[[MemoryLeaf], object]) -> int:
    work(leaf)  # what is made once and kept is made now
    with Steps() as steps:
        work(leaf)
    return steps.taken


def listed(leaf: MemoryLeaf) -> object:
    return leaf.observer.vnis()


def counted(leaf: MemoryLeaf) -> object:
    return leaf.observer.status()


def moved(leaf: MemoryLeaf) -> object:
    """Move the MAC of one VNI to another VTEP; a second time it stays there, and its route says more."""
    seq = leaf.leaf.intent.generation
    return leaf.receive(leaf.lines.announce(A, instance(B, 7).mac(mac(7), seq=seq)))


@pytest.mark.parametrize(("work", "most"), [(listed, 11.0), (counted, 6.0), (moved, 1.05)])
def test_work_grows_no_more_than_the_number_of_vnis_that_it_is_about(work, most) -> None:
    with leaf_with(FEW) as few, leaf_with(MANY) as many:
        ratio = lines_of(many, work) / lines_of(few, work)

    assert ratio <= most


def test_a_list_of_vnis_counts_the_rows_of_each() -> None:
    with leaf_with(FEW) as leaf:
        found = leaf.observer.vnis()
        kinds = leaf.observer.status().kinds

    assert {(vni.macs.wanted, vni.macs.installed, vni.vteps) for vni in found} == {(1, 1, 1)}
    assert (kinds["mac"].wanted, kinds["mac"].installed) == (FEW, FEW)
