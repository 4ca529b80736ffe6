"""Leaves that hear the same stations and tell each other: whatever the timing, a MAC ends with one owner, on all of them.

A fabric here is two or three leaves, each with the real judgement (`Leaf`), a port where stations speak, and a
session with every other leaf. What a leaf tells travels in order on each session, and arrives when the test says so. A
station that lost its MAC to a route has lost its row of the bridge as well, so that its next frame is heard anew.
"""

from collections import deque
from functools import cache
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.examples import examples
from vtep.addr import Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.config import file as config
from vtep.config.model import Config
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import Announced, EndOfRib, Event, PeerOpened, Received, SessionClosed, SessionOpened, Withdrawn
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.station import Station
from vtep.intent import OwnMac
from vtep.projection.leaf import Leaf

VNI = Vni(100)
MACS = [Mac(bytes((2, 0, 0, 0, 0, number))) for number in (1, 2)]
TARGETS = (RouteTarget.parse("65000:100"),)
HOSTS = [frozenset[Ip](), frozenset({Ip.parse("172.16.0.1")})]


@cache
def configuration(vtep: Ip) -> Config:
    return config.parse(f'[node]\nvtep = "{vtep}"\n[[vni]]\nvni = {VNI}\nimport_rt = ["65000:100"]\n')


class Rig:
    """One leaf, with what it told and what is on the way to the others."""

    def __init__(self, number: int) -> None:
        self.vtep = Ip(bytes((10, 0, 0, number)))
        self.leaf = Leaf(configuration(self.vtep), 0.0)
        self.leaf.set_advertising(frozenset({VNI}))
        self.told: dict[bytes, MacIp] = {}
        self.sessions: dict[Rig, deque[Event]] = {}
        self.bridge: dict[Mac, Station] = {}
        """What its bridge has learnt at the port."""
        self.announced = self.withdrawn = 0

    def hear_frame(self, mac: Mac, hosts: frozenset[Ip], *, static: bool = False) -> None:
        """A frame comes in: news only where the bridge did not have the station. A static entry stays one."""
        static |= mac in self.bridge and self.bridge[mac].static
        station = Station(VNI, mac, "swp1", static=static, hosts=hosts)
        if self.bridge.get(mac) != station:
            changed = mac in self.bridge and self.bridge[mac].static == static
            self.bridge[mac] = station
            self.leaf.learn_stations(() if changed else (station,), changed=(station,) if changed else ())
            self.judge()

    def forget(self, mac: Mac) -> None:
        """The station was silent for too long, or its port went down."""
        if self.bridge.pop(mac, None) is not None:
            self.leaf.learn_stations((), [(VNI, mac)])
            self.judge()

    def judge(self) -> None:
        intent = self.leaf.judge(0.0)
        for mac in [mac for mac, station in self.bridge.items() if (VNI, mac) in intent.macs and not station.static]:
            del self.bridge[mac]  # our row took its place
        unverified = self.leaf.take_unverified()
        if unverified:
            still = [self.bridge[mac] for _, mac in unverified if mac in self.bridge]
            self.leaf.learn_stations(still, [key for key in unverified if key[1] not in self.bridge])
            self.judge()
            return
        wanted = {route.key: route for route in map(self._route, dict(intent.own.unordered()).values())}
        for key in [*self.told, *(key for key in wanted if key not in self.told)]:
            if self.told.get(key) != wanted.get(key):
                self._tell(key, wanted.get(key))

    def open(self, other: "Leaf") -> None:
        """A new session tells everything first."""
        self.sessions[other] = deque([PeerOpened(self.vtep, None, False, True, True), SessionOpened(self.vtep)])
        self.sessions[other] += [Announced(self.vtep, {key: route}) for key, route in self.told.items()]
        self.sessions[other].append(EndOfRib(self.vtep))

    def take(self, event: Event) -> None:
        self.leaf.receive([Received((event,))], 0.0)
        self.judge()

    def owns(self, mac: Mac) -> bool:
        return (VNI, mac, None) in self.leaf.intent.own

    def sees(self, mac: Mac) -> Ip | None:
        row = self.leaf.intent.macs.get((VNI, mac))
        return self.vtep if self.owns(mac) else None if row is None else row.via.vtep

    def _tell(self, key: bytes, route: MacIp | None) -> None:
        if route is None:
            del self.told[key]
            self.withdrawn += 1
        else:
            self.told[key] = route
            self.announced += 1
        for session in self.sessions.values():
            session.append(Withdrawn(self.vtep, (key,)) if route is None else Announced(self.vtep, {key: route}))

    def _route(self, own: OwnMac) -> MacIp:
        attributes = Attributes(self.vtep, TARGETS, (8,), seq=own.seq, sticky=own.sticky, gateway=own.gateway)
        return MacIp(
            self.vtep, attributes, RouteDistinguisher(b"\0\1" + self.vtep + b"\0\x64"), 0, own.mac, VNI, own.ip
        )


