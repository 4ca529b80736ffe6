"""One pass: look, judge, write, and tell. No waiting, no logging, no retry within a pass.

    ground ─> look ─> recognise ─> judge ─┬─> creations, replacements   kinds in order, claims first
                                          └─> deletions                 kinds in reverse, claims last

A pass is a generator that yields between short pieces of work, so that one caller can run it to the end and another can
let other work in between; what takes long is yielded as a call to make elsewhere. Walks what is wanted, what is there
and what is ours: a row that only the ledger knows is visited as well.

How much it looks at is its scope. A survey reads everything there is. An audit reads back the rows it knows of, one by
one, which beats a dump of a large table (the kernel's dump is quadratic). A small pass reads back what hints named, and
where an intent changed it relies on what it knows: a confirmed claim is there, and a key where nothing foreign was seen
and that nobody hinted at is free. Nothing is written before one survey succeeded, and a place that changed is surveyed.
"""

import errno
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct

from vtep.intent import Intent
from vtep.reconcile.diff import Verdict, judge
from vtep.reconcile.kind import LOCAL_LEARNED, Change, Entry, Ground, Key, Kind, Message, Row, Seen, Target
from vtep.reconcile.ownership import Claim, Ledger, Moment, is_ours
from vtep.reconcile.report import News, Report, Trouble, Troubles
from vtep.reconcile.retry import Backlog, Class, Place, Refused, classify, explain

MESSAGES_MAX: Final = 128
"""In one send: a batch of this size holds the caller for less than a millisecond."""
LOOKUPS_MAX: Final = 512
"""In one look, for the same reason."""
ROWS_MAX: Final = 1024
"""Judged between two yields."""
DUMP_ROWS_MAX: Final = 30_000
"""A larger table is audited row by row (measured: a dump of 30,000 MACs costs as much as reading them back)."""

_NEVER: Final = -1
"""Below every rank."""

T = TypeVar("T")
Step: TypeAlias = Callable[[], Any] | None
Steps: TypeAlias = Generator[Step, Any, T]


class Scope(Struct, frozen=True):
    """What a pass looks at."""

    survey: bool = False
    """Everything there is."""
    audit: bool = False
    """Everything that is known."""
    hinted: Mapping[str, Iterable[Key]] = {}
    """By kind: something happened there, so it is read back."""
    touched: Mapping[str, Iterable[Key]] = {}
    """By kind: what is wanted there changed."""


