"""Our leaf beside two border leaves with FRR: external prefixes, the default route, gateways, and what changes and fails."""

import json
import re

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.irb import FRR, OURS, Irb
from tests.lab.probe import Pings
from tests.lab.routed import L3VNI, TABLE, add_bridge, add_vxlan
from tests.lab.topology import address
from tests.lab.wait import wait_until

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow, pytest.mark.every_kernel]

NET, NET6, OUTSIDE, OUTSIDE6 = "203.0.113.0/24", "2001:db8:113::/64", "203.0.113.1", "2001:db8:113::1"
ROUTER_MAC = "02:00:00:00:ff:02"
BEHIND, BEHIND_NET = "198.51.100.1", "198.51.100.0/24"


@pytest.fixture
def net(lab, request) -> Irb:
    with skipped_if_missing():
        net = Irb(lab, (OURS, FRR, FRR), [(11,), (22,), ()], tree=request.config.getoption("frr_rootfs"))
        net.host(11, 1)
        net.host(22, 2)
        for border in net.leaves[1:]:
            border.node.ip(
                "link add ext type veth peer name ext1",
                "link set dev ext master blue up",
                "link set dev ext1 up",
                f"addr add {OUTSIDE}/24 dev ext",
                f"addr add {OUTSIDE6}/64 dev ext nodad",
            )
        net.start()
    for host in net.hosts:
        host.speak()
    return net


def vteps(net: Irb, prefix: str) -> set[str]:
    """Return the VTEPs by which our leaf reaches a prefix, as its kernel has them."""
    node, family = net.leaves[0].node, "-6" if ":" in prefix else "-4"
    shown = node.run("ip", "-j", family, "route", "show", prefix, "table", str(TABLE), "proto", "229") or "[]"
    nexthops = {one["id"]: one for one in json.loads(node.run("ip", "-j", "nexthop"))}
    ids = [row["nhid"] for row in json.loads(shown)]
    members = [member["id"] for number in ids for member in nexthops[number].get("group", [{"id": number}])]
    return {re.sub("^::ffff:", "", nexthops[number]["gateway"]) for number in members}


def router_neighbors(net: Irb, leaf: int) -> dict[str, str]:
    return net.leaves[leaf].neighbors(f"br{L3VNI}")


