"""Any history of events, with time passing anywhere: the index says what the peers' tables say, and the end is the truth."""

from collections import Counter
from itertools import chain
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.examples import examples
from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Prefix, RouteDistinguisher
from vtep.evpn import crowd, said
from vtep.evpn.attributes import Attributes
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.event import (
    Announced,
    EndOfRib,
    PeerOpened,
    Received,
    RefreshBegan,
    RefreshEnded,
    SessionClosed,
    SessionOpened,
    SpeakerStopped,
    Withdrawn,
)
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.peer import Holds, Refresh
from vtep.evpn.prefix import IpPrefix, shared
from vtep.evpn.rib import AdjRibIn, Rib
from vtep.store.sharded import SHARDS

PEERS = [Ip.parse(f"10.0.0.{number}") for number in (1, 2, 3)]
MACS = [Mac.parse(f"02:00:00:00:00:0{number}") for number in (1, 2, 3)]
HOSTS = [Ip.parse(f"172.16.0.{number}") for number in (1, 2)]
RD = RouteDistinguisher.parse("65000:1")
ESIS = [Esi(bytes((3, *([0] * 8), number))) for number in (1, 2)]

often = st.sampled_from
peers = often(PEERS)
attributes = st.builds(Attributes, next_hop=peers, seq=st.integers(0, 2))
mac_routes = st.builds(
    MacIp, peer=peers, attributes=attributes, rd=st.just(RD), tag=often([0, 0, 1, 2, 3]), mac=often(MACS), label=st.just(100),
    ip=often([None, None, *HOSTS]), esi=often([NO_SEGMENT, *ESIS]),
)  # fmt: skip
ads = st.builds(
    EthernetAd, peer=peers, attributes=attributes, rd=st.just(RD), esi=often(ESIS), tag=often([0, 0xFFFFFFFF]),
    label=st.just(100),
)  # fmt: skip

prefixes = st.builds(
    IpPrefix, peer=peers, attributes=attributes, rd=st.just(RD), tag=st.just(0), network=often([bytes(4), bytes((10, 0, 0, 0))]),
    length=st.just(8), label=st.just(4001),
)  # fmt: skip


def key_of(route):
    if isinstance(route, IpPrefix):
        return b"\x05" + route.rd + bytes(4) + bytes((route.length,)) + route.network
    return route.key if isinstance(route, MacIp) else b"\x01" + route.rd + route.esi + route.tag.to_bytes(4)


announced = (mac_routes | ads | prefixes).map(lambda route: Announced(route.peer, {key_of(route): route}))
withdrawn = (mac_routes | ads | prefixes).map(lambda route: Withdrawn(route.peer, (key_of(route),)))
opened = st.builds(
    PeerOpened, peers, often([None, 30, 120]), st.booleans(), refresh=st.booleans(), enhanced_refresh=st.booleans()
)
closed = st.builds(
    SessionClosed, peers, st.just("closing connection"), st.booleans(), often([False, False, False, True])
)
sessions = st.builds(SessionOpened, peers) | opened | closed
marks = st.builds(EndOfRib, peers) | st.builds(RefreshBegan, peers) | st.builds(RefreshEnded, peers)
events = announced | announced | withdrawn | sessions | marks
steps = st.lists(
    st.tuples(
        often([0.0, 1.0, 9.0, 30.0, 61.0]),
        events
        | events
        | st.just(SpeakerStopped())
        | often(["tick", "ask", "miss everything", "lose the feed"])
        | peers.map(lambda peer: ("miss", peer)),
        st.booleans(),
    ),
    max_size=25,
)
holds = st.builds(
    Holds, peer_down_s=often([0.0, 40.0]), on_deadline=often(["auto", "keep", "complete"]), expected=often([(), PEERS[:1]]),
    routes_per_peer=often([2, 1000]), routes_per_mac=often([2, 1000]),
)  # fmt: skip


