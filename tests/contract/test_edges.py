"""The edges of the real socket: links as another decoder sees them, text as iproute2 prints it, and what is refused."""

import ctypes
import errno
import json
import struct
import subprocess
import threading

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from tests.contract.test_rows import BOTH, CREATE, EXT, OURS, VTEP_A, M, add
from tests.contract.worlds import LOCAL, ip
from vtep.addr import Vni
from vtep.config.model import Targets, VniConfig
from vtep.errors import KernelError
from vtep.linux.attachment import Hosts, NotReady, Ready, judge, survey
from vtep.linux.conditions import HOSTS, PLAIN, SHARED, VLAN, Subject
from vtep.linux.kernel import Kernel
from vtep.linux.target import KernelTarget
from vtep.linux.wire.link import RTM_NEWLINK, request_links
from vtep.linux.wire.neighbor import Half, Neighbor
from vtep.linux.wire.tlv import Answer, split

CONFIG = VniConfig(Vni(100), LOCAL, Targets(frozenset()), bridge="br0", vxlan="vx0")


def test_iproute2_calls_the_standard_rows_extern_learn(real_world) -> None:
    with real_world() as world:
        add(verb=CREATE)(world)

        shown = subprocess.run(
            ["bridge", "-d", "fdb", "show", "dev", "vx0"], capture_output=True, text=True, check=True
        )

        lines = sorted(
            line.strip() for line in shown.stdout.splitlines() if line.startswith(str(M)) and "vlan" not in line
        )
        assert [f"{M} dst 10.0.0.2 self extern_learn permanent", f"{M} extern_learn master br0"] == lines


def test_links_read_as_pyroute2_reads_them(real_world) -> None:
    with real_world() as world:
        ip(
            "link add vx6 type vxlan id 600 local fd00::1 dstport 8472 learning",
            "link add vxe type vxlan external dstport 4790",
            "link add vxn type vxlan id 700 dstport 4791",
            "link set h0 type bridge_slave neigh_suppress on isolated on",
            "link set vx0 mtu 1450",
        )
        messages = world.kernel._dumps.dump("links", request_links, raw_links)

        theirs = {link["name"]: link for link in map(as_pyroute2_reads, messages)}
        ours = {link.name: as_ours_reads(link) for link in world.kernel.links()}

        assert theirs == ours
        assert {"lo", "br0", "vx0", "vx6", "vxe", "vxn", "h0", "h1", "p0", "p1"} == set(ours)


def test_vlans_mappings_and_vnis_read_as_iproute2_reads_them(real_vlan_world) -> None:
    """Ranges too: the kernel joins alike VLANs and VNIs that follow each other."""
    with real_vlan_world(way="shared") as world:
        for command in (
            "bridge vlan add dev vx0 vid 100-140",
            "bridge vlan add dev vx0 vid 100-120 tunnel_info id 5000-5020",
            "bridge vlan add dev vx0 vid 125 tunnel_info id 9000",
            "bridge vni add dev vx0 vni 5000-5020,9000",
            "bridge vlan add dev h0 vid 200-4094",
            "bridge vlan add dev h0 vid 300 untagged",
            "bridge vlan add dev br0 vid 30 self",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)
        found = world.raw.links()

        vlans = {
            (link.name, vlan, found_vlan.pvid, found_vlan.untagged)
            for link in found
            for vlan in range(1, 4095)
            if (found_vlan := link.vlan_at(vlan)) is not None
        }
        tunnels = {(vlan, range_.vni_of(vlan)) for range_ in found.by_name["vx0"].vlans if range_.vni is not None
                   for vlan in range(range_.first, range_.last + 1)}  # fmt: skip
        vnis = {vni for vni in range(1, 10_000) if found.by_name["vx0"].takes_vni(vni)}

        assert vlans == {
            (port["ifname"], vlan, "PVID" in range_.get("flags", ()), "Egress Untagged" in range_.get("flags", ()))
            for port in as_json("bridge -j vlan show")
            for range_ in port["vlans"]
            for vlan in range(range_["vlan"], range_.get("vlanEnd", range_["vlan"]) + 1)
        }
        assert tunnels == {
            (range_["vlan"] + at, range_["tunid"] + at)
            for port in as_json("bridge -j vlan tunnelshow")
            for range_ in port["tunnels"]
            for at in range(range_.get("vlanEnd", range_["vlan"]) - range_["vlan"] + 1)
        }
        assert vnis == {
            vni
            for device in as_json("bridge -j vni show")
            for range_ in device["vnis"]
            for vni in range(range_["vni"], range_.get("vniEnd", range_["vni"]) + 1)
        }
        assert (100, 5000) in tunnels
        assert {5000, 5020, 9000, 100, 200} <= vnis


