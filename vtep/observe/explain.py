"""One sentence about one MAC: where it is, or at which stage it stopped and why. And one about what to do.

    heard ─> imported ─> won ─> VNI bound and ready ─> written ─> kept
      │         │         │             │                │         │
    not-heard  refused   (who won)   unbound, not-ready  failed,  contested,
                                                         pending  stale, frozen

Reads what is told of the MAC anyway, and decides nothing. Names the peer, the VTEP and the device that somebody has to go
to, and the command where there is one. Ages are against `now`, on the clock of the times it is given.
"""

import errno
import shlex
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.config.model import VniConfig
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
    PeerStatus,
    Status,
)
from vtep.observe.reasons import advice, sentence

_MENDS: Final = {
    "bridge-down": "ip link set dev {bridge} up",
    "device-down": "ip link set dev {vxlan} up",
    "not-enslaved": "ip link set dev {vxlan} master {bridge}",
    "learning-on-device": "ip link set dev {vxlan} type vxlan nolearning",
    "learning-on-port": "bridge link set dev {vxlan} learning off",
    "local-static": "bridge fdb del {mac} dev {port} master",
    "foreign": "bridge fdb del {mac} dev {vxlan} self",
}
"""What an operator would type, where a reason has one command that mends it."""

_LOST: Final = {
    "llgr-stale": "It is long-lived stale, and that of {winner} is not (RFC 9494).",
    "sticky": "{winner} says that the MAC is sticky there, whatever the sequence.",
    "gateway": "{winner} says that the MAC is a default gateway there.",
    "higher-seq": "{winner} has a higher sequence: the MAC moved there later.",
    "lower-vtep": "The sequences are equal, and {winner} is the lower address.",
    "same-es": "The Ethernet segment is also behind {winner}, which is used.",
    "non-proxy": "It stands in for {winner}, which heard the station.",
    "total-order": "Another route of the same place speaks for it.",
    "dup-frozen": "The MAC is frozen behind {winner} as a duplicate.",
}

_REASONS_MAX: Final = 3
"""Reasons that are told of one MAC; more of them say no more."""


class ExplainContext(Struct, frozen=True):
    """What a sentence may name besides what is told of the MAC."""

    status: Status
    now: float
    vni: VniConfig | None = None
    """None where no such VNI is configured."""
    port: str = ""
    """The bridge port that has the MAC, where the row is not ours."""
    orphan: bool = False
    """The row that is there bears our mark, and nobody claims it."""


def summarize(explanation: Explanation, context: ExplainContext) -> tuple[str, str]:
    """Return the summary and the advice."""
    desired = explanation.desired
    if desired is not None:
        return _about_row(explanation, desired, context)
    station = next((candidate for candidate in explanation.candidates if candidate.port), None)
    if station is not None:
        return _about_station(explanation, station)
    refused = [candidate for candidate in explanation.candidates if candidate.verdict == "refused"]
    if refused:
        return _about_refusals(explanation, refused, context)
    if context.vni is None:
        return _about_no_vni(explanation, context)
    return _about_nothing(explanation, context)


def verdict_text(verdict: str, reason: str, winner: Ip | None, port: str = "") -> str:
    """Say why a route has its verdict, or a station that was heard at a port: who lost by a rule reads it otherwise."""
    heard = f"Heard here on port {port}. " if port else ""
    if verdict == "lost" and winner is not None and reason in _LOST:
        return heard + _LOST[reason].format(winner=winner)
    return heard + sentence(reason)


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
    where = f"Behind {row.vtep} ({row.reason})"
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
    return f"installed{device} {age(row.sync.since, context.now)}, verified {verified}"


def _why_stale(row: MacStatus, feed: FeedStatus) -> str:
    if not feed.attached:
        return f"ExaBGP is not connected to the feed socket, and peer {row.peer} told of it before"
    peer = next((peer for peer in feed.peers if peer.address == row.peer), None)
    if peer is None or not peer.up:
        reason = f" ({peer.reason})" if peer is not None and peer.reason else ""
        return f"peer {row.peer}, which told of it, is down{reason}"
    return f"peer {row.peer} came back, and has not told of it again so far"


