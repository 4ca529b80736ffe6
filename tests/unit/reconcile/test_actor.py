"""When the actor makes a pass, of what scope, and what it publishes: on a loop whose time moves only while it waits."""

import asyncio
import errno
import gc
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace

import pytest
from msgspec import structs

from tests.lab.loop import HandMovedLoop
from vtep.errors import KernelError
from vtep.intent import NOTHING, Intent
from vtep.reconcile.actor import KEYS_MAX, RELEASED_MAX, Actor, Outcome
from vtep.reconcile.claims import Claim
from vtep.reconcile.engine import DUMP_ROWS_MAX
from vtep.reconcile.report import Report, Trouble, Troubles
from vtep.reconcile.retry import Backlog, Class
from vtep.store.sharded import ShardedDict


class AtOnce(ThreadPoolExecutor):
    """Makes long calls where they are ordered, so that no thread races the clock."""

    def submit(self, call, *arguments):
        future: Future = Future()
        future.set_result(call(*arguments))
        return future


class Passes:
    """In place of the engine: notes what it is asked to do."""

    def __init__(self, each_takes_s: float = 0.0) -> None:
        self.each_takes_s = each_takes_s
        self.kinds = (
            SimpleNamespace(name="fdb", touched=lambda intent: intent.touched, lookups=()),
            SimpleNamespace(name="flood", touched=lambda intent: intent.touched_floods),
        )
        self.claims: ShardedDict = ShardedDict()
        self.ledger = SimpleNamespace(
            claims=lambda name: self.claims if name == "fdb" else ShardedDict(),
            confirmed=lambda name: {0: sum(claim.confirmed for claim in self.claims.values() if name == "fdb")},
        )
        self.backlog = Backlog()
        self.troubles = Troubles()
        self.made: list[SimpleNamespace] = []
        self.calls: list = []
        """What to yield in each pass."""
        self.sweeps: list = []
        """What to yield in each look at everything."""
        self.audits: list[float] = []
        """How long each piece of an audit row by row takes."""
        self.ended: list[int] = []
        self.blind = False
        self.written = 0
        self.surveyed = False
        self.doubts = 0
        self.ground_doubts = 0
        self.known: set[str] = set()
        self.meanwhile = lambda: None

    def mark_suspect(self) -> None:
        self.doubts += 1

    def suspect_attachments(self) -> None:
        self.ground_doubts += 1

    def known_among(self, kind: str, keys: list[str]) -> list[str]:
        return [key for key in keys if kind == "fdb" and key in self.known]

    def run(self, intent, now, scope):
        scope_as_told = SimpleNamespace(
            survey=scope.survey,
            audit=scope.audit,
            hinted={kind: set(keys) for kind, keys in scope.hinted.items()},
            touched={kind: set(keys) for kind, keys in scope.touched.items()},
        )
        self.made.append(SimpleNamespace(at=round(now, 6), intent=intent, scope=scope_as_told))
        number = len(self.made)
        self.meanwhile()
        yield from self.calls
        if scope.survey:
            yield from self.sweeps
        elif scope.audit:
            for piece in self.audits:
                asyncio.get_running_loop().clock.now += piece  # busy for so long
                yield None
        if self.each_takes_s:
            asyncio.get_running_loop().clock.now += self.each_takes_s  # busy all the while
        self.surveyed = not self.blind
        if self.blind:
            raise KernelError("rows", errno.EINTR, "torn")
        self.ended.append(number)
        return Report(generation=intent.generation, number=number)

    @property
    def times(self) -> list[float]:
        return [made.at for made in self.made]

    @property
    def last(self) -> SimpleNamespace:
        return self.made[-1]


def play(story, passes: Passes | None = None, **options) -> Passes:
    """Let an actor run while the story happens."""
    passes = passes or Passes()

    async def tell() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(AtOnce())
        actor = Actor(passes, loop.time, **options)
        running = asyncio.create_task(actor.run())
        await story(actor, passes)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with asyncio.Runner(loop_factory=HandMovedLoop) as runner:
        runner.run(tell())
    return passes


