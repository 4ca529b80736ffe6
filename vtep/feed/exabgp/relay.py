"""`vtep relay`: the process that ExaBGP starts, between ExaBGP and the daemon. It loses nothing without saying so.

**What it is for.** ExaBGP writes its lines to its process with a blocking write. If that process stops reading, ExaBGP stops,
and all its BGP sessions end when their hold timers expire. If the process dies while ExaBGP writes, ExaBGP never dials again.
The daemon may be restarted, be slow, or be away. So the process that ExaBGP starts is not the daemon but this one. It is
small, it always reads, and it ends only when ExaBGP closes its standard input, or with SIGTERM.

       ExaBGP                     relay                              daemon
      stdout ──lines──▶ Cutter ──▶ Backlog ──notices and lines──▶ feed socket
       stdin ◀──────────────────── Cutter ◀────────commands────── feed socket

**What it knows.** Lines, bounds, and two ends that may be slow or absent. It does not know what a line says, except which lines
report a session. It uses the standard library alone, because ExaBGP waits for it to start, and it needs no privileges, because
ExaBGP may have dropped its own.

**How it works.** One loop over standard input, standard output and the feed socket. Lines wait in the `Backlog`, which has a
bound. When the bound is hit, all lines in it are dropped at once and counted: one large gap costs the daemon one refresh of
each peer, many small ones would cost many.

**What the daemon reads.** One JSON object of the relay or one line of ExaBGP a line. The relay's own lines begin with
`{"relay":`. A line of ExaBGP that begins so is not ExaBGP's (a peer's text can contain a newline), and is dropped.

      {"relay": "hello", "version": 1, "exabgp_pid": 41, "exabgp_started": 9, "relay_pid": 42, "guarded": true,
                         "dropped": 0, "complete": false}                              (one line)
      {"relay": "states"}
      …for each peer the last `open` that was received from it, then its last `state`, as ExaBGP wrote them…
      {"relay": "live"}
      …lines that waited, then lines as they come…
      {"relay": "dropped", "lines": 1234}          the bound was hit: so many lines are missing here
      {"relay": "states"}                          …and what they said about sessions follows at once
      …
      {"relay": "live"}
      …lines…

- `complete` is true if nothing that ExaBGP ever printed is missing from what follows: the relay is the first one of its ExaBGP
  (`is_first`), the daemon is the first to attach, and nothing was dropped.
- `guarded` is true if `vtep exabgp` started this ExaBGP.
- The states are those *before* the first line that follows, so that states and lines are one consistent history. If every line
  follows, there are none.
- A line that was half sent when a connection broke counts as dropped. Its rest is never sent.
"""

import argparse
import json
import os
import re
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from fcntl import F_SETPIPE_SZ, fcntl
from typing import Final, NamedTuple

VERSION: Final = 1
MARK: Final = b'{"relay":'
"""What our own lines begin with, and no line of ExaBGP does."""

DEFAULT_SOCKET: Final = "/run/vtep/feed.sock"
LINE_MAX: Final = 16 << 20
"""Octets of a line of ExaBGP. A longer one is only counted, so every peer must send its routes again. The daemon's own
bound is lower (`protocol.LINE_MAX`), because it can say which peer such a line is about, and asks that one alone."""
COMMAND_MAX: Final = 512 << 10
"""ExaBGP 5.0 ends a process whose command has more than 1 MiB."""
COMMANDS_MAX: Final = 1 << 20
"""With so much waiting for ExaBGP, no further command is read."""
CHUNK: Final = 256 << 10
"""Octets of one read or one send. Lines are joined to blocks of at most this size, so a long backlog is few objects."""
PIPE_OCTETS: Final = 1 << 20
"""The most that an unprivileged process may give to a pipe (fs.pipe-max-size): what ExaBGP can write while we do not run."""
SENDS_MAX: Final = 16
"""Chunks sent before standard input is looked at again."""
_START: Final = "VTEP_RELAY_START"
"""`vtep exabgp` counts here how often ExaBGP has started the process that this relay is (`guard`)."""
TRACES: Final = "/dev/shm"  # noqa: S108 - made with O_EXCL, and what another user puts there costs a refresh
"""Where every user may leave a file until the next boot."""
RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 1.0
"""The time between two attempts to connect doubles from the first of these to the second. It starts again after a
connection that lasted longer than RETRY_S_MAX. So a daemon that ends each one at once is not called all the time."""
FLUSH_S: Final = 1.0
"""How long the end may take. ExaBGP kills a process two seconds after its SIGTERM."""

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2


