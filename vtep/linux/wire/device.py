"""Messages that make, change and remove devices, with their VLANs, VNIs, addresses and the MACs that a bridge takes as its own.

Knows the octets of RTM_NEWLINK, RTM_SETLINK, RTM_DELLINK, RTM_NEWTUNNEL and RTM_NEWADDR, and has those of RTM_NEWNEIGH from
`neighbor.py`. That one, `link.py`, `vlan.py` and `address.py` read what these make. Does not know why a device should be as it is.

A message names its device, and the kernel is given an index: what resolves the name (`Index`) also decides whether the device
may be changed. Each message has one setting, so that a refusal says which one was refused.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Literal

from msgspec import Struct

from vtep.addr import Ip, Mac
from vtep.linux.wire.address import IFA_ADDRESS, IFA_LOCAL, RTM_DELADDR, RTM_NEWADDR
from vtep.linux.wire.link import (
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_AF_SPEC,
    IFLA_BR_MCAST_SNOOPING,
    IFLA_BR_VLAN_DEFAULT_PVID,
    IFLA_BR_VLAN_FILTERING,
    IFLA_BRPORT_LEARNING,
    IFLA_BRPORT_NEIGH_SUPPRESS,
    IFLA_BRPORT_VLAN_TUNNEL,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_INET6_ADDR_GEN_MODE,
    IFLA_INET_CONF,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_INFO_SLAVE_DATA,
    IFLA_INFO_SLAVE_KIND,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    IFLA_VLAN_ID,
    IFLA_VRF_TABLE,
    IFLA_VXLAN_COLLECT_METADATA,
    IFLA_VXLAN_ID,
    IFLA_VXLAN_LEARNING,
    IFLA_VXLAN_LOCAL,
    IFLA_VXLAN_LOCAL6,
    IFLA_VXLAN_PORT,
    IFLA_VXLAN_UDP_ZERO_CSUM6_RX,
    IFLA_VXLAN_VNIFILTER,
    IN6_ADDR_GEN_MODE_NONE,
    IPV4_DEVCONF_FORWARDING,
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
)
from vtep.linux.wire.neighbor import NTF_SELF, NUD_PERMANENT, Neighbor, Verb
from vtep.linux.wire.neighbor import encode as encode_neighbor
from vtep.linux.wire.tlv import (
    AF_BRIDGE,
    AF_INET,
    AF_INET6,
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    attribute,
    attribute_u32,
    message,
)
from vtep.linux.wire.vlan import (
    BRIDGE_VLAN_INFO_PVID,
    BRIDGE_VLAN_INFO_UNTAGGED,
    RTM_DELTUNNEL,
    RTM_NEWTUNNEL,
    VXLAN_VNIFILTER_ENTRY,
    VXLAN_VNIFILTER_ENTRY_START,
)

RTM_SETLINK: Final = 19
IFLA_BRIDGE_FLAGS: Final = 0
BRIDGE_FLAGS_SELF: Final = 2
IFLA_BRIDGE_VLAN_INFO: Final = 2
IFLA_BRIDGE_VLAN_TUNNEL_INFO: Final = 3
IFLA_BRIDGE_VLAN_TUNNEL_ID: Final = 1
IFLA_BRIDGE_VLAN_TUNNEL_VID: Final = 2
IN6_ADDR_GEN_MODE_EUI64: Final = 0

Act = Literal["make", "replace", "remove", "set", "put", "drop"]


class DeviceMessage(Struct, frozen=True):
    """One change of one device."""

    act: Act
    """make or remove the device; `replace` asks for the two together; set a setting; put or drop a VLAN, a VNI, an address or a MAC."""
    device: str
    """Its name: an index would be that of another device if the device was made again meanwhile."""
    what: str = ""
    """The type of a device that is made, the setting, or `vlan`, `vni`, `address` or `mac`."""
    value: Any = None
    """Of the setting; what is fixed when a device is made; the VLAN, VNI, address or MAC."""
    settings: Mapping[str, Any] = {}
    """With which a device is made."""

    also: ClassVar[tuple[()]] = ()


class VlanValue(Struct, frozen=True):
    """What a port, or a bridge itself, should have for a VLAN."""

    vlan: int
    """The VLAN ID, 1 to 4094."""
    pvid: bool = False
    """Frames that enter by the port without a tag belong to this VLAN."""
    untagged: bool = False
    """Frames of this VLAN leave by the port without a tag."""
    vni: int | None = None
    """The VNI to which a VXLAN device for many maps the VLAN."""
    itself: bool = False
    """The VLAN is one of the bridge itself, and not of a port."""


class AddressValue(Struct, frozen=True):
    """An address of a device, with the length of its network's prefix."""

    ip: Ip
    prefix: int


class MacValue(Struct, frozen=True):
    """A MAC whose frames a bridge takes itself, in one of its VLANs."""

    vlan: int
    mac: Mac


Index = Callable[[str], int]
"""Returns the index of a device by its name."""