def intent(generation: int, *touched: str, complete: bool = False) -> Intent:
    return Intent(generation, complete, touched=touched)


def test_the_first_pass_is_a_survey_at_once() -> None:
    async def story(actor: Actor, _) -> None:
        await actor.outcomes.next()

    passes = play(story)

    assert (passes.times, passes.last.scope.survey, passes.last.intent) == ([0.0], True, NOTHING)


def test_a_single_change_makes_a_pass_at_once_that_looks_only_at_its_keys() -> None:
    async def story(actor: Actor, _) -> None:
        await asyncio.sleep(10)
        actor.offer(intent(1, "m"))
        outcome = await actor.outcomes.next()
        assert (outcome.generation, outcome.report.generation, outcome.error) == (1, 1, None)

    passes = play(story)

    assert passes.times == [0.0, 10.0]
    assert (passes.last.scope.survey, passes.last.scope.audit) == (False, False)
    assert (passes.last.scope.touched, passes.last.scope.hinted) == ({"fdb": {"m"}}, {})


def test_a_burst_is_one_pass_over_the_latest_intent_and_all_that_was_touched() -> None:
    async def story(actor: Actor, _) -> None:
        await asyncio.sleep(10)
        for number in range(1, 5):
            actor.offer(intent(number, f"m{number}"))
            actor.hint({"fdb": [f"h{number}"]})
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)

    passes = play(story, Passes(each_takes_s=0.035))

    assert passes.times == [0.0, 10.0, 10.07]
    assert passes.last.intent.generation == 4
    assert passes.last.scope.touched == {"fdb": {"m2", "m3", "m4"}}
    assert passes.last.scope.hinted == {"fdb": {"h2", "h3", "h4"}}


def test_a_device_that_changed_makes_one_small_pass_that_looks_around() -> None:
    async def story(actor: Actor, _) -> None:
        await asyncio.sleep(10)
        actor.look_around()
        await asyncio.sleep(20)

    passes = play(story)

    assert (passes.times, passes.ground_doubts) == ([0.0, 10.0], 1)
    assert not passes.last.scope.survey


def test_a_row_that_is_gone_and_was_not_known_wakes_no_pass() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        passes.known = {"ours"}
        await asyncio.sleep(10)
        actor.hint({"fdb": []}, {"fdb": ["deleted by us", "unknown"]})
        await asyncio.sleep(10)
        actor.hint({"fdb": []}, {"fdb": ["ours", "unknown"]})
        await asyncio.sleep(10)

    passes = play(story)

    assert passes.times == [0.0, 20.0]
    assert passes.last.scope.hinted == {"fdb": {"ours"}}


def test_it_gathers_for_at_most_its_limit_however_long_passes_take() -> None:
    async def story(actor: Actor, _) -> None:
        await asyncio.sleep(10)
        for number in range(1, 4):
            actor.offer(intent(number))
            await asyncio.sleep(0.01)
        await asyncio.sleep(5)

    assert play(story, Passes(each_takes_s=2.0)).times == [0.0, 10.0, 12.05]
    assert play(story, Passes(each_takes_s=2.0), gather_s_max=0.5).times == [0.0, 10.0, 12.5]


def test_a_change_right_after_a_short_pass_does_not_wait() -> None:
    async def story(actor: Actor, _) -> None:
        await asyncio.sleep(10)
        for number in range(1, 4):
            actor.offer(intent(number))
            await asyncio.sleep(0.002)
        await asyncio.sleep(1)

    assert play(story, Passes(each_takes_s=0.001)).times == [0.0, 10.0, 10.002, 10.004]


def test_the_same_intent_offered_again_makes_no_pass() -> None:
    async def story(actor: Actor, _) -> None:
        await asyncio.sleep(1)
        same = intent(1)
        actor.offer(same)
        await asyncio.sleep(1)
        actor.offer(same)
        await asyncio.sleep(1)

    assert play(story).times == [0.0, 1.0]


