"""One MAC moves in a table of many: from its line, written to the feed socket, to the kernel's own announcement.

An outside listener of the kernel's announcements takes the time, so its wake-up is in the figure. Between two moves is a
pause of up to 60 ms, taken by chance, for a daemon may be quick only when it was idle, or only when it was not. The same
daemon then tells what it needs for its table, what it needs at rest, with its audits, and how long its loop was held.
"""

import json
import random
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from bench import machine
from bench.figures import Figure, Limit
from bench.leaf import STALLS, Ours, ours
from bench.routes import NEW, OLD, mac
from tests.lab.fdb_timing import FdbTimer
from vtep.reconcile.actor import AUDIT_S

PAUSE_S_MAX: Final = 0.06
PART: Final = 2000
"""Lines that are made and fed at a time, so that a large table need not be ready as text."""
STALL_MS_MAX: Final = 25.0
BYTES_MAX: Final = 350
LONE_MS_MAX: Final = 1.5
"""For a table of a million, whatever its size."""
REST_PERCENT_MAX: Final = 2.0
"""Of a core, for a table that does not change, its audits included."""


def measure(runs: Mapping[int, int], moves: int, *, audits: bool) -> list[Figure]:
    """Take the sizes by turns, each so many times."""
    sizes = list(runs)
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for turn in range(max(runs.values())):
        for size in (size for size in sizes if turn < runs[size]):
            found[size].append(_one(size, moves, audits=audits and size == max(sizes)))
    return [*_latencies(sizes, found), *_tables(sizes, found)]


def _one(macs: int, moves: int, *, audits: bool) -> dict[str, float]:
    with ours(watched=True) as daemon:
        return dict(_told(daemon, macs, moves, audits=audits))


def _told(daemon: Ours, macs: int, moves: int, *, audits: bool) -> Iterator[tuple[str, float]]:
    names = [mac(number) for number in range(macs)]
    empty_kib, cpu_s, start = machine.resident_kib(daemon.pid), daemon.cpu_s(), time.monotonic()
    feed(daemon, daemon.told.announce(range(macs)))
    daemon.say([daemon.told.end_of_rib()])
    there = daemon.rows.await_all(names, OLD, 600)
    yield "converge, wall s", there - start
    yield "converge, CPU us", (daemon.cpu_s() - cpu_s) * 1e6 / macs
    yield "memory KiB", (machine.resident_kib(daemon.pid) - empty_kib) / macs
    yield "memory peak KiB", (machine.peak_kib(daemon.pid) - empty_kib) / macs
    yield from stalls(daemon, "converge", start)
    start = time.monotonic()
    times = sorted(_moved(daemon, macs, moves))
    yield "move p50 ms", statistics.median(times)
    yield "move p99 ms", times[int(len(times) * 0.99)]
    yield "move max ms", times[-1]
    yield from stalls(daemon, "move", start)
    if audits:
        start, cpu_s = time.monotonic(), daemon.cpu_s()
        time.sleep(AUDIT_S + 1)
        yield "at rest, CPU %", (daemon.cpu_s() - cpu_s) * 1e2 / (time.monotonic() - start)
        yield from stalls(daemon, "audit", start)
    start, cpu_s = time.monotonic(), daemon.cpu_s()
    feed(daemon, daemon.told.withdraw(range(moves), NEW))
    feed(daemon, daemon.told.withdraw(range(macs)))
    gone = daemon.rows.await_all(names, "", 600)
    yield "drain, wall s", gone - start
    yield "drain, CPU us", (daemon.cpu_s() - cpu_s) * 1e6 / macs
    yield from stalls(daemon, "drain", start)


def feed(daemon: Ours, lines: Iterable[bytes]) -> None:
    """Feed many lines, some at a time."""
    part: list[bytes] = []
    for line in lines:
        part.append(line)
        if len(part) == PART:
            daemon.say(part)
            part = []
    daemon.say(part)


def _moved(daemon: Ours, macs: int, moves: int) -> Iterator[float]:
    """Yield the milliseconds that each of so many moves took."""
    chance = random.Random(1)
    with FdbTimer(daemon.leaf) as timer:
        for number in range(min(moves, macs)):
            (line,) = daemon.told.announce([number], NEW, 1)
            time.sleep(chance.uniform(0, PAUSE_S_MAX))
            start = time.monotonic()
            daemon.say([line])
            (*_, arrived) = timer.until(mac(number), NEW, 120)
            yield (arrived.at - start) * 1e3


def stalls(daemon: Ours, during: str, since: float) -> Iterator[tuple[str, float]]:
    """Yield the longest piece of work since then, by the clock and by its own CPU."""
    notes = [json.loads(note) for note in daemon.leaf.path(STALLS).read_text().splitlines()]
    lately = [(held_s, cpu_s) for held_s, cpu_s, at, _ in notes if at >= since]
    yield f"{during} stall ms", max((held_s for held_s, _ in lately), default=0.0) * 1e3
    yield f"{during} stall, own CPU ms", max((cpu_s for _, cpu_s in lately), default=0.0) * 1e3


def _latencies(sizes: list[int], found: dict[int, list[dict[str, float]]]) -> Iterator[Figure]:
    small, large = f"{min(sizes):,}", f"{max(sizes):,}"
    for name in ("p50", "p99", "max"):
        sides = {f"{size:,}": [run[f"move {name} ms"] for run in runs] for size, runs in found.items()}
        limit = Limit(large, small, 1.5, fails_at=None) if name == "p99" else None
        yield Figure("Latency of one move, by size of the table", name, "ms", sides, limit)
        if name == "p99":
            yield Figure(
                "Latency of one move, by size of the table",
                f"p99 at {large}",
                "ms",
                {large: sides[large]},
                Limit(large, "", LONE_MS_MAX),
            )


def _tables(sizes: list[int], found: dict[int, list[dict[str, float]]]) -> Iterator[Figure]:
    large = f"{max(sizes):,}"
    words: dict[str, float | None] = {
        "converge, wall s": None,
        "converge, CPU us": None,
        "drain, wall s": None,
        "drain, CPU us": None,
        "memory KiB": BYTES_MAX / 1024,
        "memory peak KiB": None,
        "at rest, CPU %": REST_PERCENT_MAX,
    }
    for during in ("converge", "move", "audit", "drain"):
        words |= {f"{during} stall ms": STALL_MS_MAX, f"{during} stall, own CPU ms": None}
    for word, most in words.items():
        what, _, unit = word.rpartition(" ")
        sides = {f"{size:,}": [run[word] for run in runs if word in run] for size, runs in found.items()}
        per = "/MAC" if unit in ("us", "KiB") else ""
        limit = Limit(large, "", most) if most is not None and sides[large] else None
        yield Figure("One table, by its size", what, unit + per, sides, limit)
