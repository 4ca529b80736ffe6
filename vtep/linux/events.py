"""The kernel's events: which of them are wanted, and what they say may have changed.

Knows the multicast groups of rtnetlink and the filter that the kernel applies. An event is only a hint: it names a key, and
its reader reads the row back, because by then the row may be different again.

The filter, a program of classic BPF, drops in the kernel what is of no interest. Most events are echoes of our own writes,
two for each MAC, and without the filter they would fill the queue and wake the daemon for nothing. When the queue overflows,
the kernel says so (ENOBUFS) and not what was lost: `Hints.overrun`, after which the reader must look at everything.
"""

import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, islice
from operator import itemgetter
from typing import Final

from msgspec import Struct

from vtep.addr import ZERO_MAC, Ip, Mac
from vtep.linux.socket import (
    NETLINK_ADD_MEMBERSHIP,
    RECEIVE_SIZE,
    SOL_NETLINK,
    Inbox,
    failure,
    open_netlink,
    receive,
    size_receive_buffer,
)
from vtep.linux.wire import announced
from vtep.linux.wire.address import RTM_DELADDR, RTM_NEWADDR, device_of_address
from vtep.linux.wire.link import RTM_DELLINK, RTM_NEWLINK, device_bounced
from vtep.linux.wire.neighbor import (
    NTF_EXT_LEARNED,
    NTF_SELF,
    NUD_NOARP,
    NUD_PERMANENT,
    RTM_DELNEIGH,
    RTM_NEWNEIGH,
    Entry,
    FdbEvent,
    parse_neighbors,
)
from vtep.linux.wire.tlv import AF_BRIDGE, split
from vtep.linux.wire.vlan import RTM_DELTUNNEL, RTM_DELVLAN, RTM_NEWTUNNEL, RTM_NEWVLAN

SO_ATTACH_FILTER: Final = 26
RTNLGRP_LINK: Final = 1
RTNLGRP_NEIGH: Final = 3
RTNLGRP_IPV4_IFADDR: Final = 5
RTNLGRP_IPV6_IFADDR: Final = 9
RTNLGRP_BRVLAN: Final = 33
RTNLGRP_TUNNEL: Final = 35
RTNLGRP_NEXTHOP: Final = 32
_OPTIONAL_GROUPS: Final = (RTNLGRP_BRVLAN, RTNLGRP_TUNNEL, RTNLGRP_NEXTHOP)
"""Kernels before 5.6, 5.18 and 5.3 do not have them, and not what they are about either."""
_OF_DEVICES: Final = (RTM_NEWLINK, RTM_DELLINK, RTM_NEWVLAN, RTM_DELVLAN, RTM_NEWTUNNEL, RTM_DELTUNNEL)

EVENT_BUFFER: Final = 8 << 20
"""Room for 10,000 events of 832 octets."""
EVENTS_PER_DRAIN: Final = 1 << 11
"""They take ten milliseconds. The rest stays queued for the next turn of the event loop."""


class Hints(Struct, frozen=True):
    """What may have changed. The values must be read back."""

    news: frozenset[FdbEvent] = frozenset()
    """Rows of the FDB that came or changed, and perhaps went as well."""
    gone: frozenset[FdbEvent] = frozenset()
    """Rows of the FDB of which only deletions were announced."""
    hosts: frozenset[tuple[int, Ip]] = frozenset()
    """Device and address of ARP and ND rows."""
    links_changed: bool = False
    """Devices, VLANs of bridge ports, or VNIs of VXLAN devices."""
    bounced: frozenset[int] = frozenset()
    """Devices that came or went, went up or down, or left a bridge. Rows may have gone with that, some without an event."""
    addresses_changed: bool = False
    """The addresses of this host's own devices."""
    overrun: bool = False
    """Events were lost: anything may have changed."""

    @property
    def keys(self) -> frozenset[FdbEvent]:
        """All rows of the FDB that were named."""
        return self.news | self.gone

    @property
    def has_floods(self) -> bool:
        """Whether a flood row is among them."""
        return ZERO_MAC in map(_mac_of, chain(self.news, self.gone))


_mac_of: Final = itemgetter(1)


class Subscription(Struct, frozen=True):
    """Which events are received: groups, and a program of classic BPF that drops the rest in the kernel."""

    groups: tuple[int, ...]
    program: tuple[tuple[int, int, int, int], ...]


