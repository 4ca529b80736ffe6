"""One pass: look, judge, write, report. This is where a wanted table becomes a table in the kernel.

**Purpose.** The engine is given an intent, and makes the target equal to it. It touches no row that is not ours, and it ends
right after any crash, refusal, lost answer or change by another program.

**What it knows.** The intent: what is wanted. The target: what is there, if it looks. The ledger: what is ours. `Knowledge`:
what earlier passes found. It visits every key in any of these, so a row that only the ledger knows is found as well.

**What it does not know.** What a row means and how it is spelled (the kind does); what a device is (the target does); what time
it is (`now` is an argument); when the next pass comes (the actor decides). It does not wait, log or try anything twice.

**How a pass goes.**

    attachments ─> look ─> recognise ─> judge ─> settle ─┬─> create, replace    kinds in order: claim, then write
                                                         └─> delete             kinds in reverse: delete, then release

1. *Attachments.* The target says where rows can be written. A domain that changed makes what is known of it void.
2. *Look.* The rows are read from the target, or presumed from what is known; the scope decides which.
3. *Judge.* Each key gets one of seven verdicts (`verdict`). A domain that is not ready gets none: its rows stay as they are.
4. *Settle.* What needs no write ends here: a row to keep, a row of another program, a claim to release. So does what must wait:
   a deletion while the picture is incomplete, a change that was refused and is not due yet.
5. *Write.* The kinds are written in the order of their tuple and removed in reverse, because a row may need rows of kinds before
   its own (`dependencies`). A claim is on disk before its row is written, and is released after the row is gone.
6. *Report.* Counts, and the rows that are not as wanted (`troubles`), each with its reason.

**Scopes.** How much a pass looks at:

    small    reads back the keys that hints name. For keys that the intent touched it relies on what is known: a confirmed
             claim is there, and a key is free if no foreign row was seen there and no hint named it
    audit    reads back every row that is known, one by one. For a large table this is cheaper than a dump, whose cost grows
             with the square of the table
    survey   reads everything by a dump. Nothing is written before one survey succeeded

A domain that changed needs a survey, or a look by key (`_look_by_key`), which reads back what is wanted, claimed or known there.
The second costs no dump, but it sees no row of another program at any other key. So `Knowledge.by_key` remembers the domain.

An audit and a survey are *sweeps*. They look, judge by the latest intent, and write, part by part; small passes may run between
two parts. What a small pass looked at is `overtaken`: a survey leaves it alone, because its dump is older.

A pass is a generator that yields between short pieces of work (`steps`), so that its caller can let other work run.

**Example.** VTEP A withdraws MAC m, and B advertises m with a higher sequence number. Both come in one intent. The actor asks for
a small pass that touched (100, m). The claim of (100, m) is confirmed with the row "to A", and "to B" is wanted: REPLACE. The row
is plain, so `bulk` takes it: the ledger notes "to B, before: to A", one message goes out, and its answer confirms the claim. If
the daemon dies in between, the next one finds a claim that covers both values, so the row is still ours.
"""

from collections import Counter
from collections.abc import Callable, Collection, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Final, cast

from msgspec import Struct

from vtep.errors import KernelError
from vtep.intent import Intent
from vtep.reconcile.bulk import Bulk, unlike
from vtep.reconcile.claims import Claim, Ledger, Moment, RowGroup, as_handed_over
from vtep.reconcile.contract import (
    LOCAL_LEARNED,
    Attachments,
    Key,
    Kind,
    Row,
    Seen,
    Target,
    as_part,
    asked,
    contest,
    readable,
)
from vtep.reconcile.dependencies import in_order_of_need
from vtep.reconcile.judged import (
    Judged,
    Pass,
    is_as_claimed,
    is_as_left,
    is_left_over,
    is_unwanted,
    operation,
    take_over,
)
from vtep.reconcile.knowledge import Knowledge, Known
from vtep.reconcile.observing import DIFFERENT, ReadOnly, Spectator, observed
from vtep.reconcile.report import Report, Trouble
from vtep.reconcile.steps import Steps, parts, parts_or_none
from vtep.reconcile.verdict import Verdict, judge
from vtep.reconcile.writer import Writer, trouble_of
from vtep.store.sharded import ShardedDict

