"""Our leaf beside FRR, both with a VLAN-aware bridge: each VLAN is a network of its own, from empty caches, in both directions."""

import itertools

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.probe import Pings
from tests.lab.topology import address
from tests.lab.vlans import TWIN, VLANS, VlanLeaves, add_shared_vxlan, bridge, map_vni, vxlan_of
from tests.lab.wait import wait_until

__all__ = ["lab"]

pytestmark = pytest.mark.root_netns

FLOOD = "00:00:00:00:00:00"


@pytest.fixture(params=["alone", "shared"])
def leaves(request, lab) -> VlanLeaves:
    with skipped_if_missing():
        leaves = VlanLeaves(lab, request.param)
    leaves.start()
    return leaves


def test_a_leaf_moves_to_a_shared_device_and_there_one_vni_changes_without_another(lab) -> None:
    """As docs/install.md says it. The two sorts of devices cannot be up at once with one UDP port."""
    with skipped_if_missing():
        leaves = VlanLeaves(lab, "alone")
    leaves.start()
    (mover, stayer), (far_mover, far_stayer) = leaves.here, leaves.there
    wait_until(lambda: mover.reaches(far_mover) and stayer.reaches(far_stayer), 30, "both VLANs work")
    node = leaves.ours.node

    with Pings(stayer.node, far_stayer.ip) as pings:
        add_shared_vxlan(node, address(1), up=False)
        for vlan, vni in VLANS.items():
            map_vni(node, vlan, vni)
        leaves.ours.reload(dict.fromkeys(VLANS, "shared"))
        node.ip("link del dev vx10", "link del dev vx20", "link set dev vxlan0 up")
        moved = pings.sent
        wait_until(lambda: pings.back(moved), 30, "VLAN 20 by the shared device")
    print(f"the move took VLAN 20 away for {pings.away_s:.2f} s")
    wait_until(lambda: mover.reaches(far_mover), 30, "VLAN 10 by the shared device")

    with Pings(stayer.node, far_stayer.ip) as pings:
        bridge(node, "vni delete dev vxlan0 vni 1010", "vlan del dev vxlan0 vid 10")
        wait_until(lambda: not mover.reaches(far_mover), 10, "VLAN 10 is away")
        map_vni(node, 10, VLANS[10])
        wait_until(lambda: mover.reaches(far_mover), 30, "VLAN 10 is back")
    assert (pings.lost, pings.sent > 100) == (0, True)


def wanted(leaves: VlanLeaves, *macs: str) -> set[tuple[str, str, int]]:
    """Return the rows that our leaf must have for these MACs in both VLANs, and its flood rows."""
    shared = leaves.ours.way == "shared"
    return {
        (vxlan_of(leaves.ours.way, vlan), mac, number)
        for vlan, vni in VLANS.items()
        for mac, number in (
            *((mac, vlan) for mac in macs),
            *((mac, vni if shared else 0) for mac in (*macs, FLOOD)),
        )
    }


def test_each_vlan_is_a_network_of_its_own(leaves: VlanLeaves) -> None:
    wait_until(lambda: wanted(leaves) <= leaves.rows(), 30, "flood rows for both VNIs")
    wait_until(lambda: all(leaves.frr.vteps(vni) for vni in VLANS.values()), 30, "our Type-3 routes at FRR")

    stations = [*leaves.here, *leaves.there]
    same = [(0, 2), (1, 3), (2, 0), (3, 1)]
    for one, other in same:
        stations[one].forget_neighbors()
        assert stations[one].reaches(stations[other])
    other_vlan = [(one, other) for one, other in itertools.permutations(range(4), 2) if (one + other) % 2]
    assert [pair for pair in other_vlan if stations[pair[0]].reaches(stations[pair[1]])] == []

    # The MAC that is in both VLANs has a row in each, and our stations are at FRR, each in its VNI.
    wait_until(lambda: leaves.rows() == wanted(leaves, TWIN), 20, "the rows of one MAC in two VLANs")
    advertised = {(station.mac, "10.0.0.1") for station in leaves.here}
    wait_until(lambda: advertised <= leaves.frr.macs(), 20, "our stations at FRR")
