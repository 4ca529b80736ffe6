"""What a peer may send to harm a leaf: malformed messages, made-up VTEPs, one MAC with too many routes; and a full disk.

    malformed   each message of tests/lab/malformed.py, on a session of either ExaBGP, started by `vtep exabgp`
    reflectors  a route that plain ExaBGP answers with a NOTIFICATION, sent by both reflectors at each new session
    floods      Type-3 routes of many VTEPs that do not exist
    one MAC     routes of one MAC by many Route Distinguishers, a few in each UPDATE, while others move
    state_dir   a file system without room for one more octet

An honest peer's rows must stay as they are meanwhile, and its changes must still reach the kernel.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.lab import malformed, overlay, wire
from tests.lab.peers import EXABGP, EXABGP_4_2
from tests.lab.topology import address
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from torture.leaf import REMOTES, STATE, Leaf, leaf
from torture.tally import Tally
from torture.watch import Watch, told, watched

LINES: Final = {"ExaBGP 5.0": EXABGP, "ExaBGP 4.2": EXABGP_4_2}
VICTIM: Final = "02:66:00:00:00:01"
"""The MAC of the routes that have something wrong."""
SESSION_S_MAX: Final = 60.0
"""ExaBGP waits longer before each attempt of a session that failed."""
RESETS: Final = 5
"""Sessions that a bad route of both reflectors ends, one after the other."""
ROUTES_PER_UPDATE: Final = 50
STROKES: Final = 20
"""Of churn on a full file system: more than fits into what is left of the ledger's last page."""


def torture(cases: int, vteps: int, routes: int, seed: int) -> Iterator[Tally]:
    """Send so many malformed messages on each ExaBGP, routes of so many VTEPs, and so many routes of one MAC."""
    chance = random.Random(seed)
    for line, executable in LINES.items():
        yield _malformed(line, executable, cases, chance)
    yield _one("a route that both reflectors send and that resets the session", chance, _reset_by_both, reflectors=2)
    yield _one(f"Type-3 routes of {vteps:,} VTEPs that do not exist", chance, lambda one: _floods(one, vteps))
    yield _one(f"{routes:,} routes of one MAC while others move", chance, lambda one: _one_mac(one, routes))
    yield _one("a state_dir without room for one more octet", chance, _full, state_kib=256)


def _one(fault: str, chance: random.Random, inject: Callable[[Leaf], float], **settings: object) -> Tally:
    with leaf(chance, **settings) as one:
        return told("hostile", fault, [watched(one, fault, lambda: inject(one))])


def _malformed(line: str, executable: Path, cases: int, chance: random.Random) -> Tally:
    """Send messages one by one; after each the session must be there, or come back, and a change arrive."""
    route = REMOTES[1].mac(VICTIM)
    every = malformed.updates(route) | malformed.messages()
    some = every if cases >= len(every) else {name: every[name] for name in chance.sample(sorted(every), cases)}
    left, found, resets = list(some.items()), list[Watch](), 0
    while left:
        # After a reset ExaBGP waits longer and longer, so the next message goes to another leaf.
        with leaf(chance, executable=executable, launched=True) as one:
            while left and len(one.speaker.sessions) == 1:
                name, octets = left.pop()
                found.append(watched(one, f"{line}: {name}", lambda: _sent(one, octets)))  # noqa: B023 - called at once
            resets += len(one.speaker.sessions) > 1
    return told("hostile", f"malformed messages to {line}", found, f"{resets} of them reset the session")


def _sent(one: Leaf, octets: bytes) -> float:
    one.speaker.wait_established(deadline_s=SESSION_S_MAX)
    one.speaker.send(octets)
    # The victim's route, whatever became of it, is withdrawn: what is judged is everybody else's.
    one.speaker.send(*wire.withdrawals([REMOTES[1].mac(VICTIM).nlri]))
    one.churn()
    return one.settle()


