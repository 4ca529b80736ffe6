"""Our leaf beside FRR, each with a subnet of its own, in one VRF: packets between their hosts are routed over an L3VNI."""

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.routed import L3VNI, RoutedLeaves
from tests.lab.wait import wait_until

__all__ = ["lab"]

pytestmark = pytest.mark.root_netns


@pytest.fixture
def leaves(lab) -> RoutedLeaves:
    with skipped_if_missing():
        leaves = RoutedLeaves(lab)
    leaves.start()
    return leaves


def test_hosts_in_different_subnets_reach_each_other_over_the_l3vni(leaves: RoutedLeaves) -> None:
    ours, theirs = leaves.hosts
    wait_until(lambda: {"10.1.22.0/24", "2001:db8:22::/64"} <= leaves.routes(0, "229"), 60, "FRR's prefixes in our VRF")
    wait_until(lambda: {"10.1.11.0/24", "2001:db8:11::/64"} <= leaves.routes(1, "bgp"), 60, "our prefixes at FRR")
    for here, there in ((ours, theirs), (theirs, ours)):
        for address in (there.ip, there.ip6):
            wait_until(lambda: here.reaches(address), 10, f"{address} is reached")  # noqa: B023

    # The hosts' own routes: FRR's with two labels here, ours there.
    for host in leaves.hosts:
        host.speak()
    wait_until(lambda: {theirs.ip, theirs.ip6} <= leaves.routes(0, "229"), 30, "FRR's host in our VRF")
    wait_until(lambda: {ours.ip, ours.ip6} <= leaves.routes(1, "bgp"), 30, "our host at FRR")
    for here, there in ((ours, theirs), (theirs, ours)):
        assert here.reaches(there.ip)
        assert here.reaches(there.ip6)

    # What the operator reads.
    [vrf] = leaves.vtep.told("vrfs")["vrfs"]
    assert (vrf["name"], vrf["vni"], vrf["state"], vrf["table"], vrf["router_mac"], vrf["vteps"]) == (
        *("blue", L3VNI, "ready", 1001, "02:00:00:00:ff:01", 1),
    )
    prefixes = leaves.vtep.told("prefixes", "--vrf", "blue")["prefixes"]
    assert {"10.1.22.0/24", f"{theirs.ip}/32", f"{theirs.ip6}/128"} <= {row["prefix"] for row in prefixes}
    assert {(*row["vteps"], row["sync"]["state"]) for row in prefixes} == {("10.0.0.2", "INSTALLED")}
    nexthops = leaves.vtep.told("nexthops")["nexthops"]
    assert [(row["ipv6"], row["vteps"]) for row in sorted(nexthops, key=lambda row: row["ipv6"])] == [
        (False, ["10.0.0.2"]),
        (True, ["10.0.0.2"]),
    ]
    told = leaves.vtep.told("explain", "10.1.22.77", "--vrf", "blue")
    assert told["summary"] == "Packets to 10.1.22.0/24, which matches 10.1.22.77/32, in VRF blue go to 10.0.0.2."
    assert [path["verdict"] for path in told["paths"]] == ["won"]
    assert "10.1.22.0/24" in leaves.vtep.ask("explain", "10.1.22.0/24", "--vrf", "blue").stdout
    assert leaves.vtep.ask("diff").returncode == 0

    # A port that goes down and comes back takes every nexthop and every IPv4 route without a word.
    before = leaves.routes(0, "229")
    leaves.ours.ip(f"link set dev vx{L3VNI} down")
    wait_until(lambda: not leaves.routes(0, "229"), 10, "the kernel removes the routes")
    leaves.ours.ip(f"link set dev vx{L3VNI} up")
    wait_until(lambda: leaves.routes(0, "229") == before, 10, "the routes come back")
    wait_until(lambda: ours.reaches(theirs.ip) and ours.reaches(theirs.ip6), 10, "the other host is reached again")

    # A prefix that appears here is at FRR, and one that goes is withdrawn.
    leaves.ours.ip("route add 203.0.113.0/24 dev br11 vrf blue")
    wait_until(lambda: "203.0.113.0/24" in leaves.routes(1, "bgp"), 10, "a new prefix at FRR")
    leaves.ours.ip("route del 203.0.113.0/24 dev br11 vrf blue")
    wait_until(lambda: "203.0.113.0/24" not in leaves.routes(1, "bgp"), 10, "it is withdrawn")
