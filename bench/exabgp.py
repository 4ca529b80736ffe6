"""End to end: a BGP peer tells a table, ExaBGP decodes it, our relay and daemon bring it to the kernel.

Beside it ExaBGP alone, whose child throws the lines away: what it takes longer with us is our doing. With `vtep exabgp`,
UPDATEs come as octets. Wall runs from the first octet of the peer to the last row, or to the last line in the sink's hands.

FRR gets the same octets on the same leaf: 50 routes in an UPDATE, and one route in each, as a peer sends them whose routes have
nothing in common.
"""

import sys
import time
from pathlib import Path
from typing import Final

from bench import machine
from bench.figures import Figure, Limit, transposed
from bench.leaf import CONFIG, nodes
from bench.lines import started
from bench.routes import OLD, PER_LINE, SPEAKER, announcements, mac
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


def measure(macs: int, runs: int, *, frr: bool = True) -> list[Figure]:
    found: dict[str, list[dict[str, float]]] = {"exabgp alone": [], "with vtep": [], "vtep exabgp": [], "frr": []}
    one_by_one: dict[str, list[dict[str, float]]] = {"vtep exabgp": [], "frr": []}
    few = macs // 5
    for _ in range(runs):
        found["exabgp alone"].append(alone(macs))
        found["with vtep"].append(with_vtep(macs))
        found["vtep exabgp"].append(with_vtep(macs, octets=True))
        one_by_one["vtep exabgp"].append(with_vtep(few, octets=True, per_update=1))
        if frr:
            found["frr"].append(with_frr(macs))
            one_by_one["frr"].append(with_frr(few, per_update=1))
    if not frr:
        del found["frr"], one_by_one["frr"]
    return [
        *_end_to_end(macs, found),
        *_beside_frr(macs, found),
        *_beside_frr(few, one_by_one, ", one route an UPDATE"),
    ]


def _beside_frr(macs: int, found: dict[str, list[dict[str, float]]], how: str = "") -> list[Figure]:
    """Return the figures of both programs that were sent the same octets; the first is two processes, ExaBGP and the daemon."""
    sides = {side: transposed(runs) for side, runs in found.items() if side in ("vtep exabgp", "frr")}
    if "frr" not in sides:
        return []
    table, limit = f"The same octets to ExaBGP and to FRR, {macs:,} MACs{how}", Limit("vtep exabgp", "frr", 1.0)
    return [
        Figure(table, what, unit, {side: figures[what] for side, figures in sides.items()}, of_limit)
        for what, unit, of_limit in (("wall", "s", limit), ("CPU, all processes", "s", None))
    ]


def _end_to_end(macs: int, found: dict[str, list[dict[str, float]]]) -> list[Figure]:
    sides = {side: transposed(runs) for side, runs in found.items() if side != "frr"}
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


def with_frr(macs: int, *, per_update: int = PER_LINE) -> dict[str, float]:
    told = announcements(range(macs), per_update=per_update) + wire.end_of_rib()
    names = [mac(number) for number in range(macs)]
    with nodes() as (leaf, node), Speaker(node, SPEAKER, sends_end_of_rib=False) as speaker, Rows(leaf) as rows:
        frr = started(leaf)
        assert frr.bgpd is not None
        assert frr.zebra is not None
        speaker.wait_established(deadline_s=30)
        pids = frr.bgpd.pid, frr.zebra.pid
        before, start = machine.cpu_s(*pids), time.monotonic()
        speaker.send(told)
        wall_s = rows.await_all(names, OLD, DEADLINE_S) - start
        found = {"wall": wall_s, "CPU, all processes": machine.cpu_s(*pids) - before}
        frr.kill()
        return found


def with_vtep(macs: int, *, octets: bool = False, per_update: int = PER_LINE) -> dict[str, float]:
    told = announcements(range(macs), per_update=per_update) + wire.end_of_rib()
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
        found["CPU, all processes"] = found["CPU of ExaBGP"] + found["CPU of relay and daemon"]
        daemon.stop()
        return found
