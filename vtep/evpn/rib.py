"""The routes that each peer has advertised and not withdrawn (one Adj-RIB-In for each), and the stations of this leaf.

The RIB takes the events of the feed one by one. It decides what a lost session, a lost line or a new ExaBGP means for the
routes that are there, and when the picture of this leaf is complete. It asks `peer.Peer` for the state of a peer, and it
keeps `index.Index` up to date, which is what the projection reads. Time is an argument. The RIB does not know which route is
better, which VNIs this leaf has, or any kernel.

The routes of a peer are in three epochs (`offers.Epoch`), so that making them suspect or stale costs the same however many they are:

      ┌──(refresh begins)──> suspect ─────────(refresh ends)──────────────────────┐
      │                         │                                                 v
    fresh ──(session lost · ExaBGP gone)──> stale ──(End-of-RIB · refresh ends · deadline)──> removed
      ^                         │             │
      └──(advertised again)─────┴─────────────┘

What is said of MACs alone is said of many MACs in the same words. It is taken in groups, and so are withdrawals, and so is what is
said of prefixes.

A peer may have so many routes in all, and so many of one MAC. New routes beyond that are counted and not kept; the peer is
asked for them when there is room. The routes that are there may always change.
"""

from collections.abc import Collection, Iterable, Mapping
from math import inf
from typing import Final, assert_never

from vtep.addr import Ip, Mac, Vni
from vtep.evpn.ages import Ages
from vtep.evpn.crowd import MOST
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
from vtep.evpn.gathered import Gathered, WithdrawnKeys
from vtep.evpn.index import Held, Index
from vtep.evpn.keys import MAC_IP, mac_of
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.evpn.offers import Alike, Epoch, Offers, OwnOffers, Path, is_key_of_mac_alone, merged, path_of, split_key
from vtep.evpn.peer import REFRESH_WAIT_S, Holds, Peer, again
from vtep.evpn.prefix import Alike as AlikePrefixes
from vtep.evpn.prefix import IpPrefix, whole
from vtep.evpn.station import SEQ_MAX, LocalClaim, Station

EVERYONE: Final = None
"""Among the peers to ask for a refresh: every peer that ExaBGP has, known to us or not."""

ROOM_WORTH_ASKING: Final = 10
"""The share of a peer's limit that must be free before we request a refresh: one tenth. If fewer routes than that were
refused, room for those is enough. Without this hysteresis, a peer near its limit would be refreshed continuously."""

REFUSED_MACS_MAX: Final = 1_000
"""Of how many MACs a peer's refused routes are remembered, one route of each, for people."""

UNACCEPTED_MAX: Final = 4096
"""MACs for each peer, about 0.5 MiB."""
PEERS_MAX: Final = 4096
"""Peers that are known. Beyond that, those that went down are forgotten, except the expected ones: a router may report ever new ones."""
FORGOTTEN_AT_ONCE: Final = 256
"""How many peers are forgotten together, because the oldest are found by a look at all of them."""
SEQS_MAX: Final = 1_000_000
"""How many sequence numbers are remembered; only stations that have moved have one."""


