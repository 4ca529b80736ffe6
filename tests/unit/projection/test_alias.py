"""Groups of segments, as the projection alone makes them: every order of arrival, identifiers, and what a change costs."""

from itertools import permutations

import pytest

from tests.contract.grouped import CONFIG as ONE_VNI
from tests.contract.grouped import E1, E2, A, B, C, GroupedLeaf, M, MemoryHands, macs, per_evi, per_segment, type2
from vtep.addr import Esi, Ip, Mac, Vni
from vtep.evpn import index
from vtep.intent import Intent
from vtep.projection import alias, identifier
from vtep.projection import leaf as leaf_module
from vtep.projection import segment as segments

TWO_VNIS = ONE_VNI + ONE_VNI[ONE_VNI.index("[[vni]]") :].replace("100", "200").replace("65000:200", "65000:100")


class Pure(GroupedLeaf):
    """A leaf of which only the projection runs."""

    def __init__(self, config: str = ONE_VNI) -> None:
        super().__init__(MemoryHands(config), config)

    def judge(self) -> Intent:
        self.now += 1
        return self.leaf.judge(self.now)


def shown(leaf):
    """Return all that the intent says of MACs and groups, but for what they were before."""
    intent = leaf.intent
    groups = {key: (group.members, group.number, group.macs) for key, group in intent.groups.unordered()}
    rows = {key: (row.group, row.reason, row.advertisers) for key, row in intent.macs.unordered()}
    return groups, rows, dict(intent.fdb_nexthops.unordered()), dict(intent.group_numbers.unordered())


@pytest.mark.parametrize("together", [True, False], ids=["judged at the end", "judged each time"])
def test_all_orders_of_arrival_end_alike(together):
    routes = (per_segment(A), per_evi(A), per_segment(B), type2(A))
    results = []
    for order in permutations((*routes[:3], (*routes[3:], per_evi(B)))):
        leaf = Pure()
        for arriving in order:
            leaf.advertise(*(arriving if isinstance(arriving[0], tuple) else (arriving,)))
            if not together:
                leaf.judge()
        leaf.judge()
        results.append(shown(leaf))

    assert len(results) == 24
    assert all(result == results[0] for result in results)
    assert [members for members, *_ in results[0][0].values()] == [leaf.group().members]
    assert leaf.vteps() == [A, B]


def test_all_orders_of_leaving_end_with_nothing():
    routes = (per_segment(A), per_evi(A), per_segment(B), type2(A))
    for order in permutations(routes):
        leaf = Pure()
        leaf.advertise(*routes)
        leaf.judge()
        for leaving in order:
            leaf.withdraw(leaving)
            leaf.judge()
        assert shown(leaf) == ({}, {}, {}, {})
        assert (len(leaf.intent.group_uses), len(leaf.intent.groups_of)) == (0, 0)


def test_a_vtep_that_leaves_is_one_change_for_each_vni_and_none_for_a_mac():
    leaf = Pure(TWO_VNIS)
    for vni in (100, 200):
        leaf.advertise(*(type2(A, mac=mac, vni=vni) for mac in macs(50)), per_evi(A, vni=vni, tag=0))
        leaf.advertise(per_evi(B, vni=vni))
    leaf.advertise(per_segment(A), per_segment(B))
    leaf.judge()

    leaf.withdraw(per_segment(A))
    intent = leaf.judge()

    assert (intent.touched, len(intent.touched_groups)) == ((), 2)


def test_a_second_copy_of_a_type_1_route_changes_nothing():
    leaf = Pure()
    leaf.advertise(per_segment(A), per_evi(A), type2(A))
    before = leaf.judge()

    leaf.advertise(per_segment(A))
    after = leaf.judge()

    assert (after.generation, after.touched, after.touched_groups) == (before.generation, (), ())


def test_a_mac_that_comes_to_a_segment_which_all_had_left_follows_its_routes_as_well():
    """What its routes mean is remembered from the time before, and the segment must know that it depends on them."""
    leaf = Pure()
    first, second = macs(2)
    route = type2(A, mac=first)
    leaf.advertise(per_segment(A), per_segment(B), route)
    leaf.judge()
    leaf.withdraw(route)
    leaf.judge()
    leaf.advertise(type2(B, mac=second))
    leaf.judge()
    leaf.advertise(route)
    leaf.judge()

    leaf.withdraw(per_segment(A))
    intent = leaf.judge()

    assert [mac for (_, mac), _ in intent.macs.unordered()] == [second]


