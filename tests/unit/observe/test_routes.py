"""The lists of routes: pages, filters, verdicts, and what this leaf advertises."""

import asyncio

import pytest

from tests.lab.memory import CONFIG, MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.advertise import VXLAN, MacAdvertisement, MacRoute, Multicast, MulticastRoute, Pmsi, target
from vtep.evpn.ages import Ages
from vtep.local.advertiser import Advertised
from vtep.observe import routes as lists
from vtep.observe.source import RouteQuery

A, B = "10.0.0.1", "10.0.0.2"
ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"


@pytest.fixture
def rig():
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(A, B)
        yield rig


def announce(rig, vtep, *routes):
    rig.receive(rig.lines.announce(vtep, *routes))


def mac(number):
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


def page(rig, after=None, most=1000, **query):
    return rig.wait_for(rig.observer.routes(RouteQuery(**query), after, most))


def pages(rig, most, **query):
    found, after = [], None
    while True:
        got = page(rig, after, most, **query)
        assert len(got.rows) <= most
        found.append(got)
        after = got.last
        if after is None:
            return found


def named(row):
    return (
        row.type,
        str(row.peer),
        str(row.mac or row.originator),
        [(v.vni, v.verdict, v.reason) for v in row.verdicts],
    )


def listed(rig, **query):
    return sorted(named(row) for row in page(rig, **query).rows)


@pytest.fixture
def full(rig):
    """Two peers with routes that won, lost and were refused."""
    announce(rig, A, Instance(A).mac(ONE, seq=2))
    announce(rig, A, Instance(A).flood())
    announce(rig, B, Instance(B).mac(ONE, seq=1))
    announce(rig, B, Instance(B, targets=("65000:9",)).mac(TWO))
    announce(rig, B, Instance(B).flood())
    announce(rig, B, Instance(B, vni=500, targets=("65000:500",)).mac(TWO))
    return rig


EVERYTHING = [
    (2, A, ONE, [(100, "won", "higher-seq")]),
    (2, B, ONE, [(100, "lost", "higher-seq")]),
    (2, B, TWO, [(100, "refused", "rt-mismatch")]),
    (2, B, TWO, [(500, "refused", "unknown-vni")]),
    (3, A, A, [(100, "won", "only-path")]),
    (3, B, B, [(100, "won", "only-path")]),
]


def test_every_route_has_its_verdict_and_reason(full):
    assert listed(full) == EVERYTHING


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ({"type": 3}, (4, 5)),
        ({"peer": Ip.parse(A)}, (0, 4)),
        ({"rd": RouteDistinguisher.parse("10.0.0.2:100")}, (1, 2, 5)),
        ({"vni": Vni(500)}, (3,)),
        ({"mac": Mac.parse(ONE)}, (0, 1)),
        ({"mac": Mac.parse(TWO), "peer": Ip.parse(B), "vni": Vni(100)}, (2,)),
        ({"refused": True}, (2, 3)),
        ({"reason": "rt-mismatch"}, (2,)),
        ({"reason": "higher-seq"}, (0, 1)),
        ({"refused": True, "type": 3}, ()),
    ],
)
def test_each_filter_leaves_what_it_asks_for(full, query, which):
    assert listed(full, **query) == [EVERYTHING[number] for number in which]


def test_a_host_address_finds_its_routes(rig):
    announce(rig, A, Instance(A).mac(ONE, ip="172.16.0.1"), Instance(A).mac(ONE), Instance(A).mac(TWO, ip="172.16.0.2"))

    [row] = page(rig, ip=Ip.parse("172.16.0.1")).rows
    assert (str(row.mac), str(row.ip)) == (ONE, "172.16.0.1")


def test_a_refused_route_says_why_in_a_sentence_and_has_its_attributes(full):
    [row] = page(full, reason="rt-mismatch").rows

    assert row.verdicts[0].text.startswith("Its label is a VNI of ours")
    assert [str(one) for one in row.targets] == ["65000:9"]
    assert (row.label, str(row.vtep), row.state) == (100, B, "current")


@pytest.mark.parametrize("most", [1, 7, 100])
def test_pages_have_every_route_once(rig, most):
    for vtep in (A, B):
        announce(rig, vtep, *(Instance(vtep).mac(mac(number)) for number in range(60)))

    found = pages(rig, most)

    rows = [(row.peer, row.mac) for got in found for row in got.rows]
    assert (len(rows), len(set(rows))) == (120, 120)
    assert {got.total for got in found} == {120}


@pytest.mark.parametrize("most", [1, 5, 100])
def test_pages_of_one_mac_have_every_route_of_it_once(rig, most):
    for vtep in (A, B):
        announce(rig, vtep, *(Instance(vtep).mac(ONE, ip=f"172.16.0.{number}") for number in range(1, 31)))

    found = pages(rig, most, mac=Mac.parse(ONE))

    rows = [(row.peer, row.ip, row.verdicts[0].verdict) for got in found for row in got.rows]
    assert (len(rows), len(set(rows))) == (60, 60)


