"""Which routes to a prefix win, where a gateway is, and what bounds the nexthops, the Router's MACs and the prefixes of a VRF."""

from time import process_time
from zlib import crc32

import pytest
from msgspec.structs import replace

from tests.contract.routed import (
    CONFIG,
    PEER,
    RED,
    MemoryHands,
    RoutedLeaf,
    TwoInMemory,
    type1,
    type1_of_segment,
    type2,
    type5,
)
from vtep.addr import Ip, Mac, Prefix, RouteTarget, Vni
from vtep.config.file import parse
from vtep.evpn.event import Announced, Received, Withdrawn
from vtep.evpn.station import Station
from vtep.evpn.update import read_updates
from vtep.linux.memory.kernel import MemoryKernel
from vtep.projection import identifier
from vtep.projection import prefix as projection
from vtep.projection.leaf import Leaf
from vtep.projection.project import project

A, B, C = "10.0.0.2", "10.0.0.3", "10.0.0.4"
NET, GATEWAY = "192.168.1.0/24", "192.168.9.9"


@pytest.fixture
def leaf() -> RoutedLeaf:
    leaf = RoutedLeaf(MemoryHands())
    leaf.pass_(survey=True)
    return leaf


def outcomes(leaf: RoutedLeaf, text: str = NET) -> dict[str, tuple[str, str]]:
    """Return the verdict and the reason of the path to each VTEP."""
    paths = leaf.leaf.intent.judged_prefixes.get(Prefix.parse(text), ())
    return {str(path.vtep): (path.verdict, path.reason) for path in paths}


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [
        ({"local_pref": 200}, {}, "local-pref"),
        ({}, {"local_pref": 50}, "local-pref"),
        ({"as_path_length": 1}, {"as_path_length": 2}, "as-path"),
        ({"local_pref": 200, "as_path_length": 9}, {"as_path_length": 1}, "local-pref"),
        ({}, {"llgr_stale": True, "local_pref": 200}, "llgr-stale"),
        ({}, {"origin": 2}, "origin"),
        ({"origin": 2, "med": 9}, {"as_path_length": 1}, "as-path"),
        ({"origin": 1, "med": 9}, {"origin": 2, "med": 1}, "origin"),
        ({"med": 1}, {"med": 2}, "med"),
        ({}, {"med": 1}, "med"),  # a route without it has the lowest one
    ],
)
def test_a_better_route_to_a_prefix_carries_all_traffic(leaf, better, worse, reason):
    backup = type5(NET, A, **worse)
    leaf.advertise(backup, type5(NET, B, **better), type5(NET, C, **better))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {B} {C}"]
    assert outcomes(leaf) == {A: ("lost", reason), B: ("won", "ecmp"), C: ("won", "ecmp")}
    leaf.withdraw(type5(NET, C))
    leaf.pass_()
    assert outcomes(leaf) == {A: ("lost", reason), B: ("won", reason)}
    leaf.withdraw(type5(NET, B))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {A}"]


def test_a_med_counts_only_against_routes_of_the_same_neighboring_as(leaf):
    near, far = {"as_path_length": 1, "neighbor_as": 65001}, {"as_path_length": 1, "neighbor_as": 65002}
    leaf.advertise(
        type5(NET, A, med=5, **near), type5(NET, B, med=7, **near), type5(NET, C, med=9, **far),
        type5(NET, "10.0.0.5", med=9, **far),
    )  # fmt: skip
    leaf.pass_()
    assert outcomes(leaf) == {
        A: ("won", "ecmp"), B: ("lost", "med"), C: ("won", "ecmp"), "10.0.0.5": ("won", "ecmp"),
    }  # fmt: skip
    leaf.withdraw(type5(NET, A))
    leaf.pass_()
    assert outcomes(leaf)[B] == ("won", "ecmp")


def test_a_host_moves_whatever_the_local_preference_of_its_routes(leaf):
    leaf.advertise(type2("192.168.1.7", A, seq=1), type2("192.168.1.7", B, seq=2))
    leaf.pass_()
    assert leaf.routes() == [f"192.168.1.7/32 via {B}"]


