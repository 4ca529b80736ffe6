"""Finds the line of each key in a TOML text, so that a problem can say where it is.

A decoder says what a text means and forgets where it stood. This module reads only the structure of the text, which is
headers, keys and brackets, and remembers the line of each path, as in `vni[0].import_rt[1]`. It expects a text that the
decoder has accepted. Knows no key by name.

    [[vni]]                              vni[0]               line 1
    vni = 100                            vni[0].vni           line 2
    import_rt = ["65000:100",            vni[0].import_rt     line 3
                 "*:100"]                vni[0].import_rt[1]  line 4
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""+'  # a text of several lines; up to two quotes may stand before the three that end it
    r"|'''.*?'''+"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|\n"
    r"|[\[\]{}=,.]"
    r"|[^\s\"'\#\[\]{}=,.]+",
    re.DOTALL,
)


class _Token(NamedTuple):
    text: str
    """As it stands in the file, with its quotes."""
    line: int
    """The line on which it begins, from 1."""


def lines_of(text: str) -> dict[str, int]:
    """Return the line on which each table, key and list item of a valid TOML text begins."""
    return _Reader(text).lines


def line_of(path: str, lines: dict[str, int]) -> int:
    """Return the line of this path; for a key that is not there, the line of the table in which it belongs."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path, 0)


class _Reader:
    """Reads one text from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self.lines: dict[str, int] = {}
        self._tokens = list(_tokens(text))
        self._at = 0
        self._items: dict[str, int] = {}
        """How many `[[tables]]` of each name came so far."""
        table = ""
        while self._peek() is not None:
            if self._take("["):
                table = self._header()
            elif not self._take("\n"):
                self._assignment(table)

    def _header(self) -> str:
        """Read `name]` or `[name]]`; return the path of the table that begins here."""
        line = self._tokens[self._at].line
        is_list = self._take("[")
        names = self._names()
        self._take("]")
        path = ""
        for number, name in enumerate(names, 1):
            path = f"{path}.{name}" if path else name
            if is_list and number == len(names):
                self._items[path] = self._items.get(path, 0) + 1
                self.lines.setdefault(path, line)
            if path in self._items:
                path = f"{path}[{self._items[path] - 1}]"
        self._take("]")
        self.lines[path] = line
        return path

    def _assignment(self, table: str) -> None:
        """Read `name = value`."""
        line = self._tokens[self._at].line
        path = ".".join(filter(None, (table, *self._names())))
        self.lines[path] = line
        self._take("=")
        self._value(path)

    def _names(self) -> list[str]:
        """Read `a.b.c`, with or without quotes."""
        names = [self._next()]
        while self._take("."):
            names.append(self._next())
        return [name.strip("\"'") for name in names]

    def _value(self, path: str) -> None:
        """Read a value, and note the line of each item in it. A plain value ends where its line, list or table
        does."""
        if self._take("["):
            index = 0
            while not self._closes("]"):
                self.lines[f"{path}[{index}]"] = self._tokens[self._at].line
                self._value(f"{path}[{index}]")
                index += 1
        elif self._take("{"):
            while not self._closes("}"):
                self._assignment(path)
        else:
            while self._peek() not in (None, "\n", ",", "]", "}"):
                self._at += 1

    def _closes(self, mark: str) -> bool:
        """Skip what may stand between two items, and tell whether the list or table ends here."""
        while self._take("\n") or self._take(","):
            pass
        return self._peek() is None or self._take(mark)

    def _peek(self) -> str | None:
        return self._tokens[self._at].text if self._at < len(self._tokens) else None

    def _next(self) -> str:
        token = self._tokens[self._at]
        self._at += 1
        return token.text

    def _take(self, mark: str) -> bool:
        """Go past this token, if it is the next one."""
        found = self._peek() == mark
        self._at += found
        return found


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens of a text, without its comments."""
    line, counted_to = 1, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", counted_to, found.start())
        counted_to = found.start()
        if not found[0].startswith("#"):
            yield _Token(found[0], line)
