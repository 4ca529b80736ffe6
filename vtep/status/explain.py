"""One sentence about one MAC: where it is, or at which stage it stopped and why. And one about what to do.

    heard ─> imported ─> won ─> VNI bound and ready ─> written ─> kept
      │         │         │             │                │         │
    not-heard  refused   (who won)   unbound, not-ready  failed,  contested,
                                                         pending  stale, frozen

Reads what is told of the MAC anyway, and decides nothing. Ages are against `now`, on the clock of the times it is given.
"""

from collections.abc import Sequence

from vtep.status.model import (
    CONTESTED,
    FAILED,
    INSTALLED,
    STALE,
    SUPPRESSED,
    CandidateStatus,
    Explanation,
    MacStatus,
    PeerStatus,
    Status,
)
from vtep.status.reasons import advice, sentence


def told(explanation: Explanation, status: Status, now: float) -> tuple[str, str]:
    """Return the summary and the advice."""
    desired = explanation.desired
    if desired is not None:
        return _about_row(explanation, desired, now)
    refused = [candidate for candidate in explanation.candidates if candidate.verdict == "refused"]
    if refused:
        return _about_refusals(explanation, refused)
    return _about_nothing(explanation, status)


def age(since: float | None, now: float) -> str:
    """Say how long ago, in the unit that fits."""
    if since is None:
        return "never"
    seconds = max(0.0, now - since)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _about_row(explanation: Explanation, row: MacStatus, now: float) -> tuple[str, str]:
    """Tell of a MAC that has a winner."""
    sync = row.sync
    where = f"behind {row.vtep} ({row.reason})"
    extra = _about_alerts(explanation, row)
    if sync.state in (INSTALLED, STALE):
        verified = f", verified {age(explanation.kernel.seen, now)}"
        text = f"{where}: installed {age(sync.since, now)}{verified}"
        if sync.state == STALE:
            text += f"; stale: only a session that is no more vouches for it (peer {row.peer})"
            return text + extra, advice("stale")
        return text + extra, "".join(advice(alert) for alert in row.alerts[:1])
    if sync.state == CONTESTED:
        holder = f": {sync.text}" if sync.text else ""
        return f"{where}: contested, {sync.reason}{holder}; that row stays" + extra, advice(sync.reason)
    if sync.state == FAILED:
        due = "" if sync.next_try is None else f", next try in {max(0.0, sync.next_try - now):.1f} s"
        return f"{where}: failed, {_kernel_said(row)}{due}" + extra, advice(sync.reason)
    if sync.state == SUPPRESSED:
        if sync.reason == "unbound":
            return f"{where}: not programmed, VNI {row.vni} has no bridge" + extra, "Give the VNI a bridge and a vxlan."
        return f"{where}: suppressed, {_kernel_said(row)}" + extra, advice(sync.reason)
    return _about_pending(explanation, row, where) + extra, _advice_for_pending(explanation, row)


def _about_pending(explanation: Explanation, row: MacStatus, where: str) -> str:
    reason = row.sync.reason
    if reason == "not-ready":
        return f"{where}: pending, VNI {row.vni} is not ready: {', '.join(explanation.vni_reasons) or 'unknown'}"
    if reason == "held":
        return f"{where}: held, {sentence('held')}"
    if reason:
        return f"{where}: pending, {reason}" + (f": {row.sync.text}" if row.sync.text else "")
    return f"{where}: pending, it is being written"


def _advice_for_pending(explanation: Explanation, row: MacStatus) -> str:
    if row.sync.reason == "not-ready":
        return " ".join(filter(None, (advice(reason) for reason in explanation.vni_reasons)))
    return advice(row.sync.reason)


def _kernel_said(row: MacStatus) -> str:
    return row.sync.text or row.sync.reason


def _about_alerts(explanation: Explanation, row: MacStatus) -> str:
    """Append what a person should know beside the state."""
    if row.reason == "dup-frozen" or "dup-frozen" in row.alerts:
        return f"; duplicate: frozen there after {explanation.moves} moves"
    if "dup-warn" in row.alerts:
        return f"; duplicate: it moved {explanation.moves} times lately"
    return "".join(f"; {alert}: {sentence(alert)}" for alert in row.alerts)


def _about_refusals(explanation: Explanation, refused: Sequence[CandidateStatus]) -> tuple[str, str]:
    reasons = list(dict.fromkeys(candidate.reason for candidate in refused))
    told_by = ", ".join(sorted({f"{candidate.peer} (next hop {candidate.vtep})" for candidate in refused}))
    said = "; ".join(f"{reason}: {sentence(reason)}" for reason in reasons)
    what = f"refused, {said} Told by {told_by}."
    left = " Its row is still held." if explanation.ownership != "none" else ""
    return what + left, " ".join(filter(None, (advice(reason) for reason in reasons)))


def _about_nothing(explanation: Explanation, status: Status) -> tuple[str, str]:
    kernel = explanation.kernel
    if explanation.ownership != "none":
        waits = "" if status.complete else f" until the picture is complete ({status.why})"
        return f"not announced any more; its row is held{waits}", advice("held")
    if kernel.state == "foreign":
        return f"no peer has told of it; the kernel has a row of others: {kernel.holder}", ""
    down = [peer for peer in status.feed.peers if not peer.up]
    if not status.feed.attached:
        return (
            "not heard: ExaBGP is not connected to the feed socket",
            "Look whether ExaBGP runs, and whether its process line starts vtep relay.",
        )
    if down:
        return f"not heard: {_peers_down(down)}", "Look at the BGP session: its peer may be the one that tells of it."
    if not status.complete:
        return f"not heard so far: {status.why}", ""
    return "not heard: no peer has told of it", "Look whether the far end has learned it, and announces it."


def _peers_down(down: Sequence[PeerStatus]) -> str:
    return "; ".join(f"peer {peer.address} is down" + (f" ({peer.reason})" if peer.reason else "") for peer in down)
