"""The forwarding table of one bridge in memory: one row for each MAC and VLAN, which says behind which port it is.

Knows what Linux 6.18 does with the bridge half of a message, what a bridge learns from a frame, and which rows go with a port.
Does not know which devices there are: its caller says whether a port forwards and learns, and which VLANs it has.

    local      the MAC of a port or of the bridge itself; stays until the device goes
    static     written by an operator; does not age and does not move
    external   written with EXT_LEARNED, as we do; does not age, but a frame on another port takes it over
    learned    none of these
    sticky     does not move

A static row with activity notify (5.14) is announced when the first frame comes from its MAC, and when none came for the ageing time.

A bridge without VLAN filtering has no VLANs here, as in a kernel that was built without: there are no copies of rows for a
default VLAN. On a bridge with VLAN filtering, a message that names no VLAN is about all VLANs of its port, and about none.

Absent on purpose: ageing by time.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from vtep.addr import ZERO_MAC, Mac
from vtep.linux.memory.events import Announcements, Refused
from vtep.linux.wire.neighbor import (
    FDB_NOTIFY,
    FDB_NOTIFY_INACTIVE,
    NTF_EXT_LEARNED,
    NTF_STICKY,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_REACHABLE,
    Entry,
    Neighbor,
    Verb,
)

Key: TypeAlias = tuple[int | None, Mac]
"""The VLAN, and the MAC."""


class BridgeRow(Struct):
    """One row: whose it is, by flags of which several can be set. Without any it was learned."""

    port: int
    """The index of the port; the bridge's own for a MAC of the bridge itself."""
    local: bool = False
    static: bool = False
    external: bool = False
    sticky: bool = False
    notify: int = 0
    """The bits of NFEA_ACTIVITY_NOTIFY."""

    @property
    def state(self) -> int:
        return NUD_PERMANENT if self.local else NUD_NOARP if self.static else NUD_REACHABLE


