"""Faults of a machine on two leaves of ours: links, filters, nexthops and daemons; afterwards each frame arrives once, and none comes back.

Two leaves share an Ethernet segment, and two more VTEPs have a host each. A fault is recovered when a broadcast, a multicast and an
unknown unicast frame of every host and of every link of the machine arrives as it must: once at each host and at the machine, and not
at its sender. While a link fails and returns, a host of the first leaf sends to the machine each millisecond; the frames that did not
arrive count as lost, except for one that was on the link while that failed. A kernel without nftables for bridges has nothing to torture.
"""

import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from tests.lab.namespaces import Lab, Missing
from tests.lab.segments import CE_MAC, ESI, ON_THE_LINK, MultiHomed
from tests.lab.wait import wait_until
from torture.tally import Tally

DEADLINE_S: Final = 60.0
SEGMENT: Final = f'[[segment]]\nesi = "{ESI}"\nport = "es0"\ndf_wait_s = 0.2\n'


def torture(strokes: int, seed: int) -> Iterator[Tally]:
    """Inject every fault so often, at one of the two leaves."""
    chance = random.Random(seed)
    with Lab() as lab:
        try:
            network = MultiHomed(lab, segment=SEGMENT)
        except Missing as missing:
            print(f"      segments: not run: {missing}", file=sys.stderr, flush=True)
            return
        network.start()
        try:
            network.wait_forwarding(df=1)
            for port in ("down", "up"):
                yield _link(network, port, strokes)
            for fault, hand in _hands(network).items():
                yield _stroke(network, fault, hand, strokes, chance)
        finally:
            network.close()


def _hands(network: MultiHomed) -> dict[str, Callable[[int], None]]:
    """Return what can be done to a leaf, by its number."""
    nodes, leaves = network.nodes, network.leaves

    def die(leaf: int) -> None:
        process = leaves[leaf].vtep.process
        assert process is not None
        process.signal(signal.SIGKILL)
        process.wait(10)
        leaves[leaf].vtep.start()

    def run(*words: str) -> Callable[[int], None]:
        return lambda leaf: void(nodes[leaf].run(*words))

    def void(_: str) -> None:
        return None

    def ip(*commands: str) -> Callable[[int], None]:
        return lambda leaf: nodes[leaf].ip(*commands)

    return {
        "`nft flush ruleset`": run("nft", "flush", "ruleset"),
        "one table of the filters is deleted": run("nft", "delete", "table", "inet", "vtep"),
        "the rules of a chain are removed": run("nft", "flush", "chain", "bridge", "vtep", "forward"),
        "`ip nexthop flush`": ip("nexthop flush proto 229"),
        "the port leaves its bridge and comes back": ip("link set dev es0 nomaster", "link set dev es0 master br100"),
        "the port loses its backup": run("bridge", "link", "set", "dev", "es0", "nobackup_port"),
        "the VXLAN device is put down and up": ip("link set dev vxlan100 down", "link set dev vxlan100 up"),
        "kill -9 of the daemon": die,
    }


def _link(network: MultiHomed, port: str, strokes: int) -> Tally:
    """Have the link to the first leaf fail or return under traffic of a host there."""
    lost = on_the_link = wrong = recovered = 0
    times: list[float] = []
    for _ in range(strokes):
        network.ce.ip(f"link set dev c1 {'up' if port == 'down' else 'down'}")
        took = _recovered(network, both=port == "down")
        network.speak("c1" if port == "down" else "c2")
        wait_until(lambda: CE_MAC in network.macs(2), DEADLINE_S, "the machine's MAC")
        if port == "down":
            wait_until(lambda: bool(network.backup(1)), DEADLINE_S, "the backup of the machine's MAC")
        found = network.stream("h1", CE_MAC, partial(network.ce.ip, f"link set dev c1 {port}")).wrong()
        unavoidable = min(found["lost"], ON_THE_LINK if port == "down" else 0)
        on_the_link, lost = on_the_link + unavoidable, lost + found["lost"] - unavoidable
        wrong += found["more than once"]
        took = _recovered(network, both=port == "up")
        recovered += took is not None
        times += [] if took is None else [took]
    what = "loses its carrier" if port == "down" else "gets its carrier back"
    counts = {"arrived twice": wrong, "on the link while it failed": on_the_link}
    note = ", ".join(f"frames {what}: {count}" for what, count in counts.items() if count)
    return Tally(
        "segments", f"the link to a leaf {what}", strokes, recovered, None, lost, max(times, default=None), note
    )


def _stroke(network: MultiHomed, fault: str, hand: Callable[[int], None], strokes: int, chance: random.Random) -> Tally:
    times: list[float] = []
    for _ in range(strokes):
        hand(chance.randrange(2))
        took = _recovered(network, both=True)
        times += [] if took is None else [took]
    return Tally("segments", fault, strokes, len(times), None, None, max(times, default=None))


def _recovered(network: MultiHomed, *, both: bool) -> float | None:
    """Return how long it took until every flooded frame arrived as it must, or None."""
    began = time.monotonic()
    sources = ("c1", "c2", "h1", "h2", "h3", "h4") if both else ("c2", "h1", "h2", "h3", "h4")
    while time.monotonic() < began + DEADLINE_S:
        if _is_whole(network, both=both):
            took = time.monotonic() - began
            if network.matrix(sources) == {}:
                return took
    return None


def _is_whole(network: MultiHomed, *, both: bool) -> bool:
    """Tell whether the filters of the leaves that take part are there, with one forwarder."""
    states = [found and found[0] for found in map(network.filters, (1, 2))]
    return sorted(str(state) for state in states) == ["df", "non-df"] if both else states[1] == "df"
