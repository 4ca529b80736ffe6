"""What the relay keeps, drops and tells, without a socket."""

import json

from hypothesis import given
from hypothesis import strategies as st

from vtep.feed.exabgp.relay import Backlog

UP = b'{ "type": "state", "neighbor": { "address": { "local": "::", "peer": "10.0.0.1" } , "state": "up" } }\n'
DOWN = UP.replace(b'"up"', b'"down"')
OPEN = b'{ "type": "open", "neighbor": { "address": { "peer": "10.0.0.1" } , "direction": "receive" } }\n'
OTHER = UP.replace(b"10.0.0.1", b"10.0.0.2")


def take(backlog, octets=1 << 30):
    """Be a daemon that takes so many octets and no more."""
    taken = b""
    while octets and (ready := bytes(backlog.next()[:octets])):
        backlog.sent(len(ready))
        taken += ready
        octets -= len(ready)
    return taken


def spoken(octets):
    """Lines of ExaBGP as they are, the relay's own as objects."""
    assert octets.endswith(b"\n") or not octets
    return [json.loads(line) if line.startswith(b'{"relay":') else line + b"\n" for line in octets.split(b"\n")[:-1]]


def hello(*, dropped=0, complete=False):
    return {
        "relay": "hello",
        "version": 1,
        "exabgp_pid": 41,
        "exabgp_started": 9,
        "relay_pid": 42,
        "guarded": True,
        "dropped": dropped,
        "complete": complete,
    }


def backlog_of(octets_max=1000):
    return Backlog(octets_max, 41, 42, 9)


STATES, LIVE = {"relay": "states"}, {"relay": "live"}


def test_the_first_daemon_gets_everything_since_the_start():
    backlog = backlog_of()
    backlog.add(OPEN + UP)
    backlog.add(b"a\n")
    backlog.attach()

    taken = spoken(take(backlog))

    assert taken == [hello(complete=True), STATES, LIVE, OPEN, UP, b"a\n"]
    assert not backlog.pending


def test_a_relay_that_takes_the_place_of_another_never_has_everything():
    backlog = Backlog(1000, 41, 42, 9, is_first=False)
    backlog.attach()

    assert spoken(take(backlog))[0] == hello()


def test_a_later_daemon_is_told_each_peers_last_open_and_state_before_what_was_kept_for_it():
    backlog = backlog_of()
    backlog.attach()
    backlog.add(DOWN + OPEN + UP + b"a\n" + OTHER)
    take(backlog)
    backlog.detach()
    backlog.add(b"b\n")
    backlog.attach()

    taken = spoken(take(backlog))

    assert taken == [hello(), STATES, OPEN, UP, OTHER, LIVE, b"b\n"]


def test_the_states_are_those_before_the_kept_lines_and_not_after():
    backlog = backlog_of()
    backlog.attach()
    backlog.add(UP)
    take(backlog)
    backlog.detach()
    backlog.add(b"a\n" + DOWN)
    backlog.attach()

    taken = spoken(take(backlog))

    assert taken == [hello(), STATES, UP, LIVE, b"a\n", DOWN]


def test_at_the_bound_all_that_is_kept_is_dropped_and_the_hello_says_how_much():
    backlog = backlog_of(200)
    backlog.add(UP)
    backlog.add(b"a\nb\n")
    backlog.add(DOWN)
    backlog.attach()

    taken = spoken(take(backlog))

    assert taken == [hello(dropped=3), STATES, UP, LIVE, DOWN]


def test_lines_dropped_under_a_slow_daemon_are_told_after_the_line_half_sent():
    backlog = backlog_of(200)
    backlog.attach()
    take(backlog)
    backlog.add(b"half\n" + UP)
    first = take(backlog, 2)
    backlog.add(b"c\n" * 80)
    backlog.add(b"d\n")

    taken = spoken(first + take(backlog))

    assert taken == [b"half\n", {"relay": "dropped", "lines": 1}, STATES, UP, LIVE, *[b"c\n"] * 80, b"d\n"]


def test_a_line_half_sent_to_a_connection_that_broke_is_counted_and_its_tail_never_sent():
    backlog = backlog_of()
    backlog.attach()
    take(backlog)
    backlog.add(b"first\nsecond\nthird\n")
    take(backlog, len("first\nsec"))
    backlog.detach()
    backlog.attach()

    taken = spoken(take(backlog))

    assert taken == [hello(dropped=1), STATES, LIVE, b"third\n"]


def test_a_line_half_sent_when_the_bound_was_hit_is_counted_too():
    backlog = backlog_of(20)
    backlog.attach()
    take(backlog)
    backlog.add(b"first\nsecond\n")
    take(backlog, 2)
    backlog.add(b"third" * 3 + b"\n")
    backlog.detach()
    backlog.attach()

    taken = spoken(take(backlog))

    assert taken == [hello(dropped=2), STATES, LIVE, b"third" * 3 + b"\n"]


def test_a_connection_that_breaks_after_a_whole_line_loses_nothing_more():
    backlog = backlog_of()
    backlog.attach()
    take(backlog)
    backlog.add(b"first\nsecond\n")
    take(backlog, len("first\n"))
    backlog.detach()
    backlog.attach()

    taken = spoken(take(backlog))

    assert taken == [hello(), STATES, LIVE, b"second\n"]


def test_a_count_that_nobody_read_to_the_end_is_told_again():
    backlog = backlog_of()
    backlog.lose(7)
    backlog.attach()
    take(backlog, 20)
    backlog.detach()
    backlog.attach()

    taken = spoken(take(backlog))

    assert taken == [hello(dropped=7), STATES, LIVE]


def test_a_block_larger_than_the_bound_is_dropped_but_its_states_are_remembered():
    backlog = backlog_of(len(UP))
    backlog.attach()
    take(backlog)
    backlog.add(UP + b"a\n")

    taken = spoken(take(backlog))

    assert taken == [{"relay": "dropped", "lines": 2}, STATES, UP, LIVE]


steps = st.lists(
    st.one_of(
        st.integers(1, 60).map(lambda octets: ("take", octets)),
        st.integers(1, 4).map(lambda lines: ("add", lines)),
        st.just(("reattach", 0)),
    ),
    max_size=60,
)


@given(steps, st.integers(20, 200))
def test_whatever_happens_each_line_is_sent_whole_and_in_order_or_counted(history, octets_max):
    backlog = backlog_of(octets_max)
    backlog.attach()
    connections = [b""]
    added = 0
    for step, number in history:
        if step == "take":
            connections[-1] += take(backlog, number)
        elif step == "add":
            backlog.add(b"".join(b"line %d\n" % (added + each) for each in range(number)))
            added += number
        else:
            backlog.detach()
            backlog.attach()
            connections.append(b"")
    connections[-1] += take(backlog)

    said = [spoken(heard[: heard.rfind(b"\n") + 1]) for heard in connections]
    numbers = [int(line.split()[1]) for lines in said for line in lines if isinstance(line, bytes)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + sum(told_to_the_end(lines) for lines in said) == added


def told_to_the_end(lines):
    """Count what a daemon was told to be dropped by notices that it read up to their `live`; others are repeated."""
    notices = [line for line in lines if isinstance(line, dict)]
    return sum(
        notice.get("dropped", 0) + notice.get("lines", 0)
        for notice, after in zip(notices, notices[2:], strict=False)
        if after == LIVE
    )
