"""The listener: routers connect over loopback, report, leave and come back; what else connects harms none of them."""

import asyncio
import contextlib

import pytest

from tests.lab import bmp
from tests.lab.wire import Instance, end_of_rib, updates, withdrawals
from vtep.addr import Ip
from vtep.config.file import parse
from vtep.errors import ConfigError, HostError
from vtep.evpn.event import Announced, Attached, Detached, EndOfRib, Received, SessionClosed, SessionOpened, Withdrawn
from vtep.feed.bmp import feed as module
from vtep.feed.bmp.feed import BmpFeed
from vtep.feed.contract import CannotAdvertise, Feed

UPDATES = list(updates([Instance("10.0.0.1").mac(f"02:00:00:00:00:{n:02x}") for n in range(20)], per_update=1))
WAIT_S = 10


opened = []


def with_feed(story):
    def run():
        async def body():
            feed: Feed = BmpFeed("127.0.0.1:0")
            await feed.start()
            try:
                async with asyncio.timeout(WAIT_S):
                    await story(feed)
            finally:
                await feed.stop()
                for writer in opened:
                    writer.close()
                    with contextlib.suppress(ConnectionError):
                        await writer.wait_closed()
                opened.clear()

        asyncio.run(body())

    return run


async def connect(feed, *octets):
    reader, writer = await asyncio.open_connection("127.0.0.1", feed.port)
    opened.append(writer)
    writer.write(b"".join(octets))
    return reader, writer


async def until(feed, kind):
    """Return all events and other messages up to those that came with the first of a kind."""
    found = []
    while not any(isinstance(one, kind) for one in found):
        for message in await feed.events():
            found += message.events if isinstance(message, Received) else [message]
    return found


@with_feed
async def withdraws_what_is_unknown(feed):
    gone = list(withdrawals([Instance("10.0.0.1").mac("02:00:00:00:00:77").nlri]))
    head = bmp.initiation() + bmp.peer_up("10.0.0.1")
    _, writer = await connect(feed, head, bmp.monitoring("10.0.0.1", *gone, *gone))
    before = await until(feed, Withdrawn)
    writer.write(bmp.monitoring("10.0.0.1", *UPDATES, end_of_rib()))
    after = await until(feed, EndOfRib)
    assert [type(one) for one in (*before[-1:], *after)] == [Withdrawn, Announced, EndOfRib]
    assert [one.peers for one in feed.routers] == [1]


def test_a_router_that_withdraws_what_it_never_announced_stays_connected():
    withdraws_what_is_unknown()


@with_feed
async def told(feed):
    _, first = await connect(
        feed, bmp.initiation("spine1"), bmp.peer_up("10.0.0.1"), bmp.monitoring("10.0.0.1", *UPDATES, end_of_rib())
    )
    found = await until(feed, EndOfRib)
    assert (found[0].name, found[0].complete, feed.waiting) == ("BMP from spine1", True, 0)
    assert [type(one) for one in found] == [Attached, SessionOpened, type(found[2]), Announced, EndOfRib]
    assert [(one.name, one.peers) for one in feed.routers] == [("spine1", 1)]
    first.close()
    assert [type(one) for one in await until(feed, Detached)] == [Detached]


def test_a_router_reports_and_leaves():
    told()


@with_feed
async def several(feed):
    both = bmp.peer_up("10.0.0.1") + bmp.monitoring("10.0.0.1", *UPDATES, end_of_rib())
    _, first = await connect(feed, bmp.initiation("spine1"), both)
    await until(feed, EndOfRib)
    reader, _ = await connect(
        feed, bmp.initiation("spine2"), both, bmp.peer_up("10.0.0.2"), bmp.monitoring("10.0.0.2", end_of_rib())
    )
    second = await until(feed, EndOfRib)
    first.close()
    closed = (await until(feed, SessionClosed))[-1]
    again = await reader.read()
    last = await until(feed, Detached)
    assert {event.peer for event in second} == {Ip.parse("10.0.0.2")}
    assert (closed.peer, closed.speaker_stops) == (Ip.parse("10.0.0.1"), True)
    assert again == b""  # the second one must connect again, because it has routes of that peer
    assert len(last) == 1
    await connect(feed, bmp.initiation("spine2"), both)
    assert (await until(feed, EndOfRib))[-1].peer == Ip.parse("10.0.0.1")


def test_a_second_router_of_a_peer_takes_over_when_the_first_leaves():
    several()


@with_feed
async def free(feed):
    both = bmp.peer_up("10.0.0.1") + bmp.monitoring("10.0.0.1", *UPDATES, end_of_rib())
    _, first = await connect(feed, bmp.initiation("spine1"), both)
    await until(feed, EndOfRib)
    reader, _ = await connect(feed, bmp.initiation("spine2"), both)
    first.write(bmp.peer_down("10.0.0.1", 4))
    await until(feed, SessionClosed)
    assert await reader.read() == b""
    assert first.is_closing() is False
    await connect(feed, bmp.initiation("spine2"), both)
    assert (await until(feed, EndOfRib))[-1].peer == Ip.parse("10.0.0.1")


