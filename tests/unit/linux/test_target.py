"""Where rows can be written, as configured names and the present devices say it together."""

from itertools import count
from unittest.mock import Mock

import msgspec
import pytest

from vtep.addr import Esi, Ip, Mac, Vni
from vtep.config import values
from vtep.config.model import SegmentConfig, Targets, VniConfig, VrfConfig
from vtep.linux.attachment import NEXTHOPS, Hosts, Ready
from vtep.linux.filters import FilterMessage, FilterTable, MacEntry, PortEntry
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.ports import PortDomain
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.port_backup import PORT_BACKUP
from vtep.linux.tables.port_filter import PORT_FILTER, SEGMENT_MAC
from vtep.linux.target import KernelTarget
from vtep.linux.vrf import routed
from vtep.linux.wire.neighbor import RTPROT_VTEP, FdbEvent, Half, Lookup, Neighbor, Verb
from vtep.linux.wire.port import PortMessage
from vtep.reconcile.contract import Attachments, readable

LOCAL = Ip.parse("10.0.0.1")
M = Mac.parse("02:00:00:00:00:0a")


def vni(number: int, *, bound: bool = True) -> VniConfig:
    names = {"bridge": f"br{number}", "vxlan": f"vx{number}"} if bound else {}
    return VniConfig(Vni(number), LOCAL, Targets(frozenset()), **names)


@pytest.fixture
def kernel() -> MemoryKernel:
    kernel = MemoryKernel()
    for number in (100, 200):
        kernel.add_bridge(f"br{number}")
        kernel.add_vxlan(f"vx{number}", number, LOCAL, f"br{number}")
        kernel.add_port(f"h{number}", f"br{number}")
    return kernel


def index(kernel: MemoryKernel, name: str) -> int:
    return kernel.links().by_name[name].index


def row(kernel: MemoryKernel, name: str) -> Neighbor:
    return Neighbor(Verb.CREATE, index(kernel, name), M, 0x16, 0xC0, LOCAL)


def test_the_bound_vnis_whose_devices_are_fit_are_ready(kernel: MemoryKernel) -> None:
    kernel.set_up("vx200", False)
    target = KernelTarget(kernel, [vni(100), vni(200), vni(300), vni(400, bound=False)])

    attachments = target.attachments()

    assert attachments.ready == {
        100: Ready(100, index(kernel, "br100"), index(kernel, "vx100")),
        NEXTHOPS: NEXTHOPS,
    }
    down, missing = ("device-down",), ("bridge-missing", "vxlan-missing")
    assert attachments.not_ready == {200: down, Hosts(200): down, 300: missing, Hosts(300): missing}
    assert attachments.unconfigured == frozenset()
    assert [fault.text for fault in target.faults[Vni(200)]] == ["vx200 is down, and must be up"]
    assert target.faults.keys() == {200, 300}


def test_the_devices_are_looked_up_again_each_time(kernel: MemoryKernel) -> None:
    target = KernelTarget(kernel, [vni(100)])
    before = target.attachments()

    kernel.delete_link("vx100")
    kernel.add_vxlan("vx100", 100, LOCAL, "br100")

    after = target.attachments()
    assert after.ready[100].port == index(kernel, "vx100") != before.ready[100].port


def test_a_vni_that_left_or_lost_its_bridge_stays_attached_and_nothing_is_wanted_there(kernel: MemoryKernel) -> None:
    target = KernelTarget(kernel, [vni(100), vni(200)])

    target.reconfigure([vni(200, bound=False)])

    attachments = target.attachments()
    assert set(attachments.ready) == {100, 200, NEXTHOPS}
    assert {100, 200} <= attachments.unconfigured


def test_a_vni_that_came_back_is_wanted_again(kernel: MemoryKernel) -> None:
    target = KernelTarget(kernel, [vni(100)])
    target.reconfigure([])

    target.reconfigure([vni(100)])

    assert (set(target.attachments().ready), target.attachments().unconfigured) == ({100, NEXTHOPS}, frozenset())


def test_a_vni_that_left_is_not_reported_as_not_ready(kernel: MemoryKernel) -> None:
    target = KernelTarget(kernel, [vni(100)])
    target.reconfigure([])
    kernel.delete_link("vx100")

    attachments = target.attachments()

    assert (attachments.ready, attachments.not_ready) == ({NEXTHOPS: NEXTHOPS}, {})


def routing(number: int) -> VrfConfig:
    return VrfConfig(
        name="blue",
        vni=Vni(number),
        vtep=LOCAL,
        imports=Targets(frozenset()),
        bridge=f"br{number}",
        vxlan=f"vx{number}",
        svi=f"br{number}",
        table=1001,
    )


def test_a_table_belongs_to_the_vrf_that_has_it_now_and_not_to_one_that_left() -> None:
    kernel = MemoryKernel()
    before, after = routing(4001), routing(4002)
    for vrf in (before, after):
        kernel.add_devices_of_vrf(vrf)
    target = KernelTarget(kernel, (), vrfs=[before])

    target.reconfigure((), [after])

    assert routed(target.attachments()).vni_of_table(1001) == 4002


