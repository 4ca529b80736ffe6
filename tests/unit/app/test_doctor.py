"""`vtep doctor` finds what is unusual, and names the command that mends it."""

import pytest

from vtep.addr import Ip, Mac
from vtep.app import doctor
from vtep.config.file import parse
from vtep.linux.attachment import gateways_that_flood
from vtep.linux.devices import Links
from vtep.linux.findings import of_devices, of_others
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.wire.neighbor import Entry

LEAF = """[node]
vtep = "10.0.0.1"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""
ROUTED = (
    LEAF
    + """[[vrf]]
name = "blue"
vni = 4001
vxlan = "vxlan4001"
svi = "br4001"
import_rt = ["65000:4001"]
"""
)


def codes(findings):
    return [one.code for one in findings]


def test_devices_that_are_not_there_have_the_command_that_makes_them_or_the_plan_where_they_are_managed():
    by_hand = list(of_devices(parse(LEAF), Links.of(())))
    managed = list(of_devices(parse(LEAF.replace("[[vni]]", "manage = true\n[[vni]]")), Links.of(())))

    assert codes(by_hand) == codes(managed) == ["bridge-missing", "vxlan-missing"]
    assert by_hand[0].mend == "ip link add br100 type bridge"
    assert {one.mend for one in managed} == {"vtep devices plan"}


def test_a_leaf_in_order_has_no_finding_of_its_devices_and_a_vxlan_device_beside_it_has_one():
    kernel, found = MemoryKernel(), parse(LEAF)
    kernel.add_devices_of(found.vnis[0])
    port = kernel.links().by_name["vxlan100"].bridge_port
    kernel.change("vxlan100", bridge_port=type(port)(learning=False, neigh_suppress=True, isolated=False, state=3))
    assert codes(of_devices(found, kernel.links())) == []
    kernel.add_vxlan("vxlan7", 7, Ip.parse("10.0.0.1"))

    (one,) = of_others(found, kernel.links())

    assert (one.code, "VNI 7" in one.text, one.mend) == (
        "vxlan-unknown",
        True,
        "add a [[vni]] for it, or: ip link del vxlan7",
    )


def test_what_keeps_neighbor_rows_away_is_one_finding_with_its_code():
    kernel, found = MemoryKernel(), parse(LEAF)
    kernel.add_devices_of(found.vnis[0])
    port = kernel.links().by_name["vxlan100"].bridge_port
    kernel.change("vxlan100", bridge_port=type(port)(learning=False, neigh_suppress=False, isolated=False, state=3))

    assert codes(of_devices(found, kernel.links())) == ["neigh-suppress-off"]


@pytest.mark.parametrize(
    ("running", "text", "found"),
    [
        ({"zebra", "bgpd"}, LEAF, ["other-daemon"]),
        ({"systemd-network"}, LEAF, []),
        ({"systemd-network"}, ROUTED, ["networkd-removes", "networkd-removes"]),
        ({"NetworkManager"}, LEAF, ["networkmanager"]),
        ({"exabgp"}, ROUTED, []),
    ],
)
def test_programs_that_write_or_remove_the_same_are_found(running, text, found, tmp_path):
    assert codes(doctor.of_programs(frozenset(running), parse(text), tmp_path)) == found


def test_networkd_and_networkmanager_that_leave_us_alone_are_no_finding(tmp_path):
    for name, text in (
        ("systemd/networkd.conf.d/a.conf", "[Network]\nManageForeignRoutes = no\nManageForeignNextHops=no\n"),
        ("NetworkManager/conf.d/a.conf", "[keyfile]\nunmanaged-devices=interface-name:br100\n"),
    ):
        file = tmp_path / "etc" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)

    both = frozenset({"systemd-network", "NetworkManager"})

    assert codes(doctor.of_programs(both, parse(ROUTED), tmp_path)) == []


@pytest.mark.parametrize(
    ("devices", "found"),
    [
        ("interface-name:br1001;interface-name:vxbr100", ["networkmanager"]),
        ("*,except:interface-name:eth0", []),
        ("interface-name:br*", []),
        ("interface-name:=br100", []),
        ("type:bridge", []),
    ],
)
def test_a_file_of_networkmanager_is_about_the_bridges_that_it_names(devices, found, tmp_path):
    file = tmp_path / "etc/NetworkManager/conf.d/a.conf"
    file.parent.mkdir(parents=True)
    file.write_text(f"[keyfile]\nunmanaged-devices={devices}\n")

    assert codes(doctor.of_programs(frozenset({"NetworkManager"}), parse(LEAF), tmp_path)) == found


def test_a_gateway_whose_mac_its_bridge_does_not_know_is_flooded_to():
    found = parse(LEAF.replace('vxlan = "vxlan100"', 'vxlan = "vxlan100"\nvlan = 10'))
    kernel = MemoryKernel()
    kernel.add_devices_of(found.vnis[0])
    mac = Mac.parse("02:00:00:00:ff:fe")
    kernel.set_mac("br100.10", mac)
    links = kernel.links()
    bridge = links.by_name["br100"].index

    ((_, mend),) = gateways_that_flood(found.vnis, links, [])

    assert mend == f"bridge fdb add {mac} dev br100 vlan 10 self local"
    own = Entry(bridge, bridge, mac, 0, 0x80, vlan=10)
    assert list(gateways_that_flood(found.vnis, links, [own])) == []
