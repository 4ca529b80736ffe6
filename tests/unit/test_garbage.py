"""What the collector looks at while rows are judged. Each test gives back what it put aside."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from vtep.garbage import WORK_MAX, YOUNG_MAX, Shelf


class Thing:
    """One that can be in a cycle, and of which a weak reference tells whether it is still there."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _given_back() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_a_large_judgement_made_is_looked_at_no_more() -> None:
    with Shelf().judging(WORK_MAX):
        made = Thing()

    assert not _is_looked_at(made)


def test_what_a_small_judgement_made_is_looked_at() -> None:
    with Shelf().judging(WORK_MAX - 1):
        made = Thing()

    assert _is_looked_at(made)


def test_what_many_small_judgements_made_is_put_aside_together() -> None:
    shelf = Shelf()
    made = []

    for _ in range(WORK_MAX):
        with shelf.judging(1):
            made.append(Thing())

    assert not any(map(_is_looked_at, made))


def test_what_was_garbage_before_a_judgement_is_not_put_aside() -> None:
    garbage = weakref.ref(Thing())

    with Shelf().judging(WORK_MAX):
        found = garbage()

    assert found is None


def test_nothing_is_looked_at_during_a_large_judgement_and_all_is_afterwards() -> None:
    looks: list[str] = []

    with Shelf().judging(WORK_MAX):
        gc.callbacks.append(lambda phase, _: looks.append(phase))
        made = [Thing() for _ in range(YOUNG_MAX)]
        gc.callbacks.pop()

    assert (looks, len(made), gc.isenabled()) == ([], YOUNG_MAX, True)


def test_a_judgement_that_fails_leaves_the_collector_at_work() -> None:
    with pytest.raises(ZeroDivisionError), Shelf().judging(WORK_MAX):
        1 / 0  # noqa: B018 - raises

    assert gc.isenabled()


def _is_looked_at(thing: object) -> bool:
    return any(one is thing for one in gc.get_objects())
