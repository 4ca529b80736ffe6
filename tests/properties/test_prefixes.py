"""Whatever routes to prefixes there are: what thousands share, judged at once, is what each prefix has by itself.

Two VRFs import each other's routes, hosts are gateways, and the same is said of several prefixes. The slow way judges one prefix at a
time, from routes of which none shares anything, and counts what the rows use one by one.
"""

from collections import Counter
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.lab.examples import examples
from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget
from vtep.config import file as config
from vtep.evpn import crowd
from vtep.evpn.attributes import Attributes
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.event import Announced, EndOfRib, PeerOpened, Received, SessionClosed, SessionOpened, Withdrawn
from vtep.evpn.index import Changed
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.peer import Holds
from vtep.evpn.prefix import IpPrefix, shared
from vtep.evpn.rib import Rib
from vtep.evpn.routed import Put, RoutesByPrefix
from vtep.intent import NOTHING, Intent
from vtep.projection.policy import Policy
from vtep.projection.project import project
from vtep.store.sharded import SHARDS

LEAF = """
[node]
vtep = "10.0.0.99"
[[vrf]]
name = "blue"
vni = 4001
vxlan = "vx4001"
svi = "br4001"
import_rt = ["65000:4001", "65000:4002"]
max_paths = 2
[[vrf]]
name = "red"
vni = 4002
vxlan = "vx4002"
svi = "br4002"
import_rt = ["65000:4002"]
"""
RULES = Policy(config.parse(LEAF))
PEERS = [Ip.parse(text) for text in ("10.9.0.1", "10.9.0.2")]
VTEPS = [Ip.parse(text) for text in ("10.0.0.1", "10.0.0.2", "10.0.0.3")]
HOSTS = [Ip.parse(text) for text in ("192.168.0.1", "192.168.0.2")]
NETS = [
    Prefix.parse(text)
    for text in ("192.168.1.0/24", "192.168.2.0/24", "192.168.0.1/32", "127.0.0.0/8", "2001:db8::/64")
]
RD = RouteDistinguisher.parse("65000:1")
BLUE, RED, NONE = ((RouteTarget.parse(f"65000:{number}"),) for number in (4001, 4002, 9))
MAC = Mac.parse("02:00:00:00:00:01")
ESI = Esi(bytes((3, *([0] * 8), 1)))

often = st.sampled_from
vrfs = often([(BLUE, 4001), (BLUE, 4001), (RED, 4002), (RED, 4002), (RED, 4001), (NONE, 4001), (RED, 4003)])


def attributes(vtep: Ip, targets: tuple[RouteTarget, ...], pref: int, mac: int) -> Attributes:
    router_mac = Mac(b"\2\0\0\0" + bytes((mac,)) + vtep[-1:]) if mac else None
    return Attributes(vtep, targets, (8,), router_mac=router_mac, local_pref=pref)


def to_several(
    peer: Ip, vtep: Ip, vrf: tuple, pref: int, mac: int, index: Ip | Esi | None, beyond: int, nets: set
) -> list[IpPrefix]:
    """Return routes that say the same of several prefixes."""
    said = attributes(vtep, vrf[0], pref, mac)
    gateway, esi = (None, index) if isinstance(index, Esi) else (index, NO_SEGMENT)
    return [
        IpPrefix(peer, said, RD, 0, net.network[:-1] + bytes((net.network[-1] | beyond,)), net.length, vrf[1],
                 None if net.is_v6 else gateway, esi)
        for net in nets
    ]  # fmt: skip


prefix_routes = st.builds(
    to_several, often(PEERS[:1] * 3 + PEERS), often(VTEPS), vrfs, often([100, 100, 100, 200]), often([1, 1, 1, 2, 0]),
    often([None] * 4 + HOSTS + [ESI] * 2), often([0, 0, 0, 9]), st.sets(often(NETS), min_size=1),
)  # fmt: skip
host_routes = st.builds(
    lambda vtep, vrf, host, label, esi: [MacIp(PEERS[0], attributes(vtep, vrf[0], 100, 1), RouteDistinguisher(b"\0\1" + vtep + b"\0\1"),
                                               0, MAC, 10, host, esi, label2=label and vrf[1])],
    often(VTEPS), vrfs, often(HOSTS), often([1, 1, 1, None]), often([NO_SEGMENT, ESI]),
)  # fmt: skip


