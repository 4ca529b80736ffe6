"""The filters of Ethernet segments: rows, and the elements of nftables sets that make them.

A port of a segment has one row for each VNI. It says which flooded frames may leave by the port:

    state    joining   no flooded frame in or out: other VTEPs may not yet know that this leaf is on the segment
             non-df    none that came through the tunnel (RFC 7432 8.5)
             df        all, but for those of `biased`
             standby   no frame at all, flooded or not: the segment is single-active (RFC 7432 14.1.1), and another VTEP forwards
    biased   the VTEPs of the segment: what one of them floods, it has sent to the segment itself (RFC 8365 8.3.1)

A frame whose destination is a MAC of the segment (`MacEntry`) passes whatever the row says, but for `standby`. So a frame to an unknown MAC is
treated as flooded, because no rule of nftables can see what the bridge knows.

`FilterTable` keeps the elements as they were when last read or written. A change of rows becomes the difference of two sets of
elements, in one transaction: all of it takes effect at once, or nothing. If the tables are not whole (another program removed a
rule, or everything), the same transaction makes them again, with every element that was known. So after a foreign flush the first
write makes everything, and not its own rows alone. With the last row the tables go.

**Marks.** The bridge knows a VTEP by a mark on its frames. The number is chosen here, the lowest that is free, and is read back
from the map, so no other part knows it. The upper half is fixed, because other programs use small marks.

Knows neither VNIs nor which rows are wanted. What carries a transaction out is a `Nftables`: the kernel's (`linux.nftables`), or one
in memory.
"""

import errno
import sys
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Final, Protocol, TypeAlias

from msgspec import Struct

from vtep.addr import Ip, Mac
from vtep.linux.wire.neighbor import Refusal, Verb
from vtep.linux.wire.nftables import (
    BIAS,
    BLOCKED,
    JOINING,
    MACS,
    PEERS4,
    PEERS6,
    PORTS,
    STANDBY,
    WHOLE,
    Base,
    Element,
    filled,
    interface,
    read_interface,
)
from vtep.linux.wire.tlv import Answer

JOINING_STATE: Final = "joining"
NON_DF: Final = "non-df"
DF: Final = "df"
STANDBY_STATE: Final = "standby"
MARKS: Final = 0x7674_0000
"""Marks are above this number."""
MARKS_MAX: Final = 0xFFFF
_MAC_AT: Final = 16
_PORT_AT: Final = 24
"""Where the MAC and the port are in the key of a MAC, after the VXLAN device."""


class PortEntry(Struct, frozen=True):
    """Which flooded frames may leave by a port, of those of one VXLAN device."""

    vxlan: str
    port: str
    state: str
    biased: tuple[Ip, ...] = ()
    """In the order of addresses."""


class MacEntry(Struct, frozen=True, gc=False):
    """Frames of this VXLAN device to this MAC may leave by the port."""

    vxlan: str
    mac: Mac
    port: str


FilterEntry: TypeAlias = PortEntry | MacEntry


class FilterMessage(Struct, frozen=True, gc=False):
    """One row to write or to delete."""

    verb: Verb
    entry: FilterEntry

    also: ClassVar[tuple[()]] = ()


def blocked_ports(messages: Sequence[FilterMessage]) -> list[str]:
    """Return the ports that pass no frame from now on. What the bridge has learned there is not true any more."""
    return [
        entry.port
        for message in messages
        if isinstance(entry := message.entry, PortEntry)
        and message.verb is not Verb.DELETE
        and entry.state == STANDBY_STATE
    ]


class Nftables(Protocol):
    """Where transactions are carried out."""

    def base(self) -> Base: ...
    def elements(self) -> set[Element]: ...
    def dropped(self) -> dict[str, int]:
        """Return how many frames were dropped since the tables were made, by the set that named them."""

    def transact(self, add: Collection[Element], remove: Collection[Element], *, make: bool) -> Answer: ...
    def drop(self) -> Answer:
        """Remove the tables."""


_FREE: Final = nullcontext()


