"""What ./vtep-dev torture tells is what docs/reliability.md says, and a loss is told as one: nothing is injected here."""

import re
from pathlib import Path

import pytest

from torture import __main__ as command
from torture import documents
from torture.tally import Outcome, Tally, from_json, markdown, text, to_json

PAGE = documents.PAGE.read_text()
KEPT = [from_json(path.read_bytes()) for path in sorted(documents.FOLDER.glob("*.json"))]


def tally(
    injected: int = 3,
    recovered: int = 3,
    rows_lost: int | None = 0,
    packets_lost: int | None = 0,
    fault: str = "a fault",
) -> Tally:
    return Tally("crash", fault, injected, recovered, rows_lost, packets_lost, 1.5, "a note")


def outcome(*tallies: Tally, quick: bool = False) -> Outcome:
    return Outcome("2026-01-02", {"cores": "2"}, quick, 7, list(tallies))


@pytest.mark.parametrize(
    ("case", "survived"),
    [
        pytest.param(tally(), True, id="all recovered"),
        pytest.param(tally(rows_lost=None, packets_lost=None), True, id="nothing to count"),
        pytest.param(tally(recovered=2), False, id="one not recovered"),
        pytest.param(tally(rows_lost=1), False, id="a row lost"),
        pytest.param(tally(packets_lost=1), False, id="a packet lost"),
        pytest.param(tally(injected=0, recovered=0), False, id="a fault that never came"),
    ],
)
def test_a_fault_counts_as_survived_if_all_recovered_and_nothing_was_lost(case: Tally, survived: bool) -> None:
    assert case.survived is survived
    assert text(case).startswith("ok" if survived else "FAILED")
    assert ("not survived" in markdown([case])) is not survived


def test_a_run_is_kept_as_it_was() -> None:
    run = outcome(tally(), tally(rows_lost=None))

    assert from_json(to_json(run)) == run


def test_the_page_is_written_between_its_marks_and_says_what_was_run() -> None:
    page = f"before\n{documents.BEGIN}old\n{documents.END}after\n"

    filled = documents.filled(page, [outcome(tally(12_345, 12_345, fault="kill -9"), quick=True)])

    assert filled.startswith("before\n")
    assert filled.endswith("after\n")
    assert "old" not in filled
    assert "2026-01-02, short run, seed 7; cores 2." in filled
    assert "| kill -9 | 12,345 | 12,345 | 0 | 0 | 1.50 s | a note |" in filled


def test_the_pages_tables_are_those_of_the_kept_runs() -> None:
    in_order = sorted(KEPT, key=lambda kept: PAGE.index(f"### {kept.tallies[0].piece}"))

    assert documents.filled(PAGE, in_order) == PAGE


def test_the_page_tells_a_full_run_of_every_piece_that_the_command_has() -> None:
    faults = {tally.fault: tally for kept in KEPT for tally in kept.tallies}
    crashes = sum(tally.injected for tally in faults.values() if tally.piece == "crash")
    events = max((tally.injected for tally in faults.values() if tally.piece == "stream"), default=0)

    assert {tally.piece for tally in faults.values()} == set(command.PIECES)
    assert not any(kept.quick for kept in KEPT)
    assert crashes >= command.FULL.kills
    assert events >= command.FULL.events


def test_every_piece_of_the_help_is_explained_on_the_page_and_every_option_of_the_page_is_in_the_help() -> None:
    usage = command._parser().format_help()
    offered = set(re.search(r"--only \{(.*?)\}", usage)[1].split(","))
    explained = set(re.findall(r"^\| (\w+) \| ", PAGE.partition("## What was counted")[0], re.MULTILINE)) - {"piece"}

    assert offered == explained == set(command.PIECES)
    option = r"--[a-z-]+[a-z]"
    of_other_commands = {"--kernel", "--older-than"}
    assert set(re.findall(option, PAGE)) <= set(re.findall(option, usage)) | of_other_commands


def test_the_short_run_is_a_part_of_what_must_pass_before_a_change_lands() -> None:
    stages = (Path(documents.__file__).parents[1] / ".ci" / "run").read_text()

    assert "./vtep-dev torture --quick" in stages
    assert all(getattr(command.QUICK, name) <= getattr(command.FULL, name) for name in command.QUICK.__struct_fields__)
