"""An immutable mapping whose next version shares everything that did not change.

    trunk ── 64 branches ── 64 buckets each ── a dict of what hashes there,
                                               or where that was too much: 16 such dicts

A change copies one trunk, one branch and one bucket, whatever the size: about 24 entries of a hundred thousand, and 15
and a list of 16 buckets of a million. Does not know what it holds. docs/decisions/0003 compares the roads not taken.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_FANOUT: Final = 64
_MASK: Final = _FANOUT - 1
_SHIFT: Final = 6

_BUCKET_MAX: Final = 64
"""A bucket with more entries becomes several: copying it would cost more than the way through one more list."""
_SPLIT: Final = 16
_SPLIT_MASK: Final = _SPLIT - 1
_SPLIT_SHIFT: Final = 2 * _SHIFT

_Bucket: TypeAlias = dict[Any, Any]
_Branch: TypeAlias = tuple[_Bucket | list[_Bucket], ...]
_NO_BUCKET: Final[_Bucket] = {}
_NO_BRANCH: Final[_Branch] = (_NO_BUCKET,) * _FANOUT
_NO_TRUNK: Final = (_NO_BRANCH,) * _FANOUT


class Table(Mapping[K, V], Generic[K, V]):
    """A version of the mapping. Iterates in the keys' order."""

    __slots__ = ("_size", "_trunk")

    def __init__(self, items: Iterable[tuple[K, V]] = ()) -> None:
        """Hold these items; a key that comes twice is refused, since one of the two would be lost."""
        self._trunk: tuple[_Branch, ...] = _NO_TRUNK
        self._size = 0
        changes: dict[K, V | None] = {}
        for key, value in items:
            if key in changes:
                raise ValueError(f"duplicate key {key}")
            changes[key] = value
        version = self.changed(changes)
        self._trunk, self._size = version._trunk, version._size

    def changed(self, changes: Mapping[K, V | None]) -> "Table[K, V]":
        """Return the version in which these keys have these values; None means no value."""
        if not changes:
            return self
        trunk = list(self._trunk)
        fresh: dict[int, list[_Bucket | list[_Bucket]]] = {}
        owned: set[int] = set()
        size = self._size
        for key, value in changes.items():
            place = hash(key)
            high, low = place & _MASK, (place >> _SHIFT) & _MASK
            branch = fresh.get(high)
            if branch is None:
                branch = fresh[high] = list(trunk[high])
            slot = high << _SHIFT | low
            if slot not in owned:
                owned.add(slot)
                branch[low] = branch[low].copy()
            whole = branch[low]
            bucket = _own(whole, place, owned) if isinstance(whole, list) else whole
            before = len(bucket)
            if value is None:
                bucket.pop(key, None)
            else:
                bucket[key] = value
                if before == _BUCKET_MAX and whole is bucket:
                    branch[low] = _split(bucket)
            size += len(bucket) - before
        for high, branch in fresh.items():
            trunk[high] = tuple(branch)
        version: Table[K, V] = Table()
        version._trunk = tuple(trunk)
        version._size = size
        return version

    def unordered(self) -> Iterator[tuple[K, V]]:
        """Yield every item in no order, for readers who need none and would not pay for sorting."""
        for branch in self._trunk:
            if branch is not _NO_BRANCH:
                for bucket in branch:
                    parts = bucket if isinstance(bucket, list) else (bucket,)
                    for part in parts:
                        yield from part.items()

    def __getitem__(self, key: K) -> V:
        place = hash(key)
        bucket = self._trunk[place & _MASK][(place >> _SHIFT) & _MASK]
        value: V = (bucket[place >> _SPLIT_SHIFT & _SPLIT_MASK] if isinstance(bucket, list) else bucket)[key]
        return value

    # What Mapping makes of __getitem__ would raise and catch for every absent key.

    def get(self, key: Any, default: Any = None) -> Any:
        place = hash(key)
        bucket = self._trunk[place & _MASK][(place >> _SHIFT) & _MASK]
        return (bucket[place >> _SPLIT_SHIFT & _SPLIT_MASK] if isinstance(bucket, list) else bucket).get(key, default)

    def __contains__(self, key: object) -> bool:
        place = hash(key)
        bucket = self._trunk[place & _MASK][(place >> _SHIFT) & _MASK]
        return key in (bucket[place >> _SPLIT_SHIFT & _SPLIT_MASK] if isinstance(bucket, list) else bucket)

    def __iter__(self) -> Iterator[K]:
        return iter(sorted(key for key, _ in self.unordered()))  # type: ignore[type-var]

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return self._size > 0

    def __repr__(self) -> str:
        return f"Table({dict(self.items())!r})"


def _split(bucket: _Bucket) -> list[_Bucket]:
    parts: list[_Bucket] = [{} for _ in range(_SPLIT)]
    for key, value in bucket.items():
        parts[hash(key) >> _SPLIT_SHIFT & _SPLIT_MASK][key] = value
    return parts


def _own(parts: list[_Bucket], place: int, owned: set[int]) -> _Bucket:
    """Return the part to change, copied when it is changed for the first time."""
    part = place >> _SPLIT_SHIFT & _SPLIT_MASK
    slot = ~(place & (_SPLIT << _SPLIT_SHIFT) - 1)
    if slot not in owned:
        owned.add(slot)
        parts[part] = parts[part].copy()
    return parts[part]
