"""A change takes as many steps where there are 10,000 routes as where there are ten."""

from collections.abc import Callable

import pytest

from tests.lab.steps import Steps
from vtep.addr import Ip, Mac, RouteDistinguisher, RouteTarget
from vtep.config import file as config
from vtep.evpn.attributes import PMSI_INGRESS_REPLICATION, Attributes, Pmsi
from vtep.evpn.event import Announced, Received, Withdrawn
from vtep.evpn.imet import Imet
from vtep.evpn.keys import imet_key
from vtep.evpn.mac_ip import MacIp
from vtep.projection.leaf import Leaf

LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
import_rt = ["65000:100"]
"""
PEER = A = Ip.parse("10.0.0.1")
B = Ip.parse("10.0.0.2")
TARGETS = (RouteTarget.parse("65000:100"),)
AT = {vtep: Attributes(vtep, TARGETS) for vtep in (A, B)}
FLOODS = {vtep: Attributes(vtep, TARGETS, pmsi=Pmsi(PMSI_INGRESS_REPLICATION, 0, 100, A)) for vtep in (A, B)}
MANY = 10_000
WORK = 8_192
"""As in the daemon, where what has very many routes waits for its turn."""
Make = Callable[[int, Ip], MacIp | Imet]


def rd(number: int) -> RouteDistinguisher:
    return RouteDistinguisher(number.to_bytes(8))


def mac(number: int) -> Mac:
    return Mac(bytes((2, 0)) + number.to_bytes(4))


def host(number: int) -> Ip:
    return Ip((0x0A010000 + number).to_bytes(4))


def host_of_one_mac(number: int, vtep: Ip) -> MacIp:
    return MacIp(PEER, AT[vtep], rd(1), 0, mac(1), 100, host(number))


def rd_of_one_mac(number: int, vtep: Ip) -> MacIp:
    return MacIp(PEER, AT[vtep], rd(number), 0, mac(1), 100)


def mac_of_one_host(number: int, vtep: Ip) -> MacIp:
    return MacIp(PEER, AT[vtep], rd(1), 0, mac(number), 100, host(1))


def rd_of_one_endpoint(number: int, vtep: Ip) -> Imet:
    return Imet(PEER, FLOODS[vtep], rd(number), 0, A)


def key(route: MacIp | Imet) -> bytes:
    return route.key if isinstance(route, MacIp) else imet_key(route.rd, route.tag, route.originator)


class Told:
    """A leaf to which routes are told. It judges until nothing waits."""

    def __init__(self, make: Make, count: int) -> None:
        self.now = 0.0
        self.leaf = Leaf(config.parse(LEAF), 0.0)
        self.announce(*(make(number, A) for number in range(10, 10 + count)))

    def announce(self, *routes: MacIp | Imet) -> None:
        self._take(Announced(PEER, {key(route): route for route in routes}))

    def withdraw(self, *routes: MacIp | Imet) -> None:
        self._take(Withdrawn(PEER, [key(route) for route in routes]))

    def _take(self, event: Announced | Withdrawn) -> None:
        self.leaf.receive([Received((event,))], self.now)
        self.leaf.judge(self.now, WORK)
        while self.leaf.unjudged or self.leaf.rib.index.due is not None:
            self.now += 100.0
            self.leaf.judge(self.now, WORK)


def changes(told: Told, make: Make, count: int) -> list[int]:
    """Return the steps of changes of the first route, of the last one, and of one more."""
    taken = []
    for change in (
        lambda: told.announce(make(10, B)),
        lambda: told.announce(make(10, A)),
        lambda: told.withdraw(make(10, A)),
        lambda: told.announce(make(10, A)),
        lambda: told.announce(make(10 + count, A)),
        lambda: told.withdraw(make(10 + count, A)),
    ):
        with Steps() as steps:
            change()
        taken.append(steps.taken)
    return taken


@pytest.mark.parametrize("make", [host_of_one_mac, rd_of_one_mac, mac_of_one_host, rd_of_one_endpoint])
def test_a_change_takes_at_most_twice_the_steps_with_a_thousand_times_the_routes(make: Make) -> None:
    few, many = (changes(Told(make, count), make, count) for count in (10, MANY))

    assert [after <= 2 * before for before, after in zip(few, many, strict=True)] == [True] * len(few), (few, many)
