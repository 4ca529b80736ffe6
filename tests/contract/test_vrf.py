"""The rows of a VRF: the same in memory, and on Linux with a VRF device or with a routing table alone."""

import errno
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.contract.routed import CONFIG, PEER, TABLE, MemoryHands, RoutedLeaf, routed_leaf, type2, type5
from tests.contract.worlds import ip, own_namespace, wait_until, why_no_vlans
from tests.lab.examples import examples
from vtep.addr import Ip, Mac, Prefix, Vni
from vtep.config.file import parse
from vtep.evpn.event import EndOfRib, SessionOpened
from vtep.evpn.station import Station
from vtep.linux.kernel import Kernel
from vtep.linux.ledger import LedgerFile
from vtep.linux.memory.events import Refused
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.route import ROUTE, RouteRow
from vtep.linux.wire.neighbor import RTPROT_VTEP, Verb
from vtep.linux.wire.route import RouteMessage
from vtep.projection.leaf import Leaf
from vtep.reconcile.claims import Claims
from vtep.reconcile.engine import Engine

A, B, C = "10.0.0.2", "10.0.0.3", "10.0.0.4"


@pytest.fixture(params=["memory", pytest.param("namespace", marks=pytest.mark.root_netns)])
def leaf(request, namespace_refused):
    if request.param == "namespace" and namespace_refused:
        pytest.skip(namespace_refused)
    with routed_leaf(request.param) as leaf:
        leaf.pass_(survey=True)
        yield leaf


NET4, NET6, OWN = "192.168.1.0/24", "2001:db8:1::/64", "192.168.3.0/24"
ONE_VTEP = ["10.0.0.2 is 02:00:00:00:ff:02", "02:00:00:00:ff:02 at 10.0.0.2"]


def test_a_prefix_of_each_family_becomes_a_route_with_all_it_needs(leaf):
    leaf.advertise(type5(NET4, A), type5(NET6, A), type5("0.0.0.0/0", A), type5("::/0", A))
    report = leaf.pass_()
    assert leaf.troubles() == []
    assert leaf.routes() == sorted(f"{prefix} via {A}" for prefix in ("0.0.0.0/0", NET4, NET6, "::/0"))
    assert leaf.routers() == sorted(ONE_VTEP)
    assert report.created == 4 + 2 + 2 + 1  # routes, nexthops, neighbor rows (one a family), the router's MAC


def test_the_same_again_writes_nothing(leaf):
    leaf.advertise(type5(NET4, A), type5(NET4, B), type5(NET6, A))
    leaf.pass_()
    report = leaf.pass_(survey=True)
    assert (report.created, report.replaced, report.deleted, report.repaired) == (0, 0, 0, 0)


def test_what_is_withdrawn_leaves_nothing(leaf):
    routes = type5(NET4, A), type5(NET4, B), type5(NET6, A), type2("192.168.1.7", A)
    leaf.advertise(*routes)
    leaf.pass_()
    leaf.withdraw(*routes)
    leaf.pass_()
    assert (leaf.routes(), leaf.routers(), leaf.hands.kernel.nexthops()) == ([], [], [])
    assert not any(leaf.claims.claims(kind.name) for kind in leaf.engine.kinds)


def test_several_vteps_share_a_prefix(leaf):
    leaf.advertise(type5(NET4, A), type5(NET4, B), type5(NET4, C))
    leaf.pass_()
    assert leaf.routes() == [f"{NET4} via {A} {B} {C}"]
    leaf.withdraw(type5(NET4, B))
    leaf.pass_()
    assert leaf.routes() == [f"{NET4} via {A} {C}"]
    leaf.withdraw(type5(NET4, A))
    leaf.pass_()
    assert leaf.routes() == [f"{NET4} via {C}"]
    assert len(leaf.hands.kernel.nexthops()) == 1


def test_a_host_follows_its_sequence_number(leaf):
    leaf.advertise(type5(NET4, C), type2("192.168.1.7", A))
    leaf.pass_()
    assert leaf.routes() == [f"{NET4} via {C}", f"192.168.1.7/32 via {A}"]
    leaf.advertise(type2("192.168.1.7", B, seq=1))
    leaf.pass_()
    assert f"192.168.1.7/32 via {B}" in leaf.routes()


