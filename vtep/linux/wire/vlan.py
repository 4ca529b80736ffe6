"""Messages about the VLANs of bridge ports and the VNIs of VXLAN devices: how all are asked for, and how one is read.

Knows the octets of RTM_NEWVLAN (linux/if_bridge.h, BRIDGE_VLANDB_*) and of RTM_NEWTUNNEL (linux/if_link.h, VXLAN_VNIFILTER_*).
The values are in `vtep/linux/devices.py`. A device has one message or several, and each entry of a message is one VLAN or a
range of alike ones. A kernel without VLAN filtering refuses the first request, and one before 5.18 the second.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from vtep.linux.devices import PortVlan, VniRange
from vtep.linux.wire.tlv import (
    AF_BRIDGE,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Answer,
    each_attribute,
    flag,
    message,
    nested,
    number,
    parse_answer,
    split,
)

RTM_NEWVLAN: Final = 112
RTM_DELVLAN: Final = 113
RTM_GETVLAN: Final = 114
RTM_NEWTUNNEL: Final = 120
RTM_DELTUNNEL: Final = 121
RTM_GETTUNNEL: Final = 122

BRIDGE_VLANDB_ENTRY: Final = 1
BRIDGE_VLANDB_ENTRY_INFO: Final = 1
BRIDGE_VLANDB_ENTRY_RANGE: Final = 2
BRIDGE_VLANDB_ENTRY_TUNNEL_INFO: Final = 4
BRIDGE_VLANDB_ENTRY_NEIGH_SUPPRESS: Final = 9
BRIDGE_VLANDB_TINFO_ID: Final = 1
BRIDGE_VLAN_INFO_PVID: Final = 0x02
BRIDGE_VLAN_INFO_UNTAGGED: Final = 0x04
VXLAN_VNIFILTER_ENTRY: Final = 1
VXLAN_VNIFILTER_ENTRY_START: Final = 1
VXLAN_VNIFILTER_ENTRY_END: Final = 2

T = TypeVar("T")


def request_vlans(seq: int) -> bytes:
    """Ask for the VLANs of all bridges and ports."""
    return message(RTM_GETVLAN, NLM_F_REQUEST | NLM_F_DUMP, seq, _HEADER.pack(AF_BRIDGE, 0))


def request_vnis(seq: int) -> bytes:
    """Ask for the VNIs of all VXLAN devices that filter them."""
    return message(RTM_GETTUNNEL, NLM_F_REQUEST | NLM_F_DUMP, seq, _HEADER.pack(AF_BRIDGE, 0))


def parse_vlans(datagram: bytes) -> Iterator[tuple[int, int, tuple[int, PortVlan] | Answer]]:
    """Yield (type, sequence number, device with VLANs or answer)."""
    return _parse(datagram, RTM_NEWVLAN, BRIDGE_VLANDB_ENTRY, _vlan)


def parse_vnis(datagram: bytes) -> Iterator[tuple[int, int, tuple[int, VniRange] | Answer]]:
    """Yield (type, sequence number, device with VNIs or answer)."""
    return _parse(datagram, RTM_NEWTUNNEL, VXLAN_VNIFILTER_ENTRY, _vnis)


# br_vlan_msg and tunnel_msg have one layout.
_HEADER: Final = struct.Struct("=BxxxI")
_VLAN_INFO: Final = struct.Struct("=HH")


def _parse(
    datagram: bytes, wanted: int, entry: int, read: Callable[[dict[int, bytes]], T]
) -> Iterator[tuple[int, int, tuple[int, T] | Answer]]:
    """Yield each entry of each message with its device.

        br_vlan_msg             family 1 · pad 3 · ifindex 4
        BRIDGE_VLANDB_ENTRY     INFO (flags 2 · VLAN 2) · RANGE (last VLAN 2) · TUNNEL_INFO (VNI 4) · NEIGH_SUPPRESS 1
        tunnel_msg              family 1 · flags 1 · pad 2 · ifindex 4
        VXLAN_VNIFILTER_ENTRY   START 4 · END 4

    A device whose entries do not fit one message comes again in the next, so the caller collects them by device.
    """
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, interrupted=True)
        if kind == wanted:
            _, device = _HEADER.unpack_from(datagram, start)
            for name, value in each_attribute(datagram, start + _HEADER.size, end):
                if name == entry:
                    yield kind, seq, (device, read(nested(value)))
        elif kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)


def _vlan(found: dict[int, bytes]) -> PortVlan:
    """Read one VLAN, or a range: without BRIDGE_VLANDB_ENTRY_RANGE the entry is one VLAN."""
    flags, first = _VLAN_INFO.unpack_from(found[BRIDGE_VLANDB_ENTRY_INFO])
    return PortVlan(
        first=first,
        last=number(found.get(BRIDGE_VLANDB_ENTRY_RANGE)) or first,
        pvid=bool(flags & BRIDGE_VLAN_INFO_PVID),
        untagged=bool(flags & BRIDGE_VLAN_INFO_UNTAGGED),
        vni=number(nested(found.get(BRIDGE_VLANDB_ENTRY_TUNNEL_INFO)).get(BRIDGE_VLANDB_TINFO_ID)),
        neigh_suppress=flag(found.get(BRIDGE_VLANDB_ENTRY_NEIGH_SUPPRESS)),
    )


def _vnis(found: dict[int, bytes]) -> VniRange:
    """Read one VNI, or a range: without VXLAN_VNIFILTER_ENTRY_END the entry is one VNI."""
    first = number(found.get(VXLAN_VNIFILTER_ENTRY_START)) or 0
    return VniRange(first, number(found.get(VXLAN_VNIFILTER_ENTRY_END)) or first)
