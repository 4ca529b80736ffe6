"""Elections of the designated forwarder, vector by vector: who stands, what each asks for, who is elected and why.

Compared with the RFCs' text: RFC 7432 8.5 (D1), RFC 8584 2.2 (D6), RFC 9785 3 and 4.1 (D3, D5). No RFC's, but our own
choice: the VNI as the number whose remainder counts, which RFC 9785 2 allows.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import pytest

from tests.lab import wire
from tests.lab.lines import Lines, read_lines
from vtep.addr import Esi, Ip
from vtep.app.replay import replay
from vtep.config import file as config
from vtep.evpn.attributes import Election
from vtep.projection.forwarder import Member, elect
from vtep.projection.leaf import Leaf

A, B, C, SELF = "10.0.0.1", "10.0.0.2", "10.0.0.10", "10.0.0.99"
MODULO, HRW, HIGHEST, LOWEST = 0, 1, 2, 3
DONT_PREEMPT, AC_INFLUENCED, UNKNOWN = 0x8000, 0x4000, 0x2000


def asks(vtep: str, algorithm: int = MODULO, preference: int = 0, capabilities: int = 0) -> Member:
    return Member(Ip.parse(vtep), Election(algorithm, capabilities, preference))


@dataclass(frozen=True)
class Case:
    name: str
    members: tuple[Member, ...]
    elected: str
    reason: str
    losers: dict[str, str]
    vni: int = 100


THREE = tuple(map(asks, (A, B, C)))
CASES = (
    Case("D1 modulo", THREE, B, "modulo", {A: "modulo", C: "modulo"}),
    Case("modulo of the next VNI", THREE, C, "modulo", {A: "modulo", B: "modulo"}, vni=101),
    Case("modulo of a multiple", THREE, A, "modulo", {B: "modulo", C: "modulo"}, vni=102),
    Case("IPv4 is numbered before IPv6", (asks("2001:db8::1"), asks(C)), C, "modulo", {"2001:db8::1": "modulo"}),
    Case("one alone", (asks(A),), A, "only-member", {}),
    Case(
        "the highest preference",
        (asks(A, HIGHEST, 100), asks(B, HIGHEST, 200), asks(C, HIGHEST, 300)),
        C, "preference", {A: "preference", B: "preference"},
    ),
    Case(
        "D5 the lowest preference",
        (asks(A, LOWEST, 100), asks(B, LOWEST, 200), asks(C, LOWEST, 300)),
        A, "preference", {B: "preference", C: "preference"},
    ),
    Case(
        "D3 equal preference, Don't Preempt on one",
        (asks(A, HIGHEST, 500), asks(B, HIGHEST, 500, DONT_PREEMPT)),
        B, "dont-preempt", {A: "dont-preempt"},
    ),
    Case(
        "D3 the same with the lowest",
        (asks(A, LOWEST, 500), asks(B, LOWEST, 500, DONT_PREEMPT)),
        B, "dont-preempt", {A: "dont-preempt"},
    ),
    Case(
        "the preference comes before Don't Preempt",
        (asks(A, HIGHEST, 500), asks(B, HIGHEST, 499, DONT_PREEMPT)),
        A, "preference", {B: "preference"},
    ),
    Case(
        "all equal",
        (asks(C, HIGHEST, 7, DONT_PREEMPT), asks(B, HIGHEST, 7, DONT_PREEMPT)),
        B, "lower-vtep", {C: "lower-vtep"},
    ),
    Case(
        "each loses by its own rule, and the nearest rival tells why the winner won",
        (asks(A, HIGHEST, 7), asks(B, HIGHEST, 9), asks(C, HIGHEST, 9)),
        B, "lower-vtep", {A: "preference", C: "lower-vtep"},
    ),
    Case(
        "D6 preference beside modulo is modulo for all",
        (asks(A, HIGHEST, 500), asks(B)),
        A, "modulo", {B: "modulo"},
    ),
    Case(
        "D6 the highest beside the lowest is modulo for all",
        (asks(A, HIGHEST, 1), asks(B, LOWEST, 9)),
        A, "modulo", {B: "modulo"},
    ),
    Case(
        "D6 a capability that one lacks is modulo for all",
        (asks(A, HIGHEST, 1), asks(B, HIGHEST, 9, AC_INFLUENCED)),
        A, "modulo", {B: "modulo"},
    ),
    Case(
        "the highest random weight (RFC 8584 3.2)",
        (asks(A, HRW), asks(B, HRW), asks(C, HRW)),
        C, "random-weight", {A: "random-weight", B: "random-weight"},
    ),
    Case(
        "what we do not know is modulo, even if all agree on it",
        (asks(A, 4), asks(B, 4)),
        A, "modulo", {B: "modulo"},
    ),
    Case(
        "a capability that we do not know, too",
        (asks(A, HIGHEST, 1, UNKNOWN), asks(B, HIGHEST, 9, UNKNOWN)),
        A, "modulo", {B: "modulo"},
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_election(case: Case) -> None:
    for members in permutations(case.members):
        winner, reason, losers = elect(members, case.vni)

        assert (str(winner.vtep), reason) == (case.elected, case.reason)
        assert {str(member.vtep): rule for member, rule in losers} == case.losers


# Through the whole pipe: our own port is a member, the others are Type-4 routes

E1 = Esi.parse("00:11:22:33:44:55:66:77:88:99")
E2 = Esi.parse("00:11:22:33:44:55:66:77:88:aa")
LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
import_rt = ["65000:100"]
"""
OURS = f'[[segment]]\nesi = "{E1}"\n'


