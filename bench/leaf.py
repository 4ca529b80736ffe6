"""One leaf and the speaker that it hears, made anew for every run: two nodes and a wire.

        speaker 10.0.0.1 ────── leaf 10.0.0.99 (br100, vxlan100)

Which daemon runs on the leaf is the measurement's business. All octets are made before a clock starts.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bench import machine
from bench.routes import SPEAKER, Told
from bench.rows import Rows
from tests.lab import overlay
from tests.lab.feeder import Feeder
from tests.lab.namespaces import Lab, Node, link
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, address
from tests.lab.vtep import Vtep, leaf_config
from tests.lab.wait import wait_until

CONFIG: Final = leaf_config(peers=[SPEAKER], more="[limits]\nmacs_per_vni = 2000000\nroutes_per_peer = 4000000\n")
STALLS: Final = "/run/stalls"


@contextlib.contextmanager
def nodes() -> Iterator[tuple[Node, Node]]:
    """Make the leaf's node and the speaker's."""
    with Lab() as lab:
        leaf, speaker = lab.node("leaf"), lab.node("speaker")
        link(leaf, "underlay", speaker, "underlay")
        leaf.ip(f"addr add {address(LEAF)}/24 dev underlay")
        speaker.ip(f"addr add {SPEAKER}/24 dev underlay")
        overlay.bridge_vxlan(leaf, VNI, BRIDGE, VXLAN, address(LEAF))
        yield leaf, speaker


class Ours:
    """The real daemon on a leaf, its feed in our hand."""

    def __init__(self, leaf: Node, *, watched: bool = False) -> None:
        vtep = Vtep(leaf, CONFIG)
        watcher = (sys.executable, str(Path(__file__).with_name("watched.py")), STALLS) if watched else ()
        self.leaf = leaf
        self.process = vtep.start(*watcher)
        self.pid = self.process.pid
        self.told = Told()
        self.feeder = Feeder(leaf)
        self.rows = Rows(leaf)
        self.feeder.say(self.told.opening())
        wait_until(lambda: "rows written" in self.process.log(), 20, "the first pass")

    def say(self, lines: Iterable[bytes]) -> None:
        """Feed the lines as fast as they are taken."""
        self.feeder.say(*lines)

    def cpu_s(self) -> float:
        return machine.cpu_s(self.pid)


@contextlib.contextmanager
def ours(*, watched: bool = False) -> Iterator[Ours]:
    with nodes() as (leaf, _):
        daemon = Ours(leaf, watched=watched)
        with daemon.feeder, daemon.rows:
            yield daemon
            daemon.process.stop()
