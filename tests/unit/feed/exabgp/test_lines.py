"""What a `LineReader` adds to decoded lines: whether anything was lost before each, and whose answers go where."""

import base64

from tests.lab import wire
from tests.lab.lines import Lines
from tests.lab.wire import Instance
from vtep.addr import Ip
from vtep.evpn.event import Continuity, Received, SessionClosed, Unreadable
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.lines import HEAD_OCTETS, LineReader

A, B = "10.0.0.1", "10.0.0.2"
UNBROKEN, GAP, RESTARTED = Continuity.UNBROKEN, Continuity.GAP, Continuity.RESTARTED


def continuities(reader: LineReader, *lines: bytes, replayed: bool = False) -> list[Continuity]:
    return [message.continuity for message in reader.read(lines, replayed=replayed) if isinstance(message, Received)]


def test_lines_in_order_are_unbroken() -> None:
    lines = Lines()

    assert continuities(LineReader(), lines.up(A), lines.up(B), lines.end_of_rib(A)) == [UNBROKEN] * 3


def test_a_jump_of_a_peers_counter_is_a_gap_of_that_peer_alone() -> None:
    lines, reader = Lines(), LineReader()
    continuities(reader, lines.up(A), lines.up(B))
    lines.lose_one(A)

    assert continuities(reader, lines.end_of_rib(B), lines.end_of_rib(A), lines.end_of_rib(A)) == [
        UNBROKEN,
        GAP,
        UNBROKEN,
    ]


def test_a_replayed_line_proves_no_gap_and_begins_no_count() -> None:
    lines, reader = Lines(), LineReader()
    old = lines.up(A)
    lines.lose_one(A)

    assert continuities(reader, old, replayed=True) == [UNBROKEN]
    assert continuities(reader, lines.end_of_rib(A)) == [UNBROKEN]


def test_another_process_restarts_the_stream_and_its_counters() -> None:
    first, second, reader = Lines(pid=77), Lines(pid=78), LineReader()
    continuities(reader, first.up(A), first.end_of_rib(A))

    assert continuities(reader, second.up(A), second.end_of_rib(A)) == [RESTARTED, UNBROKEN]


def test_a_stream_that_ended_cannot_be_restarted() -> None:
    reader = LineReader()
    continuities(reader, Lines(pid=77).up(A))
    reader.end()

    assert continuities(reader, Lines(pid=78).up(A)) == [UNBROKEN]


def test_an_exabgp_that_says_that_it_stops_ends_its_stream() -> None:
    lines, reader = Lines(pid=77), LineReader()
    continuities(reader, lines.up(A), lines.shutdown())

    assert continuities(reader, Lines(pid=78).up(A)) == [UNBROKEN]


def test_a_loss_that_is_known_is_no_gap_besides() -> None:
    lines, reader = Lines(), LineReader()
    continuities(reader, lines.up(A), lines.up(B))
    lines.lose_one(A)
    lines.lose_one(B)

    reader.forget(Ip.parse(A))
    after_one = continuities(reader, lines.end_of_rib(A), lines.end_of_rib(B))
    lines.lose_one(A)
    reader.forget()

    assert (after_one, continuities(reader, lines.end_of_rib(A))) == ([UNBROKEN, GAP], [UNBROKEN])


def test_a_line_that_cannot_be_read_names_its_peer_and_costs_no_other() -> None:
    lines = Lines()
    whole = lines.end_of_rib(A)

    bad, good = LineReader().read([whole[:-9] + b" " * 2 * HEAD_OCTETS, lines.up(B)])

    assert isinstance(bad, Unreadable)
    assert (bad.peer, len(bad.head), bad.octets) == (Ip.parse(A), HEAD_OCTETS, len(whole) - 9 + 2 * HEAD_OCTETS)
    assert isinstance(good, Received)
    assert good.peer == Ip.parse(B)


