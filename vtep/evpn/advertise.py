"""The routes that this leaf can advertise, as plain values and as octets. Pure.

    MacGroup(MacAdvertisement or Withdrawal, …)     many MACs that share everything else
    MacAdvertisement(MacRoute, next hop, label, …)  ┐             ┌ nlri          what goes on the wire (RFC 7432 7.2, 7.3)
    Multicast(MulticastRoute, next hop, Pmsi, …)    ├── each has ─┤
    PrefixAdvertisement(PrefixRoute, next hop, …)   ├── (RFC 9136 3.1)
    EadAdvertisement(EadRoute, next hop, …)        ├── (RFC 7432 7.1)
    SegmentAdvertisement(SegmentRoute, next hop, …)      ├── (RFC 7432 7.4)
    Withdrawal(one of the routes)                   ┘             └ route.key     which route it is about

They are the same for every feed: what a feed makes of them is its own business (`feed.exabgp.grammar` makes a line of text).
This module knows the layout of the five route types and of the attributes that they need. It imports what needs the standard
library alone, because it runs inside ExaBGP's process as well.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, TypeAlias

from vtep.addr import MAX_ESI, NO_SEGMENT, Esi, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget, Vni
from vtep.evpn.keys import ead_key, imet_key, mac_and_ip, mac_ip_key, prefix_key, segment_key

TAG_MAX: Final = 0xFFFFFFFF
SEQ_MAX: Final = 0xFFFFFFFF
INGRESS_REPLICATION: Final = 6  # RFC 6514 5

_MAC_MOBILITY: Final = b"\x06\x00"  # RFC 7432 7.7
_ENCAPSULATION: Final = b"\x03\x0c"  # RFC 9012 4.1
_VXLAN: Final = _ENCAPSULATION + bytes(5) + b"\x08"
_ROUTER_MAC: Final = b"\x06\x03"  # RFC 9135 8.1
_ARP_ND: Final = b"\x06\x08"  # RFC 9047 2
HOST_PROXY: Final = 0x04
"""A bit of `Attributes.host_flags` (RFC 9721 4.1)."""
_ESI_LABEL: Final = b"\x06\x01"  # RFC 7432 7.5
_ES_IMPORT: Final = b"\x06\x02"  # RFC 7432 7.6
_ELECTION: Final = b"\x06\x06"  # RFC 8584 2.2
_GATEWAY: Final = b"\x03\x0d" + bytes(6)  # RFC 7432 7.8
_TARGETS: Final = (b"\x00\x02", b"\x01\x02", b"\x02\x02")  # RFC 4360 4, RFC 5668


class Community(bytes):
    """The eight octets of an extended community. Those of EVPN have names; any other is hexadecimal."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Community":
        """Read `target:65000:100`, `encap:vxlan`, `mac-mobility:7`, `mac-mobility:7:sticky`, `default-gateway`, `router-mac:…`,
        `0x…`."""
        name, _, rest = text.partition(":")
        read = _NAMED.get(name)
        if read is not None:
            return read(rest)
        if re.fullmatch(r"0x[0-9a-fA-F]{16}", text):
            return cls(bytes.fromhex(text[2:]))
        raise ValueError(f"{text!r} is not a valid extended community ({', '.join(_NAMED)} or 0x and 16 digits)")

    def __str__(self) -> str:
        if self[:2] in _TARGETS:
            return f"target:{RouteTarget(self)}"
        if self == _VXLAN:
            return "encap:vxlan"
        if self == _GATEWAY:
            return "default-gateway"
        if self[:2] == _MAC_MOBILITY and self[2] in (0, 1) and not self[3]:
            return f"mac-mobility:{int.from_bytes(self[4:])}" + (":sticky" if self[2] else "")
        return f"0x{self.hex()}"

    def __repr__(self) -> str:
        return f"Community({str(self)!r})"


def target(text: str) -> Community:
    """Return a Route Target, in the notation of the configuration."""
    return Community(RouteTarget.parse(text))


def mobility(seq: int, *, sticky: bool = False) -> Community:
    if not 0 <= seq <= SEQ_MAX:
        raise ValueError(f"{seq} is not a valid sequence number (0 to {SEQ_MAX})")
    return Community(_MAC_MOBILITY + bytes((sticky, 0)) + seq.to_bytes(4))


