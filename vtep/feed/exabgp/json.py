"""One line of ExaBGP's API stream to events; the only module that knows ExaBGP's words.

Understands ExaBGP 4.2 and 5.0 alike. Every NLRI is read from its octets (`raw`), never from ExaBGP's reading of them;
where a line has no octets they are first made from its fields. Keeps nothing from line to line, so that a line means
the same whenever it comes. Does not know what a route is good for.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Struct, field

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher
from vtep.errors import RouteError, StreamError
from vtep.evpn import attributes, ead, imet, mac_ip, prefix, segment
from vtep.evpn.event import (
    Announced,
    Answered,
    EndOfRib,
    Event,
    PeerOpened,
    Received,
    RefreshBegan,
    RefreshEnded,
    RouteKey,
    SessionClosed,
    SessionOpened,
    SpeakerStopped,
    Withdrawn,
)
from vtep.evpn.nlri import Route, UnknownRouteType, nlri_key, unpack_nlri

# The shapes of the JSON, as far as we read it; msgspec passes over every other field. `N` is one NLRI.

N = TypeVar("N")


class _Nlri(Struct, gc=False):
    raw: str
    path_id: str | int | None = field(name="path-information", default=None)


class _Community(Struct, gc=False):
    value: int


class _Attribute(Struct, gc=False):
    extended: list[_Community] = field(name="extended-community", default_factory=list)
    community: list[Any] = field(default_factory=list)
    pmsi: str | None = None


class _AnnouncedFamilies(Struct, Generic[N], gc=False):
    evpn: dict[str, list[N]] = field(name="l2vpn evpn", default_factory=dict)
    """By next hop."""


class _WithdrawnFamilies(Struct, Generic[N], gc=False):
    evpn: list[N] = field(name="l2vpn evpn", default_factory=list)


class _Update(Struct, Generic[N], gc=False):
    attribute: _Attribute | None = None
    announce: _AnnouncedFamilies[N] | None = None
    withdraw: _WithdrawnFamilies[N] | None = None


class _Family(Struct, gc=False):
    afi: str
    safi: str
    subtype: str = ""


class _Message(Struct, Generic[N], gc=False):
    update: _Update[N] | None = None
    eor: _Family | None = None


class _Restart(Struct, gc=False):
    time: int = 0
    flags: dict[str, Any] = field(name="address-family-flags", default_factory=dict)


class _Capabilities(Struct, gc=False):
    restart: _Restart | None = field(name="64", default=None)
    refresh: Any = field(name="2", default=None)
    cisco_refresh: Any = field(name="128", default=None)
    enhanced_refresh: Any = field(name="70", default=None)


class _Open(Struct, gc=False):
    capabilities: _Capabilities


class _Address(Struct, gc=False):
    peer: str


class _Neighbor(Struct, Generic[N], gc=False):
    address: _Address
    direction: str = ""
    state: str = ""
    reason: str = ""
    message: _Message[N] | None = None
    open: _Open | None = None
    refresh: _Family | None = field(name="route-refresh", default=None)


class _Line(Struct, Generic[N], gc=False):
    type: str = ""
    exabgp: str = ""
    time: float | None = None
    pid: int | None = None
    counter: int | None = None
    neighbor: _Neighbor[N] | None = None
    notification: Any = None
    answer: str = ""
    message: Any = None
    route: Any = None


_STRICT: Final = msgspec.json.Decoder(_Line[_Nlri])
_LOOSE: Final = msgspec.json.Decoder(_Line[Any])
"""For what is rare: NLRIs without octets, and odd ones that must not cost the others of their line."""

_Lines: TypeAlias = _Line[_Nlri] | _Line[Any]
_Neighbors: TypeAlias = _Neighbor[_Nlri] | _Neighbor[Any]


def decode(line: bytes) -> Received:
    """Say what a line means. Raises StreamError for a line that ExaBGP cannot have meant so."""
    if line[:1] != b"{":
        return _receive_text(line)
    read = _read(line)
    if read.neighbor is None:
        return _receive_speaker(read, line)
    return _receive_peer(read, read.neighbor)


def _read(line: bytes) -> _Lines:
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

    The reason of a closed session is the peer's own text and ends the line; losing that event would leave its routes.
    """
    line = _DOUBLED_QUOTES.sub(rb'"\1"', line.translate(_NO_CONTROLS))
    before, down, rest = line.partition(b'"state": "down", "reason": "')
    reason, end, after = rest.rpartition(b'" } }')
    if not end or b'"type": "state"' not in before:
        return line
    return before + down + json.dumps(reason.decode())[1:].encode() + end[1:] + after


