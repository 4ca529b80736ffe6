"""Puts kept runs into docs: `python -m torture.documents FILE...` after `./vtep-dev torture --json FILE`.

The tables of docs/reliability.md are between two marks and written anew, one for each run; its figures are beside it.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from torture.tally import Outcome, from_json, markdown, to_json

PAGE: Final = Path(__file__).parents[1] / "docs" / "reliability.md"
FOLDER: Final = PAGE.with_suffix("")
BEGIN: Final = "<!-- tables: written by torture/documents.py -->\n"
END: Final = "<!-- end of tables -->\n"


def main(kept: Iterable[Path]) -> None:
    outcomes = [from_json(path.read_bytes()) for path in kept]
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for outcome in outcomes:
        (FOLDER / f"{_name(outcome)}.json").write_bytes(to_json(outcome) + b"\n")
    PAGE.write_text(filled(PAGE.read_text(), outcomes))


def filled(page: str, outcomes: Iterable[Outcome]) -> str:
    """Return the page with these runs in it."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "".join(map(_section, outcomes)) + END + rest.partition(END)[2]


def _section(outcome: Outcome) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in outcome.machine.items())
    extent = "short" if outcome.quick else "full"
    run = f"{outcome.date}, {extent} run, seed {outcome.seed}; {machine}."
    return f"\n### {_name(outcome)}\n\n{run}\n\n{markdown(outcome.tallies)}\n"


def _name(outcome: Outcome) -> str:
    """Name a run by its pieces."""
    return "-".join(dict.fromkeys(tally.piece for tally in outcome.tallies))


if __name__ == "__main__":
    main(map(Path, sys.argv[1:]))
