"""Our leaf beside two border leaves with FRR: external prefixes, the default route, gateways, and what changes and fails."""

import json
import re
from collections.abc import Callable, Sequence

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.irb import FRR, OURS, Irb, Leaf
from tests.lab.probe import Pings, ping
from tests.lab.routed import L3VNI, TABLE, add_bridge, add_vxlan
from tests.lab.topology import address
from tests.lab.wait import PATIENCE, wait_until

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


def wait_until_mended(borders: Sequence[Leaf], reaches: Callable[[], bool], what: str) -> None:
    """Wait for traffic by borders with FRR. 8.4 loses its own rows at times, and writes them again only when the SVI comes back."""
    of_ours = {address(1), f"::ffff:{address(1)}"}

    def is_reached() -> bool:
        if reaches():
            return True
        there = {border: border.neighbors(f"br{L3VNI}") for border in borders}
        for border in [one for one in borders if not of_ours <= there[one].keys()]:
            print(f"the FRR of {address(border.number)} has the rows {there[border]}; its SVI goes down and up")
            border.node.ip(f"link set dev br{L3VNI} down", f"link set dev br{L3VNI} up")
        return False

    wait_until(is_reached, 30, what)


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
    wait_until_mended([left], lambda: host.reaches(other.ip) and host.reaches(other.ip6), "the host behind it")

    # The carrier and the SVI go and come back.
    all_nets = {NET, NET6, "default", f"{other.ip.rpartition('.')[0]}.0/24"}
    for device in (f"vx{L3VNI}", f"br{L3VNI}"):
        ours.node.ip(f"link set dev {device} down")
        wait_until(lambda: not ours.routes(), 10, "the kernel removes the routes")
        ours.node.ip(f"link set dev {device} up")
        wait_until(lambda: all_nets <= ours.routes(), 10, "the routes come back")
        wait_until_mended([left, right], lambda: host.reaches(OUTSIDE) and host.reaches(other.ip6), "traffic")
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


def test_a_vtep_with_a_routers_mac_for_each_vrf_is_reached_in_both(net: Irb, request) -> None:
    """As FRR's bgp_evpn_rmac_conflict: one VTEP, two L3VNIs, two Router's MACs; one changes, then both are the same.

    Answers come by the rows of FRR, and 8.4 does not keep those of both VRFs. So traffic is asked for with FRR 10 only.
    """
    ours, left, _ = net.leaves
    host, red_net, red_address = net.hosts[0], "198.51.100.0/24", "198.51.100.1"
    wait_until(lambda: NET in ours.routes(), 40, "the daemon runs")
    for leaf in (ours, left):
        leaf.node.ip("link add name red type vrf table 1002", "link set dev red up")
        add_bridge(leaf.node, "br4002", f"02:00:00:00:fe:{leaf.number:02}")
        leaf.node.ip("link set dev br4002 master red addrgenmode none", "link set dev br4002 up")
        add_vxlan(leaf.node, 4002, address(leaf.number))
    left.node.ip(
        *("link add red1 type dummy", "link set dev red1 master red up", f"addr add {red_address}/24 dev red1"),
        *("link add blue1 type dummy", "link set dev blue1 master blue up", "addr add 192.0.2.1/24 dev blue1"),
    )
    left.frr.configure("vrf red", "vni 4002", "exit-vrf")
    left.frr.configure(
        *("router bgp 65000 vrf red", f"bgp router-id {address(2)}", "address-family ipv4 unicast"),
        *("redistribute connected", "exit-address-family", "address-family l2vpn evpn", "advertise ipv4 unicast"),
    )
    blue, _, vni = ours.vtep.node.path("/run/vtep.toml").read_text().partition("[[vni]]\n")
    red = "[[vrf]]\n" + blue.partition("[[vrf]]\n")[2].replace("blue", "red").replace("4001", "4002")
    ours.node.ip("link add red2 type dummy", "link set dev red2 master red up", "addr add 198.18.0.1/24 dev red2")
    ours.vtep.configure(f"{blue}{red}[[vni]]\n{vni}")
    ours.vtep.process.signal(1)

    def macs() -> list[str | None]:
        return [ours.neighbors(f"br{l3vni}").get(address(2)) for l3vni in (4001, 4002)]

    def routers() -> list[set[str]]:
        """Return the Router's MACs that are at this VTEP, for each L3VNI."""
        shown = [ours.node.run("bridge", "fdb", "show", "dev", f"vx{l3vni}") for l3vni in (4001, 4002)]
        return [
            {line.split()[0] for line in rows.splitlines() if f"dst {address(2)} self extern_learn" in line}
            for rows in shown
        ]

    def are_reached() -> bool:
        found = host.reaches("192.0.2.1"), ping(ours.node, red_address, PATIENCE, "red") is not None
        rows = [left.neighbors(f"br{l3vni}") for l3vni in (4001, 4002)]
        print(f"reached in blue and red: {found}; the FRR has {rows}")
        return all(found) or request.config.getoption("frr_rootfs") is None

    wait_until(lambda: macs() == [ROUTER_MAC, "02:00:00:00:fe:02"], 40, "a Router's MAC for each VRF")
    wait_until(are_reached, 20, "traffic in both VRFs")
    assert red_net in ours.node.run("ip", "route", "show", "table", "1002", "proto", "229")

    for red_mac, blue_mac in (("02:00:00:00:fe:99", ROUTER_MAC), ("02:00:00:00:aa:aa", "02:00:00:00:aa:aa")):
        left.node.ip(f"link set dev br4002 address {red_mac}", f"link set dev br4001 address {blue_mac}")
        wait_until(lambda: macs() == [blue_mac, red_mac], 30, "the new Router's MACs")  # noqa: B023
        wait_until(are_reached, 20, "traffic in both VRFs")
        wait_until(lambda: routers() == [{blue_mac}, {red_mac}], 20, "the rows of these Router's MACs alone")  # noqa: B023
    assert [vrf["conflicts"] for vrf in ours.vtep.told("vrfs")["vrfs"]] == [0, 0]
    print("one VTEP with a Router's MAC for each VRF: both are reached, when one changes, and when both are the same")


