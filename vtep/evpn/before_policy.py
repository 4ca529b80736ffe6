"""What a peer sent and its router's policy took out or changed: of the table before policy, only what differs from the one after it.

A router that reports both tables sends each change twice, once for each table, and the two UPDATEs are usually the same octets. Then the
policy did nothing, and nothing is kept. Of everything else `vtep explain` needs to know what the peer sent, for MACs alone.

    UPDATEs before policy ─┐
                           ├─ the same octets, one right behind the other ──▶ nothing, or one difference less
    UPDATEs after policy ──┘  otherwise ──▶ queue ──decoded together──▶ by MAC: what the peer sent

Nothing is decoded while the tables are the same. What is queued is decoded when PIECE octets wait, or when a reader asks. The table after
policy itself is in the RIB (`evpn.rib`), and a reader compares with it: what is here may be the same as there.

A peer decides how many MACs differ. So the latest `macs_max` of them are kept, ROUTES_MAX routes of each, and of each route a few values of
bounded size. An UPDATE that cannot be read is passed over. This module is pure: it knows no connection and no router.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Final

from msgspec import Struct

from vtep.addr import Ip, Mac, RouteTarget
from vtep.errors import StreamError
from vtep.evpn.event import Announced, Event, RouteKey, Withdrawn
from vtep.evpn.keys import MAC_IP, mac_of
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.update import read_updates

MACS_MAX: Final = 4096
"""MACs of one peer whose routes differ."""
MACS_OF_ALL: Final = 65_536
"""MACs of all peers of one router. Each peer has the same share of them."""
ROUTES_MAX: Final = 8
"""Routes of one MAC from one peer."""
TARGETS_MAX: Final = 8
"""Route Targets of one route."""
PIECE: Final = 4 << 10
"""Octets of UPDATEs that wait to be decoded."""
HELD_MAX: Final = 4096
"""A longer UPDATE (RFC 8654) is decoded at once, so that very many peers cannot have much wait."""
BEFORE, AFTER, BOTH = range(3)
"""The table of an UPDATE, or that it came in the same octets for both."""
_UNREACH: Final = b"\x0f"
_FIRST_ATTRIBUTE: Final = 24
"""Where an UPDATE without withdrawn IPv4 routes has the code of its first path attribute."""
_EVPN: Final = b"\x00\x19\x46"
"""How the EVPN address family is written (AFI 25, SAFI 70)."""


class Sent(Struct, frozen=True, gc=False):
    """What a Type-2 route says, as far as a policy changes it and `vtep explain` shows it."""

    next_hop: Ip
    targets: tuple[RouteTarget, ...]
    seq: int
    sticky: bool
    local_pref: int

    @classmethod
    def of(cls, route: MacIp) -> "Sent":
        one = route.attributes
        return cls(one.next_hop, one.targets[:TARGETS_MAX], one.seq, one.sticky, one.local_pref)


class BeforePolicy:
    """The differences of one peer."""

    def __init__(self, peer: Ip, macs_max: int = MACS_MAX) -> None:
        self.macs_max = macs_max
        self.macs: dict[Mac, dict[RouteKey, Sent]] = {}
        """What the peer sent, the latest MAC last. Some of it may be the same after policy."""
        self.forgotten = 0
        """How many MACs were left out, because `macs_max` others came later."""
        self.has_routes = False
        """Routes of EVPN before policy came at all: a bgpd without `soft-reconfiguration inbound` only withdraws them."""
        self._peer = peer
        self._held = b""
        """The last UPDATE, as long as its twin of the other table may follow."""
        self._held_table = BEFORE
        self._queue: list[tuple[int, bytes]] = []
        """UPDATEs that wait to be decoded, each with its table: BEFORE or BOTH."""
        self._after: list[tuple[int, bytes]] = []
        """UPDATEs of the table after policy alone. They only end differences, so they are decoded last, together."""
        self._size = 0

    def take(self, octets: bytes, table: int) -> None:
        """Take a whole UPDATE of one of the two tables."""
        held, self._held = self._held, b""
        if table == BEFORE and not self.has_routes:
            self.has_routes = _EVPN in octets and octets[_FIRST_ATTRIBUTE : _FIRST_ATTRIBUTE + 1] != _UNREACH
        if held == octets and table != self._held_table:
            self._note(BOTH, octets)
            return
        if held:
            self._note(self._held_table, held)
        if len(octets) > HELD_MAX:
            self._note(table, octets)
        else:
            self._held, self._held_table = octets, table

    def limit(self, macs_max: int) -> None:
        """Keep so many MACs at most."""
        self.macs_max = macs_max
        while len(self.macs) > macs_max:
            del self.macs[next(iter(self.macs))]
            self.forgotten += 1

    def of_mac(self, mac: Mac) -> Mapping[RouteKey, Sent]:
        """Return what the peer sent of a MAC and may be different after policy."""
        if self._held:
            held, self._held = self._held, b""
            self._note(self._held_table, held)
        self._decode()
        return self.macs.get(mac, {})

    def _note(self, table: int, octets: bytes) -> None:
        """Queue an UPDATE, unless it can only end a difference and there is none."""
        if table != BEFORE and not self.macs and not self._queue:
            return
        (self._after if table == AFTER else self._queue).append((table, octets))
        self._size += len(octets)
        if self._size >= PIECE:
            self._decode()

    def _decode(self) -> None:
        queue = self._queue + self._after
        self._queue, self._after, self._size = [], [], 0
        for table, octets in _joined(queue):
            for event in _events(octets, self._peer):
                if isinstance(event, Announced):
                    for key, route in event.routes.items():
                        if isinstance(route, MacIp):
                            self._announce(table, key, route)
                elif isinstance(event, Withdrawn) and table != AFTER:
                    for key in event.keys:
                        if key[0] == MAC_IP:
                            self._remove(key, Mac(mac_of(key)))

    def _announce(self, table: int, key: RouteKey, route: MacIp) -> None:
        """Keep what the peer sent, or forget it if it is the same after policy."""
        if table == BEFORE:
            self._put(key, route.mac, Sent.of(route))
        elif table == BOTH or self.macs.get(route.mac, {}).get(key) == Sent.of(route):
            self._remove(key, route.mac)

    def _put(self, key: RouteKey, mac: Mac, sent: Sent) -> None:
        found = self.macs.pop(mac, {})
        found.pop(key, None)
        if len(found) >= ROUTES_MAX:
            del found[next(iter(found))]
        found[key] = sent
        self.macs[mac] = found
        self.limit(self.macs_max)

    def _remove(self, key: RouteKey, mac: Mac) -> None:
        found = self.macs.get(mac)
        if found is not None and found.pop(key, None) is not None and not found:
            del self.macs[mac]


def _joined(queue: list[tuple[int, bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the UPDATEs of one table that follow one another, because many together cost less each."""
    for table, found in groupby(queue, key=itemgetter(0)):
        yield table, [octets for _, octets in found]


def _events(updates: list[bytes], peer: Ip) -> Iterator[Event]:
    """Read UPDATEs. If one of them cannot be read, the others are."""
    try:
        yield from read_updates(b"".join(updates), peer)[0]
    except StreamError:
        if len(updates) > 1:
            for one in updates:
                yield from _events([one], peer)
