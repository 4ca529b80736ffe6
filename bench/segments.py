"""A remote Ethernet segment with very many MACs: what it costs when a VTEP leaves it, and what one of its MACs costs to judge.

A VTEP withdraws its Type-1 route of the segment, and comes back, so many times. Wall runs from the line (for FRR, from the UPDATE) to
the kernel's own announcement of the group without that VTEP. CPU is of the daemon (of bgpd and zebra together), with all that it does
afterwards, for one such change. It must not depend on the number of MACs.

The judging is in this process: the same routes twice, on a segment and without one, by turns.
"""

import contextlib
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from bench import machine
from bench.figures import Figure, Limit
from bench.leaf import CONFIG, nodes
from bench.lines import started
from bench.routes import SPEAKER, mac
from tests.lab import wire
from tests.lab.feeder import Feeder
from tests.lab.lines import Lines
from tests.lab.namespaces import Node
from tests.lab.speaker import Speaker
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import FEED, Vtep
from tests.lab.wait import NeverHappened, wait_until
from vtep.addr import Esi

SEGMENT: Final = Esi(bytes.fromhex("03000000000001000001"))
A, B = wire.Instance(address(11)), wire.Instance(address(12))
PER_LINE: Final = 50
CHANGES: Final = 40
"""How often the VTEP leaves and comes back in one run: the kernel counts CPU time by hundredths of a second."""
PAUSE_S: Final = 0.03
"""After each change, for what the daemon does behind it."""
JUDGED: Final = 10_000
WITH_TEN_TIMES: Final = 1.5
"""How much more a change may cost with ten times the MACs."""

_LEAVES: Final = B.ethernet_ad(SEGMENT, tag=0xFFFFFFFF, extended=(wire.esi_label(0),))
_RTM_NEWNEXTHOP: Final = 104
_RTNLGRP_NEXTHOP: Final = 32
_SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
_NHA_GROUP: Final = 2


def measure(sizes: tuple[int, ...], runs: int, *, frr: bool) -> list[Figure]:
    """Take the sizes and the sides by turns."""
    walls: dict[str, dict[int, list[float]]] = {"vtep": {}, "frr": {}}
    cpus: dict[str, dict[int, list[float]]] = {"vtep": {}, "frr": {}}
    judged: dict[str, list[float]] = {"plain": [], "on a segment": []}
    for _ in range(runs):
        for macs in sizes:
            for side, run in (("vtep", _run_ours), *((("frr", _run_frr),) if frr else ())):
                with contextlib.suppress(NeverHappened):
                    wall, cpu = run(macs)
                    walls[side].setdefault(macs, []).append(wall)
                    cpus[side].setdefault(macs, []).append(cpu)
        told = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True).stdout.split()
        for side, value in zip(judged, told, strict=True):
            judged[side].append(float(value))
    return list(_figures(sizes, walls, cpus, judged))


def _figures(
    sizes: tuple[int, ...],
    walls: dict[str, dict[int, list[float]]],
    cpus: dict[str, dict[int, list[float]]],
    judged: dict[str, list[float]],
) -> Iterator[Figure]:
    table = "A VTEP leaves a segment"
    for macs in sizes:
        sides = {side: found.get(macs, []) for side, found in walls.items()}
        yield Figure(table, f"{macs:,} MACs, wall", "ms", sides, Limit("vtep", "", 50.0))
        sides = {side: found.get(macs, []) for side, found in cpus.items()}
        yield Figure(table, f"{macs:,} MACs, CPU", "ms", sides)
    small, large = (f"{size:,}" for size in (min(sizes), max(sizes)))
    by_size = {f"{macs:,}": cpus["vtep"].get(macs, []) for macs in (min(sizes), max(sizes))}
    yield Figure(table, "CPU by the number of MACs", "ms", by_size, Limit(large, small, WITH_TEN_TIMES, fails_at=5.0))
    limit = Limit("on a segment", "plain", 2.0, fails_at=4.0)
    yield Figure("A MAC on a segment", "judge", "us/MAC", judged, limit)


class _Groups:
    """The kernel's announcements of groups of nexthops."""

    def __init__(self, node: Node) -> None:
        self._socket = node.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _RTNLGRP_NEXTHOP)

    def close(self) -> None:
        self._socket.close()

    def drain(self) -> None:
        """Forget what was announced so far."""
        self._socket.settimeout(0.0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1 << 16)

    def until(self, members: int, deadline_s: float) -> float:
        """Return when a group was announced that has so many members."""
        end = time.monotonic() + deadline_s
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                datagram = self._socket.recv(1 << 16)
                if members in _sizes(datagram):
                    return time.monotonic()
        raise NeverHappened(f"after {deadline_s} s no group of {members} VTEPs was announced")


def _sizes(datagram: bytes) -> Iterator[int]:
    """Yield how many members each announced group has."""
    at = 0
    while at + 16 <= len(datagram):
        size, kind = struct.unpack_from("=IH", datagram, at)
        inner, end = at + 24, at + size
        while kind == _RTM_NEWNEXTHOP and inner + 4 <= end:
            length, name = struct.unpack_from("=HH", datagram, inner)
            if name & 0x3FFF == _NHA_GROUP:
                yield (length - 4) // 8
            inner += (length + 3) & -4
        at += (size + 3) & -4


