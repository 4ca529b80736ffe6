"""Groups of segments as the API answers about them."""

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Esi
from vtep.api.grpc.segments import SegmentCalls
from vtep.errors import UsageError
from vtep.observe.turns import Turns
from vtep.v1 import vtep_pb2 as pb

A, B = "10.0.0.1", "10.0.0.2"
CONFIG = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""


def esi(number):
    return Esi(bytes((3, *[0] * 8, number)))


@pytest.fixture
def ask():
    with MemoryLeaf(CONFIG) as leaf:
        leaf.step()
        for vtep in (A, B):
            leaf.come_up(vtep)
        for number in range(5):
            for vtep in (A, B):
                one = Instance(vtep)
                routes = [
                    one.ethernet_ad(esi(number), tag=0xFFFFFFFF),
                    one.mac(f"02:00:00:00:00:{number:02x}", esi=esi(number)),
                ]
                leaf.receive(leaf.lines.announce(vtep, *(routes[: 1 if vtep == B and number else 2])))
        leaf.now += 10
        leaf.step()
        call = SegmentCalls(leaf.observer, Turns()).handlers["ListSegments"]
        yield lambda **fields: leaf.wait_for(call(pb.ListSegmentsRequest(**fields), None))


def test_groups_come_in_pages_that_follow_each_other(ask):
    seen, token = [], ""
    while True:
        page = ask(page_size=2, page_token=token)
        seen += [one.esi for one in page.segments]
        assert (len(page.segments) <= 2, page.total) == (True, 5)
        if not (token := page.next_page_token):
            break

    assert seen == [str(esi(number)) for number in range(5)]


def test_a_group_has_its_vteps_and_says_which_are_not_used(ask):
    [both], [one] = ask(esi=str(esi(0))).segments, ask(esi=str(esi(1)), vni=100).segments

    assert (list(both.vteps), list(both.outside), both.macs, both.sync.state) == (
        [A, B],
        [],
        1,
        pb.SYNC_STATE_INSTALLED,
    )
    assert (list(one.vteps), [(out.vtep, out.reason) for out in one.outside]) == ([A], [(B, "pending-evi")])
    assert len(ask(vni=200).segments) == 0


@pytest.mark.parametrize("fields", [{"esi": "x" * 500}, {"page_token": "x" * 500}, {"page_token": "ZS94LzEvMQ"}])
def test_what_is_wrong_is_refused_in_a_few_words(ask, fields):
    with pytest.raises(UsageError) as refused:
        ask(**fields)

    assert len(str(refused.value)) < 300
