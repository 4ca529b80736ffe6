"""Many neighbor messages as one datagram: the fast path of writing rows.

Its door is `pack`. It gives the same octets as `neighbor.encode` for each message, one after the other, with two differences
that the kernel allows:

1. Messages that differ in nothing but the MAC, a *run*, share one sequence number. No MAC is in a run twice, so that the
   sequence number and the MAC together name one message, and a refusal, which echoes both, finds its message.
2. Only the last message asks for an acknowledgement. The kernel handles the messages of a datagram in order, so when that
   acknowledgement comes, every message before it was carried out or refused. Without it, nothing is known of any.

A remote MAC is 48 octets, of which 42 are the same for all MACs behind one VTEP. So a run is encoded once, with any MAC, and
then joined around the MACs.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from vtep.addr import ZERO_MAC, Mac
from vtep.linux.wire.neighbor import Neighbor, encode
from vtep.linux.wire.tlv import ECHOED_MAC


class Batch(Struct, frozen=True):
    """Messages as one datagram. Each run has its own sequence number, so that (sequence number, MAC) names one message."""

    datagram: bytes
    seq: int
    runs: tuple["Run", ...]

    @property
    def barrier(self) -> int:
        """The sequence number of the last message, which alone is acknowledged: its answer comes after all others."""
        return self.seq + len(self.runs) - 1

    @property
    def count(self) -> int:
        """How many messages there are."""
        last = self.runs[-1]
        return last.first + len(last.macs)

    def find(self, seq: int, mac: Mac) -> tuple[int, int]:
        """Return the index of a message, and the flags that it asked for."""
        run = self.runs[seq - self.seq]
        return run.first + run.macs.index(mac), run.flags


class Run(Struct, frozen=True, gc=False):
    """Messages that differ only in the MAC, and no MAC twice."""

    first: int
    """The index of the first one."""
    macs: tuple[Mac, ...]
    flags: int


def pack(messages: Sequence[Neighbor], seq: int) -> Batch:
    """Join runs: 0.06 us a message for many alike, 0.25 us for others of a long run, 1 us for one alone."""
    runs: list[Run] = []
    chunks: list[bytes] = []
    first = 0
    for shape, macs, acknowledged in _runs(messages):
        head, middle, tail = _frame(shape, acknowledged)
        before = head + _U32.pack(seq + len(runs)) + middle
        chunks += before, (tail + before).join(macs), tail
        runs.append(Run(first, macs, shape[_FLAGS]))
        first += len(macs)
    return Batch(b"".join(chunks), seq, tuple(runs))


def singly(messages: Iterable[Neighbor]) -> Iterator[Neighbor]:
    """Yield each message by itself."""
    for message in messages:
        if not message.also:
            yield message
            continue
        for mac in message.macs:
            yield replace(message, mac=mac, also=())


def portions(messages: Iterable[Neighbor], most: int) -> Iterator[list[Neighbor]]:
    """Cut into lists of at most so many messages; each of many alike counts as one."""
    messages = list(messages)
    if sum([1 + len(message.also) for message in messages]) <= most:
        yield from filter(None, (messages,))
        return
    portion: list[Neighbor] = []
    room = most
    for message in messages:
        macs = message.macs
        while macs:
            taken, macs = macs[:room], macs[room:]
            portion.append(replace(message, mac=taken[0], also=taken[1:]) if message.also else message)
            room -= len(taken)
            if not room:
                yield portion
                portion, room = [], most
    if portion:
        yield portion


_SHAPE: Final = tuple(field for field in Neighbor.__struct_fields__ if field not in ("mac", "also"))
"""All of a message but its MACs, in the order of its fields."""
_BEFORE_MAC: Final = Neighbor.__struct_fields__.index("mac")
_FLAGS: Final = _SHAPE.index("flags")
_shape: Final[Callable[[Neighbor], tuple[Any, ...]]] = attrgetter(*_SHAPE)
_SEQ: Final = slice(8, 12)
_U32: Final = struct.Struct("=I")


def _runs(messages: Sequence[Neighbor]) -> Iterator[tuple[tuple[Any, ...], tuple[Mac, ...], bool]]:
    """Split where anything but the MAC changes, where a MAC repeats, and before the last message, which is acknowledged."""
    *runs, (last_shape, last_macs) = [(shape, _macs(alike)) for shape, alike in groupby(messages, _shape)]
    for shape, macs in (*runs, (last_shape, last_macs[:-1])):
        if len(set(macs)) < len(macs):
            yield from ((shape, (mac,), False) for mac in macs)
        elif macs:
            yield shape, macs, False
    yield last_shape, last_macs[-1:], True


def _macs(messages: Iterable[Neighbor]) -> tuple[Mac, ...]:
    first, *others = messages
    if not others:
        return first.macs
    macs = list(first.macs)
    for message in others:
        macs.append(message.mac)
        macs += message.also
    return tuple(macs)


@lru_cache(maxsize=4096)
def _frame(shape: tuple[Any, ...], acknowledged: bool) -> tuple[bytes, bytes, bytes]:
    """Return what is before the sequence number, between that and the MAC, and after the MAC."""
    fields = (*shape[:_BEFORE_MAC], ZERO_MAC, *shape[_BEFORE_MAC:])
    octets = encode(Neighbor(*fields), 0, acknowledged=acknowledged)
    return octets[: _SEQ.start], octets[_SEQ.stop : ECHOED_MAC], octets[ECHOED_MAC + 6 :]
