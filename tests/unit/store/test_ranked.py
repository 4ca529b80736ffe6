"""A sorted sequence of which each version stays as it was."""

import random

import pytest

from tests.lab.steps import Steps
from vtep.store.ranked import BLOCK, Ranked


class Named:
    def __init__(self, name: int) -> None:
        self.name = name


def rank(one: Named) -> int:
    return one.name


def test_it_has_what_a_sorted_list_has_after_any_changes_and_older_versions_stay() -> None:
    at_random = random.Random(1)
    ranked: Ranked[Named] = Ranked()
    there: list[Named] = []
    kept: list[tuple[Ranked[Named], list[Named]]] = []
    for step in range(4000):
        if there and (at_random.random() < 0.4 or step > 3000):
            gone = at_random.choice(there)
            there.remove(gone)
            ranked = ranked.without(gone, rank)
        else:
            come = Named(at_random.randrange(300))  # many are equal
            there.append(come)
            ranked = ranked.with_(come, rank)
        if step % 100 == 0:
            kept.append((ranked, sorted(there, key=rank)))
        assert len(ranked) == len(there)
        assert not there or ranked.first.name == min(map(rank, there))
    for version, values in kept:
        assert list(version) == list(reversed(version))[::-1] == values == list(Ranked.of(values, rank))


@pytest.mark.parametrize("change", ["with_", "without"])
def test_a_change_of_a_large_one_takes_few_more_steps_than_of_a_small_one(change: str) -> None:
    taken = []
    for count in (10, 100 * BLOCK):
        values = [Named(number) for number in range(count)]
        ranked = Ranked.of(values, rank)
        with Steps() as steps:
            getattr(ranked, change)(values[count // 2], rank)
        taken.append(steps.taken)

    assert taken[1] <= 4 * taken[0]
