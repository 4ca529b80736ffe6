"""The devices of this namespace as one picture: names, indexes, and what EVPN needs to know of bridges and VXLAN ports.

Knows the octets of RTM_NEWLINK. Does not know a socket or which device belongs to which VNI. What the kernel did not
report is None, and it is for the reader to refuse on it.

Read by hand rather than through pyroute2's classes, which decode a whole message: 700 us a VXLAN device against 10, and
the picture is taken anew for every pass. The tests hold this reading against theirs.
"""

import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from vtep.addr import Ip, Mac
from vtep.linux.wire.neighbor import AF_BRIDGE, NLM_F_DUMP, NLM_F_REQUEST, RTM_DELLINK, RTM_GETLINK, attributes

IFF_UP: Final = 0x01
IFLA_ADDRESS: Final = 1
IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4
IFLA_LINK: Final = 5
IFLA_MASTER: Final = 10
IFLA_LINKINFO: Final = 18
IFLA_EXT_MASK: Final = 29
IFLA_INFO_KIND: Final = 1
IFLA_INFO_DATA: Final = 2
IFLA_INFO_SLAVE_KIND: Final = 4
IFLA_INFO_SLAVE_DATA: Final = 5
IFLA_VXLAN_ID: Final = 1
IFLA_VXLAN_GROUP: Final = 2
IFLA_VXLAN_LOCAL: Final = 4
IFLA_VXLAN_LEARNING: Final = 7
IFLA_VXLAN_PORT: Final = 15
IFLA_VXLAN_GROUP6: Final = 16
IFLA_VXLAN_LOCAL6: Final = 17
IFLA_VXLAN_COLLECT_METADATA: Final = 25
IFLA_BR_VLAN_FILTERING: Final = 7
IFLA_BR_VLAN_DEFAULT_PVID: Final = 39
IFLA_BRPORT_STATE: Final = 1
IFLA_BRPORT_LEARNING: Final = 8
IFLA_BRPORT_NEIGH_SUPPRESS: Final = 32
IFLA_BRPORT_ISOLATED: Final = 33
RTEXT_FILTER_SKIP_STATS: Final = 1 << 3


class Bridge(Struct, frozen=True):
    vlan_filtering: bool | None = None
    default_pvid: int | None = None
    """Not reported by a kernel without VLAN filtering, where no port has a VLAN."""


class Vxlan(Struct, frozen=True):
    vni: int | None = None
    local: Ip | None = None
    learning: bool | None = None
    external: bool | None = None
    """One device for many VNIs (collect metadata)."""
    udp_port: int | None = None
    remote: Ip | None = None
    """The flood row that the device has of its own (`remote` or `group`)."""


class BridgePort(Struct, frozen=True):
    learning: bool | None = None
    neigh_suppress: bool | None = None
    isolated: bool | None = None
    state: int | None = None
    """The spanning tree's state: 3 is forwarding."""


class Link(Struct, frozen=True):
    index: int
    name: str
    kind: str = ""
    """What `ip link add type` calls it; empty for a physical device."""
    master: int | None = None
    below: int | None = None
    """The device that it is made on, as a VLAN is; of a veth the other end, which may be in another namespace."""
    up: bool = False
    mac: Mac | None = None
    mtu: int | None = None
    bridge: Bridge | None = None
    vxlan: Vxlan | None = None
    bridge_port: BridgePort | None = None


class Links(Struct, frozen=True):
    """All devices at one moment."""

    by_name: Mapping[str, Link]
    by_index: Mapping[int, Link]
    by_master: Mapping[int, Sequence[Link]]
    by_vlan_parent: Mapping[int, Sequence[Link]]

    @classmethod
    def of(cls, links: Iterable[Link]) -> "Links":
        """Sort the devices once: a leaf with many VNIs asks for the ports of every bridge."""
        found = tuple(links)
        by_master: dict[int, list[Link]] = {}
        by_vlan_parent: dict[int, list[Link]] = {}
        for link in found:
            if link.master is not None:
                by_master.setdefault(link.master, []).append(link)
            if link.kind == "vlan" and link.below is not None:
                by_vlan_parent.setdefault(link.below, []).append(link)
        by_name = {link.name: link for link in found}
        return cls(by_name, {link.index: link for link in found}, by_master, by_vlan_parent)

    def __iter__(self) -> Iterator[Link]:
        return iter(self.by_index.values())

    def ports_of(self, bridge: int) -> Sequence[Link]:
        """Return the ports of a bridge."""
        return self.by_master.get(bridge, ())

    def vlans_on(self, device: int) -> Sequence[Link]:
        """Return the VLAN devices that are made on a device."""
        return self.by_vlan_parent.get(device, ())


