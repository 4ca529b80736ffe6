"""The calls about VRFs refuse what is wrong in few words, whatever a client sends."""

import pytest

from tests.lab.memory import CONFIG, MemoryLeaf
from tests.lab.wire import Instance
from vtep.api.grpc.routed import RoutedCalls
from vtep.errors import UsageError
from vtep.observe.turns import Turns
from vtep.v1 import vtep_pb2 as pb

VRFS = "".join(
    f"""
[[vrf]]
name = "customer{number}"
vni = {4000 + number}
vxlan = "vx{number}"
svi = "svi{number}"
import_rt = ["65000:{4000 + number}"]
"""
    for number in range(100)
)
LONG = "x" * 1_000_000


@pytest.fixture(scope="module")
def rig():
    with MemoryLeaf(CONFIG + VRFS) as rig:
        rig.step()
        yield rig


@pytest.mark.parametrize(
    ("call", "request_", "said"),
    [
        ("ExplainPrefix", pb.ExplainPrefixRequest(prefix=LONG, vrf="customer1"), "prefix: 'xxx"),
        ("ExplainPrefix", pb.ExplainPrefixRequest(vrf="customer1"), "prefix: missing"),
        ("ExplainPrefix", pb.ExplainPrefixRequest(prefix="10.0.0.0/8", vrf=LONG), "there is no VRF 'xxx"),
        ("ExplainPrefix", pb.ExplainPrefixRequest(prefix="10.0.0.0/8"), "vrf: missing"),
        ("ListPrefixes", pb.ListPrefixesRequest(vrf=LONG), "customer0, customer1, customer2"),
        ("ListNexthops", pb.ListNexthopsRequest(vrf="blue"), "and 95 more"),
    ],
)
def test_what_is_wrong_is_refused_in_a_few_words(rig, call, request_, said):
    handlers = RoutedCalls(rig.observer, Turns()).handlers
    with pytest.raises(UsageError, match=said) as refused:
        rig.wait_for(handlers[call](request_, None))

    assert len(str(refused.value)) < 300


def test_a_long_list_of_nexthops_is_made_in_several_turns():
    turns = []

    class Counted(Turns):
        async def take(self, make, *arguments):
            turns.append(make)
            return await super().take(make, *arguments)

    with MemoryLeaf(CONFIG + VRFS) as leaf:
        leaf.step()
        leaf.come_up("10.0.0.1")
        for number in range(100):
            instance = Instance("10.0.0.1", vni=4000 + number, targets=(f"65000:{4000 + number}",))
            for prefix in ("10.1.0.0/24", "fd00::/64"):
                leaf.receive(leaf.lines.announce("10.0.0.1", instance.prefix(prefix)))
        answer = leaf.wait_for(
            RoutedCalls(leaf.observer, Counted()).handlers["ListNexthops"](pb.ListNexthopsRequest(), None)
        )

    assert len({(one.vni, one.id) for one in answer.nexthops}) == len(answer.nexthops) == 200
    assert len(turns) >= 2


def test_nexthops_come_in_pages_that_follow_each_other(rig):
    rig.step()
    rig.come_up("10.0.0.1")
    for number in range(5):
        instance = Instance("10.0.0.1", vni=4000 + number, targets=(f"65000:{4000 + number}",))
        rig.receive(rig.lines.announce("10.0.0.1", instance.prefix("10.1.0.0/24")))
    ask = RoutedCalls(rig.observer, Turns()).handlers["ListNexthops"]
    seen, token = [], ""
    while len(seen) < 6:
        page = rig.wait_for(ask(pb.ListNexthopsRequest(page_size=2, page_token=token), None))
        seen += [(one.vni, one.id) for one in page.nexthops]
        assert (len(page.nexthops) <= 2, page.total) == (True, 5)
        if not (token := page.next_page_token):
            break

    assert seen == sorted(set(seen))
    assert len(seen) == 5
