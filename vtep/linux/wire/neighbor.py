"""Neighbor messages as plain values: rows to write, rows as the kernel reports them, and its refusals.

Knows the octets of rtnetlink's neighbor messages (RTM_NEWNEIGH and so on), which are also the messages of the FDB. Does not know
a socket, whose a row is, or why it is wanted.

A remote MAC behind an IPv4 VTEP is one message of 48 octets. Numbers are in the byte order of the host, addresses are not:

    nlmsghdr   length 4 · type 2 · flags 2 · seq 4 · port id 4
    ndmsg      family 1 · pad 3 · ifindex 4 · state 2 · flags 1 · type 1
    NDA_LLADDR 10 00 02 00 · MAC 6 · pad 2            always the first attribute: an answer finds its message by it
    NDA_DST    08 00 01 00 · VTEP 4

A bridge that filters VLANs finds its row by NDA_VLAN and the MAC. A VXLAN device for many VNIs finds its row by NDA_SRC_VNI and
the MAC, and a request for one such row has the same number in NDA_VNI (6.1 to 7.2). Each half ignores the other's attribute.

The kernel carries out the MASTER half (bridge) first, then the SELF half (VXLAN). It stops at the first error and does not undo
the first half. It clears the flag of a half when that half succeeds, and a refusal echoes the request with these flags: so a
refusal says which half was done.
"""

import enum
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from vtep.addr import Ip, Mac
from vtep.linux.wire.tlv import (
    AF_BRIDGE,
    AF_INET,
    AF_INET6,
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Answer,
    attribute,
    attribute_u32,
    attributes,
    message,
    number,
    parse_answer,
    split,
)

RTM_NEWNEIGH: Final = 28
RTM_DELNEIGH: Final = 29
RTM_GETNEIGH: Final = 30

# States of a row (ndm_state). In the table of a bridge they say what sort of row it is: PERMANENT is a MAC of this host
# (`local`), NOARP is `static`, and REACHABLE or STALE is any other. In the neighbor table NOARP and PERMANENT never
# time out, and vtep takes a row of any other state as found by ARP or ND.
NUD_REACHABLE: Final = 0x02
NUD_STALE: Final = 0x04
NUD_DELAY: Final = 0x08
NUD_PROBE: Final = 0x10
NUD_NOARP: Final = 0x40
NUD_PERMANENT: Final = 0x80

# Flags of a row (ndm_flags). SELF and MASTER say which half is meant, and EXT_LEARNED that a control plane wrote it.
# USE asks the kernel to resolve an address. STICKY keeps a bridge row on its port.
NTF_USE: Final = 0x01
NTF_SELF: Final = 0x02
NTF_MASTER: Final = 0x04
NTF_EXT_LEARNED: Final = 0x10
NTF_STICKY: Final = 0x40
NTF_ROUTER: Final = 0x80

# Attributes. DST is the VTEP of an FDB row, and the host address of an ARP or ND row. VNI is that of the encapsulation,
# and SRC_VNI that of the row on a device for many VNIs. PORT is the UDP port, the only number here that is big-endian.
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
NDA_FDB_EXT_ATTRS: Final = 14
NDA_FLAGS_EXT: Final = 15

NFEA_ACTIVITY_NOTIFY: Final = 1
"""Within NDA_FDB_EXT_ATTRS, on a static row of a bridge: have the kernel tell when frames come from the MAC, and when none come."""
FDB_NOTIFY: Final = 1
FDB_NOTIFY_INACTIVE: Final = 2
"""Its bits. INACTIVE: no frame came from the MAC since the row was written, or for the ageing time of the bridge (5.14)."""

RTPROT_VTEP: Final = 229
"""Ours in NDA_PROTOCOL; no other program is known to use it."""


class Verb(enum.IntEnum):
    """What a message does; the value is the netlink flags that ask for it."""

    DELETE = 0
    REPLACE = NLM_F_CREATE | NLM_F_REPLACE
    CREATE = NLM_F_CREATE | NLM_F_EXCL
    APPEND = NLM_F_CREATE | NLM_F_APPEND


class Half(enum.IntEnum):
    """One of the two entries of a remote MAC; the value is the flag that names it."""

    VXLAN = NTF_SELF
    BRIDGE = NTF_MASTER


