"""Two leaves of ours behind a reflector, and nobody else who announces: their hosts reach each other, and move."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from tests.interop.scene import VTEP_PID
from tests.lab import overlay, probe
from tests.lab.wait import wait_until, wait_until_it_stays

LAB = "evpn-leaves"

LEAF, LEAF2 = "10.0.0.99", "10.0.0.2"
HOSTS = {"host99": "172.16.0.99", "host98": "172.16.0.98", "host1": "172.16.0.1", "host2": "172.16.0.2"}
MAC = "02:00:00:00:01:01"

pytestmark = pytest.mark.root_netns
scenario = pytest.mark.scenario


def rows(scene, leaf):
    return {row for row in overlay.tunnels(scene.machines[leaf], "vxlan100") if row[0] != overlay.FLOOD_MAC}


def silence(scene):
    """Have both leaves forget every host, by a blink of their wires."""
    for way in ("down", "up"):
        for host in HOSTS:
            scene.machines[host].run("ip", "link", "set", "dev", "eth1", way)
    wait_until_it_stays(lambda: rows(scene, "leaf") == rows(scene, "leaf2") == set(), 10, "the end of the hosts' rows")


@scenario("S14", "S6")
def test_every_host_reaches_every_other_one_and_each_leaf_has_the_others_hosts(scene):
    pairs = list(permutations(HOSTS, 2))
    start = time.monotonic()

    with ThreadPoolExecutor(len(pairs)) as threads:
        answers = threads.map(lambda pair: probe.ping(scene.machines[pair[0]], HOSTS[pair[1]], 10), pairs)
        reached = {pair for pair, answer in zip(pairs, answers, strict=True) if answer is not None}
    all_s = time.monotonic() - start

    print(f"all pings answered after {all_s:.2f} s")
    assert reached == set(pairs)
    wait_until(lambda: rows(scene, "leaf") == {(f"02:00:00:00:00:0{number}", LEAF2) for number in (1, 2)}, 10, "rows")
    wait_until(lambda: rows(scene, "leaf2") == {(f"02:00:00:00:00:{number}", LEAF) for number in (98, 99)}, 10, "rows")
    assert overlay.floods(scene.machines["leaf2"], "vxlan100") == {LEAF}
    silence(scene)


@scenario("S14", "S8", "V13")
def test_a_mac_that_is_heard_at_the_other_leaf_moves_there_and_back_with_a_higher_sequence(scene):
    here, there = scene.machines["host99"], scene.machines["host2"]

    probe.speak(here, "eth1", MAC)
    wait_until(lambda: rows(scene, "leaf2") == {(MAC, LEAF)}, 10, "the row at leaf2")
    probe.speak(there, "eth1", MAC)
    scene.wait_at(MAC, LEAF2)
    wait_until(lambda: rows(scene, "leaf2") == set(), 10, "no row at leaf2")
    probe.speak(here, "eth1", MAC)
    wait_until(lambda: rows(scene, "leaf2") == {(MAC, LEAF)}, 10, "the row at leaf2 again")

    wait_until(lambda: "MM:2" in scene.vtysh("spine", "show bgp l2vpn evpn route type macip"), 10, "two moves")
    assert rows(scene, "leaf") == set()
    silence(scene)


@scenario("S14", "S10")
def test_a_killed_daemon_does_not_take_its_announcements_along(scene):
    probe.speak(scene.machines["host99"], "eth1", MAC)
    wait_until(lambda: rows(scene, "leaf2") == {(MAC, LEAF)}, 10, "the row at leaf2")
    log = scene.log()

    scene.end_vtep(signal.SIGKILL)
    assert not scene.leaf.runs(VTEP_PID)
    scene.start_vtep()
    wait_until(lambda: '"routes complete"' in scene.log_since(log), 20, "a complete picture")

    assert rows(scene, "leaf2") == {(MAC, LEAF)}
    silence(scene)
