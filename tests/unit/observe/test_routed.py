"""The counts of VRFs, as `vtep vrfs` has them."""

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance

A, B = "10.0.0.1", "10.0.0.2"
VRFS = "".join(
    f"""
[[vrf]]
name = "{name}"
vni = {vni}
vxlan = "vx{vni}"
svi = "br{vni}"
import_rt = ["65000:{vni}"]
"""
    for name, vni in (("blue", 4001), ("red", 4002))
)
TOML = f"""
[node]
vtep = "10.0.0.99"
[feed]
peers = ["{A}"]
{VRFS}"""


def instance(vtep, vni):
    return Instance(vtep, vni=vni, targets=(f"65000:{vni}",))


def counts(rig):
    return [(vrf.name, vrf.prefixes, vrf.nexthops, vrf.vteps) for vrf in rig.observer.vrfs()]


def test_each_vrf_has_its_own_counts_and_they_follow_the_routes():
    with MemoryLeaf(TOML) as rig:
        rig.step()
        rig.come_up(A, B)
        rig.receive(rig.lines.announce(A, instance(A, 4001).prefix("10.1.0.0/24")))
        rig.receive(rig.lines.announce(A, instance(A, 4001).prefix("10.2.0.0/24")))
        rig.receive(rig.lines.announce(B, instance(B, 4001).prefix("10.3.0.0/24")))
        rig.receive(rig.lines.announce(A, instance(A, 4002).prefix("10.1.0.0/24")))
        before = counts(rig)
        rig.receive(rig.lines.announce(B, instance(B, 4002).prefix("10.3.0.0/24")))

        assert before == [("blue", 3, 2, 2), ("red", 1, 1, 1)]
        assert counts(rig) == [("blue", 3, 2, 2), ("red", 2, 2, 2)]
