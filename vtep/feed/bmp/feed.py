"""BMP as a feed: the listener to which routers connect, and what they report as messages.

    router ──TCP──▶ _Connection ──▶ Router ──items──▶ queue, at most ITEMS_MAX ──decode──▶ the daemon

Routers connect, report and take no commands, so `ask` is answered by CannotAdvertise, and vtep cannot request the routes again.
What a router sends after it has connected is everything that it has: its peers, their routes, and an End-of-RIB for each. So the
cure for whatever cannot be read is the end of the connection, because the router connects again by itself.

Few routers report an End-of-RIB for a session that begins after they have connected, and some never do. So a peer that was quiet for
QUIET_S has sent its table, as at the end of a refresh that nothing marks (`evpn.peer`).

The stream begins with the first router and ends with the last. If one of several leaves, only its peers' routes are held.

Where ExaBGP is attached as well (`feed.joined`), a peer of ExaBGP is not a peer of any router: `cede` and `reclaim`.

When ITEMS_MAX items wait, no connection is read until half of them are taken, and TCP makes the routers wait. Only the addresses in
`bmp_peers` may connect; none given: this host alone. A router that may connect may report any route.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeAlias, cast

from msgspec import Struct

from vtep import logs
from vtep.addr import Ip
from vtep.config.model import Prefix
from vtep.config.values import host_and_port
from vtep.errors import HostError, Problem, StreamError
from vtep.evpn.advertise import Command
from vtep.evpn.before_policy import BeforePolicy
from vtep.evpn.event import Attached, Detached, Message, Received, Unreadable
from vtep.evpn.update import read_updates
from vtep.feed.bmp.router import BMP, Item, Router, Updates, is_address
from vtep.feed.contract import CannotAdvertise, Report
from vtep.feed.listening import stop_accepting

READ_OCTETS: Final = 64 << 10
"""Octets taken from a connection at once, so that a router with a full table does not hold up the others."""
ITEMS_MAX: Final = 256
"""Items that wait for the daemon. Most are `router.PIECE` octets at most, so about 2 MiB wait in the usual case."""
ROUTERS_MAX: Final = 64
"""Connections at once. Each may hold an unfinished message of `wire.MESSAGE_MAX`, so 16 MiB in all."""
LOOK_S: Final = 1.0
"""How often a connection is looked at for what did not come."""
CALL_BACK_S: Final = 30.0
"""A connection that is younger is not ended for a peer that became free: one that flaps would have a router send its table each time."""
FIRST_MESSAGE_S: Final = 30.0
"""How long a connection may say nothing at all. A router begins with a message at once (RFC 7854 3.3)."""
HEAD_OCTETS: Final = 1024
"""Octets of an unreadable UPDATE that are kept for the operator."""

log = logging.getLogger(__name__)

_Queued: TypeAlias = Item | Attached | Detached


class RouterStatus(Struct, frozen=True):
    """One connected router, for people."""

    name: str
    address: str
    description: str
    peers: int
    """How many peers it reports, without those that another router has already."""
    ignored: dict[str, int]
    """Messages without effect, by why: another table, a peer of another router, a peer with ADD-PATH, an odd type."""


class BmpFeed:
    """All routers that report to one address."""

    room = 0
    owes_since: float | None = None

    def __init__(
        self,
        listen: str,
        allowed: Sequence[Prefix] = (),
        table: str = "post-policy",
        arrived: asyncio.Event | None = None,
    ) -> None:
        """`arrived` is the event of a feed beside this one, so that a caller waits for both by one event."""
        self.arrived = arrived or asyncio.Event()
        self.on_report: Callable[[Report], None] = lambda _: None
        self.ignored: Counter[str] = Counter()
        """What routers that have left sent beside the chosen table."""
        self._listen = listen
        self._allowed = tuple(allowed)
        self._table = table
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._holders: dict[Ip, _Connection] = {}
        """The router that reports a peer."""
        self._ceded: set[Ip] = set()
        """Peers that another feed reports."""
        self._queue: deque[_Queued] = deque()
        self._streams = 0
        self._is_paused = False

    async def start(self) -> None:
        """Listen. A HostError says why that cannot be."""
        host, port = host_and_port(self._listen)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), host, port, reuse_address=True)
        except OSError as error:
            what = f"{self._listen}: {error.strerror or error}"
            raise HostError(Problem("feed.bmp", what, "name another address, or stop what has this one")) from None

    async def stop(self) -> None:
        """Stop listening, and end all connections."""
        if self._server is not None:
            server, self._server = self._server, None
            await stop_accepting(server)
        for connection in list(self._connections):
            connection.transport.abort()

    @property
    def port(self) -> int:
        """The port on which it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def events(self) -> list[Message]:
        """Return the messages that arrived together; wait for them if there are none."""
        await asyncio.sleep(0)
        while not self._queue:
            self.arrived.clear()
            await self.arrived.wait()
        return self.events_at_once() or []

    def events_at_once(self) -> list[Message] | None:
        """Return messages that arrived together, or None if nothing waits."""
        if not self._queue:
            return None
        item = self._queue.popleft()
        if self._is_paused and len(self._queue) <= ITEMS_MAX // 2:
            self._is_paused = False
            for connection in self._connections:
                connection.transport.resume_reading()
        if isinstance(item, Attached | Detached):
            return [item]
        if item.peer in self._ceded:
            return []  # it was queued before
        if isinstance(item, Updates):
            return decode(item)
        return [Received(item.events, peer=item.peer, feed=BMP)]

    def form(self, peer: Ip | None) -> str:  # noqa: ARG002 - the same for all
        """UPDATEs always come as the peer, or the router, made them."""
        return "octets"

    @property
    def waiting(self) -> int:
        """How many messages have arrived and were not taken yet."""
        return sum(item.messages if isinstance(item, Updates) else 1 for item in self._queue)

    @property
    def routers(self) -> list[RouterStatus]:
        """Return the connected routers."""
        return [
            RouterStatus(
                connection.router.name, connection.address, connection.router.description,
                len(connection.router.peers), dict(connection.router.counts),
            )
            for connection in self._connections
            if connection.router.has_begun
        ]  # fmt: skip

    def ignored_by_all(self) -> Counter[str]:
        """Return how many messages had no effect, by why, those of routers that have left included."""
        return sum((connection.router.counts for connection in self._connections), self.ignored.copy())

    def before_policy(self) -> list[tuple[Ip, BeforePolicy]]:
        """Return what peers sent and their router's policy changed, for each peer of which both tables come."""
        return [one for connection in self._connections for one in connection.router.befores()]

    # Commands, of which BMP has none

    def ask(self) -> None:
        """Say that nothing can be advertised."""
        self.on_report(CannotAdvertise("routers report by BMP, and take no routes by it"))

    def advertise(self, commands: Sequence[Command]) -> None:
        """Do nothing: nothing was promised."""

    def refresh(self, peer: Ip | None) -> None:
        """Do nothing: a router sends its routes again only when it connects again."""

    # The feed beside this one

    def reports(self, peer: Ip) -> bool:
        """Tell whether a router reports this peer, and no other feed has it."""
        return peer in self._holders

    def cede(self, peer: Ip) -> None:
        """Leave a peer to another feed. What routers report of it is counted from now on."""
        self._ceded.add(peer)
        if (holder := self._holders.pop(peer, None)) is not None:
            holder.router.cede(peer)

    def reclaim(self, peers: Collection[Ip]) -> None:
        """Take back the peers of a feed that has ended: routers that report them must connect again, and send everything."""
        self._ceded.difference_update(peers)
        self._call_back(peers)

    # What connections do

    def _claim(self, connection: "_Connection", peer: Ip) -> bool:
        """Give an address to the first that announces it: another VRF of the same router comes too late as well."""
        if peer in self._holders or peer in self._ceded:
            return False
        self._holders[peer] = connection
        return True

    def _release(self, peer: Ip) -> None:
        del self._holders[peer]

    def _is_free(self, peer: Ip) -> bool:
        """Tell whether nothing reports a peer: the session with its router is over, and other routers may still have one."""
        return is_address(peer) and peer not in self._holders and peer not in self._ceded

    def _admits(self, address: Ip) -> bool:
        if len(self._connections) >= ROUTERS_MAX:
            return False
        if not self._allowed:
            return address == _LOOPBACK_V6 or (len(address) == 4 and address[0] == 127)
        return any(_is_in(address, prefix) for prefix in self._allowed)

    def _begins(self, connection: "_Connection") -> None:
        self._streams += 1
        router = connection.router
        name = router.name or connection.address
        if self._streams == 1:
            self._put([Attached(f"bmp/{id(self)}", f"BMP from {name}", complete=True, feed=BMP)])
        logs.event(log, logging.INFO, "bmp router connected", router=name, address=connection.address)

    def _ends(self, connection: "_Connection", why: str) -> None:
        """Take what a router's end means: its peers may be those of another router, and the last router ends the stream."""
        self._connections.discard(connection)
        router = connection.router
        left = router.peers
        self.ignored.update(router.counts)
        items = router.leave()
        if not connection.is_counted:
            return
        self._streams -= 1
        name = router.name or connection.address
        logs.event(log, logging.WARNING, "bmp router left", router=name, address=connection.address, why=why)
        if self._streams:
            self._put(items)
            self._call_back(left)
        else:
            self._put([Detached(BMP)])

    def _call_back(self, left: Collection[Ip]) -> None:
        """End the connections of routers that have these peers too: they connect again and send everything."""
        for other in list(self._connections):
            if other.router.lacks(left):
                other.end("it connects again, because it reports peers of a router that left")

    def _put(self, items: Sequence[_Queued]) -> None:
        """Queue what a router reported. A full queue stops the reading of all connections, so memory stays bounded."""
        if not items:
            return
        self._queue += items
        self.arrived.set()
        if len(self._queue) >= ITEMS_MAX and not self._is_paused:
            self._is_paused = True
            for connection in self._connections:
                connection.transport.pause_reading()


