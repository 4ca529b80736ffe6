"""A leaf that tests break as leaves break: the daemon in a node, devices made by hand, and ExaBGP's part played by hand.

Knows how a peer's lines look and how the commands are asked. Does not know what is broken, or what should be said about it.
"""

import contextlib
from collections.abc import Iterator
from itertools import count
from typing import Any

from tests.lab import overlay
from tests.lab.feeder import Feeder
from tests.lab.fixtures import skipped_if_missing
from tests.lab.lines import Lines
from tests.lab.namespaces import Lab, Node, logs
from tests.lab.topology import BRIDGE, LEAF, MTU_UNDERLAY, VNI, VXLAN, address
from tests.lab.vtep import Vtep, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Route

A, B, C = (address(number) for number in (1, 2, 3))
"""The picture waits for A alone; only C keeps its routes while its session is away."""
RESTART_S = {A: None, B: None, C: 120}
PORT = "port99"
UPLINK, FABRIC = "uplink", "10.0.0.0/8"


class Leaf:
    """One node with a bridge, a VXLAN device and a local port, the daemon in it, and ExaBGP's part played by hand."""

    def __init__(self, node: Node, config: str = "") -> None:
        self.node = node
        node.ip(f"addr add {address(LEAF)}/32 dev lo", f"link add name {PORT} type veth peer name eth99")
        self.make_underlay()
        self.make_devices()
        self.vtep = Vtep(node, config or leaf_config(peers=[A]))
        self.lines = Lines()
        self._feeder: Feeder | None = None
        self._macs = count(1)

    def make_underlay(self) -> None:
        """Lead every VTEP to a link whose other end discards what comes."""
        mtu = MTU_UNDERLAY
        if not self.node.has_link(UPLINK):
            self.node.ip(
                f"link add name {UPLINK} mtu {mtu} type veth peer name spine mtu {mtu}", "link set dev spine up"
            )
        self.node.ip(f"link set dev {UPLINK} mtu {mtu} up", f"route replace {FABRIC} dev {UPLINK}")

    def make_devices(self) -> None:
        if not self.node.has_link(BRIDGE):
            overlay.bridge_vxlan(self.node, VNI, BRIDGE, VXLAN, address(LEAF), suppress=True)
            self.node.ip(f"link set dev {PORT} master {BRIDGE} up", "link set dev eth99 up")

    def start(self, *wrapper: str) -> None:
        """Start the daemon, and have every peer tell that it has nothing so far."""
        self.vtep.start(*wrapper)
        self._feeder = Feeder(self.node)
        for peer in (A, B, C):
            self.come_up(peer)
        wait_until(lambda: self.ask("health").returncode in (0, 1), what="an answer of the daemon")

    def stop(self) -> None:
        assert self.vtep.process is not None
        assert self.vtep.process.stop() == 0
        self.close()

    def close(self) -> None:
        if self._feeder is not None:
            self._feeder.close()

    def fresh_mac(self) -> str:
        return f"02:00:00:00:12:{next(self._macs):02x}"

    # What peers say

    def say(self, *lines: bytes) -> None:
        assert self._feeder is not None
        self._feeder.say(*lines)

    def come_up(self, peer: str) -> None:
        self.say(self.lines.opened(peer, RESTART_S[peer]), self.lines.up(peer), self.lines.end_of_rib(peer))

    def announce(self, peer: str, *routes: Route) -> None:
        self.say(self.lines.announce(peer, *routes))

    def withdraw(self, peer: str, *routes: Route) -> None:
        self.say(self.lines.withdraw(peer, *(route.nlri for route in routes)))

    def go_down(self, peer: str, reason: str) -> None:
        self.say(self.lines.down(peer, reason))

    # What the commands say

    def ask(self, *words: str) -> Any:
        return self.vtep.ask(*words)

    def explanation(self, mac: str) -> dict[str, Any]:
        found = self.vtep.told("explain", mac)["explanations"]
        assert len(found) == 1
        explanation: dict[str, Any] = found[0]
        return explanation

    def events(self, mac: str = "") -> list[str]:
        events = self.vtep.told("events")["events"]
        return [event["kind"] for event in events if mac in ("", event["mac"])]

    def installed(self, mac: str, vtep: str) -> bool:
        wanted = self.explanation(mac)["desired"]
        return bool(wanted) and (wanted["vtep"], wanted["sync"]["state"]) == (vtep, "INSTALLED")

    def tunnels(self) -> set[tuple[str, str]]:
        return overlay.tunnels(self.node, VXLAN)


@contextlib.contextmanager
def leaf_in_lab(*wrapper: str, config: str = "") -> Iterator[Leaf]:
    with Lab() as lab, skipped_if_missing():
        with contextlib.closing(Leaf(lab.node("leaf"), config)) as leaf:
            leaf.start(*wrapper)
            yield leaf
        # Shown by pytest only when the test failed.
        for name, text in logs(lab):
            print(f"---- {name}\n{text}")
