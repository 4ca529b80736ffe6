"""The calls of the API: VtepService reads a Source, AdminService uses Controls, and the standard health service.

Knows the messages of the API and the values of the model. Does not know where it listens.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from vtep import logs
from vtep.api import tokens
from vtep.api.grpc import messages, requests
from vtep.api.grpc.routed import RoutedCalls
from vtep.api.grpc.segments import SegmentCalls
from vtep.api.grpc.watch import Ended, Watching
from vtep.errors import UsageError
from vtep.intent import HostKey, RowKey
from vtep.observe.history import HistoryEntry
from vtep.observe.model import CandidateStatus, Explanation, RouteStatus, StationStatus
from vtep.observe.problems import summed
from vtep.observe.source import Controls, MacQuery, Source
from vtep.observe.turns import Turns
from vtep.v1 import admin_pb2, vtep_pb2
from vtep.v1 import vtep_pb2 as pb

log = logging.getLogger(__name__)

VTEP_SERVICE: Final = vtep_pb2.DESCRIPTOR.services_by_name["VtepService"]
ADMIN_SERVICE: Final = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]
HEALTH_SERVICE: Final = health_pb2.DESCRIPTOR.services_by_name["Health"]

READY: Final = "vtep.ready"
WATCHERS_MAX: Final = 100
READY_EVERY_S: Final = 0.2
EVENTS_EXPLAINED: Final = 20
LONG_ANSWERS: Final = frozenset(
    (
        "ListMacs",
        "ListNeighbors",
        "ListVteps",
        "ListEvents",
        "ListRoutes",
        "ListStations",
        "ListPrefixes",
        "ListNexthops",
        "ListSegments",
        "ExplainMac",
        "ExplainIp",
        "ExplainDevice",
        "Diff",
    )
)
LONG_ANSWERS_AT_ONCE: Final = 16
UNTAKEN_OCTETS_MAX: Final = 32 << 20
"""Octets of long answers that wait for their clients, of one service; each of them has two megabytes at most."""


Context = grpc.aio.ServicerContext[Any, Any]


class VtepService:
    """Read only."""

    def __init__(self, source: Source, ending: asyncio.Future[None]) -> None:
        self._source = source
        self._turns = Turns()
        self._watching = Watching(source, self._turns, ending)
        self._watchers = 0

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        return _handler(
            VTEP_SERVICE,
            {
                "GetStatus": self._get_status,
                "ListVnis": self._list_vnis,
                "ListMacs": self._list_macs,
                "ListVteps": self._list_vteps,
                "ListNeighbors": self._list_neighbors,
                "ListPeers": self._list_peers,
                "ListRoutes": self._list_routes,
                "ListStations": self._list_stations,
                "ExplainMac": self._explain_mac,
                "ExplainIp": self._explain_ip,
                "ExplainDevice": self._explain_device,
                **RoutedCalls(self._source, self._turns).handlers,
                **SegmentCalls(self._source, self._turns).handlers,
                "ListEvents": self._list_events,
                "Diff": self._diff,
                "Watch": self._watch,
            },
        )

    async def _get_status(self, _request: pb.GetStatusRequest, _context: Context) -> pb.GetStatusResponse:
        return messages.get_status_response(self._source.status(), self._source.wall)

    async def _list_vnis(self, _request: pb.ListVnisRequest, _context: Context) -> pb.ListVnisResponse:
        vnis = await self._turns.take(self._source.vnis)
        return pb.ListVnisResponse(vnis=map(messages.vni, vnis))

    async def _list_macs(self, request: pb.ListMacsRequest, _context: Context) -> pb.ListMacsResponse:
        source, epoch = self._source, self._source.epoch
        size = requests.page_size(request.page_size)
        query = MacQuery(
            requests.vni(request.vni),
            requests.vtep(request.vtep),
            requests.states(request.states),
            requests.peer(request.peer),
            requests.mac_prefix(request.mac_prefix),
        )
        after: RowKey | None = tokens.macs_after(epoch, request.page_token) if request.page_token else None
        response = pb.ListMacsResponse()

        def read(after: RowKey | None, most: int) -> RowKey | None:
            page = source.macs(query, after, most)
            response.macs.extend([messages.mac(row, source.wall) for row in page.rows])
            response.total, response.generation = page.total, page.generation
            return page.last

        await source.prepare()
        after = await self._turns.pages(read, after, size)
        response.next_page_token = tokens.macs_token(epoch, after) if after else ""
        return response

    async def _list_neighbors(self, request: pb.ListNeighborsRequest, _context: Context) -> pb.ListNeighborsResponse:
        source, epoch = self._source, self._source.epoch
        size = requests.page_size(request.page_size)
        query = MacQuery(
            requests.vni(request.vni),
            peer=requests.peer(request.peer),
            prefix=requests.mac_prefix(request.mac_prefix),
        )
        after: HostKey | None = tokens.neighbors_after(epoch, request.page_token) if request.page_token else None
        response = pb.ListNeighborsResponse()

        def read(after: HostKey | None, most: int) -> HostKey | None:
            page = source.neighbors(query, after, most)
            response.neighbors.extend([messages.neighbor(row, source.wall) for row in page.rows])
            response.total, response.generation = page.total, page.generation
            return page.last

        await source.prepare()
        after = await self._turns.pages(read, after, size)
        response.next_page_token = tokens.neighbors_token(epoch, after) if after else ""
        return response

    async def _list_vteps(self, request: pb.ListVtepsRequest, _context: Context) -> pb.ListVtepsResponse:
        vni = requests.vni(request.vni)
        vteps = await self._turns.take(lambda: self._source.vteps(vni))
        return pb.ListVtepsResponse(vteps=[messages.vtep(vtep, self._source.wall) for vtep in vteps])

    async def _list_peers(self, _request: pb.ListPeersRequest, _context: Context) -> pb.ListPeersResponse:
        status, wall = self._source.status(), self._source.wall
        refused = summed(status.refusals, "peer")
        return pb.ListPeersResponse(
            peers=[messages.peer(peer, refused.get(str(peer.address), 0), wall) for peer in status.feed.peers]
        )

    async def _list_routes(self, request: pb.ListRoutesRequest, _context: Context) -> pb.ListRoutesResponse:
        source, epoch = self._source, self._source.epoch
        query, size = requests.routes(request), requests.page_size(request.page_size)
        after = tokens.routes_after(epoch, request.page_token) if request.page_token else None
        page = await source.routes(query, after, size)
        response = pb.ListRoutesResponse(total=page.total, generation=page.generation)

        def put(rows: Sequence[RouteStatus]) -> None:
            response.routes.extend([messages.route(row, source.wall) for row in rows])

        await self._turns.each(put, page.rows)
        response.next_page_token = tokens.routes_token(epoch, page.last) if page.last else ""
        return response

    async def _list_stations(self, request: pb.ListStationsRequest, _context: Context) -> pb.ListStationsResponse:
        source, epoch = self._source, self._source.epoch
        size, vni = requests.page_size(request.page_size), requests.vni(request.vni)
        after = tokens.stations_after(epoch, request.page_token) if request.page_token else None
        page = await source.stations(vni, after, size)
        response = pb.ListStationsResponse(total=page.total, generation=page.generation)
        response.advertised_to.extend(str(peer.address) for peer in source.status().feed.peers if peer.up)

        def put(rows: Sequence[StationStatus]) -> None:
            response.stations.extend([messages.station(row, source.wall) for row in rows])

        await self._turns.each(put, page.rows)
        response.next_page_token = tokens.stations_token(epoch, page.last) if page.last else ""
        return response

    async def _explain_mac(self, request: pb.ExplainMacRequest, _context: Context) -> pb.ExplainMacResponse:
        mac, vni = requests.mac(request.mac), requests.vni(request.vni)

        entries = await self._turns.take(self._source.entries_of, mac)
        answer = await self._source.explain(mac, vni)
        response = pb.ExplainMacResponse(left_out=answer.left_out)

        def begin(told: Explanation) -> None:
            events = [entry for entry in entries if entry.vni == told.vni][-EVENTS_EXPLAINED:]
            response.explanations.append(messages.explanation(told, events, self._source.wall))

        def go_on(part: Sequence[CandidateStatus]) -> None:
            response.explanations[-1].candidates.extend(messages.candidate(one, self._source.wall) for one in part)

        for told in answer.explanations:
            await self._turns.take(begin, told)
            await self._turns.each(go_on, told.candidates)
        return response

    async def _explain_ip(self, request: pb.ExplainIpRequest, _context: Context) -> pb.ExplainIpResponse:
        ip, vni = requests.ip(request.ip, "ip", "a host's, as in 172.16.0.1"), requests.vni(request.vni)
        if ip is None:
            raise UsageError("ip: missing; give an IP address, as in 172.16.0.1")
        told = await self._source.explain_host(ip, vni)
        response = pb.ExplainIpResponse(vtep=told.vtep, left_out=told.left_out, routes_left_out=told.routes_left_out)
        for explanation in told.explanations:
            made = await self._turns.take(messages.host_explanation, explanation, self._source.wall)
            response.explanations.append(made)
        return response

    async def _explain_device(self, request: pb.ExplainDeviceRequest, _context: Context) -> pb.ExplainDeviceResponse:
        told = await self._source.explain_device(requests.device(request.device))
        return messages.device_explanation(told, self._source.wall)

    async def _list_events(self, request: pb.ListEventsRequest, _context: Context) -> pb.ListEventsResponse:
        since = requests.time(request.since, "since") if request.HasField("since") else None
        source = self._source
        entries, forgotten = await self._turns.take(
            lambda: source.entries(after=request.after, since=None if since is None else source.clock(since))
        )
        response = pb.ListEventsResponse(forgotten=forgotten)

        def tell(part: Sequence[HistoryEntry]) -> None:
            response.events.extend([messages.event(entry, source.wall) for entry in part])

        await self._turns.each(tell, entries)
        return response

    async def _diff(self, request: pb.DiffRequest, _context: Context) -> pb.DiffResponse:
        found = await self._source.diff(
            requests.vni(request.vni), requests.seconds(request.older_than_s, "older_than_s")
        )
        return messages.diff_response(found, self._source.wall)

    async def _watch(self, request: pb.WatchRequest, context: Context) -> None:
        if self._watchers >= WATCHERS_MAX:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{WATCHERS_MAX} streams are open; close one, or try again later"
            )
        self._watchers += 1
        try:
            async with contextlib.aclosing(self._watching.stream(request)) as responses:
                async for response in responses:
                    await context.write(response)
        except Ended:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "vtep is stopping; try again with the resume token")
        finally:
            self._watchers -= 1


class AdminService:
    """The few writes. Each request is logged with its peer."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        return _handler(
            ADMIN_SERVICE,
            {
                "Resync": self._resync,
                "Adopt": self._adopt,
                "ClearDuplicate": self._clear_duplicate,
                "SetLogLevel": self._set_log_level,
            },
        )

    async def _resync(self, request: admin_pb2.ResyncRequest, context: Context) -> admin_pb2.ResyncResponse:
        _audit(context, "resync", peers=request.peers)
        self._controls.resync(peers=request.peers)
        return admin_pb2.ResyncResponse()

    async def _adopt(self, request: admin_pb2.AdoptRequest, context: Context) -> admin_pb2.AdoptResponse:
        vni = requests.vni(request.vni)
        how = {"dry_run": request.dry_run, "foreign": request.foreign, "remove_unwanted": request.remove_unwanted}
        _audit(context, "adopt", vni=vni, **how)
        rows = await self._controls.adopt(vni, **how)
        return admin_pb2.AdoptResponse(rows=map(messages.orphan, rows))

    async def _clear_duplicate(
        self, request: admin_pb2.ClearDuplicateRequest, context: Context
    ) -> admin_pb2.ClearDuplicateResponse:
        mac, vni = requests.mac(request.mac), requests.vni(request.vni)
        _audit(context, "clear-duplicate", mac=mac, vni=vni)
        return admin_pb2.ClearDuplicateResponse(cleared=self._controls.clear_duplicate(mac, vni))

    async def _set_log_level(
        self, request: admin_pb2.SetLogLevelRequest, context: Context
    ) -> admin_pb2.SetLogLevelResponse:
        try:
            previous = self._controls.set_log_level(request.level)
        except ValueError as error:
            raise UsageError(f"level: {error}") from None
        # Logged after the change, so that the line appears whether the level went up or down.
        _audit(context, "set-log-level", level=request.level, previous=previous)
        return admin_pb2.SetLogLevelResponse(previous=previous)


