"""`vtep watch`: changes as they happen, redrawn in place on a terminal, as lines elsewhere, as JSON lines for programs.

Knows the batches and marks of the stream, and how to continue after the daemon was away. Decides nothing about rows.

    thread: stream ──▶ queue (bounded: a slow terminal slows the stream, and the daemon says LAGGED)
                         │
    main:   ─────────────┴──▶ show: Screen | PlainLines | Documents
"""

import argparse
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, Queue
from typing import Any, Final, Protocol, TextIO

import grpc

from vtep.cli import grid, values
from vtep.cli.connection import Client, Stream, client, refusal, said
from vtep.cli.listing import EVENT_COLUMNS, event_cells, event_text, figures, headline, state_name
from vtep.cli.output import is_document, yaml
from vtep.cli.text import amount, clock, has_colours, plain, rate, say, stated, width
from vtep.v1 import vtep_pb2 as pb

REDRAW_S: Final = 0.1
"""At most so often, however many batches come."""
QUIET_S: Final = 35.0
"""The daemon sends something every 10 s; if it is silent for so long, it is gone, even if TCP has not noticed."""
PAUSE_S: Final = 1.0
"""Before another try, if the daemon ended a stream immediately."""
QUEUE_MAX: Final = 16
CHANGES_MAX: Final = 200
"""Changes that are kept for redrawing; no terminal has more lines."""
PROBLEM_LINES_MAX: Final = 6
"""Lines for problems, of the 24 of a terminal; `vtep status` shows all of them."""
RATE_OVER_S: Final = 0.5
"""Counts that are closer in time than this give no rate."""


class Show(Protocol):
    """One way to show batches."""

    def take(self, batch: pb.WatchResponse) -> None: ...
    def rest(self) -> None:
        """Nothing more is waiting: show what was put off."""


def watch(options: argparse.Namespace) -> int:
    request = pb.WatchRequest(changes_only=not options.table)
    if options.since:
        request.events_since.FromDatetime(options.since)
    show: Show
    if is_document(options):
        show = Documents(sys.stdout, yaml_text if options.output == "yaml" else values.line)
    elif sys.stdout.isatty():
        show = Screen(sys.stdout)
    else:
        show = PlainLines(sys.stdout)
    with client(options) as daemon:
        # If no daemon is at the address, the command ends; a daemon that has answered once is waited for.
        first = daemon.ask(pb.GetStatusRequest(), pb.GetStatusResponse)
        show.take(pb.WatchResponse(status=first))
        for batch in batches(daemon, request):
            if batch is None:
                show.rest()
            else:
                show.take(batch)
    return 0


# The stream


def batches(daemon: Client, request: pb.WatchRequest) -> Iterator[pb.WatchResponse | None]:
    """Yield batches without end, over every life of the daemon; None if none is waiting."""
    asked = pb.WatchRequest()
    asked.CopyFrom(request)
    is_away = False
    while True:
        got_something = False
        for batch in _life(daemon, asked, wait=is_away):
            if batch is not None:
                if is_away:
                    say(f"{daemon.address}: the daemon is back")
                is_away, got_something = False, True
                asked.resume_token = batch.resume_token or asked.resume_token
            yield batch
        if not is_away:
            say(f"{daemon.address}: the daemon is gone; waiting for it")
            is_away = True
            # Another life of the daemon does not know the token, and has events of its own.
            asked.events_since.GetCurrentTime()
        if not got_something:
            time.sleep(PAUSE_S)


def _life(daemon: Client, request: pb.WatchRequest, *, wait: bool) -> Iterator[pb.WatchResponse | None]:
    """Yield the batches of one stream until the daemon goes; raise an error that another try would not change."""
    stream = daemon.stream(request, pb.WatchResponse, wait=wait)
    queue: Queue[pb.WatchResponse | _End] = Queue(QUEUE_MAX)
    threading.Thread(target=_pump, args=(stream, queue), daemon=True).start()
    received = time.monotonic()
    try:
        while True:
            try:
                item = queue.get(timeout=REDRAW_S)
            except Empty:
                if not wait and time.monotonic() - received > QUIET_S:
                    return
                yield None
                continue
            if isinstance(item, _End):
                _raise_if_final(daemon, item.error)
                return
            received, wait = time.monotonic(), False
            yield item
    finally:
        stream.cancel()


