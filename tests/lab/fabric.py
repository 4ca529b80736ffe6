"""FRR VTEPs, two unless told otherwise, and our leaf in one VNI, in a full mesh as far as routes go: what a test of real
peers needs.

        remote1 (zebra, bgpd) ─────iBGP───── remote2 (zebra, bgpd)
                     └────iBGP── leaf ──iBGP────┘
                            (ExaBGP, relay, daemon)

Knows where every MAC is, because it put it there: `settle` waits until bridges, both FRR tables and the leaf's kernel say
the same. Stations are quiet but for the frames sent here.
"""

import contextlib
import itertools
import operator
import os
import random
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self

from tests.lab import overlay
from tests.lab.fdb_monitor import FdbMonitor
from tests.lab.namespaces import CommandFailed, Lab, Node
from tests.lab.peers import EXABGP, Frr, frr_config
from tests.lab.topology import LEAF, VNI, VXLAN, Station, Topology, address
from tests.lab.vtep import Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until

Row = tuple[str, str]
"""A MAC, and the address of the VTEP that it is behind."""

KEEPS_FORWARDING: Final = "bgp graceful-restart\nbgp graceful-restart preserve-fw-state\n"


class Fabric:
    """The fabric, not yet started."""

    def __init__(
        self,
        lab: Lab,
        *,
        exabgp: Path = EXABGP,
        remotes: int = 2,
        hold_s: int = 180,
        buffer_mib: int = 64,
        restarts: str = KEEPS_FORWARDING,
    ) -> None:
        self.network = Topology(lab, remotes=remotes)
        self.leaf = self.network.leaf
        self.where: dict[str, int | None] = {}
        """The number of the remote that each MAC is behind; none once it is forgotten."""
        self.frrs = {
            number: Frr(node, _config(number, remotes, restarts)) for number, node in enumerate(self.network.remotes, 1)
        }
        neighbors = [address(number) for number in self.frrs]
        self.vtep = Vtep(self.leaf, leaf_config(peers=neighbors))
        self.exabgp = exabgp_with_relay(self.leaf, neighbors, executable=exabgp, hold_s=hold_s, buffer_mib=buffer_mib)

    def start(self) -> None:
        """Start everything, with a few MACs behind each remote that stay where they are."""
        for frr in self.frrs.values():
            frr.start()
        self.vtep.start()
        self.exabgp.start()
        for number in self.frrs:
            # A station tells its own MAC unasked sooner or later, by IPv6.
            self.learn(number, self._station(number).mac, *macs(number, 10))
        self.settle()

    # Where MACs are

    def learn(self, number: int, *some: str) -> None:
        """Have stations with new MACs speak behind a remote."""
        self.where |= dict.fromkeys(some, number)
        self.speak(number, *some)

    def move(self, number: int, *some: str) -> None:
        """Have stations that were behind the other of two remotes speak behind this one.

        It must have heard of them: of two announcements of equal sequence the lower address wins (RFC 7432 15).
        """
        there = {(mac, address(3 - number)) for mac in some}
        wait_until(lambda: there <= overlay.tunnels(self._remote(number), VXLAN), 30, "news of the other remote")
        self.learn(number, *some)

    def forget(self, number: int, *some: str) -> None:
        """Have the bridge of a remote forget these MACs, as it does when they were quiet for long."""
        self.where |= dict.fromkeys(some)
        self.silence(number, *some)

    def speak(self, number: int, *some: str) -> None:
        """Learn, without answering for what FRR makes of it."""
        if some:
            self._station(number).speak(*some)

    def silence(self, number: int, *some: str) -> None:
        """Forget, without answering for what FRR makes of it."""
        port = self._station(number).port
        lines = "".join(f"fdb del {mac} dev {port} master\n" for mac in some)
        self._remote(number).run("bridge", "-force", "-batch", "-", stdin=lines)

    def announce_vnis(self, number: int, flag: bool) -> None:
        """Have a remote announce what it has, or withdraw all of it."""
        words = "" if flag else "no "
        configure = ("configure terminal", "router bgp 65000", "address-family l2vpn evpn", f"{words}advertise-all-vni")
        self._remote(number).run("vtysh", *(word for line in configure for word in ("-c", line)))

    # What everybody says

    def rows(self) -> set[Row]:
        """Return the leaf's rows as its kernel has them."""
        return {row for row in overlay.tunnels(self.leaf, VXLAN) if row[0] != overlay.FLOOD_MAC}

    def settle(self, deadline_s: float = 30.0) -> None:
        """Wait until the leaf's rows are those of `show bgp l2vpn evpn` on both remotes, where every MAC is right."""
        wait_until(lambda: self._agree(leaf=self.rows(), **self._told()), deadline_s, "one view of all MACs")

    def settle_remotes(self, deadline_s: float = 30.0) -> None:
        """Wait until both remotes have every MAC right, whatever the leaf has."""
        wait_until(lambda: self._agree(**self._told()), deadline_s, "one view of all MACs in FRR")

    def wait_rows(self, *some: str) -> None:
        """Wait until the leaf has these MACs right."""
        rows = {row for row in self._truth() if row[0] in some}
        wait_until(lambda: rows <= self.rows(), 30, f"the rows of {', '.join(some)}")

    def settle_floods(self, *numbers: int, deadline_s: float = 30.0) -> None:
        """Wait until the leaf and each of these remotes flood to exactly these remotes but itself."""
        wait_until(lambda: self._flood_to({address(number) for number in numbers}, numbers), deadline_s, "equal floods")

    def _flood_to(self, wanted: set[str], numbers: tuple[int, ...]) -> bool:
        told = {number: self.frrs[number].vteps(VNI) - {address(LEAF)} for number in numbers}
        rows = {number: overlay.floods(self._remote(number), VXLAN) - {address(LEAF)} for number in numbers}
        leaf = overlay.floods(self.leaf, VXLAN)
        if leaf != wanted or told != rows or any(told[number] != wanted - {address(number)} for number in numbers):
            raise AssertionError({"wanted": wanted, "leaf": leaf, "FRR": told, "FRR's kernels": rows})
        return True

    def _truth(self) -> set[Row]:
        return {(mac, address(number)) for mac, number in self.where.items() if number is not None}

    def _told(self) -> dict[str, set[Row]]:
        return {node.name: frr.macs() for node, frr in zip(self.network.remotes, self.frrs.values(), strict=True)}

    def _agree(self, **views: set[Row]) -> bool:
        truth = self._truth()
        others = {row for row in views["remote1"] if row[0] not in self.where}
        wrong = {
            name: (f"without {sorted((truth | others) - view)[:5]}", f"but with {sorted(view - truth - others)[:5]}")
            for name, view in views.items()
            if view != truth | others
        }
        if wrong:
            raise AssertionError(wrong)
        return True

    def session(self, number: int) -> dict[str, Any]:
        """Return what a remote says about its session with the leaf."""
        return self.frrs[number].session(address(LEAF))

    def established(self) -> list[int]:
        """Return how many sessions with the leaf each remote has had so far; fails unless all are up."""
        sessions = [self.session(number) for number in self.frrs]
        assert all(session["bgpState"] == "Established" for session in sessions), sessions
        return [session["connectionsEstablished"] for session in sessions]

    def wait_keepalives(self, number: int) -> None:
        """Wait until each remote has heard so many keepalives of the leaf more than before."""

        def heard() -> list[int]:
            return [self.session(remote)["messageStats"]["keepalivesRecv"] for remote in self.frrs]

        wanted = [count + number for count in heard()]
        wait_until(lambda: all(map(operator.ge, heard(), wanted)), 60, f"{number} keepalives of ExaBGP")

    # Inside the leaf

    def monitor_fdb(self) -> FdbMonitor:
        return FdbMonitor(self.leaf, VXLAN, beside="underlay")

    def relay(self) -> int:
        """Return the pid of ExaBGP's child."""
        assert self.exabgp.process is not None
        (pid,) = children(self.exabgp.process.pid)
        return pid

    def _station(self, number: int) -> Station:
        return self.network.stations[number - 1]

    def _remote(self, number: int) -> Node:
        return self.network.remotes[number - 1]


