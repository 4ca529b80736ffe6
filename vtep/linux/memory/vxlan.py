"""The forwarding table of one VXLAN device in memory: for each MAC, the VTEPs that it is behind.

Knows what Linux 6.18 does with the VXLAN half of a message. A row has the state and the flags of the write that made it, and
one remote, or several if its MAC is not unicast (the zero MAC, for floods).

Absent on purpose: nexthops, source VNIs, learning from VXLAN frames, ageing by time.
"""

import errno
from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct

from vtep.addr import ZERO_MAC, Ip, Mac
from vtep.linux.devices import Vxlan
from vtep.linux.memory.events import Announcements, Counts, Refused
from vtep.linux.wire.neighbor import (
    NTF_EXT_LEARNED,
    NTF_SELF,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_REACHABLE,
    Entry,
    Neighbor,
    Verb,
)

Remote: TypeAlias = tuple[Ip, int | None]
"""The VTEP, and the VNI if it is not the device's own."""


class VxlanRow(Struct):
    state: int
    flags: int
    remotes: list[Remote]


class VxlanTable:
    """The rows of one VXLAN device."""

    def __init__(self, index: int, room: int, announce: Announcements, counts: Counts) -> None:
        self._index = index
        self._room = room
        """How many MACs there may be (`maxaddress`), or 0."""
        self._announce = announce
        self._counts = counts
        self._rows: dict[Mac, VxlanRow] = {}

    def entries(self) -> Iterator[Entry]:
        return (entry for mac, row in list(self._rows.items()) for entry in self._entries(mac, row))

    def get(self, mac: Mac) -> Entry | None:
        """Return the row of a MAC; of several VTEPs only the first."""
        row = self._rows.get(mac)
        return None if row is None else self._entries(mac, row)[0]

    def write(self, message: Neighbor, flags: int, device: Vxlan) -> None:
        """Carry out the VXLAN half of a message; the flags are what is left of the message's after the bridge half."""
        row = self._rows.get(message.mac)
        remote = message.dst or Ip(4), None if message.vni == device.vni else message.vni
        if message.verb is Verb.DELETE:
            self._delete(message, remote, row)
            return
        _check(message, device)
        if row is None:
            self._create(message, flags, remote)
        elif message.verb is Verb.CREATE:
            raise Refused(errno.EEXIST)
        else:
            self._change(message, flags, remote, row)

    def drop_ageing(self) -> None:
        """The device went down and loses the rows that are neither PERMANENT nor NOARP; those for floods stay."""
        for mac, row in list(self._rows.items()):
            if not row.state & (NUD_PERMANENT | NUD_NOARP) and mac != ZERO_MAC:
                self._drop(mac)

    def drop_all(self) -> None:
        """The device goes."""
        for mac in list(self._rows):
            self._drop(mac)

    def _create(self, message: Neighbor, flags: int, remote: Remote) -> None:
        if message.verb is Verb.REPLACE and not message.mac.is_usable:
            raise Refused(errno.EOPNOTSUPP)
        if self._room and len(self._rows) >= self._room:
            raise Refused(errno.ENOSPC)
        self._rows[message.mac] = row = VxlanRow(message.state, flags, [remote])
        self._counts.writes += 1
        self._announce_unless_external(message.mac, row)

    def _change(self, message: Neighbor, flags: int, remote: Remote, row: VxlanRow) -> None:
        """An external write leaves state and flags as they are; any other write sets them, even where it then fails."""
        before = self._entries(message.mac, row)
        if not flags & NTF_EXT_LEARNED:
            row.state, row.flags = message.state, flags
        if message.verb is Verb.REPLACE:
            if not message.mac.is_usable:
                raise Refused(errno.EOPNOTSUPP)
            if remote not in row.remotes:
                row.remotes[0] = remote
        elif remote not in row.remotes and not message.mac.is_usable:
            row.remotes.append(remote)
            self._counts.writes += 1
            self._announce_unless_external(message.mac, row)
            return
        if before != self._entries(message.mac, row):
            self._counts.replaces += 1
            self._announce_unless_external(message.mac, row)

    def _delete(self, message: Neighbor, remote: Remote, row: VxlanRow | None) -> None:
        """Without an address the row goes whole; an address that is not there is a success that deletes nothing."""
        if row is None:
            raise Refused(errno.ENOENT)
        if message.dst is not None and remote not in row.remotes:
            return
        if message.dst is not None and len(row.remotes) > 1:
            self._announce.gone(self._index, message.mac)
            row.remotes.remove(remote)
            self._counts.deletes += 1
        else:
            self._counts.deletes += len(row.remotes)
            self._drop(message.mac)

    def _drop(self, mac: Mac) -> None:
        del self._rows[mac]
        self._announce.gone(self._index, mac)

    def _announce_unless_external(self, mac: Mac, row: VxlanRow) -> None:
        if not row.flags & NTF_EXT_LEARNED:
            self._announce.changed(self._index, mac)

    def _entries(self, mac: Mac, row: VxlanRow) -> list[Entry]:
        flags = row.flags | NTF_SELF
        return [Entry(self._index, None, mac, flags, row.state, dst, vni) for dst, vni in row.remotes]


def _check(message: Neighbor, device: Vxlan) -> None:
    """Refuse what cannot be a remote of the device."""
    if not message.state & (NUD_PERMANENT | NUD_REACHABLE) or message.dst is None:
        raise Refused(errno.EINVAL)
    if message.dst.is_v6 != bool(device.local and device.local.is_v6):
        raise Refused(errno.EAFNOSUPPORT)
