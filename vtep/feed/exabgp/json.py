"""One line of ExaBGP's API stream, decoded: what it says, about which peer, and where it is in the stream.

ExaBGP prints one JSON object a line, and this is where its words get BGP's meaning. Lines of ExaBGP 4.2 and 5.0 are
understood alike, and what 4.2 prints as broken JSON is repaired first. Nothing is kept from line to line, so a line means
the same whenever it comes; `lines` adds what depends on the lines before.

    shapes    which fields there are           update    the routes of an UPDATE
    octets    the octets of one NLRI           answers   plain text between the events
"""

import json
import re
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from vtep.addr import Ip
from vtep.errors import StreamError
from vtep.evpn.event import (
    Event,
    Offer,
    PeerOpened,
    RefreshBegan,
    RefreshEnded,
    SessionClosed,
    SessionOpened,
    SpeakerStopped,
)
from vtep.evpn.update import read_updates
from vtep.feed.exabgp.answers import Answered, read_answer
from vtep.feed.exabgp.shapes import Line, Neighbor, Nlri, Open
from vtep.feed.exabgp.update import ONLY_PACKETS, read_update


class Decoded(Struct, frozen=True):
    """One line, understood on its own."""

    events: tuple[Event, ...]
    time: float | None = None
    """ExaBGP's clock when it wrote the line."""
    pid: int | None = None
    """ExaBGP's process."""
    peer: Ip | None = None
    counter: int | None = None
    """The number of this line among those of its peer; ExaBGP counts by one."""
    version: str = ""
    bad_nlris: tuple[str, ...] = ()
    """NLRIs of this line that no route of ours can represent, each with what is wrong."""
    malformed: str = ""
    """Why ExaBGP takes all routes of the UPDATE as withdrawn, if it does."""
    from_octets: bool = False
    """It has UPDATEs as the peer sent them."""
    answer: Answered | None = None
    """What the line is instead, if ExaBGP answers a command with it."""


_STRICT: Final = msgspec.json.Decoder(Line[Nlri])
_LOOSE: Final = msgspec.json.Decoder(Line[Any])
"""For what is rare: NLRIs without octets, and odd ones that must not cost the others of their line."""

_Lines: TypeAlias = Line[Nlri] | Line[Any]
_Neighbors: TypeAlias = Neighbor[Nlri] | Neighbor[Any]


def decode(line: bytes) -> Decoded:
    """Return what a line means. A StreamError says why no line of ExaBGP can look like this one."""
    if line[:1] != b"{":
        return _decode_text(line)
    read = _read(line)
    if read.neighbor is None:
        return _decode_speaker(read, line)
    return _decode_peer(read, read.neighbor)


def _read(line: bytes) -> _Lines:
    """Decode a line: strictly and fast, and if that fails with the repairs that some releases of ExaBGP need."""
    _refuse_other_than_utf8(line)
    try:
        return _STRICT.decode(line)
    except msgspec.ValidationError:
        pass
    except RecursionError:
        raise StreamError("the line is nested too deeply") from None
    except ValueError:
        line = _repaired(line)
    try:
        return _LOOSE.decode(line)
    except (ValueError, RecursionError) as error:
        raise StreamError(f"no line of ExaBGP: {error}") from None


def _refuse_other_than_utf8(line: bytes) -> None:
    """Look at all of it: msgspec looks only into the strings that it keeps."""
    if not line.isascii():
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise StreamError(f"the line is not UTF-8: {error}") from None


def _repaired(line: bytes) -> bytes:
    """Mend what ExaBGP 4.2 breaks (its response/json.py, 4.2.25): doubled quotes, bare control and escape characters.

    The reason of a closed session is the peer's own text and ends the line; losing that event would leave its routes. If the
    text has a newline, the line ends within the reason (`_is_cut`).
    """
    line = _DOUBLED_QUOTES.sub(rb'"\1"', line.translate(_NO_CONTROLS))
    before, down, rest = line.partition(b'"state": "down", "reason": "')
    if not down or b'"type": "state"' not in before:
        return line
    reason, end, after = (rest, _END, b"") if _is_cut(line) else rest.rpartition(_END)
    return before + down + json.dumps(reason.decode())[1:].encode() + end[1:] + after


