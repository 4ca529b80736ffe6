"""The identifiers of EVPN: MAC, IP, prefix, VNI, Route Distinguisher, Route Target, Ethernet Segment Identifier.

Each type is its own wire form (`bytes`, or `int` for a VNI), so comparing, hashing and storing a million of them costs as
much as bytes do. `parse` reads text that a person wrote, and `unpack` reads octets from the wire. Both raise ValueError for
anything else, so no other module has to validate a value of these types again.

    type                 octets   text                                 an unusual value, which is still valid
    Mac                  6        02:00:00:00:00:01                    multicast: `is_usable` is false
    Ip                   4, 16    10.0.0.1, 2001:db8::1                IPv4-mapped: becomes the IPv4 address
    Prefix               5, 17    10.0.0.0/24                          bits beyond the length: are cleared
    Vni                  an int   100                                  0: the module that uses it refuses it
    RouteDistinguisher   8        65000:100, 10.0.0.1:5                another type: 0x and 16 digits
    RouteTarget          8        65000:100, 10.0.0.1:5                another type: 0x and 16 digits
    Esi                  10       00:11:22:33:44:55:66:77:88:99        zero and all ones: name no segment

This module does not know where an identifier came from or what it is used for.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final, Self

VNI_MAX: Final = (1 << 24) - 1
"""A VNI has 24 bits in the VXLAN header (RFC 7348 5)."""


class Mac(bytes):
    """A MAC address: six octets. It is read in any usual notation and printed in lower-case colon form."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Mac":
        digits = _mac_digits(text.strip())
        if digits is None:
            raise ValueError(f"{text!r} is not a valid MAC address (six octets, as in 02:00:00:00:00:01)")
        return cls(bytes.fromhex(digits))

    @classmethod
    def unpack(cls, octets: bytes) -> "Mac":
        if len(octets) != 6:
            raise ValueError(f"a MAC address has 6 octets, not {len(octets)}")
        return cls(octets)

    @property
    def is_usable(self) -> bool:
        """True if a station can have it: it is neither zero nor multicast (broadcast is a multicast address)."""
        return not self[0] & 1 and self != ZERO_MAC

    def __str__(self) -> str:
        return self.hex(":")

    def __repr__(self) -> str:
        return f"Mac({str(self)!r})"


ZERO_MAC: Final = Mac(6)

_MAC_FORMS: Final = (
    re.compile(r"([0-9a-f]{1,2})([:-])([0-9a-f]{1,2})(?:\2([0-9a-f]{1,2}))(?:\2([0-9a-f]{1,2}))"
               r"(?:\2([0-9a-f]{1,2}))(?:\2([0-9a-f]{1,2}))", re.IGNORECASE),
    re.compile(r"([0-9a-f]{4})\.([0-9a-f]{4})\.([0-9a-f]{4})", re.IGNORECASE),
    re.compile(r"([0-9a-f]{12})", re.IGNORECASE),
)  # fmt: skip


def _mac_digits(text: str) -> str | None:
    for form in _MAC_FORMS:
        if match := form.fullmatch(text):
            return "".join(group.rjust(2, "0") for group in match.groups() if group not in (":", "-"))
    return None


