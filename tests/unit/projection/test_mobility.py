"""The memory of moves, value by value."""

import pytest

from vtep.addr import Ip
from vtep.config.model import DuplicateConfig
from vtep.intent import Direct, Moves
from vtep.projection import mobility

A, B = Ip.parse("10.0.0.1"), Ip.parse("10.0.0.2")
WARN = DuplicateConfig(moves=2, window_s=100.0)
FREEZE = DuplicateConfig(moves=2, window_s=100.0, action="freeze")


def test_a_mac_that_stays_has_no_memory() -> None:
    assert mobility.follow(None, A, A, Direct(A), WARN, 0.0) is None
    assert mobility.follow(None, None, A, Direct(A), WARN, 0.0) is None


def test_a_move_is_remembered_for_a_window() -> None:
    moved = mobility.follow(None, A, B, Direct(B), WARN, 5.0)

    assert moved == Moves(location=B, times=(5.0,))
    assert mobility.due(moved, WARN) == 105.0
    assert mobility.follow(moved, B, B, Direct(B), WARN, 104.9) == moved
    assert mobility.follow(moved, B, B, Direct(B), WARN, 105.0) is None


def test_a_warning_that_is_over_does_not_freeze_after_a_reload_to_freeze() -> None:
    warned = Moves(location=B, times=(1.0, 2.0), duplicate_since=2.0)

    assert mobility.follow(warned, B, B, Direct(B), FREEZE, 200.0) is None


def test_a_warning_that_lasts_freezes_after_a_reload_to_freeze() -> None:
    warned = Moves(location=B, times=(1.0, 2.0), duplicate_since=2.0)

    assert mobility.follow(warned, B, B, Direct(B), FREEZE, 50.0).frozen == Direct(B)


def test_a_reload_to_warn_ends_a_freeze_at_once() -> None:
    frozen = Moves(location=B, times=(1.0, 2.0), duplicate_since=2.0, frozen=Direct(B))

    assert mobility.follow(frozen, B, B, Direct(B), WARN, 50.0) is None


def test_without_recover_s_a_frozen_mac_stays_frozen() -> None:
    frozen = Moves(location=B, duplicate_since=2.0, frozen=Direct(B))

    assert mobility.due(frozen, FREEZE) is None
    assert mobility.follow(frozen, B, B, Direct(B), FREEZE, 10_000.0) == frozen


def test_a_mac_that_is_nowhere_is_forgotten_after_a_window_even_when_frozen() -> None:
    frozen = Moves(location=B, times=(1.0, 2.0), duplicate_since=2.0, frozen=Direct(B))

    assert mobility.idle(frozen, FREEZE, 101.5) == Moves(B, (2.0,), 2.0, Direct(B))
    assert mobility.idle(frozen, FREEZE, 102.0) is None


@pytest.mark.parametrize("time", [0.1, 0.7, 1_000_000.3])
def test_rounding_does_not_keep_a_mac_due(time: float) -> None:
    rule = DuplicateConfig(moves=2, window_s=180.1)
    moved = Moves(location=B, times=(time,))

    assert mobility.follow(moved, B, B, Direct(B), rule, mobility.due(moved, rule)) is None