VXLAN: Final = Community(_VXLAN)
PROXY: Final = Community(_ARP_ND + bytes((HOST_PROXY,)) + bytes(5))
"""Another VTEP of the segment has seen the MAC, and this leaf has not (RFC 9721 4.1)."""
DEFAULT_GATEWAY: Final = Community(_GATEWAY)


def router_mac(mac: Mac) -> Community:
    """Return the Router's MAC of this leaf in a VRF (RFC 9135 8.1). It is spelled in hexadecimal, which version 1 reads as well."""
    return Community(_ROUTER_MAC + mac)


def esi_label(*, single_active: bool = False) -> Community:
    """Return the community of a Type-1 route per segment. With VXLAN the label is unused (RFC 8365 8.3.1)."""
    return Community(_ESI_LABEL + bytes((single_active,)) + bytes(5))


def es_import(esi: Esi) -> Community:
    """Return the Route Target of a segment: the first six octets of the value of its identifier (RFC 7432 7.6)."""
    return Community(_ES_IMPORT + esi[1:7])


def election(algorithm: int, capabilities: int, preference: int) -> Community:
    """Return how this leaf elects the designated forwarder (RFC 8584 2.2, RFC 9785 3)."""
    octets = bytes((algorithm,)) + capabilities.to_bytes(2) + b"\0" + preference.to_bytes(2)
    return Community(_ELECTION + octets)


def _read_encapsulation(text: str) -> Community:
    if text != "vxlan":
        raise ValueError(f"{text!r} is not a supported encapsulation (vxlan; any other as 0x and 16 digits)")
    return VXLAN


def _read_mobility(text: str) -> Community:
    seq, colon, flag = text.partition(":")
    if not (seq.isascii() and seq.isdigit()) or (colon and flag != "sticky"):
        raise ValueError(f"'mac-mobility:{text}' is not mac-mobility:SEQUENCE or mac-mobility:SEQUENCE:sticky")
    return mobility(int(seq), sticky=flag == "sticky")


def _read_gateway(text: str) -> Community:
    if text:
        raise ValueError("default-gateway takes no value")
    return DEFAULT_GATEWAY


_NAMED: Final[dict[str, Callable[[str], Community]]] = {
    "target": target,
    "encap": _read_encapsulation,
    "mac-mobility": _read_mobility,
    "default-gateway": _read_gateway,
    "router-mac": lambda text: router_mac(Mac.parse(text)),
}


@dataclass(frozen=True, slots=True)
class MacRoute:
    """The key of a Type-2 route (RFC 7432 7.2)."""

    rd: RouteDistinguisher
    mac: Mac
    ip: Ip | None = None
    tag: int = 0

    def __post_init__(self) -> None:
        _refuse_tag(self.tag)
        if not self.mac.is_usable:
            raise ValueError(f"{self.mac} is not a MAC that a station can have")

    @property
    def key(self) -> bytes:
        return mac_ip_key(self.rd, self.tag, self.mac, self.ip or b"")


@dataclass(frozen=True, slots=True)
class MulticastRoute:
    """The key of a Type-3 route, which is all of it (RFC 7432 7.3)."""

    rd: RouteDistinguisher
    originator: Ip
    tag: int = 0

    def __post_init__(self) -> None:
        _refuse_tag(self.tag)

    @property
    def key(self) -> bytes:
        return imet_key(self.rd, self.tag, self.originator)


@dataclass(frozen=True, slots=True)
class PrefixRoute:
    """The key of a Type-5 route (RFC 9136 3.1)."""

    rd: RouteDistinguisher
    prefix: Prefix
    tag: int = 0

    def __post_init__(self) -> None:
        _refuse_tag(self.tag)

    @property
    def key(self) -> bytes:
        return prefix_key(self.rd, self.tag, self.prefix)


@dataclass(frozen=True, slots=True)
class EadRoute:
    """The key of a Type-1 route (RFC 7432 7.1). The highest tag stands for the segment as a whole."""

    rd: RouteDistinguisher
    esi: Esi
    tag: int = 0

    def __post_init__(self) -> None:
        _refuse_tag(self.tag)
        _refuse_esi(self.esi)

    @property
    def key(self) -> bytes:
        return ead_key(self.rd, self.esi, self.tag)


@dataclass(frozen=True, slots=True)
class SegmentRoute:
    """The key of a Type-4 route, which is all of it (RFC 7432 7.4)."""

    rd: RouteDistinguisher
    esi: Esi
    originator: Ip
    tag: ClassVar[int] = 0
    """It has none."""

    def __post_init__(self) -> None:
        _refuse_esi(self.esi)

    @property
    def key(self) -> bytes:
        return segment_key(self.rd, self.esi, self.originator)


