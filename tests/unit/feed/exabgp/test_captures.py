"""What real ExaBGPs wrote means what happened when they wrote it; each file's name says what that was."""

import json
from pathlib import Path

import pytest

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, RouteTarget
from vtep.errors import StreamError
from vtep.evpn.attributes import ENCAP_VXLAN, PMSI_INGRESS_REPLICATION, Pmsi
from vtep.evpn.ead import EthernetAd
from vtep.evpn.event import Announced, Offer, PeerOpened, SessionClosed, Withdrawn
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.prefix import IpPrefix
from vtep.evpn.segment import Segment
from vtep.feed.exabgp.json import decode

CAPTURES = Path(__file__).parents[3] / "captures"
VERSIONS = ("4.2.25", "5.0.15")

# In order of the lines: `+n` and `-n` are n routes announced and withdrawn, `7x+1` seven such lines in a row.
BOTH_VERSIONS = {
    "01-exabgp-sigterm-shutdown": "2xstops stopped",
    "10-type2-mac-only-vni100-announce": "+1",
    "11-type2-mac-only-vni10010-and-16777215-announce": "2x+1",
    "12-type2-mac-ipv4-announce": "+1",
    "13-type2-mac-ipv6-announce": "+1",
    "14-type2-sticky-mac-announce": "2x-1 +1",
    "15-type2-default-gateway-announce": "6x+1",
    "16-type2-default-gateway-withdraw": "-6",
    "17-type2-mac-move-F1-to-F2-seq1": "+1 -3 2x-1",
    "20-type2-mac-ipv4-withdraw": "-1",
    "21-type2-mac-ipv6-withdraw": "-1",
    "22-type2-mac-only-withdraw": "-1",
    "23-type2-sticky-mac-withdraw": "-1",
    "24-type3-and-type2-withdraw-vni-deleted": "-2",
    "25-type3-announce-vni-added": "2x+1",
    "26-type5-announce-ipv4-ipv6": "-1 +2",
    "28-type5-withdraw-ipv4-ipv6": "-2",
    "30-session-reset-by-peer-clear-bgp": "down open up 7x+1 eor",
    "32-peer-bgpd-killed-session-lost": "4xlost",
    "33-peer-bgpd-restarted-session-up": "lost open up 4x+1 eor +1",
    "34-child-stalled-hold-timer-9-expired": "+15 down open up 3x+1 eor",
    "35-link-down-hold-timer-9-expires-then-reconnect": "down open up 3x+1 eor",
    "36-session-start-no-graceful-restart-capability": "2xopen 2xup 7x+1",
    "37-same-route-direct-and-via-route-reflector": "2x+1",
    "38-api-teardown-4": "done down open up 3x+1",
    "39-session-start-raw-peer": "3xlost open up",
    "39b-notification-shutdown-communication-with-quote-and-newline": "open up down lost",
    "40-ipv6-nexthop": "down",
    "41-ipv6-nexthop-withdraw": "-3",
    "42-ipv6-nexthop-32-octets-global-plus-linklocal": "down",
    "43-esi-and-ethernet-tag-nonzero-type1-type4-esi-label-es-import": "4x+1",
    "44-type1-type4-withdraw": "-4",
    "45-labels-vni0-vni1-bos-mpls": "+4",
    "47-extended-communities-all-evpn-kinds": "+1",
    "48-mobility-sequences-0-1-max-and-sticky-seq3": "4x+1",
    "51-unknown-route-types-6-7-8-10": "",
    "53-large-update-100-nlri": "+100",
    "54-eor": "eor",
    "56-no-extended-communities": "+1",
    "58-one-line-over-64KiB": "+301",
    "60-bad-origin-value-7": "+1",
    "62-bad-missing-origin": "+1",
    "66-bad-nlri-truncated": "down",
    "70-mode-packets-only-session-start": "refused up 5xrefused stops stopped",
    "71-mode-consolidate-session-start": "open up 4x+1 eor stops stopped",
    "api-show-adj-rib-in-extensive": "9xtext done",
    "api-show-adj-rib-in-json": "done",
    "api-show-adj-rib-in": "9xtext done",
    "api-show-neighbor-summary": "3xtext done",
    "api-version": "text done",
}
ONLY_4_2_25 = {
    "00-session-start-two-peers-negotiated-on": "2xopen 2xup 8x+1 eor 6x+1 eor",
    "02-session-start-two-peers": "2xopen 2xup 9x+1 eor 5x+1 eor",
    "61-bad-ext-community-length": "down",
    "64-bad-mac-length-24": "+1 bad",
    "api-announce-route-refresh-l2vpn-evpn": "done 2xbegin 9x+1 2xend",
    "api-help": "33xtext done",
    "api-show-adj-rib-in-stale-after-withdraw": "10xtext done",
    "api-show-neighbor-json": "2xtext done text done",
}
ONLY_5_0_15 = {
    "00-session-start-two-peers-negotiated-on": "2xopen 2xup 14x+1 2xeor",
    "02-session-start-two-peers": "2xopen 2xup 12x+1 eor 2x+1 eor",
    "29-session-start-frr-graceful-restart-enabled": "open up 3x+1 eor",
    "40-patched-launcher-ipv6-nexthop": "+2 +1",
    "41-patched-launcher-ipv6-nexthop-withdraw": "-3",
    "42-patched-launcher-ipv6-nexthop-32-octets-global-plus-linklocal": "+1",
    "61-bad-ext-community-length": "-1",
    "64-bad-mac-length-24": "down",
    "80-launcher-announce-evpn-own-send-direction": "6xdone",
    "81-after-child-killed-while-idle": "2xdone down open up 4x+1 eor",
    "82-route-refresh-one-neighbor-while-announcing": "done begin 3x+1 end",
    "api-announce-route-refresh-l2vpn-evpn": "done 2xbegin 8x+1 end +1 end",
    "api-help": "41xtext done",
    "api-show-adj-rib-in-extensive-json-v2format": "7xtext done",
    "api-show-adj-rib-in-json-v2format": "7xtext done",
    "api-show-adj-rib-in-stale-after-withdraw": "8xtext done",
    "api-show-neighbor-json": "text done",
}


