"""A peer that stays within its limits and changes thousands of routes of one MAC: the moves of other MACs do not wait for it."""

import time

import pytest

from tests.lab import overlay
from tests.lab.feeder import Feeder
from tests.lab.fixtures import lab, network
from tests.lab.lines import Lines
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import Vtep
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

HONEST, OTHER, HEAVY = address(1), address(2), address(3)
MOVER, CROWDED = "02:00:00:00:01:01", "02:00:00:00:01:02"
ROUTES = 16_384
UPDATES = 20
"""In each second, of 50 routes each."""
SECONDS = 8
MOVE_S_MAX = 2.0


def test_thousands_of_changing_routes_of_one_mac_do_not_delay_the_move_of_another(network):
    lines = Lines()
    instances = [Instance(HEAVY, rd=f"65000:{number}") for number in range(ROUTES + 500)]

    def changes(first: int, count: int, seq: int) -> bytes:
        return lines.announce(HEAVY, *(instance.mac(CROWDED, seq=seq) for instance in instances[first : first + count]))

    vtep = Vtep(network.leaf)
    vtep.start()
    with Feeder(network.leaf) as feeder:
        for peer in (HONEST, OTHER, HEAVY):
            feeder.say(lines.opened(peer, 120), lines.up(peer))
        feeder.say(lines.announce(HONEST, Instance(HONEST).mac(MOVER)))
        for first in range(0, len(instances), 100):
            feeder.say(changes(first, 100, 0))
        for peer in (HONEST, OTHER, HEAVY):
            feeder.say(lines.end_of_rib(peer))
        rows = {(MOVER, HONEST), (CROWDED, HEAVY)}
        wait_until(lambda: overlay.tunnels(network.leaf, VXLAN) == rows, 60, "both rows")

        waits = []
        for second in range(1, SECONDS + 1):
            for update in range(UPDATES):
                feeder.say(changes(50 * update, 50, second))
            peer = (HONEST, OTHER)[second % 2]
            feeder.say(lines.announce(peer, Instance(peer).mac(MOVER, seq=second)))
            said = time.monotonic()
            wait_until(lambda peer=peer: (MOVER, peer) in overlay.tunnels(network.leaf, VXLAN), 60, "the move")
            waits.append(time.monotonic() - said)
            time.sleep(max(0.0, said + 1 - time.monotonic()))
        status = vtep.told("status")
        alerts = [
            (event["mac"], event["reason"]) for event in vtep.told("events")["events"] if event["kind"] == "alert"
        ]

    print("moves took", [f"{wait:.2f}" for wait in waits])
    assert max(waits) <= MOVE_S_MAX
    assert any("limits.routes_per_mac" in problem for problem in status["problems"])
    assert alerts == [(CROWDED, "mac-limit")]