Route: TypeAlias = MacRoute | MulticastRoute | PrefixRoute | EadRoute | SegmentRoute


@dataclass(frozen=True, slots=True)
class Pmsi:
    """Ingress replication (RFC 6514 5): the VTEP wants floods at an endpoint, with a VNI as the label (RFC 8365 5.1.3)."""

    label: Vni
    endpoint: Ip

    @property
    def octets(self) -> bytes:
        """The value of the attribute: flags (0), tunnel type, the VNI in three octets, the endpoint."""
        return bytes((0, INGRESS_REPLICATION)) + self.label.to_bytes(3) + self.endpoint


@dataclass(frozen=True, slots=True)
class MacAdvertisement:
    """Advertise a MAC, with or without a host address, behind a next hop."""

    route: MacRoute
    next_hop: Ip
    label: Vni
    label2: Vni | None = None
    """The L3VNI of symmetric IRB (RFC 9135 4.1)."""
    esi: Esi = NO_SEGMENT
    """The segment on whose port of ours the station is; `NO_SEGMENT` behind any other port."""
    communities: tuple[Community, ...] = ()

    def __post_init__(self) -> None:
        _refuse_next_hop(self.next_hop)

    @property
    def nlri(self) -> bytes:
        labels = self.label.to_bytes(3) + (b"" if self.label2 is None else self.label2.to_bytes(3))
        return _mac_nlri(self.route, self.esi, labels)


@dataclass(frozen=True, slots=True)
class Multicast:
    """Advertise that this leaf wants floods."""

    route: MulticastRoute
    next_hop: Ip
    pmsi: Pmsi
    communities: tuple[Community, ...] = ()

    def __post_init__(self) -> None:
        _refuse_next_hop(self.next_hop)

    @property
    def nlri(self) -> bytes:
        return _nlri(self.route.key)


@dataclass(frozen=True, slots=True)
class PrefixAdvertisement:
    """Advertise that this leaf reaches a prefix, by its Router's MAC and without an overlay index (RFC 9136 4.4.1)."""

    route: PrefixRoute
    next_hop: Ip
    label: Vni
    """The L3VNI."""
    communities: tuple[Community, ...] = ()

    def __post_init__(self) -> None:
        _refuse_next_hop(self.next_hop)

    @property
    def nlri(self) -> bytes:
        return _prefix_nlri(self.route, self.label)


@dataclass(frozen=True, slots=True)
class EadAdvertisement:
    """Advertise that this leaf is on a segment, in all its VNIs or in one of them."""

    route: EadRoute
    next_hop: Ip
    label: Vni | None = None
    """The VNI; none in the route for the segment as a whole."""
    communities: tuple[Community, ...] = ()

    def __post_init__(self) -> None:
        _refuse_next_hop(self.next_hop)

    @property
    def nlri(self) -> bytes:
        return _nlri(self.route.key + (self.label or 0).to_bytes(3))


