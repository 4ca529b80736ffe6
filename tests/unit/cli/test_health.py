"""Waiting for a daemon to be ready."""

import pytest

from vtep.cli import health
from vtep.errors import UnreachableError
from vtep.v1 import vtep_pb2 as pb

READY, NOT_READY = pb.GetStatusResponse(ready=True), pb.GetStatusResponse()


class Told:
    """A daemon that answers these one after another, and the last one without end; an error is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def ask(self, _request, _answer):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(health, "PAUSE_S", 0.0)


def test_a_daemon_that_is_not_there_yet_is_waited_for():
    assert health._waited(Told(UnreachableError("not there"), NOT_READY, READY), 60.0).ready


def test_without_waiting_the_first_answer_counts():
    assert not health._waited(Told(NOT_READY, READY), 0.0).ready


def test_a_daemon_that_never_starts_is_reported_as_unreachable():
    with pytest.raises(UnreachableError):
        health._waited(Told(UnreachableError("not there")), 0.01)


@pytest.mark.parametrize(
    ("state", "strict", "code"),
    [
        ("ready", True, 0),
        ("degraded", False, 0),
        ("degraded", True, 4),
        ("not-ready", False, 1),
        ("not-ready", True, 1),
    ],
)
def test_a_degraded_leaf_has_an_exit_code_of_its_own_only_with_strict(state, strict, code):
    status = pb.GetStatusResponse(ready=state != "not-ready", state=state)

    assert health._exit_code(status, strict=strict) == code


def test_a_daemon_that_does_not_know_degraded_is_ready_or_not():
    assert [health.state(status) for status in (READY, NOT_READY)] == ["ready", "not-ready"]