_NO_CONTROLS: Final = bytes(max(octet, 32) for octet in range(256))
_DOUBLED_QUOTES: Final = re.compile(rb'""([a-z0-9-]+)""')


def _receive_text(line: bytes) -> Received:
    """Understand an answer to a command, which comes as plain text between the events."""
    _refuse_other_than_utf8(line)
    text = line.decode().strip()
    if not text:  # parts the sections of `help`
        return Received(())
    if text in _FINAL_ANSWERS:
        return Received((Answered(text, ok=text != "error"),))
    if _TEXT_ANSWER.fullmatch(text):
        return Received((Answered(text, ok=True),))
    raise StreamError("neither a JSON object nor an answer that ExaBGP gives")


_FINAL_ANSWERS: Final = ("done", "error", "shutdown")

_TEXT_ANSWER: Final = re.compile(
    r"""
      exabgp\ \d\S*                                         # version
    | (shutdown|reload|restart)\ in\ progress
    | Peer\ +AS\ +up/down\ .*                               # show neighbor summary
    | (?=[0-9a-f]{0,4}[.:])[0-9a-f.:]{2,45}\ +\d+\ .*       # one of its peers
    | \[\{"state":\ "[^"]*",\ .*\}\]                        # show neighbor json
    | (neighbor\ )?[0-9a-f.:]{2,45}\ ([a-z]\S*\ .*)?l2vpn\ evpn\ evpn:.*  # show adj-rib
    | please\ specify\ summary,\ .* | you\ can\ filter\ by\ peer\ .*
    | available\ API\ commands\ .* | filter\ can\ be:\ .* | command\ are: | [=-]+ | \#     # help
    | \[neighbor\ <ip>\ \[filters\]\]\ .* | (help|reload|reset|restart|version)
    | (disable|enable|silence)-ack | show\ (adj-rib|neighbor)\ .*
    """,
    re.VERBOSE | re.ASCII,
)


def _receive_speaker(line: _Lines, octets: bytes) -> Received:
    """Understand what ExaBGP says of itself, not of a peer."""
    if line.type == "notification" and line.notification == "shutdown":
        return _heard(line, None, (SpeakerStopped(),))
    if line.answer:
        return Received((Answered(line.answer, line.answer != "error", _text(line.message)),))
    if not line.type and line.route is not None:
        # A row of `show adj-rib in json`. Never a route to us: ExaBGP 4.2 and 5.0 keep withdrawn EVPN routes in it.
        return Received((Answered(octets.decode().strip(), ok=True),))
    raise StreamError(f"a line of type {line.type[:40]!r} that names no neighbor")


def _text(message: Any) -> str:
    return message if isinstance(message, str) else ""


def _receive_peer(line: _Lines, neighbor: _Neighbors) -> Received:
    peer = _peer(neighbor)
    received = neighbor.direction == "receive"
    match line.type:
        case "update":
            return _receive_update(line, neighbor, peer) if received else _heard(line, peer)
        case "state":
            return _heard(line, peer, _state_events(neighbor, peer))
        case "open":
            return _heard(line, peer, _open_events(neighbor, peer) if received else ())
        case "refresh":
            return _heard(line, peer, _refresh_events(neighbor, peer) if received else ())
        case "keepalive" | "negotiated" | "notification" | "fsm" | "signal" | "operational":
            return _heard(line, peer)
    raise StreamError(f"a line of the unknown type {line.type[:40]!r}")


def _peer(neighbor: _Neighbors) -> Ip:
    try:
        return Ip.parse(neighbor.address.peer)
    except ValueError:
        raise StreamError(f"the peer's address {neighbor.address.peer[:40]!r} is none") from None


def _heard(line: _Lines, peer: Ip | None, events: tuple[Event, ...] = (), bad_nlris: tuple[str, ...] = ()) -> Received:
    return Received(events, line.time, line.pid, peer, line.counter, line.exabgp, bad_nlris)


_ONLY_PACKETS: Final = "ExaBGP shows its messages undecoded: set `parsed` in the `receive` block of its `api` section"


