"""Beside two GoBGP speakers, which announce what they are told and, through a VRF, count moves by themselves."""

import time
from itertools import groupby

import pytest

from tests.interop.scene import LEAF
from tests.lab.wait import stays, wait_until, wait_until_it_stays

LAB = "evpn-gobgp"

ONE, OTHER = "10.0.0.1", "10.0.0.2"
MAC, SECOND = "02:00:00:00:01:01", "02:00:00:00:01:02"
FREEZE = ("[feed]", '[duplicates]\naction = "freeze"\nrecover_s = 10\n\n[feed]')

pytestmark = pytest.mark.root_netns
scenario = pytest.mark.scenario


@pytest.fixture
def tenants(scene):
    """A VRF on each speaker, and a way to have its station speak there."""
    for speaker in ("gobgp1", "gobgp2"):
        words = f"vrf add red id 1 rd 10.0.0.{speaker[-1]}:100 rt both 65000:100"
        scene.machines[speaker].run("gobgp", *words.split())
    wait_until(lambda: "Establ" in neighbor(scene, "gobgp1", OTHER), 30, "the speakers' own session")
    yield lambda verb, speaker, mac=MAC: scene.gobgp(speaker, "vrf red", verb, station(speaker, mac))
    for speaker in ("gobgp1", "gobgp2"):
        scene.machines[speaker].run("gobgp", "global", "rib", "del", "all", "-a", "evpn")
        scene.machines[speaker].run("gobgp", "vrf", "del", "red")
    scene.wait_gone(MAC)


def station(speaker, mac):
    return f"macadv {mac} 0.0.0.0 etag 0 label 100 rd 10.0.0.{speaker[-1]}:100 rt 65000:100 encap vxlan"


def neighbor(scene, speaker, address):
    lines = scene.machines[speaker].run("gobgp", "neighbor").splitlines()
    return next((line for line in lines if line.split()[0] == address), "")


def rib(scene, speaker):
    return scene.machines[speaker].run("gobgp", "global", "rib", "-a", "evpn")


@scenario("S1", "V19")
def test_both_sessions_come_up(scene):
    for speaker in ("gobgp1", "gobgp2"):
        wait_until_it_stays(lambda: "Establ" in neighbor(scene, speaker, LEAF), 30, f"{speaker}'s session")  # noqa: B023


@scenario("S2", "V2", "V19")
def test_flood_rows_follow_type_3_routes_of_both_speakers(scene):
    def flood(verb, speaker):
        address = f"10.0.0.{speaker[-1]}"
        route = f"multicast {address} etag 0 rd {address}:100 rt 65000:100 encap vxlan"
        scene.gobgp(speaker, "global", verb, f"{route} pmsi ingress-repl 100 {address}")

    for speaker, expected in (("gobgp1", {ONE}), ("gobgp2", {ONE, OTHER})):
        flood("add", speaker)
        wait_until_it_stays(lambda: scene.floods() == expected, what="the flood rows")  # noqa: B023
    for speaker, expected in (("gobgp1", {OTHER}), ("gobgp2", set())):
        flood("del", speaker)
        wait_until_it_stays(lambda: scene.floods() == expected, what="the flood rows")  # noqa: B023
    stays(lambda: scene.floods() == set(), what="their absence")


@scenario("S3", "S4", "V1", "V19")
def test_a_mac_has_both_halves_and_both_go_with_its_withdraw(scene):
    scene.announce("gobgp1", MAC)
    scene.wait_at(MAC, ONE)
    others = scene.leaf_rows()["vxlan100"] - {(MAC, ONE)}
    scene.withdraw("gobgp1", MAC)

    scene.wait_gone(MAC)
    stays(lambda: scene.leaf_rows()["vxlan100"] == others, what="all other rows")


@scenario("S8", "V13", "V14", "V19")
def test_a_mac_follows_the_mobility_sequence_there_and_back(scene, tenants):
    monitor = scene.monitor_fdb()
    tenants("add", "gobgp1")
    scene.wait_at(MAC, ONE)
    wait_until(lambda: MAC in rib(scene, "gobgp2"), 10, "the other speaker's knowledge")
    tenants("add", "gobgp2")
    wait_until(lambda: "mac-mobility" in rib(scene, "gobgp2"), 10, "a sequence")
    scene.wait_at(MAC, OTHER)
    # Now that it is elsewhere GoBGP withdraws its own, and the leaf hears of that last.
    wait_until(lambda: rib(scene, "gobgp1").count(MAC) == 1, 10, "the withdraw")
    tenants("add", "gobgp1")
    scene.wait_at(MAC, ONE)

    stays(lambda: scene.is_at(MAC, ONE), what="the row")
    assert monitor.arrivals(MAC) == [ONE, OTHER, ONE]


