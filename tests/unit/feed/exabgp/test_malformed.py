"""What `revise` makes of an UPDATE that breaks the rules; tests/system/test_malformed.py has every case over a session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import wire
from vtep.errors import RouteError
from vtep.evpn.nlri import nlri_key
from vtep.feed.exabgp.malformed import Revised, is_regular, revise

A = "10.0.0.1"
INSTANCE = wire.Instance(A)
ROUTE = INSTANCE.mac("02:00:00:00:00:01")
HEAD = 19
GOOD = next(wire.updates([ROUTE]))[HEAD:]
BAD_ORIGIN = wire.attribute(0x40, 1, b"\x07")
PATH = wire.attribute(0x40, 2, b"")
ORIGIN = wire.attribute(0x40, 1, b"\0")
ORIGINATOR_ID = wire.attribute(0x80, 9, b"\x0a\0\0\1")
LONG_COMMUNITIES = wire.attribute(0xC0, 8, bytes(4 * 100))


def body(*attributes: bytes, withdrawn: bytes = b"", announced: bytes = b"") -> bytes:
    block = b"".join(attributes)
    return len(withdrawn).to_bytes(2) + withdrawn + len(block).to_bytes(2) + block + announced


def reach(*nlris: bytes) -> bytes:
    return wire.reach(ROUTE.next_hop, nlris)


def revised(update: bytes, *, internal: bool = True, four_octet_as: bool = True) -> Revised:
    return revise(update, internal=internal, four_octet_as=four_octet_as)


@pytest.mark.parametrize(
    "update",
    [
        GOOD,
        wire.end_of_rib()[HEAD:],
        body(wire.unreach([ROUTE.nlri])),
        body(reach(ROUTE.nlri), ORIGIN, PATH, LONG_COMMUNITIES),
    ],
    ids=["route", "end-of-rib", "withdraw", "extended-length"],
)
def test_a_well_formed_update_is_left_as_it_is(update):
    assert revised(update) == Revised(update)


def test_all_routes_of_a_malformed_update_are_withdrawn():
    other = INSTANCE.mac("02:00:00:00:00:02").nlri

    result = revised(body(reach(ROUTE.nlri, other), BAD_ORIGIN, PATH))

    assert result == Revised(
        body(wire.unreach([ROUTE.nlri, other])), ("ORIGIN has the malformed value 0x07",), withdraws=True
    )


def test_what_it_withdraws_itself_is_withdrawn_as_well():
    other = INSTANCE.mac("02:00:00:00:00:02").nlri

    result = revised(body(wire.unreach([other]), reach(ROUTE.nlri), BAD_ORIGIN, PATH))

    assert result.body == body(wire.unreach([other, ROUTE.nlri]))


def test_ipv4_routes_of_a_malformed_update_are_withdrawn():
    result = revised(body(BAD_ORIGIN, PATH, withdrawn=b"\x08\x0a", announced=b"\x08\x0b"))

    assert result.body == body(withdrawn=b"\x08\x0a\x08\x0b")


def test_a_malformed_update_without_routes_is_no_end_of_rib():
    assert revised(body(reach(), BAD_ORIGIN, PATH)).body == body()


def test_of_two_families_the_routes_of_evpn_are_withdrawn():
    ipv6 = wire.attribute(0x80, 14, b"\0\2\1\x10" + bytes(16) + b"\0" + b"\x08\x20")

    result = revised(body(wire.unreach([ROUTE.nlri]), ipv6, BAD_ORIGIN, PATH))

    assert result.body == body(wire.unreach([ROUTE.nlri]))


def test_what_is_discarded_costs_nothing_else():
    aggregator = wire.attribute(0xC0, 7, b"\0")

    result = revised(body(reach(ROUTE.nlri), ORIGIN, PATH, aggregator, LONG_COMMUNITIES))

    assert result == Revised(
        body(reach(ROUTE.nlri), ORIGIN, PATH, LONG_COMMUNITIES), ("AGGREGATOR has the malformed value 0x00",)
    )


def test_an_originator_id_of_an_external_peer_is_left_out():
    update = body(reach(ROUTE.nlri), ORIGIN, PATH, ORIGINATOR_ID)

    assert revised(update) == Revised(update)
    assert revised(update, internal=False).body == body(reach(ROUTE.nlri), ORIGIN, PATH)


def test_an_as_path_is_read_with_the_width_of_the_session():
    of_two_octets = body(reach(ROUTE.nlri), ORIGIN, wire.attribute(0x40, 2, b"\x02\x01\xfd\xe8"))

    assert revised(of_two_octets, four_octet_as=False).problems == ()
    assert revised(of_two_octets).problems == ("AS_PATH has the malformed value 0x0201fde8",)


@pytest.mark.parametrize(
    "update",
    [
        b"",
        b"\0",
        b"\xff\xff\0\0",
        b"\0\0\xff\xff",
        body(reach(ROUTE.nlri), reach(ROUTE.nlri), BAD_ORIGIN, PATH),
        body(wire.attribute(0x80, 14, b"\0\x19\x46\x05" + bytes(6) + ROUTE.nlri), BAD_ORIGIN, PATH),
        body(wire.attribute(0x80, 14, b"\0\x19\x46"), BAD_ORIGIN, PATH),
    ],
    ids=[
        "nothing",
        "one-octet",
        "withdrawn-too-long",
        "attributes-too-long",
        "reach-twice",
        "next-hop-of-5",
        "reach-of-3",
    ],
)
def test_where_the_routes_cannot_be_found_nothing_is_changed(update):
    assert revised(update) == Revised(update)


@given(
    st.binary(max_size=80)
    | st.builds(
        lambda at, by: GOOD[:at] + by + GOOD[at + len(by) :],
        st.integers(0, len(GOOD)),
        st.binary(min_size=1, max_size=4),
    )
)
def test_a_revised_update_needs_no_further_revision(update):
    result = revised(update)

    if result.problems:
        assert revised(result.body) == Revised(result.body)
        assert result.body != wire.end_of_rib()[HEAD:]
    else:
        assert result.body == update


@given(st.integers(1, 5), st.binary(min_size=10, max_size=60), st.integers(0, 128), st.integers(10, 35))
def test_an_nlri_that_the_daemon_can_read_is_regular(code, value, length, at):
    value = value[:at] + bytes((length,)) + value[at + 1 :]
    octets = bytes((code, len(value))) + value
    try:
        nlri_key(octets)
    except RouteError:
        return

    assert is_regular(code, value)


@pytest.mark.parametrize(
    "route",
    [
        ROUTE,
        INSTANCE.mac("02:00:00:00:00:01", "172.16.0.1"),
        INSTANCE.flood(),
        INSTANCE.prefix("10.1.0.0/16"),
        INSTANCE.prefix("2001:db8::/32"),
    ],
)
def test_the_routes_of_each_type_are_regular(route):
    assert is_regular(route.nlri[0], route.nlri[2:])
