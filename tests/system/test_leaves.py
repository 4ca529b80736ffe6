"""Two leaves that announce what they hear, behind a reflector of another make: stations reach each other, move, and stay in
reach whoever dies. Beside them the same with FRR leaves, and with one of each."""

import json
import os
import re
import signal
import time

import pytest

from tests.lab import overlay, probe
from tests.lab.fabric import children, macs
from tests.lab.fdb_monitor import FdbMonitor
from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.leaves import Leaves
from tests.lab.namespaces import Lab
from tests.lab.peers import EXABGP, EXABGP_4_2
from tests.lab.probe import Pings
from tests.lab.topology import BRIDGE, VXLAN, address
from tests.lab.vtep import VNI_SECTION
from tests.lab.wait import stays, wait_until

__all__ = ["lab"]

pytestmark = pytest.mark.root_netns

MOVES = (2, 1, 2, 1)
GATEWAY = "172.16.0.254"
SHARED = "02:00:00:00:00:dd"


def built(lab, *makers, **options):
    with skipped_if_missing():
        return Leaves(lab, makers or ("vtep", "vtep"), **options)


@pytest.fixture
def options():
    """What is unusual about the leaves of a test."""
    return {}


@pytest.fixture
def leaves(lab, options):
    leaves = built(lab, **options)
    leaves.start()
    assert leaves.unreached(30) == []
    leaves.wait_tables(**leaves.home(1))
    return leaves


# From nothing


@pytest.mark.parametrize(
    ("reflector", "exabgp"),
    [("frr", EXABGP), ("gobgp", EXABGP), ("frr", EXABGP_4_2)],
    ids=["FRR reflects", "GoBGP reflects", "with ExaBGP 4.2"],
)
def test_stations_that_know_nothing_of_each_other_all_reach_each_other(lab, reflector, exabgp):
    leaves = built(lab, reflector=reflector, exabgp=exabgp)
    leaves.reflector.start()
    leaves.forget_neighbors()
    start = time.monotonic()

    for leaf in leaves.leaves:
        leaf.start()
    unreached = leaves.unreached(30)
    all_reached_s = time.monotonic() - start
    leaves.wait_tables(**leaves.home(1))

    print(f"all twelve pings answered {all_reached_s:.2f} s after the start of both leaves")
    assert unreached == []
    assert [overlay.learnt(leaf.node, VXLAN) for leaf in leaves.leaves] == [set(), set()]
    assert overlay.learnt(leaves.leaves[0].node, "port11") == leaves.macs(11)


# Moves


def moved_while_pinged(leaves, moves):
    """Move a station there and back, and return the losses as its neighbors of both leaves saw them."""
    mac = leaves.mover.mac
    with (
        Pings(leaves.stations[11].node, leaves.mover.ip) as one,
        Pings(leaves.stations[21].node, leaves.mover.ip) as two,
    ):
        wait_until(lambda: one.back(0) and two.back(0), 30, "answers before the first move")
        for sequence, number in enumerate(moves, 1):
            marks = one.sent, two.sent
            leaves.move(number)
            wait_until(lambda: one.back(marks[0]) and two.back(marks[1]), 30, "answers after a move")  # noqa: B023
            leaves.wait_tables(**leaves.home(number))
            wanted = {(address(number), sequence)}
            wait_until(lambda: owners(leaves, mac) == wanted, 10, f"one route, {wanted}")  # noqa: B023
    return one, two


def owners(leaves, mac):
    """Return (VTEP, sequence) of each route of this MAC alone."""
    return {(route.next_hop, route.sequence) for route in leaves.reflector.routes(mac) if not route.ip}


def losses(pings):
    return f"{pings.lost} of {pings.sent} lost, at most {pings.away_s * 1000:.0f} ms without an answer"


def told(name, pings):
    away = ", ".join(map(losses, pings))
    pace_ms = pings[0].every_s * 1000
    print(f"{name}: {len(MOVES)} moves, a ping every {pace_ms:.0f} ms; from leaf1 and from leaf2: {away}")


def test_a_station_that_moves_while_it_is_pinged_is_out_of_reach_for_a_moment_as_with_frr(lab):
    with Lab() as beside:
        theirs = built(beside, "frr", "frr")
        theirs.start()
        assert theirs.unreached(30) == []
        told("two FRR leaves", moved_while_pinged(theirs, MOVES))
    ours = built(lab)
    ours.start()
    assert ours.unreached(30) == []

    pings = moved_while_pinged(ours, MOVES)

    told("two vtep leaves", pings)
    assert max(one.away_s for one in pings) < 2


