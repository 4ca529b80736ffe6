"""One router's octets become items: sessions with reasons, UPDATEs of the chosen table, and nothing else."""

from pathlib import Path

import pytest

from tests.lab import bmp
from tests.lab.wire import Instance, end_of_rib, notification, updates
from vtep.addr import Ip, Mac
from vtep.errors import StreamError
from vtep.evpn.before_policy import MACS_OF_ALL
from vtep.evpn.event import Announced, EndOfRib, PeerOpened, SessionClosed, SessionOpened, Unreadable
from vtep.evpn.peer import QUIET_S
from vtep.feed.bmp import wire
from vtep.feed.bmp.feed import decode
from vtep.feed.bmp.router import PEERS_MAX, Happened, Router, Updates

PEER = Ip.parse("10.0.0.1")
UPDATES = list(updates([Instance("10.0.0.1").mac(f"02:00:00:00:00:{n:02x}") for n in range(20)], per_update=1))
CAPTURES = Path(__file__).parents[3] / "captures" / "bmp"


def router(table="post-policy", held=()):
    return Router(table, lambda peer: peer not in held, lambda _: None)


def events(items):
    """Return all events of the items, in order."""
    messages = []
    for item in items:
        messages += decode(item) if isinstance(item, Updates) else [item]
    return [event for message in messages if not isinstance(message, Unreadable) for event in message.events]


def loaded(octets, table="post-policy", held=()):
    made = router(table, held)
    return made, events(made.read(bmp.initiation() + bmp.peer_up("10.0.0.1") + octets, 0))


def test_a_session_with_its_routes_and_its_end():
    made, found = loaded(bmp.monitoring("10.0.0.1", *UPDATES, end_of_rib()) + bmp.peer_down("10.0.0.1", 4))

    opened, offer, announced, end, closed = found
    assert (made.name, made.description) == ("leaf1", "FRRouting 8.4.4")
    assert (opened, end) == (SessionOpened(PEER), EndOfRib(PEER))
    assert isinstance(offer, PeerOpened)
    assert (offer.offer.asn, offer.refresh) == (65000, False)
    assert isinstance(announced, Announced)
    assert len(announced.routes) == 20
    assert closed == SessionClosed(PEER, "the peer ended it without a NOTIFICATION", lost=True)
    assert made.peers == []


@pytest.mark.parametrize("size", [1, 7, 100, 4096])
def test_octets_may_arrive_in_any_pieces(size):
    octets = (
        bmp.initiation() + bmp.peer_up("10.0.0.1") + bmp.monitoring("10.0.0.1", *UPDATES) + bmp.peer_down("10.0.0.1", 4)
    )
    whole, pieces = router(), router()
    items = [item for at in range(0, len(octets), size) for item in pieces.read(octets[at : at + size], 0)]

    def routes(found):
        return [key for event in found if isinstance(event, Announced) for key in event.routes]

    assert routes(events(items)) == routes(events(whole.read(octets, 0)))
    assert len(routes(events(items))) == 20


def test_one_table_is_chosen_and_the_others_are_counted():
    octets = b"".join(
        bmp.monitoring("10.0.0.1", *UPDATES[:count], flags=flags)
        for count, flags in ((3, 0), (5, bmp.POST), (2, bmp.ADJ_RIB_OUT), (1, bmp.ADJ_RIB_OUT | bmp.POST))
    )
    post, found = loaded(octets)
    pre, found_before = loaded(octets, "pre-policy")

    assert (len(found[2].routes), dict(post.counts)) == (5, {"pre-policy": 3, "adj-rib-out": 3})
    assert (len(found_before[2].routes), dict(pre.counts)) == (3, {"post-policy": 5, "adj-rib-out": 3})


def test_the_decisions_of_a_router_have_its_identifier_as_their_peer():
    head = {"kind": 3, "bgp_id": "10.0.0.99"}
    made, found = loaded(
        bmp.peer_up("0.0.0.0", **head)
        + bmp.monitoring("0.0.0.0", *UPDATES, flags=0, **head)
        + bmp.monitoring("10.0.0.1", *UPDATES),
        "loc-rib",
    )

    assert [event.peer for event in found] == [Ip.parse("10.0.0.99")] * 3
    assert dict(made.counts) == {"other-peers": 1, "post-policy": 20}


