"""Messages about the filters of Ethernet segments: the nftables tables `vtep`, one of family inet and one of family bridge.

    table inet vtep {                                    table bridge vtep {
      map peers4 { ipv4_addr : mark }                      set ports   { ifname . ifname }                VXLAN device . port
      map peers6 { ipv6_addr : mark }                      set blocked { ifname . ifname }                VXLAN device . port
      chain mark {                                         set bias    { mark . ifname . ifname }         peer . VXLAN device . port
        type filter hook prerouting priority -150          set joining { ifname }                         port
        udp: mark set ip saddr map @peers4                 set macs    { ifname . ether_addr . ifname }   VXLAN device . MAC . port
        udp: mark set ip6 saddr map @peers6                chain forward {
      }                                                      type filter hook forward priority 0
    }                                                        iifname . ether daddr . oifname @macs accept
                                                             iifname . oifname @blocked counter drop
                                                             mark . iifname . oifname @bias counter drop
                                                             multicast, iifname @joining counter drop
                                                             multicast, oifname @joining counter drop
                                                           }
                                                           set standby { ifname }                         port
                                                           chain enter {
                                                             type filter hook prerouting priority -300
                                                             iifname @standby counter drop
                                                           }
                                                           chain leave {
                                                             type filter hook postrouting priority 0
                                                             oifname @standby counter drop
                                                           }
                                                         }

A mark that is set where the packet of the tunnel arrives is still there when the bridge forwards the frame that was in it
(6.1 to 6.18, if both are in one namespace). So the bridge can tell from which VTEP a frame came. The elements of the sets name
devices and not indexes, so they outlive a device that is made again.

This module knows octets: how the tables are made, how elements come and go, how both are read. Many messages go in one datagram,
between two marks, as one transaction: all of it is carried out, or nothing. Numbers are big-endian. `linux.filters` knows what an
element means.

    nlmsghdr   type: 10 (nftables) in the upper octet
    nfgenmsg   family 1 · version 1 · resource 2
"""

import struct
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from vtep.linux.wire.tlv import (
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Answer,
    attribute,
    attributes,
    each_attribute,
    message,
    nested,
    parse_answer,
    split,
    text,
)

NFPROTO_INET: Final = 1
NFPROTO_BRIDGE: Final = 7
TABLE: Final = "vtep"
PEERS4: Final = "peers4"
PEERS6: Final = "peers6"
PORTS: Final = "ports"
BLOCKED: Final = "blocked"
BIAS: Final = "bias"
JOINING: Final = "joining"
STANDBY: Final = "standby"
MACS: Final = "macs"


class Element(NamedTuple):
    """One element of a set, or of a map."""

    set: str
    key: bytes
    data: bytes = b""
    """What a map has for the key."""


class Base(Struct, frozen=True):
    """The tables without their elements: what must be there for an element to have its effect."""

    tables: int = 0
    """How many tables are there and not dormant."""
    chains: tuple[str, ...] = ()
    """The chains with a hook."""
    rules: tuple[bytes, ...] = ()
    """The user data of each rule, which names the rule, in order."""


def interface(name: str) -> bytes:
    """Return the name of a device as sets have it."""
    return name.encode().ljust(_IFNAMSIZ, b"\0")


def read_interface(octets: bytes) -> str:
    """Return the name of a device from a key, without the zeros after it."""
    return octets.rstrip(b"\0").decode(errors="replace")


def filled(octets: bytes) -> bytes:
    """Fill a part of a key up to the registers that it takes."""
    return octets + bytes(-len(octets) % 4)


def encode_transaction(
    seq: int, add: Collection[Element], remove: Collection[Element], *, make: bool
) -> tuple[bytes, int]:
    """Return a transaction, and the sequence number of its last message before the end, which is acknowledged.

        seq            NFNL_MSG_BATCH_BEGIN
        seq + 1        the tables, if they are made again (`make`)
                       elements that go, then elements that come; the last of these messages asks for an acknowledgement
        seq + n + 1    NFNL_MSG_BATCH_END

    Elements go before others come, so that a key of a map can get another value in one transaction. A refused message
    is answered in any case, and then nothing of the transaction was carried out.
    """
    bodies: list[tuple[int, int, bytes]] = []
    if make:
        bodies += _base()
    bodies += _elements(_DELSETELEM, 0, remove)
    bodies += _elements(_NEWSETELEM, NLM_F_CREATE, add)
    return _transaction(seq, bodies)


def encode_drop(seq: int) -> tuple[bytes, int]:
    """Return the transaction that removes both tables, whether they are there or not, as `encode_transaction` does."""
    return _transaction(seq, list(_no_tables()))


