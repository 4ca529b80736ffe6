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
    DeviceExplanation,
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
    """How many rows the table has, whatever a filter leaves of them; of stations, how many the VNI has."""
    generation: int
    """Of the intent at that moment. If two pages differ in it, the table may have changed in between."""


class MacQuery(Struct, frozen=True):
    """Which rows of the remote MAC table."""

    vni: Vni | None = None
    """None for all VNIs, and likewise below: a field that is not set lets every row pass."""
    vtep: Ip | None = None
    """Where the row points. For a MAC on a segment it is the VTEP whose route stands for the segment, and no other
    member."""
    states: Collection[str] = ()
    """A row in one of these states; an empty collection lets every state pass."""
    peer: Ip | None = None
    """Who sent the winning route."""
    prefix: str = ""
    """The first hexadecimal digits of the MAC, without colons."""

    def takes(self, mac: Mac, peer: Ip) -> bool:
        """Return whether a row of this MAC, by a route of this peer, is meant.

        The VNI is left to the caller, which begins its walk there, and so are the VTEP and the state, which cost more
        to find.
        """
        return self.peer in (None, peer) and mac.hex().startswith(self.prefix)


class RouteQuery(Struct, frozen=True):
    """Which routes; all that were received, if nothing is said."""

    type: int = 0
    """1 to 5, as RFC 7432 and RFC 9136 number them; 0 for every type."""
    peer: Ip | None = None
    """Who sent it."""
    rd: RouteDistinguisher | None = None
    vni: Vni | None = None
    """A VNI in which the route was judged, or that it has as its label."""
    mac: Mac | None = None
    """Of the received routes only those of this MAC are looked at, so this is cheap however many there are."""
    ip: Ip | None = None
    """The host address of a Type-2 route; as cheap as a MAC."""
    refused: bool = False
    """Only routes that were refused in at least one VNI; of ours, those that ExaBGP refused."""
    reason: str = ""
    """Only routes that have a verdict with this code of docs/reasons.md."""
    advertised: bool = False
    """Those of this leaf instead of those that were received."""


class RouteCursor(Struct, frozen=True):
    """Where a page of routes ended."""

    peer: Ip
    """The peer whose routes are being read; 0.0.0.0 in a list of our own routes."""
    part: int
    """The routes of a peer come in 64 parts. Only one part must be sorted for a page."""
    key: bytes
    """The key of the last route in the page before; the next page continues after it, even if that route is gone by
    then."""


class PrefixName(Struct, frozen=True):
    """A prefix of a VRF, as readers name it."""

    vrf: str
    vni: Vni
    prefix: Prefix


class Batch(Struct, frozen=True):
    """Changes for watchers, in the order in which they are sent."""

    revision: int
    """The next batch comes after this revision."""
    macs: Sequence[MacStatus] = ()
    """Rows that are new or different, as they are now. A row that changed twice is here once."""
    gone: Sequence[RowKey] = ()
    """Keys of rows that are no longer wanted."""
    prefixes: Sequence[PrefixStatus] = ()
    """The same of the prefixes of VRFs."""
    gone_prefixes: Sequence[PrefixName] = ()
    entries: Sequence[HistoryEntry] = ()
    """Events since the batch before, in the order of their numbers."""

    @property
    def size(self) -> int:
        parts = (self.macs, self.gone, self.prefixes, self.gone_prefixes, self.entries)
        return sum(map(len, parts))


