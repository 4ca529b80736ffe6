"""MACs that are judged together, and MACs that are not."""

import gc
from collections.abc import Iterator
from functools import lru_cache
from weakref import ref

import pytest
from msgspec import structs

from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.config import file as config
from vtep.evpn import said
from vtep.evpn.attributes import Attributes
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.event import Announced, PeerOpened, Received, SessionClosed, SessionOpened, Withdrawn
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.offers import Path
from vtep.evpn.station import Station
from vtep.intent import Moves, candidates_of, row_changes, vteps_of
from vtep.projection import imports
from vtep.projection import mac as mac_projection
from vtep.projection.draft import DUE_AT_ONCE
from vtep.projection.imports import ImportResult
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
A, B, C = (Ip.parse(f"10.0.0.{number}") for number in (1, 2, 3))
MAC = Mac.parse("02:00:00:00:00:01")
VNI = Vni(100)
OURS = Mac.parse("02:00:00:00:00:99")


shared = lru_cache(Attributes)
"""Routes of one UPDATE share their attributes."""


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
    return MacIp(A, shared(vtep, targets, **attributes), RouteDistinguisher(rd.to_bytes(8)), 0, mac, vni, esi=Esi(esi))


def macs(count: int) -> list[Mac]:
    return [Mac(bytes((2, 0, 0, 0)) + number.to_bytes(2)) for number in range(count)]


def an_ad(vtep: Ip, esi: Esi, *, vni: int = 0) -> EthernetAd:
    """Return a Type-1 route: per EVI for this VNI, or per segment."""
    targets = tuple(RouteTarget.parse(f"65000:{number}") for number in (100, 200))
    return EthernetAd(A, Attributes(vtep, targets), RouteDistinguisher(8), esi, 0 if vni else PER_ES_TAG, vni)