def play(rib: Rib, step: object, now: float, replayed: bool = False) -> None:
    rib.tick(now)
    match step:
        case "tick":
            pass
        case "ask":
            rib.take_refreshes(now)
        case "miss everything":
            rib.lose_lines()
        case "lose the feed":
            rib.lose_feed(now)
        case ("miss", peer):
            rib.lose_lines(peer)
        case _:
            rib.receive(Received((step,), replayed=replayed), now)


def tables(rib: Rib) -> dict[tuple[Ip, bytes], object]:
    """Every route, by peer and key; a key that a peer has twice is a fault."""
    found = {}
    for peer in rib.peers:
        for key in chain.from_iterable(rib.keys(peer, part) for part in range(SHARDS)):
            assert (peer, key) not in found
            found[peer, key], _ = rib.find(peer, key)
    return found


def is_stale(rib: Rib, route: MacIp) -> bool:
    """Whether it is stale or leaving."""
    found = rib.find(route.peer, route.key)
    return found is None or found[1]


def check_index(rib: Rib) -> None:
    routes = tables(rib)
    by_mac: dict[Mac, set[MacIp]] = {}
    by_segment: dict[Esi, set[EthernetAd]] = {}
    by_prefix: dict[Prefix, Counter[IpPrefix]] = {}
    for route in routes.values():
        if isinstance(route, MacIp):
            by_mac.setdefault(route.mac, set()).add(route)
        elif isinstance(route, IpPrefix):
            by_prefix.setdefault(Prefix.of(route.network, route.length), Counter())[shared(route)] += 1
        else:
            by_segment.setdefault(route.esi, set()).add(route)
    assert {mac: set(rib.index.routes_of(mac)) for mac in rib.index.everything().macs} == by_mac
    assert sum(len(rib.index.routes_of(mac)) for mac in rib.index.everything().macs) == sum(map(len, by_mac.values()))
    assert {prefix: Counter(rib.index.prefixes.of(prefix)) for prefix in rib.index.prefixes} == by_prefix
    assert {
        esi: found for esi in ESIS if (found := {*rib.index.ads_at(esi, 0, 100), *rib.index.ads_at(esi, PER_ES_TAG, 0)})
    } == by_segment


def check_peer(peer: AdjRibIn) -> None:
    assert peer.up or not (peer.fresh or peer.suspect or peer.refresh is not Refresh.IDLE)
    assert (peer.refresh is not Refresh.IDLE) == (peer.refresh_due is not None)


@given(holds, steps)
@settings(deadline=None, max_examples=examples(200))
def test_the_index_equals_the_peers_routes(hold, history):
    rib, now = Rib(hold, 0.0), 0.0
    for seconds, step, replayed in history:
        now += seconds
        play(rib, step, now, replayed)

        check_index(rib)
        for peer in rib.peers.values():
            check_peer(peer)
            assert len(peer) <= hold.routes_per_peer
            assert len(peer) == sum(address == peer.address for address, _ in tables(rib))


@given(holds, steps)
@settings(deadline=None, max_examples=examples(100))
def test_the_index_equals_the_peers_routes_where_two_of_a_mac_are_very_many(hold, history):
    with patch.multiple(crowd, MOST=1, LEAST=1), patch.object(said, "SHARED_MAX", 2):
        rib, now = Rib(hold, 0.0), 0.0
        for seconds, step, replayed in history:
            now += seconds
            play(rib, step, now, replayed)

            check_index(rib)


@given(holds, steps, st.sampled_from([1, 8]), st.sampled_from([1, 3, 30]))
@settings(deadline=None, max_examples=examples(300))
def test_routes_that_leave_in_parts_are_exactly_those_that_should(hold, history, work, pace):
    rib, now = Rib(hold, 0.0), 0.0
    for number, (seconds, step, replayed) in enumerate(history):
        now += seconds
        play(rib, step, now, replayed)
        if number % pace == pace - 1:
            rib.index.take_changed(work)

        there = [route for mac in MACS for route in rib.index.routes_of(mac)]
        assert {route for route in tables(rib).values() if isinstance(route, MacIp)} <= set(there)
        assert len({(route.peer, route.key) for route in there}) == len(there)
        assert all(is_stale(rib, route) for route in set(there).difference(tables(rib).values()))
    while rib.index.work:
        rib.index.take_changed(work)

    check_index(rib)
    assert rib.index.routes == Counter(map(type, tables(rib).values()))


