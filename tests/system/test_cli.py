"""The commands as a user runs them: as processes, against the real API over written figures, and against a daemon that
says what no real one would."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tarfile
import threading
from itertools import count
from pathlib import Path

import grpc
import pytest

from tests.lab.api import Served
from tests.lab.certificates import Authority
from tests.lab.figures import VNI_NOT_READY, VNI_READY, figures, row
from tests.lab.scripted_api import ScriptedApi
from tests.lab.wait import wait_until
from vtep.observe.history import HistoryEntry
from vtep.v1 import vtep_pb2 as pb

VTEP = Path(sys.executable).with_name("vtep")
LISTS = ("status", "vnis", "macs", "vteps", "neighbors", "peers", "events", "routes", "diff")


OURS = ("VTEP_", "COLUMNS", "NO_COLOR", "PYTHONUNBUFFERED", "GRPC_")


def environment(**more):
    """The environment without what changes what a command prints, or when."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "TERM": "xterm", **more}


def vtep(*words, address=None, **more):
    """Run a command to its end; the daemon is named by the environment."""
    given = {"VTEP_ADDRESS": address} if address else {}
    return subprocess.run(
        [VTEP, *words], capture_output=True, text=True, timeout=60, env=environment(**given, **more), check=False
    )


@pytest.fixture
def daemon(tmp_path):
    with Served(figures(), tmp_path) as served:
        yield served


@pytest.fixture
def calm(tmp_path):
    """A daemon that has nothing to complain of."""
    with Served(figures(troubled=False), tmp_path) as served:
        yield served


# Tables and JSON


@pytest.mark.parametrize("command", LISTS)
def test_every_table_has_a_header_and_a_pipe_cuts_nothing(command, daemon):
    ran = vtep(command, address=daemon.address, COLUMNS="40")

    assert ran.returncode == (1 if command == "diff" else 0), ran.stderr
    assert len(ran.stdout.splitlines()) > 1
    assert "…" not in ran.stdout
    assert "↳" not in ran.stdout
    assert "\x1b" not in ran.stdout
    assert not ran.stderr


def test_routes_have_verdicts_and_can_be_counted(daemon):
    def lines(*words):
        ran = vtep("routes", *words, address=daemon.address)
        assert (ran.returncode, ran.stderr) == (0, "")
        return [" ".join(line.split()) for line in ran.stdout.splitlines()]

    assert lines()[1] == "2 mac-ip 10.0.0.1 10.0.0.1:100 100 02:00:00:00:00:01 10.0.0.1 won - only-path"
    assert lines("--refused")[1:] == [
        "2 mac-ip 10.0.0.2 10.0.0.1:100 100 02:00:00:00:00:99 10.0.0.2 refused, stale - rt-mismatch, has 65000:999"
    ]
    assert lines("--refused", "--summary")[1:] == ["10.0.0.1 others unknown-vni 4", "10.0.0.2 100 rt-mismatch 2"]
    assert lines("--advertised", "--refused")[1:] == [
        "2 mac-ip 10.0.0.1:100 100 02:00:00:00:00:77 refused - no neighbor"
    ]
    assert len(lines("--limit", "3")) == 4
    wrong = vtep("routes", "--reason", "no-such-code", address=daemon.address)
    assert (wrong.returncode, "docs/reasons.md lists them" in wrong.stderr) == (2, True)


def test_stations_say_how_far_they_are_advertised(daemon):
    local = vtep("macs", "--local", address=daemon.address).stdout.splitlines()
    everything = vtep("macs", "--all", address=daemon.address).stdout
    document = json.loads(vtep("macs", "--all", "-o", "json", address=daemon.address).stdout)
    wrong = vtep("macs", "--local", "--vtep", "10.0.0.1", address=daemon.address)

    assert local[0].split() == ["VNI", "MAC", "PORT", "VLAN", "ADDRESSES", "SEQ", "ADVERTISED", "SINCE", "WHY"]
    assert local[2].split()[-4:] == ["refused", "-", "no", "neighbor"]
    assert ("swp1" in everything, "device-down" in everything) == (True, True)
    assert (len(document["stations"]), len(document["macs"])) == (3, 9)
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "vtep: --vtep chooses remote MACs; leave it out with --local and --all\n",
    )


