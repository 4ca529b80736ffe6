"""What single rows, devices and addresses mean for stations; tests/contract/test_stations.py has the watcher with a kernel."""

import pytest
from msgspec.structs import replace

from vtep.addr import Ip, Mac, Vni
from vtep.config.model import Targets, VniConfig
from vtep.evpn.station import Station
from vtep.linux.devices import Address, Bridge, Link, Links, Vxlan
from vtep.linux.wire.neighbor import Entry
from vtep.linux.wire.tlv import AF_INET, AF_INET6
from vtep.local.stations import Access, Location, Stations, accesses, host_mac, location_of

VNI = Vni(100)
M, N = Mac.parse("02:00:00:00:00:0a"), Mac.parse("02:00:00:00:00:0b")
OWN = Mac.parse("02:00:00:00:ff:01")
IP1, IP2 = Ip.parse("172.16.0.1"), Ip.parse("172.16.0.2")
BRIDGE, TUNNEL, PORT, UPPER = 2, 3, 4, 5
REACHABLE, NOARP, PERMANENT, INCOMPLETE = 0x02, 0x40, 0x80, 0x01
ACCESS = Access(VNI, BRIDGE, {PORT: "swp1"}, frozenset({TUNNEL, BRIDGE}), frozenset({BRIDGE}))
ROW = Entry(PORT, BRIDGE, M, 0, REACHABLE)
HOST = Entry(BRIDGE, None, M, 0, REACHABLE, family=AF_INET, ip=IP1)
KEY = (VNI, M)

ROWS = {
    "learnt": (ROW, Location("swp1")),
    "static": (replace(ROW, state=NOARP), Location("swp1", static=True)),
    "sticky": (replace(ROW, flags=0x40), Location("swp1", static=True)),
    "a synced MAC's, with frames": (replace(ROW, state=NOARP, notify=1), Location("swp1", synced=True)),
    "a synced MAC's, without": (replace(ROW, state=NOARP, notify=3), None),
    "a port's own": (replace(ROW, state=PERMANENT), None),
    "written by a daemon": (replace(ROW, flags=0x10), None),
    "a copy for a VLAN": (replace(ROW, vlan=1), None),
    "what a card listens to": (replace(ROW, flags=0x02, master=None), None),
    "on the VXLAN port": (replace(ROW, port=TUNNEL), None),
    "on the bridge": (replace(ROW, port=BRIDGE), None),
    "on a port that left": (replace(ROW, port=9), None),
    "multicast": (replace(ROW, mac=Mac.parse("01:00:5e:00:00:05")), None),
    "no usable MAC": (replace(ROW, mac=Mac(6)), None),
    "a neighbor row": (replace(HOST, port=PORT), None),
    "none": (None, None),
}  # fmt: skip


@pytest.mark.parametrize("what", ROWS)
def test_a_row_is_a_station(what: str) -> None:
    row, expected = ROWS[what]

    assert location_of(row, ACCESS) == expected


HOSTS = {
    "found out": (HOST, M),
    "of IPv6": (replace(HOST, family=AF_INET6, ip=Ip.parse("2001:db8::1")), M),
    "link-local": (replace(HOST, family=AF_INET6, ip=Ip.parse("fe80::1")), None),
    "multicast": (replace(HOST, ip=Ip.parse("224.0.0.1")), None),
    "being asked for": (replace(HOST, state=INCOMPLETE), None),
    "without ARP": (replace(HOST, state=NOARP), None),
    "written by a daemon": (replace(HOST, flags=0x10), None),
    "with our mark": (replace(HOST, protocol=229), None),
    "without a MAC": (replace(HOST, mac=Mac(6)), None),
    "a bridge's": (ROW, None),
    "none": (None, None),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTS)
def test_a_neighbor_row_gives_an_address_a_mac(what: str) -> None:
    row, expected = HOSTS[what]

    assert host_mac(row) == expected


def links(*more: Link, **bridge) -> Links:
    values = {"mac": OWN, "bridge": Bridge(vlan_filtering=False)} | bridge
    return Links.of(
        [
            Link(BRIDGE, "br0", "bridge", **values),
            Link(TUNNEL, "vx0", "vxlan", BRIDGE, vxlan=Vxlan(100)),
            Link(PORT, "swp1", master=BRIDGE),
            *more,
        ]
    )


def config(**more) -> VniConfig:
    return VniConfig(VNI, IP1, Targets(frozenset()), bridge="br0", vxlan="vx0", **more)


def test_access_ports_are_all_but_the_vxlan_ports() -> None:
    assert accesses([config()], links(Link(7, "elsewhere", master=8)), []) == {VNI: ACCESS}


def test_vlan_devices_on_the_bridge_know_hosts_as_well() -> None:
    upper, other = Link(UPPER, "br0.7", "vlan", below=BRIDGE), Link(6, "veth0", "veth", below=BRIDGE)

    [access] = accesses([config()], links(upper, other), []).values()

    assert access.devices == {BRIDGE, UPPER}


NOWHERE = {
    "is not announced": (config(announce=False), links()),
    "has no bridge": (VniConfig(VNI, IP1, Targets(frozenset())), links()),
    "has a bridge that is not there": (config(), Links.of([])),
    "has a bridge that is none": (config(), links(bridge=None)),
    "has a bridge with VLANs": (config(), links(bridge=Bridge(vlan_filtering=True))),
}


