"""What a peer said: EVPN routes as values, one module for each route type, and the one NLRI decoder.

Knows the wire format of an NLRI (RFC 7432 7) and which types there are. Does not know ExaBGP, and judges nothing: what
can be represented is decoded, whether it is usable is decided elsewhere.
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
    """What each route type's module offers."""

    @property
    def CODE(self) -> int: ...  # noqa: N802 - a module's constant

    def key(self, raw: bytes) -> RouteKey:
        """Return the route's identity, for a withdraw."""

    def unpack(self, raw: bytes, peer: Ip, attributes: Attributes) -> tuple[RouteKey, Route]:
        """Return the route with its identity, for an announcement."""


ROUTE_TYPES: Final[tuple[RouteType, ...]] = (ead, mac_ip, imet, segment, prefix)
"""In order of type number."""

_BY_CODE: Final = {route_type.CODE: route_type for route_type in ROUTE_TYPES}


class UnknownRouteType(RouteError):  # noqa: N818 - a fact about a route, no fault
    """A type that we do not decode. Such a route is passed over and costs nothing (RFC 7606 5.4)."""


def unpack_nlri(raw: bytes, peer: Ip, attributes: Attributes) -> tuple[RouteKey, Route]:
    """Decode a whole NLRI: type, length, value."""
    return _route_type(raw).unpack(raw, peer, attributes)


def nlri_key(raw: bytes) -> RouteKey:
    """Return only the identity, which is all that a withdraw has to say."""
    return _route_type(raw).key(raw)


def _route_type(raw: bytes) -> RouteType:
    if not raw:
        raise RouteError("an empty NLRI")
    try:
        return _BY_CODE[raw[0]]
    except KeyError:
        raise UnknownRouteType(f"route type {raw[0]} is not known") from None