class FilterTable:
    """The rows of one namespace."""

    def __init__(self, nft: Nftables, turn: AbstractContextManager[object] = _FREE) -> None:
        """Make a table; `turn` is a lock where a survey reads in a thread while small passes write."""
        self.nft = nft
        self._turn = turn
        self.vxlans: frozenset[str] | None = None
        """The VXLAN devices that there may be rows for; None: any. Rows for others are dropped with the next write."""
        self._known = False
        self._whole = False
        self._macs: dict[bytes, Element] = {}
        """By VXLAN device and MAC, which is behind one port."""
        self._found: frozenset[bytes] = frozenset()
        """Those that were there before this table wrote any."""
        self._others: set[Element] = set()
        """The elements of all other sets, which are few."""
        self._ports: dict[tuple[str, str], PortEntry] = {}
        self._marks: dict[Ip, int] = {}

    def is_there(self) -> bool:
        """Tell whether there is any of our tables; raise KernelError where the kernel has no nftables for us."""
        with self._turn:
            return bool(self.nft.base().tables)

    def entries(self) -> list[FilterEntry]:
        """Read all rows. Elements of tables that are not whole have no effect, so they are no rows."""
        with self._turn:
            self._read()
            if not self._whole:
                return []
            return [*self._ports.values(), *map(_mac_of, self._macs.values())]

    def drop_others(self) -> None:
        """Remove the rows of VXLAN devices that no VNI has any more, as no row of those that are left need ever change."""
        with self._turn:
            allowed = self.vxlans
            if not self._known or allowed is None:
                return
            named = {vxlan for vxlan, _ in self._ports} | {read_interface(name[:_MAC_AT]) for name in self._found}
            if named - allowed:
                self._known = not self._try(()).errno

    def send(self, messages: Sequence[FilterMessage]) -> list[Refusal]:
        """Carry all messages out, or refuse all."""
        with self._turn:
            if not self._known:
                self._read()
            answer = self._try(messages)
            if answer.errno in _STALE:
                self._read()
                answer = self._try(messages)
            self._known = not answer.errno  # it may have been carried out all the same, if only the answer was lost
        if not answer.errno:
            return []
        return [Refusal(index, answer.errno, answer.text) for index in range(len(messages))]

    def _read(self) -> None:
        base = self.nft.base()
        was_known, self._known, self._whole = bool(self._ports or self._macs), True, base == WHOLE
        if was_known and not self._whole:
            return  # what is missing is made again by the next write, out of what was known
        elements = self.nft.elements() if base.tables else set()
        if not was_known:
            self._found = frozenset(one.key[:_PORT_AT] for one in elements if one.set == MACS)
        self._macs = {one.key[:_PORT_AT]: one for one in elements if one.set == MACS}
        self._others = {one for one in elements if one.set != MACS}
        self._marks = {
            Ip(one.key): int.from_bytes(one.data, sys.byteorder) - MARKS
            for one in self._others
            if one.set in (PEERS4, PEERS6)
        }
        self._ports = _ports_of(self._others, {number: ip for ip, number in self._marks.items()})

    def _try(self, messages: Sequence[FilterMessage]) -> Answer:
        # What a VNI left that is configured no longer would block the port of the segment in all other VNIs, if it was joining.
        ports = {pair: entry for pair, entry in self._ports.items() if self.vxlans is None or pair[0] in self.vxlans}
        allowed = self.vxlans
        macs: dict[bytes, Element | None] = dict.fromkeys(
            name for name in self._found if allowed is not None and read_interface(name[:_MAC_AT]) not in allowed
        )
        for message in messages:
            entry, gone = message.entry, message.verb is Verb.DELETE
            if isinstance(entry, MacEntry):
                element = _mac_element(entry)
                macs[element.key[:_PORT_AT]] = None if gone else element
            elif gone:
                ports.pop((entry.vxlan, entry.port), None)
            else:
                ports[entry.vxlan, entry.port] = entry
        marks = _numbered({ip for entry in ports.values() for ip in entry.biased}, self._marks)
        others = set(_elements_of(ports.values(), marks))
        before = {name: self._macs.get(name) for name in macs}
        if not ports and not any({**self._macs, **macs}.values()):
            return self._drop()
        make = not self._whole
        if make:
            add = others | {one for one in (self._macs | macs).values() if one is not None}
            remove = set[Element]()
        else:
            add = {one for name, one in macs.items() if one is not None and one != before[name]} | others - self._others
            remove = {
                one for name, one in before.items() if one is not None and one != macs[name]
            } | self._others - others
        answer = self.nft.transact(add, remove, make=make) if make or add or remove else Answer(0)
        if not answer.errno:
            for name, one in macs.items():
                if one is None:
                    self._macs.pop(name, None)
                else:
                    self._macs[name] = one
            self._found = frozenset()
            self._ports, self._others, self._marks, self._whole = ports, others, marks, True
        return answer

    def _drop(self) -> Answer:
        """Remove the tables, because no row is left."""
        answer = self.nft.drop()
        if not answer.errno:
            self._macs, self._others, self._ports, self._marks, self._whole = {}, set(), {}, {}, False
        return answer


