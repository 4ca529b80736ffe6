"""What the short way of judging a MAC takes upon itself, and what it leaves to the long one."""

import pytest
from msgspec import structs

from vtep import config
from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, RouteTarget
from vtep.intent import Direct, Moves, in_words
from vtep.projection import Policy
from vtep.projection.macs import Before
from vtep.projection.plain import judge_alone, judge_plain, rank
from vtep.rib import Holds, Rib
from vtep.routes.attributes import Attributes
from vtep.routes.event import Announced, Heard, PeerOpened, SessionClosed, SessionOpened
from vtep.routes.mac_ip import MacIp

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
def test_others_go_the_long_way(routes: tuple[MacIp, ...]) -> None:
    assert vteps(*routes) == []
    assert len(routes) != 1 or judge_alone(routes[0], Rib(Holds(), 0.0), POLICY) is None


def test_a_frozen_mac_goes_the_long_way() -> None:
    rib = Rib(Holds(), 0.0)
    rib.hear(Heard((Announced(A, {route(A).key: route(A)}),)), 0.0)
    ranked = rank((route(A),), POLICY)

    frozen = Moves(A, (1.0,), 1.0, Direct(A))

    freezing = Policy(config.parse(LEAF + '[duplicates]\naction = "freeze"\n'))
    assert judge_plain(ranked, Before(None, frozen), rib, freezing, 2.0) is None
    assert judge_plain(ranked, Before(), rib, freezing, 2.0) is not None


def test_a_mac_whose_station_left_this_leaf_has_moved() -> None:
    home = Ip.parse("10.0.0.99")
    rib = Rib(Holds(), 0.0)
    rib.hear(Heard((Announced(A, {route(A).key: route(A)}),)), 0.0)

    judgement = judge_plain(rank((route(A),), POLICY), Before(home=home), rib, POLICY, 2.0)

    assert judgement is not None
    assert judgement.moves == Moves(A, (2.0,))


def test_a_place_is_stale_once_all_its_routes_are_while_each_is_told_as_it_is() -> None:
    rib = Rib(Holds(), 0.0)
    routes = (route(A), structs.replace(route(A), peer=B))
    for one in routes:
        told = Announced(one.peer, {one.key: one})
        rib.hear(Heard((PeerOpened(one.peer, 120, True, True, True), SessionOpened(one.peer), told)), 0.0)

    found = []
    for peer in (A, B):
        rib.hear(Heard((SessionClosed(peer, "closing connection", lost=True),)), 1.0)
        judgement = judge_plain(rank(routes, POLICY), Before(), rib, POLICY, 1.0)
        assert judgement is not None
        found.append((judgement.row.notes, [in_words(one).stale for one in judgement.candidates]))

    assert found == [(("encap-default",), [True, False]), (("encap-default", "stale"), [True, True])]
