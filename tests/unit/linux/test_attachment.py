"""Every reason against a VNI's devices is named, and all at once; what is not reported counts against them."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from vtep.addr import Ip, Vni
from vtep.config.model import Targets, VniConfig
from vtep.linux.attachment import CONDITIONS, NotReady, Ready, judge
from vtep.linux.devices import Bridge, BridgePort, Link, Links, Vxlan

LOCAL, ELSEWHERE = Ip.parse("10.0.0.99"), Ip.parse("10.0.0.98")
CONFIG = VniConfig(Vni(100), LOCAL, Targets(frozenset()), bridge="br100", vxlan="vxlan100")
BRIDGE = Link(2, "br100", "bridge", up=True, mtu=1500, bridge=Bridge(vlan_filtering=False, default_pvid=0))
PORT = BridgePort(learning=False, neigh_suppress=False, isolated=False, state=3)
TUNNEL = Vxlan(100, LOCAL, learning=False, external=False, udp_port=4789)
VXLAN = Link(3, "vxlan100", "vxlan", master=2, up=True, mtu=1500, vxlan=TUNNEL, bridge_port=PORT)
ACCESS = Link(4, "veth1", "veth", master=2, up=True, bridge_port=PORT)
PLAIN = Link(9, "eth0", up=True)


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
    Case("the bridge is none", bridge=replace(PLAIN, name="br100"), reasons=("not-a-bridge", "not-enslaved")),
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
    assert {condition.code for condition in CONDITIONS} == {reason for case in CASES for reason in case.reasons}


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
    (bridge(default_pvid=1), VXLAN, ("default-pvid:",)),
    (bridge(default_pvid=None), VXLAN, ()),
])  # fmt: skip
def test_ready_with_a_note(bridge_link: Link, vxlan_link: Link, words: tuple[str, ...]) -> None:
    verdict = judge(CONFIG, Links.of([bridge_link, vxlan_link]))

    assert isinstance(verdict, Ready)
    assert words == tuple(note.split()[0] for note in verdict.notes)