class AdjRibIn(Peer):
    """A peer with its routes. Any module may read it; only `Rib` changes it."""

    __slots__ = ("feed", "fresh", "limited", "refused", "refused_count", "stale", "suspect", "unaccepted")

    def __init__(self, address: Ip) -> None:
        super().__init__(address)
        self.feed = ""
        """The stream that reported it last (`event.Received.feed`)."""
        self.fresh = Epoch()
        self.suspect = Epoch()
        """As good as fresh ones, but not advertised again since a refresh began."""
        self.stale = Epoch()
        """From a session that has ended."""
        self.limited = 0
        """How many routes were refused because the peer is at its limit, and were not withdrawn since. The next refresh or
        session counts them again."""

        self.refused: dict[Mac, MacIp] = {}
        """The MACs of which this peer has as many routes as it may have, each with a route that was refused for that."""
        self.refused_count = 0
        """How many routes were refused for that since the last refresh or session began."""
        self.unaccepted: dict[Mac, None] = {}
        """MACs of which a route was withdrawn that was never announced, the latest UNACCEPTED_MAX: a router that reports its table
        after policy withdraws so what it received and does not accept."""

    def __len__(self) -> int:
        return len(self.fresh) + len(self.suspect) + len(self.stale)

    def forget_refused(self) -> None:
        """Start to count refused routes again, because the peer sends all its routes again."""
        self.limited = 0
        self.refused = {}
        self.refused_count = 0
        self.unaccepted = {}

    def note_unaccepted(self, macs: Collection[Mac]) -> None:
        """Remember MACs of which a route was withdrawn that was never announced."""
        self.note_accepted(macs)  # those that are there already become the latest
        for mac in macs:
            self.unaccepted[mac] = None
            if len(self.unaccepted) > UNACCEPTED_MAX:
                del self.unaccepted[next(iter(self.unaccepted))]

    def note_accepted(self, macs: Iterable[Mac]) -> None:
        """Forget MACs of which a route was announced."""
        if self.unaccepted:
            for mac in macs:
                self.unaccepted.pop(mac, None)

    def find(self, key: RouteKey) -> Held | None:
        """Return the route of this key, with its epoch. One that says something of a MAC alone is in the index only."""
        for epoch in (self.fresh, self.suspect, self.stale):
            if epoch.counts and (route := epoch.routes.get(key)) is not None:
                return route, epoch
        return None


class Counters:
    """Totals for metrics and `vtep replay`."""

    __slots__ = ("announced", "bad_nlris", "forgotten_peers", "gaps", "lines", "unknown_withdraws", "withdrawn")

    def __init__(self) -> None:
        self.lines = 0
        self.bad_nlris = 0
        self.announced = 0
        self.withdrawn = 0
        self.unknown_withdraws = 0
        self.gaps = 0
        self.forgotten_peers = 0