@pytest.mark.slow
@pytest.mark.parametrize("makers", [("frr", "vtep"), ("vtep", "frr")], ids=" and ".join)
def test_a_leaf_of_frr_and_one_of_ours_hand_a_station_over_to_each_other(lab, makers):
    leaves = built(lab, *makers)
    leaves.start()

    assert leaves.unreached(30) == []
    leaves.wait_tables(**leaves.home(1))
    told(" and ".join(makers), moved_while_pinged(leaves, MOVES))
    assert leaves.unreached(10) == []


def test_a_mac_heard_at_both_leaves_at_once_ends_at_one_of_them(leaves):
    one, two = leaves.leaves
    before = heard_at_reflector(leaves)

    for number in (11, 21):
        leaves.stations[number].speak(SHARED)
    wait_until(lambda: len(owners(leaves, SHARED)) == 1, 15, "one owner")
    stays(lambda: len(owners(leaves, SHARED)) == 1, 2, "one owner")

    ((owner, _),) = owners(leaves, SHARED)
    updates = heard_at_reflector(leaves, before)
    print(f"owner {owner}; UPDATEs of leaf1 and leaf2: {updates}")
    behind = {leaf.address: {vtep for mac, vtep in leaf.rows() if mac == SHARED} for leaf in (one, two)}
    assert behind == {owner: set(), ({one.address, two.address} - {owner}).pop(): {owner}}
    # Each tells it at most with its first and its next sequence, and may have to take either back.
    assert max(updates) <= 4


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"more": '[duplicates]\naction = "freeze"'}], ids=["freeze"])
def test_two_machines_with_one_mac_that_never_stop_are_told_of_a_bounded_number_of_times(leaves):
    one, two = leaves.stations[11], leaves.stations[21]
    before = heard_at_reflector(leaves)
    two.node.ip(f"link set dev eth0 address {one.mac}")

    with Pings(one.node, leaves.stations[22].ip) as first, Pings(two.node, leaves.mover.ip) as second:
        wait_until(lambda: min(first.sent, second.sent) > 400, 30, "four seconds of talk")
        early = heard_at_reflector(leaves, before)
        wait_until(lambda: min(first.sent, second.sent) > 600, 30, "two seconds more")
        late = heard_at_reflector(leaves, before)

    print(f"UPDATEs of leaf1 and leaf2 while two machines with one MAC talk: {early} in 4 s, {late} in 6 s")
    assert late == early
    assert max(early) <= 20


def heard_at_reflector(leaves, before=(0, 0)):
    """Return how many UPDATEs each leaf has sent, or has sent since."""
    now = [leaves.reflector.updates_heard(leaf.address) for leaf in leaves.leaves]
    return [heard - first for heard, first in zip(now, before, strict=True)]


# What others see of it


def rich(leaf):
    """Give a leaf what there can be to announce: a static entry, a gateway, and a host whose address it knows."""
    leaf.node.ip(f"addr add {GATEWAY}/24 dev {BRIDGE}")
    leaf.node.run("bridge", "fdb", "replace", "02:00:00:00:00:51", "dev", "port11", "master", "static")


def bridge_mac(leaf):
    (shown,) = json.loads(leaf.node.run("ip", "-j", "link", "show", "dev", BRIDGE))
    return shown["address"]


