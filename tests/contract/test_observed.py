"""A VRF as FRR 8.4 writes it, on Linux, is in sync for an observer: by nexthop objects of zebra, and by routes without any."""

import subprocess

import pytest

from tests.contract.routed import TABLE, routed_leaf, router_mac_of, type2, type5
from tests.contract.worlds import ip
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.observed import compared
from vtep.linux.target import KernelTarget
from vtep.reconcile.claims import Claims
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.steps import run_to_end

pytestmark = pytest.mark.root_netns

A, B = "10.0.0.2", "10.0.0.3"
NET4, NET6, HOST = "192.168.1.0/24", "2001:db8:1::/64", "192.168.1.7/32"
IN_VRF = f"table {TABLE} proto bgp metric 20"


def write_as_zebra_does():
    """The commands are what `ip nexthop`, `ip route`, `ip neigh` and `bridge fdb` show of a leaf with FRR 8.4."""
    for vtep in (A, B):
        row = f"fdb add {router_mac_of(vtep)} dev vx4001 dst {vtep} self master extern_learn"
        subprocess.run(["bridge", *row.split()], check=True)
        for address in (vtep, f"::ffff:{vtep}"):
            ip(f"neigh add {address} lladdr {router_mac_of(vtep)} dev br4001 extern_learn nud noarp protocol zebra")
    ip(
        f"nexthop add id 17 via {A} dev br4001 onlink proto zebra",
        f"nexthop add id 25 via {B} dev br4001 onlink proto zebra",
        f"nexthop add id 18 via ::ffff:{A} dev br4001 onlink proto zebra",
        f"nexthop add id 26 via ::ffff:{B} dev br4001 onlink proto zebra",
        "nexthop add id 27 group 17/25 proto zebra",
        "nexthop add id 28 group 18/26 proto zebra",
        f"route add {NET4} nhid 27 {IN_VRF}",
        f"route add {NET6} nhid 28 {IN_VRF}",
        f"route add {HOST} nhid 17 {IN_VRF}",
    )


def test_a_vrf_as_frr_writes_it_is_in_sync_by_objects_and_without_them(namespace_refused):
    if namespace_refused:
        pytest.skip(namespace_refused)
    with routed_leaf("namespace") as leaf:
        leaf.advertise(type5(NET4, A), type5(NET4, B), type5(NET6, A), type5(NET6, B), type2("192.168.1.7", A))
        target = KernelTarget(leaf.hands.kernel, (), vrfs=leaf.config.vrfs, observes=True)
        watcher = Engine(compared(), target, Claims(KINDS), observes=True)

        def differences():
            leaf.now += 10.0
            run_to_end(watcher.run(leaf.leaf.judge(leaf.now), leaf.now, Scope(survey=True)))
            found = watcher.troubles.items()
            return {f"{kind} {key[1]}": one.reason.removeprefix("observed-") for (kind, key), one in found}

        before = differences()
        assert set(before.values()) == {"missing"}, before
        write_as_zebra_does()
        assert differences() == {}
        ip("nexthop replace id 27 group 17 proto zebra")
        assert differences() == {f"route {NET4}": "different"}
        paths = [f"nexthop via {vtep} dev br4001 onlink" for vtep in (A, B)]
        ip(f"route replace {NET4} {IN_VRF} {' '.join(paths)}")
        assert differences() == {}, "several paths in the route itself"
        ip(f"route del {NET6} {IN_VRF}", f"route add {NET6} {IN_VRF} via ::ffff:{A} dev br4001 onlink")
        assert differences() == {f"route {NET6}": "different"}
        ip(
            f"route add 192.168.9.0/24 via {A} dev br4001 onlink {IN_VRF}",
            f"route add 192.168.8.0/24 dev br4001 table {TABLE}",
        )
        assert differences() == {f"route {NET6}": "different", "route 192.168.9.0/24": "unwanted"}
        assert watcher.written == 0
