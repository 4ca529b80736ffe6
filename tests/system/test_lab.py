"""The lab can be believed: its network forwards only as told, its peers are real, and it leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.lab import overlay, probe, wire
from tests.lab.fixtures import lab, network, skipped_if_missing
from tests.lab.namespaces import CommandFailed, Lab, Missing, Node, link
from tests.lab.peers import ExaBgp, Frr, GoBgp, Recorder, exabgp_config, frr_config, gobgp_config
from tests.lab.speaker import Speaker
from tests.lab.topology import BRIDGE, LEAF, VXLAN, Topology, address, address6, introduce
from tests.lab.wait import PATIENCE, NeverHappened, wait_until
from tests.lab.wire import Instance, Offer
from vtep.addr import Mac

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

REMOTE = Instance("10.0.0.1")
MAC = "02:00:00:00:00:01"


@pytest.fixture
def recorder(network: Topology) -> Recorder:
    return Recorder(network.leaf)


def start_exabgp(network: Topology, recorder: Recorder, *neighbors: str, **options) -> ExaBgp:
    exabgp = ExaBgp(network.leaf, exabgp_config(address(LEAF), neighbors, recorder.run, **options))
    exabgp.start()
    return exabgp


def heard_nlris(recorder: Recorder, action: str) -> set[str]:
    """Return the raw NLRIs, in lower case, that ExaBGP has announced or withdrawn to its child."""
    found = set()
    for line in recorder.lines("update"):
        of_action = line["neighbor"]["message"].get("update", {}).get(action, {}).get("l2vpn evpn", {})
        groups = of_action.values() if isinstance(of_action, dict) else [of_action]
        found |= {nlri["raw"].lower() for group in groups for nlri in group}
    return found


# The network


def test_a_ping_crosses_vxlan_only_when_rows_were_put(network):
    here, there = network.leaf_station, network.remote_station
    introduce(here, there)

    before = probe.ping(here.node, there.ip, 0.3)
    overlay.put_row(network.leaf, VXLAN, there.mac, address(1))
    overlay.put_row(network.remote, VXLAN, here.mac, address(LEAF))

    assert before is None
    assert probe.ping(here.node, there.ip) is not None
    assert probe.ping(here.node, there.ip6) is not None
    assert overlay.tunnels(network.leaf, VXLAN) == {(there.mac, "10.0.0.1")}


def test_flood_rows_let_stations_find_each_other(network):
    overlay.put_flood_row(network.leaf, VXLAN, address(1))
    overlay.put_flood_row(network.remote, VXLAN, address(LEAF))
    overlay.put_row(network.leaf, VXLAN, network.remote_station.mac, address(1))
    overlay.put_row(network.remote, VXLAN, network.leaf_station.mac, address(LEAF))

    assert probe.ping(network.leaf_station.node, network.remote_station.ip, 5) is not None
    assert overlay.neighbors(network.leaf_station.node, "eth0")[network.remote_station.ip] == MAC


def test_a_frame_from_the_tunnel_teaches_no_mac(network):
    overlay.put_flood_row(network.remote, VXLAN, address(LEAF))
    overlay.put_row(network.remote, VXLAN, network.leaf_station.mac, address(LEAF))

    probe.speak(network.remote_station.node, "eth0", "02:00:00:00:00:77")
    wait_until(lambda: "02:00:00:00:00:77" in overlay.learnt(network.remote, "port1"))

    assert overlay.learnt(network.leaf, VXLAN) == set()
    assert overlay.tunnels(network.leaf, VXLAN) == set()


def test_a_station_that_moves_is_reached_behind_its_new_vtep(lab):
    with skipped_if_missing():
        network = Topology(lab, remotes=2)
    here, moving = network.leaf_station, network.stations[0]
    introduce(here, moving)
    overlay.put_row(network.leaf, VXLAN, moving.mac, address(1))
    for remote in network.remotes:
        overlay.put_row(remote, VXLAN, here.mac, address(LEAF))
    assert probe.ping(here.node, moving.ip) is not None

    moving.unplug()
    moving.plug(network.remotes[1])
    lost = probe.ping(here.node, moving.ip, 0.3)
    overlay.put_row(network.leaf, VXLAN, moving.mac, address(2))

    assert lost is None
    assert probe.ping(here.node, moving.ip) is not None
    assert overlay.tunnels(network.leaf, VXLAN) == {(moving.mac, "10.0.0.2")}


def test_a_temporary_folder_below_run_is_seen_inside_a_node(lab):
    """A lab within a lab, since here the temporary folder may be anywhere."""
    with skipped_if_missing():
        outer = lab.node("outer")
    outer.write("/run/tmp/note", "seen\n")
    outer.write("/run/hidden", "")
    script = (
        "from tests.lab.namespaces import Lab\n"
        "with Lab() as lab: print(lab.node('inner').run('sh', '-c', 'cat /run/tmp/note; ls /run'))\n"
    )
    root = str(Path(__file__).parents[2])

    seen = outer.run("env", "TMPDIR=/run/tmp", f"PYTHONPATH={root}", sys.executable, "-c", script)

    assert seen.startswith("seen\n")
    assert "hidden" not in seen


def test_a_failing_command_says_where_and_why(lab):
    with skipped_if_missing():
        node = lab.node("lonely")

    with pytest.raises(CommandFailed, match=r"lonely: ip link set nowhere up .* Cannot find device"):
        node.run("ip", "link", "set", "nowhere", "up")


def test_waiting_in_vain_tells_the_last_value_seen():
    with pytest.raises(NeverHappened, match=rf"a miracle did not happen within {0.01 * PATIENCE} s; last seen: \[\]"):
        wait_until(list, 0.01, "a miracle")


# Our speaker and real ExaBGP


def test_exabgp_hears_a_mac_its_withdrawal_and_the_end_of_rib(network, recorder):
    with Speaker(network.remote, address(1)) as speaker:
        speaker.announce(REMOTE.mac(MAC, seq=3))
        start_exabgp(network, recorder, address(1))
        session = speaker.wait_established()
        raw = "022100010a000001006400000000000000000000000000003002000000000100000064"

        wait_until(lambda: heard_nlris(recorder, "announce") == {raw}, what="the announcement")
        wait_until(lambda: any("eor" in line["neighbor"]["message"] for line in recorder.lines("update")), what="EoR")
        speaker.withdraw(REMOTE.mac(MAC))

        unlabelled = raw[:-6] + "000000"
        wait_until(lambda: heard_nlris(recorder, "withdraw") == {unlabelled}, what="the withdrawal")
        (announced,) = (line for line in recorder.lines("update") if raw.upper() in str(line))
        communities = announced["neighbor"]["message"]["update"]["attribute"]["extended-community"]
        assert [community["string"] for community in communities] == [
            "target:65000:100", "encap:VXLAN", "mac-mobility:3",
        ]  # fmt: skip
        assert session.peer == address(LEAF)
        assert speaker.table == {}


def test_exabgp_understands_every_route_type_of_ours(network, recorder):
    segment = wire.Esi(bytes.fromhex("03020000000042000001"))
    routes = (
        REMOTE.ethernet_ad(segment, tag=0xFFFFFFFF, extended=(wire.esi_label(0, single_active=True),)),
        REMOTE.ethernet_ad(segment, tag=0, label=100),
        REMOTE.mac("02:00:00:00:00:02", "172.16.0.2", esi=segment, l3vni=50000),
        REMOTE.mac("02:00:00:00:00:03", "2001:db8::3", sticky=True, extended=(wire.default_gateway(),)),
        REMOTE.flood(),
        REMOTE.segment(segment, extended=(wire.df_election(2, 100),)),
        REMOTE.prefix("192.168.7.0/24"),
        REMOTE.prefix("2001:db8:7::/48", gateway="2001:db8::7"),
    )
    with Speaker(network.remote, address(1), Offer(extended_messages=True)) as speaker:
        start_exabgp(network, recorder, address(1))
        speaker.wait_established()

        speaker.announce(*routes)
        expected = {route.nlri.hex() for route in routes}
        wait_until(lambda: heard_nlris(recorder, "announce") == expected, what="all routes")
        speaker.withdraw(*routes)

        gone = {wire.unlabelled(route.nlri).hex() for route in routes}
        wait_until(lambda: heard_nlris(recorder, "withdraw") == gone, what="all withdrawals")
        assert len(speaker.established()) == 1
        assert speaker.table == {}


def test_exabgp_hears_every_community_and_attribute_of_ours(network, recorder):
    communities = (
        wire.encapsulation(8),
        wire.default_gateway(),
        wire.mobility(4_000_000_000, sticky=True),
        wire.esi_label(50, single_active=True),
        wire.es_import(Mac.parse(MAC)),
        wire.router_mac(Mac.parse(MAC)),
        wire.layer2_attributes(2, 1500),
        wire.df_election(2, 100),
        wire.host_flags(4),
        wire.site_of_origin("10.0.0.1:7"),
    )
    path = wire.attributes(
        communities=(0xFFFF0006,), originator="10.0.0.7", clusters=("10.0.0.8",), extended=communities
    )
    route = msgspec.structs.replace(REMOTE.mac(MAC), attributes=path)
    with Speaker(network.remote, address(1)) as speaker:
        speaker.announce(route)

        start_exabgp(network, recorder, address(1))

        (line, *_) = wait_until(lambda: recorder.lines("update"), what="the route")
        heard = line["neighbor"]["message"]["update"]["attribute"]
        # ExaBGP sorts them.
        assert [community["value"] for community in heard["extended-community"]] == sorted(
            map(int.from_bytes, communities)
        )
        assert heard["community"] == [[65535, 6]]
        assert heard["originator-id"] == "10.0.0.7"
        assert heard["cluster-list"] == ["10.0.0.8"]


def test_a_route_with_another_label_takes_the_place_of_the_first(network):
    with Speaker(network.remote, address(1)) as speaker:
        speaker.announce(REMOTE.mac(MAC), Instance(address(1), vni=200, rd="10.0.0.1:100").mac(MAC))

        assert [route.nlri[-3:] for route in speaker.table.values()] == [b"\0\0\xc8"]


def test_a_speaker_with_an_ipv6_address_is_found(network, recorder):
    offer = Offer(router_id=address(1))
    with Speaker(network.remote, address6(1), offer) as speaker:
        exabgp = ExaBgp(
            network.leaf, exabgp_config(address6(LEAF), [address6(1)], recorder.run, router_id=address(LEAF))
        )
        exabgp.start()

        assert speaker.wait_established().peer == address6(LEAF)


def test_a_route_refresh_is_answered_between_its_markers(network, recorder):
    with Speaker(network.remote, address(1)) as speaker:
        start_exabgp(network, recorder, address(1))
        session = speaker.wait_established()
        speaker.announce(*(REMOTE.mac(f"02:00:00:00:01:{last:02x}") for last in range(120)))
        wait_until(lambda: len(heard_nlris(recorder, "announce")) == 120, what="the routes")
        before = len(recorder.lines())

        recorder.command("announce route-refresh l2vpn evpn")
        wait_until(lambda: '"subtype": "end"' in recorder.text()[-1], what="the end marker")

        kinds = [
            line["neighbor"]["route-refresh"]["subtype"] if line["type"] == "refresh" else line["type"]
            for line in recorder.lines()[before:]
        ]
        assert kinds == ["begin", "update", "update", "update", "end"]
        assert session.refreshes_heard == [wire.REFRESH_ASKED]


def test_what_exabgp_announces_is_heard_octet_by_octet(network, recorder):
    """ExaBGP has no words for EVPN routes, so one travels as a generic attribute of a dummy IPv4 route."""
    route = Instance(address(LEAF), rd="10.0.0.99:100").mac("02:00:00:00:00:99")
    reach = wire.reach(route.next_hop, [route.nlri])
    offer = Offer(families=(wire.EVPN, wire.IPV4_UNICAST))
    with Speaker(network.remote, address(1), offer) as speaker:
        start_exabgp(network, recorder, address(1), families=("ipv4 unicast", "l2vpn evpn"))
        session = speaker.wait_established()

        recorder.command(
            f"announce route 192.0.2.1/32 next-hop {address(LEAF)} extended-community [ 0x0002fde800000064 ] "
            f"attribute [ 0x0e 0x80 0x{reach[3:].hex()} ]"
        )
        heard = wait_until(lambda: speaker.heard(session), what="the route")

        assert heard[route.key].nlri == route.nlri
        assert heard[route.key].next_hop == route.next_hop
        assert heard[route.key].attributes[16].hex() == "0002fde800000064"


def test_a_dropped_session_comes_back_with_the_whole_table(network, recorder):
    with Speaker(network.remote, address(1)) as speaker:
        speaker.announce(REMOTE.mac(MAC))
        start_exabgp(network, recorder, address(1))
        first = speaker.wait_established()
        wait_until(lambda: len(recorder.lines("update")) == 2, what="the route and the End-of-RIB")

        speaker.drop()
        second = wait_until(lambda: [s for s in speaker.established() if s is not first], 15, "a new session")[0]

        wait_until(lambda: len(recorder.lines("update")) == 4, what="the route and the End-of-RIB again")
        assert first.ended_by == "we dropped the connection"
        assert second.peer == first.peer


def test_a_notification_is_delivered(network, recorder):
    with Speaker(network.remote, address(1)) as speaker:
        start_exabgp(network, recorder, address(1))
        speaker.wait_established()

        speaker.notify(6, 4)

        (line, *_) = wait_until(lambda: recorder.lines("notification"), what="the notification")
        notification = line["neighbor"]["notification"]
        assert (notification["code"], notification["subcode"]) == (6, 4)


def test_a_silent_speaker_loses_its_session_by_the_hold_time(network, recorder):
    with Speaker(network.remote, address(1), Offer(hold_s=3)) as speaker:
        start_exabgp(network, recorder, address(1))
        session = speaker.wait_established()

        speaker.silent = True

        wait_until(lambda: session.notification_heard, 10, "the peer's NOTIFICATION")
        assert session.notification_heard[0] == 4


def test_a_silent_peer_loses_its_session_by_the_hold_time(network, recorder):
    with Speaker(network.remote, address(1), Offer(hold_s=3)) as speaker:
        exabgp = start_exabgp(network, recorder, address(1))
        session = speaker.wait_established()

        exabgp.process.signal(signal.SIGSTOP)

        wait_until(lambda: session.ended_by, 10, "the end of the session")
        assert session.ended_by == "the peer was silent for the hold time"


def test_one_exabgp_has_sessions_with_several_speakers(lab):
    with skipped_if_missing():
        network = Topology(lab, remotes=2)
    recorder = Recorder(network.leaf)
    with Speaker(network.remotes[0], address(1)) as one, Speaker(network.remotes[1], address(2)) as two:
        one.announce(Instance(address(1)).mac(MAC))
        two.announce(Instance(address(2)).mac(MAC, seq=1))

        start_exabgp(network, recorder, address(1), address(2))

        wait_until(lambda: len(heard_nlris(recorder, "announce")) == 2, 10, "both routes")
        assert one.wait_established() is not two.wait_established()


def test_a_crashed_exabgp_is_started_again(network, recorder):
    with Speaker(network.remote, address(1)) as speaker:
        exabgp = start_exabgp(network, recorder, address(1))
        first = speaker.wait_established()

        assert exabgp.process.kill() == -signal.SIGKILL
        wait_until(lambda: first.ended_by, what="the end of the first session")
        exabgp.start()

        assert speaker.wait_established() is not first
        assert exabgp.process.stop() == 0


def test_a_hundred_thousand_routes_are_packed_fifty_to_an_update():
    routes = [REMOTE.mac(f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}") for n in range(100_000)]

    messages = list(wire.updates(routes, 50))

    assert len(messages) == 2000
    assert max(map(len, messages)) <= wire.SIZE_MAX
    assert wire.read_update(messages[-1][19:]).announced[-1] == routes[-1].nlri


def test_an_update_never_exceeds_the_message_size():
    routes = [REMOTE.mac(f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}", f"2001:db8::{n:x}") for n in range(1000)]

    messages = list(wire.updates(routes, 1000))

    assert max(map(len, messages)) <= wire.SIZE_MAX
    assert [nlri for octets in messages for nlri in wire.read_update(octets[19:]).announced] == [r.nlri for r in routes]


# Other peers


def test_frr_announces_a_mac_that_its_bridge_learns(network, recorder):
    with skipped_if_missing():
        frr = Frr(network.remote, frr_config(address(1), [address(LEAF)]))
    frr.start()
    start_exabgp(network, recorder, address(1))

    probe.speak(network.remote_station.node, "eth0", MAC)

    def mac_octets_heard() -> bool:
        return any(
            raw.startswith("02") and "30" + MAC.replace(":", "") in raw for raw in heard_nlris(recorder, "announce")
        )

    wait_until(mac_octets_heard, 15, "the MAC")
    table = frr.json("show bgp l2vpn evpn")
    assert any(f"[2]:[0]:[48]:[{MAC}]" in str(prefixes) for prefixes in table.values())
    assert "eor" in str(recorder.lines("update"))


def test_frr_believes_our_speaker_and_writes_its_kernel(network):
    with skipped_if_missing():
        frr = Frr(network.leaf, frr_config(address(LEAF), [address(1)]))
    with Speaker(network.remote, address(1)) as speaker:
        speaker.announce(REMOTE.flood(), REMOTE.mac(MAC))
        frr.start()

        expected = {(MAC, address(1)), (overlay.FLOOD_MAC, address(1))}
        wait_until(lambda: overlay.tunnels(network.leaf, VXLAN) == expected, 15, "the rows of zebra")
        session = speaker.wait_established()
        wait_until(lambda: session.end_of_rib_heard, what="the End-of-RIB of bgpd")
        kinds = {heard.nlri[0] for heard in speaker.heard(session).values()}
        assert 3 in kinds
        frr.stop()
        wait_until(lambda: session.ended_by, what="the end of the session")
        # For graceful restart bgpd leaves without a NOTIFICATION (RFC 4724 4).
        assert session.notification_heard is None


def test_gobgp_announces_a_mac_to_exabgp(network, recorder):
    with skipped_if_missing():
        gobgp = GoBgp(network.remote, gobgp_config(address(1), [address(LEAF)]))
    gobgp.start()
    gobgp.command(
        *f"global rib add -a evpn macadv {MAC} 0.0.0.0 etag 0 label 100 rd 10.0.0.1:100 rt 65000:100 encap vxlan".split()
    )

    start_exabgp(network, recorder, address(1))

    wait_until(lambda: any(MAC.replace(":", "") in raw for raw in heard_nlris(recorder, "announce")), 15, "the MAC")
    assert len(gobgp.json("neighbor")) == 1


# What is not there


def test_a_program_that_is_not_installed_is_told_by_its_path(lab):
    with skipped_if_missing():
        node = lab.node("poor")

    with pytest.raises(Missing, match="there is no ExaBGP at /opt/none/exabgp"):
        ExaBgp(node, "", executable=Path("/opt/none/exabgp"))


def test_without_privileges_the_lab_says_what_it_takes():
    script = (
        "from tests.lab.namespaces import Lab, Missing\n"
        "try: Lab().node('any')\n"
        "except Missing as missing: print(missing)\n"
    )
    powerless = ["unshare", "--user", sys.executable, "-c", script]
    told = subprocess.run(powerless, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)

    if told.returncode:
        pytest.skip(f"a user namespace without a user cannot be tried here: {told.stderr.strip()}")
    assert "no network namespace can be made here (unshare:" in told.stdout
    assert "it takes root" in told.stdout


# Nothing is left behind


def test_a_closed_lab_has_no_process_and_no_namespace_left():
    """The far end of a wire vanishes with the namespace of the near end, whatever might have kept that alive."""
    with skipped_if_missing(), Lab() as observer:
        watch = observer.node("watch")
        with Lab() as lab:
            network = Topology(lab)
            link(watch, "eth0", network.leaf, "watched")
            namespaces = {namespace_of(node) for node in lab.nodes}
            recorder = Recorder(network.leaf)
            speaker = Speaker(network.remote, address(1))
            exabgp = start_exabgp(network, recorder, address(1))
            speaker.wait_established()
            stubborn = network.leaf.start("sh", "-c", "trap '' TERM INT HUP; read -r _ </dev/zero")
            probe.ping(network.leaf_station.node, network.remote_station.ip, 0.05)
            assert processes_in(namespaces)
            speaker.close()

        assert processes_in(namespaces) == []
        assert not exabgp.process.alive
        assert not stubborn.alive
        # The kernel takes namespaces down one after the other, those of other tests as well.
    wait_until(lambda: not watch.has_link("eth0"), 30, "the end of the leaf's namespace")


def test_a_killed_test_leaves_no_process_and_no_namespace():
    with skipped_if_missing(), Lab() as observer:
        watch = observer.node("watch")
        script = (
            "import sys; from tests.lab.namespaces import Lab, link; from tests.lab.topology import Topology\n"
            "lab = Lab(); network = Topology(lab)\n"
            "network.leaf.start('sh', '-c', 'trap \"\" TERM INT HUP; read -r _ </dev/zero')\n"
            "print(*(node.pid for node in lab.nodes), flush=True)\n"
            "sys.stdin.read()\n"
        )
        victim = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with victim:
            holders = [int(pid) for pid in victim.stdout.readline().split()]
            namespaces = {os.stat(f"/proc/{pid}/ns/net").st_ino for pid in holders}
            watch.ip(f"link add name eth0 type veth peer name watched netns {holders[1]}")
            assert len(processes_in(namespaces)) == len(holders) + 1
            victim.kill()

        wait_until(lambda: processes_in(namespaces) == [], what="the end of all processes")
        # The kernel takes namespaces down one after the other, those of other tests as well.
    wait_until(lambda: not watch.has_link("eth0"), 30, "the end of the leaf's namespace")


def test_the_network_is_built_in_a_namespace_and_not_here(network):
    here = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout

    assert not {"sw0", BRIDGE, VXLAN, "port1", "port99"} & set(here.replace("@", " ").replace(":", " ").split())
    assert network.leaf.has_link(VXLAN)


def namespace_of(node: Node) -> int:
    return os.stat(f"/proc/{node.pid}/ns/net").st_ino


def processes_in(namespaces: set[int]) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                inode = os.stat(entry / "ns/net").st_ino
            except OSError:  # it just ended, or is not ours to see
                continue
            if inode in namespaces:
                found.append(int(entry.name))
    return found