@pytest.mark.parametrize("options", [{"vnis": f"{VNI_SECTION}gateway = true\n"}], ids=["gateway"])
def test_frr_shows_our_routes_as_they_are_meant(leaves):
    one, reflector = leaves.leaves[0], leaves.reflector
    rich(one)
    assert probe.ping(leaves.stations[11].node, GATEWAY, 5) is not None
    leaves.move(2)
    leaf1 = leaves.macs(11) | {"02:00:00:00:00:51", bridge_mac(one)}
    leaves.wait_tables(leaf1=leaf1, leaf2=leaves.macs(12, 21, 22))

    wait_until(
        lambda: "172.16.0.11" in {route.ip for route in reflector.routes(leaves.stations[11].mac)}, 10, "the host"
    )
    (sticky,) = reflector.routes("02:00:00:00:00:51")
    (moved,) = reflector.routes(leaves.mover.mac)
    gateway = [route.ip for route in reflector.routes(bridge_mac(one))]
    detail = reflector.frr.vtysh("show bgp l2vpn evpn route rd 10.0.0.1:100")
    floods = reflector.frr.vtysh("show bgp l2vpn evpn route rd 10.0.0.1:100 type multicast")

    assert (sticky.rd, sticky.next_hop, sticky.sequence, sticky.sticky) == ("10.0.0.1:100", address(1), 0, True)
    assert (moved.rd, moved.next_hop, moved.sequence, moved.sticky) == ("10.0.0.2:100", address(2), 1, False)
    assert GATEWAY in gateway
    assert "Default Gateway" in detail
    assert {line.strip() for line in detail.splitlines() if "Imported from" in line or "VNI" in line} == {
        line.strip() for line in detail.splitlines() if "VNI 100" in line
    }
    assert detail.count("RT:65000:100") == detail.count("ET:8") > 0
    assert "PMSI Tunnel Type: Ingress Replication, label: 100" in floods
    assert f"[3]:[0]:[32]:[{address(1)}]" in floods


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"reflector": "gobgp"}], ids=["GoBGP"])
def test_gobgp_shows_our_routes_as_they_are_meant(leaves):
    rich(leaves.leaves[0])
    assert probe.ping(leaves.stations[11].node, GATEWAY, 5) is not None
    leaves.move(2)
    leaves.wait_tables(leaf1=leaves.macs(11) | {"02:00:00:00:00:51"}, leaf2=leaves.macs(12, 21, 22))
    wait_until(lambda: "[ip:172.16.0.11]" in "\n".join(leaves.reflector.routes()), 10, "the host")

    routes = {key(line): line for line in leaves.reflector.routes()}

    mover, sticky = leaves.mover.mac, "02:00:00:00:00:51"
    assert "mac-mobility: 1]" in routes[f"[type:macadv][rd:10.0.0.2:100][etag:0][mac:{mover}][ip:<nil>]"]
    assert "mac-mobility: 0, sticky" in routes[f"[type:macadv][rd:10.0.0.1:100][etag:0][mac:{sticky}][ip:<nil>]"]
    host = routes[f"[type:macadv][rd:10.0.0.1:100][etag:0][mac:{leaves.stations[11].mac}][ip:172.16.0.11]"]
    assert "[VXLAN]" in host
    assert "[65000:100]" in host
    assert "[100]" in host
    assert "mac-mobility" not in host
    floods = routes["[type:multicast][rd:10.0.0.1:100][etag:0][ip:10.0.0.1]"]
    assert "type: ingress-repl, label: 100, tunnel-id: 10.0.0.1" in floods
    assert "[VXLAN]" in floods
    assert "[65000:100]" in floods


def key(line):
    return line[line.index("[type:") :].split()[0]


# Deaths


def kill_daemon(leaves):
    leaves.leaves[0].vtep.process.kill()
    leaves.leaves[0].vtep.start()


def kill_exabgp(leaves):
    leaves.leaves[0].exabgp.process.kill()
    leaves.leaves[0].exabgp.start()


def kill_relay(leaves):
    (relay,) = children(leaves.leaves[0].exabgp.process.pid)
    os.kill(relay, signal.SIGKILL)
    wait_until(lambda: children(leaves.leaves[0].exabgp.process.pid) not in ([], [relay]), 15, "a new relay")


def kill_reflector(leaves):
    leaves.reflector.frr.bgpd.kill()
    leaves.reflector.frr.start_bgpd()


@pytest.mark.slow
@pytest.mark.parametrize("kill", [kill_daemon, kill_relay, kill_exabgp, kill_reflector], ids=lambda kill: kill.__name__)
def test_whoever_is_killed_all_is_well_again_and_new_stations_are_told(leaves, kill):
    fresh = macs(7, 2)
    with Pings(leaves.stations[11].node, leaves.stations[21].ip) as pings:
        wait_until(lambda: pings.back(0), 10, "answers before")
        kill(leaves)
        for number, mac in zip((11, 21), fresh, strict=True):
            leaves.stations[number].speak(mac)
        leaves.wait_tables(leaf1=leaves.macs(11, 12) | {fresh[0]}, leaf2=leaves.macs(21, 22) | {fresh[1]})
        mark = pings.sent
        wait_until(lambda: pings.back(mark), 10, "answers after")

    print(f"{kill.__name__}: {losses(pings)}")
    assert leaves.unreached(10) == []
    assert all("Traceback" not in leaf.vtep.process.log() for leaf in leaves.leaves)


