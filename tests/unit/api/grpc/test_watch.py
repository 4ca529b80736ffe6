"""What a stream tells and in which order, and what many readers cost. No transport is here."""

import asyncio
import contextlib
import itertools

import pytest

from tests.lab.figures import BATCHES_KEPT, VNI_READY, Figures, figures, row
from tests.lab.loop import HandMovedLoop
from vtep.api import tokens
from vtep.api.grpc import messages
from vtep.api.grpc.watch import ROWS_A_RESPONSE, Ended, Watching
from vtep.api.tokens import Cursor
from vtep.errors import UsageError
from vtep.observe.history import HistoryEntry
from vtep.observe.turns import Turns
from vtep.v1 import vtep_pb2 as pb

SYNCED, LAGGED = pb.WATCH_MARK_SYNCED, pb.WATCH_MARK_LAGGED


class Reader:
    """Reads one stream."""

    def __init__(self, watching: Watching, **request) -> None:
        self._responses = watching.stream(pb.WatchRequest(**request))

    async def next(self) -> pb.WatchResponse:
        return pb.WatchResponse.FromString(await anext(self._responses))

    async def until(self, mark: int) -> list[pb.WatchResponse]:
        read = [await self.next()]
        while read[-1].mark != mark:
            read.append(await self.next())
        return read

    async def close(self) -> None:
        await self._responses.aclose()


def play(story, source: Figures | None = None) -> None:
    """Run a story with a source and a way to open streams, on a loop whose time does not pass by itself."""

    async def tell() -> None:
        told = source or figures()
        ending = asyncio.get_running_loop().create_future()
        watching = Watching(told, Turns(), ending)
        async with contextlib.AsyncExitStack() as stack:

            def opened(**request) -> Reader:
                reader = Reader(watching, **request)
                stack.push_async_callback(reader.close)
                return reader

            opened.ending = ending
            await story(told, opened)

    with asyncio.Runner(loop_factory=HandMovedLoop) as runner:
        runner.run(tell())


def macs(responses: list[pb.WatchResponse]) -> list[str]:
    return [mac.mac for response in responses for mac in response.macs]


def test_the_table_comes_first_then_the_mark_then_changes():
    async def story(source, opened):
        reader = opened()

        table = await reader.until(SYNCED)
        source.put(row(9))
        change = await reader.next()

        assert len(macs(table)) == 9
        assert [mac.mac for mac in change.macs] == ["02:00:00:00:00:09"]

    play(story)


def test_a_large_table_comes_in_responses_of_a_thousand_rows_at_most():
    async def story(_, opened):
        table = await opened().until(SYNCED)

        assert len(macs(table)) == len(set(macs(table))) == 5009
        assert max(len(response.macs) for response in table) == ROWS_A_RESPONSE

    play(story, figures(5000))


def test_a_change_made_while_the_table_is_sent_is_sent_after_it():
    async def story(source, opened):
        reader = opened()

        await reader.next()
        source.remove((VNI_READY, row(1).mac))
        await reader.until(SYNCED)
        change = await reader.next()

        assert [key.mac for key in change.gone] == ["02:00:00:00:00:01"]

    play(story, figures(3000))


def test_a_large_batch_is_sent_in_parts_and_only_the_last_has_a_token():
    async def story(source, opened):
        reader = opened()
        await reader.until(SYNCED)

        source.put(*(row(0x5000 + number) for number in range(2500)))
        parts = [await reader.next() for _ in range(3)]

        assert [len(part.macs) for part in parts] == [1000, 1000, 500]
        assert [bool(part.resume_token) for part in parts] == [False, False, True]

    play(story)


def test_who_comes_back_hears_what_was_missed_and_no_table():
    async def story(source, opened):
        first = opened()
        token = (await first.until(SYNCED))[-1].resume_token
        await first.close()

        source.put(row(9))
        source.put(row(10))
        missed = await opened(resume_token=token).until(SYNCED)

        assert macs(missed) == ["02:00:00:00:00:09", "02:00:00:00:00:0a"]

    play(story)


def test_who_comes_back_at_once_is_synced_at_once():
    async def story(_, opened):
        token = (await opened().until(SYNCED))[-1].resume_token

        (response,) = await opened(resume_token=token).until(SYNCED)

        assert not response.macs

    play(story)


@pytest.mark.parametrize("cursor", [Cursor(0, 0), Cursor(10**9, 0)], ids=["too-old", "that-never-was"])
def test_a_client_that_comes_back_too_late_gets_lagged_and_the_whole_table(cursor):
    async def story(source, opened):
        source.put(row(9))
        source.forget()
        source.put(row(10))

        responses = await opened(resume_token=tokens.resume_token(source.epoch, cursor)).until(SYNCED)

        assert responses[0].mark == LAGGED
        assert len(macs(responses)) == 11

    play(story)