def test_distinguishers_targets_and_attributes_decide_as_they_are_configured(net: Irb) -> None:
    """As FRR's evpn_type5_test_topo1: RD and RT by hand, active and standby, an attribute of a route map."""
    ours, left, right = net.leaves
    host, both = net.hosts[0], {address(2), address(3)}
    wait_until(lambda: vteps(net, NET) == both, 40, "both borders")

    # Route Distinguishers of ours, as the peer has them: the one that follows from the configuration, then two by hand.
    text = ours.vtep.node.path("/run/vtep.toml").read_text()

    def distinguishers() -> set[str]:
        shown = left.frr.json("show bgp l2vpn evpn route type prefix")
        return {
            rd for rd, found in shown.items() if isinstance(found, dict) and any("10.1.11.0" in key for key in found)
        }

    def reload(line: str) -> None:
        ours.vtep.configure(text.replace('name = "blue"\n', f'name = "blue"\n{line}\n'))
        ours.vtep.process.signal(1)

    wait_until(lambda: len(distinguishers()) == 1, 20, "our subnet at the peer")
    before = distinguishers()
    for rd in ("50.50.50.50:50", "100.100.100.100:100"):
        reload(f'rd = "{rd}"')
        wait_until(lambda: distinguishers() == {rd}, 20, "the new Route Distinguisher, and no other one")  # noqa: B023
    reload("")
    wait_until(lambda: distinguishers() == before, 20, "the one that follows from the configuration")

    # A Route Target that we do not import, and then do.
    of_blue = ("router bgp 65000 vrf blue", "address-family l2vpn evpn")
    left.frr.configure(*of_blue, "route-target export 65000:777")
    wait_until(lambda: vteps(net, NET) == {address(3)}, 20, "the routes of the other Route Target are not imported")
    reload('import_rt = ["65000:4001", "65000:777"]')
    wait_until(lambda: vteps(net, NET) == both, 20, "both Route Targets are imported")

    # One border is active by an attribute of its routes, and the other one takes over.
    left.frr.configure("route-map ACTIVE permit 10", "set local-preference 200")
    left.frr.configure(*of_blue, "advertise ipv4 unicast route-map ACTIVE")
    wait_until(lambda: vteps(net, NET) == {address(2)}, 20, "the border with the higher LOCAL_PREF")
    wait_until_mended([left], lambda: host.reaches(OUTSIDE), "traffic by the active border")
    left.node.ip("link set dev ext down")
    wait_until(lambda: vteps(net, NET) == {address(3)}, 20, "the standby border")
    wait_until_mended([right], lambda: host.reaches(OUTSIDE), "traffic by the standby border")
    left.node.ip("link set dev ext up")
    wait_until(lambda: vteps(net, NET) == {address(2)}, 20, "the active border again")
    print("Route Distinguishers and Route Targets by hand, and an active and a standby border by LOCAL_PREF")
