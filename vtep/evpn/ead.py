"""Route type 1, Ethernet auto-discovery (RFC 7432 7.1): per segment (tag 4294967295) or per EVPN instance.

     0        8       18     22      25
    +--------+-------+------+-------+
    | RD     | ESI   | tag  | label |
    +--------+-------+------+-------+
      key                   |

The key is the RD, the ESI and the tag (RFC 7432 7.1). This module does not know what a segment is used for.

    tag           the route says                                             its label
    4294967295    the segment is up at the originator (RFC 7432 8.2.1)       zero
    any other     the originator has this EVI on the segment (8.4)           the VNI

A VTEP withdraws the first one when its port on the segment fails. By that one withdrawal, the other leaves stop sending
it frames for all MACs of the segment (8.2).
"""

from typing import Final

from msgspec import Struct

from vtep.addr import Esi, Ip, RouteDistinguisher
from vtep.errors import RouteError
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import RouteKey

CODE: Final = 1
PER_ES_TAG: Final = 0xFFFF_FFFF
"""The tag of a route per segment; any other one is a route per EVI (RFC 7432 8.2.1)."""


class EthernetAd(Struct, frozen=True, gc=False):
    """The originator is attached to this Ethernet segment."""

    peer: Ip
    attributes: Attributes
    rd: RouteDistinguisher
    esi: Esi
    tag: int
    """`PER_ES_TAG` for the segment as a whole, otherwise the Ethernet Tag ID of the broadcast domain."""
    label: int
    """The raw 24 bits; zero in a route per segment, which has its label in the ESI label community."""


def key(raw: bytes) -> RouteKey:
    if len(raw) != 27 or raw[1] != 25:
        raise RouteError(f"an Ethernet A-D NLRI has 27 octets, not {len(raw)}")
    return b"\x01" + raw[2:24]


def unpack(raw: bytes, peer: Ip, attributes: Attributes) -> tuple[RouteKey, EthernetAd]:
    route_key = key(raw)
    rd, esi = RouteDistinguisher(raw[2:10]), Esi(raw[10:20])
    tag, label = int.from_bytes(raw[20:24]), int.from_bytes(raw[24:])
    return route_key, EthernetAd(peer, attributes, rd, esi, tag, label)
