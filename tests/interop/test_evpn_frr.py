"""The smoke: ExaBGP and vtep beside one FRR VTEP, on whatever deploys interop/containerlab/evpn-frr.clab.yml."""

import json
import re
import signal

import pytest

from tests.interop.scene import BGPD_PID, BOTH_HALVES, LEAF
from tests.lab import overlay, probe
from tests.lab.clab.machine import halted
from tests.lab.wait import stays, wait_until, wait_until_it_stays

LAB = "evpn-frr"

FRR = "10.0.0.1"
ELSEWHERE = "10.0.0.11"
MAC, OTHER, GONE, NEW = (f"02:00:00:00:01:{number:02x}" for number in range(1, 5))
FOREIGN, FOREIGN_LEARNT = "02:00:00:00:0f:01", "02:00:00:00:0f:02"
NOBODY = "10.0.0.77"
RESTART_S = 15
"""What the FRR of this lab promises to be back within."""
HOLD_S = 8
"""`initial_hold_s` of this leaf."""

pytestmark = pytest.mark.root_netns
scenario = pytest.mark.scenario


@pytest.fixture
def learnt(scene):
    """A MAC behind FRR, with a row; forgotten at the end."""
    scene.learn("frr1", MAC)
    scene.wait_at(MAC, FRR)
    yield MAC
    scene.forget("frr1", MAC)


def up(scene):
    return scene.session("frr1")["bgpState"] == "Established"


def wait_up(scene):
    wait_until_it_stays(lambda: up(scene), 30, "the session")


def reconnected(scene, before, deadline_s=30):
    """Wait for a session that is another than before."""
    wait_until_it_stays(
        lambda: up(scene) and scene.session("frr1")["connectionsEstablished"] > before, deadline_s, "a new session"
    )


def count(scene):
    return scene.session("frr1")["connectionsEstablished"]


@scenario("S1")
def test_the_session_comes_up_with_evpn_and_nothing_else(scene):
    wait_up(scene)

    assert set(scene.session("frr1")["addressFamilyInfo"]) == {"l2VpnEvpn"}


@scenario("S2")
def test_one_flood_row_stands_for_frr_and_goes_and_comes_with_its_type_3(scene):
    wait_until_it_stays(lambda: scene.floods() == {FRR}, what="one flood row")
    (row,) = scene.row(overlay.FLOOD_MAC)
    marked = "extern_learn" in row["flags"]

    scene.evpn("frr1", "no advertise-all-vni")
    wait_until_it_stays(lambda: scene.floods() == set(), what="the end of the flood row")
    stays(lambda: scene.floods() == set(), what="its absence")
    scene.evpn("frr1", "advertise-all-vni")

    wait_until_it_stays(lambda: scene.floods() == {FRR}, 10, "the flood row again")
    assert marked


@scenario("S3", "S4", "V1")
def test_a_mac_has_both_halves_marked_as_ours_and_both_go_with_its_withdraw(scene):
    before = scene.leaf_rows()["vxlan100"]

    scene.learn("frr1", MAC)
    scene.wait_at(MAC, FRR, deadline_s=5)
    with_it = scene.leaf_rows()["vxlan100"]
    scene.forget("frr1", MAC)
    scene.wait_gone(MAC, deadline_s=5)

    assert with_it == before | {(MAC, FRR)}
    stays(lambda: not scene.row(MAC), what="its absence")