# linux/bpf_common.h: BPF_LD|BPF_H|BPF_ABS and so on. Half words are loaded as big-endian.
_LOAD_HALF: Final = 0x28
_LOAD_BYTE: Final = 0x30
_JUMP_IF_EQUAL: Final = 0x15
_JUMP_IF_SET: Final = 0x45
_RETURN: Final = 0x06
_LOAD_TYPE: Final = (_LOAD_HALF, 0, 0, 4)
_LOAD_PORT: Final = (0x20, 0, 0, 12)  # that of the socket that asked, in a word
_LOAD_FAMILY: Final = (_LOAD_BYTE, 0, 0, 16)
_LOAD_STATE: Final = (_LOAD_BYTE, 0, 0, 24 if sys.byteorder == "little" else 25)
_LOAD_FLAGS: Final = (_LOAD_BYTE, 0, 0, 26)
_DROP: Final = (_RETURN, 0, 0, 0)
_PASS: Final = (_RETURN, 0, 0, 0xFFFFFFFF)
_PINNED: Final = NUD_NOARP | NUD_PERMANENT
"""Our bridge rows are REACHABLE. A row of ours that an operator pins at a port keeps EXT_LEARNED (kernels 6.1 to 7.2)."""

_GROUPS: Final = (
    RTNLGRP_NEIGH,
    RTNLGRP_LINK,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_BRVLAN,
    RTNLGRP_TUNNEL,
)

LINKS: Final = Subscription(tuple(group for group in _GROUPS if group != RTNLGRP_NEIGH), (_PASS,))
"""For the keeper of devices: devices, VLANs, VNIs and addresses, and no row."""

ROWS: Final = Subscription(
    _GROUPS,
    (
        _LOAD_TYPE,
        (_JUMP_IF_EQUAL, 0, 8, socket.htons(RTM_NEWNEIGH)),
        _LOAD_FAMILY,
        (_JUMP_IF_EQUAL, 0, 6, AF_BRIDGE),
        _LOAD_FLAGS,
        (_JUMP_IF_SET, 0, 4, NTF_EXT_LEARNED),
        (_JUMP_IF_SET, 2, 0, NTF_SELF),
        _LOAD_STATE,
        (_JUMP_IF_SET, 1, 0, _PINNED),
        _DROP,
        _PASS,
    ),
)
"""For the engine: everything except RTM_NEWNEIGH of AF_BRIDGE with EXT_LEARNED as we write it.

What remains: deletions, what bridges learn, stations that move, rows that lost the mark, and remote MACs that an operator pins
at a port.
"""

EVERYTHING: Final = Subscription(_GROUPS, (_PASS,))
"""For an observer, to whom the rows of other daemons are news as well."""

STATIONS: Final = Subscription(
    _GROUPS,
    (
        _LOAD_TYPE,
        (_JUMP_IF_EQUAL, 1, 0, socket.htons(RTM_NEWNEIGH)),
        (_JUMP_IF_EQUAL, 0, 8, socket.htons(RTM_DELNEIGH)),
        _LOAD_FLAGS,
        (_JUMP_IF_SET, 5, 0, NTF_SELF),
        (_JUMP_IF_SET, 0, 5, NTF_EXT_LEARNED),
        _LOAD_FAMILY,
        (_JUMP_IF_EQUAL, 0, 2, AF_BRIDGE),
        _LOAD_STATE,
        (_JUMP_IF_SET, 1, 0, _PINNED),
        _DROP,
        _PASS,
    ),
)
"""For the watcher of stations: everything except rows that a program wrote (EXT_LEARNED) and rows of VXLAN devices (SELF).

What remains: what bridges learn, move and forget, an operator's entries, ARP and ND; devices and their addresses.
"""


