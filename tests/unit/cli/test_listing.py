"""The lists and the status, as a person reads them."""

from vtep.cli.listing import figures
from vtep.v1 import vtep_pb2 as pb


def test_the_status_has_only_the_kinds_of_rows_that_this_leaf_has():
    kinds = [pb.KindCounts(kind=name) for name in ("mac", "flood", "neighbor", "route", "nexthop")]
    assert [line.split()[0] for line in figures(pb.GetStatusResponse(kinds=kinds), 100)] == [
        "ROWS", "mac", "flood", "neighbor",
    ]  # fmt: skip

    kinds[4].contested = 1
    assert figures(pb.GetStatusResponse(kinds=kinds), 100)[-1].split() == ["nexthop", "0", "0", "0", "0", "1", "0"]
