"""Which stations are learned on a bridge, when they go, and what is never one; in memory and on a real bridge."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.contract.test_rows import (
    BOTH,
    CREATE,
    EXT,
    NOARP,
    OURS,
    PERMANENT,
    REACHABLE,
    REPLACE,
    VTEP_A,
    M,
    N,
    add,
    pin,
)
from tests.contract.worlds import DEVICES, LOCAL, SENTINEL, SVI, World
from vtep.addr import Ip, Mac, Vni
from vtep.config.model import Targets, VniConfig
from vtep.evpn.station import Station
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_MASTER, NTF_STICKY, RTPROT_VTEP, Neighbor, Verb
from vtep.linux.wire.tlv import AF_INET
from vtep.local.stations import News
from vtep.local.watcher import AT_ONCE, AUDIT_S, SURVEY_EVERY, LocalStationWatcher

EVERY_WAY = True
VNI = Vni(100)
IP1, IP2 = Ip.parse("172.16.0.1"), Ip.parse("172.16.0.2")
STALE, DELAY, PROBE, FAILED = 0x04, 0x08, 0x10, 0x20
NAMES = {M: "m", N: "n"}


def config(**more) -> VniConfig:
    return VniConfig(VNI, LOCAL, Targets(frozenset()), bridge="br0", vxlan="vx0", **more)


class Leaf:
    """A watcher on a world, and what it reported since it was last asked."""

    def __init__(self, world: World, *vnis: VniConfig) -> None:
        self.world = world
        self.now = 1000.0
        self.news: list[News] = []
        self.watcher = LocalStationWatcher(
            [world.attach(vni) for vni in vnis or (config(),)],
            world.watching_kernel,
            self.news.append,
            lambda: self.now,
        )

    def reported(self) -> list[str]:
        """Return one line for each report, as `learned m h0 static 172.16.0.1`."""
        asyncio.run(self.watcher.settle())
        news, self.news[:] = list(self.news), []
        lines = [
            *(f"gone {name(key[1])}" for one in news for key in one.gone),
            *(f"changed {station(said)}" for one in news for said in one.changed),
            *(f"learned {station(said)}" for one in news for said in one.learned),
        ]
        return sorted(line for line in lines if str(SENTINEL) not in line)

    def after(self, *steps) -> list[str]:
        for step in steps:
            assert not step(self.world)
        return self.reported()


def name(mac: Mac) -> str:
    return NAMES.get(mac) or DEVICES.get(str(mac)) or str(mac)


def station(said: Station) -> str:
    words = (
        said.port.replace(SVI, "br0"),
        *(["static"] if said.static else []),
        *(["gateway"] if said.gateway else []),
    )
    return " ".join((name(said.mac), *words, *sorted(map(str, said.hosts))))


@pytest.fixture
def world(any_world) -> Iterator[World]:
    with any_world() as world:
        yield world


@pytest.fixture
def leaf(world: World) -> Iterator[Leaf]:
    with listening(world) as leaf:
        yield leaf


@contextmanager
def listening(world: World, *vnis: VniConfig) -> Iterator[Leaf]:
    leaf = Leaf(world, *vnis)
    assert leaf.reported() == []
    yield leaf
    leaf.watcher.close()


def sends(mac: Mac = M, port: str = "h0"):
    return lambda world: world.station_sends(mac, port)


def entry(port: str = "h0", mac: Mac = M, state: int = NOARP, flags: int = NTF_MASTER, verb: Verb = REPLACE):
    """An operator's row, as by `bridge fdb replace`."""
    return lambda world: world.kernel.send([Neighbor(verb, world.index(port), mac, flags, state)])


def expires(mac: Mac = M, port: str = "h0"):
    return entry(port, mac, verb=Verb.DELETE)


def host(ip: Ip = IP1, mac: Mac = M, state: int = REACHABLE, device: str = "br0", verb: Verb = REPLACE, **more):
    """A neighbor row, as ARP or an operator makes it."""
    fields = {"flags": 0} | more
    return lambda world: world.kernel.send(
        [Neighbor(verb, world.index(device), mac, state=state, family=AF_INET, ip=ip, **fields)]
    )


HEARD = {
    "a station that sends a frame": ([sends()], ["learned m h0"]),
    "an operator's static entry": ([entry()], ["learned m h0 static"]),
    "an operator's dynamic entry": ([entry(state=REACHABLE)], ["learned m h0"]),
    "an operator's sticky entry": ([entry(flags=NTF_MASTER | NTF_STICKY, state=REACHABLE)], ["learned m h0 static"]),
    "two stations": ([sends(), sends(N, "h1")], ["learned m h0", "learned n h1"]),
    "a station with its address": ([host(), sends()], ["learned m h0 172.16.0.1"]),
    "a station that moved at once": ([sends(), sends(port="h1")], ["learned m h1"]),
    "nothing of a station that came and went": ([sends(), expires()], []),
    "nothing of a remote MAC": ([add()], []),
    "a remote MAC that an operator pins at a port": ([add(), pin()], ["learned m h0 static"]),
    "nothing of a row of another daemon's": ([entry(flags=NTF_MASTER | NTF_EXT_LEARNED)], []),
    "nothing of a port's own MAC": ([entry(state=PERMANENT)], []),
    "nothing of a row on the VXLAN port": ([entry("vx0")], []),
    "nothing of an address alone": ([host()], []),
}  # fmt: skip


