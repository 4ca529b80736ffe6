"""The routes that each peer has advertised and not withdrawn (one Adj-RIB-In for each), and the stations of this leaf.

The RIB takes the events of the feed one by one. It decides what a lost session, a lost line or a new ExaBGP means for the
routes that are there, and when the picture of this leaf is complete. It asks `peer.Peer` for the state of a peer, and it
keeps `index.Index` up to date, which is what the projection reads. Time is an argument. The RIB does not know which route is
better, which VNIs this leaf has, or any kernel.

The routes of a peer are in three dictionaries, so that making them suspect or stale costs the same however many they are:

      ┌──(refresh begins)──> suspect ─────────(refresh ends)──────────────────────┐
      │                         │                                                 v
    fresh ──(session lost · ExaBGP gone)──> stale ──(End-of-RIB · refresh ends · deadline)──> removed
      ^                         │             │
      └──(advertised again)─────┴─────────────┘

A peer may have so many routes in all, and so many of one MAC. New routes beyond that are counted and not kept; the peer is
asked for them when there is room. The routes that are there may always change.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from math import inf
from typing import Any, Final, assert_never

from msgspec import structs

from vtep.addr import Ip, Mac, Vni
from vtep.evpn.crowd import MOST, all_of
from vtep.evpn.event import (
    Announced,
    Continuity,
    EndOfRib,
    Event,
    PeerOpened,
    Received,
    RefreshBegan,
    RefreshEnded,
    RouteKey,
    SessionClosed,
    SessionOpened,
    SpeakerStopped,
    Withdrawn,
)
from vtep.evpn.index import Index
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.evpn.offers import Offers, Path, address_at
from vtep.evpn.peer import REFRESH_WAIT_S, Holds, Peer, again
from vtep.evpn.station import SEQ_MAX, LocalClaim, Station
from vtep.store.sharded import ShardedDict

EVERYONE: Final = None
"""Among the peers to ask for a refresh: every peer that ExaBGP has, known to us or not."""

ROOM_WORTH_ASKING: Final = 10
"""The share of a peer's limit that must be free before we request a refresh: one tenth. If fewer routes than that were
refused, room for those is enough. Without this hysteresis, a peer near its limit would be refreshed continuously."""

REFUSED_MACS_MAX: Final = 1_000
"""Of how many MACs a peer's refused routes are remembered, one route of each, for people."""

OFFERS_MAX: Final = 8192
"""How many different things that are said of MACs are remembered, so that MACs share them. Peers choose how many there are."""

SHARED_MAX: Final = 16
"""A MAC with more routes shares what is said of it with no other."""

SEQS_MAX: Final = 1_000_000
"""How many sequence numbers are remembered; only stations that have moved have one."""


class AdjRibIn(Peer):
    """A peer with its routes. Any module may read it; only `Rib` changes it."""

    __slots__ = ("fresh", "has_stale", "limited", "refused", "refused_count", "stale", "suspect")

    def __init__(self, address: Ip) -> None:
        super().__init__(address)
        self.fresh: ShardedDict[RouteKey, Route] = ShardedDict()
        self.suspect: ShardedDict[RouteKey, Route] = ShardedDict()
        """As good as fresh ones, but not advertised again since a refresh began."""
        self.stale: ShardedDict[RouteKey, Route] = ShardedDict()
        """From a session that has ended."""
        self.has_stale = False
        """True if there were stale routes lately; spares a look-up for every route where there are none."""
        self.limited = 0
        """How many routes were refused because the peer is at its limit, and were not withdrawn since. The next refresh or
        session counts them again."""

        self.refused: dict[Mac, MacIp] = {}
        """The MACs of which this peer has as many routes as it may have, each with a route that was refused for that."""
        self.refused_count = 0
        """How many routes were refused for that since the last refresh or session began."""

    def __len__(self) -> int:
        return len(self.fresh) + len(self.suspect) + len(self.stale)

    def forget_refused(self) -> None:
        """Start to count refused routes again, because the peer sends all its routes again."""
        self.limited = 0
        self.refused = {}
        self.refused_count = 0

    def routes(self) -> Iterator[Route]:
        for held in (self.fresh, self.suspect, self.stale):
            for part in held.shards:
                yield from part.values()