def test_an_address_is_explained_and_what_is_neither_mac_nor_address_is_refused(daemon):
    told = vtep("explain", "172.16.0.1", address=daemon.address).stdout
    document = json.loads(vtep("explain", "172.16.0.1", "-o", "json", address=daemon.address).stdout)
    wrong = vtep("explain", "no-such-thing", address=daemon.address)

    assert told.splitlines()[0] == "In a sentence."
    assert {line.partition(" ")[0] for line in told.splitlines()[2:]} >= {
        "address",
        "MAC",
        "neighbor",
        "answers",
        "route",
    }
    assert document["explanations"][0]["ip"] == "172.16.0.1"
    assert (wrong.returncode, "neither a MAC nor an IP address" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("columns", [44, 80])
def test_a_terminal_that_is_too_narrow_folds_with_a_sign(columns, daemon):
    with Terminal("macs", address=daemon.address, COLUMNS=str(columns), NO_COLOR="1") as terminal:
        assert terminal.process.wait(20) == 0
        wait_until(lambda: "device-down" in terminal.text)

    lines = terminal.text.replace("\r", "").splitlines()
    assert max(map(len, lines)) <= columns
    assert ("↳" in terminal.text) == (columns == 44)


def test_wide_has_more_columns_and_cuts_nothing_on_a_terminal(daemon):
    with Terminal("macs", "-o", "wide", address=daemon.address, NO_COLOR="1") as terminal:
        assert terminal.process.wait(20) == 0
        wait_until(lambda: "device-down" in terminal.text)

    assert {"PEER", "RD", "SEQ", "ESI", "GENERATION"} <= set(terminal.text.splitlines()[0].split())
    assert "…" not in terminal.text


@pytest.mark.parametrize("command", LISTS)
def test_every_list_is_one_json_object(command, daemon):
    ran = vtep(command, "-o", "json", address=daemon.address)

    assert isinstance(json.loads(ran.stdout), dict)
    assert len(ran.stdout.splitlines()) == 1


def test_the_mac_table_can_be_asked_for_in_parts(daemon):
    def macs(*words):
        told = json.loads(vtep("macs", *words, "-o", "json", address=daemon.address).stdout)
        return [mac["mac"][-2:] for mac in told["macs"]], told["total"]

    assert macs() == (["01", "02", "03", "04", "05", "06", "07", "08", "01"], 9)
    assert macs("--vni", "200") == (["01"], 9)
    assert macs("--vtep", "10.0.0.2") == (["02"], 9)
    assert macs("--state", "failed", "--state", "STALE") == (["03", "05"], 9)
    assert macs("--limit", "2") == (["01", "02"], 9)
    assert macs("--limit", "0") == ([], 9)


def test_rows_can_be_kept_by_peer_and_by_the_first_octets_of_the_mac(daemon):
    def macs(*words):
        told = vtep("macs", *words, "-o", "jsonl", address=daemon.address).stdout
        return [json.loads(line)["mac"][-2:] for line in told.splitlines()]

    assert macs("02-00-00-00-02") == ["01"]
    assert macs("0200.0000.000") == ["01", "02", "03", "04", "05", "06", "07", "08"]
    assert macs("--peer", "10.0.0.2") == []
    assert macs("--peer", "10.0.0.1", "--limit", "2") == ["01", "02"]
    assert macs("--sort", "state", "--limit", "3") == ["04", "03", "01"]
    assert macs("--sort", "mac", "--reverse", "--limit", "1") == ["01"]


def test_a_column_that_is_not_there_to_sort_by_is_a_usage_error(daemon):
    ran = vtep("macs", "--sort", "size", address=daemon.address)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "vni, mac, vtep, state" in ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["macs"],
        ["vteps"],
        ["neighbors"],
        ["events"],
        ["diff"],
        ["explain", "2:0:0:0:0:1"],
        ["adopt"],
        ["clear-duplicate", "2:0:0:0:0:1"],
    ],
)
def test_a_vni_that_is_not_configured_is_an_error(command, daemon):
    ran = vtep(*command, "--vni", "400", address=daemon.address)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        "vtep: VNI 400 is not configured on this leaf (configured: 100, 200, 300; `vtep vnis` lists them)\n"
    )


