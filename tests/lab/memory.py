"""A leaf without a namespace: the parts of the daemon wired as it wires them, on the kernel in memory.

Fed with lines, one step at a time, on a clock that a test moves. Owns an event loop for the steps; knows no command.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.lab.lines import Lines
from vtep.addr import Mac, Vni
from vtep.app.requests import Requests
from vtep.config import file as config
from vtep.feed.exabgp.lines import LineReader
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.linux.wire.neighbor import NTF_SELF, Neighbor, Verb
from vtep.observe.model import Explanation, MacStatus
from vtep.observe.observer import Observer
from vtep.observe.source import MacQuery
from vtep.projection.leaf import Leaf
from vtep.reconcile.actor import Actor
from vtep.reconcile.claims import Claims
from vtep.reconcile.contract import Kind
from vtep.reconcile.engine import Engine
from vtep.store.histogram import Histogram

T = TypeVar("T")

CONFIG = """
[node]
vtep = "10.0.0.99"
[feed]
peers = ["10.0.0.1"]
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""


class MemoryLeaf:
    """One life of a daemon. With `before`, the kernel's rows are those that an earlier life left; its claims are lost."""

    def __init__(
        self,
        toml: str = CONFIG,
        before: "MemoryLeaf | None" = None,
        kinds: Sequence[Kind] = KINDS,
        target: type[KernelTarget] = KernelTarget,
    ) -> None:
        self.now = 1000.0
        self.lines = Lines()
        self.reader = LineReader()
        self.config = config.parse(toml)
        self.kernel = MemoryKernel() if before is None else before.kernel
        if before is None:
            for vni in self.config.vnis:
                if vni.is_bound:
                    self.kernel.add_devices_of(vni)
        self.leaf = Leaf(self.config, self.now)
        self.observer = Observer(self.config, self.leaf, lambda: self.now, kinds)
        self.observer.attached = True
        self.nudges = 0
        self.requests = Requests(self.leaf, self.observer, self._nudge)
        self.target = target(self.kernel, self.config.vnis, None, (), self.config.segments)
        self.actor = Actor(Engine(kinds, self.target, Claims(kinds)), lambda: self.now)
        self.observer.attach(self.actor, self.target, Histogram())
        self.requests.attach(self.actor)
        self._runner = asyncio.Runner()
        self.wait_for(self.observer.prepare())

    def wait_for(self, doing: Awaitable[T]) -> T:
        async def wait() -> T:
            return await doing

        return self._runner.run(wait())

    def receive(self, *lines: bytes) -> None:
        """Take lines, and let the kernel follow."""
        self.leaf.receive(self.reader.read(lines), self.now)
        self.judge()
        self.step()

    def come_up(self, *peers: str, restart_s: int | None = None) -> None:
        for peer in peers:
            said = (self.lines.opened(peer, restart_s), self.lines.up(peer), self.lines.end_of_rib(peer))
            self.receive(*said)

    def judge(self) -> None:
        before = self.leaf.intent
        intent = self.leaf.judge(self.now)
        self.observer.note_intent(before, intent)
        self.observer.note_peers()
        self.actor.offer(intent)

    def step(self) -> None:
        """Make one pass, and let the observer see what it found."""
        self.wait_for(self.actor.step())
        self.observer.note_outcome(self.actor.outcomes.value)

    def survey(self) -> None:
        self.actor.survey()
        self.step()

    def port(self, name: str) -> int:
        return self.kernel.links().by_name[name].index

    def strike(self, mac: str) -> None:
        """Take away the tunnel's half of a row, as another hand would."""
        self.kernel.send([Neighbor(Verb.DELETE, self.port("vxlan100"), Mac.parse(mac), NTF_SELF, 0)])

    def explain(self, mac: str, vni: int | None = None) -> Explanation:
        answer = self.wait_for(self.observer.explain(Mac.parse(mac), None if vni is None else Vni(vni)))
        [explanation] = answer.explanations
        return explanation

    def macs(self) -> dict[str, MacStatus]:
        return {str(row.mac): row for row in self.observer.macs(MacQuery(), None, 100).rows}

    def events(self, *kinds: str) -> list[Any]:
        return [entry for entry in self.observer.entries()[0] if entry.kind in kinds]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._runner.close()

    def _nudge(self) -> None:
        self.nudges += 1
