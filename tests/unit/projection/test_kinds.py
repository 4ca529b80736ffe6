"""A host address on thousands of MACs, and an endpoint of thousands of routes: routes of one kind are judged once."""

import pytest
from msgspec import structs

from vtep.addr import Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.config import file as config
from vtep.evpn.attributes import PMSI_INGRESS_REPLICATION, Attributes, Pmsi
from vtep.evpn.event import Announced, Received
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.projection import flood, host
from vtep.projection.leaf import Leaf

LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
import_rt = ["65000:100"]
"""
A = Ip.parse("10.0.0.1")
IP = Ip.parse("172.16.0.1")
ROUTED = Attributes(A, (RouteTarget.parse("65000:100"),))
FLOODED = Attributes(A, ROUTED.targets, pmsi=Pmsi(PMSI_INGRESS_REPLICATION, 0, 100, A))
ELSEWHERE = Attributes(A, (RouteTarget.parse("65000:9"),), pmsi=FLOODED.pmsi)


def rd(number: int) -> RouteDistinguisher:
    return RouteDistinguisher(number.to_bytes(8))


def on_mac(number: int) -> MacIp:
    return MacIp(A, ROUTED, rd(1), 0, Mac(bytes((2, 0)) + number.to_bytes(4)), 100, IP)


def imet(number: int, attributes: Attributes = FLOODED) -> Imet:
    return Imet(A, attributes, rd(number), 0, A)


def tell(leaf: Leaf, *routes: Route) -> None:
    announced = {b"%d" % number if isinstance(one, Imet) else one.key: one for number, one in enumerate(routes)}
    leaf.receive([Received((Announced(A, announced),))], 0.0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return one entry for each question whether a route may be imported."""
    found: list[object] = []

    def counted(function):
        return lambda *arguments: (found.append(arguments), function(*arguments))[1]

    monkeypatch.setattr(host, "verdicts", counted(host.verdicts))
    monkeypatch.setattr(flood, "may_import", counted(flood.may_import))
    return found


@pytest.mark.parametrize("count", [10, 1_000])
def test_a_host_address_on_many_macs_takes_as_many_judgements_as_on_few(calls: list[object], count: int) -> None:
    leaf = Leaf(config.parse(LEAF), 0.0)
    tell(leaf, *map(on_mac, range(count, 0, -1)))

    (row,) = leaf.judge(1.0).hosts[IP]

    assert (row.mac, len(calls)) == (on_mac(1).mac, 1)


def test_of_two_routes_that_differ_in_path_identifier_and_flags_one_wins_whichever_came_first() -> None:
    said = [structs.replace(on_mac(1), attributes=structs.replace(ROUTED, host_flags=flags)) for flags in (0, 1)]
    won = []
    for routes in (said, said[::-1]):
        leaf = Leaf(config.parse(LEAF), 0.0)
        for route in routes:
            path_id = bytes((0, 0, 0, route.attributes.host_flags))
            leaf.receive([Received((Announced(A, {route.key + path_id: route}),))], 0.0)
        won += leaf.judge(1.0).hosts[IP]

    assert won[0] == won[1]


@pytest.mark.parametrize("count", [10, 1_000])
def test_an_endpoint_of_many_routes_takes_as_many_judgements_as_of_few(calls: list[object], count: int) -> None:
    leaf = Leaf(config.parse(LEAF), 0.0)
    tell(leaf, *(imet(number, ELSEWHERE if number % 2 else FLOODED) for number in range(count, 0, -1)))

    intent = leaf.judge(1.0)

    assert [(row.vni, row.rd) for row in intent.floods[A]] == [(Vni(100), rd(2))]
    assert [one.rd for one in intent.refused_floods[A]] == [rd(number) for number in range(1, count + 1, 2)]
    assert len(calls) == 2
