"""Many messages in one datagram are the octets of each, and a refusal finds its message."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vtep.addr import Ip, Mac
from vtep.linux.wire.batch import pack, portions, singly
from vtep.linux.wire.neighbor import Neighbor, Verb, encode, parse_neighbors
from vtep.linux.wire.tlv import AF_INET, AF_INET6, NLM_F_ACK, split

VTEP, OTHER, VTEP_6 = Ip.parse("10.0.0.2"), Ip.parse("10.0.0.3"), Ip.parse("fd00::2")
MACS = [Mac(b"\2\xbb\0\0\0" + bytes([place])) for place in range(9)]


def ours(mac: Mac = MACS[0], dst: Ip | None = VTEP, verb: Verb = Verb.REPLACE, flags: int = 0x16, **more) -> Neighbor:
    return Neighbor(verb, 3, mac, flags, 0xC0, dst, **more)


def host(mac: Mac, ip: Ip, verb: Verb) -> Neighbor:
    family = AF_INET6 if ip.is_v6 else AF_INET
    return Neighbor(verb, 2, mac, 0x10, 0x40, family=family, ip=ip, protocol=229)


def test_only_the_last_message_asks_for_an_acknowledgement() -> None:
    batch = pack([ours(mac) for mac in MACS], 1)

    asked = [bool(flags & NLM_F_ACK) for _, flags, *_ in split(batch.datagram)]

    assert asked == [False] * 8 + [True]


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


hosts = st.builds(
    host,
    mac=st.sampled_from(MACS),
    ip=st.sampled_from([VTEP, VTEP_6]),
    verb=st.sampled_from([Verb.REPLACE, Verb.DELETE]),
)


@given(st.lists(neighbors | hosts, min_size=1, max_size=40), st.integers(1, 1 << 31))
def test_a_batch_is_what_its_messages_are_one_by_one(sent: list[Neighbor], seq: int) -> None:
    """But for the sequence number, which a run shares, and the acknowledgement, which the last message alone asks for."""
    batch = pack(sent, seq)

    seqs = [found for _, _, found, _, _ in split(batch.datagram)]
    alone = list(singly(sent))
    slow = [
        encode(row, found, acknowledged=place == len(alone) - 1)
        for place, (row, found) in enumerate(zip(alone, seqs, strict=True))
    ]
    assert b"".join(slow) == batch.datagram
    assert seqs[0] == seq
    assert {after - before for before, after in pairwise(seqs)} <= {0, 1}
    assert len({(found, row.mac) for found, row in zip(seqs, alone, strict=True)}) == len(alone)
