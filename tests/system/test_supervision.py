"""A daemon under a supervisor that speaks as systemd does: what it hears from the first breath to the last."""

import signal
import socket
from types import SimpleNamespace

import pytest

from tests.lab.fixtures import lab, network
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import Vtep, leaf_config
from tests.lab.wait import wait_until
from vtep.app.daemon import Daemon
from vtep.app.kernel_task import STALLED_S_MAX, KernelTask
from vtep.config import file as config

__all__ = ["lab", "network"]

NOTIFY = "/run/notify"
HEARD_S_MAX = 5.0


class Supervisor:
    """What a supervisor of this node hears."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def hear_until(self, wanted: str) -> list[str]:
        """Return every line up to the wanted one, since the last one that was wanted."""
        lines: list[str] = []

        def come() -> bool:
            lines.extend(self._listener.recv(4096).decode().splitlines())
            return any(line.startswith(wanted) for line in lines)

        wait_until(come, HEARD_S_MAX, wanted)
        return lines


@pytest.fixture
def supervisor(network):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(network.leaf.path(NOTIFY)))
        listener.settimeout(HEARD_S_MAX)
        yield Supervisor(listener)


def started(network) -> Vtep:
    vtep = Vtep(network.leaf, leaf_config(peers=[address(1)]))
    vtep.start("env", f"NOTIFY_SOCKET={NOTIFY}", "WATCHDOG_USEC=300000")
    return vtep


@pytest.mark.root_netns
def test_a_supervisor_hears_of_every_step_and_feeds_on_pings(network, supervisor):
    vtep = started(network)
    assert supervisor.hear_until("READY=1") == ["READY=1"]
    assert network.leaf.path("/run/vtep/feed.sock").exists()
    assert supervisor.hear_until("STATUS=")[-1].startswith("STATUS=not ready, 0 remote MACs; ExaBGP is not connected")
    assert supervisor.hear_until("WATCHDOG=1")

    vtep.process.signal(signal.SIGHUP)
    assert supervisor.hear_until("RELOADING=1")[-1].startswith("MONOTONIC_USEC=")
    assert supervisor.hear_until("READY=1")

    assert vtep.process.stop() == 0
    assert supervisor.hear_until("STOPPING=1")


@pytest.mark.root_netns
def test_what_only_an_operator_can_mend_is_healthy_and_is_told(network, supervisor):
    """A restart would bring neither a device nor a peer."""
    network.leaf.ip(f"link del dev {VXLAN}")
    started(network)

    status = supervisor.hear_until("STATUS=")[-1]
    while "vxlan-missing" not in status:
        status = supervisor.hear_until("STATUS=")[-1]

    assert supervisor.hear_until("WATCHDOG=1")


@pytest.mark.parametrize(
    ("stalled_s", "healthy"),
    [(0, True), (STALLED_S_MAX - 1, True), (STALLED_S_MAX, False)],
    ids=["at-rest", "a-long-piece", "stuck-or-blind"],
)
def test_a_daemon_whose_passes_do_not_get_on_is_not_healthy(tmp_path, stalled_s, healthy):
    daemon = Daemon(config.parse(leaf_config()), tmp_path / "vtep.toml")
    daemon._kernel = object.__new__(KernelTask)
    daemon._kernel.actor = SimpleNamespace(stalled_s=stalled_s)

    assert daemon.healthy is healthy


def test_a_daemon_without_a_dataplane_is_healthy(tmp_path):
    assert Daemon(config.parse('[node]\nvtep = "10.0.0.99"'), tmp_path / "vtep.toml").healthy
