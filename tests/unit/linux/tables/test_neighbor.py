"""How a remote host's neighbor row is read, spelled and written down."""

import pytest
from msgspec import structs

from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.intent import Host, Intent
from vtep.linux.attachment import Hosts, Ready
from vtep.linux.tables.neighbor import NEIGHBOR, NeighborRow
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_ROUTER, RTPROT_VTEP, Entry, Neighbor, Verb
from vtep.linux.wire.tlv import AF_BRIDGE, AF_INET, AF_INET6
from vtep.reconcile.contract import Attachments, Change, Seen, asked, contest, readable
from vtep.store.table import Table

BRIDGE = 2
GROUND = Attachments(
    {Vni(100): Ready(100, BRIDGE, 3), Hosts(100): Ready(100, BRIDGE, 3), Vni(200): Ready(200, 12, 13)}, {}
)
M = Mac.parse("02:00:00:00:00:0a")
IP1, IP6 = Ip.parse("172.16.0.1"), Ip.parse("2001:db8:1::1")
KEY, KEY6 = (Vni(100), IP1), (Vni(100), IP6)
ROW = NeighborRow(M)
REACHABLE, STALE, FAILED, NOARP, PERMANENT = 0x02, 0x04, 0x20, 0x40, 0x80


def entry(ip: Ip | None = IP1, port: int = BRIDGE, flags: int = NTF_EXT_LEARNED, state: int = NOARP, **more) -> Entry:
    fields = {"protocol": RTPROT_VTEP, "family": AF_INET} | more
    return Entry(port, None, M, flags, state, ip=ip, **fields)


def ours(row: NeighborRow = ROW) -> Seen:
    return Seen(row, marked=True, tagged=True)


FOREIGN = Seen(ROW, marked=False, holder="foreign")
ADOPTABLE = Seen(ROW, marked=False, whole=False, holder="foreign", adoptable=ROW)


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (entry(), {KEY: ours()}),
        (entry(IP6, family=AF_INET6), {KEY6: ours()}),
        (entry(flags=NTF_EXT_LEARNED | NTF_ROUTER), {KEY: ours(NeighborRow(M, router=True))}),
        (entry(protocol=None), {KEY: ADOPTABLE}),
        (entry(protocol=186), {KEY: ADOPTABLE}),
        (entry(flags=0), {KEY: FOREIGN}),
        (entry(flags=0, state=PERMANENT, protocol=None), {KEY: FOREIGN}),
        (entry(state=REACHABLE, flags=0, protocol=None), {}),
        (entry(state=STALE, flags=0, protocol=None), {}),
        (entry(state=FAILED, flags=0, protocol=None), {}),
        (entry(port=12), {}),
        (entry(port=3), {}),
        (entry(None), {}),
        (entry(family=AF_BRIDGE), {}),
    ],
    ids=[
        "ours", "IPv6", "router", "untagged", "another daemon's", "tag without mark", "permanent", "reachable", "stale",
        "failed", "a bridge that does not answer", "the VXLAN port", "no address", "a bridge row",
    ],
)  # fmt: skip
def test_what_a_dump_shows_is_read_as(row: Entry, seen: dict) -> None:
    found = NEIGHBOR.recognise([row], GROUND)

    assert {key: structs.replace(one, there=None) for key, one in found.items()} == seen


@pytest.mark.parametrize(
    ("verb", "key", "row", "asked", "flags", "family"),
    [
        ("create", KEY, ROW, Verb.REPLACE, NTF_EXT_LEARNED, AF_INET),
        ("replace", KEY, NeighborRow(M, router=True), Verb.REPLACE, NTF_EXT_LEARNED | NTF_ROUTER, AF_INET),
        ("create", KEY6, ROW, Verb.REPLACE, NTF_EXT_LEARNED, AF_INET6),
        ("delete", KEY6, ROW, Verb.DELETE, NTF_EXT_LEARNED, AF_INET6),
    ],
    ids=["create", "replace by a router", "create IPv6", "delete IPv6"],
)
def test_a_change_is_spelled_as_one_tagged_message(verb, key, row, asked, flags, family) -> None:
    (messages,) = NEIGHBOR.spell(Change(verb, (key,), row), GROUND)

    assert messages == [
        Neighbor(asked, BRIDGE, M, flags, NOARP, family=family, ip=key[1], protocol=RTPROT_VTEP)
    ]  # fmt: skip


def test_nothing_is_looked_up_and_nothing_outranks_anything() -> None:
    assert (readable(NEIGHBOR), contest(NEIGHBOR)) == (None, None)
    assert asked(NEIGHBOR, Intent(), [KEY]) == [(None, 0)]


def test_changes_are_sorted_by_vni_and_address() -> None:
    keys = [(Vni(200), IP1), KEY6, KEY]

    ordered = sorted((Change("create", (key,), ROW) for key in keys), key=NEIGHBOR.order)

    assert [change.keys for change in ordered] == [(key,) for key in keys[::-1]]


@pytest.mark.parametrize(
    ("keys", "router"),
    [([KEY], False), ([KEY6], True), ([KEY, KEY6, KEY], False)],
    ids=["IPv4", "IPv6 router", "many"],
)
def test_what_is_packed_is_unpacked(keys, router: bool) -> None:
    row = NeighborRow(M, router)

    packed = NEIGHBOR.pack(keys, row)

    assert NEIGHBOR.unpack(packed) == (keys, row)
    assert len(packed) == 10 + 16 * len(keys)


def test_what_an_intent_wants() -> None:
    host = Host(Vni(100), IP1, M, router=True, peer=IP1, rd=RouteDistinguisher.parse("65000:1"))
    intent = Intent(hosts=Table([(IP1, (host,))]), touched_hosts=(KEY,))
    row = NeighborRow(M, router=True)

    assert list(NEIGHBOR.wanted(lambda: intent)) == [KEY]
    assert (NEIGHBOR.wanted_at(intent, KEY), NEIGHBOR.wanted_at(intent, (Vni(200), IP1))) == (row, None)
    assert (NEIGHBOR.touched(intent), NEIGHBOR.domain(KEY)) == ((KEY,), Hosts(100))
