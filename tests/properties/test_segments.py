"""Every order in which ports, routes, timers and filters of two or three leaves on one Ethernet segment can change.

The judgement is the real one: `SegmentPorts` for the life of each port, and `Leaf` for what its filter should be, given which routes
of the others have come. Both are asked once for each different question, so that all states can be visited.

    a state    for each leaf: its port, how far it is, its filter, which routes of the others it has; and the routes on their way
    a step     a carrier is lost or returns, the routes of a leaf arrive at another one, a wait is over

Two assumptions, which docs/multihoming.md names. A leaf writes its own filter before anything that it says arrives elsewhere. The
wait of a joining leaf is longer than its routes take.

In every state the copies of a broadcast are counted, from each end of the machine and from each leaf's own host.
"""

from collections import deque
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from typing import NamedTuple

import pytest
from msgspec import structs

from vtep.addr import Esi, Ip, RouteDistinguisher, RouteTarget, Vni
from vtep.config import file as config
from vtep.evpn.attributes import Attributes, Election
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.event import Announced, EndOfRib, Event, PeerOpened, Received, SessionOpened, Withdrawn
from vtep.evpn.segment import Segment
from vtep.local.segment_ports import PortSeen, SegmentPorts
from vtep.projection.leaf import Leaf
from vtep.projection.policy import ADVERTISED, DOWN, FORWARDING, STARTING, WAITING, SegmentState

VNI = Vni(100)
ESI = Esi.parse("03:02:00:00:00:00:42:00:00:01")
PORT = "es0"
TARGETS = (RouteTarget.parse("65000:100"),)
NUMBERS = {"modulo": 0, "highest-random-weight": 1}


class At(NamedTuple):
    """One leaf."""

    up: bool
    """The port has a carrier."""
    state: str
    there: frozenset[int]
    """The leaves whose routes for the segment it has."""
    taking: bool = False
    """In single-active mode, it was elected and waits, because the forwarder before it is still there."""


class Fabric(NamedTuple):
    leaves: tuple[At, ...]
    on_the_way: tuple[tuple[bool, ...], ...]
    """For each pair of leaves, what the first says to the second and has not arrived: on the segment, or no longer."""


class Filter(NamedTuple):
    state: str
    biased: frozenset[int]


def address(number: int) -> Ip:
    return Ip(bytes((10, 0, 0, number + 1)))


@cache
def takes(number: int, before: At, after: At, algorithm: str) -> bool:
    """Return whether a leaf that was elected by this change must wait, by the real rules."""
    leaf, peer, events = leaf_of(number, before.state, before.there, algorithm, SINGLE_ACTIVE)
    leaf.judge(100.0)
    gone = [key + address(other) for other in before.there - after.there for key in (b"1", b"4")]
    _, _, events = leaf_of(number, after.state, after.there, algorithm, SINGLE_ACTIVE)
    leaf.receive(
        [Received((Withdrawn(peer, tuple(gone)), *(one for one in events if isinstance(one, Announced))))], 100.0
    )
    leaf.set_segments({ESI: SegmentState(after.state, PORT, ((VNI, PORT),))})
    leaf.judge(100.0)
    leaf.set_segments({ESI: SegmentState(FORWARDING, PORT, ((VNI, PORT),))})
    states = [leaf.judge(now).port_filters[VNI, PORT].state for now in (100.0, 200.0)]
    return states == ["standby", "df"]


@cache
def filter_of(number: int, state: str, there: frozenset[int], algorithm: str, mode: str) -> Filter:
    """Return what the real projection wants at the port of a leaf."""
    leaf, _, _ = leaf_of(number, state, there, algorithm, mode)
    row = leaf.judge(100.0).port_filters[VNI, PORT]
    return Filter(row.state, frozenset(ip[3] - 1 for ip in row.biased))


def leaf_of(number: int, state: str, there: frozenset[int], algorithm: str, mode: str) -> tuple[Leaf, Ip, list[Event]]:
    """Return a leaf that has judged these routes, the peer and the events by which it has them."""
    text = f'[node]\nvtep = "{address(number)}"\n[[vni]]\nvni = {VNI}\nimport_rt = ["65000:100"]\n'
    text += f'[[segment]]\nesi = "{ESI}"\nport = "{PORT}"\nalgorithm = "{algorithm}"\nmode = "{mode}"\n'
    leaf = Leaf(config.parse(text), 0.0)
    leaf.set_segments({ESI: SegmentState(state, PORT, ((VNI, PORT),))})
    peer = Ip.parse("10.0.0.100")
    events: list[Event] = [PeerOpened(peer, None, False, True, True), SessionOpened(peer)]
    asked = Election(NUMBERS[algorithm]) if NUMBERS[algorithm] else None
    for other in there:
        vtep = address(other)
        rd = RouteDistinguisher(b"\0\1" + vtep + b"\0\1")
        attributes = Attributes(vtep, TARGETS, (8,), single_active=mode == SINGLE_ACTIVE)
        candidate = structs.replace(attributes, election=asked)
        events.append(Announced(peer, {b"1" + vtep: EthernetAd(peer, attributes, rd, ESI, PER_ES_TAG, 0)}))
        events.append(Announced(peer, {b"4" + vtep: Segment(peer, candidate, rd, ESI, vtep)}))
    leaf.receive([Received((*events, EndOfRib(peer)))], 0.0)
    leaf.judge(0.0)
    return leaf, peer, events


