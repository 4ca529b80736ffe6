"""A machine on two of our leaves by a trunk: the port of the segment is on a VLAN-aware bridge, and has a VNI for each VLAN.

        machine ── c1 ─── es0  leaf1 10.0.0.1  ═╗
           │     VLANs 10, 20                   ║ iBGP to the reflector 10.0.0.100
           └────── c2 ─── es0  leaf2 10.0.0.2  ═╣
        station 13 ── VLAN 10  leaf3 10.0.0.3  ═╝

The machine has the same MAC in both VLANs, so whatever mixes them shows. Debian's user-mode Linux filters VLANs and has no nftables of
family inet; the leaves write no filter there. Known MACs alone get frames in this test.
"""

import re
import select
import socket
from contextlib import suppress

import pytest

from tests.lab import overlay
from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.leaves import REFLECTOR, FrrReflector, OurLeaf
from tests.lab.namespaces import Lab, Missing, Node
from tests.lab.probe import loopback_frame
from tests.lab.segments import CE_MAC, ESI, SEGMENT, need_filters, speak
from tests.lab.topology import address, join, switch
from tests.lab.vlans import VLANS, VlanStation, add_devices, bridge
from tests.lab.wait import PATIENCE, wait_until

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow, pytest.mark.every_kernel]

VNIS = "".join(
    f'[[vni]]\nvni = {vni}\nbridge = "br0"\nvxlan = "vx{vlan}"\nvlan = {vlan}\nimport_rt = ["65000:{vni}"]\n'
    for vlan, vni in VLANS.items()
)
A, B = address(1), address(2)
AT_C1, AT_C2 = "c1.10", "c2.10"
"""The machine's links in VLAN 10."""
_LOOPBACK = 0x9000


class TrunkHomed:
    """The network as drawn, not yet started."""

    def __init__(self, lab: Lab) -> None:
        underlay = switch(lab)
        nodes = [join(lab, underlay, f"leaf{number}", number) for number in (1, 2, 3)]
        for number, node in enumerate(nodes, 1):
            add_devices(node, address(number), "alone")
        segment = SEGMENT if _filters(nodes[0]) else SEGMENT + 'filter = "none"\n'
        self.machine = lab.node("machine")
        self.stations = [
            VlanStation(lab, 10 + number, node, 10) for number, node in enumerate(nodes, 1) if number in (1, 3)
        ]
        for number, node in enumerate(nodes[:2], 1):
            trunk(node, self.machine, f"c{number}")
        self.leaves = [
            OurLeaf(node, number, more=segment if number < 3 else "", vnis=VNIS) for number, node in enumerate(nodes, 1)
        ]
        self.reflector = FrrReflector(join(lab, underlay, "reflector", REFLECTOR), [address(one) for one in (1, 2, 3)])

    def start(self) -> None:
        self.reflector.start()
        for leaf in self.leaves:
            leaf.start()

    def vnis(self, number: int) -> list[tuple[int, list[str]]]:
        """Return the VNIs of the segment at a leaf whose port forwards, with the other VTEPs of the segment."""
        own = self.leaves[number - 1].vtep.told("segments", "--esi", ESI)["own"]
        return [(vni["vni"], one["vteps"]) for one in own if one["state"] == "forwarding" for vni in one["vnis"]]

    def type_1(self) -> set[tuple[str, str]]:
        """Return (VTEP, RT) of the reflector's Type-1 routes per EVI."""
        found, vtep, per_evi = set(), "", False
        for line in self.reflector.frr.vtysh("show bgp l2vpn evpn route type ead").splitlines():
            if route := re.search(r"\[1\]:\[(\d+)\]", line):
                vtep, per_evi = "", route[1] == "0"
            elif not vtep and (hop := re.match(r"\s+(\d+\.\d+\.\d+\.\d+)", line)):
                vtep = hop[1]
            elif per_evi:
                found |= {(vtep, target) for target in re.findall(r"RT:(\S+)", line)}
        return found

    def at(self, number: int, device: str) -> set[int]:
        """Return the VLANs in which the bridge of a leaf has the machine's MAC at a port."""
        rows = overlay.fdb(self.leaves[number - 1].node, device)
        return {row["vlan"] for row in rows if row["mac"] == CE_MAC and "master" in row and "vlan" in row}

    def groups(self, number: int) -> dict[int, list[str]]:
        """Return the VTEPs of the segment by VNI, where a leaf has the MAC's VXLAN row by a group."""
        leaf = self.leaves[number - 1]
        by_group = {
            vni
            for vlan, vni in VLANS.items()
            for row in overlay.fdb(leaf.node, f"vx{vlan}")
            if row["mac"] == CE_MAC and "nhid" in row
        }
        told = leaf.vtep.told("segments", "--esi", ESI)["segments"]
        return {one["vni"]: one["vteps"] for one in told if one["vni"] in by_group}

    def arrives(self, station: VlanStation) -> list[str]:
        """Return where the machine gets a frame that a station sends to its MAC."""
        frame = loopback_frame(station.mac, CE_MAC)
        links = {self._listen(name): name for name in ("c1.10", "c1.20", "c2.10", "c2.20")}
        try:
            with station.node.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind(("eth0", 0))
                raw.send(frame)
            found = []
            while ready := select.select(list(links), (), (), 0.1 * PATIENCE)[0]:
                for one in ready:
                    with suppress(OSError):  # the link is down
                        got, sender = one.recvfrom(2048)
                        if got == frame and sender[2] != socket.PACKET_OUTGOING:
                            found.append(links[one])
            return found
        finally:
            for one in links:
                one.close()

    def _listen(self, name: str) -> socket.socket:
        found = self.machine.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_LOOPBACK))
        found.bind((name, _LOOPBACK))
        return found


