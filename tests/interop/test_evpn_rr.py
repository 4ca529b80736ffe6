"""Behind a route reflector: two FRR VTEPs, MACs that move between them, a second VNI with the same prefix."""

import re
import signal
import time

import pytest

from tests.interop.scene import BGPD_PID
from tests.lab import overlay, probe
from tests.lab.clab.machine import halted
from tests.lab.wait import stays, wait_until, wait_until_it_stays

LAB = "evpn-rr"

FRR1, FRR2, SPINE = "10.0.0.1", "10.0.0.2", "10.0.0.100"
MAC, STICKY = "02:00:00:00:01:01", "02:00:00:00:01:02"
BLACKHOLE_S = 2.0
"""How long a station that moved may be out of reach: its new VTEP has to hear it, and BGP to tell."""

pytestmark = pytest.mark.root_netns
scenario = pytest.mark.scenario


def move(scene, mac, old, new):
    """Have a MAC come to an FRR from the VTEP that it knows it at: otherwise it would announce no sequence."""
    wait_until(lambda: scene.knows(new, mac, old), 10, f"{new}'s knowledge of {mac}")
    scene.learn(new, mac)


def sequences(scene, mac):
    told = scene.vtysh("spine", "show bgp l2vpn evpn route type macip")
    return [int(number) for route in told.split("*>") if mac in route for number in re.findall(r"MM:(\d+)", route)]


@scenario("V2", "S2")
def test_flood_rows_are_the_set_of_vteps_while_a_third_comes_and_goes(scene):
    spine = scene.machines["spine"]
    wait_until_it_stays(lambda: scene.floods() == {FRR1, FRR2}, what="two flood rows")

    spine.ip(
        "link add name br100 type bridge",
        f"link add name vxlan100 type vxlan id 100 local {SPINE} dstport 4789 nolearning",
        "link set dev vxlan100 master br100 up",
        "link set dev br100 up",
    )
    wait_until_it_stays(lambda: scene.floods() == {FRR1, FRR2, SPINE}, 10, "three flood rows")
    spine.ip("link del dev vxlan100", "link del dev br100")

    wait_until_it_stays(lambda: scene.floods() == {FRR1, FRR2}, 10, "two flood rows again")
    assert len(scene.row(overlay.FLOOD_MAC)) == 2
    assert scene.floods("vxlan200") == {FRR1}


@scenario("S7")
def test_a_second_vni_with_the_same_prefix_stays_apart(scene):
    hosts = scene.machines
    here, here200 = hosts["host99"], hosts["host199"]

    assert probe.ping(here, "172.16.0.1", 5) is not None
    assert probe.ping(here, "172.16.0.2", 5) is not None
    assert probe.ping(here200, "172.16.0.1", 5) is not None
    # The same address, and another station.
    assert overlay.neighbors(here, "eth1")["172.16.0.1"] == "02:00:00:00:00:01"
    assert overlay.neighbors(here200, "eth1")["172.16.0.1"] == "02:00:00:00:02:01"
    assert probe.ping(here200, "172.16.0.2", 2) is None
    assert set(scene.macs("vxlan200")) == {"02:00:00:00:02:01"}
    assert set(scene.macs()) == {"02:00:00:00:00:01", "02:00:00:00:00:02"}

    silence(scene, "host1", "host2", "host101")


def silence(scene, *hosts):
    """Have the bridges forget these hosts, by a blink of their wires; nobody may ask for them when they are back."""
    for name, machine in scene.machines.items():
        if name.startswith("host"):
            machine.run("ip", "neigh", "flush", "dev", "eth1")
    for host in hosts:
        scene.machines[host].run("ip", "link", "set", "dev", "eth1", "down")
    wait_until_it_stays(lambda: scene.macs() == scene.macs("vxlan200") == {}, 10, "the end of the hosts' rows")
    for host in hosts:
        scene.machines[host].run("ip", "link", "set", "dev", "eth1", "up")


@scenario("S8", "V13")
def test_a_mac_that_moves_flips_once_each_way_with_a_higher_sequence(scene):
    monitor = scene.monitor_fdb()
    scene.learn("frr1", MAC)
    scene.wait_at(MAC, FRR1)
    before = sequences(scene, MAC)

    move(scene, MAC, FRR1, "frr2")
    scene.wait_at(MAC, FRR2)
    after = sequences(scene, MAC)
    move(scene, MAC, FRR2, "frr1")
    scene.wait_at(MAC, FRR1)
    scene.forget("frr1", MAC)
    scene.wait_gone(MAC)

    assert monitor.arrivals(MAC) == [FRR1, FRR2, FRR1]
    assert max(after) > max(before, default=0)