@pytest.mark.parametrize("command", [*LISTS, "health"])
def test_yaml_has_what_json_has(command, daemon):
    told = json.loads(vtep(command, "-o", "json", address=daemon.address).stdout)
    pretty = vtep(command, "-p", address=daemon.address).stdout
    yaml = vtep(command, "-o", "yaml", address=daemon.address).stdout

    assert json.loads(pretty).keys() == told.keys()
    assert len(pretty.splitlines()) > 1
    assert [line.partition(":")[0] for line in yaml.splitlines() if line[0] not in " -"] == list(told)


def test_the_reader_of_a_few_rows_does_not_wait_for_all(tmp_path):
    """By the pages that are asked for, because a time would be the machine's."""

    def page(request, _):
        first = int(request.page_token or 0)
        rows = [
            pb.Mac(vni=100, mac=f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}")
            for n in range(first, first + request.page_size)
        ]
        return pb.ListMacsResponse(macs=rows, next_page_token=str(first + request.page_size), total=100_000)

    for words in (["macs"], ["macs", "-o", "jsonl"], ["macs", "--limit", "3", "-o", "json"]):
        with ScriptedApi(f"unix:{tmp_path}/vtep.sock", ListMacs=page) as daemon:
            ran = subprocess.run(
                ["bash", "-c", f"{VTEP} {' '.join(words)} | head -3 | wc -l"],
                env=environment(VTEP_ADDRESS=daemon.address), capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
        assert len(daemon.asked) <= 3
        assert not ran.stderr


def test_watch_shows_a_list_again_and_outlives_the_daemon(daemon, tmp_path):
    with Watcher(tmp_path, daemon.address, "--watch", "0.05", "-o", "jsonl", command="macs") as watcher:
        wait_until(lambda: len(watcher.lines) > 9, deadline_s=20)
        daemon.stop()
        wait_until(lambda: "vtep.sock" in watcher.talk, deadline_s=20)
        daemon.do(daemon.figures.put, row(0x77))
        daemon.start()
        wait_until(lambda: any("00:77" in line for line in watcher.lines), deadline_s=20)


def test_events_can_be_chosen_by_vni_mac_kind_and_number(daemon):
    def events(*words):
        told = vtep("events", *words, "-o", "jsonl", address=daemon.address).stdout
        return [json.loads(line)["kind"] for line in told.splitlines()]

    assert events() == ["peer-up", "move", "contested"]
    assert events("--kind", "move", "--kind", "peer-up") == ["peer-up", "move"]
    assert events("--vni", "100") == ["move", "contested"]
    assert events("--mac", "02:00:00:00:00:02") == ["move"]
    assert events("--limit", "1") == ["contested"]
    assert events("--limit", "0") == []
    mistyped = vtep("events", "--kind", "moved", address=daemon.address)
    assert mistyped.stderr == "vtep: none of the 3 events match; they are contested, move, peer-up\n"


def test_events_have_dates_and_the_zone(daemon):
    ran = vtep("events", address=daemon.address, TZ="Asia/Kolkata")

    assert "2026-09-21 20:42:50+0530  peer-up" in ran.stdout


def test_the_daemon_completes_what_it_knows(daemon):
    def complete(*words):
        return vtep("complete", *words, address=daemon.address).stdout.split()

    assert complete("vnis", "") == ["100", "200", "300"]
    assert complete("macs", "02:00:00:00:02") == ["02:00:00:00:02:01"]
    assert complete("macs", "", "vtep explain --vni 200 ") == ["02:00:00:00:02:01"]
    assert complete("vteps", "10.0.0.2") == ["10.0.0.2"]
    assert complete("peers", "")
    assert {"vxlan100", "br100"} <= set(complete("devices", ""))
    assert complete("subjects", "vxlan1", "vtep explain ") == ["vxlan100"]
    assert complete("subjects", "02:00:00:00:02") == ["02:00:00:00:02:01"]
    assert vtep("complete", "macs", "", address="unix:/nowhere/at/all").stderr == ""


def test_all_pages_are_fetched(tmp_path):
    with Served(figures(macs=12_000), tmp_path) as served:
        told = json.loads(vtep("macs", "-o", "json", address=served.address).stdout)

    assert len(told["macs"]) == told["total"] == 12_009
    assert "next_page_token" not in told


def test_an_empty_table_says_so_beside_the_data(calm):
    ran = vtep("macs", "--state", "failed", address=calm.address)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "vtep: none of the 1 remote MACs match\n")


