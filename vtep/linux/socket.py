"""The kernel's rtnetlink: sends rows, dumps them, reads them back, and hears of changes.

Knows sockets and errnos, and is the only one that does. Does not know whose a row is or what should be there. Tries
nothing twice but a picture that came out torn: what the kernel refuses is an answer, and its reader decides.

    requests   EXT_ACK on, CAP_ACK off (a refusal must echo its request), strict checking; one user, one request at a time
    dumps      the same once more, since a dump of many rows takes long and must keep no write waiting
    events     of rows and links (`ROWS`), or of what stations do (`STATIONS`), through a filter that passes over rows
               written with EXT_LEARNED

Netlink carries a request out before `send` returns, so that its answers are queued or lost by then: nothing here waits.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, Self, TypeAlias, TypeVar

from msgspec import Struct

from vtep.addr import Ip, Mac
from vtep.errors import KernelError
from vtep.linux.wire.address import Address, device_of_address, parse_address, request_addresses
from vtep.linux.wire.link import Link, Links, device_bounced, parse_link, request_links
from vtep.linux.wire.neighbor import (
    AF_BRIDGE,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    NTF_EXT_LEARNED,
    NTF_MASTER,
    NTF_SELF,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELNEIGH,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    Answer,
    Entry,
    Half,
    Hints,
    Neighbor,
    Parsed,
    Refusal,
    pack,
    parse_answer,
    parse_neighbors,
    portions,
    request_host,
    request_neighbors,
    request_row,
    request_rows,
    split,
)

SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
NETLINK_CAP_ACK: Final = 10
NETLINK_EXT_ACK: Final = 11
NETLINK_GET_STRICT_CHK: Final = 12
SO_ATTACH_FILTER: Final = 26
SO_RCVBUFFORCE: Final = 33
RTNLGRP_LINK: Final = 1
RTNLGRP_NEIGH: Final = 3
RTNLGRP_IPV4_IFADDR: Final = 5
RTNLGRP_IPV6_IFADDR: Final = 9

MESSAGES_PER_SEND: Final = 128
"""From 64 to 128 is best: 256 and more make new VXLAN rows up to seven times slower (per-CPU allocation, 6.18)."""
GETS_PER_SEND: Final = 64
"""Each answer takes 5 KiB of the receive buffer, which an unprivileged user cannot make larger than 416 KiB."""
REQUEST_BUFFER: Final = 1 << 20
EVENT_BUFFER: Final = 8 << 20
"""832 octets an event: 10,000 of them."""
RECEIVE_SIZE: Final = 1 << 18
EVENTS_PER_DRAIN: Final = 1 << 11
"""Takes ten milliseconds; the rest waits for the next turn."""
DUMP_TRIES: Final = 5

T = TypeVar("T")
K = TypeVar("K")
Parse: TypeAlias = Callable[[bytes], Iterable[tuple[int, int, T | Answer]]]


class Subscription(Struct, frozen=True):
    """Which events are heard: groups, and a program of classic BPF that drops the rest in the kernel."""

    groups: tuple[int, ...]
    program: tuple[tuple[int, int, int, int], ...]


# linux/bpf_common.h: BPF_LD|BPF_H|BPF_ABS and so on. Half words are loaded as big-endian.
_LOAD_HALF: Final = 0x28
_LOAD_BYTE: Final = 0x30
_JUMP_IF_EQUAL: Final = 0x15
_JUMP_IF_SET: Final = 0x45
_RETURN: Final = 0x06
_LOAD_TYPE: Final = (_LOAD_HALF, 0, 0, 4)
_LOAD_FAMILY: Final = (_LOAD_BYTE, 0, 0, 16)
_LOAD_FLAGS: Final = (_LOAD_BYTE, 0, 0, 26)
_DROP: Final = (_RETURN, 0, 0, 0)
_PASS: Final = (_RETURN, 0, 0, 0xFFFFFFFF)

ROWS: Final = Subscription(
    (RTNLGRP_NEIGH, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR),
    (
        _LOAD_TYPE,
        (_JUMP_IF_EQUAL, 0, 5, socket.htons(RTM_NEWNEIGH)),
        _LOAD_FAMILY,
        (_JUMP_IF_EQUAL, 0, 3, AF_BRIDGE),
        _LOAD_FLAGS,
        (_JUMP_IF_SET, 0, 1, NTF_EXT_LEARNED),
        _DROP,
        _PASS,
    ),
)
"""Without RTM_NEWNEIGH of AF_BRIDGE with EXT_LEARNED: our own writes, two events a MAC, else all news.