@pytest.mark.parametrize(
    ("reason", "more", "text", "lost"),
    [
        (1, notification(6, 2), "the router ended it: NOTIFICATION 6/2, Administrative Shutdown", False),
        (1, b"short", "the router ended it", False),
        (2, b"\0\x0a", "the router ended it without a NOTIFICATION: the hold timer expired", True),
        (2, b"\0\x12", "the router ended it without a NOTIFICATION: the TCP connection failed", True),
        (2, b"\0\x63", "the router ended it without a NOTIFICATION: event 99 of RFC 4271 8.1", False),
        (3, notification(4, 0), "the peer ended it: NOTIFICATION 4/0, Hold Timer Expired", False),
        (5, b"", "the router no longer reports this peer", False),
        (77, b"", "reason 77 of BMP", False),
    ],
)
def test_why_a_session_ended(reason, more, text, lost):
    _, found = loaded(bmp.peer_down("10.0.0.1", reason, more))

    assert (found[-1].reason, found[-1].lost) == (text, lost)


def test_an_address_that_another_router_reports_is_left_to_it():
    made, found = loaded(bmp.monitoring("10.0.0.1", *UPDATES), held=(PEER,))

    assert (found, dict(made.counts), made.peers) == ([], {"reported-by-another": 20}, [])
    assert made.lacks([PEER])


def test_routes_before_their_peer_are_counted():
    made = router()

    assert (made.read(bmp.monitoring("10.0.0.1", *UPDATES), 0), dict(made.counts)) == ([], {"unannounced": 20})


def test_a_router_has_a_bounded_number_of_peers():
    made = router()
    for number in range(PEERS_MAX + 5):
        made.read(bmp.peer_up(f"10.1.{number // 256}.{number % 256}"), 0)

    assert (len(made.peers), made.counts["too-many-peers"]) == (PEERS_MAX, 5)


def test_a_quiet_peer_without_end_of_rib_has_sent_its_table():
    made, _ = loaded(bmp.monitoring("10.0.0.1", *UPDATES))
    early = made.find_quiet(QUIET_S - 1)
    made.read(bmp.monitoring("10.0.0.1", UPDATES[0]), QUIET_S - 1)

    assert (early, made.find_quiet(QUIET_S + 1)) == ([], [])
    assert made.find_quiet(2 * QUIET_S) == [Happened(PEER, (EndOfRib(PEER),))]
    assert made.find_quiet(9 * QUIET_S) == []


def test_an_update_whose_length_lies_harms_no_other():
    lying = UPDATES[3][:16] + (len(UPDATES[3]) + 40).to_bytes(2) + UPDATES[3][18:]
    _, found = loaded(bmp.monitoring("10.0.0.1", *UPDATES[:3], lying, b"", b"\xff" * 19, *UPDATES[4:]))

    assert sum(len(event.routes) for event in found if isinstance(event, Announced)) == 19


def test_an_update_that_cannot_be_read_harms_no_other_in_its_piece():
    broken = UPDATES[3][:23] + b"\xff" * (len(UPDATES[3]) - 23)
    made = router()
    items = made.read(bmp.peer_up("10.0.0.1") + bmp.monitoring("10.0.0.1", *UPDATES[:3], broken, *UPDATES[4:]), 0)
    messages = decode(items[1])

    assert len(items) == 2
    assert [type(message) for message in messages].count(Unreadable) == 1
    assert sum(len(event.routes) for event in events(items) if isinstance(event, Announced)) == 19


@pytest.mark.parametrize(
    "octets",
    [
        bmp.frame(4, version=2),
        b"GET / HTTP/1.1\r\n",
        b"\x03\x40\x00\x00\x00\x04",  # 1 GiB
        b"\x03\xff\xff\xff\xff\x00",
        b"\x03\x00\x00\x00\x00\x00",
        b"\x03\x00\x00\x00\x05\x00",
        bmp.frame(3, bmp.peer_header("10.0.0.1") + bytes(20) + b"\xff" * 60),
        bmp.frame(3, bytes(10)),
        bmp.frame(0, bytes(10)),
        bmp.frame(2, bmp.peer_header("10.0.0.1")),
    ],
)
def test_what_breaks_the_framing_ends_the_connection(octets):
    with pytest.raises(StreamError):
        router().read(octets, 0)


