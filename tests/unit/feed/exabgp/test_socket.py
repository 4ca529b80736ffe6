"""The feed socket as the daemon holds it, with a plain socket in the relay's place."""

import asyncio
import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from vtep.errors import Bug, HostError
from vtep.feed.exabgp.socket import BATCHES_MAX, Attached, Detached, Lines, Stream

HELLO = b'{"relay": "hello", "version": 1, "exabgp_pid": 41, "relay_pid": %d, "dropped": 0, "complete": true}\n'
WAIT_S = 10


def attached(pid=42):
    return Attached(1, 41, pid, 0, True)


async def connect(path, octets=b""):
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(caller, str(path))
    await loop.sock_sendall(caller, octets)
    return caller


async def hear(caller):
    async with asyncio.timeout(WAIT_S):
        return await asyncio.get_running_loop().sock_recv(caller, 65536)


async def receive(stream):
    async with asyncio.timeout(WAIT_S):
        return await stream.receive()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "feed.sock"


def with_stream(story):
    """Run a story on a started stream, and stop it in any case."""

    def run(path):
        async def body():
            stream = Stream(path)
            await stream.start()
            try:
                await story(stream, path)
            finally:
                await stream.stop()

        asyncio.run(body())

    run.__name__ = story.__name__
    return run


@with_stream
async def test_a_relays_hello_and_lines_are_received_in_order(stream, path):
    with await connect(path, HELLO % 42 + b"a\nb\nhalf"):
        assert await receive(stream) == attached()
        assert await receive(stream) == Lines([b"a", b"b"], replayed=False)
    assert await receive(stream) == Detached()


@with_stream
async def test_a_newer_relay_takes_the_place_of_an_older_one(stream, path):
    with await connect(path, HELLO % 42) as older:
        assert await receive(stream) == attached(42)
        with await connect(path, HELLO % 43 + b"a\n") as newer:
            assert await receive(stream) == Detached()
            assert await receive(stream) == attached(43)
            assert await receive(stream) == Lines([b"a"], replayed=False)
            assert await hear(older) == b""
            assert stream.send("to the newer")
            assert await hear(newer) == b"to the newer\n"


@with_stream
async def test_one_who_only_looks_disturbs_nobody(stream, path):
    with await connect(path, HELLO % 42) as relay:
        assert await receive(stream) == attached()
        with pytest.raises(HostError):
            await Stream(path).start()
        with await connect(path, b"GET / HTTP/1.1\n") as stranger:
            assert await hear(stranger) == b""
        with await connect(path, b'{"rel'):
            async with asyncio.timeout(WAIT_S):
                while not any(each._reader._framer._part for each in stream._connections):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0)
            await asyncio.get_running_loop().sock_sendall(relay, b"a\n")
            assert await receive(stream) == Lines([b"a"], replayed=False)
        assert stream.send("still yours")
        assert await hear(relay) == b"still yours\n"
        await asyncio.get_running_loop().sock_sendall(relay, b"a\n")
        assert await receive(stream) == Lines([b"a"], replayed=False)


@with_stream
async def test_a_command_goes_to_the_relay_that_is_there(stream, path):
    assert not stream.send("nobody is there")
    with await connect(path, HELLO % 42) as relay:
        await receive(stream)
        assert stream.send("announce route-refresh l2vpn evpn")
        assert await hear(relay) == b"announce route-refresh l2vpn evpn\n"
    assert await receive(stream) == Detached()
    assert not stream.send("nobody is there any more")


@with_stream
async def test_a_command_that_exabgp_could_not_survive_is_a_bug(stream, path):
    for command in ("two\nlines", "na\u00efve"):
        with pytest.raises(Bug):
            stream.send(command)


@with_stream
async def test_a_slow_reader_leaves_the_lines_in_the_socket_and_later_gets_them_all(stream, path):
    with await connect(path, HELLO % 42) as relay:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(relay, (b"x" * 999 + b"\n") * 50_000))
        while len(stream._items) < BATCHES_MAX:
            await asyncio.wait([sending], timeout=0.001)
        await asyncio.wait([sending], timeout=0.05)

        assert not sending.done()
        assert len(stream._items) <= BATCHES_MAX + 1

        assert await receive(stream) == attached()
        count = 0
        while count < 50_000:
            count += len((await receive(stream)).lines)
        await sending
        assert count == 50_000


@with_stream
async def test_two_who_ask_for_what_comes_wait_until_it_comes(stream, path):
    receiving = asyncio.create_task(receive(stream))
    with await connect(path, HELLO % 42):
        assert await receiving == attached()