What remains: deletes, local learning and roaming, and rows that lost the mark, whoever wrote them.
"""

STATIONS: Final = Subscription(
    (RTNLGRP_NEIGH, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR),
    (
        _LOAD_TYPE,
        (_JUMP_IF_EQUAL, 1, 0, socket.htons(RTM_NEWNEIGH)),
        (_JUMP_IF_EQUAL, 0, 3, socket.htons(RTM_DELNEIGH)),
        _LOAD_FLAGS,
        (_JUMP_IF_SET, 0, 1, NTF_EXT_LEARNED | NTF_SELF),
        _DROP,
        _PASS,
    ),
)
"""Without what somebody wrote (EXT_LEARNED) and without the rows of VXLAN devices (SELF), whether they come or go.

What remains: what bridges learn, move and forget, an operator's entries, ARP and ND; devices and their addresses.
"""


class Kernel:
    """The FDB of the network namespace in which this was made.

    For one thread at a time; `drain` may be another's, and so may `rows` and `neighbors`, one of them at a time.
    """

    def __init__(
        self,
        subscription: "Subscription | None" = None,
        *,
        request_buffer: int = REQUEST_BUFFER,
        event_buffer: int = EVENT_BUFFER,
    ) -> None:
        self._events = _open()
        self._requests = _Connection(_open())
        self._dumps = _Connection(_open())
        self._event_buffer = memoryview(bytearray(RECEIVE_SIZE))
        try:
            for connection in (self._requests, self._dumps):
                _prepare_requests(connection.socket, request_buffer)
            _prepare_events(self._events, subscription or ROWS, event_buffer)
        except OSError as error:
            self.close()
            raise _failure("open", error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for queue in (self._requests.socket, self._dumps.socket, self._events):
            queue.close()

    def send(self, messages: Sequence[Neighbor]) -> list[Refusal]:
        """Carry the messages out in order and return the refused ones; the others succeeded.

        ENOBUFS in a refusal: the kernel's answer was lost (or it had no memory), read the row back.
        """
        refusals: list[Refusal] = []
        first = 0
        for portion in portions(messages, MESSAGES_PER_SEND):
            found, count = self._send_portion(portion, first)
            refusals += found
            first += count
        return refusals

    def rows(self, bridges: Iterable[int], ports: Iterable[int] = ()) -> list[Entry]:
        """Dump both halves of the rows of whole bridges, and of single ports.

        While others write, a dump can show a row twice or miss one that is there (6.1 to 6.18), and nothing marks it:
        what it lacks is to be confirmed by `get`.
        """
        found: list[Entry] = []
        for bridge in bridges:
            found += self._dumps.dump("rows", partial(request_rows, bridge=bridge), _parse_entries)
        for port in ports:
            found += self._dumps.dump("rows", partial(request_rows, port=port), _parse_entries)
        return found

    def neighbors(self, devices: Iterable[int]) -> list[Entry]:
        """Dump the ARP and ND rows of the devices."""
        found: list[Entry] = []
        for device in devices:
            found += self._dumps.dump("neighbors", partial(request_neighbors, device=device), _parse_entries)
        return found

    def get(self, port: int, mac: Mac, half: Half) -> Entry | None:
        """Read one row back. The bridge half is the bridge's row for the MAC on whatever port it is now.

        Of a zero MAC's VTEPs only the first is returned: those need `rows`.
        """
        return self.get_many(((port, mac, half),))[0]

    def get_many(self, keys: Sequence[tuple[int, Mac, Half]]) -> list[Entry | None]:
        """Read rows back, in the order asked."""
        return self._get_all(keys, _request_row, _name_of_row)

    def get_hosts(self, keys: Sequence[tuple[int, Ip]]) -> list[Entry | None]:
        """Read ARP and ND rows back, by device and address, in the order asked."""
        return self._get_all(keys, _request_host, _name_of_host)

    def links(self) -> Links:
        """Take a picture of all devices."""
        return Links.of(self._requests.dump("links", request_links, _parse_links))

    def addresses(self) -> list[Address]:
        """Take a picture of the addresses of all devices."""
        return self._requests.dump("addresses", request_addresses, _parse_addresses)

    def events_fileno(self) -> int:
        """Readable when `drain` has something to tell."""
        return self._events.fileno()

    def drain(self, most: int = EVENTS_PER_DRAIN) -> Hints:
        """Read what is queued, without waiting. An endless stream is cut; the socket then stays readable."""
        news: set[tuple[int, Mac]] = set()
        gone: set[tuple[int, Mac]] = set()
        hosts: set[tuple[int, Ip]] = set()
        kinds: set[int] = set()
        bounced: set[int] = set()
        overrun = False
        for datagram in islice(_receive("events", self._events, self._event_buffer), most):
            if datagram is None:
                overrun = True
                continue
            for kind, _, _, start, _ in split(datagram):
                kinds.add(kind)
                if kind in (RTM_NEWLINK, RTM_DELLINK):
                    bounced.update(device_bounced(datagram, kind, start))
                elif kind == RTM_DELADDR:
                    # With its last IPv4 address a device loses its IPv4 neighbor rows (net/ipv4/arp.c: arp_ifdown).
                    bounced.add(device_of_address(datagram, start))
            for kind, _, entry in parse_neighbors(datagram):
                if not isinstance(entry, Entry) or entry.is_address_list:
                    continue
                if entry.family == AF_BRIDGE:
                    (gone if kind == RTM_DELNEIGH else news).add((entry.port, entry.mac))
                elif entry.ip is not None:
                    hosts.add((entry.port, entry.ip))
        return Hints(
            frozenset(news | gone),
            frozenset(gone - news),
            frozenset(hosts),
            links_changed=not kinds.isdisjoint((RTM_NEWLINK, RTM_DELLINK)),
            bounced=frozenset(bounced),
            addresses_changed=not kinds.isdisjoint((RTM_NEWADDR, RTM_DELADDR)),
            overrun=overrun,
        )

    def _send_portion(self, messages: Sequence[Neighbor], first: int) -> tuple[list[Refusal], int]:
        """Return the refusals, and how many messages there were."""
        batch = pack(messages, self._requests.take_seqs(MESSAGES_PER_SEND))
        answers, lost = self._requests.exchange("send", batch.datagram, parse_neighbors)
        refused: dict[int, Refusal] = {}
        acknowledged = False
        for _, seq, answer in answers:
            if not isinstance(answer, Answer) or not batch.seq <= seq <= batch.barrier:
                continue
            acknowledged |= seq == batch.barrier
            if answer.errno and answer.mac is not None:
                index, flags = batch.find(seq, answer.mac)
                refused[index] = _refusal(flags, first + index, answer)
        if lost or not acknowledged:
            for index in range(batch.count):
                refused.setdefault(index, Refusal(first + index, errno.ENOBUFS, "the kernel's answer was lost"))
        return [refused[index] for index in sorted(refused)], batch.count

    def _get_all(
        self, keys: Sequence[K], request: Callable[[K, int], bytes], name: Callable[[K], str]
    ) -> list[Entry | None]:
        found: list[Entry | None] = []
        size = GETS_PER_SEND
        while len(found) < len(keys):
            answered = self._get_part(keys[len(found) : len(found) + size], request, name)
            if not answered and size == 1:
                raise KernelError("get", errno.ENOBUFS, "the answer to one request does not fit the receive buffer")
            size = size if answered else size // 2
            found += answered
        return found

    def _get_part(
        self, keys: Sequence[K], request: Callable[[K, int], bytes], name: Callable[[K], str]
    ) -> list[Entry | None]:
        """Return the rows up to the first whose answer was lost."""
        seq = self._requests.take_seqs(len(keys))
        wanted = b"".join(request(key, seq + place) for place, key in enumerate(keys))
        answers = {seq: answer for _, seq, answer in self._requests.exchange("get", wanted, parse_neighbors)[0]}
        found: list[Entry | None] = []
        for place, key in enumerate(keys):
            answer = answers.get(seq + place)
            if answer is None:
                break
            if isinstance(answer, Answer) and answer.errno not in _ABSENT:
                raise KernelError("get", answer.errno, answer.text, name(key))
            found.append(answer if isinstance(answer, Entry) else None)
        return found


class _Connection:
    """One socket for requests, one of them at a time."""

    def __init__(self, queue: socket.socket) -> None:
        self.socket = queue
        self._seq = 1
        self._buffer = memoryview(bytearray(RECEIVE_SIZE))

    def dump(self, operation: str, request: Callable[[int], bytes], parse: "Parse[T]") -> list[T]:
        for _ in range(DUMP_TRIES):
            seq = self.take_seqs(1)
            answers, lost = self.exchange(operation, request(seq), parse)
            found: list[T] = []
            end: Answer | None = None
            torn = lost
            for _, answered_seq, answer in answers:
                if answered_seq != seq:
                    continue
                if not isinstance(answer, Answer):
                    found.append(answer)
                else:
                    torn |= answer.interrupted
                    end = answer
            if end and end.errno:
                raise KernelError(operation, end.errno, end.text)
            if end and not torn:
                return found
        raise KernelError(operation, errno.EINTR, f"the dump was torn {DUMP_TRIES} times: too much changes meanwhile")

    def take_seqs(self, count: int) -> int:
        """Reserve so many sequence numbers and return the first. They start anew before they reach 32 bits."""
        first = self._seq if self._seq + count < 1 << 32 else 1
        self._seq = first + count
        return first

    def exchange(
        self, operation: str, request: bytes, parse: "Parse[T]"
    ) -> "tuple[list[tuple[int, int, T | Answer]], bool]":
        """Write a request and return what came back, and whether some of it was lost."""
        try:
            self.socket.send(request)
        except OSError as error:
            raise _failure(operation, error) from error
        answers: list[tuple[int, int, T | Answer]] = []
        lost = False
        for datagram in _receive(operation, self.socket, self._buffer):
            if datagram is None:
                lost = True
            else:
                answers += parse(datagram)
        return answers, lost


def _open() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)


def _receive(operation: str, queue: socket.socket, buffer: memoryview) -> Iterator[bytes | None]:
    """Yield the queued datagrams, and None where the queue had overflown."""
    while True:
        try:
            size = queue.recv_into(buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise _failure(operation, error) from error
            yield None
        else:
            yield bytes(buffer[:size])


# A row of a device that is gone is gone with it.
_ABSENT: Final = (errno.ENOENT, errno.ENODEV)


def _prepare_requests(requests: socket.socket, buffer: int) -> None:
    requests.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    requests.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 0)
    requests.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
    _size_receive_buffer(requests, buffer)
    requests.bind((0, 0))


def _prepare_events(events: socket.socket, subscription: Subscription, buffer: int) -> None:
    _size_receive_buffer(events, buffer)
    _attach(events, subscription.program)
    events.bind((0, 0))
    for group in subscription.groups:
        events.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)


def _size_receive_buffer(queue: socket.socket, size: int) -> None:
    """Ask for more than net.core.rmem_max allows, and take what an ordinary user gets where that is refused."""
    try:
        queue.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _attach(events: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    code = ctypes.create_string_buffer(packed, len(packed))  # must live until the kernel has copied it
    events.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


def _refusal(asked: int, index: int, answer: Answer) -> Refusal:
    done = asked & ~answer.flags
    return Refusal(index, answer.errno, answer.text, bool(done & NTF_MASTER), bool(done & NTF_SELF))


def _parse_entries(datagram: bytes) -> Iterator[Parsed]:
    for kind, seq, row in parse_neighbors(datagram):
        if not (isinstance(row, Entry) and row.is_address_list):
            yield kind, seq, row


def _parse_links(datagram: bytes) -> Iterator[tuple[int, int, Link | Answer]]:
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, interrupted=True)
        if kind == RTM_NEWLINK:
            yield kind, seq, parse_link(datagram, start, end)
        elif kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)


def _parse_addresses(datagram: bytes) -> Iterator[tuple[int, int, Address | Answer]]:
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, interrupted=True)
        if kind == RTM_NEWADDR:
            address = parse_address(datagram, start, end)
            if address is not None:
                yield kind, seq, address
        elif kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)


def _request_row(key: tuple[int, Mac, Half], seq: int) -> bytes:
    return request_row(*key, seq)


def _request_host(key: tuple[int, Ip], seq: int) -> bytes:
    return request_host(*key, seq)


def _name_of_row(key: tuple[int, Mac, Half]) -> str:
    port, mac, half = key
    return f"{mac} on device {port}, {half.name.lower()} half"


def _name_of_host(key: tuple[int, Ip]) -> str:
    device, ip = key
    return f"{ip} on device {device}"


def _failure(operation: str, error: OSError) -> KernelError:
    return KernelError(operation, error.errno or 0, os.strerror(error.errno or 0))
