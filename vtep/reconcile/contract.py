"""The contract between the engine, the kinds of rows, the target they are written to, and the ledger.

**Purpose.** The engine makes any table equal to what is wanted. This module says what it must be told about a table to do so.
To add a kind of row, implement `Kind` with a `Descriptor` and name it in `vtep/linux/tables/all.py`; nothing else is edited.

    Kind      one table: which rows an intent wants, how to read an entry, how to spell a change. Pure
    Target    the other side: says where rows can be written and what is there, takes messages. All input and output is here
    Ledger    which rows are ours (`claims`). A claim is written before its row, and released after the row is gone

**The words.** A *row* is a value that compares by meaning; rows that are wanted and rows that are seen have the same type. A *key*
says which row it is, within its kind. An *entry* is what a dump of the target returns; a row can be one entry, a part of one, or
several. A *message* is what the target takes. A *domain* is the unit whose readiness decides whether a row can be written: a VNI,
or the hosts of a VNI.

**What a kind knows**: its keys, its rows, how its entries look, who else writes such entries. **What it does not know**: which rows
are ours (the ledger), whether the device is fit (the target), what to do (the verdict), and the other kinds.

**Ownership.** Of what is seen, the kind says only what the entry itself says (`Seen`): it bears our signature (`marked`), it names us
(`tagged`), or it cannot be ours (`holder`). Only the ledger makes a marked row ours, because other programs use the same marks.

**Optional protocols.** A kind has more members if more is true of its rows; the engine asks `readable`, `alike`, `contest`, `dependent`,
`is_conversion`, `as_part`.

    Readable    one row can be looked up. Other kinds are seen in surveys alone, and their writes must do no harm when repeated
    Alike       many rows of one value can be compared at once with what they should be, which makes audits cheap
    Contest     a station of this leaf can take the key of a row: rows have a rank, and the stronger one wins
    Dependent   a row needs rows of other kinds: it is created after them and removed before them
    Convertible some changes of a row cannot be made in place: they are spelled as a removal and a creation, side by side
    Partial     some rows are only a part of what is at their key, or show only a part of what they say

A kind has `learns = True` if the target itself puts rows at its keys, and no event need say so: a key without a claim is looked at before
it counts as free.

A kind whose rows say nothing of who wrote them, because every program writes them alike, has `bears_no_mark = True`: an observer
leaves them alone.

**How the engine calls a kind**, for a row that changes from A to B:

    touched(intent)                    the keys that differ from the intent before: [(100, m)]
    wanted_at(intent, (100, m))        to B
    domain((100, m))                   100: is it in `Attachments.ready`?
    lookups, recognise                 Seen(to A, marked): the verdict is REPLACE, if the ledger has the claim
    order, spell(Change("replace"))    the messages of many changes, sorted so that the target can take runs of them at once
    pack([(100, m)], to B)             what the ledger writes before the messages go out
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
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
    """It bears our signature, which other programs may share: a claim decides whose it is."""
    whole: bool = True
    """No part of it is missing."""
    holder: str = ""
    """Who has the row, if it cannot be ours: a code of docs/reasons.md."""
    tagged: bool = False
    """The row itself says that it is ours; no claim is needed."""
    listed: bool = False
    """The mark belongs to a list of rows and says little about this one: once claimed, it is ours without a mark."""
    residue: bool = False
    """A part looks as a refused creation of ours leaves it."""
    adoptable: Row | None = None
    """What the row of another daemon says, if it is of the sort that we write too: an operator may hand it over to us."""
    there: Row | None = None
    """What the row of any other program says, if the target would act by it as by one of ours."""
    writer: str = ""
    """Which program writes such a row, as far as it can be told."""
    where: int | Ip | None = None
    """Where a row that cannot be ours points: a device's index, or a VTEP."""
    is_below_taken: bool = False
    """Another program has the part of it that a row for that part alone needs, or would lose its own (`Partial`)."""
    is_part: bool = False
    """The row is a part alone, so it can be removed, no matter who has the rest (`Partial`)."""


class Attachments(Struct, frozen=True):
    """Where rows can be written at this moment."""

    ready: Mapping[Any, Any]
    """Domain to what the target needs in order to write there."""
    not_ready: Mapping[Any, tuple[str, ...]]
    """Every domain where no row can be written, with the reasons."""
    unfit: Mapping[Any, tuple[str, ...]] = {}
    """The VNIs among them, for readers, with the reasons."""
    unconfigured: frozenset[Any] = frozenset()
    """Domains that are no longer configured: whatever the intent says, nothing is wanted there."""
    notes: Mapping[Any, tuple[str, ...]] = {}
    """By VNI: what works, and should be checked all the same."""
    replaced: Mapping[Any, Any] = {}
    """Domains with what the target needs to write where rows of ours must leave: another device has the place of theirs, and a pass
    that was under way may have left rows on it, or the configuration has them elsewhere now."""


class Change(Struct, frozen=True):
    """Rows to create, to change or to remove, all of one value and in one domain."""

    verb: str
    """create, replace, `convert` (replace where the target cannot do it in place), delete, `shed` (remove what is left of our row
    after another program took its key), or `undo` (remove what a refused creation left)."""
    keys: Sequence[Key]
    row: Row
    """The row that is wanted; for a deletion the row that goes, if it can be read."""
    there: Row | None = None
    """To convert: the row that is there."""


LOCAL_LEARNED = "local-learned"
"""The holder that may lose to newer knowledge: a station that the bridge learned at a local port."""