@given(holds, steps)
@settings(deadline=None, max_examples=examples(200))
def test_every_change_is_marked(hold, history):
    def seen(rib):
        return {
            mac: {(route, is_stale(rib, route)) for route in rib.index.routes_of(mac)} | {
                ad for route in rib.index.routes_of(mac) for tag in (0, PER_ES_TAG) for ad in rib.index.ads_at(route.esi, tag, 100)
            }
            for mac in MACS
        }  # fmt: skip

    rib, now = Rib(hold, 0.0), 0.0
    for seconds, step, replayed in history:
        now += seconds
        before = seen(rib)
        play(rib, step, now, replayed)
        after = seen(rib)

        assert {mac for mac in MACS if before[mac] != after[mac]} <= rib.index.take_changed().macs


AGAIN = (1.0, "again", False)


@given(holds, steps)
@settings(deadline=None, max_examples=examples(80))
def test_the_age_of_a_route_is_that_of_its_content(hold, history):
    """Each step comes twice, so that routes come again with the same content."""
    rib, now = Rib(hold, 0.0), 0.0
    since: dict[tuple[Ip, bytes], float] = {}
    last: object = "tick"
    for seconds, step, replayed in [one for pair in zip(history, [AGAIN] * len(history), strict=True) for one in pair]:
        now += seconds
        rib.tick(now)
        before = tables(rib)
        last = last if step == "again" else step
        play(rib, last, now, replayed)
        after = tables(rib)
        since = {key: since[key] if before.get(key) == route else now for key, route in after.items()}

        assert {(peer, key): rib.ages.of(peer, key).since for peer, key in after} == since


@given(holds, steps)
@settings(deadline=None, max_examples=examples(150))
def test_no_peer_is_asked_twice_within_ten_seconds(hold, history):
    rib, now = Rib(hold, 0.0), 0.0
    asked_at: dict[Ip | None, float] = {}
    for seconds, step, replayed in history:
        now += seconds
        play(rib, step, now, replayed)
        for whom in rib.take_refreshes(now):
            assert now >= asked_at.get(whom, -10.0) + 10
            asked_at[whom] = now


@given(holds, steps)
@settings(deadline=None, max_examples=examples(150))
def test_time_changes_something_only_when_it_is_due(hold, history):
    rib, now = Rib(hold, 0.0), 0.0
    for seconds, step, replayed in history:
        now += seconds
        play(rib, step, now, replayed)
        rib.take_refreshes(now)
        rib.index.take_changed()
        due = rib.due

        assert due is None or due > now
        before = tables(rib), rib.complete
        rib.tick(now + 1000 if due is None else (now + due) / 2)
        assert ((tables(rib), rib.complete), rib.take_refreshes(now)) == (before, [])


final_routes = st.dictionaries(st.tuples(peers, often(MACS)), st.integers(0, 3), max_size=6)


@given(steps, final_routes)
@settings(deadline=None, max_examples=examples(200))
def test_after_every_end_of_rib_the_routes_are_those_advertised_last(history, final):
    """Whatever went before: a new session, all routes, End-of-RIB, and no lost line."""
    rib, now = Rib(Holds(), 0.0), 0.0
    for seconds, step, replayed in history:
        now += seconds
        play(rib, step, now, replayed)

    expected = {}
    for peer in PEERS:
        play(rib, SessionClosed(peer, "", lost=True), now)
        play(rib, PeerOpened(peer, 120, True, True, True), now)
        play(rib, SessionOpened(peer), now)
        for (address, mac), seq in final.items():
            if address == peer:
                route = MacIp(peer, Attributes(peer, seq=seq), RD, 0, mac, 100)
                expected[peer, route.key] = route
                play(rib, Announced(peer, {route.key: route}), now)
        play(rib, EndOfRib(peer), now)

    assert tables(rib) == expected
    assert not any(is_stale(rib, route) for mac in rib.index.everything().macs for route in rib.index.routes_of(mac))
    assert rib.complete
