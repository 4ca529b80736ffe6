"""Messages about a port of a bridge: by which other port its frames leave while it has no carrier (IFLA_BRPORT_BACKUP_PORT), and
that the bridge forgets what it learned there (IFLA_BRPORT_FLUSH, which leaves static rows and those of other programs alone).

Knows the octets of one RTM_NEWLINK. `link.py` reads what it sets. Does not know why a port should have a backup.
"""

import struct
from typing import ClassVar, Final

from msgspec import Struct

from vtep.linux.wire.link import (
    IFLA_BRPORT_BACKUP_PORT,
    IFLA_BRPORT_FLUSH,
    IFLA_IFNAME,
    IFLA_INFO_SLAVE_DATA,
    IFLA_INFO_SLAVE_KIND,
    IFLA_LINKINFO,
    RTM_NEWLINK,
)
from vtep.linux.wire.tlv import NLM_F_ACK, NLM_F_REQUEST, attribute, attribute_u32, message


class PortMessage(Struct, frozen=True, gc=False):
    """Give a port a backup port, or take it back."""

    port: str
    """Its name: the kernel looks it up, so no device that came in its place is meant by mistake."""
    backup: int
    """The index of the other port of the same bridge; 0 for none."""

    also: ClassVar[tuple[()]] = ()


class PortFlush(Struct, frozen=True, gc=False):
    """Have the bridge forget what it has learned at a port."""

    port: str

    also: ClassVar[tuple[()]] = ()


class PortBackup(Struct, frozen=True, gc=False):
    """A port of a bridge with what it has for a backup."""

    bridge: int
    name: str
    backup: int
    """The index of the other port; never 0."""


class PortLookup(Struct, frozen=True, gc=False):
    """Ask for the backup of a port."""

    name: str


def encode(change: PortMessage | PortFlush, seq: int, *, acknowledged: bool) -> bytes:
    """Return the message. It names an existing device, because without NLM_F_CREATE none is made."""
    data = attribute(IFLA_INFO_SLAVE_KIND, b"bridge\0")
    setting = (
        attribute(IFLA_BRPORT_FLUSH, b"")
        if isinstance(change, PortFlush)
        else attribute_u32(IFLA_BRPORT_BACKUP_PORT, change.backup)
    )
    data += attribute(IFLA_INFO_SLAVE_DATA, setting)
    body = bytes(_IFINFO.size) + attribute(IFLA_IFNAME, change.port.encode() + b"\0") + attribute(IFLA_LINKINFO, data)
    return message(RTM_NEWLINK, NLM_F_REQUEST | (NLM_F_ACK if acknowledged else 0), seq, body)


_IFINFO: Final = struct.Struct("=BxHiII")
