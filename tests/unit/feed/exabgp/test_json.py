"""Single lines of ExaBGP, whole and broken, and what they mean."""

import json

import pytest

from vtep.addr import Ip, Mac
from vtep.errors import StreamError
from vtep.evpn.event import (
    Announced,
    EndOfRib,
    PeerOpened,
    RefreshBegan,
    RefreshEnded,
    SessionClosed,
    SessionOpened,
    SpeakerStopped,
    Withdrawn,
)
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.json import Decoded, decode

PEER = Ip.parse("10.9.0.1")
RD = "00010a0900010002"


def line(kind, /, **neighbor):
    said = {"exabgp": "5.0.0", "time": 7.5, "host": "leaf", "pid": 42, "ppid": 1, "counter": 3, "type": kind}
    said["neighbor"] = {"address": {"local": "10.9.0.105", "peer": "10.9.0.1"}, **neighbor}
    return json.dumps(said).encode()


def update(direction="receive", **parts):
    return line("update", direction=direction, message={"update": parts})


def announce(*nlris, next_hop="10.9.0.1", **attribute):
    return update(attribute=attribute, announce={"l2vpn evpn": {next_hop: list(nlris)}})


def raw(mac=1, label=100, bits=48):
    value = f"{RD}{bytes(14).hex()}{bits:02x}{0x020000000000 + mac:012x}00{label:06x}"
    return f"02{len(value) // 2:02X}{value}".upper()


def routes(octets):
    return [route for event in decode(octets).events for route in event.routes.values()]


# Updates


def test_a_route_is_announced_with_what_the_line_says_of_its_writer():
    heard = decode(announce({"raw": raw()}))

    (event,) = heard.events
    (route,) = event.routes.values()
    assert type(event) is Announced
    assert (event.peer, route.peer, route.attributes.next_hop) == (PEER, PEER, PEER)
    assert heard == Decoded((event,), 7.5, 42, PEER, 3, "5.0.0")


def test_a_withdraw_comes_before_an_announcement_of_its_line():
    both = update(withdraw={"l2vpn evpn": [{"raw": raw()}]}, announce={"l2vpn evpn": {"10.9.0.1": [{"raw": raw()}]}})

    withdrawn, announced = decode(both).events

    assert type(withdrawn) is Withdrawn
    assert type(announced) is Announced
    assert withdrawn.keys == tuple(announced.routes)


def test_the_octets_are_the_truth_where_a_field_says_otherwise():
    (route,) = routes(announce({"raw": raw(1, 10010), "mac": "02:00:00:00:00:99", "label": [[6, 100]], "code": 3}))

    assert (route.mac, route.label) == (Mac.parse("02:00:00:00:00:01"), 10010)


def test_each_next_hop_has_its_own_attributes():
    two = {"10.9.0.1": [{"raw": raw(1)}], "10.9.0.2": [{"raw": raw(2)}]}

    first, second = routes(update(announce={"l2vpn evpn": two}))

    assert [str(first.attributes.next_hop), str(second.attributes.next_hop)] == ["10.9.0.1", "10.9.0.2"]


@pytest.mark.parametrize("order", [("fe80::1", "fd00::1"), ("fd00::1", "fe80::1")])
def test_a_link_local_next_hop_never_replaces_a_global_one(order):
    (route,) = routes(update(announce={"l2vpn evpn": {text: [{"raw": raw()}] for text in order}}))

    assert route.attributes.next_hop == Ip.parse("fd00::1")


def test_an_only_next_hop_stays_even_when_it_is_link_local():
    (route,) = routes(announce({"raw": raw()}, next_hop="fe80::1"))

    assert route.attributes.next_hop == Ip.parse("fe80::1")


