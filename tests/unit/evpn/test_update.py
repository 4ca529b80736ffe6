"""UPDATE messages as octets: which events they are, and what cannot be read."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import malformed, wire
from vtep.addr import Ip
from vtep.errors import StreamError
from vtep.evpn.event import Announced, EndOfRib, Withdrawn
from vtep.evpn.update import read_updates

PEER = Ip.parse("10.0.0.1")
INSTANCE = wire.Instance("10.0.0.1")
ROUTES = [INSTANCE.mac(f"02:00:00:00:00:{number:02x}") for number in range(120)]


def octets(*messages: bytes) -> bytes:
    return b"".join(messages)


def announce(*routes: wire.Route, per_update: int = 50) -> bytes:
    return octets(*wire.updates(routes, per_update))


def withdraw(*routes: wire.Route) -> bytes:
    return octets(*wire.withdrawals([wire.unlabelled(route.nlri) for route in routes]))


def test_announcements_that_follow_one_another_are_one_event():
    (event,), bad = read_updates(announce(*ROUTES, per_update=7), PEER)

    assert isinstance(event, Announced)
    assert list(event.routes) == [route.key for route in ROUTES]
    assert bad == ()


def test_order_is_kept_between_announcements_and_withdrawals():
    events, _ = read_updates(
        octets(announce(ROUTES[0]), withdraw(ROUTES[0]), withdraw(ROUTES[1]), announce(ROUTES[2]), wire.end_of_rib()),
        PEER,
    )

    assert [type(event) for event in events] == [Announced, Withdrawn, Announced, EndOfRib]
    assert events[1] == Withdrawn(PEER, (ROUTES[0].key, ROUTES[1].key))
    assert events[3] == EndOfRib(PEER)


def test_a_route_in_both_parts_of_a_message_counts_as_announced():
    route = ROUTES[0]
    path = wire.unreach([route.nlri]) + wire.reach(route.next_hop, [route.nlri]) + route.attributes

    events, _ = read_updates(wire.update(path), PEER)

    assert [type(event) for event in events] == [Withdrawn, Announced]


def test_an_empty_withdrawal_beside_an_announcement_is_no_end_of_rib():
    route = ROUTES[0]
    path = wire.unreach([]) + wire.reach(route.next_hop, [route.nlri]) + route.attributes

    events, _ = read_updates(wire.update(path), PEER)

    assert [type(event) for event in events] == [Announced]


def test_attributes_are_those_of_the_message():
    first = wire.Instance("10.0.0.1").mac("02:00:00:00:00:01", seq=7, sticky=True)
    second = wire.Instance("fd00::2", rd="10.0.0.2:100").flood()

    ((event),), _ = read_updates(announce(first, second, per_update=1), PEER)

    one, other = event.routes[first.key].attributes, event.routes[second.key].attributes
    assert (one.next_hop, one.seq, one.sticky, one.pmsi) == (Ip.parse("10.0.0.1"), 7, True, None)
    assert (other.next_hop, other.sticky) == (Ip.parse("fd00::2"), False)
    assert other.pmsi is not None
    assert (other.pmsi.endpoint, other.pmsi.label, other.pmsi.exact) == (Ip.parse("fd00::2"), 100, True)


def test_the_global_next_hop_of_two_counts():
    route = ROUTES[0]
    hop = bytes(Ip.parse("fd00::1")) + bytes(Ip.parse("fe80::1"))

    ((event),), _ = read_updates(wire.update(wire.reach(hop, [route.nlri]) + route.attributes), PEER)

    assert event.routes[route.key].attributes.next_hop == Ip.parse("fd00::1")


def test_the_long_lived_stale_community_is_seen_among_others():
    stale = wire.attribute(0xC0, 8, b"\xfd\xe8\0\1\xff\xff\0\6")
    route = ROUTES[0]

    ((event),), _ = read_updates(wire.update(wire.reach(route.next_hop, [route.nlri]) + route.attributes + stale), PEER)

    assert event.routes[route.key].attributes.llgr_stale


def test_a_bad_nlri_is_listed_and_costs_no_other():
    bad = ROUTES[1].nlri[:24] + b"\x18" + ROUTES[1].nlri[25:]
    nlris = [ROUTES[0].nlri, bad, b"\xc8\1\0", ROUTES[2].nlri]

    ((event),), complaints = read_updates(
        wire.update(wire.reach(ROUTES[0].next_hop, nlris) + ROUTES[0].attributes), PEER
    )

    assert list(event.routes) == [ROUTES[0].key, ROUTES[2].key]
    (complaint,) = complaints
    assert complaint.startswith(bad[:40].hex().upper())
    assert "the MAC length is 24" in complaint


def test_other_families_are_nothing_to_us():
    other = wire.attribute(0x80, 15, b"\0\1\x80")

    assert read_updates(wire.update(other), PEER) == ((), ())


@pytest.mark.parametrize(
    "broken",
    [
        announce(ROUTES[0])[:-1],
        announce(ROUTES[0]) + b"\xff" * 16,
        wire.message(wire.KEEPALIVE),
        wire.message(wire.UPDATE, b"\0\0\xff\xff"),
        wire.update(wire.reach(ROUTES[0].next_hop, [ROUTES[0].nlri[:20]]) + ROUTES[0].attributes),
        wire.update(wire.reach(b"", [ROUTES[0].nlri]) + ROUTES[0].attributes),
        wire.update(wire.reach(bytes(7), [ROUTES[0].nlri]) + ROUTES[0].attributes),
        wire.update(ROUTES[0].attributes + b"\xc0\x10\xff\0"),
    ],
    ids=["cut", "half a header", "a keepalive", "lengths", "half an NLRI", "no next hop", "7 octets", "attribute"],
)
def test_what_is_no_row_of_whole_updates_is_refused(broken):
    with pytest.raises(StreamError):
        read_updates(broken, PEER)


def test_what_is_said_by_lines_and_by_octets_is_the_same():
    """ExaBGP's own line of an UPDATE, and the octets of that UPDATE."""
    from tests.lab.lines import Lines
    from vtep.feed.exabgp.json import decode

    routes = [INSTANCE.mac("02:00:00:00:00:01", "192.0.2.1", seq=3), INSTANCE.flood()]
    for route in routes:
        (line,) = [Lines().announce(str(PEER), route)]

        assert decode(line).events == read_updates(announce(route), PEER)[0]


@given(st.sampled_from(sorted(malformed.updates(ROUTES[0]).values())), st.data())
def test_whatever_the_octets_are_they_are_read_or_refused(message, data):
    octets_ = bytearray(message)
    for _ in range(data.draw(st.integers(0, 4))):
        octets_[data.draw(st.integers(18, len(octets_) - 1))] = data.draw(st.integers(0, 255))
    octets_[16:18] = len(octets_).to_bytes(2)

    with contextlib.suppress(StreamError):
        read_updates(bytes(octets_), PEER)
