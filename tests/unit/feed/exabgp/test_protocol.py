"""The daemon's end: octets to lines, and lines to items."""

import json
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtep.errors import StreamError
from vtep.feed.exabgp.protocol import Attached, Framer, Lines, Lost, Oversized, Reader

streams = st.lists(st.binary(max_size=300), max_size=12).map(b"\n".join)


def chunked(data, cuts):
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(streams, st.lists(st.integers(0, 2000)), st.sampled_from([0, 1, 5, 250, 4096]))
def test_however_the_stream_is_cut_the_same_lines_come_out(stream, cuts, line_max):
    framer = Framer(line_max)

    lines = [line for chunk in chunked(stream, cuts) for line in framer.feed(chunk)]

    assert lines == [
        line if len(line) <= line_max else Oversized(line[:200], len(line)) for line in stream.split(b"\n")[:-1]
    ]


def test_a_line_without_end_is_never_held():
    framer = Framer(1000)

    for _ in range(50):
        framer.feed(b"x" * 100)

    assert len(framer._part) <= 1000
    assert framer.feed(b"\nnext\n") == [Oversized(b"x" * 200, 5000), b"next"]


HELLO = b'{"relay": "hello", "version": 1, "exabgp_pid": 41, "relay_pid": 42, "dropped": 3, "complete": false}\n'
ATTACHED = Attached(1, 41, 42, 3, False)


def test_lines_between_states_and_live_are_replayed_ones():
    reader = Reader()

    items = reader.read(HELLO + b'{"relay": "states"}\nup\n{"relay": "live"}\na\nb\n')

    assert items == [ATTACHED, Lines([b"up"], True), Lines([b"a", b"b"], False)]


def test_a_drop_comes_in_its_place_and_the_states_after_it_are_replayed():
    reader = Reader()
    reader.read(HELLO)

    items = reader.read(b'a\n{"relay": "dropped", "lines": 9}\n{"relay": "states"}\nup\n{"relay": "live"}\nb\n')

    assert items == [Lines([b"a"], False), Lost(9), Lines([b"up"], True), Lines([b"b"], False)]


def test_an_oversized_line_keeps_its_place_and_its_head():
    reader = Reader(line_max=200)
    reader.read(HELLO)

    items = reader.read(b"a\n" + b"x" * 500 + b"\nb\n")

    assert items == [Lines([b"a"], False), Oversized(b"x" * 200, 500), Lines([b"b"], False)]


@given(st.lists(st.integers(0, 300)))
def test_however_a_connection_is_cut_it_says_the_same(cuts):
    octets = HELLO + b'{"relay": "states"}\nup\n{"relay": "live"}\na\n{"relay": "dropped", "lines": 9}\nb\n'
    reader = Reader()

    said = []
    for item in (item for chunk in chunked(octets, cuts) for item in reader.read(chunk)):
        said += [(line, item.replayed) for line in item.lines] if isinstance(item, Lines) else [item]

    assert said == [ATTACHED, (b"up", True), (b"a", False), Lost(9), (b"b", False)]


@dataclass(frozen=True)
class Refused:
    name: str
    octets: bytes
    because: str


REFUSED = [
    Refused("a line of ExaBGP first", b'{ "exabgp": "5.0.0" }\n', "not a line of a relay"),
    Refused("another notice first", b'{"relay": "live"}\n', "not a relay"),
    Refused("a long line first", b"x" * 300 + b"\n", "not a relay"),
    Refused("a newer version", HELLO.replace(b'"version": 1', b'"version": 2'), "has version 2"),
    Refused("a hello that lacks a field", b'{"relay": "hello", "version": 1}\n', "not a line of a relay"),
    Refused("a notice nobody knows", HELLO + b'{"relay": "sing"}\n', "not a line of a relay"),
    Refused("a negative count", HELLO + b'{"relay": "dropped", "lines": -1}\n', "not a line of a relay"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_is_no_relay_is_refused_with_a_reason(case):
    reader = Reader(line_max=250)

    with pytest.raises(StreamError) as refusal:
        reader.read(case.octets)

    assert case.because in str(refusal.value)


def test_the_hello_that_the_relay_writes_is_understood():
    from vtep.feed.exabgp.relay import Backlog

    backlog = Backlog(1000, 41, 42)
    backlog.lose(3)
    backlog.attach()

    assert Reader().read(bytes(backlog.next())) == [ATTACHED]
    assert json.loads(HELLO)["version"] == ATTACHED.version


def octets_line(routes: int) -> bytes:
    """Return a line of so many routes, an UPDATE each of which would have 115 octets."""
    return b'{ "exabgp": "5.0.0", "counter": 1, "type": "updates", "octets": "' + b"A" * (47 * routes) + b'" }'


def test_items_are_cut_by_routes_and_not_by_octets():
    """As octets, the routes of 64 KiB are five times as many as decoded, and would be judged without a pause."""
    parsed = [b'{ "type": "update", "raw": "' + b"A" * (260 * 50) + b'" }' for _ in range(20)]
    octets = [octets_line(50) for _ in range(20)]
    huge = [octets_line(2000)]
    sizes = {}
    for name, lines in (("parsed", parsed), ("octets", octets), ("huge", huge)):
        items = Reader().read(HELLO + b"".join(line + b"\n" for line in lines))[1:]
        assert [line for item in items for line in item.lines] == lines
        sizes[name] = [len(item.lines) for item in items]

    assert sizes == {"parsed": [5] * 4, "octets": [5] * 4, "huge": [1]}