@pytest.mark.parametrize("what", NOWHERE)
def test_no_station_is_learned_where_a_vni(what: str) -> None:
    vni, there = NOWHERE[what]

    assert accesses([vni], there, []) == {}


def test_the_gateways_addresses_are_those_of_the_bridge_and_of_vlan_devices_with_its_mac() -> None:
    uppers = (Link(UPPER, "br0.7", "vlan", below=BRIDGE, mac=OWN), Link(6, "br0.8", "vlan", below=BRIDGE, mac=N))
    addresses = [
        Address(BRIDGE, IP1),
        Address(BRIDGE, Ip.parse("2001:db8::9"), usable=False),
        Address(BRIDGE, Ip.parse("fe80::1")),
        Address(UPPER, IP2),
        Address(6, Ip.parse("172.16.0.3")),
        Address(PORT, Ip.parse("172.16.0.4")),
    ]

    [access] = accesses([config(gateway=True)], links(*uppers), addresses).values()

    assert access.gateway == Station(VNI, OWN, "br0", gateway=True, hosts=frozenset({IP1, IP2}))


@pytest.mark.parametrize(("mac", "addresses"), [(OWN, []), (None, [Address(BRIDGE, IP1)]), (Mac(6), [Address(2, IP1)])])
def test_a_bridge_without_an_address_or_a_mac_is_no_gateway(mac: Mac | None, addresses: list[Address]) -> None:
    [access] = accesses([config(gateway=True)], links(mac=mac), addresses).values()

    assert access.gateway is None


def test_without_its_vxlan_port_a_bridge_is_asked_by_another_and_without_any_not_at_all() -> None:
    assert ACCESS.reader == TUNNEL
    assert replace(ACCESS, others=frozenset({BRIDGE})).reader == PORT
    assert replace(ACCESS, others=frozenset({BRIDGE}), ports={}).reader is None


def test_a_station_that_is_seen_where_it_was_is_no_news() -> None:
    stations = Stations()
    stations.learn(KEY, Location("swp1"))
    assert stations.take_news(9).learned

    stations.see(KEY, Location("swp1"))
    assert not stations.has_news

    stations.learn(KEY, Location("swp1"))
    assert stations.take_news(9).learned


def test_news_come_in_portions() -> None:
    stations = Stations()
    macs = [Mac(bytes((2, 0, 0, 0, 0, number))) for number in range(5)]
    for mac in macs:
        stations.learn((VNI, mac), Location("swp1"))

    portions = [[one.mac for one in stations.take_news(2).learned] for _ in range(4)]

    assert portions == [macs[:2], macs[2:4], macs[4:], []]


def test_a_station_that_is_learned_again_before_it_was_reported_gone_is_only_learned() -> None:
    stations = Stations()
    stations.learn(KEY, Location("swp1"))
    stations.take_news(9)

    stations.learn(KEY, None)
    stations.learn(KEY, Location("swp2"))

    news = stations.take_news(9)
    assert (news.gone, [one.port for one in news.learned]) == ([], ["swp2"])


def test_a_gateway_that_left_and_is_there_again_is_not_reported_as_gone() -> None:
    """Otherwise it would be gone in the end, if it is reported as learned while many other stations still wait to be gone."""
    stations, gateway = Stations(), Station(VNI, OWN, "br0", gateway=True)
    stations.see_gateway(VNI, gateway)
    stations.take_news(10)

    stations.see_gateway(VNI, None)
    stations.see_gateway(VNI, gateway)

    news = stations.take_news(10)
    assert (news.learned, news.gone) == ([gateway], [])


def test_a_gateway_that_changes_its_mac_is_another_station() -> None:
    stations = Stations()
    stations.see_gateway(VNI, Station(VNI, OWN, "br0", gateway=True))
    stations.take_news(9)

    stations.see_gateway(VNI, Station(VNI, N, "br0", gateway=True))

    news = stations.take_news(9)
    assert (news.gone, [one.mac for one in news.learned]) == ([(VNI, OWN)], [N])


def test_an_entry_that_becomes_static_is_changed_when_seen() -> None:
    stations = Stations()
    stations.learn(KEY, Location("swp1"))
    stations.take_news(9)

    stations.see(KEY, Location("swp1", static=True))

    [changed] = stations.take_news(9).changed
    assert changed.static


def test_a_station_that_is_forgotten_leaves_no_address_behind() -> None:
    stations = Stations()
    stations.see_host((VNI, BRIDGE, IP1), M)
    stations.learn(KEY, Location("swp1"))
    stations.see_gateway(VNI, Station(VNI, OWN, "br0", gateway=True))
    stations.take_news(9)

    stations.forget(VNI)
    assert set(stations.take_news(9).gone) == {KEY, (VNI, OWN)}

    stations.learn(KEY, Location("swp1"))
    [learned] = stations.take_news(9).learned
    assert not learned.hosts


def test_an_address_on_two_devices_is_kept_until_both_have_lost_it() -> None:
    stations = Stations()
    for device in (BRIDGE, UPPER):
        stations.see_host((VNI, device, IP1), M)
    stations.learn(KEY, Location("swp1"))
    assert [one.hosts for one in stations.take_news(9).learned] == [{IP1}]

    stations.see_host((VNI, BRIDGE, IP1), None)
    stations.learn(KEY, Location("swp1"))
    assert [one.hosts for one in stations.take_news(9).learned] == [{IP1}]

    stations.see_host((VNI, UPPER, IP1), None)
    assert [one.hosts for one in stations.take_news(9).changed] == [frozenset()]
