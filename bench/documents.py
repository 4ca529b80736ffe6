"""Puts the figures of a kept run into docs: `python -m bench.documents FILE` after `./vtep-dev bench --json FILE`.

The tables of docs/benchmarks.md are between two marks and written anew; plots and figures are beside it.
"""

import sys
from pathlib import Path
from typing import Final

from bench import plots
from bench.figures import Outcome, from_json, markdown

PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"
FOLDER: Final = PAGE.with_suffix("")
BEGIN: Final = "<!-- figures: written by bench/documents.py -->\n"
END: Final = "<!-- end of figures -->\n"


def main(kept: Path) -> None:
    octets = kept.read_bytes()
    outcome = from_json(octets)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "figures.json").write_bytes(octets + b"\n")
    drawings = plots.of(outcome.figures)
    for name, svg in drawings.items():
        (FOLDER / f"{name}.svg").write_text(svg)
    PAGE.write_text(filled(PAGE.read_text(), outcome, list(drawings)))


def filled(page: str, outcome: Outcome, drawings: list[str]) -> str:
    """Return the page with these figures in it."""
    machine = ", ".join(f"{name} {value}" for name, value in outcome.machine.items())
    parts = [BEGIN, f"Machine: {machine}.\n"]
    for (name, table), drawing in zip(markdown(outcome.figures).items(), drawings, strict=True):
        parts.append(f"\n### {name}\n\n{table}\n\n![{name}](benchmarks/{drawing}.svg)\n")
    before, _, rest = page.partition(BEGIN)
    return before + "".join(parts) + END + rest.partition(END)[2]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