class Source(Protocol):
    """Everything that may be read."""

    @property
    def epoch(self) -> str:
        """The present life of the daemon: a number of one life means nothing in another."""

    def wall(self, time: float) -> float:
        """Turn a time of the daemon's clock into seconds since 1970."""

    def clock(self, wall: float) -> float:
        """Turn seconds since 1970 into a time of the daemon's clock."""

    # The state of the daemon as one value. Every probe and every display reads it, so it must be cheap.
    def status(self) -> Status: ...
    # The counters and timings that metrics show and a status does not.
    def figures(self) -> Figures: ...
    def filter_drops(self) -> Mapping[str, int]:
        """Ask the kernel how many frames the filters of Ethernet segments have dropped, by the set that named them."""

    async def prepare(self) -> None:
        """Sort the tables for readers of pages; returns at once if that was done."""

    # Every configured VNI, with a bridge or without.
    def vnis(self) -> Sequence[VniStatus]: ...
    # A page of the remote MAC table in the order of VNI and MAC. `prepare` must have been awaited before.
    def macs(self, query: MacQuery, after: RowKey | None, most: int) -> Page[MacStatus, RowKey]: ...
    # The remote VTEPs of one VNI, or of all: those with a flood row, and those that only have MACs.
    def vteps(self, vni: Vni | None) -> Sequence[VtepStatus]: ...
    # A page of host addresses in the order of VNI and address. `prepare` must have been awaited before.
    def neighbors(self, query: MacQuery, after: HostKey | None, most: int) -> Page[NeighborStatus, HostKey]: ...
    def vrfs(self) -> Sequence[VrfStatus]: ...
    async def prefixes(self, vrf: str, after: PrefixKey | None, most: int) -> Page[PrefixStatus, PrefixKey]:
        """Return a page of the prefixes of one VRF, or of all."""

    # A page of the nexthops of one VRF, or of all, in the order of L3VNI and identifier.
    def nexthops(self, vrf: str, after: NexthopKey | None, most: int) -> Page[NexthopStatus, NexthopKey]: ...
    # A page of the remote Ethernet segments, a row for each VNI, in the order of VNI and segment.
    def segments(
        self, vni: Vni | None, segment: Esi | None, after: GroupKey | None, most: int
    ) -> Page[SegmentStatus, GroupKey]: ...
    # The segments of this leaf that have a port, each with what its port forwards of one VNI or of all.
    def own_segments(self, vni: Vni | None, segment: Esi | None) -> Sequence[OwnSegmentStatus]: ...
    # Why packets to a prefix of a VRF go where they go. Raises UsageError if there is no VRF of this name.
    def explain_prefix(self, prefix: Prefix, vrf: str) -> PrefixExplanation: ...
    async def routes(self, query: RouteQuery, after: RouteCursor | None, most: int) -> Page[RouteStatus, RouteCursor]:
        """Return a page of routes; the work for one page is bounded, and it is done in slices."""

    async def stations(self, vni: Vni | None, after: RowKey | None, most: int) -> Page[StationStatus, RowKey]:
        """Return a page of the stations of this leaf, in the order of VNI and MAC."""

    async def explain(self, mac: Mac, vni: Vni | None) -> Explanations:
        """Explain a MAC in one VNI, or wherever something is known of it, in slices of a millisecond."""

    async def explain_host(self, ip: Ip, vni: Vni | None) -> HostExplanations:
        """Explain an address in one VNI, or wherever something is known of it."""

    async def explain_device(self, name: str) -> DeviceExplanation:
        """Read the devices of this host, and explain one: what is wanted, what is there, and whose it is."""

    def entries(
        self, *, after: int = 0, since: float | None = None, latest: int | None = None
    ) -> tuple[Sequence[HistoryEntry], int]:
        """Return the events later than that, or the latest of them, and how many are missing."""

    def entries_of(self, mac: Mac) -> Sequence[HistoryEntry]:
        """Return recent events to a MAC."""

    async def diff(self, vni: Vni | None, older_than_s: float = 0.0) -> Comparison:
        """Read the kernel and compare; leave out what has differed for less time. Requests that arrive together share one look."""

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

    # Look at everything in the kernel again. With `peers`, also request all routes again and advertise ours again.
    def resync(self, *, peers: bool = False) -> None: ...
    # Claim the rows with our signature that have no claim; the next pass removes those that are not wanted. `dry_run`
    # only finds them. `foreign` claims the rows of another daemon that are as wanted, and `remove_unwanted` the others
    # as well, which removes those. Returns the VNI, the MAC, and the VTEP or the host address of each.
    async def adopt(
        self, vni: Vni | None, *, dry_run: bool = False, foreign: bool = False, remove_unwanted: bool = False
    ) -> Sequence[tuple[Vni, Mac, Ip | None]]: ...
    # Forget how often a MAC moved, which ends its freeze. Returns in how many VNIs it had moved.
    def clear_duplicate(self, mac: Mac, vni: Vni | None) -> int: ...
    def set_log_level(self, level: str) -> str:
        """Set the level of the log until the daemon ends, and return the level before; ValueError for an unknown
        level."""
