"""One VXLAN device for all VNIs, on whatever deploys evpn-vlans.clab.yml: what FRR's own topotest asserts, with our leaf as PE2.

The topotest is bgp_evpn_vxlan_svd_topo1 of FRR; each test here names those of it whose assertions it makes. What it asks of PE2 by
`vtysh` is asked here of our leaf by `vtep`, and of its kernel by `bridge` and `ip`.
"""

import json
from typing import Any

import pytest

from tests.interop.scene import Scene
from tests.lab import overlay, probe
from tests.lab.wait import wait_until

LAB = "evpn-svd"

pytestmark = pytest.mark.root_netns
scenario = pytest.mark.scenario

LEAF, FRR = "10.0.0.99", "10.0.0.1"
HOST1, HOST99 = ("02:00:00:00:00:01", "10.10.1.55"), ("02:00:00:00:00:99", "10.10.1.56")
SVI_MAC = "02:00:00:00:ff:99"
"""The MAC of our bridge and its VLANs' devices: gateway and Router's MAC."""
OUR_PREFIX = "[5]:[0]:[32]:[4.4.4.1]"
HOSTS = {"host99": "10.10.1.56", "host1": "10.10.1.55", "host98": "10.10.20.98", "host2": "10.10.20.2"}
STATIC = {"10.27.7.0/24", "10.27.7.22/32", "10.27.7.8/30"}


def frr(scene: Scene, command: str) -> Any:
    return json.loads(scene.vtysh("frr1", f"{command} json"))


def needs_a_single_device(scene: Scene) -> None:
    """Skip what FRR can since it knows a single VXLAN device (8.5)."""
    if scene.machines["frr1"].shell("ip link show dev vxlan0 || true") == "":
        pytest.skip("this FRR knows no single VXLAN device")


def flood(scene: Scene, machine: str, device: str) -> str:
    return scene.machines[machine].shell(f"bridge fdb get {overlay.FLOOD_MAC} dev {device} vni 101 self 2>&1 || true")


def rows(scene: Scene) -> set[tuple[str, int, str]]:
    """Return (MAC, source VNI, VTEP) of the rows of our leaf's VXLAN device."""
    return {
        (row["mac"], row.get("src_vni", 0), row["dst"]) for row in overlay.fdb(scene.leaf, "vxlan0") if "dst" in row
    }


def macs(scene: Scene, *, whose: str = "macs") -> set[str]:
    """Return the remote MACs of VNI 101, or the MACs of its stations."""
    return {row["mac"] for row in scene.vtep("macs", "--vni", "101", "--all")[whose]}


def routes(scene: Scene, table: str, protocol: str) -> set[str]:
    """Return the prefixes in a routing table of our leaf that a program wrote."""
    shown = json.loads(scene.leaf.run("ip", "-j", "route", "show", "table", table, "proto", protocol) or "[]")
    return {route["dst"] for route in shown}


def of_mac(scene: Scene, mac: str) -> dict[str, Any]:
    """Return what FRR has of a MAC in VNI 101."""
    return dict(frr(scene, f"show evpn mac vni 101 mac {mac}").get(mac, {}))


def prefixes(scene: Scene, distinguisher: str) -> dict[str, Any]:
    """Return FRR's Type-5 routes with a Route Distinguisher that begins so, by their names there, with the path."""
    tables = frr(scene, "show bgp l2vpn evpn route type prefix")
    return {
        name: entry["paths"][0][0]
        for key, table in tables.items()
        if key.startswith(distinguisher)
        for name, entry in table.items()
        if isinstance(entry, dict)
    }


def converge(scene: Scene) -> None:
    """Have each host reach the other one in its VLAN, so that both leaves have learned both."""
    wait_until(lambda: (overlay.FLOOD_MAC, 101, FRR) in rows(scene), 60, "a flood row for FRR")
    for one, other in (("host1", "host99"), ("host99", "host1"), ("host98", "host2"), ("host2", "host98")):
        assert probe.ping(scene.machines[one], HOSTS[other], 20) is not None, (one, other)


