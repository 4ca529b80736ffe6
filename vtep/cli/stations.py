"""`vtep macs`: the remote MACs, or with --local the stations of this leaf and how far each is advertised.

Knows the columns and the options that make no sense for a station. The daemon says why a station is not advertised.
"""

import argparse
import time
from typing import Final

from google.protobuf.message import Message

from vtep.cli import listing, values
from vtep.cli.connection import client
from vtep.cli.grid import Column
from vtep.cli.output import List, is_document, known_vni, pages, print_value, show_list
from vtep.cli.text import age
from vtep.errors import UsageError
from vtep.v1 import vtep_pb2 as pb


def macs(options: argparse.Namespace) -> int:
    """Show the remote MACs, the stations of this leaf, or both."""
    if options.local:
        return stations(options)
    return both(options) if options.all else listing.macs(options)


def stations(options: argparse.Namespace) -> int:
    _refuse_remote_options(options)
    with client(options) as daemon:
        known_vni(daemon, options.vni)
        request = pb.ListStationsRequest(vni=options.vni)
        answers = pages(daemon, request, pb.ListStationsResponse)
        return show_list(options, _STATIONS, answers, lambda row: row.mac.startswith(options.prefix))


def _refuse_remote_options(options: argparse.Namespace) -> None:
    for name in ("vtep", "state", "peer"):
        if getattr(options, name):
            raise UsageError(f"--{name} chooses remote MACs; leave it out with --local and --all")


def both(options: argparse.Namespace) -> int:
    """Show the stations, and then the remote MACs; as a document both are in one."""
    if not is_document(options):
        stations(options)
        return listing.macs(options)
    _refuse_remote_options(options)
    if options.output == "jsonl":
        raise UsageError("-o jsonl has one kind of row; use --local or --remote")

    def rows(request: Message, answer: type[Message], field: str) -> list[object]:
        found = [row for page in pages(daemon, request, answer) for row in getattr(page, field)]
        return [values.value(row) for row in found if row.mac.startswith(options.prefix)]

    with client(options) as daemon:
        known_vni(daemon, options.vni)
        own = rows(pb.ListStationsRequest(vni=options.vni), pb.ListStationsResponse, "stations")
        remote = rows(pb.ListMacsRequest(vni=options.vni), pb.ListMacsResponse, "macs")
    print_value(options, {"stations": own, "macs": remote})
    return 0


def _cells(row: pb.Station) -> tuple[str, ...]:
    return (
        str(row.vni), row.mac, row.port, str(row.vlan or "-"), " ".join(row.ips) or "-", str(row.seq), row.state,
        age(row.since, time.time()).removesuffix(" ago") if row.HasField("since") else "-", _why(row),
    )  # fmt: skip


def _why(row: pb.Station) -> str:
    parts = [row.reason, f"behind {row.vtep}" if row.vtep else ""]
    parts += ["sticky" if row.sticky else "", "gateway" if row.gateway else ""]
    return ", ".join(filter(None, parts))


_STATIONS: Final = List[pb.Station](
    "stations",
    (
        Column("VNI", right=True), Column("MAC"), Column("PORT"), Column("VLAN", right=True), Column("ADDRESSES"),
        Column("SEQ", right=True), Column("ADVERTISED", state=True), Column("SINCE", right=True), Column("WHY", least=8),
    ),
    _cells,
    lambda _: "no station is known: no bridge of a VNI that advertises has learned one",
)  # fmt: skip
