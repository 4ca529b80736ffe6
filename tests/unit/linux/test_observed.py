"""What an observer compares: routes and groups by where packets go, beside a program that has numbers and spellings of its own."""

import pytest
from msgspec import structs

from tests.contract.routed import TABLE, MemoryHands, RoutedLeaf, router_mac_of, type2, type5
from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Esi, Ip, Mac, Prefix, Vni
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.observed import SeenNexthop, compared, seen_nexthop
from vtep.linux.target import KernelTarget
from vtep.linux.wire.neighbor import (
    NTF_EXT_LEARNED,
    NTF_MASTER,
    NTF_SELF,
    NUD_NOARP,
    NUD_REACHABLE,
    Neighbor,
    Verb,
)
from vtep.linux.wire.nexthop import NexthopEntry
from vtep.linux.wire.route import RTN_LOCAL, RouteEntry
from vtep.reconcile.claims import Claims
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.steps import run_to_end

A, B, C = "10.0.0.2", "10.0.0.3", "10.0.0.4"
NET4, NET6, HOST = "192.168.1.0/24", "2001:db8:1::/64", "192.168.1.7/32"
ZEBRA, BGP, KERNEL = 11, 186, 2


class Zebra:
    """Writes into a kernel in memory as FRR 8.4 does, with the numbers of its own nexthops."""

    def __init__(self, kernel) -> None:
        self.kernel = kernel
        self.svi = kernel.links().by_name["br4001"].index
        self.port = kernel.links().by_name["vx4001"].index
        self.numbers = {}

    def router(self, vtep: str, mac: str = "") -> None:
        found = Mac.parse(mac or router_mac_of(vtep))
        flags = NTF_SELF | NTF_MASTER | NTF_EXT_LEARNED
        refused = self.kernel.send(
            [Neighbor(Verb.REPLACE, self.port, found, flags, NUD_REACHABLE | NUD_NOARP, dst=Ip.parse(vtep))]
        )
        for family, ip in ((2, Ip.parse(vtep)), (10, Ip(Ip.parse(vtep).mapped))):
            refused += self.kernel.send(
                [
                    Neighbor(
                        Verb.REPLACE, self.svi, found, NTF_EXT_LEARNED, NUD_NOARP, family=family, ip=ip, protocol=ZEBRA
                    )
                ]
            )
        assert refused == []

    def nexthop(self, *vteps: str, is_v6: bool = False) -> int:
        members = []
        for vtep in vteps:
            gateway = Ip.parse(vtep)
            octets = gateway.mapped if is_v6 else bytes(gateway)
            number = self.numbers.setdefault(octets, 17 + len(self.numbers))
            self.kernel.routing.add_foreign_nexthop(NexthopEntry(number, ZEBRA, self.svi, octets))
            members.append(number)
        if len(members) == 1:
            return members[0]
        number = self.numbers.setdefault(tuple(members), 17 + len(self.numbers))
        self.kernel.routing.add_foreign_nexthop(NexthopEntry(number, ZEBRA, members=tuple(members)))
        return number

    def route(self, text: str, *vteps: str, inline: bool = False) -> None:
        prefix = Prefix.parse(text)
        if inline:
            paths = tuple((self.svi, bytes(Ip.parse(vtep))) for vtep in vteps)
            self.kernel.routing.add_foreign(RouteEntry(TABLE, prefix, BGP, 20, paths=paths))
        else:
            number = self.nexthop(*vteps, is_v6=prefix.is_v6)
            self.kernel.routing.add_foreign(RouteEntry(TABLE, prefix, BGP, 20, number))

    def own(self, text: str, protocol: int = KERNEL, **how) -> None:
        self.kernel.routing.add_foreign(RouteEntry(TABLE, Prefix.parse(text), protocol, 0, **how))


class Rig(RoutedLeaf):
    """An observer beside it. The leaf decides what is wanted, and nothing of ours writes."""

    def __init__(self) -> None:
        super().__init__(MemoryHands())
        self.target = KernelTarget(self.hands.kernel, (), vrfs=self.config.vrfs, observes=True)
        self.watcher = Engine(compared(), self.target, Claims(KINDS), observes=True)
        self.zebra = Zebra(self.hands.kernel)
        self.now = 0.0

    def differences(self) -> dict[str, str]:
        self.now += 10.0
        run_to_end(self.watcher.run(self.leaf.judge(self.now), self.now, Scope(survey=True)))
        return {
            f"{kind} {key[1]}": found.reason.removeprefix("observed-")
            for (kind, key), found in self.watcher.troubles.items()
        }


@pytest.fixture
def rig():
    rig = Rig()
    rig.advertise(type5(NET4, A), type5(NET4, B), type5(NET6, A), type5(NET6, B), type2("192.168.1.7", A))
    for vtep in (A, B):
        rig.zebra.router(vtep)
    for text, vteps in ((NET4, (A, B)), (NET6, (B, A)), (HOST, (A,))):
        rig.zebra.route(text, *vteps)
    return rig


def test_a_vrf_as_frr_writes_it_is_in_sync(rig):
    assert rig.differences() == {}
    assert rig.watcher.ledger.confirmed("route")[Vni(4001)] == 3
    assert rig.watcher.written == 0