class HealthService:
    """The standard health service. `vtep.ready` says whether the daemon is ready, as `vtep health` does."""

    def __init__(self, source: Source, ending: asyncio.Future[None]) -> None:
        self._source = source
        self._ending = ending
        self._watchers = 0
        self._seen: dict[str, health_pb2.HealthCheckResponse] = {}
        self._next_look = 0.0

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        return _handler(HEALTH_SERVICE, {"Check": self._check, "List": self._list, "Watch": self._watch})

    async def _check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        response = self._statuses().get(request.service)
        if response is None:
            known = ", ".join(repr(name) for name in self._statuses())
            await context.abort(grpc.StatusCode.NOT_FOUND, f"service: not known here; one of {known}")
        return response

    async def _list(self, _request: health_pb2.HealthListRequest, _context: Context) -> health_pb2.HealthListResponse:
        return health_pb2.HealthListResponse(statuses=self._statuses())

    async def _watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """Look now and then, so that a reader that takes nothing delays no other. All streams share each look."""
        if self._watchers >= WATCHERS_MAX:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{WATCHERS_MAX} streams are open; close one")
        self._watchers += 1
        try:
            await self._follow(request, context)
        finally:
            self._watchers -= 1

    async def _follow(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """Write each new status until the reader or the daemon ends; the last one says that the daemon is stopping."""
        unknown = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        said = None
        while True:
            response = self._shared_statuses().get(request.service, unknown)
            if response != said:
                await context.write(response.SerializeToString())
                said = response
            if self._ending.done():
                await context.abort(grpc.StatusCode.UNAVAILABLE, "vtep is stopping")
            await asyncio.wait({self._ending}, timeout=READY_EVERY_S)

    def _shared_statuses(self) -> dict[str, health_pb2.HealthCheckResponse]:
        """Return what the last look found, and look again where that was a while ago."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_look or self._ending.done():
            self._next_look = now + READY_EVERY_S / 2
            self._seen = self._statuses()
        return self._seen

    def _statuses(self) -> dict[str, health_pb2.HealthCheckResponse]:
        """Return the status of each service that a probe can name (gRPC health checking protocol).

        The empty name and the API serve until the daemon stops. READY serves only while the daemon is ready, for a
        balancer.
        """
        serves = not self._ending.done()
        found = {"": serves, VTEP_SERVICE.full_name: serves, READY: serves and self._source.status().ready}
        return {name: _SERVING if is_good else _NOT_SERVING for name, is_good in found.items()}


_SERVING: Final = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
_NOT_SERVING: Final = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)


def _handler(service: ServiceDescriptor, answers: Mapping[str, Callable[..., Any]]) -> grpc.GenericRpcHandler:
    """Return the handler of a service. Functions that stream write octets, which streams may share."""
    methods = {method.name: method for method in service.methods}
    untaken = Untaken()
    return grpc.method_handlers_generic_handler(
        service.full_name, {name: _method(methods[name], answer, untaken) for name, answer in answers.items()}
    )


class Untaken:
    """The long answers that clients have not taken.

    A client decides when it takes an answer (HTTP/2 flow control), and gRPC keeps it for as long. So few of them are made
    at a time, and none while too many octets wait: otherwise one client could fill the memory.
    """

    def __init__(self) -> None:
        self._octets = 0
        self._making = asyncio.Semaphore(LONG_ANSWERS_AT_ONCE)

    @contextlib.asynccontextmanager
    async def room(self, context: Context) -> AsyncIterator[None]:
        """Wait until a long answer may be made; refuse the call if there is no room for one."""
        async with self._making:
            if self._octets > UNTAKEN_OCTETS_MAX:
                text = f"{self._octets} octets of answers wait for clients that do not take them; try again later"
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
            yield

    def put(self, octets: int, context: Context) -> None:
        """Count an answer until its call is over."""
        self._octets += octets

        def remove(_: Any) -> None:
            self._octets -= octets

        context.add_done_callback(remove)  # type: ignore[arg-type] # any callable will do


def _method(
    method: MethodDescriptor, answer: Callable[..., Any], untaken: Untaken
) -> "grpc.RpcMethodHandler[Any, Any]":
    """Return the handler of one call.

    Bad input is INVALID_ARGUMENT with a text that names the field. Long answers wait for their turn, and become
    octets at once.
    """

    async def polite(request: Any, context: Context) -> Any:
        if request is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"request: no {method.input_type.name}")
        try:
            if method.server_streaming:
                return await answer(request, context)
            if method.name not in LONG_ANSWERS:
                return (await answer(request, context)).SerializeToString()
            # As octets, because a message takes several times their room, and gRPC keeps what it is given.
            async with untaken.room(context):
                octets = (await answer(request, context)).SerializeToString()
                untaken.put(len(octets), context)
                return octets
        except UsageError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    read = _reader(method)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(polite, read)
    return grpc.unary_unary_rpc_method_handler(polite, read)


def _reader(method: MethodDescriptor) -> Callable[[bytes], Any]:
    """Return what reads a request; None if it cannot be read, because gRPC would log a page for each of those."""
    parse = GetMessageClass(method.input_type).FromString

    def read(octets: bytes) -> Any:
        try:
            return parse(octets)
        except DecodeError:
            return None

    return read


def _audit(context: Context, what: str, **fields: Any) -> None:
    """Log a call that changes something, with the client that made it."""
    logs.event(log, logging.INFO, "operator asked", peer=_who(context), command=what, **fields)


def _who(context: Context) -> str:
    """Name the client by its certificate, if it has one. The mode of a unix socket is all that is known of its clients."""
    names = context.auth_context().get("x509_common_name", ())
    return " ".join([context.peer(), *(name.decode(errors="replace") for name in names)])
