"""The few commands of `ip link` that make and change a world, sent to the kernel by this process itself.

A process costs 2 ms to start on most machines. Under user-mode Linux 6.1 it costs 100 ms to 500 ms, because that kernel maps the
whole memory of the parent again. Knows the words that worlds.py uses, and returns None for any other command: `ip` runs those.

    link add NAME [index N] [address MAC] [link NAME] type bridge [vlan_filtering 1] | veth peer name NAME | vlan id N
        | vxlan id N|external vnifilter local IP dstport N nolearning [maxaddress N]
    link set NAME up | down | master NAME | nomaster | addrgenmode none | type bridge_slave learning on|off
    link del NAME

And of `bridge`, for ports that have VLANs:

    vlan add dev NAME vid N [pvid untagged | self | tunnel_info id N]
    vni add dev NAME vni N
    link set dev NAME vlan_tunnel on
"""

import os
import socket
import struct
from collections.abc import Sequence

from vtep.addr import Ip, Mac
from vtep.linux.wire.tlv import (
    AF_BRIDGE,
    AF_INET6,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    attribute,
    attribute_u32,
    attributes,
    message,
)

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK, RTM_NEWTUNNEL = 16, 17, 18, 19, 120
OPERSTATE, OPERSTATE_UP = 16, 6
NESTED = 0x8000
PROTINFO, BRIDGE_PORT_VLAN_TUNNEL = 12, 29
BRIDGE_FLAGS, BRIDGE_FLAGS_SELF, BRIDGE_VLAN_INFO, BRIDGE_VLAN_TUNNEL_INFO, BRIDGE_VLAN_PVID_UNTAGGED = 0, 2, 2, 3, 6
VLAN_FILTERING, VLAN_ID, VXLAN_EXTERNAL, VXLAN_VNIFILTER = 7, 1, 25, 30
ADDRESS, IFNAME, LINK, MASTER, LINKINFO, AF_SPEC = 1, 3, 5, 10, 18, 26
KIND, DATA, SLAVE_KIND, SLAVE_DATA = 1, 2, 4, 5
VXLAN_ID, VXLAN_LOCAL, VXLAN_LEARNING, VXLAN_LIMIT, VXLAN_PORT, VXLAN_LOCAL6 = 1, 4, 7, 9, 15, 17
VETH_PEER, BRIDGE_PORT_LEARNING, ADDRGENMODE, ADDRGENMODE_NONE, UP = 1, 8, 8, 1, 1


def run_commands(commands: Sequence[str]) -> bool:
    """Run all the commands, or none of them if there is one that is not known here: then return False."""
    known = [request for command in commands if (request := _request(command.split())) is not None]
    if len(known) < len(commands):
        return False
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        for command, (kind, flags, index, is_up, changes, make) in zip(commands, known, strict=True):
            body = struct.pack("=BxHiII", 0, 0, index, is_up, changes) + make()
            kernel.send(message(kind, flags | NLM_F_REQUEST | NLM_F_ACK, 1, body))
            code = struct.unpack_from("=i", kernel.recv(65536), 16)[0]
            if code:
                raise OSError(-code, f"ip {command}: {os.strerror(-code)}")
    return True


