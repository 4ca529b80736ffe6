"""Two leaves whose devices vtep makes from nothing: their stations reach each other, and other hands and deaths change nothing."""

import json

import pytest

from tests.lab import overlay, probe
from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.namespaces import CommandFailed, link
from tests.lab.peers import ExaBgp
from tests.lab.topology import BRIDGE, MTU_UNDERLAY, VXLAN, Station, address, join, switch
from tests.lab.vtep import VTEP, Vtep
from tests.lab.wait import wait_until
from vtep.config.file import parse
from vtep.feed.exabgp.config import render

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow, pytest.mark.every_kernel]


class Pair:
    """Two leaves that peer with each other, and a station for each."""

    def __init__(self, lab):
        underlay = switch(lab)
        self.nodes = [join(lab, underlay, f"leaf{number}", number) for number in (1, 2)]
        self.leaves = [Vtep(node, config(number)) for number, node in enumerate(self.nodes, 1)]
        self.speakers = [
            ExaBgp(node, render(parse(config(number))), announces=True) for number, node in enumerate(self.nodes, 1)
        ]
        self.stations = [Station(lab, number) for number in (1, 2)]

    def start(self):
        for leaf in self.leaves:
            leaf.start()
        for speaker in self.speakers:
            speaker.start()
        for node, station in zip(self.nodes, self.stations, strict=True):
            wait_until(lambda: node.has_link(BRIDGE), 20, "the bridge is made")  # noqa: B023
            station.plug(node)

    def reached(self):
        one, other = self.stations
        return probe.ping(one.node, other.ip, 30) is not None


def config(number, on_stop="keep"):
    other = 3 - number
    return f"""
[node]
vtep = "{address(number)}"
manage = true
on_stop = "{on_stop}"
[bgp]
asn = 65000
router_id = "{address(number)}"
[[bgp.neighbor]]
address = "{address(other)}"
asn = 65000
passive = {"true" if number < other else "false"}
[feed]
peers = ["{address(other)}"]
[[vni]]
vni = 100
bridge = "{BRIDGE}"
vxlan = "{VXLAN}"
import_rt = ["65000:100"]
"""


def shown(node, name):
    """Return what `ip` shows of a device, without timers; nothing if it is not there."""

    def timeless(found):
        return {
            key: timeless(value) if isinstance(value, dict) else value
            for key, value in found.items()
            if "timer" not in key
        }

    try:
        return timeless(json.loads(node.run("ip", "-d", "-j", "link", "show", "dev", name))[0])
    except CommandFailed:
        return {}


def is_whole(node):
    device = shown(node, VXLAN)
    info = device.get("linkinfo", {})
    return (
        device.get("master") == BRIDGE
        and device.get("mtu") == MTU_UNDERLAY - 50
        and "UP" in device.get("flags", [])
        and not info.get("info_data", {}).get("learning")
        and not info.get("info_slave_data", {}).get("learning")
    )


def test_two_leaves_make_their_devices_and_keep_them_whatever_others_do(lab):
    with skipped_if_missing():
        pair = Pair(lab)
    node, leaf = pair.nodes[0], pair.leaves[0]
    assert leaf.ask("devices", "plan", "--config", "/run/vtep.toml").returncode == 1

    pair.start()
    assert pair.reached()
    done = leaf.ask("devices", "plan", "--config", "/run/vtep.toml")
    assert (done.returncode, done.stdout) == (0, "")
    index = shown(node, VXLAN)["ifindex"]

    for change in (
        f"link set dev {VXLAN} type vxlan id 100 learning",
        f"link set dev {VXLAN} mtu 1300",
        f"link set dev {VXLAN} nomaster",
        f"link set dev {VXLAN} down",
    ):
        node.ip(change)
        wait_until(lambda: is_whole(node), 10, change)
    assert shown(node, VXLAN)["ifindex"] == index
    assert pair.reached()

    node.ip(f"route add {address(2)}/32 dev underlay mtu 1400")
    wait_until(lambda: shown(node, VXLAN).get("mtu") == shown(node, BRIDGE).get("mtu") == 1350, 10, "the route's MTU")
    node.ip(f"route del {address(2)}/32")
    wait_until(lambda: is_whole(node), 10, "the MTU of the device again")

    node.ip(f"link del {VXLAN}")
    wait_until(lambda: is_whole(node), 10, "the device is made again")
    wait_until(lambda: overlay.floods(node, VXLAN) == {address(2)}, 20, "its rows are written again")
    assert pair.reached()

    before = [shown(node, name) for name in (BRIDGE, VXLAN)]
    rows = overlay.tunnels(node, VXLAN)
    leaf.process.kill()
    leaf.start()
    wait_until(lambda: leaf.ask("health").returncode == 0, 20, "the next life is ready")
    assert [shown(node, name) for name in (BRIDGE, VXLAN)] == before
    assert overlay.tunnels(node, VXLAN) == rows
    assert pair.reached()

    leaf.process.stop()
    assert is_whole(node)
    leaf.configure(config(1, on_stop="drain"))
    leaf.start()
    wait_until(lambda: leaf.ask("health").returncode == 0, 20, "the last life is ready")
    assert leaf.process.stop() == 0
    assert shown(node, VXLAN) == shown(node, BRIDGE) == {}


MISMADE = {
    "id": "id 200 local {vtep} dstport 4789 nolearning",
    "dstport": "id 100 local {vtep} dstport 8472 nolearning",
    "external": "external local {vtep} dstport 4789 nolearning",
}
"""VXLAN devices that the kernel cannot change into the one that is wanted."""


