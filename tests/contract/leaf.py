"""A leaf on either world: the engine with its target, a ledger, and an intent spelled as a few words.

Knows how the daemon drives the engine (hints and what an intent touched make a small pass, doubt makes a survey) and lets
a test do it step by step. `Mishaps` stands between the engine and the kernel and can make things go wrong there.
"""

import errno
import os
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from tests.contract.worlds import LOCAL, MACS, World, render
from vtep.addr import NO_SEGMENT, ZERO_MAC, Ip, Mac, RouteDistinguisher, Vni
from vtep.config.model import Targets, VniConfig
from vtep.errors import KernelError
from vtep.intent import Candidate, Direct, Flood, Intent, RemoteMac
from vtep.linux.devices import Address, Links
from vtep.linux.events import Hints
from vtep.linux.filters import FilterTable
from vtep.linux.memory.kernel import Crashed
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.linux.wire.batch import singly
from vtep.linux.wire.neighbor import NTF_MASTER, Alike, Entry, Half, Neighbor, Refusal, Verb
from vtep.linux.wire.nexthop import NexthopEntry
from vtep.reconcile.claims import Claims, Ledger
from vtep.reconcile.engine import Engine, Report, Scope
from vtep.reconcile.report import Trouble
from vtep.reconcile.steps import Steps, run_to_end
from vtep.store.table import Table

VNI = Vni(100)
PEER, RD = Ip.parse("10.9.9.9"), RouteDistinguisher.parse("65000:1")
A, B, C = (Ip.parse(f"10.0.0.{number}") for number in (2, 3, 4))
L, M, N = (Mac.parse(f"02:00:00:00:00:0{digit}") for digit in "9ab")
NAMES = {L: "l", M: "m", N: "n"} | {mac: name for name, mac in MACS.items()}

Wanted = Mapping[Mac, Ip | tuple[Ip, int]]
"""By MAC: the VTEP, or the VTEP and the sequence."""


def vni(number: int = VNI, bridge: str = "br0", vtep: Ip = LOCAL) -> VniConfig:
    return VniConfig(Vni(number), vtep, Targets(frozenset()), bridge=bridge, vxlan="vx0" if bridge else "")


def remote(mac: Mac, vtep: Ip, seq: int = 0, *, sticky: bool = False, number: int = VNI) -> RemoteMac:
    return RemoteMac(Vni(number), Direct(vtep), "only-path", seq, sticky, stale=False, peer=PEER, rd=RD)


class Mishaps:
    """A kernel between which and its reader things go wrong. Counts what is asked of it."""

    def __init__(self, kernel) -> None:
        self.kernel = kernel
        self.sent: list[Neighbor] = []
        self.looked = 0
        self.dumps = 0
        self.crash_after: int | None = None
        """So many messages are still carried out, then the process dies."""
        self.refused: Callable[[Neighbor], int] = lambda _: 0
        """The errno with which a message is refused, or 0."""
        self.answers_lost = False
        """Messages are carried out, and their answers are lost."""
        self.unseen: Callable[[Entry], bool] = lambda _: False
        """What a dump lacks although it is there."""
        self.blind = False
        """Nothing can be read."""

    def links(self) -> Links:
        self._see()
        return self.kernel.links()

    def addresses(self) -> list[Address]:
        return self.kernel.addresses()

    def rows(self, bridges: Sequence[int], ports: Sequence[int] = ()) -> list[Entry]:
        self._see()
        self.dumps += 1
        return [entry for entry in self.kernel.rows(bridges, ports) if not self.unseen(entry)]

    def neighbors(self, devices: Sequence[int]) -> list[Entry]:
        return self.kernel.neighbors(devices)

    def get_many(self, keys: Sequence[tuple[int, Mac, Half]]) -> list[Entry | None]:
        self._see()
        self.looked += len(keys)
        return self.kernel.get_many(keys)

    @property
    def filters(self) -> FilterTable:
        return self.kernel.filters

    has_fdb_nexthops = True

    def nexthops(self) -> list[NexthopEntry]:
        return self.kernel.nexthops()

    def get_nexthops(self, numbers: Sequence[int]) -> list[NexthopEntry | None]:
        self._see()
        self.looked += len(numbers)
        return self.kernel.get_nexthops(numbers)

    def unlike(self, expected: Alike) -> list[int]:
        self._see()
        self.looked += len(expected.macs)
        return self.kernel.unlike(expected)

    def send(self, messages: Sequence[Neighbor]) -> list[Refusal]:
        refusals: list[Refusal] = []
        alone = list(singly(messages))
        for index, message in enumerate(alone):
            if self.crash_after == 0:
                raise Crashed
            self.sent.append(message)
            if code := self.refused(message):
                refusals.append(Refusal(index, code, os.strerror(code)))
            elif refused := self.kernel.send([message]):
                refusals.append(Refusal(index, refused[0].errno, refused[0].text))
            if self.crash_after is not None:
                self.crash_after -= 1
                if self.crash_after == 0:
                    raise Crashed
        if self.answers_lost:
            return [Refusal(index, errno.ENOBUFS, "lost") for index in range(len(alone))]
        return refusals

    def drain(self) -> Hints:
        return self.kernel.drain()

    def _see(self) -> None:
        if self.blind:
            raise KernelError("rows", errno.EINTR, "torn")