def test_another_programs_route_of_the_same_metric_stays(leaf):
    leaf.hands.add_route(NET4, 229)
    leaf.hands.add_route(NET6, 2290)
    leaf.advertise(type5(NET4, A), type5(NET6, A), type5("192.168.2.0/24", A))
    leaf.pass_()
    assert leaf.hands.others() == [f"{NET4} metric 229", f"{NET6} metric 2290"]
    assert leaf.routes() == [f"192.168.2.0/24 via {A}"]
    assert leaf.troubles() == [(f"route {NET4}", "contested foreign"), (f"route {NET6}", "contested foreign")]
    leaf.withdraw(type5(NET4, A), type5(NET6, A))
    leaf.pass_(survey=True)
    assert leaf.hands.others() == [f"{NET4} metric 229", f"{NET6} metric 2290"]


def metrics(leaf) -> dict[str, list[int]]:
    found = sorted(leaf.hands.kernel.routes([TABLE]), key=lambda route: route.metric)
    return {net: [route.metric for route in found if str(route.prefix) == net] for net in (NET4, NET6)}


def with_metric(leaf, metric: int) -> None:
    """Reload the configuration with this metric."""
    leaf.config = parse(f"{leaf.hands.config}metric = {metric}\n" if metric else leaf.hands.config)
    leaf.leaf.reconfigure(leaf.config, leaf.now)
    leaf.target.reconfigure((), leaf.config.vrfs)


def test_a_metric_that_a_reload_changes_moves_the_routes_without_a_gap(leaf):
    routes = type5(NET4, A), type5(NET6, A)
    leaf.advertise(*routes)
    leaf.pass_()
    sent, send = [], leaf.target.send
    leaf.target.send = lambda messages: (sent.extend(messages), send(messages))[1]
    for metric, there in ((7, (7, 7)), (229, (229, 229)), (0, (229, 2290))):
        with_metric(leaf, metric)
        sent.clear()
        leaf.pass_()
        assert metrics(leaf) == {NET4: [there[0]], NET6: [there[1]]}
        assert leaf.troubles() == []
        moved = [(str(one.prefix), one.verb) for one in sent if isinstance(one, RouteMessage)]
        assert moved
        for net in {net for net, _ in moved}:
            assert [verb for prefix, verb in moved if prefix == net] == [Verb.CREATE, Verb.DELETE]
        report = leaf.pass_(survey=True)
        assert (report.created, report.replaced, report.deleted, report.repaired) == (0, 0, 0, 0)
    with_metric(leaf, 7)
    leaf.withdraw(*routes)
    leaf.pass_()  # the kernel has them with the metric before
    assert metrics(leaf) == {NET4: [], NET6: []}
    leaf.advertise(*routes)
    leaf.pass_()
    assert metrics(leaf) == {NET4: [7], NET6: [7]}
    leaf.withdraw(*routes)
    leaf.pass_()
    assert metrics(leaf) == {NET4: [], NET6: []}


def test_a_route_with_our_protocol_and_metric_0_is_not_ours(leaf):
    """The metric 0 stands for that of the family in our rows, and no route of ours has it."""
    leaf.advertise(type5(NET4, A))
    leaf.pass_()
    leaf.hands.add_route(NET4, 0, RTPROT_VTEP)
    for _ in range(2):
        report = leaf.pass_(survey=True)
    assert (report.created, report.replaced, report.deleted, report.repaired) == (0, 0, 0, 0)
    assert metrics(leaf)[NET4] == [0, 229]
    leaf.withdraw(type5(NET4, A))
    leaf.pass_()
    leaf.pass_(survey=True)
    assert (metrics(leaf)[NET4], leaf.troubles()) == ([0], [])


def test_routes_that_an_earlier_life_left_with_another_metric_go(leaf):
    """The daemon was killed after it had created a route with the new metric, and before it deleted the one before."""
    leaf.advertise(type5(NET4, A), type5(NET6, A))
    leaf.pass_()
    nexthops = {route.prefix: route.nexthop for route in leaf.hands.kernel.routes([TABLE])}
    leaf.hands.kernel.send([RouteMessage(Verb.CREATE, TABLE, net, number, 7) for net, number in nexthops.items()])
    assert metrics(leaf) == {NET4: [7, 229], NET6: [7, 2290]}
    leaf.engine = Engine(KINDS, leaf.target, Claims(KINDS))
    leaf.pass_(survey=True)
    assert metrics(leaf) == {NET4: [229], NET6: [2290]}
    with_metric(leaf, 9)
    leaf.engine = Engine(KINDS, leaf.target, Claims(KINDS))
    leaf.pass_(survey=True)
    assert metrics(leaf) == {NET4: [9], NET6: [9]}
    leaf.withdraw(type5(NET4, A), type5(NET6, A))
    leaf.hands.kernel.send([RouteMessage(Verb.CREATE, TABLE, net, number, 7) for net, number in nexthops.items()])
    leaf.pass_(survey=True)
    assert metrics(leaf) == {NET4: [], NET6: []}