def test_a_hint_makes_a_pass_that_looks_there() -> None:
    async def story(actor: Actor, _) -> None:
        await asyncio.sleep(10)
        actor.hint({"fdb": ["m", "n"]})
        await actor.outcomes.next()

    passes = play(story)

    assert passes.times == [0.0, 10.0]
    assert (passes.last.scope.survey, passes.last.scope.hinted) == (False, {"fdb": {"m", "n"}})


def test_a_change_during_a_pass_makes_another_pass() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        passes.meanwhile = lambda: len(passes.made) == 1 and actor.hint({"fdb": ["m"]})
        await asyncio.sleep(1)

    passes = play(story, Passes(each_takes_s=0.03))

    assert passes.times == [0.0, 0.06]
    assert passes.last.scope.hinted == {"fdb": {"m"}}


def test_a_retry_wakes_when_it_is_due_and_looks_only_at_its_row() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        passes.backlog.refuse(("fdb", "m"), "A", errno.EBUSY, "", Class.TRANSIENT, 3.0, 0.5)
        passes.backlog.refuse(("fdb", "n"), "A", errno.EBUSY, "", Class.TRANSIENT, 7.0, 0.5)
        passes.meanwhile = lambda: passes.backlog.settle(("fdb", "m")) if actor.outcomes.value.report else None
        await asyncio.sleep(5)

    passes = play(story)

    assert passes.times == [0.0, 3.1]
    assert (passes.last.scope.survey, passes.last.scope.hinted) == (False, {"fdb": {"m"}})


def test_an_audit_comes_a_minute_after_the_last_look_at_everything() -> None:
    async def story(actor: Actor, _) -> None:
        await asyncio.sleep(30)
        actor.offer(intent(1))
        await asyncio.sleep(60)
        actor.survey()
        await asyncio.sleep(65)

    passes = play(story)

    assert passes.times == [0.0, 30.0, 60.0, 90.0, 150.0]
    assert [made.scope.survey for made in passes.made] == [True, False, True, True, True]


def test_how_often_it_audits_is_configurable() -> None:
    async def story(*_) -> None:
        await asyncio.sleep(11)

    assert play(story, audit_s=5).times == [0.0, 5.0, 10.0]


def test_a_large_table_is_audited_row_by_row() -> None:
    async def story(_, passes: Passes) -> None:
        passes.claims = dict.fromkeys(range(DUMP_ROWS_MAX + 1))
        await asyncio.sleep(61)

    passes = play(story)

    assert (passes.times, passes.last.scope.survey, passes.last.scope.audit) == ([0.0, 60.0], False, True)


def audited(story) -> Passes:
    """Let a story happen during an audit row by row that begins at 60 s and works for a tenth of a second."""

    async def told(actor: Actor, passes: Passes) -> None:
        passes.claims = dict.fromkeys(range(DUMP_ROWS_MAX + 1))
        passes.audits = [0.001] * 100
        await asyncio.sleep(61)
        await story(actor, passes)

    return play(told)


def test_an_audit_takes_a_hundredth_of_a_core_and_a_change_meanwhile_waits_for_nothing() -> None:
    ended = []

    async def story(actor: Actor, passes: Passes) -> None:
        actor.offer(intent(1, "m"))
        await actor.outcomes.wait(lambda _: len(passes.ended) == 3)
        ended.append(asyncio.get_running_loop().time())

    passes = audited(story)

    assert (passes.times, passes.ended) == ([0.0, 60.0, 61.0], [1, 3, 2])
    assert ended == [pytest.approx(70, abs=0.5)]


def test_an_audit_that_rests_for_long_is_not_stalled() -> None:
    """A piece that had to wait for the processor is followed by a long rest."""
    stalled, silent = [], []

    async def story(actor: Actor, passes: Passes) -> None:
        passes.claims = dict.fromkeys(range(DUMP_ROWS_MAX + 1))
        passes.audits = [5.0, 0.001]
        for _ in range(500):
            await asyncio.sleep(1)
            stalled.append(actor.stalled_s)
            silent.append(asyncio.get_running_loop().time() - actor.alive)
        assert passes.ended == [1]

    play(story)

    assert max(stalled) < 6
    assert max(silent) < 12


