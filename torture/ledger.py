"""The file of claims, cut and damaged: at every octet as a file, and beside a real daemon that has to start with it.

A torn tail is dropped and nothing before it. Any other damage, another boot and another namespace refuse the file; rows
that are wanted are then adopted, the others stay as orphans until an operator says `vtep adopt`.
"""

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.lab.vtep import VTEP
from tests.lab.wait import wait_until
from torture.leaf import Leaf
from torture.tally import Tally
from torture.watch import Watch, each, told
from vtep.addr import Ip, Mac, Vni
from vtep.errors import LedgerError
from vtep.linux.ledger import LedgerFile
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.fdb import FdbRow
from vtep.linux.tables.flood import FloodRow
from vtep.reconcile.claims import Claim, RowGroup

PLACE: Final = {"boot": "b00t", "namespace": "4:4026531840"}
LEDGER: Final = "/run/vtep/ledger"
Claims = dict[object, Claim]


def torture(records: int, lives: int, seed: int, scratch: Path) -> Iterator[Tally]:
    """Cut and damage a file of so many records, then have so many daemons start with a damaged one, for each damage."""
    path = scratch / "ledger"
    sizes = _write(path, records)
    yield _cut(path, sizes)
    yield _damaged(path, sizes)
    chance, found = random.Random(seed), defaultdict[str, list[Watch]](list)
    for name, watch in each(chance, list(DAMAGES) * lives, lambda one, name: _life(one, *DAMAGES[name])):
        found[name].append(watch)
    for name, watches in found.items():
        note = "until all was right after `vtep adopt`" if DAMAGES[name][1] else ""
        yield told("ledger", f"a daemon starts with one that is {name}", watches, note)


def _write(path: Path, records: int) -> list[int]:
    """Make claims, changes and releases of rows of two kinds; return the file's size after each."""
    ledger = LedgerFile(path, KINDS, PLACE)
    sizes = [path.stat().st_size]
    for number in range(records):
        macs = [(Vni(100), Mac(bytes((2, each)) + (number // 3).to_bytes(4))) for each in range(number % 5 + 1)]
        flood = (Vni(100), Ip.parse(f"10.1.0.{number % 250}"), Vni(100))
        if number % 3 < 2:
            ledger.claim("fdb", [RowGroup(macs, FdbRow(Ip.parse(f"10.0.{number % 3}.2")), number)])
        elif number % 2:
            ledger.release("fdb", macs)
        else:
            ledger.claim("flood", [RowGroup([flood], FloodRow(), number)])
        sizes.append(path.stat().st_size)
    ledger.close()
    return sizes


def _read(path: Path, octets: bytes) -> Claims:
    path.write_bytes(octets)
    ledger = LedgerFile(path, KINDS, PLACE)
    ledger.close()
    return {(kind.name, key): claim for kind in KINDS for key, claim in ledger.claims(kind.name).items()}


def _cut(path: Path, sizes: list[int]) -> Tally:
    whole = path.read_bytes()
    after = [_read(path, whole[:size]) for size in sizes]
    right = lost = 0
    start = time.monotonic()
    for cut in range(len(whole) + 1):
        wanted = after[max((place for place, size in enumerate(sizes) if size <= cut), default=0)]
        try:
            found = _read(path, whole[:cut])
        except LedgerError:
            found = {}
        right += found == wanted
        lost += len(wanted.keys() - found.keys())
    each_s = (time.monotonic() - start) / (len(whole) + 1)
    return Tally("ledger", "cut at every octet", len(whole) + 1, right, lost, None, each_s, f"{len(sizes) - 1} records")


def _damaged(path: Path, sizes: list[int]) -> Tally:
    path.unlink()
    _write(path, len(sizes) - 1)
    whole = path.read_bytes()
    without_last = _read(path, whole[: sizes[-2]])
    injected = right = torn = 0
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            injected += 1
            damaged = bytearray(whole)
            damaged[place] ^= flip
            try:
                found = _read(path, bytes(damaged))
            except LedgerError as refused:
                right += "remove the file" in str(refused) and str(path) in str(refused)
            else:
                torn += found == without_last and place >= sizes[-2]
    note = (
        f"{right:,} refused with words; {torn:,} in the last record, which cannot be told from a torn one, dropped it"
    )
    return Tally("ledger", "one octet damaged, at every octet", injected, right + torn, 0, None, None, note)


# Beside a daemon


Damage = Callable[[bytes, random.Random], bytes | None]


def _other(name: str) -> Damage:
    def damage(octets: bytes, _: random.Random) -> bytes:
        header, _newline, body = octets.partition(b"\n")
        return json.dumps(json.loads(header) | {name: "another"}).encode() + b"\n" + body

    return damage


def _flipped(octets: bytes, chance: random.Random) -> bytes:
    """Damage an octet in the first half of the records."""
    begin = octets.index(b"\n") + 1
    place = chance.randrange(begin, begin + (len(octets) - begin) // 2)
    return octets[:place] + bytes((octets[place] ^ chance.randrange(1, 256),)) + octets[place + 1 :]


def _torn(octets: bytes, chance: random.Random) -> bytes:
    return octets[: chance.randrange(octets.index(b"\n") + 1, len(octets) - 1)]


DAMAGES: Final[dict[str, tuple[Damage, str]]] = {
    "torn at a random octet": (_torn, ""),
    "damaged": (_flipped, "ledger refused"),
    "of another boot": (_other("boot"), "another boot"),
    "of another namespace": (_other("namespace"), "another namespace"),
    "emptied": (lambda _octets, _chance: b"", ""),
    "removed": (lambda _octets, _chance: None, ""),
}


def _life(one: Leaf, damage: Damage, said: str) -> float:
    """Kill the daemon, damage its ledger while routes come and go, and have another start with it."""
    assert one.vtep.process is not None
    one.churn()
    one.settle()
    one.vtep.process.kill()
    path = one.node.path(LEDGER)
    damaged = damage(path.read_bytes(), one.chance)
    if damaged is None:
        path.unlink()
    else:
        path.write_bytes(damaged)
    one.churn()
    before = one.vtep.process.log()
    process = one.vtep.start()
    start = time.monotonic()

    def told() -> str:
        return process.log()[len(before) :]

    wait_until(lambda: "routes complete" in told(), 30, "the whole picture")
    assert said in told(), f"nobody said {said!r}"
    assert said or "ledger refused" not in told(), "a ledger without damage was refused"
    wait_until(lambda: one.wanted() <= one.rows() | one.moved(), 30, "the rows that are wanted")
    one.node.run(str(VTEP), "adopt")
    one.settle()
    return time.monotonic() - start
