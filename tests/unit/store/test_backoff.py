"""The waits between tries."""

import pytest

from vtep.store.backoff import Backoff

BACKOFF = Backoff(0.1, 5.0)


@pytest.mark.parametrize(
    ("tries", "wait_s"), [(1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (8, 5.0), (10**6, 5.0)]
)
def test_each_wait_is_twice_the_one_before_up_to_the_bound(tries, wait_s):
    assert BACKOFF.wait_s(tries) == pytest.approx(wait_s)


def test_chance_makes_a_wait_a_quarter_more_or_less():
    assert [BACKOFF.wait_s(7, chance) for chance in (0.0, 0.5, 1.0)] == pytest.approx([3.75, 5.0, 6.25])
