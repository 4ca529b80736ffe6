"""The claims on disk: an append-only journal, so that a claim costs the same in a table of a million.

    header   one line of JSON: format, boot id, network namespace
    record   crc32 4 · length 1 · its complement 1 · kind 1 · what 1 · rank 8 · packed row

Tied to a boot and a namespace, since rows outlive neither. Written without fsync: what must survive is the death of the
process, and after the death of the machine no row is left to own. A torn tail is dropped, since it is what a death in
mid-write leaves; any other damage refuses the file. Compacted when it is opened. Knows kinds only by name.
"""

import json
import os
import struct
import zlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from vtep.errors import KernelError, LedgerError
from vtep.parted import Parted
from vtep.reconcile.kind import Key, Kind, Row
from vtep.reconcile.ownership import Claim, Claims, Moment

FORMAT: Final = 1
_HEAD: Final = struct.Struct("<IBB")
_CLAIM: Final = struct.Struct("<BBQ")  # kind, what, rank
_CLAIMED: Final = 0
_RELEASED: Final = 1


class LedgerFile:
    """A ledger that outlives its process."""

    def __init__(self, path: Path, kinds: Sequence[Kind], place: Mapping[str, str]) -> None:
        """Open or make the file; `place` names the boot and the namespace whose rows it is about."""
        self._path = path
        self._kinds = {kind.name: (index, kind) for index, kind in enumerate(kinds)}
        self._claims = Claims()
        self.torn = 0
        """Octets of an unfinished record at the end that were dropped."""
        self._header = json.dumps({"format": FORMAT, **place}).encode() + b"\n"
        if path.exists():
            self._load(path.read_bytes(), list(kinds))
        self._file = self._compact()

    def claims(self, kind: str) -> Parted[Key, Claim]:
        return self._claims.claims(kind)

    def confirmed(self, kind: str) -> Mapping[Hashable, int]:
        return self._claims.confirmed(kind)

    def claim(self, kind: str, rows: Mapping[Key, tuple[Row, int]]) -> None:
        number, packer = self._kinds[kind]
        self._append(_record(number, _CLAIMED, rank, packer.pack(key, row)) for key, (row, rank) in rows.items())
        self._claims.claim(kind, rows)

    def confirm(self, kind: str, keys: Iterable[Key], at: Moment) -> None:
        self._claims.confirm(kind, keys, at)

    def release(self, kind: str, keys: Iterable[Key]) -> None:
        keys = list(keys)
        number, packer = self._kinds[kind]
        claims = self._claims.claims(kind)
        self._append(_record(number, _RELEASED, 0, packer.pack(key, claims[key].row)) for key in keys if key in claims)
        self._claims.release(kind, keys)

    def close(self) -> None:
        os.close(self._file)

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
        if not newline and self._header.startswith(header):
            self.torn = len(data)
            return
        self._check_header(header)
        offset = 0
        while offset < len(body):
            end = self._record_end(body, offset)
            if end is None:
                self.torn = len(body) - offset
                return
            self._replay(body[offset + _HEAD.size : end], kinds)
            offset = end

    def _check_header(self, header: bytes) -> None:
        if header + b"\n" == self._header:
            return
        try:
            found = json.loads(header)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._damaged("its first line is no header")
        if found.get("format") != FORMAT:
            raise self._damaged(f"its format is {found.get('format')}, ours {FORMAT}")
        for name, value in json.loads(self._header).items():
            if found.get(name) != value:
                raise LedgerError(
                    f"{self._path}: it is about another {name} ({found.get(name)}, this is {value}), where none of its rows "
                    f"exist; remove the file to start with no claims"
                )
        raise self._damaged("its first line is not as it was written")

    def _record_end(self, body: bytes, offset: int) -> int | None:
        """Return where the record ends, or nothing if the file ends within it."""
        if offset + _HEAD.size > len(body):
            return None
        checksum, length, complement = _HEAD.unpack_from(body, offset)
        end: int = offset + _HEAD.size + length
        # Else a damaged length would pass for a torn tail, and all records behind it would go.
        if length != complement ^ 0xFF or length <= _CLAIM.size:
            raise self._damaged(f"the record at octet {offset} has a length of {length}")
        if end > len(body):
            return None
        if zlib.crc32(body[offset + _HEAD.size : end]) != checksum:
            if end == len(body):
                return None
            raise self._damaged(f"the record at octet {offset} does not match its checksum")
        return end

    def _replay(self, record: bytes, kinds: list[Kind]) -> None:
        number, what, rank = _CLAIM.unpack_from(record)
        if number >= len(kinds):
            raise self._damaged(f"it has rows of a kind numbered {number}, which this version does not know")
        kind = kinds[number]
        key, row = kind.unpack(record[_CLAIM.size :])
        if what == _CLAIMED:
            self._claims.claim(kind.name, {key: (row, rank)})
        else:
            self._claims.release(kind.name, [key])

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
        self._append([self._header])
        for number, kind in self._kinds.values():
            self._append(
                _record(number, _CLAIMED, claim.rank, kind.pack(key, row))
                for key, claim in self._claims.claims(kind.name).items()
                for row in (claim.before, claim.row)
                if row is not None
            )
        fresh.replace(self._path)
        return file


def this_place() -> dict[str, str]:
    """Name the boot and the network namespace that this process is in."""
    namespace = Path("/proc/self/ns/net").stat()
    return {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        "namespace": f"{namespace.st_dev}:{namespace.st_ino}",
    }


def _record(kind: int, what: int, rank: int, packed: bytes) -> bytes:
    body = _CLAIM.pack(kind, what, rank) + packed
    return _HEAD.pack(zlib.crc32(body), len(body), len(body) ^ 0xFF) + body
