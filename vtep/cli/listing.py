"""The commands that show tables: their requests, their columns, and the messages beside them.

Knows the messages of the API and what a person wants to see first. Prints one object for -o json, and tables otherwise.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from vtep.cli import grid, values
from vtep.cli.connection import Client, client
from vtep.cli.grid import Column
from vtep.cli.text import age, amount, clock, has_colours, painted, plain, say, width, wrapped
from vtep.v1 import vtep_pb2 as pb

PAGE_SIZE: Final = 5000
"""The largest page that the daemon gives."""


def status(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        answer = daemon.ask(pb.GetStatusRequest(), pb.GetStatusResponse)
    if options.output == "json":
        return _print_json(answer)
    print("\n".join(screen(answer, width(sys.stdout), time.time(), colours=has_colours(sys.stdout))))
    return 0


def screen(status: pb.GetStatusResponse, columns: int, now: float, *, colours: bool) -> list[str]:
    """Return the daemon on one screen."""
    feed, dataplane = status.feed, status.dataplane
    lines = headline(status, columns, colours=colours)
    picture = "complete" if status.complete else "not complete"
    rows = [
        ("started", age(status.started, now) if status.HasField("started") else "?"),
        ("picture", f"{picture}: {status.complete_reason}" if status.complete_reason else picture),
        ("generation", _generation(status)),
        ("feed", _feed(feed, now)),
        ("peers", f"{feed.peers}, {feed.peers_up} up, {feed.peers_ended} with End-of-RIB"),
        ("kernel", f"{dataplane.state}: {dataplane.reason}" if dataplane.reason else dataplane.state),
        ("", _dataplane(dataplane, now)),
        ("advertising", _announcing(status.announcing, now)),
        *(("", plain(text)) for text in status.announcing.left_out),
        ("admin", ", ".join(status.admin_addresses) or "off"),
        *(("warning", plain(text)) for text in status.warnings),
    ]
    lines += [wrapped(text, columns, f"{name:<12}", " " * 12) for name, text in rows]
    return [*lines, "", *figures(status, columns)]


def headline(status: pb.GetStatusResponse, columns: int, *, colours: bool) -> list[str]:
    """Say whether it is ready, and what prevents it."""
    state = "ready" if status.ready else "not ready"
    problems = [wrapped(problem, columns, "  - ", "    ") for problem in status.problems]
    return [f"vtep {plain(status.version)}, {painted(state, state) if colours else state}", *problems]


def figures(status: pb.GetStatusResponse, columns: int) -> list[str]:
    """Return the table of rows by kind and state."""
    return grid.render(_KIND_COLUMNS, [_kind_cells(kind) for kind in status.kinds], columns)


def _generation(status: pb.GetStatusResponse) -> str:
    if status.generation == status.generation_applied:
        return f"{amount(status.generation)}, applied"
    return f"{amount(status.generation)}, applied {amount(status.generation_applied)}"


def _feed(feed: pb.Feed, now: float) -> str:
    parts = ["attached" if feed.attached else "not attached", f"lines {amount(feed.lines)}"]
    parts += [f"bad {amount(feed.bad_lines)}"] if feed.bad_lines else []
    parts += [f"gaps {amount(feed.gaps)}"] if feed.gaps else []
    parts += [f"waiting {amount(feed.backlog)}"] if feed.backlog else []
    parts += [f"last {age(feed.last_line, now)}"] if feed.HasField("last_line") else []
    return ", ".join(parts)


def _announcing(announcing: pb.Announcing, now: float) -> str:
    """Say how many routes are advertised; for `idle` and `unable` the reason is enough."""
    if announcing.state in ("idle", "unable"):
        return f"nothing: {plain(announcing.reason)}"
    parts = [f"{amount(announcing.told)} of {amount(announcing.wanted)} advertised"]
    parts += [f"waiting {amount(announcing.waiting)}"] if announcing.waiting else []
    parts += [f"refused {amount(announcing.refused)} ({plain(announcing.error)})"] if announcing.refused else []
    parts += [plain(announcing.reason)] if announcing.reason else []
    parts += [f"since {age(announcing.since, now)}"] if announcing.HasField("since") else []
    return ", ".join(parts)


def _dataplane(dataplane: pb.Dataplane, now: float) -> str:
    parts = [f"passes {amount(dataplane.passes)}"]
    parts += [f"audited {age(dataplane.audited, now)}"] if dataplane.HasField("audited") else []
    parts += [f"repaired {amount(dataplane.repaired)}"] if dataplane.repaired else []
    parts += [f"held {amount(dataplane.held)}"] if dataplane.held else []
    parts += [f"orphans {amount(dataplane.orphans)} (vtep adopt)"] if dataplane.orphans else []
    parts += [f"overruns {amount(dataplane.overruns)}"] if dataplane.overruns else []
    return ", ".join(parts)


_KIND_COLUMNS: Final = (
    Column("ROWS"),
    *(Column(name, right=True) for name in ("WANTED", "INSTALLED", "PENDING", "FAILED", "CONTESTED", "SUPPRESSED")),
)


def _kind_cells(kind: pb.KindCounts) -> tuple[str, ...]:
    figures = (kind.wanted, kind.installed, kind.pending, kind.failed, kind.contested, kind.suppressed)
    return (kind.kind, *map(amount, figures))


def vnis(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        answer = daemon.ask(pb.ListVnisRequest(), pb.ListVnisResponse)
    rows = (
        (
            str(vni.vni), vni.state, vni.bridge, vni.vxlan, amount(vni.macs.wanted), amount(vni.macs.installed),
            amount(vni.vteps), amount(vni.neighbors), ", ".join([*vni.reasons, *vni.notes]),
        )
        for vni in answer.vnis
    )  # fmt: skip
    return _print(options, answer, _VNI_COLUMNS, rows, "no VNI is configured")


_VNI_COLUMNS: Final = (
    Column("VNI", right=True), Column("STATE", state=True), Column("BRIDGE", least=6), Column("VXLAN", least=6),
    Column("MACS", right=True), Column("INSTALLED", right=True), Column("VTEPS", right=True),
    Column("HOSTS", right=True), Column("WHY", least=12),
)  # fmt: skip


def macs(options: argparse.Namespace) -> int:
    request = pb.ListMacsRequest(
        vni=options.vni,
        vtep=str(options.vtep) if options.vtep else "",
        states=[f"SYNC_STATE_{state.upper()}" for state in options.state],
    )
    with client(options) as daemon:
        found, last = _collected(daemon, request, pb.ListMacsResponse, "macs", options.limit)
    now = time.time()
    rows = (
        (str(mac.vni), mac.mac, mac.vtep, *sync_cells(mac.sync, now), _mac_why(mac)) for mac in found
    )  # fmt: skip
    if options.output == "json":
        return _print_collected("macs", found, last)
    empty = "no remote MAC is wanted" if not last.total else f"none of the {amount(last.total)} remote MACs match"
    return _print_table(_MAC_COLUMNS, rows, empty)


_MAC_COLUMNS: Final = (
    Column("VNI", right=True), Column("MAC"), Column("VTEP"), Column("STATE", state=True), Column("SINCE", right=True),
    Column("WHY", least=8),
)  # fmt: skip


def sync_cells(sync: pb.Sync, now: float) -> tuple[str, str]:
    """Return the state of a row, and since when it is there."""
    return state_name(sync.state), age(sync.since, now).removesuffix(" ago") if sync.HasField("since") else "-"


def state_name(state: Any) -> str:
    """Return a state in lower case, as it is typed."""
    return (values.enum_name(pb.SyncState.DESCRIPTOR, state) or "-").lower()


def _mac_why(mac: pb.Mac) -> str:
    parts = [_trouble(mac.sync)] if _trouble(mac.sync) else [mac.reason]
    parts += [f"seq {mac.seq}"] if mac.seq else []
    parts += ["sticky"] if mac.sticky and mac.reason != "sticky" else []
    return ", ".join([*parts, *mac.alerts])


def _trouble(sync: pb.Sync) -> str:
    return ": ".join(filter(None, (sync.reason, sync.error)))


def vteps(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        answer = daemon.ask(pb.ListVtepsRequest(vni=options.vni), pb.ListVtepsResponse)
    rows = (
        (
            str(vtep.vni), vtep.vtep, amount(vtep.macs), _flood(vtep),
            ", ".join(filter(None, (_trouble(vtep.sync), *vtep.notes))),
        )
        for vtep in answer.vteps
    )  # fmt: skip
    return _print(options, answer, _VTEP_COLUMNS, rows, "no remote VTEP is known")


_VTEP_COLUMNS: Final = (
    Column("VNI", right=True), Column("VTEP"), Column("MACS", right=True), Column("FLOOD", state=True),
    Column("WHY", least=8),
)  # fmt: skip


def _flood(vtep: pb.Vtep) -> str:
    return state_name(vtep.sync.state) if vtep.flood else "no"


def neighbors(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        request = pb.ListNeighborsRequest(vni=options.vni)
        found, last = _collected(daemon, request, pb.ListNeighborsResponse, "neighbors", None)
    now = time.time()
    rows = (
        (str(host.vni), host.ip, host.mac, *sync_cells(host.sync, now), _neighbor_why(host)) for host in found
    )  # fmt: skip
    if options.output == "json":
        return _print_collected("neighbors", found, last)
    return _print_table(_NEIGHBOR_COLUMNS, rows, "no host address is known")


_NEIGHBOR_COLUMNS: Final = (
    Column("VNI", right=True), Column("IP"), Column("MAC"), Column("STATE", state=True), Column("SINCE", right=True),
    Column("WHY", least=8),
)  # fmt: skip


def _neighbor_why(host: pb.Neighbor) -> str:
    parts = [_trouble(host.sync), "router" if host.router else "", *host.alerts]
    return ", ".join(filter(None, parts))


def peers(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        answer = daemon.ask(pb.ListPeersRequest(), pb.ListPeersResponse)
    now = time.time()
    rows = (
        (
            peer.address, "up" if peer.up else "down", "yes" if peer.ended else "no", amount(peer.routes),
            amount(peer.stale), age(peer.opened, now).removesuffix(" ago") if peer.HasField("opened") else "-",
            ", ".join(_peer_why(peer)),
        )
        for peer in answer.peers
    )  # fmt: skip
    return _print(options, answer, _PEER_COLUMNS, rows, "ExaBGP has no peer")


_PEER_COLUMNS: Final = (
    Column("PEER"), Column("STATE", state=True), Column("EOR"), Column("ROUTES", right=True),
    Column("STALE", right=True), Column("SINCE", right=True), Column("WHY", least=8),
)  # fmt: skip


def _peer_why(peer: pb.Peer) -> Iterator[str]:
    if peer.reason:
        yield peer.reason
    if peer.refresh:
        yield f"refresh {peer.refresh}"
    if peer.limited:
        yield f"{amount(peer.limited)} refused, over `routes_per_peer`"


def events(options: argparse.Namespace) -> int:
    request = pb.ListEventsRequest(since=timestamp(options.since) if options.since else None)
    with client(options) as daemon:
        answer = daemon.ask(request, pb.ListEventsResponse)
    if options.output == "table" and answer.forgotten:
        say(f"{amount(answer.forgotten)} earlier events are forgotten")
    return _print(options, answer, EVENT_COLUMNS, map(event_cells, answer.events), "no events")


EVENT_COLUMNS: Final = (
    Column("TIME"), Column("EVENT", state=True), Column("VNI", right=True), Column("ABOUT"), Column("WHAT", least=16),
)  # fmt: skip


def event_cells(event: pb.Event) -> tuple[str, ...]:
    about = event.mac or event.peer
    return (clock(event.time), event.kind, str(event.vni or ""), about, event_text(event))


def event_text(event: pb.Event) -> str:
    """Say what happened in one line: from where to where, the reason, and the text."""
    way = f"{event.vtep_before} -> {event.vtep}" if event.vtep_before and event.vtep else event.vtep
    return ", ".join(filter(None, (way, event.reason, event.text)))


def timestamp(moment: Any) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def diff(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        answer = daemon.ask(pb.DiffRequest(vni=options.vni), pb.DiffResponse)
    rows = (
        (row.difference, row.kind, str(row.vni), row.key, row.wanted or "-", row.there or "-", _why(row))
        for row in answer.differences
    )
    _print(options, answer, _DIFF_COLUMNS, rows, f"no difference in {amount(answer.compared)} rows")
    if answer.left_out:
        say(f"and {amount(answer.left_out)} more")
    return 1 if answer.differences or answer.left_out else 0


def _why(row: pb.Difference) -> str:
    return f"{row.reason}: {row.text}" if row.text else row.reason


_DIFF_COLUMNS: Final = (
    Column("DIFFERENCE", state=True), Column("KIND"), Column("VNI", right=True), Column("KEY"),
    Column("WANTED", least=8), Column("THERE", least=8), Column("WHY", least=8),
)  # fmt: skip


# Pages


def _collected(
    daemon: Client, request: Any, answer: Any, field: str, limit: int | None
) -> tuple[Sequence[Any], Any]:  # fmt: skip
    """Return the rows of all pages, or as many as are wanted, and the last answer."""
    rows: list[Any] = []
    while True:
        left = PAGE_SIZE if limit is None else limit - len(rows)
        request.page_size = max(1, min(PAGE_SIZE, left))
        page = daemon.ask(request, answer)
        rows += getattr(page, field)
        if not page.next_page_token or (limit is not None and len(rows) >= limit):
            return rows[:limit], page
        request.page_token = page.next_page_token


# Printing


def _print(
    options: argparse.Namespace, answer: Message, columns: Sequence[Column], rows: Iterable[Sequence[str]], empty: str
) -> int:
    if options.output == "json":
        return _print_json(answer)
    return _print_table(columns, rows, empty)


def _print_json(answer: Message) -> int:
    print(values.line(values.value(answer)))
    return 0


def _print_collected(field: str, rows: Sequence[Message], last: Message) -> int:
    print(values.line(values.value(last) | {field: [values.value(row) for row in rows]}))
    return 0


def _print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], empty: str) -> int:
    cells = list(rows)
    if not cells:
        say(plain(empty))
        return 0
    for line in grid.render(columns, cells, width(sys.stdout), colours=has_colours(sys.stdout)):
        print(line)
    return 0
