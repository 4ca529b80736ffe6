"""Draws each table as one SVG: a row of bars for each figure, scaled to the longest of the row, so that ratios are seen.

Knows figures and nothing of what they mean.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final
from xml.sax.saxutils import escape

from bench.figures import Figure

_COLOURS: Final = ("#4477aa", "#ee6677", "#228833", "#ccbb44")
_BAR: Final = 16
_LEFT: Final = 250
_WIDE: Final = 420
_SIZE: Final = 12


def of(figures: Iterable[Figure]) -> dict[str, str]:
    """Return a drawing for each table, by a name for its file."""
    tables: dict[str, list[Figure]] = {}
    for figure in figures:
        if any(figure.sides.values()):
            tables.setdefault(figure.table, []).append(figure)
    return {re.sub(r"\W+", "-", name).strip("-").lower(): _draw(name, rows) for name, rows in tables.items()}


def _draw(title: str, figures: list[Figure]) -> str:
    sides = list(dict.fromkeys(side for figure in figures for side in figure.sides))
    colours = {side: _COLOURS[index % len(_COLOURS)] for index, side in enumerate(sides)}
    parts = [_text(10, 20, title, "bold")]
    y = 44
    for index, side in enumerate(sides):
        x = 10 + index * 150
        parts += [f'<rect x="{x}" y="{y - 10}" width="10" height="10" fill="{colours[side]}"/>', _text(x + 16, y, side)]
    y += 18
    for figure in figures:
        parts.append(_text(10, y + _SIZE, f"{figure.what}, {figure.unit}"))
        for bar in _bars(figure, colours, y):
            parts.append(bar)
        y += _BAR * sum(bool(values) for values in figure.sides.values()) + 10
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDE + 130}" height="{y}" font-family="sans-serif">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])


def _bars(figure: Figure, colours: dict[str, str], y: int) -> Iterator[str]:
    medians = {side: figure.median(side) for side, values in figure.sides.items() if values}
    longest = max(medians.values()) or 1.0
    for side, median in medians.items():
        width = max(1.0, _WIDE * median / longest)
        yield f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 3}" fill="{colours[side]}"/>'
        yield _text(int(_LEFT + width + 6), y + _SIZE, f"{median:.3g}" if median < 1000 else f"{median:,.0f}")
        y += _BAR


def _text(x: int, y: int, words: str, weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" font-size="{_SIZE}" font-weight="{weight}">{escape(words)}</text>'
