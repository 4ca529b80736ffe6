"""What happened, in two rings."""

import ast
import re
from itertools import pairwise
from pathlib import Path

from tests.lab.memory import MemoryLeaf
from vtep.addr import Mac
from vtep.observe.history import EVENT_KINDS, History, HistoryEntry
from vtep.reconcile.report import NEWS_STATES

ROOT = Path(__file__).parents[3]


def numbers(found):
    return [entry.number for entry in found[0]]


def filled(*kinds, most=3):
    journal = History(most)
    for at, kind in enumerate(kinds, 1):
        journal.add(HistoryEntry(kind), float(at), generation=10 * at)
    return journal


def test_an_entry_gets_its_number_its_time_and_the_generation():
    entry = History().add(HistoryEntry("move", reason="higher-seq"), 5.0, 7)

    assert (entry.number, entry.time, entry.generation, entry.reason) == (1, 5.0, 7, "higher-seq")


def test_a_storm_of_moves_pushes_nothing_else_out():
    journal = filled("peer-up", *["move"] * 9, "peer-down")

    found, forgotten = journal.entries()
    assert [entry.number for entry in found] == [1, 8, 9, 10, 11]
    assert forgotten == 6


def test_entries_are_in_the_order_in_which_they_happened():
    assert numbers(filled("a", "move", "b", "move").entries()) == [1, 2, 3, 4]


def test_only_later_entries_are_returned():
    journal = filled("a", "move", "b", "move")

    assert numbers(journal.entries(after=2)) == [3, 4]
    assert numbers(journal.entries(since=3.0)) == [4]
    assert journal.entries(after=4) == ([], 0)


def test_what_is_older_than_asked_for_does_not_count_as_forgotten():
    journal = filled("a", "b", "c", "d", "e")

    assert journal.entries(after=2)[1] == 0
    assert journal.entries(after=1)[1] == 1
    assert journal.entries(since=4.5)[1] == 2


def test_the_kinds_that_the_code_records_are_the_kinds_of_the_list():
    assert _recorded() == set(EVENT_KINDS)


def test_the_kinds_of_the_list_are_documented_with_their_meaning():
    section = (ROOT / "docs" / "json.md").read_text().partition("\n## Event kinds\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", section, re.MULTILINE))

    assert {kind: re.sub(r"\[(\S+)\]\(\S+\)", r"docs/\1", text) for kind, text in rows.items()} == EVENT_KINDS


def test_the_status_page_gives_a_look_to_known_kinds_only():
    page = (ROOT / "vtep" / "api" / "http" / "page.html").read_text()
    looks = re.search(r"const EVENT_LOOKS = \{(.*?)\};", page, re.DOTALL)

    assert looks is not None
    assert set(re.findall(r'"?([a-z-]+)"?: "[a-z]+"', looks[1])) <= set(EVENT_KINDS)


def _recorded() -> set[str]:
    """Return each text that the package gives to `HistoryEntry` or to `News` of a row as the kind."""
    found = set(NEWS_STATES)
    for path in sorted((ROOT / "vtep").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            at = {"HistoryEntry": 0, "News": 1}.get(call.func.id)
            if at is None or path.is_relative_to(ROOT / "vtep" / "local"):
                continue
            found |= {part.value for part in _values(call.args[at]) if isinstance(part, ast.Constant)}
    return found


def _values(kind: ast.expr) -> list[ast.expr]:
    """Return what an expression may be: both sides of `a if condition else b`."""
    return [kind.body, kind.orelse] if isinstance(kind, ast.IfExp) else [kind]


def test_the_latest_entries_can_be_asked_for_and_the_others_count_as_missing():
    found, missing = filled("a", "move", "b", "move", "c").entries(latest=2)

    assert [entry.number for entry in found] == [4, 5]
    assert missing == 3


def test_the_entries_of_a_mac_are_in_order():
    journal = History(10)
    one, two = (Mac.parse(f"02:00:00:00:00:0{number}") for number in (1, 2))
    for kind, mac in (("move", one), ("contested", one), ("move", two), ("move", one), ("repaired", None)):
        journal.add(HistoryEntry(kind, mac=mac), 1.0, 1)

    assert [entry.number for entry in journal.entries_of(one)] == [1, 2, 4]


def test_the_last_hour_of_counts_is_kept_a_point_every_ten_seconds():
    with MemoryLeaf() as rig:
        rig.step()
        for _ in range(5000):
            rig.observer.cut()
            rig.now += 1.0

        points = rig.observer.points()
        assert len(points) == 360
        assert {later.time - sooner.time for sooner, later in pairwise(points)} == {10.0}
        assert points[-1].time > rig.now - 11
