"""Words an explanation: one sentence says where a MAC is or where it stopped and why, another says what to do.

    received ─> imported ─> won ─> VNI bound and ready ─> written ─> kept
        │          │         │             │                 │         │
    not received  refused  (winner)  unbound, not-ready  failed,   contested,
                                                         pending   stale, frozen

`vtep.observe.explain` gathers the facts; this module only words them and decides nothing. A sentence names the peer, the
VTEP or the device that the operator must look at, and the command that repairs it, where there is one. Ages are counted
up to `now`, on the clock of the times in the explanation.
"""

import errno
import shlex
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.config.model import VniConfig
from vtep.observe.beside import changed_by_policy, difference, not_received
from vtep.observe.model import (
    CONTESTED,
    FAILED,
    INSTALLED,
    STALE,
    SUPPRESSED,
    CandidateStatus,
    Explanation,
    FeedStatus,
    MacStatus,
    OwnSegmentStatus,
    PeerStatus,
    StationStatus,
    Status,
)
from vtep.observe.reasons import advice, sentence
from vtep.observe.received import PolicyEffect

_COMMANDS: Final = {
    "bridge-down": "ip link set dev {bridge} up",
    "device-down": "ip link set dev {vxlan} up",
    "not-enslaved": "ip link set dev {vxlan} master {bridge}",
    "learning-on-device": "ip link set dev {vxlan} type vxlan nolearning",
    "learning-on-port": "bridge link set dev {vxlan} learning off",
    "local-static": "bridge fdb del {mac} dev {port} master",
    "foreign": "bridge fdb del {mac} dev {vxlan} self",
}
"""The command that repairs what a reason names, for reasons that have one."""
_COMMANDS_IN_VLAN: Final = {
    "vlan-filtering-off": "ip link set dev {bridge} type bridge vlan_filtering 1",
    "wrong-pvid": "bridge vlan add dev {vxlan} vid {vlan} pvid untagged",
    "vlan-untagged": "bridge vlan add dev {vxlan} vid {vlan}",
    "vlan-tunnel-off": "bridge link set dev {vxlan} vlan_tunnel on",
    "tunnel-mapping-missing": "bridge vlan add dev {vxlan} vid {vlan} tunnel_info id {vni}",
    "vni-not-in-filter": "bridge vni add dev {vxlan} vni {vni}",
    "local-static": "bridge fdb del {mac} dev {port} vlan {vlan} master",
}
"""Those for a VNI in a VLAN."""
_COMMANDS_ON_SHARED: Final = {
    "vlan-missing": "bridge vlan add dev {vxlan} vid {vlan}",
    "foreign": "bridge fdb del {mac} dev {vxlan} src_vni {vni} self",
    "learning-on-device": "ip link set dev {vxlan} type vxlan id 0 nolearning",
}
"""Those for a VNI whose VXLAN device is configured for others too."""

_LOST: Final = {
    "llgr-stale": "The route is long-lived stale, and the route of {winner} is not (RFC 9494).",
    "sticky": "{winner} advertises the MAC as sticky, so sequence numbers do not count.",
    "gateway": "{winner} advertises the MAC as a default gateway.",
    "higher-seq": "{winner} has a higher sequence number: the MAC moved there later.",
    "lower-vtep": "The sequence numbers are equal, and {winner} is the lower address.",
    "same-es": "The Ethernet segment is also behind {winner}, which is used.",
    "non-proxy": "This VTEP is a proxy for {winner}, which learned the station.",
    "total-order": "A fixed order chose another route of the same location.",
    "dup-frozen": "The MAC is frozen behind {winner} as a duplicate.",
}

_REASONS_MAX: Final = 3
"""How many reasons of refusal a summary names; more of them would not help."""

_VTEPS_MAX: Final = 4
"""How many VTEPs a sentence names."""


