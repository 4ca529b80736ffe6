"""What is said of MACs: shared by those of which the same is said, and their own where there is much of it."""

import random

import pytest

from vtep.addr import NO_SEGMENT, Ip, Mac, RouteDistinguisher, RouteTarget
from vtep.evpn import said as module
from vtep.evpn.attributes import Attributes
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.offers import Epoch, OwnOffers, host_path_name, split_key
from vtep.evpn.said import Said

PEERS = [Ip.parse(f"10.0.0.{number}") for number in (1, 2)]
MACS = [Mac.parse(f"02:00:00:00:00:0{number}") for number in (1, 2, 3)]
IPS = [None, *(Ip.parse(text) for text in ("172.16.0.1", "172.16.0.2", "172.16.0.3", "2001:db8::1"))]
RD = RouteDistinguisher.parse("65000:1")
ATTRIBUTES = {peer: Attributes(peer) for peer in PEERS}


class Told:
    """A table, and beside it the plain list of routes that it must amount to."""

    def __init__(self) -> None:
        self.said, self.epoch = Said(), Epoch()
        self.routes: dict[tuple[Ip, bytes], MacIp] = {}

    def put(self, route: MacIp, *, gone: bool = False) -> None:
        old = self.routes.pop((route.peer, route.key), None)
        new = None if gone else route
        if new is not None:
            self.routes[route.peer, route.key] = new
        if old is None and new is None:
            return
        if route.ip is not None:
            self.said.change_host(route.mac, route.ip, host_path_name(route.key), old, new, self.epoch)
            return
        (name, _), known = split_key(route.key), self.said.macs.get(route.mac)
        path = None if known is None else known.find(route.peer, name)
        self.said.replace([route.mac], known, path, new and self.said.path(self.epoch, route.peer, name, new))

    def of(self, mac: Mac) -> set[MacIp]:
        return {route for route in self.routes.values() if route.mac == mac}


@pytest.mark.parametrize("seed", range(20))
def test_what_is_said_is_what_the_routes_say_whatever_comes_and_goes(monkeypatch, seed: int) -> None:
    monkeypatch.setattr(module, "SHARED_MAX", 4)
    choose, told, own = random.Random(seed), Told(), 0
    for _ in range(300):
        peer, ip = choose.choice(PEERS), choose.choice(IPS)
        rd = RouteDistinguisher(choose.choice([1, 2]).to_bytes(8))
        route = MacIp(peer, ATTRIBUTES[peer], rd, 0, choose.choice(MACS), choose.choice([100, 200]), ip, NO_SEGMENT)
        told.put(route, gone=choose.random() < 0.5)

        for mac in MACS:
            expect, found = told.of(mac), told.said.routes_of(mac)
            known = told.said.macs.get(mac)
            assert (set(found), len(found)) == (expect, len(expect))
            assert [0 if known is None else known.count_of_peer(one) for one in PEERS] == [
                sum(route.peer == one for route in expect) for one in PEERS
            ]
            own += isinstance(known, OwnOffers)

    assert own


def test_macs_of_which_the_same_is_said_have_one_value_whatever_their_addresses_are() -> None:
    told, rd = Told(), RouteDistinguisher(8)
    for number, mac in enumerate(MACS):
        for ip in (None, IPS[1 + number]):
            told.put(MacIp(PEERS[0], ATTRIBUTES[PEERS[0]], rd, 0, mac, 100, ip))

    assert len({id(offers) for offers in told.said.offers_of(MACS)}) == 1
    assert told.said.addresses_of(MACS) == [(ip,) for ip in IPS[1:4]]


def test_of_routes_with_very_many_route_targets_nothing_stays_when_they_have_gone() -> None:
    """A peer may send 480 in each, and 8,192 that are remembered would take 300 MB."""
    told = Told()
    many = tuple(RouteTarget.parse(f"65000:{number}") for number in range(480))
    routes = [MacIp(PEERS[0], Attributes(PEERS[0], many), RD, 0, MACS[0], 100, ip) for ip in IPS[:2]]
    for route in routes:
        told.put(route)
        told.said.remember(told.said.macs[MACS[0]], "what follows")
    assert set(told.said.routes_of(MACS[0])) == set(routes)

    for route in routes:
        told.put(route, gone=True)

    assert (len(told.said.macs), told.said._paths, told.said._offers, len(told.said._judged)) == (0, {}, {}, 0)