def test_half_a_message_is_kept_and_no_more():
    made = router()
    made.read(bmp.frame(4, bytes(wire.MESSAGE_MAX - 6))[:-1], 0)

    assert len(made._rest) == wire.MESSAGE_MAX - 1
    made.read(b"\0", 0)
    assert made._rest == b""


def test_a_router_says_why_it_leaves():
    made = router()
    made.read(bmp.termination(2), 0)

    assert made.ended == "it has no memory left"


def test_texts_of_a_router_are_one_short_line():
    made = router()
    made.read(bmp.initiation("leaf\x1b[2J\n1" * 100), 0)

    assert made.name.startswith("leaf [2J 1leaf")
    assert len(made.name) <= 200


def test_what_frr_says():
    """FRR 8.4.4 leaves out the label of a Type-2 route, and ends both of its tables."""
    made = router()
    found = events(made.read((CAPTURES / "frr-8.4.4.bmp").read_bytes(), 0))

    routes = [route for event in found if isinstance(event, Announced) for route in event.routes.values()]
    assert (made.description, dict(made.counts)) == ("FRRouting 8.4.4", {"pre-policy": 1})
    assert (len(routes), {route.label for route in routes}) == (50, {0})
    assert isinstance(found[1], PeerOpened)
    assert (found[1].restart_s, found[1].offer.families, found[-1]) == (120, ("l2vpn evpn",), EndOfRib(PEER))


def test_path_identifiers_are_refused():
    way = {1: b"\x00\x19\x46\x01", 2: b"\x00\x19\x46\x02"}

    def open_with(value):
        body = bytes.fromhex("04fde800b40a000001") + bytes((8, 2, 6, 69, 4)) + value
        return b"\xff" * 16 + (19 + len(body)).to_bytes(2) + b"\x01" + body

    up = bmp.frame(3, bmp.peer_header("10.0.0.1") + bytes(20) + open_with(way[1]) + open_with(way[2]))
    made = router()
    made.read(up + bmp.monitoring("10.0.0.1", *UPDATES), 0)

    assert dict(made.counts) == {"add-path": 20}


def test_the_table_before_policy_is_kept_where_it_differs_and_breaks_no_group_of_routes():
    twins = b"".join(bmp.monitoring("10.0.0.1", one, flags=0) + bmp.monitoring("10.0.0.1", one) for one in UPDATES[:10])
    made = router()
    items = made.read(bmp.peer_up("10.0.0.1") + twins + bmp.monitoring("10.0.0.1", UPDATES[10], flags=0), 0)

    assert [item.messages for item in items if isinstance(item, Updates)] == [10]
    ((peer, before),) = made.befores()
    assert (peer, made.counts["pre-policy"]) == (PEER, 11)
    assert [len(before.of_mac(Mac.parse(f"02:00:00:00:00:{n:02x}"))) for n in (5, 10)] == [0, 1]
    made.read(bmp.peer_down("10.0.0.1", 4) + bmp.peer_up("10.0.0.1"), 0)
    assert list(made.befores()) == []


@pytest.mark.parametrize("held", [(), (PEER,)])
def test_only_a_peer_of_this_router_has_a_table_before_policy(held):
    made, _ = loaded(bmp.monitoring("10.0.0.1", *UPDATES, flags=0), "pre-policy" if not held else "post-policy", held)
    assert list(made.befores()) == []


def test_all_peers_of_a_router_share_what_is_kept_before_policy():
    made = router()
    many = [f"10.1.{number >> 8}.{number & 255}" for number in range(64)]
    for address in many:
        made.read(bmp.peer_up(address) + bmp.monitoring(address, UPDATES[0], flags=0), 0)

    assert {before.macs_max for _, before in made.befores()} == {MACS_OF_ALL // 64}


def test_an_open_that_frr_has_not_kept_ends_no_connection():
    """bgpd sends a header alone in its place, for each session that won a collision."""
    header = bytes.fromhex("ff" * 16 + "001301")
    up = bmp.frame(3, bmp.peer_header("10.0.0.1") + bytes(20) + header + header)
    made = router()
    found = events(made.read(bmp.initiation() + up + bmp.monitoring("10.0.0.1", *UPDATES), 0))

    assert found[0] == SessionOpened(PEER)
    assert (found[1].offer.asn, found[1].offer.families) == (0, ())
    assert len(found[2].routes) == 20
