"""What docs/security.md says of a running daemon: what it holds, who may open what, and how much others may make it do."""

import json
import os
import re
import socket
import stat
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.lab import confined, overlay
from tests.lab.feeder import Feeder
from tests.lab.fixtures import lab, network, skipped_if_missing
from tests.lab.lines import Lines
from tests.lab.peers import EXABGP, EXABGP_4_2
from tests.lab.speaker import Speaker
from tests.lab.topology import BRIDGE, VXLAN, address
from tests.lab.vtep import Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from vtep.app.kernel_task import CAP_NET_ADMIN
from vtep.v1 import admin_pb2, admin_pb2_grpc, vtep_pb2, vtep_pb2_grpc

__all__ = ["lab", "network"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
MAC = "02:00:00:00:01:01"
PEER, OTHER = address(1), address(2)
REMOTE = Instance(PEER)


def started(network, **options) -> Vtep:
    vtep = Vtep(network.leaf, leaf_config(**options))
    vtep.start()
    wait_until(lambda: '"started"' in vtep.process.log(), 20, "its start")
    return vtep


def rows(network) -> set[tuple[str, str]]:
    return overlay.tunnels(network.leaf, VXLAN)


# What it holds


def test_the_daemon_does_its_work_with_one_capability_and_the_system_calls_of_its_unit(network, monkeypatch):
    with skipped_if_missing():
        confined.prefix()
    monkeypatch.setenv(confined.WANTED, "1")
    vtep, lines = started(network), Lines()

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.up(PEER), lines.announce(PEER, REMOTE.mac(MAC)))
        wait_until(lambda: rows(network) == {(MAC, PEER)}, what="the row")
        health = vtep.ask("macs")
    status = Path(f"/proc/{vtep.process.pid}/status").read_text()

    held = {name: text for name, _, text in (line.partition(":\t") for line in status.splitlines())}
    assert [int(held[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")] == [
        *(1 << CAP_NET_ADMIN,) * 3, 0, 0,
    ]  # fmt: skip
    assert (held["NoNewPrivs"], held["Seccomp"]) == ("1", "2")
    assert "installed" in health.stdout


FORBIDDEN = """
import ctypes, os, socket
CLONE_NEWUSER, SIGCHLD, CLONE3 = 0x10000000, 17, 435
def tried(act):
    try:
        act()
    except OSError as error:
        return error.errno
    return 0
def called(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
print(*map(tried, (
    lambda: os.setuid(1),
    lambda: os.chroot("/"),
    lambda: os.sched_setaffinity(0, {0}),
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    lambda: called(CLONE3, 0, 0),
    lambda: called({clone}, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0),
    lambda: os.chown("/run", -1, 0),
)))
"""


def test_what_the_unit_refuses_is_refused(network):
    """Its filter is the one above: without this, that test would pass with a filter that lets everything through."""
    with skipped_if_missing():
        prefix = confined.prefix()
    numbers = {"x86_64": "56", "aarch64": "220"}

    said = network.leaf.run(*prefix, "python3", "-c", FORBIDDEN.replace("{clone}", numbers[confined.MACHINE]))

    assert said.split() == ["1", "1", "1", "97", "38", "1", "0"]


@pytest.mark.parametrize("executable", [EXABGP, EXABGP_4_2], ids=["5.0", "4.2"])
def test_exabgp_and_the_relay_do_their_work_without_any_capability_as_their_unit_confines_them(network, executable):
    with skipped_if_missing():
        prefix = confined.exabgp_prefix()
    vtep = started(network)
    with Speaker(network.remote, PEER) as speaker:
        exabgp = exabgp_with_relay(network.leaf, [PEER], executable=executable, announces=True)
        exabgp.start(*prefix)
        speaker.announce(REMOTE.mac(MAC))
        wait_until(lambda: rows(network) == {(MAC, PEER)}, 20, "the row")

        (relay,) = Path(f"/proc/{exabgp.process.pid}/task/{exabgp.process.pid}/children").read_text().split()
        for pid in (exabgp.process.pid, relay):
            held = dict(
                line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
            )
            assert [int(held[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0] * 4
            assert (held["NoNewPrivs"], held["Seccomp"]) == ("1", "2")
    assert vtep.process.alive


# Who may open what


def test_settings_that_open_a_door_are_told_in_the_log_and_in_the_status(network):
    more = 'socket_mode = "0666"\n[api]\nadmin = ["127.0.0.1:9480"]\nmetrics = "0.0.0.0:9479"'
    vtep = started(network, more=more)
    keys = ["feed.socket_mode", "api.admin", "api.metrics"]

    told = vtep.told("status")
    assert [text.partition(": ")[0] for text in told["warnings"]] == keys
    assert not any(key in problem for key in keys for problem in told["problems"])
    assert vtep.process.log().count('"exposed"') == len(keys)
    assert all(text in vtep.process.log() or text in vtep.process.log().replace("\\", "") for text in told["warnings"])
    checked = vtep.ask("check", "/run/vtep.toml")
    assert (checked.returncode, checked.stderr.count(": warning: ")) == (0, len(keys))


def test_sockets_and_files_have_the_modes_that_are_documented(network):
    vtep = started(network)
    folder = network.leaf.path("/run/vtep")

    found = {f"/run/vtep/{path.name}": path for path in folder.iterdir()} | {"/run/vtep": folder}

    modes = {name: f"{stat.S_IMODE(path.lstat().st_mode):04o}" for name, path in found.items()}
    documented = dict(re.findall(r"^\| `(/run/vtep\S*)` \| `(\d{4})` \|", DOCUMENT.read_text(), re.MULTILINE))
    assert documented.pop("/run/vtep/devices") == documented["/run/vtep/ledger"]  # it is there if a device is managed
    assert modes == documented
    assert vtep.process.alive


# What a peer may make it do

FLOOD = [f"02:66:00:00:{number >> 8:02x}:{number & 255:02x}" for number in range(2_000)]
BURST = 50
OCTETS_A_ROUTE = 400
"""Less than a route costs that is kept: about 670 (docs/security.md)."""


def told(lines, macs) -> list[bytes]:
    return [
        lines.announce(PEER, *(REMOTE.mac(mac) for mac in macs[first : first + BURST]))
        for first in range(0, len(macs), BURST)
    ]


def peer(vtep, address_) -> dict:
    return next(found for found in vtep.told("peers")["peers"] if found["address"] == address_)


def alerts(vtep) -> list[tuple]:
    events = vtep.told("events")["events"]
    return [(event["vni"], event["peer"], event["reason"]) for event in events if event["kind"] == "alert"]


def test_a_peer_over_its_limit_is_refused_and_recovers_while_another_one_notices_nothing(network):
    vtep, lines = started(network, more="[limits]\nroutes_per_peer = 50\n"), Lines()
    other = ("02:00:00:00:02:01", OTHER)

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.opened(PEER, 120), lines.up(PEER), *told(lines, FLOOD), lines.end_of_rib(PEER))
        feeder.say(lines.opened(OTHER, 120), lines.up(OTHER), lines.announce(OTHER, Instance(OTHER).mac(other[0])))
        feeder.say(lines.end_of_rib(OTHER))
        wait_until(
            lambda: rows(network) == {(mac, PEER) for mac in FLOOD[:50]} | {other}, what="as many as are allowed"
        )
        flooded, unheard = peer(vtep, PEER), vtep.ask("explain", FLOOD[-1]).stdout

        feeder.say(lines.withdraw(PEER, *(REMOTE.mac(mac).nlri for mac in FLOOD[:45])))
        asked = wait_until(lambda: feeder.asked("refresh"), 15, "the peer to be asked again")
        feeder.say(lines.refresh(PEER, "begin"), *told(lines, FLOOD[45:80]), lines.refresh(PEER, "end"))
        wait_until(lambda: rows(network) == {(mac, PEER) for mac in FLOOD[45:80]} | {other}, what="what was refused")
        recovered = peer(vtep, PEER)

    assert (flooded["routes"], flooded["limited"]) == (50, len(FLOOD) - 50)
    assert "routes_per_peer" in " ".join(unheard.split())
    assert PEER in asked
    assert (recovered["routes"], recovered["limited"]) == (35, 0)
    assert alerts(vtep) == [(0, PEER, "limit")]


def test_a_full_vni_says_limit_and_takes_what_waited_when_there_is_room(network):
    vtep, lines = started(network, more="[limits]\nmacs_per_vni = 40\n"), Lines()
    beyond = "02:77:00:00:00:01"

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.opened(PEER, 120), lines.up(PEER), *told(lines, FLOOD[:40]), lines.end_of_rib(PEER))
        wait_until(lambda: len(rows(network)) == 40, what="a full VNI")
        feeder.say(lines.announce(PEER, REMOTE.mac(beyond)))
        [candidate] = wait_until(
            lambda: vtep.told("explain", beyond)["explanations"][0]["candidates"], what="a verdict"
        )
        [vni] = vtep.told("vnis")["vnis"]
        feeder.say(lines.withdraw(PEER, REMOTE.mac(FLOOD[0]).nlri))
        wait_until(lambda: (beyond, PEER) in rows(network), what="its row")

    assert (candidate["verdict"], candidate["reason"]) == ("refused", "limit")
    assert "limit: 1 MACs have no row" in vni["notes"]
    assert alerts(vtep) == [(100, "", "limit")]
    assert {(mac, PEER) for mac in FLOOD[1:40]} <= rows(network)


def test_routes_beyond_the_limit_cost_no_memory(network):
    vtep, lines = started(network, more="[limits]\nroutes_per_peer = 50\n"), Lines()

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.up(PEER), *told(lines, FLOOD))
        wait_until(lambda: peer(vtep, PEER)["limited"] == len(FLOOD) - 50, 15, "the first flood")
        before = local_claim(vtep)
        for again in range(1, 11):
            feeder.say(*told(lines, [f"02:{again:02x}{mac[5:]}" for mac in FLOOD]))
        wait_until(lambda: peer(vtep, PEER)["limited"] == 11 * len(FLOOD) - 50, 30, "ten times as much")

    assert local_claim(vtep) - before < 10 * len(FLOOD) * OCTETS_A_ROUTE


def local_claim(vtep) -> int:
    status = Path(f"/proc/{vtep.process.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


# What others say, shown to people

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\nroot logged in \u202e\x9b31m<script>alert(1)</script>"
PORTS = {"02:00:00:00:01:02": b"\x1b[31m<b>;`id`", "02:00:00:00:01:03": b"\xff\xfe$(id)\x1b[2J"}
QUESTIONS = ["peers", "events", "status"]
PAGES = ["/metrics", "/status.json", "/vnis.json", "/events.json", f"/explain.json?mac={MAC}", "/readyz"]


def test_hostile_words_reach_no_log_no_terminal_and_no_scrape_unescaped(network):
    """Those of a peer, of who writes the feed, of devices, of metadata and requests: each is shown, and none acts."""
    for number, (mac, name) in enumerate(PORTS.items()):
        network.leaf.run("ip", "link", "add", "name", os.fsdecode(name), "type", "veth", "peer", "name", f"far{number}")
        network.leaf.run("ip", "link", "set", "dev", os.fsdecode(name), "master", BRIDGE, "up")
        network.leaf.run("bridge", "fdb", "add", mac, "dev", os.fsdecode(name), "master", "static")
    vtep, lines = started(network), Lines()

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.up(PEER), lines.announce(PEER, REMOTE.mac(MAC), *map(REMOTE.mac, PORTS)))
        feeder.say(lines.up(OTHER), lines.down(OTHER, HOSTILE), HOSTILE.replace("\n", " ").encode(), b"\x9b31m\x00\xff")
        wait_until(lambda: vtep.told("peers")["peers"][1]["reason"] == HOSTILE, what="the reason")
        wait_until(lambda: vtep.told("explain", [*PORTS][1])["explanations"][0]["kernel"]["holder"], what="the holder")
        stranger(network, HOSTILE.encode() + b"\n")
        ask_rudely(network)
        wait_until(lambda: "operator asked" in vtep.process.log(), what="the order")
        shown = [text for words in QUESTIONS for text in answers(vtep, *words.split())]
        advised = [vtep.ask("explain", mac).stdout for mac in PORTS]
        pages = [network.leaf.run("python3", "-c", FETCH, page) for page in PAGES]

    log = vtep.process.log()
    for text in (log, *shown, *advised):
        assert {char for char in text if char != "\n" and not char.isprintable()} == set()
    assert all(isinstance(json.loads(line), dict) for line in log.splitlines())
    assert "feed connection refused" in log
    assert any("root logged in" in text for text in shown)
    assert [line for text in (log, *shown) for line in text.splitlines() if line.startswith("root")] == []
    assert "dev '\\x1b[31m<b>;`id`' master" in " ".join(advised[0].split())
    assert [page for page, text in zip(PAGES, pages, strict=True) if "\x1b" in text or "\x07" in text] == []
    families = list(text_string_to_metric_families(pages[0]))
    assert HOSTILE not in {text for family in families for sample in family.samples for text in sample.labels.values()}


def answers(vtep, *words: str) -> list[str]:
    """Return all that a command prints, as tables and as JSON."""
    return [
        text
        for form in ((), ("-o", "json"))
        for done in (vtep.ask(*words, *form),)
        for text in (done.stdout, done.stderr)
    ]


def stranger(network, octets: bytes) -> None:
    """Speak to the feed socket as no relay does, until it is closed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.connect(str(network.leaf.path("/run/vtep/feed.sock")))
        caller.settimeout(10)
        caller.sendall(octets)
        assert caller.recv(1) == b""


def ask_rudely(network) -> None:
    """Call both services with hostile metadata, names and texts."""
    metadata = (("x-bin", HOSTILE.encode()), ("user-agent", "<script>"))
    with grpc.insecure_channel(f"unix:{network.leaf.path('/run/vtep/admin.sock')}") as channel:
        admin, reading = admin_pb2_grpc.AdminServiceStub(channel), vtep_pb2_grpc.VtepServiceStub(channel)
        admin.Resync(admin_pb2.ResyncRequest(), metadata=metadata, timeout=10)
        for call in (
            lambda: admin.SetLogLevel(admin_pb2.SetLogLevelRequest(level=HOSTILE), timeout=10),
            lambda: reading.ExplainMac(vtep_pb2.ExplainMacRequest(mac=HOSTILE), timeout=10),
            lambda: reading.ListMacs(vtep_pb2.ListMacsRequest(page_token=HOSTILE), timeout=10),
            lambda: channel.unary_unary("/vtep.v1.VtepService/\x1b[2J")(b"", timeout=10),
        ):
            with pytest.raises(grpc.RpcError) as refusal:
                call()
            assert str(refusal.value.details()).isprintable()


FETCH = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen("http://127.0.0.1:9479" + sys.argv[1])
except urllib.error.HTTPError as error:
    answer = error
sys.stdout.buffer.write(answer.read())
"""
