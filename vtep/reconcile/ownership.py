"""What a claim is, and when it makes a row ours. Pure: how claims outlive the process is the ledger file's business.

A claim is written before its row. After a crash nobody knows whether the row followed, so a claim read back is
unconfirmed: it covers only the two values that we may have left there, the new one and the one before.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from vtep.reconcile.kind import Key, Row, Seen


class Claim(Struct, frozen=True, gc=False):
    """We wrote this row, or were about to."""

    row: Row
    rank: int = 0
    """How strong the row's reason was, for a start at which not every peer has spoken yet."""
    before: Row | None = None
    """What we had there before, while the new value is unconfirmed."""
    confirmed: bool = False


class Ledger(Protocol):
    """Which rows are ours, by kind."""

    def claims(self, kind: str) -> Mapping[Key, Claim]: ...

    def claim(self, kind: str, rows: Mapping[Key, tuple[Row, int]]) -> None:
        """Note, before they are written, that these rows are ours, each with its rank."""

    def confirm(self, kind: str, keys: Iterable[Key]) -> None:
        """These rows are there as claimed."""

    def release(self, kind: str, keys: Iterable[Key]) -> None:
        """These rows are gone, or somebody else's."""


class Claims:
    """A ledger that ends with its process."""

    def __init__(self) -> None:
        self._claims: dict[str, dict[Key, Claim]] = {}

    def claims(self, kind: str) -> Mapping[Key, Claim]:
        return self._claims.setdefault(kind, {})

    def claim(self, kind: str, rows: Mapping[Key, tuple[Row, int]]) -> None:
        claims = self._claims.setdefault(kind, {})
        for key, (row, rank) in rows.items():
            old = claims.get(key)
            before = None if old is None else old.row if old.row != row else old.before
            claims[key] = Claim(row, rank, before)

    def confirm(self, kind: str, keys: Iterable[Key]) -> None:
        claims = self._claims.setdefault(kind, {})
        for key in keys:
            claim = claims[key]
            claims[key] = Claim(claim.row, claim.rank, None, confirmed=True)

    def release(self, kind: str, keys: Iterable[Key]) -> None:
        claims = self._claims.setdefault(kind, {})
        for key in keys:
            claims.pop(key, None)


def is_ours(claim: Claim | None, seen: Seen) -> bool:
    """Tell whether the row that is there is the one we claimed."""
    if seen.tagged:
        return True
    if claim is None or not (seen.marked or seen.listed):
        return False
    return claim.confirmed or seen.row is None or seen.row in (claim.row, claim.before)