@pytest.mark.parametrize("text", ["null", "", "no-nexthop", "10.9.0", "self"])
def test_a_next_hop_that_is_none_costs_only_its_routes(text):
    heard = decode(update(announce={"l2vpn evpn": {text: [{"raw": raw(1)}], "10.9.0.2": [{"raw": raw(2)}]}}))

    (event,) = heard.events
    assert [route.mac[-1] for route in event.routes.values()] == [2]
    assert len(heard.bad_nlris) == 1
    assert raw(1) in heard.bad_nlris[0]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"raw": raw(bits=40)}, id="mac-length-40"),
        pytest.param({"raw": raw()[:-2]}, id="truncated"),
        pytest.param({"raw": raw()[:-1]}, id="half-an-octet"),
        pytest.param({"raw": ""}, id="empty"),
        pytest.param({"raw": "0x" + raw()}, id="not-hexadecimal"),
        pytest.param({"raw": 7}, id="a-number"),
        pytest.param({"raw": None}, id="null"),
        pytest.param({}, id="nothing"),
        pytest.param("02", id="a-text"),
        pytest.param(None, id="null-instead-of-an-nlri"),
        pytest.param({"code": 2, "rd": "10.9.0.1:2", "ethernet-tag": 0, "label": [[0]]}, id="fields-without-a-mac"),
        pytest.param({"code": 3, "rd": "10.9.0.1:2", "ethernet-tag": 1 << 32, "ip": "10.9.0.1"}, id="33-bit-tag"),
        pytest.param({"code": 3, "rd": "10.9.0.1:70000", "ethernet-tag": 0, "ip": "10.9.0.1"}, id="rd-too-large"),
        pytest.param({"code": True, "rd": "10.9.0.1:2"}, id="code-that-is-true"),
        pytest.param({"code": [2]}, id="code-that-is-a-list"),
    ],
)
@pytest.mark.parametrize("withdrawn", [False, True])
def test_a_bad_nlri_is_named_and_costs_no_other(bad, withdrawn):
    nlris = [{"raw": raw(1)}, bad, {"raw": raw(2)}]

    heard = decode(update(withdraw={"l2vpn evpn": nlris}) if withdrawn else announce(*nlris))

    (event,) = heard.events
    assert len(event.keys if withdrawn else event.routes) == 2
    assert len(heard.bad_nlris) == 1


def test_a_line_with_nothing_but_bad_nlris_has_no_events():
    heard = decode(announce({"raw": raw(bits=24)}))

    assert heard.events == ()
    assert "MAC length is 24" in heard.bad_nlris[0]


@pytest.mark.parametrize("nlri", [{"code": 6, "parsed": False, "raw": "0602ABCD"}, {"code": 11, "parsed": False}])
def test_an_unknown_route_type_is_passed_over(nlri):
    heard = decode(announce(nlri, {"raw": raw()}))

    assert len(heard.events[0].routes) == 1
    assert heard.bad_nlris == ()


def test_other_families_are_passed_over():
    other = {"ipv4 unicast": {"10.9.0.1": [{"nlri": "192.0.2.0/24"}]}}

    assert decode(update(announce=other, withdraw={"ipv4 unicast": [{"nlri": "192.0.2.0/24"}]})).events == ()


@pytest.mark.parametrize(
    "nlri",
    [
        {"code": 1, "rd": "10.9.0.1:2", "esi": "03:aa:bb:cc:dd:ee:ff:00:00:01", "ethernet-tag": 7, "label": [[6, 100]]},
        {"code": 2, "rd": "10.9.0.1:2", "esi": "-", "ethernet-tag": 0, "mac": "02:AA:00:00:00:01", "label": [[0]]},
        {"code": 3, "rd": "10.9.0.1:2", "ethernet-tag": 0, "ip": "fd00::1"},
        {"code": 4, "rd": "10.9.0.1:2", "esi": "03:aa:bb:cc:dd:ee:ff:00:00:01", "ip": "10.9.0.1"},
        {
            "code": 5,
            "rd": "0x0009616263646566",
            "esi": "-",
            "ethernet-tag": 0,
            "label": [[3125, 50000]],
            "ip": "172.16.0.0",
            "iplen": 16,
            "gateway": "0.0.0.0",
        },
    ],
    ids=lambda nlri: f"type-{nlri['code']}",
)
def test_an_nlri_without_octets_is_read_from_its_fields(nlri):
    (announced,) = decode(announce(nlri)).events
    (withdrawn,) = decode(update(withdraw={"l2vpn evpn": [nlri]})).events

    assert tuple(announced.routes) == withdrawn.keys
    assert next(iter(withdrawn.keys))[0] == nlri["code"]


