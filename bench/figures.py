"""What was measured, side by side: medians, ratios, limits; as a table for people and as JSON.

Knows numbers and their names. Does not know how any of them came about.
"""

import statistics
from collections.abc import Iterable

import msgspec
from msgspec import Struct


class Limit(Struct, frozen=True):
    """One side over another."""

    side: str
    over: str
    """The other side; empty: the figure itself is limited, and never fails a run, since machines differ."""
    target: float
    fails_at: float | None = None
    """A ratio that no noise explains: the run fails."""


class Figure(Struct, frozen=True):
    """One thing that was measured on one or more sides, by turns, several times."""

    table: str
    what: str
    unit: str
    sides: dict[str, list[float]]
    limit: Limit | None = None
    note: str = ""

    def median(self, side: str) -> float:
        return statistics.median(self.sides[side])

    @property
    def measured(self) -> float | None:
        """What the limit is about."""
        limit = self.limit
        if limit is None or not self.sides.get(limit.side) or (limit.over and not self.sides.get(limit.over)):
            return None
        value = self.median(limit.side)
        return value / self.median(limit.over) if limit.over else value

    @property
    def reached(self) -> bool | None:
        return None if self.measured is None or self.limit is None else self.measured <= self.limit.target

    @property
    def fails(self) -> bool:
        limit, measured = self.limit, self.measured
        return bool(limit and limit.over and limit.fails_at and measured is not None and measured > limit.fails_at)


class Outcome(Struct, frozen=True):
    """A whole run."""

    machine: dict[str, str]
    quick: bool
    figures: list[Figure]


def to_json(outcome: Outcome) -> bytes:
    return msgspec.json.format(msgspec.json.encode(outcome), indent=1)


def from_json(octets: bytes) -> Outcome:
    return msgspec.json.decode(octets, type=Outcome)


def text(figures: Iterable[Figure]) -> str:
    """Return one table, a heading for each group."""
    lines: list[str] = []
    table = ""
    for figure in figures:
        if figure.table != table:
            table = figure.table
            lines += ["", table]
        sides = [f"{side} {_spread(values)}" for side, values in figure.sides.items() if values]
        lines.append(f"  {figure.what:<34} {'   '.join(sides)} {figure.unit}{_judged(figure)}")
        if figure.note:
            lines.append(f"      {figure.note}")
    return "\n".join(lines)


def markdown(figures: Iterable[Figure]) -> dict[str, str]:
    """Return each table in Markdown, by its name."""
    tables: dict[str, list[Figure]] = {}
    for figure in figures:
        tables.setdefault(figure.table, []).append(figure)
    return {name: "\n".join(_markdown(rows)) for name, rows in tables.items()}


def aims(figures: Iterable[Figure]) -> str:
    """Return what was aimed at and what was reached, in Markdown."""
    lines = ["| part | figure | aim | reached |", "| --- | --- | --- | --- |"]
    for figure in figures:
        if figure.limit is not None and figure.measured is not None:
            verdict = f"{'yes' if figure.reached else '**no**'}: {figure.measured:.2f}"
            lines.append(f"| {figure.table} | {figure.what} ({figure.unit}) | {_target(figure.limit)} | {verdict} |")
    return "\n".join(lines) + "\n"


def _markdown(figures: list[Figure]) -> Iterable[str]:
    sides = list(dict.fromkeys(side for figure in figures for side in figure.sides))
    yield f"| | unit | {' | '.join(sides)} | runs | ratio or value | target |"
    yield f"| --- | --- |{' --- |' * (len(sides) + 3)}"
    for figure in figures:
        cells = [_spread(figure.sides.get(side, [])) for side in sides]
        runs = "/".join(dict.fromkeys(str(len(values)) for values in figure.sides.values()))
        judged = "" if figure.measured is None else f"{figure.measured:.2f}"
        target = _target(figure.limit) if figure.limit else ""
        verdict = {None: "", True: "", False: " **missed**"}[figure.reached]
        yield f"| {figure.what} | {figure.unit} | {' | '.join(cells)} | {runs} | {judged} | {target}{verdict} |"


def _spread(values: list[float]) -> str:
    if not values:
        return "–"
    middle = _number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))} to {_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _judged(figure: Figure) -> str:
    if figure.limit is None or figure.measured is None:
        return ""
    word = "ok" if figure.reached else "missed"
    name = f"{figure.limit.side}/{figure.limit.over} " if figure.limit.over else ""
    return f"   [{name}{figure.measured:.2f}, target {figure.limit.target:g}: {word}]"


def _target(limit: Limit) -> str:
    return f"{limit.side} ≤ {limit.target:g}" + (f" × {limit.over}" if limit.over else "")


def transposed(runs: Iterable[dict[str, float]]) -> dict[str, list[float]]:
    """Turn runs of named figures into figures of many runs."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.items():
            found.setdefault(name, []).append(value)
    return found
