"""The counts of routes that may not win, kept up to date with each change."""

from random import Random
from typing import NamedTuple

from msgspec import structs

from tests.lab.memory import CONFIG, MemoryLeaf
from tests.lab.steps import Steps
from tests.lab.wire import Instance
from vtep.addr import NO_SEGMENT, Ip, Mac, RouteDistinguisher, Vni
from vtep.config import file as config
from vtep.intent import NOTHING, Candidate, Kin
from vtep.observe import refusals
from vtep.observe.refusals import RefusalCounts
from vtep.store.ranked import Ranked

PEERS = ("10.0.0.1", "10.0.0.2")
MACS = tuple(f"02:00:00:00:00:0{number}" for number in range(1, 5))


def test_the_counts_are_those_of_a_recount_after_any_changes():
    chance = Random(7)
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(*PEERS)
        seen = set()
        for _ in range(120):
            vtep = chance.choice(PEERS)
            instance = Instance(vtep, vni=chance.choice((100, 500)), targets=(chance.choice(("65000:100", "65000:9")),))
            route = chance.choice((instance.mac(chance.choice(MACS)), instance.flood()))
            if chance.random() < 0.3:
                rig.receive(rig.lines.withdraw(vtep, route.nlri))
            elif chance.random() < 0.05:
                rig.receive(rig.lines.down(vtep, "peer reset"))
                rig.come_up(vtep)
            else:
                rig.receive(rig.lines.announce(vtep, route))
            recount = RefusalCounts(rig.config)
            recount.take(NOTHING, rig.leaf.intent)
            told = rig.observer.status().refusals
            assert told == recount.counted()
            seen.update((refused.vni, refused.reason) for refused in told)

    assert {(0, "unknown-vni"), (100, "rt-mismatch")} <= seen


def test_a_refused_host_address_is_not_counted_as_a_refused_route():
    with MemoryLeaf(CONFIG) as rig:
        rig.step()
        rig.come_up(PEERS[0])
        rig.receive(rig.lines.announce(PEERS[0], Instance(PEERS[0]).mac(MACS[0], ip="224.0.0.1")))
        counts = RefusalCounts(rig.config)
        counts.take(NOTHING, rig.leaf.intent)

        assert (counts.counted(), [refused.reason for refused in counts.hosts()]) == ((), ["bad-host"])


def test_a_peer_that_makes_up_vnis_does_not_decide_how_many_counts_there_are(monkeypatch):
    monkeypatch.setattr(refusals, "KEYS_MAX", 5)
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(PEERS[0])
        for vni in range(500, 520):
            route = Instance(PEERS[0], vni=vni, targets=("65000:500",)).mac(MACS[0])
            rig.receive(rig.lines.announce(PEERS[0], route))
        [told] = rig.observer.status().refusals
        counts = len(rig.observer._refusals._counts)
        rig.receive(rig.lines.announce(PEERS[0], Instance(PEERS[0], targets=("65000:9",)).mac(MACS[1])))
        both = rig.observer.status().refusals

    assert (told.vni, told.routes, counts <= 6) == (0, 20, True)
    assert [(one.vni, one.reason, one.routes) for one in both] == [(0, "unknown-vni", 20), (100, "rt-mismatch", 1)]


def test_counts_beyond_the_room_go_as_they_came(monkeypatch):
    """Room that becomes free in between must not make what was counted together look like a count of its own."""
    monkeypatch.setattr(refusals, "KEYS_MAX", 2)
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(PEERS[0])
        counts, seen = RefusalCounts(rig.config), NOTHING
        routes = [Instance(PEERS[0], vni=vni, targets=("65000:500",)).mac(MACS[0]) for vni in range(500, 508)]
        lines = [rig.lines.announce(PEERS[0], route) for route in routes]
        lines += [rig.lines.withdraw(PEERS[0], route.nlri) for route in routes]
        for line in lines:
            rig.receive(line)
            counts.take(seen, rig.leaf.intent)
            seen = rig.leaf.intent
            assert len(counts) <= 3

        assert (counts.counted(), len(counts)) == ((), 0)


def test_another_leaf_with_our_tunnel_address_is_told_from_routes_that_come_back():
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(PEERS[0])
        rig.receive(rig.lines.announce(PEERS[0], Instance("10.0.0.99", rd="10.0.0.7:100").mac(MACS[0])))
        [twin] = rig.observer.status().returned
        rig.receive(rig.lines.withdraw(PEERS[0], Instance("10.0.0.99", rd="10.0.0.7:100").mac(MACS[0]).nlri))

        assert (twin.peer, twin.rd, twin.vtep, twin.routes, twin.ours) == (
            PEERS[0],
            "10.0.0.7:100",
            "10.0.0.99",
            1,
            False,
        )
        assert rig.observer.status().returned == ()


class Named(NamedTuple):
    rd: RouteDistinguisher
    ip: Ip | None = None


def test_one_route_more_of_very_many_with_our_tunnel_address_is_few_steps():
    peer, us, vni, mac = Ip.parse(PEERS[0]), Ip.parse("10.0.0.99"), Vni(100), Mac.parse(MACS[0])
    taken = []
    for count in (10, 10_000):
        names = [Named(RouteDistinguisher((number // 100).to_bytes(8))) for number in range(count)]
        fewer = Ranked.of(names, lambda name: name.rd)
        more = fewer.with_(names[0], lambda name: name.rd)
        counts, before = RefusalCounts(config.parse(CONFIG)), NOTHING
        for routes in (fewer, more):
            kin = Kin(routes, "refused", "self-vtep")
            rd = routes.first.rd
            one = Candidate(vni, us, "refused", "self-vtep", 0, False, False, peer, rd, None, NO_SEGMENT, vni, kin=kin)
            intent = structs.replace(before, judged=before.judged.changed({mac: (one,)}))
            with Steps() as steps:
                counts.take(before, intent)
            before = intent
        taken.append(steps.taken)
        assert [found.routes for found in counts.counted()] == [count + 1]
        assert sum(found.routes for found in counts.returned()) == count + 1

    assert taken[1] <= 16 * taken[0], taken  # two blocks of 128 routes are counted one by one
