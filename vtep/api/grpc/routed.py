"""What the API answers about VRFs: the calls, and how their values become messages.

Knows the door to the daemon (`Source`) and the messages, and nothing behind the door. `services.py` serves the calls.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from vtep.api import tokens
from vtep.api.grpc import messages, requests
from vtep.api.grpc.messages import Wall
from vtep.intent import NexthopKey, PrefixKey
from vtep.observe import model
from vtep.observe.reasons import sentence
from vtep.observe.source import Page, PrefixName, Source
from vtep.observe.turns import ROWS_A_TURN, Turns
from vtep.v1 import vtep_pb2 as pb


class RoutedCalls:
    """The calls about VRFs."""

    def __init__(self, source: Source, turns: Turns) -> None:
        self._source = source
        self._turns = turns

    @property
    def handlers(self) -> Mapping[str, Callable[[Any, Any], Awaitable[Any]]]:
        return {
            "ListVrfs": self._list_vrfs,
            "ListPrefixes": self._list_prefixes,
            "ListNexthops": self._list_nexthops,
            "ExplainPrefix": self._explain_prefix,
        }

    async def _list_vrfs(self, _request: pb.ListVrfsRequest, _context: Any) -> pb.ListVrfsResponse:
        vrfs = await self._turns.take(self._source.vrfs)
        return pb.ListVrfsResponse(vrfs=map(_vrf, vrfs))

    async def _list_prefixes(self, request: pb.ListPrefixesRequest, _context: Any) -> pb.ListPrefixesResponse:
        source, size = self._source, requests.page_size(request.page_size)
        after = tokens.prefixes_after(source.epoch, request.page_token) if request.page_token else None
        response = pb.ListPrefixesResponse()

        def put(page: Page[model.PrefixStatus, PrefixKey]) -> PrefixKey | None:
            response.prefixes.extend([prefix_row(row, source.wall) for row in page.rows])
            response.total, response.generation = page.total, page.generation
            return page.last

        while size > 0:
            page = await source.prefixes(request.vrf, after, min(size, ROWS_A_TURN))
            after, size = await self._turns.take(put, page), size - ROWS_A_TURN
            if after is None:
                break
        response.next_page_token = tokens.prefixes_token(source.epoch, after) if after else ""
        return response

    async def _list_nexthops(self, request: pb.ListNexthopsRequest, _context: Any) -> pb.ListNexthopsResponse:
        source, size = self._source, requests.page_size(request.page_size)
        after = tokens.nexthops_after(source.epoch, request.page_token) if request.page_token else None
        response = pb.ListNexthopsResponse()

        def put(after: NexthopKey | None, most: int) -> NexthopKey | None:
            page = source.nexthops(request.vrf, after, most)
            response.nexthops.extend([_nexthop(row, source.wall) for row in page.rows])
            response.total, response.generation = page.total, page.generation
            return page.last

        after = await self._turns.pages(put, after, size)
        response.next_page_token = tokens.nexthops_token(source.epoch, after) if after else ""
        return response

    async def _explain_prefix(self, request: pb.ExplainPrefixRequest, _context: Any) -> pb.ExplainPrefixResponse:
        prefix = requests.prefix(request.prefix)
        told, wall = await self._turns.take(self._source.explain_prefix, prefix, request.vrf), self._source.wall
        return pb.ExplainPrefixResponse(
            vrf=_vrf(told.vrf),
            prefix=str(told.prefix),
            row=None if told.row is None else prefix_row(told.row, wall),
            nexthop=None if told.nexthop is None else _nexthop(told.nexthop, wall),
            routers=[_router(router, wall) for router in told.routers],
            paths=map(_path, told.paths),
            left_out=told.left_out,
            summary=told.summary,
        )


def _vrf(vrf: model.VrfStatus) -> pb.Vrf:
    return pb.Vrf(
        name=vrf.name,
        vni=vrf.vni,
        vtep=str(vrf.vtep),
        vxlan=vrf.vxlan,
        svi=vrf.svi,
        state=vrf.state,
        reasons=vrf.reasons,
        texts=vrf.texts,
        table=vrf.table,
        router_mac="" if vrf.router_mac is None else str(vrf.router_mac),
        prefixes=vrf.prefixes,
        nexthops=vrf.nexthops,
        vteps=vrf.vteps,
        conflicts=vrf.conflicts,
        limited=vrf.limited,
    )


def prefix_row(row: model.PrefixStatus, wall: Wall) -> pb.IpPrefix:
    return pb.IpPrefix(
        vrf=row.vrf,
        vni=row.vni,
        prefix=str(row.prefix),
        vteps=map(str, row.vteps),
        nexthop=row.nexthop,
        reason=row.reason,
        sync=messages.sync(row.sync, wall),
    )


def prefix_key(name: PrefixName) -> pb.PrefixKey:
    return pb.PrefixKey(vrf=name.vrf, vni=name.vni, prefix=str(name.prefix))


def _nexthop(row: model.NexthopStatus, wall: Wall) -> pb.Nexthop:
    return pb.Nexthop(
        vrf=row.vrf,
        vni=row.vni,
        id=row.id,
        vteps=map(str, row.vteps),
        ipv6=row.is_v6,
        users=row.users,
        sync=messages.sync(row.sync, wall),
    )


def _router(router: model.RouterStatus, wall: Wall) -> pb.Router:
    return pb.Router(
        vtep=str(router.vtep),
        router_mac=str(router.mac),
        others=router.others,
        conflict="" if router.conflict is None else str(router.conflict),
        sync=messages.sync(router.sync, wall),
    )


def _path(path: model.PathStatus) -> pb.PrefixPath:
    return pb.PrefixPath(
        verdict=path.verdict,
        reason=path.reason,
        text=sentence(path.reason),
        vtep=str(path.vtep),
        router_mac="" if path.router_mac is None else str(path.router_mac),
        peer=str(path.peer),
        rd=str(path.rd),
        label=path.label,
        mac="" if path.mac is None else str(path.mac),
        seq=path.seq,
        notes=path.notes,
        gateway="" if path.gateway is None else str(path.gateway),
        esi="" if path.segment is None else str(path.segment),
        local_pref=path.local_pref,
        as_path_length=path.as_path_length,
        origin=path.origin,
        med=path.med,
    )
