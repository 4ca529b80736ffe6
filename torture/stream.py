"""A day of churn as fast as it goes: millions of events through the real feed socket into a real kernel.

Two route reflectors tell the same MACs and disagree about a part of them; their sessions flap; one line in a hundred is
garbage; sequences reach 2^32-1 and start again; one of them never says End-of-RIB. An event is one MAC announced or
withdrawn. When all is said the kernel must hold exactly what the last words mean, and memory must not have grown after
the warm-up: a line through the samples may not rise by more than the stated part.
"""

import json
import random
import statistics
import time
from collections.abc import Iterator
from typing import Final

from bench import machine
from tests.lab import overlay, wire
from tests.lab.feeder import Feeder
from tests.lab.lines import Lines
from tests.lab.namespaces import Lab, Node
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, address
from tests.lab.vtep import Vtep, leaf_config
from tests.lab.wait import wait_until
from torture.leaf import Leaf
from torture.tally import Tally
from torture.watch import each, told

REFLECTORS: Final = ("10.0.0.201", "10.0.0.202")
MACS: Final = 2_000
PER_LINE: Final = 50
STROKE: Final = 40
"""Lines said at a time, before the memory is looked at again."""
GARBAGE_ONE_IN: Final = 100
FLAP_ONE_IN: Final = 200
SEQ_MAX: Final = 2**32 - 1
WARM_UP: Final = 250_000
"""Events until every table and every bounded history is full."""
GROWTH_MAX: Final = 0.03
"""Of the memory after warm-up, over the whole rest: an allocator is never quite flat."""
GROWTH_KIB_MAX: Final = 4096
"""And this much is noise."""
JUDGED_FROM: Final = 1_000_000
"""Events; in fewer no slope is seen."""
SETTLED_S_MAX: Final = 120.0
RECONNECT_S_MAX: Final = 60.0
QUICK_WINDOWS: Final = "initial_hold_s = 5\n[duplicates]\nwindow_s = 5\n"
CHECKS: Final = 10
"""So often everything is compared on the way, where no later words can make up for a line that was lost."""
GONE: Final = 100
"""So many of the MACs are withdrawn in the end."""


def torture(events: int, drops: int, seed: int) -> Iterator[Tally]:
    """Have a session drop so often, say so many events, and compare what came of it."""
    yield _dropping(drops, seed)
    yield from _day(events, seed)


def _dropping(drops: int, seed: int) -> Tally:
    """Drop a real session under ExaBGP every second, or as soon as it is there again."""

    def drop(one: Leaf, _fault: str) -> float:
        for _ in range(drops):
            one.churn()
            one.speaker.wait_established(deadline_s=RECONNECT_S_MAX)
            time.sleep(1)
            one.speaker.drop()
        one.churn()
        return one.settle()

    ((fault, watch),) = each(random.Random(seed), ["a BGP session that drops a second after it came up"], drop)
    tally = told("stream", fault, [watch])
    return Tally(
        "stream", fault, drops, drops * tally.recovered, tally.rows_lost, tally.packets_lost, tally.worst_s, tally.note
    )


def _day(events: int, seed: int) -> Iterator[Tally]:
    with Lab() as lab:
        node = lab.node("leaf")
        overlay.bridge_vxlan(node, VNI, BRIDGE, VXLAN, address(LEAF))
        process = Vtep(node, leaf_config(peers=REFLECTORS, more=QUICK_WINDOWS)).start()
        with Feeder(node) as feeder:
            telling = Telling(random.Random(seed))
            feeder.say(*telling.opening())
            start = time.monotonic()
            memory: list[tuple[int, int]] = []
            waits: list[float] = []
            wrong = 0
            while telling.events < events:
                feeder.say(*telling.stroke())
                memory.append((telling.events, machine.resident_kib(process.pid)))
                if telling.events * CHECKS >= events * (len(waits) + 1):
                    wrong += _wrong_now(node, telling.wanted(), waits)
            feeder.say(*telling.last_words())
            wrong += _wrong_now(node, telling.wanted(), waits)
            took_s = time.monotonic() - start
        log = process.log()
        alive = process.alive and "Traceback" not in log
        gave_up_waiting = f"5 s have passed without End-of-RIB from {REFLECTORS[1]}" in log
    warm = [(at, kib) for at, kib in memory if at >= WARM_UP]
    growth = _growth_kib(warm)
    most = max(GROWTH_KIB_MAX, GROWTH_MAX * warm[0][1])
    flat = growth <= most or telling.events < JUDGED_FROM
    rate = telling.events / took_s
    yield Tally(
        "stream", f"{telling.events:,} events from two reflectors that disagree, as fast as they are taken",
        telling.events, telling.events if alive else 0, wrong, None, max(waits),
        f"{rate:,.0f} events a second; rows lost counts those that were not exact when all was said, looked at"
        f" {len(waits) - 1} times on the way and in the end",
    )  # fmt: skip
    yield Tally("stream", "lines of garbage among them, 1 in 100", telling.garbage, telling.garbage if alive else 0)
    yield Tally("stream", "sessions of a reflector that flapped", telling.flaps, telling.flaps if not wrong else 0)
    yield Tally("stream", "sequences that started again after 2^32-1", telling.wraps, telling.wraps if not wrong else 0)
    yield Tally("stream", "an End-of-RIB that never came", 1, int(gave_up_waiting and not wrong))
    yield Tally(
        "stream", "memory after the warm-up", 1, int(flat), None, None, None,
        f"from {warm[0][1] >> 10:,} MiB the line through {len(warm)} samples rises by"
        f" {growth / 1024:+.1f} MiB; {most / 1024:.1f} are allowed",
    )  # fmt: skip


