"""The path attributes of one UPDATE that matter for EVPN forwarding.

    next hop                     the remote VTEP
    Route Target                 which VNIs import the route (RFC 4360 4)
    Site-of-Origin               routes of our own site are refused (RFC 4364 7)
    encapsulation                VXLAN, or something that this leaf does not speak (RFC 9012 4.1)
    MAC mobility                 sequence number and sticky, by which moves are decided (RFC 7432 7.7, 15)
    default gateway, Router's MAC, ARP/ND flags            what the MAC is (RFC 7432 10.1, RFC 9135 8.1, RFC 9047)
    ESI label, ES-Import, DF election                      Ethernet segments (RFC 7432 7.5, 7.6, RFC 8584)
    PMSI tunnel                  how the originator of a Type-3 route wants floods (RFC 6514 5)
    LLGR_STALE                   a speaker on the way keeps the route of a lost session (RFC 9494)
    LOCAL_PREF, AS path, ORIGIN, MED       which of several Type-5 routes is better (RFC 4271 9.1)

Each extended community is read from its 64-bit value, never from the speaker's text for it. LOCAL_PREF and what follows never
decide where a MAC is (RFC 7432 15). The rest of BGP's route selection is left out on purpose.

**Two ways in, one value out.** `decode` takes what a line of ExaBGP shows, `unpack` takes octets. Only the PMSI tunnel differs,
because ExaBGP's text can lose the lower bits of its label (`Pmsi.exact`).

**Several where one is expected.** The first counts, as in FRR. Two exceptions: two DF election communities count as none (RFC 8584
2.2), and mobility communities are counted, so that a note can say that there were several.

**Equal attributes are one object.** Very many routes share few attributes, so the result is kept by its arguments, and costs no
memory for each route. What a peer can make long is not kept.

This module knows no NLRI, and it does not decide whether a route is usable: a wrong encapsulation is a refusal with a reason in
the projection, where an operator can see it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from msgspec import Struct

from vtep.addr import Ip, Mac, RouteTarget

ENCAP_VXLAN: Final = 8
PMSI_INGRESS_REPLICATION: Final = 6
HOST_ROUTER: Final = 0x01
HOST_IMMUTABLE: Final = 0x08
"""Bits of `Attributes.host_flags`; the override bit (0x02) has no effect here."""
DEFAULT_LOCAL_PREF: Final = 100
"""What counts where an UPDATE has no LOCAL_PREF, as in every speaker."""


class Pmsi(Struct, frozen=True, gc=False):
    """The PMSI tunnel attribute (RFC 6514 5): how floods reach the originator of a Type-3 route."""

    tunnel_type: int
    """6 is ingress replication, the only type that gives a flood row. The others are kept for display."""
    flags: int
    label: int
    """The raw 24-bit value, which is a VNI if the encapsulation is VXLAN (RFC 8365 5.1.3)."""
    endpoint: Ip | None
    """Known for ingress replication only."""
    exact: bool = True
    """False if the speaker showed only the upper 20 bits of the label; the lower four then read as zero."""

    def is_labelled(self, vni: int) -> bool:
        """Return True if the label is that VNI, as far as the label is known."""
        return self.label == vni if self.exact else self.label >> 4 == vni >> 4


class Election(Struct, frozen=True, gc=False):
    """The DF Election community: how its sender elects the designated forwarder (RFC 8584 2.2, RFC 9785 3)."""

    algorithm: int = 0
    """0 modulo, 1 highest random weight, 2 and 3 highest and lowest preference (RFC 8584 3, RFC 9785 3)."""
    capabilities: int = 0
    """The bitmap as received: 0x8000 Don't Preempt, 0x4000 AC-influenced."""
    preference: int = 0
    """Used by the two algorithms by preference only."""


