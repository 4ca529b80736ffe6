"""A set in parts is a set, and no step on it takes long."""

from time import perf_counter

from hypothesis import given
from hypothesis import strategies as st

from vtep.store.parted import PartedSet

NUMBERS = st.frozensets(st.integers(0, 300).map(str))


@given(NUMBERS, NUMBERS)
def test_it_is_equal_to_the_set_of_the_same_items(some, others):
    found, more = PartedSet(some), PartedSet(some).with_items(others)
    assert found == some
    assert (set(found), len(found)) == (set(some), len(some))
    assert more == some | others == PartedSet(some | others)
    assert (found == PartedSet(others)) == (some == others)
    assert all((item in found) == (item in some) for item in others)


def test_no_part_of_a_large_one_takes_long_to_compare_or_to_free():
    items = [str(number) for number in range(300_000)]
    found, same = PartedSet(items), PartedSet([str(number) for number in range(300_000)])
    longest = 0.0
    for number in range(len(found.parts)):
        began = perf_counter()
        assert found.parts[number] == same.parts[number]
        same.parts[number] = set()
        longest = max(longest, perf_counter() - began)
    assert max(map(len, found.parts)) < 300_000 / 64 * 1.3
    print(f"the longest part took {longest * 1000:.1f} ms")
