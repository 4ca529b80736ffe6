"""How values are shown to a person: text that is safe on a terminal, ages, times, numbers, states.

Knows characters and words. Takes `now` as an argument wherever it matters.
"""

import errno
import os
import shutil
import sys
import textwrap
import unicodedata
from datetime import UTC, datetime
from typing import Final, TextIO

from google.protobuf.timestamp_pb2 import Timestamp

from vtep.v1 import vtep_pb2 as pb

WIDTH: Final = 80
"""The width without a terminal and without $COLUMNS."""
WIDTH_MIN: Final = 40


def plain(text: str) -> str:
    """Return the text with everything escaped that is not one visible character of one column.

    Text from peers and from the kernel passes here: an escape sequence in it must not reach the terminal, and a wide or
    combining character would break the columns.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_plain_character, text))


def _plain_character(character: str) -> str:
    if (
        character.isprintable()
        and not unicodedata.category(character).startswith("M")
        and unicodedata.east_asian_width(character) not in "WF"
    ):
        return character
    return character.encode("ascii", "backslashreplace").decode() if ord(character) > 0x7F else _escape(character)


def _escape(character: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{ord(character):02x}")


def say(text: str) -> None:
    """Print a message to the person, beside the data."""
    print(f"vtep: {text}", file=sys.stderr)


def width(stream: TextIO) -> int:
    """Return how wide the output may be: $COLUMNS, else the terminal's width, else 80."""
    if not stream.isatty() and not os.environ.get("COLUMNS"):
        return WIDTH
    return max(WIDTH_MIN, shutil.get_terminal_size((WIDTH, 24)).columns)


def table_width(stream: TextIO) -> int | None:
    """Return how wide a table may be: the width of a terminal. A pipe or a file has no width, and nothing is cut."""
    return width(stream) if stream.isatty() else None


def wrapped(text: str, columns: int, first: str = "", rest: str = "") -> str:
    """Break a sentence into lines; a word is broken only where it is longer than a line."""
    return textwrap.fill(
        plain(text), columns, initial_indent=first, subsequent_indent=rest, break_long_words=True,
        break_on_hyphens=False,
    )  # fmt: skip


# States and their colors

_COLOURS: Final = {
    "installed": "32", "ready": "32", "up": "32", "on": "32", "confirmed": "32",
    "degraded": "33", "lost": "33", "waiting": "33", "sent": "33", "leaving": "33", "not-advertised": "33", "refused": "31",
    "pending": "33", "stale": "33", "contested": "33", "unbound": "33", "unknown": "33",
    "failed": "31", "suppressed": "31", "not-ready": "31", "not ready": "31", "down": "31", "unreadable": "31", "off": "31",
    "missing": "31", "different": "31", "unwanted": "33",
}  # fmt: skip


def has_colours(stream: TextIO) -> bool:
    """Return whether to use colors: on a terminal whose user did not forbid it (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(word: str, text: str) -> str:
    """Return the text in the color of a state."""
    colour = _COLOURS.get(word)
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


# Times


def moment(stamp: Timestamp) -> datetime | None:
    """Return the time; None if it cannot be a date."""
    try:
        return datetime.fromtimestamp(stamp.seconds + stamp.nanos / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def clock(stamp: Timestamp) -> str:
    """Print a time as local time, with its date and zone."""
    time = moment(stamp)
    return stated(time) if time else "?"


def stated(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S%z}"


def seconds_since(stamp: Timestamp, now: float) -> float:
    return now - (stamp.seconds + stamp.nanos / 1e9)


def age(stamp: Timestamp, now: float) -> str:
    """Say how long ago it was. Clocks of two hosts differ, so a time in the future counts as now."""
    return f"{duration(max(0.0, seconds_since(stamp, now)))} ago"


def route_age(route: pb.Route | pb.Candidate, now: float) -> str:
    """Say how long a route has been as it is: `5 min`, `> 5 min` if only that is known, nothing if not even that."""
    if route.HasField("since"):
        return age(route.since, now).removesuffix(" ago")
    return f"> {age(route.received_before, now).removesuffix(' ago')}" if route.HasField("received_before") else ""


def until(stamp: Timestamp, now: float) -> str:
    """Say how soon it will be."""
    left_s = -seconds_since(stamp, now)
    return f"in {duration(left_s)}" if left_s > 0 else "now"


def duration(seconds: float) -> str:
    """Print with one unit, rounded down: 0.4 s, 3 s, 5 min, 7 h, 12 d."""
    if seconds < 1:
        return f"{int(seconds * 10) / 10:g} s"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds)} s"


# Numbers


def amount(number: float) -> str:
    return f"{number:,}"


def rate(per_second: float) -> str:
    """Print a rate in at most four characters and a unit."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if per_second >= size:
            return f"{per_second / size:.1f}{unit}/s"
    return f"{per_second:.0f}/s"


def number_and_name(code: int) -> str:
    """Print an errno with its name, which can be looked up."""
    name = errno.errorcode.get(code)
    return f"{name} ({code})" if name else f"errno {code}"
