"""The claims on disk: what a death, a damaged octet, another boot and a full disk make of them."""

import contextlib
import errno
import os
import random
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.lab.disk import full_disk
from vtep.addr import Ip, Mac, Vni
from vtep.errors import LedgerError
from vtep.linux.ledger import LedgerFile, this_place
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.fdb import FDB, FdbRow
from vtep.linux.tables.flood import FLOOD, FloodRow
from vtep.linux.tables.neighbor import NeighborRow
from vtep.reconcile.claims import Claim, Moment, RowGroup, Unclaimed, is_ours
from vtep.reconcile.contract import Seen
from vtep.store import journal

PLACE = {"boot": "b00t", "namespace": "4:4026531840"}
A, B, C = (FdbRow(Ip.parse(f"10.0.0.{number}")) for number in (2, 3, 4))
D = FdbRow(Ip.parse("fd00::2"), Vni(300))


def key(number: int = 0, vni: int = 100) -> tuple[Vni, Mac]:
    return Vni(vni), Mac(b"\x02" + number.to_bytes(5))


def keys(*numbers: int) -> list[tuple[Vni, Mac]]:
    return [key(number) for number in numbers]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger"


def claims(path: Path) -> dict:
    """Open the file as the next life does, and say what it holds."""
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.close()
    return dict(ledger.claims("fdb"))


NOW = Moment(1, 2.0)


def tended_later(ledger: LedgerFile) -> int:
    """Let time pass until a compaction may be tried again, and tend the file until it is done; count the calls."""
    ledger._journal._clock = lambda: time.monotonic() + journal.RETRY_S
    calls = 0
    while ledger.status().trouble:
        ledger.tend()
        calls += 1
        assert calls < 100
    return calls


def write(path: Path, *steps: tuple) -> list[int]:
    """Make these claims and releases; return the file's size after each."""
    ledger = LedgerFile(path, KINDS, PLACE)
    sizes = [path.stat().st_size]
    for verb, *arguments in steps:
        getattr(ledger, verb)("fdb", *arguments)
        sizes.append(path.stat().st_size)
    ledger.close()
    return sizes


def test_claims_outlive_the_process_and_are_then_unconfirmed(path: Path) -> None:
    write(path, ("claim", [RowGroup([key(1)], A, 7), RowGroup([key(2)], B, 1 << 33)]), ("confirm", [key(1)], NOW))

    assert claims(path) == {key(1): Claim(A, 7), key(2): Claim(B, 1 << 33)}


def test_released_claims_are_gone(path: Path) -> None:
    write(path, ("claim", [RowGroup([key(1)], A), RowGroup([key(2)], B)]), ("release", [key(1), key(3)]))

    assert claims(path) == {key(2): Claim(B, 0)}


def test_a_change_remembers_what_was_before_it_also_after_another_opening(path: Path) -> None:
    write(path, ("claim", [RowGroup([key()], A, 1)]), ("confirm", [key()], NOW), ("claim", [RowGroup([key()], B, 2)]))

    for _ in range(3):
        assert claims(path) == {key(): Claim(B, 2, before=(A,))}


def test_a_claim_that_was_released_and_made_again_has_nothing_before_it(path: Path) -> None:
    write(path, ("claim", [RowGroup([key()], A, 1)]), ("release", [key()]), ("claim", [RowGroup([key()], B, 2)]))

    assert claims(path) == {key(): Claim(B, 2)}


def test_kinds_are_told_apart(path: Path) -> None:
    flood = (Vni(100), Ip.parse("10.0.0.2"), Vni(100))
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.claim("flood", [RowGroup([flood], FloodRow())])
    ledger.claim("fdb", [RowGroup([key()], A)])
    ledger.close()

    again = LedgerFile(path, KINDS, PLACE)
    again.close()

    assert (dict(again.claims("flood")), dict(again.claims("fdb"))) == ({flood: Claim(FloodRow())}, {key(): Claim(A)})


