"""The items that arrive at the daemon's end of the feed, and how octets become items.

This module knows where a line ends and which lines are the relay's own (`vtep.feed.exabgp.relay` has the drawing). It does not
know sockets, time, or what a line of ExaBGP says.
"""

from typing import Annotated, Final, TypeAlias, assert_never

import msgspec
from msgspec import Meta, Struct

from vtep.errors import StreamError
from vtep.feed.exabgp.relay import MARK, VERSION

LINE_MAX: Final = 4 << 20
"""The longest line that is decoded. Of a longer one only the head is kept, and its peer must send its routes again."""
HEAD_OCTETS: Final = 200
"""Octets kept of an overlong line: usually enough to find its peer, so that no other one must send its routes again."""
ITEM_WEIGHT: Final = 64 << 10
"""Of the lines of one item, which are decoded and judged without a pause: some 250 routes, whatever their form."""
OCTETS_WEIGHT: Final = 5
"""UPDATEs as octets take a fifth of what the same routes take decoded: 47 octets of base64 a route for 260, 155 for 830 alone."""

_Count: TypeAlias = Annotated[int, Meta(ge=0)]


class Attached(Struct, frozen=True, tag_field="relay", tag="hello"):
    """A relay is attached; what follows comes from it."""

    version: int
    """Of what the two say to each other. With another one than the daemon's, the connection is refused."""
    exabgp_pid: int
    relay_pid: int
    dropped: _Count
    """Lines that it dropped since it was attached before, or since it started."""
    complete: bool
    """Nothing that ExaBGP has printed is missing from what follows."""
    exabgp_started: _Count = 0
    """When ExaBGP's process began, in clock ticks since the boot; 0 where the relay cannot tell. A pid alone comes again."""
    guarded: bool = True
    """`vtep exabgp` started ExaBGP. Assumed of a relay that does not say it, because it is older than this field."""


class Lines(Struct, frozen=True):
    """Lines of ExaBGP, in order, without their newlines."""

    lines: list[bytes]
    replayed: bool
    """They repeat how each peer's session was before the next line that is not replayed."""


class Lost(Struct, frozen=True, tag_field="relay", tag="dropped"):
    """The relay had to drop so many lines here; the states are replayed next."""

    lines: _Count


class Oversized(Struct, frozen=True):
    """One line that was too long to keep."""

    head: bytes
    octets: int
    """The length of the whole line; `head` has its first HEAD_OCTETS."""


class Detached(Struct, frozen=True):
    """The relay is gone, or a newer relay takes its place."""


Item: TypeAlias = Attached | Lines | Lost | Oversized | Detached


class Framer:
    """Cuts octets into lines, however they arrive. It never holds more of a line than the bound."""

    def __init__(self, line_max: int = LINE_MAX) -> None:
        self._line_max = line_max
        self._part = bytearray()
        self._skipped = 0
        """How long a line that is too long is so far; only its head is held."""

    def feed(self, data: bytes) -> list[bytes | Oversized]:
        """Return the lines that these octets complete."""
        *ends, tail = data.split(b"\n")
        lines = [self._finish(ends[0]), *(self._measured(line) for line in ends[1:])] if ends else []
        self._keep(tail)
        return lines

    def _finish(self, end: bytes) -> bytes | Oversized:
        """Complete the line that earlier octets began."""
        self._keep(end)
        line = bytes(self._part)
        octets = self._skipped
        self._part, self._skipped = bytearray(), 0
        return Oversized(line, octets) if octets else line

    def _keep(self, octets: bytes) -> None:
        if not self._skipped and len(self._part) + len(octets) <= self._line_max:
            self._part += octets
            return
        self._skipped = (self._skipped or len(self._part)) + len(octets)
        self._part = (self._part + octets[:HEAD_OCTETS])[:HEAD_OCTETS]

    def _measured(self, line: bytes) -> bytes | Oversized:
        return line if len(line) <= self._line_max else Oversized(line[:HEAD_OCTETS], len(line))


def _weight(line: bytes) -> int:
    """Return what a line weighs: about as much as its routes have octets as text."""
    octets = line.find(_OCTETS, 0, HEAD_OCTETS + len(_OCTETS)) >= 0
    return OCTETS_WEIGHT * len(line) if octets else len(line)


_OCTETS: Final = b'"type": "updates"'


class _States(Struct, frozen=True, tag_field="relay", tag="states"):
    """What follows is replayed."""


class _Live(Struct, frozen=True, tag_field="relay", tag="live"):
    """What follows is not."""


_Notice: TypeAlias = Attached | Lost | _States | _Live

_decode_notice: Final = msgspec.json.Decoder(_Notice).decode


class Reader:
    """Reads the items of one connection. It refuses a connection that does not begin with a relay's hello."""

    def __init__(self, line_max: int = LINE_MAX) -> None:
        self._framer = Framer(line_max)
        self._greeted = False
        self._replaying = False

    def read(self, data: bytes) -> list[Item]:
        """Return the items that these octets complete, lines in batches.

        A batch ends where its weight would exceed ITEM_WEIGHT, and before each line that is not a line of ExaBGP. So
        the order of lines and notices is kept, and one item never takes long to decode. A line that is heavier than
        that is a batch alone.
        """
        items: list[Item] = []
        batch: list[bytes] = []
        weight = 0
        for line in self._framer.feed(data):
            if not isinstance(line, bytes) or not self._greeted or line.startswith(MARK):
                if batch:
                    items.append(Lines(batch, self._replaying))
                    batch, weight = [], 0
                items += self._special(line)
                continue
            weight += _weight(line)
            if weight > ITEM_WEIGHT and batch:
                items.append(Lines(batch, self._replaying))
                batch, weight = [], _weight(line)
            batch.append(line)
        if batch:
            items.append(Lines(batch, self._replaying))
        return items

    def _special(self, line: bytes | Oversized) -> list[Item]:
        if isinstance(line, bytes):
            return self._notice(line)
        if not self._greeted:
            raise StreamError(f"not a relay: it begins with {line.head!r}")
        return [line]

    def _notice(self, line: bytes) -> list[Item]:
        """Read what the relay says of itself: that it connected, lost lines, or sends the states of sessions first."""
        try:
            notice = _decode_notice(line)
        except msgspec.DecodeError as error:
            raise StreamError(f"not a line of a relay ({error}): {line[:HEAD_OCTETS]!r}") from None
        if not self._greeted and not isinstance(notice, Attached):
            raise StreamError(f"not a relay: it begins with {line[:HEAD_OCTETS]!r}")
        match notice:
            case Attached():
                if notice.version != VERSION:
                    raise StreamError(f"the relay has version {notice.version}, this daemon {VERSION}")
                self._greeted = True
                return [notice]
            case Lost():
                return [notice]
            case _States():
                self._replaying = True
            case _Live():
                self._replaying = False
            case _:
                assert_never(notice)
        return []