LOOKUPS_MAX: Final = 128
"""Rows in one look of a small pass. That takes a millisecond, or ten while a dump makes each lookup wait its turn."""
ROWS_MAX: Final = 1024
"""Rows that are judged between two yields."""
SWEPT_MAX: Final = 64
"""Rows that a sweep looks at between two yields, so that a change waits for a millisecond and not for five."""
DOMAINS_MAX: Final = 64
"""When more domains change at once, a dump of everything is as cheap."""
DUMP_ROWS_MAX: Final = 30_000
"""A larger table is audited row by row (measured: a dump of 30,000 MACs costs as much as reading them back)."""

_NEVER: Final = -1
"""Below every rank."""


class Scope(Struct, frozen=True):
    """What a pass looks at."""

    survey: bool = False
    """Everything there is."""
    audit: bool = False
    """Everything that is known."""
    hinted: Mapping[str, Iterable[Key]] = {}
    """By kind: keys where something happened, which are read back."""
    touched: Mapping[str, Iterable[Key]] = {}
    """By kind: keys where what is wanted changed."""
    later: Mapping[str, Container[Key]] = {}
    """By kind: keys that small passes will look at soon, so an audit leaves them out. A survey does not, because small passes
    rely on it."""


class Engine:
    """Makes a target equal to an intent, one pass at a time; a small one may be made within a sweep."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        target: Target,
        ledger: Ledger,
        chance: Callable[[], float] = lambda: 0.5,
        *,
        bulk: bool = True,
        observes: bool = False,
    ) -> None:
        """Make an engine; without `bulk` it handles each row by itself, which gives the same result and costs more.

        One that observes writes nothing, and judges rows that others write (`observing`).
        """
        ordered = in_order_of_need(kinds)
        self.kinds = observed(ordered) if observes else ordered
        """In the order in which they are written."""
        self.target = cast("Target", ReadOnly(target)) if observes else target
        self.observes = observes
        self.ledger = ledger
        self._known = Knowledge(self.kinds, ledger)
        self.backlog = self._known.backlog
        self.troubles = self._known.troubles
        self._dependencies = self._known.dependencies
        self._writer = (Spectator if observes else Writer)(self.target, self._known, chance)
        self._known.is_observed = observes
        self._is_bulk = bulk and not observes
        self._passes = 0
        self._intent = Intent()
        """The latest: a sweep judges by it, and not by the one with which it began."""
        self._attachments = Attachments({}, {})
        self._was_complete = False
        """The picture of the last pass was complete: what an intent touched since then is news."""
        self._sweeps = 0
        self._sweeping: Pass | None = None
        """The sweep under way."""
        self._later: Mapping[str, Container[Key]] = {}
        self._overtaken: dict[str, ShardedDict[Key, None]] = {}
        """Keys that small passes looked at since the survey under way began. An audit reads what it judges, and needs none."""

    def run(self, intent: Intent, now: float, scope: Scope = Scope(survey=True)) -> Steps[Report]:  # noqa: B008 - frozen
        """Make one pass and return its report. KernelError means that there was no picture to judge by."""
        self._passes += 1
        self._intent = intent
        if self._sweeping is not None:
            self._sweeping.intent = intent  # so that the table before can be freed
        number = self._passes
        self.troubles.now = now
        try:
            sweeps = scope.survey or scope.audit or not self._known.surveyed
            before, changed = self._attachments, frozenset[Hashable]()
            if looked_up := sweeps or self._writer.attachments_suspect:
                changed = self._look_up_attachments(may_look_by_key=not sweeps)
            this = Pass(intent, self._attachments, now)
            del intent  # a sweep takes long, and must not keep old tables in memory
            if looked_up and self._attachments.replaced and not self.observes:
                yield from self._leave_replaced(this)
            if changed:
                yield from self._look_by_key(changed, before, scope, this)
            awaits = self.observes and not self._intent.complete
            survey = not awaits and (scope.survey or not self._known.surveyed)
            if awaits:
                self._known.surveyed = False  # so one dump compares everything, instead of a lookup for each route
            elif survey or scope.audit:
                yield from self._sweep(scope, this, by_dump=survey)
            else:
                yield from self._pass(scope, this)
        except KernelError:
            self._known.surveyed = False
            raise
        self._was_complete = self._intent.complete
        return self._report(number, this, audited=not awaits and (survey or scope.audit))

    @property
    def surveyed(self) -> bool:
        """Tell whether a small pass may be made: the last survey succeeded, and no domain changed since."""
        return self._known.surveyed

    @property
    def changes(self) -> Counter[tuple[str, str]]:
        """Return how many changes were sent so far, by verb and result: ok, or the name of the errno."""
        return self._writer.changes

    @property
    def written(self) -> int:
        """Return how many changes were made so far."""
        return self._writer.written

    @property
    def repairs(self) -> Counter[str]:
        """Return how many rows were repaired so far, by kind."""
        return self._writer.repairs

    def mark_suspect(self) -> None:
        """Distrust what is known: until the next survey, a small pass reads back what it writes over."""
        self._known.suspect = True

    def lose(self, kind: str, keys: Iterable[Key]) -> None:
        """Note that the target removed claimed rows by itself, or a part of each: the next pass writes them again."""
        claims = self.ledger.claims(kind)
        self._known.lost[kind].update(key for key in keys if key in claims)

    def suspect_attachments(self) -> None:
        """Note that devices changed: the next pass looks up the attachments, and surveys if a domain changed."""
        self._writer.attachments_suspect = self._writer.devices_changed = True

    def adopt(self, name: str, key: Key, seen: Seen, at: Moment) -> None:
        """Claim a row that is there, if nothing is claimed at its key; also one of another daemon, which an operator hands over."""
        [kind] = [kind for kind in self.kinds if kind.name == name]
        row = seen.row if seen.adoptable is None else seen.adoptable
        group = RowGroup([key], row, adopted=seen.adoptable is not None)
        if key not in self.ledger.claims(name) and self._known.claim(kind, [group]) is None:
            self._known.confirm(kind, [key], at)

    def is_ready(self, domain: Hashable) -> bool:
        """Tell whether rows can be written in a domain, as of the last look."""
        return domain in self._attachments.ready

    def foreign(self, kind: str) -> Mapping[Key, Seen]:
        """Return what was seen that is not ours."""
        return self._known.foreign[kind]

    def known_among(self, kind: str, keys: Collection[Key]) -> list[Key]:
        """Return the keys at which a row or a problem is known: only there is it news that a row is gone."""
        known = self._known
        foreign, troubles, claims = known.foreign[kind], known.troubles, known.ledger.claims(kind).of(keys)
        return [
            key
            for key, claim in zip(keys, claims, strict=True)
            if claim is not None or key in foreign or (kind, key) in troubles
        ]

    def has(self, kind: str, key: Key) -> bool:
        """Tell whether a row of ours is at a key, or a row of another program in its place."""
        return key in self.ledger.claims(kind) or key in self._known.foreign[kind]

    def known_of(self, kind: str, key: Key) -> Known:
        """Return what is known of a row without looking."""
        return self._known.of(kind, key)

    def look(self, kind: str, key: Key) -> Seen | None:
        """Look at one row now; None also if its domain is not ready."""
        [found] = [one for one in self.kinds if one.name == kind]
        return self._writer.look(found, [key], self._attachments).get(key)

    def _look_up_attachments(self, *, may_look_by_key: bool) -> frozenset[Hashable]:
        """Look up the attachments. In a domain that changed, nothing known counts, and refused changes are tried again.

        Return the domains that changed, if a look by key may be enough for them.
        """
        before, self._attachments = self._attachments, self.target.attachments()
        self._writer.attachments_suspect = self._writer.devices_changed = False
        domains = before.ready.keys() | self._attachments.ready.keys()
        changed = {domain for domain in domains if before.ready.get(domain) != self._attachments.ready.get(domain)}
        is_survey_under_way = bool(self._overtaken)
        by_key = may_look_by_key and not is_survey_under_way and not self.observes and len(changed) <= DOMAINS_MAX
        self._known.surveyed &= by_key or not changed
        kinds = {kind.name: kind for kind in self.kinds}
        self.backlog.rearm(lambda row: kinds[row[0]].domain(row[1]) in changed)
        return frozenset(changed) if by_key else frozenset()

    def _look_by_key(self, domains: frozenset[Hashable], before: Attachments, scope: Scope, this: Pass) -> Steps[None]:
        """Look at domains that changed, without a dump, and make them right; if that cannot be, a survey is needed.

        No other pass comes between, because only a sweep lets others in. An audit under way goes on by the new attachments. What
        it judged by those before it must not write.
        """
        self._known.surveyed = False
        entries = yield lambda: self.target.unreadable_entries(domains, before, this.attachments)
        if entries is None:
            return
        self._known.surveyed = True
        self._known.by_key |= domains
        if self._sweeping is not None:
            self._sweeping.attachments = this.attachments
            self._sweeping.left |= domains
        removals: dict[Kind, list[Judged]] = {}
        for kind in self.kinds:
            picture = None if readable(kind) else kind.recognise(entries, this.attachments)
            going, touched = removals.setdefault(kind, []), set(scope.touched.get(kind.name, ()))
            for part in self._parts(kind, scope, picture):
                if keys := [key for key in part if kind.domain(key) in domains]:
                    rows = self._sift(kind, keys, self._seen(kind, keys, picture, this), touched, this)
                    going += _removals(rows)
                    yield from self._write(kind, rows, this)
                yield None
        for kind, rows in reversed(removals.items()):
            yield from self._remove(kind, rows, this)

    def _leave_replaced(self, this: Pass) -> Steps[None]:
        """Remove our rows from devices that were put in the place of ours, and release their claims.

        A pass that was under way wrote them there. They are not rows of their VNI, so they go whether the picture is complete
        or not; a row that is not exactly as it was claimed stays, because another program may have written it.
        """
        there = Pass(this.intent, Attachments(this.attachments.replaced, {}), this.now)
        entries = yield lambda: self.target.entries(there.attachments)
        for kind in reversed(self.kinds):
            picture = yield partial(kind.recognise, entries, there.attachments)
            claims = self.ledger.claims(kind.name)
            for part in parts(picture.items(), ROWS_MAX):
                rows = [
                    Judged(key, None, seen, claim, Verdict.DELETE if seen.whole else Verdict.FORGET)
                    for key, seen in part
                    if seen.marked and is_as_claimed(seen.row, claim := claims.get(key))
                ]
                yield from self._writer.carry_out(kind, rows, there)
                yield None
        this.deleted += there.deleted
        this.shed += there.shed

    # A small pass: all is judged, then written

    def _pass(self, scope: Scope, this: Pass) -> Steps[None]:
        """Judge the keys of every kind, then write, then remove.

        The kinds are in order of need: a row is written after those that it needs, and removed before them. While a survey is
        under way, the keys are noted as overtaken, because its dump may be older than this look.
        """
        todo: dict[Kind, tuple[Bulk, list[Judged]]] = {}
        for kind in self.kinds:
            touched, hinted = dict.fromkeys(scope.touched.get(kind.name, ())), set(scope.hinted.get(kind.name, ()))
            if (overtaken := self._overtaken.get(kind.name)) is not None:
                for key in chain(touched, hinted):
                    overtaken[key] = None
            todo[kind] = yield from self._judged(kind, touched, hinted, this)
        for kind, (bulk, rows) in todo.items():
            if readable(kind) or not self._known.suspect:  # else the survey under way comes to them
                rows.extend((yield from self._freed(kind, self._dependencies.take_writable(kind), this)))
            yield from bulk.write(self._writer)
            yield from self._write(kind, rows, this)
        for kind, (bulk, rows) in reversed(todo.items()):
            rows.extend((yield from self._freed(kind, self._dependencies.take_removable(kind), this)))
            yield from bulk.remove(self._writer)
            yield from self._remove(kind, rows, this)

    def _write(self, kind: Kind, rows: list[Judged], this: Pass) -> Steps[None]:
        """Write the rows among these that are wanted and have what they need."""
        writes = [row for row in rows if row.verdict is not Verdict.DELETE]
        able = self._dependencies.writable(kind, writes)
        self._forget_retries(kind, writes, able)
        yield from self._writer.carry_out(kind, able, this)

    def _remove(self, kind: Kind, rows: list[Judged], this: Pass) -> Steps[None]:
        """Remove the rows among these that are to go and that no other row needs."""
        removals = _removals(rows)
        able = self._dependencies.removable(kind, removals)
        self._forget_retries(kind, removals, able)
        yield from self._writer.carry_out(kind, able, this)

    def _forget_retries(self, kind: Kind, rows: list[Judged], able: list[Judged]) -> None:
        """Forget that a row is to be tried again if it waits for another one: it would stay due, and passes would never rest."""
        if len(able) < len(rows):
            found = {row.key for row in able}
            for row in rows:
                if row.key not in found:
                    self.backlog.settle((kind.name, row.key))

    def _freed(self, kind: Kind, keys: list[Key], this: Pass) -> Steps[list[Judged]]:
        """Judge rows that had waited for a row of another kind."""
        rows: list[Judged] = []
        for part in parts(keys, LOOKUPS_MAX // 2):
            this.take(self._intent)
            seen = (
                self._writer.look(kind, part, this.attachments) if readable(kind) else self._presumed(kind, part, this)
            )
            rows += self._sift(kind, part, seen, (), this)
            yield None
        return rows

    def _judged(
        self, kind: Kind, touched: dict[Key, None], hinted: set[Key], this: Pass
    ) -> Steps[tuple[Bulk, list[Judged]]]:
        """Settle the rows that need no write, and return the plain rows and the others that need one."""
        bulk = Bulk(kind, self._known, this)
        rows: list[Judged] = []
        suspect: list[Key] = []
        if self.observes and not readable(kind):
            return bulk, rows  # only a survey shows them
        if readable(kind):
            suspect += hinted
        presumed = [key for key in touched if key not in hinted] if hinted else list(touched)
        if not readable(kind):
            presumed += hinted
        for part in parts(presumed, ROWS_MAX):
            others = bulk.take(part) if self._is_bulk else part
            sure = [key for key in others if not readable(kind) or self._known.is_sure(kind, key)]
            suspect += set(others).difference(sure)
            rows += self._sift(kind, sure, self._presumed(kind, sure, this), touched, this)
            yield None
        for part in parts(suspect, LOOKUPS_MAX // 2):
            rows += self._sift(kind, part, self._writer.look(kind, part, this.attachments), touched, this)
            yield None
        return bulk, rows

    def _presumed(self, kind: Kind, keys: Sequence[Key], this: Pass) -> Mapping[Key, Seen | None]:
        unwanted = () if readable(kind) else {key for key in keys if self._wanted(kind, key, this) is None}
        return self._known.presume(kind, keys, unwanted)

    # A sweep: part by part, what is judged is written at once

    def _sweep(self, scope: Scope, this: Pass, *, by_dump: bool) -> Steps[None]:
        """Look at everything, and write and remove part by part; small passes go on between the parts.

        Removals come last, kind by kind in the reverse order, so that no row loses what it needs. If another sweep
        began meanwhile, this one leaves the rest to it. After a dump during which no device changed, what is neither
        claimed nor foreign is known not to be there.
        """
        self._sweeps += 1
        number = self._sweeps
        self._sweeping = this
        self._later = {} if by_dump else scope.later
        self._overtaken = {kind.name: ShardedDict() for kind in self.kinds} if by_dump else {}
        self._known.suspect |= by_dump
        unwanted = yield from self._swept(scope, this, number, by_dump=by_dump)
        for kind, seen in reversed(unwanted.items()):
            for part in parts(seen, SWEPT_MAX):
                if self._sweeps == number:
                    picture = None if readable(kind) and not by_dump else seen
                    yield from self._remove(kind, self._sift_now(kind, part, picture, (), this), this)
            freed = yield from self._freed(kind, self._dependencies.take_removable(kind), this)
            yield from self._remove(kind, freed, this)
        if self._sweeps == number:
            overtaken, self._overtaken = self._overtaken, {}
            self._known.surveyed |= by_dump and not this.left
            self._known.suspect &= not by_dump
            if by_dump:
                self._known.by_key &= this.left
            for keys in overtaken.values():
                yield from keys.drop()
        if self._sweeping is this:
            self._sweeping = None

    def _swept(
        self, scope: Scope, this: Pass, number: int, *, by_dump: bool
    ) -> Steps[dict[Kind, dict[Key, Seen | None]]]:
        """Look everywhere and write; return what was seen where something is to be removed."""
        entries = (yield lambda: self.target.entries(this.attachments)) if by_dump else None
        unwanted: dict[Kind, dict[Key, Seen | None]] = {}
        for kind in self.kinds:
            picture = None if entries is None else (yield partial(kind.recognise, entries, this.attachments))
            going = unwanted[kind] = {}
            touched = set(scope.touched.get(kind.name, ()))
            for part in self._parts(kind, scope, picture):
                if self._sweeps != number:
                    return {}  # a domain changed, and everything was surveyed again
                rows = self._sift_now(kind, part, picture, touched, this)
                going.update((row.key, row.seen) for row in _removals(rows))
                yield from self._write(kind, rows, this)
                yield None
            freed = yield from self._freed(kind, self._dependencies.take_writable(kind), this)
            yield from self._write(kind, freed, this)
        return unwanted

    def _sift_now(
        self,
        kind: Kind,
        keys: list[Key],
        picture: Mapping[Key, Seen | None] | None,
        touched: Container[Key],
        this: Pass,
    ) -> list[Judged]:
        """Judge by the latest intent, and leave out what small passes have looked at since, or will soon."""
        this.take(self._intent)
        overtaken, later = self._overtaken.get(kind.name, ()), self._later.get(kind.name, ())
        concerned = keys
        if overtaken or later:
            concerned = [key for key in keys if key not in overtaken and key not in later]
        if picture is None and self._is_bulk:
            concerned = unlike(kind, concerned, self._known, self.target, this)
        return self._sift(kind, concerned, self._seen(kind, concerned, picture, this), touched, this)

    def _parts(self, kind: Kind, scope: Scope, picture: Mapping[Key, Seen] | None) -> Iterator[list[Key]]:
        """Yield every key that is known in any way, while what is known changes; an empty part where a long search finds none."""
        named = {key for keys in (scope.touched, scope.hinted) for key in keys.get(kind.name, ())}
        if picture is None and not readable(kind):
            yield from parts(named, SWEPT_MAX)
            return
        claims, seen = self.ledger.claims(kind.name), picture or {}
        rest = named | self._known.foreign[kind.name].keys()
        yield from parts(seen, SWEPT_MAX)
        for looked_through in chain.from_iterable(parts(list(part), ROWS_MAX) for part in claims.shards):
            yield from parts_or_none([key for key in looked_through if key not in seen], SWEPT_MAX)
        for looked_through in parts(kind.wanted(lambda: self._intent), ROWS_MAX):
            found = [key for key in looked_through if key not in seen and key not in claims]
            yield from parts_or_none(found, SWEPT_MAX)
        troubled = (key for name, key in list(self.troubles) if name == kind.name and key not in rest)
        for looked_through in parts(chain(rest, troubled), ROWS_MAX):
            unknown = [key for key in looked_through if key not in seen and key not in claims]
            asked_for = asked(kind, self._intent, unknown)
            left = [key for key, (row, _) in zip(unknown, asked_for, strict=True) if row is None]
            yield from parts_or_none(left, SWEPT_MAX)

    def _seen(
        self, kind: Kind, keys: Sequence[Key], picture: Mapping[Key, Seen | None] | None, this: Pass
    ) -> Mapping[Key, Seen | None]:
        """Return what is there: from the dump where it can be relied on, otherwise by looking."""
        if not readable(kind):
            return self._presumed(kind, keys, this) if picture is None else picture
        if picture is None:
            return self._writer.look(kind, keys, this.attachments)
        # A dump can lack rows that are there, if rows are deleted meanwhile (kernels 6.1 to 6.18).
        claims = self.ledger.claims(kind.name)
        suspect = []
        for key in keys:
            seen = picture.get(key)
            if seen is None or (not seen.whole and (key in claims or kind.wanted_at(this.intent, key) is not None)):
                suspect.append(key)
        if not suspect:
            return picture
        found = self._writer.look(kind, suspect, this.attachments)
        return {key: picture.get(key) for key in keys} | {key: found.get(key) for key in suspect}

    # Judging

    def _sift(
        self, kind: Kind, keys: Sequence[Key], seen: Mapping[Key, Seen | None], touched: Container[Key], this: Pass
    ) -> list[Judged]:
        """Settle the rows that need no write, and return the others."""
        judged = (
            self._judge(kind, key, wish, seen.get(key), this, touched=key in touched)
            for key, wish in zip(keys, asked(kind, this.intent, keys), strict=True)
        )
        return [row for row in judged if self._settle(kind, row, this)]

    def _wanted(self, kind: Kind, key: Key, this: Pass) -> Row | None:
        return None if kind.domain(key) in this.attachments.unconfigured else kind.wanted_at(this.intent, key)

    def _judge(
        self, kind: Kind, key: Key, wish: tuple[Row | None, int], seen: Seen | None, this: Pass, *, touched: bool
    ) -> Judged:
        """Judge one row, with what may have been handed over to us, and where its domain is no longer configured.

        A row that a station of this leaf holds is contested. It is taken over only if the route is newer knowledge
        (`_is_newer`).
        """
        domain, (wanted, rank) = kind.domain(key), wish
        if domain in this.attachments.unconfigured:
            wanted = None
        claim = self.ledger.claims(kind.name).get(key)
        seen = as_part(kind, wanted, as_handed_over(seen, claim))
        if domain not in this.attachments.ready:
            return Judged(key, wanted, seen, claim, None)
        verdict = judge(wanted, seen, claim)
        if verdict is not Verdict.CONTESTED or seen is None or seen.holder != LOCAL_LEARNED:
            return Judged(key, wanted, seen, claim, verdict, rank)
        if self._is_newer(kind, key, rank, claim, this, touched=touched):
            verdict = take_over(wanted, seen, claim)
        return Judged(key, wanted, seen, claim, verdict, rank)

    def _is_newer(self, kind: Kind, key: Key, rank: int, claim: Claim | None, this: Pass, *, touched: bool) -> bool:
        """Tell whether a remote route is newer knowledge than a station that the bridge learned here.

        A route that comes, or whose rank rises, after the station was learned says that the station left. A row that was there
        before the station yields to it. At the start it is not known which is older, and the station stays, unless its own
        route was compared with the others and lost: that may become known later than the row.
        """
        yielded, ref = self._known.yielded, (kind.name, key)
        before = yielded.get(ref)
        is_new = before is None and claim is None and self._was_complete
        ranked = contest(kind)
        if touched and (is_new or (ranked is not None and ranked.is_settled(this.intent, key))):
            before = yielded[ref] = _NEVER  # it stays news until it is written
        return before is not None and rank > before

    # What needs no write

    def _settle(self, kind: Kind, row: Judged, this: Pass) -> bool:
        """Settle a row that needs no write; return whether it needs one."""
        ref = (kind.name, row.key)
        self._dependencies.settle(ref)
        self._note_foreign(kind, row)
        match row.verdict:
            case None:
                self._known.clear(ref)
                if row.wanted is not None and kind.domain(row.key) in this.attachments.not_ready:
                    self.troubles.note(ref, Trouble("pending", "not-ready"))
                return False
            case Verdict.KEEP:
                self._keep(kind, row, this)
                return False
            case Verdict.CONTESTED:
                assert row.seen is not None
                if self.observes and not row.seen.holder.startswith("local-"):
                    self.troubles.note(ref, Trouble("contested", DIFFERENT))
                    return False
                adoptable = row.seen.adoptable is not None and row.seen.adoptable == row.wanted
                self.troubles.note(
                    ref, Trouble("contested", "adoptable" if adoptable else row.seen.holder or "foreign")
                )
                if row.seen.holder == LOCAL_LEARNED:
                    self._known.yielded.setdefault(ref, row.rank)
                return self._yield_key(kind, row, this)
            case Verdict.FOREIGN:
                this.foreign += 1
                this.orphans += row.seen is not None and row.seen.marked and row.seen.whole
                self._known.clear(ref)
                return False
            case Verdict.FORGET:
                self.troubles.clear(ref)
                self._known.yielded.pop(ref, None)
                return self._yield_key(kind, row, this)
            case _:
                return self._is_allowed(kind, row, this)

    def _note_foreign(self, kind: Kind, row: Judged) -> None:
        """Remember what is there and is not ours, so that it is read back before anything is written at that key."""
        foreign = self._known.foreign[kind.name]
        if row.seen is not None and row.verdict in (Verdict.FOREIGN, Verdict.CONTESTED, Verdict.FORGET):
            foreign[row.key] = row.seen
        else:
            foreign.pop(row.key, None)

    def _keep(self, kind: Kind, row: Judged, this: Pass) -> None:
        """Note that a row is as wanted, and claim it if it was not claimed, or was with another value or rank.

        Before the picture is complete, a claim that an earlier daemon left with a higher rank stays: the stronger
        route may come back. If the ledger cannot be written, the row stays as it is, unclaimed, and is reported as
        failed.
        """
        this.kept += 1
        this.adopted += row.claim is None
        self._known.clear((kind.name, row.key))
        rank, claim = row.rank, row.claim
        if claim is not None and claim.row == row.wanted:
            if claim.confirmed and claim.rank == rank:
                return
            if not claim.confirmed and claim.rank > rank and not this.intent.complete:
                return  # the daemon before this one knew a stronger route, which may come back
        if claim is None or claim.row != row.wanted or claim.rank != rank:
            unclaimed = self._known.claim(kind, [RowGroup([row.key], row.wanted, rank)])
            if unclaimed is not None and unclaimed.keys:
                trouble = Trouble("failed", "state-dir", unclaimed.text, unclaimed.errno)
                self.troubles.note((kind.name, row.key), trouble)
                return
        self._known.confirm(kind, [row.key], this.moment)
        self._known.mark_changed(kind, [row.key])

    def _yield_key(self, kind: Kind, row: Judged, this: Pass) -> bool:
        """Release a claim whose key another program has. What is left of our own row there is removed first."""
        if is_left_over(row):
            return self._is_allowed(kind, row, this)
        self.backlog.settle((kind.name, row.key))
        if row.claim is not None:
            self._known.release(kind, [row.key])
        return False

    def _is_allowed(self, kind: Kind, row: Judged, this: Pass) -> bool:
        """Tell whether a change may be made now: the picture allows it, and this same change was not refused and is not due yet."""
        ref = (kind.name, row.key)
        if not this.intent.complete and self._must_wait(kind, row):
            self.backlog.settle(ref)
            unwanted = is_unwanted(row)
            if not readable(kind) and is_as_left(row):
                # Until the next survey this is the only look at it, and small passes presume that only confirmed rows are there.
                self._known.confirm(kind, [row.key], this.moment)
                unwanted = row.verdict is Verdict.DELETE
            if row.verdict is not Verdict.CONTESTED:
                self.troubles.note(ref, Trouble("held", "held", unwanted=unwanted))
            return False
        refused = self.backlog.waiting(ref, operation(row), this.now)
        if refused is None:
            return True
        self.troubles.note(ref, trouble_of(refused, unwanted=is_unwanted(row)))
        return False

    def _must_wait(self, kind: Kind, row: Judged) -> bool:
        """Tell whether a change must wait for a complete picture: every deletion, and a weaker row over one of an earlier daemon."""
        if row.wanted is None or row.verdict is Verdict.CONTESTED:
            return True
        claim, there = row.claim, None if row.seen is None else row.seen.row
        if row.verdict is not Verdict.REPLACE or claim is None or claim.confirmed:
            return False
        if there is None or row.wanted in (there, claim.row):
            return False
        ranked = contest(kind)
        return ranked is not None and not ranked.beats(row.wanted, row.rank, claim.row, claim.rank)

    # Reporting

    def _report(self, number: int, this: Pass, *, audited: bool) -> Report:
        return Report(
            generation=this.intent.generation,
            number=number,
            created=this.created,
            replaced=this.replaced,
            deleted=this.deleted,
            shed=this.shed,
            adopted=this.adopted,
            repaired=this.repaired,
            kept=this.kept,
            foreign=this.foreign,
            orphans=this.orphans,
            waiting=False,
            audited=audited,
            not_ready=self._attachments.unfit,
            notes=self._attachments.notes,
            **self.troubles.counts(),
        )


def _removals(rows: list[Judged]) -> list[Judged]:
    return [row for row in rows if row.verdict is Verdict.DELETE]
