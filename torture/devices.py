"""Random hands on managed devices, and a daemon that is killed meanwhile: all ends as configured, and nothing of others is touched.

The leaf has three VNIs whose devices vtep made, and three devices of an operator beside them: a bridge, a VXLAN device, and a
port in a managed bridge. A hand changes or deletes what is managed, one or several at once. A fault is recovered when `vtep devices
plan` says that nothing differs. A device of the operator that is no longer what it was counts as a lost row.
"""

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.lab.namespaces import Lab, Node
from tests.lab.vtep import Vtep
from torture.tally import Tally

VNIS: Final = (100, 200, 300)
DEADLINE_S: Final = 60.0
OPERATORS: Final = ("mine0", "mine1", "port0")
CONFIG: Final = """
[node]
vtep = "10.0.0.1"
manage = true
[api]
metrics = ""
""" + "".join(
    f'[[vni]]\nvni = {vni}\nbridge = "br{vni}"\nvxlan = "vxlan{vni}"\nimport_rt = ["65000:{vni}"]\n' for vni in VNIS
)

HANDS: Final[dict[str, Callable[[int], str]]] = {
    "a VXLAN device learns": lambda vni: f"link set dev vxlan{vni} type vxlan id {vni} learning",
    "a VXLAN port learns": lambda vni: f"link set dev vxlan{vni} type bridge_slave learning on",
    "a VXLAN port answers for no host": lambda vni: f"link set dev vxlan{vni} type bridge_slave neigh_suppress off",
    "the MTU of a VXLAN device changes": lambda vni: f"link set dev vxlan{vni} mtu 1300",
    "the tunnel address changes": lambda vni: f"link set dev vxlan{vni} type vxlan id {vni} local 10.0.0.9",
    "a VXLAN device leaves its bridge": lambda vni: f"link set dev vxlan{vni} nomaster",
    "a VXLAN device joins another bridge": lambda vni: f"link set dev vxlan{vni} master mine0",
    "a device is put down": lambda vni: f"link set dev br{vni} down",
    "a VXLAN device is deleted": lambda vni: f"link del vxlan{vni}",
    "a bridge is deleted": lambda vni: f"link del br{vni}",
}


def torture(strokes: int, seed: int) -> Iterator[Tally]:
    """Let every hand do its work so often; then several hands at once, and hands around the death of the daemon."""
    chance = random.Random(seed)
    with Lab() as lab:
        leaf = _Leaf(lab.node("leaf"))
        for fault, hand in HANDS.items():
            leaf.stroke(fault, strokes, lambda hand=hand: leaf.act([hand(chance.choice(VNIS))]))  # type: ignore[misc]
        leaf.stroke("from 5 to 15 of these at once", strokes, lambda: leaf.act(_many(chance)))
        leaf.stroke(
            "kill -9 of the daemon amid these", strokes, lambda: leaf.die(_many(chance), chance.uniform(0, 0.3))
        )
        yield from leaf.tallies()


def _many(chance: random.Random) -> list[str]:
    return [chance.choice(list(HANDS.values()))(chance.choice(VNIS)) for _ in range(chance.randint(5, 15))]


class _Leaf:
    """A node with a daemon that manages devices, and what became of it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        node.ip(
            "link add mine0 type bridge",
            "link add mine1 type vxlan id 999 local 10.0.0.1 dstport 4790",
            "link add port0 type veth peer name peer0",
        )
        self._vtep = Vtep(node, CONFIG)
        self._vtep.start()
        assert self._recovered() is not None, "the devices were not made"
        self._operators = {name: self._shown(name) for name in OPERATORS}
        self._times: defaultdict[str, list[float | None]] = defaultdict(list)
        self._touched: defaultdict[str, int] = defaultdict(int)

    def stroke(self, fault: str, times: int, hand: Callable[[], None]) -> None:
        for _ in range(times):
            hand()
            self._times[fault].append(self._recovered())
            self._touched[fault] += sum(self._shown(name) != before for name, before in self._operators.items())

    def act(self, commands: list[str]) -> None:
        """Do what an operator does; what names a device that an earlier command deleted fails, and that is no matter."""
        self._node.attempt("ip", "-force", "-batch", "-", stdin="\n".join(commands) + "\n")

    def die(self, commands: list[str], pause_s: float) -> None:
        """Kill the daemon a moment after some hands, let others follow, and start the next one."""
        half = len(commands) // 2
        assert self._vtep.process is not None
        self.act(commands[:half])
        time.sleep(pause_s)
        self._vtep.process.kill()
        self.act(commands[half:])
        self._vtep.start()

    def tallies(self) -> Iterator[Tally]:
        for fault, times in self._times.items():
            recovered = [took for took in times if took is not None]
            yield Tally(
                "devices", fault, len(times), len(recovered), self._touched[fault], None, max(recovered, default=None)
            )

    def _recovered(self) -> float | None:
        """Return how long it took until nothing differed, or None."""
        began = time.monotonic()
        while time.monotonic() < began + DEADLINE_S:
            if self._vtep.ask("devices", "plan", "--config", "/run/vtep.toml").returncode == 0:
                return time.monotonic() - began
        return None

    def _shown(self, name: str) -> Any:
        """Return what makes a device of the operator: what it is, its settings, its alias."""
        found = json.loads(self._node.run("ip", "-d", "-j", "link", "show", "dev", name))[0]
        info = found.get("linkinfo", {})
        kept = {
            key: value for key, value in info.get("info_data", {}).items() if "timer" not in key and "id" not in key
        }
        return [found.get(key) for key in ("ifindex", "mtu", "master", "ifalias", "flags")], info.get("info_kind"), kept