@cache
def next_state(state: str, *, up: bool, confirmed: bool, waited: bool) -> str:
    """Return the state of a port by the real rules."""
    text = f'[node]\nvtep = "{address(0)}"\n[[segment]]\nesi = "{ESI}"\nport = "{PORT}"\ndf_wait_s = 3\n'
    ports = SegmentPorts(config.parse(text).segments)
    seen = PortSeen(True, ((VNI, PORT),), True)
    steps = {DOWN: 0, STARTING: 1, WAITING: 2, FORWARDING: 3}[state]
    for place in range(steps):
        ports.see(lambda _: structs.replace(seen, confirmed=place > 0), 4.0 * place, may_advertise=True)  # noqa: B023
    assert ports.states[ESI].state == state
    now = 4.0 * steps if waited else max(0.0, 4.0 * (steps - 1))
    ports.see(lambda _: PortSeen(up, ((VNI, PORT),), confirmed), now, may_advertise=True)
    return ports.states[ESI].state


class Explorer:
    """All states of a fabric of so many leaves."""

    def __init__(self, leaves: int, algorithm: str, mode: str) -> None:
        self.algorithm = algorithm
        self.mode = mode
        self._ends: dict[Fabric, Fabric] = {}
        self.pairs = list(permutations(range(leaves), 2))
        self.first = Fabric(
            tuple(At(up=False, state=DOWN, there=frozenset()) for _ in range(leaves)), tuple(() for _ in self.pairs)
        )

    def visit(self) -> Iterator[Fabric]:
        """Yield every state that can be reached."""
        known, waiting = {self.first}, deque([self.first])
        while waiting:
            fabric = waiting.popleft()
            yield fabric
            for after in self.steps(fabric):
                if after not in known:
                    known.add(after)
                    waiting.append(after)

    def steps(self, fabric: Fabric) -> Iterator[Fabric]:
        for number, at in enumerate(fabric.leaves):
            yield self.judged(fabric, number, at._replace(up=not at.up))
            if at.taking:
                if not any(fabric.on_the_way):  # what made it take the role has reached the one before it as well
                    yield self.at(fabric, number, at._replace(taking=False))
                continue
            if at.state == WAITING and self.mode == SINGLE_ACTIVE and any(fabric.on_the_way):
                continue  # also longer than what others said before it began
            if at.state == WAITING and not self.is_heard(fabric, number):
                continue  # the wait is longer than the routes take
            if at.up:
                yield self.judged(fabric, number, at, waited=True)
        yield from (self.delivered(fabric, place) for place, queue in enumerate(fabric.on_the_way) if queue)

    def is_heard(self, fabric: Fabric, number: int) -> bool:
        return not any(
            queue for (sender, _), queue in zip(self.pairs, fabric.on_the_way, strict=True) if sender == number
        )

    def judged(self, fabric: Fabric, number: int, at: At, *, waited: bool = False) -> Fabric:
        """Let a leaf take what is true now. Its filter is in the kernel before anything that it says arrives."""
        before = fabric.leaves[number].state
        state = next_state(at.state, up=at.up, confirmed=True, waited=waited)
        leaves = list(self.at(fabric, number, at._replace(state=state)).leaves)
        on_the_way = fabric.on_the_way
        if (before in ADVERTISED) != (state in ADVERTISED):
            on_the_way = tuple(
                (*queue, state in ADVERTISED)[-2:] if sender == number else queue
                for (sender, _), queue in zip(self.pairs, on_the_way, strict=True)
            )
        return Fabric(tuple(leaves), on_the_way)

    def at(self, fabric: Fabric, number: int, after: At) -> Fabric:
        """Let a leaf be so, and wait if it takes the role from one that is still there."""
        before = fabric.leaves[number]
        if self.mode == SINGLE_ACTIVE and (before.state, before.there) != (after.state, after.there):
            state = FORWARDING if after.state in ADVERTISED else after.state
            is_elected = filter_of(number, state, after.there, self.algorithm, self.mode).state == "df"
            one = before._replace(up=True, taking=False), after._replace(up=True, taking=False)
            after = after._replace(taking=is_elected and (before.taking or takes(number, *one, self.algorithm)))
        leaves = list(fabric.leaves)
        leaves[number] = after
        return fabric._replace(leaves=tuple(leaves))

    def delivered(self, fabric: Fabric, place: int) -> Fabric:
        sender, receiver = self.pairs[place]
        is_there, *rest = fabric.on_the_way[place]
        at = fabric.leaves[receiver]
        there = at.there | {sender} if is_there else at.there - {sender}
        on_the_way = list(fabric.on_the_way)
        on_the_way[place] = tuple(rest)
        return self.at(fabric, receiver, at._replace(there=there))._replace(on_the_way=tuple(on_the_way))

    def filters(self, fabric: Fabric) -> list[Filter]:
        return [
            Filter("standby", frozenset())
            if at.taking
            else filter_of(number, at.state, at.there, self.algorithm, self.mode)
            for number, at in enumerate(fabric.leaves)
        ]

    def settled(self, fabric: Fabric) -> Fabric:
        """Let everything arrive and every wait end."""
        path = [fabric]
        while (end := self._ends.get(path[-1])) is None:
            after = path[-1]
            for place, queue in enumerate(after.on_the_way):
                for _ in queue:
                    after = self.delivered(after, place)
            for number in range(len(after.leaves)):
                after = self.judged(after, number, after.leaves[number], waited=True)
                after = self.at(after, number, after.leaves[number]._replace(taking=False))
            if after == path[-1]:
                end = after
                break
            path.append(after)
        self._ends.update(dict.fromkeys(path, end))
        return end

    # Copies of a broadcast at the machine

    def to_machine(self, fabric: Fabric, source: int | None, *, skip: int | None = None) -> int:
        """Return how many copies of what a leaf sends into the tunnel reach the machine by the ports of other leaves."""
        filters = self.filters(fabric)
        return sum(
            at.up and filters[number].state == "df" and source not in filters[number].biased
            for number, at in enumerate(fabric.leaves)
            if number not in (source, skip)
        )

    def from_machine(self, fabric: Fabric, number: int) -> int:
        """Return how many copies come back of what the machine sends by its link to a leaf."""
        if not fabric.leaves[number].up or self.filters(fabric)[number].state in BLOCKED:
            return 0
        return self.to_machine(fabric, number)

    def from_host(self, fabric: Fabric, number: int) -> int:
        """Return how many copies of what a host of a leaf sends reach the machine."""
        here = fabric.leaves[number].up and self.filters(fabric)[number].state not in BLOCKED
        return here + self.to_machine(fabric, number)

    def passing(self, fabric: Fabric) -> int:
        """Return by how many leaves a frame to a known MAC of the machine, or one from it, may pass."""
        states = [one.state for one in self.filters(fabric)]
        return sum(
            at.up and state not in ("standby", "joining") for at, state in zip(fabric.leaves, states, strict=True)
        )


