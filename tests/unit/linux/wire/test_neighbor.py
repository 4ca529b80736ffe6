"""Octets out and octets in: what is encoded is what rtnetlink.h says, and what is parsed is what was encoded."""

import re
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtep.addr import Ip, Mac
from vtep.linux.wire import neighbor
from vtep.linux.wire.neighbor import Entry, Half, Lookup, Neighbor, Verb, encode, parse_neighbors, request_row
from vtep.linux.wire.tlv import AF_INET, Answer, split

VTEP, OTHER, VTEP_6 = Ip.parse("10.0.0.2"), Ip.parse("10.0.0.3"), Ip.parse("fd00::2")
MAC = Mac.parse("02:aa:00:00:00:01")
MACS = [Mac(b"\2\xbb\0\0\0" + bytes([place])) for place in range(9)]


def ours(mac: Mac = MAC, dst: Ip | None = VTEP, verb: Verb = Verb.REPLACE, flags: int = 0x16, **more) -> Neighbor:
    return Neighbor(verb, 3, mac, flags, 0xC0, dst, **more)


def test_the_standard_message_is_these_48_octets() -> None:
    first = encode(ours(), 7, acknowledged=False)

    assert (
        "30000000 1c00 0105 07000000 0000000007000000 03000000 c000 16 000a000200 02aa00000001 000008000100 0a000002"
    ).replace(" ", "") == first.hex()


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (ours(), 48),
        (ours(dst=VTEP_6), 60),
        (ours(vni=200), 56),
        (ours(dst=None, verb=Verb.DELETE), 40),
        (ours(vlan=10, src_vni=100), 64),
        (Neighbor(Verb.REPLACE, 2, MAC, 0x10, 0x40, family=AF_INET, ip=Ip.parse("172.16.0.1"), protocol=229), 56),
    ],
    ids=["IPv4 VTEP", "IPv6 VTEP", "VNI", "delete", "VLAN and source VNI", "host address with its protocol"],
)
def test_a_message_has_this_size(message: Neighbor, size: int) -> None:
    assert size == len(encode(message, 1, acknowledged=True))


@pytest.mark.parametrize(("verb", "kind", "flags"), [
    (Verb.CREATE, 28, 0x605), (Verb.REPLACE, 28, 0x505), (Verb.APPEND, 28, 0xC05), (Verb.DELETE, 29, 0x005),
])  # fmt: skip
def test_a_verb_is_a_type_and_flags(verb: Verb, kind: int, flags: int) -> None:
    ((found_kind, found_flags, *_),) = split(encode(ours(verb=verb), 1, acknowledged=True))

    assert (kind, flags) == (found_kind, found_flags)


def test_a_row_is_asked_for_by_device_half_and_mac() -> None:
    assert ("28000000 1e00 0100 05000000 0000000007000000 03000000 0000 04 000a000200 02aa00000001 0000").replace(
        " ", ""
    ) == request_row(Lookup(3, MAC, Half.BRIDGE), 5).hex()


@pytest.mark.parametrize(
    ("half", "attribute"),
    [(Half.BRIDGE, "0600 0500 0a00 0000"), (Half.VXLAN, "0800 0700 64000000")],
    ids=["the bridge row by its VLAN", "the VXLAN row by its VNI"],
)
def test_a_row_of_a_shared_device_is_asked_for_by(half: Half, attribute: str) -> None:
    asked = request_row(Lookup(3, MAC, half, 10, 100), 5).hex()

    assert asked == (
        f"30000000 1e00 0100 05000000 0000000007000000 03000000 0000 {half:02x} 000a000200 02aa00000001 0000 {attribute}"
    ).replace(" ", "")


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def row(*attributes: bytes, flags: int = 0x12, state: int = 0xC0, kind: int = 28, family: int = 7) -> bytes:
    body = struct.pack("=BxxxiHBB", family, 3, state, flags, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 9, 0) + body


LLADDR, DST, CACHEINFO = attribute(2, MAC), attribute(1, VTEP), attribute(3, bytes(16))
MASTER, FLAGS_EXT = attribute(9, struct.pack("=I", 5)), attribute(15, bytes(4))

