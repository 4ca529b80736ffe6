"""The total order among places, where the vectors do not reach."""

from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.attributes import Attributes
from vtep.evpn.mac_ip import MacIp
from vtep.projection.winner import Location, choose

A = Ip.parse("10.0.0.1")
PEER = Ip.parse("10.9.0.1")


def route(*, seq: int = 0, rd: int = 1, label: int = 100, **attributes) -> MacIp:
    return MacIp(
        PEER,
        Attributes(A, seq=seq, **attributes),
        RouteDistinguisher(rd.to_bytes(8)),
        0,
        Mac.parse("02:00:00:00:00:01"),
        label,
    )


def location(*routes: MacIp, encapsulation: int | None = None) -> Location:
    return Location(list(routes), A, None, Vni(encapsulation) if encapsulation else None, multihomed=False)


def test_one_vtep_with_two_encapsulations_has_a_fixed_order() -> None:
    low, high = (location(route(label=label), encapsulation=label) for label in (5000, 5001))

    for arrival in ((low, high), (high, low)):
        winner, reason, losers = choose(arrival)
        assert (winner, reason, losers) == (low, "total-order", [(high, "total-order")])


def test_the_sequence_of_a_location_is_the_highest_of_its_routes() -> None:
    assert location(route(seq=1, rd=1), route(seq=7, rd=2)).seq == 7


def test_a_long_lived_stale_route_does_not_count_beside_a_good_one() -> None:
    mixed = location(route(seq=9, rd=1, llgr_stale=True, sticky=True), route(seq=1, rd=2))

    assert (mixed.llgr_stale, mixed.fixed, mixed.seq) == (False, False, 1)


def test_the_first_route_of_a_location_does_not_depend_on_arrival() -> None:
    one, two = route(rd=1), route(rd=2)

    assert location(two, one).routes == location(one, two).routes == [one, two]
