"""The relay's cut into whole lines, and what it takes for a session line."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtep.feed.exabgp.relay import Cutter, SessionLine, read_session_line, without_marks

LINE_MAX = 6
streams = st.lists(st.text(alphabet="ab\r", max_size=9), max_size=12).map(lambda lines: "\n".join(lines).encode())


def chunked(data, cuts):
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(streams, st.lists(st.integers(0, 100)))
def test_however_the_stream_is_cut_the_same_lines_come_out_and_long_ones_are_counted(stream, cuts):
    cutter = Cutter(LINE_MAX)
    *whole, tail = stream.split(b"\n")

    cut = b"".join(cutter.cut(chunk) for chunk in chunked(stream, cuts))

    assert cut == b"".join(line + b"\n" for line in whole if len(line) <= LINE_MAX)
    assert cutter.dropped == sum(len(line) > LINE_MAX for line in [*whole, tail])


def test_every_block_ends_with_a_line():
    cutter = Cutter(100)

    blocks = [cutter.cut(chunk) for chunk in (b"a", b"b\nc", b"\n", b"d")]

    assert blocks == [b"", b"ab\n", b"c\n", b""]


@dataclass(frozen=True)
class Case:
    name: str
    line: bytes
    expect: SessionLine | None


OPEN = b'{ "counter": 2, "type": "open", "neighbor": { "address": { "local": "10.0.0.9", "peer": "10.0.0.1" }'
STATE = b'{ "counter": 3, "type": "state", "neighbor": { "address": { "local": "10.0.0.9", "peer": "fd00::1" }'
UPDATE = b'{ "counter": 4, "type": "update", "neighbor": { "address": { "local": "10.0.0.9", "peer": "10.0.0.1" }'

CASES = [
    Case("a state", STATE + b', "state": "up" } }', SessionLine(b"fd00::1", b"state")),
    Case("an open received", OPEN + b', "direction": "receive", "open": {} } }', SessionLine(b"10.0.0.1", b"open")),
    Case("an open sent", OPEN + b', "direction": "send", "open": {} } }', None),
    Case("an open without a direction", OPEN + b', "open": {} } }', None),
    Case("an update", UPDATE + b', "direction": "receive" } }', None),
    Case("an answer", b"done", None),
    Case("a state of nobody", b'{ "type": "state" }', None),
    Case(
        "an update in which a peer wrote a state", UPDATE + b', "x": "y", "type": "state", "peer": "6.6.6.6" } }', None
    ),
    Case(
        "a reason that is not escaped",
        STATE + b', "state": "down", "reason": "said "peer": "6.6.6.6", "type": "open"" } }',
        SessionLine(b"fd00::1", b"state"),
    ),
    Case(
        "an open whose host name says send",
        OPEN + b', "direction": "receive", "host-name": "a", "direction": "send"',
        SessionLine(b"10.0.0.1", b"open"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_session_line_is_known_by_what_exabgp_itself_wrote(case):
    assert read_session_line(case.line) == case.expect


def test_a_line_that_pretends_to_be_the_relays_own_is_taken_out_and_counted():
    lines = b'{ "type": "state", "reason": "{"relay": no" }\n{"relay": "hello", "complete": true}\ndone\n'

    honest, forged = without_marks(lines)

    assert (honest, forged) == (b'{ "type": "state", "reason": "{"relay": no" }\ndone\n', 1)