def test_a_prefix_goes_where_its_gateway_is_and_follows_it(leaf):
    route = type5(NET, A, None, label=0, gateway=GATEWAY)
    leaf.advertise(route)
    leaf.pass_()
    assert outcomes(leaf) == {A: ("refused", "gateway-unresolved")}
    leaf.advertise(type2(GATEWAY, B))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {B}", f"{GATEWAY}/32 via {B}"]
    leaf.advertise(type2(GATEWAY, C, seq=1))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {C}", f"{GATEWAY}/32 via {C}"]
    leaf.withdraw(type2(GATEWAY, C, seq=1), type2(GATEWAY, B))
    leaf.pass_()
    assert leaf.routes() == leaf.routers() == []
    leaf.advertise(type2(GATEWAY, B))
    leaf.pass_()
    leaf.withdraw(route)
    leaf.pass_()
    assert leaf.routes() == [f"{GATEWAY}/32 via {B}"]


def test_a_prefix_route_to_the_gateway_does_not_resolve_it(leaf):
    leaf.advertise(type5(NET, A, None, gateway=GATEWAY), type5(f"{GATEWAY}/32", B), type5("0.0.0.0/0", B))
    leaf.pass_()
    assert outcomes(leaf) == {A: ("refused", "gateway-unresolved")}


def test_a_gateway_of_ipv6_resolves_prefixes_of_ipv6(leaf):
    leaf.advertise(type5("2001:db8:1::/64", A, None, gateway="2001:db8:9::9"), type2("2001:db8:9::9", B))
    leaf.pass_()
    assert f"2001:db8:1::/64 via {B}" in leaf.routes()


def test_a_gateway_that_is_here_is_not_reached_by_another_vtep(leaf):
    vni = '[[vni]]\nvni = 10\nbridge = "br10"\nvxlan = "vx10"\nvrf = "blue"\nimport_rt = ["65000:10"]\n'
    host, mac = Ip.parse(GATEWAY), Mac.parse("02:00:00:00:00:aa")
    leaf.leaf.reconfigure(parse(CONFIG + vni), 0.0)
    leaf.leaf.set_advertising(frozenset({Vni(10)}))
    leaf.advertise(type5(NET, A, None, gateway=GATEWAY), type2(GATEWAY, B, l2=True))
    leaf.pass_()
    assert f"{NET} via {B}" in leaf.routes()
    leaf.leaf.learn_stations([Station(Vni(10), mac, "h0", hosts=frozenset({host}))])
    leaf.pass_()
    leaf.pass_()
    assert outcomes(leaf) == {A: ("refused", "gateway-unresolved")}


def test_gateways_of_one_prefix_that_are_resolved_are_bounded(leaf):
    most = projection.GATEWAYS_MAX
    gateways = [f"192.168.{9 + (n >> 8)}.{n & 255}" for n in range(1, most + 10)]
    leaf.advertise(*(type2(one, B, mac=f"02:00:00:00:01:{n:02x}") for n, one in enumerate(gateways)))
    leaf.advertise(*(type5(NET, A, None, gateway=one, rd=f"65000:{n}") for n, one in enumerate(gateways)))
    leaf.pass_()
    judged = leaf.leaf.intent.judged_prefixes[Prefix.parse(NET)]
    assert sum(path.reason == "gateway-unresolved" for path in judged) == 9


def limited(most: int) -> RoutedLeaf:
    leaf = RoutedLeaf(MemoryHands())
    leaf.leaf.reconfigure(parse(f"{CONFIG}[limits]\nprefixes_per_vrf = {most}\n"), 0.0)
    leaf.pass_(survey=True)
    return leaf