class ExplainContext(Struct, frozen=True):
    """What a sentence may name besides the explanation itself."""

    status: Status
    now: float
    vni: VniConfig | None = None
    """None where no such VNI is configured."""
    port: str = ""
    """The bridge port that has the MAC, where the row is not ours."""
    orphan: bool = False
    """The row in the kernel bears our signature, but it is not claimed."""
    underlay: tuple[str, str, str] | None = None
    """What keeps packets from the VTEP of the MAC, or from this leaf: the code, a sentence, and the command that mends it."""
    trouble: str = ""
    """Why the row is not as wanted, if it is not."""
    lasting: str = ""
    """For how long that has been so, as a part of a sentence."""
    own_segment: OwnSegmentStatus | None = None
    """The Ethernet segment of ours on which the MAC is."""
    synced: str = ""
    """What follows from that another VTEP of the segment has seen the MAC, if one has."""
    unaccepted: tuple[Ip, ...] = ()
    """The peers of which a route of the MAC was withdrawn that was never announced."""
    policy: tuple[PolicyEffect, ...] = ()
    """What peers sent of the MAC and their router's policy took out or changed."""
    knows_before: bool = False
    """Routers report what their policy took out or changed of every peer."""


def summarize(explanation: Explanation, context: ExplainContext) -> tuple[str, str]:
    """Return the summary and the advice."""
    summary, todo = _summarize(explanation, context)
    if context.own_segment is not None:
        summary += f" {_about_own_segment(context.own_segment)}"
    if context.synced:
        summary += f" {context.synced}"
    if text := changed_by_policy(context.policy):
        summary += f" {text}"
    if context.underlay is None or (explanation.desired is None and explanation.station is None):
        return summary, todo
    return with_underlay(summary, todo, *context.underlay)


def with_underlay(summary: str, todo: str, code: str, text: str, mend: str) -> tuple[str, str]:
    """Return the summary and the advice with a fault of the underlay, which is to be mended first."""
    return f"{summary} The underlay is at fault ({code}): {text}.", f"Run: {mend}.{f' {todo}' if todo else ''}"


def _summarize(explanation: Explanation, context: ExplainContext) -> tuple[str, str]:
    """Find the stage that the MAC reached. The first that applies is the answer, from the kernel back to the peers:

    another daemon writes the rows, and its row differs     what differs
    a route won                                             the row, and what keeps it from the kernel
    a station of this leaf has the MAC                      the port, and whether it is advertised
    routes came, and all were refused                       the reasons
    no route came                                           that there is no such VNI here, or what may keep a route away
    """
    desired = explanation.desired
    if (beside_us := difference(explanation, context)) is not None:
        return beside_us
    if desired is not None:
        return _about_row(explanation, desired, context)
    station = next((candidate for candidate in explanation.candidates if candidate.port), None)
    if station is not None:
        return _about_station(explanation, station, context.now)
    refused = [candidate for candidate in explanation.candidates if candidate.verdict == "refused"]
    if refused:
        return _about_refusals(explanation, refused, context)
    if context.vni is None:
        return _about_no_vni(explanation, context)
    return _about_nothing(explanation, context)


def _about_own_segment(segment: OwnSegmentStatus) -> str:
    """Say who else is on a segment of ours, and who delivers what is flooded."""
    others = _named(segment.vteps)
    shared = f"and behind {others}" if others else "and no other VTEP advertises it"
    where = f"Ethernet segment {segment.segment} is here, on port {segment.port} ({segment.state}), {shared}"
    if segment.reason:
        return f"{where}. It is not advertised ({segment.reason}): {segment.text}."
    for one in segment.vnis:
        if one.filter == "standby":
            who = "no VTEP" if one.forwarder is None or one.ours else str(one.forwarder)
            return f"{where}; our port is on standby and passes no frame of VNI {one.vni}, and {who} is the forwarder."
        if one.filter == "joining":
            return f"{where}; no flooded frame of VNI {one.vni} passes yet."
        if one.forwarder is not None:
            who = "this leaf" if one.ours else str(one.forwarder)
            return f"{where}; {who} is the designated forwarder of VNI {one.vni}."
    return f"{where}."