def _transaction(seq: int, bodies: Sequence[tuple[int, int, bytes]]) -> tuple[bytes, int]:
    last = len(bodies) - 1
    batch = struct.pack(">BBH", 0, 0, _SUBSYSTEM)
    parts = [message(_BATCH_BEGIN, NLM_F_REQUEST, seq, batch)]
    for place, (kind, flags, body) in enumerate(bodies):
        more = NLM_F_REQUEST | (NLM_F_ACK if place == last else 0)
        parts.append(message(_SUBSYSTEM << 8 | kind, flags | more, seq + 1 + place, body))
    parts.append(message(_BATCH_END, NLM_F_REQUEST, seq + 1 + len(bodies), batch))
    return b"".join(parts), seq + 1 + last


def request_tables(seq: int) -> bytes:
    """Ask for the tables of all families and programs; the caller picks ours."""
    return message(_SUBSYSTEM << 8 | _GETTABLE, NLM_F_REQUEST | NLM_F_DUMP, seq, _head(0))


def request_chains(seq: int) -> bytes:
    """Ask for the chains of all families and programs."""
    return message(_SUBSYSTEM << 8 | _GETCHAIN, NLM_F_REQUEST | NLM_F_DUMP, seq, _head(0))


def request_rules(seq: int, family: int) -> bytes:
    """Ask for the rules of our table."""
    body = _head(family) + _string(_RULE_TABLE, TABLE)
    return message(_SUBSYSTEM << 8 | _GETRULE, NLM_F_REQUEST | NLM_F_DUMP, seq, body)


def request_elements(seq: int, name: str) -> bytes:
    """Ask for the elements of one set."""
    body = _head(_FAMILY_OF[name]) + _string(_ELEMENTS_TABLE, TABLE) + _string(_ELEMENTS_SET, name)
    return message(_SUBSYSTEM << 8 | _GETSETELEM, NLM_F_REQUEST | NLM_F_DUMP, seq, body)


class Table(Struct, frozen=True):
    """One table of any program."""

    family: int
    name: str
    dormant: bool
    """The hooks of its chains are off (`nft add table ... { flags dormant; }`), so no rule of it has any effect."""


class Chain(Struct, frozen=True):
    """One chain of any program."""

    family: int
    table: str
    name: str
    hooked: bool
    """The kernel passes packets to it; a chain without a hook is only called by other chains."""


class Rule(Struct, frozen=True):
    """One rule of any program."""

    family: int
    table: str
    tag: bytes
    """Its user data, by which we find our own rules: an nft comment would be in the same place."""
    packets: int
    """How many packets the counter of the rule has."""


def dropped(rules: Iterable[Rule]) -> dict[str, int]:
    """Return the packets of our rules that drop, by the set that names what they drop."""
    found: dict[str, int] = {}
    for rule in rules:
        name = _DROPS.get(rule.tag)
        if rule.table == TABLE and name is not None:
            found[name] = found.get(name, 0) + rule.packets
    return found


_DROPS: Final = {
    b"vtep/1 blocked": BLOCKED,
    b"vtep/1 bias": BIAS,
    b"vtep/1 joining-in": JOINING,
    b"vtep/1 joining-out": JOINING,
    b"vtep/1 standby-in": STANDBY,
    b"vtep/1 standby-out": STANDBY,
}
"""The set of each rule that drops, by the name of the rule."""


def parse(datagram: bytes) -> Iterator[tuple[int, int, Table | Chain | Rule | Element | Answer]]:
    """Yield (type, sequence number, value or answer) for each message of a dump, or for each answer of a transaction."""
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, interrupted=True)
        if kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)
        elif kind >> 8 == _SUBSYSTEM and end - start >= 4:
            for value in _values(kind & 0xFF, datagram, start, end):
                yield kind, seq, value


def concerns_us(datagram: bytes) -> bool:
    """Tell whether an event is about one of our tables: its first attribute names the table."""
    return any(
        kind >> 8 == _SUBSYSTEM and text(attributes(datagram, start + 4, end).get(1)) == TABLE
        for kind, _, _, start, end in split(datagram)
    )