@pytest.mark.parametrize("what", HEARD)
def test_learned_is(what: str, leaf: Leaf) -> None:
    steps, expected = HEARD[what]

    assert expected == leaf.after(*steps)


@pytest.mark.parametrize("what", HEARD)
def test_found_at_the_start_is_what_would_have_been_learned(what: str, world: World) -> None:
    steps, expected = HEARD[what]
    for step in steps:
        assert not step(world)
    leaf = Leaf(world)

    reported = leaf.reported()
    leaf.watcher.close()

    assert [line for line in expected if not line.startswith("gone")] == reported


THEN = {
    "speaks where it is": ([sends()], []),
    "moves to another port": ([sends(port="h1")], ["learned m h1"]),
    "falls silent": ([expires()], ["gone m"]),
    "is made static": ([entry()], ["learned m h0 static"]),
    "sends again where our row took its place": ([add(verb=REPLACE), sends()], ["learned m h0"]),
    "has an address": ([host()], ["changed m h0 172.16.0.1"]),
    "has two addresses": ([host(), host(IP2)], ["changed m h0 172.16.0.1 172.16.0.2"]),
    "loses its port": ([lambda world: world.set_master("h0", None)], ["gone m"]),
    "loses its port's carrier": ([lambda world: world.set_up("h0", False)], ["gone m"]),
    "loses its bridge": ([lambda world: world.delete_link("br0")], ["gone m"]),
    "keeps its place where the VXLAN device goes": ([lambda world: world.delete_link("vx0")], []),
    "keeps its place where the VXLAN device is down": ([lambda world: world.set_up("vx0", False)], []),
}


@pytest.mark.parametrize("what", THEN)
def test_a_station_that(what: str, leaf: Leaf) -> None:
    steps, expected = THEN[what]
    leaf.after(sends())

    assert expected == leaf.after(*steps)


HOSTS = {
    "stale": ([host(state=STALE)], ["changed m h0 172.16.0.1"]),
    "being asked again": ([host(state=DELAY)], ["changed m h0 172.16.0.1"]),
    "an operator's": ([host(state=PERMANENT)], ["changed m h0 172.16.0.1"]),
    "without an answer": ([host(state=FAILED)], []),
    "not to be asked for": ([host(state=NOARP)], []),
    "ours": ([host(state=NOARP, flags=NTF_EXT_LEARNED, protocol=RTPROT_VTEP)], []),
    "another daemon's": ([host(state=REACHABLE, flags=NTF_EXT_LEARNED, protocol=186)], []),
    "once ours": ([host(state=NOARP, flags=NTF_EXT_LEARNED, protocol=RTPROT_VTEP), host(state=PERMANENT)], []),
    "on the other side of the wire": ([host(device="h1")], []),
    "gone again": ([host(), host(verb=Verb.DELETE)], []),
    "another station's": ([host(mac=N)], []),
    "another station's in the end": ([host(), host(mac=N)], []),
}


@pytest.mark.parametrize("what", HOSTS)
def test_an_address_that_is(what: str, leaf: Leaf) -> None:
    steps, expected = HOSTS[what]
    leaf.after(sends())

    assert expected == leaf.after(*steps)


def test_an_address_that_goes_to_another_station_changes_both(leaf: Leaf) -> None:
    leaf.after(sends(), sends(N, "h1"), host())

    assert leaf.after(host(mac=N)) == ["changed m h0", "changed n h1 172.16.0.1"]


def test_an_address_that_goes_is_taken_from_its_station(leaf: Leaf) -> None:
    leaf.after(sends(), host(), host(IP2))

    assert leaf.after(host(verb=Verb.DELETE)) == ["changed m h0 172.16.0.2"]


def test_a_bridge_that_goes_down_takes_the_addresses_along(leaf: Leaf) -> None:
    leaf.after(sends(), entry(mac=N), host(mac=N))

    assert "changed n h0 static" in leaf.after(lambda world: world.set_up("br0", False))


def test_after_lost_events_everything_is_read_and_each_station_that_is_there_counts_as_learned_again(
    memory_world,
) -> None:
    """A station that sent a frame meanwhile looks like one that did not."""
    with memory_world() as world, listening(world) as leaf:
        leaf.after(sends(), sends(N))

        reported = leaf.after(
            sends(N, "h1"), lambda world: world.memory.station_expires(M, "br0"), lambda world: world.memory.overflow()
        )

        assert reported == ["gone m", "learned n h1"]
        assert leaf.after(lambda world: world.memory.overflow()) == ["learned n h1"]
        assert leaf.reported() == []
        assert leaf.watcher.overruns == 2


