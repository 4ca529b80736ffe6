"""The same small world twice: in memory, and in a network namespace of its own with the real kernel.

A bridge with a VXLAN port and two access ports, whose MACs are known. What a test may do to it has the same name in
both. The namespace is the calling thread's until the world is left, which needs CAP_SYS_ADMIN here (root, or the first
user of a user namespace).
"""

import ctypes
import errno
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

from tests.contract.links import OPERSTATE_UP, operating_state, run_bridge_commands, run_commands
from tests.lab.wait import PATIENCE
from vtep.addr import Ip, Mac
from vtep.config.model import VniConfig
from vtep.linux.events import STATIONS, Hints
from vtep.linux.kernel import Kernel
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.wire.neighbor import Entry, FdbEvent, Half, Lookup, Neighbor, Refusal, Verb
from vtep.linux.wire.tlv import AF_BRIDGE

Way = Literal["plain", "alone", "shared"]
"""How a VNI is attached: with a bridge of its own, with a VLAN and a VXLAN device of its own, with a VLAN and a shared device."""
VLAN, VNI = 10, 100
OTHER_VLAN, OTHER_VNI = 20, 200
SVI = "br0.10"
OTHERS_MACS = [Mac.parse(f"02:00:00:00:00:0{digit}") for digit in "9ab"]
OTHERS_VTEP = Ip.parse("10.0.0.77")
CLONE_NEWNET = 0x40000000
SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20
LOCAL = Ip.parse("10.0.0.1")
LOCAL6 = Ip.parse("fd00::1")
DEVICES = {f"02:00:00:00:ff:0{place}": name for place, name in enumerate(("br0", "vx0", "h0", "h1"), 1)}
MACS = {name: Mac.parse(mac) for mac, name in DEVICES.items()}
SENTINEL = Mac.parse("02:00:00:00:ff:ff")


class World:
    """What tests do to either world."""

    kernel: Any
    """The kernel as a test speaks to it: `raw`, or a view of it in which the VNI of the test is alone."""
    raw: MemoryKernel | Kernel
    way: Way = "plain"

    def attach(self, vni: VniConfig) -> VniConfig:
        """Return the VNI as it is configured in this world."""
        if self.way == "plain":
            return vni
        return msgspec.structs.replace(vni, vlan=VLAN, shares_vxlan=self.way == "shared")

    def in_host_device(self, name: str) -> str:
        """Return the device that has the addresses of the VNI, for the bridge."""
        return SVI if name == "br0" and self.way != "plain" else name

    def move_in(self, *, crowded: bool = False) -> None:
        """Have another VNI on the same devices, whose rows look like ours and have the same MACs."""
        self.kernel = self.raw if self.way == "plain" else OneVni(self.raw, self.way)
        if self.way == "shared" and not crowded:
            self.raw.send([self._of_the_other(mac, Verb.REPLACE) for mac in OTHERS_MACS])
            self.raw.drain()
            self._others = self._rows_of_the_other()

    def check_the_other(self) -> None:
        """Fail if rows of the other VNI changed."""
        if self._others and not self.shaken and "vx0" in self.raw.links().by_name:
            assert self._rows_of_the_other() == self._others

    _others: Sequence[Entry] = ()
    shaken = False
    """A test took the device away from its bridge for a while."""

    def _of_the_other(self, mac: Mac, verb: Verb) -> Neighbor:
        return Neighbor(verb, self.index("vx0"), mac, 0x16, 0xC0, OTHERS_VTEP, vlan=OTHER_VLAN, src_vni=OTHER_VNI)

    def _rows_of_the_other(self) -> list[Entry]:
        rows = self.raw.rows([self.index("br0")])
        return [row for row in rows if row.src_vni == OTHER_VNI or (row.vlan == OTHER_VLAN and row.flags & 0x10)]

    @property
    def copies_rows(self) -> bool:
        """Whether this kernel has VLAN filtering, and so keeps a copy of each bridge row for the port's default VLAN."""
        return self.way == "plain" and any(
            link.bridge is not None and bool(link.bridge.default_pvid) for link in self.kernel.links().by_name.values()
        )

    def index(self, name: str) -> int:
        return self.kernel.links().by_name[name].index

    def rows(self) -> list[Entry]:
        """Everything there is, also of a VXLAN device that has left its bridge.

        A kernel with VLAN filtering keeps a copy of each bridge row for the port's default VLAN, which takes no part in
        forwarding while the bridge does not filter. Those are left out.
        """
        links = self.raw.links().by_name
        bridges = [links["br0"].index] if "br0" in links else []
        free = [links["vx0"].index] if "vx0" in links and links["vx0"].master is None else []
        return [row for row in self.kernel.rows(bridges, free) if row.mac != SENTINEL and not row.vlan]