def _values(kind: int, datagram: bytes, start: int, end: int) -> Iterator[Table | Chain | Rule | Element]:
    """Read one message. Only a message with elements has several values, and one of no known type has none."""
    family, found = datagram[start], attributes(datagram, start + 4, end)
    if kind == _NEWTABLE:
        dormant = bool(int.from_bytes(found.get(_TABLE_FLAGS, b"")) & 1)
        yield Table(family, text(found.get(_TABLE_NAME)), dormant)
    elif kind == _NEWCHAIN:
        yield Chain(family, text(found.get(1)), text(found.get(_CHAIN_NAME)), _CHAIN_HOOK in found)
    elif kind == _NEWRULE:
        packets = _packets(found.get(_RULE_EXPRESSIONS, b""))
        yield Rule(family, text(found.get(_RULE_TABLE)), found.get(_RULE_USERDATA, b""), packets)
    elif kind == _NEWSETELEM:
        name, listed = text(found.get(_ELEMENTS_SET)), found.get(_ELEMENTS, b"")
        for _, value in each_attribute(listed, 0, len(listed)):
            element = nested(value)
            key, data = nested(element.get(_ELEMENT_KEY)).get(1, b""), nested(element.get(_ELEMENT_DATA)).get(1, b"")
            yield Element(name, key, data)


def _packets(expressions: bytes) -> int:
    """Return what the counter of a rule says."""
    for _, value in each_attribute(expressions, 0, len(expressions)):
        found = nested(value)
        if text(found.get(1)) == "counter":
            return int.from_bytes(nested(found.get(2)).get(_COUNTER_PACKETS, b""))
    return 0


# nf_tables.h

_SUBSYSTEM: Final = 10
_BATCH_BEGIN: Final = 0x10
_BATCH_END: Final = 0x11
_NEWTABLE, _GETTABLE, _DELTABLE, _NEWCHAIN, _GETCHAIN = range(5)
_NEWRULE, _GETRULE = 6, 7
_NEWSET = 9
_NEWSETELEM, _GETSETELEM, _DELSETELEM = 12, 13, 14
_TABLE_NAME, _TABLE_FLAGS = 1, 2
_CHAIN_NAME, _CHAIN_HOOK, _CHAIN_TYPE = 3, 4, 7
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS, _RULE_USERDATA = 1, 2, 4, 7
_ELEMENTS_TABLE, _ELEMENTS_SET, _ELEMENTS = 1, 2, 3
_ELEMENT_KEY, _ELEMENT_DATA = 1, 2
_COUNTER_PACKETS = 2
_NESTED: Final = 0x8000
_IFNAMSIZ: Final = 16
_FAMILIES: Final = (NFPROTO_INET, NFPROTO_BRIDGE)
_NF_INET_PRE_ROUTING, _NF_BR_PRE_ROUTING, _NF_BR_FORWARD, _NF_BR_POST_ROUTING = 0, 0, 2, 4
_NF_DROP, _NF_ACCEPT = 0, 1
_REG_VERDICT, _REG_1 = 0, 1
_REG32_00: Final = 8
"""The first of the registers of 4 octets; register 1 is the first four of them."""
_META_MARK, _META_IIFNAME, _META_OIFNAME, _META_NFPROTO, _META_L4PROTO = 3, 6, 7, 15, 16
_LINK_LAYER, _NETWORK = 0, 1
_EQ, _NEQ = 0, 1
_IPPROTO_UDP: Final = 17
# Only `nft list` reads the types of keys: the numbers of libnftables.
_IPV4_ADDR, _IPV6_ADDR, _ETHER_ADDR, _MARK, _IFNAME = 7, 8, 9, 19, 41

_SETS: Final = (
    (NFPROTO_INET, PEERS4, (_IPV4_ADDR,), 4, _MARK),
    (NFPROTO_INET, PEERS6, (_IPV6_ADDR,), 16, _MARK),
    (NFPROTO_BRIDGE, PORTS, (_IFNAME, _IFNAME), 32, 0),
    (NFPROTO_BRIDGE, BLOCKED, (_IFNAME, _IFNAME), 32, 0),
    (NFPROTO_BRIDGE, BIAS, (_MARK, _IFNAME, _IFNAME), 36, 0),
    (NFPROTO_BRIDGE, JOINING, (_IFNAME,), 16, 0),
    (NFPROTO_BRIDGE, MACS, (_IFNAME, _ETHER_ADDR, _IFNAME), 40, 0),
    (NFPROTO_BRIDGE, STANDBY, (_IFNAME,), 16, 0),
)
"""Family, name, types of the parts of a key, octets of a key, and the type of the data of a map (0 for a set).

A part takes whole registers of 4 octets: a device's name 16, a MAC 8 (2 of them filled), a mark 4.
"""
SETS: Final = tuple(name for _, name, _, _, _ in _SETS)
_FAMILY_OF: Final = {name: family for family, name, _, _, _ in _SETS}


def _head(family: int) -> bytes:
    return struct.pack(">BBH", family, 0, 0)


