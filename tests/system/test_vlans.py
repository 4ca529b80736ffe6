"""Our leaf beside FRR, both with a VLAN-aware bridge: each VLAN is a network of its own, from empty caches, in both directions."""

import itertools
import json
import re
from pathlib import Path

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.namespaces import Node
from tests.lab.probe import Pings
from tests.lab.topology import address
from tests.lab.vlans import (
    TWIN,
    VLANS,
    VlanLeaves,
    VlanStation,
    Way,
    add_shared_vxlan,
    bridge,
    map_vni,
    vxlan_of,
)
from tests.lab.vtep import VTEP
from tests.lab.wait import wait_until
from tests.promises.test_readme import ROOT, blocks
from vtep.linux import conditions

__all__ = ["lab"]

pytestmark = pytest.mark.root_netns

FLOOD = "00:00:00:00:00:00"


@pytest.fixture(params=["alone", "shared"])
def leaves(request, lab) -> VlanLeaves:
    with skipped_if_missing():
        leaves = VlanLeaves(lab, request.param)
    leaves.start()
    return leaves


GUIDE = (ROOT / "docs/install.md").read_text()


@pytest.mark.every_kernel
def test_the_devices_of_the_guide_are_fit(lab) -> None:
    """The blocks of docs/install.md make them, and vtep finds nothing that a VNI lacks."""
    alone, shared = (block for block in blocks(GUIDE, "sh") if "dev br0 vid 10 self" in block)
    (toml,) = (block for block in blocks(GUIDE, "toml") if "vlan = 10" in block)
    bridge_lines = "".join(
        line for line in alone.splitlines(keepends=True) if line.split()[3:5] in (["br0", "type"], ["dev", "br0"])
    )
    for number, (devices, config) in enumerate(
        ((alone, toml.replace("vxlan0", "vx10")), (bridge_lines + shared, toml))
    ):
        node = lab.node(f"leaf{number}")
        node.ip("link add uplink type bridge", "link set uplink up", "addr add 10.0.0.1/24 dev uplink")
        node.write("/run/leaf.toml", config)
        done = node.attempt("sh", "-ec", devices)
        if "not supported" in done.stderr:
            pytest.skip("this kernel has no VLAN filtering")
        assert done.returncode == 0, done.stderr

        doctor = node.attempt(str(VTEP), "doctor", "--config", "/run/leaf.toml", "-o", "json")
        found = {one["code"] for one in json.loads(doctor.stdout)["findings"]}
        lacking = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', Path(conditions.__file__).read_text()))
        assert len(lacking) > 10
        assert found & lacking == set()


def test_the_filters_of_the_guide_are_those_that_a_leaf_moves_with() -> None:
    """The tests below move leaves with them, under names of their own for the devices."""
    lines = " ".join(line for block in blocks(GUIDE, "sh") for line in block.replace("\\\n", " ").splitlines())
    words = " ".join(lines.split())

    assert f"tc filter add dev eth0 egress {SENT_BY_ANOTHER_PORT}" in words
    # `u32` takes the VNI with zeros before it as well.
    assert received_by_another_port(1010).replace("0x3f200", "0x0003f200") in words
    assert "bridge fdb flush dev vxlan0 vlan 10 extern_learn master" in words


def test_a_leaf_moves_to_a_shared_device_and_there_one_vni_changes_without_another(lab) -> None:
    """As docs/install.md says it. The two sorts of devices cannot be up at once with one UDP port."""
    with skipped_if_missing():
        leaves = VlanLeaves(lab, "alone")
    leaves.start()
    (mover, stayer), (far_mover, far_stayer) = leaves.here, leaves.there
    wait_until(lambda: mover.reaches(far_mover) and stayer.reaches(far_stayer), 30, "both VLANs work")
    node = leaves.ours.node

    with Pings(stayer.node, far_stayer.ip) as pings:
        add_shared_vxlan(node, address(1), up=False)
        for vlan, vni in VLANS.items():
            map_vni(node, vlan, vni)
        leaves.ours.reload(dict.fromkeys(VLANS, "shared"))
        node.ip("link del dev vx10", "link del dev vx20", "link set dev vxlan0 up")
        moved = pings.sent
        wait_until(lambda: pings.back(moved), 30, "VLAN 20 by the shared device")
    print(f"the move took VLAN 20 away for {pings.away_s:.2f} s")
    wait_until(lambda: mover.reaches(far_mover), 30, "VLAN 10 by the shared device")

    with Pings(stayer.node, far_stayer.ip) as pings:
        bridge(node, "vni delete dev vxlan0 vni 1010", "vlan del dev vxlan0 vid 10")
        wait_until(lambda: not mover.reaches(far_mover), 10, "VLAN 10 is away")
        map_vni(node, 10, VLANS[10])
        wait_until(lambda: mover.reaches(far_mover), 30, "VLAN 10 is back")
    assert (pings.lost, pings.sent > 100) == (0, True)


