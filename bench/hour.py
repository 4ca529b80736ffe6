"""A million MACs that move for an hour: whether the daemon grows, and what it needs at rest and for a lone move before and after.

    table told ──> at rest ──> lone moves ──> moves, so many a second ──> at rest ──> lone moves ──> every row is read

Each MAC moves in its turn between two VTEPs, every time with the next sequence number, and the VTEP that lost it withdraws its route.
The order is a stride through all MACs, so that neighbors in one line were not neighbors before. Memory is what is resident; it is noted
at the start, when the table is complete, and after each tenth of the time.
"""

import random
import statistics
import time
from collections.abc import Iterator
from itertools import count, islice
from typing import Final

from bench import machine
from bench.figures import Figure, Limit
from bench.leaf import Ours, ours
from bench.moves import BYTES_MAX, LONE_MS_MAX, PAUSE_S_MAX, REST_PERCENT_MAX, STALL_MS_MAX, feed, stalls
from bench.routes import NEW, OLD, mac
from tests.lab.fdb_timing import FdbTimer

MACS: Final = 1_000_000
LONE: Final = 300
MOVES_A_SECOND: Final = 2_000
AT_ONCE: Final = 50
"""Moves in one line."""
REST_S: Final = 60.0
SAMPLES: Final = 6
STRIDE: Final = 700_001
PLACES: Final = (OLD, NEW)
GROWTH_MAX: Final = 1.02
"""Of the memory after the first part, in which every MAC moves for the first time; glibc's heap differs by a hundredth."""


def measure(minutes: float, macs: int = MACS) -> Iterator[Figure]:
    """Yield the figures as they are known, so that a run that is ended early has some."""
    table = f"{macs:,} MACs, and {minutes:g} minutes of moves"
    with ours(watched=True) as daemon:
        empty_kib, start = machine.resident_kib(daemon.pid), time.monotonic()
        feed(daemon, daemon.told.announce(range(macs)))
        daemon.say([daemon.told.end_of_rib()])
        there = daemon.rows.await_all([mac(number) for number in range(macs)], OLD, 1200)
        yield Figure(table, "converge, wall", "s", {"vtep": [there - start]})
        told = {"vtep": [_bytes(daemon, empty_kib, macs)]}
        yield Figure(table, "memory of the complete table", "B/MAC", told, Limit("vtep", "", BYTES_MAX))
        yield from _stalled(daemon, table, "converging", start)
        moves = Moves(daemon, macs)
        yield from _calm(daemon, moves, table, "before the moves")
        memory, start, cpu_s = dict[str, list[float]](), time.monotonic(), daemon.cpu_s()
        for part in range(1, SAMPLES + 1):
            moves.go_on(minutes * 60 / SAMPLES)
            memory[f"{minutes / SAMPLES * part:g} min"] = [_bytes(daemon, empty_kib, macs)]
            print(f"  {memory}", flush=True)
        first, *_, last = memory
        yield Figure(table, "memory while they move", "B/MAC", memory, Limit(last, first, GROWTH_MAX, fails_at=1.1))
        yield Figure(table, "CPU of a move", "us/MAC", {"vtep": [(daemon.cpu_s() - cpu_s) * 1e6 / moves.made]})
        yield Figure(table, "moves a second", "", {"vtep": [moves.made / (time.monotonic() - start)]})
        yield from _stalled(daemon, table, "moving", start)
        yield from _calm(daemon, moves, table, "after the moves")
        wrong = sum(1 for place in PLACES for _ in daemon.rows.wrong(moves.at(place), place))
        yield Figure(table, "wrong rows at the end", "", {"vtep": [wrong]}, Limit("vtep", "", 0))


class Moves:
    """Moves the MACs of a table in their turn, and knows where each is."""

    def __init__(self, daemon: Ours, macs: int) -> None:
        self.made = 0
        self._daemon = daemon
        self._seqs = [0] * macs
        self._turns = ((turn * STRIDE) % macs for turn in count())

    def at(self, place: str) -> list[str]:
        """Return the MACs that are there."""
        return [mac(number) for number, seq in enumerate(self._seqs) if PLACES[seq % 2] == place]

    def go_on(self, seconds: float) -> None:
        """Move MACs for so long, at the usual pace, or as fast as the daemon takes them if that is slower."""
        start, before = time.monotonic(), self.made
        while (now := time.monotonic()) < start + seconds:
            due = start + (self.made - before) / MOVES_A_SECOND
            if due > now:
                time.sleep(due - now)
            self._move(list(islice(self._turns, AT_ONCE)))
            self.made += AT_ONCE

    def lone(self) -> Iterator[float]:
        """Yield the milliseconds that each of some lone moves took, until the kernel announced it."""
        chance = random.Random(1)
        with FdbTimer(self._daemon.leaf) as timer:
            for number in islice(self._turns, LONE):
                time.sleep(chance.uniform(0, PAUSE_S_MAX))
                start = time.monotonic()
                self._move([number])
                (*_, arrived) = timer.until(mac(number), PLACES[self._seqs[number] % 2], 120)
                yield (arrived.at - start) * 1e3

    def _move(self, numbers: list[int]) -> None:
        """Announce each with its next sequence number, and withdraw it where it was."""
        told = self._daemon.told
        by_seq: dict[int, list[int]] = {}
        for number in numbers:
            self._seqs[number] += 1
            by_seq.setdefault(self._seqs[number], []).append(number)
        for seq, alike in by_seq.items():
            there, left = PLACES[seq % 2], PLACES[(seq - 1) % 2]
            self._daemon.say([*told.announce(alike, there, seq), *told.withdraw(alike, left)])


def _bytes(daemon: Ours, empty_kib: int, macs: int) -> float:
    return (machine.resident_kib(daemon.pid) - empty_kib) * 1024 / macs


def _calm(daemon: Ours, moves: Moves, table: str, when: str) -> Iterator[Figure]:
    """Say what the daemon needs at rest, its audit included, and how long lone moves take."""
    start, cpu_s = time.monotonic(), daemon.cpu_s()
    time.sleep(REST_S)
    percent = (daemon.cpu_s() - cpu_s) * 1e2 / (time.monotonic() - start)
    yield Figure(table, f"at rest, CPU, {when}", "%", {"vtep": [percent]}, Limit("vtep", "", REST_PERCENT_MAX))
    yield from _stalled(daemon, table, f"at rest, {when}", start)
    times = sorted(moves.lone())
    yield Figure(table, f"lone move p50, {when}", "ms", {"vtep": [statistics.median(times)]})
    p99 = {"vtep": [times[int(len(times) * 0.99)]]}
    yield Figure(table, f"lone move p99, {when}", "ms", p99, Limit("vtep", "", LONE_MS_MAX))
    yield Figure(table, f"lone move max, {when}", "ms", {"vtep": [times[-1]]})


def _stalled(daemon: Ours, table: str, during: str, since: float) -> Iterator[Figure]:
    """Say how long the longest piece of work held the loop; the kernel's own walk falls into it (history.md)."""
    for name, value in stalls(daemon, during, since):
        what, _, unit = name.rpartition(" ")
        limit = Limit("vtep", "", STALL_MS_MAX) if "own CPU" in what else None
        yield Figure(table, what, unit, {"vtep": [value]}, limit)
