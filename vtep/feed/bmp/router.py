"""One router that reports by BMP: its octets in, items for the daemon out.

    octets ──▶ Router.read ──▶ Updates (whole UPDATEs of one peer, undecoded)  ·  Happened (events)  ·  nothing at all

A `Router` knows which peers its router has announced, which table of them is chosen, and what else was sent, by count. It joins
UPDATEs that follow one another and have one peer, because many together cost less each; decoding them is left to who takes them.

Which table: a router may report what a peer sent (pre-policy), what its own policy made of that (post-policy), what it decided
(loc-rib, RFC 9069), and what it sends (adj-rib-out, RFC 8671). One of them is chosen by the configuration; the others are counted.
An End-of-RIB counts for the table in whose name it came. Where the table after policy is chosen and the one before it comes as well,
what differs between them is kept for `vtep explain` (`evpn.before_policy`).

One address is one peer of the daemon. Two routers may report one peer, or one router may have it in two VRFs: the first that
announces an address has it (`claim`), and the others are told so. A router whose peers another one had is asked to connect again
when that one leaves (`feed`), because only then does it send their routes again.

This module is pure: no socket, no clock.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Final, TypeAlias

from msgspec import Struct

from vtep.addr import Ip
from vtep.evpn import bgp
from vtep.evpn.before_policy import AFTER, BEFORE, MACS_MAX, MACS_OF_ALL, BeforePolicy
from vtep.evpn.event import EndOfRib, Event, SessionClosed, SessionOpened
from vtep.evpn.peer import QUIET_S
from vtep.feed.bmp import wire

BMP: Final = "bmp"
"""The name of the stream in messages (`evpn.event.Received.feed`)."""
PIECE: Final = 8 << 10
"""Octets of UPDATEs in one item: what the daemon decodes and judges without a pause."""
PEERS_MAX: Final = 1024
"""Of one router. What it says of further ones is counted."""
HEADS_MAX: Final = 2 * PEERS_MAX
"""Heads of messages whose meaning is remembered."""
_AT: Final = wire.PEER_HEADER - 8
"""The octets of a peer's header before the time, which alone differs between two messages about one peer and table."""


class Updates(Struct, frozen=True, gc=False):
    """UPDATE messages of one peer, one after the other."""

    peer: Ip
    octets: bytes
    messages: int

    def each(self) -> "Iterator[Updates]":
        """Yield each message alone."""
        at = 0
        while at < len(self.octets):
            end = at + int.from_bytes(self.octets[at + 16 : at + 18])
            yield Updates(self.peer, self.octets[at:end], 1)
            at = end


class Happened(Struct, frozen=True):
    """What happened to the session of a peer."""

    peer: Ip
    events: tuple[Event, ...]


Item: TypeAlias = Updates | Happened


class _Monitored(Struct):
    """A peer that the router has announced."""

    address: Ip
    is_ours: bool
    """Its address is not that of another peer."""
    has_path_ids: bool = False
    """Its NLRIs may begin with an identifier, so its routes cannot be read, and are counted as `add-path`."""
    statistics: dict[int, int] = {}
    """The counters of its last Statistics Report, by their number (`wire.STATISTICS_NAMED`)."""
    before: BeforePolicy | None = None
    """What differs from its table before policy, once that came."""


class _Head(Struct):
    """What messages with one head are: of one peer and one table."""

    peer: Ip | None
    """The peer, if the table is the chosen one and its routes are taken."""
    why_not: str = ""
    before: BeforePolicy | None = None
    """Where the other table of the peer is kept, if it comes."""


_NO_HEAD: Final = _Head(None)


