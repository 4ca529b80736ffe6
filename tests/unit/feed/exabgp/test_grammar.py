"""Commands are spelled as the manual says, read back as they were meant, and refused with everything that is wrong."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import wire
from vtep.addr import MAX_ESI, Esi, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget, Vni
from vtep.errors import UsageError
from vtep.evpn.advertise import (
    DEFAULT_GATEWAY,
    VXLAN,
    Command,
    Community,
    EadAdvertisement,
    EadRoute,
    MacAdvertisement,
    MacGroup,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    PrefixAdvertisement,
    PrefixRoute,
    SegmentAdvertisement,
    SegmentRoute,
    Withdrawal,
    election,
    es_import,
    esi_label,
    mobility,
    router_mac,
    target,
)
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.grammar import parse, spell, spell_group
from vtep.feed.exabgp.json import Decoded, decode

MANUAL = Path(__file__).parents[4] / "docs/exabgp-commands.md"
RD = RouteDistinguisher.parse("10.0.0.99:100")
RD1 = RouteDistinguisher.parse("10.0.0.99:1")
MAC = Mac.parse("02:00:00:00:00:99")
VTEP = Ip.parse("10.0.0.99")
VTEP6 = Ip.parse("fd00::99")
HOST = Ip.parse("172.16.0.99")
SEGMENT = Esi.parse("03:02:00:00:00:00:42:00:00:01")
MAC_ROUTE = MacRoute(RD, MAC)
FLOODS = MulticastRoute(RD, VTEP)


@dataclass(frozen=True)
class Case:
    name: str
    line: str
    command: Command
    nlri: bytes


CASES = (
    Case(
        "a MAC",
        "announce evpn mac-advertisement rd 10.0.0.99:100 mac 02:00:00:00:00:99 label 100 next-hop 10.0.0.99",
        MacAdvertisement(MAC_ROUTE, VTEP, Vni(100)),
        wire.mac_ip_nlri(RD, MAC, 100),
    ),
    Case(
        "a host address, an IPv6 VTEP and every community that has a name",
        "announce evpn mac-advertisement rd 10.0.0.99:100 mac 02:00:00:00:00:99 ip 172.16.0.99 label 16777215 next-hop "
        "fd00::99 extended-community [ target:65000:100 encap:vxlan mac-mobility:3 mac-mobility:0:sticky default-gateway ]",
        MacAdvertisement(
            MacRoute(RD, MAC, HOST),
            VTEP6,
            Vni(16777215),
            communities=(target("65000:100"), VXLAN, mobility(3), mobility(0, sticky=True), DEFAULT_GATEWAY),
        ),
        wire.mac_ip_nlri(RD, MAC, 16777215, HOST),
    ),
    Case(
        "a segment, a tag, two labels and a community without a name",
        "announce evpn mac-advertisement rd 10.0.0.99:100 ethernet-tag 7 mac 02:00:00:00:00:99 ip 2001:db8::99 "
        "esi 03:02:00:00:00:00:42:00:00:01 label [ 100 50000 ] next-hop 10.0.0.99 "
        "extended-community [ 0x0603020000000099 ]",
        MacAdvertisement(
            MacRoute(RD, MAC, Ip.parse("2001:db8::99"), 7),
            VTEP,
            Vni(100),
            Vni(50000),
            SEGMENT,
            (Community(wire.router_mac(MAC)),),
        ),
        wire.mac_ip_nlri(RD, MAC, 100, Ip.parse("2001:db8::99"), SEGMENT, 7, 50000),
    ),
    Case(
        "a prefix, with the Router's MAC",
        "announce evpn prefix rd 10.0.0.99:100 prefix 10.1.11.0/24 label 4001 next-hop 10.0.0.99 "
        "extended-community [ target:65000:4001 encap:vxlan 0x0603020000000099 ]",
        PrefixAdvertisement(
            PrefixRoute(RD, Prefix.parse("10.1.11.0/24")),
            VTEP,
            Vni(4001),
            (target("65000:4001"), VXLAN, router_mac(MAC)),
        ),
        bytes.fromhex("0522 00010a0000630064 00000000000000000000 00000000 18 0a010b00 00000000 000fa1"),
    ),
    Case(
        "an IPv6 prefix with a tag",
        "announce evpn prefix rd 10.0.0.99:100 ethernet-tag 7 prefix 2001:db8:11::/64 label 4001 next-hop fd00::99",
        PrefixAdvertisement(PrefixRoute(RD, Prefix.parse("2001:db8:11::/64"), 7), VTEP6, Vni(4001)),
        bytes.fromhex(
            "053a 00010a0000630064 00000000000000000000 00000007 40 20010db8001100000000000000000000 "
            "00000000000000000000000000000000 000fa1"
        ),
    ),
    Case(
        "a segment as a whole",
        f"announce evpn ethernet-ad rd 10.0.0.99:1 ethernet-tag 4294967295 esi {SEGMENT} next-hop 10.0.0.99 "
        "extended-community [ target:65000:100 0x0601000000000000 ]",
        EadAdvertisement(EadRoute(RD1, SEGMENT, 0xFFFFFFFF), VTEP, None, (target("65000:100"), esi_label())),
        bytes.fromhex("0119 00010a0000630001 03020000000042000001 ffffffff 000000"),
    ),
    Case(
        "a segment in a VNI",
        f"announce evpn ethernet-ad rd 10.0.0.99:100 esi {SEGMENT} label 100 next-hop 10.0.0.99",
        EadAdvertisement(EadRoute(RD, SEGMENT), VTEP, Vni(100)),
        bytes.fromhex("0119 00010a0000630064 03020000000042000001 00000000 000064"),
    ),
    Case(
        "a candidate for designated forwarder",
        f"announce evpn ethernet-segment rd 10.0.0.99:1 esi {SEGMENT} originator 10.0.0.99 next-hop 10.0.0.99 "
        "extended-community [ 0x0602020000000042 0x0606028000000064 ]",
        SegmentAdvertisement(SegmentRoute(RD1, SEGMENT, VTEP), VTEP, (es_import(SEGMENT), election(2, 0x8000, 100))),
        bytes.fromhex("0417 00010a0000630001 03020000000042000001 20 0a000063"),
    ),
    Case(
        "floods",
        "announce evpn multicast rd 10.0.0.99:100 originator 10.0.0.99 next-hop 10.0.0.99 "
        "extended-community [ target:65000:100 ] pmsi [ ingress-replication 100 10.0.0.99 ]",
        Multicast(FLOODS, VTEP, Pmsi(Vni(100), VTEP), (target("65000:100"),)),
        wire.imet_nlri(RD, VTEP),
    ),
    Case(
        "a MAC taken back",
        "withdraw evpn mac-advertisement rd 10.0.0.99:100 mac 02:00:00:00:00:99 ip 172.16.0.99",
        Withdrawal(MacRoute(RD, MAC, HOST)),
        wire.mac_ip_nlri(RD, MAC, 0, HOST),
    ),
    Case(
        "floods taken back",
        "withdraw evpn multicast rd 10.0.0.99:100 ethernet-tag 4294967295 originator fd00::99",
        Withdrawal(MulticastRoute(RD, VTEP6, 0xFFFFFFFF)),
        wire.imet_nlri(RD, VTEP6, 0xFFFFFFFF),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_is_spelled_as_documented(case):
    assert spell(case.command) == case.line


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_line_is_read_as_the_command_it_is(case):
    assert parse(case.line) == case.command


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_has_the_octets_of_its_route_and_the_key_of_them(case):
    assert case.command.nlri == case.nlri
    assert case.command.route.key == wire.key_of(case.nlri)


def test_the_words_behind_the_kind_may_come_in_any_order_and_notation():
    line = "announce evpn mac-advertisement label [ 100 ] next-hop 10.0.0.99 mac 0200.0000.0099 rd 10.0.0.99:100"

    assert parse(line) == CASES[0].command


def test_a_pmsi_has_a_raw_label():
    assert Pmsi(Vni(100), VTEP).octets == bytes.fromhex("0006000064") + VTEP


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("target:4200000001:7", RouteTarget.parse("4200000001:7")),
        ("target:10.0.0.1:5", RouteTarget.parse("10.0.0.1:5")),
        ("target:65000L:5", RouteTarget.parse("65000L:5")),
        ("encap:vxlan", wire.encapsulation(8)),
        ("default-gateway", wire.default_gateway()),
        ("mac-mobility:4294967295:sticky", wire.mobility(0xFFFFFFFF, sticky=True)),
        ("0x060001ff00000001", bytes.fromhex("060001ff00000001")),
        ("0x030c00000000000a", wire.encapsulation(10)),
    ],
)
def test_a_community_reads_and_prints_alike(text, octets):
    assert Community.parse(text) == octets
    assert str(Community(octets)) == text


MAC_WORDS = "rd 1:1 mac 02:00:00:00:00:99 label 100 next-hop 10.0.0.99"


MANY = "announce evpn mac-advertisement rd 1:1 next-hop 10.0.0.9"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "expected announce evpn or withdraw evpn, then mac-advertisement or multicast or prefix"),
        ("announce evpn inclusive rd 1:1", "expected announce evpn or withdraw evpn"),
        ("announce evpn prefix rd 1:1", "prefix is missing; label is missing; next-hop is missing"),
        (f"announce evpn ethernet-ad rd 1:1 esi {MAX_ESI} next-hop 10.0.0.9", "does not name an Ethernet segment"),
        ("withdraw evpn ethernet-segment rd 1:1", "esi is missing; originator is missing"),
        ("announce evpn mac-advertisement", "rd is missing; mac is missing; next-hop is missing"),
        (f"announce evpn mac-advertisement {MAC_WORDS} rd 1:2", "rd is there twice"),
        (f"announce evpn mac-advertisement {MAC_WORDS} med 5 ip", "ip has no value; .*; med is not known here"),
        (f"announce evpn mac-advertisement {MAC_WORDS} extended-community [ target:1:1", "list .* has no end"),
        (
            f"announce evpn mac-advertisement {MAC_WORDS} extended-community [ red ]",
            "'red' is not a valid extended community",
        ),
        (f"announce evpn mac-advertisement {MAC_WORDS} extended-community mac-mobility:1:fast", "SEQUENCE:sticky"),
        (
            f"announce evpn mac-advertisement {MAC_WORDS} extended-community mac-mobility:4294967296",
            "is not a valid sequence number",
        ),
        (
            f"announce evpn mac-advertisement {MAC_WORDS} extended-community encap:mpls",
            "'mpls' is not a supported encapsulation",
        ),
        (f"announce evpn mac-advertisement {MAC_WORDS} extended-community default-gateway:1", "takes no value"),
        (f"announce evpn mac-advertisement {MAC_WORDS} ethernet-tag 4294967296", "is not a valid Ethernet tag"),
        (f"announce evpn mac-advertisement {MAC_WORDS} ethernet-tag -1", "'-1' is not a number"),
        (f"announce evpn mac-advertisement {MAC_WORDS} esi 0", "esi: "),
        (f"announce evpn mac-advertisement {MAC_WORDS} ip [ 10.0.0.1 10.0.0.2 ]", "ip takes one value, not 2"),
        (
            f"announce evpn mac-advertisement {MAC_WORDS} pmsi [ ingress-replication 100 10.0.0.99 ]",
            "pmsi is not known",
        ),
        ("announce evpn mac-advertisement rd 1:1 mac x label y next-hop z", "mac: .*; next-hop: .*; label: "),
        ("announce evpn mac-advertisement rd 1:1 mac 02:00:00:00:00:99 next-hop 10.0.0.99", "not 0"),
        (
            "announce evpn mac-advertisement rd 1:1 mac 02:00:00:00:00:99 label 16777216 next-hop 10.0.0.99",
            "not a valid VNI",
        ),
        ("announce evpn mac-advertisement rd 1:1 mac 02:00:00:00:00:99 label 1 next-hop 0.0.0.0", "is not a next hop"),
        (
            "announce evpn mac-advertisement rd 1:1 mac 01:00:00:00:00:99 label 1 next-hop 10.0.0.9",
            "a station can have",
        ),
        (
            f"{MANY} macs [ 02:00:00:00:00:01 what 01:00:00:00:00:01 ] label 1",
            "macs: 'what' is .*; macs: 01:.* station",
        ),
        (f"{MANY} macs [ 02:00:00:00:00:01 02:00:00:00:00:01 ] label 1", "there twice: 02:00:00:00:00:01"),
        (f"{MANY} macs [ 02:00:00:00:00:01@10.0.0 ] label 1", "macs: .*10.0.0"),
        (f"{MANY} macs [ ]", "rd is not known|takes one value"),
        (f"{MANY} macs [ what ] label 1", "macs: 'what' is not a valid MAC"),
        (f"{MANY} macs [ 02:00:00:00:00:01 ] mac 02:00:00:00:00:02 label 1", "mac is not known here"),
        ("withdraw evpn multicast rd 1:1 macs [ 02:00:00:00:00:01 ] originator 10.0.0.9", "macs is not known here"),
        ("announce evpn multicast rd 1:1 originator 10.0.0.99 next-hop 10.0.0.99", "pmsi has to be"),
        ("announce evpn multicast rd 1:1 originator 10.0.0.99 next-hop 10.0.0.99 pmsi pim", "pmsi has to be"),
        ("withdraw evpn multicast rd 1:1 originator 10.0.0.99 next-hop 10.0.0.99", "next-hop is not known here"),
    ],
)
def test_a_bad_line_is_refused_with_what_is_wrong(line, problem):
    with pytest.raises(UsageError, match=problem):
        parse(line)


@pytest.mark.parametrize("answer", ["evpn commands 1", "refused"])
def test_what_is_said_before_the_answer_is_no_bad_line_to_the_daemon(answer):
    line = json.dumps({"answer": answer, "message": "vtep 0.1.0, ExaBGP 5.0.15"})

    assert decode(line.encode()) == Decoded((), answer=Answered(answer, ok=True, more="vtep 0.1.0, ExaBGP 5.0.15"))


def test_every_example_of_the_manual_is_read_and_spelled_so():
    examples = [
        line for line in MANUAL.read_text().splitlines() if re.match(r"(announce|withdraw) evpn \S+ rd \d", line)
    ]

    assert len(examples) == 5
    assert [spelled(parse(line)) for line in examples] == examples


def spelled(command):
    return spell_group(command) if isinstance(command, MacGroup) else spell(command)


def test_the_versions_beside_the_first_are_read():
    line = json.dumps({"answer": "evpn commands 1", "message": "vtep", "versions": [1, 2, "odd"]})

    assert decode(line.encode()).answer == Answered("evpn commands 1", ok=True, more="vtep", versions=(1, 2))
