"""Counts by upper bound."""

import pytest

from vtep.store.histogram import SECONDS, Histogram


def test_a_value_counts_below_the_first_bound_that_is_not_below_it():
    histogram = Histogram((1.0, 2.0))

    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)

    assert histogram.snapshot().counts == (2, 2, 1)


def test_several_equal_values_are_counted_in_one_call():
    histogram = Histogram((1.0,))

    histogram.observe(0.5, times=3)

    assert histogram.snapshot().counts == (3, 0)
    assert histogram.snapshot().sum == 1.5
    assert histogram.snapshot().count == 3


def test_a_snapshot_does_not_change_afterwards():
    histogram = Histogram((1.0,))
    before = histogram.snapshot()

    histogram.observe(0.5)

    assert before.count == 0
    assert before.bounds == (1.0,)


@pytest.mark.parametrize("bounds", [(), (2.0, 1.0), (1.0, 1.0)], ids=["none", "falling", "equal"])
def test_bounds_must_rise(bounds):
    with pytest.raises(ValueError, match="must rise"):
        Histogram(bounds)


def test_a_fresh_one_counts_nothing_within_the_bounds_for_seconds():
    assert Histogram().snapshot().bounds == SECONDS
    assert sum(Histogram().snapshot().counts) == 0
