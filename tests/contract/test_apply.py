"""`vtep apply --once`: recorded routes onto a kernel in one pass, in memory and with the command itself in a namespace."""

import contextlib
import json
import subprocess

import pytest

from tests.contract.routed import CONFIG, PEER, TABLE, MemoryHands, NamespaceHands
from tests.contract.worlds import own_namespace
from tests.lab import wire
from tests.lab.lines import Lines
from tests.lab.vtep import VTEP
from vtep.__main__ import main
from vtep.addr import Mac
from vtep.app.apply import Application
from vtep.app.replay import Playback
from vtep.config.file import parse
from vtep.linux.ledger import LedgerFile
from vtep.linux.tables.all import KINDS

A, TARGETS = "10.0.0.2", ("65000:4001",)
ROUTER_MAC = "02:00:00:00:ff:02"
NET, OTHER = "192.168.1.0/24", "192.168.2.0/24"
ROWS_OF_A_VTEP = 3
"""The FDB row of its Router's MAC, its neighbor row, and its nexthop."""
PLAIN = {"created": 0, "replaced": 0, "deleted": 0, "adopted": 0, "failed": 0, "pending": 0}


def recorded(*prefixes: str, complete: bool = True) -> list[bytes]:
    lines = Lines()
    return [
        lines.up(str(PEER)),
        *(lines.announce(str(PEER), prefix_route(prefix)) for prefix in prefixes),
        *([lines.end_of_rib(str(PEER))] if complete else []),
    ]


def prefix_route(prefix: str) -> wire.Route:
    return wire.Instance(A, 4001, rd=f"{A}:1", targets=TARGETS, router_mac=ROUTER_MAC).prefix(prefix)


class Host:
    """A host in memory, on which the command is run again and again with one file of claims."""

    def __init__(self, tmp_path) -> None:
        self.hands = MemoryHands()
        self.config = parse(CONFIG)
        self._ledger = tmp_path / "ledger"

    def apply(self, lines: list[bytes]) -> dict:
        ledger = LedgerFile(self._ledger, KINDS, {"boot": "one"})
        application = Application(self.config, self.hands.kernel, ledger)
        playback = Playback(self.config, prepare=application.prepare)
        for line in lines:
            playback.feed(line)
        report = application.apply(playback.judge(), 0.0)
        ledger.close()
        return report

    def routes(self) -> list[str]:
        return sorted(str(route.prefix) for route in self.hands.kernel.routes([TABLE]) if route.protocol == 229)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_one_pass_writes_everything_and_the_next_one_nothing(host):
    first = host.apply(recorded(NET, OTHER))
    assert first["complete"]
    assert first["counts"] == PLAIN | {"applied": 2 + ROWS_OF_A_VTEP, "created": 2 + ROWS_OF_A_VTEP, "kept": 0}
    assert host.routes() == [NET, OTHER]

    second = host.apply(recorded(NET, OTHER))
    assert second["counts"] == PLAIN | {"applied": 0, "kept": 2 + ROWS_OF_A_VTEP}
    assert (second["failed"], second["pending"], second["not_ready"]) == ([], [], [])


def test_what_is_no_longer_recorded_goes_once_the_recording_is_complete(host):
    host.apply(recorded(NET, OTHER))

    held = host.apply(recorded(NET, complete=False))
    assert not held["complete"]
    assert host.routes() == [NET, OTHER]
    assert {(row["key"], row["state"]) for row in held["pending"]} == {(OTHER, "held")}

    assert host.apply(recorded(NET))["counts"]["deleted"] == 1
    assert host.routes() == [NET]


def test_a_row_of_another_program_is_reported_as_failed_and_stays(host):
    host.hands.add_route(NET, 229)

    report = host.apply(recorded(NET, OTHER))
    assert [(row["kind"], row["vni"], row["key"], row["state"]) for row in report["failed"]] == [
        ("route", 4001, NET, "contested")
    ]
    assert host.hands.others() == [f"{NET} metric 229"]
    assert host.routes() == [OTHER]


def test_a_vrf_that_is_not_ready_is_reported_with_the_command_that_mends_it(host):
    host.hands.set_up("br4001", up=False)

    report = host.apply(recorded(NET))
    assert report["counts"]["applied"] == 0
    assert report["counts"]["pending"] == 1 + ROWS_OF_A_VTEP
    [vrf] = report["not_ready"]
    assert vrf["vni"] == 4001
    assert "ip link set dev br4001 up" in {problem["mend"] for problem in vrf["problems"]}


def test_a_routers_mac_of_this_host_is_not_used(host):
    host.hands.set_mac(Mac.parse(ROUTER_MAC))

    assert host.apply(recorded(NET))["counts"]["applied"] == 0


@pytest.mark.root_netns
def test_the_command_writes_reports_and_has_nothing_to_do_the_second_time(tmp_path, namespace_refused):
    if namespace_refused:
        pytest.skip(namespace_refused)
    config, state = tmp_path / "vtep.toml", tmp_path / "state"
    state.mkdir(mode=0o755)

    def run(lines: list[bytes], *words: str) -> tuple[int, str, str]:
        command = [VTEP, "apply", "--once", "--config", config, *words]
        done = subprocess.run(command, input=b"\n".join(lines), capture_output=True, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    with own_namespace():
        hands = NamespaceHands()
        with hands.kernel:
            config.write_text(hands.config.replace("[node]", f'[node]\nstate_dir = "{state}"'))

            status, out, err = run(recorded(NET, OTHER), "--report", "json")
            assert (status, err) == (0, "")
            assert json.loads(out)["counts"]["created"] == 2 + ROWS_OF_A_VTEP
            routes = sorted(str(route.prefix) for route in hands.kernel.routes([TABLE]) if route.protocol == 229)
            assert routes == [NET, OTHER]

            status, out, _ = run(recorded(NET, OTHER), "--report", "json")
            assert (status, json.loads(out)["counts"]["applied"]) == (0, 0)

            hands.add_route("192.168.3.0/24", 229)
            status, out, err = run(recorded(NET, "192.168.3.0/24", complete=False))
            assert status == 1
            assert out.startswith("applied 0 ")
            assert "failed   VNI 4001 route 192.168.3.0/24: contested" in out
            assert f"pending  VNI 4001 route {OTHER}: held" in out
            assert err.startswith("vtep: the routes are not complete, so nothing is removed: ")

            _, out, err = run([b"this is no line of ExaBGP", *recorded(NET, OTHER)], "--report", "json")
            assert (json.loads(out)["bad_lines"], json.loads(out)["bad_nlris"]) == (1, 0)
            assert err.startswith("vtep: 1 lines and 0 NLRIs could not be read")


@pytest.mark.parametrize(
    ("text", "words", "advice"),
    [
        (CONFIG, (), "--once"),
        ('[node]\nvtep = "10.0.0.1"\nmode = "observe"\n', ("--once",), "vtep diff"),
        ('[node]\nvtep = "10.0.0.1"\n', ("--once",), "nothing to write"),
    ],
)
def test_what_one_pass_cannot_do_is_refused(tmp_path, capsys, text, words, advice):
    (tmp_path / "vtep.toml").write_text(text)
    with contextlib.suppress(SystemExit):  # of the parser of the command line
        assert main(["apply", *words, "--config", str(tmp_path / "vtep.toml"), "/dev/null"]) == 2
    assert advice in capsys.readouterr().err
