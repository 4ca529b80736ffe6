"""The prefixes of a VRF: how long it takes to judge their routes, and to bring them into the kernel, beside a C program.

The C program sends the same messages, of which it makes nothing (`floor_routes.c`). Ours is first `vtep.linux.kernel` from changes as
the engine has them on, as for MACs, and then the whole way: routes of 64 VTEPs, judged, and written by a pass of the engine. A routing
table stands for the VRF where the kernel has no VRF devices. In the end a VTEP changes its Router's MAC, and then leaves.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.figures import Figure, Limit
from tests.contract.routed import PEER, TABLE, RoutedLeaf, routed_leaf, type5
from tests.lab.namespaces import Lab
from vtep.addr import Prefix, Vni
from vtep.evpn.event import Announced, Received, Withdrawn
from vtep.linux.attachment import Ready
from vtep.linux.kernel import Kernel
from vtep.linux.tables.route import ROUTE, RouteRow
from vtep.linux.vrf import RoutedDomain, VrfDevices
from vtep.linux.wire.neighbor import Verb
from vtep.linux.wire.nexthop import NexthopMessage
from vtep.reconcile.contract import Attachments, Change
from vtep.reconcile.writer import spelled_in_turns

VTEPS: Final = 64
BATCH: Final = 128
FLOOR: Final = Path(__file__).with_name("floor_routes.c")
WORDS: Final = ("add", "move", "delete")
WHOLE: Final = ("judge", "write", "one VTEP, another MAC", "one VTEP leaves", "withdraw all")
NET: Final = Vni(4001)
DEVICE: Final = "br4001"


def measure(prefixes: int, runs: int, scratch: Path) -> list[Figure]:
    """Return nothing where there is no C compiler, since there is nothing to be beside of."""
    floor = scratch / "floor_routes"
    try:
        subprocess.run(["gcc", "-O2", "-o", str(floor), str(FLOOR)], check=True)
    except FileNotFoundError:
        return []
    writes: dict[str, dict[str, list[float]]] = {word: {"c": [], "vtep": []} for word in WORDS}
    whole: dict[str, list[float]] = {word: [] for word in (*WHOLE, "memory")}
    for _ in range(runs):
        with Lab() as lab:
            node = lab.node("leaf")
            node.ip(
                f"link add {DEVICE} type bridge", "link add x type veth peer name y", f"link set x master {DEVICE} up"
            )
            node.ip("link set y up", f"link set {DEVICE} up")
            for side, command in (
                ("c", [str(floor), DEVICE, str(prefixes), str(BATCH)]),
                ("vtep", _ours(prefixes, "writes")),
            ):
                for word, line in zip(WORDS, node.run(*command, deadline_s=300).splitlines(), strict=True):
                    wall, _, refused = map(int, line.split())
                    assert not refused, (side, word, refused)
                    writes[word][side].append(wall / 1000 / prefixes)
                    node.attempt("ip", "nexthop", "flush") if word == "delete" else None
            told = lab.node("whole").run(*_ours(prefixes, "whole"), deadline_s=600).split()
        for word, value in zip(whole, told, strict=True):
            whole[word].append(float(value))
    table = f"Prefixes of a VRF, {prefixes:,}"
    figures = [Figure(table, word, "us/prefix", writes[word], Limit("vtep", "c", 1.3, fails_at=15.0)) for word in WORDS]
    units = ("us/prefix", "us/prefix", "ms", "ms", "us/prefix", "B/prefix")
    figures += [Figure(table, word, unit, {"vtep": whole[word]}) for word, unit in zip(whole, units, strict=True)]
    return figures


def _ours(prefixes: int, how: str) -> list[str]:
    return [sys.executable, __file__, str(prefixes), how]


# The other process: our side.


def _prefix(number: int) -> Prefix:
    return Prefix((0x0B000000 + number).to_bytes(4) + b"\x20")


def _changes(prefixes: int) -> Iterator[list[Change]]:
    keys = [(NET, _prefix(number)) for number in range(prefixes)]
    for step, verb in enumerate(("create", "replace", "delete")):
        yield [
            Change(verb, keys[first : first + BATCH], RouteRow(100 + (first // BATCH + step) % VTEPS))
            for first in range(0, prefixes, BATCH)
        ]


def _write(prefixes: int) -> None:
    with Kernel() as kernel:
        svi = kernel.links().by_name[DEVICE].index
        made = [NexthopMessage(Verb.REPLACE, 100 + one, svi, bytes((10, 0, 0, 2 + one))) for one in range(VTEPS)]
        assert not kernel.send(made)
        devices = VrfDevices(NET, 1001, svi, Ready(NET, svi, svi))
        attachments = Attachments({RoutedDomain(NET): devices}, {})
        for batches in _changes(prefixes):
            cpu, wall, refused = time.process_time_ns(), time.monotonic_ns(), 0
            for batch in batches:
                refused += len(kernel.send(spelled_in_turns(ROUTE, [batch], attachments)[0]))
            print(time.monotonic_ns() - wall, time.process_time_ns() - cpu, refused)


def _routes(prefixes: Sequence[int], mac_of: str = "") -> dict[bytes, object]:
    return dict(type5(str(_prefix(number)), f"10.0.0.{2 + number % VTEPS}", mac_of) for number in prefixes)


def _whole(prefixes: int) -> None:
    with routed_leaf("namespace") as leaf:
        leaf.pass_(survey=True)
        before = _memory()
        routes = _routes(range(prefixes))
        keys = tuple(routes)
        leaf.leaf.receive([Received((Announced(PEER, routes),), peer=PEER)], 0.0)  # type: ignore[arg-type]
        del routes
        began = time.perf_counter()
        leaf.leaf.judge(0.0)
        judged = time.perf_counter() - began
        written = _pass(leaf)
        memory = (_memory() - before) / prefixes
        assert len(leaf.hands.kernel.routes([TABLE])) == prefixes
        of_one = range(0, prefixes, VTEPS)
        leaf.leaf.receive([Received((Announced(PEER, _routes(of_one, "02:00:00:00:fe:02")),), peer=PEER)], 0.0)  # type: ignore[arg-type]
        changed = _pass(leaf)
        gone = tuple(_routes(of_one))
        leaf.leaf.receive([Received((Withdrawn(PEER, gone),), peer=PEER)], 0.0)
        left = _pass(leaf)
        leaf.leaf.receive([Received((Withdrawn(PEER, keys),), peer=PEER)], 0.0)
        withdrawn = _pass(leaf)
        assert not leaf.hands.kernel.routes([TABLE])
    us = 1e6 / prefixes
    print(judged * us, written * us, changed * 1e3, left * 1e3, withdrawn * us, memory)


def _pass(leaf: RoutedLeaf) -> float:
    began = time.perf_counter()
    leaf.pass_()
    return time.perf_counter() - began


def _memory() -> float:
    """Return the octets that this process has in memory. What the script itself remembers, and free memory, are among them."""
    return 4096.0 * int(Path("/proc/self/statm").read_text().split()[1])


if __name__ == "__main__":
    (_write if sys.argv[2] == "writes" else _whole)(int(sys.argv[1]))
