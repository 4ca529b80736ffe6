"""Which UPDATEs at the head of a socket may be taken unread, and where the run ends."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import malformed, wire
from vtep.addr import Ip
from vtep.evpn.update import read_updates
from vtep.feed.exabgp.runs import PIECE, Session, find_run

SESSION = Session(4096, internal=True, four_octet_as=True)
INSTANCE = wire.Instance("10.0.0.1")
ROUTE = INSTANCE.mac("02:00:00:00:00:01", "192.0.2.1", seq=1)
SOUND = b"".join(wire.updates([ROUTE]))
WITHDRAWAL = b"".join(wire.withdrawals([wire.unlabelled(ROUTE.nlri)]))


def test_a_run_is_all_whole_updates_at_the_head():
    octets = SOUND + WITHDRAWAL + wire.end_of_rib()

    assert find_run(octets, SESSION) == ((len(octets),), 3)


@pytest.mark.parametrize(
    "behind",
    [wire.message(wire.KEEPALIVE), wire.notification(6, 4), SOUND[:-1], SOUND[:18], b"\0" * 23, b"\xff" * 30],
    ids=["keepalive", "notification", "half an update", "half a header", "no marker", "length 65535"],
)
def test_whatever_else_is_there_ends_the_run(behind):
    assert find_run(SOUND + behind, SESSION) == ((len(SOUND),), 1)
    assert find_run(behind, SESSION) == ((), 0)


def test_a_run_is_cut_into_pieces_between_messages():
    octets = SOUND * 500

    ends, messages = find_run(octets, SESSION)

    assert messages == 500
    assert ends[-1] == len(octets)
    starts = (0, *ends)
    assert all(end - start <= PIECE and not end % len(SOUND) for start, end in zip(starts, ends, strict=False))


def test_a_message_longer_than_a_piece_is_a_piece_of_its_own():
    session = SESSION._replace(size_max=65535)
    octets = b"".join(
        wire.updates([INSTANCE.mac(f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}") for n in range(600)], 600, 65535)
    )

    assert len(octets) > PIECE
    assert find_run(SOUND + octets + SOUND, session).ends == (
        len(SOUND),
        len(SOUND + octets),
        len(SOUND + octets + SOUND),
    )
    assert find_run(octets, SESSION) == ((), 0)


NOT_SOUND = {
    **malformed.updates(ROUTE),
    "IPv4 routes withdrawn": wire.message(wire.UPDATE, b"\0\4\x18\x0a\0\0\0\0"),
    "IPv4 routes announced": wire.message(
        wire.UPDATE, b"\0\0" + struct.pack("!H", len(ROUTE.attributes)) + ROUTE.attributes + b"\x18\x0a\0\0"
    ),
    "no routes": wire.update(ROUTE.attributes),
    "an empty UPDATE": wire.update(b""),
}
READ_ALIKE = {
    "a MAC length of 24",
    "a MAC length of 255",
    "an IP length of 24",
    "an IP length of 32 without an address",
    "a Type-2 NLRI of length 0",
    "a Type-2 NLRI with octets too many",
    "a Type-1 NLRI too short",
    "a Type-3 NLRI with an IP length of 24",
    "a Type-3 NLRI with an IP length of 0",
    "a Type-4 NLRI with an IP length of 24",
    "a Type-5 NLRI with a prefix of 33 bits",
    "a Type-5 NLRI with octets too few",
    "an NLRI of type 0",
    "an NLRI of an unknown type",
    "an unknown attribute marked well-known",
    "an unknown attribute, optional and transitive",
    "PMSI_TUNNEL of an IPv6 endpoint",
    "PMSI_TUNNEL of an unknown type",
    "no LOCAL_PREF",
}
"""What is wrong is within one NLRI, which the daemon lists, or it is nothing that RFC 7606 minds."""


@pytest.mark.parametrize("name", NOT_SOUND)
def test_an_update_with_something_wrong_is_left_for_exabgp(name):
    octets = SOUND + NOT_SOUND[name] + SOUND

    taken = find_run(octets, SESSION).messages

    assert taken == (3 if name in READ_ALIKE else 1)


def test_two_octet_as_paths_and_external_peers_are_judged_as_such():
    short = wire.update(
        wire.reach(ROUTE.next_hop, [ROUTE.nlri])
        + wire.attribute(0x40, 1, b"\0")
        + wire.attribute(0x40, 2, b"\2\1\xfd\xe8")
    )

    assert find_run(short, SESSION).messages == 0
    assert find_run(short, SESSION._replace(four_octet_as=False)).messages == 1
    assert find_run(SOUND, SESSION).messages == 1
    # LOCAL_PREF of an external peer is left out by ExaBGP (RFC 7606 7.5), so it has to see it.
    assert find_run(SOUND, SESSION._replace(internal=False)).messages == 0


@given(st.sampled_from(sorted(NOT_SOUND.values())), st.data())
def test_whatever_is_taken_can_be_read(message, data):
    octets = bytearray(SOUND + message + SOUND)
    for _ in range(data.draw(st.integers(0, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))

    ends, _ = find_run(bytes(octets), SESSION)

    for start, end in zip((0, *ends), ends, strict=False):
        read_updates(bytes(octets[start:end]), Ip.parse("10.0.0.1"))


OTHER = INSTANCE.mac("02:00:00:00:00:02", seq=1)
MOVED = INSTANCE.mac("02:00:00:00:00:02", seq=2)
MESSAGES = [
    *(b"".join(messages) for messages in (
        wire.updates([ROUTE]),
        wire.updates([OTHER]),
        wire.updates([MOVED]),
        wire.updates([ROUTE, OTHER]),
        wire.withdrawals([wire.unlabelled(ROUTE.nlri)]),
        wire.withdrawals([ROUTE.nlri, OTHER.nlri]),
    )),
    wire.end_of_rib(),
    wire.update(ROUTE.attributes + wire.reach(ROUTE.next_hop, [ROUTE.nlri])),
    wire.update(wire.reach(ROUTE.next_hop, [ROUTE.nlri]) + wire.unreach([OTHER.nlri]) + ROUTE.attributes),
    wire.update(wire.reach(ROUTE.next_hop, []) + ROUTE.attributes),
]  # fmt: skip


@st.composite
def damaged(draw, message):
    """Change an octet here and there, or cut or lengthen the message, with a right length in its header."""
    octets = bytearray(message)
    for _ in range(draw(st.integers(0, 2))):
        octets[draw(st.integers(19, len(octets) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        octets = octets[: draw(st.integers(19, len(octets)))]
    octets[16:18] = struct.pack("!H", len(octets))
    return bytes(octets)


@given(st.lists(st.sampled_from(MESSAGES).flatmap(lambda one: st.just(one) | damaged(one)), max_size=6))
def test_an_update_like_the_one_before_is_judged_as_it_is_alone(messages):
    alone = [find_run(message, SESSION).messages for message in messages]

    assert find_run(b"".join(messages), SESSION).messages == [*alone, 0].index(0)
