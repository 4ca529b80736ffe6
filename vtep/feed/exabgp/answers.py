"""The answers that ExaBGP prints between its events.

ExaBGP answers each command of its process with a line on the same pipe that carries the events: `done`, `error`, text, or
in 5.0 a JSON object. This module recognizes the text answers of 4.2 and 5.0. Which command an answer belongs to is not its
business.
"""

import re
from typing import Final

from msgspec import Struct

from vtep.errors import StreamError


class Answered(Struct, frozen=True):
    """ExaBGP's answer to a command of ours."""

    text: str
    ok: bool
    """False for `error` alone, which ends the answer to a command that ExaBGP did not carry out."""
    more: str = ""
    """What it adds for people: which program it is, or why a command was refused."""
    versions: tuple[int, ...] = ()
    """The versions of the grammar that it reads, if it names more than one."""


def read_answer(line: str) -> Answered | None:
    """Return the answer that a line of plain text is, or None for the blank lines within the answer to `help`."""
    text = line.strip()
    if not text:
        return None
    if text in FINAL_ANSWERS:
        return Answered(text, ok=text != "error")
    if _TEXT_ANSWER.fullmatch(text):
        return Answered(text, ok=True)
    raise StreamError("neither a JSON object nor an answer that ExaBGP gives")


FINAL_ANSWERS: Final = ("done", "error", "shutdown")
"""One of these ends the answer to each command."""

_TEXT_ANSWER: Final = re.compile(
    r"""
      exabgp\ \d\S*                                         # version
    | (shutdown|reload|restart)\ in\ progress
    | Peer\ +AS\ +up/down\ .*                               # show neighbor summary
    | (?=[0-9a-f]{0,4}[.:])[0-9a-f.:]{2,45}\ +\d+\ .*       # one of its peers
    | \[\{"state":\ "[^"]*",\ .*\}\]                        # show neighbor json
    | (neighbor\ )?[0-9a-f.:]{2,45}\ ([a-z]\S*\ .*)?l2vpn\ evpn\ evpn:.*  # show adj-rib
    | please\ specify\ summary,\ .* | you\ can\ filter\ by\ peer\ .*
    | available\ API\ commands\ .* | filter\ can\ be:\ .* | command\ are: | [=-]+ | \#     # help
    | \[neighbor\ <ip>\ \[filters\]\]\ .* | (help|reload|reset|restart|version)
    | (disable|enable|silence)-ack | show\ (adj-rib|neighbor)\ .*
    """,
    re.VERBOSE | re.ASCII,
)