def _wrong_now(node: Node, wanted: set[tuple[str, str]], waits: list[float]) -> int:
    """Wait until the kernel holds exactly this, and return how many rows never were as they should be."""
    start = time.monotonic()
    try:
        wait_until(lambda: overlay.tunnels(node, VXLAN) == wanted, SETTLED_S_MAX, "the rows of the last words")
    except AssertionError:
        return len(overlay.tunnels(node, VXLAN) ^ wanted)
    finally:
        waits.append(time.monotonic() - start)
    return 0


def _growth_kib(samples: list[tuple[int, int]]) -> float:
    """Return by how much the line through the samples rises from the first to the last of them."""
    slope = statistics.linear_regression([at for at, _ in samples], [kib for _, kib in samples]).slope
    return slope * (samples[-1][0] - samples[0][0])


class Telling:
    """What the two reflectors say, and what it means in the end."""

    def __init__(self, chance: random.Random) -> None:
        self.events = self.garbage = self.flaps = self.wraps = 0
        self._chance = chance
        self._lines = Lines()
        self._macs = [(2 << 40 | 0x40 << 32 | number).to_bytes(6).hex(":") for number in range(MACS)]
        self._remotes = [wire.Instance(address(number)) for number in (1, 2, 3)]
        self._told: dict[str, dict[str, tuple[int, int]]] = {reflector: {} for reflector in REFLECTORS}
        """By reflector and MAC: the remote that it is said to be behind, and with which sequence."""
        self._seq = SEQ_MAX - 50
        self._at = 0

    def opening(self) -> Iterator[bytes]:
        """Both come up; only the first will ever say that it has told everything."""
        for reflector in REFLECTORS:
            yield self._lines.opened(reflector, restart_s=None)
            yield from self._come_up(reflector)

    def stroke(self) -> list[bytes]:
        return [line for _ in range(STROKE) for line in self._next()]

    def last_words(self) -> Iterator[bytes]:
        """Both tell a whole table, of which the second disagrees about every tenth MAC, and then take some of it back."""
        for reflector in REFLECTORS:
            yield from self._flap(reflector)
            for first in range(0, MACS, PER_LINE):
                yield from self._announce(reflector, self._macs[first : first + PER_LINE], first // PER_LINE % 3, 7)
        for first in range(0, MACS, 10):
            yield from self._announce(REFLECTORS[1], [self._macs[first]], 2, SEQ_MAX)
        for reflector in REFLECTORS:
            yield self._withdraw(reflector, self._macs[-GONE:])

    def wanted(self) -> set[tuple[str, str]]:
        """Return the rows: the highest sequence wins, and at equal ones the lowest VTEP."""
        best: dict[str, tuple[int, int]] = {}
        for table in self._told.values():
            for mac, (remote, seq) in table.items():
                best[mac] = max(best.get(mac, (-1, 0)), (seq, -remote))
        return {(mac, address(1 - remote)) for mac, (_, remote) in best.items()}

    def _next(self) -> Iterator[bytes]:
        reflector = self._chance.choice(REFLECTORS)
        if not self._chance.randrange(FLAP_ONE_IN):
            self.flaps += 1
            yield from self._flap(reflector)
        some = self._chance.sample(self._macs, PER_LINE)
        if self._chance.random() < 0.25 and (gone := [mac for mac in some if mac in self._told[reflector]]):
            yield self._withdraw(reflector, gone)
        else:
            yield from self._announce(reflector, some, self._chance.randrange(3), self._next_seq())
        if not self._chance.randrange(GARBAGE_ONE_IN):
            self.garbage += 1
            yield self._spoil()

    def _flap(self, reflector: str) -> Iterator[bytes]:
        self._told[reflector].clear()
        yield self._lines.down(reflector)
        yield from self._come_up(reflector)

    def _come_up(self, reflector: str) -> Iterator[bytes]:
        yield self._lines.up(reflector)
        if reflector == REFLECTORS[0]:
            yield self._lines.end_of_rib(reflector)

    def _next_seq(self) -> int:
        self._at += 1
        self._seq += 1
        if self._seq > SEQ_MAX:
            self._seq = 0
            self.wraps += 1
        elif self._at % 500 == 0:
            self._seq = SEQ_MAX - 50
        return self._seq

    def _announce(self, reflector: str, macs: list[str], remote: int, seq: int) -> Iterator[bytes]:
        table = self._told[reflector]
        # What it said before of another VTEP is another route, and goes.
        if gone := [mac for mac in macs if table.get(mac, (remote,))[0] != remote]:
            yield self._withdraw(reflector, gone)
        table |= dict.fromkeys(macs, (remote, seq))
        self.events += len(macs)
        yield self._lines.announce(reflector, *(self._remotes[remote].mac(mac, seq=seq) for mac in macs))

    def _withdraw(self, reflector: str, macs: list[str]) -> bytes:
        table = self._told[reflector]
        self.events += len(macs)
        return self._lines.withdraw(reflector, *(self._remotes[table.pop(mac)[0]].mac(mac).nlri for mac in macs))

    def _spoil(self) -> bytes:
        """Return a line that means nothing: cut, of random octets, or of a shape that nobody knows."""
        whole = self._lines.up("10.0.0.250")
        kinds = (
            whole[: self._chance.randrange(1, len(whole) - 1)],
            bytes(self._chance.randrange(256) for _ in range(80)).replace(b"\n", b" "),
            json.dumps({"exabgp": "5.0.0", "type": self._chance.choice(("", "flood", "\x1b[2J"))}).encode(),
        )
        return self._chance.choice(kinds)
