"""Keys in order, in blocks."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtep.observe import sorted_keys
from vtep.observe.sorted_keys import SortedKeys

KEYS = st.integers(0, 60)
CHANGES = st.lists(st.tuples(st.sampled_from(["put", "drop"]), KEYS), max_size=150)


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_keys, "BLOCK", 3)
        yield


@given(CHANGES, st.none() | KEYS)
def test_it_lists_what_a_sorted_set_would(changes, start):
    keys, expected = SortedKeys(), set()
    for verb, key in changes:
        if verb == "put":
            keys.put(key)
            expected.add(key)
        else:
            keys.drop(key)
            expected.discard(key)

    assert list(keys) == sorted(expected)
    assert len(keys) == len(expected)
    assert list(keys.after(start)) == [key for key in sorted(expected) if start is None or key > start]


@given(st.sets(KEYS), st.integers(1, 7))
def test_pages_that_begin_behind_the_last_key_miss_none_and_repeat_none(numbers, size):
    keys = SortedKeys()
    for number in numbers:
        keys.put(number)

    paged, last = [], None
    while len(paged) <= len(numbers) and (page := list(islice(keys.after(last), size))):
        paged += page
        last = page[-1]

    assert paged == sorted(numbers)
