"""`vtep exabgp` runs what it knows and refuses the rest, and all words behind it are ExaBGP's."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import exabgp.version
import pytest

from tests.lab.peers import EXABGP, EXABGP_4_2
from vtep.errors import UsageError
from vtep.feed.exabgp import launcher
from vtep.feed.exabgp.grammar import QUESTION
from vtep.feed.exabgp.plugin import Waiting

ROOT = Path(__file__).parents[4]


def launch(executable: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [str(executable.with_name("python")), "-m", "vtep", "exabgp", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd=ROOT)


@pytest.mark.parametrize("release", ["6.0.0", "5.1.0", "4.3.0", "4.20.1", "main"])
def test_an_unknown_release_is_refused_with_those_that_are_known(release, monkeypatch):
    monkeypatch.setattr(exabgp.version, "release", release)

    with pytest.raises(UsageError, match=rf"ExaBGP {release} .*it knows 4\.2\.x, 5\.0\.x"):
        launcher.main(["server", "leaf.conf"])


def test_a_missing_exabgp_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "exabgp.version", None)

    with pytest.raises(UsageError, match="there is no ExaBGP beside"):
        launcher.main([])


@pytest.mark.parametrize(
    ("executable", "words", "release"), [(EXABGP, ["version"], "5.0.15"), (EXABGP_4_2, ["--version"], "4.2.25")]
)
def test_the_words_are_those_of_the_exabgp_beside_us(executable, words, release):
    plain = subprocess.run([str(executable), *words], capture_output=True, text=True, timeout=30)

    launched = launch(executable, *words)

    assert launched.stdout == plain.stdout
    assert launched.returncode == plain.returncode == 0
    assert release in launched.stdout


@pytest.mark.parametrize("executable", [EXABGP, EXABGP_4_2])
def test_a_configuration_that_is_not_there_ends_as_with_plain_exabgp(executable, tmp_path):
    missing = str(tmp_path / "none.conf")
    plain = subprocess.run([str(executable), missing], capture_output=True, text=True, timeout=30)

    launched = launch(executable, missing)

    assert launched.returncode == plain.returncode == 1
    assert launched.stderr == plain.stderr


@pytest.mark.parametrize(
    ("words", "environment", "quiet"),
    [
        ([], {}, True),
        ([], {"exabgp_log_level": "INFO"}, False),
        ([], {"exabgp.log.level": "INFO"}, False),
        ([], {"exabgp_log_all": "true"}, False),
        ([], {"exabgp.log.packets": "Yes"}, False),
        ([], {"exabgp_log_all": "false"}, True),
        ([], {"exabgp_log_destination": "syslog"}, True),
        (["--env", "my.env"], {}, False),
        (["--env=my.env"], {}, False),
        (["-emy.env"], {}, False),
        (["--env-file", "my.env"], {}, False),
        (["--env-file=my.env"], {}, False),
        (["--root", "/opt/exabgp"], {}, False),
        ([], {"EXABGP_ENVFILE": "my.env"}, False),
        ([], {"EXABGP_ROOT": "/opt/exabgp"}, False),
        (["-d"], {}, False),
        (["--verbose"], {}, False),
    ],
)
def test_exabgp_logs_warnings_unless_an_operator_chose(words, environment, quiet, tmp_path):
    before = dict(environment)

    assert launcher.set_defaults([*words, "leaf.conf"], environment, str(tmp_path)) is quiet

    assert {**environment, **before} == environment
    assert (environment.get("exabgp_log_level") == "WARNING") is quiet
    if quiet or "level" in "".join(before):
        assert environment["exabgp_reactor_speed"] == "10"


def test_a_file_of_exabgps_settings_is_left_to_say_all(tmp_path):
    (tmp_path / "etc/exabgp").mkdir(parents=True)
    (tmp_path / "etc/exabgp/exabgp.env").touch()
    environment = {}

    assert not launcher.set_defaults([], environment, str(tmp_path))
    assert environment == {}


@pytest.mark.parametrize(
    ("environment", "pipes", "said"),
    [
        ({}, (), "false"),
        ({}, ("exabgp.in",), "false"),
        ({}, ("exabgp.in", "exabgp.out"), None),
        ({"exabgp_api_pipename": "leaf"}, ("exabgp.in", "exabgp.out"), "false"),
        ({"exabgp.api.pipename": "leaf"}, ("leaf.in", "leaf.out"), None),
        ({"exabgp_api_cli": "true"}, (), "true"),
        ({"exabgp_api_pipename": "long" * 100}, (), "false"),  # cannot be looked at, as in a folder of another user
    ],
)
def test_exabgp_looks_for_the_pipes_of_its_cli_only_where_they_are(environment, pipes, said, tmp_path):
    (tmp_path / "run/exabgp").mkdir(parents=True)
    for name in pipes:
        os.mkfifo(tmp_path / "run/exabgp" / name)

    launcher.set_defaults([], environment, str(tmp_path))

    assert environment.get("exabgp_api_cli") == said


@pytest.mark.parametrize(
    ("executable", "pipes", "settings"),
    [(EXABGP, "application.pipe", "environment.setup"), (EXABGP_4_2, "application.bgp", "configuration.setup")],
)
def test_the_places_of_pipes_and_what_is_logged_are_exabgps_own(executable, pipes, settings):
    """ExaBGP's own function names the places; its table of settings names what it logs."""
    ask = (
        f"import json; from exabgp.{pipes} import named_pipe; from importlib.util import find_spec\n"
        f"print(json.dumps([named_pipe('/opt/none', 'no-such-pipe'), find_spec('exabgp.{settings}').origin]))"
    )
    done = subprocess.run(
        [executable.with_name("python"), "-c", ask], capture_output=True, text=True, timeout=30, check=True
    )
    places, source = json.loads(done.stdout)
    table = Path(source).read_text().split("\n    'log': {\n")[1].split("\n    },\n")[0]
    logged = re.findall(r"^        '(\w+)': \{$", table, re.MULTILINE)

    ours = [folder.format(user=os.getuid()) for folder in launcher.PIPES]
    assert places == [f"{root}{folder}/" for root in ("", "/opt/none") for folder in ours]
    assert set(logged) - {"enable", "level", "destination", "short"} <= set(launcher.MORE_LOGGED)
    assert "packets" in logged


def test_what_breaks_inside_is_an_error_and_the_next_command_is_done():
    said = []
    processes = SimpleNamespace(
        _answer=lambda _service, text: said.append(text),
        answer_error=lambda _service: said.append("error"),
        answer_done=lambda _service: said.append("done"),
    )
    # Without `peers`: a release that has another name for them.
    reactor = SimpleNamespace(processes=processes, asynchronous=SimpleNamespace(LIMIT=50), _peers={})
    waiting = Waiting(SimpleNamespace(log_message=lambda *_: None), reactor, "vtep")
    waiting.lines += ["withdraw evpn mac-advertisement rd 1:1 mac 02:00:00:00:00:99", QUESTION]

    steps = list(waiting)

    assert steps == [True, True]
    assert "AttributeError" in said.pop(0)
    assert '"evpn commands 1"' in said.pop(1)
    assert said == ["error", "done"]
