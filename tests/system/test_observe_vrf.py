"""A daemon that observes a VRF: its routes come by BMP, and another program writes the rows with nexthops of its own."""

import socket

import pytest

from tests.lab import bmp
from tests.lab.fixtures import lab, network
from tests.lab.topology import LEAF, address
from tests.lab.vtep import Vtep, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance, end_of_rib, updates

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

PREFIX = "192.0.2.0/24"
ROUTER = "02:00:00:00:ff:01"
VRF = """
[[vrf]]
name = "blue"
vni = 4001
table = 1001
svi = "br4001"
vxlan = "vx4001"
import_rt = ["65000:4001"]
"""


def test_rows_of_a_vrf_are_compared_by_where_packets_go(network):
    """It needs no VRF device: the table of the VRF is named."""
    leaf = network.leaf
    leaf.ip(
        "link add br4001 address 02:00:00:00:ff:63 type bridge",
        f"link add vx4001 type vxlan id 4001 local {address(LEAF)} dstport 4789 nolearning",
        "link set vx4001 master br4001",
        "link set vx4001 type bridge_slave learning off",
        "link set vx4001 up",
        "link set br4001 up",
    )
    feed = 'bmp = "127.0.0.1:11019"'
    vtep = Vtep(leaf, leaf_config(peers=[address(1)], node='mode = "observe"', more=feed) + VRF)
    route = Instance(address(1), vni=4001, targets=("65000:4001",), router_mac=ROUTER).prefix(PREFIX)

    def differences():
        return {one["kind"]: one["reason"].removeprefix("observed-") for one in vtep.told("diff")["differences"]}

    with leaf.socket(socket.AF_INET, socket.SOCK_STREAM) as router:
        vtep.start()
        wait_until(lambda: router.connect_ex(("127.0.0.1", 11019)) == 0, 20, "the listener")
        router.sendall(bmp.initiation() + bmp.peer_up(address(1)))
        router.sendall(bmp.monitoring(address(1), *updates([route], per_update=1), end_of_rib()))
        missing = dict.fromkeys(("route", "router-mac", "router-neighbor"), "missing")
        wait_until(lambda: differences() == missing, 20, "nothing is there")

        leaf.ip(
            f"neigh add {address(1)} lladdr {ROUTER} dev br4001 extern_learn nud noarp protocol zebra",
            f"nexthop add id 17 via {address(1)} dev br4001 onlink proto zebra",
            f"route add {PREFIX} nhid 17 table 1001 proto bgp metric 20",
        )
        row = f"fdb add {ROUTER} dev vx4001 dst {address(1)} self master extern_learn"
        leaf.run("bridge", *row.split())
        wait_until(lambda: differences() == {}, 20, "all is there")
        assert "nexthop 17, written by zebra" in vtep.ask("nexthops").stdout
        leaf.ip("nexthop replace id 17 via 10.0.0.9 dev br4001 onlink proto zebra")
        wait_until(lambda: differences() == {"route": "different"}, 20, "it leads elsewhere")
        assert "by 10.0.0.9" in vtep.ask("diff").stdout
        assert "observed-no-object" in vtep.ask("nexthops").stdout
    assert vtep.process.stop() == 0
