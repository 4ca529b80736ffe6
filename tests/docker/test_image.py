"""The image as an operator runs it: the commands of docs/install.md, with NET_ADMIN as the only capability.

Needs an engine with the image in it, which `interop/docker with ./vtep-dev test tests/docker` brings along.
"""

import json
from pathlib import Path

import pytest

from tests.lab.containers import DEVICES, IMAGE, MAC, ROW, container, docker, fed, needs_engine, shared, wait_started
from tests.lab.wait import wait_until
from vtep.app.kernel_task import CAP_NET_ADMIN

__all__ = ["container", "shared"]

pytestmark = needs_engine

ROOT = Path(__file__).parents[2]
CONFINED = ("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--security-opt", "no-new-privileges", "--read-only")
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


@pytest.fixture
def etc(shared):
    (shared / "etc").mkdir()
    (shared / "etc/vtep.toml").write_text(CONFIG)
    return ("--volume", f"{shared}/etc:/etc/vtep:ro")


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
    wait_started(leaf)

    with fed(leaf, MAC):
        wait_until(lambda: leaf.rows() == ROW, 10, "the row that was told")

    effective = leaf.run("grep", "CapEff", "/proc/1/status").split()[1]
    assert int(effective, 16) == 1 << CAP_NET_ADMIN


def test_a_container_is_healthy_once_the_picture_is_complete_and_not_before(container, etc):
    leaf = container(*CONFINED, "--health-interval", "1s", "--tmpfs", "/run", *etc, IMAGE)
    leaf.run("sh", "-ec", DEVICES)
    wait_started(leaf)
    wait_until(lambda: _probes(leaf)[:1] == [1], 20, "a probe of a leaf that nobody told anything")
    assert _health(leaf)["Status"] == "starting"

    with fed(leaf, MAC):
        wait_until(lambda: _health(leaf)["Status"] == "healthy", 20, "a healthy container")


def test_a_stopped_container_ends_at_once_and_without_complaint(container, etc):
    leaf = container(*CONFINED, "--tmpfs", "/run", *etc, IMAGE)
    wait_started(leaf)

    docker("stop", "--time", "5", leaf.name)

    assert docker("inspect", "--format", "{{.State.ExitCode}}", leaf.name).strip() == "0"
    assert '"stopping"' in leaf.log()


def test_a_new_container_with_the_old_ones_state_and_network_takes_its_rows_back(container, etc, shared):
    """What `--network host` and a volume give: the container is replaced, the rows and their claims are not."""
    confined = (*CONFINED, "--tmpfs", "/run", "--volume", f"{shared}/state:/run/vtep", *etc, IMAGE)
    network = container("--cap-add", "NET_ADMIN", "--entrypoint", "sleep", IMAGE, "infinity")
    network.run("sh", "-ec", DEVICES)
    first = container(*confined, network=f"container:{network.name}")
    wait_started(first)
    with fed(first, MAC):
        wait_until(lambda: network.rows() == ROW, 10, "the row that was told")
        docker("kill", first.name)
    assert network.rows() == ROW

    second = container(*confined, network=f"container:{network.name}")
    wait_started(second)
    with fed(second):
        wait_until(lambda: network.rows() == set(), 10, "the end of a row that nobody tells any more")


def test_exabgp_of_the_image_feeds_the_daemon_as_a_user_without_any_capability(container, etc, shared):
    (shared / "etc/vtep.toml").write_text(CONFIG + '[feed]\nsocket_group = "exabgp"\n')
    state = ("--volume", f"{shared}/state:/run/vtep")
    leaf = container(*CONFINED, "--group-add", "exabgp", "--tmpfs", "/run", *state, *etc, IMAGE)
    (shared / "etc/exabgp.conf").write_text(leaf.run("vtep", "exabgp-config"))
    confined = (*(word for word in CONFINED if word not in ("--cap-add", "NET_ADMIN")), "--user", "exabgp")

    exabgp = container(
        *confined, "--tmpfs", "/run", "--env", "exabgp_api_terminate=true", *state, *etc,
        IMAGE, "exabgp", "server", "/etc/vtep/exabgp.conf",
        network=f"container:{leaf.name}",
    )  # fmt: skip

    wait_until(lambda: '"exabgp connected"' in leaf.log(), 20, "ExaBGP's relay")
    status = dict(line.split(":\t") for line in exabgp.run("cat", "/proc/1/status").splitlines() if ":\t" in line)
    assert int(status["CapEff"], 16) == 0
    assert "0" not in status["Uid"].split()
    assert "979" in leaf.run("stat", "--format", "%g %a", "/run/vtep/feed.sock")


def test_the_engine_gives_a_user_other_than_root_no_effective_capability():
    """Why the image has no USER: such a daemon could write nothing."""
    command = ("--entrypoint", "grep", IMAGE, "CapEff", "/proc/self/status")

    effective = docker("run", "--rm", "--network", "none", *CONFINED, "--user", "exabgp", *command).split()[1]

    assert int(effective, 16) == 0


def _health(leaf):
    return json.loads(docker("inspect", "--format", "{{json .State.Health}}", leaf.name))


def _probes(leaf):
    """Return the exit codes of the probes so far."""
    return [probe["ExitCode"] for probe in _health(leaf)["Log"] or ()]