def test_a_second_router_of_a_peer_takes_over_when_the_session_of_the_first_ends(monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr(module, "CALL_BACK_S", 0.0)
    free()


OTHER_VRF = b"\0\0\0\0\0\0\0\1"


@with_feed
async def twice(feed):
    """One router has a peer's address in two VRFs: the first has it, and the end of either harms no other peer."""
    _, router = await connect(
        feed,
        bmp.initiation("spine1"),
        bmp.peer_up("10.0.0.1"),
        bmp.peer_up("10.0.0.1", rd=OTHER_VRF),
        bmp.peer_down("10.0.0.1", 4, rd=OTHER_VRF),
        bmp.peer_up("10.0.0.1", rd=OTHER_VRF),
        bmp.peer_up("10.0.0.2"),
        bmp.peer_down("10.0.0.2", 4),
    )
    found = await until(feed, SessionClosed)
    sessions = [(type(one), str(one.peer)) for one in found if isinstance(one, SessionOpened | SessionClosed)]
    assert sessions == [(SessionOpened, "10.0.0.1"), (SessionOpened, "10.0.0.2"), (SessionClosed, "10.0.0.2")]
    router.close()
    assert [type(one) for one in await until(feed, Detached)] == [Detached]


def test_an_address_in_two_vrfs_of_a_router_is_one_peer():
    twice()


@with_feed
async def strangers(feed):
    for octets in (b"GET / HTTP/1.1\r\n\r\n", b"\x03\x40\x00\x00\x00\x04", b"\x00" * 100):
        reader, _ = await connect(feed, octets)
        with pytest.raises((ConnectionResetError, EOFError)):
            await reader.readexactly(1)
    await connect(feed)  # says nothing, and does not end
    await connect(feed, bmp.initiation(), bmp.peer_up("10.0.0.1"))
    assert isinstance((await until(feed, SessionOpened))[0], Attached)


def test_what_is_no_router_harms_nothing():
    strangers()


@with_feed
async def slow(feed):
    apart = bmp.frame(1, bmp.peer_header("10.0.0.1") + bytes(4))  # so that each route is an item
    many = (
        bmp.monitoring("10.0.0.1", *UPDATES * 5, flags=bmp.ADJ_RIB_OUT) + bmp.monitoring("10.0.0.1", UPDATES[0]) + apart
    )
    _, writer = await connect(feed, bmp.initiation(), bmp.peer_up("10.0.0.1"))
    await until(feed, SessionOpened)
    sent = 0
    for _ in range(40 * module.ITEMS_MAX):
        writer.write(many)
        sent += 1
        try:
            async with asyncio.timeout(0.2):
                await writer.drain()
        except TimeoutError:
            break
    assert module.ITEMS_MAX <= len(feed._queue) <= module.ITEMS_MAX + 64
    received = 0
    while received < sent:
        received += sum(
            len(event.routes) for m in await feed.events() for event in m.events if type(event) is Announced
        )
        async with asyncio.timeout(1):
            await asyncio.sleep(0)
    assert received == sent


def test_a_daemon_that_takes_nothing_makes_routers_wait():
    slow()


@with_feed
async def mute(feed):
    reports = []
    feed.on_report = reports.append
    feed.ask()
    assert isinstance(reports[0], CannotAdvertise)
    assert feed.form(None) == "octets"


def test_nothing_can_be_advertised():
    mute()


def test_a_port_that_is_taken_is_told():
    async def body():
        first = BmpFeed("127.0.0.1:0")
        await first.start()
        try:
            await BmpFeed(f"127.0.0.1:{first.port}").start()
        finally:
            await first.stop()

    with pytest.raises(HostError, match=r"feed\.bmp: 127\.0\.0\.1:\d+: .*in use"):
        asyncio.run(body())


@pytest.mark.parametrize(
    ("allowed", "address", "admitted"),
    [
        ([], "127.0.0.1", True),
        ([], "::1", True),
        ([], "10.0.0.1", False),
        (["10.0.0.0/24"], "10.0.0.1", True),
        (["10.0.0.0/24"], "10.0.1.1", False),
        (["10.0.0.0/24"], "127.0.0.1", False),
        (["fd00::/8"], "fd00::1", True),
        (["0.0.0.0/0"], "fd00::1", False),
    ],
)
def test_who_may_connect(allowed, address, admitted):
    peers = ", ".join(f'"{one}"' for one in allowed)
    config = parse(f'[feed]\nbmp = "127.0.0.1:11019"\nbmp_peers = [{peers}]\n').feed

    assert BmpFeed(config.bmp, config.bmp_peers, config.bmp_table)._admits(Ip.parse(address)) is admitted


def test_an_address_that_others_reach_needs_a_list():
    with pytest.raises(ConfigError, match="can be reached from outside, and nothing says by whom"):
        parse('[feed]\nbmp = "0.0.0.0:11019"\n')