def test_many_keys_of_one_row_come_back_and_share_its_value(path: Path) -> None:
    many = keys(*range(3000))  # more than one record takes
    write(path, ("claim", [RowGroup(many, A, 7), RowGroup([key(1, vni=200), key(2, vni=200)], A, 7)]))

    found = claims(path)

    assert found == dict.fromkeys([*many, key(1, vni=200), key(2, vni=200)], Claim(A, 7))
    assert len({id(claim) for claim in found.values()}) < 300


def test_what_changes_for_many_keys_at_once_is_known_of_each(path: Path) -> None:
    write(
        path,
        ("claim", [RowGroup(keys(1, 2), A), RowGroup(keys(3, 4), B)]),
        ("claim", [RowGroup(keys(1, 3, 5), C, 1)]),
        ("release", [*keys(2, 3, 9), key(1, vni=200)]),
    )

    for _ in range(3):
        assert claims(path) == {key(1): Claim(C, 1, before=(A,)), key(4): Claim(B), key(5): Claim(C, 1)}


def test_keys_of_one_row_are_released_wherever_they_are(path: Path) -> None:
    elsewhere = [key(1, vni=200), key(2, vni=200)]
    write(path, ("claim", [RowGroup(keys(1, 2), A), RowGroup(elsewhere, B)]), ("release", [key(1), *elsewhere]))

    assert claims(path) == {key(2): Claim(A)}


