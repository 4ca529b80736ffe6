"""Work cut into short pieces: a generator that yields between them, and yields what takes long as a call to make elsewhere.

One caller can run it to the end, another can let other work in between. Does not know what is done.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Step: TypeAlias = Callable[[], Any] | None
"""A long call, whose answer is sent back; None where others may have a turn."""
Steps: TypeAlias = Generator[Step, Any, T]


def run_to_end(steps: Steps[T]) -> T:
    """Run it to its end at once, and make its long calls here."""
    answer = None
    while True:
        try:
            call = steps.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        answer = None if call is None else call()


def parts(items: Iterable[T], most: int) -> Iterator[list[T]]:
    """Cut into lists of so many at most, taking from the items only what each list needs."""
    left = iter(items)
    while part := list(islice(left, most)):
        yield part


def parts_or_none(items: list[T], most: int) -> Iterator[list[T]]:
    """Cut likewise, but make one empty part of an empty list, so that a long search yields there."""
    yield from parts(items, most) if items else ([],)
