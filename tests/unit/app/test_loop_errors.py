"""Errors of the event loop itself: logged, but not without a limit."""

import asyncio
import errno
import logging
import os

from vtep.app.loop_errors import BUGS_LOGGED, PERIOD_S, LoopErrors


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def exhausted() -> dict:
    return {
        "message": "socket.accept() out of system resource",
        "exception": OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    }


def test_connections_that_cannot_be_accepted_are_a_line_a_minute_with_a_count(caplog):
    clock = Clock()
    handle = LoopErrors(clock)

    for _ in range(500):
        handle(None, exhausted())
    clock.now += PERIOD_S
    handle(None, exhausted())

    first, second = caplog.records
    assert (first.message, first.fields["why"], first.fields["left_out"]) == (
        "connection not accepted",
        "Too many open files",
        0,
    )
    assert (second.fields["left_out"], second.exc_info) == (499, None)


def test_a_flood_of_one_kind_does_not_hide_a_bug(caplog):
    handle = LoopErrors(Clock())
    for _ in range(500):
        handle(None, exhausted())

    handle(None, {"message": "Exception in callback x", "exception": RuntimeError("broken")})

    assert caplog.records[-1].fields["what"] == "Exception in callback x"
    assert "RuntimeError: broken" in caplog.text


def test_a_bug_that_repeats_is_logged_with_a_limit(caplog):
    clock = Clock()
    handle = LoopErrors(clock)

    for _ in range(100):
        handle(None, {"message": "Exception in callback x", "exception": RuntimeError("broken")})

    assert len(caplog.records) == BUGS_LOGGED
    clock.now += PERIOD_S
    handle(None, {"message": "no exception"})
    assert caplog.records[-1].fields == {"what": "no exception", "left_out": 100 - BUGS_LOGGED}


def test_the_loop_uses_it(caplog):
    async def fail() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(LoopErrors(loop.time))
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    caplog.set_level(logging.ERROR)
    asyncio.run(fail())

    assert [record.message for record in caplog.records] == ["event loop error"]
    assert "ZeroDivisionError" in caplog.text
