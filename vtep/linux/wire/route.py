"""Messages about routes: a prefix in a routing table, by a nexthop that is an object of its own (`nexthop.py`).

It also has the question which route a packet to one address would take, and the answer (`FoundPath`).

    rtmsg      family 1 · prefix length 1 · source length 1 · TOS 1 · table 1 · protocol 1 · scope 1 · type 1 · flags 4
    rtattr     RTA_DST 4 or 16 · RTA_TABLE 4 · RTA_PRIORITY 4 (the metric) · RTA_NH_ID 4

A write with REPLACE finds a route by table, prefix, TOS and metric, and not by the program that wrote it (6.1 to 6.18): so we have a metric of our own,
and begin with CREATE and EXCL. A deletion names protocol and metric as well, so that it can hit no route but ours. IPv4 refuses a
prefix with bits beyond its length (EINVAL); `Prefix` has none.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from msgspec import Struct

from vtep.addr import Ip, Prefix
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
    nested,
    number,
    parse_answer,
    split,
)

RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26

RTA_DST: Final = 1
RTA_SRC: Final = 2
RTA_OIF: Final = 4
RTA_GATEWAY: Final = 5
RTA_PRIORITY: Final = 6
RTA_METRICS: Final = 8
RTA_MULTIPATH: Final = 9
RTA_TABLE: Final = 15
RTA_VIA: Final = 18
RTA_NH_ID: Final = 30
RTAX_MTU: Final = 2
RTN_UNICAST: Final = 1
RTN_LOCAL: Final = 2

METRIC: Final = 229
METRIC_V6: Final = 2290
"""Ours in every table. The lower one wins, and a route that this host has by itself must: a subnet may be on two leaves, and each
advertises it. Connected routes have 0 for IPv4 and 256 for IPv6, an operator's have 0 and 1024 if no other is given."""


def metric_of(prefix: Prefix) -> int:
    """Return the metric of our route to a prefix, unless the VRF has one of its own."""
    return METRIC_V6 if prefix.is_v6 else METRIC


class RouteMessage(Struct, frozen=True, gc=False):
    """One route to write or to delete."""

    verb: Verb
    table: int
    """The routing table of the VRF."""
    prefix: Prefix
    nexthop: int = 0
    """The nexthop object, single or a group. 0 in a deletion, which finds the route without it."""
    metric: int = 0
    """0: that of the family (`metric_of`)."""

    also: ClassVar[tuple[()]] = ()


class RouteEntry(Struct, frozen=True, gc=False):
    """One route as the kernel dumps or announces it."""

    table: int
    prefix: Prefix
    protocol: int
    metric: int
    """RTA_PRIORITY: of two routes to one prefix in one table the lower one wins. 0 if there is none."""
    nexthop: int | None = None
    """The nexthop object; None for a route that says itself where it goes."""
    type: int = RTN_UNICAST
    """RTN_*: RTN_LOCAL means that the address is one of this host, so no packet would leave it."""
    paths: tuple[tuple[int, bytes], ...] = ()
    """Device and gateway of each path of a route that names no nexthop object; the gateway may be empty."""


class RoutingHints(Struct, frozen=True):
    """What others removed or wrote. The values must be read back."""

    nexthops: frozenset[int] = frozenset()
    """Nexthops that are gone."""
    neighbors: frozenset[tuple[int, Ip]] = frozenset()
    """Device and address of neighbor rows that are gone."""
    routes: frozenset[tuple[int, Prefix, int]] = frozenset()
    """Table, prefix and protocol of routes that came or went."""
    overrun: bool = False
    """Events were lost: anything may have changed."""


class PathQuery(Struct, frozen=True, gc=False):
    """A packet that a VXLAN device would send: from its local address to a VTEP, by the device below if it has one."""

    local: Ip
    below: int
    """The device by which the packet must leave; 0 if the routing table decides."""
    vtep: Ip


class FoundPath(Struct, frozen=True, gc=False):
    """The route that the kernel would choose for a packet, or why there is none."""

    errno: int = 0
    """Why there is no route (ENETUNREACH, EHOSTUNREACH); 0 if there is one."""
    device: int = 0
    """The device by which the packet would leave; 0 without a route."""
    gateway: Ip | None = None
    """None: the VTEP is in the network of the device."""
    mtu: int | None = None
    """Of the route, where it has one of its own: set by an operator, or learned from a router (RFC 1191, RFC 8201)."""
    type: int = RTN_UNICAST


