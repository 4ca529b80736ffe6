"""The commands `announce evpn` and `withdraw evpn`, one a line: `spell` writes one, `parse` reads it. Pure.

Both sides share this module: the daemon spells what it wants to advertise, and ExaBGP's process reads it.
docs/exabgp-commands.md is the grammar for people.

    announce evpn mac-advertisement rd RD mac MAC label VNI next-hop IP [ethernet-tag N] [ip IP] [esi ESI] […]
    announce evpn multicast rd RD originator IP next-hop IP pmsi [ ingress-replication VNI IP ] [ethernet-tag N] […]
    announce evpn prefix rd RD prefix PREFIX label VNI next-hop IP [ethernet-tag N] […]                 (since version 3)
    announce evpn ethernet-ad rd RD esi ESI next-hop IP [ethernet-tag N] [label VNI] […]                 (since version 4)
    announce evpn ethernet-segment rd RD esi ESI originator IP next-hop IP […]                          (since version 4)
    withdraw evpn …                                               the words that identify the route, and no others

Since version 2, `macs [ MAC MAC@IP … ]` in place of `mac MAC ip IP` makes one command for many MACs that share everything else.

Examples, each one line:

    announce evpn mac-advertisement rd 10.0.0.1:100 mac 02:00:00:00:00:01 ip 10.1.0.1 label 100 next-hop 10.0.0.1
        extended-community [ target:65000:100 encap:vxlan mac-mobility:3 ]
    announce evpn mac-advertisement rd 10.0.0.1:100 macs [ 02:00:00:00:00:01 02:00:00:00:00:02@10.1.0.2 ] label 100
        next-hop 10.0.0.1 extended-community [ target:65000:100 encap:vxlan ]
    withdraw evpn mac-advertisement rd 10.0.0.1:100 mac 02:00:00:00:00:01 ip 10.1.0.1

The order of the words after the kind does not matter. A line with anything wrong in it is refused as a whole, and the
refusal names everything that is wrong.

This module knows words. What they mean as octets is in `evpn.advertise`. It does not know what carries a line or acts on it.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeVar, assert_never, cast

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Prefix, RouteDistinguisher, Vni
from vtep.errors import UsageError
from vtep.evpn.advertise import (
    Announcement,
    Command,
    Community,
    EadAdvertisement,
    EadRoute,
    Host,
    MacAdvertisement,
    MacGroup,
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

VERSION: Final = 1
"""Of the grammar, which every ExaBGP with these commands reads and names first."""
GROUPS: Final = 2
"""The version that has `macs` as well. A program that knows version 1 alone need not know that there is another."""
PREFIXES: Final = 3
"""The version that has `prefix` and `router-mac:` as well."""
SEGMENTS: Final = 4
"""The version that has `ethernet-ad` and `ethernet-segment` as well."""
VERSIONS: Final = (VERSION, GROUPS, PREFIXES, SEGMENTS)
ANNOUNCE: Final = "announce evpn"
WITHDRAW: Final = "withdraw evpn"
QUESTION: Final = "show evpn commands"
"""Plain ExaBGP answers `error`; an ExaBGP with these commands first answers with the VERSION that it reads, and VERSIONS beside it."""

OCTETS: Final = "receive evpn octets"
"""Asks for the UPDATEs of peers as octets (`tap`). One with these commands answers OCTETS_ANSWER, others `error`."""
OCTETS_ANSWER: Final = "evpn octets 1"

T = TypeVar("T")


def spell(command: Command) -> str:
    """Return the line without its end. ASCII, as ExaBGP 5.0 wants it."""
    match command:
        case Withdrawal(route):
            words = [WITHDRAW, *_spell_route(route)]
        case MacAdvertisement():
            words = [ANNOUNCE, *_spell_route(command.route), *_spell_mac(command)]
        case Multicast():
            words = [ANNOUNCE, *_spell_route(command.route), *_spell_multicast(command)]
        case SegmentAdvertisement() | EadAdvertisement(label=None):
            words = [ANNOUNCE, *_spell_route(command.route), *_spell_multicast(command)]
        case PrefixAdvertisement() | EadAdvertisement():
            label = f"label {command.label}"
            words = [ANNOUNCE, *_spell_route(command.route), label, *_spell_multicast(command)]
        case _:
            assert_never(command)
    return " ".join(words)


def spell_group(group: MacGroup) -> str:
    """Return the line for many MACs at once (version 2)."""
    like, route = group.like, group.like.route
    hosts = " ".join(f"{mac}" if ip is None else f"{mac}@{ip}" for mac, ip in group.hosts)
    tag = [f"ethernet-tag {route.tag}"] if route.tag else []
    words = ["mac-advertisement", f"rd {route.rd}", *tag, f"macs [ {hosts} ]"]
    if isinstance(like, Withdrawal):
        return " ".join([WITHDRAW, *words])
    return " ".join([ANNOUNCE, *words, *_spell_mac(like)])


def _spell_route(route: Route) -> Iterator[str]:
    yield _NAMES[type(route)]
    yield f"rd {route.rd}"
    if route.tag:
        yield f"ethernet-tag {route.tag}"
    if isinstance(route, EadRoute | SegmentRoute):
        yield f"esi {route.esi}"
    if isinstance(route, EadRoute):
        return
    if isinstance(route, MulticastRoute | SegmentRoute):
        yield f"originator {route.originator}"
        return
    if isinstance(route, PrefixRoute):
        yield f"prefix {route.prefix}"
        return
    yield f"mac {route.mac}"
    if route.ip is not None:
        yield f"ip {route.ip}"


def _spell_mac(command: MacAdvertisement) -> Iterator[str]:
    if command.esi != NO_SEGMENT:
        yield f"esi {command.esi}"
    yield f"label {command.label}" if command.label2 is None else f"label [ {command.label} {command.label2} ]"
    yield f"next-hop {command.next_hop}"
    yield from _spell_communities(command.communities)


def _spell_multicast(
    command: Multicast | PrefixAdvertisement | EadAdvertisement | SegmentAdvertisement,
) -> Iterator[str]:
    yield f"next-hop {command.next_hop}"
    yield from _spell_communities(command.communities)
    if isinstance(command, Multicast):
        yield f"pmsi [ ingress-replication {command.pmsi.label} {command.pmsi.endpoint} ]"


def _spell_communities(communities: tuple[Community, ...]) -> Iterator[str]:
    if communities:
        yield f"extended-community [ {' '.join(map(str, communities))} ]"


def parse(line: str) -> Command | MacGroup:
    """Read a line. A UsageError lists everything that is wrong with it."""
    words = line.split()
    verb, kind = " ".join(words[:2]), " ".join(words[2:3])
    if verb not in (ANNOUNCE, WITHDRAW) or kind not in _READERS:
        raise UsageError(f"expected {ANNOUNCE} or {WITHDRAW}, then {' or '.join(_READERS)}")
    fields = _Fields(words[3:])
    read_route, read_announcement = _READERS[kind]
    try:
        if "macs" in fields and kind == "mac-advertisement":
            return _mac_group(fields, verb)
        if verb == ANNOUNCE:
            return read_announcement(fields)
        route = read_route(fields)
        fields.finish()
        return Withdrawal(route())
    except ValueError as error:  # what is wrong is not in one word
        raise UsageError(str(error)) from None


class _Fields:
    """The words after the kind: each name once, with one value or several in brackets. It gathers what is wrong."""

    def __init__(self, words: list[str]) -> None:
        self._problems: list[str] = []
        self._values = self._pair(words)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def one(self, name: str, read: Callable[[str], T]) -> T:
        """Return a required value. It may be missing until `finish` has passed."""
        values = self._values.pop(name, None)
        if values is None:
            self._problems.append(f"{name} is missing")
        elif len(values) != 1:
            self._problems.append(f"{name} takes one value, not {len(values)}")
        else:
            return self._read(name, values[0], read)
        return cast("T", None)

    def one_or(self, default: T, name: str, read: Callable[[str], T]) -> T:
        return self.one(name, read) if name in self._values else default

    def some(self, name: str, read: Callable[[str], T]) -> tuple[T, ...]:
        """Return all values of a name, and none if it is not there."""
        return tuple(self._read(name, value, read) for value in self._values.pop(name, ()))

    def finish(self) -> None:
        """Refuse the line if anything is wrong with it, or a word is left over."""
        problems = [*self._problems, *(f"{name} is not known here" for name in self._values)]
        if problems:
            raise UsageError("; ".join(problems))

    def _pair(self, words: list[str]) -> dict[str, tuple[str, ...]]:
        """Pair each name with its value or list, and note what is there twice."""
        values: dict[str, tuple[str, ...]] = {}
        left = iter(words)
        for name in left:
            if name in values:
                self._problems.append(f"{name} is there twice")
            values[name] = self._value(name, left)
        return values

    def _value(self, name: str, left: Iterator[str]) -> tuple[str, ...]:
        first = next(left, "")
        if first != "[":
            if not first:
                self._problems.append(f"{name} has no value")
            return (first,)
        listed: list[str] = []
        for word in left:
            if word == "]":
                return tuple(listed)
            listed.append(word)
        self._problems.append(f"the list of {name} has no end")
        return tuple(listed)

    def _read(self, name: str, text: str, read: Callable[[str], T]) -> T:
        try:
            return read(text)
        except ValueError as error:
            self._problems.append(f"{name}: {error}")
            return cast("T", None)


def _mac_route(fields: _Fields, host: Host | None = None) -> Callable[[], MacRoute]:
    """Read the words, and return a function that makes the route once the whole line is known to be good."""
    rd, tag = fields.one("rd", RouteDistinguisher.parse), fields.one_or(0, "ethernet-tag", _number)
    mac, ip = host or (fields.one("mac", Mac.parse), fields.one_or(None, "ip", Ip.parse))
    return lambda: MacRoute(rd, mac, ip, tag)


def _mac_group(fields: _Fields, verb: str) -> MacGroup:
    """Read a command for many MACs as the one for the first of them, and the MACs."""
    hosts = fields.some("macs", _host)
    first = next(filter(None, hosts), None)
    if first is None:
        fields.finish()
        raise ValueError("macs takes one value or more")
    like = _mac_advertisement(fields, first) if verb == ANNOUNCE else _mac_withdrawal(fields, first)
    return MacGroup(like, hosts)


def _mac_withdrawal(fields: _Fields, host: Host) -> Withdrawal:
    route = _mac_route(fields, host)
    fields.finish()
    return Withdrawal(route())


def _host(text: str) -> Host:
    name, at, ip = text.partition("@")
    mac = Mac.parse(name)
    if not mac.is_usable:
        raise ValueError(f"{mac} is not a MAC that a station can have")
    return mac, Ip.parse(ip) if at else None


def _multicast_route(fields: _Fields) -> Callable[[], MulticastRoute]:
    rd, tag = fields.one("rd", RouteDistinguisher.parse), fields.one_or(0, "ethernet-tag", _number)
    originator = fields.one("originator", Ip.parse)
    return lambda: MulticastRoute(rd, originator, tag)


def _mac_advertisement(fields: _Fields, host: Host | None = None) -> MacAdvertisement:
    route = _mac_route(fields, host)
    next_hop, esi = fields.one("next-hop", Ip.parse), fields.one_or(NO_SEGMENT, "esi", Esi.parse)
    labels = fields.some("label", _label)
    communities = fields.some("extended-community", Community.parse)
    fields.finish()
    if len(labels) not in (1, 2):
        raise ValueError(f"label takes one value or two, not {len(labels)}")
    return MacAdvertisement(route(), next_hop, labels[0], labels[1] if labels[1:] else None, esi, communities)


def _multicast(fields: _Fields) -> Multicast:
    route = _multicast_route(fields)
    next_hop, pmsi = fields.one("next-hop", Ip.parse), fields.some("pmsi", str)
    communities = fields.some("extended-community", Community.parse)
    fields.finish()
    if len(pmsi) != 3 or pmsi[0] != "ingress-replication":
        raise ValueError("pmsi has to be [ ingress-replication LABEL ENDPOINT ]")
    return Multicast(route(), next_hop, Pmsi(_label(pmsi[1]), Ip.parse(pmsi[2])), communities)


def _prefix_route(fields: _Fields) -> Callable[[], PrefixRoute]:
    rd, tag = fields.one("rd", RouteDistinguisher.parse), fields.one_or(0, "ethernet-tag", _number)
    prefix = fields.one("prefix", Prefix.parse)
    return lambda: PrefixRoute(rd, prefix, tag)


def _prefix(fields: _Fields) -> PrefixAdvertisement:
    route = _prefix_route(fields)
    label, next_hop = fields.one("label", _label), fields.one("next-hop", Ip.parse)
    communities = fields.some("extended-community", Community.parse)
    fields.finish()
    return PrefixAdvertisement(route(), next_hop, label, communities)


def _ad_route(fields: _Fields) -> Callable[[], EadRoute]:
    rd, tag = fields.one("rd", RouteDistinguisher.parse), fields.one_or(0, "ethernet-tag", _number)
    esi = fields.one("esi", Esi.parse)
    return lambda: EadRoute(rd, esi, tag)


def _ethernet_ad(fields: _Fields) -> EadAdvertisement:
    route = _ad_route(fields)
    label, next_hop = fields.one_or(None, "label", _label), fields.one("next-hop", Ip.parse)
    communities = fields.some("extended-community", Community.parse)
    fields.finish()
    return EadAdvertisement(route(), next_hop, label, communities)


def _segment_route(fields: _Fields) -> Callable[[], SegmentRoute]:
    rd, esi = fields.one("rd", RouteDistinguisher.parse), fields.one("esi", Esi.parse)
    originator = fields.one("originator", Ip.parse)
    return lambda: SegmentRoute(rd, esi, originator)


def _ethernet_segment(fields: _Fields) -> SegmentAdvertisement:
    route, next_hop = _segment_route(fields), fields.one("next-hop", Ip.parse)
    communities = fields.some("extended-community", Community.parse)
    fields.finish()
    return SegmentAdvertisement(route(), next_hop, communities)


_READERS: Final[dict[str, tuple[Callable[[_Fields], Callable[[], Route]], Callable[[_Fields], Announcement]]]] = {
    "mac-advertisement": (_mac_route, _mac_advertisement),
    "multicast": (_multicast_route, _multicast),
    "prefix": (_prefix_route, _prefix),
    "ethernet-ad": (_ad_route, _ethernet_ad),
    "ethernet-segment": (_segment_route, _ethernet_segment),
}
_NAMES: Final = {
    MacRoute: "mac-advertisement",
    MulticastRoute: "multicast",
    PrefixRoute: "prefix",
    EadRoute: "ethernet-ad",
    SegmentRoute: "ethernet-segment",
}


def _label(text: str) -> Vni:
    return Vni(_number(text))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a number")
    return int(text)