def test_answers_go_to_whoever_gave_the_commands_and_carry_no_event() -> None:
    answers: list[Answered] = []

    messages = list(LineReader(answers.append).read([b"done", Lines().up(A), b"error"]))

    assert [answer.text for answer in answers] == ["done", "error"]
    assert [len(message.events) for message in messages if isinstance(message, Received)] == [0, 1, 0]


CUT = (
    b'{ "exabgp": "4.0.1", "time": 1.0, "host" : "leaf", "pid" : 77, "ppid" : 1, "counter": 2, "type": "state", "neighbor": '
    b'{ "address": { "local": "10.0.0.99", "peer": "10.0.0.1" }, "asn": { "local": 65000, "peer": 65000 } , "state": "down", '
    b'"reason": "peer reset, message (notification received (6,9)) error(Cease / bye'
)


def read_cut(*rest: bytes) -> tuple[list[Received | Unreadable], list[str]]:
    answers: list[Answered] = []
    return list(LineReader(answers.append).read([CUT, *rest])), [answer.text for answer in answers]


def test_a_line_that_a_peers_text_cut_still_closes_its_session() -> None:
    messages, _ = read_cut()

    (event,) = messages[0].events if isinstance(messages[0], Received) else ()
    assert isinstance(event, SessionClosed)
    assert event.peer == Ip.parse(A)
    assert event.reason.endswith("Cease / bye")


def test_the_rest_of_a_cut_line_is_no_answer_and_no_bad_line() -> None:
    messages, answers = read_cut(b"done", b"error", b'more)" } }', b"done")

    assert answers == ["done"]
    assert all(isinstance(message, Received) for message in messages)


def test_a_line_of_json_ends_the_rest_of_a_cut_one() -> None:
    messages, answers = read_cut(b"done", Lines().up(B), b"error")

    assert answers == ["error"]
    assert isinstance(messages[2], Received)
    assert messages[2].peer == Ip.parse(B)


def test_the_rest_of_any_other_cut_line_is_no_answer_either() -> None:
    answers: list[Answered] = []
    notification = CUT.replace(b'"type": "state"', b'"type": "notification"').replace(
        b'"state": "down"', b'"direction": "receive"'
    )

    first, *rest = LineReader(answers.append).read([notification, b"done", b'more" } } }', b"error"])

    assert isinstance(first, Unreadable)
    assert first.peer == Ip.parse(A)
    assert all(isinstance(message, Received) for message in rest)
    assert [answer.text for answer in answers] == ["error"]


def test_after_a_whole_line_that_cannot_be_read_an_answer_is_an_answer() -> None:
    answers: list[Answered] = []

    first, _ = LineReader(answers.append).read([b'{ "type": "unheard-of" }', b"done"])

    assert isinstance(first, Unreadable)
    assert [answer.text for answer in answers] == ["done"]


def test_what_a_stream_cut_does_not_reach_into_the_next_one() -> None:
    answers: list[Answered] = []
    reader = LineReader(answers.append)
    list(reader.read([CUT]))
    reader.end()

    list(reader.read([b"done"]))

    assert [answer.text for answer in answers] == ["done"]


def test_the_form_in_which_the_updates_of_a_peer_come_is_known():
    """One that ExaBGP decodes nevertheless, as the tap leaves it some, changes nothing."""
    lines, nlri = Lines(), Instance(A).mac("02:00:00:00:00:01").nlri
    parsed, octets = lines.withdraw(A, nlri), base64.b64encode(b"".join(wire.withdrawals([nlri])))
    whole = (
        b'{"type": "updates", "counter": 9, "neighbor": {"address": {"peer": "%s"}, "direction": "receive", '
        b'"octets": "%s"}}' % (A.encode(), octets)
    )
    reader = LineReader()
    seen = []
    for line in (lines.up(A), parsed, whole, parsed):
        list(reader.read([line], replayed=True))
        seen.append(dict(reader.forms))
    reader.end()

    peer = Ip.parse(A)
    assert seen == [{}, {peer: "parsed"}, {peer: "octets"}, {peer: "octets"}]
    assert reader.forms == {}
