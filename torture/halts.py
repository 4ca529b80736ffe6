"""Time that stands still or jumps: processes that are stopped and go on, and a wall clock that nobody may believe.

SIGSTOP is what a suspended machine or a starved container is to a process: its monotonic clock went on, or did not, and
what it should have done is late. The wall clock of a daemon is made to jump by up to a year, both ways, at every look.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.lab.wait import wait_until
from torture.leaf import Leaf, Watch, leaf
from torture.tally import Tally

JUMPING: Final = str(Path(__file__).with_name("jumping.py"))
STROKE_S: Final = 1.0


def torture(stopped_s: float, times: int, seed: int) -> Iterator[Tally]:
    """Stop each process for so long, so often; then live by a clock that jumps."""
    chance = random.Random(seed)
    for name, pid in PROCESSES.items():
        fault = f"{name} stopped (SIGSTOP) for {stopped_s:g} s under churn"
        yield _counted(fault, times, chance, lambda one, pid=pid: _stopped(one, pid(one), stopped_s))
    yield _counted("the wall clock jumps by up to a year at every look", times, chance, _jumping)


def _daemon(one: Leaf) -> int:
    assert one.vtep.process is not None
    return one.vtep.process.pid


def _relay(one: Leaf) -> int:
    (pid,) = wait_until(one.relays, what="a relay")
    return pid


def _exabgp(one: Leaf) -> int:
    assert one.exabgp.process is not None
    return one.exabgp.process.pid


PROCESSES: Final[dict[str, Callable[[Leaf], int]]] = {
    "the daemon": _daemon,
    "the relay": _relay,
    "ExaBGP": _exabgp,
}


def _stopped(one: Leaf, pid: int, stopped_s: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        end = time.monotonic() + stopped_s
        while time.monotonic() < end:
            one.churn()
            time.sleep(min(STROKE_S, stopped_s))
    finally:
        os.kill(pid, signal.SIGCONT)


def _jumping(one: Leaf) -> None:
    """Have a daemon with such a clock take over, lose its peer and hear it again."""
    assert one.vtep.process is not None
    one.vtep.process.kill()
    one.churn()
    process = one.start_daemon(sys.executable, JUMPING)
    for _ in range(5):
        one.churn()
        time.sleep(one.chance.uniform(0, 0.2))
    one.speaker.drop()
    one.churn()
    assert process.alive, process.log()[-2000:]


def _counted(fault: str, times: int, chance: random.Random, inject: Callable[[Leaf], None]) -> Tally:
    found: list[Watch] = []
    with leaf(chance) as one:
        for _ in range(times):
            with one.watched() as watch:
                inject(one)
                try:
                    watch.took_s = one.settle()
                except AssertionError as never:
                    print(f"      not recovered: {fault}: {never}", file=sys.stderr, flush=True)
            found.append(watch)
    took = [watch.took_s for watch in found if watch.took_s is not None]
    for line in (line for watch in found for line in watch.harm[:5]):
        print(f"      harm: {fault}: {line}", file=sys.stderr, flush=True)
    return Tally(
        "time", fault, times, len(took), sum(len(watch.harm) for watch in found), sum(watch.lost for watch in found),
        max(took, default=None), f"{sum(watch.sent for watch in found):,} packets sent meanwhile",
    )  # fmt: skip
