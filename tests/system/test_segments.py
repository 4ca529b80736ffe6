"""A machine on two of our leaves: flooded frames arrive once everywhere, and never at their sender."""

from collections.abc import Iterator

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.segments import DualHomed

__all__ = ["lab"]

pytestmark = pytest.mark.root_netns


@pytest.fixture
def network(lab) -> Iterator[DualHomed]:
    with skipped_if_missing():
        network = DualHomed(lab)
    network.start()
    yield network
    network.close()


def test_every_flooded_frame_arrives_once_and_never_at_its_sender(network: DualHomed) -> None:
    network.wait_forwarding(df=1)
    assert network.matrix() == {}