class OneVni:
    """A kernel on whose devices a VNI has a VLAN and perhaps a source VNI, as one on which it has neither.

    It puts them into what is sent and asked, takes them off what comes back, and leaves out the rows of others. So a test
    that knows nothing of VLANs holds for them.
    """

    def __init__(self, kernel: Any, way: Way) -> None:
        self._kernel = kernel
        self._vni = VNI if way == "shared" else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    def send(self, messages: Sequence[Neighbor]) -> list[Refusal]:
        return self._kernel.send([self._outward(message) for message in messages])

    def rows(self, bridges: Sequence[int], ports: Sequence[int] = ()) -> list[Entry]:
        return [seen for row in self._kernel.rows(bridges, ports) if (seen := self._inward(row)) is not None]

    def neighbors(self, devices: Sequence[int]) -> list[Entry]:
        found = self._kernel.neighbors([self._host_device(device) for device in devices])
        return [seen for row in found if (seen := self._inward(row)) is not None]

    def get(self, port: int, mac: Mac, half: Half) -> Entry | None:
        return self.get_many([Lookup(port, mac, half)])[0]

    def get_many(self, keys: Sequence[Lookup]) -> list[Entry | None]:
        asked = [key._replace(vlan=VLAN, src_vni=self._vni) for key in keys]
        return [row and self._inward(row) for row in self._kernel.get_many(asked)]

    def get_hosts(self, keys: Sequence[tuple[int, Ip]]) -> list[Entry | None]:
        found = self._kernel.get_hosts([(self._host_device(device), ip) for device, ip in keys])
        return [row and self._inward(row) for row in found]

    def drain(self, *most: int) -> Hints:
        hints = self._kernel.drain(*most)
        news, gone = (
            frozenset(
                FdbEvent(event.port, event.mac)
                for event in events
                if event.vlan == VLAN
                or (event.vlan is None and event.src_vni == self._vni and self._is_tunnel(event.port))
            )
            for events in (hints.news, hints.gone)
        )
        links = self._kernel.links().by_name
        svi = links[SVI].index if SVI in links else None
        bounced = frozenset(links["br0"].index if index == svi else index for index in hints.bounced)
        return msgspec.structs.replace(hints, news=news, gone=gone, bounced=bounced)

    def _is_tunnel(self, port: int) -> bool:
        link = self._kernel.links().by_index.get(port)
        return link is not None and link.kind == "vxlan"

    def _host_device(self, device: int) -> int:
        links = self._kernel.links()
        return links.by_name[SVI].index if "br0" in links.by_name and device == links.by_name["br0"].index else device

    def _outward(self, message: Neighbor) -> Neighbor:
        if message.family != AF_BRIDGE:
            return msgspec.structs.replace(message, port=self._host_device(message.port))
        vlan = VLAN if message.flags & 0x04 or not message.flags & 0x02 else None
        return msgspec.structs.replace(message, vlan=vlan, src_vni=self._vni if message.flags & 0x02 else None)

    def _inward(self, row: Entry) -> Entry | None:
        links = self._kernel.links().by_name
        if row.family != AF_BRIDGE:
            return msgspec.structs.replace(row, port=links["br0"].index) if row.port == links[SVI].index else row
        if row.flags & 0x02:
            vni = None if row.vni == self._vni else row.vni  # the device itself has none, so its own VNI shows
            return msgspec.structs.replace(row, src_vni=None, vni=vni) if row.src_vni == self._vni else None
        return msgspec.structs.replace(row, vlan=None) if row.vlan == VLAN else None


