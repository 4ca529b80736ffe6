"""The routes of one announcement in groups: what is in a group, which of two holds, and what a reader sees of them."""

from tests.lab import wire
from vtep.addr import Ip, Mac
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import Announced, Received
from vtep.evpn.gathered import Gathered
from vtep.evpn.peer import Holds
from vtep.evpn.rib import Rib

PEER = Ip.parse("10.0.0.1")
INSTANCE = wire.Instance("10.0.0.1")
MACS = [f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}" for number in range(1000)]
ONE = Mac.parse(MACS[0])


def gathered(*said: tuple[wire.Route, Attributes]) -> Gathered:
    found = Gathered(PEER)
    for route, attributes in said:
        found.add(route.nlri, attributes)
    return found


def test_thousands_of_macs_of_which_the_same_is_said_are_one_group_and_others_are_none():
    shared = Attributes(PEER)

    found = gathered(
        *((INSTANCE.mac(mac), shared) for mac in MACS),
        (INSTANCE.mac(MACS[0], ip="172.16.0.1"), shared),
        (INSTANCE.mac(MACS[1]), Attributes(PEER, seq=1)),
    )

    assert ([len(group.macs) for group in found.groups], len(found.others)) == ([1000, 1], 1)
    assert (len(found), len(list(found))) == (1001, 1001)


def test_what_was_said_last_of_a_mac_holds_also_if_it_was_said_first():
    """The three routes have one key, and the first and the last one belong to one group."""
    early, late = Attributes(PEER, seq=1), Attributes(PEER, seq=2)
    route = INSTANCE.mac(MACS[0])
    found = gathered((route, early), (route, late), (route, early))
    rib = Rib(Holds(), 0.0)

    rib.receive(Received((Announced(PEER, found),), peer=PEER), 0.0)

    assert (len(found), [one.attributes.seq for one in found.values()]) == (1, [1])
    assert [one.attributes.seq for one in rib.index.routes_of(ONE)] == [1]


def test_a_path_identifier_makes_another_route():
    found, route = Gathered(PEER), INSTANCE.mac(MACS[0])
    for path_id in (b"\0\0\0\1", b"\0\0\0\2"):
        found.add(route.nlri, Attributes(PEER), path_id)

    assert list(found) == [route.key + b"\0\0\0\1", route.key + b"\0\0\0\2"]


def test_routes_given_with_their_keys_are_the_same_as_their_octets():
    shared = Attributes(PEER)
    octets = gathered(*((INSTANCE.mac(mac), shared) for mac in MACS), (INSTANCE.mac(MACS[0], ip="172.16.0.1"), shared))

    again = Gathered(PEER, octets.items())

    assert again == octets
    assert [group.macs for group in again.groups] == [group.macs for group in octets.groups]


def test_what_was_said_last_of_a_prefix_holds_also_if_it_was_said_first():
    """As above; the second prefix is said to be the same in the first and in the last group."""
    early, late = Attributes(PEER, local_pref=1), Attributes(PEER, local_pref=2)
    one, other = (INSTANCE.prefix(text) for text in ("192.0.2.0/24", "2001:db8::/32"))
    found = gathered((one, early), (other, early), (one, late), (one, early))
    rib = Rib(Holds(), 0.0)

    rib.receive(Received((Announced(PEER, found),), peer=PEER), 0.0)

    assert [len(group.keys) for group in found.prefixes] == [2, 1, 1]
    assert (len(found), found.others, {route.attributes.local_pref for route in found.values()}) == (2, {}, {1})
    assert all(rib.find(PEER, key) == (route, False) for key, route in found.items())
    assert Gathered(PEER, found.items()) == found
