"""An append-only file of records, for what must outlive the process: the claims, and the routes that ExaBGP was sent.

    header   one line of JSON: the format, and what the file is about
    record   framed with its length or its end, and with a checksum

The file knows nothing of what a record means. Its owner (`Content`) replays the records when the file is opened and spells
what counts when the file is compacted.

**Append.** Records are written whole or not at all. There is no fsync: the file must survive the death of the process, and
nothing that it is about survives the death of the machine. A torn tail is what a death in mid-write leaves, and is dropped.
Any other damage refuses the file.

**Compaction.** The file is written again, without what no longer counts, when it is opened, and while the process runs
whenever it is four times as large as its content would be. Otherwise one MAC that moves all day would fill the disk. A
compaction while running is done in small pieces, one before each append and one at each `tend`, so that it never blocks
the event loop:

    content ──a piece at a time──▶ PATH.new ──when all is copied──▶ renamed to PATH
                                      ▲
    append ──▶ PATH, and as well ─────┘

A piece is copied before an append and never within one, so that a copy is never older than a record above it.

**When nothing can be written** (the disk is full, or read-only), `append` raises and the file is as it was. The owner then
decides what may go on without a record. If anything does, it calls `fall_behind` first: one octet of the header is
overwritten in place, which needs no room. A reader of such a file knows that it says of what there may be something, and
not how it is. The next compaction that succeeds brings the file up to date.

**Safety.** All files are opened below one open directory and no symbolic link is followed. A file that another user owns or
may write is refused, since its records decide what is removed from the kernel.
"""

import contextlib
import errno
import json
import os
import stat
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from vtep.errors import LedgerError

OCTETS_MIN: Final = 1 << 18
"""A smaller file is not compacted while running."""
GROWTH_MAX: Final = 4
"""A larger file is compacted when it is so many times as large as its content would be."""
LOOK_OCTETS: Final = 1 << 14
"""So much may be appended before the size is compared with the content again."""
ENTRY_OCTETS: Final = 16
"""The size of an entry, until a compaction of many has measured it."""
MEASURED_MIN: Final = 1000
"""So many entries that the header and the sizes of single ones do not count."""
RETRY_S: Final = 5.0
"""How long to wait after a compaction that failed: on a full disk each try writes as much as fits before it fails."""

Slice: TypeAlias = Sequence[bytes]
"""Records that say a part of the content: so few that the event loop is not blocked."""


class Damaged(Exception):  # noqa: N818 - what the owner says about the file, not about the program
    """The file does not say what its owner wrote."""


class Frame(Protocol):
    """How a record is delimited and protected."""

    def pack(self, record: bytes) -> bytes: ...

    def unpack(self, body: bytes, offset: int) -> tuple[bytes, int] | None:
        """Return the record at this offset and where it ends; None if the file ends within it; raise Damaged."""


class Octets:
    """A record of octets, behind a head whose layout is an argument. With "<IHH", all numbers little-endian:

        0           4         6             8
        │ crc32     │ length  │ complement  │ record: as many octets as the length says

    The checksum is that of the record. A record has at least one octet, so a head of zeros is damage.
    """

    def __init__(self, head: str, length_max: int) -> None:
        self._head = struct.Struct(head)
        self._length_max = length_max

    def pack(self, record: bytes) -> bytes:
        return self._head.pack(zlib.crc32(record), len(record), len(record) ^ self._length_max) + record

    def unpack(self, body: bytes, offset: int) -> tuple[bytes, int] | None:
        begin = offset + self._head.size
        if begin > len(body):
            return None
        checksum, length, complement = self._head.unpack_from(body, offset)
        end = begin + length
        # Without the complement, a damaged length could pass for a torn tail, and all records behind it would be dropped.
        if length != complement ^ self._length_max or not length:
            raise Damaged(f"the record at octet {offset} has a length of {length}")
        if end > len(body):
            return None
        record = body[begin:end]
        if zlib.crc32(record) == checksum:
            return record, end
        # The last record counts as torn even if its length is right: no record is behind it that would be dropped.
        if end == len(body):
            return None
        raise Damaged(f"the record at octet {offset} does not match its checksum")


