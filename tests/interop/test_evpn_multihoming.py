"""A machine on two leaves of ours: what it loses when a link or a session fails, by pings every 10 ms from here and from a third leaf."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.lab.namespaces import CommandFailed
from tests.lab.probe import Pings, ping
from tests.lab.wait import wait_until

LAB = "evpn-multihoming"

MACHINE = "172.16.0.1"
HOSTS = ("host99", "host3")
"""At the same leaf as the machine's first link, and at the third leaf."""

pytestmark = pytest.mark.root_netns
scenario = pytest.mark.scenario


@pytest.fixture
def filters(scene):
    """Skip where the kernel cannot have the filters of a segment."""
    leaf = scene.machines["leaf"]
    try:
        leaf.run("nft", "add", "table", "inet", "trial")
    except CommandFailed as error:
        if "not supported" not in str(error):
            raise
        pytest.skip("this kernel has no nftables of family inet")
    leaf.run("nft", "delete", "table", "inet", "trial")


def state(machine) -> str:
    """Return what the port of the segment floods at a leaf: joining, non-df or df; nothing if it has no filter yet."""
    try:
        shown = machine.run("nft", "list", "table", "bridge", "vtep")
    except CommandFailed:
        return ""
    for name, word in (("joining", "joining"), ("blocked", "non-df"), ("ports", "df")):
        if '"eth2"' in shown.partition(f"set {name} {{")[2].partition("}\n\n")[0]:
            return word
    return ""


def forwarding(scene):
    return sorted(state(scene.machines[leaf]) for leaf in ("leaf", "leaf2")) == ["df", "non-df"]


def losses(scene, act: Callable[[], object]) -> dict[str, tuple[int, float]]:
    """Return how many pings were lost, and the longest time without an answer in seconds, for each host."""
    with ExitStack() as stack:
        pings = {host: stack.enter_context(Pings(scene.machines[host], MACHINE)) for host in HOSTS}
        wait_until(lambda: all(one.back(0) for one in pings.values()), 30, "answers")
        since = {host: one.sent for host, one in pings.items()}
        act()
        wait_until(lambda: all(one.back(since[host], 100) for host, one in pings.items()), 30, "answers again")
    return {host: (one.lost, round(one.away_s, 2)) for host, one in pings.items()}


def silence(scene):
    for way in ("down", "up"):
        for host in HOSTS:
            scene.machines[host].run("ip", "link", "set", "dev", "eth1", way)


@scenario("S18")
def test_what_a_machine_with_two_links_loses(scene, filters):
    wait_until(lambda: forwarding(scene), 30, "both leaves forward, one as the designated forwarder")
    for host in HOSTS:
        assert ping(scene.machines[host], MACHINE, 10) is not None
    machine = scene.machines["machine"]

    found = {
        "carrier lost": losses(scene, lambda: machine.run("ip", "link", "set", "dev", "eth1", "down")),
        "carrier back": losses(scene, lambda: machine.run("sh", "-c", RETURN)),
    }
    wait_until(lambda: forwarding(scene), 30, "both leaves forward again")
    found["session lost"] = losses(scene, scene.end_exabgp)
    found["session back"] = losses(scene, scene.start_exabgp)
    wait_until(lambda: forwarding(scene), 60, "both leaves forward again")

    for event, of_host in found.items():
        print(event, {host: f"{lost} lost, {away} s" for host, (lost, away) in of_host.items()})
    assert all(away < 3 for of_host in found.values() for _, away in of_host.values())
    silence(scene)


RETURN = "ip link set dev eth1 up && ip route replace 172.16.0.0/24 dev eth1 src 172.16.0.1 metric 10"
"""Set down, the interface loses its route; a link that only loses its carrier keeps it."""
