"""The claims on disk: an append-only journal, so that a claim costs the same in a table of a million.

    header   one line of JSON: format, boot id, network namespace
    record   crc32 4 · length 2 · its complement 2 · kind 1 · what 1 · rank 8 · packed row with its keys

A record names many keys of one row at one place, and counts whole or not at all: none of its rows is written before it
is. In format 1, which is read as well, a length has one octet and a record one key.

Tied to a boot and a namespace, since rows outlive neither. Written without fsync: what must survive is the death of the
process, and after the death of the machine no row is left to own. A torn tail is dropped, since it is what a death in
mid-write leaves; any other damage refuses the file. Compacted when it is opened. Knows kinds only by name.
"""

import json
import os
import struct
import zlib
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from vtep.errors import KernelError, LedgerError
from vtep.reconcile.claims import Claim, Claims, Moment, RowGroup
from vtep.reconcile.contract import Key, Kind
from vtep.store.sharded import ShardedDict

FORMAT: Final = 2
KEYS_MAX: Final = 1024
"""In one record: no kind takes more than 32 octets for a key, and the length is below 65,536."""
_Frame: TypeAlias = tuple[struct.Struct, int]
"""Checksum, length and its complement; and the greatest length."""
_FRAMES: Final[dict[int, _Frame]] = {1: (struct.Struct("<IBB"), 0xFF), FORMAT: (struct.Struct("<IHH"), 0xFFFF)}
_CLAIM: Final = struct.Struct("<BBQ")  # kind, what, rank
_CLAIMED: Final = 0
_RELEASED: Final = 1


