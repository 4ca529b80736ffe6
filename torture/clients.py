"""Clients with bad manners at the real daemon's API, and how long the move of a row takes meanwhile.

One process of strangers (abusive_clients.py) calls without pause, asks for pages too large, sends tokens of its own making, opens
streams it never reads and connections it never finishes. The moves are timed as bench/moves.py does: from the line at
the feed socket to the kernel's own announcement; first with nobody there, then among them, then alone again.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.leaf import Ours, ours
from bench.routes import NEW, OLD, mac
from tests.lab.fdb_timing import FdbTimer
from tests.lab.wait import wait_until
from torture.tally import Tally

ROOT: Final = Path(__file__).parents[1]
MACS: Final = 5_000
PAUSE_S: Final = 0.01
TARGET: Final = 2.0
"""How much longer a move may take, by the median."""
DEADLINE_S: Final = 60.0


def torture(moves: int, rounds: int, *, timed: bool) -> Iterator[Tally]:
    """Time so many moves with nobody there and with each kind of stranger, by turns; untimed, they only have to arrive."""
    with ours() as daemon:
        daemon.say([*daemon.told.announce(range(MACS)), daemon.told.end_of_rib()])
        daemon.rows.await_all([mac(number) for number in range(MACS)], OLD, DEADLINE_S)
        mover = Mover(daemon)
        for manner, fault in MANNERS.items():
            idle, among = list[float](), list[float]()
            calls, alive = 0, True
            for _ in range(rounds):
                idle.append(mover.median_ms(moves))
                with _strangers(daemon, manner) as strangers:
                    among.append(mover.median_ms(moves))
                    alive &= strangers.poll() is None and daemon.process.alive
                    calls += _count(strangers)
            # The quietest turns of each: what the machine does besides comes and goes.
            ratio = min(among) / min(idle)
            survived = alive and (ratio <= TARGET or not timed)
            note = (
                f"a move takes {min(idle):.2f} ms alone and {min(among):.2f} ms among them (median of {moves}, the least of"
                f" {rounds} turns): {ratio:.2f} times"
            )
            allowed = f", {TARGET:g} allowed" if timed else ""
            yield Tally("clients", fault, calls, calls if survived else 0, None, None, None, note + allowed)


MANNERS: Final = {
    "flood": "calls without a pause, from 4 connections",
    "pages": "pages of 2^31-1 rows asked for again and again",
    "tokens": "page and resume tokens made up",
    "stalled": "streams that are never read",
    "halfopen": "connections that never finish their first frame",
}


class Mover:
    """Moves MACs to and fro, one at a time."""

    def __init__(self, daemon: Ours) -> None:
        self._daemon = daemon
        self._seq = 0
        self._to = OLD

    def median_ms(self, moves: int) -> float:
        """Move so many MACs to where they are not."""
        self._to = OLD if self._to == NEW else NEW
        return statistics.median(self._times(moves))

    def _times(self, moves: int) -> Iterator[float]:
        with FdbTimer(self._daemon.leaf) as timer:
            for number in range(moves):
                self._seq += 1
                lines = list(self._daemon.told.announce([number], self._to, self._seq))
                time.sleep(PAUSE_S)
                start = time.monotonic()
                self._daemon.say(lines)
                passed = timer.until(mac(number), self._to, DEADLINE_S)
                assert passed, f"{mac(number)} never moved to {self._to}"
                yield (passed[-1].at - start) * 1e3


def _strangers(daemon: Ours, manner: str) -> "subprocess.Popen[str]":
    address = f"unix:{daemon.leaf.path('/run/vtep/vtep.sock')}"
    command = [sys.executable, "-m", "torture.abusive_clients", address, manner]
    strangers = _Strangers(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert strangers.stdout is not None
    assert strangers.stdout.readline() == "begun\n"
    return strangers


class _Strangers(subprocess.Popen):  # type: ignore[type-arg]
    """Gone at the end of the context."""

    def __exit__(self, *error: object) -> None:
        self.kill()
        super().__exit__(*error)  # type: ignore[arg-type]


def _count(strangers: "subprocess.Popen[str]") -> int:
    """Have them say how often they did it."""
    strangers.terminate()
    assert strangers.stdout is not None
    said = wait_until(strangers.stdout.readline, 10, "their count")
    return int(said)
