"""Tables for a terminal: columns, a header, and what is cut if there is no room.

The rule: a column is as wide as its widest cell. If the table is too wide, the columns that may be shortened are cut,
from the right, each down to its least width; what is cut ends in `…`. If that is not enough, columns are dropped from the
right. No line wraps. Knows text only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vtep.cli.text import painted, plain

GAP: Final = "  "
CUT: Final = "…"


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    right: bool = False
    """Numbers are aligned to the right."""
    least: int = 0
    """It may be shortened to so many characters; 0: never."""
    state: bool = False
    """Its words are states, which are colored."""


def render(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, *, colours: bool = False) -> list[str]:
    """Return the header and the rows as lines of at most this width."""
    cells = [tuple(map(plain, row)) for row in rows]
    widths = _fit(columns, [max(map(len, column)) for column in zip(_names(columns), *cells, strict=True)], width)
    lines = [_line(columns, _names(columns), widths, colours=False)]
    lines += [_line(columns, row, widths, colours=colours) for row in cells]
    return lines


def _names(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def _fit(columns: Sequence[Column], wanted: Sequence[int], width: int) -> list[int]:
    """Return the width of each column that stays."""
    widths = list(wanted)
    for index in reversed(range(len(widths))):
        excess = _total(widths) - width
        if excess > 0 and columns[index].least:
            floor = min(widths[index], max(columns[index].least, len(columns[index].name)))
            widths[index] = max(floor, widths[index] - excess)
    while len(widths) > 1 and _total(widths) > width:
        widths.pop()
        _give_back(wanted, widths, width)
    widths[0] = min(widths[0], width)
    return widths


def _give_back(wanted: Sequence[int], widths: list[int], width: int) -> None:
    """Give the room of a dropped column to the columns that stay, from the left."""
    for index in range(len(widths)):
        widths[index] += max(0, min(wanted[index] - widths[index], width - _total(widths)))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int], *, colours: bool) -> str:
    parts = []
    for column, cell, width in zip(columns, cells, widths, strict=False):
        shown = cell if len(cell) <= width else cell[: width - 1] + CUT
        padded = shown.rjust(width) if column.right else shown.ljust(width)
        parts.append(painted(cell, padded) if colours and column.state else padded)
    return GAP.join(parts).rstrip()