def test_a_metric_that_another_programs_route_has_leaves_that_route_alone(leaf):
    leaf.hands.add_route(NET4, 7)
    leaf.hands.add_route(NET6, 7)
    leaf.advertise(type5(NET4, A), type5(NET6, A))
    leaf.pass_()
    assert len(leaf.routes()) == 2
    with_metric(leaf, 7)
    for _ in range(2):
        leaf.pass_(survey=True)
        assert leaf.hands.others() == [f"{NET4} metric 7", f"{NET6} metric 7"]
        assert (leaf.routes(), metrics(leaf)) == ([], {NET4: [], NET6: []})
        assert leaf.troubles() == [(f"route {NET4}", "contested foreign"), (f"route {NET6}", "contested foreign")]
    with_metric(leaf, 8)
    leaf.pass_(survey=True)
    assert leaf.troubles() == []
    assert metrics(leaf) == {NET4: [8], NET6: [8]}


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOMEM, errno.EPERM])
def test_a_route_stays_if_the_one_with_the_new_metric_is_refused(code):
    """There is no way to have a real kernel refuse just that."""
    with routed_leaf("memory") as leaf:
        leaf.advertise(type5(NET4, A))
        leaf.pass_()
        routing = leaf.hands.kernel.routing
        write = routing.write_route

        def refusing(message: RouteMessage) -> None:
            if message.verb is Verb.CREATE:
                raise Refused(code)
            write(message)

        routing.write_route = refusing
        with_metric(leaf, 7)
        leaf.pass_()
        assert metrics(leaf)[NET4] == [229]
        assert leaf.troubles() != []


def test_another_programs_route_of_another_metric_stays_beside_ours(leaf):
    leaf.hands.add_route(NET4, 5)
    leaf.hands.add_route(NET6, 5)
    routes = type5(NET4, A), type5(NET6, A)
    leaf.advertise(*routes)
    leaf.pass_()
    assert leaf.routes() == [f"{NET4} via {A}", f"{NET6} via {A}"]
    leaf.withdraw(*routes)
    leaf.pass_()
    assert leaf.routes() == []
    assert leaf.hands.others() == [f"{NET4} metric 5", f"{NET6} metric 5"]


def whole(leaf) -> tuple[list[str], list[str]]:
    return leaf.routes(), leaf.routers()


@pytest.fixture
def full(leaf):
    leaf.advertise(type5(NET4, A), type5(NET4, B), type5(NET6, A), type2("192.168.1.7", B))
    leaf.pass_()
    assert len(leaf.routes()) == 3
    return leaf


def test_an_svi_that_goes_down_and_up_gets_everything_back(full):
    before = whole(full)
    full.hands.set_up("br4001", up=False)
    report = full.pass_()
    assert "svi-down" in report.not_ready[4001]
    assert full.routes() == []
    full.hands.set_up("br4001", up=True)
    full.pass_()
    assert whole(full) == before


def test_a_lost_carrier_is_repaired_when_it_comes_back(full):
    before = whole(full)
    full.hands.lose_carrier(up=False)
    report = full.pass_()
    assert "svi-no-carrier" in report.not_ready[4001]
    wait_until(lambda: full.routes() == [], "the kernel removes the routes, a moment later (linkwatch)", 30)
    full.hands.lose_carrier(up=True)
    full.pass_()
    assert whole(full) == before


def test_a_carrier_that_was_lost_between_two_looks_is_noticed(full):
    before = whole(full)
    full.hands.lose_carrier(up=False)
    full.hands.lose_carrier(up=True)
    full.pass_()
    assert whole(full) == before


def test_a_new_mac_of_the_svi_takes_the_neighbor_rows_and_they_come_back(full):
    before = whole(full)
    full.hands.set_mac(Mac.parse("02:00:00:00:ff:99"))
    full.pass_()
    assert whole(full) == before


def test_an_svi_that_leaves_its_vrf_and_enters_it_again_gets_everything_back(full):
    if not full.hands.has_vrf:
        pytest.skip("this kernel has no VRF devices")
    before = whole(full)
    full.hands.leave_and_enter_vrf()
    full.pass_(survey=True)
    assert whole(full) == before


