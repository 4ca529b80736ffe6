"""The daemon's end of the feed: a unix socket at which the relay delivers ExaBGP's lines and takes our commands.

This module knows the socket, its file, which relay is attached and how much may wait. It does not know what a line says, and
it asks for no identity: a program that may open the socket's file may speak for ExaBGP.

          relay ──▶ Reader ──▶ at most BATCHES_MAX items ──▶ receive()
            ▲                                                   │
            └───────────────────── commands ◀──────────────── send()

When that many wait, the socket is not read until half are taken: the relay keeps the lines, and says so if it had to
drop some. A newer relay takes the place of an older one only after its hello, so that a program that merely tests
whether the socket is alive disturbs no relay.
"""

import asyncio
import grp
import logging
import os
import socket
import stat
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from vtep import logs
from vtep.errors import Bug, HostError, OccupiedError, Problem, StreamError
from vtep.feed.exabgp.protocol import Attached, Detached, Item, Lines, Lost, Oversized, Reader
from vtep.feed.listening import stop_accepting

__all__ = ["Attached", "Detached", "Item", "Lines", "Lost", "Oversized", "Stream"]

READ_OCTETS: Final = 64 << 10
"""Read at once, and cut into items of about as many routes, whatever their form (`protocol`)."""
BATCHES_MAX: Final = 128
COMMANDS_MAX: Final = 64 << 20
STOP_S_MAX: Final = 1.0

log = logging.getLogger(__name__)


class Stream:
    """One feed socket and the relay attached to it, if any."""

    def __init__(self, path: str | Path, *, mode: int = 0o660, group: str = "") -> None:
        self._path = Path(path)
        self._mode = mode
        self._group = group
        self._items: deque[Item] = deque()
        self.arrived = asyncio.Event()
        """Is set when something has arrived. A task that waits for it clears it first."""
        self._connections: set[_Connection] = set()
        self._relay: _Connection | None = None
        self._server: asyncio.Server | None = None
        self._file: tuple[int, int] | None = None

    async def start(self) -> None:
        """Open the socket. A HostError says why that cannot be."""
        _make_parent(self._path)
        _refuse_unless_free(self._path)
        bound, new = _bind(self._path, self._mode, self._group)
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: _Connection(self), sock=bound)
        except BaseException:
            bound.close()
            new.unlink()
            raise
        self._file = _identity(new)
        new.rename(self._path)

    async def stop(self) -> None:
        """Close the socket after the commands under way have left, or after STOP_S_MAX. Remove its file if it is still ours."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await stop_accepting(server)
        if self._file == _identity(self._path):
            self._path.unlink()
        closing = list(self._connections)
        for connection in closing:
            connection.transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S_MAX):
                for connection in closing:
                    await connection.closed.wait()
        for connection in list(self._connections):
            connection.transport.abort()

    async def receive(self) -> Item:
        """Return the next item. Lines come as they were read, many at a time."""
        await asyncio.sleep(0)  # while much waits, the other tasks of this loop must still get a turn
        while not self._items:
            self.arrived.clear()
            await self.arrived.wait()
        return self._next()

    def receive_at_once(self) -> Item | None:
        """Return the next item if one has arrived."""
        return self._next() if self._items else None

    def _next(self) -> Item:
        item = self._items.popleft()
        if self._relay and len(self._items) <= BATCHES_MAX // 2:
            self._relay.transport.resume_reading()
        return item

    @property
    def lines_waiting(self) -> int:
        """How many lines have arrived and were not taken yet."""
        return sum(len(item.lines) for item in self._items if isinstance(item, Lines))

    def send(self, command: str) -> bool:
        """Send a command to ExaBGP; False when no relay is attached, or the relay does not read."""
        if not command.isascii() or "\n" in command:
            raise Bug(f"not one line of ASCII: {command!r}")
        if self._relay is None or self._relay.transport.get_write_buffer_size() > COMMANDS_MAX:
            return False
        self._relay.transport.write(f"{command}\n".encode())
        return True

    def _came(self, connection: "_Connection", items: list[Item]) -> None:
        if items and connection is not self._relay:
            self._replace(connection)
        self._put(items)
        if len(self._items) >= BATCHES_MAX:
            connection.transport.pause_reading()

    def _replace(self, newer: "_Connection") -> None:
        if self._relay is not None:
            self._relay.transport.abort()
            self._put([Detached()])
        self._relay = newer

    def _left(self, connection: "_Connection") -> None:
        self._connections.discard(connection)
        if connection is self._relay:
            self._relay = None
            self._put([Detached()])

    def _put(self, items: list[Item]) -> None:
        self._items += items
        self.arrived.set()


class _Connection(asyncio.BufferedProtocol):
    """A connection to the socket. It is the relay's once a hello has arrived.

    Buffered, because asyncio would otherwise make a new buffer for each read, however little arrives.
    """

    transport: asyncio.Transport

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._reader = Reader()
        self._buffer = memoryview(bytearray(READ_OCTETS))
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._stream._connections.add(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, octets: int) -> None:
        if self.transport.is_closing():
            return
        try:
            items = self._reader.read(bytes(self._buffer[:octets]))
        except StreamError as error:
            logs.event(log, logging.WARNING, "feed connection refused", why=error)
            self.transport.abort()
        else:
            self._stream._came(self, items)

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed.set()
        self._stream._left(self)


def _make_parent(path: Path) -> None:
    if path.parent.is_dir():
        return
    try:
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o755)  # whatever the umask: the relay must reach the socket as ExaBGP's user
    except OSError as error:
        raise _refusal(path, f"cannot make its directory: {error.strerror}") from None


def _refuse_unless_free(path: Path) -> None:
    """Refuse a path at which another daemon listens. A socket file without a listener is left from a daemon that was killed."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refusal(path, str(error.strerror)) from None
    if not stat.S_ISSOCK(status.st_mode):
        raise _refusal(path, "there is a file that is not a socket", "name another path, or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        try:
            caller.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            pass  # so many callers wait that a daemon must be there
        except OSError as error:
            raise _refusal(path, f"cannot tell whether another daemon uses it: {error.strerror or error}") from None
    hint = "stop it, or give each daemon its own [feed] socket"
    raise OccupiedError(Problem("feed.socket", f"{path}: another daemon listens there", hint))


def _bind(path: Path, mode: int, group: str) -> tuple[socket.socket, Path]:
    """Bind beside the path, so that the socket appears at the path with its rights and already listening."""
    new = path.with_name(f"{path.name}.new")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        new.unlink(missing_ok=True)
        bound.bind(str(new))
        new.chmod(mode)
        if group:
            os.chown(new, -1, grp.getgrnam(group).gr_gid)
    except KeyError:
        what, hint = f"there is no group {group!r}", "socket_group is the group that ExaBGP's user is in"
    except OSError as error:
        what, hint = f"cannot make the socket: {error.strerror or error}", ""
    else:
        return bound, new
    bound.close()
    with suppress(OSError):
        new.unlink(missing_ok=True)
    raise _refusal(path, what, hint)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _refusal(path: Path, what: str, hint: str = "") -> HostError:
    return HostError(Problem("feed.socket", f"{path}: {what}", hint))
