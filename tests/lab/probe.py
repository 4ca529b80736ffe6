"""Traffic of one station: a ping by raw socket, since the program `ping` may be absent, and a frame of a chosen MAC.

The sockets belong to the node and are used from here, so nothing has to be started inside. Knows nothing of tunnels.
"""

import contextlib
import itertools
import os
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self

from tests.lab.namespaces import Node
from tests.lab.wait import PATIENCE

ASK_S: Final = 0.1
"""How long one echo request waits before the next is sent."""
ETH_P_LOOPBACK: Final = 0x9000
"""Frames for testing a wire: a station may send them and nobody answers."""

_IDENTIFIERS = itertools.count(os.getpid())


def ping(node: Node, address: str, deadline_s: float = 2.0 * PATIENCE, device: str = "") -> float | None:
    """Return the seconds that the first answered echo took, or nothing when none was answered in time.

    It goes as a program of this device does: with a VRF device by the routes of that VRF.
    """
    v6 = ":" in address
    family = socket.AF_INET6 if v6 else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    identifier = next(_IDENTIFIERS) & 0xFFFF
    end = time.monotonic() + deadline_s
    with node.socket(family, socket.SOCK_RAW, protocol) as raw:
        if device:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        for sequence in itertools.count(1):
            sent_at = time.monotonic()
            if sent_at >= end:
                return None
            # Without a route or a neighbor the kernel refuses to send; that may change before the deadline.
            with contextlib.suppress(OSError):
                raw.sendto(_echo_request(128 if v6 else 8, identifier, sequence), (address, 0))
            if _answered(raw, 129 if v6 else 0, identifier, sequence, min(end, sent_at + ASK_S)):
                return time.monotonic() - sent_at
    return None


class Pings:
    """A steady stream of at most 65,536 echo requests over IPv4, for as long as the context lasts, and which were lost."""

    STRAGGLERS_S: Final = 0.3
    """How long after the last question an answer still counts."""

    def __init__(self, node: Node, address: str, *, every_s: float = 0.01) -> None:
        self.every_s = every_s
        self.sent = 0
        self.answered: set[int] = set()
        self._address = address
        self._raw = node.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._identifier = next(_IDENTIFIERS) & 0xFFFF
        self._end = threading.Event()
        self._executor = ThreadPoolExecutor(1)

    @property
    def lost(self) -> int:
        return self.sent - len(self.answered)

    @property
    def away_s(self) -> float:
        """The longest time in which nothing was answered."""
        answered = sorted({-1, *self.answered, self.sent})
        return self.every_s * (max(after - before for before, after in itertools.pairwise(answered)) - 1)

    def back(self, since: int, number: int = 20) -> bool:
        """Tell whether so many questions in a row have been answered, of those behind the one of this number."""
        under_way = int(ASK_S / self.every_s)
        last = self.sent - under_way
        return last - number >= since and self.answered.issuperset(range(last - number, last))

    def __enter__(self) -> Self:
        self._running = self._executor.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._executor.shutdown()
        self._raw.close()
        self._running.result()

    def _run(self) -> None:
        start = time.monotonic()
        while not self._end.is_set():
            # Without a neighbor the kernel refuses to send: that is a lost one too.
            with contextlib.suppress(OSError):
                self._raw.sendto(_echo_request(8, self._identifier, self.sent), (self._address, 0))
            self.sent += 1
            self._hear_until(start + self.sent * self.every_s)
        self._hear_until(time.monotonic() + self.STRAGGLERS_S * PATIENCE)

    def _hear_until(self, end: float) -> None:
        while (left_s := end - time.monotonic()) > 0:
            self._raw.settimeout(left_s)
            try:
                packet = self._raw.recv(2048)
            except OSError:
                # A time-out, or what ICMP reports about an earlier question.
                continue
            kind, _, _, identifier, sequence = struct.unpack_from("!BBHHH", packet, 4 * (packet[0] & 15))
            if (kind, identifier) == (0, self._identifier):
                self.answered.add(sequence)


def speak(node: Node, interface: str, mac: str, to: str = "ff:ff:ff:ff:ff:ff") -> None:
    """Send one frame with this source MAC, as a station does that just came up."""
    with node.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        raw.send(loopback_frame(mac, to))


def loopback_frame(mac: str, to: str = "ff:ff:ff:ff:ff:ff") -> bytes:
    return _octets(to) + _octets(mac) + struct.pack("!H", ETH_P_LOOPBACK) + bytes(46)


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
