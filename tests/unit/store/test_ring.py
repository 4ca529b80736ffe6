"""Numbered batches, and readers of different speeds."""

import asyncio

import pytest
from msgspec import Struct

from vtep.store.ring import Ring


class Batch(Struct):
    revision: int
    size: int = 1


def put(ring, *revisions, size=1):
    for revision in revisions:
        ring.put(Batch(revision, size))


async def read(ring, after, most):
    reader = ring.after(after)
    async with asyncio.timeout(5):
        found = [await anext(reader) for _ in range(most)]
    await reader.aclose()
    return [None if batch is None else batch.revision for batch in found]


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, [1, 2, 3]), (2, [3]), (7, [None]), (-1, [None])],
    ids=["all", "the-rest", "one-that-never-was", "before-the-first"],
)
def test_a_reader_gets_the_batches_after_its_revision_or_learns_that_some_are_missing(after, expected):
    ring = Ring()
    put(ring, 1, 2, 3)

    assert asyncio.run(read(ring, after, len(expected))) == expected


def test_a_reader_that_fell_behind_the_oldest_batch_goes_on_after_the_latest():
    async def story():
        ring = Ring(rows_max=10)
        slow = ring.after(0)
        put(ring, 1, size=4)
        first = await anext(slow)
        put(ring, 2, 3, 4, 5, size=4)
        missed = await anext(slow)
        waiting = asyncio.ensure_future(anext(slow))
        await asyncio.sleep(0)
        put(ring, 6)
        return first.revision, missed, (await waiting).revision

    assert asyncio.run(story()) == (1, None, 6)


def test_the_latest_batch_is_kept_however_large_it_is():
    ring = Ring(rows_max=10)
    put(ring, 1, 2, size=1000)

    assert asyncio.run(read(ring, 1, 1)) == [2]


def test_a_reader_that_comes_back_after_a_skip_learns_that_it_missed_something():
    ring = Ring()
    put(ring, 1)
    ring.skip()

    assert asyncio.run(read(ring, 1, 1)) == [None]
    assert ring.revision == 2


def test_readers_are_counted_until_they_leave():
    async def story():
        ring = Ring()
        put(ring, 1)
        reader = ring.after(0)
        counts = [ring.readers]
        await anext(reader)
        counts.append(ring.readers)
        await reader.aclose()
        return [*counts, ring.readers]

    assert asyncio.run(story()) == [0, 1, 0]


def test_a_revision_is_never_skipped_over():
    with pytest.raises(AssertionError):
        put(Ring(), 2)
