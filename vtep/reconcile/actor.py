"""When to make a pass: one loop that reads as a sentence.

    wait for the first of {new intent, hint, retry due, audit due, asked}
    gather for as long as the last pass took, so that a burst becomes few passes and a lone change waits for nothing
    take the latest intent and so many keys, pass, publish, compute the next wake-up

A look at everything takes long, and what is new is let in between two of its pieces: small passes within the large one.
Hints and timers only wake; what is done is decided by looking. Owns its engine. Knows no kind, no target and no status
page: what a pass found goes out as an `Outcome`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from vtep.errors import KernelError
from vtep.intent import NOTHING, Intent
from vtep.reconcile.claims import Moment
from vtep.reconcile.compare import Compared, Differs, differences, orphans
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
"""Of a kind, in a small pass: what is newer than these waits for them, for about 50 ms."""
RELEASED_MAX: Final = 4096
"""Looked through between two yields, in search of what waited for the picture to be complete: for a few milliseconds."""
SURVEY_EVERY: Final = 10
"""Audits of a large table, one of which is a survey: rows of some kinds can be seen in no other way."""


class Outcome(Struct, frozen=True):
    """What the last pass found."""

    report: Report | None = None
    generation: int = 0
    """Of the intent that was applied. Not the intent itself: to let go of a table that is long past would hold the loop."""
    error: KernelError | None = None
    """Why there was no picture to judge by; the last good report stays beside it."""


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
        """When a piece of a pass was last done, or a pass ended."""
        self.passes_s = Histogram()
        self.installs_s = Histogram()
        """From an intent's first line to the target's answer."""
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
        """The picture became complete, and what waited for that has not been told yet."""
        self._survey = True
        self._surveying = False
        self._devices_changed = False
        self._audit_due = 0.0
        self._audits = 0
        self._heard_at: float | None = None
        self._calls = asyncio.Lock()
        """The target takes one long call at a time; whoever else makes one waits."""
        self._stalled_since: float | None = None

    @property
    def stalled_s(self) -> float:
        """For how long a pass under way got no further, or the kernel could not be read; 0 at rest."""
        return 0.0 if self._stalled_since is None else self._clock() - self._stalled_since

    def offer(self, intent: Intent, received_at: float | None = None) -> None:
        """Put the latest intent in place of the one before, whether that was applied or not."""
        if intent is self._intent:
            return
        if self._heard_at is None:
            self._heard_at = received_at
        self._releasing |= intent.complete and not self._intent.complete
        self._intent = intent
        for kind in self.engine.kinds:
            self._touched[kind.name].add(kind.touched(intent))
        self._woken.set()

    def hint(self, keys: Mapping[str, Iterable[Key]], gone: Mapping[str, Iterable[Key]] = {}) -> None:
        """Something happened at these keys: look there soon. Where rows only went, we may have deleted them ourselves."""
        for kind, found in keys.items():
            self._hinted[kind].add(found)
        for kind, found in gone.items():
            self._hinted[kind].add(key for key in found if self.engine.knows(kind, key))
        if self._is_waiting:
            self._woken.set()

    def look_around(self) -> None:
        """Devices changed: see soon whether rows can be written where they could."""
        self.engine.suspect_attachments()
        self._devices_changed = True
        self._woken.set()

    def survey(self) -> None:
        """Something happened somewhere: look at everything soon, and rely on nothing that is known until then."""
        self._survey = True
        self.engine.mark_suspect()
        self._woken.set()

    def resync(self) -> None:
        """An operator asks: look at everything, and try suppressed changes again."""
        self.engine.backlog.rearm()
        self.survey()

    async def compare(self, concerns: Callable[[Key], bool]) -> Compared:
        """Look what differs from what is wanted; passes go on meanwhile."""
        return await self._in_pieces(differences(self.engine, lambda: self._intent, concerns))

    async def orphans(self, concerns: Callable[[Key], bool]) -> list[Differs]:
        """Look which rows bear our mark and are nobody's."""
        return await self._in_pieces(orphans(self.engine, lambda: self._intent, concerns))

    def adopt(self, rows: Sequence[Differs]) -> None:
        """Take these rows as ours: the next pass removes what is not wanted."""
        at = Moment(self._intent.generation, self._clock())
        for row in rows:
            if row.seen is not None:
                self.engine.adopt(row.kind, row.key, row.seen.row, at)
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
        """What waited for the picture to be complete waits no more: held rows, and claims of an earlier life."""
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
        """Look where something is new."""
        names = self._passing
        touched = {name: self._touched[name].take(KEYS_MAX) for name in names if self._touched[name]}
        hinted = {name: self._hinted[name].take(KEYS_MAX) for name in names if self._hinted[name]}
        for name, key in self.engine.backlog.due(self._clock(), KEYS_MAX):
            if name in names:
                hinted.setdefault(name, set()).add(key)
        await self._carry_out(Scope(hinted=hinted, touched=touched))

    @property
    def _passing(self) -> list[str]:
        """The kinds that a small pass may look at.

        Rows that cannot be looked up wait for a survey that is asked for or under way: only its picture tells whether
        somebody else has put them there.
        """
        surveys = self._survey or self._surveying
        return [kind.name for kind in self.engine.kinds if readable(kind) or not surveys]

    async def _sweep(self) -> None:
        """Look at everything. Until that has succeeded, what waits is part of it; else it gets its turns meanwhile."""
        claims = sum(len(self.engine.ledger.claims(kind.name)) for kind in self.engine.kinds)
        self._audits += 1
        survey = self._survey or claims <= DUMP_ROWS_MAX or self._audits % SURVEY_EVERY == 0
        self._survey = False
        self._audit_due = self._clock() + self._audit_s
        if self.engine.surveyed:
            self._surveying = survey
            try:
                await self._carry_out(Scope(survey=survey, audit=True, later=self._touched))
            finally:
                self._surveying = False
            return
        touched = {name: waiting.take_all() for name, waiting in self._touched.items() if waiting}
        hinted = {name: waiting.take_all() for name, waiting in self._hinted.items() if waiting}
        await self._carry_out(Scope(survey=survey, audit=True, hinted=hinted, touched=touched))

    async def _carry_out(self, scope: Scope) -> None:
        """Make a pass; a sweep lets small ones in, which tell what they found by themselves."""
        now, generation, received_at = self._clock(), self._intent.generation, None
        sweeps, waiting = scope.survey or scope.audit, self._is_waiting
        self._devices_changed = False
        self._taken = self._intent
        if not (sweeps and self.engine.surveyed):
            received_at, self._heard_at = self._heard_at, None
        if self._stalled_since is None:
            self._stalled_since = now
        try:
            report = await self._in_pieces(self.engine.run(self._intent, now, scope), received_at, lets_in=sweeps)
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
        """Keys wait to be looked at."""
        return any(waiting for waits in (self._touched, self._hinted) for waiting in waits.values())

    @property
    def _is_news(self) -> bool:
        return (
            self._devices_changed
            or self._releasing
            or self._intent is not self._taken
            or any(self._touched[name] or self._hinted[name] for name in self._passing)
        )

    async def _gather(self, until: float) -> None:
        """Under load passes are long, and half of the time is for what comes meanwhile; after a short one nobody waits."""
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
        """Return when something new is told, or after so long."""
        self._woken.clear()
        try:
            async with asyncio.timeout(max(0.0, most_s)):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _in_pieces(self, steps: Steps[T], received_at: float | None = None, *, lets_in: bool = False) -> T:
        """Let everybody else in between two pieces, and make long calls elsewhere."""
        answer = None
        while True:
            began, written = self._clock(), self.engine.written
            try:
                call = steps.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            finally:
                self._get_further(self.engine.written - written, received_at)
            took_s = self._clock() - began
            answer = None if call is None else await self._elsewhere(call, lets_in=lets_in)
            await asyncio.sleep(0)
            if lets_in and self._may_let_in:
                if not self._is_news:
                    await self._rest(took_s)
                await self._let_in()

    @property
    def _may_let_in(self) -> bool:
        return self.engine.surveyed and self.outcomes.value.error is None

    async def _let_in(self) -> None:
        """Give what is new its turn while a sweep is under way."""
        if self._is_news:
            await self._release_held()
            await self._pass()
            self._stalled_since = self._clock()

    async def _elsewhere(self, call: Callable[[], Any], *, lets_in: bool) -> Any:
        """Make a long call in a thread. Who is cancelled meanwhile waits for it: the target is not to be closed under it."""
        calling = asyncio.ensure_future(self._call(call))
        try:
            while lets_in and self._may_let_in and not calling.done():
                if not self._is_news:
                    self._woken.clear()
                    woken = asyncio.ensure_future(self._woken.wait())
                    await asyncio.wait((calling, woken), return_when=asyncio.FIRST_COMPLETED)
                    woken.cancel()
                await self._let_in()
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            await asyncio.wait((calling,))
            calling.exception()  # told to nobody: who is cancelled has no use for it
            raise

    async def _call(self, call: Callable[[], Any]) -> Any:
        async with self._calls:
            return await asyncio.to_thread(call)

    def _get_further(self, written: int, received_at: float | None) -> None:
        """Take note of a piece; none counts while the kernel is tried again after it could not be read."""
        self.alive = self._clock()
        if self._stalled_since is not None and self.outcomes.value.error is None:
            self._stalled_since = self.alive
        if written and received_at is not None:
            self.installs_s.observe(self.alive - received_at, written)


async def elsewhere(call: Callable[[], Any]) -> Any:
    """Make a long call in a thread. Who is cancelled meanwhile waits for it: the target takes one call at a time."""
    calling = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait((calling,))
        calling.exception()  # told to nobody: who is cancelled has no use for it
        raise