class Neighbor(Struct, frozen=True, gc=False):
    """One row to write or to delete, or many at once that differ in nothing but the MAC: each is a message of its own."""

    verb: Verb
    port: int
    """The device's index: for FDB rows the bridge port, for ARP and ND rows the bridge or its SVI."""
    mac: Mac
    flags: int
    """`ndm_flags`: the halves that are meant (SELF, MASTER), and the marks of the row."""
    state: int
    """`ndm_state`; a deletion does not need one."""
    dst: Ip | None = None
    """The VTEP."""
    vni: int | None = None
    """The VNI of the encapsulation if it is not the device's own."""
    family: int = AF_BRIDGE
    ip: Ip | None = None
    """The host address of an ARP or ND row."""
    protocol: int | None = None
    """The program that wrote it. ARP and ND rows keep it, FDB rows do not."""
    vlan: int | None = None
    """The VLAN of the bridge half. Without it a bridge that filters VLANs writes or deletes the row in all VLANs of the port."""
    src_vni: int | None = None
    """The VNI of the VXLAN half, on a device for many VNIs."""
    nh_id: int | None = None
    """The group of nexthops that has the VTEPs; then there is no `dst` and no `vni`."""
    notify: int | None = None
    """The bits of NFEA_ACTIVITY_NOTIFY, for a bridge row; 0 ends the notices."""
    also: tuple[Mac, ...] = ()
    """The MACs of the messages after the first."""

    @property
    def macs(self) -> tuple[Mac, ...]:
        return (self.mac, *self.also)


class Entry(Struct, frozen=True, gc=False):
    """One row as the kernel dumps, answers or announces it. What it did not report is absent."""

    port: int
    """The device that has the row: a bridge port, a VXLAN device, or for an ARP or ND row the bridge or its SVI."""
    master: int | None
    """The bridge; VXLAN rows have none."""
    mac: Mac
    flags: int
    state: int
    dst: Ip | None = None
    """The VTEP; None in a bridge row, and in a VXLAN row that names a group."""
    vni: int | None = None
    """The VNI of the encapsulation, if it is not the device's own."""
    src_vni: int | None = None
    """The VNI of the row, on a VXLAN device for many VNIs."""
    vlan: int | None = None
    """The VLAN of a bridge row; None on a bridge that does not filter VLANs, and in a VXLAN row."""
    nh_id: int | None = None
    """The group of nexthops that has the VTEPs; then `dst` is None."""
    protocol: int | None = None
    """The program that wrote an ARP or ND row, as it named itself; None if it did not."""
    udp_port: int | None = None
    """The UDP port of the VTEP if it is not the device's own."""
    via: int | None = None
    """The device by which the encapsulated packets must leave."""
    family: int = AF_BRIDGE
    ip: Ip | None = None
    """The host address of an ARP or ND row."""
    notify: int = 0
    """Of a bridge row: the bits of NFEA_ACTIVITY_NOTIFY."""

    @property
    def is_address_list(self) -> bool:
        """Whether this is an address that a network card accepts: the kernel reports these like FDB rows.

        6.1 and 6.12 add a notification to each VXLAN write that looks the same, and it says nothing either.
        """
        return self.family == AF_BRIDGE and bool(self.flags & NTF_SELF) and self.dst is None and self.nh_id is None


class Alike(Struct, frozen=True, gc=False):
    """Rows that should be alike: the same entry for each of these MACs."""

    entry: Entry
    """Its own MAC counts for nothing."""
    macs: Sequence[Mac]


class Refusal(Struct, frozen=True, gc=False):
    """One message of a send that the kernel did not carry out in full."""

    index: int
    """Of many messages alike each has an index of its own."""
    errno: int
    """ENOBUFS means that the answer was lost or that the kernel had no memory, so the row must be read back."""
    text: str = ""
    """What the kernel says about it, or empty."""
    bridge_done: bool = False
    """The bridge half of this message was written or deleted all the same."""
    vxlan_done: bool = False


class Lookup(NamedTuple):
    """What to ask the kernel in order to read one half of a MAC's row."""

    port: int
    """A port of the bridge for the bridge half; the VXLAN device for the other."""
    mac: Mac
    half: Half
    vlan: int | None = None
    src_vni: int | None = None


class FdbEvent(NamedTuple):
    """Which row of the FDB an event is about. Its values are not kept, because the row is read back."""

    port: int
    """The port that had or has the row. After a move it is not the port that the row is on now."""
    mac: Mac
    vlan: int | None = None
    """The VLAN of a bridge row; None for a VXLAN row."""
    src_vni: int | None = None


Parsed: TypeAlias = tuple[int, int, "Entry | Answer"]