def as_json(command: str) -> list:
    return json.loads(subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout)


def raw_links(datagram: bytes):
    for kind, _, seq, start, end in split(datagram):
        if kind == RTM_NEWLINK:
            yield kind, seq, datagram[start - 16 : end]
        else:
            yield kind, seq, Answer(0)


def as_pyroute2_reads(octets: bytes) -> dict:
    message = ifinfmsg(octets)
    message.decode()
    info = message.get_attr("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") if info else None) or ""
    data = info.get_attr("IFLA_INFO_DATA") if kind in ("bridge", "vxlan") else None
    slave = info.get_attr("IFLA_INFO_SLAVE_DATA") if info else None
    seen = {
        "name": message.get_attr("IFLA_IFNAME"),
        "index": message["index"],
        "kind": kind,
        "master": message.get_attr("IFLA_MASTER"),
        "up": bool(message["flags"] & 1),
        "mac": message.get_attr("IFLA_ADDRESS"),
        "mtu": message.get_attr("IFLA_MTU"),
    }
    if kind == "bridge":
        seen |= {"vlan_filtering": bool(data.get_attr("IFLA_BR_VLAN_FILTERING"))}
        seen |= {"default_pvid": data.get_attr("IFLA_BR_VLAN_DEFAULT_PVID")}
    if kind == "vxlan":
        seen |= {
            "vni": data.get_attr("IFLA_VXLAN_ID"),
            "local": data.get_attr("IFLA_VXLAN_LOCAL") or data.get_attr("IFLA_VXLAN_LOCAL6"),
            "learning": bool(data.get_attr("IFLA_VXLAN_LEARNING")),
            "external": bool(data.get_attr("IFLA_VXLAN_COLLECT_METADATA")),
            "udp_port": data.get_attr("IFLA_VXLAN_PORT"),
        }
    if slave:
        seen |= {
            "port learning": bool(slave.get_attr("IFLA_BRPORT_LEARNING")),
            "neigh_suppress": bool(slave.get_attr("IFLA_BRPORT_NEIGH_SUPPRESS")),
            "isolated": bool(slave.get_attr("IFLA_BRPORT_ISOLATED")),
            "state": slave.get_attr("IFLA_BRPORT_STATE"),
        }
    return seen


def as_ours_reads(link) -> dict:
    seen = {name: getattr(link, name) for name in ("name", "index", "kind", "master", "up", "mtu")}
    seen["mac"] = str(link.mac)
    if link.bridge:
        seen |= {"vlan_filtering": link.bridge.vlan_filtering, "default_pvid": link.bridge.default_pvid}
    if link.vxlan:
        seen |= {name: getattr(link.vxlan, name) for name in ("vni", "learning", "external", "udp_port")}
        seen["local"] = str(link.vxlan.local) if link.vxlan.local else None
    if link.bridge_port:
        port = link.bridge_port
        seen |= {"port learning": port.learning, "neigh_suppress": port.neigh_suppress}
        seen |= {"isolated": port.isolated, "state": port.state}
    return seen


def notes_of(world) -> tuple[str, ...]:
    """A bridge made without a word about VLANs gets a default one, where the kernel has VLAN filtering."""
    note = "default-pvid: br0 gives its ports VLAN 1, which doubles every bridge row (set vlan_default_pvid 0)"
    return (note,) if world.copies_rows else ()


def test_the_devices_are_ready_in_both_worlds(any_world) -> None:
    with any_world() as world:
        verdict = judge(CONFIG, world.kernel.links())

        assert Ready(100, world.index("br0"), world.index("vx0"), notes_of(world)) == verdict


BREAKS = {
    "bridge-missing": ("link del br0",),
    "bridge-down": ("link set br0 down",),
    "vlan-aware": ("link set br0 type bridge vlan_filtering 1",),
    "vxlan-missing": ("link del vx0",),
    "device-down": ("link set vx0 down",),
    "external": ("link del vx0", "link add vx0 type vxlan external dstport 4789 nolearning"),
    "wrong-vni": ("link del vx0", "link add vx0 type vxlan id 101 local 10.0.0.1 dstport 4789 nolearning"),
    "local-address-missing": ("link del vx0", "link add vx0 type vxlan id 100 dstport 4789 nolearning"),
    "wrong-local-address": ("link set vx0 type vxlan local 10.0.0.9",),
    "learning-on-device": ("link set vx0 type vxlan learning",),
    "not-enslaved": ("link set vx0 nomaster",),
    "learning-on-port": ("link set vx0 type bridge_slave learning on",),
    "second-vxlan-port": (
        "link add vx9 type vxlan id 109 local 10.0.0.1 dstport 4789 nolearning",
        "link set vx9 master br0",
    ),
}
UNBREAKABLE = {
    "not-a-bridge",
    "not-a-vxlan",
    *(condition.code for condition in PLAIN if condition.code.endswith("-unreported")),
}
"""For these no command helps: the configuration names another device, or the kernel is too old."""


