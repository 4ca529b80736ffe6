"""The engine with a ledger that cannot be written: rows that have a claim follow what is wanted, and new ones wait."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.leaf import VNI, A, B, Leaf, M, N, written
from tests.lab.disk import full_disk
from vtep.addr import Mac
from vtep.linux.ledger import LedgerFile
from vtep.linux.tables.all import KINDS
from vtep.store import journal

EVERY_WAY = True

PLACE = {"boot": "this", "namespace": "this"}
MANY = [Mac(b"\x02\x09" + number.to_bytes(4)) for number in range(300)]
NEW = Mac(b"\x02\x08" + bytes(4))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def leaf(any_world, path: Path) -> Iterator[Leaf]:
    with any_world() as world, contextlib.closing(LedgerFile(path, KINDS, PLACE)) as ledger:
        yield Leaf(world, ledger)


def test_moves_and_removals_are_written_and_a_new_row_waits_with_its_reason(leaf: Leaf, path: Path) -> None:
    leaf.wanted_and_surveyed({M: A, N: A})
    with full_disk(path):
        leaf.want({M: B, NEW: A})
        report = leaf.pass_()

        assert (leaf.rows(M), leaf.rows(N), leaf.rows(NEW)) == (written("m", B), [], [])
        assert leaf.trouble(NEW) == "failed state-dir"
        assert str(path) in leaf.engine.troubles.get(("fdb", (VNI, NEW))).text
        assert (report.failed, report.converged) == (1, False)
        assert leaf.engine.changes["create", "ok"] == 2, "the kernel was not asked for the row that waits"

    leaf.now += 10
    leaf.pass_()

    assert (len(leaf.rows(NEW)), leaf.trouble(NEW), leaf.owns(NEW)) == (len(written("m", A)), "", True)


def test_many_rows_at_once_move_and_go_and_the_new_ones_among_them_wait(leaf: Leaf, path: Path) -> None:
    moving, going, new = MANY[:100], MANY[100:200], MANY[200:]
    leaf.wanted_and_surveyed(dict.fromkeys([*moving, *going], A))
    with full_disk(path):
        leaf.want(dict.fromkeys(moving, B) | dict.fromkeys(new, B))
        report = leaf.pass_()

        assert (report.replaced, report.deleted, report.created) == (100, 100, 0)
        assert {leaf.trouble(mac) for mac in new} == {"failed state-dir"}
        assert {leaf.trouble(mac) for mac in moving} == {""}

    leaf.now += 10
    leaf.pass_()

    assert {mac for mac in MANY if leaf.owns(mac)} == {*moving, *new}
    assert report.failed == 100


def test_a_mac_that_comes_back_has_its_row_again_since_the_file_still_has_its_claim(leaf: Leaf, path: Path) -> None:
    leaf.wanted_and_surveyed({M: A})
    with full_disk(path):
        leaf.want({})
        leaf.pass_()
        gone = leaf.rows(M)
        leaf.want({M: B})
        leaf.pass_()

        assert (gone, leaf.rows(M)) == ([], written("m", B))


def test_the_next_life_knows_what_moved_on_a_full_disk_as_its_own(leaf: Leaf, path: Path) -> None:
    leaf.wanted_and_surveyed({M: A, N: A})
    with full_disk(path):
        leaf.want({M: B, N: A})
        leaf.pass_()
        with contextlib.closing(LedgerFile(path, KINDS, PLACE)) as ledger:
            next_life = Leaf(leaf.world, ledger)
            next_life.wanted_and_surveyed({N: B})

            assert (next_life.rows(M), next_life.rows(N)) == ([], written("n", B))


def test_a_row_that_is_there_as_wanted_is_adopted_as_soon_as_it_can_be_claimed(leaf: Leaf, path: Path) -> None:
    leaf.wanted_and_surveyed({M: A})
    with contextlib.closing(LedgerFile(path.with_name("lost"), KINDS, PLACE)) as ledger:
        next_life = Leaf(leaf.world, ledger)
        with full_disk(path.with_name("lost")):
            next_life.wanted_and_surveyed({M: A})
            assert (next_life.rows(M), next_life.owns(M)) == (written("m", A), False)
            assert next_life.trouble(M) == "failed state-dir"
        next_life.audit()

        assert (next_life.rows(M), next_life.owns(M), next_life.trouble(M)) == (written("m", A), True, "")


def test_the_file_catches_up_by_itself(leaf: Leaf, path: Path) -> None:
    leaf.wanted_and_surveyed({M: A, N: A})
    with full_disk(path):
        leaf.want({M: B})
        leaf.pass_()
    leaf.ledger._journal._clock = lambda: time.monotonic() + journal.RETRY_S
    while leaf.ledger.status().trouble:
        leaf.ledger.tend()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())

    with contextlib.closing(LedgerFile(copy, KINDS, PLACE)) as ledger:
        found = dict(ledger.claims("fdb"))
        assert set(found) == {(VNI, M)}
        assert not found[VNI, M].any_row
