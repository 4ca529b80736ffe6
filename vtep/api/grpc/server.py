"""The gRPC API of a daemon, from its first call to its last: which services are where, their bounds, start and end.

    listen  ── VtepService ─────────────────┬── health, and reflection where only this machine can ask
    admin   ── VtepService + AdminService ──┘

An address in both lists has both. Each combination is a gRPC server of its own, since a server serves everything
everywhere it listens. Knows no call.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc
from grpc_reflection.v1alpha import reflection

from vtep import logs
from vtep.api import listeners
from vtep.api.grpc.services import ADMIN_SERVICE, HEALTH_SERVICE, VTEP_SERVICE, AdminService, HealthService, VtepService
from vtep.api.listeners import Address, Listener
from vtep.config.model import ApiConfig
from vtep.observe.source import Controls, Source

log = logging.getLogger(__name__)

GRACE_S: Final = 1.0
CALLS_MAX: Final = 500
"""At a time, of each server."""

OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # else a second daemon would share a TCP port instead of being refused
    ("grpc.max_concurrent_streams", 150),  # of one connection
    ("grpc.max_receive_message_length", 64 * 1024),  # no request is that long
    ("grpc.max_metadata_size", 16 * 1024),
    # A client that is gone without a word is noticed within a minute; one that pings more often than needed is sent away.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 3),
)


@asynccontextmanager
async def serve(api: ApiConfig, source: Source, controls: Controls) -> AsyncIterator[None]:
    """Serve while within. A `ConfigError` says why that cannot be; then nothing is left open."""
    ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    readers = VtepService(source, ending).handler
    health = HealthService(source, ending).handler
    admin = AdminService(controls).handler
    credentials = listeners.credentials(api.tls)
    servers: list[grpc.aio.Server] = []
    open_at: list[Listener] = []
    try:
        for (is_admin, is_local), addresses in _grouped(api).items():
            handlers = [readers, health, admin] if is_admin else [readers, health]
            server = grpc.aio.server(handlers=handlers, options=OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
            servers.append(server)
            if is_local:
                _reflect(server, is_admin=is_admin)
            for address in addresses:
                open_at.append(listeners.listen(server, address, credentials))  # noqa: PERF401 - one by one, for the end
            await server.start()
        for listener in open_at:
            logs.event(log, logging.INFO, "api listens", address=listener.address.text)
        yield
    finally:
        ending.set_result(None)
        await asyncio.gather(*(server.stop(GRACE_S) for server in servers))
        for listener in open_at:
            listener.remove()


def _grouped(api: ApiConfig) -> dict[tuple[bool, bool], list[Address]]:
    """Return the addresses by what is served there: the admin service, and only to this machine."""
    admin = listeners.addresses(api.admin, "api.admin")
    known = {address.text for address in admin}
    grouped: dict[tuple[bool, bool], list[Address]] = {}
    for address in admin:
        grouped.setdefault((True, address.is_local), []).append(address)
    for address in listeners.addresses(api.listen, "api.listen"):
        if address.text not in known:
            grouped.setdefault((False, address.is_local), []).append(address)
    return grouped


def _reflect(server: grpc.aio.Server, *, is_admin: bool) -> None:
    services = [VTEP_SERVICE, HEALTH_SERVICE, *([ADMIN_SERVICE] if is_admin else [])]
    reflection.enable_server_reflection([*(service.full_name for service in services), reflection.SERVICE_NAME], server)