@scenario("S5", "V17")
def test_foreign_rows_are_the_same_octets_after_start_churn_stop_and_crash(scene):
    def foreign():
        rows = [row for mac in (FOREIGN, FOREIGN_LEARNT, "02:00:00:00:0f:03") for row in scene.row(mac)]
        bridge = overlay.fdb(scene.leaf, "vxlan300")
        return json.dumps([rows, [row for row in bridge if row["mac"] == FOREIGN]], sort_keys=True)

    def put(mac, vtep, *flags, vxlan="vxlan100"):
        scene.leaf.run("bridge", "fdb", "replace", mac, "dev", vxlan, "dst", vtep, "self", "master", *flags)

    scene.leaf.ip(
        "link add name br300 type bridge",
        f"link add name vxlan300 type vxlan id 300 local {LEAF} dstport 4789 nolearning",
        "link set dev vxlan300 master br300 up",
    )
    put(FOREIGN, NOBODY, "static")
    put(FOREIGN_LEARNT, NOBODY, "static", "extern_learn")
    put(FOREIGN, NOBODY, "static", "extern_learn", vxlan="vxlan300")
    untouched = foreign()
    assert untouched.count(NOBODY) == 3
    log = scene.log()

    scene.learn("frr1", FOREIGN, MAC)
    scene.wait_at(MAC, FRR)
    wait_until(lambda: "row contested" in scene.log_since(log), what="the contest in the log")
    seen = [foreign()]
    scene.end_vtep(signal.SIGTERM)
    seen.append(foreign())
    scene.start_vtep()
    scene.learn("frr1", OTHER)
    scene.wait_at(OTHER, FRR)
    seen.append(foreign())
    scene.end_vtep()
    scene.start_vtep()
    scene.forget("frr1", FOREIGN, MAC, OTHER)
    scene.wait_gone(MAC, OTHER)
    stays(lambda: foreign() == untouched, what="what is foreign")

    assert seen == [untouched] * 3
    scene.leaf.ip("link del dev vxlan300", "link del dev br300")
    for mac in (FOREIGN, FOREIGN_LEARNT):
        scene.leaf.run("bridge", "fdb", "del", mac, "dev", "vxlan100", "self")
        scene.leaf.run("bridge", "fdb", "del", mac, "dev", "vxlan100", "master")


@scenario("S6", "V1")
def test_hosts_with_empty_caches_reach_each_other_both_ways(scene):
    here, there = scene.machines["host99"], scene.machines["host1"]
    for host in (here, there):
        host.run("ip", "neigh", "flush", "dev", "eth1")
    empty = [overlay.neighbors(host, "eth1") for host in (here, there)]

    reached = probe.ping(here, "172.16.0.1", 5)
    scene.wait_at("02:00:00:00:00:01", FRR)
    back = probe.ping(there, "172.16.0.99", 5)

    assert None not in (reached, back)
    assert empty == [{}, {}]
    told = json.loads(here.run("ip", "-j", "neigh", "show", "dev", "eth1"))
    assert "PERMANENT" not in [state for row in told for state in row["state"]]
    assert overlay.learnt(scene.leaf, "vxlan100") == set()
    there.run("ip", "link", "set", "dev", "eth1", "down")
    scene.wait_gone("02:00:00:00:00:01")
    here.run("ip", "neigh", "flush", "dev", "eth1")  # a probe of it would have the other one heard again
    there.run("ip", "link", "set", "dev", "eth1", "up")
    scene.leaf.run("bridge", "fdb", "del", "02:00:00:00:00:99", "dev", "eth2", "master")


@pytest.mark.slow
@scenario("S9", "V3")
def test_rows_stay_while_a_killed_bgpd_restarts_in_time_and_nothing_is_written(scene, learnt):
    monitor = scene.monitor_fdb()
    rows = scene.leaf_rows()["vxlan100"]

    scene.machines["frr1"].kill(BGPD_PID)
    stays(lambda: scene.is_at(learnt, FRR), window_s=1, what="the row")
    stale = [row["stale"] for row in scene.vtep("macs")["macs"]]
    log = scene.log()  # by now the line for the learnt row is there; the monitor sees what is written before
    scene.machines["frr1"].run("sh", "/etc/lab/start.sh", "bgpd")
    reconnected(scene, 0)
    # Had its End-of-RIB not come, the rows would go when its restart time is over.
    stays(lambda: scene.is_at(learnt, FRR), window_s=RESTART_S + 1, what="the row")

    assert (stale, [row["stale"] for row in scene.vtep("macs")["macs"]]) == ([True], [False])
    assert monitor.harm(rows) == []
    assert '"event": "rows written"' not in scene.log_since(log)


@pytest.mark.slow
@scenario("S9", "V4")
def test_rows_of_a_bgpd_that_does_not_come_back_go_when_its_restart_time_is_over(scene, learnt):
    scene.machines["frr1"].kill(BGPD_PID)
    stays(lambda: scene.is_at(learnt, FRR), window_s=RESTART_S - 2, what="the row within the restart time")
    scene.wait_gone(learnt, deadline_s=30)
    floods = scene.floods()
    scene.machines["frr1"].run("sh", "/etc/lab/start.sh", "bgpd")

    scene.wait_at(learnt, FRR, deadline_s=30)
    assert floods == set()