def _string(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _byte_order(order: int, *, of_data: int = 0) -> bytes:
    """Return for `nft list` the byte order of keys, or of data: 1 as the host has it, 2 big-endian."""
    return bytes((of_data, 4)) + order.to_bytes(4, sys.byteorder)


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, value.to_bytes(4))


def _nest(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(parts))


def _elements(kind: int, flags: int, elements: Iterable[Element]) -> Iterator[tuple[int, int, bytes]]:
    """Yield one message for at most so many elements of a set: an attribute has at most 64 KiB.

    The largest element (MACS, a key of 40 octets) takes 52 octets with its headers, so 512 of them take 26 KiB.
    """
    by_set: dict[str, list[Element]] = {}
    for element in elements:
        by_set.setdefault(element.set, []).append(element)
    for name, found in by_set.items():
        head = _head(_FAMILY_OF[name]) + _string(_ELEMENTS_TABLE, TABLE) + _string(_ELEMENTS_SET, name)
        for first in range(0, len(found), _ELEMENTS_AT_ONCE):
            part = found[first : first + _ELEMENTS_AT_ONCE]
            yield kind, flags, head + _nest(_ELEMENTS, *(_nest(1, *_element(one)) for one in part))


_ELEMENTS_AT_ONCE: Final = 512


def _element(element: Element) -> Iterator[bytes]:
    yield _nest(_ELEMENT_KEY, attribute(1, element.key))
    if element.data:
        yield _nest(_ELEMENT_DATA, attribute(1, element.data))


# The tables


def _no_tables() -> Iterator[tuple[int, int, bytes]]:
    """Yield the messages after which none of the tables is there."""
    for family in _FAMILIES:
        body = _head(family) + _string(_TABLE_NAME, TABLE)
        yield _NEWTABLE, NLM_F_CREATE, body  # so that the deletion finds one
        yield _DELTABLE, 0, body


def _base() -> Iterator[tuple[int, int, bytes]]:
    """Yield the messages that make both tables again, with sets, chains and rules, and without elements.

    A table that is there is deleted and made again in one transaction. So it is as it must be afterwards, whatever was
    changed in it, and no frame meets a table that is half made. The elements must be added in the same transaction:
    without them the bridge would forward floods that a non-DF must not.
    """
    yield from _no_tables()
    for family in _FAMILIES:
        yield _NEWTABLE, NLM_F_CREATE, _head(family) + _string(_TABLE_NAME, TABLE)
    for place, (family, name, types, size, data) in enumerate(_SETS):
        kind = 0
        for one in types:
            kind = kind << 6 | one
        body = _head(family) + _string(1, TABLE) + _string(2, name) + _u32(3, _NFT_SET_MAP if data else 0)
        body += _u32(4, kind) + _u32(5, size) + (_u32(6, data) + _u32(7, 4) if data else b"") + _u32(10, place + 1)
        body += attribute(_SET_USERDATA, _byte_order(2 if data else 1) + _byte_order(1, of_data=1))
        yield _NEWSET, NLM_F_CREATE, body
    for family, name, hook, priority in _CHAINS:
        body = _head(family) + _string(1, TABLE) + _string(_CHAIN_NAME, name) + _string(_CHAIN_TYPE, "filter")
        body += _nest(_CHAIN_HOOK, _u32(1, hook), attribute(2, struct.pack(">i", priority)))
        yield _NEWCHAIN, NLM_F_CREATE, body
    for family, chain, tag, expressions in _RULES:
        body = _head(family) + _string(_RULE_TABLE, TABLE) + _string(_RULE_CHAIN, chain)
        body += _nest(_RULE_EXPRESSIONS, *(_nest(1, one) for one in expressions)) + attribute(_RULE_USERDATA, tag)
        yield _NEWRULE, NLM_F_CREATE | NLM_F_APPEND, body


_NFT_SET_MAP: Final = 8
_SET_USERDATA: Final = 13
_CHAINS: Final = (
    (NFPROTO_INET, "mark", _NF_INET_PRE_ROUTING, -150),
    (NFPROTO_BRIDGE, "forward", _NF_BR_FORWARD, 0),
    (NFPROTO_BRIDGE, "enter", _NF_BR_PRE_ROUTING, -300),
    (NFPROTO_BRIDGE, "leave", _NF_BR_POST_ROUTING, 0),
)
"""Family, name, hook and priority. -150 is `mangle`, before routing decides that the packet is for this host. In `enter` the bridge has
not learned the sender yet, and `leave` sees what the bridge itself sends as well."""


def _expression(name: str, *parts: bytes) -> bytes:
    return _string(1, name) + _nest(2, *parts)


