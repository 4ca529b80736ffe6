"""Addresses that cannot be opened: tried again until they can be, told once, and closed at the end."""

import asyncio
import logging

import pytest

from vtep.app.doors import Doors
from vtep.errors import HostError, OccupiedError, Problem
from vtep.store.backoff import Backoff


class Door:
    def __init__(self, key: str, *troubles: HostError) -> None:
        self.key = key
        self._troubles = list(troubles)
        self.open_now = False
        self.closed = 0

    async def open(self) -> None:
        if self._troubles:
            raise self._troubles.pop(0)
        self.open_now = True

    async def close(self) -> None:
        self.open_now = False
        self.closed += 1


def trouble(what: str = "taken") -> HostError:
    return HostError(Problem("api.metrics", what, "use another"))


def test_a_door_is_tried_again_until_it_opens_and_each_reason_is_logged_once(caplog):
    caplog.set_level(logging.INFO)
    door, other = Door("api.metrics", trouble(), trouble(), trouble("not there")), Door("api.listen")

    async def story() -> None:
        doors = Doors(Backoff(0.001, 0.001))
        async with doors.kept_open([door, other]):
            assert (door.open_now, other.open_now) == (False, True)
            assert doors.troubles == {"api.metrics": "api.metrics: taken (hint: use another)"}
            await doors.run()
            assert (door.open_now, doors.troubles) == (True, {})

    asyncio.run(story())

    assert [(record.message, str(record.fields.get("why", ""))) for record in caplog.records] == [
        ("cannot listen", "api.metrics: taken (hint: use another)"),
        ("cannot listen", "api.metrics: not there (hint: use another)"),
        ("listens now", ""),
    ]
    assert (door.closed, other.closed) == (1, 1)


def test_what_another_daemon_has_at_the_start_ends_this_one_and_closes_what_was_open(caplog):
    first, second = Door("a"), Door("b", OccupiedError(Problem("b", "another daemon listens there")))

    async def story() -> None:
        async with Doors().kept_open([first, second]):
            pytest.fail("it was kept open")

    with pytest.raises(OccupiedError):
        asyncio.run(story())

    assert (first.closed, first.open_now) == (1, False)


def test_what_another_daemon_takes_later_is_a_trouble_like_any_other():
    door = Door("a", trouble(), OccupiedError(Problem("a", "another daemon listens there")))

    async def story() -> None:
        doors = Doors(Backoff(0.001, 0.001))
        async with doors.kept_open([door]):
            await doors.run()
            assert door.open_now

    asyncio.run(story())