def _is_cut(line: bytes) -> bool:
    """Tell whether a line of JSON ends early, because ExaBGP 4.2 printed a newline of a peer's."""
    return not line.rstrip().endswith(_END)


_END: Final = b'" } }'
"""The end of the line of a closed session: of its reason, of `neighbor`, and of the whole."""


_NO_CONTROLS: Final = bytes(max(octet, 32) for octet in range(256))
_DOUBLED_QUOTES: Final = re.compile(rb'""([a-z0-9-]+)""')


def _decode_text(line: bytes) -> Decoded:
    _refuse_other_than_utf8(line)
    return Decoded((), answer=read_answer(line.decode()))


def _decode_speaker(line: _Lines, octets: bytes) -> Decoded:
    """Understand what ExaBGP says of itself, not of a peer."""
    if line.type == "notification" and line.notification == "shutdown":
        return _decoded(line, None, (SpeakerStopped(),))
    if line.answer:
        answer = Answered(line.answer, line.answer != "error", _text(line.message), _numbers(line.versions))
        return Decoded((), answer=answer)
    if not line.type and line.route is not None:
        # A row of `show adj-rib in json`. Never a route to us: ExaBGP 4.2 and 5.0 keep withdrawn EVPN routes in it.
        return Decoded((), answer=Answered(octets.decode().strip(), ok=True))
    raise StreamError(f"a line of type {line.type[:40]!r} that names no neighbor")


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(number for number in value if isinstance(number, int)) if isinstance(value, list) else ()


def _text(message: Any) -> str:
    return message if isinstance(message, str) else ""


def _decode_peer(line: _Lines, neighbor: _Neighbors) -> Decoded:
    """Decode a line about a peer. What vtep sends is counted and has no events."""
    peer = _peer(neighbor)
    received = neighbor.direction == "receive"
    match line.type:
        case "update":
            return _decoded(line, peer, *read_update(neighbor, peer)) if received else _decoded(line, peer)
        case "updates":
            read = read_updates(neighbor.octets or b"", peer)
            return msgspec.structs.replace(_decoded(line, peer, *read), from_octets=True)
        case "state":
            return _decoded(line, peer, _state_events(neighbor, peer))
        case "open":
            return _decoded(line, peer, _open_events(neighbor, peer) if received else ())
        case "refresh":
            return _decoded(line, peer, _refresh_events(neighbor, peer) if received else ())
        case "keepalive" | "negotiated" | "notification" | "fsm" | "signal" | "operational":
            return _decoded(line, peer)
    raise StreamError(f"a line of the unknown type {line.type[:40]!r}")


def _peer(neighbor: _Neighbors) -> Ip:
    try:
        return Ip.parse(neighbor.address.peer)
    except ValueError:
        raise StreamError(f"the peer's address {neighbor.address.peer[:40]!r} is not an address") from None


def _decoded(
    line: _Lines,
    peer: Ip | None,
    events: tuple[Event, ...] = (),
    bad_nlris: tuple[str, ...] = (),
    malformed: str = "",
) -> Decoded:
    return Decoded(events, line.time, line.pid, peer, line.counter, line.exabgp, bad_nlris, malformed)


def _state_events(neighbor: _Neighbors, peer: Ip) -> tuple[Event, ...]:
    """Read how a session changed. ExaBGP tells why it ended in words alone, and patterns read them."""
    match neighbor.state:
        case "up":
            return (SessionOpened(peer),)
        case "connected":
            return ()
        case "down":
            reason = neighbor.reason
            sent = None if _PEER_LEFT.search(reason) else _SENT.match(reason)
            received = _RECEIVED.match(reason)
            closed = SessionClosed(
                peer,
                reason,
                lost=_LOST.match(reason) is not None,
                speaker_stops=_SPEAKER_STOPS.match(reason) is not None,
                notification_sent=None if sent is None else (int(sent[1]), int(sent[2])),
                notification_received=None if received is None else (int(received[1]), int(received[2])),
                speaker_failed=_FAILED.fullmatch(reason) is not None,
            )
            return (closed,)
    raise StreamError(f"a session in the unknown state {neighbor.state[:40]!r}")


