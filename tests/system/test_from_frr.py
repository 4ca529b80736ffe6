"""A leaf is observed, goes from FRR to vtep and back, and is observed again, under traffic: the rows stay, and are handed over."""

import pytest

from tests.lab import overlay, probe
from tests.lab.fixtures import lab, network, skipped_if_missing
from tests.lab.namespaces import Node
from tests.lab.peers import Frr, bmp_targets
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, VXLAN, address, introduce
from tests.lab.vtep import VTEP, Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from tests.promises.test_readme import ROOT, blocks

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

REMOTE = Instance(address(1))
BGPD = f"""
router bgp 65000
 bgp router-id {address(LEAF)}
 no bgp default ipv4-unicast
 neighbor {address(1)} remote-as 65000
 {bmp_targets("post-policy")}
 address-family l2vpn evpn
  neighbor {address(1)} activate
  advertise-all-vni
 exit-address-family
"""


def test_from_frr_to_vtep_and_back_no_packet_is_lost(network):
    _, claim, claim_rest = blocks((ROOT / "docs/frr.md").read_text(), "sh")
    here, there = network.leaf_station, network.remote_station
    stale = "02:00:00:00:01:01"
    introduce(here, there)
    overlay.put_row(network.remote, VXLAN, here.mac, address(LEAF))

    def tunnels() -> set[tuple[str, str]]:
        return overlay.tunnels(network.leaf, VXLAN)

    with skipped_if_missing():
        frr = Frr(network.leaf, BGPD, bmp=True)
    with Speaker(network.remote, address(1)) as speaker:
        frr.start()
        speaker.wait_established()
        speaker.announce(REMOTE.mac(there.mac), REMOTE.mac(stale))
        wait_until(lambda: {mac for mac, _ in tunnels()} == {there.mac, stale}, 20, "FRR's rows")

        observing = leaf_config(peers=[address(1)], node='mode = "observe"', more='bmp = "127.0.0.1:11019"')
        with probe.Pings(here.node, there.ip) as pings:
            observer = Vtep(network.leaf, observing)
            observer.start()
            wait_until(lambda: _is_in_sync(observer, 2), 30, "the observer has both rows in sync")
            assert observer.process.stop() == 0

            # zebra first: when it loses bgpd, it removes all rows of EVPN.
            frr.zebra.kill()
            frr.bgpd.kill()
            speaker.withdraw(REMOTE.mac(stale))
            vtep = Vtep(network.leaf, leaf_config(peers=[address(1)]))
            vtep.start()
            exabgp_with_relay(network.leaf, [address(1)]).start()
            wait_until(lambda: _reason(vtep, there.mac) == "adoptable", 20, "the reason")
            listed, _ = _typed(network.leaf, claim)

            wait_until(lambda: _reason(vtep, there.mac) == "", 10, "the row is ours")
            before = tunnels()
            left, _ = _typed(network.leaf, claim_rest)
            wait_until(lambda: tunnels() == {(there.mac, address(1))}, 10, "the end of the stale row")

            assert vtep.process.stop() == 0
            frr.start()
            wait_until(lambda: any(mac == there.mac for mac, _ in frr.macs()), 20, "FRR has the route again")
            observer = Vtep(network.leaf, observing)
            observer.start()
            wait_until(lambda: _is_in_sync(observer, 1), 30, "the observer has FRR's row in sync again")

        assert (there.mac in listed, stale in listed, stale in left) == (True, False, True)
        assert before == {(there.mac, address(1)), (stale, address(1))}
        assert (pings.sent > 100, pings.lost) == (True, 0)


def _typed(node: Node, commands: str) -> list[str]:
    """Type the commands as docs/frr.md has them, and return what each prints."""
    return [
        node.run("sh", "-ec", f"PATH={VTEP.parent}:$PATH\n{command}", deadline_s=20)
        for command in commands.splitlines()
    ]


def _is_in_sync(vtep: Vtep, macs: int) -> bool:
    """Tell whether an observer has so many MACs, and none of them differs."""
    status = vtep.told("status")
    installed = {row["kind"]: row["installed"] for row in status["kinds"]}
    return bool(status["ready"]) and installed["mac"] == macs and vtep.told("diff")["differences"] == []


def _reason(vtep: Vtep, mac: str) -> str | None:
    """Return the reason why a wanted row is not ours; nothing in it once it is."""
    found = [row for row in vtep.told("macs")["macs"] if row["mac"] == mac]
    return found[0]["sync"]["reason"] if found else None