def test_a_deleted_nexthop_and_its_routes_come_back(full):
    before = whole(full)
    for nexthop in full.hands.kernel.nexthops():
        if not nexthop.members:
            full.hands.delete_nexthop(nexthop.id)
    assert full.routes() == []
    full.pass_(survey=True)
    assert whole(full) == before


def test_a_second_router_mac_of_a_vtep_does_not_replace_the_one_in_use(leaf):
    leaf.advertise(type5(NET4, A), type5("192.168.2.0/24", A))
    leaf.pass_()
    leaf.advertise(type5("192.168.3.0/24", A, "02:00:00:00:11:11"))
    leaf.pass_()
    assert leaf.routers() == sorted(ONE_VTEP)
    leaf.withdraw(type5("192.168.3.0/24", A, "02:00:00:00:11:11"))
    leaf.pass_()
    assert leaf.routers() == sorted(ONE_VTEP)


def test_the_row_of_a_router_mac_that_two_vteps_name_leads_to_the_lower_one(leaf):
    mac = "02:00:00:00:ff:02"
    leaf.advertise(type5(NET4, B, mac), type5(NET6, A, mac))
    leaf.pass_()
    assert f"{mac} at {A}" in leaf.routers()
    leaf.withdraw(type5(NET6, A, mac))
    leaf.pass_()
    assert leaf.routers() == sorted([f"{mac} at {B}", f"{B} is {mac}"])


def test_a_router_mac_that_changes_is_followed_when_no_route_names_the_old_one(leaf):
    leaf.advertise(type5(NET4, A), type5(NET6, A), type5(NET4, B))
    leaf.pass_()
    leaf.advertise(type5(NET4, A, "02:00:00:00:11:11"), type5(NET6, A, "02:00:00:00:11:11"))
    leaf.pass_()
    assert leaf.routers() == [
        "02:00:00:00:11:11 at 10.0.0.2",
        "02:00:00:00:ff:03 at 10.0.0.3",
        "10.0.0.2 is 02:00:00:00:11:11",
        "10.0.0.3 is 02:00:00:00:ff:03",
    ]


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        (type5(NET4, A, None), "router-mac-missing"),
        (type5(NET4, A, "ff:ff:ff:ff:ff:ff"), "bad-router-mac"),
        (type5(NET4, A, label=0), "bad-vni"),
        (type5(NET4, A, label=4002), "vni-mismatch"),
        (type5(NET4, "10.0.0.1"), "self-vtep"),
        (type5(NET4, "2001:db8::2"), "family-mismatch"),
        (type5(NET4, A, gateway="192.168.9.9"), "gateway-unresolved"),
        (type5(NET4, A, gateway="192.168.9.9", esi=bytes(9) + b"\x01"), "overlay-index"),
        (type5(NET4, A, esi=bytes(9) + b"\x01"), "segment-unresolved"),
        (type5(NET4, A, esi=b"\xff" * 10), "overlay-index"),
        (type5("127.0.0.0/8", A), "bad-prefix"),
        (type5("224.0.0.0/4", A), "bad-prefix"),
        (type5("fe80::/10", A), "bad-prefix"),
    ],
)
def test_a_route_that_cannot_be_used_is_refused_with_a_reason(route, reason):
    with routed_leaf("memory") as leaf:
        leaf.advertise(route)
        leaf.pass_(survey=True)
        assert leaf.routes() == []
        [(_, [path])] = leaf.leaf.intent.judged_prefixes.unordered()
        assert (path.verdict, path.reason) == ("refused", reason)


@pytest.mark.parametrize("way", ["alone", "shared"])
@pytest.mark.parametrize("world", ["memory", pytest.param("namespace", marks=pytest.mark.root_netns)])
def test_an_l3vni_that_is_a_vlan_of_a_bridge_has_the_same_rows(world, way, namespace_refused):
    if world == "namespace" and (reason := namespace_refused or why_no_vlans()):
        pytest.skip(reason)
    with routed_leaf(world, way) as leaf:
        leaf.pass_(survey=True)
        leaf.advertise(type5(NET4, A), type5(NET4, B), type5(NET6, A), type2("192.168.1.7", B))
        leaf.pass_()
        assert leaf.troubles() == []
        assert leaf.routes() == [f"{NET4} via {A} {B}", "192.168.1.7/32 via 10.0.0.3", f"{NET6} via {A}"]
        assert {f"{A} is 02:00:00:00:ff:02", f"02:00:00:00:ff:03 at {B}"} <= set(leaf.routers())
        report = leaf.pass_(survey=True)
        assert (report.created, report.replaced, report.deleted, report.repaired) == (0, 0, 0, 0)
        leaf.engine = Engine(KINDS, leaf.target, Claims(KINDS))
        assert leaf.pass_(survey=True).created == 0
        leaf.withdraw(type5(NET4, A), type5(NET4, B), type5(NET6, A), type2("192.168.1.7", B))
        leaf.pass_()
        assert (leaf.routes(), leaf.routers(), leaf.hands.kernel.nexthops()) == ([], [], [])


