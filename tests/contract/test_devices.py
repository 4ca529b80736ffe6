"""Devices that vtep makes and keeps: the same cases in memory and on the real kernel."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import pytest

from tests.contract.worlds import bridge, ip, own_namespace, wait_until, why_no_vlans
from vtep.addr import Ip, Mac
from vtep.app.templates import FirstLeaf, FirstVni, devices
from vtep.config.file import parse
from vtep.linux.attachment import survey
from vtep.linux.ledger import LedgerFile
from vtep.linux.managed.kernel import DeviceKernel
from vtep.linux.managed.kinds import MANAGED, Picture
from vtep.linux.managed.plan import plan
from vtep.linux.managed.target import DeviceTarget
from vtep.linux.managed.wish import wish
from vtep.linux.memory.kernel import Crashed, MemoryKernel
from vtep.linux.vrf import survey as survey_vrfs
from vtep.linux.wire.device import DeviceMessage, MacValue
from vtep.reconcile.engine import Engine
from vtep.reconcile.steps import run_to_end

BRIDGE, VXLAN = "br100", "vxlan100"
HERE = {"boot": "this", "namespace": "this"}


def configured(*vnis):
    """Return a configuration with these VNIs, each with a bridge and a VXLAN device of its own."""
    sections = (
        f'[[vni]]\nvni = {vni}\nbridge = "br{vni}"\nvxlan = "vxlan{vni}"\nimport_rt = ["65000:{vni}"]\n' for vni in vnis
    )
    return parse('[node]\nvtep = "10.0.0.1"\nmanage = true\n' + "".join(sections))


class Host:
    """A host, and what another hand may do to its devices."""

    def __init__(self, kernel, path):
        self.kernel = kernel
        self._path = path
        self.start(100)

    def start(self, *vnis, mtu=1500):
        """Begin a life of the daemon: with the claims of the one before."""
        self.wish = wish(configured(*vnis), mtu)
        self.ledger = LedgerFile(self._path, MANAGED, HERE)
        self.target = DeviceTarget(self.kernel, self.wish, self.ledger.claims("device"))
        self.engine = Engine(MANAGED, self.target, self.ledger)

    def want(self, *vnis, mtu=1500):
        self.want_file(configured(*vnis), mtu)

    def want_file(self, config, mtu=1500):
        self.wish = self.target.wish = wish(config, mtu)

    def keep(self, now=0.0):
        return run_to_end(self.engine.run(self.wish, now))

    def die(self):
        self.ledger.close()

    def link(self, name):
        return self.kernel.links().by_name.get(name)

    def plan(self):
        picture = Picture(*self.kernel.pictured())
        target = DeviceTarget(self.kernel, self.wish, {})
        return [(step.device, step.act, step.command) for step in plan(self.wish, target.attachments(), picture)]

    def steps(self):
        picture = Picture(*self.kernel.pictured())
        target = DeviceTarget(self.kernel, self.wish, {})
        steps = plan(self.wish, target.attachments(), picture)
        return [(step.device, step.act, step.text) for step in steps]

    def reasons(self):
        return {ref: (trouble.state, trouble.reason) for ref, trouble in self.engine.troubles.items()}


class MemoryHost(Host):
    def make_bridge(self, name):
        self.kernel.add_bridge(name)

    def make_vxlan(self, name, vni):
        self.kernel.add_vxlan(name, vni, Ip.parse("10.0.0.1"))

    def make_deaf_vxlan(self, name, vni):
        self.kernel.add_vxlan(name, vni, Ip.parse("fd00::1"))
        vxlan = msgspec.structs.replace(self.link(name).vxlan, takes_no_checksum=False)
        self.kernel.change(name, vxlan=vxlan)

    def set_alias(self, name, alias):
        self.kernel.change(name, alias=alias)

    def delete(self, name):
        self.kernel.delete_link(name)

    def free(self, name):
        self.kernel.set_master(name, None)

    def put_down(self, name):
        self.kernel.set_up(name, False)

    def set_mtu(self, name, mtu):
        self.kernel.change(name, mtu=mtu)

    def learn(self, name):
        link = self.link(name)
        self.kernel.change(
            name,
            vxlan=msgspec.structs.replace(link.vxlan, learning=True),
            bridge_port=msgspec.structs.replace(link.bridge_port, learning=True, neigh_suppress=False),
        )


class RealHost(Host):
    def make_bridge(self, name):
        ip(f"link add {name} type bridge")

    def make_vxlan(self, name, vni):
        ip(f"link add {name} type vxlan id {vni} local 10.0.0.1 dstport 4789")

    def make_deaf_vxlan(self, name, vni):
        ip(f"link add {name} type vxlan id {vni} local fd00::1 dstport 4789")

    def set_alias(self, name, alias):
        ip(f"link set {name} alias {alias}" if alias else f"link set {name} alias ''")

    def delete(self, name):
        ip(f"link del {name}")

    def free(self, name):
        ip(f"link set {name} nomaster")

    def put_down(self, name):
        ip(f"link set {name} down")

    def set_mtu(self, name, mtu):
        ip(f"link set {name} mtu {mtu}")

    def learn(self, name):
        ip(f"link set {name} type vxlan id 100 learning")
        ip(f"link set {name} type bridge_slave learning on neigh_suppress off")


@contextmanager
def memory_host(path) -> Iterator[MemoryHost]:
    yield MemoryHost(MemoryKernel(), path)


@contextmanager
def real_host(path) -> Iterator[RealHost]:
    with own_namespace(), DeviceKernel() as kernel:
        yield RealHost(kernel, path)


@pytest.fixture(params=["memory", pytest.param("namespace", marks=pytest.mark.root_netns)])
def host(request, tmp_path, namespace_refused):
    if request.param == "namespace" and namespace_refused:
        pytest.skip(namespace_refused)
    with {"memory": memory_host, "namespace": real_host}[request.param](tmp_path / "devices") as host:
        yield host


def test_a_bridge_and_a_vxlan_device_are_made_from_nothing_and_then_left_alone(host):
    assert host.plan()[:2] == [
        (BRIDGE, "make", "ip link add br100 mtu 1450 type bridge vlan_default_pvid 0 mcast_snooping 0"),
        (
            VXLAN,
            "make",
            "ip link add vxlan100 mtu 1450 type vxlan id 100 dstport 4789 local 10.0.0.1 nolearning",
        ),
    ]

    made, again = host.keep(), host.keep(1.0)

    device, bridge = host.link(VXLAN), host.link(BRIDGE)
    assert (device.vxlan.vni, device.vxlan.local, device.vxlan.learning) == (100, Ip.parse("10.0.0.1"), False)
    assert (device.master, device.mtu, device.up, bridge.up) == (bridge.index, 1450, True, True)
    assert (device.bridge_port.learning, device.bridge_port.neigh_suppress) == (False, True)
    assert (device.alias, bridge.alias) == ("vtep", "vtep")
    assert made.converged
    assert (again.applied, again.converged, host.plan()) == (0, True, [])


def test_what_another_hand_changes_is_set_back_and_nothing_else_is_sent(host):
    host.keep()
    host.learn(VXLAN)

    report = host.keep(1.0)

    device = host.link(VXLAN)
    assert device.vxlan.learning is False
    assert (device.bridge_port.learning, device.bridge_port.neigh_suppress) == (False, True)
    assert (report.repaired, report.applied) == (3, 3)


def test_the_mtu_of_a_port_is_set_back_and_that_of_the_bridge_which_followed_it(host):
    host.keep()
    host.set_mtu(VXLAN, 1400)

    host.keep(1.0)

    assert (host.link(BRIDGE).mtu, host.link(VXLAN).mtu) == (1450, 1450)


def test_a_device_that_left_its_bridge_joins_it_again_with_the_flags_of_its_port(host):
    host.keep()
    host.free(VXLAN)
    host.put_down(VXLAN)

    host.keep(1.0)

    device = host.link(VXLAN)
    assert (device.master, device.up) == (host.link(BRIDGE).index, True)
    assert (device.bridge_port.learning, device.bridge_port.neigh_suppress) == (False, True)


@pytest.mark.parametrize("name", [BRIDGE, VXLAN])
def test_a_device_that_is_deleted_is_made_again(host, name):
    host.keep()
    host.delete(name)

    host.keep(1.0)

    assert host.link(VXLAN).master == host.link(BRIDGE).index
    assert host.plan() == []


def test_a_device_of_another_program_is_neither_changed_nor_given_a_port(host):
    host.make_bridge(BRIDGE)
    before = host.link(BRIDGE)

    host.keep()

    assert host.link(BRIDGE) == before
    assert host.link(VXLAN).master is None
    assert host.reasons()["device", (BRIDGE,)] == ("contested", "device-not-ours")
    assert (BRIDGE, "adopt", "vtep devices adopt br100") in host.plan()


def test_a_device_that_loses_its_mark_is_anothers_from_then_on(host):
    host.keep()
    host.set_alias(VXLAN, "")
    host.set_mtu(VXLAN, 1300)

    host.keep(1.0)

    assert host.link(VXLAN).mtu == 1300
    assert host.reasons()["device", (VXLAN,)] == ("contested", "device-not-ours")


def test_a_device_that_is_handed_over_is_kept_and_never_removed(host):
    host.make_bridge(BRIDGE)
    host.set_alias(BRIDGE, "rack7")
    host.kernel.adopt(BRIDGE)

    host.keep()
    assert host.link(VXLAN).master == host.link(BRIDGE).index
    assert host.link(BRIDGE).mtu == 1450
    host.want()
    host.keep(1.0)

    assert host.link(VXLAN) is None
    assert host.link(BRIDGE).alias == "rack7"


def test_what_the_kernel_cannot_change_is_refused_with_a_command_and_nothing_is_torn_down(host):
    host.make_vxlan(VXLAN, 777)
    host.kernel.adopt(VXLAN)

    host.keep()

    assert host.link(VXLAN).vxlan.vni == 777
    assert (VXLAN, "replace", "vtep devices adopt --replace vxlan100") in host.plan()


@pytest.mark.parametrize("alias", ["", "vtep"])
def test_a_device_over_ipv6_that_drops_packets_without_checksum_is_kept_and_the_plan_replaces_it(host, alias):
    """By hand or by an older daemon. The kernel cannot change it; `devices adopt --replace` does by making it again."""
    host.want_file(parse(V6))
    host.make_deaf_vxlan(VXLAN, 100)
    host.set_alias(VXLAN, alias)
    before = host.link(VXLAN).index

    host.keep()

    steps = [(device, act) for device, act, _ in host.plan() if device == VXLAN]
    assert steps[-1:] == [(VXLAN, "replace")] if alias else (VXLAN, "adopt") in steps and (VXLAN, "replace") in steps
    assert (VXLAN, "replace", "vtep devices adopt --replace vxlan100") in host.plan()
    assert host.link(VXLAN).index == before
    host.delete(VXLAN)
    host.keep()
    assert [step for step in host.plan() if step[0] == VXLAN] == []
    assert host.link(VXLAN).vxlan.takes_no_checksum is not False


V6 = """
[node]
vtep = "fd00::1"
manage = true
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""