@scenario("S16", "S2", "S6")
def test_pe1_converge_evpn(vlans: Scene) -> None:
    """FRR has VNI 101 with our leaf as its only remote VTEP, both hosts' MACs, and a flood entry."""
    converge(vlans)
    vni = frr(vlans, "show evpn vni 101")
    device = vni["vxlanInterface"]
    assert (vni["vni"], vni["type"], vni["vtepIp"], vni["mcastGroup"]) == (101, "L2", FRR, "0.0.0.0")
    assert vni["advertiseGatewayMacip"] == "No"
    wait_until(lambda: LEAF in vlans.vtysh("frr1", "show evpn vni 101"), 30, "our leaf as FRR's remote VTEP")
    wait_until(
        lambda: {HOST1[0], HOST99[0]} <= set(frr(vlans, "show evpn mac vni 101")["macs"]), 30, "both MACs at FRR"
    )
    wait_until(lambda: LEAF in flood(vlans, "frr1", device), 30, "FRR's flood entry")


@scenario("S16", "S2", "S3", "S6")
def test_pe2_converge_evpn(vlans: Scene) -> None:
    """Our leaf has VNI 101 on the shared device with FRR as its only remote VTEP, both hosts' MACs, and a flood entry."""
    converge(vlans)
    (vni,) = (row for row in vlans.vtep("vnis")["vnis"] if row["vni"] == 101)
    assert {key: vni[key] for key in ("vxlan", "vtep", "state", "vteps")} == {
        "vxlan": "vxlan0", "vtep": LEAF, "state": "ready", "vteps": 1,
    }  # fmt: skip
    wait_until(
        lambda: HOST1[0] in macs(vlans) and HOST99[0] in macs(vlans, whose="stations"), 30, "both MACs at our leaf"
    )
    wait_until(lambda: FRR in flood(vlans, "leaf", "vxlan0"), 30, "our flood entry")


@scenario("S16", "S3")
def test_learning_pe1_and_pe2(vlans: Scene) -> None:
    """Each leaf has its own host's MAC as a local one."""
    converge(vlans)
    assert of_mac(vlans, HOST1[0])["type"] == "local"
    assert HOST99[0] in macs(vlans, whose="stations")


@scenario("S16", "S3")
def test_local_remote_mac_pe1_and_pe2(vlans: Scene) -> None:
    """What is local at one leaf is remote at the other, behind that leaf's address."""
    converge(vlans)
    wait_until(lambda: {(HOST1[0], 101, FRR), ("02:00:00:00:00:02", 1020, FRR)} <= rows(vlans), 30, "FRR's hosts here")
    wait_until(lambda: of_mac(vlans, HOST99[0]).get("remoteVtep") == LEAF, 30, "our host at FRR")
    local = {mac for mac, found in frr(vlans, "show evpn mac vni 101")["macs"].items() if found["type"] == "local"}
    wait_until(lambda: local == macs(vlans), 30, "FRR's local MACs as our remote ones, with the SVI's")
    assert {of_mac(vlans, mac)["remoteVtep"] for mac in macs(vlans, whose="stations") - {SVI_MAC}} == {LEAF}


@scenario("S16", "V1")
def test_ip_pe1_learn(vlans: Scene) -> None:
    """FRR learns its host's address, and our leaf has it as a remote one, with a neighbor row."""
    assert probe.ping(vlans.machines["host1"], "10.10.1.1", 20) is not None
    wait_until(lambda: HOST1[1] in of_mac(vlans, HOST1[0])["neighbors"].get("active", ()), 30, "the address at FRR")
    wait_until(lambda: overlay.neighbors(vlans.leaf, "vlan1").get(HOST1[1]) == HOST1[0], 30, "our neighbor row")
    assert (HOST1[1], HOST1[0]) in {
        (row["ip"], row["mac"]) for row in vlans.vtep("neighbors", "--vni", "101")["neighbors"]
    }


