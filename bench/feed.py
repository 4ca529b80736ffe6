"""What a line costs until it is judged: decoding, RIB, projection; and whether one MAC costs the same in any table.

    python -m bench.feed [--macs 100000] [--runs 5]

Prints medians of CPU time by this process's clock, memory as resident growth, and the ratio that counts: a single
change in a large table beside one in a small table, taken in the same run.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Iterator

from tests.lab import wire
from tests.lab.lines import Lines, read_lines
from vtep.config import file as config
from vtep.projection.leaf import Leaf

LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
import_rt = ["65000:100"]
"""
PER_LINE = 50
PEERS = ("10.0.0.1", "10.0.0.2")
SMALL = 1_000


def main() -> None:
    options = _parser().parse_args()
    print(f"{options.macs} MACs from {len(PEERS)} peers (every route twice), {PER_LINE} routes a line")
    runs = [table(options.macs) for _ in range(options.runs)]
    for name in runs[0]:
        figures = [run[name] for run in runs]
        print(f"  {name:<34} {statistics.median(figures):8.2f}   ({min(figures):.2f} to {max(figures):.2f})")
    ratios = [change(options.large) / change(SMALL) for _ in range(options.runs)]
    print(f"one MAC changing among {options.large:,} costs {statistics.median(ratios):.2f} of one among {SMALL:,}")


def table(macs: int) -> dict[str, float]:
    """Hear a whole table from route reflectors, then judge it."""
    lines = Lines()
    stream = [line for peer in PEERS for line in announcements(lines, peer, macs)]
    gc.collect()
    before = resident_kib()
    leaf = Leaf(config.parse(LEAF), 0.0)
    start = time.process_time()
    leaf.receive(read_lines(stream), 0.0)
    heard = time.process_time()
    memory = resident_kib() - before
    leaf.judge(0.0)
    judged = time.process_time()
    paths = macs * len(PEERS)
    return {
        "decode and RIB, us per route": (heard - start) * 1e6 / paths,
        "projection, us per MAC": (judged - heard) * 1e6 / macs,
        "RIB, KiB per path": memory / paths,
    }


def change(macs: int) -> float:
    """Return the median time of one MAC's move, from its line to the new intent."""
    lines = Lines()
    leaf = Leaf(config.parse(LEAF), 0.0)
    leaf.receive(read_lines(announcements(lines, PEERS[0], macs)), 0.0)
    leaf.judge(0.0)
    gc.collect()
    gc.freeze()
    moves = [lines.announce(PEERS[1], wire.Instance(PEERS[1]).mac(mac(number), seq=1)) for number in range(SMALL)]
    times = []
    for move in moves:
        start = time.perf_counter()
        leaf.receive(read_lines([move]), 1.0)
        leaf.judge(1.0)
        times.append(time.perf_counter() - start)
    gc.unfreeze()
    return statistics.median(times)


def announcements(lines: Lines, peer: str, macs: int) -> Iterator[bytes]:
    instance = wire.Instance(PEERS[0])
    for first in range(0, macs, PER_LINE):
        yield lines.announce(peer, *(instance.mac(mac(number)) for number in range(first, min(macs, first + PER_LINE))))


def mac(number: int) -> str:
    return (2 << 40 | number).to_bytes(6).hex(":")


def resident_kib() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--macs", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=1_000_000, help="the large table of the comparison")
    parser.add_argument("--runs", type=int, default=5)
    return parser


if __name__ == "__main__":
    main()
