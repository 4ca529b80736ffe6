"""Which events come: of other programs, stations and devices, and not of our own writes; and what says that some were lost."""

import errno
import select

import pytest

from tests.contract.test_rows import (
    BOTH,
    CREATE,
    EXT,
    OURS,
    REPLACE,
    VTEP_A,
    M,
    N,
    add,
    delete,
    operator,
    operator_tunnel,
    pin,
)
from vtep.addr import Ip, Mac
from vtep.linux.memory.kernel import Crashed
from vtep.linux.socket import Inbox
from vtep.linux.wire import announced
from vtep.linux.wire.neighbor import NTF_MASTER, NUD_NOARP, RTPROT_VTEP, Half, Lookup, Neighbor
from vtep.linux.wire.tlv import AF_INET, AF_INET6

EVERY_WAY = True

MANY = [Mac(b"\2\0\0\1" + place.to_bytes(2)) for place in range(1000)]


@pytest.fixture
def world(any_world):
    with any_world() as world:
        world.kernel.drain()
        yield world


def many(world, port: str = "vx0", flags: int = BOTH | EXT) -> list[Neighbor]:
    return [Neighbor(CREATE, world.index(port), mac, flags, OURS, VTEP_A) for mac in MANY]


def test_a_thousand_adds_of_ours_give_no_hint(world) -> None:
    world.settle()
    world.kernel.send(many(world))

    hints = world.kernel.drain()

    assert (frozenset(), False, False) == (hints.keys, hints.links_changed, hints.overrun)


SEEN = {
    "a station roams onto an access port": ([add(), lambda w: w.station_sends(M, "h0")], {("h0", M)}),
    "a station speaks first": ([lambda w: w.station_sends(N, "h0")], {("h0", N)}),
    "an operator's static MAC": ([operator()], {("h0", M)}),
    "an operator pins a remote MAC at a port": ([add(), pin()], {("h0", M)}),
    "an operator's tunnel": ([operator_tunnel()], {("vx0", M)}),
    "an operator changes our VXLAN row": ([add(), operator_tunnel(verb=REPLACE)], {("vx0", M)}),
    "a delete of our rows": ([add(), delete()], {("vx0", M)}),
    "a move of ours is our own affair": ([add(), add(dst=VTEP_A, vni=200)], set()),
    "the same again": ([operator(), operator()], {("h0", M)}),
}


@pytest.mark.parametrize("name", SEEN)
def test_hinted_is(name: str, world) -> None:
    steps, expected = SEEN[name]
    for step in steps:
        step(world)

    keys = {key[:2] for key in world.kernel.drain().keys if key.mac in (M, N)}

    assert {(world.index(port), mac) for port, mac in expected} == keys


def test_a_hint_is_given_once(world) -> None:
    operator()(world)

    assert world.kernel.drain().keys
    assert not world.kernel.drain().keys


LINK_CHANGES = {
    "a device goes down": lambda world: world.set_up("vx0", False),
    "a port leaves its bridge": lambda world: world.set_master("vx0", None),
    "a device is deleted": lambda world: world.delete_link("vx0"),
}


@pytest.mark.parametrize("name", LINK_CHANGES)
def test_links_changed_when(name: str, world) -> None:
    LINK_CHANGES[name](world)

    assert world.kernel.drain().links_changed


BOUNCES = {
    **LINK_CHANGES,
    "a bridge goes down and comes up again": lambda world: [world.set_up("br0", up) for up in (False, True)],
}


@pytest.mark.parametrize("name", BOUNCES)
def test_a_device_bounced_when(name: str, world) -> None:
    device = world.index("br0" if "bridge goes" in name else "vx0")
    BOUNCES[name](world)

    assert device in world.kernel.drain().bounced


def test_a_device_that_loses_an_address_bounced_because_its_ipv4_neighbors_go_with_the_last_one(world) -> None:
    own = [Ip.parse(text) for text in ("172.16.0.1", "172.16.1.1")]
    hosts = [Ip.parse(text) for text in ("172.16.0.7", "2001:db8::7")]
    device = world.index("br0")
    for ip in own:
        world.add_address("br0", ip)
    for ip in hosts:
        family = AF_INET6 if ip.is_v6 else AF_INET
        row = Neighbor(REPLACE, device, M, EXT, NUD_NOARP, family=family, ip=ip, protocol=RTPROT_VTEP)
        assert world.kernel.send([row]) == []
    world.kernel.drain()

    left, bounced = [], []
    for ip in own:
        world.delete_address("br0", ip)
        bounced.append(device in world.kernel.drain().bounced)
        left.append([entry.ip for entry in world.kernel.neighbors([device]) if entry.ip in hosts])

    assert (bounced, sorted(left[0]), left[1]) == ([True, True], sorted(hosts), hosts[1:])


