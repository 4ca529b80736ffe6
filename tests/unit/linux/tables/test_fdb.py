"""How the two halves of a remote MAC are read as one row, what each change is spelled as, and how a row is written down."""

from dataclasses import dataclass, field
from itertools import permutations

import pytest
from msgspec import structs

from vtep.addr import ZERO_MAC, Ip, Mac, RouteDistinguisher, Vni
from vtep.intent import Direct, Intent, RemoteMac
from vtep.linux.attachment import Ready
from vtep.linux.tables.fdb import FDB, FdbRow
from vtep.linux.wire.neighbor import NTF_MASTER, NTF_SELF, Entry, Half, Lookup, Neighbor, Verb
from vtep.reconcile.contract import Attachments, Change, Seen
from vtep.store.table import Table

BRIDGE, PORT, ACCESS = 2, 3, 4
GROUND = Attachments({Vni(100): Ready(100, BRIDGE, PORT), Vni(200): Ready(200, 12, 13)}, {})
M, N = Mac.parse("02:00:00:00:00:0a"), Mac.parse("02:00:00:00:00:0b")
A, B, A6 = Ip.parse("10.0.0.2"), Ip.parse("10.0.0.3"), Ip.parse("fd00::2")
KEY = (Vni(100), M)

EXT, STICKY, OFFLOADED = 0x10, 0x40, 0x20
REACHABLE, STALE, NOARP, PERMANENT = 0x02, 0x04, 0x40, 0x80


def bridge(port: int = PORT, flags: int = EXT, state: int = REACHABLE, **more) -> Entry:
    return Entry(port, BRIDGE, M, flags, state, **more)


def tunnel(dst: Ip | None = A, flags: int = EXT, state: int = NOARP | PERMANENT, **more) -> Entry:
    return Entry(PORT, None, M, flags | NTF_SELF, state, dst, **more)


def ours(row: FdbRow | None = None, *, whole: bool = True, residue: bool = False) -> Seen:
    return Seen(row, marked=True, whole=whole, residue=residue)


def handed_over_if_asked() -> Seen:
    return Seen(None, marked=False, holder="foreign", adoptable=FdbRow(A))


def theirs(holder: str, row: FdbRow | None = None, *, whole: bool = False, residue: bool = False) -> Seen:
    return Seen(row, marked=False, whole=whole, holder=holder, residue=residue)


@dataclass(frozen=True)
class Case:
    name: str
    entries: list[Entry]
    expect: Seen | None


# fmt: off
CASES = (
    Case("nothing", [], None),
    Case("both halves", [bridge(), tunnel()], ours(FdbRow(A))),
    Case("another VNI in the tunnel", [bridge(), tunnel(vni=300)], ours(FdbRow(A, Vni(300)))),
    Case("an IPv6 VTEP", [bridge(), tunnel(A6)], ours(FdbRow(A6))),
    Case("another UDP port is another value", [bridge(), tunnel(udp_port=8472)], ours(FdbRow(A, udp_port=8472))),
    Case("another device to leave by is another value", [bridge(), tunnel(via=9)], ours(FdbRow(A, via=9))),
    Case("the bridge half alone", [bridge()], ours(whole=False, residue=True)),
    Case("the VXLAN half alone", [tunnel()], ours(FdbRow(A), whole=False)),
    # Local stations
    Case("a learned station", [bridge(ACCESS, 0)], theirs("local-learned")),
    Case("a station that sent nothing for a while", [bridge(ACCESS, 0, STALE)], theirs("local-learned")),
    Case("a station that roamed in", [bridge(ACCESS, 0), tunnel()], theirs("local-learned", FdbRow(A))),
    Case("a static station", [bridge(ACCESS, 0, NOARP)], theirs("local-static")),
    Case("a permanent one, as a device's own MAC is", [bridge(ACCESS, 0, PERMANENT)], theirs("local-static")),
    Case("a sticky station", [bridge(ACCESS, STICKY)], theirs("local-static")),
    Case("a static station over our VXLAN half", [bridge(ACCESS, 0, NOARP), tunnel()], theirs("local-static", FdbRow(A))),
    Case("the bridge's own MAC", [bridge(BRIDGE, 0, PERMANENT)], theirs("local-static")),
    Case("another daemon's row on an access port", [bridge(ACCESS)], theirs("foreign")),
    Case("what hardware learned on an access port", [bridge(ACCESS, EXT | OFFLOADED)], theirs("foreign")),
    # Others on our port
    Case("an operator's row out of the VXLAN port", [bridge(flags=0, state=NOARP)], theirs("foreign")),
    Case("a row learned from the tunnel", [bridge(flags=0)], theirs("foreign")),
    Case("an operator's static row that an external write took over", [bridge(state=NOARP), tunnel()],
         theirs("foreign", FdbRow(A), whole=True)),
    Case("a local row that an external write took over", [bridge(state=PERMANENT), tunnel()],
         theirs("foreign", FdbRow(A), whole=True)),
    Case("an operator's tunnel row", [tunnel(flags=0, state=REACHABLE | NOARP)], theirs("foreign")),
    Case("an operator's tunnel row in our state", [tunnel(flags=0)], theirs("foreign")),
    Case("an operator's tunnel row beside our bridge half", [bridge(), tunnel(flags=0)], theirs("foreign", residue=True)),
    Case("FRR's row", [bridge(), tunnel(state=REACHABLE)], handed_over_if_asked()),
    Case("FRR's static row", [bridge(), tunnel(state=REACHABLE | NOARP)], handed_over_if_asked()),
    Case("FRR's row of which the bridge half is gone", [tunnel(state=REACHABLE)], theirs("foreign")),
    Case("a row by nexthop group", [bridge(), tunnel(None, nh_id=10)], theirs("foreign")),
    Case("an operator's tunnel row under a learned station", [bridge(ACCESS, 0), tunnel(flags=0)], theirs("foreign")),
    # What is not read
    Case("a row with a VLAN is a copy", [bridge(), tunnel(), bridge(ACCESS, 0, vlan=1)], ours(FdbRow(A))),
    Case("a row with a VLAN alone", [bridge(vlan=1)], None),
    Case("a network card's address list", [tunnel(None, 0, PERMANENT)], None),
    Case("another bridge's row", [Entry(99, 98, M, EXT, REACHABLE)], None),
    Case("another VXLAN port's row", [Entry(99, None, M, EXT | NTF_SELF, NOARP | PERMANENT, A)], None),
)
# fmt: on


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_read_in_any_order(case: Case) -> None:
    for entries in permutations(case.entries):
        seen = {
            key: structs.replace(row, where=None, there=None, writer="", is_below_taken=False)
            for key, row in FDB.recognise(entries, GROUND).items()
        }

        assert seen == ({} if case.expect is None else {KEY: case.expect})


