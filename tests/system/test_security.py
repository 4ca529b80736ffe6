"""What docs/security.md says of a running daemon: what it holds, who may open what, and how much others may make it do."""

import json
import re
import stat
from pathlib import Path

import pytest

from tests.lab import confined, overlay
from tests.lab.feeder import Feeder
from tests.lab.fixtures import lab, network, skipped_if_missing
from tests.lab.lines import Lines
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import Vtep, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from vtep.daemon import CAP_NET_ADMIN

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


# Who may open what


def test_sockets_and_files_have_the_modes_that_are_documented(network):
    vtep = started(network)
    folder = network.leaf.path("/run/vtep")

    found = {f"/run/vtep/{path.name}": path for path in folder.iterdir()} | {"/run/vtep": folder}

    modes = {name: f"{stat.S_IMODE(path.lstat().st_mode):04o}" for name, path in found.items()}
    assert modes == dict(re.findall(r"^\| `(/run/vtep\S*)` \| `(\d{4})` \|", DOCUMENT.read_text(), re.MULTILINE))
    assert vtep.process.alive