def _about_obstacle(explanation: Explanation, row: MacStatus, context: ExplainContext) -> tuple[str, str]:
    """Say what keeps a row from being there as wanted, and what to do."""
    sync = row.sync
    reason = sync.reason
    if sync.state == CONTESTED:
        holder = sync.text or sentence(reason)
        return f"contested ({reason}): {holder} has the place, and keeps it", _mended(reason, explanation, context)
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
            f"Give `[[vni]]` {row.vni} a bridge and a vxlan.",
        )
    said = f"suppressed ({sync.reason}): {_refused(row)}"
    if dataplane.state == "off":
        return said, "Give the daemon CAP_NET_ADMIN, and start it again."
    return said, f"{advice(sync.reason)} Then `vtep resync` tries again."


def _refused(row: MacStatus) -> str:
    """Tell what the kernel answered; its own number says most to whoever looks it up."""
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
    return " ".join(filter(None, (_mended(reason, explanation, context) for reason in explanation.vni_reasons)))


def _mended(reason: str, explanation: Explanation, context: ExplainContext) -> str:
    """Return the advice for a reason, with its command where there is one and the names for it are known."""
    vni = context.vni
    names = {
        "mac": str(explanation.mac),
        "port": context.port,
        "bridge": "" if vni is None else vni.bridge,
        "vxlan": "" if vni is None else vni.vxlan,
    }
    template = _MENDS.get(reason)
    if template is None or any(f"{{{name}}}" in template and not value for name, value in names.items()):
        return advice(reason)
    # Linux lets a device be called `$(reboot)`, and this line is there to be typed.
    command = f"`{template.format(**{name: shlex.quote(value) for name, value in names.items()})}`"
    if reason in ("local-static", "foreign"):
        return f"{advice(reason).rstrip('.')}: {command}"
    return f"Mend it: {command}"


# Alerts


def _about_alerts(explanation: Explanation, place: Ip, where: str, reason: str = "") -> str:
    """Append what a person should know beside the state of a MAC that is at a place, in words."""
    said = []
    alerts = explanation.alerts
    between = " and ".join(_vteps(explanation)) or str(place)
    if reason == "dup-frozen" or "dup-frozen" in alerts:
        said.append(f"Duplicate: frozen {where} after {explanation.moves} moves, claimed by {between}.")
    elif "dup-warn" in alerts:
        said.append(f"Duplicate: it moved {explanation.moves} times lately, between {between}.")
    said += [f"{sentence(alert)} ({alert})" for alert in alerts if not alert.startswith("dup-")]
    return "".join(f" {text}" for text in said)


def _advice_for_alert(alert: str, explanation: Explanation) -> str:
    if not alert.startswith("dup-"):
        return advice(alert)
    where = " and ".join(_vteps(explanation))
    find = f"Find the duplicate or the loop behind {where}" if where else "Find the duplicate or the loop"
    return f"{find}, then `vtep clear-duplicate {explanation.mac}`"


def _vteps(explanation: Explanation) -> list[str]:
    """Return the VTEPs that could have it, lowest first."""
    found = {candidate.vtep for candidate in explanation.candidates if candidate.verdict != "refused"}
    return [str(vtep) for vtep in sorted(found, key=lambda vtep: vtep.order)]


# A MAC that is here


def _about_station(explanation: Explanation, station: CandidateStatus) -> tuple[str, str]:
    is_here = station.verdict == "won"
    also = _about_alerts(explanation, station.vtep, "here" if is_here else "elsewhere")
    todo = " ".join(_advice_for_alert(alert, explanation) for alert in explanation.alerts[:1])
    if not is_here:
        return f"{station.text} It is not announced ({station.reason}).{also}", todo or advice(station.reason)
    how = "as sticky" if station.sticky else f"with sequence {station.seq}"
    return f"Here, behind port {station.port} ({station.reason}): to be announced {how}.{also}", todo


# A MAC that has none


