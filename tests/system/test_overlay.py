"""Two stations meet that know nothing of each other: their questions cross by flood rows, or the leaf's bridge answers."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from tests.lab import overlay, probe
from tests.lab.fabric import Fabric
from tests.lab.fixtures import lab, network, skipped_if_missing
from tests.lab.neighbor_queries import NeighborQueries, NeighborQuery
from tests.lab.peers import EXABGP
from tests.lab.speaker import Speaker
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, Station, address
from tests.lab.vtep import VNI_SECTION, Vtep, exabgp_with_relay, leaf_config, vni_section
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

REMOTE = Instance(address(1))
OPERATORS = "10.0.0.7"
NOBODY, NOBODY6 = "172.16.0.77", "2001:db8::77"
SILENCE_S = 1.0


@pytest.fixture
def speaker(network):
    with Speaker(network.remote, address(1)) as speaker:
        yield speaker


@pytest.fixture
def queries(network):
    with NeighborQueries(network.underlay, "to-leaf") as queries:
        yield queries


def start(network, **options):
    vtep = Vtep(network.leaf, leaf_config(**options))
    vtep.start()
    exabgp_with_relay(network.leaf, [address(1)]).start()
    return vtep


def suppress(network, flag="on"):
    network.leaf.ip(f"link set dev {VXLAN} type bridge_slave neigh_suppress {flag}")


def know_the_leaf(remote, station, vxlan=VXLAN):
    """What the remote would do if the leaf announced anything."""
    overlay.put_row(remote, vxlan, station.mac, address(LEAF))
    overlay.put_flood_row(remote, vxlan, address(LEAF))


def host_routes(station, instance=REMOTE):
    return [instance.mac(station.mac), instance.mac(station.mac, station.ip), instance.mac(station.mac, station.ip6)]


def floods(network):
    return overlay.floods(network.leaf, VXLAN)


def host_rows(network):
    """Address and MAC of each row on the leaf's bridge that somebody wrote there."""
    rows = json.loads(network.leaf.run("ip", "-j", "neigh", "show", "dev", BRIDGE, "nud", "noarp") or "[]")
    return {(row["dst"], row["lladdr"]) for row in rows if "extern_learn" in row}


def both_hosts(station):
    return {(station.ip, station.mac), (station.ip6, station.mac)}


# Empty caches


def test_stations_with_empty_caches_reach_each_other_by_flood_rows(network, speaker, queries):
    here, there = network.leaf_station, network.remote_station
    know_the_leaf(network.remote, here)
    start(network)
    speaker.announce(REMOTE.mac(there.mac))
    wait_until(lambda: overlay.tunnels(network.leaf, VXLAN) == {(there.mac, address(1))}, what="the row")
    unanswered = probe.ping(here.node, there.ip, 0.3)
    for station in (here, there):
        station.node.run("ip", "neigh", "flush", "dev", "eth0")

    speaker.announce(REMOTE.flood())
    wait_until(lambda: floods(network) == {address(1)}, what="the flood row")

    assert unanswered is None
    assert overlay.neighbors(here.node, "eth0") == overlay.neighbors(there.node, "eth0") == {}
    assert probe.ping(here.node, there.ip) is not None
    assert probe.ping(there.node, here.ip6) is not None
    assert queries.until(there.ip)
    assert queries.heard[-1] == NeighborQuery(VNI, there.ip, address(1))
    row = f"{overlay.FLOOD_MAC} dst {address(1)} self extern_learn permanent"
    assert row in network.leaf.run("bridge", "fdb", "show", "dev", VXLAN)
    assert overlay.learnt(network.leaf, VXLAN) == set()


def test_the_bridge_answers_for_known_hosts_and_only_unknown_ones_are_asked_for_across(network, speaker, queries):
    here, there = network.leaf_station, network.remote_station
    know_the_leaf(network.remote, here)
    suppress(network)
    start(network)
    speaker.announce(REMOTE.flood(), *host_routes(there))
    wait_until(lambda: host_rows(network) == both_hosts(there), what="the host rows")
    wait_until(lambda: floods(network) == {address(1)}, what="the flood row")
    assert overlay.neighbors(here.node, "eth0") == overlay.neighbors(there.node, "eth0") == {}

    crossed = [probe.ping(here.node, there.ip), probe.ping(here.node, there.ip6)]
    for nobody in (NOBODY, NOBODY6):
        # Asked for after the others were: once it is heard, nothing of theirs is under way.
        probe.ping(here.node, nobody, 0.1)
        assert queries.until(nobody)

    assert None not in crossed
    asked = {question.wanted for question in queries.heard}
    assert {NOBODY, NOBODY6} <= asked
    assert asked.isdisjoint({there.ip, there.ip6})


