"""A daemon that has no file descriptor left: forwarding goes on, and the log says so in a few lines."""

import contextlib
import json
import socket

import pytest

from tests.lab import overlay
from tests.lab.fixtures import lab, network
from tests.lab.speaker import Speaker
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

REMOTE = Instance(address(1))
MACS = ["02:00:00:00:01:01", "02:00:00:00:01:02"]
DESCRIPTORS = 60


def rows(network):
    return {mac for mac, _ in overlay.tunnels(network.leaf, VXLAN)}


def errors(vtep) -> list[dict]:
    lines = [json.loads(line) for line in vtep.process.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["level"] == "error"]


def test_a_daemon_without_free_descriptors_forwards_and_says_so_in_a_few_lines(network):
    with Speaker(network.remote, address(1)) as speaker, contextlib.ExitStack() as held:
        vtep = Vtep(network.leaf, leaf_config(peers=[address(1)]))
        vtep.start("prlimit", f"--nofile={DESCRIPTORS}")
        exabgp_with_relay(network.leaf, [address(1)]).start()
        speaker.announce(REMOTE.mac(MACS[0]))
        wait_until(lambda: rows(network) == {MACS[0]}, what="the first row")

        for _ in range(DESCRIPTORS):
            client = held.enter_context(network.leaf.socket(socket.AF_INET, socket.SOCK_STREAM))
            client.connect(("127.0.0.1", 9479))
        wait_until(lambda: any("Too many open files" in line.get("why", "") for line in errors(vtep)), 10, "the error")
        speaker.announce(REMOTE.mac(MACS[1]))
        wait_until(lambda: rows(network) == set(MACS), what="the second row")
        wait_until(lambda: vtep.ask("health").returncode == 3, 10, "an API that cannot answer either")

    wait_until(lambda: vtep.ask("health").returncode == 0, 10, "an API that answers again")
    assert [line["event"] for line in errors(vtep)] == ["connection not accepted"]
    assert all(line.startswith("{") for line in vtep.process.log().splitlines())