def test_what_is_changed_of_a_port_moves_no_row_and_bounces_nothing(world) -> None:
    world.set_learning("vx0")

    hints = world.kernel.drain()

    assert (True, frozenset()) == (hints.links_changed, hints.bounced)


GONE = {
    "our row was deleted": ([add(), delete()], True),
    "a row was deleted that was new": ([operator(), delete(port="h0", flags=NTF_MASTER)], False),
    "a row is new": ([operator()], False),
}


@pytest.mark.parametrize("name", GONE)
def test_a_row_is_gone_when_nothing_but_that_was_announced(name: str, world) -> None:
    steps, gone = GONE[name]
    for step in steps:
        step(world)

    hints = world.kernel.drain()

    assert gone == any(key.mac == M for key in hints.gone)
    assert any(key.mac == M for key in hints.keys)


@pytest.mark.parametrize(("local", "vtep"), [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
def test_deletions_of_ours_are_read_by_their_layout(local: str, vtep: str, real_world) -> None:
    with real_world(local=Ip.parse(local)) as world:
        world.settle()
        for step in (add(dst=Ip.parse(vtep)), delete()):
            step(world)
        inbox = Inbox()

        sizes = inbox.receive("events", world.kernel._events.socket)
        news, gone, others = announced.read(inbox.octets, inbox.STRIDE, sizes)

        # Where the kernel keeps a copy of each bridge row for a default VLAN, it announces that of the copy as well.
        assert (set(), {(world.index("vx0"), M)}, []) == (news, {row[:2] for row in gone}, others)


def test_lost_events_are_said_once_and_later_ones_come(real_world) -> None:
    with real_world(event_buffer=4096) as world:
        world.kernel.send(many(world, flags=NTF_MASTER))

        assert world.kernel.drain().overrun

        operator()(world)
        hints = world.kernel.drain()
        assert (False, {(world.index("h0"), M)}) == (hints.overrun, {key[:2] for key in hints.keys})


def test_the_event_socket_is_readable_when_there_is_a_hint(real_world) -> None:
    with real_world() as world:
        fileno = world.kernel.events_fileno()
        assert not select.select([fileno], [], [], 0)[0]

        operator()(world)

        assert select.select([fileno], [], [], 5)[0]


def test_refusals_that_were_lost_are_unknown_outcomes(real_world) -> None:
    """All 100 rows exist already; the buffer holds a few of the 100 answers, and the acknowledgement is lost too."""
    with real_world(request_buffer=4096) as world:
        messages = many(world)[:100]
        world.kernel.send(messages)

        refusals = world.kernel.send(messages)

        assert list(range(100)) == [refusal.index for refusal in refusals]
        assert {errno.EEXIST, errno.ENOBUFS} == {refusal.errno for refusal in refusals}
        assert not any(refusal.bridge_done for refusal in refusals if refusal.errno == errno.ENOBUFS)


def test_reading_back_fits_itself_to_a_small_buffer(real_world) -> None:
    with real_world(request_buffer=4096) as world:
        messages = many(world)[:100]
        world.kernel.send(messages)

        found = world.kernel.get_many([Lookup(message.port, message.mac, Half.VXLAN) for message in messages])

        assert [message.mac for message in messages] == [row.mac for row in found]


def test_memory_can_lose_hints_overflow_and_crash(memory_world) -> None:
    with memory_world() as world:
        world.memory.drain()
        world.memory.hints_lost = True
        operator()(world)
        assert not world.memory.drain().keys

        world.memory.hints_lost = False
        operator(N)(world)
        world.memory.overflow()
        hints = world.memory.drain()
        assert (True, frozenset()) == (hints.overrun, hints.keys)

        world.memory.crash_after = 2
        with pytest.raises(Crashed):
            world.memory.send(many(world))
        assert world.memory.writes == 2