@pytest.mark.parametrize(
    ("label", "expect"),
    [([[6, 100]], (100, None)), ([[0]], (0, None)), ([[100]], (1600, None)), ([[6, 100], [3125, 50000]], (100, 50000))],
)
def test_a_label_of_the_fields_is_its_raw_value(label, expect):
    nlri = {"code": 2, "rd": "10.9.0.1:2", "ethernet-tag": 0, "mac": "02:AA:00:00:00:01", "label": label}

    (route,) = routes(announce(nlri))

    assert (route.label, route.label2) == expect


def test_octets_and_fields_may_come_in_one_line():
    fields = {"code": 2, "rd": "10.9.0.1:2", "esi": "-", "ethernet-tag": 0, "mac": "02:00:00:00:00:09", "label": [[0]]}

    assert [route.mac[-1] for route in routes(announce({"raw": raw(1)}, fields))] == [1, 9]


@pytest.mark.parametrize(
    ("path_id", "octets"), [("0.0.0.7", "00000007"), (7, "00000007"), (4294967295, "ffffffff"), (None, "")]
)
def test_a_path_identifier_is_part_of_the_identity(path_id, octets):
    nlri = {"raw": raw(), "path-information": path_id}
    (plain,) = decode(announce({"raw": raw()})).events

    (announced,) = decode(announce(nlri)).events
    (withdrawn,) = decode(update(withdraw={"l2vpn evpn": [nlri]})).events

    assert tuple(announced.routes) == withdrawn.keys == tuple(key + bytes.fromhex(octets) for key in plain.routes)


@pytest.mark.parametrize("path_id", ["::1", "seven", -1, 4294967296, 1.5, [7], {}])
def test_a_strange_path_identifier_is_a_bad_nlri(path_id):
    assert len(decode(announce({"raw": raw(), "path-information": path_id})).bad_nlris) == 1


@pytest.mark.parametrize("communities", [[[65535, 6]], [[65000, 1], [65535, 6]], ["65535:6"]])
def test_llgr_stale_is_seen_among_the_communities(communities):
    (route,) = routes(announce({"raw": raw()}, community=communities))

    assert route.attributes.llgr_stale


@pytest.mark.parametrize("communities", [[], [[65535, 7]], [[65534, 6]], ["no-export"], [65535, 6]])
def test_other_communities_are_not_llgr_stale(communities):
    (route,) = routes(announce({"raw": raw()}, community=communities))

    assert not route.attributes.llgr_stale


def test_a_number_above_53_bits_is_read_exactly():
    (route,) = routes(announce({"raw": raw()}, **{"extended-community": [{"value": 0x0603_FFFF_FFFF_FFFF}]}))

    assert route.attributes.router_mac == Mac.parse("ff:ff:ff:ff:ff:ff")


@pytest.mark.parametrize("number", [-1, 1 << 64])
def test_a_community_that_is_no_64_bit_number_spoils_the_line(number):
    with pytest.raises(StreamError, match="64-bit"):
        decode(announce({"raw": raw()}, **{"extended-community": [{"value": number}]}))


def test_routes_of_equal_attributes_share_one_object():
    one, other = routes(announce({"raw": raw(1)}, pmsi="x")), routes(announce({"raw": raw(2)}, pmsi="x"))

    assert one[0].attributes is other[0].attributes


def test_an_unreadable_tunnel_loses_nothing_else():
    (route,) = routes(announce({"raw": raw()}, pmsi="pmsi:unknown:0:0:0x0102"))

    assert route.attributes.pmsi is None


def test_an_end_of_rib_of_evpn_ends_the_rib():
    assert decode(line("update", direction="receive", message={"eor": {"afi": "l2vpn", "safi": "evpn"}})).events == (
        EndOfRib(PEER),
    )


