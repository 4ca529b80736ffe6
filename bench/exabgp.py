"""End to end: a BGP peer tells a table, ExaBGP decodes it, our relay and daemon bring it to the kernel.

Beside it ExaBGP alone, whose child throws the lines away: what it takes longer with us is our doing. With `vtep exabgp`,
UPDATEs come as octets. Wall runs from the first octet of the peer to the last row, or to the last line in the sink's hands.
"""

import sys
import time
from pathlib import Path
from typing import Final

from bench import machine
from bench.figures import Figure, Limit, transposed
from bench.leaf import CONFIG, nodes
from bench.routes import OLD, SPEAKER, announcements, mac
from bench.rows import Rows
from tests.lab import wire
from tests.lab.fabric import children
from tests.lab.peers import ExaBgp, exabgp_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, address
from tests.lab.vtep import Vtep, exabgp_with_relay
from tests.lab.wait import wait_until

SINK: Final = Path(__file__).with_name("sink.py")
SEEN: Final = "/run/sink/seen"
DEADLINE_S: Final = 300.0


def measure(macs: int, runs: int) -> list[Figure]:
    found: dict[str, list[dict[str, float]]] = {"exabgp alone": [], "with vtep": [], "vtep exabgp": []}
    for _ in range(runs):
        found["exabgp alone"].append(alone(macs))
        found["with vtep"].append(with_vtep(macs))
        found["vtep exabgp"].append(with_vtep(macs, octets=True))
    sides = {side: transposed(side_runs) for side, side_runs in found.items()}
    limits = {
        "wall": Limit("with vtep", "exabgp alone", 1.1, fails_at=5.0),
        "CPU of ExaBGP": Limit("vtep exabgp", "exabgp alone", 0.05, fails_at=0.2),
    }
    return [
        Figure(
            f"End to end with ExaBGP, {macs:,} MACs",
            what,
            unit,
            {side: figures[what] for side, figures in sides.items() if what in figures},
            limits.get(what),
        )
        for what, unit in (("wall", "s"), ("CPU of ExaBGP", "s"), ("CPU of relay and daemon", "s"))
    ]


def alone(macs: int) -> dict[str, float]:
    told = announcements(range(macs)) + wire.end_of_rib()
    with nodes() as (leaf, node), Speaker(node, SPEAKER, sends_end_of_rib=False) as speaker:
        seen = leaf.path(SEEN)
        seen.parent.mkdir(parents=True)
        run = f"{sys.executable} -I -S {SINK} {SEEN}"
        exabgp = ExaBgp(leaf, exabgp_config(address(LEAF), [SPEAKER], run))
        pid = exabgp.start().pid
        speaker.wait_established(deadline_s=30)
        before, start = machine.cpu_s(pid), time.monotonic()
        speaker.send(told)
        wait_until(seen.exists, DEADLINE_S, "End-of-RIB in the sink")
        return {"wall": float(seen.read_text()) - start, "CPU of ExaBGP": machine.cpu_s(pid) - before}


def with_vtep(macs: int, *, octets: bool = False) -> dict[str, float]:
    told = announcements(range(macs)) + wire.end_of_rib()
    names = [mac(number) for number in range(macs)]
    with nodes() as (leaf, node), Speaker(node, SPEAKER, sends_end_of_rib=False) as speaker, Rows(leaf) as rows:
        vtep = Vtep(leaf, CONFIG)
        daemon = vtep.start()
        exabgp = exabgp_with_relay(leaf, [SPEAKER], announces=octets)
        pid = exabgp.start().pid
        speaker.wait_established(deadline_s=30)
        ready = ("exabgp connected", "rows written", *(("exabgp sends octets",) if octets else ()))
        wait_until(lambda: all(event in daemon.log() for event in ready), 10, "an attached feed")
        (relay,) = children(pid)
        before, ours, start = machine.cpu_s(pid), machine.cpu_s(relay, daemon.pid), time.monotonic()
        speaker.send(told)
        wall_s = rows.await_all(names, OLD, DEADLINE_S) - start
        found = {
            "wall": wall_s,
            "CPU of ExaBGP": machine.cpu_s(pid) - before,
            "CPU of relay and daemon": machine.cpu_s(relay, daemon.pid) - ours,
        }
        daemon.stop()
        return found
