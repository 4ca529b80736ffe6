"""What waits to be looked at, and what has the first turn."""

from vtep.reconcile.waiting import Waiting


def test_a_key_waits_until_it_is_taken() -> None:
    waiting: Waiting[int] = Waiting()
    assert not waiting

    waiting.add([1, 2])
    assert (bool(waiting), 1 in waiting, 3 in waiting) == (True, True, False)

    assert waiting.take(10) == {1, 2}
    assert (bool(waiting), 1 in waiting) == (False, False)


def test_at_most_so_many_are_taken_at_a_time_and_in_the_end_all() -> None:
    waiting: Waiting[int] = Waiting()
    waiting.add(range(25))

    turns = [waiting.take(10) for _ in range(4)]

    assert [len(turn) for turn in turns] == [10, 10, 5, 0]
    assert set().union(*turns) == set(range(25))


def test_a_few_new_keys_go_before_a_million_older_ones() -> None:
    waiting: Waiting[int] = Waiting()
    waiting.add(range(100))
    waiting.take(10)

    waiting.add([1000, 1001])
    taken = waiting.take(10)

    assert (taken >= {1000, 1001}, len(taken)) == (True, 10)


def test_many_new_keys_wait_until_the_older_ones_had_their_turns() -> None:
    waiting: Waiting[int] = Waiting()
    waiting.add(range(15))
    waiting.take(10)

    waiting.add(range(100, 120))

    assert len(waiting.take(10) & set(range(15))) == 5


def test_all_can_be_taken_at_once() -> None:
    waiting: Waiting[int] = Waiting()
    waiting.add(range(15))
    waiting.take(10)
    waiting.add(range(100, 103))

    assert (len(waiting.take_all()), bool(waiting)) == (8, False)
