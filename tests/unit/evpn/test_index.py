"""Which routes are found under which MAC, address, endpoint and segment, and what must be judged again after a change."""

import pytest
from msgspec.structs import replace

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget, Vni
from vtep.evpn.attributes import PMSI_INGRESS_REPLICATION, Attributes, Pmsi
from vtep.evpn.crowd import MOST, Crowd
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.gathered import Gathered
from vtep.evpn.imet import Imet
from vtep.evpn.index import (
    COMPARED_AT_ONCE,
    REST_S_PER_KIND,
    REST_S_PER_ROUTE,
    STEPS_PER_ANSWER,
    WORK_OF_NEW,
    WORK_OF_RIVALS,
    Index,
)
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.evpn.offers import Epoch
from vtep.evpn.prefix import IpPrefix, prefix_of_key, shared
from vtep.evpn.segment import Segment
from vtep.evpn.station import LocalClaim, Station

A, B, PEER = (Ip.parse(text) for text in ("10.0.0.1", "10.0.0.2", "10.9.9.9"))
RD = RouteDistinguisher.parse("65000:1")
M = Mac.parse("02:00:00:00:00:01")
IP1 = Ip.parse("172.16.0.1")
ESI = Esi(bytes((3, *([0] * 8), 1)))
KEY, OTHER_KEY = b"one", b"another"


def mac(ip: Ip | None = None, esi: Esi = NO_SEGMENT) -> MacIp:
    return MacIp(PEER, Attributes(A), RD, 0, M, 100, ip, esi)


def imet(endpoint: Ip | None = A, *, pmsi: bool = True) -> Imet:
    found = Pmsi(PMSI_INGRESS_REPLICATION, 0, 100, endpoint) if pmsi else None
    return Imet(PEER, Attributes(B, pmsi=found), RD, 0, A)


def ad() -> EthernetAd:
    return EthernetAd(PEER, Attributes(A), RD, ESI, 0, 100)


