"""This leaf as a machine: messages and stations in, intent out.

A `Leaf` owns the RIB, the policy and the latest intent. It folds what a feed reports into the RIB, takes what the bridges
learn as stations, and asks `project` for the next intent when someone calls `judge`. The work of a judgement is proportional
to what changed; of very much, one call judges a part, so that the daemon stays responsive.

    receive, learn_stations, tick      what happened              judge      the intent as of now
    reconfigure, learn_own_macs,       what decides otherwise     lost and unverified stations go back to the RIB and to
    learn_own_hosts, set_advertising                              the watcher of the bridges

It knows no BGP speaker, no socket, no kernel and no clock. The daemon brings live messages with its own clock, and
`vtep replay` brings recorded ones with theirs. A message that cannot be read is counted and kept, and no other message is
affected.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Final, assert_never

from msgspec import Struct

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Vni
from vtep.config.model import Config
from vtep.evpn.event import Attached, Detached, Message, Missed, Received, Unreadable
from vtep.evpn.index import WORK_OF_RIVALS, Changed
from vtep.evpn.peer import Holds
from vtep.evpn.rib import Rib
from vtep.evpn.station import Station
from vtep.intent import NOTHING, HostKey, Intent, RowKey
from vtep.projection.forwarder import judge_segment
from vtep.projection.mobility import place_of
from vtep.projection.policy import FORWARDING, SegmentState
from vtep.projection.project import Policy, frozen_at, highest_rival, project

BAD_LINES_KEPT: Final = 100
"""The last ones, for the operator. All of them are counted."""
BAD_LINE_HEAD: Final = 1024
"""How many octets of a message that could not be read are kept."""
GROUPS_AT_ONCE: Final = 256
"""Groups that one judgement looks at because of Type-1 routes: a route of a segment may concern thousands of VNIs."""
TOPICS_AT_ONCE: Final = 256
"""How many MACs or hosts one part has, of all that must be judged again after a reload."""


class BadLine(Struct, frozen=True):
    """A message that could not be read."""

    time: float
    """When it arrived, by this leaf's clock."""
    why: str
    head: bytes
    """Its first BAD_LINE_HEAD octets."""
    octets: int
    """The length of all of it."""


