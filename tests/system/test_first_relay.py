"""Whether a relay is the first of its ExaBGP: by what happened before it, and not by how long that took."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import vtep
from tests.lab.peers import EXABGP, EXABGP_4_2
from tests.lab.wait import wait_until
from vtep.feed.exabgp.protocol import Attached
from vtep.feed.exabgp.socket import Stream

ROOT = Path(vtep.__file__).parents[1]
LONG_S = 6.0
"""Longer than ExaBGP takes to start a process on a machine that is not busy."""
START_S_MAX = 90
"""4.2 reads its own arguments for seconds, and much longer on a busy machine."""

CONFIGURATION = """
process feed {{ run {run}; encoder json; }}
neighbor 127.0.0.2 {{
  router-id 127.0.0.1; local-address 127.0.0.1; local-as 65000; peer-as 65000; connect 1;
  adj-rib-in false;
  family {{ l2vpn evpn; }}
  api feed {{ processes [ feed ]; neighbor-changes; receive {{ parsed; open; update; }} }}
}}
"""


def launched(executable: Path) -> list[str]:
    return [str(executable.with_name("python")), "-m", "vtep", "exabgp"]


@pytest.fixture(
    params=[launched(EXABGP), [str(EXABGP)], launched(EXABGP_4_2), [str(EXABGP_4_2)]],
    ids=["5.0-vtep-exabgp", "5.0-plain", "4.2-vtep-exabgp", "4.2-plain"],
)
def exabgp(request, tmp_path) -> Iterator[subprocess.Popen[bytes]]:
    """An ExaBGP that was stopped as soon as its process was there."""
    run = tmp_path / "relay"
    run.write_text(
        f"#!/bin/sh\nPYTHONPATH='{ROOT}' exec '{sys.executable}' -m vtep relay --socket '{tmp_path}/feed.sock'\n"
    )
    run.chmod(0o755)
    configuration = tmp_path / "exabgp.conf"
    configuration.write_text(CONFIGURATION.format(run=run))
    settings = {
        "daemon_user": "root",
        "daemon_drop": "false",
        "api_cli": "false",
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **{f"exabgp_{key}": value for key, value in settings.items()}}
    process = subprocess.Popen(
        [*request.param, str(configuration)], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    process.send_signal(signal.SIGSTOP)
    yield process
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(10)
    finally:
        process.kill()
        process.wait()


class Daemon:
    def __init__(self, path: Path) -> None:
        self._runner = asyncio.Runner()
        self._stream = Stream(path)
        self._runner.run(self._stream.start())

    def next_relay(self) -> Attached:
        while not isinstance(item := self._runner.run(asyncio.wait_for(self._stream.receive(), START_S_MAX)), Attached):
            pass
        return item

    def stop(self) -> None:
        self._runner.run(self._stream.stop())
        self._runner.close()


@pytest.fixture
def daemon(tmp_path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "feed.sock")
    yield daemon
    daemon.stop()


def test_a_relay_that_begins_late_is_the_first_of_its_exabgp(exabgp, daemon):
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > LONG_S, LONG_S + 5, "an ExaBGP that is not new")
    exabgp.send_signal(signal.SIGCONT)

    assert daemon.next_relay().complete


def test_a_relay_in_the_place_of_another_one_is_not_the_first_however_early_it_begins(exabgp, daemon):
    exabgp.send_signal(signal.SIGCONT)
    first = daemon.next_relay()

    os.kill(first.relay_pid, signal.SIGKILL)
    second = daemon.next_relay()

    assert first.complete
    assert second.exabgp_pid == first.exabgp_pid == exabgp.pid
    assert not second.complete
