"""A sharded dictionary behaves like a plain one that sees the same changes."""

from hypothesis import given
from hypothesis import strategies as st

from vtep.store.sharded import DROPPED_MAX, SHARDS, ShardedDict

KEYS = st.binary(max_size=1)
CHANGES = st.lists(st.tuples(KEYS, st.none() | st.integers()))


@given(CHANGES, KEYS)
def test_it_holds_what_a_dictionary_would(changes: list[tuple[bytes, int | None]], asked: bytes) -> None:
    sharded: ShardedDict[bytes, int] = ShardedDict()
    usual: dict[bytes, int] = {}

    for key, value in changes:
        if value is None:
            assert sharded.pop(key) == usual.pop(key, None)
        else:
            sharded[key] = usual[key] = value

    assert (dict(sharded), len(sharded), bool(sharded)) == (usual, len(usual), bool(usual))
    assert (sharded.get(asked, "none"), asked in sharded) == (usual.get(asked, "none"), asked in usual)
    assert sharded.shard(asked).get(asked) == usual.get(asked)
    keys = [asked, *usual]
    assert sharded.of(keys) == [usual.get(key) for key in keys]


def test_the_shards_are_about_equally_large() -> None:
    sharded: ShardedDict[bytes, bool] = ShardedDict()
    for number in range(1000 * SHARDS):
        sharded[number.to_bytes(6)] = True

    sizes = [len(shard) for shard in sharded.shards]

    assert 800 < min(sizes) <= max(sizes) < 1200


def test_many_keys_are_dropped_some_thousands_at_a_time() -> None:
    sharded: ShardedDict[bytes, bool] = ShardedDict()
    for number in range(10 * DROPPED_MAX):
        sharded[number.to_bytes(6)] = True

    left = [len(sharded) for _ in sharded.drop()]

    assert left == [*range(9 * DROPPED_MAX, -1, -DROPPED_MAX)]


def test_a_few_keys_are_dropped_at_once() -> None:
    sharded: ShardedDict[bytes, bool] = ShardedDict()
    sharded[b"key"] = True

    assert list(sharded.drop()) == []
