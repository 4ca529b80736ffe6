"""UPDATE messages as octets, whole and one after the other, read into events (RFC 4271 4.3, RFC 4760 3 and 4).

    0        16       18     19          21                   ..             + 2
    +--------+--------+------+-----------+--------------------+--------------+--------------+--------------+
    | marker | length | type | length of | withdrawn, of IPv4 | length of    | path         | NLRI of IPv4 |
    | 16 x ff| of all | 2    | withdrawn | (passed over)      | attributes   | attributes   | (passed over)|
    +--------+--------+------+-----------+--------------------+--------------+--------------+--------------+

    octets ── message by message ──▶ MP_UNREACH_NLRI ──▶ Withdrawn, or End-of-RIB if it is empty and alone
                                     MP_REACH_NLRI   ──▶ Announced, with what the other attributes say of its routes

Events come in the order of the messages. Announcements that follow one another are one event, and so are withdrawals,
because many small UPDATEs then cost as little as one large one. Within one message the withdrawals come first: a route in
both parts counts as announced (RFC 4271 4.3).

What the session negotiated does not matter here: the size of AS numbers shows in the AS path, and path identifiers (RFC 7911)
are never negotiated for EVPN. The feed has judged the path attributes by RFC 7606 before. An NLRI that no route of ours can represent
costs none of the others: it is listed with what is wrong with it. This module knows no feed.
"""

from functools import lru_cache
from typing import Final

from vtep.addr import Ip
from vtep.errors import RouteError, StreamError
from vtep.evpn import attributes
from vtep.evpn.attributes import Attributes
from vtep.evpn.bgp import EVPN, HEADER, SMALLEST_UPDATE, UPDATE
from vtep.evpn.event import Announced, EndOfRib, Event, Withdrawn
from vtep.evpn.gathered import Gathered, WithdrawnKeys
from vtep.evpn.nlri import UnknownRouteType
from vtep.evpn.prefix import CODE as IP_PREFIX

_EXTENDED_LENGTH: Final = 0x10
_REACH, _UNREACH = 14, 15
_NEXT_HOP_AT: Final = 4
"""In MP_REACH_NLRI, after the AFI (2), the SAFI (1) and the length of the next hop (1)."""
_IPV6: Final = 16
_CACHED_OCTETS_MAX: Final = 512
"""Longer attributes are decoded for each message. A peer chooses them, and could fill the cache with long ones."""
_BAD_SHOWN: Final = 40
"""Octets of a bad NLRI that are shown to people."""


def read_updates(octets: bytes, peer: Ip) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """Return the events of the messages, and the NLRIs that cannot be read, each with what is wrong.

    A StreamError says that these are no whole UPDATE messages.
    """
    events = _Events(peer)
    at, size = 0, len(octets)
    while at < size:
        end = at + int.from_bytes(octets[at + 16 : at + 18]) if size - at >= SMALLEST_UPDATE else size + 1
        if end > size or end - at < SMALLEST_UPDATE or octets[at + 18] != UPDATE:
            raise StreamError(f"no whole UPDATE message begins at octet {at} of {size}")
        _read_message(octets, at + HEADER, end, events)
        at = end
    events.flush()
    return tuple(events.done), tuple(events.bad)


class _Events:
    """The events so far. The last announcements or withdrawals are still gathered, never both at once."""

    def __init__(self, peer: Ip) -> None:
        self.peer: Final = peer
        self.done: list[Event] = []
        self.bad: list[str] = []
        self._routes = Gathered(peer)
        self._keys = WithdrawnKeys()

    def announcements(self) -> Gathered:
        """Return where the next announced routes go."""
        if self._keys:
            self.flush()
        return self._routes

    def withdrawals(self) -> WithdrawnKeys:
        """Return where the keys of the next withdrawn routes go."""
        if self._routes:
            self.flush()
        return self._keys

    def end_of_rib(self) -> None:
        self.flush()
        self.done.append(EndOfRib(self.peer))

    def flush(self) -> None:
        if self._keys:
            self.done.append(Withdrawn(self.peer, self._keys))
            self._keys = WithdrawnKeys()
        if self._routes:
            self.done.append(Announced(self.peer, self._routes))
            self._routes = Gathered(self.peer)

    def refuse(self, nlri: bytes, problem: object) -> None:
        self.bad.append(f"{nlri[:_BAD_SHOWN].hex().upper()}: {problem}")


