"""kill -9 of the daemon, the relay and ExaBGP, again and again under churn, with packets on their way.

After each the kernel must come to hold exactly what BGP says; how long that took is the recovery. Meanwhile an outside
listener hears every change of a row: one that stayed valid must never have been touched, nor one of an operator's.
Daemons die at random moments by a signal from outside, and at chosen places by one from within (killed_daemon.py).
"""

import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.lab.wait import wait_until
from torture.leaf import Leaf
from torture.tally import Tally
from torture.watch import Watch, each, told

WHERE: Final = {
    "daemon": "the daemon, at any moment",
    "batch": "the daemon, within a batch of rows",
    "ledger": "the daemon, within a write to the ledger",
    "dump": "the daemon, within a dump of the kernel's",
    "reload": "the daemon, within a reload",
    "relay": "the relay, at any moment",
    "exabgp": "ExaBGP, at any moment",
}
SHARES: Final = {"daemon": 10, "batch": 5, "ledger": 5, "dump": 3, "reload": 3, "relay": 2, "exabgp": 2}
PASSAGES_MAX: Final = {"batch": 3, "ledger": 5, "dump": 6}
"""How many lives pass a place so often before their end; a leaf starts with three dumps and four writes."""
MOMENT_S_MAX: Final = 0.5
DOOM_S_MAX: Final = 30.0
KILLED_DAEMON: Final = str(Path(__file__).with_name("killed_daemon.py"))


def torture(kills: int, seed: int) -> Iterator[Tally]:
    """Kill so many times, and tell what each kind of death did."""
    chance = random.Random(seed)
    found: dict[str, list[Watch]] = defaultdict(list)
    for where, watch in each(chance, _plan(kills, chance), _killed):
        found[where].append(watch)
    for where in (where for where in WHERE if where in found):
        yield told("crash", f"kill -9 of {WHERE[where]}", found[where])


def _plan(kills: int, chance: random.Random) -> list[str]:
    """Return what is killed when: every kind by its share, and each at least once."""
    whole = sum(SHARES.values())
    plan = [where for where, share in SHARES.items() for _ in range(max(1, kills * share // whole))]
    plan += chance.choices(list(SHARES), k=max(0, kills - len(plan)))
    chance.shuffle(plan)
    return plan[:kills]


def _killed(one: Leaf, where: str) -> float:
    """Kill once, and return how long it took until everything was right again."""
    if where in PASSAGES_MAX or where == "reload":
        _doom(one, where)
    else:
        one.churn()
        time.sleep(one.chance.uniform(0, MOMENT_S_MAX))
        one.churn()
        _kill(one, where)
    one.churn()
    return one.settle()


def _kill(one: Leaf, where: str) -> None:
    assert one.vtep.process is not None
    assert one.exabgp.process is not None
    if where == "daemon":
        one.vtep.process.kill()
    elif where == "exabgp":
        one.exabgp.process.kill()
    else:
        (relay,) = wait_until(one.relays, what="a relay")
        os.kill(relay, signal.SIGKILL)


def _doom(one: Leaf, where: str) -> None:
    """Put a daemon in place of the running one that dies by itself in the chosen place, and wait until it did."""
    times = one.chance.randint(1, PASSAGES_MAX.get(where, 1))
    doomed = one.next_life(sys.executable, KILLED_DAEMON, where, str(times))
    end = time.monotonic() + DOOM_S_MAX
    while doomed.alive:
        assert time.monotonic() < end, f"the daemon never came to {where} {times} times"
        one.churn()
        if where in ("reload", "dump"):  # a reload has everything dumped anew
            one.reload(announce=one.chance.random() < 0.5)
            with suppress(ProcessLookupError):
                doomed.signal(signal.SIGHUP)
        time.sleep(one.chance.uniform(0, MOMENT_S_MAX))
    assert doomed.wait() == -signal.SIGKILL, doomed.log()[-2000:]
