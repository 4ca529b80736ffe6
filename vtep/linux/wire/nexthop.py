"""Messages about nexthops: objects that routes name by a number (kernel 5.3), and rows of a VXLAN device (5.8).

    nhmsg      family 1 · scope 1 · protocol 1 · reserved 1 · flags 4
    single     NHA_ID, NHA_OIF, NHA_GATEWAY           the gateway is a VTEP, ONLINK: no route to it is looked up
    group      NHA_ID, NHA_GROUP                      8 octets for each member: id 4 · weight - 1 · 3 zeros; family 0
    for FDBs   NHA_ID, NHA_FDB, NHA_GATEWAY           no device, and no flag; a row of a VXLAN device names a group of these
    group      NHA_ID, NHA_FDB, NHA_GROUP

The type of an object is fixed by its first message: a single one never becomes a group (EINVAL). A deletion names the identifier
alone, so the caller must know whose the object is. Without ONLINK a gateway that no address of the device covers is refused.
Nothing is checked of the gateway of an FDB nexthop (5.8 to 6.18).
"""

import struct
from collections.abc import Iterator
from typing import ClassVar, Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.linux.wire.neighbor import RTPROT_VTEP, Verb
from vtep.linux.wire.tlv import (
    AF_INET,
    AF_INET6,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Answer,
    attribute,
    attribute_u32,
    attributes,
    message,
    number,
    parse_answer,
    split,
)

RTM_NEWNEXTHOP: Final = 104
RTM_DELNEXTHOP: Final = 105
RTM_GETNEXTHOP: Final = 106

NHA_ID: Final = 1
NHA_GROUP: Final = 2
NHA_OIF: Final = 5
NHA_GATEWAY: Final = 6
NHA_FDB: Final = 11
RTNH_F_ONLINK: Final = 4


class NexthopMessage(Struct, frozen=True, gc=False):
    """One nexthop to write or to delete: to a gateway on a device, or a group of others."""

    verb: Verb
    id: int
    """The number of the object, one range for the whole network namespace: other programs use it as well."""
    device: int = 0
    """The SVI by which packets leave; 0 for a group and for FDB nexthops."""
    gateway: bytes = b""
    """4 or 16 octets; an IPv4 VTEP that serves IPv6 prefixes is an IPv4-mapped one."""
    members: tuple[int, ...] = ()
    """The numbers of the single nexthops of a group; empty for a single one."""
    fdb: bool = False
    """Rows of VXLAN devices name it, and no route does."""

    also: ClassVar[tuple[()]] = ()


class NexthopLookup(Struct, frozen=True, gc=False):
    """What to ask the kernel in order to read one nexthop."""

    id: int


class NexthopEntry(Struct, frozen=True, gc=False):
    """One nexthop as the kernel dumps or announces it."""

    id: int
    protocol: int
    """The program that wrote it (nh_protocol), which says whose the object is."""
    device: int | None = None
    """None for a group and for FDB nexthops."""
    gateway: bytes = b""
    """The octets as they were written; empty for a group."""
    members: tuple[int, ...] = ()
    fdb: bool = False

    @property
    def vtep(self) -> Ip | None:
        """The gateway as an address."""
        return Ip.unpack(self.gateway) if self.gateway else None


def encode(row: NexthopMessage, seq: int, *, acknowledged: bool) -> bytes:
    """Return the message of a nexthop.

    All members of a group have the weight 1, which is 0 here (weight - 1): each flow is hashed onto one of them.
    """
    flags = NLM_F_REQUEST | (NLM_F_ACK if acknowledged else 0)
    if row.verb is Verb.DELETE:
        return message(RTM_DELNEXTHOP, flags, seq, _NHMSG.pack(0, 0, 0) + attribute_u32(NHA_ID, row.id))
    fdb = attribute(NHA_FDB, b"") if row.fdb else b""
    if row.members:
        body = _NHMSG.pack(0, RTPROT_VTEP, 0) + attribute_u32(NHA_ID, row.id) + fdb
        body += attribute(NHA_GROUP, b"".join(_MEMBER.pack(member, 0) for member in row.members))
    else:
        family = AF_INET if len(row.gateway) == 4 else AF_INET6
        flag = 0 if row.fdb else RTNH_F_ONLINK
        body = _NHMSG.pack(family, RTPROT_VTEP, flag) + attribute_u32(NHA_ID, row.id)
        body += fdb or attribute_u32(NHA_OIF, row.device)
        body += attribute(NHA_GATEWAY, row.gateway)
    return message(RTM_NEWNEXTHOP, flags | row.verb, seq, body)


def request_nexthops(seq: int) -> bytes:
    """Ask for all nexthops: the kernel has no filter by protocol."""
    return message(RTM_GETNEXTHOP, NLM_F_REQUEST | NLM_F_DUMP, seq, bytes(_NHMSG.size))


def request_nexthop(number: int, seq: int) -> bytes:
    """Ask for one nexthop."""
    return message(RTM_GETNEXTHOP, NLM_F_REQUEST, seq, bytes(_NHMSG.size) + attribute_u32(NHA_ID, number))


def parse_nexthops(datagram: bytes) -> Iterator[tuple[int, int, NexthopEntry | Answer]]:
    """Yield (type, sequence number, nexthop or answer) for each message."""
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, interrupted=True)
        if kind in (RTM_NEWNEXTHOP, RTM_DELNEXTHOP):
            yield kind, seq, _entry(datagram, start, end)
        elif kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)


_NHMSG: Final = struct.Struct("=BxBxI")
_MEMBER: Final = struct.Struct("=IBxxx")


def _entry(datagram: bytes, start: int, end: int) -> NexthopEntry:
    """Read one nexthop. A group whose length is not a number of members is read as one without members."""
    _, protocol, _ = _NHMSG.unpack_from(datagram, start)
    found = attributes(datagram, start + _NHMSG.size, end)
    group = found.get(NHA_GROUP, b"")
    members = tuple(member for member, _ in _MEMBER.iter_unpack(group)) if len(group) % _MEMBER.size == 0 else ()
    gateway = found.get(NHA_GATEWAY, b"")
    device, fdb = number(found.get(NHA_OIF)), NHA_FDB in found
    return NexthopEntry(number(found.get(NHA_ID)) or 0, protocol, device, gateway, members, fdb)
