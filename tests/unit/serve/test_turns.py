"""Readers' work leaves the event loop to others between any two slices of it."""

import asyncio

from vtep.serve.turns import Turns


def test_there_is_one_slice_of_all_readers_in_a_round_of_the_loop():
    async def story() -> list[int]:
        turns, rounds, seen = Turns(), 0, []

        async def count() -> None:
            nonlocal rounds
            while True:
                rounds += 1
                await asyncio.sleep(0)

        async def read() -> None:
            for _ in range(3):
                await turns.take(lambda: seen.append(rounds))

        counting = asyncio.create_task(count())
        await asyncio.gather(*(read() for _ in range(20)))
        counting.cancel()
        return seen

    seen = asyncio.run(story())

    assert len(seen) == len(set(seen)) == 60


def test_work_that_fails_gives_its_turn_to_the_next():
    async def story() -> str:
        turns = Turns()
        await asyncio.gather(turns.take(lambda: 1 // 0), return_exceptions=True)
        return await turns.take(lambda: "next")

    assert asyncio.run(story()) == "next"