def test_a_vni_that_leaves_takes_its_devices_along_and_another_stays(host):
    host.want(100, 200)
    host.keep()
    before = host.link("vxlan200")

    host.want(200)
    host.keep(1.0)

    assert (host.link(BRIDGE), host.link(VXLAN)) == (None, None)
    assert host.link("vxlan200") == before


def test_a_vni_that_is_managed_no_longer_keeps_its_devices_as_they_are(host):
    text = '[node]\nvtep = "10.0.0.1"\n' + "".join(
        f'[[vni]]\nvni = {vni}\nbridge = "br{vni}"\nvxlan = "vxlan{vni}"\nimport_rt = ["1:1"]\nmanage = {manage}\n'
        for vni, manage in ((100, "false"), (200, "true"))
    )
    host.want(100, 200)
    host.keep()
    before = host.link(BRIDGE), host.link(VXLAN)

    host.want_file(parse(text))
    host.keep(1.0)
    host.die()
    host.start(100)
    host.want_file(parse(text))
    host.keep()

    assert (host.link(BRIDGE), host.link(VXLAN)) == before
    assert host.plan() == []
    assert host.ledger.claims("device").keys() == {("br200",), ("vxlan200",)}


def test_a_life_that_ends_leaves_everything_and_the_next_one_changes_nothing(host):
    host.keep()
    before = host.kernel.links().by_name
    host.die()

    host.start(100)
    report = host.keep()

    assert (report.applied, report.converged) == (0, True)
    assert host.kernel.links().by_name == before


