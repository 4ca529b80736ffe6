"""Neighbor messages as plain values: rows to write, rows as the kernel reports them, and its refusals.

Knows the octets of rtnetlink's neighbor messages. Does not know a socket, whose a row is, or why it is wanted.

A remote MAC behind an IPv4 VTEP is one message of 48 octets, all of it in the host's byte order but for the addresses:

    nlmsghdr   length 4 · type 2 · flags 2 · seq 4 · port id 4
    ndmsg      family 1 · pad 3 · ifindex 4 · state 2 · flags 1 · type 1
    NDA_LLADDR 10 00 02 00 · MAC 6 · pad 2            always the first attribute: answers are attributed by it
    NDA_DST    08 00 01 00 · VTEP 4

The kernel does the MASTER half (bridge) first, then the SELF half (VXLAN), and stops at the first error without undoing
the first half. It clears the flag of a half as that half succeeds, and the refusal echoes the request so changed.
"""

import enum
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from vtep.addr import Ip, Mac

AF_INET: Final = 2
AF_BRIDGE: Final = 7
AF_INET6: Final = 10

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22
RTM_NEWNEIGH: Final = 28
RTM_DELNEIGH: Final = 29
RTM_GETNEIGH: Final = 30

NLM_F_REQUEST: Final = 0x01
NLM_F_ACK: Final = 0x04
NLM_F_DUMP_INTR: Final = 0x10
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_DUMP: Final = 0x300
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800
NLM_F_CAPPED: Final = 0x100
NLM_F_ACK_TLVS: Final = 0x200
NLMSGERR_ATTR_MSG: Final = 1

NUD_REACHABLE: Final = 0x02
NUD_STALE: Final = 0x04
NUD_DELAY: Final = 0x08
NUD_PROBE: Final = 0x10
NUD_NOARP: Final = 0x40
NUD_PERMANENT: Final = 0x80

NTF_SELF: Final = 0x02
NTF_MASTER: Final = 0x04
NTF_EXT_LEARNED: Final = 0x10
NTF_STICKY: Final = 0x40
NTF_ROUTER: Final = 0x80

NDA_DST: Final = 1
NDA_LLADDR: Final = 2
NDA_CACHEINFO: Final = 3
NDA_VLAN: Final = 5
NDA_PORT: Final = 6
NDA_VNI: Final = 7
NDA_IFINDEX: Final = 8
NDA_MASTER: Final = 9
NDA_SRC_VNI: Final = 11
NDA_PROTOCOL: Final = 12
NDA_NH_ID: Final = 13
NDA_FLAGS_EXT: Final = 15

RTPROT_VTEP: Final = 229
"""Ours in NDA_PROTOCOL; no other program is known to use it."""


class Verb(enum.IntEnum):
    """What a message does; the value is the netlink flags that ask for it."""

    DELETE = 0
    REPLACE = NLM_F_CREATE | NLM_F_REPLACE
    CREATE = NLM_F_CREATE | NLM_F_EXCL
    APPEND = NLM_F_CREATE | NLM_F_APPEND


class Half(enum.IntEnum):
    """One remote MAC is two rows; the value is the flag that names the one."""

    VXLAN = NTF_SELF
    BRIDGE = NTF_MASTER


class Neighbor(Struct, frozen=True, gc=False):
    """One row to write or to delete, or many at once that differ in nothing but the MAC: each is a message of its own."""

    verb: Verb
    port: int
    """The device's index: for FDB rows the bridge port, for ARP and ND rows the bridge or its SVI."""
    mac: Mac
    flags: int
    state: int
    dst: Ip | None = None
    """The VTEP."""
    vni: int | None = None
    """The encapsulation's VNI where it is not the device's own."""
    family: int = AF_BRIDGE
    ip: Ip | None = None
    """The host address of an ARP or ND row."""
    protocol: int | None = None
    """Who wrote it; kept by ARP and ND rows, dropped by FDB rows."""
    also: tuple[Mac, ...] = ()
    """The MACs of the messages after the first."""

    @property
    def macs(self) -> tuple[Mac, ...]:
        return (self.mac, *self.also)


