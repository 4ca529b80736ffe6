"""What is shown of VRFs: their counts, their changes, and what the search of the page finds."""

import json

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Prefix
from vtep.api.http.server import Request
from vtep.api.http.site import Site
from vtep.linux.wire.route import RouteEntry

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


def test_prefixes_over_the_limit_of_a_vrf_are_counted_and_told():
    full = TOML.replace('name = "blue"\n', 'name = "blue"\nmax_prefixes = 1\n')
    with MemoryLeaf(full) as rig:
        rig.step()
        rig.come_up(A, B)
        assert not any(problem.code == "vrf-limit" for problem in rig.observer.status().all_problems)
        for vni in (4001, 4002):
            for number in (1, 2, 3):
                rig.receive(rig.lines.announce(A, instance(A, vni).prefix(f"10.{number}.0.0/24")))

        assert [(vrf.name, vrf.prefixes, vrf.limited) for vrf in rig.observer.vrfs()] == [("blue", 1, 2), ("red", 3, 0)]
        [problem] = [problem for problem in rig.observer.status().all_problems if problem.code == "vrf-limit"]
        assert (problem.weight, problem.hint) == ("degraded", "vtep vrfs")
        assert problem.text == "VNI 4001: vrf-limit: 2 prefixes have no route, because their VRF is full (max_prefixes)"
        [alert] = [entry for entry in rig.events("alert") if entry.reason == "vrf-limit"]
        assert (alert.kind, alert.vni) == ("alert", 4001)


def test_a_watcher_gets_prefixes_that_changed_and_prefixes_that_went():
    with MemoryLeaf(TOML) as rig:
        rig.step()
        rig.come_up(A, B)
        rig.receive(rig.lines.announce(A, instance(A, 4001).prefix("10.1.0.0/24")))
        assert rig.observer.revision >= 0  # from here on a client may ask what comes after it
        rig.observer.cut()
        after = rig.observer.revision
        rig.receive(rig.lines.announce(B, instance(B, 4001).prefix("10.2.0.0/24")))
        rig.receive(rig.lines.withdraw(A, instance(A, 4001).prefix("10.1.0.0/24").nlri))
        rig.observer.cut()

        batch = rig.wait_for(anext(rig.observer.batches(after)))

        assert [(row.vrf, str(row.prefix), [str(vtep) for vtep in row.vteps]) for row in batch.prefixes] == [
            ("blue", "10.2.0.0/24", [B])
        ]
        assert [(name.vrf, name.vni, str(name.prefix)) for name in batch.gone_prefixes] == [
            ("blue", 4001, "10.1.0.0/24")
        ]


def test_a_prefix_that_another_program_routes_is_an_event_that_names_it():
    with MemoryLeaf(TOML) as rig:
        for vrf in rig.config.vrfs:
            rig.kernel.add_devices_of_vrf(vrf)
        rig.target.reconfigure(rig.config.vnis, rig.config.vrfs)
        rig.kernel.routing.add_foreign(RouteEntry(4001, Prefix.parse("10.1.0.0/24"), 4, 229))
        rig.step()
        rig.come_up(A, B)
        rig.receive(rig.lines.announce(A, instance(A, 4001).prefix("10.1.0.0/24")))

        [event] = [one for one in rig.observer.entries()[0] if one.kind == "contested"]

        assert (event.vni, event.mac, event.key) == (4001, None, "10.1.0.0/24")


def test_the_search_of_the_page_finds_a_prefix_in_each_vrf_and_an_address_where_it_is_routed():
    with MemoryLeaf(TOML) as rig:
        rig.step()
        rig.come_up(A, B)
        rig.receive(rig.lines.announce(A, instance(A, 4001).prefix("10.1.0.0/24")))
        site = Site(rig.observer, lambda: rig.now, 0.0)

        def found(**query):
            told = json.loads(rig.wait_for(site.answer(Request("/explain.json", query))).body)["routed"]
            return [(one["vrf"]["name"], one["prefix"], [path["vtep"] for path in one["paths"]]) for one in told]

        assert found(prefix="10.1.0.0/24") == [("blue", "10.1.0.0/24", [A]), ("red", "10.1.0.0/24", [])]
        assert found(ip="10.1.0.7") == [("blue", "10.1.0.0/24", [A])]
        assert found(ip="10.9.0.7") == []
