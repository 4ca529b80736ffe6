"""`vtep top`: a live screen with the rates, the progress with its end, the VNIs that are worst, and the last changes.

Knows the stream of `watch` and a terminal. Counts what passes; what a row or an event means is the daemon's to say.
"""

import argparse
import os
import select
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TextIO

from vtep.cli import grid
from vtep.cli.connection import Client, client
from vtep.cli.grid import Column
from vtep.cli.listing import EVENT_COLUMNS, event_cells, figures, headline
from vtep.cli.text import amount, duration, has_colours, painted, rate, width
from vtep.cli.watch import batches
from vtep.errors import UsageError
from vtep.v1 import vtep_pb2 as pb

REDRAW_S: Final = 0.5
"""How often the picture is drawn."""
VNIS_EVERY_S: Final = 2.0
"""How often the VNIs are asked for."""
RATE_OVER_S: Final = 10.0
"""The time over which a rate is measured."""
EVENTS_MAX: Final = 100
"""Events that are kept for a tall terminal."""
WORST_MAX: Final = 5
"""VNIs that are shown among those that are not as wanted."""
BAR: Final = 30
"""The width of the progress bar, in characters."""


def top(options: argparse.Namespace) -> int:
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise UsageError("vtep top needs a terminal; `vtep watch` prints lines")
    with client(options) as daemon:
        figures_now = Figures()
        figures_now.take(
            pb.WatchResponse(status=daemon.ask(pb.GetStatusRequest(), pb.GetStatusResponse)), time.monotonic()
        )
        with _whole_screen(sys.stdout):
            _run(daemon, figures_now)
    return 0


def _run(daemon: Client, seen: "Figures") -> None:
    """Redraw until `q` is pressed."""
    drawn_at = asked_at = float("-inf")
    for batch in batches(daemon, pb.WatchRequest(changes_only=True)):
        now = time.monotonic()
        if batch is not None:
            seen.take(batch, now)
        if now - asked_at >= VNIS_EVERY_S and batch is None:
            seen.vnis = list(daemon.ask(pb.ListVnisRequest(), pb.ListVnisResponse).vnis)
            seen.take(pb.WatchResponse(status=daemon.ask(pb.GetStatusRequest(), pb.GetStatusResponse)), now)
            asked_at = now
        if now - drawn_at >= REDRAW_S:
            lines = os.get_terminal_size(sys.stdout.fileno()).lines or 24
            picture = seen.picture(width(sys.stdout) - 1, lines - 1, colours=has_colours(sys.stdout))
            print("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in picture) + "\x1b[J", end="", flush=True)
            drawn_at = now
        if select.select([sys.stdin], [], [], 0)[0] and sys.stdin.read(1) in ("q", "Q"):
            return


@contextmanager
def _whole_screen(stream: TextIO) -> Iterator[None]:
    """Use the terminal's other screen, without its cursor, and give the first one back at any end."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    print("\x1b[?1049h\x1b[?25l", end="", file=stream, flush=True)
    try:
        yield
    finally:
        print("\x1b[?25h\x1b[?1049l", end="", file=stream, flush=True)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@dataclass(frozen=True, slots=True)
class _Sample:
    """The counts at one time; a rate is the difference of two."""

    at: float
    """Of the monotonic clock, in seconds."""
    installed: int
    """MACs in the kernel."""
    changes: int
    """Rows that changed or went since the command began."""
    lines: int
    """Messages of the feed that the daemon has counted."""


@dataclass
class Figures:
    """What has passed, and the picture of it."""

    status: pb.GetStatusResponse = field(default_factory=pb.GetStatusResponse)
    """The latest counts of the daemon."""
    vnis: list[pb.Vni] = field(default_factory=list)
    """The VNIs at the latest look, which is less often than the counts come."""
    events: deque[tuple[str, ...]] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))
    """The last events, each as the cells of a row."""
    changes: int = 0
    samples: deque[_Sample] = field(default_factory=deque)
    """The counts of about the last RATE_OVER_S, from which the rates are measured."""

    def take(self, batch: pb.WatchResponse, now: float) -> None:
        """Take a batch of the stream: count its changes, keep its events, and sample its counts if it has some."""
        self.changes += len(batch.macs) + len(batch.gone)
        self.events.extend(event_cells(event) for event in batch.events)
        if batch.HasField("status"):
            self.status.CopyFrom(batch.status)
            self.samples.append(_Sample(now, self._macs().installed, self.changes, batch.status.feed.lines))
        while len(self.samples) > 2 and now - self.samples[1].at > RATE_OVER_S:
            self.samples.popleft()

    def picture(self, columns: int, lines_max: int, *, colours: bool) -> list[str]:
        """Return as much as there is room for, the most important first."""
        lines = "\n".join(headline(self.status, columns, colours=colours)).split("\n")[: max(3, lines_max // 4)]
        lines += ["", *self._progress(columns, colours=colours), "", *figures(self.status, columns)]
        if worst := self.worst():
            lines += ["", *grid.render(_WORST_COLUMNS, [_worst_cells(vni) for vni in worst], columns, colours=colours)]
        room = lines_max - len(lines) - 2
        if self.events and room > 0:
            lines += ["", *grid.render(EVENT_COLUMNS, list(self.events)[-room:], columns, colours=colours)]
        return lines[:lines_max]

    def worst(self) -> list[pb.Vni]:
        """Return the VNIs that are not as wanted: first those that are not ready, then by what is missing."""
        bad = [vni for vni in self.vnis if vni.state == "not-ready" or vni.macs.wanted > vni.macs.installed]
        return sorted(bad, key=lambda vni: (vni.state != "not-ready", vni.macs.installed - vni.macs.wanted))[:WORST_MAX]

    def rates(self) -> tuple[float, float, float]:
        """Return rows installed, rows changed and lines received, each for a second."""
        if len(self.samples) < 2:
            return 0.0, 0.0, 0.0
        first, last = self.samples[0], self.samples[-1]
        over = max(last.at - first.at, 0.1)
        return (
            max(0.0, (last.installed - first.installed) / over),
            (last.changes - first.changes) / over,
            max(0.0, (last.lines - first.lines) / over),
        )

    def _macs(self) -> pb.KindCounts:
        return next((kind for kind in self.status.kinds if kind.kind == "mac"), pb.KindCounts())

    def _progress(self, columns: int, *, colours: bool) -> Iterator[str]:
        macs, (installed, changed, received) = self._macs(), self.rates()
        done = macs.installed / macs.wanted if macs.wanted else 1.0
        filled = int(BAR * done)
        bar = f"[{'#' * filled}{'.' * (BAR - filled)}]"
        left = macs.wanted - macs.installed
        ends = f", done in {duration(left / installed)}" if left > 0 and installed > 0 else ""
        yield f"{painted('ready', bar) if colours and done == 1 else bar} {amount(macs.installed)} of {amount(macs.wanted)} MACs{ends}"[
            : columns + 10 * colours
        ]
        yield f"installed {rate(installed)}, changed {rate(changed)}, lines {rate(received)}; q ends"[:columns]


_WORST_COLUMNS: Final = (
    Column("VNI", right=True), Column("STATE", state=True), Column("MISSING", right=True), Column("OF", right=True),
    Column("WHY", least=8),
)  # fmt: skip


def _worst_cells(vni: pb.Vni) -> tuple[str, ...]:
    missing = vni.macs.wanted - vni.macs.installed
    return (str(vni.vni), vni.state, amount(missing), amount(vni.macs.wanted), ", ".join([*vni.reasons, *vni.notes]))