def _named(vteps: Sequence[Ip]) -> str:
    """Name VTEPs; of very many only the first."""
    names = [str(vtep) for vtep in vteps[:_VTEPS_MAX]]
    if len(vteps) > _VTEPS_MAX:
        names.append(f"{len(vteps) - _VTEPS_MAX} more")
    return " and ".join(names)


def verdict_text(verdict: str, reason: str, winner: Ip | None, port: str = "") -> str:
    """Say why a route, or a station that the bridge learned at a port, has its verdict.

    The sentence of a reason is written for the winner; a loser has one of its own that names the winner.
    """
    learned = f"Learned here on port {port}. " if port else ""
    if verdict == "lost" and winner is not None and reason in _LOST:
        return learned + _LOST[reason].format(winner=winner)
    return learned + sentence(reason)


def age(since: float | None, now: float) -> str:
    """Say how long ago, in the unit that fits."""
    if since is None:
        return "never"
    seconds = max(0.0, now - since)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


# A MAC that has a winner


def _about_row(explanation: Explanation, row: MacStatus, context: ExplainContext) -> tuple[str, str]:
    where = f"{_where(row)} ({row.reason})"
    also = _about_alerts(explanation, row.vtep, f"behind {row.vtep}", row.reason)
    if row.sync.state in (INSTALLED, STALE):
        there = f"{where}: {_installed(explanation, row, context)}"
        if row.sync.state == STALE:
            return f"{there}, and stale: {_why_stale(row, context.status.feed)}.{also}", advice("stale")
        return f"{there}.{also}", " ".join(_advice_for_alert(alert, explanation) for alert in row.alerts[:1])
    what, todo = _about_obstacle(explanation, row, context)
    return f"{where}, but {what}.{also}", todo


def _installed(explanation: Explanation, row: MacStatus, context: ExplainContext) -> str:
    device = "" if context.vni is None else f" on {context.vni.vxlan}"
    verified = age(explanation.kernel.seen, context.now)
    if explanation.kernel.state == "foreign":
        return (
            f"in sync: {explanation.kernel.holder} has it{device}, as wanted since {age(row.sync.since, context.now)}"
        )
    return f"installed{device} {age(row.sync.since, context.now)}, verified {verified}"


def _where(row: MacStatus) -> str:
    """Say behind which VTEPs a MAC is."""
    if not row.vteps:
        return f"Behind {row.vtep}"
    if len(row.vteps) == 1:
        return f"On segment {row.segment}, behind {row.vtep}"
    vteps = f"{', '.join(map(str, row.vteps[:-1]))} and {row.vteps[-1]}"
    return f"On segment {row.segment}, behind {vteps}, which share the frames by IP addresses and ports"


def _why_stale(row: MacStatus, feed: FeedStatus) -> str:
    peer = next((peer for peer in feed.peers if peer.address == row.peer), None)
    is_routers = bool(feed.bmp) and (not feed.exabgp or (peer is not None and peer.feed == "bmp"))
    if feed.is_router_away if is_routers else feed.is_exabgp_away:
        away = "no router reports by BMP" if is_routers else "ExaBGP is not connected to the feed socket"
        return f"{away}, and peer {row.peer} advertised it before"
    if peer is None or not peer.up:
        reason = f" ({peer.reason})" if peer is not None and peer.reason else ""
        return f"peer {row.peer}, which advertised it, is down{reason}"
    return f"peer {row.peer} is back, and has not advertised it again yet"