_STALE: Final = (errno.ENOENT, errno.EEXIST, errno.EBUSY)
"""The elements are not what was known: another program changed them."""


def _numbered(peers: set[Ip], known: dict[Ip, int]) -> dict[Ip, int]:
    """Return a number for each of these VTEPs, which keep the one that they have."""
    kept = {ip: number for ip, number in known.items() if ip in peers and 0 < number <= MARKS_MAX}
    taken, number = set(kept.values()), 1
    for ip in sorted(peers - kept.keys(), key=lambda ip: ip.order):
        while number in taken:
            number += 1
        kept[ip] = number
        taken.add(number)
    return kept


def _elements_of(entries: Iterable[PortEntry], marks: dict[Ip, int]) -> Iterable[Element]:
    for ip, number in marks.items():
        yield Element(PEERS6 if ip.is_v6 else PEERS4, bytes(ip), _mark(number))
    for entry in entries:
        vxlan, port = interface(entry.vxlan), interface(entry.port)
        yield Element(PORTS, vxlan + port)
        if entry.state != DF:
            yield Element(BLOCKED, vxlan + port)
        if entry.state == JOINING_STATE:
            yield Element(JOINING, port)
        if entry.state == STANDBY_STATE:
            yield Element(STANDBY, port)
        for ip in entry.biased:
            yield Element(BIAS, _mark(marks[ip]) + vxlan + port)


def _ports_of(elements: set[Element], peers: dict[int, Ip]) -> dict[tuple[str, str], PortEntry]:
    biased: dict[bytes, list[Ip]] = {}
    for element in elements:
        if element.set == BIAS:
            number = int.from_bytes(element.key[:4], sys.byteorder) - MARKS
            if (ip := peers.get(number)) is not None:
                biased.setdefault(element.key[4:], []).append(ip)
    found = {}
    for element in elements:
        if element.set != PORTS:
            continue
        pair, port = element.key, element.key[16:]
        state = JOINING_STATE if Element(JOINING, port) in elements else NON_DF
        if Element(BLOCKED, pair) not in elements:
            state = DF
        if Element(STANDBY, port) in elements:
            state = STANDBY_STATE
        names = read_interface(pair[:16]), read_interface(port)
        found[names] = PortEntry(*names, state, tuple(sorted(biased.get(pair, ()), key=lambda ip: ip.order)))
    return found


def _mac_element(entry: MacEntry) -> Element:
    return Element(MACS, interface(entry.vxlan) + filled(entry.mac) + interface(entry.port))


def _mac_of(element: Element) -> MacEntry:
    key = element.key
    return MacEntry(read_interface(key[:16]), Mac(key[16:22]), read_interface(key[24:]))


def _mark(number: int) -> bytes:
    return (MARKS + number).to_bytes(4, sys.byteorder)
