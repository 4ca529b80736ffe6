"""The table of what was proved against whom: peer x version x backend x scenario, with date and result.

Enters what one run found, and keeps what earlier runs found elsewhere. Does not judge: a cell is pytest's own verdict.
"""

import datetime as dt
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.interop.scene import Scene

HEAD: Final = """# What was proved, against whom

Made by `./vtep-dev interop --matrix interop/MATRIX.md`, which enters its own columns and keeps the others. Each line is
one test of `tests/interop`; the numbers are those of `interop/containerlab/README.md`.
"""


class Cell(NamedTuple):
    scenario: str
    column: str


class Record:
    """What one run found."""

    def __init__(self) -> None:
        self._results: dict[Cell, str] = {}

    def add(self, item: pytest.Item, report: pytest.TestReport, scene: Scene) -> None:
        cell = Cell(_scenario(item), f"{scene.peer}, {scene.backend}{_who(scene)}")
        if report.when == "call" or report.failed:
            verdict = "failed" if report.failed or self._results.get(cell) == "failed" else report.outcome
            self._results[cell] = verdict

    def enter(self, path: Path) -> None:
        today = dt.datetime.now(dt.UTC).date().isoformat()
        old = read(path.read_text()) if path.exists() else {}
        path.write_text(write(old | {cell: f"{result} {today}" for cell, result in self._results.items()}))


def write(cells: dict[Cell, str]) -> str:
    columns = sorted({cell.column for cell in cells})
    scenarios = sorted({cell.scenario for cell in cells}, key=_in_order)
    lines = [_line(["scenario", *columns]), _line(["---"] * (len(columns) + 1))]
    lines += [_line([name, *(cells.get(Cell(name, column), "") for column in columns)]) for name in scenarios]
    return "\n".join([HEAD, *lines, ""])


def read(text: str) -> dict[Cell, str]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    columns = lines[0][1:] if lines else []
    return {
        Cell(name, column): result
        for name, *results in lines[2:]
        for column, result in zip(columns, results, strict=True)
        if result
    }


def _scenario(item: pytest.Item) -> str:
    numbers = [number for mark in item.iter_markers("scenario") for number in mark.args]
    return f"{', '.join(numbers)}: {item.name.removeprefix('test_').replace('_', ' ')}"


def _in_order(scenario: str) -> tuple[str, int, str]:
    first = re.match(r"([a-z]*)(\d*)", scenario)
    assert first is not None
    return first[1], int(first[2] or 0), scenario


def _who(scene: Scene) -> str:
    return f", {'root' if _is_root() else 'user namespace'}" if scene.backend == "netns" else ""


def _is_root() -> bool:
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"] and not os.geteuid()


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
