"""Says in words why a session ended, or was not established.

ExaBGP reports a NOTIFICATION as two numbers. What they mean to the operator often needs what the peer's OPEN said and what this side
expects: "bad peer AS: they are 65001, we expect 65000". Reads what the RIB keeps of a peer, and decides nothing.
"""

from typing import Final

from vtep.evpn import notification
from vtep.evpn.event import PeerOpened, SessionClosed

_HINTS: Final = {
    (6, 1): "it takes no more routes from this side",
    (6, 2): "someone shut the session down there",
    (6, 3): "this leaf is no longer one of its neighbors",
    (6, 5): "it has no such neighbor, or takes no connection from this address",
    (6, 8): "it has no memory or CPU left",
}
"""What a NOTIFICATION of a peer means to the operator."""


def why_it_ended(closed: SessionClosed | None, opened: PeerOpened | None) -> str:
    """Return the last error of a session in words, or nothing if there was none, or none that is understood."""
    if closed is None:
        return ""
    if closed.notification_sent is not None:
        return _sent(closed.notification_sent, opened)
    if closed.notification_received is not None:
        error = closed.notification_received
        hint = _HINTS.get(error, "") or _about_timer(error, opened, "it heard nothing from this side")
        text = f"the peer ended it: {notification.name(*error)} ({error[0]}/{error[1]})"
        return f"{text}: {hint}" if hint else text
    if closed.speaker_stops:
        return "ExaBGP shut down"
    return "the TCP connection was lost" if closed.lost else ""


def _sent(error: tuple[int, int], opened: PeerOpened | None) -> str:
    offer = None if opened is None else opened.offer
    if error == (2, 2) and offer is not None and offer.asn and offer.expected_asn:
        return f"bad peer AS: they are {offer.asn}, we expect {offer.expected_asn}"
    if error == (2, 3) and offer is not None and offer.router_id:
        return f"bad BGP identifier: they are {offer.router_id}, which is not valid or is ours"
    if error == (2, 6) and offer is not None:
        return f"unacceptable hold time: they offer {offer.hold_time_s} s"
    text = f"this side ended it: {notification.name(*error)} ({error[0]}/{error[1]})"
    hint = _about_timer(error, opened, "nothing came from the peer")
    return f"{text}: {hint}" if hint else text


def _about_timer(error: tuple[int, int], opened: PeerOpened | None, what: str) -> str:
    if error[0] != notification.HOLD_TIMER:
        return ""
    offered = f" of at most {opened.offer.hold_time_s} s" if opened is not None and opened.offer.hold_time_s else ""
    return f"{what} for the hold time{offered}; look at the underlay"
