"""What `vtep check` says of an ExaBGP configuration."""

import pytest

from vtep.config.file import parse
from vtep.feed.exabgp.check import check
from vtep.feed.exabgp.config import render

GOOD = """
process relay { run vtep relay; encoder json; }   # a comment; with { braces
neighbor 10.0.0.1 {
    router-id 10.0.0.9; local-as 65000; peer-as 65000;
    adj-rib-in false;
    capability { graceful-restart 120; route-refresh; }
    family { l2vpn evpn; }
    api vtep0 { processes [ relay ]; neighbor-changes; receive { parsed; open; update; notification; refresh; } }
}
"""
LEAF = """
[node]
vtep = "10.0.0.9"
[bgp]
asn = 65000
router_id = "10.0.0.9"
[[bgp.neighbor]]
address = "10.0.0.1"
asn = 65000
[[vni]]
vni = 100
import_rt = ["65000:100"]
"""


def test_what_vtep_needs_is_enough():
    assert check(GOOD) == []


def test_what_vtep_writes_is_enough():
    assert check(render(parse(LEAF))) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("route-refresh;", "route-refresh; add-path send/receive;", "add-path is on for l2vpn evpn"),
        ("route-refresh;", "route-refresh; add-path receive;", "add-path is on for l2vpn evpn"),
        ("adj-rib-in false;", "", "never forgets an EVPN withdraw"),
        ("adj-rib-in false;", "adj-rib-in true;", "never forgets an EVPN withdraw"),
        ("graceful-restart 120;", "", "no End-of-RIB"),
        ("route-refresh;", "", "a lost line"),
        ("parsed;", "", "lacks `parsed` in `receive`"),
        ("neighbor-changes;", "", "lacks `neighbor-changes`"),
        ("encoder json", "encoder text", "lacks a process with `encoder json`"),
        ("[ relay ]", "[ other ]", "lacks a process with `encoder json`"),
    ],
)
def test_what_is_missing_is_named_with_its_neighbor(old, new, said):
    (problem,) = check(GOOD.replace(old, new))

    assert problem.startswith("neighbor 10.0.0.1: ")
    assert said in problem


@pytest.mark.parametrize("capability", ["add-path disable;", "add-path receive;"])
def test_add_path_of_other_families_is_no_problem(capability):
    families = "" if "disable" in capability else "add-path { ipv4 unicast; }"

    assert (
        check(
            GOOD.replace("route-refresh;", f"route-refresh; {capability}").replace("family {", f"{families} family {{")
        )
        == []
    )


def test_add_path_that_names_evpn_is_a_problem():
    text = GOOD.replace("route-refresh;", "route-refresh; add-path receive;")

    assert len(check(text.replace("family {", "add-path { l2vpn evpn; } family {"))) == 1


def test_a_neighbor_has_what_it_inherits():
    inherited = "template { neighbor common { adj-rib-in false; capability { graceful-restart; route-refresh; add-path receive; } } }"
    text = GOOD.replace("adj-rib-in false;", "inherit common;").replace(
        "capability { graceful-restart 120; route-refresh; }", ""
    )

    assert [problem.partition(";")[0] for problem in check(inherited + text)] == [
        "neighbor 10.0.0.1: add-path is on for l2vpn evpn"
    ]


def test_other_neighbors_are_not_judged():
    other = "neighbor 10.0.0.2 { family { ipv4 unicast; } }"

    assert check(GOOD + other) == []
    assert check(other) == ["no neighbor has `family { l2vpn evpn; }`"]


@pytest.mark.parametrize("text", ["neighbor 10.0.0.1 {", "}", "a {" * 40, "neighbor 10.0.0.1 { } }"])
def test_braces_that_do_not_fit_are_told(text):
    (problem,) = check(text)

    assert problem.startswith("cannot be read: ")