def test_an_end_of_rib_of_another_family_does_not():
    assert decode(line("update", direction="receive", message={"eor": {"afi": "ipv4", "safi": "unicast"}})).events == ()


@pytest.mark.parametrize("direction", ["send", ""])
def test_what_exabgp_itself_sends_is_passed_over_but_counted(direction):
    heard = decode(update(direction, announce={"l2vpn evpn": {"10.9.0.1": [{"raw": raw()}]}}))

    assert heard.events == ()
    assert (heard.peer, heard.counter, heard.pid) == (PEER, 3, 42)


@pytest.mark.parametrize("kind", ["update", "open"])
def test_undecoded_packets_are_refused_with_the_option_to_set(kind):
    with pytest.raises(StreamError, match="`parsed`"):
        decode(line(kind, direction="receive", message={"category": 2, "header": "0xFF", "body": "0x00"}))


# Sessions


def test_a_session_comes_up():
    assert decode(line("state", state="up")).events == (SessionOpened(PEER),)


def test_a_connection_is_no_session():
    assert decode(line("state", state="connected")).events == ()


OWN_WORDS = "Cease / Administrative Shutdown / closing connection"


@pytest.mark.parametrize(
    ("reason", "lost", "speaker_stops"),
    [
        ("closing connection", True, False),
        (
            "peer reset, message (closing connection) error(the TCP connection was closed by the remote end)",
            True,
            False,
        ),
        ("process problem", True, True),
        ("peer reset, message (process problem) error(EPIPE)", True, True),
        ("notification received (6,4)", False, False),
        ("notification sent (4,0)", False, False),
        ("peer reset, message (notification received (4,0)) error(Hold timer expired / Unspecific)", False, False),
        (f"peer reset, message (notification received (6,2)) error({OWN_WORDS})", False, False),
        ("stop, message [shutting down]", False, True),
        ("stop, message (shutting down)", False, True),
        ("stop, message [removed]", False, False),
        ("", False, False),
    ],
)
def test_only_a_lost_connection_is_lost_and_only_a_stopping_exabgp_stops(reason, lost, speaker_stops):
    (closed,) = decode(line("state", state="down", reason=reason)).events

    assert (closed.peer, closed.reason, closed.lost, closed.speaker_stops) == (PEER, reason, lost, speaker_stops)


@pytest.mark.parametrize(
    ("reason", "sent", "failed"),
    [
        ("notification sent (3,1)", (3, 1), False),
        (
            "peer reset, message (notification sent (3,5)) error(UPDATE message error / Attribute Length Error)",
            (3, 5),
            False,
        ),
        ("notification received (3,1)", None, False),
        ("peer reset, message (notification received (6,2)) error(notification sent (3,1))", None, False),
        ("closing connection", None, False),
        (
            'peer reset, message (notification sent (1,0)) error(x / x / can not decode update message of type "3")',
            None,
            False,
        ),
        ("", None, True),
        ("peer reset, message () error()", None, True),
        ("peer reset, message (closing connection) error()", None, False),
    ],
)
def test_a_closed_session_tells_which_notification_our_side_sent(reason, sent, failed):
    """A peer's own words cannot pass for a NOTIFICATION of ours: only the beginning is read."""
    (closed,) = decode(line("state", state="down", reason=reason)).events

    assert (closed.notification_sent, closed.speaker_failed) == (sent, failed)


@pytest.mark.parametrize(
    "reason",
    [
        "bell \x07 and newline-less \x14 controls",
        "a \\ backslash and a \\x bad escape",
        'bare "quotes" in it',
        'a \\\\" quote after a backslash',
        '" } } and what looks like the end',
        "Grüße",
    ],
)
def test_a_session_closes_whatever_its_reason_breaks_in_the_json(reason):
    whole = line("state", state="down", reason="REASON")

    (event,) = decode(whole.replace(b'"REASON"}}', b'"' + reason.encode() + b'" } }')).events

    assert type(event) is SessionClosed
    assert event.peer == PEER


