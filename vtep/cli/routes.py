"""`vtep routes`: every route that was received or is advertised, or a count of those that may not win.

Knows the options of the command and the columns. The daemon filters, and what became of a route is what it says.
"""

import argparse
import time
from collections.abc import Iterator
from typing import Final

from vtep.cli.connection import Client, client
from vtep.cli.grid import Column
from vtep.cli.output import List, pages, show_list
from vtep.cli.text import amount, route_age
from vtep.errors import UsageError
from vtep.v1 import vtep_pb2 as pb

TYPES: Final = {1: "1 ead", 2: "2 mac-ip", 3: "3 imet", 4: "4 segment", 5: "5 prefix"}
_ORDER: Final = ("won", "lost", "refused")


def routes(options: argparse.Namespace) -> int:
    if options.summary:
        return _summary(options)
    request = pb.ListRoutesRequest(
        type=options.type,
        peer=_text(options.peer),
        rd=_text(options.rd),
        vni=options.vni,
        mac=_text(options.mac),
        ip=_text(options.ip),
        refused=options.refused,
        reason=options.reason,
        advertised=options.advertised,
    )
    with client(options) as daemon:
        return show_list(options, _OWN if options.advertised else _RECEIVED, _pages(daemon, request))


def _pages(daemon: Client, request: pb.ListRoutesRequest) -> Iterator[pb.ListRoutesResponse]:
    """Yield the pages, each in the order that a person reads: the daemon's own order begins with what it keeps together."""
    for page in pages(daemon, request, pb.ListRoutesResponse):
        rows = sorted(page.routes, key=_rank)
        del page.routes[:]
        page.routes.extend(rows)
        yield page


def _rank(route: pb.Route) -> tuple[object, ...]:
    return route.type, route.peer, route.rd, route.mac, route.ip, route.originator, route.prefix, route.esi


def _summary(options: argparse.Namespace) -> int:
    if options.advertised:
        raise UsageError("--summary counts received routes; leave out --advertised")
    with client(options) as daemon:
        answer = daemon.ask(pb.GetStatusRequest(), pb.GetStatusResponse)

    def is_meant(refused: pb.Refusals) -> bool:
        return (
            options.peer in (None, refused.peer)
            and options.vni in (0, refused.vni)
            and options.reason in ("", refused.reason)
        )

    return show_list(options, _REFUSALS, [pb.GetStatusResponse(refusals=answer.refusals)], is_meant)


def _text(value: object | None) -> str:
    return "" if value is None else str(value)


# Columns


def _received_cells(route: pb.Route) -> tuple[str, ...]:
    verdict = _main_verdict(route)
    return (
        TYPES.get(route.type, str(route.type)), route.peer, route.rd, _vni(route, verdict), _what(route), route.vtep,
        _state(route, verdict), _age(route), _targets(route), " ".join(route.attributes), _why(route, verdict),
    )  # fmt: skip


def _own_cells(route: pb.Route) -> tuple[str, ...]:
    return (
        TYPES.get(route.type, str(route.type)), route.rd, str(route.label or "-"), _what(route), route.vtep, route.state,
        _age(route), _targets(route), " ".join(route.attributes), route.error,
    )  # fmt: skip


def _main_verdict(route: pb.Route) -> pb.RouteVerdict | None:
    """Return the verdict that says most: in the VNI where the route won, or came furthest."""
    known = [one for one in route.verdicts if one.verdict in _ORDER]
    return min(known, key=lambda one: _ORDER.index(one.verdict), default=None)


def _vni(route: pb.Route, verdict: pb.RouteVerdict | None) -> str:
    vnis = [one.vni for one in route.verdicts] if verdict else [route.label]
    return ",".join(str(vni) for vni in dict.fromkeys(vnis) if vni) or "-"


def _what(route: pb.Route) -> str:
    """Return what the route is about."""
    parts = [route.prefix or route.mac or route.originator, route.ip if route.type == 2 else ""]
    parts += [f"gateway {route.ip}"] if route.type == 5 and route.ip else []
    parts += [f"esi {route.esi}"] if route.esi else []
    return " ".join(filter(None, parts)) or "-"


def _state(route: pb.Route, verdict: pb.RouteVerdict | None) -> str:
    word = verdict.verdict if verdict else "kept" if route.type in (1, 4, 5) else "not judged"
    return f"{word}, stale" if route.state == "stale" else word


def _age(route: pb.Route) -> str:
    return route_age(route, time.time()) or "-"


def _targets(route: pb.Route) -> str:
    return " ".join(route.route_targets)


def _why(route: pb.Route, verdict: pb.RouteVerdict | None) -> str:
    if verdict is None:
        return ""
    parts = [verdict.reason]
    parts += [f"has {_targets(route)}"] if verdict.reason == "rt-mismatch" else []
    parts += [f"seq {route.seq}"] if route.seq else []
    parts += ["sticky"] if route.sticky and verdict.reason != "sticky" else []
    return ", ".join(parts)


def _no_match(last: pb.ListRoutesResponse) -> str:
    return f"none of the {amount(last.total)} routes match" if last.total else "no route"


_WIDE: Final = (Column("ROUTE TARGETS", wide=True), Column("ATTRIBUTES", wide=True))

_RECEIVED: Final = List[pb.Route](
    "routes",
    (
        Column("TYPE"), Column("PEER"), Column("RD"), Column("VNI", right=True), Column("ROUTE"), Column("VTEP"),
        Column("VERDICT", state=True), Column("AGE", right=True), *_WIDE, Column("WHY", least=12),
    ),
    _received_cells,
    _no_match,
)  # fmt: skip

_OWN: Final = List[pb.Route](
    "routes",
    (
        Column("TYPE"), Column("RD"), Column("VNI", right=True), Column("ROUTE"), Column("VTEP"),
        Column("STATE", state=True), Column("SINCE", right=True), *_WIDE, Column("WHY", least=8),
    ),
    _own_cells,
    _no_match,
)  # fmt: skip

_REFUSALS: Final = List[pb.Refusals](
    "refusals",
    (Column("PEER"), Column("VNI", right=True), Column("REASON"), Column("ROUTES", right=True)),
    lambda one: (one.peer, str(one.vni or "others"), one.reason, amount(one.routes)),
    lambda _: "no route is refused",
)
