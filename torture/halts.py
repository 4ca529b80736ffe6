"""Time that stands still or jumps: processes that are stopped and go on, and a wall clock that nobody may believe.

SIGSTOP of everything on the leaf is what a starved or frozen machine is to it: what it should have done is late. A real
suspension stops the monotonic clock as well; that one a process cannot be given here. The wall clock of a daemon is made
to jump by up to a year, both ways, at every look.
"""

import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from tests.lab.wait import wait_until
from torture.leaf import Leaf
from torture.tally import Tally
from torture.watch import Watch, each, told

JUMPING: Final = str(Path(__file__).with_name("jumping_clock.py"))
STROKE_S: Final = 1.0


def torture(stopped_s: float, times: int, seed: int) -> Iterator[Tally]:
    """Stop each process for so long, so often, and all of them; then live by a clock that jumps."""
    faults: dict[str, Callable[[Leaf], float]] = {
        f"{name} stopped (SIGSTOP) for {stopped_s:g} s": partial(_stopped, stopped=stopped, stopped_s=stopped_s)
        for name, stopped in STOPPED.items()
    }
    faults["the daemon's wall clock jumps by up to a year, both ways, at every look"] = _jumping
    found: dict[str, list[Watch]] = defaultdict(list)
    for fault, watch in each(random.Random(seed), list(faults) * times, lambda one, fault: faults[fault](one)):
        found[fault].append(watch)
    for fault, watches in found.items():
        yield told("time", fault, watches)


def _daemon(one: Leaf) -> int:
    assert one.vtep.process is not None
    return one.vtep.process.pid


def _relay(one: Leaf) -> int:
    (pid,) = wait_until(one.relays, what="a relay")
    return pid


def _exabgp(one: Leaf) -> int:
    assert one.exabgp.process is not None
    return one.exabgp.process.pid


STOPPED: Final[dict[str, tuple[Callable[[Leaf], int], ...]]] = {
    "the daemon": (_daemon,),
    "the relay": (_relay,),
    "ExaBGP": (_exabgp,),
    "ExaBGP, the relay and the daemon together": (_exabgp, _relay, _daemon),
}


def _stopped(one: Leaf, *, stopped: tuple[Callable[[Leaf], int], ...], stopped_s: float) -> float:
    pids = [pid(one) for pid in stopped]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        end = time.monotonic() + stopped_s
        while time.monotonic() < end:
            one.churn()
            time.sleep(min(STROKE_S, stopped_s))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    return one.settle()


def _jumping(one: Leaf) -> float:
    """Have a daemon with such a clock take over, lose its peer and hear it again."""
    process = one.next_life(sys.executable, JUMPING)
    for _ in range(5):
        one.churn()
        time.sleep(one.chance.uniform(0, 0.2))
    one.speaker.drop()
    one.churn()
    took_s = one.settle()
    assert process.alive, process.log()[-2000:]
    return took_s
