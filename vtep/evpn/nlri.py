"""The NLRI decoder: octets to a route, by route type (RFC 7432 7).

Each route type has a module of its own with its value, its key and its decoder. This module lists them and picks one by the
first octet. It does not know ExaBGP, and it does not decide whether a route is usable: it decodes whatever can be represented.

     0      1        2
    +------+--------+----------------------+
    | type | length | value, by route type |     the length counts the octets of the value
    +------+--------+----------------------+

    type  module    octets of the value         what its originator advertises
    1     ead       25                          that it is attached to a segment, or has a VNI on it
    2     mac_ip    33, 37 or 49; 3 more if     that a MAC, and perhaps a host address, is behind it
                    there is a second label
    3     imet      17 or 29                    that it wants the floods of a broadcast domain
    4     segment   23 or 35                    that it takes part in the election of a designated forwarder
    5     prefix    34 or 58                    that it reaches an IP prefix

The drawings in those modules count from the value. Their code has the whole NLRI in `raw`, so offsets are two higher.

A length that does not fit raises RouteError, and the caller goes on with the next NLRI (RFC 7606 5.4). A route type
without a module raises UnknownRouteType, which is not a fault: types 6 to 11 are about multicast (RFC 9251, RFC 9572).
"""

from typing import Final, Protocol, TypeAlias

from vtep.addr import Ip
from vtep.errors import RouteError
from vtep.evpn import ead, imet, mac_ip, prefix, segment
from vtep.evpn.attributes import Attributes
from vtep.evpn.ead import EthernetAd
from vtep.evpn.event import RouteKey
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.prefix import IpPrefix
from vtep.evpn.segment import Segment

Route: TypeAlias = EthernetAd | MacIp | Imet | Segment | IpPrefix


class RouteType(Protocol):
    """What the module of each route type offers."""

    @property
    def CODE(self) -> int: ...  # noqa: N802 - a module's constant

    def key(self, raw: bytes) -> RouteKey:
        """Return the key of a route that is withdrawn."""

    def unpack(self, raw: bytes, peer: Ip, attributes: Attributes) -> tuple[RouteKey, Route]:
        """Return the key and the value of a route that is advertised."""


ROUTE_TYPES: Final[tuple[RouteType, ...]] = (ead, mac_ip, imet, segment, prefix)
"""In the order of their numbers."""

_BY_CODE: Final = {route_type.CODE: route_type for route_type in ROUTE_TYPES}


class UnknownRouteType(RouteError):  # noqa: N818 - it is not a fault of the route
    """A route of a type that we do not decode. It is ignored and costs nothing (RFC 7606 5.4)."""


def unpack_nlri(raw: bytes, peer: Ip, attributes: Attributes) -> tuple[RouteKey, Route]:
    """Decode one whole NLRI: type, length, value."""
    return _route_type(raw).unpack(raw, peer, attributes)


def nlri_key(raw: bytes) -> RouteKey:
    """Return only the key, which is all that a withdraw needs."""
    return _route_type(raw).key(raw)


def _route_type(raw: bytes) -> RouteType:
    if not raw:
        raise RouteError("an empty NLRI")
    try:
        return _BY_CODE[raw[0]]
    except KeyError:
        raise UnknownRouteType(f"route type {raw[0]} is not known") from None