def test_a_page_goes_on_where_the_one_before_ended_although_routes_come_and_go(rig):
    announce(rig, A, *(Instance(A).mac(mac(number)) for number in range(40)))
    first = page(rig, most=10)
    gone = first.rows[-1].mac
    rig.receive(rig.lines.withdraw(A, Instance(A).mac(str(gone)).nlri))
    announce(rig, A, *(Instance(A).mac(mac(number)) for number in range(40, 60)))

    rest, after = [], first.last
    while after is not None:
        got = page(rig, after, 10)
        rest += got.rows
        after = got.last

    stayed = {mac(number) for number in range(40)} - {str(row.mac) for row in first.rows}
    assert stayed <= {str(row.mac) for row in rest}
    assert not {row.mac for row in first.rows} & {row.mac for row in rest}


def test_a_page_looks_at_a_bounded_number_of_routes_whatever_the_filter_leaves(rig, monkeypatch):
    monkeypatch.setattr(lists, "LOOKED_AT_MAX", 50)
    announce(rig, A, *(Instance(A).mac(mac(number)) for number in range(120)))

    found = pages(rig, 100, refused=True)

    assert [len(got.rows) for got in found] == [0, 0, 0]


def test_the_floods_of_a_vtep_with_many_vnis_are_looked_at_once_for_a_page(rig, monkeypatch):
    vnis = range(1000, 1300)
    for vni in vnis:
        announce(rig, A, Instance(A, vni=vni, targets=(f"65000:{vni}",)).flood())
    monkeypatch.setattr(lists, "VERDICTS_MAX", 2 * len(vnis))

    got = page(rig, type=3)

    assert got.last is None
    assert sorted(named(row)[3] for row in got.rows) == [[(vni, "refused", "unknown-vni")] for vni in vnis]


def test_routes_of_a_lost_session_are_stale_and_a_refresh_hides_none():
    with MemoryLeaf(CONFIG.replace("[feed]", "[feed]\npeer_down_hold_s = 30")) as rig:
        rig.step()
        rig.come_up(A)
        announce(rig, A, Instance(A).mac(ONE))
        rig.leaf.rib._begin_refresh(rig.leaf.rib.peers[Ip.parse(A)], rig.now, marked=True)
        [suspect] = page(rig).rows
        rig.receive(rig.lines.down(A, "hold timer expired"))
        [stale] = page(rig).rows

        assert (suspect.state, stale.state) == ("current", "stale")


def test_another_task_has_its_turns_while_a_page_is_made(rig):
    announce(rig, A, *(Instance(A).mac(mac(number)) for number in range(3000)))
    turns = 0

    async def both():
        nonlocal turns
        listing = asyncio.ensure_future(rig.observer.routes(RouteQuery(), None, 3000))
        while not listing.done():
            await asyncio.sleep(0)
            turns += 1
        return await listing

    got = rig.wait_for(both())

    assert len(got.rows) == 3000
    assert turns > 200


class Advertiser:
    def __init__(self, *held):
        self.held = {one.route: one for one in held}

    def routes(self):
        return self.held

    def of(self, route):
        return self.held.get(route)


def test_what_this_leaf_advertises_has_its_state_and_can_be_filtered(rig):
    ours, rd = Ip.parse("10.0.0.99"), RouteDistinguisher.parse("10.0.0.99:100")
    common = (target("65000:100"), VXLAN)
    flood = Multicast(MulticastRoute(rd, ours), ours, Pmsi(Vni(100), ours), common)
    station = MacAdvertisement(MacRoute(rd, Mac.parse(ONE)), ours, Vni(100), communities=common)
    rig.observer.attach_advertised(
        Advertiser(
            Advertised(flood.route, flood, "confirmed", 1000.0),
            Advertised(station.route, station, "refused", error="no neighbor matches"),
        ),
        Advertiser(),
    )

    rows = page(rig, advertised=True).rows

    assert [(row.type, row.state, row.since, row.error) for row in rows] == [
        (2, "refused", None, "no neighbor matches"),
        (3, "confirmed", 1000.0, ""),
    ]
    assert [(str(row.vtep), row.label, [str(one) for one in row.targets], row.attributes) for row in rows] == [
        ("10.0.0.99", 100, ["65000:100"], ("encap:vxlan",))
    ] * 2
    assert [row.type for row in page(rig, advertised=True, refused=True).rows] == [2]
    assert [len(got.rows) for got in pages(rig, 1, advertised=True)][:2] == [1, 1]


def test_a_received_route_has_its_age_and_so_has_its_candidate(rig):
    rig.now = 2000.0
    announce(rig, A, Instance(A).mac(ONE))
    rig.now = 2100.0
    announce(rig, B, Instance(B).mac(ONE, seq=1))
    assert [(str(row.peer), row.since) for row in page(rig).rows] == [(A, 2000.0), (B, 2100.0)]
    (explanation,) = rig.wait_for(rig.observer.explain(Mac.parse(ONE), None)).explanations
    assert {str(one.peer): one.since for one in explanation.candidates} == {A: 2000.0, B: 2100.0}


def test_of_a_route_that_is_too_old_it_is_known_before_when_it_came(rig):
    rig.leaf.rib.ages = Ages(half_max=6)
    rig.now = 2000.0
    announce(rig, A, Instance(A).mac(ONE))
    for number in range(6):
        rig.now += 1
        announce(rig, A, Instance(A).mac(mac(number + 10)))
    (row,) = page(rig, mac=Mac.parse(ONE)).rows
    assert (row.since, row.received_before) == (None, 2003.0)
    (explanation,) = rig.wait_for(rig.observer.explain(Mac.parse(ONE), None)).explanations
    assert [(one.since, one.received_before) for one in explanation.candidates] == [(None, 2003.0)]
