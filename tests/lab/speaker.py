"""An embedded BGP speaker: it listens at one address of a node, has a table of EVPN routes, and hears its peers.

It runs in this process, on an event loop in a thread of its own; only its listening socket was made inside the node's
namespace, which a socket never leaves. So a test reads and changes the speaker as plain objects, and nothing has to
be started, found or ended in the node. Every method may be called from any thread.

    peer connects ─▶ its OPEN ─▶ our OPEN, KEEPALIVE ─▶ its KEEPALIVE ─▶ established: our whole table, End-of-RIB
                                                        its ROUTE-REFRESH ─▶ begins, our whole table, ends (RFC 7313)

It never dials and it judges no route. What is wrong with a peer ends its session; whether that should be so is for the
test to say.
"""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from tests.lab import wire
from tests.lab.namespaces import Node
from tests.lab.wait import wait_until
from tests.lab.wire import Offer, Open, Route
from vtep.addr import Ip

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Received:
    """A route that the peer announced and has not withdrawn."""

    nlri: bytes
    next_hop: bytes
    attributes: dict[int, bytes]


class Session(asyncio.Protocol):
    """One connection of a peer, from its first octet to after its end. Read it from anywhere."""

    def __init__(self, speaker: "Speaker") -> None:
        self.peer = ""
        self.open: Open | None = None
        self.established_at: float | None = None
        """By the monotonic clock."""
        self.ended_by = ""
        """Why it is over; nothing while it is not."""
        self.heard: dict[bytes, Received] = {}
        """By the route's key. Read it through `Speaker.heard` while the peer still talks."""
        self.updates_heard = 0
        self.end_of_rib_heard = False
        self.refreshes_heard: list[int] = []
        """The subtype of each ROUTE-REFRESH."""
        self.notification_heard: tuple[int, int, bytes] | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._speaker = speaker
        self._buffer = bytearray()
        self._last_heard_at = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def established(self) -> bool:
        return self.established_at is not None and not self.ended_by

    @property
    def size_max(self) -> int:
        both = self._speaker.offer.extended_messages and self._peer_can(wire.CAP_EXTENDED_MESSAGE)
        return wire.SIZE_MAX_EXTENDED if both else wire.SIZE_MAX

    def send(self, octets: bytes) -> None:
        if not self.ended_by:
            self._transport.write(octets)

    def end(self, why: str, last_words: bytes = b"") -> None:
        """Close, after a NOTIFICATION or without a word."""
        self.ended_by = self.ended_by or why
        if last_words:
            self._transport.write(last_words)
            self._transport.close()
        else:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.peer = transport.get_extra_info("peername")[0]
        self._speaker._sessions.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended_by = self.ended_by or (str(error) if error else "the peer closed the connection")
        for timer in self._timers.values():
            timer.cancel()
        self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._last_heard_at = time.monotonic()
        self._buffer += data
        while len(self._buffer) >= 19 and not self.ended_by:
            size, kind = struct.unpack_from("!HB", self._buffer, 16)
            if len(self._buffer) < size:
                return
            body = bytes(self._buffer[19:size])
            del self._buffer[:size]
            self._take(kind, body)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == wire.OPEN:
            self._opened(wire.read_open(body))
        elif kind == wire.KEEPALIVE:
            if self.established_at is None:
                self._establish()
        elif kind == wire.UPDATE:
            self._hear(wire.read_update(body))
        elif kind == wire.NOTIFICATION:
            self.notification_heard = (body[0], body[1], body[2:])
            self.end(f"the peer sent NOTIFICATION {body[0]}/{body[1]}")
        elif kind == wire.ROUTE_REFRESH:
            self._asked_again(body[2])

    def _opened(self, peer_open: Open) -> None:
        self.open = peer_open
        speaker = self._speaker
        self.send(speaker.offer.pack(speaker.router_id) + wire.message(wire.KEEPALIVE))
        if hold_s := min(peer_open.hold_s, speaker.offer.hold_s):
            self._tick("keepalive", hold_s / 3, self._keep_alive)
            self._tick("hold", hold_s / 6, lambda: self._expect_life(hold_s))

    def _establish(self) -> None:
        self.established_at = time.monotonic()
        self.send(self._speaker._whole_table(self.size_max) + self._speaker.hostile)
        if self._speaker.sends_end_of_rib:
            self.send(wire.end_of_rib())

    def _hear(self, update: wire.Update) -> None:
        self.updates_heard += 1
        self.end_of_rib_heard |= update.end_of_rib
        for nlri in update.withdrawn:
            self.heard.pop(wire.key_of(nlri), None)
        for nlri in update.announced:
            self.heard[wire.key_of(nlri)] = Received(nlri, update.next_hop, update.attributes)

    def _asked_again(self, subtype: int) -> None:
        self.refreshes_heard.append(subtype)
        if subtype != wire.REFRESH_ASKED or not self._speaker.answers_refresh:
            return
        table = self._speaker._whole_table(self.size_max)
        if self._speaker.offer.enhanced_refresh and self._peer_can(wire.CAP_ENHANCED_REFRESH):
            table = wire.route_refresh(wire.REFRESH_BEGINS) + table + wire.route_refresh(wire.REFRESH_ENDS)
        self.send(table)

    def _peer_can(self, capability: int) -> bool:
        return self.open is not None and capability in self.open.capabilities

    def _tick(self, name: str, every_s: float, act: Callable[[], None]) -> None:
        def ticked() -> None:
            act()
            if not self.ended_by:
                self._tick(name, every_s, act)

        self._timers[name] = asyncio.get_running_loop().call_later(every_s, ticked)

    def _keep_alive(self) -> None:
        if not self._speaker.silent:
            self.send(wire.message(wire.KEEPALIVE))

    def _expect_life(self, hold_s: float) -> None:
        if time.monotonic() - self._last_heard_at >= hold_s:
            self.end("the peer was silent for the hold time", wire.notification(4, 0))


