"""The claims on disk: what a death, a damaged octet, another boot and a full disk make of them."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from vtep.addr import Ip, Mac, Vni
from vtep.errors import KernelError, LedgerError
from vtep.kernel import ledger as ledger_module
from vtep.kernel.ledger import LedgerFile, this_place
from vtep.kinds import KINDS
from vtep.kinds.fdb import FDB, FdbRow
from vtep.kinds.flood import FLOOD, FloodRow
from vtep.reconcile.ownership import Claim, Moment

PLACE = {"boot": "b00t", "namespace": "4:4026531840"}
A, B, C = (FdbRow(Ip.parse(f"10.0.0.{number}")) for number in (2, 3, 4))


def key(number: int = 0) -> tuple[Vni, Mac]:
    return Vni(100), Mac(b"\x02" + number.to_bytes(5))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger"


def claims(path: Path) -> dict:
    """Open the file as the next life does, and say what it holds."""
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.close()
    return dict(ledger.claims("fdb"))


NOW = Moment(1, 2.0)


def write(path: Path, *steps: tuple) -> list[int]:
    """Make these claims and releases; return the file's size after each."""
    ledger = LedgerFile(path, KINDS, PLACE)
    sizes = [path.stat().st_size]
    for verb, *arguments in steps:
        getattr(ledger, verb)("fdb", *arguments)
        sizes.append(path.stat().st_size)
    ledger.close()
    return sizes


def test_claims_outlive_the_process_and_are_unsure_then(path: Path) -> None:
    write(path, ("claim", {key(1): (A, 7), key(2): (B, 1 << 33)}), ("confirm", [key(1)], NOW))

    assert claims(path) == {key(1): Claim(A, 7), key(2): Claim(B, 1 << 33)}


def test_released_claims_are_gone(path: Path) -> None:
    write(path, ("claim", {key(1): (A, 0), key(2): (B, 0)}), ("release", [key(1), key(3)]))

    assert claims(path) == {key(2): Claim(B, 0)}


def test_a_change_remembers_what_was_before_it_also_after_another_opening(path: Path) -> None:
    write(path, ("claim", {key(): (A, 1)}), ("confirm", [key()], NOW), ("claim", {key(): (B, 2)}))

    for _ in range(3):
        assert claims(path) == {key(): Claim(B, 2, before=A)}


def test_a_claim_that_was_released_and_made_again_has_nothing_before_it(path: Path) -> None:
    write(path, ("claim", {key(): (A, 1)}), ("release", [key()]), ("claim", {key(): (B, 2)}))

    assert claims(path) == {key(): Claim(B, 2)}


def test_kinds_are_told_apart(path: Path) -> None:
    flood = (Vni(100), Ip.parse("10.0.0.2"), Vni(100))
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.claim("flood", {flood: (FloodRow(), 0)})
    ledger.claim("fdb", {key(): (A, 0)})
    ledger.close()

    again = LedgerFile(path, KINDS, PLACE)
    again.close()

    assert (dict(again.claims("flood")), dict(again.claims("fdb"))) == ({flood: Claim(FloodRow())}, {key(): Claim(A)})


def test_opening_makes_the_file_as_small_as_its_claims(path: Path) -> None:
    write(path, *(("claim", {key(): (row, 0)}) for row in (A, B, C) * 50), ("release", [key()]))
    write(path, ("claim", {key(1): (A, 0)}))

    header = len(path.read_bytes().partition(b"\n")[0]) + 1
    assert path.stat().st_size - header == len(FDB.pack(key(1), A)) + 16
    assert not path.with_suffix(".new").exists()


def test_nobody_else_may_read_it(path: Path) -> None:
    write(path)

    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_death_while_it_was_made_small_left_is_no_hindrance(path: Path) -> None:
    write(path, ("claim", {key(): (A, 0)}))
    path.with_suffix(".new").write_bytes(b"half of someth")

    assert claims(path) == {key(): Claim(A)}


# Torn and damaged

STEPS = (
    ("claim", {key(1): (A, 1)}),
    ("claim", {key(2): (FdbRow(Ip.parse("fd00::2"), Vni(300)), 2)}),
    ("claim", {key(1): (B, 3)}),
    ("release", [key(2)]),
    ("claim", {key(3): (C, 4)}),
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
    torn.claim("fdb", {key(9): (A, 0)})
    torn.close()

    assert torn.torn > 0
    assert claims(path) == {key(1): Claim(B, 3, before=A), key(9): Claim(A)}


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
def test_what_is_no_ledger_is_refused(path: Path, content: bytes) -> None:
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
    ledger.claim("flood", {(Vni(100), Ip.parse("10.0.0.2"), Vni(100)): (FloodRow(), 0)})
    ledger.close()

    with pytest.raises(LedgerError):
        LedgerFile(path, (FDB,), PLACE)


# The disk


def test_a_claim_costs_as_much_in_a_large_table_as_in_an_empty_one(path: Path) -> None:
    ledger = LedgerFile(path, KINDS, PLACE)

    def growth(first: int) -> int:
        before = path.stat().st_size
        ledger.claim("fdb", {key(first + number): (A, 0) for number in range(100)})
        return path.stat().st_size - before

    small = growth(0)
    ledger.claim("fdb", {key(number): (A, 0) for number in range(1000, 101_000)})
    large = growth(200_000)
    ledger.close()

    assert small == large


def test_claims_that_cannot_be_written_are_an_error_leave_the_file_whole_and_do_not_count(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.claim("fdb", {key(1): (A, 0)})
    write_all = os.write

    def write_a_little(file: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "full")
        return write_all(file, data[:20])

    monkeypatch.setattr(ledger_module.os, "write", write_a_little)
    with pytest.raises(KernelError) as caught:
        ledger.claim("fdb", {key(2): (A, 0)})
    with pytest.raises(KernelError):
        ledger.release("fdb", [key(1)])
    monkeypatch.undo()

    assert caught.value.errno == errno.ENOSPC
    assert dict(ledger.claims("fdb")) == {key(1): Claim(A)}
    ledger.claim("fdb", {key(3): (B, 0)})
    ledger.close()
    assert claims(path) == {key(1): Claim(A), key(3): Claim(B)}


def test_a_place_is_this_boot_and_this_namespace() -> None:
    place = this_place()

    assert set(place) == {"boot", "namespace"}
    assert len(place["boot"]) == 36
    assert place["namespace"].endswith(f":{os.stat('/proc/self/ns/net').st_ino}")
