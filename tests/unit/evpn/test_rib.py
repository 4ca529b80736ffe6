"""What a lost session, a lost line, a new ExaBGP and the passing of time do to the routes that peers advertised.

A `Feed` is a RIB with ExaBGP's lines and a hand-moved clock; the times are seconds since the start.
"""

import time
from collections.abc import Iterable

import pytest

from tests.lab import wire
from tests.lab.lines import Lines
from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn import rib as rib_module
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import Received
from vtep.evpn.index import Index
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.offers import Epoch
from vtep.evpn.peer import ASK_AGAIN_S, QUIET_S, REFRESH_WAIT_S, Hold, Holds, Refresh
from vtep.evpn.rib import EVERYONE, Rib
from vtep.evpn.station import Station
from vtep.feed.exabgp.lines import LineReader

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
ONE, TWO, THREE = (f"02:00:00:00:00:0{number}" for number in (1, 2, 3))
RD = RouteDistinguisher.parse("65000:1")
E1 = Esi(bytes.fromhex("03000000000001000001"))


class Feed:
    def __init__(self, *, asks: bool = True, expected: Iterable[str] = (), **holds) -> None:
        self.now = 0.0
        self.lines = Lines()
        self.reader = LineReader()
        self.holds = Holds(expected=tuple(Ip.parse(peer) for peer in expected), **holds)
        self.rib = Rib(self.holds, 0.0, asks=asks)

    def receive(self, *lines: bytes, replayed: bool = False) -> None:
        for message in self.reader.read(lines, replayed=replayed):
            assert isinstance(message, Received)
            self.rib.receive(message, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass, and act at each moment that is due."""
        end = self.now + seconds
        while (due := self.rib.due) is not None and due <= end:
            self.now = max(self.now, due)
            self.rib.tick(self.now)
            if self.rib.due == due:
                break
        self.now = end
        self.rib.tick(end)

    def up(
        self,
        peer: str,
        *,
        restart_s: int | None = 120,
        refresh: bool = True,
        enhanced: bool = True,
        forwarding: bool = True,
    ) -> None:
        opened = self.lines.opened(peer, restart_s, refresh, enhanced, forwarding=forwarding)
        self.receive(opened, self.lines.up(peer))

    def down(self, peer: str, reason: str = "closing connection") -> None:
        self.receive(self.lines.down(peer, reason))

    def advertise(self, peer: str, *macs: str) -> None:
        self.receive(self.lines.announce(peer, *(route(peer, mac) for mac in macs)))

    def end(self, peer: str) -> None:
        self.receive(self.lines.end_of_rib(peer))

    def begin(self, peer: str) -> None:
        self.receive(self.lines.refresh(peer, "begin"))

    def finish(self, peer: str) -> None:
        self.receive(self.lines.refresh(peer, "end"))

    def lose_line(self, peer: str) -> None:
        """Let a line be lost, which the next one shows."""
        self.lines.lose_one(peer)
        self.receive(self.lines.announce(peer))

    def ready(self, peer: str, *macs: str, **able) -> None:
        """Start a session and send a whole table."""
        self.up(peer, **able)
        if macs:
            self.advertise(peer, *macs)
        self.end(peer)

    def asked(self) -> list[str]:
        return ["everyone" if peer is EVERYONE else str(peer) for peer in self.rib.take_refreshes(self.now)]

    def macs(self) -> list[str]:
        return sorted(map(str, self.rib.index.everything().macs))

    def stale(self) -> list[str]:
        return sorted(
            str(mac)
            for mac in self.rib.index.everything().macs
            if any(self.is_stale(route) for route in self.rib.index.routes_of(mac))
        )

    def is_stale(self, route: MacIp) -> bool:
        found = self.rib.find(route.peer, route.key)
        return found is None or found[1]

    def peer(self, address: str):
        return self.rib.peers[Ip.parse(address)]


def route(peer: str, mac: str, **fields) -> wire.Route:
    return wire.Instance(peer).mac(mac, **fields)


# Announcements and withdraws


def test_a_route_that_comes_again_replaces_itself() -> None:
    feed = Feed()

    feed.receive(feed.lines.announce(A, route(A, ONE, seq=5)), feed.lines.announce(A, route(A, ONE, seq=1)))

    assert [found.attributes.seq for found in feed.rib.index.routes_of(Mac.parse(ONE))] == [1]


def test_a_withdraw_hits_its_route_whatever_the_label_and_the_segment() -> None:
    feed = Feed()

    feed.receive(feed.lines.announce(A, route(A, ONE, esi=E1)), feed.lines.withdraw(A, route(A, ONE).nlri))

    assert (feed.macs(), feed.rib.counters.unknown_withdraws) == ([], 0)


def test_a_withdraw_of_a_route_that_was_never_advertised_is_counted() -> None:
    feed = Feed()

    feed.receive(feed.lines.withdraw(A, route(A, ONE).nlri))

    assert (feed.rib.counters.unknown_withdraws, feed.rib.index.take_changed().macs) == (1, set())


def test_the_macs_of_withdrawals_that_hit_nothing_are_remembered_up_to_a_bound(monkeypatch) -> None:
    monkeypatch.setattr(rib_module, "UNACCEPTED_MAX", 2)
    feed = Feed()

    feed.receive(
        *(
            feed.lines.withdraw(A, route(A, mac, ip=ip).nlri)
            for mac, ip in ((TWO, ""), (ONE, ""), (TWO, "172.16.0.2"), (THREE, ""))
        )
    )

    assert [str(mac) for mac in feed.peer(A).unaccepted] == [TWO, THREE]


@pytest.mark.parametrize("ip", ["", "172.16.0.1"])
def test_a_mac_that_is_announced_later_counts_as_accepted(ip: str) -> None:
    feed, one = Feed(), route(A, ONE, ip=ip)
    feed.receive(feed.lines.withdraw(A, one.nlri), feed.lines.withdraw(A, route(A, TWO).nlri))
    feed.receive(feed.lines.announce(A, one), feed.lines.withdraw(A, one.nlri))

    assert [str(mac) for mac in feed.peer(A).unaccepted] == [TWO]


def test_ever_new_peers_make_those_that_are_down_forgotten_and_no_other(monkeypatch) -> None:
    monkeypatch.setattr(rib_module, "PEERS_MAX", 8)
    monkeypatch.setattr(rib_module, "FORGOTTEN_AT_ONCE", 2)
    feed = Feed(expected=[C])
    feed.up(C)
    feed.receive(feed.lines.down(C))
    feed.up(A)
    feed.receive(feed.lines.announce(A, route(A, ONE)))
    for number in range(100):
        peer = f"10.9.0.{number}"
        feed.now += 1
        feed.up(peer)
        feed.receive(feed.lines.announce(peer, route(peer, TWO)), feed.lines.down(peer))

    assert len(feed.rib.peers) <= 8
    assert {A, C, "10.9.0.97", "10.9.0.98", "10.9.0.99"} <= {str(peer) for peer in feed.rib.peers}
    assert feed.rib.counters.forgotten_peers == 102 - len(feed.rib.peers)
    feed.rib.index.take_changed()
    held = {str(found.peer) for found in feed.rib.index.routes_of(Mac.parse(TWO))}
    assert held <= {str(peer) for peer in feed.rib.peers}


def test_two_peers_that_advertise_the_same_route_each_have_it() -> None:
    feed = Feed()
    shared = route(A, ONE)

    feed.receive(feed.lines.announce(A, shared), feed.lines.announce(B, shared), feed.lines.withdraw(A, shared.nlri))

    assert [str(found.peer) for found in feed.rib.index.routes_of(Mac.parse(ONE))] == [B]


def test_a_line_that_withdraws_and_announces_a_route_leaves_it_announced() -> None:
    feed = Feed()
    feed.advertise(A, ONE)

    feed.receive(feed.lines.announce(A, route(A, ONE, seq=2), withdraw=[route(A, ONE).nlri]))

    assert [found.attributes.seq for found in feed.rib.index.routes_of(Mac.parse(ONE))] == [2]


def test_other_route_types_are_kept_without_touching_a_mac() -> None:
    feed = Feed()
    flood = wire.Instance(A).flood()

    feed.receive(feed.lines.announce(A, flood))
    had = len(feed.peer(A))
    feed.receive(feed.lines.withdraw(A, flood.nlri))

    assert (had, len(feed.peer(A)), feed.rib.index.take_changed().macs) == (1, 0, set())


def test_a_segments_own_route_makes_its_macs_judged_again() -> None:
    feed = Feed()
    ad = wire.Instance(A).ethernet_ad(E1, tag=0xFFFFFFFF)
    feed.receive(feed.lines.announce(A, route(A, ONE, esi=E1), route(A, TWO)))
    feed.rib.index.take_changed()

    feed.receive(feed.lines.announce(A, ad))
    at_announce = feed.rib.index.take_changed().macs
    feed.receive(feed.lines.withdraw(A, ad.nlri))

    assert (at_announce, feed.rib.index.take_changed().macs) == ({Mac.parse(ONE)}, {Mac.parse(ONE)})
    assert not feed.rib.index.ads_at(E1, 0xFFFFFFFF, 0)


def test_a_mac_that_leaves_its_segment_no_longer_follows_it() -> None:
    feed = Feed()
    feed.receive(feed.lines.announce(A, route(A, ONE, esi=E1)), feed.lines.announce(A, route(A, ONE)))
    feed.rib.index.take_changed()

    feed.receive(feed.lines.announce(A, wire.Instance(A).ethernet_ad(E1, tag=0xFFFFFFFF)))

    assert feed.rib.index.take_changed().macs == set()


def test_a_peer_at_its_limit_gets_no_new_route_and_other_peers_do() -> None:
    feed = Feed(routes_per_peer=2)

    feed.advertise(A, ONE, TWO, THREE)
    feed.advertise(B, THREE)
    feed.receive(feed.lines.announce(A, route(A, ONE, seq=7)))

    assert (len(feed.peer(A)), feed.peer(A).limited, len(feed.peer(B))) == (2, 1, 1)
    assert [found.attributes.seq for found in feed.rib.index.routes_of(Mac.parse(ONE))] == [7]


def full(limit: int, *refused: str) -> Feed:
    """A peer that has advertised as many routes as it may, and so many more."""
    feed = Feed(routes_per_peer=limit)
    feed.ready(A, *(f"02:00:00:00:01:{number:02x}" for number in range(limit)), *refused)
    assert (len(feed.peer(A)), feed.peer(A).limited, feed.asked()) == (limit, len(refused), [])
    return feed


def test_a_peer_is_asked_for_what_was_refused_as_soon_as_it_fits() -> None:
    feed = full(20, ONE, TWO)

    feed.receive(feed.lines.withdraw(A, route(A, "02:00:00:00:01:00").nlri))
    asked_for_one = feed.asked()
    feed.receive(feed.lines.withdraw(A, route(A, "02:00:00:00:01:01").nlri))

    assert (asked_for_one, feed.asked()) == ([], [A])


def test_a_peer_is_asked_when_a_good_part_of_its_room_is_free_and_has_all_of_it_then() -> None:
    feed = full(20, ONE, TWO, THREE)

    feed.receive(feed.lines.withdraw(A, *(route(A, f"02:00:00:00:01:{number:02x}").nlri for number in range(3))))
    asked = feed.asked()
    feed.begin(A)
    feed.advertise(A, *(f"02:00:00:00:01:{number:02x}" for number in range(3, 20)), ONE, TWO, THREE)
    feed.finish(A)
    feed.wait(60)

    assert (asked, len(feed.peer(A)), feed.peer(A).limited, feed.asked()) == ([A], 20, 0, [])


def test_a_peer_that_takes_back_what_was_refused_owes_nothing() -> None:
    feed = full(2, THREE)

    feed.receive(feed.lines.withdraw(A, route(A, THREE).nlri))

    assert (feed.peer(A).limited, feed.rib.counters.unknown_withdraws, feed.asked()) == (0, 0, [])


def test_what_took_the_room_of_a_new_session_is_made_good_at_its_end_of_rib() -> None:
    feed = full(2)
    feed.rib.lose_feed(feed.now)
    feed.up(A)
    feed.advertise(A, ONE, TWO)
    refused = feed.peer(A).limited

    feed.end(A)

    assert (refused, feed.asked()) == (2, [A])


def test_more_room_by_a_reload_is_filled() -> None:
    feed = full(2, THREE)

    feed.rib.reconfigure(Holds(routes_per_peer=3), feed.now)

    assert feed.asked() == [A]


def test_a_peer_without_route_refresh_is_not_asked() -> None:
    feed = Feed(routes_per_peer=1)
    feed.ready(A, ONE, TWO, refresh=False, enhanced=False)

    feed.receive(feed.lines.withdraw(A, route(A, ONE).nlri))

    assert (feed.peer(A).limited, feed.asked()) == (1, [])


def test_a_stale_route_that_comes_again_needs_no_room() -> None:
    feed = Feed(routes_per_peer=2)
    feed.ready(A, ONE, TWO)
    feed.rib.lose_feed(feed.now)

    feed.ready(A, ONE, TWO)

    assert (feed.macs(), feed.peer(A).limited) == ([ONE, TWO], 0)


def test_a_peer_may_be_forgotten_before_its_last_route_has_left() -> None:
    feed = Feed()
    feed.ready(A, ONE, restart_s=None)

    feed.down(A)
    feed.rib.lose_feed(feed.now)

    assert feed.rib.peers == {}
    assert [feed.is_stale(last) for last in feed.rib.index.routes_of(Mac.parse(ONE))] == [True]
    assert feed.macs() == []


# Completeness


def test_the_picture_is_complete_when_every_expected_peer_has_sent_its_table() -> None:
    feed = Feed(expected=(A, B))

    feed.ready(A)
    before = (feed.rib.complete, feed.rib.why)
    feed.ready(B)

    assert before == (False, f"waiting for End-of-RIB from {B}")
    assert (feed.rib.complete, feed.rib.why) == (True, "every peer has sent all its routes")


def test_without_expected_peers_every_peer_seen_counts() -> None:
    feed = Feed()
    feed.up(A)
    feed.up(B)

    feed.end(A)
    before = feed.rib.complete
    feed.end(B)

    assert (before, feed.rib.complete) == (False, True)


def test_no_peer_seen_is_not_complete() -> None:
    feed = Feed(on_deadline="auto")

    feed.wait(1000)

    assert (feed.rib.complete, feed.rib.why) == (False, "waiting for End-of-RIB from any peer")


@pytest.mark.parametrize(
    ("on_deadline", "ended", "complete"),
    [
        ("auto", (), False),
        ("auto", (A,), True),
        ("keep", (A,), False),
        ("complete", (), True),
        ("complete", (A,), True),
    ],
)
def test_the_deadline_decides_as_configured(on_deadline: str, ended: tuple[str, ...], complete: bool) -> None:
    feed = Feed(expected=(A, B), on_deadline=on_deadline, initial_s=30)
    for peer in ended:
        feed.ready(peer, ONE)

    feed.wait(29)
    before = feed.rib.complete
    feed.wait(1)

    assert (before, feed.rib.complete) == (False, complete)


def test_after_the_deadline_the_first_end_of_rib_completes_in_auto() -> None:
    feed = Feed(expected=(A, B), initial_s=30)
    feed.wait(31)

    feed.ready(A)

    assert feed.rib.complete
    assert feed.rib.why == f"30 s have passed without End-of-RIB from {B}"


def test_a_peer_that_is_up_and_never_ends_keeps_its_routes_after_the_deadline() -> None:
    feed = Feed(expected=(A, B), initial_s=30)
    feed.ready(A)
    feed.up(B)
    feed.advertise(B, ONE)

    feed.wait(31)

    assert (feed.rib.complete, feed.macs()) == (True, [ONE])


def test_another_configuration_may_complete_the_picture() -> None:
    feed = Feed(expected=(A, B))
    feed.ready(A)

    feed.rib.reconfigure(Holds(expected=(Ip.parse(A),)), feed.now)

    assert feed.rib.complete


def test_once_complete_a_lost_peer_does_not_make_it_incomplete() -> None:
    feed = Feed(expected=(A,))
    feed.ready(A, ONE)

    feed.down(A)

    assert feed.rib.complete


# A lost session


def test_v72_without_graceful_restart_the_routes_of_a_lost_peer_go_at_once() -> None:
    feed = Feed()
    feed.ready(A, ONE, restart_s=None)
    feed.ready(B, TWO)

    feed.down(A)

    assert (feed.macs(), feed.peer(A).reason) == ([TWO], "closing connection")


def test_v72_the_configured_hold_keeps_them_so_long() -> None:
    feed = Feed(peer_down_s=30)
    feed.ready(A, ONE, restart_s=None)

    feed.down(A, "notification received (6,4)")
    feed.wait(29)
    held = (feed.macs(), feed.stale())
    feed.wait(1)

    assert (held, feed.macs()) == (([ONE], [ONE]), [])


def test_v73_graceful_restart_keeps_routes_and_what_comes_again_is_fresh() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.down(A)
    held = feed.stale()

    feed.up(A)
    feed.advertise(A, ONE)
    waiting = (feed.macs(), feed.stale())
    feed.end(A)

    assert (held, waiting) == ([ONE, TWO], ([ONE, TWO], [TWO]))
    assert (feed.macs(), feed.stale()) == ([ONE], [])


def test_v74_stale_routes_go_when_the_restart_time_ends() -> None:
    feed = Feed()
    feed.ready(A, ONE, restart_s=90)
    feed.down(A)

    feed.wait(89)
    before = feed.macs()
    feed.wait(1)

    assert (before, feed.macs()) == ([ONE], [])


def test_a_notification_is_not_what_graceful_restart_is_for() -> None:
    """RFC 4724 4: the session must be lost without a NOTIFICATION."""
    feed = Feed()
    feed.ready(A, ONE)

    feed.down(A, "notification received (6,4)")

    assert feed.macs() == []


def test_a_second_loss_before_end_of_rib_drops_what_the_first_one_left() -> None:
    """RFC 4724 4.2: a route previously marked as stale is deleted, or a flapping peer would keep it for ever."""
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.down(A)
    feed.up(A)
    feed.advertise(A, TWO)

    feed.down(A)

    assert (feed.macs(), feed.stale()) == ([TWO], [TWO])


def test_a_peer_that_is_back_but_never_ends_loses_its_stale_routes_after_the_initial_hold() -> None:
    feed = Feed(initial_s=50)
    feed.ready(A, ONE, TWO)
    feed.down(A)
    feed.wait(10)
    feed.up(A)
    feed.advertise(A, TWO)

    feed.wait(49)
    before = feed.macs()
    feed.wait(1)

    assert (before, feed.macs()) == ([ONE, TWO], [TWO])


def test_the_restart_time_of_a_peer_is_capped() -> None:
    feed = Feed(restart_max_s=600)
    feed.ready(A, ONE, restart_s=4095)
    feed.down(A)

    feed.wait(599)
    before = feed.macs()
    feed.wait(1)

    assert (before, feed.macs()) == ([ONE], [])


def test_a_cap_of_zero_takes_the_routes_of_a_lost_peer_at_once() -> None:
    feed = Feed(restart_max_s=0)
    feed.ready(A, ONE, restart_s=120)

    feed.down(A)

    assert feed.macs() == []


def test_a_peer_that_comes_back_without_its_forwarding_state_loses_its_stale_routes_at_once() -> None:
    """RFC 4724 4.2: the bit is not set, so nothing was preserved and frames to the old rows are lost."""
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.down(A)
    held = feed.stale()

    feed.up(A, forwarding=False)

    assert (held, feed.macs()) == ([ONE, TWO], [])


def test_a_peer_that_comes_back_without_graceful_restart_loses_its_stale_routes_at_once() -> None:
    """RFC 4724 4.2: the capability is not received in the new session."""
    feed = Feed()
    feed.ready(A, ONE)
    feed.down(A)

    feed.up(A, restart_s=None)

    assert feed.macs() == []


def test_the_forwarding_bit_does_not_matter_for_routes_that_our_own_restart_left() -> None:
    """The peer did not restart: it was our ExaBGP."""
    feed = Feed()
    feed.ready(A, ONE, forwarding=False)
    feed.rib.lose_feed(feed.now)

    feed.up(A, forwarding=False)

    assert feed.stale() == [ONE]


# Very many routes of one MAC


def hosts(peer: str, mac: str, count: int, first: int = 1) -> list[wire.Route]:
    return [route(peer, mac, ip=f"172.16.{number >> 8}.{number & 255}") for number in range(first, first + count)]


def of_mac(feed: Feed, peer: str, mac: str) -> int:
    return sum(str(found.peer) == peer for found in feed.rib.index.routes_of(Mac.parse(mac)))


def test_a_peer_may_have_so_many_routes_of_one_mac_and_another_peer_as_many() -> None:
    feed = Feed(routes_per_mac=10)
    feed.ready(A)
    feed.ready(B)

    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 25)), feed.lines.announce(A, route(A, TWO)))
    feed.receive(feed.lines.announce(B, *hosts(B, ONE, 10)))

    assert (of_mac(feed, A, ONE), of_mac(feed, B, ONE), feed.macs()) == (10, 10, [ONE, TWO])
    assert (feed.peer(A).refused_count, [str(found.mac) for found in feed.rib.refused_routes(Mac.parse(ONE))]) == (
        15,
        [ONE],
    )
    assert feed.peer(B).refused == {}


def test_a_route_of_a_full_mac_that_comes_again_is_taken() -> None:
    feed = Feed(routes_per_mac=10)
    feed.ready(A)
    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 10)))

    feed.receive(feed.lines.announce(A, route(A, ONE, ip="172.16.0.1", seq=7)))

    assert max(found.attributes.seq for found in feed.rib.index.routes_of(Mac.parse(ONE))) == 7
    assert feed.peer(A).refused_count == 0


def test_refused_routes_of_a_mac_are_requested_when_a_tenth_of_the_limit_is_free() -> None:
    feed = Feed(routes_per_mac=20)
    feed.ready(A)
    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 22)))
    first, second = hosts(A, ONE, 2)

    feed.receive(feed.lines.withdraw(A, first.nlri))
    too_early = feed.asked()
    feed.receive(feed.lines.withdraw(A, second.nlri))

    assert (too_early, feed.asked()) == ([], [A])
    feed.begin(A)
    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 20, first=3)))
    feed.finish(A)
    assert (of_mac(feed, A, ONE), feed.peer(A).refused) == (20, {})


def test_a_higher_limit_requests_the_refused_routes_of_a_mac() -> None:
    feed = Feed(routes_per_mac=10)
    feed.ready(A)
    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 12)))

    feed.rib.reconfigure(Holds(routes_per_mac=20), feed.now)

    assert feed.asked() == [A]


def test_a_session_that_flaps_gets_all_its_routes_of_a_mac_back() -> None:
    """Those of the old session are leaving, and do not count against those of the new one."""
    feed = Feed(routes_per_mac=10)
    feed.ready(A, restart_s=None)
    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 10)))
    feed.down(A, "notification received (6,4)")

    feed.up(A)
    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 10, first=100)))
    feed.rib.index.take_changed()

    assert (of_mac(feed, A, ONE), feed.peer(A).refused_count) == (10, 0)


def test_routes_of_a_mac_for_which_stale_ones_took_the_room_are_requested_when_those_go() -> None:
    """A peer that comes back with another Route Distinguisher sends all its routes as new ones."""
    feed = Feed(routes_per_mac=10)
    feed.ready(A)
    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 10)))
    feed.down(A)
    feed.up(A)
    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 10, first=100)))

    feed.end(A)

    assert (feed.asked(), feed.peer(A).refused, feed.rib.refused_routes(Mac.parse(ONE))) == ([A], {}, [])


@pytest.mark.parametrize("before", [2, 20], ids=["shared", "its own"])
def test_a_peer_whose_last_routes_are_leaving_may_have_no_more_of_a_mac_than_others(before: int) -> None:
    feed = Feed(routes_per_mac=20)
    feed.ready(A, restart_s=None)
    feed.receive(feed.lines.announce(A, route(A, TWO), *hosts(A, ONE, before)))
    feed.down(A, "notification received (6,4)")

    feed.up(A)
    feed.receive(feed.lines.announce(A, *hosts(A, ONE, 25, first=100)))
    is_leaving = bool(feed.rib.index.leaving)
    feed.rib.index.take_changed()

    assert (is_leaving, of_mac(feed, A, ONE), feed.peer(A).refused_count) == (True, 20, 5)


def test_a_mac_with_thousands_of_routes_costs_one_step_for_each_change() -> None:
    """Ten times the routes take about ten times the time, where a copy for each change would take a hundred times."""

    def seconds(count: int) -> float:
        index, epoch, several = Index(), Epoch(), _several(count)
        began = time.process_time()
        for key, found in several:
            index.put(key, None, (found, epoch))
        for key, found in several:
            index.put(key, (found, epoch), None)
        return time.process_time() - began

    seconds(1_000)
    few, many = (min(seconds(count) for _ in range(3)) for count in (1_000, 10_000))

    assert many < 40 * few


def _several(count: int) -> list[tuple[bytes, MacIp]]:
    made = [
        MacIp(Ip.parse(A), Attributes(Ip.parse(A)), RD, 0, Mac.parse(ONE), 100, Ip(b"\x0a" + number.to_bytes(3)))
        for number in range(count)
    ]
    return [(found.key, found) for found in made]


# Our side ends the session

UNREADABLE = [
    "notification sent (1,2)",
    "notification sent (3,1)",
    "notification sent (7,1)",
    "notification sent (2,1)",
    "notification sent (5,1)",
    "peer reset, message (notification sent (3,5)) error(UPDATE message error / Attribute Length Error / 30)",
    "",
    "peer reset, message () error()",
]


@pytest.mark.parametrize("reason", UNREADABLE)
def test_a_session_that_our_side_ended_for_a_bad_message_leaves_its_routes_stale(reason: str) -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO, restart_s=None)

    feed.down(A, reason)

    assert (feed.stale(), feed.peer(A).hold) == ([ONE, TWO], Hold.RESET)


@pytest.mark.parametrize(
    "reason", ["notification sent (4,0)", "notification sent (6,4)", "notification received (3,1)"]
)
def test_a_session_that_ended_for_another_reason_does_not(reason: str) -> None:
    feed = Feed()
    feed.ready(A, ONE, restart_s=None)

    feed.down(A, reason)

    assert (feed.macs(), feed.peer(A).reset) == ([], None)


def test_a_peer_that_sends_the_bad_message_in_every_session_keeps_the_routes_behind_it() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO, THREE)
    for _ in range(20):
        feed.down(A, "notification sent (3,1)")
        feed.wait(5)
        feed.up(A)
        feed.advertise(A, ONE)
        feed.wait(1)

    assert feed.macs() == [ONE, TWO, THREE]
    assert feed.peer(A).reset.times == 20


def test_the_hold_after_resets_ends_though_the_resets_go_on() -> None:
    feed = Feed(restart_max_s=600)
    feed.ready(A, ONE, TWO)
    while feed.now < 700:
        feed.down(A, "notification sent (3,1)")
        feed.wait(5)
        feed.up(A)
        feed.advertise(A, ONE)
        feed.wait(5)

    assert feed.macs() == [ONE]


def test_end_of_rib_after_a_reset_ends_the_hold_and_the_alert() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.down(A, "notification sent (3,1)")
    feed.up(A)
    feed.advertise(A, ONE)
    during = str(feed.peer(A).reset)

    feed.end(A)

    assert during == (
        "this side ended the session once because of an UPDATE that it could not read: NOTIFICATION 3/1, Malformed Attribute List"
    )
    assert (feed.macs(), feed.stale(), feed.peer(A).reset, feed.peer(A).hold) == ([ONE], [], None, Hold.NONE)


def test_a_peer_that_never_comes_back_after_a_reset_loses_its_routes_when_the_hold_ends() -> None:
    feed = Feed(restart_max_s=600)
    feed.ready(A, ONE)
    feed.down(A, "notification sent (3,9)")

    feed.wait(599)
    before = feed.stale()
    feed.wait(1)

    assert (before, feed.macs()) == ([ONE], [])


def test_a_peer_that_leaves_by_itself_after_a_reset_takes_its_routes_along() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.down(A, "notification sent (3,1)")
    feed.up(A)
    feed.advertise(A, ONE)

    feed.down(A, "notification received (6,2)")

    assert (feed.macs(), feed.peer(A).reset) == ([], None)


def test_a_reset_holds_the_routes_of_its_own_peer_only() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    feed.ready(B, TWO)

    feed.down(A, "notification sent (3,1)")

    assert (feed.stale(), feed.macs()) == ([ONE], [ONE, TWO])


def test_tries_that_come_to_nothing_change_nothing() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    feed.down(A)
    deadline = feed.rib.due

    feed.wait(5)
    feed.down(A)

    assert (feed.stale(), feed.rib.due) == ([ONE], deadline)


def test_a_session_that_opens_again_without_a_down_is_a_new_one() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)

    feed.up(A)
    feed.advertise(A, ONE)
    held = feed.stale()
    feed.end(A)

    assert (held, feed.macs()) == ([TWO], [ONE])


def test_routes_from_a_peer_whose_opening_was_lost_count() -> None:
    feed = Feed()

    feed.advertise(A, ONE)

    assert (feed.macs(), feed.peer(A).up) == ([ONE], True)


def test_what_becomes_stale_is_judged_again() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    feed.rib.index.take_changed()

    feed.down(A)

    assert feed.rib.index.take_changed().macs == {Mac.parse(ONE)}


# ExaBGP goes and comes


def new_pid(feed: Feed) -> None:
    feed.lines = Lines(pid=78)
    feed.receive(feed.lines.opened(A, 120))


def shutdown(feed: Feed) -> None:
    for peer in (A, B):
        feed.down(peer, "stop, message [shutting down]")
    feed.receive(feed.lines.shutdown())
    feed.lines = Lines(pid=78)


def end_of_file(feed: Feed) -> None:
    feed.rib.lose_feed(feed.now)
    feed.lines = Lines(pid=78)


GOES = pytest.mark.parametrize("go", [new_pid, shutdown, end_of_file], ids=lambda go: go.__name__)


@GOES
def test_v76_an_exabgp_that_goes_leaves_everything_stale_and_the_picture_incomplete(go) -> None:
    feed = Feed()
    feed.ready(A, ONE, restart_s=None)
    feed.ready(B, TWO)

    go(feed)

    assert (feed.rib.complete, feed.macs(), feed.stale()) == (False, [ONE, TWO], [ONE, TWO])
    assert not feed.peer(A).up
    assert feed.rib.why == f"waiting for End-of-RIB from {A}, {B}"


@GOES
def test_v76_end_of_rib_of_the_new_exabgp_sweeps(go) -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.ready(B, THREE)
    go(feed)

    feed.up(A)
    feed.advertise(A, ONE)
    feed.up(B)
    feed.advertise(B, THREE)
    before = feed.macs()
    feed.end(A)
    feed.end(B)

    assert (before, feed.macs(), feed.stale(), feed.rib.complete) == ([ONE, TWO, THREE], [ONE, THREE], [], True)
    assert feed.rib.counters.gaps == 0


def test_a_helper_process_that_exabgp_gave_up_is_exabgps_end_not_the_peers() -> None:
    feed = Feed()
    feed.ready(A, ONE, restart_s=None)

    feed.down(A, "peer reset, message (process problem) error(...)")

    assert (feed.rib.complete, feed.stale()) == (False, [ONE])


def test_a_peer_that_never_comes_back_is_given_up_at_the_deadline() -> None:
    feed = Feed(initial_s=60)
    feed.ready(A, ONE)
    feed.ready(B, TWO)
    feed.rib.lose_feed(feed.now)
    feed.ready(A, ONE)

    feed.wait(59)
    before = feed.macs()
    feed.wait(1)

    assert (before, feed.macs(), feed.rib.complete) == ([ONE, TWO], [ONE], True)


def test_an_unexpected_peer_that_never_comes_back_is_given_up_too() -> None:
    feed = Feed(expected=(A,), initial_s=60)
    feed.ready(A, ONE)
    feed.ready(B, TWO)
    feed.rib.lose_feed(feed.now)

    feed.ready(A, ONE)
    completed = (feed.rib.complete, feed.macs())
    feed.wait(60)

    assert (completed, feed.macs()) == ((True, [ONE, TWO]), [ONE])


def test_keep_never_gives_up_what_was_left_behind() -> None:
    feed = Feed(initial_s=60, on_deadline="keep")
    feed.ready(A, ONE)
    feed.rib.lose_feed(feed.now)

    feed.wait(10_000)

    assert (feed.stale(), feed.rib.complete) == ([ONE], False)


def test_a_peer_without_routes_that_was_down_is_forgotten_with_its_exabgp() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    feed.down(B)

    feed.rib.lose_feed(feed.now)

    assert [str(peer) for peer in feed.rib.peers] == [A]


# A lost line


def test_a_gap_requests_a_refresh_of_its_own_peer_only() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    feed.ready(B, TWO)

    feed.lose_line(A)

    assert (feed.asked(), feed.asked(), feed.rib.counters.gaps) == ([A], [], 1)


def test_between_the_markers_of_a_refresh_nothing_goes_and_afterwards_what_did_not_come() -> None:
    """RFC 7313 4."""
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.lose_line(A)
    feed.asked()

    feed.begin(A)
    feed.advertise(A, TWO)
    between = (feed.macs(), feed.stale())
    feed.finish(A)

    assert (between, feed.macs()) == (([ONE, TWO], []), [TWO])


def test_a_refresh_that_brings_the_same_routes_again_is_nothing_to_judge() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.rib.index.take_changed()

    feed.begin(A)
    feed.advertise(A, ONE, TWO)
    feed.finish(A)

    assert (feed.macs(), feed.rib.index.work, bool(feed.rib.index.take_changed())) == ([ONE, TWO], 0, False)


def test_of_a_group_of_macs_as_many_are_taken_as_the_peer_may_have() -> None:
    feed = Feed(routes_per_peer=2)
    feed.ready(A, ONE)

    feed.advertise(A, ONE, TWO, THREE)

    assert (feed.macs(), len(feed.peer(A)), feed.peer(A).limited) == ([ONE, TWO], 2, 1)


def test_a_lower_limit_by_a_reload_takes_no_new_route_of_a_group_and_keeps_those_there() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO, THREE)
    feed.rib.reconfigure(Holds(routes_per_peer=2), feed.now)

    feed.advertise(A, *(f"02:00:00:00:01:{number:02x}" for number in range(4)))

    assert (feed.macs(), feed.peer(A).limited) == ([ONE, TWO, THREE], 4)


def test_a_gap_within_a_refresh_sweeps_nothing_and_asks_again() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.lose_line(A)
    feed.asked()
    feed.begin(A)
    feed.advertise(A, TWO)
    feed.lose_line(A)

    feed.finish(A)
    kept = feed.macs()
    feed.wait(REFRESH_WAIT_S)
    still = feed.macs()

    assert (kept, still, feed.asked()) == ([ONE, TWO], [ONE, TWO], [A])
    feed.begin(A)
    feed.advertise(A, TWO)
    feed.finish(A)
    assert feed.macs() == [TWO]


def test_an_end_of_rib_after_a_gap_ends_nothing_and_loses_no_refresh() -> None:
    """RFC 7313 4: a refresh begins after End-of-RIB, so the one that was asked for is still to come."""
    feed = Feed()
    feed.ready(A, ONE)
    feed.rib.lose_feed(feed.now)
    feed.lines = Lines(pid=78)
    feed.up(A)
    feed.lose_line(A)
    feed.asked()

    feed.end(A)

    assert (feed.macs(), feed.rib.complete, feed.peer(A).refresh) == ([ONE], False, Refresh.REQUESTED)
    feed.begin(A)
    feed.advertise(A, TWO)
    feed.finish(A)
    assert (feed.macs(), feed.rib.complete) == ([TWO], True)


def test_a_refresh_that_was_asked_and_never_begun_is_asked_again() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    feed.lose_line(A)
    feed.asked()

    feed.wait(REFRESH_WAIT_S - 1)
    before = feed.asked()
    feed.wait(1)

    assert (before, feed.asked(), feed.macs()) == ([], [A], [ONE])


def test_a_refresh_that_stops_in_its_middle_is_asked_again() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.begin(A)
    feed.wait(REFRESH_WAIT_S - 1)
    feed.advertise(A, TWO)

    feed.wait(REFRESH_WAIT_S - 1)
    before = feed.asked()
    feed.wait(1)

    assert (before, feed.asked(), feed.macs()) == ([], [A], [ONE, TWO])


def test_a_peer_without_enhanced_refresh_has_ended_when_it_is_quiet() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO, enhanced=False)
    feed.lose_line(A)
    feed.asked()
    feed.wait(3)
    feed.advertise(A, TWO)

    feed.wait(QUIET_S - 1)
    before = feed.macs()
    feed.wait(1)

    assert (before, feed.macs()) == ([ONE, TWO], [TWO])


def test_a_withdraw_is_a_sign_of_life_too() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO, THREE, enhanced=False)
    feed.lose_line(A)
    feed.asked()
    feed.advertise(A, TWO)
    feed.wait(QUIET_S - 1)
    feed.receive(feed.lines.withdraw(A, route(A, THREE).nlri))

    feed.wait(QUIET_S - 1)

    assert feed.macs() == [ONE, TWO]


def test_a_peer_without_enhanced_refresh_may_take_long_to_begin() -> None:
    """Its routes must not go because it paces its answer, as the advertisement interval may (RFC 4271 9.2.1.1)."""
    feed = Feed()
    feed.ready(A, ONE, enhanced=False)
    feed.lose_line(A)
    feed.asked()

    feed.wait(REFRESH_WAIT_S - 1)
    feed.advertise(A, ONE)
    feed.wait(QUIET_S)

    assert feed.macs() == [ONE]


def test_a_peer_without_enhanced_refresh_that_stays_silent_has_nothing_left() -> None:
    feed = Feed()
    feed.ready(A, ONE, enhanced=False)
    feed.lose_line(A)
    feed.asked()

    feed.wait(REFRESH_WAIT_S)

    assert feed.macs() == []


def test_the_silence_of_a_peer_whose_open_is_unknown_ends_no_refresh() -> None:
    feed = Feed()
    feed.advertise(A, ONE)
    feed.lose_line(A)

    asked = feed.asked()
    feed.wait(REFRESH_WAIT_S)

    assert (asked, feed.macs(), feed.asked()) == ([A], [ONE], [])


def test_a_gap_within_a_refresh_that_marks_no_end_asks_again_and_sweeps_nothing() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO, enhanced=False)
    feed.lose_line(A)
    feed.asked()
    feed.advertise(A, TWO)
    feed.lose_line(A)

    feed.wait(QUIET_S)

    assert (feed.macs(), feed.asked()) == ([ONE, TWO], [A])


def test_the_end_of_rib_does_not_end_a_refresh_that_a_lost_line_made_necessary() -> None:
    feed = Feed()
    feed.up(A, enhanced=False)
    feed.advertise(A, ONE)
    feed.lose_line(A)
    feed.asked()

    feed.end(A)
    at_end = (feed.macs(), feed.rib.complete)
    feed.advertise(A, ONE)
    feed.wait(QUIET_S)

    assert (at_end, feed.macs(), feed.rib.complete) == (([ONE], False), [ONE], True)


def test_a_peer_that_cannot_refresh_is_not_asked_and_keeps_its_routes() -> None:
    feed = Feed()
    feed.ready(A, ONE, refresh=False, enhanced=False)

    feed.lose_line(A)
    feed.wait(1000)

    assert (feed.asked(), feed.macs(), feed.rib.counters.gaps) == ([], [ONE], 1)


def test_in_a_recorded_stream_a_gap_is_counted_and_nothing_waits_for_it() -> None:
    feed = Feed(asks=False)
    feed.up(A, restart_s=None)
    feed.advertise(A, ONE)
    feed.lose_line(A)

    feed.end(A)

    assert (feed.rib.complete, feed.rib.counters.gaps, feed.rib.due) == (True, 1, None)


def test_a_peer_without_graceful_restart_is_asked_since_it_sends_no_end_of_rib() -> None:
    feed = Feed()

    feed.up(A, restart_s=None)
    asked = feed.asked()
    feed.begin(A)
    feed.advertise(A, ONE)
    feed.finish(A)

    assert (asked, feed.rib.complete) == ([A], True)


def test_a_refresh_leaves_what_an_older_session_left_as_stale_as_it_is() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.down(A)
    feed.up(A)
    feed.advertise(A, ONE)

    feed.begin(A)
    between = (feed.macs(), feed.stale())
    feed.finish(A)

    assert (between, feed.macs()) == (([ONE, TWO], [TWO]), [])


def test_stale_routes_wait_for_a_refresh_under_way() -> None:
    feed = Feed(initial_s=50)
    feed.ready(A, ONE)
    feed.down(A)
    feed.up(A)
    feed.wait(45)
    feed.begin(A)

    feed.wait(20)
    waiting = feed.macs()
    feed.advertise(A, ONE)
    feed.finish(A)

    assert (waiting, feed.macs(), feed.stale()) == ([ONE], [ONE], [])


def test_a_session_that_is_lost_during_a_refresh_leaves_all_its_routes_stale() -> None:
    feed = Feed()
    feed.ready(A, ONE, TWO)
    feed.begin(A)
    feed.advertise(A, TWO)

    feed.down(A)

    assert (feed.stale(), feed.peer(A).refresh) == ([ONE, TWO], Refresh.IDLE)


def test_replayed_states_prove_no_gap() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    feed.lines.lose_one(A)

    feed.receive(feed.lines.up(A), replayed=True)

    assert (feed.rib.counters.gaps, feed.stale()) == (0, [])


def test_after_a_replayed_state_the_counter_may_begin_anywhere() -> None:
    feed = Feed()
    feed.receive(feed.lines.opened(A, 120), feed.lines.up(A), replayed=True)
    for _ in range(5):
        feed.lines.lose_one(A)

    feed.advertise(A, ONE)

    assert feed.rib.counters.gaps == 0


@pytest.mark.parametrize("restart_s", [None, 120])
@pytest.mark.parametrize("enhanced", [True, False])
def test_a_daemon_that_starts_after_exabgp_completes_by_a_refresh_of_every_peer(restart_s, enhanced) -> None:
    feed = Feed()
    feed.rib.lose_lines()
    asked = feed.asked()
    feed.receive(feed.lines.opened(A, restart_s, enhanced=enhanced), feed.lines.up(A), replayed=True)

    again = feed.asked()
    if enhanced:
        feed.begin(A)
    feed.advertise(A, ONE)
    if enhanced:
        feed.finish(A)
    feed.wait(QUIET_S)

    assert (asked, feed.rib.complete, feed.macs()) == (["everyone"], True, [ONE])
    assert again == []


def test_lost_lines_and_replayed_openings_do_not_make_living_routes_stale() -> None:
    feed = Feed(initial_s=50)
    feed.ready(A, ONE, refresh=False, enhanced=False)
    feed.rib.lose_lines()

    feed.receive(feed.lines.up(A), replayed=True)
    feed.wait(1000)

    assert (feed.macs(), feed.stale()) == ([ONE], [])


def test_routes_of_an_unknown_peer_after_a_request_to_every_peer_are_its_answer() -> None:
    feed = Feed()
    feed.rib.lose_lines()
    feed.asked()

    feed.advertise(A, ONE)
    before = feed.rib.complete
    feed.wait(QUIET_S)

    assert (before, feed.rib.complete) == (False, True)


def test_an_answer_of_the_exabgp_before_is_not_waited_for() -> None:
    feed = Feed()
    feed.rib.lose_lines()
    feed.asked()
    feed.rib.lose_feed(feed.now)

    feed.advertise(A, ONE)
    feed.wait(QUIET_S)

    assert not feed.rib.complete


def test_every_peer_is_asked_at_most_every_ten_seconds() -> None:
    feed = Feed()
    asked = []
    for _ in range(25):
        feed.rib.lose_lines()
        asked.append(feed.asked())
        feed.wait(1)

    assert [second for second, whom in enumerate(asked) if whom] == [0, ASK_AGAIN_S, 2 * ASK_AGAIN_S]


def test_lines_that_are_bad_for_ever_ask_their_peer_at_most_every_ten_seconds() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    asked = []
    for _ in range(25):
        feed.rib.lose_lines(Ip.parse(A))
        asked.append(feed.asked())
        feed.begin(A)
        feed.advertise(A, ONE)
        feed.finish(A)
        feed.rib.lose_lines(Ip.parse(A))
        asked.append(feed.asked())
        feed.wait(1)

    assert [second // 2 for second, whom in enumerate(asked) if whom] == [0, ASK_AGAIN_S, 2 * ASK_AGAIN_S]
    assert feed.macs() == [ONE]


def test_the_next_request_to_a_peer_is_due_ten_seconds_later() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    feed.lose_line(A)
    feed.asked()
    feed.begin(A)
    feed.finish(A)
    feed.lose_line(A)

    assert (feed.asked(), feed.rib.due) == ([], ASK_AGAIN_S)
    feed.wait(ASK_AGAIN_S)
    assert feed.asked() == [A]


def test_the_next_request_to_every_peer_is_due_ten_seconds_later() -> None:
    feed = Feed(initial_s=1000)
    feed.rib.lose_lines()
    feed.asked()

    feed.rib.lose_lines()

    assert (feed.asked(), feed.rib.due) == ([], ASK_AGAIN_S)


def test_a_peer_that_is_down_is_not_asked() -> None:
    feed = Feed()
    feed.ready(A, ONE)
    feed.down(A)

    feed.rib.lose_lines(Ip.parse(A))

    assert feed.asked() == []


def test_the_end_of_a_refresh_whose_beginning_was_not_received_ends_nothing() -> None:
    """A daemon before us requested it, and we received a part of it (RFC 7313 4)."""
    feed = Feed()
    feed.rib.lose_lines()
    feed.asked()
    feed.receive(feed.lines.opened(A, 120), feed.lines.up(A), replayed=True)

    feed.advertise(A, ONE)
    feed.finish(A)
    after_the_first = feed.rib.complete
    feed.begin(A)
    feed.advertise(A, ONE)
    feed.finish(A)

    assert (after_the_first, feed.rib.complete) == (False, True)


def test_an_end_of_rib_after_a_replayed_opening_completes_nothing() -> None:
    """The table's beginning went by before we were there."""
    feed = Feed()
    feed.rib.lose_lines()
    feed.asked()
    feed.receive(feed.lines.opened(A, 120), feed.lines.up(A), replayed=True)

    feed.advertise(A, ONE)
    feed.receive(feed.lines.end_of_rib(A))

    assert not feed.rib.complete


@pytest.mark.parametrize("enhanced", [True, False])
def test_a_peer_whose_end_of_rib_never_comes_is_asked_for_a_refresh_when_it_is_quiet(enhanced) -> None:
    feed = Feed()
    feed.receive(feed.lines.opened(A, 120, enhanced=enhanced), feed.lines.up(A))
    feed.advertise(A, ONE)
    feed.wait(REFRESH_WAIT_S - 5)
    too_early = feed.asked()

    feed.wait(5)

    assert (too_early, feed.asked()) == ([], [A])


# Stations of our own


def a_station(mac: int = 1, vni: int = 100) -> Station:
    return Station(Vni(vni), Mac(bytes((2, 0, 0, 0, 0, mac))), "swp1")


def test_only_so_many_sequences_are_remembered_and_the_oldest_goes_first(monkeypatch) -> None:
    monkeypatch.setattr("vtep.evpn.rib.SEQS_MAX", 2)
    rib = Rib(Holds(), 0.0)
    rib.remember({a_station(mac).key: mac for mac in (1, 2, 3)})

    for mac in (1, 2, 3):
        rib.learn_station(a_station(mac), None)

    assert [rib.local_claim(*a_station(mac).key).seq for mac in (1, 2, 3)] == [0, 2, 3]


def test_a_leave_to_announce_has_only_the_stations_of_its_vni_judged_again() -> None:
    rib = Rib(Holds(), 0.0)
    here, elsewhere = a_station(1), a_station(2, vni=200)
    rib.learn_station(here, None)
    rib.learn_station(elsewhere, None)
    rib.index.take_changed()

    rib.set_advertising(frozenset({Vni(100)}))
    first = rib.index.take_changed().macs
    rib.set_advertising(frozenset({Vni(100)}))

    assert (first, rib.index.take_changed().macs) == ({here.mac}, set())


def test_others_may_have_our_routes_while_a_session_is_there_or_a_peer_is_restarting() -> None:
    feed = Feed()
    heard = [feed.rib.is_heard]
    feed.ready(A, ONE, restart_s=120)
    heard.append(feed.rib.is_heard)
    feed.down(A)
    heard.append(feed.rib.is_heard)
    feed.wait(120)
    heard.append(feed.rib.is_heard)

    assert heard == [False, True, True, False]
