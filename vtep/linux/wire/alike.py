"""Many rows that should be alike, read back at once: the fast path of an audit.

`request` asks for the rows of many MACs, and `matching` says which of the answers are the row that is expected. An audit reads
every row of a table, and nearly all are as they were written. So an answer is not read but compared with the octets that it
must have, around its MAC. An answer that has any other octets says nothing here: its row is read the long way.

All requests of one call share a sequence number, as in `batch`, because an answer names its MAC.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from vtep.addr import ZERO_MAC, Mac
from vtep.linux.wire.neighbor import (
    NDA_CACHEINFO,
    NDA_DST,
    NDA_FLAGS_EXT,
    NDA_LLADDR,
    NDA_MASTER,
    NDA_NH_ID,
    NDA_SRC_VNI,
    NTF_SELF,
    RTM_NEWNEIGH,
    Entry,
    Half,
    Lookup,
    request_row,
)
from vtep.linux.wire.tlv import AF_BRIDGE, ECHOED_MAC, number


def request(row: Entry, macs: Sequence[Mac], seq: int) -> bytes:
    """Ask for this row of each MAC, as `request_row` does for one."""
    half = Half.VXLAN if row.flags & NTF_SELF else Half.BRIDGE
    one = request_row(Lookup(row.port, ZERO_MAC, half, row.vlan, row.src_vni), seq)
    before, after = one[:ECHOED_MAC], one[ECHOED_MAC + 6 :]
    return before + (after + before).join(macs) + after


def matching(row: Entry, octets: bytearray, stride: int, count: int, seq: int, port_id: int) -> set[bytes]:
    """Return the MACs of the answers that are this row. The answers begin `stride` octets apart."""
    expected = {
        _HEAD.pack(size, RTM_NEWNEIGH, 0, seq, port_id, AF_BRIDGE, row.port, row.state, row.flags, kind, _LLADDR): after
        for size, kind, after in _layouts(row)
    }
    answers = _answers(stride).iter_unpack(memoryview(octets)[: count * stride])
    return {mac for head, mac, after in answers if head in expected and after.startswith(expected[head])}


def _layouts(row: Entry) -> list[tuple[int, int, bytes]]:
    """Return the size, the type (ndm_type) and what is after the MAC, of each layout in which a kernel answers with this row."""
    to = row.nh_id if row.nh_id is not None else row.dst
    if to is not None and not any((row.master, row.vni, row.udp_port, row.via, row.vlan)):
        src_vni = b"" if row.src_vni is None else _ATTRIBUTE.pack(8, NDA_SRC_VNI) + _U32.pack(row.src_vni)
        by = _U32.pack(to) if isinstance(to, int) else bytes(to)
        after = _ATTRIBUTE.pack(4 + len(by), NDA_NH_ID if isinstance(to, int) else NDA_DST) + by + src_vni + _CACHEINFO
        return [(56 + len(after), _UNICAST, after)]
    if row.dst is None and row.master is not None:
        master = _ATTRIBUTE.pack(8, NDA_MASTER) + _U32.pack(row.master)
        flags = _ATTRIBUTE.pack(8, NDA_FLAGS_EXT) + bytes(4)
        vlan = 8 * (row.vlan is not None)  # it is the last attribute, and is the one that was asked for
        return [(76 + vlan, 0, master + flags + _CACHEINFO), (68 + vlan, 0, master + _CACHEINFO)]  # from 6.2 on, before
    return []


@lru_cache
def _answers(stride: int) -> struct.Struct:
    """Return what cuts one answer after the other at its MAC."""
    return struct.Struct(f"={_HEAD.size}s6s2x32s{stride - _HEAD.size - 40}x")


_HEAD: Final = struct.Struct("=IHHIIBxxxiHBBI")
"""nlmsghdr, ndmsg, and the head of NDA_LLADDR."""
_ATTRIBUTE: Final = struct.Struct("=HH")
_U32: Final = struct.Struct("=I")
_LLADDR: Final = number(_ATTRIBUTE.pack(10, NDA_LLADDR))
_CACHEINFO: Final = _ATTRIBUTE.pack(20, NDA_CACHEINFO)
_UNICAST: Final = 1
"""RTN_UNICAST, which the rows of a VXLAN device have as their type."""