@pytest.mark.parametrize(
    ("entries", "where"),
    [
        ([bridge(), tunnel()], None),
        ([bridge(ACCESS, 0)], ACCESS),
        ([bridge(ACCESS, 0), tunnel(B, flags=0)], ACCESS),
        ([bridge(), tunnel(B, flags=0)], B),
        ([tunnel(B, state=REACHABLE)], B),
        ([bridge(flags=0)], PORT),
    ],
    ids=["ours", "a station", "a station over a tunnel row", "an operator's tunnel row", "FRR's half", "a learned row"],
)
def test_where_a_row_that_cannot_be_ours_points(entries: list[Entry], where: object) -> None:
    for order in permutations(entries):
        assert FDB.recognise(order, GROUND)[KEY].where == where


def test_flood_rows_are_another_kinds() -> None:
    assert FDB.recognise([Entry(PORT, None, ZERO_MAC, EXT | NTF_SELF, NOARP | PERMANENT, A)], GROUND) == {}


def test_rows_of_several_vnis_and_macs_are_kept_apart() -> None:
    entries = [
        bridge(),
        Entry(PORT, None, N, EXT | NTF_SELF, NOARP | PERMANENT, A),
        Entry(13, None, M, EXT | NTF_SELF, NOARP | PERMANENT, B),
        Entry(13, 12, M, EXT, REACHABLE),
    ]

    assert FDB.recognise(entries, GROUND) == {
        KEY: ours(whole=False, residue=True),
        (Vni(100), N): ours(FdbRow(A), whole=False),
        (Vni(200), M): ours(FdbRow(B)),
    }


def test_a_key_is_seen_by_both_halves() -> None:
    assert FDB.lookups(KEY, GROUND) == (Lookup(PORT, M, Half.BRIDGE), Lookup(PORT, M, Half.VXLAN))


BOTH = NTF_SELF | NTF_MASTER | EXT
WRITE = {"state": NOARP | PERMANENT, "flags": BOTH, "port": PORT, "mac": M}
REMOVE = {"verb": Verb.DELETE, "state": 0, "port": PORT, "mac": M}


@dataclass(frozen=True)
class Spelling:
    name: str
    change: Change
    expect: list[Neighbor] = field(default_factory=list)


