import asyncio
import os
import socket
from contextlib import suppress

import pytest

from vtep.app.notify import Notifier, attend


@pytest.fixture(params=["path", "abstract"])
def supervisor(request, tmp_path):
    """A socket like the supervisor's, and what NOTIFY_SOCKET says of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as leaf:
        address = str(tmp_path / "notify") if request.param == "path" else f"@vtep-test-{os.getpid()}"
        leaf.bind(address.replace("@", "\0"))
        yield leaf, {"NOTIFY_SOCKET": address}


DEADLINE_S = 5


def test_all_fields_are_sent_in_one_datagram_of_lines(supervisor):
    leaf, environment = supervisor

    Notifier(environment).send(READY=1, STATUS="waiting for ExaBGP")

    assert leaf.recv(4096) == b"READY=1\nSTATUS=waiting for ExaBGP\n"


def test_a_line_break_in_a_status_starts_no_other_assignment(supervisor):
    leaf, environment = supervisor

    Notifier(environment).send(STATUS="blind: no\nMAINPID=1\r\nWATCHDOG=trigger")

    assert leaf.recv(4096) == b"STATUS=blind: no MAINPID=1 WATCHDOG=trigger\n"


def test_the_daemon_does_not_wait_for_a_supervisor_that_does_not_read(supervisor):
    leaf, environment = supervisor
    notifier = Notifier(environment)

    for number in range(10_000):
        notifier.send(STATUS=number)

    assert leaf.recv(4096) == b"STATUS=0\n"


@pytest.mark.parametrize(
    "environment", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"NOTIFY_SOCKET": "@vtep-nobody-listens"}]
)
def test_without_a_supervisor_nothing_is_sent(environment):
    Notifier(environment).send(READY=1)


@pytest.mark.parametrize(
    ("environment", "ping_s"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 10),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 10),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
    ids=["none", "ours", "ours-by-number", "somebody-elses", "no-number"],
)
def test_the_watchdog_gets_three_messages_in_its_time_if_it_is_for_this_process(environment, ping_s):
    assert Notifier(environment).ping_s == ping_s


def told_until(supervisor, wanted, status=lambda: "fine", healthy=lambda: True):
    """What a supervisor hears of somebody it watches closely, up to and with the message that is wanted."""
    leaf, environment = supervisor
    heard = []

    async def listen():
        loop = asyncio.get_running_loop()
        attending = asyncio.create_task(attend(Notifier(environment | {"WATCHDOG_USEC": "3000"}), status, healthy))
        async with asyncio.timeout(DEADLINE_S):
            while not heard or heard[-1] != wanted:
                heard.append((await loop.sock_recv(leaf, 4096)).decode().strip())
        attending.cancel()
        with suppress(asyncio.CancelledError):
            await attending

    asyncio.run(listen())
    return heard


def test_the_supervisor_gets_ready_then_the_status_then_watchdog_messages(supervisor):
    assert told_until(supervisor, "WATCHDOG=1") == ["READY=1", "STATUS=fine", "WATCHDOG=1"]


def test_a_status_is_sent_again_only_after_a_change(supervisor):
    texts = iter(["waiting", "waiting", "waiting", "ready"])

    heard = told_until(supervisor, "STATUS=ready", status=lambda: next(texts))

    assert [text for text in heard if text.startswith("STATUS")] == ["STATUS=waiting", "STATUS=ready"]


def test_the_watchdog_gets_no_message_while_the_daemon_is_not_healthy(supervisor):
    health = iter([True, False, False, False, True])
    texts = map(str, range(10))

    heard = told_until(supervisor, "STATUS=5", status=lambda: next(texts), healthy=lambda: next(health, False))

    fed_at = [heard[number - 1] for number, text in enumerate(heard) if text == "WATCHDOG=1"]
    assert fed_at == ["STATUS=0", "STATUS=4"]