def _about_obstacle(explanation: Explanation, row: MacStatus, context: ExplainContext) -> tuple[str, str]:
    """Say what keeps a row from being in the kernel as wanted, and what to do.

    contested   someone else has it: remove that, if it should not be there
    failed      the kernel refused it for now: wait, or give it what it lacks
    suppressed  it is not tried again by itself: repair the cause, then `vtep resync`
    pending     the VNI is not ready, the picture is incomplete, or the next pass writes it
    """
    sync = row.sync
    reason = sync.reason
    if sync.state == CONTESTED:
        holder = sync.text or sentence(reason)
        return f"contested ({reason}): {holder} has the row and keeps it", _repair(reason, explanation, context)
    if sync.state == FAILED:
        due = "" if sync.next_try is None else f"; next try in {max(0.0, sync.next_try - context.now):.1f} s"
        return f"failed ({reason}): {_refused(row)}{due}", advice(reason)
    if sync.state == SUPPRESSED:
        return _about_suppressed(row, context)
    if reason == "not-ready":
        return f"pending: {_not_ready(explanation, context)}", _advice_for_vni(explanation, context)
    if reason == "held":
        return f"held: its row stays as it was until the picture is complete ({context.status.why})", advice("held")
    if reason:
        return f"pending ({reason}){f': {sync.text}' if sync.text else ''}", advice(reason)
    return "pending: it is being written", ""


def _about_suppressed(row: MacStatus, context: ExplainContext) -> tuple[str, str]:
    sync, dataplane = row.sync, context.status.dataplane
    if sync.reason == "unbound":
        return (
            f"not programmed (unbound): VNI {row.vni} has no bridge here",
            f"Set `bridge` and `vxlan` of `[[vni]]` {row.vni}.",
        )
    text = f"suppressed ({sync.reason}): {_refused(row)}"
    if dataplane.state == "off":
        return text, "Give the daemon CAP_NET_ADMIN, and start it again."
    return text, f"{advice(sync.reason)} Then run `vtep resync`: it tries again."


def _refused(row: MacStatus) -> str:
    """Name what the kernel answered, with the name of its errno, which can be looked up."""
    name = errno.errorcode.get(row.sync.errno, "")
    return "the kernel refused it: " + ": ".join(filter(None, (name, row.sync.text)))


def _not_ready(explanation: Explanation, context: ExplainContext) -> str:
    """Name the devices, and what is wrong with them."""
    what = f"VNI {explanation.vni}"
    if context.vni is not None:
        what += f" on bridge {context.vni.bridge} and device {context.vni.vxlan}"
    reasons = explanation.vni_reasons
    if not reasons:
        return f"{what} is not ready"
    return f"{what} is not ready: " + "; ".join(f"{_clause(sentence(reason))} ({reason})" for reason in reasons)


def _advice_for_vni(explanation: Explanation, context: ExplainContext) -> str:
    return " ".join(filter(None, (_repair(reason, explanation, context) for reason in explanation.vni_reasons)))


def _repair(reason: str, explanation: Explanation, context: ExplainContext) -> str:
    """Return the advice for a reason, with its command if there is one and every name in it is known."""
    vni = context.vni
    names = {
        "mac": str(explanation.mac),
        "port": context.port,
        "bridge": "" if vni is None else vni.bridge,
        "vxlan": "" if vni is None else vni.vxlan,
        "vni": "" if vni is None else str(vni.vni),
        "vlan": "" if vni is None or vni.vlan is None else str(vni.vlan),
    }
    template = _COMMANDS.get(reason)
    if vni is not None and vni.vlan is not None:
        template = _COMMANDS_IN_VLAN.get(reason, template)
        template = _COMMANDS_ON_SHARED.get(reason, template) if vni.shares_vxlan else template
    if template is None or any(f"{{{name}}}" in template and not value for name, value in names.items()):
        return advice(reason)
    # A device may be called `$(reboot)`, and an operator will paste this line into a shell.
    command = f"`{template.format(**{name: shlex.quote(value) for name, value in names.items()})}`"
    if reason in ("local-static", "foreign"):
        return f"{advice(reason).rstrip('.')}: {command}."
    return f"Run {command}."


# Alerts