class BridgeTable:
    """The rows of one bridge."""

    def __init__(self, index: int, announce: Announcements) -> None:
        self._index = index
        self._announce = announce
        self._rows: dict[Key, BridgeRow] = {}

    def entries(self) -> Iterator[Entry]:
        """Yield all rows. It reads a copy, because a thread may dump them while others write."""
        return (self._entry(key, row) for key, row in list(self._rows.items()))

    def get(self, mac: Mac, vlan: int | None = None) -> Entry | None:
        """Return the row of a MAC, whatever port it is on."""
        row = self._rows.get((vlan, mac))
        return None if row is None else self._entry((vlan, mac), row)

    def write(self, message: Neighbor, *, forwards: bool, vlans: Sequence[int] = ()) -> None:
        """Carry out the bridge half of a message; `forwards` says whether its port does, `vlans` are the port's."""
        if message.vlan is not None and message.vlan not in vlans:
            raise Refused(errno.EINVAL)
        keys = [(vlan, message.mac) for vlan in ((None, *vlans) if message.vlan is None else (message.vlan,))]
        if message.verb is Verb.DELETE:
            found = [key for key in keys if (row := self._rows.get(key)) is not None and row.port == message.port]
            if not found:
                raise Refused(errno.ENOENT)
            for key in found:
                self._delete(key)
            return
        if not message.state & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE) or message.mac == ZERO_MAC:
            raise Refused(errno.EINVAL)
        for key in keys:
            if message.flags & NTF_EXT_LEARNED:
                # Always creates or takes over: the state, CREATE, EXCL and STICKY are not looked at (6.1 to 6.18).
                row = self._rows.setdefault(key, BridgeRow(message.port))
                before = (row.port, row.external)
                row.port, row.external = message.port, True
                if row.static and before != (row.port, True):
                    self._announce.changed(row.port, message.mac, key[0])
            else:
                self._write_as_operator(message, key, forwards=forwards)

    def learn(self, mac: Mac, port: int, vlan: int | None = None) -> None:
        """A frame from this MAC came in by a port that learns: the row moves there, unless it is local or sticky."""
        row = self._rows.get((vlan, mac))
        if row is None:
            self._rows[vlan, mac] = BridgeRow(port)
        elif row.notify & FDB_NOTIFY_INACTIVE:
            row.notify &= ~FDB_NOTIFY_INACTIVE
            row.port = port
        elif row.local or row.sticky or row.port == port:
            return
        else:
            row.port, row.external = port, False
        self._announce.changed(port, mac, vlan)

    def expire(self, mac: Mac, vlan: int | None = None) -> None:
        """No frame came from this MAC for the ageing time: only a learned row goes, and one with activity notify says so."""
        row = self._rows.get((vlan, mac))
        if row and not row.static and not row.external:
            self._delete((vlan, mac))
        elif row and row.notify == FDB_NOTIFY:
            row.notify |= FDB_NOTIFY_INACTIVE
            self._announce.changed(row.port, mac, vlan)

    def put_local(self, port: int, mac: Mac, vlan: int | None = None) -> None:
        """Add the MAC of a device; of two devices with one MAC the first has the row, and any other row makes way."""
        held = self._rows.get((vlan, mac))
        if held is None or not held.local:
            self._rows[vlan, mac] = BridgeRow(port, local=True, static=True)
            self._announce.changed(port, mac, vlan)

    def drop_port(self, port: int, heir: Callable[[Mac], int | None]) -> None:
        """A port leaves and takes its rows along, except for a MAC of its own that another device has as well."""
        for key, row in list(self._rows.items()):
            if row.port != port:
                continue
            if row.local and (other := heir(key[1])) is not None:
                self._announce.changed(row.port, key[1], key[0])
                row.port = other
            else:
                self._delete(key)

    def drop_learned(self, port: int) -> None:
        """A port went down and loses what it learned."""
        for key, row in list(self._rows.items()):
            if row.port == port and not row.static and not row.external:
                self._delete(key)

    def drop_vlan(self, port: int, vlan: int) -> None:
        """A port lost a VLAN, and what it learned there, and its own MAC. What programs and operators wrote stays."""
        for key, row in list(self._rows.items()):
            if row.port == port and key[0] == vlan and (row.local or not (row.static or row.external)):
                self._delete(key)

    def _write_as_operator(self, message: Neighbor, key: Key, *, forwards: bool) -> None:
        """Write an entry as `bridge fdb` does: local, static or dynamic, and without extern_learn."""
        row = self._rows.get(key)
        state, sticky = message.state, bool(message.flags & NTF_STICKY)
        if not state & (NUD_PERMANENT | NUD_NOARP) and not forwards:
            raise Refused(errno.EPERM)
        if sticky and state & NUD_PERMANENT:
            raise Refused(errno.EINVAL)
        if row is not None and message.verb is Verb.CREATE:
            raise Refused(errno.EEXIST)
        before = row and (row.port, row.sticky, row.state, row.notify)
        if row is None:
            row = self._rows[key] = BridgeRow(message.port)
        row.port, row.sticky = message.port, sticky
        row.local = bool(state & NUD_PERMANENT)
        row.static = bool(state & (NUD_PERMANENT | NUD_NOARP))
        row.notify = row.notify if message.notify is None else message.notify
        # The kernel compares with the state as asked: a combination such as 0xC0 is a change every time.
        if before != (row.port, row.sticky, state, row.notify) and (row.static or not row.external):
            self._announce.changed(row.port, message.mac, key[0])

    def _delete(self, key: Key) -> None:
        self._announce.gone(self._rows[key].port, key[1], key[0])
        del self._rows[key]

    def _entry(self, key: Key, row: BridgeRow) -> Entry:
        flags = row.external * NTF_EXT_LEARNED | row.sticky * NTF_STICKY
        return Entry(row.port, self._index, key[1], flags, row.state, vlan=key[0], notify=row.notify)
