"""Hosts on real ports speak, and what the bridge learns of them is heard octet by octet at the other end of a BGP session."""

import re

import pytest

from tests.lab import overlay, probe
from tests.lab.fixtures import lab, network
from tests.lab.speaker import Speaker
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, address
from tests.lab.vtep import VNI_SECTION, Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from vtep.addr import Ip, Mac, RouteDistinguisher
from vtep.evpn.advertise import DEFAULT_GATEWAY, MacRoute, MulticastRoute, mobility

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

RD = RouteDistinguisher.parse(f"{address(LEAF)}:{VNI}")
BGP = f'[bgp]\nasn = 65000\nrouter_id = "{address(LEAF)}"'
FLOODS = MulticastRoute(RD, Ip.parse(address(LEAF))).key
GATEWAY = "172.16.0.254"
HOST = "02:00:00:00:05:01"
"""Speaks from the station's place, which has a MAC of its own and says a word of IPv6 when it likes."""


def route(mac: str, ip: str = "") -> bytes:
    return MacRoute(RD, Mac.parse(mac), Ip.parse(ip) if ip else None).key


class Leaf:
    """The leaf of the lab, its ExaBGP, and a speaker that hears what they announce."""

    def __init__(self, network, speaker: Speaker) -> None:
        self.network = network
        self.node = network.leaf
        self.speaker = speaker
        self.station = network.leaf_station
        self.vtep = Vtep(network.leaf, leaf_config(more=BGP, vnis=f"{VNI_SECTION}gateway = true\n"))

    def start(self) -> None:
        self.vtep.start()
        exabgp_with_relay(self.node, [address(1)], announces=True).start()

    def announces(self, *keys: bytes) -> None:
        """Wait until exactly these, and where floods are wanted, are announced; the station may be as well."""
        wanted = {FLOODS, *keys}
        either = {route(self.station.mac), route(self.station.mac, self.station.ip6)} - wanted
        wait_until(lambda: set(self.heard()) - either == wanted, 15, f"{len(wanted)} routes and no other")

    def heard(self):
        return self.speaker.heard(self.speaker.established()[-1])

    def communities(self, key: bytes) -> bytes:
        """Return what a route says beside its target and its encapsulation."""
        return self.heard()[key].attributes[16][16:]


@pytest.fixture
def leaf(network):
    with Speaker(network.remote, address(1)) as speaker:
        yield Leaf(network, speaker)


def speak(leaf: Leaf) -> None:
    probe.speak(leaf.station.node, "eth0", HOST)


def test_a_host_that_speaks_is_announced_until_the_bridge_forgets_it(leaf):
    leaf.start()
    leaf.announces()

    speak(leaf)
    leaf.announces(route(HOST))
    leaf.node.run("bridge", "fdb", "del", HOST, "dev", leaf.station.port, "master")

    leaf.announces()


def test_hosts_that_spoke_before_the_start_are_announced_and_go_with_their_port(leaf):
    speak(leaf)
    leaf.start()
    leaf.announces(route(HOST))

    leaf.station.unplug()

    leaf.announces()


def test_a_static_entry_is_announced_as_one_that_may_not_move(leaf):
    leaf.start()
    leaf.node.run("bridge", "fdb", "add", HOST, "dev", leaf.station.port, "master", "static")

    leaf.announces(route(HOST))

    assert leaf.communities(route(HOST)) == mobility(0, sticky=True)


def test_a_gateway_is_announced_with_its_address_and_a_host_that_it_talks_to_with_the_hosts(leaf):
    leaf.node.ip(f"addr add {GATEWAY}/24 dev {BRIDGE}", f"link set dev {BRIDGE} address 02:00:00:00:00:fe")
    gateway = ("02:00:00:00:00:fe", GATEWAY)
    leaf.start()
    leaf.announces(route(gateway[0]), route(*gateway))

    assert probe.ping(leaf.station.node, GATEWAY) is not None

    host = (leaf.station.mac, leaf.station.ip)
    leaf.announces(route(gateway[0]), route(*gateway), route(host[0]), route(*host))
    assert leaf.communities(route(*gateway)) == DEFAULT_GATEWAY
    assert not leaf.communities(route(*host))


