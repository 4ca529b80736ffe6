"""Route type 4, Ethernet segment (RFC 7432 7.4): which VTEPs take part in electing the designated forwarder.

     0        8       18   19
    +--------+-------+----+-----------------+
    | RD     | ESI   | IL | originator 4/16 |
    +--------+-------+----+-----------------+
      key                                   |

The whole NLRI is the key (RFC 7432 7.4). This module does not know which VTEP wins the election.
"""

from typing import Final

from msgspec import Struct

from vtep.addr import Esi, Ip, RouteDistinguisher
from vtep.errors import RouteError
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import RouteKey

CODE: Final = 4
_LENGTHS: Final = {32: 25, 128: 37}
"""The octets of the whole NLRI, by the originator's length in bits."""


class Segment(Struct, frozen=True, gc=False):
    """The originator has a port on this Ethernet segment."""

    peer: Ip
    attributes: Attributes
    rd: RouteDistinguisher
    esi: Esi
    originator: Ip
    """The candidate of the election, by whose address it is ranked (RFC 7432 8.5). The next hop does not count."""


def key(raw: bytes) -> RouteKey:
    """Check the lengths, and return the type and the whole value: only the octet with the length is left out."""
    if len(raw) < 21 or _LENGTHS.get(raw[20]) != len(raw) or raw[1] != len(raw) - 2:
        raise RouteError(f"{len(raw)} octets are not an Ethernet segment NLRI with an IPv4 or IPv6 originator")
    return b"\x04" + raw[2:]


def unpack(raw: bytes, peer: Ip, attributes: Attributes) -> tuple[RouteKey, Segment]:
    route_key = key(raw)
    rd, esi, originator = RouteDistinguisher(raw[2:10]), Esi(raw[10:20]), Ip.unpack(raw[21:])
    return route_key, Segment(peer, attributes, rd, esi, originator)