class MemoryWorld(World):
    def __init__(self, local: Ip = LOCAL, max_addresses: int = 0, way: Way = "plain") -> None:
        self.raw = self.memory = MemoryKernel()
        self.way = way
        self.memory.add_bridge("br0", MACS["br0"], filters=way != "plain")
        number = 0 if way == "shared" else VNI
        self.memory.add_vxlan("vx0", number, local, "br0", MACS["vx0"], max_addresses=max_addresses)
        for name in ("h0", "h1"):
            self.memory.add_port(name, "br0", MACS[name])
        if way != "plain":
            self.memory.set_vlan("br0", VLAN)
            self.memory.add_vlan(SVI, "br0", VLAN)
            self._join()
            for name in ("h0", "h1"):
                self.memory.set_vlan(name, VLAN, pvid=True, untagged=True)
            self.memory.drain()
        self.move_in(crowded=bool(max_addresses))

    def settle(self) -> None:
        """Do nothing: what happens to a device here is announced at once."""

    def _join(self) -> None:
        """Have the VXLAN device in the VLANs."""
        if self.way == "alone":
            self.memory.set_vlan("vx0", VLAN, pvid=True, untagged=True)
        elif self.way == "shared":
            self.memory.set_vlan("vx0", VLAN, vni=VNI)
            self.memory.set_vlan("vx0", OTHER_VLAN, vni=OTHER_VNI)

    def set_up(self, name: str, up: bool) -> None:
        self.memory.set_up(name, up)
        if name == "br0" and self.way != "plain":
            self.memory.set_up(SVI, up)  # a VLAN device goes down and up with the device below it

    def set_master(self, name: str, master: str | None) -> None:
        self.shaken = True
        self.memory.set_master(name, master)
        if self.way == "plain" or master is None:
            return
        if name == "vx0":
            self._join()
            if self.way == "shared":
                port = self.memory.links().by_name[name].bridge_port
                self.memory.change(name, bridge_port=msgspec.structs.replace(port, vlan_tunnel=True))
        else:
            self.memory.set_vlan(name, VLAN, pvid=True, untagged=True)

    def set_learning(self, name: str) -> None:
        port = self.memory.links().by_name[name].bridge_port
        self.memory.change(name, bridge_port=msgspec.structs.replace(port, learning=True))

    def delete_link(self, name: str) -> None:
        self.shaken = True
        self.memory.delete_link(name)

    def replace_vxlan(self, vni: int, *, joins: bool = True) -> None:
        """Make the VXLAN device again, with its name, its index and another VNI."""
        index = self.index("vx0")
        self.memory.delete_link("vx0")
        self.memory.add_vxlan("vx0", vni, LOCAL, "br0" if joins else None, MACS["vx0"], index=index)

    def add_address(self, name: str, address: Ip) -> None:
        self.memory.add_address(self.in_host_device(name), address)

    def delete_address(self, name: str, address: Ip) -> None:
        self.memory.delete_address(self.in_host_device(name), address)

    def station_sends(self, mac: Mac, port: str) -> None:
        self.memory.station_sends(mac, port)

    def watching_kernel(self) -> MemoryKernel:
        """Return a kernel that receives the events of stations."""
        return self.memory


