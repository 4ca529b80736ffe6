"""What a VNI in a VLAN lacks is what `vtep explain` says of its MACs, with the command; and its other VNIs go on."""

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Ip
from vtep.linux.devices import Bridge, Vxlan
from vtep.linux.memory.kernel import MemoryKernel
from vtep.observe.source import MacQuery

PEER = "10.0.0.1"
MAC = "02:aa:00:00:00:01"
HEAD = f"""
[node]
vtep = "10.0.0.99"
[feed]
peers = ["{PEER}"]
"""


def config(*devices: str) -> str:
    """Return two VNIs, in VLAN 10 and in VLAN 20 of one bridge, with these VXLAN devices."""
    return HEAD + "".join(
        f'[[vni]]\nvni = {vlan * 10}\nbridge = "br0"\nvxlan = "{device}"\nvlan = {vlan}\nimport_rt = ["65000:{vlan * 10}"]\n'
        for vlan, device in zip((10, 20), devices, strict=True)
    )


ALONE, SHARED = config("vx10", "vx20"), config("vxlan0", "vxlan0")


@pytest.fixture
def leaf(request) -> Iterator[MemoryLeaf]:
    with MemoryLeaf(request.param) as leaf:
        leaf.come_up(PEER)
        leaf.receive(*(leaf.lines.announce(PEER, route(vni)) for vni in (100, 200)))
        yield leaf


def route(vni: int, ip: str = ""):
    return Instance(PEER, vni=vni, rd=f"{PEER}:{vni}", targets=(f"65000:{vni}",)).mac(MAC, ip)


def port(kernel: MemoryKernel, **fields) -> None:
    kernel.change("vxlan0", bridge_port=replace(kernel.links().by_name["vxlan0"].bridge_port, **fields))


def second_device(kernel: MemoryKernel) -> None:
    kernel.add_vxlan("vx99", 990, Ip.parse("10.0.0.99"), "br0")
    kernel.set_vlan("vx99", 10, pvid=True, untagged=True)


# fmt: off
BREAKS: dict[tuple[str, str], tuple[Callable[[MemoryKernel], object], str]] = {
    (ALONE, "vlan-filtering-off"): (lambda kernel: kernel.change("br0", bridge=Bridge(False, 0)),
                                    "ip link set dev br0 type bridge vlan_filtering 1"),
    (ALONE, "vlan-missing"): (lambda kernel: kernel.delete_vlan("vx10", 10), "without the last two words if the device is for many VNIs"),
    (ALONE, "wrong-pvid"): (lambda kernel: kernel.set_vlan("vx10", 10), "bridge vlan add dev vx10 vid 10 pvid untagged"),
    (ALONE, "second-vxlan-port"): (second_device, "or for each VLAN of a bridge"),
    (SHARED, "not-external"): (lambda kernel: kernel.change("vxlan0", vxlan=Vxlan(100, Ip.parse("10.0.0.99"), False, False, 4789)),
                               "Make it again with `external vnifilter`"),
    (SHARED, "vlan-missing"): (lambda kernel: kernel.delete_vlan("vxlan0", 10), "bridge vlan add dev vxlan0 vid 10"),
    (SHARED, "vlan-untagged"): (lambda kernel: kernel.set_vlan("vxlan0", 10, pvid=True, untagged=True, vni=100),
                                "bridge vlan add dev vxlan0 vid 10"),
    (SHARED, "vlan-tunnel-off"): (lambda kernel: port(kernel, vlan_tunnel=False), "bridge link set dev vxlan0 vlan_tunnel on"),
    (SHARED, "tunnel-mapping-missing"): (lambda kernel: kernel.set_vlan("vxlan0", 10), "bridge vlan add dev vxlan0 vid 10 tunnel_info id 100"),
    (SHARED, "wrong-tunnel-mapping"): (lambda kernel: kernel.set_vlan("vxlan0", 10, vni=300),
                                       "Remove that mapping, and map the VLAN to its VNI"),
    (SHARED, "vni-not-in-filter"): (lambda kernel: kernel.delete_vni("vxlan0", 100), "bridge vni add dev vxlan0 vni 100"),
}
# fmt: on
CONCERN_ALL = {"vlan-filtering-off", "not-external", "vlan-tunnel-off"}


@pytest.mark.parametrize(
    ("leaf", "code"),
    BREAKS,
    indirect=["leaf"],
    ids=[f"{'shared' if c is SHARED else 'alone'}-{code}" for c, code in BREAKS],
)
def test_the_cause_and_the_command_are_named(leaf: MemoryLeaf, code: str, request: pytest.FixtureRequest) -> None:
    breaks, command = BREAKS[request.node.callspec.params["leaf"], code]
    assert [leaf.explain(MAC, vni).vni_state for vni in (100, 200)] == ["ready", "ready"]

    breaks(leaf.kernel)
    leaf.survey()
    found = leaf.explain(MAC, 100)

    assert (found.vni_state, code in found.vni_reasons) == ("not-ready", True)
    assert command in found.advice
    assert (leaf.explain(MAC, 200).vni_state == "ready") == (code not in CONCERN_ALL)


@pytest.mark.parametrize("leaf", [SHARED], indirect=True, ids=["shared"])
def test_a_neighbor_row_that_its_vlan_cannot_have_says_why(leaf: MemoryLeaf) -> None:
    port(leaf.kernel, neigh_suppress=True)
    leaf.receive(*(leaf.lines.announce(PEER, route(vni, f"172.16.{vni}.1")) for vni in (100, 200)))
    leaf.survey()
    assert [row.sync.state for row in leaf.observer.neighbors(MacQuery(), None, 10).rows] == ["installed", "installed"]

    leaf.kernel.delete_link("br0.10")
    leaf.survey()

    rows = leaf.observer.neighbors(MacQuery(), None, 10).rows
    assert [(row.vni, row.sync.state, row.sync.reason) for row in rows] == [
        (100, "suppressed", "svi-missing"),
        (200, "installed", ""),
    ]
    assert "ip link add link br0 name br0.10 up type vlan id 10" in rows[0].sync.text
