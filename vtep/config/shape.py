"""Compares what a person typed, as decoded from TOML, with the struct that a table must match.

Goes key by key, so that one wrong key hides no other: a wrong value is noted and its key keeps the default. Knows no
section of the configuration; the fields of the structs are the keys, and their types say what a value may be.
"""

import difflib
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct

from vtep.config.values import Problems

S = TypeVar("S", bound=Struct)


def check(shape: type[S], table: Any, path: str, problems: Problems) -> S:
    """Return the table as a struct of this shape, with the default where a value is wrong or absent."""
    values: dict[str, Any] = {}
    fields = {field.name: field for field in msgspec.structs.fields(shape)}
    if not isinstance(table, dict):
        problems.note(path, f"expected a table, got {_kind_of(table)}")
        return shape()
    for key, value in table.items():
        where = f"{path}.{key}" if path else key
        if key not in fields:
            problems.note(where, "unknown key", _suggest(key, list(fields)))
            continue
        values[key] = _check_value(fields[key].type, value, where, problems)
    return shape(**{key: value for key, value in values.items() if value is not UNSET})


def _check_value(wanted: Any, value: Any, where: str, problems: Problems) -> Any:
    """Return the value as its field wants it, or UNSET after the problem was noted."""
    inner = _struct_in(wanted)
    if inner is not None and get_origin(wanted) is list:
        if isinstance(value, list):
            return [check(inner, item, f"{where}[{index}]", problems) for index, item in enumerate(value)]
        problems.note(where, f"expected tables, got {_kind_of(value)}", f"write [[{where}]]")
        return UNSET
    if inner is not None:
        return check(inner, value, where, problems)
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        problems.note(where, str(error).replace("`", "").replace(" - at $", " at item "))
        return UNSET


def _struct_in(wanted: Any) -> type[Any] | None:
    """Return the table type inside `T`, `list[T]` or `T | UnsetType`, if it is one."""
    choices = get_args(wanted) if get_origin(wanted) in (list, Union, UnionType) else (wanted,)
    return next((choice for choice in choices if isinstance(choice, type) and issubclass(choice, Struct)), None)


_WORDS: Final = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}


def _kind_of(value: Any) -> str:
    return _WORDS.get(type(value), type(value).__name__)


def _suggest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