class Filled(Index):
    """An index with the epoch of its routes."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = Epoch()


def put(index: Filled, key: bytes, old: Route | None, new: Route | None, epoch: Epoch | None = None) -> None:
    """Replace a route as the RIB does. Of a Type-2 route, the key here is a path identifier behind its own."""
    either = new or old
    if isinstance(either, IpPrefix):
        key = b"\x05" + either.rd + bytes(4) + bytes((either.length,)) + either.network + key
        old = old and index.epoch.routes[key]
    if not isinstance(either, MacIp):
        index.put(key, old and (old, index.epoch), new and (new, index.epoch if epoch is None else epoch))
    elif isinstance(old, MacIp) and new is not None and old.key != new.key:
        put(index, key, old, None)
        put(index, key, None, new)
    elif either.ip is not None:
        index.put(either.key + key, old and (old, index.epoch), new and (new, index.epoch if epoch is None else epoch))
    else:
        (group,), said = Gathered(PEER, [(either.key + key, either)]).groups, index.said.macs.get(either.mac)
        path = None if old is None else said.find(PEER, group.name)
        index.replace(
            [either.mac],
            said,
            path,
            None if new is None else index.said.path(index.epoch if epoch is None else epoch, PEER, group.name, new),
        )


@pytest.fixture
def index() -> Filled:
    return Filled()


def a_hundred_judged(index: Filled) -> list[Mac]:
    macs = [Mac(bytes((2, 0, 0, 0, 0, number))) for number in range(100)]
    for one in macs:
        put(index, KEY, None, replace(mac(), mac=one))
    index.take_changed()
    return macs


def changed(index: Filled) -> tuple[set, set, set]:
    found = index.take_changed()
    return found.macs, found.hosts, found.endpoints


def imets_of(index: Index, endpoint: Ip) -> tuple[Imet, ...]:
    return tuple(imet for kind in index.kinds_of_endpoint(endpoint) for imet in kind)


def test_nothing_has_changed_at_first_and_after_it_was_taken(index: Filled) -> None:
    assert not index.take_changed()
    put(index, KEY, None, mac())
    assert index.take_changed()
    assert not index.take_changed()


def test_of_much_work_a_part_is_taken_at_a_time_until_nothing_is_left(index: Filled) -> None:
    macs = [Mac(bytes((2, 0, 0, 0, 0, number))) for number in range(100)]
    for one in macs:
        route = replace(mac(IP1), mac=one)
        put(index, bytes(one), None, route)
        put(index, bytes(one), route, None)
    put(index, KEY, None, imet())
    all_work = index.work

    taken = []
    while index.work:
        taken.append(index.take_changed(all_work / 10))

    assert [len(part.macs) for part in taken[:3]] == [10, 10, 10]
    assert [part.endpoints for part in taken] == [{A}] + [set()] * (len(taken) - 1)
    assert (sorted(one for part in taken for one in part.macs), bool(index.take_changed())) == (macs, False)


def test_one_mac_that_changes_very_often_is_taken_once(index: Filled) -> None:
    for _ in range(100):
        put(index, KEY, None, mac())
        put(index, KEY, index.routes_of(M)[0], None)

    assert (index.take_changed(10).macs, index.work) == ({M}, 0)


def test_routes_that_mean_something_else_are_work(index: Filled) -> None:
    put(index, KEY, None, mac())
    index.take_changed()

    index.mark_stale(index.epoch)

    assert index.work > 0


def test_routes_that_leave_do_so_a_part_at_a_time(index: Filled) -> None:
    macs = a_hundred_judged(index)

    index.leave(PEER, index.epoch)
    all_work, left, judged = index.work, [], list[Mac]()
    while index.work:
        judged += index.take_changed(all_work / 10).macs
        left.append(sum(len(index.routes_of(one)) for one in macs))

    assert (left, index.routes[MacIp]) == ([*range(90, -1, -10)], 0)
    assert sorted(judged) == macs


def test_very_many_routes_that_are_stale_and_name_no_mac_are_no_work(index: Filled) -> None:
    for number in range(1_000):
        put(index, number.to_bytes(6), None, IpPrefix(PEER, Attributes(A), RD, 0, number.to_bytes(4), 32, 100))
    index.take_changed()

    index.mark_stale(index.epoch)

    assert (index.work, bool(index.take_changed(4000))) == (0, False)


def test_routes_that_leave_as_soon_as_they_are_stale_are_judged_once(index: Filled) -> None:
    macs = a_hundred_judged(index)

    index.mark_stale(index.epoch)
    index.leave(PEER, index.epoch)
    judged = list[Mac]()
    while index.work:
        judged += index.take_changed(40).macs

    assert sorted(judged) == macs


def test_many_routes_that_are_stale_are_named_a_part_at_a_time_and_in_the_end_all(index: Filled) -> None:
    macs = [Mac(number.to_bytes(6)) for number in range(10_000)]

    for one in macs:
        put(index, KEY, None, replace(mac(), mac=one))
    index.take_changed()
    index.mark_stale(index.epoch)
    named = [index.take_changed(1).macs]
    named_so_far = len(index._changed.macs)
    while index.work:
        named.append(index.take_changed(10_000).macs)

    assert named_so_far < 1000
    assert set().union(*named) == set(macs)


def test_a_route_that_comes_again_before_it_has_left_stays(index: Filled) -> None:
    old, new = mac(), replace(mac(), label=200)
    put(index, KEY, None, old)

    index.leave(PEER, index.epoch)
    put(index, KEY, old, new, epoch=Epoch())
    index.take_changed()

    assert (index.routes_of(M), index.routes[MacIp], index.work) == ((new,), 1, 0)


def test_a_route_with_an_address_is_found_under_its_mac_and_under_the_address(index: Filled) -> None:
    route = mac(IP1)

    put(index, KEY, None, route)

    assert (index.routes_of(M), index.routes_of_host(IP1)) == ((route,), (route,))
    assert changed(index) == ({M}, {IP1}, set())


def test_a_route_without_an_address_is_not_under_any(index: Filled) -> None:
    put(index, KEY, None, mac())

    assert changed(index) == ({M}, set(), set())


def test_a_withdrawn_route_is_gone_everywhere_and_another_stays(index: Filled) -> None:
    first, second = mac(IP1), mac(IP1)
    put(index, KEY, None, first)
    put(index, OTHER_KEY, None, second)

    put(index, KEY, first, None)
    assert (index.routes_of(M), index.routes_of_host(IP1)) == ((second,), (second,))
    put(index, OTHER_KEY, second, None)

    assert (index.routes_of(M), index.routes_of_host(IP1)) == ((), ())
    assert not index.everything()


@pytest.mark.parametrize(
    ("route", "endpoint"), [(imet(A), A), (imet(None), B), (imet(pmsi=False), B)], ids=["endpoint", "none", "no PMSI"]
)
def test_a_type_3_route_is_found_under_its_endpoint_or_else_its_next_hop(index: Filled, route, endpoint) -> None:
    put(index, KEY, None, route)

    assert (imets_of(index, endpoint), changed(index)) == ((route,), (set(), set(), {endpoint}))


def test_a_type_3_route_whose_endpoint_changes_is_judged_at_both(index: Filled) -> None:
    before, after = imet(A), imet(B)
    put(index, KEY, None, before)
    index.take_changed()

    put(index, KEY, before, after)

    assert (imets_of(index, A), imets_of(index, B), changed(index)) == ((), (after,), (set(), set(), {A, B}))


def test_a_vtep_with_very_many_type_3_routes_may_change_its_endpoint(index: Filled) -> None:
    before, after = ([replace(imet(at), rd=RouteDistinguisher(vni.to_bytes(8))) for vni in range(100)] for at in (A, B))
    for vni, route in enumerate(before):
        put(index, bytes((vni,)), None, route)

    for vni, (old, new) in enumerate(zip(before, after, strict=True)):
        put(index, bytes((vni,)), old, new)

    assert (imets_of(index, A), imets_of(index, B)) == ((), tuple(after))


def test_a_type_3_route_that_goes_is_judged_once_more(index: Filled) -> None:
    route = imet()
    put(index, KEY, None, route)
    index.take_changed()

    put(index, KEY, route, None)

    assert (imets_of(index, A), changed(index)) == ((), (set(), set(), {A}))


def test_a_segments_route_concerns_the_macs_on_it(index: Filled) -> None:
    on_it = mac(esi=ESI)
    put(index, KEY, None, on_it)
    index.take_changed()

    route = ad()
    put(index, OTHER_KEY, None, route)
    assert (list(index.ads_at(ESI, 0, 100)), changed(index)) == ([route], ({M}, set(), set()))
    put(index, KEY, on_it, mac())
    index.take_changed()
    put(index, OTHER_KEY, route, replace(route, label=200))
    assert changed(index) == (set(), set(), set())
    put(index, OTHER_KEY, next(iter(index.ads_at(ESI, 0, 200))), None)

    assert list(index.ads_at(ESI, 0, 100)) == []


def test_a_type_4_route_is_found_under_its_segment_until_it_goes(index: Filled) -> None:
    first, second = Segment(PEER, Attributes(A), RD, ESI, A), Segment(PEER, Attributes(B), RD, ESI, B)
    put(index, KEY, None, first)
    put(index, OTHER_KEY, None, second)
    assert index.members_of(ESI) == (first, second)
    assert index.everything().segments == index.take_changed().segments == {ESI}

    put(index, KEY, first, None)
    assert (index.members_of(ESI), index.take_changed().segments) == ((second,), {ESI})
    put(index, OTHER_KEY, second, None)

    assert (index.members_of(ESI), index.everything().segments) == ((), set())
    assert index.take_changed()


def test_a_type_5_route_is_found_under_its_prefix_until_it_goes(index: Filled) -> None:
    route, default = IpPrefix(PEER, Attributes(A), RD, 0, bytes(4), 0, 100), Prefix.parse("0.0.0.0/0")
    put(index, KEY, None, route)
    assert index.prefixes.of(default) == (shared(route),)
    assert index.everything().prefixes == index.take_changed().prefixes == {default}

    put(index, KEY, route, None)
    assert (index.prefixes.of(default), index.take_changed().prefixes) == ((), {default})
    assert index.everything().prefixes == set()


def type_5(text: str, label: int = 100) -> IpPrefix:
    found = Prefix.parse(text)
    return IpPrefix(PEER, Attributes(A), RD, 0, found.network, found.length, label)


def test_prefixes_of_which_the_same_is_said_share_one_value_until_the_last_is_gone(index: Filled) -> None:
    nets = [f"10.0.{number}.0/24" for number in range(3)]
    for net in nets:
        put(index, b"", None, type_5(net))
    first, second, third = (index.prefixes.of(Prefix.parse(net)) for net in nets)
    assert first is second is third
    assert {*map(prefix_of_key, index.epoch.routes)} == {*map(Prefix.parse, nets)}
    index.take_changed()

    put(index, b"", type_5(nets[0]), type_5(nets[0]))  # the same again: nothing to judge, and nothing is counted twice
    assert not index.take_changed()
    put(index, b"", type_5(nets[1]), type_5(nets[1], label=200))
    assert index.take_changed().prefixes == {Prefix.parse(nets[1])}
    for net, label in zip(nets, (100, 200, 100), strict=True):
        put(index, b"", type_5(net, label), None)
    assert (index.prefixes._values, index.prefixes._by_id, list(index.prefixes)) == ({}, {}, [])


def test_two_routes_to_one_prefix_are_two_even_if_they_say_the_same(index: Filled) -> None:
    """Their keys differ in bits beyond the length, or in the path identifier."""
    prefix, found = Prefix.parse("10.0.0.0/24"), type_5("10.0.0.0/24")
    beyond = replace(found, network=bytes((10, 0, 0, 9)))
    for key, route in ((b"", found), (b"", beyond), (b"\0\0\0\1", found)):
        put(index, key, None, route)
    assert index.prefixes.of(prefix) == (shared(found),) * 3

    for left, (key, route) in enumerate(((b"", found), (b"\0\0\0\1", found), (b"", beyond))):
        assert len(index.prefixes.of(prefix)) == 3 - left
        put(index, key, route, None)
    assert (index.prefixes.of(prefix), index.prefixes._values) == ((), {})


def test_very_many_routes_to_a_prefix_are_not_gone_through_at_each_change(index: Filled, monkeypatch) -> None:
    monkeypatch.setattr(Crowd, "all", None)
    for net in ("10.0.0.0/24", "10.0.1.0/24"):
        for number in range(2 * MOST):
            put(index, number.to_bytes(4), None, replace(type_5(net), rd=RouteDistinguisher.parse(f"65000:{number}")))
    put(index, bytes(5), None, replace(type_5("10.0.1.0/24"), rd=RouteDistinguisher.parse("65000:7")))
    monkeypatch.undo()

    assert len({*map(id, index.prefixes.of(Prefix.parse("10.0.1.0/24")))}) == 2 * MOST + 1


def test_no_set_is_kept_of_values_with_long_attributes(index: Filled) -> None:
    targets = tuple(RouteTarget.parse(f"65000:{number}") for number in range(1000))
    for number, one in enumerate(
        (type_5("10.0.0.0/24"), replace(type_5("10.0.0.0/24"), attributes=Attributes(A, targets)))
    ):
        put(index, number.to_bytes(4), None, one)
    assert index.prefixes._sets == {}


def test_a_host_with_two_labels_is_a_prefix_as_long_as_it_has_them(index: Filled) -> None:
    host, plain = (
        MacIp(PEER, Attributes(A), RD, 0, M, 100, Ip.parse("192.0.2.1"), label2=label) for label in (4001, None)
    )
    prefix = Prefix.parse("192.0.2.1/32")
    put(index, KEY, None, host)
    assert (index.prefixes.of(prefix), index.take_changed().prefixes) == ((host,), {prefix})

    put(index, KEY, host, plain)
    assert (index.prefixes.of(prefix), index.take_changed().prefixes) == ((), {prefix})


def test_prefixes_are_searched_for_a_mac_of_ours_only_if_a_route_names_it(index: Filled) -> None:
    """Our own MACs change with each device of a virtual machine, and there may be a million prefixes."""
    router = Mac.parse("02:00:00:00:00:aa")
    route = IpPrefix(PEER, Attributes(A, router_mac=router), RD, 0, bytes(4), 0, 100)
    put(index, KEY, None, route)
    other = replace(route)
    put(index, OTHER_KEY, None, other)
    put(index, OTHER_KEY, other, None)
    index.take_changed()
    searched: list[Prefix] = []
    routes_of = index.prefixes.of
    index.prefixes.of = lambda prefix: searched.append(prefix) or routes_of(prefix)

    index.mark_router_macs(frozenset({M}))
    assert (index.take_changed().prefixes, searched) == (set(), [])
    index.mark_router_macs(frozenset({M, router}))
    assert index.take_changed().prefixes == {Prefix.parse("0.0.0.0/0")}
    put(index, KEY, route, None)
    index.take_changed()

    index.mark_router_macs(frozenset({router}))
    assert not index.take_changed()


def test_what_is_stale_is_judged_again(index: Filled) -> None:
    for key, route in ((KEY, mac(IP1)), (OTHER_KEY, imet()), (b"a third", ad())):
        put(index, key, None, route)
    index.take_changed()
    index.mark_stale(index.epoch)

    assert changed(index) == ({M}, set(), set())


def test_work_grows_with_what_changed_most_where_routes_compete_and_ends_when_taken(index: Filled) -> None:
    one = mac()
    other = replace(one, rd=RouteDistinguisher.parse("65000:2"))
    said_of_another(index, {KEY: one, OTHER_KEY: other})
    before = index.work
    put(index, KEY, None, one)
    alone = index.work
    put(index, OTHER_KEY, None, other)
    competing = index.work - alone
    index.take_changed()

    assert (before, alone, index.work) == (0, 1, 0)
    assert competing > alone


def said_of_another(index: Filled, routes: dict[bytes, MacIp]) -> None:
    """Have the same said of another MAC, so that it is not judged for the first time."""
    for key, route in routes.items():
        put(index, key, None, replace(route, mac=Mac(bytes((2, 0, 0, 0, 9, 9)))))
    index.take_changed()


def test_macs_unlike_others_are_more_work_so_that_fewer_are_taken_at_a_time(index: Filled) -> None:
    macs, route = [Mac(bytes((2, 0, 0, 0, 1, number))) for number in range(100)], mac()
    for one in macs:
        put(index, KEY, None, replace(route, mac=one))
    alike = index.work
    index.take_changed()

    for number, one in enumerate(macs):
        put(index, KEY, index.routes_of(one)[0], replace(route, mac=one, label=number))
    all_work, part = index.work, index.take_changed(100)

    assert (alike, all_work) == (len(macs) + WORK_OF_NEW, len(macs) * (WORK_OF_RIVALS + WORK_OF_NEW))
    assert len(part.macs) == len(macs) * 100 // all_work


def test_a_host_address_is_work_as_well(index: Filled) -> None:
    one = mac()
    said_of_another(index, {KEY: one})
    put(index, KEY, None, one)
    alone = index.work
    put(index, OTHER_KEY, None, replace(mac(IP1), mac=Mac(bytes((2, 0, 0, 0, 0, 9)))))

    assert index.work - alone > alone


def test_the_routes_of_a_mac_are_found_whether_it_has_none_one_or_several(index: Filled) -> None:
    one, other = mac(), replace(mac(), rd=RouteDistinguisher.parse("65000:2"))

    found = [index.routes_of(M)]
    for key, old, new in ((KEY, None, one), (OTHER_KEY, None, other), (KEY, one, None), (OTHER_KEY, other, None)):
        put(index, key, old, new)
        found.append(index.routes_of(M))

    assert found == [(), (one,), (one, other), (other,), ()]


def local_claim(*hosts: Ip, vni: int = 100) -> LocalClaim:
    return LocalClaim(Station(Vni(vni), M, "swp1", hosts=frozenset(hosts)))


def test_a_station_is_found_under_its_mac_and_its_addresses_and_nowhere_once_it_left(index: Filled) -> None:
    other = Ip.parse("172.16.0.2")
    first, second = local_claim(IP1), local_claim(other)

    index.put_local_claim(None, first)
    there = (dict(index.local_claims[M]), set(index.homes_of(IP1)), changed(index))
    index.put_local_claim(first, second)
    moved = (dict(index.local_claims[M]), set(index.homes_of(IP1)), set(index.homes_of(other)))
    index.put_local_claim(second, None)

    assert there == ({100: first}, {(100, M)}, ({M}, set(), set()))
    assert moved == ({100: second}, set(), {(100, M)})
    assert (index.local_claims, set(index.homes_of(other))) == ({}, set())


def test_a_station_of_one_vni_leaves_that_of_another(index: Filled) -> None:
    here, elsewhere = local_claim(IP1), local_claim(IP1, vni=200)
    index.put_local_claim(None, here)
    index.put_local_claim(None, elsewhere)

    index.put_local_claim(here, None)

    assert (index.local_claims, set(index.homes_of(IP1))) == ({M: {200: elsewhere}}, {(200, M)})


def test_a_station_that_lost_is_not_judged_again_for_that(index: Filled) -> None:
    index.put_local_claim(None, local_claim())
    index.take_changed()

    index.lose_local_claim(index.local_claims[M][Vni(100)])

    assert (index.local_claims[M][Vni(100)].lost, changed(index)) == (True, (set(), set(), set()))


# A MAC with very many routes


def crowd(index: Filled, one: Mac, count: int = MOST + 1, first: int = 0) -> list[MacIp]:
    routes = [replace(mac(), mac=one, tag=tag) for tag in range(first, first + count)]
    for route in routes:
        put(index, route.key, None, route)
    return routes


OTHER = Mac.parse("02:00:00:00:00:02")
THIRD = Mac.parse("02:00:00:00:00:03")
REST_S = REST_S_PER_KIND * (MOST + 1)


def test_a_mac_with_very_many_routes_waits_for_its_turn_and_the_others_do_not(index):
    crowd(index, M)
    crowd(index, OTHER)
    put(index, KEY, None, replace(mac(), mac=THIRD))

    first = index.take_changed(10_000, 1.0).macs
    second = index.take_changed(10_000, 1.0).macs
    due = index.due
    third = index.take_changed(10_000, 1.0 + REST_S).macs

    assert (len(first), len(third), first | third) == (2, 1, {M, OTHER, THIRD})
    assert (THIRD in first, second, due) == (True, set(), 1.0 + REST_S)
    assert (index.due, index.work) == (None, 0)


def test_a_mac_that_changes_all_the_time_keeps_no_other_from_its_turn(index):
    changing = crowd(index, M)[0]
    crowd(index, OTHER)
    taken = []
    for turn in range(4):
        changed = replace(changing, label=turn)
        put(index, changing.key, changing, changed)
        changing = changed
        taken.append(index.take_changed(10_000, turn * REST_S).macs)

    assert taken == [{M}, {OTHER}, {M}, {M}] or taken == [{OTHER}, {M}, {M}, {M}]


def test_taking_everything_that_changed_takes_the_crowds_as_well(index):
    crowd(index, M)
    crowd(index, OTHER)
    first = index.take_changed(10_000, 1.0).macs

    assert index.take_changed().macs == {M, OTHER} - first
    assert index.due is None


def test_a_host_with_very_many_routes_waits_for_its_turn(index):
    for number in range(MOST + 1):
        route = replace(mac(IP1), mac=Mac(bytes((2, 0, 0, 1, number >> 8, number & 255))))
        put(index, route.key, None, route)
    put(index, KEY, None, mac(Ip.parse("172.16.0.2")))
    index.take_changed(10_000, 1.0)
    put(index, OTHER_KEY, None, replace(mac(IP1), mac=OTHER))

    assert (index.take_changed(10_000, 1.0).hosts, index.take_changed(10_000, 1.0 + 2 * REST_S).hosts) == (set(), {IP1})


def test_a_mac_with_very_many_routes_of_one_kind_does_not_wait(index):
    """Routes that differ in name only are judged once."""
    attributes = Attributes(A)
    for number in range(MOST + 1):
        route = replace(mac(), attributes=attributes, rd=RouteDistinguisher(number.to_bytes(8)))
        put(index, route.key, None, route)
    index.take_changed(10_000, 1.0)
    put(index, KEY, None, mac(IP1))

    assert index.take_changed(10_000, 1.0).macs == {M}


def test_a_mac_on_a_segment_with_very_many_routes_of_one_kind_waits_for_its_turn(index):
    """If the segment is ours, each of its host addresses is a row."""
    attributes = Attributes(A)
    for number in range(MOST + 1):
        route = replace(mac(esi=ESI), attributes=attributes, rd=RouteDistinguisher(number.to_bytes(8)))
        put(index, number.to_bytes(8), None, route)
    index.take_changed(10_000, 1.0)
    put(index, KEY, None, mac())

    rest_s = REST_S_PER_ROUTE * (MOST + 1)
    assert index.take_changed(10_000, 1.0 + rest_s - 1e-6).macs == set()
    assert index.take_changed(10_000, 1.0 + rest_s).macs == {M}


def test_routes_of_a_mac_that_name_different_segments_are_judged_and_rested_for_one_by_one(index):
    attributes = Attributes(A)
    for number in range(MOST + 1):
        route = replace(mac(esi=Esi(bytes((3, *number.to_bytes(9))))), attributes=attributes, tag=0)
        put(index, number.to_bytes(8), None, replace(route, rd=RouteDistinguisher(number.to_bytes(8))))
    index.take_changed(10_000, 1.0)
    put(index, KEY, None, mac())

    assert index.take_changed(10_000, 1.0 + REST_S - 1e-6).macs == set()
    assert index.take_changed(10_000, 1.0 + REST_S).macs == {M}


def test_a_crowd_that_left_is_forgotten(index):
    for route in crowd(index, M):
        put(index, route.key, route, None)

    assert (index.routes_of(M), index.said.many, index.said.count_of_peer(M, PEER)) == ((), set(), 0)


# A segment with very many MACs


def on_segment(index: Filled, count: int) -> set[Mac]:
    macs = [Mac(bytes((2, 0, 0, 2, number >> 8, number & 255))) for number in range(count)]
    for one in macs:
        route = replace(mac(esi=ESI), mac=one)
        put(index, route.key, None, route)
    index.take_changed()
    return set(macs)


def test_a_route_of_a_segment_with_very_many_macs_does_not_delay_another_mac(index):
    on_segment(index, 20_000)

    put(index, KEY, None, ad())
    put(index, OTHER_KEY, None, mac())
    takes = [M in index.take_changed(1024).macs for _ in range(4)]

    assert any(takes)
    assert index.work > 0


def test_every_mac_of_a_segment_is_judged_again_even_if_its_routes_change_all_the_time(index):
    macs = on_segment(index, 5_000)
    old, taken, takes = None, set(), 0
    while not macs <= taken:
        new = replace(ad(), label=takes)
        put(index, KEY, old, new)
        old = new
        taken |= index.take_changed(1024).macs
        takes += 1

    assert takes <= 30


def test_all_macs_of_a_segment_are_judged_after_its_last_change(index):
    macs = on_segment(index, 5_000)
    put(index, KEY, None, ad())
    index.take_changed(1024)

    put(index, KEY, ad(), None)

    assert index.take_changed().macs == macs
    assert index.work == 0


@pytest.mark.parametrize("ip", [None, IP1], ids=["MACs alone", "with a host address"])
def test_what_is_known_of_a_segment_stays_known_when_its_macs_are_advertised_again(index, ip):
    """Otherwise the first Type-1 route after each refresh would have all MACs of the segment judged again."""
    route = mac(ip, ESI)
    put(index, KEY, None, route)
    index.take_changed()
    index.conclude("policy", ESI, (0, 100), "a question", lambda: "an answer")

    put(index, KEY, route, replace(route, attributes=Attributes(A)), Epoch())
    index.take_changed()
    put(index, OTHER_KEY, None, ad())

    assert index.take_changed().macs == set()


@pytest.mark.parametrize(("questions", "are_compared"), [(100, True), (10_000, False)])
def test_very_many_answers_about_a_segment_are_not_compared_all_at_once(index, questions, are_compared):
    """A peer chooses how many there are. The MACs are judged again instead, which is done in parts."""
    macs = on_segment(index, 3)
    worked_out = []
    for number in range(questions):
        index.conclude("policy", ESI, (0, 100), number, lambda: worked_out.append(1))
    worked_out.clear()

    put(index, KEY, None, replace(ad(), tag=PER_ES_TAG))

    assert index.take_changed(1024).macs == (set() if are_compared else macs)
    assert len(worked_out) == (questions if are_compared else 0)


def test_very_many_segments_of_which_no_answer_is_known_are_looked_at_in_parts(index):
    """A session that closes changes the routes of all segments at once."""
    count = COMPARED_AT_ONCE // STEPS_PER_ANSWER + 100
    for number in range(count):
        esi = Esi(bytes((3, *([0] * 5))) + number.to_bytes(4))
        route = replace(mac(esi=esi), mac=Mac(b"\2\0" + number.to_bytes(4)))
        put(index, route.key, None, route)
    index.take_changed()
    for number in range(count):
        put(index, number.to_bytes(4), None, replace(ad(), esi=Esi(bytes((3, *([0] * 5))) + number.to_bytes(4))))

    index.take_changed(1024)

    assert len(index._ads_changed) == 100


def test_nothing_is_remembered_of_segments_that_left(index, monkeypatch):
    """A peer chooses which segments it names, and could name others for ever."""
    monkeypatch.setattr("vtep.evpn.said.REMEMBERED_MAX", 1)
    kept = []
    for number in range(10):
        esi = Esi(bytes((3, *([0] * 8), number)))
        route = mac(esi=esi)
        put(index, KEY, None, route)
        for policy in ("before", "after a reload"):
            index.conclude(policy, esi, (0, 100), "a question", lambda: "an answer")
        put(index, KEY, route, None)
        index.take_changed()
        kept.append({name: len(found) for name, found in vars(index).items() if isinstance(found, dict | set)})

    assert kept[0] == kept[9]
