"""The whole way with nothing simulated: a BGP speaker, real ExaBGP, the relay, the daemon, the kernel, and frames."""

import grp
import re
import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import vtep
from tests.lab import overlay, probe
from tests.lab.feeder import Feeder
from tests.lab.fixtures import lab, network
from tests.lab.lines import Lines
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, VXLAN, Topology, address, address6, introduce
from tests.lab.vtep import FEED, Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

REMOTE = Instance(address(1))
NOBODY = 65534
PACKAGE = Path(vtep.__file__).parent


def tunnels(network: Topology) -> set[tuple[str, str]]:
    return overlay.tunnels(network.leaf, VXLAN)


@pytest.fixture
def speaker(network):
    with Speaker(network.remote, address(1)) as speaker:
        yield speaker


def test_a_mac_travels_the_whole_way_and_a_ping_crosses(network, speaker):
    here, there = network.leaf_station, network.remote_station
    introduce(here, there)
    overlay.put_row(network.remote, VXLAN, here.mac, address(LEAF))
    Vtep(network.leaf).start()
    exabgp_with_relay(network.leaf, [address(1)]).start()
    speaker.wait_established()
    before = probe.ping(here.node, there.ip, 0.3)

    speaker.announce(REMOTE.mac(there.mac))
    wait_until(lambda: tunnels(network) == {(there.mac, address(1))}, what="the row")

    assert before is None
    assert probe.ping(here.node, there.ip) is not None
    rows = network.leaf.run("bridge", "fdb", "show", "dev", VXLAN)
    assert f"{there.mac} dst {address(1)} self extern_learn permanent" in rows
    assert (
        f"{there.mac} master br100 extern_learn" in " ".join(rows.split("  "))
        or f"{there.mac} extern_learn master br100" in rows
    )

    speaker.withdraw(REMOTE.mac(there.mac))
    wait_until(lambda: tunnels(network) == set(), what="the end of the row")
    assert probe.ping(here.node, there.ip, 0.3) is None


def test_rows_outlive_a_daemon_that_is_told_to_keep_them_and_are_taken_back(network, speaker):
    vtep = Vtep(network.leaf)
    vtep.start()
    exabgp_with_relay(network.leaf, [address(1)]).start()
    macs = [f"02:00:00:00:01:{number:02x}" for number in range(20)]
    speaker.announce(*(REMOTE.mac(mac) for mac in macs))
    rows = {(mac, address(1)) for mac in macs}
    wait_until(lambda: tunnels(network) == rows, what="the rows")

    status = vtep.process.stop()
    kept = tunnels(network)
    speaker.withdraw(*(REMOTE.mac(mac) for mac in macs[10:]))
    speaker.announce(REMOTE.mac("02:00:00:00:02:00"))
    vtep.start()
    wait_until(
        lambda: tunnels(network) == {(mac, address(1)) for mac in [*macs[:10], "02:00:00:00:02:00"]},
        what="the rows that are still wanted",
    )

    assert (status, kept) == (0, rows)


def test_draining_removes_our_rows_and_nobody_elses(network, speaker):
    vtep = Vtep(network.leaf, leaf_config(on_stop="drain"))
    vtep.start()
    exabgp_with_relay(network.leaf, [address(1)]).start()
    overlay.put_row(network.leaf, VXLAN, "02:00:00:00:09:09", "10.0.0.7")
    speaker.announce(REMOTE.mac("02:00:00:00:01:01"))
    wait_until(lambda: len(tunnels(network)) == 2, what="both rows")

    assert vtep.process.stop() == 0
    assert tunnels(network) == {("02:00:00:00:09:09", "10.0.0.7")}


def test_devices_that_come_late_get_their_rows(network, speaker):
    network.leaf.ip(f"link del dev {VXLAN}")
    vtep = Vtep(network.leaf)
    vtep.start()
    exabgp_with_relay(network.leaf, [address(1)]).start()
    speaker.announce(REMOTE.mac("02:00:00:00:01:01"))
    wait_until(lambda: "vxlan-missing" in vtep.process.log(), what="the reason in the log")

    network.leaf.ip(
        f"link add name {VXLAN} type vxlan id 100 local {address(LEAF)} dstport 4789 nolearning",
        f"link set dev {VXLAN} master br100 up",
        f"link set dev {VXLAN} type bridge_slave learning off",
    )

    wait_until(lambda: tunnels(network) == {("02:00:00:00:01:01", address(1))}, what="the row")


def test_devices_of_others_come_and_go_without_a_look_at_every_row(network):
    vtep = Vtep(network.leaf)
    vtep.start()

    def looked() -> tuple[int, datetime]:
        told = vtep.told("status")["dataplane"]
        return told["passes"], datetime.fromisoformat(told["audited"])

    wait_until(lambda: '"rows written"' in vtep.process.log(), what="the first pass")
    passes, audited = looked()

    network.leaf.ip("link add tap0 type veth peer name tap1", "link set tap0 up", "link del tap0")

    wait_until(lambda: looked()[0] > passes, what="a pass")
    assert looked()[1] - audited < timedelta(milliseconds=1)  # two clocks make the time, and their rounding differs