def _about_alerts(explanation: Explanation, vtep: Ip, where: str, reason: str = "") -> str:
    """Return what to append about alerts, for a MAC that is behind `vtep`; `where` is that in words."""
    texts = []
    alerts = explanation.alerts
    between = _vteps(explanation) or str(vtep)
    if reason == "dup-frozen" or "dup-frozen" in alerts:
        frozen = f"Duplicate: frozen {where} after {explanation.moves} moves, advertised by {between}."
        texts.append(" ".join(filter(None, (frozen, _without_freeze(explanation)))))
    elif "dup-warn" in alerts:
        texts.append(f"Duplicate: it moved {explanation.moves} times recently, between {between}.")
    texts += [f"{sentence(alert)} ({alert})" for alert in alerts if not alert.startswith("dup-")]
    return "".join(f" {text}" for text in texts)


def _without_freeze(explanation: Explanation) -> str:
    """Say where a frozen MAC would be otherwise, if that is another location."""
    other = next((one for one in explanation.candidates if (one.verdict, one.reason) == ("lost", "dup-frozen")), None)
    if other is None:
        return ""
    return f"Without that it would be {f'here, on port {other.port}' if other.port else f'behind {other.vtep}'}."


def _advice_for_alert(alert: str, explanation: Explanation) -> str:
    if not alert.startswith("dup-"):
        return advice(alert)
    where = _vteps(explanation)
    find = f"Find the duplicate or the loop behind {where}" if where else "Find the duplicate or the loop"
    return f"{find}, then run `vtep clear-duplicate {explanation.mac}`."


def _vteps(explanation: Explanation) -> str:
    """Name the VTEPs whose routes may win or that had the MAC lately, the lowest first; of very many only the first."""
    found = {candidate.vtep for candidate in explanation.candidates if candidate.verdict != "refused"}
    found.update(explanation.moved_between)
    names = [str(vtep) for vtep in sorted(found, key=lambda vtep: vtep.order)]
    if len(names) > _VTEPS_MAX:
        names[_VTEPS_MAX:] = [f"{len(names) - _VTEPS_MAX + explanation.candidates_left_out} more"]
    return " and ".join(names)


# A MAC that is here


def _about_station(explanation: Explanation, station: CandidateStatus, now: float) -> tuple[str, str]:
    is_here = station.verdict == "won"
    also = _about_alerts(explanation, station.vtep, "here" if is_here else "elsewhere")
    todo = " ".join(_advice_for_alert(alert, explanation) for alert in explanation.alerts[:1])
    if not is_here:
        return f"{station.text} It is not advertised ({station.reason}).{also}", todo or advice(station.reason)
    how = "as sticky" if station.sticky else f"with sequence number {station.seq}"
    ours = explanation.station
    where = f"Here, on port {station.port} ({station.reason})"
    if ours is None or ours.state == "not-advertised":
        why = f", but it is not yet: {ours.reason}" if ours is not None and ours.reason else ""
        return f"{where}: to be advertised {how}{why}.{also}", todo
    return f"{where}: {_how_far(explanation, ours, how, now)}.{also}", todo


def _how_far(explanation: Explanation, station: StationStatus, how: str, now: float) -> str:
    """Say how far the speaker and the peers know a station."""
    if station.state != "confirmed":
        why = f": {station.reason}" if station.reason else ""
        words = {"refused": ", but ExaBGP refused that", "sent": ", but ExaBGP has not answered yet"}
        return f"to be advertised {how}{words.get(station.state, '')}{why}"
    when = f" {age(station.since, now)}" if station.since is not None else ""
    if not explanation.advertised_to:
        return f"advertised {how}, which ExaBGP confirmed{when}, but to no peer: no session is established"
    peers = ", ".join(map(str, explanation.advertised_to))
    return f"advertised {how} to {peers}; ExaBGP confirmed it{when}"


# A MAC that has none


def _about_refusals(
    explanation: Explanation, refused: Sequence[CandidateStatus], context: ExplainContext
) -> tuple[str, str]:
    first = {candidate.reason: candidate for candidate in reversed(refused)}
    reasons = list(dict.fromkeys(candidate.reason for candidate in refused))[:_REASONS_MAX]
    text = " ".join(
        f"{'Refused' if not at else 'Also refused'} ({reason}): {_clause(sentence(reason))}. "
        f"{_offered(first[reason])}{_against(reason, context)}."
        for at, reason in enumerate(reasons)
    )
    left = " Its row is still held." if explanation.ownership != "none" else ""
    todo = " ".join(filter(None, (advice(reason) for reason in reasons)))
    where = "" if context.vni is not None or not explanation.vni else f"{_not_configured(explanation)} "
    return where + text + left, todo