class Attributes(Struct, frozen=True, gc=False):
    """One value for all routes of an UPDATE; equal communities usually give the same object."""

    next_hop: Ip
    """The tunnel address of the remote VTEP. Floods alone go elsewhere: to the endpoint of `pmsi`."""
    targets: tuple[RouteTarget, ...] = ()
    """Each Route Target once. Without any, no VNI imports the route (`rt-missing`)."""
    encapsulations: tuple[int, ...] = ()
    """The tunnel types that the VTEP offers. If there are none, VXLAN is assumed (note `encap-default`)."""
    seq: int = 0
    """The MAC mobility sequence number; no community counts as 0 (RFC 7432 15). The first of several counts, as in FRR."""
    sticky: bool = False
    """The MAC must not move (RFC 7432 7.7): a static entry at the VTEP, which wins whatever its sequence number."""
    gateway: bool = False
    """The default gateway community (RFC 7432 10.1)."""
    mobility_count: int = 0
    """How many MAC mobility communities there were; more than one is an anomaly worth a note."""
    sites: tuple[bytes, ...] = ()
    """The Site-of-Origin communities (RFC 4360 5), all eight octets of each: as a Route Target, but of subtype 3."""
    router_mac: Mac | None = None
    """The MAC to which packets of the L3VNI go (RFC 9135 8.1). A VRF needs it, except in routes with a gateway."""
    single_active: bool = False
    """The flag of the ESI label community (RFC 7432 7.5)."""
    esi_label: int | None = None
    """The label for split horizon with MPLS, for display; unused with VXLAN (RFC 8365 8.3.1). None if not there."""
    es_import: Mac | None = None
    """The Route Target of a segment, which has the form of a MAC (RFC 7432 7.6). For display: the ESI decides."""
    host_flags: int = 0
    """The flags octet of the ARP/ND community as received (RFC 9047 2): 0x01 router, 0x02 override, 0x08 immutable.

    In FRR, 0x04 is the proxy flag: the sender advertises a station that another VTEP of the segment learned.
    """
    election: Election | None = None
    """None also if the community comes more than once, which selects the default (RFC 8584 2.2)."""
    llgr_stale: bool = False
    pmsi: Pmsi | None = None
    """None if it is missing or cannot be read; then a Type-3 route gives no flood row (`no-ir`)."""
    local_pref: int = DEFAULT_LOCAL_PREF
    as_path_length: int = 0
    """How many AS numbers count: a set counts as one, and those of a confederation do not count (RFC 4271 9.1.2.2, RFC 5065 5.3)."""
    origin: int = 0
    """0 IGP, 1 EGP, 2 incomplete; the lowest is best (RFC 4271 5.1.1)."""
    med: int = 0
    """MULTI_EXIT_DISC; a route without it has the lowest possible one (RFC 4271 9.1.2.2 c)."""
    neighbor_as: int = 0
    """The first AS of the path, among whose routes MED is compared; 0 if the path is empty, for our own AS."""

    @property
    def is_long(self) -> bool:
        """Return whether it takes much memory. Only routes may keep it then, because a peer chooses how many there are."""
        return len(self.targets) + len(self.sites) + len(self.encapsulations) > _COMMUNITIES_KEPT_MAX


LLGR_STALE: Final = 0xFFFF0006
"""The community that marks a long-lived stale route (RFC 9494 3.2, unverified)."""

# The type and subtype of each extended community that is read. They are octets 0 and 1; behind them are:
#
#     octets             2               3         4         5          6         7
#     Route Target,      AS number, 2 octets       assigned number, 4 octets              (type 0x00)
#     Site-of-Origin     IPv4 address, or AS number of 4 octets         assigned number   (types 0x01 and 0x02)
#     encapsulation      reserved                                       tunnel type
#     default gateway    reserved
#     MAC mobility       0x01 sticky     reserved  sequence number, 4 octets
#     ESI label          0x01 sgl-act.   reserved            label, 3 octets  (the flag is single-active)
#     ES-Import,         a MAC, 6 octets
#     Router's MAC
#     DF election        algorithm (5b)  capabilities        reserved   preference
#     ARP/ND             flags           reserved
_TARGETS: Final = (b"\x00\x02", b"\x01\x02", b"\x02\x02")  # RFC 4360 4, RFC 5668; not with 0x40, see _decode
_SITES: Final = (b"\x00\x03", b"\x01\x03", b"\x02\x03")  # RFC 4360 5
_ENCAPSULATION: Final = b"\x03\x0c"  # RFC 9012 4.1
_GATEWAY: Final = b"\x03\x0d"  # RFC 7432 7.8
_MOBILITY: Final = b"\x06\x00"  # RFC 7432 7.7
_ESI_LABEL: Final = b"\x06\x01"  # RFC 7432 7.5
_ES_IMPORT: Final = b"\x06\x02"  # RFC 7432 7.6
_ROUTER_MAC: Final = b"\x06\x03"  # RFC 9135 8.1
_ARP_ND: Final = b"\x06\x08"  # RFC 9047 2


def decode(
    next_hop: Ip,
    communities: tuple[int, ...],
    pmsi: str | None,
    llgr_stale: bool,
    local_pref: int = DEFAULT_LOCAL_PREF,
    as_path_length: int = 0,
    origin: int = 0,
    med: int = 0,
    neighbor_as: int = 0,
) -> Attributes:
    """Decode the extended communities, each a 64-bit number. Equal attributes give the same object.

    An UPDATE with very many communities is an exception: it gets a new object each time, because a cache of what a peer
    chooses must not fill our memory.
    """
    tunnel = parse_pmsi(pmsi) if pmsi else None
    read = _decode if len(communities) <= _COMMUNITIES_KEPT_MAX else _decode.__wrapped__
    return read(next_hop, communities, tunnel, llgr_stale, local_pref, as_path_length, origin, med, neighbor_as)