@scenario("S9")
def test_rows_go_with_a_session_that_the_peer_closes_and_return_with_it(scene, learnt):
    before = count(scene)
    configure = ("configure terminal", "router bgp 65000")

    scene.vtysh("frr1", *configure, f"neighbor {LEAF} shutdown")
    scene.wait_gone(learnt, deadline_s=15)
    floods = scene.floods()
    scene.vtysh("frr1", *configure, f"no neighbor {LEAF} shutdown")

    reconnected(scene, before)
    scene.wait_at(learnt, FRR)
    assert floods == set()


@scenario("S10")
def test_rows_outlive_a_killed_daemon_and_stale_ones_go_when_the_picture_is_complete(scene, learnt):
    monitor = scene.monitor_fdb()
    scene.learn("frr1", GONE)
    scene.wait_at(GONE, FRR)
    rows = scene.leaf_rows()["vxlan100"]

    scene.end_vtep()
    scene.forget("frr1", GONE)
    stays(lambda: scene.leaf_rows()["vxlan100"] == rows, what="the rows without a daemon")
    with halted(scene.machines["frr1"], BGPD_PID):
        log = scene.log()
        scene.start_vtep()
        wait_until(lambda: "exabgp connected" in scene.log_since(log), 10, "the feed")
        stays(lambda: scene.row(GONE), what="the stale row before End-of-RIB")
    scene.wait_gone(GONE)

    assert monitor.harm(rows - {(GONE, FRR)}) == []
    scene.wait_at(learnt, FRR)


@scenario("S10")
def test_rows_outlive_a_killed_exabgp_and_stale_ones_go_when_the_picture_is_complete(scene, learnt):
    monitor = scene.monitor_fdb()
    scene.learn("frr1", GONE)
    scene.wait_at(GONE, FRR)
    rows = scene.leaf_rows()["vxlan100"]
    before = count(scene)

    scene.end_exabgp()
    scene.forget("frr1", GONE)
    stays(lambda: scene.leaf_rows()["vxlan100"] == rows, what="the rows without ExaBGP")
    with halted(scene.machines["frr1"], BGPD_PID):
        scene.start_exabgp()
        stays(lambda: scene.row(GONE), what="the stale row before End-of-RIB")
    reconnected(scene, before)
    scene.wait_gone(GONE)

    assert monitor.harm(rows - {(GONE, FRR)}) == []
    scene.wait_at(learnt, FRR)


@pytest.mark.slow
@scenario("S10", "V5")
def test_rows_of_a_leaf_that_restarts_alone_stay_until_its_hold_ends(scene, learnt):
    before = count(scene)
    configure = ("configure terminal", "router bgp 65000")
    rows = scene.leaf_rows()["vxlan100"]

    scene.end_exabgp()
    scene.end_vtep()
    scene.vtysh("frr1", *configure, f"neighbor {LEAF} shutdown")
    scene.start_vtep()
    scene.start_exabgp()
    stays(lambda: scene.leaf_rows()["vxlan100"] == rows, window_s=HOLD_S - 4, what="the adopted rows")
    scene.wait_gone(learnt, deadline_s=HOLD_S + 5)
    scene.vtysh("frr1", *configure, f"no neighbor {LEAF} shutdown")

    reconnected(scene, before)
    scene.wait_at(learnt, FRR)


@scenario("S11")
def test_a_row_that_an_operator_deletes_comes_back_and_one_that_he_takes_is_reported(scene, learnt):
    def bridge(*words):
        scene.leaf.run("bridge", "fdb", *words)

    bridge("del", learnt, "dev", "vxlan100", "self")
    bridge("del", learnt, "dev", "vxlan100", "master")
    scene.wait_at(learnt, FRR)
    log = scene.log()
    bridge("replace", learnt, "dev", "vxlan100", "dst", NOBODY, "self", "master", "static")
    wait_until(lambda: "row contested" in scene.log_since(log), what="the contest in the log")
    stays(lambda: scene.macs()[learnt] == NOBODY, what="the operator's row")
    bridge("del", learnt, "dev", "vxlan100", "self")
    bridge("del", learnt, "dev", "vxlan100", "master")

    scene.wait_at(learnt, FRR)