class Counters:
    """Totals for metrics and `vtep replay`."""

    __slots__ = ("announced", "bad_nlris", "gaps", "lines", "unknown_withdraws", "withdrawn")

    def __init__(self) -> None:
        self.lines = 0
        self.bad_nlris = 0
        self.announced = 0
        self.withdrawn = 0
        self.unknown_withdraws = 0
        self.gaps = 0


class Rib:
    """The routes of all peers. `receive` takes a line and `tick` the time; `index` says what the projection must judge."""

    def __init__(self, holds: Holds, now: float, *, asks: bool = True) -> None:
        """Start empty. `asks` is false for a recorded stream, where no peer can be asked: a lost line is only counted."""
        self.holds = holds
        self._asks = asks
        self.peers: dict[Ip, AdjRibIn] = {}
        self.counters = Counters()
        self.complete = False
        self.why = "no peer has sent its routes yet"
        self.incomplete_since = now
        self._deadline_passed = False
        self._ask_everyone = False
        self._everyone_asked_at: float | None = None
        self._answers_until = -inf
        """Until then, a peer that sends routes may be answering the request that went to every peer."""
        self.index = Index()
        self._offers: dict[Any, Offers] = {}
        """By what is said. The attributes are in it by their identity, which stays theirs while the value refers to them."""
        self.index.many_from = min(self.index.many_from, holds.routes_per_mac)
        self.announcing: frozenset[Vni] = frozenset()
        """The VNIs in which our stations count."""
        self._seqs: dict[tuple[Vni, Mac], int] = {}
        """The last sequence number of each station that has moved, including stations that are gone."""

    # What the projection reads

    def is_stale(self, route: MacIp) -> bool:
        """Return True if the route is from a session that has ended, or is about to be removed."""
        peer = self.peers.get(route.peer)
        if peer is None or (self.index.leaving and self.index.is_leaving(route)):
            return True
        return peer.has_stale and peer.stale.get(route.key) is route

    def offers_of(self, macs: Collection[Mac]) -> tuple[list[Offers | None], list[tuple[Ip, ...]]]:
        """Return all that is said of each MAC, and its host addresses in order.

        MACs of which the same is said have the same `Offers`. There, a path has the position of the host address in the place of
        the address (`offers.address_at`). A MAC with very many routes shares nothing: its paths have the addresses themselves,
        and none are returned beside them.
        """
        shared, fresh = self._offers, not self.index.leaving and not any(peer.has_stale for peer in self.peers.values())
        has_refused = any(peer.refused for peer in self.peers.values())
        for said in list(islice(shared, max(0, len(shared) - OFFERS_MAX))):
            del shared[said]  # the oldest ones; to forget all at once would block the event loop
        offers: list[Offers | None] = []
        addresses: list[tuple[Ip, ...]] = []
        for found in self.index.said_of(macs):
            routes = () if found is None else (found,) if isinstance(found, MacIp) else all_of(found)
            ips: tuple[Ip, ...] = ()
            if not routes:
                known = None
            elif len(routes) > SHARED_MAX or (has_refused and self.refused_routes(routes[0].mac)):
                known = Offers(routes if fresh else tuple(self.path_of(route) for route in routes))
            else:
                if found_ips := [route.ip for route in routes if route.ip is not None]:
                    ips = tuple(sorted(set(found_ips)))
                said = tuple([
                    (id(route.attributes), route.peer, route.rd, route.tag, route.label, route.esi, route.label2,
                     not fresh and self.is_stale(route), None if route.ip is None else ips.index(route.ip))
                    for route in routes
                ])  # fmt: skip
                known = shared.get(said)
                if known is None:
                    known = shared[said] = Offers(tuple(self._path_among(route, ips) for route in routes))
            offers.append(known)
            addresses.append(ips)
        return offers, addresses

    def path_of(self, route: MacIp) -> Path:
        """Return the route without its MAC."""
        return Path(
            route.peer, route.attributes, route.rd, route.tag, route.label, route.ip, route.esi, route.label2,
            self.is_stale(route),
        )  # fmt: skip

    def _path_among(self, route: MacIp, ips: tuple[Ip, ...]) -> Path:
        """Return the path that the route shares with routes of other MACs."""
        path = self.path_of(route)
        return path if route.ip is None else structs.replace(path, ip=address_at(ips.index(route.ip)))

    def refused_routes(self, mac: Mac) -> list[MacIp]:
        """Return one route for each peer that advertises more routes of this MAC than it may have."""
        return [peer.refused[mac] for peer in self.peers.values() if mac in peer.refused]

    # The feed

    def receive(self, received: Received, now: float) -> None:
        """Take one message."""
        self.counters.lines += 1
        self.counters.bad_nlris += len(received.bad_nlris)
        if received.continuity is Continuity.RESTARTED:
            self.lose_feed(now)
        if received.peer is not None:
            peer = self._peer(received.peer)
            peer.messages += 1
            if received.continuity is Continuity.GAP:
                self._lose_line(peer)
        for event in received.events:
            self._fold(event, now, received.replayed)
        self._judge_completeness(now)

    def lose_feed(self, now: float) -> None:
        """Hold every route as stale, because ExaBGP or the relay is gone and no peer has done anything."""
        self.peers = {address: peer for address, peer in self.peers.items() if peer.up or len(peer)}
        for peer in self.peers.values():
            self._lose_speaker(peer)
        self._ask_everyone = False
        self._answers_until = -inf
        self._restart_waiting(now)
        self._judge_completeness(now)

    def lose_lines(self, address: Ip | None = None) -> None:
        """Note that lines were lost, of one peer or of peers that we may not know: each must send all its routes again."""
        if address is None:
            self._ask_everyone = self._asks
        for peer in self.peers.values() if address is None else (self._peer(address),):
            self._lose_line(peer)

    def take_refreshes(self, now: float) -> list[Ip | None]:
        """Return the peers to ask for a refresh now, and note that they were asked."""
        wanting = [peer for peer in self.peers.values() if peer.wants_refresh]
        everyone = self._ask_everyone and now >= again(self._everyone_asked_at)
        if everyone:
            self._ask_everyone = False
            self._everyone_asked_at = now
            self._answers_until = now + REFRESH_WAIT_S
        else:
            wanting = [peer for peer in wanting if now >= peer.may_be_asked_at]
        for peer in wanting:
            self._ask(peer, now)
        return [EVERYONE] if everyone else [peer.address for peer in wanting]

    def reconfigure(self, holds: Holds, now: float) -> None:
        self.holds = holds
        self.index.many_from = min(MOST, holds.routes_per_mac)
        for peer in self.peers.values():
            self._want_refused(peer)
            for mac in list(peer.refused):
                self._make_room(peer, mac)
        self._judge_completeness(now)

    def tick(self, now: float) -> None:
        """Act on the deadlines that have passed."""
        for peer in self.peers.values():
            if peer.refresh_due is not None and now >= peer.refresh_due:
                self._expire_refresh(peer)
            if (deadline := peer.stale_until) is not None and now >= deadline:
                self._drop_stale(peer)
            if self._asks and (overdue := peer.overdue) is not None and now >= overdue:
                peer.want_refresh()
        if not self.complete and now >= self.incomplete_since + self.holds.initial_s:
            self._deadline_passed = True
        self._judge_completeness(now)

    @property
    def due(self) -> float | None:
        """When `tick` has something to do, unless a line comes before."""
        times: list[float | None] = []
        for peer in self.peers.values():
            times += (peer.stale_until, peer.refresh_due)
            if self._asks:
                times.append(peer.may_be_asked_at if peer.wants_refresh else peer.overdue)
        if not self.complete and not self._deadline_passed:
            times.append(self.incomplete_since + self.holds.initial_s)
        if self._ask_everyone:
            times.append(again(self._everyone_asked_at))
        return min((time for time in times if time is not None), default=None)

    # The stations of this leaf

    def local_claim(self, vni: Vni, mac: Mac) -> LocalClaim | None:
        return self.index.local_claims.get(mac, {}).get(vni)

    def learn_station(self, station: Station, rival: int | None) -> None:
        """Take a station that a bridge learned; `rival` is the highest sequence number of the routes that have it elsewhere."""
        old = self.local_claim(*station.key)
        self._put_local_claim(old, LocalClaim(station, self._seq(station, old, rival)))

    def change_station(self, station: Station) -> None:
        """Take new properties of a known station. They are no evidence of where its MAC is, so its sequence number stays."""
        old = self.local_claim(*station.key)
        assert old is not None
        self._put_local_claim(old, LocalClaim(station, 0 if station.fixed else old.seq, old.lost and not station.fixed))

    def lose_station(self, vni: Vni, mac: Mac) -> None:
        """Note that a better route has a station elsewhere; it counts again only after the bridge learns it again."""
        self.index.lose_local_claim(self.index.local_claims[mac][vni])

    def forget_station(self, vni: Vni, mac: Mac) -> None:
        old = self.local_claim(vni, mac)
        if old is not None:
            self.index.put_local_claim(old, None)

    def remember(self, seqs: Mapping[tuple[Vni, Mac], int]) -> None:
        """Take the sequence numbers that the daemon advertised before it was restarted."""
        for key, seq in seqs.items():
            self._remember(key, seq)

    def set_advertising(self, vnis: frozenset[Vni]) -> None:
        """From now on, only the stations of these VNIs count."""
        changed, self.announcing = self.announcing ^ vnis, vnis
        if changed:
            for mac, found in self.index.local_claims.items():
                if not changed.isdisjoint(found):
                    self.index.mark_local_claim(mac)

    def _seq(self, station: Station, old: LocalClaim | None, rival: int | None) -> int:
        """Return the sequence number of a station.

        A new station takes one more than the routes that have it elsewhere (RFC 7432 section 15); a known one keeps its own.
        It never falls below its own last one, as in FRR: a remote VTEP that remembers that one would ignore a lower one.
        """
        if station.fixed:
            return 0
        if old is not None and not old.lost and not old.station.fixed:
            return old.seq
        last = self._seqs.get(station.key, 0)
        return last if rival is None else min(max(rival + 1, last), SEQ_MAX)

    def _put_local_claim(self, old: LocalClaim | None, new: LocalClaim) -> None:
        if new.seq:
            self._remember(new.station.key, new.seq)
        if new != old:
            self.index.put_local_claim(old, new)

    def _remember(self, key: tuple[Vni, Mac], seq: int) -> None:
        self._seqs.pop(key, None)
        self._seqs[key] = seq
        if len(self._seqs) > SEQS_MAX:
            del self._seqs[next(iter(self._seqs))]

    # One event

    def _fold(self, event: Event, now: float, replayed: bool) -> None:
        match event:
            case Announced(peer=address, routes=routes):
                self._announce(self._peer_with_session(address, now), routes, now)
            case Withdrawn(peer=address, keys=keys):
                self._withdraw(self._peer_with_session(address, now), keys, now)
            case SessionOpened(peer=address):
                self._open(self._peer(address), now, replayed)
            case SessionClosed():
                self._close(self._peer(event.peer), event, now)
            case PeerOpened(peer=address):
                self._peer(address).learn_abilities(event, now)
            case EndOfRib(peer=address):
                self._end_table(self._peer_with_session(address, now))
            case RefreshEnded(peer=address):
                peer = self._peer_with_session(address, now)
                if peer.end_marker():
                    self._end_refresh(peer)
            case RefreshBegan(peer=address):
                self._begin_refresh(self._peer_with_session(address, now), now, marked=True)
            case SpeakerStopped():
                self.lose_feed(now)
            case _:
                assert_never(event)

    def _announce(self, peer: AdjRibIn, routes: Mapping[RouteKey, Route], now: float) -> None:
        self.counters.announced += len(routes)
        peer.received_at = now
        peer.extend_refresh(now)
        fresh, others = peer.fresh, [held for held in (peer.suspect, peer.stale) if held]
        room = self.holds.routes_per_peer - len(peer)
        for key, route in routes.items():
            part = fresh.shard(key)
            old = part.get(key)
            for held in others:
                old = old or held.pop(key)
            if old is None:
                if room <= 0:
                    peer.limited += 1
                    continue
                if self.index.many and self._refuses(peer, route):
                    continue
                room -= 1
            part[key] = route
            self.index.put(key, old, route)

    def _withdraw(self, peer: AdjRibIn, keys: tuple[RouteKey, ...], now: float) -> None:
        self.counters.withdrawn += len(keys)
        peer.extend_refresh(now)
        for key in keys:
            old = peer.fresh.pop(key, None) or peer.suspect.pop(key, None) or peer.stale.pop(key, None)
            if old is not None:
                self.index.put(key, old, None)
                if peer.refused and isinstance(old, MacIp) and old.mac in peer.refused:
                    self._make_room(peer, old.mac)
            elif peer.limited:
                peer.limited -= 1  # most likely a refused route: we do not keep which routes were refused
            else:
                self.counters.unknown_withdraws += 1
        self._want_refused(peer)

    def _refuses(self, peer: AdjRibIn, route: Route) -> bool:
        """Refuse a new route if the peer has as many routes of its MAC as it may have.

        The limit is for each peer, so the routes of one peer never keep out the routes of another. Routes that are leaving
        are counted in the index as well, so while there are any the peer may have more for a moment.
        """
        if not isinstance(route, MacIp) or route.mac not in self.index.many or peer.address in self.index.leaving:
            return False
        if self.index.count_of_peer(route.mac, peer.address) < self.holds.routes_per_mac:
            return False
        peer.refused_count += 1
        if route.mac not in peer.refused and len(peer.refused) < REFUSED_MACS_MAX:
            peer.refused[route.mac] = route
            self.index.mark_macs((route.mac,))
        return True

    def _make_room(self, peer: AdjRibIn, mac: Mac) -> None:
        """Request the refused routes of a MAC once a tenth of the limit is free."""
        most = self.holds.routes_per_mac
        if self.index.count_of_peer(mac, peer.address) <= most - max(1, most // ROOM_WORTH_ASKING):
            del peer.refused[mac]
            self.index.mark_macs((mac,))
            if self._asks and peer.can_refresh:
                peer.want_refresh()

    def _want_refused(self, peer: AdjRibIn) -> None:
        """Request a refresh once the refused routes would fit, or a good part of them."""
        most = self.holds.routes_per_peer
        enough = min(peer.limited, max(1, most // ROOM_WORTH_ASKING))
        if peer.limited and most - len(peer) >= enough and self._asks and peer.can_refresh:
            peer.want_refresh()

    def _peer_with_session(self, address: Ip, now: float) -> AdjRibIn:
        """Return a peer that sent something. It has a session, even if the line that reported its start was lost."""
        peer = self._peer(address)
        if peer.take_message(now):
            self._expect_answer(peer, now)
        return peer

    def _open(self, peer: AdjRibIn, now: float, replayed: bool) -> None:
        """Start a session: what is left of an older one is stale until End-of-RIB (RFC 4724 section 4.2).

        A replayed line may be about a session that we know, and then it is no news. If we do not know the session, we have
        missed lines of it.
        """
        if replayed and peer.up:
            peer.want_refresh()
            return
        self._make_stale(peer)
        peer.open(now, replayed=replayed)
        self._forget_refused(peer)
        if peer.lost_forwarding:
            self._drop_stale(peer)
        peer.stale_deadline = now + self.holds.initial_s if peer.stale else None
        if replayed:
            if self._asks and peer.can_refresh:
                peer.lose_line()
            self._expect_answer(peer, now)

    def _expect_answer(self, peer: AdjRibIn, now: float) -> None:
        """Note that the last request to every peer went to this one as well, though we did not know of it then."""
        if now < self._answers_until and not self._ask_everyone:
            self._ask(peer, now)

    def _close(self, peer: AdjRibIn, event: SessionClosed, now: float) -> None:
        """End a session and hold its routes as long as they may be held. A try that never became a session changes nothing."""
        peer.reason = event.reason
        peer.closed = event
        if not peer.up:
            return
        if event.speaker_stops:
            self._lose_speaker(peer)
            self._restart_waiting(now)
            return
        self._restore_suspect(peer)
        self._forget_refused(peer)
        peer.close()
        if not peer.keeps_stale(event, now):
            self._drop_stale(peer)
        self._make_stale(peer)
        peer.hold_stale(self.holds, event, now)
        if peer.stale_deadline is not None and peer.stale_deadline <= now:
            self._drop_stale(peer)

    def _lose_speaker(self, peer: AdjRibIn) -> None:
        """Hold the routes as stale until End-of-RIB, or until the deadline of the whole picture."""
        self._restore_suspect(peer)
        self._make_stale(peer)
        peer.lose_feed()

    def _end_table(self, peer: AdjRibIn) -> None:
        """Take End-of-RIB: the peer has sent its table, so what is still stale is gone, unless we missed lines of it.

        A refresh that is under way was requested because of a lost line, so its own end decides.
        """
        if not peer.has_gap and not peer.is_refreshing:
            peer.complete_table()
            self._drop_stale(peer)

    # A refresh

    def _ask(self, peer: AdjRibIn, now: float) -> None:
        if peer.marks_refreshes:
            peer.request_refresh(now)
        else:
            self._begin_refresh(peer, now, marked=False)

    def _begin_refresh(self, peer: AdjRibIn, now: float, *, marked: bool) -> None:
        """Make every route suspect until it comes again (RFC 7313 section 4). Meanwhile it is as good as before."""
        peer.suspect = _merged(peer.suspect, peer.fresh)
        peer.fresh = ShardedDict()
        self._forget_refused(peer)
        peer.begin_refresh(now, marked=marked)

    def _expire_refresh(self, peer: AdjRibIn) -> None:
        """Take silence as the end if the peer marks none. A marked end that did not come is requested again."""
        peer.expire_refresh()
        if peer.marks_refreshes:
            peer.want_refresh()
        elif peer.abilities is None and not peer.fresh:
            # We do not know whether this peer can refresh at all, so its silence says nothing about its routes.
            self._restore_suspect(peer)
            peer.stop_refresh()
        else:
            self._end_refresh(peer)

    def _end_refresh(self, peer: AdjRibIn) -> None:
        """Remove what did not come again, unless a line of the refresh was lost: then the next refresh decides."""
        if not peer.has_gap:
            peer.complete_table()
            self.index.leave(peer.address, peer.suspect)
            peer.suspect = ShardedDict()
            self._drop_stale(peer)

    def _forget_refused(self, peer: AdjRibIn) -> None:
        """Forget what was refused, because the peer sends all its routes again or is gone."""
        self.index.mark_macs(peer.refused)
        peer.forget_refused()

    # Stale and suspect routes

    def _restore_suspect(self, peer: AdjRibIn) -> None:
        """Leave the routes as if no refresh had begun."""
        peer.fresh = _merged(peer.suspect, peer.fresh)
        peer.suspect = ShardedDict()

    def _make_stale(self, peer: AdjRibIn) -> None:
        for routes in (peer.suspect, peer.fresh):
            self.index.mark_stale(routes)
            peer.stale = _merged(peer.stale, routes)
        peer.fresh = ShardedDict()
        peer.suspect = ShardedDict()
        peer.has_stale = bool(peer.stale)

    def _drop_stale(self, peer: AdjRibIn) -> None:
        self.index.leave(peer.address, peer.stale)
        peer.stale = ShardedDict()
        peer.has_stale = False
        peer.drop_stale()
        self._want_refused(peer)

    # Completeness

    def _restart_waiting(self, now: float) -> None:
        self.complete = False
        self.incomplete_since = now
        self._deadline_passed = False

    def _judge_completeness(self, now: float) -> None:
        """Complete the picture if it is. It stays complete until ExaBGP goes: a peer that goes down is no reason to wait again."""
        if self.complete:
            return
        waiting = self._waiting_for()
        if not waiting and (self.holds.expected or self.peers):
            self._completed("every peer has sent all its routes", now)
        elif self._deadline_passed and self._accepts_deadline():
            self._completed(f"{self.holds.initial_s:g} s have passed without End-of-RIB from {_names(waiting)}", now)
        else:
            self.why = f"waiting for End-of-RIB from {_names(waiting)}"

    def _completed(self, why: str, now: float) -> None:
        """Set a deadline for the stale routes of each peer that has not come back."""
        self.complete = True
        self.why = why
        for peer in self.peers.values():
            if peer.stale and peer.stale_deadline is None and not peer.is_refreshing:
                peer.stale_deadline = self.incomplete_since + self.holds.initial_s
                if peer.stale_deadline <= now:
                    self._drop_stale(peer)

    def _waiting_for(self) -> list[Ip]:
        expected = self.holds.expected or tuple(self.peers)
        return [address for address in expected if address not in self.peers or not self.peers[address].ended]

    def _accepts_deadline(self) -> bool:
        if self.holds.on_deadline == "auto":
            return any(peer.ended for peer in self.peers.values())
        return self.holds.on_deadline == "complete"

    # Lost lines

    def _lose_line(self, peer: AdjRibIn) -> None:
        self.counters.gaps += 1
        if self._asks and peer.can_refresh:
            peer.lose_line()

    def _peer(self, address: Ip) -> AdjRibIn:
        peer = self.peers.get(address)
        if peer is None:
            peer = self.peers[address] = AdjRibIn(address)
        return peer


def _merged(older: ShardedDict[RouteKey, Route], newer: ShardedDict[RouteKey, Route]) -> ShardedDict[RouteKey, Route]:
    """Return both as one; a key is in only one of them. It costs nothing if the older one is empty, as it usually is."""
    if not older:
        return newer
    for part, more in zip(older.shards, newer.shards, strict=True):
        part.update(more)
    return older


def _names(addresses: list[Ip]) -> str:
    return ", ".join(str(address) for address in sorted(addresses, key=lambda a: a.order)) or "any peer"