def _state_events(neighbor: _Neighbors, peer: Ip) -> tuple[Event, ...]:
    match neighbor.state:
        case "up":
            return (SessionOpened(peer),)
        case "connected":
            return ()
        case "down":
            lost = _LOST.match(neighbor.reason) is not None
            return (SessionClosed(peer, neighbor.reason, lost, _SPEAKER_STOPS.match(neighbor.reason) is not None),)
    raise StreamError(f"a session in the unknown state {neighbor.state[:40]!r}")


# 5.0 says `closing connection`, 4.2 `peer reset, message (closing connection) error(...)`. A `process problem` is ExaBGP's
# with its own helper: it drops TCP without a NOTIFICATION and does not come back before it is started anew. Only the
# beginning is looked at, for what is in `error(...)` may be the peer's own words.
_LOST: Final = re.compile(r"(peer reset, message \()?(closing connection|process problem)")
_SPEAKER_STOPS: Final = re.compile(r"stop, message [(\[]shutting down|(peer reset, message \()?process problem")


def _open_events(neighbor: _Neighbors, peer: Ip) -> tuple[Event, ...]:
    if neighbor.open is None:
        raise StreamError(_ONLY_PACKETS)
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
    )
    return (opened,)


_RESTART_S_MAX: Final = 0xFFF  # 12 bits (RFC 4724 3)


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


def _receive_update(line: _Lines, neighbor: _Neighbors, peer: Ip) -> Received:
    message = neighbor.message
    if message and message.eor:
        is_ours = (message.eor.afi, message.eor.safi) == ("l2vpn", "evpn")
        return _heard(line, peer, (EndOfRib(peer),) if is_ours else ())
    if message is None or message.update is None:
        raise StreamError(_ONLY_PACKETS)
    update = message.update
    events: tuple[Event, ...] = ()
    bad: list[str] = []
    # ExaBGP does not show the order inside a message. A route in both parts counts as announced (RFC 4271 4.3).
    if update.withdraw and (keys := _withdrawn(update.withdraw.evpn, bad)):
        events += (Withdrawn(peer, keys),)
    if update.announce and (routes := _announced(peer, update.announce.evpn, update.attribute or _Attribute(), bad)):
        events += (Announced(peer, routes),)
    return _heard(line, peer, events, tuple(bad))


def _withdrawn(nlris: Iterable[Any], bad: list[str]) -> tuple[RouteKey, ...]:
    keys = []
    for nlri in nlris:
        try:
            raw, path_id = _octets(nlri)
            keys.append(nlri_key(raw) + path_id)
        except UnknownRouteType:
            continue
        except RouteError as error:
            bad.append(_complaint(nlri, error))
    return tuple(keys)


def _announced(
    peer: Ip, by_next_hop: dict[str, list[Any]], attribute: _Attribute, bad: list[str]
) -> dict[RouteKey, Route]:
    """Decode the routes of all next hops; one that is listed under two keeps the better."""
    next_hops, unreadable = _next_hops(by_next_hop)
    bad += [_complaint(nlri, f"{text[:40]!r} is no next hop") for text in unreadable for nlri in by_next_hop[text]]
    routes: dict[RouteKey, Route] = {}
    for next_hop, text in next_hops:
        shared = _attributes(next_hop, attribute)
        for nlri in by_next_hop[text]:
            try:
                raw, path_id = _octets(nlri)
                key, route = unpack_nlri(raw, peer, shared)
                routes[key + path_id] = route
            except UnknownRouteType:
                continue
            except RouteError as error:
                bad.append(_complaint(nlri, error))
    return routes


def _next_hops(by_next_hop: dict[str, list[Any]]) -> tuple[list[tuple[Ip, str]], list[str]]:
    """Return the readable next hops, link-local ones first, and the unreadable ones.

    A 32-octet next hop (RFC 2545 3) is shown as every route twice, under the global and under the link-local address.
    Only the global one can be another machine's tunnel address, so it comes last and stays.
    """
    readable, unreadable = [], []
    for text in by_next_hop:
        try:
            readable.append((Ip.parse(text), text))
        except ValueError:
            unreadable.append(text)
    readable.sort(key=lambda entry: not _is_link_local(entry[0]))
    return readable, unreadable


def _is_link_local(address: Ip) -> bool:
    return address.is_v6 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def _attributes(next_hop: Ip, attribute: _Attribute) -> attributes.Attributes:
    communities = tuple([community.value for community in attribute.extended])
    try:
        return attributes.decode(next_hop, communities, attribute.pmsi, _is_llgr_stale(attribute.community))
    except OverflowError:
        raise StreamError("an extended community that is no 64-bit number") from None


