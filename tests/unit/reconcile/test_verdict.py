"""Every verdict for every combination of what is wanted, what is there and what was claimed: the table itself."""

from dataclasses import dataclass

import pytest

from vtep.reconcile.claims import Claim
from vtep.reconcile.contract import Seen
from vtep.reconcile.verdict import Verdict, judge

WANTED = {"-": None, "W": "W"}

THERE = {
    "nothing": None,
    "same": Seen("W", marked=True),
    "other": Seen("X", marked=True),
    "same half": Seen("W", marked=True, whole=False),
    "other half": Seen("X", marked=True, whole=False),
    "residue": Seen(None, marked=True, whole=False, residue=True),
    "unreadable": Seen(None, marked=True, whole=False),
    "foreign": Seen(None, marked=False, holder="foreign"),
    "tagged other": Seen("X", marked=True, tagged=True),
    "listed same": Seen("W", marked=False, listed=True, holder="foreign"),
    "unmarked same": Seen("W", marked=False, holder="local-learned"),
}

CLAIMS = {
    "none": None,
    "sure same": Claim("W", confirmed=True),
    "sure other": Claim("Y", confirmed=True),
    "unsure same": Claim("W"),
    "unsure there": Claim("X"),
    "unsure else": Claim("Y"),
    "unsure before": Claim("Y", before=("X",)),
}

TABLE = """
wanted  there          none       sure same  sure other  unsure same  unsure there  unsure else  unsure before
W       nothing        create     create     create      create       create        create       create
W       same           keep       keep       keep        keep         keep          keep         keep
W       other          contested  replace    replace     contested    replace       contested    replace
W       same half      replace    replace    replace     replace      replace       replace      replace
W       other half     contested  replace    replace     contested    replace       contested    replace
W       residue        create     replace    replace     replace      replace       replace      replace
W       unreadable     contested  replace    replace     replace      replace       replace      replace
W       foreign        contested  contested  contested   contested    contested     contested    contested
W       unmarked same  contested  contested  contested   contested    contested     contested    contested
W       tagged other   replace    replace    replace     replace      replace       replace      replace
W       listed same    contested  keep       keep        keep         contested     contested    contested
-       nothing        forget     forget     forget      forget       forget        forget       forget
-       same           foreign    delete     delete      delete       forget        forget       forget
-       other          foreign    delete     delete      forget       delete        forget       delete
-       same half      foreign    delete     delete      delete       forget        forget       forget
-       other half     foreign    delete     delete      forget       delete        forget       delete
-       residue        foreign    delete     delete      delete       delete        delete       delete
-       unreadable     foreign    delete     delete      delete       delete        delete       delete
-       foreign        foreign    forget     forget      forget       forget        forget       forget
-       tagged other   delete     delete     delete      delete       delete        delete       delete
-       listed same    foreign    delete     delete      delete       forget        forget       forget
-       unmarked same  foreign    forget     forget      forget       forget        forget       forget
"""


@dataclass(frozen=True)
class Case:
    wanted: str
    there: str
    claim: str
    expect: str


def cases() -> list[Case]:
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in TABLE.strip().splitlines()]
    head, *body = rows
    return [
        Case(wanted, there, claim, expect)
        for wanted, there, *verdicts in body
        for claim, expect in zip(head[2:], verdicts, strict=True)
    ]


def test_the_table_is_total() -> None:
    assert {(case.wanted, case.there, case.claim) for case in cases()} == {
        (wanted, there, claim) for wanted in WANTED for there in THERE for claim in CLAIMS
    }


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.wanted} {case.there}, claim {case.claim}")
def test_verdict(case: Case) -> None:
    verdict = judge(WANTED[case.wanted], THERE[case.there], CLAIMS[case.claim])

    assert verdict is Verdict(case.expect)