def test_a_new_daemon_takes_over_the_rows_of_the_last_one_without_a_write(full):
    before = whole(full)
    full.engine = Engine(KINDS, full.target, Claims(KINDS))
    report = full.pass_(survey=True)
    assert (report.created, report.replaced, report.deleted) == (0, 0, 0)
    assert whole(full) == before


def test_a_vrf_that_a_reload_gives_another_table_or_svi_leaves_nothing_where_it_was(leaf):
    leaf.advertise(type5(NET4, A), type5(NET6, A), type5("192.168.2.0/24", B), type5("192.168.2.0/24", C))
    leaf.pass_()
    vrf = msgspec.structs.replace(leaf.config.vrfs[0], table=77)
    leaf.target.reconfigure((), [vrf])
    leaf.pass_(survey=True)
    assert leaf.troubles() == []
    assert (len(leaf.hands.kernel.routes([TABLE])), len(leaf.hands.kernel.routes([77]))) == (0, 3)
    leaf.engine.suspect_attachments()
    assert leaf.pass_(survey=True).deleted == 0


def test_a_vrf_that_moves_to_another_svi_gets_its_nexthops_there():
    leaf = RoutedLeaf(MemoryHands())
    leaf.pass_(survey=True)
    leaf.advertise(type5(NET4, A), type5(NET6, A))
    leaf.pass_()
    vrf = msgspec.structs.replace(leaf.config.vrfs[0], svi="br2", bridge="br2", vxlan="vx2")
    leaf.hands.kernel.add_devices_of_vrf(msgspec.structs.replace(vrf, name="x"))
    leaf.hands.kernel.join_vrf("br2", "blue")
    before = {found.device for found in leaf.hands.kernel.nexthops()}
    leaf.target.reconfigure((), [vrf])
    leaf.pass_(survey=True)
    leaf.pass_()
    assert leaf.troubles() == []
    assert len(leaf.routes()) == 2
    assert not before & {found.device for found in leaf.hands.kernel.nexthops()}
    assert leaf.routers() == []  # those of the SVI before


@pytest.mark.root_netns
def test_what_others_remove_is_announced_and_what_we_write_is_not(namespace_refused):
    if namespace_refused:
        pytest.skip(namespace_refused)
    with routed_leaf("namespace") as leaf, closing(leaf.hands.kernel.routing_events()) as events:
        routes = type5(NET4, A), type5(NET6, A), type5(NET4, B)
        leaf.advertise(*routes)
        leaf.pass_(survey=True)
        leaf.withdraw(type5(NET4, B))
        leaf.pass_()
        assert not leaf.target.concerns_routing(events.drain(), leaf.engine.has)

        before = whole(leaf)
        for command in (
            f"route del {NET6} table {TABLE} proto 229",
            f"nexthop del id {leaf.hands.kernel.nexthops()[0].id}",
            "link set br4001 address 02:00:00:00:ff:99",
            f"neigh del {A} dev br4001",
        ):
            ip(command)
            assert leaf.target.concerns_routing(events.drain(), leaf.engine.has), command
            leaf.pass_(survey=True)
            assert whole(leaf) == before
        assert not leaf.target.concerns_routing(events.drain(), leaf.engine.has)
        ip("route add 203.0.113.0/24 dev br4001 table 77")
        assert not leaf.target.concerns_routing(events.drain(), leaf.engine.has)


