"""Malformed BGP messages by name: what a hostile or broken speaker sends on an established session.

    updates(route) ──▶ {"ORIGIN with 2 octets": UPDATE, …}      each carries the route, and one thing in it is wrong
    messages()     ──▶ {"a marker of zeros": octets, …}         no UPDATE that could be read at all

RFC 7606 says what a receiver does with most of the UPDATEs: treat as withdraw, discard the attribute, or reset the
session. This module only builds them. It does not know what any receiver does.
"""

import struct
from typing import Final

from tests.lab import wire
from tests.lab.wire import Route, attribute

WELL_KNOWN: Final = 0x40
OPTIONAL: Final = 0x80
TRANSITIVE: Final = 0xC0

ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, ATOMIC, AGGREGATOR, COMMUNITIES = range(1, 9)
ORIGINATOR_ID, CLUSTER_LIST = 9, 10
MP_REACH, MP_UNREACH, EXTENDED_COMMUNITIES, LARGE_COMMUNITIES, PMSI = 14, 15, 16, 32, 22


def updates(route: Route) -> dict[str, bytes]:
    """Return UPDATEs that announce this Type-2 route and have one thing wrong each."""
    reach = wire.reach(route.next_hop, [route.nlri])

    def with_attribute(flags: int, code: int, value: bytes) -> bytes:
        """Add an attribute, in place of the sound one where the route has it."""
        return wire.update(reach + _without(route.attributes, code) + attribute(flags, code, value))

    def with_nlri(nlri: bytes) -> bytes:
        return wire.update(wire.reach(route.next_hop, [nlri]) + route.attributes)

    def with_next_hop(octets: bytes) -> bytes:
        return wire.update(wire.reach(octets, [route.nlri]) + route.attributes)

    lengths = {
        "ORIGIN": (WELL_KNOWN, ORIGIN, (0, 2)),
        "LOCAL_PREF": (WELL_KNOWN, LOCAL_PREF, (0, 3, 5)),
        "MED": (OPTIONAL, MED, (0, 3, 5)),
        "NEXT_HOP": (WELL_KNOWN, NEXT_HOP, (0, 3, 5)),
        "ATOMIC_AGGREGATE": (WELL_KNOWN, ATOMIC, (1,)),
        "AGGREGATOR": (TRANSITIVE, AGGREGATOR, (0, 3, 7)),
        "COMMUNITIES": (TRANSITIVE, COMMUNITIES, (3, 5)),
        "ORIGINATOR_ID": (OPTIONAL, ORIGINATOR_ID, (0, 3, 5)),
        "CLUSTER_LIST": (OPTIONAL, CLUSTER_LIST, (0, 3, 5)),
        "EXTENDED_COMMUNITIES": (TRANSITIVE, EXTENDED_COMMUNITIES, (7, 9)),
        "LARGE_COMMUNITIES": (TRANSITIVE, LARGE_COMMUNITIES, (11,)),
        "PMSI_TUNNEL": (TRANSITIVE, PMSI, (0, 3, 4)),
    }
    cases = {
        f"{name} with {length} octets": with_attribute(flags, code, bytes(length))
        for name, (flags, code, all_lengths) in lengths.items()
        for length in all_lengths
    }
    cases |= {
        "ORIGIN with the value 7": with_attribute(WELL_KNOWN, ORIGIN, b"\7"),
        "ORIGIN marked optional": with_attribute(OPTIONAL, ORIGIN, b"\0"),
        "no ORIGIN": wire.update(reach + _without(route.attributes, ORIGIN)),
        "no AS_PATH": wire.update(reach + _without(route.attributes, AS_PATH)),
        "no LOCAL_PREF": wire.update(reach + _without(route.attributes, LOCAL_PREF)),
        "AS_PATH of an unknown segment type": with_attribute(WELL_KNOWN, AS_PATH, struct.pack("!BBI", 9, 1, 65000)),
        "AS_PATH longer than its attribute": with_attribute(WELL_KNOWN, AS_PATH, struct.pack("!BBI", 2, 9, 65000)),
        "AS_PATH of one octet": with_attribute(WELL_KNOWN, AS_PATH, b"\2"),
        "AS_PATH with an empty segment": with_attribute(WELL_KNOWN, AS_PATH, b"\2\0"),
        "an unknown attribute marked well-known": with_attribute(WELL_KNOWN, 200, b"\1"),
        "an unknown attribute, optional and transitive": with_attribute(TRANSITIVE, 201, b"\1"),
        "ORIGIN twice": wire.update(reach + route.attributes + attribute(WELL_KNOWN, ORIGIN, b"\0")),
        "MP_REACH_NLRI twice": wire.update(reach + reach + route.attributes),
        "PMSI_TUNNEL of an IPv6 endpoint": with_attribute(TRANSITIVE, PMSI, b"\0\6\0\0\x64" + bytes(15) + b"\1"),
        "PMSI_TUNNEL without an endpoint": with_attribute(TRANSITIVE, PMSI, b"\0\6\0\0\x64"),
        "PMSI_TUNNEL with a long endpoint": with_attribute(TRANSITIVE, PMSI, b"\0\6\0\0\x64" + bytes(30)),
        "PMSI_TUNNEL of an unknown type": with_attribute(TRANSITIVE, PMSI, b"\0\x63\0\0\x64\1"),
        "an attribute that ends after the message": wire.update(reach + route.attributes + b"\xc0\x10\xff\0"),
        "an attribute header cut off": wire.update(reach + route.attributes + b"\xc0\x10"),
        "attributes that end after the message": _too_long(reach + route.attributes),
        "withdrawn routes that end after the message": wire.message(wire.UPDATE, b"\xff\xff\0\0"),
        "an UPDATE of one octet": wire.message(wire.UPDATE, b"\0"),
        "a next hop of 0 octets": with_next_hop(b""),
        "a next hop of 3 octets": with_next_hop(bytes(3)),
        "a next hop of 5 octets": with_next_hop(bytes(5)),
        "a next hop of 17 octets": with_next_hop(bytes(17)),
        "a next hop that ends after the attribute": wire.update(
            attribute(OPTIONAL, MP_REACH, struct.pack("!HBB", *wire.EVPN, 200) + b"\x0a\0\0\1") + route.attributes
        ),
        "MP_REACH_NLRI of 2 octets": wire.update(attribute(OPTIONAL, MP_REACH, b"\0\x19") + route.attributes),
        "MP_REACH_NLRI of a family that was not negotiated": wire.update(
            attribute(OPTIONAL, MP_REACH, struct.pack("!HBB", 1, 128, 4) + b"\x0a\0\0\1\0" + b"\x58" + bytes(11))
            + route.attributes
        ),
        "MP_UNREACH_NLRI of 1 octet": wire.update(attribute(OPTIONAL, MP_UNREACH, b"\0")),
        "MP_UNREACH_NLRI with half a route": wire.update(
            attribute(OPTIONAL, MP_UNREACH, struct.pack("!HB", *wire.EVPN) + route.nlri[:9])
        ),
        "no NLRI": wire.update(wire.reach(route.next_hop, []) + route.attributes),
        "a MAC length of 24": with_nlri(_set(route.nlri, 2 + 22, 24)),
        "a MAC length of 255": with_nlri(_set(route.nlri, 2 + 22, 255)),
        "an IP length of 24": with_nlri(_set(route.nlri, 2 + 29, 24)),
        "an IP length of 32 without an address": with_nlri(_set(route.nlri, 2 + 29, 32)),
        "an NLRI that ends after the attribute": with_nlri(_set(route.nlri, 1, 200)),
        "an NLRI cut off": with_nlri(route.nlri[:20]),
        "an NLRI of one octet": with_nlri(b"\2"),
        "a Type-2 NLRI of length 0": with_nlri(b"\2\0"),
        "a Type-2 NLRI with octets too many": with_nlri(bytes((2, route.nlri[1] + 7)) + route.nlri[2:] + bytes(7)),
        "a Type-1 NLRI too short": with_nlri(b"\1\5" + bytes(5)),
        "a Type-3 NLRI with an IP length of 24": with_nlri(wire.pack_nlri(3, bytes(12) + b"\x18\x0a\0\0")),
        "a Type-3 NLRI with an IP length of 0": with_nlri(wire.pack_nlri(3, bytes(12) + b"\0")),
        "a Type-4 NLRI with an IP length of 24": with_nlri(wire.pack_nlri(4, bytes(18) + b"\x18\x0a\0\0")),
        "a Type-5 NLRI with a prefix of 33 bits": with_nlri(wire.pack_nlri(5, bytes(22) + b"\x21" + bytes(11))),
        "a Type-5 NLRI with octets too few": with_nlri(wire.pack_nlri(5, bytes(22) + b"\x18" + bytes(5))),
        "an NLRI of type 0": with_nlri(b"\0\4" + bytes(4)),
        "an NLRI of an unknown type": with_nlri(b"\xc8\4" + bytes(4)),
    }
    return cases