@scenario("S12")
def test_status_and_kernel_agree_row_by_row_and_health_follows_convergence(scene, learnt):
    scene.learn("frr1", OTHER)
    scene.wait_at(OTHER, FRR)
    watch = scene.watch()

    told = {(row["mac"], row["vtep"]) for row in scene.vtep("macs")["macs"] if row["sync"]["state"] == "INSTALLED"}
    floods = {row["vtep"] for row in scene.vtep("vteps")["vteps"] if row["flood"]}
    healths = [scene.health()]
    scene.forget("frr1", OTHER)
    scene.wait_gone(OTHER)
    watch.wait_for(OTHER)
    scene.end_vtep()
    healths.append(scene.health())
    with halted(scene.machines["frr1"], BGPD_PID):
        scene.start_vtep()
        wait_until(lambda: scene.health() == 1, 10, "a daemon that answers, and is not ready")
    scene.leaf.run("vtep", "health", "--wait", "20")
    healths.append(scene.health())
    log = watch.mark()
    scene.learn("frr1", NEW)
    scene.wait_at(NEW, FRR)
    watch.wait_for(NEW, log)
    watch.end()
    scene.forget("frr1", NEW)

    assert told == {(learnt, FRR), (OTHER, FRR)}
    assert floods == {FRR}
    assert healths == [0, 3, 0]
    assert scene.vtep("diff")["differences"] == []


@scenario("S13")
def test_a_vni_that_the_leaf_has_not_brings_no_row(scene):
    frr = scene.machines["frr1"]
    before = scene.leaf_rows()
    frr.ip(
        "link add name br400 type bridge",
        f"link add name vxlan400 type vxlan id 400 local {FRR} dstport 4789 nolearning",
        "link add name port400 type veth peer name port400b",
        "link set dev port400b up",
        "link set dev vxlan400 master br400 up",
        "link set dev port400 master br400 up",
        "link set dev br400 up",
    )
    scene.learn("frr1", MAC, port="port400")
    wait_until(lambda: MAC in scene.vtysh("frr1", "show bgp l2vpn evpn route type macip"), 10, "FRR's route")
    wait_until(lambda: scene.reasons(MAC) == {"unknown-vni"}, 10, "the reason")

    stays(lambda: scene.leaf_rows() == before, window_s=2, what="rows without it")
    frr.ip("link del dev port400", "link del dev vxlan400", "link del dev br400")


@scenario("V6")
def test_a_vtep_that_changes_its_address_has_its_rows_at_the_new_one_and_never_at_both(scene, learnt):
    frr = scene.machines["frr1"]
    scene.leaf.ip(f"route add {ELSEWHERE}/32 via 10.1.1.1 src {LEAF}")
    frr.ip(f"addr add {ELSEWHERE}/32 dev lo")

    def moved(to):
        def only_one():
            assert len([row for row in scene.row(learnt) if "dst" in row]) <= 1
            return scene.is_at(learnt, to) and scene.floods() == {to}

        frr.ip(f"link set dev vxlan100 type vxlan id 100 local {to}")
        wait_until_it_stays(only_one, 15, f"all rows at {to}")

    moved(ELSEWHERE)
    stays(lambda: FRR not in {vtep for _, vtep in scene.leaf_rows()["vxlan100"]}, what="no row at the old address")
    moved(FRR)

    scene.leaf.ip(f"route del {ELSEWHERE}/32")
    frr.ip(f"addr del {ELSEWHERE}/32 dev lo")


@pytest.mark.slow
@scenario("V7")
def test_rows_go_while_the_uplink_is_down_and_are_the_same_afterwards(scene, learnt):
    frr = scene.machines["frr1"]
    rows = scene.leaf_rows()
    before = count(scene)

    frr.ip("link set dev eth1 down")
    wait_until_it_stays(lambda: scene.leaf_rows()["vxlan100"] == set(), 40, "the end of all rows")
    frr.ip("link set dev eth1 up", f"route replace {LEAF}/32 via 10.1.1.0 src {FRR}")
    reconnected(scene, before, deadline_s=60)

    wait_until_it_stays(lambda: scene.leaf_rows() == rows, 15, "the same rows")
    assert len(scene.row(overlay.FLOOD_MAC)) == 1


