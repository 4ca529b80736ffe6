"""The lab as pytest sees it: import the fixtures that a test file uses; what is missing becomes a skip with a sentence."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.lab.namespaces import Lab, Missing, logs
from tests.lab.topology import Topology


@contextlib.contextmanager
def skipped_if_missing() -> Iterator[None]:
    try:
        yield
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab, skipped_if_missing():
        yield lab
        # Shown by pytest only when the test failed.
        for name, text in logs(lab):
            print(f"---- {name}\n{text}")


@pytest.fixture
def network(lab: Lab) -> Topology:
    with skipped_if_missing():
        return Topology(lab)