def _read_message(octets: bytes, at: int, end: int, events: _Events) -> None:
    """Find the two parts about EVPN. Of MP_REACH_NLRI, all the other attributes say what its routes are."""
    at += 2 + int.from_bytes(octets[at : at + 2])  # IPv4 routes withdrawn
    last = at + 2 + int.from_bytes(octets[at : at + 2])
    if last > end:
        raise StreamError("the lengths of an UPDATE message do not fit into it")
    at += 2
    reach = unreach = (0, 0)
    others: list[bytes] = []
    start = at
    while at < last:
        head = 4 if octets[at] & _EXTENDED_LENGTH else 3
        after = at + head + int.from_bytes(octets[at + 2 : at + head])
        if at + head > last or after > last:
            raise StreamError("a path attribute is longer than its UPDATE message")
        code = octets[at + 1]
        if code in (_REACH, _UNREACH):
            if code == _REACH:
                reach = (at + head, after)
            else:
                unreach = (at + head, after)
            others.append(octets[start:at])
            start = after
        at = after
    if unreach[1]:
        _read_unreach(octets, *unreach, events, alone=not reach[1])
    if reach[1]:
        others.append(octets[start:last])
        _read_reach(octets, *reach, b"".join(others), events)


def _read_unreach(octets: bytes, at: int, end: int, events: _Events, *, alone: bool) -> None:
    """Read MP_UNREACH_NLRI (RFC 4760 4). If it is empty and the only attribute, it is the End-of-RIB."""
    if octets[at : at + 3] != EVPN:
        return
    at += 3
    if at == end and alone:
        events.end_of_rib()  # RFC 4724 2
        return
    keys = events.withdrawals()
    while at < end:
        nlri = _next_nlri(octets, at, end)
        at += len(nlri)
        try:
            keys.add(nlri)
        except UnknownRouteType:
            continue
        except RouteError as error:
            events.refuse(nlri, error)


def _read_reach(octets: bytes, at: int, end: int, others: bytes, events: _Events) -> None:
    """Read MP_REACH_NLRI (RFC 4760 3). One NLRI that cannot be read is refused, and the others are taken."""
    if octets[at : at + 3] != EVPN:
        return
    first = at + _NEXT_HOP_AT
    hop_end = first + octets[at + 3] if first <= end else end
    if hop_end >= end:
        raise StreamError("a next hop is longer than its attribute")
    shared = _shared(octets[first:hop_end], others)
    at = hop_end + 1  # a reserved octet
    routes = events.announcements()
    while at < end:
        nlri = _next_nlri(octets, at, end)
        at += len(nlri)
        try:
            routes.add(nlri, shared)
            if nlri[0] == IP_PREFIX:
                at = routes.add_run(nlri, octets, at, end)
        except UnknownRouteType:
            continue
        except RouteError as error:
            events.refuse(nlri, error)


def _next_nlri(octets: bytes, at: int, end: int) -> bytes:
    """Return the NLRI that begins here: its type, its length, and so many octets more.

    If that reaches beyond the attribute, no later NLRI can be found either, so the whole message is unreadable.
    """
    after = at + 2 + octets[at + 1] if at + 2 <= end else end + 1
    if after > end:
        raise StreamError("an EVPN NLRI is longer than its attribute")
    return octets[at:after]


def _shared(next_hop: bytes, others: bytes) -> Attributes:
    """Return what all routes of a message share. Very long attributes are not kept, because a peer chooses them."""
    read = _attributes if len(others) <= _CACHED_OCTETS_MAX else _attributes.__wrapped__
    return read(next_hop, others)


@lru_cache(maxsize=4096)
def _attributes(next_hop: bytes, others: bytes) -> Attributes:
    return attributes.unpack(_address(next_hop), others)


def _address(next_hop: bytes) -> Ip:
    """Return the next hop. Of two (RFC 2545 3) the global one, because a link-local one is no tunnel's address."""
    try:
        addresses = [Ip.unpack(next_hop[start : start + _IPV6]) for start in range(0, len(next_hop), _IPV6)]
        return next((address for address in addresses if not address.is_v6_link_local), addresses[0])
    except (ValueError, IndexError):
        raise StreamError(f"0x{next_hop.hex()} is no next hop") from None
