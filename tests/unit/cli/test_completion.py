"""Every word that may be typed can be completed."""

import argparse
import subprocess

import pytest

from vtep.app import commands
from vtep.cli import completion

PARSER = commands.parser()
COMMANDS = next(action.choices for action in PARSER._actions if isinstance(action, argparse._SubParsersAction))


def in_bash(*words, cwd=None):
    """Ask a real bash what it would offer for the last word."""
    script = f"""{completion.script(PARSER, "bash")}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vtep; printf '%s\\n' "${{COMPREPLY[@]}}" """
    ran = subprocess.run(
        ["bash", "-c", script, "bash", *words], cwd=cwd, capture_output=True, text=True, timeout=20, check=True
    )
    assert not ran.stderr
    return set(ran.stdout.split())


def test_bash_offers_every_command():
    assert in_bash("vtep", "") == {*COMMANDS, "--help", "--version"}
    assert in_bash("vtep", "exp") == {"explain"}


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "relay"])
def test_bash_offers_every_option_of_a_command(command):
    wanted = {flag for action in COMMANDS[command]._actions for flag in action.option_strings}

    assert in_bash("vtep", command, "-") == wanted


def test_bash_offers_the_choices_of_an_option_and_of_an_argument():
    assert in_bash("vtep", "macs", "--state", "") == {
        "pending", "installed", "failed", "contested", "stale", "suppressed",
    }  # fmt: skip
    assert in_bash("vtep", "macs", "-o", "j") == {"json", "jsonl"}
    assert in_bash("vtep", "log-level", "d") == {"debug"}
    assert in_bash("vtep", "macs", "--vni", "") == set()


def test_bash_asks_the_daemon_for_vnis_macs_vteps_and_peers(tmp_path):
    asked = tmp_path / "vtep"
    asked.write_text('#!/bin/sh\nprintf "%s " "$@" >> "$0.log"; echo 02:00:00:00:00:01; echo 02:00:5e:00:00:01\n')
    asked.chmod(0o755)
    log = tmp_path / "vtep.log"

    assert in_bash(str(asked), "explain", "02:00:5") == {"5e:00:00:01"}
    # The shell has "02:00:" already, because a colon begins a word.
    assert log.read_text().startswith("complete subjects 02:00:5 ")
    for option, kind in (("--vni", "vnis"), ("--vtep", "vteps"), ("--peer", "peers")):
        in_bash(str(asked), "macs", option, "")
        assert f"complete {kind} " in log.read_text()


def test_bash_completes_a_mac_though_it_breaks_words_at_colons(tmp_path):
    asked = tmp_path / "vtep"
    asked.write_text("#!/bin/sh\necho 02:00:5e:00:00:01\n")
    asked.chmod(0o755)
    script = f"""{completion.script(PARSER, "bash")}
COMP_LINE="vtep explain 02:00:5"; COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=({asked} explain 02 : 00 : 5); COMP_CWORD=6; _vtep; printf '%s\n' "${{COMPREPLY[@]}}" """

    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20, check=True)

    assert ran.stdout.split() == ["5e:00:00:01"]


def test_bash_offers_files_where_an_option_takes_one(tmp_path):
    (tmp_path / "vtep.toml").touch()

    assert in_bash("vtep", "check", "vt", cwd=tmp_path) == {"vtep.toml"}
    assert in_bash("vtep", "run", "--config", "vt", cwd=tmp_path) == {"vtep.toml"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_have_every_command_and_option(shell):
    script = completion.script(PARSER, shell)

    for name, command in COMMANDS.items():
        assert name in script
        for action in command._actions:
            for flag in action.option_strings:
                spelled = flag if shell == "zsh" else f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                assert spelled in script