CASES = [
    pytest.param(version, name, expect, id=f"{version}-{name}")
    for version, own in (("4.2.25", ONLY_4_2_25), ("5.0.15", ONLY_5_0_15))
    for name, expect in {**BOTH_VERSIONS, **own}.items()
]


@pytest.mark.parametrize(("version", "name", "expect"), CASES)
def test_a_recorded_stream_tells_what_happened(version, name, expect):
    assert _abridged(_stream(version, name)) == expect


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_stream_is_in_the_table(version):
    tabled = {case.values[1] for case in CASES if case.values[0] == version}

    assert {path.stem for path in CAPTURES.glob(f"{version}/*.jsonl")} == tabled


@pytest.mark.parametrize("version", VERSIONS)
def test_no_route_that_was_received_is_lost_or_invented(version):
    for path in CAPTURES.glob(f"{version}/*.jsonl"):
        for line in path.read_bytes().splitlines():
            expected = _received_octets(line)
            if expected is None:
                continue
            heard = decode(line)
            decoded = sum(len(event.routes) for event in heard.events if type(event) is Announced)
            decoded += sum(len(event.keys) for event in heard.events if type(event) is Withdrawn)
            assert decoded + len(heard.bad_nlris) == len(expected), path.name


@pytest.mark.parametrize("version", VERSIONS)
def test_a_line_says_who_wrote_it_and_when(version):
    heard = _one(version, "10-type2-mac-only-vni100-announce")
    said = json.loads((CAPTURES / version / "10-type2-mac-only-vni100-announce.jsonl").read_bytes().splitlines()[0])

    assert (heard.time, heard.pid, heard.counter) == (said["time"], said["pid"], said["counter"])
    assert heard.peer == Ip.parse("10.9.0.1")
    assert heard.version == {"4.2.25": "4.0.1", "5.0.15": "5.0.0"}[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_mac_only_route_is_read_whole(version):
    (route,) = _routes(version, "10-type2-mac-only-vni100-announce")

    assert type(route) is MacIp
    assert (route.rd, route.tag, route.esi) == (RouteDistinguisher.parse("10.9.0.1:2"), 0, NO_SEGMENT)
    assert (route.mac, route.ip) == (Mac.parse("02:aa:00:00:00:01"), None)
    assert (route.label, route.label2) == (100, None)
    assert route.attributes.next_hop == Ip.parse("10.9.0.1")
    assert route.attributes.targets == (RouteTarget.parse("65000:100"),)
    assert route.attributes.encapsulations == (ENCAP_VXLAN,)


@pytest.mark.parametrize("version", VERSIONS)
def test_large_vnis_survive(version):
    routes = _routes(version, "11-type2-mac-only-vni10010-and-16777215-announce")

    assert [route.label for route in routes] == [10010, 16777215]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("announced", "withdrawn"),
    [
        ("10-type2-mac-only-vni100-announce", "22-type2-mac-only-withdraw"),
        ("12-type2-mac-ipv4-announce", "20-type2-mac-ipv4-withdraw"),
        ("13-type2-mac-ipv6-announce", "21-type2-mac-ipv6-withdraw"),
        ("15-type2-default-gateway-announce", "16-type2-default-gateway-withdraw"),
        ("26-type5-announce-ipv4-ipv6", "28-type5-withdraw-ipv4-ipv6"),
        (
            "43-esi-and-ethernet-tag-nonzero-type1-type4-esi-label-es-import",
            "44-type1-type4-withdraw",
        ),
    ],
)
def test_a_withdraw_hits_its_route_though_its_labels_are_zero(version, announced, withdrawn):
    known = {key for event in _events(version, announced, Announced) for key in event.routes}
    gone = {key for event in _events(version, withdrawn, Withdrawn) for key in event.keys}

    assert known & gone


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_label_comes_from_the_octets(version):
    *_, two = _routes(version, "45-labels-vni0-vni1-bos-mpls")

    assert (two.label, two.label2) == (100, 50000)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_label_is_never_shifted(version):
    routes = _routes(version, "45-labels-vni0-vni1-bos-mpls")

    assert [route.label for route in routes] == [0, 1, 1601, 100]