@scenario("S8", "V13")
def test_a_station_that_moves_while_pinged_is_out_of_reach_for_a_short_time_only(scene):
    here, old, new = (scene.machines[name] for name in ("host99", "host1", "host2"))
    assert probe.ping(here, "172.16.0.1", 5) is not None
    wait_until(lambda: scene.knows("frr2", "02:00:00:00:00:01", FRR1), 10, "the station in FRR")

    old.ip("link set dev eth1 down")
    new.ip("addr del 172.16.0.2/24 dev eth1", "link set dev eth1 address 02:00:00:00:00:01")
    start = time.monotonic()
    new.ip("addr add 172.16.0.1/24 dev eth1")
    probe.speak(new, "eth1", "02:00:00:00:00:01")
    reached = probe.ping(here, "172.16.0.1", 10)
    gap_s = time.monotonic() - start
    scene.wait_at("02:00:00:00:00:01", FRR2)

    print(f"out of reach for {gap_s:.2f} s")
    assert reached is not None
    assert gap_s < BLACKHOLE_S
    new.ip(
        "addr del 172.16.0.1/24 dev eth1",
        "link set dev eth1 address 02:00:00:00:00:02",
        "addr add 172.16.0.2/24 dev eth1",
    )
    silence(scene, "host2")
    old.ip("link set dev eth1 up")


@scenario("V14")
def test_a_withdraw_that_comes_before_the_other_announcement_ends_at_the_other(scene):
    scene.learn("frr1", MAC)
    scene.wait_at(MAC, FRR1)

    scene.forget("frr1", MAC)
    scene.wait_gone(MAC)
    scene.learn("frr2", MAC)

    scene.wait_at(MAC, FRR2)
    stays(lambda: scene.is_at(MAC, FRR2), what="the row")
    scene.forget("frr2", MAC)


@scenario("V14")
def test_a_withdraw_that_comes_after_the_other_announcement_ends_at_the_other(scene):
    scene.learn("frr1", MAC)
    scene.wait_at(MAC, FRR1)
    wait_until(lambda: scene.knows("frr2", MAC, FRR1), 10, "frr2's knowledge")

    with halted(scene.machines["frr1"], BGPD_PID):
        scene.learn("frr2", MAC)
        scene.wait_at(MAC, FRR2)
    wait_until(lambda: scene.knows("frr1", MAC, FRR2), 10, "frr1's knowledge")

    stays(lambda: scene.is_at(MAC, FRR2), window_s=2, what="the row")
    scene.forget("frr2", MAC)


@scenario("V15")
def test_a_sticky_mac_stays_where_it_is_although_a_lower_vtep_has_it_too(scene):
    frr1, frr2 = scene.machines["frr1"], scene.machines["frr2"]
    macip = "show bgp l2vpn evpn route type macip"
    with halted(frr2, BGPD_PID):
        frr2.shell(f"bridge fdb replace {STICKY} dev eth2 master static sticky")
        scene.learn("frr1", STICKY)
        scene.wait_at(STICKY, FRR1)
        # FRR would withdraw its route as soon as it heard of the sticky one: what the leaf does with both is the question.
        frr1.kill(BGPD_PID, signal.SIGSTOP)
    # The spine forgets the routes of a silent frr1 after its hold time of 9 s, so they are looked at first.
    wait_until(lambda: scene.vtysh("spine", macip).count(f"[{STICKY}]") == 2, 8, "both routes at the spine")
    scene.wait_at(STICKY, FRR2)
    (row,) = scene.vtep("macs")["macs"]
    stays(lambda: scene.is_at(STICKY, FRR2), window_s=2, what="the sticky row")
    frr1.kill(BGPD_PID, signal.SIGCONT)
    stays(lambda: scene.is_at(STICKY, FRR2), what="the sticky row")

    assert (row["sticky"], row["reason"]) == (True, "sticky")
    assert "sticky-violation" in str(row["alerts"])
    scene.machines["frr1"].shell(f"bridge fdb del {STICKY} dev eth2 master || :")
    scene.forget("frr2", STICKY)


@scenario("V7")
def test_rows_of_one_vtep_go_and_come_back_with_its_uplink_and_others_stay(scene):
    frr1 = scene.machines["frr1"]
    scene.learn("frr1", MAC)
    scene.learn("frr2", STICKY)
    scene.wait_at(MAC, FRR1)
    scene.wait_at(STICKY, FRR2)
    monitor = scene.monitor_fdb()
    behind_2 = {(STICKY, FRR2)}

    frr1.ip("link set dev eth1 down")
    wait_until_it_stays(
        lambda: scene.leaf_rows()["vxlan100"] == behind_2 | {(overlay.FLOOD_MAC, FRR2)}, 30, "the end of its rows"
    )
    frr1.ip("link set dev eth1 up", f"route replace 10.0.0.0/24 via 10.1.1.0 src {FRR1}")

    scene.wait_at(MAC, FRR1, deadline_s=30)
    assert monitor.harm(behind_2) == []
    scene.forget("frr1", MAC)
    scene.forget("frr2", STICKY)