def tells(vtep: str, *extended: bytes, esi: Esi = E1, rd: str = "") -> wire.Route:
    return wire.Instance(vtep, rd=rd or f"{vtep}:0").segment(esi, extended=extended)


def segments(lines: list[bytes], more: str = OURS) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = replay(config.parse(LEAF + more), lines)["segments"]
    return found


def elected(lines: list[bytes], more: str = OURS) -> list[tuple[str, int, str, bool]]:
    return [(row["esi"], row["vni"], row["vtep"], row["ours"]) for row in segments(lines, more)]


def test_the_forwarder_is_shown_with_the_losers_and_their_rules() -> None:
    lines = Lines()

    assert segments([lines.announce(A, tells(A)), lines.announce(B, tells(B))]) == [
        {
            "esi": str(E1),
            "vni": 100,
            "vtep": B,
            "ours": False,
            "reason": "modulo",
            "notes": [],
            "others": [{"vtep": A, "reason": "modulo"}, {"vtep": SELF, "reason": "modulo"}],
        }
    ]


def test_the_only_vtep_of_a_segment_forwards() -> None:
    assert elected([Lines().up(A)]) == [(str(E1), 100, SELF, True)]


def test_there_is_no_election_on_a_segment_that_is_not_ours() -> None:
    lines = [Lines().announce(A, tells(A, esi=E2))]

    assert elected(lines, "") == []
    assert [row[0] for row in elected(lines)] == [str(E1)]


def test_each_vni_has_an_election_of_its_own() -> None:
    more = '[[vni]]\nvni = 101\nimport_rt = ["65000:101"]\n' + OURS

    assert elected([Lines().announce(A, tells(A))], more) == [(str(E1), 100, A, False), (str(E1), 101, SELF, True)]


def test_a_leaf_whose_port_does_not_forward_is_no_candidate() -> None:
    assert elected([Lines().announce(A, tells(A))], OURS + "forwarding = false\n") == []


def test_our_preference_counts_as_configured() -> None:
    lines = [Lines().announce(A, tells(A, wire.df_election(HIGHEST, 32767)))]
    preference = OURS + 'algorithm = "highest-preference"\n'

    assert elected(lines, preference) == [(str(E1), 100, A, False)]
    assert elected(lines, preference + "preference = 32768\n") == [(str(E1), 100, SELF, True)]
    assert elected(lines, preference + "dont_preempt = true\n") == [(str(E1), 100, SELF, True)]
    assert elected(lines, preference + 'vtep = "10.0.0.0"\n') == [(str(E1), 100, "10.0.0.0", True)]


def test_our_lowest_preference_counts_as_configured() -> None:
    lines = [Lines().announce(A, tells(A, wire.df_election(LOWEST, 10)))]
    lowest = OURS + 'algorithm = "lowest-preference"\n'

    assert elected(lines, lowest + "preference = 9\n") == [(str(E1), 100, SELF, True)]
    assert elected(lines, lowest + "preference = 11\n") == [(str(E1), 100, A, False)]


@pytest.mark.parametrize(
    ("extended", "notes"),
    [
        ((wire.df_election(HIGHEST, 1),), []),
        ((wire.df_election(HIGHEST, 1, DONT_PREEMPT),), []),
        ((), ["election-default"]),
        ((wire.df_election(LOWEST, 1),), ["election-default"]),
        ((wire.df_election(HIGHEST, 1, AC_INFLUENCED),), ["election-default"]),
        ((wire.df_election(HIGHEST, 1), wire.df_election(HIGHEST, 2)), ["election-default"]),
    ],
    ids=["agreed", "Don't Preempt", "none", "another", "another capability", "two communities"],
)
def test_members_that_do_not_agree_are_noted(extended: tuple[bytes, ...], notes: list[str]) -> None:
    (row,) = segments([Lines().announce(A, tells(A, *extended))], OURS + 'algorithm = "highest-preference"\n')

    assert row["notes"] == notes
    assert row["vtep"] == (A if notes else SELF)
    assert row["reason"] == ("modulo" if notes else "preference")


