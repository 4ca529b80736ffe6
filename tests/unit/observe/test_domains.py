"""What readers say of a row goes by the domain that the row needs, whatever its kind."""

import pytest
from msgspec.structs import replace

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Vni
from vtep.observe.source import MacQuery

A, MAC, HOST = "10.0.0.1", "02:00:00:00:00:01", "172.16.0.1"


@pytest.fixture
def rig():
    with MemoryLeaf() as rig:
        port = rig.kernel.links().by_name["vxlan100"].bridge_port
        rig.kernel.change("vxlan100", bridge_port=replace(port, neigh_suppress=True))
        rig.survey()
        rig.come_up(A)
        rig.receive(rig.lines.announce(A, Instance(A).mac(MAC, HOST)))
        yield rig


def states(rig):
    [mac], [neighbor] = rig.macs().values(), rig.observer.neighbors(MacQuery(), None, 10).rows
    return (mac.sync.state, mac.sync.reason), (neighbor.sync.state, neighbor.sync.reason)


def differences(rig):
    return {row.kind: (row.difference, row.reason) for row in rig.wait_for(rig.observer.diff(None)).differences}


def test_a_bridge_that_goes_down_takes_the_macs_and_the_neighbors_with_it(rig):
    assert states(rig) == (("installed", ""), ("installed", ""))

    rig.kernel.set_up("br100", False)
    rig.survey()

    assert states(rig) == (("pending", "not-ready"), ("pending", "not-ready"))
    assert differences(rig) == {"mac": ("missing", "not-ready"), "neighbor": ("missing", "not-ready")}
    assert rig.observer.status().dataplane.not_ready == {Vni(100): ("bridge-down",)}


def test_both_are_installed_again_when_the_bridge_comes_up(rig):
    rig.kernel.set_up("br100", False)
    rig.survey()
    rig.kernel.set_up("br100", True)
    rig.survey()

    assert states(rig) == (("installed", ""), ("installed", ""))
    assert differences(rig) == {}
