"""Every contract test runs in memory and, where a network namespace can be had, against the real kernel."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.contract.worlds import WORLDS, why_no_namespace, why_no_vlans


@pytest.fixture(scope="session")
def namespace_refused() -> str:
    return why_no_namespace()


@pytest.fixture(scope="session")
def vlans_refused(namespace_refused: str) -> str:
    return namespace_refused or why_no_vlans()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test in both worlds; in each way to attach a VNI, where its module says EVERY_WAY = True."""
    if "any_world" not in metafunc.fixturenames:
        return
    ways = ("plain", "alone", "shared") if getattr(metafunc.module, "EVERY_WAY", False) else ("plain",)
    worlds = [
        pytest.param(
            (name, way),
            id=name if way == "plain" else f"{name}-{way}",
            marks=[pytest.mark.root_netns] if name == "namespace" else [pytest.mark.slow] if way != "plain" else [],
        )
        for way in ways
        for name in WORLDS
    ]
    metafunc.parametrize("any_world", worlds, indirect=True)


@pytest.fixture
def any_world(request: pytest.FixtureRequest, namespace_refused: str) -> Callable:
    name, way = request.param
    if name == "namespace" and namespace_refused:
        pytest.skip(namespace_refused)
    if name == "namespace" and way != "plain" and (refused := request.getfixturevalue("vlans_refused")):
        pytest.skip(refused)
    return partial(WORLDS[name], way=way)


@pytest.fixture
def real_world(namespace_refused: str) -> Callable:
    if namespace_refused:
        pytest.skip(namespace_refused)
    return WORLDS["namespace"]


@pytest.fixture
def real_vlan_world(vlans_refused: str) -> Callable:
    if vlans_refused:
        pytest.skip(vlans_refused)
    return WORLDS["namespace"]


@pytest.fixture
def memory_world() -> Callable:
    return WORLDS["memory"]