def encode(row: DeviceMessage, index: Index, seq: int) -> bytes:
    """Return the message, which asks for an acknowledgement.

        act       what                 message                            flags beside REQUEST and ACK
        make      type of a device     RTM_NEWLINK                        CREATE, EXCL: a device of this name is EEXIST
        remove                         RTM_DELLINK
        set       setting              RTM_NEWLINK with one attribute
        put       vlan                 RTM_SETLINK of AF_BRIDGE
        drop      vlan                 RTM_DELLINK of AF_BRIDGE
        put       vni                  RTM_NEWTUNNEL (5.18)
        drop      vni                  RTM_DELTUNNEL
        put       address              RTM_NEWADDR                        CREATE, REPLACE: one that is there is no error
        drop      address              RTM_DELADDR
        put       mac                  RTM_NEWNEIGH of AF_BRIDGE, SELF    CREATE, REPLACE: it may have been learned at a port
        drop      mac                  RTM_DELNEIGH

    Without CREATE a message about a device that is gone is refused with ENODEV, and does not make one.
    """
    flags = NLM_F_REQUEST | NLM_F_ACK
    if row.act == "make":
        return message(RTM_NEWLINK, flags | NLM_F_CREATE | NLM_F_EXCL, seq, _made(row, index))
    if row.act == "remove":
        return message(RTM_DELLINK, flags, seq, _ifinfo(index(row.device)))
    device = index(row.device)
    if row.act == "set":
        if row.what == "up":
            return message(RTM_NEWLINK, flags, seq, _ifinfo(device, IFF_UP if row.value else 0, IFF_UP))
        return message(RTM_NEWLINK, flags, seq, _ifinfo(device) + _setting(row.what, row.value, index))
    puts = row.act == "put"
    if row.what == "vlan":
        body = _ifinfo(device, family=AF_BRIDGE) + _vlan(row.value, puts=puts)
        return message(RTM_SETLINK if puts else RTM_DELLINK, flags, seq, body)
    if row.what == "vni":
        entry = attribute(VXLAN_VNIFILTER_ENTRY | NLA_F_NESTED, attribute_u32(VXLAN_VNIFILTER_ENTRY_START, row.value))
        return message(RTM_NEWTUNNEL if puts else RTM_DELTUNNEL, flags, seq, _TUNNEL.pack(AF_BRIDGE, device) + entry)
    if row.what == "mac":
        verb, mac, vlan = Verb.REPLACE if puts else Verb.DELETE, row.value.mac, row.value.vlan
        local = Neighbor(verb, device, mac, NTF_SELF, NUD_PERMANENT, vlan=vlan)
        return encode_neighbor(local, seq, acknowledged=True)
    octets = bytes(row.value.ip)
    is_v6 = row.value.ip.is_v6
    body = _IFADDR.pack(AF_INET6 if is_v6 else AF_INET, row.value.prefix, IFA_F_NODAD * is_v6, device)
    body += attribute(IFA_LOCAL, octets) + attribute(IFA_ADDRESS, octets)
    if puts:
        return message(RTM_NEWADDR, flags | NLM_F_CREATE | NLM_F_REPLACE, seq, body)
    return message(RTM_DELADDR, flags, seq, body)


def request_link(device: str | int, seq: int) -> bytes:
    """Ask for one device by its name or its index."""
    body = _ifinfo(device) if isinstance(device, int) else _ifinfo(0) + _name(device)
    return message(RTM_GETLINK, NLM_F_REQUEST, seq, body)


_IFINFO: Final = struct.Struct("=BxHiII")
_TUNNEL: Final = struct.Struct("=BxxxI")
_IFADDR: Final = struct.Struct("=BBBxi")
IFA_F_NODAD: Final = 0x02
"""Every leaf has an anycast address, and a search for duplicates would find the others."""
_U16: Final = struct.Struct("=H")
_VLAN_INFO: Final = struct.Struct("=HH")


def _ifinfo(index: int, flags: int = 0, changes: int = 0, family: int = 0) -> bytes:
    return _IFINFO.pack(family, 0, index, flags, changes)


def _name(name: str) -> bytes:
    return attribute(IFLA_IFNAME, name.encode() + b"\0")


def _flag(kind: int, value: Any) -> bytes:
    return attribute(kind, bytes((bool(value),)))


def _local(value: Ip) -> bytes:
    return attribute(IFLA_VXLAN_LOCAL6 if value.is_v6 else IFLA_VXLAN_LOCAL, bytes(value))


