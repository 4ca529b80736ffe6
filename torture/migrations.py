"""Machines migrate to a hypervisor that runs FRR and away again, and its orchestrator writes static sticky rows beside zebra's.

    python -m torture.migrations [ROUNDS]     in ./vtep-dev lab; 5 rounds of 40 machines unless told otherwise

FRR #21472 is a local entry that is lost when the route of the far hypervisor is withdrawn, and #21473 a row that stays after it. Both
are races between the orchestrator and the routes, so each follows the other after 0 to 30 ms, in either order. Counts both.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Final

from tests.lab.namespaces import Lab, Node
from tests.lab.peers import Frr, frr_config
from tests.lab.speaker import Speaker
from tests.lab.topology import BRIDGE, LEAF, VXLAN, Topology, address
from tests.lab.wire import Instance, Route

MACHINES: Final = [(f"02:00:00:00:05:{number:02x}", f"172.16.5.{number + 1}") for number in range(40)]
PORT: Final = "port99"
FAR, FARTHER = Instance(address(1)), Instance(address(2))
PAUSES_S: Final = (0, 0, 0.002, 0.01, 0.03)
SETTLED_S: Final = 2.0


def routes(there: Instance, machine: tuple[str, str], seq: int) -> list[Route]:
    mac, ip = machine
    return [there.mac(mac, seq=seq, ip=ip), there.mac(mac, seq=seq)]


def at(leaf: Node, device: str) -> set[str]:
    """Return the machines that the bridge has at a device."""
    rows = json.loads(leaf.run("bridge", "-j", "fdb", "show", "br", BRIDGE))
    return {row["mac"] for row in rows if row["ifname"] == device} & {mac for mac, _ in MACHINES}


def race(rng: random.Random, *steps: Callable[[], object]) -> None:
    """Take two steps in an order and at a distance of chance."""
    first, second = rng.sample(steps, 2)
    first()
    time.sleep(rng.choice(PAUSES_S))
    second()


def migrate(leaf: Node, speaker: Speaker, rng: random.Random, seq: int) -> tuple[int, int]:
    """Bring all machines here and away again; return how many local entries were lost, and how many rows stayed."""
    speaker.announce(*(route for one in MACHINES for route in routes(FAR, one, seq)))
    time.sleep(SETTLED_S)
    for one in rng.sample(MACHINES, len(MACHINES)):
        fdb = f"bridge fdb replace {one[0]} dev {PORT} master sticky static"
        here = f"{fdb}; ip neigh replace {one[1]} lladdr {one[0]} dev {BRIDGE} nud noarp"
        race(rng, lambda: leaf.run("sh", "-c", here), lambda: speaker.withdraw(*routes(FAR, one, seq)))  # noqa: B023
    time.sleep(SETTLED_S)
    lost = len(MACHINES) - len(at(leaf, PORT))
    for one in rng.sample(MACHINES, len(MACHINES)):
        fdb = f"bridge fdb del {one[0]} dev {PORT} master 2>/dev/null"
        gone = f"{fdb}; ip neigh del {one[1]} dev {BRIDGE} 2>/dev/null; true"
        race(rng, lambda: leaf.run("sh", "-c", gone), lambda: speaker.announce(*routes(FARTHER, one, seq + 1)))  # noqa: B023
    time.sleep(SETTLED_S)
    speaker.withdraw(*(route for one in MACHINES for route in routes(FARTHER, one, seq + 1)))
    time.sleep(SETTLED_S)
    return lost, len(at(leaf, VXLAN))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rng, lost, kept = random.Random(0), 0, 0
    with Lab() as lab:
        network = Topology(lab)
        frr = Frr(network.leaf, frr_config(address(LEAF), [address(1)]))
        with Speaker(network.remote, address(1)) as speaker:
            frr.start()
            speaker.wait_established()
            speaker.announce(FAR.flood(), FARTHER.flood())
            for number in range(rounds):
                found = migrate(network.leaf, speaker, rng, 2 * number)
                lost, kept = lost + found[0], kept + found[1]
    print(
        f"{rounds * len(MACHINES)} migrations to here and away: {lost} local entries lost (FRR #21472), {kept} rows kept (FRR #21473)"
    )


if __name__ == "__main__":
    main()