def test_a_retry_that_is_due_does_not_wait_for_an_audit_that_rests() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        passes.backlog.refuse(("fdb", "m"), "A", errno.EBUSY, "", Class.TRANSIENT, 62.0, 0.5)
        passes.meanwhile = lambda: passes.backlog.settle(("fdb", "m"))
        await actor.outcomes.wait(lambda _: len(passes.ended) == 3)

    passes = audited(story)

    assert (passes.times, passes.ended) == (pytest.approx([0.0, 60.0, 62.1], abs=0.01), [1, 3, 2])
    assert passes.last.scope.hinted == {"fdb": {"m"}}


def test_an_audit_during_which_a_survey_is_requested_does_not_rest() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        actor.survey()
        await actor.outcomes.wait(lambda _: len(passes.ended) == 3)

    passes = audited(story)

    assert (passes.last.scope.survey, passes.ended) == (True, [1, 2, 3])
    assert 61 < passes.last.at < 61.2


@pytest.mark.parametrize("claims", [DUMP_ROWS_MAX + 1, 10], ids=["large table", "small table, many devices"])
def test_a_survey_that_took_long_is_seldom_repeated(claims: int) -> None:
    def busy() -> None:
        asyncio.get_running_loop().clock.now += 10

    async def story(actor: Actor, passes: Passes) -> None:
        passes.claims = dict.fromkeys(range(claims))
        await asyncio.sleep(1)
        passes.sweeps = [busy]
        actor.survey()
        await asyncio.sleep(5000)

    surveys = [made.at for made in play(story).made if made.scope.survey]

    assert surveys[:2] == [0.0, 1.0]
    assert [later - earlier > 1490 for earlier, later in pairwise(surveys[1:])] == [True] * (len(surveys) - 2)
    assert len(surveys) in (4, 5)


def test_a_large_table_is_surveyed_when_events_were_lost() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        passes.claims = dict.fromkeys(range(DUMP_ROWS_MAX + 1))
        await asyncio.sleep(1)
        actor.survey()
        await asyncio.sleep(1)

    assert play(story).last.scope.survey


def test_held_rows_and_unconfirmed_claims_are_judged_when_the_picture_becomes_complete() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        await asyncio.sleep(1)
        passes.troubles.note(("fdb", "h"), Trouble("held", "held"))
        passes.troubles.note(("fdb", "f"), Trouble("failed", "retrying"))
        passes.claims.update(s=Claim("S", confirmed=True), u=Claim("U"))
        actor.offer(intent(1, "t", complete=True))
        await asyncio.sleep(1)
        actor.offer(intent(2, complete=False))
        await asyncio.sleep(1)

    passes = play(story)

    _, first, second = passes.made
    assert (first.scope.audit, first.scope.touched) == (False, {"fdb": {"h", "t", "u"}})
    assert (second.scope.audit, second.scope.touched) == (False, {})


def test_other_tasks_run_while_held_rows_are_searched_among_very_many() -> None:
    turns = []

    async def story(actor: Actor, passes: Passes) -> None:
        await asyncio.sleep(1)
        for number in range(10 * RELEASED_MAX):
            passes.troubles.note(("fdb", (100, number)), Trouble("held", "held"))
        actor.offer(intent(1, complete=True))
        while len(passes.made) < 2:
            turns.append(len(passes.made))
            await asyncio.sleep(0)

    play(story)

    assert len(turns) >= 10


def test_held_rows_are_judged_at_once_when_the_picture_becomes_complete_during_a_sweep() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        await asyncio.sleep(1)
        passes.troubles.note(("fdb", "h"), Trouble("held", "held"))
        passes.sweeps = [lambda: actor.offer(intent(1, complete=True)), None]
        actor.survey()
        await actor.outcomes.wait(lambda outcome: outcome.report.number == 2)

    passes = play(story)

    assert [made.scope.touched for made in passes.made[1:]] == [{}, {"fdb": {"h"}}]


