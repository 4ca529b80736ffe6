"""A small HTTP/1.1 server for GET and HEAD: one request on a connection, everything bounded in number and in time.

Knows HTTP and nothing of what it serves. A client may be hostile. A web page that a person on this machine looks at can
make the browser connect here, so a Host that is not ours is refused (DNS rebinding). Any local user can open connections
and say nothing, so a new connection makes room by ending the oldest idle one, and probes have slots of their own. No
keep-alive, no bodies, no compression, no TLS: for a listener on loopback, or behind a proxy that has them.
"""

import asyncio
import ipaddress
import logging
import re
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from vtep import logs

HEAD_OCTETS_MAX: Final = 8192
AWAITED_MAX: Final = 64
"""Connections whose request has not arrived yet."""
ANSWERED_MAX: Final = 32
"""Requests that are answered at a time."""
OWN_SLOTS: Final = 8
"""Requests that are answered at a time for a path that has slots of its own."""
LINGERING_MAX: Final = 64
"""Connections that were answered and are not closed yet."""
DEADLINE_S: Final = 5.0
"""For the whole request to arrive, and again for the answer to be taken."""
LINGER_S: Final = 1.0
"""How long the rest of a request is read after its answer."""
PARAMETERS_MAX: Final = 16
"""Parameters of one request. The pages take a few; more are refused before they are unpacked."""

_SAFE: Final = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Fields of every answer: it is kept by no cache, framed by no page, and loads nothing."""
_REQUEST_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]*)?")

log = logging.getLogger("vtep")


class Request(Struct, frozen=True):
    """What a client asks for."""

    path: str
    """As in the request line, without the query; not percent-decoded, because no path of ours needs that."""
    query: Mapping[str, str] = {}
    """The parameters, decoded. Of a repeated one, the last counts."""


class Response(Struct, frozen=True):
    """What is answered."""

    body: str | bytes = b""
    kind: str = "text/plain; charset=utf-8"
    """The Content-Type."""
    status: int = HTTPStatus.OK
    fields: Mapping[str, str] = {}
    """Further header fields, which replace those of the same name in `_SAFE`."""


class _Pool:
    """A bounded number of connections in one stage; a newer one makes room by ending the oldest.

    A client that holds connections for the sake of holding them loses them first: an honest request is done within
    milliseconds of its beginning, so it is hardly ever the oldest of a full pool.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside: OrderedDict[asyncio.Task[Any], None] = OrderedDict()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Count the present task here; it is cancelled when room is needed and it is the oldest."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._inside) >= self._most:
            oldest, _ = self._inside.popitem(last=False)
            oldest.cancel()
        self._inside[task] = None
        try:
            yield
        finally:
            self._inside.pop(task, None)


