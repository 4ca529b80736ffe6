"""What a person is shown: safe on a terminal, and short."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from vtep.cli import text


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("hold timer expired", "hold timer expired"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("two\nlines\r\ttab", r"two\nlines\r\ttab"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
        ("right\u202eto left", r"right\u202eto left"),
        ("wide 漢", r"wide \u6f22"),
        ("e\u0301", r"e\u0301"),
        ("обслуживание", "обслуживание"),
        ("\U0001f600", r"\U0001f600"),
        ("\udcff", r"\udcff"),
    ],
    ids=ascii,
)
def test_nothing_that_a_terminal_acts_on_is_shown(told, shown):
    assert shown == text.plain(told)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"), (0.45, "0.4 s"), (3.9, "3 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"),
        (172800, "2 d"), (8640000, "100 d"),
    ],
)  # fmt: skip
def test_a_duration_has_one_unit(seconds, shown):
    assert shown == text.duration(seconds)


def test_a_clock_that_is_behind_shows_no_time_in_the_future():
    stamp = Timestamp(seconds=1000)

    assert text.age(stamp, 990.0) == "0 s ago"
    assert text.until(stamp, 990.0) == "in 10 s"
    assert text.until(stamp, 1010.0) == "now"


@pytest.mark.parametrize(("per_second", "shown"), [(0, "0/s"), (999, "999/s"), (9800, "9.8k/s"), (1_250_000, "1.2M/s")])
def test_a_rate_is_short(per_second, shown):
    assert shown == text.rate(per_second)


def test_an_errno_has_its_name():
    assert text.number_and_name(105) == "ENOBUFS (105)"
    assert text.number_and_name(9999) == "errno 9999"


def test_a_time_that_is_not_a_date_is_shown_as_unknown():
    assert text.clock(Timestamp(seconds=1 << 60)) == "?"
