"""News in batches, and readers of many speeds."""

import asyncio

import pytest
from msgspec import Struct

from vtep.store.ring import Changes


class Batch(Struct):
    revision: int
    size: int = 1


def put(changes, *revisions, size=1):
    for revision in revisions:
        changes.put(Batch(revision, size))


async def read(changes, after, most):
    reader = changes.after(after)
    async with asyncio.timeout(5):
        found = [await anext(reader) for _ in range(most)]
    await reader.aclose()
    return [None if batch is None else batch.revision for batch in found]


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, [1, 2, 3]), (2, [3]), (7, [None]), (-1, [None])],
    ids=["all", "the-rest", "one-that-never-was", "before-the-first"],
)
def test_a_reader_gets_what_came_after_its_revision_or_is_told_that_it_cannot(after, expected):
    changes = Changes()
    put(changes, 1, 2, 3)

    assert asyncio.run(read(changes, after, len(expected))) == expected


def test_one_who_is_slower_than_the_ring_is_told_so_and_goes_on_behind_the_latest():
    async def story():
        changes = Changes(rows_max=10)
        slow = changes.after(0)
        put(changes, 1, size=4)
        first = await anext(slow)
        put(changes, 2, 3, 4, 5, size=4)
        missed = await anext(slow)
        waiting = asyncio.ensure_future(anext(slow))
        await asyncio.sleep(0)
        put(changes, 6)
        return first.revision, missed, (await waiting).revision

    assert asyncio.run(story()) == (1, None, 6)


def test_the_latest_batch_is_kept_however_large_it_is():
    changes = Changes(rows_max=10)
    put(changes, 1, 2, size=1000)

    assert asyncio.run(read(changes, 1, 1)) == [2]


def test_what_nobody_read_is_missed_by_who_comes_back():
    changes = Changes()
    put(changes, 1)
    changes.skip()

    assert asyncio.run(read(changes, 1, 1)) == [None]
    assert changes.revision == 2


def test_readers_are_counted_until_they_leave():
    async def story():
        changes = Changes()
        put(changes, 1)
        reader = changes.after(0)
        counts = [changes.readers]
        await anext(reader)
        counts.append(changes.readers)
        await reader.aclose()
        return [*counts, changes.readers]

    assert asyncio.run(story()) == [0, 1, 0]


def test_a_revision_is_not_left_out():
    with pytest.raises(AssertionError):
        put(Changes(), 2)
