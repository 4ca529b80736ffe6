"""The times of the latest routes: what is kept, what is forgotten, and what counts as a change."""

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Ip, Mac
from vtep.evpn.ages import UNKNOWN, Age, Ages
from vtep.observe.received import Received

A, B = "10.0.0.1", "10.0.0.2"
ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"
HOST = "172.16.0.1"


@pytest.fixture
def rig():
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(A, B)
        yield rig


def announce(rig, at, vtep, *routes):
    rig.now = at
    rig.receive(rig.lines.announce(vtep, *routes))


def ages(rig, mac=ONE, peer=A):
    received = Received(rig.leaf)
    return {
        str(route.ip or "-"): received.age(Ip.parse(peer), route.key)
        for route in received.of_mac(Mac.parse(mac))
        if route.peer == Ip.parse(peer)
    }


def test_a_route_has_the_time_at_which_it_was_received(rig):
    announce(rig, 2000.0, A, Instance(A).mac(ONE), Instance(A).mac(TWO, ip=HOST))
    announce(rig, 2001.0, B, Instance(B).mac(ONE))
    assert ages(rig) == {"-": Age(2000.0)}
    assert ages(rig, ONE, B) == {"-": Age(2001.0)}
    assert ages(rig, TWO) == {HOST: Age(2000.0)}


@pytest.mark.parametrize("more", [{}, {"ip": HOST}], ids=["mac", "host"])
def test_the_same_again_is_no_change_and_another_content_is(rig, more):
    announce(rig, 2000.0, A, Instance(A).mac(ONE, **more))
    announce(rig, 2010.0, A, Instance(A).mac(ONE, **more))
    assert list(ages(rig).values()) == [Age(2000.0)]
    announce(rig, 2020.0, A, Instance(A).mac(ONE, seq=1, **more))
    assert list(ages(rig).values()) == [Age(2020.0)]


@pytest.mark.parametrize("more", [{}, {"ip": HOST}], ids=["mac", "host"])
def test_a_route_that_was_withdrawn_is_new_when_it_comes_again(rig, more):
    announce(rig, 2000.0, A, Instance(A).mac(ONE, **more))
    rig.now = 2010.0
    rig.receive(rig.lines.withdraw(A, Instance(A).mac(ONE, **more).nlri))
    announce(rig, 2020.0, A, Instance(A).mac(ONE, **more))
    assert list(ages(rig).values()) == [Age(2020.0)]


@pytest.mark.parametrize("more", [{}, {"ip": HOST}], ids=["mac", "host"])
def test_a_refresh_that_brings_the_same_route_leaves_its_time(rig, more):
    announce(rig, 2000.0, A, Instance(A).mac(ONE, **more))
    peer = rig.leaf.rib.peers[Ip.parse(A)]
    rig.leaf.rib._begin_refresh(peer, 2010.0, marked=False)
    announce(rig, 2011.0, A, Instance(A).mac(ONE, **more))
    rig.now = 2100.0
    rig.leaf.tick(rig.now)
    rig.judge()
    assert list(ages(rig).values()) == [Age(2000.0)]


def test_a_prefix_has_a_time_of_its_own_although_many_share_what_is_said(rig):
    one, two = (Instance(A, vni=4001).prefix(text) for text in ("192.168.1.0/24", "192.168.2.0/24"))
    announce(rig, 2000.0, A, one)
    announce(rig, 2010.0, A, one, two)
    received = Received(rig.leaf)
    assert [received.age(Ip.parse(A), route.key) for route in (one, two)] == [Age(2000.0), Age(2010.0)]


def test_nothing_is_known_of_a_route_that_a_peer_does_not_have(rig):
    announce(rig, 2000.0, A, Instance(A).mac(ONE))
    (route,) = Received(rig.leaf).of_mac(Mac.parse(ONE))
    assert Received(rig.leaf).age(Ip.parse(B), route.key) == UNKNOWN
    assert Received(rig.leaf).age(Ip.parse(A), route.key + bytes(4)) == UNKNOWN


def mac(number):
    return Mac(b"\x02" + number.to_bytes(5))


def key(number):
    return b"\x02" + bytes(12) + b"\x30" + mac(number) + b"\x00"


def test_the_oldest_half_is_forgotten_and_of_the_rest_it_is_known_before_when():
    found = Ages(half_max=12)
    name = key(0)[:14] + key(0)[20:]
    for number in range(20):
        found.note_macs(Ip.parse(A), name, [mac(number)], float(number))
    assert found.of(Ip.parse(A), key(0)) == Age(before=7.0)  # a dictionary counts as four entries
    assert [found.of(Ip.parse(A), key(number)).since for number in (7, 8, 15, 19)] == [None, 8.0, 15.0, 19.0]
    assert found.of(Ip.parse(A), key(7)) == Age(before=7.0)


def test_before_anything_is_forgotten_nothing_is_older_than_what_is_known():
    found = Ages(half_max=12)
    found.note(Ip.parse(A), b"\x03", 1.0)
    assert found.of(Ip.parse(A), b"\x03") == Age(1.0)
    assert found.of(Ip.parse(A), b"\x04") == UNKNOWN
    for number in range(10):
        found.note(Ip.parse(A), b"\x05" + bytes((number,)), 2.0)
    assert found.of(Ip.parse(A), b"\x04") == UNKNOWN
    assert found.of(Ip.parse(A), b"\x03") == Age(1.0)


def test_a_route_that_changes_all_the_time_takes_one_place():
    found = Ages(half_max=12)
    found.note(Ip.parse(A), b"\x03", 1.0)
    for number in range(100):
        found.note(Ip.parse(A), b"\x04", float(number))
    assert found.of(Ip.parse(A), b"\x03") == Age(1.0)
    assert found.of(Ip.parse(A), b"\x04") == Age(99.0)


def test_what_a_peer_can_make_it_keep_is_bounded():
    found = Ages(half_max=1000)
    for number in range(20_000):
        found.note_macs(Ip.parse(A), b"%d" % number, [mac(number)], 1.0)
    assert len(found._newer) + len(found._older) <= 400
