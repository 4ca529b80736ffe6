"""One VLAN-aware bridge with a VXLAN device for each VNI, on whatever deploys evpn-vlan-aware.clab.yml: our leaf and FRR."""

from itertools import permutations

import pytest

from tests.interop.scene import Scene
from tests.lab import overlay, probe
from tests.lab.clab.machine import Machine
from tests.lab.wait import wait_until

LAB = "evpn-vlan-aware"

pytestmark = pytest.mark.root_netns

LEAF, FRR = "10.0.0.99", "10.0.0.1"
TWIN = "02:00:00:00:00:01"
"""The MAC of host1 and of host2."""
HOSTS = {"host99": "172.16.0.99", "host98": "172.16.0.98", "host1": "172.16.0.1", "host2": "172.16.0.2"}
SAME_VLAN = [{"host99", "host1"}, {"host98", "host2"}]
VXLANS = {"vx10": "02:00:00:00:00:99", "vx20": "02:00:00:00:00:98"}
"""The VXLAN device of each VLAN, with the MAC of our host in it."""


def remote(machine: Machine, vxlan: str) -> set[tuple[str, str]]:
    return overlay.tunnels(machine, vxlan)


@pytest.mark.scenario("S15", "S2", "S3", "S6", "S7")
def test_each_vlan_is_a_network_of_its_own_from_empty_caches_both_ways(vlans: Scene) -> None:
    leaf, frr = vlans.machines["leaf"], vlans.machines["frr1"]
    flood = {vxlan: {(overlay.FLOOD_MAC, FRR)} for vxlan in VXLANS}
    wait_until(lambda: all(flood[vxlan] <= remote(leaf, vxlan) for vxlan in VXLANS), 60, "flood rows for FRR")
    wait_until(lambda: all((overlay.FLOOD_MAC, LEAF) in remote(frr, vxlan) for vxlan in VXLANS), 60, "and FRR's for us")

    for one, other in permutations(HOSTS, 2):
        vlans.machines[one].run("ip", "neigh", "flush", "all")
        answer = probe.ping(vlans.machines[one], HOSTS[other], 10 if {one, other} in SAME_VLAN else 1)
        assert (answer is not None) == ({one, other} in SAME_VLAN), (one, other)

    for vxlan, mac in VXLANS.items():
        wait_until(lambda: remote(leaf, vxlan) == flood[vxlan] | {(TWIN, FRR)}, 20, f"the twin's row in {vxlan}")  # noqa: B023
        wait_until(lambda: (mac, LEAF) in remote(frr, vxlan), 20, f"our host at FRR in {vxlan}")  # noqa: B023


@pytest.mark.scenario("S15", "S11")
def test_a_vlan_that_the_port_loses_is_named_and_comes_back(vlans: Scene) -> None:
    leaf = vlans.leaf
    leaf.run("bridge", "vlan", "del", "dev", "vx10", "vid", "10")
    wait_until(lambda: "vlan-missing" in leaf.run("vtep", "vnis", "-o", "json"), 20, "the reason")
    assert probe.ping(vlans.machines["host98"], HOSTS["host2"], 10) is not None
    assert probe.ping(vlans.machines["host99"], HOSTS["host1"], 1) is None

    leaf.run("bridge", "vlan", "add", "dev", "vx10", "vid", "10", "pvid", "untagged")

    wait_until(lambda: "vlan-missing" not in leaf.run("vtep", "vnis", "-o", "json"), 20, "the end of the reason")
    assert probe.ping(vlans.machines["host99"], HOSTS["host1"], 20) is not None
