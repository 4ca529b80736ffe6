"""The commands about VRFs: `vtep vrfs`, `prefixes`, `nexthops`, and `vtep explain PREFIX --vrf NAME`.

Knows the messages of the API, and what a person wants to see first. `output` has the formats.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Final

from vtep.cli import values
from vtep.cli.connection import client
from vtep.cli.grid import Column
from vtep.cli.listing import state_name
from vtep.cli.output import List, is_document, pages, print_value, show_list
from vtep.cli.text import age, amount, plain, width, wrapped
from vtep.v1 import vtep_pb2 as pb

LABEL: Final = 12
"""The column at which values begin."""


def vrfs(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        return show_list(options, _VRFS, [daemon.ask(pb.ListVrfsRequest(), pb.ListVrfsResponse)])


def _vrf_cells(vrf: pb.Vrf) -> tuple[str, ...]:
    why = [
        *(vrf.reasons or [text.partition(":")[0] for text in vrf.texts]),
        *([f"{vrf.conflicts} VTEPs with two Router's MACs"] if vrf.conflicts else []),
        *([f"{vrf.limited} prefixes over the limit"] if vrf.limited else []),
    ]
    return (
        vrf.name, str(vrf.vni), vrf.state, str(vrf.table), vrf.svi, vrf.vxlan, vrf.router_mac or "-",
        amount(vrf.prefixes), amount(vrf.nexthops), amount(vrf.vteps), ", ".join(why),
    )  # fmt: skip


_VRFS: Final = List[pb.Vrf](
    "vrfs",
    (
        Column("VRF"), Column("VNI", right=True), Column("STATE", state=True), Column("TABLE", right=True),
        Column("SVI"), Column("VXLAN"), Column("ROUTER-MAC"), Column("PREFIXES", right=True),
        Column("NEXTHOPS", right=True), Column("VTEPS", right=True), Column("WHY"),
    ),
    _vrf_cells,
    lambda _: "no VRF is configured",
)  # fmt: skip


def prefixes(options: argparse.Namespace) -> int:
    request = pb.ListPrefixesRequest(vrf=options.vrf)

    def is_meant(row: pb.IpPrefix) -> bool:
        return options.vtep is None or str(options.vtep) in row.vteps

    with client(options) as daemon:
        return show_list(options, _PREFIXES, pages(daemon, request, pb.ListPrefixesResponse), is_meant)


def _prefix_cells(row: pb.IpPrefix) -> tuple[str, ...]:
    return (
        row.vrf,
        row.prefix,
        ", ".join(row.vteps),
        state_name(row.sync.state),
        _since(row.sync),
        _why(row.sync, row.reason),
    )


_PREFIXES: Final = List[pb.IpPrefix](
    "prefixes",
    (
        Column("VRF"), Column("PREFIX"), Column("VTEPS"), Column("STATE", state=True), Column("SINCE", right=True),
        Column("WHY"),
    ),
    _prefix_cells,
    lambda last: f"none of the {amount(last.total)} prefixes match" if last.total else "no prefix is known",
)  # fmt: skip


def nexthops(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        request = pb.ListNexthopsRequest(vrf=options.vrf)
        return show_list(options, _NEXTHOPS, pages(daemon, request, pb.ListNexthopsResponse))


def _nexthop_cells(row: pb.Nexthop) -> tuple[str, ...]:
    family = "IPv6" if row.ipv6 else "IPv4"
    return (
        row.vrf,
        str(row.id),
        family,
        ", ".join(row.vteps),
        amount(row.users),
        state_name(row.sync.state),
        _why(row.sync),
    )


_NEXTHOPS: Final = List[pb.Nexthop](
    "nexthops",
    (
        Column("VRF"), Column("ID", right=True), Column("GATEWAY"), Column("VTEPS"), Column("USERS", right=True),
        Column("STATE", state=True), Column("WHY"),
    ),
    _nexthop_cells,
    lambda _: "no nexthop is known",
)  # fmt: skip


def explain(options: argparse.Namespace) -> int:
    """Explain a prefix or an address of a VRF."""
    request = pb.ExplainPrefixRequest(prefix=str(options.subject), vrf=options.vrf)
    with client(options) as daemon:
        answer = daemon.ask(request, pb.ExplainPrefixResponse)
    if is_document(options):
        print_value(options, values.value(answer))
        return 0
    print("\n".join(_page(answer, width(sys.stdout))))
    return 0


def _page(answer: pb.ExplainPrefixResponse, columns: int) -> Iterator[str]:
    def labelled(label: str, text: str) -> str:
        return wrapped(plain(text), columns, f"{label:<{LABEL}}", " " * LABEL)

    yield wrapped(plain(answer.summary), columns)
    yield ""
    yield labelled("VRF", f"{answer.vrf.name}, VNI {answer.vrf.vni}, {answer.vrf.state}")
    for text in answer.vrf.texts:
        yield labelled("", text)
    if answer.HasField("row"):
        yield labelled("route", f"{answer.prefix}: {_state(answer.row.sync)}")
        kind = "group" if len(answer.nexthop.vteps) > 1 else "nexthop"
        yield labelled(
            kind, f"{answer.nexthop.id}, {amount(answer.nexthop.users)} users: {_state(answer.nexthop.sync)}"
        )
    for router in answer.routers:
        yield labelled("router", f"{router.vtep} has {router.router_mac}: {_state(router.sync)}")
        if router.conflict:
            yield labelled("", f"its route names {router.conflict}, and the MAC that is in use stays")
    for path in answer.paths:
        host = f", host {path.mac}, sequence {path.seq}" if path.mac else ""
        index = f", gateway {path.gateway}" if path.gateway else f", segment {path.esi}" if path.esi else ""
        way = f"{path.vtep} by {path.peer}, RD {path.rd}, label {path.label}{host}{index}"
        route = f"{path.verdict} ({path.reason}): {way}"
        yield labelled("path", ", ".join((route, *path.notes)))
        if path.verdict == "refused":
            yield labelled("", path.text)
    if answer.left_out:
        yield labelled("", f"and {answer.left_out} more")


def _state(sync: pb.Sync) -> str:
    why = _why(sync)
    return f"{state_name(sync.state)} ({why})" if why else state_name(sync.state)


def _why(sync: pb.Sync, otherwise: str = "") -> str:
    return ": ".join(filter(None, (sync.reason, sync.error))) or otherwise


def _since(sync: pb.Sync) -> str:
    return age(sync.since, time.time()) if sync.HasField("since") else ""
