"""What the log says of a pass."""

import errno
import logging

import pytest

from vtep.addr import Mac, Vni
from vtep.app.pass_log import ROWS_LOGGED, ROWS_S, PassLog
from vtep.errors import KernelError
from vtep.linux.conditions import Fault
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.reconcile.actor import Outcome
from vtep.reconcile.claims import Claims
from vtep.reconcile.engine import Engine
from vtep.reconcile.report import Report, Trouble

ENGINE = Engine((), KernelTarget(MemoryKernel(), ()), Claims())


class Clocked:
    """The log of an engine, on a clock that a test moves."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "vtep")
        self.now = 0.0
        self.engine = Engine(KINDS, KernelTarget(MemoryKernel(), ()), Claims())
        self.log = PassLog(self.engine, lambda: self.now)
        self.outcome = Outcome()
        self._records = caplog.records

    def see(self, **outcome: object) -> None:
        """See the outcome of a pass, and what the timer of the task would log before it."""
        if self.log.due is not None and self.log.due <= self.now:
            self.log.flush()
        last, self.outcome = self.outcome, Outcome(**outcome)
        self.log.see(last, self.outcome)
        self.engine.troubles.news.clear()

    def refuse(self, number: int) -> None:
        ref = ("fdb", (Vni(100), Mac(b"\2\0\0\0" + number.to_bytes(2))))
        self.engine.troubles.note(ref, Trouble("failed", "retrying", "busy", errno.EBUSY))

    def lines(self, name: str) -> list[dict]:
        return [record.fields for record in self._records if record.message == name]


def test_many_passes_in_a_second_are_one_line_that_adds_them_up(caplog: pytest.LogCaptureFixture) -> None:
    leaf = Clocked(caplog)

    for number in range(1, 2001):
        leaf.see(report=Report(number, number, created=1, deleted=2))
        leaf.now += 0.005
    leaf.now += 1
    leaf.log.flush()

    lines = leaf.lines("rows written")
    assert len(lines) <= 11
    assert lines[0] | {"passes": 1, "created": 1} == lines[0], "the first change is logged at once"
    assert [sum(line[name] for line in lines) for name in ("passes", "created", "deleted")] == [2000, 2000, 4000]
    assert lines[-1]["generation"] == 2000
    assert leaf.log.due is None


def test_a_pass_that_wrote_nothing_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    leaf = Clocked(caplog)
    leaf.see(report=Report(1, 1))
    leaf.now += 10
    leaf.see(report=Report(1, 2))

    assert len(leaf.lines("rows written")) == 1
    assert leaf.log.due is None


def test_of_many_rows_that_are_refused_some_are_logged_and_the_others_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leaf = Clocked(caplog)

    for number in range(5000):
        leaf.refuse(number)
        leaf.see(report=Report(1, number))
        leaf.now += 0.01
    leaf.now += ROWS_S
    leaf.log.flush()

    assert len(leaf.lines("row failed")) == 50 * ROWS_LOGGED / ROWS_S
    assert sum(line["left_out"] for line in leaf.lines("more rows refused")) == 5000 - len(leaf.lines("row failed"))


def test_a_kernel_that_stays_unreadable_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    leaf = Clocked(caplog)

    for _ in range(150):
        leaf.see(error=KernelError("rows", errno.EINTR, "torn"))
        leaf.now += 1

    assert [line["left_out"] for line in leaf.lines("kernel unreadable")] == [0, 59, 59]


def test_a_vni_that_is_not_ready_is_logged_with_what_is_there_and_with_the_command(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "vtep")
    faults = {
        Vni(100): (
            Fault("device-down", "vxlan100 is down, and must be up", "ip link set dev vxlan100 up"),
            Fault("bridge-down", "br100 is down, and must be up", "ip link set dev br100 up"),
        )
    }
    outcome = Outcome(Report(1, 1, not_ready={Vni(100): ("device-down", "bridge-down")}))

    PassLog(ENGINE, lambda: 0.0).see(Outcome(), outcome, faults)

    (record,) = caplog.records
    assert record.message == "vni not ready"
    assert record.fields["why"] == "vxlan100 is down, and must be up; br100 is down, and must be up"
    assert record.fields["hint"] == "ip link set dev vxlan100 up; ip link set dev br100 up"