def test_a_token_of_another_life_is_a_reader_that_comes_too_late():
    async def story(_, opened):
        responses = await opened(resume_token=tokens.resume_token("before", Cursor(0, 0))).until(SYNCED)

        assert responses[0].mark == LAGGED
        assert len(macs(responses)) == 9

    play(story)


def test_a_reader_that_lagged_hears_the_events_it_missed_and_each_of_them_once():
    async def story(source, opened):
        reader = opened()
        await reader.until(SYNCED)

        source.record(HistoryEntry("repaired"))
        heard = [event.number for event in (await reader.next()).events]
        source.record(HistoryEntry("reload"))
        source.forget()
        source.record(HistoryEntry("duplicate-cleared"))
        caught_up = await reader.until(SYNCED)
        source.record(HistoryEntry("adopted"))
        later = await reader.next()

        assert heard == [4]
        assert [event.number for response in caught_up for event in response.events] == [5, 6]
        assert [event.number for event in later.events] == [7]

    play(story)


def test_an_event_that_happens_while_earlier_ones_are_sent_is_sent_once():
    async def story(source, opened):
        since = messages._time(0.0, source.wall)
        reader = opened(resume_token=tokens.resume_token("before", Cursor(0, 0)), events_since=since)

        told = [await reader.next()]
        source.record(HistoryEntry("repaired"))
        told += await reader.until(SYNCED)
        source.record(HistoryEntry("reload"))
        while 5 not in (numbers := [event.number for response in told for event in response.events]):
            told.append(await reader.next())

        assert numbers == [1, 2, 3, 4, 5]

    play(story)


def test_nothing_is_kept_for_a_reader_that_does_not_read():
    async def story(source, opened):
        reader = opened()
        await reader.until(SYNCED)

        for number in range(BATCHES_KEPT + 1):
            source.put(row(9, seq=number))
        caught_up = await reader.until(SYNCED)

        assert caught_up[0].mark == LAGGED
        assert [mac.seq for response in caught_up for mac in response.macs if mac.mac.endswith(":09")] == [BATCHES_KEPT]

    play(story)


def test_events_since_a_time_come_before_the_table():
    async def story(source, opened):
        since = messages._time(source.now - 31, source.wall)

        responses = await opened(events_since=since).until(SYNCED)

        assert [event.kind for event in responses[0].events] == ["peer-up", "move", "contested"]

    play(story)


def test_only_changes_are_sent_to_a_client_that_wants_no_table():
    async def story(source, opened):
        reader = opened(changes_only=True)

        (synced,) = await reader.until(SYNCED)
        source.put(row(9))

        assert not synced.macs
        assert macs([await reader.next()]) == ["02:00:00:00:00:09"]

    play(story)


def test_silence_is_broken_within_ten_seconds():
    async def story(_, opened):
        reader = opened()
        await reader.until(SYNCED)
        start = asyncio.get_running_loop().time()

        sign_of_life = await reader.next()

        assert 9 <= asyncio.get_running_loop().time() - start <= 11
        assert sign_of_life.resume_token
        assert not sign_of_life.HasField("status")

    play(story)


def test_figures_come_when_they_changed_and_once_a_second_at_most():
    async def story(source, opened):
        reader = opened()
        synced = (await reader.until(SYNCED))[-1]
        loop = asyncio.get_running_loop()
        times = [loop.time()]

        for generation in range(8, 12):
            source.become(generation=generation)
            assert (await reader.next()).status.generation == generation
            times.append(loop.time())

        assert synced.status.generation == 7
        assert all(1 <= later - earlier <= 2 for earlier, later in itertools.pairwise(times))

    play(story)


def test_twenty_readers_of_a_batch_share_its_octets(monkeypatch):
    async def story(source, opened):
        readers = [opened() for _ in range(20)]
        for reader in readers:
            await reader.until(SYNCED)
        made = []
        monkeypatch.setattr(messages, "mac", lambda row, wall, make=messages.mac: made.append(row) or make(row, wall))

        source.put(*(row(0x5000 + number) for number in range(100)))
        told = [await reader.next() for reader in readers]

        assert len(made) == 100
        assert all(len(response.macs) == 100 for response in told)

    play(story)


def test_a_stream_ends_when_the_daemon_does():
    async def story(_, opened):
        reader = opened()
        await reader.until(SYNCED)

        opened.ending.set_result(None)

        with pytest.raises(Ended):
            await reader.next()

    play(story)


def test_garbage_is_refused_before_anything_is_sent():
    async def story(_, opened):
        with pytest.raises(UsageError, match="resume_token"):
            await opened(resume_token="xx").next()

    play(story)