class Churn:
    """MACs that come, move and go behind both remotes for as long as the context lasts."""

    STEP_S: Final = 0.005

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._random = random.Random(1)
        self._fresh = (f"02:c0:00:00:{number >> 8:02x}:{number & 255:02x}" for number in itertools.count())
        self._living: deque[tuple[str, int]] = deque()
        self._end = threading.Event()
        self._executor = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self._running = self._executor.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._executor.shutdown()
        self._running.result()

    def _run(self) -> None:
        while not self._end.wait(self.STEP_S):
            self._random.choices((self._come, self._move, self._go), (6, 1, 1))[0]()

    def _come(self) -> None:
        number = self._random.choice((1, 2))
        new = list(itertools.islice(self._fresh, 3))
        self._fabric.speak(number, *new)
        self._living += [(mac, number) for mac in new]

    def _move(self) -> None:
        if self._living:
            mac, number = self._living.popleft()
            self._fabric.speak(3 - number, mac)
            self._living.append((mac, 3 - number))

    def _go(self) -> None:
        for _ in range(min(3, len(self._living))):
            mac, number = self._living.popleft()
            # FRR may have thought that a move went the other way.
            with contextlib.suppress(CommandFailed):
                self._fabric.silence(number, mac)


@contextlib.contextmanager
def halted(pid: int) -> Iterator[None]:
    """Have a process stand still for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def macs(group: int, count: int) -> list[str]:
    return [f"02:00:00:{group:02x}:{number >> 8:02x}:{number & 255:02x}" for number in range(count)]


def children(parent: int) -> list[int]:
    """Return the pids of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it ended while we looked
            continue
        if int(text.rpartition(")")[2].split()[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def _config(number: int, remotes: int, restarts: str) -> str:
    neighbors = [address(LEAF), *(address(other) for other in range(1, remotes + 1) if other != number)]
    # After a loss bgpd would wait two minutes before it dials again.
    timers = "".join(f"neighbor {neighbor} timers connect 1\n" for neighbor in neighbors)
    # bgpd would gather updates of a new session for a second.
    return f"{frr_config(address(number), neighbors)}router bgp 65000\ncoalesce-time 50\n{timers}{restarts}"
