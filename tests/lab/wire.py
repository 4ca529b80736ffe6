"""BGP messages for EVPN as octets, both ways: what a speaker says, and what it hears. Routes of types 1 to 5.

    Instance ──mac(), flood(), …──▶ Route(nlri, next hop, attributes) ──updates()──▶ UPDATE messages
                                                                      ──withdrawals()──▶
    UPDATE ──read_update()──▶ Update(announced, withdrawn, …)         OPEN ──read_open()──▶ Open

Whatever these builders do not think of can be made from `message` and `attribute` by hand, malformed things included.
Knows no socket, no session and no table.
"""

import ipaddress
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Final

from msgspec import Struct

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, RouteTarget

OPEN: Final = 1
UPDATE: Final = 2
NOTIFICATION: Final = 3
KEEPALIVE: Final = 4
ROUTE_REFRESH: Final = 5

REFRESH_ASKED: Final = 0
REFRESH_BEGINS: Final = 1  # RFC 7313 3.2
REFRESH_ENDS: Final = 2

EVPN: Final = (25, 70)
IPV4_UNICAST: Final = (1, 1)

CAP_REFRESH: Final = 2
CAP_EXTENDED_MESSAGE: Final = 6
CAP_GRACEFUL_RESTART: Final = 64
CAP_AS4: Final = 65
CAP_ENHANCED_REFRESH: Final = 70

SIZE_MAX: Final = 4096
SIZE_MAX_EXTENDED: Final = 65535  # RFC 8654

AS_TRANS: Final = 23456


class Route(Struct, frozen=True, gc=False):
    """One EVPN route as it goes on the wire; the attributes are packed and lack only the next hop."""

    nlri: bytes
    next_hop: bytes
    attributes: bytes

    @property
    def key(self) -> bytes:
        return key_of(self.nlri)


@dataclass(frozen=True, slots=True)
class Instance:
    """One VNI of one VTEP, and how its routes look.

    What every route shares is said here once; what one route adds (`extended`) comes behind that.
    """

    vtep: str
    vni: int = 100
    rd: str = ""
    """Default: the VTEP's address and the VNI, so an IPv6 VTEP has to say it."""
    targets: tuple[str, ...] = ("65000:100",)
    tag: int = 0
    as_path: tuple[int, ...] = ()
    local_pref: int | None = 100
    encapsulation: int | None = 8
    router_mac: str = "02:00:00:00:ff:01"
    """For Type-5 only."""

    def mac(
        self,
        mac: str,
        ip: str = "",
        *,
        seq: int | None = None,
        sticky: bool = False,
        esi: Esi = NO_SEGMENT,
        l3vni: int | None = None,
        extended: tuple[bytes, ...] = (),
    ) -> Route:
        """Type 2. Without a sequence there is no mobility community, unless the MAC is sticky."""
        moved = (mobility(seq or 0, sticky=sticky),) if seq is not None or sticky else ()
        nlri = mac_ip_nlri(self._rd, Mac.parse(mac), self.vni, Ip.parse(ip) if ip else b"", esi, self.tag, l3vni)
        return self._route(nlri, (*moved, *extended))

    def flood(self, *, tunnel: int = 6, extended: tuple[bytes, ...] = ()) -> Route:
        """Type 3, by default with ingress replication (RFC 6514 5: 6)."""
        pmsi = pmsi_tunnel(self.vni, Ip.parse(self.vtep), tunnel)
        return self._route(imet_nlri(self._rd, Ip.parse(self.vtep), self.tag), extended, pmsi)

    def ethernet_ad(self, esi: Esi, *, tag: int, label: int = 0, extended: tuple[bytes, ...] = ()) -> Route:
        """Type 1; with tag 0xFFFFFFFF the one of the whole Ethernet segment."""
        return self._route(ethernet_ad_nlri(self._rd, esi, tag, label), extended)

    def segment(self, esi: Esi, *, extended: tuple[bytes, ...] = ()) -> Route:
        """Type 4, which carries the segment's import target instead of the instance's."""
        nlri = segment_nlri(self._rd, esi, Ip.parse(self.vtep))
        own = replace(self, targets=())
        return Route(nlri, self._next_hop, _attributes_of(own, (es_import(Mac(esi[1:7])), *extended), b""))

    def prefix(self, prefix: str, *, gateway: str = "", extended: tuple[bytes, ...] = ()) -> Route:
        """Type 5."""
        nlri = prefix_nlri(self._rd, prefix, self.vni, gateway, NO_SEGMENT, self.tag)
        return self._route(nlri, (router_mac(Mac.parse(self.router_mac)), *extended))

    @property
    def _rd(self) -> bytes:
        return _rd_octets(self.rd or f"{self.vtep}:{self.vni}")

    @property
    def _next_hop(self) -> bytes:
        return Ip.parse(self.vtep)

    def _route(self, nlri: bytes, extended: tuple[bytes, ...], pmsi: bytes = b"") -> Route:
        return Route(nlri, self._next_hop, _attributes_of(self, extended, pmsi))