def of_segment(vtep: Ip, vrf: tuple, mac: int, tag: int, label: int, *, single: bool) -> list[EthernetAd]:
    """Return a Type-1 route, per segment or per EVI."""
    said = replace(attributes(vtep, vrf[0], 100, mac), single_active=single and tag == PER_ES_TAG)
    return [
        EthernetAd(PEERS[0], said, RouteDistinguisher(b"\0\1" + vtep + b"\0\1"), ESI, tag, 0 if tag else label * vrf[1])
    ]


segment_routes = st.builds(
    of_segment, often(VTEPS), vrfs, often([0, 0, 2]), often([0, PER_ES_TAG]), often([1, 1, 0]), single=often([False, False, True]),
)  # fmt: skip


def key_of(route: IpPrefix | MacIp | EthernetAd) -> bytes:
    if isinstance(route, MacIp):
        return route.key
    if isinstance(route, EthernetAd):
        return b"\x01" + route.rd + route.esi + route.tag.to_bytes(4)
    return b"\x05" + route.rd + bytes(4) + bytes((route.length,)) + route.network


def session(peer: Ip) -> st.SearchStrategy[Received]:
    again = (PeerOpened(peer, 120, True, True, True), SessionOpened(peer))
    gone = SessionClosed(peer, "closing connection", lost=True)
    return often([Received(again), Received((EndOfRib(peer),)), Received((gone, *again)), Received((gone,))])


either = prefix_routes | prefix_routes | host_routes | segment_routes
announced = either.map(
    lambda routes: Received((Announced(routes[0].peer, {key_of(route): route for route in routes}),))
)
withdrawn = either.map(lambda routes: Received((Withdrawn(routes[0].peer, tuple(map(key_of, routes))),)))
bursts = st.lists(st.one_of(*[announced] * 6, withdrawn, often(PEERS).flatmap(session)), min_size=1, max_size=8)


def held(rib: Rib) -> list[IpPrefix | MacIp | EthernetAd]:
    """Return every route of every peer."""
    found = ((peer, key) for peer in rib.peers for part in range(SHARDS) for key in rib.keys(peer, part))
    return [route for peer, key in found if (route := rib.find(peer, key)[0]) is not None]


def rows(intent: Intent, prefix: Prefix) -> object:
    return [(row.vni, row.paths, row.reason, row.via) for row in intent.prefixes.get(prefix, ())]


def verdicts(intent: Intent, prefix: Prefix) -> object:
    """Return what became of the routes. Which of two that lead the same way lost to the other does not matter."""
    found = intent.judged_prefixes.get(prefix, ())
    return Counter((path.vni, path.vtep, path.verdict, path.reason, path.via) for path in found)


def check_counts(intent: Intent) -> None:
    """Compare what is counted once for many prefixes with what each row uses."""
    every = [(prefix, row) for prefix, found in intent.prefixes.unordered() for row in found]
    singles = Counter(row.nexthop for _, row in every)
    groups = [intent.nexthops[number] for number in singles if intent.nexthops[number].members]
    used = singles + Counter(member for group in groups for member in group.members)
    assert {number: found.users for number, found in intent.nexthops.unordered()} == used
    claims = Counter(((row.l3vni, path.vtep), path.router_mac) for _, row in every for path in row.paths)
    said = {key: dict(router.claims.unordered()) for key, router in intent.routers.unordered()}
    assert {(key, mac): count for key, found in said.items() for mac, count in found.items()} == claims
    assert dict(intent.prefixes_of_vrf.unordered()) == Counter(row.vni for _, row in every)
    for prefix, row in every:
        nexthop = intent.nexthops[row.nexthop]
        assert (nexthop.vni, nexthop.vteps) == (row.l3vni, tuple(path.vtep for path in row.paths))
        assert nexthop.is_v6 == prefix.is_v6


