"""Containers of the image in the engine that DOCKER_HOST names, and how a leaf in one is wired and fed.

Their kernel is read by the `bridge` of the image, in the container's own namespace; no frame leaves it.
"""

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.lines import Lines
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

needs_engine = pytest.mark.skipif(
    "DOCKER_HOST" not in os.environ, reason="no docker engine is named; interop/docker brings one along"
)

IMAGE = "vtep:dev"
PEER = "10.0.0.1"
MAC = "02:00:00:00:00:01"
ROW = {(MAC, PEER)}
DEVICES = """
ip link set dev lo up
ip address add 10.0.0.99/32 dev lo
ip link add name br100 type bridge vlan_default_pvid 0
ip link add name vxlan100 type vxlan id 100 local 10.0.0.99 dstport 4789 nolearning
ip link set dev vxlan100 master br100
ip link set dev vxlan100 type bridge_slave learning off
ip link set dev br100 up
ip link set dev vxlan100 up
"""


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Container:
    """A running container, by default with a network of its own that has nothing but `lo`."""

    def __init__(self, *arguments: str, network: str = "none") -> None:
        self.name = f"vtep-test-{uuid.uuid4().hex[:8]}"
        docker("run", "--detach", "--name", self.name, "--network", network, *arguments)

    def run(self, *command: str) -> str:
        return docker("exec", self.name, *command)

    def log(self) -> str:
        done = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def rows(self) -> set[tuple[str, str]]:
        rows = json.loads(self.run("bridge", "-j", "fdb", "show", "dev", "vxlan100") or "[]")
        return {(row["mac"], row["dst"]) for row in rows if "dst" in row}


@pytest.fixture
def container():
    """Makes containers that are gone at the end of the test."""
    made: list[Container] = []

    def make(*arguments: str, network: str = "none") -> Container:
        made.append(Container(*arguments, network=network))
        return made[-1]

    yield make
    for one in reversed(made):
        docker("rm", "--force", "--volumes", one.name)


@pytest.fixture
def shared():
    """A directory that the engine sees as well: the lab's own temporary files are hidden from it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        yield Path(directory)


@contextmanager
def fed(container: Container, *macs: str, relay: tuple[str, ...] = ("vtep", "relay")) -> Iterator[None]:
    """What ExaBGP does: the relay as a child, a peer with these MACs and no more to tell, and no end of lines."""
    lines, remote = Lines(), Instance(PEER)
    told = [lines.opened(PEER), lines.up(PEER), *(lines.announce(PEER, remote.mac(mac)) for mac in macs)]
    command = ["docker", "exec", "-i", container.name, *relay]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as feeding:
        assert feeding.stdin is not None
        feeding.stdin.write(b"".join(line + b"\n" for line in [*told, lines.end_of_rib(PEER)]))
        feeding.stdin.flush()
        yield
        feeding.kill()


def wait_started(container: Container) -> None:
    wait_until(lambda: '"started"' in container.log(), 10, "the daemon")
