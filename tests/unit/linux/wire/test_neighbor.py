"""Octets out and octets in: what is packed is what rtnetlink.h says, and what is parsed is what was packed."""

import re
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtep.addr import Ip, Mac
from vtep.linux.wire import neighbor as messages
from vtep.linux.wire.neighbor import (
    AF_INET,
    NLM_F_ACK,
    Answer,
    Entry,
    Half,
    Neighbor,
    Verb,
    pack,
    parse_neighbors,
    portions,
    request_row,
    singly,
    split,
)

VTEP, OTHER, VTEP_6 = Ip.parse("10.0.0.2"), Ip.parse("10.0.0.3"), Ip.parse("fd00::2")
MAC = Mac.parse("02:aa:00:00:00:01")
MACS = [Mac(b"\2\xbb\0\0\0" + bytes([place])) for place in range(9)]


def ours(mac: Mac = MAC, dst: Ip | None = VTEP, verb: Verb = Verb.REPLACE, flags: int = 0x16, **more) -> Neighbor:
    return Neighbor(verb, 3, mac, flags, 0xC0, dst, **more)


def test_the_standard_message_is_these_48_octets() -> None:
    first = pack([ours(), ours(MACS[0])], 7).datagram[:48]

    assert (
        "30000000 1c00 0105 07000000 0000000007000000 03000000 c000 16 000a000200 02aa00000001 000008000100 0a000002"
    ).replace(" ", "") == first.hex()


def test_only_the_last_message_asks_for_an_acknowledgement() -> None:
    batch = pack([ours(mac) for mac in MACS], 1)

    asked = [bool(flags & NLM_F_ACK) for _, flags, *_ in split(batch.datagram)]

    assert asked == [False] * 8 + [True]


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (ours(), 48),
        (ours(dst=VTEP_6), 60),
        (ours(vni=200), 56),
        (ours(dst=None, verb=Verb.DELETE), 40),
        (Neighbor(Verb.REPLACE, 2, MAC, 0x10, 0x40, family=AF_INET, ip=Ip.parse("172.16.0.1"), protocol=229), 56),
    ],
    ids=["IPv4 VTEP", "IPv6 VTEP", "VNI", "delete", "host address with its protocol"],
)
def test_a_message_has_this_size(message: Neighbor, size: int) -> None:
    assert size == len(pack([message], 1).datagram)


@pytest.mark.parametrize(("verb", "kind", "flags"), [
    (Verb.CREATE, 28, 0x605), (Verb.REPLACE, 28, 0x505), (Verb.APPEND, 28, 0xC05), (Verb.DELETE, 29, 0x005),
])  # fmt: skip
def test_a_verb_is_a_type_and_flags(verb: Verb, kind: int, flags: int) -> None:
    ((found_kind, found_flags, *_),) = split(pack([ours(verb=verb)], 1).datagram)

    assert (kind, flags) == (found_kind, found_flags)


def test_a_row_is_asked_for_by_device_half_and_mac() -> None:
    assert ("28000000 1e00 0100 05000000 0000000007000000 03000000 0000 04 000a000200 02aa00000001 0000").replace(
        " ", ""
    ) == request_row(3, MAC, Half.BRIDGE, 5).hex()


neighbors = st.builds(
    ours,
    mac=st.sampled_from(MACS),
    dst=st.sampled_from([None, VTEP, OTHER, VTEP_6]),
    verb=st.sampled_from(Verb),
    flags=st.sampled_from([0x16, 0x02]),
    vni=st.sampled_from([None, 200]),
    also=st.lists(st.sampled_from(MACS), max_size=12).map(tuple),
)


@given(st.lists(neighbors, min_size=1, max_size=40), st.integers(1, 1 << 31))
def test_what_was_packed_is_parsed_in_order_and_each_answer_finds_its_message(sent: list[Neighbor], seq: int) -> None:
    batch = pack(sent, seq)

    found = list(parse_neighbors(batch.datagram))

    alone = list(singly(sent))
    assert [(m.port, m.mac, m.flags, m.state, m.dst, m.vni) for m in alone] == [
        (row.port, row.mac, row.flags, row.state, row.dst, row.vni) for _, _, row in found
    ]
    assert [(place, m.flags) for place, m in enumerate(alone)] == [batch.find(seq, row.mac) for _, seq, row in found]
    assert batch.barrier == found[-1][1]
    assert batch.count == len(alone)