def test_every_condition_that_a_command_mends_is_tried() -> None:
    assert {condition.code for condition in PLAIN} == BREAKS.keys() | UNBREAKABLE


@pytest.mark.parametrize("code", BREAKS)
def test_the_commands_that_a_fault_names_mend_it(real_world, code: str) -> None:
    """One fault can hide others, as a device that is missing is no port either: so the commands are run until all are mended."""
    with real_world() as world:
        bridge = world.kernel.links().by_name["br0"].bridge
        if code == "vlan-aware" and bridge and bridge.default_pvid is None:
            pytest.skip("this kernel has no VLAN filtering")
        ip(*BREAKS[code])
        found = judge(CONFIG, world.kernel.links())
        assert isinstance(found, NotReady)
        assert code in found.reasons

        tries = 0
        while isinstance(found := judge(CONFIG, world.kernel.links()), NotReady):
            tries += 1
            assert tries < 5, found
            for command in (command for fault in found.faults for command in fault.mend.split("; ")):
                subprocess.run(command.split(), check=False, capture_output=True)

        assert found == Ready(100, world.index("br0"), world.index("vx0"), notes_of(world))


# In a VLAN: by the way to attach a VNI, what breaks it, as commands of `ip` or `bridge`.
VLAN_BREAKS = {
    ("alone", "vlan-filtering-off"): ("ip link set br0 type bridge vlan_filtering 0",),
    ("alone", "vlan-missing"): ("bridge vlan del dev vx0 vid 10",),
    ("alone", "wrong-pvid"): ("bridge vlan add dev vx0 vid 10",),
    ("alone", "second-vxlan-port"): (
        "ip link add vx9 type vxlan id 109 local 10.0.0.1 dstport 4789 nolearning",
        "ip link set vx9 master br0 up",
        "bridge vlan add dev vx9 vid 10 pvid untagged",
    ),
    ("shared", "not-external"): (
        "ip link del vx0",
        "ip link add vx0 type vxlan id 100 local 10.0.0.1 dstport 4789 nolearning",
    ),
    ("shared", "vxlan-missing"): ("ip link del vx0",),
    ("shared", "vlan-missing"): ("bridge vlan del dev vx0 vid 10",),
    ("shared", "vlan-untagged"): ("bridge vlan add dev vx0 vid 10 pvid untagged",),
    ("shared", "vlan-tunnel-off"): ("bridge link set dev vx0 vlan_tunnel off",),
    ("shared", "tunnel-mapping-missing"): ("bridge vlan del dev vx0 vid 10 tunnel_info id 100",),
    ("shared", "wrong-tunnel-mapping"): (
        "bridge vlan del dev vx0 vid 10 tunnel_info id 100",
        "bridge vlan add dev vx0 vid 10 tunnel_info id 300",
        "bridge vlan add dev vx0 vid 30",
        "bridge vlan add dev vx0 vid 30 tunnel_info id 100",
    ),
    ("shared", "vni-not-in-filter"): ("bridge vni delete dev vx0 vni 100",),
    ("shared", "wrong-local-address"): ("ip link set vx0 type vxlan id 0 local 10.0.0.9",),
    ("shared", "learning-on-device"): ("ip link set vx0 type vxlan id 0 learning",),
    ("shared", "learning-on-port"): ("bridge link set dev vx0 learning on",),
}


def test_every_condition_of_a_vlan_that_a_command_mends_is_tried() -> None:
    new = {condition.code for condition in (*VLAN, *SHARED)} - {condition.code for condition in PLAIN}
    assert new <= {code for _, code in VLAN_BREAKS}


@pytest.mark.parametrize(("way", "code"), VLAN_BREAKS)
def test_the_commands_that_a_fault_of_a_vlan_names_mend_it(real_vlan_world, way: str, code: str) -> None:
    with real_vlan_world(way=way) as world:
        config = world.attach(CONFIG)
        before = judge(config, world.raw.links())
        assert isinstance(before, Ready)
        world.shaken = True
        for command in VLAN_BREAKS[way, code]:
            subprocess.run(command.split(), check=True, capture_output=True)
        found = judge(config, world.raw.links())
        assert isinstance(found, NotReady)
        assert code in found.reasons
        assert world.raw.drain().links_changed

        tries = 0
        while isinstance(found := judge(config, world.raw.links()), NotReady):
            tries += 1
            assert tries < 7, found
            for command in (command for fault in found.faults for command in fault.mend.split("; ")):
                subprocess.run(command.split(), check=False, capture_output=True)

        assert (found.bridge, found.vlan, found.src_vni) == (before.bridge, before.vlan, before.src_vni)


