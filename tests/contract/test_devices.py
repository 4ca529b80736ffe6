"""Devices that vtep makes and keeps: the same cases in memory and on the real kernel."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from tests.contract.worlds import ip, own_namespace
from vtep.addr import Ip
from vtep.config.file import parse
from vtep.linux.ledger import LedgerFile
from vtep.linux.managed.kernel import DeviceKernel
from vtep.linux.managed.kinds import MANAGED, Picture
from vtep.linux.managed.plan import plan
from vtep.linux.managed.target import DeviceTarget
from vtep.linux.managed.wish import wish
from vtep.linux.memory.kernel import Crashed, MemoryKernel
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
        self.wish = self.target.wish = wish(configured(*vnis), mtu)

    def keep(self, now=0.0):
        return run_to_end(self.engine.run(self.wish, now))

    def die(self):
        self.ledger.close()

    def link(self, name):
        return self.kernel.links().by_name.get(name)

    def plan(self):
        links, addresses = self.kernel.pictured()
        target = DeviceTarget(self.kernel, self.wish, {})
        return [
            (step.device, step.act, step.command)
            for step in plan(self.wish, target.attachments(), Picture(links, addresses))
        ]

    def reasons(self):
        return {ref: (trouble.state, trouble.reason) for ref, trouble in self.engine.troubles.items()}


class MemoryHost(Host):
    def make_bridge(self, name):
        self.kernel.add_bridge(name)

    def make_vxlan(self, name, vni):
        self.kernel.add_vxlan(name, vni, Ip.parse("10.0.0.1"))

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


def test_a_vni_that_leaves_takes_its_devices_along_and_another_stays(host):
    host.want(100, 200)
    host.keep()
    before = host.link("vxlan200")

    host.want(200)
    host.keep(1.0)

    assert (host.link(BRIDGE), host.link(VXLAN)) == (None, None)
    assert host.link("vxlan200") == before


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
