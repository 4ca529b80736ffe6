"""What this leaf reaches by itself is read in a thread, and compared with what it advertises in parts."""

import asyncio
import threading
from time import perf_counter

import pytest

from tests.contract.routed import CONFIG, TABLE, MemoryHands, RoutedLeaf
from vtep.addr import Mac, Prefix, Vni
from vtep.app import own_prefixes
from vtep.app.own_prefixes import OwnPrefixes
from vtep.config import file as configuration
from vtep.errors import KernelError
from vtep.linux.vrf import Routed
from vtep.linux.wire.route import RouteEntry
from vtep.local.exports import PREFIXES_AT_ONCE, Exports, LocalRouter

VNI, MAC = Vni(4001), Mac.parse("02:00:00:00:ff:01")
CONNECTED = 2
VRFS = {vrf.vni: vrf for vrf in configuration.parse(CONFIG + 'redistribute = ["connected"]\n').vrfs}


def prefixes(count: int) -> frozenset[Prefix]:
    return frozenset(Prefix(b"\x0a" + number.to_bytes(3) + b"\x20") for number in range(count))


class Tables:
    """The kernel's routes. A reading waits for `may_end`; the first `torn` readings fail."""

    def __init__(self, torn: int = 0) -> None:
        self.found = {1: prefixes(1)}
        """What is found from each reading on."""
        self.torn = torn
        self.readings = 0
        self.may_end = threading.Event()
        self.may_end.set()

    def routes_of(self, table: int, protocol: int) -> list[RouteEntry]:
        assert (table, protocol, threading.current_thread() is threading.main_thread()) == (TABLE, CONNECTED, False)
        self.readings += 1
        assert self.may_end.wait(10)
        if self.torn:
            self.torn -= 1
            raise KernelError("routes", 4, "the dump was torn")
        found = self.found[max(first for first in self.found if first <= self.readings)]
        return [RouteEntry(table, prefix, protocol, 0) for prefix in found]


class Rig:
    def __init__(self, tables: Tables) -> None:
        leaf = RoutedLeaf(MemoryHands())
        leaf.pass_(survey=True)
        self.vrfs, self.now, self.news = leaf.target.vrfs, 0.0, asyncio.Event()
        self.own = OwnPrefixes(tables, lambda: self.now)
        self.own.nudge = self.news.set
        self.configured = VRFS

    def latest(self, vrfs: Routed | None = None):
        return self.own.latest(self.vrfs if vrfs is None else vrfs, self.configured)

    async def read(self):
        self.latest()
        while self.own._reading is not None:
            await asyncio.wait_for(self.news.wait(), 10)
            self.news.clear()
        return self.latest()


def test_a_table_is_read_beside_the_loop_and_once_for_many_changes():
    async def run() -> None:
        tables = Tables()
        tables.found[2] = prefixes(2)
        rig = Rig(tables)
        tables.may_end.clear()
        assert rig.latest() == {}
        for _ in range(10):
            rig.own.suspect()
            assert rig.latest() == {}
        assert tables.readings <= 1
        rig.news.clear()
        tables.may_end.set()
        found = await rig.read()
        assert found[VNI].prefixes == prefixes(1)
        assert (await rig.read())[VNI].prefixes == prefixes(2)  # one more reading for the ten changes
        assert rig.latest() is rig.latest()
        assert tables.readings == 2

    asyncio.run(run())


def test_a_table_that_has_the_same_again_is_no_news():
    async def run() -> None:
        rig = Rig(Tables())
        found = await rig.read()
        rig.own.suspect()
        assert await rig.read() is found

    asyncio.run(run())


