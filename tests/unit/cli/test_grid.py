"""Tables fit, whatever is in them."""

import pytest

from vtep.cli import grid
from vtep.cli.grid import Column

COLUMNS = (Column("VNI", right=True), Column("MAC"), Column("STATE", state=True), Column("WHY", least=6))
ROWS = (
    ("100", "02:00:00:00:00:01", "installed", "only-path"),
    ("16777215", "02:00:00:00:00:02", "failed", "no room " * 20),
)


def test_numbers_are_on_the_right_and_nothing_trails():
    lines = grid.render(COLUMNS, ROWS[:1], 80)

    assert lines == ["VNI  MAC                STATE      WHY", "100  02:00:00:00:00:01  installed  only-path"]


@pytest.mark.parametrize("width", [10, 20, 30, 40, 50, 60, 80, 120, 400])
def test_no_line_is_wider_than_there_is_room(width):
    assert max(map(len, grid.render(COLUMNS, ROWS, width))) <= width


def test_what_may_be_shortened_is_cut_before_a_row_is_folded():
    lines = grid.render(COLUMNS, ROWS, 50)

    assert lines[0].split() == ["VNI", "MAC", "STATE", "WHY"]
    assert lines[2].endswith("…")
    assert "02:00:00:00:00:02" in lines[2]


def test_a_column_without_room_stands_below_after_a_sign():
    lines = grid.render(COLUMNS, ROWS, 44)

    assert [line.split()[:4] for line in lines] == [
        ["VNI", "MAC", "STATE"],
        ["↳", "WHY"],
        ["100", "02:00:00:00:00:01", "installed"],
        ["↳", "only-path"],
        ["16777215", "02:00:00:00:00:02", "failed"],
        ["↳", "no", "room", "no"],
    ]
    assert lines[-1].endswith("…")


def test_a_fold_without_content_takes_no_line():
    lines = grid.render(COLUMNS, [("1000", "02:00:00:00:00:01", "installed", ""), *ROWS[:1]], 40)

    assert [line.split()[0] for line in lines] == ["VNI", "↳", "1000", "100", "↳"]


def test_without_a_width_nothing_is_cut_or_folded():
    lines = grid.render(COLUMNS, ROWS, None)

    assert lines[2].endswith(ROWS[1][3].rstrip())
    assert len(lines) == 3


def test_a_later_part_has_no_header_and_no_narrower_column():
    table = grid.Grid(COLUMNS, None)

    first, second = table.lines(ROWS[1:]), table.lines(ROWS[:1])

    assert first[0].split() == ["VNI", "MAC", "STATE", "WHY"]
    assert second == ["     100  02:00:00:00:00:01  installed  only-path"]


def test_only_states_are_coloured_and_colours_take_no_room():
    plain, coloured = (grid.render(COLUMNS, ROWS, 60, colours=colours) for colours in (False, True))

    assert "\x1b" not in "".join(plain)
    assert "\x1b[32minstalled\x1b[0m" in coloured[1]
    assert "\x1b[31mfailed   \x1b[0m" in coloured[2]
    assert [line.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "") for line in coloured] == plain


def test_an_escape_sequence_in_a_cell_is_shown_and_not_obeyed():
    lines = grid.render(COLUMNS, [("1", "\x1b[2J", "failed", "\x07")], 80)

    assert lines[1].split() == ["1", r"\x1b[2J", "failed", r"\x07"]