@pytest.mark.root_netns
def test_routes_of_others_are_read_while_a_survey_dumps_ours_in_another_thread(namespace_refused):
    if namespace_refused:
        pytest.skip(namespace_refused)
    with own_namespace(), Kernel() as kernel, ThreadPoolExecutor(1) as thread:
        lines = (
            f"route add 10.9.{n >> 8}.{n & 255} dev lo table {t} proto {t}\n" for t in (229, 77) for n in range(2000)
        )
        ip("link set lo up")
        subprocess.run(["ip", "-batch", "-"], input="".join(lines), text=True, check=True)
        surveys = [thread.submit(kernel.routes, [229]) for _ in range(6)]
        others = []
        while not surveys[-1].done():
            others.append(len(kernel.routes_of(77, 77)))
        assert {len(survey.result()) for survey in surveys} == set(others) == {2000}


def test_a_router_mac_of_a_device_of_ours_is_refused_from_the_moment_it_is_known():
    with routed_leaf("memory") as leaf:
        leaf.advertise(type5(NET4, A, "02:00:00:00:11:11"))
        leaf.pass_(survey=True)
        assert leaf.routes() == [f"{NET4} via {A}"]
        leaf.leaf.learn_own_macs(frozenset({Mac.parse("02:00:00:00:11:11")}))
        leaf.pass_()
        assert leaf.routes() == []


def test_a_host_that_is_here_is_not_routed_elsewhere_until_it_has_lost_its_mac():
    config = (
        CONFIG
        + """[[vni]]
vni = 10
bridge = "br10"
vxlan = "vx10"
vrf = "blue"
import_rt = ["65000:10"]
"""
    )
    host, mac = Ip.parse("192.168.1.7"), Mac.parse("02:00:00:00:00:aa")
    with routed_leaf("memory") as leaf:
        leaf.leaf.reconfigure(parse(config), 0.0)
        leaf.leaf.set_advertising(frozenset({Vni(10)}))
        leaf.leaf.learn_stations([Station(Vni(10), mac, "h0", hosts=frozenset({host}))])
        leaf.advertise(type2(str(host), A, l2=True))
        leaf.pass_(survey=True)
        leaf.pass_()
        assert leaf.routes() == []
        leaf.advertise(type2(str(host), B, seq=1, l2=True))
        leaf.pass_()
        leaf.pass_()
        assert leaf.routes() == [f"{host}/32 via {B}"]
        leaf.leaf.learn_stations([Station(Vni(10), mac, "h0", hosts=frozenset({host}))])
        leaf.pass_()
        leaf.pass_()
        assert leaf.routes() == []


@pytest.mark.root_netns
def test_an_svi_that_does_not_forward_or_has_no_ipv6_is_noted_with_the_command(namespace_refused):
    if namespace_refused:
        pytest.skip(namespace_refused)
    with routed_leaf("namespace") as leaf:
        ours = "/proc/sys/net"

        def told() -> set[str]:
            return {note.partition(":")[0] for note in leaf.pass_(survey=True).notes.get(4001, ())}

        Path(f"{ours}/ipv4/conf/br4001/forwarding").write_text("1")
        Path(f"{ours}/ipv6/conf/br4001/forwarding").write_text("1")
        assert told() == set()
        Path(f"{ours}/ipv4/conf/br4001/forwarding").write_text("0")
        Path(f"{ours}/ipv6/conf/br4001/forwarding").write_text("0")
        assert told() == {"forwarding-off", "ipv6-forwarding-off"}
        Path(f"{ours}/ipv6/conf/br4001/disable_ipv6").write_text("1")
        assert told() == {"forwarding-off", "ipv6-disabled"}


@pytest.mark.root_netns
@pytest.mark.parametrize(
    ("breaks", "code"),
    [("link set dev vx4001 mtu 1400; link set dev br4001 mtu 1500", "svi-mtu"),
     ("link set dev br4001 addrgenmode eui64", "svi-addrgenmode")],
)  # fmt: skip
def test_what_is_noted_of_an_svi_is_mended_by_the_command_that_the_note_names(breaks, code, namespace_refused):
    if namespace_refused:
        pytest.skip(namespace_refused)
    with routed_leaf("namespace") as leaf:

        def told() -> dict[str, str]:
            notes = leaf.pass_(survey=True).notes.get(4001, ())
            return {note.partition(":")[0]: note for note in notes if note.startswith("svi-")}

        assert told() == {}
        ip(*breaks.split("; "))
        assert list(told()) == [code]
        ip(told()[code].partition("; run: ip ")[2])
        assert told() == {}


