"""The prefixes of a VRF: what it costs to judge their routes, and to bring them into the kernel, beside a C program.

The C program sends the same messages, of which it makes nothing (`floor_routes.c`). Ours is first `vtep.linux.kernel` from changes as
the engine has them on, as for MACs, and then the whole way: UPDATEs of 64 VTEPs as octets, read, judged, and written by a pass of the
engine. A routing table stands for the VRF where the kernel has no VRF devices. In the end a VTEP changes its Router's MAC, and then
leaves. All of it is one thread that waits for nothing but the kernel, so CPU time is what is measured: the kernel's part is in it.
"""

import gc
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bench.figures import Figure, Limit
from tests.contract.routed import PEER, TABLE, RoutedLeaf, routed_leaf
from tests.lab import wire
from tests.lab.namespaces import Lab
from vtep.addr import Prefix, Vni
from vtep.evpn.event import Received
from vtep.evpn.update import read_updates
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
WHOLE: Final = {
    "read": "us/prefix",
    "judge": "us/prefix",
    "write": "us/prefix",
    "one VTEP, another MAC": "ms",
    "one VTEP leaves": "ms",
    "withdraw: read": "us/prefix",
    "withdraw: judge": "us/prefix",
    "withdraw: write": "us/prefix",
    "memory": "B/prefix",
}
CHANGE_MS: Final = 10.0
"""What the change of one VTEP may cost at 100,000 prefixes, all of its routes received again included."""
LIMITS: Final = {"memory": Limit("vtep", "", 600.0), "one VTEP, another MAC": Limit("vtep", "", CHANGE_MS)}
AIMED_AT: Final = 100_000
"""The size of the table that the limits are for."""
PER_UPDATE: Final = 50
AT_ONCE: Final = 60_000
"""Octets of UPDATEs that are received together, as the relay hands them on."""
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
    whole: dict[str, list[float]] = {word: [] for word in WHOLE}
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
                    _, cpu, refused = map(int, line.split())
                    assert not refused, (side, word, refused)
                    writes[word][side].append(cpu / 1000 / prefixes)
                    node.attempt("ip", "nexthop", "flush") if word == "delete" else None
            told = lab.node("whole").run(*_ours(prefixes, "whole"), deadline_s=900).split()
        for word, value in zip(whole, told, strict=True):
            whole[word].append(float(value))
    table = f"Prefixes of a VRF, {prefixes:,}"
    limit = Limit("vtep", "c", 1.3, fails_at=6.0)
    figures = [Figure(table, f"kernel writes: {word}", "us/prefix", writes[word], limit) for word in WORDS]
    limits = LIMITS if prefixes == AIMED_AT else {}
    figures += [Figure(table, word, unit, {"vtep": whole[word]}, limits.get(word)) for word, unit in WHOLE.items()]
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


def _routes(vtep: int, prefixes: int, router_mac: str = "") -> list[wire.Route]:
    """Return the routes of one VTEP."""
    said = wire.Instance(
        f"10.0.0.{2 + vtep}", NET, targets=(f"65000:{NET}",), router_mac=router_mac or f"02:00:00:01:00:{vtep:02x}"
    )
    return [said.prefix(str(_prefix(number))) for number in range(vtep, prefixes, VTEPS)]


def _withdrawals(vteps: Iterable[int], prefixes: int) -> bytes:
    return b"".join(wire.withdrawals((one.nlri for vtep in vteps for one in _routes(vtep, prefixes)), PER_UPDATE))


def _whole(prefixes: int) -> None:
    with routed_leaf("namespace") as leaf:
        Path("/proc/sys/net/ipv4/nexthop_compat_mode").write_text("0")
        leaf.pass_(survey=True)
        told = b"".join(update for vtep in range(VTEPS) for update in wire.updates(_routes(vtep, prefixes), PER_UPDATE))
        before = _memory()
        added = _timed(leaf, told)
        memory = (_memory() - before) / prefixes
        assert len(leaf.hands.kernel.routes([TABLE])) == prefixes
        changed = _timed(leaf, b"".join(wire.updates(_routes(0, prefixes, "02:00:00:00:fe:02"), PER_UPDATE)))
        left = _timed(leaf, _withdrawals((0,), prefixes))
        withdrawn = _timed(leaf, _withdrawals(range(1, VTEPS), prefixes))
        assert not leaf.hands.kernel.routes([TABLE])
    us = 1e6 / prefixes
    print(
        *(part * us for part in added), sum(changed) * 1e3, sum(left) * 1e3, *(part * us for part in withdrawn), memory
    )


def _timed(leaf: RoutedLeaf, updates: bytes) -> tuple[float, float, float]:
    """Return the CPU seconds that it takes to read the UPDATEs, to judge their routes, and to write the rows."""
    gc.collect()
    leaf.hands.kernel.drain()
    began = time.process_time()
    at = 0
    while at < len(updates):
        end = at
        while end < len(updates) and end - at < AT_ONCE:
            end += int.from_bytes(updates[end + 16 : end + 18])
        events, _ = read_updates(updates[at:end], PEER)
        leaf.leaf.receive([Received(events, peer=PEER)], 0.0)
        at = end
    read = time.process_time()
    leaf.leaf.judge(leaf.now)
    judged = time.process_time()
    leaf.pass_()
    return read - began, judged - read, time.process_time() - judged


def _memory() -> float:
    """Return the octets that this process has in memory. What the script itself remembers, and free memory, are among them."""
    return 4096.0 * int(Path("/proc/self/statm").read_text().split()[1])


if __name__ == "__main__":
    (_write if sys.argv[2] == "writes" else _whole)(int(sys.argv[1]))