def _reset_by_both(one: Leaf) -> float:
    """Have both reflectors send a bad route in each session, until it has ended so many of them; then they stop."""
    bad = malformed.updates(REMOTES[1].mac(VICTIM))["an NLRI cut off"]
    before = [len(speaker.sessions) for speaker in one.speakers]
    for speaker in one.speakers:
        speaker.hostile = bad
        speaker.send(bad)
    for speaker, count in zip(one.speakers, before, strict=True):
        enough = count + RESETS
        wait_until(lambda: len(speaker.sessions) >= enough, RESETS * SESSION_S_MAX, "as many sessions")  # noqa: B023
    for speaker in one.speakers:
        speaker.hostile = b""
    start = time.monotonic()
    for speaker in one.speakers:
        speaker.wait_established(deadline_s=SESSION_S_MAX)
    one.churn()
    one.settle()
    return time.monotonic() - start


def _floods(one: Leaf, vteps: int) -> float:
    """Make up VTEPs; the flood row of the one that exists stays, and there are no more rows than the limit allows."""
    made_up = [Instance(f"10.{66 + number // 65536}.{number // 256 % 256}.{number % 256}") for number in range(vteps)]
    floods = [instance.flood() for instance in made_up]
    one.announce(*floods)
    one.churn()

    def arrived() -> bool:
        rows = one.rows()
        crowd = [row for row in rows if row[0] == overlay.FLOOD_MAC]
        assert len(crowd) <= VTEPS_MAX, f"{len(crowd)} flood rows"
        return (rows - set(crowd)) == one.wanted() - {(overlay.FLOOD_MAC, address(1))}

    wait_until(arrived, SESSION_S_MAX, "the churn among the floods")
    one.withdraw(*floods)
    return one.settle()


VTEPS_MAX: Final = 1024
"""limits.vteps_per_vni, as it is by default."""


def _one_mac(one: Leaf, routes: int) -> float:
    """Announce one MAC under so many Route Distinguishers; return the longest that a churn took meanwhile."""
    crowd = [Instance(address(2), rd=f"65000:{number}").mac(VICTIM) for number in range(routes)]
    longest = 0.0
    chunk = max(routes // 10, ROUTES_PER_UPDATE)
    for first in range(0, routes, chunk):
        one.announce(*crowd[first : first + chunk])
        one.churn()
        longest = max(longest, _others_settled(one))
    one.withdraw(*crowd)
    one.settle()
    return longest


def _others_settled(one: Leaf) -> float:
    """Return the seconds until all rows but the victim's were right."""
    start = time.monotonic()

    def settled() -> bool:
        wrong = {row for row in one.rows() ^ one.wanted() if row[0] != VICTIM}
        assert not wrong, f"{len(wrong)} rows are wrong, such as {sorted(wrong)[:5]}"
        return True

    wait_until(settled, SESSION_S_MAX, "the rows of the honest routes")
    return time.monotonic() - start


def _full(one: Leaf) -> float:
    """Fill the file system under the ledger; removals and moves go on, and what is new comes when there is room again."""
    longest = 0.0
    with _filled(one):
        for _ in range(STROKES):
            before = {mac for mac, _ in one.rows()}
            start = time.monotonic()
            one.churn()
            wait_until(lambda: _as_far_as_claimed(one, before), SESSION_S_MAX, "the changes of claimed rows")  # noqa: B023
            longest = max(longest, time.monotonic() - start)
        wait_until(lambda: "state_dir" in one.vtep.ask("status").stdout, SESSION_S_MAX, "the status to name state_dir")
    return max(longest, one.settle())


def _as_far_as_claimed(one: Leaf, before: set[str]) -> bool:
    """Tell whether the kernel is right but for MACs that are new, which no claim could be written for."""
    return all(mac not in before for mac, _ in one.rows() ^ one.wanted())


@contextlib.contextmanager
def _filled(one: Leaf) -> Iterator[None]:
    """Leave no octet free in the file system of the state, while within."""
    one.node.run("sh", "-c", f"dd if=/dev/zero of={STATE}/fill bs=512 2>/dev/null; true")
    try:
        yield
    finally:
        one.node.run("rm", f"{STATE}/fill")