BLOCKED = ("joining", "standby")
SINGLE_ACTIVE = "single-active"
CASES = [
    (2, "modulo"),
    (2, "highest-random-weight"),
    pytest.param(3, "modulo", marks=pytest.mark.slow),
    pytest.param(3, "highest-random-weight", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("mode", ["all-active", SINGLE_ACTIVE])
@pytest.mark.parametrize(("leaves", "algorithm"), CASES)
def test_no_frame_comes_back_and_every_change_ends_with_one_copy(leaves: int, algorithm: str, mode: str) -> None:
    explorer = Explorer(leaves, algorithm, mode)
    count = 0
    for fabric in explorer.visit():
        count += 1
        assert [explorer.from_machine(fabric, number) for number in range(leaves)] == [0] * leaves, fabric
        if algorithm != "modulo" or leaves == 2 or mode == SINGLE_ACTIVE:
            assert explorer.to_machine(fabric, None) <= 1, fabric
            if mode == SINGLE_ACTIVE:
                assert explorer.passing(fabric) <= 1, fabric
        end = explorer.settled(fabric)
        wanted = int(any(at.up for at in end.leaves))
        assert explorer.to_machine(end, None) == wanted, end
        assert [explorer.from_machine(end, number) for number in range(leaves)] == [0] * leaves, end
        assert [explorer.from_host(end, number) for number in range(leaves)] == [wanted] * leaves, end
        if mode == SINGLE_ACTIVE:
            assert explorer.passing(end) == wanted, end
    print(f"{leaves} leaves, {algorithm}, {mode}: {count} states")
    assert count > {2: 50, 3: 1000}[leaves]
