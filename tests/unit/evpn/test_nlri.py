"""NLRIs to routes and identities: drawn from the RFCs, not from what any speaker prints."""

import pytest

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher
from vtep.errors import RouteError
from vtep.evpn import attributes
from vtep.evpn.ead import EthernetAd
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import ROUTE_TYPES, UnknownRouteType, nlri_key, unpack_nlri
from vtep.evpn.prefix import IpPrefix
from vtep.evpn.segment import Segment

PEER = Ip.parse("10.9.0.1")
SHARED = attributes.decode(PEER, (), None, False)

RD = bytes.fromhex("00010a0900010002")
ESI = bytes.fromhex("03aabbccddeeff000001")
TAG = bytes.fromhex("00000007")
MAC = bytes.fromhex("020000000001")
V4 = bytes.fromhex("ac100101")
V6 = bytes.fromhex("fd000000000000000000000000000001")
LABEL = bytes.fromhex("0003e8")  # 1000 as it stands, 62 if somebody shifted it


def nlri(code, *parts):
    value = b"".join(parts)
    return bytes((code, len(value))) + value


def mac_ip(ip=b"", labels=LABEL, esi=ESI, mac_bits=48, ip_bits=None):
    lengths = bytes((mac_bits,)), bytes((8 * len(ip) if ip_bits is None else ip_bits,))
    return nlri(2, RD, esi, TAG, lengths[0], MAC, lengths[1], ip, labels)


def prefix(network=V4, bits=24, gateway=None, esi=ESI):
    return nlri(5, RD, esi, TAG, bytes((bits,)), network, gateway or bytes(len(network)), LABEL)


def test_the_route_types_stand_in_order_of_their_number():
    assert [route_type.CODE for route_type in ROUTE_TYPES] == [1, 2, 3, 4, 5]


ROUTES = [
    pytest.param(
        nlri(1, RD, ESI, TAG, LABEL),
        EthernetAd(PEER, SHARED, RouteDistinguisher(RD), Esi(ESI), 7, 1000),
        b"\x01" + RD + ESI + TAG,
        id="ethernet-ad",
    ),
    pytest.param(
        mac_ip(),
        MacIp(PEER, SHARED, RouteDistinguisher(RD), 7, Mac(MAC), 1000, None, Esi(ESI)),
        b"\x02" + RD + TAG + b"\x30" + MAC + b"\x00",
        id="mac-only",
    ),
    pytest.param(
        mac_ip(V4),
        MacIp(PEER, SHARED, RouteDistinguisher(RD), 7, Mac(MAC), 1000, Ip(V4), Esi(ESI)),
        b"\x02" + RD + TAG + b"\x30" + MAC + b"\x20" + V4,
        id="mac-ipv4",
    ),
    pytest.param(
        mac_ip(V6, LABEL + b"\x00\xc3\x50"),
        MacIp(PEER, SHARED, RouteDistinguisher(RD), 7, Mac(MAC), 1000, Ip(V6), Esi(ESI), 50000),
        b"\x02" + RD + TAG + b"\x30" + MAC + b"\x80" + V6,
        id="mac-ipv6-two-labels",
    ),
    pytest.param(
        nlri(3, RD, TAG, b"\x20", V4),
        Imet(PEER, SHARED, RouteDistinguisher(RD), 7, Ip(V4)),
        b"\x03" + RD + TAG + b"\x20" + V4,
        id="imet",
    ),
    pytest.param(
        nlri(4, RD, ESI, b"\x80", V6),
        Segment(PEER, SHARED, RouteDistinguisher(RD), Esi(ESI), Ip(V6)),
        b"\x04" + RD + ESI + b"\x80" + V6,
        id="segment",
    ),
    pytest.param(
        prefix(),
        IpPrefix(PEER, SHARED, RouteDistinguisher(RD), 7, V4, 24, 1000, None, Esi(ESI)),
        b"\x05" + RD + TAG + b"\x18" + V4,
        id="prefix-ipv4",
    ),
    pytest.param(
        prefix(V6, 128, V6, bytes(10)),
        IpPrefix(PEER, SHARED, RouteDistinguisher(RD), 7, V6, 128, 1000, Ip(V6), NO_SEGMENT),
        b"\x05" + RD + TAG + b"\x80" + V6,
        id="prefix-ipv6-behind-a-gateway",
    ),
]


