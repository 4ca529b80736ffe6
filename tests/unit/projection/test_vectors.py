"""What a correct projector does, vector by vector: lines of ExaBGP in, rows and reasons out, through the whole pipe.

Notation: `+A s3` is a Type-2 route for M from peer and next hop A with mobility sequence 3, `s-` without the
community, `S` sticky, `/ip1` with a host address, `G` default gateway; `-A` withdraws.

docs/standards.md says which claims were compared with an RFC's text. Of those that the vectors rest on, these were: RFC
7432 7.7 (V25, V27), 15 (V02 to V04, V17, V87), 15.1 (V80, V81), 8.2, 8.4 and 9.2.2 (V61 to V67); RFC 8365 5.1.3 (V46,
V55 to V57); RFC 9135 5.2 (V59). Unverified: RFC 9494 4.3 (V35). No RFC's, but what FRR does: the plain comparison at
the highest sequence (V09), sticky against sticky (V29, V30), a gateway's rank (V33), the first of several communities
(V24), proxies (V68). The elections, whose vectors begin with D, are in test_forwarder.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab import wire
from tests.lab.lines import Lines, read_lines
from vtep.addr import ZERO_MAC, Esi, Ip, Mac
from vtep.app.replay import Replay
from vtep.config import file as config
from vtep.linux.wire.neighbor import NTF_MASTER, NTF_SELF, NUD_NOARP, NUD_PERMANENT, Half, Neighbor, Verb

A, B, C, SELF = "10.0.0.1", "10.0.0.2", "10.0.0.10", "10.0.0.99"
NAMES = {"A": A, "B": B, "C": C}
IP1 = "172.16.0.1"
M = "02:00:00:00:00:01"
E1 = Esi(bytes.fromhex("03000000000001000001"))

LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
[[vni]]
vni = 200
bridge = "br200"
vxlan = "vxlan200"
vtep = "10.0.0.98"
import_rt = ["65000:200"]
"""
LEAF_V6 = LEAF.replace("10.0.0.99", "2001:db8::99").replace("10.0.0.98", "2001:db8::98")


@dataclass(frozen=True)
class Case:
    name: str
    events: str
    row: str = ""
    reason: str = ""
    refused: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    counters: dict[str, int] = field(default_factory=dict)