class Lines:
    """A record of text, which a person can read with `less`: a line with the checksum of the rest of it.

        0                9
        │ crc32 in hex ␠ │ record, without line breaks │ \\n

    A line without its end is a torn tail. Any other line that does not match its checksum is damage.
    """

    def pack(self, record: bytes) -> bytes:
        return b"%08x %s\n" % (zlib.crc32(record), record)

    def unpack(self, body: bytes, offset: int) -> tuple[bytes, int] | None:
        end = body.find(b"\n", offset)
        if end < 0:
            return None
        checksum, _, record = body[offset:end].partition(b" ")
        if checksum != b"%08x" % zlib.crc32(record):
            raise Damaged(f"the record at octet {offset} does not match its checksum")
        return record, end + 1


class Content(Protocol):
    """What the records of a file say, as its owner keeps it in memory."""

    def header(self) -> Mapping[str, str]:
        """Return what the file is about."""

    def accept(self, header: Mapping[str, Any]) -> None:
        """Take what a file says that it is about; raise Damaged or LedgerError."""

    def replay(self, record: bytes) -> None:
        """Take one record of an earlier life; raise Damaged."""

    def count(self) -> int:
        """Return how many entries there are now."""

    def slices(self) -> Iterator[Slice]:
        """Yield the records that say all entries; entries may change between two slices."""


class JournalStatus(Struct, frozen=True):
    """How a file is."""

    path: str = ""
    octets: int = 0
    """The size of the file; 0 if there is none that records can be appended to."""
    records: int = 0
    """How many records are in it, those that no longer count included."""
    trouble: str = ""
    """Why it cannot be written or compacted, with what to do about it."""


class _File:
    """One open file and how much of it counts."""

    def __init__(self, descriptor: int, octets: int = 0, records: int = 0) -> None:
        self.descriptor = descriptor
        self.octets = octets
        """Where the next record goes; what is behind is a torn tail."""
        self.records = records
        self.sound = True
        """It has no half of a record at its end, behind which nothing may be written."""

    def write(self, chunks: Sequence[bytes]) -> None:
        """Write all of it or nothing: after an error the file is cut back to what it had.

        If it cannot be cut either, it ends in half a record and is no longer sound. A shorter record in that place would
        leave the rest of the half behind it, which the next daemon would take for damage.
        """
        data = b"".join(chunks)
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self.descriptor, data[written:], self.octets + written)
        except OSError:
            try:
                os.ftruncate(self.descriptor, self.octets)
            except OSError:
                self.sound = False
            raise
        self.octets += written
        self.records += len(chunks)

    def close(self) -> None:
        os.close(self.descriptor)