def test_so_many_claims_and_releases_are_written_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write for each row would take longer than all else that is done about it."""
    ledger = LedgerFile(path, KINDS, PLACE)
    written: list[int] = []
    write_all = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: written.append(len(data)) or write_all(file, data, at))

    ledger.claim(
        "fdb", [RowGroup([key(number, vni)], row) for number, row in enumerate((A, B, C, D)) for vni in (1, 2)]
    )
    ledger.release("fdb", [key(number, vni) for number in range(4) for vni in (1, 2)])
    monkeypatch.undo()
    ledger.close()

    assert len(written) == 2


def test_opening_makes_the_file_as_small_as_its_claims(path: Path) -> None:
    write(path, *(("claim", [RowGroup([key()], row)]) for row in (A, B, C) * 50), ("release", [key()]))
    write(path, ("claim", [RowGroup(keys(1, 2), A)]))

    header = len(path.read_bytes().partition(b"\n")[0]) + 1
    assert path.stat().st_size - header == len(FDB.pack(keys(1, 2), A)) + 18
    assert not path.with_suffix(".new").exists()


def test_opening_puts_together_what_was_claimed_one_by_one(path: Path) -> None:
    one_by_one = write(path, *(("claim", [RowGroup([key(number)], A)]) for number in range(3000)))[-1]

    claims(path)

    assert path.stat().st_size < one_by_one / 4


def test_no_other_user_may_read_it(path: Path) -> None:
    write(path)

    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_death_within_a_compaction_left_is_removed(path: Path) -> None:
    write(path, ("claim", [RowGroup([key()], A)]))
    path.with_suffix(".new").write_bytes(b"half of someth")

    assert claims(path) == {key(): Claim(A)}


# Torn and damaged

STEPS = (
    ("claim", [RowGroup(keys(1, 5), A, 1)]),
    ("claim", [RowGroup(keys(2, 6, 7), D, 2)]),
    ("claim", [RowGroup(keys(1), B, 3)]),
    ("release", keys(2, 5, 7)),
    ("claim", [RowGroup(keys(3, 6, 8), C, 4)]),
)


def test_cut_at_any_octet_only_the_torn_tail_is_lost(path: Path) -> None:
    sizes = write(path, *STEPS)
    whole = path.read_bytes()
    after = []
    for size in sizes:
        path.write_bytes(whole[:size])
        after.append(claims(path))

    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = max((place for place, size in enumerate(sizes) if size <= cut), default=0)

        ledger = LedgerFile(path, KINDS, PLACE)
        ledger.close()

        assert dict(ledger.claims("fdb")) == after[kept], f"cut at {cut}"
        assert ledger.torn == cut - (sizes[kept] if cut >= sizes[0] else 0)


def test_a_torn_tail_is_gone_after_the_next_opening(path: Path) -> None:
    write(path, *STEPS)
    path.write_bytes(path.read_bytes()[:-3])

    torn = LedgerFile(path, KINDS, PLACE)
    torn.claim("fdb", [RowGroup([key(9)], A)])
    torn.close()

    assert torn.torn > 0
    assert claims(path) == {key(1): Claim(B, 3, before=(A,)), key(6): Claim(D, 2), key(9): Claim(A)}


def test_of_a_batch_torn_within_a_record_of_many_keys_the_records_before_it_count(path: Path) -> None:
    write(path, ("claim", [RowGroup(keys(1, 2), A), RowGroup(keys(*range(3, 103)), B)]))
    path.write_bytes(path.read_bytes()[:-300])

    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.close()

    assert dict(ledger.claims("fdb")) == {key(1): Claim(A), key(2): Claim(A)}
    assert ledger.torn == 8 + len(FDB.pack(keys(*range(3, 103)), B)) + 10 - 300


def test_damage_within_a_record_of_many_keys_refuses_the_file(path: Path) -> None:
    write(path, ("claim", [RowGroup(keys(*range(100)), A), RowGroup(keys(200), B)]))
    damaged = bytearray(path.read_bytes())
    damaged[-300] ^= 1
    path.write_bytes(damaged)

    with pytest.raises(LedgerError, match="checksum"):
        claims(path)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF], ids=hex)
def test_a_damaged_octet_refuses_the_file_or_in_the_last_record_counts_as_torn(path: Path, flip: int) -> None:
    sizes = write(path, *STEPS)
    whole = path.read_bytes()
    path.write_bytes(whole[: sizes[-2]])
    without_last = claims(path)

    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        if place >= sizes[-2]:
            with contextlib.suppress(LedgerError):
                assert claims(path) == without_last
            continue
        with pytest.raises(LedgerError):
            claims(path)
        assert path.read_bytes() == damaged, "a file that is refused is left as it is"


def test_a_refusal_names_the_file_the_reason_and_what_to_do(path: Path) -> None:
    sizes = write(path, *STEPS)
    damaged = bytearray(path.read_bytes())
    damaged[sizes[0] + 20] ^= 1
    path.write_bytes(damaged)

    with pytest.raises(LedgerError) as caught:
        claims(path)

    for words in (str(path), "checksum", "remove the file"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (PLACE | {"boot": "other"}, "another boot (b00t, this is other)"),
        (PLACE | {"namespace": "4:1"}, "another namespace (4:4026531840, this is 4:1)"),
    ],
    ids=["boot", "namespace"],
)
def test_a_file_about_another_place_is_refused(path: Path, place: dict, words: str) -> None:
    write(path, *STEPS)

    with pytest.raises(LedgerError) as caught:
        LedgerFile(path, KINDS, place)

    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"[]\n", b"{}\n", b"\xff\xfe\n", b'{"format": 99}\n', b"something else"])
def test_a_file_that_is_not_a_ledger_is_refused(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(LedgerError):
        claims(path)


def test_an_empty_file_is_a_ledger_without_claims(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"")

    assert claims(path) == {}


def test_a_kind_that_this_version_does_not_know_is_refused(path: Path) -> None:
    ledger = LedgerFile(path, (FDB, FLOOD), PLACE)
    ledger.claim("flood", [RowGroup([(Vni(100), Ip.parse("10.0.0.2"), Vni(100))], FloodRow())])
    ledger.close()

    with pytest.raises(LedgerError):
        LedgerFile(path, (FDB,), PLACE)


# Written by an earlier version

FORMAT_1 = b'{"format": 1, "boot": "b00t", "namespace": "4:4026531840"}\n' + bytes.fromhex(
    # MACs 1, 2, 1 again, 2 released, 3
    "e292cdf721de00000100000000000000000064020000000001000000000000000000000a000002"
    "f4f763282dd2000002000000000000000000640200000000020000012c000000000000fd000000000000000000000000000002"
    "d673059d21de00000300000000000000000064020000000001000000000000000000000a000003"
    "60226c8c2dd2000100000000000000000000640200000000020000012c000000000000fd000000000000000000000000000002"
    "1116da552dd2000000000000020000000000640200000000030000012c000000000000fd000000000000000000000000000002"
    # Two flood rows, and the addresses of two hosts
    "d82cc56614eb010000000000000000000000640000c80a000002"
    "59d73cec20df010000000000000000000000640000c8fd000000000000000000000000000002"
    "670e02ae18e70200000000000000000000006402000000000100ac100001"
    "47059e5224db0200000000000000000000006402000000000101fd000000000000000000000000000001"
)
"""As a daemon left it whose records had one key each."""


def test_claims_of_an_earlier_version_are_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(FORMAT_1)
    wanted = {
        "fdb": {key(1): Claim(B, 3, before=(A,)), key(3): Claim(D, 1 << 33)},
        "flood": {(Vni(100), Ip.parse(ip), Vni(200)): Claim(FloodRow()) for ip in ("10.0.0.2", "fd00::2")},
        "neighbor": {
            (Vni(100), Ip.parse("172.16.0.1")): Claim(NeighborRow(key(1)[1])),
            (Vni(100), Ip.parse("fd00::1")): Claim(NeighborRow(key(1)[1], router=True)),
        },
    }

    for _ in range(2):  # as it was left, and as it is made anew
        ledger = LedgerFile(path, KINDS, PLACE)
        ledger.close()
        assert {kind.name: dict(found) for kind in KINDS if (found := ledger.claims(kind.name))} == wanted
        assert (ledger.torn, path.read_bytes()[:12]) == (0, b'{"format": 2')


def test_an_earlier_versions_torn_tail_is_dropped_and_its_damage_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(FORMAT_1[:-50])
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.close()
    damaged = bytearray(FORMAT_1)
    damaged[64] ^= 1  # the length of the first record

    assert ledger.torn == 22
    assert {kind.name: len(found) for kind in KINDS if (found := ledger.claims(kind.name))} == {"fdb": 2, "flood": 2}
    path.write_bytes(damaged)
    with pytest.raises(LedgerError, match="length"):
        claims(path)


def test_an_earlier_version_about_another_place_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(FORMAT_1)

    with pytest.raises(LedgerError, match="another boot"):
        LedgerFile(path, KINDS, PLACE | {"boot": "other"})


def test_a_later_version_is_refused_with_both_numbers(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(FORMAT_1.replace(b'"format": 1', b'"format": 3', 1))

    with pytest.raises(LedgerError, match="its format is 3, ours 2"):
        claims(path)


# The disk


def test_a_claim_costs_as_much_in_a_large_table_as_in_an_empty_one(path: Path) -> None:
    ledger = LedgerFile(path, KINDS, PLACE)

    def growth(first: int) -> int:
        before = path.stat().st_size
        ledger.claim("fdb", [RowGroup([key(first + number) for number in range(100)], A)])
        return path.stat().st_size - before

    small = growth(0)
    ledger.claim("fdb", [RowGroup([key(number) for number in range(1000, 101_000)], A)])
    large = growth(200_000)
    ledger.close()

    assert small == large


def test_a_new_row_that_cannot_be_claimed_is_named_and_the_file_stays_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.claim("fdb", [RowGroup([key(1)], A)])
    before = path.read_bytes()
    write_all = os.pwrite

    def write_a_little(file: int, data: bytes, at: int) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "full")
        return write_all(file, data[:20], at)

    monkeypatch.setattr(os, "pwrite", write_a_little)
    unclaimed = ledger.claim("fdb", [RowGroup([key(2)], A)])
    monkeypatch.undo()

    assert unclaimed == Unclaimed({key(2)}, errno.ENOSPC, f"{path}: full")
    assert dict(ledger.claims("fdb")) == {key(1): Claim(A)}
    assert path.read_bytes() == before
    ledger.claim("fdb", [RowGroup([key(3)], B)])
    ledger.close()
    assert claims(path) == {key(1): Claim(A), key(3): Claim(B)}


def test_on_a_full_disk_moves_and_removals_go_on_and_nothing_new_is_claimed(path: Path) -> None:
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.claim("fdb", [RowGroup(keys(1, 2), A)])
    ledger.confirm("fdb", keys(1, 2), NOW)
    with full_disk(path):
        unclaimed = ledger.claim("fdb", [RowGroup(keys(1, 3), B)])
        ledger.release("fdb", keys(2))

        assert unclaimed is not None
        assert (unclaimed.keys, unclaimed.errno) == ({key(3)}, errno.EFBIG)
        assert dict(ledger.claims("fdb")) == {key(1): Claim(B, before=(A,))}
        assert ledger.status().trouble == f"{path} cannot be written: File too large"

        again = ledger.claim("fdb", [RowGroup(keys(2), C)])
        assert again is not None
        assert again.keys == set(), "the file has a claim of it all the while"
    ledger.close()


def test_on_a_full_disk_a_row_that_was_gone_is_there_since_it_is_written_again(path: Path) -> None:
    ledger, later = LedgerFile(path, KINDS, PLACE), Moment(2, 9.0)
    ledger.claim("fdb", [RowGroup(keys(1), A)])
    ledger.confirm("fdb", keys(1), NOW)
    with full_disk(path):
        ledger.claim("fdb", [RowGroup(keys(1), A, afresh=True)])
    ledger.confirm("fdb", keys(1), later)

    assert ledger.claims("fdb")[key(1)].since == later
    ledger.close()


def test_a_row_that_moved_often_is_ours_with_its_last_two_values_alone_in_the_next_life(path: Path) -> None:
    ledger = LedgerFile(path, KINDS, PLACE)
    for row in (A, B, C, D, A, B, C):
        ledger.claim("fdb", [RowGroup(keys(1), row)])
        ledger.confirm("fdb", keys(1), NOW)
    ledger.close()

    ledger = LedgerFile(path, KINDS, PLACE)
    assert ledger.claims("fdb")[key(1)] == Claim(C, before=(B,))
    assert [is_ours(ledger.claims("fdb")[key(1)], Seen(row, marked=True)) for row in (A, B, C)] == [False, True, True]
    ledger.close()


def test_after_a_crash_on_a_full_disk_a_claim_covers_any_row_of_ours_until_it_is_confirmed(path: Path) -> None:
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.claim("fdb", [RowGroup(keys(1, 2), A)])
    ledger.confirm("fdb", keys(1, 2), NOW)
    with full_disk(path):
        ledger.claim("fdb", [RowGroup(keys(1), B)])
        ledger.close()
        still_full = LedgerFile(path, KINDS, PLACE)
        still_full.close()
        assert still_full.status().trouble == f"{path} cannot be compacted: File too large"

    for _ in range(2):  # as it was left, and as it is compacted
        ledger = LedgerFile(path, KINDS, PLACE)
        assert dict(ledger.claims("fdb")) == dict.fromkeys(keys(1, 2), Claim(A, any_row=True))
        assert is_ours(ledger.claims("fdb")[key(1)], Seen(B, marked=True))
        assert not is_ours(ledger.claims("fdb")[key(1)], Seen(B, marked=False))
        ledger.close()
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.claim("fdb", [RowGroup(keys(1), C)])
    assert ledger.claims("fdb")[key(1)] == Claim(C, before=(A,), any_row=True)
    ledger.confirm("fdb", keys(1, 2), NOW)
    assert not is_ours(replace(ledger.claims("fdb")[key(1)], confirmed=False), Seen(B, marked=True))
    ledger.close()


def test_when_there_is_room_again_the_file_says_all_by_itself(path: Path) -> None:
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.claim("fdb", [RowGroup(keys(1, 2, 3), A)])
    with full_disk(path):
        ledger.claim("fdb", [RowGroup(keys(1), B)])
        ledger.release("fdb", keys(2))
    tended_later(ledger)

    assert ledger.status().trouble == ""
    ledger.close()
    assert claims(path) == {key(1): Claim(B, before=(A,)), key(3): Claim(A)}


def test_a_start_that_cannot_compact_goes_on_with_the_file_as_it_is(path: Path) -> None:
    sizes = write(path, *(("claim", [RowGroup(keys(number), row)]) for number, row in ((1, A), (2, B), (3, C))))
    os.truncate(path, sizes[-1] - 10)
    with full_disk(path):
        ledger = LedgerFile(path, KINDS, PLACE)
        assert dict(ledger.claims("fdb")) == {key(1): Claim(A), key(2): Claim(B)}
        assert ledger.torn == sizes[-1] - sizes[-2] - 10
    ledger.claim("fdb", [RowGroup(keys(3), C)])
    assert path.stat().st_size == sizes[-1]
    ledger.close()

    assert claims(path) == {key(1): Claim(A), key(2): Claim(B), key(3): Claim(C)}


def test_a_start_without_any_room_claims_nothing_until_there_is_some(path: Path) -> None:
    path.parent.mkdir()
    with full_disk():
        ledger = LedgerFile(path, KINDS, PLACE)
        unclaimed = ledger.claim("fdb", [RowGroup(keys(1), A)])
    assert unclaimed is not None
    assert unclaimed.keys == {key(1)}
    tended_later(ledger)

    assert ledger.claim("fdb", [RowGroup(keys(1), A)]) is None
    ledger.close()
    assert claims(path) == {key(1): Claim(A)}


def test_the_ledger_of_a_mac_that_moves_all_day_stays_small(path: Path) -> None:
    ledger = LedgerFile(path, KINDS, PLACE)
    sizes = []
    for number in range(20_000):
        ledger.claim("fdb", [RowGroup([key(1)], (A, B)[number % 2])])
        ledger.release("fdb", [key(1)])
        sizes.append(path.stat().st_size)

    assert max(sizes) < journal.OCTETS_MIN + journal.LOOK_OCTETS + 1000
    assert ledger.status().octets == sizes[-1]
    assert not path.with_suffix(".new").exists()
    ledger.close()


def test_a_large_ledger_is_compacted_while_it_changes_and_says_the_same_whenever_it_ends(path: Path) -> None:
    """Each opening of a copy of the file, at any moment of the compaction, must find what was claimed then."""
    chance = random.Random(1)
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.claim("fdb", [RowGroup(keys(*range(5000)), A)])
    ledger.confirm("fdb", keys(*range(5000)), NOW)
    compactions, last = 0, 0
    for number in range(16_000):
        some = key(chance.randrange(5000))
        if number % 3:
            ledger.claim("fdb", [RowGroup([some], chance.choice((A, B, C, D)), number)])
        else:
            ledger.release("fdb", [some])
        size = path.stat().st_size
        compactions += size < last
        if size < last or number % 1600 == 0:
            copy = path.with_name("copy")
            copy.write_bytes(path.read_bytes())
            found = {name: (claim.row, claim.rank) for name, claim in claims(copy).items()}
            assert found == {name: (claim.row, claim.rank) for name, claim in ledger.claims("fdb").items()}
        last = size
    ledger.close()

    assert compactions > 1


def test_a_place_is_this_boot_and_this_namespace() -> None:
    place = this_place()

    assert set(place) == {"boot", "namespace"}
    assert len(place["boot"]) == 36
    assert place["namespace"].endswith(f":{os.stat('/proc/self/ns/net').st_ino}")
