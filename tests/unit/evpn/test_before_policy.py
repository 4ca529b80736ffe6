"""What differs between a peer's routes before and after its router's policy: twins cost nothing, and a peer cannot make it grow."""

import pytest

from tests.lab.wire import Instance, end_of_rib, updates, withdrawals
from vtep.addr import Ip, Mac
from vtep.evpn.before_policy import AFTER, BEFORE, HELD_MAX, ROUTES_MAX, BeforePolicy

PEER = Ip.parse("10.0.0.1")
HERE = Instance("10.0.0.1")
OTHER = Instance("10.0.0.1", targets=("65000:7",))


def mac(number):
    return Mac.parse(f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")


def announce(number, instance=HERE, **more):
    (octets,) = updates([instance.mac(str(mac(number)), **more)], per_update=1)
    return octets


def withdraw(number, **more):
    (octets,) = withdrawals([HERE.mac(str(mac(number)), **more).nlri], per_update=1)
    return octets


def table(*taken, most=100):
    made = BeforePolicy(PEER, most)
    for octets, which in taken:
        made.take(octets, which)
    return made


def found(made, number):
    return [", ".join(map(str, sent.targets)) for sent in made.of_mac(mac(number)).values()]


@pytest.mark.parametrize("order", [(BEFORE, AFTER), (AFTER, BEFORE)])
def test_twins_are_not_even_decoded(order):
    made = table(*((announce(number), which) for number in range(50) for which in order))

    assert (made.macs, made._queue) == ({}, [])
    assert found(made, 3) == []
    assert made.has_routes


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_route_that_the_policy_drops_is_kept_until_the_peer_withdraws_it(order):
    pair = [(announce(1), BEFORE), (withdraw(1), AFTER)]
    made = table(*(pair[at] for at in order))
    assert found(made, 1) == ["65000:100"]

    for which in order:
        made.take(withdraw(1), which)
    assert (found(made, 1), made.macs) == ([], {})


def test_a_route_that_the_policy_takes_after_all_differs_no_more():
    made = table((announce(1), BEFORE), (withdraw(1), AFTER), (announce(1), AFTER), (announce(1), BEFORE))
    assert (found(made, 1), made.macs) == ([], {})


def test_what_the_policy_changes_is_kept_as_the_peer_sent_it():
    made = table((announce(1), BEFORE), (announce(1, OTHER), AFTER), (announce(2), BEFORE), (announce(2), AFTER))
    assert (found(made, 1), found(made, 2)) == (["65000:100"], [])


def test_the_same_route_in_other_octets_and_later_differs_no_more():
    both = b"".join(updates([HERE.mac(str(mac(1))), HERE.mac(str(mac(2)))]))
    made = table((both, BEFORE), (announce(1), AFTER), (announce(3), BEFORE), (announce(2), AFTER))
    assert (found(made, 1), found(made, 2), found(made, 3)) == ([], [], ["65000:100"])


def test_a_peer_that_makes_ever_new_differences_costs_no_more():
    made = table(*((announce(number), BEFORE) for number in range(300)), most=64)
    made.of_mac(mac(0))
    assert (len(made.macs), made.forgotten, found(made, 0), found(made, 299)) == (64, 236, [], ["65000:100"])
    made.limit(10)
    assert (len(made.macs), made.forgotten) == (10, 290)

    hosts = table(*((announce(1, ip=f"10.9.0.{number}"), BEFORE) for number in range(1, 200)))
    assert len(hosts.of_mac(mac(1))) == ROUTES_MAX
    long = b"".join(updates([HERE.mac(str(mac(number))) for number in range(300)], per_update=300))
    assert len(long) > HELD_MAX
    assert table((long, BEFORE))._held == b""


def test_what_cannot_be_read_costs_nothing_else():
    broken = announce(2)[:21] + b"\xff\xff" + announce(2)[23:]  # the attributes are longer than the message
    made = table((announce(1), BEFORE), (broken, BEFORE), (announce(3), BEFORE), (end_of_rib(), BEFORE))
    assert (found(made, 1), found(made, 3)) == (["65000:100"], ["65000:100"])


def test_withdrawals_alone_are_no_table():
    """A bgpd without `soft-reconfiguration inbound` has nothing before policy, and withdraws it."""
    made = table((withdraw(1), BEFORE), (announce(1), AFTER), (end_of_rib(), BEFORE))
    assert not made.has_routes


def test_withdrawals_and_the_end_of_both_tables_are_no_table():
    """The two of one table are the octets of the other."""
    twins = [(octets, which) for octets in (withdraw(1), end_of_rib()) for which in (BEFORE, AFTER)]
    assert not table(*twins).has_routes


def test_routes_of_another_family_are_no_table():
    """A leaf may have `soft-reconfiguration inbound` for IPv4 alone."""
    origin = bytes.fromhex("400101004002004003040a000001")
    ipv4 = (
        bytes(16 * [255])
        + (23 + len(origin) + 4).to_bytes(2)
        + b"\x02\0\0"
        + len(origin).to_bytes(2)
        + origin
        + b"\x18\x0a\x01\x02"
    )
    ended = bytes(16 * [255]) + b"\0\x17\x02\0\0\0\0"
    for octets in (ipv4, ended):
        assert not table((octets, BEFORE), (octets, AFTER)).has_routes
        assert not table((octets, BEFORE), (announce(1), AFTER)).has_routes