def test_the_macs_of_all_devices_are_known(kernel: MemoryKernel) -> None:
    target = KernelTarget(kernel, [vni(100)])
    assert target.own_macs == frozenset()

    target.attachments()

    assert target.own_macs == {link.mac for link in kernel.links() if link.mac}
    assert len(target.own_macs) == 6


def test_the_addresses_of_each_bridge_and_of_the_devices_on_it_are_known(kernel: MemoryKernel) -> None:
    here, there, vlan = (Ip.parse(f"172.16.{number}.1") for number in (1, 2, 3))
    kernel.add_vlan("br100.7", "br100")
    kernel.add_address("br100", here, 24)
    kernel.add_address("br200", there)
    kernel.add_address("br100.7", vlan, 32)
    kernel.add_address("h100", Ip.parse("172.16.4.1"))
    target = KernelTarget(kernel, [vni(100)])

    target.attachments()

    assert target.own_hosts == {(100, here), (100, Ip.parse("172.16.1.255")), (100, vlan)}


def test_an_event_is_about_the_vni_on_whose_bridge_its_port_is(kernel: MemoryKernel) -> None:
    target = KernelTarget(kernel, [vni(100), vni(200)])
    target.attachments()
    ports = ["vx100", "h100", "h200", "br100"]

    found = target.keys_of(
        {FdbEvent(index(kernel, name), Mac(bytes((2, 0, 0, 0, 0, at)))) for at, name in enumerate(ports)}
    )

    assert {(number, mac[-1]) for number, mac in found} == {(100, 0), (100, 1), (200, 2)}


def test_events_of_vnis_that_are_not_ready_or_not_ours_are_ignored(kernel: MemoryKernel) -> None:
    kernel.set_up("vx200", False)
    target = KernelTarget(kernel, [vni(100), vni(200)])
    target.attachments()

    assert target.keys_of({FdbEvent(index(kernel, "h200"), M), FdbEvent(9999, M)}) == set()


def test_the_entries_are_those_of_the_ready_bridges_each_once(kernel: MemoryKernel) -> None:
    kernel.send([row(kernel, "vx100"), row(kernel, "vx200")])
    target = KernelTarget(kernel, [vni(100)])

    entries = [entry for entry in target.entries(target.attachments()) if entry.mac == M]

    assert sorted((entry.port, entry.master) for entry in entries if entry.master) == [
        (index(kernel, "vx100"), index(kernel, "br100"))
    ]
    assert len(entries) == 2


def test_a_dump_of_the_rows_reads_no_devices_because_they_come_by_a_socket_of_another_thread(
    kernel: MemoryKernel,
) -> None:
    target = KernelTarget(kernel, [vni(100)], segments=[SegmentConfig(Esi(9 * b"\0" + b"\1"), LOCAL, port="h100")])
    target.send([PortMessage("h100", index(kernel, "vx100"))])
    attachments = target.attachments()
    target.kernel = Mock(wraps=kernel, links=Mock(side_effect=AssertionError("the devices are read")))

    found = PORT_BACKUP.recognise(target.entries(attachments), attachments)

    assert {key: seen.marked for key, seen in found.items()} == {(100, "h100"): True}


def test_looking_and_sending_are_the_kernels_own(kernel: MemoryKernel) -> None:
    target = KernelTarget(kernel, [vni(100)])
    port = index(kernel, "vx100")

    assert target.send([row(kernel, "vx100")]) == []
    assert [refusal.errno for refusal in target.send([row(kernel, "vx100")])] == [17]
    assert target.look([Lookup(port, M, Half.VXLAN)]) == [kernel.get(port, M, Half.VXLAN)]


def test_a_port_that_does_not_answer_for_hosts_is_noted_where_neighbor_rows_are_wanted(kernel: MemoryKernel) -> None:
    target = KernelTarget(kernel, [vni(100)])
    before = target.attachments()
    port = kernel.links().by_name["vx100"].bridge_port

    kernel.change("vx100", bridge_port=msgspec.structs.replace(port, neigh_suppress=True))
    after = target.attachments()

    assert before.notes == {100: ("neigh_suppress is off on vx100: remote hosts get no neighbor rows",)}
    assert (after.notes, Hosts(100) in before.ready, Hosts(100) in after.ready) == ({}, False, True)


