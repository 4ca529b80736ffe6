"""The names of EVPN: what is read, what is printed, what is refused, and that printing and reading undo each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtep.addr import MAX_ESI, NO_SEGMENT, VNI_MAX, ZERO_MAC, Esi, Ip, Mac, RouteDistinguisher, RouteTarget, Vni


@pytest.mark.parametrize(
    "text",
    ["02:0a:00:00:00:01", "02:0A:00:00:00:01", "02-0a-00-00-00-01", "2:a:0:0:0:1", "020a.0000.0001", "020a00000001",
     " 02:0a:00:00:00:01\n"],
)  # fmt: skip
def test_any_usual_notation_of_a_mac_is_read_and_one_is_printed(text: str) -> None:
    assert str(Mac.parse(text)) == "02:0a:00:00:00:01"


@pytest.mark.parametrize(
    "text",
    ["", "02:0a:00:00:00", "02:0a:00:00:00:01:02", "02:0a-00:00:00:01", "002:0a:00:00:00:01", "02:0g:00:00:00:01",
     "020a.0000.001", "020a0000000", "02:0a:00:00:00:01x", "٠٢:00:00:00:00:01"],
)  # fmt: skip
def test_what_is_no_mac_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid MAC address"):
        Mac.parse(text)


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("02:00:00:00:00:01", True),
        ("fe:ff:ff:ff:ff:ff", True),
        ("00:00:00:00:00:00", False),
        ("01:00:00:00:00:00", False),
        ("33:33:00:00:00:01", False),
        ("ff:ff:ff:ff:ff:ff", False),
    ],
)
def test_a_station_has_a_mac_that_is_neither_zero_nor_multicast(text: str, usable: bool) -> None:
    assert Mac.parse(text).is_usable is usable


def test_an_ipv4_mapped_address_is_the_ipv4_one() -> None:
    assert Ip.parse("::ffff:10.0.0.1") == Ip.parse("10.0.0.1") == Ip.unpack(bytes(10) + b"\xff\xff\x0a\x00\x00\x01")


@pytest.mark.parametrize("text", ["10.0.0.1", "0.0.0.0", "2001:db8::1", "::10.0.0.1"])
def test_any_address_can_be_written_in_16_octets(text: str) -> None:
    mapped = Ip.parse(text).mapped

    assert (len(mapped), str(Ip.unpack(mapped))) == (16, str(Ip.parse(text)))


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.256", "10.0.0.01", "::1::", "1", "10.0.0.1/32", "leaf1"])
def test_what_is_no_ip_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid IP address"):
        Ip.parse(text)


def test_addresses_sort_as_numbers_with_ipv4_first() -> None:
    texts = ["10.0.0.2", "10.0.0.10", "203.0.113.1", "::2", "2001:db8::9", "2001:db8::10"]

    assert [str(ip) for ip in sorted(map(Ip.parse, reversed(texts)), key=lambda ip: ip.order)] == texts


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.5",
        "255.255.255.255",
        "169.254.1.1",
        "::",
        "::1",
        "ff02::1",
        "fe80::1",
    ],
)
def test_what_cannot_be_another_machine_is_no_unicast(text: str) -> None:
    assert not Ip.parse(text).is_unicast


@pytest.mark.parametrize("text", ["10.0.0.1", "192.0.2.1", "1.0.0.0", "2001:db8::1", "fc00::1", "100.64.0.1"])
def test_what_can_be_another_machine_is_unicast(text: str) -> None:
    assert Ip.parse(text).is_unicast


def test_a_vni_has_24_bits() -> None:
    assert (Vni(0), Vni(VNI_MAX)) == (0, 0xFFFFFF)
    for wrong in (-1, 1 << 24):
        with pytest.raises(ValueError, match="is not a valid VNI"):
            Vni(wrong)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("65000:100", "0000fde800000064"),
        ("10.0.0.1:5", "00010a0000010005"),
        ("4200000001:7", "0002fa56ea010007"),
        ("65000L:100", "00020000fde80064"),
        ("0x0009616263646566", "0009616263646566"),
    ],
)
def test_a_route_distinguisher_is_read_in_all_its_forms(text: str, octets: str) -> None:
    rd = RouteDistinguisher.parse(text)

    assert (rd.hex(), str(rd)) == (octets, text)


@pytest.mark.parametrize(
    ("text", "octets", "assigned"),
    [
        ("65000:4294967295", "0002fde8ffffffff", 4294967295),
        ("10.0.0.1:5", "01020a0000010005", 5),
        ("4200000001:7", "0202fa56ea010007", 7),
        ("1L:65535", "020200000001ffff", 65535),
    ],
)
def test_a_route_target_is_read_in_all_its_forms(text: str, octets: str, assigned: int) -> None:
    target = RouteTarget.parse(text)

    assert (target.hex(), str(target), target.assigned) == (octets, text, assigned)


def test_a_route_target_of_no_usual_form_prints_its_octets() -> None:
    assert str(RouteTarget.unpack(bytes.fromhex("0302000000000001"))) == "0x0302000000000001"


@pytest.mark.parametrize("kind", [RouteTarget, RouteDistinguisher])
@pytest.mark.parametrize(
    "text", ["", "100", ":100", "65000:", "65000:-1", "65000:x", "x:1", "10.0.0:1", "65000:4294967296", "65536:65536",
             "4294967296:1", "10.0.0.1:65536", "²:1", "65000:²", "L:1"]
)  # fmt: skip
def test_a_pair_that_fits_no_form_is_refused(kind: type, text: str) -> None:
    with pytest.raises(ValueError):
        kind.parse(text)


def test_a_segment_is_ten_octets_in_hexadecimal() -> None:
    text = "03:aa:bb:cc:dd:ee:ff:00:00:01"

    assert str(Esi.parse(text)) == str(Esi.parse(text.replace(":", "").upper())) == text
    with pytest.raises(ValueError, match="'0x' is not hexadecimal"):
        Esi.parse("0x")


@pytest.mark.parametrize(
    ("kind", "octets", "what"),
    [
        (Mac, 5, "6 octets, not 5"),
        (Ip, 5, "4 or 16 octets, not 5"),
        (RouteDistinguisher, 7, "8 octets, not 7"),
        (RouteTarget, 9, "8 octets, not 9"),
        (Esi, 9, "10 octets, not 9"),
    ],
)
def test_octets_of_another_number_are_refused(kind: type, octets: int, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        kind.unpack(bytes(octets))


def test_a_route_distinguisher_in_hexadecimal_has_eight_octets() -> None:
    with pytest.raises(ValueError, match="8 octets, not 2"):
        RouteDistinguisher.parse("0x0009")


def test_values_show_what_they_are() -> None:
    shown = [
        repr(value)
        for value in (ZERO_MAC, Ip(bytes(4)), RouteDistinguisher(8), RouteTarget.parse("1:2"), NO_SEGMENT, MAX_ESI)
    ]

    assert shown == [
        "Mac('00:00:00:00:00:00')",
        "Ip('0.0.0.0')",
        "RouteDistinguisher('0:0')",
        "RouteTarget('1:2')",
        "Esi('00:00:00:00:00:00:00:00:00:00')",
        "Esi('ff:ff:ff:ff:ff:ff:ff:ff:ff:ff')",
    ]


@given(st.binary(min_size=6, max_size=6))
def test_a_printed_mac_is_read_back(octets: bytes) -> None:
    assert Mac.parse(str(Mac.unpack(octets))) == octets


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_a_printed_address_is_read_back(octets: bytes) -> None:
    ip = Ip.unpack(octets)

    assert Ip.parse(str(ip)) == ip
    assert ip.is_v6 == (len(ip) == 16)


@given(st.binary(min_size=8, max_size=8))
def test_a_printed_route_distinguisher_is_read_back(octets: bytes) -> None:
    assert RouteDistinguisher.parse(str(RouteDistinguisher.unpack(octets))) == octets


@given(st.sampled_from([0, 1, 2]), st.binary(min_size=6, max_size=6))
def test_a_printed_route_target_is_read_back(kind: int, octets: bytes) -> None:
    target = RouteTarget.unpack(bytes((kind, 2)) + octets)

    assert RouteTarget.parse(str(target)) == target