def main(argv: Sequence[str]) -> int:
    """Read the options and carry lines until ExaBGP ends."""
    parser = argparse.ArgumentParser(
        prog="vtep relay",
        description="Carry ExaBGP's lines to the daemon and the daemon's commands back. ExaBGP starts this.",
    )
    parser.add_argument(
        "--socket",
        metavar="PATH",
        default=os.environ.get("VTEP_FEED") or DEFAULT_SOCKET,
        help=f"the daemon's feed socket (default: $VTEP_FEED, else {DEFAULT_SOCKET})",
    )
    parser.add_argument(
        "--buffer-mib",
        metavar="N",
        type=_at_least_one,
        default=64,
        help="how much to keep for a daemon that is slow or away (default: 64)",
    )
    options = parser.parse_args(argv)
    Relay(options.socket, options.buffer_mib << 20).run()
    return 0


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


class Cutter:
    """Cuts a stream into blocks of whole lines. A line over the bound is dropped and counted."""

    def __init__(self, line_max: int) -> None:
        self._line_max = line_max
        self._part = bytearray()
        self._skipping = False
        self.dropped = 0

    def cut(self, data: bytes) -> bytes:
        """Return the lines that these octets complete, each with its newline."""
        if self._skipping:
            _, newline, data = data.partition(b"\n")
            self._skipping = not newline
        end = data.rfind(b"\n") + 1
        lines = data[:end]
        if end and self._part:
            lines = bytes(self._part) + lines
            self._part.clear()
        if len(lines) > self._line_max:
            lines = self._short_ones(lines)
        self._keep(data[end:])
        return lines

    def _short_ones(self, lines: bytes) -> bytes:
        every = lines.split(b"\n")[:-1]
        short = [line + b"\n" for line in every if len(line) <= self._line_max]
        self.dropped += len(every) - len(short)
        return b"".join(short)

    def _keep(self, tail: bytes) -> None:
        if len(self._part) + len(tail) <= self._line_max:
            self._part += tail
            return
        self._part.clear()
        self._skipping = True
        self.dropped += 1


