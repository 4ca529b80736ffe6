"""The commands that show tables: their requests, their columns, and the messages beside them.

Knows the messages of the API and what a person wants to see first. `output` has the formats.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from vtep.cli import grid, health, values
from vtep.cli.connection import client
from vtep.cli.grid import Column
from vtep.cli.output import List, is_document, known_vni, pages, print_value, show_list
from vtep.cli.text import age, amount, clock, has_colours, painted, plain, say, table_width, width, wrapped
from vtep.v1 import vtep_pb2 as pb


def status(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        answer = daemon.ask(pb.GetStatusRequest(), pb.GetStatusResponse)
    if is_document(options):
        print_value(options, values.value(answer))
        return 0
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
        *(("", text) for text in _reporters(feed)),
        ("peers", f"{feed.peers}, {feed.peers_up} up, {feed.peers_ended} with End-of-RIB"),
        ("kernel", f"{dataplane.state}: {dataplane.reason}" if dataplane.reason else dataplane.state),
        ("", _dataplane(dataplane, now)),
        ("advertising", _announcing(status.announcing, now)),
        *(("", plain(text)) for text in status.announcing.left_out),
        ("admin", ", ".join(status.admin_addresses) or "off"),
        *(("warning", plain(text)) for text in status.warnings),
    ]
    lines += [wrapped(text, columns, f"{name:<12}", " " * 12) for name, text in rows]
    return [*lines, "", *figures(status, table_width(sys.stdout))]


def headline(status: pb.GetStatusResponse, columns: int, *, colours: bool, hints: bool = True) -> list[str]:
    """Say whether it is ready, what prevents it, and perhaps what helps."""
    state = health.state(status).replace("-", " ")
    problems = [line for problem in _problems(status) for line in _problem(problem, columns, hints=hints)]
    return [f"vtep {plain(status.version)}, {painted(state, state) if colours else state}", *problems]


def _problems(status: pb.GetStatusResponse) -> Iterable[pb.Problem]:
    """Return the problems; an older daemon has sentences alone."""
    return status.problem_list or [pb.Problem(text=text) for text in status.problems]


def _problem(problem: pb.Problem, columns: int, *, hints: bool) -> list[str]:
    """Return one problem, and below it what helps."""
    hint = [wrapped(problem.hint, columns, "      > ", "        ")] if problem.hint and hints else []
    return [wrapped(problem.text, columns, "  - ", "    "), *hint]


def figures(status: pb.GetStatusResponse, columns: int | None) -> list[str]:
    """Return the table of rows by kind and state: the first kinds, and the others that this leaf has."""
    shown = [kind for at, kind in enumerate(status.kinds) if at < KINDS_ALWAYS_SHOWN or any(_counts(kind))]
    return grid.render(_KIND_COLUMNS, [_kind_cells(kind) for kind in shown], columns)


def _generation(status: pb.GetStatusResponse) -> str:
    if status.generation == status.generation_applied:
        return f"{amount(status.generation)}, applied"
    return f"{amount(status.generation)}, applied {amount(status.generation_applied)}"


_FORMS: Final = {"octets": "UPDATEs as octets", "parsed": "UPDATEs decoded by ExaBGP"}


def _feed(feed: pb.Feed, now: float) -> str:
    parts = ["attached" if feed.attached else "not attached", f"lines {amount(feed.lines)}"]
    parts += [_FORMS[feed.form]] if feed.form in _FORMS else []
    parts += [f"bad {amount(feed.bad_lines)}"] if feed.bad_lines else []
    parts += [f"gaps {amount(feed.gaps)}"] if feed.gaps else []
    parts += [f"waiting {amount(feed.backlog)}"] if feed.backlog else []
    parts += [f"last {age(feed.last_line, now)}"] if feed.HasField("last_line") else []
    return ", ".join(parts)


def _reporters(feed: pb.Feed) -> Iterator[str]:
    """Say which routers report by BMP, and what of it had no effect."""
    for router in feed.reporters[:REPORTERS_SHOWN]:
        name = plain(router.name or router.address)
        yield f"router {name} at {router.address}, {amount(router.peers)} peer{'s' * (router.peers != 1)}"
    if (more := len(feed.reporters) - REPORTERS_SHOWN) > 0:
        yield f"and {more} more router{'s' * (more > 1)}"
    if feed.ignored:
        counts = ", ".join(f"{plain(one.why)} {amount(one.messages)}" for one in feed.ignored)
        yield f"messages without effect: {counts}"


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


REPORTERS_SHOWN: Final = 5
KINDS_ALWAYS_SHOWN: Final = 3
"""MACs, floods and neighbors. The others are of layer 3 and multihoming, and most leaves have rows of few of them."""
_KIND_COLUMNS: Final = (
    Column("ROWS"),
    *(Column(name, right=True) for name in ("WANTED", "INSTALLED", "PENDING", "FAILED", "CONTESTED", "SUPPRESSED")),
)


def _kind_cells(kind: pb.KindCounts) -> tuple[str, ...]:
    return (kind.kind, *map(amount, _counts(kind)))


def _counts(kind: pb.KindCounts) -> tuple[int, ...]:
    return kind.wanted, kind.installed, kind.pending, kind.failed, kind.contested, kind.suppressed


def vnis(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        return show_list(options, _VNIS, [daemon.ask(pb.ListVnisRequest(), pb.ListVnisResponse)])


def _vni_cells(vni: pb.Vni) -> tuple[str, ...]:
    return (
        str(vni.vni), vni.state, vni.bridge, vni.vxlan, amount(vni.macs.wanted), amount(vni.macs.installed),
        amount(vni.vteps), amount(vni.neighbors), amount(vni.refused), vni.vtep, ", ".join([*vni.reasons, *vni.notes]),
    )  # fmt: skip


_VNIS: Final = List[pb.Vni](
    "vnis",
    (
        Column("VNI", right=True), Column("STATE", state=True), Column("BRIDGE", least=6), Column("VXLAN", least=6),
        Column("MACS", right=True), Column("INSTALLED", right=True), Column("VTEPS", right=True),
        Column("HOSTS", right=True), Column("REFUSED", right=True), Column("LOCAL", wide=True), Column("WHY", least=12),
    ),
    _vni_cells,
    lambda _: "no VNI is configured",
)  # fmt: skip


def macs(options: argparse.Namespace) -> int:
    request = pb.ListMacsRequest(
        vni=options.vni,
        vtep=str(options.vtep) if options.vtep else "",
        states=[f"SYNC_STATE_{state.upper()}" for state in options.state],
        peer=str(options.peer or ""),
        mac_prefix=options.prefix,
    )

    def is_meant(mac: pb.Mac) -> bool:
        return mac.mac.startswith(options.prefix) and (options.peer is None or mac.peer == str(options.peer))

    with client(options) as daemon:
        known_vni(daemon, options.vni)
        return show_list(options, _MACS, pages(daemon, request, pb.ListMacsResponse), is_meant)


def _mac_cells(mac: pb.Mac) -> tuple[str, ...]:
    return (
        str(mac.vni), mac.mac, mac.vtep, *sync_cells(mac.sync, time.time()), mac.peer, mac.rd, _seq(mac.seq),
        mac.esi or "-", amount(mac.sync.generation), _mac_why(mac),
    )  # fmt: skip


def _seq(number: int) -> str:
    return str(number or "-")


_SYNC_COLUMNS: Final = (Column("STATE", state=True), Column("SINCE", right=True))
_ORIGIN_COLUMNS: Final = (Column("PEER", wide=True), Column("RD", wide=True))
_WHY: Final = Column("WHY", least=8)

_MACS: Final = List[pb.Mac](
    "macs",
    (
        Column("VNI", right=True), Column("MAC"), Column("VTEP"), *_SYNC_COLUMNS, *_ORIGIN_COLUMNS,
        Column("SEQ", right=True, wide=True), Column("ESI", wide=True), Column("GENERATION", right=True, wide=True), _WHY,
    ),
    _mac_cells,
    lambda last: (
        f"none of the {amount(last.total)} remote MACs match" if last.total else "no remote MAC is wanted"
    ),
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
        known_vni(daemon, options.vni)
        answer = daemon.ask(pb.ListVtepsRequest(vni=options.vni), pb.ListVtepsResponse)
        return show_list(options, _VTEPS, [answer])


def _vtep_cells(vtep: pb.Vtep) -> tuple[str, ...]:
    why = ", ".join(filter(None, (_trouble(vtep.sync), *vtep.notes)))
    return (str(vtep.vni), vtep.vtep, amount(vtep.macs), _flood(vtep), why)


_VTEPS: Final = List[pb.Vtep](
    "vteps",
    (
        Column("VNI", right=True), Column("VTEP"), Column("MACS", right=True), Column("FLOOD", state=True), _WHY,
    ),
    _vtep_cells,
    lambda _: "no remote VTEP is known",
)  # fmt: skip


def _flood(vtep: pb.Vtep) -> str:
    return state_name(vtep.sync.state) if vtep.flood else "no"


def neighbors(options: argparse.Namespace) -> int:
    request = pb.ListNeighborsRequest(vni=options.vni, peer=str(options.peer or ""), mac_prefix=options.prefix)

    def is_meant(host: pb.Neighbor) -> bool:
        return host.mac.startswith(options.prefix) and (options.peer is None or host.peer == str(options.peer))

    with client(options) as daemon:
        known_vni(daemon, options.vni)
        return show_list(options, _NEIGHBORS, pages(daemon, request, pb.ListNeighborsResponse), is_meant)


def _neighbor_cells(host: pb.Neighbor) -> tuple[str, ...]:
    cells = (str(host.vni), host.ip, host.mac, *sync_cells(host.sync, time.time()), host.peer, host.rd)
    return (*cells, _neighbor_why(host))


_NEIGHBORS: Final = List[pb.Neighbor](
    "neighbors",
    (Column("VNI", right=True), Column("IP"), Column("MAC"), *_SYNC_COLUMNS, *_ORIGIN_COLUMNS, _WHY),
    _neighbor_cells,
    lambda last: f"none of the {amount(last.total)} host addresses match" if last.total else "no host address is known",
)


def _neighbor_why(host: pb.Neighbor) -> str:
    parts = [_trouble(host.sync), "router" if host.router else "", *host.alerts]
    return ", ".join(filter(None, parts))


def peers(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        return show_list(options, _PEERS, [daemon.ask(pb.ListPeersRequest(), pb.ListPeersResponse)])


def _peer_cells(peer: pb.Peer) -> tuple[str, ...]:
    return (
        peer.address, str(peer.asn or "-"), "up" if peer.up else "down", "yes" if peer.ended else "no", amount(peer.routes),
        amount(peer.stale), amount(peer.refused), _since(peer, time.time()),
        peer.router_id or "-", f"{peer.hold_time} s" if peer.hold_time else "-", " ".join(peer.families) or "-",
        peer.feed or "-", amount(peer.messages), ", ".join(_peer_why(peer)),
    )  # fmt: skip


_PEERS: Final = List[pb.Peer](
    "peers",
    (
        Column("PEER"), Column("AS", right=True), Column("STATE", state=True), Column("EOR"), Column("ROUTES", right=True),
        Column("STALE", right=True), Column("REFUSED", right=True), Column("SINCE", right=True),
        Column("ROUTER ID", wide=True), Column("HOLD TIME", right=True, wide=True), Column("FAMILIES", wide=True),
        Column("FEED", wide=True), Column("MESSAGES", right=True, wide=True), _WHY,
    ),
    _peer_cells,
    lambda _: "ExaBGP has no peer",
)  # fmt: skip


def _since(peer: pb.Peer, now: float) -> str:
    """Return for how long the peer is up, or down."""
    since = peer.since if peer.HasField("since") else peer.opened
    return age(since, now).removesuffix(" ago") if since.ByteSize() else "-"


def _peer_why(peer: pb.Peer) -> Iterator[str]:
    if peer.error and not peer.up:
        yield peer.error
    elif peer.reason:
        yield peer.reason
    if peer.refresh:
        yield f"refresh {peer.refresh}"
    if peer.limited:
        yield f"{amount(peer.limited)} refused, over `routes_per_peer`"


def events(options: argparse.Namespace) -> int:
    request = pb.ListEventsRequest(since=timestamp(options.since) if options.since else None)
    with client(options) as daemon:
        known_vni(daemon, options.vni)
        answer = daemon.ask(request, pb.ListEventsResponse)
    if not is_document(options) and answer.forgotten:
        say(f"{amount(answer.forgotten)} earlier events are forgotten")
    empty = _no_event(answer)
    if options.limit is not None:
        # The last ones, because they are what a person looks for.
        found = list(filter(_event_filter(options), answer.events))
        kept = found[len(found) - min(options.limit, len(found)) :]
        del answer.events[:]
        answer.events.extend(kept)
    return show_list(options, replace(_EVENTS, empty=lambda _: empty), [answer], _event_filter(options))


def _no_event(answer: pb.ListEventsResponse) -> str:
    """Say which kinds there are, because a kind that is mistyped would look like one that did not happen."""
    kinds = sorted({event.kind for event in answer.events})
    return (
        f"none of the {amount(len(answer.events))} events match; they are {', '.join(kinds)}" if kinds else "no events"
    )


def _event_filter(options: argparse.Namespace) -> Callable[[pb.Event], bool]:
    def is_meant(event: pb.Event) -> bool:
        return (
            (not options.vni or event.vni == options.vni)
            and (options.peer is None or event.peer == str(options.peer))
            and (not options.prefix or event.mac.startswith(options.prefix))
            and (not options.key or event.key == options.key)
            and (not options.kind or event.kind in options.kind)
        )

    return is_meant


EVENT_COLUMNS: Final = (
    Column("TIME"), Column("EVENT", state=True), Column("VNI", right=True), Column("ABOUT"), Column("WHAT", least=16),
)  # fmt: skip


def event_cells(event: pb.Event) -> tuple[str, ...]:
    about = event.mac or event.key or event.peer
    return (clock(event.time), event.kind, str(event.vni or ""), about, event_text(event))


_EVENTS: Final = List[pb.Event]("events", EVENT_COLUMNS, event_cells, lambda _: "no events")


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
        known_vni(daemon, options.vni)
        answer = daemon.ask(pb.DiffRequest(vni=options.vni, older_than_s=options.older_than), pb.DiffResponse)
    show_list(options, _DIFFERENCES, [answer])
    if answer.left_out:
        say(f"and {amount(answer.left_out)} more")
    return 1 if answer.differences or answer.left_out else 0


def _difference_cells(row: pb.Difference) -> tuple[str, ...]:
    why = f"{row.reason}: {row.text}" if row.text else row.reason
    return (row.difference, row.kind, str(row.vni), row.key, row.wanted or "-", row.there or "-", why)


_DIFFERENCES: Final = List[pb.Difference](
    "differences",
    (
        Column("DIFFERENCE", state=True), Column("KIND"), Column("VNI", right=True), Column("KEY"),
        Column("WANTED", least=8), Column("THERE", least=8), _WHY,
    ),
    _difference_cells,
    lambda last: f"no difference in {amount(last.compared)} rows",
)  # fmt: skip