# NLRIs: type, length, value (RFC 7432 7.1 to 7.4, RFC 9136 3.1)


def ethernet_ad_nlri(rd: bytes, esi: bytes, tag: int, label: int) -> bytes:
    return pack_nlri(1, rd + esi + struct.pack("!I", tag) + _label(label))


def mac_ip_nlri(
    rd: bytes, mac: bytes, label: int, ip: bytes = b"", esi: bytes = NO_SEGMENT, tag: int = 0, label2: int | None = None
) -> bytes:
    head = rd + esi + struct.pack("!IB", tag, 48) + mac + bytes((8 * len(ip),)) + ip
    return pack_nlri(2, head + _label(label) + (b"" if label2 is None else _label(label2)))


def imet_nlri(rd: bytes, originator: bytes, tag: int = 0) -> bytes:
    return pack_nlri(3, rd + struct.pack("!IB", tag, 8 * len(originator)) + originator)


def segment_nlri(rd: bytes, esi: bytes, originator: bytes) -> bytes:
    return pack_nlri(4, rd + esi + bytes((8 * len(originator),)) + originator)


def prefix_nlri(rd: bytes, prefix: str, label: int, gateway: str = "", esi: bytes = NO_SEGMENT, tag: int = 0) -> bytes:
    network = ipaddress.ip_network(prefix)
    address = network.network_address.packed
    via = bytes(Ip.parse(gateway)) if gateway else bytes(len(address))
    return pack_nlri(5, rd + esi + struct.pack("!IB", tag, network.prefixlen) + address + via + _label(label))