def test_lost_events_are_noticed_on_a_real_bridge(real_world) -> None:
    with real_world(event_buffer=4096) as world, listening(world) as leaf:
        world.kernel.send(many(world))

        assert len(leaf.reported()) == 1000
        assert leaf.watcher.overruns


def many(world: World, count: int = 1000, verb: Verb = CREATE, **fields) -> list[Neighbor]:
    values = {"port": world.index("h0"), "flags": NTF_MASTER, "state": REACHABLE} | fields
    return [Neighbor(verb, mac=Mac(b"\2\0\0\1" + place.to_bytes(2)), **values) for place in range(count)]


def test_our_own_writes_are_not_learned(real_world) -> None:
    """With room for a few events, a thousand of our own do not cost one."""
    with real_world(event_buffer=16384) as world, listening(world) as leaf:
        tunnel = world.index("vx0")
        world.kernel.send(many(world, port=tunnel, flags=BOTH | EXT, state=OURS, dst=VTEP_A))
        world.kernel.send(many(world, verb=Verb.DELETE, port=tunnel, flags=BOTH))

        assert leaf.after(sends()) == ["learned m h0"]
        assert not leaf.watcher.overruns


def test_an_audit_finds_what_no_event_reported(leaf: Leaf) -> None:
    leaf.after(sends(), sends(N))
    assert leaf.after(add(verb=REPLACE)) == []

    leaf.now += AUDIT_S

    assert leaf.reported() == ["gone m"]


def test_a_row_that_a_dump_missed_is_found_by_a_later_one(memory_world) -> None:
    with memory_world() as world, listening(world) as leaf:
        world.memory.hints_lost = True
        leaf.after(sends())
        reported = []
        for _ in range(SURVEY_EVERY):
            leaf.now += AUDIT_S
            reported += leaf.reported()

        assert reported == ["learned m h0"]


def test_a_station_that_is_asked_about_is_reported_as_learned_or_gone(leaf: Leaf) -> None:
    leaf.after(sends())

    leaf.watcher.look_again([(VNI, M), (VNI, N), (Vni(7), M)])

    assert leaf.reported() == ["gone m", "gone n", "learned m h0"]


def test_the_gateway_is_the_bridge_by_its_own_addresses(any_world) -> None:
    with any_world() as world:
        world.add_address("br0", IP1)
        with listening_gateway(world) as (leaf, first):
            assert first == ["learned br0 br0 gateway 172.16.0.1"]
            more = leaf.after(lambda world: world.add_address("br0", IP2))
            assert more == ["learned br0 br0 gateway 172.16.0.1 172.16.0.2"]
            leaf.watcher.reconfigure([config()])
            assert leaf.reported() == ["gone br0"]


@contextmanager
def listening_gateway(world: World):
    leaf = Leaf(world, config(gateway=True))
    yield leaf, leaf.reported()
    leaf.watcher.close()


def test_a_bridge_without_an_address_is_no_gateway(world: World) -> None:
    with listening(world, config(gateway=True)):
        pass


def test_who_does_not_announce_does_not_listen(world: World) -> None:
    opened = []
    world.station_sends(M, "h0")
    learner = LocalStationWatcher(
        [config(announce=False)], lambda: opened.append(1) or world.watching_kernel(), print, lambda: 0.0
    )

    asyncio.run(learner.settle())
    assert not opened

    learner.reconfigure([config()])
    asyncio.run(learner.settle())
    learner.close()
    assert opened == [1]


def test_a_vni_that_is_announced_no_more_has_no_stations(leaf: Leaf) -> None:
    leaf.after(sends(), host())

    leaf.watcher.reconfigure([config(announce=False)])

    assert leaf.reported() == ["gone m"]
    assert leaf.after(sends(N)) == []


def test_a_port_that_joins_brings_its_stations(leaf: Leaf) -> None:
    leaf.after(lambda world: world.set_master("h1", None))

    assert leaf.after(lambda world: world.set_master("h1", "br0"), sends(N, "h1")) == ["learned n h1"]


def test_ten_thousand_stations_are_reported_in_small_portions_whether_they_come_or_go(world: World) -> None:
    world.kernel.send(many(world, 10_000))
    come: list[int] = []
    go: list[int] = []

    def tell(news: News) -> None:
        come.append(len(news.learned))
        go.append(len(news.gone))

    learner = LocalStationWatcher([world.attach(config())], world.watching_kernel, tell, lambda: 0.0)
    asyncio.run(learner.settle())
    world.kernel.send(many(world, 5_000, verb=Verb.DELETE))
    asyncio.run(learner.settle())
    learner.close()

    assert (sum(come), sum(go), learner.overruns) == (10_000, 5_000, 0)
    assert max(come + go) <= AT_ONCE
