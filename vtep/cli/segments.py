"""The command `vtep segments`: the remote Ethernet segments, and by which VTEPs each is reached."""

import argparse
from typing import Final

from vtep.cli.connection import client
from vtep.cli.grid import Column
from vtep.cli.listing import state_name
from vtep.cli.output import List, pages, show_list
from vtep.cli.text import amount
from vtep.v1 import vtep_pb2 as pb


def segments(options: argparse.Namespace) -> int:
    request = pb.ListSegmentsRequest(vni=options.vni, esi=options.esi)
    with client(options) as daemon:
        return show_list(options, _SEGMENTS, pages(daemon, request, pb.ListSegmentsResponse))


def _cells(row: pb.SegmentGroup) -> tuple[str, ...]:
    outside = [f"{one.vtep} {one.reason}" for one in row.outside]
    why = [*row.notes, *([row.sync.reason] if row.sync.reason else []), *outside]
    return (
        str(row.vni), row.esi, "single-active" if row.single_active else "all-active", ", ".join(row.vteps),
        row.backup or "-", amount(row.macs), str(row.group), state_name(row.sync.state), ", ".join(why),
    )  # fmt: skip


_SEGMENTS: Final = List[pb.SegmentGroup](
    "segments",
    (
        Column("VNI", right=True), Column("SEGMENT"), Column("MODE"), Column("VTEPS"), Column("BACKUP"),
        Column("MACS", right=True), Column("GROUP", right=True), Column("STATE", state=True), Column("WHY"),
    ),
    _cells,
    lambda last: f"none of the {amount(last.total)} groups match" if last.total else "no remote segment has a MAC",
)  # fmt: skip
