"""Messages about devices: how all of them are asked for, and how one is read.

Knows the octets of RTM_NEWLINK. The values are in `vtep/linux/devices.py`.

They are read by hand and not by pyroute2's classes, which decode the whole message: 700 us for a VXLAN device instead of 10,
and the picture is taken for every pass that looks at devices. A contract test compares this reading with theirs.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from vtep.addr import Ip, Mac
from vtep.linux.devices import Bridge, BridgePort, Link, Vxlan
from vtep.linux.wire.tlv import (
    AF_BRIDGE,
    AF_INET,
    AF_INET6,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Answer,
    attribute_u32,
    attributes,
    flag,
    message,
    nested,
    number,
    parse_answer,
    split,
    text,
)

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18

IFF_UP: Final = 0x01
IFF_LOWER_UP: Final = 0x10000
IFLA_ADDRESS: Final = 1
IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4
IFLA_LINK: Final = 5
IFLA_MASTER: Final = 10
IFLA_LINKINFO: Final = 18
IFLA_IFALIAS: Final = 20
IFLA_EXT_MASK: Final = 29
IFLA_CARRIER_DOWN_COUNT: Final = 48
IFLA_VRF_TABLE: Final = 1
IFLA_AF_SPEC: Final = 26
IFLA_INET_CONF: Final = 1
IFLA_INET6_CONF: Final = 2
IFLA_INET6_ADDR_GEN_MODE: Final = 8
IN6_ADDR_GEN_MODE_NONE: Final = 1
IPV4_DEVCONF_FORWARDING: Final = 0
"""Places in the array; linux/ip.h counts from 1, the array from 0. linux/ipv6.h counts from 0."""
DEVCONF_FORWARDING: Final = 0
DEVCONF_DISABLE_IPV6: Final = 26
IFLA_INFO_KIND: Final = 1
IFLA_INFO_DATA: Final = 2
IFLA_INFO_SLAVE_KIND: Final = 4
IFLA_INFO_SLAVE_DATA: Final = 5
IFLA_VXLAN_ID: Final = 1
IFLA_VXLAN_GROUP: Final = 2
IFLA_VXLAN_LINK: Final = 3
IFLA_VXLAN_LOCAL: Final = 4
IFLA_VXLAN_TTL: Final = 5
IFLA_VXLAN_LEARNING: Final = 7
IFLA_VXLAN_PROXY: Final = 11
IFLA_VXLAN_PORT: Final = 15
IFLA_VXLAN_GROUP6: Final = 16
IFLA_VXLAN_LOCAL6: Final = 17
IFLA_VXLAN_UDP_ZERO_CSUM6_RX: Final = 20
IFLA_VXLAN_COLLECT_METADATA: Final = 25
IFLA_VXLAN_VNIFILTER: Final = 30
IFLA_VLAN_ID: Final = 1
IFLA_BR_VLAN_FILTERING: Final = 7
IFLA_BR_MCAST_SNOOPING: Final = 23
IFLA_BR_VLAN_DEFAULT_PVID: Final = 39
IFLA_BRPORT_STATE: Final = 1
IFLA_BRPORT_LEARNING: Final = 8
IFLA_BRPORT_FLUSH: Final = 24
IFLA_BRPORT_VLAN_TUNNEL: Final = 29
IFLA_BRPORT_NEIGH_SUPPRESS: Final = 32
IFLA_BRPORT_ISOLATED: Final = 33
IFLA_BRPORT_BACKUP_PORT: Final = 34
IFLA_BRPORT_NEIGH_VLAN_SUPPRESS: Final = 43
RTEXT_FILTER_SKIP_STATS: Final = 1 << 3


def request_links(seq: int) -> bytes:
    """Ask for all devices without their counters."""
    body = bytes(_IFINFO.size) + attribute_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, seq, body)


def parse_links(datagram: bytes) -> Iterator[tuple[int, int, Link | Answer]]:
    """Yield (type, sequence number, device or answer) for each message."""
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, interrupted=True)
        if kind == RTM_NEWLINK:
            yield kind, seq, parse_link(datagram, start, end)
        elif kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)


def parse_link(datagram: bytes, start: int, end: int) -> Link:
    """Read the body of one RTM_NEWLINK.

        ifinfomsg       family 1 · pad 1 · type 2 · ifindex 4 · flags 4 · change 4
        IFLA_*          name, MTU, MAC, alias; MASTER is the bridge or the VRF, and LINK the device below
        IFLA_LINKINFO   KIND "vxlan" · DATA (IFLA_VXLAN_*) · SLAVE_KIND "bridge" · SLAVE_DATA (IFLA_BRPORT_*)
        IFLA_AF_SPEC    AF_INET (array of settings) · AF_INET6 (array of settings, ADDR_GEN_MODE)

    What the kernel did not report is None, because a condition must tell that from off. A physical device has no KIND,
    and its `kind` is empty.
    """
    index, flags = _IFINFO.unpack_from(datagram, start)
    found = attributes(datagram, start + _IFINFO.size, end)
    info = nested(found.get(IFLA_LINKINFO))
    kind = text(info.get(IFLA_INFO_KIND))
    data = nested(info.get(IFLA_INFO_DATA))
    address = found.get(IFLA_ADDRESS, b"")
    families = nested(found.get(IFLA_AF_SPEC))
    ipv4 = nested(families.get(AF_INET)).get(IFLA_INET_CONF, b"")
    inet6 = nested(families.get(AF_INET6))
    ipv6 = inet6.get(IFLA_INET6_CONF, b"")
    mode = number(inet6.get(IFLA_INET6_ADDR_GEN_MODE))
    is_bridge_port = text(info.get(IFLA_INFO_SLAVE_KIND)) == "bridge"
    return Link(
        index=index,
        name=text(found.get(IFLA_IFNAME)),
        kind=kind,
        master=number(found.get(IFLA_MASTER)),
        below=number(found.get(IFLA_LINK)),
        up=bool(flags & IFF_UP),
        mac=Mac(address) if len(address) == 6 else None,
        mtu=number(found.get(IFLA_MTU)),
        bridge=_bridge(data) if kind == "bridge" else None,
        vxlan=_vxlan(data) if kind == "vxlan" else None,
        table=number(data.get(IFLA_VRF_TABLE)) if kind == "vrf" else None,
        carrier=bool(flags & IFF_LOWER_UP),
        carrier_losses=number(found.get(IFLA_CARRIER_DOWN_COUNT)),
        forwards=_setting(ipv4, IPV4_DEVCONF_FORWARDING),
        forwards_v6=_setting(ipv6, DEVCONF_FORWARDING),
        v6_disabled=_setting(ipv6, DEVCONF_DISABLE_IPV6),
        bridge_port=_bridge_port(nested(info.get(IFLA_INFO_SLAVE_DATA))) if is_bridge_port else None,
        vlan=number(data.get(IFLA_VLAN_ID)) if kind == "vlan" else None,
        alias=text(found.get(IFLA_IFALIAS)),
        makes_link_local=None if mode is None else mode != IN6_ADDR_GEN_MODE_NONE,
    )


def device_bounced(datagram: bytes, kind: int, start: int) -> tuple[int, ...]:
    """Return the device of an event if it came or went, went up or down, or left its bridge.

    All other events of a device leave its rows where they are. A bridge announces many of them for its ports.
    """
    family, index, changed = _CHANGED.unpack_from(datagram, start)
    return (index,) if kind == RTM_DELLINK or (family != AF_BRIDGE and changed & IFF_UP) else ()


_IFINFO: Final = struct.Struct("=4xiI4x")
_CHANGED: Final = struct.Struct("=B3xi4xI")


def _setting(settings: bytes, place: int) -> bool | None:
    """Read one of a device's settings from their array, in which each has 4 octets.

    None if the array is shorter: the kernel, or the family on this device, does not have the setting.
    """
    at = 4 * place
    return any(settings[at : at + 4]) if len(settings) >= at + 4 else None


def _bridge(data: Mapping[int, bytes]) -> Bridge:
    """Read IFLA_BR_*, of which only what decides about rows is kept."""
    return Bridge(
        flag(data.get(IFLA_BR_VLAN_FILTERING)),
        number(data.get(IFLA_BR_VLAN_DEFAULT_PVID)),
        flag(data.get(IFLA_BR_MCAST_SNOOPING)),
    )


def _vxlan(data: Mapping[int, bytes]) -> Vxlan:
    """Read IFLA_VXLAN_*: addresses and the UDP port are big-endian, and the other numbers are as the host has them."""
    local = data.get(IFLA_VXLAN_LOCAL) or data.get(IFLA_VXLAN_LOCAL6)
    remote = data.get(IFLA_VXLAN_GROUP) or data.get(IFLA_VXLAN_GROUP6)
    udp_port = data.get(IFLA_VXLAN_PORT)
    return Vxlan(
        vni=number(data.get(IFLA_VXLAN_ID)),
        local=Ip.unpack(local) if local else None,
        learning=flag(data.get(IFLA_VXLAN_LEARNING)),
        external=flag(data.get(IFLA_VXLAN_COLLECT_METADATA)),
        udp_port=int.from_bytes(udp_port) if udp_port else None,
        remote=Ip.unpack(remote) if remote else None,
        vni_filter=flag(data.get(IFLA_VXLAN_VNIFILTER)),
        below=number(data.get(IFLA_VXLAN_LINK)),
        ttl=number(data.get(IFLA_VXLAN_TTL)),
        proxy=flag(data.get(IFLA_VXLAN_PROXY)),
        takes_no_checksum=flag(data.get(IFLA_VXLAN_UDP_ZERO_CSUM6_RX)),
    )


def _bridge_port(data: Mapping[int, bytes]) -> BridgePort:
    """Read IFLA_BRPORT_*: how the bridge treats the device as its port. `state` is that of STP, 3 is forwarding."""
    return BridgePort(
        learning=flag(data.get(IFLA_BRPORT_LEARNING)),
        neigh_suppress=flag(data.get(IFLA_BRPORT_NEIGH_SUPPRESS)),
        isolated=flag(data.get(IFLA_BRPORT_ISOLATED)),
        vlan_tunnel=flag(data.get(IFLA_BRPORT_VLAN_TUNNEL)),
        neigh_vlan_suppress=flag(data.get(IFLA_BRPORT_NEIGH_VLAN_SUPPRESS)),
        state=number(data.get(IFLA_BRPORT_STATE)),
        backup=number(data.get(IFLA_BRPORT_BACKUP_PORT)) or None,
    )