def test_the_same_hosts_are_asked_for_across_while_nothing_is_suppressed(network, speaker, queries):
    here, there = network.leaf_station, network.remote_station
    know_the_leaf(network.remote, here)
    start(network)
    speaker.announce(REMOTE.flood(), *host_routes(there))
    wait_until(lambda: floods(network) == {address(1)}, what="the flood row")

    assert probe.ping(here.node, there.ip) is not None
    assert queries.until(there.ip)
    assert probe.ping(here.node, there.ip6) is not None
    assert queries.until(there.ip6)
    assert host_rows(network) == set()


# What the rows go through


def test_suppression_that_is_switched_on_later_brings_host_rows(network, speaker):
    start(network)
    speaker.announce(REMOTE.flood(), *host_routes(network.remote_station))
    wait_until(lambda: floods(network) == {address(1)}, what="the flood row")
    before = host_rows(network)

    suppress(network)

    wait_until(lambda: host_rows(network) == both_hosts(network.remote_station), what="the host rows")
    assert before == set()


def test_a_bridge_that_was_down_has_its_host_rows_again(network, speaker):
    suppress(network)
    start(network)
    speaker.announce(REMOTE.flood(), *host_routes(network.remote_station))
    wait_until(lambda: host_rows(network) == both_hosts(network.remote_station), what="the host rows")

    network.leaf.ip(f"link set dev {BRIDGE} down")
    lost = host_rows(network)
    network.leaf.ip(f"link set dev {BRIDGE} up")

    wait_until(lambda: host_rows(network) == both_hosts(network.remote_station), what="the host rows again")
    assert lost == set()
    assert floods(network) == {address(1)}


def test_host_rows_go_with_their_routes(network, speaker):
    there = network.remote_station
    suppress(network)
    start(network)
    speaker.announce(*host_routes(there))
    wait_until(lambda: host_rows(network) == both_hosts(there), what="the host rows")

    speaker.withdraw(REMOTE.mac(there.mac, there.ip6))

    wait_until(lambda: host_rows(network) == {(there.ip, there.mac)}, what="the end of one host row")
    assert (there.mac, address(1)) in overlay.tunnels(network.leaf, VXLAN)


def test_rows_outlive_a_daemon_that_keeps_them_and_go_if_nobody_wants_them_after_it(network, speaker):
    there = network.remote_station
    suppress(network)
    vtep = start(network)
    other = Instance(address(2))
    speaker.announce(REMOTE.flood(), other.flood(), *host_routes(there))
    wait_until(lambda: host_rows(network) == both_hosts(there), what="the host rows")
    wait_until(lambda: floods(network) == {address(1), address(2)}, what="the flood rows")

    status = vtep.process.stop()
    kept = floods(network), host_rows(network)
    speaker.withdraw(other.flood(), REMOTE.mac(there.mac, there.ip6))
    vtep.start()

    wait_until(lambda: floods(network) == {address(1)}, what="the flood row that is still wanted")
    wait_until(lambda: host_rows(network) == {(there.ip, there.mac)}, what="the host row that is still wanted")
    assert (status, kept) == (0, ({address(1), address(2)}, both_hosts(there)))


def test_draining_removes_our_flood_and_host_rows_and_leaves_the_operators(network, speaker):
    suppress(network)
    overlay.put_flood_row(network.leaf, VXLAN, OPERATORS)
    network.leaf.ip(f"neigh add {NOBODY} lladdr 02:00:00:00:00:77 dev {BRIDGE} extern_learn nud noarp")
    vtep = start(network, on_stop="drain")
    speaker.announce(REMOTE.flood(), *host_routes(network.remote_station))
    wait_until(lambda: floods(network) == {address(1), OPERATORS}, what="the flood row")
    wait_until(lambda: host_rows(network) > both_hosts(network.remote_station), what="the host rows")
    wait_until(lambda: '"converged": true' in vtep.process.log().splitlines()[-1], what="the end of the pass")

    assert vtep.process.stop() == 0
    assert overlay.tunnels(network.leaf, VXLAN) == {(overlay.FLOOD_MAC, OPERATORS)}
    assert host_rows(network) == {(NOBODY, "02:00:00:00:00:77")}


