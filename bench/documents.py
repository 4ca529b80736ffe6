"""Puts the figures of kept runs into docs: `python -m bench.documents FILE...` after `./vtep-dev bench --json FILE`.

Of several files, such as a full run and a run of `hour`, a table is taken from the last one that has it. Two parts of docs/benchmarks.md
are between marks and written anew: what was aimed at with what was reached, and all tables. Plots and figures are beside it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import plots
from bench.figures import Figure, Outcome, aims, from_json, markdown, to_json

PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"
FOLDER: Final = PAGE.with_suffix("")
BEGIN: Final = "<!-- figures: written by bench/documents.py -->\n"
END: Final = "<!-- end of figures -->\n"
AIMS: Final = "<!-- aims: written by bench/documents.py -->\n"
END_OF_AIMS: Final = "<!-- end of aims -->\n"


def main(*kept: Path) -> None:
    outcome = merged([from_json(path.read_bytes()) for path in kept])
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "figures.json").write_bytes(to_json(outcome) + b"\n")
    drawings = plots.of(outcome.figures)
    for name, svg in drawings.items():
        (FOLDER / f"{name}.svg").write_text(svg)
    PAGE.write_text(filled(PAGE.read_text(), outcome, list(drawings)))


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the figures of several runs as one; the machine is that of the first."""
    tables: dict[str, list[Figure]] = {}
    for outcome in outcomes:
        for name in dict.fromkeys(figure.table for figure in outcome.figures):
            tables[name] = [figure for figure in outcome.figures if figure.table == name]
    return Outcome(outcomes[0].machine, outcomes[0].quick, [figure for table in tables.values() for figure in table])


def filled(page: str, outcome: Outcome, drawings: list[str]) -> str:
    """Return the page with these figures in it."""
    machine = ", ".join(f"{name} {value}" for name, value in outcome.machine.items())
    parts = [BEGIN, f"Machine: {machine}.\n"]
    for (name, table), drawing in zip(markdown(outcome.figures).items(), drawings, strict=True):
        parts.append(f"\n### {name}\n\n{table}\n\n![{name}](benchmarks/{drawing}.svg)\n")
    return _between(_between(page, BEGIN, "".join(parts), END), AIMS, AIMS + aims(outcome.figures), END_OF_AIMS)


def _between(page: str, begin: str, text: str, end: str) -> str:
    before, _, rest = page.partition(begin)
    return before + text + end + rest.partition(end)[2]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
