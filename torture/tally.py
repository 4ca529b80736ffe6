"""What a fault did: how often it was injected and survived, what was lost, how long it took; as text, Markdown and JSON.

Knows numbers and their names. Does not know how any of them came about.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct


class Tally(Struct, frozen=True):
    """One kind of fault."""

    piece: str
    fault: str
    injected: int
    recovered: int
    rows_lost: int | None = None
    """Rows that stayed valid and were away or wrong for a moment, foreign rows that changed; none where no row was at stake."""
    packets_lost: int | None = None
    """None where no packets flowed."""
    worst_s: float | None = None
    """The longest recovery; none where there is nothing to wait for."""
    note: str = ""

    @property
    def survived(self) -> bool:
        return self.injected == self.recovered > 0 and not self.rows_lost and not self.packets_lost


class Outcome(Struct, frozen=True):
    """A run, of one piece or of all."""

    date: str
    machine: dict[str, str]
    quick: bool
    seed: int
    tallies: list[Tally]


def to_json(outcome: Outcome) -> bytes:
    return msgspec.json.format(msgspec.json.encode(outcome), indent=1)


def from_json(octets: bytes) -> Outcome:
    return msgspec.json.decode(octets, type=Outcome)


def text(tally: Tally) -> str:
    """Return one line for a terminal, and the note below."""
    verdict = "ok    " if tally.survived else "FAILED"
    line = f"{verdict} {tally.piece}: {tally.fault}: {tally.recovered:,} of {tally.injected:,} recovered"
    lost = [
        f"{count:,} {what} lost"
        for count, what in ((tally.rows_lost, "rows"), (tally.packets_lost, "packets"))
        if count is not None
    ]
    worst = [] if tally.worst_s is None else [f"worst {tally.worst_s:.2f} s"]
    return "\n      ".join([", ".join([line, *lost, *worst]), *([tally.note] if tally.note else [])])


def markdown(tallies: Iterable[Tally]) -> str:
    """Return the table of docs/reliability.md."""
    lines = [
        "| fault | injected | recovered | rows lost | packets lost | worst recovery | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for tally in tallies:
        worst = "–" if tally.worst_s is None else f"{tally.worst_s:.2f} s"
        cells = (tally.injected, tally.recovered, tally.rows_lost, tally.packets_lost)
        numbers = " | ".join("–" if cell is None else f"{cell:,}" for cell in cells)
        verdict = "" if tally.survived else " **not survived**"
        lines.append(f"| {tally.fault} | {numbers} | {worst} | {tally.note}{verdict} |")
    return "\n".join(lines)
