"""The routes of every measurement, as ExaBGP prints them and as BGP carries them.

A line is a recorded one (tests/captures) with other MACs in it: as long as the real ones, field by field. Knows no daemon.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.lab import wire

PER_LINE: Final = 50
SPEAKER: Final = "10.0.0.1"
"""Tells all routes, as a route reflector would."""
OLD: Final = "10.0.0.1"
NEW: Final = "10.0.0.2"
"""Where a MAC moves to."""

_CAPTURE: Final = Path(__file__).parents[1] / "tests" / "captures" / "5.0.15" / "53-large-update-100-nlri.jsonl"
_MOBILITY: Final = ', { "value": %d, "string": "mac-mobility:%d" }'


def mac(number: int) -> str:
    return (2 << 40 | number).to_bytes(6).hex(":")


class Told:
    """One session of ExaBGP's: every line counts."""

    def __init__(self) -> None:
        recorded = next(line for line in _CAPTURE.read_text().splitlines() if '"update": {' in line)
        recorded = re.sub(r'"(peer|router-id)": "[^"]*"', rf'"\1": "{SPEAKER}"', recorded)
        nlri = re.search(r"\{ \"code\": 2, .*?\] \] \}", recorded)
        by_next_hop = re.search(r'\{ "[0-9.]*": \[ .* \] \}(?= \} \} \} \} \})', recorded)
        assert nlri is not None
        assert by_next_hop is not None
        self._nlri = nlri[0]
        head, tail = recorded[: by_next_hop.start()], recorded[by_next_hop.end() :]
        self._announce = (*re.split(r'(?<="counter": )\d+', head), tail)
        self._counter = 0

    def opening(self) -> bytes:
        """Say that the session is up."""
        return self._line("state", '"state": "up"')

    def end_of_rib(self) -> bytes:
        eor = '"direction": "receive", "message": { "eor": { "afi" : "l2vpn", "safi" : "evpn" } }'
        return self._line("update", eor)

    def announce(
        self, numbers: Iterable[int], vtep: str = OLD, seq: int = 0, per_line: int = PER_LINE
    ) -> Iterator[bytes]:
        """Yield the lines in which these MACs are announced."""
        before, after, tail = self._announce
        if seq:
            last = after.rindex(' ] }, "announce"')
            after = after[:last] + _MOBILITY % (6 << 56 | seq, seq) + after[last:]
        told = self._told(vtep)
        for some in _chunks(numbers, per_line):
            nlris = ", ".join(told % (2 << 40 | number, mac(number).upper()) for number in some)
            yield f'{before}{self._next()}{after}{{ "{vtep}": [ {nlris} ] }}{tail}'.encode()

    def withdraw(self, numbers: Iterable[int], vtep: str = OLD, per_line: int = PER_LINE) -> Iterator[bytes]:
        """Yield the lines in which these MACs are withdrawn, with label 0 as FRR does."""
        before, after, tail = self._announce
        start = after.index('"attribute"')
        told = self._told(vtep, label=0)
        for some in _chunks(numbers, per_line):
            nlris = ", ".join(told % (2 << 40 | number, mac(number).upper()) for number in some)
            yield f'{before}{self._next()}{after[:start]}"withdraw": {{ "l2vpn evpn": [ {nlris} ] }}{tail[2:]}'.encode()

    def _told(self, vtep: str, label: int = 100) -> str:
        """Return the recorded NLRI with places for the MAC, as octets and as text."""
        raw = wire.Instance(vtep).mac(mac(0)).nlri[:25].hex().upper() + f"%012X00{label:06X}"
        text = re.sub(r'"raw": "[^"]*"', f'"raw": "{raw}"', self._nlri)
        text = re.sub(r'"rd": "[^"]*"', f'"rd": "{vtep}:100"', text)
        text = re.sub(r'"mac": "[^"]*"', '"mac": "%s"', text)
        return text if label else text.replace("[6, 100]", "[0]")

    def _line(self, kind: str, rest: str) -> bytes:
        before, after, _ = self._announce
        after = after.replace('"update"', f'"{kind}"', 1)
        return f"{before}{self._next()}{after[: after.index(chr(34) + 'direction')]}{rest} }} }}".encode()

    def _next(self) -> int:
        self._counter += 1
        return self._counter


def announcements(
    numbers: Iterable[int], vtep: str = OLD, seq: int | None = None, *, per_update: int = PER_LINE
) -> bytes:
    """Return the UPDATE messages of the same routes."""
    instance = wire.Instance(vtep)
    return b"".join(wire.updates((instance.mac(mac(number), seq=seq) for number in numbers), per_update))


def withdrawals(numbers: Iterable[int], vtep: str = OLD) -> bytes:
    instance = wire.Instance(vtep)
    return b"".join(wire.withdrawals([wire.unlabelled(instance.mac(mac(number)).nlri) for number in numbers], PER_LINE))


def _chunks(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    part: list[int] = []
    for number in numbers:
        part.append(number)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
