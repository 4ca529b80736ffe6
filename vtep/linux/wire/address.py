"""Messages about the addresses of this host's own devices: how all of them are asked for, and how one is read.

Knows the octets of RTM_NEWADDR. The value is in `vtep/linux/devices.py`.
"""

import struct
from collections.abc import Iterator
from typing import Final

from vtep.addr import Ip
from vtep.linux.devices import Address
from vtep.linux.wire.tlv import (
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Answer,
    attributes,
    message,
    parse_answer,
    split,
)

RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22

IFA_ADDRESS: Final = 1
IFA_LOCAL: Final = 2
IFA_FLAGS: Final = 8
IFA_F_DADFAILED: Final = 0x08
IFA_F_OPTIMISTIC: Final = 0x04
IFA_F_TENTATIVE: Final = 0x40


def request_addresses(seq: int) -> bytes:
    """Ask for all addresses of all devices."""
    return message(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, seq, bytes(_IFADDR.size))


def parse_addresses(datagram: bytes) -> Iterator[tuple[int, int, Address | Answer]]:
    """Yield (type, sequence number, address or answer) for each message."""
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, interrupted=True)
        if kind == RTM_NEWADDR:
            if (address := parse_address(datagram, start, end)) is not None:
                yield kind, seq, address
        elif kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)


def parse_address(datagram: bytes, start: int, end: int) -> Address | None:
    """Read the body of one RTM_NEWADDR; on a point-to-point device IFA_ADDRESS is the address of the other side.

        ifaddrmsg   family 1 · prefix length 1 · flags 1 · scope 1 · ifindex 4
        IFA_LOCAL   our address; IPv6 has it only beside the address of a peer, and IFA_ADDRESS otherwise
        IFA_FLAGS   4 octets, which replace the one octet of flags in the header

    An address is not usable while duplicate address detection is under way or after it failed (RFC 4862 5.4). An
    optimistic one is usable meanwhile (RFC 4429).
    """
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
    """Return the device that the body of an RTM_NEWADDR or RTM_DELADDR names."""
    device: int = _IFADDR.unpack_from(datagram, start)[2]
    return device


_IFADDR: Final = struct.Struct("=xBBxi")