# Stops


def test_a_daemon_that_restarts_and_keeps_withdraws_nothing(leaves):
    one, two = leaves.leaves
    fresh = macs(7, 1)
    monitor = FdbMonitor(two.node, VXLAN, beside="underlay")
    before = len(commands(one))

    status = one.vtep.process.stop()
    one.vtep.start()
    leaves.stations[11].speak(*fresh)
    leaves.wait_tables(leaf1=leaves.macs(11, 12) | set(fresh), leaf2=leaves.macs(21, 22))

    assert status == 0
    assert monitor.harm((mac, one.address) for mac in leaves.macs(11, 12) | {overlay.FLOOD_MAC}) == []
    # What it said before it need not say again: the new station is all.
    (new,) = commands(one)[before:]
    assert f"announce evpn mac-advertisement rd 10.0.0.1:100 mac {fresh[0]} " in new


def commands(leaf):
    """Return what ExaBGP was told to announce and to withdraw, as its log has it."""
    return [line for line in leaf.exabgp.process.log().splitlines() if re.search("(announce|withdraw) evpn", line)]


@pytest.mark.slow
def test_what_was_forgotten_while_the_daemon_was_away_is_withdrawn_when_it_is_back(leaves):
    one = leaves.leaves[0]
    (quiet,) = macs(7, 1)
    leaves.stations[11].speak(quiet)
    leaves.wait_tables(leaf1=leaves.macs(11, 12) | {quiet}, leaf2=leaves.macs(21, 22))

    one.vtep.process.stop()
    one.node.run("bridge", "fdb", "del", quiet, "dev", "port11", "master")
    one.vtep.start()

    leaves.wait_tables(**leaves.home(1))


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)], ids=["from here", "to here"])
def test_a_station_that_moves_while_the_daemon_is_away_is_where_it_is_when_it_is_back(leaves, before, after):
    """It says one thing at its new place, and nothing more."""
    one = leaves.leaves[0]
    (quiet,) = macs(7, 1)
    behind = {1: leaves.stations[11], 2: leaves.stations[21]}
    behind[before].speak(quiet)
    wait_until(lambda: (quiet, address(before)) in leaves.leaves[after - 1].rows(), 10, "the row")

    one.vtep.process.kill()
    behind[after].speak(quiet)
    one.vtep.start()

    wait_until(lambda: owners(leaves, quiet) == {(address(after), 1)}, 15, "one route")
    home = leaves.home(1)
    home[f"leaf{after}"].add(quiet)
    leaves.wait_tables(**home)


@pytest.mark.slow
def test_a_daemon_that_drains_withdraws_all_it_announced(leaves):
    one, two = leaves.leaves
    one.vtep.configure(one.config(on_stop="drain"))
    one.vtep.process.signal(signal.SIGHUP)
    wait_until(lambda: "reloaded" in one.vtep.process.log(), 10, "the reload")

    status = one.vtep.process.stop()

    wait_until(lambda: two.rows() == set(), 10, "the end of all rows behind the drained leaf")
    assert status == 0
    assert one.exabgp.process.alive
    assert {vtep for _, vtep in leaves.reflector.macs()} == {two.address}


# Many


@pytest.mark.slow
def test_ten_thousand_stations_are_told_and_others_are_heard_meanwhile(leaves):
    one, two = leaves.leaves
    many, late = macs(9, 10_000), macs(8, 1)
    start = time.monotonic()

    leaves.stations[11].speak(*many)
    heard_s = time.monotonic() - start
    wait_until(lambda: len(two.rows()) > 100, 30, "the first hundred")
    began = time.monotonic()
    leaves.stations[21].speak(late[0])
    wait_until(lambda: (late[0], two.address) in one.rows(), 30, "a station that was heard meanwhile")
    late_s, sofar = time.monotonic() - began, len(two.rows())
    leaves.wait_tables(leaf1=leaves.macs(11, 12) | set(many), leaf2=leaves.macs(21, 22) | set(late), deadline_s=90)

    all_s = time.monotonic() - start
    print(
        f"{len(many)} stations spoke within {heard_s:.2f} s; the other leaf had all rows after {all_s:.2f} s; "
        f"one behind the other leaf was in our kernel {late_s:.2f} s after it spoke, when {sofar} were there"
    )
    assert late_s < 10