def test_external_prefixes_by_two_borders_and_what_takes_rows_away(net: Irb) -> None:
    ours, left, right = net.leaves
    host, other = net.hosts
    both = {address(2), address(3)}
    for border in (left, right):
        border.frr.configure(
            "router bgp 65000 vrf blue", "address-family l2vpn evpn", "default-originate ipv4", "default-originate ipv6"
        )
    for prefix in (NET, NET6, "default", "::/0"):
        wait_until(lambda: vteps(net, prefix) == both, 40, f"{prefix} by both borders")  # noqa: B023
    for there in (OUTSIDE, OUTSIDE6, other.ip, other.ip6):
        wait_until(lambda: host.reaches(there), 20, there)  # noqa: B023
    print(f"{NET}, {NET6} and both default routes by {sorted(both)}; reached")

    # The Router's MAC of one border changes. FRR 8.4 loses rows for good; what it has is printed beside ours.
    mac = "02:00:00:00:ff:99"
    left.node.ip(f"link set dev br{L3VNI} address {mac}")
    wait_until(lambda: router_neighbors(net, 0).get(address(2)) == mac, 30, "the new Router's MAC")
    fdb = ours.node.run("bridge", "fdb", "show", "dev", f"vx{L3VNI}")
    assert mac in fdb
    assert ROUTER_MAC not in fdb
    assert ours.vtep.told("vrfs")["vrfs"][0]["conflicts"] == 0
    print(f"a Router's MAC changed. Ours: {router_neighbors(net, 0)}; FRR: {router_neighbors(net, 2)}")
    print(
        f"the FRR whose MAC changed has {router_neighbors(net, 1)}; the host behind it answers: {host.reaches(other.ip, 5)}"
    )

    def is_reached() -> bool:
        """FRR 8.4 writes its own rows again only when the SVI comes back, and fails at times for IPv6."""
        if host.reaches(other.ip) and host.reaches(other.ip6):
            return True
        left.node.ip(f"link set dev br{L3VNI} down", f"link set dev br{L3VNI} up")
        return False

    wait_until(is_reached, 30, "the host behind it")

    # The carrier and the SVI go and come back.
    all_nets = {NET, NET6, "default", f"{other.ip.rpartition('.')[0]}.0/24"}
    for device in (f"vx{L3VNI}", f"br{L3VNI}"):
        ours.node.ip(f"link set dev {device} down")
        wait_until(lambda: not ours.routes(), 10, "the kernel removes the routes")
        ours.node.ip(f"link set dev {device} up")
        wait_until(lambda: all_nets <= ours.routes(), 10, "the routes come back")
        wait_until(lambda: host.reaches(OUTSIDE) and host.reaches(other.ip6), 10, "traffic")
        print(f"{device} went down and up: the routes are back")

    # The daemon is killed; meanwhile one prefix comes, one goes, and an operator writes a route.
    with Pings(host.node, OUTSIDE) as pings:
        ours.vtep.process.kill()
        right.node.ip("route add 192.0.2.0/24 dev ext vrf blue", f"addr del {OUTSIDE6}/64 dev ext")
        ours.node.ip(f"route add 198.18.0.0/15 dev br11 table {TABLE}")
        wait_until(lambda: pings.sent > 100, 10, "pings")
        ours.vtep.start()
        print(f"lost {pings.lost} of {pings.sent} pings before the start")
        wait_until(lambda: vteps(net, "192.0.2.0/24") == {address(3)}, 60, "what came meanwhile")
        print(f"lost {pings.lost} of {pings.sent} pings before what came was there")
        wait_until(lambda: vteps(net, NET6) == {address(2)}, 60, "what went meanwhile")
    print(
        f"killed with changes meanwhile: {pings.lost} of {pings.sent} pings lost, the longest time {pings.away_s:.2f} s"
    )
    assert pings.lost == 0
    assert "198.18.0.0/15" in ours.node.run("ip", "route", "show", "table", str(TABLE))

    # One border leaves.
    left.frr.stop()
    wait_until(lambda: vteps(net, NET) == {address(3)}, 60, "the other border alone")
    wait_until(lambda: host.reaches(OUTSIDE), 10, "traffic by the other border")
    print("one border left: the other carries all")


def test_a_prefix_behind_a_gateway(net: Irb) -> None:
    """As FRR's bgp_evpn_overlay_index_gateway: routes, then the prefix goes and comes, then the gateway's route does."""
    ours, left, _ = net.leaves
    host, gateway = net.hosts
    gateway.node.ip(f"addr add {BEHIND}/32 dev lo", "link set dev lo up")
    left.frr.configure(
        *("router bgp 65000", "address-family l2vpn evpn", "enable-resolve-overlay-index", "exit", "exit"),
        *("router bgp 65000 vrf blue", "address-family l2vpn evpn", "no advertise ipv4 unicast"),
        "advertise ipv4 unicast gateway-ip",
    )
    route = f"{BEHIND_NET} via {gateway.ip} vrf blue"
    left.node.ip(f"route add {route}")
    wait_until(lambda: vteps(net, BEHIND_NET) == {address(2)}, 40, "the prefix goes where its gateway is")
    wait_until(lambda: host.reaches(BEHIND), 10, "traffic")
    told = ours.vtep.told("explain", BEHIND_NET, "--vrf", "blue")
    assert [path["gateway"] for path in told["paths"]] == [gateway.ip]
    print(f"{BEHIND_NET} by gateway {gateway.ip} at {address(2)}; reached")

    left.node.ip(f"route del {route}")
    wait_until(lambda: BEHIND_NET not in ours.routes(), 20, "the prefix is withdrawn")
    left.node.ip(f"route add {route}")
    wait_until(lambda: host.reaches(BEHIND), 30, "traffic again")

    left.node.ip("link set dev vx22 down")
    wait_until(lambda: BEHIND_NET not in ours.routes(), 20, "the gateway's route is withdrawn")
    [path] = ours.vtep.told("explain", BEHIND_NET, "--vrf", "blue")["paths"]
    assert path["reason"] == "gateway-unresolved"
    left.node.ip("link set dev vx22 up")
    gateway.speak()
    wait_until(lambda: host.reaches(BEHIND), 30, "traffic again")
    print("the prefix went and came; the gateway's Type-2 route went and came")


