"""A peer that sends a message which nobody can read, in each of its sessions: the rows of the leaf stay where they are."""

import pytest

from tests.lab import malformed, overlay
from tests.lab.fixtures import lab, network
from tests.lab.peers import EXABGP, EXABGP_4_2
from tests.lab.speaker import Session, Speaker
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import Vtep, exabgp_with_relay
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

PEER = address(1)
MACS = [f"02:00:00:00:01:{number:02x}" for number in range(20)]
MESSAGES = malformed.updates(Instance(PEER).mac("02:00:00:00:09:09"))
UNREADABLE, FATAL = MESSAGES["attributes that end after the message"], MESSAGES["an UPDATE of one octet"]
"""ExaBGP answers the first with NOTIFICATION 3/1. On the second plain ExaBGP fails, and ends the session without a word."""
FIRST_PAUSE_S = 5

CASES = [
    pytest.param(EXABGP, True, UNREADABLE, "NOTIFICATION 3/1", id="5.0-vtep-exabgp"),
    pytest.param(EXABGP_4_2, True, UNREADABLE, "NOTIFICATION 3/1", id="4.2-vtep-exabgp"),
    pytest.param(EXABGP, True, FATAL, "NOTIFICATION 1/2", id="5.0-one-octet"),
    pytest.param(EXABGP, False, FATAL, "its BGP speaker failed", id="5.0-plain-fails"),
    pytest.param(EXABGP_4_2, False, FATAL, "its BGP speaker failed", id="4.2-plain-fails"),
]


@pytest.mark.parametrize(("exabgp", "announces", "bad", "reason"), CASES)
def test_a_bad_message_in_each_session_takes_no_row(network, exabgp, announces, bad, reason):
    rows = {(mac, PEER) for mac in MACS}
    with Speaker(network.remote, PEER) as speaker:
        speaker.announce(*(Instance(PEER).mac(mac) for mac in MACS))
        vtep = Vtep(network.leaf)
        vtep.start()
        exabgp_with_relay(network.leaf, [PEER], executable=exabgp, announces=announces).start()
        wait_until(lambda: overlay.tunnels(network.leaf, VXLAN) == rows, 20, what="the rows")

        speaker.hostile = bad
        speaker.send(bad)
        least: list[int] = []

        def resets() -> list[Session]:
            least.append(len(overlay.tunnels(network.leaf, VXLAN)))
            return [session for session in speaker.sessions if session.established_at and session.ended_by]

        wait_until(lambda: len(resets()) >= 2, 30, what="a second session that the leaf ends")
        status = vtep.told("status")
        first, second = (session.established_at for session in resets()[:2])

        speaker.hostile = b""
        speaker.withdraw(Instance(PEER).mac(MACS[0]))
        wait_until(
            lambda: overlay.tunnels(network.leaf, VXLAN) == rows - {(MACS[0], PEER)}, 40, what="the end of the hold"
        )
        wait_until(lambda: "this side" not in str(vtep.told("status")["problems"]), what="the end of the problem")

    assert min(least) == len(rows)
    assert any("this side ended the session" in problem and reason in problem for problem in status["problems"])
    if announces:
        assert second - first >= FIRST_PAUSE_S
