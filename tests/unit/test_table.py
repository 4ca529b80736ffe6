"""The immutable mapping against a plain dictionary, and what its versions share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtep.table import Table

changes = st.dictionaries(st.integers(0, 30) | st.integers(), st.none() | st.integers(), max_size=8)


def settled(content: dict, change: dict) -> dict:
    return {key: value for key, value in {**content, **change}.items() if value is not None}


@given(st.lists(changes, max_size=8))
def test_every_version_is_what_a_dictionary_would_be_and_stays_so(history: list[dict]) -> None:
    versions = [(Table(), {})]
    for change in history:
        table, content = versions[-1]
        versions.append((table.changed(change), settled(content, change)))

    for table, content in versions:
        assert dict(table.unordered()) == content
        assert list(table) == sorted(content)
        assert len(table) == len(content)
        assert all(table[key] == value for key, value in content.items())
        assert table == content


@given(st.lists(changes, max_size=8))
def test_so_is_one_whose_buckets_were_split(history: list[dict]) -> None:
    """Hashes that are alike in their lowest 12 bits go to one bucket, and those in 16 bits to one part of it."""
    crowd = {number << 12: number for number in (*range(1, 200), *range(208, 1600, 16))}
    versions = [(Table(crowd.items()), crowd)]
    for change in history:
        table, content = versions[-1]
        near = {key << 12: value for key, value in change.items()}
        versions.append((table.changed(near), settled(content, near)))

    for table, content in versions:
        assert dict(table.unordered()) == content
        assert len(table) == len(content)
        assert all(table[key] == value for key, value in content.items())
        assert all((table.get(key), key in table) == (content.get(key), key in content) for key in crowd)


def test_what_is_not_there_is_not_there() -> None:
    table = Table([(1, "one")])

    assert (table.get(2), 1 in table, 2 in table) == (None, True, False)
    with pytest.raises(KeyError):
        table[2]


def test_a_key_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="duplicate key 1"):
        Table([(1, "one"), (1, "uno")])


def test_a_table_shows_its_content() -> None:
    assert repr(Table([(2, "two"), (1, "one")])) == "Table({1: 'one', 2: 'two'})"


def test_taking_away_what_is_not_there_changes_nothing() -> None:
    table = Table([(1, "one")])

    assert table.changed({2: None}) == table


def test_a_change_leaves_the_rest_the_very_same_objects() -> None:
    table = Table((number, object()) for number in range(10_000))

    changed = table.changed({5: object()})

    shared = sum(mine is theirs for mine, theirs in zip(table._trunk, changed._trunk, strict=True))
    assert shared == len(table._trunk) - 1


def test_a_change_in_a_crowd_leaves_the_rest_of_the_crowd_the_very_same_objects() -> None:
    table = Table((number << 12, object()) for number in range(1_000))

    changed = table.changed({5 << 12: object()})

    before, after = table._trunk[0][0], changed._trunk[0][0]
    shared = sum(mine is theirs for mine, theirs in zip(before, after, strict=True))
    assert shared == len(before) - 1