def operating_state(name: str) -> int:
    """Return IFLA_OPERSTATE of a device (RFC 2863), which the kernel changes and announces some time after the carrier."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(message(RTM_GETLINK, NLM_F_REQUEST, 1, bytes(16) + _name(name)))
        answer = kernel.recv(65536)
    return attributes(answer, 32, len(answer))[OPERSTATE][0]


def _request(words: list[str]) -> tuple | None:
    match words:
        case ["link", "add", name, *rest] if "type" in rest:
            cut = rest.index("type")
            options = dict(zip(rest[:cut:2], rest[1:cut:2], strict=True))
            index, address, below = int(options.pop("index", 0)), options.pop("address", ""), options.pop("link", "")
            info = _made(rest[cut + 1 :])
            if options or info is None:
                return None
            hardware = attribute(ADDRESS, bytes(Mac.parse(address))) if address else b""
            return (
                RTM_NEWLINK,
                NLM_F_CREATE | NLM_F_EXCL,
                index,
                0,
                0,
                lambda: _name(name) + _below(below) + hardware + info,
            )
        case ["link", "del", name]:
            return RTM_DELLINK, 0, 0, 0, 0, lambda: _name(name)
        case ["link", "set", name, ("up" | "down") as state]:
            return RTM_NEWLINK, 0, 0, UP if state == "up" else 0, UP, lambda: _name(name)
        case ["link", "set", name, *change] if (made := _change(change)) is not None:
            return RTM_NEWLINK, 0, 0, 0, 0, lambda: _name(name) + made()
    return None


def _change(words: list[str]):
    match words:
        case ["master", bridge]:
            return lambda: attribute_u32(MASTER, socket.if_nametoindex(bridge))
        case ["nomaster"]:
            return lambda: attribute_u32(MASTER, 0)
        case ["addrgenmode", "none"]:
            mode = attribute(ADDRGENMODE, bytes([ADDRGENMODE_NONE]))
            return lambda: attribute(AF_SPEC, attribute(AF_INET6, mode))
        case ["type", "bridge_slave", "learning", ("on" | "off") as state]:
            learning = attribute(BRIDGE_PORT_LEARNING, bytes([state == "on"]))
            return lambda: attribute(LINKINFO, attribute(SLAVE_KIND, b"bridge\0") + attribute(SLAVE_DATA, learning))
    return None


def _made(words: list[str]) -> bytes | None:
    match words:
        case ["bridge"]:
            return attribute(LINKINFO, attribute(KIND, b"bridge\0"))
        case ["bridge", "vlan_filtering", "1"]:
            return attribute(LINKINFO, attribute(KIND, b"bridge\0") + attribute(DATA, attribute(VLAN_FILTERING, b"\1")))
        case ["vlan", "id", vlan]:
            data = attribute(VLAN_ID, struct.pack("=H", int(vlan)))
            return attribute(LINKINFO, attribute(KIND, b"vlan\0") + attribute(DATA, data))
        case ["vxlan", "external", "vnifilter", *rest]:
            made = _made(["vxlan", "id", "0", *rest])
            more = attribute(VXLAN_EXTERNAL, b"\1") + attribute(VXLAN_VNIFILTER, b"\1")
            return None if made is None else _vxlan(rest, more)
        case ["veth", "peer", "name", name]:
            peer = attribute(VETH_PEER, bytes(16) + _name(name))
            return attribute(LINKINFO, attribute(KIND, b"veth\0") + attribute(DATA, peer))
        case ["vxlan", "id", vni, "local", _, "dstport", _, "nolearning", *more]:
            return None if more and more[0] != "maxaddress" else _vxlan(words[3:], attribute_u32(VXLAN_ID, int(vni)))
    return None


def _vxlan(words: list[str], data: bytes) -> bytes:
    _, local, _, port, _, *more = words
    ip = Ip.parse(local)
    data += attribute(VXLAN_LOCAL6 if ip.is_v6 else VXLAN_LOCAL, bytes(ip))
    data += attribute(VXLAN_PORT, struct.pack("!H", int(port))) + attribute(VXLAN_LEARNING, b"\0")
    data += attribute_u32(VXLAN_LIMIT, int(more[1])) if more else b""
    return attribute(LINKINFO, attribute(KIND, b"vxlan\0") + attribute(DATA, data))


def _below(device: str) -> bytes:
    return attribute_u32(LINK, socket.if_nametoindex(device)) if device else b""


def run_bridge_commands(commands: Sequence[str]) -> None:
    """Run `bridge` commands. One that is not known is an error, as `bridge` itself is never started."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        for command in commands:
            kernel.send(_bridge_request(command.split()))
            code = struct.unpack_from("=i", kernel.recv(65536), 16)[0]
            if code:
                raise OSError(-code, f"bridge {command}: {os.strerror(-code)}")


def _bridge_request(words: list[str]) -> bytes:
    match words:
        case ["vlan", "add", "dev", name, "vid", vlan, "tunnel_info", "id", vni]:
            mapped = attribute_u32(1, int(vni)) + attribute(2, struct.pack("=H", int(vlan)))
            return _set_port(name, attribute(AF_SPEC, attribute(BRIDGE_VLAN_TUNNEL_INFO | NESTED, mapped)))
        case ["vlan", "add", "dev", name, "vid", vlan, *flags]:
            info = struct.pack("=HH", BRIDGE_VLAN_PVID_UNTAGGED if "pvid" in flags else 0, int(vlan))
            own = attribute(BRIDGE_FLAGS, struct.pack("=H", BRIDGE_FLAGS_SELF)) if "self" in flags else b""
            return _set_port(name, attribute(AF_SPEC, own + attribute(BRIDGE_VLAN_INFO, info)))
        case ["link", "set", "dev", name, "vlan_tunnel", "on"]:
            return _set_port(name, attribute(PROTINFO | NESTED, attribute(BRIDGE_PORT_VLAN_TUNNEL, b"\1")))
        case ["vni", "add", "dev", name, "vni", vni]:
            head = struct.pack("=BxxxI", AF_BRIDGE, socket.if_nametoindex(name))
            entry = attribute(1 | NESTED, attribute_u32(1, int(vni)))
            return message(RTM_NEWTUNNEL, NLM_F_REQUEST | NLM_F_ACK, 1, head + entry)
    raise ValueError(words)


def _set_port(name: str, change: bytes) -> bytes:
    head = struct.pack("=BxHiII", AF_BRIDGE, 0, socket.if_nametoindex(name), 0, 0)
    return message(RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, head + change)


def _name(name: str) -> bytes:
    return attribute(IFNAME, name.encode() + b"\0")
