"""Whatever routes there are, and in whatever order they came, the same MAC is at the same location for the same reason.

The values are few on purpose, so that routes meet: three peers, a handful of VTEPs, MACs, segments and Route Targets.
"""

import functools
from collections.abc import Sequence
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.lab.examples import examples
from vtep.addr import MAX_ESI, NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.config import file as config
from vtep.config.model import Config
from vtep.evpn import index, said
from vtep.evpn.attributes import Attributes, Election, Pmsi
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.event import Announced, EndOfRib, PeerOpened, Received, SessionClosed, SessionOpened, Withdrawn
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.peer import Holds
from vtep.evpn.rib import Rib
from vtep.evpn.segment import Segment
from vtep.evpn.station import Station
from vtep.intent import NOTHING, Intent, RemoteMac, RowChange, RowKey, candidates_of, row_changes
from vtep.projection import mobility
from vtep.projection.leaf import Leaf
from vtep.projection.project import Policy, project
from vtep.store.sharded import SHARDS

PEERS = [Ip.parse(text) for text in ("10.9.0.1", "10.9.0.2", "2001:db8::9")]
VTEPS = [Ip.parse(text) for text in ("10.0.0.1", "10.0.0.2", "10.0.0.10", "2001:db8::1", "10.0.0.98", "127.0.0.1")]
MACS = [
    Mac.parse(text) for text in ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "01:00:00:00:00:01")
]
RDS = [RouteDistinguisher.parse(text) for text in ("10.0.0.1:100", "65000:7")]
HOSTS = [None, Ip.parse("172.16.0.1"), Ip.parse("2001:db8:1::1")]
ESIS = [Esi(bytes((3, *([0] * 8), number))) for number in (1, 2)]
TARGETS = [(), *((RouteTarget.parse(text),) for text in ("65000:100", "65000:200", "65000:400", "64999:7", "65000:9"))]
TARGETS += [(RouteTarget.parse("65000:200"), RouteTarget.parse("65000:100")), (*TARGETS[3], *TARGETS[1])]
SITE = RouteTarget.parse("65000:1")[:1] + b"\x03" + RouteTarget.parse("65000:1")[2:]

REASONS = {
    "won": {
        "only-path", "higher-seq", "lower-vtep", "sticky", "gateway", "same-es", "llgr-stale", "total-order",
        "dup-frozen", "non-proxy",
    },
    "refused": {
        "malformed", "bad-mac", "bad-vni", "bad-nexthop", "self-vtep", "encap", "unknown-vni", "rt-missing",
        "rt-mismatch", "vni-mismatch", "tag-mismatch", "soo", "self-mac", "reserved-esi", "pending-ead", "local-bias",
        "limit", "family-mismatch", "unlisted-vtep",
    },
    "lost": {
        "higher-seq", "lower-vtep", "sticky", "gateway", "same-es", "llgr-stale", "total-order", "dup-frozen", "non-proxy",
    },
}  # fmt: skip
NOTES = {"rt-wildcard", "encap-default", "first-mm", "stale", "reserved-esi", "pmsi-mismatch", "rt2-without-imet"}

LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
import_rt = ["65000:100", "*:7"]
soo = "65000:1"
[[vni]]
vni = 200
vtep = "10.0.0.98"
import_rt = ["65000:200"]
[[vni]]
vni = 400
vtep = "2001:db8::97"
import_rt = ["65000:400"]
downstream_vni = true
"""
SEGMENT = '[[segment]]\nesi = "03:00:00:00:00:00:00:00:00:01"\n'
OTHER_SEGMENT = SEGMENT.replace(":01", ":02")
OURS = LEAF + SEGMENT + OTHER_SEGMENT + "forwarding = false\n"
RELOADS = (
    LEAF,
    OURS,
    LEAF + SEGMENT + "forwarding = false\n" + OTHER_SEGMENT + 'algorithm = "highest-preference"\n',
    LEAF + OTHER_SEGMENT + "preference = 1\n",
    LEAF.replace("10.0.0.99", "10.0.0.1"),
    LEAF.replace("[node]", '[node]\nvtep_prefixes = ["10.0.0.0/30"]'),
    LEAF.replace("10.0.0.98", "2001:db8::98"),
    LEAF.replace("65000:100", "65000:9"),
    LEAF.replace("65000:200", "65000:100"),
    LEAF.replace("downstream_vni = true", "tag = 7"),
    LEAF + '[[vni]]\nvni = 5000\nimport_rt = ["*:7", "65000:200"]\n',
    '[node]\nvtep = "10.0.0.99"\n',
)


@functools.cache
def configuration(toml: str = OURS) -> Config:
    return config.parse(toml)


@functools.cache
def policy(toml: str = OURS) -> Policy:
    return Policy(configuration(toml), frozenset({MACS[2]}) if "tag = 7" in toml else frozenset())


often = st.sampled_from
attributes = st.builds(
    Attributes,
    next_hop=often(VTEPS[:4]) | often(VTEPS),
    targets=often(TARGETS[1:2]) | often(TARGETS),
    encapsulations=often([(8,), (8,), (), (10,), (10, 8)]),
    seq=often([0, 0, 1, 2, 2**32 - 1]),
    sticky=often([False, False, True]),
    gateway=often([False, False, False, True]),
    mobility_count=often([0, 1, 2]),
    sites=often([(), (), (), (SITE,)]),
    single_active=often([False, False, True]),
    llgr_stale=often([False, False, True]),
    host_flags=often([0, 0, 0, 1, 4, 4, 8]),
    election=often([None, None, Election(2, 0, 32767), Election(2, 0x8000, 32767), Election(3, 0, 1)]),
    pmsi=st.none()
    | st.builds(
        lambda label, endpoint, exact: Pmsi(6, 0, label, endpoint, exact),
        often([100, 100, 200, 96, 5000, 0]),
        often(VTEPS[:3]) | often(VTEPS),
        often([True, True, False]),
    )
    | st.just(Pmsi(4, 0, 100, None)),
)
mac_routes = st.builds(
    MacIp,
    peer=often(PEERS),
    attributes=attributes,
    rd=often(RDS),
    tag=often([0, 0, 0, 7]),
    mac=often(MACS[:2]) | often(MACS),
    label=often([100, 100, 200, 300, 5000, 0]),
    ip=often([*HOSTS, Ip.parse("224.0.0.5")]),
    esi=often([NO_SEGMENT, NO_SEGMENT, *ESIS, MAX_ESI]),
)
ads = st.builds(
    EthernetAd,
    peer=often(PEERS),
    attributes=attributes,
    rd=often(RDS),
    esi=often(ESIS),
    tag=often([0xFFFFFFFF, 0xFFFFFFFF, 0]),
    label=often([100, 100, 200, 0]),
)
imets = st.builds(
    Imet,
    peer=often(PEERS),
    attributes=attributes,
    rd=often(RDS),
    tag=often([0, 0, 0, 7]),
    originator=often(VTEPS[:3]),
)
segments = st.builds(
    Segment,
    peer=often(PEERS),
    attributes=attributes,
    rd=often(RDS),
    esi=often(ESIS),
    originator=often(VTEPS[:4]) | often(VTEPS),
)
routes = st.lists(mac_routes | mac_routes | ads | imets | segments, max_size=12)
Heeded = MacIp | EthernetAd | Imet | Segment


def key_of(route: Heeded) -> bytes:
    if isinstance(route, Segment):
        return b"\x04" + route.rd + route.esi + route.originator
    if isinstance(route, MacIp):
        return route.key
    if isinstance(route, Imet):
        return b"\x03" + route.rd + route.tag.to_bytes(4) + route.originator
    return b"\x01" + route.rd + route.esi + route.tag.to_bytes(4)


def identity(route: Heeded) -> tuple[Ip, bytes]:
    return route.peer, key_of(route)


def announced(route: Heeded) -> Received:
    return Received((Announced(route.peer, {key_of(route): route}),))


def withdrawn(route: Heeded) -> Received:
    return Received((Withdrawn(route.peer, (key_of(route),)),))


def up(peer: Ip) -> Received:
    return Received((PeerOpened(peer, 120, True, True, True), SessionOpened(peer)))


def lost(peer: Ip) -> Received:
    return Received((SessionClosed(peer, "closing connection", lost=True),))


def a_rib(heard: list[Received] = ()) -> Rib:
    rib = Rib(Holds(), 0.0)
    for one in heard:
        rib.receive(one, 0.0)
    return rib


sessions = often(PEERS).flatmap(lambda peer: often([up(peer), lost(peer), Received((EndOfRib(peer),))]))
histories = st.lists(
    (mac_routes | ads | imets | segments).map(announced)
    | (mac_routes | ads | imets).map(announced)
    | (mac_routes | ads | imets | segments).map(withdrawn)
    | sessions,
    max_size=16,
)


def meaning(intent: Intent) -> object:
    hosts = {host.key: (host.mac, host.router) for _, found in intent.hosts.unordered() for host in found}
    floods = {flood.key: flood.via for _, found in intent.floods.unordered() for flood in found}
    forwarders = {row.key for _, found in intent.forwarders.unordered() for row in found}
    rows = {key: row.via for key, row in intent.macs.unordered()}
    return rows, hosts, floods, forwarders, intent.complete, dict(intent.own.unordered()), intent.announcing


def flood_keys(intent: Intent) -> set:
    return {flood.key for _, found in intent.floods.unordered() for flood in found}


def host_rows(intent: Intent) -> set:
    return {(host.key, host.mac, host.router) for _, found in intent.hosts.unordered() for host in found}


def told(intent: Intent) -> object:
    """Return every verdict of every MAC, except the memory of moves and the order of equals."""
    judged = {mac: sorted(candidates_of(intent, mac), key=repr) for mac, _ in intent.judged.unordered()}
    alerts = {
        key: found
        for key, all_of_it in intent.alerts.unordered()
        if (found := [alert for alert in all_of_it if not alert.kind.startswith("dup-")])
    }
    beside = dict(intent.hosts.unordered()), dict(intent.floods.unordered()), dict(intent.refused_floods.unordered())
    beside += (dict(intent.refused_hosts.unordered()),)
    beside += dict(intent.own.unordered()), dict(intent.own_hosts.unordered()), intent.announcing
    beside += groups_of(intent), dict(intent.addresses.unordered())
    return dict(intent.macs.unordered()), judged, alerts, beside, dict(intent.forwarders.unordered())


def groups_of(intent: Intent) -> object:
    """Return every group of a segment without its identifiers, which may be others if two groups have the same hash."""
    return {key: structs.replace(group, number=0, singles=()) for key, group in intent.groups.unordered()}


@given(routes, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=examples(200))
def test_the_order_of_arrival_does_not_matter(found, random):
    final = list({identity(route): route for route in found}.values())
    shuffled = final.copy()
    random.shuffle(shuffled)

    one, other = (project(a_rib([announced(route) for route in order]), policy(), 0.0) for order in (final, shuffled))

    assert told(one) == told(other)


@given(routes, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=examples(150))
def test_judging_after_each_arrival_gives_what_judging_once_gives(found, random):
    final = list({identity(route): route for route in found}.values())
    random.shuffle(final)
    rib = a_rib()
    intent = project(rib, policy(), 0.0, changed=rib.index.take_changed())
    for route in final:
        rib.receive(announced(route), 0.0)
        intent = project(rib, policy(), 0.0, intent, rib.index.take_changed())

    assert told(intent) == told(project(rib, policy(), 0.0))


@given(routes)
@settings(deadline=None, max_examples=examples(150))
def test_advertising_everything_again_changes_nothing(found):
    final = {identity(route): route for route in found}.values()
    rib = a_rib([announced(route) for route in final])
    before = project(rib, policy(), 0.0, changed=rib.index.take_changed())

    for route in final:
        rib.receive(announced(route), 1.0)
    after = project(rib, policy(), 1.0, before, rib.index.take_changed())

    assert (told(after), after.generation, after.touched) == (told(before), before.generation, ())


@given(histories, st.data())
@settings(deadline=None, max_examples=examples(200))
def test_judging_changes_gives_what_judging_everything_gives(history, data):
    rib, intent, toml = a_rib(), NOTHING, OURS
    for now, heard in enumerate(history):
        rib.receive(heard, float(now))
        changed = rib.index.take_changed()
        if data.draw(often([False] * 9 + [True])):
            toml, changed = data.draw(often(RELOADS)), None
        intent = project(rib, policy(toml), float(now), intent, changed)

        assert told(intent) == told(project(rib, policy(toml), float(now)))


def judge_in_parts(rib: Rib, rules: Policy, now: float, intent: Intent) -> Intent:
    """Judge what changed, as little as possible at a time."""
    is_first = True
    while is_first or rib.index.work or intent.waiting_groups:
        with patch.object(index, "COMPARED_AT_ONCE", 1):
            is_first, changed = False, rib.index.take_changed(1)
        intent = project(rib, rules, now, intent, changed, whole=not rib.index.work, groups_max=1)
    return intent


@given(histories)
@settings(deadline=None, max_examples=examples(100))
def test_judging_changes_in_parts_gives_what_judging_everything_gives(history):
    rib, intent = a_rib(), NOTHING
    for now, heard in enumerate(history):
        rib.receive(heard, float(now))
        intent = judge_in_parts(rib, policy(), float(now), intent)

        assert told(intent) == told(project(rib, policy(), float(now)))


BOTH_VNIS = (*TARGETS[1], *TARGETS[2])
on_segments = st.builds(
    lambda vtep, vni, mac, esi: MacIp(PEERS[0], Attributes(vtep, (RouteTarget.parse(f"65000:{vni}"),)), RDS[0], 0, mac, vni, None, esi),
    often(VTEPS[:3]), often([100, 200]), often(MACS[:3]), often(ESIS),
)  # fmt: skip
evis = st.builds(
    lambda vtep, targets, esi, label: EthernetAd(PEERS[0], Attributes(vtep, targets), RDS[0], esi, 0, label),
    often(VTEPS[:3]), often([*TARGETS[1:3], BOTH_VNIS]), often(ESIS), often([100, 200, 0]),
)  # fmt: skip
up_at = st.builds(
    lambda vtep, single, esi: EthernetAd(PEERS[0], Attributes(vtep, BOTH_VNIS, single_active=single), RDS[0], esi, PER_ES_TAG, 0),
    often(VTEPS[:3]), often([False, False, True]), often(ESIS),
)  # fmt: skip


def of_its_vtep(route: MacIp | EthernetAd) -> MacIp | EthernetAd:
    """Return the route with a Route Distinguisher of its VTEP, so that those of several stay beside each other."""
    return structs.replace(route, rd=RouteDistinguisher(b"\0\1" + route.attributes.next_hop[-4:] + b"\0\1"))


segment_routes = (on_segments | on_segments | evis | up_at | up_at).map(of_its_vtep)
bursts = st.lists(
    segment_routes.map(announced) | segment_routes.map(announced) | segment_routes.map(withdrawn), max_size=8
)


@given(st.lists(bursts, max_size=8))
@settings(deadline=None, max_examples=examples(80))
def test_groups_of_segments_are_the_same_however_small_the_parts_are(history):
    rib, intent = a_rib(), NOTHING
    for now, burst in enumerate(history):
        for heard in burst:
            rib.receive(heard, 0.0)
        if now % 3 == 1:  # another part comes before the one before it is finished
            intent = project(rib, policy(LEAF), 0.0, intent, rib.index.take_changed(1), whole=False, groups_max=1)
            continue
        intent = judge_in_parts(rib, policy(LEAF), 0.0, intent)

        assert told(intent) == told(project(a_rib([announced(route) for route in held(rib)]), policy(LEAF), 0.0))


def held(rib: Rib) -> list[Heeded]:
    """Return every route of the first peer."""
    found = (rib.find(PEERS[0], key) for part in range(SHARDS) for key in rib.keys(PEERS[0], part))
    return [route for route, _ in found]


stations = st.builds(
    Station,
    vni=often([Vni(100), Vni(100), Vni(200), Vni(300)]),
    mac=often(MACS[:2]),
    port=often(["swp1", "swp2"]),
    static=often([False, False, False, True]),
    gateway=often([False, False, False, True]),
    hosts=often([frozenset(), frozenset(HOSTS[1:2]), frozenset(HOSTS[1:])]),
)
here = (
    st.tuples(st.just("heard"), stations)
    | st.tuples(st.just("heard"), stations)
    | st.tuples(st.just("changed"), stations)
    | st.tuples(st.just("gone"), stations)
    | st.tuples(st.just("leave"), often([frozenset(map(Vni, vnis)) for vnis in ((), (100,), (100, 200, 5000))]))
    | st.tuples(st.just("reload"), often(RELOADS))
)


def happen(leaf: Leaf, what: str, how: object) -> None:
    """Apply an event at our own ports, or a new configuration."""
    match what, how:
        case "heard", station:
            leaf.learn_stations([station])
        case "changed", station:
            leaf.learn_stations([], changed=[station])
        case "gone", station:
            leaf.learn_stations([], [station.key])
        case "leave", vnis:
            leaf.set_advertising(vnis)
        case _, toml:
            leaf.reconfigure(configuration(toml), 0.0)


@given(st.lists(here | here | mac_routes.map(announced) | mac_routes.map(withdrawn), max_size=16), st.booleans())
@settings(deadline=None, max_examples=examples(150))
def test_judging_changes_gives_what_judging_everything_gives_with_own_stations_too(history, once):
    leaf = Leaf(configuration(), 0.0)
    leaf.set_advertising(frozenset({Vni(100), Vni(200)}))
    before = leaf.judge(0.0)
    for number, event in enumerate(history):
        if isinstance(event, Received):
            leaf.receive([event], 0.0)
        else:
            happen(leaf, *event)
        if once and number % 3:
            continue
        intent = leaf.judge(0.0)

        scratch = project(leaf.rib, leaf._policy, 0.0)
        both = {**dict(before.own.unordered()), **dict(intent.own.unordered())}
        assert told(intent) == told(scratch)
        assert intent.generation - before.generation <= (meaning(intent) != meaning(before))
        assert set(intent.own_touched) >= {key for key in both if before.own.get(key) != intent.own.get(key)}
        assert not {key[:2] for key in intent.own_touched if key in intent.own} & {
            key for key, _ in intent.macs.unordered()
        }
        assert {key for key, _ in intent.own_hosts.unordered()} == {key[:2] for key, _ in intent.own.unordered()}
        assert leaf.judge(0.0) is intent
        before = intent


def usual_in(vni: int) -> st.SearchStrategy[MacIp]:
    attributes = st.builds(
        Attributes,
        next_hop=often(VTEPS[:3]),
        targets=st.just((RouteTarget.parse(f"65000:{vni}"),)),
        encapsulations=often([(8,), ()]),
        seq=often([0, 0, 0, 1]),
        sticky=often([False] * 9 + [True]),
        gateway=often([False] * 9 + [True]),
        llgr_stale=often([False, False, False, True]),
        host_flags=often([0, 4]),
    )
    return st.builds(
        MacIp,
        peer=often(PEERS[:2]),
        attributes=attributes,
        rd=often(RDS),
        tag=st.just(0),
        mac=often([MACS[0]] * 4 + [MACS[1], MACS[3]]),
        label=st.just(vni),
        ip=often(HOSTS[:2]),
        esi=often([NO_SEGMENT] * 9 + ESIS[:1]),
    )


usual_routes = often([100] * 5 + [200]).flatmap(usual_in)
usual = st.one_of(
    *[usual_routes.map(announced)] * 16,
    *[usual_routes.map(withdrawn)] * 4,
    *[often(PEERS[:2]).flatmap(lambda peer: often([up(peer), lost(peer)]))] * 2,
    *[st.tuples(often(["heard", "gone"]), st.just(Station(Vni(100), MACS[0], "swp1")))] * 3,
    here,
    st.just(("cleared", [(Vni(100), MACS[0])])),
)
USUAL_START = [up(PEERS[0]), up(PEERS[1]), ("leave", frozenset({Vni(100), Vni(200)}))]
QUICK = OURS + "[duplicates]\nmoves = 2\nwindow_s = 20\nrecover_s = 12\n"
FEW = QUICK + "[limits]\nmacs_per_vni = 1\n"


def remarks(intent: Intent) -> object:
    """Return everything about MACs in an intent."""
    judged = {mac: candidates_of(intent, mac) for mac, _ in intent.judged.unordered()}
    tables = (intent.macs, intent.alerts, intent.moves, intent.rows_of_vni, intent.own, intent.own_hosts)
    notices = (intent.touched, intent.own_touched, intent.lost, intent.unverified)
    limited = {vni: dict(found.unordered()) for vni, found in intent.limited.unordered()}
    contents = [dict(table.unordered()) for table in tables]
    return judged, contents, limited, [set(notice) for notice in notices], intent.due, intent.generation


def by_key(changes: Sequence[RowChange]) -> dict[RowKey, tuple[RemoteMac | None, RemoteMac | None]]:
    """Return what changed of each row; a row that is in two groups is a fault."""
    found = [(key, (change.before, change.after)) for change in changes for key in change.keys]
    assert len(found) == len(dict(found))
    return dict(found)


@given(
    st.lists(usual, max_size=30),
    often([QUICK, QUICK + 'action = "freeze"\n', FEW]),
    often([1, 3]),
)
@settings(deadline=None, max_examples=examples(250))
def test_judging_alike_macs_together_gives_what_judging_one_by_one_gives(history, toml, pace):
    """Also for a MAC with a past: with stations of ours, with moves, frozen, or refused by the limit."""
    together, single = Leaf(configuration(toml), 0.0), Leaf(configuration(toml), 0.0)
    for number, event in enumerate([*USUAL_START, *history]):
        now = float(number)
        for leaf in (together, single):
            if isinstance(event, Received):
                leaf.receive([event], now)
            elif event[0] == "cleared":
                leaf.clear_duplicates(event[1])
            else:
                happen(leaf, *event)
        if number % pace:
            continue

        before = together.intent
        by_group, one_by_one = together.judge(now), single.judge(now, alike=False)

        assert remarks(by_group) == remarks(one_by_one)
        ungrouped = structs.replace(by_group, row_changes=None)
        assert by_group is before or by_key(row_changes(before, by_group)) == by_key(row_changes(before, ungrouped))
        assert together.take_unverified() == single.take_unverified()


@given(routes)
@settings(deadline=None, max_examples=examples(150))
def test_judging_one_route_of_each_kind_gives_what_judging_each_route_gives(found):
    one_by_one = project(a_rib([announced(route) for route in found]), policy(), 0.0)
    with patch.object(said, "SHARED_MAX", 1):
        rib = a_rib([announced(route) for route in found])
        by_kind = project(rib, policy(), 0.0)

    assert without_addresses(by_kind) == without_addresses(one_by_one)


def without_addresses(intent: Intent) -> object:
    """Return every verdict; where a host address is kept does not matter."""
    macs, judged, alerts, beside, forwarders = told(intent)
    return macs, judged, alerts, beside[:-1], forwarders


@given(histories)
@settings(deadline=None, max_examples=examples(150))
def test_the_generation_grows_exactly_when_the_meaning_does(history):
    rib, intent = a_rib(), NOTHING
    for now, heard in enumerate(history):
        rib.receive(heard, float(now))
        before, intent = intent, project(rib, policy(), float(now), intent, rib.index.take_changed())

        assert intent.generation - before.generation == (meaning(intent) != meaning(before))


@given(histories)
@settings(deadline=None, max_examples=examples(150))
def test_touched_names_exactly_the_rows_that_differ(history):
    rib, intent = a_rib(), NOTHING
    for now, heard in enumerate(history):
        rib.receive(heard, float(now))
        before, intent = intent, project(rib, policy(), float(now), intent, rib.index.take_changed())
        both = {**dict(before.macs.unordered()), **dict(intent.macs.unordered())}

        assert set(intent.touched) == {key for key in both if before.macs.get(key) != intent.macs.get(key)}
        assert set(intent.touched_floods) == flood_keys(before) ^ flood_keys(intent)
        assert set(intent.touched_hosts) == {key for key, *_ in host_rows(before) ^ host_rows(intent)}


@given(histories)
@settings(deadline=None, max_examples=examples(150))
def test_a_row_always_points_at_a_vtep_of_a_route(history):
    rib, intent = a_rib(), NOTHING
    for now, heard in enumerate(history):
        rib.receive(heard, float(now))
        intent = project(rib, policy(), float(now), intent, rib.index.take_changed())

        for (vni, mac), row in intent.macs.unordered():
            announcers = {route.attributes.next_hop for route in rib.index.routes_of(mac)}
            members = (
                {ad.attributes.next_hop for ad in rib.index.ads_at(row.segment, PER_ES_TAG, 0)}
                if row.segment
                else set()
            )
            assert row.vni == vni
            assert row.via.vtep in announcers | members


@given(st.lists(usual_in(100).map(announced) | usual_in(100).map(withdrawn), max_size=30))
@settings(deadline=None, max_examples=examples(150))
def test_a_while_later_a_frozen_row_points_at_a_vtep_that_still_offers_the_mac(history):
    toml = LEAF + '[duplicates]\nmoves = 2\nwindow_s = 20\naction = "freeze"\n'
    a_while = 10.0
    rib, intent = a_rib(), NOTHING
    for heard in history:
        rib.receive(heard, 0.0)
        intent = project(rib, policy(toml), 0.0, intent, rib.index.take_changed())

        later = project(rib, policy(toml), a_while, intent, rib.index.take_changed())
        for (vni, mac), row in later.macs.unordered():
            found = {(one.verdict, one.vtep, one.reason) for one in candidates_of(later, mac) if one.vni == vni}
            assert ("won", row.via.vtep, row.reason) in found


@given(histories)
@settings(deadline=None, max_examples=examples(150))
def test_every_route_has_its_verdicts_and_the_winner_is_the_row(history):
    rib = a_rib(history)

    intent = project(rib, policy(), 0.0)

    for mac in rib.index.everything().macs:
        candidates = candidates_of(intent, mac)
        assert {(one.peer, one.rd, one.ip) for one in candidates} == {
            (route.peer, route.rd, route.ip) for route in rib.index.routes_of(mac)
        }
        assert len(candidates) >= len(rib.index.routes_of(mac))
        for one in candidates:
            assert one.reason in REASONS[one.verdict]
            assert set(one.notes) <= NOTES
        for vni in {one.vni for one in candidates}:
            winners = [one for one in candidates if one.vni == vni and one.verdict == "won"]
            row = intent.macs.get((vni, mac))
            if row is None:
                assert winners == []
                continue
            (winner,) = winners
            assert (winner.reason, winner.seq, winner.sticky) == (row.reason, row.seq, row.sticky)
            assert (winner.peer, winner.rd) == (row.peer, row.rd)
            assert row.segment is not None or winner.vtep == row.via.vtep
    assert {key[1] for key, _ in intent.macs.unordered()} <= set(rib.index.everything().macs)


@given(st.lists(st.tuples(mac_routes, mac_routes), min_size=1, max_size=3), st.integers(1, 3))
@settings(deadline=None, max_examples=examples(150))
def test_a_mac_waits_only_while_its_vni_is_full(pairs, limit):
    toml = LEAF + f"[limits]\nmacs_per_vni = {limit}\n"
    rib, intent = a_rib(), NOTHING
    for now, (first, second) in enumerate(pairs):
        for heard in (announced(first), announced(second), withdrawn(first)):
            rib.receive(heard, float(now))
        intent = project(rib, policy(toml), float(now), intent, rib.index.take_changed())

        for vni in (100, 200, 400):
            rows = sum(key[0] == vni for key, _ in intent.macs.unordered())
            waiting = len(intent.limited.get(vni, ()))
            assert rows <= limit
            assert rows == intent.rows_of_vni.get(vni, 0)
            assert not waiting or rows == limit


@given(st.lists(st.tuples(imets, st.booleans()), max_size=24), st.integers(1, 2), st.integers(1, 4))
@settings(deadline=None, max_examples=examples(150))
def test_an_endpoint_waits_only_while_its_vni_is_full_and_rows_never_give_way(events, limit, pace):
    toml = LEAF + f"[limits]\nvteps_per_vni = {limit}\n"
    rib, intent = a_rib(), NOTHING
    for number, (route, comes) in enumerate(events):
        rib.receive(announced(route) if comes else withdrawn(route), 0.0)
        if number % pace:
            continue
        before, intent = intent, project(rib, policy(toml), 0.0, intent, rib.index.take_changed())

        unlimited = {(vni, vtep) for vni, vtep, _ in flood_keys(project(rib, policy(LEAF), 0.0))}
        rows = {(vni, vtep) for vni, vtep, _ in flood_keys(intent)}
        waiting = {(vni, vtep) for vni, found in intent.waiting_floods.unordered() for vtep, _ in found.unordered()}
        told = {
            (row.vni, row.vtep)
            for _, found in intent.refused_floods.unordered()
            for row in found
            if row.reason == "vtep-limit"
        }
        assert (rows | waiting, rows & waiting, told) == (unlimited, set(), waiting)
        assert {(vni, vtep) for vni, vtep, _ in flood_keys(before)} & unlimited <= rows
        for vni in (100, 200, 400):
            count = sum(key[0] == vni for key in rows)
            assert count == intent.floods_of_vni.get(vni, 0)
            assert count == min(limit, sum(key[0] == vni for key in unlimited))


@given(st.lists(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=5), max_size=5), st.integers(1, 2))
@settings(deadline=None, max_examples=examples(300))
def test_changes_in_one_judgement_leave_no_room_unused(bursts, limit):
    rules = policy(LEAF + f"[limits]\nmacs_per_vni = {limit}\n")
    rib, intent = a_rib(), NOTHING
    for burst in bursts:
        for number, comes in burst:
            mac = Mac(bytes((2, 0, 0, 0, 0, number)))
            route = MacIp(PEERS[0], Attributes(VTEPS[0], TARGETS[1], (8,)), RDS[0], 0, mac, 100)
            rib.receive(announced(route) if comes else withdrawn(route), 0.0)
        intent = project(rib, rules, 0.0, intent, rib.index.take_changed())

        everyone = set(rib.index.everything().macs)
        seated, waiting = {mac for _, mac in intent.macs}, set(intent.limited.get(Vni(100), ()))
        assert len(seated) == min(limit, len(everyone))
        assert waiting == everyone - seated


@given(
    st.lists(st.tuples(st.floats(0.001, 60), often(MACS[:2]), often(VTEPS[:3]), st.booleans()), max_size=14),
    often(["warn", "freeze"]),
)
@settings(deadline=None, max_examples=examples(150))
def test_after_a_due_time_the_next_one_is_later_or_none(moves, action):
    slow, fast = (
        policy(LEAF + f'[duplicates]\nmoves = 2\nwindow_s = {window}\nrecover_s = 30.3\naction = "{action}"\n')
        for window in (90.1, 20.2)
    )
    rules = slow
    rib, intent, now = a_rib(), NOTHING, 0.0

    def judge(*, reloads: bool = False) -> Intent:
        judged = project(rib, rules, now, intent, rib.index.take_changed())
        assert judged.due is None or judged.due > now or reloads
        dues = [mobility.due(record, rules.duplicates) for _, record in judged.moves.unordered()]
        real = min((due for due in dues if due is not None), default=None)
        assert real is None or (judged.due is not None and judged.due <= real), "a record would be looked at too late"
        return judged

    for seq, (seconds, mac, vtep, reloads) in enumerate(moves):
        end = now + seconds
        while intent.due is not None and intent.due <= end:
            now = intent.due
            intent = judge()
        now = end
        rib.receive(announced(MacIp(PEERS[0], Attributes(vtep, TARGETS[1], (8,), seq), RDS[0], 0, mac, 100)), now)
        if reloads:
            rules = fast if rules is slow else slow
        intent = judge(reloads=reloads)
        if intent.due is not None and intent.due <= now:
            intent = judge()
    while intent.due is not None:
        now = intent.due
        intent = judge()

    assert (len(intent.moves), len(intent.alerts)) == (0, 0)
    assert told(intent) == told(project(rib, rules, now))