def encode(row: RouteMessage, seq: int, *, acknowledged: bool) -> bytes:
    """Return the message of a route: 60 octets for IPv4, 72 for IPv6, and 8 less for a deletion.

        octet  0   nlmsghdr 16
              16   rtmsg: family, prefix length, 0, 0, 0, RTPROT_VTEP, 0, RTN_UNICAST, flags 4
              28   RTA_DST 8, or 20 for IPv6
              36   RTA_TABLE 8 · RTA_PRIORITY 8 · RTA_NH_ID 8        48 for IPv6; a deletion ends before RTA_NH_ID

    The table is an attribute, because the field of rtmsg has one octet and a VRF may have any number of 32 bits.
    """
    flags = NLM_F_REQUEST | row.verb | (NLM_F_ACK if acknowledged else 0)
    kind, nexthop = (RTM_DELROUTE, 0) if row.verb is Verb.DELETE else (RTM_NEWROUTE, row.nexthop)
    prefix = row.prefix
    pack = _V6.pack if len(prefix) == 17 else _V4.pack
    family = AF_INET6 if len(prefix) == 17 else AF_INET
    octets = pack(
        0, kind, flags, seq, family, prefix[-1], RTPROT_VTEP, RTN_UNICAST,
        _DST[family], prefix[:-1], _U32_TABLE, row.table, _U32_PRIORITY, row.metric or metric_of(prefix), _U32_NH_ID, nexthop,
    )  # fmt: skip
    if not nexthop:
        octets = octets[:-8]
    return len(octets).to_bytes(4, "little" if _IS_LITTLE else "big") + octets[4:]


def encode_all(rows: Sequence[RouteMessage], seq: int) -> bytes:
    """Return the messages of routes as one datagram, with rising sequence numbers; the last one asks for an acknowledgement.

    It is, octet for octet, what `encode` returns for each. Of a run of messages that differ in the prefix alone, one is encoded, and the
    prefix and the sequence number are written into copies of it, octet by octet of all of them: 0.20 us for a message, and 0.33 one by one.
    """
    last = rows[-1]
    chunks: list[bytes | bytearray] = []
    at = 0
    while at < len(rows) - 1:
        first = rows[at]
        verb, table, nexthop, metric, size = first.verb, first.table, first.nexthop, first.metric, len(first.prefix)
        end = at + 1
        while (
            end < len(rows) - 1
            and (row := rows[end]).nexthop == nexthop
            and row.verb is verb
            and row.table == table
            and row.metric == metric
            and len(row.prefix) == size
        ):
            end += 1
        template = encode(first, 0, acknowledged=False)
        run = bytearray(template * (end - at))
        _spread(run, len(template), _SEQ_AT, array("I", range(seq + at, seq + end)).tobytes(), 4)
        networks = b"".join([row.prefix for row in rows[at:end]])
        _spread(run, len(template), _LENGTH_AT, networks[size - 1 :: size], 1)
        for octet in range(size - 1):
            run[_NETWORK_AT + octet :: len(template)] = networks[octet::size]
        chunks.append(run)
        at = end
    chunks.append(encode(last, seq + len(rows) - 1, acknowledged=True))
    return b"".join(chunks)


def _spread(run: bytearray, step: int, at: int, values: bytes, size: int) -> None:
    """Write values of so many octets into messages that are so far apart: one slice for each octet, and not one call for each message."""
    for octet in range(size):
        run[at + octet :: step] = values[octet::size]


def request_routes(seq: int, family: int, table: int, protocol: int = RTPROT_VTEP) -> bytes:
    """Ask for the routes of one protocol and one family in one table; those without a protocol are ours."""
    body = _RTMSG.pack(family, 0, protocol, 0) + attribute_u32(RTA_TABLE, table)
    return message(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, seq, body)


def parse_routes(datagram: bytes) -> Iterator[tuple[int, int, RouteEntry | Answer]]:
    """Yield (type, sequence number, route or answer) for each message."""
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, interrupted=True)
        if kind in (RTM_NEWROUTE, RTM_DELROUTE):
            yield kind, seq, _entry(datagram, start, end)
        elif kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)


