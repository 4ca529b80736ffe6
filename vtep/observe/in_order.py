"""Sorts very many keys for a page, a slice at a time, so that the event loop has its turns in between. Knows nothing of the keys."""

from collections.abc import AsyncIterator
from heapq import merge
from typing import Any, Final, TypeVar

from vtep.observe.turns import ROWS_A_TURN, Turns

K = TypeVar("K", bound=Any)

KEYS_A_TURN: Final = 1000
"""Keys that are sorted before the event loop has its turns: about half a millisecond of work."""


async def in_order(keys: list[K], after: K | None, turns: Turns) -> AsyncIterator[K]:
    """Yield the keys after this one, or all, in order."""
    runs = []
    for at in range(0, len(keys), KEYS_A_TURN):
        some = keys[at : at + KEYS_A_TURN]
        is_short = len(keys) <= ROWS_A_TURN
        runs.append(_run(some, after) if is_short else await turns.take(_run, some, after))
    for key in runs[0] if len(runs) == 1 else merge(*runs):
        yield key


def _run(keys: list[K], after: K | None) -> list[K]:
    return sorted(keys if after is None else (key for key in keys if key > after))
