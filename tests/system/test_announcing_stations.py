"""Stations are announced through real ExaBGP: many at once, over the deaths of either side, and against a rival.

What a bridge would have learnt is given to the listener, so that everything between it and the peer's ears is the product's own.
"""

import asyncio
import contextlib
import re
import threading
import time
from pathlib import Path

import pytest

from tests.lab.fixtures import lab, network
from tests.lab.peers import EXABGP, EXABGP_4_2, ExaBgp
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, VNI, address
from tests.lab.vtep import FEED, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.app.advertising import Advertising
from vtep.app.state import StateDirectory
from vtep.config.file import parse
from vtep.evpn.advertise import MacRoute, MulticastRoute, Route, mobility
from vtep.evpn.event import Attached, Detached, Message
from vtep.evpn.station import Station
from vtep.feed.exabgp.feed import ExabgpFeed
from vtep.intent import Intent
from vtep.projection.leaf import Leaf

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

VTEP = Ip.parse(address(LEAF))
RD = RouteDistinguisher.parse(f"{address(LEAF)}:{VNI}")
FLOODS = MulticastRoute(RD, VTEP)
CONFIG = parse(leaf_config(more=f'[bgp]\nasn = 65000\nrouter_id = "{address(LEAF)}"'))


class Rig:
    """What a daemon is between its feed and its kernel, in a thread, with stations that the test has heard."""

    def __init__(self, feed: Path, ledger: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._feed = ExabgpFeed(feed)
        self.leaf = Leaf(CONFIG, time.monotonic())
        self.announcing = Advertising(CONFIG, self.leaf, self._feed, time.monotonic)
        self.announcing.open(StateDirectory(ledger.parent, time.monotonic))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._do(self._feed.start())
        self._turning = asyncio.run_coroutine_threadsafe(self._turn(), self._loop)

    def hear(self, *stations: Station) -> None:
        self._do(self._hear(stations))

    def forget(self, *macs: Mac) -> None:
        self._do(self._hear((), [(Vni(VNI), mac) for mac in macs]))

    @property
    def intent(self) -> Intent:
        return self.leaf.intent

    def end(self) -> None:
        """Be gone without a word, as a daemon that is killed."""
        if not self._thread.is_alive():
            return
        self._turning.cancel()
        self._do(self._feed.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.announcing.close()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _hear(self, heard, gone=()) -> None:
        self.leaf.learn_stations(heard, gone)
        self._judge()

    async def _turn(self) -> None:
        while True:
            messages = await self._next_messages()
            now = time.monotonic()
            self.leaf.tick(now)
            self.leaf.receive(messages, now)
            for message in messages:
                match message:
                    case Attached():
                        self.leaf.rib.lose_lines()
                        self.announcing.attached(message)
                    case Detached():
                        self.announcing.detached()
            self._judge()

    async def _next_messages(self) -> list[Message]:
        """Return messages, or none when something is due: routes may be complete because time went by."""
        due = min((one for one in (self.leaf.due, self.announcing.due) if one is not None), default=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                return await self._feed.events()
        return []

    def _judge(self) -> None:
        now = time.monotonic()
        self.announcing.permit(lambda _: True)
        before = self.intent
        intent = self.leaf.judge(now)
        self.announcing.follow(before, intent, seen=True)
        for peer in self.leaf.refreshes(now):
            self.announcing.refresh(peer)
        self.announcing.send(now)


@pytest.fixture
def lives(network, tmp_path):
    """Begin a life of the leaf; each later one has the ledger of the one before."""
    begun = []

    def begin() -> Rig:
        begun.append(Rig(network.leaf.path(FEED), tmp_path / "announced"))
        return begun[-1]

    yield begin
    for rig in begun:
        rig.end()


@pytest.fixture
def speaker(network):
    with Speaker(network.remote, address(1), routes_per_update=1) as speaker:
        yield speaker


@pytest.fixture(params=[EXABGP, EXABGP_4_2], ids=["5.0", "4.2"])
def exabgp(network, request) -> ExaBgp:
    return exabgp_with_relay(network.leaf, [address(1)], executable=request.param, announces=True)


def mac(number: int) -> Mac:
    return Mac(bytes((2, 0, 0, 1)) + number.to_bytes(2))


def station(number: int, *hosts: str) -> Station:
    return Station(Vni(VNI), mac(number), "port", hosts=frozenset(map(Ip.parse, hosts)))


def route(number: int, host: str | None = None) -> MacRoute:
    return MacRoute(RD, mac(number), None if host is None else Ip.parse(host))


def told(speaker: Speaker, *routes: Route) -> None:
    """Wait until the newest session has been told exactly these."""
    keys = {route.key for route in routes}
    wait_until(lambda: set(speaker.heard(speaker.established()[-1])) == keys, 20, f"{len(keys)} routes and no other")


def test_stations_and_their_addresses_come_and_go(lives, speaker, exabgp):
    rig = lives()
    exabgp.start()

    rig.hear(station(1), station(2, "172.16.0.2", "2001:db8::2"))
    told(speaker, FLOODS, route(1), route(2), route(2, "172.16.0.2"), route(2, "2001:db8::2"))
    rig.hear(station(2, "172.16.0.2"))
    rig.forget(mac(1))

    told(speaker, FLOODS, route(2), route(2, "172.16.0.2"))


def test_a_station_that_comes_from_a_remote_is_announced_over_it_and_withdrawn_when_it_goes_back(
    lives, speaker, exabgp
):
    remote = Instance(address(1))
    rig = lives()
    exabgp.start()
    speaker.announce(remote.mac(str(mac(1)), seq=4))
    wait_until(lambda: (Vni(VNI), mac(1)) in rig.intent.macs, 20, "the remote row")

    rig.hear(station(1))
    told(speaker, FLOODS, route(1))
    heard = speaker.heard(speaker.established()[-1])[route(1).key]
    speaker.announce(remote.mac(str(mac(1)), seq=6))
    told(speaker, FLOODS)

    assert mobility(5) in heard.attributes[16]


def test_an_exabgp_that_is_started_anew_is_told_all_stations(lives, speaker, exabgp):
    rig = lives()
    exabgp.start()
    rig.hear(*map(station, range(100)))
    told(speaker, FLOODS, *map(route, range(100)))
    first = speaker.established()[-1]

    exabgp.process.kill()
    wait_until(lambda: not first.established, 10, "the end of the session")
    rig.forget(mac(7))
    exabgp.start()

    wait_until(speaker.established, 20, "a new session")
    told(speaker, FLOODS, *(route(number) for number in range(100) if number != 7))


def test_a_daemon_that_was_killed_withdraws_what_left_meanwhile_and_says_nothing_else(lives, speaker, exabgp):
    rig = lives()
    process = exabgp.start()
    rig.hear(*map(station, range(20)))
    told(speaker, FLOODS, *map(route, range(20)))
    wait_until(lambda: rig.announcing.status().told == 21, 10, "all answers")
    rig.end()
    command = r"(?:announce|withdraw) evpn \S+ rd \S+ \S+ \S+"
    before = len(re.findall(command, process.log()))

    again = lives()
    again.hear(*map(station, range(19)))

    told(speaker, FLOODS, *map(route, range(19)))
    assert re.findall(command, process.log())[before:] == [f"withdraw evpn mac-advertisement rd {RD} mac {mac(19)}"]


MANY = 10_000


@pytest.mark.slow
def test_ten_thousand_stations_are_announced_while_as_many_routes_are_received(network, lives, speaker):
    """Both ways at once: neither waits for the other's end."""
    remote = Instance(address(1))
    theirs = [remote.mac(f"02:00:00:02:{number >> 8:02x}:{number & 255:02x}") for number in range(MANY)]
    rig = lives()
    exabgp_with_relay(network.leaf, [address(1)], announces=True).start()
    session = speaker.wait_established(deadline_s=20)
    wait_until(lambda: rig.intent.complete and rig.announcing.status().state == "able", 20, "both ways open")

    speaker.announce(*theirs)
    rig.hear(*map(station, range(MANY)))
    wait_until(lambda: rig.announcing.status().told > MANY // 2, 100, "half of the announcements")
    received = len(rig.intent.macs)
    wait_until(lambda: rig.announcing.status().told == MANY + 1, 100, "all announcements")
    wait_until(lambda: len(rig.intent.macs) == MANY, 100, "all routes")
    told(speaker, FLOODS, *map(route, range(MANY)))

    print(f"{received / MANY:.0%} of the routes were received when half of the announcements were done")
    assert received > MANY // 10
    assert rig.announcing.status().refused == 0
    assert session.established
