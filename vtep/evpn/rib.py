"""What each peer has told and not taken back: one Adj-RIB-In a peer, and the index by MAC; and what was heard here.

Folds events; decides what a lost session, a lost line or a new ExaBGP means for the routes already there; knows when the
picture is complete. Time is an argument. Does not know which route is better, which VNIs exist here, or any kernel.

A peer's routes live in three dictionaries, so that doubt costs nothing however many they are:

      ┌──(refresh begins)──> doubted ──────────(refresh ends)─────────────────────┐
      │                         │                                                 v
    fresh ──(session lost · ExaBGP gone)──> stale ──(End-of-RIB · refresh ends · deadline)──> removed
      ^                         │             │
      └────(announced again)────┴─────────────┘
"""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Final, assert_never

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni
from vtep.evpn.event import (
    Announced,
    Answered,
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
from vtep.evpn.station import SEQ_MAX, LocalClaim, Station
from vtep.store.sharded import ShardedDict

EVERYONE: Final = None
"""Among the peers to ask: all that ExaBGP has, known or not."""

QUIET_S: Final = 10.0
"""A peer that marks no end of a refresh (RFC 2918 has none) has ended it when it was quiet for so long after a line."""

REFRESH_WAIT_S: Final = 60.0
"""How long a peer may take to begin a refresh, and one that marks refreshes between two lines of one."""

ASK_AGAIN_S: Final = 10.0
"""Nobody is asked more often, however many lines are bad or lost."""


ROOM_WORTH_ASKING: Final = 10
"""A peer over its limit is asked for everything again when this part of the limit is free, if all that was refused is not
less: one that hovers about its limit would otherwise be asked all the time."""

SEQS_MAX: Final = 1_000_000
"""Sequences that are remembered; only stations that have moved have one to remember."""


class Holds(Struct, frozen=True):
    """How long what a peer said is kept when nobody vouches for it."""

    initial_s: float = 120.0
    peer_down_s: float = 0.0
    on_deadline: str = "auto"
    expected: tuple[Ip, ...] = ()
    """Whose End-of-RIB completes the picture; none named: every peer seen."""
    routes_per_peer: int = 2_000_000


class Peer:
    """One Adj-RIB-In. Read by everybody, changed only by `Rib`."""

    __slots__ = (
        "abilities",
        "address",
        "asked_at",
        "began",
        "counter",
        "deadline",
        "ended",
        "fresh",
        "has_stale",
        "limited",
        "opened_at",
        "reason",
        "refresh",
        "refresh_due",
        "refresh_wanted",
        "stale",
        "suspect",
        "told_at",
        "torn",
        "up",
    )  # fmt: skip

    def __init__(self, address: Ip) -> None:
        self.address = address
        self.up = False
        self.ended = False
        """It has told all it has since it came up."""
        self.reason = ""
        """Why it is down."""
        self.opened_at: float | None = None
        self.told_at = -inf
        """When it told something last: routes, or what it can do."""
        self.abilities: PeerOpened | None = None
        self.counter: int | None = None
        self.fresh: ShardedDict[RouteKey, Route] = ShardedDict()
        self.suspect: ShardedDict[RouteKey, Route] = ShardedDict()
        """As good as ever, but not told again since a refresh began."""
        self.stale: ShardedDict[RouteKey, Route] = ShardedDict()
        """From a session that is no more."""
        self.has_stale = False
        """There were some lately: whoever asks for each route need not look for it, where there are none."""
        self.deadline: float | None = None
        """When the stale routes go."""
        self.torn = False
        """Lines of this peer were lost since it was last asked to tell everything again."""
        self.refresh_wanted = False
        self.asked_at: float | None = None
        self.refresh = ""
        """Empty, `asked`, or `running`."""
        self.began = False
        """The peer itself marked the beginning of the running refresh."""
        self.refresh_due: float | None = None
        """When the refresh counts as ended or lost."""
        self.limited = 0
        """Routes refused for want of room since it last began to tell all it has, and not withdrawn."""

    def __len__(self) -> int:
        return len(self.fresh) + len(self.suspect) + len(self.stale)

    def routes(self) -> Iterator[Route]:
        for held in (self.fresh, self.suspect, self.stale):
            for part in held.parts:
                yield from part.values()


class Counters:
    """What went by, for metrics and `vtep replay`."""

    __slots__ = ("announced", "answers_bad", "bad_nlris", "gaps", "lines", "unknown_withdraws", "withdrawn")

    def __init__(self) -> None:
        self.lines = 0
        self.bad_nlris = 0
        self.announced = 0
        self.withdrawn = 0
        self.unknown_withdraws = 0
        self.gaps = 0
        self.answers_bad = 0


class Rib:
    """All peers' routes. `receive` a line, `tick` the time; `index` has what to judge."""

    def __init__(self, holds: Holds, now: float, *, asks: bool = True) -> None:
        """Start empty. Where nobody can be asked (a recorded stream), a lost line is counted and nothing waits for it."""
        self.holds = holds
        self._asks = asks
        self.peers: dict[Ip, Peer] = {}
        self.counters = Counters()
        self.complete = False
        self.why = "no peer has told its routes yet"
        self.incomplete_since = now
        self._deadline_passed = False
        self._speaker_pid: int | None = None
        self._ask_everyone = False
        self._everyone_asked_at: float | None = None
        self._answers_until = -inf
        """Until then, whoever sends routes may be answering what everybody was asked."""
        self.index = Index()
        self.announcing: frozenset[Vni] = frozenset()
        """Where our stations count."""
        self._seqs: dict[tuple[Vni, Mac], int] = {}
        """The last sequence of stations that have moved, those that are gone included."""

    # What the projection reads

    def is_stale(self, route: MacIp) -> bool:
        """Tell whether only a session that is no more vouches for this route, or nobody any more."""
        peer = self.peers.get(route.peer)
        if peer is None or (self.index.leaving and self.index.is_leaving(route)):
            return True
        return peer.has_stale and peer.stale.get(route.key) is route

    # What happens

    def receive(self, heard: Received, now: float, *, replayed: bool = False) -> None:
        """Fold one line. A replayed one repeats an old state: it tells what is, and proves no gap."""
        self.counters.lines += 1
        self.counters.bad_nlris += len(heard.bad_nlris)
        if heard.pid is not None and heard.pid != self._speaker_pid:
            if self._speaker_pid is not None:
                self.lose_feed(now)
            self._speaker_pid = heard.pid
        if heard.counter is not None and heard.peer is not None:
            self._count(heard.peer, heard.counter, replayed)
        for event in heard.events:
            self._fold(event, now, replayed)
        self._judge_completeness(now)

    def lose_feed(self, now: float) -> None:
        """Hold every route as stale: ExaBGP or the relay is gone, and no peer has done anything."""
        self.peers = {address: peer for address, peer in self.peers.items() if peer.up or len(peer)}
        for peer in self.peers.values():
            self._lose_speaker(peer)
            peer.counter = None
        self._speaker_pid = None
        self._ask_everyone = False
        self._answers_until = -inf
        self._restart_waiting(now)
        self._judge_completeness(now)

    def lose_lines(self, address: Ip | None = None) -> None:
        """Lines were lost, of one peer or of peers we may not even know: they must tell everything again."""
        if address is None:
            self._ask_everyone = self._asks
        for peer in self.peers.values() if address is None else (self._peer(address),):
            self._tear(peer)
            peer.counter = None

    def take_refreshes(self, now: float) -> list[Ip | None]:
        """Return whom to ask for a route refresh now, and take them as asked."""
        wanting = [peer for peer in self.peers.values() if _wants_refresh(peer)]
        everyone = self._ask_everyone and now >= _again(self._everyone_asked_at)
        if everyone:
            self._ask_everyone = False
            self._everyone_asked_at = now
            self._answers_until = now + REFRESH_WAIT_S
        else:
            wanting = [peer for peer in wanting if now >= _again(peer.asked_at)]
        for peer in wanting:
            self._ask(peer, now)
        return [EVERYONE] if everyone else [peer.address for peer in wanting]

    def reconfigure(self, holds: Holds, now: float) -> None:
        self.holds = holds
        for peer in self.peers.values():
            self._want_refused(peer)
        self._judge_completeness(now)

    def tick(self, now: float) -> None:
        """Let time pass: what nobody vouched for in its time goes."""
        for peer in self.peers.values():
            if peer.refresh_due is not None and now >= peer.refresh_due:
                self._run_out(peer)
            if (deadline := _stale_until(peer)) is not None and now >= deadline:
                self._drop_stale(peer)
            if self._asks and (overdue := _overdue(peer)) is not None and now >= overdue:
                peer.refresh_wanted = True
        if not self.complete and now >= self.incomplete_since + self.holds.initial_s:
            self._deadline_passed = True
        self._judge_completeness(now)

    @property
    def due(self) -> float | None:
        """When `tick` has something to do, if nothing is heard before."""
        times: list[float | None] = []
        for peer in self.peers.values():
            times += (_stale_until(peer), peer.refresh_due)
            if self._asks:
                times.append(_again(peer.asked_at) if _wants_refresh(peer) else _overdue(peer))
        if not self.complete and not self._deadline_passed:
            times.append(self.incomplete_since + self.holds.initial_s)
        if self._ask_everyone:
            times.append(_again(self._everyone_asked_at))
        return min((time for time in times if time is not None), default=None)

    # What is heard here

    def local_claim(self, vni: Vni, mac: Mac) -> LocalClaim | None:
        return self.index.local_claims.get(mac, {}).get(vni)

    def learn_station(self, station: Station, rival: int | None) -> None:
        """Take a station that is here; `rival` is the highest sequence of the routes that say it is elsewhere."""
        old = self.local_claim(*station.key)
        self._put_local_claim(old, LocalClaim(station, self._seq(station, old, rival)))

    def change_station(self, station: Station) -> None:
        """Take what is new about a known station, which says nothing about where its MAC is."""
        old = self.local_claim(*station.key)
        assert old is not None
        self._put_local_claim(old, LocalClaim(station, 0 if station.fixed else old.seq, old.lost and not station.fixed))

    def lose_station(self, vni: Vni, mac: Mac) -> None:
        """A station here is elsewhere now, by a better route, until it is heard again."""
        self.index.lose_local_claim(self.index.local_claims[mac][vni])

    def forget_station(self, vni: Vni, mac: Mac) -> None:
        old = self.local_claim(vni, mac)
        if old is not None:
            self.index.put_local_claim(old, None)

    def remember(self, seqs: Mapping[tuple[Vni, Mac], int]) -> None:
        """Take the sequences that an earlier life told."""
        for key, seq in seqs.items():
            self._remember(key, seq)

    def set_advertising(self, vnis: frozenset[Vni]) -> None:
        """The stations of these VNIs count from now on, and no others."""
        changed, self.announcing = self.announcing ^ vnis, vnis
        if changed:
            for mac, found in self.index.local_claims.items():
                if not changed.isdisjoint(found):
                    self.index.mark_local_claim(mac)

    def _seq(self, station: Station, old: LocalClaim | None, rival: int | None) -> int:
        """A station that comes gets past the routes that have it elsewhere (RFC 7432 15); one that is here stays as it is.

        Its own last sequence is the least, as with FRR: whoever remembers that one does not mistake it for an older.
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
                self._announce(self._talking(address, now), routes, now)
            case Withdrawn(peer=address, keys=keys):
                self._withdraw(self._talking(address, now), keys, now)
            case SessionOpened(peer=address):
                self._open(self._peer(address), now, replayed)
            case SessionClosed():
                self._close(self._peer(event.peer), event, now)
            case PeerOpened(peer=address):
                peer = self._peer(address)
                peer.abilities = event
                peer.told_at = now
            case EndOfRib(peer=address):
                self._end_table(self._talking(address, now))
            case RefreshEnded(peer=address):
                peer = self._talking(address, now)
                # Without its beginning it is the end of one that was asked for before us, of which we heard a part.
                if peer.began:
                    self._end_refresh(peer)
            case RefreshBegan(peer=address):
                peer = self._talking(address, now)
                self._begin_refresh(peer, now)
                peer.began = True
            case SpeakerStopped():
                self.lose_feed(now)
            case Answered(ok=ok):
                self.counters.answers_bad += not ok
            case _:
                assert_never(event)

    def _announce(self, peer: Peer, routes: Mapping[RouteKey, Route], now: float) -> None:
        self.counters.announced += len(routes)
        peer.told_at = now
        if peer.refresh == "running":
            peer.refresh_due = now + _patience_s(peer)
        fresh, others = peer.fresh, [held for held in (peer.suspect, peer.stale) if held]
        room = self.holds.routes_per_peer - len(peer)
        for key, route in routes.items():
            part = fresh.part(key)
            old = part.get(key)
            for held in others:
                old = old or held.pop(key)
            if old is None:
                if room <= 0:
                    peer.limited += 1
                    continue
                room -= 1
            part[key] = route
            self.index.put(key, old, route)

    def _withdraw(self, peer: Peer, keys: tuple[RouteKey, ...], now: float) -> None:
        self.counters.withdrawn += len(keys)
        if peer.refresh == "running":
            peer.refresh_due = now + _patience_s(peer)
        for key in keys:
            old = peer.fresh.pop(key, None) or peer.suspect.pop(key, None) or peer.stale.pop(key, None)
            if old is not None:
                self.index.put(key, old, None)
            elif peer.limited:
                peer.limited -= 1  # most likely one that was refused: which ones these were is not kept
            else:
                self.counters.unknown_withdraws += 1
        self._want_refused(peer)

    def _want_refused(self, peer: Peer) -> None:
        """Ask for what was refused once it would fit, or a good part of it would."""
        most = self.holds.routes_per_peer
        if peer.limited and most - len(peer) >= min(peer.limited, max(1, most // ROOM_WORTH_ASKING)):
            peer.refresh_wanted |= self._asks and _can_refresh(peer)

    def _talking(self, address: Ip, now: float) -> Peer:
        """Whoever sends routes has a session, even when the line that said so was lost."""
        peer = self._peer(address)
        if not peer.up:
            peer.up = True
            peer.reason = ""
            peer.opened_at = now
            self._expect_answer(peer, now)
        return peer

    def _open(self, peer: Peer, now: float, replayed: bool) -> None:
        """Wait for the End-of-RIB of a new session; what is left of an older one is stale until then (RFC 4724 4.2).

        A peer without graceful restart owes no End-of-RIB (RFC 4724 4): the end of a refresh serves instead, as it
        does where the opening is replayed and the End-of-RIB may have gone by.
        """
        if replayed and peer.up:
            peer.refresh_wanted = True
            return
        self._make_stale(peer)
        self._stop_refresh(peer)
        peer.up = True
        peer.ended = False
        peer.reason = ""
        peer.limited = 0
        peer.opened_at = now
        peer.refresh_wanted = replayed or (peer.abilities is not None and peer.abilities.restart_s is None)
        peer.torn = replayed and self._asks and _can_refresh(peer)
        peer.deadline = now + self.holds.initial_s if peer.stale else None
        if replayed:
            self._expect_answer(peer, now)

    def _expect_answer(self, peer: Peer, now: float) -> None:
        """Everybody was asked a moment ago, and so was this peer, though we did not know that it is there."""
        if now < self._answers_until and not self._ask_everyone:
            self._ask(peer, now)

    def _close(self, peer: Peer, event: SessionClosed, now: float) -> None:
        peer.reason = event.reason
        if not peer.up:
            return
        if event.speaker_stops:
            self._lose_speaker(peer)
            self._restart_waiting(now)
            return
        peer.up = False
        self._stop_refresh(peer)
        self._drop_stale(peer)  # the session before this one did not come back in time either (RFC 4724 4.2)
        self._make_stale(peer)
        peer.deadline = now + self._hold_s(peer, event)
        if peer.deadline <= now:
            self._drop_stale(peer)

    def _end_table(self, peer: Peer) -> None:
        """The peer has told everything: what it left out is gone, unless it is we who missed it.

        A refresh that began meanwhile does so because of a lost line, so its own end decides.
        """
        if not peer.torn and peer.refresh != "running":
            peer.ended = True
            self._drop_stale(peer)

    def _begin_refresh(self, peer: Peer, now: float) -> None:
        """Doubt every route until it comes again (RFC 7313 4); they stay as good as they were meanwhile."""
        peer.suspect = _merged(peer.suspect, peer.fresh)
        peer.fresh = ShardedDict()
        peer.began = False
        peer.limited = 0
        peer.refresh = "running"
        peer.refresh_wanted = False
        peer.torn = False
        peer.refresh_due = now + REFRESH_WAIT_S

    def _end_refresh(self, peer: Peer) -> None:
        """What did not come again is gone, unless a line of the refresh was lost: then the next one decides."""
        peer.began = False
        peer.refresh = ""
        peer.refresh_due = None
        if not peer.torn:
            peer.ended = True
            self.index.leave(peer.address, peer.suspect)
            peer.suspect = ShardedDict()
            self._drop_stale(peer)

    def _ask(self, peer: Peer, now: float) -> None:
        peer.asked_at = now
        if _marks_refreshes(peer):
            peer.refresh = "asked"
            peer.refresh_wanted = False
            peer.refresh_due = now + REFRESH_WAIT_S
        else:
            self._begin_refresh(peer, now)

    # What time does

    def _run_out(self, peer: Peer) -> None:
        """Quiet is an end where none is marked. A marked one that did not come is asked for again instead."""
        if _marks_refreshes(peer):
            peer.refresh = ""
            peer.refresh_due = None
            peer.refresh_wanted = True
        elif peer.abilities is None and not peer.fresh:
            # Nobody knows whether it can refresh at all, so its silence says nothing about its routes.
            self._stop_refresh(peer)
        else:
            self._end_refresh(peer)

    def _stop_refresh(self, peer: Peer) -> None:
        """Leave the routes as if no refresh had begun."""
        peer.began = False
        peer.fresh = _merged(peer.suspect, peer.fresh)
        peer.suspect = ShardedDict()
        peer.refresh = ""
        peer.refresh_due = None
        peer.refresh_wanted = False
        peer.torn = False

    def _hold_s(self, peer: Peer, event: SessionClosed) -> float:
        """Graceful restart keeps routes only of a lost connection and a family the peer named (RFC 4724 4, 4.2)."""
        able = peer.abilities
        restart_s = able.restart_s if able and able.keeps_forwarding and event.lost else None
        return max(self.holds.peer_down_s, restart_s or 0.0)

    # Doubt

    def _make_stale(self, peer: Peer) -> None:
        for routes in (peer.suspect, peer.fresh):
            self.index.mark_suspect(routes)
            peer.stale = _merged(peer.stale, routes)
        peer.fresh = ShardedDict()
        peer.suspect = ShardedDict()
        peer.has_stale = bool(peer.stale)

    def _drop_stale(self, peer: Peer) -> None:
        self.index.leave(peer.address, peer.stale)
        peer.stale = ShardedDict()
        peer.has_stale = False
        peer.deadline = None
        self._want_refused(peer)

    def _lose_speaker(self, peer: Peer) -> None:
        """Stale until End-of-RIB, or until the deadline for the whole picture decides."""
        self._stop_refresh(peer)
        self._make_stale(peer)
        peer.up = False
        peer.ended = False
        peer.deadline = None

    # Completeness

    def _restart_waiting(self, now: float) -> None:
        self.complete = False
        self.incomplete_since = now
        self._deadline_passed = False

    def _judge_completeness(self, now: float) -> None:
        """Once complete, it stays so until ExaBGP goes: a peer that goes down has told us that its routes are gone."""
        if self.complete:
            return
        waiting = self._waiting_for()
        if not waiting and (self.holds.expected or self.peers):
            self._completed("every peer has told all its routes", now)
        elif self._deadline_passed and self._accepts_deadline():
            self._completed(f"{self.holds.initial_s:g} s have passed without End-of-RIB from {_names(waiting)}", now)
        else:
            self.why = f"waiting for End-of-RIB from {_names(waiting)}"

    def _completed(self, why: str, now: float) -> None:
        """Wait no longer than this for a peer that was left behind; one that is up keeps what it said."""
        self.complete = True
        self.why = why
        for peer in self.peers.values():
            if peer.stale and peer.deadline is None and peer.refresh != "running":
                peer.deadline = self.incomplete_since + self.holds.initial_s
                if peer.deadline <= now:
                    self._drop_stale(peer)

    def _waiting_for(self) -> list[Ip]:
        expected = self.holds.expected or tuple(self.peers)
        return [address for address in expected if address not in self.peers or not self.peers[address].ended]

    def _accepts_deadline(self) -> bool:
        if self.holds.on_deadline == "auto":
            return any(peer.ended for peer in self.peers.values())
        return self.holds.on_deadline == "complete"

    # Continuity

    def _count(self, address: Ip, counter: int, replayed: bool) -> None:
        peer = self._peer(address)
        if replayed:
            return
        if peer.counter is not None and counter != peer.counter + 1:
            self._tear(peer)
        peer.counter = counter

    def _tear(self, peer: Peer) -> None:
        self.counters.gaps += 1
        if self._asks and _can_refresh(peer):
            peer.torn = True
            peer.refresh_wanted = True

    def _peer(self, address: Ip) -> Peer:
        peer = self.peers.get(address)
        if peer is None:
            peer = self.peers[address] = Peer(address)
        return peer


def _marks_refreshes(peer: Peer) -> bool:
    return peer.abilities is not None and peer.abilities.enhanced_refresh


def _wants_refresh(peer: Peer) -> bool:
    return peer.refresh_wanted and peer.up and not peer.refresh and _can_refresh(peer)


def _can_refresh(peer: Peer) -> bool:
    return peer.abilities is None or peer.abilities.refresh or peer.abilities.enhanced_refresh


def _stale_until(peer: Peer) -> float | None:
    """A refresh under way may still bring what is stale."""
    if peer.deadline is None or peer.refresh_due is None:
        return peer.deadline
    return max(peer.deadline, peer.refresh_due)


def _overdue(peer: Peer) -> float | None:
    """Return when an End-of-RIB is so late that none will come, as where our ExaBGP offered no graceful restart."""
    waits = peer.up and not peer.ended and not peer.refresh and not peer.refresh_wanted
    if not waits or peer.opened_at is None or peer.abilities is None or not _can_refresh(peer):
        return None
    return max(peer.opened_at, peer.told_at) + REFRESH_WAIT_S


def _patience_s(peer: Peer) -> float:
    return REFRESH_WAIT_S if _marks_refreshes(peer) else QUIET_S


def _again(asked_at: float | None) -> float:
    """Return when to ask again."""
    return -inf if asked_at is None else asked_at + ASK_AGAIN_S


def _merged(older: ShardedDict[RouteKey, Route], newer: ShardedDict[RouteKey, Route]) -> ShardedDict[RouteKey, Route]:
    """Return both as one; a key is in one of them only. The usual case costs nothing."""
    if not older:
        return newer
    for part, more in zip(older.parts, newer.parts, strict=True):
        part.update(more)
    return older


def _names(addresses: list[Ip]) -> str:
    return ", ".join(str(address) for address in sorted(addresses, key=lambda a: a.order)) or "any peer"