def _offered(candidate: CandidateStatus) -> str:
    """Say which peer advertised it, and with what."""
    targets = " ".join(map(str, candidate.targets)) or "none"
    attributes = f"next hop {candidate.vtep}, label {candidate.label}, Route Targets {targets}"
    return f"Peer {candidate.peer} advertised it with {attributes}"


def _against(reason: str, context: ExplainContext) -> str:
    """Say what the route was compared with, if our configuration decides that."""
    if reason in ("rt-mismatch", "rt-missing") and context.vni is not None:
        return f"; VNI {context.vni.vni} imports {' '.join(context.vni.imports.texts)}"
    return ""


def _about_no_vni(explanation: Explanation, context: ExplainContext) -> tuple[str, str]:
    """Word a VNI that is not configured, or that a reload removed while the ledger still has rows of it."""
    text, todo = _not_configured(explanation), "Add the VNI if it belongs here."
    if explanation.ownership == "none":
        return text, todo
    return f"{text} Its row is still held{_until_complete(context.status)}.", todo


def _not_configured(explanation: Explanation) -> str:
    return f"VNI {explanation.vni} is not configured here." if explanation.vni else "No VNI is configured here."


def _until_complete(status: Status) -> str:
    return "" if status.complete else f" until the picture is complete ({status.why})"


def _about_nothing(explanation: Explanation, context: ExplainContext) -> tuple[str, str]:
    status, kernel = context.status, explanation.kernel
    if explanation.ownership != "none" and status.complete and explanation.vni_state == "not-ready":
        text = f"No longer advertised; its row is held until the VNI is ready: {_not_ready(explanation, context)}."
        return text, _advice_for_vni(explanation, context)
    if explanation.ownership != "none":
        return f"No longer advertised; its row is held{_until_complete(status)}.", advice("held")
    if kernel.state == "foreign":
        return _about_foreign(explanation, context)
    if status.feed.bmp and (found := not_received(explanation, context)) is not None:
        return found
    if status.feed.is_exabgp_away:
        return (
            "Not received: ExaBGP is not connected to the feed socket.",
            "Check that ExaBGP runs, and that its configuration starts `vtep relay`.",
        )
    down = [_peer_down(peer) for peer in status.feed.peers if not peer.up]
    if down:
        look = "Look at the BGP session: its peer may be the one that advertises the MAC."
        return f"Not received: {'; '.join(down)}.", look
    if not status.complete:
        return f"Not received yet: {status.why}.", ""
    over = [f"{peer.address} ({peer.limited} routes)" for peer in status.feed.peers if peer.limited]
    if over:
        what = f"Not received, or refused because a peer exceeds `routes_per_peer`: {', '.join(over)}."
        return what, "Look for a flood of routes, or raise `limits.routes_per_peer`."
    return "Not received: no peer advertises it.", "Check that the far end has learned it and advertises it."


def _about_foreign(explanation: Explanation, context: ExplainContext) -> tuple[str, str]:
    """Word a MAC that the kernel has and no peer advertises."""
    if context.port and context.vni is not None and context.port != context.vni.vxlan:
        return f"No peer advertises it: it is on a port of this leaf ({explanation.kernel.holder}).", ""
    todo = "If it is not needed, run `vtep adopt`: it claims the row and removes it." if context.orphan else ""
    return f"No peer advertises it, but the kernel has {explanation.kernel.holder}.", todo


def _peer_down(peer: PeerStatus) -> str:
    return f"peer {peer.address} is down" + (f" ({peer.reason})" if peer.reason else "")


def _clause(text: str) -> str:
    """Return a sentence in a form that can be a part of another one."""
    text = text.removesuffix(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
