"""Ping and TCP between hosts in different subnets, on two of our leaves and on ours beside FRR, symmetric and asymmetric."""

import itertools

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.irb import FRR, OURS, Irb
from tests.lab.probe import Pings
from tests.lab.routed import add_bridge, add_vxlan
from tests.lab.topology import address
from tests.lab.wait import PATIENCE, wait_until

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow, pytest.mark.every_kernel]


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize("makers", [(OURS, OURS), (OURS, FRR)], ids="-".join)
def test_hosts_of_two_segments_at_two_leaves_all_reach_each_other(lab, makers, symmetric, request):
    with skipped_if_missing():
        net = Irb(lab, makers, [(11, 22), (11, 22)], symmetric=symmetric, tree=request.config.getoption("frr_rootfs"))
        hosts = [net.host(segment, leaf) for leaf in (1, 2) for segment in (11, 22)]
        net.start()
    for host in hosts:
        host.speak()
    pairs = list(itertools.permutations(hosts, 2))
    asked = [(here, there, address) for here, there in pairs for address in (there.ip, there.ip6)]
    silent: list[str] = []

    def all_answer() -> bool:
        silent[:] = [
            f"{there.ip} ({address}) from {here.ip}" for here, there, address in asked if not here.reaches(address)
        ]
        return not silent

    try:
        wait_until(all_answer, 8)
    except AssertionError:
        pytest.fail("\n".join(silent))
    refused = [f"{here.ip} to {address}" for here, there, address in asked if not here.connects(there, address)]
    assert not refused
    for leaf in net.leaves:
        if symmetric:
            remote = {ip for host in hosts if host.leaf is not leaf.node for ip in (host.ip, host.ip6)}
            wait_until(lambda: remote <= leaf.routes(), 20, "the hosts' own routes")  # noqa: B023
        else:
            assert not leaf.routes()
        # Without this row a host of a stretched segment is never resolved: its answer goes to the gateway of its own leaf.
        for host in hosts:
            if host.leaf is not leaf.node:
                found = leaf.neighbors(f"br{host.segment}")
                assert (found.get(host.ip), found.get(host.ip6)) == (host.mac, host.mac)
    print(
        f"{'-'.join(makers)} {'symmetric' if symmetric else 'asymmetric'}: {len(pairs)} pairs, IPv4 and IPv6, ping and TCP"
    )


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize("makers", [(OURS, OURS), (OURS, FRR)], ids="-".join)
def test_a_host_that_moves_is_reached_across_subnets_within_a_second(lab, makers, symmetric, request):
    """It moves to a leaf of ours, says so once, and is then silent: nothing but an answer of it tells its address."""
    with skipped_if_missing():
        net = Irb(lab, makers, [(11, 22), (11, 22)], symmetric=symmetric, tree=request.config.getoption("frr_rootfs"))
        asker, mover = net.host(11, 2), net.host(22, 2)
        net.start()
    ours, other = net.leaves
    for host in (asker, mover):
        host.speak()
    wait_until(lambda: asker.reaches(mover.ip) and asker.reaches(mover.ip6), 20, "the host before it moves")
    if symmetric:
        wait_until(lambda: {mover.ip, mover.ip6} <= ours.routes(), 20, "its routes at our leaf")
    else:
        wait_until(lambda: {mover.ip, mover.ip6} <= ours.neighbors("br22").keys(), 20, "its rows at our leaf")
    away = []
    for there, back in ((ours, other), (other, ours)):
        with Pings(asker.node, mover.ip) as pings:
            wait_until(lambda: pings.back(0), 10, "pings")
            mover.plug(there.node)
            moved = pings.sent
            mover.announce()
            wait_until(lambda: pings.back(moved), 40, "pings after the move")  # noqa: B023
        away.append(pings.away_s)
        wait_until(lambda: asker.reaches(mover.ip6), 10, "IPv6 after the move")
        assert back is not there
    print(
        f"{'-'.join(makers)} {'symmetric' if symmetric else 'asymmetric'}: away for {away[0]:.2f} s and {away[1]:.2f} s"
    )
    assert away[0] < PATIENCE


def test_hosts_of_two_vrfs_reach_each_other_where_each_vrf_imports_the_routes_of_the_other(lab):
    """As imports of FRR's evpn_type5_test_topo1. Each leaf has both VRFs; a packet goes into the L3VNI of the VRF that it is for."""
    with skipped_if_missing():
        net = Irb(lab, (OURS, OURS), [(11,), (22,)])
        here, there = net.host(11, 1), net.host(22, 2)
    both = 'import_rt = ["65000:4001", "65000:4002"]\nexport_rt = ["65000:{}"]\n'
    for leaf in net.leaves:
        leaf.node.ip("link add name red type vrf table 1002", "link set dev red up")
        add_bridge(leaf.node, "br4002", f"02:00:00:00:fe:{leaf.number:02}")
        leaf.node.ip("link set dev br4002 master red addrgenmode none", "link set dev br4002 up")
        add_vxlan(leaf.node, 4002, address(leaf.number))
        blue, _, vni = leaf.vtep.node.path("/run/vtep.toml").read_text().partition("[[vni]]\n")
        red = "[[vrf]]\n" + blue.partition("[[vrf]]\n")[2].replace("blue", "red").replace("4001", "4002")
        vni = vni.replace('vrf = "blue"', f'vrf = "{"blue" if leaf.number == 1 else "red"}"')
        leaf.vtep.configure(f"{blue}{both.format(4001)}{red}{both.format(4002)}[[vni]]\n{vni}")
    net.leaves[1].node.ip("link set dev br22 master red")
    net.start()
    for host in net.hosts:
        host.speak()
    wait_until(lambda: here.reaches(there.ip) and there.reaches(here.ip), 30, "hosts of the two VRFs")

    for leaf, table, net_of, device in zip(
        net.leaves, (1001, 1002), ("10.1.22.0/24", "10.1.11.0/24"), ("br4002", "br4001"), strict=True
    ):
        # A subnet of the other VRF leaves by the SVI of that VRF.
        route = leaf.node.run("ip", "route", "show", net_of, "table", str(table), "proto", "229")
        number = route.split(" nhid ")[1].split()[0]
        assert f"dev {device} " in leaf.node.run("ip", "nexthop", "show", "id", number)
    print("a host of VRF blue and one of VRF red reach each other, by the L3VNI of the other VRF")

    leaf = net.leaves[0]
    for device in ("vx4002", "br4002"):
        leaf.node.ip(f"link set dev {device} down")
        wait_until(lambda: "10.1.22.0/24" not in leaf.routes(), 10, "the kernel removes the routes")
        leaf.node.ip(f"link set dev {device} up")
        wait_until(lambda: here.reaches(there.ip), 10, "traffic after the other VRF is ready again")
