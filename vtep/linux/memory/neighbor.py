"""The neighbor table in memory: which MAC an address has on a device, for ARP and ND.

Knows what Linux 6.18 does with a neighbor message of AF_INET and AF_INET6. Absent on purpose: resolution, states that change
by time.
"""

import errno
from collections.abc import Iterable

from vtep.addr import Ip
from vtep.linux.memory.events import Announcements, Counts, Refused
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_USE, NUD_PERMANENT, Entry, Neighbor, Verb


class NeighborTable:
    """The rows of all devices."""

    def __init__(self, announce: Announcements, counts: Counts) -> None:
        self._announce = announce
        self._counts = counts
        self._rows: dict[tuple[int, Ip], Entry] = {}
        """By device and address as it was written: an IPv4-mapped address is a row of its own."""
        self.asked: list[Ip] = []
        """Addresses that were to be resolved; nothing answers here."""

    def entries(self, devices: Iterable[int]) -> list[Entry]:
        wanted = set(devices)
        return [entry for entry in list(self._rows.values()) if entry.port in wanted]

    def get(self, device: int, ip: Ip) -> Entry | None:
        return self._rows.get((device, ip))

    def write(self, message: Neighbor) -> None:
        """Carry out a message. The protocol of a row stays if the message gives none."""
        if message.ip is None:
            raise Refused(errno.EINVAL)
        key = (message.port, message.ip)
        held = self._rows.get(key)
        if message.flags & NTF_USE:
            if held is None:
                self.asked.append(message.ip)
            return
        if message.verb is Verb.DELETE:
            if held is None:
                raise Refused(errno.ENOENT)
            self._drop(key)
            self._counts.deletes += 1
            return
        if held and message.verb is Verb.CREATE:
            raise Refused(errno.EEXIST)
        protocol = message.protocol if message.protocol is not None else (held.protocol if held else None)
        row = Entry(
            message.port,
            None,
            message.mac,
            message.flags,
            message.state,
            protocol=protocol,
            family=message.family,
            ip=Ip.unpack(message.ip),
        )
        self._counts.writes += held is None
        self._counts.replaces += held not in (None, row)
        self._rows[key] = row
        if row != held:
            self._announce_unless_external(row)

    def drop_device(self, device: int, *, keeps_permanent: bool = False) -> None:
        """A device went down or goes: all its rows go (kernel 6.18). PERMANENT ones outlive the loss of the carrier alone."""
        for key, row in list(self._rows.items()):
            if key[0] == device and not (keeps_permanent and row.state & NUD_PERMANENT):
                self._drop(key)

    def drop_ipv4(self, device: int) -> None:
        """A device lost its last IPv4 address: its IPv4 rows go (kernel 6.18, net/ipv4/fib_frontend.c: fib_disable_ip)."""
        for key in [key for key in self._rows if key[0] == device and not key[1].is_v6]:
            self._drop(key)

    def _drop(self, key: tuple[int, Ip]) -> None:
        self._announce_unless_external(self._rows.pop(key))

    def _announce_unless_external(self, row: Entry) -> None:
        if row.ip is not None and not row.flags & NTF_EXT_LEARNED:
            self._announce.host(row.port, row.ip)