@pytest.mark.parametrize(
    ("capabilities", "expect"),
    [
        ({}, PeerOpened(PEER, None, False, False, False)),
        ({"2": {"name": "route-refresh"}}, PeerOpened(PEER, None, False, True, False)),
        ({"128": {"name": "route-refresh"}}, PeerOpened(PEER, None, False, True, False)),
        ({"2": {}, "70": {"name": "enhanced-route-refresh"}}, PeerOpened(PEER, None, False, True, True)),
        ({"64": {"time": 120, "address-family-flags": {}}}, PeerOpened(PEER, 120, False, False, False)),
        (
            {"64": {"time": 0, "address-family-flags": {"l2vpn/evpn": ["restart"]}}},
            PeerOpened(PEER, 0, True, False, False, preserved_forwarding=True),
        ),
        (
            {"64": {"time": 120, "address-family-flags": {"ipv4/unicast": ["restart"]}}},
            PeerOpened(PEER, 120, False, False, False),
        ),
        (
            {"64": {"time": 4095, "address-family-flags": {"ipv4/unicast": ["restart"], "l2vpn/evpn": []}}},
            PeerOpened(PEER, 4095, True, False, False),
        ),
    ],
)
def test_an_open_tells_what_the_peer_can_do(capabilities, expect):
    assert decode(line("open", direction="receive", open={"capabilities": capabilities})).events == (expect,)


def test_our_own_open_says_nothing_of_the_peer():
    assert decode(line("open", direction="send", open={"capabilities": {"2": {}}})).events == ()


@pytest.mark.parametrize(
    ("family", "subtype", "expect"),
    [
        (("l2vpn", "evpn"), "begin", (RefreshBegan(PEER),)),
        (("l2vpn", "evpn"), "end", (RefreshEnded(PEER),)),
        (("l2vpn", "evpn"), "query", ()),
        (("ipv4", "unicast"), "begin", ()),
    ],
)
@pytest.mark.parametrize("doubled", [False, True])
def test_a_refresh_is_marked_at_both_ends(family, subtype, expect, doubled):
    refresh = {"afi": family[0], "safi": family[1], "subtype": subtype}
    whole = line("refresh", direction="receive", **{"route-refresh": refresh})
    if doubled:  # as 4.2 writes it
        for text in (*family, subtype):
            whole = whole.replace(b'"%s"' % text.encode(), b'""%s""' % text.encode())

    assert decode(whole).events == expect


def test_a_refresh_that_we_ask_for_is_none_of_the_peers():
    refresh = {"afi": "l2vpn", "safi": "evpn", "subtype": "begin"}

    assert decode(line("refresh", direction="send", **{"route-refresh": refresh})).events == ()


@pytest.mark.parametrize("kind", ["keepalive", "negotiated", "notification", "fsm", "signal", "operational"])
def test_a_line_without_meaning_is_counted(kind):
    assert decode(line(kind, direction="receive")) == Decoded((), 7.5, 42, PEER, 3, "5.0.0")


def test_a_stopping_exabgp_says_so():
    stopped = {"exabgp": "5.0.0", "time": 7.5, "pid": 42, "type": "notification", "notification": "shutdown"}

    assert decode(json.dumps(stopped).encode()) == Decoded((SpeakerStopped(),), 7.5, 42, version="5.0.0")


# Answers


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (b"done", Answered("done", True)),
        (b"done\r\n", Answered("done", True)),
        (b"error", Answered("error", False)),
        (b"shutdown", Answered("shutdown", True)),
        (b"exabgp 5.0.15", Answered("exabgp 5.0.15", True)),
        (b"reload in progress", Answered("reload in progress", True)),
        (b'{ "answer": "done", "message": "command completed" }', Answered("done", True, "command completed")),
        (b'{ "answer": "error", "message": "no json output" }', Answered("error", False, "no json output")),
        (b'{ "answer": "refused", "message": ["odd"] }', Answered("refused", True)),
    ],
)
def test_an_answer_is_no_broken_line(octets, answer):
    assert decode(octets) == Decoded((), answer=answer)