def test_events_begin_where_they_are_asked_to(daemon):
    daemon.do(daemon.figures.record, HistoryEntry("peer-down", peer=row(1).vtep, reason="hold timer expired"))
    at_start = "2026-09-21T14:13:20Z"

    assert "hold timer expired" in vtep("events", "--since", at_start, address=daemon.address).stdout
    later = vtep("events", "--since", "2031-01-01", address=daemon.address)
    assert (later.stdout, later.stderr) == ("", "vtep: no events\n")


def test_a_device_is_explained_with_what_differs_and_the_commands(daemon):
    told = vtep("explain", "vxlan100", address=daemon.address).stdout
    document = json.loads(vtep("explain", "vxlan100", "-o", "json", address=daemon.address).stdout)
    wrong = vtep("explain", "vxlan100", "--vni", "100", address=daemon.address)

    assert told.splitlines()[:2] == ["vxlan100 is not as wanted: mtu 1500", "see: vtep devices plan"]
    parts = [line.partition("  ")[0] for line in told.splitlines()[3:] if not line.startswith(" ")]
    assert parts == [
        "device",
        "owner",
        "VNIs",
        "wanted",
        "kernel",
        "as wanted",
        "differs",
        "last write",
        "refused",
        "not ready",
    ]
    assert told.count("ip link set dev vxlan100 mtu 1450") == 2
    assert document["differences"][0]["state"] == "failed"
    assert (wrong.returncode, "neither --vrf nor --vni" in wrong.stderr) == (2, True)


def test_explain_says_the_summary_first_then_the_advice(daemon):
    ran = vtep("explain", "0200.0000.0003", address=daemon.address)

    assert ran.stdout.splitlines()[:2] == [
        "failed behind 10.0.0.1: No buffer space available",
        "see docs/reasons.md",
    ]
    assert "error       ENOBUFS (105): No buffer space available" in ran.stdout


def test_explain_has_a_part_for_each_vni_that_knows_the_mac(daemon):
    daemon.do(daemon.figures.put, row(1, vni=VNI_NOT_READY))

    told = json.loads(vtep("explain", "02:00:00:00:00:01", "-o", "json", address=daemon.address).stdout)

    assert [explanation["vni"] for explanation in told["explanations"]] == [100, 200]


# Exit codes


def test_diff_is_0_where_all_is_equal(calm):
    ran = vtep("diff", address=calm.address)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "vtep: no difference in 1 rows\n")


def test_health_is_0_when_ready_and_1_with_the_reasons_when_not(daemon, tmp_path):
    (tmp_path / "calm").mkdir()
    with Served(figures(troubled=False), tmp_path / "calm") as calm:
        well = vtep("health", address=calm.address)
    ill = vtep("health", address=daemon.address)

    assert (well.returncode, well.stdout, well.stderr) == (0, "ready\n", "")
    assert (ill.returncode, ill.stdout) == (1, "not ready\n")
    assert "VNI 200 is not ready: device-down" in ill.stderr


def test_health_waits_for_a_daemon_and_until_it_is_ready(tmp_path):
    waiting = subprocess.Popen(
        [VTEP, "health", "--wait", "50", "--address", f"{tmp_path}/vtep.sock"], env=environment(), stdout=-1, text=True
    )
    with ScriptedApi(f"unix:{tmp_path}/vtep.sock", GetStatus=pb.GetStatusResponse()) as daemon:
        wait_until(lambda: daemon.asked, deadline_s=20)
        assert waiting.poll() is None
        daemon.answers["GetStatus"] = pb.GetStatusResponse(ready=True)
        said, _ = waiting.communicate(timeout=20)

    assert (waiting.returncode, said) == (0, "ready\n")