@pytest.mark.parametrize(("raw", "route", "key"), ROUTES)
def test_a_route_and_its_identity_are_read(raw, route, key):
    assert unpack_nlri(raw, PEER, SHARED) == (key, route)


@pytest.mark.parametrize(("raw", "route", "key"), ROUTES)
def test_a_withdraw_needs_only_the_identity(raw, route, key):
    assert nlri_key(raw) == key


@pytest.mark.parametrize(("raw", "route", "key"), ROUTES)
def test_every_other_length_is_refused(raw, route, key):
    for cut in [raw[:end] for end in range(len(raw))] + [raw + b"\x00", raw[:1] + bytes((raw[1] + 1,)) + raw[2:]]:
        with pytest.raises(RouteError):
            unpack_nlri(cut, PEER, SHARED)
        with pytest.raises(RouteError):
            nlri_key(cut)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(mac_ip(mac_bits=24), id="mac-length-24"),
        pytest.param(mac_ip(mac_bits=40), id="mac-length-40"),
        pytest.param(mac_ip(ip_bits=24), id="ip-length-24"),
        pytest.param(mac_ip(V4[:3]), id="three-octets-of-an-ip"),
        pytest.param(mac_ip(ip_bits=32), id="ip-length-without-an-ip"),
        pytest.param(mac_ip(labels=LABEL * 3), id="three-labels"),
        pytest.param(mac_ip(labels=b"\x00"), id="34-octets"),
        pytest.param(nlri(3, RD, TAG, b"\x21", V4), id="originator-of-33-bits"),
        pytest.param(prefix(bits=33), id="ipv4-prefix-of-33-bits"),
        pytest.param(prefix(V6, 129), id="ipv6-prefix-of-129-bits"),
    ],
)
def test_what_cannot_be_represented_is_refused(raw):
    with pytest.raises(RouteError):
        unpack_nlri(raw, PEER, SHARED)


@pytest.mark.parametrize("mac", ["000000000000", "ffffffffffff", "01005e000001"])
def test_an_unusable_mac_is_represented(mac):
    raw = nlri(2, RD, ESI, TAG, b"\x30", bytes.fromhex(mac), b"\x00", bytes(3))

    _, route = unpack_nlri(raw, PEER, SHARED)

    assert (route.mac, route.label) == (bytes.fromhex(mac), 0)


def test_routes_of_one_mac_with_different_host_addresses_have_different_keys():
    assert len({nlri_key(mac_ip()), nlri_key(mac_ip(V4)), nlri_key(mac_ip(V6))}) == 3


def test_a_segment_and_labels_do_not():
    assert nlri_key(mac_ip(V4)) == nlri_key(mac_ip(V4, bytes(3), bytes(10))) == nlri_key(mac_ip(V4, LABEL * 2))


def test_gateway_segment_and_label_are_no_part_of_a_prefix():
    assert nlri_key(prefix()) == nlri_key(prefix(gateway=V4, esi=bytes(10)))
    assert nlri_key(prefix(bits=24)) != nlri_key(prefix(bits=25))


def test_an_ipv4_mapped_host_is_the_ipv4_host():
    _, route = unpack_nlri(mac_ip(bytes(10) + b"\xff\xff" + V4), PEER, SHARED)

    assert route.ip == Ip(V4)


def test_routes_share_one_object_for_an_equal_rd_and_segment():
    _, one = unpack_nlri(mac_ip(V4), PEER, SHARED)
    _, other = unpack_nlri(mac_ip(V6), PEER, SHARED)

    assert one.rd is other.rd
    assert one.esi is other.esi


@pytest.mark.parametrize("code", [0, 6, 7, 8, 9, 10, 11, 255])
def test_an_unknown_route_type_is_not_a_broken_route(code):
    with pytest.raises(UnknownRouteType):
        nlri_key(nlri(code, RD))