def request_path(query: PathQuery, seq: int) -> bytes:
    """Ask which route a packet would take."""
    family, bits = (AF_INET6, 128) if query.vtep.is_v6 else (AF_INET, 32)
    body = (
        _ASK.pack(family, bits, bits) + attribute(RTA_DST, bytes(query.vtep)) + attribute(RTA_SRC, bytes(query.local))
    )
    if query.below:
        body += attribute_u32(RTA_OIF, query.below)
    return message(RTM_GETROUTE, NLM_F_REQUEST, seq, body)


def parse_paths(datagram: bytes) -> Iterator[tuple[int, int, FoundPath]]:
    """Yield (type, sequence number, path) for each answer; a refusal is a path with its errno."""
    for kind, flags, seq, start, end in split(datagram):
        if kind == RTM_NEWROUTE:
            found = attributes(datagram, start + _RTMSG.size, end)
            gateway = found.get(RTA_GATEWAY) or found.get(RTA_VIA, b"")[2:]
            yield (
                kind,
                seq,
                FoundPath(
                    0,
                    number(found.get(RTA_OIF)) or 0,
                    Ip.unpack(gateway) if len(gateway) in (4, 16) else None,
                    number(nested(found.get(RTA_METRICS)).get(RTAX_MTU)) or None,
                    datagram[start + 7],
                ),
            )
        elif kind == NLMSG_ERROR:
            yield kind, seq, FoundPath(parse_answer(datagram, kind, flags, start, end).errno)


_ASK: Final = struct.Struct("=BBBxxxxx4x")
_RTMSG: Final = struct.Struct("=BBxxxBxBxxxx")
_SEQ_AT, _LENGTH_AT, _NETWORK_AT = 8, 17, 32
"""The sequence number, the prefix length and the network differ in the messages of a run."""
_V4: Final = struct.Struct("=IHHI4x BBxxxBxB4x I4s II II II")
_V6: Final = struct.Struct("=IHHI4x BBxxxBxB4x I16s II II II")


def _head(length: int, kind: int) -> int:
    head: int = struct.unpack("=I", struct.pack("=HH", length, kind))[0]
    return head


_IS_LITTLE: Final = struct.pack("=H", 1) == b"\x01\x00"
_DST: Final = {AF_INET: _head(8, RTA_DST), AF_INET6: _head(20, RTA_DST)}
_U32_TABLE, _U32_PRIORITY, _U32_NH_ID = (_head(8, kind) for kind in (RTA_TABLE, RTA_PRIORITY, RTA_NH_ID))


def _entry(datagram: bytes, start: int, end: int) -> RouteEntry:
    """Read one route. A default route has no RTA_DST, so its network is all zeros."""
    family, length, protocol, kind = _RTMSG.unpack_from(datagram, start)
    found = attributes(datagram, start + _RTMSG.size, end)
    network = found.get(RTA_DST) or bytes(16 if family == AF_INET6 else 4)
    nexthop = number(found.get(RTA_NH_ID))
    return RouteEntry(
        number(found.get(RTA_TABLE)) or datagram[start + 4],
        Prefix(network + bytes((length,))),
        protocol,
        number(found.get(RTA_PRIORITY)) or 0,
        nexthop,
        kind,
        _paths(found) if nexthop is None else (),
    )


def _paths(found: dict[int, bytes]) -> tuple[tuple[int, bytes], ...]:
    """Return device and gateway of each path: RTA_OIF and RTA_GATEWAY, or for several a list of these (struct rtnexthop)."""
    if RTA_MULTIPATH not in found:
        return ((number(found.get(RTA_OIF)) or 0, _gateway(found)),)
    listed, at, paths = found[RTA_MULTIPATH], 0, []
    while at + _RTNEXTHOP.size <= len(listed):
        length, device = _RTNEXTHOP.unpack_from(listed, at)
        if length < _RTNEXTHOP.size or at + length > len(listed):
            break
        paths.append((device, _gateway(attributes(listed, at + _RTNEXTHOP.size, at + length))))
        at += (length + 3) & ~3
    return tuple(paths)


def _gateway(found: dict[int, bytes]) -> bytes:
    """Return the gateway; one of the other family comes with two octets of it before (RTA_VIA)."""
    return bytes(found.get(RTA_GATEWAY) or found.get(RTA_VIA, b"")[2:])


_RTNEXTHOP: Final = struct.Struct("=HxxI")