class Entry(Struct, frozen=True, gc=False):
    """One row as the kernel dumps, answers or announces it. What it did not report is absent."""

    port: int
    master: int | None
    """The bridge; VXLAN rows have none."""
    mac: Mac
    flags: int
    state: int
    dst: Ip | None = None
    vni: int | None = None
    src_vni: int | None = None
    vlan: int | None = None
    nh_id: int | None = None
    protocol: int | None = None
    udp_port: int | None = None
    """The VTEP's UDP port where it is not the device's own."""
    via: int | None = None
    """The device that the tunnel's packets must leave by."""
    family: int = AF_BRIDGE
    ip: Ip | None = None
    """The host address of an ARP or ND row."""

    @property
    def is_address_list(self) -> bool:
        """True for what a network card listens to, which travels as FDB rows and is none.

        The bare notification that 6.1 and 6.12 add to each VXLAN write looks the same and says as little.
        """
        return self.family == AF_BRIDGE and bool(self.flags & NTF_SELF) and self.dst is None and self.nh_id is None


class Answer(Struct, frozen=True, gc=False):
    """The end of a request: errno 0 is success. The echoed request's flags and MAC are there only when it failed."""

    errno: int
    text: str = ""
    flags: int = 0
    mac: Mac | None = None
    interrupted: bool = False
    """A dump that the kernel itself calls inconsistent (NLM_F_DUMP_INTR)."""


class Refusal(Struct, frozen=True, gc=False):
    """One message of a send that the kernel did not carry out in full."""

    index: int
    """Each of many alike has its own."""
    errno: int
    text: str = ""
    bridge_done: bool = False
    """The bridge half of this message was written or deleted all the same."""
    vxlan_done: bool = False


class Hints(Struct, frozen=True):
    """What may have changed; the values are to be read back."""

    keys: frozenset[tuple[int, Mac]] = frozenset()
    """Port and MAC of FDB rows."""
    gone: frozenset[tuple[int, Mac]] = frozenset()
    """Those of them of which only deletions were announced."""
    hosts: frozenset[tuple[int, Ip]] = frozenset()
    """Device and address of ARP and ND rows."""
    links_changed: bool = False
    bounced: frozenset[int] = frozenset()
    """Devices that came or went, went up or down, or left a bridge: rows may have gone with that, and not all of them tell."""
    addresses_changed: bool = False
    """Of this machine's own devices."""
    overrun: bool = False
    """Events were lost: anything may have changed."""


class Batch(Struct, frozen=True):
    """Messages as one datagram. Each run has its own seq, so that (seq, MAC) names one message."""

    datagram: bytes
    seq: int
    runs: tuple["Run", ...]

    @property
    def barrier(self) -> int:
        """The seq of the last message, which alone is acknowledged: its answer comes after all others."""
        return self.seq + len(self.runs) - 1

    @property
    def count(self) -> int:
        """How many messages there are."""
        last = self.runs[-1]
        return last.first + len(last.macs)

    def find(self, seq: int, mac: Mac) -> tuple[int, int]:
        """Return a message's index, and its flags as they were asked."""
        run = self.runs[seq - self.seq]
        return run.first + run.macs.index(mac), run.flags


class Run(Struct, frozen=True, gc=False):
    """Messages that differ only in the MAC, and no MAC twice."""

    first: int
    """The index of the first one."""
    macs: tuple[Mac, ...]
    flags: int


Parsed: TypeAlias = tuple[int, int, "Entry | Answer"]


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
    """Cut into lists of so many messages at most, each of many alike being one of them."""
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


def request_row(port: int, mac: Mac, half: Half, seq: int) -> bytes:
    """Ask for one row. The bridge answers for its whole table, whatever port the row is on now."""
    return (
        _HEADER.pack(40, RTM_GETNEIGH, NLM_F_REQUEST, seq, 0)
        + _NDMSG.pack(AF_BRIDGE, port, 0, half)
        + _attribute(NDA_LLADDR, mac)
    )


def request_host(device: int, ip: Ip, seq: int) -> bytes:
    """Ask for one ARP or ND row."""
    address = _attribute(NDA_DST, ip)
    return (
        _HEADER.pack(_HEADER.size + _NDMSG.size + len(address), RTM_GETNEIGH, NLM_F_REQUEST, seq, 0)
        + _NDMSG.pack(AF_INET6 if ip.is_v6 else AF_INET, device, 0, 0)
        + address
    )


