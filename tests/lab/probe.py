"""Traffic of one station: a ping by raw socket, since the program `ping` may be absent, and a frame of a chosen MAC.

The sockets belong to the node and are used from here, so nothing has to be started inside. Knows nothing of tunnels.
"""

import contextlib
import itertools
import os
import socket
import struct
import time
from typing import Final

from tests.lab.namespaces import Node

ASK_S: Final = 0.1
"""How long one echo request waits before the next is sent."""
ETH_P_LOOPBACK: Final = 0x9000
"""Frames for testing a wire: a station may send them and nobody answers."""

_IDENTIFIERS = itertools.count(os.getpid())


def ping(node: Node, address: str, deadline_s: float = 2.0) -> float | None:
    """Return the seconds that the first answered echo took, or nothing when none was answered in time."""
    v6 = ":" in address
    family = socket.AF_INET6 if v6 else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    identifier = next(_IDENTIFIERS) & 0xFFFF
    end = time.monotonic() + deadline_s
    with node.socket(family, socket.SOCK_RAW, protocol) as raw:
        for sequence in itertools.count(1):
            sent_at = time.monotonic()
            if sent_at >= end:
                return None
            # Without a route or a neighbour the kernel refuses to send; that may change before the deadline.
            with contextlib.suppress(OSError):
                raw.sendto(_echo_request(128 if v6 else 8, identifier, sequence), (address, 0))
            if _answered(raw, 129 if v6 else 0, identifier, sequence, min(end, sent_at + ASK_S)):
                return time.monotonic() - sent_at
    return None


def speak(node: Node, interface: str, mac: str, to: str = "ff:ff:ff:ff:ff:ff") -> None:
    """Send one frame with this source MAC, as a station does that just came up."""
    frame = _octets(to) + _octets(mac) + struct.pack("!H", ETH_P_LOOPBACK) + bytes(46)
    with node.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        raw.send(frame)


def _echo_request(kind: int, identifier: int, sequence: int) -> bytes:
    unsummed = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", kind, 0, _checksum(unsummed), identifier, sequence)


def _checksum(octets: bytes) -> int:
    """RFC 1071; for ICMPv6 the kernel puts its own in place."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _answered(raw: socket.socket, kind: int, identifier: int, sequence: int, end: float) -> bool:
    wanted = struct.pack("!HH", identifier, sequence)
    while (left_s := end - time.monotonic()) > 0:
        raw.settimeout(left_s)
        try:
            packet = raw.recv(2048)
        except TimeoutError:
            return False
        # IPv4 gives its header too, IPv6 does not.
        message = packet[4 * (packet[0] & 15) :] if raw.family == socket.AF_INET else packet
        if message[0] == kind and message[4:8] == wanted:
            return True
    return False


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
