"""What holds for everything that the decoder ever returns, however hostile the line.

Shared by the property tests and the long-running fuzzer. Knows types and their ranges, not what a line should mean.
"""

import math
from typing import assert_never

from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, RouteTarget
from vtep.evpn.attributes import Attributes
from vtep.evpn.ead import EthernetAd
from vtep.evpn.event import (
    Announced,
    EndOfRib,
    Event,
    PeerOpened,
    RefreshBegan,
    RefreshEnded,
    SessionClosed,
    SessionOpened,
    SpeakerStopped,
    Withdrawn,
)
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.evpn.prefix import IpPrefix
from vtep.evpn.segment import Segment
from vtep.feed.exabgp.json import Decoded


def assert_inside_types(heard: Decoded) -> None:
    assert type(heard) is Decoded
    assert heard.time is None or (type(heard.time) is float and math.isfinite(heard.time))
    assert heard.pid is None or type(heard.pid) is int
    assert heard.counter is None or type(heard.counter) is int
    assert heard.peer is None or _is_ip(heard.peer)
    assert _is_text(heard.version)
    assert all(_is_text(bad) for bad in heard.bad_nlris)
    assert type(heard.events) is tuple
    if heard.answer is not None:
        assert heard.events == ()
        assert _is_text(heard.answer.text)
        assert type(heard.answer.ok) is bool
    for event in heard.events:
        assert_event_inside_types(event)


def assert_event_inside_types(event: Event) -> None:
    match event:
        case Announced():
            assert _is_ip(event.peer)
            assert event.routes
            for key, route in event.routes.items():
                _assert_key(key)
                _assert_route(route)
                assert route.peer == event.peer
        case Withdrawn():
            assert _is_ip(event.peer)
            assert event.keys
            for key in event.keys:
                _assert_key(key)
        case SessionOpened() | EndOfRib() | RefreshBegan() | RefreshEnded():
            assert _is_ip(event.peer)
        case SessionClosed():
            assert _is_ip(event.peer)
            assert _is_text(event.reason)
            assert type(event.lost) is type(event.speaker_stops) is bool
        case PeerOpened():
            assert _is_ip(event.peer)
            assert event.restart_s is None or 0 <= event.restart_s <= 4095
            assert type(event.keeps_forwarding) is type(event.refresh) is type(event.enhanced_refresh) is bool
        case SpeakerStopped():
            pass
        case _:
            assert_never(event)


def _assert_key(key: bytes) -> None:
    assert type(key) is bytes
    # Beyond the type: RD, ESI and tag; RD, tag, MAC and IP; RD, tag and IP; RD, ESI and IP; RD, tag and prefix.
    lengths = {1: (22,), 2: (20, 24, 36), 3: (17, 29), 4: (23, 35), 5: (17, 29)}[key[0]]
    assert len(key) - 1 in {length + path_id for length in lengths for path_id in (0, 4)}


def _assert_route(route: Route) -> None:
    assert type(route.rd) is RouteDistinguisher
    assert len(route.rd) == 8
    _assert_attributes(route.attributes)
    match route:
        case EthernetAd():
            assert _is_esi(route.esi)
            assert _is_tag(route.tag)
            assert _is_label(route.label)
        case MacIp():
            assert _is_esi(route.esi)
            assert _is_tag(route.tag)
            assert _is_mac(route.mac)
            assert route.ip is None or _is_ip(route.ip)
            assert _is_label(route.label)
            assert route.label2 is None or _is_label(route.label2)
        case Imet():
            assert _is_tag(route.tag)
            assert _is_ip(route.originator)
        case Segment():
            assert _is_esi(route.esi)
            assert _is_ip(route.originator)
        case IpPrefix():
            assert _is_esi(route.esi)
            assert _is_tag(route.tag)
            assert len(route.network) in (4, 16)
            assert 0 <= route.length <= 8 * len(route.network)
            assert route.gateway is None or _is_ip(route.gateway)
            assert _is_label(route.label)
        case _:
            assert_never(route)


def _assert_attributes(attributes: Attributes) -> None:
    assert _is_ip(attributes.next_hop)
    assert all(type(target) is RouteTarget and len(target) == 8 for target in attributes.targets)
    assert all(target[0] in (0, 1, 2) and target[1] == 2 for target in attributes.targets)
    assert all(0 <= encapsulation <= 0xFFFF for encapsulation in attributes.encapsulations)
    assert 0 <= attributes.seq <= 0xFFFFFFFF
    assert attributes.mobility_count >= 0
    assert all(len(site) == 8 and site[1] == 3 for site in attributes.sites)
    assert attributes.router_mac is None or _is_mac(attributes.router_mac)
    assert attributes.es_import is None or _is_mac(attributes.es_import)
    assert attributes.esi_label is None or _is_label(attributes.esi_label)
    assert 0 <= attributes.host_flags <= 0xFF
    for flag in (attributes.sticky, attributes.gateway, attributes.single_active, attributes.llgr_stale):
        assert type(flag) is bool
    if attributes.election is not None:
        assert 0 <= attributes.election.algorithm <= 0x1F
        assert 0 <= attributes.election.capabilities <= 0xFFFF
        assert 0 <= attributes.election.preference <= 0xFFFF
    if attributes.pmsi is not None:
        assert 0 <= attributes.pmsi.tunnel_type <= 0xFF
        assert 0 <= attributes.pmsi.flags <= 0xFF
        assert _is_label(attributes.pmsi.label)
        assert attributes.pmsi.endpoint is None or _is_ip(attributes.pmsi.endpoint)


def _is_ip(value: object) -> bool:
    return type(value) is Ip and len(value) in (4, 16) and value[:-4] != bytes(10) + b"\xff\xff"


def _is_mac(value: object) -> bool:
    return type(value) is Mac and len(value) == 6


def _is_esi(value: object) -> bool:
    return type(value) is Esi and len(value) == 10


def _is_tag(value: int) -> bool:
    return type(value) is int and 0 <= value <= 0xFFFFFFFF


def _is_label(value: int) -> bool:
    return type(value) is int and 0 <= value <= 0xFFFFFF


def _is_text(value: object) -> bool:
    return type(value) is str and value.encode().decode() == value
