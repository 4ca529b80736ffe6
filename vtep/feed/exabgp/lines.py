"""ExaBGP's lines in, messages out: adds to each decoded line whether anything was lost before it.

`LineReader` remembers two things that ExaBGP prints on its lines, and nothing else in vtep knows them:

    pid       ExaBGP's process. Another one means that every session is new: RESTARTED.
    counter   the number of a line among those of its peer. A jump means that lines were lost: GAP.

A replayed line repeats an old state and has an old counter, so it proves no gap. After lines that are known to be lost
(`forget`), the next counter is the first of a new count, so that one loss is not reported twice.

Answers to commands are not about any peer. They go to `on_answer` in the order of the lines.

Plain ExaBGP 4.2, and early releases of 5.0, print the text of a peer's NOTIFICATION as it came, newlines included. The line that has it then
ends within that text, and the rest looks like lines of its own, an answer for example. `LineReader` takes the cut line for
what it is, and drops what follows it up to the next line of JSON. Text that itself looks like a line of JSON cannot be told
from ExaBGP's own; `vtep exabgp` prints no such newline (`guard`).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from vtep.addr import Ip
from vtep.errors import StreamError
from vtep.evpn.event import (
    Announced,
    Continuity,
    Received,
    SessionClosed,
    SpeakerStopped,
    Unreadable,
    Withdrawn,
)
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.json import Decoded, decode

HEAD_OCTETS: Final = 1024
"""So much of a line that cannot be read is searched for its peer, and kept for people."""


class LineReader:
    """Reads the lines of one stream, in order."""

    def __init__(self, on_answer: Callable[[Answered], None] = lambda _: None) -> None:
        self._on_answer = on_answer
        self._pid: int | None = None
        self._counters: dict[Ip, int] = {}
        """The number of the last line of each peer, where the next one must follow it."""
        self.forms: dict[Ip, str] = {}
        """Of each peer with an UPDATE: "octets" if one came as the peer sent it, "parsed" if ExaBGP decoded all of them."""
        self._cut = False
        """The last line of JSON ended within a peer's text, so what follows may be the rest of that."""

    def read(self, lines: Iterable[bytes], *, replayed: bool = False) -> Iterator[Received | Unreadable]:
        """Return one message for each line."""
        for line in lines:
            if self._cut and self._is_rest(line):
                yield Received(())
                continue
            try:
                decoded = decode(line)
            except StreamError as error:
                self._cut = line.startswith(b"{") and not line.rstrip().endswith(b"}")
                yield self.refuse(line, len(line), str(error))
            else:
                closed = decoded.events and isinstance(decoded.events[0], SessionClosed)
                self._cut = bool(closed) and not _is_whole(line)
                yield self._place(decoded, replayed)

    def refuse(self, head: bytes, octets: int, why: str) -> Unreadable:
        """Return the message for a line that cannot be read; of a very long one there is only the head."""
        head = head[:HEAD_OCTETS]
        peer = _peer_named_in(head)
        self.forget(peer)
        return Unreadable(head, octets, why, peer)

    def forget(self, peer: Ip | None = None) -> None:
        """Take the next line as the first of its peer, or of every peer, because lines are known to be missing."""
        if peer is None:
            self._counters.clear()
        else:
            self._counters.pop(peer, None)

    def end(self) -> None:
        """The stream is over: whatever comes next may be from another ExaBGP."""
        self._pid = None
        self._cut = False
        self.forms.clear()
        self._counters.clear()

    def _is_rest(self, line: bytes) -> bool:
        """Tell whether a line is the rest of the one before, which goes on until that ends or until a line of JSON."""
        self._cut = not line.startswith(b"{") and not _is_whole(line)
        return not line.startswith(b"{")

    def _place(self, decoded: Decoded, replayed: bool) -> Received:
        """Return the message for a decoded line, at its place in the stream."""
        if decoded.answer is not None:
            self._on_answer(decoded.answer)
        continuity = self._continuity(decoded, replayed)
        if decoded.peer is not None:
            self._note_form(decoded, decoded.peer)
        if decoded.events and isinstance(decoded.events[0], SpeakerStopped):
            self.end()
        return Received(
            decoded.events, decoded.time, decoded.peer, continuity, replayed, decoded.bad_nlris, decoded.malformed
        )

    def _note_form(self, decoded: Decoded, peer: Ip) -> None:
        if decoded.from_octets:
            self.forms[peer] = "octets"
        elif decoded.events and peer not in self.forms and isinstance(decoded.events[0], Announced | Withdrawn):
            self.forms[peer] = "parsed"

    def _continuity(self, decoded: Decoded, replayed: bool) -> Continuity:
        """Compare the line's counter with the one before: a gap means lost lines, another process a new ExaBGP."""
        continuity = Continuity.UNBROKEN
        if decoded.pid is not None and decoded.pid != self._pid:
            if self._pid is not None:
                continuity = Continuity.RESTARTED
                self._counters.clear()
            self._pid = decoded.pid
        if decoded.counter is None or decoded.peer is None or replayed:
            return continuity
        last = self._counters.get(decoded.peer)
        if last is not None and decoded.counter != last + 1:
            continuity = Continuity.GAP
        self._counters[decoded.peer] = decoded.counter
        return continuity


def _is_whole(line: bytes) -> bool:
    """Tell whether a line ends as each line about a peer does."""
    return line.rstrip().endswith(b"} }")


_PEER: Final = re.compile(rb'"peer" ?: ?"([0-9A-Fa-f.:]{2,45})"')


def _peer_named_in(head: bytes) -> Ip | None:
    match = _PEER.search(head)
    try:
        return Ip.parse(match[1].decode()) if match else None
    except ValueError:
        return None
