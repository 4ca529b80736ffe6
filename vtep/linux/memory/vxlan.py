"""The forwarding table of one VXLAN device in memory: for each MAC, the VTEPs that it is behind.

A device for many VNIs has a row for each MAC and source VNI; a message that names none is about the VNI 0. A device for one
VNI does not look at the source VNI.

Knows what Linux 6.18 does with the VXLAN half of a message. A row has the state and the flags of the write that made it, and
one remote, or several if its MAC is not unicast (the zero MAC, for floods).

A row may name a group of nexthops in place of a VTEP, and goes with it, without an event.

Absent on purpose: learning from VXLAN frames, ageing by time.
"""

import errno
from collections.abc import Callable, Iterator
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


Key: TypeAlias = tuple[int | None, Mac]
"""The source VNI on a device for many, and the MAC."""


class VxlanRow(Struct):
    state: int
    """`ndm_state` of the write that made the row; an external write later does not change it."""
    flags: int
    """`ndm_flags` of the write that made the row, without those of a half that is done."""
    remotes: list[Remote]
    """The VTEPs, in the order in which they were added: one for a unicast MAC. A lookup returns the first alone."""
    nh_id: int | None = None
    """The group of nexthops; then there are no remotes."""


class VxlanTable:
    """The rows of one VXLAN device."""

    def __init__(
        self, index: int, room: int, announce: Announcements, counts: Counts, group: Callable[[int], bool | None]
    ) -> None:
        """Make a table; `group` tells of a number whether it is a group of IPv6 VTEPs, or None if it is no group."""
        self._group = group
        self._index = index
        self._room = room
        """How many MACs there may be (`maxaddress`), or 0."""
        self._announce = announce
        self._counts = counts
        self._rows: dict[Key, VxlanRow] = {}

    def entries(self) -> Iterator[Entry]:
        return (entry for key, row in list(self._rows.items()) for entry in self._entries(key, row))

    def get(self, mac: Mac, src_vni: int | None = None) -> Entry | None:
        """Return the row of a MAC; of several VTEPs only the first."""
        row = self._rows.get((src_vni or None, mac))
        return None if row is None else self._entries((src_vni or None, mac), row)[0]

    def write(self, message: Neighbor, flags: int, device: Vxlan) -> None:
        """Carry out the VXLAN half of a message; the flags are what is left of the message's after the bridge half.

            no row        CREATE, APPEND       a new row; ENOSPC if the device has as many MACs as it may
                          REPLACE              the same for a unicast MAC; EOPNOTSUPP for the zero MAC and multicast
            a row         CREATE               EEXIST
                          REPLACE              the first VTEP is exchanged; EOPNOTSUPP for the zero MAC and multicast
                          APPEND               one more VTEP for the zero MAC and multicast; nothing for a unicast MAC
            a row         REPLACE by a group   another group, for a row that has one; EOPNOTSUPP for any other

        An IPv6 VTEP on a device with an IPv4 local address is EAFNOSUPPORT, and the other way round.
        """
        key = (message.src_vni or None) if device.external else None, message.mac
        row = self._rows.get(key)
        remote = message.dst or Ip(4), None if message.vni == device.vni else message.vni
        if message.verb is Verb.DELETE:
            self._delete(message, key, remote, row)
            return
        if message.nh_id is None:
            _check(message, device)
        else:
            self._check_group(message, device)
        if row is None:
            self._create(message, key, flags, remote)
        elif message.verb is Verb.CREATE:
            raise Refused(errno.EEXIST)
        elif row.nh_id is None and message.nh_id is None:
            self._change(message, key, flags, remote, row)
        else:
            self._change_group(message, row)

    def drop_group(self, number: int) -> None:
        """A group of nexthops goes, and takes its rows along without an event (5.8 to 6.18)."""
        for key in [key for key, row in self._rows.items() if row.nh_id == number]:
            del self._rows[key]

    def _check_group(self, message: Neighbor, device: Vxlan) -> None:
        """Refuse what cannot be a group of the device's rows."""
        is_v6 = self._group(message.nh_id or 0)
        if not message.state & (NUD_PERMANENT | NUD_REACHABLE) or message.dst is not None or is_v6 is None:
            raise Refused(errno.EINVAL)
        if is_v6 != bool(device.local and device.local.is_v6):
            raise Refused(errno.EAFNOSUPPORT)

    def _change_group(self, message: Neighbor, row: VxlanRow) -> None:
        """A row takes another group. One with a VTEP takes none; one with a group takes no VTEP, and the kernel says that it did."""
        if row.nh_id is None or (message.nh_id is not None and message.verb is Verb.APPEND):
            raise Refused(errno.EOPNOTSUPP)
        if message.nh_id is not None and message.nh_id != row.nh_id:
            row.nh_id = message.nh_id
            self._counts.replaces += 1

    def drop_ageing(self) -> None:
        """The device went down and loses the rows that are neither PERMANENT nor NOARP; those for its own floods stay.

        A device for many VNIs has none of its own: it loses such rows of all its VNIs (6.1 to 7.2, vxlan_flush).
        """
        for key, row in list(self._rows.items()):
            if not row.state & (NUD_PERMANENT | NUD_NOARP) and key != (None, ZERO_MAC):
                self._drop(key)

    def drop_all(self) -> None:
        """The device goes."""
        for key in list(self._rows):
            self._drop(key)

    def _create(self, message: Neighbor, key: Key, flags: int, remote: Remote) -> None:
        if message.verb is Verb.REPLACE and not message.mac.is_usable:
            raise Refused(errno.EOPNOTSUPP)
        if self._room and len(self._rows) >= self._room:
            raise Refused(errno.ENOSPC)
        self._rows[key] = row = VxlanRow(message.state, flags, [] if message.nh_id else [remote], message.nh_id)
        self._counts.writes += 1
        self._announce_unless_external(key, row)

    def _change(self, message: Neighbor, key: Key, flags: int, remote: Remote, row: VxlanRow) -> None:
        """An external write leaves state and flags as they are; any other write sets them, even where it then fails."""
        before = self._entries(key, row)
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
            self._announce_unless_external(key, row)
            return
        if before != self._entries(key, row):
            self._counts.replaces += 1
            self._announce_unless_external(key, row)

    def _delete(self, message: Neighbor, key: Key, remote: Remote, row: VxlanRow | None) -> None:
        """Without an address the row goes whole; an address that is not there is a success that deletes nothing."""
        if row is None:
            raise Refused(errno.ENOENT)
        if message.dst is not None and remote not in row.remotes:
            if row.nh_id is not None:
                raise Refused(errno.EINVAL)
            return
        if message.dst is not None and len(row.remotes) > 1:
            self._announce.gone(self._index, message.mac, None, key[0])
            row.remotes.remove(remote)
            self._counts.deletes += 1
        else:
            self._counts.deletes += max(1, len(row.remotes))
            self._drop(key)

    def _drop(self, key: Key) -> None:
        del self._rows[key]
        self._announce.gone(self._index, key[1], None, key[0])

    def _announce_unless_external(self, key: Key, row: VxlanRow) -> None:
        if not row.flags & NTF_EXT_LEARNED:
            self._announce.changed(self._index, key[1], None, key[0])

    def _entries(self, key: Key, row: VxlanRow) -> list[Entry]:
        flags, (src_vni, mac) = row.flags | NTF_SELF, key
        if row.nh_id is not None:
            return [Entry(self._index, None, mac, flags, row.state, src_vni=src_vni, nh_id=row.nh_id)]
        return [Entry(self._index, None, mac, flags, row.state, dst, vni, src_vni) for dst, vni in row.remotes]


def _check(message: Neighbor, device: Vxlan) -> None:
    """Refuse what cannot be a remote of the device."""
    if not message.state & (NUD_PERMANENT | NUD_REACHABLE) or message.dst is None:
        raise Refused(errno.EINVAL)
    if message.dst.is_v6 != bool(device.local and device.local.is_v6):
        raise Refused(errno.EAFNOSUPPORT)