class Speaker:
    """The table and the sessions of one BGP speaker at one address. Peers that dial find it there until it is closed."""

    def __init__(
        self,
        node: Node,
        address: str,
        offer: Offer | None = None,
        *,
        routes_per_update: int = 50,
        sends_end_of_rib: bool = True,
        answers_refresh: bool = True,
        port: int = 179,
    ) -> None:
        self.offer = offer or Offer()
        self.router_id: bytes = Ip.parse(self.offer.router_id or address)
        self.routes_per_update = routes_per_update
        self.sends_end_of_rib = sends_end_of_rib
        self.answers_refresh = answers_refresh
        self.silent = False
        """No keepalives from now on: the peer's hold timer will find out."""
        self.hostile = b""
        """Octets that follow the table in each new session, before End-of-RIB."""
        self._table: dict[bytes, Route] = {}
        self._sessions: list[Session] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"speaker {address}", daemon=True)
        self._thread.start()
        try:
            self._server = self._await(self._listen(node, address, port))
        except OSError:
            self._end_thread()
            raise

    @property
    def sessions(self) -> list[Session]:
        """Every connection there was, the newest last."""
        return self._do(lambda: list(self._sessions))

    @property
    def table(self) -> dict[bytes, Route]:
        return self._do(lambda: dict(self._table))

    def established(self) -> list[Session]:
        return [session for session in self.sessions if session.established]

    def wait_established(self, peers: int = 1, deadline_s: float = 10.0) -> Session:
        """Return the newest of the sessions, when there are so many."""
        wait_until(lambda: len(self.established()) >= peers, deadline_s, f"{peers} established sessions")
        return self.established()[-1]

    def heard(self, session: Session) -> dict[bytes, Received]:
        """Return the routes that the peer has announced and not withdrawn, by key."""
        return self._do(lambda: dict(session.heard))

    def announce(self, *routes: Route) -> None:
        """Put routes into the table, each in place of the one of its key, and tell all established peers."""
        self._do(lambda: self._announce(routes))

    def withdraw(self, *routes: Route) -> None:
        """Take routes out of the table and tell it as FRR does, with label 0."""
        self._do(lambda: self._withdraw(routes))

    def forget(self) -> None:
        """Empty the table and tell nobody: what is gone shows only at the next refresh or session."""
        self._do(self._table.clear)

    def send(self, *messages: bytes) -> None:
        """Send any octets to all established peers; the table does not know of it."""
        self._do(lambda: self._to_all(b"".join(messages)))

    def notify(self, code: int, subcode: int, data: bytes = b"") -> None:
        """End all sessions with a NOTIFICATION."""
        last_words = wire.notification(code, subcode, data)
        self._do(lambda: self._end_all(f"we sent NOTIFICATION {code}/{subcode}", last_words))

    def drop(self) -> None:
        """End all connections without a word, as a crash would; peers may dial again."""
        self._do(lambda: self._end_all("we dropped the connection"))

    def close(self) -> None:
        """Leave without a word: no session, nobody listening. A new speaker at the address is a restarted one."""
        if self._loop.is_closed():
            return
        self._await(self._leave())
        self._end_thread()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _announce(self, routes: Iterable[Route]) -> None:
        self._table.update((route.key, route) for route in routes)
        for session in self._sessions:
            if session.established:
                session.send(b"".join(wire.updates(routes, self.routes_per_update, session.size_max)))

    def _withdraw(self, routes: Iterable[Route]) -> None:
        for route in routes:
            self._table.pop(route.key, None)
        nlris = [wire.unlabelled(route.nlri) for route in routes]
        self._to_all(b"".join(wire.withdrawals(nlris, self.routes_per_update)))

    def _whole_table(self, size_max: int) -> bytes:
        # Keys are unique here, so order means nothing and equal attributes can be brought together.
        routes = sorted(self._table.values(), key=lambda route: (route.next_hop, route.attributes))
        return b"".join(wire.updates(routes, self.routes_per_update, size_max))

    def _to_all(self, octets: bytes) -> None:
        for session in self._sessions:
            if session.established:
                session.send(octets)

    def _end_all(self, why: str, last_words: bytes = b"") -> None:
        for session in self._sessions:
            if not session.ended_by:
                session.end(why, last_words)

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self, node: Node, address: str, port: int) -> asyncio.Server:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = node.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        return await self._loop.create_server(lambda: Session(self), sock=listening)

    async def _leave(self) -> None:
        for listening in self._server.sockets:
            self._loop.remove_reader(listening)
        # A connection that was accepted just now becomes a session first: asyncio forgets its socket otherwise (Python 3.11).
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._server.close()
        self._end_all("we left")
        await asyncio.gather(*(session.gone for session in self._sessions))
        await self._server.wait_closed()

    def _do(self, act: Callable[[], T]) -> T:
        async def acting() -> T:
            return act()

        return self._await(acting())

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)
