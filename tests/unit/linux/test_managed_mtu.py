"""The MTU of managed devices follows the routes to the peers, and a route that goes for a moment changes nothing."""

from vtep.addr import Ip
from vtep.config.file import parse
from vtep.linux.devices import Address, Link, Links
from vtep.linux.managed.underlay import questions, underlay_mtu
from vtep.linux.wire.route import RTN_LOCAL, FoundPath

HERE, PEER = Ip.parse("10.0.0.1"), Ip.parse("10.0.0.2")
LINKS = Links.of((Link(1, "lo", mtu=65536), Link(2, "eth0", mtu=9000), Link(3, "eth1", mtu=1500)))


def test_the_least_route_counts_and_an_mtu_of_the_route_itself():
    paths = (FoundPath(device=2), FoundPath(device=3), FoundPath(device=2, mtu=1400))

    assert underlay_mtu(LINKS, (), (HERE,), paths[:1]) == 9000
    assert underlay_mtu(LINKS, (), (HERE,), paths[:2]) == 1500
    assert underlay_mtu(LINKS, (), (HERE,), paths) == 1400


def test_without_a_usable_route_the_device_of_the_tunnel_address_counts_and_not_loopback():
    unusable = (FoundPath(errno=101), FoundPath(device=1, type=RTN_LOCAL))

    assert underlay_mtu(LINKS, (Address(2, HERE),), (HERE,), unusable) == 9000
    assert underlay_mtu(LINKS, (Address(1, HERE),), (HERE,), unusable) == 1500
    assert underlay_mtu(LINKS, (Address(9, HERE),), (HERE,), unusable) == 1500  # it came after the devices were read


def test_routes_are_asked_for_where_devices_are_managed_alone():
    text = """
[node]
vtep = ["10.0.0.1", "fd00::1"]
[feed]
peers = ["10.0.0.2"]
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""

    assert questions(parse(text)) == []
    (asked,) = questions(parse(text.replace('vxlan100"', 'vxlan100"\nmanage = true')))
    assert (asked.local, asked.vtep) == (HERE, PEER)
