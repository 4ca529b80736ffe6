"""A kernel that has bad days: lost answers, refusals, torn dumps, devices that go, change their name or come back.

Under each the routes churn. Where the fault does not itself take rows away (a device that is deleted takes its own), no
valid row may be touched and no packet lost; afterwards the kernel must hold exactly what BGP says.
"""

import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.lab import overlay
from tests.lab.namespaces import Lab
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, address
from tests.lab.vtep import VTEP
from torture.leaf import OPERATORS, Leaf, Watch, leaf
from torture.tally import Tally

UNRULY: Final = str(Path(__file__).with_name("unruly.py"))
MISHAPS: Final = {
    "buffers": "answers and announcements lost (ENOBUFS): sockets of 4 KiB",
    "ENOMEM": "messages refused with ENOMEM, 1 in 4",
    "EBUSY": "messages refused with EBUSY, 1 in 4",
    "ENOSPC": "messages refused with ENOSPC, 1 in 4",
    "EPERM": "messages refused with EPERM, 1 in 4, then `vtep resync`",
    "dump": "dumps interrupted or lost, 1 in 2",
}
MOMENT_S_MAX: Final = 0.2


def torture(strokes: int, seed: int) -> Iterator[Tally]:
    """Have so many strokes of churn under each mishap, and each device fault a tenth as often."""
    chance = random.Random(seed)
    for mishap, fault in MISHAPS.items():
        yield _unruly(mishap, fault, strokes, chance)
    for fault, (inject, stops_it) in DEVICES.items():
        yield _device(fault, inject, max(3, strokes // 10), chance, stops_it=stops_it)


def _unruly(mishap: str, fault: str, strokes: int, chance: random.Random) -> Tally:
    took_s = None
    with leaf(chance) as one:
        assert one.vtep.process is not None
        one.vtep.process.kill()
        one.node.write("/run/unruly", "")
        with one.watched() as watch:
            process = one.start_daemon(sys.executable, UNRULY, mishap)
            for stroke in range(strokes):
                one.churn()
                if mishap == "dump" and not stroke % 5:
                    one.node.run(str(VTEP), "resync")
                time.sleep(chance.uniform(0, MOMENT_S_MAX))
            one.node.path("/run/unruly").unlink()
            if mishap == "EPERM":
                one.node.run(str(VTEP), "resync")
            try:
                took_s = one.settle()
            except AssertionError as never:
                print(f"      not recovered from {fault}: {never}", file=sys.stderr, flush=True)
            assert process.alive, process.log()[-2000:]
        count = one.node.path("/run/mishaps").stat().st_size
    for line in watch.harm[:5]:
        print(f"      harm by {fault}: {line}", file=sys.stderr, flush=True)
    return Tally(
        "kernel", fault, count, 0 if took_s is None else count, len(watch.harm), watch.lost, took_s,
        f"{watch.sent:,} packets sent meanwhile",
    )  # fmt: skip


# Devices


def _delete(one: Leaf) -> None:
    """Delete the VXLAN device among writes, and make it again."""
    one.node.ip(f"link del dev {VXLAN}")
    one.churn()
    _make(one)


def _make(one: Leaf) -> None:
    overlay_again = (
        f"link add name {VXLAN} type vxlan id {VNI} local {address(LEAF)} dstport 4789 nolearning",
        f"link set dev {VXLAN} master {BRIDGE} up",
        f"link set dev {VXLAN} type bridge_slave learning off",
    )
    one.node.ip(*overlay_again)
    for mac in one.foreign:
        overlay.put_row(one.node, VXLAN, mac, OPERATORS)


def _send_away(one: Leaf) -> None:
    """Move the VXLAN device to another namespace, which then goes away with it."""
    with Lab() as other:
        one.node.ip(f"link set dev {VXLAN} netns {other.node('elsewhere').pid}")
        one.churn()
    _make(one)


def _down_and_up(name: str) -> Callable[[Leaf], None]:
    def inject(one: Leaf) -> None:
        one.node.ip(f"link set dev {name} down")
        one.churn()
        time.sleep(one.chance.uniform(0, MOMENT_S_MAX))
        one.node.ip(f"link set dev {name} up")

    return inject


def _rename(one: Leaf) -> None:
    """Give the device another name for a while; its rows are the same."""
    one.node.ip(f"link set dev {VXLAN} name other0")
    one.churn()
    time.sleep(one.chance.uniform(0, MOMENT_S_MAX))
    one.node.ip(f"link set dev other0 name {VXLAN}")


DEVICES: Final[dict[str, tuple[Callable[[Leaf], None], bool]]] = {
    "VXLAN device renamed, and back": (_rename, False),
    "VXLAN device down and up": (_down_and_up(VXLAN), True),
    "bridge down and up": (_down_and_up(BRIDGE), True),
    "VXLAN device deleted among writes, and made again": (_delete, True),
    "VXLAN device in a namespace that goes away, and made again": (_send_away, True),
}


def _device(fault: str, inject: Callable[[Leaf], None], times: int, chance: random.Random, *, stops_it: bool) -> Tally:
    took: list[float] = []
    found: list[Watch] = []
    with leaf(chance) as one:
        for _ in range(times):
            with one.watched() as watch:
                one.churn()
                time.sleep(chance.uniform(0, MOMENT_S_MAX / 4))
                inject(one)
                try:
                    took.append(one.settle())
                except AssertionError as never:
                    print(f"      not recovered from {fault}: {never}", file=sys.stderr, flush=True)
            found.append(watch)
    harm = [line for watch in found for line in watch.harm]
    lost = sum(watch.lost for watch in found)
    note = f"the fault itself stops the device; {lost:,} packets came meanwhile" if stops_it else ""
    if not stops_it:
        for line in harm[:5]:
            print(f"      harm by {fault}: {line}", file=sys.stderr, flush=True)
    return Tally(
        "kernel", fault, times, len(took), None if stops_it else len(harm), None if stops_it else lost,
        max(took, default=None), note,
    )  # fmt: skip
