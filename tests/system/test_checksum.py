"""A VXLAN device over IPv6 that drops what a switch sends: packets without a UDP checksum. Real devices, real packets."""

import json
import re

import pytest

from tests.lab.namespaces import Lab
from tests.lab.topology import BRIDGE, VNI, VXLAN
from tests.lab.vtep import Vtep
from tests.lab.wait import wait_until

pytestmark = pytest.mark.root_netns

HERE, THERE = "fd00::99", "fd00::1"
CONFIG = f"""
[node]
vtep = "{HERE}"
[feed]
peers = ["{THERE}"]
[[vni]]
vni = {VNI}
bridge = "{BRIDGE}"
vxlan = "{VXLAN}"
import_rt = ["65000:{VNI}"]
"""
SEND = """
import socket
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("vxlan", 0))
for _ in range(5):
    out.send(b"\\xff" * 6 + b"\\x02\\0\\0\\0\\0\\x07" + b"\\x88\\xb5" + bytes(46))
"""


@pytest.fixture
def pair():
    """A leaf, and a switch that sends no checksums."""
    with Lab() as lab:
        leaf, switch = lab.node("leaf"), lab.node("switch")
        leaf.ip(f"link add name wire type veth peer name wire netns {switch.pid}")
        for node, own in ((leaf, HERE), (switch, THERE)):
            node.ip(f"addr add {own}/64 dev wire nodad", "link set dev wire up")
        switch.ip(
            f"link add vxlan type vxlan id {VNI} local {THERE} remote {HERE} dstport 4789 udp6zerocsumtx",
            "link set dev vxlan addrgenmode none up",  # so that it sends nothing of its own
        )
        leaf.ip(f"link add {BRIDGE} type bridge", f"link set dev {BRIDGE} up")
        yield leaf, switch


def enter(leaf):
    leaf.ip(f"link set dev {VXLAN} master {BRIDGE} up", f"link set dev {VXLAN} type bridge_slave learning off")


def received(leaf, switch):
    """Have the other side send five frames, and return how many the device of the leaf took meanwhile."""

    def count():
        (link,) = json.loads(leaf.run("ip", "-j", "-s", "link", "show", "dev", VXLAN))
        return link["stats64"]["rx"]["packets"]

    def udp():
        text = leaf.run("cat", "/proc/net/snmp6")
        return sum(int(re.search(rf"{name}\s+(\d+)", text)[1]) for name in ("Udp6InDatagrams", "Udp6InErrors"))

    before, seen = count(), udp()
    switch.run("python3", "-c", SEND)
    wait_until(lambda: count() >= before + 5 or udp() >= seen + 5, 10, "the packets")
    return count() - before


def notes(vtep):
    return [one for one in vtep.told("status")["problem_list"] if one["code"] == "checksum"]


def test_a_device_that_drops_packets_without_a_checksum_is_told_with_the_command_that_mends_it(pair):
    leaf, switch = pair
    leaf.ip(f"link add {VXLAN} type vxlan id {VNI} local {HERE} dstport 4789 nolearning")
    enter(leaf)
    vtep = Vtep(leaf, CONFIG)
    vtep.start()
    (found,) = wait_until(lambda: notes(vtep), 20, "the note")
    assert VXLAN in found["text"]
    assert received(leaf, switch) == 0

    leaf.run("sh", "-c", re.search(r"\((ip link del [^)]*)\)", found["text"])[1])
    enter(leaf)
    wait_until(lambda: not notes(vtep), 20, "the end of the note")
    assert received(leaf, switch) >= 5
    assert "checksum" not in vtep.ask("doctor", "--config", "/run/vtep.toml").stdout