def test_a_flood_row_that_an_operator_put_meanwhile_is_contested_and_never_deleted(network, speaker):
    vtep, other = start(network), Instance(address(2))
    speaker.announce(REMOTE.flood())
    wait_until(lambda: floods(network) == {address(1)}, what="the flood row")

    overlay.put_flood_row(network.leaf, VXLAN, address(2))
    speaker.announce(other.flood())
    wait_until(lambda: "row contested" in vtep.process.log(), what="the contest in the log")
    speaker.withdraw(other.flood(), REMOTE.flood())

    wait_until(lambda: address(1) not in floods(network), what="the end of our own flood row")
    assert floods(network) == {address(2)}


# Two VNIs


def test_two_vnis_with_one_prefix_reach_inside_and_never_across(network, speaker):
    here, there = network.leaf_station, network.remote_station
    for node, number in ((network.leaf, LEAF), (network.remote, 1)):
        overlay.bridge_vxlan(node, 200, "br200", "vxlan200", address(number))
    here200, there200 = Station(network.lab, 98), Station(network.lab, 2)
    here200.plug(network.leaf, "br200")
    there200.plug(network.remote, "br200")
    know_the_leaf(network.remote, here)
    know_the_leaf(network.remote, here200, "vxlan200")
    remote200 = Instance(address(1), 200, targets=("65000:200",))
    start(network, vnis=VNI_SECTION + vni_section(200, "br200", "vxlan200"))
    speaker.announce(REMOTE.flood(), *host_routes(there), remote200.flood(), *host_routes(there200, remote200))
    for vxlan, station in ((VXLAN, there), ("vxlan200", there200)):
        rows = {(overlay.FLOOD_MAC, address(1)), (station.mac, address(1))}
        wait_until(lambda: overlay.tunnels(network.leaf, vxlan) == rows, what=f"the rows of {vxlan}")  # noqa: B023

    inside = [pair for one in ((here, there), (here200, there200)) for pair in permutations(one)]
    across = [pair for pair in permutations((here, there, here200, there200), 2) if pair not in inside]
    with ThreadPoolExecutor(len(across)) as threads:
        reached = {pair for pair in inside if probe.ping(pair[0].node, pair[1].ip) is not None}
        silent = threads.map(lambda pair: probe.ping(pair[0].node, pair[1].ip, SILENCE_S) is None, across)
        assert all(silent)

    assert reached == set(inside)
    assert len(across) == 8


# Beside FRR


@pytest.fixture
def fabric(lab):
    with skipped_if_missing():
        fabric = Fabric(lab, exabgp=EXABGP, remotes=3, restarts="")
    fabric.start()
    return fabric


def test_floods_go_where_frr_floods_while_vteps_come_and_go(fabric):
    remotes = fabric.network.remotes
    fabric.settle_floods(1, 2, 3)

    fabric.announce_vnis(1, False)
    fabric.settle_floods(2, 3)
    remotes[1].ip(f"link set dev {VXLAN} down")
    fabric.settle_floods(3)
    fabric.announce_vnis(1, True)
    fabric.settle_floods(1, 3)
    fabric.frrs[3].bgpd.stop()
    fabric.settle_floods(1)
    remotes[1].ip(f"link set dev {VXLAN} up")
    fabric.frrs[3].start_bgpd()

    fabric.settle_floods(1, 2, 3)


def test_the_bridge_answers_for_a_host_that_frr_announces(fabric):
    network = fabric.network
    here, there = network.leaf_station, network.remote_station
    know_the_leaf(network.remote, here)
    suppress(network)
    # FRR announces what is in the neighbor table of its bridge, which has no address here and so finds out nothing.
    network.remote.ip(
        *(f"neigh add {ip} lladdr {there.mac} dev {BRIDGE} nud permanent" for ip in (there.ip, there.ip6))
    )

    wait_until(lambda: host_rows(network) == both_hosts(there), 10, "the host rows")

    with NeighborQueries(network.underlay, "to-leaf") as queries:
        assert overlay.neighbors(here.node, "eth0") == {}
        assert probe.ping(here.node, there.ip) is not None
        assert probe.ping(here.node, there.ip6) is not None
        probe.ping(here.node, NOBODY, 0.1)
        assert queries.until(NOBODY)
    assert {question.wanted for question in queries.heard}.isdisjoint({there.ip, there.ip6})
