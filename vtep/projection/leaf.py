"""Messages in, intent out: what a feed reports, folded into the RIB and judged against the configuration.

Owns the RIB and the latest intent. Knows no BGP speaker, no socket, no kernel and no clock: the daemon brings live messages
with its own clock, `vtep replay` brings recorded ones with theirs. A message that cannot be read is counted and kept, and
no other message is affected.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Final, assert_never

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni
from vtep.config.model import Config
from vtep.evpn.event import Attached, Detached, Message, Missed, Received, Unreadable
from vtep.evpn.index import WORK_OF_RIVALS, Changed
from vtep.evpn.peer import Holds
from vtep.evpn.rib import Rib
from vtep.evpn.station import Station
from vtep.intent import NOTHING, HostKey, Intent, RowKey
from vtep.projection.project import Policy, frozen_at, highest_rival, project

BAD_LINES_KEPT: Final = 100
BAD_LINE_HEAD: Final = 1024
ANEW_AT_ONCE: Final = 256


class BadLine(Struct, frozen=True):
    """A line that said nothing to us."""

    time: float
    why: str
    head: bytes
    octets: int


class Leaf:
    """Everything between the feed and the intent."""

    def __init__(self, config: Config, now: float, *, asks: bool = True) -> None:
        """Start with nothing; `asks` tells whether a peer can be asked to tell everything again."""
        self.config = config
        self.rib = Rib(_holds(config), now, asks=asks)
        self.intent = NOTHING
        self.bad_lines = 0
        self.last_bad: deque[BadLine] = deque(maxlen=BAD_LINES_KEPT)
        self._policy = Policy(config)
        self._anew: Iterator[Changed] | None = None
        """What is to be judged by another configuration, and has not been yet."""
        self._cleared: list[RowKey] = []
        self._advertising: frozenset[Vni] = frozenset()
        self._unverified: dict[RowKey, None] = {}

    def receive(self, messages: Iterable[Message], now: float) -> None:
        """Fold messages that arrived together, in order."""
        for message in messages:
            match message:
                case Received():
                    self.rib.receive(message, now)
                case Unreadable():
                    self._keep(message, now)
                    self.rib.lose_lines(message.peer)
                case Missed() | Attached(complete=False):
                    self.rib.lose_lines()
                case Attached():
                    pass
                case Detached():
                    self.rib.lose_feed(now)
                case _:
                    assert_never(message)

    def _keep(self, bad: Unreadable, now: float) -> None:
        """Keep a message that could not be read, for people."""
        self.bad_lines += 1
        self.last_bad.append(BadLine(now, bad.why, bad.head[:BAD_LINE_HEAD], bad.octets))

    # What is heard here

    def learn_stations(
        self, heard: Iterable[Station], gone: Iterable[RowKey] = (), *, changed: Iterable[Station] = ()
    ) -> None:
        """Take what happened at our own ports: first what left, then what is otherwise, then what was heard.

        To be heard is to send a frame, at whichever port, or to stand in the bridge where nobody knew. It brings back a
        station that lost its MAC to a better route. What changed is a station's addresses, which brings back nothing.
        """
        for key in gone:
            self.rib.forget_station(*key)
        for station in changed:
            if self.rib.local_claim(*station.key) is not None:
                self.rib.change_station(station)
            else:
                self._learn_station(station)
        for station in heard:
            self._learn_station(station)

    def _learn_station(self, station: Station) -> None:
        """One whose MAC is frozen here comes back with the sequence it had: a duplicate is not announced anew.

        One of a VNI that is not configured is kept as well, and does not count: whoever hears it knows when it leaves, and
        says it once.
        """
        vni = self._policy.vnis.get(station.vni)
        frozen = frozen_at(self.intent.moves.get(station.key))
        is_frozen_here = vni is not None and frozen is not None and frozen.vtep == vni.vtep
        rival = None if is_frozen_here else highest_rival(*station.key, self.rib, self._policy)
        self.rib.learn_station(station, rival)

    def set_advertising(self, vnis: frozenset[Vni]) -> None:
        """Our stations count in these VNIs from now on; elsewhere everything is as if there were none."""
        self._advertising = vnis
        self.rib.set_advertising(self._policy.announcing(vnis))

    def take_unverified(self) -> list[RowKey]:
        """Return stations that lost to a route which is gone: somebody has to look whether they are still here."""
        unverified, self._unverified = self._unverified, {}
        return list(unverified)

    def remember_advertised(self, seqs: Mapping[RowKey, int]) -> None:
        """Take the sequences that an earlier life announced, before any station is heard."""
        self.rib.remember(seqs)

    def tick(self, now: float) -> None:
        self.rib.tick(now)

    def judge(self, now: float, work_max: float = inf, *, short_path: bool = True) -> Intent:
        """Return the intent as of now; the work is proportional to what changed.

        Of what takes far more work than this only a part is judged, and the rest is left `unjudged`.
        """
        changed = self.rib.index.take_changed(work_max)
        for part in self._take_anew(work_max):
            changed.add(part)
        if not self._is_news(changed, now):
            return self.intent
        whole = not self.unjudged
        self.intent = project(
            self.rib, self._policy, now, self.intent, changed, self._cleared, whole=whole, short_path=short_path
        )
        self._cleared = []
        for key in self.intent.lost:
            self.rib.lose_station(*key)
        self._unverified |= dict.fromkeys(self.intent.unverified)
        return self.intent

    def reconfigure(self, config: Config, now: float) -> None:
        """Judge everything anew by another configuration, bit by bit; the peers need not say anything again."""
        self.config = config
        self.rib.reconfigure(_holds(config), now)
        self._policy = Policy(config, self._policy.own_macs, self._policy.own_hosts)
        self.set_advertising(self._advertising)
        self._anew = self._everything()

    def learn_own_macs(self, macs: frozenset[Mac]) -> None:
        """Our own devices' MACs are never remote. Devices come and go all the time, and nobody else's MAC is judged for that."""
        before = self._policy.own_macs
        if macs != before:
            self._policy = Policy(self.config, macs, self._policy.own_hosts)
            self.rib.index.mark_macs(macs ^ before)

    def learn_own_hosts(self, hosts: frozenset[HostKey]) -> None:
        """Take the addresses of our bridges, which no remote host can have in their VNI."""
        before = self._policy.own_hosts
        if hosts != before:
            self._policy = Policy(self.config, self._policy.own_macs, hosts)
            self.rib.index.mark_hosts(ip for _, ip in hosts ^ before)

    def clear_duplicates(self, keys: Iterable[RowKey]) -> None:
        self._cleared += keys

    def refreshes(self, now: float) -> list[Ip | None]:
        """Return whom to ask to tell everything again; None among them stands for everybody."""
        return self.rib.take_refreshes(now)

    @property
    def is_anew(self) -> bool:
        """The intent is by the latest configuration, all of it."""
        return self._anew is None

    @property
    def unjudged(self) -> int:
        """How much work waits for the next judgement, in MACs that have one route."""
        return self.rib.index.work + (0 if self._anew is None else WORK_OF_RIVALS)

    @property
    def due(self) -> float | None:
        """When time alone changes something."""
        return min((time for time in (self.rib.due, self.intent.due) if time is not None), default=None)

    def _everything(self) -> Iterator[Changed]:
        """Yield all that a configuration has a say in, a part at a time: judging a million MACs takes seconds."""
        yield Changed(segments=(*self._policy.contested, *(esi for esi, _ in self.intent.forwarders.unordered())))
        yield from self.rib.index.in_parts(ANEW_AT_ONCE)

    def _take_anew(self, work_max: float) -> Iterator[Changed]:
        """Yield as much of what is to be judged anew as takes this work."""
        while self._anew is not None and work_max > 0:
            part = next(self._anew, None)
            if part is None:
                self._anew = None
                return
            work_max -= WORK_OF_RIVALS * (len(part.macs) + len(part.hosts))
            yield part

    def _is_news(self, changed: Changed, now: float) -> bool:
        return bool(
            changed
            or self._cleared
            or self.rib.announcing != self.intent.announcing
            or self.rib.complete != self.intent.complete
            or self.rib.why != self.intent.why
            or (self.intent.due is not None and now >= self.intent.due)
        )


def _holds(config: Config) -> Holds:
    feed = config.feed
    return Holds(
        initial_s=feed.initial_hold_s,
        peer_down_s=feed.peer_down_hold_s,
        restart_max_s=feed.restart_hold_max_s,
        on_deadline=feed.on_deadline,
        expected=feed.peers,
        routes_per_peer=config.limits.routes_per_peer,
    )
