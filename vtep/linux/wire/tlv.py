"""The frame of every netlink message: headers, attributes, and the answer that ends a request.

Knows how a datagram is cut into messages and a message into attributes (type, length, value), and how the kernel says that a
request is done or refused. Does not know what a message is about: `neighbor.py`, `link.py` and `address.py` know that.

    nlmsghdr   length 4 · type 2 · flags 2 · sequence number 4 · port id 4
    body       a fixed header of the message's own type
    rtattr     length 2 · type 2 · value, filled up to 4 octets      any number of these

Numbers are in the byte order of the host. A datagram holds one message after the other, each filled up to 4 octets.

An answer is NLMSG_ERROR, with errno 0 for success, or NLMSG_DONE at the end of a dump. A refusal echoes the request that was
refused (the sockets here have NETLINK_CAP_ACK off), and it may add words (NETLINK_EXT_ACK). Several messages may share a
sequence number, and then the echo alone says which of them was refused.
"""

import struct
import sys
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from vtep.addr import Mac

# An address family says which table a message is about: AF_BRIDGE the FDB, AF_INET and AF_INET6 the ARP and ND rows.
AF_INET: Final = 2
AF_BRIDGE: Final = 7
AF_INET6: Final = 10

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3

# Flags of a request, then of an answer. From 0x100 on one bit has several meanings: REPLACE of a write and CAPPED of an
# answer are the same bit, and a DUMP is ROOT 0x100 and MATCH 0x200 together.
NLM_F_REQUEST: Final = 0x01
NLM_F_ACK: Final = 0x04
NLM_F_DUMP_INTR: Final = 0x10
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_DUMP: Final = 0x300
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800
NLM_F_CAPPED: Final = 0x100
NLM_F_ACK_TLVS: Final = 0x200
NLMSGERR_ATTR_MSG: Final = 1


class Answer(Struct, frozen=True, gc=False):
    """The end of a request: errno 0 is success. The flags and the MAC of the request are there only if it was refused."""

    errno: int
    text: str = ""
    """What the kernel says about a refusal (NLMSGERR_ATTR_MSG); empty if it gives only the errno."""
    flags: int = 0
    """`ndm_flags` of the refused message as they came back: a half that is no longer set was carried out."""
    mac: Mac | None = None
    """The MAC of the refused message, by which a message is found among those with one sequence number."""
    interrupted: bool = False
    """The kernel itself calls the dump inconsistent (NLM_F_DUMP_INTR)."""


def message(kind: int, flags: int, seq: int, body: bytes) -> bytes:
    """Return one message, with its header.

    The port id is 0: the kernel knows the sender by its socket. A body must already be filled up to 4 octets.
    """
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, seq, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, filled up to 4 octets."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attribute_u32(kind: int, value: int) -> bytes:
    """Return an attribute whose value is a number of 32 bits."""
    return attribute(kind, _U32.pack(value))


def split(datagram: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield (type, flags, sequence number, start of the body, end of the body) for each message.

    A message that claims to be longer than the datagram ends it, because where the next one begins is not known.
    """
    offset, size = 0, len(datagram)
    while offset + 16 <= size:
        length, kind, flags, seq, _ = _HEADER.unpack_from(datagram, offset)
        if length < 16 or offset + length > size:
            return
        yield kind, flags, seq, offset + 16, offset + length
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int, end: int) -> dict[int, bytes]:
    """Read a list of attributes; of several of one type the last stays."""
    found = {}
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def each_attribute(data: bytes, offset: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Read a list of attributes of which several may have one type."""
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def nested(value: bytes | None) -> dict[int, bytes]:
    """Read the attributes inside an attribute."""
    return attributes(value, 0, len(value)) if value else {}


def number(value: bytes | None) -> int | None:
    """Read an attribute as a number of any size in the byte order of the host.

    None stays None: the kernel did not report the attribute, which is not the same as 0.
    """
    return None if value is None else int.from_bytes(value, sys.byteorder)


def flag(value: bytes | None) -> bool | None:
    """Read an attribute as a flag of any size; None if the kernel did not report it, which is not the same as off."""
    return None if value is None else any(value)


def text(value: bytes | None) -> str:
    """Read an attribute as a string."""
    return value.rstrip(b"\0").decode(errors="replace") if value else ""


def parse_answer(datagram: bytes, kind: int, flags: int, start: int, end: int) -> Answer:
    """Read NLMSG_ERROR or NLMSG_DONE; a refused dump has its errno in the latter.

        octet  0   errno, negated 4
               4   nlmsghdr of the request 16                      NLMSG_ERROR alone
              20   the body of the request                         not there with NLM_F_CAPPED, as after a success
                   attributes NLMSGERR_ATTR_*                      only with NLM_F_ACK_TLVS

    The flags and the MAC are read wherever the echo is long enough to have them. They mean something only for a
    neighbor message, and only its sender looks at them.
    """
    if end - start < 4:
        return Answer(0)
    (code,) = _I32.unpack_from(datagram, start)
    offset, echoed_flags, mac = start + 4, 0, None
    if kind == NLMSG_ERROR:
        (length,) = _U32.unpack_from(datagram, offset)
        offset += 16 if flags & NLM_F_CAPPED else (length + 3) & ~3
        if offset - start >= 4 + ECHOED_MAC + 6:
            echoed_flags = datagram[start + 4 + ECHOED_FLAGS]
            mac = Mac(datagram[start + 4 + ECHOED_MAC : start + 4 + ECHOED_MAC + 6])
    said = attributes(datagram, offset, end) if flags & NLM_F_ACK_TLVS else {}
    return Answer(-code, text(said.get(NLMSGERR_ATTR_MSG)), echoed_flags, mac)


def is_success(datagram: bytes, seq: int) -> bool:
    """Tell whether a datagram says that this request was carried out, and nothing else."""
    if len(datagram) != _SUCCESS.size:
        return False
    length, kind, answered, code = _SUCCESS.unpack(datagram)
    return bool(length == _SUCCESS.size and kind == NLMSG_ERROR and answered == seq and code == 0)


ECHOED_FLAGS: Final = 26
ECHOED_MAC: Final = 32
"""Where a neighbor message has its flags and its MAC: other messages are alone in their sequence number."""

_HEADER: Final = struct.Struct("=IHHII")
_SUCCESS: Final = struct.Struct("=IH2xI4xi16x")
_ATTRIBUTE: Final = struct.Struct("=HH")
_U32: Final = struct.Struct("=I")
_I32: Final = struct.Struct("=i")
NLA_F_NESTED: Final = 0x8000
"""In the type of an attribute: it has attributes inside."""
_TYPE_MASK: Final = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