def test_a_host_that_moves_here_is_announced_with_the_next_sequence_and_lost_when_it_moves_away(leaf):
    remote, mac = Instance(address(1)), HOST
    leaf.start()
    leaf.announces()
    leaf.speaker.announce(remote.mac(mac, seq=4))
    wait_until(lambda: overlay.tunnels(leaf.node, VXLAN) == {(mac, address(1))}, 10, "the remote row")

    speak(leaf)
    leaf.announces(route(mac))
    assert leaf.communities(route(mac)) == mobility(5)
    wait_until(lambda: not overlay.tunnels(leaf.node, VXLAN), 10, "the end of the remote row")

    leaf.speaker.announce(remote.mac(mac, seq=6))
    leaf.announces()
    wait_until(lambda: overlay.tunnels(leaf.node, VXLAN) == {(mac, address(1))}, 10, "the remote row again")

    speak(leaf)
    leaf.announces(route(mac))
    assert leaf.communities(route(mac)) == mobility(7)


def test_a_remote_mac_that_an_operator_pins_at_a_port_is_advertised_as_one_that_may_not_move(leaf):
    leaf.start()
    leaf.speaker.announce(Instance(address(1)).mac(HOST, seq=4))
    wait_until(lambda: overlay.tunnels(leaf.node, VXLAN) == {(HOST, address(1))}, 10, "the remote row")

    leaf.node.run("bridge", "fdb", "replace", HOST, "dev", leaf.station.port, "master", "static")

    leaf.announces(route(HOST))
    assert leaf.communities(route(HOST)) == mobility(0, sticky=True)
    wait_until(lambda: not overlay.tunnels(leaf.node, VXLAN), 10, "the end of the remote row")


def test_a_host_that_comes_home_is_advertised_with_its_address_again(leaf):
    """Our neighbor row for the remote's losing route kept the kernel from learning the address of its own station."""
    leaf.node.ip(
        f"link set dev {VXLAN} type bridge_slave neigh_suppress on",
        f"addr add {GATEWAY}/24 dev {BRIDGE}",
    )
    mac, ip = leaf.station.mac, leaf.station.ip
    leaf.start()
    leaf.speaker.announce(Instance(address(1)).mac(mac, ip, seq=4))
    wait_until(lambda: overlay.neighbors(leaf.node, BRIDGE).get(ip) == mac, 15, "the remote host's neighbor row")

    def is_advertised() -> bool:
        assert probe.ping(leaf.station.node, GATEWAY) is not None
        return {route(mac), route(mac, ip)} <= set(leaf.heard())

    wait_until(is_advertised, 10, "the MAC with its address")
    assert leaf.communities(route(mac, ip)) == mobility(5)
    assert "proto 229" not in leaf.node.run("ip", "neigh", "show", "dev", BRIDGE)


def test_a_station_that_cannot_get_past_the_highest_sequence_raises_an_alert_and_comes_back(leaf):
    last, remote = 2**32 - 1, Instance(address(1)).mac(HOST, seq=2**32 - 1)
    leaf.start()
    leaf.announces()
    leaf.speaker.announce(remote)
    wait_until(lambda: overlay.tunnels(leaf.node, VXLAN) == {(HOST, address(1))}, 10, "the remote row")

    speak(leaf)
    explained = wait_until(
        lambda: (found := leaf.vtep.told("explain", HOST)["explanations"][0]) and found.get("alerts") and found,
        what="the alert",
    )
    assert (explained["alerts"], route(HOST) in leaf.heard()) == (["seq-exhausted"], False)
    speak(leaf)
    wait_until(lambda: HOST in overlay.learnt(leaf.node, leaf.station.port), what="the station in its own bridge")

    leaf.speaker.withdraw(remote)
    leaf.announces(route(HOST))
    assert leaf.communities(route(HOST)) == mobility(last)


@pytest.mark.parametrize(("announce", "sockets"), [("true", 11), ("false", 7)])
def test_who_announces_nothing_hears_nothing_more_than_before(leaf, announce, sockets):
    """Seven netlink sockets for what we write; four more for what bridges learn.

    Those are events, requests, dumps and what a thread reads, and these the same for stations. The other three are events of
    nexthops, routes to VTEPs, and the filters of an earlier life.
    """
    leaf.vtep.configure(leaf_config(more=BGP, vnis=f"{VNI_SECTION}announce = {announce}\n"))
    process = leaf.vtep.start()
    wait_until(lambda: '"rows written"' in process.log(), 15, "the first rows")

    def opened() -> int:
        descriptors = leaf.node.run("sh", "-c", f"readlink /proc/{process.pid}/fd/*")
        sockets = set(re.findall(r"socket:\[(\d+)\]", descriptors))
        netlink = leaf.node.run("cat", f"/proc/{process.pid}/net/netlink").splitlines()[1:]
        return len(sockets & {line.split()[9] for line in netlink})

    wait_until(lambda: opened() == sockets, 15, f"{sockets} netlink sockets")