class NamespaceWorld(World):
    def __init__(self, local: Ip = LOCAL, max_addresses: int = 0, way: Way = "plain", **buffers: int) -> None:
        self.way = way
        room = f"maxaddress {max_addresses}" if max_addresses else ""
        filters = "vlan_filtering 1" if way != "plain" else ""
        number = "external vnifilter" if way == "shared" else f"id {VNI}"
        ip(
            "link set lo up",
            f"link add br0 address {MACS['br0']} type bridge {filters}".strip(),
            f"link add vx0 address {MACS['vx0']} type vxlan {number} local {local} dstport 4789 nolearning {room}".strip(),
            f"link add h0 address {MACS['h0']} type veth peer name p0",
            f"link add h1 address {MACS['h1']} type veth peer name p1",
            *(f"link set {name} addrgenmode none" for name in ("br0", "vx0", "h0", "h1", "p0", "p1")),
            *(f"link set {name} master br0" for name in ("vx0", "h0", "h1")),
            "link set vx0 type bridge_slave learning off",
            *(f"link set {name} up" for name in ("br0", "vx0", "p0", "h0", "p1", "h1")),
        )
        if way != "plain":
            ip(f"link add {SVI} link br0 type vlan id {VLAN}", f"link set {SVI} addrgenmode none", f"link set {SVI} up")
            joins = [command for name in ("vx0", "h0", "h1") for command in self._join(name)]
            bridge(f"vlan add dev br0 vid {VLAN} self", *joins)
        self.raw = self.kernel = Kernel(**buffers)
        self._buffers = buffers
        for name in ("vx0", "h0", "h1"):
            self._wait_until_forwarding(name)
        self.kernel.drain()
        self.move_in(crowded=bool(max_addresses))

    def _join(self, name: str) -> list[str]:
        """Return what has a port in the VLANs."""
        if name != "vx0" or self.way != "shared":
            return [f"vlan add dev {name} vid {VLAN} pvid untagged"]
        mapped = {VLAN: VNI, OTHER_VLAN: OTHER_VNI}
        return [
            "link set dev vx0 vlan_tunnel on",
            *(f"vlan add dev vx0 vid {vlan}" for vlan in mapped),
            *(f"vlan add dev vx0 vid {vlan} tunnel_info id {vni}" for vlan, vni in mapped.items()),
            *(f"vni add dev vx0 vni {vni}" for vni in mapped.values()),
        ]

    def set_up(self, name: str, up: bool) -> None:
        ip(f"link set {name} {'up' if up else 'down'}")
        if up and name != "br0":
            self._wait_until_forwarding(name)
        if name == "br0" and not up and self.way != "plain":
            # For some milliseconds a dump still shows what the VLAN's own device had (7.2).
            device = self.index(SVI)
            wait_until(lambda: not any(row.flags & 0x10 for row in self.raw.neighbors([device])), "no neighbor rows")

    def set_master(self, name: str, master: str | None) -> None:
        self.shaken = True
        ip(f"link set {name} {f'master {master}' if master else 'nomaster'}")
        if master and self.way != "plain":
            bridge(*self._join(name))
        if master:
            self._wait_until_forwarding(name)

    def set_learning(self, name: str) -> None:
        ip(f"link set {name} type bridge_slave learning on")

    def delete_link(self, name: str) -> None:
        self.shaken = True
        ip(f"link del {name}")

    def replace_vxlan(self, vni: int, *, joins: bool = True) -> None:
        index = self.index("vx0")
        ip(
            "link del vx0",
            f"link add vx0 index {index} address {MACS['vx0']} type vxlan id {vni} local {LOCAL} dstport 4789 nolearning",
            "link set vx0 addrgenmode none",
            *(("link set vx0 master br0", "link set vx0 type bridge_slave learning off") if joins else ()),
            "link set vx0 up",
        )
        if joins:
            self._wait_until_forwarding("vx0")

    def add_address(self, name: str, address: Ip) -> None:
        ip(f"addr add {address}/24 dev {self.in_host_device(name)}")

    def delete_address(self, name: str, address: Ip) -> None:
        ip(f"addr del {address}/24 dev {self.in_host_device(name)}")

    def watching_kernel(self) -> Kernel:
        return Kernel(STATIONS, **self._buffers)

    def station_sends(self, mac: Mac, port: str) -> None:
        """Frames keep their order: once the sentinel behind it is learned, this one was seen (or lost by a port down)."""
        links = self.kernel.links().by_name
        witness = port if links[port].up else "h1"
        send_frame(port, mac)
        send_frame(witness, SENTINEL)
        index = links[witness].index
        wait_until(lambda: self.kernel.get(index, SENTINEL, Half.BRIDGE) is not None, "the sentinel is learned")
        self.kernel.send([Neighbor(Verb.DELETE, index, SENTINEL, 4, 0)])

    def settle(self) -> None:
        """Wait until the kernel has announced the last of the devices, up to a second after they were made.

        It is announced with the operating state, which a VXLAN device does not have.
        """
        for name in ("br0", "h0", "h1", "p0", "p1", *([SVI] if self.way != "plain" else [])):
            wait_until(lambda name=name: operating_state(name) == OPERSTATE_UP, f"{name} operates")
        self.raw.drain()

    def _wait_until_forwarding(self, name: str) -> None:
        def forwarding() -> bool:
            port = self.kernel.links().by_name[name].bridge_port
            return port is None or port.state == 3

        wait_until(forwarding, f"{name} forwards")


