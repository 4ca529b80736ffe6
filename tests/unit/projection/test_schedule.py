"""A judgement looks at the records that are due, and at no others."""

import pytest

from tests.lab import wire
from tests.lab.lines import Lines, read_lines
from tests.lab.steps import Steps
from vtep.addr import Mac, Vni
from vtep.config import file as config
from vtep.config.model import DuplicateConfig
from vtep.intent import Intent, Moves, RowKey
from vtep.projection.leaf import Leaf
from vtep.projection.schedule import Schedule
from vtep.store.table import Table

A, B = "10.0.0.1", "10.0.0.2"
LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""
RULE = DuplicateConfig(moves=3, window_s=10.0)


def mac(number: int) -> str:
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


def key(number: int):
    return Vni(100), Mac.parse(mac(number))


def moved(leaf: Leaf, lines: Lines, numbers: range, now: float) -> None:
    """Move each of these MACs at a time of its own: each record is due by itself."""
    for at, number in enumerate(numbers):
        for seq, vtep in enumerate((A, B)):
            leaf.receive(read_lines([lines.announce(A, wire.Instance(vtep).mac(mac(number), seq=seq))]), now)
            leaf.judge(now + at / 1000)


@pytest.mark.parametrize("more", [10, 1000])
def test_what_is_not_due_costs_nothing(more) -> None:
    leaf = Leaf(config.parse(LEAF), 0.0)
    moved(leaf, Lines(), range(5), 0.0)
    moved(leaf, Lines(), range(100, 100 + more), 100.0)
    assert len(leaf.intent.moves) == 5 + more

    with Steps() as steps:
        leaf.judge(180.5)

    assert len(leaf.intent.moves) == more
    assert steps.taken < 6_000


def noted(schedule: Schedule, before: Intent, changes: dict[RowKey, Moves | None], now: float) -> float | None:
    return schedule.note([([of], before.moves.get(of), record) for of, record in changes.items()], changes, now)


def test_another_window_makes_other_times() -> None:
    record = Moves(bytes(4), times=(5.0,))
    intent = Intent(moves=Table([(key(1), record)]), due=15.0)
    schedule = Schedule(intent, RULE)
    assert (noted(schedule, intent, {}, 6.0), list(schedule.times)) == (15.0, [15.0])

    longer = Intent(moves=intent.moves, moves_due=schedule.times, moves_rule=schedule.rule, due=15.0)
    again = Schedule(longer, DuplicateConfig(moves=3, window_s=60.0))

    assert (again.take(15.0, 10), noted(again, longer, {}, 15.0)) == ([], 65.0)


def test_a_record_that_comes_to_another_time_is_passed_over_where_it_was() -> None:
    first, second = Moves(bytes(4), times=(5.0,)), Moves(bytes(4), times=(9.0,))
    begun = Schedule(Intent(), RULE)
    noted(begun, Intent(), {key(1): first, key(2): first}, 5.0)
    one = Intent(
        moves=Table([(key(1), first), (key(2), first)]), moves_due=begun.times, moves_rule=begun.rule, due=15.0
    )
    later = Schedule(one, RULE)

    assert noted(later, one, {key(1): second}, 10.0) == 15.0
    two = Intent(moves=one.moves.changed({key(1): second}), moves_due=later.times, moves_rule=later.rule, due=15.0)
    last = Schedule(two, RULE)

    assert last.take(15.0, 10) == [key(2)]
    assert noted(last, two, {key(2): None}, 15.0) == 19.0
