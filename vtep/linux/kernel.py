"""The kernel's tables over rtnetlink: send rows, dump them, read them back, take pictures of the devices, receive events.

Knows which request goes to which socket. Does not know whose a row is or what should be there.

    requests   writes, and single rows that are read back; one user, and one request at a time
    dumps      a socket of its own, because a dump of many rows takes long and must not delay a write
    others     the same for routes of other programs, which are read at times of their own
    events     what changed: of rows and links (`ROWS`), or of stations (`STATIONS`)
"""

import contextlib
import errno
import fcntl
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Final, Self, TypeAlias, TypeVar, cast

from vtep.addr import Ip, Mac
from vtep.errors import KernelError
from vtep.linux.devices import Address, Links
from vtep.linux.events import EVENT_BUFFER, EVENTS_PER_DRAIN, ROWS, EventQueue, Hints, Subscription
from vtep.linux.filters import FilterMessage, FilterTable, blocked_ports
from vtep.linux.nexthop_events import NexthopEvents
from vtep.linux.nftables import FilterEvents, KernelNftables
from vtep.linux.routing_events import RoutingEvents
from vtep.linux.socket import REQUEST_BUFFER, Connection, Inbox
from vtep.linux.wire import alike
from vtep.linux.wire.address import parse_addresses, request_addresses
from vtep.linux.wire.batch import Batch, pack, portions
from vtep.linux.wire.link import parse_links, request_links
from vtep.linux.wire.neighbor import (
    NTF_MASTER,
    NTF_SELF,
    RTPROT_VTEP,
    Alike,
    Entry,
    Half,
    Lookup,
    Neighbor,
    Parsed,
    Refusal,
    parse_neighbors,
    request_host,
    request_neighbors,
    request_row,
    request_rows,
)
from vtep.linux.wire.nexthop import (
    NexthopEntry,
    NexthopMessage,
    parse_nexthops,
    request_nexthop,
    request_nexthops,
)
from vtep.linux.wire.nexthop import encode as encode_nexthop
from vtep.linux.wire.port import PortFlush, PortMessage
from vtep.linux.wire.port import encode as encode_port
from vtep.linux.wire.route import RouteEntry, RouteMessage, parse_routes, request_routes
from vtep.linux.wire.route import encode_all as encode_routes
from vtep.linux.wire.tlv import AF_INET, AF_INET6, Answer, is_success
from vtep.linux.wire.vlan import parse_vlans, parse_vnis, request_vlans, request_vnis

MESSAGES_PER_SEND: Final = 128
"""From 64 to 128 is best: 256 and more make new VXLAN rows up to seven times slower (per-CPU allocation, 6.18)."""
GETS_PER_SEND: Final = 64
"""Each answer takes 5 KiB of the receive buffer, which an unprivileged user cannot make larger than 416 KiB."""

DUMPS_MAX: Final = 16
"""For each dump the kernel walks over all devices, or over all neighbors. For more devices than this, one dump reads all."""

_SIOCGIFFLAGS: Final = 0x8913
"""linux/sockios.h. The argument is a `struct ifreq`: name 16, flags 2, and padding up to 40 octets."""
_IFF_RUNNING_UP: Final = 0x41
"""IFF_UP and IFF_RUNNING of linux/if.h: the device is up, and its lower layer can carry frames."""

K = TypeVar("K")
_Few: TypeAlias = RouteMessage | NexthopMessage | PortMessage | PortFlush
Message: TypeAlias = Neighbor | _Few | FilterMessage


