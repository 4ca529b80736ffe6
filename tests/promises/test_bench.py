"""The benchmark compares like with like, and fails only for ratios: the measuring itself is not done here."""

from xml.etree import ElementTree as ET

import pytest

from bench import plots, routes
from bench.documents import merged
from bench.figures import Figure, Limit, Outcome, aims, from_json, markdown, text, to_json
from tests.lab import wire
from vtep.addr import Mac
from vtep.evpn.event import Announced, EndOfRib, SessionOpened, Withdrawn
from vtep.evpn.nlri import nlri_key
from vtep.feed.exabgp.json import decode

MACS = range(7)
NAMES = {Mac.parse(routes.mac(number)) for number in MACS}


def figure(ours: float = 2.0, theirs: float = 1.0, *, fails_at: float | None = 3.0, over: str = "frr") -> Figure:
    sides = {"vtep": [ours, ours, 99.0], "frr": [theirs, 0.1, 99.0]}
    return Figure("A table", "add", "us/MAC", sides, Limit("vtep", over, 1.0, fails_at))


def events(*lines: bytes) -> list:
    return [event for line in lines for event in decode(line).events]


def test_the_lines_of_one_side_say_what_the_updates_of_the_other_say() -> None:
    told = routes.Told()
    updates = wire.read_update(routes.announcements(MACS, routes.NEW, 1)[19:])

    (announced,) = events(*told.announce(MACS, routes.NEW, 1))

    assert isinstance(announced, Announced)
    assert set(announced.routes) == {nlri_key(nlri) for nlri in updates.announced}
    assert {route.mac for route in announced.routes.values()} == NAMES
    assert {str(route.attributes.next_hop) for route in announced.routes.values()} == {routes.NEW}
    assert {route.attributes.seq for route in announced.routes.values()} == {1}
    assert updates.next_hop == bytes((10, 0, 0, 2))


def test_withdrawals_take_back_just_what_was_announced_on_both_sides() -> None:
    told = routes.Told()

    announced, withdrawn = events(*told.announce(MACS), *told.withdraw(MACS))

    assert isinstance(announced, Announced)
    assert isinstance(withdrawn, Withdrawn)
    assert set(withdrawn.keys) == set(announced.routes)
    assert len(wire.read_update(routes.withdrawals(MACS)[19:]).withdrawn) == len(MACS)


def test_a_session_opens_and_ends_its_table_and_every_line_counts() -> None:
    told = routes.Told()
    lines = [told.opening(), *told.announce(range(120)), told.end_of_rib()]

    heard = [decode(line) for line in lines]

    assert [line.counter for line in heard] == [1, 2, 3, 4, 5]
    assert isinstance(heard[0].events[0], SessionOpened)
    assert isinstance(heard[-1].events[0], EndOfRib)
    assert {str(line.peer) for line in heard} == {routes.SPEAKER}


@pytest.mark.parametrize(
    ("case", "reached", "fails"),
    [
        pytest.param(figure(0.9), True, False, id="below the target"),
        pytest.param(figure(2.0), False, False, id="above the target, below what fails"),
        pytest.param(figure(4.0), False, True, id="a ratio above what fails"),
        pytest.param(figure(4.0, fails_at=None), False, False, id="a ratio that never fails"),
        pytest.param(figure(4.0, over=""), False, False, id="a figure of this machine alone"),
        pytest.param(Figure("t", "add", "s", {"vtep": [9.0], "frr": []}, Limit("vtep", "frr", 1.0, 3.0)), None, False, id="one side"),
    ],
)  # fmt: skip
def test_only_a_ratio_that_no_noise_explains_fails_a_run(case: Figure, reached: bool | None, fails: bool) -> None:
    assert (case.reached, case.fails) == (reached, fails)


def test_figures_are_shown_with_medians_and_a_missed_target_is_called_one() -> None:
    (table,) = markdown([figure(2.0)]).values()

    assert "vtep 2 (2 to 99)" in text([figure(2.0)])
    assert "vtep/frr 2.00, target 1: missed" in text([figure(2.0)])
    assert "| vtep ≤ 1 × frr **missed** |" in table
    assert "missed" not in text([figure(0.5)])


def test_an_outcome_is_kept_as_it_was() -> None:
    outcome = Outcome({"cores": "2"}, True, [figure()])

    assert from_json(to_json(outcome)) == outcome


def test_a_drawing_has_a_bar_for_each_side_as_long_as_its_figure() -> None:
    ((name, svg),) = plots.of([figure(2.0, 1.0)]).items()

    bars = [element for element in ET.fromstring(svg).iter() if element.get("height") == "13"]

    assert name == "a-table"
    assert float(bars[0].get("width", 0)) == 2 * float(bars[1].get("width", 0))


def test_a_table_is_taken_from_the_last_run_that_has_it() -> None:
    first = Figure("both", "add", "s", {"vtep": [1.0]})
    later = Figure("both", "add", "s", {"vtep": [2.0]})
    alone = Figure("one", "add", "s", {"vtep": [3.0]})

    found = merged([Outcome({"cpu": "a"}, False, [first, alone]), Outcome({"cpu": "b"}, False, [later])])

    assert (found.machine, found.figures) == ({"cpu": "a"}, [later, alone])


def test_the_aims_say_what_was_reached() -> None:
    reached, missed = (
        Figure("t", "add", "s", {"vtep": [value], "frr": [2.0]}, Limit("vtep", "frr", 1.0)) for value in (1.0, 3.0)
    )

    *_, first, second = aims([reached, Figure("t", "no limit", "s", {"vtep": [1.0]}), missed]).splitlines()

    assert first == "| t | add (s) | vtep ≤ 1 × frr | yes: 0.50 |"
    assert second == "| t | add (s) | vtep ≤ 1 × frr | **no**: 1.50 |"
