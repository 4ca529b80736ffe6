"""What is in the way when a daemon starts: it starts all the same, or ends with a code after which a supervisor tries again.

Only a configuration that is wrong in itself ends with 2, because trying again would not change that.
"""

import socket

import pytest

from tests.lab import overlay
from tests.lab.fixtures import lab, network
from tests.lab.speaker import Speaker
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import FEED, Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

REMOTE = Instance(address(1))
MAC = "02:00:00:00:01:01"
LATE = "10.99.99.99"


@pytest.fixture
def speaker(network):
    with Speaker(network.remote, address(1)) as speaker:
        yield speaker


def started(network, more: str = "") -> Vtep:
    vtep = Vtep(network.leaf, leaf_config(peers=[address(1)], more=more))
    vtep.start()
    return vtep


def wait_row(network, speaker) -> None:
    exabgp_with_relay(network.leaf, [address(1)]).start()
    speaker.announce(REMOTE.mac(MAC))
    wait_until(lambda: overlay.tunnels(network.leaf, VXLAN) == {(MAC, address(1))}, what="the row")


def problems(vtep: Vtep) -> str:
    return " ".join(vtep.told("status")["problems"])


def metrics(network, host: str = "127.0.0.1") -> str:
    """Return what the metrics listener answers; nothing if there is none."""
    with network.leaf.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        try:
            client.connect((host, 9479))
        except OSError:
            return ""
        client.sendall(f"GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


@pytest.mark.parametrize("port", [9479, 9480], ids=["metrics", "api"])
def test_a_taken_port_leaves_the_dataplane_on_and_is_opened_when_it_is_free(network, speaker, port):
    with network.leaf.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        vtep = started(network, '[api]\nlisten = ["unix:/run/vtep/vtep.sock", "127.0.0.1:9480"]')
        wait_row(network, speaker)

        key = "api.metrics" if port == 9479 else "api.listen[1]"
        assert f"the daemon cannot listen: {key}: 127.0.0.1:{port}: " in problems(vtep)
        assert vtep.process.log().count('"cannot listen"') == 1
        assert vtep.ask("health").returncode == 0
        if port == 9480:
            assert "\nvtep_listeners_closed 1.0\n" in metrics(network)

    wait_until(lambda: "\nvtep_listeners_closed 0.0\n" in metrics(network), 20, "all listeners")
    assert "cannot listen" not in problems(vtep)
    assert vtep.ask("health", "--address", "127.0.0.1:9480").returncode == 0


def test_an_address_that_comes_later_is_listened_at_then(network):
    vtep = started(network, f'[api]\nmetrics = "{LATE}:9479"')
    wait_until(lambda: "Cannot assign requested address" in problems(vtep), what="the problem")

    network.leaf.ip(f"address add {LATE}/32 dev lo")

    wait_until(lambda: "vtep_ready" in metrics(network, LATE), 20, "the metrics")
    assert "Cannot assign" not in problems(vtep)


def test_what_is_in_the_way_of_the_feed_socket_is_told_and_once_it_is_gone_routes_come(network, speaker):
    network.leaf.write(FEED, "in the way")
    vtep = started(network)
    wait_until(
        lambda: f"feed.socket: {FEED}: there is a file that is not a socket" in problems(vtep), what="the problem"
    )
    assert network.leaf.path(FEED).read_text() == "in the way"

    network.leaf.path(FEED).unlink()

    wait_row(network, speaker)
    assert "cannot listen" not in problems(vtep)


def test_a_group_that_cannot_be_resolved_is_told_and_the_daemon_runs(network):
    vtep = started(network, 'socket_group = "no-such-group"')

    wait_until(lambda: "there is no group 'no-such-group'" in problems(vtep), what="the problem")
    assert vtep.process.alive
    assert not network.leaf.path(FEED).exists()
    assert vtep.process.stop() == 0


def test_a_read_only_state_dir_is_told_and_once_it_can_be_written_everything_works(network, speaker):
    network.leaf.run("mkdir", "-p", "/run/vtep")
    network.leaf.run("mount", "-t", "tmpfs", "none", "/run/vtep")
    network.leaf.run("mount", "-o", "remount,bind,ro", "/run/vtep")
    vtep = started(network)
    wait_until(lambda: "\nvtep_listeners_closed 3.0\n" in metrics(network), 10, "the metric: feed, API and admin")
    assert 'vtep_ledger_writable{file="ledger"} 0.0' in metrics(network)
    assert vtep.process.alive

    network.leaf.run("mount", "-o", "remount,bind,rw", "/run/vtep")

    wait_until(lambda: "\nvtep_listeners_closed 0.0\n" in metrics(network), 20, "all listeners")
    wait_until(lambda: 'vtep_ledger_writable{file="ledger"} 1.0' in metrics(network), 20, "the ledger, tried again")
    wait_row(network, speaker)
    wait_until(lambda: problems(vtep) == "", 20, "a status without problems")


def test_a_state_dir_that_cannot_be_used_ends_with_a_code_that_is_tried_again(network):
    vtep = Vtep(network.leaf, leaf_config(node='state_dir = "/dev/null/vtep"'))

    assert vtep.start().wait() == 1
    assert "node.state_dir: /dev/null/vtep: Not a directory" in vtep.process.log()


def test_a_second_daemon_ends_with_a_code_that_is_tried_again_and_disturbs_nothing(network, speaker):
    started(network)
    wait_row(network, speaker)
    second = Vtep(network.leaf, leaf_config(peers=[address(1)], node='state_dir = "/run/other"'))

    assert second.start().wait() == 1
    assert "another daemon listens there" in second.process.log()
    assert overlay.tunnels(network.leaf, VXLAN) == {(MAC, address(1))}


def test_a_file_that_is_wrong_in_itself_ends_with_a_code_that_is_not_tried_again(network):
    vtep = Vtep(network.leaf, leaf_config(node="state_dri = '/run/vtep'"))

    assert vtep.start().wait() == 2
    assert "/run/vtep.toml:5: node.state_dri: unknown key (hint: did you mean state_dir?)" in vtep.process.log()
