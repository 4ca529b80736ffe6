"""Page tokens and resume tokens: where a client continues, as text that only the present life of this daemon accepts.

A page token holds the last key of the page before (never a position, because rows come and go between two pages). A
resume token holds how far a stream was sent. Knows nothing of tables, streams or requests.
"""

import base64
import binascii
import re
from typing import Final

from msgspec import Struct

from vtep.addr import Esi, Ip, Mac, Prefix, Vni
from vtep.errors import UsageError
from vtep.intent import GroupKey, HostKey, NexthopKey, PrefixKey, RowKey
from vtep.observe.source import RouteCursor

TOKEN_MAX: Final = 300
"""Octets; ours have about sixty, and those of routes up to 240."""

_MACS, _NEIGHBORS, _NEXTHOPS, _PREFIXES, _ROUTES, _STATIONS, _WATCH = "m", "n", "h", "p", "r", "s", "w"
_SEGMENTS: Final = "e"


_IP: Final = r"[0-9a-f]{8}|[0-9a-f]{32}"
KEY_MAX: Final = 64
"""Octets of the key of a route; the longest, with two IPv6 addresses, has fewer."""


class Cursor(Struct, frozen=True):
    """How far a stream was sent."""

    revision: int
    """The revision of the table up to which the reader has every change."""
    entry: int
    """The number of the latest event that it had."""


def macs_token(epoch: str, after: RowKey) -> str:
    return _row_token(_MACS, epoch, after)


def macs_after(epoch: str, token: str) -> RowKey:
    return _row_after(_MACS, epoch, token)


def stations_token(epoch: str, after: RowKey) -> str:
    return _row_token(_STATIONS, epoch, after)


def stations_after(epoch: str, token: str) -> RowKey:
    return _row_after(_STATIONS, epoch, token)


def neighbors_token(epoch: str, after: HostKey) -> str:
    return _written(_NEIGHBORS, epoch, str(int(after[0])), after[1].hex())


def neighbors_after(epoch: str, token: str) -> HostKey:
    vni, ip = _numbers(_read(_NEIGHBORS, epoch, token, "page_token"), r"\d{1,8}", _IP)
    return _vni(vni, "page_token"), Ip(bytes.fromhex(ip))


def nexthops_token(epoch: str, after: NexthopKey) -> str:
    return _written(_NEXTHOPS, epoch, str(int(after[0])), str(after[1]))


def nexthops_after(epoch: str, token: str) -> NexthopKey:
    vni, number = _numbers(_read(_NEXTHOPS, epoch, token, "page_token"), r"\d{1,8}", r"\d{1,10}")
    return _vni(vni, "page_token"), int(number)


def segments_token(epoch: str, after: GroupKey) -> str:
    return _written(_SEGMENTS, epoch, str(int(after[0])), f"{after[1].hex()}.{after[2].hex()}")


def segments_after(epoch: str, token: str) -> GroupKey:
    form = rf"[0-9a-f]{{20}}\.({_IP})?"
    vni, group = _numbers(_read(_SEGMENTS, epoch, token, "page_token"), r"\d{1,8}", form)
    segment, _, primary = group.partition(".")
    return _vni(vni, "page_token"), Esi(bytes.fromhex(segment)), bytes.fromhex(primary)


def prefixes_token(epoch: str, after: PrefixKey) -> str:
    return _written(_PREFIXES, epoch, str(int(after[0])), after[1].hex())


def prefixes_after(epoch: str, token: str) -> PrefixKey:
    vni, octets = _numbers(_read(_PREFIXES, epoch, token, "page_token"), r"\d{1,8}", r"(?:[0-9a-f]{10}|[0-9a-f]{34})")
    return _vni(vni, "page_token"), Prefix(bytes.fromhex(octets))


def routes_token(epoch: str, after: RouteCursor) -> str:
    return _written(_ROUTES, epoch, f"{after.part}.{after.peer.hex()}", after.key.hex())


def routes_after(epoch: str, token: str) -> RouteCursor:
    forms = rf"\d{{1,2}}\.({_IP})", rf"([0-9a-f]{{2}}){{1,{KEY_MAX}}}"
    at, key = _numbers(_read(_ROUTES, epoch, token, "page_token"), *forms)
    part, _, peer = at.partition(".")
    return RouteCursor(Ip(bytes.fromhex(peer)), int(part), bytes.fromhex(key))


def resume_token(epoch: str, cursor: Cursor) -> str:
    return _written(_WATCH, epoch, str(cursor.revision), str(cursor.entry))


def resume_cursor(epoch: str, token: str) -> Cursor | None:
    """Return where the stream was, or nothing if that was in another life of the daemon."""
    kind, life, *rest = _fields(token, "resume_token")
    if kind != _WATCH:
        raise _no_token("resume_token")
    revision, entry = _numbers(rest, r"\d{1,18}", r"\d{1,18}", field="resume_token")
    return Cursor(int(revision), int(entry)) if life == epoch else None


def _row_token(kind: str, epoch: str, after: RowKey) -> str:
    return _written(kind, epoch, str(int(after[0])), after[1].hex())


def _row_after(kind: str, epoch: str, token: str) -> RowKey:
    vni, mac = _numbers(_read(kind, epoch, token, "page_token"), r"\d{1,8}", r"[0-9a-f]{12}")
    return _vni(vni, "page_token"), Mac(bytes.fromhex(mac))


def _written(kind: str, epoch: str, *fields: str) -> str:
    return base64.urlsafe_b64encode("/".join((kind, epoch, *fields)).encode()).decode().rstrip("=")


def _read(kind: str, epoch: str, token: str, field: str) -> list[str]:
    found, life, *rest = _fields(token, field)
    if found != kind:
        raise _no_token(field)
    if life != epoch:
        raise UsageError(f"{field}: the daemon was restarted; begin with the first page (an empty {field})")
    return rest


def _fields(token: str, field: str) -> list[str]:
    if len(token) > TOKEN_MAX:
        raise _no_token(field)
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):  # UnicodeError is one
        raise _no_token(field) from None
    fields = text.split("/")
    if len(fields) != 4:
        raise _no_token(field)
    return fields


def _numbers(texts: list[str], *forms: str, field: str = "page_token") -> list[str]:
    if not all(re.fullmatch(form, text, re.ASCII) for form, text in zip(forms, texts, strict=True)):
        raise _no_token(field)
    return texts


def _vni(text: str, field: str) -> Vni:
    try:
        return Vni(int(text))
    except ValueError:
        raise _no_token(field) from None


def _no_token(field: str) -> UsageError:
    return UsageError(f"{field}: not a token that this daemon gave for this call; send it unchanged, or leave it empty")