class Fabric:
    def __init__(self, leaves: int) -> None:
        self.leaves = [Rig(number) for number in (5, 3, 9)[:leaves]]
        self.links = list(permutations(self.leaves, 2))
        self.heard = 0
        for sender, receiver in self.links:
            sender.open(receiver)

    def deliver(self, link: int) -> None:
        """Let one message arrive."""
        sender, receiver = self.links[link % len(self.links)]
        queue = sender.sessions[receiver]
        if queue:
            receiver.take(queue.popleft())

    def settle(self) -> None:
        """Let everything arrive, and whatever it makes the others tell."""
        while waiting := [link for link, (sender, receiver) in enumerate(self.links) if sender.sessions[receiver]]:
            for link in waiting:
                self.deliver(link)

    def lose(self, link: int) -> None:
        """A session ends, in this direction, and a new one begins."""
        sender, receiver = self.links[link % len(self.links)]
        sender.sessions[receiver].clear()
        receiver.take(SessionClosed(sender.vtep, "closing connection", lost=True))
        sender.open(receiver)

    def speak(self, mac: Mac, at: int, hosts: frozenset[Ip] = HOSTS[0], *, static: bool = False) -> None:
        self.heard += 1
        self.leaves[at % len(self.leaves)].hear_frame(mac, hosts, static=static)

    @property
    def announced(self) -> int:
        return sum(rig.announced for rig in self.leaves)

    @property
    def withdrawn(self) -> int:
        return sum(rig.withdrawn for rig in self.leaves)


numbers = st.integers(0, 5)
speaking = st.tuples(st.just("speak"), st.sampled_from(MACS), numbers, st.sampled_from(HOSTS))
happenings = st.lists(
    speaking
    | speaking
    | st.tuples(st.just("deliver"), numbers)
    | st.tuples(st.just("deliver"), numbers)
    | st.tuples(st.just("forget"), st.sampled_from(MACS), numbers)
    | st.tuples(st.just("lose"), numbers),
    max_size=30,
)


def play(fabric: Fabric, history: list[tuple]) -> None:
    for what, *how in history:
        if what == "speak":
            fabric.speak(*how)
        elif what == "forget":
            mac, at = how
            fabric.leaves[at % len(fabric.leaves)].forget(mac)
        elif what == "lose":
            fabric.lose(*how)
        else:
            fabric.deliver(*how)


@given(st.sampled_from([2, 3]), happenings, st.data())
@settings(deadline=None, max_examples=examples(150))
def test_a_station_that_sends_until_it_is_learned_has_one_owner_and_all_agree(leaves, history, data):
    """One frame after everything arrived is enough: nobody is left who tells of the MAC with a higher sequence."""
    fabric = Fabric(leaves)
    play(fabric, history)
    fabric.settle()
    places = {mac: data.draw(st.integers(0, leaves - 1)) for mac in MACS}

    for mac, at in places.items():
        fabric.speak(mac, at)
    fabric.settle()

    for mac, at in places.items():
        assert [rig.owns(mac) for rig in fabric.leaves] == [number == at for number in range(leaves)]
        assert {rig.sees(mac) for rig in fabric.leaves} == {fabric.leaves[at].vtep}


@given(st.sampled_from([2, 3]), happenings)
@settings(deadline=None, max_examples=examples(200))
def test_when_everything_has_arrived_there_is_at_most_one_owner_and_all_agree(leaves, history):
    fabric = Fabric(leaves)
    play(fabric, history)

    fabric.settle()

    for mac in MACS:
        owners = [rig.vtep for rig in fabric.leaves if rig.owns(mac)]
        assert len(owners) <= 1
        assert {rig.sees(mac) for rig in fabric.leaves} == {owners[0] if owners else None}


@given(st.sampled_from([2, 3]), happenings)
@settings(deadline=None, max_examples=examples(200))
def test_there_are_no_more_messages_than_learned_frames(leaves, history):
    """A leaf announces a MAC, and its one address, only for a frame; and withdraws only what it announced."""
    fabric = Fabric(leaves)
    play(fabric, history)
    fabric.settle()

    assert fabric.announced <= 2 * fabric.heard
    assert fabric.withdrawn <= fabric.announced


@given(st.sampled_from([2, 3]), st.lists(numbers, max_size=40))
@settings(deadline=None, max_examples=examples(100))
def test_a_mac_that_all_learn_at_once_settles_with_few_messages(leaves, order):
    fabric = Fabric(leaves)
    fabric.settle()

    for at in range(leaves):
        fabric.speak(MACS[0], at)
    for link in order:
        fabric.deliver(link)
    fabric.settle()

    assert (fabric.announced, fabric.withdrawn) == (leaves, leaves - 1)
    assert {str(rig.sees(MACS[0])) for rig in fabric.leaves} == {"10.0.0.3"}


@given(st.sampled_from([2, 3]), happenings, st.integers(0, 2))
@settings(deadline=None, max_examples=examples(100))
def test_a_static_entry_keeps_its_mac_whatever_is_learned_elsewhere(leaves, history, at):
    fabric = Fabric(leaves)
    fabric.speak(MACS[0], at, static=True)
    home = fabric.leaves[at % leaves]
    play(fabric, [(what, *how) for what, *how in history if what != "forget"])

    fabric.settle()

    assert {rig.sees(MACS[0]) for rig in fabric.leaves} == {home.vtep}
