"""FRR at work while vtep observes: MACs come, move and go, and no row that zebra has written may count as a difference.

    python -m torture.observe [MACS] [SECONDS]     in ./vtep-dev lab; 20,000 MACs and 600 s unless told otherwise

A speaker advertises the MACs behind two VTEPs and changes some of them all the time; FRR writes the rows. `vtep diff --older-than 5s` is
read again and again. What it lists is compared with the kernel: a difference is false if the row is as the speaker last said, and the
next list has it still. A true one is a row that FRR has not written for 5 s, which is counted apart, because the list is for those. At the end, all is still,
and vtep, the kernel and the speaker must agree.
"""

import json
import random
import sys
import threading
import time
from typing import Any, Final

from msgspec import Struct

from bench.observe import used
from tests.lab import overlay
from tests.lab.namespaces import Lab
from tests.lab.peers import Frr, bmp_targets, frr_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, VXLAN, Topology, address
from tests.lab.vtep import VTEP, Vtep, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance, Route

OLD: Final = "5s"
STEP_S: Final = 0.1
CHANGES: Final = 50
"""At each step. That is 500 a second, which FRR 8.4 takes without a queue on two busy cores."""
LOOKED_AT: Final = 50
"""Of the old differences in one answer: each costs a command."""


class Soak(Struct):
    """What a run found."""

    macs: int
    seconds: float = 0.0
    changes: int = 0
    answers: int = 0
    false: list[str] = []
    """Old differences of rows that are as the speaker said."""
    true: int = 0
    """Old differences of rows that FRR had not written."""
    slowest_s: float = 0.0
    """Of the answers, with the start of the command."""
    cpu: float = 0.0
    memory_mib: int = 0
    settled_s: float = 0.0

    def text(self) -> str:
        lists = f"{self.answers} lists of `vtep diff --older-than {OLD}`, the slowest after {self.slowest_s:.1f} s"
        return (
            f"{self.macs} MACs, {self.changes} changes in {self.seconds:.0f} s: {lists}, {len(self.false)} false differences, "
            f"{self.true} true ones; in sync {self.settled_s:.1f} s after the last change; vtep took {self.cpu:.1%} of a core and "
            f"{self.memory_mib} MiB {self.false[:5] or ''}"
        )


class _Churn:
    """What the speaker says of each MAC; its sequence number only rises, because FRR 8.4 keeps a row when it falls."""

    def __init__(self, speaker: Speaker, count: int) -> None:
        self._speaker = speaker
        self._chance = random.Random(1)
        self._there = (Instance(address(1)), Instance(address(2)))
        self._sequence: dict[str, int] = {}
        self.truth: dict[str, int | None] = dict.fromkeys(_macs(count))
        """The number of the VTEP that each MAC is behind; none while it is withdrawn."""
        self.changed: dict[str, float] = {}
        self.changes = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def announce_all(self) -> None:
        everything = list(self.truth)
        for at in range(0, len(everything), 1000):
            self._announce({mac: self._chance.randrange(2) for mac in everything[at : at + 1000]})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        everything = list(self.truth)
        while not self._end.wait(STEP_S):
            chosen = self._chance.sample(everything, min(CHANGES, len(everything)))
            moves = {
                mac: self._chance.randrange(2)
                for mac in chosen
                if self.truth[mac] is None or self._chance.random() < 0.6
            }
            gone = [mac for mac in chosen if mac not in moves]
            self._withdraw([(mac, self.truth[mac]) for mac in gone])
            self._announce(moves)
            self.changes += len(chosen)

    def _announce(self, places: dict[str, int]) -> None:
        routes: list[Route] = []
        left: list[tuple[str, int | None]] = []
        for mac, place in places.items():
            self._sequence[mac] = self._sequence.get(mac, -1) + 1
            routes.append(self._there[place].mac(mac, seq=self._sequence[mac]))
            if self.truth[mac] not in (None, place):
                left.append((mac, self.truth[mac]))
            self.truth[mac], self.changed[mac] = place, time.monotonic()
        self._speaker.announce(*routes)
        self._speaker.withdraw(*(self._there[place].mac(mac) for mac, place in left if place is not None))

    def _withdraw(self, gone: list[tuple[str, int | None]]) -> None:
        for mac, _ in gone:
            self.truth[mac], self.changed[mac] = None, time.monotonic()
        self._speaker.withdraw(*(self._there[place].mac(mac) for mac, place in gone if place is not None))

    def rows(self) -> set[tuple[str, str]]:
        return {(mac, address(place + 1)) for mac, place in self.truth.items() if place is not None}