@dataclass(frozen=True, slots=True)
class _End:
    """Comes in the queue after the last batch."""

    error: grpc.RpcError | None
    """Why the stream ended; None: the daemon ended it without an error."""


def _pump(stream: Stream[pb.WatchResponse], queue: "Queue[pb.WatchResponse | _End]") -> None:
    """Move batches from the stream, which blocks, to a queue with a time limit."""
    try:
        for batch in stream:
            queue.put(batch)
        queue.put(_End(None))
    except grpc.RpcError as error:
        queue.put(_End(error))


def _raise_if_final(daemon: Client, error: grpc.RpcError | None) -> None:
    """Raise what another try would not change, such as a request that it refuses; a daemon that is away may come back."""
    passing = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
    if error is not None and said(error)[0] not in passing:
        raise refusal(daemon.address, error)


# JSON lines, or YAML documents


def yaml_text(content: Any) -> str:
    return f"---\n{yaml(content)}".rstrip("\n")


class Documents:
    """One object after the other; `type` is status, mac, gone, prefix, gone-prefix, event or mark."""

    def __init__(self, stream: TextIO, spell: Callable[[Any], str] = values.line) -> None:
        self._stream = stream
        self._spell = spell

    def take(self, batch: pb.WatchResponse) -> None:
        for fields in _told(batch):
            print(self._spell(fields), file=self._stream)
        self._stream.flush()

    def rest(self) -> None:
        pass


def _told(batch: pb.WatchResponse) -> Iterator[dict[str, Any]]:
    # LAGGED comes before the table that follows it, SYNCED after the table that it ends.
    mark: dict[str, Any] = {"type": "mark", "mark": values.enum_name(pb.WatchMark.DESCRIPTOR, batch.mark)}
    if batch.mark == pb.WATCH_MARK_LAGGED:
        yield mark
    for mac in batch.macs:
        yield {"type": "mac"} | values.value(mac)
    for key in batch.gone:
        yield {"type": "gone"} | values.value(key)
    for prefix in batch.prefixes:
        yield {"type": "prefix"} | values.value(prefix)
    for name in batch.gone_prefixes:
        yield {"type": "gone-prefix"} | values.value(name)
    for event in batch.events:
        yield {"type": "event"} | values.value(event)
    if batch.mark not in {pb.WATCH_MARK_LAGGED, pb.WATCH_MARK_UNSPECIFIED}:
        yield mark
    if batch.HasField("status"):
        yield {"type": "status"} | values.value(batch.status)


# Lines for people


