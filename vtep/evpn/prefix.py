"""Route type 5, IP prefix (RFC 9136 3.1).

     0        8       18     22   23            27/39         31/55   34/58
    +--------+-------+------+----+-------------+-------------+-------+
    | RD     | ESI   | tag  | PL | prefix 4/16 | gateway     | label |
    +--------+-------+------+----+-------------+-------------+-------+
      key    |       | key                     |

The key is the RD, the tag, the prefix length and the prefix (RFC 9136 3.1). Only the total length says which address family
it is. This module does not know any routing table.

The gateway and the ESI are overlay indexes (RFC 9136 3.2): they say that the route goes by way of a host or a segment.
A route without one goes to the next hop itself, with the Router's MAC of the attributes (RFC 9136 4.4.1).

A leaf has a hundred thousand prefixes of which a few dozen values are said. So the RIB keeps each value once, without the prefix, which
the key of a route has (`shared`, `prefix_of_key`, `whole`).
"""

from typing import Final

from msgspec import Struct, structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Prefix, RouteDistinguisher
from vtep.errors import RouteError
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import RouteKey

CODE: Final = 5
_IP_OCTETS: Final = {36: 4, 60: 16}
"""The octets of an address by those of the whole NLRI: prefix and gateway are of one family (RFC 9136 3.1)."""


class IpPrefix(Struct, frozen=True, gc=False):
    """The originator reaches this prefix, by itself or through this gateway or segment."""

    peer: Ip
    """The BGP neighbor that sent the route, which may be a route reflector."""
    attributes: Attributes
    rd: RouteDistinguisher
    tag: int
    network: bytes
    """The 4 or 16 octets as received: an IPv4-mapped IPv6 prefix stays IPv6, because its length counts IPv6 bits. Empty
    in a value that many prefixes share."""
    length: int
    label: int
    """The L3VNI of the VRF, as the raw 24 bits. It does not matter in a route with a gateway."""
    gateway: Ip | None = None
    """The host to which packets for the prefix go; None if the NLRI has zeros there."""
    esi: Esi = NO_SEGMENT
    """`NO_SEGMENT` in nearly every route. Any other value is refused by the projection as `overlay-index`."""


def key(raw: bytes) -> RouteKey:
    return b"\x05" + raw[2:10] + raw[20 : 25 + _ip_octets(raw)]


def unpack(raw: bytes, peer: Ip, attributes: Attributes) -> tuple[RouteKey, IpPrefix]:
    network_end = 25 + _ip_octets(raw)
    gateway = raw[network_end:-3]
    route = IpPrefix(
        peer,
        attributes,
        RouteDistinguisher(raw[2:10]),
        int.from_bytes(raw[20:24]),
        raw[25:network_end],
        raw[24],
        int.from_bytes(raw[-3:]),
        Ip.unpack(gateway) if any(gateway) else None,
        Esi(raw[10:20]),
    )
    return b"\x05" + raw[2:10] + raw[20:network_end], route


class Alike(Struct, frozen=True, eq=False):
    """Type-5 routes that say the same of several prefixes."""

    value: IpPrefix
    """What they say, without a prefix."""
    keys: dict[RouteKey, None]


def shape(raw: bytes) -> tuple[bytes, bytes, int]:
    """Return the octets before the prefix length, those behind the prefix, and where these begin; check the lengths."""
    end = 25 + _ip_octets(raw)
    return raw[:24], raw[end:], end


def key_to(raw: bytes, end: int) -> RouteKey:
    """Return the key of an NLRI whose prefix ends at this octet."""
    return b"\x05" + raw[2:10] + raw[20:end]


_LENGTH_AT: Final = 13
_NETWORK_AT: Final = 14
_V6_KEY: Final = 30
"""The octets of the key of an IPv6 prefix, or more with a path identifier. A key of IPv4 has 18, or 22 with one."""


_BEYOND: Final = [(1 << 32 - length) - 1 for length in range(33)] + [-1] * 223
"""The bits of an IPv4 address beyond each prefix length."""


def _network(key: RouteKey) -> bytes:
    return key[_NETWORK_AT:_V6_KEY] if len(key) >= _V6_KEY else key[_NETWORK_AT:18]


def prefix_of_key(key: RouteKey) -> Prefix:
    """Return the prefix of the route with this key."""
    if len(key) < _V6_KEY and not int.from_bytes(key[_NETWORK_AT:18]) & _BEYOND[key[_LENGTH_AT]]:
        return Prefix(key[_NETWORK_AT:18] + key[_LENGTH_AT:_NETWORK_AT])  # nearly all of them: no bit is to be cleared
    return Prefix.of(_network(key), key[_LENGTH_AT])


def shared(route: IpPrefix) -> IpPrefix:
    """Return the route without its prefix, as a value that many prefixes may share: an object of its own."""
    return structs.replace(route, network=b"", length=0)


def says_the_same(value: IpPrefix, route: IpPrefix) -> bool:
    """Return whether a route says what a value says; two attributes that are not one object are different."""
    return (
        value.attributes is route.attributes
        and (value.label, value.gateway, value.esi) == (route.label, route.gateway, route.esi)
        and (value.rd, value.tag) == (route.rd, route.tag)
    )


def path_id_of_key(key: RouteKey) -> bytes:
    """Return the path identifier that is behind the key of a route, if there is one."""
    return key[_V6_KEY:] if len(key) >= _V6_KEY else key[18:]


def whole(key: RouteKey, route: IpPrefix) -> IpPrefix:
    """Return a route with its prefix, which its key has."""
    return structs.replace(route, network=_network(key), length=key[_LENGTH_AT])


def _ip_octets(raw: bytes) -> int:
    """Check the lengths of the NLRI, and return how many octets its prefix and its gateway have.

    Bits of the prefix beyond its length are kept, because they are part of the key. `Prefix.of` clears them later.
    """
    ip_octets = _IP_OCTETS.get(len(raw))
    if ip_octets is None or raw[1] != len(raw) - 2:
        raise RouteError(f"an IP prefix NLRI has 36 (IPv4) or 60 (IPv6) octets, not {len(raw)}")
    if raw[24] > 8 * ip_octets:
        raise RouteError(f"the prefix length {raw[24]} does not fit in {8 * ip_octets} bits")
    return ip_octets
