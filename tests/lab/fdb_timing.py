"""When the rows of a node's VXLAN devices come and go, by the clock: what "in the kernel" means in a timing.

Reads the kernel's own announcements (RTNLGRP_NEIGH), so nothing of the product is believed. The half of a row that sends
frames to a VTEP counts: one message of the product writes both halves, and this one last (rtnl_fdb_add, kernel 6.18).
Knows netlink's octets, not what a row is for. May miss some, and says so; what must miss none is for `watch`.
"""

import errno
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.lab.namespaces import Node

RTM_NEWNEIGH: Final = 28
RTM_DELNEIGH: Final = 29
RTMGRP_NEIGH: Final = 4
NTF_SELF: Final = 2
NDA_DST: Final = 1
NDA_LLADDR: Final = 2
SO_RCVBUFFORCE: Final = 33
BUFFER: Final = 64 << 20


class FdbChange(NamedTuple):
    """A row is there now, with this VTEP, or is gone."""

    at: float
    """By the monotonic clock, when it was read here."""
    there: bool
    mac: str
    vtep: str


class FdbTimer:
    """One listener. What nobody asked for yet waits in the socket, and is timed when it is read."""

    def __init__(self, node: Node) -> None:
        self.overrun = False
        """The kernel said more than the socket could hold: some changes were never told."""
        self._socket = node.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        # In a user namespace only the smaller one is allowed.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        with suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self._socket.bind((0, RTMGRP_NEIGH))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def take(self, within_s: float) -> Iterator[FdbChange]:
        """Yield what comes in this time; in none, what waits already."""
        end = time.monotonic() + within_s
        while True:
            self._socket.settimeout(max(0.0, end - time.monotonic()))
            try:
                datagram = self._socket.recv(1 << 16)
            except (TimeoutError, BlockingIOError):
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overrun = True
                continue
            at = time.monotonic()
            for there, mac, vtep in _tunnel_rows(datagram):
                yield FdbChange(at, there, mac, vtep)

    def until(self, mac: str, vtep: str, deadline_s: float) -> list[FdbChange]:
        """Return what the MAC went through until it was at the VTEP (an empty one: gone); nothing if it never was."""
        passed = []
        for sighting in self.take(deadline_s):
            if sighting.mac != mac:
                continue
            passed.append(sighting)
            arrived = sighting.there and sighting.vtep == vtep
            if arrived if vtep else not sighting.there:
                return passed
        return []


def _tunnel_rows(datagram: bytes) -> Iterator[tuple[bool, str, str]]:
    """Read nlmsghdr (16 octets), ndmsg (12), attributes; a message without a VTEP is of the bridge's half."""
    start = 0
    while start + 28 <= len(datagram):
        size, kind = struct.unpack_from("=IH", datagram, start)
        family, flags = datagram[start + 16], datagram[start + 26]
        if kind in (RTM_NEWNEIGH, RTM_DELNEIGH) and family == socket.AF_BRIDGE and flags & NTF_SELF:
            found = _attributes(datagram[start + 28 : start + size])
            if NDA_DST in found and NDA_LLADDR in found:
                yield kind == RTM_NEWNEIGH, found[NDA_LLADDR].hex(":"), _address(found[NDA_DST])
        start += (max(size, 16) + 3) & ~3


def _attributes(octets: bytes) -> dict[int, bytes]:
    found = {}
    start = 0
    while start + 4 <= len(octets):
        size, kind = struct.unpack_from("=HH", octets, start)
        found[kind] = octets[start + 4 : start + size]
        start += (max(size, 4) + 3) & ~3
    return found


def _address(octets: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(octets) == 4 else socket.AF_INET6, octets)