@with_stream
async def test_much_that_waits_leaves_room_for_others_on_the_loop(stream, path):
    with await connect(path, HELLO % 42):
        await receive(stream)
        stream._items += [Lines([b"a"], replayed=False)] * 10
        turns = []
        asyncio.get_running_loop().call_soon(turns.append, "another's turn")

        await stream.receive()

        assert turns == ["another's turn"]


@with_stream
async def test_what_waits_can_be_taken_at_once_and_nothing_is_what_does_not(stream, path):
    with await connect(path, HELLO % 42):
        await receive(stream)
        assert stream.receive_at_once() is None
        stream._items += [Lines([b"a"], replayed=False), Lines([b"b"], replayed=False)]

        assert stream.receive_at_once() == Lines([b"a"], replayed=False)
        assert await receive(stream) == Lines([b"b"], replayed=False)


def test_stop_sends_what_is_under_way_and_takes_the_socket_away(path):
    async def story():
        stream = Stream(path)
        await stream.start()
        with await connect(path, HELLO % 42) as relay:
            await receive(stream)
            words = b"last words" * 100_000
            assert stream.send(words.decode())
            stopping = asyncio.create_task(stream.stop())
            heard = b""
            while more := await hear(relay):
                heard += more
            await stopping
            assert heard == words + b"\n"
        assert not path.exists()

    asyncio.run(story())


def test_stop_leaves_a_socket_that_is_no_longer_ours(path):
    async def story():
        stream = Stream(path)
        await stream.start()
        path.unlink()
        path.write_text("somebody else's")
        await stream.stop()

    asyncio.run(story())

    assert path.read_text() == "somebody else's"


def test_a_socket_that_a_killed_daemon_left_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    async def story():
        stream = Stream(path)
        await stream.start()
        with await connect(path, HELLO % 42):
            assert await receive(stream) == attached()
        await stream.stop()

    asyncio.run(story())


def possible_groups() -> list[grp.struct_group]:
    """Those a user may give a file to: its own, and any that its user namespace knows if it is root there."""
    lines = Path("/proc/self/gid_map").read_text().splitlines()
    known = [range(int(first), int(first) + int(count)) for first, _, count in map(str.split, lines)]
    return [
        group
        for group in grp.getgrall()
        if any(group.gr_gid in gids for gids in known) and (os.getuid() == 0 or group.gr_gid in os.getgroups())
    ]


def test_the_socket_has_its_mode_and_group_and_a_directory_that_others_may_enter(tmp_path):
    path = tmp_path / "new" / "feed.sock"
    group = next(iter(sorted(possible_groups(), key=lambda group: group.gr_gid == os.getgid())))

    async def story():
        stream = Stream(path, mode=0o620, group=group.gr_name)
        await stream.start()
        status, parent = path.stat(), path.parent.stat()
        await stream.stop()
        return status, parent

    umask = os.umask(0o077)
    try:
        status, parent = asyncio.run(story())
    finally:
        os.umask(umask)
    assert stat.S_ISSOCK(status.st_mode)
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o620, group.gr_gid)
    assert stat.S_IMODE(parent.st_mode) == 0o755


@pytest.mark.parametrize(
    ("prepare", "options", "says"),
    [
        (lambda path: path.write_text(""), {}, "not a socket"),
        (lambda path: None, {"group": "no-such-group"}, "no group 'no-such-group'"),
    ],
    ids=["a file in the way", "an unknown group"],
)
def test_a_socket_that_cannot_be_made_is_refused_with_the_reason_and_leaves_nothing(path, prepare, options, says):
    prepare(path)
    before = set(path.parent.iterdir())

    with pytest.raises(HostError) as refusal:
        asyncio.run(Stream(path, **options).start())

    assert says in str(refusal.value)
    assert set(path.parent.iterdir()) == before


def test_a_path_too_long_for_a_socket_is_refused_with_the_reason(tmp_path):
    with pytest.raises(HostError) as refusal:
        asyncio.run(Stream(tmp_path / ("x" * 120)).start())

    assert "too long" in str(refusal.value)


def test_a_second_daemon_is_refused_and_told_so(path):
    async def story():
        stream = Stream(path)
        await stream.start()
        try:
            await Stream(path).start()
        finally:
            await stream.stop()

    with pytest.raises(HostError) as refusal:
        asyncio.run(story())

    assert "another daemon listens there" in str(refusal.value)
