"""The file of claims: which rows in the kernel are ours, for the next life of the daemon.

    record   kind 1 · what 1 · rank 8 · packed row with its keys

A record names many keys of one row in one VNI, and counts whole or not at all: none of its rows is written to the kernel
before the record is. A claim costs the same in a table of a million, since it is appended (`store.journal`). The file is
tied to a boot and a network namespace, since rows outlive neither. In format 1, which is read as well, a length has one
octet and a record one key.

**When the file cannot be written**, the kernel must still follow the routes:

- A removal needs no claim. The file keeps the claim, which then covers a row that is gone, and that does no harm.
- A change of a row whose key has a claim in the file is made. Before that, the file is marked as behind. A file with this
  mark says which keys have rows of ours, and not which rows: a next life takes each claim in it for any row of ours that
  it finds at the key.
- A row whose key has no claim in the file is refused: after a crash it would not be known as ours.

Knows kinds only by name.
"""

import struct
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from vtep.errors import LedgerError
from vtep.reconcile.claims import Claim, Claims, Moment, Note, RowGroup, Unclaimed
from vtep.reconcile.contract import Key, Kind, vnis_by
from vtep.store.journal import Damaged, Journal, JournalStatus, Octets, Slice
from vtep.store.sharded import ShardedDict

FORMATS: Final = {1: Octets("<IBB", 0xFF), 2: Octets("<IHH", 0xFFFF)}
KEYS_MAX: Final = 1024
"""In one record: no kind takes more than 32 octets for a key, and the length is below 65,536."""
SLICE: Final = 512
"""Claims that a compaction copies at once, in a millisecond or two."""
ADVICE: Final = (
    "remove the file to start with no claims (rows that are still wanted are then adopted, the others only reported)"
)
_CLAIM: Final = struct.Struct("<BBQ")  # kind, what, rank
_CLAIMED: Final = 0
_RELEASED: Final = 1
_CLAIMED_ANY: Final = 2
"""As a claim, and any row of ours may be there."""
_ADOPTED: Final = 3
"""As a claim, of a row that another daemon wrote and an operator handed over."""


