"""Events of the FDB, many at once: the fast path of reading them.

Its door is `read`. Nearly all events of a busy leaf are the kernel's announcements of deletions of our own, two for each MAC,
and all of these have one of a few layouts. So one `unpack` reads the same few fields of every datagram, and a comparison says
whether the layout is known. For any other datagram `read` returns its place, and `neighbor.parse_neighbors` reads it.
A property test compares what both ways read.

The layouts (kernels 6.1 to 6.18), with the offsets of the attributes:

    bridge row      LLADDR 28 · MASTER 40 · FLAGS_EXT 48 · CACHEINFO 56 [· VLAN 76]
    the same, 6.1   LLADDR 28 · MASTER 40 · CACHEINFO 48 [· VLAN 68]
    VXLAN row, v4   LLADDR 28 · DST 40    · CACHEINFO 48
    VXLAN row, v6   LLADDR 28 · DST 40    · CACHEINFO 60
    many VNIs, v4   LLADDR 28 · DST 40    · SRC_VNI 48 · CACHEINFO 56
    bare            LLADDR 28             6.1 and 6.12 announce it beside each VXLAN row, and it says nothing
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from vtep.linux.wire.neighbor import (
    NDA_CACHEINFO,
    NDA_DST,
    NDA_FLAGS_EXT,
    NDA_LLADDR,
    NDA_MASTER,
    NDA_SRC_VNI,
    NDA_VLAN,
    NTF_SELF,
    RTM_DELNEIGH,
    RTM_NEWNEIGH,
    Entry,
)
from vtep.linux.wire.tlv import AF_BRIDGE

Named: TypeAlias = tuple[int, bytes] | tuple[int, bytes, int | None, int | None]
"""The port and the MAC of a row; and its VLAN and its source VNI, if it has either."""


def name_of(entry: Entry) -> Named:
    """Return how a row is named."""
    if entry.vlan is None and entry.src_vni is None:
        return entry.port, entry.mac
    return entry.port, entry.mac, entry.vlan, entry.src_vni


def read(octets: bytearray, stride: int, sizes: Sequence[int]) -> tuple[set[Named], set[Named], list[int]]:
    """Return the rows that came or changed, those that went, and the places of the datagrams that must be read another way.

    The datagrams have these sizes and begin `stride` octets apart.
    """
    sets: dict[int, set[Named]] = {RTM_NEWNEIGH: set(), RTM_DELNEIGH: set()}
    others: list[int] = []
    heads = _heads(stride).iter_unpack(memoryview(octets)[: len(sizes) * stride])
    for place, (size, head) in enumerate(zip(sizes, heads, strict=True)):
        length, kind, family, port, flags, at28, mac, at40, at48, vni, at56, at60, at68, vlan_61, at76, vlan = head
        if length != size or kind not in sets or family != AF_BRIDGE or at28 != _LLADDR:
            others.append(place)
        elif (
            (size == 68 and at40 == _DST and at48 == _CACHEINFO)
            or (size == 80 and at40 == _DST_V6 and at60 == _CACHEINFO)
            or (at40 == _MASTER and not flags & NTF_SELF and (
                (at48 == _FLAGS_EXT and at56 == _CACHEINFO and size == 76) or (at48 == _CACHEINFO and size == 68)
            ))
        ):  # fmt: skip
            sets[kind].add((port, mac))
        elif at40 == _MASTER and not flags & NTF_SELF and size == 84 and (at48, at56, at76) == _IS_VLAN:
            sets[kind].add((port, mac, vlan, None))
        elif at40 == _MASTER and not flags & NTF_SELF and size == 76 and (at48, at68) == _IS_VLAN_6_1:
            sets[kind].add((port, mac, vlan_61, None))
        elif size == 76 and (at40, at48, at56) == _IS_SRC_VNI:
            sets[kind].add((port, mac, None, vni))
        elif size != 40 or not flags & NTF_SELF:
            others.append(place)
    return sets[RTM_NEWNEIGH], sets[RTM_DELNEIGH], others


@lru_cache
def _heads(stride: int) -> struct.Struct:
    """Return what reads the head of one datagram after the other."""
    return struct.Struct(f"{_HEAD.format}{stride - _HEAD.size}x")


_HEAD: Final = struct.Struct("=IH10xB3xi2xBxI6s2xI4xIIII4xIH2xIH2x")
"""nlmsghdr: length, type; ndmsg: family, device, flags; then the MAC, and what may be the heads of the attributes, and two values."""

_LLADDR, _MASTER, _FLAGS_EXT, _DST, _DST_V6, _CACHEINFO, _VLAN, _SRC_VNI = (
    struct.unpack("=I", struct.pack("=HH", length, kind))[0]
    for length, kind in (
        (10, NDA_LLADDR),
        (8, NDA_MASTER),
        (8, NDA_FLAGS_EXT),
        (8, NDA_DST),
        (20, NDA_DST),
        (20, NDA_CACHEINFO),
        (6, NDA_VLAN),
        (8, NDA_SRC_VNI),
    )
)
_IS_VLAN: Final = (_FLAGS_EXT, _CACHEINFO, _VLAN)
_IS_VLAN_6_1: Final = (_CACHEINFO, _VLAN)
_IS_SRC_VNI: Final = (_DST, _SRC_VNI, _CACHEINFO)
