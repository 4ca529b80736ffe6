"""What the program says of a file that somebody else wrote acts on no terminal, and opens no second line."""

import json
import subprocess
import sys

import pytest

from vtep.__main__ import main
from vtep.config import file as config
from vtep.errors import ConfigError
from vtep.feed.exabgp import config as exabgp_config

HOSTILE_TOML = r"""
[node]
vtep = "\u001b[2J"
"\u001b[31mkey" = 1
state_dir = "\u009b2J"
[feed]
peers = ["\u202e"]
[api]
listen = ["unix:\u001b", "\u001b]0;owned\u0007"]
[[vni]]
vni = 100
bridge = "\u001b[2J"
vxlan = "\u001b[2J"
import_rt = ["\r\nvtep: all is well"]
"""
NAME = "\x1b[2J\n.toml"


def harmless(text: str) -> bool:
    return all(char == "\n" or char.isprintable() for char in text) and all(
        line.startswith("vtep: ") for line in text.splitlines()
    )


@pytest.mark.parametrize("words", [("check",), ("exabgp-config", "--config"), ("replay", "x", "--config")])
def test_a_hostile_configuration_is_refused_in_harmless_words(words, tmp_path, capsys):
    file = tmp_path / NAME
    file.write_text(HOSTILE_TOML)

    status = main([*words, str(file)])

    said = capsys.readouterr().err
    assert status == 2
    assert len(said.splitlines()) >= 6
    assert harmless(said)


def test_a_hostile_file_name_is_shown_harmlessly_where_all_is_well(tmp_path, capsys):
    file = tmp_path / NAME
    file.write_text('[node]\nvtep = "10.0.0.99"\n')

    status = main(["check", str(file)])

    said = capsys.readouterr().err
    assert status == 0
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_a_relay_without_a_daemon_names_its_socket_harmlessly():
    socket = b"/nonexistent/\x1b[2J\n\xff"

    done = subprocess.run([sys.executable, "-m", "vtep", "relay", "--socket", socket], input=b"", capture_output=True)

    assert done.returncode == 0
    assert done.stderr.startswith(rb"vtep relay: no daemon at /nonexistent/\x1b[2J\n\udcff (")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("path", ["/run/x; } process evil { run /bin/sh", "/run/a b", "/run/\n", '/run/"', "/run/#"])
def test_no_socket_path_writes_statements_of_its_own_into_exabgps_configuration(path):
    found = config.parse(
        f'[node]\nvtep = "10.0.0.99"\n[bgp]\nasn = 65000\nrouter_id = "10.0.0.99"\n'
        f'[[bgp.neighbor]]\naddress = "10.0.0.1"\nasn = 65000\n[feed]\nsocket = {json.dumps(path)}\n'
    )

    with pytest.raises(ConfigError, match=r"feed\.socket"):
        exabgp_config.render(found)


@pytest.mark.parametrize(("capability", "status", "said"), [("add-path receive;", 2, "add-path is on"), ("", 0, "ok")])
def test_check_compares_a_configuration_of_exabgp_with_what_vtep_needs(capability, status, said, tmp_path, capsys):
    file = tmp_path / "exabgp.conf"
    file.write_text(
        "process relay { run vtep relay; encoder json; } neighbor 10.0.0.1 { adj-rib-in false; family { l2vpn evpn; } "
        f"capability {{ graceful-restart; route-refresh; {capability} }} "
        "api a { processes [ relay ]; neighbor-changes; receive { parsed; open; update; refresh; } } }"
    )

    assert main(["check", str(file)]) == status
    assert said in capsys.readouterr().err