def _is_llgr_stale(communities: list[Any]) -> bool:
    """Both versions print a community as two numbers, `[65535, 6]`; LLGR_STALE has no name in either."""
    return any(community in _LLGR_STALE for community in communities)


_LLGR_STALE: Final = ([0xFFFF, 6], "65535:6")


def _octets(nlri: Any) -> tuple[bytes, bytes]:
    """Return the NLRI's octets, and those that a path identifier adds to its key (RFC 7911 3)."""
    raw: Any
    path_id: Any
    if type(nlri) is _Nlri:
        raw, path_id = nlri.raw, nlri.path_id
    elif isinstance(nlri, dict):
        raw, path_id = nlri.get("raw"), nlri.get("path-information")
    else:
        raise RouteError("not an object")
    return (_pack(nlri) if raw is None else _unhex(raw)), (b"" if path_id is None else _pack_path_id(path_id))


def _unhex(text: Any) -> bytes:
    try:
        return bytes.fromhex(text)
    except (ValueError, TypeError):
        raise RouteError("its octets are not hexadecimal") from None


def _pack_path_id(path_id: Any) -> bytes:
    """ExaBGP prints a path identifier like an IPv4 address."""
    try:
        octets: bytes = path_id.to_bytes(4) if isinstance(path_id, int) else Ip.parse(path_id)
    except (ValueError, OverflowError, AttributeError, TypeError):
        octets = b""
    if len(octets) != 4:
        raise RouteError("its path identifier is no 32-bit number")
    return octets


def _pack(nlri: dict[str, Any]) -> bytes:
    """Make the octets from ExaBGP's fields. A second label is not among them, and RDs of types 0 and 2 print alike."""
    try:
        value = _pack_value(nlri)
        return bytes((nlri["code"], len(value))) + value
    except KeyError as error:
        raise RouteError(f"it has neither octets nor the field {error}") from None
    except (ValueError, TypeError, AttributeError, OverflowError, LookupError) as error:
        raise RouteError(f"its fields make no NLRI: {error}") from None


def _pack_value(nlri: dict[str, Any]) -> bytes:
    code = nlri["code"]
    if code not in (ead.CODE, mac_ip.CODE, imet.CODE, segment.CODE, prefix.CODE):
        return b""  # to be passed over
    rd = RouteDistinguisher.parse(nlri["rd"])
    if code == imet.CODE:
        return rd + _pack_tag(nlri) + _pack_ip(nlri["ip"])
    esi = NO_SEGMENT if nlri.get("esi", "-") == "-" else Esi.parse(nlri["esi"])
    if code == segment.CODE:
        return rd + esi + _pack_ip(nlri["ip"])
    if code == ead.CODE:
        return rd + esi + _pack_tag(nlri) + _pack_labels(nlri)
    if code == mac_ip.CODE:
        mac = b"\x30" + Mac.parse(nlri["mac"])
        return rd + esi + _pack_tag(nlri) + mac + _pack_ip(nlri.get("ip")) + _pack_labels(nlri)
    network = Ip.parse(nlri["ip"])
    gateway = Ip.parse(nlri["gateway"]) if nlri.get("gateway") else bytes(len(network))
    return rd + esi + _pack_tag(nlri) + bytes((nlri["iplen"],)) + network + gateway + _pack_labels(nlri)


def _pack_tag(nlri: dict[str, Any]) -> bytes:
    tag: int = nlri["ethernet-tag"]
    return tag.to_bytes(4)


def _pack_ip(text: Any) -> bytes:
    ip = Ip.parse(text) if text else b""
    return bytes((8 * len(ip),)) + ip


def _pack_labels(nlri: dict[str, Any]) -> bytes:
    """`[[label20, raw24]]`, where a label of zero is `[[0]]`; a withdraw may have none, which is zero as well."""
    labels = nlri.get("label") or [[0]]
    return b"".join((label[1] if len(label) > 1 else label[0] << 4).to_bytes(3) for label in labels)


def _complaint(nlri: Any, problem: object) -> str:
    raw = nlri.raw if type(nlri) is _Nlri else nlri.get("raw") if isinstance(nlri, dict) else None
    return f"{str(raw)[:80]}: {problem}" if raw else str(problem)