def key_of(nlri: bytes) -> bytes:
    """Return what makes two NLRIs the same route: no label, and for types 2 and 5 no ESI (RFC 7432 7, RFC 9136 3.1)."""
    kind, value = nlri[0], nlri[2:]
    if kind == 1:
        return bytes((kind,)) + value[:22]
    if kind == 2:
        return bytes((kind,)) + value[:8] + value[18 : 30 + value[29] // 8]
    if kind == 5:
        return bytes((kind,)) + value[:8] + value[18 : 23 + (len(value) - 26) // 2]
    return bytes((kind,)) + value


def unlabelled(nlri: bytes) -> bytes:
    """Return a Type-2 NLRI with label 0, as FRR and others withdraw it; any other type as it is."""
    if nlri[0] != 2:
        return nlri
    end = 2 + 30 + nlri[2 + 29] // 8
    return nlri[:end] + bytes(len(nlri) - end)


# Extended communities, eight octets each


def encapsulation(tunnel: int) -> bytes:
    return struct.pack("!BBIH", 0x03, 0x0C, 0, tunnel)


def default_gateway() -> bytes:
    return b"\x03\x0d" + bytes(6)


def mobility(seq: int, *, sticky: bool = False) -> bytes:
    return struct.pack("!BBBBI", 0x06, 0x00, sticky, 0, seq)


def esi_label(label: int, *, single_active: bool = False) -> bytes:
    return struct.pack("!BBBH", 0x06, 0x01, single_active, 0) + _label(label)


def es_import(mac: bytes) -> bytes:
    return b"\x06\x02" + mac


def router_mac(mac: bytes) -> bytes:
    return b"\x06\x03" + mac


def layer2_attributes(flags: int, mtu: int = 0) -> bytes:
    return struct.pack("!BBHHH", 0x06, 0x04, flags, mtu, 0)  # RFC 8214 3.1


def df_election(algorithm: int, preference: int = 0, capabilities: int = 0) -> bytes:
    return struct.pack("!BBBHBH", 0x06, 0x06, algorithm, capabilities, 0, preference)  # RFC 8584 2.2, RFC 9785 3


def host_flags(flags: int) -> bytes:
    return bytes((0x06, 0x08, flags)) + bytes(5)  # the ARP/ND community, RFC 9047 2


def site_of_origin(text: str) -> bytes:
    """Read the notation of a Route Target."""
    target = RouteTarget.parse(text)
    return bytes((target[0], 0x03)) + target[2:]


# Path attributes


def attribute(flags: int, code: int, value: bytes) -> bytes:
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, code, len(value)) + value
    return bytes((flags, code, len(value))) + value


def attributes(
    *,
    origin: int = 0,
    as_path: tuple[int, ...] = (),
    local_pref: int | None = 100,
    communities: tuple[int, ...] = (),
    originator: str = "",
    clusters: tuple[str, ...] = (),
    extended: tuple[bytes, ...] = (),
    pmsi: bytes = b"",
    more: bytes = b"",
) -> bytes:
    """Pack all but the next hop. AS numbers have four octets, since every speaker here has RFC 6793."""
    path = struct.pack(f"!BB{len(as_path)}I", 2, len(as_path), *as_path) if as_path else b""
    packed = [attribute(0x40, 1, bytes((origin,))), attribute(0x40, 2, path)]
    if local_pref is not None:
        packed.append(attribute(0x40, 5, struct.pack("!I", local_pref)))
    if communities:
        packed.append(attribute(0xC0, 8, struct.pack(f"!{len(communities)}I", *communities)))
    if originator:
        packed.append(attribute(0x80, 9, Ip.parse(originator)))
    if clusters:
        packed.append(attribute(0x80, 10, b"".join(Ip.parse(cluster) for cluster in clusters)))
    if extended:
        packed.append(attribute(0xC0, 16, b"".join(extended)))
    return b"".join(packed) + pmsi + more


def pmsi_tunnel(label: int, endpoint: bytes, tunnel: int = 6, flags: int = 0) -> bytes:
    return attribute(0xC0, 22, bytes((flags, tunnel)) + _label(label) + endpoint)


# Messages


def message(kind: int, body: bytes = b"") -> bytes:
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def update(path: bytes) -> bytes:
    """Return an UPDATE without IPv4 prefixes, which is all that EVPN needs."""
    return message(UPDATE, struct.pack("!HH", 0, len(path)) + path)


def reach(next_hop: bytes, nlris: Iterable[bytes]) -> bytes:
    return attribute(0x80, 14, struct.pack("!HBB", *EVPN, len(next_hop)) + next_hop + b"\0" + b"".join(nlris))


def unreach(nlris: Iterable[bytes]) -> bytes:
    return attribute(0x80, 15, struct.pack("!HB", *EVPN) + b"".join(nlris))


def updates(routes: Iterable[Route], per_update: int = 50, size_max: int = SIZE_MAX) -> Iterator[bytes]:
    """Pack routes in their order; neighbors of equal attributes share an UPDATE."""
    for (attributes_, next_hop), group in groupby(routes, lambda route: (route.attributes, route.next_hop)):
        room = size_max - len(update(reach(next_hop, ()) + attributes_)) - 1  # a long attribute needs one octet more
        for nlris in _chunks((route.nlri for route in group), per_update, room):
            # RFC 7606 5.1: MP_REACH_NLRI comes before all other attributes.
            yield update(reach(next_hop, nlris) + attributes_)


def withdrawals(nlris: Iterable[bytes], per_update: int = 50, size_max: int = SIZE_MAX) -> Iterator[bytes]:
    room = size_max - len(update(unreach(()))) - 1
    for chunk in _chunks(nlris, per_update, room):
        yield update(unreach(chunk))


def end_of_rib() -> bytes:
    return update(unreach(()))


def route_refresh(subtype: int) -> bytes:
    return message(ROUTE_REFRESH, struct.pack("!HBB", EVPN[0], subtype, EVPN[1]))


def notification(code: int, subcode: int, data: bytes = b"") -> bytes:
    return message(NOTIFICATION, bytes((code, subcode)) + data)


@dataclass(frozen=True, slots=True)
class Offer:
    """What our OPEN says."""

    asn: int = 65000
    router_id: str = ""
    """Default: the speaker's address, when that is an IPv4 one."""
    hold_s: int = 180
    restart_s: int | None = 120
    """Restart time of graceful restart; nothing offers none, and then ExaBGP and FRR send no End-of-RIB."""
    restarting: bool = False
    keeps_forwarding: bool = True
    refresh: bool = True
    enhanced_refresh: bool = True
    extended_messages: bool = False
    families: tuple[tuple[int, int], ...] = (EVPN,)
    more: tuple[tuple[int, bytes], ...] = ()
    """Further capabilities, by code."""

    def pack(self, router_id: bytes) -> bytes:
        packed = b"".join(bytes((2, 2 + len(value), code, len(value))) + value for code, value in self._capabilities())
        asn = self.asn if self.asn < 1 << 16 else AS_TRANS
        return message(OPEN, struct.pack("!BHH", 4, asn, self.hold_s) + router_id + bytes((len(packed),)) + packed)

    def _capabilities(self) -> Iterator[tuple[int, bytes]]:
        for afi, safi in self.families:
            yield 1, struct.pack("!HBB", afi, 0, safi)
        yield CAP_AS4, struct.pack("!I", self.asn)
        if self.refresh:
            yield CAP_REFRESH, b""
        if self.enhanced_refresh:
            yield CAP_ENHANCED_REFRESH, b""
        if self.extended_messages:
            yield CAP_EXTENDED_MESSAGE, b""
        if self.restart_s is not None:
            forwarding = b"\x80" if self.keeps_forwarding else b"\0"
            kept = b"".join(struct.pack("!HB", *family) + forwarding for family in self.families)
            yield CAP_GRACEFUL_RESTART, struct.pack("!H", self.restarting << 15 | self.restart_s) + kept
        yield from self.more


@dataclass(frozen=True, slots=True)
class Open:
    """A peer's OPEN."""

    asn: int
    hold_s: int
    router_id: str
    capabilities: dict[int, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Update:
    """A peer's UPDATE, as far as it is about EVPN. NLRIs are as they came: type, length, value."""

    announced: tuple[bytes, ...]
    withdrawn: tuple[bytes, ...]
    next_hop: bytes
    attributes: dict[int, bytes]
    """By code, without the two multiprotocol ones."""
    end_of_rib: bool


def read_open(body: bytes) -> Open:
    _version, asn, hold_s, router_id = struct.unpack_from("!BHH4s", body)
    capabilities: dict[int, tuple[bytes, ...]] = {}
    for kind, parameter in _records(body[10:], "!BB"):
        if kind == 2:
            for code, value in _records(parameter, "!BB"):
                capabilities[code] = (*capabilities.get(code, ()), value)
    for value in capabilities.get(CAP_AS4, ()):
        asn = int.from_bytes(value)
    return Open(asn, hold_s, str(Ip.unpack(router_id)), capabilities)


def read_update(body: bytes) -> Update:
    start = 2 + int.from_bytes(body[:2])
    end = start + 2 + int.from_bytes(body[start : start + 2])
    found = dict(read_attributes(body[start + 2 : end]))
    reached, unreached = found.pop(14, b""), found.pop(15, b"")
    family = struct.pack("!HB", *EVPN)
    next_hop_end = 4 + reached[3] if reached.startswith(family) else 0
    return Update(
        announced=_read_nlris(reached[next_hop_end + 1 :]) if next_hop_end else (),
        withdrawn=_read_nlris(unreached[3:]) if unreached.startswith(family) else (),
        next_hop=reached[4:next_hop_end],
        attributes=found,
        end_of_rib=unreached == family and not reached,
    )


@lru_cache(maxsize=1024)
def _rd_octets(text: str) -> bytes:
    return RouteDistinguisher.parse(text)


@lru_cache(maxsize=1024)
def _attributes_of(instance: Instance, extended: tuple[bytes, ...], pmsi: bytes) -> bytes:
    shared: list[bytes] = [RouteTarget.parse(text) for text in instance.targets]
    if instance.encapsulation is not None:
        shared.append(encapsulation(instance.encapsulation))
    return attributes(
        as_path=instance.as_path, local_pref=instance.local_pref, extended=(*shared, *extended), pmsi=pmsi
    )


def pack_nlri(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value))) + value


def _label(value: int) -> bytes:
    """All 24 bits: with VXLAN the label field is the VNI (RFC 8365 5.1.3)."""
    return value.to_bytes(3)


def _chunks(nlris: Iterable[bytes], count: int, room: int) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for nlri in nlris:
        if chunk and (len(chunk) == count or size + len(nlri) > room):
            yield chunk
            chunk, size = [], 0
        chunk.append(nlri)
        size += len(nlri)
    if chunk:
        yield chunk


def _records(octets: bytes, head: str) -> Iterator[tuple[int, bytes]]:
    at, head_size = 0, struct.calcsize(head)
    while at < len(octets):
        kind, size = struct.unpack_from(head, octets, at)
        at += head_size
        yield kind, octets[at : at + size]
        at += size


def read_attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(octets):
        flags, code = octets[at], octets[at + 1]
        long = bool(flags & 0x10)
        start = at + (4 if long else 3)
        at = start + int.from_bytes(octets[at + 2 : start])
        yield code, octets[start:at]


def _read_nlris(octets: bytes) -> tuple[bytes, ...]:
    return tuple(bytes((kind, len(value))) + value for kind, value in _records(octets, "!BB"))
