"""Which routes a new neighbor is given, and how they share ExaBGP's loop; tests/system/test_announce.py has the real one."""

from collections import deque
from types import SimpleNamespace

import pytest

from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.advertise import MacAdvertisement, MacRoute, Withdrawal
from vtep.feed.exabgp.new_neighbors import Announced, Filling, For, Means

RD = RouteDistinguisher.parse("10.0.0.99:100")
VTEP = Ip.parse("10.0.0.99")
ALL, ONE, OTHER_PROCESS = For("feed"), For("feed", (("neighbor 10.0.0.1",),)), For("other")


def route(number):
    return MacAdvertisement(MacRoute(RD, Mac(bytes((2, 0, 0, 0, 0, number)))), VTEP, Vni(100))


def note(announced, whom, command):
    announced.note(whom, command.route.key, None if isinstance(command, Withdrawal) else command)


class Loop:
    """ExaBGP's reactor as far as it is used: a queue, the peers of a process, and whether a peer speaks."""

    def __init__(self, speaking=False):
        self.asynchronous = SimpleNamespace(LIMIT=3, _async=deque(), schedule=self._schedule)
        self.given = []
        self.means = Means(
            lambda _outgoing, command: self.given.append(command),
            lambda names, chosen: [name for name in names if not chosen or name in chosen[0][0]],
            lambda _: speaking,
        )
        self.withdrawn = []
        self.had = []

    def _schedule(self, _uid, _command, entry):
        self.asynchronous._async.append(entry)

    def peers(self, service):
        return ["10.0.0.2"] if service == "feed" else []

    def neighbor(self):
        outgoing = SimpleNamespace(
            families=[], cached_changes=lambda _: iter(self.had), del_from_rib=self.withdrawn.append
        )
        return SimpleNamespace(name=lambda: "10.0.0.2", rib=SimpleNamespace(outgoing=outgoing))

    def fill(self, announced):
        return Filling(self, self.neighbor(), announced, self.means)


@pytest.fixture
def announced():
    made = Announced()
    for number in (1, 2, 3):
        note(made, ALL, route(number))
    return made


def test_a_neighbor_is_given_the_routes_for_all_and_none_of_another_neighbor_or_process(announced):
    note(announced, ONE, route(4))
    note(announced, OTHER_PROCESS, route(5))
    loop = Loop()

    list(loop.fill(announced))

    assert loop.given == [route(1), route(2), route(3)]


def test_a_withdrawal_for_all_ends_what_was_announced_for_some(announced):
    note(announced, ONE, route(4))
    note(announced, ALL, Withdrawal(route(4).route))
    note(announced, ALL, Withdrawal(route(2).route))

    assert announced.at(ONE, route(4).route.key) is None
    assert [announced.at(ALL, route(number).route.key) for number in (1, 2)] == [route(1), None]


def test_a_withdrawal_for_some_leaves_what_holds_for_all(announced):
    note(announced, ONE, Withdrawal(route(1).route))

    assert announced.at(ALL, route(1).route.key) == route(1)


def test_a_route_that_is_withdrawn_meanwhile_is_not_given(announced):
    loop = Loop()
    filling = loop.fill(announced)
    next(filling)
    note(announced, ALL, Withdrawal(route(2).route))

    list(filling)

    assert loop.given == [route(1), route(3)]


def test_while_a_peer_speaks_a_turn_of_the_loop_is_for_one_route(announced):
    loop = Loop(speaking=True)
    filling = loop.fill(announced)

    for _ in range(loop.asynchronous.LIMIT):
        next(filling)

    assert loop.given == [route(1)]


def test_commands_that_wait_have_their_turn_after_each_route(announced):
    loop = Loop()
    filling = loop.fill(announced)
    loop.asynchronous._async.append("a command")

    with pytest.raises(StopIteration):
        next(filling)

    assert loop.given == [route(1)]
    assert list(loop.asynchronous._async) == ["a command", filling]


def test_what_the_neighbor_had_before_and_holds_no_longer_is_withdrawn_and_routes_of_others_stay(announced):
    loop = Loop()
    ours = [SimpleNamespace(nlri=SimpleNamespace(key=route(number).route.key)) for number in (3, 9)]
    foreign = SimpleNamespace(nlri=SimpleNamespace())
    loop.had = [*ours, foreign]

    loop.fill(announced)

    assert loop.withdrawn == [ours[1]]