def check(rib: Rib, intent: Intent, before: Intent) -> None:
    routes = held(rib)
    kept = {prefix: rib.index.prefixes.of(prefix) for prefix in rib.index.prefixes}
    for prefix in {*NETS, *kept}:
        alone = Rib(Holds(), 0.0)
        for route in routes:
            alone.receive(Received((Announced(route.peer, {key_of(route): route}),)), 0.0)
        slow = project(alone, RULES, 0.0, NOTHING, Changed(prefixes=[prefix]))
        assert rows(intent, prefix) == rows(slow, prefix)
        assert verdicts(intent, prefix) == verdicts(slow, prefix)
    fives = [(Prefix.of(route.network, route.length), shared(route)) for route in routes if isinstance(route, IpPrefix)]
    assert Counter(
        (prefix, one) for prefix, found in kept.items() for one in found if isinstance(one, IpPrefix)
    ) == Counter(fives)
    values = rib.index.prefixes._values
    uses = Counter(id(one) for found in kept.values() for one in found)
    assert {value.key: value.users for value in rib.index.prefixes._by_id.values()} == {
        key: uses[id(value.alone[0])] for key, value in values.items()
    }
    both = {*before.prefixes, *intent.prefixes}
    ways = [
        {(row.vni, prefix): row.nexthop for prefix in both for row in one.prefixes.get(prefix, ())}
        for one in (before, intent)
    ]
    assert set(intent.touched_prefixes) == {key for key, _ in ways[0].items() ^ ways[1].items()}
    check_counts(intent)


class OneByOne(RoutesByPrefix):
    """Takes every route by itself."""

    def put_many(self, keys, route, there):
        return Put([], [], [], list(keys))

    def remove_many(self, keys, there):
        return [], list(keys)


def state(rib: Rib) -> object:
    """Return all that a RIB knows of routes to prefixes, without the order in which they came, and which are one object."""
    kept = rib.index.prefixes
    routes = {prefix: Counter(kept.of(prefix)) for prefix in kept}
    peers = {
        address: ([dict(epoch.routes) for epoch in (peer.fresh, peer.suspect, peer.stale)], len(peer), peer.limited)
        for address, peer in rib.peers.items()
    }
    ages = {
        (peer, key): rib.ages.of(peer, key) for peer in peers for part in range(SHARDS) for key in rib.keys(peer, part)
    }
    values = {value.key: value.users for value in kept._values.values()}
    return (
        routes,
        peers,
        ages,
        values,
        kept._router_macs,
        kept._by_gateway,
        kept._by_segment,
        rib.index.routes,
        rib.counters.unknown_withdraws,
    )


@given(st.lists(bursts, max_size=6), often([256, 256, 4]))
@settings(deadline=None, max_examples=examples(50))
def test_routes_that_are_taken_in_groups_leave_what_they_leave_one_by_one(history, most):
    both = [Rib(Holds(routes_per_peer=most), 0.0) for _ in range(2)]
    both[1].index.prefixes = OneByOne()
    for now, burst in enumerate(history):
        for heard in burst:
            for rib in both:
                rib.receive(heard, float(now))
            assert state(both[0]) == state(both[1])
        changed = [rib.index.take_changed().prefixes for rib in both]
        assert changed[0] == changed[1]


@given(st.lists(bursts, max_size=6), often([1, 256]))
@settings(deadline=None, max_examples=examples(50))
def test_prefixes_that_share_what_is_said_have_what_each_has_by_itself(history, most):
    with patch.multiple(crowd, MOST=most, LEAST=most):
        rib, intent = Rib(Holds(), 0.0), NOTHING
        for burst in history:
            for heard in burst:
                rib.receive(heard, 0.0)
            before, intent = intent, project(rib, RULES, 0.0, intent, rib.index.take_changed())
            check(rib, intent, before)

        for peer in PEERS:
            rib.receive(Received((PeerOpened(peer, None, False, True, True), SessionOpened(peer), EndOfRib(peer))), 0.0)
            rib.receive(Received((SessionClosed(peer, "closing connection", lost=False),)), 0.0)
        rib.tick(1e9)
        intent = project(rib, RULES, 1e9, intent, rib.index.take_changed())
        assert (held(rib), rib.index.prefixes._values, len(intent.nexthops), len(intent.routers)) == ([], {}, 0, 0)
