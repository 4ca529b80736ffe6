"""The gRPC API of a daemon, from its first call to its last: which services are where, their bounds, start and end.

    listen  ── VtepService ─────────────────┬── health, and reflection where only this machine can ask
    admin   ── VtepService + AdminService ──┘

An address in both lists has both. Each address is a gRPC server of its own: one that cannot listen does not keep the others
from it, and can be tried again. Knows no call.
"""

import asyncio
import logging
from typing import Final

import grpc
from grpc_reflection.v1alpha import reflection

from vtep import logs
from vtep.api import listeners
from vtep.api.grpc.services import ADMIN_SERVICE, HEALTH_SERVICE, VTEP_SERVICE, AdminService, HealthService, VtepService
from vtep.api.listeners import Address, Listener
from vtep.config.model import ApiConfig, TlsConfig
from vtep.observe.source import Controls, Source

log = logging.getLogger(__name__)

GRACE_S: Final = 1.0
"""For calls that are under way when the daemon stops."""
CALLS_MAX: Final = 500
"""At a time, at each address."""
CONNECTIONS_MAX: Final = 200
"""At a time, of each server."""

OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # else a second daemon would share a TCP port instead of being refused
    ("grpc.max_concurrent_streams", 150),  # of one connection
    # A connection is a file descriptor, and any client that may connect decides how many it opens and what it says there.
    ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_connection_idle_ms", 60_000),  # without a call; a client connects again by itself
    ("grpc.max_receive_message_length", 64 * 1024),  # no request is that long
    ("grpc.max_metadata_size", 16 * 1024),
    # A client that vanished is noticed within a minute; one that pings more often than needed is disconnected.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 3),
)


class GrpcServer:
    """The API at one address. The services are those of all addresses, so that their bounds hold for all together."""

    def __init__(self, address: Address, services: "_Services", *, is_admin: bool) -> None:
        self.key = address.place
        self._address = address
        self._services = services
        self._is_admin = is_admin
        self._server: grpc.aio.Server | None = None
        self._listener: Listener | None = None

    async def open(self) -> None:
        """Listen; a HostError says what is in the way, and then nothing is left open."""
        readers, health, admin = self._services.handlers
        handlers = [readers, health, admin] if self._is_admin else [readers, health]
        server = grpc.aio.server(handlers=handlers, options=OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
        try:
            if self._address.is_local:
                _reflect(server, is_admin=self._is_admin)
            self._listener = listeners.listen(server, self._address, self._services.tls)
            await server.start()
        except BaseException:
            await server.stop(0)
            raise
        self._server = server
        logs.event(log, logging.INFO, "api listens", address=self._address.text)

    async def close(self) -> None:
        """Stop answering, at all addresses: streams end now, and other calls within the time of grace."""
        self._services.end()
        if self._server is not None:
            await self._server.stop(GRACE_S)
        if self._listener is not None:
            self._listener.remove()


class _Services:
    """What is served, at whichever addresses."""

    def __init__(self, tls: TlsConfig, source: Source, controls: Controls) -> None:
        self._ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tls = tls
        self.handlers = (
            VtepService(source, self._ending).handler,
            HealthService(source, self._ending).handler,
            AdminService(controls).handler,
        )

    def end(self) -> None:
        """End every stream. It may be called once for each address."""
        if not self._ending.done():
            self._ending.set_result(None)


def servers(api: ApiConfig, source: Source, controls: Controls) -> list[GrpcServer]:
    """Return a server for each address of the configuration; none is open yet."""
    services = _Services(api.tls, source, controls)
    admin = listeners.addresses(api.admin, "api.admin")
    known = {address.text for address in admin}
    readers = [address for address in listeners.addresses(api.listen, "api.listen") if address.text not in known]
    return [
        *(GrpcServer(address, services, is_admin=True) for address in admin),
        *(GrpcServer(address, services, is_admin=False) for address in readers),
    ]


def _reflect(server: grpc.aio.Server, *, is_admin: bool) -> None:
    services = [VTEP_SERVICE, HEALTH_SERVICE, *([ADMIN_SERVICE] if is_admin else [])]
    reflection.enable_server_reflection([*(service.full_name for service in services), reflection.SERVICE_NAME], server)