def test_the_routes_of_one_prefix_are_bounded():
    with routed_leaf("memory") as leaf:
        leaf.advertise(*(type5(NET4, A, rd=f"65000:{number}") for number in range(3000)))
        leaf.pass_(survey=True)
        [(_, paths)] = leaf.leaf.intent.judged_prefixes.unordered()
        assert (len(paths), paths[-1].reason, leaf.routes()) == (1025, "prefix-limit", [f"{NET4} via {A}"])
        leaf.withdraw(*(type5(NET4, A, rd=f"65000:{number}") for number in range(3000)))
        leaf.pass_()
        assert (leaf.routes(), dict(leaf.leaf.intent.judged_prefixes.unordered())) == ([], {})


def test_claims_outlive_the_daemon_and_what_was_withdrawn_meanwhile_goes(tmp_path):
    with routed_leaf("memory") as leaf:
        path, place = tmp_path / "ledger", {"boot": "one"}
        kept, going = (
            (type5(NET4, A), type5(NET4, B), type5(NET6, A)),
            (type5("192.168.2.0/24", C), type2("192.168.1.7", C)),
        )
        ledger = LedgerFile(path, KINDS, place)
        leaf.engine = Engine(KINDS, leaf.target, ledger)
        leaf.advertise(*kept, *going)
        leaf.pass_(survey=True)
        before = {kind.name: {key: claim.row for key, claim in ledger.claims(kind.name).items()} for kind in KINDS}
        assert all(before[name] for name in ("router-mac", "router-neighbor", "nexthop", "nexthop-group", "route"))
        leaf.withdraw(*going)  # which no engine sees: the daemon was killed

        ledger.close()
        again = LedgerFile(path, KINDS, place)
        assert {
            kind.name: {key: claim.row for key, claim in again.claims(kind.name).items()} for kind in KINDS
        } == before
        leaf.engine = Engine(KINDS, leaf.target, again)
        report = leaf.pass_(survey=True)
        assert (report.created, report.replaced) == (0, 0)
        assert leaf.routes() == [f"{NET4} via {A} {B}", f"{NET6} via {A}"]
        assert not any("10.0.0.4" in line for line in leaf.routers())
        again.close()


def test_a_daemon_that_starts_again_knows_its_rows_before_the_peers_have_sent_their_routes(leaf, tmp_path):
    """The first look is made before any route is there; rows of a VRF cannot be read one by one later."""
    routes = type5(NET4, A), type5(NET4, B), type5(NET6, A), type2("192.168.1.7", C)
    path, place = tmp_path / "ledger", {"boot": "one"}
    with closing(LedgerFile(path, KINDS, place)) as ledger:
        leaf.engine = Engine(KINDS, leaf.target, ledger)
        leaf.advertise(*routes)
        leaf.pass_(survey=True)
    before = whole(leaf)
    with closing(LedgerFile(path, KINDS, place)) as ledger:
        leaf.engine = Engine(KINDS, leaf.target, ledger)
        leaf.leaf = Leaf(leaf.config, leaf.now)
        leaf.pass_()
        leaf._receive(SessionOpened(PEER))
        leaf.advertise(*routes)
        report = leaf.pass_()
        assert (report.created, report.replaced, leaf.troubles()) == (0, 0, [])
        leaf._receive(EndOfRib(PEER))
        leaf.withdraw(type5(NET4, B))
        leaf.pass_()
        assert leaf.troubles() == []
        assert whole(leaf) != before
        assert leaf.routes() == [f"{NET4} via {A}", f"192.168.1.7/32 via {C}", f"{NET6} via {A}"]


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from([NET4, NET6, "0.0.0.0/0"]), st.sampled_from([A, B, C]), st.integers(0, 2)),
            max_size=6,
        ),
        max_size=6,
    )
)
def test_any_history_ends_as_if_only_its_end_had_been(history):
    """The short path for many rows, judging only what changed, and the counts of users: each against its plain form."""
    macs = {0: "", 1: "", 2: "02:00:00:00:11:11"}
    bulk, plain = RoutedLeaf(MemoryHands()), RoutedLeaf(MemoryHands(), bulk=False)
    held: dict[bytes, object] = {}
    for step in history:
        for prefix, vtep, what in step:
            key, route = type5(prefix, vtep, macs[what] if vtep == A else "")
            if what:
                held[key] = route
            else:
                held.pop(key, None)
            for leaf in (bulk, plain):
                leaf.advertise((key, route)) if what else leaf.withdraw((key, route))
        for leaf in (bulk, plain):
            leaf.pass_()
        assert whole(bulk) == whole(plain)
        assert bulk.troubles() == plain.troubles() == []
    afresh = RoutedLeaf(MemoryHands())
    afresh.advertise(*held.items())
    afresh.pass_(survey=True)
    assert bulk.routes() == afresh.routes()
    assert {found.id for found in bulk.hands.kernel.nexthops()} == {
        found.id for found in afresh.hands.kernel.nexthops()
    }
    users = {number: found.users for number, found in bulk.leaf.intent.nexthops.unordered()}
    assert users == {number: found.users for number, found in afresh.leaf.intent.nexthops.unordered()}
    assert dict(bulk.leaf.intent.prefixes_of_vrf.unordered()) == dict(afresh.leaf.intent.prefixes_of_vrf.unordered())