def trunk(leaf: Node, machine: Node, name: str) -> None:
    """Make a link from the machine to the port of the segment, with each VLAN tagged."""
    leaf.ip(f"link add name es0 type veth peer name {name} netns {machine.pid}", "link set dev es0 master br0 up")
    bridge(leaf, "vlan del dev es0 vid 1", *(f"vlan add dev es0 vid {vlan}" for vlan in VLANS))
    machine.ip(
        f"link set dev {name} up",
        *(f"link add link {name} name {name}.{vlan} up type vlan id {vlan}" for vlan in VLANS),
    )


def in_both(*vteps: str) -> dict[int, list[str]]:
    """Return the same VTEPs for each of the two VNIs."""
    return {vni: [*vteps] for vni in VLANS.values()}


def _filters(node: Node) -> bool:
    try:
        need_filters(node)
    except Missing:
        return False
    return True


def test_a_port_with_two_vlans_is_on_its_segment_in_each_of_them(lab: Lab) -> None:
    with skipped_if_missing():
        network = TrunkHomed(lab)
    network.start()
    both = sorted(VLANS.values())
    wait_until(lambda: sorted(network.vnis(1)) == [(vni, [B]) for vni in both], 30, "the segment at leaf 1")
    wait_until(lambda: sorted(network.vnis(2)) == [(vni, [A]) for vni in both], 30, "the segment at leaf 2")
    per_evi = {(vtep, f"65000:{vni}") for vtep in (A, B) for vni in both}
    wait_until(lambda: network.type_1() == per_evi, 20, "a Type-1 route for each VNI of the port")

    # The machine speaks in one VLAN: the other leaf has the MAC at its port in this one only.
    speak(network.machine, AT_C1)
    wait_until(lambda: network.at(2, "es0") == {10}, 20, "the MAC of VLAN 10 at leaf 2")
    wait_until(lambda: network.groups(3) == {1010: [A, B]}, 20, "the group of VLAN 10 at leaf 3")
    assert (network.at(1, "es0"), network.at(3, "vx10"), network.at(3, "vx20")) == ({10}, {10}, set())
    # The other way round in the other VLAN.
    speak(network.machine, "c2.20")
    wait_until(lambda: network.at(1, "es0") == {10, 20}, 20, "the MAC of VLAN 20 at leaf 1")
    wait_until(lambda: network.groups(3) == in_both(A, B), 20, "both groups at leaf 3")
    near, far = network.stations
    assert network.arrives(near) == [AT_C1]
    assert network.arrives(far) in ([AT_C1], [AT_C2])

    # A bridge port has one backup, and this one has two VXLAN devices to hand frames to: it gets none.
    for leaf in network.leaves[:2]:
        assert "backup_port" not in leaf.node.run("ip", "-d", "link", "show", "dev", "es0")
        assert leaf.vtep.told("diff")["differences"] == []

    network.machine.ip("link set dev c1 down")
    wait_until(lambda: network.groups(3) == in_both(B), 20, "leaf 1 has left both groups")
    wait_until(lambda: network.groups(1) == in_both(B), 20, "both ways from leaf 1 to leaf 2")
    found = (network.at(1, "vx10"), network.at(1, "vx20"), network.at(1, "es0"))
    assert found == ({10}, {20}, set())
    assert network.arrives(near) == network.arrives(far) == [AT_C2]

    network.machine.ip("link set dev c1 up")
    wait_until(
        lambda: network.at(1, "es0") == {10, 20}, 20, "both VLANs are back at the port, before the machine speaks"
    )
    wait_until(lambda: network.groups(3) == in_both(A, B), 20, "leaf 1 is in both groups again")
    assert network.arrives(near) == [AT_C1]