ROWS = {
    "a bridge row as dumped": (row(LLADDR, MASTER, FLAGS_EXT, CACHEINFO, flags=0x10), {"master": 5, "flags": 0x10}),
    "a bridge row in another order": (row(MASTER, LLADDR, FLAGS_EXT, CACHEINFO), {"master": 5}),
    "a bridge row with a VLAN": (row(LLADDR, MASTER, FLAGS_EXT, CACHEINFO, attribute(5, b"\x64\0")), {"master": 5, "vlan": 100}),
    "a VXLAN row of a device for many VNIs": (row(LLADDR, DST, attribute(11, struct.pack("=I", 100)), CACHEINFO), {"dst": VTEP, "src_vni": 100}),
    "a VXLAN row as dumped": (row(LLADDR, DST, CACHEINFO), {"dst": VTEP}),
    "a VXLAN row in another order": (row(DST, LLADDR, CACHEINFO), {"dst": VTEP}),
    "an IPv6 VTEP": (row(LLADDR, attribute(1, VTEP_6), CACHEINFO), {"dst": VTEP_6}),
    "an IPv4-mapped VTEP is the IPv4 one": (row(LLADDR, attribute(1, bytes(10) + b"\xff\xff" + VTEP)), {"dst": VTEP}),
    "VNI and source VNI": (row(LLADDR, DST, attribute(7, struct.pack("=I", 200)), attribute(11, struct.pack("=I", 300))), {"dst": VTEP, "vni": 200, "src_vni": 300}),
    "a UDP port, in network order": (row(LLADDR, DST, attribute(6, b"\x12\xb5")), {"dst": VTEP, "udp_port": 4789}),
    "a nexthop group": (row(LLADDR, attribute(13, struct.pack("=I", 20)), CACHEINFO), {"nh_id": 20}),
    "a host address": (row(attribute(1, VTEP), LLADDR, attribute(12, b"\xe5"), family=2), {"ip": VTEP, "protocol": 229, "family": 2}),
    "an attribute of tomorrow": (row(LLADDR, DST, CACHEINFO, attribute(99, b"?")), {"dst": VTEP}),
    "a link address that is no MAC": (row(attribute(2, b"\1\2\3\4"), DST), {"mac": Mac(6), "dst": VTEP}),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_parsed_is(name: str) -> None:
    datagram, fields = ROWS[name]

    assert [(28, 9, Entry(**{"port": 3, "master": None, "mac": MAC, "flags": 0x12, "state": 0xC0} | fields))] == list(
        parse_neighbors(datagram)
    )


@pytest.mark.parametrize(("datagram", "bare"), [
    (row(LLADDR), True), (row(LLADDR, DST), False), (row(LLADDR, attribute(13, b"\1\0\0\0")), False),
    (row(LLADDR, MASTER, flags=0x10), False), (row(LLADDR, flags=0x02, family=2), False),
])  # fmt: skip
def test_a_self_row_without_a_target_is_an_address_list(datagram: bytes, bare: bool) -> None:
    ((_, _, entry),) = parse_neighbors(datagram)

    assert bare == entry.is_address_list


def refused(code: int, request: bytes, flags: int = 0, said: bytes = b"") -> bytes:
    body = struct.pack("=i", -code) + request + said
    return struct.pack("=IHHII", 16 + len(body), 2, flags, 9, 0) + body


REQUEST = encode(ours(), 9, acknowledged=True)

ANSWERS = {
    "success": (refused(0, REQUEST[:16], 0x100), Answer(0)),
    "an errno": (refused(17, REQUEST), Answer(17, "", 0x16, MAC)),
    "an errno with words": (refused(22, REQUEST, 0x200, attribute(1, b"no\0")), Answer(22, "no", 0x16, MAC)),
    "success with words": (refused(0, REQUEST[:16], 0x300, attribute(1, b"hm\0")), Answer(0, "hm")),
    "the end of a dump": (struct.pack("=IHHIIi", 20, 3, 2, 9, 0, 0), Answer(0)),
    "the end of a dump without a code": (struct.pack("=IHHII", 16, 3, 2, 9, 0), Answer(0)),
    "a refused dump": (struct.pack("=IHHIIi", 20, 3, 2, 9, 0, -22), Answer(22)),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_answered_is(name: str) -> None:
    datagram, answer = ANSWERS[name]

    assert [answer] == [found for _, _, found in parse_neighbors(datagram)]


def test_an_interrupted_dump_is_reported_with_the_row_it_came_with() -> None:
    marked = bytearray(row(LLADDR, DST, CACHEINFO))
    marked[6] = 0x10

    found = [found for _, _, found in parse_neighbors(bytes(marked))]

    assert found[0].interrupted
    assert found[1].dst == VTEP


@pytest.mark.parametrize("length", [0, 15, 400])
def test_a_message_that_lies_about_its_length_ends_the_datagram(length: int) -> None:
    damaged = struct.pack("=I", length) + row(LLADDR, DST)[4:]

    assert len(list(parse_neighbors(row(LLADDR, DST) + damaged))) == 1


@given(st.binary(max_size=200))
def test_any_octets_are_parsed_without_an_error(octets: bytes) -> None:
    list(parse_neighbors(octets))


UAPI = """
    RTM_NEWNEIGH 28 RTM_DELNEIGH 29 RTM_GETNEIGH 30
    NUD_REACHABLE 2 NUD_STALE 4 NUD_DELAY 8 NUD_PROBE 16 NUD_NOARP 64 NUD_PERMANENT 128
    NTF_USE 1 NTF_SELF 2 NTF_MASTER 4 NTF_EXT_LEARNED 16 NTF_STICKY 64 NTF_ROUTER 128
    NDA_DST 1 NDA_LLADDR 2 NDA_CACHEINFO 3 NDA_VLAN 5 NDA_PORT 6 NDA_VNI 7 NDA_IFINDEX 8 NDA_MASTER 9 NDA_SRC_VNI 11
    NDA_PROTOCOL 12 NDA_NH_ID 13 NDA_FDB_EXT_ATTRS 14 NFEA_ACTIVITY_NOTIFY 1 FDB_NOTIFY 1 FDB_NOTIFY_INACTIVE 2 NDA_FLAGS_EXT 15 RTPROT_VTEP 229
"""


def test_the_kernels_numbers_are_these() -> None:
    expected = {name: int(value) for name, value in re.findall(r"(\w+) (\d+)", UAPI)}

    assert expected == {name: getattr(neighbor, name) for name in expected}
    assert {name for name in vars(neighbor) if name.startswith(("RTM_", "NUD_", "NTF_", "NDA_"))} <= expected.keys()


def test_rows_are_parsed_at_a_few_microseconds_each() -> None:
    datagram = row(LLADDR, MASTER, FLAGS_EXT, CACHEINFO) * 400
    best_us = min(timed_us(lambda: list(parse_neighbors(datagram))) for _ in range(30)) / 400

    assert best_us < 12, "3 us on the reference machine, with room for a slower one"


def timed_us(action) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e6