@pytest.mark.parametrize("version", VERSIONS)
def test_mobility_sequences_are_plain_unsigned_numbers(version):
    routes = _routes(version, "48-mobility-sequences-0-1-max-and-sticky-seq3")

    assert [(r.attributes.seq, r.attributes.sticky) for r in routes] == [
        (0, False),
        (1, False),
        (4294967295, False),
        (3, True),
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_default_gateway_is_marked(version):
    routes = _routes(version, "15-type2-default-gateway-announce")

    assert any(route.attributes.gateway for route in routes)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_evpn_community_is_read_from_its_number(version):
    (route,) = _routes(version, "47-extended-communities-all-evpn-kinds")
    attributes = route.attributes

    wanted = {RouteTarget.parse(text) for text in ("65000:100", "4200000001:7", "10.0.0.1:9")}
    assert set(attributes.targets) == wanted
    assert len(attributes.targets) == 3, "a non-transitive Route Target is none"
    assert attributes.encapsulations == (ENCAP_VXLAN, 10, 19)
    assert (attributes.seq, attributes.sticky, attributes.mobility_count) == (5, False, 2)
    assert attributes.gateway
    assert attributes.router_mac == Mac.parse("aa:bb:cc:00:00:01")
    assert attributes.es_import == Mac.parse("aa:bb:cc:dd:ee:ff")
    assert (attributes.esi_label, attributes.single_active) == (16, False)
    assert attributes.host_flags == 0x80


@pytest.mark.parametrize("version", VERSIONS)
def test_a_flood_route_carries_its_tunnel(version):
    routes = _routes(version, "25-type3-announce-vni-added")

    imet = next(route for route in routes if type(route) is Imet)
    assert imet.originator == Ip.parse("10.9.0.1")
    assert imet.attributes.pmsi == Pmsi(PMSI_INGRESS_REPLICATION, 0, 10010, Ip.parse("10.9.0.1"))


@pytest.mark.parametrize("version", VERSIONS)
def test_prefixes_of_both_families_are_read(version):
    routes = _routes(version, "26-type5-announce-ipv4-ipv6")

    assert {type(route) for route in routes} == {IpPrefix}
    assert sorted(len(route.network) for route in routes) == [4, 16]
    assert {route.label for route in routes} == {50000}
    assert {route.gateway for route in routes} == {None}
    assert all(route.attributes.router_mac for route in routes)


@pytest.mark.parametrize("version", VERSIONS)
def test_segments_are_read(version):
    routes = _routes(version, "43-esi-and-ethernet-tag-nonzero-type1-type4-esi-label-es-import")
    esi = Esi.parse("03:aa:bb:cc:dd:ee:ff:00:00:01")

    by_type = {type(route): route for route in routes}
    assert by_type[MacIp].esi == by_type[EthernetAd].esi == by_type[Segment].esi == esi
    assert by_type[MacIp].tag != 0
    assert by_type[Segment].originator == Ip.parse("10.9.0.201")
    assert 0xFFFFFFFF in {route.tag for route in routes if type(route) is EthernetAd}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reflected_route_is_one_more_route_of_another_peer(version):
    direct, reflected = _events(version, "37-same-route-direct-and-via-route-reflector", Announced)

    assert direct.peer != reflected.peer
    assert direct.routes.keys() == reflected.routes.keys()


def test_of_a_global_and_a_link_local_next_hop_the_global_one_stays():
    (route,) = _routes("5.0.15", "42-patched-launcher-ipv6-nexthop-32-octets-global-plus-linklocal")

    assert route.attributes.next_hop == Ip.parse("fd00:9::c9")


def test_an_ipv6_tunnel_of_a_flood_route_is_read_though_its_label_lost_four_bits():
    *_, imet = _routes("5.0.15", "40-patched-launcher-ipv6-nexthop")
    pmsi = imet.attributes.pmsi

    assert pmsi == Pmsi(PMSI_INGRESS_REPLICATION, 0, 96, Ip.parse("fd00:9::c9"), exact=False)
    assert pmsi.is_labelled(100)
    assert not pmsi.is_labelled(112)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_open_tells_what_the_peer_can_do(version):
    opened = _events(version, "02-session-start-two-peers", PeerOpened)[0]

    assert opened == PeerOpened(
        Ip.parse("10.9.0.1"),
        restart_s=120,
        keeps_forwarding=False,
        refresh=True,
        enhanced_refresh=True,
        offer=Offer(65000, 65000, "10.9.0.1", 180, ("l2vpn/evpn",)),
    )


def test_an_open_tells_which_family_is_kept_through_a_restart():
    (opened,) = _events("5.0.15", "29-session-start-frr-graceful-restart-enabled", PeerOpened)

    assert opened.keeps_forwarding


@pytest.mark.parametrize("version", VERSIONS)
def test_an_open_without_graceful_restart_has_no_restart_time(version):
    opened = _events(version, "39-session-start-raw-peer", PeerOpened)[0]

    assert opened.restart_s is None
    assert opened.enhanced_refresh


@pytest.mark.parametrize("version", VERSIONS)
def test_the_reason_of_a_closed_session_is_kept(version):
    closed = _events(version, "38-api-teardown-4", SessionClosed)[0]

    assert "notification sent (6,4)" in closed.reason
    assert "\x14" not in closed.reason


def test_a_row_of_a_shown_rib_is_an_answer_and_never_a_route():
    stream = _stream("5.0.15", "api-show-adj-rib-in-stale-after-withdraw")

    assert all(heard.answer is not None and not heard.events for heard in stream if heard)


def _stream(version, name):
    """Return what each line means, and nothing for a refused one."""
    return [_heard(line) for line in (CAPTURES / version / f"{name}.jsonl").read_bytes().splitlines()]


def _heard(line):
    try:
        return decode(line)
    except StreamError:
        return None


def _events(version, name, kind):
    return [event for heard in _stream(version, name) for event in heard.events if type(event) is kind]


def _routes(version, name):
    return [route for event in _events(version, name, Announced) for route in event.routes.values()]


def _one(version, name):
    return next(heard for heard in _stream(version, name) if heard.events)


def _received_octets(line):
    """Count without the decoder; nothing for a line that is no received update."""
    if b'"type": "update"' not in line or b'"direction": "receive"' not in line or b'"category"' in line:
        return None
    update = json.loads(line)["neighbor"]["message"].get("update", {})
    nlris = list(update.get("withdraw", {}).get("l2vpn evpn", []))
    for under_next_hop in update.get("announce", {}).get("l2vpn evpn", {}).values():
        nlris += under_next_hop
    return {nlri["raw"] for nlri in nlris if nlri["code"] <= 5}


def _abridged(stream):
    words = []
    for heard in stream:
        if heard is None:
            words.append("refused")
            continue
        words += [_word(event) for event in heard.events] + ["bad"] * len(heard.bad_nlris)
        if heard.answer is not None:
            words.append(heard.answer.text if heard.answer.text in ("done", "error") else "text")
    runs = []
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1][1] += 1
        else:
            runs.append([word, 1])
    return " ".join(word if count == 1 else f"{count}x{word}" for word, count in runs)


def _word(event):
    match event:
        case Announced():
            return f"+{len(event.routes)}"
        case Withdrawn():
            return f"-{len(event.keys)}"
        case SessionClosed():
            return "lost" if event.lost else "stops" if event.speaker_stops else "down"
    return {
        "SessionOpened": "up",
        "PeerOpened": "open",
        "EndOfRib": "eor",
        "RefreshBegan": "begin",
        "RefreshEnded": "end",
        "SpeakerStopped": "stopped",
    }[type(event).__name__]
