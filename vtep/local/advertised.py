"""The file of advertised routes: what an ExaBGP was sent by this leaf, for the next life of the daemon.

Nothing can be read back from ExaBGP, and a daemon may be killed at any time. So each command is noted before it is sent,
and again when ExaBGP has answered (`store.journal`). The header names the ExaBGP process: another one was sent nothing.

    record   a JSON list: what happened, and the announcement or the route that it is about

**When the file cannot be written**, peers must still learn what changes:

- A withdrawal is sent: it needs no note, since the file keeps a route that is gone, and that does no harm.
- Another announcement of a route that the file has is sent. Before that, the file is marked as behind. A next life relies
  on no announcement in such a file, and sends every route again.
- A route that the file does not have waits: after a crash no daemon would know that it must be withdrawn.

Knows no socket and decides nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from vtep.addr import Esi, Ip, Mac, Prefix, RouteDistinguisher, Vni
from vtep.evpn.advertise import (
    Announcement,
    Command,
    Community,
    EadAdvertisement,
    EadRoute,
    MacAdvertisement,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    PrefixAdvertisement,
    PrefixRoute,
    Route,
    SegmentAdvertisement,
    SegmentRoute,
    Withdrawal,
)
from vtep.store.journal import Damaged, Journal, JournalStatus, Lines, Slice

FORMATS: Final = {1: Lines()}
NOT_CONNECTED: Final = ""
"""In place of an ExaBGP, while none has connected yet."""
SLICE: Final = 256
"""Routes that a compaction copies at once, in a millisecond or two."""
ADVICE: Final = (
    "without it every route is advertised again, and a route that an earlier life advertised and that is no longer wanted "
    "stays until ExaBGP is restarted"
)
_ASKED, _WITHDRAWN, _SURE, _GONE = 0, 1, 2, 3


class AdvertisedRoute(Struct, frozen=True, gc=False):
    """What ExaBGP was asked last about a route."""

    announcement: Announcement
    """The last announcement, with all attributes. It stays here while a withdrawal is under way."""
    sure: bool
    """It said `done` to this announcement, and was asked nothing about the route since."""


class AdvertisedLedger:
    """Everything that one ExaBGP may be advertising because of us."""

    def __init__(self, path: Path | None = None, *, afresh: bool = False) -> None:
        """Open or make the file; without a path nothing outlives the process. With `afresh` what it says is ignored."""
        self._advertised: dict[Route, AdvertisedRoute] = {}
        self._outlived: set[Route] = set()
        """Routes that are gone, which could not be noted: the file still has them."""
        self._journal: Journal | None = None
        self.exabgp = NOT_CONNECTED
        self.sure = 0
        """Routes that ExaBGP is known to advertise."""
        self.torn = 0
        """Octets of an unfinished record at the end that were dropped."""
        if path is not None:
            self._journal = journal = Journal(path, FORMATS, self, ADVICE)
            try:
                if not afresh:
                    journal.load()
            except BaseException:
                journal.close()
                raise
            self.torn = journal.torn
            if journal.behind:
                for route in tuple(self._advertised):
                    self.mark_suspect(route)
            journal.open()

    @property
    def advertised(self) -> Mapping[Route, AdvertisedRoute]:
        return self._advertised

    def status(self) -> JournalStatus:
        return JournalStatus() if self._journal is None else self._journal.status()

    def tend(self) -> None:
        """Do a piece of a compaction that is due; call it often."""
        if self._journal is not None:
            self._journal.tend()

    def begin(self, exabgp: str) -> None:
        """Begin with another ExaBGP, which was sent nothing. An OSError leaves everything as it was."""
        before = self.exabgp, self._advertised, self.sure
        self.exabgp, self._advertised, self.sure = exabgp, {}, 0
        try:
            if self._journal is not None:
                self._journal.rewrite()
        except OSError:
            self.exabgp, self._advertised, self.sure = before
            raise

    def ask(self, commands: Sequence[Command]) -> OSError | None:
        """Note, before they are sent, what ExaBGP is asked.

        An error says why the file could not be written. Then only those commands are noted, and may be sent, that are
        `covered`.
        """
        error = self._append(_asked(command) for command in commands)
        for command in commands:
            if error is not None and not self.covers(command.route):
                continue
            if isinstance(command, Withdrawal):
                self.mark_suspect(command.route)
            else:
                self._put(command.route, AdvertisedRoute(command, sure=False))
        return error

    def covers(self, route: Route) -> bool:
        """Tell whether the file has the route, so that a next life knows that ExaBGP may advertise it."""
        return route in self._advertised or route in self._outlived

    def mark_suspect(self, route: Route) -> None:
        """Rely no longer on what ExaBGP answered about a route."""
        old = self._advertised.get(route)
        if old is not None and old.sure:
            self._put(route, AdvertisedRoute(old.announcement, sure=False))

    def confirm(self, route: Route) -> None:
        """ExaBGP has done what it was asked last about a route."""
        advertised = self._advertised[route]
        self._append([_about(_SURE, route)])
        self._put(route, AdvertisedRoute(advertised.announcement, sure=True))

    def forget(self, route: Route) -> None:
        """ExaBGP advertises nothing about this route because of us."""
        if self._append([_about(_GONE, route)]) is not None:
            self._outlived.add(route)
        self._remove(route)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _append(self, records: Iterable[bytes]) -> OSError | None:
        """Write records; an error is returned, because the caller decides what may be sent without them.

        Records that the file lacks make it `behind`: a next life then relies on no confirmation that it reads
        there.
        """
        if self._journal is None:
            return None
        try:
            self._journal.append(records)
        except OSError as error:
            self._journal.fall_behind()
            return error
        return None

    def _put(self, route: Route, advertised: AdvertisedRoute) -> None:
        old = self._advertised.get(route)
        self.sure += advertised.sure - (old is not None and old.sure)
        self._advertised[route] = advertised
        self._outlived.discard(route)

    def _remove(self, route: Route) -> None:
        old = self._advertised.pop(route, None)
        self.sure -= old is not None and old.sure

    # What the journal asks

    def header(self) -> Mapping[str, str]:
        return {"exabgp": self.exabgp}

    def accept(self, header: Mapping[str, Any]) -> None:
        if "exabgp" not in header:
            raise Damaged("its first line is not a header")
        self.exabgp = str(header["exabgp"])

    def replay(self, record: bytes) -> None:
        try:
            what, fields = _decode(record)
            if what == _ASKED:
                announcement = _announcement(fields)
                self._put(announcement.route, AdvertisedRoute(announcement, sure=False))
                return
            route = _route(fields)
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(f"a record cannot be read: {error}") from None
        if what == _GONE:
            self._remove(route)
        elif what != _SURE:
            self.mark_suspect(route)
        elif (known := self._advertised.get(route)) is not None:  # a compaction may copy the route itself later
            self._put(route, AdvertisedRoute(known.announcement, sure=True))

    def count(self) -> int:
        return len(self._advertised)

    def slices(self) -> Iterator[Slice]:
        routes = iter(list(self._advertised))
        while some := list(islice(routes, SLICE)):
            yield [record for route in some if route in self._advertised for record in self._spelled(route)]
        self._outlived.clear()  # the copy, which takes the file's place now, does not have them

    def _spelled(self, route: Route) -> Iterator[bytes]:
        advertised = self._advertised[route]
        yield _asked(advertised.announcement)
        if advertised.sure:
            yield _about(_SURE, route)


# A record: a list of what happened, and of the fields of what it is about; octets are base64.


def _plain(value: Any) -> int | bytes:
    """Names are octets or numbers, and more to Python than to msgspec."""
    return int(value) if isinstance(value, int) else bytes(value)


_encode: Final = msgspec.json.Encoder(enc_hook=_plain).encode
_AD: Final = 1
_MAC: Final = 2
_MULTICAST: Final = 3
_SEGMENT: Final = 4
_PREFIX: Final = 5


class _Fields(Struct, array_like=True):
    """The fields of a route, or of an announcement, in the order in which a record has them.

        [0,[2,"AAEKAAABAGQ=",0,"AgAAAAAB","rBAABQ==","CgAAAQ==",100,null,"AAAAAAAAAAAAAA==","",["AAL96AAAAGQ="]]]
        what happened, [type, RD, tag, MAC, IP, next hop, label 1, label 2, ESI, PMSI endpoint, [community, ...]]

    What happened is 0 (asked to advertise), 1 (asked to withdraw), 2 (confirmed) or 3 (gone). Octets are in base64.
    Records other than 0 are about a route alone, and leave empty what is no part of its key.
    """

    type: int
    """The EVPN route type, 1 to 5 (RFC 7432 7, RFC 9136 3)."""
    rd: bytes
    """The 8 octets of the Route Distinguisher."""
    tag: int
    mac: bytes = b""
    """Of a Type-2 route; empty otherwise."""
    ip: bytes = b""
    """The host's address, the originator's, or the prefix with its length."""
    next_hop: bytes = b""
    """4 or 16 octets; empty in a record about a route alone."""
    label: int = 0
    """The VNI as a plain number, not shifted as in an MPLS label; 0: the route has none (Type 4, and Type 1 of a
    whole segment)."""
    label2: int | None = None
    """The L3VNI of a host route in a VRF (RFC 9135 4.1); None: the route has one label."""
    esi: bytes = b""
    """10 octets; all zero: the station is on no segment. Empty for Types 3 and 5."""
    endpoint: bytes = b""
    communities: tuple[bytes, ...] = ()


_decode: Final = msgspec.json.Decoder(tuple[int, _Fields]).decode


def _asked(command: Command) -> bytes:
    """Return the record of a command: of an announcement everything, because a next life compares it with what it
    wants."""
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
        case PrefixAdvertisement(route=route):
            fields = _key(route)
            fields.label = command.label
        case EadAdvertisement(route=route):
            fields = _key(route)
            fields.label = command.label or 0
        case SegmentAdvertisement(route=route):
            fields = _key(route)
    fields.next_hop = command.next_hop
    fields.communities = command.communities
    return _encode((_ASKED, fields))


def _about(what: int, route: Route) -> bytes:
    return _encode((what, _key(route)))


def _key(route: Route) -> _Fields:
    if isinstance(route, MacRoute):
        return _Fields(_MAC, route.rd, route.tag, route.mac, route.ip or b"")
    if isinstance(route, PrefixRoute):
        return _Fields(_PREFIX, route.rd, route.tag, ip=route.prefix)
    if isinstance(route, EadRoute):
        return _Fields(_AD, route.rd, route.tag, esi=route.esi)
    if isinstance(route, SegmentRoute):
        return _Fields(_SEGMENT, route.rd, 0, ip=route.originator, esi=route.esi)
    return _Fields(_MULTICAST, route.rd, route.tag, ip=route.originator)


def _route(fields: _Fields) -> Route:
    """Return the route of a record. A field that cannot be read raises ValueError, and the file counts as damaged."""
    rd = RouteDistinguisher.unpack(fields.rd)
    if fields.type == _MULTICAST:
        return MulticastRoute(rd, Ip.unpack(fields.ip), fields.tag)
    if fields.type == _AD:
        return EadRoute(rd, Esi.unpack(fields.esi), fields.tag)
    if fields.type == _SEGMENT:
        return SegmentRoute(rd, Esi.unpack(fields.esi), Ip.unpack(fields.ip))
    if fields.type == _PREFIX:
        return PrefixRoute(rd, Prefix.of(fields.ip[:-1], fields.ip[-1]), fields.tag)
    return MacRoute(rd, Mac.unpack(fields.mac), Ip.unpack(fields.ip) if fields.ip else None, fields.tag)


def _announcement(fields: _Fields) -> Announcement:
    """Return the announcement of a record of sort 0."""
    route = _route(fields)
    next_hop, communities = Ip.unpack(fields.next_hop), tuple(map(Community, fields.communities))
    label = Vni(fields.label)
    if isinstance(route, MulticastRoute):
        return Multicast(route, next_hop, Pmsi(label, Ip.unpack(fields.endpoint)), communities)
    if isinstance(route, EadRoute):
        return EadAdvertisement(route, next_hop, label or None, communities)
    if isinstance(route, SegmentRoute):
        return SegmentAdvertisement(route, next_hop, communities)
    if isinstance(route, PrefixRoute):
        return PrefixAdvertisement(route, next_hop, label, communities)
    label2 = None if fields.label2 is None else Vni(fields.label2)
    return MacAdvertisement(route, next_hop, label, label2, Esi.unpack(fields.esi), communities)


def sequences(advertised: Mapping[Route, AdvertisedRoute]) -> Iterator[tuple[Vni, Mac, int]]:
    """Yield the mobility sequence of each MAC that was advertised with one."""
    for route, entry in advertised.items():
        if isinstance(route, MacRoute) and isinstance(entry.announcement, MacAdvertisement):
            for community in entry.announcement.communities:
                if (seq := _sequence(community)) is not None:
                    yield entry.announcement.label, route.mac, seq


def _sequence(community: Community) -> Any:
    """Return the sequence number of a MAC Mobility community (type 6, subtype 0; RFC 7432 7.7); None if it is
    another one."""
    return int.from_bytes(community[4:]) if community[:2] == b"\x06\x00" else None