def test_a_resync_looks_at_everything_and_tries_suppressed_changes_again() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        passes.backlog.refuse(("fdb", "m"), "A", errno.EPERM, "", Class.PERMANENT, 0.0, 0.5)
        await asyncio.sleep(1)
        actor.resync()
        await actor.outcomes.next()

    passes = play(story)

    assert (passes.times, passes.last.scope.survey, list(passes.backlog.refused())) == ([0.0, 1.0], True, [])


def test_while_the_target_is_unreadable_the_last_good_report_stays_and_it_is_read_again() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        await asyncio.sleep(1)
        actor.offer(intent(1))
        before = await actor.outcomes.next()
        assert before == Outcome(before.report, 1)
        passes.blind = True
        await asyncio.sleep(1)
        actor.offer(intent(2, "n"))
        blind = await actor.outcomes.next()
        assert blind == Outcome(before.report, 1, blind.error)
        assert blind.error.errno == errno.EINTR
        passes.blind = False
        after = await actor.outcomes.next()
        assert (after.error, after.generation) == (None, 2)

    passes = play(story)

    assert passes.times == [0.0, 1.0, 2.0, 3.0]
    assert (passes.last.scope.survey, passes.last.scope.touched) == (True, {"fdb": {"n"}})


def test_while_the_target_is_unreadable_a_due_retry_does_not_make_it_try_more_often() -> None:
    async def story(_, passes: Passes) -> None:
        passes.backlog.refuse(("fdb", "m"), "A", errno.EBUSY, "", Class.TRANSIENT, 0.0, 0.5)
        passes.blind = True
        await asyncio.sleep(3.5)

    assert play(story).times == [0.0, 1.0, 2.0, 3.0]


def test_other_tasks_run_between_the_pieces_of_a_pass() -> None:
    turns = []

    async def story(actor: Actor, passes: Passes) -> None:
        await actor.outcomes.next()
        passes.calls = [None] * 10
        passes.meanwhile = turns.clear
        actor.survey()
        while len(passes.made) < 2 or actor.outcomes.value.report.number < 2:
            turns.append(len(passes.made))
            await asyncio.sleep(0)

    play(story)

    assert len(turns) >= 10


def test_a_change_during_a_sweep_has_a_pass_of_its_own_at_once() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        await asyncio.sleep(1)
        passes.sweeps = [lambda: actor.offer(intent(1, "m")), *[None] * 3, lambda: actor.hint({"fdb": ["h"]}), None]
        actor.survey()
        await actor.outcomes.wait(lambda outcome: outcome.report.number == 2)

    passes = play(story)

    scopes = [(made.scope.survey, made.scope.touched, made.scope.hinted) for made in passes.made[1:]]
    assert scopes == [(True, {}, {}), (False, {"fdb": {"m"}}, {}), (False, {}, {"fdb": {"h"}})]
    assert passes.ended == [1, 3, 4, 2]


def test_rows_that_cannot_be_looked_up_wait_for_the_survey_that_was_requested() -> None:
    """Only a dump shows whether another program put the row there."""
    both = structs.replace(intent(1, "m"), touched_floods=("f",))

    async def story(actor: Actor, passes: Passes) -> None:
        await asyncio.sleep(1)
        passes.sweeps = [lambda: actor.offer(both), None]
        actor.survey()
        await actor.outcomes.wait(lambda outcome: outcome.report.number == 4)

    passes = play(story)

    scopes = [(made.scope.survey, made.scope.touched) for made in passes.made[1:]]
    assert scopes == [(True, {}), (False, {"fdb": {"m"}}), (False, {"flood": {"f"}})]
    assert passes.ended == [1, 3, 2, 4]
    assert passes.doubts == 1


def test_no_small_pass_is_let_in_before_the_first_survey_succeeded() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        passes.sweeps = [lambda: actor.offer(intent(1, "m")), None, None]
        await actor.outcomes.wait(lambda outcome: outcome.report is not None and outcome.report.number == 2)

    passes = play(story)

    assert passes.ended == [1, 2]
    assert passes.last.scope.touched == {"fdb": {"m"}}


