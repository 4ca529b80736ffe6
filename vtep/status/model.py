"""The daemon as one frozen tree, for whoever asks: logs today, readers over the API, metrics and probes.

Values only, in the words of the house. Knows nobody who fills it in or reads it.
"""

from collections.abc import Mapping

from msgspec import Struct

from vtep.addr import Ip


class PeerStatus(Struct, frozen=True):
    """One BGP peer of ExaBGP's."""

    address: Ip
    up: bool
    ended: bool
    """It has told all it has."""
    routes: int
    stale: int
    limited: int
    refresh: str
    reason: str
    """Why it is down."""


class FeedStatus(Struct, frozen=True):
    """What comes from ExaBGP."""

    attached: bool = False
    lines: int = 0
    bad_lines: int = 0
    gaps: int = 0
    peers: tuple[PeerStatus, ...] = ()


class DataplaneStatus(Struct, frozen=True):
    """What is known of the kernel."""

    state: str = "off"
    """on, off, or blind: the last look at the kernel failed."""
    why: str = "no VNI is configured"
    not_ready: Mapping[int, tuple[str, ...]] = {}
    generation: int = 0
    """Of the intent that was applied last."""
    passes: int = 0
    troubles: Mapping[str, int] = {}
    """Rows that are not as wanted, by state."""
    converged: bool = False


class Status(Struct, frozen=True):
    """Everything at one moment."""

    generation: int = 0
    complete: bool = False
    why: str = ""
    macs: int = 0
    feed: FeedStatus = FeedStatus()
    dataplane: DataplaneStatus = DataplaneStatus()

    @property
    def ready(self) -> bool:
        """The picture is complete and the kernel is equal to it, or there is no kernel to equal."""
        dataplane = self.dataplane
        if dataplane.state == "off" and not dataplane.not_ready and not self.macs:
            return self.complete
        return self.complete and dataplane.converged and dataplane.generation == self.generation
