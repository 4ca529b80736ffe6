"""How work is cut into pieces."""

from vtep.reconcile.steps import parts_used_up


def test_a_list_that_is_used_up_is_shorter_by_each_part_and_holds_nothing_in_the_end() -> None:
    items = list(range(5))

    found = [(part, list(items)) for part in parts_used_up(items, 2)]

    assert found == [([3, 4], [0, 1, 2]), ([1, 2], [0]), ([0], [])]
