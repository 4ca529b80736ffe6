"""The frame of netlink messages: what is written is read back, and nothing that a datagram says is trusted."""

import re
import struct

from hypothesis import given
from hypothesis import strategies as st

from vtep.linux.wire import address, link, tlv

UAPI = """
    AF_INET 2 AF_BRIDGE 7 AF_INET6 10
    NLMSG_ERROR 2 NLMSG_DONE 3 NLM_F_REQUEST 1 NLM_F_ACK 4 NLM_F_DUMP_INTR 16 NLM_F_CAPPED 256 NLM_F_ACK_TLVS 512
    NLM_F_REPLACE 256 NLM_F_EXCL 512 NLM_F_DUMP 768 NLM_F_CREATE 1024 NLM_F_APPEND 2048 NLMSGERR_ATTR_MSG 1
    RTM_NEWLINK 16 RTM_DELLINK 17 RTM_GETLINK 18 RTM_NEWADDR 20 RTM_DELADDR 21 RTM_GETADDR 22
"""


def test_the_kernels_numbers_are_these() -> None:
    expected = {name: int(value) for name, value in re.findall(r"(\w+) (\d+)", UAPI)}
    named = vars(tlv) | vars(link) | vars(address)

    assert expected == {name: named[name] for name in expected}
    assert {name for name in named if name.startswith(("AF_", "NLM", "RTM_"))} == expected.keys()


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=20)))
def test_attributes_are_read_as_they_were_written(written: dict[int, bytes]) -> None:
    octets = b"".join(tlv.attribute(kind, value) for kind, value in written.items())

    assert tlv.attributes(octets, 0, len(octets)) == written


@given(st.lists(st.binary(max_size=30).map(lambda body: body + bytes(-len(body) % 4)), max_size=5))
def test_messages_are_read_as_they_were_written(bodies: list[bytes]) -> None:
    datagram = b"".join(tlv.message(28, 1, seq, body) for seq, body in enumerate(bodies))

    assert [(kind, flags, seq, datagram[start:end]) for kind, flags, seq, start, end in tlv.split(datagram)] == [
        (28, 1, seq, body) for seq, body in enumerate(bodies)
    ]


def test_an_attribute_that_lies_about_its_length_ends_the_list() -> None:
    octets = tlv.attribute(1, b"good") + struct.pack("=HH", 200, 2) + b"bad!"

    assert tlv.attributes(octets, 0, len(octets)) == {1: b"good"}


@given(st.integers(0, 2), st.integers(7, 9), st.sampled_from((0, -17)), st.binary(max_size=8))
def test_a_success_is_told_from_any_other_answer(kind: int, seq: int, code: int, rest: bytes) -> None:
    request = tlv.message(28, 5, seq, b"")
    answer = tlv.message(kind, 0, seq, struct.pack("=i", code) + request + rest)

    assert tlv.is_success(answer, 8) == ((kind, seq, code, rest) == (tlv.NLMSG_ERROR, 8, 0, b""))
    assert not tlv.is_success(answer[:-1], 8)