class Engine:
    """Makes a target equal to an intent, one pass at a time."""

    def __init__(
        self, kinds: Sequence[Kind], target: Target, ledger: Ledger, chance: Callable[[], float] = lambda: 0.5
    ) -> None:
        self.kinds = kinds
        self.target = target
        self.ledger = ledger
        self.backlog = Backlog()
        self.troubles = Troubles()
        self.changes: Counter[tuple[str, str]] = Counter()
        """All that were asked for so far, by verb and what came of it: ok, or the errno's name."""
        self.written = 0
        """Changes that were made so far."""
        self.repairs: Counter[str] = Counter()
        """Rows that were put back so far, by kind."""
        self._chance = chance
        self._passes = 0
        self._ground = Ground({}, {})
        self._ground_doubted = True
        self._surveyed = False
        """The last survey succeeded, and no place changed since."""
        self._was_complete = False
        """So was the picture of the last pass: what an intent touches since then is news."""
        self._foreign: dict[str, dict[Key, Seen]] = {kind.name: {} for kind in kinds}
        """Where something was seen that is not ours: read back before anything is written there."""
        self._half_gone: set[Place] = set()
        """Where a removal was refused: half of the row may be gone, or all of it if only the answer was lost."""
        self._yielded: dict[Place, int] = {}
        """The rank of the row that gave way to a station heard here: only a higher one comes back."""

    def run(self, intent: Intent, now: float, scope: Scope = Scope(survey=True)) -> Steps[Report]:  # noqa: B008 - frozen
        """Make one pass and return its report. KernelError means that there was no picture to judge by."""
        self._passes += 1
        self._surveyed &= not scope.survey
        if not self._surveyed or scope.audit or self._ground_doubted:
            self._look_at_ground()
        this = _Pass(intent, self._ground, now)
        entries = (yield lambda: self.target.entries(this.ground)) if not self._surveyed else None
        todo: dict[Kind, list[_Judged]] = {}
        for kind in self.kinds:
            todo[kind] = yield from self._judged(kind, entries, scope, this)
        self._surveyed = True
        for kind, rows in todo.items():
            yield from self._carry_out(kind, [row for row in rows if row.verdict is not Verdict.DELETE], this)
        for kind, rows in reversed(todo.items()):
            yield from self._carry_out(kind, [row for row in rows if row.verdict is Verdict.DELETE], this)
        self._was_complete = intent.complete
        return self._report(this, audited=scope.audit or entries is not None)

    def is_ready(self, place: Hashable) -> bool:
        """Tell whether rows can be written at a place, as of the last look."""
        return place in self._ground.ready

    def foreign(self, kind: str) -> Mapping[Key, Seen]:
        """Return what was seen that is not ours."""
        return self._foreign[kind]

    def known_of(self, kind: str, key: Key) -> "Known":
        """Tell what is known of a row without looking."""
        return Known(
            claim=self.ledger.claims(kind).get(key),
            foreign=self._foreign[kind].get(key),
            trouble=self.troubles.get((kind, key)),
            surveyed=self._surveyed,
        )

    def _look_at_ground(self) -> None:
        """Where a place changed, what was known of it is void, and a change refused there is worth a try."""
        before, self._ground = self._ground, self.target.ground()
        self._ground_doubted = False
        places = before.ready.keys() | self._ground.ready.keys()
        changed = {place for place in places if before.ready.get(place) != self._ground.ready.get(place)}
        self._surveyed &= not changed
        kinds = {kind.name: kind for kind in self.kinds}
        self.backlog.rearm(lambda row: kinds[row[0]].place(row[1]) in changed)

    # Judging

    def _judged(
        self, kind: Kind, entries: list[Entry] | None, scope: Scope, this: "_Pass"
    ) -> Generator[Step, Any, list["_Judged"]]:
        """Return the judged rows that need a write, having dealt with the others."""
        touched = set(scope.touched.get(kind.name, ()))
        hinted = set(scope.hinted.get(kind.name, ()))
        if entries is not None:
            presumed, sure, doubted = yield lambda: self._survey(kind, entries, hinted, this)
        elif not kind.reads_back:
            presumed, sure, doubted = None, list(touched | hinted), []
        elif scope.audit:
            presumed, sure, doubted = yield lambda: (None, [], self._audit(kind, touched | hinted, this))
        else:
            presumed, sure, doubted = None, [], list(hinted)
            for part in _parts(list(touched - hinted), ROWS_MAX):
                known = {key for key in part if self._is_known(kind, key)}
                sure += known
                doubted += [key for key in part if key not in known]
                yield None
        rows: list[_Judged] = []
        for part in _parts(sure, ROWS_MAX):
            seen = self._presume(kind, part, this) if presumed is None else presumed
            rows += self._sift(kind, part, seen, touched, this)
            yield None
        for part in _parts(doubted, LOOKUPS_MAX // 2):
            rows += self._sift(kind, part, self._look(kind, part, this), touched, this)
            yield None
        return rows

    def _survey(
        self, kind: Kind, entries: list[Entry], hinted: set[Key], this: "_Pass"
    ) -> tuple[Mapping[Key, Seen], list[Key], list[Key]]:
        """Read a dump: what was seen, at which keys that is sure, and which keys need a closer look."""
        seen = kind.recognise(entries, this.ground)
        concerned, elsewhere = self._concerned(kind, this.intent), hinted | self._foreign[kind.name].keys()
        self._foreign[kind.name] = {}
        self._forget_troubles(kind, concerned | seen.keys())
        doubted: set[Key] = set()
        if kind.reads_back:
            # A dump during which others delete can lack rows that are there (6.1 to 6.18).
            doubted = {key for key in concerned if key not in seen or not seen[key].whole} | elsewhere - seen.keys()
        return seen, list((seen.keys() | concerned) - doubted), list(doubted)

    def _audit(self, kind: Kind, keys: set[Key], this: "_Pass") -> list[Key]:
        """Return all keys that are known, and these."""
        known = self._concerned(kind, this.intent) | self._foreign[kind.name].keys() | keys
        self._forget_troubles(kind, known)
        return list(known)

    def _sift(
        self, kind: Kind, keys: list[Key], seen: Mapping[Key, Seen | None], touched: set[Key], this: "_Pass"
    ) -> list["_Judged"]:
        judged = (self._judge(kind, key, seen.get(key), this, touched=key in touched) for key in keys)
        return [row for row in judged if self._settle(kind, row, this)]

    def _concerned(self, kind: Kind, intent: Intent) -> set[Key]:
        return {key for key, _ in kind.wanted(intent)} | self.ledger.claims(kind.name).keys()

    def _is_known(self, kind: Kind, key: Key) -> bool:
        """Tell whether what is at a key can be told without looking."""
        claim = self.ledger.claims(kind.name).get(key)
        if key in self._foreign[kind.name] or (kind.name, key) in self._half_gone:
            return False
        return claim is None or claim.confirmed

    def _presume(self, kind: Kind, keys: Iterable[Key], this: "_Pass") -> Mapping[Key, Seen | None]:
        """Tell what is there without looking. What was foreign is so until it is seen otherwise; all else is free.

        A claim is there if it is confirmed. One that is not, or whose row may be gone, is of a row that cannot be looked
        up, where both writing what is there and removing what is not do no harm: it is presumed to be what makes us do so.
        """
        claims, foreign = self.ledger.claims(kind.name), self._foreign[kind.name]
        presumed: dict[Key, Seen | None] = {}
        for key in keys:
            claim = claims.get(key)
            is_there = claim is not None and claim.confirmed and (kind.name, key) not in self._half_gone
            if key in foreign:
                presumed[key] = Seen(None, marked=False, holder="foreign")
            elif claim is not None and (is_there or self._wanted(kind, key, this) is None):
                presumed[key] = Seen(claim.row, marked=True)
            else:
                presumed[key] = None
        return presumed

    def _wanted(self, kind: Kind, key: Key, this: "_Pass") -> Row | None:
        return None if kind.place(key) in this.ground.given_up else kind.wanted_at(this.intent, key)

    def _look(self, kind: Kind, keys: Sequence[Key], this: "_Pass") -> Mapping[Key, Seen]:
        there = [key for key in keys if kind.place(key) in this.ground.ready]
        lookups = [lookup for key in there for lookup in kind.lookups(key, this.ground)]
        return kind.recognise((entry for entry in self.target.look(lookups) if entry is not None), this.ground)

    def _judge(self, kind: Kind, key: Key, seen: Seen | None, this: "_Pass", *, touched: bool) -> "_Judged":
        wanted = self._wanted(kind, key, this)
        claim = self.ledger.claims(kind.name).get(key)
        if kind.place(key) not in this.ground.ready:
            return _Judged(key, wanted, seen, claim, None)
        verdict = judge(wanted, seen, claim)
        if (
            verdict is Verdict.CONTESTED
            and seen is not None
            and seen.holder == LOCAL_LEARNED
            and self._is_newer(kind, key, claim, this.intent, touched=touched)
        ):
            verdict = _take_over(wanted, seen, claim)
        return _Judged(key, wanted, seen, claim, verdict)

    def _is_newer(self, kind: Kind, key: Key, claim: Claim | None, intent: Intent, *, touched: bool) -> bool:
        """Between a station heard here and a remote route, the newest knowledge wins.

        A route that comes, or whose rank rises, after the station was heard says that the station left. A row that was
        there before gives way. At the start nobody knows what is older, and the station stays; unless its own route was
        compared with the others, and lost: that may be known later than the row itself.
        """
        place = (kind.name, key)
        before = self._yielded.get(place)
        is_new = before is None and claim is None and self._was_complete
        if touched and (is_new or kind.is_settled(intent, key)):
            before = self._yielded[place] = _NEVER  # so that it stays news until it is written
        return before is not None and kind.rank(intent, key) > before

    # What needs no write

    def _settle(self, kind: Kind, row: "_Judged", this: "_Pass") -> bool:
        """Deal with what needs no write; return whether the row needs one."""
        place = (kind.name, row.key)
        self._note_foreign(kind, row)
        match row.verdict:
            case None:
                self._clear(place)
                if row.wanted is not None and kind.place(row.key) in this.ground.not_ready:
                    self.troubles.note(place, Trouble("pending", "not-ready"))
                return False
            case Verdict.KEEP:
                self._keep(kind, row, this)
                return False
            case Verdict.CONTESTED:
                assert row.seen is not None
                self.troubles.note(place, Trouble("contested", row.seen.holder or "foreign"))
                if row.seen.holder == LOCAL_LEARNED:
                    self._yielded.setdefault(place, kind.rank(this.intent, row.key))
                return self._let_go(kind, row, this)
            case Verdict.FOREIGN:
                this.foreign += 1
                this.orphans += row.seen is not None and row.seen.marked and row.seen.whole
                self._clear(place)
                return False
            case Verdict.FORGET:
                self.troubles.clear(place)
                self._yielded.pop(place, None)
                return self._let_go(kind, row, this)
            case _:
                return self._is_allowed(kind, row, this)

    def _note_foreign(self, kind: Kind, row: "_Judged") -> None:
        if row.verdict is None:
            return
        if row.seen is not None and row.verdict in (Verdict.FOREIGN, Verdict.CONTESTED, Verdict.FORGET):
            self._foreign[kind.name][row.key] = row.seen
        else:
            self._foreign[kind.name].pop(row.key, None)

    def _keep(self, kind: Kind, row: "_Judged", this: "_Pass") -> None:
        this.kept += 1
        this.adopted += row.claim is None
        self._clear((kind.name, row.key))
        rank, claim = kind.rank(this.intent, row.key), row.claim
        if claim is not None and claim.row == row.wanted:
            if claim.confirmed and claim.rank == rank:
                return
            if not claim.confirmed and claim.rank > rank and not this.intent.complete:
                return  # an earlier life knew a better reason, which may yet come back
        if claim is None or claim.row != row.wanted or claim.rank != rank:
            self.ledger.claim(kind.name, {row.key: (row.wanted, rank)})
        self.ledger.confirm(kind.name, [row.key], this.moment)
        self._stir(kind, [row.key])

    def _let_go(self, kind: Kind, row: "_Judged", this: "_Pass") -> bool:
        """Somebody else has the place. The claim ends, but not before what is left of our own row there is gone."""
        if _is_left_over(row):
            return self._is_allowed(kind, row, this)
        self.backlog.settle((kind.name, row.key))
        if row.claim is not None:
            self.ledger.release(kind.name, [row.key])
        return False

    def _is_allowed(self, kind: Kind, row: "_Judged", this: "_Pass") -> bool:
        """Pass the gates: the picture, and an earlier refusal of this very change."""
        place = (kind.name, row.key)
        if not this.intent.complete and self._must_wait(kind, row, this.intent):
            self.backlog.settle(place)
            if row.verdict is not Verdict.CONTESTED:
                self.troubles.note(place, Trouble("held", "held", unwanted=_is_unwanted(row)))
            return False
        refused = self.backlog.waiting(place, _operation(row), this.now)
        if refused is None:
            return True
        self.troubles.note(place, _trouble(refused, unwanted=_is_unwanted(row)))
        return False

    def _must_wait(self, kind: Kind, row: "_Judged", intent: Intent) -> bool:
        """Before the picture is complete nothing goes, and an earlier life's row yields only to what beats it."""
        if row.wanted is None or row.verdict is Verdict.CONTESTED:
            return True
        claim, there = row.claim, None if row.seen is None else row.seen.row
        if row.verdict is not Verdict.REPLACE or claim is None or claim.confirmed:
            return False
        if there is None or row.wanted in (there, claim.row):
            return False
        return not kind.beats(row.wanted, kind.rank(intent, row.key), claim.row, claim.rank)

    # Writing

    def _carry_out(self, kind: Kind, rows: list["_Judged"], this: "_Pass") -> Steps[None]:
        changes: list[tuple[Change, _Judged]] = []
        for part in _parts(rows, ROWS_MAX):
            changes += [(_change(row), row) for row in part]
            yield None
        if len(changes) > ROWS_MAX:
            yield lambda: changes.sort(key=lambda pair: kind.order(pair[0]))
        else:
            changes.sort(key=lambda pair: kind.order(pair[0]))
        full: dict[Hashable, tuple[int, str]] = {}
        for batch in _parts(changes, MESSAGES_MAX // 2):
            room = []
            for change, row in batch:
                if change.verb == "create" and (refusal := full.get(kind.place(row.key))):
                    self._refuse(kind, change, row, *refusal, this)
                else:
                    room.append((change, row))
            full |= self._write(kind, room, this)
            yield None

    def _write(
        self, kind: Kind, batch: list[tuple[Change, "_Judged"]], this: "_Pass"
    ) -> dict[Hashable, tuple[int, str]]:
        """Claim, send, and take note of each outcome; return the places that are full."""
        self._claim(kind, [row for change, row in batch if change.verb in ("create", "replace")], this)
        refused = self._send(kind, [change for change, _ in batch], this)
        confirmed, released = [], []
        was_trouble = bool(len(self.troubles) or len(self.backlog) or self._yielded or self._half_gone)
        for index, (change, row) in enumerate(batch):
            if index in refused:
                continue
            self.written += 1
            self.changes[change.verb, "ok"] += 1
            if this.count(change.verb, row):
                self.repairs[kind.name] += 1
                self.troubles.news.append(News((kind.name, row.key), "repaired"))
            if change.verb in ("delete", "shed"):
                released.append(row.key)
            else:
                confirmed.append(row.key)
            if change.verb == "shed":
                self.backlog.settle((kind.name, row.key))
                self._half_gone.discard((kind.name, row.key))
            elif was_trouble:
                self._clear((kind.name, row.key))
        self.ledger.confirm(kind.name, confirmed, this.moment)
        self.ledger.release(kind.name, released)
        self._stir(kind, confirmed + released)
        full = {}
        for index, (code, text) in refused.items():
            change, row = batch[index]
            if change.verb in ("delete", "shed"):
                self._half_gone.add((kind.name, row.key))
            if self._refuse(kind, change, row, code, text, this) is Class.FULL:
                full[kind.place(row.key)] = (code, text)
        self._undo(kind, [batch[index][0] for index in refused if _may_undo(*batch[index])], this)
        return full

    def _claim(self, kind: Kind, rows: Sequence["_Judged"], this: "_Pass") -> None:
        """Claim what is about to be written, over what is there.

        A claim covers its row and the one before. After a write whose outcome is unknown, or another's hand on our row,
        what is there is neither: then it is claimed as well.
        """
        there = {
            row.key: (row.seen.row, row.claim.rank)
            for row in rows
            if row.claim is not None
            and row.seen is not None
            and row.seen.row not in (None, row.claim.row)
            and is_ours(row.claim, row.seen)
        }
        self.ledger.claim(kind.name, there)
        self.ledger.claim(kind.name, {row.key: (row.wanted, kind.rank(this.intent, row.key)) for row in rows})

    def _send(self, kind: Kind, changes: Sequence[Change], this: "_Pass") -> dict[int, tuple[int, str]]:
        """Return errno and text of each change that did not happen."""
        messages, owner = spelled_in_turns(kind, changes, this.ground)
        refused: dict[int, tuple[int, str]] = {}
        for refusal in self.target.send(messages) if messages else ():
            index = owner[refusal.index]
            if classify(refusal.errno, changes[index].verb) is not Class.GONE:
                refused.setdefault(index, (refusal.errno, refusal.text))
        return refused

    def _refuse(self, kind: Kind, change: Change, row: "_Judged", code: int, text: str, this: "_Pass") -> Class:
        place = (kind.name, row.key)
        found = classify(code, change.verb)
        self.changes[change.verb, errno.errorcode.get(code, str(code))] += 1
        refused = self.backlog.refuse(place, _operation(row), code, text, found, this.now, self._chance())
        if found is Class.CONTESTED:
            self.ledger.release(kind.name, [row.key])
            self._foreign[kind.name][row.key] = Seen(None, marked=False, holder="foreign")
        elif found is Class.TRANSIENT:
            self._ground_doubted = True
        self.troubles.note(place, _trouble(refused, unwanted=_is_unwanted(row)))
        return found

    def _undo(self, kind: Kind, changes: list[Change], this: "_Pass") -> None:
        """Take back the half of a row that a refused creation may have left."""
        if not changes:
            return
        seen = self._look(kind, [change.key for change in changes], this)
        left = [
            Change("undo", change.key, None) for change in changes if change.key in seen and seen[change.key].residue
        ]
        self._send(kind, left, this)

    # Telling

    def _clear(self, place: Place) -> None:
        self.troubles.clear(place)
        self._yielded.pop(place, None)
        self._half_gone.discard(place)
        self.backlog.settle(place)

    def _forget_troubles(self, kind: Kind, keys: set[Key]) -> None:
        """Drop what is told of rows that are neither wanted nor there nor ours any more."""
        for place in [place for place in self.troubles if place[0] == kind.name and place[1] not in keys]:
            self._clear(place)

    def _stir(self, kind: Kind, keys: Iterable[Key]) -> None:
        """Name rows that changed to whoever reads."""
        if self.troubles.stirred is not None:
            self.troubles.stirred.update((kind.name, key) for key in keys)

    def _report(self, this: "_Pass", *, audited: bool) -> Report:
        return Report(
            generation=this.intent.generation,
            number=self._passes,
            created=this.created,
            replaced=this.replaced,
            deleted=this.deleted,
            shed=this.shed,
            adopted=this.adopted,
            repaired=this.repaired,
            kept=this.kept,
            foreign=this.foreign,
            orphans=this.orphans,
            audited=audited,
            not_ready=this.ground.not_ready,
            notes=this.ground.notes,
            **self.troubles.counts(),
        )


def spelled_in_turns(kind: Kind, changes: Sequence[Change], ground: Ground) -> tuple[list[Message], list[int]]:
    """Return the first message of every change, then every second one, and the index of the change of each.

    Those of one change keep their order, and many alike that stand together cost the target less.
    """
    spelled = [kind.spell(change, ground) for change in changes]
    turns = max(map(len, spelled), default=0)
    owner = [index for turn in range(turns) for index, messages in enumerate(spelled) if turn < len(messages)]
    return [messages[turn] for turn in range(turns) for messages in spelled if turn < len(messages)], owner


def run_to_end(steps: Steps[T]) -> T:
    """Run a pass without letting anybody in between."""
    answer = None
    while True:
        try:
            call = steps.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        answer = None if call is None else call()


class Known(Struct, frozen=True, gc=False):
    """What is known of a row."""

    claim: Claim | None
    foreign: Seen | None
    """What is there and not ours."""
    trouble: Trouble | None
    surveyed: bool
    """The last survey succeeded: what is neither claimed nor foreign is not there."""


class _Judged(Struct, frozen=True, gc=False):
    """One key with everything known of it; no verdict where its place is not ready."""

    key: Key
    wanted: Row | None
    seen: Seen | None
    claim: Claim | None
    verdict: Verdict | None


class _Pass:
    """What one pass works on, and its counts."""

    def __init__(self, intent: Intent, ground: Ground, now: float) -> None:
        self.intent = intent
        self.ground = ground
        self.now = now
        self.moment = Moment(intent.generation, now)
        self.created = self.replaced = self.deleted = self.shed = self.adopted = 0
        self.kept = self.foreign = self.orphans = self.repaired = 0

    def count(self, verb: str, row: _Judged) -> bool:
        """Count a change that was made; tell whether it was a repair."""
        self.created += verb == "create"
        self.replaced += verb == "replace"
        self.deleted += verb == "delete"
        self.shed += verb == "shed"
        repair = row.claim is not None and row.claim.confirmed and row.claim.row == row.wanted
        self.repaired += repair
        return repair


def _change(row: _Judged) -> Change:
    if row.verdict in (Verdict.CONTESTED, Verdict.FORGET):
        return Change("shed", row.key, None)
    if row.verdict is Verdict.DELETE:
        return Change("delete", row.key, row.seen.row if row.seen is not None else None)
    return Change("create" if row.verdict is Verdict.CREATE else "replace", row.key, row.wanted)


def _operation(row: _Judged) -> Hashable:
    """Name the exact change: another verb or value is another operation, and is not held up by this one."""
    return (row.verdict, row.wanted)


def _is_left_over(row: _Judged) -> bool:
    """A station came to a local port: the kernel moved the bridge row there and left our VXLAN row behind."""
    claim, seen = row.claim, row.seen
    return claim is not None and seen is not None and seen.holder.startswith("local-") and _is_claimed(seen.row, claim)


def _take_over(wanted: Row, seen: Seen, claim: Claim | None) -> Verdict:
    """Return how to take a row from a station heard here: not over somebody else's half."""
    if seen.row is None:
        return Verdict.CREATE
    is_ours_or_alike = seen.row == wanted or (claim is not None and _is_claimed(seen.row, claim))
    return Verdict.REPLACE if is_ours_or_alike else Verdict.CONTESTED


def _may_undo(change: Change, row: _Judged) -> bool:
    """A residue that was there before we ever claimed the row is not what our refused creation left."""
    was_there = row.claim is None and row.seen is not None and row.seen.residue
    return change.verb == "create" and not was_there


def _is_claimed(row: Row | None, claim: Claim) -> bool:
    return row is not None and (claim.confirmed or row in (claim.row, claim.before))


def _is_unwanted(row: _Judged) -> bool:
    """The ledger counts it among the rows that are there as claimed, and it should be gone."""
    return row.verdict is Verdict.DELETE and row.claim is not None and row.claim.confirmed


def _trouble(refused: Refused, *, unwanted: bool) -> Trouble:
    code, text, due = refused.errno, refused.text, refused.due
    if refused.kind is Class.PERMANENT:
        said = ": ".join(filter(None, (text, explain(code))))
        return Trouble("suppressed", "permanent-error", said, code, unwanted=unwanted)
    if refused.kind is Class.CONTESTED:
        return Trouble("contested", "foreign", text, code, due)
    return Trouble("failed", "retrying", text, code, due, unwanted)


def _parts(items: list[T], most: int) -> Iterable[list[T]]:
    return (items[at : at + most] for at in range(0, len(items), most))