def test_what_left_the_configuration_while_no_daemon_ran_is_removed(host):
    host.want(100, 200)
    host.keep()
    host.die()

    host.start(200)
    host.keep()

    assert host.link(VXLAN) is None
    assert host.link("vxlan200") is not None


def test_the_mtu_follows_the_underlay_in_place(host):
    host.keep()
    indexes = host.link(BRIDGE).index, host.link(VXLAN).index

    host.want(100, mtu=9000)
    report = host.keep(1.0)

    assert (host.link(BRIDGE).mtu, host.link(VXLAN).mtu) == (8950, 8950)
    assert (host.link(BRIDGE).index, host.link(VXLAN).index) == indexes
    assert report.applied == 2


@pytest.mark.parametrize("messages", range(14))
def test_a_crash_after_any_message_is_made_good_by_the_next_life(tmp_path, messages):
    with memory_host(tmp_path / "devices") as host:
        host.kernel.crash_after = messages
        with pytest.raises(Crashed):
            host.keep()
        host.die()
        host.kernel.crash_after = None
        host.start(100)

        host.keep()
        report = host.keep(1.0)

        assert (report.applied, report.converged, host.plan()) == (0, True, [])


def test_a_crash_between_the_making_of_a_device_and_its_mark_is_made_good_too(host):
    host.keep()
    host.die()
    host.set_alias(VXLAN, "")  # as if the mark had not been written: the claim is there

    host.start(100)
    host.keep()

    assert host.link(VXLAN).alias == "vtep"
    assert host.plan() == []