def _macs(count: int) -> list[str]:
    return [f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}" for n in range(256, 256 + count)]


def soak(count: int, seconds: float) -> Soak:
    """Run it in a lab of its own."""
    found = Soak(count)
    with Lab() as lab:
        network = Topology(lab)
        config = frr_config(address(LEAF), [address(1)])
        frr = Frr(
            network.leaf, config.replace("address-family", bmp_targets("post-policy") + "address-family", 1), bmp=True
        )
        vtep = Vtep(
            network.leaf, leaf_config(peers=[address(1)], node='mode = "observe"', more='bmp = "127.0.0.1:11019"')
        )
        with Speaker(network.remote, address(1)) as speaker:
            frr.start()
            speaker.wait_established(deadline_s=60)
            churn = _Churn(speaker, count)
            speaker.announce(Instance(address(1)).flood(), Instance(address(2)).flood())
            # Until bgpd has resolved the next hops, it reports their routes as withdrawn, and it never corrects that.
            wait_until(lambda: overlay.floods(network.leaf, VXLAN) == {address(1), address(2)}, 60, "both flood rows")
            churn.announce_all()
            wait_until(lambda: _rows(network.leaf) == churn.rows(), 120, "FRR's rows")
            process = vtep.start("capsh", "--drop=cap_net_admin", "--", "-c", 'exec "$0" "$@"')
            wait_until(lambda: vtep.told("status")["ready"] and not _old(vtep), 120, "it is in sync")
            (cpu, _), began = used(process.pid), time.monotonic()
            churn.start()
            try:
                while time.monotonic() < began + seconds:
                    asked = time.monotonic()
                    old = _old(vtep)
                    found.slowest_s = max(found.slowest_s, time.monotonic() - asked)
                    found.answers += 1
                    _judge(found, old, churn, vtep)
                    time.sleep(1)
            finally:
                churn.stop()
            found.seconds, found.changes = time.monotonic() - began, churn.changes
            after, found.memory_mib = used(process.pid)
            found.cpu = (after - cpu) / found.seconds
            ended = time.monotonic()
            wait_until(lambda: _rows(network.leaf) == churn.rows(), 120, "FRR's rows at the end")
            wait_until(lambda: vtep.told("diff")["differences"] == [], 120, "in sync at the end")
            found.settled_s = time.monotonic() - ended
    return found


def _judge(found: Soak, old: list[str], churn: _Churn, vtep: Vtep) -> None:
    """Compare what is listed with the kernel. What is right there may have been written after the list was made, so it is false only
    if the next list has it as well and nothing was said of it meanwhile."""
    right = [mac for mac in old[:LOOKED_AT] if _is_right(mac, churn, vtep)]
    found.true += len(old[:LOOKED_AT]) - len(right)
    if right:
        again = set(_old(vtep))
        false = [mac for mac in right if mac in again and _is_right(mac, churn, vtep)]
        found.false += [f"{mac} at {churn.truth.get(mac)}" for mac in false]
        found.true += len(right) - len(false)


def _is_right(mac: str, churn: _Churn, vtep: Vtep) -> bool:
    """Tell whether the kernel has a row as the speaker said more than 5 s ago. A key of which nothing was said should not be listed."""
    if mac not in churn.truth:
        return True
    said = churn.truth[mac]
    shown = vtep.node.attempt("bridge", "fdb", "get", mac, "dev", VXLAN, "self").stdout
    is_there = f"dst {address(said + 1)} " in shown if said is not None else "dst" not in shown
    return is_there and time.monotonic() - churn.changed[mac] > 5.0


def _old(vtep: Vtep) -> list[str]:
    """Return what differs for so long; a command may be slow where many others work."""
    asked = vtep.node.attempt(str(VTEP), "diff", "--older-than", OLD, "-o", "json", deadline_s=120)
    return [row["key"] for row in json.loads(asked.stdout)["differences"]]


def _rows(leaf: Any) -> set[tuple[str, str]]:
    return {row for row in overlay.tunnels(leaf, VXLAN) if row[0] != overlay.FLOOD_MAC}


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    found = soak(count, float(sys.argv[2]) if len(sys.argv) > 2 else 600.0)
    print(found.text())
    return 1 if found.false else 0


if __name__ == "__main__":
    sys.exit(main())