class Journal:
    """One file of records, and the copy of it that a compaction makes."""

    def __init__(
        self,
        path: Path,
        frames: Mapping[int, Frame],
        content: Content,
        advice: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know of a file. `frames` has the formats that can be read, the newest of which is written."""
        self.torn = 0
        """Octets of an unfinished record at the end that were dropped."""
        self.behind = False
        """Something is otherwise than the file says, since it could not be written."""
        self._path = path
        self._frames = frames
        self._format = max(frames)
        self._frame = frames[self._format]
        self._content = content
        self._advice = advice
        self._clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)
        self._directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._fresh = f"{path.name}.new"
        self._file: _File | None = None
        self._copy: _File | None = None
        self._slices: Iterator[Slice] = iter(())
        self._copied = 0
        """Octets that the compaction has written, without what was appended meanwhile."""
        self._entry_octets: float = ENTRY_OCTETS
        self._look_at = 0
        """The size at which the content is counted again: it takes longer than to append a record."""
        self._retry_at = clock()
        self._append_error: OSError | None = None
        self._compact_error: OSError | None = None

    # Reading

    def load(self) -> None:
        """Replay what an earlier life wrote, if anything; raise LedgerError if that cannot be relied on.

            no file                                         nothing to replay
            a symbolic link, of another user, or writable   LedgerError: its records decide what is removed
            a torn tail                                     replayed up to there, and `torn` says how much was dropped
            any other damage, or an unknown format          LedgerError
            an older format                                 replayed; `open` writes it in the newest one

        An OSError that says nothing about whose file it is, such as EMFILE, is raised as it is.
        """
        found = self._read()
        if found is None:
            return
        descriptor, data = found
        try:
            self._file = self._replay(descriptor, data)
        except Damaged as damage:
            os.close(descriptor)
            raise LedgerError(f"{self._path}: damaged: {damage}; {self._advice}") from None
        except BaseException:
            os.close(descriptor)
            raise

    def _read(self) -> tuple[int, bytes] | None:
        try:
            descriptor = self._open()
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in _NOT_OURS:
                raise
            why = "it is a symbolic link" if error.errno == errno.ELOOP else os.strerror(error.errno)
            raise LedgerError(f"{self._path}: not trusted: {why}; {self._advice}") from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            why = "it is not a regular file"
        elif found.st_uid not in (0, os.geteuid()):
            why = f"it belongs to user {found.st_uid}"
        elif found.st_mode & 0o022:
            why = f"other users may write it (mode {stat.S_IMODE(found.st_mode):04o})"
        else:
            with open(descriptor, "rb", closefd=False) as file:
                return descriptor, file.read()
        os.close(descriptor)
        raise LedgerError(f"{self._path}: not trusted: {why}; {self._advice}")

    def _open(self) -> int:
        try:
            return os.open(self._path.name, os.O_RDWR | _SAFELY, dir_fd=self._directory)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            self._compact_error = error
            return os.open(self._path.name, os.O_RDONLY | _SAFELY, dir_fd=self._directory)

    def _replay(self, descriptor: int, data: bytes) -> _File | None:
        """Replay the records; return the file if records can be appended to it, or None.

        A header that is cut off is a torn tail as well: the daemon died when it made the file, before any record.
        """
        header, newline, body = data.partition(b"\n")
        if not newline and any(self._spell(form).startswith(header) for form in self._frames):
            self.torn = len(data)
            os.close(descriptor)
            return None
        form = self._take_header(header)
        frame, offset, records = self._frames[form], 0, 0
        while offset < len(body):
            unpacked = frame.unpack(body, offset)
            if unpacked is None:
                self.torn = len(body) - offset
                break
            record, offset = unpacked
            self._content.replay(record)
            records += 1
        if form != self._format or self._compact_error is not None:  # of another format, or on a read-only disk
            os.close(descriptor)
            return None
        return _File(descriptor, len(header) + 1 + offset, records)

    def _take_header(self, header: bytes) -> int:
        """Return the format of the records below this header."""
        try:
            found = json.loads(header)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Damaged("its first line is not a header")
        form = found.pop("format", None)
        if not isinstance(form, int) or form not in self._frames:
            raise Damaged(f"its format is {form}, ours {self._format}")
        self._content.accept(found)
        if header + b"\n" not in (self._spell(form), _behind(self._spell(form))):
            raise Damaged("its first line is not as it was written")
        self.behind = header + b"\n" != self._spell(form)
        return form

    def _spell(self, form: int) -> bytes:
        return json.dumps({"format": form, **self._content.header()}).encode() + b"\n"

    # Writing

    def open(self) -> None:
        """Begin to write. A file that cannot be compacted is used as it is, without its torn tail."""
        try:
            self.rewrite()
        except OSError:
            if self._file is not None and self.torn:
                self._cut_tail(self._file)

    def _cut_tail(self, file: _File) -> None:
        try:
            os.ftruncate(file.descriptor, file.octets)
        except OSError:
            file.sound = False

    def append(self, records: Iterable[bytes]) -> None:
        """Write all of these records or none; raise an OSError that says why.

        A copy under way gets them as well. If only the copy cannot be written, the records are safe, and it is given up.
        """
        chunks = [self._frame.pack(record) for record in records]
        if not chunks:
            return
        self.tend()
        try:
            self._write(chunks)
        except OSError as error:
            self._append_error = error
            if self._copy is not None:
                self._fail(error)
            raise
        self._append_error = None
        if self._copy is not None:
            try:
                self._copy.write(chunks)
            except OSError as error:
                self._fail(error)

    def _write(self, chunks: Sequence[bytes]) -> None:
        if self._file is None or not self._file.sound:
            raise self._compact_error or OSError(errno.EIO, os.strerror(errno.EIO))
        self._file.write(chunks)

    def fall_behind(self) -> None:
        """Note in place, where an append failed, that something may be otherwise than the file says."""
        if not self.behind and self._file is not None:
            try:
                os.pwrite(self._file.descriptor, _behind(self._spell(self._format)), 0)
            except OSError as error:  # on a read-only disk; what the operator must do is the same
                self._append_error = error
        self.behind = True

    # Compaction

    def tend(self) -> None:
        """Do a piece of a compaction that is due or under way. One that failed is tried again after `RETRY_S`."""
        if self._copy is None:
            if self._clock() < self._retry_at or not self._is_due:
                return
            try:
                self._begin()
            except OSError as error:
                self._fail(error)
        else:
            try:
                self._go_on()
            except OSError as error:
                self._fail(error)

    def rewrite(self) -> None:
        """Compact at once; raise an OSError if that failed and the file is as it was."""
        self._abandon()
        try:
            self._begin()
            while self._copy is not None:
                self._go_on()
        except OSError as error:
            self._fail(error)
            raise

    @property
    def _is_due(self) -> bool:
        """Whether to write the file again: it cannot be appended to, it is behind, or it is much larger than its content.

        The content is counted only after each 16 KiB, because that takes longer than to append a record.
        """
        file = self._file
        if file is None or not file.sound or self.behind or self._append_error or self._compact_error:
            return True
        if file.octets <= self._look_at:
            return False
        self._look_at = file.octets + LOOK_OCTETS
        return file.octets > max(OCTETS_MIN, GROWTH_MAX * self._content.count() * self._entry_octets)

    def _begin(self) -> None:
        """Make the new file, with its header. O_EXCL refuses a file or a link that another process put there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._fresh, dir_fd=self._directory)  # of a life that ended within a compaction
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY
        self._copy = _File(os.open(self._fresh, flags, 0o600, dir_fd=self._directory))
        self._slices, self._copied = self._content.slices(), 0
        self._copy.write([self._spell(self._format)])
        self._copy.records = 0

    def _go_on(self) -> None:
        """Copy one piece of the content; when there is none left, put the new file in the place of the old one.

        The rename is atomic, so a daemon that dies here leaves either file whole.
        """
        assert self._copy is not None
        found = next(self._slices, None)
        if found is not None:
            chunks = [self._frame.pack(record) for record in found]
            self._copy.write(chunks)
            self._copied += sum(map(len, chunks))
            return
        os.rename(self._fresh, self._path.name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        if self._file is not None:
            self._file.close()
        self._file, self._copy = self._copy, None
        if (count := self._content.count()) >= MEASURED_MIN:
            self._entry_octets = self._copied / count
        self._append_error = self._compact_error = None
        self.behind = False
        self._look_at = self._file.octets

    def _fail(self, error: OSError) -> None:
        """Give a compaction up for now."""
        self._compact_error = error
        self._retry_at = self._clock() + RETRY_S
        self._abandon()

    def _abandon(self) -> None:
        if self._copy is None:
            return
        self._copy.close()
        self._copy = None
        with contextlib.suppress(OSError):
            os.unlink(self._fresh, dir_fd=self._directory)

    def close(self) -> None:
        self._abandon()
        if self._file is not None:
            self._file.close()
            self._file = None
        os.close(self._directory)

    # What may be read

    def status(self) -> JournalStatus:
        file, error = self._file, self._append_error or self._compact_error
        if error is None:
            trouble = ""
        else:
            what = "written" if self._append_error is not None else "compacted"
            trouble = f"{self._path} cannot be {what}: {error.strerror or error}"
        return JournalStatus(
            path=str(self._path),
            octets=0 if file is None else file.octets,
            records=0 if file is None else file.records,
            trouble=trouble,
        )


def _behind(header: bytes) -> bytes:
    """Return the header of a file that is behind: a tab for the first space, so that it is JSON and as long as before."""
    return header.replace(b" ", b"\t", 1)


_SAFELY: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_OURS: Final = frozenset({errno.ELOOP, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENXIO})
"""Refusals to open that say whose the file is, and not that something is short for a moment."""