def test_a_mac_that_leaves_its_segment_while_others_stay_keeps_the_group():
    leaf = Pure()
    first, second = macs(2)
    leaf.advertise(per_segment(A), per_evi(A), type2(A, mac=first), type2(A, mac=second))
    leaf.judge()
    number = leaf.group().number

    leaf.withdraw(type2(A, mac=first))
    leaf.judge()
    assert (leaf.group().macs, leaf.group().number) == (1, number)

    leaf.withdraw(type2(A, mac=second))
    leaf.judge()
    assert (leaf.group(), len(leaf.intent.fdb_nexthops)) == (None, 0)


def test_groups_and_nexthops_with_one_checksum_stay_apart(monkeypatch):
    monkeypatch.setattr(identifier, "crc32", lambda _: 7)
    leaf = Pure()
    leaf.advertise(per_segment(A), per_segment(B), per_evi(B), type2(A))
    leaf.advertise(per_segment(A, E2), per_segment(C, E2), per_evi(C, E2), type2(A, E2, mac=macs(1)[0]))
    intent = leaf.judge()
    one, two = leaf.group(), leaf.group(E2)

    assert one.number != two.number
    assert len({*one.singles, *two.singles}) == len(intent.fdb_nexthops) == 3
    assert leaf.vteps() == [A, B]

    leaf.withdraw(type2(A))
    leaf.judge()
    assert (leaf.group(), leaf.group(E2)) == (None, two)


def test_very_many_vteps_of_a_segment_are_cut_and_the_lowest_are_used():
    leaf = Pure()
    vteps = [f"10.0.1.{number}" for number in range(1, 41)]
    leaf.advertise(*(route for vtep in vteps for route in (per_segment(vtep), per_evi(vtep))), type2(vteps[-1]))
    leaf.judge()

    assert [str(vtep) for vtep in leaf.group().members] == vteps[:16]
    assert {one.reason for one in leaf.group().outside} == {"member-limit"}
    assert len(leaf.group().outside) == 16


def test_a_frozen_mac_stays_on_its_segment_and_is_freed_when_no_vtep_is_left():
    leaf = Pure(ONE_VNI + '[duplicates]\naction = "freeze"\n')
    leaf.advertise(per_segment(A), per_evi(A))
    for seq in range(0, 12, 2):
        leaf.advertise(type2(A, seq=seq))
        leaf.judge()
        leaf.advertise(type2(C, bytes_of_no_segment(), seq=seq + 1))
        leaf.judge()
    row = leaf.intent.macs[Vni(100), M]
    assert row.reason == "dup-frozen"
    leaf.withdraw(per_segment(A))
    leaf.judge()

    assert leaf.vteps() == [C]


def bytes_of_no_segment():
    return segments.NO_SEGMENT


def test_a_vni_whose_devices_take_no_group_has_rows_to_one_vtep_and_no_group():
    leaf = Pure()
    leaf.advertise(per_segment(A), per_evi(A), per_segment(B), per_evi(B), type2(B))
    leaf.judge()
    assert leaf.vteps() == [A, B]

    leaf.leaf.learn_ungrouped(frozenset({Vni(100)}))
    while leaf.leaf.judge(leaf.now) and leaf.leaf.unjudged:
        pass
    assert (leaf.vteps(), len(leaf.intent.groups)) == ([A], 0)

    leaf.leaf.learn_ungrouped(frozenset())
    while leaf.leaf.judge(leaf.now) and leaf.leaf.unjudged:
        pass
    assert (leaf.vteps(), leaf.group(E1).macs) == ([A, B], 1)


def test_a_segment_for_each_mac_makes_no_more_groups_than_allowed():
    leaf = Pure("[limits]\nsegment_groups = 2\n" + ONE_VNI)
    segments_of = {mac: Esi(b"\x03" + bytes(6) + number.to_bytes(3)) for number, mac in enumerate(macs(5))}
    for mac, esi in segments_of.items():
        leaf.advertise(per_segment(A, esi), per_segment(B, esi), per_evi(A, esi), per_evi(B, esi), type2(B, esi, mac))
    intent = leaf.judge()
    plain = [mac for mac in segments_of if intent.macs[Vni(100), mac].group is None]

    assert (len(intent.group_uses), len(intent.groups), len(intent.macs)) == (2, 2, 5)
    assert [leaf.vteps(mac) for mac in plain] == [["10.0.0.2"]] * 3
    assert {intent.macs[Vni(100), mac].notes[-1] for mac in plain} == {"group-limit"}
    assert intent.ungrouped_of_vni[Vni(100)] == 3

    # A row without a group follows the segment as well.
    leaf.withdraw(per_segment(A, segments_of[plain[0]]))
    leaf.judge()
    assert leaf.vteps(plain[0]) == ["10.0.0.3"]

    # Another MAC of a segment that has a group joins it.
    grouped = next(mac for mac in segments_of if mac not in plain)
    leaf.advertise(type2(B, segments_of[grouped], M))
    assert leaf.judge().macs[Vni(100), M].group is not None

    leaf.withdraw(type2(B, segments_of[grouped], M), type2(B, segments_of[grouped], grouped))
    leaf.judge()
    leaf.advertise(type2(A, segments_of[plain[1]], plain[1], seq=1))
    intent = leaf.judge()
    assert leaf.vteps(plain[1]) == [A, B]
    assert (len(intent.groups), intent.ungrouped_of_vni[Vni(100)]) == (2, 2)