def decode(updates: Updates) -> list[Message]:
    """Return the messages for UPDATEs. If one of them cannot be read, the others are read all the same."""
    try:
        events, bad = read_updates(updates.octets, updates.peer)
        return [Received(events, peer=updates.peer, bad_nlris=bad, feed=BMP)]
    except StreamError as error:
        if updates.messages == 1:
            return [Unreadable(updates.octets[:HEAD_OCTETS], len(updates.octets), str(error), updates.peer)]
    return [message for one in updates.each() for message in decode(one)]


class _Connection(asyncio.BufferedProtocol):
    """A connection to the listener. It counts as a router once a whole message has arrived."""

    transport: asyncio.Transport

    def __init__(self, feed: BmpFeed) -> None:
        self._feed = feed
        self._buffer = memoryview(bytearray(READ_OCTETS))
        self._why = "the connection ended"
        self._timer: asyncio.TimerHandle | None = None
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self.router = Router(feed._table, lambda peer: feed._claim(self, peer), feed._release)
        self.address = ""
        self.is_counted = False
        """The stream has it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the router, or refuse it before one octet is read."""
        self.transport = cast("asyncio.Transport", transport)
        host, port = self.transport.get_extra_info("peername")[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if not self._feed._admits(Ip.parse(host.partition("%")[0])):
            logs.event(log, logging.WARNING, "bmp connection refused", address=self.address, why="see feed.bmp_peers")
            self.transport.abort()
            return
        self._feed._connections.add(self)
        if self._feed._is_paused:
            self.transport.pause_reading()
        self._look()

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, octets: int) -> None:
        """Read what arrived. What cannot be read ends the connection, and the router begins again with all that it has."""
        if self.transport.is_closing():
            return
        try:
            items = self.router.read(bytes(self._buffer[:octets]), self._clock())
        except StreamError as error:
            self.end(str(error))
            return
        if self.router.has_begun and not self.is_counted:
            self.is_counted = True
            self._feed._begins(self)
        self._feed._put(items)
        if self.router.ended:
            self.end(f"the router ends it: {self.router.ended}")

    def end(self, why: str) -> None:
        self._why = why
        self.transport.abort()

    def _look(self) -> None:
        """Act on what did not come: a first message, or the End-of-RIB of a peer."""
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        now = self._clock()
        if not self.router.has_begun and now >= self._began + FIRST_MESSAGE_S:
            self.end(f"no message came within {FIRST_MESSAGE_S:g} s")
        elif now >= self._began + CALL_BACK_S and any(map(self._feed._is_free, self.router.in_vain)):
            self.end("it connects again, because it reports a peer whose session with another router is over")
        elif not self._feed._is_paused:
            self._feed._put(self.router.find_quiet(now))

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if error is not None and self._why == "the connection ended":
            self._why = str(error)
        self._feed._ends(self, self._why)


_LOOPBACK_V6: Final = Ip.parse("::1")


def _is_in(address: Ip, prefix: Prefix) -> bool:
    return address.is_v6 == (prefix.version == 6) and int.from_bytes(address) >> (
        prefix.max_prefixlen - prefix.prefixlen
    ) == int(prefix.network_address) >> (prefix.max_prefixlen - prefix.prefixlen)
