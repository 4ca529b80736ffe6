"""An FRR leaf that routes, beside vtep that only looks: FRR writes the rows of the VRF, and vtep compares them by members."""

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.irb import FRR, OURS, Irb
from tests.lab.routed import L3VNI, TABLE
from tests.lab.vtep import VTEP, Vtep
from tests.lab.wait import wait_until

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow, pytest.mark.every_kernel]


def differences(vtep) -> dict[str, str]:
    found = vtep.told("diff")["differences"]
    return {f"{one['kind']} {one['key']}": one["reason"].removeprefix("observed-") for one in found}


def test_a_leaf_that_routes_is_compared_by_where_packets_go(lab, request):
    """Two leaves of ours have one subnet, so FRR has a route by a group, and host routes; `vtep init` writes the configuration."""
    with skipped_if_missing():
        net = Irb(lab, (OURS, OURS, FRR), [(11,), (11,), (22,)], tree=request.config.getoption("frr_rootfs"), bmp=True)
        hosts = [net.host(11, 1), net.host(11, 2), net.host(22, 3)]
        net.start()
    leaf = net.leaves[2]
    for host in hosts:
        host.speak()
    wait_until(lambda: {host.ip for host in hosts[:2]} | {"10.1.11.0/24"} <= leaf.routes(), 30, "the routes of FRR")
    leaf.node.run(str(VTEP), "init", "--observe", "--directory", "/run/made")
    leaf.frr.vtysh_file("/run/made/frr-bmp.conf")
    vtep = Vtep(leaf.node, leaf.node.path("/run/made/vtep.toml").read_text())
    vtep.start()
    wait_until(lambda: vtep.told("status")["ready"] and differences(vtep) == {}, 60, "it is in sync")
    prefixes = {one["prefix"] for one in vtep.told("prefixes")["prefixes"]}
    assert {f"{hosts[0].ip}/32", "10.1.11.0/24", "2001:db8:11::/64"} <= prefixes
    wait_until(lambda: "written by zebra" in vtep.ask("nexthops").stdout, 10, "the nexthop objects of zebra")

    route = ("10.1.11.0/24", "table", str(TABLE), "proto", "bgp", "metric", "20")
    leaf.node.run("ip", "route", "replace", *route, "via", "10.0.0.1", "dev", f"br{L3VNI}", "onlink")
    wait_until(lambda: differences(vtep) == {"route 10.1.11.0/24": "different"}, 10, "a path less")
    both = [word for vtep in (1, 2) for word in ("nexthop", "via", f"10.0.0.{vtep}", "dev", f"br{L3VNI}", "onlink")]
    leaf.node.run("ip", "route", "replace", *route, *both)
    wait_until(lambda: differences(vtep) == {}, 10, "both paths, without a nexthop object")
    assert vtep.process.stop() == 0