WITHOUT_ROUTES: Final = {
    "MP_REACH_NLRI twice",
    "attributes that end after the message",
    "withdrawn routes that end after the message",
    "an UPDATE of one octet",
    *(f"a next hop of {octets} octets" for octets in (0, 3, 5, 17)),
    "a next hop that ends after the attribute",
    "MP_REACH_NLRI of 2 octets",
    "MP_REACH_NLRI of a family that was not negotiated",
    "MP_UNREACH_NLRI of 1 octet",
    "MP_UNREACH_NLRI with half a route",
    "an NLRI that ends after the attribute",
    "an NLRI cut off",
    "an NLRI of one octet",
}
"""The updates whose routes cannot be found in the octets, so that the receiver has to end the session (RFC 7606 3 and 5.3)."""


def messages() -> dict[str, bytes]:
    """Return what is no UPDATE that anybody could read (RFC 4271 6.1): the receiver has to end the session."""
    return {
        "a marker of zeros": bytes(16) + struct.pack("!HB", 23, wire.UPDATE) + bytes(4),
        "a message shorter than its header": b"\xff" * 16 + struct.pack("!HB", 18, wire.UPDATE),
        "a message of 5,000 octets": b"\xff" * 16 + struct.pack("!HB", 5000, wire.UPDATE) + bytes(5000 - 19),
        "a message of type 9": b"\xff" * 16 + struct.pack("!HB", 19, 9),
        "a KEEPALIVE with a body": wire.message(wire.KEEPALIVE, b"\0"),
        "a second OPEN": wire.message(wire.OPEN, bytes(10)),
        "a ROUTE-REFRESH of 1 octet": wire.message(wire.ROUTE_REFRESH, b"\0"),
    }


def _without(attributes: bytes, code: int) -> bytes:
    """Return packed attributes without those of a code."""
    kept, at = b"", 0
    while at < len(attributes):
        flags, found, length = attributes[at : at + 3]
        end = at + 3 + length
        if flags & 0x10:
            end = at + 4 + int.from_bytes(attributes[at + 2 : at + 4])
        if found != code:
            kept += attributes[at:end]
        at = end
    return kept


def _too_long(path: bytes) -> bytes:
    return wire.message(wire.UPDATE, struct.pack("!HH", 0, len(path) + 9) + path)


def _set(octets: bytes, at: int, value: int) -> bytes:
    return octets[:at] + bytes((value,)) + octets[at + 1 :]
