"""The daemon is killed again and again while it converges, and the kernel is none the worse: seen from outside."""

import random
from collections.abc import Callable

import pytest

from tests.lab import overlay
from tests.lab.fdb_timing import FdbTimer
from tests.lab.fixtures import lab, network
from tests.lab.speaker import Speaker
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow, pytest.mark.timeout(400)]

MACS = 20_000
KILLS = 25


def macs(first: int, count: int) -> list[str]:
    return [f"02:20:{number >> 24 & 255:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
            for number in range(first, first + count)]  # fmt: skip


class Watched:
    """The rows as the kernel's announcements tell them, and what became of those that had no reason to go."""

    def __init__(self, timer: FdbTimer, staying: set[str]) -> None:
        self._timer = timer
        self._staying = staying
        self.changes = 0
        self.harmed: list[str] = []

    def look(self, within_s: float) -> None:
        for sighting in self._timer.take(within_s):
            self.changes += 1
            if sighting.mac in self._staying and not (sighting.there and sighting.vtep == address(1)):
                self.harmed.append(f"{sighting.mac} {'now at' if sighting.there else 'gone from'} {sighting.vtep}")
        assert not self._timer.overrun

    def until(self, changes: int, log: Callable[[], str]) -> None:
        """Return after so many more changes, or when there are no more to come."""
        wanted = self.changes + changes
        completed = log().count("routes complete")

        def come() -> bool:
            self.look(0.01)
            return self.changes >= wanted or log().count("routes complete") > completed

        wait_until(come, 30, f"{changes} more changes, or all there are")


def test_killed_in_mid_convergence_again_and_again_no_valid_row_is_ever_missing(network):
    """Half of the MACs stay where they are; of the others a part moves, goes or comes back in each life."""
    chance = random.Random(20_000)
    staying, moving = macs(0, MACS // 2), macs(1 << 20, MACS // 2)
    where = dict.fromkeys(staying, 1)
    remotes = {number: Instance(address(number)) for number in (1, 2)}
    vtep = Vtep(network.leaf, leaf_config(peers=[address(1)]))
    with Speaker(network.remote, address(1)) as speaker, FdbTimer(network.leaf) as timer:
        watched = Watched(timer, set(staying))
        speaker.announce(*(remotes[1].mac(mac) for mac in staying))
        exabgp_with_relay(network.leaf, [address(1)]).start()
        for life in range(1, KILLS + 1):
            process = vtep.start()
            for mac in moving[life % 3 :: 3]:
                where[mac] = 0 if life % 5 == 0 else 1 + life % 2
            tell(speaker, remotes, life, {mac: where[mac] for mac in moving[life % 3 :: 3]})
            watched.until(chance.randrange(1, 2_000), process.log)
            process.kill()
        vtep.start()
        wanted = {(mac, address(number)) for mac, number in where.items() if number}

        wait_until(lambda: overlay.tunnels(network.leaf, VXLAN) == wanted, 60, "the rows that BGP tells")
        watched.look(0)

    assert len(wanted) > MACS // 2
    assert watched.harmed == []


def tell(speaker: Speaker, remotes: dict[int, Instance], seq: int, where: dict[str, int]) -> None:
    """Announce each MAC at its place, and take back what the other place said."""
    speaker.announce(*(remotes[number].mac(mac, seq=seq) for mac, number in where.items() if number))
    speaker.withdraw(
        *(remote.mac(mac) for mac, at in where.items() for number, remote in remotes.items() if number != at)
    )