class Server:
    """Answers requests, until stopped.

    A connection is in one of three stages, each with a bounded pool: its request is awaited; it is answered; or the
    rest of its request is read, so that closing does not reset it. Each path of `own_slots` has a pool of its own for
    its answers, so that no number of other connections, idle or slow, keeps a probe from its answer.
    """

    def __init__(
        self,
        answer: Callable[[Request], Awaitable[Response]],
        names: Collection[str],
        own_slots: Collection[str] = (),
    ) -> None:
        self._answer = answer
        self._names = frozenset(name.lower() for name in names)
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._serving: set[asyncio.Task[None]] = set()
        self._awaited = _Pool(AWAITED_MAX)
        self._answered = _Pool(ANSWERED_MAX)
        self._own_slots = {path: _Pool(OWN_SLOTS) for path in own_slots}
        self._lingering = _Pool(LINGERING_MAX)

    async def start(self, host: str, port: int) -> None:
        """Listen; an OSError says why not."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=HEAD_OCTETS_MAX)

    async def stop(self) -> None:
        """Stop listening, and end every connection."""
        if self._server is None:
            return
        self._stopping = True
        loop = asyncio.get_running_loop()
        for listening in self._server.sockets:
            loop.remove_reader(listening)
        # A connection that was accepted just now gets its transport first: asyncio forgets its socket otherwise (Python 3.11).
        await asyncio.sleep(0)
        self._server.close()
        serving = tuple(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def ports(self) -> tuple[int, ...]:
        """Where it listens; more than one where a name has several addresses."""
        return tuple(each.getsockname()[1] for each in self._server.sockets) if self._server is not None else ()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping:  # it was accepted before the server was closed
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        # Here and not in the task, which does nothing at all if it is cancelled before its first step.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close the connection. There is no second request on it, so no state to keep between
        two.

        Each stage has its own pool and its own time. A client that does not take its answer, or that is the
        oldest of a full pool, loses its connection; other clients are not affected.
        """
        writer.transport.set_write_buffer_limits(0)  # drain() then waits until the last octet is out of our hands
        try:
            with self._awaited.inside():
                asked = await self._read(reader)
            if asked is None:
                return
            with self._own_slots.get(asked.request.path, self._answered).inside():
                writer.write(_pack(asked.refusal or await self._make(asked.request), head_only=asked.head_only))
                await asyncio.wait_for(writer.drain(), DEADLINE_S)
            writer.write_eof()
            # Closing before the rest of the request is read would reset the connection, and take the answer with it.
            with self._lingering.inside():
                await asyncio.wait_for(reader.read(HEAD_OCTETS_MAX), LINGER_S)
        except (TimeoutError, OSError):
            pass  # a client that is slow or gone has no use for an answer

    async def _read(self, reader: asyncio.StreamReader) -> "_Asked | None":
        """Read a request; None for a connection over which nothing came."""
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            method, host, request = _parse(head)
        except asyncio.IncompleteReadError as ended:
            return _refused(HTTPStatus.BAD_REQUEST, "incomplete request") if ended.partial else None
        except asyncio.LimitOverrunError:
            return _refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"at most {HEAD_OCTETS_MAX} octets")
        except TimeoutError:
            return _refused(HTTPStatus.REQUEST_TIMEOUT, f"no request within {DEADLINE_S:g} s")
        except ValueError as error:
            return _refused(HTTPStatus.BAD_REQUEST, str(error))
        return _Asked(request, self._refusal(method, host), head_only=method == "HEAD")

    def _refusal(self, method: str, host: str) -> Response | None:
        if not self._is_ours(host):
            return _refusal(
                HTTPStatus.MISDIRECTED_REQUEST, "ask by address, by localhost, or by this machine's own name"
            )
        if method not in ("GET", "HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only", {"Allow": "GET, HEAD"})
        return None

    async def _make(self, request: Request) -> Response:
        """Return the answer. An error in a page is logged, and the client learns only that there was one."""
        try:
            return await self._answer(request)
        except Exception as error:  # noqa: BLE001 - a request must not end the daemon
            logs.event(log, logging.ERROR, "request failed", path=request.path, error=repr(error))
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "see the daemon's log")

    def _is_ours(self, host: str) -> bool:
        """Tell whether a Host names this machine: by one of its names, or by any address.

        A page in a browser can have its own name lead to our address (DNS rebinding), and then read what we answer.
        It cannot do that with an address, because then its origin would be another one.
        """
        if host.lower().removesuffix(".") in self._names:
            return True
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return False
        return True


class _Asked(Struct, frozen=True):
    """A request, and the answer where it is refused without asking anybody."""

    request: Request
    """With an empty path if the request could not be read."""
    refusal: Response | None = None
    """None: the request is to be answered."""
    head_only: bool = False
    """The method was HEAD: the answer has the same fields and no body (RFC 9110 9.3.2)."""


def _refused(status: HTTPStatus, text: str) -> _Asked:
    return _Asked(Request(""), _refusal(status, text))


def own_names(hosts: Path = Path("/etc/hosts")) -> frozenset[str]:
    """Return the names of this machine. Asks no name server: it may be away, and it may be the attacker."""
    name = socket.gethostname()
    names = {"localhost", name, name.partition(".")[0]}
    try:
        lines = hosts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        aliases = line.partition("#")[0].split()[1:]
        if name in aliases:
            names.update(aliases)
    return frozenset(names)


def _parse(head: bytes) -> tuple[str, str, Request]:
    """Return method, host and what is asked for; a ValueError says what is wrong (RFC 9112 3)."""
    first, *rest = head.removesuffix(b"\r\n\r\n").decode("latin-1").split("\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise ValueError("not an HTTP/1 request line")
    fields = [_FIELD.fullmatch(text) for text in rest]
    if None in fields:
        raise ValueError("not a header field")
    hosts = [field[2] for field in fields if field is not None and field[1].lower() == "host"]
    url = urlsplit(line[2])
    if len(hosts) > 1 or not (hosts or url.netloc or line[3] == "0"):
        raise ValueError("exactly one Host is needed")
    if not url.path.startswith("/"):
        raise ValueError("a path begins with /")
    # Without a Host, which HTTP/1.0 allows, there is no name that could have been rebound.
    host = _HOST.fullmatch(url.netloc or "".join(hosts) or "localhost")
    if host is None:
        raise ValueError("not a valid Host")
    query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=PARAMETERS_MAX))
    return line[1], host[1], Request(url.path, query)


def _refusal(status: HTTPStatus, text: str, fields: Mapping[str, str] | None = None) -> Response:
    return Response(f"{status.phrase}: {text}\n", status=status, fields=fields or {})


def _pack(response: Response, *, head_only: bool) -> bytes:
    body = response.body.encode() if isinstance(response.body, str) else response.body
    status = HTTPStatus(response.status)
    fields = {"Content-Type": response.kind, "Content-Length": str(len(body)), **_SAFE, **response.fields}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {text}" for name, text in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + (b"" if head_only else body)