def request_rows(seq: int, *, bridge: int = 0, port: int = 0) -> bytes:
    """Ask for all rows of one bridge, both halves, or of one port."""
    master = _attribute(NDA_MASTER, _U32.pack(bridge)) if bridge else b""
    length = _HEADER.size + _NDMSG.size + len(master)
    header = _HEADER.pack(length, RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, seq, 0)
    return header + _NDMSG.pack(AF_BRIDGE, port, 0, 0) + master


def request_neighbors(seq: int, device: int) -> bytes:
    """Ask for the ARP and ND rows of one device."""
    device_filter = _attribute(NDA_IFINDEX, _U32.pack(device))
    length = _HEADER.size + _NDMSG.size + len(device_filter)
    header = _HEADER.pack(length, RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, seq, 0)
    return header + _NDMSG.pack(0, 0, 0, 0) + device_filter


def parse_neighbors(datagram: bytes) -> Iterator[Parsed]:
    """Yield (type, seq, entry or answer) for each message, 1.5 us a row; messages of other types are passed over."""
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, "the dump was interrupted", interrupted=True)
        if kind in (RTM_NEWNEIGH, RTM_DELNEIGH):
            yield kind, seq, _entry(datagram, start, end)
        elif kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)


def split(datagram: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield (type, flags, seq, start of the body, end of the body) for each message."""
    offset, size = 0, len(datagram)
    while offset + 16 <= size:
        length, kind, flags, seq, _ = _HEADER.unpack_from(datagram, offset)
        if length < 16 or offset + length > size:
            return
        yield kind, flags, seq, offset + 16, offset + length
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int, end: int) -> dict[int, bytes]:
    """Read a list of attributes; of several of one type the last stays."""
    found = {}
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def parse_answer(datagram: bytes, kind: int, flags: int, start: int, end: int) -> Answer:
    """Read NLMSG_ERROR, or NLMSG_DONE, where a refused dump hides its errno."""
    if end - start < 4:
        return Answer(0)
    (code,) = _I32.unpack_from(datagram, start)
    offset, echoed_flags, mac = start + 4, 0, None
    if kind == NLMSG_ERROR:
        (length,) = _U32.unpack_from(datagram, offset)
        offset += 16 if flags & NLM_F_CAPPED else (length + 3) & ~3
        if offset - start >= 4 + _MAC_OFFSET + 6:
            echoed_flags = datagram[start + 4 + _FLAGS_OFFSET]
            mac = Mac(datagram[start + 4 + _MAC_OFFSET : start + 4 + _MAC_OFFSET + 6])
    said = attributes(datagram, offset, end) if flags & NLM_F_ACK_TLVS else {}
    text = said.get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
    return Answer(-code, text, echoed_flags, mac)


_HEADER: Final = struct.Struct("=IHHII")
_NDMSG: Final = struct.Struct("=BxxxiHBx")
_ATTRIBUTE: Final = struct.Struct("=HH")
_U32: Final = struct.Struct("=I")
_I32: Final = struct.Struct("=i")
_TYPE_MASK: Final = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_FLAGS_OFFSET: Final = 26
_MAC_OFFSET: Final = 32

_shape: Final[Callable[[Neighbor], tuple[Any, ...]]] = attrgetter(
    "verb", "port", "flags", "state", "dst", "vni", "family", "ip", "protocol"
)
_FLAGS: Final = 2


def _runs(messages: Sequence[Neighbor]) -> Iterator[tuple[tuple[Any, ...], tuple[Mac, ...], bool]]:
    """Split where anything but the MAC changes, where a MAC repeats, and before the last message, which is marked."""
    *runs, (last_shape, last_macs) = [(shape, _macs(alike)) for shape, alike in groupby(messages, _shape)]
    for shape, macs in (*runs, (last_shape, last_macs[:-1])):
        if len(set(macs)) < len(macs):
            yield from ((shape, (mac,), False) for mac in macs)
        elif macs:
            yield shape, macs, False
    yield last_shape, last_macs[-1:], True


def _macs(messages: Iterable[Neighbor]) -> tuple[Mac, ...]:
    macs: list[Mac] = []
    for message in messages:
        macs.append(message.mac)
        macs += message.also
    return tuple(macs)


@lru_cache(maxsize=4096)
def _frame(shape: tuple[Any, ...], acknowledged: bool) -> tuple[bytes, bytes, bytes]:
    """Return what stands before the seq, between seq and MAC, and after the MAC."""
    verb, port, flags, state, dst, vni, family, ip, protocol = shape
    tail = b"\0\0"
    if address := dst if family == AF_BRIDGE else ip:
        tail += _attribute(NDA_DST, address)
    if vni is not None:
        tail += _attribute(NDA_VNI, _U32.pack(vni))
    if protocol is not None:
        tail += _attribute(NDA_PROTOCOL, bytes((protocol,)))
    kind = RTM_DELNEIGH if verb is Verb.DELETE else RTM_NEWNEIGH
    asked = NLM_F_REQUEST | verb | (NLM_F_ACK if acknowledged else 0)
    header = _HEADER.pack(_MAC_OFFSET + 6 + len(tail), kind, asked, 0, 0)
    middle = header[12:] + _NDMSG.pack(family, port, state, flags) + _ATTRIBUTE.pack(10, NDA_LLADDR)
    return header[:8], middle, tail


def _attribute(kind: int, payload: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


# Most rows of a dump have one of two layouts (6.1 to 6.18), which one unpack reads. Anything else is walked.
_BRIDGE_ROW: Final = struct.Struct("=BxxxiHBx I6s2x II I4x I16x")
_VXLAN_ROW: Final = struct.Struct("=BxxxiHBx I6s2x I4s I16x")
_IS_LLADDR, _IS_MASTER, _IS_FLAGS_EXT, _IS_DST, _IS_CACHEINFO = (
    _U32.unpack(_ATTRIBUTE.pack(length, kind))[0]
    for length, kind in ((10, NDA_LLADDR), (8, NDA_MASTER), (8, NDA_FLAGS_EXT), (8, NDA_DST), (20, NDA_CACHEINFO))
)


def _entry(datagram: bytes, start: int, end: int) -> Entry:
    if end - start == _BRIDGE_ROW.size:
        family, port, state, flags, a, mac, b, master, c, d = _BRIDGE_ROW.unpack_from(datagram, start)
        if a == _IS_LLADDR and b == _IS_MASTER and c == _IS_FLAGS_EXT and d == _IS_CACHEINFO and family == AF_BRIDGE:
            return Entry(port, master, Mac(mac), flags, state)
    elif end - start == _VXLAN_ROW.size:
        family, port, state, flags, a, mac, b, dst, c = _VXLAN_ROW.unpack_from(datagram, start)
        if a == _IS_LLADDR and b == _IS_DST and c == _IS_CACHEINFO and family == AF_BRIDGE:
            return Entry(port, None, Mac(mac), flags, state, _ip(dst))
    return _walked_entry(datagram, start, end)


def _walked_entry(datagram: bytes, start: int, end: int) -> Entry:
    family, port, state, flags = _NDMSG.unpack_from(datagram, start)
    found = attributes(datagram, start + _NDMSG.size, end)
    address, lladdr = found.get(NDA_DST), found.get(NDA_LLADDR, b"")
    ip = _ip(address) if address else None
    return Entry(
        port=port,
        master=_number(found.get(NDA_MASTER)),
        mac=Mac(lladdr if len(lladdr) == 6 else 6),
        flags=flags,
        state=state,
        dst=ip if family == AF_BRIDGE else None,
        vni=_number(found.get(NDA_VNI)),
        src_vni=_number(found.get(NDA_SRC_VNI)),
        vlan=_number(found.get(NDA_VLAN)),
        nh_id=_number(found.get(NDA_NH_ID)),
        protocol=_number(found.get(NDA_PROTOCOL)),
        udp_port=int.from_bytes(found[NDA_PORT]) if NDA_PORT in found else None,
        via=_number(found.get(NDA_IFINDEX)),
        family=family,
        ip=None if family == AF_BRIDGE else ip,
    )


def _number(octets: bytes | None) -> int | None:
    return None if octets is None else int.from_bytes(octets, sys.byteorder)


@lru_cache(maxsize=16384)
def _ip(octets: bytes) -> Ip:
    return Ip.unpack(octets)