def test_a_leaf_moves_to_a_shared_device_vni_by_vni_and_no_other_vni_loses_a_packet(lab) -> None:
    """As docs/install.md says it: by way of a device on another UDP port, to which a filter leads each VNI that moved."""
    with skipped_if_missing():
        leaves = VlanLeaves(lab, "alone")
    leaves.start()
    wait_until(lambda: all(map(VlanStation.reaches, leaves.here, leaves.there)), 30, "both VLANs work")
    node = leaves.ours.node
    places: dict[int, Way] = dict.fromkeys(VLANS, "alone")
    away: list[str] = []
    log = node.path("/run/log/vtep.log").read_text

    def move(vlan: int, way: Way, led: str, *left: str) -> None:
        """Move the VNI of one VLAN, while the stations of both VLANs ping: lead its packets there, and leave the old device."""
        mover, stayer = (0, 1) if vlan == 10 else (1, 0)
        with (
            Pings(leaves.here[stayer].node, leaves.there[stayer].ip, every_s=0.05) as staying,
            Pings(leaves.here[mover].node, leaves.there[mover].ip, every_s=0.05) as moving,
        ):
            wait_until(lambda: staying.back(0) and moving.back(0), 20, "both VLANs work")
            map_vni(node, vlan, VLANS[vlan], vxlan_of(way, vlan))
            places[vlan] = way
            reloads = log().count('"reloaded"')
            leaves.ours.reload(places)
            wait_until(lambda: log().count('"reloaded"') > reloads, 20, "the reload")
            node.run("sh", "-ec", "\n".join((f"tc {led}", *left)))
            moved = moving.sent
            wait_until(lambda: moving.back(moved), 30, f"VLAN {vlan} by {vxlan_of(way, vlan)}")
            # Where the kernel is a slow process, answers are late; none may be missing.
            sent = staying.sent
            wait_until(lambda: staying.answered.issuperset(range(sent)), 10, "every answer to the VNI that stays")
        away.append(f"VLAN {vlan} to {vxlan_of(way, vlan)}: {moving.away_s:.2f} s")
        assert sent > 20

    tc(node, "qdisc add dev underlay clsact", f"filter add dev underlay egress {SENT_BY_ANOTHER_PORT}")
    add_shared_vxlan(node, address(1), udp_port=4790)
    for vlan, vni in VLANS.items():
        led = f"filter add dev underlay ingress pref {vlan} {received_by_another_port(vni)}"
        move(vlan, "shared", led, f"ip link del dev vx{vlan}")
    # No device for one VNI is left, so the usual port is free for another shared device.
    add_shared_vxlan(node, address(1), name="vxlan1")
    for vlan in VLANS:
        # The kernel keeps rows of a VLAN that the port no longer has, and nothing could remove them.
        flush = f"bridge fdb flush dev vxlan0 vlan {vlan} extern_learn master"
        move(
            vlan,
            "second",
            f"filter del dev underlay ingress pref {vlan}",
            flush,
            f"bridge vlan del dev vxlan0 vid {vlan}",
        )
    node.ip("link del dev vxlan0")
    tc(node, "qdisc del dev underlay clsact")
    print("; ".join(away))
    assert all(map(VlanStation.reaches, leaves.here, leaves.there))


SENT_BY_ANOTHER_PORT = "protocol ip flower ip_proto udp dst_port 4790 action pedit ex munge udp dport set 4789"
"""What the new device sends leaves by the usual port."""


def received_by_another_port(vni: int) -> str:
    """Return the filter that leads a VNI to the new device: the VNI is 4 octets behind the UDP header of an IPv4 packet."""
    of_vni = f"match ip protocol 17 0xff match u16 4789 0xffff at 22 match u32 {vni << 8:#x} 0xffffff00 at 32"
    return f"protocol ip u32 {of_vni} action pedit ex munge udp dport set 4790 pipe action csum udp"


def tc(node: Node, *commands: str) -> None:
    for command in commands:
        node.run("tc", *command.split())


def wanted(leaves: VlanLeaves, *macs: str) -> set[tuple[str, str, int]]:
    """Return the rows that our leaf must have for these MACs in both VLANs, and its flood rows."""
    shared = leaves.ours.way == "shared"
    return {
        (vxlan_of(leaves.ours.way, vlan), mac, number)
        for vlan, vni in VLANS.items()
        for mac, number in (
            *((mac, vlan) for mac in macs),
            *((mac, vni if shared else 0) for mac in (*macs, FLOOD)),
        )
    }


def test_each_vlan_is_a_network_of_its_own(leaves: VlanLeaves) -> None:
    wait_until(lambda: wanted(leaves) <= leaves.rows(), 30, "flood rows for both VNIs")
    wait_until(lambda: all(leaves.frr.vteps(vni) for vni in VLANS.values()), 30, "our Type-3 routes at FRR")

    stations = [*leaves.here, *leaves.there]
    same = [(0, 2), (1, 3), (2, 0), (3, 1)]
    for one, other in same:
        stations[one].forget_neighbors()
        assert stations[one].reaches(stations[other])
    other_vlan = [(one, other) for one, other in itertools.permutations(range(4), 2) if (one + other) % 2]
    assert [pair for pair in other_vlan if stations[pair[0]].reaches(stations[pair[1]])] == []

    # The MAC that is in both VLANs has a row in each, and our stations are at FRR, each in its VNI.
    wait_until(lambda: leaves.rows() == wanted(leaves, TWIN), 20, "the rows of one MAC in two VLANs")
    advertised = {(station.mac, "10.0.0.1") for station in leaves.here}
    wait_until(lambda: advertised <= leaves.frr.macs(), 20, "our stations at FRR")
