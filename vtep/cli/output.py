"""What `-o` and the options of a list do: one object or many rows, as a table, JSON, YAML or JSON lines.

Knows the formats, and how rows are kept, sorted and limited. Does not know what a row is: a command brings the pages of
its list and a `List` that says which field has the rows and how one becomes cells.

A table and JSON lines are printed as the pages come, the first of which is small, so that the reader of a pipe may leave
early and the daemon is not asked for the rest. JSON and YAML are one document, which is printed whole or not at all.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, Generic, TypeVar

from vtep.cli import values
from vtep.cli.connection import Client
from vtep.cli.grid import Column, Grid
from vtep.cli.text import has_colours, plain, say, table_width
from vtep.errors import UsageError
from vtep.v1 import vtep_pb2 as pb

Row = TypeVar("Row", bound=Any)

FIRST_PAGE: Final = 200
"""Enough for a screen, and soon there."""
PAGE_SIZE: Final = 5000
"""The largest page that the daemon gives."""
DOCUMENTS: Final = ("json", "yaml", "jsonl")


@dataclass(frozen=True)
class List(Generic[Row]):
    """A list as a command shows it."""

    field: str
    """Of the answer, which has the rows."""
    columns: Sequence[Column]
    """The columns of a table; JSON and YAML have the fields of the message and ignore them."""
    cells: Callable[[Row], Sequence[str]]
    """Returns the texts of one row, one for each column."""
    empty: Callable[[Any], str]
    """What to say if no row is shown; takes the last answer."""


def show_list(
    options: argparse.Namespace,
    shown: List[Row],
    pages: Iterable[Any],
    keep: Callable[[Row], bool] = lambda _: True,
) -> int:
    """Print the rows of all pages that are kept, in the format that the options ask for."""
    limit: int | None = getattr(options, "limit", None)
    last: list[Any] = []
    parts = _limited(_kept(pages, shown.field, keep, last), None if options.sort else limit)
    if options.sort:
        rows = _sorted([row for part in parts for row in part], shown, options)
        parts = iter([rows[:limit]])
    if options.output in ("json", "yaml"):
        rows = [values.value(row) for part in parts for row in part]
        print_value(options, values.value(last[0]) | {shown.field: rows})
    elif options.output == "jsonl":
        for part in parts:
            print(*(values.line(values.value(row)) for row in part), sep="\n", end="\n" * bool(part), flush=True)
    else:
        _print_rows(options, shown, parts, last)
    return 0


def print_value(options: argparse.Namespace, content: Any) -> None:
    """Print one object as JSON, or as YAML if that is asked for."""
    if options.output == "yaml":
        print(yaml(content), end="", flush=True)
    elif options.pretty and options.output != "jsonl":
        print(json.dumps(content, indent=2))
    else:
        print(values.line(content), flush=True)


def is_document(options: argparse.Namespace) -> bool:
    """Return whether a program reads the output."""
    return options.output in DOCUMENTS


def pages(daemon: Client, request: Any, answer: type[Any], first: int = FIRST_PAGE) -> Iterator[Any]:
    """Ask for one page after the other, each when it is wanted."""
    request.page_size = first
    while True:
        page = daemon.ask(request, answer)
        yield page
        if not page.next_page_token:
            return
        request.page_token, request.page_size = page.next_page_token, PAGE_SIZE


def known_vni(daemon: Client, number: int) -> None:
    """Refuse a VNI that is not configured, because an empty table would look like one without rows."""
    if not number:
        return
    known = [row.vni for row in daemon.ask(pb.ListVnisRequest(), pb.ListVnisResponse).vnis]
    if number not in known:
        near = sorted(sorted(known, key=lambda vni: abs(vni - number))[:5])
        has = f"configured: {', '.join(map(str, near))}{', …' * (len(known) > len(near))}" if known else "none is"
        raise UsageError(f"VNI {number} is not configured on this leaf ({has}; `vtep vnis` lists them)")


def _kept(
    pages: Iterable[Any], field: str, keep: Callable[[Any], bool], last: list[Any]
) -> Iterator[list[Any]]:  # fmt: skip
    for page in pages:
        last[:] = [page]
        yield list(filter(keep, getattr(page, field)))


def _limited(parts: Iterator[list[Any]], limit: int | None) -> Iterator[list[Any]]:
    """Yield at most so many rows; no page is asked for that is not needed."""
    left = limit
    for part in parts:
        yield part if left is None else part[:left]
        if left is not None:
            left -= min(left, len(part))
            if not left:
                return


def _print_rows(options: argparse.Namespace, shown: List[Any], parts: Iterable[list[Any]], last: list[Any]) -> None:
    is_wide = options.output == "wide"
    indexes = [index for index, column in enumerate(shown.columns) if is_wide or not column.wide]
    grid = Grid(
        [shown.columns[index] for index in indexes],
        None if is_wide else table_width(sys.stdout),
        colours=has_colours(sys.stdout),
    )
    count = 0
    for part in parts:
        rows = [shown.cells(row) for row in part]
        count += len(rows)
        if rows:
            print(*grid.lines([[row[index] for index in indexes] for row in rows]), sep="\n", flush=True)
    if not count:
        say(plain(shown.empty(last[0])))


# Sorting


def _sorted(rows: list[Any], shown: List[Any], options: argparse.Namespace) -> list[Any]:
    names = [column.name for column in shown.columns]
    name = options.sort.upper()
    if name not in names:
        raise UsageError(f"there is no column {options.sort!r} to sort by (it has {', '.join(names).lower()})")
    index = names.index(name)
    return sorted(rows, key=lambda row: natural(shown.cells(row)[index]), reverse=options.reverse)


_UNIT_S: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def natural(text: str) -> tuple[Any, ...]:
    """Return what sorts 9 before 10, 10.0.0.9 before 10.0.0.10, and 90 s before 2 min; what is absent comes first."""
    if text in ("", "-"):
        return (0,)
    if age := re.fullmatch(r"(?:> )?([\d.]+) (s|min|h|d)", text):
        return (1, float(age[1]) * _UNIT_S[age[2]])
    if re.fullmatch(r"[\d,]+", text):
        return (1, int(text.replace(",", "")))
    try:
        address = ip_address(text)
    except ValueError:
        return (3, text)
    return (2, address.version, int(address))


# YAML


def yaml(content: Any, indent: str = "") -> str:
    """Return a JSON value as YAML in block style. Every text is quoted, because a MAC or `no` would be read as another type."""
    return "".join(_yaml(content, indent))


def _yaml(content: Any, indent: str) -> Iterator[str]:
    if isinstance(content, dict) and content:
        for key, item in content.items():
            yield f"{indent}{key}:"
            yield from _yaml_item(item, indent + "  ")
    elif isinstance(content, list) and content:
        for item in content:
            if isinstance(item, dict) and item:
                # The first key stands beside the dash.
                yield indent + "- " + yaml(item, indent + "  ")[len(indent) + 2 :]
            else:
                yield indent + "-"
                yield from _yaml_item(item, indent + "  ")
    else:
        yield f"{indent}{_yaml_scalar(content)}\n"


def _yaml_item(item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, dict | list) and item:
        yield "\n"
        yield from _yaml(item, indent)
    else:
        yield f" {_yaml_scalar(item)}\n"


def _yaml_scalar(content: Any) -> str:
    """JSON's scalars are YAML's, but for characters that JSON writes as two surrogates."""
    return re.sub(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}", _whole_character, json.dumps(content))


def _whole_character(pair: re.Match[str]) -> str:
    return f"\\U{ord(json.loads(chr(34) + pair[0] + chr(34))):08x}"
