"""Every reason against a VNI's devices is named, and all at once; what is not reported counts against them."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from vtep.addr import Ip, Mac, Vni
from vtep.config.model import Targets, VniConfig
from vtep.linux.attachment import Hosts, NotReady, Ready, access, judge, survey
from vtep.linux.conditions import PLAIN, SHARED, VLAN, VLAN_HOSTS, Condition
from vtep.linux.devices import Bridge, BridgePort, Link, Links, PortVlan, VniRange, Vxlan
from vtep.linux.wire.neighbor import AF_BRIDGE, NTF_SELF, Entry, FdbEvent, Half, Lookup, Verb
from vtep.linux.wire.tlv import AF_INET

LOCAL, ELSEWHERE = Ip.parse("10.0.0.99"), Ip.parse("10.0.0.98")
CONFIG = VniConfig(Vni(100), LOCAL, Targets(frozenset()), bridge="br100", vxlan="vxlan100")
BRIDGE = Link(2, "br100", "bridge", up=True, mtu=1500, bridge=Bridge(vlan_filtering=False, default_pvid=0))
PORT = BridgePort(learning=False, neigh_suppress=False, isolated=False, state=3)
TUNNEL = Vxlan(100, LOCAL, learning=False, external=False, udp_port=4789)
VXLAN = Link(3, "vxlan100", "vxlan", master=2, up=True, mtu=1500, vxlan=TUNNEL, bridge_port=PORT)
ACCESS = Link(4, "veth1", "veth", master=2, up=True, bridge_port=PORT)
ETH0 = Link(9, "eth0", up=True)


@dataclass(frozen=True)
class Case:
    name: str
    bridge: Link | None = BRIDGE
    vxlan: Link | None = VXLAN
    others: tuple[Link, ...] = (ACCESS,)
    reasons: tuple[str, ...] = ()


def bridge(**fields) -> Link:
    return replace(BRIDGE, bridge=replace(BRIDGE.bridge, **fields))


def vxlan(**fields) -> Link:
    return replace(VXLAN, vxlan=replace(TUNNEL, **fields))


def port(**fields) -> Link:
    return replace(VXLAN, bridge_port=replace(PORT, **fields))


# fmt: off
CASES = (
    Case("nothing is there", None, None, (), ("bridge-missing", "vxlan-missing")),
    Case("no bridge", bridge=None, reasons=("bridge-missing", "not-enslaved")),
    Case("no VXLAN device", vxlan=None, reasons=("vxlan-missing",)),
    Case("the bridge is none", bridge=replace(ETH0, name="br100"), reasons=("not-a-bridge", "not-enslaved")),
    Case("the VXLAN device is none", vxlan=replace(ACCESS, name="vxlan100"), reasons=("not-a-vxlan",)),
    Case("no master", vxlan=replace(VXLAN, master=None, bridge_port=None), reasons=("not-enslaved",)),
    Case("another master", vxlan=replace(VXLAN, master=77), reasons=("not-enslaved",)),
    Case("another VNI", vxlan=vxlan(vni=101), reasons=("wrong-vni",)),
    Case("VNI not reported", vxlan=vxlan(vni=None), reasons=("vni-unreported",)),
    Case("no local address", vxlan=vxlan(local=None), reasons=("local-address-missing",)),
    Case("another local address", vxlan=vxlan(local=ELSEWHERE), reasons=("wrong-local-address",)),
    Case("the device learns", vxlan=vxlan(learning=True), reasons=("learning-on-device",)),
    Case("device learning not reported", vxlan=vxlan(learning=None), reasons=("device-learning-unreported",)),
    Case("the port learns", vxlan=port(learning=True), reasons=("learning-on-port",)),
    Case("port learning not reported", vxlan=port(learning=None), reasons=("port-learning-unreported",)),
    Case("no port attributes at all", vxlan=replace(VXLAN, bridge_port=None), reasons=("port-learning-unreported",)),
    Case("one device for many VNIs", vxlan=vxlan(external=True), reasons=("external",)),
    Case("external not reported", vxlan=vxlan(external=None), reasons=("external-unreported",)),
    Case("two VXLAN ports", others=(replace(VXLAN, index=5, name="vxlan200"),), reasons=("second-vxlan-port",)),
    Case("VXLAN down", vxlan=replace(VXLAN, up=False), reasons=("device-down",)),
    Case("bridge down", bridge=replace(BRIDGE, up=False), reasons=("bridge-down",)),
    Case("VLAN-aware", bridge=bridge(vlan_filtering=True), reasons=("vlan-aware",)),
    Case("VLAN filtering not reported", bridge=bridge(vlan_filtering=None), reasons=("vlan-filtering-unreported",)),
    Case("everything at once", replace(bridge(vlan_filtering=True), up=False), replace(vxlan(vni=7, local=ELSEWHERE, learning=True), up=False, bridge_port=None),
         (replace(VXLAN, index=5, name="vxlan200"),),
         ("bridge-down", "vlan-aware", "device-down", "wrong-vni", "wrong-local-address", "learning-on-device", "port-learning-unreported", "second-vxlan-port")),
)
# fmt: on


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_not_ready_because(case: Case) -> None:
    links = Links.of(link for link in (case.bridge, case.vxlan, *case.others) if link)

    verdict = judge(CONFIG, links)

    assert isinstance(verdict, NotReady)
    assert (verdict.vni, verdict.reasons) == (100, case.reasons)


def test_every_condition_has_a_case() -> None:
    assert {condition.code for condition in PLAIN} == {reason for case in CASES for reason in case.reasons}


# fmt: off
SENTENCES = {
    "no bridge": ("there is no device br100, and VNI 100 needs it as its bridge", "ip link add br100 type bridge"),
    "no VXLAN device": ("there is no device vxlan100, and VNI 100 needs it as its VXLAN device",
                        "ip link add vxlan100 type vxlan id 100 local 10.0.0.99 dstport 4789 nolearning"),
    "the bridge is none": ("br100 is a physical device, and must be a bridge", "set `bridge` of VNI 100 to the name of a bridge"),
    "the VXLAN device is none": ("vxlan100 is a device of type veth, and must be a VXLAN device",
                                 "set `vxlan` of VNI 100 to the name of a VXLAN device"),
    "no master": ("vxlan100 is a port of no bridge, and must be a port of br100", "ip link set dev vxlan100 master br100"),
    "another master": ("vxlan100 is a port of device 77, and must be a port of br100", "ip link set dev vxlan100 master br100"),
    "another VNI": ("vxlan100 has VNI 101, and must have VNI 100",
                    "ip link del vxlan100; ip link add vxlan100 type vxlan id 100 local 10.0.0.99 dstport 4789 nolearning"),
    "VNI not reported": ("the kernel did not report the VNI of vxlan100, and it must be 100",
                         "report this with the output of: uname -r"),
    "no local address": ("vxlan100 has no local address, and must have 10.0.0.99",
                         "ip link set dev vxlan100 type vxlan id 100 local 10.0.0.99"),
    "another local address": ("vxlan100 has the local address 10.0.0.98, and must have 10.0.0.99",
                              "ip link set dev vxlan100 type vxlan id 100 local 10.0.0.99"),
    "the device learns": ("learning of the VXLAN device vxlan100 is on, and must be off",
                          "ip link set dev vxlan100 type vxlan id 100 nolearning"),
    "the port learns": ("learning of the bridge port vxlan100 is on, and must be off",
                        "bridge link set dev vxlan100 learning off"),
    "port learning not reported": ("the kernel did not report whether learning of the bridge port vxlan100 is on, and it must be off",
                                   "report this with the output of: uname -r"),
    "one device for many VNIs": ("external of vxlan100 is on, and must be off",
                                 "ip link del vxlan100; ip link add vxlan100 type vxlan id 100 local 10.0.0.99 dstport 4789 nolearning"),
    "two VXLAN ports": ("br100 has the VXLAN ports vxlan100 and vxlan200, and must have vxlan100 alone",
                        "ip link set dev vxlan200 nomaster"),
    "VXLAN down": ("vxlan100 is down, and must be up", "ip link set dev vxlan100 up"),
    "bridge down": ("br100 is down, and must be up", "ip link set dev br100 up"),
    "VLAN-aware": ("vlan_filtering of br100 is on, and must be off", "ip link set dev br100 type bridge vlan_filtering 0"),
}
# fmt: on


@pytest.mark.parametrize("name", SENTENCES)
def test_a_fault_says_what_is_there_what_is_needed_and_what_mends_it(name: str) -> None:
    case = next(case for case in CASES if case.name == name)

    verdict = judge(CONFIG, Links.of(link for link in (case.bridge, case.vxlan, *case.others) if link))

    assert isinstance(verdict, NotReady)
    assert SENTENCES[name] in [(fault.text, fault.mend) for fault in verdict.faults]


def test_ready_names_both_devices() -> None:
    assert Ready(100, 2, 3) == judge(CONFIG, Links.of([BRIDGE, VXLAN, ACCESS]))


def test_a_vxlan_port_of_another_bridge_is_no_second_port() -> None:
    links = Links.of([BRIDGE, VXLAN, replace(VXLAN, index=5, name="vxlan200", master=6)])

    assert isinstance(judge(CONFIG, links), Ready)


@pytest.mark.parametrize(("bridge_link", "vxlan_link", "words"), [
    (BRIDGE, replace(VXLAN, mtu=1450), ("mtu:",)),
    (BRIDGE, replace(VXLAN, vxlan=replace(TUNNEL, udp_port=8472)), ("dstport:",)),
    (bridge(default_pvid=1), VXLAN, ("default-pvid:",)),
    (bridge(default_pvid=None), VXLAN, ()),
])  # fmt: skip
def test_ready_with_a_note(bridge_link: Link, vxlan_link: Link, words: tuple[str, ...]) -> None:
    verdict = judge(CONFIG, Links.of([bridge_link, vxlan_link]))

    assert isinstance(verdict, Ready)
    assert words == tuple(note.split()[0] for note in verdict.notes)


@pytest.mark.parametrize(
    ("vrf", "makes", "disabled", "noted"),
    [
        ("blue", False, False, True),
        ("blue", True, False, False),
        ("blue", False, True, False),
        ("", False, False, False),
    ],
)
def test_a_gateway_without_a_link_local_address_is_noted(vrf: str, makes: bool, disabled: bool, noted: bool) -> None:
    svi = replace(BRIDGE, makes_link_local=makes, v6_disabled=disabled)

    verdict = judge(replace(CONFIG, vrf=vrf), Links.of([svi, VXLAN]))

    assert isinstance(verdict, Ready)
    assert any(note.startswith("no-link-local: br100 ") for note in verdict.notes) is noted


def test_a_device_with_proxy_is_noted_with_the_command_that_makes_it_again() -> None:
    verdict = judge(CONFIG, Links.of([BRIDGE, replace(VXLAN, vxlan=replace(VXLAN.vxlan, proxy=True))]))

    assert isinstance(verdict, Ready)
    [note] = [note for note in verdict.notes if note.startswith("nexthops-unsafe: ")]
    assert "has proxy on" in note
    assert f"(ip link del {CONFIG.vxlan}; ip link add {CONFIG.vxlan} type vxlan id {CONFIG.vni} " in note


# A VLAN of a bridge that filters VLANs, with a VXLAN device of its own and with a shared one

IN_VLAN = replace(CONFIG, vlan=10)
IN_SHARED = replace(IN_VLAN, shares_vxlan=True)
FILTERS = replace(BRIDGE, bridge=Bridge(vlan_filtering=True, default_pvid=0), vlans=(PortVlan(10, 10),))
NATIVE = PortVlan(10, 10, pvid=True, untagged=True)
ALONE = replace(VXLAN, vlans=(NATIVE,))
MAPPED = PortVlan(9, 11, vni=99)
FOR_MANY = replace(
    VXLAN,
    vxlan=replace(TUNNEL, vni=0, external=True, vni_filter=True),
    bridge_port=replace(PORT, vlan_tunnel=True),
    vlans=(MAPPED,),
    vnis=(VniRange(90, 110),),
)
SVI = Link(6, "br100.10", "vlan", below=2, up=True, vlan=10)
TRUNK = replace(ACCESS, vlans=(PortVlan(1, 1, True, True), PortVlan(10, 20)))


@dataclass(frozen=True)
class VlanCase:
    name: str
    vni: VniConfig
    bridge: Link
    vxlan: Link
    fault: tuple[str, str, str]


# fmt: off
VLAN_CASES = (
    VlanCase("filtering is off", IN_VLAN, BRIDGE, ALONE,
             ("vlan-filtering-off", "vlan_filtering of br100 is off, and must be on, because VNI 100 has `vlan`",
              "ip link set dev br100 type bridge vlan_filtering 1")),
    VlanCase("filtering is not reported", IN_VLAN, bridge(vlan_filtering=None), ALONE,
             ("vlan-filtering-unreported", "the kernel did not report whether vlan_filtering of br100 is on: it has no VLAN filtering",
              "use a kernel with CONFIG_BRIDGE_VLAN_FILTERING, or a bridge for each VNI")),
    VlanCase("the VLAN is not on the port", IN_VLAN, FILTERS, replace(ALONE, vlans=(PortVlan(1, 9, untagged=True), PortVlan(11, 4094))),
             ("vlan-missing", "vxlan100 does not have VLAN 10, and must have it as pvid untagged", "bridge vlan add dev vxlan100 vid 10 pvid untagged")),
    VlanCase("the VLAN is tagged", IN_VLAN, FILTERS, replace(ALONE, vlans=(PortVlan(10, 10),)),
             ("wrong-pvid", "VLAN 10 of vxlan100 is neither pvid nor untagged, and must be pvid untagged", "bridge vlan add dev vxlan100 vid 10 pvid untagged")),
    VlanCase("the VLAN leaves tagged", IN_VLAN, FILTERS, replace(ALONE, vlans=(PortVlan(10, 10, pvid=True),)),
             ("wrong-pvid", "VLAN 10 of vxlan100 is pvid and not untagged, and must be pvid untagged", "bridge vlan add dev vxlan100 vid 10 pvid untagged")),
    VlanCase("the shared device is for one VNI", IN_SHARED, FILTERS, replace(FOR_MANY, vxlan=TUNNEL),
             ("not-external", "vxlan100 is for one VNI, and must be external, because several VNIs have it",
              "ip link del vxlan100; ip link add vxlan100 type vxlan external vnifilter local 10.0.0.99 dstport 4789 nolearning")),
    VlanCase("the VLAN is not on the shared device", IN_VLAN, FILTERS, replace(FOR_MANY, vlans=()),
             ("vlan-missing", "vxlan100 does not have VLAN 10, and must have it", "bridge vlan add dev vxlan100 vid 10")),
    VlanCase("the VLAN is untagged on the shared device", IN_VLAN, FILTERS, replace(FOR_MANY, vlans=(replace(NATIVE, vni=100),)),
             ("vlan-untagged", "VLAN 10 of vxlan100 is pvid untagged, and must be tagged", "bridge vlan add dev vxlan100 vid 10")),
    VlanCase("vlan_tunnel is off", IN_VLAN, FILTERS, replace(FOR_MANY, bridge_port=PORT),
             ("vlan-tunnel-off", "vlan_tunnel of vxlan100 is off, and must be on; what was mapped is lost", "bridge link set dev vxlan100 vlan_tunnel on")),
    VlanCase("no mapping", IN_VLAN, FILTERS, replace(FOR_MANY, vlans=(PortVlan(10, 10),)),
             ("tunnel-mapping-missing", "VLAN 10 of vxlan100 is mapped to no VNI, and must be mapped to 100",
              "bridge vlan add dev vxlan100 vid 10 tunnel_info id 100")),
    VlanCase("the VNI is mapped to another VLAN", IN_VLAN, FILTERS, replace(FOR_MANY, vlans=(PortVlan(10, 10), PortVlan(20, 20, vni=100))),
             ("tunnel-mapping-missing", "VLAN 10 of vxlan100 is mapped to no VNI, and must be mapped to 100; VLAN 20 is mapped to that VNI",
              "bridge vlan del dev vxlan100 vid 20 tunnel_info id 100; bridge vlan add dev vxlan100 vid 10 tunnel_info id 100")),
    VlanCase("the VLAN is mapped to another VNI", IN_VLAN, FILTERS, replace(FOR_MANY, vlans=(PortVlan(10, 10, vni=200),)),
             ("wrong-tunnel-mapping", "VLAN 10 of vxlan100 is mapped to VNI 200, and must be mapped to 100",
              "bridge vlan del dev vxlan100 vid 10 tunnel_info id 200; bridge vlan add dev vxlan100 vid 10 tunnel_info id 100")),
    VlanCase("the VNI is not in the filter", IN_VLAN, FILTERS, replace(FOR_MANY, vnis=(VniRange(1, 99), VniRange(101, 200))),
             ("vni-not-in-filter", "VNI 100 is not in the filter of vxlan100", "bridge vni add dev vxlan100 vni 100")),
    VlanCase("the local address of the shared device", IN_VLAN, FILTERS, replace(FOR_MANY, vxlan=replace(FOR_MANY.vxlan, local=ELSEWHERE)),
             ("wrong-local-address", "vxlan100 has the local address 10.0.0.98, and must have 10.0.0.99",
              "ip link set dev vxlan100 type vxlan id 0 local 10.0.0.99")),
)
# fmt: on


@pytest.mark.parametrize("case", VLAN_CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_vlan_is_not_ready_because(case: VlanCase) -> None:
    verdict = judge(case.vni, Links.of([case.bridge, case.vxlan, TRUNK, SVI]))

    assert isinstance(verdict, NotReady)
    assert [(fault.code, fault.text, fault.mend) for fault in verdict.faults] == [case.fault]


def test_every_condition_of_a_vlan_has_a_case() -> None:
    def codes(*tables: tuple[Condition, ...]) -> set[str]:
        return {condition.code for table in tables for condition in table}

    tried = {case.fault[0] for case in VLAN_CASES} | {"second-vxlan-port"}
    assert codes(VLAN, SHARED) - codes(PLAIN) <= tried


def test_a_second_vxlan_device_counts_only_in_the_same_vlan() -> None:
    second = replace(ALONE, index=5, name="vxlan200")
    other = replace(second, vlans=(PortVlan(20, 20, True, True),))

    verdict = judge(IN_VLAN, Links.of([FILTERS, ALONE, second, SVI]))

    assert isinstance(judge(IN_VLAN, Links.of([FILTERS, ALONE, other, SVI])), Ready)
    assert isinstance(judge(IN_VLAN, Links.of([FILTERS, ALONE, replace(second, up=False), SVI])), Ready)
    assert isinstance(verdict, NotReady)
    assert [(fault.code, fault.mend) for fault in verdict.faults] == [
        ("second-vxlan-port", "bridge vlan del dev vxlan200 vid 10")
    ]


def test_a_vlan_that_is_ready_names_its_vlan_its_source_vni_and_its_own_device() -> None:
    alone, shared = (judge(IN_VLAN, Links.of([FILTERS, device, SVI])) for device in (ALONE, FOR_MANY))

    assert (alone, shared) == (Ready(100, 2, 3, vlan=10, svi=6), Ready(100, 2, 3, vlan=10, src_vni=100, svi=6))


M = Mac.parse("02:00:00:00:00:0a")


def test_messages_and_lookups_name_the_vlan_for_the_bridge_and_the_source_vni_for_vxlan() -> None:
    ready = Ready(100, 2, 3, vlan=10, src_vni=100, svi=6)

    both, bridge_half, vxlan_half = (ready.fdb_message(Verb.DELETE, M, flags, 0) for flags in (6, 4, 2))

    assert [(one.vlan, one.src_vni) for one in (both, bridge_half, vxlan_half)] == [(10, 100), (10, None), (None, 100)]
    assert ready.lookups(M) == (Lookup(3, M, Half.BRIDGE, 10), Lookup(3, M, Half.VXLAN, None, 100))
    assert ready.host_message(Verb.REPLACE, LOCAL, M, 0, 0, 0).port == 6


def two_vnis(device: Link) -> Links:
    """VNI 100 in VLAN 10 and VNI 200 in VLAN 20 of one bridge, with one VXLAN device."""
    both = (PortVlan(10, 10, vni=100), PortVlan(20, 20, vni=200))
    return Links.of(
        [
            FILTERS,
            replace(device, vlans=both, vnis=(VniRange(100, 200),)),
            TRUNK,
            SVI,
            replace(SVI, index=7, name="br100.20", vlan=20),
        ]
    )


SECOND = replace(IN_SHARED, vni=Vni(200), vlan=20)
SUPPRESSES = replace(FOR_MANY, bridge_port=replace(FOR_MANY.bridge_port, neigh_suppress=True))


def test_an_entry_of_shared_devices_belongs_to_the_vni_of_its_vlan_or_its_source_vni() -> None:
    found = survey([IN_SHARED, SECOND], two_vnis(SUPPRESSES)).ready
    entries = {
        Entry(3, 2, M, 0x10, 2, vlan=10): 100,
        Entry(3, 2, M, 0x10, 2, vlan=20): 200,
        Entry(3, 2, M, 0x10, 2): None,
        Entry(3, 2, M, 0x10, 2, vlan=30): None,
        Entry(3, None, M, NTF_SELF, 2, src_vni=100): 100,
        Entry(3, None, M, NTF_SELF, 2, src_vni=200): 200,
        Entry(3, None, M, NTF_SELF, 2, src_vni=300): None,
        Entry(3, None, M, NTF_SELF, 2): None,
        Entry(6, None, M, 0, 2, family=AF_INET, ip=LOCAL): 100,
        Entry(7, None, M, 0, 2, family=AF_INET, ip=LOCAL): 200,
        Entry(2, None, M, 0, 2, family=AF_INET, ip=LOCAL): None,
    }  # fmt: skip

    owned = {entry: int(vni) for vni, entry in found.owned(entries)}

    assert owned == {entry: vni for entry, vni in entries.items() if vni is not None}
    assert {entry.family for entry in entries} == {AF_BRIDGE, AF_INET}


def test_an_event_of_shared_devices_belongs_to_the_vni_of_its_vlan_or_its_source_vni() -> None:
    found = survey([IN_SHARED, SECOND], two_vnis(FOR_MANY)).ready

    assert found.keys_of_events([FdbEvent(4, M, 10)]) == {(100, M)}
    assert found.keys_of_events([FdbEvent(3, M, 20)]) == {(200, M)}
    assert found.keys_of_events([FdbEvent(3, M, None, 200)]) == {(200, M)}
    assert found.keys_of_events([FdbEvent(4, M), FdbEvent(3, M), FdbEvent(4, M, 30)]) == set()


# fmt: off
HOST_CASES = {
    "neigh-suppress-off": (FOR_MANY, (SVI,)),
    "neigh-suppress-off-in-vlan": (replace(SUPPRESSES, bridge_port=replace(SUPPRESSES.bridge_port, neigh_vlan_suppress=True)), (SVI,)),
    "svi-missing": (SUPPRESSES, (replace(SVI, vlan=20),)),
    "svi-down": (SUPPRESSES, (replace(SVI, up=False),)),
}
# fmt: on


@pytest.mark.parametrize("code", HOST_CASES)
def test_the_hosts_of_a_vlan_have_no_rows_because(code: str) -> None:
    device, others = HOST_CASES[code]

    found = survey([IN_VLAN], Links.of([FILTERS, device, *others]))

    assert Vni(100) in found.ready
    assert Hosts(100) not in found.ready
    assert found.unserved[Hosts(100)].code == code


def test_every_condition_of_the_hosts_of_a_vlan_has_a_case() -> None:
    assert {condition.code for condition in VLAN_HOSTS} == HOST_CASES.keys()


def test_a_vlan_may_say_by_itself_that_the_port_answers() -> None:
    port_of = replace(PORT, vlan_tunnel=True, neigh_vlan_suppress=True)
    device = replace(FOR_MANY, bridge_port=port_of, vlans=(replace(MAPPED, neigh_suppress=True),))

    assert Hosts(100) in survey([IN_VLAN], Links.of([FILTERS, device, SVI])).ready


def test_what_a_vlan_has_beside_it_is_noted() -> None:
    leaks = replace(ALONE, vlans=(PortVlan(1, 1, untagged=True), NATIVE))
    deaf = replace(FILTERS, vlans=())

    verdict = judge(IN_VLAN, Links.of([deaf, leaks, SVI]))

    assert isinstance(verdict, Ready)
    assert [note.split()[0] for note in verdict.notes] == ["other-vlans:", "svi-vlan:"]


def test_stations_of_a_vlan_are_at_the_ports_that_have_it() -> None:
    elsewhere = replace(ACCESS, index=5, name="veth2", vlans=(PortVlan(20, 20, True, True),))

    found = access(IN_VLAN, Links.of([FILTERS, ALONE, TRUNK, elsewhere, SVI]))

    assert found is not None
    assert (found.vlan, dict(found.ports), found.devices) == (10, {4: "veth1"}, {6})
    assert found.lookup(M) == Lookup(3, M, Half.BRIDGE, 10)
    assert [found.port_of(Entry(4, 2, M, 0, 2, vlan=vlan)) for vlan in (10, 20, None)] == ["veth1", None, None]