@pytest.mark.parametrize("bad", [SELF, "127.0.0.1"], ids=["our own", "loopback"])
def test_an_originator_that_cannot_be_another_leaf_is_no_candidate(bad: str) -> None:
    assert segments([Lines().announce(A, tells(bad))])[0]["others"] == []


def test_a_vtep_with_several_type_4_routes_is_one_candidate() -> None:
    lines = Lines()
    told = [
        lines.announce(B, tells(A, wire.df_election(HIGHEST, 9), rd="65000:2")),
        lines.announce(A, tells(A, wire.df_election(HIGHEST, 5), rd="65000:1")),
    ]
    ours = OURS + 'algorithm = "highest-preference"\npreference = 7\n'

    for order in (told, told[::-1]):
        assert [(row["vtep"], len(row["others"])) for row in segments(order, ours)] == [(SELF, 1)]


def test_a_member_that_leaves_is_replaced_and_the_meaning_has_changed() -> None:
    lines = Lines()
    leaf = Leaf(config.parse(LEAF + OURS), 0.0)
    generations, forwarders = [], []
    for line in (
        lines.announce(A, tells(A)),
        lines.announce(A, tells(A)),
        lines.announce(A, tells(A, esi=E2)),
        lines.withdraw(A, tells(A).nlri),
    ):
        leaf.receive(read_lines([line]), 0.0)
        intent = leaf.judge(0.0)
        generations.append(intent.generation)
        forwarders.append(str(intent.forwarders[E1][0].vtep))

    assert (generations, forwarders) == ([1, 1, 1, 2], [A, A, A, SELF])


def test_one_changed_forwarder_among_many_changes_the_meaning() -> None:
    lines = Lines()
    leaf = Leaf(config.parse(LEAF + OURS + OURS.replace(str(E1), str(E2))), 0.0)
    generations = [leaf.judge(0.0).generation]
    for routes in ((tells(A), tells(A, esi=E2)), (tells(B), tells(B, esi=E2)), (tells(C), tells(C, esi=E2))):
        leaf.receive(read_lines([lines.announce(A, *routes)]), 0.0)
        generations.append(leaf.judge(0.0).generation)
    # One of the two has another forwarder now, and both are judged.
    for esi in (E1, E2):
        leaf.receive(read_lines([lines.withdraw(A, tells(A, esi=esi).nlri)]), 0.0)
        leaf.reconfigure(leaf.config, 1.0)
        generations.append(leaf.judge(1.0).generation)

    assert generations == [0, 1, 2, 3, 4, 5]


def test_a_reload_repeats_the_election() -> None:
    leaf = Leaf(config.parse(LEAF), 0.0)
    leaf.receive(read_lines([Lines().announce(A, tells(A))]), 0.0)
    seen = []
    for more in ("", OURS, OURS.replace(str(E1), str(E2)), OURS + "forwarding = false\n", OURS):
        leaf.reconfigure(config.parse(LEAF + more), 1.0)
        intent = leaf.judge(1.0)
        seen.append([(row.segment, str(row.vtep)) for found in intent.forwarders.values() for row in found])

    assert seen == [[], [(E1, A)], [(E2, SELF)], [], [(E1, A)]]


def test_with_ac_df_only_vteps_with_the_vni_stand_for_election() -> None:
    """RFC 8584 4: a candidate needs the VNI's route per EVI, and all must request it."""
    stands = tells(A, wire.df_election(MODULO, 0, AC_INFLUENCED))
    ac_df = OURS + "ac_df = true\n"
    lines = Lines()
    before = [lines.announce(A, stands)]
    assert elected(before, ac_df) == [(str(E1), 100, SELF, True)]

    joined = [*before, lines.announce(A, wire.Instance(A).ethernet_ad(E1, tag=0, label=100))]
    assert elected(joined, ac_df) == [(str(E1), 100, A, False)]

    assert elected([Lines().announce(A, tells(A))], ac_df) == [(str(E1), 100, A, False)]  # one does not ask for it

    other = tells(A, wire.df_election(HRW, 0, AC_INFLUENCED))  # they disagree, and the default has no AC-DF
    assert elected([Lines().announce(A, other)], ac_df) == [(str(E1), 100, A, False)]
