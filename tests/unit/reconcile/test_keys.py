"""A set in parts."""

from itertools import pairwise

from vtep.reconcile.keys import DROPPED_MAX, Keys


def test_it_holds_what_was_added_and_nothing_else() -> None:
    keys = Keys()

    keys.add([(100, b"m"), (100, b"n")])
    keys.add([(100, b"m")])

    assert [key in keys for key in ((100, b"m"), (100, b"n"), (200, b"m"))] == [True, True, False]


def test_its_keys_go_some_thousands_at_a_time() -> None:
    keys = Keys()
    keys.add((100, b"%d" % number) for number in range(10 * DROPPED_MAX))

    parts = keys._parts
    left = [sum(map(len, parts)) for _ in keys.drop()]

    assert len(parts) == 0
    assert max(more - less for more, less in pairwise([10 * DROPPED_MAX, *left, 0])) < 2 * DROPPED_MAX


def test_a_few_keys_go_at_once() -> None:
    keys = Keys()
    keys.add([(100, b"m")])

    assert list(keys.drop()) == []