# Bridges that filter VLANs, and devices for many VNIs

ROUTED = """
[node]
vtep = "10.0.0.1"
manage = true
[bgp]
asn = 65000
router_id = "10.0.0.1"
[[vni]]
vni = 100
bridge = "br0"
vlan = 10
vxlan = "vxlan0"
vrf = "blue"
addresses = ["172.16.0.1/24", "2001:db8::1/64"]
gateway_mac = "02:00:00:00:ff:fe"
[[vni]]
vni = 200
bridge = "br0"
vlan = 20
vxlan = "vxlan0"
[[vrf]]
name = "blue"
vni = 4001
bridge = "br0"
vlan = 401
svi = "br0.401"
vxlan = "vxlan0"
router_mac = "02:00:00:00:ff:01"
"""


@pytest.fixture
def vlan_host(host, request):
    if isinstance(host, RealHost) and (refused := why_no_vlans()):
        pytest.skip(refused)
    return host


def has_vrf(host):
    """Return whether this kernel has VRF devices."""
    if isinstance(host, MemoryHost):
        return True
    with suppress(OSError, subprocess.CalledProcessError):
        ip("link add trial type vrf table 9", "link del trial")
        return True
    return False


def test_a_shared_device_has_the_vlans_and_vnis_of_all_and_loses_those_that_leave(vlan_host):
    text = ROUTED.split("[[vrf]]", maxsplit=1)[0].replace('vrf = "blue"\n', "")
    vlan_host.want_file(parse(text))

    made, again = vlan_host.keep(), vlan_host.keep(1.0)

    device = vlan_host.link("vxlan0")
    mapped = {(found.first, found.vni, found.pvid) for found in device.vlans if found.first > 1}
    assert mapped == {(10, 100, False), (20, 200, False)}
    assert [device.takes_vni(vni) for vni in (100, 200, 300)] == [True, True, False]
    assert (device.vxlan.external, device.bridge_port.vlan_tunnel) == (True, True)
    assert (again.applied, again.converged, vlan_host.plan()) == (0, True, [])
    assert made.suppressed == 0
    gateway = vlan_host.link("br0.10")
    assert (gateway.mac, gateway.up) == (Mac.parse("02:00:00:00:ff:fe"), True)
    addresses = {(found.ip, found.prefix) for found in vlan_host.kernel.addresses() if found.device == gateway.index}
    assert addresses >= {(Ip.parse("172.16.0.1"), 24), (Ip.parse("2001:db8::1"), 64)}

    first = text.split("[[vni]]")[1]
    vlan_host.want_file(parse(text.replace("[[vni]]" + first, "")))
    vlan_host.keep(2.0)

    device = vlan_host.link("vxlan0")
    assert device.vxlan.external  # it cannot be changed in place, and is not torn down
    assert [found.first for found in device.vlans if found.first > 1] == [20]
    assert vlan_host.link("br0.10") is None