def _about_refusals(
    explanation: Explanation, refused: Sequence[CandidateStatus], context: ExplainContext
) -> tuple[str, str]:
    first = {candidate.reason: candidate for candidate in reversed(refused)}
    reasons = list(dict.fromkeys(candidate.reason for candidate in refused))[:_REASONS_MAX]
    said = " ".join(
        f"{'Refused' if not at else 'Also refused'} ({reason}): {_clause(sentence(reason))}. "
        f"{_offered(first[reason])}{_against(reason, context)}."
        for at, reason in enumerate(reasons)
    )
    left = " Its row is still held." if explanation.ownership != "none" else ""
    todo = " ".join(filter(None, (advice(reason) for reason in reasons)))
    where = "" if context.vni is not None or not explanation.vni else f"{_not_configured(explanation)} "
    return where + said + left, todo


def _offered(candidate: CandidateStatus) -> str:
    """Name who offered it, and with what."""
    targets = " ".join(map(str, candidate.targets)) or "none"
    return (
        f"Peer {candidate.peer} told of it: next hop {candidate.vtep}, label {candidate.label}, Route Targets {targets}"
    )


def _against(reason: str, context: ExplainContext) -> str:
    """Tell what the offer was compared with, where that is ours to configure."""
    if reason in ("rt-mismatch", "rt-missing") and context.vni is not None:
        return f"; VNI {context.vni.vni} imports {' '.join(context.vni.imports.texts)}"
    return ""


def _about_no_vni(explanation: Explanation, context: ExplainContext) -> tuple[str, str]:
    """Tell of a VNI that was asked for, or that a reload took away while rows of it are ours."""
    said, todo = _not_configured(explanation), "Add the VNI if it belongs here."
    if explanation.ownership == "none":
        return said, todo
    return f"{said} A row of it is still held{_until_complete(context.status)}.", todo


def _not_configured(explanation: Explanation) -> str:
    return f"VNI {explanation.vni} is not configured here." if explanation.vni else "No VNI is configured here."


def _until_complete(status: Status) -> str:
    return "" if status.complete else f" until the picture is complete ({status.why})"


def _about_nothing(explanation: Explanation, context: ExplainContext) -> tuple[str, str]:
    status, kernel = context.status, explanation.kernel
    if explanation.ownership != "none":
        return f"Not announced any more; its row is held{_until_complete(status)}.", advice("held")
    if kernel.state == "foreign":
        return _about_foreign(explanation, context)
    if not status.feed.attached:
        return (
            "Not heard: ExaBGP is not connected to the feed socket.",
            "Look whether ExaBGP runs, and whether its process line starts vtep relay.",
        )
    down = [_peer_down(peer) for peer in status.feed.peers if not peer.up]
    if down:
        look = "Look at the BGP session: its peer may be the one that tells of it."
        return f"Not heard: {'; '.join(down)}.", look
    if not status.complete:
        return f"Not heard so far: {status.why}.", ""
    over = [f"{peer.address} ({peer.limited} routes)" for peer in status.feed.peers if peer.limited]
    if over:
        what = f"Not heard, or passed over: told more than `routes_per_peer` allows by {', '.join(over)}."
        return what, "Look for a flood of routes, or raise `limits.routes_per_peer`."
    return "Not heard: no peer has told of it.", "Look whether the far end has learned it, and announces it."


def _about_foreign(explanation: Explanation, context: ExplainContext) -> tuple[str, str]:
    """Tell of a MAC that the kernel knows and no peer does."""
    if context.port and context.vni is not None and context.port != context.vni.vxlan:
        return f"No peer tells of it: it is behind a port of this leaf ({explanation.kernel.holder}).", ""
    todo = "If nobody misses it, `vtep adopt` takes it and removes it." if context.orphan else ""
    return f"No peer tells of it, but the kernel has {explanation.kernel.holder}.", todo


def _peer_down(peer: PeerStatus) -> str:
    return f"peer {peer.address} is down" + (f" ({peer.reason})" if peer.reason else "")


def _clause(text: str) -> str:
    """Return a sentence as a part of another one."""
    text = text.removesuffix(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