class Kernel:
    """The tables of the network namespace in which this was made.

    For one thread at a time, with exceptions: `drain` may run in another thread, one call of `rows`, `neighbors`, `routes` or
    `nexthops` may, and one call of `routes_of` may. `get_many` may as well, and then waits for what the first thread asks.
    """

    def __init__(
        self,
        subscription: Subscription | None = None,
        *,
        request_buffer: int = REQUEST_BUFFER,
        event_buffer: int = EVENT_BUFFER,
    ) -> None:
        with contextlib.ExitStack() as opened:
            self._events = opened.enter_context(contextlib.closing(EventQueue(subscription or ROWS, event_buffer)))
            self._requests = opened.enter_context(contextlib.closing(Connection(request_buffer)))
            self._dumps = opened.enter_context(contextlib.closing(Connection(request_buffer)))
            self._others = opened.enter_context(contextlib.closing(Connection(request_buffer)))
            opened.pop_all()
        self._inbox = Inbox()
        self._nft = KernelNftables()
        self.filters = FilterTable(self._nft, threading.Lock())
        """The filters of Ethernet segments: a survey reads them in a thread, and a small pass that writes waits for it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets; rows stay in the kernel, and traffic with them."""
        for queue in (self._requests, self._dumps, self._others, self._events):
            queue.close()
        self._nft.close()

    def send(self, messages: Sequence[Message]) -> list[Refusal]:
        """Carry the messages out in order and return the refused ones; the others succeeded. All are of one type.

        ENOBUFS in a refusal means that the answer was lost, or that the kernel had no memory: the row must be read back.
        """
        if messages and isinstance(messages[0], FilterMessage):
            return self._send_filters(cast("Sequence[FilterMessage]", messages))
        if messages and not isinstance(messages[0], Neighbor):
            return self._send_few(cast("Sequence[_Few]", messages))
        refusals: list[Refusal] = []
        first = 0
        for portion in portions(cast("Sequence[Neighbor]", messages), MESSAGES_PER_SEND):
            found, count = self._send_portion(portion, first)
            refusals += found
            first += count
        return refusals

    def rows(self, bridges: Iterable[int], ports: Iterable[int] = ()) -> list[Entry]:
        """Dump both halves of the rows of whole bridges, and of single ports.

        While another program writes, a dump can show a row twice or miss one that is there (6.1 to 6.18), and nothing says
        so. What a dump lacks must be confirmed by `get`. Where there are many bridges, rows of others are among them.
        """
        found: list[Entry] = []
        bridges = list(bridges)
        if len(bridges) > DUMPS_MAX:
            return self._dumps.dump("rows", request_rows, _parse_entries)
        for bridge in bridges:
            found += self._dumps.dump("rows", partial(request_rows, bridge=bridge), _parse_entries)
        for port in ports:
            found += self._dumps.dump("rows", partial(request_rows, port=port), _parse_entries)
        return found

    def neighbors(self, devices: Iterable[int]) -> list[Entry]:
        """Dump the ARP and ND rows of the devices."""
        found: list[Entry] = []
        devices = set(devices)
        if len(devices) > DUMPS_MAX:
            rows = self._dumps.dump("neighbors", partial(request_neighbors, device=0), parse_neighbors)
            return [row for row in rows if row.port in devices]
        for device in devices:
            found += self._dumps.dump("neighbors", partial(request_neighbors, device=device), _parse_entries)
        return found

    def get(self, port: int, mac: Mac, half: Half, vlan: int | None = None, src_vni: int | None = None) -> Entry | None:
        """Read one row back. The bridge half is the bridge's row for the MAC on whatever port it is now.

        Of the VTEPs of the zero MAC only the first is returned: to see all, use `rows`.
        """
        return self.get_many((Lookup(port, mac, half, vlan, src_vni),))[0]

    def get_many(self, keys: Sequence[Lookup]) -> list[Entry | None]:
        """Read rows back, in the order asked."""
        return self._get_all(keys, request_row, _name_of_row)

    def get_nexthops(self, numbers: Sequence[int]) -> list[NexthopEntry | None]:
        """Read nexthops back, in the order asked."""
        return [self._get_nexthop(number) for number in numbers]

    def _get_nexthop(self, number: int) -> NexthopEntry | None:
        """Look one nexthop up. None: there is none with this number."""
        seq = self._requests.take_seqs(1)
        answers, _ = self._requests.exchange("get", request_nexthop(number, seq), parse_nexthops)
        answer = next((answer for _, answered, answer in answers if answered == seq), None)
        if isinstance(answer, NexthopEntry):
            return answer
        if answer is None or answer.errno != errno.ENOENT:
            code, text = (
                (errno.ENOBUFS, "the kernel's answer was lost") if answer is None else (answer.errno, answer.text)
            )
            raise KernelError("get", code, text, f"nexthop {number}")
        return None

    def unlike(self, expected: Alike) -> list[int]:
        """Read rows back and return the indexes of those that were not found as expected.

        They may be so all the same: an answer in another layout, or one that was lost, says nothing. Read these by `get_many`.
        """
        found: list[int] = []
        for first in range(0, len(expected.macs), GETS_PER_SEND):
            macs = expected.macs[first : first + GETS_PER_SEND]
            seq = self._requests.take_seqs(1)
            count = self._requests.ask("get", alike.request(expected.entry, macs, seq), self._inbox)
            port_id, inbox = self._requests.port, self._inbox
            same = alike.matching(expected.entry, inbox.octets, inbox.STRIDE, count, seq, port_id)
            found += [first + place for place, mac in enumerate(macs) if mac not in same]
        return found

    def get_hosts(self, keys: Sequence[tuple[int, Ip]]) -> list[Entry | None]:
        """Read ARP and ND rows back, by device and address, in the order asked."""
        return self._get_all(keys, _request_host, _name_of_host)

    def links(self) -> Links:
        """Take a picture of all devices."""
        return picture(self._requests)

    def addresses(self) -> list[Address]:
        """Take a picture of the addresses of all devices."""
        return self._requests.dump("addresses", request_addresses, parse_addresses)

    def events_fileno(self) -> int:
        """Readable when `drain` has something."""
        return self._events.fileno()

    def routing_events(self, *, observes: bool = False) -> RoutingEvents:
        """Open a socket for the events about routes and nexthops that other programs cause. The caller closes it."""
        return RoutingEvents(self._requests.port, observes=observes)

    def is_running(self, port: str) -> bool:
        """Tell whether a device is up and has a carrier. It costs a microsecond, so it is asked often."""
        try:
            answer = fcntl.ioctl(self._requests.socket, _SIOCGIFFLAGS, port.encode().ljust(40, b"\0"))
        except OSError:
            return False
        flags = int.from_bytes(answer[16:18], sys.byteorder)
        return flags & _IFF_RUNNING_UP == _IFF_RUNNING_UP

    def filter_events(self) -> FilterEvents:
        """Open a socket for what other programs do to the filters of segments. The caller closes it."""
        return self._nft.events()

    def nexthop_events(self) -> NexthopEvents:
        """Open a socket for the events about nexthops that other programs cause. The caller closes it."""
        return NexthopEvents(self._requests.port)

    def drain(self, most: int = EVENTS_PER_DRAIN) -> Hints:
        """Read what is queued, without waiting. An endless stream is cut; the socket then stays readable."""
        return self._events.drain(most)

    def routes(self, tables: Iterable[int], protocol: int = RTPROT_VTEP) -> list[RouteEntry]:
        """Dump the routes of these tables that one program wrote, or with 0 those of all programs."""
        return [route for table in tables for route in _routes_of(self._dumps, table, protocol)]

    def routes_of(self, table: int, protocol: int) -> list[RouteEntry]:
        """Dump the routes of one protocol, by a socket of its own: the others may be in use in other threads."""
        return _routes_of(self._others, table, protocol)

    @property
    def has_fdb_nexthops(self) -> bool:
        """Whether rows of the FDB can name nexthops: from 5.8 on."""
        return _release() >= (5, 8)

    def nexthops(self) -> list[NexthopEntry]:
        """Dump the nexthops of all programs."""
        return self._dumps.dump("nexthops", request_nexthops, parse_nexthops)

    def _send_filters(self, messages: Sequence[FilterMessage]) -> list[Refusal]:
        refusals = self.filters.send(messages)
        if not refusals and (blocked := blocked_ports(messages)):
            self._send_few([PortFlush(port) for port in blocked])  # a port that is not there has learned nothing
        return refusals

    def _send_few(self, messages: Sequence[_Few]) -> list[Refusal]:
        """Send messages about routes, nexthops or bridge ports; only the last of a datagram is acknowledged.

        They need no runs as neighbor messages do, because an answer to one of them has a sequence number of its own. If
        the last answer is missing, all without an answer count as refused with ENOBUFS.
        """
        refusals: list[Refusal] = []
        for first in range(0, len(messages), MESSAGES_PER_SEND):
            portion = messages[first : first + MESSAGES_PER_SEND]
            seq, last = self._requests.take_seqs(len(portion)), len(portion) - 1
            datagram = _datagram(portion, seq)
            answers, lost = self._requests.exchange("send", datagram, parse_routes)
            found = {
                place: answer
                for _, answered, answer in answers
                if isinstance(answer, Answer) and 0 <= (place := answered - seq) <= last
            }
            if lost or last not in found:
                unknown = Answer(errno.ENOBUFS, "the kernel's answer was lost")
                found = {place: found.get(place, unknown) for place in range(len(portion))}
            refusals += (
                Refusal(first + place, answer.errno, answer.text)
                for place, answer in sorted(found.items())
                if answer.errno
            )
        return refusals

    def _send_portion(self, messages: Sequence[Neighbor], first: int) -> tuple[list[Refusal], int]:
        """Return the refusals, and how many messages there were.

        The last message of the portion is acknowledged, so its answer proves that the kernel went through all before
        it. If that answer is missing, or if any was lost, every message that was not refused counts as refused with
        ENOBUFS: whether it was carried out is not known, and the engine reads the row back.
        """
        batch = pack(messages, self._requests.take_seqs(MESSAGES_PER_SEND))
        refused: dict[int, Refusal] = {}
        acknowledged = lost = False
        for datagram in self._requests.answers("send", batch.datagram):
            if datagram is None:
                lost = True
            elif is_success(datagram, batch.barrier):
                acknowledged = True
            else:
                acknowledged |= self._take_refusals(datagram, batch, first, refused)
            if acknowledged:
                break
        if lost or not acknowledged:
            for index in range(batch.count):
                refused.setdefault(index, Refusal(first + index, errno.ENOBUFS, "the kernel's answer was lost"))
        return [refused[index] for index in sorted(refused)], batch.count

    def _take_refusals(self, datagram: bytes, batch: Batch, first: int, refused: dict[int, Refusal]) -> bool:
        """Read answers to messages of a batch, and return whether the last message is among those answered."""
        acknowledged = False
        for _, seq, answer in parse_neighbors(datagram):
            if not isinstance(answer, Answer) or not batch.seq <= seq <= batch.barrier:
                continue
            acknowledged |= seq == batch.barrier
            if answer.errno and answer.mac is not None:
                index, flags = batch.find(seq, answer.mac)
                refused[index] = _refusal(flags, first + index, answer)
        return acknowledged

    def _get_all(
        self, keys: Sequence[K], request: Callable[[K, int], bytes], name: Callable[[K], str]
    ) -> list[Entry | None]:
        """Read rows back in portions.

        If the answers to a portion do not fit the receive buffer, the kernel drops the rest, and the next portion
        begins at the first that was lost. If not even the first one came, the portion is halved. One request that gets
        no answer by itself is an error.
        """
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


