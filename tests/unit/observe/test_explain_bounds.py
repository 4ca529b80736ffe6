"""Explaining a MAC with very many routes costs each route once, gives the loop its turns, and shows a bounded part."""

import asyncio
from typing import Any

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.steps import Steps
from tests.lab.wire import Instance
from vtep.addr import Mac, Vni
from vtep.observe.observer import ALERTS_AT_ONCE

A = "10.0.0.1"
ONE = "02:00:00:00:00:01"
ROUTES = 5_000
LINES_A_ROUTE = 40
"""Lines of Python for each route, at most. A walk over the routes for each route would be thousands."""
LINES_A_TURN = 40_000
"""Lines of Python between two rounds of the event loop, at most: a few milliseconds."""


async def explained_in_steps(leaf: MemoryLeaf, steps: Steps) -> Any:
    watching = asyncio.create_task(steps.watch_the_loop())
    await asyncio.sleep(0)
    try:
        with steps:
            return await leaf.observer.explain(Mac.parse(ONE), None)
    finally:
        watching.cancel()


@pytest.fixture(scope="module")
def crowded():
    """A leaf to which thousands of VTEPs advertise one MAC."""
    with MemoryLeaf() as leaf:
        leaf.step()
        leaf.come_up(A)
        for start in range(0, ROUTES, 1000):
            vteps = (f"10.1.{at >> 8}.{at & 255}" for at in range(start, start + 1000))
            leaf.leaf.receive(
                leaf.reader.read([leaf.lines.announce(A, Instance(vtep).mac(ONE)) for vtep in vteps]), leaf.now
            )
        leaf.judge()
        yield leaf


def test_a_mac_with_thousands_of_routes_is_explained_in_a_number_of_steps_that_grows_with_the_routes(crowded):
    steps = Steps(ROUTES * LINES_A_ROUTE)

    found = crowded.wait_for(explained_in_steps(crowded, steps))

    assert len(found.explanations) == 1


def test_the_loop_has_its_turns_while_a_mac_with_thousands_of_routes_is_explained(crowded):
    steps = Steps(ROUTES * LINES_A_ROUTE)

    crowded.wait_for(explained_in_steps(crowded, steps))

    assert steps.longest <= LINES_A_TURN


def test_an_explanation_shows_the_first_200_candidates_and_counts_the_others(crowded):
    explanation = crowded.explain(ONE)

    assert len(explanation.candidates) == 200
    assert explanation.candidates_left_out == ROUTES - 200
    assert [candidate.verdict for candidate in explanation.candidates[:2]] == ["won", "lost"]
    assert [str(candidate.vtep) for candidate in explanation.candidates[:2]] == ["10.1.0.0", "10.1.0.1"]
    assert {str(target) for candidate in explanation.candidates for target in candidate.targets} == {"65000:100"}


def test_a_mac_in_very_many_vnis_is_explained_in_the_first_20_and_the_others_are_counted():
    """Each route names a VNI that is not configured; one is configured, and comes first."""
    with MemoryLeaf() as leaf:
        leaf.step()
        leaf.come_up(A)
        routes = (
            Instance(A, rd=f"{A}:{1000 + vni}", vni=5000 + vni, targets=(f"65000:{5000 + vni}",)) for vni in range(300)
        )
        for route in (*routes, Instance(A)):
            leaf.leaf.receive(leaf.reader.read([leaf.lines.announce(A, route.mac(ONE))]), leaf.now)
        leaf.judge()

        found = leaf.wait_for(leaf.observer.explain(Mac.parse(ONE), None))
        one = leaf.wait_for(leaf.observer.explain(Mac.parse(ONE), Vni(5299)))

    assert [explanation.vni for explanation in found.explanations] == [100, *range(5000, 5019)]
    assert found.left_out == 281
    assert [explanation.vni for explanation in one.explanations] == [5299]
    assert one.left_out == 0


def test_thousands_of_vteps_at_fault_are_a_few_events_and_one_alert_in_the_row():
    """Each of them advertises a MAC that is sticky elsewhere."""
    with MemoryLeaf() as leaf:
        leaf.step()
        leaf.come_up(A)
        leaf.receive(leaf.lines.announce(A, Instance(A).mac(ONE, sticky=True)))
        vteps = (f"10.1.0.{number}" for number in range(1, 100))
        leaf.leaf.receive(
            leaf.reader.read([leaf.lines.announce(A, Instance(vtep).mac(ONE)) for vtep in vteps]), leaf.now
        )
        leaf.judge()

        alerts = leaf.events("alert")

        assert len(alerts) == ALERTS_AT_ONCE
        assert alerts[-1].text.endswith(f" And {99 - ALERTS_AT_ONCE} more VTEPs.")
        assert leaf.explain(ONE).alerts == leaf.macs()[ONE].alerts == ("sticky-violation",)
