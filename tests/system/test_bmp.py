"""Routers that report by BMP as the feed of a daemon, alone and beside ExaBGP: FRR 8.4 and GoBGP."""

import pytest

from tests.lab import overlay
from tests.lab.fixtures import lab, network, skipped_if_missing
from tests.lab.peers import Frr, GoBgp, bmp_targets, frr_config, gobgp_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, VXLAN, Topology, address
from tests.lab.vtep import FEED, Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

REMOTE = Instance(address(1))
MACS = [f"02:00:00:00:02:{number:02x}" for number in range(50)]
PORT = 11019


def frr(node):
    """An FRR whose zebra writes nothing, because bgpd does not ask it for VNIs."""
    config = frr_config(address(LEAF), [address(1)]).replace("advertise-all-vni", "")
    return Frr(
        node, config.replace("address-family", bmp_targets("pre-policy", "post-policy") + "address-family"), bmp=True
    )


def gobgp(node):
    config = gobgp_config(address(LEAF), [address(1)]).replace("passive-mode = true", "passive-mode = false")
    server = f'address = "127.0.0.1"\nport = {PORT}\nroute-monitoring-policy = "post-policy"'
    return GoBgp(node, f"{config}\n[[bmp-servers]]\n[bmp-servers.config]\n{server}\n")


@pytest.mark.parametrize("router", [frr, gobgp])
def test_rows_are_what_a_router_reports_by_bmp(network, router):
    with skipped_if_missing():
        speaks = router(network.leaf)
    vtep = Vtep(network.leaf, leaf_config(peers=[address(1)], more=f'bmp = "127.0.0.1:{PORT}"\n'))

    def tunnels():
        return {mac for mac, _ in overlay.tunnels(network.leaf, VXLAN)}

    with Speaker(network.remote, address(1)) as speaker:
        vtep.start()
        speaks.start()
        speaker.wait_established()
        speaker.announce(*(REMOTE.mac(mac) for mac in MACS))
        wait_until(lambda: tunnels() == set(MACS), 20, "all rows")
        feed = vtep.told("status")["feed"]
        (reporter,) = feed["reporters"]
        assert (reporter["address"].partition(":")[0], reporter["peers"]) == ("127.0.0.1", 1)
        ignored = {one["why"]: one["messages"] for one in feed["ignored"]}
        assert (ignored.get("pre-policy", 0) > 0) == (router is frr), "FRR reports both tables here"
        assert "router " in vtep.ask("status").stdout
        speaker.withdraw(*(REMOTE.mac(mac) for mac in MACS[:20]))
        wait_until(lambda: tunnels() == set(MACS[20:]), 20, "the end of the withdrawn ones")
    wait_until(lambda: not vtep.told("peers")["peers"][0]["up"], 20, "the end of the session")
    (peer,) = vtep.told("peers")["peers"]

    log = vtep.process.log()
    assert '"bmp connected"' in log
    assert "exabgp" not in log
    assert peer["reason"].startswith("the peer ended it")
    assert (peer["asn"], peer["families"], peer["form"]) == (65000, ["l2vpn evpn"], "octets")
    assert vtep.process.stop() == 0


def test_exabgp_and_a_router_are_one_picture_and_neither_end_touches_the_peers_of_the_other(lab):
    """Both have a session with remote 1, and FRR alone has one with remote 2. ExaBGP goes before BMP."""
    with skipped_if_missing():
        network = Topology(lab, remotes=2)
        config = frr_config(address(LEAF), [address(1), address(2)]).replace("advertise-all-vni", "")
        router = Frr(
            network.leaf, config.replace("address-family", bmp_targets("post-policy") + "address-family"), bmp=True
        )
        exabgp = exabgp_with_relay(network.leaf, [address(1)])
    both = f'bmp = "127.0.0.1:{PORT}"\nsocket = "{FEED}"\n'
    vtep = Vtep(network.leaf, leaf_config(peers=[address(1), address(2)], more=both))
    far = Instance(address(2))

    def tunnels():
        return {mac for mac, _ in overlay.tunnels(network.leaf, VXLAN)}

    def peers():
        return {one["address"]: (one["feed"], one.get("stale", 0)) for one in vtep.told("peers")["peers"]}

    first, second = MACS[:20], MACS[20:]
    with Speaker(network.remotes[0], address(1)) as one, Speaker(network.remotes[1], address(2)) as two:
        one.announce(*(REMOTE.mac(mac) for mac in first))
        two.announce(*(far.mac(mac) for mac in second))
        vtep.start()
        router.start()
        wait_until(lambda: tunnels() == set(MACS), 20, "the rows of what the router reports")
        assert peers() == {address(1): ("bmp", 0), address(2): ("bmp", 0)}
        assert "exabgp-away" in {one["code"] for one in vtep.told("status")["problem_list"]}

        running = exabgp.start()
        wait_until(lambda: peers()[address(1)] == ("exabgp", 0), 20, "ExaBGP having the peer that both have")
        one.withdraw(REMOTE.mac(first[0]))
        two.withdraw(far.mac(second[0]))
        wait_until(lambda: tunnels() == {*first[1:], *second[1:]}, 20, "a withdrawal over each")
        assert peers() == {address(1): ("exabgp", 0), address(2): ("bmp", 0)}

        router.bgpd.kill()
        wait_until(lambda: peers()[address(2)] == ("bmp", 29), 20, "the router's end")
        assert peers()[address(1)] == ("exabgp", 0)
        assert "router-away" in {one["code"] for one in vtep.told("status")["problem_list"]}
        router.start_bgpd()
        wait_until(lambda: peers()[address(2)] == ("bmp", 0), 30, "the router's return")

        running.kill()
        wait_until(lambda: peers()[address(1)] == ("bmp", 0), 30, "the router reporting the peer that ExaBGP left")
        assert tunnels() == {*first[1:], *second[1:]}
    assert vtep.process.stop() == 0