CASES = (
    Case("V01 one route", "+A s-", A, "only-path"),
    Case("V02 a higher sequence", "+A s0 +C s1", C, "higher-seq"),
    Case("V03 absent is lower than one", "+A s- +B s1", B, "higher-seq"),
    Case("V04 absent is zero", "+B s- +A s0", A, "lower-vtep"),
    Case("V09 the highest sequence does not wrap", "+A s0 +C s4294967295", C, "higher-seq"),
    Case("V10 a tie at the highest is quiet", "+A s4294967295 +B s4294967295", A, "lower-vtep"),
    Case("V12 a route replaces itself", "+A s5 +A s1 +B s3", B, "higher-seq"),
    Case(
        "V13 make before break", "+A s1 +B s2 -B", A, "only-path", counters={"writes": 1, "replaces": 2, "deletes": 0}
    ),
    Case(
        "V14 a loser leaves unnoticed", "+A s2 +B s1 -B", A, "only-path",
        counters={"writes": 1, "replaces": 0, "deletes": 0},
    ),
    Case("V15 an unknown withdraw", "-A", counters={"writes": 0, "unknown_withdraws": 1}),
    Case("V16 the MAC-IP route holds the row", "+A s1 +A s1 /ip1 -A", A, "only-path"),
    Case("V17 MAC-only and MAC-IP compete", "+A s3 +B s4 /ip1", B, "higher-seq"),
    Case("V27 sticky beats a sequence", "+A S s0 +B s9", A, "sticky", alerts=("sticky-violation",)),
    Case(
        "V28 the same in the other order", "+B s9 +A S s0", A, "sticky", alerts=("sticky-violation",),
        counters={"writes": 1, "replaces": 1},
    ),
    Case("V29 two sticky places tie", "+B S s0 +A S s0", A, "lower-vtep", alerts=("sticky-conflict",)),
    Case("V30 two sticky places with sequences", "+A S s0 +B S s1", B, "higher-seq", alerts=("sticky-conflict",)),
    Case("V33 a gateway counts as sticky", "+A G s-", A, "gateway"),
    Case("V33 a gateway beats a sequence", "+A G s- +B s9", A, "gateway", alerts=("sticky-violation",)),
    Case("V89 a sticky winner never moves", "+A S s0 " + "+B s1 +B s2 " * 5, A, "sticky", alerts=("sticky-violation",)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_projection_vector(case: Case) -> None:
    result = play(lines_of(case.events))

    assert (rows(result).get(M, ""), reason_of(result)) == (case.row, case.reason)
    assert tuple(alert["kind"] for alert in result["alerts"]) == case.alerts
    assert {name: result["counters"][name] for name in case.counters} == case.counters


# Single routes that are judged by what they carry


@dataclass(frozen=True)
class Import:
    name: str
    route: wire.Route
    row: str = ""
    reason: str = ""
    vni: int = 100
    notes: tuple[str, ...] = ()
    more: str = ""


def one(**fields: Any) -> wire.Route:
    mac = fields.pop("mac", M)
    extended = fields.pop("extended", ())
    host = fields.pop("ip", "")
    esi = fields.pop("esi", wire.NO_SEGMENT)
    l3vni = fields.pop("l3vni", None)
    return wire.Instance(fields.pop("vtep", A), rd="65000:9", **fields).mac(
        mac, host, seq=1, extended=extended, esi=esi, l3vni=l3vni
    )


DOWNSTREAM = "downstream_vni = true"
IMPORTS = (
    Import("V36 our own address", one(vtep=SELF), reason="self-vtep"),
    Import("V38 another own address", one(vtep="10.0.0.98"), reason="self-vtep"),
    Import("V38 an own address, mapped", one(vtep="::ffff:10.0.0.99"), reason="self-vtep"),
    *(
        Import(f"V42 next hop {bad}", one(vtep=bad), reason="bad-nexthop")
        for bad in ("0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "ff02::1", "fe80::1", "::1", "::")
    ),
    Import("zero MAC", one(mac="00:00:00:00:00:00"), reason="bad-mac"),
    Import("broadcast MAC", one(mac="ff:ff:ff:ff:ff:ff"), reason="bad-mac"),
    Import("multicast MAC", one(mac="01:00:5e:00:00:01"), reason="bad-mac"),
    Import("V45 label zero", one(vni=0), reason="bad-vni"),
    Import("V49 another Route Target", one(targets=("65000:999",)), reason="rt-mismatch"),
    Import("V49 the Route Target of another VNI of ours", one(targets=("65000:200",)), reason="rt-mismatch"),
    Import("V50 another label", one(vni=5000), reason="vni-mismatch"),
    Import("V50 another label, downstream VNI", one(vni=5000), A, "only-path", more=DOWNSTREAM),
    Import("V51 no Route Target", one(targets=()), reason="rt-missing"),
    Import("V53 a wildcard", one(targets=("64999:7",)), A, "only-path", notes=("rt-wildcard",)),
    Import("V53 a wildcard of the 4-octet form", one(targets=("4200000001:7",)), A, "only-path", notes=("rt-wildcard",)),
    Import("V53 a wildcard of the IPv4 form", one(targets=("10.1.1.1:7",)), A, "only-path", notes=("rt-wildcard",)),
    Import("4-octet AS form", one(targets=("4200000001:100",)), A, "only-path"),
    Import("IPv4 form", one(targets=("10.0.0.1:100",)), A, "only-path"),
    Import("the same numbers in another form", one(targets=("65000L:100",)), reason="rt-mismatch"),
    Import("one of many matches", one(targets=("65000:1", "65000:100", "65000:2")), A, "only-path"),
    Import("V55 a tag", one(tag=7), reason="tag-mismatch"),
    Import("V56 no encapsulation", one(encapsulation=None), A, "only-path", notes=("encap-default",)),
    Import("V57 MPLS only", one(encapsulation=10), reason="encap"),
    Import("V57 MPLS or VXLAN", one(encapsulation=10, extended=(wire.encapsulation(8),)), A, "only-path"),
    Import("V59 two labels", one(ip=IP1, l3vni=9000, targets=("65000:100", "65000:9000")), A, "only-path"),
    Import("V60 an unknown VNI", one(vni=300, targets=("65000:300",)), reason="unknown-vni", vni=300),
    Import("an unknown VNI comes before a missing RT", one(vni=300, targets=()), reason="unknown-vni", vni=300),
    Import("Site-of-Origin", one(extended=(wire.site_of_origin("65000:1"),)), reason="soo", more='soo = "65000:1"'),
    Import("another site", one(extended=(wire.site_of_origin("65000:2"),)), A, "only-path", more='soo = "65000:1"'),
    Import("V24 two mobility communities", one(extended=(wire.mobility(7),)), A, "only-path", notes=("first-mm",)),
    Import("V61 a segment without its own route", one(esi=E1), reason="pending-ead"),
    Import("V67 the reserved segment", one(esi=Esi(b"\xff" * 10)), A, "only-path", notes=("reserved-esi",)),
    Import("bad MAC is told before bad next hop", one(mac="01:00:00:00:00:00", vtep="0.0.0.0"), reason="bad-mac"),
    Import("self is told before the encapsulation", one(vtep=SELF, encapsulation=10), reason="self-vtep"),
    Import("the tag is told before the site", one(tag=7, extended=(wire.site_of_origin("65000:1"),)),
           reason="tag-mismatch", more='soo = "65000:1"'),
)  # fmt: skip

WIDE = LEAF.replace(
    'import_rt = ["65000:100"]', 'import_rt = ["65000:100", "4200000001:100", "10.0.0.1:100", "*:7"]\nMORE'
)


@pytest.mark.parametrize("case", IMPORTS, ids=lambda case: case.name)
def test_a_route_is_imported_or_refused_with_its_reason(case: Import) -> None:
    result = play([Lines().announce(A, case.route)], WIDE.replace("MORE", case.more))

    if case.row:
        (row,) = result["macs"]
        assert (row["vtep"], row["reason"], tuple(row["notes"])) == (case.row, case.reason, case.notes)
        assert result["refused"] == []
    else:
        (refused,) = result["refused"]
        assert (refused["vni"], refused["reason"]) == (case.vni, case.reason)
        assert result["macs"] == []


def test_v20_local_preference_never_decides() -> None:
    lines = Lines()
    strong = wire.Instance(A, local_pref=900).mac(M, seq=0)
    weak = wire.Instance(B, local_pref=100).mac(M, seq=1)

    result = play([lines.announce(A, strong), lines.announce(B, weak)])

    assert rows(result) == {M: B}


def test_v21_the_as_path_never_decides() -> None:
    lines = Lines()
    far = wire.Instance(A, as_path=(1, 2, 3, 4, 5)).mac(M, seq=1)
    near = wire.Instance(B, as_path=(1,)).mac(M, seq=1)

    result = play([lines.announce(A, far), lines.announce(B, near)])

    assert (rows(result), reason_of(result)) == ({M: A}, "lower-vtep")


def test_v06_ipv6_next_hops_compare_as_numbers() -> None:
    lines = Lines()
    ten = wire.Instance("2001:db8::10", rd="65000:1").mac(M, seq=1)
    nine = wire.Instance("2001:db8::9", rd="65000:2").mac(M, seq=1)

    result = play([lines.announce(A, ten), lines.announce(B, nine)], LEAF_V6)

    assert (rows(result), reason_of(result)) == ({M: "2001:db8::9"}, "lower-vtep")


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("rig", [0, 1], ids=["an IPv4 device", "an IPv6 device"])
def test_v07_a_next_hop_of_the_other_family_never_wins(first: int, rig: int) -> None:
    """A VXLAN device takes rows of its own address family only, so the higher sequence must not count either."""
    lines, far = Lines(), "2001:db8::9"
    seqs = [(1, 2), (2, 1)][rig]
    routes = [wire.Instance(far, rd="65000:1").mac(M, seq=seqs[1]), wire.Instance(C).mac(M, seq=seqs[0])]
    peers = [A, B]

    result = play([lines.announce(peers[at], routes[at]) for at in (first, 1 - first)], (LEAF, LEAF_V6)[rig])

    used, refused = [(C, far), (far, C)][rig]
    assert (rows(result), reason_of(result)) == ({M: used}, "only-path")
    assert refusals(result) == [(refused, "family-mismatch")]


def test_a_member_of_a_segment_with_the_other_family_is_not_used() -> None:
    lines = Lines()
    far = wire.Instance("2001:db8::1", rd="65000:1")
    near = wire.Instance(A)
    segment = [one.ethernet_ad(E1, tag=0xFFFFFFFF) for one in (far, near)]
    events = [lines.announce(A, *segment, far.ethernet_ad(E1, tag=0, label=100), near.mac(M, seq=1, esi=E1))]

    v4 = play(events)
    only_far = play([lines.announce(B, segment[0], far.mac(M, seq=1, esi=E1))])

    assert (rows(v4), reason_of(v4)) == ({M: A}, "same-es")
    assert rows(only_far) == {}


def test_a_flood_endpoint_of_the_other_family_is_refused() -> None:
    result = play([Lines().announce(A, wire.Instance("2001:db8::1", rd="65000:1").flood())])

    assert (floods(result), refused_floods(result)) == ([], [(100, "2001:db8::1", "family-mismatch")])


PREFIXES = LEAF.replace("[node]", '[node]\nvtep_prefixes = ["10.0.0.0/29", "2001:db8::/64"]')


def test_a_next_hop_or_an_endpoint_outside_vtep_prefixes_is_refused() -> None:
    lines = Lines()
    inside, outside = wire.Instance(A), wire.Instance(C)

    routes = (inside.mac(M), inside.flood(), outside.mac(M, seq=9), outside.flood())
    result = play([lines.announce(A, route) for route in routes], PREFIXES)

    assert (rows(result), floods(result)) == ({M: A}, [(100, A)])
    assert (refusals(result), refused_floods(result)) == ([(C, "unlisted-vtep")], [(100, C, "unlisted-vtep")])


FEW_VTEPS = LEAF + "[limits]\nvteps_per_vni = 2\n"


def flood_of(vtep: str, vni: int = 100) -> wire.Route:
    return wire.Instance(vtep, vni=vni, targets=(f"65000:{vni}",)).flood()


def test_a_full_vni_takes_no_new_vtep_and_the_ones_with_rows_stay() -> None:
    lines, low, high, third = Lines(), "10.0.0.3", "10.0.0.7", "10.0.0.1"
    start = [lines.up(A), lines.announce(A, flood_of(high)), lines.announce(A, flood_of(low))]
    more = [lines.announce(A, flood_of(third, vni)) for vni in (100, 200)]

    result = play([*start, *more], FEW_VTEPS)

    assert sorted(floods(result)) == [(100, low), (100, high), (200, third)]
    assert refused_floods(result) == [(100, third, "vtep-limit")]
    assert (result["counters"]["writes"], result["counters"]["deletes"]) == (3, 0)


def test_a_vtep_that_waited_gets_its_row_when_another_one_leaves() -> None:
    lines, vteps = Lines(), ["10.0.0.3", "10.0.0.7", "10.0.0.5", "10.0.0.1"]
    start = [lines.up(A), *(lines.announce(A, flood_of(vtep)) for vtep in vteps), lines.end_of_rib(A)]

    one = play([*start, lines.withdraw(A, flood_of(vteps[0]).nlri)], FEW_VTEPS)
    two = play([*start, lines.withdraw(A, flood_of(vteps[3]).nlri, flood_of(vteps[0]).nlri)], FEW_VTEPS)

    assert (floods(one), refused_floods(one)) == ([(100, vteps[3]), (100, vteps[1])], [(100, vteps[2], "vtep-limit")])
    assert (floods(two), refused_floods(two)) == ([(100, vteps[2]), (100, vteps[1])], [])


def test_v14_a_loser_that_comes_and_goes_leaves_the_generation() -> None:
    events = lines_of("+A s2 +B s1 -B")
    run = Replay(config.parse(LEAF))

    generations = []
    for line in events:
        run.feed(line)
        generations.append(run.result()["generation"])

    assert generations == [1, 1, 1]


def test_v19_two_rds_of_one_vtep_are_one_row() -> None:
    lines = Lines()
    first, second = (wire.Instance(A, rd=f"{A}:{number}").mac(M, seq=1) for number in (100, 101))

    result = play([lines.announce(A, first), lines.announce(A, second), lines.withdraw(A, first.nlri)])

    assert rows(result) == {M: A}
    assert (result["counters"]["writes"], result["counters"]["replaces"]) == (1, 0)


def test_v25_reserved_mobility_bits_are_not_sticky() -> None:
    odd = bytes((6, 0, 0xFE, 0)) + (1).to_bytes(4)

    result = play([Lines().announce(A, wire.Instance(A).mac(M, extended=(odd,)))])

    assert [(row["seq"], row["sticky"]) for row in result["macs"]] == [(1, False)]


def test_v35_a_long_lived_stale_sticky_route_loses() -> None:
    """RFC 9494 4.3, unverified."""
    lines = Lines()
    stale = wire.Instance(A).mac(M, sticky=True)
    llgr = wire.Route(stale.nlri, stale.next_hop, stale.attributes + wire.attribute(0xC0, 8, b"\xff\xff\x00\x06"))

    result = play([lines.announce(A, llgr), lines.announce(B, wire.Instance(B).mac(M, seq=0))])

    assert (rows(result), reason_of(result)) == ({M: B}, "llgr-stale")


def test_v39_a_changed_own_address_judges_everything_again() -> None:
    from vtep.projection.leaf import Leaf

    ours, theirs = config.parse(LEAF), config.parse(LEAF.replace("10.0.0.99", A))
    leaf = Leaf(ours, 0.0)
    leaf.receive(read_lines(lines_of("+A s1")), 0.0)
    with_row = leaf.judge(0.0)

    leaf.reconfigure(theirs, 1.0)
    without_row = leaf.judge(1.0)
    leaf.reconfigure(ours, 2.0)

    assert (len(with_row.macs), len(without_row.macs), len(leaf.judge(2.0).macs)) == (1, 0, 1)


def test_v40_a_mac_of_our_own_devices_is_refused() -> None:
    from vtep.intent import candidates_of
    from vtep.projection.leaf import Leaf

    leaf = Leaf(config.parse(LEAF), 0.0)
    leaf.receive(read_lines(lines_of("+A s1")), 0.0)
    leaf.learn_own_macs(frozenset({Mac.parse(M)}))

    intent = leaf.judge(0.0)

    assert [candidate.reason for candidate in candidates_of(intent, Mac.parse(M))] == ["self-mac"]
    assert len(intent.macs) == 0


def test_v44_a_malformed_nlri_costs_no_other_route() -> None:
    lines = Lines()
    good = wire.Instance(A).mac(M, seq=1)
    short = wire.Route(good.nlri[:1] + b"\x20" + good.nlri[2:-1], good.next_hop, good.attributes)

    result = play([lines.announce(A, short, good)])

    assert (rows(result), result["counters"]["bad_nlris"], result["counters"]["bad_lines"]) == ({M: A}, 1, 0)


def test_v46_the_label_is_the_raw_24_bits() -> None:
    rig = LEAF.replace("vni = 100", "vni = 1000").replace("65000:100", "65000:1000")
    route = wire.Instance(A, vni=0x0003E8, targets=("65000:1000",)).mac(M)

    result = play([Lines().announce(A, route)], rig)

    assert [row["vni"] for row in result["macs"]] == [1000]


def test_v54_one_mac_in_two_vnis_is_two_rows() -> None:
    lines = Lines()
    other = wire.Instance(B, vni=200, targets=("65000:200",)).mac(M, seq=9)

    result = play([lines.announce(A, wire.Instance(A).mac(M, seq=1)), lines.announce(B, other)])

    assert [(row["vni"], row["vtep"], row["reason"]) for row in result["macs"]] == [
        (100, A, "only-path"),
        (200, B, "only-path"),
    ]


def test_v60_configuring_an_unknown_vni_makes_its_row_without_bgp() -> None:
    from vtep.projection.leaf import Leaf

    leaf = Leaf(config.parse(LEAF), 0.0)
    leaf.receive(read_lines([Lines().announce(A, one(vni=300, targets=("65000:300",)))]), 0.0)
    before = leaf.judge(0.0)
    leaf.reconfigure(config.parse(LEAF + '[[vni]]\nvni = 300\nimport_rt = ["65000:300"]\n'), 1.0)

    assert (len(before.macs), len(leaf.judge(1.0).macs)) == (0, 1)


# Segments


def member(vtep: str) -> wire.Instance:
    return wire.Instance(vtep, rd=f"{vtep}:100")


def test_v62_a_segment_with_its_own_route_is_reached() -> None:
    lines = Lines()

    result = play(
        [
            lines.announce(A, member(A).mac(M, seq=1, esi=E1)),
            lines.announce(A, member(A).ethernet_ad(E1, tag=0xFFFFFFFF)),
        ]
    )

    assert (rows(result), reason_of(result)) == ({M: A}, "same-es")


def test_v63_two_vteps_of_a_segment_are_one_location() -> None:
    lines = Lines()

    result = play(
        [
            lines.announce(A, member(A).ethernet_ad(E1, tag=0xFFFFFFFF), member(A).mac(M, seq=1, esi=E1)),
            lines.announce(B, member(B).ethernet_ad(E1, tag=0xFFFFFFFF), member(B).mac(M, seq=0, esi=E1)),
        ]
    )

    assert (rows(result), reason_of(result)) == ({M: A}, "same-es")


def test_v64_a_vtep_that_only_aliases_the_segment_counts() -> None:
    lines = Lines()

    result = play(
        [
            lines.announce(B, member(B).ethernet_ad(E1, tag=0xFFFFFFFF), member(B).mac(M, seq=1, esi=E1)),
            lines.announce(A, member(A).ethernet_ad(E1, tag=0xFFFFFFFF), member(A).ethernet_ad(E1, tag=0, label=100)),
        ]
    )

    assert (rows(result), reason_of(result)) == ({M: A}, "same-es")


def test_a_single_active_segment_is_reached_only_through_vteps_that_advertise_the_mac() -> None:
    lines = Lines()
    flag = (wire.esi_label(0, single_active=True),)

    result = play(
        [
            lines.announce(B, member(B).ethernet_ad(E1, tag=0xFFFFFFFF, extended=flag)),
            lines.announce(B, member(B).mac(M, seq=1, esi=E1)),
            lines.announce(A, member(A).ethernet_ad(E1, tag=0xFFFFFFFF, extended=flag)),
            lines.announce(A, member(A).ethernet_ad(E1, tag=0, label=100)),
        ]
    )

    assert rows(result) == {M: B}


def test_mass_withdraw_takes_a_vtep_out_of_the_segment() -> None:
    lines = Lines()
    up = {vtep: member(vtep).ethernet_ad(E1, tag=0xFFFFFFFF) for vtep in (A, B)}

    result = play(
        [
            lines.announce(A, up[A], member(A).mac(M, seq=1, esi=E1)),
            lines.announce(B, up[B], member(B).mac(M, seq=1, esi=E1)),
            lines.withdraw(A, up[A].nlri),
        ]
    )

    assert (rows(result), result["counters"]["deletes"]) == ({M: B}, 0)


# Segments of ours

OURS = LEAF + f'[[segment]]\nesi = "{E1}"\n'
IDLE = OURS + "forwarding = false\n"
PROXY = (wire.host_flags(0x04),)


def on_segment(lines: Lines, vtep: str, seq: int, *, proxy: bool = False) -> bytes:
    """A VTEP that is up on E1 tells of M there."""
    route = member(vtep).mac(M, seq=seq, esi=E1, extended=PROXY if proxy else ())
    return lines.announce(vtep, member(vtep).ethernet_ad(E1, tag=0xFFFFFFFF), route)


def refusals(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["vtep"], row["reason"]) for row in result["refused"]]


def test_v66_a_mac_on_a_segment_of_ours_is_behind_our_own_port() -> None:
    lines = Lines()
    events = [on_segment(lines, A, 1), on_segment(lines, B, 9)]

    result = play(events, OURS)

    assert (rows(result), refusals(result)) == ({}, [(A, "local-bias"), (B, "local-bias")])
    assert result["counters"]["writes"] == 0
    assert rows(play(events)) == {M: A}


def test_v66_if_our_port_does_not_forward_the_mac_is_behind_the_others() -> None:
    result = play([on_segment(Lines(), A, 1)], IDLE)

    assert (rows(result), reason_of(result), refusals(result)) == ({M: A}, "only-path", [])


def test_v66_pending_ead_is_shown_before_local_bias() -> None:
    result = play([Lines().announce(A, member(A).mac(M, seq=1, esi=E1))], OURS)

    assert (rows(result), refusals(result)) == ({}, [(A, "pending-ead")])


def test_v66_a_mac_that_left_our_segment_is_followed() -> None:
    lines = Lines()

    result = play([on_segment(lines, A, 1), lines.announce(B, wire.Instance(B).mac(M, seq=2))], OURS)

    assert (rows(result), refusals(result)) == ({M: B}, [(A, "local-bias")])


def test_v66_a_port_that_stops_forwarding_gives_a_remote_row_without_bgp() -> None:
    from vtep.projection.leaf import Leaf

    leaf = Leaf(config.parse(OURS), 0.0)
    leaf.receive(read_lines([on_segment(Lines(), A, 1)]), 0.0)
    counts = [len(leaf.judge(0.0).macs)]
    for rig in (IDLE, OURS):
        leaf.reconfigure(config.parse(rig), 1.0)
        counts.append(len(leaf.judge(1.0).macs))

    assert counts == [0, 1, 0]


@dataclass(frozen=True)
class Proxied:
    name: str
    told: tuple[tuple[str, int, bool], ...]
    row: str
    reason: str
    rig: str = IDLE


PROXIED = (
    Proxied("V68 who heard the station wins", ((A, 1, True), (B, 1, False)), B, "non-proxy"),
    Proxied("V68 whatever the address", ((A, 1, False), (B, 1, True)), A, "non-proxy"),
    Proxied("V68 the lowest of those who heard it", ((A, 1, True), (C, 1, False), (B, 1, False)), B, "non-proxy"),
    Proxied("two proxies", ((B, 1, True), (A, 1, True)), A, "same-es"),
    Proxied("nobody is a proxy", ((B, 1, False), (A, 1, False)), A, "same-es"),
    Proxied("a higher sequence is no proxy's rival", ((A, 1, True), (B, 2, False)), A, "same-es"),
    Proxied("nor is a lower one", ((A, 2, True), (B, 1, False)), A, "same-es"),
    Proxied("on a segment that is not ours it means nothing", ((A, 1, True), (B, 1, False)), A, "same-es", LEAF),
)


@pytest.mark.parametrize("case", PROXIED, ids=lambda case: case.name)
def test_v68_of_equal_sequences_on_a_segment_of_ours(case: Proxied) -> None:
    lines = Lines()
    events = [on_segment(lines, vtep, seq, proxy=proxy) for vtep, seq, proxy in case.told]

    for order in (events, events[::-1]):
        result = play(order, case.rig)
        assert (rows(result), reason_of(result)) == ({M: case.row}, case.reason)


D = "10.0.0.20"


@pytest.mark.parametrize(
    ("rig", "reasons"),
    [
        (IDLE, {A: "non-proxy", B: "non-proxy", C: "same-es", D: "same-es"}),
        (LEAF, {A: "same-es", B: "same-es", C: "same-es", D: "same-es"}),
    ],
    ids=["ours", "not ours"],
)
def test_v68_each_candidate_has_its_reason(rig: str, reasons: dict[str, str]) -> None:
    from vtep.intent import candidates_of
    from vtep.projection.leaf import Leaf

    lines = Lines()
    told = ((A, 1, True), (B, 1, False), (C, 0, False), (D, 0, True))
    leaf = Leaf(config.parse(rig), 0.0)
    leaf.receive(read_lines([on_segment(lines, vtep, seq, proxy=proxy) for vtep, seq, proxy in told]), 0.0)

    candidates = candidates_of(leaf.judge(0.0), Mac.parse(M))

    assert {str(one.vtep): one.reason for one in candidates} == reasons
    assert [str(one.vtep) for one in candidates if one.verdict == "won"] == [B]


def test_v68_a_vtep_that_left_the_segment_is_not_chosen() -> None:
    lines = Lines()
    events = [on_segment(lines, A, 1, proxy=True), lines.announce(B, member(B).mac(M, seq=1, esi=E1))]

    result = play(events, IDLE)

    assert (rows(result), reason_of(result)) == ({M: A}, "only-path")


def test_a_segment_of_ours_is_reached_through_a_vtep_that_only_aliases_it() -> None:
    lines = Lines()
    aliasing = (member(A).ethernet_ad(E1, tag=0xFFFFFFFF), member(A).ethernet_ad(E1, tag=0, label=100))

    result = play([lines.announce(A, *aliasing), lines.announce(B, member(B).mac(M, seq=1, esi=E1))], IDLE)

    assert rows(result) == {M: A}


# Duplicates

FREEZE = LEAF + '[duplicates]\naction = "freeze"\n'


def bounce(lines: Lines, times: int, start: int = 0) -> list[bytes]:
    """Let M move between A and B so many times, with rising sequences."""
    return [
        lines.announce(vtep, wire.Instance(vtep).mac(M, seq=seq))
        for seq in range(start, start + times + 1)
        for vtep in ((A, B)[seq % 2],)
    ]


def test_v80_five_moves_are_a_duplicate_that_is_followed() -> None:
    result = play(bounce(Lines(), 5))

    assert (rows(result), alerts(result)) == ({M: B}, ["dup-warn"])


def test_four_moves_are_not_a_duplicate() -> None:
    assert alerts(play(bounce(Lines(), 4))) == []


def test_five_moves_in_more_than_the_window_are_not_a_duplicate() -> None:
    lines = Lines()
    events = []
    for seq in range(6):
        lines.wait(50)
        events.append(lines.announce((A, B)[seq % 2], wire.Instance((A, B)[seq % 2]).mac(M, seq=seq)))

    assert alerts(play(events)) == []


def test_v81_a_frozen_mac_stays_where_the_fifth_move_took_it() -> None:
    result = play(bounce(Lines(), 8), FREEZE)

    assert (rows(result), reason_of(result), alerts(result)) == ({M: B}, "dup-frozen", ["dup-frozen"])
    assert result["counters"]["replaces"] == 5


def test_a_frozen_mac_without_any_route_is_removed() -> None:
    lines = Lines()
    events = bounce(lines, 6)
    events += [lines.withdraw(vtep, wire.Instance(vtep).mac(M).nlri) for vtep in (A, B)]

    assert rows(play(events, FREEZE)) == {}


A_WHILE = 36
"""A window divided by its moves: so long after its location was offered last, a freeze ends."""


@pytest.mark.parametrize(("wait_s", "found"), [(A_WHILE - 2, B), (A_WHILE, C)])
def test_a_frozen_mac_that_left_everywhere_comes_back_elsewhere_after_a_while(wait_s: int, found: str) -> None:
    lines = Lines()
    events = bounce(lines, 6)
    events += [lines.withdraw(vtep, wire.Instance(vtep).mac(M).nlri) for vtep in (A, B)]
    events += [lines.announce(C, wire.Instance(C).mac(M, seq=99))]

    result = play(events, FREEZE, until=wait_s)

    assert (rows(result), alerts(result)) == ({M: found}, ["dup-frozen"] if found == B else [])


@pytest.mark.parametrize(("wait_s", "found", "reason"), [(A_WHILE - 1, B, "dup-frozen"), (A_WHILE, A, "only-path")])
def test_a_freeze_ends_a_while_after_the_vtep_that_has_the_mac_withdrew_it(
    wait_s: int, found: str, reason: str
) -> None:
    """Otherwise a hijack would outlive the hijacker: the row would point where no VTEP has the MAC."""
    lines = Lines()
    events = bounce(lines, 6)

    result = play([*events, lines.withdraw(B, wire.Instance(B).mac(M).nlri)], FREEZE, until=wait_s)

    assert (rows(result), reason_of(result)) == ({M: found}, reason)


def test_a_frozen_mac_that_each_vtep_withdraws_when_the_other_has_it_is_not_followed() -> None:
    """So do leaves whose bridges learn a MAC that bounces. A freeze that ended at once would follow every move."""
    lines = Lines()
    events = []
    for seq in range(21):
        here, there = wire.Instance((A, B)[seq % 2]), wire.Instance((B, A)[seq % 2])
        events += [lines.announce(here.vtep, here.mac(M, seq=seq)), lines.withdraw(there.vtep, there.mac(M).nlri)]

    result = play(events, FREEZE)

    assert (alerts(result), result["counters"]["replaces"]) == (["dup-frozen"], 5)


def test_a_freeze_lasts_while_the_session_of_the_vtep_is_lost_and_its_route_is_stale() -> None:
    lines = Lines()
    events = [lines.opened(peer, 120) for peer in (A, B)] + [lines.up(A), lines.up(B), *bounce(lines, 6)]

    result = play([*events, lines.down(B, "closing connection")], FREEZE)

    assert (rows(result), reason_of(result), result["macs"][0]["stale"]) == ({M: B}, "dup-frozen", True)


def test_a_frozen_row_is_that_of_the_vtep_that_has_it_and_the_winner_is_named_as_a_loser() -> None:
    from vtep.addr import Mac
    from vtep.intent import candidates_of
    from vtep.projection.leaf import Leaf

    leaf = Leaf(config.parse(FREEZE), 0.0)
    for now, line in enumerate(bounce(Lines(), 6)):
        leaf.receive(read_lines([line]), float(now))
        intent = leaf.judge(float(now))

    candidates = [(str(one.vtep), one.verdict, one.reason) for one in candidates_of(intent, Mac.parse(M))]
    (row,) = intent.macs.values()
    assert candidates == [(B, "won", "dup-frozen"), (A, "lost", "dup-frozen")]
    assert (str(row.peer), row.seq) == (B, 5)


def test_v83_an_operator_clears_a_frozen_mac_in_one_step() -> None:
    from vtep.addr import Mac, Vni
    from vtep.projection.leaf import Leaf

    leaf = Leaf(config.parse(FREEZE), 0.0)
    for now, line in enumerate(bounce(Lines(), 6)):
        leaf.receive(read_lines([line]), float(now))
        frozen = leaf.judge(float(now))
    key = (Vni(100), Mac.parse(M))

    leaf.clear_duplicates([key])
    freed = leaf.judge(8.0)

    assert [str(intent.macs[key].via.vtep) for intent in (frozen, freed)] == [B, A]
    assert (freed.generation, freed.moves.get(key), freed.alerts.get(key)) == (frozen.generation + 1, None, None)


def test_v84_a_freeze_ends_after_recover_s() -> None:
    rig = FREEZE + "recover_s = 30\n"
    frozen_since = 5
    events = bounce(Lines(), 6)

    before, after = play(events, rig, until=frozen_since + 29 - 6), play(events, rig, until=frozen_since + 30 - 6)

    assert (rows(before), rows(after)) == ({M: B}, {M: A})
    assert (alerts(before), alerts(after)) == (["dup-frozen"], [])


def test_a_warning_ends_when_the_mac_stays_for_a_window() -> None:
    assert alerts(play(bounce(Lines(), 5), until=179)) == ["dup-warn"]
    assert alerts(play(bounce(Lines(), 5), until=181)) == []


def test_many_warnings_that_are_due_at_once_end_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each judgement is short, and the next one is due at once; also in a replay all are over at the end."""
    from vtep.projection import draft, schedule
    from vtep.projection.leaf import Leaf

    monkeypatch.setattr(draft, "DUE_AT_ONCE", 2)
    monkeypatch.setattr(schedule, "PART", 2)
    macs = [f"02:00:00:00:00:{number:02x}" for number in range(5)]
    storm = [
        Lines().announce((A, B)[seq % 2], *(wire.Instance((A, B)[seq % 2]).mac(mac, seq=seq) for mac in macs))
        for seq in range(6)
    ]
    leaf = Leaf(config.parse(LEAF), 0.0)
    for line in storm:
        leaf.receive(read_lines([line]), 0.0)
        leaf.judge(0.0)

    warned, due = [], leaf.intent.due
    while due is not None and len(warned) < 9:
        warned.append(len(leaf.judge(due).alerts))
        due = leaf.intent.due

    assert warned == [3, 1, 0]
    assert (alerts(play(storm)), alerts(play(storm, until=181))) == (["dup-warn"] * 5, [])


def test_v86_rising_sequences_without_a_move_count_nothing() -> None:
    lines = Lines()

    result = play(lines.announce(A, wire.Instance(A).mac(M, seq=seq)) for seq in range(10))

    assert (alerts(result), result["generation"], result["counters"]["replaces"]) == ([], 1, 0)


def test_v87_moves_within_a_segment_count_nothing() -> None:
    lines = Lines()
    events = [lines.announce(vtep, member(vtep).ethernet_ad(E1, tag=0xFFFFFFFF)) for vtep in (A, B)]
    for seq in range(10):
        route = member((A, B)[seq % 2]).mac(M, seq=seq, esi=E1)
        events.append(lines.announce((A, B)[seq % 2], route))
        events.append(lines.withdraw((B, A)[seq % 2], member((B, A)[seq % 2]).mac(M, esi=E1).nlri))

    assert alerts(play(events)) == []


def test_a_move_across_a_moment_without_any_route_counts_for_a_mac_that_moves() -> None:
    lines = Lines()
    events = bounce(lines, 1)
    events += [lines.withdraw(vtep, wire.Instance(vtep).mac(M).nlri) for vtep in (A, B)]
    for seq in range(2, 6):
        vtep = (A, B)[seq % 2]
        events += [lines.announce(vtep, wire.Instance(vtep).mac(M, seq=seq))]
        events += [lines.withdraw(vtep, wire.Instance(vtep).mac(M).nlri)]
    events += [lines.announce(A, wire.Instance(A).mac(M, seq=9))]

    assert alerts(play(events)) == ["dup-warn"]


# Limits


def test_a_full_vni_refuses_new_macs_and_takes_them_when_there_is_room() -> None:
    lines = Lines()
    rig = LEAF + "[limits]\nmacs_per_vni = 1\n"
    first, second = (wire.Instance(A).mac(f"02:00:00:00:00:0{number}") for number in (1, 2))
    events = [lines.announce(A, first), lines.announce(A, second)]

    full, freed = play(events, rig), play([*events, lines.withdraw(A, first.nlri)], rig)

    assert (list(rows(full)), [refused["reason"] for refused in full["refused"]]) == ([M], ["limit"])
    assert (list(rows(freed)), freed["refused"]) == (["02:00:00:00:00:02"], [])


# What the kernel holds: the row is wanted, and its place is taken


def leaf_with_port(port: str) -> Replay:
    run = Replay(config.parse(LEAF))
    run.kernel.add_port(port, "br100")
    return run


def index(run: Replay, name: str) -> int:
    return run.kernel.links().by_name[name].index


def troubles(run: Replay) -> list[str]:
    return [trouble.reason for trouble in run.engine.troubles.values()]


def test_v32_a_static_row_on_an_access_port_is_kept() -> None:
    run = leaf_with_port("h0")
    static = Neighbor(Verb.CREATE, index(run, "h0"), Mac.parse(M), NTF_MASTER, NUD_NOARP)
    assert run.kernel.send([static]) == []
    run.kernel.counts.writes = 0

    for line in lines_of("+A S s7"):
        run.feed(line)

    assert (run.kernel.writes, troubles(run)) == (0, ["local-static"])


def test_v34_a_gateway_mac_that_is_our_own_is_refused() -> None:
    from vtep.intent import candidates_of
    from vtep.projection.leaf import Leaf

    leaf = Leaf(config.parse(LEAF), 0.0)
    leaf.learn_own_macs(frozenset({Mac.parse(M)}))
    leaf.receive(read_lines(lines_of("+A G s-")), 0.0)

    intent = leaf.judge(0.0)

    assert ([found.reason for found in candidates_of(intent, Mac.parse(M))], len(intent.macs)) == (["self-mac"], 0)


def test_v47_a_route_older_than_the_station_waits() -> None:
    """At the start nobody knows what is older; that a later route takes over is shown with the engine."""
    run = leaf_with_port("h0")
    run.kernel.station_sends(Mac.parse(M), "h0")

    for line in lines_of("+A s1"):
        run.feed(line)

    assert (run.kernel.writes, troubles(run)) == (0, ["local-learned"])


def test_v48_an_operators_row_on_the_vxlan_port_is_neither_written_nor_deleted() -> None:
    run = leaf_with_port("h0")
    theirs = Neighbor(Verb.CREATE, index(run, "vxlan100"), Mac.parse(M), NTF_SELF, NUD_PERMANENT, dst=Ip.parse(C))
    assert run.kernel.send([theirs]) == []
    before = run.kernel.get(index(run, "vxlan100"), Mac.parse(M), Half.VXLAN)
    run.kernel.counts.writes = 0

    for line in lines_of("+A s1 -A"):
        run.feed(line)

    assert (run.kernel.writes, run.kernel.deletes) == (0, 0)
    assert run.kernel.get(index(run, "vxlan100"), Mac.parse(M), Half.VXLAN) == before


# The tools of this file


def play(lines: Iterable[bytes], rig: str = LEAF, until: float = 0.0) -> dict[str, Any]:
    run = Replay(config.parse(rig))
    for line in lines:
        run.feed(line)
    run.wait(until)
    return run.result()


def rows(result: dict[str, Any]) -> dict[str, str]:
    return {row["mac"]: row["vtep"] for row in result["macs"]}


def alerts(result: dict[str, Any]) -> list[str]:
    return [alert["kind"] for alert in result["alerts"]]


def reason_of(result: dict[str, Any]) -> str:
    return next((row["reason"] for row in result["macs"] if row["mac"] == M), "")


def lines_of(events: str) -> list[bytes]:
    """Read the notation at the top."""
    lines = Lines()
    found = []
    for chunk in events.replace("+", "\n+").replace("-A", "\n-A").replace("-B", "\n-B").split("\n"):
        words = chunk.split()
        if not words:
            continue
        vtep = NAMES[words[0][1]]
        instance = wire.Instance(vtep)
        if words[0][0] == "-":
            found.append(lines.withdraw(vtep, instance.mac(M).nlri))
            continue
        seq = next(word[1:] for word in [*words, "s-"] if word.startswith("s"))
        route = instance.mac(
            M,
            IP1 if "/ip1" in words else "",
            seq=None if seq == "-" else int(seq),
            sticky="S" in words,
            extended=(wire.default_gateway(),) if "G" in words else (),
        )
        found.append(lines.announce(vtep, route))
    return found


# Floods


def floods(result: dict[str, Any]) -> list[tuple[int, str]]:
    return [(row["vni"], row["vtep"]) for row in result["floods"]]


def refused_floods(result: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(row["vni"], row["vtep"], row["reason"]) for row in result["refused_floods"]]


def with_pmsi(vtep: str, value: bytes, **fields: Any) -> wire.Route:
    """A Type-3 route of A's whose PMSI attribute is this one, or none where it is empty."""
    route = wire.Instance(A, **fields).flood()
    bare = wire.Instance(A, **fields).mac(M).attributes
    return wire.Route(route.nlri, Ip.parse(vtep), bare + value)


def test_v90_an_imet_makes_a_flood_row() -> None:
    result = play([Lines().announce(A, wire.Instance(A).flood())])

    assert (floods(result), refused_floods(result)) == ([(100, A)], [])
    assert result["floods"] == [{"vni": 100, "vtep": A, "notes": []}]
    assert (result["counters"]["writes"], result["generation"]) == (1, 1)


def test_v90_a_withdrawn_imet_removes_its_flood_row() -> None:
    lines, route = Lines(), wire.Instance(A).flood()
    complete = [lines.up(A), lines.announce(A, route), lines.end_of_rib(A)]

    result = play([*complete, lines.withdraw(A, route.nlri)])

    assert (floods(result), result["counters"]["writes"], result["counters"]["deletes"]) == ([], 1, 1)


PIM = 4


@pytest.mark.parametrize(
    "route",
    [with_pmsi(A, b""), wire.Instance(A).flood(tunnel=PIM), wire.Instance(A).flood(tunnel=7)],
    ids=["none", "PIM", "mLDP"],
)
def test_v92_without_ingress_replication_there_is_no_flood_row(route: wire.Route) -> None:
    result = play([Lines().announce(A, route)])

    assert (floods(result), refused_floods(result)) == ([], [(0, A, "no-ir")])
    assert result["counters"]["writes"] == 0


def test_v92_a_route_that_turns_to_ingress_replication_gets_its_row_and_loses_its_refusal() -> None:
    lines = Lines()
    pim, replicating = wire.Instance(A).flood(tunnel=PIM), wire.Instance(A).flood()

    there = play([lines.announce(A, pim), lines.announce(A, replicating)])

    assert (floods(there), refused_floods(there)) == ([(100, A)], [])


def test_v94_a_mac_behind_a_vtep_without_an_imet_has_its_row() -> None:
    lines = Lines()
    mac_alone = [lines.announce(A, wire.Instance(A).mac(M, seq=1))]
    both = [*mac_alone, lines.announce(A, wire.Instance(A).flood())]

    silent, flooded = play(mac_alone), play(both)

    assert (rows(silent), floods(silent)) == ({M: A}, [])
    assert silent["warnings"] == [{"vni": 100, "vtep": A, "kind": "rt2-without-imet"}]
    assert flooded["warnings"] == []


def test_v95_of_two_imets_of_a_vtep_one_holds_the_row() -> None:
    lines = Lines()
    first, second = (wire.Instance(A, rd=f"{A}:{number}").flood() for number in (100, 101))
    start = [lines.up(A), lines.announce(A, first), lines.announce(A, second), lines.end_of_rib(A)]

    one = play([*start, lines.withdraw(A, first.nlri)])
    none = play([*start, lines.withdraw(A, first.nlri), lines.withdraw(A, second.nlri)])

    assert (floods(one), one["counters"]["writes"], one["counters"]["deletes"]) == ([(100, A)], 1, 0)
    assert (floods(none), none["counters"]["deletes"]) == ([], 1)


def test_v96_a_foreign_flood_row_is_left_alone_and_does_not_stop_the_others() -> None:
    lines = Lines()
    run = Replay(config.parse(LEAF))
    port = run.kernel.links().by_name["vxlan100"].index
    assert run.kernel.send([Neighbor(Verb.APPEND, port, ZERO_MAC, NTF_SELF, NUD_PERMANENT, Ip.parse(B))]) == []
    ours, theirs = wire.Instance(A).flood(), wire.Instance(B).flood()

    def there() -> set[str]:
        bridge = run.kernel.links().by_name["br100"].index
        return {str(row.dst) for row in run.kernel.rows([bridge]) if row.mac == ZERO_MAC}

    for line in (lines.up(A), lines.announce(A, ours), lines.announce(A, theirs), lines.end_of_rib(A)):
        run.feed(line)
    assert there() == {A, B}
    assert [(trouble.state, trouble.reason) for trouble in run.engine.troubles.values()] == [("contested", "foreign")]
    run.feed(lines.withdraw(A, ours.nlri, theirs.nlri))
    assert there() == {B}


def test_v97_an_ipv6_endpoint() -> None:
    far, rig = "2001:db8::1", LEAF.replace('"10.0.0.99"', '"2001:db8::99"')

    result = play([Lines().announce(A, wire.Instance(far, rd="65000:1").flood())], rig)

    assert (floods(result), result["counters"]["writes"]) == ([(100, far)], 1)


def test_v98_an_endpoint_that_is_not_the_originator_is_used_and_noted() -> None:
    result = play([Lines().announce(A, with_pmsi(A, wire.pmsi_tunnel(100, Ip.parse(B))))])

    assert result["floods"] == [{"vni": 100, "vtep": B, "notes": ["pmsi-mismatch"]}]


def test_an_endpoint_that_changes_moves_the_row() -> None:
    lines = Lines()
    moved = with_pmsi(A, wire.pmsi_tunnel(100, Ip.parse(B)))
    start = [lines.up(A), lines.announce(A, wire.Instance(A).flood()), lines.end_of_rib(A)]

    result = play([*start, lines.announce(A, moved)])

    assert (floods(result), result["counters"]["writes"], result["counters"]["deletes"]) == ([(100, B)], 2, 1)


@pytest.mark.parametrize("own", [SELF, "10.0.0.98"], ids=["this VNI's", "another VNI's"])
def test_an_own_address_is_never_a_flood_endpoint(own: str) -> None:
    result = play([Lines().announce(A, with_pmsi(A, wire.pmsi_tunnel(100, Ip.parse(own))))])

    assert (floods(result), refused_floods(result)) == ([], [(100, own, "self-vtep")])


IMETS = (
    ("another Route Target", wire.Instance(A, targets=("65000:999",)).flood(), 100, "rt-mismatch"),
    ("no Route Target", wire.Instance(A, targets=()).flood(), 100, "rt-missing"),
    ("another label", wire.Instance(A, vni=5000, targets=("65000:100",)).flood(), 100, "vni-mismatch"),
    ("an unknown VNI", wire.Instance(A, vni=300, targets=("65000:300",)).flood(), 300, "unknown-vni"),
    ("label zero", wire.Instance(A, vni=0).flood(), 100, "bad-vni"),
    ("a tag", wire.Instance(A, tag=7).flood(), 100, "tag-mismatch"),
    ("MPLS only", wire.Instance(A, encapsulation=10).flood(), 100, "encap"),
    ("an endpoint of loopback", with_pmsi(A, wire.pmsi_tunnel(100, Ip.parse("127.0.0.1"))), 100, "bad-nexthop"),
)


@pytest.mark.parametrize(("route", "vni", "reason"), [case[1:] for case in IMETS], ids=[case[0] for case in IMETS])
def test_an_imet_is_refused_for_the_reasons_for_which_a_mac_is(route: wire.Route, vni: int, reason: str) -> None:
    result = play([Lines().announce(A, route)])

    assert (floods(result), [(row["vni"], row["reason"]) for row in result["refused_floods"]]) == ([], [(vni, reason)])


def test_a_vni_without_floods_takes_none_and_refuses_none() -> None:
    rig = LEAF.replace("vni = 100", "vni = 100\nflood = false")

    result = play([Lines().announce(A, wire.Instance(A).flood())], rig)

    assert (floods(result), refused_floods(result)) == ([], [])


def test_a_downstream_vni_is_flooded_to_under_the_number_that_the_far_end_gave() -> None:
    lines = Lines()
    run = Replay(config.parse(LEAF.replace("vni = 100", "vni = 100\ndownstream_vni = true")))
    bridge = run.kernel.links().by_name["br100"].index
    labelled = [with_pmsi(A, wire.pmsi_tunnel(label, Ip.parse(A))) for label in (5000, 6000)]

    seen = []
    for line in (lines.up(A), lines.announce(A, labelled[0]), lines.end_of_rib(A), lines.announce(A, labelled[1])):
        run.feed(line)
        seen.append([row.vni for row in run.kernel.rows([bridge]) if row.mac == ZERO_MAC])

    assert seen == [[], [5000], [5000], [6000]]


def test_two_labels_of_one_vtep_are_one_row() -> None:
    lines = Lines()
    rig = LEAF.replace("vni = 100", "vni = 100\ndownstream_vni = true")
    routes = [with_pmsi(A, wire.pmsi_tunnel(label, Ip.parse(A)), rd=f"65000:{label}") for label in (5000, 6000)]

    result = play([lines.announce(A, route) for route in routes], rig)

    assert (floods(result), result["counters"]["writes"]) == ([(100, A)], 1)


# Neighbors

IP2, IP6 = "172.16.0.2", "2001:db8:1::1"
M2 = "02:00:00:00:00:02"
IMMUTABLE, ROUTER = wire.host_flags(0x08), wire.host_flags(0x01)


def neighbors(result: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(row["vni"], row["ip"], row["mac"]) for row in result["neighbors"]]


def test_v99_an_address_moves_to_another_mac_while_both_macs_stay() -> None:
    lines = Lines()
    first, second = wire.Instance(A).mac(M, IP1, seq=0), wire.Instance(B).mac(M2, IP1, seq=1)
    events = [lines.announce(A, first), lines.announce(B, second)]

    moved, back = play(events), play([*events, lines.withdraw(B, second.nlri)])

    assert (rows(moved), neighbors(moved)) == ({M: A, M2: B}, [(100, IP1, M2)])
    assert (rows(back), neighbors(back)) == ({M: A}, [(100, IP1, M)])


@pytest.mark.parametrize("first", [0, 1])
def test_v101_an_immutable_address_stays_whatever_the_sequence(first: int) -> None:
    lines = Lines()
    events = [
        lines.announce(A, wire.Instance(A).mac(M, IP1, extended=(IMMUTABLE,))),
        lines.announce(B, wire.Instance(B).mac(M2, IP1, seq=9)),
    ]

    result = play([events[first], events[1 - first]])

    assert neighbors(result) == [(100, IP1, M)]
    assert result["alerts"] == [{"vni": 100, "mac": M, "kind": "immutable", "vtep": B}]


def test_v101_two_immutable_routes_of_one_mac_give_no_alert() -> None:
    lines = Lines()
    events = [lines.announce(vtep, wire.Instance(vtep).mac(M, IP1, extended=(IMMUTABLE,))) for vtep in (A, B)]

    assert alerts(play(events)) == []


@pytest.mark.parametrize(("extended", "router"), [((ROUTER,), True), ((), False), ((IMMUTABLE,), False)], ids=str)
def test_v102_the_router_flag_is_carried(extended: tuple[bytes, ...], router: bool) -> None:
    result = play([Lines().announce(A, wire.Instance(A).mac(M, IP6, extended=extended))])

    assert result["neighbors"] == [{"vni": 100, "ip": IP6, "mac": M, "router": router}]


def test_a_vni_without_neighbors_takes_none_and_keeps_the_mac() -> None:
    rig = LEAF.replace("vni = 100", "vni = 100\nneighbors = false")

    result = play([Lines().announce(A, wire.Instance(A).mac(M, IP1))], rig)

    assert (rows(result), neighbors(result)) == ({M: A}, [])


def test_a_refused_route_gives_no_neighbor() -> None:
    result = play([Lines().announce(A, wire.Instance(A, targets=("65000:999",)).mac(M, IP1))])

    assert neighbors(result) == []


def refused_hosts(result: dict[str, Any]) -> list[tuple[int, str, str, str]]:
    return [(row["vni"], row["ip"], row["mac"], row["reason"]) for row in result["refused_hosts"]]


@pytest.mark.parametrize(
    ("ip", "reason"),
    [
        *(
            (ip, "bad-host")
            for ip in ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "239.255.0.1", "255.255.255.255")
        ),
        *((ip, "bad-host") for ip in ("::", "::1", "ff02::1", "ff02::1:ff00:1", "ff0e::1")),
        *((ip, "self-host") for ip in (SELF, "10.0.0.98")),
    ],
)
def test_an_address_that_no_remote_host_can_have_gives_no_neighbor(ip: str, reason: str) -> None:
    result = play([Lines().announce(A, wire.Instance(A).mac(M, ip))])

    assert (rows(result), neighbors(result)) == ({M: A}, [])
    assert refused_hosts(result) == [(100, ip, M, reason)]


@pytest.mark.parametrize("ip", ["172.16.0.255", "169.254.0.1", "fe80::1", "240.0.0.1", "fd00::1"])
def test_an_address_that_a_host_can_have_gives_its_neighbor(ip: str) -> None:
    result = play([Lines().announce(A, wire.Instance(A).mac(M, ip))])

    assert (neighbors(result), refused_hosts(result)) == ([(100, ip, M)], [])


def test_an_address_of_the_bridge_gives_no_neighbor_while_the_bridge_has_it() -> None:
    from vtep.addr import Vni
    from vtep.projection.leaf import Leaf

    leaf, lines, gateway = Leaf(config.parse(LEAF), 0.0), Lines(), Ip.parse(IP1)
    other = wire.Instance(A, vni=200, targets=("65000:200",)).mac(M2, IP1)
    seen = []
    for own in ({(Vni(100), gateway)}, set()):
        leaf.learn_own_hosts(frozenset(own))
        if not seen:
            routes = [lines.announce(A, route) for route in (wire.Instance(A).mac(M, IP1), other)]
            leaf.receive(read_lines(routes), 0.0)
        intent = leaf.judge(0.0)
        seen.append(
            (
                [host.vni for host in intent.hosts.get(gateway, ())],
                [(host.vni, host.reason) for host in intent.refused_hosts.get(gateway, ())],
            )
        )

    assert seen == [([200], [(100, "gateway-host")]), ([100, 200], [])]
    leaf.learn_own_hosts(frozenset({(Vni(100), gateway)}))
    leaf.reconfigure(leaf.config, 1.0)
    while not leaf.is_rejudged:
        intent = leaf.judge(1.0)
    assert [host.vni for host in intent.hosts.get(gateway, ())] == [200]


def test_one_address_in_two_vnis_is_two_neighbors() -> None:
    lines = Lines()
    other = wire.Instance(B, vni=200, targets=("65000:200",)).mac(M2, IP1)

    result = play([lines.announce(A, wire.Instance(A).mac(M, IP1)), lines.announce(B, other)])

    assert neighbors(result) == [(100, IP1, M), (200, IP1, M2)]


def test_addresses_of_both_families_of_one_mac_are_two_neighbors() -> None:
    routes = [wire.Instance(A).mac(M, ip) for ip in (IP6, IP2)]

    result = play([Lines().announce(A, *routes)])

    assert neighbors(result) == [(100, IP2, M), (100, IP6, M)]


def test_a_tie_between_two_macs_goes_to_the_lower_vtep() -> None:
    lines = Lines()

    result = play([lines.announce(B, wire.Instance(B).mac(M, IP1)), lines.announce(A, wire.Instance(A).mac(M2, IP1))])

    assert neighbors(result) == [(100, IP1, M2)]