class Leaf:
    """One daemon's life on a world."""

    def __init__(
        self, world: World, ledger: Ledger | None = None, intent: Intent | None = None, *, bulk: bool = True
    ) -> None:
        self.world = world
        self.kernel = Mishaps(world.raw)
        self.target = KernelTarget(self.kernel, [world.attach(vni())])
        self.ledger = Claims(KINDS) if ledger is None else ledger
        self.engine = Engine(KINDS, self.target, self.ledger, bulk=bulk)
        self.intent = intent or Intent()
        self.now = 1000.0
        self.forget_touched()

    def want(self, wanted: Wanted, *, complete: bool = True, sticky: bool = False) -> None:
        """Take the next intent, as the projector would make it."""
        rows = {
            (VNI, mac): remote(mac, *(place if isinstance(place, tuple) else (place,)), sticky=sticky)
            for mac, place in wanted.items()
        }
        before = dict(self.intent.macs.unordered())
        touched = tuple(key for key in before.keys() | rows.keys() if before.get(key) != rows.get(key))
        self._take(complete=complete, macs=Table(rows.items()), touched=touched, touched_floods=())

    def lose(self, mac: Mac) -> None:
        """Have the next intent say that a station here was compared with the routes, and lost."""
        here = Candidate(
            VNI, LOCAL, "lost", "higher-seq", 0, False, False, LOCAL, RD, None, NO_SEGMENT, VNI, port="h0"
        )  # fmt: skip
        self.intent = replace(self.intent, judged=Table([(mac, (here,))]))

    def flood(self, *vteps: Ip) -> None:
        """Take the next intent, in which these VTEPs get floods."""
        floods = {vtep: (Flood(VNI, Direct(vtep), PEER, RD),) for vtep in vteps}
        before = {flood.key for _, there in self.intent.floods.unordered() for flood in there}
        touched = before ^ {flood.key for there in floods.values() for flood in there}
        self._take(complete=True, floods=Table(floods.items()), touched=(), touched_floods=tuple(touched))

    def survey(self) -> Report:
        return self._run(survey=True, hinted={"fdb": self.target.keys_of(self.kernel.drain().keys)})

    def audit(self) -> Report:
        """Read back what is known, row by row."""
        return self._run(audit=True, hinted={"fdb": self.target.keys_of(self.kernel.drain().keys)})

    def pass_(self) -> Report:
        """Make the pass that the daemon would make now."""
        hints = self.kernel.drain()
        gone = set(self.engine.known_among("fdb", self.target.keys_of(hints.gone)))
        hinted = {kind.name: set() for kind in KINDS} | {"fdb": self.target.keys_of(hints.news) | gone}
        if hints.links_changed:
            self.engine.suspect_attachments()
        for kind, key in self.engine.backlog.due(self.now, 1000):
            hinted[kind].add(key)
        return self._run(survey=hints.overrun or self.target.holds(hints.bounced), hinted=hinted)

    def pieces(self, scope: str) -> Steps[Report]:
        """Return the pieces of a small pass or of a survey."""
        touched = self._touched
        self.forget_touched()
        return self.engine.run(self.intent, self.now, Scope(touched=touched, survey=scope == "survey"))

    def wanted_and_surveyed(self, wanted: Wanted, *, complete: bool = True) -> Report:
        self.want(wanted, complete=complete)
        return self.survey()

    def rows(self, mac: Mac = M) -> list[str]:
        return render([row for row in self.world.rows() if row.mac == mac], self.world, NAMES)

    def floods(self) -> list[Ip]:
        """Return the VTEPs that get floods, whichever program wrote the row."""
        return sorted(row.dst for row in self.world.rows() if row.mac == ZERO_MAC)

    def trouble(self, mac: Mac = M) -> str:
        trouble: Trouble | None = self.engine.troubles.get(("fdb", (VNI, mac)))
        return "" if trouble is None else f"{trouble.state} {trouble.reason}"

    def owns(self, mac: Mac = M) -> bool:
        return (VNI, mac) in self.ledger.claims("fdb")

    def meanwhile(self, *steps: Callable[[World], list]) -> None:
        """Somebody else does something."""
        for step in steps:
            assert step(self.world) == []

    def forget_touched(self) -> None:
        self._touched = {kind.name: set() for kind in KINDS}

    def _take(self, **fields) -> None:
        self.intent = replace(self.intent, generation=self.intent.generation + 1, **fields)
        for kind in KINDS:
            self._touched[kind.name].update(kind.touched(self.intent))

    def _run(self, **scope) -> Report:
        touched = self._touched
        self.forget_touched()
        return run_to_end(self.engine.run(self.intent, self.now, Scope(touched=touched, **scope)))


def written(mac: str, vtep: Ip) -> list[str]:
    """The two halves of a row of ours, as `Leaf.rows` returns them."""
    return [f"{mac} bridge vx0 reachable ext", f"{mac} vxlan vx0 noarp permanent ext {vtep}"]


def station_gone(world: World, mac: Mac, port: str = "h0") -> list[Refusal]:
    """The bridge forgets a station, as it does when no frame came from it for its ageing time."""
    return world.kernel.send([Neighbor(Verb.DELETE, world.index(port), mac, NTF_MASTER, 0)])