def test_a_vrf_that_is_full_takes_no_new_prefix_until_there_is_room():
    leaf = limited(2)
    routes = [type5(f"192.168.{number}.0/24", A) for number in range(5)]
    leaf.advertise(*routes[:2])
    leaf.pass_()
    leaf.advertise(*routes[2:])
    leaf.pass_()
    assert leaf.routes() == [f"192.168.{number}.0/24 via {A}" for number in range(2)]
    assert outcomes(leaf, "192.168.4.0/24") == {A: ("refused", "vrf-limit")}
    leaf.advertise(type5("192.168.0.0/24", B), type5("192.168.4.0/24", B))  # one that is there may change
    leaf.pass_()
    assert f"192.168.0.0/24 via {A} {B}" in leaf.routes()
    leaf.withdraw(routes[1])
    leaf.pass_()
    assert len(leaf.routes()) == 2
    leaf.withdraw(*routes[1:], type5("192.168.4.0/24", B))
    leaf.pass_()
    assert leaf.routes() == [f"192.168.0.0/24 via {A} {B}"]
    assert dict(leaf.leaf.intent.limited_prefixes.unordered()) == {}


def test_each_vrf_has_a_limit_of_its_own_and_takes_the_lowest_of_those_that_come_together():
    text = f"{CONFIG}max_prefixes = 2\n{RED}[limits]\nprefixes_per_vrf = 3\n"
    leaf = RoutedLeaf(TwoInMemory("two"))
    leaf.leaf.reconfigure(parse(text), 0.0)
    leaf.pass_(survey=True)
    target = RouteTarget.parse("65000:4002")
    numbers = [4, 1, 3, 0, 2]
    for number in numbers:
        leaf.advertise(type5(f"192.168.{number}.0/24", A))
        key, route = type5(f"10.9.{number}.0/24", A, label=4002)
        leaf.advertise((key, replace(route, attributes=replace(route.attributes, targets=(target,)))))
    leaf.pass_()
    assert dict(leaf.leaf.intent.prefixes_of_vrf.unordered()) == {4001: 2, 4002: 3}
    assert leaf.routes() == [f"192.168.{number}.0/24 via {A}" for number in (0, 1)]
    leaf.withdraw(type5("192.168.0.0/24", A))
    leaf.pass_()
    assert leaf.routes() == [f"192.168.{number}.0/24 via {A}" for number in (1, 2)]
    leaf.leaf.reconfigure(parse(text.replace("max_prefixes = 2", "max_prefixes = 9")), 0.0)
    leaf.pass_()
    assert dict(leaf.leaf.intent.prefixes_of_vrf.unordered()) == {4001: 4, 4002: 3}


def test_a_limit_that_is_raised_gives_the_prefixes_that_waited_their_rows():
    leaf = limited(1)
    leaf.advertise(*(type5(f"192.168.{number}.0/24", A) for number in range(5)))
    leaf.pass_()
    assert len(leaf.routes()) == 1
    leaf.leaf.reconfigure(parse(CONFIG), 0.0)
    leaf.pass_()
    assert len(leaf.routes()) == 5