def test_the_empty_lines_of_an_answer_mean_nothing():
    assert decode(b"") == decode(b" \n") == Decoded(())


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"donee", id="nearly-an-answer"),
        pytest.param(b"Traceback (most recent call last):", id="other-text"),
        pytest.param(b'100 ] ], "mac": "02:00:00:00:00:01" } ] }', id="the-end-of-a-line"),
        pytest.param(b':01", "label": [ [6, 100] ] } ] } } } } }', id="another-end-of-a-line"),
        pytest.param(announce({"raw": raw()})[:-1], id="truncated"),
        pytest.param(announce({"raw": raw()}) + announce({"raw": raw()}), id="two-in-one"),
        pytest.param(b"{}", id="empty-object"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"42", id="a-number"),
        pytest.param(b'"done"', id="a-json-text"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe", id="no-utf8"),
        pytest.param(announce({"raw": raw()}).replace(b"leaf", b"\xff"), id="no-utf8-in-a-field-that-nobody-reads"),
        pytest.param(line("state", state="up").replace(b'"up"', b'"\\ud800"'), id="lone-surrogate"),
        pytest.param(line("state", state="up").replace(b"7.5", b"NaN"), id="nan"),
        pytest.param(line("state", state="up").replace(b"7.5", b"1e999"), id="endless-time"),
        pytest.param(line("state", state="up").replace(b"42", b"9" * 5000), id="endless-pid"),
        pytest.param(line("state", state="up").replace(b"42", b'"42"'), id="pid-that-is-a-text"),
        pytest.param(line("state", state="up").replace(b"42", b"[" * 200000), id="deep"),
        pytest.param(line("state", state="up").replace(b"42", b"[" * 200000 + b"]" * 200000), id="deep-and-closed"),
        pytest.param(
            line("state", state="up").replace(b'"leaf"', b"[" * 200000 + b"]" * 200000),
            id="deep-in-a-field-that-nobody-reads",
        ),
        pytest.param(line("surprise"), id="unknown-type"),
        pytest.param(line("state", state="dreaming"), id="unknown-state"),
        pytest.param(line("state"), id="no-state"),
        pytest.param(line("refresh", direction="receive"), id="refresh-of-nothing"),
        pytest.param(line("update", direction="receive"), id="update-of-nothing"),
        pytest.param(line("state", state="up").replace(b"10.9.0.1", b"10.9.0.999"), id="no-peer"),
        pytest.param(b'{"type": "update"}', id="no-neighbor"),
        pytest.param(b'{"type": "keepalive", "neighbor": null}', id="null-neighbor"),
        pytest.param(
            line("open", direction="receive", open={"capabilities": {"64": {"time": 4096}}}), id="13-bit-restart-time"
        ),
        pytest.param(b"x" * 10_000_000, id="10-megabytes-of-text"),
        pytest.param(b"1." * 2_000_000, id="4-megabytes-of-nearly-an-address"),
        pytest.param(b"10.9.0.1 " * 500_000, id="4-megabytes-of-addresses"),
        pytest.param(
            b'{ "type": "state", ' + b'"type": "state", "state": "down", "reason": "' * 80_000,
            id="4-megabytes-of-nearly-a-closed-session",
        ),
        pytest.param(b"{" + b'""a' * 1_000_000, id="3-megabytes-of-doubled-quotes"),
        pytest.param(b"{" + b'"a": 1, ' * 1_250_000, id="10-megabytes-of-json"),
    ],
)
def test_a_bad_line_is_refused(octets):
    with pytest.raises(StreamError):
        decode(octets)


def test_of_a_key_that_comes_twice_the_last_counts():
    twice = line("state", state="up").replace(b'"counter": 3', b'"counter": 3, "counter": 4')

    assert decode(twice).counter == 4


def test_a_line_of_ten_megabytes_is_understood():
    heard = decode(announce(*({"raw": raw(mac), "name": "x" * 500} for mac in range(16_000))))

    assert len(heard.events[0].routes) == 16_000
