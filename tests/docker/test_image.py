"""The image as an operator runs it: the command of docs/operating.md, with NET_ADMIN as its only capability.

Needs an engine with the image in it, which `interop/docker with ./vtep-dev test tests/docker` brings along. The kernel is
read by the `bridge` of the image, in the container's own namespace; no frame leaves it.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.lines import Lines
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from vtep.daemon import CAP_NET_ADMIN

pytestmark = pytest.mark.skipif(
    "DOCKER_HOST" not in os.environ, reason="no docker engine is named; interop/docker brings one along"
)

ROOT = Path(__file__).parents[2]
IMAGE = "vtep:dev"
CONFINED = ("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--security-opt", "no-new-privileges", "--read-only")
PEER = "10.0.0.1"
CONFIG = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
[bgp]
asn = 65000
router_id = "10.0.0.99"
[[bgp.neighbor]]
address = "10.0.0.1"
asn = 65000
"""
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


@pytest.fixture
def etc(shared):
    (shared / "etc").mkdir()
    (shared / "etc/vtep.toml").write_text(CONFIG)
    return ("--volume", f"{shared}/etc:/etc/vtep:ro")


@contextlib.contextmanager
def fed(container: Container, *lines: bytes) -> Iterator[None]:
    """What ExaBGP does: the relay as a child, its lines, and no end of them."""
    wait_until(lambda: '"started"' in container.log(), what="the daemon")
    command = ["docker", "exec", "-i", container.name, "vtep", "relay"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as relay:
        assert relay.stdin is not None
        relay.stdin.write(b"".join(line + b"\n" for line in lines))
        relay.stdin.flush()
        yield
        relay.kill()


def test_the_image_knows_its_version_and_carries_exabgp_and_iproute2():
    inspected = json.loads(docker("image", "inspect", IMAGE))[0]["Config"]

    version = docker("run", "--rm", "--network", "none", IMAGE, "--version").split()[-1]
    programs = docker("run", "--rm", "--network", "none", "--entrypoint", "which", IMAGE, "exabgp", "ip", "bridge")

    assert inspected["Labels"]["org.opencontainers.image.version"] == version
    assert len(programs.splitlines()) == 3
    assert inspected["Entrypoint"] == ["vtep"]
    assert inspected["StopSignal"] == "SIGTERM"


def test_the_example_configuration_is_good_in_the_image():
    example = ROOT / "packaging/etc/vtep.toml"
    mount = f"{example}:/etc/vtep/vtep.toml:ro"

    docker("run", "--rm", "--network", "none", *CONFINED, "--volume", mount, IMAGE, "check", "/etc/vtep/vtep.toml")


def test_a_confined_daemon_writes_the_rows_that_a_feed_tells(container, etc):
    leaf = container(*CONFINED, "--tmpfs", "/run", *etc, IMAGE)
    leaf.run("sh", "-ec", DEVICES)
    lines, remote = Lines(), Instance(PEER)
    told = [lines.opened(PEER), lines.up(PEER), lines.announce(PEER, remote.mac("02:00:00:00:00:01"))]

    with fed(leaf, *told, lines.end_of_rib(PEER)):
        wait_until(lambda: leaf.rows() == {("02:00:00:00:00:01", PEER)}, 10, "the row that was told")

    effective = leaf.run("grep", "CapEff", "/proc/1/status").split()[1]
    assert int(effective, 16) == 1 << CAP_NET_ADMIN


def test_a_stopped_container_ends_at_once_and_without_complaint(container, etc):
    leaf = container(*CONFINED, "--tmpfs", "/run", *etc, IMAGE)
    wait_until(lambda: '"started"' in leaf.log(), what="the daemon")

    docker("stop", "--time", "5", leaf.name)

    assert docker("inspect", "--format", "{{.State.ExitCode}}", leaf.name).strip() == "0"
    assert '"stopping"' in leaf.log()


def test_a_new_container_with_the_old_ones_state_and_network_takes_its_rows_back(container, etc, shared):
    """What `--network host` and a volume give: the container is replaced, the rows and their claims are not."""
    confined = (*CONFINED, "--tmpfs", "/run", "--volume", f"{shared}/state:/run/vtep", *etc, IMAGE)
    network = container("--cap-add", "NET_ADMIN", "--entrypoint", "sleep", IMAGE, "infinity")
    network.run("sh", "-ec", DEVICES)
    lines, remote = Lines(), Instance(PEER)
    told = [lines.opened(PEER), lines.up(PEER), lines.announce(PEER, remote.mac("02:00:00:00:00:01"))]
    first = container(*confined, network=f"container:{network.name}")
    with fed(first, *told, lines.end_of_rib(PEER)):
        wait_until(lambda: network.rows() == {("02:00:00:00:00:01", PEER)}, 10, "the row that was told")
        docker("kill", first.name)
    assert network.rows() == {("02:00:00:00:00:01", PEER)}

    second = container(*confined, network=f"container:{network.name}")
    with fed(second, lines.opened(PEER), lines.up(PEER), lines.end_of_rib(PEER)):
        wait_until(lambda: network.rows() == set(), 10, "the end of a row that nobody tells any more")


def test_exabgp_of_the_image_feeds_the_daemon_without_any_capability(container, etc, shared):
    state = ("--volume", f"{shared}/state:/run/vtep")
    leaf = container(*CONFINED, "--tmpfs", "/run", *state, *etc, IMAGE)
    (shared / "etc/exabgp.conf").write_text(leaf.run("vtep", "exabgp-config"))
    users = ("--env", "exabgp_daemon_user=root", "--env", "exabgp_api_terminate=true")
    confined = ("--tmpfs", "/run", *(word for word in CONFINED if word not in ("--cap-add", "NET_ADMIN")), *users)

    exabgp = container(
        *confined, *state, *etc, "--entrypoint", "exabgp", IMAGE, "server", "/etc/vtep/exabgp.conf",
        network=f"container:{leaf.name}",
    )  # fmt: skip

    wait_until(lambda: '"feed attached"' in leaf.log(), 10, "ExaBGP's relay")
    effective = exabgp.run("grep", "CapEff", "/proc/1/status").split()[1]
    assert int(effective, 16) == 0
