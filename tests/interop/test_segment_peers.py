"""FRR and GoBGP on one Ethernet segment with our leaf: whoever comes first, all hold the same one for the designated forwarder."""

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.segment_peers import THEIRS, Beside, by_preference, wait_for
from tests.lab.topology import address
from tests.lab.wait import wait_until

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

OURS = address(1)
orders = pytest.mark.parametrize("first", ["ours", "theirs"])


@orders
def test_frr_agrees_by_preference(lab, request, first):
    with skipped_if_missing():
        tree = request.config.getoption("frr_rootfs")
        network = Beside(lab, "frr", election=by_preference(40000), tree=tree)
    if first == "ours":
        network.ours.start()
        # Without a session nothing is forwarded: it may not be alone.
        wait_until(lambda: network.ours.segment()["state"] == "starting", 30, "our leaf waits for its picture")
        network.frr.start()
    else:
        network.frr.start()
        wait_until(network.frr.is_forwarder, 30, "FRR is alone")
        network.ours.start()
    wait_for(network, OURS)

    network.ours.ask_for(by_preference(100))
    wait_for(network, THEIRS)
    if first == "ours":
        return
    # FRR's own preference: the lower address wins.
    network.ours.ask_for(by_preference(32767))
    wait_for(network, OURS)

    network.machine.ip("link set dev c1 down")
    wait_until(network.frr.is_forwarder, 30, "FRR is alone")
    network.machine.ip("link set dev c1 up")
    wait_for(network, OURS)


@pytest.mark.parametrize(("first", "number"), [("ours", 1), ("theirs", 150)])
def test_gobgp_keeps_our_type_4_and_its_own_counts_by_modulo(lab, first, number):
    with skipped_if_missing():
        network = Beside(lab, "gobgp", number=number)
    ours, lower = network.ours.address, THEIRS if number > 100 else OURS
    for one in (network.ours, network.gobgp) if first == "ours" else (network.gobgp, network.ours):
        one.start()
    # VNI 100 is even: the lower of two addresses.
    wait_for(network, lower)
    wait_until(lambda: network.gobgp.has("esi", ours) and network.gobgp.has("A-D", ours), 10, "our routes at GoBGP")

    network.gobgp.leave()
    wait_for(network, ours)
    network.gobgp.join()
    wait_for(network, lower)


def test_gobgp_takes_a_type_4_with_a_df_election_community_for_a_withdraw(lab):
    """Which is why the default election is told by no community (RFC 8584 2.2 reads absence so)."""
    with skipped_if_missing():
        network = Beside(lab, "gobgp")
    network.gobgp.start()
    network.ours.start()
    wait_until(lambda: network.gobgp.has("esi", OURS), 30, "our Type-4 route")

    network.ours.ask_for(by_preference(40000))

    wait_until(lambda: not network.gobgp.has("esi", OURS), 10, "its end at GoBGP")
    assert network.gobgp.has("A-D", OURS)
