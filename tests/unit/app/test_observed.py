"""`vtep init --observe`: the VNIs of a host and what FRR says of them become a configuration that the check accepts."""

import json

from vtep.addr import Ip
from vtep.app.observed import Said, configuration, frr_lines, said, vtep_of
from vtep.config.file import parse
from vtep.linux.devices import Bridge, Link, Links, PortVlan, Vxlan
from vtep.linux.inventory import Attached, found

OURS, OTHER = Ip.parse("10.0.0.1"), Ip.parse("10.0.0.2")
PLAIN = (
    Link(1, "br100", "bridge", bridge=Bridge()),
    Link(2, "vx100", "vxlan", master=1, vxlan=Vxlan(100, OURS)),
    Link(3, "swp1", master=1),
)
AWARE = (
    Link(4, "br0", "bridge", bridge=Bridge(vlan_filtering=True)),
    Link(5, "vx10", "vxlan", master=4, vxlan=Vxlan(10010, OTHER), vlans=(PortVlan(10, 10, pvid=True, untagged=True),)),
    Link(6, "vx0", "vxlan", master=4, vxlan=Vxlan(local=OURS, external=True), vlans=(PortVlan(20, 21, vni=10020),)),
)
ROUTED = (
    Link(7, "red", "vrf", table=1001),
    Link(8, "br4001", "bridge", master=7, bridge=Bridge()),
    Link(9, "vx4001", "vxlan", master=8, vxlan=Vxlan(4001, OURS)),
    Link(10, "vx7", "vxlan", vxlan=Vxlan(7, OURS)),
)


def vnis(*rows):
    return json.dumps({"numVnis": len(rows), **{str(row["vni"]): row for row in rows}})


def test_each_way_to_attach_a_vni_is_found_and_a_device_in_no_bridge_is_not():
    assert found(Links.of((*PLAIN, *AWARE, *ROUTED))) == [
        Attached(100, "br100", "vx100", OURS),
        Attached(4001, "br4001", "vx4001", OURS, in_vrf=True, vrf="red", svi="br4001"),
        Attached(10010, "br0", "vx10", OTHER, 10),
        Attached(10020, "br0", "vx0", OURS, 20),
        Attached(10021, "br0", "vx0", OURS, 21),
    ]


def test_an_automatic_target_of_frr_is_imported_from_any_as_and_a_configured_one_as_it_is():
    told = said(
        vnis(
            {"vni": 100, "type": "L2", "importRTs": ["60368:100"]},
            {"vni": 200, "type": "L2", "importRTs": ["65000:7", "nonsense"]},
            {"vni": 4001, "type": "L3", "importRTs": ["60368:4001"]},
        ),
        json.dumps({"as": 4_200_000_464, "peers": {"10.0.0.2": {}, "swp49": {}}}),
    )

    assert (told.asn, told.peers, told.of_vrfs) == (4_200_000_464, (OTHER,), {4001})
    assert (4_200_000_464 & 0xFFFF, told.targets[100], told.targets[200]) == (60368, ("*:100",), ("65000:7",))


def test_what_vtysh_does_not_say_is_nothing():
    assert said("", "") == said("[1]", '{"as": "x"}') == said("% Unknown", "") == Said()
    assert said("", '{"as": true, "peers": null}') == said("", '{"peers": 7}') == Said()


def test_the_configuration_is_one_that_the_check_accepts():
    everything = found(Links.of((*PLAIN, *AWARE, *ROUTED)))
    text = configuration(
        vtep_of(everything), everything, said(vnis({"vni": 100, "importRTs": ["65000:100"]}), '{"as": 65000}')
    )
    read = parse(text)

    assert (read.node.mode, read.feed.bmp) == ("observe", "127.0.0.1:11019")
    assert {(vni.vni, vni.bridge, vni.vxlan, vni.vlan) for vni in read.vnis} == {
        (100, "br100", "vx100", None), (10010, "br0", "vx10", 10), (10020, "br0", "vx0", 20), (10021, "br0", "vx0", 21),
    }  # fmt: skip
    assert [(vrf.name, vrf.vni, vrf.svi, vrf.vxlan) for vrf in read.vrfs] == [("red", 4001, "br4001", "vx4001")]
    assert 'import_rt = ["*:100"]' in text
    assert 'vtep = "10.0.0.2"' in text
    assert "router bgp 65000" in frr_lines(65000)


def test_a_vrf_is_named_as_zebra_has_it_and_one_that_no_one_knows_is_left_out():
    """With one VXLAN device for all VNIs only zebra says which VLAN is that of a VRF."""
    rows = [{"vni": 10020, "type": "L3", "importRTs": ["65000:10020"]}, {"vni": 10021, "type": "L3", "importRTs": []}]
    vrfs = {
        "vrfs": [{"vrf": "blue", "vni": 10020, "sviIntf": "vlan20"}, {"vrf": "none", "vni": 10021, "sviIntf": "None"}]
    }
    text = configuration(OURS, found(Links.of(AWARE)), said(vnis(*rows), '{"as": 65000}', json.dumps(vrfs)))
    read = parse(text)

    assert [(vrf.name, vrf.svi, vrf.bridge, vrf.vlan) for vrf in read.vrfs] == [("blue", "vlan20", "br0", 20)]
    assert [vni.vni for vni in read.vnis] == [10010]
    assert "not known: 10021" in text
    assert said("", "", '{"vrfs": 7}').vrfs == said("", "", '{"vrfs": [1, {"vni": "x"}]}').vrfs == {}