class LedgerFile:
    """A ledger that outlives its process."""

    def __init__(self, path: Path, kinds: Sequence[Kind], place: Mapping[str, str], *, afresh: bool = False) -> None:
        """Open or make the file; `place` names the boot and the namespace whose rows it is about.

        An OSError says why there can be no file, and a LedgerError why the one that is there must not be used; with
        `afresh` what it says is ignored.
        """
        self._path = path
        self._kinds = {kind.name: (index, kind) for index, kind in enumerate(kinds)}
        self._in_order = tuple(kinds)
        self._place = place
        self._claims = Claims(kinds)
        self._vni_of = vnis_by(kinds)
        self._outlived: defaultdict[str, set[Key]] = defaultdict(set)
        """Released keys whose release could not be written: the file still has their claims."""
        self._journal = Journal(path, FORMATS, self, ADVICE)
        try:
            if not afresh:
                self._journal.load()
            if self._journal.behind:
                self._claims.cover_any()
        except BaseException:
            self._journal.close()
            raise
        self._journal.open()

    @property
    def torn(self) -> int:
        """Octets of an unfinished record at the end that were dropped."""
        return self._journal.torn

    def status(self) -> JournalStatus:
        return self._journal.status()

    def tend(self) -> None:
        """Do a piece of a compaction that is due; call it often."""
        self._journal.tend()

    def close(self) -> None:
        self._journal.close()

    def claims(self, kind: str) -> ShardedDict[Key, Claim]:
        return self._claims.claims(kind)

    def confirmed(self, kind: str) -> Mapping[Hashable, int]:
        return self._claims.confirmed(kind)

    def claim(self, kind: str, rows: Collection[RowGroup]) -> Unclaimed | None:
        """Write the claims to the file before the rows are written to the kernel (decision 0005)."""
        try:
            self._journal.append(self._records(kind, _CLAIMED, rows))
        except OSError as error:
            return self._claim_unwritten(kind, rows, error)
        self._claims.claim(kind, rows)
        if outlived := self._outlived.get(kind):
            outlived.difference_update(key for group in rows for key in group.keys)
        return None

    def _claim_unwritten(self, kind: str, rows: Collection[RowGroup], error: OSError) -> Unclaimed:
        """Claim where the file has a claim of the key already."""
        claims, outlived = self._claims.claims(kind), self._outlived[kind]
        covered, refused = [], set[Key]()
        for group in rows:
            keys = []
            for key in group.keys:
                if key in claims or key in outlived:
                    keys.append(key)
                else:
                    refused.add(key)
            if keys:
                covered.append(structs.replace(group, keys=keys))
        if covered:
            self._journal.fall_behind()
            self._claims.claim(kind, covered)
            outlived.difference_update(key for group in covered for key in group.keys)
        return Unclaimed(refused, error.errno or 0, f"{self._path}: {error.strerror or error}")

    def confirm(self, kind: str, keys: Collection[Key], at: Moment) -> None:
        self._claims.confirm(kind, keys, at)

    def release(self, kind: str, keys: Collection[Key]) -> None:
        """Note that rows are no longer ours. If the file cannot be written, they are remembered for the next copy of it."""
        # The keys alone say what is released; a record has a row as well, and any will do.
        groups = self._claims.take(kind, keys)
        try:
            self._journal.append(self._records(kind, _RELEASED, groups))
        except OSError:
            self._journal.fall_behind()
            self._outlived[kind].update(key for group in groups for key in group.keys)

    def follow(self, kind: str, note: Note) -> None:
        self._claims.follow(kind, note)

    def _records(self, kind: str, what: int, groups: Iterable[RowGroup]) -> Iterator[bytes]:
        number, packer = self._kinds[kind]
        for group in groups:
            for first in range(0, len(group.keys), KEYS_MAX):
                keys = group.keys[first : first + KEYS_MAX]
                said = _ADOPTED if what == _CLAIMED and group.adopted else what
                yield _CLAIM.pack(number, said, group.rank) + packer.pack(keys, group.row)

    # What the journal asks

    def header(self) -> Mapping[str, str]:
        return self._place

    def accept(self, header: Mapping[str, Any]) -> None:
        for name, value in self._place.items():
            if header.get(name) != value:
                raise LedgerError(
                    f"{self._path}: it is about another {name} ({header.get(name)}, this is {value}), where none of its "
                    f"rows exist; remove the file to start with no claims"
                )

    def replay(self, record: bytes) -> None:
        """Take one record of an earlier life."""
        if len(record) <= _CLAIM.size:
            raise Damaged(f"a record has a length of {len(record)}")
        number, what, rank = _CLAIM.unpack_from(record)
        if number >= len(self._in_order):
            raise Damaged(f"it has rows of a kind numbered {number}, which this version does not know")
        kind = self._in_order[number]
        keys, row = kind.unpack(record[_CLAIM.size :])
        if what == _RELEASED:
            self._claims.release(kind.name, keys)
            return
        self._claims.read_back(kind.name, RowGroup(keys, row, rank, what == _ADOPTED))
        if what == _CLAIMED_ANY:
            self._claims.cover_any(kind.name, keys)

    def count(self) -> int:
        return sum(len(self._claims.claims(name)) for name in self._kinds)

    def slices(self) -> Iterator[Slice]:
        """Yield all claims in small parts, for a compaction that other work interrupts."""
        for name in self._kinds:
            claims = self._claims.claims(name)
            for part in claims.shards:
                keys = iter(list(part))
                while some := list(islice(keys, SLICE)):
                    there = {key: part[key] for key in some if key in part}
                    yield list(self._spelled(name, there))
        self._outlived.clear()  # the copy, which takes the file's place now, does not have them

    def _spelled(self, kind: str, claims: Mapping[Key, Claim]) -> Iterator[bytes]:
        """Yield the records that, one after the other, come to these claims."""
        together: defaultdict[tuple[Hashable, Claim], list[Key]] = defaultdict(list)
        vni_of = self._vni_of[kind]
        for key, claim in claims.items():
            together[vni_of(key), claim].append(key)
        for (_, claim), keys in together.items():
            for row in claim.before:
                yield from self._records(kind, _CLAIMED, [RowGroup(keys, row, claim.rank)])
            if claim.adopted and claim.any_row:
                yield from self._records(kind, _CLAIMED, [RowGroup(keys, claim.row, claim.rank, claim.adopted)])
            what = _CLAIMED_ANY if claim.any_row else _CLAIMED
            yield from self._records(kind, what, [RowGroup(keys, claim.row, claim.rank, claim.adopted)])


def this_place() -> dict[str, str]:
    """Name the boot and the network namespace that this process is in."""
    namespace = Path("/proc/self/ns/net").stat()
    return {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        "namespace": f"{namespace.st_dev}:{namespace.st_ino}",
    }
