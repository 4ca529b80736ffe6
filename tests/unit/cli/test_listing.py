"""The lists and the status, as a person reads them."""

from vtep.cli.listing import _reporters, figures
from vtep.v1 import vtep_pb2 as pb


def test_the_status_has_only_the_kinds_of_rows_that_this_leaf_has():
    kinds = [pb.KindCounts(kind=name) for name in ("mac", "flood", "neighbor", "route", "nexthop")]
    assert [line.split()[0] for line in figures(pb.GetStatusResponse(kinds=kinds), 100)] == [
        "ROWS", "mac", "flood", "neighbor",
    ]  # fmt: skip

    kinds[4].contested = 1
    assert figures(pb.GetStatusResponse(kinds=kinds), 100)[-1].split() == ["nexthop", "0", "0", "0", "0", "1", "0"]


def test_routers_are_counted_in_words_that_fit_the_number_and_a_hostile_name_prints_no_escape():
    routers = [pb.Reporter(name="\x1b[31mr", address="10.0.0.1", peers=1), pb.Reporter(address="10.0.0.2", peers=2)]
    more = [pb.Reporter(name=f"r{number}", address="10.0.0.3") for number in range(4)]

    lines = list(_reporters(pb.Feed(reporters=[*routers, *more])))

    assert lines[0].endswith("at 10.0.0.1, 1 peer")
    assert "\x1b" not in lines[0]
    assert lines[1] == "router 10.0.0.2 at 10.0.0.2, 2 peers"
    assert lines[-1] == "and 1 more router"
