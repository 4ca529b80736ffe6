"""A leaf with the layout that Proxmox VE's SDN writes, beside FRR: a plain bridge for each VNet, MTU 1450, an anycast gateway.

The VRF of the zone is there where the kernel has VRF devices.
"""

import pytest

from tests.lab import overlay
from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.namespaces import CommandFailed
from tests.lab.peers import Frr, frr_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, address, join, switch
from tests.lab.vtep import VTEP, Vtep
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from tests.system.test_observe import differences, installed

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

REMOTE = Instance(address(1))
MAC, HOST, STATIC = "02:00:00:00:00:01", "172.16.0.1", "02:00:00:00:00:02"
GATEWAY = "bc:24:11:00:00:01"


def vnet(node, vni, bridge, vxlan, mac):
    node.ip(
        f"link add name {bridge} address {mac} mtu 1450 type bridge",
        f"link add name {vxlan} mtu 1450 type vxlan id {vni} local {address(LEAF)} dstport 4789 nolearning",
        f"link set dev {vxlan} master {bridge} up",
        f"link set dev {vxlan} type bridge_slave learning off neigh_suppress on",
        f"link set dev {bridge} up",
    )


def layout(node):
    """Make the devices of one zone with one VNet, and return whether the zone has a VRF."""
    vnet(node, 100, "vnet1", "vxlan_vnet1", GATEWAY)
    node.ip(
        "link add name tap1 type veth peer name guest", "link set dev tap1 master vnet1 up", "link set dev guest up"
    )
    try:
        node.ip("link add name vrf_zone type vrf table 1001")
    except CommandFailed:
        return False
    vnet(node, 4001, "vrfbr_zone", "vrfvx_zone", "bc:24:11:00:00:02")
    node.ip("link set dev vrf_zone up", "link set dev vrfbr_zone master vrf_zone", "link set dev vnet1 master vrf_zone")
    return True


def test_the_layout_of_proxmox_is_in_sync_and_an_entry_that_frr_will_take_is_named(lab):
    with skipped_if_missing():
        underlay = switch(lab)
        leaf, remote = (join(lab, underlay, name, number) for name, number in (("leaf", LEAF), ("remote", 1)))
        has_vrf = layout(leaf)
        zebra = "vrf vrf_zone\n vni 4001\nexit-vrf\n" if has_vrf else ""
        frr = Frr(leaf, frr_config(address(LEAF), [address(1)]), zebra, bmp=True)
    leaf.ip("addr add 172.16.0.254/24 dev vnet1")
    with Speaker(remote, address(1)) as speaker:
        frr.start()
        speaker.wait_established()
        wait_until(lambda: frr.json("show bgp l2vpn evpn vni")["numL2Vnis"] == 1, 20, "the VNet in bgpd")
        leaf.run(str(VTEP), "init", "--observe", "--directory", "/run/made")
        frr.vtysh_file("/run/made/frr-bmp.conf")
        speaker.announce(REMOTE.flood(), REMOTE.mac(MAC, HOST), REMOTE.mac(STATIC))
        wait_until(lambda: overlay.neighbors(leaf, "vnet1").get(HOST) == MAC, 30, "zebra's neighbor row")
        written = leaf.path("/run/made/vtep.toml").read_text()
        vtep = Vtep(leaf, written)
        vtep.start()
        wait_until(lambda: vtep.told("status")["ready"] and differences(vtep) == {}, 40, "it is in sync")
        wait_until(lambda: installed(vtep) == (2, 1), 20, "both MACs and the flood row")

        # What an orchestrator does at the target of a live migration: an entry at the local port while the route is still there.
        entry = ("bridge", "fdb", "replace", STATIC, "dev", "tap1", "master", "static", "sticky")
        leaf.run(*entry)
        wait_until(lambda: differences(vtep) == {STATIC: "observed-different"}, 20, "the entry at the local port")
        told = " ".join(vtep.ask("explain", STATIC).stdout.split())
        speaker.announce(REMOTE.mac(STATIC, seq=9))
        wait_until(lambda: (STATIC, address(1)) in overlay.tunnels(leaf, "vxlan_vnet1"), 20, "FRR's row in its place")
        wait_until(lambda: STATIC not in leaf.run("bridge", "fdb", "show", "dev", "tap1"), 20, "the end of the entry")
        wait_until(lambda: differences(vtep) == {}, 20, "in sync with the route")
        speaker.withdraw(REMOTE.mac(STATIC))
        wait_until(lambda: STATIC not in leaf.run("bridge", "fdb", "show"), 20, "FRR removes the entry that it took")
        wait_until(lambda: differences(vtep) == {}, 20, "nothing differs")

    assert "the bridge has it at tap1" in told
    assert "FRR #21472" in told
    assert 'bridge = "vnet1"\nvxlan = "vxlan_vnet1"' in written
    assert ("vni = 4001" in written, "VNIs of VRFs: 4001" in written) == (False, has_vrf)