@scenario("V8")
def test_a_route_with_our_own_site_of_origin_brings_no_row_until_it_comes_without(scene, learnt):
    with scene.configured(('import_rt = ["65000:100"]', 'import_rt = ["65000:100"]\nsoo = "65000:7"')):
        scene.wait_at(learnt, FRR)
        before = count(scene)
        scene.vtysh("frr1", "configure terminal", "route-map site permit 10", "set extcommunity soo 65000:7")
        scene.evpn("frr1", f"neighbor {LEAF} route-map site out")
        scene.wait_gone(learnt)
        stays(lambda: not scene.row(learnt), what="its absence")
        assert scene.reasons(learnt) == {"soo"}
        scene.evpn("frr1", f"no neighbor {LEAF} route-map site out")
        scene.wait_at(learnt, FRR)
        after = count(scene)
    scene.vtysh("frr1", "configure terminal", "no route-map site")

    assert before == after


@scenario("V9", "S13")
def test_a_row_follows_the_route_targets_that_frr_exports(scene, learnt):
    def export(wanted, *unwanted):
        """The new comes first: without any, FRR exports its automatic one."""
        lines = [f"route-target export {target}" for target in wanted]
        scene.evpn("frr1", "vni 100", *lines, *(f"no route-target export {target}" for target in unwanted))

    with scene.configured(("65000:100", '65000:8", "4200000000:7", "10.0.0.1:7')):
        scene.wait_gone(learnt)
        export(["65000:7", "65000:8", "65000:9"])
        scene.wait_at(learnt, FRR)
        export(["4200000000:7"], "65000:7", "65000:8", "65000:9")
        scene.wait_at(learnt, FRR)
        export(["10.0.0.1:7"], "4200000000:7")
        scene.wait_at(learnt, FRR)
        export(["65000:7"], "10.0.0.1:7")
        scene.wait_gone(learnt)
        stays(lambda: not scene.row(learnt), what="its absence")
    export([], "65000:7")

    scene.wait_at(learnt, FRR)


@scenario("V10")
def test_rows_are_not_written_again_when_the_peer_tells_everything_again(scene, learnt):
    def ages():
        rows = json.loads(scene.leaf.run("bridge", "-s", "-j", "fdb", "show", "dev", "vxlan100"))
        return [row["updated"] for row in rows if "extern_learn" in row["flags"]]

    monitor = scene.monitor_fdb()
    rows = scene.leaf_rows()["vxlan100"]
    wait_until(lambda: min(ages()) >= 2, 10, "rows of some age")
    sent = scene.session("frr1")["messageStats"]["updatesSent"]

    scene.vtysh("frr1", f"clear bgp l2vpn evpn {LEAF} soft out")
    wait_until(lambda: scene.session("frr1")["messageStats"]["updatesSent"] > sent, 10, "everything again")

    stays(lambda: min(ages()) >= 2, window_s=2, what="the rows' ages")
    assert monitor.harm(rows) == []


@scenario("V11")
def test_a_device_that_is_made_anew_gets_all_its_rows_without_a_word_of_bgp(scene, learnt):
    rows = scene.leaf_rows()
    before = count(scene)
    refreshes = scene.session("frr1")["messageStats"]["routeRefreshRecv"]
    log = scene.log()

    scene.leaf.ip("link del dev vxlan100")
    wait_until(lambda: "vxlan-missing" in scene.log_since(log), what="the reason in the log")
    scene.leaf.ip(
        f"link add name vxlan100 type vxlan id 100 local {LEAF} dstport 4789 nolearning",
        "link set dev vxlan100 master br100 addrgenmode none",
        "link set dev vxlan100 type bridge_slave learning off",
        "link set dev vxlan100 up",
    )

    wait_until_it_stays(lambda: scene.leaf_rows() == rows, 10, "the same rows")
    assert scene.halves(learnt) == BOTH_HALVES
    assert (count(scene), scene.session("frr1")["messageStats"]["routeRefreshRecv"]) == (before, refreshes)
    assert re.search(r'"event": "vni ready"', scene.log_since(log))