def encode(row: Neighbor, seq: int, *, acknowledged: bool) -> bytes:
    """Return the one message of a row. For many rows `batch.pack` gives the same octets, faster."""
    assert not row.also
    address = row.dst if row.family == AF_BRIDGE else row.ip
    body = _NDMSG.pack(row.family, row.port, row.state, row.flags) + attribute(NDA_LLADDR, row.mac)
    if address:
        body += attribute(NDA_DST, address)
    if row.vni is not None:
        body += attribute_u32(NDA_VNI, row.vni)
    if row.protocol is not None:
        body += attribute(NDA_PROTOCOL, bytes((row.protocol,)))
    if row.vlan is not None:
        body += attribute(NDA_VLAN, _U16.pack(row.vlan))
    if row.src_vni is not None:
        body += attribute_u32(NDA_SRC_VNI, row.src_vni)
    if row.nh_id is not None:
        body += attribute_u32(NDA_NH_ID, row.nh_id)
    if row.notify is not None:
        body += attribute(NDA_FDB_EXT_ATTRS | NLA_F_NESTED, attribute(NFEA_ACTIVITY_NOTIFY, bytes((row.notify,))))
    kind = RTM_DELNEIGH if row.verb is Verb.DELETE else RTM_NEWNEIGH
    return message(kind, NLM_F_REQUEST | row.verb | (NLM_F_ACK if acknowledged else 0), seq, body)


def request_row(wanted: Lookup, seq: int) -> bytes:
    """Ask for one row. The bridge answers for its whole table, whatever port the row is on now."""
    body = _NDMSG.pack(AF_BRIDGE, wanted.port, 0, wanted.half) + attribute(NDA_LLADDR, wanted.mac)
    if wanted.half is Half.BRIDGE and wanted.vlan is not None:
        body += attribute(NDA_VLAN, _U16.pack(wanted.vlan))
    elif wanted.half is Half.VXLAN and wanted.src_vni is not None:
        body += attribute_u32(NDA_VNI, wanted.src_vni)  # NDA_SRC_VNI is refused here (vxlan_fdb_get, 6.1 to 7.2)
    return message(RTM_GETNEIGH, NLM_F_REQUEST, seq, body)


def request_host(device: int, ip: Ip, seq: int) -> bytes:
    """Ask for one ARP or ND row."""
    body = _NDMSG.pack(AF_INET6 if ip.is_v6 else AF_INET, device, 0, 0) + attribute(NDA_DST, ip)
    return message(RTM_GETNEIGH, NLM_F_REQUEST, seq, body)


def request_rows(seq: int, *, bridge: int = 0, port: int = 0) -> bytes:
    """Ask for all rows of one bridge, both halves, or of one port."""
    master = attribute_u32(NDA_MASTER, bridge) if bridge else b""
    return message(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, seq, _NDMSG.pack(AF_BRIDGE, port, 0, 0) + master)


def request_neighbors(seq: int, device: int) -> bytes:
    """Ask for the ARP and ND rows of one device, or of all for device 0."""
    body = _NDMSG.pack(0, 0, 0, 0) + (attribute_u32(NDA_IFINDEX, device) if device else b"")
    return message(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, seq, body)


def parse_neighbors(datagram: bytes) -> Iterator[Parsed]:
    """Yield (type, seq, entry or answer) for each message, 1.5 us a row; messages of other types are skipped."""
    for kind, flags, seq, start, end in split(datagram):
        if flags & NLM_F_DUMP_INTR:
            yield kind, seq, Answer(0, "the dump was interrupted", interrupted=True)
        if kind in (RTM_NEWNEIGH, RTM_DELNEIGH):
            yield kind, seq, _entry(datagram, start, end)
        elif kind in (NLMSG_ERROR, NLMSG_DONE):
            yield kind, seq, parse_answer(datagram, kind, flags, start, end)


_NDMSG: Final = struct.Struct("=BxxxiHBx")
_U16: Final = struct.Struct("=H")

