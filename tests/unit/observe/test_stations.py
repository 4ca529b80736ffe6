"""The list of stations: how far each is advertised, and why it is no further."""

import pytest

from tests.lab.memory import CONFIG, MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Ip, Mac, Vni
from vtep.config.file import parse
from vtep.evpn.advertise import MacRoute
from vtep.evpn.station import Station
from vtep.local.advertiser import Advertised
from vtep.local.exports import Exports
from vtep.observe.model import AdvertisingStatus

A, ONE, TWO = "10.0.0.1", "02:00:00:00:00:01", "02:00:00:00:00:02"
VNI = Vni(100)
FULL = CONFIG.replace("[feed]", '[bgp]\nasn = 65000\nrouter_id = "10.0.0.99"\n[feed]')


class Advertiser:
    """What an advertiser would say, by MAC and address."""

    def __init__(self, config):
        self.exports = Exports(config)
        self.held = {}

    def routes(self):
        return ()

    def of(self, _):
        return None

    def put(self, mac, state, *, ip=None, since=None, error=""):
        route = self.exports.route((VNI, Mac.parse(mac), None if ip is None else Ip.parse(ip)))
        assert isinstance(route, MacRoute)
        self.held[route] = Advertised(route, None, state, since, error)

    def of_station(self, key):
        return self.held.get(self.exports.route(key))


@pytest.fixture
def rig():
    with MemoryLeaf(FULL) as rig:
        rig.step()
        rig.come_up(A)
        rig.advertiser = Advertiser(rig.config)
        rig.observer.attach_advertised(rig.advertiser, rig.advertiser)
        rig.leaf.set_advertising(frozenset({VNI}))
        yield rig


def learn(rig, mac, **fields):
    rig.leaf.learn_stations([Station(VNI, Mac.parse(mac), "swp1", **fields)])
    rig.judge()


def listed(rig, after=None, most=100):
    return rig.wait_for(rig.observer.stations(None, after, most))


def states(rig):
    return {str(row.mac): (row.state, row.reason) for row in listed(rig).rows}


def test_a_station_is_as_far_as_its_route_that_is_farthest_behind(rig):
    learn(rig, ONE, hosts=frozenset({Ip.parse("172.16.0.1")}))
    rig.advertiser.put(ONE, "confirmed", since=900.0)
    rig.advertiser.put(ONE, "sent", ip="172.16.0.1")
    [before] = listed(rig).rows
    rig.advertiser.put(ONE, "confirmed", ip="172.16.0.1", since=950.0)
    [after] = listed(rig).rows

    assert (before.state, before.since) == ("sent", None)
    assert (after.state, after.since, [str(ip) for ip in after.hosts]) == ("confirmed", 950.0, ["172.16.0.1"])


def test_a_refused_station_has_the_words_of_exabgp(rig):
    learn(rig, ONE, static=True)
    rig.advertiser.put(ONE, "refused", error="no neighbor matches")

    [row] = listed(rig).rows
    assert (row.state, row.reason, row.sticky, row.port) == ("refused", "no neighbor matches", True, "swp1")


def test_a_station_that_lost_its_mac_names_the_vtep(rig):
    learn(rig, ONE)
    rig.receive(rig.lines.announce(A, Instance(A).mac(ONE, seq=5)))

    [row] = listed(rig).rows
    assert (row.state, row.reason, str(row.vtep)) == ("lost", "higher-seq", A)


def test_a_vni_that_is_not_ready_is_the_reason(rig):
    learn(rig, ONE)
    rig.kernel.set_up("vxlan100", False)
    rig.survey()
    rig.leaf.set_advertising(frozenset())
    rig.judge()

    assert states(rig) == {ONE: ("not-advertised", "VNI 100 is not ready: device-down")}


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        ("vni = 100\n", "vni = 100\nannounce = false\n", "announce = false"),
        ("vni = 100\n", "vni = 200\n", "its VNI is not configured"),
    ],
)
def test_the_configuration_is_the_reason(rig, was, now, why):
    learn(rig, ONE)
    config = parse(FULL.replace(was, now))
    rig.leaf.reconfigure(config, rig.now)
    rig.observer.reconfigure(config)
    rig.leaf.set_advertising(frozenset())
    rig.judge()

    assert states(rig) == {ONE: ("not-advertised", why)}


def test_an_exabgp_that_cannot_advertise_is_the_reason(rig):
    learn(rig, ONE)
    rig.observer.announcing = lambda: AdvertisingStatus("unable", "this ExaBGP was not started by vtep exabgp")
    rig.leaf.set_advertising(frozenset())
    rig.judge()

    assert states(rig) == {ONE: ("not-advertised", "this ExaBGP was not started by vtep exabgp")}


def test_pages_have_every_station_once_in_order(rig):
    macs = [f"02:00:00:00:01:{number:02x}" for number in range(70)]
    for mac in macs:
        learn(rig, mac)

    found, after = [], None
    while True:
        page = listed(rig, after, 30)
        found += [str(row.mac) for row in page.rows]
        after = page.last
        if after is None:
            break

    assert (found, page.total) == (macs, 70)


def test_an_explanation_says_what_was_advertised_who_confirmed_it_and_to_whom(rig):
    learn(rig, ONE)
    waiting = rig.explain(ONE).summary
    rig.advertiser.put(ONE, "confirmed", since=rig.now - 180)
    confirmed = rig.explain(ONE)
    rig.receive(rig.lines.down(A, "hold timer expired"))
    to_nobody = rig.explain(ONE).summary
    rig.advertiser.put(ONE, "refused", error="no neighbor matches")
    refused = rig.explain(ONE).summary

    here = "Here, on port swp1 (only-path): "
    how = "with sequence number 0"
    assert waiting == f"{here}to be advertised {how}."
    assert confirmed.summary == f"{here}advertised {how} to 10.0.0.1; ExaBGP confirmed it 3 min ago."
    assert confirmed.station.state == "confirmed"
    assert (
        to_nobody
        == f"{here}advertised {how}, which ExaBGP confirmed 3 min ago, but to no peer: no session is established."
    )
    assert refused == f"{here}to be advertised {how}, but ExaBGP refused that: no neighbor matches."