class Ip(bytes):
    """An IPv4 (4 octets) or IPv6 (16 octets) address; an IPv4-mapped IPv6 address is the IPv4 one.

    VTEPs, next hops, peers and host addresses are all of this type.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Ip":
        return _parse_ip(text)

    @classmethod
    def unpack(cls, octets: bytes) -> "Ip":
        if len(octets) == 16 and octets.startswith(_V4_MAPPED):
            return cls(octets[12:])
        if len(octets) not in (4, 16):
            raise ValueError(f"an IP address has 4 or 16 octets, not {len(octets)}")
        return cls(octets)

    @property
    def mapped(self) -> bytes:
        """The address in 16 octets, which `unpack` reads; an IPv4 address becomes an IPv4-mapped one."""
        return _V4_MAPPED + self if len(self) == 4 else self

    @property
    def order(self) -> tuple[int, bytes]:
        """A key that sorts addresses as numbers, IPv4 before IPv6."""
        return (len(self), self)

    @property
    def is_v6(self) -> bool:
        return len(self) == 16

    @property
    def is_v6_link_local(self) -> bool:
        """True for fe80::/10, which means something on one link only (RFC 4291 2.5.6)."""
        return self.is_v6 and self[0] == 0xFE and self[1] & 0xC0 == 0x80

    @property
    def is_unicast(self) -> bool:
        """True if another machine can have it: not unspecified, loopback, multicast, broadcast or link-local."""
        address = ipaddress.ip_address(bytes(self))
        return not (
            address.is_unspecified
            or address.is_loopback
            or address.is_multicast
            or address.is_link_local
            or (len(self) == 4 and self[0] == 0)
            or self == b"\xff\xff\xff\xff"
        )  # fmt: skip

    @property
    def is_host(self) -> bool:
        """True for what an interface of a host can have: not unspecified, loopback, multicast or broadcast.

        address                            is_unicast    is_host
        0.0.0.0/8, ::                      no            no
        127.0.0.0/8, ::1                   no            no
        169.254.0.0/16, fe80::/10          no            yes: a host has it, a VTEP cannot be reached by it
        224.0.0.0/4, ff00::/8              no            no
        255.255.255.255                    no            no
        any other                          yes           yes
        """
        if len(self) == 4:
            return self[0] not in (0, 127) and not 224 <= self[0] < 240 and self != b"\xff\xff\xff\xff"
        return self[0] != 0xFF and int.from_bytes(self) > 1

    def __str__(self) -> str:
        return _ip_text(self)

    def __repr__(self) -> str:
        return f"Ip({str(self)!r})"


_V4_MAPPED: Final = bytes(10) + b"\xff\xff"


@lru_cache(maxsize=16384)
def _parse_ip(text: str) -> Ip:
    try:
        return Ip.unpack(ipaddress.ip_address(text.strip()).packed)
    except ValueError:
        raise ValueError(f"{text!r} is not a valid IP address") from None


@lru_cache(maxsize=16384)
def _ip_text(octets: bytes) -> str:
    return str(ipaddress.ip_address(bytes(octets)))


class Prefix(bytes):
    """An IPv4 or IPv6 prefix: its 4 or 16 octets, then its length. The bits beyond the length are zero.

    The length comes last, so that prefixes sort by network first. An IPv4-mapped prefix stays IPv6, unlike an `Ip`.
    """

    __slots__ = ()

    @classmethod
    def of(cls, network: bytes, length: int) -> "Prefix":
        """Return the prefix of these octets, without the bits beyond its length."""
        bits = 8 * len(network)
        if len(network) not in (4, 16) or not 0 <= length <= bits:
            raise ValueError(f"a prefix has 4 or 16 octets and a length that fits, not {len(network)} and {length}")
        if length == bits:
            return cls(network + bytes((length,)))
        kept = int.from_bytes(network) >> (bits - length) << (bits - length)
        return cls(kept.to_bytes(len(network)) + bytes((length,)))

    @classmethod
    def parse(cls, text: str) -> "Prefix":
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise ValueError(f"{text!r} is not a valid prefix") from None
        return cls.of(network.network_address.packed, network.prefixlen)

    @property
    def network(self) -> bytes:
        """The octets of the network."""
        return self[:-1]

    @property
    def length(self) -> int:
        return self[-1]

    @property
    def is_v6(self) -> bool:
        return len(self) == 17

    @property
    def host(self) -> Ip | None:
        """The one address of a prefix that has only one."""
        return Ip.unpack(self[:-1]) if self[-1] == 8 * (len(self) - 1) else None

    @property
    def order(self) -> tuple[int, bytes]:
        """A key that sorts IPv4 before IPv6, and then by network and length."""
        return (len(self), self)

    def __str__(self) -> str:
        return f"{_ip_text(self[:-1])}/{self[-1]}"

    def __repr__(self) -> str:
        return f"Prefix({str(self)!r})"


class Vni(int):
    """A VXLAN Network Identifier: 24 bits. Zero can be represented; the modules that use a VNI refuse it."""

    __slots__ = ()

    def __new__(cls, value: int) -> Self:
        if not 0 <= value <= VNI_MAX:
            raise ValueError(f"{value} is not a valid VNI (0 to {VNI_MAX})")
        return super().__new__(cls, value)


class RouteDistinguisher(bytes):
    """Eight octets (RFC 4364 4.2). Only the octets are compared, because another program may print two types alike.

    type       0        2              4              6           text
    0          00 00  | AS number    | number                   | 65000:100
    1          00 01  | IPv4 address                | number    | 10.0.0.1:5
    2          00 02  | AS number, 4 octets         | number    | 4200000001:7, or 65000L:7 if it would fit in 2
    other      printed as 0x and 16 digits
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "RouteDistinguisher":
        if text.startswith("0x"):
            return cls.unpack(_hex(text[2:]))
        administrator, assigned = _split_pair(text)
        kind, octets = _pack_pair(administrator, assigned)
        return cls(kind.to_bytes(2) + octets)

    @classmethod
    def unpack(cls, octets: bytes) -> "RouteDistinguisher":
        if len(octets) != 8:
            raise ValueError(f"a route distinguisher has 8 octets, not {len(octets)}")
        return cls(octets)

    def __str__(self) -> str:
        return _pair_text(int.from_bytes(self[:2]), self[2:]) or f"0x{self.hex()}"

    def __repr__(self) -> str:
        return f"RouteDistinguisher({str(self)!r})"


