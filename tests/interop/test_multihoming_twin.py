"""What a machine on two leaves loses when something fails: two leaves of ours, and the same lab with two leaves of FRR, side by side.

    ./vtep-dev interop --kernel newest --frr-rootfs DIR -s tests/interop/test_multihoming_twin.py

Pings go every 10 ms from a host at the first leaf, and from one at a third leaf by flows that are shared by both leaves. The third leaf
is ours in both labs, and the reflector is FRR. FRR needs a bond on a bridge that filters VLANs, which user-mode Linux
has; that lacks what our filters need, so there `filter` is none. A lab run: it judges nothing,
and tells also what is lost while nothing happens.
"""

import json
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import pairwise
from typing import NamedTuple

import pytest

from tests.interop.conftest import Stage
from tests.interop.scene import BGPD_PID, EXABGP_PID, VTEP_PID, Scene
from tests.lab.clab.machine import Machine
from tests.lab.fixtures import skipped_if_missing
from tests.lab.namespaces import CommandFailed
from tests.lab.probe import Pings, ping
from tests.lab.wait import PATIENCE, NeverHappened, wait_until

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

MACHINE = "172.16.0.1"
MORE = ("172.16.0.11", "172.16.0.12", "172.16.0.13")
"""Further addresses of the machine, so that its flows are shared by both leaves."""

ENOUGH_S = 15
"""How long answers are waited for, and what follows an event: with some leaves it never comes."""


class Loss(NamedTuple):
    """How many pings were lost from an event on, and the longest time without an answer."""

    lost: int
    away_s: float
    returned: bool
    """The last fifty pings had answers when the test stopped waiting."""

    def __str__(self) -> str:
        if not self.returned:
            return f"not back ({self.away_s:.0f} s)"
        return f"{self.lost} ({self.away_s} s)" if self.lost else "0"


class Twin(NamedTuple):
    """One of the two labs, by the names of its nodes."""

    lab: str
    leaf: str
    other: str
    third: str
    host: str


OURS = Twin("evpn-multihoming", "leaf", "leaf2", "leaf3", "host99")
FRR = Twin("evpn-multihoming-frr", "frr1", "frr2", "leaf", "host1")


@pytest.fixture
def bonds(vlan_filtering: None) -> None:
    """Skip where FRR could have no port on a segment."""
    trial = ["unshare", "--net", "ip", "link", "add", "name", "trial", "type", "bond"]
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("this kernel has no bonds")


def losses(flows: list[tuple[Machine, str]], act: Callable[[], object], again: Callable[[], object]) -> list[Loss]:
    """Return what each flow of pings lost from an event on until all is well again, or for a while if that does not come.

    A flow that has no answers after an event may have none before the next one either: that is no loss of the next one.
    """
    with ExitStack() as stack:
        pings = [stack.enter_context(Pings(machine, to)) for machine, to in flows]
        with suppress(NeverHappened):
            wait_until(lambda: all(one.back(0) for one in pings), ENOUGH_S / PATIENCE)
        since = [one.sent for one in pings]
        act()
        with suppress(NeverHappened):
            again()
        are_back = lambda: [one.back(at, 50) for one, at in zip(pings, since, strict=True)]
        with suppress(NeverHappened):
            wait_until(lambda: all(are_back()), ENOUGH_S / PATIENCE)
        returned = are_back()
    return [loss(one, at, back) for one, at, back in zip(pings, since, returned, strict=True)]


def loss(pings: Pings, since: int, returned: bool) -> Loss:
    answered = sorted({since - 1, *(number for number in pings.answered if number >= since), pings.sent})
    away = max(after - before for before, after in pairwise(answered)) - 1
    return Loss(pings.sent - since - (len(answered) - 2), round(away * pings.every_s, 2), returned)


