"""The command `vtep segments`: the Ethernet segments of this leaf, and by which VTEPs each remote one is reached."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from vtep.cli.connection import client
from vtep.cli.grid import Column, Grid
from vtep.cli.listing import state_name
from vtep.cli.output import List, is_document, pages, show_list
from vtep.cli.text import amount, has_colours, plain, say, table_width
from vtep.v1 import vtep_pb2 as pb


def segments(options: argparse.Namespace) -> int:
    request = pb.ListSegmentsRequest(vni=options.vni, esi=options.esi)
    with client(options) as daemon:
        answers = with_own(options, pages(daemon, request, pb.ListSegmentsResponse))
        return show_list(options, _SEGMENTS, answers)


def with_own(
    options: argparse.Namespace, answers: Iterable[pb.ListSegmentsResponse]
) -> Iterator[pb.ListSegmentsResponse]:
    """Have each page name our own segments, as the first does; print them first where a person reads."""
    own: list[pb.OwnSegment] = []
    for place, answer in enumerate(answers):
        if place == 0:
            own = list(answer.own)
            if own and not is_document(options):
                _print_own(options, own)
        else:
            answer.own.extend(own)
        yield answer


def _print_own(options: argparse.Namespace, own: list[pb.OwnSegment]) -> None:
    width = None if options.output == "wide" else table_width(sys.stdout)
    print("\n".join(Grid(_OWN, width, colours=has_colours(sys.stdout)).lines(own_cells(own))), end="\n\n", flush=True)
    left_out = sum(one.vnis_left_out for one in own)
    if left_out:
        say(plain(f"{amount(left_out)} more VNIs of our segments are not shown; ask for one with --vni"))


def own_cells(own: Iterable[pb.OwnSegment]) -> list[tuple[str, ...]]:
    """Return one row for each VNI of each segment, or one for a segment without any."""
    rows: list[tuple[str, ...]] = []
    for one in own:
        others = ", ".join(one.vteps) or "-"
        for vni in one.vnis or (pb.OwnSegmentVni(port=one.port),):
            forwarder = "this leaf" if vni.ours else vni.forwarder or "-"
            why = ", ".join(filter(None, (one.reason, vni.sync.reason)))
            is_there = state_name(vni.sync.state) if vni.vni else "-"
            number = str(vni.vni) if vni.vni else "-"
            rows.append((one.esi, vni.port, one.state, number, forwarder, vni.filter or "-", is_there, others, why))
    return rows


_OWN: Final = (
    Column("OWN SEGMENT"), Column("PORT"), Column("PORT STATE"), Column("VNI", right=True), Column("FORWARDER"),
    Column("FILTER"), Column("STATE", state=True), Column("OTHER VTEPS"), Column("WHY"),
)  # fmt: skip


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
