"""A kernel that has bad days: lost answers, refusals, wrong dumps, a full table, devices that go, change their name or return.

Under each the routes churn. Where the fault does not itself take rows away (a device that is deleted takes its own), no
valid row may be touched and no packet lost; afterwards the kernel must hold exactly what BGP says.
"""

import itertools
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.lab.namespaces import Lab, Node
from tests.lab.topology import BRIDGE, VXLAN
from tests.lab.vtep import VTEP
from tests.lab.wait import wait_until
from torture.leaf import REMOTES, ROOM, Leaf, macs
from torture.tally import Tally
from torture.watch import Watch, each, told

FAULTY_KERNEL: Final = str(Path(__file__).with_name("faulty_kernel.py"))
MISHAPS: Final = {
    "answers": "answers lost (ENOBUFS): a receive buffer of 4 KiB for them",
    "events": "announcements lost (ENOBUFS): a receive buffer of 4 KiB for them",
    "ENOMEM": "messages refused with ENOMEM, 1 in 4",
    "EBUSY": "messages refused with EBUSY, 1 in 4",
    "ENOSPC": "messages refused with ENOSPC, 1 in 4",
    "EPERM": "messages refused with EPERM, 1 in 4, then `vtep resync`",
    "torn": "dumps interrupted or lost, 1 in 2",
    "lacking": "dumps that lack a tenth of the rows and have others twice, unmarked, 1 in 2",
}
SEEN_BY_LOOKING: Final = ("answers", "torn", "lacking")
FULL: Final = f"the device full (`maxaddress {ROOM}`) under churn, then with room again"
CROWD: Final = 600
MOMENT_S_MAX: Final = 0.2
MIDWAY_S_MAX: Final = 20.0
SWITCH: Final = Path("/run/unruly")


def torture(strokes: int, times: int, seed: int) -> Iterator[Tally]:
    """Have so many strokes of churn under each mishap, and so many of each fault of a device."""
    chance = random.Random(seed)
    counts: dict[str, int] = {}

    def befall(one: Leaf, mishap: str) -> float:
        took_s = _befall(one, mishap, strokes)
        counts[mishap] = one.node.path("/run/mishaps").stat().st_size
        return took_s

    for mishap, watch in each(chance, MISHAPS, befall):
        tally, count = told("kernel", MISHAPS[mishap], [watch]), counts.get(mishap, 1)
        yield Tally(
            tally.piece, tally.fault, count, count * tally.recovered, tally.rows_lost, tally.packets_lost, tally.worst_s, tally.note
        )  # fmt: skip
    faults: dict[str, Callable[[Leaf], float]] = {FULL: _full} | {name: fault for name, (fault, _) in DEVICES.items()}
    found = defaultdict[str, list[Watch]](list)
    for name, watch in each(
        chance, [name for name in faults for _ in range(times)], lambda one, name: faults[name](one)
    ):
        found[name].append(watch)
    for name, watches in found.items():
        yield told("kernel", name, watches, stops_it=name in DEVICES and DEVICES[name][1])


def _befall(one: Leaf, mishap: str, strokes: int) -> float:
    """Have a daemon with this mishap take over, in a night in which much changes."""
    _switch(one.node, "on\n")
    process = one.next_life(sys.executable, FAULTY_KERNEL, mishap)
    count = one.node.path("/run/mishaps")
    end = time.monotonic() + MIDWAY_S_MAX
    for stroke in itertools.count():
        if stroke >= strokes and count.stat().st_size:
            break
        assert stroke < strokes or time.monotonic() < end, f"no mishap in {stroke} strokes"
        one.churn()
        if mishap in SEEN_BY_LOOKING and not stroke % 5:
            one.node.run(str(VTEP), "resync")
        if mishap == "events":
            _change_much(one)
        time.sleep(one.chance.uniform(0, MOMENT_S_MAX))
    one.node.path(str(SWITCH)).unlink()
    if mishap == "EPERM":
        one.node.run(str(VTEP), "resync")
    took_s = one.settle()
    assert process.alive, process.log()[-2000:]
    return took_s


