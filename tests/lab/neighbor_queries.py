"""Which addresses are asked for across the underlay: ARP requests and neighbor solicitations inside of VXLAN.

Listens at one port of the underlay's switch, so that no node is its own witness. Knows IPv4 underlays only, and not
whether anybody answers.
"""

import socket
import struct
import time
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.lab.namespaces import Node
from tests.lab.wait import PATIENCE

VXLAN_PORT: Final = 4789
ETH_P_ALL: Final = 3
ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_IPV6: Final = 0x86DD
ARP_REQUEST: Final = 1
NEIGHBOR_SOLICITATION: Final = 135
_INNER: Final = 14 + 20 + 8 + 8
"""Ethernet, IPv4 without options, UDP, VXLAN."""


class NeighborQuery(NamedTuple):
    """A copy that one VTEP was sent."""

    vni: int
    wanted: str
    vtep: str


class NeighborQueries:
    """One listener, from its making on: what nobody asked for yet waits in the socket."""

    def __init__(self, switch: Node, port: str) -> None:
        """Hear what comes from the node that is plugged in there."""
        self.heard: list[NeighborQuery] = []
        self._socket = switch.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.bind((port, ETH_P_ALL))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def until(self, wanted: str, deadline_s: float = 5.0) -> bool:
        """Hear until this address is asked for, and tell whether it was."""
        end = time.monotonic() + deadline_s * PATIENCE
        while (left_s := end - time.monotonic()) > 0:
            self._socket.settimeout(left_s)
            try:
                frame, (_, _, packet_type, *_) = self._socket.recvfrom(2048)
            except TimeoutError:
                return False
            question = _read(frame) if packet_type != socket.PACKET_OUTGOING else None
            if question is not None:
                self.heard.append(question)
                if question.wanted == wanted:
                    return True
        return False


def _read(frame: bytes) -> NeighborQuery | None:
    if frame[12:14] != struct.pack("!H", ETH_P_IP) or frame[23] != socket.IPPROTO_UDP:
        return None
    if frame[36:38] != struct.pack("!H", VXLAN_PORT):
        return None
    wanted = _wanted(frame[_INNER:])
    vni = int.from_bytes(frame[_INNER - 4 : _INNER - 1])
    return NeighborQuery(vni, wanted, socket.inet_ntop(socket.AF_INET, frame[30:34])) if wanted else None


def _wanted(inner: bytes) -> str:
    ethertype, body = int.from_bytes(inner[12:14]), inner[14:]
    if ethertype == ETH_P_ARP and int.from_bytes(body[6:8]) == ARP_REQUEST:
        return socket.inet_ntop(socket.AF_INET, body[24:28])
    if ethertype == ETH_P_IPV6 and body[6] == socket.IPPROTO_ICMPV6 and body[40] == NEIGHBOR_SOLICITATION:
        return socket.inet_ntop(socket.AF_INET6, body[48:64])
    return ""
