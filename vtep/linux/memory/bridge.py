"""The forwarding table of one bridge in memory: one row for each MAC, which says behind which port it is.

Knows what Linux 6.18 does with the bridge half of a message, what a bridge learns from a frame, and which rows go with a port.
Does not know which devices there are: its caller says whether a port forwards and learns.

    local      the MAC of a port or of the bridge itself; stays until the device goes
    static     written by an operator; does not age and does not move
    external   written with EXT_LEARNED, as we do; does not age, but a frame on another port takes it over
    learned    none of these
    sticky     does not move

Absent on purpose: VLANs (as in a kernel without VLAN filtering), ageing by time.
"""

import errno
from collections.abc import Callable, Iterator

from msgspec import Struct

from vtep.addr import ZERO_MAC, Mac
from vtep.linux.memory.events import Announcements, Refused
from vtep.linux.wire.neighbor import (
    NTF_EXT_LEARNED,
    NTF_STICKY,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_REACHABLE,
    Entry,
    Neighbor,
    Verb,
)


class BridgeRow(Struct):
    port: int
    local: bool = False
    static: bool = False
    external: bool = False
    sticky: bool = False

    @property
    def state(self) -> int:
        return NUD_PERMANENT if self.local else NUD_NOARP if self.static else NUD_REACHABLE


class BridgeTable:
    """The rows of one bridge."""

    def __init__(self, index: int, announce: Announcements) -> None:
        self._index = index
        self._announce = announce
        self._rows: dict[Mac, BridgeRow] = {}

    def entries(self) -> Iterator[Entry]:
        return (self._entry(mac, row) for mac, row in list(self._rows.items()))

    def get(self, mac: Mac) -> Entry | None:
        """Return the row of a MAC, whatever port it is on."""
        row = self._rows.get(mac)
        return None if row is None else self._entry(mac, row)

    def write(self, message: Neighbor, *, forwards: bool) -> None:
        """Carry out the bridge half of a message; `forwards` says whether its port does."""
        row = self._rows.get(message.mac)
        if message.verb is Verb.DELETE:
            if row is None or row.port != message.port:
                raise Refused(errno.ENOENT)
            self._delete(message.mac)
            return
        if not message.state & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE) or message.mac == ZERO_MAC:
            raise Refused(errno.EINVAL)
        if message.flags & NTF_EXT_LEARNED:
            # Always creates or takes over: the state, CREATE, EXCL and STICKY are not looked at (6.1 to 6.18).
            row = self._rows.setdefault(message.mac, BridgeRow(message.port))
            row.port, row.external = message.port, True
        else:
            self._write_as_operator(message, row, forwards=forwards)

    def learn(self, mac: Mac, port: int) -> None:
        """A frame from this MAC came in by a port that learns: the row moves there, unless it is local or sticky."""
        row = self._rows.get(mac)
        if row is None:
            self._rows[mac] = BridgeRow(port)
        elif row.local or row.sticky or row.port == port:
            return
        else:
            row.port, row.external = port, False
        self._announce.changed(port, mac)

    def expire(self, mac: Mac) -> None:
        """No frame came from this MAC for the ageing time: only a learned row goes."""
        row = self._rows.get(mac)
        if row and not row.static and not row.external:
            self._delete(mac)

    def put_local(self, port: int, mac: Mac) -> None:
        """Add the MAC of a device; of two devices with one MAC the first has the row, and any other row makes way."""
        held = self._rows.get(mac)
        if held is None or not held.local:
            self._rows[mac] = BridgeRow(port, local=True, static=True)
            self._announce.changed(port, mac)

    def drop_port(self, port: int, heir: Callable[[Mac], int | None]) -> None:
        """A port leaves and takes its rows along, except for a MAC of its own that another device has as well."""
        for mac, row in list(self._rows.items()):
            if row.port != port:
                continue
            if row.local and (other := heir(mac)) is not None:
                self._announce.changed(row.port, mac)
                row.port = other
            else:
                self._delete(mac)

    def drop_learned(self, port: int) -> None:
        """A port went down and loses what it learned."""
        for mac, row in list(self._rows.items()):
            if row.port == port and not row.static and not row.external:
                self._delete(mac)

    def _write_as_operator(self, message: Neighbor, row: BridgeRow | None, *, forwards: bool) -> None:
        state, sticky = message.state, bool(message.flags & NTF_STICKY)
        if not state & (NUD_PERMANENT | NUD_NOARP) and not forwards:
            raise Refused(errno.EPERM)
        if sticky and state & NUD_PERMANENT:
            raise Refused(errno.EINVAL)
        if row is not None and message.verb is Verb.CREATE:
            raise Refused(errno.EEXIST)
        before = row and (row.port, row.sticky, row.state)
        if row is None:
            row = self._rows[message.mac] = BridgeRow(message.port)
        row.port, row.sticky = message.port, sticky
        row.local = bool(state & NUD_PERMANENT)
        row.static = bool(state & (NUD_PERMANENT | NUD_NOARP))
        # The kernel compares with the state as asked: a combination such as 0xC0 is a change every time.
        if before != (row.port, row.sticky, state) and not row.external:
            self._announce.changed(row.port, message.mac)

    def _delete(self, mac: Mac) -> None:
        self._announce.gone(self._rows[mac].port, mac)
        del self._rows[mac]

    def _entry(self, mac: Mac, row: BridgeRow) -> Entry:
        flags = row.external * NTF_EXT_LEARNED | row.sticky * NTF_STICKY
        return Entry(row.port, self._index, mac, flags, row.state)