@pytest.mark.parametrize("command", [*LISTS, "health", "watch", "resync", "adopt"])
def test_3_and_one_line_where_no_daemon_is(command, tmp_path):
    ran = vtep(command, "--address", f"{tmp_path}/vtep.sock")

    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith(f"vtep: unix:{tmp_path}/vtep.sock: no such socket.")
    assert len(ran.stderr.splitlines()) == 1


def refusing(code):
    def answer(_, context):
        context.abort(code, "because\x1b[2J")

    return answer


@pytest.mark.parametrize(
    ("code", "returncode"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, 3),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 3),
        (grpc.StatusCode.INTERNAL, 3),
        (grpc.StatusCode.UNIMPLEMENTED, 3),
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.NOT_FOUND, 2),
    ],
    ids=str,
)
def test_a_refusal_is_one_harmless_line(code, returncode, tmp_path):
    with ScriptedApi(f"unix:{tmp_path}/vtep.sock", ListPeers=refusing(code)) as daemon:
        ran = vtep("peers", address=daemon.address)

    assert (ran.returncode, ran.stdout) == (returncode, "")
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.rstrip("\n").isprintable()


def test_a_daemon_that_does_not_answer_in_time_is_unreachable(tmp_path):
    over = threading.Event()
    with ScriptedApi(f"unix:{tmp_path}/vtep.sock", ListPeers=lambda *_: over.wait(30)) as daemon:
        ran = vtep("peers", "--timeout", "0.3", address=daemon.address)
        over.set()

    assert ran.returncode == 3
    assert "no answer in time" in ran.stderr


