"""The way from messages to the kernel, beside a C program that sends the same batches and makes them of nothing.

Both sides add, move and delete in a fresh network namespace of their own each time, with no listener at work. Ours is
`vtep.linux.kernel` from ready messages on, and, as `spelled`, from changes as the engine has them.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.figures import Figure, Limit
from bench.leaf import nodes
from bench.routes import NEW, OLD, mac
from tests.lab.topology import VNI, VXLAN
from vtep.addr import Ip, Mac, Vni
from vtep.linux.attachment import Ready
from vtep.linux.events import LINKS
from vtep.linux.kernel import Kernel
from vtep.linux.tables.fdb import FDB, FdbRow
from vtep.linux.wire.neighbor import Neighbor
from vtep.reconcile.contract import Attachments, Change
from vtep.reconcile.writer import MESSAGES_MAX, spelled_in_turns

BATCH: Final = MESSAGES_MAX // 2
WORDS: Final = ("add", "move", "delete")
FLOOR: Final = Path(__file__).with_name("floor.c")
SIDES: Final = ("c", "vtep", "spelled")


def measure(macs: int, runs: int, scratch: Path) -> list[Figure]:
    """Return nothing where there is no C compiler, since there is nothing to be beside of."""
    floor = scratch / "floor"
    try:
        subprocess.run(["gcc", "-O2", "-o", str(floor), str(FLOOR)], check=True)
    except FileNotFoundError:
        return []
    commands = {
        "c": [str(floor), VXLAN, str(macs), str(BATCH)],
        "vtep": [sys.executable, __file__, str(macs), "ready"],
        "spelled": [sys.executable, __file__, str(macs), "spelled"],
    }
    found: dict[str, dict[str, list[float]]] = {word: {side: [] for side in SIDES} for word in WORDS}
    for _ in range(runs):
        for side, command in commands.items():
            for word, wall_us in zip(WORDS, _one(command, macs), strict=True):
                found[word][side].append(wall_us)
    return [
        Figure(f"Kernel writes, {macs:,} MACs", word, "us/MAC", found[word], Limit("vtep", "c", 1.3, fails_at=5.0))
        for word in WORDS
    ]


def _one(command: Sequence[str], macs: int) -> list[float]:
    with nodes() as (leaf, _):
        lines = leaf.run(*command, deadline_s=300).splitlines()
    told = [[int(number) for number in line.split()] for line in lines]
    assert not any(refused for _, _, refused in told), told
    return [wall / 1000 / macs for wall, _, _ in told]


# The other process: our side.


def _changes(macs: int) -> Iterator[list[Change]]:
    verbs = ("create", "replace", "delete")
    for verb, vtep in zip(verbs, (OLD, NEW, NEW), strict=True):
        row = FdbRow(Ip.parse(vtep))
        keys = [(Vni(VNI), Mac.parse(mac(number))) for number in range(macs)]
        yield [Change(verb, keys[first : first + BATCH], row) for first in range(0, macs, BATCH)]


def _write(macs: int, how: str) -> None:
    with Kernel(LINKS) as kernel:  # its announcements of rows, which C does not receive, cost 1.3 us a deletion
        vxlan = kernel.links().by_name[VXLAN]
        assert vxlan.master is not None
        attachments = Attachments({Vni(VNI): Ready(VNI, vxlan.master, vxlan.index)}, {})
        for batches in _changes(macs):
            ready = [_spelled(batch, attachments) for batch in batches] if how == "ready" else []
            cpu, wall = time.process_time_ns(), time.monotonic_ns()
            refused = 0
            if how == "ready":
                for messages in ready:
                    refused += len(kernel.send(messages))
            else:
                for batch in batches:
                    refused += len(kernel.send(_spelled(batch, attachments)))
            print(time.monotonic_ns() - wall, time.process_time_ns() - cpu, refused)


def _spelled(batch: Change, attachments: Attachments) -> list[Neighbor]:
    messages: list[Neighbor] = spelled_in_turns(FDB, [batch], attachments)[0]
    return messages


if __name__ == "__main__":
    _write(int(sys.argv[1]), sys.argv[2])
