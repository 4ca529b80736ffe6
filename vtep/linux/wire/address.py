"""The addresses of this machine's own devices, as the kernel lists them.

Knows the octets of RTM_NEWADDR. Does not know a socket, or what an address is wanted for.
"""

import struct
from typing import Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.linux.wire.neighbor import NLM_F_DUMP, NLM_F_REQUEST, RTM_GETADDR, attributes

IFA_ADDRESS: Final = 1
IFA_LOCAL: Final = 2
IFA_FLAGS: Final = 8
IFA_F_DADFAILED: Final = 0x08
IFA_F_OPTIMISTIC: Final = 0x04
IFA_F_TENTATIVE: Final = 0x40


class Address(Struct, frozen=True, gc=False):
    device: int
    ip: Ip
    usable: bool = True
    """No other host was found to have it (RFC 4862 5.4)."""
    prefix: int | None = None
    """The length of its network's prefix."""

    @property
    def broadcast(self) -> Ip | None:
        """The broadcast address of its network, if that has one: IPv4, and room for more than two addresses."""
        if self.prefix is None or self.ip.is_v6 or self.prefix > 30:
            return None
        return Ip((int.from_bytes(self.ip) | (1 << (32 - self.prefix)) - 1).to_bytes(4))


def request_addresses(seq: int) -> bytes:
    """Ask for all addresses of all devices."""
    return struct.pack("=IHHII", 24, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, seq, 0) + bytes(_IFADDR.size)


def parse_address(datagram: bytes, start: int, end: int) -> Address | None:
    """Read the body of one RTM_NEWADDR; on a point-to-point device IFA_ADDRESS is the other side's."""
    prefix, flags, device = _IFADDR.unpack_from(datagram, start)
    found = attributes(datagram, start + _IFADDR.size, end)
    octets = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS)
    if octets is None or len(octets) not in (4, 16):
        return None
    if IFA_FLAGS in found:
        (flags,) = struct.unpack("=I", found[IFA_FLAGS])
    suspect = flags & IFA_F_DADFAILED or (flags & IFA_F_TENTATIVE and not flags & IFA_F_OPTIMISTIC)
    return Address(device, Ip.unpack(octets), usable=not suspect, prefix=prefix)


def device_of_address(datagram: bytes, start: int) -> int:
    """Return whose address the body of an RTM_NEWADDR or RTM_DELADDR is about."""
    device: int = _IFADDR.unpack_from(datagram, start)[2]
    return device


_IFADDR: Final = struct.Struct("=xBBxi")
