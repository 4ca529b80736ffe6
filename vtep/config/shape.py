"""Compares what a person typed, as decoded from TOML, with the struct that a table must match.

Goes key by key, so that one wrong key hides no other: a wrong value is noted and its key keeps the default. Knows no
section of the configuration; the fields of the structs are the keys, and their types say what a value may be.
"""

import difflib
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct, UnsetType

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
    except msgspec.ValidationError:
        problems.note(*_refusal(wanted, value, where))
        return UNSET


def _refusal(wanted: Any, value: Any, where: str) -> tuple[str, str]:
    """Return the path and the sentence of a value that its type refuses; of a list, those of its first wrong item."""
    choices = _choices(wanted)
    item_type = next((get_args(choice)[0] for choice in choices if get_origin(choice) is list), None)
    if isinstance(value, list) and item_type is not None:
        for index, item in enumerate(value):
            try:
                msgspec.convert(item, item_type)
            except msgspec.ValidationError:
                return _refusal(item_type, item, f"{where}[{index}]" if len(value) > 1 else where)
    return where, f"{_shown(value)} is not {' or '.join(map(_words, choices))}"


def _choices(wanted: Any) -> tuple[Any, ...]:
    """Return the types that a key may have."""
    choices = get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)
    return tuple(choice for choice in choices if choice is not UnsetType)


def _words(wanted: Any) -> str:
    """Say in plain words what a value may be."""
    if get_origin(wanted) is Annotated:
        kind, *metas = get_args(wanted)
        limits = [meta for meta in metas if isinstance(meta, msgspec.Meta)]
        least = next((meta.ge for meta in limits if meta.ge is not None), None)
        most = next((meta.le for meta in limits if meta.le is not None), None)
        if least is not None and most is not None:
            return f"{_words(kind)} from {least} to {most}"
        if least is not None:
            return f"{_words(kind)} of {least} or more"
        return _words(kind) if most is None else f"{_words(kind)} of at most {most}"
    if get_origin(wanted) in (Union, UnionType):
        return " or ".join(map(_words, _choices(wanted)))
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(_shown, get_args(wanted)))}"
    if get_origin(wanted) is list:
        item = get_args(wanted)[0]
        return (
            f"a list of {_WORDS[item].removeprefix('a ')}s" if item in _WORDS else f"a list, each item {_words(item)}"
        )
    return _WANTED.get(wanted) or _WORDS.get(wanted, "of this type")


def _shown(value: Any) -> str:
    """Return the value as it is written in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= SHOWN_MAX else f'"{value[:SHOWN_MAX]}…"'
    return str(value) if isinstance(value, int | float) else _kind_of(value)


SHOWN_MAX: Final = 60


def _struct_in(wanted: Any) -> type[Any] | None:
    """Return the table type inside `T`, `list[T]` or `T | UnsetType`, if it is one."""
    choices = get_args(wanted) if get_origin(wanted) in (list, Union, UnionType) else (wanted,)
    return next((choice for choice in choices if isinstance(choice, type) and issubclass(choice, Struct)), None)


_WANTED: Final = {bool: "true or false", int: "a whole number", str: "text in quotes"}
_WORDS: Final = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}


def _kind_of(value: Any) -> str:
    return _WORDS.get(type(value), type(value).__name__)


def _suggest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