@scenario("V14")
def test_a_withdraw_that_comes_first_ends_at_the_other_as_well(scene):
    scene.announce("gobgp1", MAC)
    scene.wait_at(MAC, ONE)
    scene.withdraw("gobgp1", MAC)
    scene.announce("gobgp2", MAC)

    scene.wait_at(MAC, OTHER)
    stays(lambda: scene.is_at(MAC, OTHER), what="the row")
    scene.withdraw("gobgp2", MAC)


@scenario("V9", "S13")
def test_one_route_target_of_many_is_enough_and_none_is_not(scene):
    scene.announce("gobgp1", MAC, target="65000:7 65000:100 4200000000:9 10.0.0.1:9")
    scene.wait_at(MAC, ONE)

    scene.announce("gobgp1", MAC, target="65000:7 4200000000:9 10.0.0.1:9")

    scene.wait_gone(MAC)
    stays(lambda: not scene.row(MAC), what="its absence")
    scene.withdraw("gobgp1", MAC)


@scenario("S13")
@pytest.mark.parametrize(
    ("route", "reason"),
    [
        ({"target": "65000:999"}, "rt-mismatch"),
        ({"vni": 4711, "target": "65000:4711"}, "unknown-vni"),
        ({"vni": 4711}, "vni-mismatch"),
        ({"more": f"nexthop {LEAF}"}, "self-vtep"),
    ],
    ids=["wrong route target", "unknown VNI", "our route target and another VNI", "our own next hop"],
)
def test_a_route_that_is_not_for_us_brings_no_row_and_is_explained(scene, route, reason):
    before = scene.leaf_rows()
    scene.announce("gobgp1", MAC, **route)
    # The next route is there, so the one before was heard.
    scene.announce("gobgp1", SECOND)
    scene.wait_at(SECOND, ONE)

    stays(lambda: not scene.row(MAC), what="its absence")
    assert scene.reasons(MAC) == {reason}
    scene.withdraw("gobgp1", MAC, vni=route.get("vni", 100))
    scene.withdraw("gobgp1", SECOND)
    scene.wait_gone(SECOND)
    assert scene.leaf_rows() == before


def bounce(tenants, scene, times):
    """Move the station to and fro about ten times a second; GoBGP counts on only when each has heard of the other."""
    for number in range(times):
        speaker, listener = ("gobgp1", "gobgp2") if number % 2 == 0 else ("gobgp2", "gobgp1")
        start = time.monotonic()
        tenants("add", speaker)
        route = f"[rd:10.0.0.{speaker[-1]}:100][etag:0][mac:{MAC}]"
        wait_until(lambda: rib(scene, listener).count(MAC) == 1 and route in rib(scene, listener), 5, "the move")  # noqa: B023
        wait_until(lambda: time.monotonic() - start >= 0.1, what="a tenth of a second")  # noqa: B023


@scenario("V16")
def test_a_mac_that_bounces_is_followed_by_default_with_an_alert_that_can_be_cleared(scene, tenants):
    bounce(tenants, scene, 12)
    scene.wait_at(MAC, OTHER)
    stays(lambda: scene.is_at(MAC, OTHER), what="the row")
    (row,) = scene.vtep("macs")["macs"]
    scene.leaf.run("vtep", "clear-duplicate", MAC)
    (cleared,) = scene.vtep("macs")["macs"]

    assert "dup-warn" in str(row["alerts"])
    assert "dup-warn" not in str(cleared["alerts"])


@pytest.mark.slow
@scenario("V16")
def test_a_mac_that_bounces_is_held_where_freezing_is_configured_and_is_free_again_later(scene, tenants):
    with scene.configured(FREEZE):
        monitor = scene.monitor_fdb()
        bounce(tenants, scene, 11)
        # Frozen after five moves; five more it did not follow. Withdrawn meanwhile, it came back where it was frozen.
        places = [place for place, _ in groupby(monitor.arrivals(MAC))]
        assert len(places) <= 7
        scene.wait_at(MAC, ONE, deadline_s=15)
        tenants("del", "gobgp1")
        scene.wait_gone(MAC, deadline_s=15)
