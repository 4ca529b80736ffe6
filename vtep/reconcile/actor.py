"""When to make a pass: one loop.

    wait     for the first of: a new intent, a hint, a retry that is due, an audit that is due, a request of an operator
    gather   for as long as the last pass took, so that a burst becomes few passes; a lone change waits for nothing
    pass     take the latest intent and at most so many keys, make the pass, publish its outcome, and go on

Hints and timers only wake the actor: it decides what to do by looking. So two hints about one key cost one look, and a hint that
was wrong costs no more than that. It owns its engine. It knows no kind, no target and no status page: what a pass found is published
as an `Outcome`.

**Three kinds of looking.**

    small pass   the keys of a newer intent (`touched`), of events (`hinted`) and of refused rows that are due again
    audit        every row that we own is looked up: somewhat later, a row that another program changed is repaired
    survey       a dump of everything: also finds rows of ours without a claim, and kinds that cannot be looked up one by one

The first look is a survey, because nothing is known. A survey follows again when the kernel lost events, when it could not be
read, when an operator asks (`resync`), and in place of every SURVEY_EVERY-th audit. In a small table each audit is one.

**What is new does not wait for a look at everything.** A sweep (an audit or a survey) is cut into pieces. After each piece the
actor asks whether something is new, and makes a small pass for it (`_let_in`). Then the sweep rests, AUDIT_REST or SURVEY_REST
times as long as it worked, so that a large table at rest costs a hundredth of a core. Only the first sweep, and one after the
kernel could not be read, run alone: until then, small passes would not know what is there.

**The latest intent counts.** `offer` replaces the intent that waits, and adds the keys that it touched to those that wait. No
queue of intents exists, so a slow kernel makes passes larger and not later. A generation counts as applied when no key of it
waits any longer.

**Long calls** (a dump, a device list) run in a thread, one at a time. A cancelled actor waits for the call to end, because
the target must not be closed under it.

**When the kernel cannot be read**, the pass ends, its keys wait again, and after BLIND_RETRY_S everything is looked at. The last
good report stays published, with the error beside it; `stalled_s` grows, by which a supervisor knows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Container, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from vtep.errors import KernelError
from vtep.intent import NOTHING, Intent
from vtep.reconcile.claims import Moment
from vtep.reconcile.compare import Compared, Differs, adoptable, differences, orphans
from vtep.reconcile.contract import Key, readable
from vtep.reconcile.engine import DUMP_ROWS_MAX, Engine, Scope
from vtep.reconcile.report import Report
from vtep.reconcile.steps import Steps, parts
from vtep.reconcile.waiting import Waiting
from vtep.store.histogram import Histogram
from vtep.store.latest import Latest

T = TypeVar("T")

AUDIT_S: Final = 60.0
GATHER_S_MAX: Final = 0.05
BLIND_RETRY_S: Final = 1.0
KEYS_MAX: Final = 2048
"""Keys of one kind in a small pass. A newer change waits for them, for about 50 ms."""
RELEASED_MAX: Final = 4096
"""Rows that are searched between two yields for those that waited for a complete picture; it takes a few milliseconds."""
SURVEY_EVERY: Final = 10
"""Of so many audits of a large table one is a survey, because rows of some kinds can be seen only by a dump."""
AUDIT_REST: Final = 99
"""An audit rests for so many times as long as it works: it takes a hundredth of a core, however large the table is."""
SURVEY_REST: Final = 149
"""After a survey none is made by itself for so many times as long as it worked."""
ALIVE_S: Final = 10.0
"""How often an actor that rests shows that it is alive."""
WORK_S_MIN: Final = 0.002
"""An audit works for so long before it rests, because to rest costs a tenth of a millisecond."""


class Outcome(Struct, frozen=True):
    """What the last pass found."""

    report: Report | None = None
    """Of the last pass that ended well; None before the first."""
    generation: int = 0
    """The generation of the intent that was applied. Not the intent itself, because freeing an old table would block the loop."""
    error: KernelError | None = None
    """Why the target could not be read; the last good report stays beside it."""


class Actor:
    """Keeps a target equal to the latest intent."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        *,
        audit_s: float = AUDIT_S,
        gather_s_max: float = GATHER_S_MAX,
    ) -> None:
        self.outcomes: Latest[Outcome] = Latest(Outcome())
        self.audited: float | None = None
        """When every row of ours was last looked at."""
        self.alive = clock()
        """When a piece of a pass last ended, or a rest was seen to go on."""
        self.passes_s = Histogram()
        self.installs_s = Histogram()
        """The time from the first line of an intent to the answer of the target."""
        self.engine = engine
        self._clock = clock
        self._audit_s = audit_s
        self._gather_s_max = gather_s_max
        self._intent = NOTHING
        self._taken = NOTHING
        """The intent of the last pass."""
        self._woken = asyncio.Event()
        self._hinted: dict[str, Waiting[Key]] = {kind.name: Waiting() for kind in engine.kinds}
        self._touched: dict[str, Waiting[Key]] = {kind.name: Waiting() for kind in engine.kinds}
        self._releasing = False
        """The picture became complete, and the rows that waited for that were not marked yet."""
        self._survey = True
        self._surveying = False
        self._devices_changed = False
        self._audit_due = 0.0
        self._audits = 0
        self._survey_due = 0.0
        """Before this no survey of a large table is made by itself."""
        self._worked_s = 0.0
        """How long the last sweep worked, without its rests and without the passes that it let in."""
        self._received_at: float | None = None
        self._calls = asyncio.Lock()
        """The target takes one long call at a time; other callers wait."""
        self._stalled_since: float | None = None

    @property
    def stalled_s(self) -> float:
        """For how long a pass under way got no further, or the kernel could not be read; 0 at rest."""
        return 0.0 if self._stalled_since is None else self._clock() - self._stalled_since

    @property
    def swept_s(self) -> float:
        """For how long the last sweep worked."""
        return self._worked_s

    def offer(self, intent: Intent, received_at: float | None = None) -> None:
        """Replace the intent by the latest one, whether the one before was applied or not."""
        if intent is self._intent:
            return
        if self._received_at is None:
            self._received_at = received_at
        self._releasing |= intent.complete and not self._intent.complete
        self._intent = intent
        for kind in self.engine.kinds:
            self._touched[kind.name].add(kind.touched(intent))
        self._woken.set()

    def hint(self, keys: Mapping[str, Iterable[Key]], gone: Mapping[str, Collection[Key]] = {}) -> None:
        """Look at these keys soon, because something happened there. Where a row is only gone, we may have deleted it ourselves."""
        for kind, found in keys.items():
            self._hinted[kind].add(found)
        for kind, found in gone.items():
            self._hinted[kind].add(self.engine.known_among(kind, found))
        if self._is_waiting:
            self._woken.set()

    def lose(self, kind: str, keys: Collection[Key]) -> None:
        """Write these rows again soon, because the target removed them by itself."""
        if keys:
            self.engine.lose(kind, keys)
            self._touched[kind].add(keys)
            self._woken.set()

    def look_around(self) -> None:
        """Look up soon where rows can be written, because devices changed."""
        self.engine.suspect_attachments()
        self._devices_changed = True
        self._woken.set()

    def survey(self) -> None:
        """Look at everything soon, and rely on nothing that is known until then."""
        self._survey = True
        self.engine.mark_suspect()
        self._woken.set()

    def resync(self) -> None:
        """Look at everything, and try suppressed changes again, because an operator asked for it."""
        self.engine.backlog.rearm()
        self.survey()

    async def compare(self, concerns: Callable[[Key], bool], only: Container[Key] | None = None) -> Compared:
        """Return what differs from what is wanted, of these keys `only` if they are given; passes go on meanwhile."""
        return await self._in_pieces(differences(self.engine, lambda: self._intent, concerns, only))

    async def orphans(self, concerns: Callable[[Key], bool]) -> list[Differs]:
        """Return the rows that bear our mark and are not claimed."""
        return await self._in_pieces(orphans(self.engine, lambda: self._intent, concerns))

    async def adoptable(self, concerns: Callable[[Key], bool], *, all_of_them: bool) -> list[Differs]:
        """Return the rows of other daemons that an operator may hand over."""
        latest = lambda: self._intent  # noqa: E731
        return await self._in_pieces(adoptable(self.engine, latest, concerns, all_of_them=all_of_them))

    def adopt(self, rows: Sequence[Differs]) -> None:
        """Claim these rows: the next pass removes those that are not wanted."""
        at = Moment(self._intent.generation, self._clock())
        for row in rows:
            if row.seen is not None:
                self.engine.adopt(row.kind, row.key, row.seen, at)
        self.survey()

    async def run(self) -> None:
        """Pass after pass, until cancelled."""
        while True:
            began = self._clock()
            await self.step()
            ended = self._clock()
            found = self.outcomes.value
            if found.error is not None or found.report is None or not found.report.waiting:
                await self._wait()
                await self._gather(ended + min(ended - began, self._gather_s_max))

    async def step(self) -> None:
        """Make one pass over what there is to look at, and publish what it found."""
        await self._release_held()
        if self._survey or self._clock() >= self._audit_due:
            await self._sweep()
        else:
            await self._pass()

    async def _release_held(self) -> None:
        """Mark what waited for a complete picture: held rows, and claims of an earlier daemon."""
        if not self._releasing:
            return
        self._releasing = False
        troubles, ledger = self.engine.troubles, self.engine.ledger
        for part in parts(list(troubles), RELEASED_MAX):
            for kind, key in part:
                trouble = troubles.get((kind, key))
                if trouble is not None and trouble.state == "held":
                    self._touched[kind].add((key,))
            await asyncio.sleep(0)
        for name in (kind.name for kind in self.engine.kinds):
            claims = ledger.claims(name)
            if len(claims) > sum(ledger.confirmed(name).values()):
                for claimed in claims.shards:
                    self._touched[name].add(key for key, claim in claimed.items() if not claim.confirmed)
                    await asyncio.sleep(0)

    async def _pass(self) -> None:
        """Make a small pass over the keys that are new."""
        names = self._passing
        touched = {name: self._touched[name].take(KEYS_MAX) for name in names if self._touched[name]}
        hinted = {name: set(self._hinted[name].take(KEYS_MAX)) for name in names if self._hinted[name]}
        for name, key in self.engine.backlog.due(self._clock(), KEYS_MAX):
            if name in names:
                hinted.setdefault(name, set()).add(key)
        await self._carry_out(Scope(hinted=hinted, touched=touched))

    @property
    def _passing(self) -> list[str]:
        """Return the kinds that a small pass may look at.

        Rows that cannot be looked up wait for a survey that was requested or is under way, because only a dump shows whether
        another program put them there.
        """
        surveys = self._survey or self._surveying
        return [kind.name for kind in self.engine.kinds if readable(kind) or not surveys]

    async def _sweep(self) -> None:
        """Look at everything. The first time, it includes the keys that wait; later, they have their own passes meanwhile."""
        claims = sum(len(self.engine.ledger.claims(kind.name)) for kind in self.engine.kinds)
        self._audits += 1
        began = self._clock()
        is_turn = self._audits % SURVEY_EVERY == 0 and began >= self._survey_due
        survey = self._survey or claims <= DUMP_ROWS_MAX or is_turn
        self._survey = False
        self._audit_due = began + self._audit_s
        if self.engine.surveyed:
            self._surveying = survey
            try:
                await self._carry_out(Scope(survey=survey, audit=True, later=self._touched))
            finally:
                self._surveying = False
        else:
            touched = {name: waiting.take_all() for name, waiting in self._touched.items() if waiting}
            hinted = {name: waiting.take_all() for name, waiting in self._hinted.items() if waiting}
            await self._carry_out(Scope(survey=survey, audit=True, hinted=hinted, touched=touched))
        if survey and self.outcomes.value.error is None:
            self._survey_due = self._clock() + SURVEY_REST * self._worked_s
            if claims <= DUMP_ROWS_MAX:
                self._audit_due = max(self._audit_due, self._survey_due)

    async def _carry_out(self, scope: Scope) -> None:
        """Make a pass and publish its outcome; the small passes that a sweep lets in publish their own."""
        now, generation, received_at = self._clock(), self._intent.generation, None
        sweeps, waiting = scope.survey or scope.audit, self._is_waiting
        self._devices_changed = False
        self._taken = self._intent
        if not (sweeps and self.engine.surveyed):
            received_at, self._received_at = self._received_at, None
        if self._stalled_since is None:
            self._stalled_since = now
        try:
            steps, rest = self.engine.run(self._intent, now, scope), 1 if scope.survey else AUDIT_REST
            report = await self._in_pieces(steps, received_at, lets_in=sweeps, rest=rest)
        except KernelError as error:
            self._survey = True
            self._audit_due = now + BLIND_RETRY_S
            for name, keys in scope.touched.items():
                self._touched[name].add(keys)
            last = self.outcomes.value
            self.outcomes.publish(Outcome(last.report, last.generation, error))
            return
        self._stalled_since = None
        self.passes_s.observe(self._clock() - now)
        if report.audited:
            self.audited = now
        waiting = waiting and (self._is_waiting or not sweeps)
        before = self.outcomes.value.generation
        applied = before if waiting else max(before, generation)
        self.outcomes.publish(Outcome(replace(report, waiting=waiting), applied))

    @property
    def _is_waiting(self) -> bool:
        """Tell whether keys wait to be looked at."""
        return any(waiting for waits in (self._touched, self._hinted) for waiting in waits.values())

    @property
    def _is_news(self) -> bool:
        """Tell whether a small pass would find something to do; retries that are due are not counted."""
        return (
            self._devices_changed
            or self._releasing
            or self._intent is not self._taken
            or any(self._touched[name] or self._hinted[name] for name in self._passing)
        )

    async def _gather(self, until: float) -> None:
        """Rest as long as the last pass took: under load half of the time is for what comes in, and after a short pass the rest
        is short."""
        rest_s = until - self._clock()
        if rest_s > 0:
            await asyncio.sleep(rest_s)

    async def _wait(self) -> None:
        """Return when there is something to look at."""
        if self.outcomes.value.error is not None:
            await self._rest(self._audit_due - self._clock())
        elif not (self._survey or self._is_news):
            retry_due = self.engine.backlog.next_due
            due = self._audit_due if retry_due is None else min(self._audit_due, retry_due)
            await self._rest(due - self._clock())

    async def _rest(self, most_s: float) -> None:
        """Return when the actor is woken, or after so long."""
        self._woken.clear()
        until = self._clock() + most_s
        while True:
            left_s = until - self._clock()
            try:
                async with asyncio.timeout(min(max(0.0, left_s), ALIVE_S)):
                    await self._woken.wait()
            except TimeoutError:
                self.alive = self._clock()
                if left_s > ALIVE_S:
                    continue
            return

    async def _in_pieces(
        self, steps: Steps[T], received_at: float | None = None, *, lets_in: bool = False, rest: int = 1
    ) -> T:
        """Let other tasks run between two pieces, and make long calls in a thread.

        A sweep lets small passes in, and rests for so many times as long as it works.
        """
        answer, worked_s = None, 0.0
        if lets_in:
            self._worked_s = 0.0
        while True:
            began, written = self._clock(), self.engine.written
            try:
                call = steps.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            finally:
                self._note_progress(self.engine.written - written, received_at)
            took_s = self._clock() - began
            answer = None if call is None else await self._elsewhere(call, lets_in=lets_in)
            if lets_in:
                self._worked_s += took_s if call is None else self._clock() - began
            await asyncio.sleep(0)
            if lets_in and self._may_let_in:
                worked_s += took_s
                is_enough = rest == 1 or worked_s >= WORK_S_MIN
                await self._give_way(worked_s * rest if is_enough else 0.0, is_audit=rest > 1)
                worked_s *= not is_enough

    async def _give_way(self, rest_s: float, *, is_audit: bool) -> None:
        """Let small passes in, for so long; an audit that a requested survey waits for does not rest.

        An audit may rest for many minutes in all, so a retry that is due has a pass as well, one in each rest.
        """
        until = self._clock() + rest_s
        retry_due = self.engine.backlog.next_due if is_audit else None
        while True:
            hurries = is_audit and self._survey
            if rest_s and not hurries and not self._is_news:
                self._stalled_since = None
                turn = until if retry_due is None else min(until, retry_due)
                await self._rest(turn - self._clock())
                self._stalled_since = self._clock()
            is_retry = retry_due is not None and self._clock() >= retry_due
            retry_due = None if is_retry else retry_due
            await self._let_in(is_retry=is_retry)
            if self._clock() >= until or hurries:
                return

    @property
    def _may_let_in(self) -> bool:
        return self.engine.surveyed and self.outcomes.value.error is None

    async def _let_in(self, *, is_retry: bool = False) -> None:
        """Make a small pass for what is new, or for a retry that is due, while a sweep is under way."""
        if self._is_news or is_retry:
            await self._release_held()
            await self._pass()
            self._stalled_since = self._clock()

    async def _elsewhere(self, call: Callable[[], Any], *, lets_in: bool) -> Any:
        """Make a long call of the target in a thread; a sweep lets small passes in meanwhile."""

        async def in_turn() -> Any:
            async with self._calls:
                return await asyncio.to_thread(call)

        async def let_in(calling: asyncio.Future[Any]) -> None:
            while lets_in and self._may_let_in and not calling.done():
                if not self._is_news:
                    self._woken.clear()
                    woken = asyncio.ensure_future(self._woken.wait())
                    await asyncio.wait((calling, woken), return_when=asyncio.FIRST_COMPLETED)
                    woken.cancel()
                await self._let_in()

        return await _to_its_end(in_turn(), let_in)

    def _note_progress(self, written: int, received_at: float | None) -> None:
        """Record that a piece ended. It is no progress while the target is tried again after it could not be read."""
        self.alive = self._clock()
        if self._stalled_since is not None and self.outcomes.value.error is None:
            self._stalled_since = self.alive
        if written and received_at is not None:
            self.installs_s.observe(self.alive - received_at, written)


async def elsewhere(call: Callable[[], Any]) -> Any:
    """Make a long call in a thread."""
    return await _to_its_end(asyncio.to_thread(call))


async def _to_its_end(
    call: Coroutine[Any, Any, Any], meanwhile: Callable[[asyncio.Future[Any]], Awaitable[None]] | None = None
) -> Any:
    """Await a call in a thread. A caller that is cancelled still waits for it, so that the target is not closed under it."""
    calling = asyncio.ensure_future(call)
    try:
        if meanwhile is not None:
            await meanwhile(calling)
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait((calling,))
        calling.exception()  # read, so that asyncio does not log it; a cancelled caller has no use for it
        raise