def unpack(next_hop: Ip, octets: bytes) -> Attributes:
    """Decode path attributes as they are in an UPDATE, of which each length fits (RFC 4271 4.3). The first of a kind counts."""
    communities: tuple[int, ...] = ()
    pmsi: Pmsi | None = None
    llgr_stale = False
    local_pref, as_path_length, origin, med, neighbor_as = DEFAULT_LOCAL_PREF, 0, 0, 0, 0
    for code, value in _split(octets).items():
        if code == _EXTENDED_COMMUNITIES:
            communities = tuple(int.from_bytes(value[at : at + 8]) for at in range(0, len(value) - 7, 8))
        elif code == _COMMUNITIES:
            llgr_stale = any(value[at : at + 4] == _LLGR_STALE_OCTETS for at in range(0, len(value), 4))
        elif code == _PMSI_TUNNEL:
            pmsi = _unpack_pmsi(value)
        elif code == _LOCAL_PREF and len(value) == 4:
            local_pref = int.from_bytes(value)
        elif code == _AS_PATH:
            as_path_length, neighbor_as = _as_path(value)
        elif code == _ORIGIN and len(value) == 1:
            origin = value[0]
        elif code == _MED and len(value) == 4:
            med = int.from_bytes(value)
    read = _decode if len(communities) <= _COMMUNITIES_KEPT_MAX else _decode.__wrapped__
    return read(next_hop, communities, pmsi, llgr_stale, local_pref, as_path_length, origin, med, neighbor_as)