# fmt: off
SPELLINGS = (
    Spelling("creating writes both halves and nothing over anything", Change("create", (KEY,), FdbRow(A)),
             [Neighbor(verb=Verb.CREATE, dst=A, **WRITE)]),
    Spelling("replacing writes both halves", Change("replace", (KEY,), FdbRow(A6)),
             [Neighbor(verb=Verb.REPLACE, dst=A6, **WRITE)]),
    Spelling("the VNI is in the message where it is another", Change("create", (KEY,), FdbRow(A, Vni(300))),
             [Neighbor(verb=Verb.CREATE, dst=A, vni=300, **WRITE)]),
    Spelling("deleting names each half and no VTEP", Change("delete", (KEY,), FdbRow(A)),
             [Neighbor(flags=NTF_MASTER, **REMOVE), Neighbor(flags=NTF_SELF, **REMOVE)]),
    Spelling("what cannot be read is deleted alike", Change("delete", (KEY,), None),
             [Neighbor(flags=NTF_MASTER, **REMOVE), Neighbor(flags=NTF_SELF, **REMOVE)]),
    Spelling("shedding leaves the bridge row to the station", Change("shed", (KEY,), None), [Neighbor(flags=NTF_SELF, **REMOVE)]),
    Spelling("undoing leaves the VXLAN row to its holder", Change("undo", (KEY,), None), [Neighbor(flags=NTF_MASTER, **REMOVE)]),
)
# fmt: on


@pytest.mark.parametrize("case", SPELLINGS, ids=lambda case: case.name)
def test_spelling(case: Spelling) -> None:
    assert [message for turn in FDB.spell(case.change, GROUND) for message in turn] == case.expect


def test_changes_are_sorted_so_that_those_to_one_vtep_follow_each_other() -> None:
    changes = [
        Change("replace", (KEY,), FdbRow(A)),
        Change("create", ((Vni(200), M),), FdbRow(A)),
        Change("create", (KEY,), FdbRow(B)),
        Change("create", ((Vni(100), N),), FdbRow(A6)),
        Change("create", ((Vni(100), N),), FdbRow(A)),
        Change("delete", (KEY,), None),
        Change("create", (KEY,), FdbRow(A)),
    ]

    ordered = sorted(changes, key=FDB.order)

    shapes = [(change.keys[0][0], change.verb, change.row and change.row.vtep) for change in ordered]
    assert len({shape for shape, after in zip(shapes, [*shapes[1:], None], strict=True) if shape != after}) == 6


@pytest.mark.parametrize(
    "row",
    [FdbRow(A), FdbRow(A6), FdbRow(A, Vni(300)), FdbRow(A, Vni((1 << 24) - 1), 65535, (1 << 31) - 1)],
    ids=["IPv4", "IPv6", "another VNI", "everything"],
)
@pytest.mark.parametrize("many", [1, 2, 100])
def test_rows_written_down_read_back(row: FdbRow, many: int) -> None:
    keys = [(Vni((1 << 24) - 1), Mac(number.to_bytes(6))) for number in range(many)]

    packed = FDB.pack(keys, row)

    assert FDB.unpack(packed) == (keys, row)
    found_keys, found = FDB.unpack(packed)
    assert (type(found_keys[-1][0]), type(found_keys[-1][1]), type(found.vtep)) == (Vni, Mac, Ip)
    assert len(packed) == 35 + 6 * (many - 1)


def intent(seq: int = 0, *, sticky: bool = False) -> Intent:
    rd = RouteDistinguisher.parse("1:1")
    row = RemoteMac(KEY[0], Direct(A, Vni(300)), "only-path", seq, sticky, stale=False, peer=A, rd=rd)
    return Intent(macs=Table([(KEY, row)]), touched=(KEY,))


def test_what_an_intent_wants() -> None:
    assert list(FDB.wanted(intent)) == [KEY]
    assert FDB.wanted_at(intent(), KEY) == FdbRow(A, Vni(300))
    assert FDB.wanted_at(intent(), (Vni(100), N)) is None
    assert list(FDB.touched(intent())) == [KEY]
    assert FDB.domain(KEY) == 100


def test_sticky_ranks_above_every_sequence() -> None:
    wanted = (intent(0), intent((1 << 32) - 1), intent(0, sticky=True))

    ranks = [rank for one in wanted for _, rank in FDB.asked(one, [KEY])]

    assert ranks == sorted(set(ranks))
    assert 0 <= max(ranks) < 1 << 64


@pytest.mark.parametrize(
    ("row", "rank", "beats"),
    [(FdbRow(A), 6, True), (FdbRow(A), 4, False), (FdbRow(A), 5, True), (FdbRow(B), 5, False), (FdbRow(A6), 5, False)],
    ids=["higher sequence", "lower sequence", "lower VTEP", "the same", "IPv6 sorts after IPv4"],
)
def test_what_beats_a_claim_on_vtep_b_at_rank_5(row: FdbRow, rank: int, beats: bool) -> None:
    assert FDB.beats(row, rank, FdbRow(B), 5) is beats