def test_macs_judged_one_by_one_and_together_stop_at_the_same_number_of_groups():
    found = []
    for alike in (True, False):
        leaf = Pure("[limits]\nsegment_groups = 1\n" + ONE_VNI)
        first, second, third = macs(3)
        leaf.advertise(per_segment(A), per_segment(A, E2), type2(A, mac=first), type2(A, E2, mac=second))
        leaf.advertise(type2(A, mac=third))
        intent = leaf.leaf.judge(1.0, alike=alike)
        found.append((len(intent.groups), sum(row.group is None for _, row in intent.macs.unordered()) > 0))
    assert found == [(1, True)] * 2


def test_the_routes_per_segment_are_read_once_for_all_vnis(monkeypatch):
    vnis = [100, 200, 300, 400]
    leaf = Pure(ONE_VNI + "".join(TWO_VNIS[len(ONE_VNI) :].replace("200", str(vni)) for vni in vnis[1:]))
    vteps = [f"10.0.1.{number}" for number in range(1, 51)]
    leaf.advertise(*map(per_segment, vteps))
    read = []
    judged = segments.refused_at
    monkeypatch.setattr(segments, "refused_at", lambda *args: read.append(args) or judged(*args))

    leaf.advertise(*(type2(vteps[0], mac=mac, vni=vni) for mac, vni in zip(macs(4), vnis, strict=True)))
    leaf.judge()
    assert (len(leaf.intent.groups), len(read)) == (4, 50)

    read.clear()
    leaf.withdraw(per_segment(vteps[0]))
    leaf.advertise(*(per_evi(vteps[1], vni=vni) for vni in vnis))
    leaf.judge()
    assert [group.members for _, group in leaf.intent.groups.unordered()] == [(Ip.parse(vteps[1]),)] * 4
    assert len([args for args in read if args[1] == Ip.parse(vteps[2])]) == 1


def test_a_route_per_evi_concerns_the_groups_of_its_vni_alone(monkeypatch):
    leaf = Pure(TWO_VNIS)
    for vni, mac in zip((100, 200), macs(2), strict=True):
        leaf.advertise(type2(A, mac=mac, vni=vni))
    leaf.advertise(per_segment(A), per_segment(B))
    leaf.judge()
    judged = []
    judge = alias._Draft.judge
    monkeypatch.setattr(alias._Draft, "judge", lambda draft, key: judged.append(key[0]) or judge(draft, key))

    leaf.advertise(per_evi(B, vni=200), per_evi(B, vni=100, tag=7))
    leaf.judge()
    assert judged == [200]
    assert (leaf.group().members, leaf.group(vni=200).members) == ((Ip.parse(A),), (Ip.parse(A), Ip.parse(B)))

    leaf.withdraw(per_evi(B, vni=200))
    leaf.judge()
    assert judged == [200, 200]
    assert leaf.group(vni=200).members == (Ip.parse(A),)


def test_the_only_route_of_a_segment_that_changes_is_read_again():
    leaf = Pure()
    leaf.advertise(type2(A))
    leaf.judge()
    leaf.advertise(per_segment(A))
    leaf.judge()
    assert leaf.vteps() == [A]

    leaf.advertise(per_segment(A, single_active=True))
    leaf.judge()
    assert leaf.group(primary=A).members == (Ip.parse(A),)

    leaf.withdraw(per_segment(A))
    leaf.judge()
    assert leaf.vteps() == []


MANY_VNIS = ONE_VNI + "".join(TWO_VNIS[len(ONE_VNI) :].replace("200", str(vni)) for vni in range(200, 700, 100))