def measure(scene: Scene, twin: Twin) -> dict[str, list[Loss | None]]:
    """Return what was lost at each event: first the flow of the host at the same leaf, then those of the host at the third leaf."""
    leaf, third, machine = (scene.machines[name] for name in (twin.leaf, twin.third, "machine"))
    machine.shell(BOND)
    machine.ip(*(f"addr add {address}/32 dev lo" for address in MORE))
    near, far = scene.machines[twin.host], scene.machines["host3"]
    flows = [(near, MACHINE), *((far, address) for address in (MACHINE, *MORE))]

    def shared_by(count: int, within_s: float = ENOUGH_S) -> None:
        def group() -> bool:
            found = json.loads(third.run("vtep", "segments", "-o", "json"))["segments"]
            return [len(one["vteps"]) for one in found] == [count]

        wait_until(group, within_s / PATIENCE, f"a group of {count} at the third leaf")

    # The third leaf knows the segment by the machine's MAC.
    for from_, to in flows:
        assert ping(from_, to, 20) is not None, (from_.name, to)
    shared_by(2, 60)
    is_ours = leaf.read("/run/lab/exabgp.pid") != ""
    found: dict[str, list[Loss | None]] = {}
    for event, act, again in (
        # What the busy kernel loses by itself.
        ("nothing", lambda: None, lambda: None),
        ("carrier lost", lambda: machine.run("ip", "link", "set", "dev", "eth1", "down"), lambda: shared_by(1)),
        ("carrier back", lambda: machine.run("ip", "link", "set", "dev", "eth1", "up"), lambda: shared_by(2)),
        ("leaf cut off", lambda: leaf.ip("link set dev eth2 down", "link set dev eth1 down"), lambda: shared_by(1)),
        ("leaf back", lambda: leaf.run("sh", "-c", REJOIN), lambda: shared_by(2)),
        ("session lost", lambda: leaf.kill(EXABGP_PID if is_ours else BGPD_PID), lambda: None),
        (
            "session back",
            lambda: leaf.run("sh", "/etc/lab/start.sh", "exabgp" if is_ours else "bgpd"),
            lambda: shared_by(2),
        ),
    ):
        # A flow from the cut-off leaf's own host to the machine has no way at all.
        measured = [] if event.startswith("leaf") else flows[:1]
        found[event] = [*losses([*measured, *flows[1:]], act, again)]
        if not measured:
            found[event].insert(0, None)
        print(twin.lab, event, *found[event], flush=True)
    return found


@pytest.mark.scenario("S19")
def test_the_same_failures_with_two_leaves_of_frr(stage: Stage, bonds: None) -> None:
    found: dict[Twin, dict[str, list[Loss | None]]] = {}
    version = ""
    for twin in (OURS, FRR):
        with skipped_if_missing():
            scene = stage.show(twin.lab)
        if twin is OURS and not has_filters(scene.leaf):
            for leaf in (twin.leaf, twin.other):
                without_filters(scene.machines[leaf])
        found[twin] = measure(scene, twin)
        version = scene.peer
        stage.strike()

    print(f"\n| event | ours, same leaf | ours, third leaf | {version}, same leaf | {version}, third leaf |")
    print("| --- | --- | --- | --- | --- |")
    for event in found[OURS]:
        cells = [cell for twin in (OURS, FRR) for cell in (found[twin][event][:1], found[twin][event][1:])]
        print(f"| {event} | {' | '.join(', '.join(map(_cell, cell)) for cell in cells)} |")


def _cell(loss: Loss | None) -> str:
    return "no way" if loss is None else str(loss)


def has_filters(leaf: Machine) -> bool:
    try:
        leaf.run("nft", "add table inet trial; delete table inet trial")
    except CommandFailed:
        return False
    return True


def without_filters(leaf: Machine) -> None:
    """Have a leaf of ours advertise its segment although this kernel cannot filter."""
    leaf.write("/run/lab/vtep.toml", leaf.read("/etc/vtep/vtep.toml") + 'filter = "none"\n')
    leaf.kill(VTEP_PID)
    leaf.run("sh", "/etc/lab/start.sh", "vtep", "/run/lab/vtep.toml")


BOND = """
for port in eth1 eth2; do ip link set dev $port down; done
ip link add name bond0 address 02:00:00:00:00:01 type bond mode balance-xor xmit_hash_policy layer2+3 miimon 10
for port in eth1 eth2; do ip link set dev $port master bond0; done
ip link set dev bond0 mtu 1430 up
ip route add 172.16.0.0/24 dev bond0 src 172.16.0.1
"""
"""The machine of the labs has two links of its own, and takes an answer by the other link for none of its own. This one has a bond."""
REJOIN = "ip link set dev eth1 up; ip route replace 10.0.0.0/24 via $(ip -4 -o addr show dev eth1 | sed -E 's/.*inet (10.1.[0-9]+)[.].*/\\1/').0; ip link set dev eth2 up"
"""The leaf's way to the others went with its interface."""