def _change_much(one: Leaf) -> None:
    """Change rows faster than anybody reads of it: an operator's, on the same device."""
    lines = [
        f"fdb {verb} {mac} dev {VXLAN} dst 10.0.0.66 self static"
        for verb in ("append", "del")
        for mac in macs(0x50, 50)
    ]
    one.node.run("bridge", "-batch", "-", stdin="\n".join(lines) + "\n")


def _full(one: Leaf) -> float:
    """Announce more MACs than fit; later take them back."""
    crowd = [REMOTES[2].mac(mac) for mac in macs(0x40, CROWD)]
    one.speaker.announce(*crowd)
    wait_until(lambda: len(one.rows()) == ROOM, 30, "a full device")
    for _ in range(3):
        one.churn()
        time.sleep(one.chance.uniform(0, MOMENT_S_MAX))
    assert len(one.wanted()) + CROWD > ROOM
    one.speaker.withdraw(*crowd)
    return one.settle()


# Devices


def _midway(one: Leaf, *commands: str) -> None:
    """Have `ip` do this between two halves of a batch of the daemon's."""
    process = one.next_life(sys.executable, FAULTY_KERNEL, "midway")
    _switch(one.node, "\n".join(commands) + "\n")
    end = time.monotonic() + MIDWAY_S_MAX
    while one.node.path(str(SWITCH)).exists():
        assert time.monotonic() < end, "no batch was cut"
        assert process.alive, process.log()[-2000:]
        one.churn()
        time.sleep(MOMENT_S_MAX / 4)


def _switch(node: Node, text: str) -> None:
    """Write the file at once, not in parts: its reader looks all the time."""
    node.write(f"{SWITCH}.new", text)
    os.rename(node.path(f"{SWITCH}.new"), node.path(str(SWITCH)))


def _deleted(one: Leaf) -> float:
    _midway(one, f"link del dev {VXLAN}")
    one.churn()
    one.make_device()
    return one.settle()


def _sent_away(one: Leaf) -> float:
    """Have the device go to another namespace, which then goes away with it."""
    with ExitStack() as stack:
        elsewhere = stack.enter_context(Lab()).node("elsewhere")
        _midway(one, f"link set dev {VXLAN} netns {elsewhere.pid}")
    one.churn()
    one.make_device()
    return one.settle()


def _down_and_up(name: str, one: Leaf) -> float:
    _midway(one, f"link set dev {name} down")
    one.churn()
    time.sleep(one.chance.uniform(0, MOMENT_S_MAX))
    one.node.ip(f"link set dev {name} up")
    return one.settle()


def _renamed(name: str, one: Leaf) -> float:
    """Give a device another name for a while; its rows are the same."""
    _midway(one, f"link set dev {name} name other0")
    one.churn()
    time.sleep(one.chance.uniform(0, MOMENT_S_MAX))
    one.node.ip(f"link set dev other0 name {name}")
    return one.settle()


DEVICES: Final[dict[str, tuple[Callable[[Leaf], float], bool]]] = {
    "the VXLAN device renamed in mid-batch, and back": (lambda one: _renamed(VXLAN, one), False),
    "the bridge renamed in mid-batch, and back": (lambda one: _renamed(BRIDGE, one), False),
    "the VXLAN device down in mid-batch, and up": (lambda one: _down_and_up(VXLAN, one), True),
    "the bridge down in mid-batch, and up": (lambda one: _down_and_up(BRIDGE, one), True),
    "the VXLAN device deleted in mid-batch, and made again": (_deleted, True),
    "the VXLAN device in mid-batch in a namespace that goes away, and made again": (_sent_away, True),
}
"""By what is told: the fault, and whether it stops the device by itself."""
