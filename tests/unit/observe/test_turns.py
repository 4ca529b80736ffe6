"""Readers' work leaves the event loop to others between any two slices of it."""

import asyncio
from itertools import pairwise

from vtep.observe.turns import ROUNDS, Turns


def test_from_one_slice_of_all_readers_to_the_next_the_loop_makes_a_few_rounds():
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

    assert len(seen) == 60
    assert min(later - earlier for earlier, later in pairwise(seen)) >= ROUNDS


def test_work_that_fails_gives_its_turn_to_the_next():
    async def story() -> str:
        turns = Turns()
        await asyncio.gather(turns.take(lambda: 1 // 0), return_exceptions=True)
        return await turns.take(lambda: "next")

    assert asyncio.run(story()) == "next"