@contextmanager
def memory_world(**options) -> Iterator[MemoryWorld]:
    world = MemoryWorld(**options)
    yield world
    world.check_the_other()


@contextmanager
def namespace_world(**options) -> Iterator[NamespaceWorld]:
    with own_namespace():
        world = NamespaceWorld(**options)
        with world.raw:
            yield world
            world.check_the_other()


WORLDS: dict[str, Callable] = {"memory": memory_world, "namespace": namespace_world}


@contextmanager
def own_namespace() -> Iterator[None]:
    """Move this thread into a new network namespace and back; what is in it goes with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no new network namespace")
        try:
            yield
        finally:
            assert libc.setns(home, CLONE_NEWNET) == 0
    finally:
        os.close(home)


def why_no_namespace() -> str:
    """Empty where the real kernel can be asked, else the sentence for the skip."""
    try:
        with own_namespace():
            subprocess.run(["ip", "link"], check=True, capture_output=True)
    except PermissionError:
        return "no network namespace of its own: run as root or under `unshare --user --map-root-user`"
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespace of its own: {error}"
    return ""


def ip(*commands: str) -> None:
    if run_commands(commands):
        return
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True, capture_output=True)


def bridge(*commands: str) -> None:
    run_bridge_commands(commands)


def why_no_vlans() -> str:
    """Empty where a bridge can filter VLANs, else the sentence for the skip."""
    with own_namespace():
        made = subprocess.run(
            ["ip", "link", "add", "br0", "type", "bridge", "vlan_filtering", "1"], capture_output=True, check=False
        )
    return "this kernel has no VLAN filtering" if made.returncode else ""


def send_frame(port: str, source: Mac) -> None:
    """A station's broadcast into the access port, by the port's other end."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        # Until the kernel's link watch has run, a port that has just come up has a queue that drops what it is given.
        wire.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        wire.bind((port.replace("h", "p"), 0))
        # ENOBUFS: a port that is down has lost the frame, as tests expect.
        with suppress_errno(errno.ENOBUFS):
            wire.send(b"\xff" * 6 + source + b"\x88\xb5" + bytes(46))


@contextmanager
def suppress_errno(code: int) -> Iterator[None]:
    try:
        yield
    except OSError as refused:
        if refused.errno != code:
            raise


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 5) -> None:
    end = time.monotonic() + deadline_s * PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s * PATIENCE} s: {what}")
        select.select([], [], [], 0.002)


def render(rows: Sequence[Entry], world: World, names: dict[Mac, str]) -> list[str]:
    """One sorted line a row, such as `a vxlan vx0 noarp permanent ext 10.0.0.2`."""
    links = {link.index: link.name for link in world.kernel.links()}
    return sorted(_line(row, links, names) for row in rows)


def _line(row: Entry, links: dict[int, str], names: dict[Mac, str]) -> str:
    half = "bridge" if row.master else "vxlan"
    if row.family != AF_BRIDGE:
        half = f"host {row.ip}"
    states = ((2, "reachable"), (64, "noarp"), (128, "permanent"))
    flags = ((4, "master"), (16, "ext"), (64, "sticky"))
    words = [
        names.get(row.mac, str(row.mac)),
        half,
        links.get(row.port, str(row.port)),
        *(word for bit, word in states if row.state & bit),
        *(word for bit, word in flags if row.flags & bit),
        *((str(row.dst),) if row.dst else ()),
        *((f"vni {row.vni}",) if row.vni is not None else ()),
        *((f"proto {row.protocol}",) if row.protocol is not None else ()),
    ]
    return " ".join(words)


def render_refusals(refusals: Sequence[Refusal]) -> list[str]:
    """`EEXIST bridge done`, with the message's place before it where it is not the first."""
    return [
        " ".join(
            [
                *((f"#{refusal.index}",) if refusal.index else ()),
                "EOPNOTSUPP" if refusal.errno == errno.EOPNOTSUPP else errno.errorcode[refusal.errno],
                *(("bridge done",) if refusal.bridge_done else ()),
                *(("vxlan done",) if refusal.vxlan_done else ()),
            ]
        )
        for refusal in refusals
    ]
