"""A dictionary split into 64 shards, so that neither resizing nor freeing it blocks the event loop.

A full dictionary copies all its keys when it grows, and frees every key and value at once when it is deleted. With half
a million entries, each takes a tenth of a second or more. A shard is small, and the shards do not grow at the same
moment.

It behaves like a dictionary without an order. A caller that changes the same key several times takes its shard once
(`shard`), which saves a call. Knows nothing about its keys and values.
"""

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SHARDS: Final = 64
"""With a million entries a shard has about 16,000. To resize that takes a few milliseconds, by the figures above."""
DROPPED_MAX: Final = 2048
"""Freeing an entry takes one or two microseconds, where nothing else refers to it."""
_SHIFT: Final = 58
"""The highest bits of the hash choose the shard, because a dictionary places its keys by the lowest bits."""


class ShardedDict(MutableMapping[K, V]):
    """The dictionary. To iterate or to count it goes through all shards; everything else looks at one."""

    __slots__ = ("shards",)

    def __init__(self) -> None:
        self.shards: list[dict[K, V]] = [{} for _ in range(SHARDS)]

    def shard(self, key: K) -> dict[K, V]:
        """Return the dictionary to which this key belongs."""
        return self.shards[hash(key) >> _SHIFT & SHARDS - 1]

    def __getitem__(self, key: K) -> V:
        return self.shards[hash(key) >> _SHIFT & SHARDS - 1][key]

    def __setitem__(self, key: K, value: V) -> None:
        self.shards[hash(key) >> _SHIFT & SHARDS - 1][key] = value

    def __delitem__(self, key: K) -> None:
        del self.shards[hash(key) >> _SHIFT & SHARDS - 1][key]

    def __iter__(self) -> Iterator[K]:
        for shard in self.shards:
            yield from shard

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def __bool__(self) -> bool:
        return any(self.shards)

    # MutableMapping makes these from __getitem__, and would raise and catch a KeyError for every absent key.

    def __contains__(self, key: object) -> bool:
        return key in self.shards[hash(key) >> _SHIFT & SHARDS - 1]

    def get(self, key: Any, default: Any = None) -> Any:
        return self.shards[hash(key) >> _SHIFT & SHARDS - 1].get(key, default)

    def of(self, keys: Iterable[K]) -> list[V | None]:
        """Return the value of each of these keys, or None; a call for each key would double the cost."""
        shards = self.shards
        return [shards[hash(key) >> _SHIFT & SHARDS - 1].get(key) for key in keys]

    def shards_of(self, keys: Iterable[K]) -> list[dict[K, V]]:
        """Return the dictionary to which each of these keys belongs."""
        shards = self.shards
        return [shards[hash(key) >> _SHIFT & SHARDS - 1] for key in keys]

    def pop(self, key: Any, default: Any = None) -> Any:
        """Remove a key and return its value; return the default if the key is absent."""
        return self.shards[hash(key) >> _SHIFT & SHARDS - 1].pop(key, default)

    def drop(self) -> Iterator[None]:
        """Remove everything, and yield after each 2,048 entries, so that the caller can let the event loop run."""
        dropped = 0
        for shard in self.shards:
            while shard:
                shard.popitem()
                dropped += 1
                if dropped == DROPPED_MAX:
                    dropped = 0
                    yield