def test_very_many_changes_are_several_passes_and_a_newer_change_does_not_wait_for_all() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        await asyncio.sleep(1)
        passes.meanwhile = lambda: len(passes.made) == 2 and actor.offer(intent(2, "m"))
        passes.calls = [None] * 3
        actor.offer(intent(1, *range(2 * KEYS_MAX + 1)))
        first = await actor.outcomes.next()
        assert (first.report.waiting, first.report.converged, first.generation) == (True, False, 0)
        await asyncio.sleep(1)
        last = actor.outcomes.value
        assert (last.report.waiting, last.report.converged, last.generation) == (False, True, 2)

    passes = play(story)

    sizes = [len(made.scope.touched["fdb"]) for made in passes.made[1:]]
    assert sizes == [KEYS_MAX, KEYS_MAX, 2]
    assert "m" in passes.made[2].scope.touched["fdb"]


def test_an_actor_at_rest_is_not_stalled() -> None:
    async def story(actor: Actor, _) -> None:
        await asyncio.sleep(50)

        assert actor.stalled_s == 0

    play(story)


def test_a_pass_is_stalled_since_its_last_piece() -> None:
    seen = []

    async def story(actor: Actor, passes: Passes) -> None:
        loop = asyncio.get_running_loop()

        def long_call() -> None:
            loop.clock.now += 40
            seen.append(actor.stalled_s)

        await asyncio.sleep(1)
        passes.calls = [long_call, None, long_call]
        actor.survey()
        await actor.outcomes.next()

        assert actor.stalled_s == 0

    play(story)

    assert seen == [40, 40]


def test_an_actor_that_cannot_read_the_target_is_stalled_until_it_can() -> None:
    async def story(actor: Actor, passes: Passes) -> None:
        await asyncio.sleep(1)
        passes.blind, passes.calls = True, [None]
        actor.survey()
        await asyncio.sleep(35)
        assert actor.stalled_s == 35
        passes.blind = False
        await actor.outcomes.next()
        await asyncio.sleep(1)
        assert actor.stalled_s == 0

    play(story)


# With real threads


def outcome_of(story) -> None:
    with asyncio.Runner() as runner:
        runner.run(story())


def test_long_calls_are_made_in_a_thread() -> None:
    async def story() -> None:
        passes, threads = Passes(), []
        passes.calls = [lambda: threads.append(threading.get_ident())]

        await Actor(passes, asyncio.get_running_loop().time).step()

        assert len(threads) == 1
        assert threads != [threading.get_ident()]

    outcome_of(story)


def test_stopping_the_actor_waits_for_a_long_call() -> None:
    """The kernel's socket takes one request at a time, so no other call may begin before this one is over."""

    async def story() -> None:
        passes, begun, may_end, ended = Passes(), threading.Event(), threading.Event(), []

        def call() -> None:
            begun.set()
            may_end.wait(5)
            ended.append(True)

        passes.calls = [call]
        stepping = asyncio.create_task(Actor(passes, asyncio.get_running_loop().time).step())
        await asyncio.to_thread(begun.wait, 5)

        stepping.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not stepping.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await stepping

        assert ended == [True]

    outcome_of(story)


def test_an_error_in_a_call_whose_caller_was_cancelled_is_not_logged() -> None:
    told = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        passes, begun, may_end = Passes(), threading.Event(), threading.Event()

        def call() -> None:
            begun.set()
            may_end.wait(5)
            raise KernelError("rows", errno.ENODEV)

        passes.calls = [call]
        stepping = asyncio.create_task(Actor(passes, asyncio.get_running_loop().time).step())
        await asyncio.to_thread(begun.wait, 5)
        stepping.cancel()
        await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await stepping
        del stepping
        gc.collect()

    outcome_of(story)

    assert told == []


def test_an_error_in_a_long_call_is_an_error_of_the_pass() -> None:
    async def story() -> None:
        passes = Passes()

        def call() -> None:
            raise KernelError("rows", errno.ENODEV)

        passes.calls = [call]
        actor = Actor(passes, asyncio.get_running_loop().time)

        await actor.step()

        assert actor.outcomes.value.error.errno == errno.ENODEV

    outcome_of(story)
