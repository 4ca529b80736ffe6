"""Messages as JSON values, with the names of the proto.

Every field is present: numbers as numbers, an enum value without its prefix, a time as RFC 3339 text, a message that is
absent and an enum that is unspecified as null. docs/json.md lists the fields. Knows descriptors (whose type differs
between implementations of protobuf, hence Any), and no particular message.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from vtep.cli.text import moment

PAGE_TOKEN: Final = "next_page_token"  # noqa: S105 - a field's name
"""Not shown, because all pages are fetched."""


def value(message: Message) -> Any:
    """Return the message as what `json` prints."""
    if isinstance(message, Timestamp):
        time = moment(message)
        return time and f"{time:%Y-%m-%dT%H:%M:%S.%f}Z"
    kind: Any = type(message)
    return {field.name: _field(message, field) for field in _fields(kind)}


@dataclass(frozen=True, slots=True)
class _Field:
    """What a descriptor says of a field, read once, because reading it for each of a million rows would be slow."""

    name: str
    """Its name in the message, which is also its key in JSON and YAML."""
    enum: Any
    """The descriptor of its enum; None: it is not an enum."""
    is_message: bool
    """It is a message, which may be absent."""
    is_list: bool
    """It is repeated."""


@cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    empty = kind()
    return tuple(
        _Field(field.name, field.enum_type, field.message_type is not None, is_list(getattr(empty, field.name)))
        for field in kind.DESCRIPTOR.fields
        if field.name != PAGE_TOKEN
    )


@cache
def enum_name(enum: Any, number: int) -> str | None:
    """Return the name without the prefix of the enum; None for the unspecified value."""
    if number == 0:
        return None
    known = enum.values_by_number.get(number)
    return known.name.removeprefix(_prefix(enum)) if known else str(number)


def _prefix(enum: Any) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"


def _field(message: Message, field: _Field) -> Any:
    content = getattr(message, field.name)
    if field.is_list:
        return [_item(field, item) for item in content]
    if field.is_message and not message.HasField(field.name):
        return None
    return _item(field, content)


def is_list(content: Any) -> bool:
    """Recognize a repeated field by its content, because releases of protobuf differ in how a descriptor says it."""
    return not isinstance(content, (str, bytes, int, float, Message))


def _item(field: _Field, item: Any) -> Any:
    if field.enum is not None:
        return enum_name(field.enum, item)
    return value(item) if field.is_message else item


def line(content: Any) -> str:
    """Print a value on one line of ASCII, without any character that a terminal would act on."""
    return json.dumps(content)