class Backlog:
    """What the daemon has not taken yet: whole lines within a bound, and the notices that go before them.

    When the bound is hit, every line is dropped. Lines are searched for states when they leave, sent or dropped, so that the
    states are always those before the first line that is still here.

        _first                  _blocks[0]              _blocks[1] …
        [ notice, or the rest ] [ sent │ not yet sent ] [ lines ] [ lines ]
        [ of a half-sent line ]        └ _sent
    """

    def __init__(
        self,
        octets_max: int,
        exabgp_pid: int = 0,
        relay_pid: int = 0,
        exabgp_started: int = 0,
        *,
        is_first: bool = True,
        guarded: bool = True,
    ) -> None:
        """Start empty; `is_first` tells that ExaBGP had no other relay before this one, `guarded` that vtep started it."""
        self._octets_max = octets_max
        self._who = {
            "exabgp_pid": exabgp_pid,
            "exabgp_started": exabgp_started,
            "relay_pid": relay_pid,
            "guarded": guarded,
        }
        self._blocks: deque[bytearray] = deque()
        self._octets = 0
        self._sent = 0
        """Octets of the first block that are sent."""
        self._first = b""
        """Octets that go before all blocks: the rest of a line half sent, or a notice of ours."""
        self._at_stake = 0
        """Lines to count as dropped when the connection breaks before `_first` is gone."""
        self._dropped = 0
        """Dropped lines that no notice has reported yet."""
        self._has_everything = is_first
        """No line of ExaBGP went to another daemon or to another relay."""
        self._sessions: dict[bytes, dict[bytes, bytes]] = {}
        """Peer to its last lines of each kind."""

    def add(self, lines: bytes) -> None:
        """Keep these lines; when there is no room for them, drop all that is held."""
        if self._octets - self._sent + len(lines) > self._octets_max:
            self._drop_all()
        if len(lines) > self._octets_max:
            self._leave(lines)
            self._dropped += lines.count(b"\n")
            return
        self._octets += len(lines)
        if self._blocks and len(self._blocks[-1]) + len(lines) <= CHUNK:
            self._blocks[-1] += lines
        else:
            self._blocks.append(bytearray(lines))

    def lose(self, lines: int) -> None:
        """Count lines that were dropped before they came here."""
        self._dropped += lines

    def attach(self) -> None:
        """Begin a connection: the hello and the states go first."""
        hello = {
            "relay": "hello",
            "version": VERSION,
            **self._who,
            "dropped": self._dropped,
            "complete": self._has_everything and not self._dropped,
        }
        self._has_everything = False
        self._notify(hello)

    def detach(self) -> None:
        """End a connection: a line that was half sent is lost, and so is a notice."""
        if self._first:
            self._dropped += self._at_stake
            self._first, self._at_stake = b"", 0
        if self._sent:
            end, half = self._line_end()
            self._dropped += half
            self._forget_sent(end)

    def next(self) -> bytes | bytearray:
        """Return the octets to send now, or none."""
        if not self._first and self._dropped and not self._sent:
            self._notify({"relay": "dropped", "lines": self._dropped})
        if self._first or not self._blocks:
            return self._first
        block = self._blocks[0]
        if not self._sent and len(block) <= CHUNK:
            return block
        return bytes(memoryview(block)[self._sent : self._sent + CHUNK])

    def sent(self, octets: int) -> None:
        """Note that so many of the octets that `next` returned were sent."""
        if self._first:
            self._first = self._first[octets:]
            self._at_stake = self._at_stake if self._first else 0
            return
        self._sent += octets
        if self._sent == len(self._blocks[0]):
            self._forget_sent(self._sent)

    @property
    def pending(self) -> bool:
        return bool(self._first or self._blocks or self._dropped)

    def _notify(self, notice: dict[str, object]) -> None:
        lines = [
            json.dumps(notice).encode(),
            b'{"relay": "states"}',
            *(peer[kind] for peer in self._sessions.values() for kind in (b"open", b"state") if kind in peer),
            b'{"relay": "live"}\n',
        ]
        self._first = b"\n".join(lines)
        self._at_stake, self._dropped = self._dropped, 0

    def _line_end(self) -> tuple[int, bool]:
        """Return where the line ends that was being sent, and whether part of it is still here."""
        block = self._blocks[0]
        if block[self._sent - 1] == 0x0A:
            return self._sent, False
        return block.index(b"\n", self._sent) + 1, True

    def _forget_sent(self, end: int) -> None:
        """Release the first block up to the end of a line."""
        block = self._blocks[0]
        self._octets -= end
        self._sent = 0
        if end == len(block):
            self._leave(self._blocks.popleft())
        else:
            self._leave(block[:end])
            del block[:end]

    def _drop_all(self) -> None:
        """Drop every line; the rest of a line that is half sent must still go out."""
        if self._sent:
            end, half = self._line_end()
            if half:
                self._first, self._at_stake = bytes(self._blocks[0][self._sent : end]), 1
            self._forget_sent(end)
        for block in self._blocks:
            self._leave(block)
            self._dropped += block.count(b"\n")
        self._blocks.clear()
        self._octets = 0

    def _leave(self, lines: bytes | bytearray) -> None:
        """Remember what the leaving lines say about sessions."""
        if b'"type": "state"' not in lines and b'"type": "open"' not in lines:
            return
        for line in bytes(lines).split(b"\n"):
            if (read := read_session_line(line)) is not None:
                self._sessions.setdefault(read.peer, {})[read.kind] = line


class SessionLine(NamedTuple):
    peer: bytes
    kind: bytes


_TYPE: Final = re.compile(rb'"type": "(\w+)"')
_PEER: Final = re.compile(rb'"peer": "([^"]+)"')
_DIRECTION: Final = re.compile(rb'"direction": "(\w+)"')


def read_session_line(line: bytes) -> SessionLine | None:
    """Return whose session a line of ExaBGP reports, or None for a line of another kind.

    The first match is ExaBGP's own, because what a peer can put into a line (a host name, a shutdown message) comes after it.
    ExaBGP 4.2 does not escape such text, so a JSON parser would refuse the line and lose a `down`.
    """
    kind = _TYPE.search(line)
    if kind is None or kind[1] not in {b"state", b"open"}:
        return None
    peer = _PEER.search(line, kind.end())
    if peer is None:
        return None
    direction = _DIRECTION.search(line, peer.end())
    if kind[1] == b"open" and (direction is None or direction[1] != b"receive"):
        return None
    return SessionLine(peer[1], kind[1])


def without_marks(lines: bytes) -> tuple[bytes, int]:
    """Remove lines that look like the relay's own, and count them.

    ExaBGP begins no line so, but a peer's text may contain a newline, which ExaBGP 4.2 does not escape.
    """
    if MARK not in lines:
        return lines, 0
    every = lines.split(b"\n")
    honest = [line for line in every if not line.startswith(MARK)]
    return b"\n".join(honest), len(every) - len(honest)


