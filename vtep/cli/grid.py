"""Tables for a terminal: columns, a header, and what happens if there is no room.

The rule: a column is as wide as its widest cell. On a terminal that is too narrow, the columns that may be shortened are
cut, from the right, each down to its least width; what is cut ends in `…`. If that is not enough, a row is folded: the
columns that have no room stand in a line of their own below, after the sign `↳`. No column is left out and no line wraps.
Without a width (a pipe, a file, `-o wide`) every cell is whole. Knows text only.

Rows may come in parts: a column never gets narrower from one part to the next, and nothing waits for the last row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vtep.cli.text import painted, plain

GAP: Final = "  "
CUT: Final = "…"
FOLD: Final = "  ↳ "


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, and what may be done to it where the terminal is narrow."""

    name: str
    right: bool = False
    """Numbers are aligned to the right."""
    least: int = 0
    """It may be shortened to so many characters; 0: never."""
    state: bool = False
    """Its words are states, which are colored."""
    wide: bool = False
    """Only `-o wide` shows it."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a column stands in one of the lines of a row."""

    index: int
    """Which column of the table."""
    width: int
    """In characters; it may be less than its cells need."""


def render(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None, *, colours: bool = False
) -> list[str]:
    """Return the header and the rows as lines of at most this width; without a width, as wide as they need."""
    return Grid(columns, width, colours=colours).lines(rows)


class Grid:
    """A table whose rows come in parts."""

    def __init__(self, columns: Sequence[Column], width: int | None, *, colours: bool = False) -> None:
        self._columns = columns
        self._width = width
        self._colours = colours
        self._wanted = [len(column.name) for column in columns]
        self._has_header = False

    def lines(self, rows: Sequence[Sequence[str]]) -> list[str]:
        """Return the lines of the next rows; the header comes before the first ones."""
        cells = [tuple(map(plain, row)) for row in rows]
        self._wanted = [
            max(wanted, *map(len, column))
            for wanted, column in zip(self._wanted, zip(self._names(), *cells, strict=True), strict=True)
        ]
        layout = _layout(self._columns, self._wanted, self._width)
        header = [] if self._has_header else list(self._row(layout, self._names(), colours=False))
        self._has_header = True
        return header + [line for row in cells for line in self._row(layout, row, colours=self._colours)]

    def _names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self._columns)

    def _row(self, layout: list[list[_Place]], cells: Sequence[str], *, colours: bool) -> Iterator[str]:
        for number, places in enumerate(layout):
            if number and not any(cells[place.index] for place in places):
                continue  # nothing is left to say
            parts = (self._cell(place, cells[place.index], colours=colours) for place in places)
            yield (FOLD * (number > 0) + GAP.join(parts)).rstrip()

    def _cell(self, place: _Place, cell: str, *, colours: bool) -> str:
        column = self._columns[place.index]
        shown = cell if len(cell) <= place.width else cell[: place.width - 1] + CUT
        padded = shown.rjust(place.width) if column.right else shown.ljust(place.width)
        return painted(cell, padded) if colours and column.state else padded


def _layout(columns: Sequence[Column], wanted: Sequence[int], width: int | None) -> list[list[_Place]]:
    """Return the columns of each line of a row, with their widths."""
    if width is None:
        return [[_Place(index, size) for index, size in enumerate(wanted)]]
    lines: list[list[_Place]] = []
    left = list(range(len(columns)))
    while left:
        room = width - len(FOLD) * bool(lines)
        count = _fitting([_floor(columns[index], wanted[index]) for index in left], room)
        here, left = left[:count], left[count:]
        sizes = _shrunk([columns[index] for index in here], [wanted[index] for index in here], room)
        lines.append([_Place(index, size) for index, size in zip(here, sizes, strict=True)])
    return lines


def _floor(column: Column, wanted: int) -> int:
    """Return the least width of the column."""
    return min(wanted, max(column.least, len(column.name))) if column.least else wanted


def _fitting(floors: Sequence[int], room: int) -> int:
    """Return how many of the columns fit beside each other, from the left; one always does."""
    return max(count for count in range(1, len(floors) + 1) if count == 1 or _total(floors[:count]) <= room)


def _shrunk(columns: Sequence[Column], wanted: Sequence[int], room: int) -> list[int]:
    """Return the widths of columns that fit, after cutting those that may be cut, from the right."""
    widths = list(wanted)
    for index in reversed(range(len(widths))):
        excess = _total(widths) - room
        if excess > 0:
            widths[index] = max(_floor(columns[index], widths[index]), widths[index] - excess)
    widths[0] = min(widths[0], room)
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)
