"""What readers may ask and what operators may request: the contract between the API and the daemon.

`vtep.observe.observer` implements `Source` in the daemon, and tests use a scripted one. Every answer comes from what is
published, except that of `diff`, which reads the kernel. Knows no transport.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from vtep.addr import Esi, Ip, Mac, Prefix, RouteDistinguisher, Vni
from vtep.intent import GroupKey, HostKey, NexthopKey, PrefixKey, RowKey
from vtep.observe.figures import Figures
from vtep.observe.history import HistoryEntry, RowsPoint
from vtep.observe.model import (
    Comparison,
    Explanations,
    HostExplanations,
    MacStatus,
    NeighborStatus,
    NexthopStatus,
    OwnSegmentStatus,
    PrefixExplanation,
    PrefixStatus,
    RouteStatus,
    SegmentStatus,
    StationStatus,
    Status,
    VniStatus,
    VrfStatus,
    VtepStatus,
)

Row = TypeVar("Row")
Key = TypeVar("Key")


class Page(Struct, Generic[Row, Key], frozen=True):
    """Some rows in order, and where the next page begins."""

    rows: Sequence[Row]
    last: Key | None
    """The next page begins after this key; None at the end. A page may be short, even empty, and not be the last."""
    total: int
    generation: int


class MacQuery(Struct, frozen=True):
    """Which rows of the remote MAC table."""

    vni: Vni | None = None
    vtep: Ip | None = None
    states: Collection[str] = ()
    peer: Ip | None = None
    prefix: str = ""
    """The first hexadecimal digits of the MAC, without colons."""

    def takes(self, mac: Mac, peer: Ip) -> bool:
        """Tell whether a row of this MAC, by a route of this peer, is meant."""
        return self.peer in (None, peer) and mac.hex().startswith(self.prefix)


class RouteQuery(Struct, frozen=True):
    """Which routes; all that were received, if nothing is said."""

    type: int = 0
    peer: Ip | None = None
    rd: RouteDistinguisher | None = None
    vni: Vni | None = None
    mac: Mac | None = None
    ip: Ip | None = None
    refused: bool = False
    reason: str = ""
    advertised: bool = False
    """Those of this leaf instead of those that were received."""


class RouteCursor(Struct, frozen=True):
    """Where a page of routes ended."""

    peer: Ip
    part: int
    key: bytes


class Batch(Struct, frozen=True):
    """Changes for watchers, in the order in which they are sent."""

    revision: int
    """The next batch comes after this revision."""
    macs: Sequence[MacStatus] = ()
    gone: Sequence[RowKey] = ()
    entries: Sequence[HistoryEntry] = ()

    @property
    def size(self) -> int:
        return len(self.macs) + len(self.gone) + len(self.entries)


class Source(Protocol):
    """Everything that may be read."""

    @property
    def epoch(self) -> str:
        """The present life of the daemon: a number of one life means nothing in another."""

    def wall(self, time: float) -> float:
        """Turn a time of the daemon's clock into seconds since 1970."""

    def clock(self, wall: float) -> float:
        """Turn seconds since 1970 into a time of the daemon's clock."""

    def status(self) -> Status: ...
    def figures(self) -> Figures: ...
    def filter_drops(self) -> Mapping[str, int]:
        """Ask the kernel how many frames the filters of Ethernet segments have dropped, by the set that named them."""

    async def prepare(self) -> None:
        """Sort the tables for readers of pages; returns at once if that was done."""

    def vnis(self) -> Sequence[VniStatus]: ...
    def macs(self, query: MacQuery, after: RowKey | None, most: int) -> Page[MacStatus, RowKey]: ...
    def vteps(self, vni: Vni | None) -> Sequence[VtepStatus]: ...
    def neighbors(self, query: MacQuery, after: HostKey | None, most: int) -> Page[NeighborStatus, HostKey]: ...
    def vrfs(self) -> Sequence[VrfStatus]: ...
    async def prefixes(self, vrf: str, after: PrefixKey | None, most: int) -> Page[PrefixStatus, PrefixKey]:
        """Return a page of the prefixes of one VRF, or of all."""

    def nexthops(self, vrf: str, after: NexthopKey | None, most: int) -> Page[NexthopStatus, NexthopKey]: ...
    def segments(
        self, vni: Vni | None, segment: Esi | None, after: GroupKey | None, most: int
    ) -> Page[SegmentStatus, GroupKey]: ...
    def own_segments(self, vni: Vni | None, segment: Esi | None) -> Sequence[OwnSegmentStatus]: ...
    def explain_prefix(self, prefix: Prefix, vrf: str) -> PrefixExplanation: ...
    async def routes(self, query: RouteQuery, after: RouteCursor | None, most: int) -> Page[RouteStatus, RouteCursor]:
        """Return a page of routes; the work for one page is bounded, and it is done in slices."""

    async def stations(self, vni: Vni | None, after: RowKey | None, most: int) -> Page[StationStatus, RowKey]:
        """Return a page of the stations of this leaf, in the order of VNI and MAC."""

    async def explain(self, mac: Mac, vni: Vni | None) -> Explanations:
        """Explain a MAC in one VNI, or wherever something is known of it, in slices of a millisecond."""

    async def explain_host(self, ip: Ip, vni: Vni | None) -> HostExplanations:
        """Explain an address in one VNI, or wherever something is known of it."""

    def entries(
        self, *, after: int = 0, since: float | None = None, latest: int | None = None
    ) -> tuple[Sequence[HistoryEntry], int]:
        """Return the events later than that, or the latest of them, and how many are missing."""

    def entries_of(self, mac: Mac) -> Sequence[HistoryEntry]:
        """Return recent events to a MAC."""

    async def diff(self, vni: Vni | None) -> Comparison:
        """Read the kernel and compare. Requests that arrive together share one look."""

    def points(self) -> Sequence[RowsPoint]:
        """Return how many rows there were in the last hour, one point every ten seconds."""

    @property
    def revision(self) -> int:
        """Of the latest batch."""

    def batches(self, after: int) -> AsyncIterator[Batch | None]:
        """Yield the batches after a revision, without end.

        A reader that falls behind further than is remembered, or that names a revision that never was, gets None and
        then what comes after the latest batch: it must read the table again.
        """


class Controls(Protocol):
    """Everything that an operator may request."""

    def resync(self, *, peers: bool = False) -> None: ...
    async def adopt(
        self, vni: Vni | None, *, dry_run: bool = False, foreign: bool = False, remove_unwanted: bool = False
    ) -> Sequence[tuple[Vni, Mac, Ip | None]]: ...
    def clear_duplicate(self, mac: Mac, vni: Vni | None) -> int: ...
    def set_log_level(self, level: str) -> str:
        """Return the level before; ValueError for an unknown level."""
