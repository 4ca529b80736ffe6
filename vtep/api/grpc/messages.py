"""Status values as the API's messages: one function for each, named as the message is.

Knows the model and the messages, and nothing else. `wall` turns times of the daemon's clock into times of day.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from vtep.addr import NO_SEGMENT, Ip, Mac
from vtep.intent import RowKey
from vtep.observe import model
from vtep.observe.history import HistoryEntry
from vtep.observe.model import DeviceExplanation, DeviceWrite
from vtep.observe.problems import Problem, Refusals
from vtep.v1 import vtep_pb2 as pb

Wall: TypeAlias = Callable[[float], float]

STATES: Final = {
    model.PENDING: pb.SYNC_STATE_PENDING,
    model.INSTALLED: pb.SYNC_STATE_INSTALLED,
    model.FAILED: pb.SYNC_STATE_FAILED,
    model.CONTESTED: pb.SYNC_STATE_CONTESTED,
    model.STALE: pb.SYNC_STATE_STALE,
    model.SUPPRESSED: pb.SYNC_STATE_SUPPRESSED,
}


def get_status_response(status: model.Status, wall: Wall) -> pb.GetStatusResponse:
    return pb.GetStatusResponse(
        version=status.version,
        started=_time(status.started, wall),
        ready=status.ready,
        problems=status.problems,
        generation=status.generation,
        generation_applied=status.dataplane.generation,
        complete=status.complete,
        complete_reason=status.why,
        feed=_feed(status.feed, wall),
        dataplane=_dataplane(status.dataplane, wall),
        kinds=[_kind_counts(kind, counts) for kind, counts in status.kinds.items()],
        admin_addresses=status.admin,
        announcing=_announcing(status.announcing, wall),
        warnings=status.warnings,
        state=status.state,
        problem_list=map(_problem, status.all_problems),
        refusals=map(_refusals, status.refusals),
        devices=[pb.DeviceTrouble(device=name, reason=why) for name, why in sorted(status.devices.items())],
    )


def _problem(problem: Problem) -> pb.Problem:
    return pb.Problem(
        weight=problem.weight, code=problem.code, text=problem.text, hint=problem.hint, count=problem.count
    )


def _refusals(refused: Refusals) -> pb.Refusals:
    return pb.Refusals(peer=refused.peer, vni=refused.vni, reason=refused.reason, routes=refused.routes)


def _announcing(announcing: model.AdvertisingStatus, wall: Wall) -> pb.Announcing:
    return pb.Announcing(
        state=announcing.state,
        reason=announcing.why,
        wanted=announcing.wanted,
        told=announcing.told,
        waiting=announcing.waiting,
        refused=announcing.refused,
        error=announcing.error,
        since=_time(announcing.since, wall),
        left_out=announcing.left_out,
    )


def _feed(feed: model.FeedStatus, wall: Wall) -> pb.Feed:
    return pb.Feed(
        attached=feed.attached,
        lines=feed.lines,
        bad_lines=feed.bad_lines,
        gaps=feed.gaps,
        backlog=feed.backlog,
        last_line=_time(feed.last_line, wall),
        peers=len(feed.peers),
        peers_up=sum(peer.up for peer in feed.peers),
        peers_ended=sum(peer.ended for peer in feed.peers),
        form=feed.form,
        reporters=[
            pb.Reporter(
                name=one.name,
                address=one.address,
                description=one.description,
                peers=one.peers,
                ignored=_ignored(one.ignored),
            )
            for one in feed.reporters
        ],
        ignored=_ignored(feed.ignored),
    )


def _ignored(counts: Mapping[str, int]) -> list[pb.IgnoredMessages]:
    return [pb.IgnoredMessages(why=why, messages=count) for why, count in sorted(counts.items())]


def _dataplane(dataplane: model.DataplaneStatus, wall: Wall) -> pb.Dataplane:
    return pb.Dataplane(
        state=dataplane.state,
        reason=dataplane.why,
        passes=dataplane.passes,
        audited=_time(dataplane.audited, wall),
        overruns=dataplane.overruns,
        repaired=dataplane.repaired,
        held=dataplane.troubles.get("held", 0),
        orphans=dataplane.orphans,
    )


def _kind_counts(kind: str, counts: model.Counts) -> pb.KindCounts:
    return pb.KindCounts(
        kind=kind,
        wanted=counts.wanted,
        installed=counts.installed,
        pending=counts.pending,
        failed=counts.failed,
        contested=counts.contested,
        suppressed=counts.suppressed,
    )


def vni(vni: model.VniStatus) -> pb.Vni:
    return pb.Vni(
        vni=vni.vni,
        bridge=vni.bridge,
        vxlan=vni.vxlan,
        vtep=str(vni.vtep),
        state=vni.state,
        reasons=vni.reasons,
        notes=vni.notes,
        import_rt=vni.import_rt,
        export_rt=vni.export_rt,
        macs=_kind_counts("mac", vni.macs),
        vteps=vni.vteps,
        neighbors=vni.neighbors,
        macs_stale=vni.macs_stale,
        duplicates=vni.duplicates,
        refused=vni.refused,
    )


def mac(row: model.MacStatus, wall: Wall) -> pb.Mac:
    return pb.Mac(
        vni=row.vni,
        mac=str(row.mac),
        vtep=str(row.vtep),
        vtep_vni=row.vtep_vni or 0,
        reason=row.reason,
        seq=row.seq,
        sticky=row.sticky,
        stale=row.stale,
        peer=str(row.peer),
        rd=str(row.rd),
        esi=_text(row.segment),
        notes=row.notes,
        alerts=row.alerts,
        sync=sync(row.sync, wall),
        vteps=map(str, row.vteps),
    )


def mac_key(key: RowKey) -> pb.MacKey:
    return pb.MacKey(vni=key[0], mac=str(key[1]))


def vtep(vtep: model.VtepStatus, wall: Wall) -> pb.Vtep:
    return pb.Vtep(
        vni=vtep.vni,
        vtep=str(vtep.vtep),
        macs=vtep.macs,
        flood=vtep.flood,
        sync=sync(vtep.sync, wall) if vtep.sync else None,
        notes=vtep.notes,
    )


def neighbor(row: model.NeighborStatus, wall: Wall) -> pb.Neighbor:
    return pb.Neighbor(
        vni=row.vni,
        ip=str(row.ip),
        mac=str(row.mac),
        router=row.router,
        peer=str(row.peer),
        rd=str(row.rd),
        alerts=row.alerts,
        sync=sync(row.sync, wall),
    )


def peer(peer: model.PeerStatus, refused: int, wall: Wall) -> pb.Peer:
    return pb.Peer(
        address=str(peer.address),
        up=peer.up,
        ended=peer.ended,
        reason=peer.reason,
        routes=peer.routes,
        stale=peer.stale,
        limited=peer.limited,
        refresh=peer.refresh,
        opened=_time(peer.opened, wall),
        since=_time(peer.since, wall),
        refused=refused,
        held=peer.held,
        asn=peer.asn,
        router_id=peer.router_id,
        hold_time=peer.hold_time_s,
        families=peer.families,
        messages=peer.messages,
        error=peer.error,
        form=peer.form,
        feed=peer.feed,
    )


def route(row: model.RouteStatus, wall: Wall) -> pb.Route:
    return pb.Route(
        advertised=row.advertised,
        type=row.type,
        peer=_text(row.peer),
        rd=str(row.rd),
        tag=row.tag,
        mac=_text(row.mac),
        ip=_text(row.ip),
        prefix=row.prefix,
        esi="" if row.esi == NO_SEGMENT else str(row.esi),
        originator=_text(row.originator),
        vtep=_text(row.vtep),
        label=row.label,
        label2=row.label2 or 0,
        seq=row.seq,
        sticky=row.sticky,
        route_targets=map(str, row.targets),
        attributes=row.attributes,
        state=row.state,
        verdicts=[
            pb.RouteVerdict(vni=one.vni, verdict=one.verdict, reason=one.reason, text=one.text) for one in row.verdicts
        ],
        since=_time(row.since, wall),
        received_before=_time(row.received_before, wall),
        error=row.error,
    )


def station(row: model.StationStatus, wall: Wall) -> pb.Station:
    return pb.Station(
        vni=row.vni,
        mac=str(row.mac),
        port=row.port,
        vlan=row.vlan or 0,
        ips=map(str, row.hosts),
        seq=row.seq,
        sticky=row.sticky,
        gateway=row.gateway,
        state=row.state,
        reason=row.reason,
        since=_time(row.since, wall),
        vtep=_text(row.vtep),
    )


def explanation(told: model.Explanation, events: Iterable[HistoryEntry], wall: Wall) -> pb.Explanation:
    """Return the message without its candidates, which may be many."""
    return pb.Explanation(
        vni=told.vni,
        mac=str(told.mac),
        summary=told.summary,
        advice=told.advice,
        desired=mac(told.desired, wall) if told.desired else None,
        ownership=pb.Ownership(state=told.ownership, since=_time(told.owned_since, wall)),
        kernel=pb.KernelRow(
            state=told.kernel.state,
            vtep=_text(told.kernel.vtep),
            holder=told.kernel.holder,
            seen=_time(told.kernel.seen, wall),
        ),
        alerts=told.alerts,
        moves=told.moves,
        duplicate_since=_time(told.duplicate_since, wall),
        vni_state=told.vni_state,
        vni_reasons=told.vni_reasons,
        events=[event(entry, wall) for entry in events],
        candidates_left_out=told.candidates_left_out,
        station=None if told.station is None else station(told.station, wall),
        advertised_to=map(str, told.advertised_to) if told.station is not None else (),
    )


def host_explanation(told: model.HostExplanation, wall: Wall) -> pb.HostExplanation:
    return pb.HostExplanation(
        vni=told.vni,
        ip=str(told.ip),
        summary=told.summary,
        advice=told.advice,
        mac=_text(told.mac),
        vtep=_text(told.vtep),
        neighbor=neighbor(told.neighbor, wall) if told.neighbor else None,
        station=station(told.station, wall) if told.station else None,
        routes=[route(row, wall) for row in told.routes],
        refusals=[pb.RefusedHost(mac=str(mac), peer=str(peer), reason=reason) for mac, peer, reason in told.refusals],
        answers=told.answers,
        vni_state=told.vni_state,
        vni_reasons=told.vni_reasons,
    )


def device_explanation(told: DeviceExplanation, wall: Wall) -> pb.ExplainDeviceResponse:
    return pb.ExplainDeviceResponse(
        device=told.device,
        summary=told.summary,
        advice=told.advice,
        owner=told.owner,
        since=_time(told.since, wall),
        wanted=told.wanted,
        there=told.there,
        alias=told.alias,
        differences=[
            pb.DeviceDifference(
                what=one.what,
                command=one.command,
                state=one.state,
                why=one.why,
                next_try=_time(one.next_try, wall),
            )
            for one in told.differences
        ],
        right=told.right,
        vnis=told.vnis,
        vnis_left_out=told.vnis_left_out,
        faults=told.faults,
        written=_device_write(told.written, wall),
        refused=_device_write(told.refused, wall),
    )


def _device_write(write: DeviceWrite | None, wall: Wall) -> pb.DeviceWrite | None:
    if write is None:
        return None
    return pb.DeviceWrite(time=_time(write.time, wall), command=write.command, errno=write.errno, error=write.error)


def candidate(candidate: model.CandidateStatus, wall: Wall) -> pb.Candidate:
    return pb.Candidate(
        vtep=str(candidate.vtep),
        verdict=candidate.verdict,
        reason=candidate.reason,
        text=candidate.text,
        seq=candidate.seq,
        sticky=candidate.sticky,
        stale=candidate.stale,
        peer=str(candidate.peer),
        rd=str(candidate.rd),
        ip=_text(candidate.ip),
        esi="" if candidate.segment == NO_SEGMENT else str(candidate.segment),
        label=candidate.label,
        route_targets=map(str, candidate.targets),
        notes=candidate.notes,
        vni=candidate.vni,
        since=_time(candidate.since, wall),
        received_before=_time(candidate.received_before, wall),
    )


def event(entry: HistoryEntry, wall: Wall) -> pb.Event:
    return pb.Event(
        number=entry.number,
        time=_time(entry.time, wall),
        generation=entry.generation,
        kind=entry.kind,
        vni=entry.vni or 0,
        mac=_text(entry.mac),
        vtep=_text(entry.vtep),
        vtep_before=_text(entry.vtep_before),
        peer=_text(entry.peer),
        reason=entry.reason,
        text=entry.text,
        key=entry.key,
    )


def diff_response(comparison: model.Comparison, wall: Wall) -> pb.DiffResponse:
    return pb.DiffResponse(
        differences=[_difference(difference, wall) for difference in comparison.differences],
        left_out=comparison.left_out,
        compared=comparison.compared,
        generation=comparison.generation,
    )


def _difference(difference: model.Difference, wall: Wall) -> pb.Difference:
    return pb.Difference(
        kind=difference.kind,
        vni=difference.vni,
        key=difference.key,
        difference=difference.difference,
        wanted=difference.wanted,
        there=difference.there,
        reason=difference.reason,
        text=difference.text,
        since=_time(difference.since, wall),
    )


def orphan(row: tuple[int, Mac, Ip | None]) -> str:
    """Spell a row that was adopted, as AdoptResponse does."""
    return " ".join(str(word) for word in row if word is not None)


def sync(sync: model.Sync, wall: Wall) -> pb.Sync:
    return pb.Sync(
        state=STATES[sync.state],
        reason=sync.reason,
        error=sync.text,
        errno=sync.errno,
        next_try=_time(sync.next_try, wall),
        since=_time(sync.since, wall),
        generation=sync.generation,
    )


def _time(time: float | None, wall: Wall) -> Timestamp | None:
    if time is None:
        return None
    micros = round(wall(time) * 1e6)
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def _text(value: object | None) -> str:
    return "" if value is None else str(value)