def test_each_of_many_alike_took_its_part_of_the_time(kernel: MemoryKernel) -> None:
    seconds = count(0, 3)
    target = KernelTarget(kernel, [vni(100)], lambda: next(seconds))
    port = index(kernel, "vx100")
    macs = [Mac(b"\2\0\0\0\0" + bytes([last])) for last in range(6)]

    refusals = target.send(
        [
            Neighbor(Verb.CREATE, port, macs[0], 0x12, 0xC0, Ip.parse("10.0.0.2"), also=tuple(macs[1:5])),
            Neighbor(Verb.CREATE, 99, macs[5], 0x12, 0xC0, Ip.parse("10.0.0.2")),
        ]
    )
    target.send([])

    assert [refusal.index for refusal in refusals] == [5]
    assert (target.message_s.snapshot().count, target.message_s.snapshot().sum) == (6, pytest.approx(3.0))


def test_without_a_clock_no_time_is_measured(kernel: MemoryKernel) -> None:
    target = KernelTarget(kernel, [vni(100)])

    target.send([row(kernel, "vx100")])

    assert target.message_s.snapshot().count == 0


def test_the_configuration_knows_which_protocol_our_own_routes_have() -> None:
    assert values.OWN_PROTOCOL == RTPROT_VTEP


def test_a_port_of_a_segment_does_not_stay_blocked_for_a_vni_that_left_while_no_daemon_ran(
    kernel: MemoryKernel,
) -> None:
    blocked = [PortEntry(vxlan, "h100", "joining") for vxlan in ("vx100", "vx200")]
    kernel.filters.send([FilterMessage(Verb.CREATE, entry) for entry in blocked])
    target = KernelTarget(kernel, [vni(100)], segments=[SegmentConfig(Esi(9 * b"\0" + b"\1"), LOCAL, port="h100")])
    target.attachments()

    target.send([FilterMessage(Verb.REPLACE, PortEntry("vx100", "h100", "df"))])

    assert kernel.filters.entries() == [PortEntry("vx100", "h100", "df")]


def test_the_filters_of_a_vni_that_left_while_no_daemon_ran_do_not_keep_the_tables(kernel: MemoryKernel) -> None:
    left = [PortEntry("vx200", "h200", "df"), MacEntry("vx200", M, "h200")]
    kernel.filters.send([FilterMessage(Verb.CREATE, entry) for entry in left])
    kernel.filters.send([FilterMessage(Verb.CREATE, entry) for entry in (MacEntry("vx100", M, "h100"),)])
    target = KernelTarget(kernel, [vni(100)])
    attachments = target.attachments()
    kernel.filters = FilterTable(kernel.filters.nft)
    target.attachments()

    assert list(SEGMENT_MAC.recognise(target.entries(attachments), attachments)) == [(100, M)]
    target.send([FilterMessage(Verb.DELETE, MacEntry("vx100", M, "h100"))])

    assert (kernel.filters.entries(), kernel.filters.is_there()) == ([], False)


def test_a_look_by_key_knows_every_kind_that_has_no_lookups_in_the_domains_of_a_vni() -> None:
    domains = {kind.name: kind.descriptor.domain_of for kind in KINDS if readable(kind) is None}

    found = {name for name, domain_of in domains.items() if domain_of(Vni(100)) in (Vni(100), Hosts(100))}
    assert found == {"flood", "neighbor"}, "KernelTarget.unreadable_entries returns the entries of these"


def test_the_filters_of_the_only_segment_go_if_it_left_while_no_daemon_ran(kernel: MemoryKernel) -> None:
    left = [PortEntry("vx200", "h200", "joining"), MacEntry("vx200", M, "h200")]
    kernel.filters.send([FilterMessage(Verb.CREATE, entry) for entry in left])
    kernel.filters = FilterTable(kernel.filters.nft)
    target = KernelTarget(kernel, [vni(100)])

    target.entries(target.attachments())

    assert kernel.filters.is_there() is False


def test_a_port_that_left_its_bridge_keeps_no_claim_of_a_backup(kernel: MemoryKernel) -> None:
    segment = SegmentConfig(Esi(9 * b"\0" + b"\1"), LOCAL, port="h100")
    target = KernelTarget(kernel, [vni(100)], segments=[segment])
    assert PortDomain(100) in target.attachments().ready

    kernel.set_master("h100", None)
    target.reconfigure([vni(100)])

    attachments = target.attachments()
    assert PortDomain(100) in attachments.ready
    assert target.look(PORT_BACKUP.lookups((Vni(100), "h100"), attachments)) == [None]


def test_the_filters_of_a_vni_leave_its_former_vxlan_device(kernel: MemoryKernel) -> None:
    segment = SegmentConfig(Esi(9 * b"\0" + b"\1"), LOCAL, port="h100")
    target = KernelTarget(kernel, [vni(100)], segments=[segment])
    target.attachments()
    kernel.filters.send([FilterMessage(Verb.CREATE, PortEntry("vx100", "h100", "df"))])
    kernel.add_vxlan("new", 100, LOCAL, "br100")
    moved = msgspec.structs.replace(vni(100), vxlan="new")
    target.reconfigure([moved], segments=[segment])

    attachments = target.attachments()
    there = Attachments(attachments.replaced, {})

    assert list(PORT_FILTER.recognise(target.entries(there), there)) == [(100, "h100")]
