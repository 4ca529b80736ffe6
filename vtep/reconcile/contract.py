"""The contract between the engine, the kinds of rows, and the target they are written to.

    Kind      describes one table: what is wanted of it, how to read it, how to spell a change. Pure.
    Target    the other side: tells what is there, takes messages, says which it refused. The only IO.
    Ledger    which rows are ours. A claim is written before its row and released after the row is gone.

A row is any value that compares by meaning. Its key says where it is; wanted and observed rows are of the same type.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

from msgspec import Struct

from vtep.addr import Ip
from vtep.intent import Intent
from vtep.reconcile.descriptor import VNI_FIRST, Descriptor

Key: TypeAlias = Any
"""Hashable, and sortable within its kind. Only the kind and its descriptor read its parts."""
Row: TypeAlias = Any
"""A frozen value that compares by meaning."""
Message: TypeAlias = Any
Entry: TypeAlias = Any


class Seen(Struct, frozen=True, gc=False):
    """What is at a key. Nothing there at all is no `Seen`."""

    row: Row | None
    """What it says, if it can be read as a row of this kind; a half-written row can."""
    marked: bool
    """It bears our signature, which others may share: a claim decides whose it is."""
    whole: bool = True
    """Nothing is missing of it."""
    holder: str = ""
    """Who has it, if it cannot be ours, in the codes of docs/reasons.md."""
    tagged: bool = False
    """The row itself says that it is ours, which no claim has to confirm."""
    listed: bool = False
    """The mark is that of a list of rows and of this one says little: once claimed, it is ours without."""
    residue: bool = False
    """A part looks just as a refused creation of ours leaves it."""
    where: int | Ip | None = None
    """Where a row that cannot be ours points: a device's index, or a VTEP."""


class Attachments(Struct, frozen=True):
    """Where rows can be written at this moment, looked up afresh for each pass."""

    ready: Mapping[Any, Any]
    """Place (a VNI) to what the target needs for writing there."""
    not_ready: Mapping[Any, tuple[str, ...]]
    """Every domain where no row can be written, with the reasons."""
    unfit: Mapping[Any, tuple[str, ...]] = {}
    """The VNIs among them, for readers, with the reasons."""
    unconfigured: frozenset[Any] = frozenset()
    """Places that are configured no more: whatever the intent says, nothing is wanted there."""
    notes: Mapping[Any, tuple[str, ...]] = {}
    """What works at a place and deserves a look all the same."""
    replaced: Mapping[Any, Any] = {}
    """Domains that are not ready because another device has the place of theirs, with what the target needs to write there:
    a pass that was under way may have left rows of ours on it."""


class Change(Struct, frozen=True):
    """Rows to make, to change or to remove, all of them alike and at one place."""

    verb: str
    """create, replace, delete, `shed` (remove what is left of our row after somebody else took its place), or `undo`
    (remove what a refused creation left behind)."""
    keys: Sequence[Key]
    row: Row
    """Wanted; where nothing is wanted, the row that goes, if it can be read."""


LOCAL_LEARNED = "local-learned"
"""The holder that may lose to newer knowledge: a station that was heard here."""


class Refusal(Protocol):
    """One message that the target did not carry out; of those that stand together each has its own index."""

    @property
    def index(self) -> int: ...
    @property
    def errno(self) -> int: ...
    @property
    def text(self) -> str: ...


