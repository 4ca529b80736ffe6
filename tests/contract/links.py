"""The few commands of `ip link` that make and change a world, sent to the kernel by this process itself.

A process costs 2 ms to start on most machines. Under user-mode Linux 6.1 it costs 100 ms to 500 ms, because that kernel maps the
whole memory of the parent again. Knows the words that worlds.py uses, and returns None for any other command: `ip` runs those.

    link add NAME [index N] [address MAC] type bridge | veth peer name NAME | vxlan id N local IP dstport N nolearning [maxaddress N]
    link set NAME up | down | master NAME | nomaster | addrgenmode none | type bridge_slave learning on|off
    link del NAME
"""

import os
import socket
import struct
from collections.abc import Sequence

from vtep.addr import Ip, Mac
from vtep.linux.wire.tlv import (
    AF_INET6,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    attribute,
    attribute_u32,
    message,
)

RTM_NEWLINK, RTM_DELLINK = 16, 17
ADDRESS, IFNAME, MASTER, LINKINFO, AF_SPEC = 1, 3, 10, 18, 26
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


def _request(words: list[str]) -> tuple | None:
    match words:
        case ["link", "add", name, *rest] if "type" in rest:
            cut = rest.index("type")
            options = dict(zip(rest[:cut:2], rest[1:cut:2], strict=True))
            index, address = int(options.pop("index", 0)), options.pop("address", "")
            info = _made(rest[cut + 1 :])
            if options or info is None:
                return None
            hardware = attribute(ADDRESS, bytes(Mac.parse(address))) if address else b""
            return RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, index, 0, 0, lambda: _name(name) + hardware + info
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
        case ["veth", "peer", "name", name]:
            peer = attribute(VETH_PEER, bytes(16) + _name(name))
            return attribute(LINKINFO, attribute(KIND, b"veth\0") + attribute(DATA, peer))
        case ["vxlan", "id", vni, "local", local, "dstport", port, "nolearning", *more]:
            if more and more[0] != "maxaddress":
                return None
            ip = Ip.parse(local)
            data = attribute_u32(VXLAN_ID, int(vni))
            data += attribute(VXLAN_LOCAL6 if ip.is_v6 else VXLAN_LOCAL, bytes(ip))
            data += attribute(VXLAN_PORT, struct.pack("!H", int(port))) + attribute(VXLAN_LEARNING, b"\0")
            data += attribute_u32(VXLAN_LIMIT, int(more[1])) if more else b""
            return attribute(LINKINFO, attribute(KIND, b"vxlan\0") + attribute(DATA, data))
    return None


def _name(name: str) -> bytes:
    return attribute(IFNAME, name.encode() + b"\0")
