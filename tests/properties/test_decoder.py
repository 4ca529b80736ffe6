"""Whatever comes in, the decoder returns values inside their types or raises StreamError; and it forgets nothing."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.fuzz_decoder import receive
from tests.lab.examples import examples
from vtep.addr import Ip
from vtep.errors import RouteError
from vtep.evpn import attributes
from vtep.evpn.event import Announced, Withdrawn
from vtep.evpn.gathered import WithdrawnKeys
from vtep.evpn.nlri import nlri_key, unpack_nlri
from vtep.feed.exabgp.json import decode

CAPTURES = Path(__file__).parents[1] / "captures"
LINES = sorted(
    line
    for path in CAPTURES.glob("*/*.jsonl")
    for line in path.read_bytes().splitlines()
    if line and len(line) < 8192  # a mutation of a longer one teaches nothing more and shrinks slowly
)


def _tree(line):
    return json.loads(line.replace(b'""', b'"'), strict=False) if b'""l2vpn' in line else json.loads(line, strict=False)


def _places(tree):
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


WORDS = sorted(
    {
        word
        for line in LINES
        if line.startswith(b"{") and len(line) < 1000
        for parent, key in _places(_tree(line))
        for word in (key, parent[key])
        if isinstance(word, str)
    }
)
"""Every name and every text of the real lines, so that strange JSON gets past the first look."""

text = st.sampled_from(WORDS) | st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.integers(0, 2**64) | st.floats() | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=6), max_leaves=30
)
octets = st.binary(max_size=80)


@given(st.binary(max_size=300))
@settings(max_examples=examples(300), deadline=None)
def test_arbitrary_octets_are_decoded_or_refused(line):
    receive(line)
    receive(b"{" + line)


@given(values)
@settings(max_examples=examples(500), deadline=None)
def test_arbitrary_json_is_decoded_or_refused(value):
    receive(json.dumps(value).encode())
    receive(json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))


@given(st.sampled_from(LINES), st.data())
@settings(max_examples=examples(600), deadline=None)
def test_a_damaged_real_line_is_decoded_or_refused(line, data):
    damaged = bytearray(line)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(damaged)))
        end = data.draw(st.integers(start, min(len(damaged), start + 40)))
        damaged[start:end] = data.draw(octets | st.sampled_from([b"", b'"', b"{", b"null", b"[", b"1e999", b"-1"]))

    receive(bytes(damaged))


@given(st.sampled_from([line for line in LINES if line.startswith(b"{")]), st.data())
@settings(max_examples=examples(600), deadline=None)
def test_a_real_line_with_a_strange_field_is_decoded_or_refused(line, data):
    tree = _tree(line)
    places = list(_places(tree))
    for parent, key in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
        parent[key] = data.draw(values)

    receive(json.dumps(tree).encode())


@given(st.lists(octets | st.builds(lambda code, value: bytes((code, len(value))) + value, st.integers(0, 12), octets)))
@settings(max_examples=examples(500), deadline=None)
def test_arbitrary_nlri_octets_give_routes_or_bad_nlris(raws):
    receive(_line(announce={"l2vpn evpn": {"10.9.0.1": [{"raw": raw.hex()} for raw in raws]}}))
    receive(_line(withdraw={"l2vpn evpn": [{"raw": raw.hex()} for raw in raws]}))


@given(
    st.lists(st.integers(-1, 2**64) | st.integers(0, 2**16).map(lambda value: 0x0600_0000_0000_0000 + (value << 36)))
)
def test_arbitrary_communities_give_attributes_or_a_refusal(numbers):
    shared = {"extended-community": [{"value": number} for number in numbers]}

    receive(_line(attribute=shared, announce={"l2vpn evpn": {"10.9.0.1": [{"raw": MAC_IP.hex()}]}}))


@settings(deadline=None)
@given(st.from_regex(r"pmsi:[a-z]*:\d*:\d*(\(\d*\))?:(0x[0-9A-F]*|[0-9.]*)", fullmatch=True) | st.text())
def test_an_arbitrary_pmsi_text_loses_no_route(pmsi):
    heard = decode(_line(attribute={"pmsi": pmsi}, announce={"l2vpn evpn": {"10.9.0.1": [{"raw": MAC_IP.hex()}]}}))

    (event,) = heard.events
    assert len(event.routes) == 1
    receive(_line(attribute={"pmsi": pmsi}, announce={"l2vpn evpn": {"10.9.0.1": [{"raw": MAC_IP.hex()}]}}))


rds = st.binary(min_size=8, max_size=8)
esis = st.binary(min_size=10, max_size=10)
tags = st.binary(min_size=4, max_size=4)
labels = st.binary(min_size=3, max_size=3)
ips = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


def _mac_ip(rd, esi, tag, mac, ip, label):
    value = rd + esi + tag + b"\x30" + mac + bytes((8 * len(ip),)) + ip + label
    return bytes((2, len(value))) + value


MAC_IP = _mac_ip(bytes(8), bytes(10), bytes(4), bytes(6), b"", bytes(3))


@settings(deadline=None)
@given(rds, esis, esis, tags, st.binary(min_size=6, max_size=6), ips | st.just(b""), labels, labels, st.booleans())
def test_neither_segment_nor_labels_are_part_of_a_mac_routes_identity(rd, esi, other, tag, mac, ip, label, zero, two):
    announced = _mac_ip(rd, esi, tag, mac, ip, label * (1 + two))
    withdrawn = _mac_ip(rd, other, tag, mac, ip, zero)

    key, route = unpack_nlri(announced, Ip(bytes(4)), attributes.decode(Ip(bytes(4)), (), None, False))

    assert nlri_key(withdrawn) == key
    assert route.key == key or ip.startswith(bytes(10) + b"\xff\xff")
    assert (route.rd, route.esi, route.mac) == (rd, esi, mac)
    assert (route.label, route.tag) == (int.from_bytes(label), int.from_bytes(tag))
    assert (route.label2 is not None) == two


@given(st.binary(max_size=64))
@settings(max_examples=examples(500), deadline=None)
def test_a_withdrawn_route_has_the_key_of_the_advertised_one(raw):
    shared = attributes.decode(Ip(bytes(4)), (), None, False)

    assert _outcome(nlri_key, raw) == _outcome(lambda octets: unpack_nlri(octets, Ip(bytes(4)), shared)[0], raw)


@given(st.permutations([line for line in LINES if b'"announce"' in line or b'"withdraw"' in line]))
@settings(max_examples=examples(5), deadline=None)
def test_a_line_decodes_the_same_at_any_time(lines):
    assert {line: decode(line) for line in lines} == {line: decode(line) for line in sorted(lines)}


def test_every_nlri_of_a_real_line_reads_the_same_from_its_fields_as_from_its_octets():
    compared = 0
    for line in LINES:
        if b'"raw"' not in line or not line.startswith(b"{") or b'"type": "update"' not in line:
            continue
        heard, without_octets = decode(line), decode(json.dumps(_without_octets(_tree(line))).encode())
        if heard.bad_nlris:
            continue  # 4.2.25 does not show in its fields what is wrong with the octets
        for was, now in zip(heard.events, without_octets.events, strict=True):
            assert _identities(was) == _identities(now)
            if isinstance(was, Announced):
                compared += len(was.routes)
                # The fields do not show a second label, which is the only thing that they lack.
                firsts = {key: _without_label2(route) for key, route in was.routes.items()}
                assert firsts == {key: _without_label2(route) for key, route in now.routes.items()}

    assert compared > 100


def _outcome(function, raw):
    try:
        return function(raw)
    except RouteError as error:
        return str(error)


def _identities(event):
    match event:
        case Announced():
            return (event.peer, list(event.routes))
        case Withdrawn():
            return (event.peer, list(event.keys))
    return event


def _without_label2(route):
    return {name: getattr(route, name) for name in route.__struct_fields__ if name != "label2"}


def _without_octets(tree):
    if isinstance(tree, dict):
        return {key: _without_octets(value) for key, value in tree.items() if key != "raw"}
    return [_without_octets(item) for item in tree] if isinstance(tree, list) else tree


def _line(**update):
    neighbor = {"address": {"peer": "10.9.0.1"}, "direction": "receive", "message": {"update": update}}
    return json.dumps({"exabgp": "5.0.0", "type": "update", "neighbor": neighbor}).encode()


@given(
    st.lists(
        st.tuples(st.sampled_from([*range(6)]), st.sampled_from([b"", b"\0\0\0\1"]), st.integers(0, 3)), max_size=12
    )
)
def test_withdrawn_octets_give_the_keys_that_they_give_one_by_one(withdrawn):
    nlris = []
    for shape, path_id, number in withdrawn:
        esi, ip, labels = bytes(9) + bytes((shape & 1,)), bytes(4 * (shape // 2 % 2)), bytes(3 + 3 * (shape // 4))
        mac = bytes(5) + bytes((number,))
        value = bytes(8) + esi + bytes(4) + b"\x30" + mac + bytes((8 * len(ip),)) + ip + labels
        nlris.append((bytes((2, len(value))) + value, path_id))
    keys = WithdrawnKeys()
    for nlri, path_id in nlris:
        keys.add(nlri, path_id)

    slow = {nlri_key(nlri) + path_id for nlri, path_id in nlris}

    assert keys == slow == WithdrawnKeys(slow)
    assert len(keys) == len(slow)