@pytest.mark.parametrize("way", ["alone", "shared"])
def test_a_gateway_whose_mac_the_bridge_does_not_know_is_noted_with_the_command_that_mends_it(
    real_vlan_world, way: str
) -> None:
    with real_vlan_world(way=way) as world:
        target = KernelTarget(world.raw, [world.attach(CONFIG)])
        assert "svi-mac:" not in str(target.attachments().notes)
        ip("link set br0.10 address 00:00:5e:00:01:01")

        [note] = (note for note in target.attachments().notes[CONFIG.vni] if note.startswith("svi-mac:"))
        subprocess.run(note.partition("(")[2].rstrip(")").split(), check=True, capture_output=True)

        assert "svi-mac:" not in str(target.attachments().notes)


@pytest.mark.parametrize("way", ["alone", "shared"])
def test_the_commands_for_the_hosts_of_a_vlan_mend_as_well(real_vlan_world, way: str) -> None:
    with real_vlan_world(way=way) as world:
        config = world.attach(CONFIG)
        ip("link del br0.10")
        codes = []
        while Hosts(100) not in (found := survey([config], world.raw.links())).ready:
            fault = found.unserved[Hosts(100)]
            codes.append(fault.code)
            subprocess.run(fault.mend.split(), check=True)

        assert codes == ["neigh-suppress-off", "svi-missing"]


def test_the_command_for_the_hosts_of_a_vni_mends_as_well(real_world) -> None:
    with real_world() as world:
        assert Hosts(100) not in survey([CONFIG], world.kernel.links()).ready
        (condition,) = HOSTS

        subprocess.run(condition.mend(Subject.of(CONFIG, world.kernel.links())).split(), check=True)

        assert Hosts(100) in survey([CONFIG], world.kernel.links()).ready


def test_a_dump_of_a_bridge_that_is_gone_is_an_error_and_not_an_empty_picture(any_world) -> None:
    with any_world() as world, pytest.raises(KernelError) as caught:
        world.kernel.rows([999])

    assert caught.value.errno == errno.ENODEV


def test_a_port_that_left_its_bridge_has_no_bridge_half_to_read(any_world) -> None:
    with any_world() as world:
        world.set_master("vx0", None)

        with pytest.raises(KernelError) as caught:
            world.kernel.get(world.index("vx0"), M, Half.BRIDGE)

    assert caught.value.errno == errno.EINVAL


def test_extended_acknowledgements_carry_the_kernels_words(real_world) -> None:
    with real_world() as world:
        (refusal,) = world.kernel.send([Neighbor(CREATE, 0, M, BOTH | EXT, OURS, VTEP_A)])

        assert refusal.text == "invalid ifindex"


def test_without_the_capability_a_write_is_refused_and_reading_works(real_world) -> None:
    with real_world() as world:
        vxlan, bridge = world.index("vx0"), world.index("br0")
        outcome = []

        def try_as_nobody() -> None:
            drop_capabilities_of_this_thread()
            with Kernel() as kernel:
                outcome.extend(kernel.send([Neighbor(CREATE, vxlan, M, BOTH | EXT, OURS, VTEP_A)]))
                outcome.append(len(kernel.rows([bridge])))

        thread = threading.Thread(target=try_as_nobody)
        thread.start()
        thread.join()

        assert [outcome[0].errno, outcome[1]] == [errno.EPERM, 8 if world.copies_rows else 4]


def drop_capabilities_of_this_thread() -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    assert ctypes.CDLL(None).capset(header, ctypes.create_string_buffer(24)) == 0


def test_a_closed_kernel_raises_instead_of_answering(real_world) -> None:
    with real_world() as world:
        world.kernel.close()

        message = Neighbor(CREATE, 2, M, BOTH | EXT, OURS, VTEP_A)
        for ask in (world.kernel.links, world.kernel.drain, lambda: world.kernel.send([message])):
            with pytest.raises(KernelError) as caught:
                ask()
            assert caught.value.errno == errno.EBADF


def test_the_sockets_are_not_inherited_by_programs(real_world) -> None:
    with real_world() as world:
        assert not world.kernel._requests.socket.get_inheritable()
        assert not world.kernel._events.socket.get_inheritable()
