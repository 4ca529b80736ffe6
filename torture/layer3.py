"""What takes the rows of a VRF away, in random order: what the kernel does by itself, other programs, and the end of the daemon.

Each stroke is one fault on a real kernel, while routes come and go; an operator's routes and nexthops stand beside ours, some with our
metric. After each, the leaf must be as a leaf is that has just read everything: each wanted route by its VTEPs, nothing besides, and
what is not ours untouched. Where the kernel has no VRF devices, the routing table alone is one.

    carrier, svi            the VXLAN device, or the SVI, goes down and comes back: the kernel removes nexthops and routes unsaid
    mac                     the SVI gets another MAC: its neighbor rows go
    nexthops, neighbors     another program deletes them, and with a nexthop its routes
    routes                  another program deletes our routes
    kill                    the daemon ends, routes change meanwhile, and the next one has only the file of claims
"""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.contract.routed import TABLE, RoutedLeaf, routed_leaf, type2, type5
from tests.contract.worlds import ip
from torture.tally import Tally
from vtep.addr import Mac
from vtep.linux.ledger import LedgerFile
from vtep.linux.tables.all import KINDS
from vtep.reconcile.engine import Engine

VTEPS: Final = tuple(f"10.0.0.{number}" for number in range(2, 8))
PREFIXES: Final = 60
PASSES_MAX: Final = 20
PLACE: Final = {"boot": "one"}


def torture(strokes: int, seed: int, scratch: Path) -> Iterator[Tally]:
    chance = random.Random(seed)
    with routed_leaf("namespace") as leaf:
        run = _Run(leaf, chance, scratch / "ledger")
        faults: dict[str, Callable[[], None]] = {
            "the carrier of the SVI is lost and comes back": lambda: run.bounce("vx4001"),
            "the SVI goes down and up": lambda: run.bounce("br4001"),
            "the SVI gets another MAC": run.new_mac,
            "another program deletes nexthops of ours": run.delete_nexthops,
            "another program flushes the neighbor rows of the SVI": lambda: ip("neigh flush dev br4001 nud noarp"),
            "another program deletes routes of ours": run.delete_routes,
            "the daemon is killed, and routes change meanwhile": run.kill,
        }
        counts: dict[str, list[float]] = {name: [0, 0, 0, 0.0] for name in faults}
        for _ in range(strokes):
            name = chance.choice(list(faults))
            count = counts[name]
            run.change_routes()
            run.settle()
            faults[name]()
            began = time.monotonic()
            recovered, took_s = run.settle(), time.monotonic() - began
            lost = run.foreign_lost()
            counts[name] = [count[0] + 1, count[1] + recovered, count[2] + lost, max(count[3], took_s)]
        run.close()
        kind = "a VRF device" if leaf.hands.has_vrf else "a routing table without a VRF device"
        for name, (injected, settled, strangers, worst) in counts.items():
            if injected:
                note = f"{PREFIXES} prefixes, {kind}"
                yield Tally("layer3", name, int(injected), int(settled), int(strangers), None, worst, note)


class _Run:
    def __init__(self, leaf: RoutedLeaf, chance: random.Random, path: Path) -> None:
        self.leaf, self.chance, self.path = leaf, chance, path
        self.wanted: dict[Any, Any] = {}
        self.ledger = LedgerFile(path, KINDS, PLACE)
        leaf.engine = Engine(KINDS, leaf.target, self.ledger)
        leaf.pass_(survey=True)
        # On a device that no fault touches: the kernel would take them with it.
        for number in range(4):
            ip(f"route add 10.9.{number}.0/24 dev lo table {TABLE} metric {229 if number % 2 else 5} proto static")
        ip(f"route add 2001:db8:3::/64 dev lo table {TABLE} metric 5 proto static")
        ip("nexthop add id 77 blackhole proto static", f"route add 10.8.0.0/16 nhid 77 table {TABLE} proto 77")
        self.foreign = self._foreign()

    def close(self) -> None:
        self.ledger.close()

    def change_routes(self) -> None:
        """Advertise and withdraw some routes, of which some are for the prefixes that an operator has."""
        for _ in range(self.chance.randrange(1, 12)):
            number, vtep = self.chance.randrange(PREFIXES), self.chance.choice(VTEPS)
            key, route = (
                type2(f"10.7.0.{number}", vtep, f"02:00:00:00:07:{number:02x}")
                if number % 5 == 0
                else type5(f"2001:db8:{number}::/64", vtep)
                if number % 3 == 0
                else type5(f"10.9.{number}.0/24", vtep)
            )
            if self.wanted.pop(key, None) is None:
                self.wanted[key] = route
                self.leaf.advertise((key, route))
            else:
                self.leaf.withdraw((key, route))

    def settle(self) -> bool:
        """Make passes until the rows are those that are wanted."""
        for _ in range(PASSES_MAX):
            self.leaf.pass_(survey=True)
            if self._is_right():
                return True
            time.sleep(0.05)
        return False

    def _is_right(self) -> bool:
        intent = self.leaf.leaf.intent
        foreign = {f"10.9.{number}.0/24" for number in (1, 3)}  # with our metric: ours is contested there
        rows = [(at, row) for at, found in intent.prefixes.unordered() for row in found if str(at) not in foreign]
        wanted = sorted(f"{at} via {' '.join(sorted(str(path.vtep) for path in row.paths))}" for at, row in rows)
        vteps = {path.vtep for _, row in rows for path in row.paths}
        neighbors = [line for line in self.leaf.routers() if " is " in line]
        return self.leaf.routes() == wanted and len(neighbors) >= len(vteps)

    def bounce(self, device: str) -> None:
        self.leaf.hands.set_up(device, up=False)
        if self.chance.random() < 0.5:
            self.leaf.pass_()
        self.leaf.hands.set_up(device, up=True)

    def new_mac(self) -> None:
        self.leaf.hands.set_mac(Mac(bytes((2, 0, 0, 0, 0xFE, self.chance.randrange(256)))))

    def delete_nexthops(self) -> None:
        ours = [one.id for one in self.leaf.hands.kernel.nexthops() if one.protocol == 229 and not one.members]
        for number in self.chance.sample(ours, min(len(ours), 3)):
            self.leaf.hands.delete_nexthop(number)

    def delete_routes(self) -> None:
        routes = self.leaf.hands.kernel.routes([TABLE])
        for route in self.chance.sample(routes, min(len(routes), 5)):
            ip(f"route del {route.prefix} table {TABLE} proto 229")

    def kill(self) -> None:
        self.ledger.close()
        self.change_routes()
        self.ledger = LedgerFile(self.path, KINDS, PLACE)
        self.leaf.engine = Engine(KINDS, self.leaf.target, self.ledger)

    def _foreign(self) -> list[str]:
        kernel = self.leaf.hands.kernel
        others = [f"nexthop {one.id}" for one in kernel.nexthops() if one.protocol != 229]
        return sorted([*self.leaf.hands.others(), *others])

    def foreign_lost(self) -> int:
        """Count what is not ours and is gone or another."""
        return len(set(self.foreign) ^ set(self._foreign()))
