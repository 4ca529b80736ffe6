"""BMP messages as octets: where each one ends, whose it is, and what it says (RFC 7854 4, RFC 8671, RFC 9069).

    octets ──cut──▶ (type, start, end) of each whole message ──▶ unpack_header, unpack_peer_up, unpack_peer_down, unpack_tlvs

Each length is compared with what is there before anything is read, and a message may have MESSAGE_MAX octets. So neither half a
message nor a false length costs more memory than that. A router that breaks these rules raises a StreamError: what follows
cannot be found any more, and its connection must end.

     0         1          5      6        common header (RFC 7854 4.1); the length is that of the whole message
    +---------+----------+------+
    | version | length   | type |
    +---------+----------+------+

     0      1       2               10        26   30       34        38        42        peer header (RFC 7854 4.2)
    +------+-------+---------------+---------+----+--------+---------+---------+
    | type | flags | distinguisher | address | AS | BGP id | seconds | microsec|
    +------+-------+---------------+---------+----+--------+---------+---------+
                                     IPv4 is in the last four octets (22 to 26)

    type of message       behind the common header
    0 Route Monitoring    peer header, one UPDATE
    1 Statistics          peer header, how many counters (4), TLVs
    2 Peer Down           peer header, reason (1), and for reasons 1 and 3 a NOTIFICATION, for reason 2 an event (2)
    3 Peer Up             peer header, local address (16), local port (2), remote port (2), OPEN sent, OPEN received, …
    4 Initiation          TLVs: 1 is the description of the system, 2 its name
    5 Termination         TLVs: 0 is a text, 1 a reason (2)
    6 Route Mirroring     passed over

This module is pure. It knows no connection and no route: the octets of an UPDATE are read by `evpn.update`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.errors import StreamError
from vtep.evpn import bgp, notification
from vtep.evpn.event import Offer, PeerOpened, SessionClosed

VERSION: Final = 3
COMMON_HEADER: Final = 6  # version, length, type
PEER_HEADER: Final = 42  # type, flags, distinguisher, address, AS number, BGP identifier, time
MESSAGE_MAX: Final = 256 << 10
"""A Route Monitoring message has one UPDATE of 65,535 octets at most (RFC 8654), and a Peer Up message two OPENs and TLVs."""

ROUTE_MONITORING, STATISTICS, PEER_DOWN, PEER_UP, INITIATION, TERMINATION, ROUTE_MIRRORING = range(7)

LOC_RIB: Final = 3
"""The type of the peer that stands for the router's own decisions (RFC 9069 4.1)."""
LOCAL_INSTANCE: Final = 2
V6, POST_POLICY, SHORT_AS_PATH, ADJ_RIB_OUT = 0x80, 0x40, 0x20, 0x10
"""Flags of a peer of another type than LOC_RIB (RFC 7854 4.2, RFC 8671 4)."""

_OPEN_HEAD: Final = 29
"""The octets of an OPEN before its optional parameters: BGP header, version, AS, hold time, BGP id, their length."""
_CAPABILITIES: Final = 2
_EXTENDED_OPTIONS: Final = 255  # RFC 9072
_TEXT_MAX: Final = 200
"""Characters of a router's text. It is shown in logs and tables, where one router must not fill the page."""


class PeerHeader(Struct, frozen=True, gc=False):
    """The head of each message about a peer."""

    kind: int
    """0 a peer of the global instance, 1 one in a VRF, 2 of a local instance, 3 `LOC_RIB`."""
    flags: int
    """What they mean depends on `kind`: those of LOC_RIB have meanings of their own (RFC 9069 4.2)."""
    distinguisher: bytes
    """Tells VRFs apart, so that two peers with one address are two peers. Zero in the global instance."""
    address: Ip
    """Of the peer that stands for the router's own decisions: its BGP identifier, because it has no address."""
    bgp_id: Ip
    time: float
    """When the router received the routes, in seconds since 1970 by its own clock; 0 if it does not say."""

    @property
    def key(self) -> tuple[int, bytes, Ip]:
        """Identifies the peer within its router."""
        return (self.kind, self.distinguisher, self.address)

    @property
    def table(self) -> str:
        """Name the table that the message is about; each is reported by itself."""
        if self.kind == LOC_RIB:
            return "loc-rib"
        if self.flags & ADJ_RIB_OUT:
            return "adj-rib-out"
        return "post-policy" if self.flags & POST_POLICY else "pre-policy"


