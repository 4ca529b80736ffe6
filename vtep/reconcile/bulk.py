"""The short path for plain rows: many rows that are alike are judged, claimed, sent and confirmed together.

For: a table of a million rows, and a burst of changes. Most rows are plain: nothing is known of them but a confirmed
claim, or nothing at all. The engine and the writer handle such a row in about ten calls; here it costs a fraction of one.

Knows which rows are plain, and how rows that become alike are put together. Does not know any other row: it returns their
keys, and the engine handles those one by one. The rows of a batch are handled one by one as well where the ledger could
not claim one of them, or where the target refused one.

How it works: `Bulk.take` judges keys and keeps those of plain rows in one `RowGroup` for each verdict, domain, value and
rank. `Bulk.write` and `Bulk.remove` cut the groups into batches of at most `MESSAGES_MAX` rows. For each batch they
append one record to the ledger for each group, and send one message for each run of alike rows.

An audit has a short path as well. `unlike` compares the rows of confirmed claims that are still wanted with what the target
has, many at once. Only those that are not exactly as claimed are looked at one by one.

The result is that of the path one by one, row by row: `tests/properties/test_bulk.py` compares the two. An engine with
`bulk=False` has no short path.

    120 MACs move from VTEP A to B, 7 new ones come behind B
    take     {REPLACE: RowGroup(120 keys, to B), CREATE: RowGroup(7 keys, to B)}
    write    a batch of 7 and a batch of 120: two ledger records, two sends
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from vtep.reconcile.claims import Claim, RowGroup
from vtep.reconcile.contract import (
    Change,
    Key,
    Kind,
    Row,
    Target,
    alike,
    asked,
    dependent,
    is_conversion,
    learns,
    readable,
)
from vtep.reconcile.judged import Judged, Pass, change_of
from vtep.reconcile.knowledge import Knowledge
from vtep.reconcile.steps import Steps, parts
from vtep.reconcile.verdict import Verdict
from vtep.reconcile.writer import MESSAGES_MAX, Writer

_WRITES: Final = (Verdict.CREATE, Verdict.REPLACE)
_REMOVES: Final = (Verdict.DELETE,)


class Batch(Struct, frozen=True):
    """Groups with one verdict that are claimed and sent together."""

    verdict: Verdict
    """CREATE, REPLACE or DELETE."""
    groups: Sequence[RowGroup]
    """At most MESSAGES_MAX rows in all; a large group is spread over several batches."""

    @property
    def keys(self) -> list[Key]:
        return [key for group in self.groups for key in group.keys]


class Bulk:
    """The plain rows of one kind in one pass."""

    def __init__(self, kind: Kind, known: Knowledge, this: Pass) -> None:
        self._kind = kind
        self._known = known
        self._this = this
        self._groups: dict[Verdict, dict[Hashable, RowGroup]] = {verdict: {} for verdict in (*_WRITES, *_REMOVES)}

    def take(self, keys: Sequence[Key]) -> list[Key]:
        """Keep the plain rows among these that need a write, and return the other keys.

        A row that has a trouble is not plain. Rows that others may need are never plain, and rows that cannot be
        looked up are plain only if they need others: of these there can be many, such as routes.
        """
        may_be_plain = (readable(self._kind) or dependent(self._kind)) and not learns(self._kind)
        if self._known.suspect or not may_be_plain or self._known.dependencies.is_needed(self._kind):
            return list(keys)
        troubled: list[Key] = []
        if self._known.is_amiss:
            name, has_trouble = self._kind.name, self._known.has_trouble
            troubled = [key for key in keys if has_trouble((name, key))]
            keys = [key for key in keys if not has_trouble((name, key))] if troubled else keys
        kind, foreign, lost = self._kind, self._known.foreign[self._kind.name], self._known.lost[self._kind.name]
        usable = self._this.attachments.ready.keys() - self._this.attachments.unconfigured
        claims, wishes = self._known.ledger.claims(kind.name).of(keys), asked(kind, self._this.intent, keys)
        alike: dict[Hashable, RowGroup | None] = {}
        others: list[Key] = troubled
        for key, (wanted, rank), claim, domain in zip(keys, wishes, claims, map(kind.domain, keys), strict=True):
            together = (domain, id(wanted), rank, id(claim), bool(lost) and key in lost)
            try:
                group = alike[together]
            except KeyError:
                is_usable = domain in usable
                found = self._group_of(domain, wanted, rank, claim, is_lost=together[-1]) if is_usable else None
                group = alike[together] = found
            if group is None or key in foreign:
                others.append(key)
            else:
                group.keys.append(key)
        return others

    def _group_of(
        self, domain: Hashable, wanted: Row | None, rank: int, claim: Claim | None, *, is_lost: bool
    ) -> RowGroup | None:
        """Judge all rows of which the same is wanted and claimed; return the group that they belong to, or None."""
        verdict = None
        if claim is None:
            is_free = wanted is not None and not (readable(self._kind) and domain in self._known.by_key)
            verdict = Verdict.CREATE if is_free else None
        elif claim.confirmed and wanted is None:
            verdict = Verdict.DELETE if self._this.intent.complete else None
        elif claim.confirmed and is_lost:
            verdict = Verdict.REPLACE  # also if it becomes another row: nothing is there that must be converted
        elif claim.confirmed and claim.row != wanted and not is_conversion(self._kind, claim.row, wanted):
            verdict = Verdict.REPLACE
        if verdict is None:
            return None
        of_claim = id(claim) if verdict is Verdict.DELETE else 0  # claims that are one are released together
        name = (domain, id(wanted), rank, is_lost, of_claim)
        return self._groups[verdict].setdefault(name, RowGroup([], wanted, rank))

    def write(self, writer: Writer) -> Steps[None]:
        """Create and change the rows that were kept."""
        yield from self._carry_out(writer, _WRITES)

    def remove(self, writer: Writer) -> Steps[None]:
        """Remove the rows that were kept."""
        yield from self._carry_out(writer, _REMOVES)

    def _carry_out(self, writer: Writer, verdicts: Iterable[Verdict]) -> Steps[None]:
        """Claim and send batch after batch, and let other work in after each.

        A batch takes the long path, row by row, if a domain is full, if a device changed under the pass, or if the
        rows that it needs are not there. There each row gets the trouble that it has.
        """
        for verdict in verdicts:
            for groups in batched(self._groups[verdict].values(), MESSAGES_MAX):
                batch = Batch(verdict, groups)
                writer.check_devices(self._this)
                if self._this.full or self._this.left or not self._may_write(batch):
                    rows = self._known.dependencies.writable(self._kind, self._one_by_one(batch))
                    yield from writer.carry_out(self._kind, rows, self._this)
                    continue
                self._write(writer, batch)
                yield None

    def _may_write(self, batch: Batch) -> bool:
        """Tell whether the rows that these groups need are there: a group has one value, so one look is enough for it."""
        if batch.verdict in _REMOVES:
            return True
        return all(self._known.dependencies.has_what_it_needs(self._kind, group) for group in batch.groups)

    def _write(self, writer: Writer, batch: Batch) -> None:
        """Claim and send one batch; the claims come first, so that a crash in between leaves no row that is not ours.

        If the ledger refuses, the writer takes the rows one by one, because some of them may be written all the
        same. If the target refuses a row, each of the batch is noted for itself.
        """
        kind, verb = self._kind, batch.verdict.value
        if batch.verdict in _WRITES and self._known.claim(kind, batch.groups) is not None:
            writer.write(kind, [(change_of(kind, row), row) for row in self._one_by_one(batch)], self._this)
            return
        if lost := self._known.lost[kind.name]:
            writer.take_note_of_repairs(kind, len(lost.intersection(batch.keys)), self._this)
        refused = writer.send(kind, [self._change(verb, group) for group in batch.groups], self._this)
        if refused:
            rows = [(change_of(kind, row), row) for row in self._one_by_one(batch)]
            writer.take_note(kind, rows, refused, self._this)
        else:
            writer.take_note_of_all(kind, verb, batch.keys, self._this)

    def _change(self, verb: str, group: RowGroup) -> Change:
        """Return the change of a group. Rows that are deleted together have one claim, which says what goes."""
        if verb != "delete":
            return Change(verb, group.keys, group.row)
        claim = self._known.ledger.claims(self._kind.name).get(group.keys[0])
        return Change(verb, group.keys, None if claim is None else claim.row)

    def _one_by_one(self, batch: Batch) -> list[Judged]:
        """Return the rows of a batch as the engine would have judged them. What is there was not looked at."""
        claims = self._known.ledger.claims(self._kind.name)
        return [
            Judged(key, group.row, None, claims.get(key), batch.verdict, group.rank)
            for group in batch.groups
            for key in group.keys
        ]


def unlike(kind: Kind, keys: Sequence[Key], known: Knowledge, target: Target, this: Pass) -> list[Key]:
    """Compare plain rows with what was claimed, many at once, and return the keys that must be looked at one by one.

    What a confirmed claim says is wanted, and is there: such a row is kept, and nothing else is to be done about it.
    """
    if (kind_of_alike := alike(kind)) is None or known.dependencies.is_needed(kind):
        return list(keys)
    claims, foreign = known.ledger.claims(kind.name).of(keys), known.foreign[kind.name]
    usable, is_amiss = this.attachments.ready.keys() - this.attachments.unconfigured, known.is_amiss
    groups: dict[Hashable, RowGroup] = {}
    others: list[Key] = []
    for key, (wanted, rank), claim in zip(keys, asked(kind, this.intent, keys), claims, strict=True):
        if (
            claim is None
            or not claim.confirmed
            or claim.rank != rank
            or claim.row != wanted
            or key in foreign
            or (domain := kind.domain(key)) not in usable
            or (is_amiss and known.has_trouble((kind.name, key)))
        ):
            others.append(key)
            continue
        if (group := groups.get(together := (domain, id(wanted)))) is None:
            group = groups[together] = RowGroup([], wanted)
        group.keys.append(key)
    for group in groups.values():
        if not known.dependencies.has_what_it_needs(kind, group):
            others += group.keys
            continue
        checks = kind_of_alike.checks(group.keys, group.row, this.attachments)
        differing = {index for check in checks for index in target.unlike(check)} if checks else range(len(group.keys))
        this.kept += len(group.keys) - len(differing)
        others += [group.keys[index] for index in sorted(differing)]
    return others


def batched(groups: Iterable[RowGroup], most: int) -> Iterator[list[RowGroup]]:
    """Cut groups, and put them together, so that at most so many keys are together."""
    together: list[RowGroup] = []
    room = most
    for group in groups:
        for keys in parts(group.keys, most):
            if len(keys) > room:
                yield together
                together, room = [], most
            together.append(RowGroup(keys, group.row, group.rank))
            room -= len(keys)
    if together:
        yield together