class Router:
    """What one connection says, and what is known of its router."""

    def __init__(self, table: str, claim: Callable[[Ip], bool], release: Callable[[Ip], None]) -> None:
        """`claim` says whether an address may be a peer of this router; `release` gives it back."""
        self.name = ""
        self.description = ""
        self.has_begun = False
        """It sent a whole message, so it is a router and not a program that tests the port."""
        self.ended = ""
        """Why the router ends the connection, once it has said so."""
        self.counts: Counter[str] = Counter()
        """Messages that are not about the chosen table, by what they are."""
        self._table = table
        self._claim = claim
        self._release = release
        self._rest = b""
        self._peers: dict[tuple[int, bytes, Ip], _Monitored] = {}
        self._last: bytes | None = None
        """The head of the last message with routes, without its time; `_head` is what it means."""
        self._head = _NO_HEAD
        self._heads: dict[bytes, _Head] = {}
        """What heads mean, because a router that reports two tables sends them in turn."""
        self._gathered: list[bytes] = []
        self._gathered_of: Ip | None = None
        self._size = 0
        self._loading: dict[Ip, float] = {}
        """The peers whose End-of-RIB has not come, and when they last sent something."""

    def read(self, octets: bytes, now: float) -> list[Item]:
        """Take octets as they arrive. A StreamError says why nothing can be read from here on."""
        if self._rest:
            octets = self._rest + octets
        items: list[Item] = []
        at = 0
        for kind, start, end in wire.cut(octets):
            at = end
            self.has_begun = True
            if kind == wire.ROUTE_MONITORING:
                self._monitor(octets, start, end, items)
                continue
            self._flush(items)
            items += self._other(kind, octets[start:end])
            if self.ended:
                break
        self._flush(items)
        self._rest = octets[at:]
        self._note_loading(items, now)
        return items

    def find_quiet(self, now: float) -> list[Item]:
        """Return the end of the table for each peer that was quiet for QUIET_S without an End-of-RIB."""
        quiet = [peer for peer, last in self._loading.items() if now >= last + QUIET_S]
        for peer in quiet:
            del self._loading[peer]
        return [Happened(peer, (EndOfRib(peer),)) for peer in quiet]

    def _note_loading(self, items: list[Item], now: float) -> None:
        """Note when a peer last reported while it loads its table: the quiet after it stands for an End-of-RIB."""
        for item in items:
            if isinstance(item, Happened):
                self._loading.pop(item.peer, None)
                if isinstance(item.events[0], SessionOpened):
                    self._loading[item.peer] = now
            elif item.peer in self._loading:
                self._loading[item.peer] = now

    @property
    def peers(self) -> list[Ip]:
        """The peers of the daemon that this router reports."""
        return [peer.address for peer in self._peers.values() if peer.is_ours]

    @property
    def in_vain(self) -> Iterator[Ip]:
        """The peers that it reports without effect, because another router has them, or another feed."""
        return (peer.address for peer in self._peers.values() if not peer.is_ours)

    def lacks(self, peers: Collection[Ip]) -> bool:
        """Tell whether it reports one of these peers without effect."""
        return any(address in peers for address in self.in_vain)

    def cede(self, address: Ip) -> None:
        """Report a peer without effect from now on, because another feed has it."""
        for peer in self._peers.values():
            if peer.address == address:
                peer.is_ours = False
                peer.before = None
        self._loading.pop(address, None)
        self._forget_head()

    def leave(self) -> list[Item]:
        """Return what the end of the connection means for the peers: they have done nothing, so their routes are held."""
        items: list[Item] = []
        for peer in self.peers:
            self._release(peer)
            closed = SessionClosed(peer, "the router no longer reports by BMP", lost=False, speaker_stops=True)
            items.append(Happened(peer, (closed,)))
        self._peers.clear()
        self._loading.clear()
        self._forget_head()
        return items

    # Routes

    def _monitor(self, octets: bytes, start: int, end: int, items: list[Item]) -> None:
        """Gather one UPDATE, which is all behind the peer's header. Messages alike are recognized by the octets of their head."""
        head = octets[start : start + _AT]
        if head != self._last:
            self._head = self._heads.get(head) or self._meaning(head, octets[start:end])
            self._last = head
        taken, before = self._head.peer, self._head.before
        body = start + wire.PEER_HEADER
        is_whole = int.from_bytes(octets[body + 16 : body + 18]) == end - body > bgp.HEADER
        if before is not None and is_whole:
            before.take(octets[body:end], BEFORE if taken is None else AFTER)
        if taken is None:
            self.counts[self._head.why_not] += 1
            return
        if taken != self._gathered_of:
            self._flush(items)
            self._gathered_of = taken
        if not is_whole:
            self._flush(items)
            items.append(Updates(taken, octets[body:end], 1))  # alone, because its length would reach into the next
            return
        if self._size + end - body > PIECE and self._gathered:
            self._flush(items)
        self._gathered.append(octets[body:end])
        self._size += end - body

    def _meaning(self, head: bytes, octets: bytes) -> _Head:
        """Return what a head means, and remember it."""
        header = wire.unpack_header(octets[: wire.PEER_HEADER])
        found = self._peers.get(header.key)
        meaning = self._judge(header, found)
        if header.table == "pre-policy" and self._table == "post-policy" and found is not None and _is_read(found):
            if found.before is None:
                self._begin_before(found)
            meaning.before = found.before
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
        self._heads[head] = meaning
        return meaning

    def _judge(self, header: wire.PeerHeader, found: _Monitored | None) -> _Head:
        if header.table != self._table:
            return _Head(None, header.table)
        if found is None:
            return _Head(None, "unannounced")
        if not found.is_ours:
            return _Head(None, "reported-by-another")
        if found.has_path_ids:
            return _Head(None, "add-path")
        return _Head(found.address, before=found.before)

    def _begin_before(self, peer: _Monitored) -> None:
        """Keep what differs before policy of one peer more. All have the same share, so the others may have a smaller one now."""
        befores = [other.before for other in self._peers.values() if other.before is not None]
        share = min(MACS_MAX, MACS_OF_ALL // (1 + len(befores)))
        peer.before = BeforePolicy(peer.address, share)
        for other in befores:
            other.limit(share)
        self._heads.clear()  # those of the chosen table of this peer lead to it from now on

    def befores(self) -> Iterator[tuple[Ip, BeforePolicy]]:
        """Yield what differs before policy, for each peer of which both tables come."""
        return ((peer.address, peer.before) for peer in self._peers.values() if peer.before is not None)

    def _flush(self, items: list[Item]) -> None:
        if self._gathered:
            assert self._gathered_of is not None
            items.append(Updates(self._gathered_of, b"".join(self._gathered), len(self._gathered)))
            self._gathered = []
            self._size = 0

    def _forget_head(self) -> None:
        self._last = None
        self._head = _NO_HEAD
        self._heads.clear()

    # Everything else

    def _other(self, kind: int, octets: bytes) -> Iterator[Item]:
        """Read a message that is not Route Monitoring (RFC 7854 4.3 to 4.10)."""
        match kind:
            case wire.PEER_UP:
                yield from self._peer_up(octets)
            case wire.PEER_DOWN:
                yield from self._peer_down(octets)
            case wire.INITIATION:
                for code, value in wire.unpack_tlvs(octets):
                    if code == 1:
                        self.description = wire.text_of(value)
                    elif code == 2:
                        self.name = wire.text_of(value)
            case wire.TERMINATION:
                self.ended = _termination(octets)
            case wire.STATISTICS:
                header = wire.unpack_header(octets)
                if (found := self._peers.get(header.key)) is not None:
                    found.statistics = wire.unpack_statistics(octets[wire.PEER_HEADER :])
            case _:
                self.counts["mirrored" if kind == wire.ROUTE_MIRRORING else "unknown"] += 1

    def _peer_up(self, octets: bytes) -> Iterator[Item]:
        """Begin a session, unless it belongs to a table that is not watched or to an address that another router reports."""
        header = wire.unpack_header(octets)
        if (header.kind == wire.LOC_RIB) != (self._table == "loc-rib"):
            self.counts["other-peers"] += 1
            return
        self._forget_head()
        up = wire.unpack_peer_up(octets[wire.PEER_HEADER :], header.address)
        old = self._peers.get(header.key)
        if old is None and len(self._peers) >= PEERS_MAX:
            self.counts["too-many-peers"] += 1
            return
        is_ours = old.is_ours if old is not None else is_address(header.address) and self._claim(header.address)
        self._peers[header.key] = _Monitored(header.address, is_ours, up.has_path_ids)
        if not is_ours:
            return
        yield Happened(header.address, (SessionOpened(header.address), up.opened))

    def _peer_down(self, octets: bytes) -> Iterator[Item]:
        """End a session, and let another router report the address from now on."""
        header = wire.unpack_header(octets)
        closed = wire.unpack_peer_down(octets[wire.PEER_HEADER :], header.address)
        self._forget_head()
        found = self._peers.pop(header.key, None)
        if found is not None and found.is_ours:
            self._release(header.address)
            yield Happened(header.address, (closed,))


def _is_read(peer: _Monitored) -> bool:
    """Tell whether the routes of a peer are read: it is ours, and no identifier stands before them."""
    return peer.is_ours and not peer.has_path_ids


def is_address(address: Ip) -> bool:
    return any(address)


_TERMINATIONS: Final = {
    0: "the operator ended it",
    1: "for no reason that it tells",
    2: "it has no memory left",
    3: "another connection does the same",
    4: "the operator ended it for good",
}


def _termination(octets: bytes) -> str:
    """Return why a router ends the connection (RFC 7854 4.5)."""
    texts = []
    for code, value in wire.unpack_tlvs(octets):
        if code == 0:
            texts.append(wire.text_of(value))
        elif code == 1 and len(value) == 2:
            reason = int.from_bytes(value)
            texts.append(_TERMINATIONS.get(reason, f"reason {reason}"))
    return "; ".join(filter(None, texts)) or "it does not say why"