class Relay:
    """The process: one loop over standard input, standard output and the feed socket.

    The flags of no file are changed, because ExaBGP or a terminal may share them. Input is read when there is some. Output is
    written when there is room, at most PIPE_BUF octets, which then cannot block.
    """

    def __init__(self, path: str, buffer_max: int) -> None:
        self._path = path
        exabgp = os.getppid()
        started = _started_at(exabgp)
        self._backlog = Backlog(
            buffer_max, exabgp, os.getpid(), started, is_first=is_first(exabgp, started), guarded=_START in os.environ
        )
        self._buffer = memoryview(
            bytearray(CHUNK)
        )  # made once, because a new one for each read costs ten times the read
        self._from_exabgp = Cutter(LINE_MAX)
        self._from_daemon = Cutter(COMMAND_MAX)
        self._commands = bytearray()
        self._poll = select.poll()
        self._daemon: socket.socket | None = None
        self._attached_at = 0.0
        self._retry_at = 0.0
        self._retry_s = RETRY_S_MIN
        self._logged = False
        self._waits_for_room = False
        self._input_ended = False
        self._asked_to_end = False

    def run(self) -> None:
        self._watch_signals()
        with suppress(OSError):  # not a pipe, or this user has no more of it
            fcntl(STDIN, F_SETPIPE_SZ, PIPE_OCTETS)
        self._poll.register(STDIN, select.POLLIN)
        self._connect()
        while not self._input_ended and not self._asked_to_end:
            self._turn(self._wait_s())
        self._finish()

    def _watch_signals(self) -> None:
        self._wake, wake_up = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_up, False)
        signal.set_wakeup_fd(wake_up, warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # the octet in the pipe wakes the loop
        self._poll.register(self._wake, select.POLLIN)

    def _wait_s(self) -> float | None:
        return None if self._daemon else max(0.0, self._retry_at - time.monotonic())

    def _turn(self, wait_s: float | None) -> None:
        """Wait until an end is ready, and do one portion of work at each that is."""
        self._watch()
        for file, event in self._poll.poll(None if wait_s is None else wait_s * 1000):
            if file == STDIN:
                self._read_lines()
            elif file == STDOUT:
                self._write_commands()
            elif file == self._wake:
                os.read(self._wake, 4096)
                self._asked_to_end = True
            elif self._daemon and file == self._daemon.fileno():
                self._serve_daemon(event)
        if self._daemon is None and time.monotonic() >= self._retry_at:
            self._connect()
        if not self._waits_for_room:
            self._send()

    def _watch(self) -> None:
        if self._commands:
            self._poll.register(STDOUT, select.POLLOUT)
        else:
            self._unwatch(STDOUT)
        if self._daemon:
            reads = select.POLLIN if len(self._commands) < COMMANDS_MAX else 0
            self._poll.register(self._daemon, reads | (select.POLLOUT if self._waits_for_room else 0))

    def _unwatch(self, file: int | socket.socket) -> None:
        with suppress(KeyError):
            self._poll.unregister(file)

    def _read_lines(self) -> None:
        try:
            octets = os.readv(STDIN, [self._buffer])
        except BlockingIOError:
            return
        except OSError:
            octets = 0
        if not octets:
            self._input_ended = True
            self._unwatch(STDIN)
            return
        lines, forged = without_marks(self._from_exabgp.cut(bytes(self._buffer[:octets])))
        if lines:
            self._backlog.add(lines)
        if dropped := forged + self._from_exabgp.dropped:
            self._from_exabgp.dropped = 0
            self._backlog.lose(dropped)

    def _serve_daemon(self, event: int) -> None:
        if event & select.POLLOUT:
            self._waits_for_room = False
        if event & select.POLLIN:
            self._read_commands()
        elif event & (select.POLLHUP | select.POLLERR):
            self._disconnect("it closed the connection")

    def _read_commands(self) -> None:
        assert self._daemon
        try:
            data = self._daemon.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._disconnect(str(error))
            return
        if not data:
            self._disconnect("it closed the connection")
            return
        for line in self._from_daemon.cut(data).splitlines(keepends=True):
            if line.isascii():
                self._commands += line
            else:  # ExaBGP 5.0 ends a process that writes anything else
                self._from_daemon.dropped += 1
        if dropped := self._from_daemon.dropped:
            self._from_daemon.dropped = 0
            self._log(f"commands dropped, too long or not ASCII: {dropped}")

    def _write_commands(self) -> None:
        try:
            written = os.write(STDOUT, self._commands[: select.PIPE_BUF])
        except BlockingIOError:
            return
        except OSError:  # ExaBGP no longer reads; standard input shows whether it still writes
            written = len(self._commands)
        del self._commands[:written]

    def _connect(self) -> None:
        daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        daemon.setblocking(False)
        try:
            daemon.connect(self._path)
        except OSError as error:  # also BlockingIOError: the daemon has more callers than it can take
            daemon.close()
            self._try_later()
            if not self._logged:
                self._log(f"no daemon at {self._path} ({error.strerror or error}), keeping lines until it comes")
                self._logged = True
            return
        self._daemon = daemon
        self._attached_at = time.monotonic()
        self._waits_for_room = True
        self._backlog.attach()
        if self._logged:
            self._log(f"attached to {self._path}")
            self._logged = False

    def _disconnect(self, why: str) -> None:
        assert self._daemon
        self._unwatch(self._daemon)
        self._daemon.close()
        self._daemon = None
        self._waits_for_room = False
        self._from_daemon = Cutter(COMMAND_MAX)
        self._backlog.detach()
        if time.monotonic() - self._attached_at > RETRY_S_MAX:
            self._retry_s = RETRY_S_MIN
        self._try_later()
        self._logged = True
        self._log(f"the daemon is gone ({why})")

    def _try_later(self) -> None:
        self._retry_at = time.monotonic() + self._retry_s
        self._retry_s = min(2 * self._retry_s, RETRY_S_MAX)

    def _send(self) -> None:
        for _ in range(SENDS_MAX):
            if self._daemon is None or not (octets := self._backlog.next()):
                return
            try:
                sent = self._daemon.send(octets)
            except BlockingIOError:
                break
            except OSError as error:
                self._disconnect(str(error))
                return
            self._backlog.sent(sent)
        self._waits_for_room = True

    def _finish(self) -> None:
        """Read what ExaBGP has already written, and send it while there is time."""
        deadline = time.monotonic() + FLUSH_S
        while not self._input_ended and time.monotonic() < deadline and _is_ready(STDIN, select.POLLIN):
            self._read_lines()
        if self._daemon is None:
            self._connect()
        while self._daemon and self._backlog.pending and time.monotonic() < deadline:
            self._send()
            if self._backlog.pending:
                self._turn(max(0.0, deadline - time.monotonic()))

    def _log(self, text: str) -> None:
        if _is_ready(STDERR, select.POLLOUT):  # a log that is not read must not block us either
            with suppress(OSError):
                # A path may have any octets, and a terminal that shows ExaBGP's log would act on some.
                os.write(STDERR, b"vtep relay: %b\n" % text.encode("unicode_escape"))


def is_first(exabgp: int, started: int, traces: str = TRACES) -> bool:
    """Tell whether ExaBGP had no relay before this one, so that nothing which it printed is missing here.

    `vtep exabgp` counts the starts and says it in the environment. Under plain ExaBGP the first relay leaves an empty file,
    named after ExaBGP's process, for those that come after it. A relay that cannot tell is not the first: then each peer is
    asked for its routes once more than needed, and no route is missed.
    """
    counted = os.environ.get(_START)
    if counted is not None or not started:
        return counted == "1"
    try:
        prefix = f"vtep-relay-{os.stat('/proc/self/ns/pid').st_ino}-"  # noqa: PTH116
        _remove_traces(traces, prefix)
        os.close(os.open(f"{traces}/{prefix}{exabgp}-{started}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError:
        return False
    return True


def _remove_traces(folder: str, prefix: str) -> None:
    """Remove the files of ExaBGPs that have ended, as far as they are ours to remove."""
    for name in os.listdir(folder):  # noqa: PTH208
        pid, _, started = name.removeprefix(prefix).partition("-")
        if name.startswith(prefix) and pid.isdigit() and str(_started_at(int(pid))) != started:
            with suppress(OSError):
                os.unlink(f"{folder}/{name}")  # noqa: PTH108


def _started_at(pid: int) -> int:
    """Return the clock ticks from boot to the start of a process (proc_pid_stat(5), field 22; the second may be anything).

    0 for a process that we may not look at.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            return int(stat.read().rpartition(b")")[2].split()[19])
    except OSError:
        return 0


def _is_ready(file: int, event: int) -> bool:
    poll = select.poll()
    poll.register(file, event)
    return bool(poll.poll(0))
