"""What the kernel in memory has beside Linux: its switches, its counters, and stations that send nothing any more."""

import errno

import pytest

from vtep.addr import ZERO_MAC, Ip, Mac
from vtep.linux.memory.kernel import Crashed, MemoryKernel
from vtep.linux.wire.neighbor import FdbEvent, Half, Neighbor, Verb
from vtep.linux.wire.tlv import AF_INET

M, N = Mac.parse("02:00:00:00:00:0a"), Mac.parse("02:00:00:00:00:0b")
A, B = Ip.parse("10.0.0.2"), Ip.parse("10.0.0.3")


@pytest.fixture
def kernel() -> MemoryKernel:
    kernel = MemoryKernel()
    kernel.add_bridge("br100")
    kernel.add_vxlan("vxlan100", 100, Ip.parse("10.0.0.1"), "br100")
    kernel.add_port("h0", "br100")
    return kernel


def row(
    kernel: MemoryKernel, mac: Mac = M, dst: Ip | None = A, verb: Verb = Verb.REPLACE, flags: int = 0x16
) -> Neighbor:
    return Neighbor(verb, kernel.links().by_name["vxlan100"].index, mac, flags, 0xC0, dst)


def counters(kernel: MemoryKernel) -> tuple[int, int, int]:
    return kernel.writes, kernel.replaces, kernel.deletes


def test_counters_count_a_pair_once(kernel: MemoryKernel) -> None:
    kernel.send([row(kernel), row(kernel, N)])
    assert counters(kernel) == (2, 0, 0)

    kernel.send([row(kernel), row(kernel, N, B)])
    assert counters(kernel) == (2, 1, 0)

    kernel.send([row(kernel, verb=Verb.DELETE, dst=None, flags=flags) for flags in (4, 2)])
    assert counters(kernel) == (2, 1, 1)


def test_counters_count_flood_rows_by_vtep_and_host_rows_by_address(kernel: MemoryKernel) -> None:
    kernel.send([row(kernel, ZERO_MAC, vtep, Verb.APPEND, 0x12) for vtep in (A, B, B)])
    host = Neighbor(Verb.REPLACE, 2, M, 0x10, 0x40, family=AF_INET, ip=B)
    kernel.send([host, host])
    assert counters(kernel) == (3, 0, 0)

    kernel.send([row(kernel, ZERO_MAC, None, Verb.DELETE, 0x02)])
    assert counters(kernel) == (3, 0, 2)


def test_what_is_refused_is_not_counted_or_written(kernel: MemoryKernel) -> None:
    kernel.refuse(errno.ENOMEM, lambda message: message.mac == M)

    refusals = kernel.send([row(kernel), row(kernel, N)])

    assert [(r.index, r.errno, r.bridge_done) for r in refusals] == [(0, errno.ENOMEM, False)]
    assert counters(kernel) == (1, 0, 0)
    assert kernel.get(3, M, Half.BRIDGE) is None


def test_refusals_can_be_taken_back(kernel: MemoryKernel) -> None:
    kernel.refuse(errno.ENOMEM)
    kernel.refuse(0)

    assert kernel.send([row(kernel)]) == []


def test_after_a_crash_the_rows_are_there_and_every_send_crashes(kernel: MemoryKernel) -> None:
    kernel.crash_after = 1

    with pytest.raises(Crashed):
        kernel.send([row(kernel), row(kernel, N)])
    with pytest.raises(Crashed):
        kernel.send([row(kernel)])

    assert kernel.get(3, M, Half.VXLAN)
    assert kernel.get(3, N, Half.VXLAN) is None


def test_a_learned_station_expires_and_nothing_else_does(kernel: MemoryKernel) -> None:
    kernel.station_sends(N, "h0")
    kernel.send([row(kernel)])
    kernel.drain()

    for mac in (M, N):
        kernel.station_expires(mac, "br100")

    assert kernel.get(3, M, Half.BRIDGE)
    assert kernel.get(3, N, Half.BRIDGE) is None
    assert {FdbEvent(4, N)} == kernel.drain().keys


def test_a_port_learns_from_the_tunnel_only_when_that_is_on(kernel: MemoryKernel) -> None:
    kernel.station_sends(M, "vxlan100")

    assert kernel.get(3, M, Half.BRIDGE) is None


def test_a_device_made_again_has_a_new_index_and_no_rows(kernel: MemoryKernel) -> None:
    kernel.send([row(kernel)])
    kernel.delete_link("vxlan100")

    index = kernel.add_vxlan("vxlan100", 100, Ip.parse("10.0.0.1"), "br100")

    assert index == 5
    assert [entry for entry in kernel.rows([2]) if entry.mac == M] == []


def test_what_is_seen_of_a_device_can_be_changed(kernel: MemoryKernel) -> None:
    kernel.drain()

    kernel.change("vxlan100", mtu=1450)

    assert kernel.links().by_name["vxlan100"].mtu == 1450
    assert kernel.drain().links_changed
