"""What may be typed, and that typing costs no imports."""

import argparse
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from vtep.app import commands
from vtep.cli import options

CLI = (
    "status", "vnis", "macs", "vteps", "neighbors", "peers", "events", "diff", "explain", "watch", "adopt", "resync",
    "clear-duplicate", "log-level", "health", "completion", "top", "report",
)  # fmt: skip
ARGUMENTS = {"explain": ["02:0:0:0:0:1"], "clear-duplicate": ["02:0:0:0:0:1"], "log-level": ["info"]}


@pytest.mark.parametrize(
    "text", ["02:AB:cd:00:00:01", "02-ab-cd-00-00-01", "02ab.cd00.0001", "02abcd000001", "2:ab:cd:0:0:1"]
)
def test_any_usual_notation_of_a_mac_is_taken(text):
    assert str(commands.parser().parse_args(["explain", text]).subject) == "02:ab:cd:00:00:01"


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "02:00:00:00:00"], ["explain"], ["explain", "02:00:00:00:00:01", "--vni", "16777216"],
        ["macs", "--vni", "0"], ["macs", "--vni", "-1"], ["macs", "--vni", "1e3"], ["macs", "--vni", "²"],
        ["macs", "--state", "dead"], ["macs", "--vtep", "10.0.0"], ["macs", "--limit", "-1"],
        ["status", "-o", "xml"], ["macs", "2:0:5"], ["macs", "02:00:00:00:00:01:02"], ["macs", "--watch", "0"], ["status", "--timeout", "0"], ["status", "--timeout", "nan"], ["health", "--wait", "-1"],
        ["events", "--since", "yesterday"], ["log-level", "loud"], ["completion", "tcsh"], ["nosuch"], [],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_is_a_usage_error(words, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.parser().parse_args(words)

    assert ended.value.code == 2
    said = capsys.readouterr()
    assert not said.out
    assert "error: " in said.err


NOON = datetime(2026, 11, 21, 12, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90s", NOON - timedelta(seconds=90)),
        ("10m", NOON - timedelta(minutes=10)),
        ("2h", NOON - timedelta(hours=2)),
        ("1d", NOON - timedelta(days=1)),
        ("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, 0, tzinfo=UTC)),
        ("2026-11-21T10:00:00+02:00", datetime(2026, 11, 21, 8, 0, tzinfo=UTC)),
    ],
)
def test_since_is_a_time_or_how_long_ago_it_was(text, wanted):
    assert options._since(text, NOON) == wanted


def test_since_without_a_zone_is_local():
    now = datetime.now(UTC).astimezone()

    assert options._since("10:30", now) == now.replace(hour=10, minute=30, second=0, microsecond=0)
    assert options._since("2026-01-02T03:04") == datetime(2026, 1, 2, 3, 4).astimezone()


@pytest.mark.parametrize("command", CLI)
def test_the_help_of_every_command_fits_and_has_an_example(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = parser_of(command).format_help()

    assert f"  vtep {command}" in said.partition("example")[2] or f"(vtep {command}" in said
    assert max(map(len, said.splitlines())) <= 80


def parser_of(command):
    (subparsers,) = [action for action in commands.parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return subparsers.choices[command]


@pytest.mark.parametrize("command", [command for command in CLI if command != "completion"])
def test_every_command_that_asks_takes_an_address_and_tls_and_an_output_if_it_prints_values(command, capsys):
    arguments = [command, *ARGUMENTS.get(command, []), "--address", "h:1", "--timeout", "2", "--tls-ca", "a"]
    taken = commands.parser().parse_args(arguments)

    assert (taken.address, taken.timeout, taken.tls_ca) == ("h:1", 2.0, "a")
    if command in ("top", "report"):  # a screen and an archive
        with pytest.raises(SystemExit):
            commands.parser().parse_args([*arguments, "-o", "json"])
        assert "-o" in capsys.readouterr().err
    else:
        assert commands.parser().parse_args([*arguments, "-o", "json"]).output == "json"


def imported(code):
    """Run the code, and return what of grpc, protobuf and pyroute2 was imported."""
    script = (
        "import contextlib, io, sys\nfrom vtep.__main__ import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    {code}\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'grpc', 'google', 'pyroute2', 'asyncio'}))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    return ran.stdout.split()


@pytest.mark.parametrize("words", [["--help"], ["macs", "--help"], ["completion", "bash"], ["--version"]], ids=" ".join)
def test_help_and_completion_need_no_grpc(words):
    assert imported(f"main({words!r})") == []


def test_asking_a_daemon_needs_no_pyroute2(tmp_path):
    words = ["status", "--address", f"{tmp_path}/no.sock"]

    found = imported(f"main({words!r})")

    assert "grpc" in found
    assert "pyroute2" not in found