@pytest.mark.parametrize("world", ["memory", pytest.param("namespace", marks=pytest.mark.root_netns)])
def test_a_vrf_imports_routes_of_another_one_by_the_l3vni_of_that(world, namespace_refused):
    """Packets go into the VNI of the route's label, as its leaf expects: by the SVI of the other VRF (RFC 9136 4.4.1)."""
    if world == "namespace" and namespace_refused:
        pytest.skip(namespace_refused)
    with routed_leaf(world, "two") as leaf:
        leaf.pass_(survey=True)
        shared, shared6 = (type5(net, A, "02:00:00:00:fe:02", label=4002) for net in (NET4, NET6))
        leaf.advertise(shared, shared6, type5(OWN, A))
        leaf.pass_()
        assert leaf.routes() == sorted(f"{net} via {A}" for net in (NET4, NET6, OWN))
        links = leaf.hands.kernel.links().by_name
        devices = {found.id: found.device for found in leaf.hands.kernel.nexthops()}
        by = {str(route.prefix): devices[route.nexthop] for route in leaf.hands.kernel.routes([TABLE])}
        red, blue = links["br4002"].index, links["br4001"].index
        assert by == {NET4: red, NET6: red, OWN: blue}
        assert Mac.parse("02:00:00:00:fe:02") in {
            row.mac for row in leaf.hands.kernel.neighbors([red]) if row.protocol == 229
        }

        report = leaf.pass_(survey=True)  # what is read back is what is wanted
        assert (report.created, report.replaced, report.deleted, report.repaired) == (0, 0, 0, 0)
        leaf.hands.set_up("br4002", up=False)
        leaf.pass_()
        assert leaf.routes() == [f"{OWN} via {A}"]
        leaf.hands.set_up("br4002", up=True)
        leaf.pass_()
        leaf.pass_()
        assert leaf.routes() == sorted(f"{net} via {A}" for net in (NET4, NET6, OWN))

        leaf.advertise(type5(NET4, B))  # an equal route of the VRF's own L3VNI is better
        leaf.pass_()
        assert f"{NET4} via {B}" in leaf.routes()
        paths = leaf.leaf.intent.judged_prefixes[Prefix.parse(NET4)]
        assert {(str(path.vtep), path.verdict, path.reason) for path in paths} == {
            (A, "lost", "other-l3vni"),
            (B, "won", "other-l3vni"),
        }
        leaf.withdraw(shared, shared6, type5(NET4, B), type5(OWN, A))
        leaf.pass_()
        assert (leaf.routes(), leaf.hands.kernel.nexthops()) == ([], [])


@pytest.mark.parametrize("world", ["memory", pytest.param("namespace", marks=pytest.mark.root_netns)])
def test_a_route_by_the_l3vni_of_a_vrf_that_is_not_ready_is_not_repaired_again_and_again(world, namespace_refused):
    if world == "namespace" and namespace_refused:
        pytest.skip(namespace_refused)
    with routed_leaf(world, "two") as leaf:
        leaf.pass_(survey=True)
        leaf.advertise(type5(NET4, A, "02:00:00:00:fe:02", label=4002))
        leaf.pass_()
        leaf.hands.set_up("vx4002", up=False)
        report = leaf.pass_(survey=True)

        assert leaf.routes() == [f"{NET4} via {A}"]
        assert (report.replaced, report.repaired) == (0, 0)


def test_a_claim_of_a_route_by_another_l3vni_is_read_back():
    keys = [(Vni(4001), Prefix.parse(net)) for net in (NET4, NET6)]
    rows = RouteRow(0x6000_0001), RouteRow(0x7FFF_FFFF, Vni(4002))
    for row in (*rows, *(replace(row, metric=metric) for row in rows for metric in (1, 0xFFFF_FFFF))):
        assert ROUTE.unpack(ROUTE.pack(keys, row)) == (keys, row)
