"""Which MACs the short path judges, and which it leaves to the long one."""

import pytest
from msgspec import structs

from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.config import file as config
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import Announced, PeerOpened, Received, SessionClosed, SessionOpened, Withdrawn
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.peer import Holds
from vtep.evpn.rib import Rib
from vtep.evpn.station import Station
from vtep.intent import Moves, all_outcomes, in_words
from vtep.projection.fast import judge_plain, rank
from vtep.projection.leaf import Leaf
from vtep.projection.project import Policy

LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
import_rt = ["65000:100"]
[[vni]]
vni = 200
import_rt = ["65000:200"]
[[vni]]
vni = 400
import_rt = ["65000:400"]
downstream_vni = true
"""
A, B = Ip.parse("10.0.0.1"), Ip.parse("10.0.0.2")
MAC = Mac.parse("02:00:00:00:00:01")
VNI = Vni(100)
POLICY = Policy(config.parse(LEAF), frozenset({Mac.parse("02:00:00:00:00:99")}))


def route(
    vtep: Ip,
    *,
    mac: Mac = MAC,
    rd: int = 1,
    vni: int = 100,
    into: tuple[int, ...] = (),
    esi: bytes = bytes(10),
    **attributes,
) -> MacIp:
    targets = tuple(RouteTarget.parse(f"65000:{number}") for number in into or (vni,))
    return MacIp(
        A, Attributes(vtep, targets, **attributes), RouteDistinguisher(rd.to_bytes(8)), 0, mac, vni, esi=Esi(esi)
    )


def vteps(*routes: MacIp) -> list[Ip]:
    return [plain.via.vtep for plain, _ in rank(routes, POLICY)]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        pytest.param((route(A, sticky=True),), [A], id="one, even sticky"),
        pytest.param((route(B), route(A)), [A, B], id="two places"),
        pytest.param((route(A), route(B, seq=1)), [B, A], id="a higher sequence"),
        pytest.param((route(B), route(A, llgr_stale=True)), [B, A], id="a long-lived stale one"),
        pytest.param((route(B), route(A, rd=2), route(A)), [A, A, B], id="one place told twice"),
    ],
)
def test_usual_routes_are_ranked(routes: tuple[MacIp, ...], expected: list[Ip]) -> None:
    assert vteps(*routes) == expected


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param((), id="no route"),
        pytest.param((route(A, esi=bytes((3, *[1] * 9))),), id="a segment"),
        pytest.param((route(A, vni=300),), id="a refused route"),
        pytest.param((route(A, into=(100, 400)),), id="a route into two VNIs"),
        pytest.param((route(A, vni=300, into=(400,)),), id="another VNI on the wire"),
        pytest.param((route(A, mac=Mac(6)),), id="no station's MAC"),
        pytest.param((route(A, mac=Mac.parse("02:00:00:00:00:99")),), id="a MAC of ours"),
        pytest.param((route(A), route(B, vni=200)), id="two VNIs"),
        pytest.param((route(A), route(B, sticky=True)), id="a sticky rival"),
        pytest.param((route(A), route(A, seq=1, rd=2), route(B)), id="routes of one place that disagree"),
    ],
)
def test_routes_that_are_not_plain_are_left_to_the_long_path(routes: tuple[MacIp, ...]) -> None:
    assert vteps(*routes) == []


def test_a_row_stands_for_a_route_that_says_no_more_than_the_row() -> None:
    rib = Rib(Holds(), 0.0)
    with_host = structs.replace(route(A), ip=Ip.parse("172.16.0.1"))
    rib.receive(Received((Announced(A, {one.key: one for one in (route(A), with_host)}),)), 0.0)

    alone, host, both = (
        judge_plain(rank(routes, POLICY), rib) for routes in ((route(A),), (with_host,), (route(B), route(A)))
    )

    assert alone[1] is alone[0]
    assert [one.ip for one in host[1]] == [with_host.ip]
    assert both[1][0] is both[0]
    assert [(one.vtep, one.verdict, one.reason) for one in map(in_words, both[1])] == [
        (A, "won", "lower-vtep"),
        (B, "lost", "lower-vtep"),
    ]


def test_a_row_is_stale_if_all_its_routes_are_and_each_candidate_by_itself() -> None:
    rib = Rib(Holds(), 0.0)
    routes = (route(A), structs.replace(route(A), peer=B))
    for one in routes:
        told = Announced(one.peer, {one.key: one})
        rib.receive(Received((PeerOpened(one.peer, 120, True, True, True), SessionOpened(one.peer), told)), 0.0)

    found = []
    for peer in (A, B):
        rib.receive(Received((SessionClosed(peer, "closing connection", lost=True),)), 1.0)
        row, story = judge_plain(rank(routes, POLICY), rib)
        found.append((row.notes, [in_words(one).stale for one in all_outcomes(story)]))

    assert found == [(("encap-default",), [True, False]), (("encap-default", "stale"), [True, True])]


def rig(policy: str = LEAF) -> Leaf:
    """Return a leaf that learned M at a port of its own."""
    leaf = Leaf(config.parse(policy), 0.0)
    leaf.set_advertising(frozenset({VNI}))
    leaf.learn_stations([Station(VNI, MAC, "swp1")])
    leaf.judge(0.0)
    return leaf


def tell(leaf: Leaf, *routes: MacIp, gone: MacIp | None = None) -> None:
    told: tuple = (Announced(A, {one.key: one for one in routes}),) if routes else ()
    leaf.receive([Received((Withdrawn(A, (gone.key,)), *told) if gone else told)], 0.0)


def test_a_mac_whose_station_left_this_leaf_has_moved() -> None:
    leaf = rig()
    leaf.learn_stations([], [(VNI, MAC)])
    tell(leaf, route(A))

    intent = leaf.judge(1.0)

    assert (len(intent.own), intent.macs[VNI, MAC].via.vtep, intent.moves[VNI, MAC]) == (0, A, Moves(A, (1.0,)))


def test_a_station_that_left_is_not_advertised_after_its_vni_was_removed() -> None:
    leaf = rig()
    leaf.reconfigure(config.parse(LEAF.replace("vni = 100", "vni = 101")), 0.0)
    leaf.learn_stations([], [(VNI, MAC)])

    assert len(leaf.judge(1.0).own) == 0


def test_the_moves_in_a_vni_that_a_mac_has_left_are_forgotten_after_the_window() -> None:
    """Also if the MAC is now in one other VNI only, which the short path judges."""
    elsewhere = route(B, vni=200, seq=1)
    leaf = Leaf(config.parse(LEAF), 0.0)
    for routes, gone in (((route(A, vni=200),), None), ((elsewhere,), route(A, vni=200)), ((route(A),), elsewhere)):
        tell(leaf, *routes, gone=gone)
        moved = leaf.judge(1.0)

    later = leaf.judge(moved.due)

    assert (list(moved.moves), list(later.moves), later.due) == ([(200, MAC)], [], None)
    assert list(later.macs) == [(100, MAC)]