def request_links(seq: int) -> bytes:
    """Ask for all devices without their counters."""
    mask = struct.pack("=HHI", 8, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return struct.pack("=IHHII", 40, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, seq, 0) + bytes(_IFINFO.size) + mask


def parse_link(datagram: bytes, start: int, end: int) -> Link:
    """Read the body of one RTM_NEWLINK."""
    index, flags = _IFINFO.unpack_from(datagram, start)
    found = attributes(datagram, start + _IFINFO.size, end)
    info = _nested(found.get(IFLA_LINKINFO))
    kind = _text(info.get(IFLA_INFO_KIND))
    data = _nested(info.get(IFLA_INFO_DATA))
    address = found.get(IFLA_ADDRESS, b"")
    is_bridge_port = _text(info.get(IFLA_INFO_SLAVE_KIND)) == "bridge"
    return Link(
        index=index,
        name=_text(found.get(IFLA_IFNAME)),
        kind=kind,
        master=_number(found.get(IFLA_MASTER)),
        below=_number(found.get(IFLA_LINK)),
        up=bool(flags & IFF_UP),
        mac=Mac(address) if len(address) == 6 else None,
        mtu=_number(found.get(IFLA_MTU)),
        bridge=_bridge(data) if kind == "bridge" else None,
        vxlan=_vxlan(data) if kind == "vxlan" else None,
        bridge_port=_bridge_port(_nested(info.get(IFLA_INFO_SLAVE_DATA))) if is_bridge_port else None,
    )


def device_bounced(datagram: bytes, kind: int, start: int) -> tuple[int, ...]:
    """Return the device of an announcement if that came or went, went up or down, or left its bridge.

    All else that is announced of a device, and a bridge announces much of its ports, leaves the rows where they are.
    """
    family, index, changed = _CHANGED.unpack_from(datagram, start)
    return (index,) if kind == RTM_DELLINK or (family != AF_BRIDGE and changed & IFF_UP) else ()


_IFINFO: Final = struct.Struct("=4xiI4x")
_CHANGED: Final = struct.Struct("=B3xi4xI")


def _bridge(data: Mapping[int, bytes]) -> Bridge:
    return Bridge(_flag(data.get(IFLA_BR_VLAN_FILTERING)), _number(data.get(IFLA_BR_VLAN_DEFAULT_PVID)))


def _vxlan(data: Mapping[int, bytes]) -> Vxlan:
    local = data.get(IFLA_VXLAN_LOCAL) or data.get(IFLA_VXLAN_LOCAL6)
    remote = data.get(IFLA_VXLAN_GROUP) or data.get(IFLA_VXLAN_GROUP6)
    udp_port = data.get(IFLA_VXLAN_PORT)
    return Vxlan(
        vni=_number(data.get(IFLA_VXLAN_ID)),
        local=Ip.unpack(local) if local else None,
        learning=_flag(data.get(IFLA_VXLAN_LEARNING)),
        external=_flag(data.get(IFLA_VXLAN_COLLECT_METADATA)),
        udp_port=int.from_bytes(udp_port) if udp_port else None,
        remote=Ip.unpack(remote) if remote else None,
    )


def _bridge_port(data: Mapping[int, bytes]) -> BridgePort:
    return BridgePort(
        learning=_flag(data.get(IFLA_BRPORT_LEARNING)),
        neigh_suppress=_flag(data.get(IFLA_BRPORT_NEIGH_SUPPRESS)),
        isolated=_flag(data.get(IFLA_BRPORT_ISOLATED)),
        state=_number(data.get(IFLA_BRPORT_STATE)),
    )


def _nested(octets: bytes | None) -> dict[int, bytes]:
    return attributes(octets, 0, len(octets)) if octets else {}


def _number(octets: bytes | None) -> int | None:
    return None if octets is None else int.from_bytes(octets, sys.byteorder)


def _flag(octets: bytes | None) -> bool | None:
    return None if octets is None else any(octets)


def _text(octets: bytes | None) -> str:
    return octets.rstrip(b"\0").decode(errors="replace") if octets else ""
