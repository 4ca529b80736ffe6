"""`./vtep-dev torture`: every fault that the product claims to survive, injected and counted, one table of what was lost.

    --quick      a short version of each in a few minutes; judges no times
    --only NAME  one piece; may be given again
    --json FILE  keep the figures; torture/documents.py puts them into docs/reliability.md
    --seed N     choose the same moments again, as far as a machine can

What each fault is, is said by the module that injects it. The exit status is 1 if anything was not survived.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from bench import machine
from torture import clients, crash, devices, halts, hostile, kernel, layer3, ledger, segments, stream, vlans
from torture.tally import Outcome, Tally, text, to_json


class Extent(Struct, frozen=True):
    """How much of each."""

    kills: int
    records: int
    lives: int
    strokes: int
    devices: int
    events: int
    drops: int
    moves: int
    rounds: int
    stopped_s: float
    stops: int
    malformed: int
    vteps: int
    routes_of_one: int
    hands: int
    strokes_of_vrf: int
    vlan_faults: int
    segment_faults: int


FULL = Extent(
    kills=1000, records=120, lives=20, strokes=200, devices=20, events=10_000_000, drops=60, moves=100,
    rounds=3, stopped_s=60, stops=2, malformed=1000, vteps=8_000, routes_of_one=20_000, hands=25,
    strokes_of_vrf=400, vlan_faults=3, segment_faults=5
)  # fmt: skip
QUICK = Extent(
    kills=12, records=20, lives=1, strokes=8, devices=1, events=350_000, drops=4, moves=30,
    rounds=1, stopped_s=1, stops=1, malformed=6, vteps=2_000, routes_of_one=2_000, hands=1,
    strokes_of_vrf=30, vlan_faults=1, segment_faults=1
)  # fmt: skip
PIECES = ("crash", "ledger", "kernel", "stream", "clients", "time", "hostile", "devices", "layer3", "vlans", "segments")


def main() -> int:
    options = _parser().parse_args()
    extent = QUICK if options.quick else FULL
    date, machine_now = time.strftime("%Y-%m-%d"), machine.named()
    print(", ".join(f"{name} {value}" for name, value in machine_now.items()), flush=True)
    tallies: list[Tally] = []
    for piece in options.only or PIECES:
        start = time.monotonic()
        for tally in _piece(piece, extent, options.seed):
            print(text(tally), flush=True)
            tallies.append(tally)
        print(f"{piece}: {time.monotonic() - start:.0f} s", flush=True)
        if options.json is not None:
            options.json.write_bytes(to_json(Outcome(date, machine_now, options.quick, options.seed, tallies)))
    return 0 if all(tally.survived for tally in tallies) else 1


def _piece(piece: str, extent: Extent, seed: int) -> Iterator[Tally]:
    match piece:
        case "crash":
            yield from crash.torture(extent.kills, seed)
        case "ledger":
            with tempfile.TemporaryDirectory() as scratch:
                yield from ledger.torture(extent.records, extent.lives, seed, Path(scratch))
        case "kernel":
            yield from kernel.torture(extent.strokes, extent.devices, seed)
        case "stream":
            yield from stream.torture(extent.events, extent.drops, seed)
        case "clients":
            yield from clients.torture(extent.moves, extent.rounds, timed=extent is FULL)
        case "time":
            yield from halts.torture(extent.stopped_s, extent.stops, seed)
        case "hostile":
            yield from hostile.torture(extent.malformed, extent.vteps, extent.routes_of_one, seed)
        case "devices":
            yield from devices.torture(extent.hands, seed)
        case "layer3":
            with tempfile.TemporaryDirectory() as scratch:
                yield from layer3.torture(extent.strokes_of_vrf, seed, Path(scratch))
        case "vlans":
            yield from vlans.torture(extent.vlan_faults, seed)
        case "segments":
            yield from segments.torture(extent.segment_faults, seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vtep-dev torture", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short version of each")
    parser.add_argument("--only", action="append", choices=PIECES, help="one part of it; may be given again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