class Refusal(Protocol):
    """One message that the target did not carry out. A message for many rows has one index for each of them."""

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
        """Yield the key of every row that the intent wants. `latest` may return a newer intent before all are yielded."""

    def wanted_at(self, intent: Intent, key: Key) -> Row | None:
        """Return the row that the intent wants at one key."""

    def touched(self, intent: Intent) -> Iterable[Key]:
        """Return the keys where an intent differs from the one before it."""

    def domain(self, key: Key) -> Hashable:
        """Return the domain whose readiness the row needs, which is that of its VNI (`Descriptor.domain_of`)."""

    def recognise(self, entries: Iterable[Entry], attachments: Attachments) -> Mapping[Key, Seen]:
        """Read entries of the target as rows of this kind, and merge the entries of one row."""

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[Message]]:
        """Return the messages that make the change, in turns: the first one for each key, then the second one for each.

        A message may stand for many that are alike; a target counts each of them. To convert a row takes several messages in one
        turn.
        """

    def order(self, change: Change) -> Any:
        """Sort changes so that the target can take many at once."""

    def pack(self, keys: Sequence[Key], row: Row) -> bytes:
        """Write down rows of ours that have one value and are in one VNI."""

    def unpack(self, packed: bytes) -> tuple[Sequence[Key], Row]:
        """Read what `pack` wrote, in this version or in an earlier one."""


class Readable(Protocol):
    """A kind of which the target can return one row: passes read a row back instead of waiting for the next survey."""

    def lookups(self, key: Key, attachments: Attachments) -> Sequence[Any]:
        """Return what to ask the target in order to see one key."""


class Alike(Protocol):
    """A readable kind of which the target can compare many rows at once with what they should be."""

    def checks(self, keys: Sequence[Key], row: Row, attachments: Attachments) -> Sequence[Any]:
        """Return what to compare, so that these rows of one domain are whole and are this row; nothing if it cannot be compared.

        Each check has one item for each key, in their order.
        """


class Contest(Protocol):
    """A kind whose row has a rank, because a local station or the row of an earlier life may have a better claim to its key."""

    def asked(self, intent: Intent, keys: Iterable[Key]) -> list[tuple[Row | None, int]]:
        """Return the row that the intent wants at each of these keys, with its rank; a stronger row has a higher rank."""

    def beats(self, row: Row, rank: int, claimed: Row, claimed_rank: int) -> bool:
        """Tell whether this row would win against a claimed one whose routes may not have come back yet."""

    def is_settled(self, intent: Intent, key: Key) -> bool:
        """Tell whether the intent compared the row with a station of this leaf, and the row won."""


class Dependent(Protocol):
    """A kind whose rows need rows of other kinds. A row is created after what it needs, and removed before it."""

    @property
    def depends_on(self) -> Sequence[str]:
        """Return the names of the kinds that its rows may need. These kinds are written before it."""

    def needs(self, key: Key, row: Row) -> Iterable[tuple[str, Key]]:
        """Return the rows, each as its kind and its key, without which this row cannot be there.

        They follow from the VNI of the key and from the row alone: rows of one value in one VNI need the same.
        """


class Convertible(Protocol):
    """A kind of which some rows cannot become others in place. What was converted is read back."""

    def converts(self, before: Row, row: Row) -> bool:
        """Tell whether the target needs a removal and a creation to get from one row to the other."""


class Partial(Protocol):
    """A kind of which some rows are only a part of what is at their key; the rest may be another program's."""

    def as_part(self, row: Row | None, seen: Seen) -> Seen | None:
        """Return what is there as it counts for a row that is wanted."""


def as_part(kind: Kind, row: Row | None, seen: Seen | None) -> Seen | None:
    """Return what is there as it counts for a row that is wanted."""
    return cast("Partial", kind).as_part(row, seen) if seen is not None and hasattr(kind, "as_part") else seen


def is_conversion(kind: Kind, before: Row, row: Row) -> bool:
    """Tell whether a row becomes another one by a removal and a creation."""
    return hasattr(kind, "converts") and bool(cast("Convertible", kind).converts(before, row))


def readable(kind: Kind) -> Readable | None:
    """Return the kind as one whose rows can be looked up, or None. No isinstance: small passes ask often, and it costs more."""
    return cast("Readable", kind) if hasattr(kind, "lookups") else None


def alike(kind: Kind) -> Alike | None:
    """Return the kind as one whose rows can be compared many at once, or None."""
    return cast("Alike", kind) if hasattr(kind, "checks") else None


def learns(kind: Kind) -> bool:
    """Tell whether the target itself puts rows at the keys of a kind."""
    return hasattr(kind, "learns")


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
        """Return where rows can be written now."""

    def entries(self, attachments: Attachments) -> list[Entry]:
        """Return everything that is there; raise KernelError if it could not be read completely."""

    def unreadable_entries(
        self, domains: Collection[Hashable], before: Attachments, attachments: Attachments
    ) -> list[Entry] | None:
        """Return the entries of these domains of all kinds that are not `Readable`; None if only `entries` can show them.

        The domains are no longer as they were in `before`.
        """

    def look(self, lookups: Sequence[Any]) -> list[Entry | None]: ...

    def unlike(self, check: Any) -> Sequence[int]:
        """Return the indexes of the items that were not found as the check has them, and of any that must be looked at again."""

    def send(self, messages: Sequence[Message]) -> Sequence[Refusal]: ...