def alike(one: MacIp, macs: list[Mac]) -> list[MacIp]:
    """Return the same route for each of these MACs; they share their attributes, as routes of one UPDATE do."""
    return [structs.replace(one, mac=mac) for mac in macs]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the paths that were judged, one by one."""
    found: list[Path] = []

    def judge(path: Path, mac: Mac, policy: Policy) -> Iterator[ImportResult]:
        found.append(path)
        return imports.judge(path, mac, policy)

    monkeypatch.setattr(mac_projection, "judge", judge)
    return found


def test_what_is_said_of_many_macs_is_judged_once_and_they_share_the_result(judged: list[Path]) -> None:
    leaf = Leaf(config.parse(LEAF), 0.0)
    many = macs(1000)

    tell(leaf, *alike(route(A), many))
    came = leaf.judge(1.0)
    at_first = len(judged)
    tell(leaf, *alike(route(B, rd=2, seq=1), many))
    moved = leaf.judge(2.0)

    assert (at_first, len(judged)) == (1, 3)
    assert [len(set(map(id, intent.macs.of((VNI, mac) for mac in many)))) for intent in (came, moved)] == [1, 1]
    assert (
        len(set(map(id, moved.judged.of(many)))) == len(set(map(id, moved.moves.of((VNI, mac) for mac in many)))) == 1
    )
    assert [(one.vtep, one.verdict, one.reason) for one in candidates_of(moved, many[0])] == [
        (B, "won", "higher-seq"),
        (A, "lost", "higher-seq"),
    ]
    assert [(len(change.keys), change.after.via.vtep) for change in row_changes(came, moved)] == [(1000, B)]


def test_macs_with_host_addresses_are_judged_together_and_each_keeps_its_own_addresses(judged: list[Path]) -> None:
    def with_hosts(one: MacIp) -> Iterator[MacIp]:
        for number, mac in enumerate(macs(100)):
            yield structs.replace(one, mac=mac)
            for address in (f"10.0.0.{number}", f"2001:db8::{number:x}"):
                yield structs.replace(one, mac=mac, ip=Ip.parse(address))

    leaf = Leaf(config.parse(LEAF), 0.0)
    tell(leaf, *with_hosts(route(A)))
    leaf.judge(1.0)
    tell(leaf, *with_hosts(route(B, rd=2, seq=1)))
    intent = leaf.judge(2.0)

    assert len(judged) == 3 + 6
    assert [(one.vtep, one.verdict, one.ip and str(one.ip)) for one in candidates_of(intent, macs(8)[7])] == [
        (B, "won", None), (B, "lost", "10.0.0.7"), (B, "lost", "2001:db8::7"),
        (A, "lost", None), (A, "lost", "10.0.0.7"), (A, "lost", "2001:db8::7"),
    ]  # fmt: skip

    tell(leaf, structs.replace(route(B, rd=2, seq=1), mac=macs(1)[0], ip=Ip.parse("10.0.0.200")))
    changed = leaf.judge(3.0)
    assert {str(one.ip) for one in candidates_of(changed, macs(1)[0]) if one.ip} == {
        "10.0.0.0",
        "10.0.0.200",
        "2001:db8::",
    }


def test_what_is_remembered_of_things_said_is_bounded_and_the_oldest_is_forgotten(
    judged: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(said, "REMEMBERED_MAX", 4)
    leaf = Leaf(config.parse(LEAF), 0.0)
    for seq, mac in enumerate(macs(20)):
        tell(leaf, route(A, mac=mac, seq=seq))
        leaf.judge(1.0)
    judged.clear()

    for mac, seq in zip(macs(24)[20:], (19, 0, 19, 18), strict=True):
        tell(leaf, route(A, mac=mac, seq=seq))
        assert leaf.judge(1.0).macs[VNI, mac].seq == seq

    assert (len(judged), len(leaf.rib.index.said._offers) <= 5) == (1, True)


def test_one_change_judges_only_the_mac_that_changed(judged: list[Path]) -> None:
    leaf = Leaf(config.parse(LEAF), 0.0)
    tell(leaf, *alike(route(A), macs(1000)))
    leaf.judge(1.0)
    judged.clear()

    tell(leaf, route(B, mac=macs(1)[0], rd=2, seq=1))

    assert (leaf.judge(2.0).touched, len(judged)) == (((VNI, macs(1)[0]),), 2)


def test_a_type_1_route_makes_what_was_judged_of_its_segment_out_of_date() -> None:
    esi = Esi(bytes((3, *[1] * 9)))
    leaf = Leaf(config.parse(LEAF), 0.0)
    tell(leaf, *(route(A, mac=mac, esi=esi) for mac in macs(3)))
    pending = leaf.judge(1.0)

    leaf.receive([Received((Announced(A, {b"ad": an_ad(A, esi)}),))], 2.0)

    assert (len(pending.macs), [row.segment for row in leaf.judge(2.0).macs.values()]) == (0, [esi] * 3)


@pytest.mark.parametrize("count", [20, 5_000])
@pytest.mark.parametrize("differ", ["ip", "rd"])
def test_a_later_route_of_a_mac_takes_as_many_judgements_whether_it_has_twenty_or_thousands(
    judged: list[Path], differ: str, count: int
) -> None:
    values = {"ip": Ip, "rd": lambda octets: RouteDistinguisher(bytes(4) + octets)}[differ]
    leaf = Leaf(config.parse(LEAF + "[limits]\nroutes_per_mac = 10000\n"), 0.0)
    tell(
        leaf, *(structs.replace(route(A), **{differ: values((count - number).to_bytes(4))}) for number in range(count))
    )
    leaf.judge(1.0)
    judged.clear()

    tell(leaf, structs.replace(route(A), **{differ: values((count + 1).to_bytes(4))}))
    intent = leaf.judge(2.0)

    assert (len(judged), len(candidates_of(intent, MAC))) == (1, count + 1)
    (first,) = [one for one in candidates_of(intent, MAC) if one.verdict == "won"]
    assert getattr(first, differ) == values((1).to_bytes(4))


@pytest.mark.parametrize("count", [10, 5_000])
def test_a_type_1_route_that_changes_no_row_is_judged_for_no_mac(judged: list[Path], count: int) -> None:
    """A second copy from another peer, an alias that is not up, one that is not the lowest, and the routes of another VNI.

    Nor is any MAC judged when a VTEP leaves the segment: the group of the segment changes.
    """
    esi = Esi(bytes((3, *[1] * 9)))
    leaf = Leaf(config.parse(LEAF), 0.0)
    tell(leaf, *alike(route(A, esi=esi), macs(count)))
    for number, ad in enumerate((an_ad(A, esi), an_ad(B, esi), an_ad(B, esi, vni=100))):
        leaf.receive([Received((Announced(A, {b"%d" % number: ad}),))], 1.0)
    before = leaf.judge(1.0)
    judged.clear()

    for number, ad in enumerate((an_ad(A, esi), an_ad(C, esi, vni=100), an_ad(C, esi), an_ad(C, esi, vni=200))):
        leaf.receive([Received((Announced(B, {b"%d" % number: structs.replace(ad, peer=B)}),))], 2.0)
        assert (leaf.judge(2.0).touched, len(judged)) == ((), 0)

    leaf.receive([Received((Withdrawn(A, (b"0",)),))], 3.0)
    leaf.receive([Received((Withdrawn(B, (b"0",)),))], 3.0)
    moved = leaf.judge(3.0)
    assert {vteps_of(before, row) for row in before.macs.values()} == {(A, B)}
    assert {vteps_of(moved, row) for row in moved.macs.values()} == {(B, C)}
    assert (moved.touched, len(moved.touched_groups), len(judged)) == ((), 1, 0)


def test_a_type_1_route_counts_also_after_our_own_macs_changed() -> None:
    """The answers about segments are forgotten then, though not every MAC is judged again."""
    esi = Esi(bytes((3, *[1] * 9)))
    leaf = Leaf(config.parse(LEAF), 0.0)
    one, other = route(A, mac=macs(2)[0], esi=esi), route(B, mac=macs(2)[1], esi=esi)
    tell(leaf, one, other)
    leaf.receive([Received((Announced(A, {b"ad": an_ad(B, esi)}),))], 1.0)
    leaf.judge(1.0)
    leaf.learn_own_macs(frozenset({OURS}))
    tell(leaf, structs.replace(other, attributes=structs.replace(other.attributes, seq=1)))
    leaf.judge(1.0)

    leaf.receive([Received((Announced(B, {b"ad": structs.replace(an_ad(A, esi), peer=B)}),))], 2.0)

    intent = leaf.judge(2.0)
    assert [vteps_of(intent, row) for row in intent.macs.values()] == [(A, B), (A, B)]


def test_a_segment_that_lost_its_type_1_route_while_no_mac_was_on_it_reaches_no_mac() -> None:
    esi = Esi(bytes((3, *[1] * 9)))
    leaf = Leaf(config.parse(LEAF), 0.0)
    one = route(A, esi=esi)
    tell(leaf, one)
    leaf.receive([Received((Announced(A, {b"ad": an_ad(A, esi)}),))], 0.0)
    there = leaf.judge(0.0)
    leaf.receive([Received((Withdrawn(A, (one.key,)),))], 1.0)
    leaf.judge(1.0)

    leaf.receive([Received((Withdrawn(A, (b"ad",)),))], 2.0)
    tell(leaf, one)
    intent = leaf.judge(2.0)

    assert (len(there.macs), len(intent.macs)) == (1, 0)
    assert [found.reason for found in candidates_of(intent, MAC)] == ["pending-ead"]


def test_macs_that_get_room_by_a_reload_are_judged_in_parts_and_in_the_end_all() -> None:
    full, roomy = (config.parse(LEAF + f"[limits]\nmacs_per_vni = {most}\n") for most in (10, 10_000))
    leaf = Leaf(full, 0.0)
    tell(leaf, *alike(route(A), macs(5_000)))
    waiting = len(leaf.judge(1.0).limited[VNI])

    leaf.reconfigure(roomy, 2.0)
    parts = []
    while leaf.unjudged or (leaf.due is not None and leaf.due <= 2.0):
        parts.append(len(leaf.judge(2.0, 1024).touched))

    assert (waiting, sum(parts), len(leaf.intent.macs), leaf.intent.due) == (4_990, 4_990, 5_000, None)
    assert max(parts) <= 2 * DUE_AT_ONCE


def test_an_older_policy_is_not_kept_by_what_was_judged_by_it() -> None:
    """There is another one with each device that comes or goes, and most MACs are not judged again for that."""
    leaf = Leaf(config.parse(LEAF), 0.0)
    tell(leaf, *(route(A, mac=mac) for mac in macs(3)))
    leaf.judge(0.0)
    older = ref(leaf._policy)

    leaf.learn_own_macs(frozenset({OURS}))
    leaf.judge(1.0)
    gc.collect()

    assert older() is None


def test_a_row_is_stale_if_all_its_routes_are_and_each_candidate_by_itself() -> None:
    leaf = Leaf(config.parse(LEAF), 0.0)
    for one in (route(A), structs.replace(route(A), peer=B)):
        told = Announced(one.peer, {one.key: one})
        leaf.receive([Received((PeerOpened(one.peer, 120, True, True, True), SessionOpened(one.peer), told))], 0.0)

    found = []
    for peer in (A, B):
        leaf.receive([Received((SessionClosed(peer, "closing connection", lost=True),))], 1.0)
        intent = leaf.judge(1.0)
        found.append((intent.macs[VNI, MAC].notes, [one.stale for one in candidates_of(intent, MAC)]))

    assert found == [(("encap-default",), [True, False]), (("encap-default", "stale"), [True, True])]


@pytest.mark.parametrize(
    ("routes", "rows"),
    [
        pytest.param((route(A, mac=Mac(6)),), {}, id="no station's MAC"),
        pytest.param((route(A, mac=OURS),), {}, id="a MAC of ours"),
        pytest.param((route(A), route(B, vni=200)), {100: A, 200: B}, id="two VNIs"),
        pytest.param((route(A), route(B, sticky=True)), {100: B}, id="a sticky rival"),
        pytest.param((route(A), route(A, seq=1, rd=2), route(B)), {100: A}, id="routes of one place that disagree"),
    ],
)
def test_an_unusual_mac_beside_usual_ones_is_judged_by_itself(routes: tuple[MacIp, ...], rows: dict[int, Ip]) -> None:
    leaf = Leaf(config.parse(LEAF), 0.0)
    leaf.learn_own_macs(frozenset({OURS}))

    usual = macs(4)[2:]
    tell(leaf, *(route(A, mac=mac) for mac in usual))
    for number, one in enumerate(routes):
        tell(leaf, structs.replace(one, rd=RouteDistinguisher((number + 1).to_bytes(8))))
    intent = leaf.judge(1.0)

    expected = {(Vni(vni), routes[0].mac): vtep for vni, vtep in rows.items()} | {(VNI, mac): A for mac in usual}
    assert {key: row.via.vtep for key, row in intent.macs.unordered()} == expected


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
