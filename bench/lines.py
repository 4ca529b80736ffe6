"""From bytes in a socket to rows in the kernel: our daemon fed ExaBGP's lines, FRR fed the same routes as UPDATEs.

Both sides add a table, move all of it at once to another VTEP, and lose it again. Wall runs from the first octet
written to the last row that is right, seen by reading rows back; CPU is user and system time of the daemon, or of bgpd
and zebra together, until then. Our own work before a clock starts is no part of either.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from bench import machine
from bench.figures import Figure, Limit, transposed
from bench.leaf import nodes, ours
from bench.routes import NEW, OLD, SPEAKER, announcements, mac, withdrawals
from bench.rows import Rows
from tests.lab import wire
from tests.lab.namespaces import Node
from tests.lab.peers import Frr, frr_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, address
from tests.lab.wait import NeverHappened, wait_until

DEADLINE_S: Final = 60.0
CPU_SHARES: Final = {"add": 0.35, "move": 0.5, "withdraw": 0.7}
"""Of FRR's. On the machine on which they were chosen, that is 10 us for an addition, 10 for a move and 30 for two withdrawals."""
WORDS: Final = {"add": OLD, "move": NEW, "withdraw": ""}
ZEBRA_BUFFER: Final = 90_000_000
"""What Debian's package gives zebra's netlink socket."""


def measure(macs: int, runs: int, *, frr: bool = True) -> list[Figure]:
    our_runs, frr_runs, deaths = [], [], list[str]()
    for _ in range(runs):
        our_runs.append(run_ours(macs))
        if frr:
            found, death = run_frr(macs)
            frr_runs.append(found)
            deaths += [death] if death else []
    return list(_figures(macs, transposed(our_runs), transposed(frr_runs), deaths))


def run_ours(macs: int) -> dict[str, float]:
    """Feed the daemon; return figures of each part."""
    names = [mac(number) for number in range(macs)]
    with ours() as daemon:
        told = daemon.told
        parts = {
            "add": b"\n".join([*told.announce(range(macs)), told.end_of_rib()]),
            "move": b"\n".join(told.announce(range(macs), NEW, 1)),
            "withdraw": b"\n".join([*told.withdraw(range(macs), NEW), *told.withdraw(range(macs), OLD)]),
        }
        return _timed(daemon.rows, names, daemon.cpu_s, lambda word: daemon.say([parts[word]]), parts)


def run_frr(macs: int) -> tuple[dict[str, float], str]:
    """Feed FRR; return figures of each part, and the last words of a zebra that did not live to the end."""
    names = [mac(number) for number in range(macs)]
    parts = {
        "add": announcements(range(macs)) + wire.end_of_rib(),
        "move": announcements(range(macs), NEW, 1),
        "withdraw": withdrawals(range(macs), NEW) + withdrawals(range(macs), OLD),
    }
    with nodes() as (leaf, node), Speaker(node, SPEAKER, sends_end_of_rib=False) as speaker, Rows(leaf) as rows:
        frr = started(leaf)
        speaker.wait_established(deadline_s=30)
        assert frr.bgpd is not None
        assert frr.zebra is not None
        pids = frr.bgpd.pid, frr.zebra.pid
        try:
            found = _timed(rows, names, lambda: machine.cpu_s(*pids), lambda word: speaker.send(parts[word]), parts)
        except (NeverHappened, FileNotFoundError, StopIteration, IndexError):
            found = {}
        lived = frr.zebra.alive
        found["peak MiB"] = machine.peak_kib(frr.bgpd.pid) / 1024
        death = "" if lived else frr.zebra.log().splitlines()[-1]
        frr.kill()
        return found, death


def started(leaf: Node) -> Frr:
    config = frr_config(address(LEAF), [SPEAKER], more=f"router bgp 65000\nneighbor {SPEAKER} timers connect 1\n")
    frr = Frr(leaf, config, zebra_buffer=ZEBRA_BUFFER)
    frr.start()
    wait_until(lambda: frr.json("show evpn vni"), 10, "the VNI in zebra")
    return frr


def _timed(
    rows: Rows, names: list[str], cpu_s: Callable[[], float], say: Callable[[str], None], parts: Iterable[str]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in parts:
        before, start = cpu_s(), time.monotonic()
        say(word)
        wall_s = rows.await_all(names, WORDS[word], DEADLINE_S) - start
        found[f"{word} CPU"] = (cpu_s() - before) * 1e6 / len(names)
        found[f"{word} wall"] = wall_s
    return found


def _figures(
    macs: int, our_runs: dict[str, list[float]], frr_runs: dict[str, list[float]], deaths: list[str]
) -> Iterable[Figure]:
    table = f"Line to kernel, {macs:,} MACs"
    for word in WORDS:
        for what, unit in (("CPU", "us/MAC"), ("wall", "s")):
            sides = {"vtep": our_runs[f"{word} {what}"], "frr": frr_runs.get(f"{word} {what}", [])}
            note = f"FRR: zebra ended in {len(deaths)} runs: {deaths[-1]}" if deaths and word == "move" else ""
            yield Figure(table, f"{word}, {what}", unit, sides, _limit(word, what), note)


def _limit(word: str, what: str) -> Limit | None:
    if what == "wall":
        return Limit("vtep", "frr", 1.0, fails_at=8.0)
    return Limit("vtep", "frr", CPU_SHARES[word], fails_at=5.0)