class Leaf:
    """Everything between the feed and the intent."""

    def __init__(self, config: Config, now: float, *, asks: bool = True) -> None:
        """Start with no routes; `asks` says whether a peer can be asked for a route refresh."""
        self.config = config
        self.rib = Rib(_holds(config), now, asks=asks)
        self.intent = NOTHING
        self.bad_lines = 0
        self.last_bad: deque[BadLine] = deque(maxlen=BAD_LINES_KEPT)
        self._policy = Policy(config)
        self._to_rejudge: Iterator[Changed] | None = None
        """What must be judged again by a new configuration, in parts."""
        self._cleared: list[RowKey] = []
        """Duplicates that an operator cleared since the last judgement."""
        self._advertising: frozenset[Vni] = frozenset()
        """VNIs in which stations count, as the daemon set them; the configuration may still exclude some."""
        self._taking: dict[tuple[Esi, Vni], tuple[float, Ip | None]] = {}
        """The roles on single-active segments that we take from a VTEP which is still there, with when that has heard of it."""
        self._unverified: dict[RowKey, None] = {}
        """Stations that lost to a route which is gone, until the watcher of the bridges takes them."""

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
                    self.rib.lose_lines(feed=message.feed)
                case Attached():
                    pass
                case Detached():
                    self.rib.lose_feed(now, message.feed)
                case _:
                    assert_never(message)

    def _keep(self, bad: Unreadable, now: float) -> None:
        """Keep a message that could not be read, for the operator."""
        self.bad_lines += 1
        self.last_bad.append(BadLine(now, bad.why, bad.head[:BAD_LINE_HEAD], bad.octets))

    # Stations of this leaf

    def learn_stations(
        self, learned: Iterable[Station], gone: Iterable[RowKey] = (), *, changed: Iterable[Station] = ()
    ) -> None:
        """Take what happened at our own ports: first stations that left, then those that changed, then those learned.

        A station counts as learned when the bridge sees a frame from it on any port, or when a dump shows an entry that was
        not known. Learning brings back a station that lost its MAC to a better route. A changed station has other host
        addresses, and that brings nothing back.
        """
        for key in gone:
            self.rib.forget_station(*key)
        for station in changed:
            if self.rib.local_claim(*station.key) is not None:
                self.rib.change_station(station)
            else:
                self._learn_station(station)
        for station in learned:
            self._learn_station(station)

    def _learn_station(self, station: Station) -> None:
        """Take a station, with a sequence number above those of the routes that have its MAC elsewhere.

        A station whose MAC is frozen here keeps its number, because a duplicate must not claim the MAC again. A station of a
        VNI that is not configured is kept too, and does not count: the watcher reports it only once.
        """
        vni = self._policy.vnis.get(station.vni)
        frozen = frozen_at(self.intent.moves.get(station.key))
        is_frozen_here = vni is not None and frozen is not None and place_of(frozen) == vni.vtep
        segment = self._policy.segment_of_port.get((station.vni, station.port), NO_SEGMENT)
        rival = None if is_frozen_here else highest_rival(*station.key, self.rib, self._policy, segment)
        self.rib.learn_station(station, rival)

    def set_advertising(self, vnis: frozenset[Vni]) -> None:
        """Let our stations count in these VNIs from now on; in other VNIs the result is as if there were none."""
        self._advertising = vnis
        self.rib.set_advertising(self._policy.announcing(vnis))

    def take_unverified(self) -> list[RowKey]:
        """Return stations that lost to a route which is gone: the bridge must be read to see whether they are here."""
        unverified, self._unverified = self._unverified, {}
        return list(unverified)

    def remember_advertised(self, seqs: Mapping[RowKey, int]) -> None:
        """Take the sequence numbers that an earlier daemon advertised, before any station is learned."""
        self.rib.remember(seqs)

    def tick(self, now: float) -> None:
        """Let time pass for the routes."""
        self.rib.tick(now)

    def judge(self, now: float, work_max: float = inf, *, alike: bool = True) -> Intent:
        """Return the intent as of now; the work is proportional to what changed.

        If that is far more than `work_max`, a part is judged and the rest stays `unjudged`. `alike` is explained in
        `projector.Inputs`.
        """
        must_finish = self.rib.complete and not self.intent.complete
        changed = self.rib.index.take_changed(work_max, inf if must_finish else now)
        for part in self._take_rejudged(work_max):
            changed.add(part)
        for esi in {esi for (esi, _), (due, _) in self._taking.items() if now >= due and self._forwards(esi)}:
            changed.segments.add(esi)
        if self._follow_elections(changed, now):
            changed.add(self.rib.index.take_changed(work_max, inf if must_finish else now))
        if not self._is_news(changed, now):
            return self.intent
        whole = not self._unjudged_routes and not (must_finish and self._has_new_crowd())
        self.intent = project(
            self.rib,
            self._policy,
            now,
            self.intent,
            changed,
            self._cleared,
            whole=whole,
            groups_max=None if work_max == inf else GROUPS_AT_ONCE,
            alike=alike,
        )
        self._cleared = []
        for key in self.intent.lost:
            self.rib.lose_station(*key)
        self._unverified |= dict.fromkeys(self.intent.unverified)
        return self.intent

    def reconfigure(self, config: Config, now: float) -> None:
        """Judge everything again by another configuration, in parts; the peers need not send anything again."""
        self.config = config
        self.rib.reconfigure(_holds(config), now)
        self._policy = self._policy.changed(config=config)
        self.set_advertising(self._advertising)
        self._to_rejudge = self._everything()

    def learn_own_macs(self, macs: frozenset[Mac]) -> None:
        """Take the MACs of our own devices, which are never remote. Only the MACs that differ are judged again."""
        before = self._policy.own_macs
        if macs != before:
            self._policy = self._policy.changed(own_macs=macs)
            self.rib.index.mark_macs(macs ^ before)
            self.rib.index.mark_router_macs(macs ^ before)

    def learn_own_hosts(self, hosts: frozenset[HostKey]) -> None:
        """Take the addresses of our bridges, which no remote host can have in their VNI."""
        before = self._policy.own_hosts
        if hosts != before:
            self._policy = self._policy.changed(own_hosts=hosts)
            self.rib.index.mark_hosts(ip for _, ip in hosts ^ before)

    def learn_ungrouped(self, vnis: frozenset[Vni]) -> None:
        """Take the VNIs whose devices take no group of nexthops; everything is judged again, in parts, if they differ."""
        if vnis != self._policy.ungrouped:
            self._policy = self._policy.changed(ungrouped=vnis)
            self._to_rejudge = self._everything()

    def set_segments(self, states: Mapping[Esi, SegmentState]) -> None:
        """Take how far our ports on Ethernet segments are. Only what is on segments that differ is judged again."""
        before = self._policy
        changed = [
            esi for esi in {*states, *before.segment_states} if states.get(esi) != before.segment_states.get(esi)
        ]
        if not changed:
            return
        self._policy = before.changed(segment_states=states)
        self._mark_segments(changed, (states, before.segment_states))

    def _mark_segments(self, segments: Iterable[Esi], states: Iterable[Mapping[Esi, SegmentState]]) -> None:
        """Have what is on these segments judged again: what others say of them, and the stations at their ports."""
        ports: set[tuple[Vni, str]] = set()
        for esi in segments:
            self.rib.index.mark_segment(esi)
            ports.update(port for found in states if esi in found for port in found[esi].ports)
        for mac, claims in self.rib.index.local_claims.items():
            if any((vni, claim.station.port) in ports for vni, claim in claims.items()):
                self.rib.index.mark_local_claim(mac)

    def _follow_elections(self, changed: Changed, now: float) -> bool:
        """Work out in which VNIs our ports on single-active segments pass frames, and return whether that is different now.

        Where a MAC is depends on it, so it is known before the MACs are judged. If the forwarder before us is still on the segment, it
        may not know yet that it is the forwarder no longer, so we wait for `df_wait_s`: two that pass frames would make a loop.
        """
        policy = self._policy
        concerned = policy.single_active & {*changed.segments, *(esi for esi, _, _ in changed.evis)}
        kept = {one for one in policy.active if one[0] in policy.single_active - concerned}
        taking = {one: found for one, found in self._taking.items() if one[0] not in concerned}
        for esi in concerned & policy.contested:
            before = {row.vni: row.vtep for row in self.intent.forwarders.get(esi, ())}
            for row in judge_segment(policy.segments[esi], self.rib, policy):
                one = (esi, row.vni)
                if not row.ours:
                    continue
                due, giver = self._taking.get(one, (now + policy.segments[esi].df_wait_s, before.get(row.vni)))
                if all(rival.vtep != giver for rival in row.rivals):
                    due = now
                if self._forwards(esi) and (one in policy.active or now >= due):
                    kept.add(one)
                else:
                    taking[one] = due, giver
        self._taking = taking
        active = frozenset(kept)
        if active == policy.active:
            return False
        self._policy = policy.changed(active=active)
        self._mark_segments({esi for esi, _ in active ^ policy.active}, (policy.segment_states,))
        return True

    def _forwards(self, segment: Esi) -> bool:
        state = self._policy.segment_states.get(segment)
        return state is not None and state.state == FORWARDING

    def _taken_at(self) -> Iterator[float]:
        """Yield when a role is taken, of those that wait for time alone."""
        return (due for (esi, _), (due, _) in self._taking.items() if self._forwards(esi))

    def clear_duplicates(self, keys: Iterable[RowKey]) -> None:
        """Forget the moves of these MACs at the next judgement."""
        self._cleared += keys

    def refreshes(self, now: float) -> list[Ip | None]:
        """Return the peers to ask for a route refresh; None stands for every peer."""
        return self.rib.take_refreshes(now)

    @property
    def is_rejudged(self) -> bool:
        """Whether all of the intent is judged by the latest configuration."""
        return self._to_rejudge is None

    @property
    def unjudged(self) -> int:
        """The estimated work that waits for the next judgement, in MACs with one route."""
        return self._unjudged_routes + WORK_OF_RIVALS * len(self.intent.waiting_groups)

    @property
    def _unjudged_routes(self) -> int:
        return self.rib.index.work + (0 if self._to_rejudge is None else WORK_OF_RIVALS)

    def _has_new_crowd(self) -> bool:
        """Return True if a MAC with very many routes waits for its first judgement: its row must not be removed meanwhile."""
        return any(self.intent.judged.get(mac) is None for mac in self.rib.index.put_off_macs)

    @property
    def due(self) -> float | None:
        """When time alone changes something next."""
        return min(
            (
                time
                for time in (self.rib.due, self.rib.index.due, self.intent.due, *self._taken_at())
                if time is not None
            ),
            default=None,
        )

    def _everything(self) -> Iterator[Changed]:
        """Yield everything that depends on the configuration, in parts, because judging a million MACs takes seconds."""
        yield Changed(
            segments=(
                *self._policy.contested,
                *self._policy.segment_states,
                *(esi for esi, _ in self.intent.forwarders.unordered()),
                *(esi for esi, _ in self.intent.own_segments.unordered()),
            )
        )
        yield from self.rib.index.in_parts(TOPICS_AT_ONCE)

    def _take_rejudged(self, work_max: float) -> Iterator[Changed]:
        """Yield as many parts of what must be judged again as take this work."""
        while self._to_rejudge is not None and work_max > 0:
            part = next(self._to_rejudge, None)
            if part is None:
                self._to_rejudge = None
                return
            work_max -= WORK_OF_RIVALS * (len(part.macs) + len(part.hosts) + len(part.prefixes))
            yield part

    def _is_news(self, changed: Changed, now: float) -> bool:
        """Return whether a judgement would change anything; if not, the intent stays the same object."""
        return bool(
            changed
            or self._cleared
            or self.intent.waiting_groups
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
        routes_per_mac=config.limits.routes_per_mac,
    )
