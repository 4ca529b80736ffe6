"""When to make a pass: one loop that reads as a sentence.

    wait for the first of {new intent, hint, retry due, audit due, asked}
    gather for as long as the last pass took, so that a burst becomes few passes and a lone change waits for nothing
    take the latest intent, pass, publish, compute the next wake-up

Hints and timers only wake; what is done is decided by looking. Owns its engine. Knows no kind, no target and no status
page: what a pass found goes out as an `Outcome`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from vtep.errors import KernelError
from vtep.intent import NOTHING, Intent
from vtep.reconcile.compare import Compared, Differs, differences, orphans
from vtep.reconcile.engine import DUMP_ROWS_MAX, Engine, Scope, Steps
from vtep.reconcile.kind import Key
from vtep.reconcile.ownership import Moment
from vtep.reconcile.report import Report, Trouble
from vtep.reconcile.retry import Place
from vtep.status.board import Board
from vtep.status.histogram import Histogram

T = TypeVar("T")

AUDIT_S: Final = 60.0
GATHER_S_MAX: Final = 0.05
BLIND_RETRY_S: Final = 1.0
SURVEY_EVERY: Final = 10
"""Audits of a large table, one of which is a survey: rows of some kinds can be seen in no other way."""


class Outcome(Struct, frozen=True):
    """What the last pass found."""

    report: Report | None = None
    intent: Intent = NOTHING
    """The intent that was applied."""
    troubles: Mapping[Place, Trouble] = {}
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
        self.outcomes: Board[Outcome] = Board(Outcome())
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
        self._woken = asyncio.Event()
        self._hinted: dict[str, set[Key]] = {}
        self._touched: dict[str, set[Key]] = {}
        self._survey = True
        self._audit_due = 0.0
        self._audits = 0
        self._heard_at: float | None = None
        self._turn = asyncio.Lock()
        """Who looks and who writes take turns, a piece each: the target takes one call at a time."""
        self._stalled_since: float | None = None

    @property
    def stalled_s(self) -> float:
        """For how long a pass under way got no further, or the kernel could not be read; 0 at rest."""
        return 0.0 if self._stalled_since is None else self._clock() - self._stalled_since

    def offer(self, intent: Intent, heard_at: float | None = None) -> None:
        """Put the latest intent in place of the one before, whether that was applied or not."""
        if intent is self._intent:
            return
        if self._heard_at is None:
            self._heard_at = heard_at
        if intent.complete and not self._intent.complete:
            self._release_held()
        self._intent = intent
        for kind in self.engine.kinds:
            self._touched.setdefault(kind.name, set()).update(kind.touched(intent))
        self._woken.set()

    def _release_held(self) -> None:
        """What waited for the picture to be complete waits no more: held rows, and claims of an earlier life."""
        for (kind, key), trouble in self.engine.troubles.items():
            if trouble.state == "held":
                self._touched.setdefault(kind, set()).add(key)
        ledger = self.engine.ledger
        for name in (kind.name for kind in self.engine.kinds):
            claims = ledger.claims(name)
            if len(claims) > sum(ledger.confirmed(name).values()):
                unsure = (key for key, claim in claims.items() if not claim.confirmed)
                self._touched.setdefault(name, set()).update(unsure)

    def hint(self, keys: Mapping[str, Iterable[Key]]) -> None:
        """Something happened at these keys: look there soon."""
        for kind, found in keys.items():
            self._hinted.setdefault(kind, set()).update(found)
        self._woken.set()

    def survey(self) -> None:
        """Something happened somewhere: look at everything soon."""
        self._survey = True
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
            if row.seen is not None and row.key not in self.engine.ledger.claims(row.kind):
                self.engine.ledger.claim(row.kind, {row.key: (row.seen.row, 0)})
                self.engine.ledger.confirm(row.kind, [row.key], at)
        self.survey()

    async def run(self) -> None:
        """Pass after pass, until cancelled."""
        while True:
            began = self._clock()
            await self.step()
            ended = self._clock()
            await self._wait()
            await self._gather(ended + min(ended - began, self._gather_s_max))

    async def step(self) -> None:
        """Make one pass over what there is to look at, and publish what it found."""
        now = self._clock()
        intent = self._intent
        last = self.outcomes.value
        scope = self._take_scope(now)
        heard_at, self._heard_at = self._heard_at, None
        if self._stalled_since is None:
            self._stalled_since = now
        try:
            report = await self._in_pieces(self.engine.run(intent, now, scope), heard_at)
        except KernelError as error:
            self._survey = True
            self._audit_due = now + BLIND_RETRY_S
            for kind, keys in scope.touched.items():
                self._touched.setdefault(kind, set()).update(keys)
            self.outcomes.publish(Outcome(last.report, last.intent, last.troubles, error))
        else:
            self._stalled_since = None
            if report.audited:
                self.audited = now
            self.passes_s.observe(self._clock() - now)
            self.outcomes.publish(Outcome(report, intent, self.engine.troubles.snapshot()))

    def _take_scope(self, now: float) -> Scope:
        """Return what to look at, and begin to gather anew."""
        hinted, self._hinted = self._hinted, {}
        touched, self._touched = self._touched, {}
        survey, audit = self._survey, now >= self._audit_due
        self._survey = False
        self._woken.clear()
        if survey or audit:
            self._audit_due = now + self._audit_s
            self._audits += 1
            claims = sum(len(self.engine.ledger.claims(kind.name)) for kind in self.engine.kinds)
            survey |= claims <= DUMP_ROWS_MAX or self._audits % SURVEY_EVERY == 0
            return Scope(survey=survey, audit=True, hinted=hinted, touched=touched)
        for kind_name, key in self.engine.backlog.due(now):
            hinted.setdefault(kind_name, set()).add(key)
        return Scope(hinted=hinted, touched=touched)

    async def _gather(self, until: float) -> None:
        """Under load passes are long, and half of the time is for what comes meanwhile; after a short one nobody waits."""
        rest_s = until - self._clock()
        if rest_s > 0:
            await asyncio.sleep(rest_s)

    async def _wait(self) -> None:
        """Return when there is something to look at."""
        due = self._audit_due
        retry_due = self.engine.backlog.next_due
        if retry_due is not None and self.outcomes.value.error is None:
            due = min(due, retry_due)
        try:
            async with asyncio.timeout(max(0.0, due - self._clock())):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _in_pieces(self, steps: Steps[T], heard_at: float | None = None) -> T:
        """Let everybody else in between two pieces, and make long calls elsewhere."""
        answer = None
        while True:
            async with self._turn:
                written = self.engine.written
                try:
                    call = steps.send(answer)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                finally:
                    self._get_further(self.engine.written - written, heard_at)
                answer = None if call is None else await elsewhere(call)
            await asyncio.sleep(0)

    def _get_further(self, written: int, heard_at: float | None) -> None:
        """Take note of a piece; none counts while the kernel is tried again after it could not be read."""
        self.alive = self._clock()
        if self._stalled_since is not None and self.outcomes.value.error is None:
            self._stalled_since = self.alive
        if written and heard_at is not None:
            self.installs_s.observe(self.alive - heard_at, written)


async def elsewhere(call: Callable[[], Any]) -> Any:
    """Make a long call in a thread. Who is cancelled meanwhile waits for it: the target takes one call at a time."""
    calling = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait((calling,))
        calling.exception()  # told to nobody: who is cancelled has no use for it
        raise