@pytest.mark.parametrize("what", MISMADE)
def test_a_device_that_must_be_made_again_is_refused_with_the_command_and_replaced_with_the_flag(what, lab):
    """The traffic of the device stops meanwhile, and everything is whole afterwards, rows of the other leaf included."""
    with skipped_if_missing():
        pair = Pair(lab)
    node, leaf = pair.nodes[0], pair.leaves[0]
    node.ip(
        f"link add {BRIDGE} type bridge",
        f"link add {VXLAN} type vxlan {MISMADE[what].format(vtep=address(1))}",
        f"link set {VXLAN} master {BRIDGE} up",
        f"link set {BRIDGE} up",
    )
    pair.start()
    amiss = {"device": VXLAN, "reason": "device-not-ours"}
    wait_until(lambda: amiss in leaf.told("status")["devices"], 20, "the status names the device")
    before = shown(node, VXLAN)

    refused = leaf.ask("devices", "adopt", "--config", "/run/vtep.toml")
    assert refused.returncode == 1
    assert f"{VXLAN}: left" in refused.stderr
    assert "traffic stops while it is made again; --replace does it" in refused.stderr
    assert refused.stdout == f"{BRIDGE} adopted\n"
    assert shown(node, VXLAN) == before
    told = leaf.ask("explain", VXLAN).stdout
    assert f"run: vtep devices adopt --replace {VXLAN}" in told
    assert "foreign: another program made it" in told
    tried = leaf.ask("devices", "adopt", "--replace", "--dry-run", VXLAN, "--config", "/run/vtep.toml")
    assert (tried.returncode, shown(node, VXLAN)) == (0, before)
    assert probe.ping(pair.stations[0].node, pair.stations[1].ip, 0.5) is None

    done = leaf.ask("devices", "adopt", "--replace", VXLAN, "--config", "/run/vtep.toml")
    assert done.returncode == 0, done.stderr
    assert "its traffic stops until the daemon has made it again" in done.stdout
    wait_until(lambda: is_whole(node), 20, "the device is made again")
    assert shown(node, VXLAN)["ifindex"] != before["ifindex"]
    assert node.has_link(VXLAN)
    wait_until(lambda: overlay.floods(node, VXLAN) == {address(2)}, 20, "its flood row is written again")
    assert pair.reached()
    wait_until(lambda: leaf.ask("health").returncode == 0, 20, "the leaf is ready")
    assert leaf.ask("diff").returncode == 0
    assert leaf.ask("devices", "plan", "--config", "/run/vtep.toml").stdout == ""
    told = leaf.ask("explain", VXLAN).stdout
    assert told.startswith(f"{VXLAN} is as wanted; vtep made it")
    assert "last write" in told


FRR_SCRIPT = """
ip link add br100 type bridge
ip link set dev br100 addrgenmode none
ip link add vxlan100 type vxlan local 10.0.0.1 dstport 4789 id 100 nolearning
ip link set dev vxlan100 master br100 addrgenmode none
ip link set dev vxlan100 type bridge_slave neigh_suppress on learning off
ip link set dev vxlan100 up
ip link set dev br100 up
"""
"""As FRR's manual has it, in its section on EVPN and Linux."""
OLD_SCRIPT = FRR_SCRIPT.replace("dstport 4789", "dstport 8472").replace(" nolearning", "")
HANDED_OVER = {("br100", "adopt", "another"), ("vxlan100", "adopt", "another")}
VLANS_OF_THE_KERNEL = {("br100", "set", "vlan_default_pvid")}
"""Where a kernel has VLAN filtering, a bridge has a default VLAN even if it does not filter."""


@pytest.mark.parametrize(
    ("maker", "changes"),
    [
        ("init", HANDED_OVER | {("br100", "set", "mcast_snooping"), ("vxlan100", "set", "link_local")}),
        ("frr", HANDED_OVER | {("br100", "set", "mcast_snooping"), ("vxlan100", "set", "mtu"), ("br100", "set", "mtu")}),
        ("old", {("br100", "adopt", "another"), ("br100", "set", "mcast_snooping"), ("br100", "set", "mtu"), ("vxlan100", "replace", "it")}),
        ("plan", HANDED_OVER),
    ],
)  # fmt: skip
def test_the_plan_for_devices_of_others_has_what_differs_and_nothing_else(maker, changes, lab):
    """What `vtep init` writes is what the README runs. `plan` is by hand what the plan says; systemd-networkd is in test_init.py."""
    with skipped_if_missing():
        leaf, host = lab.node("leaf"), lab.node("host")
        link(leaf, "uplink", host, "uplink")
    leaf.ip("address add 10.0.0.1/24 dev uplink")
    words = ("--vtep", "10.0.0.1", "--peer", "10.0.0.2", "--asn", "65000", "--vni", "100", "--directory", "/run/made")
    leaf.run(str(VTEP), "init", *words)
    file = leaf.path("/run/made/vtep.toml")
    file.write_text(file.read_text().replace("[node]", "[node]\nmanage = true"))
    script = {"init": "sh /run/made/devices.sh", "frr": FRR_SCRIPT, "old": OLD_SCRIPT, "plan": ""}[maker]
    leaf.run("sh", "-ec", script)
    if maker == "plan":
        for step in plan(leaf):
            leaf.run("sh", "-ec", step["command"])

    found = {(step["device"], step["act"], step["text"].split()[0]) for step in plan(leaf)}

    assert found - VLANS_OF_THE_KERNEL == changes


def plan(leaf):
    done = leaf.attempt(str(VTEP), "devices", "plan", "--config", "/run/made/vtep.toml", "-o", "json")
    return json.loads(done.stdout)["steps"]
