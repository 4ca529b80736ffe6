"""What an ExaBGP was told to announce, on disk: nobody can read it back from ExaBGP, and a daemon may be killed at any time.

    header   one line of JSON: format, and which ExaBGP
    record   crc32 of the rest, a space, then a JSON list: what happened, and the announcement or the route that it is about

Written before a command is sent, and again when ExaBGP has answered. Without fsync, as the claims: what must survive is the
death of this process, and ExaBGP forgets everything when the machine dies. A torn tail is dropped, any other damage refuses the
file. Knows no socket and decides nothing.
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, Vni
from vtep.errors import LedgerError
from vtep.feed.exabgp.advertise import (
    Announcement,
    Command,
    Community,
    MacAdvertisement,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    Route,
    Withdrawal,
)

FORMAT: Final = 1
NOBODY: Final = ""
"""In place of an ExaBGP, while none has come yet."""
RECORDS_MIN: Final = 10_000
"""A file is written anew when it has so many records, and more than four for each route."""
_ASKED, _WITHDRAWN, _SURE, _GONE = 0, 1, 2, 3


class AdvertisedRoute(Struct, frozen=True, gc=False):
    """What ExaBGP was asked last about a route."""

    announcement: Announcement
    sure: bool
    """It said `done` to this announcement, and was asked nothing about the route since."""


class AdvertisedLedger:
    """Everything that one ExaBGP may be announcing because of us."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or make the file; without a path nothing outlives the process."""
        self._path = path
        self._told: dict[Route, AdvertisedRoute] = {}
        self._file: int | None = None
        self._size = 0
        self._records = 0
        self.exabgp = NOBODY
        self.sure = 0
        """Routes that ExaBGP is known to announce."""
        self.torn = 0
        """Octets of an unfinished record at the end that were dropped."""
        if path is not None:
            if path.exists():
                self._load(path.read_bytes())
            self._rewrite()

    @property
    def advertised(self) -> Mapping[Route, AdvertisedRoute]:
        return self._told

    def begin(self, exabgp: str) -> None:
        """Another ExaBGP: it was told nothing. An OSError leaves everything as it was."""
        before = self.exabgp, self._told, self.sure
        self.exabgp, self._told, self.sure = exabgp, {}, 0
        try:
            self._rewrite()
        except OSError:
            self.exabgp, self._told, self.sure = before
            raise

    def ask(self, commands: Iterable[Command]) -> None:
        """Note, before they are sent, what ExaBGP is asked. An OSError leaves everything as it was."""
        commands = list(commands)
        self._append(_asked(command) for command in commands)
        for command in commands:
            if isinstance(command, Withdrawal):
                self.mark_suspect(command.route)
            else:
                self._put(command.route, AdvertisedRoute(command, sure=False))
        self._shrink()

    def mark_suspect(self, route: Route) -> None:
        """Nobody knows, while this process lives, whether ExaBGP announces this as it was asked."""
        old = self._told.get(route)
        if old is not None and old.sure:
            self._put(route, AdvertisedRoute(old.announcement, sure=False))

    def confirm(self, route: Route) -> None:
        """ExaBGP has done what it was asked last about a route."""
        advertised = self._told[route]
        self._append([_about(_SURE, route)])
        self._put(route, AdvertisedRoute(advertised.announcement, sure=True))

    def forget(self, route: Route) -> None:
        """ExaBGP announces nothing about this route because of us."""
        self._append([_about(_GONE, route)])
        self._remove(route)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _put(self, route: Route, advertised: AdvertisedRoute) -> None:
        old = self._told.get(route)
        self.sure += advertised.sure - (old is not None and old.sure)
        self._told[route] = advertised

    def _remove(self, route: Route) -> None:
        old = self._told.pop(route, None)
        self.sure -= old is not None and old.sure

    # Reading

    def _load(self, data: bytes) -> None:
        header, newline, body = data.partition(b"\n")
        if not newline:
            self.torn = len(data)
            return
        self._read_header(header)
        *lines, tail = body.split(b"\n")
        for line in lines:
            self._replay(_unframed(line))
        self.torn = len(tail)

    def _read_header(self, header: bytes) -> None:
        try:
            found = json.loads(header)
            form, self.exabgp = found["format"], str(found["exabgp"])
        except (ValueError, KeyError, TypeError):
            raise self._damaged("its first line is no header") from None
        if form != FORMAT:
            raise self._damaged(f"its format is {form}, ours {FORMAT}")

    def _replay(self, record: bytes) -> None:
        try:
            what, fields = _decode(record)
            if what == _ASKED:
                announcement = _announcement(fields)
                self._put(announcement.route, AdvertisedRoute(announcement, sure=False))
                return
            route = _route(fields)
            if what == _SURE:
                self._put(route, AdvertisedRoute(self._told[route].announcement, sure=True))
            elif what == _GONE:
                self._remove(route)
            else:
                self.mark_suspect(route)
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(f"a record cannot be read: {error}") from None

    def _damaged(self, what: str) -> LedgerError:
        return LedgerError(
            f"{self._path}: damaged: {what}; without it everything is announced anew, and what an earlier life announced and "
            f"nobody wants now stays until ExaBGP is started anew"
        )

    # Writing

    def _append(self, records: Iterable[bytes]) -> None:
        """Write all of it or nothing: what cannot be noted must not be asked either."""
        if self._file is None:
            return
        lines = [_framed(record) for record in records]
        data = b"".join(lines)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += written
        self._records += len(lines)

    def _shrink(self) -> None:
        if self._records > RECORDS_MIN and self._records > 4 * len(self._told):
            self._rewrite()

    def _rewrite(self) -> None:
        """Write what counts into a new file and put it in place of the old one."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        header = json.dumps({"format": FORMAT, "exabgp": self.exabgp}).encode() + b"\n"
        lines = [_framed(record) for record in self._all()]
        fresh.write_bytes(header + b"".join(lines))
        fresh.chmod(0o600)
        file = os.open(fresh, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        fresh.replace(self._path)
        self.close()
        self._file, self._size, self._records = file, self._path.stat().st_size, len(lines)

    def _all(self) -> Iterator[bytes]:
        for route, advertised in self._told.items():
            yield _asked(advertised.announcement)
            if advertised.sure:
                yield _about(_SURE, route)


# A record: a list of what happened, and of the fields of what it is about; octets are base64.


def _plain(value: Any) -> int | bytes:
    """Names are octets or numbers, and more to Python than to msgspec."""
    return int(value) if isinstance(value, int) else bytes(value)


_encode: Final = msgspec.json.Encoder(enc_hook=_plain).encode
_MAC: Final = 2
_MULTICAST: Final = 3


class _Fields(Struct, array_like=True):
    type: int
    rd: bytes
    tag: int
    mac: bytes = b""
    ip: bytes = b""
    """The host's address, or the originator's."""
    next_hop: bytes = b""
    label: int = 0
    label2: int | None = None
    esi: bytes = b""
    endpoint: bytes = b""
    communities: tuple[bytes, ...] = ()


_decode: Final = msgspec.json.Decoder(tuple[int, _Fields]).decode


def _asked(command: Command) -> bytes:
    match command:
        case Withdrawal(route):
            return _about(_WITHDRAWN, route)
        case MacAdvertisement(route=route):
            fields = _key(route)
            fields.label2, fields.esi = command.label2, command.esi
            fields.label = command.label
        case Multicast(route=route):
            fields = _key(route)
            fields.label, fields.endpoint = command.pmsi.label, command.pmsi.endpoint
    fields.next_hop = command.next_hop
    fields.communities = command.communities
    return _encode((_ASKED, fields))


def _about(what: int, route: Route) -> bytes:
    return _encode((what, _key(route)))


def _key(route: Route) -> _Fields:
    if isinstance(route, MacRoute):
        return _Fields(_MAC, route.rd, route.tag, route.mac, route.ip or b"")
    return _Fields(_MULTICAST, route.rd, route.tag, ip=route.originator)


def _route(fields: _Fields) -> Route:
    rd = RouteDistinguisher.unpack(fields.rd)
    if fields.type == _MULTICAST:
        return MulticastRoute(rd, Ip.unpack(fields.ip), fields.tag)
    return MacRoute(rd, Mac.unpack(fields.mac), Ip.unpack(fields.ip) if fields.ip else None, fields.tag)


def _announcement(fields: _Fields) -> Announcement:
    route = _route(fields)
    next_hop, communities = Ip.unpack(fields.next_hop), tuple(map(Community, fields.communities))
    label = Vni(fields.label)
    if isinstance(route, MulticastRoute):
        return Multicast(route, next_hop, Pmsi(label, Ip.unpack(fields.endpoint)), communities)
    label2 = None if fields.label2 is None else Vni(fields.label2)
    return MacAdvertisement(route, next_hop, label, label2, Esi.unpack(fields.esi), communities)


def _framed(record: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(record), record)


def _unframed(line: bytes) -> bytes:
    """Return the record of a line, which is none where the checksum does not match."""
    checksum, _, record = line.partition(b" ")
    return record if checksum == b"%08x" % zlib.crc32(record) else b""


def sequences(advertised: Mapping[Route, AdvertisedRoute]) -> Iterator[tuple[Vni, Mac, int]]:
    """Yield the mobility sequence of each MAC that was announced with one."""
    for route, entry in advertised.items():
        if isinstance(route, MacRoute) and isinstance(entry.announcement, MacAdvertisement):
            for community in entry.announcement.communities:
                if (seq := _sequence(community)) is not None:
                    yield entry.announcement.label, route.mac, seq


def _sequence(community: Community) -> Any:
    return int.from_bytes(community[4:]) if community[:2] == b"\x06\x00" else None