def _split(octets: bytes) -> dict[int, bytes]:
    """Return each path attribute's value by its code. Of two with one code the first counts (RFC 7606 3 g).

     0       1       2            3 (or 4)
    +-------+------+------------+-----------+
    | flags | code | length 1/2 | value     |     the length has two octets if the flag 0x10 is set (RFC 4271 4.3)
    +-------+------+------------+-----------+
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(octets):
        head = 4 if octets[at] & 0x10 else 3  # the extended length flag
        end = at + head + int.from_bytes(octets[at + 2 : at + head])
        found.setdefault(octets[at + 1], octets[at + head : end])
        at = end
    return found


def _as_path(value: bytes) -> tuple[int, int]:
    """Return how many AS numbers of the path count, and the first one if it is in a sequence.

    Their size was negotiated: it is the one by which the segments fit.
    """
    for size in (4, 2):
        found = at = first = 0
        while at + 2 <= len(value):
            kind, count = value[at], value[at + 1]
            if kind == _AS_SEQUENCE and not found:
                first = int.from_bytes(value[at + 2 : at + 2 + size])
            found += {_AS_SET: 1, _AS_SEQUENCE: count}.get(kind, 0)
            at += 2 + size * count
        if at == len(value):
            return found, first
    return 0, 0


def _unpack_pmsi(value: bytes) -> Pmsi | None:
    """Decode the PMSI tunnel attribute (RFC 6514 5). Return None if that is impossible: the routes count anyway.

     0       1      2       5
    +-------+------+-------+-----------------------------+
    | flags | type | label | tunnel identifier           |     for ingress replication: the endpoint, 4 or 16 octets
    +-------+------+-------+-----------------------------+
    """
    if len(value) < _PMSI_HEAD:
        return None
    endpoint = None
    if value[1] == PMSI_INGRESS_REPLICATION:
        try:
            endpoint = Ip.unpack(value[_PMSI_HEAD:])
        except ValueError:
            return None
    return Pmsi(value[1], value[0], int.from_bytes(value[2:_PMSI_HEAD]), endpoint)


_ORIGIN: Final = 1
_AS_PATH: Final = 2
_MED: Final = 4
_AS_SET, _AS_SEQUENCE = 1, 2
_LOCAL_PREF: Final = 5
_COMMUNITIES: Final = 8
_EXTENDED_COMMUNITIES: Final = 16
_PMSI_TUNNEL: Final = 22
_PMSI_HEAD: Final = 5
_LLGR_STALE_OCTETS: Final = LLGR_STALE.to_bytes(4)
_COMMUNITIES_KEPT_MAX: Final = 64
"""Attributes with more communities are decoded each time. So the 16,384 cached ones have about a million at most."""


@lru_cache(maxsize=16384)
def _decode(
    next_hop: Ip,
    communities: tuple[int, ...],
    pmsi: Pmsi | None,
    llgr_stale: bool,
    local_pref: int,
    as_path_length: int,
    origin: int,
    med: int,
    neighbor_as: int,
) -> Attributes:
    """Decode the communities that matter. Of one that may come only once, the first counts (RFC 9135 8.1, RFC 9047 3.2).

    A community with the non-transitive bit (0x40) is not a Route Target. RFC 4360 4 has only the transitive types, no such
    subtype is registered, and an import policy that compares octets, as every speaker has, never matches it.
    """
    by_kind: dict[bytes, list[bytes]] = {}
    for octets in dict.fromkeys(value.to_bytes(8) for value in communities):
        by_kind.setdefault(octets[:2], []).append(octets)
    mobility = _first(by_kind, _MOBILITY)
    esi_label = _first(by_kind, _ESI_LABEL)
    return Attributes(
        next_hop=next_hop,
        targets=tuple(RouteTarget(octets) for octets in _all(by_kind, _TARGETS)),
        encapsulations=tuple(int.from_bytes(octets[6:]) for octets in by_kind.get(_ENCAPSULATION, ())),
        seq=int.from_bytes(mobility[4:]) if mobility else 0,
        sticky=bool(mobility and mobility[2] & 1),  # RFC 7432 7.7 defines no other bit
        gateway=_GATEWAY in by_kind,
        mobility_count=sum(value >> 48 == 0x0600 for value in communities),
        sites=tuple(_all(by_kind, _SITES)),
        router_mac=_mac(_first(by_kind, _ROUTER_MAC)),
        single_active=bool(esi_label and esi_label[2] & 1),
        esi_label=int.from_bytes(esi_label[5:]) if esi_label else None,
        es_import=_mac(_first(by_kind, _ES_IMPORT)),
        host_flags=_flags(_first(by_kind, _ARP_ND)),
        election=_election([value for value in communities if value >> 48 == 0x0606]),
        llgr_stale=llgr_stale,
        pmsi=pmsi,
        local_pref=local_pref,
        as_path_length=as_path_length,
        origin=origin,
        med=med,
        neighbor_as=neighbor_as,
    )


def _first(by_kind: dict[bytes, list[bytes]], kind: bytes) -> bytes | None:
    found = by_kind.get(kind)
    return found[0] if found else None


def _all(by_kind: dict[bytes, list[bytes]], kinds: tuple[bytes, ...]) -> Iterator[bytes]:
    return (octets for kind, found in by_kind.items() if kind in kinds for octets in found)


def _mac(octets: bytes | None) -> Mac | None:
    return Mac(octets[2:]) if octets else None


def _election(found: list[int]) -> Election | None:
    """Decode the community if there is exactly one. Its reserved octets are ignored (RFC 8584 2.2, RFC 9785 3)."""
    if len(found) != 1:
        return None
    octets = found[0].to_bytes(8)
    return Election(octets[2] & 0x1F, int.from_bytes(octets[3:5]), int.from_bytes(octets[6:]))


def _flags(octets: bytes | None) -> int:
    return octets[2] if octets else 0


_PMSI: Final = re.compile(r"pmsi:([a-z0-9-]+):([0-9]{1,3}):([0-9]{1,7})(?:\(([0-9]{1,8})\))?:(.*)", re.ASCII)
_TUNNEL_TYPES: Final = {
    "notunnel": 0,
    "rsvp-tep2mplsp": 1,
    "mldpp2mplsp": 2,
    "pim-ssmtree": 3,
    "pim-smtree": 4,
    "bidir-pimtree": 5,
    "ingressreplication": PMSI_INGRESS_REPLICATION,
    "mldpmp2mplsp": 7,
}
"""ExaBGP's names for the tunnel types of RFC 6514 5, without spaces. It prints any other type as `unknown`."""


def parse_pmsi(text: str) -> Pmsi | None:
    """Parse `pmsi:type:flags:label20(raw24):endpoint`. Return None if that is impossible: the routes count anyway.

    ExaBGP leaves out the raw label if it is zero, and if it has no class for the tunnel. It has one only for ingress
    replication to an IPv4 endpoint; it prints an IPv6 endpoint as hexadecimal.
    """
    match = _PMSI.fullmatch(text)
    if match is None or match[1] not in _TUNNEL_TYPES:
        return None
    tunnel_type, flags, upper = _TUNNEL_TYPES[match[1]], int(match[2]), int(match[3])
    raw = int(match[4]) if match[4] else upper << 4
    if flags > 0xFF or raw >> 24:
        return None
    if tunnel_type != PMSI_INGRESS_REPLICATION:
        return Pmsi(tunnel_type, flags, raw, None, exact=match[4] is not None)
    endpoint = _endpoint(match[5])
    if endpoint is None:
        return None
    exact = match[4] is not None or (upper == 0 and not match[5].startswith("0x"))
    return Pmsi(tunnel_type, flags, raw, endpoint, exact)


def _endpoint(text: str) -> Ip | None:
    try:
        return Ip.unpack(bytes.fromhex(text[2:])) if text.startswith("0x") else Ip.parse(text)
    except ValueError:
        return None