def test_the_groups_of_a_segment_in_very_many_vnis_are_judged_in_parts(monkeypatch):
    monkeypatch.setattr(leaf_module, "GROUPS_AT_ONCE", 4)
    leaf = Pure(MANY_VNIS)
    vnis = range(100, 700, 100)
    leaf.advertise(*(per_evi(vtep, vni=vni) for vtep in (A, B) for vni in vnis), per_segment(A))
    leaf.advertise(*(type2(A, mac=mac, vni=vni) for mac, vni in zip(macs(6), vnis, strict=True)))
    leaf.judge()

    leaf.advertise(per_segment(B))
    leaf.end()
    parts = []
    while leaf.leaf.unjudged or not parts:
        intent = leaf.leaf.judge(leaf.now, 2048)
        parts.append((len(intent.touched_groups), intent.complete))

    assert parts == [(4, False), (2, True)]
    assert [len(group.members) for _, group in leaf.intent.groups.unordered()] == [2] * 6

    # What waits is dropped with its group.
    leaf.withdraw(per_segment(B))
    leaf.leaf.judge(leaf.now, 2048)
    leaf.withdraw(per_segment(A))
    while leaf.leaf.unjudged:
        leaf.leaf.judge(leaf.now, 2048)
    assert (dict(leaf.intent.groups.unordered()), leaf.intent.waiting_groups) == ({}, ())


def test_segments_of_which_answers_are_compared_later_are_followed_as_well(monkeypatch):
    monkeypatch.setattr(index, "COMPARED_AT_ONCE", 1)
    leaf = Pure()
    segments_of = {mac: Esi(b"\x03" + bytes(6) + number.to_bytes(3)) for number, mac in enumerate(macs(4))}
    for mac, esi in segments_of.items():
        leaf.advertise(per_segment(A, esi), per_segment(B, esi), per_evi(A, esi), per_evi(B, esi), type2(B, esi, mac))
    leaf.judge()

    more = {mac[:-1] + b"\xff" if not number else mac: esi for number, (mac, esi) in enumerate(segments_of.items())}
    leaf.withdraw(*(per_segment(B, esi) for esi in segments_of.values()))
    leaf.leaf.judge(leaf.now, 2048)
    assert leaf.leaf.unjudged
    # A MAC that comes while its segment was not compared yet follows later routes of the segment.
    leaf.advertise(*(type2(A, esi, Mac(mac)) for mac, esi in more.items()))
    leaf.leaf.judge(leaf.now, 2048)
    leaf.withdraw(*(per_segment(A, esi) for esi in segments_of.values()))
    while leaf.leaf.unjudged:
        leaf.leaf.judge(leaf.now, 2048)

    assert (dict(leaf.intent.macs.unordered()), dict(leaf.intent.groups.unordered())) == ({}, {})


def test_a_mac_that_is_alone_on_its_segment_counts_as_the_work_that_it_is():
    leaf = Pure()
    leaf.advertise(type2(A, mac=macs(1)[0]))
    alone = leaf.leaf.unjudged
    leaf.judge()
    leaf.advertise(type2(A, mac=macs(2)[1]))

    each = 1 + index.WORK_OF_NEW  # of both, something is said for the first time
    assert (alone, leaf.leaf.unjudged) == (each + index.WORK_OF_SEGMENT, each)


def test_a_mac_that_is_judged_before_its_segment_is_compared_is_not_forgotten(monkeypatch):
    """Its answer is not remembered. That those of other MACs stay says nothing of it."""
    monkeypatch.setattr(index, "COMPARED_AT_ONCE", 1)
    leaf = Pure()
    others = [Esi(b"\x03" + bytes(8) + bytes((number,))) for number in range(2)]
    known, *elsewhere, late = macs(4)
    leaf.advertise(*(per_segment(vtep, esi) for vtep in (B, C) for esi in (*others, E1)), type2(B, E1, known))
    leaf.advertise(*(type2(B, esi, mac) for esi, mac in zip(others, elsewhere, strict=True)))
    leaf.judge()

    leaf.advertise(*(per_evi(A, esi) for esi in (*others, E1)))
    leaf.leaf.judge(leaf.now, 2048)
    leaf.advertise(type2(C, E1, late))
    leaf.leaf.judge(leaf.now, 2048)
    assert (leaf.leaf.unjudged > 0, leaf.intent.macs.get((Vni(100), late)) is not None) == (True, True)
    leaf.withdraw(per_segment(C, E1))
    while leaf.leaf.unjudged:
        leaf.leaf.judge(leaf.now, 2048)

    assert (Vni(100), late) not in leaf.intent.macs
    assert (Vni(100), known) in leaf.intent.macs