class Kind(Protocol):
    """One table of the target: what every kind of row says about itself.

    Three more protocols are optional. A kind whose rows can be looked up one by one is also `Readable`; one whose rows can lose
    their key to a station of this leaf is also `Contest`; one whose rows need rows of other kinds is also `Dependent`. A kind
    that is none of these is seen in surveys, its rows never yield, and they are written whatever else is there.
    """

    @property
    def name(self) -> str: ...

    @property
    def descriptor(self) -> Descriptor:
        """Return what readers call this kind, and how they show a row of it."""

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[Key]:
        """Yield the key of every row that the intent asks for, which may be another one before all are yielded."""

    def wanted_at(self, intent: Intent, key: Key) -> Row | None:
        """Return the row that the intent asks for at one key."""

    def touched(self, intent: Intent) -> Iterable[Key]:
        """Return the keys where an intent differs from the one before it."""

    def domain(self, key: Key) -> Hashable:
        """Return the domain whose readiness the row needs, which is that of its VNI (`Descriptor.domain_of`)."""

    def recognise(self, entries: Iterable[Entry], attachments: Attachments) -> Mapping[Key, Seen]:
        """Read what the target told as rows of this kind, merging the parts of one row."""

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[Message]]:
        """Return the messages that make the change, by turns: the first one for each key, then the second of each.

        A message may stand for many alike; a target counts each of them.
        """

    def order(self, change: Change) -> Any:
        """Sort changes so that the target can take many at once."""

    def pack(self, keys: Sequence[Key], row: Row) -> bytes:
        """Write rows of ours down that are alike and at one place."""

    def unpack(self, packed: bytes) -> tuple[Sequence[Key], Row]:
        """Read what `pack` wrote, or wrote before it took many keys: one key, with any IPv4 address in 4 octets."""


class Readable(Protocol):
    """A kind of which the target can return one row: passes read a row back instead of waiting for the next survey."""

    def lookups(self, key: Key, attachments: Attachments) -> Sequence[Any]:
        """Return what to ask the target in order to see one key."""


class Contest(Protocol):
    """A kind whose row has a rank, because a local station or the row of an earlier life may have a better claim to its key."""

    def asked(self, intent: Intent, keys: Iterable[Key]) -> list[tuple[Row | None, int]]:
        """Return the row that the intent asks for at each of these keys, with its rank; a stronger row has a higher rank."""

    def beats(self, row: Row, rank: int, claimed: Row, claimed_rank: int) -> bool:
        """Tell whether this row would win against a claimed one whose routes may not have come back yet."""

    def is_settled(self, intent: Intent, key: Key) -> bool:
        """Tell whether the intent compared the row with a station of this leaf, and the row won."""


class Dependent(Protocol):
    """A kind whose rows need rows of other kinds. A row is created after what it needs, and removed before it."""

    @property
    def depends_on(self) -> Sequence[str]:
        """Return the names of the kinds that its rows may need. They come before it in the tuple of kinds."""

    def needs(self, key: Key, row: Row) -> Iterable[tuple[str, Key]]:
        """Return the rows, each as its kind and its key, without which this row cannot be there."""


def readable(kind: Kind) -> Readable | None:
    """Return the kind as one whose rows can be looked up, or None. No isinstance: small passes ask often, and it costs more."""
    return cast("Readable", kind) if hasattr(kind, "lookups") else None


def contest(kind: Kind) -> Contest | None:
    """Return the kind as one whose rows have a rank, or None."""
    return cast("Contest", kind) if hasattr(kind, "beats") else None


def dependent(kind: Kind) -> Dependent | None:
    """Return the kind as one whose rows need rows of other kinds, or None."""
    return cast("Dependent", kind) if hasattr(kind, "depends_on") else None


def asked(kind: Kind, intent: Intent, keys: Iterable[Key]) -> list[tuple[Row | None, int]]:
    """Return what is wanted at each of these keys, with its rank; all rows of a kind without a contest have one rank."""
    ranked = contest(kind)
    return [(kind.wanted_at(intent, key), 0) for key in keys] if ranked is None else ranked.asked(intent, keys)


def vnis_by(kinds: Iterable[Kind]) -> Mapping[str, Callable[[Key], Any]]:
    """Return, by the name of a kind, how to read the VNI of a key; a kind that is not among these begins its keys with it."""
    return defaultdict(lambda: VNI_FIRST, {kind.name: kind.descriptor.vni_of for kind in kinds})


class Target(Protocol):
    """The other side. Its calls block: for less than a millisecond when given few messages or lookups."""

    def attachments(self) -> Attachments:
        """Look where rows can be written now."""

    def entries(self, attachments: Attachments) -> list[Entry]:
        """Return everything that is there; raise KernelError if it could not be read whole."""

    def look(self, lookups: Sequence[Any]) -> list[Entry | None]: ...

    def send(self, messages: Sequence[Message]) -> Sequence[Refusal]: ...