def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every checksum be the same, as an attacker may arrange."""
    monkeypatch.setattr(identifier, "crc32", lambda _: crc32(b""))


def test_nexthops_with_one_checksum_stay_apart_and_are_found_again(leaf, monkeypatch):
    alike(monkeypatch)
    leaf.advertise(type5(NET, A), type5("192.168.2.0/24", B), type5("192.168.3.0/24", C))
    leaf.pass_()
    leaf.withdraw(type5(NET, A))  # whose nexthop has the first identifier
    leaf.pass_()
    leaf.advertise(type5("192.168.4.0/24", B))
    leaf.pass_()
    assert leaf.routes() == [f"192.168.2.0/24 via {B}", f"192.168.3.0/24 via {C}", f"192.168.4.0/24 via {B}"]
    assert len(leaf.hands.kernel.nexthops()) == 2
    assert leaf.routers() == [
        "02:00:00:00:ff:03 at 10.0.0.3",
        "02:00:00:00:ff:04 at 10.0.0.4",
        "10.0.0.3 is 02:00:00:00:ff:03",
        "10.0.0.4 is 02:00:00:00:ff:04",
    ]


def test_very_many_vteps_with_one_checksum_are_told_apart_quickly(monkeypatch):
    alike(monkeypatch)
    tried = 0
    identifiers = projection._identifiers

    def counted(target):
        nonlocal tried
        for number in identifiers(target):
            tried += 1
            yield number

    monkeypatch.setattr(projection, "_identifiers", counted)
    leaf = Leaf(parse(CONFIG), 0.0)
    vteps = [f"10.{1 + (n >> 8)}.{n & 255}.7" for n in range(2000)]
    routes = dict(type5(f"172.16.{n >> 8}.{n & 255}/32", vtep) for n, vtep in enumerate(vteps))
    leaf.receive([Received((Announced(PEER, routes),), peer=PEER)], 0.0)
    assert len(leaf.judge(0.0).nexthops) == 2000
    assert tried < 3 * 2000


def test_a_vtep_with_very_many_router_macs_costs_no_more_at_each_change():
    leaf = Leaf(parse(CONFIG), 0.0)

    def route(number: int):
        return type5(
            f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}/32", A, str(Mac(b"\x02\0" + number.to_bytes(4)))
        )

    leaf.receive([Received((Announced(PEER, dict(map(route, range(20_000)))),), peer=PEER)], 0.0)
    leaf.judge(0.0)
    [(_, router)] = leaf.intent.routers.unordered()
    assert (len(router.claims), router.paths) == (20_000, 20_000)
    before = process_time()
    for number in range(100):
        key, one = route(19_000 + number)
        leaf.receive([Received((Withdrawn(PEER, (key,)), Announced(PEER, {key: one})), peer=PEER)], 0.0)
        leaf.receive([Received((Withdrawn(PEER, (key,)),), peer=PEER)], 0.0)
        leaf.judge(0.0)
    assert (process_time() - before) / 100 < 0.003  # 0.1 ms; with a copy of all claims it was 13 ms
    [(_, router)] = leaf.intent.routers.unordered()
    assert (len(router.claims), router.paths) == (19_900, 19_900)
    assert router.mac in router.claims


def test_what_is_judged_bit_by_bit_is_what_is_judged_at_once(leaf):
    routes = [
        type5(NET, A, None, gateway=GATEWAY),
        type5(NET, B, None, gateway="192.168.9.10", local_pref=200),
        type2(GATEWAY, B),
        type2("192.168.9.10", C, mac="02:00:00:00:00:bb"),
        type2(GATEWAY, C, seq=3),
    ]
    for route in (*routes, *routes[2:4]):
        leaf.advertise(route)
        leaf.pass_()
        for other in (None, type2("192.168.9.10", C, mac="02:00:00:00:00:bb")):
            if other is not None:
                leaf.withdraw(other)
                leaf.pass_()
            again = project(leaf.leaf.rib, leaf.leaf._policy, 0.0)
            assert dict(again.prefixes.unordered()).keys() == dict(leaf.leaf.intent.prefixes.unordered()).keys()
            for prefix, rows in again.prefixes.unordered():
                assert [row.paths for row in rows] == [row.paths for row in leaf.leaf.intent.prefixes[prefix]]


SEGMENT = bytes.fromhex("03443839ffff01000001")


def there(*vteps: str, **other) -> list:
    """Return the Type-1 routes with which these VTEPs have the segment."""
    return [route(SEGMENT, vtep, **other) for vtep in vteps for route in (type1, type1_of_segment)]


def behind(prefix: str = NET, vtep: str = A, **other):
    return type5(prefix, vtep, **{"label": 0, "esi": SEGMENT} | other)


def test_a_prefix_goes_to_the_vteps_that_have_its_segment(leaf):
    leaf.advertise(behind())
    leaf.pass_()
    assert outcomes(leaf) == {A: ("refused", "segment-unresolved")}

    leaf.advertise(type1(SEGMENT, B))
    leaf.pass_()
    assert outcomes(leaf) == {A: ("refused", "segment-unresolved")}  # it is not known yet that the segment is up there

    leaf.advertise(type1_of_segment(SEGMENT, B))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {B}"]
    assert f"{B} is 02:00:00:00:ff:02" in leaf.routers()  # to the Router's MAC of the Type-5 route

    leaf.advertise(*there(C))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {B} {C}"]

    leaf.withdraw(type1_of_segment(SEGMENT, B))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {C}"]

    leaf.withdraw(*there(C))
    leaf.pass_()
    assert leaf.routes() == leaf.routers() == []
    assert outcomes(leaf) == {A: ("refused", "segment-unresolved")}


def test_the_routers_mac_of_a_vtep_that_has_the_segment_comes_before_that_of_the_prefix(leaf):
    leaf.advertise(behind(), *there(B, router_mac="02:00:00:00:ee:03"))
    leaf.pass_()
    assert leaf.routers() == sorted([f"{B} is 02:00:00:00:ee:03", f"02:00:00:00:ee:03 at {B}"])


@pytest.mark.parametrize("router_mac", [None, "01:00:5e:00:00:01"])
def test_a_prefix_behind_a_segment_needs_a_routers_mac(leaf, router_mac):
    leaf.advertise(behind(router_mac=router_mac), *there(B))
    leaf.pass_()
    assert outcomes(leaf) == {B: ("refused", "router-mac-missing" if router_mac is None else "bad-router-mac")}


def test_of_a_single_active_segment_the_vtep_of_the_prefix_is_used_and_then_the_other_one(leaf):
    leaf.advertise(behind(vtep=A), *there(A, B, single_active=True))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {A}"]
    leaf.withdraw(type1_of_segment(SEGMENT, A))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {B}"]
    leaf.advertise(type1_of_segment(SEGMENT, A, single_active=True))
    leaf.withdraw(type1(SEGMENT, A))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {B}"]  # A has the segment, and not for this VRF


@pytest.mark.parametrize(
    "other",
    [
        {"label": 4999},
        {"tag": 7},
        {"targets": (RouteTarget.parse("65000:9"),)},
        {"encapsulations": (7,)},
        {"next_hop": Ip.parse("2001:db8::2")},
        {"next_hop": Ip.parse("10.0.0.1")},  # our own address
    ],
)
def test_a_type_1_route_that_the_vrf_cannot_use_resolves_nothing(leaf, other):
    attributes = {name: other.pop(name) for name in ("targets", "encapsulations", "next_hop") if name in other}
    key, route = type1(SEGMENT, B, **other)
    leaf.advertise(
        behind(),
        type1_of_segment(SEGMENT, B),
        (key, replace(route, attributes=replace(route.attributes, **attributes))),
    )
    leaf.pass_()
    assert outcomes(leaf) == {A: ("refused", "segment-unresolved")}


def test_a_type_1_route_whose_label_was_lost_counts_for_the_vrf_that_imports_it(leaf):
    leaf.advertise(behind(), type1(SEGMENT, B, label=0), type1_of_segment(SEGMENT, B))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {B}"]


def test_a_route_that_names_a_segment_and_a_gateway_is_refused(leaf):
    leaf.advertise(behind(gateway=GATEWAY), type2(GATEWAY, C), *there(B))
    leaf.pass_()
    assert outcomes(leaf) == {A: ("refused", "overlay-index")}


def test_prefixes_behind_one_segment_change_together_and_the_rest_of_a_segment_costs_nothing():
    leaf = Leaf(parse(CONFIG), 0.0)
    routes = dict(behind(f"10.{number >> 8}.{number & 255}.0/24") for number in range(5000))
    leaf.receive([Received((Announced(PEER, routes | dict(there(B))),), peer=PEER)], 0.0)
    leaf.judge(0.0)
    leaf.receive([Received((Announced(PEER, dict(there(C))),), peer=PEER)], 0.0)
    assert len(leaf.judge(0.0).touched_prefixes) == 5000
    assert leaf.unjudged == 0

    others = [type1(SEGMENT, B, label=number, rd=f"65000:{number}") for number in range(5000, 9000)]
    began = process_time()
    leaf.receive([Received((Announced(PEER, dict(others)),), peer=PEER)], 0.0)
    took = process_time() - began
    assert took < 2  # each of these routes marks a segment, and not its 5,000 prefixes
    assert leaf.judge(0.0).touched_prefixes == ()


FOREIGN = (RouteTarget.parse("65000:9"),)


def crowd(vtep: str, count: int = 500, **other):
    """Yield very many Type-1 routes of a segment, each with a Route Distinguisher of its own."""
    for number in range(count):
        for make in (type1, type1_of_segment):
            key, route = make(SEGMENT, vtep, rd=f"65001:{number}")
            yield key, replace(route, attributes=replace(route.attributes, **other))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("hostile", "used"),
    [
        (lambda: crowd(C), f"{A} {B} {C}"),  # one VTEP, whatever it sends
        (lambda: crowd(C, targets=FOREIGN), f"{A} {B}"),  # for another tenant
        (lambda: crowd(A, targets=FOREIGN), f"{A} {B}"),  # in the name of a VTEP that has the segment
        (lambda: crowd("10.0.0.1"), f"{A} {B}"),  # in our own name
    ],
    ids=["one VTEP", "another tenant", "in the name of another", "in our name"],
)
def test_no_crowd_of_routes_keeps_out_a_vtep_that_has_the_segment(leaf, first, hostile, used):
    routes = [[behind(), *there(A, B)], [*hostile()]]
    for some in reversed(routes) if first else routes:
        leaf.advertise(*some)
        leaf.pass_()
    assert leaf.routes() == [f"{NET} via {used}"]


@pytest.mark.parametrize("first", [True, False])
def test_of_a_crowd_of_vteps_the_same_are_used_in_any_order_and_the_primary_one_always(leaf, first):
    others = [f"10.1.{number >> 8}.{number & 255}" for number in range(400)]
    true = [behind(vtep="10.9.9.9"), *there(A, "10.9.9.9", single_active=True)]
    for some in (there(*others), true) if first else (true, there(*others)):
        leaf.advertise(*some)
        leaf.pass_()
    assert leaf.routes() == [f"{NET} via 10.9.9.9"]
    leaf.withdraw(type1_of_segment(SEGMENT, "10.9.9.9"))
    leaf.pass_()
    assert outcomes(leaf) == {"10.9.9.9": ("refused", "segment-unresolved")}  # several could take its place
    leaf.advertise(*there(A))  # nobody is single-active any more
    leaf.pass_()
    vteps = [A, *others[:3]]  # max_paths
    assert leaf.routes() == [f"{NET} via {' '.join(vteps)}"]


def test_from_updates_to_rows_a_prefix_behind_a_segment():
    """RFC 9136 4.3, octet by octet: the Type-5 route has the segment, no gateway and no label."""
    leaf = RoutedLeaf(MemoryHands())
    leaf.pass_(survey=True)
    evi, per_es, route = (
        "0119 00010a0000030001 03443839ffff01000001 00000000 000fa1",
        "0119 00010a0000030002 03443839ffff01000001 ffffffff 000000",
        "0522 00010a0000020001 03443839ffff01000001 00000000 18 c0a80100 00000000 000000",
    )
    extended = "030c000000000008 0002fde800000fa1"  # VXLAN, and the Route Target 65000:4001
    router_mac = "0603 02000000ff77"
    for nlri, next_hop, communities in (
        (evi, "0a000003", extended),
        (per_es, "0a000003", extended + "0601000000000000"),
        (route, "0a000002", extended + router_mac),
    ):
        events, bad = read_updates(_update(*map(bytes.fromhex, (nlri, next_hop, communities))), PEER)
        assert bad == ()
        leaf.leaf.receive([Received(events, peer=PEER)], leaf.now)
    leaf.pass_()
    assert leaf.routes() == ["192.168.1.0/24 via 10.0.0.3"]
    assert leaf.routers() == sorted(["10.0.0.3 is 02:00:00:00:ff:77", "02:00:00:00:ff:77 at 10.0.0.3"])


def _update(nlri: bytes, next_hop: bytes, communities: bytes) -> bytes:
    reach = b"\x00\x19\x46\x04" + next_hop + b"\x00" + nlri
    path = b"\x40\x01\x01\x00" + b"\x40\x02\x00" + b"\x40\x05\x04\x00\x00\x00\x64"  # ORIGIN, AS_PATH, LOCAL_PREF
    path += b"\xc0\x10" + bytes((len(communities),)) + communities
    path += b"\x80\x0e" + bytes((len(reach),)) + reach
    body = b"\x00\x00" + len(path).to_bytes(2) + path
    return b"\xff" * 16 + (19 + len(body)).to_bytes(2) + b"\x02" + body


def test_a_hosts_own_route_comes_before_a_prefix_of_full_length(leaf):
    own = type2("192.168.1.7", B)
    leaf.advertise(type5("192.168.1.7/32", A, local_pref=200), own)
    leaf.pass_()
    assert leaf.routes() == [f"192.168.1.7/32 via {B}"]
    assert outcomes(leaf, "192.168.1.7/32") == {A: ("lost", "host-route"), B: ("won", "host-route")}
    leaf.withdraw(own)
    leaf.pass_()
    assert leaf.routes() == [f"192.168.1.7/32 via {A}"]


class Ipv6Hands(MemoryHands):
    """The tunnel addresses are IPv6 (RFC 8950 for the IPv4 prefixes)."""

    config = CONFIG.replace("10.0.0.1", "2001:db8::1")

    def __init__(self) -> None:
        self.kernel = MemoryKernel()
        self.kernel.add_devices_of_vrf(parse(self.config).vrfs[0])


def test_prefixes_of_both_families_go_to_an_ipv6_vtep_by_one_nexthop():
    leaf, vtep = RoutedLeaf(Ipv6Hands()), "2001:db8::2"
    leaf.pass_(survey=True)
    leaf.advertise(type5(NET, vtep), type5("2001:db8:1::/64", vtep), type5("192.168.2.0/24", A))
    leaf.pass_()
    assert leaf.routes() == [f"{NET} via {vtep}", f"2001:db8:1::/64 via {vtep}"]
    assert len(leaf.leaf.intent.nexthops) == 1
    assert leaf.routers() == sorted([f"{vtep} is 02:00:00:00:ff:02", f"02:00:00:00:ff:02 at {vtep}"])
    assert outcomes(leaf, "192.168.2.0/24") == {A: ("refused", "family-mismatch")}


def test_one_vtep_has_a_routers_mac_for_each_vrf_and_no_conflict():
    """As FRR's bgp_evpn_rmac_conflict: two L3VNIs of one VTEP with two MACs; one changes, then both are the same."""
    leaf = RoutedLeaf(TwoInMemory("two"))
    leaf.target.reconfigure((), leaf.config.vrfs)
    leaf.pass_(survey=True)
    red = (RouteTarget.parse("65000:4002"),)

    def rows() -> dict[str, list[str]]:
        links = leaf.hands.kernel.links().by_name
        return {
            svi: [
                f"{row.ip} is {row.mac}"
                for row in leaf.hands.kernel.neighbors([links[svi].index])
                if row.protocol == 229
            ]
            for svi in ("br4001", "br4002")
        }

    for blue_mac, red_mac in (
        ("02:00:00:00:ff:02", "02:00:00:00:fe:02"),
        ("02:00:00:00:ff:02", "02:00:00:00:fe:99"),
        ("02:00:00:00:aa:aa", "02:00:00:00:aa:aa"),
    ):
        key, route = type5("192.168.2.0/24", A, red_mac, label=4002, rd=f"{A}:2")
        of_red = key, replace(route, attributes=replace(route.attributes, targets=red))
        leaf.advertise(type5(NET, A, blue_mac), of_red)
        leaf.pass_()
        assert rows() == {"br4001": [f"{A} is {blue_mac}"], "br4002": [f"{A} is {red_mac}"]}
        assert all(len(router.claims) == 1 for _, router in leaf.leaf.intent.routers.unordered())
        assert leaf.troubles() == []
