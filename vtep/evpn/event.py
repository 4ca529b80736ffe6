"""What happened, in BGP's words: the closed union of things one line of ExaBGP can mean.

Events carry values and no behaviour. `rib.Rib` folds them; who wrote the line and in which JSON is `routes.exabgp`'s
business alone.
"""

from collections.abc import Mapping
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


class Answered(Struct, frozen=True):
    """ExaBGP's answer to a command of ours."""

    text: str
    ok: bool
    more: str = ""
    """What it adds for people: which program it is, or why a command was refused."""


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
    | Answered
)


class Received(Struct, frozen=True):
    """One line, understood: who wrote it, when, and what it means."""

    events: tuple[Event, ...]
    time: float | None = None
    """ExaBGP's clock when it wrote the line."""
    pid: int | None = None
    """ExaBGP's process; another one means that everything began anew."""
    peer: Ip | None = None
    counter: int | None = None
    """Grows by one with each line of this peer; a gap is a lost line."""
    version: str = ""
    bad_nlris: tuple[str, ...] = ()
    """NLRIs of this line that no route of ours can represent, each with what was wrong."""