@scenario("S16", "V1")
def test_ip_pe2_learn(vlans: Scene) -> None:
    """Our leaf learns its host's address, and FRR has it as one of a remote MAC."""
    assert probe.ping(vlans.machines["host99"], "10.10.1.3", 20) is not None

    def addresses() -> list[str]:
        found = of_mac(vlans, HOST99[0]).get("neighbors", {})
        return [] if found == "none" else [*found.get("active", ()), *found.get("inactive", ())]

    wait_until(lambda: addresses() == [HOST99[1]], 30, "our host's address at FRR")
    assert of_mac(vlans, HOST99[0])["type"] == "remote"


@scenario("S16")
def test_dvni(vlans: Scene) -> None:
    """FRR imports our route of L3VNI 300 into a VRF whose own L3VNI is 100, and sends with VNI 300."""
    needs_a_single_device(vlans)
    wait_until(
        lambda: "300" in vlans.vtysh("frr1", "show ip route vrf red 4.4.4.1/32"), 30, "our prefix in FRR's VRF red"
    )
    wait_until(
        lambda: "300" in vlans.machines["frr1"].run("ip", "route", "show", "vrf", "red", "4.4.4.1/32"),
        30,
        "and in its kernel",
    )


@scenario("S16")
def test_pe_advertise_aggr_evpn_route(vlans: Scene) -> None:
    """FRR has our prefix as the topotest has PE2's; what FRR advertises is routed here, first each prefix, then the aggregate."""
    wait_until(lambda: OUR_PREFIX in prefixes(vlans, LEAF), 30, "our prefix at FRR")
    path = prefixes(vlans, LEAF)[OUR_PREFIX]
    expected = {
        "valid": True, "bestpath": True, "pathFrom": "internal", "routeType": 5, "ethTag": 0, "ipLen": 32, "ip": "4.4.4.1",
        "locPrf": 100, "weight": 0, "peerId": LEAF, "path": "",
    }  # fmt: skip
    assert expected.items() <= path.items()
    assert set(path["extendedCommunity"]["string"].split()) == {"RT:65000:300", "ET:8", f"Rmac:{SVI_MAC}"}
    assert [hop["ip"] for hop in path["nexthops"]] == [LEAF]
    wait_until(lambda: set(prefixes(vlans, f"{FRR}:")) == {_name(prefix) for prefix in STATIC}, 30, "FRR's prefixes")
    wait_until(
        lambda: routes(vlans, "1003", "229") == {prefix.removesuffix("/32") for prefix in STATIC}, 30, "routes here"
    )

    needs_a_single_device(vlans)  # 8.4 advertises what the aggregate should suppress
    purple = ("configure terminal", "router bgp 65000 vrf purple", "address-family ipv4 unicast")
    vlans.vtysh("frr1", *purple, "aggregate-address 10.27.0.0/16 summary-only")

    wait_until(lambda: set(prefixes(vlans, f"{FRR}:")) == {_name("10.27.0.0/16")}, 30, "the aggregate alone at FRR")
    wait_until(lambda: routes(vlans, "1003", "229") == {"10.27.0.0/16"}, 30, "the aggregate alone here")
    vlans.vtysh("frr1", *purple, "no aggregate-address 10.27.0.0/16")


def _name(prefix: str) -> str:
    """Return a prefix as FRR names its Type-5 route."""
    address, _, length = prefix.partition("/")
    return f"[5]:[0]:[{length}]:[{address}]"


@scenario("S16", "S11")
def test_a_vni_that_leaves_the_filter_is_named_and_comes_back(vlans: Scene) -> None:
    """Not of the topotest. FRR does not look at the filter."""
    converge(vlans)
    vlans.leaf.run("bridge", "vni", "delete", "dev", "vxlan0", "vni", "101")
    wait_until(lambda: "vni-not-in-filter" in vlans.leaf.run("vtep", "vnis", "-o", "json"), 20, "the reason")
    assert probe.ping(vlans.machines["host98"], HOSTS["host2"], 10) is not None
    assert probe.ping(vlans.machines["host99"], HOSTS["host1"], 1) is None

    vlans.leaf.run("bridge", "vni", "add", "dev", "vxlan0", "vni", "101")

    wait_until(lambda: "vni-not-in-filter" not in vlans.leaf.run("vtep", "vnis", "-o", "json"), 20, "its end")
    assert probe.ping(vlans.machines["host99"], HOSTS["host1"], 20) is not None
