"""What a feed may report: events in BGP's words, and the messages that carry them.

An `Event` is one thing that a peer or the BGP speaker did. A `Message` is one item of the stream that a feed delivers:
`Received` carries the events of one message that was understood, and the other kinds say that the stream began, ended or
lost something. Both are values without behavior. `projection.leaf` takes the messages, and `evpn.rib` the events.

This module knows no BGP speaker. How a speaker's output becomes messages is the business of its folder in `feed`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from vtep.addr import Ip

if TYPE_CHECKING:
    from vtep.evpn.nlri import Route

RouteKey: TypeAlias = bytes
"""The one identity of a route within its peer: the type's number, then the octets that its RFC calls the key."""


class Announced(Struct, frozen=True):
    """Routes that the peer has now; each replaces the one of the same key."""

    peer: Ip
    routes: "Mapping[RouteKey, Route]"


class Withdrawn(Struct, frozen=True):
    """Routes that the peer has no longer."""

    peer: Ip
    keys: tuple[RouteKey, ...]


class SessionOpened(Struct, frozen=True):
    """BGP with the peer is up."""

    peer: Ip


class SessionClosed(Struct, frozen=True):
    """BGP with the peer is not up: it was lost, or a try to set it up came to nothing."""

    peer: Ip
    reason: str
    lost: bool
    """The TCP connection was lost, without a NOTIFICATION: what graceful restart is for (RFC 4724 4)."""
    speaker_stops: bool = False
    """ExaBGP itself shuts down; the peer has done nothing."""


class PeerOpened(Struct, frozen=True):
    """The peer's OPEN: what it can do."""

    peer: Ip
    restart_s: int | None
    """The restart time when it offered graceful restart, else nothing."""
    keeps_forwarding: bool
    """It listed l2vpn evpn among the families whose routes may be kept."""
    refresh: bool
    enhanced_refresh: bool


class EndOfRib(Struct, frozen=True):
    """The peer has sent all it had when the session came up (RFC 4724 2)."""

    peer: Ip


class RefreshBegan(Struct, frozen=True):
    """The peer starts to send everything again (RFC 7313 4)."""

    peer: Ip


class RefreshEnded(Struct, frozen=True):
    """The peer has sent everything again: what did not come is gone."""

    peer: Ip


class SpeakerStopped(Struct, frozen=True):
    """ExaBGP says that it shuts down."""


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
    """The BGP speaker is another process: its sessions are new, and nothing that it reported before is vouched for."""


class Received(Struct, frozen=True):
    """One message, understood: what happened, and whether anything was lost before it."""

    events: tuple[Event, ...]
    time: float | None = None
    """The speaker's clock when it wrote the message."""
    peer: Ip | None = None
    """The peer that the message is about; none for what the speaker says of itself."""
    continuity: Continuity = Continuity.UNBROKEN
    replayed: bool = False
    """It repeats how a session was before the next message that is not replayed."""
    bad_nlris: tuple[str, ...] = ()
    """NLRIs of this message that no route of ours can represent, each with what was wrong."""


class Unreadable(Struct, frozen=True):
    """One message that could not be read: whatever it reported, its peer must send it again."""

    head: bytes
    octets: int
    why: str
    peer: Ip | None = None
    """None where the message does not show whose it is; then every peer must send its routes again."""


class Missed(Struct, frozen=True):
    """So many messages were dropped here, of peers that are not known: every peer must send its routes again."""

    messages: int


class Attached(Struct, frozen=True):
    """The stream of a BGP speaker begins."""

    speaker: str
    """Identifies the speaker's process on this machine until it boots again; two processes never have the same."""
    name: str
    """The speaker, for people."""
    complete: bool
    """Everything that this speaker has ever reported follows; otherwise every peer must send its routes again."""


class Detached(Struct, frozen=True):
    """The stream ends: from here on the peers' routes are not vouched for."""


Message: TypeAlias = Received | Unreadable | Missed | Attached | Detached
