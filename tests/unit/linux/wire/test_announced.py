"""Events that are read by their layout are read as attribute by attribute, whatever their octets are."""

import contextlib
import struct
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vtep.linux.wire import announced
from vtep.linux.wire.neighbor import RTM_DELNEIGH, Entry, parse_neighbors
from vtep.linux.wire.tlv import AF_BRIDGE, AF_INET

STRIDE = 300

LLADDR, MASTER, FLAGS_EXT, CACHEINFO = (2, b"\2\0\0\0\0\1"), (9, bytes(4)), (15, bytes(4)), (3, bytes(16))
LAYOUTS = {
    "bridge row": [LLADDR, MASTER, FLAGS_EXT, CACHEINFO],
    "bridge row with a VLAN": [LLADDR, MASTER, FLAGS_EXT, CACHEINFO, (5, b"\1\0")],
    "bridge row of 6.1": [LLADDR, MASTER, CACHEINFO],
    "bridge row of 6.1 with a VLAN": [LLADDR, MASTER, CACHEINFO, (5, b"\1\0")],
    "VXLAN row to IPv4": [LLADDR, (1, bytes(4)), CACHEINFO],
    "VXLAN row to IPv6": [LLADDR, (1, bytes(16)), CACHEINFO],
    "VXLAN row of a device for many VNIs": [LLADDR, (1, bytes(4)), (11, b"\1\0\0\0"), CACHEINFO],
    "bare": [LLADDR],
}


def event(attributes: Iterable[tuple[int, bytes]], kind: int = RTM_DELNEIGH, family: int = AF_BRIDGE, flags: int = 0):
    """Return an event as the kernel sends it."""
    body = struct.pack("=BxxxiHBB", family, 3, 0xC0, flags, 0)
    for number, value in attributes:
        body += struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


sound = st.builds(
    event,
    st.sampled_from(list(LAYOUTS.values()))
    | st.lists(st.sampled_from([one for layout in LAYOUTS.values() for one in layout]), max_size=5),
    st.sampled_from((28, 29, 30, 16)),
    st.sampled_from((AF_BRIDGE, AF_BRIDGE, AF_INET)),
    st.sampled_from((0, 2, 0x10, 0x12)),
)


@st.composite
def damaged(draw) -> bytes:
    """An event in which some octets are others; it may be cut, or go on."""
    octets = bytearray(draw(sound))
    for _ in range(draw(st.integers(1, 3))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return (bytes(octets) + draw(st.binary(max_size=60)))[: draw(st.integers(0, STRIDE))]


def read(datagrams: Sequence[bytes]):
    """Read as the queue of events does: where the layout is not known, attribute by attribute."""
    octets = bytearray(b"".join(datagram.ljust(STRIDE, b"\xff") for datagram in datagrams))
    news, gone, others = announced.read(octets, STRIDE, [len(datagram) for datagram in datagrams])
    more_news, more_gone = slowly([datagrams[place] for place in others])
    return news | more_news, gone | more_gone


def slowly(datagrams: Iterable[bytes]):
    news, gone = set(), set()
    for datagram in datagrams:
        # No kernel sends what this way cannot read at all.
        with contextlib.suppress(ValueError, IndexError, struct.error):
            for kind, _, entry in parse_neighbors(datagram):
                if isinstance(entry, Entry) and entry.family == AF_BRIDGE and not entry.is_address_list:
                    (gone if kind == RTM_DELNEIGH else news).add(announced.name_of(entry))
    return news, gone


@given(st.lists(sound | damaged() | st.binary(max_size=STRIDE), max_size=8))
@example([event(LAYOUTS["bridge row"], flags=2)])
@example([event(LAYOUTS["bare"])])
@example([event(LAYOUTS["bare"], flags=2)])
@example([b"\xff" + event(LAYOUTS["bridge row"])[1:]])
def test_both_ways_read_the_same(datagrams: list[bytes]) -> None:
    assert slowly(datagrams) == read(datagrams)


def test_the_layouts_that_the_kernel_uses_are_known() -> None:
    datagrams = [event(layout, flags=2 * ("VXLAN" in name or name == "bare")) for name, layout in LAYOUTS.items()]
    octets = b"".join(datagram.ljust(STRIDE, b"\xff") for datagram in datagrams)

    *_, others = announced.read(bytearray(octets), STRIDE, [len(datagram) for datagram in datagrams])

    assert others == []


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_attribute_of_another_type_in_a_known_layout_is_read(name: str) -> None:
    """A second NDA_LLADDR counts, so no attribute of a layout may go unread."""
    flags = 2 * ("VXLAN" in name or name == "bare")
    layout = LAYOUTS[name]
    datagrams = [
        event([*layout[:place], (2, value), *layout[place + 1 :]], flags=flags)
        for place, (_, value) in enumerate(layout)
    ]

    assert [slowly([datagram]) for datagram in datagrams] == [read([datagram]) for datagram in datagrams]