class Rib:
    """The routes of all peers. `receive` takes a line and `tick` the time; `index` says what the projection must judge."""

    def __init__(self, holds: Holds, now: float, *, asks: bool = True) -> None:
        """Start empty. `asks` is false for a recorded stream, where no peer can be asked: a lost line is only counted."""
        self.holds = holds
        self._asks = asks
        self.peers: dict[Ip, AdjRibIn] = {}
        self.counters = Counters()
        self.ages = Ages()
        self.complete = False
        self.why = "no peer has sent its routes yet"
        self.incomplete_since = now
        self._deadline_passed = False
        self._ask_everyone = False
        self._everyone_asked_at: float | None = None
        self._answers_until = -inf
        """Until then, a peer that sends routes may be answering the request that went to every peer."""
        self.index = Index()
        self.index.said.many_from = min(self.index.said.many_from, holds.routes_per_mac)
        self.announcing: frozenset[Vni] = frozenset()
        """The VNIs in which our stations count."""
        self._seqs: dict[tuple[Vni, Mac], int] = {}
        """The last sequence number of each station that has moved, including stations that are gone."""

    # What the projection reads

    def offers_of(self, macs: Collection[Mac]) -> tuple[list[Offers | None], list[tuple[Ip, ...] | None]]:
        """Return all that is said of each MAC, and its host addresses in order.

        MACs of which the same is said have the same `Offers`. There, a path has the position of the host address in the place of
        the address (`offers.address_at`). A MAC with very many routes shares nothing: its paths have the addresses themselves,
        and none are returned beside them. Nor does a MAC with refused routes.
        """
        index = self.index
        offers, addresses = index.said.offers_of(macs), index.said.addresses_of(macs)
        if any(peer.refused for peer in self.peers.values()):
            for at, mac in enumerate(macs):
                said = offers[at]
                if said is not None and not isinstance(said, OwnOffers) and self.refused_routes(mac):
                    offers[at], addresses[at] = Offers(tuple(index.said.paths_of(mac, said))), None
        return offers, addresses

    def find(self, peer: Ip, key: RouteKey) -> tuple[Route, bool] | None:
        """Return the route of this key that a peer has, and whether it is stale."""
        held = self.peers.get(peer)
        if held is None:
            return None
        if not is_key_of_mac_alone(key):
            found = held.find(key)
            if found is None:
                return None
            route = whole(key, found[0]) if isinstance(found[0], IpPrefix) else found[0]
            return route, found[1].stale
        name, octets = split_key(key)
        mac = Mac(octets)
        said = self.index.said.macs.get(mac)
        path = None if said is None else said.find(peer, name)
        return None if path is None or path.epoch.now.leaving else (path.of(mac, None), path.stale)

    def keys(self, peer: Ip, part: int) -> list[RouteKey]:
        """Return the keys of a peer's routes, of one of the `SHARDS` parts of all of them, without an order."""
        held = self.peers.get(peer)
        if held is None:
            return []
        epochs = (held.fresh, held.suspect, held.stale)
        return [*(key for epoch in epochs for key in epoch.routes.shards[part]), *self.index.said.keys(peer, part)]

    def refused_paths(self, mac: Mac) -> list[Path]:
        """Return what the refused routes of a MAC say."""
        return [path_of(route, b"", self.peers[route.peer].fresh) for route in self.refused_routes(mac)]

    def refused_routes(self, mac: Mac) -> list[MacIp]:
        """Return one route for each peer that advertises more routes of this MAC than it may have."""
        return [peer.refused[mac] for peer in self.peers.values() if mac in peer.refused]

    # The feed

    def receive(self, received: Received, now: float) -> None:
        """Take one message."""
        self.counters.lines += 1
        self.counters.bad_nlris += len(received.bad_nlris)
        if received.continuity is Continuity.RESTARTED:
            self.lose_feed(now, received.feed)
        if received.peer is not None:
            peer = self._peer(received.peer)
            peer.feed = received.feed
            peer.messages += 1
            if received.continuity is Continuity.GAP:
                self._lose_line(peer)
        for event in received.events:
            self._fold(event, now, received.replayed)
        self._judge_completeness(now)

    @property
    def is_heard(self) -> bool:
        """Whether others may have our routes: a peer has a session, or keeps ours as we keep its routes (RFC 4724)."""
        return any(peer.up or peer.stale for peer in self.peers.values())

    def lose_feed(self, now: float, feed: str = "") -> None:
        """Hold the routes of all peers of a stream as stale: ExaBGP, the relay or the routers are gone, and no peer did anything."""
        self.peers = {
            address: peer for address, peer in self.peers.items() if peer.up or len(peer) or peer.feed != feed
        }
        for peer in self.peers.values():
            if peer.feed == feed:
                self._lose_speaker(peer)
        if not feed:
            self._ask_everyone = False
            self._answers_until = -inf
        self._restart_waiting(now)
        self._judge_completeness(now)

    def lose_lines(self, address: Ip | None = None, feed: str = "") -> None:
        """Note that lines were lost, of one peer or of peers that we may not know: each must send all its routes again."""
        if address is not None:
            self._lose_line(self._peer(address))
            return
        self._ask_everyone = self._asks
        for peer in self.peers.values():
            if peer.feed == feed:
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
        self.index.said.many_from = min(MOST, holds.routes_per_mac)
        for peer in self.peers.values():
            self._want_refused(peer)
            self._make_room(peer, list(peer.refused))
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
        """Take one event into the routes of its peer."""
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
        """Take the routes of an UPDATE, the groups of MACs of which the same is said first.

        New routes beyond the limit are counted.
        """
        self.counters.announced += len(routes)
        peer.received_at = now
        peer.extend_refresh(now)
        room = max(0, self.holds.routes_per_peer - len(peer))  # a reload may have made the limit lower
        gathered = routes if isinstance(routes, Gathered) else Gathered(peer.address, routes.items())
        for group in gathered.groups:
            room = self._announce_group(peer, group, room, now)
        for alike in gathered.prefixes:
            room = self._announce_prefixes(peer, alike, room, now)
        for key, route in gathered.others.items():
            room = self._announce_one(peer, key, route, room, now)

    def _announce_one(self, peer: AdjRibIn, key: RouteKey, route: Route, room: int, now: float) -> int:
        """Take a route that has a key; return how many more routes its peer may have afterwards."""
        old = peer.find(key)
        if old is None:
            if room <= 0:
                peer.limited += 1
                return room
            if isinstance(route, MacIp) and self._refuses(peer, route.mac, route):
                return room
            room -= 1
            old = self.index.find_leaving(peer.address, key) if self.index.leaving else None
            self.ages.note(peer.address, key, now)
            if isinstance(route, MacIp):
                peer.note_accepted((route.mac,))
        elif old[0] != route:
            self.ages.note(peer.address, key, now)
        self.index.put(key, old, (route, peer.fresh))
        return room

    def _announce_prefixes(self, peer: AdjRibIn, alike: AlikePrefixes, room: int, now: float) -> int:
        """Take what a peer says of several prefixes; return how many more routes it may have afterwards.

        Those to which other routes lead are taken one by one, and so are all if they may be beyond the limit, or if older routes of them
        may be in another epoch.
        """
        keys: Collection[RouteKey] = alike.keys
        if len(keys) <= room and not (peer.suspect or peer.stale or self.index.leaving):
            put = self.index.put_prefixes(keys, alike.value, peer.fresh)
            for noted in (put.new, put.changed):
                self.ages.note_macs(peer.address, b"", noted, now)
            room, keys = room - len(put.new), put.others
        for key in keys:
            room = self._announce_one(peer, key, alike.value, room, now)
        return room

    def _announce_group(self, peer: AdjRibIn, group: Alike, room: int, now: float) -> int:
        """Take what a peer says of several MACs; return how many more routes it may have afterwards."""
        index = self.index
        path = index.said.path(peer.fresh, peer.address, group.name, group)
        for said, found in index.said.grouped(group.macs):
            macs = found
            old = None if said is None else said.find(peer.address, group.name)
            if old is path:
                continue
            is_new = old is None or old.epoch.now.leaving
            if is_new:
                if index.said.many:
                    macs = [mac for mac in macs if not self._refuses(peer, mac, path)]
                if len(macs) > room:
                    peer.limited += len(macs) - room
                    macs = macs[:room]
                room -= len(macs)
            if macs:
                if is_new:
                    peer.note_accepted(macs)
                if is_new or (old is not None and not old.repeats(path)):
                    self.ages.note_macs(peer.address, group.name, macs, now)
                index.replace(macs, said, old, path)
        return room

    def _withdraw(self, peer: AdjRibIn, keys: Collection[RouteKey], now: float) -> None:
        """Withdraw routes by their keys, those of MACs alone in groups."""
        self.counters.withdrawn += len(keys)
        peer.extend_refresh(now)
        gathered = keys if isinstance(keys, WithdrawnKeys) else WithdrawnKeys(keys)
        others: Collection[RouteKey] = gathered.others
        if not (peer.suspect or peer.stale or self.index.leaving):
            others = self.index.remove_prefixes(others, peer.fresh)
        for key in others:
            if (held := peer.find(key)) is None:
                self._withdraw_unknown(peer, 1)
                if key[0] == MAC_IP:
                    peer.note_unaccepted((Mac(mac_of(key)),))
            else:
                self.index.put(key, held, None)
                if isinstance(held[0], MacIp):
                    self._make_room(peer, (held[0].mac,))
        for name, macs in gathered.groups.items():
            self._withdraw_group(peer, name, macs)
        self._want_refused(peer)

    def _withdraw_group(self, peer: AdjRibIn, name: bytes, macs: Collection[Mac]) -> None:
        """Withdraw what a peer says of several MACs under one name."""
        for said, found in self.index.said.grouped(macs):
            old = None if said is None else said.find(peer.address, name)
            if old is None or old.epoch.now.leaving:
                self._withdraw_unknown(peer, len(found))
                peer.note_unaccepted(found)
            else:
                self.index.replace(found, said, old, None)
                self._make_room(peer, found)

    def _withdraw_unknown(self, peer: AdjRibIn, count: int) -> None:
        """Take withdrawals of routes that the peer does not have. Most likely they were refused: which ones is not kept."""
        refused = min(count, peer.limited)
        peer.limited -= refused
        self.counters.unknown_withdraws += count - refused

    def _refuses(self, peer: AdjRibIn, mac: Mac, what: Path | MacIp) -> bool:
        """Refuse a new route if the peer has as many routes of its MAC as it may have.

        The limit is for each peer, so the routes of one peer never keep out the routes of another. Nor do routes that are
        leaving keep out those of the next session.
        """
        if mac not in self.index.said.many:
            return False
        if self.index.said.count_of_peer(mac, peer.address) < self.holds.routes_per_mac:
            return False
        peer.refused_count += 1
        if mac not in peer.refused and len(peer.refused) < REFUSED_MACS_MAX:
            peer.refused[mac] = what.of(mac, None) if isinstance(what, Path) else what
            self.index.mark_macs((mac,))
        return True

    def _make_room(self, peer: AdjRibIn, macs: Iterable[Mac]) -> None:
        """Request the refused routes of MACs of which a tenth of the limit is free."""
        if not peer.refused:
            return
        most = self.holds.routes_per_mac
        for mac in macs:
            if mac not in peer.refused:
                continue
            if self.index.said.count_of_peer(mac, peer.address) <= most - max(1, most // ROOM_WORTH_ASKING):
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
        peer.suspect, peer.fresh = merged(peer.suspect, peer.fresh), Epoch()
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
            peer.suspect = Epoch()
            self._drop_stale(peer)

    def _forget_refused(self, peer: AdjRibIn) -> None:
        """Forget what was refused, because the peer sends all its routes again or is gone."""
        self.index.mark_macs(peer.refused)
        peer.forget_refused()

    # Stale and suspect routes

    def _restore_suspect(self, peer: AdjRibIn) -> None:
        """Leave the routes as if no refresh had begun."""
        peer.fresh, peer.suspect = merged(peer.suspect, peer.fresh), Epoch()

    def _make_stale(self, peer: AdjRibIn) -> None:
        epoch = merged(peer.suspect, peer.fresh)
        if epoch:
            peer.stale, peer.suspect, peer.fresh = merged(peer.stale, epoch), Epoch(), Epoch()
            peer.stale.stale = True
            self.index.mark_stale(peer.stale)

    def _drop_stale(self, peer: AdjRibIn) -> None:
        self.index.leave(peer.address, peer.stale)
        peer.stale = Epoch()
        peer.drop_stale()
        self._make_room(peer, list(peer.refused))
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
            if len(self.peers) >= PEERS_MAX:
                self._forget_peers()
            peer = self.peers[address] = AdjRibIn(address)
        return peer

    def _forget_peers(self) -> None:
        """Forget the peers that are down and sent something longest ago, those without routes first. Peers that are up stay."""
        down = [peer for peer in self.peers.values() if not peer.up and peer.address not in self.holds.expected]
        down.sort(key=lambda peer: (len(peer) > 0, peer.received_at))
        for peer in down[:FORGOTTEN_AT_ONCE]:
            self._drop_stale(peer)
            del self.peers[peer.address]
        self.counters.forgotten_peers += min(len(down), FORGOTTEN_AT_ONCE)


def _names(addresses: list[Ip]) -> str:
    return ", ".join(str(address) for address in sorted(addresses, key=lambda a: a.order)) or "any peer"