class RouteTarget(bytes):
    """The eight octets of a Route Target extended community (RFC 4360 4, RFC 5668 for 4-octet AS numbers).

    They are laid out as a Route Distinguisher. Only the first two octets differ: the type (0, 1, 2), and the subtype 2.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "RouteTarget":
        """Read `65000:100`, `4200000001:7` or `10.0.0.1:5`; a trailing L (`65000L:100`) selects the 4-octet form."""
        administrator, assigned = _split_pair(text)
        kind, octets = _pack_pair(administrator, assigned)
        return cls(bytes((kind, 2)) + octets)

    @classmethod
    def unpack(cls, octets: bytes) -> "RouteTarget":
        if len(octets) != 8:
            raise ValueError(f"a route target has 8 octets, not {len(octets)}")
        return cls(octets)

    @property
    def assigned(self) -> int:
        """The number after the colon, which a wildcard import (`*:N`) compares."""
        return int.from_bytes(self[4:] if self[0] & 0x3F == 0 else self[6:])

    def __str__(self) -> str:
        return _pair_text(self[0] & 0x3F, self[2:]) or f"0x{self.hex()}"

    def __repr__(self) -> str:
        return f"RouteTarget({str(self)!r})"


class Esi(bytes):
    """An Ethernet Segment Identifier: ten octets (RFC 7432 5).

    The first octet is the type, 0 to 5, which says how the other nine were made: by the operator, from LACP, and so on.
    All VTEPs of a segment have the same ten octets. Only ES-Import uses a part of them: octets 1 to 6 (RFC 7432 7.6).
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Esi":
        return cls.unpack(_hex(text.replace(":", "")))

    @classmethod
    def unpack(cls, octets: bytes) -> "Esi":
        if len(octets) != 10:
            raise ValueError(f"an Ethernet segment identifier has 10 octets, not {len(octets)}")
        return cls(octets)

    def __str__(self) -> str:
        return self.hex(":")

    def __repr__(self) -> str:
        return f"Esi({str(self)!r})"


NO_SEGMENT: Final = Esi(10)
MAX_ESI: Final = Esi(b"\xff" * 10)  # reserved: treated as if there were no segment (RFC 7432 9.2.2)


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{text!r} is not hexadecimal") from None


def _split_pair(text: str) -> tuple[str, int]:
    administrator, colon, assigned = text.strip().rpartition(":")
    if not colon or not administrator or not assigned.isascii() or not assigned.isdigit():
        raise ValueError(f"{text!r} is not of the form ASN:number or IPv4:number")
    return administrator, int(assigned)


def _pack_pair(administrator: str, assigned: int) -> tuple[int, bytes]:
    """Return the type (0: 2-octet AS, 1: IPv4, 2: 4-octet AS) and the six octets."""
    if "." in administrator:
        try:
            octets = ipaddress.IPv4Address(administrator).packed
        except ValueError:
            raise ValueError(f"{administrator!r} is not a valid IPv4 address") from None
        return 1, octets + _number(assigned, 2)
    four_octets = administrator.endswith("L")
    digits = administrator.removesuffix("L")
    if not digits.isascii() or not digits.isdigit():
        raise ValueError(f"{administrator!r} is not a valid AS number")
    number = int(digits)
    if number > 0xFFFF or four_octets:
        return 2, _number(number, 4) + _number(assigned, 2)
    return 0, _number(number, 2) + _number(assigned, 4)


def _number(value: int, octets: int) -> bytes:
    if value >= 1 << 8 * octets:
        raise ValueError(f"{value} does not fit in {octets} octets")
    return value.to_bytes(octets)


def _pair_text(kind: int, octets: bytes) -> str:
    """Return the pair as text, or "" for a type that has no usual notation."""
    if kind == 0:
        return f"{int.from_bytes(octets[:2])}:{int.from_bytes(octets[2:])}"
    if kind == 1:
        return f"{ipaddress.IPv4Address(octets[:4])}:{int.from_bytes(octets[4:])}"
    if kind == 2:
        number = int.from_bytes(octets[:4])
        return f"{number}{'L' if number <= 0xFFFF else ''}:{int.from_bytes(octets[4:])}"
    return ""