class LedgerFile:
    """A ledger that outlives its process."""

    def __init__(self, path: Path, kinds: Sequence[Kind], place: Mapping[str, str]) -> None:
        """Open or make the file; `place` names the boot and the namespace whose rows it is about."""
        self._path = path
        self._kinds = {kind.name: (index, kind) for index, kind in enumerate(kinds)}
        self._place = place
        self._claims = Claims()
        self.torn = 0
        """Octets of an unfinished record at the end that were dropped."""
        if path.exists():
            self._load(path.read_bytes(), list(kinds))
        self._file = self._compact()

    def claims(self, kind: str) -> ShardedDict[Key, Claim]:
        return self._claims.claims(kind)

    def confirmed(self, kind: str) -> Mapping[Hashable, int]:
        return self._claims.confirmed(kind)

    def claim(self, kind: str, rows: Collection[RowGroup]) -> None:
        self._append(self._records(kind, _CLAIMED, rows))
        self._claims.claim(kind, rows)

    def confirm(self, kind: str, keys: Iterable[Key], at: Moment) -> None:
        self._claims.confirm(kind, keys, at)

    def release(self, kind: str, keys: Iterable[Key]) -> None:
        claims = self._claims.claims(kind)
        claimed: defaultdict[Hashable, list[Key]] = defaultdict(list)
        for key in keys:
            if key in claims:
                claimed[key[0]].append(key)
        # By the keys alone it is known what is released; a record takes a row as well, and any will do.
        groups = [RowGroup(together, claims[together[0]].row) for together in claimed.values()]
        self._append(self._records(kind, _RELEASED, groups))
        for group in groups:
            self._claims.release(kind, group.keys)

    def close(self) -> None:
        os.close(self._file)

    def _records(self, kind: str, what: int, groups: Iterable[RowGroup]) -> Iterator[bytes]:
        number, packer = self._kinds[kind]
        head, length_max = _FRAMES[FORMAT]
        for group in groups:
            for first in range(0, len(group.keys), KEYS_MAX):
                keys = group.keys[first : first + KEYS_MAX]
                body = _CLAIM.pack(number, what, group.rank) + packer.pack(keys, group.row)
                yield head.pack(zlib.crc32(body), len(body), len(body) ^ length_max) + body

    def _append(self, records: Iterable[bytes]) -> None:
        """Write all of it or nothing; what cannot be claimed must not be written to the kernel either."""
        data = b"".join(records)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise KernelError("claim", error.errno or 0, os.strerror(error.errno or 0), str(self._path)) from error
        self._size += written

    # Reading

    def _load(self, data: bytes, kinds: list[Kind]) -> None:
        header, newline, body = data.partition(b"\n")
        if not newline and any(self._header(known).startswith(header) for known in _FRAMES):
            self.torn = len(data)
            return
        frame = self._frame_below(header)
        offset = 0
        while offset < len(body):
            end = self._record_end(body, offset, frame)
            if end is None:
                self.torn = len(body) - offset
                return
            self._replay(body[offset + frame[0].size : end], kinds)
            offset = end

    def _frame_below(self, header: bytes) -> _Frame:
        """Return what the records below this header are framed in."""
        for known, frame in _FRAMES.items():
            if header + b"\n" == self._header(known):
                return frame
        try:
            found = json.loads(header)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._damaged("its first line is no header")
        if found.get("format") not in _FRAMES:
            raise self._damaged(f"its format is {found.get('format')}, ours {FORMAT}")
        for name, value in self._place.items():
            if found.get(name) != value:
                raise LedgerError(
                    f"{self._path}: it is about another {name} ({found.get(name)}, this is {value}), where none of its rows "
                    f"exist; remove the file to start with no claims"
                )
        raise self._damaged("its first line is not as it was written")

    def _record_end(self, body: bytes, offset: int, frame: _Frame) -> int | None:
        """Return where the record ends, or nothing if the file ends within it."""
        head, length_max = frame
        if offset + head.size > len(body):
            return None
        checksum, length, complement = head.unpack_from(body, offset)
        end: int = offset + head.size + length
        # Else a damaged length would pass for a torn tail, and all records behind it would go.
        if length != complement ^ length_max or length <= _CLAIM.size:
            raise self._damaged(f"the record at octet {offset} has a length of {length}")
        if end > len(body):
            return None
        if zlib.crc32(body[offset + head.size : end]) != checksum:
            if end == len(body):
                return None
            raise self._damaged(f"the record at octet {offset} does not match its checksum")
        return end

    def _replay(self, record: bytes, kinds: list[Kind]) -> None:
        number, what, rank = _CLAIM.unpack_from(record)
        if number >= len(kinds):
            raise self._damaged(f"it has rows of a kind numbered {number}, which this version does not know")
        kind = kinds[number]
        keys, row = kind.unpack(record[_CLAIM.size :])
        if what == _CLAIMED:
            self._claims.claim(kind.name, [RowGroup(keys, row, rank)])
        else:
            self._claims.release(kind.name, keys)

    def _damaged(self, what: str) -> LedgerError:
        return LedgerError(
            f"{self._path}: damaged: {what}; remove the file to start with no claims "
            f"(rows that are still wanted are then adopted, the others only reported)"
        )

    # Writing

    def _compact(self) -> int:
        """Write what counts into a new file and put it in place of the old one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file, self._size = file, 0
        self._append([self._header(FORMAT)])
        for name in self._kinds:
            for part in self._claims.claims(name).parts:
                self._append(self._records(name, _CLAIMED, _made_again(part)))
        fresh.replace(self._path)
        return file

    def _header(self, number: int) -> bytes:
        return json.dumps({"format": number, **self._place}).encode() + b"\n"


def this_place() -> dict[str, str]:
    """Name the boot and the network namespace that this process is in."""
    namespace = Path("/proc/self/ns/net").stat()
    return {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        "namespace": f"{namespace.st_dev}:{namespace.st_ino}",
    }


def _made_again(claims: Mapping[Key, Claim]) -> Iterator[RowGroup]:
    """Tell which claims, made one after the other, come to these."""
    together: defaultdict[tuple[Hashable, Claim], list[Key]] = defaultdict(list)
    for key, claim in claims.items():
        together[key[0], claim].append(key)
    for (_, claim), keys in together.items():
        if claim.before is not None:
            yield RowGroup(keys, claim.before, claim.rank)
        yield RowGroup(keys, claim.row, claim.rank)
