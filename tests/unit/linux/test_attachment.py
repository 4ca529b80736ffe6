"""Every reason against a VNI's devices is named, and all at once; what is not reported counts against them."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from vtep.addr import Ip
from vtep.linux.attachment import NotReady, Ready, judge
from vtep.linux.wire.link import Bridge, BridgePort, Link, Links, Vxlan

LOCAL, ELSEWHERE = Ip.parse("10.0.0.99"), Ip.parse("10.0.0.98")
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

    assert NotReady(100, case.reasons) == judge(100, "br100", "vxlan100", LOCAL, links)


def test_ready_names_both_devices() -> None:
    assert Ready(100, 2, 3) == judge(100, "br100", "vxlan100", LOCAL, Links.of([BRIDGE, VXLAN, ACCESS]))


def test_any_local_address_will_do_where_none_is_expected() -> None:
    links = Links.of([BRIDGE, vxlan(local=ELSEWHERE)])

    assert Ready(100, 2, 3) == judge(100, "br100", "vxlan100", None, links)


def test_a_vxlan_port_of_another_bridge_is_no_second_port() -> None:
    links = Links.of([BRIDGE, VXLAN, replace(VXLAN, index=5, name="vxlan200", master=6)])

    assert isinstance(judge(100, "br100", "vxlan100", LOCAL, links), Ready)


@pytest.mark.parametrize(("bridge_link", "vxlan_link", "words"), [
    (BRIDGE, replace(VXLAN, mtu=1450), ("mtu:",)),
    (bridge(default_pvid=1), VXLAN, ("default-pvid:",)),
    (bridge(default_pvid=None), VXLAN, ()),
])  # fmt: skip
def test_ready_with_a_note(bridge_link: Link, vxlan_link: Link, words: tuple[str, ...]) -> None:
    verdict = judge(100, "br100", "vxlan100", LOCAL, Links.of([bridge_link, vxlan_link]))

    assert isinstance(verdict, Ready)
    assert words == tuple(note.split()[0] for note in verdict.notes)