def _run_ours(macs: int) -> tuple[float, float]:
    with nodes() as (leaf, _), contextlib.closing(_Groups(leaf)) as groups:
        process = Vtep(leaf, CONFIG).start()
        wait_until(leaf.path(FEED).exists, 30, "the feed socket")
        lines = Lines()
        with Feeder(leaf) as feeder:
            feeder.say(lines.up(SPEAKER), lines.announce(SPEAKER, *_types_1(A)), lines.announce(SPEAKER, *_types_1(B)))
            for part in _parts(macs):
                feeder.say(lines.announce(SPEAKER, *part))
            feeder.say(lines.end_of_rib(SPEAKER))
            found = _timed(
                leaf,
                groups,
                macs,
                (process.pid,),
                lambda: feeder.say(lines.withdraw(SPEAKER, _LEAVES.nlri)),
                lambda: feeder.say(lines.announce(SPEAKER, _LEAVES)),
            )
        process.stop()
        return found


def _run_frr(macs: int) -> tuple[float, float]:
    with (
        nodes() as (leaf, node),
        Speaker(node, SPEAKER, sends_end_of_rib=False) as speaker,
        contextlib.closing(_Groups(leaf)) as groups,
    ):
        frr = started(leaf)
        speaker.wait_established(deadline_s=30)
        assert frr.bgpd is not None
        assert frr.zebra is not None
        speaker.send(b"".join(wire.updates([*_types_1(A), *_types_1(B)])))
        for part in _parts(macs):
            speaker.send(b"".join(wire.updates(part)))
        speaker.send(wire.end_of_rib())
        try:
            return _timed(
                leaf,
                groups,
                macs,
                (frr.bgpd.pid, frr.zebra.pid),
                lambda: speaker.send(b"".join(wire.withdrawals([_LEAVES.nlri]))),
                lambda: speaker.send(b"".join(wire.updates([_LEAVES]))),
            )
        finally:
            frr.kill()


def _types_1(one: wire.Instance) -> list[wire.Route]:
    per_segment = one.ethernet_ad(SEGMENT, tag=0xFFFFFFFF, extended=(wire.esi_label(0),))
    return [per_segment, one.ethernet_ad(SEGMENT, tag=0, label=one.vni)]


def _parts(macs: int) -> Iterator[list[wire.Route]]:
    for first in range(0, macs, PER_LINE):
        yield [A.mac(mac(number), esi=SEGMENT) for number in range(first, min(macs, first + PER_LINE))]


def _timed(
    leaf: Node,
    groups: _Groups,
    macs: int,
    pids: tuple[int, ...],
    leave: Callable[[], None],
    join: Callable[[], None],
) -> tuple[float, float]:
    """Let the VTEP leave and join again; return the milliseconds of one leave, and the CPU milliseconds of one change."""

    def rows() -> int:
        return leaf.run("bridge", "fdb", "show", "dev", VXLAN).count(" nhid ")

    wait_until(lambda: rows() >= macs, 120, "the rows of the segment")
    let_rest(pids)
    walls = []
    before = machine.cpu_s(*pids)
    for _ in range(CHANGES):
        groups.drain()
        began = time.monotonic()
        leave()
        walls.append((groups.until(1, 20) - began) * 1e3)
        time.sleep(PAUSE_S)
        groups.drain()
        join()
        groups.until(2, 20)
        time.sleep(PAUSE_S)
    let_rest(pids)
    return statistics.median(walls), (machine.cpu_s(*pids) - before) * 1e3 / (2 * CHANGES)


def let_rest(pids: tuple[int, ...]) -> None:
    """Wait until the daemon has nothing to do."""
    before = -1.0
    while (now := machine.cpu_s(*pids)) > before:
        before = now
        time.sleep(0.3)


# The other process: what a MAC costs to judge.


def _judge(esi: Esi | None) -> float:
    from tests.contract import grouped
    from vtep.addr import NO_SEGMENT

    leaf = grouped.GroupedLeaf(grouped.MemoryHands(grouped.CONFIG))
    if esi is not None:
        leaf.advertise(
            *(one(vtep, esi) for vtep in (grouped.A, grouped.B) for one in (grouped.per_segment, grouped.per_evi))
        )
        leaf.leaf.judge(0.0)
    leaf.advertise(*(grouped.type2(grouped.A, esi or NO_SEGMENT, one) for one in grouped.macs(JUDGED)))
    began = time.process_time()
    leaf.leaf.judge(0.0)
    used = time.process_time() - began
    assert len(leaf.intent.macs) == JUDGED
    return used * 1e6 / JUDGED


def main() -> None:
    found: dict[Esi | None, list[float]] = {None: [], SEGMENT: []}
    for _ in range(3):
        for esi, values in found.items():
            values.append(_judge(esi))
    print(*(statistics.median(values) for values in found.values()))


if __name__ == "__main__":
    main()
