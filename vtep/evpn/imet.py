"""Route type 3, inclusive multicast Ethernet tag (RFC 7432 7.3): which VTEPs want the floods of a broadcast domain.

     0        8      12   13
    +--------+------+----+-----------------+
    | RD     | tag  | IL | originator 4/16 |
    +--------+------+----+-----------------+
      key                                  |

The whole NLRI is the key (RFC 7432 7.3). Where to send the floods is in the PMSI tunnel attribute, not here.
"""

from typing import Final

from msgspec import Struct

from vtep.addr import Ip, RouteDistinguisher
from vtep.errors import RouteError
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import RouteKey

CODE: Final = 3
_LENGTHS: Final = {32: 19, 128: 31}
"""The octets of the whole NLRI, by the originator's length in bits."""


class Imet(Struct, frozen=True, gc=False):
    """The originator wants a copy of every flooded frame."""

    peer: Ip
    """The BGP neighbor that sent the route, which may be a route reflector."""
    attributes: Attributes
    rd: RouteDistinguisher
    tag: int
    originator: Ip
    """The address by which the VTEP names itself. Floods go to the endpoint of the PMSI tunnel, often the same one.

    If the two differ, the flood row has the note `pmsi-mismatch`.
    """


def key(raw: bytes) -> RouteKey:
    """Check the lengths, and return the type and the whole value: only the octet with the length is left out."""
    if len(raw) < 15 or _LENGTHS.get(raw[14]) != len(raw) or raw[1] != len(raw) - 2:
        raise RouteError(f"{len(raw)} octets are not an inclusive multicast NLRI with an IPv4 or IPv6 originator")
    return b"\x03" + raw[2:]


def unpack(raw: bytes, peer: Ip, attributes: Attributes) -> tuple[RouteKey, Imet]:
    route_key = key(raw)
    rd, tag, originator = RouteDistinguisher(raw[2:10]), int.from_bytes(raw[10:14]), Ip.unpack(raw[15:])
    return route_key, Imet(peer, attributes, rd, tag, originator)
