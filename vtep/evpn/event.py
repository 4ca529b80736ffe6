"""What a feed may report: events in the words of BGP, and the messages that carry them.

An `Event` is one thing that a peer or the BGP speaker did. A `Message` is one item of the stream that a feed delivers:
`Received` carries the events of one message that was understood, and the other kinds say that the stream began, ended or
lost something. Both are values without behavior. `projection.leaf` takes the messages, and `evpn.rib` the events.

This module knows no BGP speaker. How a speaker's output becomes messages is the business of its folder in `feed`.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from vtep.addr import Ip

if TYPE_CHECKING:
    from vtep.evpn.nlri import Route

RouteKey: TypeAlias = bytes
"""The identity of a route within its peer: the number of the route type, then the octets that its RFC calls the key."""


class Announced(Struct, frozen=True):
    """The peer advertised routes; each replaces the one of the same key."""

    peer: Ip
    routes: "Mapping[RouteKey, Route]"
    """By key, each once: of two advertisements of one key in the message, only the later one is here."""


class Withdrawn(Struct, frozen=True):
    """The peer withdrew routes."""

    peer: Ip
    keys: Collection[RouteKey]
    """The RIB may have no route of a key, because a speaker may withdraw what it never advertised."""


class SessionOpened(Struct, frozen=True):
    """The BGP session with the peer is established."""

    peer: Ip


class SessionClosed(Struct, frozen=True):
    """The BGP session with the peer is down: it was lost, or an attempt to establish it failed."""

    peer: Ip
    reason: str
    lost: bool
    """The TCP connection was lost without a NOTIFICATION, which is the case for graceful restart (RFC 4724 4)."""
    speaker_stops: bool = False
    """The BGP speaker itself shuts down, and the peer has done nothing."""
    notification_sent: tuple[int, int] | None = None
    """The code and subcode of the NOTIFICATION by which our side ended the session."""
    notification_received: tuple[int, int] | None = None
    """The code and subcode of the NOTIFICATION by which the peer ended the session."""
    speaker_failed: bool = False
    """The BGP speaker ended the session because of an error of its own, without a NOTIFICATION."""


class Offer(Struct, frozen=True):
    """What an OPEN says besides what changes how routes are kept; 0 or nothing where it is not known."""

    asn: int = 0
    """The peer's AS number, of four octets if it offered them (RFC 6793)."""
    expected_asn: int = 0
    """What the configuration of this side says."""
    router_id: str = ""
    """The BGP identifier, in the form of an IPv4 address."""
    hold_time_s: int = 0
    """What the peer offers; the session uses the smaller of both sides' times (RFC 4271 4.2)."""
    families: tuple[str, ...] = ()


class PeerOpened(Struct, frozen=True):
    """The peer sent its OPEN message, which says what it can do."""

    peer: Ip
    restart_s: int | None
    """The restart time if it offered graceful restart, otherwise None."""
    keeps_forwarding: bool
    """True if it listed l2vpn evpn among the families whose routes may be kept."""
    refresh: bool
    enhanced_refresh: bool
    """It marks where a refresh begins and ends (RFC 7313). With `refresh` alone, silence is the end (RFC 2918)."""
    preserved_forwarding: bool = False
    """The Forwarding State bit of l2vpn evpn: it kept forwarding while it restarted (RFC 4724 3)."""
    offer: Offer = Offer()


class EndOfRib(Struct, frozen=True):
    """The peer has sent all the routes it had when the session was established (RFC 4724 2)."""

    peer: Ip


class RefreshBegan(Struct, frozen=True):
    """The peer starts to send all its routes again (RFC 7313 4)."""

    peer: Ip


class RefreshEnded(Struct, frozen=True):
    """The peer has sent all its routes again; a route that did not come is gone (RFC 7313 4)."""

    peer: Ip


class SpeakerStopped(Struct, frozen=True):
    """ExaBGP reported that it shuts down."""


Event: TypeAlias = (
    Announced
    | Withdrawn
    | SessionOpened
    | SessionClosed
    | PeerOpened
    | EndOfRib
    | RefreshBegan
    | RefreshEnded
    | SpeakerStopped
)


class Continuity(Enum):
    """How a message follows the one that was received before it."""

    UNBROKEN = "unbroken"
    """Nothing is missing between the two."""
    GAP = "gap"
    """Messages of this peer were lost just before this one."""
    RESTARTED = "restarted"
    """The BGP speaker is another process: its sessions are new, and nothing that it reported before is confirmed."""


class Received(Struct, frozen=True):
    """One decoded message: what happened, and whether anything was lost before it."""

    events: tuple[Event, ...]
    time: float | None = None
    """The speaker's clock when it wrote the message."""
    peer: Ip | None = None
    """The peer that the message is about; none for what the speaker says of itself."""
    continuity: Continuity = Continuity.UNBROKEN
    replayed: bool = False
    """It repeats how a session was before the next message that is not replayed."""
    bad_nlris: tuple[str, ...] = ()
    """The NLRIs of this message that could not be decoded, each with what was wrong."""
    malformed: str = ""
    """Why the speaker takes all routes of this message as withdrawn (RFC 7606); empty if the message is well-formed."""
    feed: str = ""
    """The stream that it belongs to, where a daemon may have several: the end of one says nothing about the peers of another."""


class Unreadable(Struct, frozen=True):
    """One message that could not be read: whatever it reported, its peer must send it again."""

    head: bytes
    octets: int
    """The length of the whole message, of which `head` is only the beginning."""
    why: str
    peer: Ip | None = None
    """None where the message does not show whose it is; then every peer must send its routes again."""


class Missed(Struct, frozen=True):
    """So many messages were dropped here, of peers that are not known: every peer must send its routes again."""

    messages: int
    feed: str = ""


class Attached(Struct, frozen=True):
    """The stream of a BGP speaker begins."""

    speaker: str
    """Identifies the speaker's process on this machine until it boots again; two processes never have the same."""
    name: str
    """The speaker, for people."""
    complete: bool
    """Everything that this speaker has ever reported follows; otherwise every peer must send its routes again."""
    feed: str = ""


class Detached(Struct, frozen=True):
    """The stream ends: from here on its peers' routes are not confirmed."""

    feed: str = ""


Message: TypeAlias = Received | Unreadable | Missed | Attached | Detached