class EventQueue:
    """One socket that receives events."""

    def __init__(
        self, subscription: Subscription, buffer: int = EVENT_BUFFER, protocol: int = socket.NETLINK_ROUTE
    ) -> None:
        self.socket = open_netlink(protocol)
        self._inbox = Inbox()
        try:
            size_receive_buffer(self.socket, buffer)
            _attach(self.socket, subscription.program)
            self.socket.bind((0, 0))
            for group in subscription.groups:
                try:
                    self.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
                except OSError as error:
                    if group not in _OPTIONAL_GROUPS or error.errno != errno.EINVAL:
                        raise
        except OSError as error:
            self.close()
            raise failure("open", error) from error

    def close(self) -> None:
        self.socket.close()

    def fileno(self) -> int:
        """Readable when `drain` has something."""
        return self.socket.fileno()

    def drain(self, most: int = EVENTS_PER_DRAIN) -> Hints:
        """Read what is queued, without waiting. An endless stream is cut; the socket then stays readable."""
        seen = _Seen()
        while most > 0:
            sizes = self._inbox.receive("events", self.socket, most)
            if sizes is None:
                seen.overrun = True
                most -= 1
                continue
            if not sizes:
                break
            most -= len(sizes)
            seen.read_all(self._inbox, sizes)
        return seen.hints()


def foreign(group: int, own_port: int) -> Subscription:
    """Return a group without what the socket with this port asked for."""
    return Subscription((group,), (_LOAD_PORT, (_JUMP_IF_EQUAL, 0, 1, socket.htonl(own_port)), _DROP, _PASS))


class ForeignEvents:
    """A socket for events of other tables than the FDB: what they say is read by those that derive from this."""

    def __init__(self, subscription: Subscription, buffer: int, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._queue = EventQueue(subscription, buffer, protocol)
        self._buffer = memoryview(bytearray(RECEIVE_SIZE))

    def close(self) -> None:
        self._queue.close()

    def fileno(self) -> int:
        """Readable when `drain` has something."""
        return self._queue.fileno()

    def datagrams(self, most: int) -> Iterator[bytes | None]:
        """Yield what is queued, without waiting, and None where events were lost.

        An endless stream is cut; the socket then stays readable.
        """
        return islice(receive("events", self._queue.socket, self._buffer), most)


class _Seen:
    """What events say, put together."""

    def __init__(self) -> None:
        self.overrun = False
        self._news: set[announced.Named] = set()
        self._gone: set[announced.Named] = set()
        self._hosts: set[tuple[int, Ip]] = set()
        self._kinds: set[int] = set()
        self._bounced: set[int] = set()

    def read_all(self, inbox: Inbox, sizes: Sequence[int]) -> None:
        """Read datagrams: those of a common layout together, and the others one by one."""
        news, gone, others = announced.read(inbox.octets, inbox.STRIDE, sizes)
        self._news |= news
        self._gone |= gone
        for place in others:
            start = place * inbox.STRIDE
            self.read(bytes(inbox.octets[start : start + sizes[place]]))

    def read(self, datagram: bytes) -> None:
        """Read any datagram."""
        for kind, _, _, start, _ in split(datagram):
            self._kinds.add(kind)
            if kind in (RTM_NEWLINK, RTM_DELLINK):
                self._bounced.update(device_bounced(datagram, kind, start))
            elif kind == RTM_DELADDR:
                # With its last IPv4 address a device loses its IPv4 neighbor rows (net/ipv4/arp.c: arp_ifdown).
                self._bounced.add(device_of_address(datagram, start))
        for kind, _, entry in parse_neighbors(datagram):
            if not isinstance(entry, Entry) or entry.is_address_list:
                continue
            if entry.family == AF_BRIDGE:
                (self._gone if kind == RTM_DELNEIGH else self._news).add(announced.name_of(entry))
            elif entry.ip is not None:
                self._hosts.add((entry.port, entry.ip))

    def hints(self) -> Hints:
        return Hints(
            _events(self._news),
            _events(self._gone - self._news if self._news else self._gone),
            frozenset(self._hosts),
            links_changed=not self._kinds.isdisjoint(_OF_DEVICES),
            bounced=frozenset(self._bounced),
            addresses_changed=not self._kinds.isdisjoint((RTM_NEWADDR, RTM_DELADDR)),
            overrun=self.overrun,
        )


def _events(named: AbstractSet[announced.Named]) -> frozenset[FdbEvent]:
    """Return the events about these rows. Nearly all have neither a VLAN nor a VNI, and are made at a third of the usual cost."""
    make = tuple.__new__
    plain = [make(FdbEvent, (row[0], Mac(row[1]), None, None)) for row in named if len(row) == 2]
    if len(plain) < len(named):
        plain += [FdbEvent(row[0], Mac(row[1]), row[2], row[3]) for row in named if len(row) == 4]
    return frozenset(plain)


def _attach(events: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    code = ctypes.create_string_buffer(packed, len(packed))  # must live until the kernel has copied it
    events.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))