def test_a_vrf_with_its_l3vni_and_its_gateways_is_made_from_nothing(vlan_host):
    if not has_vrf(vlan_host):
        pytest.skip("this kernel has no VRF devices")
    config = parse(ROUTED)
    vlan_host.want_file(config)

    made, again = vlan_host.keep(), vlan_host.keep(1.0)

    assert (made.suppressed, made.failed, again.applied, vlan_host.plan()) == (0, 0, 0, [])
    links = vlan_host.kernel.links()
    vrf, svi = links.by_name["blue"], links.by_name["br0.401"]
    assert (vrf.table, vrf.up, svi.master, svi.mac) == (4001, True, vrf.index, Mac.parse("02:00:00:00:ff:01"))
    assert links.by_name["br0.10"].master == vrf.index
    if isinstance(vlan_host, RealHost):
        assert (svi.forwards, svi.makes_link_local) == (True, False)
        wait_until(lambda: not survey_vrfs(config.vrfs, vlan_host.kernel.links()).not_ready, "the VRF is ready")
    assert not survey(config.vnis, vlan_host.kernel.links()).not_ready


def test_a_bridge_takes_the_frames_to_a_gateway_itself_and_a_row_of_another_hand_stays(vlan_host):
    text = ROUTED.split("[[vrf]]", maxsplit=1)[0].replace('vrf = "blue"\n', "")
    vlan_host.want_file(parse(text))
    vlan_host.keep()
    assert own_macs(vlan_host) >= {(10, "02:00:00:00:ff:fe")}

    if isinstance(vlan_host, MemoryHost):
        for act, mac in (("drop", "02:00:00:00:ff:fe"), ("put", "02:00:00:00:ff:77")):
            message = DeviceMessage(act, "br0", "mac", MacValue(10, Mac.parse(mac)))
            assert vlan_host.kernel.send_devices([message]) == []
    else:
        for command in ("add 02:00:00:00:ff:77", "del 02:00:00:00:ff:fe"):
            subprocess.run(f"bridge fdb {command} dev br0 vlan 10 self local".split(), check=True)
    assert ("br0", "put", "bridge fdb replace 02:00:00:00:ff:fe dev br0 vlan 10 self local") in vlan_host.plan()

    repaired, again = vlan_host.keep(1.0), vlan_host.keep(2.0)
    assert (repaired.repaired, again.applied, vlan_host.plan()) == (1, 0, [])
    assert own_macs(vlan_host) >= {(10, "02:00:00:00:ff:fe"), (10, "02:00:00:00:ff:77")}

    vlan_host.want_file(parse(text.replace("02:00:00:00:ff:fe", "02:00:00:00:ff:fd")))
    vlan_host.keep(3.0)
    assert own_macs(vlan_host) >= {(10, "02:00:00:00:ff:fd"), (10, "02:00:00:00:ff:77")}
    assert (10, "02:00:00:00:ff:fe") not in own_macs(vlan_host)


def test_the_mac_that_a_bridge_has_anyway_stays_when_no_gateway_has_it_any_longer(vlan_host):
    text = ROUTED.split("[[vrf]]", maxsplit=1)[0].replace('vrf = "blue"\n', "")
    vlan_host.want_file(parse(text))
    vlan_host.keep()
    own = str(vlan_host.link("br0").mac)
    vlan_host.want_file(parse(text.replace("02:00:00:00:ff:fe", own)))
    vlan_host.keep(1.0)

    vlan_host.want_file(parse(text))
    vlan_host.keep(2.0)

    assert own_macs(vlan_host) >= {(10, own), (10, "02:00:00:00:ff:fe")}