def test_a_route_that_names_no_nexthop_object_is_read_by_its_own_paths(rig):
    rig.zebra.route(NET4, B, A, inline=True)
    assert rig.differences() == {}
    rig.zebra.route(NET4, A, inline=True)
    assert rig.differences() == {f"route {NET4}": "different"}


def test_a_group_that_lost_a_member_differs_until_it_has_it_again(rig):
    group = rig.zebra.nexthop(A, B)
    rig.zebra.kernel.routing.add_foreign_nexthop(NexthopEntry(group, ZEBRA, members=(rig.zebra.nexthop(A),)))
    assert rig.differences() == {f"route {NET4}": "different"}
    rig.zebra.nexthop(A, B)
    assert rig.differences() == {}


def test_what_is_missing_differs_and_so_does_what_nothing_wants(rig):
    rig.advertise(type5("192.168.9.0/24", B))
    rig.withdraw(type2("192.168.1.7", A))
    assert rig.differences() == {"route 192.168.9.0/24": "missing", f"route {HOST}": "unwanted"}


def test_a_router_with_another_mac_or_behind_another_vtep_differs(rig):
    rig.zebra.router(A, "02:00:00:00:ee:01")
    found = rig.differences()

    assert found[f"router-neighbor {A}"] == "different"
    assert found["router-mac 02:00:00:00:ee:01"] == "unwanted"


@pytest.mark.parametrize("how", [{}, {"protocol": 4}, {"type": RTN_LOCAL}])
def test_a_prefix_to_which_the_host_has_a_way_of_its_own_is_in_sync(rig, how):
    rig.zebra.own("192.168.9.0/24", **how)
    assert rig.differences() == {}, "nothing wants it, and no daemon of EVPN wrote it"
    rig.advertise(type5("192.168.9.0/24", B))
    assert rig.differences() == {}, "zebra prefers the connected route, and writes none"


def test_a_route_of_a_customers_router_is_none_of_evpn(rig):
    rig.zebra.kernel.routing.add_foreign(
        RouteEntry(TABLE, Prefix.parse("192.168.8.0/24"), BGP, 20, paths=((99, b"\n\0\0\7"),))
    )
    assert rig.differences() == {}


def test_a_host_route_of_which_frr_left_out_the_labels_is_one_of_the_vrf(rig):
    key, route = type2("192.168.1.8", A)
    rig.leaf._policy.trusts_targets = True
    rig.advertise((key, structs.replace(route, label=0, label2=None)))

    assert rig.differences() == {"route 192.168.1.8/32": "missing"}


ESI_ONE = Esi.parse("03:00:00:00:00:00:01:00:00:01")
MAC = Mac.parse("02:00:00:00:00:07")


def test_a_mac_on_a_segment_is_compared_by_the_members_of_its_group():
    one_vtep, other = "10.0.0.1", "10.0.0.2"
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(one_vtep, other)
        for one in (Instance(one_vtep), Instance(other)):
            rig.receive(
                rig.lines.announce(
                    one.vtep, one.ethernet_ad(ESI_ONE, tag=0xFFFFFFFF), one.ethernet_ad(ESI_ONE, tag=0, label=100)
                )
            )
        rig.receive(rig.lines.announce(one_vtep, Instance(one_vtep).mac(str(MAC), esi=ESI_ONE)))
        ours = rig.actor.engine
        watcher = Engine(compared(), ours.target, Claims(KINDS), observes=True)

        def differences():
            assert rig.leaf.intent.complete
            run_to_end(watcher.run(rig.leaf.intent, 100.0, Scope(survey=True)))
            return {
                f"{kind} {key[1]}": one.reason.removeprefix("observed-")
                for (kind, key), one in watcher.troubles.items()
            }

        kernel = rig.kernel
        assert [
            entry.nh_id is not None
            for entry in kernel.rows([kernel.links().by_name["br100"].index])
            if entry.mac == MAC and entry.flags & NTF_SELF
        ] == [True]
        assert differences() == {}
        for number, vtep in ((501, one_vtep), (502, other)):
            kernel.routing.add_foreign_nexthop(NexthopEntry(number, ZEBRA, gateway=bytes(Ip.parse(vtep)), fdb=True))
        kernel.routing.add_foreign_nexthop(NexthopEntry(600, ZEBRA, members=(502, 501), fdb=True))
        port = kernel.links().by_name["vxlan100"].index
        rewrite = Neighbor(Verb.REPLACE, port, MAC, NTF_SELF | NTF_EXT_LEARNED, NUD_REACHABLE | NUD_NOARP, nh_id=600)
        assert kernel.send([rewrite]) == []
        assert differences() == {}, "another program's group of the same VTEPs"
        kernel.routing.add_foreign_nexthop(NexthopEntry(600, ZEBRA, members=(501,), fdb=True))
        assert differences() == {f"fdb {MAC}": "different"}


def test_a_nexthop_is_the_object_that_leads_to_the_same_vteps_whatever_its_number(rig):
    kinds = rig.watcher.kinds
    both, other = [Ip.parse(A), Ip.parse(B)], [Ip.parse(C)]
    assert not seen_nexthop(kinds, 4001, both).is_known
    assert rig.differences() == {}

    seen = seen_nexthop(kinds, 4001, reversed(both))
    assert (seen.id > 16, seen.writer) == (True, "zebra")
    assert seen_nexthop(kinds, 4001, other) == SeenNexthop(is_known=True)
    assert seen_nexthop(KINDS, 4001, both) is None