# 5.0 says `closing connection`, 4.2 `peer reset, message (closing connection) error(...)`. A `process problem` is ExaBGP's
# with its own helper: it drops TCP without a NOTIFICATION and does not come back before it is started again. Only the
# beginning is looked at, for what is in `error(...)` may be the peer's own words.
_LOST: Final = re.compile(r"(peer reset, message \()?(closing connection|process problem)")
_SPEAKER_STOPS: Final = re.compile(r"stop, message [(\[]shutting down|(peer reset, message \()?process problem")
_SENT: Final = re.compile(r"(?:peer reset, message \()?notification sent \(([0-9]{1,3}),([0-9]{1,3})\)", re.ASCII)
_RECEIVED: Final = re.compile(_SENT.pattern.replace("sent", "received"), re.ASCII)
# 4.2 answers so to a NOTIFICATION of the peer (type 3) whose text it cannot decode: it is the peer that ended the session.
_PEER_LEFT: Final = re.compile(r'notification sent \(1,0\).* can not decode update message of type "3"')
# An exception that ExaBGP does not expect, as in decoding a message, ends the session without a NOTIFICATION or a reason.
_FAILED: Final = re.compile(r"|peer reset, message \(\) error\(\)")


def _open_events(neighbor: _Neighbors, peer: Ip) -> tuple[Event, ...]:
    """Read what the peer can do: graceful restart, route refresh, and what it offers in its OPEN."""
    if neighbor.open is None:
        raise StreamError(ONLY_PACKETS)
    can = neighbor.open.capabilities
    restart = can.restart
    if restart and not 0 <= restart.time <= _RESTART_S_MAX:
        raise StreamError(f"a restart time of {restart.time} s")
    opened = PeerOpened(
        peer,
        restart_s=restart.time if restart else None,
        keeps_forwarding=restart is not None and "l2vpn/evpn" in restart.flags,
        refresh=can.refresh is not None or can.cisco_refresh is not None,
        enhanced_refresh=can.enhanced_refresh is not None,
        # ExaBGP shows the Forwarding State bit of a family as "restart" (its capability/graceful.py, 4.2 and 5.0).
        preserved_forwarding=restart is not None and "restart" in _words(restart.flags.get("l2vpn/evpn")),
        offer=_offer(neighbor, neighbor.open),
    )
    return (opened,)


def _offer(neighbor: _Neighbors, said: Open) -> Offer:
    """Read what people want to know of an OPEN; whatever is odd there is left out, because nothing depends on it."""
    can = said.capabilities
    asn4 = can.asn4.get("asn4") if isinstance(can.asn4, dict) else None
    families = can.families.get("families") if isinstance(can.families, dict) else None
    return Offer(
        asn=_number(asn4) or _number(said.asn),
        expected_asn=0 if neighbor.asn is None else _number(neighbor.asn.peer),
        router_id=said.router_id[:_ROUTER_ID_MAX] if isinstance(said.router_id, str) else "",
        hold_time_s=_number(said.hold_time),
        families=tuple(str(family)[:_FAMILY_MAX] for family in _words(families)[:_FAMILIES_MAX]),
    )


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= 0xFFFFFFFF else 0


_ROUTER_ID_MAX: Final = 15
_FAMILY_MAX: Final = 32
_FAMILIES_MAX: Final = 32


_RESTART_S_MAX: Final = 0xFFF  # 12 bits (RFC 4724 3)


def _words(flags: Any) -> list[Any]:
    return flags if isinstance(flags, list) else []


def _refresh_events(neighbor: _Neighbors, peer: Ip) -> tuple[Event, ...]:
    refresh = neighbor.refresh
    if refresh is None:
        raise StreamError("a route refresh that names no family")
    match (refresh.afi, refresh.safi, refresh.subtype):
        case ("l2vpn", "evpn", "begin"):
            return (RefreshBegan(peer),)
        case ("l2vpn", "evpn", "end"):
            return (RefreshEnded(peer),)
    return ()
