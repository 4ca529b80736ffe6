"""Route type 2, MAC/IP advertisement (RFC 7432 7.2).

     0        8       18     22   23      29   30
    +--------+-------+------+----+-------+----+--------------+--------+---------+
    | RD     | ESI   | tag  | 48 | MAC   | IL | IP (0/4/16)  | label1 | label2? |
    +--------+-------+------+----+-------+----+--------------+--------+---------+
      key    |       | key                                   |

The key is the RD, the tag, both lengths, the MAC and the IP (RFC 7432 7.2). The ESI and the labels are not part of it, so a
withdraw with labels of zero finds its route. A label is the raw 24 bits, which is a VNI with VXLAN (RFC 8365 5.1.3).

Two routes of one MAC have different keys if one of them has a host address, so a peer may advertise both, and withdraw
one. The second label is there only if the length of the NLRI has room for it: no flag announces it.
"""

from functools import lru_cache
from typing import Final

from msgspec import Struct

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher
from vtep.errors import RouteError
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import RouteKey
from vtep.evpn.keys import mac_ip_key

CODE: Final = 2
_IP_LENGTHS: Final = {0: 0, 32: 4, 128: 16}
"""The octets of the host address by its length in bits, which are the only ones that are valid (RFC 7432 9.2.1)."""


class MacIp(Struct, frozen=True, gc=False):
    """The next hop reaches this MAC, and perhaps this host address, by itself or over this segment."""

    peer: Ip
    """The BGP neighbor that sent the route: often a route reflector, and not the VTEP behind which the MAC is."""
    attributes: Attributes
    rd: RouteDistinguisher
    """It tells apart the routes of two VTEPs for one MAC. Without it, a reflector would pass on only one of them."""
    tag: int
    """The Ethernet Tag ID: 0 in a VLAN-based service, else the broadcast domain in the EVI (RFC 7432 6.1, 6.3)."""
    mac: Mac
    label: int
    """The VNI of the bridge, as the raw 24 bits. Zero is read here and refused by the projection."""
    ip: Ip | None = None
    """A host address of the MAC; None in a route about the MAC alone."""
    esi: Esi = NO_SEGMENT
    """The segment of a multihomed host. `NO_SEGMENT`: the MAC is behind the next hop alone."""
    label2: int | None = None
    """The L3VNI of symmetric IRB (RFC 9135), as the raw 24 bits; None if the route has one label only."""

    @property
    def key(self) -> RouteKey:
        """The key, computed again. An IPv4-mapped host and a path identifier (RFC 7911) are only in the received key."""
        return mac_ip_key(self.rd, self.tag, self.mac, self.ip or b"")


def key(raw: bytes) -> RouteKey:
    """Return the type, RD and tag, and everything from the MAC's length to the IP: all but the ESI and the labels."""
    end = _ip_end(raw)
    return b"\x02" + raw[2:10] + raw[20:end]


def unpack(raw: bytes, peer: Ip, attributes: Attributes) -> tuple[RouteKey, MacIp]:
    """Decode an NLRI. The MAC itself is not judged here: the projection refuses a multicast one (`bad-mac`).

    The key is cut out of the octets, and not made from the value, because an IPv4-mapped host address becomes IPv4.
    """
    end = _ip_end(raw)
    key_head, rd, esi, tag = _head(raw[2:24])
    route = MacIp(
        peer,
        attributes,
        rd,
        tag,
        Mac(raw[25:31]),
        int.from_bytes(raw[end : end + 3]),
        _host(raw[32:end]),
        esi,
        None if len(raw) == end + 3 else int.from_bytes(raw[end + 3 :]),
    )
    return key_head + raw[24:end], route


def is_of_mac_alone(raw: bytes) -> bool:
    """Return whether these are the octets of a route without a host address, all lengths as they must be."""
    return len(raw) in (35, 38) and raw[0] == CODE and raw[1] == len(raw) - 2 and raw[24] == 48 and raw[31] == 0


def _host(octets: bytes) -> Ip | None:
    """Return the host address, if there is one. IPv4 is the usual case and needs no check."""
    return Ip(octets) if len(octets) == 4 else Ip.unpack(octets) if octets else None


# Many MACs share a few of these values. Decoding each once makes a long line a third faster, and one object for each saves
# memory in a RIB of a million routes. The caches are bounded, because a peer chooses the values.
@lru_cache(maxsize=16384)
def _head(octets: bytes) -> tuple[bytes, RouteDistinguisher, Esi, int]:
    """Decode the fields before the MAC: the beginning of the key, the RD, the ESI and the tag."""
    return b"\x02" + octets[:8] + octets[18:], _rd(octets[:8]), _esi(octets[8:18]), int.from_bytes(octets[18:])


_rd = lru_cache(maxsize=16384)(RouteDistinguisher)
_esi = lru_cache(maxsize=16384)(Esi)


def _ip_end(raw: bytes) -> int:
    """Check every length of the NLRI, and return the offset at which the IP ends and the labels begin."""
    if len(raw) < 35:
        raise RouteError(f"a MAC/IP NLRI has at least 35 octets, not {len(raw)}")
    if raw[24] != 48:
        raise RouteError(f"the MAC length is {raw[24]}; only 48 bits are valid (RFC 7432 9.2.1)")
    ip_octets = _IP_LENGTHS.get(raw[31])
    if ip_octets is None:
        raise RouteError(f"the IP length is {raw[31]}; only 0, 32 and 128 bits are valid (RFC 7432 9.2.1)")
    end = 32 + ip_octets
    if len(raw) not in (end + 3, end + 6) or raw[1] != len(raw) - 2:
        raise RouteError(f"the NLRI has {len(raw)} octets and says {raw[1] + 2}, expected {end + 3} or {end + 6}")
    return end