def picture(connection: Connection) -> Links:
    """Return all devices. VLANs and VNIs are read only where a bridge or a VXLAN device filters them.

    Two or three dumps are not one moment: a device that comes or goes between them is without its VLANs in this
    picture, and its event makes another picture.
    """
    found = Links.of(connection.dump("links", request_links, parse_links))
    has_vlans = any(link.bridge is not None and link.bridge.vlan_filtering for link in found)
    if not has_vlans:
        return found
    has_vnis = any(link.vxlan is not None and link.vxlan.vni_filter for link in found)
    return found.with_vlans(
        connection.dump("VLANs", request_vlans, parse_vlans),
        connection.dump("VNIs", request_vnis, parse_vnis) if has_vnis else (),
    )


@cache
def _release() -> tuple[int, ...]:
    """Return the two first numbers of the kernel's version; it does not change while a process lives."""
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


# A device that is gone has no rows.
_ABSENT: Final = (errno.ENOENT, errno.ENODEV)


def _datagram(messages: Sequence[_Few], seq: int) -> bytes:
    """Encode messages of one type, of which the last one is acknowledged."""
    if isinstance(messages[0], RouteMessage):
        return encode_routes(cast("Sequence[RouteMessage]", messages), seq)
    last = len(messages) - 1
    return b"".join(
        _encoded(message, seq + place, acknowledged=place == last)
        for place, message in enumerate(cast("Sequence[NexthopMessage | PortMessage | PortFlush]", messages))
    )


