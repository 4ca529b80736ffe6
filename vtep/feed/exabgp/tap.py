"""Inside ExaBGP's process: hands the UPDATEs of a peer on as they came, before ExaBGP decodes them.

ExaBGP needs 35 us and more to turn one route into JSON, which the daemon then turns back into octets. The tap looks at what
waits in a peer's socket without taking it (MSG_PEEK). If a run of sound UPDATEs is at its head (`runs`), the tap takes exactly
that run and writes it to the process that asked for it, many messages a line:

    {"exabgp": …, "pid": …, "counter": …, "type": "updates", "neighbor": {…, "direction": "receive", "octets": "<base64>"}}

ExaBGP then sees one empty UPDATE, which keeps its timers right. Whatever else is at the head stays in the socket, and ExaBGP's
own code finds it as if the tap had not looked: other messages, half a message, an error, the end of the connection.

A process asks by the command `receive evpn octets` and is asked nothing: one that never sends it, such as an older daemon,
gets ExaBGP's own lines. The tap is off for a neighbor that is configured for more than a feed: other lines than parsed ones,
several processes, an Adj-RIB-In, a rate limit, or routes in the log. docs/exabgp-commands.md lists the names of ExaBGP that this
module touches; it knows as few of them as will do, and decides nothing about routes.
"""

from binascii import b2a_base64
from collections.abc import Iterator
from socket import MSG_DONTWAIT, MSG_PEEK
from typing import Any, Final

from exabgp.bgp.fsm import FSM
from exabgp.bgp.message import _NOP
from exabgp.reactor import protocol as protocols
from exabgp.reactor.api.response import Response
from exabgp.reactor.protocol import Protocol

from vtep.feed.exabgp.guard import setting
from vtep.feed.exabgp.runs import Run, Session, find_run

PEEK: Final = 64 << 10
"""Octets looked at in one turn of ExaBGP's loop, so that no peer keeps it from the others for long."""
COUNTER: Final = "receive-update"

_asked: set[str] = set()
"""The processes that read UPDATEs as octets."""


def ask(process: str) -> None:
    """Hand UPDATEs on to this process as octets from now on."""
    _asked.add(process)


def register() -> None:
    """Make ExaBGP look for runs of UPDATEs before it reads a message."""
    read = Protocol.read_message

    def read_message(protocol: Any) -> Iterator[Any]:
        process = _process(protocol)
        connection = protocol.connection
        while process and connection.io:
            if not connection.reading():
                yield _NOP
                continue
            octets, run = _peek(protocol)
            if not run.messages:
                break
            connection.io.recv(run.ends[-1])
            protocol.peer.stats[COUNTER] = protocol.peer.stats.get(COUNTER, 0) + run.messages
            _write(protocol, process, octets, run)
            yield protocols._UPDATE
            return
        yield from read(protocol)

    Protocol.read_message = read_message


def _process(protocol: Any) -> str:
    """Return the process that gets this neighbor's UPDATEs as octets, or nothing where ExaBGP has to decode them."""
    if not _asked or protocol.peer.fsm != FSM.ESTABLISHED or protocol.log_routes:
        return ""
    neighbor = protocol.neighbor
    api = neighbor.api
    if api["negotiated"] or api["receive-packets"] or api["receive-consolidate"] or not api["receive-parsed"]:
        return ""
    if setting(neighbor, "adj-rib-in") or setting(neighbor, "rate-limit"):
        return ""
    (process, *others) = api.get(COUNTER) or [""]
    processes = protocol.peer.reactor.processes
    encodes = isinstance(processes._encoder.get(process), Response.JSON)
    return process if process in _asked and not others and encodes and not processes.silence else ""


def _peek(protocol: Any) -> tuple[bytes, Run]:
    connection, negotiated = protocol.connection, protocol.negotiated
    try:
        octets = connection.io.recv(PEEK, MSG_PEEK | MSG_DONTWAIT)
    except OSError:
        octets = b""  # ExaBGP's own read will find the error and say it
    internal = negotiated.local_as == negotiated.peer_as
    return octets, find_run(octets, Session(connection.msg_size, internal, bool(negotiated.asn4)))


def _write(protocol: Any, process: str, octets: bytes, run: Run) -> None:
    """Write each piece of the run as a line of its own, with ExaBGP's own head and counter."""
    # The one of the session, as in the lines that ExaBGP itself writes: after a reload (5.0) the peer has another, with a count of its own.
    neighbor, processes = protocol.neighbor, protocol.peer.reactor.processes
    encoder = processes._encoder[process]
    for start, end in zip((0, *run.ends), run.ends, strict=False):
        body = b2a_base64(octets[start:end], newline=False).decode()
        content = encoder._neighbor(neighbor, "receive", f'"octets": "{body}"')
        processes.write(process, encoder._header(content, "", "", neighbor, message_type="updates"), neighbor)
