"""Another BGP speaker is an added folder: what `vtep.feed.contract` asks for is all that the daemon's tasks need.

The toy speaker answers each call at once, as one with an API of calls does, where ExaBGP answers with lines, later. It
reports routes as events. Nothing of ExaBGP takes part.
"""

import asyncio

import pytest

from tests.lab.wire import Instance
from vtep.addr import Ip, Mac, Vni
from vtep.app.advertising import Advertising
from vtep.app.feed_task import FeedTask
from vtep.app.state import StateDirectory
from vtep.config.file import parse
from vtep.evpn.advertise import Withdrawal
from vtep.evpn.attributes import decode
from vtep.evpn.event import Announced, Attached, EndOfRib, Received, SessionOpened
from vtep.evpn.nlri import unpack_nlri
from vtep.evpn.station import Station
from vtep.feed.contract import CanAdvertise, CannotAdvertise, Done, Feed, Refused
from vtep.observe.observer import Observer
from vtep.projection.leaf import Leaf

CONFIG = """
[node]
vtep = "10.0.0.99"
[bgp]
asn = 65000
router_id = "10.0.0.99"
[feed]
peers = ["10.0.0.1"]
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
"""
VNI = Vni(100)
PEER = Ip.parse("10.0.0.1")
MAC, OTHER = Mac.parse("02:00:00:00:00:01"), Mac.parse("02:00:00:00:00:02")


class ToyFeed:
    """A speaker in this process."""

    room = 1000
    owes_since = None
    waiting = 0

    def __init__(self, *, able=True):
        self.arrived = asyncio.Event()
        self.on_report = lambda report: None
        self.advertised = {}
        self.refreshed = []
        self.refuses = set()
        self.messages = []
        self._able = able

    async def start(self):
        pass

    async def stop(self):
        pass

    async def events(self):
        await self.arrived.wait()
        return self.events_at_once() or []

    def events_at_once(self):
        messages, self.messages = self.messages, []
        return messages or None

    def form(self, peer):
        return "octets"

    def ask(self):
        self.on_report(CanAdvertise() if self._able else CannotAdvertise("a toy only listens"))

    def refresh(self, peer):
        self.refreshed.append(peer)

    def advertise(self, commands):
        for command in commands:
            route = command.route
            if route in self.refuses:
                self.on_report(Refused(route, "not this one", repr(command)))
                continue
            if isinstance(command, Withdrawal):
                self.advertised.pop(route, None)
            else:
                self.advertised[route] = command
            self.on_report(Done(route))

    def says(self, *events):
        self.messages += [Received((event,), peer=PEER) for event in events]
        self.arrived.set()


class Rig:
    def __init__(self, path, feed):
        self.now = 100.0
        self.feed: Feed = feed
        config = parse(CONFIG)
        self.leaf = Leaf(config, self.now)
        self.advertising = Advertising(config, self.leaf, feed, lambda: self.now)
        self.advertising.open(StateDirectory(path, lambda: self.now))
        observer = Observer(config, self.leaf, lambda: self.now)
        self.task = FeedTask(feed, self.leaf, observer, self.advertising, lambda: self.now)
        self.task._is_ready = lambda vni: True

    def turn(self):
        """Make rounds until nothing is left to do."""

        async def rounds():
            running = asyncio.create_task(self.task.run())
            self.task.nudge()
            for _ in range(60):
                await asyncio.sleep(0)
            running.cancel()

        asyncio.run(rounds())


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path, ToyFeed())
    made.feed.messages.append(Attached("toy/1", "a toy", complete=True))
    made.feed.says(SessionOpened(PEER), *received(MAC), EndOfRib(PEER))
    return made


def received(mac):
    wire = Instance(str(PEER)).mac(str(mac))
    key, route = unpack_nlri(wire.nlri, PEER, decode(PEER, (0x0002FDE800000064, 0x030C000000000008), None, False))
    return [Announced(PEER, {key: route})]


def test_routes_of_another_speaker_become_rows(rig):
    rig.turn()

    assert rig.leaf.intent.complete
    assert rig.leaf.intent.macs[VNI, MAC].peer == PEER


def test_stations_are_advertised_to_another_speaker_and_withdrawn(rig):
    rig.leaf.learn_stations([Station(VNI, OTHER, "port")])
    rig.turn()
    rig.turn()
    advertised = {type(route).__name__: command for route, command in rig.feed.advertised.items()}
    status = rig.advertising.status()
    rig.advertising._advertiser.end()
    rig.advertising.send(rig.now)

    assert advertised["MacRoute"].route.mac == OTHER
    assert advertised["MulticastRoute"].next_hop == Ip.parse("10.0.0.99")
    assert (status.state, status.told, status.waiting) == ("able", 2, 0)
    assert rig.feed.advertised == {}


def test_a_speaker_that_cannot_advertise_is_a_feed_all_the_same(tmp_path):
    rig = Rig(tmp_path, ToyFeed(able=False))
    rig.feed.messages.append(Attached("toy/1", "a toy", complete=True))
    rig.feed.says(SessionOpened(PEER), *received(MAC), EndOfRib(PEER))
    rig.turn()

    status = rig.advertising.status()
    assert (status.state, status.why) == ("unable", "a toy only listens")
    assert rig.leaf.intent.macs[VNI, MAC].peer == PEER


def test_what_another_speaker_refuses_is_shown(rig):
    rig.leaf.learn_stations([Station(VNI, OTHER, "port")])
    rig.turn()
    rig.feed.refuses = set(rig.feed.advertised)
    rig.advertising.advertise_again()
    rig.turn()

    status = rig.advertising.status()
    assert (status.refused, status.error) == (2, "not this one")
