"""The immutable mapping against a plain dictionary, while newer versions of it are made."""

import weakref
from bisect import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtep.store.table import Table, walk

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


@given(st.lists(changes, min_size=1, max_size=8), st.data())
def test_a_version_may_be_read_while_newer_ones_are_made(history: list[dict], data: st.DataObject) -> None:
    """A reader walks through it in pieces, and the table is changed between them."""
    table, content = Table(), {}
    for change in history:
        table, content = table.changed(change), settled(content, change)
    latest, walk, found = table, table.unordered(), []

    for _ in range(len(content) + 1):
        latest = latest.changed(data.draw(changes))
        found += [item for item in [next(walk, None)] if item is not None]

    assert sorted(found) == sorted(content.items())
    assert next(walk, None) is None


@given(st.lists(changes, min_size=1, max_size=4))
def test_many_keys_are_looked_up_in_one_call(history: list[dict]) -> None:
    keys = {key for change in history for key in change}
    versions, contents = [Table()], [{}]
    for change in history:
        versions.append(versions[-1].changed(change))
        contents.append(settled(contents[-1], change))

    for version, content in zip(versions, contents, strict=True):
        assert version.of(keys) == [content.get(key) for key in keys]


@given(st.lists(changes, min_size=1, max_size=8), st.data())
def test_the_latest_version_may_be_walked_through_while_newer_ones_are_made(history: list[dict], data) -> None:
    versions = [Table()]
    for change in history:
        versions.append(versions[-1].changed(change))
    always, once = set(versions[-1]), set(versions[-1].items())

    found = []
    for item in walk(lambda: versions[-1]):
        found.append(item)
        versions.append(versions[-1].changed(data.draw(changes)))
        always &= set(versions[-1])
        once |= set(versions[-1].items())

    assert always <= {key for key, _ in found}
    assert len({key for key, _ in found}) == len(found)
    assert set(found) <= once


def test_a_walk_through_the_latest_version_keeps_none_alive() -> None:
    table = Table((number, number) for number in range(1000))
    is_held = weakref.ref(table)
    walking = walk(lambda: table)

    next(walking)
    table = table.changed({1: None})

    assert is_held() is None


def test_few_shards_are_of_one_size_so_that_few_grow_at_the_same_time() -> None:
    sizes = sorted(map(len, Table((number.to_bytes(6), True) for number in range(64_000))._shards))

    assert 600 < sizes[0] < sizes[-1] < 1600
    assert max(bisect(sizes, size + 50) - at for at, size in enumerate(sizes)) < 16


@given(changes, st.lists(changes, min_size=2, max_size=4))
def test_several_versions_may_be_made_of_one(first: dict, ways: list[dict]) -> None:
    start = Table().changed(first)
    content = settled({}, first)

    versions = [start.changed(way) for way in ways]

    assert start == content
    assert versions == [settled(content, way) for way in ways]


def test_an_absent_key_is_absent() -> None:
    table = Table([(1, "one")])

    assert (table.get(2), 1 in table, 2 in table) == (None, True, False)
    with pytest.raises(KeyError):
        table[2]


def test_a_key_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="duplicate key 1"):
        Table([(1, "one"), (1, "uno")])


def test_a_table_shows_its_content() -> None:
    assert repr(Table([(2, "two"), (1, "one")])) == "Table({1: 'one', 2: 'two'})"


def test_removing_an_absent_key_changes_nothing() -> None:
    table = Table([(1, "one")])

    assert table.changed({2: None}) == table


def test_a_change_copies_nothing() -> None:
    table = Table((number << 48, object()) for number in range(10_000))

    changed = table.changed({5 << 48: object()})

    assert all(mine is theirs for mine, theirs in zip(table._shards, changed._shards, strict=True))


def test_versions_of_the_empty_table_leave_it_empty() -> None:
    nothing = Table()

    one, other = nothing.changed({1: "one"}), nothing.changed({2: "two"})

    assert (nothing, one, other, nothing._lost) == ({}, {1: "one"}, {2: "two"}, {})


def test_an_older_version_keeps_only_what_changed_since() -> None:
    older = Table((number, number) for number in range(10_000))

    newer = older.changed({5: 6}).changed({5: 7, 6: None, 10_001: 0})

    assert list(older._lost.values()) == [{5: 5, 6: 6, 10_001: None}]
    assert (newer._lost, len(older), len(newer)) == ({}, 10_000, 10_000)


def test_a_version_without_a_reference_keeps_nothing() -> None:
    table = Table([(1, "one")])
    held = table.changed({1: "uno"})
    table = held.changed({1: "un"})

    for number in range(100):
        table = table.changed({2: number})

    assert [older() for older in table._older] == [held, None]  # the last one was held until a moment ago


def test_what_changed_since_an_older_version_has_both_values():
    older = Table([(1, "a"), (2, "b"), (3, "c")])
    latest = older.changed({1: "A", 2: None}).changed({4: "d"})

    assert sorted(latest.changes_since(older), key=str) == [("a", "A"), ("b", None), (None, "d")]
    assert list(latest.changes_since(latest)) == []
    assert sorted(latest.changes_since(Table()), key=str) == [(None, "A"), (None, "c"), (None, "d")]