def cut(octets: bytes | bytearray, at: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield type, start and end of each whole message; the start is behind its common header."""
    size = len(octets)
    while size - at >= COMMON_HEADER:
        if octets[at] != VERSION:
            raise StreamError(f"BMP version {octets[at]}, not {VERSION}")
        end = at + int.from_bytes(octets[at + 1 : at + 5])
        if end - at < COMMON_HEADER or end - at > MESSAGE_MAX:
            raise StreamError(f"a BMP message of {end - at} octets")
        if end > size:
            return
        yield octets[at + 5], at + COMMON_HEADER, end
        at = end


def unpack_header(octets: bytes | memoryview) -> PeerHeader:
    """Read the head of a message about a peer."""
    if len(octets) < PEER_HEADER:
        raise StreamError("a BMP message ends within the header of its peer")
    kind, flags = octets[0], octets[1]
    bgp_id = Ip(octets[30:34])
    if kind == LOC_RIB:
        address = bgp_id
    elif flags & V6:
        address = Ip.unpack(bytes(octets[10:26]))
    else:
        address = Ip(octets[22:26])
    time = int.from_bytes(octets[34:38]) + int.from_bytes(octets[38:42]) / 1e6
    return PeerHeader(kind, flags, bytes(octets[2:10]), address, bgp_id, time)


class PeerUp(Struct, frozen=True):
    """What a Peer Up message says of a session."""

    opened: PeerOpened
    has_path_ids: bool
    """Both sides offered ADD-PATH for EVPN, so an identifier may stand before each NLRI (RFC 7911 3)."""


def unpack_peer_up(octets: bytes, peer: Ip) -> PeerUp:
    """Read a Peer Up message without its headers: addresses and ports, the OPEN that was sent, the one that was received."""
    at = 20
    sent, at = _open_at(octets, at)
    received, at = _open_at(octets, at)
    families = sorted(_FAMILIES.get(family, f"{family[:2].hex()}/{family[3]}") for family in received.families)
    return PeerUp(
        PeerOpened(
            peer,
            restart_s=received.restart_s,
            keeps_forwarding=received.keeps_forwarding,
            refresh=False,  # a router that only reports cannot be asked
            enhanced_refresh=False,
            offer=Offer(received.asn, 0, str(received.bgp_id), received.hold_time_s, tuple(families)),
        ),
        has_path_ids=bool(sent.path_ids & 1 and received.path_ids & 2),
    )


_FAMILIES: Final = {
    b"\x00\x01\x00\x01": "ipv4 unicast",
    b"\x00\x02\x00\x01": "ipv6 unicast",
    b"\x00\x19\x00\x46": "l2vpn evpn",
}


class _OpenMessage(Struct):
    asn: int
    hold_time_s: int
    bgp_id: Ip
    families: set[bytes]
    restart_s: int | None = None
    keeps_forwarding: bool = False
    path_ids: int = 0
    """ADD-PATH for EVPN: 1 receives, 2 sends (RFC 7911 4)."""


def _open_at(octets: bytes, at: int) -> tuple[_OpenMessage, int]:
    """Read the OPEN that begins at an octet of a Peer Up message, and say where it ends.

     0        16       18     19        20   22          24       28              29
    +--------+--------+------+---------+----+-----------+--------+---------------+-----------------+
    | marker | length | type | version | AS | hold time | BGP id | their length  | optional params |     (RFC 4271 4.2)
    +--------+--------+------+---------+----+-----------+--------+---------------+-----------------+

    An AS number that does not fit in two octets is 23456 there, and the capability 65 has the real one (RFC 6793 3).
    An OPEN that is a header alone says nothing of the peer.
    """
    end = at + int.from_bytes(octets[at + 16 : at + 18])
    if end - at == bgp.HEADER and octets[at + 18 : at + 19] == bytes((bgp.OPEN,)):
        # bgpd puts this in the place of an OPEN that it has not kept, as of a session that won a collision (FRR 8.4).
        return _OpenMessage(asn=0, hold_time_s=0, bgp_id=Ip(bytes(4)), families=set()), end
    if end > len(octets) or end - at < _OPEN_HEAD or octets[at + 18] != bgp.OPEN:
        raise StreamError("a Peer Up message has no whole OPEN")
    found = _OpenMessage(
        asn=int.from_bytes(octets[at + 20 : at + 22]),
        hold_time_s=int.from_bytes(octets[at + 22 : at + 24]),
        bgp_id=Ip(octets[at + 24 : at + 28]),
        families=set(),
    )
    for code, value in _capabilities(octets[at + 28 : end]):
        _take_capability(found, code, value)
    return found, end


def _take_capability(found: _OpenMessage, code: int, value: bytes) -> None:
    """Take what a capability says of EVPN. Capabilities of other families are passed over."""
    match code:
        case 1 if len(value) == 4:  # RFC 4760 8
            found.families.add(value)
        case 64 if len(value) >= 2:  # RFC 4724 3
            found.restart_s = int.from_bytes(value[:2]) & 0xFFF
            families = [value[at : at + 3] for at in range(2, len(value) - 3, 4)]
            found.keeps_forwarding = bgp.EVPN in families
        case 65 if len(value) == 4:  # RFC 6793 3
            found.asn = int.from_bytes(value)
        case 69:  # RFC 7911 4
            for at in range(0, len(value) - 3, 4):
                if value[at : at + 3] == bgp.EVPN:
                    found.path_ids = value[at + 3]


def _capabilities(options: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the capabilities of an OPEN from its optional parameters, as far as their lengths fit (RFC 5492 4, RFC 9072 2)."""
    width = 1
    at = 1
    if options[:2] == bytes((_EXTENDED_OPTIONS, _EXTENDED_OPTIONS)):
        width, at = 2, 4
    while at + 1 + width <= len(options):
        end = at + 1 + width + int.from_bytes(options[at + 1 : at + 1 + width])
        if end > len(options):
            return
        if options[at] == _CAPABILITIES:
            inner = at + 1 + width
            while inner + 2 <= end:
                after = inner + 2 + options[inner + 1]
                if after > end:
                    break
                yield options[inner], options[inner + 2 : after]
                inner = after
        at = end


FSM_EVENTS: Final[Mapping[int, str]] = {
    2: "it was stopped by an operator",
    8: "it was stopped by itself",
    9: "no connection could be made in time",
    10: "the hold timer expired",
    18: "the TCP connection failed",
    23: "connections collided",
    24: "a NOTIFICATION about the version was received",
}
"""Of RFC 4271 8.1: the events by which a session ends without a NOTIFICATION, in words."""


def unpack_peer_down(octets: bytes, peer: Ip) -> SessionClosed:
    """Read a Peer Down message without its headers: why the session ended (RFC 7854 4.9, RFC 9069 5.3)."""
    if not octets:
        raise StreamError("a Peer Down message has no reason")
    reason, rest = octets[0], octets[1:]
    match reason:
        case 1:
            code = _notification(rest)
            text = f"the router ended it: NOTIFICATION {_named(code)}" if code else "the router ended it"
            return SessionClosed(peer, text, lost=False, notification_sent=code)
        case 2:
            event = int.from_bytes(rest[:2])
            what = FSM_EVENTS.get(event, f"event {event} of RFC 4271 8.1" if event else "it does not say why")
            return SessionClosed(peer, f"the router ended it without a NOTIFICATION: {what}", lost=event in (0, 10, 18))
        case 3:
            code = _notification(rest)
            text = f"the peer ended it: NOTIFICATION {_named(code)}" if code else "the peer ended it"
            return SessionClosed(peer, text, lost=False, notification_received=code)
        case 4:
            return SessionClosed(peer, "the peer ended it without a NOTIFICATION", lost=True)
        case 5:
            return SessionClosed(peer, "the router no longer reports this peer", lost=False)
        case 6:
            return SessionClosed(peer, "the router ended its table", lost=False)
    return SessionClosed(peer, f"reason {reason} of BMP", lost=False)


def _notification(octets: bytes) -> tuple[int, int] | None:
    if len(octets) < bgp.HEADER + 2 or octets[18] != bgp.NOTIFICATION:
        return None
    return octets[19], octets[20]


def _named(code: tuple[int, int]) -> str:
    return f"{code[0]}/{code[1]}, {notification.name(*code)}"


def unpack_tlvs(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each TLV (RFC 7854 4.4), as far as the lengths fit."""
    at = 0
    while at + 4 <= len(octets):
        end = at + 4 + int.from_bytes(octets[at + 2 : at + 4])
        if end > len(octets):
            return
        yield int.from_bytes(octets[at : at + 2]), octets[at + 4 : end]
        at = end


STATISTICS_NAMED: Final[Mapping[int, str]] = {
    0: "prefixes rejected by policy",
    1: "duplicate advertisements",
    2: "duplicate withdrawals",
    3: "updates with a loop in CLUSTER_LIST",
    4: "updates with a loop in AS_PATH",
    5: "updates with a loop in ORIGINATOR_ID",
    6: "updates with a loop in AS_CONFED",
    7: "routes before policy",
    8: "routes of the table",
    11: "updates taken as withdrawals",
    12: "prefixes taken as withdrawals",
    13: "duplicate updates",
}
"""The counters of RFC 7854 4.8 that are shown."""


def unpack_statistics(octets: bytes) -> dict[int, int]:
    """Return the counters of a Statistics Report that have a name here, without its headers."""
    return {
        kind: int.from_bytes(value)
        for kind, value in unpack_tlvs(octets[4:])
        if kind in STATISTICS_NAMED and len(value) in (4, 8)
    }


def text_of(octets: bytes) -> str:
    """Return a router's text for people: one line of bounded length, without control characters."""
    text = octets[: 4 * _TEXT_MAX].decode("utf-8", errors="replace")
    return _UNPRINTABLE.sub(" ", text).strip()[:_TEXT_MAX]


_UNPRINTABLE: Final = re.compile(r"[^\w !-~]+")
