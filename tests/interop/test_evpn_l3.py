"""Routing between VTEPs, on whatever deploys interop/containerlab/evpn-l3.clab.yml: our leaf and FRR, a subnet behind each."""

import json

import pytest

from tests.interop.conftest import Stage
from tests.interop.scene import Scene
from tests.lab import probe
from tests.lab.fixtures import skipped_if_missing
from tests.lab.namespaces import CommandFailed, Missing
from tests.lab.wait import wait_until

LAB = "evpn-l3"

pytestmark = pytest.mark.root_netns

HOST1, HOST99 = ("10.1.1.11", "2001:db8:1::11"), ("10.1.99.11", "2001:db8:99::11")


@pytest.fixture
def routed(stage: Stage) -> Scene:
    with skipped_if_missing():
        try:
            return stage.show(LAB)
        except CommandFailed as error:
            if "type vrf" in str(error) or "setup.sh" in str(error):
                raise Missing("this kernel has no VRF devices") from None
            raise


def routes(machine, protocol: str) -> set[str]:
    """Return the prefixes in the table of the VRF that a program wrote."""
    shown = [
        json.loads(machine.run("ip", "-j", family, "route", "show", "table", "1001", "proto", protocol) or "[]")
        for family in ("-4", "-6")
    ]
    return {route["dst"] for found in shown for route in found}


def test_hosts_behind_different_makers_reach_each_other_over_the_l3vni(routed: Scene) -> None:
    leaf, frr = routed.machines["leaf"], routed.machines["frr1"]
    wait_until(lambda: {"10.1.1.0/24", "2001:db8:1::/64"} <= routes(leaf, "229"), 60, "FRR's subnets at our leaf")
    wait_until(lambda: {"10.1.99.0/24", "2001:db8:99::/64"} <= routes(frr, "bgp"), 60, "our subnets at FRR")
    for name, addresses in (("host99", HOST1), ("host1", HOST99)):
        for address in addresses:
            wait_until(lambda: probe.ping(routed.machines[name], address) is not None, 20, f"{address} from {name}")  # noqa: B023
    wait_until(lambda: set(HOST1) <= routes(leaf, "229"), 20, "FRR's host has routes of its own here")
    wait_until(lambda: set(HOST99) <= routes(frr, "bgp"), 20, "and ours there")