def own_macs(host):
    """Return the MACs whose frames the bridge takes itself, by VLAN."""
    *_, entries = host.kernel.pictured()
    assert all(entry.port == host.link("br0").index for entry in entries)
    return {(entry.vlan, str(entry.mac)) for entry in entries}


def test_the_mtu_of_a_gateway_rises_with_that_of_its_bridge(vlan_host):
    config = parse(ROUTED.split("[[vrf]]", maxsplit=1)[0].replace('vrf = "blue"\n', ""))
    vlan_host.want_file(config, 1500)
    vlan_host.keep()
    assert vlan_host.link("br0.10").mtu == 1450

    vlan_host.want_file(config, 9000)
    vlan_host.keep(1.0)
    report = vlan_host.keep(2.0)

    assert (vlan_host.link("br0").mtu, vlan_host.link("br0.10").mtu) == (8950, 8950)
    assert (report.applied, vlan_host.plan()) == (0, [])


def test_an_address_and_a_vlan_of_another_hand_stay_on_a_device_of_ours(vlan_host):
    vlan_host.want_file(parse(ROUTED.split("[[vrf]]", maxsplit=1)[0].replace('vrf = "blue"\n', "")))
    vlan_host.keep()
    if isinstance(vlan_host, MemoryHost):
        vlan_host.kernel.add_address("br0.10", Ip.parse("192.0.2.1"), 24)
        vlan_host.kernel.set_vlan("vxlan0", 77)
        vlan_host.kernel.delete_address("br0.10", Ip.parse("172.16.0.1"))
    else:
        ip("addr add 192.0.2.1/24 dev br0.10", "addr del 172.16.0.1/24 dev br0.10")
        bridge("vlan add dev vxlan0 vid 77")

    vlan_host.keep(1.0)

    there = {found.ip for found in vlan_host.kernel.addresses() if found.device == vlan_host.link("br0.10").index}
    assert there >= {Ip.parse("192.0.2.1"), Ip.parse("172.16.0.1")}
    assert vlan_host.link("vxlan0").vlan_at(77) is not None


# Devices that others made

LEAF = FirstLeaf(
    Ip.parse("10.0.0.1"), 65000, (Ip.parse("10.0.0.2"),), "vtep", (FirstVni(100),), Ip.parse("10.0.0.1"), 1500
)
AS_FRR = """
ip link add br100 type bridge
ip link add vxlan100 type vxlan id 100 local 10.0.0.1 dstport 4789 nolearning
ip link set vxlan100 master br100 addrgenmode none
ip link set vxlan100 type bridge_slave neigh_suppress on learning off
ip link set br100 up
ip link set vxlan100 up
"""
"""The commands of FRR's own guide to EVPN (docs.frrouting.org: Linux interface configuration)."""


@pytest.mark.root_netns
@pytest.mark.parametrize(
    ("script", "changes"),
    [
        (devices(LEAF, "ip")["devices.sh"], {("br100", "mcast_snooping"), ("vxlan100", "link_local")}),
        (
            AS_FRR,
            {("br100", "mcast_snooping"), ("br100", "vlan_default_pvid"), ("br100", "mtu"), ("vxlan100", "mtu")},
        ),
    ],
    ids=["by vtep init", "as FRR has it"],
)
def test_a_leaf_that_others_made_is_handed_over_with_the_sensible_changes_and_nothing_else(
    script, changes, tmp_path, namespace_refused
):
    if namespace_refused:
        pytest.skip(namespace_refused)
    with real_host(tmp_path / "devices") as host:
        subprocess.run(["sh", "-e"], input=script, text=True, check=True, capture_output=True)
        indexes = {name: host.link(name).index for name in (BRIDGE, VXLAN)}
        assert [step[:2] for step in host.plan() if step[1] == "adopt"] == [(BRIDGE, "adopt"), (VXLAN, "adopt")]
        without = set() if host.link(BRIDGE).bridge.default_pvid is not None else {("br100", "vlan_default_pvid")}
        assert {(device, text.split()[0]) for device, act, text in host.steps() if act == "set"} == changes - without

        for name in (BRIDGE, VXLAN):
            host.kernel.adopt(name)
        host.keep()

        assert host.plan() == []
        assert {name: host.link(name).index for name in (BRIDGE, VXLAN)} == indexes