def test_a_prefix_by_two_paths_loses_one_and_gets_it_back(net: Irb) -> None:
    """As FRR's bgp_evpn_rt5: prefixes of hosts in the VRF of two leaves, traffic to them, and a path that goes and comes."""
    _, left, right = net.leaves
    host, both, alone = net.hosts[0], {address(2), address(3)}, {address(3)}
    addresses = ("192.0.2.21/32", "2001:db8:21::21/128")
    for border in (left, right):
        border.node.ip(*(f"addr add {one} dev ext" for one in addresses))

    def are_by(expected: set[str]) -> None:
        for one in addresses:
            wait_until(lambda: vteps(net, one) == expected, 40, f"{one} by {expected}")  # noqa: B023
            wait_until(lambda: host.reaches(one.partition("/")[0]), 10, "traffic")  # noqa: B023

    are_by(both)
    left.node.ip(*(f"addr del {one} dev ext" for one in addresses))
    are_by(alone)
    left.node.ip(*(f"addr add {one} dev ext" for one in addresses))
    are_by(both)
    advertised = ("router bgp 65000 vrf blue", "address-family l2vpn evpn")
    left.frr.configure(*advertised, "no advertise ipv4 unicast", "no advertise ipv6 unicast")
    are_by(alone)
    left.frr.configure(*advertised, "advertise ipv4 unicast", "advertise ipv6 unicast")
    are_by(both)
    print(f"{', '.join(addresses)}: by two paths, by one, and by two again, twice")


def test_the_l3vni_of_a_vrf_changes_and_changes_back(net: Irb) -> None:
    """As FRR's bgp_evpn_l3vni_modify: nothing of the old L3VNI is left, here and at the peer."""
    ours, left, _ = net.leaves
    wait_until(lambda: NET in ours.routes() and "10.1.11.0/24" in left.routes(), 40, "both have routes")
    old = ours.vtep.node.path("/run/vtep.toml").read_text()
    add_bridge(ours.node, "br4002", "02:00:00:00:fe:01")
    ours.node.ip("link set dev br4002 addrgenmode none up")
    add_vxlan(ours.node, 4002, address(1))
    new = old.replace("vni = 4001", "vni = 4002").replace("vx4001", "vx4002").replace("br4001", "br4002")

    def reload(text: str) -> None:
        ours.vtep.configure(text)
        ours.vtep.process.signal(1)

    def left_over(vni: int) -> tuple[str, dict[str, str], list[str]]:
        nexthops = ours.node.run("ip", "nexthop", "show", "dev", f"br{vni}")
        rows = ours.node.run("bridge", "fdb", "show", "dev", f"vx{vni}").splitlines()
        return nexthops, ours.neighbors(f"br{vni}"), [row for row in rows if "extern_learn" in row]

    reload(new)
    wait_until(lambda: left_over(4001) == ("", {}, []), 20, "nothing of the old L3VNI")
    wait_until(lambda: "10.1.11.0/24" not in left.routes(), 20, "the peer has no route of the old L3VNI")
    assert [vrf["vni"] for vrf in ours.vtep.told("vrfs")["vrfs"]] == [4002]
    assert NET not in ours.routes()  # which has the label and the Route Target of the old one
    assert "4002" in left.frr.vtysh("show bgp l2vpn evpn route type prefix")

    reload(old)
    wait_until(lambda: left_over(4002) == ("", {}, []), 20, "nothing of the other L3VNI")
    wait_until(lambda: NET in ours.routes() and "10.1.11.0/24" in left.routes(), 20, "both have routes again")
    assert [vrf["vni"] for vrf in ours.vtep.told("vrfs")["vrfs"]] == [4001]
    wait_until(lambda: net.hosts[0].reaches(OUTSIDE), 10, "traffic")
    print("L3VNI 4001 to 4002 and back: no row of the other one is left")
