"""The keys of the routes that this leaf also advertises: which route it is, whatever its labels and attributes are.

A key is the number of the route type and the octets that RFC 7432 calls the key. It is the same for a received route and for one
of our own. Standard library only, because ExaBGP's process makes keys as well (`feed.exabgp.plugin`).

    type 1   01 | RD 8 | ESI 10 | tag 4                                23 octets
    type 2   02 | RD 8 | tag 4 | 48 | MAC 6 | bits | IP 0, 4 or 16     21, 25 or 37 octets
    type 3   03 | RD 8 | tag 4 | bits | originator 4 or 16             18 or 30 octets
    type 4   04 | RD 8 | ESI 10 | bits | originator 4 or 16            24 or 36 octets
    type 5   05 | RD 8 | tag 4 | bits | prefix 4 or 16                 18 or 30 octets

A received route with a path identifier (RFC 7911 3) has its four octets behind these, so each path is a route.
"""

from typing import Final

MAC_IP: Final = 2
"""The type of a route of a MAC, which its key begins with."""
_MAC_BITS: Final = b"\x30"


def mac_of(key: bytes) -> bytes:
    """Return the MAC in the key of a Type-2 route."""
    return key[14:20]


def mac_ip_key(rd: bytes, tag: int, mac: bytes, ip: bytes) -> bytes:
    """Return the key of a Type-2 route: RD, tag, MAC and IP, the last two behind their lengths in bits (RFC 7432 7.2)."""
    return b"\x02" + rd + tag.to_bytes(4) + mac_and_ip(mac, ip)


def mac_and_ip(mac: bytes, ip: bytes) -> bytes:
    """Return both behind their lengths in bits, as they stand in the key and in the NLRI. No IP has the length 0."""
    return _MAC_BITS + mac + bytes((8 * len(ip),)) + ip


def imet_key(rd: bytes, tag: int, originator: bytes) -> bytes:
    """Return the key of a Type-3 route, which is all of it (RFC 7432 7.3)."""
    return b"\x03" + rd + tag.to_bytes(4) + bytes((8 * len(originator),)) + originator


def ead_key(rd: bytes, esi: bytes, tag: int) -> bytes:
    """Return the key of a Type-1 route: RD, ESI and tag (RFC 7432 7.1)."""
    return b"\x01" + rd + esi + tag.to_bytes(4)


def segment_key(rd: bytes, esi: bytes, originator: bytes) -> bytes:
    """Return the key of a Type-4 route, which is all of it (RFC 7432 7.4)."""
    return b"\x04" + rd + esi + bytes((8 * len(originator),)) + originator


def prefix_key(rd: bytes, tag: int, prefix: bytes) -> bytes:
    """Return the key of a Type-5 route: RD, tag, prefix length and prefix (RFC 9136 3.1). A `Prefix` has its length last."""
    return b"\x05" + rd + tag.to_bytes(4) + prefix[-1:] + prefix[:-1]


def key_of(kind: int, value: bytes) -> bytes:
    """Return the key of a route of our own from the type and the value of its NLRI: no label, ESI or gateway is part of it."""
    if kind == 1:
        return b"\x01" + value[:22]
    if kind == 2:
        return b"\x02" + value[:8] + value[18 : 30 + value[29] // 8]
    if kind == 5:  # behind the length are a prefix and a gateway, of 4 or of 16 octets, and the label
        return b"\x05" + value[:8] + value[18 : 23 + (len(value) - 26) // 2]
    return bytes((kind,)) + value
