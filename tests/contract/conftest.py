"""Every contract test runs in memory and, where a network namespace can be had, against the real kernel."""

from collections.abc import Callable

import pytest

from tests.contract.worlds import WORLDS, why_no_namespace


@pytest.fixture(scope="session")
def namespace_refused() -> str:
    return why_no_namespace()


@pytest.fixture(params=["memory", pytest.param("namespace", marks=pytest.mark.root_netns)])
def any_world(request: pytest.FixtureRequest, namespace_refused: str) -> Callable:
    if request.param == "namespace" and namespace_refused:
        pytest.skip(namespace_refused)
    return WORLDS[request.param]


@pytest.fixture
def real_world(namespace_refused: str) -> Callable:
    if namespace_refused:
        pytest.skip(namespace_refused)
    return WORLDS["namespace"]


@pytest.fixture
def memory_world() -> Callable:
    return WORLDS["memory"]
