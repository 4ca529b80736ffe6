"""What the API answers about Ethernet segments, remote ones and ours. Knows the door to the daemon (`Source`) and the messages."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from vtep.api import tokens
from vtep.api.grpc import messages, requests
from vtep.api.grpc.messages import Wall
from vtep.intent import GroupKey
from vtep.observe import model
from vtep.observe.reasons import sentence
from vtep.observe.source import Source
from vtep.observe.turns import Turns
from vtep.v1 import vtep_pb2 as pb


class SegmentCalls:
    """The calls about segments."""

    def __init__(self, source: Source, turns: Turns) -> None:
        self._source = source
        self._turns = turns

    @property
    def handlers(self) -> Mapping[str, Callable[[Any, Any], Awaitable[Any]]]:
        return {"ListSegments": self._list_segments}

    async def _list_segments(self, request: pb.ListSegmentsRequest, _context: Any) -> pb.ListSegmentsResponse:
        source, size = self._source, requests.page_size(request.page_size)
        vni, segment = requests.vni(request.vni), requests.esi(request.esi)
        after = tokens.segments_after(source.epoch, request.page_token) if request.page_token else None
        response = pb.ListSegmentsResponse()
        if not request.page_token:
            own = await self._turns.take(source.own_segments, vni, segment)
            response.own.extend([_own(row, source.wall) for row in own])

        def put(after: GroupKey | None, most: int) -> GroupKey | None:
            page = source.segments(vni, segment, after, most)
            response.segments.extend([_group(row, source.wall) for row in page.rows])
            response.total, response.generation = page.total, page.generation
            return page.last

        after = await self._turns.pages(put, after, size)
        response.next_page_token = tokens.segments_token(source.epoch, after) if after else ""
        return response


def _group(row: model.SegmentStatus, wall: Wall) -> pb.SegmentGroup:
    group = row.group
    return pb.SegmentGroup(
        esi=str(group.segment),
        vni=group.vni,
        single_active=group.single_active,
        vteps=map(str, group.members),
        primary="" if group.primary is None else str(group.primary),
        backup="" if group.backup is None else str(group.backup),
        macs=group.macs,
        group=group.number,
        outside=[
            pb.OutsideVtep(vtep=str(one.vtep), reason=one.reason, text=sentence(one.reason)) for one in group.outside
        ],
        notes=group.notes,
        sync=messages.sync(row.sync, wall),
    )


def _own(row: model.OwnSegmentStatus, wall: Wall) -> pb.OwnSegment:
    return pb.OwnSegment(
        esi=str(row.segment),
        port=row.port,
        state=row.state,
        reason=row.reason,
        text=row.text,
        vteps=map(str, row.vteps),
        vnis=[
            pb.OwnSegmentVni(
                vni=one.vni,
                port=one.port,
                forwarder="" if one.forwarder is None else str(one.forwarder),
                ours=one.ours,
                filter=one.filter,
                sync=messages.sync(one.sync, wall),
            )
            for one in row.vnis
        ],
        vnis_left_out=row.left_out,
    )
