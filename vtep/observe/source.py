"""What readers may ask and operators may order: the one door between whoever serves and the daemon behind it.

`vtep.observe.observer` stands behind it in the daemon, and tests put their own figures there. Everything is answered at once and
from what is published, but for `diff`, which looks at the kernel. Knows no transport.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni
from vtep.intent import HostKey, RowKey
from vtep.observe.figures import Figures
from vtep.observe.history import HistoryEntry
from vtep.observe.model import Comparison, Explanations, MacStatus, NeighborStatus, Status, VniStatus, VtepStatus

Row = TypeVar("Row")
Key = TypeVar("Key")


class Page(Struct, Generic[Row, Key], frozen=True):
    """Some rows in order, and where to go on."""

    rows: Sequence[Row]
    last: Key | None
    """Go on after this key; none when this is the end. A page may be short, even empty, and not the last."""
    total: int
    generation: int


class MacQuery(Struct, frozen=True):
    """Which rows of the remote MAC table."""

    vni: Vni | None = None
    vtep: Ip | None = None
    states: Collection[str] = ()


class Batch(Struct, frozen=True):
    """News for those who watch, in the order in which they are to be told."""

    revision: int
    """Go on after this one."""
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
        """This life of the daemon: what is numbered in one means nothing in another."""

    def wall(self, time: float) -> float:
        """Turn a time of the daemon's clock into seconds since 1970."""

    def clock(self, wall: float) -> float:
        """Turn seconds since 1970 into a time of the daemon's clock."""

    def status(self) -> Status: ...
    def figures(self) -> Figures: ...
    async def prepare(self) -> None:
        """Put the tables in order for whoever reads pages of them; at once where that is done already."""

    def vnis(self) -> Sequence[VniStatus]: ...
    def macs(self, query: MacQuery, after: RowKey | None, most: int) -> Page[MacStatus, RowKey]: ...
    def vteps(self, vni: Vni | None) -> Sequence[VtepStatus]: ...
    def neighbors(self, vni: Vni | None, after: HostKey | None, most: int) -> Page[NeighborStatus, HostKey]: ...
    async def explain(self, mac: Mac, vni: Vni | None) -> Explanations:
        """Explain a MAC in one VNI, or wherever something is known of it, in slices of a millisecond."""

    def entries(
        self, *, after: int = 0, since: float | None = None, latest: int | None = None
    ) -> tuple[Sequence[HistoryEntry], int]:
        """Return what happened later than that, or the latest of it, and how much of it is missing."""

    def entries_of(self, mac: Mac) -> Sequence[HistoryEntry]:
        """Return what happened lately to a MAC."""

    async def diff(self, vni: Vni | None) -> Comparison:
        """Look at the kernel, and compare. Many who ask at a time share one look."""

    @property
    def revision(self) -> int:
        """Of the latest batch."""

    def batches(self, after: int) -> AsyncIterator[Batch | None]:
        """Yield what is new after a revision, in batches, for ever.

        Who falls behind further than is remembered, or names a revision that never was, gets None and then whatever
        comes after the latest batch: it has to read the table anew.
        """


class Controls(Protocol):
    """Everything that an operator may order."""

    def resync(self, *, peers: bool = False) -> None: ...
    async def adopt(self, vni: Vni | None, *, dry_run: bool = False) -> Sequence[tuple[Vni, Mac, Ip | None]]: ...
    def clear_duplicate(self, mac: Mac, vni: Vni | None) -> int: ...
    def set_log_level(self, level: str) -> str:
        """Return the level before; ValueError for one that there is not."""