def test_a_certificate_that_is_none_is_one_line(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")

    ran = vtep("status", "--address", "127.0.0.1:9", "--tls-ca", f"{tmp_path}/ca.pem")

    assert ran.returncode == 3
    assert len(ran.stderr.splitlines()) == 1


def test_mutual_tls_by_options_and_by_the_environment(tmp_path):
    authority = Authority(tmp_path)
    ca = authority.path
    (server_cert, server_key), (cert, key) = authority.issue("server"), authority.issue("client")
    secured = grpc.ssl_server_credentials(
        [(Path(server_key).read_bytes(), Path(server_cert).read_bytes())], Path(ca).read_bytes(),
        require_client_auth=True,
    )  # fmt: skip
    with ScriptedApi("127.0.0.1:0", secured, ListPeers=pb.ListPeersResponse()) as daemon:
        options = ("--tls-ca", ca, "--tls-cert", cert, "--tls-key", key)
        by_options = vtep("peers", *options, address=daemon.address)
        by_environment = vtep("peers", address=daemon.address, VTEP_TLS_CA=ca, VTEP_TLS_CERT=cert, VTEP_TLS_KEY=key)
        without_ours = vtep("peers", *options[:2], address=daemon.address)
        plain = vtep("peers", address=daemon.address)

    assert (by_options.returncode, by_environment.returncode) == (0, 0), by_options.stderr + by_environment.stderr
    assert (without_ours.returncode, plain.returncode) == (3, 3)
    assert "--tls-ca" in plain.stderr


# The pipe and the terminal


def test_a_reader_that_leaves_early_causes_no_failure(tmp_path):
    with Served(figures(macs=20_000), tmp_path) as served:
        ran = subprocess.run(
            ["bash", "-c", f"{VTEP} macs | head -1; echo ${{PIPESTATUS[0]}}"],
            env=environment(VTEP_ADDRESS=served.address), capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip

    assert ran.stdout.splitlines()[1:] == ["0"]
    assert not ran.stderr


@pytest.mark.parametrize("command", ["macs", "completion bash"])
@pytest.mark.parametrize("more", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_output_that_cannot_be_written_is_one_line(command, more, daemon):
    ran = subprocess.run(
        ["bash", "-c", f"{VTEP} {command} > /dev/full"],
        env=environment(VTEP_ADDRESS=daemon.address, **more), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (2, "vtep: the output cannot be written: No space left on device\n")


def test_what_a_peer_said_cannot_act_on_the_terminal(tmp_path):
    hostile = pb.Peer(address="10.0.0.1\x1b[1A", reason="\x1b]0;owned\x07\r\n\x9b2J")
    with ScriptedApi(f"unix:{tmp_path}/vtep.sock", ListPeers=pb.ListPeersResponse(peers=[hostile])) as daemon:
        table = vtep("peers", address=daemon.address)
        told = vtep("peers", "-o", "json", address=daemon.address)

    assert all(line.isprintable() for line in table.stdout.split("\n"))
    assert told.stdout.rstrip("\n").isprintable()
    assert json.loads(told.stdout)["peers"][0]["reason"] == hostile.reason


def test_a_locale_without_a_character_causes_no_failure(tmp_path):
    told = pb.ListPeersResponse(peers=[pb.Peer(address="10.0.0.1", reason="обслуживание " * 9)])
    with ScriptedApi(f"unix:{tmp_path}/vtep.sock", ListPeers=told) as daemon:
        ran = vtep("peers", address=daemon.address, PYTHONIOENCODING="ascii")

    assert ran.returncode == 0
    assert r"\u043e" in ran.stdout


class Terminal:
    """A command on a terminal of its own, and what it wrote there."""

    def __init__(self, *words, address, **more):
        self.text = ""
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [VTEP, *words, "--address", address], stdin=theirs, stdout=theirs, stderr=theirs,
            env=environment(**{"COLUMNS": "80", **more}), start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._ours = ours
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._ours)

    def type(self, text):
        os.write(self._ours, text.encode())

    def _read(self):
        try:
            while octets := os.read(self._ours, 65536):
                self.text += octets.decode(errors="replace")
        except OSError:
            pass  # the other side is closed


@pytest.mark.parametrize(("more", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_states_have_colours_on_a_terminal_that_wants_them(more, is_coloured, daemon):
    with Terminal("macs", address=daemon.address, **more) as terminal:
        assert terminal.process.wait(20) == 0
        wait_until(lambda: "suppressed" in terminal.text)

    assert ("\x1b[31mfailed" in terminal.text) == is_coloured
    assert ("\x1b" in terminal.text) == is_coloured


def test_watch_redraws_in_place_on_a_terminal_and_ends_by_ctrl_c(daemon):
    with Terminal("watch", address=daemon.address) as terminal:
        wait_until(lambda: "macs 4/9 installed" in terminal.text, deadline_s=20)
        # The status comes first, and the stream of changes begins some time later: another row each time, until one is shown.
        new = count(0x70)
        wait_until(
            lambda: daemon.do(daemon.figures.put, row(next(new))) or re.search("02(:00){4}:[7-9a-f]", terminal.text),
            deadline_s=20,
        )
        wait_until(lambda: "\x1b[J" in re.split("02(?::00){4}:[7-9a-f]", terminal.text)[0])
        terminal.process.send_signal(signal.SIGINT)

        assert terminal.process.wait(20) == 130
        assert "Traceback" not in terminal.text


def test_top_fills_the_terminal_until_q(daemon):
    with Terminal("top", address=daemon.address, COLUMNS="100", LINES="40") as terminal:
        wait_until(lambda: "4 of 9 MACs" in terminal.text and "device-down" in terminal.text, deadline_s=20)
        daemon.do(daemon.figures.record, HistoryEntry("move", VNI_READY, row(2).mac, row(1).vtep))
        wait_until(lambda: " move " in terminal.text, deadline_s=20)
        terminal.type("q")

        assert terminal.process.wait(20) == 0
        wait_until(lambda: terminal.text.endswith("\x1b[?1049l"))


def test_top_without_a_terminal_names_what_does_without(daemon):
    ran = vtep("top", address=daemon.address)

    assert (ran.returncode, ran.stderr) == (2, "vtep: vtep top needs a terminal; `vtep watch` prints lines\n")


# A report


def test_a_report_has_what_is_wrong_and_no_secret(daemon, tmp_path):
    (tmp_path / "vtep.toml").write_text('[[bgp.neighbor]]\npassword_file = "/etc/vtep/p"\n')
    (tmp_path / "exabgp.conf").write_text('neighbor 10.0.0.1 {\n    md5-password "hunter2";\n    peer-as 65000;\n}\n')
    archive = tmp_path / "leaf.tar.gz"

    ran = vtep("report", str(archive), "--config", f"{tmp_path}/vtep.toml", address=daemon.address)

    assert (ran.returncode, ran.stdout) == (0, f"{archive}\n")
    assert oct(archive.stat().st_mode & 0o777) == "0o600"
    with tarfile.open(archive) as opened:
        texts = {name.removeprefix("leaf/"): opened.extractfile(name).read().decode() for name in opened.getnames()}
    assert json.loads(texts["daemon/status.json"])["ready"] is False
    troubled = [json.loads(line)["sync"]["state"] for line in texts["daemon/troubled-macs.jsonl"].splitlines()]
    assert {"FAILED", "CONTESTED", "SUPPRESSED"} <= set(troubled)
    assert json.loads(texts["daemon/vrfs.json"]).keys() == {"vrfs"}
    assert "daemon/segments.json" in texts
    assert len(texts["daemon/explained.jsonl"].splitlines()) == len(troubled)
    assert texts["config/vtep.toml"].endswith('password_file = "/etc/vtep/p"\n')
    assert texts["config/exabgp.conf"] == "neighbor 10.0.0.1 {\n    md5-password (left out);\n    peer-as 65000;\n}\n"
    assert "kernel: " in texts["versions.txt"]
    assert "kernel/fdb.json" in texts
    assert not any("hunter2" in text for text in texts.values())


def test_a_report_is_made_without_a_daemon_and_replaces_no_file(tmp_path):
    archive = tmp_path / "leaf.tar.gz"
    words = ("report", str(archive), "--address", f"{tmp_path}/no.sock", "--config", f"{tmp_path}/no.toml")

    first, second = vtep(*words), vtep(*words)

    assert first.returncode == 0
    assert "daemon/status.json" in first.stderr
    assert (second.returncode, second.stdout) == (2, "")
    with tarfile.open(archive) as opened:
        assert b"no such socket" in opened.extractfile("leaf/daemon/status.json").read()


# Watching


class Watcher:
    """A `vtep watch` whose output goes to files."""

    def __init__(self, directory, address, *words, command="watch"):
        self._out, self._err = directory / "out", directory / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [VTEP, command, "--address", address, *words], stdout=out, stderr=err, env=environment()
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(20) == 130
        assert "Traceback" not in self.talk

    @property
    def lines(self):
        return [line for line in self._out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    @property
    def objects(self):
        return [json.loads(line) for line in self.lines]

    def of(self, kind):
        return [one for one in self.objects if one["type"] == kind]

    @property
    def talk(self):
        return self._err.read_text()


def test_watch_prints_changes_as_json_lines(daemon, tmp_path):
    with Watcher(tmp_path, daemon.address, "-o", "json") as watcher:
        wait_until(lambda: watcher.of("mark"), deadline_s=20)
        daemon.do(daemon.figures.put, row(0x77))
        daemon.do(daemon.figures.remove, (VNI_READY, row(0x77).mac))
        daemon.do(daemon.figures.record, HistoryEntry("reload", text="changed"))
        wait_until(lambda: watcher.of("event"), deadline_s=20)

        assert watcher.objects[0]["type"] == "status"
        assert [mac["mac"] for mac in watcher.of("mac")] == ["02:00:00:00:00:77"]
        assert watcher.of("gone") == [{"type": "gone", "vni": 100, "mac": "02:00:00:00:00:77"}]
        assert watcher.of("event")[0]["kind"] == "reload"


def test_watch_begins_with_the_table_and_with_earlier_events_when_asked(daemon, tmp_path):
    since = "2026-09-21T00:00:00Z"
    with Watcher(tmp_path, daemon.address, "-o", "json", "--table", "--since", since) as watcher:
        wait_until(lambda: watcher.of("mark"), deadline_s=20)

        assert len(watcher.of("mac")) == 9
        assert [event["kind"] for event in watcher.of("event")] == ["peer-up", "move", "contested"]


def test_watch_goes_on_where_it_was_when_the_daemon_comes_back(daemon, tmp_path):
    with Watcher(tmp_path, daemon.address, "-o", "json") as watcher:
        wait_until(lambda: watcher.of("mark"), deadline_s=20)
        daemon.stop()
        wait_until(lambda: "the daemon is gone; waiting for it" in watcher.talk, deadline_s=20)
        daemon.do(daemon.figures.put, row(0x77))  # no watcher is notified
        daemon.start()
        wait_until(lambda: watcher.of("mac"), deadline_s=20)

        assert "the daemon is back" in watcher.talk
        assert [mac["mac"] for mac in watcher.of("mac")] == ["02:00:00:00:00:77"]


def test_watch_prints_lines_where_there_is_no_terminal(daemon, tmp_path):
    with Watcher(tmp_path, daemon.address) as watcher:
        wait_until(lambda: "macs 4/9 installed" in watcher.talk, deadline_s=20)
        move = HistoryEntry("move", VNI_READY, row(2).mac, row(1).vtep)
        # The figures come before the stream begins, and only what happens from then on is told.
        wait_until(lambda: daemon.do(daemon.figures.record, move) or watcher.lines, deadline_s=20)

        assert "move 100 02:00:00:00:00:02 10.0.0.1" in watcher.lines[0]
        assert "\x1b" not in watcher.lines[0]
        assert "EoR 1/2" in watcher.talk


def test_watch_ends_where_watching_is_not_allowed(tmp_path):
    answers = {"GetStatus": pb.GetStatusResponse(), "Watch": refusing(grpc.StatusCode.PERMISSION_DENIED)}
    with ScriptedApi(f"unix:{tmp_path}/vtep.sock", **answers) as daemon:
        ran = vtep("watch", address=daemon.address)

    assert ran.returncode == 3
    assert "permission denied" in ran.stderr


# Orders


ORDERS = (
    (["resync"], ("resync", False)),
    (["resync", "--peers"], ("resync", True)),
    (["adopt", "--dry-run"], ("adopt", None, True, False, False)),
    (["adopt", "--vni", "100"], ("adopt", VNI_READY, False, False, False)),
    (["clear-duplicate", "0200.0000.0002"], ("clear_duplicate", row(2).mac, None)),
    (["log-level", "debug"], ("set_log_level", "debug")),
)


@pytest.mark.parametrize(("words", "asked"), ORDERS, ids=lambda value: " ".join(map(str, value)))
def test_an_order_finds_the_admin_service_through_the_daemon(words, asked, daemon):
    ran = vtep(*words, address=daemon.address)

    assert ran.returncode == 0, ran.stderr
    assert daemon.figures.asked == [asked]
    assert ran.stderr


@pytest.mark.parametrize("given", ["address", "admin"])
def test_an_order_takes_either_address_as_an_option(given, daemon):
    ran = vtep("resync", "--address", getattr(daemon, given))

    assert ran.returncode == 0, ran.stderr
    assert daemon.figures.asked == [("resync", False)]


def test_the_admin_address_of_the_environment_is_taken(daemon, tmp_path):
    ran = vtep("resync", address=f"unix:{tmp_path}/none.sock", VTEP_ADMIN_ADDRESS=daemon.admin)

    assert ran.returncode == 0, ran.stderr


def test_an_address_that_is_typed_is_never_replaced_by_the_environment(daemon, tmp_path):
    ran = vtep("resync", "--address", daemon.address, VTEP_ADMIN_ADDRESS=f"unix:{tmp_path}/none.sock")

    assert ran.returncode == 0, ran.stderr
    assert daemon.figures.asked == [("resync", False)]


def test_what_was_adopted_is_a_table(daemon):
    ran = vtep("adopt", address=daemon.address)

    assert ran.stdout.splitlines()[1].split() == ["100", "02:00:00:00:00:aa", "10.0.0.2"]
    assert ran.stderr == "vtep: claimed 1 row\n"


def test_a_daemon_without_an_admin_service_says_so(daemon):
    daemon.do(daemon.figures.become, admin=())

    ran = vtep("resync", address=daemon.address)

    assert ran.returncode == 3
    assert "no admin service (api.admin)" in ran.stderr