def test_a_reload_adds_a_vni_without_a_word_from_bgp(network, speaker):
    vtep = Vtep(
        network.leaf, leaf_config(vnis='[[vni]]\nvni = 300\nbridge = "brx"\nvxlan = "vxx"\nimport_rt = ["65000:300"]')
    )
    vtep.start()
    exabgp_with_relay(network.leaf, [address(1)]).start()
    speaker.announce(REMOTE.mac("02:00:00:00:01:01"))
    wait_until(lambda: "exabgp connected" in vtep.process.log(), what="the feed")

    vtep.configure(leaf_config())
    vtep.process.signal(signal.SIGHUP)

    wait_until(lambda: tunnels(network) == {("02:00:00:00:01:01", address(1))}, what="the row")


def test_a_broken_configuration_is_refused_before_anything_happens(network):
    vtep = Vtep(network.leaf, leaf_config().replace("bridge =", "bridg ="))

    assert vtep.start().wait() == 2
    log = vtep.process.log()
    assert "vni[0].bridg: unknown key (hint: did you mean bridge?)" in log
    assert "vni[0].bridge: missing beside vxlan" in log


def test_without_the_capability_the_routes_are_kept_and_the_log_says_what_is_missing(network, speaker):
    vtep = Vtep(network.leaf)
    vtep.start("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    exabgp_with_relay(network.leaf, [address(1)]).start()

    speaker.announce(REMOTE.mac("02:00:00:00:01:01"))
    wait_until(lambda: "row suppressed" in vtep.process.log(), what="the refused row in the log")

    assert vtep.process.alive
    assert tunnels(network) == set()
    assert "dataplane off" in vtep.process.log()
    assert vtep.process.log().count("CAP_NET_ADMIN is missing") >= 2


def test_without_a_vni_no_netlink_socket_is_opened(network, speaker):
    vtep = Vtep(network.leaf, leaf_config(vnis=""))
    process = vtep.start()
    exabgp_with_relay(network.leaf, [address(1)]).start()
    wait_until(lambda: "exabgp connected" in process.log(), what="the feed")

    descriptors = network.leaf.run("sh", "-c", f"readlink /proc/{process.pid}/fd/*")
    sockets = set(re.findall(r"socket:\[(\d+)\]", descriptors))
    netlink = network.leaf.run("cat", f"/proc/{process.pid}/net/netlink").splitlines()[1:]

    assert sockets
    assert sockets.isdisjoint(line.split()[9] for line in netlink)


def test_an_ipv6_underlay_works_like_ipv4(network):
    """Stock ExaBGP resets a session on an IPv6 next hop, so the lines are brought to the feed's socket by hand."""
    here, there = network.leaf_station, network.remote_station
    introduce(here, there)
    for node, number in ((network.leaf, LEAF), (network.remote, 1)):
        node.ip(f"link del dev {VXLAN}", "link del dev br100")
        overlay.bridge_vxlan(node, 100, "br100", VXLAN, address6(number))
        node.ip(f"link set dev port{number} master br100")
    overlay.put_row(network.remote, VXLAN, here.mac, address6(LEAF))
    Vtep(network.leaf, leaf_config().replace(f'"{address(LEAF)}"', f'"{address6(LEAF)}"')).start()
    lines, remote = Lines(), Instance(address6(1), rd="65000:1")
    route = remote.mac(there.mac)

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.up(address(1)), lines.announce(address(1), route), lines.end_of_rib(address(1)))
        wait_until(lambda: tunnels(network) == {(there.mac, address6(1))}, what="the row")
        crossed = probe.ping(here.node, there.ip)
        feeder.say(lines.withdraw(address(1), route.nlri))
        wait_until(lambda: tunnels(network) == set(), what="the end of the row")

    assert crossed is not None


def test_a_relay_without_any_rights_may_speak_where_its_group_may(network):
    """As when ExaBGP dropped to nobody before it started the relay: no uid, no capability, no file of ours but the socket."""
    group = grp.getgrgid(NOBODY).gr_name
    if network.leaf.run("sh", "-c", f"setpriv --reuid={NOBODY} true 2>/dev/null || echo no").strip():
        pytest.skip("one user alone cannot become another")
    Vtep(network.leaf, leaf_config(more=f'socket_group = "{group}"')).start("setpriv", f"--groups={NOBODY}")
    lines = Lines()
    said = [lines.up(address(1)), lines.announce(address(1), REMOTE.mac("02:00:00:00:01:01"))]
    network.leaf.write("/run/said", "".join(f"{line.decode()}\n" for line in said))
    for part in (
        "__init__.py",
        "__main__.py",
        "errors.py",
        "feed/__init__.py",
        "feed/exabgp/__init__.py",
        "feed/exabgp/relay.py",
    ):
        network.leaf.write(f"/run/copy/vtep/{part}", (PACKAGE / part).read_text())
    rights = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --bounding-set=-all --inh-caps=-all"
    wait_until(network.leaf.path("/run/vtep/feed.sock").exists, what="the feed socket")

    network.leaf.start(
        "sh", "-c", f"cat /run/said | {rights} env PYTHONPATH=/run/copy /usr/bin/python3 -m vtep relay --socket {FEED}"
    )

    wait_until(lambda: tunnels(network) == {("02:00:00:00:01:01", address(1))}, what="the row")
