"""How a relay knows that it is the first of its ExaBGP."""

import os

import pytest

from vtep.feed.exabgp.relay import _START, _started_at, is_first

ME, STARTED = os.getpid(), _started_at(os.getpid())


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.delenv(_START, raising=False)


@pytest.mark.parametrize(("count", "first"), [("1", True), ("2", False), ("odd", False)])
def test_vtep_exabgp_says_which_start_it_is(monkeypatch, tmp_path, count, first):
    monkeypatch.setenv(_START, count)

    assert is_first(ME, STARTED, str(tmp_path)) is first
    assert list(tmp_path.iterdir()) == []


def test_under_plain_exabgp_the_first_relay_leaves_a_trace_for_the_second(tmp_path):
    assert [is_first(ME, STARTED, str(tmp_path)) for _ in range(3)] == [True, False, False]


def test_another_exabgp_with_the_same_pid_is_another_one(tmp_path):
    is_first(ME, STARTED - 1, str(tmp_path))

    assert is_first(ME, STARTED, str(tmp_path))


def test_traces_of_exabgps_that_ended_are_removed(tmp_path):
    is_first(ME, STARTED - 1, str(tmp_path))
    is_first(ME, STARTED, str(tmp_path))

    assert [path.name.rpartition("-")[2] for path in tmp_path.iterdir()] == [str(STARTED)]


def test_a_relay_that_cannot_leave_a_trace_is_not_the_first(tmp_path):
    assert not is_first(ME, STARTED, str(tmp_path / "absent"))


def test_an_exabgp_that_may_not_be_looked_at_has_no_first_relay(tmp_path):
    assert not is_first(ME, 0, str(tmp_path))