@pytest.mark.parametrize(
    ("only", "advertised"),
    [
        ([], ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "2001:db8::/32", "2001:db8:1::/48"]),
        (["10.0.0.0/8"], ["10.0.0.0/8"]),
        (["10.0.0.0/8 le 16"], ["10.0.0.0/8", "10.1.0.0/16"]),
        (["10.0.0.0/8 ge 24"], ["10.1.2.0/24", "10.1.2.3/32"]),
        (["10.1.0.0/16 ge 17 le 31", "2001:db8::/32 le 128"], ["10.1.2.0/24", "2001:db8::/32", "2001:db8:1::/48"]),
        (["192.0.2.0/24"], []),
        (["0.0.0.0/0 le 32"], ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32"]),
    ],
)
def test_of_a_table_only_the_prefixes_of_the_list_are_advertised(only, advertised):
    async def run() -> None:
        tables = Tables()
        every = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "2001:db8::/32", "2001:db8:1::/48")
        tables.found[1] = frozenset(map(Prefix.parse, every))
        rig = Rig(tables)
        text = f'{CONFIG}redistribute = ["connected"]\nredistribute_only = {only}\n'
        rig.configured = {vrf.vni: vrf for vrf in configuration.parse(text).vrfs}
        found = (await rig.read()).get(VNI)
        assert set(map(str, () if found is None else found.prefixes)) == set(advertised)

    asyncio.run(run())


def test_a_table_that_cannot_be_read_leaves_what_is_advertised_as_it_was_and_is_read_again():
    async def run() -> None:
        tables = Tables(torn=1)
        rig = Rig(tables)
        assert await rig.read() == {}
        rig.now += own_prefixes.RETRY_S
        assert (await rig.read())[VNI].prefixes == prefixes(1)

    asyncio.run(run())


def test_a_vrf_that_is_no_longer_ready_is_left_out_at_once():
    async def run() -> None:
        rig = Rig(Tables())
        assert VNI in await rig.read()
        assert rig.latest(Routed()) == {}

    asyncio.run(run())


def test_prefixes_are_compared_in_short_parts_which_together_are_all_that_changed():
    exports = Exports(configuration.parse(CONFIG + 'rd = "1:1"\nexport_rt = ["1:1"]\n'))
    many = prefixes(5_000)
    exports.learn_routers({VNI: LocalRouter(MAC, many)})
    longest, made = 0.0, {}
    began = perf_counter()
    for part in exports.prefix_changes():
        longest, began = max(longest, perf_counter() - began), perf_counter()
        assert len(part) <= PREFIXES_AT_ONCE
        made |= part
    assert {route.prefix for route in made} == many
    assert exports.prefixes() == made
    print(f"the longest part took {longest * 1000:.1f} ms")
    fewer = prefixes(5_001) - prefixes(3)
    exports.learn_routers({VNI: LocalRouter(MAC, fewer)})
    changes = {route.prefix: one for part in exports.prefix_changes() for route, one in part.items()}
    assert {prefix for prefix, one in changes.items() if one is None} == prefixes(3)
    assert {prefix for prefix, one in changes.items() if one is not None} == fewer - many
    exports.learn_routers({})
    assert exports.prefixes() == {}


def test_a_comparison_that_was_broken_off_goes_on_with_what_is_left():
    exports = Exports(configuration.parse(CONFIG + 'rd = "1:1"\nexport_rt = ["1:1"]\n'))
    exports.learn_routers({VNI: LocalRouter(MAC, prefixes(3 * PREFIXES_AT_ONCE))})
    first = next(exports.prefix_changes())
    left = {route for part in exports.prefix_changes() for route in part}
    assert len(first) == PREFIXES_AT_ONCE
    assert len(left) == 2 * PREFIXES_AT_ONCE
    assert not left & first.keys()


def test_the_prefix_of_a_service_is_reached_while_the_service_is_ready():
    async def run() -> None:
        rig, services = Rig(Tables()), {}
        rig.own.services = lambda: services
        assert (await rig.read())[VNI].prefixes == prefixes(1)
        services = {VNI: prefixes(3), Vni(7): prefixes(9)}
        ready = rig.latest()
        assert ready[VNI].prefixes == prefixes(3)
        assert rig.latest() is ready
        services = {}
        assert rig.latest()[VNI].prefixes == prefixes(1)

    asyncio.run(run())
