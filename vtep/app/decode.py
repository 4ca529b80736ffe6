"""`vtep replay --decode`: a recorded stream as text that people can read, one line for each route.

    1796032141.2 10.0.0.1 announced MacIp rd=10.0.0.1:100 mac=02:00:00:00:00:01 label=100 next_hop=10.0.0.1 targets=65000:100

A recording of `vtep exabgp` has UPDATEs as octets in base64, and ExaBGP's own JSON is hard to read as well. Fields that have
their default value are left out. This module knows how a value is written, and nothing of what it is used for.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct, structs

from vtep.errors import StreamError
from vtep.evpn.event import Announced, Event, Withdrawn
from vtep.feed.exabgp.json import Decoded, decode


def decoded(lines: Iterable[bytes]) -> Iterator[str]:
    """Return the text of each thing that happened, in the order of the lines."""
    for number, line in enumerate(lines, 1):
        try:
            found = decode(line)
        except StreamError as error:
            yield f"line {number}: {error}"
            continue
        head = f"{found.time or 0:.1f} {found.peer or '-'}"
        for text in _texts(found):
            yield f"{head} {text}"


def _texts(found: Decoded) -> Iterator[str]:
    if found.answer is not None:
        yield f"answer {found.answer.text} {found.answer.more}".rstrip()
    for event in found.events:
        yield from _event(event)
    for bad in found.bad_nlris:
        yield f"bad-nlri {bad}"


def _event(event: Event) -> Iterator[str]:
    match event:
        case Announced():
            for route in event.routes.values():
                fields = _fields(route) | _fields(route.attributes)
                yield " ".join(["announced", type(route).__name__, *_written(fields)])
        case Withdrawn():
            for key in event.keys:
                yield f"withdrawn type {key[0]} 0x{key[1:].hex()}"
        case _:
            yield " ".join([type(event).__name__, *_written(_fields(event))])


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of a struct that differ from their defaults; the peer is in the head of the line."""
    found = {}
    for field in structs.fields(value):
        content = getattr(value, field.name)
        if field.name not in ("peer", "attributes") and content != field.default:
            found[field.name] = content
    return found


def _written(fields: dict[str, Any]) -> list[str]:
    return [f"{name}={_value(value)}" for name, value in fields.items()]


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_value, value))
    if isinstance(value, Struct):
        return f"({' '.join(_written(_fields(value)))})"
    if type(value) is bytes:
        return f"0x{value.hex()}"
    text = str(value)
    return repr(text) if " " in text or not text else text
