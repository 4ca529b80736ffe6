"""Very many routes of one host: the same routes in the same order as in a tuple, whatever comes and goes."""

import random

import pytest

from vtep.addr import Ip
from vtep.evpn import crowd
from vtep.evpn.crowd import Crowd, all_of, replaced

A, B = Ip.parse("10.0.0.1"), Ip.parse("10.0.0.2")


class ARoute:
    def __init__(self, peer: Ip) -> None:
        self.peer = peer


@pytest.mark.parametrize("seed", range(20))
def test_routes_that_come_and_go_are_those_of_a_plain_list(monkeypatch, seed: int) -> None:
    monkeypatch.setattr(crowd, "MOST", 8)
    monkeypatch.setattr(crowd, "LEAST", 4)
    choose, expect, routes = random.Random(seed), [], ()
    for _ in range(200):
        old = choose.choice([None, *expect])
        new = choose.choice([None, ARoute(choose.choice([A, B]))])
        expect = [route for route in expect if route is not old] + ([] if new is None else [new])

        routes = replaced(routes, old, new)

        assert list(all_of(routes)) == expect


def test_many_routes_are_a_crowd_until_half_of_them_have_gone() -> None:
    several = [ARoute(A) for _ in range(crowd.MOST + 1)]
    routes = ()
    kinds = []
    for route in several:
        routes = replaced(routes, None, route)
        kinds.append(type(routes))
    for route in several:
        routes = replaced(routes, route, None)
        kinds.append(type(routes))

    assert kinds.index(Crowd) == crowd.MOST
    assert kinds.count(Crowd) == 1 + crowd.MOST + 1 - crowd.LEAST
    assert routes == ()