@given(st.lists(neighbors, max_size=20), st.integers(1, 30))
def test_portions_are_full_but_the_last_and_lose_no_message(sent: list[Neighbor], most: int) -> None:
    cut = [list(singly(portion)) for portion in portions(sent, most)]

    assert list(singly(sent)) == [message for portion in cut for message in portion]
    assert all(len(portion) == most for portion in cut[:-1])
    assert all(1 <= len(portion) <= most for portion in cut[-1:])


def test_many_alike_are_the_octets_of_each() -> None:
    together = ours(MACS[0], also=tuple(MACS[1:]))

    assert [message.mac for message in singly([together])] == MACS
    assert pack([together], 7) == pack([ours(mac) for mac in MACS], 7)


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


ANSWERS = {
    "success": (refused(0, pack([ours()], 9).datagram[:16], 0x100), Answer(0)),
    "an errno": (refused(17, pack([ours()], 9).datagram), Answer(17, "", 0x16, MAC)),
    "an errno with words": (refused(22, pack([ours()], 9).datagram, 0x200, attribute(1, b"no\0")), Answer(22, "no", 0x16, MAC)),
    "success with words": (refused(0, pack([ours()], 9).datagram[:16], 0x300, attribute(1, b"hm\0")), Answer(0, "hm")),
    "the end of a dump": (struct.pack("=IHHIIi", 20, 3, 2, 9, 0, 0), Answer(0)),
    "the end of a dump without a code": (struct.pack("=IHHII", 16, 3, 2, 9, 0), Answer(0)),
    "a refused dump": (struct.pack("=IHHIIi", 20, 3, 2, 9, 0, -22), Answer(22)),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_answered_is(name: str) -> None:
    datagram, answer = ANSWERS[name]

    assert [answer] == [found for _, _, found in parse_neighbors(datagram)]


def test_an_interrupted_dump_is_told_with_the_row_it_came_with() -> None:
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
    AF_INET 2 AF_BRIDGE 7 AF_INET6 10
    NLMSG_ERROR 2 NLMSG_DONE 3 NLM_F_REQUEST 1 NLM_F_ACK 4 NLM_F_DUMP_INTR 16 NLM_F_CAPPED 256 NLM_F_ACK_TLVS 512
    NLM_F_REPLACE 256 NLM_F_EXCL 512 NLM_F_DUMP 768 NLM_F_CREATE 1024 NLM_F_APPEND 2048 NLMSGERR_ATTR_MSG 1
    RTM_NEWLINK 16 RTM_DELLINK 17 RTM_GETLINK 18 RTM_NEWADDR 20 RTM_DELADDR 21 RTM_GETADDR 22 RTM_NEWNEIGH 28 RTM_DELNEIGH 29 RTM_GETNEIGH 30
    NUD_REACHABLE 2 NUD_STALE 4 NUD_DELAY 8 NUD_PROBE 16 NUD_NOARP 64 NUD_PERMANENT 128
    NTF_SELF 2 NTF_MASTER 4 NTF_EXT_LEARNED 16 NTF_STICKY 64 NTF_ROUTER 128
    NDA_DST 1 NDA_LLADDR 2 NDA_CACHEINFO 3 NDA_VLAN 5 NDA_PORT 6 NDA_VNI 7 NDA_IFINDEX 8 NDA_MASTER 9 NDA_SRC_VNI 11
    NDA_PROTOCOL 12 NDA_NH_ID 13 NDA_FLAGS_EXT 15 RTPROT_VTEP 229
"""


def test_the_kernels_numbers_are_these() -> None:
    expected = {name: int(value) for name, value in re.findall(r"(\w+) (\d+)", UAPI)}
    named = {name: value for name, value in vars(messages).items() if name.isupper() and isinstance(value, int)}

    assert expected == {name: value for name, value in named.items() if not name.startswith("_")}


def test_rows_are_parsed_at_a_few_microseconds_each() -> None:
    datagram = row(LLADDR, MASTER, FLAGS_EXT, CACHEINFO) * 400
    best_us = min(timed_us(lambda: list(parse_neighbors(datagram))) for _ in range(30)) / 400

    assert best_us < 12, "3 us on the reference machine, with room for a slower one"


def timed_us(action) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e6