@dataclass(frozen=True, slots=True)
class SegmentAdvertisement:
    """Advertise that this leaf takes part in electing the designated forwarder of a segment."""

    route: SegmentRoute
    next_hop: Ip
    communities: tuple[Community, ...] = ()

    def __post_init__(self) -> None:
        _refuse_next_hop(self.next_hop)

    @property
    def nlri(self) -> bytes:
        return _nlri(self.route.key)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Withdraw a route, whatever its labels and attributes were."""

    route: Route

    @property
    def nlri(self) -> bytes:
        """The label is not part of the key. It is zero, as FRR withdraws."""
        if isinstance(self.route, MacRoute):
            return _mac_nlri(self.route, NO_SEGMENT, bytes(3))
        if isinstance(self.route, PrefixRoute):
            return _prefix_nlri(self.route, 0)
        if isinstance(self.route, EadRoute):
            return _nlri(self.route.key + bytes(3))
        return _nlri(self.route.key)


Announcement: TypeAlias = MacAdvertisement | Multicast | PrefixAdvertisement | EadAdvertisement | SegmentAdvertisement
Command: TypeAlias = Announcement | Withdrawal


Host: TypeAlias = tuple[Mac, Ip | None]
"""A MAC, with or without one of its addresses."""


@dataclass(frozen=True, slots=True)
class MacGroup:
    """Advertise or withdraw many MACs of a VNI that share everything else, as the commands for each of them would."""

    like: MacAdvertisement | Withdrawal
    """The command for the first of them, which stands for what they share."""
    hosts: tuple[Host, ...]
    """Each pair once. One twice raises ValueError, because two commands for one route would depend on their order."""

    def __post_init__(self) -> None:
        twice = [str(mac) for (mac, _), times in Counter(self.hosts).items() if times > 1]
        if twice:
            raise ValueError(f"there twice: {', '.join(twice)}")

    @property
    def nlris(self) -> Iterator[bytes]:
        """Yield the NLRI of each route.

        The octets before the MAC and behind the IP are those of the first NLRI. The length differs with the address:

            type | length | RD ESI tag | 48 MAC bits IP | labels
                            └─ head ─┘   └ each own ─┘
        """
        nlri, route = self.like.nlri, self.like.route
        assert isinstance(route, MacRoute)
        size = len(mac_and_ip(route.mac, route.ip or b""))
        head, labels = nlri[2:_MAC_AT], nlri[_MAC_AT + size :]
        for mac, ip in self.hosts:
            value = head + mac_and_ip(mac, ip or b"") + labels
            yield bytes((nlri[0], len(value))) + value

    @property
    def commands(self) -> Iterator[MacAdvertisement | Withdrawal]:
        """Yield the commands one by one."""
        like = self.like
        for mac, ip in self.hosts:
            route = MacRoute(like.route.rd, mac, ip, like.route.tag)
            yield Withdrawal(route) if isinstance(like, Withdrawal) else replace(like, route=route)


def grouped(commands: Iterable[Command], most: int) -> Iterator[tuple[Command, ...]]:
    """Put commands for MACs that share everything else together, at most so many. They keep the place of the first.

    So the stations of a VNI go to the BGP speaker in a few long commands. Any other command is alone in its tuple.
    """
    groups: dict[object, list[Command]] = {}
    for number, command in enumerate(commands):
        groups.setdefault(_shared(command) or number, []).append(command)
    for group in groups.values():
        for start in range(0, len(group), most):
            yield tuple(group[start : start + most])


def group_of(commands: Sequence[Command]) -> MacGroup:
    """Return the group of commands that `grouped` put together."""
    like = commands[0]
    assert isinstance(like, MacAdvertisement | Withdrawal)
    return MacGroup(like, tuple((one.route.mac, one.route.ip) for one in commands if isinstance(one.route, MacRoute)))


def _shared(command: Command) -> object:
    """Return everything in which two MACs of a group are alike; None of a route that is in none."""
    route = command.route
    if not isinstance(route, MacRoute):
        return None
    if isinstance(command, MacAdvertisement):
        return route.rd, route.tag, command.next_hop, command.label, command.label2, command.esi, command.communities
    return route.rd, route.tag


_MAC_AT: Final = 24
"""Where the length of the MAC is in an NLRI of type 2: after its type, its length, the RD, the ESI and the tag."""


def _mac_nlri(route: MacRoute, esi: Esi, labels: bytes) -> bytes:
    head, rest = b"\x02" + route.rd, route.tag.to_bytes(4) + mac_and_ip(route.mac, route.ip or b"")
    return _nlri(head + esi + rest + labels)


def _prefix_nlri(route: PrefixRoute, label: int) -> bytes:
    network = route.prefix.network
    head = b"\x05" + route.rd + NO_SEGMENT + route.tag.to_bytes(4) + bytes((route.prefix.length,))
    return _nlri(head + network + bytes(len(network)) + label.to_bytes(3))


def _nlri(kind_and_value: bytes) -> bytes:
    """Put the length between a route's type and its value."""
    return kind_and_value[:1] + bytes((len(kind_and_value) - 1,)) + kind_and_value[1:]


def _refuse_tag(tag: int) -> None:
    if not 0 <= tag <= TAG_MAX:
        raise ValueError(f"{tag} is not a valid Ethernet tag (0 to {TAG_MAX})")


def _refuse_esi(esi: Esi) -> None:
    if esi in (NO_SEGMENT, MAX_ESI):
        raise ValueError(f"{esi} does not name an Ethernet segment")


def _refuse_next_hop(next_hop: Ip) -> None:
    if not next_hop.is_unicast:
        raise ValueError(f"{next_hop} is not a next hop that another machine can reach")