def _encoded(message: NexthopMessage | PortMessage | PortFlush, seq: int, *, acknowledged: bool) -> bytes:
    if isinstance(message, NexthopMessage):
        return encode_nexthop(message, seq, acknowledged=acknowledged)
    return encode_port(message, seq, acknowledged=acknowledged)


def _refusal(asked: int, index: int, answer: Answer) -> Refusal:
    """Return a refusal that says which halves were done: those that were asked for and came back cleared."""
    done = asked & ~answer.flags
    return Refusal(index, answer.errno, answer.text, bool(done & NTF_MASTER), bool(done & NTF_SELF))


def _routes_of(connection: Connection, table: int, protocol: int) -> list[RouteEntry]:
    """Dump routes of both families. A table without any route is no table, which is no error here."""
    found: list[RouteEntry] = []
    for family in (AF_INET, AF_INET6):
        request = partial(request_routes, family=family, table=table, protocol=protocol)
        try:
            found += connection.dump("routes", request, parse_routes)
        except KernelError as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                raise
    return found


def _parse_entries(datagram: bytes) -> Iterator[Parsed]:
    """Yield rows without the addresses that network cards accept, which the kernel dumps among the FDB rows."""
    for kind, seq, row in parse_neighbors(datagram):
        if not (isinstance(row, Entry) and row.is_address_list):
            yield kind, seq, row


def _request_host(key: tuple[int, Ip], seq: int) -> bytes:
    return request_host(*key, seq)


def _name_of_row(key: Lookup) -> str:
    return f"{key.mac} on device {key.port}, {key.half.name.lower()} half"


def _name_of_host(key: tuple[int, Ip]) -> str:
    device, ip = key
    return f"{ip} on device {device}"
