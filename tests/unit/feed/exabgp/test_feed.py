"""ExaBGP as a feed: what comes over the socket as messages, and whether anything was lost."""

import asyncio
import logging

import pytest

from tests.lab.lines import Lines
from tests.lab.wire import Instance
from vtep.evpn.event import Attached, Detached, Missed, Received, Unreadable
from vtep.feed.contract import Feed
from vtep.feed.exabgp.feed import ExabgpFeed
from vtep.feed.exabgp.protocol import LINE_MAX

A = "10.0.0.1"


def hello(pid: int = 41, *, complete: bool = True) -> bytes:
    kept = "true" if complete else "false"
    return (
        f'{{"relay": "hello", "version": 1, "exabgp_pid": {pid}, "exabgp_started": 7, "relay_pid": 42, "dropped": 0, '
        f'"complete": {kept}}}\n'.encode()
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "feed.sock"


def messages_of(path, *connections: bytes) -> list:
    """Return what the feed reports of relays that come one after the other."""

    async def run() -> list:
        feed: Feed = ExabgpFeed(path)
        await feed.start()
        reported = []
        for octets in connections:
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(octets)
            writer.close()
            while not any(isinstance(message, Detached) for message in reported[-1:]):
                reported += await feed.events()
            reported[-1:] = ["end"]
        await feed.stop()
        return reported

    return asyncio.run(run())


def test_a_stream_begins_with_its_speaker_and_ends(path):
    attached, opened, end = messages_of(path, hello() + Lines().up(A) + b"\n")

    assert attached == Attached("41/7", "ExaBGP 41", complete=True)
    assert isinstance(opened, Received)
    assert end == "end"


def test_another_relay_of_the_same_exabgp_misses_what_the_first_one_took(path):
    first, _, second, _ = messages_of(path, hello(), hello())

    assert (first.complete, second.complete) == (True, False)


def test_the_first_relay_of_another_exabgp_misses_nothing(path):
    first, _, second, _ = messages_of(path, hello(41), hello(42))

    assert (first.complete, second.complete) == (True, True)


def test_a_relay_that_misses_lines_says_so(path):
    first, _ = messages_of(path, hello(complete=False))

    assert not first.complete


def test_lines_that_the_relay_dropped_are_missed_and_not_a_gap_besides(path):
    lines = Lines()
    opened = lines.up(A)
    lines.lose_one(A)
    octets = hello() + opened + b'\n{"relay": "dropped", "lines": 5}\n' + lines.end_of_rib(A) + b"\n"

    _, before, missed, after, _ = messages_of(path, octets)

    assert missed == Missed(5)
    assert before.continuity == after.continuity


def test_a_line_that_is_too_long_is_unreadable(path):
    _, bad, _ = messages_of(path, hello() + b"x" * (LINE_MAX + 1) + b"\n")

    assert isinstance(bad, Unreadable)
    assert (bad.octets, bad.why) == (LINE_MAX + 1, f"a line of {LINE_MAX + 1} octets")


def test_a_malformed_update_is_logged_once_a_second_with_its_peer(path, caplog):
    lines = Lines()
    withdrawn = lines.withdraw(A, Instance(A).mac("02:00:00:00:00:01").nlri)
    marked = withdrawn.replace(
        b'"update": {', b'"update": { "attribute": { "error": "treat-as-withdraw: ORIGIN is missing" },'
    )

    with caplog.at_level(logging.WARNING):
        _, first, second, _ = messages_of(path, hello() + marked + b"\n" + marked + b"\n")

    assert (first.malformed, second.malformed) == ("treat-as-withdraw: ORIGIN is missing",) * 2
    (record,) = [record for record in caplog.records if record.getMessage() == "malformed message"]
    assert str(record.fields["peer"]) == A
    assert record.fields["why"] == "treat-as-withdraw: ORIGIN is missing"
