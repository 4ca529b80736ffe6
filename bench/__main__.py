"""`./vtep-dev bench`: every measurement, the sides of each by turns, one table of ratios.

    --quick      small tables and few runs, in less than two minutes; fails only on ratios that no noise explains
    --only WORD  kernel, lines, exabgp, advertise, moves, readers, prefixes, segments or vnis;
                 hour, which is only taken if it is asked for: a million MACs that move for so many --minutes
    --json FILE  keep the figures; bench/documents.py puts them into docs/benchmarks.md

What each figure is, is said by the module that measures it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from bench import (
    advertise,
    exabgp,
    hour,
    kernel_writes,
    lines,
    machine,
    moves,
    prefixes,
    readers,
    routed,
    segments,
    shared,
)
from bench.figures import Figure, Outcome, text, to_json
from tests.lab.namespaces import Missing
from tests.lab.peers import FRR_FOLDERS


class Extent(Struct, frozen=True):
    """How much is measured."""

    runs: int
    kernel: tuple[int, ...]
    lines: tuple[int, ...]
    exabgp: int
    tables: tuple[int, ...]
    moves: int
    listed: int
    advertised: int
    prefixes: tuple[int, ...]
    segments: tuple[int, ...]
    vnis: tuple[int, ...]
    audits: bool = False


FULL = Extent(
    5,
    (10_000, 100_000, 1_000_000),
    (20_000, 100_000),
    100_000,
    (1_000, 100_000, 1_000_000),
    300,
    100_000,
    10_000,
    (100_000, 500_000),
    (10_000, 100_000),
    (400, 4_000),
    audits=True,
)
QUICK = Extent(
    3, (10_000,), (20_000,), 10_000, (1_000, 20_000), 60, 20_000, 2_000, (5_000,), (1_000, 10_000), (100, 200)
)
LARGE = 500_000
LARGE_RUNS = 1
"""Such large tables take minutes, so they are taken once; every figure says how often."""
PIECES = ("kernel", "lines", "exabgp", "advertise", "moves", "readers", "prefixes", "segments", "vnis")


ALONE = ("hour",)
"""What takes so long that it is only measured if it is asked for."""


def main() -> int:
    options = _parser().parse_args()
    extent = QUICK if options.quick else FULL
    machine_now = machine.named()
    print(", ".join(f"{name} {value}" for name, value in machine_now.items()), flush=True)
    start, figures = time.monotonic(), list[Figure]()
    for piece in options.only or PIECES:
        found: list[Figure] = []
        for figure in _measured(piece, extent, options):
            if any(figure.sides.values()):
                found.append(figure)
                _keep(options, Outcome(machine_now, options.quick, [*figures, *found]))
        print(text(found), flush=True)
        figures += found
    print(f"\n{time.monotonic() - start:.0f} s; medians, with the least and the most of the runs")
    failed = [figure for figure in figures if figure.fails]
    for figure in failed:
        print(f"FAILED: {figure.table}, {figure.what}: {figure.measured:.2f}", file=sys.stderr)
    return 1 if failed else 0


def _measured(piece: str, extent: Extent, options: argparse.Namespace) -> Iterator[Figure]:
    if piece == "hour":
        yield from hour.measure(options.minutes, 20_000 if options.quick else hour.MACS)
    else:
        yield from _piece(piece, extent, options.runs or extent.runs)


def _piece(piece: str, extent: Extent, runs: int) -> Iterator[Figure]:
    frr = any((folder / "bgpd").exists() for folder in FRR_FOLDERS)
    try:
        if piece == "kernel":
            with tempfile.TemporaryDirectory() as scratch:
                for macs in extent.kernel:
                    yield from kernel_writes.measure(macs, _fewer(runs, macs), Path(scratch))
        elif piece == "lines":
            for macs in extent.lines:
                yield from lines.measure(macs, runs, frr=frr)
        elif piece == "exabgp":
            yield from exabgp.measure(extent.exabgp, runs, frr=frr)
        elif piece == "advertise":
            yield from advertise.measure(extent.advertised, runs)
        elif piece == "prefixes":
            with tempfile.TemporaryDirectory() as scratch:
                for count in extent.prefixes:
                    yield from prefixes.measure(
                        count, 1 if extent is QUICK else _fewer(min(runs, 3), count), Path(scratch)
                    )
            for count in () if extent is QUICK else extent.prefixes:
                yield from routed.measure(count, _fewer(min(runs, 3), count), frr=frr)
        elif piece == "segments":
            yield from segments.measure(extent.segments, 1 if extent is QUICK else min(runs, 3), frr=frr)
        elif piece == "vnis":
            yield from shared.measure(extent.vnis, 1 if extent is QUICK else min(runs, 3))
        elif piece == "readers":
            yield from readers.measure(extent.listed, runs)
        else:
            sizes = {macs: _fewer(runs, macs) for macs in extent.tables}
            yield from moves.measure(sizes, extent.moves, audits=extent.audits)
    except Missing as missing:
        print(f"not measured: {piece}: {missing}", file=sys.stderr)


def _fewer(runs: int, macs: int) -> int:
    return min(runs, LARGE_RUNS) if macs >= LARGE else runs


def _keep(options: argparse.Namespace, outcome: Outcome) -> None:
    if options.json is not None:
        options.json.write_bytes(to_json(outcome))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vtep-dev bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="under two minutes; fails only on ratios, with wide margins"
    )
    parser.add_argument("--only", action="append", choices=PIECES + ALONE, help="one part of it; may be given again")
    parser.add_argument("--runs", type=int, help="instead of five (three with --quick)")
    parser.add_argument("--minutes", type=float, default=60.0, help="for how long the MACs of `hour` move (60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
