"""FRR on a machine with systemd is ended by the line of docs/frr.md: its rows of EVPN stay, and it stays ended."""

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.machine import Machine, debian
from tests.lab.namespaces import link
from tests.lab.speaker import Speaker
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from tests.promises.test_readme import ROOT, blocks

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow, pytest.mark.timeout(300)]

PACKAGES = ("python3", "iproute2", "systemd", "dbus", "frr")
DEVICES = """
ip link add br100 type bridge
ip link add vxlan100 type vxlan id 100 local 10.0.0.1 dstport 4789 nolearning
ip link set dev vxlan100 master br100 addrgenmode none
ip link set dev vxlan100 type bridge_slave learning off
ip link set dev vxlan100 up
ip link set dev br100 up
sed -i 's/^bgpd=no/bgpd=yes/' /etc/frr/daemons
systemctl restart frr
"""
FRR = """
router bgp 65000
 bgp router-id 10.0.0.1
 no bgp default ipv4-unicast
 neighbor 10.0.0.2 remote-as 65000
 address-family l2vpn evpn
  neighbor 10.0.0.2 activate
  advertise-all-vni
 exit-address-family
"""
REMOTE = Instance("10.0.0.2")
MAC = "02:00:00:00:00:02"


def test_the_line_of_the_guide_ends_frr_and_leaves_its_rows(lab, tmp_path):
    kill, *_ = blocks((ROOT / "docs/frr.md").read_text(), "sh")
    with skipped_if_missing():
        below = debian(tmp_path / "debian", PACKAGES)
        leaf = Machine("leaf", below, tmp_path / "leaf")
        lab.nodes.append(leaf)
    remote = lab.node("remote")
    link(remote, "uplink", leaf, "uplink")
    leaf.ip("address add 10.0.0.1/24 dev uplink", "link set dev uplink up")
    remote.ip("address add 10.0.0.2/24 dev uplink", "link set dev uplink up")
    leaf.write("/etc/frr/frr.conf", FRR)

    def rows():
        return leaf.sh("bridge fdb show dev vxlan100")

    with Speaker(remote, "10.0.0.2") as speaker:
        leaf.sh(DEVICES)
        speaker.wait_established()
        speaker.announce(REMOTE.mac(MAC), REMOTE.flood())
        wait_until(lambda: f"{MAC} dst 10.0.0.2" in rows(), 30, "FRR's row")
        before = rows()

        leaf.sh(kill)

        assert leaf.attempt("systemctl", "is-active", "frr").stdout.strip() in ("inactive", "failed")
        assert (
            leaf.sh("ls /proc/[0-9]*/comm | xargs cat 2>/dev/null | grep -cE '^(zebra|bgpd|watchfrr)$' || true")
            == "0\n"
        )
        assert rows() == before
