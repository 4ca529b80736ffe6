"""What FRR's own topotest `bgp_evpn_mh` asserts, with our leaf as one of two ES peers, and FRR as the other one.

Each test has the name of the topotest's that it makes the assertions of. What that asks FRR's torm11 and torm12 by `vtysh` is asked here
of FRR and, by `vtep`, of our leaf; torm21, on the other rack, is a third leaf of ours. FRR has Type-1 routes only for a bond with VLANs.
"""

from collections.abc import Iterator

import pytest

from tests.lab.fixtures import skipped_if_missing
from tests.lab.namespaces import Lab, logs
from tests.lab.segment_peers import THEIRS, Beside, by_preference, wait_for
from tests.lab.segments import CE_MAC, ESI
from tests.lab.topology import address
from tests.lab.wait import wait_until

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

OURS = address(1)
AT_FRR = "02:ce:00:00:00:02"
"""A MAC of the machine that speaks at its link to FRR only; its other MAC speaks at ours."""


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest) -> Iterator[Beside]:
    with Lab() as lab, skipped_if_missing():
        tree = request.config.getoption("frr_rootfs")
        network = Beside(lab, "frr", election=by_preference(40000), bonds=True, tree=tree)
        network.frr.start()
        network.ours.start()
        network.remote.start()
        wait_for(network, OURS)
        yield network
        for name, text in logs(lab):
            print(f"---- {name}\n{text}")


def wait_group(network: Beside, *vteps: str) -> None:
    """Wait until the leaf on the other rack sends to these VTEPs of the segment."""
    wait_until(lambda: network.group() == list(vteps), 20, f"a group of {vteps}")


def converge(network: Beside) -> None:
    """Have the machine be heard by each leaf, and all routes of the segment be where they belong."""
    network.speak("c1")
    network.speak("c2", AT_FRR)
    wait_group(network, OURS, THEIRS)


def test_evpn_es(network: Beside) -> None:
    """Each leaf has the other as an ES peer by Types 4 and 1, in the VNI too; the other rack has both."""
    converge(network)
    wait_until(lambda: network.frr.peers() == {OURS: {"esr", "active"}}, 20, "our leaf as FRR's ES peer")
    assert network.frr.vni_peers() == {OURS: {"ead-per-es", "ead-per-evi"}}
    assert network.ours.segment()["vteps"] == [THEIRS]
    assert {"up", "advertiseEVI"} <= set(network.frr.segment()["flags"])
    assert network.frr.segment()["inconsistentVniVtepCount"] == 0


def test_evpn_ead_update(network: Beside) -> None:
    """A link of either leaf goes down and comes back: the routes of the segment follow at the ES peer and on the other rack."""
    converge(network)
    network.machine.ip("link set dev c1 down")
    wait_until(lambda: network.frr.peers() == {}, 20, "our leaf is no ES peer of FRR")
    wait_group(network, THEIRS)
    network.machine.ip("link set dev c1 up")
    wait_until(lambda: network.frr.peers() == {OURS: {"esr", "active"}}, 20, "our leaf is back at FRR")
    converge(network)

    network.machine.ip("link set dev c2 down")
    wait_until(lambda: network.ours.segment()["vteps"] == [], 20, "FRR is no ES peer of our leaf")
    wait_group(network, OURS)
    network.machine.ip("link set dev c2 up")
    wait_until(lambda: network.ours.segment()["vteps"] == [THEIRS], 20, "FRR is back at our leaf")
    converge(network)
    wait_for(network, OURS)


def test_evpn_mac(network: Beside) -> None:
    """A MAC that one ES peer hears is local at the other one as well, at the port of the segment; the other rack has it by ESI."""
    converge(network)

    def synced() -> bool:
        found = network.frr.mac(CE_MAC)
        return (found["type"], found["intf"], found["esi"], found["peerActive"]) == ("local", "es0", ESI, True)

    wait_until(synced, 20, "our MAC synced to FRR")
    wait_until(lambda: (THEIRS, ESI) in network.ours.routes(AT_FRR), 20, "FRR's MAC at our leaf")
    wait_until(lambda: AT_FRR in network.ours.macs_at_the_port(), 20, "FRR's MAC synced to our leaf")
    explained = " ".join(network.ours.leaf.vtep.ask("explain", AT_FRR).stdout.split())
    assert f"Ethernet segment {ESI} is here, on port es0 (forwarding), and behind {THEIRS}" in explained
    for mac in (CE_MAC, AT_FRR):
        told = network.remote.vtep.told("explain", mac)["explanations"]
        assert [one["desired"]["esi"] for one in told if one.get("desired")] == [ESI]


def test_evpn_df(network: Beside) -> None:
    """The forwarder follows FRR's own preference, at both leaves."""
    converge(network)
    wait_for(network, OURS)
    network.frr.prefer(60000)
    wait_for(network, THEIRS)
    network.frr.prefer(32767)
    wait_for(network, OURS)


def test_evpn_uplink_tracking(network: Beside) -> None:
    """Without uplinks FRR puts its ports protodown, and our leaf withdraws the segment, which FRR then has alone."""
    converge(network)
    network.underlay.ip("link set dev up-theirs down")
    wait_until(lambda: network.frr.protodown() == ["uplinkDown"], 20, "FRR's ports are protodown")
    network.underlay.ip("link set dev up-theirs up")
    wait_until(lambda: network.frr.protodown() == [], 20, "FRR's ports are not protodown")

    network.underlay.ip("link set dev up-ours down")
    wait_until(lambda: network.ours.segment()["reason"] == "uplinks-down", 20, "the reason")
    wait_until(lambda: network.frr.peers() == {} and network.frr.is_forwarder(), 20, "FRR is alone")
    wait_group(network, THEIRS)
    network.underlay.ip("link set dev up-ours up")
    wait_for(network, OURS)
    assert network.frr.peers() == {OURS: {"esr", "active"}}
