"""How a VTEP's place in a flood list is read, spelled and written down."""

import pytest
from msgspec import structs

from vtep.addr import ZERO_MAC, Ip, Mac, RouteDistinguisher, Vni
from vtep.intent import Direct, Flood, Intent
from vtep.linux.attachment import Hosts, Ready
from vtep.linux.tables.flood import FLOOD, FloodRow
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_SELF, Entry, Neighbor, Verb
from vtep.reconcile.contract import Attachments, Change, Seen, asked, contest, readable
from vtep.store.table import Table

PORT = 3
OURS = Ready(100, 2, PORT)
GROUND = Attachments({Vni(100): OURS, Vni(200): Ready(200, 12, 13), Hosts(100): OURS}, {})
A, A6 = Ip.parse("10.0.0.2"), Ip.parse("fd00::2")
KEY = (Vni(100), A, Vni(100))
PEER, RD = Ip.parse("10.9.9.9"), RouteDistinguisher.parse("65000:1")
NOARP, PERMANENT, REACHABLE = 0x40, 0x80, 0x02


def entry(mac: Mac = ZERO_MAC, port: int = PORT, flags: int = NTF_SELF | NTF_EXT_LEARNED, dst: Ip | None = A, **more):
    return Entry(port, None, mac, flags, NOARP | PERMANENT, dst, **more)


MARKED = Seen(FloodRow(), marked=True, listed=True)
FOREIGN = Seen(FloodRow(), marked=False, listed=True, holder="foreign", adoptable=FloodRow())


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (entry(), {KEY: MARKED}),
        (entry(flags=NTF_SELF), {KEY: FOREIGN}),
        (entry(dst=A6), {(Vni(100), A6, Vni(100)): MARKED}),
        (entry(vni=5000), {(Vni(100), A, Vni(5000)): MARKED}),
        (entry(port=13), {(Vni(200), A, Vni(200)): MARKED}),
        (entry(port=99), {}),
        (entry(mac=Mac.parse("02:00:00:00:00:01")), {}),
        (entry(dst=None), {}),
        (entry(udp_port=9999), {}),
        (entry(via=7), {}),
        (Entry(PORT, 2, ZERO_MAC, NTF_EXT_LEARNED, REACHABLE), {}),
    ],
    ids=[
        "ours", "without the mark", "IPv6", "under another VNI", "another VNI's port", "another device",
        "another MAC", "no VTEP", "another UDP port", "by another device", "a bridge row",
    ],
)  # fmt: skip
def test_what_a_dump_shows_is_read_as(row: Entry, seen: dict) -> None:
    found = FLOOD.recognise([row], GROUND)

    assert {key: structs.replace(one, there=None) for key, one in found.items()} == seen


def test_the_devices_own_remote_is_foreign_whatever_its_mark() -> None:
    attachments = Attachments({Vni(100): Ready(100, 2, PORT, remote=A)}, {})

    (seen,) = FLOOD.recognise([entry()], attachments).values()

    assert seen == Seen(FloodRow(), marked=False, holder="foreign", there=FloodRow())


@pytest.mark.parametrize(
    ("verb", "key", "spelled"),
    [
        ("create", KEY, (Verb.APPEND, A, None)),
        ("replace", KEY, (Verb.APPEND, A, None)),
        ("delete", KEY, (Verb.DELETE, A, None)),
        ("create", (Vni(100), A, Vni(5000)), (Verb.APPEND, A, 5000)),
        ("delete", (Vni(100), A, Vni(5000)), (Verb.DELETE, A, 5000)),
    ],
    ids=["create", "replace", "delete", "create under another VNI", "delete under another VNI"],
)
def test_a_change_is_spelled_as_one_message_that_names_the_vtep(verb: str, key, spelled) -> None:
    asked, dst, vni = spelled

    (messages,) = FLOOD.spell(Change(verb, (key,), FloodRow()), GROUND)

    assert messages == [
        Neighbor(asked, PORT, ZERO_MAC, NTF_SELF | NTF_EXT_LEARNED, NOARP | PERMANENT, dst=dst, vni=vni)
    ]


def test_nothing_is_looked_up_and_nothing_outranks_anything() -> None:
    assert (readable(FLOOD), contest(FLOOD)) == (None, None)
    assert asked(FLOOD, Intent(), [KEY]) == [(None, 0)]


def test_changes_are_sorted_by_vni_and_vtep() -> None:
    keys = [(Vni(200), A, Vni(200)), (Vni(100), A6, Vni(100)), (Vni(100), A, Vni(100))]

    ordered = sorted((Change("create", (key,), FloodRow()) for key in keys), key=FLOOD.order)

    assert [change.keys for change in ordered] == [(key,) for key in keys[::-1]]


@pytest.mark.parametrize(
    "keys",
    [[KEY], [(Vni(16777215), A6, Vni(5000))], [KEY, (KEY[0], A6, Vni(5000)), KEY]],
    ids=["IPv4", "IPv6 under another VNI", "many"],
)
def test_what_is_packed_is_unpacked(keys) -> None:
    packed = FLOOD.pack(keys, FloodRow())

    assert FLOOD.unpack(packed) == (keys, FloodRow())
    assert len(packed) == 3 + 19 * len(keys)


def test_what_an_intent_wants() -> None:
    row = Flood(Vni(100), Direct(A, Vni(5000)), PEER, RD)
    key = (Vni(100), A, Vni(5000))
    intent = Intent(floods=Table([(A, (row,))]), touched_floods=(key,))

    assert list(FLOOD.wanted(lambda: intent)) == [key]
    assert (FLOOD.wanted_at(intent, key), FLOOD.wanted_at(intent, KEY)) == (FloodRow(), None)
    assert (FLOOD.touched(intent), FLOOD.domain(key)) == ((key,), 100)
