"""The units of packaging/ under a real systemd, process 1 of a container: the sandbox leaves what the daemon needs.

The container may do what systemd must to confine its services; what the services may do is what their units say.
"""

import shutil
from pathlib import Path

import pytest

from tests.lab.containers import DEVICES, IMAGE, MAC, ROW, Container, container, docker, fed, needs_engine, shared
from tests.lab.wait import wait_until
from vtep.app.kernel_task import CAP_NET_ADMIN

__all__ = ["container", "shared"]

pytestmark = needs_engine

ROOT = Path(__file__).parents[2]
BOOTED = f"""
FROM {IMAGE}
RUN apt-get update --quiet=2 && apt-get install --quiet=2 --yes --no-install-recommends systemd dbus
COPY packaging /packaging
RUN install -D -m 0644 /packaging/sysusers.d/vtep.conf /etc/sysusers.d/vtep.conf && systemd-sysusers vtep.conf \\
 && install -m 0644 /packaging/etc/* /etc/vtep/ \\
 && install -m 0644 /packaging/systemd/*.service /etc/systemd/system/ \\
 && mkdir /etc/systemd/system/vtep.service.d \\
 && printf '[Service]\\nWatchdogSec=2\\n' >/etc/systemd/system/vtep.service.d/impatient.conf \\
 && systemctl enable vtep exabgp
"""
POWERS = ("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--security-opt", "seccomp=unconfined")
PLACES = ("--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/sys/fs/cgroup", "--env", "container=docker")
RELAY_AS_EXABGP = ("setpriv", "--reuid=exabgp", "--regid=exabgp", "--clear-groups", "vtep", "relay")


@pytest.fixture
def machine(container, shared):
    """A machine where both units were started at boot, with the devices of the example configuration."""
    shutil.copytree(ROOT / "packaging", shared / "packaging")
    (shared / "Dockerfile").write_text(BOOTED)
    docker("build", "--network", "host", "--force-rm", "--tag", "vtep-booted:test", str(shared))
    options = (*POWERS, "--security-opt", "apparmor=unconfined", *PLACES, "--no-healthcheck", "--tty")
    machine = container(*options, "--entrypoint", "/lib/systemd/systemd", "vtep-booted:test")
    wait_until(lambda: "active" in state(machine, "ActiveState"), 20, "the unit")
    machine.run("sh", "-ec", DEVICES)
    return machine


def state(machine: Container, name: str) -> str:
    return machine.run("systemctl", "show", "--value", "--property", name, "vtep").strip()


@pytest.mark.timeout(180)
def test_both_units_do_their_work_in_their_sandboxes_and_the_watchdog_ends_a_daemon_that_hangs(machine):
    wait_until(lambda: state(machine, "SubState") == "running", 20, "the daemon to tell that it is ready")
    wait_until(lambda: "exabgp connected" in journal(machine), 20, "ExaBGP's relay")
    wait_until(lambda: state(machine, "StatusText").startswith("not ready, 0 remote MACs; waiting"), 10, "the status")
    first = state(machine, "MainPID")
    assert capabilities(machine, first) == 1 << CAP_NET_ADMIN

    with fed(machine, MAC, relay=RELAY_AS_EXABGP):
        wait_until(lambda: machine.rows() == ROW, 10, "the row that was told")
        machine.run("systemctl", "reload", "vtep")
        wait_until(lambda: '"reloaded"' in journal(machine), 10, "the reload")

    machine.run("touch", "/run/vtep/of-an-earlier-life")
    machine.run("sh", "-c", f"kill -STOP {first}")
    wait_until(lambda: state(machine, "NRestarts") == "1", 20, "the watchdog to lose patience")
    wait_until(lambda: state(machine, "SubState") == "running", 20, "the next daemon")
    assert state(machine, "MainPID") != first
    assert machine.rows() == ROW
    assert {"ledger", "of-an-earlier-life"} <= set(machine.run("ls", "/run/vtep").split())
    assert "ledger refused" not in journal(machine)

    machine.run("systemctl", "stop", "vtep")
    assert state(machine, "Result") == "success"
    assert machine.rows() == ROW


def journal(machine: Container) -> str:
    return machine.run("journalctl", "--unit", "vtep", "--output", "cat", "--no-pager")


def capabilities(machine: Container, pid: str) -> int:
    return int(machine.run("grep", "CapEff", f"/proc/{pid}/status").split()[1], 16)