def _meta(key: int, register: int) -> bytes:
    return _expression("meta", _u32(1, register), _u32(2, key))


def _payload(base: int, offset: int, size: int, register: int) -> bytes:
    return _expression("payload", _u32(1, register), _u32(2, base), _u32(3, offset), _u32(4, size))


def _compare(register: int, operator: int, value: bytes) -> bytes:
    return _expression("cmp", _u32(1, register), _u32(2, operator), _nest(3, attribute(1, value)))


def _lookup(name: str, register: int = _REG_1) -> bytes:
    return _expression("lookup", _string(1, name), _u32(2, register))


def _verdict(code: int) -> bytes:
    return _expression("immediate", _u32(1, _REG_VERDICT), _nest(2, _nest(2, _u32(1, code))))


_DROP: Final = (_expression("counter"), _verdict(_NF_DROP))
_MULTICAST: Final = (
    _payload(_LINK_LAYER, 0, 1, _REG_1),
    _expression(
        "bitwise",
        _u32(1, _REG_1),
        _u32(2, _REG_1),
        _u32(3, 1),
        _nest(4, attribute(1, b"\x01")),
        _nest(5, attribute(1, b"\x00")),
    ),
    _compare(_REG_1, _EQ, b"\x01"),
)
"""The lowest bit of the first octet of the destination."""


def _from_peer(protocol: int, offset: int, size: int, peers: str) -> tuple[bytes, ...]:
    """Return the expressions that mark a packet of VXLAN, or of any other UDP, by the VTEP that sent it.

    `protocol` is NFPROTO_IPV4 (2) or NFPROTO_IPV6 (10); offset and size are those of the source address in the IP
    header. A packet whose source is not in the map keeps its mark.
    """
    return (
        _meta(_META_NFPROTO, _REG_1),
        _compare(_REG_1, _EQ, bytes((protocol,))),
        _meta(_META_L4PROTO, _REG_1),
        _compare(_REG_1, _EQ, bytes((_IPPROTO_UDP,))),
        _payload(_NETWORK, offset, size, _REG_1),
        _expression("lookup", _string(1, peers), _u32(2, _REG_1), _u32(3, _REG_1)),
        _expression("meta", _u32(3, _REG_1), _u32(2, _META_MARK)),
    )


_RULES: Final = (
    (NFPROTO_INET, "mark", b"vtep/1 peers4", _from_peer(2, 12, 4, PEERS4)),
    (NFPROTO_INET, "mark", b"vtep/1 peers6", _from_peer(10, 8, 16, PEERS6)),
    (
        NFPROTO_BRIDGE,
        "forward",
        b"vtep/1 macs",
        (
            _meta(_META_IIFNAME, _REG32_00),
            _payload(_LINK_LAYER, 0, 6, _REG32_00 + 4),
            _meta(_META_OIFNAME, _REG32_00 + 6),
            _lookup(MACS),
            _verdict(_NF_ACCEPT),
        ),
    ),
    (
        NFPROTO_BRIDGE,
        "forward",
        b"vtep/1 blocked",
        (_meta(_META_IIFNAME, _REG32_00), _meta(_META_OIFNAME, _REG32_00 + 4), _lookup(BLOCKED), *_DROP),
    ),
    (
        NFPROTO_BRIDGE,
        "forward",
        b"vtep/1 bias",
        (
            _meta(_META_MARK, _REG32_00),
            _meta(_META_IIFNAME, _REG32_00 + 1),
            _meta(_META_OIFNAME, _REG32_00 + 5),
            _lookup(BIAS),
            *_DROP,
        ),
    ),
    (
        NFPROTO_BRIDGE,
        "forward",
        b"vtep/1 joining-in",
        (*_MULTICAST, _meta(_META_IIFNAME, _REG_1), _lookup(JOINING), *_DROP),
    ),
    (
        NFPROTO_BRIDGE,
        "forward",
        b"vtep/1 joining-out",
        (*_MULTICAST, _meta(_META_OIFNAME, _REG_1), _lookup(JOINING), *_DROP),
    ),
    (
        NFPROTO_BRIDGE,
        "enter",
        b"vtep/1 standby-in",
        (_meta(_META_IIFNAME, _REG_1), _lookup(STANDBY), *_DROP),
    ),
    (
        NFPROTO_BRIDGE,
        "leave",
        b"vtep/1 standby-out",
        (_meta(_META_OIFNAME, _REG_1), _lookup(STANDBY), *_DROP),
    ),
)
WHOLE: Final = Base(len(_FAMILIES), tuple(name for _, name, _, _ in _CHAINS), tuple(tag for _, _, tag, _ in _RULES))
"""The tables as they must be."""
