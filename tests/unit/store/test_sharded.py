"""A dictionary in parts is a dictionary: the same story told to both ends alike."""

from hypothesis import given
from hypothesis import strategies as st

from vtep.store.sharded import DROPPED_MAX, PARTS, ShardedDict

KEYS = st.binary(max_size=1)
CHANGES = st.lists(st.tuples(KEYS, st.none() | st.integers()))


@given(CHANGES, KEYS)
def test_it_holds_what_a_dictionary_would(changes: list[tuple[bytes, int | None]], asked: bytes) -> None:
    parted: ShardedDict[bytes, int] = ShardedDict()
    usual: dict[bytes, int] = {}

    for key, value in changes:
        if value is None:
            assert parted.pop(key) == usual.pop(key, None)
        else:
            parted[key] = usual[key] = value

    assert (dict(parted), len(parted), bool(parted)) == (usual, len(usual), bool(usual))
    assert (parted.get(asked, "none"), asked in parted) == (usual.get(asked, "none"), asked in usual)
    assert parted.part(asked).get(asked) == usual.get(asked)
    keys = [asked, *usual]
    assert parted.of(keys) == [usual.get(key) for key in keys]


def test_its_parts_are_about_as_large_as_one_another() -> None:
    parted: ShardedDict[bytes, bool] = ShardedDict()
    for number in range(1000 * PARTS):
        parted[number.to_bytes(6)] = True

    sizes = [len(part) for part in parted.parts]

    assert 800 < min(sizes) <= max(sizes) < 1200


def test_it_goes_some_thousands_of_keys_at_a_time() -> None:
    parted: ShardedDict[bytes, bool] = ShardedDict()
    for number in range(10 * DROPPED_MAX):
        parted[number.to_bytes(6)] = True

    left = [len(parted) for _ in parted.drop()]

    assert left == [*range(9 * DROPPED_MAX, -1, -DROPPED_MAX)]


def test_a_few_keys_go_at_once() -> None:
    parted: ShardedDict[bytes, bool] = ShardedDict()
    parted[b"key"] = True

    assert list(parted.drop()) == []
