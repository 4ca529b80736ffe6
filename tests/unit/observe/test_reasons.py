"""The document that people read and the value that the commands tell are alike."""

import re
from pathlib import Path

import pytest

from vtep.observe.reasons import REASONS, advice, sentence

PAGE = Path(__file__).parents[3] / "docs" / "reasons.md"


def documented():
    """Return the first row of each code: one that two tables share is told as in the first."""
    rows = {}
    for code, what, todo in re.findall(r"^\| `([a-z0-9-]+)` \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE):
        rows.setdefault(code, (what, todo))
    return rows


PORT_STATES = {
    "down",
    "starting",
    "waiting",
    "forwarding",
    "segment-down",
    "uplinks-down",
    "filter-missing",
    "port-shared",
    "joining",
    "non-df",
    "df",
    "standby",
}
"""How a port on an Ethernet segment is: the page has them, and no row or route has them as its reason."""


def test_the_document_has_the_codes_of_the_program():
    assert documented().keys() - PORT_STATES == REASONS.keys()


@pytest.mark.parametrize("code", sorted(REASONS))
def test_the_document_and_the_program_give_a_code_the_same_meaning(code):
    assert documented()[code] == REASONS[code]


@pytest.mark.parametrize("code", sorted(REASONS))
def test_a_code_has_whole_sentences(code):
    what, todo = REASONS[code]

    assert re.fullmatch(r"[A-Z`].*[.:]", what)
    assert todo.endswith(".")


def test_where_there_is_nothing_to_do_nothing_is_advised_but_an_exception_is():
    assert advice("only-path") == ""
    assert advice("self-vtep") == "Nothing, unless another leaf has our address."
    assert (sentence("no-such-code"), advice("no-such-code")) == ("no-such-code", "")