_DATA: Final[Mapping[str, tuple[str, Callable[[Any], bytes]]]] = {
    "vlan_filtering": ("bridge", lambda value: _flag(IFLA_BR_VLAN_FILTERING, value)),
    "vlan_default_pvid": ("bridge", lambda value: attribute(IFLA_BR_VLAN_DEFAULT_PVID, _U16.pack(value))),
    "mcast_snooping": ("bridge", lambda value: _flag(IFLA_BR_MCAST_SNOOPING, value)),
    "local": ("vxlan", _local),
    "learning": ("vxlan", lambda value: _flag(IFLA_VXLAN_LEARNING, value)),
    "id": ("vxlan", lambda value: attribute_u32(IFLA_VXLAN_ID, value)),
    "dstport": ("vxlan", lambda value: attribute(IFLA_VXLAN_PORT, value.to_bytes(2))),
    "external": ("vxlan", lambda value: _flag(IFLA_VXLAN_COLLECT_METADATA, value) if value else b""),
    "vnifilter": ("vxlan", lambda value: _flag(IFLA_VXLAN_VNIFILTER, value) if value else b""),
    "vlan": ("vlan", lambda value: attribute(IFLA_VLAN_ID, _U16.pack(value))),
    "table": ("vrf", lambda value: attribute_u32(IFLA_VRF_TABLE, value)),
}
"""Settings that belong to one type of device."""
_PORT: Final[Mapping[str, int]] = {
    "port_learning": IFLA_BRPORT_LEARNING,
    "neigh_suppress": IFLA_BRPORT_NEIGH_SUPPRESS,
    "vlan_tunnel": IFLA_BRPORT_VLAN_TUNNEL,
}
"""Flags of a device as a port of its bridge."""


def _setting(name: str, value: Any, index: Index) -> bytes:
    """Return the attributes that set one setting, by the name that `vtep.linux.settings` has for it.

    The settings of one type of device and the flags of a port are in tables. The others are attributes of any device,
    and MTU is what remains. An empty `master` takes the device out of its bridge or VRF.
    """
    if name in _DATA:
        kind, spell = _DATA[name]
        return _info(kind, spell(value))
    if name in _PORT:
        data = attribute(IFLA_INFO_SLAVE_KIND, b"bridge\0") + attribute(IFLA_INFO_SLAVE_DATA, _flag(_PORT[name], value))
        return attribute(IFLA_LINKINFO, data)
    if name == "master":
        return attribute_u32(IFLA_MASTER, index(value) if value else 0)
    if name == "link_local":
        mode = attribute(
            IFLA_INET6_ADDR_GEN_MODE, bytes((IN6_ADDR_GEN_MODE_EUI64 if value else IN6_ADDR_GEN_MODE_NONE,))
        )
        return attribute(IFLA_AF_SPEC, attribute(AF_INET6, mode))
    if name == "forwards":
        # The kernel reports an array, which begins at 0. It takes nested attributes, whose types begin at 1.
        # Linux 7.2 refuses the list without the mark, which older kernels take as well.
        conf = attribute(IFLA_INET_CONF | NLA_F_NESTED, attribute_u32(IPV4_DEVCONF_FORWARDING + 1, bool(value)))
        return attribute(IFLA_AF_SPEC, attribute(AF_INET, conf))
    if name == "mac":
        return attribute(IFLA_ADDRESS, bytes(Mac(value)))
    if name == "alias":
        return attribute(IFLA_IFALIAS, value.encode())
    return attribute_u32(IFLA_MTU, value)


def _info(kind: str, data: bytes) -> bytes:
    """Return IFLA_LINKINFO. The kernel wants the type of a device with each change of a setting of that type."""
    return attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, kind.encode() + b"\0") + attribute(IFLA_INFO_DATA, data))


def _made(row: DeviceMessage, index: Index) -> bytes:
    """Return a device as it is made, with what can be given at once: the rest is set afterwards."""
    body, data = _ifinfo(0) + _name(row.device), b""
    for name, value in {**row.value, **row.settings}.items():
        if name == "below":
            body += attribute_u32(IFLA_LINK, index(value))
        elif name == "vlan_filtering" and not value:
            continue  # so a bridge is made, and a kernel without VLAN filtering refuses even to switch it off
        elif name == "mtu" and row.what == "vlan":
            continue  # the device below may not have its own yet, and more than that is refused
        elif name in _DATA:
            data += _DATA[name][1](value)
        elif name in ("mtu", "mac"):
            body += _setting(name, value, index)
    local = row.settings.get("local")
    if row.what == "vxlan" and local is not None and local.is_v6:
        data += _flag(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, True)  # only at birth; many switches send no checksum (RFC 6935)
    return body + _info(row.what, data)


def _vlan(value: VlanValue, *, puts: bool) -> bytes:
    """Return IFLA_AF_SPEC with one VLAN, and with its VNI if the port maps it to one.

    A deletion needs no VNI: the kernel removes the mapping along with the VLAN. BRIDGE_FLAGS_SELF says that the VLAN is
    one of the bridge itself.
    """
    flags = BRIDGE_VLAN_INFO_PVID * value.pvid | BRIDGE_VLAN_INFO_UNTAGGED * value.untagged
    inside = attribute(IFLA_BRIDGE_FLAGS, _U16.pack(BRIDGE_FLAGS_SELF)) if value.itself else b""
    inside += attribute(IFLA_BRIDGE_VLAN_INFO, _VLAN_INFO.pack(flags, value.vlan))
    if value.vni is not None and puts:
        mapped = attribute_u32(IFLA_BRIDGE_VLAN_TUNNEL_ID, value.vni)
        mapped += attribute(IFLA_BRIDGE_VLAN_TUNNEL_VID, _U16.pack(value.vlan))
        inside += attribute(IFLA_BRIDGE_VLAN_TUNNEL_INFO | NLA_F_NESTED, mapped)
    return attribute(IFLA_AF_SPEC, inside)