# Most rows of a dump have one of four layouts (6.1 to 7.2), which one unpack reads. Others are read attribute by attribute.
#
#     octet     0          12          24         32            40              total
#     bridge    ndmsg 12 · LLADDR 12 · MASTER 8 · FLAGS_EXT 8 · CACHEINFO 20    60
#     VLAN      the same, and VLAN 8 at octet 60                                68
#     VXLAN     ndmsg 12 · LLADDR 12 · DST 8    · CACHEINFO 20                  52
#     many      ndmsg 12 · LLADDR 12 · DST 8    · SRC_VNI 8   · CACHEINFO 20    60
#
# Two have one size, so the heads of the attributes (length and type, read as one number) say which one it is. What has
# another size or other heads is walked: IPv6 VTEPs, groups, ARP and ND rows, rows of a kernel with one more attribute.
# So a new kernel makes dumps slower and not wrong.
_BRIDGE_ROW: Final = struct.Struct("=BxxxiHBx I6s2x II I4x I16x")
_VLAN_ROW: Final = struct.Struct("=BxxxiHBx I6s2x II I4x I16x IH2x")
_VXLAN_ROW: Final = struct.Struct("=BxxxiHBx I6s2x I4s I16x")
_SRC_VNI_ROW: Final = struct.Struct("=BxxxiHBx I6s2x I4s II I16x")
_IS_LLADDR, _IS_MASTER, _IS_FLAGS_EXT, _IS_DST, _IS_CACHEINFO, _IS_VLAN, _IS_SRC_VNI = (
    struct.unpack("=I", struct.pack("=HH", length, kind))[0]
    for length, kind in (
        (10, NDA_LLADDR),
        (8, NDA_MASTER),
        (8, NDA_FLAGS_EXT),
        (8, NDA_DST),
        (20, NDA_CACHEINFO),
        (6, NDA_VLAN),
        (8, NDA_SRC_VNI),
    )
)
_IS_VLAN_ROW: Final = (_IS_LLADDR, _IS_MASTER, _IS_FLAGS_EXT, _IS_CACHEINFO, _IS_VLAN, AF_BRIDGE)


def _entry(datagram: bytes, start: int, end: int) -> Entry:
    """Read one row by its layout, if it has one of the four, and attribute by attribute otherwise."""
    size = end - start
    if size == _BRIDGE_ROW.size:
        family, port, state, flags, a, mac, b, master, c, d = _BRIDGE_ROW.unpack_from(datagram, start)
        if a == _IS_LLADDR and b == _IS_MASTER and c == _IS_FLAGS_EXT and d == _IS_CACHEINFO and family == AF_BRIDGE:
            return Entry(port, master, Mac(mac), flags, state)
        family, port, state, flags, a, mac, b, dst, c, src_vni, d = _SRC_VNI_ROW.unpack_from(datagram, start)
        if a == _IS_LLADDR and b == _IS_DST and c == _IS_SRC_VNI and d == _IS_CACHEINFO and family == AF_BRIDGE:
            return Entry(port, None, Mac(mac), flags, state, _ip(dst), src_vni=src_vni)
    elif size == _VXLAN_ROW.size:
        family, port, state, flags, a, mac, b, dst, c = _VXLAN_ROW.unpack_from(datagram, start)
        if a == _IS_LLADDR and b == _IS_DST and c == _IS_CACHEINFO and family == AF_BRIDGE:
            return Entry(port, None, Mac(mac), flags, state, _ip(dst))
    elif size == _VLAN_ROW.size:
        family, port, state, flags, a, mac, b, master, c, d, e, vlan = _VLAN_ROW.unpack_from(datagram, start)
        if (a, b, c, d, e, family) == _IS_VLAN_ROW:
            return Entry(port, master, Mac(mac), flags, state, vlan=vlan)
    return _walked_entry(datagram, start, end)


def _walked_entry(datagram: bytes, start: int, end: int) -> Entry:
    """Read a row of any layout. One without a MAC, as an address that ARP did not resolve, gets the zero MAC."""
    family, port, state, flags = _NDMSG.unpack_from(datagram, start)
    found = attributes(datagram, start + _NDMSG.size, end)
    address, lladdr = found.get(NDA_DST), found.get(NDA_LLADDR, b"")
    ip = _ip(address) if address else None
    return Entry(
        port=port,
        master=number(found.get(NDA_MASTER)),
        mac=Mac(lladdr if len(lladdr) == 6 else 6),
        flags=flags,
        state=state,
        dst=ip if family == AF_BRIDGE else None,
        vni=number(found.get(NDA_VNI)),
        src_vni=number(found.get(NDA_SRC_VNI)),
        vlan=number(found.get(NDA_VLAN)),
        nh_id=number(found.get(NDA_NH_ID)),
        protocol=number(found.get(NDA_PROTOCOL)),
        udp_port=int.from_bytes(found[NDA_PORT]) if NDA_PORT in found else None,
        via=number(found.get(NDA_IFINDEX)),
        family=family,
        ip=None if family == AF_BRIDGE else ip,
        notify=_notify(found.get(NDA_FDB_EXT_ATTRS)),
    )


def _notify(octets: bytes | None) -> int:
    """Read the bits of NFEA_ACTIVITY_NOTIFY, if they are there."""
    bits = attributes(octets, 0, len(octets)).get(NFEA_ACTIVITY_NOTIFY) if octets else None
    return bits[0] if bits else 0


@lru_cache(maxsize=16384)
def _ip(octets: bytes) -> Ip:
    """Return the address as one value for all rows behind a VTEP, because a leaf has 100,000 rows and few VTEPs."""
    return Ip.unpack(octets)