class PlainLines:
    """One line for each change; the progress of the first convergence goes to standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pace = Pace()
        self._progress = ""

    def take(self, batch: pb.WatchResponse) -> None:
        if batch.mark == pb.WATCH_MARK_LAGGED:
            say("some changes were missed")
        for line in _changes(batch):
            print(line, file=self._stream)
        self._stream.flush()
        if batch.HasField("status"):
            self._show_progress(self._pace.line(batch.status, time.monotonic()))

    def _show_progress(self, line: str) -> None:
        if line and line != self._progress:
            print(line, file=sys.stderr)
        self._progress = line

    def rest(self) -> None:
        pass


def _changes(batch: pb.WatchResponse) -> Iterator[str]:
    for mac in batch.macs:
        yield plain(f"row  {mac.vni} {mac.mac} {mac.vtep} {state_name(mac.sync.state)} ({_why(mac)})")
    for key in batch.gone:
        yield plain(f"gone  {key.vni} {key.mac}")
    for prefix in batch.prefixes:
        vteps = " ".join(prefix.vteps)
        yield plain(f"row  {prefix.vrf} {prefix.prefix} {vteps} {state_name(prefix.sync.state)} ({_why(prefix)})")
    for name in batch.gone_prefixes:
        yield plain(f"gone  {name.vrf} {name.prefix}")
    for event in batch.events:
        about = [event.kind, str(event.vni or ""), event.mac or event.key, event.peer, event_text(event)]
        yield plain(f"{clock(event.time)}  {' '.join(filter(None, about))}")


def _why(row: pb.Mac | pb.IpPrefix) -> str:
    """Say why a row is as it is: what is wrong with it, or why its way won."""
    return ": ".join(filter(None, (row.sync.reason, row.sync.error))) or row.reason


@dataclass(frozen=True, slots=True)
class _Mark:
    """A count at one time, from which the next rate is measured."""

    at: float
    """Of the monotonic clock, in seconds."""
    installed: int
    """MACs in the kernel at that time."""
    per_s: float = 0.0
    """The rate up to that time."""


class Pace:
    """The progress of the first convergence and its rate. Nothing after the daemon was ready once."""

    def __init__(self) -> None:
        self._mark: _Mark | None = None
        self._was_ready = False

    def line(self, status: pb.GetStatusResponse, now: float) -> str:
        """Return the progress, or nothing if the daemon was ready once."""
        self._was_ready = self._was_ready or status.ready
        counts = next((kind for kind in status.kinds if kind.kind == "mac"), pb.KindCounts())
        self._mark = self._next(counts.installed, now)
        if self._was_ready:
            return ""
        return (
            f"macs {amount(counts.installed)}/{amount(counts.wanted)} installed, {rate(self._mark.per_s)}, "
            f"EoR {status.feed.peers_ended}/{status.feed.peers}"
        )

    def _next(self, installed: int, now: float) -> _Mark:
        """Measure the rate between two counts."""
        before = self._mark
        if before is None:
            return _Mark(now, installed)
        if now - before.at < RATE_OVER_S:
            return before
        return _Mark(now, installed, max(0.0, (installed - before.installed) / (now - before.at)))


# On a terminal


class Screen:
    """The counts and the last changes, redrawn in place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._status = pb.GetStatusResponse()
        self._changes: deque[tuple[str, ...]] = deque(maxlen=CHANGES_MAX)
        self._pace = Pace()
        self._progress = ""
        self._height = 0
        self._drawn_at = float("-inf")
        self._is_stale = False

    def take(self, batch: pb.WatchResponse) -> None:
        """Take a batch, and draw at most once in REDRAW_S; `rest` draws what came since."""
        if batch.HasField("status"):
            self._status.CopyFrom(batch.status)
            self._progress = self._pace.line(batch.status, time.monotonic())
        self._changes.extend(_drawn_changes(batch))
        self._is_stale = True
        if time.monotonic() - self._drawn_at >= REDRAW_S:
            self._draw()

    def rest(self) -> None:
        if self._is_stale:
            self._draw()

    def _draw(self) -> None:
        columns, lines_max = width(self._stream), _height(self._stream)
        # The last column stays free, because some terminals wrap if it is used.
        picture = self.picture(columns - 1, lines_max - 1, colours=has_colours(self._stream))
        up = f"\x1b[{self._height}F" if self._height else ""
        print(f"{up}\x1b[J" + "\n".join(picture), file=self._stream, flush=True)
        self._height, self._drawn_at, self._is_stale = len(picture), time.monotonic(), False

    def picture(self, columns: int, lines_max: int, *, colours: bool) -> list[str]:
        """Return the counts, and as many of the last changes as there is room for."""
        problems = "\n".join(headline(self._status, columns, colours=colours, hints=False)).split("\n")
        progress = [self._progress[:columns]] if self._progress else []
        top = [*problems[:PROBLEM_LINES_MAX], *progress, "", *figures(self._status, columns)]
        room = lines_max - len(top) - 2
        if not self._changes or room < 1:
            return top[:lines_max]
        last = list(self._changes)[-room:]
        return [*top, "", *grid.render(EVENT_COLUMNS, last, columns, colours=colours)]


def _height(stream: TextIO) -> int:
    """Return the lines of the terminal; one that does not know says 0."""
    try:
        return max(8, os.get_terminal_size(stream.fileno()).lines or 24)
    except OSError:
        return 24


def _drawn_changes(batch: pb.WatchResponse) -> Iterator[tuple[str, ...]]:
    if batch.mark == pb.WATCH_MARK_LAGGED:
        yield (stated(datetime.now(UTC)), "lagged", "", "", "some changes were missed")
    now = stated(datetime.now(UTC))
    for mac in batch.macs:
        yield (now, state_name(mac.sync.state), str(mac.vni), mac.mac, f"{mac.vtep}, {_why(mac)}")
    for key in batch.gone:
        yield (now, "gone", str(key.vni), key.mac, "")
    for prefix in batch.prefixes:
        what = f"{' '.join(prefix.vteps)}, {_why(prefix)}"
        yield (now, state_name(prefix.sync.state), str(prefix.vni), prefix.prefix, what)
    for name in batch.gone_prefixes:
        yield (now, "gone", str(name.vni), name.prefix, "")
    for event in batch.events:
        yield event_cells(event)
